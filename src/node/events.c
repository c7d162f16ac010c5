/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "node/events.h"
#include "util/log.h"

#define EVENTS_FILE "events"
#define EVENTS_MAGIC "ARCHEVT1"

/* The whole file. Its space is allocated when it is made: a full disk cannot stop the count. */
typedef struct EventsFile {
        char magic[8];
        sd_id128_t epoch;
        uint64_t sequence;
} EventsFile;

struct Events {
        int fd; /* negative: in memory only */
        EventsFile file;
};

static int events_write(Events *events) {
        if (events->fd < 0)
                return 0;

        EventsFile file = events->file;
        ssize_t n = pwrite(events->fd, &file, sizeof(file), 0);
        if (n < 0)
                return -errno;
        return (size_t) n == sizeof(file) ? 0 : -EIO;
}

static int events_read(int fd, EventsFile *ret) {
        EventsFile file;

        ssize_t n = pread(fd, &file, sizeof(file), 0);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -ENODATA;
        if ((size_t) n != sizeof(file) || memcmp(file.magic, EVENTS_MAGIC, sizeof(file.magic)) != 0)
                return -EBADMSG;
        *ret = file;
        return 0;
}

int events_open(int dir_fd, Events **ret) {
        g_autofree Events *events = g_new0(Events, 1);
        int r = -ENODATA;

        events->fd = -EBADF;
        if (dir_fd >= 0) {
                autofd fd = openat(dir_fd, EVENTS_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (fd < 0)
                        return -errno;

                r = events_read(fd, &events->file);
                if (r == -EBADMSG) {
                        log_error(
                                "The file \"%s\" is damaged: set aside as \"%s.damaged\", event numbers begin anew",
                                EVENTS_FILE, EVENTS_FILE);
                        if (renameat(dir_fd, EVENTS_FILE, dir_fd, EVENTS_FILE ".damaged") < 0)
                                return -errno;
                        fd = fd_close(fd);
                        fd = openat(dir_fd, EVENTS_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                        if (fd < 0)
                                return -errno;
                } else if (r < 0 && r != -ENODATA)
                        return r;
                events->fd = fd_steal(&fd);
        }

        if (r < 0) {
                memcpy(events->file.magic, EVENTS_MAGIC, sizeof(events->file.magic));
                r = sd_id128_randomize(&events->file.epoch);
                if (r >= 0)
                        r = events_write(events);
                if (r < 0) {
                        events->fd = fd_close(events->fd);
                        return r;
                }
        }

        *ret = g_steal_pointer(&events);
        return 0;
}

Events *events_close(Events *events) {
        if (!events)
                return NULL;
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

int events_next(Events *events, uint64_t *ret) {
        events->file.sequence++;

        int r = events_write(events);
        if (r < 0)
                return r;
        *ret = events->file.sequence;
        return 0;
}

void events_seen(Events *events, uint64_t sequence) {
        if (sequence > events->file.sequence)
                events->file.sequence = sequence;
}
