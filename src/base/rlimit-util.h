/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of resource limits, as in setrlimit(2), in lower case and without RLIMIT_. */

#include <sys/resource.h>

#include "base/string-table.h"

#define RLIMIT_COUNT RLIM_NLIMITS

DECLARE_STRING_TABLE(rlimit, int); /* "nofile" ↔ RLIMIT_NOFILE */
