/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "keeper/child.h"
#include "keeper/exec/exec-account.h"
#include "keeper/lookup.h"

int lookup_new(const struct keeper_self *self, const struct keeper_lookup *request, Lookup **ret) {
        autofd ours = -EBADF, theirs = -EBADF;
        int pair[2], pidfd = -EBADF, r;
        Lookup *lookup;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        r = fd_nonblock(ours, true);
        if (r < 0)
                return r;
        lookup = calloc(1, sizeof(*lookup));
        if (!lookup)
                return -ENOMEM;

        pid = child_clone(&pidfd);
        if (pid == 0)
                account_invoke(self->pid, theirs, request);
        if (pid < 0) {
                free(lookup);
                return pid;
        }
        lookup->deadline_usec = now_usec(CLOCK_MONOTONIC) + KEEPER_LOOKUP_TIMEOUT_USEC;
        lookup->pidfd = pidfd;
        lookup->fd = fd_steal(&ours);
        lookup->watch = (struct watch){ .type = WATCH_LOOKUP, .lookup = lookup };
        lookup->result.header =
                (struct keeper_header){ .type = KEEPER_LOOKED_UP, .child = request->header.child };
        list_init(&lookup->link);
        list_init(&lookup->to_tell);
        *ret = lookup;
        return 0;
}

Lookup *lookup_free(Lookup *lookup) {
        list_remove(&lookup->link);
        list_remove(&lookup->to_tell);
        (void) fd_close(lookup->pidfd);
        (void) fd_close(lookup->fd);
        free(lookup);
        return NULL;
}

Lookup *lookup_abandon(Lookup *lookup) {
        siginfo_t info;

        (void) pidfd_kill(lookup->pidfd, SIGKILL);
        (void) pidfd_waitid(lookup->pidfd, &info, NULL, WEXITED);
        return lookup_free(lookup);
}

void lookup_fail(Lookup *lookup, int error) {
        if (!lookup->over)
                lookup->result.error = error;
        lookup->over = true;
        (void) pidfd_kill(lookup->pidfd, SIGKILL);
}

static int lookup_read(Lookup *lookup) {
        const struct keeper_header header = lookup->result.header;
        ssize_t n;

        n = socket_recv(lookup->fd, &lookup->result, sizeof(lookup->result), NULL, NULL);
        if (n < (ssize_t) keeper_looked_up_size(0) || lookup->result.n_groups > KEEPER_ACCOUNT_GROUPS_MAX ||
                (size_t) n != keeper_looked_up_size(lookup->result.n_groups)) {
                /* A module of NSS has ended it. */
                lookup->result = (struct keeper_looked_up){ .header = header, .error = -EIO };
                return -EIO;
        }
        return 0;
}

bool lookup_check_exit(Lookup *lookup) {
        siginfo_t info;

        if (lookup->ended)
                return true;
        if (pidfd_waitid(lookup->pidfd, &info, NULL, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return false;
        lookup->ended = true;
        if (!lookup->over)
                (void) lookup_read(lookup);
        lookup->over = true;
        return true;
}
