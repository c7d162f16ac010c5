/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/caller.h"

void caller_copy(Caller *to, const Caller *from) {
        caller_clear(to);
        if (from && from->known) {
                *to = *from;
                to->unit = g_strdup(from->unit);
        }
}

void caller_clear(Caller *caller) {
        g_free(caller->unit);
        *caller = (Caller){};
}
