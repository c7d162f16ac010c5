/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time-util.h"
#include "cluster/beat.h"
#include "cluster/corosync.h"
#include "cluster/fence.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Each host beats at least as often as this, see beat.c. */
#define HOSTS_WAIT_USEC (6 * USEC_PER_SEC)

typedef struct Fence {
        sd_event *event;
        Corosync *corosync;
        const char *host; /* NULL: only listens */
        uint64_t deadline_usec, heard_usec;
        bool returned;     /* one of our own messages was delivered */
        GHashTable *hosts; /* name → lease time, of those that were heard */
} Fence;

static void fence_end(Fence *fence, int r) {
        (void) sd_event_exit(fence->event, r);
}

static void fence_on_message(const ClusterMessage *message, bool own, void *userdata) {
        Fence *fence = userdata;

        if (message->verb == CLUSTER_BEAT)
                g_hash_table_replace(
                        fence->hosts, g_strdup(message->name), g_strdup_printf("%" PRIu64, message->number));
        if (message->verb == CLUSTER_FENCE && own)
                fence->returned = true;
        if (!fence->host || own || strcmp(message->name, fence->host) != 0)
                return;
        if (message->verb == CLUSTER_HEARD)
                fence->heard_usec = now_usec(CLOCK_MONOTONIC);
        else if (message->verb == CLUSTER_GONE) {
                log_info("%s says that no process of its roles is left", fence->host);
                fence_end(fence, 0);
        }
}

static void fence_on_ring(void *userdata) {
}

static void fence_on_lost(void *userdata) {
        fence_end(userdata, -ENOTCONN);
}

static const CorosyncEvents fence_events = {
        .message = fence_on_message,
        .ring = fence_on_ring,
        .lost = fence_on_lost,
};

/* -- fencing -- */

/* Only a host that cannot be heard is known to have no quorum. */
static int fence_judge(const Fence *fence, uint64_t now) {
        if (!corosync_is_quorate(fence->corosync)) {
                log_error("This host has no quorum, so it is not the one to fence %s", fence->host);
                return -EACCES;
        }
        if (!fence->returned) {
                log_error("corosync does not deliver messages, so %s was not told to end its roles",
                        fence->host);
                return -EIO;
        }
        if (fence->heard_usec != 0 && now - fence->heard_usec < 10 * BEAT_REPEAT_USEC) {
                log_error("%s can be reached, and still has roles, which it was told to end", fence->host);
                return -EBUSY;
        }
        log_info("%s does not answer, and its lease has ended", fence->host);
        return 0;
}

static int fence_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Fence *fence = userdata;
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now >= fence->deadline_usec) {
                fence_end(fence, fence_judge(fence, now));
                return 0;
        }
        /* One that cannot be sent now is followed by the next one. */
        int r = corosync_send(fence->corosync, CLUSTER_FENCE, fence->host, fence->deadline_usec - now);
        if (r < 0 && r != -EAGAIN) {
                fence_end(fence, r);
                return 0;
        }
        r = sd_event_source_set_time(s, MIN(now + BEAT_REPEAT_USEC, fence->deadline_usec));
        return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int fence_on_end(sd_event_source *s, uint64_t usec, void *userdata) {
        fence_end(userdata, 0);
        return 0;
}

/* -- both -- */

static int fence_open(Fence *fence) {
        fence->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        int r = sd_event_new(&fence->event);
        if (r >= 0)
                r = corosync_open(&fence->corosync, fence->event, &fence_events, fence);
        if (r == -ENOTCONN)
                log_error("corosync does not run on this host");
        if (r < 0)
                return r;
        if (corosync_is_two_node(fence->corosync)) {
                log_error(
                        "With two_node in corosync.conf a host that is cut off keeps its quorum and its roles, so "
                        "only power fencing is safe; see fence_architect(8)");
                return -EOPNOTSUPP;
        }
        return 0;
}

static int fence_run(Fence *fence, uint64_t wait_usec, sd_event_time_handler_t handler) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        fence->deadline_usec = usec_add(now, wait_usec);
        int r = fence_open(fence);
        if (r >= 0)
                r = sd_event_add_time(fence->event, NULL, CLOCK_MONOTONIC,
                        handler == fence_on_timer ? now : fence->deadline_usec, 1, handler, fence);
        if (r >= 0)
                r = sd_event_loop(fence->event);
        return r;
}

static void fence_done(Fence *fence) {
        fence->corosync = corosync_close(fence->corosync);
        fence->event = sd_event_unref(fence->event);
        g_clear_pointer(&fence->hosts, g_hash_table_unref);
}

int fence_host(const char *host, uint64_t wait_usec) {
        Fence fence = { .host = host };

        int r = fence_run(&fence, wait_usec, fence_on_timer);
        fence_done(&fence);
        return r;
}

int fence_print_hosts(void) {
        Fence fence = {};

        int r = fence_run(&fence, HOSTS_WAIT_USEC, fence_on_end);
        if (r >= 0 && !corosync_is_quorate(fence.corosync)) {
                log_error("This host has no quorum");
                r = -EACCES;
        }
        if (r >= 0) {
                g_autoptr(GList) names =
                        g_list_sort(g_hash_table_get_keys(fence.hosts), (GCompareFunc) strcmp);

                for (GList *name = names; name; name = name->next)
                        printf("%s %s\n", (const char *) name->data,
                                (const char *) g_hash_table_lookup(fence.hosts, name->data));
        }
        fence_done(&fence);
        return r;
}
