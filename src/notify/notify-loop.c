/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdbool.h>

#include "notify/notify-loop.h"

typedef struct EventSource {
        GSource source;
        sd_event *event;
        int error;
        bool finished;
} EventSource;

static gboolean event_source_prepare(GSource *source, int *timeout) {
        const EventSource *s = (EventSource *) source;

        *timeout = -1; /* timers of sd-event are in its descriptor */
        return sd_event_prepare(s->event) != 0;
}

static gboolean event_source_check(GSource *source) {
        const EventSource *s = (EventSource *) source;

        return sd_event_wait(s->event, 0) != 0;
}

/* Also after an error, which there is no other place for. */
static gboolean event_source_dispatch(GSource *source, GSourceFunc callback, void *userdata) {
        EventSource *s = (EventSource *) source;
        const int state = sd_event_get_state(s->event);

        int r = state == SD_EVENT_PENDING ? sd_event_dispatch(s->event) : state;
        if (r < 0)
                s->error = r;
        s->finished = r < 0 || sd_event_get_state(s->event) == SD_EVENT_FINISHED;
        return !s->finished;
}

static GSourceFuncs event_source_functions = {
        .prepare = event_source_prepare,
        .check = event_source_check,
        .dispatch = event_source_dispatch,
};

int notify_loop_run(sd_event *event) {
        GSource *source = g_source_new(&event_source_functions, sizeof(EventSource));
        EventSource *s = (EventSource *) source;
        int code = 0;

        s->event = event;
        (void) g_source_add_unix_fd(source, sd_event_get_fd(event), G_IO_IN | G_IO_HUP | G_IO_ERR);
        (void) g_source_attach(source, NULL);
        while (!s->finished)
                (void) g_main_context_iteration(NULL, true);
        if (s->error < 0)
                code = s->error;
        else
                (void) sd_event_get_exit_code(event, &code);
        g_source_destroy(source);
        g_source_unref(source);
        return code;
}
