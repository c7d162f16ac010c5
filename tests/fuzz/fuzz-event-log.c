/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The event log on disk. An input consists of segments, each of which is a number in decimal, '\n', the
 * number of bytes in decimal, '\n', and the bytes. Whatever they contain, the events that are read have
 * ascending numbers, and the log continues after them. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "model/event-log.h"
#include "util/log.h"

#define SEGMENTS_MAX 4

static char *directory;
static int dir_fd = -EBADF, log_fd = -EBADF;

static void remove_segments(void) {
        g_autofree char *path = g_build_filename(directory, EVENT_LOG_DIRECTORY, NULL);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

        fuzz_check(dir);
        for (const char *name; (name = g_dir_read_name(dir));)
                fuzz_check(unlinkat(log_fd, name, 0) == 0);
}

static void remove_directory(void) {
        remove_segments();
        (void) unlinkat(dir_fd, EVENT_LOG_DIRECTORY, AT_REMOVEDIR);
        (void) g_rmdir(directory);
        g_free(directory);
}

static void prepare(void) {
        if (dir_fd >= 0)
                return;
        log_set_max_level(LOG_EMERG);
        /* In memory, if possible, because each run allocates some MiB. */
        directory = g_strdup_printf(
                "%s/architect-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        fuzz_check(g_mkdtemp(directory));
        dir_fd = open(directory, O_DIRECTORY | O_CLOEXEC);
        log_fd = directory_make_at(dir_fd, EVENT_LOG_DIRECTORY);
        fuzz_check(dir_fd >= 0 && log_fd >= 0);
        fuzz_check(atexit(remove_directory) == 0);
}

/* Returns the text after the number, or NULL. */
static const char *read_number(const char *p, const char *end, uint64_t *ret) {
        uint64_t n = 0;

        for (; p < end && *p >= '0' && *p <= '9'; p++)
                n = n * 10 + (uint64_t) (*p - '0');
        *ret = n;
        return p < end && *p == '\n' ? p + 1 : NULL;
}

static void write_segments(const char *p, size_t size) {
        const char *const end = p + size;

        for (unsigned i = 0; i < SEGMENTS_MAX && p < end; i++) {
                uint64_t first, n;
                char name[32];

                p = read_number(p, end, &first);
                p = p ? read_number(p, end, &n) : NULL;
                if (!p)
                        return;
                n = MIN(n, (uint64_t) (end - p));
                (void) snprintf(name, sizeof(name), "%020" PRIu64, first);

                autofd fd = openat(log_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                fuzz_check(fd >= 0 && write(fd, p, (size_t) n) == (ssize_t) n);
                p += n;
        }
}

typedef struct Seen {
        uint64_t n, after, last;
        uint8_t sum;
} Seen;

static int on_record(void *userdata, uint64_t sequence, const void *data, size_t size) {
        Seen *seen = userdata;

        fuzz_check(sequence > seen->after && size > 0 && size <= EVENT_LOG_RECORD_MAX);
        fuzz_check((uintptr_t) data % 8 == 0);
        for (size_t i = 0; i < size; i++) /* it can be read */
                seen->sum ^= ((const uint8_t *) data)[i];
        seen->n++;
        seen->last = sequence;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char record[] = "a record";
        g_autoptr(EventLog) log = NULL;
        Seen all = {}, later = {}, again = {};
        uint64_t last;

        prepare();
        remove_segments();
        write_segments((const char *) data, size);
        if (event_log_open(dir_fd, &log) < 0)
                return 0;

        last = event_log_last(log);
        fuzz_check(event_log_first(log) <= last);
        fuzz_check(event_log_read(log, 0, on_record, &all) == 0);
        fuzz_check(all.last <= last);
        later.after = last / 2;
        fuzz_check(event_log_read(log, later.after, on_record, &later) == 0);
        fuzz_check(later.n <= all.n);

        /* A next number must always exist. */
        fuzz_check(last < UINT64_MAX);
        fuzz_check(event_log_append(log, last + 1, record, sizeof(record)) == 0);
        log = event_log_close(log);
        fuzz_check(event_log_open(dir_fd, &log) == 0);
        fuzz_check(event_log_last(log) == last + 1);
        again.after = last;
        fuzz_check(event_log_read(log, last, on_record, &again) == 0);
        fuzz_check(again.n == 1 && again.last == last + 1);
        return 0;
}
