/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The newest events, as bytes, in files whose space is allocated beforehand: what is appended here survives us, also when the
 * disk is full. A record is there whole or not at all, at whatever moment the process dies.
 *
 * The directory "event-log" holds segments of one size, each named after the number of its first record. When one is full the
 * next takes over; the oldest go once the others hold EVENT_LOG_KEEP records. */

#include <glib.h>
#include <stdint.h>

#define EVENT_LOG_DIRECTORY "event-log"
#define EVENT_LOG_KEEP 10000U
#define EVENT_LOG_SEGMENT_SIZE (1024U * 1024U)
#define EVENT_LOG_RECORD_MAX (64U * 1024U)
/* A number beyond it is damage: after it there is to be a next one. */
#define EVENT_LOG_SEQUENCE_MAX ((uint64_t) INT64_MAX)

typedef struct EventLog EventLog;

/* In this directory; -1: in memory only, for tests of others. What cannot be read is logged and set aside. */
int event_log_open(int dir_fd, EventLog **ret);
EventLog *event_log_close(EventLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EventLog, event_log_close)

/* 0: there is none. */
uint64_t event_log_first(const EventLog *log);
uint64_t event_log_last(const EventLog *log);

/* The number must be greater than that of the last. -ENOSPC when neither allocated space is left nor any to be had; -E2BIG;
 * -ERANGE: the number is beyond EVENT_LOG_SEQUENCE_MAX. */
int event_log_append(EventLog *log, uint64_t sequence, const void *data, size_t size);

/* Calls for each record after this number, oldest first, until it returns nonzero: that is returned then. The data is valid
 * only during the call, and aligned to 8 bytes. */
typedef int (*EventLogReader)(void *userdata, uint64_t sequence, const void *data, size_t size);
int event_log_read(EventLog *log, uint64_t after, EventLogReader reader, void *userdata);

/* Everything is gone, as if it had never been. */
void event_log_clear(EventLog *log);
