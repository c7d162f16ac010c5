/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "keeper/keeper-guests.h"
#include "keeper/keeper-loop.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-notify.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-requests.h"
#include "keeper/keeper-serialize.h"

#define ACCEPT_RETRY_MSEC 1000

/* -- terminals -- */

static void keeper_start_terminal(Keeper *k, KeeperTerminal *terminal) {
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

/* Starts each terminal whose delay has passed, once. Returns the milliseconds until the next start, or -1. */
static int keeper_start_terminals(Keeper *k) {
        const uint64_t now = list_is_linked(&k->terminals_missing) ? now_usec(CLOCK_MONOTONIC) : 0;
        KeeperTerminal *terminal;

        while ((terminal = LIST_FIRST(KeeperTerminal, missing, &k->terminals_missing))) {
                int wait = keeper_terminal_wait_msec(terminal, now);

                if (wait > 0)
                        return wait;
                list_remove(&terminal->missing);
                keeper_start_terminal(k, terminal);
                if (terminal->pid <= 0)
                        keeper_queue_terminal(k, terminal);
        }
        return -1;
}

/* Looks after each terminal that is over and due, once. Returns the milliseconds until the next one is, or
 * -1. */
static int keeper_look_after_terminals(Keeper *k) {
        const uint64_t now = list_is_linked(&k->terminals_ending) ? now_usec(CLOCK_MONOTONIC) : 0;
        KeeperTerminal *terminal;

        while ((terminal = LIST_FIRST(KeeperTerminal, ending, &k->terminals_ending))) {
                int wait = keeper_terminal_look(terminal, now);

                if (wait > 0)
                        return wait;
                list_remove(&terminal->ending);
                list_append(&k->terminals_ending, &terminal->ending);
        }
        return -1;
}

static void keeper_on_terminal(Keeper *k, KeeperTerminal *terminal) {
        if (!keeper_terminal_check_exit(terminal))
                return;

        keeper_unwatch(k, terminal->pidfd);
        terminal->pidfd = fd_close(terminal->pidfd);
        list_remove(&terminal->ending);
        store_touch_terminal(&k->store, terminal);
        if (!terminal->child)
                (void) keeper_terminal_free(terminal);
        else if (!terminal->over)
                keeper_queue_terminal(k, terminal);
}

static void keeper_on_terminal_socket(Keeper *k, TerminalSocket *s) {
        int r = terminal_socket_accept(s);

        if (r >= 0)
                return;
        log_error("Cannot accept a connection to the terminal of role %s, trying again in a while: %s",
                s->terminal->role, strerror(-r));
        if (keeper_watch(k, EPOLL_CTL_MOD, s->fd, 0, &s->watch) >= 0)
                k->terminal_sockets_paused = true;
}

static void keeper_resume_terminal_sockets(Keeper *k) {
        k->terminal_sockets_paused = false;
        LIST_FOREACH (Child, link, c, &k->children)
                if (c->terminal)
                        LIST_FOREACH (TerminalSocket, link, s, &c->terminal->sockets)
                                if (keeper_watch(k, EPOLL_CTL_MOD, s->fd, EPOLLIN, &s->watch) < 0)
                                        k->terminal_sockets_paused = true;
}

/* -- children -- */

static void keeper_on_release(Keeper *k, Child *child) {
        int r;

        if (child->release_fd < 0)
                return;
        do
                r = sockets_on_handover(&k->sockets, child->id, &child->sockets, child->release_fd);
        while (r > 0);
        if (r == 0 && !child->exited)
                return;

        keeper_unwatch(k, child->release_fd);
        child->release_fd = fd_close(child->release_fd);
        /* Otherwise the child is dying, and closes them a moment later. Its exit is reported next. */
        if (child_has_execed(child))
                sockets_released(&k->sockets, &child->sockets);
        store_touch(&k->store);
}

static void keeper_on_pidfd(Keeper *k, Child *child) {
        int r = child_check_exit(child);

        if (r < 0)
                log_error("Cannot read how role %s ended: %s", child->role, strerror(-r));
        if (r <= 0)
                return;

        keeper_unwatch(k, child->pidfd);
        store_touch_child(&k->store, child);
        keeper_on_release(k, child); /* ports that it gave back are handled before its end */
        sockets_rest_child(&k->sockets, &child->sockets, child->role);
        if (child->terminal) {
                /* An architect-terminal must show the last output of the role. */
                keeper_start_terminal(k, child->terminal);
                keeper_end_terminal_sockets(k, child->terminal);
                keeper_terminal_end(child->terminal);
                if (child->terminal->pid > 0)
                        list_append(&k->terminals_ending, &child->terminal->ending);
        }
        keeper_tell_end(k, child);
        if (!k->blocked)
                keeper_flush(k);
}

/* -- look-ups -- */

static void keeper_on_lookup_exit(Keeper *k, Lookup *lookup) {
        if (!lookup_check_exit(lookup))
                return;
        keeper_unwatch(k, lookup->pidfd);
        keeper_tell_lookup(k, lookup);
        if (!k->blocked)
                keeper_flush(k);
}

/* Ends the look-ups that have taken too long. Returns the milliseconds until the next one has, or -1. */
static int keeper_expire_lookups(Keeper *k) {
        const uint64_t now = list_is_linked(&k->lookups) ? now_usec(CLOCK_MONOTONIC) : 0;
        bool expired = false;
        int wait = -1;

        LIST_FOREACH_SAFE (Lookup, link, l, &k->lookups) {
                if (l->over)
                        continue;
                if (l->deadline_usec > now) {
                        wait = timeout_until(l->deadline_usec, now);
                        break; /* the others began later */
                }
                lookup_fail(l, -ETIMEDOUT);
                keeper_tell_lookup(k, l);
                expired = true;
        }
        if (expired && !k->blocked)
                keeper_flush(k);
        return wait;
}

static void keeper_on_gate(Keeper *k, Child *child) {
        keeper_unwatch(k, child->gate_fd);
        if (k->reply_child == child)
                child->gate_hung_up = true; /* the reply that lends it has not been sent yet */
        else
                keeper_close_gate(child);
}

/* At SIGTERM the store of systemd is updated for the next keeper. Then SIGTERM ends this process. */
static _noreturn_ void keeper_on_terminate(Keeper *k) {
        sigset_t none;

        for (int i = 0; i < 10 && store_sync(&k->store, &k->sockets, keeper_write_state, k) == -EAGAIN; i++)
                (void) poll(&(struct pollfd){ .fd = k->store.notify_fd, .events = POLLOUT }, 1, 100);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) raise(SIGTERM);
        _exit(EXIT_FAILURE);
}

int keeper_run(Keeper *k) {
        for (;;) {
                struct epoll_event event;
                struct watch *w;
                int n, timeout = keeper_start_terminals(k);

                /* The store is the last one, because the others may change what is to be stored. */
                timeout = timeout_sooner(timeout, keeper_look_after_terminals(k));
                timeout = timeout_sooner(timeout, keeper_expire_lookups(k));
                timeout = timeout_sooner(timeout, keeper_resume_notify(k));
                timeout = timeout_sooner(timeout, keeper_run_drops(k));
                timeout = timeout_sooner(timeout, reexec_run(k));
                if (k->trim.due_usec != 0)
                        timeout = timeout_sooner(timeout, trim_run(&k->trim, now_usec(CLOCK_MONOTONIC)));
                timeout = timeout_sooner(timeout, store_run(&k->store, &k->sockets, keeper_write_state, k));
                if (k->listener_paused || k->terminal_sockets_paused)
                        timeout = timeout_sooner(timeout, ACCEPT_RETRY_MSEC);
                /* Handles one event at a time, because a handler may free the object of the next event of a
                 * batch. */
                n = epoll_wait(k->epoll_fd, &event, 1, timeout);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && k->listener_paused)
                        k->listener_paused =
                                keeper_watch(k, EPOLL_CTL_MOD, k->listen_fd, EPOLLIN, &k->listener_watch) < 0;
                if (n == 0 && k->terminal_sockets_paused)
                        keeper_resume_terminal_sockets(k);
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
                        keeper_on_pidfd(k, w->child);
                        break;
                case WATCH_GATE:
                        keeper_on_gate(k, w->child);
                        break;
                case WATCH_RELEASE:
                        keeper_on_release(k, w->child);
                        break;
                case WATCH_TERMINAL:
                        keeper_on_terminal(k, w->terminal);
                        break;
                case WATCH_TERMINAL_SOCKET:
                        keeper_on_terminal_socket(k, w->terminal_socket);
                        break;
                case WATCH_LOOKUP:
                        keeper_on_lookup_exit(k, w->lookup);
                        break;
                case WATCH_NOTIFY:
                        keeper_on_notify(k, w->notify);
                        break;
                case WATCH_NOTIFY_DROP:
                        keeper_on_notify_drop(k, w->notify);
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
                        keeper_on_terminate(k);
                }
        }
}
