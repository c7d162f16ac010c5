/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "unit-test.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/event-log.h"
#include "util/log.h"

typedef struct Directory {
        char *path;
        char *log; /* the log is below it */
        int fd;
        struct rlimit fsize;
} Directory;

static int setup(void **state) {
        Directory *d = g_new0(Directory, 1);

        log_set_max_level(LOG_EMERG);
        d->path = g_dir_make_tmp("test-event-log-XXXXXX", NULL);
        assert_non_null(d->path);
        d->log = g_build_filename(d->path, EVENT_LOG_DIRECTORY, NULL);
        d->fd = open(d->path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(d->fd, errno);
        assert_return_code(getrlimit(RLIMIT_FSIZE, &d->fsize), errno);
        *state = d;
        return 0;
}

static GPtrArray *files(Directory *d) {
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        GDir *dir = g_dir_open(d->log, 0, NULL);

        for (const char *name; dir && (name = g_dir_read_name(dir));)
                g_ptr_array_add(names, g_strdup(name));
        if (dir)
                g_dir_close(dir);
        return names;
}

static int teardown(void **state) {
        Directory *d = *state;
        g_autoptr(GPtrArray) names = files(d);

        assert_return_code(setrlimit(RLIMIT_FSIZE, &d->fsize), errno);
        for (unsigned i = 0; i < names->len; i++) {
                g_autofree char *path = g_build_filename(d->log, g_ptr_array_index(names, i), NULL);
                assert_return_code(g_unlink(path), errno);
        }
        (void) g_rmdir(d->log);
        assert_return_code(g_rmdir(d->path), errno);
        (void) fd_close(d->fd);
        g_free(d->log);
        g_free(d->path);
        g_free(d);
        return 0;
}

/* No more space can be allocated, as on a full disk, but for this process only. */
static void no_space(Directory *d, bool full) {
        struct rlimit limit = { EVENT_LOG_SEGMENT_SIZE - 1, d->fsize.rlim_max };

        (void) signal(SIGXFSZ, SIG_IGN);
        assert_return_code(setrlimit(RLIMIT_FSIZE, full ? &limit : &d->fsize), errno);
}

static EventLog *open_log(Directory *d) {
        EventLog *log = NULL;

        assert_return_code(event_log_open(d->fd, &log), 0);
        assert_non_null(log);
        return log;
}

#define RECORD 600 /* about the size of an exit */

static int append(EventLog *log, uint64_t n, size_t size) {
        g_autofree uint8_t *data = g_malloc(size);

        memset(data, (int) (n & 0xff), size);
        return event_log_append(log, n, data, size);
}

typedef struct Count {
        uint64_t first, last, n;
        size_t size;
} Count;

static int count(void *userdata, uint64_t sequence, const void *data, size_t size) {
        Count *c = userdata;
        const uint8_t *bytes = data;

        if (c->n++ == 0)
                c->first = sequence;
        else
                assert_int_equal(sequence, c->last + 1);
        c->last = sequence;
        c->size = size;
        for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes[i], sequence & 0xff);
        assert_int_equal((uintptr_t) data % 8, 0);
        return 0;
}

static int count_ascending(void *userdata, uint64_t sequence, const void *data, size_t size) {
        const uint8_t *bytes = data;
        Count *c = userdata;

        assert_true(sequence > c->last);
        for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes[i], sequence & 0xff);
        c->last = sequence;
        c->n++;
        return 0;
}

static Count read_all(EventLog *log, uint64_t after) {
        Count c = {};

        assert_int_equal(event_log_read(log, after, count, &c), 0);
        return c;
}

static void test_empty(void **state) {
        Directory *d = *state;
        g_autoptr(EventLog) log = open_log(d);

        assert_int_equal(event_log_first(log), 0);
        assert_int_equal(event_log_last(log), 0);
        assert_int_equal(read_all(log, 0).n, 0);
        assert_int_equal(event_log_append(log, 1, "", 0), -E2BIG);
        assert_int_equal(append(log, 1, EVENT_LOG_RECORD_MAX + 1), -E2BIG);
        assert_int_equal(append(log, 1, EVENT_LOG_RECORD_MAX), 0);
        assert_int_equal(read_all(log, 0).size, EVENT_LOG_RECORD_MAX);
}

static void test_sizes(void **state) {
        Directory *d = *state;
        g_autoptr(EventLog) log = open_log(d);

        for (size_t size = 1; size < 40; size++) {
                assert_return_code(append(log, size, size), 0);
                assert_int_equal(read_all(log, size - 1).size, size);
        }
        g_autoptr(EventLog) successor = open_log(d);
        assert_int_equal(read_all(successor, 0).n, 39);
}

static void test_keeps_the_newest(void **state) {
        Directory *d = *state;
        EventLog *log = open_log(d);
        const uint64_t n = 40000;

        for (uint64_t i = 1; i <= n; i++) {
                assert_return_code(append(log, i, RECORD), 0);
                if (i % 9973 == 0) { /* a restart at any point */
                        event_log_close(log);
                        log = open_log(d);
                        assert_int_equal(event_log_last(log), i);
                }
        }
        Count c = read_all(log, 0);
        assert_int_equal(c.last, n);
        assert_true(c.n >= EVENT_LOG_KEEP);
        assert_true(c.n < EVENT_LOG_KEEP * 3 / 2);
        assert_int_equal(c.first, event_log_first(log));
        assert_int_equal(read_all(log, n - 1).n, 1);
        assert_int_equal(read_all(log, n - 5000).first, n - 5000 + 1);
        assert_int_equal(read_all(log, n).n, 0);

        /* No file of the removed segments is left. */
        g_autoptr(GPtrArray) names = files(d);
        assert_true(names->len <= c.n * (RECORD + 24) / EVENT_LOG_SEGMENT_SIZE + 3);
        event_log_close(log);
}

/* Writes the records 1 to n, and closes the log. */
static void write_log(Directory *d, uint64_t n) {
        EventLog *log = open_log(d);

        for (uint64_t i = 1; i <= n; i++)
                assert_return_code(append(log, i, RECORD), 0);
        event_log_close(log);
}

/* The segment that begins with record 1. */
static char *first_segment(const Directory *d) {
        return g_build_filename(d->log, "00000000000000000001", NULL);
}

static int open_first_segment(const Directory *d) {
        g_autofree char *path = first_segment(d);
        int fd = open(path, O_RDWR | O_CLOEXEC);

        assert_return_code(fd, errno);
        return fd;
}

/* All states in which a write can leave the file if the process is killed during it. */
static void test_torn(void **state) {
        Directory *d = *state;
        EventLog *log;

        write_log(d, 3);
        /* A fourth record is complete except for its size, which is written last. */
        autofd fd = open_first_segment(d);
        off_t end = 3 * (16 + RECORD);
        uint64_t number = 4;
        g_autofree char *rest = g_strnfill(RECORD, 'x');
        assert_int_equal(pwrite(fd, &number, 8, end + 8), 8);
        assert_int_equal(pwrite(fd, rest, RECORD, end + 16), RECORD);

        log = open_log(d);
        assert_int_equal(event_log_last(log), 3);
        assert_int_equal(read_all(log, 0).n, 3);
        assert_return_code(append(log, 4, 8), 0); /* it is shorter, so what follows is no record */
        event_log_close(log);
        log = open_log(d);
        assert_int_equal(read_all(log, 0).last, 4);
        event_log_close(log);

        /* An impossible size. */
        uint32_t size = UINT32_MAX;
        assert_int_equal(pwrite(fd, &size, 4, 16 + RECORD), 4);
        log = open_log(d);
        Count c = {};
        assert_int_equal(event_log_read(log, 0, count_ascending, &c), 0);
        assert_int_equal(c.n, 3); /* all others */
        assert_return_code(append(log, 5, 8), 0);
        event_log_close(log);
}

/* Some may be missing. */
static void test_cut(void **state) {
        Directory *d = *state;
        g_autofree char *path = first_segment(d);
        EventLog *log;
        Count c = {};

        write_log(d, 10);
        assert_return_code(truncate(path, 5 * (16 + RECORD) + 100), errno);
        log = open_log(d);
        assert_int_equal(event_log_last(log), 5);
        assert_int_equal(read_all(log, 0).n, 5); /* nothing of the sixth */
        for (uint64_t i = 11; i <= 2000; i++)
                assert_return_code(append(log, i, RECORD), 0);
        event_log_close(log);
        assert_return_code(truncate(path, 3 * (16 + RECORD) + 100), errno);
        log = open_log(d);
        assert_int_equal(event_log_read(log, 0, count_ascending, &c), 0);
        assert_int_equal(c.last, 2000);
        event_log_close(log);
        assert_return_code(truncate(path, 0), errno);
        log = open_log(d);
        assert_int_equal(event_log_last(log), 2000);
        event_log_close(log);
}

static void set_number(Directory *d, uint64_t first, uint64_t index, uint64_t number) {
        g_autofree char *path = g_strdup_printf("%s/%020" PRIu64, d->log, first);
        autofd fd = open(path, O_WRONLY | O_CLOEXEC);

        assert_return_code(fd, errno);
        assert_int_equal(
                pwrite(fd, &number, sizeof(number), (off_t) (index * (16 + RECORD) + 8)), sizeof(number));
}

/* The number in a damaged file is limited, because a next number must exist. */
static void test_last_number(void **state) {
        Directory *d = *state;
        EventLog *log = open_log(d);

        for (uint64_t i = 1; i <= 3; i++)
                assert_return_code(append(log, i, RECORD), 0);
        event_log_close(log);
        set_number(d, 1, 2, UINT64_MAX);

        g_autofree char *name = g_strdup_printf("%s/%020" PRIu64, d->log, UINT64_MAX);
        assert_true(g_file_set_contents(name, "", 0, NULL));

        log = open_log(d);
        assert_int_equal(event_log_last(log), 2);
        assert_return_code(append(log, 3, RECORD), 0);
        assert_int_equal(read_all(log, 0).n, 3);
        assert_int_equal(append(log, EVENT_LOG_SEQUENCE_MAX + 1, RECORD), -ERANGE);
        event_log_close(log);
}

/* A number that belongs to a later segment is not read. */
static void test_out_of_order(void **state) {
        Directory *d = *state;
        EventLog *log = open_log(d);
        const uint64_t per_segment = EVENT_LOG_SEGMENT_SIZE / (16 + RECORD);
        Count c = {};

        for (uint64_t i = 1; i <= per_segment + 10; i++)
                assert_return_code(append(log, i, RECORD), 0);
        set_number(d, 1, 3, per_segment + 5);
        assert_int_equal(event_log_read(log, 0, count_ascending, &c), 0);
        assert_int_equal(c.n, per_segment + 10 - 1);
        assert_int_equal(c.last, per_segment + 10);
        event_log_close(log);
}

/* The allocated space can be written when no more can be allocated. After that the oldest segments are used
 * again. */
static void test_no_space(void **state) {
        Directory *d = *state;
        EventLog *log = open_log(d);
        uint64_t n = 0;

        assert_return_code(append(log, ++n, RECORD), 0);
        no_space(d, true);
        while (append(log, n + 1, RECORD) >= 0)
                n++;
        assert_int_equal(n, EVENT_LOG_SEGMENT_SIZE / (16 + RECORD)); /* one complete segment */
        assert_int_equal(read_all(log, 0).n, n);
        assert_true(append(log, n + 1, RECORD) < 0);
        event_log_close(log);
        log = open_log(d); /* a restart in between */
        assert_int_equal(event_log_last(log), n);
        assert_true(append(log, n + 1, RECORD) < 0);

        no_space(d, false);
        for (uint64_t i = 0; i < 5000; i++)
                assert_return_code(append(log, ++n, RECORD), 0);
        uint64_t first = read_all(log, 0).first;
        assert_int_equal(first, 1);

        no_space(d, true);
        for (uint64_t i = 0; i < 20000; i++)
                assert_return_code(append(log, ++n, RECORD), 0);
        Count c = read_all(log, 0);
        assert_int_equal(c.last, n);
        assert_true(c.first > first);
        assert_true(c.n >= 3000);
        event_log_close(log);
        no_space(d, false);
        log = open_log(d);
        assert_int_equal(read_all(log, 0).n, c.n);
        event_log_close(log);
}

/* Whatever is changed in a record, it is skipped, and those after it are read. */
static void test_changed(void **state) {
        Directory *d = *state;
        EventLog *log;
        const off_t second = 16 + RECORD;

        write_log(d, 3);
        autofd fd = open_first_segment(d);
        for (off_t at = 0; at < 16 + RECORD; at++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        Count c = {};
                        uint8_t was, is;

                        assert_int_equal(pread(fd, &was, 1, second + at), 1);
                        is = (uint8_t) (was ^ (1U << bit));
                        assert_int_equal(pwrite(fd, &is, 1, second + at), 1);
                        log = open_log(d);
                        assert_int_equal(event_log_last(log), 3);
                        assert_int_equal(event_log_read(log, 0, count_ascending, &c), 0);
                        assert_int_equal(c.n, 2);
                        event_log_close(log);
                        assert_int_equal(pwrite(fd, &was, 1, second + at), 1);
                }
}

/* A log that was written before there were checksums. */
static void test_without_checksums(void **state) {
        Directory *d = *state;
        EventLog *log;
        const uint32_t none = 0;

        write_log(d, 3);
        autofd fd = open_first_segment(d);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(pwrite(fd, &none, 4, i * (16 + RECORD) + 4), 4);
        log = open_log(d);
        assert_return_code(append(log, 4, RECORD), 0);
        assert_int_equal(read_all(log, 0).n, 4);
        event_log_close(log);
}

/* What has the name of a segment and is none is set aside, and not waited for. */
static void test_no_file(void **state) {
        Directory *d = *state;
        g_autofree char *path = first_segment(d), *spare = g_build_filename(d->log, "spare", NULL);

        event_log_close(open_log(d));

        for (int kind = 0; kind < 3; kind++) {
                const char *const paths[] = { path, spare };

                for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                        (void) unlink(paths[i]);
                        if (kind == 0)
                                assert_return_code(mkfifo(paths[i], 0600), errno);
                        else if (kind == 1)
                                assert_return_code(mkdir(paths[i], 0700), errno);
                        else
                                assert_return_code(symlink("/dev/zero", paths[i]), errno);
                }
                (void) alarm(60);
                g_autoptr(EventLog) log = open_log(d);
                (void) alarm(0);
                assert_int_equal(event_log_last(log), 0);
                assert_return_code(append(log, 1, RECORD), 0);
                assert_int_equal(read_all(log, 0).n, 1);
        }
        /* The directory did not replace the FIFO. */
        g_autofree char *aside = g_strconcat(path, ".damaged2", NULL);
        assert_return_code(rmdir(aside), errno);
}

/* Larger than what is read at once, and smaller, in all orders. */
static void test_mixed_sizes(void **state) {
        static const size_t sizes[] = { 1, EVENT_LOG_RECORD_MAX, EVENT_LOG_RECORD_MAX - 7, 40000, 8, 70,
                30000, 65000 };
        Directory *d = *state;
        g_autoptr(EventLog) log = open_log(d);
        const uint64_t n = 200; /* some segments */

        for (uint64_t i = 1; i <= n; i++)
                assert_return_code(append(log, i, sizes[i * i % ELEMENTSOF(sizes)]), 0);
        for (uint64_t after = 0; after <= n; after++) {
                Count c = read_all(log, after);
                assert_int_equal(c.n, n - after);
                if (after < n) {
                        assert_int_equal(c.first, after + 1);
                        assert_int_equal(c.size, sizes[n * n % ELEMENTSOF(sizes)]);
                }
        }
}

static Count read_ascending(EventLog *log, uint64_t after) {
        Count c = { .last = after };

        assert_int_equal(event_log_read(log, after, count_ascending, &c), 0);
        return c;
}

static void change_byte(Directory *d, uint64_t number, off_t at) {
        autofd fd = open_first_segment(d);
        const off_t offset = (off_t) (number - 1) * (16 + RECORD) + at;
        uint8_t byte;

        assert_int_equal(pread(fd, &byte, 1, offset), 1);
        byte ^= 0x55;
        assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

/* A reader begins near the record that he wants, and not at the beginning of the segment, also in a log that
 * was opened again and was read once. */
static void test_begins_near(void **state) {
        Directory *d = *state;
        EventLog *log = open_log(d);
        const uint64_t per_segment = EVENT_LOG_SEGMENT_SIZE / (16 + RECORD), n = per_segment + 10;

        for (uint64_t i = 1; i <= n; i++)
                assert_return_code(append(log, i, RECORD), 0);
        change_byte(d, 2, 20);
        for (unsigned again = 0; again < 2; again++) {
                assert_int_equal(read_ascending(log, per_segment - 100).n, 110);
                assert_false(event_log_is_damaged(log)); /* it was not met */
                assert_int_equal(read_ascending(log, 0).n, n - 1);
                assert_true(event_log_is_damaged(log));
                event_log_close(log);
                log = open_log(d);
                /* Nothing is known of the first segment, so all of it is looked at. */
                assert_int_equal(read_ascending(log, per_segment - 100).n, 110);
                assert_true(event_log_is_damaged(log));
                change_byte(d, 2, 20); /* back again */
                event_log_close(log);
                log = open_log(d);
                assert_int_equal(read_ascending(log, per_segment - 100).n, 110);
                change_byte(d, 2, 20);
        }
        event_log_close(log);
}

/* Where a reader would begin is damaged, too, or contains another record now. */
static void test_changed_where_it_begins(void **state) {
        Directory *d = *state;
        EventLog *log = open_log(d);
        const uint64_t n = EVENT_LOG_SEGMENT_SIZE / (16 + RECORD);
        uint64_t n_changed = 0;

        for (uint64_t i = 1; i <= n; i++)
                assert_return_code(append(log, i, RECORD), 0);
        for (uint64_t i = 2; i < n; i += 3, n_changed++) {
                change_byte(d, i, (off_t) (i % (16 + RECORD)));
                assert_int_equal(read_ascending(log, i - 1).n, n - i);
                assert_int_equal(read_ascending(log, i).n, n - i);
        }
        assert_int_equal(read_ascending(log, 0).n, n - n_changed);
        event_log_close(log);
}

static void test_in_memory(void **state) {
        g_autoptr(EventLog) log = NULL;

        assert_return_code(event_log_open(-1, &log), 0);
        for (uint64_t i = 1; i <= 4000; i++)
                assert_return_code(append(log, i, RECORD), 0);
        assert_int_equal(read_all(log, 3990).n, 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_keeps_the_newest, setup, teardown),
                cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
                cmocka_unit_test_setup_teardown(test_last_number, setup, teardown),
                cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_space, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_checksums, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_mixed_sizes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_begins_near, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changed_where_it_begins, setup, teardown),
                cmocka_unit_test(test_in_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
