/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Frozen roles. Stop thaws the scope of a role. If a unit above it is frozen, Start and Stop fail at once and
 * name it, and Kill acts. */

#include "testlib.h"

static bool is_frozen(Bus *bus, const char *role) {
        g_autoptr(GVariant) value = role_get(bus, role, "Frozen");

        return g_variant_get_boolean(value);
}

static void start_handler(Bus *bus, const char *role) {
        g_autoptr(Fifo) ready = fifo_new(role);

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), actor(), "exit-on", "TERM", "6",
                "say", fifo_path(ready), "ready", "pause", NULL);
        fifo_expect_pid(ready, "ready");
}

static void test_scope(void **state) {
        Bus *bus = *state;
        const char *role = role_name("scope");

        start_handler(bus, role);
        g_autofree char *cgroup = role_cgroup(bus, role);
        assert_false(is_frozen(bus, role));
        cgroup_freeze(cgroup, true);
        WAIT_UNTIL(is_frozen(bus, role));
        assert_poll(bus, role, "running");
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop"); /* by its handler */
        assert_false(is_frozen(bus, role));
}

static char *slice_of(Bus *bus, const char *role, const char *slice) {
        g_autofree char *cgroup = role_cgroup(bus, role);
        char *end = strstr(cgroup, slice);

        assert_non_null(end);
        end[strlen(slice)] = 0;
        return g_steal_pointer(&cgroup);
}

static void frozen_slice(Bus *bus, const char *slice) {
        const char *stops = role_name("stops"), *dies = role_name("dies"), *other = role_name("other");

        start_handler(bus, stops);
        start(bus, dies, NULL, actor(), "pause", NULL);
        g_autofree char *cgroup = slice_of(bus, stops, slice);
        cgroup_freeze(cgroup, true);
        WAIT_UNTIL(is_frozen(bus, stops) && is_frozen(bus, dies));

        guint mark = bus_mark(bus);
        node_call_fails(bus, "Stop", g_variant_new("(s)", stops), "RoleFrozen", stops, slice,
                "systemctl thaw", "kill the role", NULL);
        assert_state(bus, stops, "running");
        start_fails(bus, start_args(other, NULL, actor(), "pause", NULL), "RoleFrozen", other, slice,
                "systemctl thaw", NULL);
        assert_no_trace(bus, other, mark);
        assert_poll(bus, stops, "running");
        kill_role(bus, dies);
        expect_exited(bus, dies, "killed", SIGKILL, "kill");
        stop(bus, dies); /* it has ended already */

        cgroup_freeze(cgroup, false);
        WAIT_UNTIL(!is_frozen(bus, stops));
        stop(bus, stops);
        expect_exited(bus, stops, "exited", 6, "stop");
        purge(bus, stops);
        purge(bus, dies);
}

static void test_own_slice(void **state) {
        frozen_slice(*state, "architect-main-0.slice");
}

static void test_slice_of_the_node(void **state) {
        frozen_slice(*state, NODE_SLICE);
}

static void test_slice_of_all_nodes(void **state) {
        frozen_slice(*state, "architect.slice");
}

/* systemd freezes each unit of the slice, and the slice. */
static void test_by_systemd(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        start_handler(bus, role);
        systemctl("freeze", NODE_SLICE);
        WAIT_UNTIL(is_frozen(bus, role));
        node_call_fails(bus, "Stop", g_variant_new("(s)", role), "RoleFrozen", role, ".slice, which", NULL);
        systemctl("thaw", NODE_SLICE);
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

static int end(void **state) {
        static const char *const slices[] = { "/architect.slice", "/architect.slice/architect-main.slice",
                "/architect.slice/architect-main.slice/architect-main-0.slice" };

        for (size_t i = 0; i < G_N_ELEMENTS(slices); i++)
                cgroup_freeze(slices[i], false);
        return case_teardown(state);
}

#define FROZEN_TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, end)

int main(void) {
        const struct CMUnitTest tests[] = {
                FROZEN_TEST(test_scope),
                FROZEN_TEST(test_own_slice),
                FROZEN_TEST(test_slice_of_the_node),
                FROZEN_TEST(test_slice_of_all_nodes),
                FROZEN_TEST(test_by_systemd),
        };
        return run_case("frozen", tests);
}
