/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Start scripts and daemons that put their program into the background. By default the role ends with its
 * main process; the journal and RoleExited then name what it has left, before that is swept. With
 * exit-type=cgroup the role runs until the last process has ended, with the exact status of its main process,
 * whoever restarts or dies meanwhile. The packages are screen, tmux, nginx-light and mosquitto. */

#include <unistd.h>

#include "../../../src/model/message-ids.h"
#include "keeper.h"
#include "testlib.h"

/* A shell waits until its child has the name by which it is told. */
#define IS_SLEEP "until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; done"
#define CGROUP "{'exit-type': <'cgroup'>}"

/* Returns whether RoleExited names a process of this name. */
static bool names_left(GVariant *details, const char *name) {
        g_autoptr(GVariant) left = g_variant_lookup_value(details, "left", G_VARIANT_TYPE("a(us)"));
        GVariantIter iter;
        const char *found;
        guint32 pid;

        if (!left)
                return false;
        assert_between(g_variant_n_children(left), 1, 16);
        g_variant_iter_init(&iter, left);
        while (g_variant_iter_next(&iter, "(u&s)", &pid, &found))
                if (pid > 1 && g_str_equal(found, name))
                        return true;
        return false;
}

static char *notices(const char *since, const char *role) {
        g_autofree char *match = g_strconcat("ARCHITECT_ROLE=", role, NULL);

        return journal(since, "MESSAGE_ID=" MESSAGE_ROLE_LEFT_PROCESSES, match, NULL);
}

/* Starts it, and returns when the main process has ended and the rest was swept. */
static void leaves(Bus *bus, const char *suffix, const char *name, const char *const *command) {
        const char *role = role_name(suffix);
        g_autofree char *since = journal_from_now(), *said = NULL, *expected = NULL;

        bus_result(bus, node_send(bus, "Start", start_args_v(role, OPTIONS("{'stdin': <'null'>}"), command)));
        Exited exited = expect_exited(bus, role, "exited", 0, "self");
        if (!names_left(exited.details, name)) {
                g_autofree char *details = g_variant_print(exited.details, false);
                fail_msg("%s is not named: %s", name, details);
        }
        stop(bus, role); /* waits for the sweep */
        said = notices(since, role);
        expected = g_strconcat("Stopping what its main process has left: ", NULL);
        assert_contains(said, expected);
        assert_contains(said, name);
        assert_contains(said, "exit-type=cgroup");
        purge(bus, role);
}

#define LEAVES(bus, suffix, name, ...) leaves(bus, suffix, name, (const char *const[]){ __VA_ARGS__, NULL })

static const char *nginx_configuration(void) {
        const char *path = scratch("nginx.conf");
        g_autofree char *text = g_strdup_printf(
                "pid %s;\nerror_log /dev/null;\nevents {}\nhttp { access_log off; server { listen 127.0.0.1:8123; } }\n",
                scratch("nginx.pid"));

        assert_true(g_file_set_contents(path, text, -1, NULL));
        return path;
}

static void test_left(void **state) {
        Bus *bus = *state;
        Census before = census_before(bus);

        LEAVES(bus, "script", "sleep", "sh", "-c", "sleep 600 >/dev/null 2>&1 & " IS_SLEEP);
        LEAVES(bus, "nohup", "sleep", "sh", "-c",
                "nohup sleep 600 >/dev/null 2>&1 & echo $! >\"$0\"; " IS_SLEEP, scratch("pid"));
        LEAVES(bus, "screen", "screen", "screen", "-dmS", "left", "sleep", "600");
        LEAVES(bus, "tmux", "tmux: server", "tmux", "-L", "left", "new-session", "-d", "sleep 600");
        LEAVES(bus, "nginx", "nginx", "nginx", "-c", nginx_configuration());
        LEAVES(bus, "mosquitto", "mosquitto", "mosquitto", "-d", "-p", "8124");
        assert_census(bus, &before);
}

/* A main process that is killed says nothing about how to start it; a stop leaves nothing that is told. */
static void test_not_by_itself(void **state) {
        Bus *bus = *state;
        const char *killed = role_name("killed"), *stopped = role_name("stopped"),
                   *clean = role_name("clean");
        g_autofree char *since = journal_from_now(), *said = NULL, *of_stopped = NULL, *of_clean = NULL;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        Exited exited;

        start(bus, killed, NULL, actor(), "daemon{", "say", fifo_path(fifo), "up", "pause", "}", "pause",
                NULL);
        fifo_expect_pid(fifo, "up");
        assert_int_equal(kill(role_pid(bus, killed), SIGSEGV), 0);
        exited = expect_exited(bus, killed, "killed", SIGSEGV, "self");
        assert_true(names_left(exited.details, "actor"));
        said = notices(since, killed);
        assert_contains(said, "actor (pid ");
        assert_contains_not(said, "exit-type");

        start(bus, stopped, OPTIONS("{'stop-to': <'main'>}"), actor(), "daemon{", "say", fifo_path(fifo),
                "up", "pause", "}", "pause", NULL);
        fifo_expect_pid(fifo, "up");
        stop(bus, stopped);
        exited = expect_exited(bus, stopped, "killed", SIGTERM, "stop");
        assert_false(detail_has(exited.details, "left"));
        start(bus, clean, NULL, actor(), "exit", "0", NULL);
        exited = expect_exited(bus, clean, "exited", 0, "self");
        assert_false(detail_has(exited.details, "left"));
        of_stopped = notices(since, stopped);
        of_clean = notices(since, clean);
        assert_contains_not(of_stopped, "left");
        assert_contains_not(of_clean, "left");
}

/* At most 16 are named. */
static void test_many_left(void **state) {
        Bus *bus = *state;
        const char *role = role_name("many");

        start(bus, role, OPTIONS("{'stdin': <'null'>}"), "sh", "-c",
                "i=0; while [ $i -lt 40 ]; do sleep 600 & i=$((i+1)); done", NULL);
        Exited exited = expect_exited(bus, role, "exited", 0, "self");
        g_autoptr(GVariant) left = g_variant_lookup_value(exited.details, "left", G_VARIANT_TYPE("a(us)"));
        assert_int_equal(g_variant_n_children(left), 16);
        stop(bus, role);
}

/* -- exit-type=cgroup -- */

/* The main process exits with 3 and leaves a reader of its standard input. Returns the pid of that. */
static pid_t start_outlived(Bus *bus, const char *role, bool to_main, Fifo *fifo) {
        g_autofree char *command =
                g_strdup_printf("exec 3<&0; exec %s echo %s <&3 & exit 3", actor(), fifo_path(fifo));
        pid_t pid = 0;

        start(bus, role, OPTIONS("{'exit-type': <'cgroup'>, 'stop-to': <%s>}", to_main ? "main" : "all"),
                "sh", "-c", command, NULL);
        WAIT_UNTIL(role_get_u32(bus, role, "MainPID") == 0);
        assert_state(bus, role, "running");
        assert_poll(bus, role, "running");
        WAIT_UNTIL((pid = role_find_process(bus, role, "actor")) > 0);
        return pid;
}

static void assert_outlived(Bus *bus, const char *role, pid_t pid, Fifo *fifo) {
        g_autofree char *path = role_path(role), *code = NULL;
        g_autoptr(GVariant) found = node_call(bus, "GetRoleByPID", g_variant_new("(u)", (guint32) pid));
        const char *of_pid;

        assert_poll(bus, role, "running");
        assert_state(bus, role, "running");
        assert_int_equal(role_get_u32(bus, role, "MainPID"), 0);
        assert_int_equal(role_get_u64(bus, role, "ExitTimestamp"), 0);
        code = role_get_string(bus, role, "ExitCode");
        assert_string_equal(code, "");
        g_variant_get(found, "(&o)", &of_pid);
        assert_string_equal(of_pid, path);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "main", SIGUSR1), "RoleNotRunning", role,
                "main process", NULL);
        node_call_fails(bus, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }), "RoleRunning",
                role, NULL);
        send_input(bus, role, "still there?");
        assert_int_equal(fifo_expect_pid(fifo, "echo"), pid);
}

static void nothing(Bus *bus) {
}

static void reload_keeper(Bus *bus) {
        assert_int_equal(keeper_reload(), 0);
}

/* Restarts and deaths while it runs without its main process change nothing. */
static void test_outlived(void **state) {
        Bus *bus = *state;
        void (*const meanwhile[])(Bus * bus) = { nothing, node_restart, node_crash, reload_keeper,
                keeper_crash_and_wait, keeper_and_node_crash };

        for (size_t i = 0; i < G_N_ELEMENTS(meanwhile); i++) {
                const char *role = role_name_n("outlived", (guint) i);
                g_autofree char *name = g_strdup_printf("fifo%zu", i);
                g_autoptr(Fifo) fifo = fifo_new(name);
                pid_t pid = start_outlived(bus, role, false, fifo);
                gint64 left = g_get_real_time();

                /* Its state, and of the child pidfd and standard input. */
                keeper_wait_stored(bus, 1 + 2);
                meanwhile[i](bus);
                assert_outlived(bus, role, pid, fifo);
                assert_int_equal(bus_count(bus, "RoleExited", role), 0);
                close_input(bus, role); /* the last process reads end-of-file */
                Exited exited = expect_exited(bus, role, "exited", 3, "self");
                assert_false(detail_has(exited.details, "left"));
                /* The time of the main process, which has ended before. */
                assert_true(detail_u64(exited.details, "exit-realtime-usec") <= (guint64) left);
                assert_true(detail_has(exited.details, "cpu-usec"));
                assert_poll(bus, role, "exit 3");
                purge(bus, role);
        }
}

/* The main process ends while nobody looks. */
static void test_outlived_unseen(void **state) {
        Bus *bus = *state;
        const char *role = role_name("unseen");
        g_autoptr(Fifo) fifo = fifo_new("fifo"), other = fifo_new("other");
        pid_t main_pid, left, node = node_pid(bus);

        start(bus, role, OPTIONS(CGROUP), actor(), "exit-on", "USR1", "9", "daemon{", "say", fifo_path(other),
                "up", "pause", "}", "say", fifo_path(fifo), "main", "pause", NULL);
        left = fifo_expect_pid(other, "up");
        main_pid = fifo_expect_pid(fifo, "main");
        assert_int_equal(kill(node, SIGSTOP), 0);
        assert_int_equal(kill(main_pid, SIGUSR1), 0);
        WAIT_UNTIL(process_state(main_pid) == 'Z');
        node_crash(bus);
        WAIT_UNTIL(role_get_u32(bus, role, "MainPID") == 0);
        assert_state(bus, role, "running");
        assert_int_equal(kill(left, SIGKILL), 0);
        expect_exited(bus, role, "exited", 9, "self");
}

/* Stop and Kill reach all that is left. */
static void test_stop_outlived(void **state) {
        Bus *bus = *state;
        Census before = census_before(bus);

        for (guint i = 0; i < 4; i++) {
                const char *role = role_name_n("stop", i);
                g_autofree char *name = g_strdup_printf("fifo%u", i), *cgroup = NULL;
                g_autoptr(Fifo) fifo = fifo_new(name);
                int pid = process_open(start_outlived(bus, role, i >= 2, fifo));

                cgroup = role_cgroup(bus, role);
                if (i % 2)
                        kill_role(bus, role);
                else
                        stop(bus, role);
                assert_true(process_is_dead(pid));
                assert_false(cgroup_is_populated(cgroup));
                expect_exited(bus, role, "exited", 3, i % 2 ? "kill" : "stop");
                purge(bus, role);
                close(pid);
        }
        assert_census(bus, &before);
}

/* A stop under way, in which the main process has ended, goes on with the next node. */
static void test_stop_goes_on(void **state) {
        Bus *bus = *state;
        const char *role = role_name("stopping");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t left;
        int pid;

        start(bus, role, OPTIONS("{'exit-type': <'cgroup'>, 'stop-timeout-usec': <@t 3000000>}"), actor(),
                "daemon{", "tell-on", "TERM", fifo_path(fifo), "heard", "say", fifo_path(fifo), "up", "pause",
                "}", "pause", NULL);
        left = fifo_expect_pid(fifo, "up");
        pid = process_open(left);
        node_send(bus, "Stop", g_variant_new("(s)", role));
        assert_int_equal(fifo_expect_pid(fifo, "heard"), left);
        WAIT_UNTIL(role_get_u32(bus, role, "MainPID") == 0);
        assert_state(bus, role, "stopping");
        node_crash(bus);
        assert_state(bus, role, "stopping");
        assert_int_equal(bus_count(bus, "RoleExited", role), 0);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_true(process_is_dead(pid));
        close(pid);
}

/* Real ones: they run until their last process has ended, or are stopped with all of it. */
static void test_daemons(void **state) {
        Bus *bus = *state;
        const char *nginx = role_name("nginx-cgroup"), *tmux = role_name("tmux-cgroup"),
                   *mosquitto = role_name("mosquitto-cgroup");
        pid_t pid = 0;

        start(bus, nginx, OPTIONS(CGROUP), "nginx", "-c", nginx_configuration(), NULL);
        start(bus, tmux, OPTIONS(CGROUP), "tmux", "-L", "cgroup", "new-session", "-d", "sleep 600", NULL);
        start(bus, mosquitto, OPTIONS(CGROUP), "mosquitto", "-d", "-p", "8124", NULL);
        WAIT_UNTIL(role_get_u32(bus, nginx, "MainPID") == 0);
        WAIT_UNTIL(role_get_u32(bus, tmux, "MainPID") == 0);
        WAIT_UNTIL(role_get_u32(bus, mosquitto, "MainPID") == 0);

        stop(bus, nginx);
        expect_exited(bus, nginx, "exited", 0, "stop");
        WAIT_UNTIL((pid = role_find_process(bus, mosquitto, "mosquitto")) > 0);
        assert_int_equal(kill(pid, SIGTERM), 0);
        expect_exited(bus, mosquitto, "exited", 0, "self");
        g_free(run_ok("tmux", "-L", "cgroup", "kill-server", NULL));
        expect_exited(bus, tmux, "exited", 0, "self");
}

/* A terminal ends with its main process, as the kernel has it. */
static void test_terminal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("pty");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        int pid;

        start(bus, role, OPTIONS("{'exit-type': <'cgroup'>, 'stdin': <'pty'>}"), actor(), "daemon{", "say",
                fifo_path(fifo), "up", "pause", "}", "exit", "4", NULL);
        pid = process_open(fifo_expect_pid(fifo, "up"));
        WAIT_UNTIL(role_get_u32(bus, role, "MainPID") == 0);
        node_call_fails(bus, "SendInput", g_variant_new("(ss)", role, "x"), "NoInput", role, NULL);
        node_call_fails(bus, "OpenTerminal", g_variant_new("(sa{sv})", role, NULL), "RoleNotRunning", role,
                "main process", NULL);
        node_crash(bus);
        node_call_fails(bus, "SendInput", g_variant_new("(ss)", role, "x"), "NoInput", role, NULL);
        assert_state(bus, role, "running");
        stop(bus, role);
        assert_true(process_is_dead(pid));
        close(pid);
        expect_exited(bus, role, "exited", 4, "stop");
}

/* systemd stops its scope. */
static void test_external(void **state) {
        Bus *bus = *state;
        const char *role = role_name("external");
        g_autofree char *scope = role_scope(role);
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        (void) start_outlived(bus, role, false, fifo);
        systemctl("stop", scope);
        expect_exited(bus, role, "exited", 3, "external");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_left),
                TEST(test_not_by_itself),
                TEST(test_many_left),
                TEST(test_outlived),
                TEST(test_outlived_unseen),
                TEST(test_stop_outlived),
                TEST(test_stop_goes_on),
                TEST(test_daemons),
                TEST(test_terminal),
                TEST(test_external),
        };
        return run_case("start-scripts", tests);
}
