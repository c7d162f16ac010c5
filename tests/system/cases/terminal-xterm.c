/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A window on the terminal of a role, by the real xterm on a display of its own. Closing it does not end the
 * role, the end of the role closes it, the status is exact and that of the role, and the reason is reported
 * if xterm cannot start. */

#include <fcntl.h>
#include <unistd.h>

#include "testlib.h"

static pid_t server;
static char *display;

static void start_server(void) {
        g_autofree char *log = g_strdup(scratch("xvfb.log")), *script = NULL;
        g_autoptr(Fifo) fifo = fifo_new("display");
        g_autofree char *number = NULL;

        script = g_strdup_printf(
                "exec Xvfb -displayfd 1 -screen 0 1024x768x24 -nolisten tcp >%s 2>%s", fifo_path(fifo), log);
        server = spawn("sh", "-c", script, NULL);
        number = fifo_line(fifo);
        display = g_strconcat(":", number, NULL);
}

static void stop_server(void) {
        int fd = process_open(server);

        assert_int_equal(kill(server, SIGTERM), 0);
        process_wait_dead(fd);
        (void) close(fd);
        g_clear_pointer(&display, g_free);
}

static char *process_text(pid_t pid, const char *file) {
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int) pid, file), *text = NULL;
        gsize size;

        assert_true(g_file_get_contents(path, &text, &size, NULL));
        for (gsize i = 0; i < size; i++)
                if (text[i] == '\0')
                        text[i] = '\n';
        return g_steal_pointer(&text);
}

/* The options of a window on the display of the test, with more of them in GVariant text format. */
static GVariant *window(const char *more) {
        g_autofree char *text =
                g_strdup_printf("{'xterm': <true>, 'env': <{'DISPLAY': '%s'}>%s}", display, more);
        g_autoptr(GError) error = NULL;
        GVariant *options = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

        if (!options)
                fail_msg("%s: %s", text, error->message);
        return options;
}

#define ANSWERS "stty -echo; echo ready; while read -r line; do echo \"got $line\"; done; exit 7"

/* architectctl inside xterm passes the size of the window to the role, so the whole connection works. */
static void wait_window(Screen *screen) {
        screen_expect(screen, "size 30 100\r\n");
}

static void test_window(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        const Census before = census_before(bus);
        g_autofree char *command = NULL, *environment = NULL, *title = NULL;
        g_autoptr(Screen) screen = NULL;
        g_autoptr(GArray) children = NULL;
        pid_t xterm, main_pid, attach;
        int fd;

        start_server();
        start(bus, role,
                window(", 'user': <'nobody'>, 'xterm-args': <['-geometry', '100x30', '-fn', 'fixed']>"),
                "bash", "-c",
                "size() { echo size $(stty size); }; trap size WINCH; stty -echo;"
                "(while read -r line; do [ \"$line\" = end ] && exit 7; echo \"got $line\"; done) <&0 & reader=$!;"
                /* 156 is that of a wait which SIGWINCH has ended. */
                "echo ready; size; while wait $reader; status=$?; [ $status = 156 ]; do :; done; exit $status",
                NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        wait_window(screen);

        xterm = role_find_process(bus, role, "xterm");
        attach = role_find_process(bus, role, "architectctl");
        main_pid = role_pid(bus, role);
        assert_true(xterm > 0 && attach > 0);
        command = process_text(xterm, "cmdline");
        title = g_strdup_printf("xterm\n-T\n%s\n-geometry\n100x30\n-fn\nfixed\n-e\n", role);
        assert_contains(command, title);
        environment = process_text(xterm, "environ");
        assert_contains(environment, "ARCHITECT_ROLE=");
        assert_contains(environment, "USER=nobody\n");
        /* It is not a child of the role's main process at any time. */
        children = process_children(main_pid);
        for (guint i = 0; i < children->len; i++)
                assert_int_not_equal(g_array_index(children, pid_t, i), xterm);
        assert_int_not_equal(process_parent(xterm), main_pid);

        /* Closed as by a window manager or a user. */
        fd = process_open(attach);
        assert_int_equal(kill(xterm, SIGTERM), 0);
        process_wait_dead(fd);
        (void) close(fd);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), main_pid);
        screen_type(screen, "still here\n");
        screen_expect(screen, "got still here\r\n");
        screen_type(screen, "end\n");
        expect_exited(bus, role, "exited", 7, "self");
        stop(bus, role); /* returns when what it has left is gone, too */
        purge(bus, role);
        g_clear_pointer(&screen, screen_free);
        assert_census(bus, &before);
        stop_server();
}

static void test_role_ends(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Screen) screen = NULL;
        pid_t xterm;
        int fd;

        start_server();
        start(bus, role, window(""), "sh", "-c", ANSWERS, NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        WAIT_UNTIL(role_find_process(bus, role, "architectctl") > 0);
        xterm = role_find_process(bus, role, "xterm");
        fd = process_open(xterm);
        close_input(bus, role);
        expect_exited(bus, role, "exited", 7, "self");
        process_wait_dead(fd);
        (void) close(fd);
        stop(bus, role);

        /* By a signal. This status, too, belongs to the role and not to xterm. */
        start(bus, role, window(""), "sh", "-c", "kill -9 $$", NULL);
        expect_exited(bus, role, "killed", SIGKILL, NULL);
        stop(bus, role);
        stop_server();
}

/* The title of the caller has precedence. The role asks the window for it, which is refused by default. */
static void test_title(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f");

        start_server();
        start(bus, role, window(", 'xterm-args': <['-T', 'of the caller', '-xrm', '*allowWindowOps: true']>"),
                "bash", "-c",
                "stty raw -echo; printf '\\e[21t'; IFS= read -r -d '\\' title;"
                "[ \"$title\" = $'\\e]lof the caller\\e' ] && exit 7; exit 1",
                NULL);
        expect_exited(bus, role, "exited", 7, "self");
        stop(bus, role); /* xterm may still be there */
        stop_server();
}

/* DISPLAY may be set for all roles, but that of the role has precedence. */
static void test_display(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");

        start_fails(bus, start_args(role, OPTIONS("{'xterm': <true>}"), "true", NULL), INVALID_ARGS, role,
                "DISPLAY", NULL);
        start_fails(bus,
                start_args(role, OPTIONS("{'xterm': <true>, 'env': <{'DISPLAY': ''}>}"), "true", NULL),
                INVALID_ARGS, "DISPLAY", NULL);
        start_server();
        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", "DISPLAY", display)));
        start(bus, role, OPTIONS("{'xterm': <true>}"), "sh", "-c", ANSWERS, NULL);
        WAIT_UNTIL(role_find_process(bus, role, "architectctl") > 0);
        g_variant_unref(node_call(bus, "UnsetEnv", g_variant_new("(s)", "DISPLAY")));
        kill_role(bus, role);
        stop_server();
}

/* There is no such display. The role runs, and its output contains the reason why there is no window. */
static void test_refused(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autofree char *since = journal_from_now(), *text = NULL;

        start(bus, role, OPTIONS("{'xterm': <true>, 'env': <{'DISPLAY': ':4711'}>}"), "sh", "-c", ANSWERS,
                NULL);
        WAIT_UNTIL(({
                g_free(text);
                text = journal(since, "-t", role, NULL);
                strstr(text, "Can't open display");
        }));
        WAIT_UNTIL(role_find_process(bus, role, "xterm") == 0);
        assert_poll(bus, role, "running");
        close_input(bus, role);
        expect_exited(bus, role, "exited", 7, "self");
}

static void test_errors(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        const Census before = census_before(bus);

        start_fails(bus,
                start_args(role,
                        OPTIONS("{'xterm': <true>, 'env': <{'DISPLAY': ':1', 'PATH': '/nonexistent'}>}"),
                        "/bin/true", NULL),
                "SetupFailed", role, "there is no xterm in PATH", "/nonexistent", NULL);
        start_fails(bus,
                start_args(role, OPTIONS("{'xterm': <true>, 'stdin': <'pipe'>, 'env': <{'DISPLAY': ':1'}>}"),
                        "true", NULL),
                INVALID_ARGS, "pty", NULL);
        start_fails(bus, start_args(role, OPTIONS("{'xterm-args': <['-b', '2']>}"), "true", NULL),
                INVALID_ARGS, "xterm-args", NULL);
        start_fails(bus,
                start_args(role,
                        OPTIONS("{'xterm': <true>, 'xterm-args': <['-e', 'sh']>, 'env': <{'DISPLAY': ':1'}>}"),
                        "true", NULL),
                INVALID_ARGS, "\"-e\"", NULL);
        start_fails(bus, start_args(role, OPTIONS("{'xterm': <'yes'>}"), "true", NULL), INVALID_ARGS, "xterm",
                NULL);
        assert_string_equal(role_state(bus, role), "none");
        assert_census(bus, &before);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_window),
                TEST(test_role_ends),
                TEST(test_title),
                TEST(test_display),
                TEST(test_refused),
                TEST(test_errors),
        };

        return run_case("terminal-xterm", tests);
}
