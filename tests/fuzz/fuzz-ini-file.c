/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The syntax of configparser. The first byte says whether comments may begin in a line. What is read is
 * written in the plainest form, and read from that again as the same. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "util/ini-file.h"

static void check_item(const IniFile *file) {
        fuzz_check(file->section && file->section[0] && utf8_is_valid(file->section));
        fuzz_check(!strpbrk(file->section, "\n\r") && !file->key == !file->value);
        if (!file->key)
                return;
        fuzz_check(file->key[0] && !strpbrk(file->key, "=:\n\r") && utf8_is_valid(file->key));
        for (const char *c = file->key; *c; c++)
                fuzz_check(!g_ascii_isupper(*c));
        fuzz_check(!strchr(file->value, '\r') && utf8_is_valid(file->value));
        fuzz_check(!g_str_has_suffix(file->value, "\n"));
}

/* Each line of a value goes on, indented. A line of it that would be a comment is none of it. */
static void append_item(GString *text, const IniFile *file) {
        if (!file->key) {
                g_string_append_printf(text, "[%s]\n", file->section);
                return;
        }
        g_auto(GStrv) lines = g_strsplit(file->value, "\n", -1);
        g_autofree char *value = g_strjoinv("\n ", lines);
        g_string_append_printf(text, "%s=%s\n", file->key, value);
}

static unsigned read_items(char *text, size_t size, bool inline_comments, bool valid, GString **ret) {
        unsigned n_items = 0, last_line = 0;
        IniFile file;
        int r;

        *ret = g_string_new(NULL);
        ini_file_init(&file, text, size, inline_comments);
        while ((r = ini_file_next(&file)) > 0) {
                fuzz_check(file.line > last_line && file.line <= size);
                last_line = file.line;
                check_item(&file);
                append_item(*ret, &file);
                n_items++;
        }
        fuzz_check(r == 0 || (r == -EBADMSG && file.line > 0 && file.reason && !valid));
        return n_items;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const bool inline_comments = size > 0 && data[0] == '+';
        GString *items, *again;

        if (size == 0)
                return 0;
        size--;
        g_autofree char *text = g_malloc(size + 1);
        memcpy(text, data + 1, size);
        text[size] = '\0';
        const unsigned n_items = read_items(text, size, inline_comments, false, &items);

        g_autofree char *copy = g_strdup(items->str);
        fuzz_check(read_items(copy, items->len, inline_comments, true, &again) == n_items);
        fuzz_check(g_string_equal(items, again));
        g_string_free(items, TRUE);
        g_string_free(again, TRUE);
        return 0;
}
