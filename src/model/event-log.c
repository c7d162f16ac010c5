/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "model/event-log.h"
#include "model/state-fields.h"
#include "util/log.h"

#define SPARE_FILE "spare"
#define ALIGN8(n) (((n) + 7U) & ~(size_t) 7U)

/* The header of each record. A size of 0 ends the segment. The size is written last, by one store within a
 * page, so a record with a size is complete. */
typedef struct RecordHeader {
        uint32_t size;
        uint32_t checksum; /* of size, sequence and data; 0 in what was written before there was one */
        uint64_t sequence;
} RecordHeader;

/* A bijection, so different words cannot have the same result. */
static uint64_t checksum_step(uint64_t sum, uint64_t word) {
        sum = (sum ^ word) * UINT64_C(0x100000001b3);
        return sum ^ sum >> 32;
}

/* FNV-1a, by words. */
uint64_t event_checksum(uint64_t before, const void *data, size_t size) {
        uint64_t sum = before ^ UINT64_C(0xcbf29ce484222325), word;
        const uint8_t *p = data;

        for (; size >= sizeof(word); p += sizeof(word), size -= sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                sum = checksum_step(sum, word);
        }
        if (size > 0) { /* the rest is filled up with zeros */
                word = 0;
                memcpy(&word, p, size);
                sum = checksum_step(sum, word);
        }
        return sum;
}

static uint32_t record_checksum(const RecordHeader *header, const void *data) {
        RecordHeader h = { .size = header->size, .sequence = header->sequence };
        uint32_t sum = (uint32_t) event_checksum(event_checksum(0, &h, sizeof(h)), data, h.size);

        return sum != 0 ? sum : 1;
}

/* Where to find the records of a segment. An entry is one of those that begin in this part of it, if one was
 * met there. */
#define MARK_SIZE (64U * 1024U)
typedef struct LogSegment {
        uint64_t first; /* the number of its first record, and its name */
        struct {
                uint64_t sequence;
                size_t offset;
        } marks[EVENT_LOG_SEGMENT_SIZE / MARK_SIZE];
} LogSegment;

struct EventLog {
        int dir_fd;       /* negative if the log is in memory only */
        int fd;           /* the segment that is being written */
        size_t offset;    /* of its next record */
        GArray *segments; /* LogSegment, ascending; the last one is being written */
        uint64_t last;
        bool spare; /* the next segment is allocated already */
        bool told;  /* a shortage has been logged and has not ended */
        bool damaged;
        uint8_t *memory; /* of a log in memory, from its first record on */
};

#define N_SEGMENTS(log) ((log)->segments->len)
#define SEGMENT(log, i) g_array_index((log)->segments, LogSegment, (i))

static void log_segment_mark(LogSegment *segment, uint64_t sequence, size_t offset) {
        const size_t i = offset / MARK_SIZE;

        if (segment->marks[i].sequence > 0)
                return;
        segment->marks[i].sequence = sequence;
        segment->marks[i].offset = offset;
}

typedef struct SegmentName {
        char text[21];
} SegmentName;

static SegmentName segment_name(uint64_t first) {
        SegmentName name;

        (void) snprintf(name.text, sizeof(name.text), "%020" PRIu64, first);
        return name;
}

static int event_log_write_at(EventLog *log, const void *data, size_t size, size_t offset) {
        if (log->memory) {
                memcpy(log->memory + offset, data, size);
                return 0;
        }
        while (size > 0) {
                ssize_t n = pwrite(log->fd, data, size, (off_t) offset);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                data = (const uint8_t *) data + n;
                size -= (size_t) n;
                offset += (size_t) n;
        }
        return 0;
}

/* A segment that is being read. Its bytes are read when they are needed, because most of a segment is often
 * unused, and a reader may want only its beginning. They come into a window that moves on, because new memory
 * for all of them would cost more than to read them. */
typedef struct Segment {
        int fd;        /* negative if all of it is in memory */
        uint8_t *data; /* freed with it, if it comes from a file */
        size_t begin;  /* of the window */
        size_t n;      /* the end of the bytes that were read */
        size_t size;   /* bytes that there are, as far as known */
        LogSegment *log_segment;
} Segment;

#define SEGMENT_CHUNK ((size_t) 64 * 1024)
#define SEGMENT_WINDOW (2 * SEGMENT_CHUNK)
_Static_assert(SEGMENT_WINDOW >= sizeof(RecordHeader) + EVENT_LOG_RECORD_MAX, "a record must fit");

static void segment_clear(Segment *segment) {
        if (segment->fd >= 0)
                g_free(segment->data);
        segment->fd = fd_close(segment->fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Segment, segment_clear)

/* Reads on, until the window has the bytes from offset to end or the segment ends. */
static void segment_need(Segment *segment, size_t offset, size_t end) {
        if (offset > segment->n) /* a reader begins there */
                segment->begin = segment->n = offset;
        if (end <= segment->n || segment->n >= segment->size)
                return;
        if (!segment->data)
                segment->data = g_malloc(SEGMENT_WINDOW);
        if (end - segment->begin > SEGMENT_WINDOW) {
                memmove(segment->data, segment->data + (offset - segment->begin), segment->n - offset);
                segment->begin = offset;
        }
        end = MIN(MAX(end, segment->n + SEGMENT_CHUNK), segment->begin + SEGMENT_WINDOW);
        end = MIN(end, segment->size);
        while (segment->n < end) {
                ssize_t k = pread(segment->fd, segment->data + (segment->n - segment->begin),
                        end - segment->n, (off_t) segment->n);
                if (k < 0)
                        log_warning_errno(errno, "Cannot read all events: %m");
                if (k <= 0) {
                        segment->size = segment->n;
                        return;
                }
                segment->n += (size_t) k;
        }
}

static const uint8_t *segment_at(const Segment *segment, size_t offset) {
        return segment->data + (offset - segment->begin);
}

static bool segment_read_header(Segment *segment, size_t offset, RecordHeader *ret) {
        segment_need(segment, offset, offset + sizeof(*ret));
        if (offset + sizeof(*ret) > segment->n)
                return false;
        memcpy(ret, segment_at(segment, offset), sizeof(*ret));
        return true;
}

/* Whether there is a record at this offset, all of which is read then. */
static bool segment_has_record(Segment *segment, size_t offset, uint64_t last, uint64_t next_first,
        bool with_checksum, RecordHeader *ret) {
        RecordHeader h;

        if (!segment_read_header(segment, offset, &h))
                return false;
        if (h.size == 0 || h.size > EVENT_LOG_RECORD_MAX || h.sequence <= last || h.sequence >= next_first)
                return false;
        segment_need(segment, offset, offset + sizeof(h) + h.size);
        if (h.size > segment->n - offset - sizeof(h))
                return false;
        *ret = h;
        if (h.checksum == 0)
                return !with_checksum;
        return h.checksum == record_checksum(&h, segment_at(segment, offset + sizeof(h)));
}

/* Finds the next record behind a damaged one, by its checksum. Returns the offset, or that of the end of the
 * segment if there is none. */
static size_t segment_skip_damage(Segment *segment, size_t offset, uint64_t last, uint64_t next_first) {
        RecordHeader h;

        do
                offset += sizeof(uint64_t);
        while (!segment_has_record(segment, offset, last, next_first, true, &h) && offset < segment->n);
        return MIN(offset, segment->n);
}

/* Returns where to begin to look for what comes after this number, which is at a record with at most this
 * number, or at the beginning. Sets the number before it. */
static size_t segment_find(const Segment *segment, uint64_t after, uint64_t *last) {
        const LogSegment *s = segment->log_segment;

        for (size_t i = ELEMENTSOF(s->marks); i > 0; i--) {
                const uint64_t sequence = s->marks[i - 1].sequence;

                if (sequence > 0 && sequence <= after) {
                        *last = sequence - 1;
                        return s->marks[i - 1].offset;
                }
        }
        return 0;
}

/* Calls the function for each record of a segment with a number below the first one of the next segment.
 * Returns the offset of the next record. */
static size_t segment_scan(Segment *segment, uint64_t *last, uint64_t next_first, uint64_t after,
        EventLogReader reader, void *userdata, int *result, bool *damaged) {
        size_t offset = segment_find(segment, after, last);

        *result = 0;
        for (;;) {
                RecordHeader h;

                if (!segment_read_header(segment, offset, &h) || h.size == 0)
                        break;
                if (!segment_has_record(segment, offset, *last, next_first, false, &h)) {
                        size_t next = segment_skip_damage(segment, offset, *last, next_first);

                        *damaged = true;
                        if (next == segment->n)
                                break;
                        offset = next;
                        continue;
                }
                *last = h.sequence;
                log_segment_mark(segment->log_segment, h.sequence, offset);
                if (reader && h.sequence > after) {
                        *result =
                                reader(userdata, h.sequence, segment_at(segment, offset + sizeof(h)), h.size);
                        if (*result != 0)
                                break;
                }
                offset += sizeof(h) + ALIGN8(h.size);
        }
        return offset;
}

static int segment_open(const EventLog *log, LogSegment *log_segment, Segment *ret) {
        if (log->memory) {
                *ret = (Segment){ .fd = -EBADF,
                        .data = log->memory,
                        .n = EVENT_LOG_SEGMENT_SIZE,
                        .size = EVENT_LOG_SEGMENT_SIZE,
                        .log_segment = log_segment };
                return 0;
        }
        int fd = file_open(log->dir_fd, segment_name(log_segment->first).text, O_RDONLY | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        *ret = (Segment){ .fd = fd, .size = EVENT_LOG_SEGMENT_SIZE, .log_segment = log_segment };
        return 0;
}

static void event_log_add_segment(EventLog *log, uint64_t first) {
        LogSegment segment = { .first = first };

        g_array_append_val(log->segments, segment);
}

static void event_log_drop_oldest(EventLog *log) {
        if (unlinkat(log->dir_fd, segment_name(SEGMENT(log, 0).first).text, 0) < 0 && errno != ENOENT)
                log_warning_errno(errno, "Cannot remove the oldest events: %m");
        g_array_remove_index(log->segments, 0);
}

static int event_log_make_spare(EventLog *log) {
        autofd fd = -EBADF;

        if (log->spare)
                return 0;
        /* One that was left is not needed, whatever it is. */
        if (unlinkat(log->dir_fd, SPARE_FILE, 0) < 0 && errno != ENOENT &&
                unlinkat(log->dir_fd, SPARE_FILE, AT_REMOVEDIR) < 0)
                (void) state_set_aside(log->dir_fd, SPARE_FILE, ".damaged");
        fd = openat(log->dir_fd, SPARE_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        int r = -posix_fallocate(fd, 0, EVENT_LOG_SEGMENT_SIZE);
        if (r < 0) {
                (void) unlinkat(log->dir_fd, SPARE_FILE, 0);
                return r;
        }
        log->spare = true;
        return 0;
}

/* Uses the spare segment as the next one, or the oldest one again if no space is left. */
static int event_log_next_segment(EventLog *log, uint64_t first) {
        static const RecordHeader end = {};
        SegmentName name = segment_name(first), from = { SPARE_FILE };

        int r = event_log_make_spare(log);
        if (r < 0) {
                if (N_SEGMENTS(log) < 2)
                        return r;
                from = segment_name(SEGMENT(log, 0).first);
        }
        autofd fd = file_open(log->dir_fd, from.text, O_RDWR | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        /* The old contents must end before the file gets its new name. */
        if (pwrite(fd, &end, sizeof(end), 0) != (ssize_t) sizeof(end))
                return errno > 0 ? -errno : -EIO;
        if (renameat(log->dir_fd, from.text, log->dir_fd, name.text) < 0)
                return -errno;
        if (r < 0)
                g_array_remove_index(log->segments, 0);
        else
                log->spare = false;

        (void) fd_close(log->fd);
        log->fd = fd_steal(&fd);
        log->offset = 0;
        event_log_add_segment(log, first);
        while (N_SEGMENTS(log) > 2 && first - SEGMENT(log, 1).first >= EVENT_LOG_KEEP)
                event_log_drop_oldest(log);
        return 0;
}

static int log_segment_compare(const void *a, const void *b) {
        const LogSegment *x = a, *y = b;

        return x->first < y->first ? -1 : x->first > y->first;
}

static int event_log_list_segments(EventLog *log) {
        DIR *dir;

        int r = directory_read_at(log->dir_fd, &dir);
        if (r < 0)
                return r;
        for (struct dirent *d; (d = readdir(dir));) {
                const char *digits = d->d_name + strspn(d->d_name, "0");
                uint64_t first;

                if (strlen(d->d_name) == sizeof(SegmentName) - 1 && parse_u64(digits, &first) >= 0 &&
                        first > 0 && first <= EVENT_LOG_SEQUENCE_MAX)
                        event_log_add_segment(log, first);
        }
        (void) closedir(dir);
        g_array_sort(log->segments, log_segment_compare);
        return 0;
}

/* What has the name of a segment and is no file that can be read is set aside. */
static void event_log_check_segments(EventLog *log) {
        for (unsigned i = N_SEGMENTS(log); i > 0; i--) {
                const SegmentName name = segment_name(SEGMENT(log, i - 1).first);
                autofd fd = file_open(log->dir_fd, name.text, O_RDWR | O_NOFOLLOW);

                if (fd >= 0)
                        continue;
                (void) log_error_errno(fd, "Cannot read the events in \"%s\", renaming it to \"%s.damaged\"",
                        name.text, name.text);
                (void) state_set_aside(log->dir_fd, name.text, ".damaged");
                log->damaged = true;
                g_array_remove_index(log->segments, i - 1);
        }
}

/* Continues at the end of the last segment of the previous process. */
static int event_log_continue_last(EventLog *log) {
        LogSegment *last = &SEGMENT(log, N_SEGMENTS(log) - 1);
        const uint64_t first = last->first;
        g_auto(Segment) segment = { .fd = -EBADF };
        int ignored;

        int r = segment_open(log, last, &segment);
        if (r < 0)
                return r;
        autofd fd = file_open(log->dir_fd, segment_name(first).text, O_RDWR | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        log->last = first - 1;
        log->offset = segment_scan(
                &segment, &log->last, EVENT_LOG_SEQUENCE_MAX + 1, 0, NULL, NULL, &ignored, &log->damaged);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return -errno;
        r = -posix_fallocate(fd, 0, EVENT_LOG_SEGMENT_SIZE);
        if (r < 0) /* the file was truncated; it can still be read */
                log_warning_errno(r, "Cannot allocate space for events: %m");
        /* It was changed at its beginning, unless a process has died before its first record. */
        log->damaged = log->damaged || log->last < first;
        log->fd = fd_steal(&fd);

        /* If the file was truncated within a record, the allocated space would complete that record with
         * zeros. */
        static const RecordHeader end = {};
        if (st.st_size < EVENT_LOG_SEGMENT_SIZE && log->offset + sizeof(end) <= EVENT_LOG_SEGMENT_SIZE)
                return event_log_write_at(log, &end, sizeof(end), log->offset);
        return 0;
}

int event_log_open(int dir_fd, EventLog **ret) {
        g_autoptr(EventLog) log = g_new0(EventLog, 1);

        log->dir_fd = log->fd = -EBADF;
        log->segments = g_array_new(false, false, sizeof(LogSegment));
        if (dir_fd >= 0) {
                log->dir_fd = state_directory_open(dir_fd, EVENT_LOG_DIRECTORY);
                if (log->dir_fd < 0)
                        return log->dir_fd;
                int r = event_log_list_segments(log);
                if (r >= 0)
                        event_log_check_segments(log);
                if (r >= 0 && N_SEGMENTS(log) > 0)
                        r = event_log_continue_last(log);
                if (r < 0)
                        return r;
                r = event_log_make_spare(log);
                if (r < 0)
                        log_warning_errno(r, "Cannot allocate space for events, trying again later: %m");
        }
        *ret = g_steal_pointer(&log);
        return 0;
}

EventLog *event_log_close(EventLog *log) {
        if (!log)
                return NULL;
        (void) fd_close(log->fd);
        (void) fd_close(log->dir_fd);
        g_array_unref(log->segments);
        g_free(log->memory);
        g_free(log);
        return NULL;
}

uint64_t event_log_first(const EventLog *log) {
        if (N_SEGMENTS(log) == 0 || log->last < SEGMENT(log, 0).first)
                return 0;
        return SEGMENT(log, 0).first;
}

uint64_t event_log_last(const EventLog *log) {
        return log->last;
}

bool event_log_is_damaged(const EventLog *log) {
        return log->damaged;
}

int event_log_append(EventLog *log, uint64_t sequence, const void *data, size_t size) {
        const size_t padded = ALIGN8(size), whole = sizeof(RecordHeader) + padded + sizeof(RecordHeader);
        g_autofree uint8_t *buffer = NULL;
        int r;

        g_assert(sequence > log->last);
        if (size == 0 || size > EVENT_LOG_RECORD_MAX)
                return -E2BIG;
        if (sequence > EVENT_LOG_SEQUENCE_MAX)
                return -ERANGE;

        if (N_SEGMENTS(log) == 0 || log->offset + whole > EVENT_LOG_SEGMENT_SIZE) {
                if (log->dir_fd < 0) {
                        if (!log->memory)
                                log->memory = g_malloc0(EVENT_LOG_SEGMENT_SIZE);
                        g_array_set_size(log->segments, 0);
                        event_log_add_segment(log, sequence);
                        log->offset = 0;
                        r = 0;
                } else
                        r = event_log_next_segment(log, sequence);
                if (r < 0)
                        return r;
        } else if (log->dir_fd >= 0 && !log->spare && log->offset > EVENT_LOG_SEGMENT_SIZE / 2) {
                /* Allocates in time, while the current segment still has room. */
                r = event_log_make_spare(log);
                if (r < 0 && !log->told)
                        log_warning_errno(r, "Cannot allocate space for the next events: %m");
                log->told = r < 0;
        }

        /* The size is written last, because it makes all other bytes valid, including the end after them. */
        buffer = g_malloc0(whole);
        RecordHeader header = { .size = (uint32_t) size, .sequence = sequence };
        header.checksum = record_checksum(&header, data);
        memcpy(buffer, &header, sizeof(header));
        memcpy(buffer + sizeof(header), data, size);
        const size_t skip = sizeof(uint64_t);
        r = event_log_write_at(log, buffer + skip, whole - skip, log->offset + skip);
        if (r >= 0)
                r = event_log_write_at(log, buffer, skip, log->offset);
        if (r < 0)
                return r;
        log_segment_mark(&SEGMENT(log, N_SEGMENTS(log) - 1), sequence, log->offset);
        log->offset += sizeof(header) + padded;
        log->last = sequence;
        return 0;
}

/* Keeps what a reader has found out. He may have appended records, and so changed the array. */
static void event_log_keep_marks(EventLog *log, const LogSegment *segment) {
        for (unsigned i = 0; i < N_SEGMENTS(log); i++)
                if (SEGMENT(log, i).first == segment->first)
                        memcpy(SEGMENT(log, i).marks, segment->marks, sizeof(segment->marks));
}

int event_log_read(EventLog *log, uint64_t after, EventLogReader reader, void *userdata) {
        g_autoptr(GArray) segments = g_array_copy(log->segments);
        unsigned i = 0;

        /* The segment that contains the record after + 1, or would contain it. */
        while (i + 1 < segments->len && g_array_index(segments, LogSegment, i + 1).first <= after + 1)
                i++;
        for (; i < segments->len; i++) {
                g_auto(Segment) segment = { .fd = -EBADF };
                LogSegment *s = &g_array_index(segments, LogSegment, i);
                uint64_t last = s->first - 1,
                         next_first = i + 1 < segments->len ? s[1].first : EVENT_LOG_SEQUENCE_MAX + 1;
                int result;

                int r = segment_open(log, s, &segment);
                if (r < 0) {
                        log_warning_errno(r, "Cannot read the events from %" PRIu64 " on: %m", s->first);
                        continue;
                }
                (void) segment_scan(
                        &segment, &last, next_first, after, reader, userdata, &result, &log->damaged);
                event_log_keep_marks(log, s);
                if (result != 0)
                        return result;
        }
        return 0;
}
