/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Is it systemd that stops a role, for somebody else? A role that handles SIGTERM and exits looks as if it had ended by itself.
 * systemd announces a job (JobNew) before it begins with it, and so before the signal: what it has said by the time it answers
 * a question that was asked after the exit is all there is to know. */

#include <stdlib.h>

#include "base/pidref.h"
#include "base/unit-name.h"
#include "scope/scope-private.h"
#include "util/log.h"

/* No exit waits longer, whatever systemd is busy with: daemon-reload, or the stop of a slice with a hundred scopes. */
#define STOP_WAIT_USEC USEC_PER_SEC

/* What is asked about a role: of its scope's jobs, what they are; and, when it has exited, whether all has been heard. */
typedef struct StopWatch {
        Scopes *scopes;
        Role *role;
        uint64_t serial; /* the answers name it: the role may be gone by then */
        unsigned n_asked;
        bool waiting; /* its exit does */
        sd_event_source *timeout;
} StopWatch;

typedef struct StopQuestion {
        Scopes *scopes;
        Role *role;
        uint64_t serial;
} StopQuestion;

void scope_stop_free(void *p) {
        StopWatch *watch = p;

        sd_event_source_disable_unref(watch->timeout);
        g_free(watch);
}

static StopWatch *stop_watch(Scopes *scopes, Role *role) {
        StopWatch *watch = g_hash_table_lookup(scopes->stops, role);

        if (!watch) {
                watch = g_new0(StopWatch, 1);
                *watch = (StopWatch){ .scopes = scopes, .role = role, .serial = ++scopes->n_stop_watches };
                (void) g_hash_table_insert(scopes->stops, role, watch);
        }
        return watch;
}

static StopQuestion *question_new(StopWatch *watch) {
        StopQuestion *question = g_new(StopQuestion, 1);

        *question = (StopQuestion){ watch->scopes, watch->role, watch->serial };
        watch->n_asked++;
        return question;
}

/* Whom the answer is for; NULL: it comes too late. */
static StopWatch *question_end(StopQuestion *question) {
        StopWatch *watch = g_hash_table_lookup(question->scopes->stops, question->role);

        if (watch && watch->serial != question->serial)
                watch = NULL;
        if (watch)
                watch->n_asked--;
        g_free(question);
        return watch;
}

static void stop_known(StopWatch *watch) {
        Role *role = watch->role;

        (void) g_hash_table_remove(watch->scopes->stops, role);
        role_on_stop_known(role);
}

static int on_stop_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        StopWatch *watch = userdata;

        role_log(watch->role, LOG_DEBUG, "systemd does not say in time whether it stops its scope");
        stop_known(watch);
        return 0;
}

static void on_barrier(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        StopWatch *watch = question_end(userdata);

        if (watch && watch->waiting && watch->n_asked == 0)
                stop_known(watch);
}

static void on_job_type(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        StopWatch *watch = question_end(userdata);
        const char *type = NULL;

        if (!watch)
                return;
        /* A job that is over already has ended the scope, if it was a stop; if not, the role still runs. We may hear of that before
         * the keeper tells us of the exit. (Wrong for who starts a scope that runs anyway in the millisecond in which its role exits.) */
        bool stop = error ? watch->waiting || pidfd_has_exited(watch->role->main_pidfd)
                          : sd_bus_message_read(reply, "v", "s", &type) >= 0 && g_str_equal(type, "stop");
        if (stop)
                role_on_external_stop(watch->role);
        if (watch->waiting && watch->n_asked == 0)
                stop_known(watch);
}

static void on_job_new(void *userdata, const char *job, const char *unit) {
        Scopes *scopes = userdata;
        g_autoptr(sd_bus_message) m = NULL;
        char *name;

        if (role_scope_name_parse(scopes->instance, unit, &name) < 0)
                return;
        Role *role = g_hash_table_lookup(scopes->node->roles, name);
        free(name);
        /* Our own jobs are starts, and stops of what has ended or never ran. */
        if (!role || role->state == ROLE_STARTING || role->state == ROLE_ENDED || role->cause_known)
                return;

        int r = sd_bus_message_new_method_call(manager_bus(scopes->manager), &m, MANAGER_BUS_NAME, job,
                "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Job", "JobType");
        if (r < 0) {
                log_warning_errno(r, "Cannot ask about the job of %s, ignoring: %m", unit);
                return;
        }
        manager_call(scopes->manager, m, on_job_type, question_new(stop_watch(scopes, role)), g_free);
}

int scope_query_stop(Scopes *scopes, Role *role) {
        StopWatch *watch = stop_watch(scopes, role);

        int r = sd_event_add_time_relative(manager_event(scopes->manager), &watch->timeout, CLOCK_MONOTONIC,
                STOP_WAIT_USEC, 1, on_stop_timeout, watch);
        if (r < 0) {
                (void) g_hash_table_remove(scopes->stops, role);
                return r;
        }
        watch->waiting = true;
        manager_barrier(scopes->manager, on_barrier, question_new(watch), g_free);
        return 0;
}

int scope_stop_setup(Scopes *scopes) {
        return manager_watch_jobs(scopes->manager, on_job_new, scopes);
}
