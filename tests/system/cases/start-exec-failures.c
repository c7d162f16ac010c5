/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Start replies only when the command itself has been executed. Whatever stage fails, the error names the
 * role, the stage and the reason, and nothing is left: no unit, no role, no object, no process, no event. */

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

typedef struct Failure {
        const char *what;
        const char *options; /* %s is the scratch directory */
        const char *program; /* the same */
        const char *error;
        const char *words[3]; /* the words that the message must contain */
} Failure;

/* The name of a stage is that of the step that fails. */
static const Failure failures[] = {
        { "nothing there", "{}", "/nonexistent/program", "ExecFailed",
                { "/nonexistent/program", "No such file or directory" } },
        { "not executable", "{}", "%s/plain", "ExecFailed", { "/plain", "Permission denied" } },
        { "no interpreter", "{}", "%s/script", "ExecFailed",
                { "/script", "/nonexistent/interpreter", "does not exist" } },
        { "no program", "{}", "%s/garbage", "ExecFailed", { "/garbage", "neither a program" } },
        { "a directory", "{}", "/usr", "ExecFailed", { "/usr", "directory" } },
        { "mounted noexec", "{}", "%s/noexec/program", "ExecFailed",
                { "/noexec/program", "its file system is mounted noexec" } },
        { "line ends of Windows", "{}", "%s/crlf", "ExecFailed",
                { "/crlf", "its first line ends with a carriage return" } },
        { "a command line", "{}", "sleep 900", "ExecFailed",
                { "sleep 900", "the command is a list of words" } },
        { "for a shell", "{}", "~/program", "ExecFailed", { "~/program", "no shell is involved" } },
        { "a variable for a shell", "{}", "$HOME/program", "ExecFailed",
                { "$HOME/program", "no shell is involved" } },
        { "not in the working directory", "{'working-directory': <'/usr'>}", "./program", "ExecFailed",
                { "./program", "from the working directory \"/usr\"" } },
        { "not in PATH", "{}", "no-such-program-anywhere", "ExecFailed", { "no-such-program-anywhere" } },
        { "not for this user", "{'user': <'alice'>}", "%s/private/actor", "ExecFailed",
                { "/private/actor", "Permission denied" } },
        { "no such user", "{'user': <'nobody-is-called-so'>}", "%s/actor", "SetupFailed",
                { "user", "nobody-is-called-so" } },
        { "no such group", "{'group': <'no-group-is-called-so'>}", "%s/actor", "SetupFailed",
                { "user", "no-group-is-called-so" } },
        { "no directory", "{'working-directory': <'/nonexistent/directory'>}", "%s/actor", "SetupFailed",
                { "directory", "/nonexistent/directory", "No such file or directory" } },
        { "a file for a directory", "{'working-directory': <'%s/plain'>}", "%s/actor", "SetupFailed",
                { "directory", "/plain", "Not a directory" } },
        { "directory not for this user", "{'user': <'alice'>, 'working-directory': <'%s/private'>}",
                "%s/actor", "SetupFailed", { "directory", "/private", "Permission denied" } },
        { "output nowhere", "{'output': <'file:/nonexistent/output'>}", "%s/actor", "SetupFailed",
                { "output", "/nonexistent/output", "No such file or directory" } },
        { "output is a directory", "{'output': <'append:/usr'>}", "%s/actor", "SetupFailed",
                { "output", "/usr", "Is a directory" } },
        { "output not for this user", "{'user': <'alice'>, 'output': <'append:%s/plain'>}", "%s/actor",
                "SetupFailed", { "output", "/plain", "Permission denied" } },
        /* No limit can be higher than fs.nr_open. */
        { "a limit too high", "{'limits': <{'nofile': @t 4000000000}>}", "%s/actor", "SetupFailed",
                { "limits", "nofile", "Operation not permitted" } },
};

static void make_file(const char *name, const char *content, mode_t mode) {
        const char *path = scratch(name);

        assert_true(g_file_set_contents(path, content, -1, NULL));
        assert_int_equal(chmod(path, mode), 0);
}

static void make_files(void) {
        make_file("plain", "not a program\n", 0644);
        make_file("script", "#!/nonexistent/interpreter\n", 0755);
        make_file("garbage", "\001\002\003\004 this is no program\n", 0755);
        assert_int_equal(mkdir(scratch("private"), 0700), 0);
        make_file("private/actor", "#!/bin/sh\n", 0755);
        make_file("crlf", "#!/bin/sh\r\n", 0755);
        assert_int_equal(mkdir(scratch("noexec"), 0755), 0);
        assert_int_equal(mount("tmpfs", scratch("noexec"), "tmpfs", MS_NOEXEC, NULL), 0);
        make_file("noexec/program", "#!/bin/sh\n", 0755);
}

static void remove_files(void) {
        assert_int_equal(umount2(scratch("noexec"), 0), 0);
}

static char *in_scratch(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "%s", -1);
        g_autofree char *directory = g_path_get_dirname(scratch("x"));

        return g_strjoinv(directory, parts);
}

static GVariant *failure_args(const Failure *failure, const char *role) {
        g_autofree char *options = in_scratch(failure->options), *program = in_scratch(failure->program);
        g_autoptr(GError) error = NULL;
        GVariant *dictionary = g_variant_parse(G_VARIANT_TYPE_VARDICT, options, NULL, NULL, &error);

        if (!dictionary)
                fail_msg("%s: %s", failure->what, error->message);
        return start_args(role, dictionary, program, "pause", NULL);
}

static void check_failure(Bus *bus, const Failure *failure, guint32 serial, const char *role) {
        print_message("  %s\n", failure->what);
        bus_failure(bus, serial, failure->error, role, failure->words[0], failure->words[1],
                failure->words[2], NULL);
}

static void test_each_stage(void **state) {
        Bus *bus = *state;
        Census before;

        make_files();
        before = census_before(bus);
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
                const char *role = role_name("a");
                guint mark = bus_mark(bus);

                check_failure(
                        bus, &failures[i], node_send(bus, "Start", failure_args(&failures[i], role)), role);
                /* Nothing is left when the reply arrives, not only some time later. */
                assert_no_trace(bus, role, mark);
        }
        assert_census(bus, &before);
        remove_files();
}

static void test_all_at_once(void **state) {
        Bus *bus = *state;
        guint32 serials[G_N_ELEMENTS(failures)];
        guint mark;
        Census before;

        make_files();
        before = census_before(bus);
        mark = bus_mark(bus);
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
                serials[i] = node_send(bus, "Start", failure_args(&failures[i], role_name_n("b", i)));
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
                check_failure(bus, &failures[i], serials[i], role_name_n("b", i));
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
                assert_no_trace(bus, role_name_n("b", i), mark);
        assert_census(bus, &before);
        remove_files();
}

/* The kernel compares the limit with the other processes of the user. */
static void test_too_many_processes(void **state) {
        Bus *bus = *state;
        const char *first = role_name_n("g", 0), *second = role_name_n("g", 1);
        guint mark;

        start(bus, first, OPTIONS("{'user': <'alice'>}"), "sleep", "600", NULL);
        mark = bus_mark(bus);
        start_fails(bus,
                start_args(second, OPTIONS("{'user': <'alice'>, 'limits': <{'nproc': @t 0}>}"), "sleep",
                        "600", NULL),
                "ExecFailed", second, "\"sleep\"",
                "user \"alice\" has more processes than its limit nproc allows (0)", NULL);
        assert_no_trace(bus, second, mark);
        stop(bus, first);
}

/* The ended role of that name is unchanged. */
static void test_keeps_the_ended_one(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autoptr(GVariant) before = NULL, after = NULL;
        guint mark;

        start(bus, role, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        stop(bus, role); /* until it is swept */
        before = role_get_all(bus, role);

        mark = bus_mark(bus);
        start_fails(bus, start_args(role, NULL, "/nonexistent/program", NULL), "ExecFailed", role, NULL);
        assert_poll(bus, role, "exit 3");
        after = role_get_all(bus, role);
        assert_true(g_variant_equal(before, after));
        assert_int_equal(bus_count_since(bus, mark, "RoleStarted", role), 0);
        assert_int_equal(bus_count_since(bus, mark, "RoleExited", role), 0);
        assert_int_equal(bus_count_since(bus, mark, "InterfacesRemoved", NULL), 0);
        purge(bus, role);
}

static void test_killed_in_setup(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Hold) hold = hold_new();
        Census before;
        guint32 serial;
        guint mark;

        before = census_before(bus);
        mark = bus_mark(bus);
        serial = node_send(bus, "Start", start_args(role, NULL, hold_program(hold), "pause", NULL));
        assert_int_equal(kill(held_child(bus, role), SIGKILL), 0);
        bus_failure(bus, serial, "SetupFailed", role, "signal 9", NULL);
        assert_no_trace(bus, role, mark);
        assert_census(bus, &before);
}

/* The same at no particular moment: each start either fails and leaves nothing, or has run and was killed. */
static void test_killed_some_time(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        pid_t keeper = keeper_pid(bus);
        Census before = census_before(bus);
        guint undone = 0;

        for (guint i = 0; i < 30; i++) {
                guint mark = bus_mark(bus);
                guint32 serial = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
                pid_t child = 0;
                Event *reply;

                while (child == 0) {
                        g_autoptr(GArray) children = process_children(keeper);

                        assert_true(children->len <= before.keeper_children + 1);
                        for (guint j = 0; j < children->len; j++)
                                if (process_state(g_array_index(children, pid_t, j)) != 'Z')
                                        child = g_array_index(children, pid_t, j);
                        if (bus_has_reply(bus, serial))
                                break;
                }
                g_usleep(i * 100);
                /* The process that was found may have been reaped since, if it was the previous one. Then the
                 * state that was read was none. */
                if (child > 0 && kill(child, SIGKILL) < 0) {
                        assert_int_equal(errno, ESRCH);
                        child = 0;
                }

                reply = bus_wait_reply(bus, serial);
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                        undone++;
                        assert_contains(reply->text, role);
                        assert_string_not_equal(reply->error, NODE_NAME ".Error.ExecFailed");
                        assert_no_trace(bus, role, mark);
                        continue;
                }
                if (child == 0)
                        kill_role(bus, role);
                bus_wait(bus, "RoleStarted", role);
                expect_exited(bus, role, "killed", SIGKILL, child > 0 ? "external" : "kill");
                purge(bus, role);
        }
        print_message("  %u of 30 were killed before they ran\n", undone);
        assert_census(bus, &before);
}

/* The reply means that the command runs: /proc shows the program instead of the keeper's child. */
static void test_reply_means_running(void **state) {
        Bus *bus = *state;

        for (guint i = 0; i < 20; i++) {
                const char *role = role_name_n("f", i);
                g_autofree char *link = NULL, *program = NULL;

                start(bus, role, NULL, actor(), "pause", NULL);
                link = g_strdup_printf("/proc/%d/exe", (int) role_pid(bus, role));
                program = g_file_read_link(link, NULL);
                assert_string_equal(program, actor());
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_stage),
                TEST(test_all_at_once),
                TEST(test_too_many_processes),
                TEST(test_keeps_the_ended_one),
                TEST(test_killed_in_setup),
                TEST(test_killed_some_time),
                TEST(test_reply_means_running),
        };
        return run_case("start-exec-failures", tests);
}
