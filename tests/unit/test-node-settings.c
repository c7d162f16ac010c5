/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/settings.h"
#include "util/log.h"

static char *directory, *warnings;

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        g_autofree char *old = warnings;

        if (level <= LOG_WARNING)
                warnings = g_strconcat(old ?: "", text, "\n", NULL);
        else
                warnings = g_steal_pointer(&old);
}

static int setup(void **state) {
        log_set_max_level(LOG_WARNING);
        log_set_target(LOG_TARGET_NULL);
        log_set_sink(on_log, NULL);
        directory = g_dir_make_tmp("test-settings-XXXXXX", NULL);
        assert_non_null(directory);
        return 0;
}

static int teardown(void **state) {
        static const char *const files[] = { "main.conf.d/10-a.conf", "main.conf.d/20-b.conf",
                "main.conf.d/30-no", "main.conf.d", "main.conf" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                g_autofree char *path = g_build_filename(directory, files[i], NULL);
                (void) g_remove(path);
        }
        assert_return_code(g_rmdir(directory), errno);
        g_clear_pointer(&directory, g_free);
        g_clear_pointer(&warnings, g_free);
        log_set_sink(NULL, NULL);
        log_set_target(LOG_TARGET_CONSOLE);
        return 0;
}

static void write_file(const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL), *parent = g_path_get_dirname(path);

        assert_return_code(g_mkdir_with_parents(parent, 0700), errno);
        assert_true(g_file_set_contents(path, text, -1, NULL));
}

static Settings *load(void) {
        g_auto(Fault) fault = {};
        Settings *settings = NULL;

        if (settings_load(directory, "main", false, &settings, &fault) < 0)
                fail_msg("%s", fault.message);
        return settings;
}

static void test_nothing(void **state) {
        g_autoptr(Settings) settings = load();

        assert_int_equal(settings->default_stop_timeout_usec, 10 * USEC_PER_SEC);
        assert_int_equal(settings->setup_timeout_usec, 20 * USEC_PER_SEC);
        assert_int_equal(settings->monitor_timeout_usec, 30 * USEC_PER_SEC);
        assert_int_equal(settings->monitor_action, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(settings->max_concurrent_starts, 100);
        assert_int_equal(settings->max_ended_roles, 1000);
        assert_int_equal(settings->max_waiting_calls_per_user, 512);
        assert_int_equal(settings->max_roles_per_user, 256);
        assert_int_equal(settings->max_ended_roles_per_user, 100);
        assert_int_equal(settings->max_starts_per_user, 120);
        assert_int_equal(settings->max_ports_per_user, 256);
        assert_int_equal(settings->max_environment_per_user, 16384);
        assert_int_equal(settings->max_queued_input_per_user, 8388608);
        assert_int_equal(settings->max_call_time_per_user_usec, 100 * USEC_PER_MSEC);
        assert_int_equal(settings->product_provider, PRODUCT_PROVIDER_EUPS);
        assert_string_equal(settings->modules_command, "/usr/bin/modulecmd");
        assert_string_equal(settings->lmod_command, "/usr/share/lmod/lmod/libexec/lmod");
        assert_int_equal(settings->bind_address.ip_version, 0);
        assert_null(settings->environment);
        assert_null(settings->default_user);
        assert_false(settings->require_user);
        assert_null(warnings);
}

static void test_every_key(void **state) {
        write_file("main.conf",
                "[Node]\nDefaultStopTimeout=1min 30s\nSetupTimeout=500ms\nMonitorTimeout=0\nMonitorAction=stop-roles\n"
                "MaxConcurrentStarts=7\nMaxEndedRoles=9\nMaxWaitingCallsPerUser=11\nMaxRolesPerUser=12\nMaxEndedRolesPerUser=13\nMaxStartsPerUser=14\nMaxPortsPerUser=15\nMaxEnvironmentPerUser=16\nMaxQueuedInputPerUser=3K\nMaxCallTimePerUser=20ms\nBindAddress=192.0.2.7\nProductProvider=lmod\nModulesCommand=/m\nLmodCommand=/l m\nDefaultUser=obs\nRequireUser=yes\n[Environment]\nLANG=C.UTF-8\nWORDS=two words\n");
        g_autoptr(Settings) settings = load();

        assert_int_equal(settings->default_stop_timeout_usec, 90 * USEC_PER_SEC);
        assert_int_equal(settings->setup_timeout_usec, 500 * USEC_PER_MSEC);
        assert_int_equal(settings->monitor_timeout_usec, 0);
        assert_int_equal(settings->monitor_action, MONITOR_ACTION_STOP_ROLES);
        assert_int_equal(settings->max_concurrent_starts, 7);
        assert_int_equal(settings->max_ended_roles, 9);
        assert_int_equal(settings->max_waiting_calls_per_user, 11);
        assert_int_equal(settings->max_roles_per_user, 12);
        assert_int_equal(settings->max_ended_roles_per_user, 13);
        assert_int_equal(settings->max_starts_per_user, 14);
        assert_int_equal(settings->max_ports_per_user, 15);
        assert_int_equal(settings->max_environment_per_user, 16);
        assert_int_equal(settings->max_queued_input_per_user, 3072);
        assert_int_equal(settings->max_call_time_per_user_usec, 20 * USEC_PER_MSEC);
        assert_int_equal(settings->product_provider, PRODUCT_PROVIDER_LMOD);
        assert_string_equal(settings->modules_command, "/m");
        assert_string_equal(settings->lmod_command, "/l m");
        assert_string_equal(settings->default_user, "obs");
        assert_true(settings->require_user);
        assert_int_equal(settings->bind_address.ip_version, 4);
        assert_memory_equal(settings->bind_address.address, ((uint8_t[]){ 192, 0, 2, 7, 0 }), 5);
        g_autofree char *environment = g_strjoinv("|", settings->environment);
        assert_string_equal(environment, "LANG=C.UTF-8|WORDS=two words");
        assert_null(warnings);
}

static void test_bind_address(void **state) {
        static const struct {
                const char *text;
                uint8_t ip_version, last;
        } table[] = { { "", 0, 0 }, { "::", 6, 0 }, { "::1", 6, 1 }, { "0.0.0.0", 4, 0 } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_autofree char *text = g_strdup_printf("[Node]\nBindAddress=%s\n", table[i].text);

                write_file("main.conf", text);
                g_autoptr(Settings) settings = load();
                assert_int_equal(settings->bind_address.ip_version, table[i].ip_version);
                assert_int_equal(settings->bind_address.address[15], table[i].last);
        }
}

static void test_drop_ins(void **state) {
        write_file("main.conf", "[Node]\nMaxEndedRoles=1\nMaxConcurrentStarts=1\n[Environment]\nA=1\nB=1\n");
        write_file("main.conf.d/20-b.conf", "[Node]\nMaxEndedRoles=3\n[Environment]\nA=3\n");
        write_file("main.conf.d/10-a.conf", "[Node]\nMaxEndedRoles=2\nMaxConcurrentStarts=2\n");
        write_file("main.conf.d/30-no", "[Node]\nMaxEndedRoles=4\n"); /* not *.conf */
        g_autoptr(Settings) settings = load();

        assert_int_equal(settings->max_ended_roles, 3);
        assert_int_equal(settings->max_concurrent_starts, 2);
        g_autofree char *environment = g_strjoinv("|", settings->environment);
        assert_string_equal(environment, "A=3|B=1");
}

/* The syntax is that of unit files, and the values are what is written there. */
static void test_syntax(void **state) {
        write_file("main.conf",
                "; a comment\r\n[Environment]\r\nA=\"a\\tb\\\\\" \t\r\nB=1 \\\n# a comment\n  2\nA[de]\\\n=x\n");
        write_file("main.conf.d/.10-hidden.conf", "[Node]\nMaxEndedRoles=2\n");
        g_autofree char *hidden = g_build_filename(directory, "main.conf.d/.10-hidden.conf", NULL);
        g_auto(Fault) fault = {};
        Settings *none = NULL;

        assert_fault(settings_load(directory, "main", false, &none, &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "main.conf:7: \"A[de]\" is not a valid name");
        write_file("main.conf",
                "; a comment\r\n[Environment]\r\nA=\"a\\tb\\\\\" \t\r\nB=1 \\\n# a comment\n  2\n[Node]\nMaxEndedRoles=3\nMaxEndedRoles=4\n");
        g_autoptr(Settings) settings = load();
        assert_return_code(unlink(hidden), errno);
        g_autofree char *environment = g_strjoinv("|", settings->environment);
        assert_string_equal(environment, "A=\"a\\tb\\\\\"|B=1    2");
        assert_int_equal(settings->max_ended_roles, 4);
        assert_null(warnings);
}

static void link_file(const char *name, const char *target) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        assert_return_code(symlink(target, path), errno);
}

/* A mask is an empty file. A FIFO is never waited for. */
static void test_not_regular(void **state) {
        g_autofree char *path = g_build_filename(directory, "main.conf", NULL);
        static const char *const others[] = { "/dev/zero", "/dev/full", "/" };
        g_autoptr(Settings) masked = NULL;

        link_file("main.conf", "/dev/null");
        write_file("main.conf.d/10-a.conf", "[Node]\nSetupTimeout=1s\n");
        link_file("main.conf.d/20-b.conf", "/dev/null");
        masked = load();
        assert_int_equal(masked->setup_timeout_usec, USEC_PER_SEC);
        assert_return_code(unlink(path), errno);

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                g_auto(Fault) fault = {};
                Settings *settings = NULL;

                link_file("main.conf", others[i]);
                assert_fault(settings_load(directory, "main", false, &settings, &fault), &fault,
                        NODE_ERROR_IO_ERROR, path);
                assert_null(settings);
                assert_return_code(unlink(path), errno);
        }
        g_auto(Fault) fault = {};
        Settings *settings = NULL;
        assert_return_code(mkfifo(path, 0600), errno);
        (void) alarm(60); /* in case it is waited for */
        assert_fault(settings_load(directory, "main", false, &settings, &fault), &fault, NODE_ERROR_IO_ERROR,
                "neither a regular file nor /dev/null");
        (void) alarm(0);
}

static void test_unknown(void **state) {
        write_file("main.conf", "# a comment\n[Node]\nMaxEndedRoles=5\n  MaxEndedRole=6\n\n[Nodes]\nx=1\n");
        g_autoptr(Settings) settings = load();

        assert_int_equal(settings->max_ended_roles, 5);
        assert_non_null(warnings);
        assert_non_null(strstr(warnings, "main.conf:4: unknown key MaxEndedRole="));
        assert_non_null(strstr(warnings, "main.conf:6: unknown section [Nodes]"));
}

static void test_bad_values(void **state) {
        static const struct {
                const char *text;
                const char *expected;
        } table[] = {
                { "[Node]\nMonitorTimeout=soon\n", "main.conf:2: MonitorTimeout=soon is not a valid value" },
                { "[Node]\nMonitorTimeout=\n", "main.conf:2: MonitorTimeout= is not a valid value" },
                { "[Node]\nDefaultStopTimeout=5 parsecs\n", "main.conf:2: DefaultStopTimeout" },
                { "[Node]\nSetupTimeout=-1\n", "main.conf:2: SetupTimeout=-1 is not a valid value" },
                { "[Node]\nSetupTimeout=99999999999999999999\n",
                        "main.conf:2: SetupTimeout=99999999999999999999 is out of range" },
                { "[Node]\nSetupTimeout=0\n",
                        "main.conf:2: SetupTimeout=0 is out of range: give a time longer than 0" },
                { "[Node]\nSetupTimeout=0s 0ms\n", "main.conf:2: SetupTimeout=0s 0ms is out of range" },
                { "[Environment]\nA=\xff\n", "main.conf:2: " },
                { "[Environment]\nA=\xef\xbf\xbe\n",
                        "main.conf:2: the line is not UTF-8, or has characters that D-Bus does not permit" },
                { "[Node]\nMonitorAction=panic\n", "main.conf:2: MonitorAction=panic is not a valid value" },
                { "[Node]\nMaxEndedRoles=0\n", "main.conf:2: MaxEndedRoles=0 is out of range" },
                { "[Node]\nMaxConcurrentStarts=1001\n",
                        "main.conf:2: MaxConcurrentStarts=1001 is out of range" },
                { "[Node]\nMaxConcurrentStarts=ten\n",
                        "main.conf:2: MaxConcurrentStarts=ten is not a valid value" },
                { "[Node]\nMaxPortsPerUser=4097\n", "main.conf:2: MaxPortsPerUser=4097 is out of range" },
                { "[Node]\nMaxStartsPerUser=0\n", "main.conf:2: MaxStartsPerUser=0 is out of range" },
                { "[Node]\nMaxStartsPerUser=6001\n", "main.conf:2: MaxStartsPerUser=6001 is out of range" },
                { "[Node]\nMaxEndedRolesPerUser=0\n", "main.conf:2: MaxEndedRolesPerUser=0 is out of range" },
                { "[Node]\nMaxEnvironmentPerUser=257K\n",
                        "main.conf:2: MaxEnvironmentPerUser=257K is out of range" },
                { "[Node]\nMaxEnvironmentPerUser=0K\n",
                        "main.conf:2: MaxEnvironmentPerUser=0K is out of range" },
                { "[Node]\nMaxQueuedInputPerUser=513M\n",
                        "main.conf:2: MaxQueuedInputPerUser=513M is out of range" },
                { "[Node]\nMaxQueuedInputPerUser=3KB\n",
                        "main.conf:2: MaxQueuedInputPerUser=3KB is not a valid value" },
                { "[Node]\nMaxQueuedInputPerUser=1G\n",
                        "main.conf:2: MaxQueuedInputPerUser=1G is out of range" },
                { "[Node]\nBindAddress=localhost\n",
                        "main.conf:2: BindAddress=localhost is not a valid value" },
                { "[Node]\nBindAddress=1.2.3\n", "main.conf:2: BindAddress" },
                { "[Node]\nRequireUser=\n", "main.conf:2: RequireUser= is not a valid value" },
                { "[Node]\nRequireUser=maybe\n", "main.conf:2: RequireUser=maybe is not a valid value" },
                { "[Environment]\n1A=x\n", "main.conf:2: \"1A\" is not a valid name" },
                { "MaxEndedRoles=1\n", "main.conf:1: the assignment comes before the first section header" },
                { "[Node\n", "main.conf:1: the section header does not end" },
                { "[Node]\nMaxEndedRoles\n", "main.conf:2: the line is neither" },
                /* It is not the last one that counts. */
                { "[Node]\nMaxEndedRoles=0\nMaxEndedRoles=1\n",
                        "main.conf:2: MaxEndedRoles=0 is out of range" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_auto(Fault) fault = {};
                Settings *settings = (Settings *) 1;

                write_file("main.conf", table[i].text);
                assert_true(settings_load(directory, "main", false, &settings, &fault) < 0);
                assert_ptr_equal(settings, (Settings *) 1);
                if (!fault.message || !strstr(fault.message, table[i].expected))
                        fail_msg("\"%s\" for %s", fault.message, table[i].text);
        }
}

static void test_users(void **state) {
        static const struct {
                const char *text;
                bool require;
        } words[] = { { "yes", true }, { "Yes", true }, { "1", true }, { "true", true }, { "on", true },
                { "no", false }, { "0", false }, { "off", false }, { "False", false } };
        static const char *const keys[] = { "DefaultUser=obs", "RequireUser=yes", "RequireUser=no" };
        g_autofree char *long_name = g_strnfill(256, 'a'),
                        *too_long = g_strdup_printf("[Node]\nDefaultUser=%s\n", long_name);
        g_auto(Fault) long_fault = {};
        Settings *none = NULL;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                g_autofree char *text = g_strdup_printf("[Node]\nRequireUser=%s\n", words[i].text);

                write_file("main.conf", text);
                g_autoptr(Settings) settings = load();
                assert_int_equal(settings->require_user, words[i].require);
        }
        write_file("main.conf", "[Node]\nDefaultUser=obs\n");
        write_file("main.conf.d/10-a.conf", "[Node]\nDefaultUser=\n");
        g_autoptr(Settings) undone = load();
        assert_null(undone->default_user);
        write_file("main.conf.d/10-a.conf", "");

        write_file("main.conf", too_long);
        assert_fault(settings_load(directory, "main", false, &none, &long_fault), &long_fault,
                NODE_ERROR_INVALID_ARGS, "is out of range");

        /* All roles of a user's service are this user's. */
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                g_autofree char *text = g_strdup_printf("[Node]\n%s\n", keys[i]),
                                *expected = g_strdup_printf("main.conf:2: %.11s= is refused", keys[i]);
                g_auto(Fault) fault = {};

                write_file("main.conf", text);
                assert_fault(settings_load(directory, "main", true, &none, &fault), &fault,
                        NODE_ERROR_INVALID_ARGS, expected);
        }
}

/* What is not valid makes no role one of root. */
static void test_fallback(void **state) {
        static const struct {
                const char *main, *drop_in;
                bool require;
        } table[] = {
                { "[Node]\nMaxEndedRoles=many\n", "", false },
                { "[Node]\nMaxEndedRoles=many\n# DefaultUser=obs\n", "", false },
                { "[Node]\nMaxEndedRoles=many\nDefaultUser=obs\n", "", true },
                { "[Node]\nMaxEndedRoles=many\n", "[Node]\n  RequireUser = yes\n", true },
                { "[Node]\nRequireUser=ja\n", "", true },
                { "[Node\nDefaultUser=obs\n", "", true },
                /* However the line begins, ends or goes on. */
                { "[Node]\nMaxEndedRoles=many\n\t# x\n;DefaultUser=obs\nX=DefaultUser\n", "", false },
                { "[Node]\nDefaultUser=\xff\n", "", true },
                { "[Node]\nMaxEndedRoles=many\rDefaultUser=obs\r", "", true },
                { "[Node]\nMaxEndedRoles=many\nDefaultUser\\\n=obs\n", "", true },
                { "[Node]\n\xef\xbb\xbf"
                  "DefaultUser=obs\nMaxEndedRoles=many\n",
                        "", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                write_file("main.conf", table[i].main);
                write_file("main.conf.d/10-a.conf", table[i].drop_in);
                g_autoptr(Settings) settings = settings_new_fallback(directory, "main");
                if (settings->require_user != table[i].require)
                        fail_msg("require_user is %d for %s", settings->require_user, table[i].main);
                assert_null(settings->default_user);
                assert_int_equal(settings->max_ended_roles, 1000);
        }
}

static void assert_user_required(bool required) {
        g_autoptr(Settings) settings = settings_new_fallback(directory, "main");

        assert_int_equal(settings->require_user, required);
}

/* What cannot be read may be about users. */
static void test_unreadable(void **state) {
        g_autofree char *path = g_build_filename(directory, "main.conf", NULL),
                        *drop_ins = g_build_filename(directory, "main.conf.d", NULL),
                        *drop_in = g_build_filename(drop_ins, "10-a.conf", NULL);
        static const char nul[] = "\n\0\nRequireUser=yes\n";
        g_autofree char *large = g_strnfill(1024 * 1024 + 1, '\n');
        g_auto(Fault) nul_fault = {}, large_fault = {}, list_fault = {};
        Settings *none = NULL;

        assert_user_required(false);
        assert_true(g_file_set_contents(path, nul, sizeof(nul) - 1, NULL));
        assert_user_required(true);
        assert_fault(settings_load(directory, "main", false, &none, &nul_fault), &nul_fault,
                NODE_ERROR_INVALID_ARGS, "main.conf:2: the line has a NUL byte");
        write_file("main.conf", large);
        assert_user_required(true);
        assert_fault(settings_load(directory, "main", false, &none, &large_fault), &large_fault,
                NODE_ERROR_IO_ERROR, path);
        assert_return_code(unlink(path), errno);

        link_file("main.conf", "/dev/null");
        write_file("main.conf.d/10-a.conf", "");
        assert_user_required(false);
        assert_return_code(unlink(drop_in), errno);
        assert_return_code(g_rmdir(drop_ins), errno);
        write_file("main.conf.d", "");
        assert_user_required(true);
        assert_fault(settings_load(directory, "main", false, &none, &list_fault), &list_fault,
                NODE_ERROR_IO_ERROR, drop_ins);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_every_key, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bind_address, setup, teardown),
                cmocka_unit_test_setup_teardown(test_drop_ins, setup, teardown),
                cmocka_unit_test_setup_teardown(test_syntax, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_regular, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
                cmocka_unit_test_setup_teardown(test_users, setup, teardown),
                cmocka_unit_test_setup_teardown(test_fallback, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
