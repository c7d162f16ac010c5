/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "base/fd-util.h"
#include "proto/product-record.h"

#define RECORD_MAGIC UINT32_C(0x70726563)
#define RECORD_VERSION 1U

static size_t strings_measure(char *const *strings, size_t *ret_size) {
        size_t n = 0;

        for (; strings[n]; n++)
                *ret_size += strlen(strings[n]) + 1;
        return n;
}

static char *strings_append(char *p, char *const *strings) {
        for (; *strings; strings++)
                p = stpcpy(p, *strings) + 1;
        return p;
}

int product_record_write(char *const *products, char *const *changes) {
        struct product_record_header header = { .magic = RECORD_MAGIC, .version = RECORD_VERSION };
        _cleanup_free_ char *data = NULL;
        size_t size = sizeof(header), n_products, n_changes;

        n_products = strings_measure(products, &size) / 2;
        n_changes = strings_measure(changes, &size);
        if (size > PRODUCT_RECORD_SIZE_MAX || n_products > PRODUCT_RECORD_PRODUCTS_MAX)
                return -E2BIG;
        header.n_products = (uint32_t) n_products;
        header.n_changes = (uint32_t) n_changes;
        data = malloc(size);
        if (!data)
                return -ENOMEM;
        memcpy(data, &header, sizeof(header));
        (void) strings_append(strings_append(data + sizeof(header), products), changes);
        return memfd_new_sealed("product-record", data, size);
}

/* Returns the byte after the last of n strings, or NULL. */
static char *strings_split(char *p, const char *end, size_t n, char **strings) {
        for (size_t i = 0; i < n; i++) {
                char *nul = memchr(p, '\0', (size_t) (end - p));

                if (!nul)
                        return NULL;
                strings[i] = p;
                p = nul + 1;
        }
        return p;
}

/* Fills the record, also partly on failure. */
static int record_fill(ProductRecord *record, const char *data, size_t size) {
        struct product_record_header header;
        const char *end;
        char *p;

        if (size < sizeof(header) || size > PRODUCT_RECORD_SIZE_MAX)
                return -EBADMSG;
        memcpy(&header, data, sizeof(header));
        size -= sizeof(header);
        if (header.magic != RECORD_MAGIC || header.version != RECORD_VERSION ||
                header.n_products > PRODUCT_RECORD_PRODUCTS_MAX || header.n_changes > size)
                return -EBADMSG;

        /* One byte more, because the size may be 0. */
        record->data = malloc(size + 1);
        record->products = calloc(2 * (size_t) header.n_products + 1, sizeof(char *));
        record->changes = calloc((size_t) header.n_changes + 1, sizeof(char *));
        if (!record->data || !record->products || !record->changes)
                return -ENOMEM;
        memcpy(record->data, data + sizeof(header), size);

        end = record->data + size;
        p = strings_split(record->data, end, 2 * (size_t) header.n_products, record->products);
        if (p)
                p = strings_split(p, end, header.n_changes, record->changes);
        if (p != end)
                return -EBADMSG;
        for (char **name = record->products; *name; name += 2)
                if ((*name)[0] == '\0')
                        return -EBADMSG;
        for (char **change = record->changes; *change; change++)
                if ((*change)[0] == '\0' || (*change)[0] == '=')
                        return -EBADMSG;
        return 0;
}

int product_record_parse(const void *data, size_t size, ProductRecord *ret) {
        ProductRecord record = { 0 };
        int r;

        r = record_fill(&record, data, size);
        if (r < 0) {
                product_record_clear(&record);
                return r;
        }
        *ret = record;
        return 0;
}

int product_record_read(int memfd, ProductRecord *ret) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        r = memfd_read_sealed(memfd, PRODUCT_RECORD_SIZE_MAX, &data, &size);
        return r < 0 ? r : product_record_parse(data, size, ret);
}

void product_record_clear(ProductRecord *record) {
        free(record->products);
        free(record->changes);
        free(record->data);
        *record = (ProductRecord){ 0 };
}
