/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What has to be done, so that the hosts have what the file of an observatory says. */

#include <string.h>

#include "ctl/details.h"
#include "ctl/table.h"
#include "ctl/up.h"
#include "ctl/words.h"
#include "util/autoptr.h"

static const char *const action_names[_UP_ACTION_MAX] = {
        [UP_KEEP] = "keep",
        [UP_START] = "start",
        [UP_RESTART] = "restart",
        [UP_STOP] = "stop",
};

const char *up_action_to_string(UpAction action) {
        return action_names[action];
}

void up_step_free(void *p) {
        UpStep *step = p;

        g_free(step->name);
        g_free(step->reason);
        if (step->copies)
                g_ptr_array_unref(step->copies);
        sd_bus_slot_unref(step->changes);
        sd_bus_slot_unref(step->owner);
        g_free(step);
}

static void step_set_action(UpStep *step, UpAction action, char *reason) {
        step->action = action;
        g_free(step->reason);
        step->reason = reason;
        step->stop = action == UP_RESTART || action == UP_STOP ? UP_WAITS : UP_DONE;
        step->start = action == UP_RESTART || action == UP_START ? UP_WAITS : UP_DONE;
}

static const CtlDetails *host_find(const UpHost *host, const char *name) {
        for (guint i = 0; i < host->details->len; i++) {
                const CtlDetails *role = g_ptr_array_index(host->details, i);

                if (strcmp(role->name, name) == 0)
                        return role;
        }
        return NULL;
}

static UpStep *plan_add(
        Up *up, UpHost *host, const char *name, ObservatoryRole *role, UpAction action, char *reason) {
        const CtlDetails *now = host->problem ? NULL : host_find(host, name);
        UpStep *step = g_new(UpStep, 1);

        *step = (UpStep){ .up = up, .host = host, .name = g_strdup(name), .role = role };
        step->other_lease = now && g_strcmp0(now->lease, up->observatory->lease ?: "") != 0;
        step_set_action(step, action, reason);
        if (role)
                role->step = step;
        g_ptr_array_add(up->steps, step);
        return step;
}

/* It runs, or its service will start it again. */
static bool details_live(const CtlDetails *role) {
        return role && (ctl_details_are_up(role) || role->next_start_usec != 0);
}

/* -- what the file has -- */

static UpHost *plan_find_host(const Up *up, const ObservatoryHost *host) {
        for (guint i = 0; i < up->hosts->len; i++)
                if (((UpHost *) g_ptr_array_index(up->hosts, i))->host == host)
                        return g_ptr_array_index(up->hosts, i);
        g_assert_not_reached();
}

static bool plan_is_in_the_way(const Up *up, const CtlDetails *now) {
        return details_live(now) && !observatory_manages(up->observatory, now->managed_by);
}

static bool plan_add_role(Up *up, ObservatoryRole *role) {
        UpHost *host = plan_find_host(up, role->host);
        const CtlDetails *now = host->problem ? NULL : host_find(host, role->name);

        if (host->problem) {
                UpStep *step =
                        plan_add(up, host, role->name, role, UP_START, g_strdup("the host is of no use"));

                step->start = UP_FAILED;
        } else if (plan_is_in_the_way(up, now) && !up->force) {
                if (now->managed_by && now->managed_by[0])
                        ctl_error("%s on %s runs, and is managed by %s", role->name, host->host->name,
                                now->managed_by);
                else
                        ctl_error("%s on %s runs, and was not started by this observatory", role->name,
                                host->host->name);
                return false;
        } else if (plan_is_in_the_way(up, now))
                (void) plan_add(up, host, role->name, role, UP_RESTART,
                        g_strdup("it was not started by this observatory"));
        else if (!now)
                (void) plan_add(up, host, role->name, role, UP_START, g_strdup("it does not run"));
        else if (!details_live(now)) {
                g_autofree char *end = words_end(now->exit_code, now->exit_status);

                (void) plan_add(
                        up, host, role->name, role, UP_START, g_strdup_printf("it has ended (%s)", end));
        } else if (strcmp(now->managed_by, role->manager) != 0)
                (void) plan_add(up, host, role->name, role, UP_RESTART, g_strdup("its options have changed"));
        else if (strcmp(now->state, "stopping") == 0)
                (void) plan_add(up, host, role->name, role, UP_RESTART, g_strdup("it is being stopped"));
        else if (!now->ready && strcmp(now->state, "ended") != 0)
                /* Others may have to wait for that. It may be running already. */
                plan_add(up, host, role->name, role, UP_KEEP, g_strdup("it is being started"))->start =
                        UP_WAITS;
        else
                (void) plan_add(up, host, role->name, role, UP_KEEP, NULL);
        return true;
}

/* What needs a role that is restarted, also on another host than before, or is a part of it, is stopped with
 * that: by its service on the same host, by nobody but this on another. Returns whether there was one more.
 */
static bool plan_spread_restart(UpStep *step) {
        if (step->action != UP_KEEP)
                return false;
        for (guint i = 0; i < step->role->stops_with->len; i++) {
                const ObservatoryRole *with = g_ptr_array_index(step->role->stops_with, i);
                const UpStep *other = with->step;

                /* There is none if a role is in the way, and then nothing is done. */
                if (!other || (other->action != UP_RESTART && !other->copies))
                        continue;
                step_set_action(step, UP_RESTART,
                        g_strdup_printf("%s is %s", other->name,
                                other->action == UP_RESTART ? "restarted" : "moved"));
                return true;
        }
        return false;
}

static void plan_spread_restarts(const Up *up) {
        bool more = true;

        while (more) {
                more = false;
                for (guint i = 0; i < up->steps->len; i++)
                        more = plan_spread_restart(g_ptr_array_index(up->steps, i)) || more;
        }
}

/* -- what it has not -- */

/* The roles of the observatory that the file does not have on this host, or all. */
static void plan_add_others(Up *up, UpHost *host, bool all) {
        for (guint i = 0; !host->problem && i < host->details->len; i++) {
                const CtlDetails *now = g_ptr_array_index(host->details, i);
                ObservatoryRole *role = g_hash_table_lookup(host->host->roles, now->name);

                if (!observatory_manages(up->observatory, now->managed_by) || !details_live(now) ||
                        (role && !all))
                        continue;
                (void) plan_add(up, host, now->name, role, UP_STOP,
                        g_strdup(all ? "it runs" : "the file does not have it any more"));
        }
}

/* A role that is on another host now is not there twice: what starts has the stops of its name as copies. */
static void plan_find_copies(const Up *up) {
        g_autoptr(GHashTable) stops =
                g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);

        for (guint i = 0; i < up->steps->len; i++) {
                UpStep *step = g_ptr_array_index(up->steps, i);
                GPtrArray *copies;

                if (step->action != UP_STOP)
                        continue;
                copies = g_hash_table_lookup(stops, step->name);
                if (!copies) {
                        copies = g_ptr_array_new();
                        g_hash_table_insert(stops, step->name, copies);
                }
                g_ptr_array_add(copies, step);
        }
        for (guint i = 0; i < up->steps->len; i++) {
                UpStep *step = g_ptr_array_index(up->steps, i);
                GPtrArray *copies = g_hash_table_lookup(stops, step->name);

                if (copies && step->action == UP_START)
                        step->copies = g_ptr_array_ref(copies);
        }
}

CtlExit up_plan_make(Up *up, bool down) {
        bool well = true;

        for (guint i = 0; !down && i < up->observatory->roles->len; i++)
                well = plan_add_role(up, g_ptr_array_index(up->observatory->roles, i)) && well;
        for (guint i = 0; i < up->hosts->len; i++)
                plan_add_others(up, g_ptr_array_index(up->hosts, i), down);
        if (!down) {
                plan_find_copies(up);
                plan_spread_restarts(up);
        }
        if (well)
                return CTL_EXIT_OK;
        ctl_explain("Nothing was done. Stop what is in the way, or let --force replace it.");
        return CTL_EXIT_FAILED;
}

guint up_plan_count(const Up *up, UpAction action) {
        guint n = 0;

        for (guint i = 0; i < up->steps->len; i++)
                n += ((UpStep *) g_ptr_array_index(up->steps, i))->action == action;
        return n;
}

/* -- showing it -- */

enum { COLUMN_HOST, COLUMN_ROLE, COLUMN_ACTION, COLUMN_REASON };

static const TableColumn columns[] = {
        [COLUMN_HOST] = { "HOST", "host" },
        [COLUMN_ROLE] = { "ROLE", "role" },
        [COLUMN_ACTION] = { "ACTION", "action" },
        [COLUMN_REASON] = { "REASON", "reason" },
};

static void plan_print_step(Table *table, const UpStep *step) {
        struct libscols_line *line;

        if (step->host->problem || (step->action == UP_KEEP && !table_is_json(table)))
                return;
        line = table_add_row(table, NULL);
        table_set(table, line, COLUMN_HOST, step->host->host->name);
        table_set(table, line, COLUMN_ROLE, step->name);
        table_set(table, line, COLUMN_ACTION, up_action_to_string(step->action));
        table_set(table, line, COLUMN_REASON, step->reason);
}

CtlExit up_plan_print(const Up *up) {
        g_autoptr(Table) table = table_new(up->ctl, columns, ELEMENTSOF(columns));
        bool empty = true;

        for (guint i = 0; i < up->hosts->len; i++) {
                const UpHost *host = g_ptr_array_index(up->hosts, i);

                if (!host->problem)
                        continue;
                struct libscols_line *line = table_add_row(table, NULL);
                table_set(table, line, COLUMN_HOST, host->host->name);
                table_set(table, line, COLUMN_REASON, host->problem);
                table_set_color(table, line, COLUMN_REASON, "red");
                empty = false;
        }
        for (guint i = 0; i < up->steps->len; i++) {
                const UpStep *step = g_ptr_array_index(up->steps, i);

                plan_print_step(table, step);
                empty = empty && step->action == UP_KEEP;
        }
        return empty && !table_is_json(table) ? CTL_EXIT_OK : table_print(table);
}
