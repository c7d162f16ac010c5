/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Each option of Start has its documented effect in the role. */

#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <glib/gstdio.h>

#include "testlib.h"

static GHashTable *dump_of(Bus *bus, const char *role, GVariant *options) {
        const char *path = scratch("dump");

        start(bus, role, options, actor(), "dump", path, NULL);
        expect_exited(bus, role, "exited", 0, "self");
        return read_dump(path);
}

static void check_words(const char *text, const char *words) {
        g_auto(GStrv) a = g_strsplit_set(text, " \t", -1), b = g_strsplit(words, " ", -1);
        guint i = 0, j = 0;

        for (; b[j]; j++) {
                while (a[i] && !a[i][0])
                        i++;
                if (g_strcmp0(a[i], b[j]) != 0)
                        fail_msg("should be '%s', but is '%s'", words, text);
                i++;
        }
}

static void test_user(void **state) {
        Bus *bus = *state;
        const struct passwd *pw = getpwnam("alice");
        g_autofree char *uids =
                g_strdup_printf("%u %u %u %u", pw->pw_uid, pw->pw_uid, pw->pw_uid, pw->pw_uid);
        g_autofree char *gids =
                g_strdup_printf("%u %u %u %u", pw->pw_gid, pw->pw_gid, pw->pw_gid, pw->pw_gid);
        g_autofree char *number = g_strdup_printf("%u", pw->pw_uid),
                        *expected = g_strdup_printf("%u", pw->pw_gid);
        const char *users[] = { "alice", number };
        const char *daemon_gids = "1 1 1 1";

        assert_int_equal(chmod(scratch(""), 0777), 0);
        assert_int_equal(getgrnam("daemon")->gr_gid, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(users); i++) {
                g_autoptr(GHashTable) dump =
                        dump_of(bus, role_name("a"), OPTIONS("{'user': <%s>}", users[i]));

                check_words(dump_get(dump, "status.Uid"), uids);
                check_words(dump_get(dump, "status.Gid"), gids);
                /* Her own groups, and none of root. */
                check_words(dump_get(dump, "status.Groups"), expected);
                assert_string_equal(dump_get(dump, "status.CapEff"), "0000000000000000");
                assert_string_equal(dump_get(dump, "status.CapPrm"), "0000000000000000");
                assert_string_equal(dump_get(dump, "env.USER"), "alice");
                assert_string_equal(dump_get(dump, "env.HOME"), pw->pw_dir);
                assert_string_equal(dump_get(dump, "env.SHELL"), pw->pw_shell);
                assert_int_equal(g_unlink(scratch("dump")), 0);
        }
        {
                g_autoptr(GHashTable) dump =
                        dump_of(bus, role_name("b"), OPTIONS("{'user': <'alice'>, 'group': <'daemon'>}"));

                check_words(dump_get(dump, "status.Uid"), uids);
                check_words(dump_get(dump, "status.Gid"), daemon_gids);
                assert_int_equal(g_unlink(scratch("dump")), 0);
        }
        {
                g_autoptr(GHashTable) dump = dump_of(bus, role_name("c"), OPTIONS("{'group': <'1'>}"));

                check_words(dump_get(dump, "status.Uid"), "0 0 0 0");
                check_words(dump_get(dump, "status.Gid"), daemon_gids);
        }
}

static char *notice(const char *since, const char *role) {
        g_autofree char *match = g_strconcat("ARCHITECT_ROLE=", role, NULL);

        return journal(since, match, NULL);
}

/* alice lingers, bob has no session. */
static void test_session(void **state) {
        Bus *bus = *state;
        const struct passwd *pw = getpwnam("alice");
        g_autofree char *runtime = g_strdup_printf("/run/user/%u", pw->pw_uid),
                        *address = g_strdup_printf("unix:path=/run/user/%u/bus", pw->pw_uid),
                        *since = journal_from_now(), *of_alice = NULL, *of_bob = NULL, *of_configured = NULL;
        const char *drop_in = "/run/systemd/logind.conf.d";

        assert_int_equal(chmod(scratch(""), 0777), 0);
        {
                g_autoptr(GHashTable) dump = dump_of(bus, role_name("m"),
                        OPTIONS("{'user': <'alice'>, 'env': <{'XDG_RUNTIME_DIR': '/own'}>}"));

                assert_string_equal(dump_get(dump, "env.XDG_RUNTIME_DIR"), "/own");
                assert_int_equal(g_unlink(scratch("dump")), 0);
        }
        {
                g_autoptr(GHashTable) dump = dump_of(bus, role_name("n"), OPTIONS("{'user': <'alice'>}"));

                assert_string_equal(dump_get(dump, "env.XDG_RUNTIME_DIR"), runtime);
                assert_string_equal(dump_get(dump, "env.DBUS_SESSION_BUS_ADDRESS"), address);
                assert_int_equal(g_unlink(scratch("dump")), 0);
        }
        {
                g_autoptr(GHashTable) dump = dump_of(bus, role_name("o"), OPTIONS("{'user': <'bob'>}"));

                assert_null(g_hash_table_lookup(dump, "env.XDG_RUNTIME_DIR"));
                assert_null(g_hash_table_lookup(dump, "env.DBUS_SESSION_BUS_ADDRESS"));
        }
        /* Her bus answers. */
        start(bus, role_name("p"), OPTIONS("{'user': <'alice'>}"), "busctl", "--user", "list", NULL);
        expect_exited(bus, role_name("p"), "exited", 0, "self");

        of_alice = notice(since, role_name("n"));
        of_bob = notice(since, role_name("o"));
        assert_contains(of_alice, "Started");
        assert_contains_not(of_alice, "logind");
        assert_contains(of_bob, "When the last session of user \"bob\" ends, logind removes");
        assert_contains(of_bob, "enable-linger");

        write_file("/run/systemd/logind.conf.d/50-test.conf", "[Login]\nRemoveIPC = no\n");
        start(bus, role_name("q"), OPTIONS("{'user': <'bob'>}"), actor(), "exit", "0", NULL);
        assert_int_equal(g_unlink("/run/systemd/logind.conf.d/50-test.conf"), 0);
        assert_int_equal(g_rmdir(drop_in), 0);
        expect_exited(bus, role_name("q"), "exited", 0, "self");
        of_configured = notice(since, role_name("q"));
        assert_contains_not(of_configured, "logind");
}

/* The standard input has a name that the user of the role may open. */
static void test_dev_stdin(void **state) {
        Bus *bus = *state;
        const char *role = role_name("r"), *path = scratch("copy");
        g_autofree char *output = g_strconcat("file:", path, NULL), *text = NULL;

        assert_int_equal(chmod(scratch(""), 0777), 0);
        start(bus, role, OPTIONS("{'user': <'bob'>, 'output': <%s>}", output), "cat", "/dev/stdin", NULL);
        send_input(bus, role, "through its name");
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(path);
        assert_string_equal(text, "through its name");
}

static void test_environment(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = dump_of(bus, role_name("d"),
                OPTIONS("{'env': <{'SITE': 'Kitt Peak', 'EMPTY': '', 'LINES2': 'a\\nb', 'PATH': '/usr/bin:/bin', 'Q': '\"$HOME\"'}>}"));

        assert_string_equal(dump_get(dump, "env.SITE"), "Kitt Peak");
        assert_string_equal(dump_get(dump, "env.EMPTY"), "");
        assert_string_equal(dump_get(dump, "env.PATH"), "/usr/bin:/bin");
        assert_string_equal(dump_get(dump, "env.Q"), "\"$HOME\""); /* no shell is involved */
        assert_string_equal(
                dump_get(dump, "env.LINES2"), "a"); /* and "b", which is on a line of its own in the dump */
}

/* A program without a slash is searched for in PATH of the role, which may be that of the caller. */
static void test_path(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autofree char *directory = g_path_get_dirname(actor()),
                        *path = g_strconcat(directory, ":/usr/bin:/bin", NULL);

        start(bus, role, OPTIONS("{'env': <{'PATH': %s}>}", path), "actor", "exit", "21", NULL);
        expect_exited(bus, role, "exited", 21, "self");
        start_fails(
                bus, start_args(role, NULL, "actor", "exit", "21", NULL), "ExecFailed", role, "actor", NULL);
}

static void test_arguments(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *text = NULL;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "printf", "[%s]", "a b", "", "$HOME", "*", "\"",
                "ü", "a\nb", "%d", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(path);
        assert_string_equal(text, "[a b][][$HOME][*][\"][ü][a\nb][%d]");
}

static void test_directory_and_nice(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump =
                dump_of(bus, role_name("g"), OPTIONS("{'working-directory': <'/usr/lib'>, 'nice': <7>}"));
        g_autoptr(GHashTable) plain = dump_of(bus, role_name("h"), NULL);
        g_autoptr(GHashTable) important = dump_of(bus, role_name("i"), OPTIONS("{'nice': <-5>}"));

        assert_string_equal(dump_get(dump, "cwd"), "/usr/lib");
        assert_string_equal(dump_get(dump, "nice"), "7");
        assert_string_equal(dump_get(plain, "cwd"), "/");
        /* That of the services, which is not 0 if the machine was booted under nice(1). */
        assert_int_equal(g_ascii_strtoll(dump_get(plain, "nice"), NULL, 10), getpriority(PRIO_PROCESS, 1));
        assert_string_equal(dump_get(important, "nice"), "-5");
}

/* The line of /proc/PID/status. */
static void assert_status(pid_t pid, const char *key, const char *expected) {
        g_autofree char *value = process_status(pid, key);

        assert_string_equal(value, expected);
}

static void test_cpus_and_oom_score(void **state) {
        Bus *bus = *state;
        const char *role = role_name("m"), *plain = role_name("n");
        g_autofree char *cpus = process_status(getpid(), "Cpus_allowed_list");
        g_autofree char *first = g_strndup(cpus, strcspn(cpus, "-,"));

        start(bus, role, OPTIONS("{'cpu-affinity': <%s>, 'oom-score-adjust': <70>}", first), actor(), "pause",
                NULL);
        assert_status(role_pid(bus, role), "Cpus_allowed_list", first);
        g_autofree char *file = g_strdup_printf("/proc/%d/oom_score_adj", (int) role_pid(bus, role));
        g_autofree char *score = read_file(file);
        assert_string_equal(score, "70");

        start(bus, plain, NULL, actor(), "pause", NULL);
        assert_status(role_pid(bus, plain), "Cpus_allowed_list", cpus);
        start_fails(bus,
                start_args(
                        role_name("o"), OPTIONS("{'cpu-affinity': <'8190-8191'>}"), actor(), "pause", NULL),
                "SetupFailed", "8190-8191", "may use none of them", NULL);
}

static uid_t owner_of(const char *cgroup, const char *name) {
        g_autofree char *path = cgroup_file(cgroup, name);
        struct stat st;

        assert_return_code(stat(path, &st), errno);
        return st.st_uid;
}

/* The cgroup belongs to the user of the role, and what he makes there is stopped with it. */
static void test_delegate(void **state) {
        static const char script[] =
                "mkdir $CG/sub && echo $$ >$CG/sub/cgroup.procs && mkdir $CG/sub/deeper && "
                "exec \"$0\" say \"$1\" ready pause";
        Bus *bus = *state;
        const char *role = role_name("s"), *plain = role_name("t"), *nobody = role_name("u");
        g_autoptr(Fifo) fifo = fifo_new("delegate");
        guint mark = bus_mark(bus);

        assert_return_code(chmod(fifo_path(fifo), 0666), errno);
        start(bus, plain, OPTIONS("{'user': <'alice'>}"), actor(), "pause", NULL);
        g_autofree char *not_delegated = role_cgroup(bus, plain);
        assert_int_equal(owner_of(not_delegated, "cgroup.procs"), 0);

        for (int by_name = 0; by_name < 2; by_name++) {
                g_autofree char *sh =
                        g_strdup_printf("CG=/sys/fs/cgroup$(sed -n s,^0::,,p /proc/self/cgroup); %s", script);

                start(bus, role,
                        OPTIONS("{'user': <%s>, 'group': <'users'>, 'delegate': <true>}",
                                by_name ? "alice" : "1001"),
                        "sh", "-c", sh, actor(), fifo_path(fifo), NULL);
                fifo_expect_pid(fifo, "ready");
                g_autofree char *cgroup = role_cgroup(bus, role), *sub = g_strconcat(cgroup, "/sub", NULL),
                                *own = process_cgroup(role_pid(bus, role));
                g_autofree char *max_file = cgroup_file(cgroup, "cgroup.max.descendants"),
                                *max = read_file(max_file);
                assert_string_equal(own, sub);
                assert_int_equal(owner_of(cgroup, "."), 1001);
                assert_int_equal(owner_of(cgroup, "cgroup.procs"), 1001);
                assert_int_equal(owner_of(cgroup, "cgroup.max.descendants"), 0);
                assert_string_equal(max, "max"); /* root has started it */
                stop(bus, role);
                expect_exited(bus, role, "killed", SIGTERM, "stop");
                assert_false(cgroup_is_populated(cgroup));
        }

        start_fails(bus,
                start_args(
                        nobody, OPTIONS("{'user': <'nosuch'>, 'delegate': <true>}"), actor(), "pause", NULL),
                "ScopeFailed", nobody, NULL);
        assert_no_trace(bus, nobody, mark);
}

static void test_limits(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = dump_of(bus, role_name("j"),
                OPTIONS("{'limits': <{'nofile': @t 77, 'core': 4096, 'memlock': 65536, 'nproc': 999, 'stack': 4194304, 'fsize':"
                        " 18446744073709551615, 'as': @t 109951162777600}>}"));

        /* Both the soft and the hard limit. */
        check_words(dump_get(dump, "limits.Max open files"), "77 77 files");
        check_words(dump_get(dump, "limits.Max core file size"), "4096 4096 bytes");
        check_words(dump_get(dump, "limits.Max locked memory"), "65536 65536 bytes");
        check_words(dump_get(dump, "limits.Max processes"), "999 999 processes");
        check_words(dump_get(dump, "limits.Max stack size"), "4194304 4194304 bytes");
        check_words(dump_get(dump, "limits.Max file size"), "unlimited unlimited bytes");
        check_words(dump_get(dump, "limits.Max address space"), "109951162777600 109951162777600 bytes");
}

static void test_stdin(void **state) {
        Bus *bus = *state;
        const char *with_pipe = role_name("k"), *with_null = role_name("l");
        g_autofree char *a = NULL, *b = NULL, *pipe = NULL, *null = NULL;

        start(bus, with_pipe, OPTIONS("{'stdin': <'pipe'>}"), actor(), "pause", NULL);
        start(bus, with_null, OPTIONS("{'stdin': <'null'>}"), actor(), "pause", NULL);
        a = g_strdup_printf("/proc/%d/fd/0", (int) role_pid(bus, with_pipe));
        b = g_strdup_printf("/proc/%d/fd/0", (int) role_pid(bus, with_null));
        pipe = g_file_read_link(a, NULL);
        null = g_file_read_link(b, NULL);
        assert_true(g_str_has_prefix(pipe, "pipe:"));
        assert_string_equal(null, "/dev/null");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_user),
                TEST(test_session),
                TEST(test_dev_stdin),
                TEST(test_environment),
                TEST(test_path),
                TEST(test_arguments),
                TEST(test_directory_and_nice),
                TEST(test_cpus_and_oom_score),
                TEST(test_delegate),
                TEST(test_limits),
                TEST(test_stdin),
        };
        return run_case("start-options", tests);
}
