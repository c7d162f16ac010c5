/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "ctl/host-link.h"
#include "ctl/remote.h"

#define RETRY_MIN_USEC USEC_PER_SEC
#define RETRY_MAX_USEC (30 * USEC_PER_SEC)

struct HostLinks {
        sd_event *event;
        uint64_t patience_usec;
        bool retry;
        HostLinkChanged changed;
        GPtrArray *list; /* of HostLink */
        GQueue queue;    /* those that wait for their turn */
        unsigned n_connecting;
};

static void host_links_pump(HostLinks *links);

/* -- one link -- */

static void host_link_close(HostLink *link) {
        link->timer = sd_event_source_disable_unref(link->timer);
        /* ssh is ended, which is waited for. What was to be sent has no reader. */
        link->bus = sd_bus_close_unref(link->bus);
        link->new_bus = sd_bus_close_unref(link->new_bus);
}

static void host_link_free(void *p) {
        HostLink *link = p;

        host_link_close(link);
        (void) fd_close(link->errors);
        g_free(link->name);
        g_free(link->address);
        g_free(link->reason);
        g_free(link);
}

static int host_link_set_timer(HostLink *link, uint64_t usec, sd_event_time_handler_t handler) {
        link->timer = sd_event_source_disable_unref(link->timer);
        return sd_event_add_time_relative(
                link->links->event, &link->timer, CLOCK_MONOTONIC, usec, 0, handler, link);
}

static int host_link_on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        HostLink *link = userdata;

        link->timer = sd_event_source_disable_unref(link->timer);
        host_link_connect(link);
        return 0;
}

static void host_link_set_down(HostLink *link, int error, const char *reason) {
        HostLinks *links = link->links;
        const HostLinkState old = link->state;

        host_link_close(link);
        g_free(link->reason);
        /* ssh has ended, so it says no more. */
        link->reason = reason ? g_strdup(reason) : remote_reason(link->errors, error);
        if (old == HOST_LINK_CONNECTING)
                links->n_connecting--;
        link->state = HOST_LINK_DOWN;
        if (links->retry) {
                link->delay_usec = CLAMP(link->delay_usec * 2, RETRY_MIN_USEC, RETRY_MAX_USEC);
                (void) host_link_set_timer(link,
                        (uint64_t) ((double) link->delay_usec * g_random_double_range(0.5, 1)),
                        host_link_on_retry);
        }
        links->changed(link);
        host_links_pump(links);
}

static int host_link_on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        HostLink *link = userdata;

        host_link_set_down(link, -ECONNRESET, NULL);
        return 0;
}

static int host_link_on_late(sd_event_source *s, uint64_t usec, void *userdata) {
        host_link_set_down(userdata, -ETIMEDOUT, NULL);
        return 0;
}

/* The bus of the host has replied, so everything up to it works. */
static int host_link_on_pong(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        HostLink *link = userdata;
        HostLinks *links = link->links;

        /* If the connection has ended, that is announced, too. */
        if (sd_bus_message_is_method_error(m, NULL))
                return 0;
        link->timer = sd_event_source_disable_unref(link->timer);
        link->bus = g_steal_pointer(&link->new_bus);
        link->state = HOST_LINK_UP;
        g_clear_pointer(&link->reason, g_free);
        links->n_connecting--;
        links->changed(link);
        host_links_pump(links);
        return 0;
}

static int host_link_open(HostLink *link) {
        autofd errors = -EBADF;
        int fds[2];

        if (!link->address)
                return sd_bus_open_system(&link->new_bus);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        (void) fd_close(link->errors);
        link->errors = fds[0];
        errors = fds[1];
        (void) fd_nonblock(link->errors, true);
        return remote_start(link->address, errors, &link->new_bus);
}

static int host_link_begin(HostLink *link) {
        HostLinks *links = link->links;

        int r = host_link_open(link);
        if (r >= 0)
                r = sd_bus_match_signal(link->new_bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                        "org.freedesktop.DBus.Local", "Disconnected", host_link_on_disconnected, link);
        if (r >= 0)
                r = sd_bus_attach_event(link->new_bus, links->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_call_method_async(link->new_bus, NULL, "org.freedesktop.DBus",
                        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", host_link_on_pong, link,
                        NULL);
        /* The time limit of that call does not begin before the connection is there. */
        if (r >= 0)
                r = host_link_set_timer(link, links->patience_usec, host_link_on_late);
        /* What the host has sent counts, however late we are. */
        return r < 0 ? r : sd_event_source_set_priority(link->timer, SD_EVENT_PRIORITY_IDLE);
}

static void host_links_pump(HostLinks *links) {
        HostLink *link;

        while (links->n_connecting < REMOTE_CONNECTING_MAX && (link = g_queue_pop_head(&links->queue))) {
                link->state = HOST_LINK_CONNECTING;
                links->n_connecting++;
                int r = host_link_begin(link);
                if (r < 0)
                        host_link_set_down(link, r, NULL);
        }
}

void host_link_connect(HostLink *link) {
        if (link->state != HOST_LINK_DOWN)
                return;
        link->timer = sd_event_source_disable_unref(link->timer);
        link->state = HOST_LINK_QUEUED;
        g_queue_push_tail(&link->links->queue, link);
        host_links_pump(link->links);
}

void host_link_settle(HostLink *link) {
        link->delay_usec = 0;
}

void host_link_give_up(HostLink *link, const char *reason) {
        if (link->state == HOST_LINK_UP)
                host_link_set_down(link, -ETIMEDOUT, reason);
}

/* -- all of them -- */

HostLinks *host_links_new(sd_event *event, uint64_t patience_usec, bool retry, HostLinkChanged changed) {
        HostLinks *links = g_new(HostLinks, 1);

        *links = (HostLinks){
                .event = sd_event_ref(event),
                .patience_usec = patience_usec,
                .retry = retry,
                .changed = changed,
                .list = g_ptr_array_new_with_free_func(host_link_free),
                .queue = G_QUEUE_INIT,
        };
        return links;
}

HostLinks *host_links_free(HostLinks *links) {
        if (!links)
                return NULL;
        g_queue_clear(&links->queue);
        g_ptr_array_unref(links->list);
        sd_event_unref(links->event);
        g_free(links);
        return NULL;
}

HostLink *host_links_add(HostLinks *links, const char *name, const char *address, void *owner) {
        HostLink *link = g_new(HostLink, 1);

        *link = (HostLink){
                .name = g_strdup(name),
                .owner = owner,
                .links = links,
                .address = g_strdup(address),
                .errors = -EBADF,
        };
        g_ptr_array_add(links->list, link);
        return link;
}
