/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/command-list.h"
#include "base/parse-util.h"

/* Returns the number of words after this count that the list has, or 0. */
static size_t command_words(char *const *list) {
        uint32_t n;

        if (parse_u32(list[0], &n) < 0)
                return 0;
        for (uint32_t i = 1; i <= n; i++)
                if (!list[i])
                        return 0;
        return n;
}

bool command_list_is_valid(char *const *list) {
        while (list && *list) {
                const size_t n = command_words(list);

                if (n == 0 || list[1][list[1][0] == COMMAND_IGNORES_FAILURE] == '\0')
                        return false;
                list += 1 + n;
        }
        return true;
}

char *const *command_list_next(char *const **list, size_t *ret_n) {
        char *const *words = *list && **list ? *list + 1 : NULL;

        if (!words)
                return NULL;
        *ret_n = command_words(*list);
        *list = words + *ret_n;
        return words;
}

size_t command_list_count(char *const *list) {
        size_t n = 0, n_words;

        while (command_list_next(&list, &n_words))
                n++;
        return n;
}
