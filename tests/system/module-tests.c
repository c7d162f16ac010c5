/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tests of products-modules and products-lmod, with the same module files for both. */

#include "products.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *provider, *command;

static bool is_lmod(void) {
        return g_str_equal(provider, "lmod");
}

static void write_module(const char *name, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void write_module(const char *name, const char *format, ...) {
        g_autofree char *path = g_build_filename(scratch("modules"), name, NULL);
        va_list ap;

        va_start(ap, format);
        g_autofree char *body = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_autofree char *text = g_strconcat("#%Module1.0\n", body, NULL);
        write_file(path, text);
}

#define SPECIAL "two  blanks 'q' \"d\" $HOME `touch /run/evil` \\ ; touch /run/evil & * ~"

static int setup(void **state) {
        int r = case_setup(state);
        Bus *bus = *state;
        g_autofree char *configuration = g_strdup_printf("ProductProvider=%s\n%s=%s\n", provider,
                is_lmod() ? "LmodCommand" : "ModulesCommand", command);

        write_module("foo/1.0", "setenv FOO 1.0\nprepend-path PATH /foo/1.0/bin\n");
        write_module("foo/2.0", "setenv FOO 2.0\nprepend-path PATH /foo/2.0/bin\n");
        write_module("foo/.version", "set ModulesVersion \"2.0\"\n");
        write_module(
                "bar/1.0", "setenv BAR 1.0\nsetenv SPECIAL {" SPECIAL "}\nputs stderr {a word from bar}\n");
        write_module("clash/1.0", "conflict bar\nsetenv CLASH 1\n");
        write_module("error/1.0", "setenv ERR 1\nerror {this module is not for you}\n");
        write_module("trace/1.0", "for {set i 0} {$i < 60} {incr i} {puts stderr \"line $i of a trace\"}\n"
                                  "error {KeyError: DESI_ROOT}\n");
        write_module("nopath/1.0", "unsetenv PATH\n");
        write_module("line/1.0", "setenv LINE \"first\\ntouch /run/evil-line; false\"\n");
        write_module("unloads/1.0", "module unload foo\nsetenv UNLOADS 1\n");
        write_module("needs/1.0", "module load foo/2.0\nsetenv NEEDS 1\n");
        write_module("root/1.0",
                "setenv SPECTRO $env(DESI_ROOT)/spectro\nsetenv FOO root\nsetenv SAW_HOST $env(HOSTNAME)\n");
        write_file(scratch("activate.sh"), "no_such_command\nfalse\nexport ACTIVATED=1\nreturn 1\n");
        write_module("site/1.0",
                "puts stdout {test -n \"\" && NOT=1}\nputs stdout {. %s}\nputs stdout {(exit 3)}\nsetenv SITE 1\n",
                scratch("activate.sh"));
        write_module("prints/1.0", "puts stdout {hello_from_a_site and more}\nsetenv PRINTS 1\n");
        if (is_lmod()) {
                write_module("mpich/3.4", "family mpi\nsetenv MPI mpich\n");
                write_module("openmpi/4.1", "family mpi\nsetenv MPI openmpi\n");
        }
        write_module("../traps/left/1.0", "exec sleep 1000 &\nsetenv LEFT 1\n");
        trap_make(scratch("trap"));
        /* If Lmod does not find a module, it reads every module file, so these are elsewhere. */
        write_module("../traps/hang/1.0", "set f [open {%s} r]\nsetenv HUNG [string trim [read $f]]\n",
                scratch("trap"));
        products_set_env(bus, "MODULEPATH", scratch("modules"));
        node_configure(bus, configuration);
        return r;
}

static int teardown(void **state) {
        Bus *bus = *state;

        products_set_env(bus, "MODULEPATH", NULL);
        node_configure(bus, NULL);
        assert_int_equal(access("/run/evil", F_OK), -1);
        return case_teardown(state);
}

static void test_load(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) one = NULL, default_version = NULL;

        one = products_dump(bus, role_name("a"),
                OPTIONS("{'product': <'foo'>, 'version': <'1.0'>, 'env': <{'OWN': '1', 'BAR': 'own'}>,"
                        " 'eups-list': <[('bar', '1.0')]>}"));
        assert_env(one, "FOO", "1.0");
        assert_env(one, "SPECIAL", SPECIAL);
        assert_env(one, "OWN", "1");
        assert_env(one, "BAR", "own");
        assert_env(one, "HOME", "/root");
        assert_env(one, "ARCHITECT_ROLE", role_name("a"));
        assert_env(one, "LOADEDMODULES", "foo/1.0:bar/1.0");
        assert_true(g_str_has_prefix(dump_get(one, "env.PATH"), "/foo/1.0/bin:"));
        static const char *const shells[] = { "_", "PWD", "OLDPWD", "SHLVL" };
        for (size_t i = 0; i < G_N_ELEMENTS(shells); i++)
                assert_env(one, shells[i], NULL);

        g_autofree char *product = role_get_string(bus, role_name("a"), "Product"),
                        *version = role_get_string(bus, role_name("a"), "Version"),
                        *by = role_get_string(bus, role_name("a"), "Provider");
        g_autoptr(GVariant) list = role_get(bus, role_name("a"), "EupsList");
        g_autofree char *list_text = g_variant_print(list, false);
        assert_string_equal(product, "foo");
        assert_string_equal(version, "1.0");
        assert_string_equal(by, provider);
        assert_string_equal(list_text, "[('bar', '1.0')]");

        default_version = products_dump(bus, role_name("b"), OPTIONS("{'product': <'foo'>}"));
        assert_env(default_version, "FOO", "2.0");
        /* The messages of a successful set-up are in the output of the role. */
        g_autofree char *words = journal("-t", role_name("a"), NULL);
        assert_contains(words, "a word from bar");
}

static void test_order(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) one = NULL, both = NULL;

        one = products_dump(bus, role_name("a"), OPTIONS("{'eups-list': <[('bar', ''), ('foo', '1.0')]>}"));
        assert_env(one, "LOADEDMODULES", "bar/1.0:foo/1.0");
        if (is_lmod())
                return;
        /* Environment Modules loads both versions. */
        both = products_dump(bus, role_name("b"),
                OPTIONS("{'product': <'foo'>, 'version': <'2.0'>, 'eups-list': <[('foo/1.0', '')]>}"));
        assert_env(both, "FOO", "1.0");
}

/* Two starts of the same products have the same hash, whatever else they are given, and one after a change
 * has another. */
static void test_record(void **state) {
        Bus *bus = *state;
        static const char *const options[] = {
                "@a{sv} {'product': <'foo'>, 'version': <'1.0'>, 'eups-list': <[('bar', '1.0')]>}",
                "@a{sv} {'product': <'foo'>, 'version': <'1.0'>, 'eups-list': <[('bar', '')]>,"
                " 'env': <{'OWN': '1', 'PATH': '/usr/bin:/bin', 'SPECIAL2': '2'}>}",
                "@a{sv} {'product': <'foo'>, 'version': <'1.0'>, 'eups-list': <[('bar', '1.0')]>,"
                " 'user': <'alice'>}",
        };
        g_autofree char *first = NULL, *changed = NULL, *env = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                const char *role = role_name_n("r", (guint) i);
                guint mark = bus_mark(bus);
                start(bus, role, g_variant_new_parsed(options[i]), actor(), "pause", NULL);
                g_autofree char *hash = products_record(bus, role, mark, "[('foo', '1.0'), ('bar', '1.0')]");
                /* A PATH of env is the value in the end, and not a change. */
                if (i == 1)
                        env = g_steal_pointer(&hash);
                else if (!first)
                        first = g_steal_pointer(&hash);
                else
                        assert_string_equal(hash, first);
                node_crash(bus);
                g_autofree char *again = role_get_string(bus, role, "EnvironmentHash");
                assert_string_equal(again, i == 1 ? env : first);
                stop(bus, role);
                purge(bus, role);
        }
        assert_string_not_equal(env, first);

        guint mark = bus_mark(bus);
        write_module("bar/1.0", "setenv BAR 1.1\n");
        start(bus, role_name("c"), g_variant_new_parsed(options[0]), actor(), "pause", NULL);
        changed = products_record(bus, role_name("c"), mark, "[('foo', '1.0'), ('bar', '1.0')]");
        assert_string_not_equal(changed, first);

        /* A role without products has no record. */
        start(bus, role_name("d"), NULL, actor(), "pause", NULL);
        g_autofree char *none = role_get_string(bus, role_name("d"), "EnvironmentHash");
        assert_string_equal(none, "");
}

/* What was requested must be loaded at the end. Lmod has one version of a module, and one module of a family,
 * and says so at most in a note. A modulefile may unload others with both. */
static void test_replaced(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Census before = census_before(bus);

        products_fail(bus, role,
                OPTIONS("{'product': <'foo'>, 'version': <'1.0'>, 'eups-list': <[('bar', ''),"
                        " ('unloads', '1.0')]>}"),
                "foo/1.0 is not set up any more", "the set-up of unloads/1.0 has removed it", NULL);
        if (is_lmod()) {
                products_fail(bus, role, OPTIONS("{'eups-list': <[('foo', '1.0'), ('foo', '2.0')]>}"),
                        "foo/1.0 is not set up any more", "foo/2.0 has replaced it", NULL);
                products_fail(bus, role, OPTIONS("{'eups-list': <[('foo', '1.0'), ('needs', '1.0')]>}"),
                        "foo/1.0 is not set up any more",
                        "foo/2.0 has replaced it in the set-up of needs/1.0", NULL);
                products_fail(bus, role, OPTIONS("{'eups-list': <[('mpich', '3.4'), ('openmpi', '4.1')]>}"),
                        "mpich/3.4 is not set up any more", "openmpi/4.1 has replaced it", NULL);
        }
        assert_census(bus, &before);

        /* Without a version each one will do, and a module may come back. */
        g_autoptr(GHashTable) any = products_dump(
                bus, role, OPTIONS("{'eups-list': <[('foo', ''), ('needs', '1.0'), ('foo', '')]>}"));
        assert_env(any, "FOO", "2.0");
        if (!is_lmod())
                return; /* Environment Modules takes the two for a conflict */
        g_autoptr(GHashTable) back = products_dump(bus, role_name("b"),
                OPTIONS("{'eups-list': <[('foo', '1.0'), ('unloads', '1.0'), ('foo', '1.0')]>}"));
        assert_env(back, "FOO", "1.0");
}

/* The set-up begins with the variables of the role. */
static void test_role_environment(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = NULL;
        g_autofree char *path = g_strdup(scratch("modules")), *evil = g_strdup(scratch("evil"));

        write_file(evil, "touch /run/evil\n");
        products_set_env(bus, "MODULEPATH", NULL);
        dump = products_dump(bus, role_name("a"),
                OPTIONS("{'product': <'root'>, 'env': <{'MODULEPATH': %s, 'DESI_ROOT': '/desi', 'FOO': 'own',"
                        " 'BASH_ENV': %s, 'ENV': %s}>}",
                        path, evil, evil));
        assert_env(dump, "SPECTRO", "/desi/spectro");
        assert_env(dump, "MODULEPATH", path);
        assert_env(dump, "FOO", "own");
        assert_env(dump, "BASH_ENV", evil);
        g_autofree char *host = NULL;
        assert_true(g_file_get_contents("/proc/sys/kernel/hostname", &host, NULL, NULL));
        assert_env(dump, "HOSTNAME", g_strchomp(host));
        assert_env(dump, "SAW_HOST", host);
}

/* A modulefile may print commands, and one of these may fail, or one of a script that it reads. */
static void test_commands_may_fail(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = products_dump(
                bus, role_name("a"), OPTIONS("{'product': <'site'>, 'eups-list': <[('foo', '1.0')]>}"));

        assert_env(dump, "ACTIVATED", "1");
        assert_env(dump, "SITE", "1");
        assert_env(dump, "FOO", "1.0");
        products_fail(bus, role_name("b"), OPTIONS("{'product': <'prints'>}"), "could not be evaluated",
                "hello_from_a_site: command not found", NULL);
}

static void test_failures(void **state) {
        Bus *bus = *state;
        Census before = census_before(bus);
        const char *role = role_name("a");

        products_fail(bus, role, OPTIONS("{'product': <'nosuch'>}"),
                is_lmod() ? "The following module(s) are unknown: \"nosuch\""
                          : "Unable to locate a modulefile for 'nosuch'",
                NULL);
        products_fail(bus, role, OPTIONS("{'product': <'foo'>, 'version': <'9.9'>}"),
                is_lmod() ? "foo/9.9" : "Unable to locate a modulefile for 'foo/9.9'", NULL);
        /* The first module is loaded by then, but all are loaded or none. */
        products_fail(bus, role,
                OPTIONS("{'product': <'foo'>, 'eups-list': <[('bar', ''), ('nosuch', '1')]>}"), "nosuch",
                NULL);
        products_fail(bus, role, OPTIONS("{'product': <'error'>}"), "this module is not for you", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'bar'>, 'eups-list': <[('clash', '')]>}"), "clash",
                "bar", NULL);
        /* However much it says before, the error is in the message, and what it belongs to. */
        products_fail(bus, role, OPTIONS("{'product': <'bar'>, 'eups-list': <[('trace', '')]>}"),
                ": trace: ", "KeyError: DESI_ROOT", NULL);
        products_set_env(bus, "MODULEPATH", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'foo'>}"), provider, NULL);
        products_set_env(bus, "MODULEPATH", scratch("modules"));
        assert_census(bus, &before);
}

/* Neither Environment Modules 5.2 nor Lmod 8.6 escapes a newline, so that a shell would run the text after
 * it. It is not evaluated. Later versions of both quote it, and then it is part of the value. */
static void test_newline(void **state) {
        Bus *bus = *state;
        const char *path = scratch("line");
        guint32 serial = node_send(bus, "Start",
                start_args(role_name("a"), OPTIONS("{'product': <'line'>}"), actor(), "dump", path, NULL));

        if (bus_wait_reply(bus, serial)->type != G_DBUS_MESSAGE_TYPE_ERROR) {
                g_autofree char *dump = NULL;

                expect_exited(bus, role_name("a"), "exited", 0, "self");
                dump = read_file(path);
                assert_contains(dump, "env.LINE: first\ntouch /run/evil-line; false\n");
                assert_int_equal(access("/run/evil-line", F_OK), -1);
                return;
        }
        bus_failure(bus, serial, "SetupFailed", role_name("a"), "(product)", "could not be evaluated",
                "the value of LINE contains a newline", NULL);
        assert_state(bus, role_name("a"), "none");
        assert_int_equal(access("/run/evil-line", F_OK), -1);
}

static void test_refused(void **state) {
        Bus *bus = *state;
        static const char *const names[] = { "$(touch /run/evil)", "`touch /run/evil`", "a;touch /run/evil",
                "a b", "a\nb", "a'b", "a\"b", "-f", "--help", "../x", "/etc/x", "a:b", "", "\303\244" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *quoted = g_strescape(names[i], NULL);

                start_fails(bus,
                        start_args(role_name("a"), OPTIONS("{'product': <%s>}", names[i]), actor(), NULL),
                        INVALID_ARGS, "Option \"product\"", quoted, NULL);
                start_fails(bus,
                        start_args(role_name("a"), OPTIONS("{'product': <'foo'>, 'version': <%s>}", names[i]),
                                actor(), NULL),
                        INVALID_ARGS, "Option \"version\"", quoted, NULL);
                start_fails(bus,
                        start_args(role_name("a"),
                                OPTIONS("{'eups-list': <[('foo', ''), (%s, '')]>}", names[i]), actor(), NULL),
                        INVALID_ARGS, "Option \"eups-list\"", quoted, NULL);
        }
        start_fails(bus,
                start_args(role_name("a"), OPTIONS("{'product': <'foo'>, 'setup-args': <['-x']>}"), actor(),
                        NULL),
                INVALID_ARGS, "setup-args", provider, "takes none", NULL);
        assert_state(bus, role_name("a"), "none");
}

static void test_not_installed(void **state) {
        Bus *bus = *state;

        node_configure(bus,
                is_lmod() ? "LmodCommand=/opt/nothing/lmod\n" : "ModulesCommand=/opt/nothing/modulecmd\n");
        products_fail(bus, role_name("a"), OPTIONS("{'product': <'foo'>, 'provider': <%s>}", provider),
                provider, "is not installed", "/opt/nothing/", NULL);
}

/* The set-up has its own timeout, and others start meanwhile. After the timeout no process of it is left. */
static void test_hang(void **state) {
        Bus *bus = *state;
        g_autofree char *module_path = g_strconcat(scratch("modules"), ":", scratch("traps"), NULL);
        g_autofree char *configuration = g_strdup_printf("ProductProvider=%s\n%s=%s\nSetupTimeout=3s\n",
                provider, is_lmod() ? "LmodCommand" : "ModulesCommand", command);
        const char *role = role_name("a");
        Census before = census_before(bus);

        node_configure(bus, configuration);
        products_set_env(bus, "MODULEPATH", module_path);
        guint mark = bus_mark(bus);
        guint32 serial = node_send(
                bus, "Start", start_args(role, OPTIONS("{'product': <'hang'>}"), actor(), "pause", NULL));
        g_autoptr(Trap) trap = trap_wait(scratch("trap"));
        assert_true(trap->fd >= 0);
        g_autoptr(GHashTable) other = products_dump(bus, role_name("other"), OPTIONS("{'product': <'foo'>}"));
        assert_env(other, "FOO", "2.0");
        assert_false(bus_has_reply(bus, serial));
        purge(bus, role_name("other"));
        bus_failure(bus, serial, "SetupFailed", role, provider, "did not end in time", NULL);
        assert_no_trace(bus, role, mark);
        assert_census(bus, &before);
}

static void test_slow(void **state) {
        Bus *bus = *state;
        g_autofree char *module_path = g_strconcat(scratch("modules"), ":", scratch("traps"), NULL);
        const char *role = role_name("a");
        const char *path = scratch("dump");
        g_autoptr(GHashTable) dump = NULL;

        products_set_env(bus, "MODULEPATH", module_path);
        guint32 serial = node_send(bus, "Start",
                start_args(role, OPTIONS("{'product': <'hang'>}"), actor(), "dump", path, NULL));
        g_autoptr(Trap) trap = trap_wait(scratch("trap"));
        assert_poll(bus, role, "running");
        assert_state(bus, role, "starting");
        trap_release(trap, "well");
        g_variant_unref(bus_result(bus, serial));
        expect_exited(bus, role, "exited", 0, "self");
        dump = read_dump(path);
        assert_env(dump, "HUNG", "well");
}

static void test_user(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump =
                products_dump(bus, role_name("a"), OPTIONS("{'product': <'foo'>, 'user': <'alice'>}"));

        assert_env(dump, "FOO", "2.0");
        assert_env(dump, "HOME", "/home/alice");
}

/* Processes that a module leaves in the background do not become part of the role. */
static void test_left(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        products_set_env(bus, "MODULEPATH", scratch("traps"));
        start(bus, role, OPTIONS("{'product': <'left'>}"), actor(), "pause", NULL);
        g_autofree char *cgroup = role_cgroup(bus, role);
        g_autoptr(GArray) pids = cgroup_pids(cgroup);
        assert_int_equal(pids->len, 1);
        assert_int_equal(g_array_index(pids, pid_t, 0), role_pid(bus, role));
}

/* A module file may unset PATH. A command, or a window, is still searched for. */
static void test_no_path(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Census before = census_before(bus);
        g_autoptr(GHashTable) dump = products_dump(bus, role, OPTIONS("{'product': <'nopath'>}"));

        assert_env(dump, "PATH", NULL);
        start(bus, role, OPTIONS("{'product': <'nopath'>}"), "sh", "-c", "exit 7", NULL);
        expect_exited(bus, role, "exited", 7, "self");
        purge(bus, role);
        start_fails(bus, start_args(role, OPTIONS("{'product': <'nopath'>}"), "nosuch", NULL), "ExecFailed",
                role, "no directory of the default PATH", "has unset PATH", NULL);

        const bool installed = rename("/usr/bin/xterm", "/usr/bin/xterm.away") == 0;
        start_fails(bus,
                start_args(role,
                        OPTIONS("{'product': <'nopath'>, 'xterm': <true>, 'env': <{'DISPLAY': ':1'}>}"),
                        actor(), "pause", NULL),
                "SetupFailed", role, "there is no xterm in the default PATH", NULL);
        assert_true(!installed || rename("/usr/bin/xterm.away", "/usr/bin/xterm") == 0);
        assert_census(bus, &before);
}

int run_modules_case(const char *name, const char *the_provider, const char *the_command) {
#define MODULES(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                MODULES(test_load),
                MODULES(test_order),
                MODULES(test_record),
                MODULES(test_replaced),
                MODULES(test_role_environment),
                MODULES(test_commands_may_fail),
                MODULES(test_failures),
                MODULES(test_newline),
                MODULES(test_refused),
                MODULES(test_not_installed),
                MODULES(test_hang),
                MODULES(test_slow),
                MODULES(test_user),
                MODULES(test_left),
                MODULES(test_no_path),
        };

        provider = the_provider;
        command = the_command;
        return run_case(name, tests);
}
