/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd-util.h"
#include "base/id-map.h"
#include "base/pidref.h"
#include "base/stderr-log.h"
#include "keeper/keeper-restore.h"
#include "keeper/keeper-serialize.h"
#include "keeper/listen.h"

/* A descriptor that systemd has passed, by its name or on a shelf. */
struct given {
        struct keeper_state_stored item;
        int fd;
        uint64_t shelf; /* 0 if by its name */
};

static int given_compare(const void *a, const void *b) {
        const struct keeper_state_stored *x = a, *y = b;

        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        return x->id < y->id ? -1 : x->id > y->id;
}

/* Stores the PID of the process of a pidfd, according to the kernel, or -1 if it has been reaped. */
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

/* The newest one of a name is the first. A keeper that dies before it has removed what the previous one had
 * stored leaves both, and it may have started another architect-terminal. */
static int given_compare_age(const void *a, const void *b) {
        const struct given *x = a, *y = b;
        int r = given_compare(x, y);

        return r != 0 ? r : (x->shelf < y->shelf) - (x->shelf > y->shelf);
}

/* The analyzer of gcc 12 does not follow the array through the pointer to it, and reports a leak;
 * LeakSanitizer does not. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* Adds what is on the shelves. */
static int given_read_shelves(struct given **all, size_t *n) {
        const size_t n_named = *n;

        for (size_t i = 0; i < n_named; i++) {
                const uint64_t shelf = (*all)[i].item.id;
                ShelfContents contents;
                struct given *larger;
                int r;

                if ((*all)[i].item.kind != STORE_SHELF)
                        continue;
                r = shelf_read((*all)[i].fd, &contents);
                if (r < 0)
                        log_error("Cannot read shelf %" PRIu64 " of the previous keeper, which is lost: %s",
                                shelf, strerror(-r));
                if (contents.n == 0)
                        continue;
                larger = reallocarray(*all, *n + contents.n, sizeof(*larger));
                if (!larger)
                        return -ENOMEM;
                *all = larger;
                for (size_t k = 0; k < contents.n; k++)
                        larger[(*n)++] = (struct given){
                                .item = { .kind = contents.packet.items[k].kind,
                                        .id = contents.packet.items[k].id },
                                .fd = contents.fds[k],
                                .shelf = shelf,
                        };
        }
        return 0;
}

/* Sorts them, and closes all but the newest of each name. Returns how many are left. */
static size_t given_sort(struct given *all, size_t n) {
        size_t kept = 0;

        qsort(all, n, sizeof(*all), given_compare_age);
        for (size_t i = 0; i < n; i++)
                if (kept > 0 && given_compare(&all[kept - 1], &all[i]) == 0)
                        (void) fd_close(all[i].fd);
                else
                        all[kept++] = all[i];
        return kept;
}

/* The pidfd must refer to the process of the state. A child that was still at its gate has died with its
 * keeper. */
static bool restore_is_orphan(const struct keeper_state_child *c) {
        struct proc_stat stat;
        pid_t pid = 0;

        if (pidfd_pid(c->pidfd, &pid) < 0)
                return false;
        if (pid == -1)
                return true;
        return pid == c->pid && proc_stat_read(pid, &stat) >= 0 && stat.start_time == c->start_time &&
               (stat.flags & PROC_STAT_FORKNOEXEC) == 0;
}

static int given_take(struct given *all, size_t n, StoreKind kind, uint64_t id) {
        const struct keeper_state_stored key = { .kind = kind, .id = id };
        struct given *w = bsearch(&key, all, n, sizeof(*all), given_compare);

        return w ? fd_steal(&w->fd) : -EBADF;
}

static int restore_match(KeeperState *state, struct given *all, size_t n) {
        _cleanup_(id_map_clear) IdMap children = { 0 };
        size_t kept = 0;

        for (size_t i = 0; i < state->n_children; i++) {
                struct keeper_state_child c = state->children[i];

                c.pidfd = given_take(all, n, STORE_PIDFD, c.id);
                c.stdin_fd = c.stdin_fd >= 0 ? given_take(all, n, STORE_STDIN, c.id) : -EBADF;
                c.gate_fd = c.release_fd = -EBADF;
                c.flags = (c.flags | KEEPER_STATE_CHILD_ORPHAN) & ~KEEPER_STATE_CHILD_TELL_EXIT;
                if (c.pidfd < 0 || (!(c.flags & KEEPER_STATE_CHILD_EXITED) && !restore_is_orphan(&c))) {
                        (void) fd_close(c.pidfd);
                        (void) fd_close(c.stdin_fd);
                        continue;
                }
                state->children[kept++] = c;
                int r = id_map_put(&children, c.id, state);
                if (r < 0)
                        return r;
        }
        state->n_children = kept;

        kept = 0;
        for (size_t i = 0; i < state->n_terminals; i++) {
                struct keeper_state_terminal t = state->terminals[i];

                if (t.child == 0 || (t.flags & KEEPER_STATE_TERMINAL_OVER))
                        continue;
                t.master_fd = given_take(all, n, STORE_MASTER, t.child);
                t.control_fd = given_take(all, n, STORE_CONTROL, t.child);
                t.peer_fd = given_take(all, n, STORE_PEER, t.child);
                t.output_fd = given_take(all, n, STORE_OUTPUT, t.child);
                t.pidfd = given_take(all, n, STORE_TERMINAL, t.child);
                t.flags |= KEEPER_STATE_TERMINAL_ORPHAN;
                if (t.pidfd < 0 || pidfd_has_exited(t.pidfd)) {
                        t.pidfd = fd_close(t.pidfd);
                        t.pid = 0;
                        t.flags &= ~KEEPER_STATE_TERMINAL_ORPHAN;
                }
                if (!id_map_get(&children, t.child) || t.master_fd < 0 || t.control_fd < 0 || t.peer_fd < 0 ||
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

                p.fd = given_take(all, n, store_port_kind(&p.port), p.port.number);
                if (p.fd < 0)
                        continue;
                if (!id_map_get(&children, p.child))
                        p.child = 0; /* the child that has it is not known here */
                state->ports[kept++] = p;
        }
        state->n_ports = kept;

        for (size_t i = 0; i < state->n_notify; i++) {
                state->notify[i].fd = given_take(all, n, STORE_NOTIFY, state->notify[i].child);
                state->notify[i].hold_fd = given_take(all, n, STORE_NOTIFIED, state->notify[i].child);
        }

        /* systemd does not store them. They are made again, at the same paths. */
        for (size_t i = 0; i < state->n_terminal_sockets; i++)
                state->terminal_sockets[i].fd = -EBADF;
        return 0;
}

static bool restore_knows_terminal_socket(void *keeper, uint64_t id, uid_t uid) {
        const Child *child = keeper_find_child(keeper, id);

        return child && child->terminal && terminal_socket_find(child->terminal, uid);
}

static bool restore_knows_notify(void *keeper, const char *path) {
        const Keeper *k = keeper;

        LIST_FOREACH (const Child, link, c, &k->children)
                if (c->notify && strcmp(c->notify->path, path) == 0)
                        return true;
        return false;
}

void keeper_clean_sockets(Keeper *k) {
        char directory[PATH_MAX];

        if (socket_directory(k->listen_fd, NOTIFY_DIRECTORY, directory) >= 0)
                notify_clean(directory, restore_knows_notify, k);

        if (socket_directory(k->listen_fd, TERMINAL_SOCKET_DIRECTORY, directory) >= 0)
                terminal_socket_clean(directory, restore_knows_terminal_socket, k);
}

int keeper_restore(Keeper *k, int first, uint32_t n_fds, const char *names) {
        _cleanup_free_ struct given *all = calloc(n_fds + 1, sizeof(*all));
        _cleanup_free_ struct keeper_state_stored *items = calloc(n_fds + 1, sizeof(*items));
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        size_t n = 0, n_items;
        bool found = false;
        int r = 0;

        if (!all || !items)
                return -ENOMEM;
        for (uint32_t i = 0; i < n_fds && names; i++) {
                const size_t size = strcspn(names, ":");
                const int fd = first + (int) i;
                struct stat st;

                if (store_item_parse(names, size, &all[n].item)) {
                        (void) fd_cloexec(fd, true);
                        all[n].item.inode = fstat(fd, &st) >= 0 ? st.st_ino : 0;
                        all[n++].fd = fd;
                }
                names += size;
                names += *names == ':';
        }
        if (n == 0)
                return 0;
        for (n_items = 0; n_items < n; n_items++)
                items[n_items] = all[n_items].item;
        r = given_read_shelves(&all, &n);
        if (r < 0)
                return r;
        n = given_sort(all, n);

        /* Tries the highest generation first. */
        for (size_t i = n; i > 0 && !found; i--) {
                const char *why = NULL;

                if (all[i - 1].item.kind != STORE_STATE)
                        continue;
                if (k->store.generation < all[i - 1].item.id)
                        k->store.generation = all[i - 1].item.id;
                found = keeper_state_read(all[i - 1].fd, &state, &why) >= 0;
                if (!found)
                        log_error("Cannot read the state of the previous keeper: %s", why);
        }
        if (found)
                r = restore_match(&state, all, n);
        for (size_t i = 0; i < n; i++)
                (void) fd_close(all[i].fd);
        if (r >= 0 && found)
                r = keeper_take_over(k, &state);
        if (r >= 0)
                store_resume(&k->store, &k->children, &k->children_by_id, &k->sockets, items, n_items);
        return r;
}
