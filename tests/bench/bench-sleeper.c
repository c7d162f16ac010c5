/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The role of the benchmarks: linked statically, so that the cost of a start is not the dynamic linker's. */

#include <unistd.h>

int main(void) {
        for (;;)
                (void) pause();
}
