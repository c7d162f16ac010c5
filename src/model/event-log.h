/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The log contains the newest events, as bytes. The space of its files is allocated in advance, so an
 * appended record survives the process, even if the disk is full. A record is complete or absent, whenever
 * the process dies.
 *
 * The directory "event-log" contains segments of one size. Each is named after the number of its first
 * record. When a segment is full the next one is used. The oldest are removed once the others contain
 * EVENT_LOG_KEEP records. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define EVENT_LOG_DIRECTORY "event-log"
#define EVENT_LOG_KEEP 10000U
#define EVENT_LOG_SEGMENT_SIZE (1024U * 1024U)
#define EVENT_LOG_RECORD_MAX (64U * 1024U)
/* A greater number is treated as damage, because a next number must exist. */
#define EVENT_LOG_SEQUENCE_MAX ((uint64_t) INT64_MAX)

typedef struct EventLog EventLog;

/* Of a record and of the file "events". Detects damage, not forgery: whatever is changed within 8 bytes
 * changes it. The first argument is the checksum of what comes before, or 0. */
uint64_t event_checksum(uint64_t before, const void *data, size_t size);

/* Opens or creates the log in this directory; -1 keeps it in memory only, for tests of other files. What is
 * no regular file is renamed and logged. A record that was changed is skipped, and the next ones are kept.
 * Returns a negative errno if the log cannot be used. */
int event_log_open(int dir_fd, EventLog **ret);
EventLog *event_log_close(EventLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EventLog, event_log_close)

/* Returns 0 if the log is empty. */
uint64_t event_log_first(const EventLog *log);
uint64_t event_log_last(const EventLog *log);

/* Returns whether a record that was changed has been met, or a file that was no segment. */
bool event_log_is_damaged(const EventLog *log);

/* The number must be greater than the last one. Returns -ENOSPC if the allocated space is used up and no
 * more can be allocated, -E2BIG if the record is too large, -ERANGE if the number exceeds
 * EVENT_LOG_SEQUENCE_MAX. */
int event_log_append(EventLog *log, uint64_t sequence, const void *data, size_t size);

/* Calls the function for each record after this number, oldest first, until it returns nonzero, and returns
 * that value. The data is aligned to 8 bytes and valid during the call only. */
typedef int (*EventLogReader)(void *userdata, uint64_t sequence, const void *data, size_t size);
int event_log_read(EventLog *log, uint64_t after, EventLogReader reader, void *userdata);
