/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * With remove=true the role is purged when it has ended and has been swept, after its RoleExited. */

#include <unistd.h>

#include "testlib.h"

static void test_remove(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *path = role_path(role);
        Census before = census_before(bus);
        Exited exited;
        Event *purged;
        g_autoptr(GVariant) details = NULL;

        for (int i = 0; i < 3; i++) {
                start(bus, role, OPTIONS("{'remove': <true>}"), actor(), "exit", "8", NULL);
                exited = expect_exited(bus, role, "exited", 8, "self");
                purged = bus_wait(bus, "RolePurged", role);
                assert_true(exited.event->index < purged->index);
                bus_wait(bus, "InterfacesRemoved", path);
                g_clear_pointer(&details, g_variant_unref);
                details = event_details(purged);
                assert_true(detail_u64(details, "seq") > exited.seq);
                assert_false(detail_has(details, "caller-uid")); /* there is no caller */
                assert_poll(bus, role, "none");
                node_call_fails(bus, "GetRole", g_variant_new("(s)", role), "NoSuchRole", role, NULL);
        }
        assert_census(bus, &before);
}

static void test_after_the_sweep(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        int child;

        start(bus, role, OPTIONS("{'remove': <true>, 'stop-timeout-usec': <@t 400000>}"), actor(), "daemon{",
                "tell-on", "TERM", fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", "}",
                "read-eof", "exit", "8", NULL);
        child = process_open(fifo_expect_pid(fifo, "ready"));
        close_input(bus, role);
        expect_exited(bus, role, "exited", 8, "self");
        fifo_expect_pid(fifo, "heard");
        assert_poll(bus, role, "exit 8");
        assert_int_equal(bus_count(bus, "RolePurged", role), 0);
        bus_wait(bus, "RolePurged", role);
        assert_true(process_is_dead(child));
        close(child);
        assert_poll(bus, role, "none");
}

/* A caller of Stop gets a reply, although the role does not exist any more. */
static void test_stop(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");

        start(bus, role, OPTIONS("{'remove': <true>}"), actor(), "pause", NULL);
        assert_true(g_variant_get_boolean(role_get(bus, role, "Remove")));
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        bus_wait(bus, "RolePurged", role);
        assert_poll(bus, role, "none");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_remove),
                TEST(test_after_the_sweep),
                TEST(test_stop),
        };
        return run_case("remove-option", tests);
}
