/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/feature.h"
#include "base/unit-name.h"
#include "node/node.h"
#include "node/scope.h"
#include "util/autoptr.h"
#include "util/bus-util.h"
#include "util/log.h"

/* StartTransientUnit takes other units along ("aux"): one call, one job to wait for and one answer for many scopes. The
 * unit that carries them is an empty slice with Wants= and After= on the scopes, stopped again when its job is done. It is none of the
 * roles' own scopes: a unit that another one wants stays loaded as long as that one, and its name could not be used again. */
#define BATCH_MAX 50U
#define BATCHES_IN_FLIGHT_MAX 4U
#define TRIES_MAX 4U
#define OOM_WAIT_USEC (100 * USEC_PER_MSEC)

typedef struct Batch {
        Scopes *scopes;
        GPtrArray *roles; /* not owned: a role waits for role_on_scope() and is not freed before */
        char *anchor;     /* NULL: a single scope, its own unit */
        unsigned tries;
} Batch;

typedef struct OomQuery {
        Scopes *scopes;
        Role *role;
        sd_bus_slot *match;
        sd_event_source *timeout;
} OomQuery;

struct Scopes {
        Manager *manager;
        char *instance;
        char *own_unit;
        char *keeper_unit;
        bool no_oom_policy; /* systemd 252 as released has none on scopes; learned from its answer */
        bool no_pidfds;
        GQueue *queue; /* Roles that wait for the next batch */
        sd_event_source *flush;
        unsigned in_flight;
        uint64_t n_anchors;
        GHashTable *oom; /* Role → OomQuery */
};

bool scopes_use_pidfds(const Scopes *scopes) {
        return !scopes->no_pidfds && manager_version(scopes->manager) >= 255 &&
               !feature_masked(FEATURE_PIDFDS);
}

static int append_property(sd_bus_message *m, const char *name, const char *type, ...) {
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

static int append_limits(sd_bus_message *m, const RoleSpec *spec) {
        int r = 0;

        if (spec->memory_max > 0) {
                r = append_property(m, "MemoryMax", "t", spec->memory_max);
                /* Its Result is asked for after the end: the unit must still be there. */
                if (r >= 0)
                        r = append_property(m, "AddRef", "b", 1);
        }
        if (r >= 0 && spec->tasks_max > 0)
                r = append_property(m, "TasksMax", "t", spec->tasks_max);
        if (r >= 0 && spec->cpu_quota > 0)
                r = append_property(m, "CPUQuotaPerSecUSec", "t", spec->cpu_quota * (USEC_PER_SEC / 100));
        return r;
}

static int append_scope(Scopes *scopes, sd_bus_message *m, Role *role) {
        g_autofree char *description =
                g_strdup_printf("Role %s of architect-node %s", role->name, scopes->instance);
        g_autofree char *slice = node_slice_name(role->node, role->slice);
        const RoleSpec *spec = role->spec;

        int r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_property(m, "Description", "s", description);
        if (r >= 0)
                r = append_property(m, "Slice", "s", slice);
        if (r >= 0)
                r = append_property(m, "CollectMode", "s", "inactive-or-failed");
        if (r >= 0)
                r = append_property(m, "KillSignal", "i", (int32_t) spec->stop_signal);
        if (r >= 0)
                r = append_property(m, "TimeoutStopUSec", "t", spec->stop_timeout_usec);
        if (r >= 0 && !scopes->no_oom_policy)
                r = append_property(m, "OOMPolicy", "s", "continue");
        /* When the machine goes down we stop the roles ourselves, in our own way; nothing else ties them to us. */
        if (r >= 0 && scopes->own_unit)
                r = append_property(m, "Before", "as", 1, scopes->own_unit);
        if (r >= 0 && scopes->keeper_unit)
                r = append_property(m, "After", "as", 1, scopes->keeper_unit);
        if (r >= 0)
                r = append_limits(m, spec);
        if (r >= 0)
                r = scopes_use_pidfds(scopes)
                            ? append_property(m, "PIDFDs", "ah", 1, role->main_pidfd)
                            : append_property(m, "PIDs", "au", 1, (uint32_t) role->main_pid);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_anchor(sd_bus_message *m, const Batch *batch) {
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
                r = sd_bus_message_append(m, "ss", batch->anchor ?: first->scope, "fail");
        if (r >= 0)
                r = batch->anchor ? append_anchor(m, batch) : append_scope(scopes, m, first);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sa(sv))");
        for (unsigned i = 0; r >= 0 && batch->anchor && i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);

                r = sd_bus_message_open_container(m, 'r', "sa(sv)");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', role->scope);
                if (r >= 0)
                        r = append_scope(scopes, m, role);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return r;
}

static Batch *batch_free(Batch *batch) {
        g_ptr_array_unref(batch->roles);
        g_free(batch->anchor);
        g_free(batch);
        return NULL;
}

static void flush(Scopes *scopes);
static void batch_send(Batch *batch);

static void batch_fail(Batch *batch, const char *reason) {
        for (unsigned i = 0; i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);
                g_auto(Fault) fault = {};

                (void) fault_set(&fault, NODE_ERROR_SCOPE_FAILED, "Role \"%s\": cannot make its scope %s: %s",
                        role->name, role->scope, reason);
                role_on_scope(role, &fault, NULL);
        }
}

/* What failed together is tried one by one: then each answer is about one scope. */
static void batch_send_single(Scopes *scopes, Role *role, unsigned tries) {
        Batch *single = g_new0(Batch, 1);

        *single = (Batch){ .scopes = scopes, .roles = g_ptr_array_new(), .tries = tries };
        g_ptr_array_add(single->roles, role);
        batch_send(single);
}

static void batch_split(Batch *batch) {
        for (unsigned i = 0; i < batch->roles->len; i++)
                batch_send_single(batch->scopes, g_ptr_array_index(batch->roles, i), 0);
}

static bool role_has_died(const Role *role) {
        struct pollfd p = { .fd = role->main_pidfd, .events = POLLIN };

        return role->main_exited || (role->main_pidfd >= 0 && poll(&p, 1, 0) > 0);
}

/* The job is done: but the pid may have died meanwhile (252 fails then, 257 keeps an empty scope for ever), so look. */
static int verify(Role *role, char **ret_cgroup) {
        char *path = NULL;

        if (role_has_died(role))
                return -ESRCH;
        int r = cgroup_of_pid(role->main_pid, &path);
        if (r < 0)
                return r;

        const char *last = strrchr(path, '/');
        if (!last || !g_str_equal(last + 1, role->scope)) {
                free(path);
                return -ENODATA;
        }
        *ret_cgroup = path;
        return 0;
}

static void batch_verify(Batch *batch, const char *result) {
        for (unsigned i = 0; i < batch->roles->len; i++) {
                Role *role = g_ptr_array_index(batch->roles, i);
                g_auto(Fault) fault = {};
                char *cgroup = NULL;

                int r = verify(role, &cgroup);
                if (r >= 0)
                        role_on_scope(role, NULL, cgroup);
                else if (batch->anchor && r != -ESRCH)
                        batch_send_single(batch->scopes, role, 0);
                else {
                        (void) fault_set(&fault, NODE_ERROR_SCOPE_FAILED,
                                "Role \"%s\": cannot make its scope %s: %s", role->name, role->scope,
                                r == -ESRCH ? "its process was killed before it was in it"
                                : result    ? result
                                            : "systemd does not answer");
                        role_on_scope(role, &fault, NULL);
                }
                free(cgroup);
        }
}

static void on_stale_stopped(void *userdata, const char *result, const sd_bus_error *error) {
        batch_send(userdata);
}

/* Whether a new try was made. */
static bool batch_retry(Batch *batch, const sd_bus_error *error) {
        Scopes *scopes = batch->scopes;
        Role *role = g_ptr_array_index(batch->roles, 0);

        if (++batch->tries > TRIES_MAX)
                return false;
        if (sd_bus_error_has_name(error, MANAGER_ERROR_UNIT_EXISTS)) {
                /* The name is ours and no live role has it: what is left of an earlier run, which systemd has not collected yet. */
                manager_stop_unit(scopes->manager, role->scope, on_stale_stopped, batch);
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

static void on_batch_done(void *userdata, const char *result, const sd_bus_error *error) {
        Batch *batch = userdata;
        Scopes *scopes = batch->scopes;

        if (error && !batch->anchor && batch_retry(batch, error))
                return;

        if (error && batch->anchor) {
                log_debug("Cannot make %u scopes in one call, trying them one by one: %s", batch->roles->len,
                        error->message);
                batch_split(batch);
        } else if (error)
                batch_fail(batch, error->message ?: error->name);
        else {
                if (batch->anchor)
                        manager_stop_unit(scopes->manager, batch->anchor, NULL, NULL);
                batch_verify(batch, result);
        }

        if (batch->anchor)
                scopes->in_flight--;
        batch_free(batch);
        flush(scopes);
}

static void batch_send(Batch *batch) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = batch_message(batch, &m);
        if (r < 0) {
                batch_fail(batch, g_strerror(-r));
                if (batch->anchor)
                        batch->scopes->in_flight--;
                batch_free(batch);
                return;
        }
        manager_call_job(batch->scopes->manager, m, on_batch_done, batch);
}

static void flush(Scopes *scopes) {
        while (!g_queue_is_empty(scopes->queue) && scopes->in_flight < BATCHES_IN_FLIGHT_MAX) {
                if (g_queue_get_length(scopes->queue) == 1) {
                        batch_send_single(scopes, g_queue_pop_head(scopes->queue), 0);
                        continue;
                }

                Batch *batch = g_new0(Batch, 1);
                *batch = (Batch){ .scopes = scopes, .roles = g_ptr_array_new() };
                batch->anchor = g_strdup_printf(
                        "architect-%s-batch%" PRIu64 ".slice", scopes->instance, scopes->n_anchors++);
                while (batch->roles->len < BATCH_MAX && !g_queue_is_empty(scopes->queue))
                        g_ptr_array_add(batch->roles, g_queue_pop_head(scopes->queue));
                scopes->in_flight++;
                batch_send(batch);
        }
}

static int on_flush(sd_event_source *s, void *userdata) {
        flush(userdata);
        return 0;
}

void scope_start(Scopes *scopes, Role *role) {
        g_queue_push_tail(scopes->queue, role);

        /* One role need not wait for others: the source runs as soon as nothing else is to be done at this moment, and what
         * came until then goes together. */
        if (g_queue_get_length(scopes->queue) >= BATCH_MAX)
                flush(scopes);
        else {
                int r = sd_event_source_set_enabled(scopes->flush, SD_EVENT_ONESHOT);
                if (r < 0)
                        flush(scopes);
        }
}

static void on_removed(void *userdata, const char *result, const sd_bus_error *error) {
        role_on_scope_removed(userdata); /* an error is NoSuchUnit: it is gone */
}

int scope_remove(Scopes *scopes, Role *role) {
        manager_stop_unit(scopes->manager, role->scope, on_removed, role);
        return 0;
}

typedef struct SignalCall {
        Waiter waiter;
        char *role;
} SignalCall;

static void on_signalled(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        SignalCall *call = userdata;
        g_auto(Fault) fault = {};

        if (sd_bus_error_has_name(error, MANAGER_ERROR_NO_SUCH_UNIT))
                (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has ended", call->role);
        else if (error)
                (void) fault_set(&fault, NODE_ERROR_IO_ERROR, "Cannot signal role \"%s\": %s", call->role,
                        error->message);
        call->waiter.done(call->waiter.userdata, fault.message ? &fault : NULL);
        g_free(call->role);
        g_free(call);
}

void scope_signal(Scopes *scopes, Role *role, int signo, Waiter waiter) {
        if (!waiter.done) {
                manager_kill_unit(scopes->manager, role->scope, signo, NULL, NULL);
                return;
        }

        SignalCall *call = g_new(SignalCall, 1);
        *call = (SignalCall){ waiter, g_strdup(role->name) };
        manager_kill_unit(scopes->manager, role->scope, signo, on_signalled, call);
}

static void send_for_unit(Scopes *scopes, const char *member, const char *unit) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = manager_new_call(scopes->manager, &m, member);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", unit);
        if (r < 0)
                log_error_errno(r, "Cannot make a message: %m");
        else
                manager_send(scopes->manager, m);
}

void scope_thaw(Scopes *scopes, Role *role) {
        send_for_unit(scopes, "ThawUnit", role->scope);
}

void scope_freeze_and_kill(Scopes *scopes, Role *role) {
        send_for_unit(scopes, "FreezeUnit", role->scope);
        manager_kill_unit(scopes->manager, role->scope, SIGKILL, NULL, NULL);
}

static void oom_end(OomQuery *query, bool known, bool oom) {
        Role *role = query->role;

        (void) g_hash_table_remove(query->scopes->oom, role);
        role_on_oom(role, known, oom);
}

static void oom_query_free(OomQuery *query) {
        sd_bus_slot_unref(query->match);
        sd_event_source_disable_unref(query->timeout);
        g_free(query);
}

static int on_oom_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        oom_end(userdata, false, false);
        return 0;
}

/* Only a Result of oom-kill says something: where v1 has the memory controller systemd never says it. */
static int on_scope_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OomQuery *query = userdata;
        const char *key, *result;

        int r = sd_bus_message_skip(m, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0 && g_str_equal(key, "Result")) {
                        r = sd_bus_message_read(m, "v", "s", &result);
                        if (r >= 0 && g_str_equal(result, "oom-kill")) {
                                oom_end(query, true, true);
                                return 0;
                        }
                } else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return 0;
}

static void on_result(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        g_autofree struct {
                Scopes *scopes;
                Role *role;
        } *key = userdata;
        const char *result;

        OomQuery *query = g_hash_table_lookup(key->scopes->oom, key->role);
        if (query && !error && sd_bus_message_read(reply, "v", "s", &result) >= 0 &&
                g_str_equal(result, "oom-kill"))
                oom_end(query, true, true);
}

int scope_query_oom(Scopes *scopes, Role *role) {
        g_autofree char *path = NULL;
        g_autoptr(sd_bus_message) m = NULL;
        sd_bus *bus = manager_bus(scopes->manager);
        struct {
                Scopes *scopes;
                Role *role;
        } key = { scopes, role };
        char *encoded;

        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", role->scope, &encoded);
        if (r < 0)
                return r;
        path = g_strdup(encoded);
        free(encoded);

        OomQuery *query = g_new0(OomQuery, 1);
        query->scopes = scopes;
        query->role = role;
        r = sd_bus_match_signal_async(bus, &query->match, MANAGER_BUS_NAME, path,
                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_scope_properties, NULL, query);
        if (r >= 0)
                r = sd_event_add_time_relative(sd_bus_get_event(bus), &query->timeout, CLOCK_MONOTONIC,
                        OOM_WAIT_USEC, 1, on_oom_timeout, query);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        bus, &m, MANAGER_BUS_NAME, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Scope", "Result");
        if (r < 0) {
                oom_query_free(query);
                return r;
        }
        (void) g_hash_table_insert(scopes->oom, role, query);
        manager_call(scopes->manager, m, on_result, g_memdup2(&key, sizeof(key)));
        return 0;
}

void scope_forget(Scopes *scopes, Role *role) {
        (void) g_hash_table_remove(scopes->oom, role);
        (void) g_queue_remove(scopes->queue, role);
        if (role->spec->memory_max > 0 && role->scope_exists)
                send_for_unit(scopes, "UnrefUnit", role->scope);
}

typedef struct Resync {
        Scopes *scopes;
        Node *node;
} Resync;

static bool scope_has_role(Scopes *scopes, Node *node, const char *unit) {
        char *name;

        if (role_scope_name_parse(scopes->instance, unit, &name) < 0)
                return true; /* not ours */
        Role *role = g_hash_table_lookup(node->roles, name);
        free(name);
        for (; role; role = role->predecessor)
                if (role->state != ROLE_ENDED || !role->swept)
                        return true;
        return false;
}

static void on_units(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        g_autofree Resync *resync = userdata;
        Scopes *scopes = resync->scopes;
        const char *unit;
        int r;

        if (error) {
                log_warning("systemd does not list its units, ignoring: %s", error->message);
                return;
        }

        g_autofree char *batches = g_strdup_printf("architect-%s-batch*.slice", scopes->instance);
        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ssssssouso")) > 0) {
                r = sd_bus_message_read_basic(reply, 's', &unit);
                if (r >= 0)
                        r = sd_bus_message_skip(reply, "sssssouso");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        break;
                if (fnmatch(batches, unit, 0) == 0)
                        manager_stop_unit(scopes->manager, unit, NULL, NULL);
                else if (g_str_has_suffix(unit, ".scope") && !scope_has_role(scopes, resync->node, unit)) {
                        log_notice("Stopping %s: no role has it", unit);
                        manager_stop_unit(scopes->manager, unit, NULL, NULL);
                }
        }
        if (r < 0)
                log_warning_errno(r, "Cannot read systemd's list of units, ignoring: %m");
}

void scopes_resync(Scopes *scopes, Node *node) {
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *pattern = g_strdup_printf("architect-%s-*", scopes->instance);

        int r = manager_new_call(scopes->manager, &m, "ListUnitsByPatterns");
        if (r >= 0)
                r = sd_bus_message_append(m, "asas", 0, 1, pattern);
        if (r < 0) {
                log_error_errno(r, "Cannot make a message: %m");
                return;
        }
        Resync *resync = g_new(Resync, 1);
        *resync = (Resync){ scopes, node };
        manager_call(scopes->manager, m, on_units, resync);
}

int scopes_new(
        Manager *manager, const char *instance, const char *own_unit, const char *keeper_unit, Scopes **ret) {
        Scopes *scopes = g_new0(Scopes, 1);

        scopes->manager = manager;
        scopes->instance = g_strdup(instance);
        scopes->own_unit = g_strdup(own_unit);
        scopes->keeper_unit = g_strdup(keeper_unit);
        scopes->queue = g_queue_new();
        scopes->oom = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) oom_query_free);

        int r = sd_event_add_defer(sd_bus_get_event(manager_bus(manager)), &scopes->flush, on_flush, scopes);
        if (r >= 0)
                r = sd_event_source_set_enabled(scopes->flush, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(scopes->flush, SD_EVENT_PRIORITY_IDLE - 10);
        if (r < 0) {
                scopes_free(scopes);
                return r;
        }
        *ret = scopes;
        return 0;
}

Scopes *scopes_free(Scopes *scopes) {
        if (!scopes)
                return NULL;
        sd_event_source_disable_unref(scopes->flush);
        g_hash_table_unref(scopes->oom);
        g_queue_free(scopes->queue);
        g_free(scopes->own_unit);
        g_free(scopes->keeper_unit);
        g_free(scopes->instance);
        g_free(scopes);
        return NULL;
}
