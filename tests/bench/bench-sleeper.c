/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The role of the benchmarks. It is linked statically, so that the cost of a start does not contain the
 * dynamic linker. */

#include <unistd.h>

int main(void) {
        for (;;)
                (void) pause();
}
