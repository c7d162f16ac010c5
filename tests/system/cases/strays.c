/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * PAM (su, sudo -i, runuser -l, login) and systemd-run move a process of a role into a scope that they make
 * for it. Such a role is stopped like every other one, by every verb and after every crash, with its own
 * status, and nothing of it is left. What belongs to others stays. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

#define USER "alice"
#define SLEEP "9001"

typedef struct Command {
        const char *name;
        const char *const *argv;
        const char *options;
        const char *typed; /* on its terminal */
        /* Its main process waits for one that gets the stop signal at the same time. */
        bool any_end;
} Command;

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const Command commands[] = {
        { .name = "su", .argv = ARGV("su", USER, "-c", "exec sleep " SLEEP) },
        { .name = "su-login", .argv = ARGV("su", "-", USER, "-c", "exec sleep " SLEEP) },
        { .name = "su-of-sh",
                .argv = ARGV("sh", "-c", "su " USER " -c 'exec sleep " SLEEP "'; true"),
                .any_end = true },
        { .name = "second-su",
                .argv = ARGV("sh", "-c", "su " USER " -c true; su " USER " -c 'exec sleep " SLEEP "'; true"),
                .any_end = true },
        { .name = "sudo-i", .argv = ARGV("sudo", "-i", "-u", USER, "sleep", SLEEP) },
        { .name = "runuser-l", .argv = ARGV("runuser", "-l", USER, "-c", "exec sleep " SLEEP) },
        { .name = "scope", .argv = ARGV("systemd-run", "--scope", "sleep", SLEEP) },
        { .name = "scope-of-sh",
                .argv = ARGV("sh", "-c", "systemd-run --scope sleep " SLEEP "; true"),
                .any_end = true },
        { .name = "user-scope",
                .argv = ARGV("systemd-run", "--user", "--scope", "sleep", SLEEP),
                .options = "{'user': <'" USER "'>, 'env': <{'XDG_RUNTIME_DIR': '/run/user/UID',"
                           " 'DBUS_SESSION_BUS_ADDRESS': 'unix:path=/run/user/UID/bus'}>}" },
        { .name = "login",
                .argv = ARGV("login", "-f", USER),
                .options = "{'stdin': <'pty'>, 'env': <{'TERM': 'dumb'}>}",
                .typed = "exec sleep " SLEEP,
                .any_end = true },
        { .name = "root-cgroup",
                .argv = ARGV("sh", "-c", "echo $$ >/sys/fs/cgroup/cgroup.procs; exec sleep " SLEEP) },
};

static bool process_is_sleep(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int) pid), *text = NULL;
        gsize size;

        return g_file_get_contents(path, &text, &size, NULL) && size > sizeof(SLEEP) &&
               memcmp(text + size - sizeof(SLEEP), SLEEP, sizeof(SLEEP)) == 0 &&
               g_str_has_suffix(text, "sleep");
}

/* Returns the processes "sleep 9001" of this machine, which are all of roles. */
static GArray *sleeps(void) {
        GArray *pids = g_array_new(false, false, sizeof(pid_t));
        g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir))) {
                pid_t pid = (pid_t) g_ascii_strtoll(name, NULL, 10);

                if (pid > 0 && process_is_sleep(pid))
                        g_array_append_val(pids, pid);
        }
        return pids;
}

static guint count_sleeps(void) {
        g_autoptr(GArray) pids = sleeps();

        return pids->len;
}

static guint user_id(void) {
        g_autofree char *text = run_ok("id", "-u", USER, NULL);

        return (guint) g_ascii_strtoull(text, NULL, 10);
}

static GVariant *command_options(const Command *command) {
        g_autoptr(GString) text = g_string_new(command->options ?: "{}");
        g_autofree char *uid = g_strdup_printf("%u", user_id());
        g_autoptr(GError) error = NULL;

        g_string_replace(text, "UID", uid, 0);
        GVariant *options = g_variant_parse(G_VARIANT_TYPE_VARDICT, text->str, NULL, NULL, &error);
        if (!options)
                fail_msg("%s: %s", text->str, error->message);
        return options;
}

/* Returns the process that sleeps, once it does. */
static pid_t start_command(Bus *bus, const Command *command) {
        const char *role = role_name(command->name);
        g_autoptr(GArray) before = sleeps();

        g_variant_unref(node_call(bus, "Start", start_args_v(role, command_options(command), command->argv)));
        /* login drops what was typed before it. */
        for (gint64 end = 0; command->typed && count_sleeps() == before->len;)
                if (g_get_monotonic_time() > end) {
                        send_input(bus, role, command->typed);
                        end = g_get_monotonic_time() + G_USEC_PER_SEC;
                }
        for (;;) {
                g_autoptr(GArray) now = sleeps();

                for (guint i = 0; i < now->len; i++) {
                        pid_t pid = g_array_index(now, pid_t, i);
                        bool known = false;

                        for (guint k = 0; k < before->len; k++)
                                known = known || g_array_index(before, pid_t, k) == pid;
                        if (!known)
                                return pid;
                }
                WAIT_UNTIL(count_sleeps() != now->len);
        }
}

static void start_all(Bus *bus, pid_t pids[static G_N_ELEMENTS(commands)]) {
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                g_autofree char *cgroup = NULL, *scope = role_scope(role_name(commands[i].name));

                pids[i] = start_command(bus, &commands[i]);
                cgroup = process_cgroup(pids[i]);
                if (strstr(cgroup, scope))
                        fail_msg("%s: process %d is in %s, where this test does not want it",
                                commands[i].name, (int) pids[i], cgroup);
        }
}

/* Calls the method for all of them at once, because su takes two seconds to end. */
static void call_all(Bus *bus, const char *method) {
        guint32 serials[G_N_ELEMENTS(commands)];

        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                serials[i] = node_send(bus, method, g_variant_new("(s)", role_name(commands[i].name)));
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                g_variant_unref(bus_result(bus, serials[i]));
        assert_int_equal(count_sleeps(), 0);
}

static void expect_stopped(Bus *bus, const Command *command, const char *cause) {
        Exited exited = wait_exited(bus, role_name(command->name));

        assert_string_equal(exited.cause, cause);
        if (command->any_end)
                return;
        if (strcmp(exited.code, "killed") != 0 || exited.status != SIGTERM)
                fail_msg("%s: %s %d", command->name, exited.code, exited.status);
}

static void test_stop(void **state) {
        Bus *bus = *state;
        Census before = census_before(bus);
        pid_t pids[G_N_ELEMENTS(commands)];

        start_all(bus, pids);
        call_all(bus, "Stop");
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                expect_stopped(bus, &commands[i], "stop");
                purge(bus, role_name(commands[i].name));
        }
        assert_census(bus, &before);
}

static void test_kill(void **state) {
        Bus *bus = *state;
        pid_t pids[G_N_ELEMENTS(commands)];

        start_all(bus, pids);
        call_all(bus, "Kill");
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                expect_exited(bus, role_name(commands[i].name), "killed", SIGKILL, "kill");
}

static void shut_down(Bus *bus) {
        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "")));
}

static void stop_unit(Bus *bus) {
        systemctl("stop", NODE_UNIT);
}

/* One beat and no other. The next start of the service has the configured timeout again. */
static void lose_manager(Bus *bus) {
        g_variant_unref(node_call(bus, "SetMonitorTimeout", g_variant_new("(t)", (guint64) 300000)));
        g_variant_unref(node_call(bus, "Beat", NULL));
}

static void shut_down_all(Bus *bus, void (*begin)(Bus *bus), const char *cause) {
        pid_t pids[G_N_ELEMENTS(commands)];
        g_autofree char *active = NULL;

        start_all(bus, pids);
        begin(bus);
        node_wait_name(bus, false);
        assert_int_equal(count_sleeps(), 0);
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                expect_stopped(bus, &commands[i], cause);
        /* It does not fail, and is not restarted. */
        for (;;) {
                g_free(active);
                active = NULL;
                (void) run(&active, NULL, "systemctl", "show", "-P", "ActiveState", NODE_UNIT, NULL);
                if (g_str_has_prefix(active, "inactive"))
                        break;
                assert_false(g_str_has_prefix(active, "failed"));
        }
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
}

static void test_shutdown(void **state) {
        shut_down_all(*state, shut_down, "shutdown");
        shut_down_all(*state, stop_unit, "shutdown");
}

static void test_monitor(void **state) {
        shut_down_all(*state, lose_manager, "monitor");
}

/* Nothing of it is forgotten, whoever is killed. */
static void test_crashes(void **state) {
        Bus *bus = *state;

        for (int who = 1; who <= 3; who++) {
                pid_t pids[G_N_ELEMENTS(commands)];

                start_all(bus, pids);
                /* Its state, two for each child, and four more for the terminal. Without them the next keeper
                 * does not know the children. */
                keeper_wait_stored(bus, 1 + 2 * G_N_ELEMENTS(commands) + 4);
                if (who & 1)
                        node_crash(bus);
                if (who & 2)
                        keeper_crash_and_wait(bus);
                call_all(bus, "Stop");
                for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                        const char *role = role_name(commands[i].name);

                        if (who & 2)
                                (void) wait_exited(bus, role);
                        else
                                expect_stopped(bus, &commands[i], "stop");
                        purge(bus, role);
                }
        }
}

/* The main process exits at once, and what it has left in its session, which ignores SIGTERM, is swept after
 * SIGKILL of both services, too. */
static void test_left(void **state) {
        Bus *bus = *state;
        const char *role = role_name("left");
        g_autoptr(GVariant) strays = NULL;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), "su", USER, "-c",
                "trap '' TERM; (setsid sleep " SLEEP " &); exit 3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        WAIT_UNTIL(count_sleeps() == 1);
        assert_state(bus, role, "ended");
        strays = role_get(bus, role, "Strays");
        assert_int_equal(g_variant_n_children(strays), 1);
        keeper_wait_stored(bus, 1 + 2);
        node_crash(bus);
        keeper_crash_and_wait(bus);
        node_crash(bus);
        assert_poll(bus, role, "exit 3");
        assert_int_equal(count_sleeps(), 1);
        kill_role(bus, role);
        assert_int_equal(count_sleeps(), 0);
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);

        /* Without the trap it ends by itself. */
        start(bus, role, NULL, "su", USER, "-c", "(setsid sleep " SLEEP " &); exit 4", NULL);
        expect_exited(bus, role, "exited", 4, "self");
        stop(bus, role);
        assert_int_equal(count_sleeps(), 0);
}

/* With stop-to=main only the main process gets the stop signal, and the sweep the rest. */
static void test_stop_to_main(void **state) {
        Bus *bus = *state;
        const char *role = role_name("main");

        start(bus, role, OPTIONS("{'stop-to': <'main'>}"), "sh", "-c",
                "su " USER " -c 'exec sleep " SLEEP "'; true", NULL);
        WAIT_UNTIL(count_sleeps() == 1);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_int_equal(count_sleeps(), 0);
}

static void wait_for_stray(Bus *bus, const char *role) {
        g_autofree char *path = role_path(role);

        for (;;) {
                g_autoptr(GVariant) strays = role_get(bus, role, "Strays");
                if (g_variant_n_children(strays) == 1)
                        break;
                bus_wait(bus, "PropertiesChanged", path);
        }
}

/* A start script leaves su, which PAM moves when it has no parent in the role any more. With exit-type=cgroup
 * the role runs until that ends, also after a crash. */
static void test_exit_type_cgroup(void **state) {
        Bus *bus = *state;

        for (int crash = 0; crash < 2; crash++) {
                const char *role = role_name(crash ? "crash" : "script");
                start(bus, role, OPTIONS("{'exit-type': <'cgroup'>}"), "sh", "-c",
                        "su " USER " -c 'exec sleep " SLEEP "' & exit 7", NULL);
                wait_for_stray(bus, role);
                WAIT_UNTIL(count_sleeps() == 1);
                if (crash)
                        node_crash(bus);
                assert_state(bus, role, "running");
                stop(bus, role);
                expect_exited(bus, role, "exited", 7, "stop");
                assert_int_equal(count_sleeps(), 0);
        }
}

/* The parent of an orphan has ended before the role is stopped. It is found because systemd reports the scope
 * when it starts it. */
static void test_orphan(void **state) {
        Bus *bus = *state;
        const char *role = role_name("orphan");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *command = g_strdup_printf("su " USER " -c 'setsid sleep " SLEEP
                                                   " & read line <%s'; echo left >%s; exec sleep " SLEEP,
                scratch("go"), fifo_path(fifo));

        assert_return_code(mkfifo(scratch("go"), 0666), errno);
        assert_return_code(chmod(scratch("go"), 0666), errno);
        start(bus, role, NULL, "sh", "-c", command, NULL);
        wait_for_stray(bus, role);
        int go = open(scratch("go"), O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(go, "\n", 1), 1);
        close(go);
        fifo_expect(fifo, "left"); /* su has ended */
        WAIT_UNTIL(count_sleeps() == 2);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_int_equal(count_sleeps(), 0);
}

static void check_role_of(Bus *bus, pid_t pid, const char *role) {
        g_autofree char *path = role_path(role);
        g_autoptr(GVariant) reply = node_call(bus, "GetRoleByPID", g_variant_new("(u)", (guint32) pid));
        const char *found;

        g_variant_get(reply, "(&o)", &found);
        assert_string_equal(found, path);
}

/* What clients read is true, and the journal says once why. */
static void test_truth(void **state) {
        Bus *bus = *state;
        g_autofree char *from = journal_from_now(), *log = NULL, *session = NULL, *expected = NULL;
        g_autoptr(GVariant) strays = NULL;
        g_autofree char *field = NULL;
        const char **paths;
        const Command *su = &commands[0];
        const char *role = role_name(su->name);
        pid_t pid = start_command(bus, su), main = role_pid(bus, role);

        check_role_of(bus, main, role);
        check_role_of(bus, pid, role);
        strays = role_get(bus, role, "Strays");
        g_autofree char *cgroup = process_cgroup(pid), *scope = role_get_string(bus, role, "Scope"),
                        *group = role_get_string(bus, role, "ControlGroup");
        paths = g_variant_get_strv(strays, NULL);
        assert_non_null(paths[0]);
        assert_string_equal(paths[0], cgroup);
        assert_null(paths[1]);
        g_free(paths);
        assert_string_equal(scope, "");
        assert_string_equal(group, "");

        send_signal(bus, role, "all", SIGCONT);
        assert_poll(bus, role, "running");
        stop(bus, role);
        field = g_strconcat("ARCHITECT_ROLE=", role, NULL);
        log = journal(from, "MESSAGE_ID=0c4ca9170d2741bbbc3c526e9c971aad", field, NULL);
        session = g_path_get_basename(cgroup);
        g_autofree char *id =
                g_strndup(session + strlen("session-"), strlen(session) - strlen("session-.scope"));
        expected = g_strdup_printf(
                "%s: Its process %d (su) is not in its scope any more: PAM has begun session %s of user " USER
                " for it. It is stopped with the role, but memory-max, tasks-max and cpu-quota do not hold "
                "there. The option user does without su.\n",
                role, (int) main, id);
        assert_string_equal(log, expected);
}

/* A signal to all reaches them. */
static void test_signal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("signal");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        /* The end of the shell would have the other stopped before it acts on this signal. */
        start(bus, role, NULL, "sh", "-c", "trap '' USR1; systemd-run --scope \"$@\"; true", "sh", actor(),
                "tell-on", "USR1", fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        pid_t pid = fifo_expect_pid(fifo, "ready");
        send_signal(bus, role, "all", SIGUSR1);
        assert_int_equal(fifo_expect_pid(fifo, "heard"), pid);
        kill_role(bus, role);
}

/* -- what belongs to others -- */

/* The service has "sleep 9001" itself, and the role has another one there. */
static void check_foreign(Bus *bus, const char *unit, const char *cgroup, const char *suffix) {
        const char *role = role_name(suffix);
        g_autofree char *from = journal_from_now(), *log = NULL, *procs = cgroup_file(cgroup, "cgroup.procs");
        g_autofree char *command = g_strdup_printf("echo $$ >%s; exec sleep " SLEEP, procs);

        assert_int_equal(count_sleeps(), 1);
        start(bus, role, NULL, "sh", "-c", command, NULL);
        WAIT_UNTIL(count_sleeps() == 2);
        check_role_of(bus, role_pid(bus, role), role);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_int_equal(count_sleeps(), 1);
        log = journal(from, "-u", NODE_UNIT, NULL);
        g_autofree char *text =
                g_strdup_printf("(sleep) is in %s, which is not the role's: only it is signalled", unit);
        assert_contains(log, text);

        /* A child there that ignores SIGTERM. */
        g_free(command);
        command = g_strdup_printf(
                "(trap '' TERM; exec sh -c 'echo $$ >%s; exec sleep " SLEEP "') & exec sleep " SLEEP, procs);
        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 100000>}"), "sh", "-c", command, NULL);
        WAIT_UNTIL(count_sleeps() == 3);
        stop(bus, role);
        assert_int_equal(count_sleeps(), 1);
}

static void test_foreign(void **state) {
        Bus *bus = *state;
        const char *other = role_name("other");

        /* A service. */
        g_free(run_ok("systemd-run", "--unit=strays-test.service", "sleep", SLEEP, NULL));
        WAIT_UNTIL(count_sleeps() == 1);
        check_foreign(bus, "strays-test.service", "/system.slice/strays-test.service", "service");
        systemctl("stop", "strays-test.service");

        /* A scope that is older than the role, as the session of an administrator. */
        pid_t pid = spawn("systemd-run", "--scope", "--unit=strays-test.scope", "sleep", SLEEP, NULL);
        WAIT_UNTIL(count_sleeps() == 1);
        check_foreign(bus, "strays-test.scope", "/system.slice/strays-test.scope", "older");
        systemctl("stop", "strays-test.scope");
        (void) pid;

        /* The scope of another role, which is younger. */
        const char *mover = role_name("mover");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        start(bus, mover, NULL, "sh", "-c", "read cgroup; echo $$ >$cgroup; exec sleep " SLEEP, NULL);
        start(bus, other, NULL, actor(), "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        g_autofree char *cgroup = role_cgroup(bus, other), *procs = cgroup_file(cgroup, "cgroup.procs");
        send_input(bus, mover, procs);
        WAIT_UNTIL(count_sleeps() == 1);
        stop(bus, mover);
        expect_exited(bus, mover, "killed", SIGTERM, "stop");
        assert_int_equal(count_sleeps(), 0);
        assert_state(bus, other, "running");
        kill_role(bus, other);
}

/* A stray is gone, and somebody else has a scope of its name. */
static void test_name_again(void **state) {
        Bus *bus = *state;
        const char *role = role_name("again");

        start(bus, role, NULL, "sh", "-c",
                "systemd-run --scope --unit=strays-test.scope sh -c 'read x'; exec sleep " SLEEP, NULL);
        wait_for_stray(bus, role);
        send_input(bus, role, "x");
        WAIT_UNTIL(count_sleeps() == 1 && count_units(bus, "strays-test.scope") == 0);
        (void) spawn("systemd-run", "--scope", "--unit=strays-test.scope", "sleep", SLEEP, NULL);
        WAIT_UNTIL(count_sleeps() == 2);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_int_equal(count_sleeps(), 1);
        systemctl("stop", "strays-test.scope");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stop),
                TEST(test_kill),
                TEST(test_shutdown),
                TEST(test_monitor),
                TEST(test_crashes),
                TEST(test_left),
                TEST(test_stop_to_main),
                TEST(test_exit_type_cgroup),
                TEST(test_orphan),
                TEST(test_truth),
                TEST(test_signal),
                TEST(test_foreign),
                TEST(test_name_again),
        };
        return run_case("strays", tests);
}
