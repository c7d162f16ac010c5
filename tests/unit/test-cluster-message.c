/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the hosts of a cluster tell each other. */

#include "unit-test.h"

#include <inttypes.h>

#include "cluster/cluster-message.h"

static void test_verbs(void **state) {
        for (ClusterVerb verb = 0; verb < _CLUSTER_VERB_MAX; verb++) {
                const ClusterMessage message = { verb, "dome-1.example", UINT64_MAX };
                char text[CLUSTER_MESSAGE_MAX];
                ClusterMessage read;

                int n = cluster_message_write(&message, text);
                assert_true(n > 0);
                assert_int_equal(cluster_message_read(text, (size_t) n, &read), 0);
                assert_int_equal(read.verb, verb);
                assert_string_equal(read.name, message.name);
                assert_true(read.number == message.number);
                assert_int_equal(cluster_verb_from_string(cluster_verb_to_string(verb)), verb);
        }
}

/* Hosts of two versions are in one cluster during an upgrade, so this never changes. */
static void test_text(void **state) {
        const ClusterMessage message = { CLUSTER_FENCE, "h1", 12000000 };
        char text[CLUSTER_MESSAGE_MAX];

        int n = cluster_message_write(&message, text);
        assert_int_equal(n, (int) strlen("architect 1 fence h1 12000000"));
        assert_memory_equal(text, "architect 1 fence h1 12000000", (size_t) n);
}

static void test_names(void **state) {
        ClusterMessage message = { CLUSTER_GONE, "", 0 };
        char text[CLUSTER_MESSAGE_MAX];

        assert_int_equal(cluster_message_write(&message, text), -EINVAL);
        (void) strcpy(message.name, "two words");
        assert_int_equal(cluster_message_write(&message, text), -EINVAL);
        memset(message.name, 'x', CLUSTER_NAME_MAX);
        message.name[CLUSTER_NAME_MAX] = '\0';
        message.number = UINT64_MAX;
        assert_in_range(cluster_message_write(&message, text), CLUSTER_NAME_MAX, CLUSTER_MESSAGE_MAX - 1);
}

static void test_refused(void **state) {
        static const char *const texts[] = {
                "",
                "architect",
                "architect 1 ",
                "architect 1 beat",
                "architect 1 beat h1",
                "architect 1 beat h1 ",
                "architect 1 beat h1 x",
                "architect 1 beat h1 -1",
                "architect 1 beat h1 1 ",
                "architect 1 beat h1 1 2",
                "architect 1 beat h1 18446744073709551616",
                "architect 1 beat  1",
                "architect 1 shoot h1 1",
                "architect 1 beat h\n1 1",
                "architect 2 beat h1 1",
                "Architect 1 beat h1 1",
                " architect 1 beat h1 1",
        };
        char text[CLUSTER_MESSAGE_MAX + 1];
        ClusterMessage message = { CLUSTER_HEARD, "h2", 3 };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                assert_int_equal(cluster_message_read(texts[i], strlen(texts[i]), &message), -EBADMSG);
        assert_int_equal(cluster_message_read("architect 1 beat h1 1\0", 22, &message), -EBADMSG);
        memset(text, 'x', sizeof(text));
        assert_int_equal(cluster_message_read(text, sizeof(text), &message), -EBADMSG);
        memcpy(text, "architect 1 beat ", 17);
        assert_int_equal(cluster_message_read(text, CLUSTER_MESSAGE_MAX, &message), -EBADMSG);
        assert_int_equal(message.verb, CLUSTER_HEARD);
        assert_string_equal(message.name, "h2");
        assert_int_equal(message.number, 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_verbs),
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
