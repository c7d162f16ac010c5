/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The messages of sd_notify(3) that a role may send, and what the service is told of them. Uses libc only. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One assignment of a message. The numbers are those of the protocol between node and keeper, and never
 * change. */
typedef enum NotifyKind {
        NOTIFY_READY = 1,
        NOTIFY_STATUS = 2, /* with its text */
        NOTIFY_RELOADING = 3,
        NOTIFY_STOPPING = 4,
        NOTIFY_WATCHDOG = 5,         /* it lives */
        NOTIFY_WATCHDOG_TRIGGER = 6, /* it says itself that it does not work */
        NOTIFY_EXTEND_TIMEOUT = 7,   /* value: microseconds */
        NOTIFY_ERRNO = 8,            /* value: a positive errno */
        NOTIFY_MAINPID = 9,          /* value: a pid */
        _NOTIFY_KIND_MAX,
} NotifyKind;

#define NOTIFY_MESSAGE_MAX 4096U /* bytes of a message, as for systemd */
#define NOTIFY_TEXT_MAX 1023U    /* bytes of a status; the rest of a longer one is dropped */

typedef struct NotifyAssignment {
        NotifyKind kind;
        uint64_t value;
        const char *text; /* not terminated; its bytes are those of the sender, whatever they are */
        size_t text_size;
} NotifyAssignment;

/* Takes the next assignment that is known from a message, and moves *message behind it. Others are skipped,
 * as are those whose value is not valid. Returns false at the end, which is also the first NUL. */
bool notify_message_next(const char **message, const char *end, NotifyAssignment *ret);
