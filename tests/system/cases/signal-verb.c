/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Signal is sent to the main process only, or to every process of the role. A role that dies of it has the
 * caller as the cause of its end. */

#include <unistd.h>

#include "testlib.h"

static void test_whom(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) ready = fifo_new("ready"), fifo = fifo_new("fifo"), child = fifo_new("child"),
                        daemon = fifo_new("daemon");

        start(bus, role, NULL, actor(), "fork{", "tell-on", "USR1", fifo_path(child), "child", "say",
                fifo_path(ready), "up", "pause", "}", "daemon{", "tell-on", "USR1", fifo_path(daemon),
                "daemon", "say", fifo_path(ready), "up", "pause", "}", "tell-on", "USR1", fifo_path(fifo),
                "main", "say", fifo_path(ready), "up", "pause", NULL);
        for (int i = 0; i < 3; i++)
                fifo_expect_pid(ready, "up");

        send_signal(bus, role, "main", SIGUSR1);
        assert_int_equal(fifo_expect_pid(fifo, "main"), role_pid(bus, role));
        send_signal(bus, role, "all", SIGUSR1);
        fifo_expect_pid(fifo, "main");
        fifo_expect_pid(child, "child");
        fifo_expect_pid(daemon, "daemon");
        /* Once each, because the first one was not sent to them. */
        node_sync(bus);
        assert_false(fifo_has_line(child));
        assert_false(fifo_has_line(daemon));
        assert_poll(bus, role, "running");
}

static void test_stop_and_go_on(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        pid_t pid;

        start(bus, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);
        send_signal(bus, role, "all", SIGSTOP);
        WAIT_UNTIL(process_state(pid) == 'T');
        assert_poll(bus, role, "running");
        send_signal(bus, role, "main", SIGCONT);
        WAIT_UNTIL(process_state(pid) == 'S');
}

static void test_deadly(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c"), *whoms[] = { "main", "all" };
        const int signals[] = { SIGTERM, SIGKILL, SIGHUP, 64 };

        for (size_t i = 0; i < G_N_ELEMENTS(whoms); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(signals); j++) {
                        Exited exited;

                        start(bus, role, NULL, actor(), "pause", NULL);
                        send_signal(bus, role, whoms[i], signals[j]);
                        exited = expect_exited(bus, role, "killed", signals[j], "kill");
                        assert_int_equal(detail_u32(exited.details, "caller-uid"), 0);
                        assert_int_equal(detail_u32(exited.details, "caller-pid"), getpid());
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_whom),
                TEST(test_stop_and_go_on),
                TEST(test_deadly),
        };
        return run_case("signal-verb", tests);
}
