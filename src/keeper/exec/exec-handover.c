/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/fd-util.h"
#include "keeper/exec/exec-handover.h"

/* The ports that the keeper has released. A static is enough, because a child has one thread and one exec,
 * and may fail anywhere after the release. */
static const struct child_sockets *handover_taken = NULL;

int exec_handover_begin(const struct child_sockets *sockets) {
        struct keeper_handover m = { 0 };
        ssize_t n;
        int r;

        if (sockets->release_fd < 0)
                return 0;

        handover_taken = sockets;
        r = socket_send(sockets->release_fd, &m, sizeof(m), NULL, 0);
        if (r < 0)
                return r;
        n = socket_recv(sockets->release_fd, &m, sizeof(m), NULL, NULL);
        return n == sizeof(m) ? 0 : n < 0 ? (int) n : -EPIPE;
}

void exec_handover_undo(void) {
        if (!handover_taken)
                return;
        for (size_t i = handover_taken->n_handed; i < handover_taken->n; i++) {
                struct keeper_handover m = { .port = handover_taken->ports[i] };

                (void) socket_send(handover_taken->release_fd, &m, sizeof(m), &handover_taken->fds[i], 1);
        }
}
