/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>

#include "base/id-map.h"

#define ROOM_MIN 16U

struct id_map_slot {
        uint64_t id;
        void *value; /* NULL if the slot is free */
};

/* Spreads numbers that are close to each other or multiples of a number. */
static size_t id_map_home(const IdMap *map, uint64_t id) {
        id ^= id >> 32;
        id *= UINT64_C(0x9e3779b97f4a7c15);
        id ^= id >> 29;
        return (size_t) id & (map->room - 1);
}

static size_t id_map_next(const IdMap *map, size_t i) {
        return (i + 1) & (map->room - 1);
}

/* Returns the slot of the number, or the free slot for it. */
static struct id_map_slot *id_map_find(const IdMap *map, uint64_t id) {
        size_t i = id_map_home(map, id);

        while (map->slots[i].value && map->slots[i].id != id)
                i = id_map_next(map, i);
        return &map->slots[i];
}

static int id_map_resize(IdMap *map, size_t room) {
        IdMap other = { .n = map->n, .room = room };

        other.slots = calloc(other.room, sizeof(*other.slots));
        if (!other.slots)
                return -ENOMEM;
        for (size_t i = 0; i < map->room; i++)
                if (map->slots[i].value)
                        *id_map_find(&other, map->slots[i].id) = map->slots[i];
        free(map->slots);
        *map = other;
        return 0;
}

int id_map_put(IdMap *map, uint64_t id, void *value) {
        struct id_map_slot *slot;

        if (id_map_get(map, id))
                return -EEXIST;
        /* At most half full, so that searches are short. */
        if (map->n + 1 > map->room / 2) {
                int r = id_map_resize(map, map->room > 0 ? map->room * 2 : ROOM_MIN);

                if (r < 0)
                        return r;
        }
        slot = id_map_find(map, id);
        slot->id = id;
        slot->value = value;
        map->n++;
        return 0;
}

void *id_map_get(const IdMap *map, uint64_t id) {
        return map->room > 0 ? id_map_find(map, id)->value : NULL;
}

void *id_map_remove(IdMap *map, uint64_t id) {
        struct id_map_slot *slot;
        size_t hole;
        void *value;

        if (map->room == 0)
                return NULL;
        slot = id_map_find(map, id);
        value = slot->value;
        if (!value)
                return NULL;

        /* The entries that were moved past the slot move up, so that no search ends too early. */
        hole = (size_t) (slot - map->slots);
        for (size_t i = id_map_next(map, hole); map->slots[i].value; i = id_map_next(map, i)) {
                const size_t way = (i - id_map_home(map, map->slots[i].id)) & (map->room - 1);

                if (way < ((i - hole) & (map->room - 1)))
                        continue;
                map->slots[hole] = map->slots[i];
                hole = i;
        }
        map->slots[hole].value = NULL;
        map->n--;
        /* Without memory for the smaller one it stays as it is. */
        if (map->room > ROOM_MIN && map->n < map->room / 8)
                (void) id_map_resize(map, map->room / 2);
        return value;
}

void id_map_clear(IdMap *map) {
        free(map->slots);
        *map = (IdMap){ 0 };
}
