/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-directory.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/env.h"
#include "util/log.h"

static int teardown(void **state) {
        static const char *const files[] = { "environment", "environment.damaged", NULL };

        return directory_teardown(state, files);
}

static Env *open_env(int fd) {
        Env *env = NULL;

        assert_return_code(env_open(fd, &env), 0);
        return env;
}

static void assert_list(Env *env, const char *expected) {
        g_auto(GStrv) list = env_list(env);
        g_autofree char *joined = g_strjoinv("|", list);

        assert_string_equal(joined, expected);
}

static void assert_value(Env *env, const char *name, const char *expected) {
        const char *value = NULL;

        assert_return_code(env_get(env, name, &value, NULL), 0);
        assert_string_equal(value, expected);
}

static void test_set_get_unset(void **state) {
        g_autoptr(Env) env = open_env(-1);
        char *base[] = { "A=configured", "PATH=/bin", NULL };
        const char *value = "untouched";

        env_set_base(env, base);
        assert_list(env, "A=configured|PATH=/bin");
        assert_return_code(env_set(env, "B", "two words=\n\"quoted\"", NULL), 0);
        assert_return_code(env_set(env, "A", "", NULL), 0);
        assert_value(env, "A", "");
        assert_list(env, "A=|B=two words=\n\"quoted\"|PATH=/bin");

        assert_return_code(env_unset(env, "A", NULL), 0); /* also the one of the configuration */
        g_auto(Fault) fault = {};
        assert_fault(env_get(env, "A", &value, &fault), &fault, NODE_ERROR_NO_SUCH_VARIABLE, "\"A\"");
        assert_string_equal(value, "untouched");
        g_auto(Fault) again = {};
        assert_fault(env_unset(env, "A", &again), &again, NODE_ERROR_NO_SUCH_VARIABLE, "\"A\"");

        env_set_base(env, base); /* a reload does not restore it, because the call was later */
        assert_list(env, "B=two words=\n\"quoted\"|PATH=/bin");
        env_set_base(env, NULL);
        assert_value(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

static void test_locale(void **state) {
        char *base[] = { "LANG=de_DE.UTF-8", NULL };

        g_setenv("LANG", "C.UTF-8", true);
        g_setenv("LC_TIME", "en_DK.UTF-8", true);
        g_setenv("INVOCATION_ID", "the service's", true);
        g_setenv("LC_NAME", "\xff", true); /* no reply could have it */
        g_autoptr(Env) env = open_env(-1);
        assert_value(env, "LANG", "C.UTF-8");
        assert_value(env, "LC_TIME", "en_DK.UTF-8");
        assert_int_equal(env_get(env, "INVOCATION_ID", &(const char *){ NULL }, NULL), -ENODATA);
        assert_int_equal(env_get(env, "LC_NAME", &(const char *){ NULL }, NULL), -ENODATA);
        env_set_base(env, base); /* the configuration has precedence over the system */
        assert_value(env, "LANG", "de_DE.UTF-8");
        g_unsetenv("LANG");
        g_unsetenv("LC_TIME");
        g_unsetenv("LC_NAME");
        g_unsetenv("INVOCATION_ID");
}

/* The service of the system takes nothing from the session from which it was started; the service of a user
 * is in the session. */
static void test_session(void **state) {
        g_setenv("XDG_RUNTIME_DIR", "/run/user/7", true);
        g_setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/7/bus", true);
        g_autoptr(Env) env = open_env(-1);
        assert_int_equal(env_get(env, "XDG_RUNTIME_DIR", &(const char *){ NULL }, NULL), -ENODATA);
        env_set_user(env);
        env_set_base(env, NULL);
        assert_value(env, "XDG_RUNTIME_DIR", "/run/user/7");
        assert_value(env, "DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/7/bus");
        g_unsetenv("XDG_RUNTIME_DIR");
        g_unsetenv("DBUS_SESSION_BUS_ADDRESS");
}

static void test_bad_names(void **state) {
        static const char *const bad[] = { "", "1A", "A=B", "A B", "A-B", "\xc3\x84", "A\n" };
        g_autoptr(Env) env = open_env(-1);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};
                assert_fault(env_set(env, bad[i], "x", &fault), &fault, NODE_ERROR_INVALID_ARGS,
                        "not a valid name");
        }
        assert_true(env_name_is_valid("_"));
        assert_true(env_name_is_valid("a1_B"));

        assert_true(env_variable_is("A=", "A"));
        assert_true(env_variable_is("A=B=C", "A"));
        assert_false(env_variable_is("AB=", "A"));
        assert_false(env_variable_is("A=", "AB"));
        assert_false(env_variable_is("A", "A"));
}

static void test_bounds(void **state) {
        g_autoptr(Env) env = open_env(-1);
        g_autofree char *large = g_strnfill(ENV_SIZE_MAX, 'x');
        g_auto(Fault) too_large = {}, too_many = {};

        assert_fault(env_set(env, "L", large, &too_large), &too_large, NODE_ERROR_LIMIT_REACHED, "L");
        for (unsigned i = 1; i < ENV_VARIABLES_MAX; i++) { /* PATH is one of them */
                g_autofree char *name = g_strdup_printf("V%u", i);
                assert_return_code(env_set(env, name, "", NULL), 0);
        }
        assert_fault(
                env_set(env, "ONE_MORE", "", &too_many), &too_many, NODE_ERROR_LIMIT_REACHED, "ONE_MORE");
        assert_return_code(env_set(env, "V1", "changed", NULL), 0); /* not one more */
}

static void test_survives(void **state) {
        Directory *d = *state;
        char *base[] = { "GONE=x", NULL };
        Env *env = open_env(d->fd);

        env_set_base(env, base);
        assert_return_code(env_set(env, "A", "line\nbreak\\and\ttab", NULL), 0);
        assert_return_code(env_unset(env, "GONE", NULL), 0);
        env = env_close(env);

        env = open_env(d->fd);
        env_set_base(env, base);
        assert_value(env, "A", "line\nbreak\\and\ttab");
        assert_int_equal(env_get(env, "GONE", &(const char *){ NULL }, NULL), -ENODATA);
        env_forget(env);
        env = env_close(env);

        env = open_env(d->fd);
        env_set_base(env, base);
        assert_value(env, "GONE", "x");
        assert_int_equal(env_get(env, "A", &(const char *){ NULL }, NULL), -ENODATA);
        assert_null(env_close(env));
}

static void test_damaged(void **state) {
        Directory *d = *state;
        g_autofree char *file = g_build_filename(d->path, "environment", NULL);
        g_autofree char *aside = g_build_filename(d->path, "environment.damaged", NULL);

        assert_true(g_file_set_contents(file, "GOOD=1\nno equals sign\n", -1, NULL));
        g_autoptr(Env) env = open_env(d->fd);
        assert_int_equal(env_get(env, "GOOD", &(const char *){ NULL }, NULL), -ENODATA); /* all or nothing */
        assert_true(g_file_test(aside, G_FILE_TEST_EXISTS));
        assert_return_code(env_set(env, "A", "1", NULL), 0);
}

/* A variable that cannot be saved is not set. */
static void test_failing_save(void **state) {
        Directory *d = *state;
        g_autofree char *path = g_build_filename(d->path, "gone", NULL);
        g_auto(Fault) fault = {};

        assert_return_code(g_mkdir(path, 0700), errno);
        autofd fd = open(path, O_DIRECTORY | O_CLOEXEC);
        g_autoptr(Env) env = open_env(fd);
        assert_return_code(env_set(env, "A", "kept", NULL), 0);
        assert_return_code(unlinkat(fd, "environment", 0), errno);
        assert_return_code(g_rmdir(path), errno); /* nothing can be created in it any more */

        assert_fault(env_set(env, "A", "lost", &fault), &fault, NODE_ERROR_IO_ERROR, "\"A\"");
        assert_value(env, "A", "kept");
        g_auto(Fault) other = {};
        assert_fault(env_set(env, "B", "lost", &other), &other, NODE_ERROR_IO_ERROR, "\"B\"");
        assert_int_equal(env_get(env, "B", &(const char *){ NULL }, NULL), -ENODATA);
}

int main(void) {
        /* These would be in every list. */
        g_unsetenv("LANG");
        g_unsetenv("LANGUAGE");
        g_auto(GStrv) names = g_listenv();
        for (char **n = names; *n; n++)
                if (g_str_has_prefix(*n, "LC_"))
                        g_unsetenv(*n);

        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_set_get_unset),
                cmocka_unit_test(test_locale),
                cmocka_unit_test(test_session),
                cmocka_unit_test(test_bad_names),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test_setup_teardown(test_survives, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_failing_save, directory_setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
