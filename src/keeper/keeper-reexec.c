/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-serialize.h"

#define CHECK_SEC 5

static const struct keeper_header reexec_request = { .type = KEEPER_REEXEC };

static void reexec_close_asker(Keeper *k) {
        if (k->reexec.asker_fd >= 0)
                keeper_unwatch(k, k->reexec.asker_fd);
        k->reexec.asker_fd = fd_close(k->reexec.asker_fd);
}

static void reexec_send_done(int fd, int error) {
        const struct keeper_done m = {
                .header = { .type = KEEPER_DONE },
                .request = KEEPER_REEXEC,
                .error = error,
        };

        /* What was sent can be read even after the end of the connection. */
        (void) socket_send(fd, &m, sizeof(m), NULL, 0);
}

static void reexec_answer(Keeper *k, int error) {
        k->reexec.asked = k->reexec.checked = false;
        if (k->node_waits_for_reexec) {
                k->node_waits_for_reexec = false;
                keeper_pause_node(k, false);
                (void) keeper_reply_done(k, &reexec_request, error);
                keeper_flush(k);
        }
        if (k->reexec.asker_fd >= 0) {
                reexec_send_done(k->reexec.asker_fd, error);
                reexec_close_asker(k);
        }
}

static void reexec_refuse(Keeper *k, int error, const char *why) {
        log_error("Cannot be replaced by %s, continuing: %s", k->self->program, why);
        reexec_answer(k, error);
}

/* The state is the standard input of the new program. */
static int reexec_spawn_check(Keeper *k, int state_fd) {
        char *const argv[] = { (char *) k->self->program, (char *) "--check", NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        pid_t pid = 0;
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        r = posix_spawn_file_actions_init(&actions);
        if (r > 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
                r = posix_spawn_file_actions_adddup2(&actions, state_fd, STDIN_FILENO);
                if (r == 0)
                        r = posix_spawnattr_setflags(
                                &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
                if (r == 0)
                        r = posix_spawnattr_setsigdefault(&attributes, &all);
                if (r == 0)
                        r = posix_spawnattr_setsigmask(&attributes, &none);
                if (r == 0)
                        r = posix_spawn(&pid, k->self->program, &actions, &attributes, argv, environ);
                (void) posix_spawnattr_destroy(&attributes);
        }
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r > 0)
                return -r;

        k->reexec.check_pidfd = pidfd_open_pid(pid); /* valid until it is reaped */
        r = k->reexec.check_pidfd;
        if (r >= 0)
                r = keeper_watch(k, EPOLL_CTL_ADD, k->reexec.check_pidfd, EPOLLIN, &k->reexec.check_watch);
        if (r < 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                k->reexec.check_pidfd = fd_close(k->reexec.check_pidfd);
                return r;
        }
        k->reexec.check_pid = pid;
        return 0;
}

void reexec_ask(Keeper *k, int asker_fd) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        autofd state_fd = -EBADF;
        int r = 0;

        if (k->reexec.asked) {
                if (asker_fd < 0)
                        (void) keeper_reply_done(k, &reexec_request, -EALREADY);
                else
                        reexec_send_done(asker_fd, -EALREADY);
                (void) fd_close(asker_fd);
                return;
        }

        k->reexec.asked = true;
        k->reexec.asker_fd = asker_fd;
        k->node_waits_for_reexec = asker_fd < 0;
        if (asker_fd >= 0)
                r = keeper_watch(k, EPOLL_CTL_ADD, asker_fd, EPOLLRDHUP, &k->reexec.asker_watch);
        else
                keeper_pause_node(k, true);

        if (r >= 0)
                r = keeper_collect(k, &state);
        if (r >= 0)
                r = state_fd = keeper_state_write(&state);
        if (r >= 0)
                r = reexec_spawn_check(k, state_fd);
        if (r < 0)
                reexec_refuse(k, r, strerror(-r));
        else
                k->reexec.deadline_usec = now_usec(CLOCK_MONOTONIC) + CHECK_SEC * USEC_PER_SEC;
}

void reexec_on_check(Keeper *k) {
        siginfo_t info = { 0 };
        char why[128];

        if (waitid(P_PID, (id_t) k->reexec.check_pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return;

        keeper_unwatch(k, k->reexec.check_pidfd);
        k->reexec.check_pidfd = fd_close(k->reexec.check_pidfd);
        k->reexec.check_pid = 0;

        if (info.si_code == CLD_EXITED && info.si_status == 0) {
                k->reexec.checked = true;
                return;
        }
        if (info.si_code == CLD_EXITED)
                (void) snprintf(why, sizeof(why), "its check has ended with exit status %d", info.si_status);
        else if (k->reexec.deadline_usec == 0)
                (void) snprintf(why, sizeof(why), "its check took longer than %d s", CHECK_SEC);
        else
                (void) snprintf(why, sizeof(why), "its check was killed by signal %d", info.si_status);
        reexec_refuse(
                k, info.si_code == CLD_EXITED || k->reexec.deadline_usec > 0 ? -ENOEXEC : -ETIMEDOUT, why);
}

void reexec_on_asker(Keeper *k) {
        reexec_close_asker(k);
        /* If no process waits for the result any more, no check is started. A running check is completed. */
        if (k->reexec.check_pid == 0)
                reexec_answer(k, -ECANCELED);
}

static void state_set_cloexec(const KeeperState *s, int state_fd, bool cloexec) {
        const int own[] = { s->self.listen_fd, s->self.node_fd, s->self.asker_fd, state_fd };

        for (size_t i = 0; i < ELEMENTSOF(own); i++)
                if (own[i] >= 0)
                        (void) fd_cloexec(own[i], cloexec);
        for (size_t i = 0; i < s->n_children; i++) {
                const struct keeper_state_child *c = &s->children[i];
                const int fds[] = { c->pidfd, c->gate_fd, c->stdin_fd, c->release_fd };

                for (size_t j = 0; j < ELEMENTSOF(fds); j++)
                        if (fds[j] >= 0)
                                (void) fd_cloexec(fds[j], cloexec);
        }
        for (size_t i = 0; i < s->n_ports; i++)
                if (s->ports[i].fd >= 0)
                        (void) fd_cloexec(s->ports[i].fd, cloexec);
        for (size_t i = 0; i < s->n_terminal_sockets; i++)
                if (s->terminal_sockets[i].fd >= 0)
                        (void) fd_cloexec(s->terminal_sockets[i].fd, cloexec);
        for (size_t i = 0; i < s->n_notify; i++) {
                (void) fd_cloexec(s->notify[i].fd, cloexec);
                (void) fd_cloexec(s->notify[i].hold_fd, cloexec);
        }
        for (size_t i = 0; i < s->n_terminals; i++) {
                const struct keeper_state_terminal *t = &s->terminals[i];
                const int fds[] = { t->pidfd, t->master_fd, t->control_fd, t->peer_fd, t->output_fd };

                for (size_t j = 0; j < ELEMENTSOF(fds); j++)
                        if (fds[j] >= 0)
                                (void) fd_cloexec(fds[j], cloexec);
        }
}

/* A socket of a role that is gone may have a descriptor in it that must not be closed by this process. The
 * next program never closes it. */
static void shut_set_cloexec(Keeper *k, bool cloexec) {
        LIST_FOREACH (Notify, drop, n, &k->drops)
                if (!n->child)
                        (void) fd_cloexec(n->fd, cloexec);
}

static void reexec_execute(Keeper *k) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        autofd state_fd = -EBADF;
        char number[16];
        int r;

        r = keeper_collect(k, &state);
        if (r >= 0)
                r = state_fd = keeper_state_write(&state);
        if (r < 0) {
                reexec_refuse(k, r, strerror(-r));
                return;
        }

        state_set_cloexec(&state, state_fd, false);
        shut_set_cloexec(k, false);
        (void) snprintf(number, sizeof(number), "%d", state_fd);
        r = setenv(KEEPER_STATE_ENVIRONMENT, number, 1) < 0 ? -errno : 0;
        if (r >= 0) {
                (void) execv(k->self->program, k->self->argv);
                r = -errno;
                (void) unsetenv(KEEPER_STATE_ENVIRONMENT);
        }
        state_set_cloexec(&state, state_fd, true);
        shut_set_cloexec(k, true);
        reexec_refuse(k, r, strerror(-r));
}

int reexec_run(Keeper *k) {
        uint64_t now;

        if (k->reexec.check_pid > 0 && k->reexec.deadline_usec > 0) {
                now = now_usec(CLOCK_MONOTONIC);
                if (now < k->reexec.deadline_usec)
                        return timeout_until(k->reexec.deadline_usec, now);
                k->reexec.deadline_usec = 0;
                (void) pidfd_kill(k->reexec.check_pidfd, SIGKILL);
        }
        if (!k->reexec.checked)
                return -1;
        if (k->reexec.asker_fd < 0 && !k->node_waits_for_reexec) {
                reexec_answer(k, -ECANCELED);
                return -1;
        }
        /* The next program does not know their children. */
        keeper_fail_lookups(k, -ECANCELED);
        if (!k->blocked)
                keeper_flush(k);
        if (keeper_is_quiet(k))
                reexec_execute(k);
        return -1;
}

/* Replies to the processes that requested the re-execution. */
static void reexec_resume(Keeper *k, const KeeperState *s) {
        state_set_cloexec(s, -EBADF, true);
        if (s->self.asker_fd < 0)
                return;
        k->node_waits_for_reexec = s->self.asker_fd == k->node_fd;
        if (!k->node_waits_for_reexec) {
                k->reexec.asker_fd = s->self.asker_fd;
                (void) keeper_watch(k, EPOLL_CTL_ADD, k->reexec.asker_fd, EPOLLRDHUP, &k->reexec.asker_watch);
        }
        reexec_answer(k, 0);
}

int keeper_resume(Keeper *k, const struct keeper_self *self, const KeeperState *state) {
        int r;

        r = keeper_init(k, self, state->self.listen_fd);
        if (r < 0)
                return r;

        k->store.generation = state->self.generation;
        r = keeper_take_over(k, state);
        if (r >= 0)
                store_resume(&k->store, &k->children, &k->children_by_id, &k->sockets, state->stored,
                        state->n_stored);
        if (r >= 0 && state->self.node_fd >= 0) {
                k->node_fd = state->self.node_fd;
                k->version = state->self.node_version;
                k->welcomed = k->version > 0;
                r = keeper_watch(k, EPOLL_CTL_ADD, k->node_fd, EPOLLIN, &k->node_watch);
        }
        if (r < 0)
                return r;
        /* What this node has been sent already it ignores. */
        LIST_FOREACH (Child, link, c, &k->children)
                if (c->notify)
                        keeper_tell_notified(k, c->notify);
        reexec_resume(k, state);
        keeper_flush(k);
        return 0;
}
