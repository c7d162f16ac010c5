/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A fork bomb is stopped like any other role, and after the reply its cgroup is empty. The one of this test
 * forks and exits all the time, so that no PID exists long enough to be signalled individually, but it grows
 * to a fixed size only. */

#include "testlib.h"

#define SIZE "40"

/* The lifetime of one of its processes, in ms. If the kernel kills all at once, it may be as short as the
 * machine can bear. Without cgroup.kill (all supported kernels have it, but the code has a path without it)
 * systemd signals one PID after the other, and succeeds only with slower ones. */
static const char *life(Bus *bus) {
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);

        return g_strv_contains(features, "cgroup-kill") ? "5" : "50";
}

static void start_bomb(Bus *bus, const char *role, GVariant *options, Fifo *fifo) {
        start(bus, role, options, actor(), "ignore", "TERM", "ignore", "HUP", "bomb", SIZE, life(bus),
                fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "bomb");
}

static void check_gone(Bus *bus, const char *role, const char *cgroup) {
        g_autofree char *scope = role_scope(role);

        assert_false(cgroup_is_populated(cgroup));
        assert_state(bus, role, "ended");
        WAIT_UNTIL(count_units(bus, scope) == 0);
}

static void test_stop(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        Census before = census_before(bus);

        for (int i = 0; i < 3; i++) {
                g_autofree char *cgroup = NULL;

                start_bomb(bus, role, OPTIONS("{'stop-timeout-usec': <@t 200000>}"), fifo);
                cgroup = role_cgroup(bus, role);
                stop(bus, role);
                check_gone(bus, role, cgroup);
                expect_exited(bus, role, "killed", SIGKILL, "stop");
        }
        purge(bus, role);
        assert_census(bus, &before);
}

static void test_kill(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        for (int i = 0; i < 3; i++) {
                g_autofree char *cgroup = NULL;

                start_bomb(bus, role, NULL, fifo);
                cgroup = role_cgroup(bus, role);
                kill_role(bus, role);
                check_gone(bus, role, cgroup);
                expect_exited(bus, role, "killed", SIGKILL, "kill");
        }
}

/* With an ordinary user and the limit for this purpose, nproc. */
static void test_with_limit(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL, *line = NULL;

        start(bus, role,
                OPTIONS("{'user': <'alice'>, 'limits': <{'nproc': @t 50}>, 'stop-timeout-usec': <@t 200000>}"),
                actor(), "ignore", "TERM", "fill-tasks", fifo_path(fifo), "pause", NULL);
        line = fifo_line(fifo);
        assert_contains(line, " EAGAIN ");
        assert_true(g_ascii_strtoll(line, NULL, 10) < 50);
        cgroup = role_cgroup(bus, role);
        stop(bus, role);
        check_gone(bus, role, cgroup);
}

/* The main process is killed, and the bomb is a process that it has left behind. */
static void test_leftover(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL;

        start_bomb(bus, role, OPTIONS("{'stop-timeout-usec': <@t 200000>}"), fifo);
        cgroup = role_cgroup(bus, role);
        assert_int_equal(kill(role_pid(bus, role), SIGKILL), 0);
        expect_exited(bus, role, "killed", SIGKILL, "external");
        stop(bus, role);
        check_gone(bus, role, cgroup);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stop),
                TEST(test_kill),
                TEST(test_with_limit),
                TEST(test_leftover),
        };
        return run_case("fork-bomb", tests);
}
