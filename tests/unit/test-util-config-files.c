/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which files a configuration consists of, and what is read of each. */

#include "unit-test.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "util/config-files.h"

static char *top;
static GPtrArray *made; /* paths, in the order in which they were made */

static int setup(void **state) {
        top = g_dir_make_tmp("test-config-files-XXXXXX", NULL);
        assert_non_null(top);
        made = g_ptr_array_new_with_free_func(g_free);
        return 0;
}

static int teardown(void **state) {
        while (made->len > 0) {
                g_autofree char *path = g_ptr_array_steal_index(made, made->len - 1);
                assert_return_code(g_remove(path), errno);
        }
        assert_return_code(g_rmdir(top), errno);
        g_clear_pointer(&made, g_ptr_array_unref);
        g_clear_pointer(&top, g_free);
        return 0;
}

/* Makes the directory of the file, too. */
static const char *make_path(const char *name) {
        g_autofree char *parent = g_path_get_dirname(name);
        char *path = g_build_filename(top, name, NULL);

        if (!g_str_equal(parent, ".")) {
                g_autofree char *directory = g_build_filename(top, parent, NULL);

                if (!g_file_test(directory, G_FILE_TEST_EXISTS)) {
                        (void) make_path(parent);
                        assert_return_code(g_mkdir(directory, 0700), errno);
                }
        }
        g_ptr_array_add(made, path);
        return path;
}

static const char *make_file(const char *name, const char *text, ssize_t size) {
        const char *path = make_path(name);

        assert_true(g_file_set_contents(path, text, size, NULL));
        return path;
}

static const char *make_link(const char *name, const char *target) {
        const char *path = make_path(name);

        assert_return_code(symlink(target, path), errno);
        return path;
}

/* Returns the paths below the directory of the test, separated by spaces. */
static char *list(void) {
        g_autofree char *etc = g_build_filename(top, "etc", NULL), *run = g_build_filename(top, "run", NULL),
                        *lib = g_build_filename(top, "lib", NULL);
        const char *const directories[] = { etc, run, lib, NULL };
        g_autoptr(GPtrArray) files = NULL;
        GString *names = g_string_new(NULL);

        assert_int_equal(config_files_list(directories, "a.conf", &files), 0);
        for (unsigned i = 0; i < files->len; i++) {
                const char *path = g_ptr_array_index(files, i);

                assert_true(g_str_has_prefix(path, top));
                g_string_append_printf(names, "%s%s", i > 0 ? " " : "", path + strlen(top) + 1);
        }
        return g_string_free(names, FALSE);
}

#define assert_list(expected) \
        do { \
                g_autofree char *_names = list(); \
                assert_string_equal(_names, expected); \
        } while (0)

static void test_main_file(void **state) {
        assert_list("");
        make_file("lib/a.conf", "", 0);
        make_file("lib/b.conf", "", 0);
        assert_list("lib/a.conf");
        make_link("run/a.conf", "/dev/null"); /* it hides the other one */
        assert_list("run/a.conf");
        make_file("etc/a.conf", "", 0);
        assert_list("etc/a.conf");
}

static void test_drop_ins(void **state) {
        make_file("lib/a.conf.d/30-c.conf", "", 0);
        make_file("lib/a.conf.d/10-a.conf", "", 0);
        make_file("lib/a.conf.d/50-e.conf", "", 0);
        make_file("lib/a.conf.d/40-d.conf", "", 0);
        make_file("run/a.conf.d/20-b.conf", "", 0);
        make_file("run/a.conf.d/30-c.conf", "", 0);
        make_link("run/a.conf.d/50-e.conf", "/dev/null");
        make_file("etc/a.conf.d/30-c.conf", "", 0);
        /* These are none. */
        make_file("etc/a.conf.d/40-d.conf~", "", 0);
        make_file("etc/a.conf.d/.40-d.conf", "", 0);
        make_file("etc/a.conf.d/40-d", "", 0);
        make_file("etc/b.conf.d/60-f.conf", "", 0);
        assert_list("lib/a.conf.d/10-a.conf run/a.conf.d/20-b.conf etc/a.conf.d/30-c.conf "
                    "lib/a.conf.d/40-d.conf run/a.conf.d/50-e.conf");
        /* The main file is read before them, wherever it is. */
        make_file("lib/a.conf", "", 0);
        assert_list("lib/a.conf lib/a.conf.d/10-a.conf run/a.conf.d/20-b.conf etc/a.conf.d/30-c.conf "
                    "lib/a.conf.d/40-d.conf run/a.conf.d/50-e.conf");
}

/* What cannot be listed is no empty directory. */
static void test_not_listed(void **state) {
        const char *const directories[] = { top, NULL };
        g_autofree char *below = g_build_filename(top, "a.conf.d", "x", NULL);
        const char *const not_directories[] = { below, NULL };
        GPtrArray *files = (GPtrArray *) 1;

        make_file("a.conf.d", "", 0);
        assert_int_equal(config_files_list(directories, "a.conf", &files), -ENOTDIR);
        assert_int_equal(config_files_list(not_directories, "a.conf", &files), -ENOTDIR);
        assert_ptr_equal(files, (GPtrArray *) 1);
}

static void test_read(void **state) {
        const char *file = make_file("file", "a\0b", 3), *link = make_link("link", "file");
        const char *const paths[] = { file, link };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                _cleanup_free_ char *text = NULL;
                size_t size;

                assert_int_equal(config_file_read(paths[i], &text, &size), 1);
                assert_int_equal(size, 3);
                assert_memory_equal(text, "a\0b", 4);
        }
}

static void test_not_read(void **state) {
        g_autofree char *max = g_strnfill(CONFIG_FILE_MAX + 1, 'x'),
                        *missing = g_build_filename(top, "missing", NULL);
        const char *fifo = make_path("fifo");
        const struct {
                const char *path;
                int expected;
        } table[] = {
                { missing, 0 },
                { make_link("to-nothing", "missing"), 0 },
                { make_link("to-null", "/dev/null"), 0 },
                { make_link("to-link", "to-null"), 0 },
                { "/dev/null", 0 },
                { make_link("to-zero", "/dev/zero"), -EBADFD },
                { make_link("circle", "circle"), -EBADFD },
                { fifo, -EBADFD },
                { top, -EISDIR },
                { make_file("too-large", max, CONFIG_FILE_MAX + 1), -EFBIG },
                { make_file("largest", max, CONFIG_FILE_MAX), 1 },
        };

        assert_return_code(mkfifo(fifo, 0600), errno);
        (void) alarm(60); /* in case it is waited for */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *text = NULL;
                size_t size = 42;
                int r = config_file_read(table[i].path, &text, &size);

                if (r != table[i].expected || (r <= 0 && (text || size != 42)))
                        fail_msg("%s: %d", table[i].path, r);
        }
        (void) alarm(0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_main_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_drop_ins, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_listed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_read, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
