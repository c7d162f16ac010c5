/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "keeper/keeper-log.h"
#include "keeper/keeper-private.h"
#include "keeper/keeper-store.h"
#include "keeper/listen.h"
#include "keeper/terminal.h"

#define IDLE_USEC (200 * USEC_PER_MSEC)
/* Where something is always going on. */
#define BUSY_USEC (5 * USEC_PER_SEC)
#define RETRY_USEC (100 * USEC_PER_MSEC)

static void connect_notify(Store *s) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address;
        autofd fd = -EBADF;
        socklen_t size;

        s->notify_fd = -EBADF;
        if (!path || socket_address(path, &address, &size) < 0)
                return;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *) &address, size) >= 0)
                s->notify_fd = fd_steal(&fd);
}

void store_open(Store *s) {
        connect_notify(s);
        if (s->notify_fd < 0 && getenv("NOTIFY_SOCKET"))
                log_warning("Cannot reach $NOTIFY_SOCKET: nothing will outlive our death");
}

void store_touch(Store *s) {
        if (s->notify_fd < 0)
                connect_notify(s);
        if (s->notify_fd < 0)
                return;
        s->last_change_usec = now_usec(CLOCK_MONOTONIC);
        if (s->first_change_usec == 0)
                s->first_change_usec = s->last_change_usec;
}

static void item_name(const struct keeper_state_stored *item, char ret[static 32]) {
        (void) snprintf(ret, 32, "%c%" PRIx64, (int) item->kind, item->id);
}

static int send_add(Store *s, const struct keeper_state_stored *item, int fd) {
        char name[32], message[80];

        item_name(item, name);
        (void) snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        return socket_send(s->notify_fd, message, strlen(message), &fd, 1);
}

static int send_remove(Store *s, const struct keeper_state_stored *item) {
        char name[32], message[80];

        item_name(item, name);
        (void) snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        return socket_send(s->notify_fd, message, strlen(message), NULL, 0);
}

static int compare(const void *a, const void *b) {
        const struct keeper_state_stored *x = a, *y = b;

        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        return x->id < y->id ? -1 : x->id > y->id;
}

/* What is to be stored. */
struct wanted {
        struct keeper_state_stored item;
        int fd;
};

static void want(struct wanted *all, size_t *n, StoreKind kind, uint64_t id, int fd) {
        struct stat st;

        if (fd < 0 || *n >= STORE_MAX || fstat(fd, &st) < 0)
                return;
        all[(*n)++] = (struct wanted){
                .item = { .kind = kind, .id = id, .inode = st.st_ino },
                .fd = fd,
        };
}

static StoreKind port_kind(const struct keeper_port *port) {
        return port->protocol == KEEPER_TCP ? STORE_TCP : STORE_UDP;
}

static int collect_wanted(Keeper *k, struct wanted **ret, size_t *ret_n) {
        size_t room = k->sockets.n, n = 0;
        struct wanted *all;

        room += 7 * k->children_by_id.n;
        all = calloc(room + 1, sizeof(*all));
        if (!all)
                return -ENOMEM;

        LIST_FOREACH (const Child, link, c, &k->children) {
                want(all, &n, STORE_PIDFD, c->id, c->pidfd);
                if (!c->exited)
                        want(all, &n, STORE_STDIN, c->id, c->stdin_fd);
                if (!c->terminal || c->terminal->over)
                        continue;
                want(all, &n, STORE_MASTER, c->id, c->terminal->master_fd);
                want(all, &n, STORE_CONTROL, c->id, c->terminal->control_fd);
                want(all, &n, STORE_PEER, c->id, c->terminal->peer_fd);
                want(all, &n, STORE_OUTPUT, c->id, c->terminal->output_fd);
                want(all, &n, STORE_TERMINAL, c->id, c->terminal->pidfd);
        }
        for (size_t i = 0; i < k->sockets.n; i++) {
                const struct reserved_socket *socket = k->sockets.all[i];

                /* One that its role releases by its exec would not be ours when we came back. */
                if (!socket->port.release)
                        want(all, &n, port_kind(&socket->port), socket->port.number, socket->hold_fd);
        }

        if (n == STORE_MAX && !k->store.full) {
                log_warning("systemd keeps at most %u descriptors for us: not all would outlive our death",
                        STORE_MAX);
                k->store.full = true;
        }

        qsort(all, n, sizeof(*all), compare);
        *ret = all;
        *ret_n = n;
        return 0;
}

static struct keeper_state_stored *find(Store *s, StoreKind kind, uint64_t id) {
        const struct keeper_state_stored key = { .kind = kind, .id = id };

        return s->n > 0 ? bsearch(&key, s->items, s->n, sizeof(key), compare) : NULL;
}

static void drop(Store *s, struct keeper_state_stored *item) {
        const size_t i = (size_t) (item - s->items);

        memmove(item, item + 1, (s->n - i - 1) * sizeof(*item));
        s->n--;
}

static int insert(Store *s, const struct keeper_state_stored *item) {
        struct keeper_state_stored *larger = realloc(s->items, (s->n + 1) * sizeof(*larger));
        size_t i = s->n;

        if (!larger)
                return -ENOMEM;
        s->items = larger;
        while (i > 0 && compare(&larger[i - 1], item) > 0)
                i--;
        memmove(&larger[i + 1], &larger[i], (s->n - i) * sizeof(*larger));
        larger[i] = *item;
        s->n++;
        return 0;
}

int store_resume(Store *s, const struct keeper_state_stored *items, size_t n) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = insert(s, &items[i]);
        store_touch(s);
        return r;
}

/* First what is new, then the state that names it, and only then what is gone is taken back: so whenever we die, the last state is
 * true of what is there. */
static int sync_items(Keeper *k, const struct wanted *all, size_t n) {
        Store *s = &k->store;
        struct keeper_state_stored item;
        auto_keeper_state state = { 0 };
        autofd state_fd = -EBADF;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct keeper_state_stored *old = find(s, (StoreKind) all[i].item.kind, all[i].item.id);

                if (old && old->inode == all[i].item.inode)
                        continue;
                if (old) {
                        r = send_remove(s, old);
                        if (r < 0)
                                return r;
                        drop(s, old);
                }
                r = send_add(s, &all[i].item, all[i].fd);
                if (r >= 0)
                        r = insert(s, &all[i].item);
        }
        if (r < 0)
                return r;

        item = (struct keeper_state_stored){ .kind = STORE_STATE, .id = ++s->generation };
        if (n > 0) {
                r = keeper_collect(k, &state);
                if (r >= 0)
                        r = state_fd = keeper_state_write(&state);
                if (r >= 0)
                        r = send_add(s, &item, state_fd);
                if (r >= 0)
                        r = insert(s, &item);
                if (r < 0)
                        return r;
        }

        for (size_t i = s->n; i > 0; i--) {
                struct keeper_state_stored *old = &s->items[i - 1];

                if (compare(old, &item) == 0 || (n > 0 && bsearch(old, all, n, sizeof(*all), compare)))
                        continue;
                r = send_remove(s, old);
                if (r < 0)
                        return r;
                drop(s, old);
        }
        return 0;
}

int store_sync(Keeper *k) {
        _cleanup_free_ struct wanted *all = NULL;
        size_t n = 0;
        int r;

        if (k->store.notify_fd < 0)
                return 0;
        r = collect_wanted(k, &all, &n);
        if (r >= 0)
                r = sync_items(k, all, n);
        if (r >= 0)
                k->store.first_change_usec = 0;
        else if (r == -ECONNREFUSED) {
                /* Who reads there has gone; with the next change we see whether somebody else has come. */
                (void) fd_close(k->store.notify_fd);
                connect_notify(&k->store);
                k->store.first_change_usec = 0;
                r = 0;
        } else if (r != -EAGAIN)
                log_warning("Cannot have systemd keep our descriptors: %s", strerror(-r));
        return r;
}

int store_run(Keeper *k) {
        Store *s = &k->store;
        uint64_t now, due;

        if (s->first_change_usec == 0)
                return -1;
        now = now_usec(CLOCK_MONOTONIC);
        due = s->last_change_usec + IDLE_USEC;
        if (due > s->first_change_usec + BUSY_USEC)
                due = s->first_change_usec + BUSY_USEC;
        if (now >= due) {
                if (store_sync(k) >= 0)
                        return -1;
                s->first_change_usec = s->last_change_usec = now;
                return (int) (RETRY_USEC / USEC_PER_MSEC);
        }
        return (int) ((due - now) / USEC_PER_MSEC) + 1;
}

void store_remove(Store *s, StoreKind kind, uint64_t id) {
        struct keeper_state_stored *item = find(s, kind, id);

        if (!item)
                return;
        /* If systemd does not listen now the next store_sync() does it. */
        if (send_remove(s, item) >= 0)
                drop(s, item);
        store_touch(s);
}

/* Back again */

static bool parse_name(const char *name, size_t size, struct keeper_state_stored *ret) {
        char copy[32], *end, again[32];

        if (size < 2 || size >= sizeof(copy) || !strchr("spitumceod", name[0]))
                return false;
        memcpy(copy, name, size);
        copy[size] = '\0';
        *ret = (struct keeper_state_stored){ .kind = (uint32_t) name[0] };
        ret->id = strtoull(copy + 1, &end, 16);
        item_name(ret, again);
        return strcmp(copy, again) == 0;
}

/* Who a pidfd is of, as the kernel says; -1: it has been reaped. */
static int pidfd_pid(int fd, pid_t *ret) {
        _cleanup_free_ char *text = NULL;
        char path[64];
        const char *p;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        r = file_read(AT_FDCWD, path, 4096, &text, NULL);
        if (r < 0)
                return r;
        p = strstr(text, "\nPid:");
        return p && sscanf(p + 5, " %d", ret) == 1 ? 0 : -EBADF;
}

/* Its pidfd must be of the process that the state means; and one that was still at its gate has died with its keeper. */
static bool is_orphan(const struct keeper_state_child *c) {
        struct proc_stat stat;
        pid_t pid = 0;

        if (pidfd_pid(c->pidfd, &pid) < 0)
                return false;
        if (pid == -1)
                return true;
        return pid == c->pid && proc_stat_read(pid, &stat) >= 0 && stat.start_time == c->start_time &&
               (stat.flags & PROC_STAT_FORKNOEXEC) == 0;
}

static int take_item(struct wanted *all, size_t n, StoreKind kind, uint64_t id) {
        const struct keeper_state_stored key = { .kind = kind, .id = id };
        struct wanted *w = n > 0 ? bsearch(&key, all, n, sizeof(*all), compare) : NULL;

        return w ? fd_steal(&w->fd) : -EBADF;
}

static bool has_child(const KeeperState *state, uint64_t id) {
        for (size_t i = 0; i < state->n_children; i++)
                if (state->children[i].id == id)
                        return true;
        return false;
}

static void match(KeeperState *state, struct wanted *all, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < state->n_children; i++) {
                struct keeper_state_child c = state->children[i];

                c.pidfd = take_item(all, n, STORE_PIDFD, c.id);
                c.stdin_fd = c.stdin_fd >= 0 ? take_item(all, n, STORE_STDIN, c.id) : -EBADF;
                c.gate_fd = c.release_fd = -EBADF;
                c.flags = (c.flags | KEEPER_STATE_CHILD_ORPHAN) & ~KEEPER_STATE_CHILD_TELL_EXIT;
                if (c.pidfd < 0 || (!(c.flags & KEEPER_STATE_CHILD_EXITED) && !is_orphan(&c))) {
                        (void) fd_close(c.pidfd);
                        (void) fd_close(c.stdin_fd);
                        continue;
                }
                state->children[kept++] = c;
        }
        state->n_children = kept;

        kept = 0;
        for (size_t i = 0; i < state->n_terminals; i++) {
                struct keeper_state_terminal t = state->terminals[i];

                if (t.child == 0 || (t.flags & KEEPER_STATE_TERMINAL_OVER))
                        continue;
                t.master_fd = take_item(all, n, STORE_MASTER, t.child);
                t.control_fd = take_item(all, n, STORE_CONTROL, t.child);
                t.peer_fd = take_item(all, n, STORE_PEER, t.child);
                t.output_fd = take_item(all, n, STORE_OUTPUT, t.child);
                t.pidfd = take_item(all, n, STORE_TERMINAL, t.child);
                t.flags = KEEPER_STATE_TERMINAL_ORPHAN;
                if (t.pidfd < 0 || pidfd_has_exited(t.pidfd)) {
                        t.pidfd = fd_close(t.pidfd);
                        t.pid = 0;
                        t.flags = 0;
                }
                if (!has_child(state, t.child) || t.master_fd < 0 || t.control_fd < 0 || t.peer_fd < 0 ||
                        t.output_fd < 0) {
                        (void) fd_close(t.master_fd);
                        (void) fd_close(t.control_fd);
                        (void) fd_close(t.peer_fd);
                        (void) fd_close(t.output_fd);
                        (void) fd_close(t.pidfd);
                        continue;
                }
                state->terminals[kept++] = t;
        }
        state->n_terminals = kept;

        kept = 0;
        for (size_t i = 0; i < state->n_ports; i++) {
                struct keeper_state_port p = state->ports[i];

                p.fd = take_item(all, n, port_kind(&p.port), p.port.number);
                if (p.fd < 0)
                        continue;
                if (!has_child(state, p.child))
                        p.child = 0; /* who has it is not known here any more */
                state->ports[kept++] = p;
        }
        state->n_ports = kept;
}

int store_restore(Keeper *k, int first, uint32_t n_fds, const char *names) {
        _cleanup_free_ struct wanted *all = calloc(n_fds + 1, sizeof(*all));
        auto_keeper_state state = { 0 };
        size_t n = 0;
        bool found = false;
        int r = 0;

        if (!all)
                return -ENOMEM;
        for (uint32_t i = 0; i < n_fds && names; i++) {
                const size_t size = strcspn(names, ":");
                const int fd = first + (int) i;
                struct stat st;

                if (parse_name(names, size, &all[n].item)) {
                        (void) fd_cloexec(fd, true);
                        all[n].item.inode = fstat(fd, &st) >= 0 ? st.st_ino : 0;
                        all[n++].fd = fd;
                }
                names += size;
                names += *names == ':';
        }
        if (n == 0)
                return 0;
        qsort(all, n, sizeof(*all), compare);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = insert(&k->store, &all[i].item);

        /* The highest generation last. */
        for (size_t i = n; i > 0 && !found; i--) {
                const char *why = NULL;

                if (all[i - 1].item.kind != STORE_STATE)
                        continue;
                if (k->store.generation < all[i - 1].item.id)
                        k->store.generation = all[i - 1].item.id;
                found = keeper_state_read(all[i - 1].fd, &state, &why) >= 0;
                if (!found)
                        log_error("Cannot read the state of the keeper before: %s", why);
        }
        if (found)
                match(&state, all, n);
        for (size_t i = 0; i < n; i++)
                (void) fd_close(all[i].fd);
        store_touch(&k->store);
        return r >= 0 && found ? keeper_take_over(k, &state) : r;
}
