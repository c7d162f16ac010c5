/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * type=notify and the watchdog: what a role sends by sd_notify(3) is received in its order, from whom it may
 * come, and whatever happens to the services meanwhile. The packages are mosquitto, openssh-server,
 * postgresql, redis-server and xvfb. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

#define STORED_EACH 4 /* pidfd, standard input, and two for notifications */
#define NOTIFY "{'type': <'notify'>}"

static bool is_ready(Bus *bus, const char *role) {
        g_autoptr(GVariant) value = role_get(bus, role, "Ready");

        return g_variant_get_boolean(value);
}

static bool status_is(Bus *bus, const char *role, const char *text) {
        g_autofree char *status = role_get_string(bus, role, "StatusText");

        return g_str_equal(status, text);
}

/* A role that says "up" and becomes ready when its input ends. */
static guint32 begin(Bus *bus, const char *role, GVariant *options, Fifo *fifo) {
        guint32 serial = node_send(bus, "Start",
                start_args(role, options, actor(), "notify", "STATUS=warming up", "say", fifo_path(fifo),
                        "up", "read-eof", "notify", "STATUS=ready|READY=1|ERRNO=5", "say", fifo_path(fifo),
                        "sent", "pause", NULL));

        fifo_expect_pid(fifo, "up");
        return serial;
}

static void test_ready(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 serial = begin(bus, role, OPTIONS(NOTIFY), fifo);

        WAIT_UNTIL(status_is(bus, role, "warming up"));
        bus_wait(bus, "RoleStarted", role);
        assert_state(bus, role, "running");
        assert_false(is_ready(bus, role));
        assert_false(bus_has_reply(bus, serial));
        /* What has happened, and nothing else. */
        g_autoptr(GVariant) started = role_get(bus, role, "StartTimes");
        assert_int_equal(g_variant_n_children(started), 4);
        const guint64 until = (guint64) g_get_monotonic_time();
        close_input(bus, role);
        bus_result(bus, serial);
        assert_true(is_ready(bus, role));
        assert_in_range(role_start_usec(bus, role, "ready"),
                until - role_get_u64(bus, role, "StartTimestampMonotonic"),
                (guint64) g_get_monotonic_time() - role_get_u64(bus, role, "StartTimestampMonotonic"));
        g_autoptr(GVariant) ready = role_get(bus, role, "StartTimes");
        assert_int_equal(g_variant_n_children(ready), 5);
        node_restart(bus);
        g_autoptr(GVariant) later = role_get(bus, role, "StartTimes");
        assert_true(g_variant_equal(ready, later));
        assert_true(status_is(bus, role, "ready"));
        WAIT_UNTIL(role_get_i32(bus, role, "StatusErrno") == 5);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_false(is_ready(bus, role));
        assert_true(status_is(bus, role, "ready"));

        /* The next run begins anew. */
        start(bus, role, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        assert_true(status_is(bus, role, ""));
}

static void test_fails(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Census before = census_before(bus);

        start_fails(bus,
                start_args(role, OPTIONS("{'type': <'notify'>, 'remove': <true>}"), actor(), "notify",
                        "STATUS=x", "exit", "3", NULL),
                "StartFailed", role, "ended before it was ready", "exit 3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        /* A silent one, which also leaves a process that does not want to go. */
        start_fails(bus,
                start_args(role,
                        OPTIONS("{'type': <'notify'>, 'remove': <true>, 'timeout-start-usec': <@t 300000>,"
                                " 'stop-timeout-usec': <@t 200000>}"),
                        actor(), "daemon{", "ignore", "TERM", "pause", "}", "pause", NULL),
                "StartTimedOut", role, "300 ms", NULL);
        expect_exited(bus, role, "killed", SIGTERM, "timeout");
        assert_state(bus, role, "none");
        assert_census(bus, &before);

        /* One that asks for more time gets it. */
        start(bus, role, OPTIONS("{'type': <'notify'>, 'timeout-start-usec': <@t 500000>}"), actor(),
                "notify", "EXTEND_TIMEOUT_USEC=60000000", "burn", "800", "notify", "READY=1", "pause", NULL);
}

/* Of a user, from a child, from another role, and from nobody's process. */
static void test_senders(void **state) {
        Bus *bus = *state;
        const char *main_only = role_name("main"), *all = role_name("all"), *other = role_name("other");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *since = journal_from_now(), *said = NULL, *environment = NULL, *path = NULL;
        guint32 serial;

        start(bus, role_name("alice"), OPTIONS("{'type': <'notify'>, 'user': <'alice'>}"), actor(), "notify",
                "READY=1", "pause", NULL);

        serial = node_send(bus, "Start",
                start_args(main_only, OPTIONS(NOTIFY), actor(), "fork{", "notify", "READY=1", "}", "fork{",
                        "notify", "READY=1|STATUS=child", "}", "say", fifo_path(fifo), "up", "read-eof",
                        "notify", "READY=1", "pause", NULL));
        pid_t pid = fifo_expect_pid(fifo, "up");
        /* Others send to its socket, as they may if they know its name. */
        environment = g_strdup_printf("/proc/%d/environ", (int) pid);
        g_autofree char *variables = NULL;
        gsize size = 0;
        assert_true(g_file_get_contents(environment, &variables, &size, NULL));
        for (char *p = variables; p < variables + size; p += strlen(p) + 1)
                if (g_str_has_prefix(p, "NOTIFY_SOCKET="))
                        path = g_strdup(p);
        assert_non_null(path);
        assert_int_equal(run(NULL, NULL, "env", path, actor(), "notify", "READY=1", NULL), 0);
        assert_int_equal(run_as("alice", NULL, NULL, "env", path, actor(), "notify", "READY=1", NULL), 0);
        start(bus, other, NULL, "env", path, actor(), "notify", "READY=1", "say", fifo_path(fifo), "other",
                "pause", NULL);
        fifo_expect_pid(fifo, "other");
        node_sync(bus);
        assert_false(bus_has_reply(bus, serial));
        assert_true(status_is(bus, main_only, ""));
        close_input(bus, main_only);
        bus_result(bus, serial);
        said = journal(since, "-u", KEEPER_UNIT, "-g", "Refusing notifications", NULL);
        g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
        assert_int_equal(g_strv_length(lines), 2); /* one, and what follows its end */
        assert_contains(said, main_only);

        /* systemd-notify is a child of the script, and ends at once; its barrier makes that certain. */
        start(bus, all, OPTIONS("{'type': <'notify'>, 'notify-access': <'all'>}"), "sh", "-c",
                "systemd-notify --ready --status='by a script'; exec sleep 600", NULL);
        assert_true(is_ready(bus, all));
        assert_true(status_is(bus, all, "by a script"));
}

/* Its socket is as good for a role that needs no READY=1, and MAINPID is refused. */
static void test_exec(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *since = journal_from_now(), *said = NULL;

        start(bus, role, OPTIONS("{'notify-access': <'main'>}"), actor(), "notify",
                "READY=1|MAINPID=1|RELOADING=1|STATUS=here", "pause", NULL);
        assert_true(is_ready(bus, role));
        WAIT_UNTIL(status_is(bus, role, "here"));
        said = journal(since, "-u", NODE_UNIT, NULL);
        assert_contains(said, "Refusing MAINPID=1");
        assert_contains(said, "reloading");
}

/* A start script that ends names what it has left as the main process. */
static void test_main_pid(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        start(bus, role, OPTIONS("{'type': <'notify'>, 'exit-type': <'cgroup'>, 'notify-access': <'all'>}"),
                "/bin/sh", "-c", "sleep 1000 & systemd-notify --ready --pid=$!; exit 3", NULL);
        pid_t pid = role_find_process(bus, role, "sleep");
        WAIT_UNTIL(role_get_u32(bus, role, "MainPID") == (guint32) pid);
        node_restart(bus);
        assert_int_equal(role_get_u32(bus, role, "MainPID"), pid);
        send_signal(bus, role, "main", SIGTERM);
        expect_exited(bus, role, "exited", 3, "self"); /* the status is that of the command */
}

/* -- the services -- */

/* READY, STATUS and WATCHDOG while the node does not run for 5 s. */
static void test_node_away(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *go = g_strdup(scratch("go"));
        guint32 serial;

        assert_int_equal(mkfifo(go, 0666), 0);
        g_autofree char *script = g_strdup_printf(
                "read line <%s; exec %s notify 'STATUS=one' notify 'STATUS=two|READY=1' say %s sent ping 200 600",
                go, actor(), fifo_path(fifo));
        serial = node_send(bus, "Start",
                start_args(role, OPTIONS("{'type': <'notify'>, 'watchdog-usec': <@t 1000000>}"), "sh", "-c",
                        script, NULL));
        bus_wait(bus, "RoleStarted", role);
        pid_t pid = role_pid(bus, role);

        pid_t node = node_pid(bus);
        assert_int_equal(kill(node, SIGSTOP), 0);
        WAIT_UNTIL(process_state(node) == 'T');
        int fd = open(go, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "go\n", 3), 3);
        close(fd);
        fifo_expect_pid(fifo, "sent");
        g_usleep(5 * G_USEC_PER_SEC); /* longer than its watchdog */
        assert_int_equal(kill(node, SIGCONT), 0);

        bus_result(bus, serial);
        assert_true(is_ready(bus, role));
        assert_true(status_is(bus, role, "two"));
        /* Its watchdog has not expired, as the keeper was asked. */
        assert_state(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        kill_role(bus, role);
        expect_exited(bus, role, "killed", SIGKILL, "kill");
}

static void reload(Bus *bus) {
        assert_int_equal(keeper_reload(), 0);
}

/* Either service dies or is replaced between the exec and READY=1, and once more after it. */
static void test_crashes(void **state) {
        static const struct {
                const char *name;
                void (*crash)(Bus *bus);
                bool caller_waits;
        } crashes[] = {
                { "node", node_crash, false },
                { "restart", node_restart, false },
                { "keeper", keeper_crash_and_wait, true },
                { "reload", reload, true },
                { "both", keeper_and_node_crash, false },
        };
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(crashes); i++) {
                const char *role = role_name(crashes[i].name);
                g_autoptr(Fifo) fifo = fifo_new(crashes[i].name);
                keeper_wait_stored(bus, 0);
                guint32 serial = begin(bus, role, OPTIONS(NOTIFY), fifo);
                pid_t pid = role_pid(bus, role);

                WAIT_UNTIL(status_is(bus, role, "warming up"));
                keeper_wait_stored(bus, 1 + STORED_EACH);
                crashes[i].crash(bus);
                if (!crashes[i].caller_waits)
                        assert_non_null(bus_wait_reply(bus, serial)->error);
                assert_state(bus, role, "running");
                assert_int_equal(role_pid(bus, role), pid);
                assert_false(is_ready(bus, role));
                assert_true(status_is(bus, role, "warming up"));
                close_input(bus, role);
                fifo_expect_pid(fifo, "sent");
                if (crashes[i].caller_waits)
                        bus_result(bus, serial);
                WAIT_UNTIL(is_ready(bus, role));
                WAIT_UNTIL(status_is(bus, role, "ready"));
                crashes[i].crash(bus);
                assert_true(is_ready(bus, role));
                assert_true(status_is(bus, role, "ready"));
                assert_int_equal(bus_count(bus, "RoleStarted", role), 1);
                stop(bus, role);
                wait_exited(bus, role);
        }
}

/* -- the watchdog -- */

static void test_watchdog(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *deaf = role_name("deaf"), *soft = role_name("soft");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *since = journal_from_now(), *said = NULL;
        gint64 silent;
        Exited exited;

        start(bus, role, OPTIONS("{'type': <'notify'>, 'watchdog-usec': <@t 500000>}"), actor(), "notify",
                "READY=1", "ping", "100", "12", "say", fifo_path(fifo), "silent", "pause", NULL);
        fifo_expect_pid(fifo, "silent");
        silent = g_get_monotonic_time();
        assert_state(bus, role, "running");
        exited = expect_exited(bus, role, "killed", SIGABRT, "watchdog");
        assert_in_range((guint64) (exited.event->usec - silent), 300000, 5000000);
        said = journal(since, "-u", NODE_UNIT, NULL);
        assert_contains(said, "Watchdog timeout");

        /* One that does not act on the signal is killed, with all that it has. */
        start(bus, deaf,
                OPTIONS("{'watchdog-usec': <@t 200000>, 'watchdog-signal': <15>, 'stop-timeout-usec': <@t 300000>}"),
                actor(), "ignore", "TERM", "fork{", "pause", "}", "pause", NULL);
        expect_exited(bus, deaf, "killed", SIGKILL, "watchdog");
        /* A signal of its own choice, which it handles. */
        start(bus, soft, OPTIONS("{'watchdog-usec': <@t 200000>, 'watchdog-signal': <10>}"), actor(),
                "exit-on", "USR1", "7", "pause", NULL);
        expect_exited(bus, soft, "exited", 7, "watchdog");
        start(bus, soft, OPTIONS("{'watchdog-usec': <@t 60000000>}"), actor(), "notify", "WATCHDOG=trigger",
                "pause", NULL);
        expect_exited(bus, soft, "killed", SIGABRT, "watchdog");
}

/* Its policy starts it again, and so does a start that has timed out; Start has failed all the same. */
static void test_restart(void **state) {
        Bus *bus = *state;
        const char *silent = role_name("silent"), *late = role_name("late");

        start(bus, silent,
                OPTIONS("{'watchdog-usec': <@t 300000>, 'restart': <'on-watchdog'>, 'restart-usec': <@t 100000>}"),
                actor(), "pause", NULL);
        bus_wait(bus, "RoleStarted", silent);
        expect_exited(bus, silent, "killed", SIGABRT, "watchdog");
        bus_wait(bus, "RoleStarted", silent);
        kill_role(bus, silent);

        start_fails(bus,
                start_args(late,
                        OPTIONS("{'type': <'notify'>, 'timeout-start-usec': <@t 300000>,"
                                " 'restart': <'on-failure'>, 'restart-usec': <@t 100000>}"),
                        actor(), "pause", NULL),
                "StartTimedOut", NULL);
        bus_wait(bus, "RoleStarted", late);
        expect_exited(bus, late, "killed", SIGTERM, "timeout");
        bus_wait(bus, "RoleStarted", late);
        stop(bus, late);
}

/* The deadline is the one of before when either service has died in the middle. */
static void test_watchdog_crashes(void **state) {
        static void (*const crashes[])(
                Bus * bus) = { node_crash, keeper_crash_and_wait, keeper_and_node_crash };
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(crashes); i++) {
                const char *lives = role_name_n("lives", (guint) i),
                           *silent = role_name_n("silent", (guint) i);
                g_autofree char *name = g_strdup_printf("fifo%zu", i);
                g_autoptr(Fifo) fifo = fifo_new(name);
                gint64 began;
                Exited exited;

                keeper_wait_stored(bus, 0);
                start(bus, lives, OPTIONS("{'watchdog-usec': <@t 2000000>}"), actor(), "ping", "200", "1000",
                        NULL);
                start(bus, silent, OPTIONS("{'watchdog-usec': <@t 4000000>}"), actor(), "ping", "1", "1",
                        "say", fifo_path(fifo), "silent", "pause", NULL);
                fifo_expect_pid(fifo, "silent");
                began = g_get_monotonic_time();
                keeper_wait_stored(bus, 1 + 2 * STORED_EACH);
                crashes[i](bus);
                exited = wait_exited(bus, silent);
                assert_string_equal(exited.cause, "watchdog");
                assert_in_range((guint64) (exited.event->usec - began), 3800000, 9000000);
                assert_state(bus, lives, "running");
                kill_role(bus, lives);
                wait_exited(bus, lives);
        }
}

/* -- programs -- */

static void expect_program(Bus *bus, const char *role, GVariant *args) {
        bus_result(bus, node_send(bus, "Start", args));
        assert_true(is_ready(bus, role));
        stop(bus, role);
        wait_exited(bus, role);
}

/* It does not run as root, and wants a database. */
static void run_postgres(Bus *bus) {
        const char *role = role_name("postgres"), *data = scratch("postgres");
        g_autofree char *bin = run_ok("sh", "-c", "ls -d /usr/lib/postgresql/*/bin | tail -n 1", NULL);
        g_strstrip(bin);
        g_autofree char *initdb = g_build_filename(bin, "initdb", NULL),
                        *postgres = g_build_filename(bin, "postgres", NULL);

        g_free(run_ok("install", "-d", "-o", "alice", data, NULL));
        assert_int_equal(run_as("alice", NULL, NULL, initdb, "-D", data, "--no-sync", NULL), 0);
        expect_program(bus, role,
                start_args(role, OPTIONS("{'type': <'notify'>, 'user': <'alice'>}"), postgres, "-D", data,
                        "-p", "8128", "-k", data, NULL));
}

static void test_programs(void **state) {
        Bus *bus = *state;
        const char *role = role_name("mosquitto");
        g_autofree char *key = g_strdup(scratch("key"));
        Census before = census_before(bus);

        expect_program(bus, role, start_args(role, OPTIONS(NOTIFY), "mosquitto", "-p", "8125", NULL));

        role = role_name("xvfb");
        expect_program(bus, role, start_args(role, OPTIONS(NOTIFY), "Xvfb", ":77", "-nolisten", "tcp", NULL));

        role = role_name("sshd");
        assert_true(g_mkdir_with_parents("/run/sshd", 0755) == 0);
        g_free(run_ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, NULL));
        expect_program(bus, role,
                start_args(role, OPTIONS(NOTIFY), "/usr/sbin/sshd", "-D", "-p", "8126", "-h", key, "-o",
                        "PidFile=none", NULL));

        run_postgres(bus);

        role = role_name("redis");
        expect_program(bus, role,
                start_args(role, OPTIONS(NOTIFY), "redis-server", "--supervised", "systemd", "--port", "8129",
                        "--save", "", NULL));

        /* The same without the option, and one that knows nothing of it, are silent. Nothing is left of them.
         */
        role = role_name("silent-redis");
        start_fails(bus,
                start_args(role,
                        OPTIONS("{'type': <'notify'>, 'timeout-start-usec': <@t 1000000>, 'remove': <true>}"),
                        "redis-server", "--port", "8129", "--save", "", NULL),
                "StartTimedOut", role, NULL);
        role = role_name("silent");
        start_fails(bus,
                start_args(role,
                        OPTIONS("{'type': <'notify'>, 'timeout-start-usec': <@t 1000000>, 'remove': <true>}"),
                        "python3", "-m", "http.server", "8127", NULL),
                "StartTimedOut", role, NULL);
        g_variant_unref(node_call(bus, "Purge", g_variant_new("(^as)", (const char *[]){ NULL })));
        assert_census(bus, &before);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_ready),
                TEST(test_fails),
                TEST(test_senders),
                TEST(test_exec),
                TEST(test_main_pid),
                TEST(test_node_away),
                TEST(test_crashes),
                TEST(test_watchdog),
                TEST(test_restart),
                TEST(test_watchdog_crashes),
                TEST(test_programs),
        };

        return run_case("notify", tests);
}
