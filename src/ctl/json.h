/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON that is not a table, made with client/json.h. libsmartcols writes those that are (table.h). */

#include "ctl/ctl.h"

/* Writes a value to stdout, in one line or in several. */
void json_print(const char *json, CtlJson mode);
