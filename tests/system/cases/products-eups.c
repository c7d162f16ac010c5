/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Products by EUPS: by the stand-in of tests/system/eups, and, if EUPS_DIR names a real one, again by
 * that. */

#include <glob.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "products.h"

static const char *real; /* the EUPS_DIR of a real EUPS; NULL for the stand-in */

#define HOSTILE "$(touch /run/evil) `touch /run/evil`; touch /run/evil\n'touch /run/evil' \"\\"

static void declare(const char *product, const char *version, bool current, const char *table) {
        g_autofree char *
                directory = g_strdup_printf("stack/Linux64/%s/%s", product, version),
               *table_file = g_strdup_printf("%s/ups/%s.table", directory, product),
               *version_file = g_strdup_printf("stack/ups_db/%s/%s.version", product, version),
               *chain_file = g_strdup_printf("stack/ups_db/%s/current.chain", product),
               *version_text = g_strdup_printf(
                       "FILE = version\nPRODUCT = %s\nVERSION = %s\n"
                       "#***************************************\n\nFLAVOR = Linux64\nQUALIFIERS = \"\"\n"
                       "   PROD_DIR = Linux64/%s/%s\n   UPS_DIR = ups\n   TABLE_FILE = %s.table\n",
                       product, version, product, version, product),
               *chain_text = g_strdup_printf(
                       "FILE = version\nPRODUCT = %s\nCHAIN = current\n"
                       "#***************************************\n\n#Group:\n   FLAVOR = Linux64\n   VERSION = %s\n"
                       "   QUALIFIERS = \"\"\n#End:\n",
                       product, version);

        if (table)
                write_file(scratch(table_file), table);
        else {
                g_autofree char *parent = g_path_get_dirname(scratch(table_file));
                assert_return_code(g_mkdir_with_parents(parent, 0755), errno);
                trap_make(scratch(table_file));
        }
        write_file(scratch(version_file), version_text);
        if (current)
                write_file(scratch(chain_file), chain_text);
}

static const char *trap_path(void) {
        return scratch("stack/Linux64/hang/1.0/ups/hang.table");
}

static void copy_stand_in(const char *name) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL),
                        *directory = g_path_get_dirname(self),
                        *from = g_build_filename(directory, name, NULL),
                        *to = g_build_filename(scratch("eups/bin"), name, NULL), *text = NULL;

        assert_true(g_file_get_contents(from, &text, NULL, NULL));
        write_file(to, text);
        assert_int_equal(chmod(to, 0755), 0);
}

static int setup(void **state) {
        int r = case_setup(state);

        if (!real) {
                copy_stand_in("setups.sh");
                copy_stand_in("eups_setup");
        }
        declare("base", "2.0", true,
                "envPrepend(PATH, ${PRODUCT_DIR}/bin)\nenvSet(BASE_VERSION, ${PRODUCT_VERSION})\n");
        declare("base", "1.0", false,
                "envPrepend(PATH, ${PRODUCT_DIR}/bin)\nenvSet(BASE_VERSION, ${PRODUCT_VERSION})\n");
        declare("camera", "3.1", true,
                "setupRequired(base 1.0)\nenvSet(CAMERA_WORDS, two words; and <more>)\n");
        declare("telescope", "0.9", true,
                "setupRequired(base)\nsetupOptional(nothere)\naddAlias(point, echo pointing)\n");
        declare("broken", "1.0", true, "setupRequired(missingdep 7)\n");
        declare("quoty", "1.0", true, "envSet(QUOTY, it's a trap)\n");
        declare("nochain", "1.0", false, "envSet(NOCHAIN, 1)\n");
        declare("hang", "1.0", true, NULL);
        products_set_env(*state, "EUPS_DIR", real ?: scratch("eups"));
        products_set_env(*state, "EUPS_PATH", scratch("stack"));
        return r;
}

static int teardown(void **state) {
        products_set_env(*state, "EUPS_DIR", NULL);
        products_set_env(*state, "EUPS_PATH", NULL);
        node_configure(*state, NULL);
        assert_int_equal(access("/run/evil", F_OK), -1);
        return case_teardown(state);
}

static size_t count_locks(void) {
        g_autofree char *pattern = g_strconcat(scratch("stack"), "/.lockDir/*", NULL);
        glob_t found;

        if (glob(pattern, GLOB_PERIOD, NULL, &found) != 0)
                return 0;
        size_t n = 0;
        for (size_t i = 0; i < found.gl_pathc; i++)
                if (!g_str_has_suffix(found.gl_pathv[i], "/.") && !g_str_has_suffix(found.gl_pathv[i], "/.."))
                        n++;
        globfree(&found);
        return n;
}

static void assert_path_has(GHashTable *dump, const char *directory, bool expected) {
        g_auto(GStrv) parts = g_strsplit(dump_get(dump, "env.PATH"), ":", -1);

        if (g_strv_contains((const char *const *) parts, scratch(directory)) != expected)
                fail_msg("PATH is %s", dump_get(dump, "env.PATH"));
}

static void test_product(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) current = NULL, version = NULL;

        current = products_dump(bus, role_name("a"),
                OPTIONS("{'product': <'base'>, 'env': <{'EUPS_SHELL': 'own', 'OWN': '1'}>}"));
        assert_env(current, "BASE_VERSION", "2.0");
        assert_env(current, "BASE_DIR", scratch("stack/Linux64/base/2.0"));
        assert_env(current, "EUPS_SHELL", "own");
        assert_env(current, "OWN", "1");
        assert_env(current, "HOME", "/root");
        assert_env(current, "ARCHITECT_ROLE", role_name("a"));
        assert_env(current, "SHLVL", NULL);
        assert_path_has(current, "stack/Linux64/base/2.0/bin", true);
        assert_true(g_str_has_prefix(dump_get(current, "env.SETUP_BASE"), "base 2.0 -f Linux64 -Z "));

        guint mark = bus_mark(bus);
        version = products_dump(bus, role_name("b"),
                OPTIONS("{'product': <'camera'>, 'version': <'3.1'>, 'provider': <'eups'>}"));
        assert_env(version, "CAMERA_WORDS", "two words; and <more>");
        assert_env(version, "BASE_VERSION", "1.0");
        assert_int_equal(count_locks(), 0);
        assert_true(role_start_usec(bus, role_name("b"), "products") > 0);
        /* With what it requires. */
        g_free(products_record(bus, role_name("b"), mark, "[('base', '1.0'), ('camera', '3.1')]"));
}

static void test_order(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) up = NULL, down = NULL, list = NULL;

        up = products_dump(
                bus, role_name("a"), OPTIONS("{'product': <'camera'>, 'eups-list': <[('base', '2.0')]>}"));
        assert_env(up, "BASE_VERSION", "2.0");
        assert_path_has(up, "stack/Linux64/base/2.0/bin", true);
        assert_path_has(up, "stack/Linux64/base/1.0/bin", false);
        /* Without a version each one will do. A version that was requested must be there at the end. */
        down = products_dump(
                bus, role_name("b"), OPTIONS("{'product': <'base'>, 'eups-list': <[('camera', '')]>}"));
        assert_env(down, "BASE_VERSION", "1.0");
        products_fail(bus, role_name("d"),
                OPTIONS("{'product': <'base'>, 'version': <'2.0'>, 'eups-list': <[('camera', '')]>}"),
                "base 2.0 is not set up any more", "base 1.0 has replaced it in the set-up of camera 3.1",
                NULL);
        list = products_dump(
                bus, role_name("c"), OPTIONS("{'eups-list': <[('camera', ''), ('telescope', '0.9')]>}"));
        assert_env(list, "BASE_VERSION", "2.0");
        assert_true(g_str_has_prefix(dump_get(list, "env.SETUP_TELESCOPE"), "telescope 0.9 "));
}

/* The set-up begins with the variables of the role, so one role can use another stack, or another EUPS. */
static void test_role_environment(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = NULL;
        g_autofree char *directory = g_strdup(real ?: scratch("eups"));

        products_set_env(bus, "EUPS_DIR", NULL);
        products_set_env(bus, "EUPS_PATH", NULL);
        dump = products_dump(bus, role_name("a"),
                OPTIONS("{'product': <'base'>, 'env': <{'EUPS_DIR': %s, 'EUPS_PATH': %s,"
                        " 'BASE_VERSION': 'own', 'BASH_ENV': '/run/evil-file', 'HOSTNAME': 'dome'}>}",
                        directory, scratch("stack")));
        assert_env(dump, "BASE_DIR", scratch("stack/Linux64/base/2.0"));
        assert_env(dump, "EUPS_DIR", directory);
        assert_env(dump, "BASE_VERSION", "own");
        assert_env(dump, "BASH_ENV", "/run/evil-file");
        assert_env(dump, "HOSTNAME", "dome");
}

static size_t count_replies(Bus *bus, const guint32 *serials, size_t n) {
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                count += bus_has_reply(bus, serials[i]);
        return count;
}

/* Set-ups at the same time disturb each other's locks. None of them fails. */
static void test_concurrent(void **state) {
        Bus *bus = *state;
        guint32 serials[50];

        node_configure(bus, "SetupTimeout=200s\n");
        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++) {
                g_autofree char *name = g_strdup_printf("n%zu", i);

                /* The lock of one user is in the way of another one. */
                serials[i] = node_send(bus, "Start",
                        start_args(role_name(name),
                                OPTIONS("{'product': <'camera'>, 'user': <%s>}", i % 2 ? "root" : "alice"),
                                actor(), "exit", "0", NULL));
        }
        /* All of them take a minute of the processor; the patience is that for the next one. */
        for (size_t before = 0, now; before < G_N_ELEMENTS(serials); before = now)
                WAIT_UNTIL((now = count_replies(bus, serials, G_N_ELEMENTS(serials))) > before);
        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++) {
                g_autofree char *name = g_strdup_printf("n%zu", i);

                g_variant_unref(bus_result(bus, serials[i]));
                expect_exited(bus, role_name(name), "exited", 0, "self");
                purge(bus, role_name(name));
        }
        assert_int_equal(count_locks(), 0);
}

static void test_setup_args(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) just = NULL, root = NULL, hostile = NULL;

        just = products_dump(bus, role_name("a"), OPTIONS("{'product': <'camera'>, 'setup-args': <['-j']>}"));
        assert_env(just, "BASE_VERSION", NULL);
        assert_true(g_str_has_prefix(dump_get(just, "env.SETUP_CAMERA"), "camera 3.1 "));

        root = products_dump(bus, role_name("b"),
                OPTIONS("{'product': <'base'>, 'setup-args': <['-r', %s]>}",
                        scratch("stack/Linux64/base/1.0")));
        assert_true(g_str_has_prefix(dump_get(root, "env.SETUP_BASE"), "base LOCAL:"));

        /* EUPS ignores more than two words, and so does everything else. */
        hostile = products_dump(bus, role_name("c"),
                OPTIONS("{'product': <'base'>, 'version': <'1.0'>, 'setup-args': <[%s, '$(touch /run/evil)', '; touch /run/evil', '']>}",
                        HOSTILE));
        assert_env(hostile, "BASE_VERSION", "1.0");
}

static void test_failures(void **state) {
        Bus *bus = *state;
        Census before = census_before(bus);
        const char *role = role_name("a");

        products_fail(bus, role, OPTIONS("{'product': <'nosuch'>}"),
                "Unable to find an acceptable version of nosuch", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'base'>, 'version': <'9.9'>}"),
                "Product base 9.9 not found", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'nochain'>}"),
                "Unable to find an acceptable version of nochain", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'broken'>}"), "missingdep 7 not found", NULL);
        products_fail(bus, role,
                OPTIONS("{'product': <'base'>, 'eups-list': <[('camera', ''), ('nosuch', '')]>}"), "nosuch",
                NULL);
        products_fail(bus, role, OPTIONS("{'product': <'base'>, 'setup-args': <['--badopt']>}"),
                "no such option: --badopt", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'base'>, 'setup-args': <['-r', '/nonexistent']>}"),
                "/nonexistent", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'base'>, 'setup-args': <['-f', 'Linux']>}"),
                "Unable to find an acceptable version of base", NULL);
        products_fail(bus, role, OPTIONS("{'product': <'quoty'>}"), "could not be evaluated", NULL);
        /* As a version this would be another word for a shell; EUPS gets it as one argument. */
        products_fail(bus, role, OPTIONS("{'product': <'base'>, 'setup-args': <['$(touch /run/evil)']>}"),
                "$(touch /run/evil)", NULL);
        assert_int_equal(count_locks(), 0);
        assert_census(bus, &before);
}

static void test_refused(void **state) {
        Bus *bus = *state;
        static const char *const names[] = { "$(touch /run/evil)", "`touch /run/evil`", "a;touch /run/evil",
                "a b", "a\nb", "a'b", "a\"b", "EUPS_PATH=/x", "-r", "--help", ">=1", "" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *quoted = g_strescape(names[i], NULL);

                start_fails(bus,
                        start_args(role_name("a"), OPTIONS("{'product': <%s>}", names[i]), actor(), NULL),
                        INVALID_ARGS, "Option \"product\"", quoted, NULL);
                start_fails(bus,
                        start_args(role_name("a"),
                                OPTIONS("{'product': <'base'>, 'version': <%s>}", names[i]), actor(), NULL),
                        INVALID_ARGS, "Option \"version\"", quoted, NULL);
                start_fails(bus,
                        start_args(role_name("a"),
                                OPTIONS("{'eups-list': <[('base', ''), (%s, '1')]>}", names[i]), actor(),
                                NULL),
                        INVALID_ARGS, "Option \"eups-list\"", quoted, NULL);
        }
        start_fails(bus, start_args(role_name("a"), OPTIONS("{'version': <'1'>}"), actor(), NULL),
                INVALID_ARGS, "without \"product\"", NULL);
        start_fails(bus, start_args(role_name("a"), OPTIONS("{'setup-args': <['-k']>}"), actor(), NULL),
                INVALID_ARGS, "without \"product\"", NULL);
        start_fails(bus,
                start_args(role_name("a"), OPTIONS("{'product': <'base'>, 'provider': <'conda'>}"), actor(),
                        NULL),
                INVALID_ARGS, "conda", "must be eups, modules or lmod", NULL);
        assert_state(bus, role_name("a"), "none");
}

static void test_not_installed(void **state) {
        Bus *bus = *state;

        products_set_env(bus, "EUPS_DIR", "/opt/nothing");
        products_fail(bus, role_name("a"), OPTIONS("{'product': <'base'>}"), "EUPS is not installed",
                "/opt/nothing", NULL);
        products_set_env(bus, "EUPS_DIR", NULL);
        products_fail(bus, role_name("a"), OPTIONS("{'product': <'base'>}"), "EUPS_DIR is set neither", NULL);
}

/* EUPS has a directory that belongs to its user, and reports an error if it cannot create it. */
static void test_user(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) alice = NULL, nobody = NULL;

        alice = products_dump(bus, role_name("a"), OPTIONS("{'product': <'base'>, 'user': <'alice'>}"));
        assert_env(alice, "BASE_VERSION", "2.0");
        assert_env(alice, "USER", "alice");
        assert_int_equal(access("/home/alice/.eups", F_OK), 0);

        products_fail(bus, role_name("b"), OPTIONS("{'product': <'base'>, 'user': <'nobody'>}"),
                "Permission denied", NULL);
        g_autofree char *data = g_strdup(scratch("data"));
        assert_int_equal(g_mkdir(data, 0755), 0);
        assert_int_equal(chmod(data, 01777), 0);
        g_autofree char *userdata = g_build_filename(data, "nobody", NULL);
        products_set_env(bus, "EUPS_USERDATA", userdata);
        nobody = products_dump(bus, role_name("c"), OPTIONS("{'product': <'base'>, 'user': <'nobody'>}"));
        products_set_env(bus, "EUPS_USERDATA", NULL);
        assert_env(nobody, "BASE_VERSION", "2.0");
}

/* With -Z, because a real EUPS puts the stack it was built for in front, and if that is read-only it locks
 * none at all. */
static guint32 start_hanging(Bus *bus, const char *role, Trap **ret) {
        guint32 serial = node_send(bus, "Start",
                start_args(role,
                        OPTIONS("{'product': <'hang'>, 'setup-args': <['-Z', %s]>}", scratch("stack")),
                        actor(), "pause", NULL));

        *ret = trap_wait(trap_path());
        assert_true(count_locks() > 0); /* otherwise this tests nothing */
        assert_false(bus_has_reply(bus, serial));
        return serial;
}

/* After the timeout no role, process or lock is left, and meanwhile no other call waits. */
static void test_hang(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Trap) trap = NULL;
        Census before = census_before(bus);

        node_configure(bus, "SetupTimeout=3s\n");
        guint mark = bus_mark(bus);
        gint64 begin = g_get_monotonic_time();
        guint32 serial = start_hanging(bus, role, &trap);
        start(bus, role_name("other"), NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role_name("other"), "exited", 0, "self");
        purge(bus, role_name("other"));
        assert_false(bus_has_reply(bus, serial));
        bus_failure(bus, serial, "SetupFailed", role, "eups", "did not end in time", NULL);
        assert_true(g_get_monotonic_time() - begin >= 3 * G_USEC_PER_SEC);
        assert_no_trace(bus, role, mark);
        assert_int_equal(count_locks(), 0);
        assert_census(bus, &before);
}

/* The same for Stop and Kill of a start whose set-up hangs. */
static void test_cancel(void **state) {
        Bus *bus = *state;
        static const char *const verbs[] = { "Stop", "Kill" };
        Census before = census_before(bus);

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                const char *role = role_name(verbs[i]);
                g_autoptr(Trap) trap = NULL;
                guint mark = bus_mark(bus);
                guint32 serial = start_hanging(bus, role, &trap);

                guint32 stop_serial = node_send(bus, verbs[i], g_variant_new("(s)", role));
                bus_failure(bus, serial, "StartCancelled", role, verbs[i], NULL);
                g_variant_unref(bus_result(bus, stop_serial));
                assert_no_trace(bus, role, mark);
                assert_int_equal(count_locks(), 0);
        }
        assert_census(bus, &before);
}

/* The service may end and start again in the meantime. The set-up is not affected. */
static void test_restart(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Trap) trap = NULL;

        (void) start_hanging(bus, role, &trap);
        node_crash(bus);
        assert_state(bus, role, "starting");
        trap_release(trap, "envSet(HUNG, well)\n");
        bus_wait(bus, "RoleStarted", role);
        assert_state(bus, role, "running");
        g_autofree char *environ_path = g_strdup_printf("/proc/%d/environ", role_pid(bus, role)),
                        *text = NULL;
        gsize size;
        assert_true(g_file_get_contents(environ_path, &text, &size, NULL));
        assert_non_null(memmem(text, size, "HUNG=well", strlen("HUNG=well") + 1));
        g_autofree char *product = role_get_string(bus, role, "Product");
        assert_string_equal(product, "hang");
        g_free(products_record(bus, role, 0, "[('hang', '1.0')]"));
        stop(bus, role);
        assert_int_equal(count_locks(), 0);
}

/* A shutdown cancels it. */
static void test_shutdown(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Trap) trap = NULL;

        guint32 serial = start_hanging(bus, role, &trap);
        systemctl("stop", NODE_UNIT);
        bus_failure(bus, serial, "StartCancelled", role, NULL);
        size_t locks = count_locks();
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_int_equal(locks, 0);
        assert_state(bus, role, "none");
}

/* Steps after the set-up fail in the same way as without one. */
static void test_exec_fails(void **state) {
        Bus *bus = *state;
        guint mark = bus_mark(bus);

        start_fails(bus,
                start_args(role_name("a"), OPTIONS("{'product': <'base'>}"), "no-such-program", NULL),
                "ExecFailed", "no-such-program", "stack/Linux64/base/2.0/bin", NULL);
        assert_no_trace(bus, role_name("a"), mark);
}

int main(void) {
#define EUPS(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                EUPS(test_product),
                EUPS(test_order),
                EUPS(test_role_environment),
                EUPS(test_concurrent),
                EUPS(test_setup_args),
                EUPS(test_failures),
                EUPS(test_refused),
                EUPS(test_not_installed),
                EUPS(test_user),
                EUPS(test_hang),
                EUPS(test_cancel),
                EUPS(test_restart),
                EUPS(test_shutdown),
                EUPS(test_exec_fails),
        };

        int r = run_case("products-eups", tests);
        real = g_getenv("EUPS_DIR");
        if (real) {
                print_message("The same by the EUPS in %s\n", real);
                r |= run_case("products-eups", tests);
        }
        return r;
}
