/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A role on a terminal. It is a real terminal in every respect. Several clients see all output, type into it,
 * and may disconnect. A client that does not read gets the number of lost bytes, and delays nothing. The
 * output is also written to the journal or the file. The exit status is exact. Neither the death of the node
 * nor that of architect-terminal ends the terminal. */

#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testlib.h"

#define KEEPER_SOCKET_DIRECTORY "/run/architect-keeper"

/* Without an echo, so that input is not taken for a reply. */
#define ANSWERS "stty -echo; echo ready; while read -r line; do echo \"got $line\"; done; echo over; exit 7"

static GVariant *pty(const char *output) {
        return OPTIONS("{'stdin': <'pty'>, 'output': <%s>}", output);
}

/* The last output is written after the role has ended, without an event. */
static bool file_is(const char *path, const char *text) {
        g_autofree char *now = NULL;

        return g_file_get_contents(path, &now, NULL, NULL) && g_str_equal(now, text);
}

static void test_is_a_terminal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL);

        assert_int_equal(chmod(scratch(""), 0777), 0);
        /* As another user, who can open the terminal again by both of its names. */
        start(bus, role, OPTIONS("{'stdin': <'pty'>, 'user': <'nobody'>, 'output': <%s>}", output), "sh",
                "-c",
                "test -t 0 && test -t 1 && test -t 2 && echo three; stty size; echo $TERM;"
                "echo by-name >$(tty); echo controlling >/dev/tty; echo error >&2;"
                "ps -o sess=,tpgid= -p $$ | { read s t; test $s = $$ && test $t = $$ && echo leads; };"
                "printf 'return\\r'; printf 'no newline'; exit 7",
                NULL);
        expect_exited(bus, role, "exited", 7, "self");
        WAIT_UNTIL(file_is(path,
                "three\n24 80\nxterm-256color\nby-name\ncontrolling\nerror\nleads\nreturn\rno newline"));
}

static void test_environment(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL);

        start(bus, role, OPTIONS("{'stdin': <'pty'>, 'output': <%s>, 'env': <{'TERM': 'vt100'}>}", output),
                "sh", "-c", "echo $TERM", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        WAIT_UNTIL(file_is(path, "vt100\n"));
}

/* All clients see all output, whichever of them typed. A later client sees the earlier output, unless it does
 * not request it. */
static void test_clients(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        const Census before = census_before(bus);
        g_autofree char *stdin_kind = NULL;

        start(bus, role, pty("null"), "sh", "-c", ANSWERS, NULL);
        {
                g_autoptr(Screen) a = screen_open(bus, role, NULL), b = screen_open(bus, role, NULL),
                                  late = NULL, fresh = NULL;

                stdin_kind = role_get_string(bus, role, "Stdin");
                assert_string_equal(stdin_kind, "pty");
                screen_expect(a, "ready\r\n");
                screen_expect(b, "ready\r\n");
                screen_type(a, "one\n");
                screen_expect(a, "got one\r\n");
                screen_expect(b, "got one\r\n");
                screen_type(b, "two\n");
                screen_expect(a, "got two\r\n");
                screen_expect(b, "got two\r\n");

                late = screen_open(bus, role, OPTIONS("{'replay': <true>}"));
                fresh = screen_open(bus, role, OPTIONS("{'replay': <false>}"));
                screen_expect(late, "ready\r\ngot one\r\ngot two\r\n");

                /* A client disconnects. The others and the role are not affected. */
                screen_free(g_steal_pointer(&a));
                send_input(bus, role, "three");
                screen_expect(b, "got three\r\n");
                screen_expect(late, "got three\r\n");
                screen_expect(fresh, "got three\r\n");
                assert_string_equal(fresh->text->str, "got three\r\n");

                /* A client that has closed its sending side still sees the rest, and end-of-file comes after
                 * the last byte. */
                assert_int_equal(shutdown(late->fd, SHUT_WR), 0);
                screen_type(b, "\004");
                screen_expect(b, "over\r\n");
                screen_expect(late, "over\r\n");
                screen_expect_end(b);
                screen_expect_end(late);
                expect_exited(bus, role, "exited", 7, "self");
        }
        {
                /* The end without any client, too. */
                g_autoptr(Screen) again = NULL;

                start(bus, role, pty("null"), "sh", "-c", ANSWERS, NULL);
                again = screen_open(bus, role, NULL);
                screen_expect(again, "ready\r\n");
        }
        assert_poll(bus, role, "running");
        close_input(bus, role);
        expect_exited(bus, role, "exited", 7, "self");
        purge(bus, role);
        /* No architect-terminal and no descriptor is left. */
        assert_census(bus, &before);
}

static void test_too_many(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        Screen *screens[65];

        start(bus, role, pty("null"), "sh", "-c", ANSWERS, NULL);
        for (guint i = 0; i < G_N_ELEMENTS(screens); i++)
                screens[i] = screen_open(bus, role, NULL);
        screen_expect(screens[64], "[too many clients are attached to this terminal]\r\n");
        screen_expect_end(screens[64]);
        for (guint i = 0; i < 64; i++)
                screen_expect(screens[i], "ready\r\n");
        for (guint i = 0; i < G_N_ELEMENTS(screens); i++)
                screen_free(screens[i]);
        stop(bus, role);
}

static void test_keys(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autoptr(Screen) screen = NULL;

        start(bus, role, pty("null"), "bash", "--norc", "--noprofile", "-i", NULL);
        screen = screen_open(bus, role, NULL);
        screen_type(screen, "PS1='ready''> '\n");
        screen_expect(screen, "ready''> '\r\n");
        screen_expect(screen, "ready> ");
        assert_null(strstr(screen->text->str, "no job control"));
        screen_type(screen, "sleep 600\n");
        /* Before that the child of bash does not handle the key yet. */
        WAIT_UNTIL(role_find_process(bus, role, "sleep") > 0);
        screen_type(screen, "\032");
        screen_expect(screen, "Stopped");
        screen_expect(screen, "ready> ");
        screen_type(screen, "fg\n");
        screen_expect(screen, "sleep 600\r\n");
        /* It is in the foreground before it continues. */
        WAIT_UNTIL(process_state(role_find_process(bus, role, "sleep")) != 'T');
        screen_type(screen, "\003");
        screen_expect(screen, "ready> ");
        screen_type(screen, "exit 9\n");
        expect_exited(bus, role, "exited", 9, "self");
}

static void assert_size(Bus *bus, const char *role, const char *size) {
        g_autofree char *terminal = g_strdup_printf("/proc/%d/fd/0", (int) role_pid(bus, role)),
                        *now = run_ok("stty", "-F", terminal, "size", NULL);

        assert_string_equal(g_strstrip(now), size);
}

static void test_resize(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start(bus, role, pty("null"), actor(), "tell-on", "WINCH", fifo_path(fifo), "resized", "say",
                fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        assert_size(bus, role, "24 80");
        g_variant_unref(node_call(bus, "ResizeTerminal", g_variant_new("(sqq)", role, 50, 132)));
        fifo_expect_pid(fifo, "resized");
        assert_size(bus, role, "50 132");
        g_variant_unref(role_call(bus, role, "ResizeTerminal", g_variant_new("(qq)", 10, 20)));
        fifo_expect_pid(fifo, "resized");
        assert_size(bus, role, "10 20");
        stop(bus, role);
}

/* Much more output than all buffers hold, with a client that does not read and with none at all. */
static void test_unread(void **state) {
        Bus *bus = *state;
        const char *role = role_name("g");
        g_autoptr(Screen) screen = NULL;
        g_autoptr(GArray) terminals = NULL;
        guint64 lost = 0, first = 0, next = 0;
        const char *at;

        start(bus, role, pty("null"), "sh", "-c",
                "stty -echo; echo ready; read -r line; seq 1000000; read -r line; exit 3", NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        send_input(bus, role, "go");
        send_input(bus, role, "end");
        expect_exited(bus, role, "exited", 3, "self");
        screen_expect_end(screen);

        /* The client gets the beginning, then a mark with the exact number of lost bytes, then the end. */
        assert_true(g_str_has_prefix(screen->text->str, "ready\r\n1\r\n2\r\n3\r\n"));
        assert_true(g_str_has_suffix(screen->text->str, "\r\n999999\r\n1000000\r\n"));
        for (at = screen->text->str; (at = strstr(at, "\r\n[")); at++) {
                const char *end = strstr(at, " bytes lost]\r\n");

                assert_non_null(end);
                lost += g_ascii_strtoull(at + 3, NULL, 10);
                first += (guint64) (end - at) + strlen(" bytes lost]\r\n");
        }
        assert_true(lost > 0);
        next = strlen("ready\r\n");
        for (guint64 i = 1, n = 3; i <= 1000000; i++) {
                if (i == 10 || i == 100 || i == 1000 || i == 10000 || i == 100000 || i == 1000000)
                        n++;
                next += n;
        }
        assert_int_equal(screen->text->len - first + lost, next);

        start(bus, role, pty("null"), "seq", "1000000", NULL);
        expect_exited(bus, role, "exited", 0, "self");

        /* The process has not grown. */
        start(bus, role, pty("null"), "sh", "-c", "stty -echo; seq 1000000; echo ready; read -r line", NULL);
        g_clear_pointer(&screen, screen_free);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        terminals = terminal_pids(bus);
        assert_int_equal(terminals->len, 1);
        if (!process_is_sanitized(g_array_index(terminals, pid_t, 0)))
                assert_between(process_rss(g_array_index(terminals, pid_t, 0)), 1, 4 << 20);
        stop(bus, role);
}

/* A role that does not read its input: the input waits, but neither the role nor the other clients do. */
static void test_typed_in_vain(void **state) {
        Bus *bus = *state;
        const char *role = role_name("h");
        g_autoptr(Screen) screen = NULL, other = NULL;
        g_autofree char *lines = g_malloc(1 << 20);
        g_autoptr(GArray) terminals = NULL;
        gssize n, total = 0;

        start(bus, role, pty("null"), "sh", "-c",
                "trap 'echo still here' USR1; stty -echo; echo ready; while :; do sleep 600 & wait; kill $!; done",
                NULL);
        screen = screen_open(bus, role, NULL);
        other = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        screen_expect(other, "ready\r\n");
        for (gsize i = 0; i < 1 << 20; i++)
                lines[i] = i % 64 == 63 ? '\n' : 'x';
        while ((n = send(screen->fd, lines, 1 << 20, MSG_DONTWAIT)) > 0) {
                total += n;
                assert_between(total, 1, 8 << 20);
        }
        assert_int_equal(errno, EAGAIN);

        node_call(bus, "Signal", g_variant_new("(ssi)", role, "main", SIGUSR1));
        screen_expect(other, "still here\r\n");
        screen_expect(screen, "still here\r\n");
        terminals = terminal_pids(bus);
        if (!process_is_sanitized(g_array_index(terminals, pid_t, 0)))
                assert_between(process_rss(g_array_index(terminals, pid_t, 0)), 1, 4 << 20);
        stop(bus, role);
}

static void test_journal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("i");
        g_autofree char *since = journal_from_now(), *scope = role_scope(role), *by_role = NULL,
                        *by_unit = NULL;
        g_autoptr(Screen) screen = NULL;

        start(bus, role, OPTIONS("{'stdin': <'pty'>}"), "sh", "-c", ANSWERS, NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        screen_type(screen, "a line\n");
        screen_expect(screen, "got a line\r\n");
        /* The output is written there before it is shown. */
        by_role = journal(since, "-t", role, NULL);
        assert_string_equal(by_role, "ready\ngot a line\n");
        by_unit = journal(since, "-u", scope, "_TRANSPORT=stdout", NULL);
        assert_string_equal(by_unit, "ready\ngot a line\n");
        stop(bus, role);
}

static void test_input(void **state) {
        Bus *bus = *state;
        const char *role = role_name("j"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL);
        g_autoptr(Screen) screen = NULL;

        /* End-of-file occurs once, even in the middle of a line, and does not end the terminal. */
        start(bus, role, pty(output), "sh", "-c", "stty -echo; echo ready; cat; echo between; cat; exit 5",
                NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        send_input(bus, role, "one");
        g_variant_unref(bus_result(bus, send_write_input(bus, role, "two", 3)));
        close_input(bus, role);
        screen_expect(screen, "between\r\n");
        send_input(bus, role, "three");
        g_variant_unref(role_call(bus, role, "CloseInput", NULL));
        expect_exited(bus, role, "exited", 5, "self");
        WAIT_UNTIL(file_is(path, "ready\none\ntwobetween\nthree\n"));

        start(bus, role, pty("null"), "sh", "-c", "stty raw -echo; echo ready; sleep 600", NULL);
        g_clear_pointer(&screen, screen_free);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready");
        node_call_fails(bus, "CloseInput", g_variant_new("(s)", role), "NoInput", role, "raw mode", NULL);
        stop(bus, role);
}

/* The error of CloseInput and journalctl's option -a, as the documents have them for a shell. */
static void test_line_editing(void **state) {
        Bus *bus = *state;
        const char *role = role_name("o");
        g_autofree char *since = journal_from_now(), *plain = NULL, *all = NULL;
        g_autoptr(Screen) screen = NULL;

        start(bus, role, OPTIONS("{'stdin': <'pty'>}"), "bash", "--norc", "--noprofile", "-i", NULL);
        screen = screen_open(bus, role, NULL);
        screen_type(screen, "PS1='ready''> '; printf '\\033[1mbo''ld\\033[0m\\n'\n");
        screen_expect(screen, "\033[1mbold");
        screen_expect(screen, "ready> ");
        node_call_fails(bus, "CloseInput", g_variant_new("(s)", role), "NoInput", role, "raw mode",
                "WriteInput of byte 4", NULL);
        g_variant_unref(bus_result(bus, send_write_input(bus, role, "\004", 1)));
        expect_exited(bus, role, "exited", 0, "self");
        screen_expect_end(screen);

        plain = journal(since, "-o", "short", "-t", role, NULL);
        assert_contains(plain, "blob data]");
        assert_contains_not(plain, "mbold");
        all = journal(since, "-o", "short", "-a", "-t", role, NULL);
        assert_contains(all, "mbold");
        assert_contains_not(all, "blob data]");
}

/* More lines than fit at once; none is lost. */
static void test_much_input(void **state) {
        Bus *bus = *state;
        const char *role = role_name("k"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL);
        g_autoptr(GString) lines = g_string_new(NULL);
        g_autoptr(Screen) screen = NULL;

        start(bus, role, pty(output), "sh", "-c", "stty -echo; echo ready; cat", NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        for (guint i = 0; i < 100000; i++)
                g_string_append_printf(lines, "line %u\n", i);
        g_variant_unref(bus_result(bus, send_write_input(bus, role, lines->str, lines->len)));
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");
        g_string_prepend(lines, "ready\n");
        WAIT_UNTIL(file_is(path, lines->str));
}

static void survives_node(Bus *bus, const char *role, void (*again)(Bus *bus)) {
        g_autoptr(Screen) before = NULL, after = NULL;

        start(bus, role, pty("null"), "sh", "-c", ANSWERS, NULL);
        before = screen_open(bus, role, NULL);
        screen_expect(before, "ready\r\n");
        again(bus);
        screen_type(before, "one\n");
        screen_expect(before, "got one\r\n");
        after = screen_open(bus, role, NULL);
        screen_expect(after, "ready\r\ngot one\r\n");
        send_input(bus, role, "two");
        screen_expect(before, "got two\r\n");
        screen_expect(after, "got two\r\n");
        g_variant_unref(node_call(bus, "ResizeTerminal", g_variant_new("(sqq)", role, 30, 90)));
        close_input(bus, role);
        expect_exited(bus, role, "exited", 7, "self");
        screen_expect_end(before);
}

static void test_node_restarts(void **state) {
        survives_node(*state, role_name("l"), node_restart);
}

static void test_node_crashes(void **state) {
        survives_node(*state, role_name("m"), node_crash);
}

/* Without its keeper the terminal works for new clients as long as the node knows it, and for connected
 * clients as long as the role runs. */
static void test_keeper_crashes(void **state) {
        Bus *bus = *state;
        const char *role = role_name("keeper");
        g_autoptr(Screen) before = NULL, after = NULL;
        g_autoptr(GArray) terminals = NULL;
        guint mark;
        int fd;

        start(bus, role, pty("null"), "sh", "-c", ANSWERS, NULL);
        before = screen_open(bus, role, NULL);
        screen_expect(before, "ready\r\n");
        terminals = terminal_pids(bus);
        assert_int_equal(terminals->len, 1);
        fd = process_open(g_array_index(terminals, pid_t, 0));
        mark = bus_mark(bus);
        assert_int_equal(kill(keeper_pid(bus), SIGKILL), 0);
        WAIT_UNTIL(bus_count_since(bus, mark, "PropertiesChanged", NODE_PATH) > 0);
        after = screen_open(bus, role, NULL);
        screen_expect(after, "ready\r\n");
        send_input(bus, role, "one");
        screen_expect(before, "got one\r\n");

        node_restart(bus);
        node_call_fails(bus, "OpenTerminal", g_variant_new("(s@a{sv})", role, OPTIONS("{}")), "NoTerminal",
                "keeper", NULL);
        screen_type(before, "two\n");
        screen_expect(after, "got two\r\n");
        assert_poll(bus, role, "running");
        stop(bus, role);
        screen_expect_end(before);
        process_wait_dead(fd);
        (void) close(fd);
}

static void test_terminal_crashes(void **state) {
        Bus *bus = *state;
        const char *role = role_name("n"), *path = scratch("output");
        const Census before = census_before(bus);
        g_autofree char *output = g_strconcat("file:", path, NULL);
        pid_t pid, killed = 0;

        start(bus, role, pty(output), "sh", "-c", ANSWERS, NULL);
        pid = role_pid(bus, role);
        for (guint i = 0; i < 3; i++) {
                g_autofree char *line = g_strdup_printf("line %u\n", i),
                                *answer = g_strdup_printf("got line %u\r\n", i);
                g_autoptr(Screen) old = screen_open(bus, role, NULL), new = NULL;
                g_autoptr(GArray) terminals = NULL;

                if (i == 0)
                        screen_expect(old, "ready\r\n");
                else {
                        screen_type(old, "\n");
                        screen_expect(old, "got \r\n");
                }
                terminals = terminal_pids(bus);
                assert_int_equal(terminals->len, 1);
                assert_int_not_equal(g_array_index(terminals, pid_t, 0), killed);
                killed = g_array_index(terminals, pid_t, 0);
                assert_int_equal(kill(killed, SIGKILL), 0);
                screen_expect_end(old);

                /* The new one may not be running yet; requests wait for it. */
                new = screen_open(bus, role, NULL);
                screen_type(new, line);
                screen_expect(new, answer);
        }
        assert_int_equal(role_pid(bus, role), pid);
        close_input(bus, role);
        expect_exited(bus, role, "exited", 7, "self");
        WAIT_UNTIL(file_is(path, "ready\ngot line 0\ngot \ngot line 1\ngot \ngot line 2\nover\n"));
        purge(bus, role);
        assert_census(bus, &before);
}

/* Remaining processes of a role may still write. Their output is shown until they are swept. A failed start
 * leaves nothing. */
static void test_ends(void **state) {
        Bus *bus = *state;
        const char *role = role_name("o"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL);
        const Census before = census_before(bus);
        g_autoptr(Screen) screen = NULL;

        start(bus, role, pty(output), "sh", "-c",
                "trap '' HUP; stty -echo; (trap 'echo swept; exit' TERM; echo ready; while :; do sleep 600 & wait; done) & read -r line; exit 4",
                NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
        send_input(bus, role, "");
        expect_exited(bus, role, "exited", 4, "self");
        screen_expect(screen, "swept\r\n");
        screen_expect_end(screen);
        WAIT_UNTIL(file_is(path, "ready\nswept\n"));
        stop(bus, role);
        purge(bus, role);

        start_fails(bus, start_args(role, OPTIONS("{'stdin': <'pty'>}"), "/nonexistent/program", NULL),
                "ExecFailed", NULL);
        g_clear_pointer(&screen, screen_free);
        assert_census(bus, &before);
}

/* A role that closes its terminal has not ended, and may open it again. */
static void test_closed(void **state) {
        Bus *bus = *state;
        const char *role = role_name("p"), *go = scratch("go");
        int fd;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autoptr(Screen) screen = NULL;
        g_autoptr(GArray) first = NULL, terminals = NULL;

        assert_int_equal(mkfifo(go, 0600), 0);
        start(bus, role, pty("null"), "sh", "-c",
                "name=$(tty); exec 0<&- 1>&- 2>&-; echo closed >\"$1\"; read -r go <\"$2\"; exec <\"$name\" >\"$name\"; echo back; read -r line; exit 6",
                "sh", fifo_path(fifo), go, NULL);
        first = terminal_pids(bus);
        assert_int_equal(first->len, 1);
        fifo_expect(fifo, "closed");
        screen = screen_open(bus, role, NULL);
        fd = open(go, O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(fd, "\n", 1), 1);
        assert_int_equal(close(fd), 0);
        screen_expect(screen, "back\r\n");
        /* The first one still shows it. */
        terminals = terminal_pids(bus);
        assert_int_equal(terminals->len, 1);
        assert_int_equal(g_array_index(terminals, pid_t, 0), g_array_index(first, pid_t, 0));
        screen_type(screen, "\n");
        expect_exited(bus, role, "exited", 6, "self");
}

static void test_errors(void **state) {
        Bus *bus = *state, *stranger;
        const char *pipe = role_name("q"), *ended = role_name("r"), *tty = role_name("s");
        GVariant *open_args;

        start(bus, pipe, NULL, actor(), "pause", NULL);
        start(bus, tty, pty("null"), actor(), "pause", NULL);
        start(bus, ended, pty("null"), "true", NULL);
        expect_exited(bus, ended, "exited", 0, "self");
        stop(bus, ended);

        node_call_fails(bus, "OpenTerminal", g_variant_new("(s@a{sv})", pipe, OPTIONS("{}")), "NoTerminal",
                pipe, NULL);
        node_call_fails(
                bus, "ResizeTerminal", g_variant_new("(sqq)", pipe, 24, 80), "NoTerminal", pipe, NULL);
        node_call_fails(bus, "OpenTerminal", g_variant_new("(s@a{sv})", ended, OPTIONS("{}")),
                "RoleNotRunning", ended, NULL);
        node_call_fails(
                bus, "ResizeTerminal", g_variant_new("(sqq)", ended, 24, 80), "RoleNotRunning", ended, NULL);
        node_call_fails(bus, "OpenTerminal", g_variant_new("(s@a{sv})", "nobody", OPTIONS("{}")),
                "NoSuchRole", "nobody", NULL);
        node_call_fails(bus, "ResizeTerminal", g_variant_new("(sqq)", "nobody", 24, 80), "NoSuchRole",
                "nobody", NULL);
        node_call_fails(
                bus, "ResizeTerminal", g_variant_new("(sqq)", tty, 0, 80), INVALID_ARGS, "0 rows", NULL);
        node_call_fails(
                bus, "ResizeTerminal", g_variant_new("(sqq)", tty, 24, 0), INVALID_ARGS, "0 columns", NULL);
        open_args = g_variant_new("(s@a{sv})", tty, OPTIONS("{'mouse': <true>}"));
        node_call_fails(bus, "OpenTerminal", open_args, INVALID_ARGS, "mouse", NULL);
        open_args = g_variant_new("(s@a{sv})", tty, OPTIONS("{'replay': <1>}"));
        node_call_fails(bus, "OpenTerminal", open_args, INVALID_ARGS, "replay", NULL);
        start_fails(bus, start_args(role_name("t"), OPTIONS("{'stdin': <'tty'>}"), "true", NULL),
                INVALID_ARGS, "pipe, null or pty", NULL);

        stranger = bus_new_as("nobody");
        node_call_fails(stranger, "OpenTerminal", g_variant_new("(s@a{sv})", tty, OPTIONS("{}")),
                ACCESS_DENIED, NULL);
        node_call_fails(stranger, "ResizeTerminal", g_variant_new("(sqq)", tty, 24, 80), ACCESS_DENIED, NULL);
        bus_free(stranger);
        stop(bus, pipe);
        stop(bus, tty);
}

/* -- the process that reads the terminal -- */

static pid_t terminal_pid(Bus *bus) {
        g_autoptr(GArray) pids = terminal_pids(bus);

        return pids->len == 1 ? g_array_index(pids, pid_t, 0) : 0;
}

static void assert_status(pid_t pid, const char *key, const char *expected) {
        g_autofree char *value = process_status(pid, key);

        if (g_strcmp0(value, expected) != 0)
                fail_msg("%s is %s, not %s", key, value ?: "not there", expected);
}

static void assert_confined(pid_t pid, const char *uid, const char *gid, const char *capabilities) {
        g_autofree char *uids = g_strdup_printf("%s\t%s\t%s\t%s", uid, uid, uid, uid);
        g_autofree char *gids = g_strdup_printf("%s\t%s\t%s\t%s", gid, gid, gid, gid);

        assert_status(pid, "Uid", uids);
        assert_status(pid, "Gid", gids);
        assert_status(pid, "Groups", "");
        assert_status(pid, "CapPrm", capabilities);
        assert_status(pid, "CapEff", capabilities);
        assert_status(pid, "NoNewPrivs", "1");
        if (!process_is_sanitized(pid))
                assert_status(pid, "Seccomp", "2");
}

/* It is a process of the role's user, whatever the output is, and the journal knows the role. */
static void test_confined(void **state) {
        static const char none[] = "0000000000000000", send_as[] = "0000000000200000";
        Bus *bus = *state;
        const struct passwd *alice = getpwnam("alice");
        g_autofree char *uid = g_strdup_printf("%u", (unsigned) alice->pw_uid);
        g_autofree char *gid = g_strdup_printf("%u", (unsigned) alice->pw_gid);
        const char *path = scratch("of-root");
        g_autofree char *file = g_strconcat("append:", path, NULL);
        const struct {
                const char *user, *output, *uid, *gid, *capabilities;
        } runs[] = {
                { "root", "null", "0", "0", none },
                { "root", "journal", "0", "0", send_as },
                { "root", file, "0", "0", none },
                { "alice", "null", uid, gid, none },
                { "alice", "journal", uid, gid, send_as },
                { "12345", "journal", "12345", "12345", send_as },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
                const char *role = role_name_n("u", (guint) i);
                g_autofree char *since = journal_from_now(), *scope = role_scope(role);
                g_autofree char *unit = g_strdup_printf("_SYSTEMD_UNIT=%s", scope);
                g_autoptr(Screen) screen = NULL;

                start(bus, role,
                        OPTIONS("{'stdin': <'pty'>, 'output': <%s>, 'user': <%s>}", runs[i].output,
                                runs[i].user),
                        "sh", "-c", ANSWERS, NULL);
                screen = screen_open(bus, role, NULL);
                screen_expect(screen, "ready\r\n");
                assert_confined(terminal_pid(bus), runs[i].uid, runs[i].gid, runs[i].capabilities);
                screen_type(screen, "one\n");
                screen_expect(screen, "got one\r\n");
                if (g_str_equal(runs[i].output, "journal"))
                        WAIT_UNTIL(({
                                g_autofree char *said = journal(since, "-a", unit, NULL);
                                strstr(said, "got one");
                        }));
                kill_role(bus, role);
                screen_expect_end(screen);
                WAIT_UNTIL(terminal_pid(bus) == 0);
        }
        {
                g_autofree char *text = read_file(path);
                assert_contains(text, "got one");
        }
}

/* alice may kill the process, as any of hers, and gets another one that is hers. She cannot look into it. If
 * she stops it, it still ends with her role. */
static void test_killed_by_user(void **state) {
        Bus *bus = *state;
        const char *role = role_name("k");
        g_autoptr(Screen) first = NULL, next = NULL;
        g_autofree char *number = NULL, *environ_path = NULL, *owner = NULL;
        pid_t pid;

        start(bus, role, OPTIONS("{'stdin': <'pty'>, 'output': <'null'>, 'user': <'alice'>}"), "sh", "-c",
                ANSWERS, NULL);
        first = screen_open(bus, role, NULL);
        screen_expect(first, "ready\r\n");
        pid = terminal_pid(bus);
        owner = process_status(pid, "Uid");
        number = g_strdup_printf("%d", (int) pid);
        environ_path = g_strdup_printf("/proc/%d/environ", (int) pid);
        if (!process_is_sanitized(pid))
                assert_int_not_equal(run_as("alice", NULL, NULL, "cat", environ_path, NULL), 0);
        assert_int_equal(run_as("alice", NULL, NULL, "kill", "-KILL", number, NULL), 0);
        screen_expect_end(first);

        next = screen_open(bus, role, NULL);
        screen_type(next, "two\n");
        screen_expect(next, "got two\r\n");
        assert_poll(bus, role, "running");
        assert_int_not_equal(terminal_pid(bus), pid);
        pid = terminal_pid(bus);
        assert_status(pid, "Uid", owner);

        g_free(g_steal_pointer(&number));
        number = g_strdup_printf("%d", (int) pid);
        assert_int_equal(run_as("alice", NULL, NULL, "kill", "-STOP", number, NULL), 0);
        WAIT_UNTIL(process_state(pid) == 'T');
        kill_role(bus, role);
        WAIT_UNTIL(terminal_pid(bus) == 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_is_a_terminal),
                TEST(test_environment),
                TEST(test_clients),
                TEST(test_confined),
                TEST(test_killed_by_user),
                TEST(test_too_many),
                TEST(test_keys),
                TEST(test_resize),
                TEST(test_unread),
                TEST(test_typed_in_vain),
                TEST(test_journal),
                TEST(test_input),
                TEST(test_line_editing),
                TEST(test_much_input),
                TEST(test_node_restarts),
                TEST(test_node_crashes),
                TEST(test_keeper_crashes),
                TEST(test_terminal_crashes),
                TEST(test_ends),
                TEST(test_closed),
                TEST(test_errors),
        };

        return run_case("terminal", tests);
}
