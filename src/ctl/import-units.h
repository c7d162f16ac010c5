/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units of systemd, for those importers that read them. */

#include "ctl/import.h"

/* Takes a command of ExecStart=, if it is one that it knows, and sets what the role has in its place: the
 * words are those of a role file (import_escape()). Then the keys that are about the process that systemd
 * starts, and not about the role, become comments. */
typedef bool (*ImportUnitCommand)(Import *import, ImportRole *role, ImportPlace place, char **words);

/* Reads services, "x.service" or "x@INSTANCE.service", with the drop-ins beside them. take may be NULL. */
void import_units(Import *import, char *const *files, ImportUnitCommand take);
