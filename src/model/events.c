/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "model/event-log.h"
#include "model/events.h"
#include "model/state-fields.h"
#include "util/log.h"

#define EVENTS_FILE "events"
#define EVENTS_MAGIC "ARCHEVT1"

static const char *const event_type_table[_EVENT_TYPE_MAX] = {
        [EVENT_ROLE_STARTED] = "RoleStarted",
        [EVENT_ROLE_EXITED] = "RoleExited",
        [EVENT_ROLE_RESTARTING] = "RoleRestarting",
        [EVENT_ROLE_FAILED] = "RoleFailed",
        [EVENT_ROLE_PURGED] = "RolePurged",
        [EVENT_MONITOR_TIMED_OUT] = "MonitorTimedOut",
        [EVENT_SHUTTING_DOWN] = "ShuttingDown",
        [EVENT_LEASE_EXPIRED] = "LeaseExpired",
};

DEFINE_STRING_TABLE(event_type, EventType, event_type_table);

/* The whole file. Its space is allocated when it is created, so a full disk does not stop the counter. In the
 * first version the file ended before the member sent; all its events count as sent. In the second it ended
 * before the checksum. */
typedef struct EventsFile {
        char magic[8];
        sd_id128_t epoch;
        uint64_t sequence;
        uint64_t sent;
        uint64_t checksum; /* of all bytes before it */
} EventsFile;

#define EVENTS_FILE_V1_SIZE offsetof(EventsFile, sent)
#define EVENTS_FILE_V2_SIZE offsetof(EventsFile, checksum)

struct Events {
        int fd; /* negative if the counter is in memory only */
        EventsFile file;
        uint64_t told;
        EventLog *log;
        bool lost; /* events that this process has not added are missing */
};

void event_clear(Event *event) {
        g_clear_pointer(&event->details, g_variant_unref);
        g_clear_pointer(&event->role, g_free);
}

static GVariant *event_lookup(const Event *event, const char *key) {
        return g_variant_lookup_value(event->details, key, NULL);
}

int64_t event_get_i64(const Event *event, const char *key, int64_t fallback) {
        g_autoptr(GVariant) value = event_lookup(event, key);

        if (!value)
                return fallback;
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT32))
                return g_variant_get_int32(value);
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
                return g_variant_get_uint32(value);
        return fallback;
}

uint64_t event_get_u64(const Event *event, const char *key) {
        uint64_t value = 0;

        return g_variant_lookup(event->details, key, "t", &value) ? value : 0;
}

bool event_get_bool(const Event *event, const char *key) {
        gboolean value = false;

        return g_variant_lookup(event->details, key, "b", &value) && value;
}

const char *event_get_string(const Event *event, const char *key) {
        const char *value = "";

        return g_variant_lookup(event->details, key, "&s", &value) ? value : "";
}

static int events_write(Events *events) {
        if (events->fd < 0)
                return 0;

        events->file.checksum = event_checksum(0, &events->file, EVENTS_FILE_V2_SIZE);
        EventsFile file = events->file;
        ssize_t n = pwrite(events->fd, &file, sizeof(file), 0);
        if (n < 0)
                return -errno;
        return (size_t) n == sizeof(file) ? 0 : -EIO;
}

static int events_file_read(int fd, EventsFile *ret) {
        EventsFile file = {};

        ssize_t n = pread(fd, &file, sizeof(file), 0);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -ENODATA;
        if (((size_t) n != sizeof(file) && (size_t) n != EVENTS_FILE_V1_SIZE &&
                    (size_t) n != EVENTS_FILE_V2_SIZE) ||
                memcmp(file.magic, EVENTS_MAGIC, sizeof(file.magic)) != 0)
                return -EBADMSG;
        if ((size_t) n == sizeof(file) && file.checksum != event_checksum(0, &file, EVENTS_FILE_V2_SIZE))
                return -EBADMSG;
        if ((size_t) n == EVENTS_FILE_V1_SIZE)
                file.sent = file.sequence;
        if (file.sequence > EVENT_LOG_SEQUENCE_MAX)
                return -EBADMSG;
        *ret = file;
        return 0;
}

/* Returns -ENODATA if a new counter begins. */
static int events_file_open(Events *events, int dir_fd) {
        autofd fd = file_open(dir_fd, EVENTS_FILE, O_RDWR | O_NOFOLLOW);

        int r = fd < 0 ? fd : events_file_read(fd, &events->file);
        if (r < 0 && r != -ENOENT && r != -ENODATA) {
                (void) log_error_errno(r,
                        "Cannot read the file \"%s\", renaming it to \"%s.damaged\"; a new epoch begins",
                        EVENTS_FILE, EVENTS_FILE);
                r = state_set_aside(dir_fd, EVENTS_FILE, ".damaged");
                if (r < 0)
                        return r;
                fd = fd_close(fd);
                r = -ENODATA;
        }
        if (fd < 0) {
                fd = openat(dir_fd, EVENTS_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                if (fd < 0)
                        return -errno;
                r = -ENODATA;
        }
        events->fd = fd_steal(&fd);
        return r;
}

/* What is in the log stays, because it says which roles have ended. Clients read all of it again, because the
 * epoch is another one. */
static int events_begin(Events *events) {
        EventsFile file = { .sequence = event_log_last(events->log), .sent = event_log_last(events->log) };

        memcpy(file.magic, EVENTS_MAGIC, sizeof(file.magic));
        int r = sd_id128_randomize(&file.epoch);
        if (r < 0)
                return r;
        events->file = file;
        return events_write(events);
}

int events_open(int dir_fd, Events **ret) {
        Events *events = g_new0(Events, 1);
        int r = -ENODATA;

        events->fd = -EBADF;
        if (dir_fd >= 0)
                r = events_file_open(events, dir_fd);
        bool begin = r == -ENODATA;
        if (r >= 0 || begin)
                r = event_log_open(dir_fd, &events->log);
        /* A counter without its newest event has lost this. A new counter, or a log without any event, has
         * lost whatever there was; on a new machine that is nothing. */
        if (r >= 0) {
                uint64_t last = event_log_last(events->log);

                events->lost = begin || last == 0 || last < events->file.sequence;
        }
        if (r >= 0 && begin)
                r = events_begin(events);
        if (r < 0) {
                events_close(events);
                return r;
        }
        events_seen(events, event_log_last(events->log));
        events->told = events->file.sent;
        *ret = events;
        return 0;
}

Events *events_close(Events *events) {
        if (!events)
                return NULL;
        event_log_close(events->log);
        (void) fd_close(events->fd);
        g_free(events);
        return NULL;
}

sd_id128_t events_epoch(const Events *events) {
        return events->file.epoch;
}

uint64_t events_sequence(const Events *events) {
        return events->file.sequence;
}

uint64_t events_first(const Events *events) {
        return event_log_first(events->log);
}

int events_add(Events *events, EventType type, const char *role, GVariant *details, Event *ret) {
        *ret = (Event){
                .type = type,
                .sequence = events->file.sequence + 1,
                .realtime_usec = now_usec(CLOCK_REALTIME),
                .role = g_strdup(role),
                .details = g_variant_ref_sink(details),
        };
        events->file.sequence++;

        g_autoptr(GVariant) record = g_variant_ref_sink(g_variant_new("(ttss@a{sv})", ret->sequence,
                ret->realtime_usec, event_type_to_string(type), ret->role, ret->details));
        int r = event_log_append(
                events->log, ret->sequence, g_variant_get_data(record), g_variant_get_size(record));
        if (r < 0)
                (void) events_write(events); /* saves at least the number */
        return r;
}

void events_seen(Events *events, uint64_t sequence) {
        /* A number without a next one comes from a damaged file. */
        if (sequence > events->file.sequence && sequence <= EVENT_LOG_SEQUENCE_MAX)
                events->file.sequence = sequence;
}

bool events_are_lost(const Events *events) {
        return events->lost || event_log_is_damaged(events->log);
}

uint64_t events_sent(const Events *events) {
        return events->file.sent;
}

void events_set_told(Events *events, uint64_t sequence) {
        events->told = MAX(events->told, sequence);
}

uint64_t events_told(const Events *events) {
        return events->told;
}

void events_set_sent(Events *events, uint64_t sequence) {
        if (sequence <= events->file.sent)
                return;
        events->file.sent = sequence;
        int r = events_write(events);
        if (r < 0) /* the same events are sent again, with the same numbers */
                log_warning_errno(r, "Cannot save the number of the last event that was sent, ignoring: %m");
}

typedef struct Reading {
        EventReader reader;
        void *userdata;
} Reading;

static int events_read_record(void *userdata, uint64_t sequence, const void *data, size_t size) {
        Reading *reading = userdata;
        g_auto(Event) event = {};
        const char *type, *role;

        /* The record is not trusted, because the file may be damaged. GVariant then returns defaults. */
        g_autoptr(GVariant) record = g_variant_ref_sink(
                g_variant_new_from_data(G_VARIANT_TYPE(EVENT_RECORD_FORMAT), data, size, false, NULL, NULL));
        g_variant_get(record, "(tt&s&s@a{sv})", &event.sequence, &event.realtime_usec, &type, &role,
                &event.details);
        event.type = event_type_from_string(type);
        event.role = g_strdup(role);
        if (event.sequence != sequence || (int) event.type < 0)
                return 0; /* damaged, or of a type that only a newer version knows */
        return reading->reader(reading->userdata, &event);
}

int events_read(Events *events, uint64_t after, EventReader reader, void *userdata) {
        Reading reading = { reader, userdata };

        return event_log_read(events->log, after, events_read_record, &reading);
}

typedef struct RecordReading {
        EventRecordReader reader;
        void *userdata;
} RecordReading;

static int events_read_in_place(void *userdata, uint64_t sequence, const void *data, size_t size) {
        RecordReading *reading = userdata;
        EventRecord record;

        if (!event_record_read(data, size, &record) || record.sequence != sequence ||
                (int) event_type_from_string(record.type.text) < 0)
                return 0;
        return reading->reader(reading->userdata, &record);
}

int events_read_records(Events *events, uint64_t after, EventRecordReader reader, void *userdata) {
        RecordReading reading = { reader, userdata };

        return event_log_read(events->log, after, events_read_in_place, &reading);
}
