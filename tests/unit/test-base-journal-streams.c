/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How many streams the journal has. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/fd-util.h"
#include "base/journal-streams.h"

static void touch(const char *directory, int i) {
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/8:%d", directory, i);
        autofd fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
}

static void count(const char *directory) {
        char from[128], to[128];

        assert_int_equal(journal_streams_count(directory), 0);
        for (int i = 0; i < 1000; i++) {
                touch(directory, i);
                assert_int_equal(journal_streams_count(directory), i + 1);
        }
        /* journald writes a new file and renames it over the old one. */
        (void) snprintf(from, sizeof(from), "%s/8:0", directory);
        (void) snprintf(to, sizeof(to), "%s/8:1", directory);
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(journal_streams_count(directory), 999);
        for (int i = 1; i < 1000; i++) {
                (void) snprintf(from, sizeof(from), "%s/8:%d", directory, i);
                assert_int_equal(unlink(from), 0);
                assert_int_equal(journal_streams_count(directory), 999 - i);
        }
}

static void count_on(const char *type) {
        char directory[] = "/tmp/architect-test-XXXXXX";

        assert_non_null(mkdtemp(directory));
        assert_int_equal(mount(type, directory, type, 0, "mode=0755"), 0);
        count(directory);
        assert_int_equal(umount(directory), 0);
        assert_int_equal(rmdir(directory), 0);
}

/* Where the journal has them. */
static void test_tmpfs(void **state) {
        count_on("tmpfs");
}

/* One that does not count its entries. */
static void test_other(void **state) {
        count_on("ramfs");
}

static void test_none(void **state) {
        assert_int_equal(journal_streams_count("/nowhere/streams"), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tmpfs),
                cmocka_unit_test(test_other),
                cmocka_unit_test(test_none),
        };

        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                perror("Cannot make a mount namespace");
                return EXIT_FAILURE;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
