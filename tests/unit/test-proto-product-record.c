/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The record of a product set-up as it goes from the child to the node. The corpus of the fuzzer has what is
 * refused. */

#include <fcntl.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/fd-util.h"
#include "proto/product-record.h"

static void assert_strings(char *const *a, char *const *b) {
        size_t n = 0;

        for (; a[n] && b[n]; n++)
                assert_string_equal(a[n], b[n]);
        assert_null(a[n]);
        assert_null(b[n]);
}

static void assert_round(char *const *products, char *const *changes) {
        ProductRecord record;
        autofd fd = product_record_write(products, changes);

        assert_true(fd >= 0);
        assert_int_equal(product_record_read(fd, &record), 0);
        assert_strings(record.products, products);
        assert_strings(record.changes, changes);
        product_record_clear(&record);
        assert_null(record.data);
}

static void test_round(void **state) {
        assert_round((char *[]){ NULL }, (char *[]){ NULL });
        assert_round((char *[]){ "base", "2.0", "cam", "", "b\377", "LOCAL:/x y", NULL },
                (char *[]){ "A=1", "B", "C=", "D=x\ny=z\377", NULL });
}

static void test_bounds(void **state) {
        static char *products[2 * PRODUCT_RECORD_PRODUCTS_MAX + 3];
        char *const none[] = { NULL };
        char *big = malloc(PRODUCT_RECORD_SIZE_MAX);

        for (size_t i = 0; i < 2 * PRODUCT_RECORD_PRODUCTS_MAX; i++)
                products[i] = "x";
        assert_round(products, none);
        products[2 * PRODUCT_RECORD_PRODUCTS_MAX] = products[2 * PRODUCT_RECORD_PRODUCTS_MAX + 1] = "x";
        assert_int_equal(product_record_write(products, none), -E2BIG);

        assert_non_null(big);
        memset(big, 'x', PRODUCT_RECORD_SIZE_MAX);
        big[PRODUCT_RECORD_SIZE_MAX - sizeof(struct product_record_header)] = '\0';
        assert_int_equal(product_record_write(none, (char *[]){ big, NULL }), -E2BIG);
        big[PRODUCT_RECORD_SIZE_MAX - sizeof(struct product_record_header) - 1] = '\0';
        assert_round(none, (char *[]){ big, NULL });
        free(big);
}

/* Only what cannot change any more is read, and only as much as fits. */
static void test_memfd(void **state) {
        ProductRecord record;
        autofd unsealed = memfd_new("record"), file = open("/dev/null", O_RDONLY | O_CLOEXEC), large = -EBADF;
        char *big = calloc(1, PRODUCT_RECORD_SIZE_MAX + 1);

        assert_int_equal(product_record_read(unsealed, &record), -EBADMSG);
        assert_int_equal(product_record_read(file, &record), -EBADMSG);
        assert_int_equal(product_record_read(-EBADF, &record), -EBADMSG);
        assert_non_null(big);
        large = memfd_new_sealed("record", big, PRODUCT_RECORD_SIZE_MAX + 1);
        assert_int_equal(product_record_read(large, &record), -E2BIG);
        free(big);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_memfd),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
