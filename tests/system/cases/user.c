/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * --user: everything works without root, as an ordinary user, on the bus of that user and with the systemd of
 * that user, beside the service of the system. */

#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "testlib.h"

#define USER "alice"

static uid_t uid;
static const char *runtime; /* /run/user/UID */

static int user_systemctl_status(const char *verb, const char *unit) {
        g_autofree char *xdg = g_strconcat("XDG_RUNTIME_DIR=", runtime, NULL);

        return run_as(USER, NULL, NULL, "env", xdg, "systemctl", "--user", verb, unit, NULL);
}

static void user_systemctl(const char *verb, const char *unit) {
        int r = user_systemctl_status(verb, unit);
        if (r != 0)
                fail_msg("systemctl --user %s %s: exit status %d", verb, unit, r);
}

static int setup(void **state) {
        const struct passwd *pw = getpwnam(USER);
        g_autofree char *path = NULL;

        assert_non_null(pw);
        uid = pw->pw_uid;
        path = g_strdup_printf("/run/user/%u", (unsigned) uid);
        runtime = g_intern_string(path);
        return case_setup(state);
}

static int teardown(void **state) {
        int r = user_systemctl_status("stop", NODE_UNIT);
        return case_teardown(state) < 0 || r != 0 ? -1 : 0;
}

static Bus *user_new(void) {
        Bus *user;

        user_systemctl("start", NODE_UNIT);
        user = bus_new_session(USER);
        node_wait_name(user, true);
        return user;
}

static void expect_owner(pid_t pid) {
        g_autofree char *ids = process_status(pid, "Uid");
        g_autofree char *expected = g_strdup_printf("%u\t%u\t%u\t%u", uid, uid, uid, uid);
        assert_string_equal(ids, expected);
}

static void test_life(void **state) {
        g_autoptr(Bus) user = user_new();
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autoptr(GHashTable) dump = NULL;
        const char *dumped = scratch("dump"), *role = role_name("runs");
        g_autofree char *cgroup = NULL, *manager = NULL, *keeper = NULL, *log = NULL, *scope = NULL,
                        *of_scope = NULL;
        g_autofree char *from = journal_from_now(), *uid_field = g_strdup_printf("_UID=%u", (unsigned) uid);
        g_autoptr(GVariant) reply = NULL;
        Exited exited;
        int left;

        manager = g_strdup_printf("/user.slice/user-%u.slice/user@%u.service/", uid, uid);
        assert_int_equal(chmod(scratch("."), 0777), 0);

        start(user, role_name("code"), NULL, actor(), "exit", "7", NULL);
        expect_exited(user, role_name("code"), "exited", 7, "self");
        assert_poll(user, role_name("code"), "exit 7");

        start(user, role, NULL, actor(), "dump", dumped, "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        expect_owner(role_pid(user, role));
        cgroup = role_cgroup(user, role);
        assert_true(g_str_has_prefix(cgroup, manager));
        dump = read_dump(dumped);
        assert_string_equal(dump_get(dump, "env.USER"), USER);
        assert_string_equal(dump_get(dump, "env.XDG_RUNTIME_DIR"), runtime);
        assert_contains(dump_get(dump, "env.DBUS_SESSION_BUS_ADDRESS"), runtime);
        assert_null(g_hash_table_lookup(dump, "env.NOTIFY_SOCKET"));
        reply = node_call(user, "GetRoleByPID", g_variant_new("(u)", (guint32) role_pid(user, role)));
        stop(user, role);
        exited = expect_exited(user, role, "killed", SIGTERM, "stop");
        assert_int_equal(detail_u32(exited.details, "caller-uid"), uid);

        /* The keeper, which runs as the user, still kills all processes at once. */
        start(user, role, NULL, actor(), "daemon{", "ignore", "TERM", "say", fifo_path(fifo), "ready",
                "pause", "}", "pause", NULL);
        left = process_open(fifo_expect_pid(fifo, "ready"));
        kill_role(user, role);
        expect_exited(user, role, "killed", SIGKILL, "kill");
        assert_true(process_is_dead(left));
        (void) close(left);

        scope = role_scope(role);
        g_free(run_ok("journalctl", "--sync", NULL));
        assert_int_equal(
                run_as(USER, &of_scope, NULL, "journalctl", "--user", "-q", "-u", scope, "-o", "cat", NULL),
                0);
        assert_contains(of_scope, "Killing (cause: ");

        /* In a cgroup beside the roles, not among them. */
        keeper = process_cgroup(keeper_pid(user));
        assert_true(g_str_has_prefix(keeper, manager));
        assert_contains(keeper, "/session.slice/");
        log = journal(from, uid_field, "-p", "warning", NULL);
        assert_string_equal(log, "");
}

/* Connects as this user. Returns a negative errno if that fails. */
static int connect_as(uid_t user, const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        assert_true(fd >= 0);
        (void) g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
        assert_int_equal(seteuid(user), 0);
        r = connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0 ? -errno : 0;
        assert_int_equal(seteuid(0), 0);
        if (r < 0)
                (void) close(fd);
        return r < 0 ? r : fd;
}

/* The socket of a terminal is below the directory of the user, and not even root's connections are accepted.
 */
static void test_terminal_socket(void **state) {
        g_autoptr(Bus) user = user_new();
        const char *role = role_name("console"), *path;
        g_autofree char *prefix = g_strconcat(runtime, "/architect-terminal/main/", NULL);
        g_autoptr(GVariant) reply = NULL;
        g_autoptr(Screen) mine = NULL, of_root = NULL;
        struct stat st;

        start(user, role, OPTIONS("{'stdin': <'pty'>}"), "sh", "-c", "echo ready; read -r line; exit 7",
                NULL);
        reply = node_call(user, "OpenTerminalSocket", g_variant_new("(s@a{sv})", role, OPTIONS("{}")));
        g_variant_get(reply, "(&s)", &path);
        assert_true(g_str_has_prefix(path, prefix));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, uid);
        assert_int_equal(st.st_mode & 07777, 0600);
        of_root = screen_new(connect_as(0, path));
        screen_expect_end(of_root);
        assert_int_equal(of_root->text->len, 0);
        mine = screen_new(connect_as(uid, path));
        screen_expect(mine, "ready\r\n");
        screen_type(mine, "\n");
        expect_exited(user, role, "exited", 7, "self");
        screen_expect_end(mine);
        assert_int_equal(stat(path, &st), -1);
}

/* The keeper of the user receives what his roles send, below the directory of the user. */
static void test_notify(void **state) {
        g_autoptr(Bus) user = user_new();
        const char *role = role_name("notifies");
        g_autofree char *
                prefix = g_strconcat("NOTIFY_SOCKET=", runtime, "/architect-notify/main/*", NULL),
               *script = g_strdup_printf(
                       "env | while read -r v; do case $v in %s) exit 1; esac; done || systemd-notify --ready"
                       " --status=here; exec sleep 600",
                       prefix);

        start(user, role, OPTIONS("{'type': <'notify'>, 'notify-access': <'all'>}"), "sh", "-c", script,
                NULL);
        g_autofree char *status = role_get_string(user, role, "StatusText");
        assert_string_equal(status, "here");
        stop(user, role);
        expect_exited(user, role, "killed", SIGTERM, "stop");
}

static void test_restart(void **state) {
        g_autoptr(Bus) user = user_new();
        const char *role = role_name("stays");
        pid_t node = node_pid(user), keeper = keeper_pid(user), pid, other;

        start(user, role, NULL, actor(), "pause", NULL);
        start(user, role_name("ends"), NULL, actor(), "exit-on", "USR1", "9", "pause", NULL);
        pid = role_pid(user, role);
        user_systemctl("restart", NODE_UNIT);
        node_wait_name(user, true);
        assert_int_not_equal(node_pid(user), node);
        assert_int_equal(role_pid(user, role), pid);

        /* One role ends while the node is not running. */
        other = role_pid(user, role_name("ends"));
        assert_int_equal(kill(node_pid(user), SIGSTOP), 0);
        assert_int_equal(kill(other, SIGUSR1), 0);
        WAIT_UNTIL(process_state(other) == 'Z');
        node_crash(user);
        expect_exited(user, role_name("ends"), "exited", 9, "self");
        assert_int_equal(role_pid(user, role), pid);
        assert_int_equal(keeper_pid(user), keeper);

        user_systemctl("stop", NODE_UNIT);
        expect_exited(user, role, "killed", SIGTERM, "shutdown");
        node_wait_name(user, false);
}

static void test_side_by_side(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) user = user_new();
        const char *role = role_name("same");
        g_autofree char *file = g_strdup_printf("%s/architect-node/main/roles/%s", runtime, role);
        g_autofree char *system_file = g_strdup_printf("/run/architect-node/main/roles/%s", role);
        struct stat st;
        pid_t pid;

        start(bus, role, NULL, actor(), "pause", NULL);
        assert_poll(user, role, "none");
        start(user, role, NULL, actor(), "pause", NULL);
        pid = role_pid(user, role);
        assert_int_not_equal(role_pid(bus, role), pid);
        assert_int_not_equal(keeper_pid(bus), keeper_pid(user));
        assert_return_code(stat(system_file, &st), errno);
        assert_int_equal(st.st_uid, 0);
        assert_return_code(stat(file, &st), errno);
        assert_int_equal(st.st_uid, uid);
        assert_return_code(stat(runtime, &st), errno);

        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        node_restart(bus);
        node_sync(user);
        assert_int_equal(bus_count(user, "RoleExited", role), 0);
        assert_int_equal(role_pid(user, role), pid);
        kill_role(user, role);
        expect_exited(user, role, "killed", SIGKILL, "kill");
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
}

static void test_only_oneself(void **state) {
        g_autoptr(Bus) user = user_new();
        const char *role = role_name("who");
        const char *const others[] = { "bob", "root", "0" };

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                guint mark = bus_mark(user);

                start_fails(user,
                        start_args(role, OPTIONS("{'user': <%s>}", others[i]), actor(), "pause", NULL),
                        "SetupFailed", role, "cannot become", "does not run as root", NULL);
                assert_no_trace(user, role, mark);
        }
        start_fails(user, start_args(role, OPTIONS("{'group': <'bob'>}"), actor(), "pause", NULL),
                "SetupFailed", role, "cannot become", NULL);
        start(user, role, OPTIONS("{'user': <'" USER "'>, 'group': <'" USER "'>}"), actor(), "pause", NULL);
        expect_owner(role_pid(user, role));
        stop(user, role);
}

static void test_configuration(void **state) {
        g_autoptr(Bus) user = user_new();
        const char *role = role_name("new"), *directory = "/home/" USER "/.config/architect-node";
        g_autofree char *file = g_build_filename(directory, "main.conf", NULL), *type = NULL;
        GVariant *started;

        assert_int_equal(run_as(USER, NULL, NULL, "mkdir", "-p", directory, NULL), 0);
        assert_true(g_file_set_contents(file, "[Node]\nDefaultStopTimeout=3s\n", -1, NULL));
        user_systemctl("reload", NODE_UNIT);
        start(user, role, NULL, actor(), "pause", NULL);
        assert_int_equal(role_get_u64(user, role, "StopTimeoutUSec"), 3000000);
        assert_true(g_file_set_contents(file, "[Node]\nDefaultStopTimeout=soon\n", -1, NULL));
        /* A signal has no reply: with Type=notify-reload systemctl does not get the result. */
        type = unit_get_string(user, NODE_UNIT, "Service", "Type");
        assert_int_equal(user_systemctl_status("reload", NODE_UNIT) == 0, g_str_equal(type, "notify-reload"));
        WAIT_UNTIL(({
                g_autofree char *status = unit_get_string(user, NODE_UNIT, "Service", "StatusText");
                strstr(status, "main.conf:2") != NULL;
        }));
        assert_state(user, role, "running");

        /* All roles are hers: there is nothing to choose. */
        assert_true(g_file_set_contents(file, "[Node]\nDefaultUser=bob\n", -1, NULL));
        node_call_fails(user, "Reload", NULL, INVALID_ARGS, "main.conf:2", "DefaultUser=", NULL);
        assert_true(g_file_set_contents(file, "[Node]\nRequireUser=yes\n", -1, NULL));
        node_call_fails(user, "Reload", NULL, INVALID_ARGS, "main.conf:2", "RequireUser=", NULL);
        started = event_details(bus_wait(user, "RoleStarted", role));
        assert_string_equal(detail_string(started, "user"), USER);
        (void) g_unlink(file);
}

static void test_activation(void **state) {
        g_autoptr(Bus) user = user_new();

        user_systemctl("enable", NODE_UNIT);
        user_systemctl("stop", NODE_UNIT);
        node_wait_name(user, false);
        start(user, role_name("first"), NULL, actor(), "exit", "0", NULL);
        expect_exited(user, role_name("first"), "exited", 0, "self");
        user_systemctl("disable", NODE_UNIT);
}

/* A user may have instances, too. */
static void test_instance(void **state) {
        g_autofree char *xdg = g_strconcat("XDG_RUNTIME_DIR=", runtime, NULL), *out = NULL;
        g_autofree char *directory = g_build_filename(runtime, "architect-node/other", NULL);

        user_systemctl("start", "architect-node@other.service");
        assert_int_equal(run_as(USER, &out, NULL, "env", xdg, "busctl", "--user", "call", NODE_NAME ".other",
                                 NODE_PATH, NODE_INTERFACE, "ListRoles", NULL),
                0);
        assert_string_equal(g_strstrip(out), "a(ssusiso) 0");
        assert_true(g_file_test(directory, G_FILE_TEST_IS_DIR));
        user_systemctl("stop", "architect-node@other.service");
        assert_int_not_equal(user_systemctl_status("start", "architect-node@main.service"), 0);
}

/* architectctl --user acts on the service of the user, and no other. */
static void test_architectctl(void **state) {
        g_autofree char *xdg = g_strconcat("XDG_RUNTIME_DIR=", runtime, NULL), *list = NULL, *show = NULL;
        g_autofree char *of_system = run_ok("architectctl", "--json=short", "list", NULL);
        const char *role = role_name("ctl");

#define CTL_USER(out, ...) \
        run_as(USER, out, NULL, "env", xdg, "architectctl", "--user", "--no-pager", __VA_ARGS__, NULL)
        user_systemctl("start", NODE_UNIT);
        assert_int_equal(CTL_USER(NULL, "start", role, "sleep", "infinity"), 0);
        assert_int_equal(CTL_USER(&list, "list"), 0);
        assert_contains(list, role);
        assert_int_equal(CTL_USER(&show, "show", "-p", "State", role), 0);
        assert_string_equal(show, "State=running\n");
        assert_int_equal(CTL_USER(NULL, "stop", role), 0);
        assert_int_equal(CTL_USER(NULL, "wait", role), 128 + SIGTERM);
        assert_int_equal(CTL_USER(NULL, "purge", role), 0);
        assert_int_equal(CTL_USER(NULL, "status", role), 4);
        g_autofree char *after = run_ok("architectctl", "--json=short", "list", NULL);
        assert_string_equal(after, of_system);
}

static void test_no_session(void **state) {
        g_autofree char *err = NULL;

        assert_int_equal(run_as(USER, NULL, &err, "env", "-u", "XDG_RUNTIME_DIR",
                                 "/usr/libexec/architect-node/architect-node", "--user", NULL),
                1);
        assert_contains(err, "XDG_RUNTIME_DIR");
}

#define USER_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                USER_TEST(test_life),
                USER_TEST(test_terminal_socket),
                USER_TEST(test_notify),
                USER_TEST(test_restart),
                USER_TEST(test_side_by_side),
                USER_TEST(test_only_oneself),
                USER_TEST(test_configuration),
                USER_TEST(test_activation),
                USER_TEST(test_instance),
                USER_TEST(test_architectctl),
                USER_TEST(test_no_session),
        };
        return run_case("user", tests);
}
