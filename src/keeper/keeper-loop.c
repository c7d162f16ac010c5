/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "keeper/keeper-log.h"
#include "keeper/keeper-loop.h"
#include "keeper/keeper-private.h"
#include "keeper/keeper-terminal.h"

#define ACCEPT_RETRY_MSEC 1000

struct watch keeper_watch_listener = { .type = WATCH_LISTENER };
struct watch keeper_watch_node = { .type = WATCH_NODE };
struct watch keeper_watch_refused = { .type = WATCH_REFUSED };
static struct watch watch_signal = { .type = WATCH_SIGNAL };

Child *keeper_find_child(const Keeper *k, uint64_t id) {
        return id_map_get(&k->children_by_id, id);
}

int keeper_add_child(Keeper *k, Child *child, ListLink *after) {
        int r = id_map_put(&k->children_by_id, child->id, child);

        if (r >= 0)
                list_insert_after(after, &child->link);
        return r;
}

void keeper_forget_child(Keeper *k, Child *child) {
        if (list_is_linked(&child->link))
                (void) id_map_remove(&k->children_by_id, child->id);
        list_remove(&child->link);
        list_remove(&child->to_tell);
        store_forget_child(&k->store, child);

        if (child->gate_fd >= 0)
                unwatch(k, child->gate_fd);
        if (child->release_fd >= 0)
                unwatch(k, child->release_fd);
        unwatch(k, child->pidfd);
        /* It may still show what the role said last. */
        if (child->terminal && child->terminal->pid > 0) {
                list_prepend(&k->terminals, &child->terminal->link);
                child->terminal->child = NULL;
                child->terminal = NULL;
        }
        (void) child_free(child);
}

int keeper_watch_terminal(Keeper *k, KeeperTerminal *terminal) {
        return watch(k, EPOLL_CTL_ADD, terminal->pidfd, EPOLLIN | EPOLLET, &terminal->watch);
}

/* Sorted by the time of the next start. The place of a new one is near the end, since each waits a second at most. */
static void queue_terminal(Keeper *k, KeeperTerminal *terminal) {
        ListLink *after = k->terminals_missing.prev;

        while (after != &k->terminals_missing &&
                keeper_terminal_of_missing(after)->spawned_usec > terminal->spawned_usec)
                after = after->prev;
        list_remove(&terminal->missing);
        list_insert_after(after, &terminal->missing);
}

int keeper_watch_child(Keeper *k, Child *child) {
        int r = 0;

        /* A pidfd by its edges: while a debugger holds a dead child it is readable, and yet not ours to wait for; the
         * edge comes again when the debugger lets go. A gate is watched for its hang-up only, which is always told. */
        if (!child->exited)
                r = watch(k, EPOLL_CTL_ADD, child->pidfd, EPOLLIN | EPOLLET, &child->pidfd_watch);
        if (r >= 0 && child->gate_fd >= 0)
                r = watch(k, EPOLL_CTL_ADD, child->gate_fd, 0, &child->gate_watch);
        if (r >= 0 && child->release_fd >= 0)
                r = watch(k, EPOLL_CTL_ADD, child->release_fd, EPOLLIN, &child->release_watch);
        if (r >= 0 && child->terminal && child->terminal->pid > 0)
                r = keeper_watch_terminal(k, child->terminal);
        else if (r >= 0 && child->terminal && !child->terminal->over)
                queue_terminal(k, child->terminal);
        return r;
}

/* Terminals */

static void start_terminal(Keeper *k, KeeperTerminal *terminal) {
        int r;

        if (terminal->pid > 0)
                return;

        r = keeper_terminal_spawn(k->self, terminal);
        if (r >= 0) {
                r = keeper_watch_terminal(k, terminal);
                if (r < 0)
                        keeper_terminal_kill(terminal);
        }
        store_touch_terminal(&k->store, terminal);
        if (r < 0)
                log_error("Cannot start %s for role %s: %s", k->self->terminal_program, terminal->role,
                        strerror(-r));
}

/* Starts those that have waited long enough, each once; returns the milliseconds until the next start, or -1. */
static int start_terminals(Keeper *k) {
        const uint64_t now = list_is_linked(&k->terminals_missing) ? now_usec(CLOCK_MONOTONIC) : 0;
        KeeperTerminal *terminal;

        while ((terminal = LIST_FIRST(KeeperTerminal, missing, &k->terminals_missing))) {
                int wait = keeper_terminal_wait_msec(terminal, now);

                if (wait > 0)
                        return wait;
                list_remove(&terminal->missing);
                start_terminal(k, terminal);
                if (terminal->pid <= 0)
                        queue_terminal(k, terminal);
        }
        return -1;
}

static void on_terminal(Keeper *k, KeeperTerminal *terminal) {
        if (!keeper_terminal_check_exit(terminal))
                return;

        unwatch(k, terminal->pidfd);
        terminal->pidfd = fd_close(terminal->pidfd);
        store_touch_terminal(&k->store, terminal);
        if (!terminal->child)
                (void) keeper_terminal_free(terminal);
        else if (!terminal->over)
                queue_terminal(k, terminal);
}

/* Children */

static void on_release(Keeper *k, Child *child) {
        int r;

        if (child->release_fd < 0)
                return;
        do
                r = sockets_on_handover(&k->sockets, child->id, &child->sockets, child->release_fd);
        while (r > 0);
        if (r == 0 && !child->exited)
                return;

        unwatch(k, child->release_fd);
        child->release_fd = fd_close(child->release_fd);
        /* Otherwise it is dying, and takes a moment to let go of them: its end is told of next. */
        if (child_has_execed(child))
                sockets_released(&k->sockets, &child->sockets);
        store_touch(&k->store);
}

static void on_pidfd(Keeper *k, Child *child) {
        int r = child_check_exit(child);

        if (r < 0)
                log_error("Cannot read how role %s ended: %s", child->role, strerror(-r));
        if (r <= 0)
                return;

        unwatch(k, child->pidfd);
        store_touch_child(&k->store, child);
        on_release(k, child); /* what it gave back comes before its end */
        sockets_rest_child(&k->sockets, &child->sockets, child->role);
        if (child->terminal) {
                /* Somebody has to show what the role said last. */
                start_terminal(k, child->terminal);
                keeper_terminal_end(child->terminal);
        }
        if (k->welcomed && !child->announce && (!child->orphan || k->version >= 2))
                keeper_tell_exit(k, child);
        if (!k->blocked)
                keeper_flush(k);
}

static void on_gate(Keeper *k, Child *child) {
        unwatch(k, child->gate_fd);
        if (k->reply_child == child)
                child->gate_hung_up = true; /* the answer that lends it is not out yet */
        else
                keeper_close_gate(child);
}

/* SIGTERM: what systemd has is brought up to date for who comes after us; then we die of it. */
static _noreturn_ void on_terminate(Keeper *k) {
        sigset_t none;

        for (int i = 0; i < 10 && store_sync(k) == -EAGAIN; i++)
                (void) poll(&(struct pollfd){ .fd = k->store.notify_fd, .events = POLLOUT }, 1, 100);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) raise(SIGTERM);
        _exit(EXIT_FAILURE);
}

static int watch_sigterm(Keeper *k) {
        struct sigaction action;
        sigset_t mask;

        /* Who started us may have had it ignored. */
        if (sigaction(SIGTERM, NULL, &action) < 0 || action.sa_handler == SIG_IGN)
                return 0;
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        k->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return k->signal_fd < 0 ? -errno : watch(k, EPOLL_CTL_ADD, k->signal_fd, EPOLLIN, &watch_signal);
}

int keeper_init(Keeper *k, const struct keeper_self *self, int listen_fd) {
        int r;

        *k = (Keeper){
                .self = self,
                .epoll_fd = -EBADF,
                .listen_fd = listen_fd,
                .node_fd = -EBADF,
                .refused_fd = -EBADF,
                .signal_fd = -EBADF,
                .reexec = { .asker_fd = -EBADF, .check_pidfd = -EBADF },
        };
        list_init(&k->children);
        list_init(&k->to_announce);
        list_init(&k->to_tell_exit);
        list_init(&k->terminals);
        list_init(&k->terminals_missing);
        for (size_t i = 0; i < ELEMENTSOF(k->guests); i++) {
                k->guests[i].fd = -EBADF;
                k->guests[i].watch = (struct watch){ .type = WATCH_GUEST, .guest = i };
        }
        store_open(&k->store);
        sockets_init(&k->sockets);

        r = fd_cloexec(listen_fd, true);
        if (r >= 0)
                r = fd_nonblock(listen_fd, true);
        if (r < 0)
                return r;

        k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (k->epoll_fd < 0)
                return -errno;

        r = watch_sigterm(k);
        return r < 0 ? r : watch(k, EPOLL_CTL_ADD, listen_fd, EPOLLIN, &keeper_watch_listener);
}

int keeper_resume(Keeper *k, const struct keeper_self *self, const KeeperState *state) {
        int r;

        r = keeper_init(k, self, state->self.listen_fd);
        if (r < 0)
                return r;

        k->store.generation = state->self.generation;
        r = keeper_take_over(k, state);
        if (r >= 0)
                store_resume(k, state->stored, state->n_stored);
        if (r >= 0 && state->self.node_fd >= 0) {
                k->node_fd = state->self.node_fd;
                k->version = state->self.node_version;
                k->welcomed = k->version > 0;
                r = watch(k, EPOLL_CTL_ADD, k->node_fd, EPOLLIN, &keeper_watch_node);
        }
        if (r < 0)
                return r;
        reexec_resume(k, state);
        keeper_flush(k);
        return 0;
}

/* The shorter one of two times to wait; -1 is for ever. */
static int sooner(int a, int b) {
        return a < 0 || (b >= 0 && b < a) ? b : a;
}

int keeper_run(Keeper *k) {
        for (;;) {
                struct epoll_event event;
                struct watch *w;
                int n, timeout = start_terminals(k);

                /* The store last: what the others do may be to be stored. */
                timeout = sooner(timeout, reexec_run(k));
                timeout = sooner(timeout, store_run(k));
                if (k->listener_paused)
                        timeout = sooner(timeout, ACCEPT_RETRY_MSEC);
                /* One at a time: what is done for one may free what the next of a batch would point to. */
                n = epoll_wait(k->epoll_fd, &event, 1, timeout);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && k->listener_paused)
                        k->listener_paused =
                                watch(k, EPOLL_CTL_MOD, k->listen_fd, EPOLLIN, &keeper_watch_listener) < 0;
                if (n <= 0)
                        continue;

                w = event.data.ptr;
                switch (w->type) {
                case WATCH_LISTENER:
                        keeper_on_listener(k);
                        break;
                case WATCH_NODE:
                        keeper_on_node(k, event.events);
                        break;
                case WATCH_REFUSED:
                        keeper_close_refused(k);
                        break;
                case WATCH_PIDFD:
                        on_pidfd(k, w->child);
                        break;
                case WATCH_GATE:
                        on_gate(k, w->child);
                        break;
                case WATCH_RELEASE:
                        on_release(k, w->child);
                        break;
                case WATCH_TERMINAL:
                        on_terminal(k, w->terminal);
                        break;
                case WATCH_GUEST:
                        keeper_on_guest(k, w->guest);
                        break;
                case WATCH_ASKER:
                        reexec_on_asker(k);
                        break;
                case WATCH_CHECK:
                        reexec_on_check(k);
                        break;
                case WATCH_SIGNAL:
                        on_terminate(k);
                }
        }
}
