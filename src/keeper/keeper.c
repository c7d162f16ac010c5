/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "keeper/keeper.h"
#include "keeper/listen.h"

/* Sockets of roles that are gone, which are still open because a descriptor in them is not closed in time.
 * With so many, no new ones are made. */
#define NOTIFY_SHUT_MAX 512U

int keeper_watch(Keeper *k, int operation, int fd, uint32_t events, struct watch *w) {
        struct epoll_event event = { .events = events, .data.ptr = w };

        return epoll_ctl(k->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

void keeper_unwatch(Keeper *k, int fd) {
        /* The watch is removed explicitly, because the node or a child may have the same open file, which
         * would then stay in the epoll. */
        (void) epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

Child *keeper_find_child(const Keeper *k, uint64_t id) {
        return id_map_get(&k->children_by_id, id);
}

int keeper_add_child(Keeper *k, Child *child, ListLink *after) {
        int r = id_map_put(&k->children_by_id, child->id, child);

        if (r >= 0)
                list_insert_after(after, &child->link);
        return r;
}

void keeper_watch_notify(Keeper *k, Notify *n) {
        const bool waits = list_is_linked(&n->paused) || list_is_linked(&n->drop);

        (void) keeper_watch(k, EPOLL_CTL_MOD, n->fd, waits ? 0 : EPOLLIN, &n->watch);
}

void keeper_add_drop(Keeper *k, Notify *n) {
        list_append(&k->drops, &n->drop);
        if (!n->end_waits)
                n->drop_deadline_usec = now_usec(CLOCK_MONOTONIC) + NOTIFY_DROP_TIMEOUT_USEC;
        if (n->child)
                keeper_watch_notify(k, n);
}

void keeper_close_notify(Keeper *k, Notify *n) {
        if (n->drop_pidfd < 0 && !notify_discard(n)) {
                (void) notify_free(n);
                return;
        }
        k->n_shut++;
        if (!list_is_linked(&n->drop))
                keeper_add_drop(k, n);
}

static void keeper_end_notify(Keeper *k, Child *child) {
        Notify *n = child->notify;

        if (!n)
                return;
        keeper_unwatch(k, n->fd);
        child->notify = NULL;
        n->child = NULL;
        n->end_waits = false;
        list_remove(&n->to_tell);
        list_remove(&n->paused);
        notify_shut(n);
        keeper_close_notify(k, n);
}

void keeper_forget_child(Keeper *k, Child *child) {
        if (list_is_linked(&child->link))
                (void) id_map_remove(&k->children_by_id, child->id);
        list_remove(&child->link);
        list_remove(&child->to_tell);
        store_forget_child(&k->store, child);
        sockets_forget_child(&child->sockets);

        if (child->gate_fd >= 0)
                keeper_unwatch(k, child->gate_fd);
        if (child->release_fd >= 0)
                keeper_unwatch(k, child->release_fd);
        keeper_unwatch(k, child->pidfd);
        keeper_end_notify(k, child);
        if (child->terminal)
                keeper_end_terminal_sockets(k, child->terminal);
        /* It may still show the last output of the role. */
        if (child->terminal && child->terminal->pid > 0) {
                list_prepend(&k->terminals, &child->terminal->link);
                child->terminal->child = NULL;
                child->terminal = NULL;
        }
        (void) child_free(child);
        (void) trim_freed(&k->trim, now_usec(CLOCK_MONOTONIC));
}

int keeper_make_notify(Keeper *k, uint64_t id, uint32_t flags, Notify **ret) {
        char directory[PATH_MAX];
        int r;

        if (k->n_shut >= NOTIFY_SHUT_MAX)
                return -EBUSY;
        r = socket_directory(k->listen_fd, NOTIFY_DIRECTORY, directory);
        return r < 0 ? r : notify_new(directory, id, flags & KEEPER_FORK_NOTIFY_ALL, ret);
}

int keeper_watch_terminal(Keeper *k, KeeperTerminal *terminal) {
        /* Of the previous program. */
        if (terminal->over)
                list_append(&k->terminals_ending, &terminal->ending);
        return keeper_watch(k, EPOLL_CTL_ADD, terminal->pidfd, EPOLLIN | EPOLLET, &terminal->watch);
}

int keeper_take_terminal_socket(
        Keeper *k, KeeperTerminal *terminal, uid_t uid, uint32_t flags, int fd, TerminalSocket **ret) {
        char directory[PATH_MAX];
        TerminalSocket *s;
        int r;

        r = socket_directory(k->listen_fd, TERMINAL_SOCKET_DIRECTORY, directory);
        if (r < 0) {
                (void) fd_close(fd);
                return r;
        }
        r = terminal_socket_new(directory, terminal, uid, flags, fd, &s);
        if (r < 0)
                return r;
        r = keeper_watch(k, EPOLL_CTL_ADD, s->fd, EPOLLIN, &s->watch);
        if (r < 0) {
                (void) terminal_socket_free(s);
                return r;
        }
        store_touch(&k->store);
        *ret = s;
        return 0;
}

int keeper_make_terminal_socket(
        Keeper *k, KeeperTerminal *terminal, uid_t uid, uint32_t flags, TerminalSocket **ret) {
        TerminalSocket *s = terminal_socket_find(terminal, uid);

        if (!s)
                return keeper_take_terminal_socket(k, terminal, uid, flags, -EBADF, ret);
        s->flags = flags;
        store_touch(&k->store);
        *ret = s;
        return 0;
}

void keeper_end_terminal_sockets(Keeper *k, KeeperTerminal *terminal) {
        LIST_FOREACH_SAFE (TerminalSocket, link, s, &terminal->sockets) {
                keeper_unwatch(k, s->fd);
                (void) terminal_socket_free(s);
        }
}

/* The list is sorted by start time. The search begins at the end, because no start is later than the delay
 * between two starts. */
void keeper_queue_terminal(Keeper *k, KeeperTerminal *terminal) {
        ListLink *after;

        list_remove(&terminal->missing);
        for (after = k->terminals_missing.prev; after != &k->terminals_missing; after = after->prev) {
                const KeeperTerminal *other =
                        list_item(&k->terminals_missing, after, offsetof(KeeperTerminal, missing));

                if (other->spawned_usec <= terminal->spawned_usec)
                        break;
        }
        list_insert_after(after, &terminal->missing);
}

int keeper_watch_child(Keeper *k, Child *child) {
        int r = 0;

        /* A pidfd is watched edge-triggered. While a debugger has a dead child, the pidfd is readable but the
         * child cannot be waited for; another edge arrives when the debugger detaches. A gate is watched for
         * its hang-up only, which epoll always reports. */
        if (!child->exited)
                r = keeper_watch(k, EPOLL_CTL_ADD, child->pidfd, EPOLLIN | EPOLLET, &child->pidfd_watch);
        if (r >= 0 && child->gate_fd >= 0)
                r = keeper_watch(k, EPOLL_CTL_ADD, child->gate_fd, 0, &child->gate_watch);
        if (r >= 0 && child->release_fd >= 0)
                r = keeper_watch(k, EPOLL_CTL_ADD, child->release_fd, EPOLLIN, &child->release_watch);
        if (r >= 0 && child->notify)
                r = keeper_watch(k, EPOLL_CTL_ADD, child->notify->fd, EPOLLIN, &child->notify->watch);
        if (r >= 0 && child->terminal && child->terminal->pid > 0)
                r = keeper_watch_terminal(k, child->terminal);
        else if (r >= 0 && child->terminal && !child->terminal->over)
                keeper_queue_terminal(k, child->terminal);
        return r;
}

static int keeper_watch_sigterm(Keeper *k) {
        struct sigaction action;
        sigset_t mask;

        /* The signal may have been inherited as ignored. */
        if (sigaction(SIGTERM, NULL, &action) < 0 || action.sa_handler == SIG_IGN)
                return 0;
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        k->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return k->signal_fd < 0 ? -errno
                                : keeper_watch(k, EPOLL_CTL_ADD, k->signal_fd, EPOLLIN, &k->signal_watch);
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
                .listener_watch = { .type = WATCH_LISTENER },
                .node_watch = { .type = WATCH_NODE },
                .refused_watch = { .type = WATCH_REFUSED },
                .signal_watch = { .type = WATCH_SIGNAL },
                .reexec = {
                        .asker_fd = -EBADF,
                        .asker_watch = { .type = WATCH_ASKER },
                        .check_pidfd = -EBADF,
                        .check_watch = { .type = WATCH_CHECK },
                },
        };
        list_init(&k->children);
        list_init(&k->to_announce);
        list_init(&k->to_tell_exit);
        list_init(&k->terminals);
        list_init(&k->terminals_missing);
        list_init(&k->terminals_ending);
        list_init(&k->lookups);
        list_init(&k->lookups_to_tell);
        list_init(&k->notified);
        list_init(&k->notify_paused);
        list_init(&k->drops);
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

        r = keeper_watch_sigterm(k);
        return r < 0 ? r : keeper_watch(k, EPOLL_CTL_ADD, listen_fd, EPOLLIN, &k->listener_watch);
}
