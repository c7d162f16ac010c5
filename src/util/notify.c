/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "base/fd-util.h"
#include "base/notify-socket.h"
#include "util/log.h"
#include "util/notify.h"

static struct {
        int fd;       /* connected to $NOTIFY_SOCKET; negative if it is not */
        GQueue queue; /* of char *, what systemd has not taken yet */
        sd_event *event;
        sd_event_source *writable; /* EPOLLOUT, enabled while the queue is not empty */
        sd_event_source *watchdog;
} notifier = { .fd = -EBADF, .queue = G_QUEUE_INIT };

static void notify_pump(void);

static int notify_on_writable(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        notify_pump();
        return 0;
}

static int notify_transmit(const char *message) {
        int r = -ENOTCONN;

        if (notifier.fd >= 0)
                r = socket_send(notifier.fd, message, strlen(message), NULL, 0);
        if (r != -ENOTCONN && r != -ECONNREFUSED && r != -ECONNRESET)
                return r;

        /* There is no connection yet, or its reader has gone and there may be another one. */
        notifier.writable = sd_event_source_disable_unref(notifier.writable);
        (void) fd_close(notifier.fd);
        notifier.fd = notify_connect();
        return notifier.fd < 0 ? notifier.fd : socket_send(notifier.fd, message, strlen(message), NULL, 0);
}

static void notify_wait(void) {
        if (!notifier.event || notifier.writable)
                return;
        int r = sd_event_add_io(
                notifier.event, &notifier.writable, notifier.fd, EPOLLOUT, notify_on_writable, NULL);
        if (r < 0)
                log_warning_errno(
                        r, "Cannot wait until systemd reads, the next notification tries again: %m");
}

static void notify_pump(void) {
        const char *message;

        while ((message = g_queue_peek_head(&notifier.queue))) {
                int r = notify_transmit(message);

                if (r == -EAGAIN) {
                        notify_wait();
                        return;
                }
                if (r < 0 && r != -ENODATA)
                        log_warning_errno(r, "Cannot notify systemd: %m");
                if (r == -ENOMEM || r == -ENOBUFS)
                        return; /* the next notification tries again */
                g_free(g_queue_pop_head(&notifier.queue));
        }
        notifier.writable = sd_event_source_disable_unref(notifier.writable);
}

/* Returns whether both have the same variables in the same order. */
static bool notify_is_same_kind(const char *a, const char *b) {
        for (;;) {
                size_t n = strcspn(a, "=\n"), m = strcspn(b, "=\n");

                if (n != m || strncmp(a, b, n) != 0)
                        return false;
                a = strchr(a, '\n');
                b = strchr(b, '\n');
                if (!a || !b)
                        return !a && !b;
                a++;
                b++;
        }
}

void notify_send(const char *message) {
        for (GList *l = notifier.queue.head; l; l = l->next)
                if (notify_is_same_kind(l->data, message)) {
                        g_free(l->data);
                        g_queue_delete_link(&notifier.queue, l);
                        break;
                }
        g_queue_push_tail(&notifier.queue, g_strdup(message));
        notify_pump();
}

void notify_sendf(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *message = g_strdup_vprintf(format, ap);
        va_end(ap);
        notify_send(message);
}

static int notify_on_watchdog(sd_event_source *s, uint64_t usec, void *userdata) {
        uint64_t period = *(const uint64_t *) userdata;

        notify_send("WATCHDOG=1");
        int r = sd_event_source_set_time_relative(s, period / 2);
        return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int notify_add_watchdog(void) {
        static uint64_t period;

        int r = sd_watchdog_enabled(false, &period);
        if (r <= 0)
                return r;
        r = sd_event_add_time_relative(notifier.event, &notifier.watchdog, CLOCK_MONOTONIC, 0, period / 8,
                notify_on_watchdog, &period);
        /* It must show that the loop runs, however many other events there are. */
        return r < 0 ? r : sd_event_source_set_priority(notifier.watchdog, SD_EVENT_PRIORITY_IMPORTANT - 10);
}

int notify_attach(sd_event *event) {
        notify_detach();
        notifier.event = sd_event_ref(event);
        if (notifier.fd < 0)
                notifier.fd = notify_connect(); /* now, because later there may be no descriptor left */
        notify_pump();
        return notify_add_watchdog();
}

void notify_detach(void) {
        notifier.writable = sd_event_source_disable_unref(notifier.writable);
        notifier.watchdog = sd_event_source_disable_unref(notifier.watchdog);
        notifier.event = sd_event_unref(notifier.event);
}
