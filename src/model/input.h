/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A RoleInput is a bounded queue in front of the pipe that is the standard input of a role. A client that
 * writes receives the reply when the pipe has taken all of its data. No function blocks. */

#include <systemd/sd-event.h>

#include "model/caller.h"
#include "model/model-forward.h"
#include "model/world.h"

#define INPUT_QUEUE_MAX (4U * 1024U * 1024U) /* bytes that may be queued for a role */

/* The role keeps the ownership of the fd, which must be O_NONBLOCK. */
RoleInput *input_new(Role *role);
RoleInput *input_free(RoleInput *input, const Fault *reason); /* The pending waiters receive the reason. */

/* Queues bytes that stay valid until release(owner) is called; newline adds one. The waiter is called once
 * all bytes are in the pipe. If the call fails (InputFull, LimitReached, NoInput), no bytes are queued. */
int input_write(RoleInput *input, const void *data, size_t size, bool newline, void *owner,
        void (*release)(void *owner), const Caller *caller, Waiter waiter, Fault *fault);

/* Closes the pipe after the queued bytes. */
int input_close(RoleInput *input, const Caller *caller, Waiter waiter, Fault *fault);

/* The role is being stopped, so a pipe takes no more input. What is queued is dropped, and its waiters fail
 * with NoInput. On disk the state "stopping" stands for this. A terminal stays. */
void input_refuse(Role *role);
/* The same, after the stop signal. Some programs act on the signal only when their standard input ends, so
 * the pipe is closed, for good and also in the keeper. SIGKILL needs no help, and an end-of-file that comes
 * before it would give the role an exit status of its own. */
void input_end(Role *role);

/* The keeper is connected again. If the pipe was to be closed and the keeper still has its end, the keeper is
 * requested to close it once more. */
void input_resume(RoleInput *input);

/* Returns 0 if the state of the role permits input and role->input exists. Fails with RoleNotRunning or
 * NoInput. */
int input_find(Role *role, Fault *fault);
