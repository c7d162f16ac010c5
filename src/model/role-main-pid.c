/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/role-main-pid.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "model/node.h"
#include "util/log.h"

static int role_on_main_pid_ended(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Role *role = userdata;

        role_forget_main_pid(role);
        (void) role_save(role);
        ASK(role->node, clients, role_changed, role);
        /* As after the main process of the command. */
        if (role->state == ROLE_STOPPING && role->stop_step == STOP_STEP_ASKED)
                role->node->reports->named_main_ended(role->node, role);
        return 0;
}

/* Opens it, and returns its start time. The caller owns *ret_fd. */
static int process_open(pid_t pid, int *ret_fd, uint64_t *ret_start_time) {
        struct proc_stat stat;

        autofd fd = pidfd_open_pid(pid);
        if (fd < 0)
                return fd;
        /* Read after the pidfd is open, so that it is of the same process. */
        int r = proc_stat_read(pid, &stat);
        if (r < 0)
                return r;
        *ret_start_time = stat.start_time;
        *ret_fd = fd_steal(&fd);
        return 0;
}

static int role_watch_process(Role *role, int fd /* owned by the source */) {
        sd_event_source *source = NULL;

        int r = sd_event_add_io(role->node->event, &source, fd, EPOLLIN, role_on_main_pid_ended, role);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(source, true);
        if (r < 0) {
                sd_event_source_disable_unref(source);
                (void) fd_close(fd);
                return r;
        }
        sd_event_source_disable_unref(role->named_main_watch);
        role->named_main_watch = source;
        return 0;
}

static bool role_scope_has_process(const Role *role, pid_t pid) {
        _cleanup_free_ char *cgroup = NULL;

        if (!role->cgroup || cgroup_of_pid(pid, &cgroup) < 0)
                return false;
        return cgroup_is_below(cgroup, role->cgroup);
}

char *role_name_main_pid(Role *role, pid_t pid) {
        uint64_t start_time = 0;
        int fd = -EBADF;

        if (role->spec->exit_type != EXIT_TYPE_CGROUP)
                return g_strdup("its main process is the one of its command, as without exit-type=cgroup");
        if (pid == role->main_pid) {
                role_forget_main_pid(role);
                return NULL;
        }
        if (pid == role->named_main.pid)
                return NULL;
        int r = process_open(pid, &fd, &start_time);
        if (r < 0)
                return g_strdup(g_strerror(-r));
        if (!role_scope_has_process(role, pid)) {
                (void) fd_close(fd);
                return g_strdup("it is not in the scope of the role");
        }
        r = role_watch_process(role, fd);
        if (r < 0)
                return g_strdup(g_strerror(-r));
        role->named_main = (LoneProcess){ pid, start_time };
        role_log(role, LOG_INFO, "Its main process is %d now", (int) pid);
        return NULL;
}

void role_watch_main_pid(Role *role) {
        uint64_t start_time = 0;
        int fd = -EBADF;

        if (role->named_main.pid == 0 || role->named_main_watch)
                return;
        int r = process_open(role->named_main.pid, &fd, &start_time);
        if (r >= 0 && start_time == role->named_main.start_time)
                r = role_watch_process(role, fd);
        else {
                (void) fd_close(fd);
                r = -ESRCH;
        }
        if (r < 0)
                role_forget_main_pid(role);
}

void role_forget_main_pid(Role *role) {
        role->named_main_watch = sd_event_source_disable_unref(role->named_main_watch);
        role->named_main = (LoneProcess){};
}

pid_t role_main_pid(const Role *role) {
        if (role->state == ROLE_ENDED)
                return 0;
        return role->named_main.pid > 0 ? role->named_main.pid : role->main_pid;
}

bool role_signal_main_pid(Role *role, int signo, Waiter waiter) {
        const LoneProcess *named = &role->named_main;

        return named->pid > 0 && role->child_exists &&
               ASK(role->node, link, signal_process, role, named->pid, named->start_time, signo, waiter) >= 0;
}
