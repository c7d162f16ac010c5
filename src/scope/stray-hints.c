/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PID 1 reports each scope that it has started. If a process in it descends from one of a role, the role is
 * looked at: the journal and the properties tell of the stray while the role runs, and a process is found
 * whose parent ends before the role is stopped. It is a hint, and nothing depends on it. */
#include "base/cgroup-util.h"
#include "base/macro.h"
#include "model/node-processes.h"
#include "model/role-strays.h"
#include "scope/scope-private.h"
#include "util/log.h"

/* More at a time are not followed. */
#define HINTS_MAX 16U
#define PIDS_LOOKED_AT 16

struct StrayHints {
        Scopes *scopes;
        unsigned n_asked;
        sd_bus_slot *job_removed;
};

static void stray_hints_take(Scopes *scopes, const char *cgroup) {
        pid_t pids[PIDS_LOOKED_AT];

        int n = cgroup_pids(cgroup, pids, PIDS_LOOKED_AT);
        for (int i = 0; i < MIN(n, PIDS_LOOKED_AT); i++) {
                Role *role = node_role_of_process(scopes->node, pids[i]);

                /* The main process itself may have been moved. */
                if (!role)
                        role = node_role_of_ancestor(scopes->node, pids[i]);
                if (role) {
                        role_look_for_strays(role);
                        return;
                }
        }
}

static void stray_hints_on_cgroup(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        StrayHints *hints = userdata;
        const char *cgroup;

        hints->n_asked--;
        if (!error && sd_bus_message_read(reply, "v", "s", &cgroup) >= 0 && cgroup[0] == '/')
                stray_hints_take(hints->scopes, cgroup);
}

static bool stray_hints_want(const StrayHints *hints, const char *unit) {
        return g_str_has_suffix(unit, ".scope") && !g_str_has_prefix(unit, "architect-") &&
               hints->scopes->node->n_not_ended > 0 && hints->n_asked < HINTS_MAX;
}

static int stray_hints_on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        StrayHints *hints = userdata;
        _cleanup_free_ char *path = NULL;
        const char *unit, *result;

        if (sd_bus_message_read(m, "uoss", NULL, NULL, &unit, &result) < 0 || !g_str_equal(result, "done") ||
                !stray_hints_want(hints, unit))
                return 0;

        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
        if (r >= 0)
                r = manager_get_property(hints->scopes->manager, path, "org.freedesktop.systemd1.Scope",
                        "ControlGroup", stray_hints_on_cgroup, hints, NULL);
        if (r >= 0)
                hints->n_asked++;
        return 0;
}

int stray_hints_new(Scopes *scopes, StrayHints **ret) {
        StrayHints *hints = g_new0(StrayHints, 1);

        hints->scopes = scopes;
        int r = sd_bus_match_signal_async(manager_bus(scopes->manager), &hints->job_removed, MANAGER_BUS_NAME,
                MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", stray_hints_on_job_removed, NULL, hints);
        if (r < 0) {
                stray_hints_free(hints);
                return r;
        }
        *ret = hints;
        return 0;
}

/* The manager may still reply to what it was asked, so it is freed after that. */
StrayHints *stray_hints_free(StrayHints *hints) {
        if (!hints)
                return NULL;
        sd_bus_slot_unref(hints->job_removed);
        g_free(hints);
        return NULL;
}
