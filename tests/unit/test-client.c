/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clients read: pages of events, values as JSON, and where they were. */

#include "test-directory.h"

#include <glib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "client/events.h"
#include "client/json.h"
#include "client/node-client.h"
#include "client/position.h"
#include "client/properties.h"
#include "util/autoptr.h"

static sd_bus *bus;
static int peer;

static int setup(void **state) {
        int fds[2];

        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
        peer = fds[1];
        assert_return_code(sd_bus_new(&bus), 0);
        assert_return_code(sd_bus_set_fd(bus, fds[0], fds[0]), 0);
        assert_return_code(sd_bus_start(bus), 0);
        return 0;
}

static int teardown(void **state) {
        bus = sd_bus_close_unref(bus);
        assert_return_code(close(peer), errno);
        return 0;
}

static sd_bus_message *message_new(void) {
        sd_bus_message *m;

        assert_return_code(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C"), 0);
        return m;
}

static void message_finish(sd_bus_message *m) {
        assert_return_code(sd_bus_message_seal(m, 1, 0), 0);
        assert_return_code(sd_bus_message_rewind(m, true), 0);
}

/* -- events -- */

static GString *told;

static int on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        g_string_append_printf(told, "%s:%" PRIu64 "=", event->epoch, event->seq);
        assert_return_code(event_append_json(told, event, m, NULL), 0);
        g_string_append_c(told, '\n');
        return event->seq == 99 ? -EIO : 0;
}

static void on_lost(const char *epoch, uint64_t from, uint64_t to, void *userdata) {
        g_string_append_printf(told, "%s lost %" PRIu64 "-%" PRIu64 "\n", epoch, from, to);
}

static void on_unsaved(uint64_t seq, void *userdata) {
        g_string_append_printf(told, "unsaved after %" PRIu64 "\n", seq);
}

static void on_epoch(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata) {
        g_string_append_printf(told, "epoch %s after %s:%" PRIu64 "\n", epoch, old_epoch, old_seq);
}

static const EventHandlers handlers = {
        .event = on_event, .lost = on_lost, .unsaved = on_unsaved, .epoch = on_epoch
};

static sd_bus_message *page_new(const char *epoch, int complete, const uint64_t *seqs, size_t n) {
        sd_bus_message *m = message_new();

        assert_return_code(sd_bus_message_append(m, "sb", epoch, complete), 0);
        assert_return_code(sd_bus_message_open_container(m, 'a', "(ttssa{sv})"), 0);
        for (size_t i = 0; i < n; i++)
                assert_return_code(sd_bus_message_append(m, "(ttssa{sv})", seqs[i], UINT64_C(7), "S", "r\"",
                                           1, "k", "u", 5),
                        0);
        assert_return_code(sd_bus_message_close_container(m), 0);
        message_finish(m);
        return m;
}

#define SEQS(...) ((uint64_t[]){ __VA_ARGS__ }), ELEMENTSOF(((uint64_t[]){ __VA_ARGS__ }))
#define JSON(seq, epoch) \
        epoch ":" #seq "={\"seq\":" #seq ",\"epoch\":\"" epoch \
              "\",\"realtime-usec\":7,\"signal\":\"S\",\"role\":\"r\\\"\",\"details\":{\"k\":5}}\n"

static void assert_page(EventReader *reader, sd_bus_message *page, int expected, const char *text) {
        g_autoptr(sd_bus_message) m = page;

        told = g_string_new(NULL);
        assert_int_equal(event_reader_read(reader, m, &handlers, NULL), expected);
        assert_string_equal(told->str, text);
        (void) g_string_free(told, true);
}

static void test_events(void **state) {
        g_auto(EventReader) reader = {};

        event_reader_set(&reader, NULL, 0);
        /* The first epoch is no change. */
        assert_page(&reader, page_new("e", true, SEQS(1, 2)), 2, JSON(1, "e") JSON(2, "e"));
        assert_string_equal(reader.epoch, "e");
        assert_int_equal(reader.seq, 2);
        /* One that is known already is skipped. */
        assert_page(&reader, page_new("e", true, SEQS(2, 3)), 2, JSON(3, "e"));
        assert_page(&reader, page_new("e", true, NULL, 0), 0, "");
        assert_page(&reader, page_new("e", false, SEQS(7, 8)), 2, "e lost 4-6\n" JSON(7, "e") JSON(8, "e"));
        assert_page(&reader, page_new("e", false, SEQS(10)), 1, "e lost 9-9\n" JSON(10, "e"));
        /* Told once. */
        assert_page(&reader, page_new("e", false, NULL, 0), 0, "unsaved after 10\n");
        assert_page(&reader, page_new("e", false, NULL, 0), 0, "");
        assert_page(&reader, page_new("e", false, SEQS(13)), 1, "e lost 11-12\n" JSON(13, "e"));
        assert_page(&reader, page_new("f", false, SEQS(1)), 1, "epoch f after e:13\n" JSON(1, "f"));
        /* A new epoch is never complete, also if it has no event yet. */
        assert_page(&reader, page_new("g", false, NULL, 0), 0, "epoch g after f:1\n");
        assert_int_equal(reader.seq, 0);
        /* The reader is at the event that could not be handled, and its owner sets it back. */
        assert_page(&reader, page_new("g", false, SEQS(99, 100)), -EIO, "g lost 1-98\n" JSON(99, "g"));
        event_reader_set(&reader, reader.epoch, 1);
        assert_string_equal(reader.epoch, "g");
        assert_int_equal(reader.seq, 1);
}

static void test_no_page(void **state) {
        g_auto(EventReader) reader = {};
        g_autoptr(sd_bus_message) m = message_new();

        event_reader_set(&reader, "e", 1);
        assert_return_code(sd_bus_message_append(m, "sbs", "f", 1, "x"), 0);
        message_finish(m);
        assert_true(event_reader_read(&reader, m, &handlers, NULL) < 0);
        assert_string_equal(reader.epoch, "e");
        assert_int_equal(reader.seq, 1);
}

static void test_own_event(void **state) {
        const NodeEvent event = { .seq = 3, .realtime_usec = 4, .epoch = "e", .signal = "gap", .role = "" };
        g_autoptr(GString) json = g_string_new(NULL);

        assert_return_code(event_append_json(json, &event, NULL, "{\"lost\":2}"), 0);
        assert_string_equal(json->str,
                "{\"seq\":3,\"epoch\":\"e\",\"realtime-usec\":4,\"signal\":\"gap\",\"role\":\"\",\"details\":{\"lost\":2}}");
}

/* -- JSON -- */

static void test_json(void **state) {
        g_autoptr(GString) json = g_string_new(NULL);
        g_autoptr(sd_bus_message) m = message_new();

        assert_return_code(sd_bus_message_append(m, "a{sv}(ybnqiuxtdog)av", 2, "a\tb", "as", 2, "x\n\x01",
                                   "\\", "n", "a(ss)", 1, "p", "q", 255, 1, -2, 3, -4, UINT32_MAX, INT64_MIN,
                                   UINT64_MAX, 1.5, "/o", "as", 0),
                0);
        message_finish(m);
        for (int i = 0; i < 3; i++) {
                assert_return_code(json_append_value(json, m), 0);
                g_string_append_c(json, '\n');
        }
        assert_string_equal(json->str,
                "{\"a\\tb\":[\"x\\n\\u0001\",\"\\\\\"],\"n\":[[\"p\",\"q\"]]}\n"
                "[255,true,-2,3,-4,4294967295,-9223372036854775808,18446744073709551615,1.5,\"/o\",\"as\"]\n"
                "[]\n");
        assert_int_equal(json_append_value(json, m), -ENODATA);
}

/* -- objects -- */

static int on_object(const char *path, sd_bus_message *m, void *userdata) {
        const char **name = userdata;
        const char *key;

        assert_string_equal(path, "/a");
        assert_return_code(sd_bus_message_enter_container(m, 'a', "{sv}"), 0);
        assert_int_equal(properties_next(m, &key), 1);
        assert_string_equal(key, "Name");
        assert_return_code(sd_bus_message_read(m, "v", "s", name), 0);
        assert_return_code(sd_bus_message_exit_container(m), 0);
        assert_int_equal(properties_next(m, &key), 0);
        return sd_bus_message_exit_container(m);
}

static void test_objects(void **state) {
        g_autoptr(sd_bus_message) m = message_new();
        const char *name = NULL;

        assert_return_code(sd_bus_message_append(m, "a{oa{sa{sv}}}", 2, "/a", 2, "x.y", 1, "Other", "i", 1,
                                   "x.z", 1, "Name", "s", "n", "/b", 0),
                0);
        message_finish(m);
        assert_return_code(properties_read_objects(m, "x.z", on_object, &name), 0);
        assert_string_equal(name, "n");
}

static void test_names(void **state) {
        g_autofree char *of_main = node_bus_name("main"), *of_obs = node_bus_name("obs");
        _cleanup_free_ char *path = role_object_path("a-b");

        assert_string_equal(of_main, "org.architect.Node");
        assert_string_equal(of_obs, "org.architect.Node.obs");
        assert_string_equal(path, "/org/architect/Node/role/a_2db");
}

/* -- the position -- */

static void assert_position(const Directory *d, int error, const char *epoch, uint64_t seq) {
        Position position;

        assert_int_equal(position_load(d->fd, "main", &position), error);
        assert_string_equal(position.epoch, epoch);
        assert_int_equal(position.seq, seq);
        position_clear(&position);
}

static void test_position(void **state) {
        static const char *const damaged[] = { "", "e", "e 1", "e\n", " 1\n", "e x\n", "e 1 2\n",
                "\xff 1\n" };
        const Directory *d = *state;
        Position position = {};

        assert_position(d, -ENOENT, "", 0);
        position_set(&position, "e", UINT64_MAX);
        assert_return_code(position_save(d->fd, "main", &position), 0);
        assert_position(d, 0, "e", UINT64_MAX);
        position_set(&position, "f", 1);
        assert_return_code(position_save(d->fd, "main", &position), 0);
        assert_position(d, 0, "f", 1);
        position_clear(&position);
        for (size_t i = 0; i < ELEMENTSOF(damaged); i++) {
                g_autofree char *path = g_build_filename(d->path, "main", NULL);

                assert_true(g_file_set_contents(path, damaged[i], -1, NULL));
                assert_return_code(chmod(path, 0600), errno);
                assert_position(d, -EBADMSG, "", 0);
        }
}

static int position_teardown(void **state) {
        static const char *const files[] = { "main", NULL };

        return directory_teardown(state, files);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_events, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_page, setup, teardown),
                cmocka_unit_test(test_own_event),
                cmocka_unit_test_setup_teardown(test_json, setup, teardown),
                cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
                cmocka_unit_test(test_names),
                cmocka_unit_test_setup_teardown(test_position, directory_setup, position_teardown),
        };

        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
