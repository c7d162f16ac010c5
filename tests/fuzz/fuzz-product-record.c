/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The record of a product set-up, which a process of the role's user may have written. What is accepted is
 * written in the same bytes. */

#include <errno.h>
#include <string.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "proto/product-record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ProductRecord record = { 0 };
        char *again = NULL;
        size_t again_size = 0, n = 0;
        int r = product_record_parse(data, size, &record);

        if (r < 0) {
                fuzz_check(r == -EBADMSG && !record.products && !record.changes && !record.data);
                return 0;
        }

        for (char **p = record.products; *p; p++)
                n++;
        fuzz_check(n % 2 == 0 && n / 2 <= PRODUCT_RECORD_PRODUCTS_MAX);
        autofd fd = product_record_write(record.products, record.changes);
        fuzz_check(fd >= 0);
        fuzz_check(memfd_read_sealed(fd, PRODUCT_RECORD_SIZE_MAX, &again, &again_size) >= 0);
        fuzz_check(again_size == size && memcmp(again, data, size) == 0);
        free(again);
        product_record_clear(&record);
        return 0;
}
