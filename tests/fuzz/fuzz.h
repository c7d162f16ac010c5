/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The code that a fuzzer and the replay of its corpus share. A violated condition aborts, with assertions on
 * or off. */

#include <stdbool.h>
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

/* A part of an input that is a sequence of records: a byte that says what it is, the number of bytes in two
 * bytes, the lower one first, and the bytes, which may be cut short by the end of the input. */
typedef struct FuzzRecord {
        uint8_t what;
        const uint8_t *data;
        size_t size;
} FuzzRecord;

/* Takes the next record from the input. Returns whether there is one. */
static inline bool fuzz_take_record(const uint8_t **data, size_t *size, FuzzRecord *ret) {
        const size_t header = 3;

        if (*size < header)
                return false;
        const size_t said = (size_t) (*data)[1] | (size_t) (*data)[2] << 8, left = *size - header;

        *ret = (FuzzRecord){ (*data)[0], *data + header, said < left ? said : left };
        *data += header + ret->size;
        *size -= header + ret->size;
        return true;
}
