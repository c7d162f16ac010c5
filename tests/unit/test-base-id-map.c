/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compares the table with an array that has the same contents, over many changes, and tests the list. */

#include "unit-test.h"

#include "base/id-map.h"
#include "base/list.h"
#include "base/macro.h"

#define N 1024U

static void test_empty(void **state) {
        IdMap map = { 0 };

        assert_null(id_map_get(&map, 1));
        assert_null(id_map_remove(&map, 1));
        id_map_clear(&map);
}

static void test_every_number(void **state) {
        static const uint64_t ids[] = { 0, 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - 1, UINT64_MAX };
        int values[ELEMENTSOF(ids)];
        IdMap map = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                assert_int_equal(id_map_put(&map, ids[i], &values[i]), 0);
        assert_int_equal(id_map_put(&map, ids[0], &values[1]), -EEXIST);
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                assert_ptr_equal(id_map_get(&map, ids[i]), &values[i]);
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                assert_ptr_equal(id_map_remove(&map, ids[i]), &values[i]);
                assert_null(id_map_get(&map, ids[i]));
        }
        assert_int_equal(map.n, 0);
        id_map_clear(&map);
}

/* An entry beside its own slot is found even after an entry before it was removed. */
static void churn(uint64_t factor) {
        static bool has[N];
        static int values[N];
        uint32_t random = 1;
        size_t n = 0;
        IdMap map = { 0 };

        memset(has, 0, sizeof(has));
        for (size_t round = 0; round < 40 * N; round++) {
                random = random * 1664525 + 1013904223;
                const size_t i = (random >> 8) % N;

                if (has[i]) {
                        assert_ptr_equal(id_map_remove(&map, i * factor), &values[i]);
                        n--;
                } else {
                        assert_int_equal(id_map_put(&map, i * factor, &values[i]), 0);
                        n++;
                }
                has[i] = !has[i];
                assert_int_equal(map.n, n);
                if (round % N == 0)
                        for (size_t j = 0; j < N; j++)
                                assert_ptr_equal(id_map_get(&map, j * factor), has[j] ? &values[j] : NULL);
        }
        assert_true(map.room <= 4 * N);
        id_map_clear(&map);
}

/* It becomes small again, and loses nothing on the way. */
static void test_shrink(void **state) {
        static int values[8 * N];
        IdMap map = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                assert_int_equal(id_map_put(&map, i, &values[i]), 0);
        assert_true(map.room >= 16 * N);
        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                assert_ptr_equal(id_map_remove(&map, i), &values[i]);
                assert_true(map.room <= 16 || map.room <= 8 * map.n);
                if (i % N == 0)
                        for (size_t j = 0; j < ELEMENTSOF(values); j++)
                                assert_ptr_equal(id_map_get(&map, j), j <= i ? NULL : &values[j]);
        }
        assert_true(map.room <= 16);
        id_map_clear(&map);
}

static void test_churn(void **state) {
        churn(1);
        churn(UINT64_C(1) << 16);
        churn(UINT64_C(1) << 48);
}

struct item {
        int number;
        ListLink link;
};

static void assert_list(ListLink *list, const char *numbers) {
        char is[16] = "";

        LIST_FOREACH (struct item, link, item, list)
                is[strlen(is)] = (char) ('0' + item->number);
        assert_string_equal(is, numbers);
        assert_int_equal(list_is_linked(list), *numbers != '\0');
        assert_true(LIST_FIRST(struct item, link, list) == NULL || *numbers != '\0');
}

static void test_list(void **state) {
        struct item items[5];
        ListLink list;

        list_init(&list);
        for (int i = 0; i < 5; i++) {
                items[i].number = i;
                list_init(&items[i].link);
        }
        assert_list(&list, "");
        list_append(&list, &items[1].link);
        list_append(&list, &items[2].link);
        list_prepend(&list, &items[0].link);
        list_insert_after(&items[1].link, &items[3].link);
        assert_list(&list, "0132");
        assert_ptr_equal(LIST_FIRST(struct item, link, &list), &items[0]);

        list_remove(&items[3].link);
        list_remove(&items[3].link);
        list_remove(&items[4].link); /* it was in no list */
        assert_false(list_is_linked(&items[3].link));
        assert_list(&list, "012");

        ListLink other;
        list_init(&other);
        list_splice(&other, &list);
        assert_list(&list, "");
        assert_list(&other, "012");
        list_append(&list, &items[4].link);
        list_splice(&list, &other);
        list_splice(&list, &other); /* the other list is empty */
        assert_list(&list, "4012");
        assert_ptr_equal(list.prev, &items[2].link);
        assert_ptr_equal(items[0].link.prev, &items[4].link);
        list_remove(&items[4].link);
        list_remove(&items[0].link);
        list_remove(&items[2].link);
        assert_list(&list, "1");
        list_remove(&items[1].link);
        assert_list(&list, "");
}

/* Removes and overwrites the items of these numbers within the loop. */
static void assert_removed(const char *removed, const char *remaining) {
        struct item items[5];
        char seen[16] = "";
        ListLink list;

        list_init(&list);
        for (int i = 0; i < 5; i++) {
                items[i].number = i;
                list_append(&list, &items[i].link);
        }
        LIST_FOREACH_SAFE (struct item, link, item, &list) {
                const char c = (char) ('0' + item->number);

                seen[strlen(seen)] = c;
                if (!strchr(removed, c))
                        continue;
                list_remove(&item->link);
                memset(item, 0xff, sizeof(*item)); /* as if it had been freed */
        }
        assert_string_equal(seen, "01234");
        assert_list(&list, remaining);
}

static void test_list_remove_in_loop(void **state) {
        ListLink list;

        list_init(&list);
        LIST_FOREACH_SAFE (struct item, link, item, &list)
                fail_msg("the list is empty, but has item %d", item->number);

        assert_removed("", "01234");
        assert_removed("0", "1234");
        assert_removed("4", "0123");
        assert_removed("12", "034");
        assert_removed("024", "13");
        assert_removed("01234", "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_every_number),
                cmocka_unit_test(test_churn),
                cmocka_unit_test(test_shrink),
                cmocka_unit_test(test_list),
                cmocka_unit_test(test_list_remove_in_loop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
