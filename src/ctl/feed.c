/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ctl/connection.h"
#include "ctl/feed.h"
#include "proto/node-errors.h"
#include "util/autoptr.h"

static void feed_end(Feed *f, CtlExit e) {
        f->source = sd_event_source_disable_unref(f->source);
        f->exit = e;
        f->done = true;
        if (f->on_end)
                f->on_end(f->userdata);
}

static void feed_fail(Feed *f, const sd_bus_error *error) {
        const NodeError e = node_error_from_string(error->name);

        const bool refused =
                e == NODE_ERROR_NO_INPUT || e == NODE_ERROR_ROLE_NOT_RUNNING || e == NODE_ERROR_NO_SUCH_ROLE;

        feed_end(f, refused && f->quiet_refusal ? CTL_EXIT_OK : ctl_report(f->ctl, f->role, error));
}

static void feed_call(Feed *f, sd_bus_message *call, sd_bus_message_handler_t callback) {
        CtlExit e = ctl_send_async(f->ctl, call, callback, f);
        if (e != CTL_EXIT_OK)
                feed_end(f, e);
}

static void feed_send(Feed *f);
static void feed_next(Feed *f);

/* -- the queue of the service is full -- */

static int feed_on_room(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Feed *f = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                feed_fail(f, sd_bus_message_get_error(m));
        else
                feed_send(f);
        return 0;
}

static void feed_write(Feed *f, const void *data, size_t size, sd_bus_message_handler_t callback) {
        g_autofree char *method = ctl_change_name(f->ctl, "WriteInput");
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(f->ctl, &call, method, "s", f->role);
        if (e != CTL_EXIT_OK) {
                feed_end(f, e);
                return;
        }
        int r = sd_bus_message_append_array(call, 'y', data, size);
        if (r >= 0)
                r = ctl_append_change(f->ctl, call);
        if (r < 0)
                feed_end(f, ctl_cannot_send(r));
        else
                feed_call(f, call, callback);
}

/* No bytes always find room, and the reply comes when the role has read what waits before them. */
static void feed_wait_for_room(Feed *f) {
        feed_write(f, "", 0, feed_on_room);
}

/* -- sending -- */

static int feed_on_closed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Feed *f = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                feed_fail(f, sd_bus_message_get_error(m));
        else
                feed_end(f, CTL_EXIT_OK);
        return 0;
}

/* Nothing more comes. */
static void feed_finish(Feed *f) {
        g_autofree char *method = ctl_change_name(f->ctl, "CloseInput");
        g_autoptr(sd_bus_message) call = NULL;

        if (!f->close) {
                feed_end(f, CTL_EXIT_OK);
                return;
        }
        CtlExit e = ctl_new_call(f->ctl, &call, method, "s", f->role);
        int r = e == CTL_EXIT_OK ? ctl_append_change(f->ctl, call) : 0;
        if (e != CTL_EXIT_OK || r < 0)
                feed_end(f, r < 0 ? ctl_cannot_send(r) : e);
        else
                feed_call(f, call, feed_on_closed);
}

static int feed_on_sent(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Feed *f = userdata;

        if (!sd_bus_message_is_method_error(m, NULL))
                feed_next(f);
        else if (sd_bus_message_is_method_error(m, node_error_to_string(NODE_ERROR_INPUT_FULL)))
                feed_wait_for_room(f);
        else
                feed_fail(f, sd_bus_message_get_error(m));
        return 0;
}

static void feed_send(Feed *f) {
        g_autoptr(sd_bus_message) call = NULL;

        if (f->fd >= 0) {
                feed_write(f, f->data, f->size, feed_on_sent);
                return;
        }
        /* A method with the options of a lease exists for bytes only. */
        if (f->ctl->force) {
                g_autofree char *line = g_strconcat(f->text, "\n", NULL);

                feed_write(f, line, strlen(line), feed_on_sent);
                return;
        }
        CtlExit e = ctl_new_call(f->ctl, &call, "SendInput", "ss", f->role, f->text);
        if (e != CTL_EXIT_OK)
                feed_end(f, e);
        else
                feed_call(f, call, feed_on_sent);
}

/* -- reading -- */

static void feed_read(Feed *f) {
        ssize_t n = read(f->fd, f->data, sizeof(f->data));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return; /* it is called again */
        if (f->source)
                (void) sd_event_source_set_enabled(f->source, SD_EVENT_OFF);
        if (n < 0) {
                feed_end(f, ctl_failed(errno, "read standard input"));
                return;
        }
        f->size = (size_t) n;
        if (n == 0)
                feed_finish(f);
        else
                feed_send(f);
}

static int feed_on_readable(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        feed_read(userdata);
        return 0;
}

static void feed_next(Feed *f) {
        if (f->fd < 0)
                feed_finish(f);
        else if (f->source)
                (void) sd_event_source_set_enabled(f->source, SD_EVENT_ON);
        else
                feed_read(f); /* a file, which never blocks */
}

void feed_begin(Feed *f) {
        if (f->fd < 0) {
                feed_send(f);
                return;
        }
        int r = sd_event_add_io(f->event, &f->source, f->fd, EPOLLIN, feed_on_readable, f);
        if (r == -EPERM) /* a file, which epoll does not take */
                feed_read(f);
        else if (r < 0)
                feed_end(f, ctl_failed(r, "watch standard input"));
}

void feed_clear(Feed *f) {
        f->source = sd_event_source_disable_unref(f->source);
}
