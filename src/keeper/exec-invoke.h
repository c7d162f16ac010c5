/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a child does between its clone and its exec: it waits at the gate, reads its launch request, sets itself up and
 * becomes the role. It has one thread, so the C library and NSS may be used; it may fail only through gate_fail(). */

#include "base/macro.h"
#include "keeper/child.h"
#include "keeper/sockets.h"
#include "keeper/terminal.h"

/* The exit status of a child that has not become a role. */
#define EXEC_FAILED 255

/* Until the exec a child dies with its keeper. To be said again after each change of credentials, which clear it.
 * -ESRCH: the keeper is gone already. */
int exec_die_with_keeper(const struct keeper_self *self);

/* stdin_fd may be negative: /dev/null, or the terminal if there is one. */
_noreturn_ void exec_invoke(const struct keeper_self *self, int gate_fd, int stdin_fd,
        struct terminal_ends *terminal, struct child_sockets *sockets);
