/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A doubly linked list has its links as members of its items, so it needs no allocation, and an item is
 * removed in constant time. The list itself is another link. */

#include <stdbool.h>
#include <stddef.h>

typedef struct ListLink {
        struct ListLink *prev, *next;
} ListLink;

/* Initializes an empty list, or an item that is in no list. */
static inline void list_init(ListLink *link) {
        link->prev = link->next = link;
}

static inline bool list_is_linked(const ListLink *link) {
        return link->next != link;
}

static inline void list_insert_after(ListLink *where, ListLink *link) {
        link->prev = where;
        link->next = where->next;
        where->next->prev = link;
        where->next = link;
}

static inline void list_prepend(ListLink *list, ListLink *link) {
        list_insert_after(list, link);
}

static inline void list_append(ListLink *list, ListLink *link) {
        list_insert_after(list->prev, link);
}

/* An item that is in no list may be removed, too. */
static inline void list_remove(ListLink *link) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        list_init(link);
}

/* Moves all items of one list to the end of another. */
static inline void list_splice(ListLink *to, ListLink *from) {
        if (!list_is_linked(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

/* Returns the item of a link, or NULL at the end, which is the list itself. */
static inline void *list_item(const ListLink *list, ListLink *link, size_t offset) {
        return link == list ? NULL : (char *) link - offset;
}

#define LIST_FIRST(type, member, list) ((type *) list_item((list), (list)->next, offsetof(type, member)))

/* The item must not leave the list within the loop. */
#define LIST_FOREACH(type, member, item, list) \
        for (type *item = list_item((list), (list)->next, offsetof(type, member)); item; \
                item = list_item((list), item->member.next, offsetof(type, member)))

/* The item may leave the list within the loop and be freed, but the next one must not. */
#define LIST_FOREACH_SAFE(type, member, item, list) \
        for (type *item = LIST_FIRST(type, member, (list)), *item##_next; \
                item && (item##_next = list_item((list), item->member.next, offsetof(type, member)), true); \
                item = item##_next)
