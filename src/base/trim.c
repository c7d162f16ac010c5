/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <malloc.h>

#include "base/time-util.h"
#include "base/trim.h"

bool trim_freed(Trim *trim, uint64_t now) {
        if (++trim->n_freed < TRIM_OBJECTS || trim->due_usec != 0)
                return false;
        trim->due_usec = now + TRIM_DELAY_USEC;
        return true;
}

int trim_run(Trim *trim, uint64_t now) {
        if (trim->due_usec == 0)
                return -1;
        if (now < trim->due_usec)
                return timeout_until(trim->due_usec, now);
        *trim = (Trim){ 0 };
        (void) malloc_trim(0);
        return -1;
}
