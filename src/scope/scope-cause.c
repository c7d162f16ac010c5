/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file determines the causes of an end that only systemd knows. Either the OOM killer of the kernel has
 * killed the role, or systemd stops its scope for another client. memory.events is removed with the cgroup,
 * so the Result of the scope is read. A role that handles SIGTERM and exits looks as if it had ended by
 * itself. systemd announces a job (JobNew) before it begins it, so before the signal. Only the jobs that it
 * has announced when it replies to a call made after the exit matter. */

#include <string.h>

#include "base/macro.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/role-stop.h"
#include "scope/scope-private.h"
#include "util/log.h"

#define OOM_WAIT_USEC (100 * USEC_PER_MSEC)
/* No exit waits longer than this, even if systemd is busy with a daemon-reload or with stopping a slice of a
 * hundred scopes. */
#define STOP_WAIT_USEC USEC_PER_SEC

typedef enum CauseWait {
        CAUSE_WAIT_NONE, /* it runs; jobs of its scope are queried */
        CAUSE_WAIT_OOM,  /* it has ended; waits until the Result of its scope is known */
        CAUSE_WAIT_STOP, /* it has ended; waits until each query has its reply */
} CauseWait;

/* The pending queries about a role. */
typedef struct CauseWatch {
        Scopes *scopes;
        Role *role;
        /* It identifies the watch in the replies, because the role may be freed and another one have its
         * address. */
        uint64_t serial;
        unsigned n_asked;
        CauseWait wait;
        sd_bus_slot *match;
        sd_event_source *timeout;
} CauseWatch;

typedef struct CauseQuestion {
        Scopes *scopes;
        Role *role;
        uint64_t serial;
} CauseQuestion;

void scope_cause_free(void *p) {
        CauseWatch *watch = p;

        sd_bus_slot_unref(watch->match);
        sd_event_source_disable_unref(watch->timeout);
        g_free(watch);
}

static CauseWatch *cause_watch(Scopes *scopes, Role *role) {
        CauseWatch *watch = g_hash_table_lookup(scopes->causes, role);

        if (!watch) {
                watch = g_new(CauseWatch, 1);
                *watch = (CauseWatch){ .scopes = scopes, .role = role, .serial = ++scopes->n_cause_watches };
                (void) g_hash_table_insert(scopes->causes, role, watch);
        }
        return watch;
}

static CauseQuestion *cause_question_new(CauseWatch *watch) {
        CauseQuestion *question = g_new(CauseQuestion, 1);

        *question = (CauseQuestion){ watch->scopes, watch->role, watch->serial };
        watch->n_asked++;
        return question;
}

/* Returns the watch for which the reply is, or NULL if it is too late. */
static CauseWatch *cause_question_end(CauseQuestion *question) {
        CauseWatch *watch = g_hash_table_lookup(question->scopes->causes, question->role);

        if (watch && watch->serial != question->serial)
                watch = NULL;
        if (watch)
                watch->n_asked--;
        g_free(question);
        return watch;
}

static int cause_watch_start_timeout(
        CauseWatch *watch, CauseWait wait, uint64_t usec, sd_event_time_handler_t on_timeout) {
        watch->wait = wait;
        return sd_event_add_time_relative(manager_event(watch->scopes->manager), &watch->timeout,
                CLOCK_MONOTONIC, usec, 1, on_timeout, watch);
}

/* -- the OOM killer -- */

static void cause_end_oom(CauseWatch *watch, bool known, bool oom) {
        Role *role = watch->role;

        (void) g_hash_table_remove(watch->scopes->causes, role);
        role_on_oom(role, known, oom);
}

static int cause_on_oom_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        cause_end_oom(userdata, false, false);
        return 0;
}

/* Only the Result oom-kill is significant: if v1 has the memory controller, systemd never reports it. */
static int cause_on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        CauseWatch *watch = userdata;
        const char *key, *result;

        if (!manager_sent(watch->scopes->manager, m))
                return 0;
        int r = sd_bus_message_skip(m, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r <= 0)
                        break;
                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0 && g_str_equal(key, "Result")) {
                        r = sd_bus_message_read(m, "v", "s", &result);
                        if (r >= 0 && g_str_equal(result, "oom-kill")) {
                                cause_end_oom(watch, true, true);
                                return 0;
                        }
                } else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r < 0)
                log_debug_errno(r, "Cannot read the changes of a scope, ignoring: %m");
        return 0;
}

static void cause_on_result(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        CauseWatch *watch = cause_question_end(userdata);
        const char *result;

        if (watch && watch->wait == CAUSE_WAIT_OOM && !error &&
                sd_bus_message_read(reply, "v", "s", &result) >= 0 && g_str_equal(result, "oom-kill"))
                cause_end_oom(watch, true, true);
}

int scope_query_oom(void *data, Role *role) {
        Scopes *scopes = data;
        _cleanup_free_ char *path = NULL;

        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", role->scope, &path);
        if (r < 0)
                return r;

        CauseWatch *watch = cause_watch(scopes, role);
        CauseQuestion *question = cause_question_new(watch);
        r = sd_bus_match_signal_async(manager_bus(scopes->manager), &watch->match, MANAGER_BUS_NAME, path,
                "org.freedesktop.DBus.Properties", "PropertiesChanged", cause_on_properties, NULL, watch);
        if (r >= 0)
                r = cause_watch_start_timeout(watch, CAUSE_WAIT_OOM, OOM_WAIT_USEC, cause_on_oom_timeout);
        if (r >= 0)
                r = manager_get_property(scopes->manager, path, "org.freedesktop.systemd1.Scope", "Result",
                        cause_on_result, question, g_free);
        if (r < 0) {
                (void) cause_question_end(question);
                (void) g_hash_table_remove(scopes->causes, role);
        }
        return r;
}

/* -- a stop by another process -- */

static void cause_end_stop(CauseWatch *watch) {
        Role *role = watch->role;

        (void) g_hash_table_remove(watch->scopes->causes, role);
        role_on_stop_known(role);
}

static int cause_on_stop_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        CauseWatch *watch = userdata;

        role_log(watch->role, LOG_DEBUG, "systemd has not reported in time whether it stops the scope");
        cause_end_stop(watch);
        return 0;
}

static void cause_check_stop(CauseWatch *watch) {
        if (watch->wait == CAUSE_WAIT_STOP && watch->n_asked == 0)
                cause_end_stop(watch);
}

static void cause_on_barrier(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        CauseWatch *watch = cause_question_end(userdata);

        if (watch)
                cause_check_stop(watch);
}

static void cause_on_job_type(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        CauseWatch *watch = cause_question_end(userdata);
        const char *type = NULL;

        if (!watch)
                return;
        /* A job that is over already has ended the scope if it was a stop; otherwise the role still runs.
         * This may arrive before the keeper reports the exit. (It is wrong if a client starts a running scope
         * in the millisecond in which its role exits.) */
        bool stop = error ? watch->wait == CAUSE_WAIT_STOP || pidfd_has_exited(watch->role->main_pidfd)
                          : sd_bus_message_read(reply, "v", "s", &type) >= 0 && g_str_equal(type, "stop");
        if (stop)
                role_on_external_stop(watch->role);
        cause_check_stop(watch);
}

static void cause_on_job_new(void *userdata, const char *job, const char *unit) {
        Scopes *scopes = userdata;
        _cleanup_free_ char *name = NULL;

        if (role_scope_name_parse(scopes->node->instance, unit, &name) < 0)
                return;
        Role *role = g_hash_table_lookup(scopes->node->roles, name);
        /* Our own jobs are starts, and stops of scopes that have ended or never ran. */
        if (!role || role->state == ROLE_STARTING || role->state == ROLE_ENDED || role->cause_known)
                return;

        CauseQuestion *question = cause_question_new(cause_watch(scopes, role));
        int r = manager_get_property(scopes->manager, job, "org.freedesktop.systemd1.Job", "JobType",
                cause_on_job_type, question, g_free);
        if (r < 0) {
                log_warning_errno(r, "Cannot get the job of %s, ignoring: %m", unit);
                (void) cause_question_end(question);
        }
}

int scope_query_stop(void *data, Role *role) {
        Scopes *scopes = data;

        /* systemd cannot reply in time, or all scopes are stopped by this service. For a role that ended
         * while this service did not run, systemd has no information any more, and the first reply must be
         * correct. */
        if (!manager_is_ready(scopes->manager) || !scopes->node->recovered || scopes->node->stopping)
                return -ENOTCONN;

        CauseWatch *watch = cause_watch(scopes, role);
        int r = cause_watch_start_timeout(watch, CAUSE_WAIT_STOP, STOP_WAIT_USEC, cause_on_stop_timeout);
        if (r < 0) {
                (void) g_hash_table_remove(scopes->causes, role);
                return r;
        }
        manager_barrier(scopes->manager, cause_on_barrier, cause_question_new(watch), g_free);
        return 0;
}

int scope_cause_setup(Scopes *scopes) {
        return manager_watch_jobs(scopes->manager, cause_on_job_new, scopes);
}
