/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "list". It asks for what costs the service least, so that it is fast with thousands of roles;
 * "status" and "show" tell more. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/exit-status.h"
#include "ctl/definitions.h"
#include "ctl/details.h"
#include "ctl/managed.h"
#include "ctl/roles.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "util/autoptr.h"

/* A pattern that matches nothing is an answer, a name or a group that is none is an error. */
static CtlExit list_report_none(Ctl *ctl, char *const *words, const char *thing) {
        bool only_names = *words != NULL;

        for (char *const *p = words; *p; p++)
                only_names = only_names && !strpbrk(*p, "*?[");
        return only_names ? ctl_no_such(ctl, thing, *words) : CTL_EXIT_OK;
}

/* -- roles -- */

enum {
        ROLE_NAME,
        ROLE_STATE,
        ROLE_PID,
        ROLE_END,
        ROLE_CODE,
        ROLE_STATUS,
        ROLE_UNIT,
        ROLE_MANAGER,
        ROLE_LEASE
};

static const TableColumn role_columns[] = {
        [ROLE_NAME] = { "ROLE", "role" },
        [ROLE_STATE] = { "STATE", "state" },
        [ROLE_PID] = { "PID", "pid", TABLE_NUMBER },
        [ROLE_END] = { "END" },
        [ROLE_CODE] = { NULL, "code" },
        [ROLE_STATUS] = { NULL, "status", TABLE_NUMBER },
        [ROLE_UNIT] = { "UNIT", "unit", .trunc = true },
        /* These two only if any role has one. */
        [ROLE_MANAGER] = { "MANAGED-BY", "managed-by", .trunc = true },
        [ROLE_LEASE] = { "LEASE", "lease" },
};

/* As systemd has it, with its defaults: what the service says about success-exit-status is not asked for. */
static bool role_has_failed(const CtlRole *role) {
        if (ctl_role_is_running(role))
                return false;
        switch (exit_code_from_string(role->code)) {
        case EXIT_CODE_EXITED:
                return role->status != 0;
        case EXIT_CODE_KILLED:
                return !exit_signal_is_clean(role->status);
        default:
                return true;
        }
}

static void list_add_role(Table *table, const CtlRole *role, const CtlManaged *managed) {
        struct libscols_line *row = table_add_row(table, NULL);
        const bool running = ctl_role_is_running(role), failed = role_has_failed(role);

        table_set(table, row, ROLE_NAME, role->name);
        table_set(table, row, ROLE_STATE, role->state);
        table_set(table, row, ROLE_UNIT, role->scope);
        if (managed && managed->manager[0])
                table_set(table, row, ROLE_MANAGER, managed->manager);
        if (managed && managed->lease[0])
                table_set(table, row, ROLE_LEASE, managed->lease);
        if (role->pid > 0)
                table_setf(table, row, ROLE_PID, "%" PRIu32, role->pid);
        if (!running) {
                g_autofree char *end = words_end(role->code, role->status);

                table_set(table, row, ROLE_END, end);
                table_set(table, row, ROLE_CODE, role->code);
                table_setf(table, row, ROLE_STATUS, "%" PRIi32, role->status);
        }
        table_set_color(table, row, ROLE_STATE,
                failed                                ? "red"
                : strcmp(role->state, "running") == 0 ? "green"
                                                      : NULL);
}

/* ListRoles does not tell the groups, so they are asked for only if they matter. */
static CtlExit list_get_groups(Ctl *ctl, char *const *words, GPtrArray **ret) {
        for (; *words; words++)
                if ((*words)[0] == '@')
                        return ctl_get_details(ctl, NULL, NULL, ret);
        return CTL_EXIT_OK;
}

static char *const *list_find_groups(const GPtrArray *details, const char *name) {
        for (guint i = 0; details && i < details->len; i++) {
                const CtlDetails *role = g_ptr_array_index(details, i);

                if (strcmp(role->name, name) == 0)
                        return role->groups;
        }
        return NULL;
}

static CtlExit list_roles(Ctl *ctl, char *const *patterns) {
        g_autoptr(GArray) roles = NULL, managed = NULL;
        g_autoptr(GPtrArray) details = NULL;
        unsigned n = 0, n_running = 0, n_failed = 0;

        CtlExit e = list_get_groups(ctl, patterns, &details);
        if (e == CTL_EXIT_OK)
                e = ctl_list_roles(ctl, &roles);
        if (e == CTL_EXIT_OK)
                e = ctl_list_managed(ctl, &managed);
        if (e != CTL_EXIT_OK)
                return e;
        g_autoptr(Table) table =
                table_new(ctl, role_columns, managed->len > 0 ? ELEMENTSOF(role_columns) : ROLE_MANAGER);
        for (guint i = 0; i < roles->len; i++) {
                const CtlRole *role = &g_array_index(roles, CtlRole, i);

                if (!ctl_words_select(patterns, role->name, list_find_groups(details, role->name)))
                        continue;
                list_add_role(table, role, ctl_find_managed(managed, role->name));
                n++;
                n_running += ctl_role_is_running(role);
                n_failed += role_has_failed(role);
        }
        if (n == 0) {
                e = list_report_none(ctl, patterns, "role");
                if (e != CTL_EXIT_OK)
                        return e;
        }
        if (n > 0 || ctl->json != CTL_JSON_OFF)
                e = table_print(table);
        else if (!*patterns)
                ctl_say(ctl, "There are no roles. Start one: architectctl start NAME COMMAND...");
        else
                ctl_say(ctl, "No role matches.");
        if (n > 0 && ctl->json == CTL_JSON_OFF && ctl->legend && !ctl->many)
                (void) printf(
                        "\n%u role%s, %u running, %u failed.\n", n, n == 1 ? "" : "s", n_running, n_failed);
        return e;
}

/* -- definitions -- */

enum { DEFINITION_NAME, DEFINITION_AUTOSTART, DEFINITION_GROUPS, DEFINITION_DESCRIPTION, DEFINITION_FILE };

static const TableColumn definition_columns[] = {
        [DEFINITION_NAME] = { "ROLE", "role" },
        [DEFINITION_AUTOSTART] = { "AUTOSTART", "autostart" },
        [DEFINITION_GROUPS] = { "GROUPS", "groups" },
        [DEFINITION_DESCRIPTION] = { "DESCRIPTION", "description", .trunc = true },
        [DEFINITION_FILE] = { "FILE", "file", .trunc = true },
};

static void list_add_definition(Table *table, const CtlDefinition *d) {
        struct libscols_line *row = table_add_row(table, NULL);
        g_autofree char *joined = g_strjoinv(" ", d->groups);

        table_set(table, row, DEFINITION_NAME, d->name);
        table_set(table, row, DEFINITION_AUTOSTART, d->error ? "refused" : d->autostart ? "yes" : "no");
        table_set(table, row, DEFINITION_GROUPS, joined);
        table_set(table, row, DEFINITION_DESCRIPTION, d->description);
        table_set(table, row, DEFINITION_FILE, d->file);
        if (d->error)
                table_set_color(table, row, DEFINITION_AUTOSTART, "red");
}

static CtlExit list_definitions(Ctl *ctl, char *const *patterns) {
        g_autoptr(GArray) definitions = NULL;
        unsigned n = 0, n_refused = 0;

        CtlExit e = ctl_list_definitions(ctl, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        g_autoptr(Table) table = table_new(ctl, definition_columns, ELEMENTSOF(definition_columns));
        for (guint i = 0; i < definitions->len; i++) {
                const CtlDefinition *d = &g_array_index(definitions, CtlDefinition, i);

                if (!ctl_words_select(patterns, d->name, d->groups))
                        continue;
                list_add_definition(table, d);
                n++;
                if (d->error) {
                        g_autofree char *text = ctl_definition_error(d);

                        ctl_error("%s", text);
                        n_refused++;
                }
        }
        if (n == 0) {
                e = list_report_none(ctl, patterns, "definition");
                if (e != CTL_EXIT_OK)
                        return e;
        }
        if (n > 0 || ctl->json != CTL_JSON_OFF)
                e = table_print(table);
        else
                ctl_say(ctl,
                        *patterns ? "No definition matches."
                                  : "There are no definitions. architect-node.role(5) describes role files.");
        if (n > 0 && ctl->json == CTL_JSON_OFF && ctl->legend && !ctl->many)
                (void) printf("\n%u definition%s, %u refused.\n", n, n == 1 ? "" : "s", n_refused);
        return e;
}

CtlExit verb_list(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_DEFINED = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "defined", no_argument, NULL, ARG_DEFINED },
                { 0 },
        };
        bool defined = false;
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                defined = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        return defined ? list_definitions(ctl, argv + optind) : list_roles(ctl, argv + optind);
}
