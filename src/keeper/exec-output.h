/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's standard streams. All of it fails through the gate. */

#include "keeper/child.h"
#include "keeper/exec-user.h"
#include "proto/launch-request.h"

/* Takes over stdin_fd; negative: /dev/null. */
void stdin_connect(int gate_fd, int stdin_fd);

/* One stream for both; the caller's. */
int output_open(int gate_fd, const struct keeper_self *self, const LaunchRequest *request,
        const struct identity *who);

/* stdout and stderr, to it. */
void output_connect(int gate_fd, int output_fd);
