/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service says about its roles. */

#include "ctl/ctl.h"

/* What ListRoles returns, which is what costs the service least. */
typedef struct CtlRole {
        char *name;
        char *state;
        uint32_t pid;
        char *code;
        int32_t status;
        char *scope;
} CtlRole;

/* The array of CtlRole is in the order of the names. The caller unrefs *ret. */
CtlExit ctl_list_roles(Ctl *ctl, GArray **ret);

/* Returns whether the role has a process. States that this program does not know count as running, as the
 * interface demands. */
bool ctl_role_is_running(const CtlRole *role);

/* Returns the names of the roles, and of the definitions if defined; NULL if the service cannot be asked. It
 * reports nothing, because it is used by a report. The caller frees it. */
char **ctl_role_names(Ctl *ctl, bool defined);

/* The same for the definitions alone. */
char **ctl_definition_names(Ctl *ctl);

/* Reads a property of a role without a report. The first returns a negative errno, also if there is no such
 * role; the caller frees *ret. */
int ctl_peek_string(Ctl *ctl, const char *role, const char *property, char **ret);
int ctl_peek_strings(Ctl *ctl, const char *role, const char *property, char ***ret);

/* Makes a call of StartMany or its like. The caller unrefs *ret. */
CtlExit ctl_new_call_many(Ctl *ctl, const char *method, char *const *roles, sd_bus_message **ret);

/* Reports the errors in the results of StartMany and its like. Returns the exit status of the first one. */
CtlExit ctl_report_results(Ctl *ctl, sd_bus_message *reply);

/* Whether a role has this name, or the pattern (fnmatch(3)) matches it. */
bool ctl_pattern_matches(const char *pattern, const char *name);
