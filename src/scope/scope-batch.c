/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The creation of scopes, many at a time. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "model/role-start.h"
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

typedef struct Batch {
        Scopes *scopes;
        GPtrArray *roles; /* not owned; a role waits for role_on_scope() and is not freed before */
        char *anchor;     /* NULL for a single scope, which has its own job */
        unsigned tries;
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

        if (spec->memory_max > 0) {
                r = scope_append_property(m, "MemoryMax", "t", spec->memory_max);
                /* Its Result is read after the end, so the unit must still exist then. */
                if (r >= 0)
                        r = scope_append_property(m, "AddRef", "b", 1);
        }
        if (r >= 0 && spec->tasks_max > 0)
                r = scope_append_property(m, "TasksMax", "t", spec->tasks_max);
        if (r >= 0 && spec->cpu_quota > 0)
                r = scope_append_property(
                        m, "CPUQuotaPerSecUSec", "t", spec->cpu_quota * (USEC_PER_SEC / 100));
        return r;
}

static int scope_append(Scopes *scopes, sd_bus_message *m, Role *role) {
        g_autofree char *description =
                g_strdup_printf("Role %s of architect-node %s", role->name, scopes->node->instance);
        g_autofree char *slice = node_slice_name(role->node, role->slice);
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
        if (r >= 0)
                r = scope_append_property(m, "TimeoutStopUSec", "t", spec->stop_timeout_usec);
        if (r >= 0 && !scopes->no_oom_policy)
                r = scope_append_property(m, "OOMPolicy", "s", "continue");
        /* When the system shuts down, this service stops the roles itself. No other dependency ties them to
         * it. */
        if (r >= 0 && scopes->own_unit)
                r = scope_append_property(m, "Before", "as", 1, scopes->own_unit);
        if (r >= 0 && scopes->keeper_unit)
                r = scope_append_property(m, "After", "as", 1, scopes->keeper_unit);
        if (r >= 0)
                r = scope_append_limits(m, spec);
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

static void batch_free(void *p) {
        Batch *batch = p;

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

static void batch_send(Batch *batch);

/* Scopes that failed together are tried one by one, so that each reply is about one scope. */
static void batch_send_single(Scopes *scopes, Role *role) {
        Batch *single = g_new(Batch, 1);

        *single = (Batch){ .scopes = scopes, .roles = g_ptr_array_new() };
        g_ptr_array_add(single->roles, role);
        scopes->in_flight++;
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

        if (batch->anchor || !sd_bus_error_has_name(error, MANAGER_ERROR_UNIT_EXISTS))
                return false;
        return scope_verify(g_ptr_array_index(batch->roles, 0), &cgroup) >= 0;
}

static void batch_verify(Batch *batch, const char *result) {
        for (unsigned i = 0; i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);
                _cleanup_free_ char *cgroup = NULL;

                (void) g_hash_table_add(batch->scopes->slices, GINT_TO_POINTER(role->slice));
                int r = scope_verify(role, &cgroup);
                if (r >= 0)
                        role_on_scope(role, NULL, cgroup);
                else if (r == -ESRCH)
                        scope_fail(role, "its process was killed before systemd had moved it");
                else if (batch->anchor)
                        batch_send_single(batch->scopes, role);
                else
                        scope_fail(role, result ?: "systemd does not answer");
        }
}

static void batch_on_stale_stopped(void *userdata, const char *result, const sd_bus_error *error) {
        batch_send(userdata);
}

/* Returns whether it tries again. */
static bool batch_retry(Batch *batch, const sd_bus_error *error) {
        Scopes *scopes = batch->scopes;
        Role *role = g_ptr_array_index(batch->roles, 0);

        if (++batch->tries > TRIES_MAX)
                return false;
        if (sd_bus_error_has_name(error, MANAGER_ERROR_UNIT_EXISTS)) {
                /* The name is ours and no running role has it: it is the rest of an earlier run that systemd
                 * has not collected yet. */
                manager_stop_unit(scopes->manager, role->scope, batch_on_stale_stopped, batch, batch_free);
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
        } else
                scope_fail(g_ptr_array_index(batch->roles, 0), error->message ?: error->name);

        scopes->in_flight--;
        batch_free(batch);
        scope_batch_flush(scopes);
}

static void batch_send(Batch *batch) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = batch_message(batch, &m);
        manager_call_job(batch->scopes->manager, r, m, batch_on_done, batch, batch_free);
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

                Batch *batch = g_new(Batch, 1);
                *batch = (Batch){ .scopes = scopes, .roles = g_ptr_array_new() };
                batch->anchor = g_strdup_printf(
                        "architect-%s-batch%" PRIu64 ".slice", scopes->node->instance, scopes->n_anchors++);
                while (batch->roles->len < max && !g_queue_is_empty(scopes->queue))
                        g_ptr_array_add(batch->roles, g_queue_pop_head(scopes->queue));
                scopes->in_flight++;
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
