/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role reports that its start is over, that its last process is gone, or that a process survives SIGKILL.
 * This file has the consequences, which are the next start, the purge and the end of a shutdown. */

#include "model/node.h"

extern const NodeReports node_reports;
