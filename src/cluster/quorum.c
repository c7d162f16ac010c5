/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "client/node-client.h"
#include "client/properties.h"
#include "cluster/beat.h"
#include "cluster/bridge.h"
#include "cluster/corosync.h"
#include "cluster/quorum.h"
#include "cluster/reporter.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"
#include "util/notify.h"

#define CONNECT_USEC USEC_PER_SEC

/* Pacemaker decides which host has a role, and fencing makes sure of it, so the calls of this host need no
 * number that says which of two managers is the newer one. A ring id would be none: both sides of a partition
 * count on. */
#define NO_FENCING_TOKEN UINT64_C(0)

typedef struct Quorum {
        const QuorumSettings *settings;
        char *bus_name;

        sd_event *event;
        sd_bus *bus;
        sd_event_source *timer, *connect_timer;
        Corosync *corosync; /* NULL while there is none */
        Beat beat;

        int reporter; /* the socket */
        Bridge *bridge;

        sd_bus_slot *beat_call; /* BeatLease under way */
        bool beat_failed;       /* the last one; the log has it once */
        bool is_beating;        /* the last one has been successful, and this host was not fenced since */

        /* Somebody fences this host, and was heard up to this time. */
        uint64_t fenced_until_usec;
        bool expires;          /* the lease ends at once since then */
        bool gone;             /* and so have its roles */
        sd_bus_slot *end_call; /* what is under way for that */
} Quorum;

/* So long does a lease last that is to end. */
#define END_LEASE_USEC (50 * USEC_PER_MSEC)

static uint64_t quorum_now(void) {
        return now_usec(CLOCK_MONOTONIC);
}

static bool quorum_is_fenced(const Quorum *quorum) {
        return quorum_now() < quorum->fenced_until_usec;
}

static void quorum_say(Quorum *quorum) {
        if (!quorum->corosync)
                notify_send("STATUS=Waiting for corosync");
        else if (quorum_is_fenced(quorum))
                notify_send("STATUS=This host is being fenced");
        else if (!corosync_is_quorate(quorum->corosync))
                notify_send("STATUS=No quorum: the lease is not renewed");
        else if (quorum->beat_failed)
                notify_sendf(
                        "STATUS=Quorum, but the node does not renew the lease %s", quorum->settings->lease);
        else
                notify_sendf("STATUS=Quorum: the lease %s is renewed", quorum->settings->lease);
}

static int quorum_new_call(Quorum *quorum, const char *member, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(
                quorum->bus, ret, quorum->bus_name, NODE_PATH, NODE_INTERFACE, member);
        /* A beat is no reason to start a service that somebody has stopped. */
        return r < 0 ? r : sd_bus_message_set_auto_start(*ret, false);
}

/* -- the beat -- */

static int quorum_on_beat_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        Quorum *quorum = userdata;

        quorum->beat_call = sd_bus_slot_unref(quorum->beat_call);
        if (error && !quorum->beat_failed)
                log_warning("The node does not renew the lease %s: %s", quorum->settings->lease,
                        error->message ?: error->name);
        if (!error && !quorum->is_beating)
                log_info("The lease %s is renewed", quorum->settings->lease);
        quorum->beat_failed = error != NULL;
        quorum->is_beating = !error;
        quorum_say(quorum);
        return 0;
}

static int quorum_call_beat(
        Quorum *quorum, uint64_t timeout_usec, sd_bus_message_handler_t handler, sd_bus_slot **ret_slot) {
        g_autoptr(sd_bus_message) call = NULL;

        int r = quorum_new_call(quorum, "BeatLease", &call);
        if (r >= 0)
                r = sd_bus_message_append(
                        call, "stt", quorum->settings->lease, NO_FENCING_TOKEN, timeout_usec);
        if (r >= 0)
                r = sd_bus_call_async(
                        quorum->bus, ret_slot, call, handler, quorum, quorum->settings->timeout_usec);
        if (r < 0)
                (void) log_warning_errno(r, "Cannot make a call to the node: %m");
        return r;
}

/* -- the end of the roles -- */

typedef struct QuorumRole {
        char *name, *state, *lease;
} QuorumRole;

static const Property quorum_role_properties[] = {
        { "Name", "s", offsetof(QuorumRole, name) },
        { "State", "s", offsetof(QuorumRole, state) },
        { "Lease", "s", offsetof(QuorumRole, lease) },
};

static void quorum_role_clear(QuorumRole *role) {
        properties_clear(quorum_role_properties, ELEMENTSOF(quorum_role_properties), role);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QuorumRole, quorum_role_clear)

typedef struct QuorumRoles {
        const char *lease;
        GPtrArray *names; /* of those that have the lease and have not ended */
} QuorumRoles;

static int quorum_read_role(const char *path, sd_bus_message *m, void *userdata) {
        const QuorumRoles *roles = userdata;
        g_auto(QuorumRole) role = {};

        int r = properties_read(m, quorum_role_properties, ELEMENTSOF(quorum_role_properties), &role);
        if (r >= 0 && g_strcmp0(role.lease, roles->lease) == 0 && role.name && role.state &&
                strcmp(role.state, "ended") != 0)
                g_ptr_array_add(roles->names, g_steal_pointer(&role.name));
        return r;
}

/* Success or not, the roles are listed again. */
static int quorum_on_killed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Quorum *quorum = userdata;

        quorum->end_call = sd_bus_slot_unref(quorum->end_call);
        return 0;
}

static int quorum_kill(Quorum *quorum, GPtrArray *names) {
        g_autoptr(sd_bus_message) call = NULL;

        log_warning("This host is being fenced, killing %u roles of the cluster", names->len);
        g_ptr_array_add(names, NULL);
        int r = quorum_new_call(quorum, "KillMany", &call);
        if (r >= 0)
                r = sd_bus_message_append_strv(call, (char **) names->pdata);
        if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 1, "force", "b", true);
        if (r >= 0)
                r = sd_bus_call_async(quorum->bus, &quorum->end_call, call, quorum_on_killed, quorum,
                        quorum->settings->timeout_usec);
        return r;
}

static int quorum_on_roles(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        Quorum *quorum = userdata;
        QuorumRoles roles = { quorum->settings->lease, names };

        quorum->end_call = sd_bus_slot_unref(quorum->end_call);
        if (sd_bus_message_is_method_error(m, NULL)) {
                log_warning("The node does not list its roles: %s", sd_bus_message_get_error(m)->message);
                return 0;
        }
        int r = properties_read_objects(m, NODE_ROLE_INTERFACE, quorum_read_role, &roles);
        if (r >= 0 && names->len == 0)
                quorum->gone = true;
        else if (r >= 0)
                r = quorum_kill(quorum, names);
        if (r < 0)
                (void) log_warning_errno(r, "Cannot end the roles of the cluster: %m");
        return 0;
}

static int quorum_on_scopes(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Quorum *quorum = userdata;

        quorum->end_call = sd_bus_slot_unref(quorum->end_call);
        if (!sd_bus_message_is_method_error(m, NULL) &&
                sd_bus_message_enter_container(m, 'a', "(ssssssouso)") > 0)
                quorum->gone = sd_bus_message_at_end(m, false) > 0;
        return 0;
}

/* The node does not run. It has stopped its roles, unless it has crashed and does not come back; then they
 * run on, and only systemd has them. */
static void quorum_list_scopes(Quorum *quorum) {
        g_autofree char *pattern = g_strdup_printf("architect-%s-*.scope", quorum->settings->instance);

        int r = sd_bus_call_method_async(quorum->bus, &quorum->end_call, "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "ListUnitsByPatterns",
                quorum_on_scopes, quorum, "asas", 0, 1, pattern);
        if (r < 0)
                (void) log_warning_errno(r, "Cannot list the scopes of the roles: %m");
}

static int quorum_on_expiry_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Quorum *quorum = userdata;

        quorum->end_call = sd_bus_slot_unref(quorum->end_call);
        /* The next message of who fences comes after the end of the lease. */
        quorum->expires = !sd_bus_message_is_method_error(m, NULL);
        if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
                sd_bus_message_is_method_error(m, SD_BUS_ERROR_SERVICE_UNKNOWN))
                quorum_list_scopes(quorum);
        return 0;
}

/* One step, for each message of who fences this host: the lease ends, so that nothing is started any more;
 * the roles are listed, and killed; until none is listed. */
static void quorum_end_roles(Quorum *quorum) {
        g_autoptr(sd_bus_message) call = NULL;
        int r;

        if (quorum->end_call || quorum->gone)
                return;
        if (!quorum->expires)
                r = quorum_call_beat(quorum, END_LEASE_USEC, quorum_on_expiry_reply, &quorum->end_call);
        else {
                r = sd_bus_message_new_method_call(quorum->bus, &call, quorum->bus_name, NODE_PATH,
                        "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
                if (r >= 0)
                        r = sd_bus_message_set_auto_start(call, false);
                if (r >= 0)
                        r = sd_bus_call_async(
                                quorum->bus, &quorum->end_call, call, quorum_on_roles, quorum, 0);
        }
        if (r < 0)
                (void) log_warning_errno(r, "Cannot end the roles of the cluster: %m");
}

static void quorum_on_fence(Quorum *quorum) {
        const uint64_t now = quorum_now();

        if (now >= quorum->fenced_until_usec) {
                log_warning(
                        "This host is being fenced, the lease %s is not renewed", quorum->settings->lease);
                quorum->expires = quorum->gone = false;
                quorum->end_call = sd_bus_slot_unref(quorum->end_call);
        }
        /* What the node says to the last beat, which it has read before this, does not matter any more. */
        quorum->beat_call = sd_bus_slot_unref(quorum->beat_call);
        quorum->is_beating = false;
        quorum->fenced_until_usec = now + BEAT_HOLD_USEC;
        beat_hold(&quorum->beat, now);
        quorum_end_roles(quorum);
        (void) corosync_send(quorum->corosync, quorum->gone ? CLUSTER_GONE : CLUSTER_HEARD,
                corosync_get_name(quorum->corosync), 0);
        quorum_say(quorum);
}

/* -- corosync -- */

static void quorum_on_message(const ClusterMessage *message, bool own, void *userdata) {
        Quorum *quorum = userdata;

        if (message->verb == CLUSTER_FENCE && strcmp(message->name, corosync_get_name(quorum->corosync)) == 0)
                quorum_on_fence(quorum);
        if (message->verb != CLUSTER_BEAT || !own)
                return;
        /* One call at a time, so that a node that was frozen finds one beat, not many. */
        if (beat_returned(&quorum->beat, corosync_is_quorate(quorum->corosync), quorum_now()) &&
                !quorum->beat_call)
                (void) quorum_call_beat(
                        quorum, quorum->settings->timeout_usec, quorum_on_beat_reply, &quorum->beat_call);
}

static void quorum_on_ring(void *userdata) {
        Quorum *quorum = userdata;

        beat_hold(&quorum->beat, quorum_now());
        quorum_say(quorum);
}

static void quorum_on_lost(void *userdata) {
        Quorum *quorum = userdata;

        (void) sd_event_source_set_time(quorum->connect_timer, quorum_now());
        (void) sd_event_source_set_enabled(quorum->connect_timer, SD_EVENT_ONESHOT);
}

static const CorosyncEvents quorum_corosync_events = {
        .message = quorum_on_message,
        .ring = quorum_on_ring,
        .lost = quorum_on_lost,
};

static int quorum_on_connect(sd_event_source *s, uint64_t usec, void *userdata) {
        Quorum *quorum = userdata;

        quorum->corosync = corosync_close(quorum->corosync);
        int r = corosync_open(&quorum->corosync, quorum->event, &quorum_corosync_events, quorum);
        beat_reset(&quorum->beat, quorum_now());
        if (r >= 0)
                log_info("Connected to corosync as %s", corosync_get_name(quorum->corosync));
        else if (r != -ENOTCONN)
                return sd_event_exit(quorum->event, r);
        else {
                r = sd_event_source_set_time(s, quorum_now() + CONNECT_USEC);
                if (r >= 0)
                        r = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        quorum_say(quorum);
        return r;
}

static int quorum_on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Quorum *quorum = userdata;
        const uint64_t now = quorum_now();

        if (quorum->corosync && beat_tick(&quorum->beat, corosync_is_quorate(quorum->corosync), now)) {
                int r = corosync_send(quorum->corosync, CLUSTER_BEAT, corosync_get_name(quorum->corosync),
                        quorum->settings->timeout_usec);
                if (r < 0)
                        beat_reset(&quorum->beat, now);
        }
        quorum_say(quorum);
        int r = sd_event_source_set_time(s, now + quorum->beat.period_usec);
        return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* -- the service -- */

static void quorum_report(const char *resource, void *userdata) {
        Quorum *quorum = userdata;

        if (!quorum->corosync)
                return;
        int r = reporter_send(quorum->reporter, resource, corosync_get_name(quorum->corosync));
        if (r < 0)
                (void) log_warning_errno(r,
                        "Cannot report the end of resource %s, so its next monitor notices it: %m", resource);
}

/* Without the other process there would be no reports, so both are started again. */
static int quorum_on_reporter(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Quorum *quorum = userdata;

        log_error("The process that reports to Pacemaker has ended");
        return sd_event_exit(quorum->event, -ECHILD);
}

static int quorum_open(Quorum *quorum) {
        const uint64_t now = quorum_now();

        beat_init(&quorum->beat, quorum->settings->timeout_usec, now);
        int r = sd_event_default(&quorum->event);
        if (r >= 0)
                r = sd_event_add_signal(quorum->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(quorum->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_io(
                        quorum->event, NULL, quorum->reporter, EPOLLHUP, quorum_on_reporter, quorum);
        if (r >= 0)
                r = notify_attach(quorum->event);
        if (r >= 0)
                r = sd_bus_open_system(&quorum->bus);
        if (r >= 0)
                r = sd_bus_attach_event(quorum->bus, quorum->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(quorum->bus, true);
        if (r >= 0)
                r = bridge_new(&quorum->bridge, quorum->bus, quorum->bus_name, quorum->settings->lease,
                        quorum_report, quorum);
        if (r >= 0)
                r = sd_event_add_time(quorum->event, &quorum->connect_timer, CLOCK_MONOTONIC, now, 1,
                        quorum_on_connect, quorum);
        if (r >= 0)
                r = sd_event_add_time(
                        quorum->event, &quorum->timer, CLOCK_MONOTONIC, now, 1, quorum_on_tick, quorum);
        return r;
}

static void quorum_close(Quorum *quorum) {
        quorum->bridge = bridge_free(quorum->bridge);
        quorum->beat_call = sd_bus_slot_unref(quorum->beat_call);
        quorum->end_call = sd_bus_slot_unref(quorum->end_call);
        quorum->corosync = corosync_close(quorum->corosync);
        quorum->timer = sd_event_source_disable_unref(quorum->timer);
        quorum->connect_timer = sd_event_source_disable_unref(quorum->connect_timer);
        quorum->bus = sd_bus_flush_close_unref(quorum->bus);
        notify_detach();
        quorum->event = sd_event_unref(quorum->event);
        (void) fd_close(quorum->reporter);
        g_free(quorum->bus_name);
}

int quorum_run(const QuorumSettings *settings) {
        Quorum quorum = { .settings = settings };
        sigset_t signals;
        pid_t pid;

        quorum.bus_name = node_bus_name(settings->instance);
        /* Before there is anything that the other process would share. */
        int r = reporter_start(&quorum.reporter, &pid);
        if (r < 0) {
                g_free(quorum.bus_name);
                return log_error_errno(r, "Cannot start the process that reports to Pacemaker: %m");
        }
        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGTERM);
        (void) sigaddset(&signals, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &signals, NULL);
        (void) signal(SIGPIPE, SIG_IGN);

        r = quorum_open(&quorum);
        if (r >= 0) {
                notify_send("READY=1");
                r = sd_event_loop(quorum.event);
        }
        if (r < 0)
                (void) log_error_errno(r, "The service cannot go on: %m");
        notify_send("STOPPING=1");
        quorum_close(&quorum);
        (void) waitpid(pid, NULL, 0);
        return r;
}
