/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A role has the process properties that systemd-run --scope would give it: signals, capabilities, limits,
 * oom_score_adj, umask, namespaces, scheduling, working directory, descriptors, environment. The protection
 * of the keeper and the node does not extend to it. */

#include <sys/stat.h>

#include "testlib.h"

/* The documented variables that a role has in addition to the environment of the node. */
static const char *const role_variables[] = {
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "ARCHITECT_ROLE",
        "ARCHITECT_INSTANCE",
        NULL,
};

/* The variables with which systemd describes a service to itself; a role must not have them. */
static const char *const service_variables[] = {
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "SYSTEMD_EXEC_PID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "MANAGERPID",
        "MAINPID",
        "RUNTIME_DIRECTORY",
        "STATE_DIRECTORY",
        "CACHE_DIRECTORY",
        "LOGS_DIRECTORY",
        "CONFIGURATION_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "FDSTORE",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
        "ARCHITECT_FEATURES_OFF",
        "ARCHITECT_BOOT_ID",
        "ASAN_OPTIONS",
        "UBSAN_OPTIONS",
        "LSAN_OPTIONS",
        NULL,
};

/* The compared values. Everything else in a dump belongs to one process only (PIDs, memory, counters). */
static const char *const compared[] = {
        "status.Umask",
        "status.Uid",
        "status.Gid",
        "status.Groups",
        "status.Threads",
        "status.SigPnd",
        "status.ShdPnd",
        "status.SigBlk",
        "status.SigIgn",
        "status.SigCgt",
        "status.CapInh",
        "status.CapPrm",
        "status.CapEff",
        "status.CapBnd",
        "status.CapAmb",
        "status.NoNewPrivs",
        "status.Seccomp",
        "status.Seccomp_filters",
        "status.TracerPid",
        "status.Speculation_Store_Bypass",
        "status.Cpus_allowed",
        "status.Mems_allowed",
        "oom_score_adj",
        "coredump_filter",
        "loginuid",
        "timerslack",
        "cwd",
        "nice",
        "scheduler",
        "ioprio",
        "personality",
        "dumpable",
        "pdeathsig",
        "subreaper",
        "securebits",
        "thp_disable",
        NULL,
};

static void compare(GHashTable *role, GHashTable *reference, const char *key) {
        const char *a = g_hash_table_lookup(role, key), *b = g_hash_table_lookup(reference, key);

        if (g_strcmp0(a, b) != 0) {
                print_error("%s: '%s' for the role, '%s' by systemd-run --scope\n", key, a ?: "(none)",
                        b ?: "(none)");
                g_hash_table_insert(role, g_strdup("different"), g_strdup(key));
        }
}

static void compare_all(GHashTable *role, GHashTable *reference, const char *prefix) {
        GHashTable *dumps[] = { role, reference };
        g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GHashTableIter iter;
        void *key;

        for (size_t i = 0; i < G_N_ELEMENTS(dumps); i++) {
                g_hash_table_iter_init(&iter, dumps[i]);
                while (g_hash_table_iter_next(&iter, &key, NULL))
                        if (g_str_has_prefix(key, prefix))
                                g_hash_table_add(keys, g_strdup(key));
        }
        assert_true(g_hash_table_size(keys) > 0);
        g_hash_table_iter_init(&iter, keys);
        while (g_hash_table_iter_next(&iter, &key, NULL))
                compare(role, reference, key);
}

static void drop_variables(GHashTable *dump, const char *const *names) {
        for (; *names; names++) {
                g_autofree char *key = g_strconcat("env.", *names, NULL);
                g_hash_table_remove(dump, key);
        }
}

/* If /sbin and /bin are links to directories that are in PATH already, newer versions of systemd leave them
 * out. PATH of a role is the same on each machine. */
static void add_links_to_path(GHashTable *dump) {
        const char *path = g_hash_table_lookup(dump, "env.PATH");

        if (path && g_str_has_suffix(path, ":/usr/sbin:/usr/bin"))
                g_hash_table_insert(dump, g_strdup("env.PATH"), g_strconcat(path, ":/sbin:/bin", NULL));
}

static GHashTable *dump_of_role(Bus *bus, const char *role, GVariant *options) {
        const char *path = scratch(role);

        start(bus, role, options, actor(), "dump", path, NULL);
        expect_exited(bus, role, "exited", 0, "self");
        return read_dump(path);
}

/* As from a shell of root that systemd has started. */
static GHashTable *dump_by_systemd_run(void) {
        const char *path = scratch("systemd-run");

        g_free(run_ok("systemd-run", "--quiet", "--pipe", "--wait", "--collect",
                "--property=IgnoreSIGPIPE=no", "--property=KeyringMode=inherit", "setpriv", "--reuid=root",
                "--regid=root", "--init-groups", "systemd-run", "--quiet", "--scope", "--collect", actor(),
                "dump", path, NULL));
        return read_dump(path);
}

static void test_parity(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) role =
                dump_of_role(bus, role_name("a"), OPTIONS("{'stdin': <'null'>, 'output': <'null'>}"));
        g_autoptr(GHashTable) reference = dump_by_systemd_run();

        /* The one difference: SIGPIPE, the signal 13, is ignored, as in a service. */
        assert_string_equal(dump_get(role, "status.SigIgn"), "0000000000001000");
        assert_string_equal(dump_get(reference, "status.SigIgn"), "0000000000000000");
        g_hash_table_insert(role, g_strdup("status.SigIgn"), g_strdup("0000000000000000"));

        for (const char *const *key = compared; *key; key++)
                compare(role, reference, *key);
        compare_all(role, reference, "limits.");
        compare_all(role, reference, "ns.");
        compare_all(role, reference, "fd.");

        for (const char *const *name = service_variables; *name; name++) {
                g_autofree char *key = g_strconcat("env.", *name, NULL);
                if (g_hash_table_contains(role, key)) {
                        print_error("%s is in the role's environment\n", *name);
                        g_hash_table_insert(role, g_strdup("different"), g_strdup(key));
                }
        }
        drop_variables(reference, service_variables);
        drop_variables(reference, role_variables);
        drop_variables(role, role_variables);
        add_links_to_path(reference);
        compare_all(role, reference, "env.");

        if (g_hash_table_contains(role, "different"))
                fail_msg("a role differs from what systemd-run --scope starts");
}

static void test_sigpipe(void **state) {
        Bus *bus = *state;
        const char *service = scratch("service");
        g_autoptr(GHashTable) kept =
                dump_of_role(bus, role_name("f"), OPTIONS("{'ignore-sigpipe': <false>}"));
        g_autoptr(GHashTable) ignored =
                dump_of_role(bus, role_name("g"), OPTIONS("{'ignore-sigpipe': <true>}"));
        g_autoptr(GHashTable) reference = NULL;

        g_free(run_ok("systemd-run", "--quiet", "--wait", "--collect", actor(), "dump", service, NULL));
        reference = read_dump(service);
        assert_string_equal(dump_get(kept, "status.SigIgn"), "0000000000000000");
        assert_string_equal(dump_get(ignored, "status.SigIgn"), dump_get(reference, "status.SigIgn"));
}

static void test_variables(void **state) {
        Bus *bus = *state;
        const char *name = role_name("b");
        g_autoptr(GHashTable) root = dump_of_role(bus, name, NULL);
        g_autoptr(GHashTable) alice = NULL;

        assert_int_equal(chmod(scratch(""), 0777), 0); /* alice writes the dump */
        alice = dump_of_role(bus, role_name("c"),
                OPTIONS("{'user': <'alice'>, 'output': <'null'>, 'working-directory': <'/'>,"
                        " 'env': <{'HOME': '/elsewhere', 'EMPTY': ''}>}"));

        assert_string_equal(dump_get(root, "env.HOME"), "/root");
        assert_string_equal(dump_get(root, "env.USER"), "root");
        assert_string_equal(dump_get(root, "env.LOGNAME"), "root");
        assert_true(g_str_has_prefix(dump_get(root, "env.SHELL"), "/"));
        assert_string_equal(dump_get(root, "env.ARCHITECT_ROLE"), name);
        assert_string_equal(dump_get(root, "env.ARCHITECT_INSTANCE"), "main");

        /* An explicit value has precedence. */
        assert_string_equal(dump_get(alice, "env.HOME"), "/elsewhere");
        assert_string_equal(dump_get(alice, "env.EMPTY"), "");
        assert_string_equal(dump_get(alice, "env.USER"), "alice");
        assert_string_equal(dump_get(alice, "env.LOGNAME"), "alice");
}

/* Only 0, 1 and 2, blocking: with a pipe, a journal stream and everything that was open in the meantime. */
static void test_descriptors(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = NULL;
        GHashTableIter iter;
        guint n = 0;
        void *key;

        for (guint i = 0; i < 20; i++)
                start(bus, role_name_n("d", i), NULL, actor(), "pause", NULL);
        dump = dump_of_role(bus, role_name("e"), NULL);
        for (int fd = 0; fd < 3; fd++) {
                g_autofree char *nonblock = g_strdup_printf("fd.%d.nonblock", fd);
                assert_string_equal(dump_get(dump, nonblock), "0");
        }
        g_hash_table_iter_init(&iter, dump);
        while (g_hash_table_iter_next(&iter, &key, NULL))
                if (g_str_has_prefix(key, "fd.") && g_str_has_suffix(key, ".nonblock"))
                        n++;
        assert_int_equal(n, 3);
        /* The role has a process group of its own, which its property ProcessGroup contains. */
        assert_string_equal(dump_get(dump, "pgid"), dump_get(dump, "pid"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_parity),
                TEST(test_sigpipe),
                TEST(test_variables),
                TEST(test_descriptors),
        };
        return run_case("environment-parity", tests);
}
