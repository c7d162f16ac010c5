/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds what belongs to a number: a hash table with open addressing. All zeroes is an empty one. It does not own its values. */

#include <stddef.h>
#include <stdint.h>

typedef struct IdMap {
        struct id_map_slot *slots;
        size_t n;
        size_t room; /* a power of two, or 0 */
} IdMap;

/* value: not NULL. -EEXIST: the number has one already; -ENOMEM. */
int id_map_put(IdMap *map, uint64_t id, void *value);

/* NULL: there is none. */
void *id_map_get(const IdMap *map, uint64_t id);
void *id_map_remove(IdMap *map, uint64_t id);

void id_map_clear(IdMap *map);
