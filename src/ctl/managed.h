/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Roles that somebody else starts and stops: they have a manager (the option managed-by), a lease, or both.
 * What a person does to one of these its manager would undo, or the service refuses it, so a verb that
 * changes it demands --force. */

#include "ctl/ctl.h"

typedef struct CtlManaged {
        char *name;
        char *lease, *manager; /* "" for none */
} CtlManaged;

/* The array of CtlManaged, sorted by name, has each role that has one of them, and is empty for a service
 * that does not know them. The caller unrefs *ret. */
CtlExit ctl_list_managed(Ctl *ctl, GArray **ret);

/* Returns NULL if there is none of this name. */
const CtlManaged *ctl_find_managed(const GArray *managed, const char *role);

/* Refuses to go on, with the command of the manager, if one of the roles has one, unless force: then the
 * calls of ctl_change_name() and ctl_append_change() say so, if a lease demands it. */
CtlExit ctl_check_managed(Ctl *ctl, const char *verb, char *const *roles, bool force);

/* The same for names, "@group", or all roles that have not ended, as ctl_expand_roles() has them. */
CtlExit ctl_check_managed_words(Ctl *ctl, const char *verb, char *const *words, bool force);
