/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service says about the definitions in role files. */

#include "ctl/ctl.h"

typedef struct CtlDefinition {
        char *name, *file;
        char **groups;
        bool autostart;
        char *description; /* or NULL */
        char *error;       /* why it is refused; NULL: it is not */
        char *error_file;  /* or NULL */
        uint32_t line;     /* 0: the file as a whole */
} CtlDefinition;

/* The array of CtlDefinition is in the order of the names. The caller unrefs *ret. */
CtlExit ctl_list_definitions(Ctl *ctl, GArray **ret);

/* Returns "FILE:LINE: REASON" of one that is refused. The caller frees it. */
char *ctl_definition_error(const CtlDefinition *d);
