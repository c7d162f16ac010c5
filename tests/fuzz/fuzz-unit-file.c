/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The syntax of unit files. What is read is written in the plainest form, of one line each, and read from
 * that again as the same. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "util/unit-file.h"

static void check_trimmed(const char *text) {
        const size_t size = strlen(text);

        fuzz_check(size == 0 || (!strchr(" \t", text[0]) && !strchr(" \t", text[size - 1])));
        fuzz_check(utf8_is_valid(text) && !strpbrk(text, "\n\r"));
}

static void check_item(const UnitFile *file) {
        fuzz_check(file->section && !strpbrk(file->section, "\"'\\\n\r") && utf8_is_valid(file->section));
        fuzz_check(!file->key == !file->value);
        if (!file->key)
                return;
        check_trimmed(file->key);
        check_trimmed(file->value);
        fuzz_check(file->key[0] && !strchr(file->key, '='));
}

/* The space keeps a backslash at the end of a value from being at the end of the line. */
static void append_item(GString *text, const UnitFile *file) {
        if (file->key)
                g_string_append_printf(text, "%s=%s \n", file->key, file->value);
        else
                g_string_append_printf(text, "[%s]\n", file->section);
}

/* Returns the number of items. *ret is their text after a line with a byte order mark, since a second one
 * would be part of a key; the caller frees it. */
static unsigned read_items(char *text, size_t size, bool valid, GString **ret) {
        unsigned n_items = 0, last_line = 0;
        UnitFile file;
        int r;

        *ret = g_string_new("\xef\xbb\xbf\n");
        unit_file_init(&file, text, size);
        while ((r = unit_file_next(&file)) > 0) {
                fuzz_check(file.line > last_line && file.line <= size);
                last_line = file.line;
                check_item(&file);
                append_item(*ret, &file);
                n_items++;
                fuzz_check(!valid || file.line == n_items + 1);
        }
        fuzz_check(r == 0 || (r == -EBADMSG && file.line > last_line && file.reason && !valid));
        return n_items;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_malloc(size + 1);
        GString *items, *again;

        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        unsigned n_items = read_items(text, size, false, &items);

        g_autofree char *copy = g_strdup(items->str);
        fuzz_check(read_items(copy, items->len, true, &again) == n_items);
        fuzz_check(g_string_equal(items, again));
        g_string_free(items, TRUE);
        g_string_free(again, TRUE);
        return 0;
}
