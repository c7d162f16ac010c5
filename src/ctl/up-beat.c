/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lease of an observatory. Who runs "up" is its manager: while it beats, the roles run; when it has not
 * for the time of the lease, because it or the network is gone, the services of the hosts stop them; and when
 * another one has taken over, with a higher fencing token, it can do nothing any more. */

#include <inttypes.h>
#include <string.h>

#include "base/time-util.h"
#include "ctl/connection.h"
#include "ctl/up.h"
#include "ctl/words.h"
#include "proto/node-errors.h"
#include "util/autoptr.h"
#include "util/notify.h"

static bool is_taken_over(const sd_bus_error *error) {
        const NodeError e = node_error_from_string(error->name);

        return e == NODE_ERROR_STALE_TOKEN || e == NODE_ERROR_LEASE_TAKEN;
}

/* -- one beat -- */

static void beat_schedule(UpHost *host, uint64_t usec);

/* The service has ended what the lease had, by its on-monitor-loss. */
static void host_tell_expired(const UpHost *host, uint64_t now) {
        g_autofree char *span = words_span(now - host->last_beat_usec);

        ctl_error("%s: no beat has arrived for %s, so the lease has expired, and its roles were ended",
                host->host->name, span);
        ctl_explain(
                "\"architectctl up %s\", once more, starts what is missing.", host->up->observatory->path);
}

static void host_on_beat(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);
        Up *up = host->up;

        host->beats = false;
        if (!error) {
                if (now - host->last_beat_usec > up->observatory->lease_timeout_usec)
                        host_tell_expired(host, now);
                host->last_beat_usec = now;
                host->late_told = false;
                host_link_settle(host->link);
                return;
        }
        if (is_taken_over(error)) {
                host->holds = false;
                ctl_error("%s: %s", host->host->name, error->message ?: error->name);
                ctl_explain("Another manager has taken over. This one has stopped to beat.");
                up->exit = CTL_EXIT_NOT_PERMITTED;
                up->interrupted = true;
                return;
        }
        if (!host->late_told)
                ctl_error("%s: the beat has not arrived: %s", host->host->name,
                        host->link->state == HOST_LINK_UP ? error->message ?: error->name
                        : host->link->reason              ? host->link->reason
                                                          : "no answer");
        host->late_told = true;
        /* What it missed counts. */
        beat_schedule(host, MIN(up->observatory->beat_usec, USEC_PER_SEC));
}

static void host_beat(UpHost *host, const char *method, UpReply callback) {
        const Observatory *o = host->up->observatory;
        g_autoptr(sd_bus_message) call = NULL;

        if (ctl_new_call(&host->ctl, &call, method, "stt", o->lease, host->up->token,
                    o->lease_timeout_usec) != CTL_EXIT_OK)
                return;
        host->beats = callback == host_on_beat;
        up_host_send(host, g_steal_pointer(&call), callback, NULL);
}

static int host_on_beat_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        UpHost *host = userdata;

        beat_schedule(host, host->up->observatory->beat_usec);
        /* While there is no connection there is none to miss: it is made again by itself. One that waits for
         * its reply arrives before another one would. */
        if (host->holds && !host->beats && host->link->state == HOST_LINK_UP)
                host_beat(host, "BeatLease", host_on_beat);
        return 0;
}

static void beat_schedule(UpHost *host, uint64_t usec) {
        host->beat = sd_event_source_disable_unref(host->beat);
        (void) sd_event_add_time_relative(
                host->up->event, &host->beat, CLOCK_MONOTONIC, usec, 0, host_on_beat_timer, host);
}

/* -- the lease -- */

static void host_on_acquired(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (!error) {
                host->holds = true;
                host->last_beat_usec = now_usec(CLOCK_MONOTONIC);
                beat_schedule(host, host->up->observatory->beat_usec);
                return;
        }
        if (is_taken_over(error))
                host->up->exit = CTL_EXIT_NOT_PERMITTED;
        ctl_error("%s: %s", host->host->name, error->message ?: error->name);
        up_host_fail(host, "the lease was not acquired: %s", error->message ?: error->name);
}

static void beat_choose_token(Up *up) {
        uint64_t highest = 0;

        for (guint i = 0; i < up->hosts->len; i++)
                highest = MAX(highest, ((UpHost *) g_ptr_array_index(up->hosts, i))->token);
        if (up->token == 0)
                up->token = highest == UINT64_MAX ? highest : highest + 1;
}

CtlExit up_beat_begin(Up *up) {
        bool failed = false;

        beat_choose_token(up);
        for (guint i = 0; i < up->hosts->len; i++) {
                UpHost *host = g_ptr_array_index(up->hosts, i);

                host->acquires = !host->problem;
                if (host->acquires)
                        host_beat(host, "AcquireLease", host_on_acquired);
        }
        int r = up_hosts_wait(up);
        if (r < 0)
                return ctl_failed(r, "wait for the hosts");
        for (guint i = 0; i < up->hosts->len; i++) {
                const UpHost *host = g_ptr_array_index(up->hosts, i);

                failed = failed || (host->acquires && !host->holds);
        }
        if (!failed && !up->interrupted)
                return CTL_EXIT_OK;
        up_beat_release(up);
        ctl_explain("Nothing was started or stopped.");
        return up->exit != CTL_EXIT_OK ? up->exit : CTL_EXIT_FAILED;
}

static void host_on_released(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (error)
                ctl_error("%s: %s", host->host->name, error->message ?: error->name);
}

void up_beat_release(Up *up) {
        for (guint i = 0; i < up->hosts->len; i++) {
                UpHost *host = g_ptr_array_index(up->hosts, i);
                g_autoptr(sd_bus_message) call = NULL;

                if (!host->holds)
                        continue;
                host->holds = false;
                host->beat = sd_event_source_disable_unref(host->beat);
                if (ctl_new_call(&host->ctl, &call, "ReleaseLease", "st", up->observatory->lease,
                            up->token) == CTL_EXIT_OK)
                        up_host_send(host, g_steal_pointer(&call), host_on_released, NULL);
        }
        up->interrupted = false;
        (void) up_hosts_wait(up);
}

CtlExit up_beat_run(Up *up) {
        const Observatory *o = up->observatory;
        g_autofree char *span = words_span(o->lease_timeout_usec);

        ctl_say(up->ctl, "Lease %s is held with fencing token %" PRIu64 "; end this with Ctrl-C.", o->lease,
                up->token);
        notify_send("READY=1");
        while (!up->interrupted) {
                int r = sd_event_run(up->event, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return ctl_failed(r, "wait for events");
        }
        notify_send("STOPPING=1");
        if (up->exit == CTL_EXIT_OK && o->lease_timeout_usec == USEC_INFINITY)
                ctl_say(up->ctl, "No more beats. The roles run on, until \"architectctl down %s\".", o->path);
        else if (up->exit == CTL_EXIT_OK)
                ctl_say(up->ctl,
                        "No more beats. Without another \"architectctl up %s\" the roles end within %s.",
                        o->path, span);
        return up->exit;
}
