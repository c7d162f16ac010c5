/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Maps numbers to pointers, as a hash table with open addressing. An IdMap of all zeroes is empty. It does
 * not own its values. */

#include <stddef.h>
#include <stdint.h>

typedef struct IdMap {
        struct id_map_slot *slots;
        size_t n;
        size_t room; /* a power of two, or 0 */
} IdMap;

/* value must not be NULL. Returns -EEXIST if the number has a value already, or -ENOMEM. */
int id_map_put(IdMap *map, uint64_t id, void *value);

/* Returns NULL if the number has no value. */
void *id_map_get(const IdMap *map, uint64_t id);
/* Removes the number and returns its value, or NULL if it has none. */
void *id_map_remove(IdMap *map, uint64_t id);

void id_map_clear(IdMap *map);
