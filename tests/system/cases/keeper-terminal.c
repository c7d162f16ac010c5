/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The terminal of a role survives a replacement and a death of the keeper. Clients stay connected, and the
 * next keeper starts the process that reads the terminal again if it dies. */

#include <unistd.h>

#include "keeper.h"
#include "screen.h"
#include "testlib.h"

/* A pidfd and, for the terminal, a pidfd and four descriptors; the state. */
#define STORED (1 + 1 + 5)
#define ANSWERS "echo ready; while read x; do echo got $x; done"

static void reload(Bus *bus) {
        assert_int_equal(keeper_reload(), 0);
}

static void survives(Bus *bus, void (*again)(Bus *bus), bool die_meanwhile) {
        const char *role = role_name("pty");
        g_autoptr(Screen) first = NULL, next = NULL;
        g_autoptr(GArray) pids = NULL;
        int terminal;

        keeper_wait_stored(bus, 0);
        start(bus, role, OPTIONS("{'stdin': <'pty'>, 'output': <'null'>}"), "sh", "-c", ANSWERS, NULL);
        first = screen_open(bus, role, NULL);
        screen_expect(first, "ready\r\n");
        pids = terminal_pids(bus);
        assert_int_equal(pids->len, 1);
        terminal = process_open(g_array_index(pids, pid_t, 0));
        keeper_wait_stored(bus, STORED);

        if (die_meanwhile) {
                pid_t keeper = keeper_pid(bus);

                keeper_crash(bus);
                assert_int_equal(kill(g_array_index(pids, pid_t, 0), SIGKILL), 0);
                WAIT_UNTIL(keeper_is_connected(bus, keeper));
        } else {
                again(bus);
                screen_type(first, "one\n");
                screen_expect(first, "got one\r\n");
                send_input(bus, role, "two");
                screen_expect(first, "got two\r\n");
                assert_false(process_is_dead(terminal));
                keeper_wait_stored(bus, STORED);
                assert_int_equal(kill(g_array_index(pids, pid_t, 0), SIGKILL), 0);
        }

        /* Its death is noticed, and another one is started. */
        screen_expect_end(first);
        process_wait_dead(terminal);
        close(terminal);
        next = screen_open(bus, role, NULL);
        screen_type(next, "three\n");
        screen_expect(next, "got three\r\n");
        assert_poll(bus, role, "running");
        keeper_wait_stored(bus, STORED);

        /* The end of the role ends all of it. */
        kill_role(bus, role);
        wait_exited(bus, role);
        screen_expect_end(next);
        keeper_wait_stored(bus, 0);
        WAIT_UNTIL(({
                g_autoptr(GArray) left = terminal_pids(bus);
                left->len == 0;
        }));
}

static void test_reload(void **state) {
        survives(*state, reload, false);
}

static void test_crash(void **state) {
        survives(*state, keeper_crash_and_wait, false);
}

static void test_both(void **state) {
        survives(*state, keeper_and_node_crash, false);
}

/* The architect-terminal died while no keeper was running. */
static void test_die_meanwhile(void **state) {
        survives(*state, NULL, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_reload),
                TEST(test_crash),
                TEST(test_both),
                TEST(test_die_meanwhile),
        };
        return run_case("keeper-terminal", tests);
}
