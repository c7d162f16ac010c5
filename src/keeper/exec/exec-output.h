/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The standard streams of a role. All functions fail through the gate. */

#include "keeper/exec/exec-parameters.h"
#include "keeper/exec/exec-user.h"
#include "proto/launch-request.h"

/* Takes ownership of stdin_fd. A pipe belongs to the user of the role from then on. */
void stdin_connect(const ExecParameters *p, const struct identity *who);

/* Opens one stream for both stdout and stderr. The caller closes it. */
int output_open(const ExecParameters *p, const LaunchRequest *request, const struct identity *who);

/* Connects stdout and stderr to output_fd. */
void output_connect(int gate_fd, int output_fd);
