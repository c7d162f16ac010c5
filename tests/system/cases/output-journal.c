/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * journalctl -u SCOPE and journalctl -t ROLE show the output of a role, including standard error, in order. A
 * restart and a SIGKILL of journald neither kill nor block the role, and lose no line. */

#include "testlib.h"

static void say_line(Bus *bus, const char *role, Fifo *fifo, const char *line) {
        send_input(bus, role, line);
        fifo_expect_pid(fifo, "echo"); /* it has been written */
}

static void check_journal(const char *since, const char *role, const char *const *lines) {
        g_autofree char *scope = role_scope(role), *by_unit = journal(since, "-u", scope, NULL);
        g_autofree char *by_role = journal(since, "-t", role, NULL);
        const char *at_unit = by_unit, *at_role = by_role;

        for (; *lines; lines++) {
                g_autofree char *whole = g_strconcat(*lines, "\n", NULL);

                /* Each one, in this order. */
                at_unit = strstr(at_unit, whole);
                if (!at_unit)
                        fail_msg("journalctl -u %s lacks '%s': %s", scope, *lines, by_unit);
                at_unit += strlen(whole);
                at_role = strstr(at_role, whole);
                if (!at_role)
                        fail_msg("journalctl -t %s lacks '%s': %s", role, *lines, by_role);
                at_role += strlen(whole);
        }
}

static void test_lines(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        const char *const lines[] = { "first line", "second line, to standard error", "third: grüße", NULL };
        g_autofree char *since = journal_from_now(), *scope = role_scope(role), *by_invocation = NULL;
        g_autoptr(GString) field = g_string_new("_SYSTEMD_INVOCATION_ID=");
        g_autoptr(GVariant) id = NULL;

        start(bus, role, NULL, actor(), "echo", fifo_path(fifo), NULL);
        say_line(bus, role, fifo, lines[0]);
        say_line(bus, role, fifo, "!second line, to standard error");
        say_line(bus, role, fifo, lines[2]);
        check_journal(since, role, lines);

        /* One run of it, as for any unit. */
        id = unit_get(bus, scope, "Unit", "InvocationID");
        for (gsize i = 0; i < g_variant_n_children(id); i++) {
                guint8 byte;

                g_variant_get_child(id, i, "y", &byte);
                g_string_append_printf(field, "%02x", byte);
        }
        by_invocation = journal(field->str, "_TRANSPORT=stdout", NULL);
        assert_string_equal(by_invocation, "first line\nsecond line, to standard error\nthird: grüße\n");
}

static void test_journald_goes(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        const char *const lines[] = { "before", "after a restart", "after SIGKILL", "after both", NULL };
        g_autofree char *since = journal_from_now();
        pid_t pid, journald;
        int pidfd;

        start(bus, role, NULL, actor(), "echo", fifo_path(fifo), NULL);
        pid = role_pid(bus, role);
        say_line(bus, role, fifo, "before");

        /* Repeated runs of this test on one machine must not make the unit fail by its start limit. */
        g_free(run_ok("systemctl", "reset-failed", "systemd-journald.service", NULL));
        systemctl("restart", "systemd-journald.service");
        say_line(bus, role, fifo, "after a restart");
        g_free(journal("-t", role,
                NULL)); /* synced, because a killed journald loses what it has read but not written */

        journald = unit_main_pid(bus, "systemd-journald.service");
        pidfd = process_open(journald);
        assert_int_equal(kill(journald, SIGKILL), 0);
        process_wait_dead(pidfd);
        /* No journald reads it yet. */
        say_line(bus, role, fifo, "after SIGKILL");

        /* The next journald takes over; journalctl --sync waits for it. */
        WAIT_UNTIL(service_is_another(bus, "systemd-journald.service", journald));
        say_line(bus, role, fifo, "after both");
        check_journal(since, role, lines);

        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(bus_count(bus, "RoleExited", role), 0);

        /* The next role is connected to the journal, too. */
        {
                const char *next = role_name("c");
                const char *const next_lines[] = { "of the next one", NULL };

                start(bus, next, NULL, actor(), "echo", fifo_path(fifo), NULL);
                say_line(bus, next, fifo, "of the next one");
                check_journal(since, next, next_lines);
        }
}

/* While journald hangs, roles start, run, stop and are reported. */
static void test_journald_hangs(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t journald = unit_main_pid(bus, "systemd-journald.service");

        start(bus, role, NULL, actor(), "echo", fifo_path(fifo), NULL);
        assert_int_equal(kill(journald, SIGSTOP), 0);
        say_line(bus, role, fifo, "into the void");
        for (int i = 0; i < 50; i++)
                assert_poll(bus, role, "running");
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_int_equal(kill(journald, SIGCONT), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_lines),
                TEST(test_journald_goes),
                TEST(test_journald_hangs),
        };
        return run_case("output-journal", tests);
}
