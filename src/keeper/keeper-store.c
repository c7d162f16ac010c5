/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fd-util.h"
#include "base/id-map.h"
#include "base/notify-socket.h"
#include "base/parse-util.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "keeper/keeper-store.h"

#define IDLE_USEC (200 * USEC_PER_MSEC)
/* The limit of the delay if changes never stop. */
#define BUSY_USEC (5 * USEC_PER_SEC)
#define RETRY_USEC (100 * USEC_PER_MSEC)

/* Two states are stored for a moment. */
#define STATES_MAX 2U

void store_open(Store *s) {
        const char *max = getenv("FDSTORE");
        uint32_t n;

        *s = (Store){ .shelved = shelves_are_free(), .max = STORE_MAX };
        if (max && parse_u32(max, &n) >= 0 && n < STORE_MAX + STATES_MAX)
                s->max = n > STATES_MAX ? n - STATES_MAX : 0;
        shelves_init(&s->shelves);
        list_init(&s->children);
        s->notify_fd = notify_connect();
        if (s->notify_fd < 0 && s->notify_fd != -ENODATA)
                log_warning(
                        "Cannot connect to $NOTIFY_SOCKET, systemd keeps no file descriptors if the keeper dies");
        /* If that is not possible, the first child tries again, and the user is told. */
        if (s->notify_fd >= 0 && s->shelved)
                (void) shelves_prepare(&s->shelves);
}

void store_touch(Store *s) {
        if (s->notify_fd < 0)
                s->notify_fd = notify_connect();
        if (s->notify_fd < 0)
                return;
        s->last_change_usec = now_usec(CLOCK_MONOTONIC);
        if (s->first_change_usec == 0)
                s->first_change_usec = s->last_change_usec;
}

/* Returns -EAGAIN if systemd does not read at the moment. */
static int store_send_ready(Store *s) {
        static const char message[] = "READY=1";
        int r;

        if (!s->ready_due)
                return 0;
        r = socket_send(s->notify_fd, message, strlen(message), NULL, 0);
        if (r >= 0)
                s->ready_due = false;
        return r;
}

void store_ready(Store *s) {
        int r;

        if (s->notify_fd < 0)
                return;
        s->ready_due = true;
        r = store_send_ready(s);
        if (r < 0 && r != -EAGAIN)
                log_warning("Cannot send READY=1 to $NOTIFY_SOCKET: %s", strerror(-r));
        if (r < 0)
                store_touch(s);
}

static void store_item_name(const struct keeper_state_stored *item, char ret[static 32]) {
        (void) snprintf(ret, 32, "%c%" PRIx64, (int) item->kind, item->id);
}

static int store_send_add(Store *s, const struct keeper_state_stored *item, int fd) {
        char name[32], message[80];

        store_item_name(item, name);
        (void) snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        return socket_send(s->notify_fd, message, strlen(message), &fd, 1);
}

static int store_send_remove(Store *s, const struct keeper_state_stored *item) {
        char name[32], message[80];

        store_item_name(item, name);
        (void) snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        return socket_send(s->notify_fd, message, strlen(message), NULL, 0);
}

static const StoreKind store_child_kinds[_CHILD_STORED_MAX] = {
        [CHILD_STORED_PIDFD] = STORE_PIDFD,
        [CHILD_STORED_STDIN] = STORE_STDIN,
        [CHILD_STORED_MASTER] = STORE_MASTER,
        [CHILD_STORED_CONTROL] = STORE_CONTROL,
        [CHILD_STORED_PEER] = STORE_PEER,
        [CHILD_STORED_OUTPUT] = STORE_OUTPUT,
        [CHILD_STORED_TERMINAL] = STORE_TERMINAL,
        [CHILD_STORED_NOTIFY] = STORE_NOTIFY,
        [CHILD_STORED_NOTIFIED] = STORE_NOTIFIED,
};

static int store_child_fd(const Child *c, ChildStored which) {
        const KeeperTerminal *t = c->terminal && !c->terminal->over ? c->terminal : NULL;

        switch (which) {
        case CHILD_STORED_PIDFD:
                return c->pidfd;
        case CHILD_STORED_STDIN:
                return c->stdin_fd; /* also after the end of the process: others of the role may read it */
        case CHILD_STORED_MASTER:
                return t ? t->master_fd : -EBADF;
        case CHILD_STORED_CONTROL:
                return t ? t->control_fd : -EBADF;
        case CHILD_STORED_PEER:
                return t ? t->peer_fd : -EBADF;
        case CHILD_STORED_OUTPUT:
                return t ? t->output_fd : -EBADF;
        case CHILD_STORED_TERMINAL:
                return t ? t->pidfd : -EBADF;
        case CHILD_STORED_NOTIFY:
                return c->notify ? c->notify->fd : -EBADF;
        case CHILD_STORED_NOTIFIED:
                return c->notify ? c->notify->hold_fd : -EBADF;
        default:
                return -EBADF;
        }
}

StoreKind store_port_kind(const struct keeper_port *port) {
        return port->protocol == KEEPER_TCP ? STORE_TCP : STORE_UDP;
}

static int store_port_fd(const struct reserved_socket *socket) {
        /* After a restart the keeper would not own a port that its role releases by its exec. */
        return socket->port.release ? -EBADF : socket->hold_fd;
}

/* -- changes -- */

static void store_items_add(StoreItems *items, StoreKind kind, uint64_t id, uint64_t inode) {
        if (items->n == items->room) {
                const size_t room = items->room > 0 ? items->room * 2 : 64;
                struct keeper_state_stored *larger = realloc(items->all, room * sizeof(*larger));

                if (!larger) {
                        log_warning("Cannot take %c%" PRIx64 " from systemd's file descriptor store: %s",
                                (int) kind, id, strerror(ENOMEM));
                        return;
                }
                items->all = larger;
                items->room = room;
        }
        items->all[items->n++] = (struct keeper_state_stored){ .kind = kind, .id = id, .inode = inode };
}

static void store_child_gone(Store *s, Child *child, ChildStored which) {
        if (child->stored[which] == 0)
                return;
        store_items_add(&s->gone, store_child_kinds[which], child->id, child->stored[which]);
        child->stored[which] = 0;
        s->n_stored--;
}

void store_touch_child(Store *s, Child *child) {
        store_touch(s);
        if (!list_is_linked(&child->to_store))
                list_append(&s->children, &child->to_store);
}

void store_touch_terminal(Store *s, KeeperTerminal *terminal) {
        if (!terminal->child)
                return;
        /* Some kernels do not give each pidfd an inode of its own. */
        store_child_gone(s, terminal->child, CHILD_STORED_TERMINAL);
        store_touch_child(s, terminal->child);
}

void store_forget_child(Store *s, Child *child) {
        for (ChildStored i = 0; i < _CHILD_STORED_MAX; i++)
                store_child_gone(s, child, i);
        shelves_take(&s->shelves, &child->on_shelf);
        list_remove(&child->to_store);
        store_touch(s);
}

/* -- shelves -- */

/* Replaces what is on the shelf by what the keeper has now. */
static int store_write_shelf(const Shelf *shelf) {
        ShelfContents contents = { 0 };

        LIST_FOREACH (const Child, on_shelf.link, child, &shelf->lists[SHELF_CHILDREN])
                for (ChildStored i = 0; i < _CHILD_STORED_MAX; i++) {
                        int fd = store_child_fd(child, i);

                        if (fd >= 0)
                                shelf_contents_add(&contents, store_child_kinds[i], child->id, fd);
                }
        LIST_FOREACH (const struct reserved_socket, on_shelf.link, socket, &shelf->lists[SHELF_PORTS]) {
                int fd = store_port_fd(socket);

                if (fd >= 0)
                        shelf_contents_add(
                                &contents, store_port_kind(&socket->port), socket->port.number, fd);
        }
        return shelf_write(shelf, &contents);
}

/* A shelf for which systemd has no room remains in the list for the next time. */
static int store_sync_shelf(Store *s, Shelf *shelf) {
        int r;

        if (shelf_is_empty(shelf)) {
                if (shelf->stored) {
                        store_items_add(&s->gone, STORE_SHELF, shelf->id, 0);
                        s->n_stored--;
                }
                shelves_remove(&s->shelves, shelf);
                return 0;
        }
        /* Before it is stored, so that what is stored is never without its contents. */
        r = store_write_shelf(shelf);
        if (r < 0)
                return r;
        if (!shelf->stored) {
                if (s->n_stored >= s->max) {
                        s->full = true;
                        return 0;
                }
                /* A new number, because systemd may still have to remove the last one. */
                shelf->id = ++s->shelves.last_id;
                r = store_send_add(s, &(struct keeper_state_stored){ .kind = STORE_SHELF, .id = shelf->id },
                        shelf->hold_fd);
                if (r < 0)
                        return r;
                shelf->stored = true;
                s->n_stored++;
        }
        list_remove(&shelf->changed);
        return 0;
}

static int store_sync_shelves(Store *s, Sockets *sockets) {
        int r;

        LIST_FOREACH_SAFE (Child, to_store, child, &s->children) {
                /* It has a pidfd and a stdin; the terminal is five, the notifications are two. */
                r = shelves_put(&s->shelves, &child->on_shelf, SHELF_CHILDREN,
                        2U + (child->terminal ? 5U : 0U) + (child->notify ? 2U : 0U));
                if (r < 0)
                        return r;
                list_remove(&child->to_store);
        }
        LIST_FOREACH_SAFE (struct reserved_socket, to_store, socket, &sockets->changed) {
                r = shelves_put(&s->shelves, &socket->on_shelf, SHELF_PORTS, 1);
                if (r < 0)
                        return r;
                list_remove(&socket->to_store);
        }
        LIST_FOREACH_SAFE (Shelf, changed, shelf, &s->shelves.changed) {
                r = store_sync_shelf(s, shelf);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* -- one by one -- */

/* Makes systemd store this descriptor under this name, or remove it. Returns 1 if done, 0 if there is no
 * room, or a negative errno. */
static int store_sync_item(Store *s, StoreKind kind, uint64_t id, int fd, uint64_t *stored) {
        struct keeper_state_stored item = { .kind = kind, .id = id };
        struct stat st = { 0 };
        int r;

        if (fd >= 0 && fstat(fd, &st) < 0)
                fd = -EBADF;
        if (*stored == (fd >= 0 ? st.st_ino : 0))
                return 1;
        if (*stored != 0) {
                r = store_send_remove(s, &item);
                if (r < 0)
                        return r;
                *stored = 0;
                s->n_stored--;
        }
        if (fd < 0)
                return 1;
        if (s->n_stored >= s->max) {
                s->full = true;
                return 0;
        }
        r = store_send_add(s, &item, fd);
        if (r < 0)
                return r;
        *stored = st.st_ino;
        s->n_stored++;
        return 1;
}

static int store_sync_child(Store *s, Child *child) {
        int r = 1, all = 1;

        for (ChildStored i = 0; r >= 0 && i < _CHILD_STORED_MAX; i++) {
                r = store_sync_item(
                        s, store_child_kinds[i], child->id, store_child_fd(child, i), &child->stored[i]);
                if (r == 0)
                        all = 0;
        }
        return r < 0 ? r : all;
}

/* Children without room remain in the list for the next time. */
static int store_sync_children(Store *s) {
        LIST_FOREACH_SAFE (Child, to_store, child, &s->children) {
                int r = store_sync_child(s, child);

                if (r < 0)
                        return r;
                if (r > 0)
                        list_remove(&child->to_store);
        }
        return 0;
}

static int store_sync_ports(Store *s, Sockets *sockets) {
        LIST_FOREACH_SAFE (struct reserved_socket, to_store, socket, &sockets->changed) {
                int r = store_sync_item(s, store_port_kind(&socket->port), socket->port.number,
                        store_port_fd(socket), &socket->stored);

                if (r < 0)
                        return r;
                if (r > 0)
                        list_remove(&socket->to_store);
        }
        return 0;
}

static int store_sync_single(Store *s, Sockets *sockets) {
        int r = store_sync_children(s);

        return r < 0 ? r : store_sync_ports(s, sockets);
}

/* -- both -- */

void store_close_stdin(Store *s, Child *child) {
        int r = 1;

        if (child->on_shelf.shelf)
                r = store_write_shelf(child->on_shelf.shelf);
        else if (!s->shelved)
                r = store_sync_item(s, STORE_STDIN, child->id, -EBADF, &child->stored[CHILD_STORED_STDIN]);
        /* If it is not possible now, the next store_sync() removes it. */
        if (r < 0)
                store_touch_child(s, child);
        store_touch(s);
        /* The keeper before this one may have stored it. */
        if (s->old.n > 0)
                s->at_once = true;
}

static int store_take_back(Store *s, Sockets *sockets) {
        while (s->gone.n > 0) {
                int r = store_send_remove(s, &s->gone.all[s->gone.n - 1]);

                if (r < 0)
                        return r;
                s->gone.n--;
        }
        LIST_FOREACH_SAFE (struct reserved_socket, to_store, socket, &sockets->forgotten) {
                int r = store_sync_item(
                        s, store_port_kind(&socket->port), socket->port.number, -EBADF, &socket->stored);

                if (r < 0)
                        return r;
                shelves_take(&s->shelves, &socket->on_shelf);
                list_remove(&socket->to_store);
                free(socket);
        }
        return 0;
}

static int store_sync_state(Store *s, Sockets *sockets, StoreWriteState write_state, const void *userdata) {
        const struct keeper_state_stored item = { .kind = STORE_STATE, .id = ++s->generation };
        const uint64_t before = s->state;

        if (s->n_stored > 0) {
                autofd state_fd = -EBADF;
                int r;

                r = state_fd = write_state(userdata);
                if (r >= 0)
                        r = store_send_add(s, &item, state_fd);
                if (r < 0)
                        return r;
                s->state = item.id;
        } else
                s->state = 0;
        if (before != 0)
                store_items_add(&s->gone, STORE_STATE, before, 0);
        for (size_t i = 0; i < s->old.n; i++)
                store_items_add(
                        &s->gone, (StoreKind) s->old.all[i].kind, s->old.all[i].id, s->old.all[i].inode);
        s->old.n = 0;
        return store_take_back(s, sockets);
}

/* Whenever the keeper dies, everything that its last state names must be stored. So a new state is stored
 * after what it names, and before the previous state is removed. What a state names but has been closed is
 * not missed, so it is removed first, also because its name may be needed again. */
static int store_sync_all(Store *s, Sockets *sockets, StoreWriteState write_state, const void *userdata) {
        int r;

        r = store_send_ready(s);
        if (r >= 0)
                r = store_take_back(s, sockets);
        s->full = false;
        if (r >= 0)
                r = s->shelved ? store_sync_shelves(s, sockets) : store_sync_single(s, sockets);
        return r >= 0 ? store_sync_state(s, sockets, write_state, userdata) : r;
}

/* Tells the user that not everything is stored, in the journal and in "systemctl status", once for each
 * reason, and when it is over. error is a negative errno, or 0. */
static void store_complain(Store *s, int error) {
        char status[256] = "STATUS=";

        if (error == s->complaint)
                return;
        s->complaint = error;
        if (error == -ENOSPC)
                (void) snprintf(status, sizeof(status),
                        "STATUS=The file descriptor store is full (%zu), not all roles would outlive this process",
                        s->max);
        else if (error < 0)
                (void) snprintf(status, sizeof(status),
                        "STATUS=Cannot add to the file descriptor store, not all roles would outlive this process: %s",
                        strerror(-error));
        if (error < 0)
                log_error("%s", status + strlen("STATUS="));
        else
                log_warning("The file descriptor store has everything again");
        (void) socket_send(s->notify_fd, status, strlen(status), NULL, 0);
}

int store_sync(Store *s, Sockets *sockets, StoreWriteState write_state, const void *userdata) {
        int r;

        if (s->notify_fd < 0)
                return 0;
        r = store_sync_all(s, sockets, write_state, userdata);
        if (r >= 0) {
                s->first_change_usec = 0;
                s->at_once = false;
                store_complain(s, s->full ? -ENOSPC : 0);
        } else if (r == -ECONNREFUSED) {
                /* The reader has gone. The next change finds out whether there is a new one. */
                (void) fd_close(s->notify_fd);
                s->notify_fd = notify_connect();
                s->first_change_usec = 0;
                r = 0;
        } else if (r != -EAGAIN)
                store_complain(s, r);
        return r;
}

int store_run(Store *s, Sockets *sockets, StoreWriteState write_state, const void *userdata) {
        uint64_t now, due;

        if (s->first_change_usec == 0)
                return -1;
        now = now_usec(CLOCK_MONOTONIC);
        due = s->at_once ? now : s->last_change_usec + IDLE_USEC;
        if (due > s->first_change_usec + BUSY_USEC)
                due = s->first_change_usec + BUSY_USEC;
        if (now >= due) {
                if (store_sync(s, sockets, write_state, userdata) >= 0)
                        return -1;
                s->first_change_usec = s->last_change_usec = now;
                s->at_once = false;
                return (int) (RETRY_USEC / USEC_PER_MSEC);
        }
        return timeout_until(due, now);
}

/* -- the stored descriptors -- */

static size_t store_collect_port(const struct reserved_socket *socket, struct keeper_state_stored *ret) {
        *ret = (struct keeper_state_stored){
                .kind = store_port_kind(&socket->port), .id = socket->port.number, .inode = socket->stored
        };
        return socket->stored != 0;
}

int store_collect(const Store *s, const ListLink *children, const Sockets *sockets,
        struct keeper_state_stored **ret, size_t *ret_n) {
        struct keeper_state_stored *all;
        size_t n = 0;

        all = calloc(s->n_stored + s->gone.n + s->old.n + 2, sizeof(*all));
        if (!all)
                return -ENOMEM;
        LIST_FOREACH (const Child, link, c, children)
                for (ChildStored i = 0; i < _CHILD_STORED_MAX; i++)
                        if (c->stored[i] != 0)
                                all[n++] = (struct keeper_state_stored){
                                        .kind = store_child_kinds[i], .id = c->id, .inode = c->stored[i]
                                };
        for (size_t i = 0; i < sockets->n; i++)
                n += store_collect_port(sockets->all[i], &all[n]);
        LIST_FOREACH (const struct reserved_socket, to_store, forgotten, &sockets->forgotten)
                n += store_collect_port(forgotten, &all[n]);
        LIST_FOREACH (const Shelf, link, shelf, &s->shelves.all)
                if (shelf->stored)
                        all[n++] = (struct keeper_state_stored){ .kind = STORE_SHELF, .id = shelf->id };
        for (size_t i = 0; i < s->gone.n; i++)
                all[n++] = s->gone.all[i];
        for (size_t i = 0; i < s->old.n; i++)
                all[n++] = s->old.all[i];
        if (s->state != 0)
                all[n++] = (struct keeper_state_stored){ .kind = STORE_STATE, .id = s->state };
        *ret = all;
        *ret_n = n;
        return 0;
}

/* Returns where the stored inode for this name is recorded, or NULL if nothing has this name. */
static uint64_t *store_find_owner(
        const IdMap *children_by_id, const Sockets *sockets, const struct keeper_state_stored *item) {
        Child *child;

        if (item->kind == STORE_TCP || item->kind == STORE_UDP) {
                const struct keeper_port port = {
                        .number = (uint16_t) item->id,
                        .protocol = item->kind == STORE_TCP ? KEEPER_TCP : KEEPER_UDP,
                };
                struct reserved_socket *socket = item->id <= UINT16_MAX ? sockets_find(sockets, &port) : NULL;

                return socket ? &socket->stored : NULL;
        }
        child = id_map_get(children_by_id, item->id);
        for (ChildStored i = 0; child && i < _CHILD_STORED_MAX; i++)
                if (store_child_kinds[i] == item->kind)
                        return &child->stored[i];
        return NULL;
}

void store_resume(Store *s, const ListLink *children, const IdMap *children_by_id, const Sockets *sockets,
        const struct keeper_state_stored *items, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t *owner = store_find_owner(children_by_id, sockets, &items[i]);

                if (items[i].kind == STORE_SHELF && s->shelves.last_id < items[i].id)
                        s->shelves.last_id = items[i].id;
                if (items[i].kind == STORE_STATE && s->state < items[i].id) {
                        if (s->state != 0)
                                store_items_add(&s->gone, STORE_STATE, s->state, 0);
                        s->state = items[i].id;
                } else if (items[i].kind == STORE_SHELF || (s->shelved && items[i].kind != STORE_STATE))
                        store_items_add(&s->old, (StoreKind) items[i].kind, items[i].id, items[i].inode);
                else if (!owner)
                        store_items_add(&s->gone, (StoreKind) items[i].kind, items[i].id, items[i].inode);
                else if (*owner != 0)
                        /* There are two descriptors of one name, one of which is wrong, so it is stored
                         * again. */
                        *owner = UINT64_MAX;
                else {
                        *owner = items[i].inode;
                        s->n_stored++;
                }
        }
        LIST_FOREACH (Child, link, c, children)
                store_touch_child(s, c);
        store_touch(s);
}

/* -- names -- */

bool store_item_parse(const char *name, size_t size, struct keeper_state_stored *ret) {
        char copy[32], *end, again[32];

        if (size < 2 || size >= sizeof(copy) || !strchr("spitumceodnkq", name[0]))
                return false;
        memcpy(copy, name, size);
        copy[size] = '\0';
        *ret = (struct keeper_state_stored){ .kind = (uint32_t) name[0] };
        ret->id = strtoull(copy + 1, &end, 16);
        store_item_name(ret, again);
        /* All of its bytes, so that there is no NUL in it. */
        return strlen(again) == size && memcmp(name, again, size) == 0;
}
