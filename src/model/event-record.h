/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A record of the event log is a GVariant of type EVENT_RECORD_FORMAT, as bytes: number, time, type, role and
 * details. These functions read it in place, because GVariant allocates several objects for each detail, and
 * one call of EventsSince reads a thousand events. They return false for what GVariant would not have written
 * so: a record may be damaged. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_RECORD_FORMAT "(ttssa{sv})"

/* UTF-8 that ends with '\0'. */
typedef struct EventText {
        const char *text;
        size_t length;
} EventText;

typedef struct EventDetails {
        const uint8_t *data;
        size_t at;      /* the end of the entry before the next one */
        size_t limit;   /* the end of the last entry, where the table of the ends begins */
        size_t next;    /* the end of the next entry in the table */
        size_t size;    /* with the table */
        unsigned width; /* of a number in it */
} EventDetails;

typedef struct EventRecord {
        uint64_t sequence;
        uint64_t realtime_usec;
        EventText type; /* the name of the signal, possibly one that only a newer version knows */
        EventText role;
        EventDetails details;
} EventRecord;

typedef struct EventDetail {
        EventText key;
        const char *type; /* a single complete type, without '\0' at its end */
        size_t type_length;
        const uint8_t *value; /* a GVariant of this type; aligned to 8 bytes if the record is */
        size_t size;
} EventDetail;

bool event_record_read(const void *data, size_t size, EventRecord *ret);

/* Returns 1 for a detail, 0 after the last one, -EBADMSG for what is none. */
int event_details_next(EventDetails *details, EventDetail *ret);

/* Whether these bytes, with the '\0' at their end, are a string. */
bool event_text_read(const void *data, size_t size, EventText *ret);
