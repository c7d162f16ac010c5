/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-directory.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/account.h"
#include "model/env.h"
#include "model/state-fields.h"
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
        g_auto(GStrv) list = env_list(env, 0);
        g_autofree char *joined = g_strjoinv("|", list);

        assert_string_equal(joined, expected);
}

static void assert_value(Env *env, const char *name, const char *expected) {
        const char *value = NULL;

        assert_return_code(env_get(env, 0, name, &value, NULL), 0);
        assert_string_equal(value, expected);
}

static void test_set_get_unset(void **state) {
        g_autoptr(Env) env = open_env(-1);
        char *base[] = { "A=configured", "PATH=/bin", NULL };
        const char *value = "untouched";

        env_set_base(env, base);
        assert_list(env, "A=configured|PATH=/bin");
        assert_return_code(env_set(env, 0, "B", "two words=\n\"quoted\"", NULL), 0);
        assert_return_code(env_set(env, 0, "A", "", NULL), 0);
        assert_value(env, "A", "");
        assert_list(env, "A=|B=two words=\n\"quoted\"|PATH=/bin");

        assert_return_code(env_unset(env, 0, "A", NULL), 0); /* also the one of the configuration */
        g_auto(Fault) fault = {};
        assert_fault(env_get(env, 0, "A", &value, &fault), &fault, NODE_ERROR_NO_SUCH_VARIABLE, "\"A\"");
        assert_string_equal(value, "untouched");
        g_auto(Fault) again = {};
        assert_fault(env_unset(env, 0, "A", &again), &again, NODE_ERROR_NO_SUCH_VARIABLE, "\"A\"");

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
        assert_int_equal(env_get(env, 0, "INVOCATION_ID", &(const char *){ NULL }, NULL), -ENODATA);
        assert_int_equal(env_get(env, 0, "LC_NAME", &(const char *){ NULL }, NULL), -ENODATA);
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
        assert_int_equal(env_get(env, 0, "XDG_RUNTIME_DIR", &(const char *){ NULL }, NULL), -ENODATA);
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
                assert_fault(env_set(env, 0, bad[i], "x", &fault), &fault, NODE_ERROR_INVALID_ARGS,
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

        assert_fault(env_set(env, 0, "L", large, &too_large), &too_large, NODE_ERROR_LIMIT_REACHED, "L");
        for (unsigned i = 1; i < ENV_VARIABLES_MAX; i++) { /* PATH is one of them */
                g_autofree char *name = g_strdup_printf("V%u", i);
                assert_return_code(env_set(env, 0, name, "", NULL), 0);
        }
        assert_fault(
                env_set(env, 0, "ONE_MORE", "", &too_many), &too_many, NODE_ERROR_LIMIT_REACHED, "ONE_MORE");
        assert_return_code(env_set(env, 0, "V1", "changed", NULL), 0); /* not one more */
}

static void assert_list_of(Env *env, uid_t uid, const char *expected) {
        g_auto(GStrv) list = env_list(env, uid);
        g_autofree char *joined = g_strjoinv("|", list);

        assert_string_equal(joined, expected);
}

static void assert_none(Env *env, uid_t uid, const char *name, const char *text) {
        g_auto(Fault) fault = {}, unset = {};
        const char *value = "untouched";

        assert_fault(env_get(env, uid, name, &value, &fault), &fault, NODE_ERROR_NO_SUCH_VARIABLE, text);
        assert_fault(env_unset(env, uid, name, &unset), &unset, NODE_ERROR_NO_SUCH_VARIABLE, text);
        assert_string_equal(value, "untouched");
}

/* A user sees and changes what he has set, and nobody else's. */
static void test_users(void **state) {
        g_autoptr(Env) env = open_env(-1);
        char *base[] = { "CONFIGURED=secret", "PATH=/bin", NULL };
        const char *value;

        env_set_base(env, base);
        assert_return_code(env_set(env, 0, "ROOT", "secret", NULL), 0);
        assert_return_code(env_set(env, 1000, "A", "alice's", NULL), 0);
        assert_return_code(env_set(env, 1000, "ROOT", "alice's", NULL), 0);
        assert_return_code(env_set(env, 1001, "A", "bob's", NULL), 0);
        assert_list(env, "CONFIGURED=secret|PATH=/bin|ROOT=secret");
        assert_list_of(env, 1000, "A=alice's|ROOT=alice's");
        assert_list_of(env, 1001, "A=bob's");
        assert_list_of(env, 1002, "");
        assert_none(env, 0, "A", "The environment of roles has no variable \"A\"");
        assert_none(env, 1001, "ROOT", "The environment of the roles of uid 1001 has no variable \"ROOT\"");
        assert_none(env, 1000, "CONFIGURED", "uid 1000");
        assert_none(env, 1000, "PATH", "uid 1000");
        assert_none(env, 1002, "A", "uid 1002");

        assert_return_code(env_unset(env, 1000, "ROOT", NULL), 0);
        assert_none(env, 1000, "ROOT", "uid 1000");
        assert_value(env, "ROOT", "secret");
        assert_return_code(env_unset(env, 0, "ROOT", NULL), 0);
        assert_return_code(env_get(env, 1001, "A", &value, NULL), 0);
        assert_string_equal(value, "bob's");
}

static void assert_role(Env *env, const Account *account, const Caller *owner, const char *expected) {
        g_auto(GStrv) list = env_list_role(env, account, owner);
        g_autofree char *joined = g_strjoinv("|", list);

        assert_string_equal(joined, expected);
}

#define PUBLIC_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The variables of a user reach what has his own rights, and no other process. */
static void test_roles(void **state) {
        g_autoptr(Env) env = open_env(-1);
        g_autoptr(GArray) groups = g_array_new(false, false, sizeof(gid_t));
        char *base[] = { "CONFIGURED=secret", NULL };
        const Caller alice = { .known = true, .uid = 1000 }, bob = { .known = true, .uid = 1001 },
                     root = { .known = true, .uid = 0 }, nobody = { .uid = 1000 };
        Account account = { .uid = 1000, .gid = 100, .groups = groups };

        g_array_append_val(groups, account.gid);
        env_set_base(env, base);
        assert_return_code(env_set(env, 0, "SECRET", "1", NULL), 0);
        assert_return_code(env_set(env, 1000, "A", "1", NULL), 0);
        assert_return_code(env_set(env, 1000, "SECRET", "2", NULL), 0);
        assert_return_code(env_set(env, 1001, "LD_PRELOAD", "/tmp/x.so", NULL), 0);
        assert_role(env, NULL, &root, "CONFIGURED=secret|" PUBLIC_PATH "|SECRET=1");
        assert_role(env, NULL, &nobody, "CONFIGURED=secret|" PUBLIC_PATH "|SECRET=1");
        assert_role(env, &account, &alice, "A=1|" PUBLIC_PATH "|SECRET=2");
        /* Bob has been permitted to start something as alice. */
        assert_role(env, &account, &bob, PUBLIC_PATH);
        assert_role(env, &account, &nobody, PUBLIC_PATH);
        /* Alice has been permitted to use a group of which she is not a member. */
        account.gid = 6;
        assert_role(env, &account, &alice, PUBLIC_PATH);
        account.uid = 0;
        assert_role(env, &account, &alice, PUBLIC_PATH);

        account = (Account){ .uid = 1000, .gid = 100, .groups = groups };
        assert_return_code(env_set(env, 1000, "PATH", "/home/alice/bin", NULL), 0);
        assert_role(env, &account, &alice, "A=1|PATH=/home/alice/bin|SECRET=2");
}

static void test_user_bounds(void **state) {
        g_autoptr(Env) env = open_env(-1);
        g_autofree char *large = g_strnfill(1000, 'x'), *huge = g_strnfill(ENV_SIZE_MAX - 100, 'x');
        g_auto(Fault) too_large = {}, too_many = {}, all = {};

        env_set_user_max(env, 2010);
        assert_return_code(env_set(env, 1000, "A", large, NULL), 0);
        assert_return_code(env_set(env, 1000, "B", large, NULL), 0);
        assert_fault(env_set(env, 1000, "CC", "xx", &too_large), &too_large, NODE_ERROR_LIMIT_REACHED,
                "Cannot set variable \"CC\": the environment of the roles of uid 1000 would be larger than 2010 bytes (MaxEnvironmentPerUser=)");
        assert_return_code(env_set(env, 1000, "C", "x", NULL), 0);   /* to the byte */
        assert_return_code(env_set(env, 1000, "A", "1", NULL), 0);   /* the old value does not count */
        assert_return_code(env_set(env, 1001, "A", large, NULL), 0); /* hers are not his */
        assert_return_code(env_set(env, 0, "A", huge, NULL), 0);

        env_set_user_max(env, ENV_SIZE_MAX);
        for (unsigned i = 0; i < ENV_VARIABLES_MAX; i++) {
                g_autofree char *name = g_strdup_printf("V%u", i);
                assert_return_code(env_set(env, 1002, name, "", NULL), 0);
        }
        assert_fault(env_set(env, 1002, "ONE_MORE", "", &too_many), &too_many, NODE_ERROR_LIMIT_REACHED,
                "uid 1002 has 1000 variables already");

        /* A name has no limit of its own, and is cut in the message. */
        g_auto(Fault) long_name = {};
        assert_fault(env_set(env, 1003, huge, huge, &long_name), &long_name, NODE_ERROR_LIMIT_REACHED,
                "xx\": the");
        assert_true(strlen(long_name.message) < 500);

        /* The file has an end, however many users there are. */
        assert_return_code(env_set(env, 2000, "A", huge, NULL), 0);
        assert_fault(env_set(env, 2001, "A", huge, &all), &all, NODE_ERROR_LIMIT_REACHED,
                "uid 2001: the variables of all users");
        assert_return_code(env_set(env, 2000, "A", huge, NULL), 0);
        assert_return_code(env_set(env, 0, "B", "", NULL), 0);
}

static void test_users_survive(void **state) {
        Directory *d = *state;
        Env *env = open_env(d->fd);

        assert_return_code(env_set(env, 0, "A", "root's", NULL), 0);
        assert_return_code(env_set(env, 1000, "A", "line\nbreak\\ = \xc3\xa4", NULL), 0);
        assert_return_code(env_set(env, 1000, "B", "", NULL), 0);
        assert_return_code(env_set(env, 4294967294U, "A", "", NULL), 0);
        assert_return_code(env_set(env, 1001, "GONE", "", NULL), 0);
        assert_return_code(env_unset(env, 1001, "GONE", NULL), 0);
        env = env_close(env);

        env = open_env(d->fd);
        assert_value(env, "A", "root's");
        assert_list_of(env, 1000, "A=line\nbreak\\ = \xc3\xa4|B=");
        assert_list_of(env, 1001, "");
        assert_list_of(env, 4294967294U, "A=");
        env_forget(env);
        env = env_close(env);

        env = open_env(d->fd);
        assert_list_of(env, 1000, "");
        assert_null(env_close(env));
}

/* A file in which one line is not one of a user is not valid at all. */
static void test_users_damaged(void **state) {
        static const char *const bad[] = { "", "A=1", "1000", "1000 ", "1000 A", "1000 1A=x", "0 A=1",
                "-1 A=1", "4294967295 A=1", "4294967296 A=1", "x A=1", " 1000 A=1", "1000  A=1" };
        Directory *d = *state;

        for (size_t i = 0; i <= ELEMENTSOF(bad); i++) {
                GString *s = state_fields_new("#", 1, NULL);

                state_put_string(s, "GOOD", "1");
                state_put_string(s, "#USER", "1000 A=1");
                state_put_string(s, "#USER", i < ELEMENTSOF(bad) ? bad[i] : "1000 A=2");
                g_autofree char *text = state_fields_finish(s);
                assert_return_code(file_replace(d->fd, "environment", text, strlen(text)), 0);
                g_autoptr(Env) env = open_env(d->fd);
                assert_list_of(env, 1000, "");
                assert_int_equal(env_get(env, 0, "GOOD", &(const char *){ NULL }, NULL), -ENODATA);
        }
}

static void test_survives(void **state) {
        Directory *d = *state;
        char *base[] = { "GONE=x", NULL };
        Env *env = open_env(d->fd);

        env_set_base(env, base);
        assert_return_code(env_set(env, 0, "A", "line\nbreak\\and\ttab", NULL), 0);
        assert_return_code(env_unset(env, 0, "GONE", NULL), 0);
        env = env_close(env);

        env = open_env(d->fd);
        env_set_base(env, base);
        assert_value(env, "A", "line\nbreak\\and\ttab");
        assert_int_equal(env_get(env, 0, "GONE", &(const char *){ NULL }, NULL), -ENODATA);
        env_forget(env);
        env = env_close(env);

        env = open_env(d->fd);
        env_set_base(env, base);
        assert_value(env, "GONE", "x");
        assert_int_equal(env_get(env, 0, "A", &(const char *){ NULL }, NULL), -ENODATA);
        assert_null(env_close(env));
}

static void test_damaged(void **state) {
        Directory *d = *state;
        g_autofree char *file = g_build_filename(d->path, "environment", NULL);
        g_autofree char *aside = g_build_filename(d->path, "environment.damaged", NULL);

        assert_true(g_file_set_contents(file, "GOOD=1\nno equals sign\n", -1, NULL));
        g_autoptr(Env) env = open_env(d->fd);
        assert_int_equal(
                env_get(env, 0, "GOOD", &(const char *){ NULL }, NULL), -ENODATA); /* all or nothing */
        assert_true(g_file_test(aside, G_FILE_TEST_EXISTS));
        assert_return_code(env_set(env, 0, "A", "1", NULL), 0);
}

/* A variable that cannot be saved is not set. */
static void test_failing_save(void **state) {
        Directory *d = *state;
        g_autofree char *path = g_build_filename(d->path, "gone", NULL);
        g_auto(Fault) fault = {};

        assert_return_code(g_mkdir(path, 0700), errno);
        autofd fd = open(path, O_DIRECTORY | O_CLOEXEC);
        g_autoptr(Env) env = open_env(fd);
        assert_return_code(env_set(env, 0, "A", "kept", NULL), 0);
        assert_return_code(unlinkat(fd, "environment", 0), errno);
        assert_return_code(g_rmdir(path), errno); /* nothing can be created in it any more */

        assert_fault(env_set(env, 0, "A", "lost", &fault), &fault, NODE_ERROR_IO_ERROR, "\"A\"");
        assert_value(env, "A", "kept");
        g_auto(Fault) other = {};
        assert_fault(env_set(env, 0, "B", "lost", &other), &other, NODE_ERROR_IO_ERROR, "\"B\"");
        assert_int_equal(env_get(env, 0, "B", &(const char *){ NULL }, NULL), -ENODATA);
        g_auto(Fault) of_user = {};
        assert_fault(env_set(env, 1000, "A", "lost", &of_user), &of_user, NODE_ERROR_IO_ERROR, "\"A\"");
        assert_list_of(env, 1000, "");
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
                cmocka_unit_test(test_users),
                cmocka_unit_test(test_roles),
                cmocka_unit_test(test_user_bounds),
                cmocka_unit_test_setup_teardown(test_users_survive, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_users_damaged, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_survives, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_failing_save, directory_setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
