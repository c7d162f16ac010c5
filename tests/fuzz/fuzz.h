/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The code that a fuzzer and the replay of its corpus share. A violated condition aborts, with assertions on
 * or off. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_check(condition) \
        do { \
                if (!(condition)) { \
                        (void) fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
                        abort(); \
                } \
        } while (0)
