/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The creation of scopes, many at a time. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "model/account.h"
#include "model/role-start.h"
#include "model/settings.h"
#include "scope/scope-private.h"
#include "util/log.h"

/* StartTransientUnit creates other units together with the main one ("aux"): one call, one job and one reply
 * for many scopes. The main unit is an empty slice with Wants= and After= for the scopes. It is stopped when
 * its job is done. It is not the scope of a role, because a unit that another unit wants stays loaded as long
 * as that one, and its name could not be used again. */
#define BATCH_MAX 50U
/* dbus-daemon disconnects a client without an error if it sends more descriptors in one message
 * (max_message_unix_fds). */
#define BATCH_PIDFDS_MAX 16U
#define BATCHES_IN_FLIGHT_MAX 2U
#define TRIES_MAX 4U
/* Since 257 systemd refuses to stop a unit that it takes for frozen. It hears late that one is thawed,
 * because the kernel limits the rate of these notifications to one in 10 ms, and a stop that has thawed the
 * previous run may be over before. Each try is a round trip. */
#define TRIES_FROZEN_MAX 100U
/* A batch that takes longer does not hold up the next ones, because its jobs may wait for other units. */
#define BATCH_LATE_USEC USEC_PER_SEC
/* The reason why the job has not ended is requested at SetupTimeout=, and this much later nobody waits for
 * the job any more. */
#define BATCH_JOB_GRACE_USEC (10 * USEC_PER_SEC)

typedef struct Batch {
        unsigned n_ref;
        Scopes *scopes;
        GPtrArray *roles; /* not owned; a role waits for role_on_scope() and is not freed before */
        char *anchor;     /* NULL for a single scope, which has its own job */
        unsigned tries;
        bool stop_refused; /* of the previous run, because that is still frozen for systemd */
        bool late;         /* no longer counted in scopes->in_flight */
        sd_event_source *timer;
} Batch;

static unsigned batch_max(Scopes *scopes) {
        return scopes_use_pidfds(scopes) ? BATCH_PIDFDS_MAX : BATCH_MAX;
}

static int scope_append_property(sd_bus_message *m, const char *name, const char *type, ...) {
        va_list ap;

        int r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', type);
        if (r >= 0) {
                va_start(ap, type);
                r = sd_bus_message_appendv(m, type, ap);
                va_end(ap);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int scope_append_limits(sd_bus_message *m, const RoleSpec *spec) {
        int r = 0;

        if (spec->memory_max > 0)
                r = scope_append_property(m, "MemoryMax", "t", spec->memory_max);
        if (r >= 0 && spec->tasks_max > 0)
                r = scope_append_property(m, "TasksMax", "t", spec->tasks_max);
        if (r >= 0 && spec->cpu_quota > 0)
                r = scope_append_property(
                        m, "CPUQuotaPerSecUSec", "t", spec->cpu_quota * (USEC_PER_SEC / 100));
        if (r >= 0 && spec->cpu_weight > 0)
                r = scope_append_property(m, "CPUWeight", "t", spec->cpu_weight);
        if (r >= 0 && spec->io_weight > 0)
                r = scope_append_property(m, "IOWeight", "t", spec->io_weight);
        if (r >= 0 && spec->memory_high > 0)
                r = scope_append_property(m, "MemoryHigh", "t", spec->memory_high);
        return r;
}

/* systemd gives the cgroup of the scope to the user. It would look the user up once more, and a user whom
 * somebody else than root has named was looked up before. */
static int scope_append_owner(sd_bus_message *m, const RoleSpec *spec) {
        g_autofree char *uid = spec->account ? g_strdup_printf("%u", (unsigned) spec->account->uid) : NULL,
                        *gid = spec->account ? g_strdup_printf("%u", (unsigned) spec->account->gid) : NULL;
        const char *user = uid ?: spec->user, *group = gid ?: spec->group;
        int r = 0;

        if (user)
                r = scope_append_property(m, "User", "s", user);
        if (r >= 0 && user && group)
                r = scope_append_property(m, "Group", "s", group);
        return r;
}

static int scope_append_delegation(const Scopes *scopes, sd_bus_message *m, const RoleSpec *spec) {
        if (!spec->delegate)
                return 0;
        int r = scope_append_property(m, "Delegate", "b", 1);
        return r < 0 || scopes->node->user ? r : scope_append_owner(m, spec);
}

static char *scope_slice_name(Scopes *scopes, Role *role) {
        if (role->spec->memory_max == 0 || !cgroup_is_unified())
                return node_slice_name(role->node, role->slice_uid, role->slice);

        char *name = node_own_slice_name(role);
        (void) g_hash_table_replace(scopes->own_slices, role, g_strdup(name));
        return name;
}

static int scope_append(Scopes *scopes, sd_bus_message *m, Role *role) {
        g_autofree char *description = g_strdup_printf("%s %s of architect-node %s",
                role->hook_of ? "Commands after role" : "Role", role->name, scopes->node->instance);
        g_autofree char *slice = scope_slice_name(scopes, role);
        const RoleSpec *spec = role->spec;

        int r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = scope_append_property(m, "Description", "s", description);
        if (r >= 0)
                r = scope_append_property(m, "Slice", "s", slice);
        if (r >= 0)
                r = scope_append_property(m, "CollectMode", "s", "inactive-or-failed");
        if (r >= 0)
                r = scope_append_property(m, "KillSignal", "i", (int32_t) spec->stop_signal);
        if (r >= 0 && spec->stdin_kind == ROLE_STDIN_PTY)
                r = scope_append_property(m, "SendSIGHUP", "b", 1);
        if (r >= 0)
                r = scope_append_property(m, "TimeoutStopUSec", "t", spec->stop_timeout_usec);
        if (r >= 0 && !scopes->no_oom_policy)
                r = scope_append_property(m, "OOMPolicy", "s", "continue");
        /* When the system shuts down, this service stops the roles itself. No other dependency ties them to
         * it. The commands of exec-stop-post begin meanwhile, and a unit that is ordered beside one that is
         * being stopped waits for that. */
        if (r >= 0 && scopes->own_unit && !role->hook_of)
                r = scope_append_property(m, "Before", "as", 1, scopes->own_unit);
        /* What a role writes at its end still finds the file systems of the network. The manager of a user
         * has no such targets. */
        if (r >= 0 && !scopes->node->user && !role->hook_of)
                r = scope_append_property(m, "After", "as", 2, "remote-fs.target", "network.target");
        if (r >= 0 && scopes->keeper_unit && !role->hook_of)
                r = scope_append_property(m, "After", "as", 1, scopes->keeper_unit);
        if (r >= 0)
                r = scope_append_limits(m, spec);
        if (r >= 0)
                r = scope_append_delegation(scopes, m, spec);
        if (r >= 0)
                r = scopes_use_pidfds(scopes)
                            ? scope_append_property(m, "PIDFDs", "ah", 1, role->main_pidfd)
                            : scope_append_property(m, "PIDs", "au", 1, (uint32_t) role->main_pid);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int batch_append_anchor(sd_bus_message *m, const Batch *batch) {
        static const char *const dependencies[] = { "Wants", "After" };

        int r = sd_bus_message_open_container(m, 'a', "(sv)");
        for (size_t d = 0; r >= 0 && d < ELEMENTSOF(dependencies); d++) {
                r = sd_bus_message_open_container(m, 'r', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', dependencies[d]);
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'a', "s");
                for (unsigned i = 0; r >= 0 && i < batch->roles->len; i++)
                        r = sd_bus_message_append_basic(
                                m, 's', ((Role *) g_ptr_array_index(batch->roles, i))->scope);
                for (int depth = 0; r >= 0 && depth < 3; depth++)
                        r = sd_bus_message_close_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int batch_message(Batch *batch, sd_bus_message **ret) {
        Scopes *scopes = batch->scopes;
        g_autoptr(sd_bus_message) m = NULL;
        Role *first = g_ptr_array_index(batch->roles, 0);

        int r = manager_new_call(scopes->manager, &m, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", batch->anchor ?: first->scope, "replace");
        if (r >= 0)
                r = batch->anchor ? batch_append_anchor(m, batch) : scope_append(scopes, m, first);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sa(sv))");
        for (unsigned i = 0; r >= 0 && batch->anchor && i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);

                r = sd_bus_message_open_container(m, 'r', "sa(sv)");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', role->scope);
                if (r >= 0)
                        r = scope_append(scopes, m, role);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return r;
}

static Batch *batch_new(Scopes *scopes, char *anchor /* owned from then on */) {
        Batch *batch = g_new(Batch, 1);

        *batch = (Batch){
                .n_ref = 1,
                .scopes = scopes,
                .roles = g_ptr_array_new(),
                .anchor = anchor,
        };
        scopes->in_flight++;
        return batch;
}

static void batch_unref(void *p) {
        Batch *batch = p;

        if (--batch->n_ref > 0)
                return;
        sd_event_source_disable_unref(batch->timer);
        g_ptr_array_unref(batch->roles);
        g_free(batch->anchor);
        g_free(batch);
}

static void scope_fail(Role *role, const char *reason) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_SCOPE_FAILED, "Role \"%s\": cannot create its scope %s: %s",
                role->name, role->scope, reason);
        role_on_scope(role, &fault, NULL);
}

/* It no longer holds up others. */
static void batch_settle(Batch *batch) {
        if (!batch->late)
                batch->scopes->in_flight--;
        batch->late = true;
}

static void batch_end(Batch *batch) {
        Scopes *scopes = batch->scopes;

        g_ptr_array_set_size(batch->roles, 0);
        batch_settle(batch);
        batch_unref(batch);
        scope_batch_flush(scopes);
}

static void batch_send(Batch *batch);

/* Scopes that failed together are tried one by one, so that each reply is about one scope. */
static void batch_send_single(Scopes *scopes, Role *role) {
        Batch *single = batch_new(scopes, NULL);

        g_ptr_array_add(single->roles, role);
        batch_send(single);
}

static void batch_split(Batch *batch) {
        for (unsigned i = 0; i < batch->roles->len; i++)
                batch_send_single(batch->scopes, g_ptr_array_index(batch->roles, i));
}

/* The job is done, but the process may have died meanwhile (252 fails then, 257 keeps an empty scope), so
 * this is checked. */
static int scope_verify(Role *role, char **ret_cgroup) {
        _cleanup_free_ char *path = NULL;

        if (role->main_exited || pidfd_has_exited(role->main_pidfd))
                return -ESRCH;
        int r = cgroup_of_pid(role->main_pid, &path);
        if (r < 0)
                return r;

        const char *last = strrchr(path, '/');
        if (!last || !g_str_equal(last + 1, role->scope))
                return -ENODATA;
        *ret_cgroup = g_steal_pointer(&path);
        return 0;
}

/* The name exists because of our own call: systemd had created it before it re-executed itself, its reply was
 * lost, and the call was made twice. */
static bool batch_is_made(const Batch *batch, const sd_bus_error *error) {
        _cleanup_free_ char *cgroup = NULL;

        if (batch->anchor || batch->roles->len == 0 ||
                !sd_bus_error_has_name(error, MANAGER_ERROR_UNIT_EXISTS))
                return false;
        return scope_verify(g_ptr_array_index(batch->roles, 0), &cgroup) >= 0;
}

static void batch_verify(Batch *batch, const char *result) {
        for (unsigned i = 0; i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);
                _cleanup_free_ char *cgroup = NULL;

                int r = scope_verify(role, &cgroup);
                scope_cause_add_slice(batch->scopes, role, cgroup);
                if (r >= 0) {
                        /* It waits at its gate, and would die of the signal of a stop. */
                        stop_watch_add(batch->scopes, role, cgroup, true);
                        cgroup_watch_add_early(batch->scopes, role, cgroup);
                        role_on_scope(role, NULL, cgroup);
                } else if (r == -ESRCH)
                        scope_fail(role, "its process was killed before systemd had moved it");
                else if (batch->anchor)
                        batch_send_single(batch->scopes, role);
                else
                        scope_fail(role, result ?: "systemd does not answer");
        }
}

static void batch_on_stale_stopped(void *userdata, const char *result, const sd_bus_error *error) {
        Batch *batch = userdata;

        batch->stop_refused = g_strcmp0(result, "done") != 0;
        /* Its start may have failed meanwhile, because that job has waited for another one. */
        if (batch->roles->len > 0)
                batch_send(batch);
        else
                batch_end(batch);
}

/* Returns whether it tries again. */
static bool batch_retry(Batch *batch, const sd_bus_error *error) {
        Scopes *scopes = batch->scopes;
        if (batch->roles->len == 0 || ++batch->tries > (batch->stop_refused ? TRIES_FROZEN_MAX : TRIES_MAX))
                return false;
        Role *role = g_ptr_array_index(batch->roles, 0);

        if (sd_bus_error_has_name(error, MANAGER_ERROR_UNIT_EXISTS)) {
                /* The name is ours and no running role has it: it is the rest of an earlier run that systemd
                 * has not collected yet. */
                manager_stop_unit(scopes->manager, role->scope, batch_on_stale_stopped, batch, batch_unref);
                return true;
        }
        if (!scopes->no_oom_policy && error->message && strstr(error->message, "OOMPolicy"))
                scopes->no_oom_policy = true;
        else if (scopes_use_pidfds(scopes) && error->message && strstr(error->message, "PIDFDs"))
                scopes->no_pidfds = true;
        else
                return false;
        batch_send(batch);
        return true;
}

/* -- a job that waits -- */

static int batch_start_timer(Batch *batch, uint64_t usec, sd_event_time_handler_t on_timer) {
        batch->timer = sd_event_source_disable_unref(batch->timer);
        if (usec == USEC_INFINITY)
                return 0;
        return sd_event_add_time_relative(manager_event(batch->scopes->manager), &batch->timer,
                CLOCK_MONOTONIC, usec, 10 * USEC_PER_MSEC, on_timer, batch);
}

/* The scope of a role is asked for its job, and the job for those that it waits for. */
typedef struct WaitQuestion {
        Batch *batch;
        Role *role;
        uint32_t job;
} WaitQuestion;

static WaitQuestion *wait_question_new(Batch *batch, Role *role) {
        WaitQuestion *question = g_new(WaitQuestion, 1);

        *question = (WaitQuestion){ batch, role, 0 };
        batch->n_ref++;
        return question;
}

static void wait_question_free(void *p) {
        WaitQuestion *question = p;

        batch_unref(question->batch);
        g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WaitQuestion, wait_question_free)

/* The role has left the batch when its scope was made, or has failed. */
static bool wait_question_is_open(const WaitQuestion *question) {
        return g_ptr_array_find(question->batch->roles, question->role, NULL);
}

/* Reads the first job of the list. Returns 0 if there is none, so if systemd is only slow. */
static int wait_read_before(sd_bus_message *reply, char **ret) {
        const char *unit, *type, *state;
        uint32_t id;

        int r = sd_bus_message_enter_container(reply, 'a', "(usssoo)");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'r', "usssoo");
        if (r > 0)
                r = sd_bus_message_read(reply, "usss", &id, &unit, &type, &state);
        if (r > 0)
                *ret = g_strdup_printf("the %s job of %s (job %" PRIu32 ", %s)", type, unit, id, state);
        return r;
}

static void wait_on_before(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        g_autoptr(WaitQuestion) question = userdata;
        g_autofree char *other = NULL, *reason = NULL;
        uint64_t timeout = question->batch->scopes->node->settings->setup_timeout_usec;

        if (error || !wait_question_is_open(question) || wait_read_before(reply, &other) <= 0)
                return;
        reason = g_strdup_printf("its job %" PRIu32 " has waited in systemd for %" PRIu64
                                 " s for %s; systemctl list-jobs shows all jobs",
                question->job, timeout / USEC_PER_SEC, other);
        /* The undo of the start stops the scope, which cancels its job. */
        (void) g_ptr_array_remove(question->batch->roles, question->role);
        scope_fail(question->role, reason);
}

static void wait_on_job(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        g_autoptr(WaitQuestion) question = userdata;
        g_autoptr(sd_bus_message) m = NULL;
        const char *path;

        if (error || !wait_question_is_open(question) ||
                sd_bus_message_read(reply, "v", "(uo)", &question->job, &path) < 0 || question->job == 0)
                return;
        Manager *manager = question->batch->scopes->manager;
        int r = sd_bus_message_new_method_call(manager_bus(manager), &m, MANAGER_BUS_NAME, path,
                "org.freedesktop.systemd1.Job", "GetBefore");
        manager_call(manager, r, m, wait_on_before, g_steal_pointer(&question), wait_question_free);
}

/* systemd has not done the job within SetupTimeout=. It is late, or it waits for another unit. */
static int batch_on_overdue(sd_event_source *s, uint64_t usec, void *userdata) {
        Batch *batch = userdata;
        Scopes *scopes = batch->scopes;

        int r = batch_start_timer(batch, scopes->node->settings->setup_timeout_usec, batch_on_overdue);
        for (unsigned i = 0; r >= 0 && i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);
                _cleanup_free_ char *path = NULL;

                r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", role->scope, &path);
                if (r < 0)
                        break;
                WaitQuestion *question = wait_question_new(batch, role);
                r = manager_get_property(scopes->manager, path, "org.freedesktop.systemd1.Unit", "Job",
                        wait_on_job, question, wait_question_free);
                if (r < 0)
                        wait_question_free(question);
        }
        if (r < 0)
                log_error_errno(r, "Cannot find out why systemd has not made a scope: %m");
        return 0;
}

static void batch_on_done(void *userdata, const char *result, const sd_bus_error *error) {
        Batch *batch = userdata;
        Scopes *scopes = batch->scopes;

        if (batch_is_made(batch, error))
                error = NULL;
        if (error && !batch->anchor && batch_retry(batch, error))
                return;

        if (batch->anchor)
                manager_stop_unit(scopes->manager, batch->anchor, NULL, NULL, NULL);
        if (!error)
                batch_verify(batch, result);
        else if (batch->anchor) {
                log_debug("Cannot create %u scopes in one call, trying them one by one: %s",
                        batch->roles->len, error->message);
                batch_split(batch);
        } else if (batch->roles->len > 0)
                scope_fail(g_ptr_array_index(batch->roles, 0), error->message ?: error->name);

        batch_end(batch);
}

static int batch_on_late(sd_event_source *s, uint64_t usec, void *userdata) {
        Batch *batch = userdata;
        Scopes *scopes = batch->scopes;
        uint64_t left = scopes->node->settings->setup_timeout_usec;

        if (left != USEC_INFINITY)
                left -= MIN(left, BATCH_LATE_USEC);
        int r = batch_start_timer(batch, left, batch_on_overdue);
        if (r < 0)
                log_error_errno(r, "Cannot set the timer of a job: %m");
        batch_settle(batch);
        scope_batch_flush(scopes);
        return 0;
}

static void batch_send(Batch *batch) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = batch_start_timer(batch, BATCH_LATE_USEC, batch_on_late);
        if (r >= 0)
                r = batch_message(batch, &m);
        uint64_t timeout = usec_add(batch->scopes->node->settings->setup_timeout_usec, BATCH_JOB_GRACE_USEC);
        manager_create_units(batch->scopes->manager, r, m, MAX(timeout, MANAGER_TIMEOUT_USEC), batch_on_done,
                batch, batch_unref);
}

/* Roles that arrive while systemd is busy with a call wait and go together: the larger a batch, the cheaper
 * each scope. One full batch may wait at systemd behind the first, so that systemd is always busy. */
void scope_batch_flush(Scopes *scopes) {
        const unsigned max = batch_max(scopes);

        while (!g_queue_is_empty(scopes->queue) &&
                (scopes->in_flight == 0 || (scopes->in_flight < BATCHES_IN_FLIGHT_MAX &&
                                                   g_queue_get_length(scopes->queue) >= max))) {
                if (g_queue_get_length(scopes->queue) == 1) {
                        batch_send_single(scopes, g_queue_pop_head(scopes->queue));
                        continue;
                }

                Batch *batch = batch_new(scopes, g_strdup_printf("architect-%s-batch%" PRIu64 ".slice",
                                                         scopes->node->instance, scopes->n_anchors++));
                while (batch->roles->len < max && !g_queue_is_empty(scopes->queue))
                        g_ptr_array_add(batch->roles, g_queue_pop_head(scopes->queue));
                batch_send(batch);
        }
}

int scope_start(void *data, Role *role) {
        Scopes *scopes = data;

        g_queue_push_tail(scopes->queue, role);

        /* A single role does not wait for others: the source runs as soon as the event loop is idle, and the
         * roles that arrived until then go together. */
        if (g_queue_get_length(scopes->queue) >= batch_max(scopes))
                scope_batch_flush(scopes);
        else {
                int r = sd_event_source_set_enabled(scopes->flush, SD_EVENT_ONESHOT);
                if (r < 0)
                        scope_batch_flush(scopes);
        }
        return 0;
}
