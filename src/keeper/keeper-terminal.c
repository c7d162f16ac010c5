/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "keeper/hold.h"
#include "keeper/keeper-terminal.h"
#include "proto/terminal-protocol.h"

#define RESPAWN_MSEC 1000
/* One that is over is gone in a moment, unless a process that the role has left behind keeps the terminal
 * open. So this is rarely done at all. */
#define LOOK_MSEC 1000

static int msec_left(uint64_t since_usec, int msec, uint64_t monotonic_usec) {
        uint64_t passed;

        if (since_usec >= monotonic_usec)
                return msec;
        passed = (monotonic_usec - since_usec) / USEC_PER_MSEC;
        return passed >= (uint64_t) msec ? 0 : msec - (int) passed;
}

static int keeper_terminal_open_pair(int *ret_master, int *ret_slave) {
        const struct winsize size = { .ws_row = TERMINAL_ROWS_DEFAULT, .ws_col = TERMINAL_COLUMNS_DEFAULT };
        autofd master = -EBADF, slave = -EBADF;

        /* O_NONBLOCK belongs to the open file, which keeper, node and architect-terminal share. */
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        if (master < 0 || unlockpt(master) < 0)
                return -errno;

        /* The slave is not opened by its name, because /dev/pts may belong to another mount. */
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0 || ioctl(slave, TIOCSWINSZ, &size) < 0)
                return -errno;

        *ret_master = fd_steal(&master);
        *ret_slave = fd_steal(&slave);
        return 0;
}

static int keeper_terminal_open_pipe(int *ret_read, int *ret_write) {
        int fds[2], r;

        r = hold_pipe(fds);
        if (r < 0)
                return r;
        *ret_read = fds[0];
        *ret_write = fds[1];
        return fd_nonblock(fds[0], true);
}

void keeper_terminal_init(KeeperTerminal *terminal, const char *role) {
        (void) snprintf(terminal->role, sizeof(terminal->role), "%s", role);
        terminal->master_fd = terminal->control_fd = terminal->peer_fd = terminal->output_fd =
                terminal->pidfd = -EBADF;
        terminal->watch = (struct watch){ .type = WATCH_TERMINAL, .terminal = terminal };
        list_init(&terminal->link);
        list_init(&terminal->missing);
        list_init(&terminal->ending);
        list_init(&terminal->sockets);
}

int keeper_terminal_new(
        const char *role, uint32_t flags, KeeperTerminal **ret, struct terminal_ends *ret_ends) {
        int control[2] = { -EBADF, -EBADF }, output[2] = { -EBADF, -EBADF }, r;
        struct terminal_ends ends = TERMINAL_ENDS_NONE;
        KeeperTerminal *terminal;

        terminal = calloc(1, sizeof(*terminal));
        if (!terminal)
                return -ENOMEM;

        keeper_terminal_init(terminal, role);
        terminal->timestamps = flags & KEEPER_FORK_TIMESTAMPS;
        terminal->is_pipe = ends.is_pipe = !(flags & KEEPER_FORK_TERMINAL);
        r = terminal->is_pipe ? keeper_terminal_open_pipe(&terminal->master_fd, &ends.slave)
                              : keeper_terminal_open_pair(&terminal->master_fd, &ends.slave);
        if (r >= 0 &&
                (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, control) < 0 ||
                        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, output) < 0))
                r = -errno;
        terminal->control_fd = control[0];
        terminal->peer_fd = control[1];
        terminal->output_fd = output[0];
        ends.output = output[1];
        if (r >= 0) {
                ends.control = fcntl(terminal->control_fd, F_DUPFD_CLOEXEC, 3);
                r = ends.control < 0 ? -errno : 0;
        }
        if (r < 0) {
                terminal_ends_close(&ends);
                (void) keeper_terminal_free(terminal);
                return r;
        }

        *ret = terminal;
        *ret_ends = ends;
        return 0;
}

static void keeper_terminal_close_kept(KeeperTerminal *terminal) {
        terminal->master_fd = fd_close(terminal->master_fd);
        terminal->control_fd = fd_close(terminal->control_fd);
        terminal->peer_fd = fd_close(terminal->peer_fd);
        terminal->output_fd = fd_close(terminal->output_fd);
}

KeeperTerminal *keeper_terminal_free(KeeperTerminal *terminal) {
        if (!terminal)
                return NULL;

        list_remove(&terminal->link);
        list_remove(&terminal->missing);
        list_remove(&terminal->ending);
        keeper_terminal_close_kept(terminal);
        (void) fd_close(terminal->pidfd);
        free(terminal);
        return NULL;
}

/* The descriptors keep their numbers: adddup2() of a descriptor to itself only makes it stay open. */
static int keeper_terminal_prepare_spawn(
        const KeeperTerminal *terminal, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes) {
        const int fds[] = { terminal->master_fd, terminal->peer_fd, terminal->output_fd };
        sigset_t none, all;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                r = posix_spawn_file_actions_adddup2(actions, fds[i], fds[i]);
                if (r > 0)
                        return -r;
        }

        sigemptyset(&none);
        sigfillset(&all);
        r = posix_spawnattr_setflags(
                attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        if (r == 0)
                r = posix_spawnattr_setsigmask(attributes, &none);
        return -r;
}

int keeper_terminal_spawn(const struct keeper_self *self, KeeperTerminal *terminal) {
        char master[32], control[32], output[32];
        char *const timestamps = terminal->timestamps ? (char *) "--timestamps" : NULL;
        char *const argv[] = { (char *) "architect-terminal", master, control, output,
                timestamps ?: terminal->role, timestamps ? terminal->role : NULL, NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        pid_t pid;
        int r;

        terminal->spawned_usec = now_usec(CLOCK_MONOTONIC);
        (void) snprintf(master, sizeof(master), "--master=%d", terminal->master_fd);
        (void) snprintf(control, sizeof(control), "--control=%d", terminal->peer_fd);
        (void) snprintf(output, sizeof(output), "--output=%d", terminal->output_fd);

        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = -posix_spawnattr_init(&attributes);
        if (r >= 0) {
                r = keeper_terminal_prepare_spawn(terminal, &actions, &attributes);
                if (r >= 0)
                        r = -posix_spawn(&pid, self->terminal_program, &actions, &attributes, argv, environ);
                (void) posix_spawnattr_destroy(&attributes);
        }
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r < 0)
                return r;

        /* Belongs to this process until it is reaped; no other process can get the number before. */
        terminal->pid = pid;
        terminal->pidfd = pidfd_open_pid(pid);
        if (terminal->pidfd < 0) {
                r = terminal->pidfd;
                keeper_terminal_kill(terminal);
                return r;
        }
        return 0;
}

void keeper_terminal_kill(KeeperTerminal *terminal) {
        if (terminal->pid <= 0)
                return;

        (void) kill(terminal->pid, SIGKILL);
        (void) waitpid(terminal->pid, NULL, 0);
        terminal->pid = 0;
        terminal->pidfd = fd_close(terminal->pidfd);
}

void keeper_terminal_end(KeeperTerminal *terminal) {
        /* The user of the role may have stopped it. If he stops it again, keeper_terminal_look() notices. */
        if (terminal->pidfd >= 0)
                (void) pidfd_kill(terminal->pidfd, SIGCONT);
        /* The socket is shut down, because the node has a copy of it. */
        (void) shutdown(terminal->control_fd, SHUT_RDWR);
        terminal->over = true;
        terminal->looked_usec = now_usec(CLOCK_MONOTONIC);
        list_remove(&terminal->missing);
        keeper_terminal_close_kept(terminal);
}

int keeper_terminal_look(KeeperTerminal *terminal, uint64_t monotonic_usec) {
        const int left = msec_left(terminal->looked_usec, LOOK_MSEC, monotonic_usec);
        struct proc_stat stat;

        if (left > 0)
                return left;
        terminal->looked_usec = monotonic_usec;
        /* An orphan is reaped by somebody else, so the number may be that of another process, unlike the
         * descriptor. */
        if (proc_stat_read(terminal->pid, &stat) >= 0 && stat.state == 'T' &&
                pidfd_kill(terminal->pidfd, SIGKILL) >= 0)
                log_warning("The architect-terminal of role %s, which has ended, was stopped, killed it",
                        terminal->role);
        return 0;
}

bool keeper_terminal_check_exit(KeeperTerminal *terminal) {
        int status = 0;

        if (terminal->orphan ? !pidfd_has_exited(terminal->pidfd)
                             : waitpid(terminal->pid, &status, WNOHANG) != terminal->pid)
                return false;

        if (!terminal->over && terminal->orphan)
                log_warning("The architect-terminal of role %s has ended, starting another", terminal->role);
        else if (!terminal->over)
                log_warning("The architect-terminal of role %s has ended (%s %d), starting another",
                        terminal->role, WIFSIGNALED(status) ? "signal" : "exit status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        terminal->pid = 0;
        terminal->orphan = false;
        return true;
}

int keeper_terminal_wait_msec(const KeeperTerminal *terminal, uint64_t monotonic_usec) {
        return msec_left(terminal->spawned_usec, RESPAWN_MSEC, monotonic_usec);
}
