/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "keeper/child.h"
#include "keeper/exec/exec-invoke.h"
#include "keeper/hold.h"
#include "keeper/keeper-terminal.h"
#include "keeper/notify.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* waitid() of the C library drops the last argument, and with it the resource usage that the kernel returns
 * with WNOWAIT, too. */
int pidfd_waitid(int pidfd, siginfo_t *ret_info, struct rusage *ret_usage, int options) {
        memset(ret_info, 0, sizeof(*ret_info));
        return syscall(SYS_waitid, P_PIDFD, pidfd, ret_info, options, ret_usage) < 0 ? -errno : 0;
}

static uint64_t timeval_usec(const struct timeval *tv) {
        return (uint64_t) tv->tv_sec * USEC_PER_SEC + (uint64_t) tv->tv_usec;
}

/* Uses clone3() instead of fork() and pidfd_open(), because it is one call, and a failure with -EAGAIN or
 * -EMFILE leaves nothing behind. Without CLONE_VM it works like fork(). Only the thread id that the C library
 * has cached is wrong in the child, and nothing there uses it. */
static pid_t child_clone_at(int cgroup_fd, int *ret_pidfd) {
        struct clone_args args = {
                .flags = CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
                .pidfd = (uint64_t) (uintptr_t) ret_pidfd,
                .exit_signal = SIGCHLD,
                .cgroup = cgroup_fd >= 0 ? (uint64_t) cgroup_fd : 0,
        };
        long pid = syscall(SYS_clone3, &args, sizeof(args));

        return pid < 0 ? -errno : (pid_t) pid;
}

pid_t child_clone(int *ret_pidfd) {
        return child_clone_at(-EBADF, ret_pidfd);
}

/* A cgroup of v2 that has others below, with controllers, cannot have a process. systemd has the same one for
 * the commands of a service to which its cgroup is delegated. */
#define CGROUP_CONTROL ".control"

/* With v2 alone the child is born there. Otherwise it is moved there at once, while it waits at its gate,
 * because a clone can name the cgroup of v2 only. */
static pid_t child_clone_into(const char *cgroup, int *ret_pidfd) {
        autofd fd = -EBADF, control_fd = -EBADF;
        pid_t pid;
        int r;

        if (!cgroup_is_unified()) {
                pid = child_clone(ret_pidfd);
                r = pid > 0 ? cgroup_attach(cgroup, pid) : 0;
                if (r < 0) {
                        (void) pidfd_kill(*ret_pidfd, SIGKILL);
                        (void) pidfd_waitid(*ret_pidfd, &(siginfo_t){ 0 }, &(struct rusage){ 0 }, WEXITED);
                        *ret_pidfd = fd_close(*ret_pidfd);
                        return r;
                }
                return pid;
        }

        fd = cgroup_open(cgroup);
        if (fd < 0)
                return fd;
        pid = child_clone_at(fd, ret_pidfd);
        if (pid != -EBUSY && pid != -EOPNOTSUPP)
                return pid;
        if (mkdirat(fd, CGROUP_CONTROL, 0755) < 0 && errno != EEXIST)
                return -errno;
        control_fd = openat(fd, CGROUP_CONTROL, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return control_fd < 0 ? -errno : child_clone_at(control_fd, ret_pidfd);
}

void child_init(Child *child, uint64_t id, const char *role) {
        child->id = id;
        (void) snprintf(child->role, sizeof(child->role), "%s", role);
        child->pidfd = child->gate_fd = child->stdin_fd = child->release_fd = -EBADF;
        child->pidfd_watch = (struct watch){ .type = WATCH_PIDFD, .child = child };
        child->gate_watch = (struct watch){ .type = WATCH_GATE, .child = child };
        child->release_watch = (struct watch){ .type = WATCH_RELEASE, .child = child };
        list_init(&child->link);
        list_init(&child->sockets);
        list_init(&child->to_tell);
        list_init(&child->to_store);
}

static void child_freep(Child **child) {
        (void) child_free(*child);
}

static void pair_close(int (*pair)[2]) {
        (void) fd_close((*pair)[0]);
        (void) fd_close((*pair)[1]);
}
#define _cleanup_pair_ _cleanup_(pair_close)

static int child_make(const struct keeper_self *self, uint64_t id, const char *role, uint32_t flags,
        const char *cgroup, struct child_sockets *sockets, Notify *notify, Child **ret) {
        _cleanup_pair_ int gate[2] = { -EBADF, -EBADF }, input[2] = { -EBADF, -EBADF },
                           release[2] = { -EBADF, -EBADF };
        _cleanup_(terminal_ends_close) struct terminal_ends ends = TERMINAL_ENDS_NONE;
        _cleanup_(child_freep) Child *child = NULL;
        struct proc_stat stat;
        int r;

        child = calloc(1, sizeof(*child));
        if (!child)
                return -ENOMEM;

        child_init(child, id, role);

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate) < 0 ||
                (sockets->n > sockets->n_handed &&
                        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, release) < 0))
                return -errno;
        if (flags & KEEPER_FORK_STDIN_PIPE) {
                r = hold_pipe(input);
                if (r < 0)
                        return r;
        }

        /* O_NONBLOCK belongs to the open file. It is set on the ends that node and keeper share, never on the
         * end of the child. */
        r = fd_nonblock(gate[0], true);
        if (r >= 0 && input[1] >= 0)
                r = fd_nonblock(input[1], true);
        if (r >= 0 && release[0] >= 0)
                r = fd_nonblock(release[0], true);
        if (r < 0)
                return r;

        if (flags & (KEEPER_FORK_TERMINAL | KEEPER_FORK_TIMESTAMPS)) {
                r = keeper_terminal_new(role, flags, &child->terminal, &ends);
                if (r < 0)
                        return r;
                child->terminal->child = child;
        }

        sockets->release_fd = release[1];
        child->pid = cgroup ? child_clone_into(cgroup, &child->pidfd) : child_clone(&child->pidfd);
        if (child->pid == 0)
                exec_invoke(&(ExecParameters){
                        .keeper_pid = self->pid,
                        .nofile = self->nofile,
                        .arguments = self->arguments,
                        .arguments_size = self->arguments_size,
                        .ignored = &self->ignored,
                        .role = role,
                        .gate_fd = gate[1],
                        .stdin_fd = input[0],
                        .stream_fd = -EBADF,
                        .terminal = ends,
                        .sockets = sockets,
                        .notify_path = notify ? notify->path : NULL,
                });
        child_sockets_close(sockets);
        if (child->pid < 0)
                return child->pid;

        /* This happens before the ends of the child are closed here. So each child leaves room for the
         * descriptor that child_has_execed() needs, however close the limit is. */
        r = proc_stat_read(child->pid, &stat);
        if (r >= 0 && child->terminal) {
                r = keeper_terminal_spawn(self, child->terminal);
                if (r < 0)
                        log_error("Cannot start %s for role %s: %s", self->terminal_program, role,
                                strerror(-r));
        }
        if (r < 0) {
                child_kill(child);
                return r;
        }

        child->start_time = stat.start_time;
        child->gate_fd = fd_steal(&gate[0]);
        child->stdin_fd = fd_steal(&input[1]);
        child->release_fd = fd_steal(&release[0]);
        child->notify = notify;
        if (notify)
                notify->child = child;
        *ret = child;
        child = NULL;
        return 0;
}

int child_new(const struct keeper_self *self, uint64_t id, const char *role, uint32_t flags,
        const char *cgroup, struct child_sockets *sockets, Notify *notify, Child **ret) {
        int r = child_make(self, id, role, flags, cgroup, sockets, notify, ret);

        child_sockets_close(sockets);
        return r;
}

Child *child_free(Child *child) {
        if (!child)
                return NULL;

        (void) fd_close(child->pidfd);
        (void) fd_close(child->gate_fd);
        (void) fd_close(child->stdin_fd);
        (void) fd_close(child->release_fd);
        (void) keeper_terminal_free(child->terminal);
        (void) notify_free(child->notify);
        free(child);
        return NULL;
}

bool child_has_execed(const Child *child) {
        struct proc_stat stat;
        int r;

        if (child->exited)
                return child->execed;

        r = proc_stat_read(child->pid, &stat);
        if (r < 0) {
                /* child_new() ensures that this does not happen. If it happens all the same, the status is
                 * still correct, and "failed to start" would be a statement without evidence. */
                log_warning("Cannot read how far the child of role %s got, taking it for started: %s",
                        child->role, strerror(-r));
                return true;
        }

        return !(stat.flags & PROC_STAT_FORKNOEXEC);
}

static int child_check_orphan(Child *child) {
        int status, r;

        r = pidfd_exit_status(child->pidfd, &status);
        /* The process is dead, but its current parent has not reaped it yet. Another event arrives when that
         * is done. */
        if (r == -EAGAIN || (r < 0 && !pidfd_has_exited(child->pidfd)))
                return 0;

        child->exit = (struct keeper_exit_record){
                .wait_status = r < 0 ? 0 : status,
                .flags = KEEPER_EXIT_NO_USAGE | (r < 0 ? KEEPER_EXIT_UNKNOWN : 0),
                .realtime_usec = now_usec(CLOCK_REALTIME),
                .monotonic_usec = now_usec(CLOCK_MONOTONIC),
        };
        child->execed = child->exited = true;
        return 1;
}

int child_check_exit(Child *child) {
        struct rusage usage;
        siginfo_t info;
        int r;

        if (child->exited)
                return 1;
        if (child->orphan)
                return child_check_orphan(child);

        r = pidfd_waitid(child->pidfd, &info, &usage, WEXITED | WNOHANG | WNOWAIT);
        if (r < 0)
                return r;
        if (info.si_pid == 0)
                return 0;

        child->exit = (struct keeper_exit_record){
                .wait_status = info.si_code == CLD_EXITED   ? (info.si_status & 0xff) << 8
                               : info.si_code == CLD_DUMPED ? info.si_status | 0x80
                                                            : info.si_status,
                .realtime_usec = now_usec(CLOCK_REALTIME),
                .monotonic_usec = now_usec(CLOCK_MONOTONIC),
                .cpu_user_usec = timeval_usec(&usage.ru_utime),
                .cpu_system_usec = timeval_usec(&usage.ru_stime),
                .maxrss_bytes = (uint64_t) usage.ru_maxrss * 1024,
        };
        child->execed = child_has_execed(child);
        child->exited = true;
        return 1;
}

int child_reap(Child *child) {
        siginfo_t info;
        struct rusage usage;

        return child->orphan ? 0 : pidfd_waitid(child->pidfd, &info, &usage, WEXITED | WNOHANG);
}

void child_kill(Child *child) {
        (void) pidfd_kill(child->pidfd, SIGKILL);
        (void) pidfd_waitid(child->pidfd, &(siginfo_t){ 0 }, &(struct rusage){ 0 }, WEXITED);
}

size_t child_fds(const Child *child, int ret_fds[static CHILD_FDS_MAX], uint32_t *ret_mask) {
        const KeeperTerminal *terminal = child->terminal;
        size_t n = 0;

        ret_fds[n++] = child->pidfd;
        *ret_mask = KEEPER_FD_PIDFD;
        if (child->gate_fd >= 0) {
                ret_fds[n++] = child->gate_fd;
                *ret_mask |= KEEPER_FD_GATE;
        }
        if (child->stdin_fd >= 0) {
                ret_fds[n++] = child->stdin_fd;
                *ret_mask |= KEEPER_FD_STDIN;
        }
        if (terminal && !terminal->over && !terminal->is_pipe) {
                ret_fds[n++] = terminal->control_fd;
                ret_fds[n++] = terminal->master_fd;
                *ret_mask |= KEEPER_FD_TERMINAL | KEEPER_FD_MASTER;
        }

        return n;
}
