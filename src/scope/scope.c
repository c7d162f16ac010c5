/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/feature.h"
#include "base/macro.h"
#include "base/unit-name.h"
#include "model/role-start.h"
#include "scope/direct.h"
#include "scope/scope-private.h"
#include "util/log.h"

#define SLICE_IDLE_USEC (30 * USEC_PER_SEC)

bool scopes_use_pidfds(void *data) {
        const Scopes *scopes = data;

        return !scopes->no_pidfds && manager_version(scopes->manager) >= 255 &&
               !feature_masked(FEATURE_PIDFDS);
}

/* A call for a role whose caller waits. */
typedef struct ScopeCall {
        Waiter waiter;
        char *role;
        const char *doing; /* for messages: "signal" */
} ScopeCall;

static ScopeCall *scope_call_new(const Role *role, const char *doing, Waiter waiter) {
        ScopeCall *call = g_new(ScopeCall, 1);

        *call = (ScopeCall){ waiter, g_strdup(role->name), doing };
        return call;
}

static void scope_call_end(ScopeCall *call, const Fault *fault) {
        waiter_wake(call->waiter, fault);
        g_free(call->role);
        g_free(call);
}

static void scope_call_drop(void *userdata) {
        g_auto(Fault) fault = {};

        node_set_leaving_fault(&fault);
        scope_call_end(userdata, &fault);
}

static void scope_call_on_reply(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        ScopeCall *call = userdata;
        g_auto(Fault) fault = {};

        if (sd_bus_error_has_name(error, MANAGER_ERROR_NO_SUCH_UNIT) ||
                sd_bus_error_has_name(error, MANAGER_ERROR_UNIT_INACTIVE))
                (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has ended", call->role);
        else if (error)
                (void) fault_set(&fault,
                        sd_bus_error_has_name(error, SD_BUS_ERROR_NOT_SUPPORTED) ? NODE_ERROR_NOT_SUPPORTED
                                                                                 : NODE_ERROR_IO_ERROR,
                        "Cannot %s role \"%s\": %s", call->doing, call->role, error->message);
        scope_call_end(call, &fault);
}

static void scope_signal(void *data, Role *role, const char *unit, int signo, Waiter waiter) {
        Scopes *scopes = data;

        if (!waiter.done) {
                manager_kill_unit(scopes->manager, unit, signo, NULL, NULL, NULL);
                return;
        }

        manager_kill_unit(scopes->manager, unit, signo, scope_call_on_reply,
                scope_call_new(role, "signal", waiter), scope_call_drop);
}

/* A method of systemd with the name of the scope as its only argument. reply and drop may be NULL. */
static void scope_call_unit(Scopes *scopes, const char *member, const Role *role, ManagerReply reply,
        void *userdata, ManagerDrop drop) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = manager_new_call(scopes->manager, &m, member);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", role->scope);
        if (r < 0 && !reply)
                log_error_errno(r, "Cannot call %s for %s: %m", member, role->scope);
        else
                manager_call(scopes->manager, r, m, reply, userdata, drop);
}

/* systemd freezes no units beside hierarchies of v1. */
static int scope_freeze(void *data, Role *role, bool freeze, Waiter waiter) {
        const char *member = freeze ? "FreezeUnit" : "ThawUnit", *doing = freeze ? "freeze" : "thaw";

        if (!cgroup_is_unified())
                return -EOPNOTSUPP;
        if (waiter.done)
                scope_call_unit(data, member, role, scope_call_on_reply, scope_call_new(role, doing, waiter),
                        scope_call_drop);
        else
                scope_call_unit(data, member, role, NULL, NULL, NULL);
        return 0;
}

/* The slice of the instance. The cgroup of a user's manager, and not the root, has the slices of that
 * manager. */
static char *node_slice_path(const Node *node) {
        _cleanup_free_ char *own = NULL;
        char *manager = NULL;

        if (node->user && cgroup_of_pid(getpid(), &own) >= 0 && (manager = strstr(own, "/user@")))
                manager[strcspn(manager + 1, "/") + 1] = '\0';
        return g_strdup_printf("%s/architect.slice/%s", manager ? own : "", node->slice);
}

/* Before its scope exists the role is in the slice that was chosen for it. */
static char *scope_frozen_above(void *data, const Role *role) {
        _cleanup_free_ char *unit = NULL;
        g_autofree char *path = g_strdup(role->cgroup);

        if (!path) {
                g_autofree char *slice = node_slice_name(role->node, role->slice_uid, role->slice);
                g_autofree char *user =
                        role->slice_uid > 0 ? node_user_slice_name(role->node, role->slice_uid) : NULL;
                g_autofree char *group = node_group_name(role->node, role->slice_uid, role->slice);
                g_autofree char *above = node_slice_path(role->node);

                path = g_strconcat(above, user ? "/" : "", user ?: "", group ? "/" : "", group ?: "", "/",
                        slice, "/", role->scope, NULL);
        }
        return cgroup_frozen_above(path, &unit) >= 0 ? g_strdup(unit) : NULL;
}

/* Cuts what is below the scope. Returns false if the cgroup is not in there. */
static bool cgroup_cut_to(char *cgroup, const char *scope) {
        const size_t n = strlen(scope);

        for (char *p = cgroup; (p = strchr(p, '/'));) {
                p++;
                if (strncmp(p, scope, n) == 0 && (p[n] == '\0' || p[n] == '/')) {
                        p[n] = '\0';
                        return true;
                }
        }
        return false;
}

/* Below that of the instance: that of the user, a group, a sub-slice, see node_own_slice_name(). */
#define SLICE_DEPTH_MAX 4

/* Returns the path of this cgroup in or below the slices in a cgroup. */
static char *slice_find_scope(const char *root, const char *path, const char *scope, unsigned depth) {
        g_autofree char *directory = g_strconcat(root, path, NULL),
                        *own = g_strconcat(path, "/", scope, NULL);
        g_autofree char *own_directory = g_strconcat(root, own, NULL);
        char *found = NULL;

        if (g_file_test(own_directory, G_FILE_TEST_IS_DIR))
                return g_steal_pointer(&own);
        g_autoptr(GDir) dir = depth > 0 ? g_dir_open(directory, 0, NULL) : NULL;
        for (const char *name; dir && !found && (name = g_dir_read_name(dir));) {
                g_autofree char *below = g_strconcat(path, "/", name, NULL);

                if (g_str_has_suffix(name, ".slice"))
                        found = slice_find_scope(root, below, scope, depth - 1);
        }
        return found;
}

static char *scope_find_cgroup(void *data, const Role *role, pid_t pid) {
        g_autofree char *slice = node_slice_path(role->node);
        _cleanup_free_ char *cgroup = NULL;
        const char *root;

        if (cgroup_of_pid(pid, &cgroup) >= 0 && cgroup_cut_to(cgroup, role->scope))
                return g_strdup(cgroup);
        return cgroup_root(&root) >= 0 ? slice_find_scope(root, slice, role->scope, SLICE_DEPTH_MAX) : NULL;
}

static void scope_on_removed(void *userdata, const char *result, const sd_bus_error *error) {
        Role *role = userdata;

        /* If its last process is gone, systemd removes the scope by itself. */
        if (error && !sd_bus_error_has_name(error, MANAGER_ERROR_NO_SUCH_UNIT))
                role_log(role, LOG_WARNING, "Cannot stop its scope, ignoring: %s", error->message);
        role_on_scope_removed(role);
}

static int scope_remove(void *data, Role *role) {
        Scopes *scopes = data;

        /* While this service is being stopped, its stop job would wait for this one. systemd removes the
         * scope when it is empty. */
        if (scopes->node->stopping)
                return -ECANCELED;
        manager_stop_unit(scopes->manager, role->scope, scope_on_removed, role, NULL);
        return 0;
}

typedef struct FreezeCall {
        Scopes *scopes;
        char *unit;
} FreezeCall;

static void freeze_call_free(void *p) {
        FreezeCall *call = p;

        g_free(call->unit);
        g_free(call);
}

/* The reply means that all of it is frozen. After an error it is killed unfrozen. */
static void freeze_call_on_reply(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        FreezeCall *call = userdata;

        (void) g_hash_table_remove(call->scopes->freezing, call->unit);
        manager_kill_unit(call->scopes->manager, call->unit, SIGKILL, NULL, NULL, NULL);
        freeze_call_free(call);
}

/* It is frozen first, because systemd signals the processes of a unit one by one, and repeats that until it
 * finds no new one. A role that forks fast enough would keep it busy for ever. */
static void scope_freeze_and_kill(void *data, Role *role) {
        Scopes *scopes = data;

        if (g_hash_table_contains(scopes->freezing, role->scope))
                return;

        FreezeCall *call = g_new(FreezeCall, 1);
        *call = (FreezeCall){ scopes, g_strdup(role->scope) };
        (void) g_hash_table_add(scopes->freezing, g_strdup(role->scope));
        scope_call_unit(scopes, "FreezeUnit", role, freeze_call_on_reply, call, freeze_call_free);
}

static void scope_ended(void *data, Role *role) {
        Scopes *scopes = data;

        (void) g_hash_table_remove(scopes->causes, role);
        stop_watch_remove(scopes, role);
}

/* A role whose saved state is damaged is in an unknown slice until the keeper has listed its children, and
 * longer if its main process is not in its scope. */
static bool scopes_know_all_slices(Scopes *scopes) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, scopes->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->damaged && !role_is_over(role) && role->slice < 0)
                        return false;
        return true;
}

/* Stops a sub-slice that no role has, and its group and the slice of its user if no role has those. Returns
 * false if it is not an empty sub-slice. */
static bool scopes_stop_empty_slice(Scopes *scopes, const char *name) {
        uid_t uid;
        int slice;

        if (!node_slice_parse(scopes->node, name, &uid, &slice) ||
                !node_slice_is_empty(scopes->node, uid, slice))
                return false;
        manager_stop_slice(scopes->manager, name);
        g_autofree char *group = node_group_name(scopes->node, uid, slice);
        if (group && node_group_is_empty(scopes->node, uid, slice))
                manager_stop_slice(scopes->manager, group);
        if (uid != 0 && node_user_slice_is_empty(scopes->node, uid)) {
                g_autofree char *user = node_user_slice_name(scopes->node, uid);

                manager_stop_slice(scopes->manager, user);
        }
        return true;
}

/* Empty slices stay loaded, so they are stopped. If one is needed again at the same moment, see
 * manager_stop_slice(). */
static int scopes_on_slice_idle(sd_event_source *s, uint64_t usec, void *userdata) {
        Scopes *scopes = userdata;
        GHashTableIter iter;
        const char *name;

        scopes->slice_idle = sd_event_source_disable_unref(scopes->slice_idle);
        if (!scopes_know_all_slices(scopes))
                return 0;
        g_hash_table_iter_init(&iter, scopes->slices);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                if (scopes_stop_empty_slice(scopes, name))
                        g_hash_table_iter_remove(&iter);
        return 0;
}

/* "architect-main-3-17.slice", "architect-main-u1000-3-17.slice", both with "g1-" before a 32 */
static bool scopes_is_own_slice(Scopes *scopes, const char *unit) {
        static const char *const between[] = { "", "g[0-9]*-", "u[0-9]*-", "u[0-9]*-g[0-9]*-" };

        for (size_t i = 0; i < ELEMENTSOF(between); i++) {
                g_autofree char *pattern = g_strdup_printf(
                        "architect-%s-%s[0-9]*-[0-9]*.slice", scopes->node->instance, between[i]);

                if (fnmatch(pattern, unit, 0) == 0)
                        return true;
        }
        return false;
}

static void scopes_stop_own_slice(Scopes *scopes, Role *role) {
        g_autofree char *name = NULL;

        /* No other run has this name, so nothing else is stopped with it than what is left of this scope. */
        if (g_hash_table_steal_extended(scopes->own_slices, role, NULL, (void **) &name))
                manager_stop_unit(scopes->manager, name, NULL, NULL, NULL);
}

static void scopes_slice_released(void *data, Role *role, bool empty) {
        Scopes *scopes = data;

        cgroup_watch_remove(scopes, role);
        scopes_stop_own_slice(scopes, role);
        /* An earlier process of this service may have made it. */
        if (empty)
                scope_cause_add_slice(scopes, role, NULL);
        if (!empty || scopes->slice_idle)
                return;
        int r = sd_event_add_time_relative(manager_event(scopes->manager), &scopes->slice_idle,
                CLOCK_MONOTONIC, SLICE_IDLE_USEC, USEC_PER_SEC, scopes_on_slice_idle, scopes);
        if (r < 0)
                log_warning_errno(r, "Cannot set a timer, empty slices stay: %m");
}

/* The slices of roles with memory-max that an earlier process of this service has made. */
static void scopes_adopt_own_slice(Scopes *scopes, Role *role) {
        g_autofree char *slice = NULL, *name = NULL;

        if ((role->spec->memory_max == 0 && !role->damaged) || !role->cgroup || role->slice < 0)
                return;
        slice = g_path_get_dirname(role->cgroup);
        name = g_path_get_basename(slice);
        if (scopes_is_own_slice(scopes, name))
                (void) g_hash_table_replace(scopes->own_slices, role, g_steal_pointer(&name));
}

static void scopes_adopt_own_slices(Scopes *scopes) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, scopes->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (; role; role = role->predecessor) {
                        scopes_adopt_own_slice(scopes, role);
                        if (role->hook)
                                scopes_adopt_own_slice(scopes, role->hook);
                }
}

static bool scopes_slice_is_used(Scopes *scopes, const char *unit) {
        GHashTableIter iter;
        const char *name;

        g_hash_table_iter_init(&iter, scopes->own_slices);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &name))
                if (g_str_equal(name, unit))
                        return true;
        return false;
}

static bool scopes_have_hook_of(Scopes *scopes, const char *name) {
        for (Role *role = g_hash_table_lookup(scopes->node->roles, name); role; role = role->predecessor)
                if (role->hook && role->hook->hook_kind == HOOK_STOP_POST)
                        return true;
        return false;
}

static bool scopes_have_role_of(Scopes *scopes, const char *unit) {
        _cleanup_free_ char *name = NULL;

        if (role_post_scope_name_parse(scopes->node->instance, unit, &name) >= 0)
                return scopes_have_hook_of(scopes, name);
        if (role_scope_name_parse(scopes->node->instance, unit, &name) < 0)
                return true; /* belongs to another instance or service */
        for (Role *role = g_hash_table_lookup(scopes->node->roles, name); role; role = role->predecessor)
                if (!role_is_over(role))
                        return true;
        return false;
}

/* Of the roles that run already. What systemd lists is newer than these watches. */
static void scopes_watch_running(Scopes *scopes) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, scopes->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->state == ROLE_RUNNING && role->cgroup) {
                        if (!stop_watch_exists(scopes, role))
                                stop_watch_add(scopes, role, role->cgroup, false);
                        cgroup_watch_add_early(scopes, role, role->cgroup);
                }
}

static void scopes_confirm_no_stop(Scopes *scopes, const char *unit, const char *state, uint32_t job) {
        _cleanup_free_ char *name = NULL;

        if (!g_str_equal(state, "running") || job != 0 ||
                role_scope_name_parse(scopes->node->instance, unit, &name) < 0)
                return;
        Role *role = g_hash_table_lookup(scopes->node->roles, name);
        if (role)
                stop_watch_confirm(scopes, role);
}

static void scopes_on_units(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        Scopes *scopes = userdata;
        const char *unit, *state;
        uint32_t job;
        int r;

        if (error) {
                log_warning("Cannot list the units of systemd, ignoring: %s", error->message);
                return;
        }

        bool all_known = scopes_know_all_slices(scopes);
        g_autofree char *batches = g_strdup_printf("architect-%s-batch*.slice", scopes->node->instance);

        scopes_adopt_own_slices(scopes); /* of roles that were damaged */
        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ssssssouso")) > 0) {
                r = sd_bus_message_read(
                        reply, "ssssssouso", &unit, NULL, NULL, NULL, &state, NULL, NULL, &job, NULL, NULL);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        break;
                scopes_confirm_no_stop(scopes, unit, state, job);
                /* An earlier process of this service may have left it. */
                if (all_known && scopes_stop_empty_slice(scopes, unit))
                        continue;
                if (fnmatch(batches, unit, 0) == 0 || (all_known && scopes_is_own_slice(scopes, unit) &&
                                                              !scopes_slice_is_used(scopes, unit)))
                        manager_stop_unit(scopes->manager, unit, NULL, NULL, NULL);
                else if (g_str_has_suffix(unit, ".scope") && !scopes_have_role_of(scopes, unit)) {
                        log_notice("Stopping %s, which belongs to no role", unit);
                        manager_stop_unit(scopes->manager, unit, NULL, NULL, NULL);
                }
        }
        if (r < 0)
                log_warning_errno(r, "Cannot read systemd's list of units, ignoring: %m");
}

static void scopes_resync(void *data) {
        Scopes *scopes = data;
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *pattern = g_strdup_printf("architect-%s-*", scopes->node->instance);

        scopes_watch_running(scopes);
        int r = manager_new_call(scopes->manager, &m, "ListUnitsByPatterns");
        if (r >= 0)
                r = sd_bus_message_append(m, "asas", 0, 1, pattern);
        manager_call(scopes->manager, r, m, scopes_on_units, scopes, NULL);
}

static bool scopes_ready(void *data) {
        Scopes *scopes = data;

        return manager_is_ready(scopes->manager);
}

static int scope_cgroup_id(void *data, const char *cgroup, uint64_t *ret) {
        return cgroup_id(cgroup, ret);
}

static void scope_role_freed(void *data, Role *role) {
        Scopes *scopes = data;

        cgroup_watch_remove(scopes, role);
        stop_watch_remove(scopes, role);
        (void) g_hash_table_remove(scopes->sessions, role);
        scopes_stop_own_slice(data, role);
}

/* The manager of a user has such a socket, too, but nobody else is on the bus of a user. */
static void scopes_set_direct(void *data, bool direct) {
        Scopes *scopes = data;

        manager_set_direct(scopes->manager, direct && !scopes->node->user ? DIRECT_ADDRESS : NULL);
}

static const ScopeOps scopes_ops = {
        .ready = scopes_ready,
        .use_pidfds = scopes_use_pidfds,
        .start = scope_start,
        .signal = scope_signal,
        .freeze = scope_freeze,
        .frozen_above = scope_frozen_above,
        .freeze_and_kill = scope_freeze_and_kill,
        .remove = scope_remove,
        .oom_kills = scope_oom_kills,
        .may_be_stopped = scope_may_be_stopped,
        .query_stop = scope_query_stop,
        .ended = scope_ended,
        .resync = scopes_resync,
        .slice_released = scopes_slice_released,
        .cgroup_state = cgroup_watch_state,
        .cgroup_watch = cgroup_watch_add,
        .find_cgroup = scope_find_cgroup,
        .cgroup_pids = scope_left_processes,
        .find_strays = scope_find_strays,
        .cgroup_id = scope_cgroup_id,
        .query_session = scope_query_session,
        .set_direct = scopes_set_direct,
        .role_freed = scope_role_freed,
};

static int scopes_on_flush(sd_event_source *s, void *userdata) {
        scope_batch_flush(userdata);
        return 0;
}

int scopes_new(Manager *manager, Node *node, const char *own_unit, const char *keeper_unit, Scopes **ret) {
        Scopes *scopes = g_new0(Scopes, 1);

        scopes->manager = manager;
        scopes->node = node;
        scopes->own_unit = g_strdup(own_unit);
        scopes->keeper_unit = g_strdup(keeper_unit);
        scopes->queue = g_queue_new();
        scopes->slices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        scopes->own_slices = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        scopes->freezing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        scopes->causes = g_hash_table_new_full(NULL, NULL, NULL, scope_cause_free);
        scopes->sessions = g_hash_table_new_full(NULL, NULL, NULL, session_query_free);
        scopes->inotify_fd = scopes->stop_fd = -EBADF;

        int r = sd_event_add_defer(manager_event(manager), &scopes->flush, scopes_on_flush, scopes);
        if (r >= 0)
                r = sd_event_source_set_enabled(scopes->flush, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(scopes->flush, SD_EVENT_PRIORITY_IDLE - 10);
        if (r >= 0)
                r = scope_cause_setup(scopes);
        if (r >= 0)
                r = stray_hints_new(scopes, &scopes->hints);
        if (r < 0) {
                scopes_free(scopes);
                return r;
        }
        cgroup_watch_setup(scopes);
        stop_watch_setup(scopes);
        scopes_adopt_own_slices(scopes);
        ATTACH(node, scope, &scopes_ops, scopes);
        *ret = scopes;
        return 0;
}

Scopes *scopes_free(Scopes *scopes) {
        if (!scopes)
                return NULL;
        scopes->node->world.scope.ops = NULL;
        stray_hints_free(scopes->hints);
        cgroup_watch_done(scopes);
        stop_watch_done(scopes);
        g_hash_table_unref(scopes->sessions);
        sd_event_source_disable_unref(scopes->flush);
        sd_event_source_disable_unref(scopes->slice_idle);
        g_hash_table_unref(scopes->slices);
        g_hash_table_unref(scopes->own_slices);
        g_hash_table_unref(scopes->causes);
        g_hash_table_unref(scopes->freezing);
        g_queue_free(scopes->queue);
        g_free(scopes->own_unit);
        g_free(scopes->keeper_unit);
        g_free(scopes);
        return NULL;
}
