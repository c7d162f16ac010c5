/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Programs that a stop signal alone does not end: an interactive shell on a terminal ends by SIGHUP, and a
 * program that reads a pipe acts on the signal when its input ends. What is written after the stop is
 * refused, also after a restart of the service. */

#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

#define NEVER "{'stop-timeout-usec': <@t 18446744073709551615>, "

static void stop_takes_no_time(Bus *bus, const char *role) {
        gint64 begin = g_get_monotonic_time();

        stop(bus, role); /* its timeout never ends */
        print_message("  %" G_GINT64_FORMAT " ms\n", (g_get_monotonic_time() - begin) / 1000);
}

/* The one of docs/tour.md, once its prompt is there. */
static void test_shell(void **state) {
        Bus *bus = *state;
        static const char *const to[] = { "all", "main" };

        for (size_t i = 0; i < G_N_ELEMENTS(to); i++) {
                const char *role = role_name(to[i]);

                start(bus, role, OPTIONS(NEVER "'stdin': <'pty'>, 'stop-to': <%s>}", to[i]), "bash", NULL);
                g_autofree char *scope = role_scope(role);
                g_autoptr(GVariant) hangup = unit_get(bus, scope, "Scope", "SendSIGHUP");
                assert_true(g_variant_get_boolean(hangup));
                Screen *screen = screen_open(bus, role, NULL);
                screen_expect(screen, "# ");
                screen_free(screen);
                /* bash forgets a SIGHUP that arrives between its prompt and its wait, until the next key. */
                pid_t pid = role_pid(bus, role);
                WAIT_UNTIL(process_in_syscall(pid, SYS_pselect6));
                stop_takes_no_time(bus, role);
                expect_exited(bus, role, "killed", SIGHUP, "stop");
                assert_poll(bus, role, "exit -1");
        }
}

static void test_no_terminal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("pipe");

        start(bus, role, NULL, actor(), "pause", NULL);
        g_autofree char *scope = role_scope(role);
        g_autoptr(GVariant) hangup = unit_get(bus, scope, "Scope", "SendSIGHUP");
        assert_false(g_variant_get_boolean(hangup));
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
}

/* expect(1) handles the signal when it has read something. */
static void test_expect(void **state) {
        Bus *bus = *state;
        static const char *const to[] = { "all", "main" };

        for (size_t i = 0; i < G_N_ELEMENTS(to); i++) {
                const char *role = role_name(to[i]);
                g_autoptr(Fifo) fifo = fifo_new(to[i]);
                g_autofree char *ready =
                        g_strdup_printf("set f [open %s w]; puts $f ready; close $f", fifo_path(fifo));

                start(bus, role, OPTIONS(NEVER "'stop-to': <%s>}", to[i]), "expect", NULL);
                send_input(bus, role, ready);
                fifo_expect(fifo, "ready");
                stop_takes_no_time(bus, role);
                /* Its own handler has ended it. */
                expect_exited(bus, role, "exited", 128 + SIGTERM, "stop");
        }
}

static void assert_no_input(Bus *bus, const char *role) {
        static const guint8 byte = 'x';
        g_autoptr(GVariant) data =
                g_variant_ref_sink(g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, &byte, 1, 1));
        static const char text[] = "because the role is being stopped";

        node_call_fails(bus, "SendInput", g_variant_new("(ss)", role, "x"), "NoInput", role, text, NULL);
        node_call_fails(bus, "WriteInput", g_variant_new("(s@ay)", role, data), "NoInput", role, text, NULL);
        node_call_fails(bus, "CloseInput", g_variant_new("(s)", role), "NoInput", role, text, NULL);
}

/* It takes its time to end, and hears of the end of its input meanwhile, whoever restarts. */
static void test_refused(void **state) {
        Bus *bus = *state;
        const char *role = role_name("slow");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *much = g_strnfill(1024 * 1024, 'x');
        guint32 written, stopped;

        start(bus, role, OPTIONS(NEVER "'nice': <0>}"), actor(), "tell-on", "TERM", fifo_path(fifo), "heard",
                "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        written = send_write_input(bus, role, much, strlen(much)); /* more than the pipe takes */
        assert_poll(bus, role, "running");
        stopped = node_send(bus, "Stop", g_variant_new("(s)", role));
        fifo_expect_pid(fifo, "heard");
        bus_failure(bus, written, "NoInput", role, "because the role is being stopped", NULL);
        assert_no_input(bus, role);
        node_crash(bus);
        node_sync(bus);
        assert_no_input(bus, role);
        keeper_crash_and_wait(bus);
        assert_no_input(bus, role);
        assert_state(bus, role, "stopping");
        kill_role(bus, role);
        assert_true(bus_has_reply(bus, stopped)); /* of the crash */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_shell),
                TEST(test_no_terminal),
                TEST(test_expect),
                TEST(test_refused),
        };
        return run_case("stop-input", tests);
}
