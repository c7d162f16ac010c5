/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file determines the causes of an end that its status does not show. Either the OOM killer of the
 * kernel has killed a process of the role, which the kernel counts before it sends SIGKILL, or systemd stops
 * the scope of the role for another client. (The Result of the scope stays "success" with OOMPolicy=continue,
 * and OOMKills of systemd 259 is a copy of the counter that arrives later.) A role that handles SIGTERM and
 * exits looks as if it had ended by itself. systemd announces a job (JobNew) before it begins it, so before
 * the signal. Only the jobs that it has announced when it replies to a call made after the exit matter. */

#include <signal.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/role-end.h"
#include "model/role-stop.h"
#include "scope/scope-private.h"
#include "util/log.h"

/* No exit waits longer than this, even if systemd hangs. A daemon-reload, or the stop of a slice of a hundred
 * scopes on a busy machine, takes more than one second; the cause would be wrong if that were not awaited. */
#define STOP_WAIT_USEC (5 * USEC_PER_SEC)

/* The pending queries about a role. */
typedef struct CauseWatch {
        Scopes *scopes;
        Role *role;
        /* It identifies the watch in the replies, because the role may be freed and another one have its
         * address. */
        uint64_t serial;
        unsigned n_asked;
        bool ended; /* waits until each query has its reply; else jobs of its running scope are queried */
        sd_event_source *timeout;
} CauseWatch;

typedef struct CauseQuestion {
        Scopes *scopes;
        Role *role;
        uint64_t serial;
} CauseQuestion;

void scope_cause_free(void *p) {
        CauseWatch *watch = p;

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

/* -- the OOM killer -- */

#define SLICE_UNKNOWN G_MAXSIZE /* no counter is larger */

/* What a sub-slice has counted beyond what was already attributed to roles. Returns -ENODATA if that is not
 * known, because roles of an earlier process of this service are in it. */
static int cause_slice_kills(Scopes *scopes, const Role *role, const char *cgroup, unsigned long long *ret) {
        g_autofree char *name = node_slice_name(role->node, role->slice_uid, role->slice);
        void *known;
        unsigned long long n;

        /* An earlier version may have started the role in a sub-slice of another name. */
        if (!cgroup_is_unified() || !g_str_has_suffix(cgroup, name) ||
                !g_hash_table_lookup_extended(scopes->slices, name, NULL, &known))
                return -ENODATA;
        int r = cgroup_oom_kills(cgroup, &n);
        if (r < 0)
                return r;
        if (n < GPOINTER_TO_SIZE(known))
                return -ENODATA;
        *ret = n - GPOINTER_TO_SIZE(known);
        return 0;
}

/* Returns the cgroup of a sub-slice, which is above the scope or above the slice of that scope alone; NULL if
 * the scope is in none. */
static char *cause_slice_cgroup(const char *name, const char *cgroup) {
        const char *end = strstr(cgroup, name);

        return end ? g_strndup(cgroup, (size_t) (end - cgroup) + strlen(name)) : NULL;
}

/* A role is asked about twice if it outlives its main process, and a part of its kills may be older than the
 * first look at the sub-slice. They are not taken for more than the sub-slice has counted. */
static void cause_attribute_kills(Scopes *scopes, const Role *role, unsigned long long n) {
        g_autofree char *name = node_slice_name(role->node, role->slice_uid, role->slice);
        g_autofree char *slice = cause_slice_cgroup(name, role->cgroup);
        unsigned long long all;
        void *known;

        if (n > 0 && slice && g_hash_table_lookup_extended(scopes->slices, name, NULL, &known) &&
                GPOINTER_TO_SIZE(known) != SLICE_UNKNOWN && cgroup_oom_kills(slice, &all) >= 0)
                (void) g_hash_table_replace(scopes->slices, g_steal_pointer(&name),
                        GSIZE_TO_POINTER(MIN(GPOINTER_TO_SIZE(known) + n, all)));
}

void scope_cause_add_slice(Scopes *scopes, Role *role, const char *cgroup) {
        g_autofree char *name = node_slice_name(role->node, role->slice_uid, role->slice);
        unsigned long long n = 0;
        void *known;

        if (g_hash_table_lookup_extended(scopes->slices, name, NULL, &known) &&
                GPOINTER_TO_SIZE(known) != SLICE_UNKNOWN)
                return;
        /* If its scope has failed the sub-slice may exist nevertheless, and have counted before. */
        g_autofree char *slice = cgroup ? cause_slice_cgroup(name, cgroup) : NULL;
        if (slice && cgroup_oom_kills(slice, &n) < 0)
                n = 0;
        (void) g_hash_table_replace(
                scopes->slices, g_steal_pointer(&name), GSIZE_TO_POINTER(slice ? n : SLICE_UNKNOWN));
}

/* SIGKILL by nobody that the service knows. */
static bool cause_is_unknown_kill(const Role *role) {
        return !role->cause_known && role->exit.code == EXIT_CODE_KILLED && role->exit.status == SIGKILL &&
               role->last_signal != SIGKILL;
}

/* systemd removes the cgroup of the scope, and its counter, soon after the last process has ended. A role
 * with memory-max has a slice of its own, whose counter stays. For others that of the sub-slice decides, but
 * only if it has risen by this one end since the last: nothing here is a guess. */
int scope_oom_kills(void *data, Role *role, unsigned *ret) {
        Scopes *scopes = data;
        unsigned long long n;

        if (!role->cgroup || role->slice < 0)
                return -ENODATA;

        g_autofree char *slice = g_path_get_dirname(role->cgroup);
        bool own = g_hash_table_contains(scopes->own_slices, role);
        int r = cgroup_oom_kills(own ? slice : role->cgroup, &n);
        if (r < 0 && !own) {
                r = cause_slice_kills(scopes, role, slice, &n);
                if (r >= 0 && n > (cause_is_unknown_kill(role) ? 1 : 0))
                        r = -ENODATA;
        }
        if (r < 0)
                return -ENODATA;
        cause_attribute_kills(scopes, role, n);
        *ret = (unsigned) n;
        return 0;
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
        if (watch->ended && watch->n_asked == 0)
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
        bool stop = error ? watch->ended || pidfd_has_exited(watch->role->main_pidfd)
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
        watch->ended = true;
        int r = sd_event_add_time_relative(manager_event(scopes->manager), &watch->timeout, CLOCK_MONOTONIC,
                STOP_WAIT_USEC, 1, cause_on_stop_timeout, watch);
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
