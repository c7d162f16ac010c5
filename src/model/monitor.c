/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/time-util.h"
#include "model/beat-deadline.h"
#include "model/event-details.h"
#include "model/message-ids.h"
#include "model/monitor-loss.h"
#include "model/monitor.h"
#include "model/node-events.h"
#include "model/node-stop.h"
#include "model/node.h"
#include "model/role-log.h"
#include "model/state-fields.h"
#include "util/log.h"

#define MONITOR_VERSION 1U

static const StateFile monitor_file = {
        .name = "monitor",
        .max = 65536,
        .what = "the saved state of the monitor",
        .consequence = "; its timeout is that of the configuration, and the next beat arms it again",
};

struct Monitor {
        Node *node;
        int dir_fd; /* not owned; negative if nothing is saved */
        MonitorAction action;
        uint64_t configured_usec;
        bool timeout_set; /* by a call, which overrides the configuration */
        uint64_t timeout_usec;
        BeatDeadline deadline;
        char *unknown; /* fields of a newer version */
};

static int monitor_save(Monitor *monitor) {
        GString *s = state_fields_new("", MONITOR_VERSION, monitor->unknown);
        const BeatDeadline *d = &monitor->deadline;

        if (monitor->timeout_set)
                state_put_u64(s, "TIMEOUT", monitor->timeout_usec);
        state_put_nonzero(s, "DEADLINE", d->usec);
        if (d->usec != 0) {
                state_put_u64(s, "ARMED_TIMEOUT", d->armed_usec);
                state_put_u64(s, "LAST_BEAT", d->last_beat);
        }
        return state_file_save(&monitor_file, monitor->dir_fd, s);
}

/* 0.1.0 wrote one line with three numbers, which are whether a timeout was set, the timeout, and the
 * deadline. */
static int monitor_parse_of_1(Monitor *monitor, StateFields *fields) {
        g_auto(GStrv) lines = state_take_words(fields);
        BeatDeadline *d = &monitor->deadline;
        uint64_t set;

        if (!lines || lines[1])
                return -EBADMSG;
        g_auto(GStrv) words = g_strsplit(lines[0], " ", -1);
        if (g_strv_length(words) != 3 || parse_u64(words[0], &set) < 0 || set > 1 ||
                parse_u64(words[1], &monitor->timeout_usec) < 0 || parse_u64(words[2], &d->usec) < 0)
                return -EBADMSG;
        monitor->timeout_set = set;
        d->armed_usec = monitor->timeout_usec;
        d->last_beat = d->usec > d->armed_usec && d->usec != USEC_INFINITY ? d->usec - d->armed_usec
                                                                           : now_usec(CLOCK_MONOTONIC);
        return state_fields_end(fields, &monitor->unknown);
}

static int monitor_parse(void *userdata, StateFields *fields) {
        Monitor *monitor = userdata;

        monitor->deadline.waiting = true;
        if (state_fields_of_1(fields))
                return monitor_parse_of_1(monitor, fields);
        monitor->timeout_set = state_fields_have(fields, "TIMEOUT");
        monitor->timeout_usec = state_take_u64(fields, "TIMEOUT");
        monitor->deadline.usec = state_take_u64(fields, "DEADLINE");
        monitor->deadline.armed_usec = state_take_u64(fields, "ARMED_TIMEOUT");
        monitor->deadline.last_beat = state_take_u64(fields, "LAST_BEAT");
        return state_fields_end(fields, &monitor->unknown);
}

static void monitor_load(Monitor *monitor) {
        if (state_file_load(&monitor_file, monitor->dir_fd, monitor_parse, monitor) != STATE_FILE_DAMAGED)
                return;
        monitor->timeout_set = false;
        monitor->deadline.usec = 0;
}

static void monitor_on_expired(void *data);

int monitor_open(Node *node, int dir_fd, Monitor **ret) {
        g_autoptr(Monitor) monitor = g_new0(Monitor, 1);

        monitor->node = node;
        monitor->dir_fd = dir_fd;
        monitor->configured_usec = MONITOR_TIMEOUT_DEFAULT_USEC;
        beat_deadline_init(&monitor->deadline, node->event, "monitor", monitor_on_expired, monitor);
        monitor_load(monitor);
        *ret = g_steal_pointer(&monitor);
        return 0;
}

Monitor *monitor_close(Monitor *monitor) {
        if (!monitor)
                return NULL;
        beat_deadline_done(&monitor->deadline);
        g_free(monitor->unknown);
        g_free(monitor);
        return NULL;
}

uint64_t monitor_timeout(const Monitor *monitor) {
        return monitor->timeout_set ? monitor->timeout_usec : monitor->configured_usec;
}

uint64_t monitor_deadline(const Monitor *monitor) {
        return monitor->deadline.usec;
}

MonitorAction monitor_action(const Monitor *monitor) {
        return monitor->action;
}

static void monitor_arm(Monitor *monitor) {
        beat_deadline_arm(&monitor->deadline);
        ASK(monitor->node, clients, node_changed);
}

static void monitor_save_or_log(Monitor *monitor) {
        int r = monitor_save(monitor);
        if (r < 0)
                /* A beat is valid nevertheless. Only after a crash within the next seconds is the older
                 * deadline used. */
                log_warning_errno(r, "Cannot save the deadline of the monitor, ignoring: %m");
}

/* Returns whether the timeout shuts the service down. A role that is kept also keeps the service. */
static bool monitor_log_timed_out(Monitor *monitor, double seconds) {
        MonitorLosses losses;

        monitor_loss_count(monitor->node, NULL, &losses);
        const bool shut_down = monitor->action == MONITOR_ACTION_SHUTDOWN && losses.n[MONITOR_LOSS_KEEP] == 0;
        journal_node(monitor->node, MESSAGE_MONITOR_TIMED_OUT, LOG_WARNING, NULL,
                "No beat arrived for %g s, stopping %u roles, killing %u, keeping %u; the service %s",
                seconds, losses.n[MONITOR_LOSS_STOP], losses.n[MONITOR_LOSS_KILL],
                losses.n[MONITOR_LOSS_KEEP], shut_down ? "shuts down" : "goes on");
        return shut_down;
}

static void monitor_on_expired(void *data) {
        Monitor *monitor = data;
        Node *node = monitor->node;
        g_auto(Event) event = {};
        const double seconds = (double) monitor_timeout(monitor) / (double) USEC_PER_SEC;

        const bool shut_down = monitor_log_timed_out(monitor, seconds);
        /* Disarmed until the next beat. This is saved only together with the action: if this process dies in
         * between, the next one finds no beat either. */
        monitor->deadline.usec = 0;
        monitor_arm(monitor);
        node_event_add(node, EVENT_MONITOR_TIMED_OUT, NULL,
                event_details_monitor_timed_out(monitor_timeout(monitor)), &event);
        node_event_tell(node, &event, NULL);

        monitor_loss_stop(node, NULL);
        if (shut_down) {
                g_autofree char *reason = g_strdup_printf("no beat arrived for %g s", seconds);
                node_shutdown(node, reason, NULL);
        }
        int r = node->finished ? 0 : monitor_save(monitor); /* a clean end has removed the file */
        if (r < 0)
                log_error_errno(r, "Cannot save the state of the monitor: %m");
}

void monitor_resume(Monitor *monitor) {
        beat_deadline_resume(&monitor->deadline);
}

void monitor_configure(Monitor *monitor, uint64_t timeout_usec, MonitorAction action) {
        const uint64_t old = monitor->deadline.usec;

        monitor->action = action;
        monitor->configured_usec = timeout_usec;
        beat_deadline_follow(&monitor->deadline, monitor_timeout(monitor));
        if (monitor->deadline.usec != old)
                monitor_save_or_log(monitor);
        monitor_arm(monitor);
}

int monitor_beat(Monitor *monitor, Fault *fault) {
        const uint64_t timeout = monitor_timeout(monitor), old = monitor->deadline.usec;

        if (timeout == 0)
                return 0; /* the monitor is off, so a beat has no effect */
        beat_deadline_beat(&monitor->deadline, timeout);
        monitor_save_or_log(monitor);
        if (old == 0)
                log_info("The monitor is armed: the next beat is due within %" PRIu64 " s",
                        timeout / USEC_PER_SEC);
        monitor_arm(monitor);
        return 0;
}

int monitor_set_timeout(Monitor *monitor, uint64_t timeout_usec, Fault *fault) {
        const Monitor old = *monitor;

        monitor->timeout_set = true;
        monitor->timeout_usec = timeout_usec;
        beat_deadline_follow(&monitor->deadline, timeout_usec);
        int r = monitor_save(monitor);
        if (r < 0) {
                *monitor = old; /* the timer has not changed yet */
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save the timeout of the monitor: %s",
                        g_strerror(-r));
        }
        monitor_arm(monitor);
        return 0;
}

void monitor_forget(Monitor *monitor) {
        state_file_forget(&monitor_file, monitor->dir_fd);
}
