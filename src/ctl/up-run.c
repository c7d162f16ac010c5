/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Does what the plan says: first the stops, what waits for another role before that, then the starts, each as
 * soon as what it waits for is up, on whatever host that is. */

#include <errno.h>
#include <string.h>

#include "client/node-client.h"
#include "client/properties.h"
#include "ctl/connection.h"
#include "ctl/up.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

static void run_next(Up *up);

/* -- the end of a step -- */

_printf_(2, 3) static void step_fail(UpStep *step, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *error = g_strdup_vprintf(format, ap);
        va_end(ap);
        ctl_error("%s: %s: %s", step->host->host->name, step->name, error);
        if (step->stop == UP_GOES_ON || step->stop == UP_WAITS)
                step->stop = UP_FAILED;
        if (step->start != UP_DONE)
                step->start = UP_FAILED;
        step->up->step_again = true;
}

static void step_fail_bus(UpStep *step, const char *doing, const sd_bus_error *error) {
        const HostLink *link = step->host->link;

        /* Then nobody knows whether it was done. Calls get their errors before the link is down. */
        if (link->state != HOST_LINK_UP || sd_bus_is_open(link->bus) <= 0)
                step_fail(step, "the connection was lost while it was %s: %s", doing,
                        link->reason ?: error->message);
        else
                step_fail(step, "%s", error->message ?: error->name);
}

static void step_say(const UpStep *step, const char *what) {
        ctl_say(step->up->ctl, "%s: %s is %s.", step->host->host->name, step->name, what);
}

/* -- stop -- */

static int read_result(sd_bus_message *m, const char *role, char **ret_error) {
        const char *name, *error, *message;

        int r = sd_bus_message_enter_container(m, 'a', "(sss)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sss)", &name, &error, &message)) > 0)
                if (strcmp(name, role) == 0 && error[0]) {
                        *ret_error = g_strdup(message);
                        return 0;
                }
        return r;
}

static void step_on_stopped(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UpStep *step = userdata;
        g_autofree char *failure = NULL;

        if (error)
                step_fail_bus(step, "stopped", error);
        else if (read_result(reply, step->name, &failure) < 0)
                step_fail(step, "the reply is not understood");
        else if (failure)
                step_fail(step, "%s", failure);
        else {
                step->stop = UP_DONE;
                step_say(step, "stopped");
        }
        run_next(step->up);
}

/* Root may stop what somebody else has the lease of. */
static int append_lease(const UpStep *step, sd_bus_message *call) {
        const Up *up = step->up;

        int r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && up->force && step->other_lease)
                r = sd_bus_message_append(call, "{sv}", "force", "b", 1);
        if (r >= 0 && up->observatory->lease && step->host->holds)
                r = sd_bus_message_append(call, "{sv}{sv}", "lease", "s", up->observatory->lease,
                        "fencing-token", "t", up->token);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static void step_stop(UpStep *step) {
        g_autoptr(sd_bus_message) call = NULL;

        step->stop = UP_GOES_ON;
        if (ctl_new_call(&step->host->ctl, &call, "StopMany", "as", 1, step->name) != CTL_EXIT_OK ||
                append_lease(step, call) < 0) {
                step_fail(step, "the call cannot be made");
                return;
        }
        up_host_send(step->host, g_steal_pointer(&call), step_on_stopped, step);
}

/* What comes after it is stopped before it. */
static bool step_may_stop(const UpStep *step) {
        for (guint i = 0; step->role && i < step->role->followers->len; i++) {
                const ObservatoryRole *follower = g_ptr_array_index(step->role->followers, i);
                const UpStep *other = follower->step;

                if (other && (other->stop == UP_WAITS || other->stop == UP_GOES_ON))
                        return false;
        }
        return true;
}

/* -- start -- */

static void step_on_started(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UpStep *step = userdata;

        if (error)
                step_fail_bus(step, "started", error);
        else {
                step->start = UP_DONE;
                step_say(step, "started");
        }
        run_next(step->up);
}

static void step_send_start(UpStep *step) {
        StartArgs *args = (StartArgs *) &step->role->args;
        g_autoptr(sd_bus_message) call = NULL;

        start_args_set_token(args, step->host->holds ? step->up->token : 0);
        if (start_args_new_call(&step->host->ctl, args, step->name, args->spec->command, &call) !=
                CTL_EXIT_OK) {
                step_fail(step, "the call cannot be made");
                return;
        }
        up_host_send(step->host, g_steal_pointer(&call), step_on_started, step);
}

static void step_on_purged(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UpStep *step = userdata;

        if (error)
                step_fail_bus(step, "started", error);
        else
                step_send_start(step);
        run_next(step->up);
}

/* What has ended belongs to its lease, too, until root purges it. */
static void step_purge(UpStep *step) {
        g_autoptr(sd_bus_message) call = NULL;

        if (ctl_new_call(&step->host->ctl, &call, "PurgeWithOptions", "as", 1, step->name) != CTL_EXIT_OK ||
                sd_bus_message_append(call, "a{sv}", 1, "force", "b", 1) < 0) {
                step_fail(step, "the call cannot be made");
                return;
        }
        up_host_send(step->host, g_steal_pointer(&call), step_on_purged, step);
}

static void step_start(UpStep *step) {
        step->start = UP_GOES_ON;
        if (step->up->force && step->other_lease)
                step_purge(step);
        else
                step_send_start(step);
}

/* -- what is being started already -- */

typedef struct UpLook {
        char *state;
        uint64_t next_start_usec;
        bool ready;
} UpLook;

static const Property look_properties[] = {
        { "State", "s", offsetof(UpLook, state) },
        { "NextStartUSec", "t", offsetof(UpLook, next_start_usec) },
        { "Ready", "b", offsetof(UpLook, ready) },
};

/* The host counts it as a call, whose reply is late. */
static void step_end_look(UpStep *step) {
        if (!step->looks)
                return;
        step->looks = false;
        step->changes = sd_bus_slot_unref(step->changes);
        step->owner = sd_bus_slot_unref(step->owner);
        step->host->n_calls--;
        run_next(step->up);
}

static void step_on_look(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UpStep *step = userdata;
        UpLook look = {};

        /* Two looks may be under way. */
        if (step->start != UP_GOES_ON)
                return;
        int r = error ? 0 : properties_read(reply, look_properties, ELEMENTSOF(look_properties), &look);
        if (error)
                step_fail_bus(step, "started", error);
        else if (r < 0 || !look.state)
                step_fail(step, "the reply is not understood");
        else if (look.ready)
                step->start = UP_DONE;
        else if (strcmp(look.state, "stopping") == 0 ||
                 (strcmp(look.state, "ended") == 0 && look.next_start_usec == 0))
                step_fail(step, "its start, which had begun before, has failed");
        properties_clear(look_properties, ELEMENTSOF(look_properties), &look);
        if (step->start != UP_GOES_ON)
                step_end_look(step);
}

static void step_look(UpStep *step) {
        _cleanup_free_ char *path = role_object_path(step->name);
        g_autoptr(sd_bus_message) call = NULL;

        if (path && ctl_new_get_all(&step->host->ctl, &call, path, NODE_ROLE_INTERFACE) == CTL_EXIT_OK)
                up_host_send(step->host, g_steal_pointer(&call), step_on_look, step);
        else {
                step_fail(step, "the call cannot be made");
                step_end_look(step);
        }
}

static int step_on_changes(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UpStep *step = userdata;

        step_look(step);
        return 0;
}

static int step_watch(UpStep *step) {
        _cleanup_free_ char *path = role_object_path(step->name);
        g_autofree char *match = node_owner_match(step->host->ctl.bus_name);
        sd_bus *bus = step->host->link->bus;

        if (!path || !bus)
                return bus ? -ENOMEM : -ENOTCONN;
        int r = sd_bus_add_match_async(bus, &step->owner, match, step_on_changes, NULL, step);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, &step->changes, step->host->ctl.bus_name, path,
                        "org.freedesktop.DBus.Properties", "PropertiesChanged", step_on_changes, NULL, step);
        return r;
}

/* The look after the subscription tells what came before it. */
static void step_await(UpStep *step) {
        step->start = UP_GOES_ON;
        step->looks = true;
        step->host->n_calls++;
        int r = step_watch(step);
        if (r >= 0) {
                step_look(step);
                return;
        }
        step_fail(step, "its start cannot be watched: %s", g_strerror(-r));
        step_end_look(step);
}

void up_run_host_lost(const UpHost *host) {
        for (guint i = 0; i < host->up->steps->len; i++) {
                UpStep *step = g_ptr_array_index(host->up->steps, i);

                if (step->host != host || !step->looks)
                        continue;
                step_fail(step, "the connection was lost while it was started: %s", host->link->reason);
                step_end_look(step);
        }
}

/* Returns what it needs and does not get, or NULL. */
static const UpStep *step_lacks(const UpStep *step) {
        for (guint i = 0; i < step->role->needs->len; i++) {
                const ObservatoryRole *needed = g_ptr_array_index(step->role->needs, i);
                const UpStep *other = needed->step;

                if (other->start == UP_FAILED)
                        return other;
        }
        return NULL;
}

/* Returns the copy of it that could not be stopped, or NULL. */
static const UpStep *step_has_copy(const UpStep *step) {
        for (guint i = 0; step->copies && i < step->copies->len; i++) {
                const UpStep *copy = g_ptr_array_index(step->copies, i);

                if (copy->stop == UP_FAILED)
                        return copy;
        }
        return NULL;
}

static bool step_may_start(const UpStep *step) {
        if (step->stop == UP_WAITS || step->stop == UP_GOES_ON)
                return false;
        for (guint i = 0; step->copies && i < step->copies->len; i++)
                if (((UpStep *) g_ptr_array_index(step->copies, i))->stop != UP_DONE)
                        return false;
        for (guint i = 0; i < step->role->after->len; i++) {
                const ObservatoryRole *before = g_ptr_array_index(step->role->after, i);
                const UpStep *other = before->step;

                if (other->start == UP_WAITS || other->start == UP_GOES_ON)
                        return false;
        }
        return true;
}

/* -- all of them -- */

static void step_next(UpStep *step) {
        const UpStep *lacks, *copy;

        if (step->stop == UP_WAITS && step_may_stop(step))
                step_stop(step);
        if (step->start != UP_WAITS)
                return;
        lacks = step_lacks(step);
        copy = step_has_copy(step);
        if (copy)
                step_fail(step, "not started, because it was not stopped on %s", copy->host->host->name);
        else if (lacks)
                step_fail(
                        step, "not started, because it needs %s on %s", lacks->name, lacks->host->host->name);
        else if (step_may_start(step) && step->action == UP_KEEP)
                step_await(step);
        else if (step_may_start(step))
                step_start(step);
}

/* A call that cannot be sent has its error at once, within this. */
static void run_next(Up *up) {
        up->step_again = true;
        if (up->stepping)
                return;
        up->stepping = true;
        while (up->step_again && !up->interrupted) {
                up->step_again = false;
                for (guint i = 0; i < up->steps->len; i++)
                        step_next(g_ptr_array_index(up->steps, i));
        }
        up->stepping = false;
}

typedef struct UpCounts {
        unsigned n_done, n_going, n_waiting, n_failed;
} UpCounts;

static UpCounts run_count(const Up *up) {
        UpCounts counts = {};

        for (guint i = 0; i < up->steps->len; i++) {
                const UpStep *step = g_ptr_array_index(up->steps, i);

                if (step->stop == UP_FAILED || step->start == UP_FAILED)
                        counts.n_failed++;
                else if (step->stop == UP_GOES_ON || step->start == UP_GOES_ON)
                        counts.n_going++;
                else if (step->stop == UP_WAITS || step->start == UP_WAITS)
                        counts.n_waiting++;
                else
                        counts.n_done += step->action != UP_KEEP;
        }
        return counts;
}

static void run_tell_interrupted(const Up *up, const UpCounts *counts) {
        ctl_error("interrupted: %u done, %u go on on their hosts, %u failed, %u were not begun",
                counts->n_done, counts->n_going, counts->n_failed, counts->n_waiting);
        if (up->exit == CTL_EXIT_OK)
                ctl_explain("\"architectctl %s %s\" goes on from there.", up->verb, up->observatory->path);
}

CtlExit up_run(Up *up) {
        run_next(up);
        int r = up_hosts_wait(up);
        const UpCounts counts = run_count(up);
        if (r < 0)
                return ctl_failed(r, "wait for the hosts");
        if (up->interrupted) {
                run_tell_interrupted(up, &counts);
                return up->exit != CTL_EXIT_OK ? up->exit : CTL_EXIT_FAILED;
        }
        if (counts.n_failed > 0)
                ctl_error("%u done, %u failed", counts.n_done, counts.n_failed);
        return counts.n_failed > 0 ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}
