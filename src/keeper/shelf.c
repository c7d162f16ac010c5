/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "keeper/hold.h"
#include "keeper/shelf.h"

ASSERT_FIXED_SIZE(struct shelf_item, 16);

/* The analyzer of gcc 12 does not see that a shelf is in a list by the link in it, and reports a leak;
 * LeakSanitizer does not. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void shelves_init(Shelves *s) {
        *s = (Shelves){ 0 };
        list_init(&s->all);
        list_init(&s->changed);
}

bool shelves_are_free(void) {
        _cleanup_free_ char *text = NULL;
        unsigned long inside, outside, n;

        if (geteuid() != 0)
                return false;
        /* A kernel without the file has no user namespaces. */
        if (file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &text, NULL) < 0)
                return true;
        return sscanf(text, "%lu %lu %lu", &inside, &outside, &n) == 3 && inside == 0 && outside == 0 &&
               n == UINT32_MAX;
}

static bool shelf_has_room(const Shelf *shelf) {
        return shelf->weight + SHELF_WEIGHT_MAX <= SHELF_MAX;
}

static int shelves_add(Shelves *s, Shelf **ret) {
        Shelf *shelf = calloc(1, sizeof(*shelf));
        int r;

        if (!shelf)
                return -ENOMEM;
        r = hold_open();
        if (r < 0) {
                free(shelf);
                return r;
        }
        shelf->hold_fd = r;
        list_init(&shelf->changed);
        for (ShelfList i = 0; i < _SHELF_LIST_MAX; i++)
                list_init(&shelf->lists[i]);
        list_prepend(&s->all, &shelf->link);
        *ret = shelf;
        return 0;
}

int shelves_prepare(Shelves *s) {
        Shelf *shelf;

        return shelves_add(s, &shelf);
}

static void shelves_note(Shelves *s, Shelf *shelf) {
        list_remove(&shelf->changed);
        list_append(&s->changed, &shelf->changed);
}

int shelves_put(Shelves *s, ShelfPlace *place, ShelfList list, size_t weight) {
        if (!place->shelf) {
                Shelf *shelf = LIST_FIRST(Shelf, link, &s->all);
                bool room = list_is_linked(&s->all) && shelf_has_room(shelf);
                int r = room ? 0 : shelves_add(s, &shelf);

                if (r < 0)
                        return r;
                place->shelf = shelf;
                place->weight = weight;
                /* clang-tidy follows no index that is not a constant. */
                list_append(&shelf->lists[list == SHELF_PORTS ? SHELF_PORTS : SHELF_CHILDREN], &place->link);
                shelf->weight += weight;
                if (!shelf_has_room(shelf)) {
                        list_remove(&shelf->link);
                        list_append(&s->all, &shelf->link);
                }
        }
        shelves_note(s, place->shelf);
        return 0;
}

void shelves_take(Shelves *s, ShelfPlace *place) {
        Shelf *shelf = place->shelf;

        if (!shelf)
                return;
        list_remove(&place->link);
        shelf->weight -= place->weight;
        if (shelf_has_room(shelf)) {
                list_remove(&shelf->link);
                list_prepend(&s->all, &shelf->link);
        }
        shelves_note(s, shelf);
        *place = (ShelfPlace){ 0 };
}

bool shelf_is_empty(const Shelf *shelf) {
        return shelf->weight == 0;
}

void shelves_remove(Shelves *s, Shelf *shelf) {
        list_remove(&shelf->changed);
        if (shelf->link.prev == shelf->link.next) {
                hold_empty(shelf->hold_fd);
                shelf->stored = false;
                return;
        }
        list_remove(&shelf->link);
        hold_end(shelf->hold_fd);
        free(shelf);
}

void shelf_contents_add(ShelfContents *c, uint32_t kind, uint64_t id, int fd) {
        c->packet.items[c->n] = (struct shelf_item){ .id = id, .kind = kind };
        c->fds[c->n++] = fd;
}

int shelf_write(const Shelf *shelf, ShelfContents *c) {
        if (c->n == 0) {
                hold_empty(shelf->hold_fd);
                return 0;
        }
        return hold_replace_packet(shelf->hold_fd, &c->packet.serial,
                offsetof(struct shelf_packet, items) + c->n * sizeof(c->packet.items[0]), c->fds, c->n);
}

int shelf_read(int hold_fd, ShelfContents *ret) {
        ssize_t size;

        ret->n = SHELF_MAX;
        size = socket_peek_many(hold_fd, &ret->packet, sizeof(ret->packet), ret->fds, &ret->n);
        if (size == -EAGAIN) {
                ret->n = 0; /* a shelf that was emptied */
                return 0;
        }
        if (size >= 0 &&
                (size_t) size == offsetof(struct shelf_packet, items) + ret->n * sizeof(ret->packet.items[0]))
                return 0;
        for (size_t i = 0; size >= 0 && i < ret->n; i++)
                (void) fd_close(ret->fds[i]);
        ret->n = 0;
        return size < 0 ? (int) size : -EBADMSG;
}
