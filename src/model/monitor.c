/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/time-util.h"
#include "model/event-details.h"
#include "model/message-ids.h"
#include "model/monitor.h"
#include "model/node-events.h"
#include "model/node-stop.h"
#include "model/node.h"
#include "model/role-log.h"
#include "model/role-stop.h"
#include "model/state-fields.h"
#include "util/log.h"

#define MONITOR_VERSION 1U

static const StateFile monitor_file = {
        .name = "monitor",
        .max = 65536,
        .what = "the saved state of the monitor",
        .consequence = "; its timeout is that of the configuration, and the next beat arms it again",
};

/* A timer that is later than this was delayed by this process or by the whole machine (suspend, SIGSTOP). The
 * manager may have sent beats meanwhile. */
#define LATE_USEC USEC_PER_SEC

struct Monitor {
        Node *node;
        int dir_fd; /* not owned; negative if nothing is saved */
        MonitorAction action;
        uint64_t configured_usec;
        bool timeout_set; /* by a call, which overrides the configuration */
        uint64_t timeout_usec;
        uint64_t deadline;
        uint64_t armed_usec; /* the timeout from which the deadline was computed */
        uint64_t last_beat;  /* CLOCK_MONOTONIC in microseconds; valid while there is a deadline */
        uint64_t grace_end;  /* of the last outage of the service; no deadline is earlier */
        bool waiting;        /* loaded, but not resumed yet, so without a timer */
        sd_event_source *timer;
        char *unknown; /* fields of a newer version */
};

static int monitor_save(Monitor *monitor) {
        GString *s = state_fields_new("", MONITOR_VERSION, monitor->unknown);

        if (monitor->timeout_set)
                state_put_u64(s, "TIMEOUT", monitor->timeout_usec);
        state_put_nonzero(s, "DEADLINE", monitor->deadline);
        if (monitor->deadline != 0) {
                state_put_u64(s, "ARMED_TIMEOUT", monitor->armed_usec);
                state_put_u64(s, "LAST_BEAT", monitor->last_beat);
        }
        return state_file_save(&monitor_file, monitor->dir_fd, s);
}

/* 0.1.0 wrote one line with three numbers, which are whether a timeout was set, the timeout, and the
 * deadline. */
static int monitor_parse_of_1(Monitor *monitor, StateFields *fields) {
        g_auto(GStrv) lines = state_take_words(fields);
        uint64_t set;

        if (!lines || lines[1])
                return -EBADMSG;
        g_auto(GStrv) words = g_strsplit(lines[0], " ", -1);
        if (g_strv_length(words) != 3 || parse_u64(words[0], &set) < 0 || set > 1 ||
                parse_u64(words[1], &monitor->timeout_usec) < 0 ||
                parse_u64(words[2], &monitor->deadline) < 0)
                return -EBADMSG;
        monitor->timeout_set = set;
        monitor->armed_usec = monitor->timeout_usec;
        monitor->last_beat = monitor->deadline > monitor->armed_usec && monitor->deadline != USEC_INFINITY
                                     ? monitor->deadline - monitor->armed_usec
                                     : now_usec(CLOCK_MONOTONIC);
        return state_fields_end(fields, &monitor->unknown);
}

static int monitor_parse(void *userdata, StateFields *fields) {
        Monitor *monitor = userdata;

        monitor->waiting = true;
        if (state_fields_of_1(fields))
                return monitor_parse_of_1(monitor, fields);
        monitor->timeout_set = state_fields_have(fields, "TIMEOUT");
        monitor->timeout_usec = state_take_u64(fields, "TIMEOUT");
        monitor->deadline = state_take_u64(fields, "DEADLINE");
        monitor->armed_usec = state_take_u64(fields, "ARMED_TIMEOUT");
        monitor->last_beat = state_take_u64(fields, "LAST_BEAT");
        return state_fields_end(fields, &monitor->unknown);
}

static void monitor_load(Monitor *monitor) {
        if (state_file_load(&monitor_file, monitor->dir_fd, monitor_parse, monitor) != STATE_FILE_DAMAGED)
                return;
        monitor->timeout_set = false;
        monitor->deadline = 0;
}

int monitor_open(Node *node, int dir_fd, Monitor **ret) {
        g_autoptr(Monitor) monitor = g_new0(Monitor, 1);

        monitor->node = node;
        monitor->dir_fd = dir_fd;
        monitor->configured_usec = MONITOR_TIMEOUT_DEFAULT_USEC;
        monitor_load(monitor);
        *ret = g_steal_pointer(&monitor);
        return 0;
}

Monitor *monitor_close(Monitor *monitor) {
        if (!monitor)
                return NULL;
        sd_event_source_disable_unref(monitor->timer);
        g_free(monitor->unknown);
        g_free(monitor);
        return NULL;
}

uint64_t monitor_timeout(const Monitor *monitor) {
        return monitor->timeout_set ? monitor->timeout_usec : monitor->configured_usec;
}

uint64_t monitor_deadline(const Monitor *monitor) {
        return monitor->deadline;
}

static int monitor_on_timer(sd_event_source *s, uint64_t usec, void *userdata);

static void monitor_arm(Monitor *monitor) {
        monitor->timer = sd_event_source_disable_unref(monitor->timer);
        if (monitor->deadline == 0 || monitor->deadline == USEC_INFINITY || monitor->waiting)
                return;

        int r = sd_event_add_time(monitor->node->event, &monitor->timer, CLOCK_MONOTONIC, monitor->deadline,
                1, monitor_on_timer, monitor);
        if (r >= 0)
                /* Beats that are queued on the bus must be read before the timer fires. */
                r = sd_event_source_set_priority(monitor->timer, SD_EVENT_PRIORITY_IDLE + 100);
        if (r < 0)
                log_error_errno(r, "Cannot set the timer of the monitor: %m");
}

static void monitor_set_deadline(Monitor *monitor, uint64_t deadline) {
        monitor->deadline = deadline;
        monitor_arm(monitor);
        ASK(monitor->node, clients, node_changed);
}

/* The option of the role takes precedence over MonitorAction= of the node. */
static MonitorLoss monitor_role_loss(const Monitor *monitor, const Role *role) {
        if (role->spec->on_monitor_loss != MONITOR_LOSS_DEFAULT)
                return role->spec->on_monitor_loss;
        return monitor->action == MONITOR_ACTION_NONE ? MONITOR_LOSS_KEEP : MONITOR_LOSS_STOP;
}

static void monitor_stop_roles(Monitor *monitor) {
        g_autoptr(GArray) requests = g_array_new(false, false, sizeof(StopRequest));
        g_autoptr(GPtrArray) names = node_list_names(monitor->node);

        for (unsigned i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                const Role *role = g_hash_table_lookup(monitor->node->roles, name);
                const MonitorLoss loss = monitor_role_loss(monitor, role);
                const StopRequest request = { .name = name, .kill = loss == MONITOR_LOSS_KILL };

                if (loss != MONITOR_LOSS_KEEP && (role->state != ROLE_ENDED || role_waits_for_restart(role)))
                        g_array_append_val(requests, request);
        }
        node_stop_roles(
                monitor->node, (const StopRequest *) requests->data, requests->len, ROLE_CAUSE_MONITOR, NULL);
}

/* Returns whether the timeout shuts the service down. A role that is kept also keeps the service. */
static bool monitor_log_timed_out(Monitor *monitor, double seconds) {
        unsigned n[_MONITOR_LOSS_MAX] = {};
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, monitor->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->state != ROLE_ENDED || role_waits_for_restart(role))
                        n[monitor_role_loss(monitor, role)]++;

        bool shut_down = monitor->action == MONITOR_ACTION_SHUTDOWN && n[MONITOR_LOSS_KEEP] == 0;
        journal_node(monitor->node, MESSAGE_MONITOR_TIMED_OUT, LOG_WARNING, NULL,
                "No beat arrived for %g s, stopping %u roles, killing %u, keeping %u; the service %s",
                seconds, n[MONITOR_LOSS_STOP], n[MONITOR_LOSS_KILL], n[MONITOR_LOSS_KEEP],
                shut_down ? "shuts down" : "goes on");
        return shut_down;
}

static int monitor_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Monitor *monitor = userdata;
        Node *node = monitor->node;
        g_auto(Event) event = {};
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        double seconds = (double) monitor_timeout(monitor) / (double) USEC_PER_SEC;

        if (now > monitor->deadline && now - monitor->deadline > LATE_USEC) {
                log_warning("The monitor was %" PRIu64
                            " s late to look, which is our own outage: waiting for a beat again",
                        (now - monitor->deadline) / USEC_PER_SEC);
                monitor->grace_end = now + MONITOR_GRACE_USEC;
                monitor_set_deadline(monitor, monitor->grace_end);
                return 0;
        }

        bool shut_down = monitor_log_timed_out(monitor, seconds);
        /* Disarmed until the next beat. This is saved only together with the action: if this process dies in
         * between, the next one finds no beat either. */
        monitor_set_deadline(monitor, 0);
        node_event_add(node, EVENT_MONITOR_TIMED_OUT, NULL,
                event_details_monitor_timed_out(monitor_timeout(monitor)), &event);
        node_event_tell(node, &event, NULL);

        monitor_stop_roles(monitor);
        if (shut_down) {
                g_autofree char *reason = g_strdup_printf("no beat arrived for %g s", seconds);
                node_shutdown(node, reason, NULL);
        }
        int r = node->finished ? 0 : monitor_save(monitor); /* a clean end has removed the file */
        if (r < 0)
                log_error_errno(r, "Cannot save the state of the monitor: %m");
        return 0;
}

void monitor_resume(Monitor *monitor) {
        monitor->waiting = false;
        if (monitor->deadline == 0)
                return;
        /* The manager could not beat during the outage, so it gets time to beat again. */
        monitor->grace_end = now_usec(CLOCK_MONOTONIC) + MONITOR_GRACE_USEC;
        monitor_set_deadline(monitor, MAX(monitor->deadline, monitor->grace_end));
}

/* A changed timeout counts from the last beat. If the new timeout is shorter than the time since then, the
 * caller has half of it to beat, but not more than the grace period. */
static uint64_t monitor_deadline_for(const Monitor *monitor, uint64_t timeout_usec) {
        uint64_t earliest = now_usec(CLOCK_MONOTONIC) + MIN(timeout_usec / 2, MONITOR_GRACE_USEC);

        if (timeout_usec == 0)
                return 0;
        earliest = MAX(earliest, monitor->grace_end);
        return MAX(usec_add(monitor->last_beat, timeout_usec), earliest);
}

/* Recomputes the deadline if the timeout has changed. */
static void monitor_follow_timeout(Monitor *monitor) {
        uint64_t timeout = monitor_timeout(monitor);

        if (monitor->deadline != 0 && timeout != monitor->armed_usec)
                monitor->deadline = monitor_deadline_for(monitor, timeout);
        monitor->armed_usec = timeout;
}

void monitor_configure(Monitor *monitor, uint64_t timeout_usec, MonitorAction action) {
        uint64_t old = monitor->deadline;

        monitor->action = action;
        monitor->configured_usec = timeout_usec;
        monitor_follow_timeout(monitor);
        if (monitor->deadline != old) {
                int r = monitor_save(monitor);
                if (r < 0)
                        log_warning_errno(r, "Cannot save the deadline of the monitor, ignoring: %m");
        }
        monitor_set_deadline(monitor, monitor->deadline);
}

int monitor_beat(Monitor *monitor, Fault *fault) {
        uint64_t timeout = monitor_timeout(monitor), old = monitor->deadline;

        if (timeout == 0)
                return 0; /* the monitor is off, so a beat has no effect */
        monitor->last_beat = now_usec(CLOCK_MONOTONIC);
        monitor->grace_end = 0;
        monitor->armed_usec = timeout;
        monitor->deadline = usec_add(monitor->last_beat, timeout);
        int r = monitor_save(monitor);
        if (r < 0) {
                /* The beat is valid nevertheless. Only after a crash within the next seconds is the older
                 * deadline used. */
                log_warning_errno(r, "Cannot save the deadline of the monitor, ignoring: %m");
        }
        if (old == 0)
                log_info("The monitor is armed: the next beat is due within %" PRIu64 " s",
                        timeout / USEC_PER_SEC);
        monitor_set_deadline(monitor, monitor->deadline);
        return 0;
}

int monitor_set_timeout(Monitor *monitor, uint64_t timeout_usec, Fault *fault) {
        Monitor old = *monitor;

        monitor->timeout_set = true;
        monitor->timeout_usec = timeout_usec;
        monitor_follow_timeout(monitor);
        int r = monitor_save(monitor);
        if (r < 0) {
                monitor->timeout_set = old.timeout_set;
                monitor->timeout_usec = old.timeout_usec;
                monitor->deadline = old.deadline;
                monitor->armed_usec = old.armed_usec;
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save the timeout of the monitor: %s",
                        g_strerror(-r));
        }
        monitor_set_deadline(monitor, monitor->deadline);
        return 0;
}

void monitor_forget(Monitor *monitor) {
        state_file_forget(&monitor_file, monitor->dir_fd);
}
