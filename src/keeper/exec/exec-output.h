/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's standard streams. All of it fails through the gate. */

#include "keeper/exec/exec-parameters.h"
#include "keeper/exec/exec-user.h"
#include "proto/launch-request.h"

/* Takes over stdin_fd. */
void stdin_connect(const ExecParameters *p);

/* One stream for both; the caller's. */
int output_open(const ExecParameters *p, const LaunchRequest *request, const struct identity *who);

/* stdout and stderr, to it. */
void output_connect(int gate_fd, int output_fd);
