/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "model/world.h"

void world_check(const char *side, const void *ops, size_t size) {
        void (*const *callbacks)(void) = ops;

        for (size_t i = 0; i < size / sizeof(*callbacks); i++)
                if (!callbacks[i])
                        g_error("The side \"%s\" of the world lacks callback %zu of its table in model/world.h",
                                side, i + 1);
}
