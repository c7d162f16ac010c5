/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Copies a descriptor, or one line, to the standard input of a role, as fast as the role reads it. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "ctl/ctl.h"

typedef struct Feed {
        Ctl *ctl;
        sd_event *event;
        const char *role;
        int fd;                         /* negative: text is sent */
        const char *text;               /* a line */
        bool close;                     /* afterwards */
        void (*on_end)(void *userdata); /* called once, or NULL */
        void *userdata;
        sd_event_source *source;
        char data[65536]; /* read; the role may not have it yet */
        size_t size;
        CtlExit exit;       /* how it went, reported already */
        bool quiet_refusal; /* that the role reads no input is not reported */
        bool done;
} Feed;

/* The loop must run until feed->done. The caller has set the first fields, and calls feed_clear(). */
void feed_begin(Feed *feed);
void feed_clear(Feed *feed);
