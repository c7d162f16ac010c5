/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "unit-test.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "node/events.h"
#include "util/log.h"

typedef struct Directory {
        char *path;
        int fd;
} Directory;

static int setup(void **state) {
        Directory *d = g_new0(Directory, 1);

        log_set_max_level(LOG_EMERG);
        d->path = g_dir_make_tmp("test-events-XXXXXX", NULL);
        assert_non_null(d->path);
        d->fd = open(d->path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(d->fd, errno);
        *state = d;
        return 0;
}

static int teardown(void **state) {
        Directory *d = *state;

        (void) unlinkat(d->fd, "events", 0);
        (void) unlinkat(d->fd, "events.damaged", 0);
        (void) fd_close(d->fd);
        assert_return_code(g_rmdir(d->path), errno); /* nothing else was left in it */
        g_free(d->path);
        g_free(d);
        return 0;
}

static uint64_t next(Events *events) {
        uint64_t n = 0;

        assert_return_code(events_next(events, &n), 0);
        return n;
}

static void write_file(Directory *d, const void *data, size_t size) {
        autofd fd = openat(d->fd, "events", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_return_code(fd, errno);
        assert_int_equal(write(fd, data, size), (ssize_t) size);
}

static void test_in_memory(void **state) {
        Events *events, *other;

        assert_return_code(events_open(-1, &events), 0);
        assert_return_code(events_open(-1, &other), 0);
        assert_false(sd_id128_is_null(events_epoch(events)));
        assert_false(sd_id128_equal(events_epoch(events), events_epoch(other)));
        assert_int_equal(events_sequence(events), 0);
        assert_int_equal(next(events), 1);
        assert_int_equal(next(events), 2);
        assert_int_equal(events_sequence(events), 2);
        assert_int_equal(next(other), 1);
        events_close(events);
        events_close(other);
        assert_null(events_close(NULL));
}

static void test_numbers_go_on(void **state) {
        Directory *d = *state;
        Events *events;
        struct stat st;

        assert_return_code(events_open(d->fd, &events), 0);
        sd_id128_t epoch = events_epoch(events);
        for (uint64_t i = 1; i <= 1000; i++)
                assert_int_equal(next(events), i);

        /* Without a close: a crash. The file has each number before anybody else. */
        Events *successor;
        assert_return_code(events_open(d->fd, &successor), 0);
        assert_true(sd_id128_equal(events_epoch(successor), epoch));
        assert_int_equal(events_sequence(successor), 1000);
        assert_int_equal(next(successor), 1001);
        events_close(events);
        events_close(successor);

        assert_return_code(fstatat(d->fd, "events", &st, 0), errno);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_size, 32); /* does not grow */
}

static void test_seen(void **state) {
        Directory *d = *state;
        Events *events;

        assert_return_code(events_open(d->fd, &events), 0);
        events_seen(events, 41);
        assert_int_equal(next(events), 42);
        events_seen(events, 42);
        events_seen(events, 7); /* old news */
        assert_int_equal(next(events), 43);
        events_close(events);
}

static void open_damaged(Directory *d, sd_id128_t old_epoch, size_t damaged_size) {
        Events *events;
        struct stat st;

        assert_return_code(events_open(d->fd, &events), 0);
        assert_int_equal(events_sequence(events), 0);
        assert_false(sd_id128_equal(events_epoch(events), old_epoch));
        assert_int_equal(next(events), 1);
        events_close(events);

        /* Set aside, as it was. */
        assert_return_code(fstatat(d->fd, "events.damaged", &st, 0), errno);
        assert_int_equal(st.st_size, damaged_size);

        Events *again;
        assert_return_code(events_open(d->fd, &again), 0);
        assert_int_equal(next(again), 2);
        events_close(again);
}

static void test_truncated(void **state) {
        Directory *d = *state;
        Events *events;

        assert_return_code(events_open(d->fd, &events), 0);
        sd_id128_t epoch = events_epoch(events);
        assert_int_equal(next(events), 1);
        events_close(events);

        autofd fd = openat(d->fd, "events", O_WRONLY | O_CLOEXEC);
        assert_return_code(ftruncate(fd, 31), errno);
        open_damaged(d, epoch, 31);
}

static void test_wrong_magic(void **state) {
        Directory *d = *state;
        char text[64] = "this is something else, and long enough to be a count of events";

        write_file(d, text, sizeof(text));
        open_damaged(d, SD_ID128_NULL, sizeof(text));
}

/* The file was made, and then the machine went down: an empty one is a beginning, no damage. */
static void test_empty(void **state) {
        Directory *d = *state;
        Events *events;
        struct stat st;

        write_file(d, "", 0);
        assert_return_code(events_open(d->fd, &events), 0);
        assert_int_equal(next(events), 1);
        events_close(events);
        assert_int_equal(fstatat(d->fd, "events.damaged", &st, 0), -1);
}

static void test_symlink_is_refused(void **state) {
        Directory *d = *state;
        Events *events = NULL;

        assert_return_code(symlinkat("/dev/null", d->fd, "events"), errno);
        assert_int_equal(events_open(d->fd, &events), -ELOOP);
        assert_null(events);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_in_memory, setup, teardown),
                cmocka_unit_test_setup_teardown(test_numbers_go_on, setup, teardown),
                cmocka_unit_test_setup_teardown(test_seen, setup, teardown),
                cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wrong_magic, setup, teardown),
                cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
                cmocka_unit_test_setup_teardown(test_symlink_is_refused, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
