/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "keeper/exec/exec-parameters.h"

void terminal_ends_close(struct terminal_ends *ends) {
        ends->slave = fd_close(ends->slave);
        ends->control = fd_close(ends->control);
        ends->output = fd_close(ends->output);
}

void child_sockets_close(struct child_sockets *sockets) {
        for (size_t i = 0; i < sockets->n; i++)
                sockets->fds[i] = fd_close(sockets->fds[i]);
}

int exec_die_with(pid_t parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;

        /* The parent may have died before the prctl(). */
        return getppid() == parent ? 0 : -ESRCH;
}
