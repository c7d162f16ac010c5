/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Starts run concurrently, up to MaxConcurrentStarts (100). Further ones are queued. A start whose set-up
 * hangs delays no other, as long as there is room. */

#include "testlib.h"

#define MAX_CONCURRENT_STARTS 100

static void test_hanging_setup(void **state) {
        Bus *bus = *state;
        const char *hangs = role_name("hangs"), *other = role_name("other");
        g_autoptr(Hold) hold = hold_new();
        guint32 serial = node_send(bus, "Start", start_args(hangs, NULL, hold_program(hold), "pause", NULL));
        pid_t child = held_child(bus, hangs);

        for (int i = 0; i < 10; i++) {
                start(bus, other, NULL, actor(), "pause", NULL);
                stop(bus, other);
        }
        assert_false(bus_has_reply(bus, serial));
        assert_state(bus, hangs, "starting");

        hold_release(hold);
        g_variant_unref(bus_result(bus, serial));
        assert_poll(bus, hangs, "running");
        assert_int_equal(role_pid(bus, hangs), child);
}

static guint count_starting(Bus *bus, const char *prefix, guint *ret_children) {
        g_autoptr(GArray) children = process_children(keeper_pid(bus));

        *ret_children = children->len;
        return count_roles(bus, prefix, "starting");
}

/* The hundred and first start waits until another one is complete. Two clients are used, because each may
 * have at most 128 pending calls. */
static void test_limit(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) second = bus_new();
        const char *last = role_name("last"), *prefix = role_name("h");
        g_autofree char *path = role_path(last);
        guint32 serials[MAX_CONCURRENT_STARTS], last_serial;
        guint children, before = census_before(bus).keeper_children;
        g_autoptr(Hold) hold = hold_new();

        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                serials[i] = node_send(bus, "Start",
                        start_args(role_name_n("h", i), NULL, hold_program(hold), "pause", NULL));
        node_sync(bus);
        last_serial = node_send(second, "Start", start_args(last, NULL, hold_program(hold), "pause", NULL));
        bus_wait(second, "InterfacesAdded", path);
        WAIT_UNTIL(count_starting(bus, prefix, &children) == MAX_CONCURRENT_STARTS &&
                   children == before + MAX_CONCURRENT_STARTS);
        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                held_child(bus, role_name_n("h", i));
        /* The role exists and has no process. */
        assert_state(second, last, "starting");
        assert_int_equal(count_starting(bus, prefix, &children), MAX_CONCURRENT_STARTS);
        assert_int_equal(children, before + MAX_CONCURRENT_STARTS);

        /* One start ends, and another one gets its slot. */
        stop(bus, role_name_n("h", 42));
        bus_failure(bus, serials[42], "StartCancelled", role_name_n("h", 42), NULL);
        held_child(second, last);

        /* All continue when they can. */
        hold_release(hold);
        g_variant_unref(bus_result(second, last_serial));
        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                if (i != 42)
                        g_variant_unref(bus_result(bus, serials[i]));
}

/* A queued start can be cancelled, too. */
static void test_cancel_waiting(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) second = bus_new();
        const char *waits = role_name("w");
        g_autofree char *path = role_path(waits);
        guint32 serials[MAX_CONCURRENT_STARTS], serial;
        g_autoptr(Hold) hold = hold_new();

        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                serials[i] = node_send(bus, "Start",
                        start_args(role_name_n("c", i), NULL, hold_program(hold), "pause", NULL));
        node_sync(bus);
        serial = node_send(second, "Start", start_args(waits, NULL, hold_program(hold), "pause", NULL));
        bus_wait(second, "InterfacesAdded", path);
        stop(second, waits);
        bus_failure(second, serial, "StartCancelled", waits, NULL);
        assert_poll(second, waits, "none");
        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++) {
                kill_role(bus, role_name_n("c", i));
                bus_failure(bus, serials[i], "StartCancelled", NULL);
        }
}

/* One client may request more than that at once (with two connections, because of dbus-daemon), and all
 * run. */
static void test_more_than_the_limit(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) second = bus_new();
        Bus *clients[] = { bus, second };
        guint32 serials[200];

        for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                serials[i] = node_send(clients[i % 2], "Start",
                        start_args(role_name_n("m", i), NULL, actor(), "pause", NULL));
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                g_variant_unref(bus_result(clients[i % 2], serials[i]));
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                assert_int_equal(bus_count(bus, "RoleStarted", role_name_n("m", i)), 1);
                assert_poll(bus, role_name_n("m", i), "running");
        }
}

/* Many clients start the same name. One succeeds, and the others get an error. */
static void test_same_name(void **state) {
        Bus *bus = *state;
        const char *role = role_name("same");
        guint32 serials[50];
        guint started = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++)
                serials[i] = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++) {
                Event *reply = bus_wait_reply(bus, serials[i]);

                if (reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN)
                        started++;
                else
                        bus_failure(bus, serials[i], "RoleExists", role, NULL);
        }
        assert_int_equal(started, 1);
        assert_int_equal(bus_count(bus, "RoleStarted", role), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_hanging_setup),
                TEST(test_limit),
                TEST(test_cancel_waiting),
                TEST(test_more_than_the_limit),
                TEST(test_same_name),
        };
        return run_case("start-concurrency", tests);
}
