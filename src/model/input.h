/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What clients write to a role's standard input: a bounded queue in front of the pipe. The one who writes hears when the pipe has
 * taken it all; nothing ever blocks. */

#include <systemd/sd-event.h>

#include "model/model-forward.h"
#include "model/world.h"

#define INPUT_QUEUE_MAX (4U * 1024U * 1024U) /* bytes that may wait, a role */

/* The fd (O_NONBLOCK) stays the role's. */
RoleInput *input_new(Role *role, sd_event *event);
RoleInput *input_free(RoleInput *input, const Fault *reason); /* those who wait hear the reason */

/* Queues bytes that stay valid until release(owner); newline adds one. The waiter is told once they are all in the pipe. On
 * failure nothing is taken: InputFull, NoInput. */
int input_write(RoleInput *input, const void *data, size_t size, bool newline, void *owner,
        void (*release)(void *owner), Waiter waiter, Fault *fault);

/* End-of-file after what is queued. */
int input_close(RoleInput *input, Waiter waiter, Fault *fault);

/* 0: the role is in a state that takes input, and has a pipe: role->input is there. RoleNotRunning, NoInput. */
int input_find(Role *role, Fault *fault);
