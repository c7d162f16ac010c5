/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file of an observatory. Its errors are in the case ctl-up, too. */

#include "unit-test.h"

#include "base/macro.h"
#include "base/time-util.h"
#include "ctl/observatory.h"

#define HOSTS "[Host hub]\nLocal=yes\n[Host dome]\n"

/* Returns NULL with all errors, divided by "|". */
static Observatory *parse(const char *text, char **ret_errors) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *copy = g_strdup(text);

        Observatory *observatory = observatory_parse("/d/north.observatory", copy, strlen(copy), errors);
        g_ptr_array_add(errors, NULL);
        *ret_errors = g_strjoinv("|", (char **) errors->pdata);
        return observatory;
}

static Observatory *parse_well(const char *text) {
        g_autofree char *errors = NULL;
        Observatory *observatory = parse(text, &errors);

        if (!observatory)
                fail_msg("%s", errors);
        assert_string_equal(errors, "");
        return observatory;
}

static void check_error(const char *text, const char *expected) {
        g_autofree char *errors = NULL;

        assert_null(parse(text, &errors));
        assert_string_equal(errors, expected);
}

static ObservatoryRole *role(const Observatory *observatory, guint i) {
        assert_true(i < observatory->roles->len);
        return g_ptr_array_index(observatory->roles, i);
}

static void test_order(void **state) {
        g_autoptr(Observatory) o = parse_well(HOSTS "[Role c]\nHost=hub\nCommand=x\nRequires=b\n"
                                                    "[Role b]\nHost=dome hub\nCommand=x\nAfter=a\n"
                                                    "[Role a]\nHost=dome\nCommand=x\n");

        assert_string_equal(o->name, "north");
        assert_int_equal(o->roles->len, 4);
        assert_string_equal(role(o, 0)->name, "a");
        assert_string_equal(role(o, 2)->name, "c");
        /* That of its own host is meant. */
        assert_int_equal(role(o, 2)->needs->len, 1);
        assert_string_equal(((ObservatoryRole *) role(o, 2)->needs->pdata[0])->host->name, "hub");
        assert_int_equal(role(o, 0)->followers->len, 2);
}

/* What is after it is stopped before it; that has no circle, whatever PartOf= says. */
static void test_part_of(void **state) {
        g_autoptr(Observatory) o = parse_well(HOSTS "[Role a]\nHost=hub\nCommand=x\nPartOf=b\n"
                                                    "[Role b]\nHost=hub\nCommand=x\nAfter=a\n");

        assert_string_equal(role(o, 0)->name, "a");
        assert_int_equal(role(o, 0)->followers->len, 1);
        assert_int_equal(role(o, 0)->stops_with->len, 1);
        assert_int_equal(role(o, 1)->followers->len, 0);
}

static void test_same_service(void **state) {
        g_autoptr(Observatory) o = parse_well("[Host a]\nLocal=yes\n[Host b]\nLocal=yes\nInstance=b\n"
                                              "[Host c]\nAddress=h\n[Host d]\nAddress=h\nInstance=b\n");

        assert_int_equal(o->hosts->len, 4);
        check_error("[Host a]\nAddress=b\n[Host b]\n",
                "/d/north.observatory:3: [Host b] is the same service as [Host a]");
        check_error("[Host a]\nLocal=yes\n[Host a]\nLocal=yes\n",
                "/d/north.observatory:3: there is a section [Host a] in line 1 already");
}

static void test_beats(void **state) {
        static const struct {
                const char *text;
                uint64_t beat_usec;
        } well[] = {
                { "", 10 * USEC_PER_SEC },
                { "LeaseTimeoutSec=2\n", 2 * USEC_PER_SEC / 3 },
                { "LeaseTimeoutSec=infinity\n", 10 * USEC_PER_SEC },
                { "BeatSec=1h\nLeaseTimeoutSec=infinity\n", 3600 * USEC_PER_SEC },
                { "BeatSec=10ms\n", 10 * USEC_PER_MSEC },
        };
        static const struct {
                const char *text, *error;
        } bad[] = {
                { "LeaseTimeoutSec=2us\n", "LeaseTimeoutSec= is too short: a beat takes 10ms at least" },
                { "BeatSec=9ms\n", "BeatSec= is too short: a beat takes 10ms at least" },
                { "BeatSec=30s\n",
                        "BeatSec= is not shorter than LeaseTimeoutSec=, so the lease would expire" },
        };

        for (size_t i = 0; i < ELEMENTSOF(well); i++) {
                g_autofree char *text = g_strconcat("[Observatory]\nLease=x\n", well[i].text, HOSTS, NULL);
                g_autoptr(Observatory) o = parse_well(text);

                assert_int_equal(o->beat_usec, well[i].beat_usec);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_autofree char *text = g_strconcat("[Observatory]\nLease=x\n", bad[i].text, HOSTS, NULL),
                                *error = g_strconcat("/d/north.observatory:1: ", bad[i].error, NULL);

                check_error(text, error);
        }
        check_error("[Observatory]\nLeaseTimeoutSec=5\n" HOSTS,
                "/d/north.observatory:1: LeaseTimeoutSec= and BeatSec= are of no use without Lease=, which names the lease");
}

/* Each role is after all others, so there are more circles than memory for them. */
static void test_circles(void **state) {
        g_autoptr(GString) text = g_string_new(HOSTS);
        g_autofree char *errors = NULL;
        enum { N_ROLES = 300 };

        for (unsigned i = 0; i < N_ROLES; i++) {
                g_string_append_printf(text, "[Role r%u]\nHost=hub\nCommand=x\nAfter=", i);
                for (unsigned k = 0; k < N_ROLES; k++)
                        if (k != i)
                                g_string_append_printf(text, " r%u", k);
                g_string_append_c(text, '\n');
        }
        assert_null(parse(text->str, &errors));
        assert_non_null(strstr(errors, "roles wait for each other in a circle: r0 -> r1 -> r0"));
        assert_null(strchr(errors, '|'));
}

/* The longest chain that a file has room for, in the order that is the worst. */
static void test_chain(void **state) {
        g_autoptr(GString) text = g_string_new(HOSTS);
        enum { N_ROLES = 20000 };

        for (unsigned i = 0; i < N_ROLES; i++) {
                g_string_append_printf(text, "[Role r%u]\nHost=hub\nCommand=x\n", i);
                if (i + 1 < N_ROLES)
                        g_string_append_printf(text, "After=r%u\n", i + 1);
        }
        g_autoptr(Observatory) o = parse_well(text->str);
        assert_int_equal(o->roles->len, N_ROLES);
        assert_string_equal(role(o, 0)->name, "r19999");
}

static void test_manages(void **state) {
        g_autoptr(Observatory) o = parse_well(HOSTS);

        assert_true(observatory_manages(o, "desk:north"));
        assert_true(observatory_manages(o, "desk:north#0123"));
        assert_false(observatory_manages(o, "desk:north2#0123"));
        assert_false(observatory_manages(o, "desk:nort"));
        assert_false(observatory_manages(o, ""));
        assert_false(observatory_manages(o, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_part_of),
                cmocka_unit_test(test_same_service),
                cmocka_unit_test(test_beats),
                cmocka_unit_test(test_circles),
                cmocka_unit_test(test_chain),
                cmocka_unit_test(test_manages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
