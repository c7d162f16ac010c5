/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is wrong now with the service, in sentences for its operators: the property Warnings. Each of them
 * goes when its reason is gone. */

#include "model/model-forward.h"

/* Returns the sentences; NULL-terminated, the caller g_strfreev()s them. */
char **warnings_list(Node *node);
