/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "keeper/keeper-log.h"
#include "keeper/keeper-private.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-terminal.h"

#define CHECK_SEC 5

static struct watch watch_check = { .type = WATCH_CHECK };
static struct watch watch_asker = { .type = WATCH_ASKER };
static const struct keeper_header reexec_request = { .type = KEEPER_REEXEC };

static void close_asker(Keeper *k) {
        if (k->reexec.asker_fd >= 0)
                unwatch(k, k->reexec.asker_fd);
        k->reexec.asker_fd = fd_close(k->reexec.asker_fd);
}

static void send_done(int fd, int error) {
        const struct keeper_done m = {
                .header = { .type = KEEPER_DONE },
                .request = KEEPER_REEXEC,
                .error = error,
        };

        /* What was sent is there to be read after the end, too. */
        (void) socket_send(fd, &m, sizeof(m), NULL, 0);
}

static void answer(Keeper *k, int error) {
        k->reexec.asked = k->reexec.checked = false;
        if (k->reexec.for_node) {
                k->reexec.for_node = false;
                keeper_pause_node(k, false);
                keeper_reply_done(k, &reexec_request, error);
        }
        if (k->reexec.asker_fd >= 0) {
                send_done(k->reexec.asker_fd, error);
                close_asker(k);
        }
}

static void refuse(Keeper *k, int error, const char *why) {
        log_error("Not replaced by %s, going on: %s", k->self->program, why);
        answer(k, error);
}

/* With the state as its standard input. */
static int spawn_check(Keeper *k, int state_fd) {
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

        k->reexec.check_pidfd = pidfd_open_pid(pid); /* ours until it is reaped */
        r = k->reexec.check_pidfd;
        if (r >= 0)
                r = watch(k, EPOLL_CTL_ADD, k->reexec.check_pidfd, EPOLLIN, &watch_check);
        if (r < 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                k->reexec.check_pidfd = fd_close(k->reexec.check_pidfd);
                return r;
        }
        k->reexec.check_pid = pid;
        return 0;
}

static int collect_into_memfd(Keeper *k) {
        auto_keeper_state state = { 0 };
        int r;

        r = keeper_collect(k, &state);
        return r < 0 ? r : keeper_state_write(&state);
}

void reexec_ask(Keeper *k, int asker_fd) {
        autofd state_fd = -EBADF;
        int r = 0;

        if (k->reexec.asked) {
                if (asker_fd < 0)
                        keeper_reply_done(k, &reexec_request, -EALREADY);
                else
                        send_done(asker_fd, -EALREADY);
                (void) fd_close(asker_fd);
                return;
        }

        k->reexec.asked = true;
        k->reexec.asker_fd = asker_fd;
        k->reexec.for_node = asker_fd < 0;
        if (asker_fd >= 0)
                r = watch(k, EPOLL_CTL_ADD, asker_fd, EPOLLRDHUP, &watch_asker);
        else
                keeper_pause_node(k, true);

        if (r >= 0)
                r = state_fd = collect_into_memfd(k);
        if (r >= 0)
                r = spawn_check(k, state_fd);
        if (r < 0)
                refuse(k, r, strerror(-r));
        else
                k->reexec.deadline_usec = now_usec(CLOCK_MONOTONIC) + CHECK_SEC * USEC_PER_SEC;
}

void reexec_on_check(Keeper *k) {
        siginfo_t info = { 0 };
        char why[128];

        if (waitid(P_PID, (id_t) k->reexec.check_pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return;

        unwatch(k, k->reexec.check_pidfd);
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
        refuse(k, info.si_code == CLD_EXITED || k->reexec.deadline_usec > 0 ? -ENOEXEC : -ETIMEDOUT, why);
}

void reexec_on_asker(Keeper *k) {
        close_asker(k);
        /* Nobody waits for it any more, who would see what comes of it. A check under way is seen to its end. */
        if (k->reexec.check_pid == 0)
                answer(k, -ECANCELED);
}

void reexec_forget_node(Keeper *k) {
        k->reexec.for_node = false;
}

static void set_cloexec(const KeeperState *s, int state_fd, bool cloexec) {
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
        for (size_t i = 0; i < s->n_terminals; i++) {
                const struct keeper_state_terminal *t = &s->terminals[i];
                const int fds[] = { t->pidfd, t->master_fd, t->control_fd, t->peer_fd, t->output_fd };

                for (size_t j = 0; j < ELEMENTSOF(fds); j++)
                        if (fds[j] >= 0)
                                (void) fd_cloexec(fds[j], cloexec);
        }
}

static void execute(Keeper *k) {
        auto_keeper_state state = { 0 };
        autofd state_fd = -EBADF;
        char number[16];
        int r;

        r = keeper_collect(k, &state);
        if (r >= 0)
                r = state_fd = keeper_state_write(&state);
        if (r < 0) {
                refuse(k, r, strerror(-r));
                return;
        }

        set_cloexec(&state, state_fd, false);
        (void) snprintf(number, sizeof(number), "%d", state_fd);
        r = setenv(KEEPER_STATE_ENVIRONMENT, number, 1) < 0 ? -errno : 0;
        if (r >= 0) {
                (void) execv(k->self->program, k->self->argv);
                r = -errno;
                (void) unsetenv(KEEPER_STATE_ENVIRONMENT);
        }
        set_cloexec(&state, state_fd, true);
        refuse(k, r, strerror(-r));
}

int reexec_run(Keeper *k) {
        uint64_t now;

        if (k->reexec.check_pid > 0 && k->reexec.deadline_usec > 0) {
                now = now_usec(CLOCK_MONOTONIC);
                if (now < k->reexec.deadline_usec)
                        return (int) ((k->reexec.deadline_usec - now) / 1000) + 1;
                k->reexec.deadline_usec = 0;
                (void) pidfd_kill(k->reexec.check_pidfd, SIGKILL);
        }
        if (!k->reexec.checked)
                return -1;
        if (k->reexec.asker_fd < 0 && !k->reexec.for_node)
                answer(k, -ECANCELED);
        else if (keeper_is_quiet(k))
                execute(k);
        return -1;
}

/* The state, and back */

static void collect_terminal(const KeeperTerminal *from, uint64_t child, KeeperState *s) {
        struct keeper_state_terminal *to = &s->terminals[s->n_terminals++];

        *to = (struct keeper_state_terminal){
                .child = child,
                .spawned_usec = from->spawned_usec,
                .pid = from->pid,
                .pidfd = from->pidfd,
                .master_fd = from->master_fd,
                .control_fd = from->control_fd,
                .peer_fd = from->peer_fd,
                .output_fd = from->output_fd,
                .flags = (from->over ? KEEPER_STATE_TERMINAL_OVER : 0) |
                         (from->orphan ? KEEPER_STATE_TERMINAL_ORPHAN : 0),
        };
        memcpy(to->role, from->role, sizeof(to->role));
}

int keeper_collect(const Keeper *k, KeeperState *ret) {
        const size_t n = k->children_by_id.n;
        auto_keeper_state s = { 0 };
        size_t n_terminals = 0;
        int r;

        LIST_FOREACH (KeeperTerminal, link, t, &k->terminals)
                n_terminals++;
        s.children = calloc(n + 1, sizeof(s.children[0]));
        s.ports = calloc(k->sockets.n + 1, sizeof(s.ports[0]));
        s.terminals = calloc(n + n_terminals + 1, sizeof(s.terminals[0]));
        if (!s.children || !s.ports || !s.terminals)
                return -ENOMEM;
        r = store_collect(k, &s.stored, &s.n_stored);
        if (r < 0)
                return r;

        s.self = (struct keeper_state_self){
                .pid = k->self->pid,
                .listen_fd = k->listen_fd,
                .node_fd = k->node_fd,
                .asker_fd = k->reexec.for_node ? k->node_fd : k->reexec.asker_fd,
                .node_version = k->welcomed ? k->version : 0,
                .nofile_current = k->self->nofile.rlim_cur,
                .nofile_max = k->self->nofile.rlim_max,
                .generation = k->store.generation,
        };
        LIST_FOREACH (const Child, link, c, &k->children) {
                struct keeper_state_child *to = &s.children[s.n_children++];

                *to = (struct keeper_state_child){
                        .id = c->id,
                        .start_time = c->start_time,
                        .pid = c->pid,
                        .flags = (c->orphan ? KEEPER_STATE_CHILD_ORPHAN : 0) |
                                 (c->exited ? KEEPER_STATE_CHILD_EXITED : 0) |
                                 (c->execed ? KEEPER_STATE_CHILD_EXECED : 0) |
                                 (c->tell_exit ? KEEPER_STATE_CHILD_TELL_EXIT : 0),
                        .pidfd = c->pidfd,
                        .gate_fd = c->gate_fd,
                        .stdin_fd = c->stdin_fd,
                        .release_fd = c->release_fd,
                        .exit = c->exit,
                };
                memcpy(to->role, c->role, sizeof(to->role));
                if (c->terminal)
                        collect_terminal(c->terminal, c->id, &s);
        }
        LIST_FOREACH (const KeeperTerminal, link, t, &k->terminals)
                collect_terminal(t, 0, &s);
        for (size_t i = 0; i < k->sockets.n; i++) {
                const struct reserved_socket *from = k->sockets.all[i];
                struct keeper_state_port *to = &s.ports[s.n_ports++];

                *to = (struct keeper_state_port){
                        .child = from->child, .port = from->port, .fd = from->hold_fd
                };
                memcpy(&to->address, &from->address, sizeof(to->address));
        }

        *ret = s;
        s = (KeeperState){ 0 };
        return 0;
}

static int take_terminal(const struct keeper_state_terminal *from, KeeperTerminal **ret) {
        KeeperTerminal *terminal = calloc(1, sizeof(*terminal));

        if (!terminal)
                return -ENOMEM;
        keeper_terminal_init(terminal, from->role);
        terminal->master_fd = from->master_fd;
        terminal->control_fd = from->control_fd;
        terminal->peer_fd = from->peer_fd;
        terminal->output_fd = from->output_fd;
        terminal->pid = from->pid;
        terminal->pidfd = from->pidfd;
        terminal->spawned_usec = from->spawned_usec;
        terminal->over = from->flags & KEEPER_STATE_TERMINAL_OVER;
        terminal->orphan = from->flags & KEEPER_STATE_TERMINAL_ORPHAN;
        *ret = terminal;
        return 0;
}

static int take_child(Keeper *k, const struct keeper_state_child *from) {
        Child *child = calloc(1, sizeof(*child));
        int r;

        if (!child)
                return -ENOMEM;
        child_init(child, from->id, from->role);
        child->start_time = from->start_time;
        child->pid = from->pid;
        child->pidfd = from->pidfd;
        child->gate_fd = from->gate_fd;
        child->stdin_fd = from->stdin_fd;
        child->release_fd = from->release_fd;
        child->orphan = from->flags & KEEPER_STATE_CHILD_ORPHAN;
        child->exited = from->flags & KEEPER_STATE_CHILD_EXITED;
        child->execed = from->flags & KEEPER_STATE_CHILD_EXECED;
        child->exit = from->exit;

        r = keeper_add_child(k, child, k->children.prev);
        if (r < 0) {
                (void) child_free(child);
                return r;
        }
        if (from->flags & KEEPER_STATE_CHILD_TELL_EXIT)
                keeper_tell_exit(k, child);
        return 0;
}

static int take_terminal_of(Keeper *k, const struct keeper_state_terminal *from) {
        Child *child = keeper_find_child(k, from->child);
        KeeperTerminal *terminal;
        int r;

        if (from->child != 0 && (!child || child->terminal))
                return 0; /* nobody's */
        r = take_terminal(from, &terminal);
        if (r < 0)
                return r;
        terminal->child = child;
        if (child) {
                child->terminal = terminal;
                return 0;
        }
        list_append(&k->terminals, &terminal->link);
        return keeper_watch_terminal(k, terminal);
}

int keeper_take_over(Keeper *k, const KeeperState *s) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->n_children; i++)
                r = take_child(k, &s->children[i]);
        for (size_t i = 0; r >= 0 && i < s->n_terminals; i++)
                r = take_terminal_of(k, &s->terminals[i]);
        if (r >= 0)
                LIST_FOREACH (Child, link, c, &k->children)
                        if (r >= 0)
                                r = keeper_watch_child(k, c);
        for (size_t i = 0; r >= 0 && i < s->n_ports; i++) {
                struct reserved_socket socket = {
                        .port = s->ports[i].port, .hold_fd = s->ports[i].fd, .child = s->ports[i].child
                };
                Child *child;

                memcpy(&socket.address, &s->ports[i].address, sizeof(s->ports[i].address));
                child = keeper_find_child(k, socket.child);
                r = sockets_take_over(&k->sockets, &socket, child ? &child->sockets : NULL);
        }
        return r;
}

void reexec_resume(Keeper *k, const KeeperState *s) {
        set_cloexec(s, -EBADF, true);
        if (s->self.asker_fd < 0)
                return;
        k->reexec.for_node = s->self.asker_fd == k->node_fd;
        if (!k->reexec.for_node) {
                k->reexec.asker_fd = s->self.asker_fd;
                (void) watch(k, EPOLL_CTL_ADD, k->reexec.asker_fd, EPOLLRDHUP, &watch_asker);
        }
        answer(k, 0);
}
