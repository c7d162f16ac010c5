/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-directory.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/event-log.h"
#include "model/events.h"
#include "util/log.h"

static int teardown(void **state) {
        static const char *const files[] = { "events", "events.damaged", NULL };
        Directory *d = *state;
        g_autofree char *log = g_build_filename(d->path, EVENT_LOG_DIRECTORY, NULL);
        GDir *dir = g_dir_open(log, 0, NULL);
        for (const char *name; dir && (name = g_dir_read_name(dir));) {
                g_autofree char *path = g_build_filename(log, name, NULL);
                assert_return_code(g_unlink(path), errno);
        }
        if (dir) {
                g_dir_close(dir);
                assert_return_code(g_rmdir(log), errno);
        }

        return directory_teardown(state, files);
}

static uint64_t next(Events *events) {
        g_auto(Event) event = {};

        assert_return_code(
                events_add(events, EVENT_ROLE_PURGED, "r", g_variant_new_parsed("@a{sv} {}"), &event), 0);
        return event.sequence;
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

        /* This is a crash, without a close. The file contains each number before it is used elsewhere. */
        Events *successor;
        assert_return_code(events_open(d->fd, &successor), 0);
        assert_true(sd_id128_equal(events_epoch(successor), epoch));
        assert_int_equal(events_sequence(successor), 1000);
        assert_int_equal(next(successor), 1001);
        events_close(events);
        events_close(successor);

        assert_return_code(fstatat(d->fd, "events", &st, 0), errno);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_size, 48); /* it does not grow */
}

static void test_seen(void **state) {
        Directory *d = *state;
        Events *events;

        assert_return_code(events_open(d->fd, &events), 0);
        events_seen(events, 41);
        assert_int_equal(next(events), 42);
        events_seen(events, 42);
        events_seen(events, 7); /* older than known */
        assert_int_equal(next(events), 43);
        events_seen(events, UINT64_MAX); /* no number could follow it */
        assert_int_equal(next(events), 44);
        events_close(events);
}

/* The numbers go on after those in the log. */
static void open_damaged(Directory *d, sd_id128_t old_epoch, size_t damaged_size, uint64_t logged) {
        Events *events;
        struct stat st;

        (void) alarm(10); /* in case it is waited for */
        assert_return_code(events_open(d->fd, &events), 0);
        (void) alarm(0);
        assert_int_equal(events_sequence(events), logged);
        assert_int_equal(events_sent(events), logged);
        assert_false(sd_id128_equal(events_epoch(events), old_epoch));
        assert_int_equal(next(events), logged + 1);
        events_close(events);

        /* The file was renamed, with its contents. */
        assert_return_code(fstatat(d->fd, "events.damaged", &st, AT_SYMLINK_NOFOLLOW), errno);
        if (S_ISREG(st.st_mode))
                assert_int_equal(st.st_size, damaged_size);

        Events *again;
        assert_return_code(events_open(d->fd, &again), 0);
        assert_int_equal(next(again), logged + 2);
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
        assert_return_code(ftruncate(fd, 39), errno);
        open_damaged(d, epoch, 39, 1);
}

static void test_wrong_magic(void **state) {
        Directory *d = *state;
        char text[64] = "this is something else, and long enough to be a count of events";

        write_file(d, text, sizeof(text));
        open_damaged(d, SD_ID128_NULL, sizeof(text), 0);
}

static void test_last_number(void **state) {
        Directory *d = *state;
        uint8_t file[40] = "ARCHEVT1";

        memset(file + 8, 0xff, sizeof(file) - 8);
        write_file(d, file, sizeof(file));
        open_damaged(d, SD_ID128_NULL, sizeof(file), 0);
}

/* The file was created before the system crashed. An empty file is a new one, and not a damaged one. */
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

static void test_symlink_is_not_followed(void **state) {
        Directory *d = *state;

        assert_return_code(symlinkat("/dev/null", d->fd, "events"), errno);
        open_damaged(d, SD_ID128_NULL, 0, 0);
}

static void test_fifo(void **state) {
        Directory *d = *state;

        assert_return_code(mkfifoat(d->fd, "events", 0600), errno);
        open_damaged(d, SD_ID128_NULL, 0, 0);
}

static void test_flipped_bit(void **state) {
        Directory *d = *state;
        Events *events;
        uint8_t file[48];

        assert_return_code(events_open(d->fd, &events), 0);
        assert_int_equal(next(events), 1);
        events_set_sent(events, 1);
        sd_id128_t epoch = events_epoch(events);
        events_close(events);
        autofd fd = openat(d->fd, "events", O_RDWR | O_CLOEXEC);
        assert_return_code(fd, errno);
        assert_int_equal(pread(fd, file, sizeof(file), 0), sizeof(file));
        file[24] ^= 1;
        assert_int_equal(pwrite(fd, file, sizeof(file), 0), sizeof(file));
        open_damaged(d, epoch, sizeof(file), 1);
}

/* A file of the first version. */
static void test_first_version(void **state) {
        Directory *d = *state;
        Events *events;
        uint8_t file[32] = "ARCHEVT1";

        memset(file + 8, 0x17, 16);
        file[24] = 41;
        write_file(d, file, sizeof(file));
        assert_return_code(events_open(d->fd, &events), 0);
        assert_memory_equal(events_epoch(events).bytes, file + 8, 16);
        assert_int_equal(events_sequence(events), 41);
        assert_int_equal(events_sent(events), 41);
        assert_int_equal(events_first(events), 0);
        assert_int_equal(next(events), 42);
        assert_int_equal(events_first(events), 42);
        events_close(events);
}

typedef struct Seen {
        GString *text;
        unsigned left;
} Seen;

static int see(void *userdata, const Event *event) {
        Seen *seen = userdata;

        g_string_append_printf(seen->text, "%" G_GUINT64_FORMAT ":%s(%s)%s ", event->sequence,
                event_type_to_string(event->type), event->role, event_get_string(event, "reason"));
        return --seen->left == 0 ? 1 : 0;
}

static int see_record(void *userdata, const EventRecord *record) {
        EventDetails details = record->details;
        EventDetail detail;
        Seen *seen = userdata;
        int r;

        g_string_append_printf(seen->text, "%" G_GUINT64_FORMAT ":%s(%s)", record->sequence,
                record->type.text, record->role.text);
        while ((r = event_details_next(&details, &detail)) > 0)
                if (g_str_equal(detail.key.text, "reason"))
                        g_string_append(seen->text, (const char *) detail.value);
        assert_return_code(r, 0);
        g_string_append_c(seen->text, ' ');
        return --seen->left == 0 ? 1 : 0;
}

/* Both ways of reading see the same. */
#define assert_events(events, after, max, expected) \
        do { \
                Seen _seen = { g_string_new(NULL), (max) }, _records = { g_string_new(NULL), (max) }; \
                (void) events_read((events), (after), see, &_seen); \
                (void) events_read_records((events), (after), see_record, &_records); \
                assert_string_equal(_seen.text->str, (expected)); \
                assert_string_equal(_records.text->str, (expected)); \
                g_string_free(_seen.text, true); \
                g_string_free(_records.text, true); \
        } while (0)

static void test_read_again(void **state) {
        Directory *d = *state;
        Events *events, *successor;
        g_auto(Event) event = {};

        assert_return_code(events_open(d->fd, &events), 0);
        assert_int_equal(next(events), 1);
        assert_int_equal(next(events), 2);
        assert_int_equal(events_told(events), 0);
        events_set_told(events, 2);
        assert_int_equal(events_told(events), 2);
        assert_int_equal(events_sent(events), 0);
        events_set_sent(events, 2);
        assert_return_code(
                events_add(events, EVENT_SHUTTING_DOWN, "",
                        g_variant_new_parsed(
                                "{'reason': <'dawn'>, 'n': <uint64 7>, 'i': <int32 -1>, 'b': <true>}"),
                        &event),
                0);
        assert_int_equal(event.sequence, 3);

        /* This is a crash, without a close. */
        assert_return_code(events_open(d->fd, &successor), 0);
        assert_int_equal(events_sequence(successor), 3);
        assert_int_equal(events_sent(successor), 2);
        assert_int_equal(events_first(successor), 1);
        assert_events(successor, 0, 10, "1:RolePurged(r) 2:RolePurged(r) 3:ShuttingDown()dawn ");
        assert_events(successor, 2, 10, "3:ShuttingDown()dawn ");
        assert_events(successor, 3, 10, "");
        assert_events(successor, 0, 2, "1:RolePurged(r) 2:RolePurged(r) ");
        assert_int_equal(event_get_u64(&event, "n"), 7);
        assert_int_equal(event_get_u64(&event, "i"), 0); /* of another type */
        assert_int_equal(event_get_i64(&event, "i", 5), -1);
        assert_int_equal(event_get_i64(&event, "none", 5), 5);
        assert_true(event_get_bool(&event, "b"));
        assert_int_equal(next(successor), 4);
        assert_int_equal(events_told(successor), 2);
        events_set_sent(successor, 1); /* never backwards */
        assert_int_equal(events_sent(successor), 2);
        events_set_sent(successor, 4);
        assert_int_equal(events_sent(successor), 4);
        events_close(events);
        events_close(successor);
}

/* The counter was lost, but the log was not. A new epoch begins, and has all of it. */
static void test_log_of_another_epoch(void **state) {
        Directory *d = *state;
        Events *events;

        assert_return_code(events_open(d->fd, &events), 0);
        assert_int_equal(next(events), 1);
        events_close(events);
        assert_return_code(unlinkat(d->fd, "events", 0), errno);
        assert_return_code(events_open(d->fd, &events), 0);
        assert_int_equal(events_sequence(events), 1);
        assert_events(events, 0, 10, "1:RolePurged(r) ");
        assert_int_equal(next(events), 2);
        assert_events(events, 0, 10, "1:RolePurged(r) 2:RolePurged(r) ");
        events_close(events);
}

/* A record with a number of its own, as this or another version has written it. */
static void append_record(EventLog *log, uint64_t sequence, uint64_t number, const char *type) {
        g_autoptr(GVariant) record = g_variant_ref_sink(g_variant_new("(ttss@a{sv})", number, UINT64_C(1),
                type, "r", g_variant_new_parsed("{'reason': <'dusk'>, 'left': <[(uint32 7, 'sh')]>}")));

        assert_return_code(
                event_log_append(log, sequence, g_variant_get_data(record), g_variant_get_size(record)), 0);
}

/* What another version has written, and what is no event, is passed over. */
static void test_other_records(void **state) {
        Directory *d = *state;
        static const char *const junk[] = { "x", "not an event",
                "this is no event, although it is longer than one" };
        Events *events;
        EventLog *log;

        assert_return_code(event_log_open(d->fd, &log), 0);
        append_record(log, 1, 1, "ShuttingDown");
        append_record(log, 2, 2, "OfANewerVersion");
        append_record(log, 3, 4, "ShuttingDown");
        append_record(log, 4, 4, "");
        for (unsigned i = 0; i < G_N_ELEMENTS(junk); i++)
                assert_return_code(event_log_append(log, 5 + i, junk[i], strlen(junk[i])), 0);
        append_record(log, 8, 8, "RolePurged");
        event_log_close(log);

        assert_return_code(events_open(d->fd, &events), 0);
        assert_events(events, 0, 10, "1:ShuttingDown(r)dusk 8:RolePurged(r)dusk ");
        events_close(events);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_in_memory, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_numbers_go_on, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_seen, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_truncated, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_wrong_magic, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_last_number, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_empty, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_symlink_is_not_followed, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_fifo, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_flipped_bit, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_first_version, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_read_again, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_log_of_another_epoch, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_other_records, directory_setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
