/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files with groups of hosts, and what --host= stands for. */

#include "unit-test.h"

#include <glib/gstdio.h>

#include "base/macro.h"
#include "ctl/hosts.h"

/* What the words stand for in groups of this text, or what is wrong with one of them, with a "!". */
static char *expand(const char *text, const char *const *words) {
        g_autoptr(HostGroups) groups = host_groups_new();
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free),
                             hosts = g_ptr_array_new_with_free_func(g_free);

        host_groups_parse(groups, "F", text, strlen(text), errors);
        host_groups_check(groups, errors);
        if (errors->len == 0) {
                char *reason = host_groups_expand(groups, (char *const *) words, hosts);

                if (reason)
                        g_ptr_array_add(errors, reason);
        }
        GPtrArray *list = errors->len > 0 ? errors : hosts;
        g_ptr_array_add(list, NULL);
        g_autofree char *joined = g_strjoinv(list == errors ? "|" : " ", (char **) list->pdata);
        return g_strconcat(list == errors ? "!" : "", joined, NULL);
}

static void check(const char *text, const char *const *words, const char *expected) {
        g_autofree char *found = expand(text, words);

        assert_string_equal(found, expected);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const char observatory[] = "# The dome\n"
                                  "cameras = cam1 cam2\troot@cam3  # by the window\n"
                                  "\n"
                                  "  mounts=m1:2222 cam2\n"
                                  "dome = @cameras @mounts hub\n";

static void test_groups(void **state) {
        check(observatory, WORDS("@cameras"), "cam1 cam2 root@cam3");
        check(observatory, WORDS("@dome"), "cam1 cam2 root@cam3 m1:2222 hub");
        check(observatory, WORDS("@all"), "cam1 cam2 root@cam3 m1:2222 hub");
        check(observatory, WORDS("x,@mounts,cam1", "y"), "x m1:2222 cam2 cam1 y");
        check("all = a @b\nb = c", WORDS("@all"), "a c");
        check("a = @all x\nb = y", WORDS("@a"), "x y");
        check("a = h\r\nb = i", WORDS("@a", "@b"), "h i");
        check("a = h", WORDS("h,h", "@a"), "h");
}

static void test_mistakes(void **state) {
        check("cam1 cam2", WORDS("h"), "!F:1: there is no \"=\", as in \"cameras = cam1 cam2\"");
        check("a =\nb = # none\n", WORDS("h"), "!F:1: the group has no host|F:2: the group has no host");
        check("= h", WORDS("h"), "!F:1: \"\" is not the name of a group");
        check("a b = h", WORDS("h"), "!F:1: \"a b\" is not the name of a group");
        check("@a = h", WORDS("h"), "!F:1: \"@a\" is not the name of a group");
        check("a = h\n\nb = i -oProxyCommand=id", WORDS("h"),
                "!F:3: \"-oProxyCommand=id\" is not a host, as in [USER@]HOST[:PORT]");
        check("a = @b @-c\n", WORDS("h"), "!F:1: \"-c\" is not the name of a group");
        check("a = h\nb = @c\na = i\n", WORDS("h"),
                "!F:3: the group \"a\" is already in line 1|F:2: there is no group \"c\"");
        check("a = \xff", WORDS("h"), "!F:1: it is not UTF-8");
        check("a = h\x1b[2J", WORDS("h"), "!F:1: \"h\\x1b[2J\" is not a host, as in [USER@]HOST[:PORT]");
        check("a = @b\nb = x @c\nc = @a\n", WORDS("@b"), "!F:2: the group \"b\" contains itself");
}

static void test_words(void **state) {
        check("cameras = a", WORDS("@camera"),
                "!there is no group of hosts \"camera\"; did you mean \"cameras\"?");
        check("", WORDS("@all"),
                "!there is no group of hosts \"all\"; /etc/architect-node/hosts and "
                "~/.config/architect-node/hosts have them");
        check("", WORDS(""), "!\"\" is not a host, as in [USER@]HOST[:PORT]");
        check("", WORDS("a,"), "!\"\" is not a host, as in [USER@]HOST[:PORT]");
        check("", WORDS("a,-b"), "!\"-b\" is not a host, as in [USER@]HOST[:PORT]");
        assert_true(host_words_have_group((char *[]){ "a", "@b", NULL }));
        assert_true(host_words_have_group((char *[]){ "a,@b", NULL }));
        assert_false(host_words_have_group((char *[]){ "a@b,c", NULL }));
}

/* Groups in one another end somewhere, and one that is named often is read once. */
static void test_deep(void **state) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < 31; i++)
                g_string_append_printf(text, "g%u = @g%u @g%u @g%u\n", i, i + 1, i + 1, i + 1);
        g_string_append(text, "g31 = h\n");
        check(text->str, WORDS("@g0"), "h");
        g_string_append(text, "z = @g0\n");
        check(text->str, WORDS("@z"), "!F:32: more than 32 groups are in one another");
}

/* A text with a NUL byte is not read up to there as if it were all. */
static void test_nul(void **state) {
        static const char text[] = "a = h\0 i\nb = k\n";
        g_autoptr(HostGroups) groups = host_groups_new();
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);

        host_groups_parse(groups, "F", text, sizeof(text) - 1, errors);
        assert_int_equal(errors->len, 1);
        assert_string_equal(errors->pdata[0], "F:1: it has a NUL byte");
}

/* The user's file adds groups, and replaces those of the same name. */
static void test_precedence(void **state) {
        g_autoptr(HostGroups) groups = host_groups_new();
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free),
                             hosts = g_ptr_array_new_with_free_func(g_free);
        static const char system[] = "a = h\nb = i\n", user[] = "b = k\nc = l\n";

        host_groups_parse(groups, "/etc/F", system, strlen(system), errors);
        host_groups_parse(groups, "/home/F", user, strlen(user), errors);
        assert_int_equal(errors->len, 0);
        assert_null(host_groups_expand(groups, (char *[]){ "@all", NULL }, hosts));
        assert_int_equal(hosts->len, 3);
        assert_string_equal(hosts->pdata[0], "h");
        assert_string_equal(hosts->pdata[1], "k");
        assert_string_equal(hosts->pdata[2], "l");
}

static void test_files(void **state) {
        g_autofree char *directory = g_dir_make_tmp("test-ctl-hosts-XXXXXX", NULL),
                        *own = g_build_filename(directory, "architect-node", NULL),
                        *path = g_build_filename(own, "hosts", NULL);
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free),
                             hosts = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(HostGroups) groups = host_groups_new();

        /* GLib reads it once, and this is the first time. */
        assert_true(g_setenv("XDG_CONFIG_HOME", directory, true));
        assert_return_code(g_mkdir(own, 0700), errno);
        assert_true(g_file_set_contents(path, "test-ctl-hosts = h\nbad\n", -1, NULL));
        host_groups_load(groups, errors);
        assert_int_equal(errors->len, 1);
        assert_true(g_str_has_prefix(errors->pdata[0], path));
        assert_non_null(strstr(errors->pdata[0], ":2: there is no \"=\""));
        assert_null(host_groups_expand(groups, (char *[]){ "@test-ctl-hosts", NULL }, hosts));
        assert_int_equal(hosts->len, 1);
        assert_return_code(g_unlink(path), errno);
        assert_return_code(g_rmdir(own), errno);
        assert_return_code(g_rmdir(directory), errno);
}

static void test_valid(void **state) {
        static const char *const good[] = { "h", "cam-1.example.org", "root@h", "a.b_c@h:22", "h/container",
                "h:1/c", "10.0.0.1", "[::1]", "[fe80::1%eth0]:22", "u@[::1]:65535/c", "_h" };
        static const char *const bad[] = { "", "-h", "@h", "u@", "u@-h", "-u@h", "h:", "h:0", "h:65536",
                "h:22x", "h/", "h/-c", "h/c/d", "a@b@c", "h i", "h;i", "$(id)", "h\n", "::1", "[::1", "::1]",
                "[]", "[::1]x", "[[::1]]", "x[::1]", "[-oX]", "[::1]@h", "h\x01", "\xc3\xa4", "h,i",
                "u:v@h" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (!host_is_valid(good[i]))
                        fail_msg("\"%s\" is a host", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (host_is_valid(bad[i]))
                        fail_msg("\"%s\" is not a host", bad[i]);
}

static void test_split(void **state) {
        static const struct {
                const char *host, *where, *port, *container;
        } cases[] = {
                { "h", "h", NULL, NULL },
                { "u@h:22/c", "u@h", "22", "c" },
                { "h/c", "h", NULL, "c" },
                { "u@[::1]:22", "u@::1", "22", NULL },
                { "[::1]", "::1", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *where = NULL, *port = NULL, *container = NULL;

                host_split(cases[i].host, &where, &port, &container);
                assert_string_equal(where, cases[i].where);
                assert_true(g_strcmp0(port, cases[i].port) == 0);
                assert_true(g_strcmp0(container, cases[i].container) == 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_groups),
                cmocka_unit_test(test_mistakes),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_deep),
                cmocka_unit_test(test_nul),
                cmocka_unit_test(test_precedence),
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_split),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
