/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a product set-up has made, for those who compare two nights: the products that are set up, and the
 * changes of the environment. A child whose launch request asks for it writes the record to a sealed memfd
 * and sends that through its gate, in one packet (gate_record). It continues when the node has sent
 * gate_recorded, so that the record is saved before the command runs, or when the gate ends: then the node
 * has died, and the next one finds the packet in the gate. Uses libc only.
 *
 * The encoding is a header and strings that end with NUL: of each product its name and its version, then each
 * change, which is NAME=VALUE, or NAME for a variable that was removed. */

#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

/* The kernel accepts at most 6 MiB of arguments and environment. */
#define PRODUCT_RECORD_SIZE_MAX (8U * 1024U * 1024U)
#define PRODUCT_RECORD_PRODUCTS_MAX 1024U

#define GATE_RECORD_MAGIC UINT32_C(0x70726f64)
#define GATE_RECORDED_MAGIC UINT32_C(0x646f7270)

/* Child to node. It has one descriptor, the memfd. */
struct gate_record {
        uint32_t magic; /* GATE_RECORD_MAGIC */
        uint32_t reserved;
};

/* Node to child. */
struct gate_recorded {
        uint32_t magic; /* GATE_RECORDED_MAGIC */
        uint32_t reserved;
};

struct product_record_header {
        uint32_t magic;
        uint32_t version;
        uint32_t n_products;
        uint32_t n_changes;
};

ASSERT_FIXED_SIZE(struct gate_record, 8);
ASSERT_FIXED_SIZE(struct gate_recorded, 8);
ASSERT_FIXED_SIZE(struct product_record_header, 16);

typedef struct ProductRecord {
        char **products; /* NULL-terminated; name and version of each, in turn */
        char **changes;  /* NULL-terminated */
        char *data;      /* that the strings are in */
} ProductRecord;

/* Returns a new sealed memfd, or a negative errno (-E2BIG). */
int product_record_write(char *const *products, char *const *changes);

/* Parse it, from memory or such a memfd. The caller frees *ret with product_record_clear(). The strings may
 * not be UTF-8. Return -EBADMSG if it is malformed. */
int product_record_parse(const void *data, size_t size, ProductRecord *ret);
int product_record_read(int memfd, ProductRecord *ret);
void product_record_clear(ProductRecord *record);
