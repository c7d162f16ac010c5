/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What follows when a role's start is over, when its last process is gone, or when it does not die: the next start, the purge, the
 * end of a shutdown. */

#include "model/node.h"

extern const NodeReports node_reports;
