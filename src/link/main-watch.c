/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Without a keeper that reports the ends of main processes, their pidfds and the kernel provide them, as far
 * as possible. */

#include <errno.h>
#include <sys/epoll.h>

#include "base/pidref.h"
#include "link/children-private.h"
#include "model/role-start.h"
#include "util/log.h"

static int main_watch_on_pidfd(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Role *role = userdata;
        Children *children = role->node->world.link.data;
        RoleExit exit = role_exit_lost();
        int wait_status = 0;

        int r = pidfd_exit_status(fd, &wait_status);
        if (r == -EAGAIN && !(revents & EPOLLHUP)) {
                /* It is dead, but its new parent has not reaped it yet. The hang-up comes when it has. */
                (void) sd_event_source_set_io_events(s, 0);
                return 0;
        }
        (void) g_hash_table_remove(children->mains, role);
        if (r >= 0)
                (void) exit_status_from_wait(wait_status, &exit.code, &exit.status);
        role_on_exited(role, &exit, role->state != ROLE_STARTING);
        return 0;
}

void main_watch(void *data, Role *role) {
        Children *children = data;
        sd_event_source *source = NULL;

        if (g_hash_table_contains(children->mains, role))
                return;
        int r = sd_event_add_io(
                children->event, &source, role->main_pidfd, EPOLLIN, main_watch_on_pidfd, role);
        if (r < 0)
                role_log_errno(role, LOG_ERR, r, "Cannot watch its main process: %m");
        else
                (void) g_hash_table_insert(children->mains, role, source);
}
