/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * In whatever way the service dies, systemd starts it again and everything is unchanged: roles and their
 * standard input, ports, the environment, the monitor, the log level, the numbers of events. */

#include <sys/stat.h>
#include <unistd.h>

#include "replay.h"
#include "testlib.h"

#define STATE "/run/architect-node/main"
#define ROLES 4

/* Returns everything that a client can read about the roles and the service. */
static GVariant *everything(Bus *bus) {
        static const char *const properties[] = { "EventEpoch", "EventSequence", "MonitorTimeoutUSec",
                "MonitorDeadlineUSec", "NRoles", "NRunning", "State", "KeeperConnected", "Slice" };
        g_auto(GVariantBuilder) all = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("av"));

        for (size_t i = 0; i < G_N_ELEMENTS(properties); i++) {
                g_autoptr(GVariant) value = node_get(bus, properties[i]);
                g_variant_builder_add(&all, "v", value);
        }
        for (guint i = 0; i < ROLES; i++) {
                g_autoptr(GVariant) value = role_get_all(bus, role_name_n("r", i));
                g_variant_builder_add(&all, "v", value);
        }
        {
                g_autoptr(GVariant) environment = node_call(bus, "ListEnv", NULL);
                g_autoptr(GVariant) value = node_call(bus, "GetEnv", g_variant_new("(s)", "DIES"));
                g_autoptr(GVariant) level = bus_get(bus, NODE_NAME, "/org/freedesktop/LogControl1",
                        "org.freedesktop.LogControl1", "LogLevel");

                g_autoptr(GVariant) ports = node_call(bus, "ListPorts", NULL);

                g_variant_builder_add(&all, "v", ports);
                g_variant_builder_add(&all, "v", environment);
                g_variant_builder_add(&all, "v", value);
                g_variant_builder_add(&all, "v", level);
        }
        return g_variant_ref_sink(g_variant_builder_end(&all));
}

static void assert_same(GVariant *before, GVariant *after) {
        if (!g_variant_equal(before, after)) {
                g_autofree char *a = g_variant_print(before, false), *b = g_variant_print(after, false);
                fail_msg("was %s\nand is %s", a, b);
        }
}

static void set_up(Bus *bus, Fifo *fifo) {
        start(bus, role_name_n("r", 0), OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo),
                NULL);
        start(bus, role_name_n("r", 1), OPTIONS("{'stdin': <'null'>, 'on-monitor-loss': <'keep'>}"), actor(),
                "pause", NULL);
        start(bus, role_name_n("r", 2), NULL, actor(), "exit", "9", NULL);
        expect_exited(bus, role_name_n("r", 2), "exited", 9, "self");
        stop(bus, role_name_n("r", 2));
        /* Its standard input is kept by another process. */
        start(bus, role_name_n("r", 3), OPTIONS("{'stdin': <'pty'>}"), actor(), "pause", NULL);
        g_variant_unref(node_call(bus, "BindTCP", g_variant_new("(u)", 2)));
        g_variant_unref(node_call(bus, "BindUDP", g_variant_new("(u)", 1)));
        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", "DIES", "a value\nof two lines")));
        g_variant_unref(
                node_call(bus, "SetMonitorTimeout", g_variant_new("(t)", (guint64) 3600 * G_USEC_PER_SEC)));
        g_variant_unref(node_call(bus, "Beat", NULL));
        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "notice")));
        node_sync(bus);
        send_input(bus, role_name_n("r", 0), "before");
        fifo_expect_pid(fifo, "echo");
}

static void check_after(Bus *bus, Fifo *fifo, GVariant *before, const char *how) {
        g_autoptr(GVariant) after = everything(bus);

        print_message("  %s\n", how);
        assert_same(before, after);
        send_input(bus, role_name_n("r", 0), how);
        fifo_expect_pid(fifo, "echo");
}

static void release(Bus *bus, const char *protocol, const char *method) {
        g_autoptr(GVariant) reply = node_call(bus, "ListPorts", NULL);
        g_autoptr(GVariantIter) ports = NULL;
        GVariantBuilder numbers = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aq"));
        const char *its;
        guint16 port;
        guint n = 0;

        g_variant_get(reply, "(a(squs))", &ports);
        while (g_variant_iter_next(ports, "(&squ&s)", &its, &port, NULL, NULL))
                if (strcmp(its, protocol) == 0) {
                        g_variant_builder_add(&numbers, "q", port);
                        n++;
                }
        assert_true(n > 0);
        g_variant_unref(node_call(bus, method, g_variant_new("(aq)", &numbers)));
}

/* Restores the state for the other cases. */
static void tear_down(Bus *bus) {
        release(bus, "tcp", "ReleaseTCP");
        release(bus, "udp", "ReleaseUDP");
        close_input(bus, role_name_n("r", 0));
        expect_exited(bus, role_name_n("r", 0), "exited", 0, "self");
        g_variant_unref(node_call(bus, "SetMonitorTimeout", g_variant_new("(t)", (guint64) 0)));
        g_variant_unref(node_call(bus, "UnsetEnv", g_variant_new("(s)", "DIES")));
        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "info")));
}

static void test_signals(void **state) {
        Bus *bus = *state;
        static const int signals[] = { SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGQUIT, SIGXCPU };
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autoptr(GVariant) before = NULL;
        pid_t keeper = keeper_pid(bus);

        set_up(bus, fifo);
        before = everything(bus);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                /* The sanitizers report these. */
                if (signals[i] != SIGKILL && process_is_sanitized(node_pid(bus)))
                        continue;
                node_crash_by(bus, signals[i]);
                check_after(bus, fifo, before, g_strsignal(signals[i]));
        }
        assert_int_equal(keeper_pid(bus), keeper);
        tear_down(bus);
}

static guint64 watchdog_time(Bus *bus) {
        g_autoptr(GVariant) value = unit_get(bus, NODE_UNIT, "Service", "WatchdogTimestampMonotonic");
        return g_variant_get_uint64(value);
}

/* The service hangs, and systemd ends it. */
static void test_watchdog(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autoptr(GVariant) before = NULL;
        g_autofree char *since = journal_from_now(), *said = NULL;
        pid_t node;

        unit_configure(NODE_UNIT, "[Service]\nWatchdogSec=1s\nTimeoutAbortSec=2s\n");
        node_restart(bus);
        set_up(bus, fifo);
        before = everything(bus);

        /* A service that works notifies systemd in time. */
        node = node_pid(bus);
        for (guint i = 0; i < 3; i++) {
                guint64 last = watchdog_time(bus);
                WAIT_UNTIL(watchdog_time(bus) > last);
        }
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(kill(node, SIGSTOP), 0);
        WAIT_UNTIL(!node_has_name(bus));
        node_wait_name(bus, true);
        assert_int_not_equal(node_pid(bus), node);
        check_after(bus, fifo, before, "the watchdog");
        g_free(said);
        said = journal(since, "-u", NODE_UNIT, NULL);
        assert_contains(said, "Watchdog timeout");

        unit_configure(NODE_UNIT, NULL);
        node_restart(bus);
        check_after(bus, fifo, before, "a restart");
        tear_down(bus);
}

/* A file that cannot be read at the start is renamed with an error, and the service continues without it. An
 * end that was told is known nevertheless. */
static void test_unreadable_state(void **state) {
        Bus *bus = *state;
        const char *ended = role_name_n("r", 2);
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *role = g_strconcat("roles/", ended, NULL),
                        *role_aside = g_strconcat("roles/", ended, "~damaged", NULL),
                        *since = journal_from_now(), *said = NULL;
        const char *files[] = { "log", "monitor", "environment", role },
                   *aside[] = { "log.damaged", "monitor.damaged", "environment.damaged", role_aside };
        pid_t pid;

        set_up(bus, fifo);
        pid = role_pid(bus, role_name_n("r", 0));
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = g_build_filename(STATE, files[i], NULL);

                assert_true(g_file_test(path, G_FILE_TEST_IS_REGULAR));
                assert_true(g_file_set_contents(path, "no words of ours", -1, NULL));
        }
        node_crash(bus);

        assert_int_equal(role_pid(bus, role_name_n("r", 0)), pid);
        send_input(bus, role_name_n("r", 0), "still there?");
        fifo_expect_pid(fifo, "echo");
        assert_poll(bus, ended, "exit 9"); /* as the log of events has it */
        said = journal(since, "-u", NODE_UNIT, "-p", "err", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = g_build_filename(STATE, aside[i], NULL), *text = read_file(path),
                                *name = g_path_get_basename(aside[i]);

                assert_non_null(text);
                assert_string_equal(text, "no words of ours");
                assert_contains(said, name);
                assert_int_equal(unlink(path), 0);
        }
        release(bus, "tcp", "ReleaseTCP");
        release(bus, "udp", "ReleaseUDP");
        close_input(bus, role_name_n("r", 0));
        expect_exited(bus, role_name_n("r", 0), "exited", 0, "self");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_signals),
                TEST(test_watchdog),
                TEST(test_unreadable_state),
        };
        return run_case("node-dies", tests);
}
