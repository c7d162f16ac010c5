/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * output=file:PATH truncates the file first, append:PATH does not. Both are opened as the user of the role
 * and take standard error, too. null is /dev/null. */

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "keeper.h"
#include "testlib.h"

static void run_with_output(
        Bus *bus, const char *role, const char *user, const char *output, const char *text) {
        g_autofree char *script = g_strdup_printf("echo %s; echo %s-err >&2", text, text);

        start(bus, role,
                user ? OPTIONS("{'output': <%s>, 'user': <%s>}", output, user)
                     : OPTIONS("{'output': <%s>}", output),
                "sh", "-c", script, NULL);
        expect_exited(bus, role, "exited", 0, "self");
}

static void test_file_and_append(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *path = scratch("output");
        g_autofree char *file = g_strconcat("file:", path, NULL),
                        *append = g_strconcat("append:", path, NULL);
        g_autofree char *one = NULL, *two = NULL, *three = NULL, *property = NULL;

        run_with_output(bus, role, NULL, file, "one");
        one = read_file(path);
        assert_string_equal(one, "one\none-err");
        property = role_get_string(bus, role, "Output");
        assert_string_equal(property, file);

        run_with_output(bus, role, NULL, append, "two");
        two = read_file(path);
        assert_string_equal(two, "one\none-err\ntwo\ntwo-err");

        run_with_output(bus, role, NULL, file, "three");
        three = read_file(path);
        assert_string_equal(three, "three\nthree-err");
}

/* Two roles that append to one file do not overwrite each other. */
static void test_append_is_append(void **state) {
        Bus *bus = *state;
        const char *path = scratch("output");
        g_autofree char *append = g_strconcat("append:", path, NULL), *text = NULL;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        for (guint i = 0; i < 2; i++)
                start(bus, role_name_n("b", i), OPTIONS("{'output': <%s>}", append), actor(), "echo",
                        fifo_path(fifo), NULL);
        for (guint i = 0; i < 6; i++) {
                g_autofree char *line = g_strdup_printf("line %u", i);

                send_input(bus, role_name_n("b", i % 2), line);
                fifo_expect_pid(fifo, "echo");
        }
        text = read_file(path);
        assert_string_equal(text, "line 0\nline 1\nline 2\nline 3\nline 4\nline 5");
}

/* A rotation that copies a log and empties it (logrotate's copytruncate) leaves no hole in one that is
 * appended to. With file: the role goes on at its offset, as with StandardOutput=truncate: of systemd. */
static void test_emptied(void **state) {
        Bus *bus = *state;

        for (guint i = 0; i < 2; i++) {
                const char *role = role_name_n("e", i), *path = scratch(i == 0 ? "file" : "append");
                g_autofree char *output = g_strconcat(i == 0 ? "file:" : "append:", path, NULL),
                                *content = NULL;
                g_autofree char *name = g_strdup_printf("fifo%u", i);
                g_autoptr(Fifo) fifo = fifo_new(name);
                gsize size;

                start(bus, role, OPTIONS("{'output': <%s>}", output), actor(), "echo", fifo_path(fifo), NULL);
                send_input(bus, role, "one");
                fifo_expect_pid(fifo, "echo");
                assert_return_code(truncate(path, 0), errno);
                send_input(bus, role, "two");
                fifo_expect_pid(fifo, "echo");
                assert_true(g_file_get_contents(path, &content, &size, NULL));
                if (i == 0) {
                        assert_int_equal(size, 8);
                        assert_memory_equal(content, "\0\0\0\0two\n", 8);
                } else
                        assert_string_equal(content, "two\n");
                stop(bus, role);
        }
}

static void test_as_the_user(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c"), *directory = scratch("hers"), *path = scratch("hers/output");
        g_autofree char *file = g_strconcat("file:", path, NULL), *mine = NULL, *theirs = NULL;
        const struct passwd *alice = getpwnam("alice");
        const char *private = scratch("private");
        struct stat st;

        assert_non_null(alice);
        assert_int_equal(g_mkdir(directory, 0700), 0);
        assert_int_equal(chown(directory, alice->pw_uid, alice->pw_gid), 0);

        run_with_output(bus, role, "alice", file, "hers");
        mine = read_file(path);
        assert_string_equal(mine, "hers\nhers-err");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, alice->pw_uid);
        assert_int_equal(st.st_gid, alice->pw_gid);
        assert_int_equal(st.st_mode & 07777, 0644); /* umask 0022 */

        /* alice cannot truncate a file of root, even if root starts the role. */
        assert_true(g_file_set_contents(private, "secret\n", -1, NULL));
        g_free(g_steal_pointer(&file));
        file = g_strconcat("file:", private, NULL);
        start_fails(bus,
                start_args(
                        role, OPTIONS("{'output': <%s>, 'user': <'alice'>}", file), actor(), "pause", NULL),
                "SetupFailed", role, "output", private, "Permission denied", NULL);
        theirs = read_file(private);
        assert_string_equal(theirs, "secret");
}

static void test_null(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *out = NULL, *err = NULL, *out_target = NULL, *err_target = NULL, *logged = NULL;

        start(bus, role, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        send_input(bus, role, "nobody hears this");
        fifo_expect_pid(fifo, "echo");
        out = g_strdup_printf("/proc/%d/fd/1", (int) role_pid(bus, role));
        err = g_strdup_printf("/proc/%d/fd/2", (int) role_pid(bus, role));
        out_target = g_file_read_link(out, NULL);
        err_target = g_file_read_link(err, NULL);
        assert_string_equal(out_target, "/dev/null");
        assert_string_equal(err_target, "/dev/null");
        logged = journal("-t", role, NULL);
        assert_contains_not(logged, "nobody hears this");
}

/* Returns what follows the time of a line with this text. */
static const char *expect_stamped(const char *line, const char *text, gint64 since_usec) {
        g_autofree char *time = g_strndup(line, strlen("2026-12-01T03:14:15.926535Z"));
        g_autoptr(GDateTime) then = g_date_time_new_from_iso8601(time, NULL);
        const char *rest = line + strlen(time);
        gint64 usec;

        if (!then || !g_str_has_prefix(rest, " ") || !g_str_has_prefix(rest + 1, text))
                fail_msg("'%s' is not \"%s\" after a time", line, text);
        usec = g_date_time_to_unix(then) * G_USEC_PER_SEC + g_date_time_get_microsecond(then);
        assert_in_range(usec, since_usec, g_get_real_time());
        return rest + 1 + strlen(text);
}

static bool file_has(const char *path, const char *text) {
        g_autofree char *content = NULL;

        return g_file_get_contents(path, &content, NULL, NULL) && strstr(content, text);
}

/* The output goes on with times over the deaths of the node, the keeper and both, of a user with another one,
 * and in what a hook prints. A line has the time at which it has begun. */
static void test_timestamps(void **state) {
        static const char *const lines[] = { "one", "after the node", "after the keeper", "after both" };
        Bus *bus = *state;
        const char *role = role_name("t"), *directory = scratch("stamped"), *path = scratch("stamped/output");
        g_autofree char *append = g_strconcat("append:", path, NULL), *content = NULL;
        const gint64 since = g_get_real_time();
        const struct passwd *alice = getpwnam("alice");
        const char *p;

        assert_int_equal(g_mkdir(directory, 0700), 0);
        assert_int_equal(chown(directory, alice->pw_uid, alice->pw_gid), 0);
        start(bus, role,
                OPTIONS("{'output': <%s>, 'output-timestamps': <true>, 'user': <'alice'>, "
                        "'exec-stop': <[['/bin/echo', 'of exec-stop']]>, "
                        "'exec-stop-post': <[['/bin/echo', 'of exec-stop-post']]>}",
                        append),
                "cat", NULL);
        for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
                send_input(bus, role, lines[i]);
                WAIT_UNTIL(file_has(path, lines[i]));
                if (i == 0)
                        node_crash(bus);
                else if (i == 1)
                        keeper_crash_and_wait(bus);
                else if (i == 2)
                        keeper_and_node_crash(bus);
        }
        stop(bus, role);
        WAIT_UNTIL(file_has(path, "of exec-stop-post"));
        p = content = read_file(path);
        for (guint i = 0; i < G_N_ELEMENTS(lines); i++)
                p = expect_stamped(p, lines[i], since) + 1;
        p = expect_stamped(p, "of exec-stop\n", since);
        p = expect_stamped(p, "of exec-stop-post", since);
        assert_string_equal(p, "");

        /* Of a role with a terminal it is what the terminal shows, which has made two characters of a
         * newline. */
        g_autofree char *of_pty = g_strconcat("file:", scratch("pty"), NULL), *shown = NULL;
        start(bus, role_name("u"),
                OPTIONS("{'output': <%s>, 'output-timestamps': <true>, 'stdin': <'pty'>}", of_pty), "echo",
                "of a terminal", NULL);
        expect_exited(bus, role_name("u"), "exited", 0, "self");
        WAIT_UNTIL(file_has(scratch("pty"), "of a terminal"));
        shown = read_file(scratch("pty"));
        assert_string_equal(expect_stamped(shown, "of a terminal", since), "");

        start_fails(bus, start_args(role, OPTIONS("{'output-timestamps': <true>}"), actor(), "pause", NULL),
                INVALID_ARGS, "output-timestamps", "journal", NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_timestamps),
                TEST(test_file_and_append),
                TEST(test_append_is_append),
                TEST(test_emptied),
                TEST(test_as_the_user),
                TEST(test_null),
        };
        return run_case("output-file", tests);
}
