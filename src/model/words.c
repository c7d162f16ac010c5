/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "model/words.h"

#define WHITE " \t\n\r"

/* Reads n digits of the base, which is 8 or 16. Returns whether there are so many. */
static bool words_read_digits(const char *s, size_t n, int base, uint32_t *ret) {
        uint32_t value = 0;

        for (size_t i = 0; i < n; i++) {
                int digit = g_ascii_xdigit_value(s[i]);

                if (digit < 0 || digit >= base)
                        return false;
                value = value * (uint32_t) base + (uint32_t) digit;
        }
        *ret = value;
        return true;
}

/* Appends what the escape after a backslash means, and moves *s behind it. Returns false if it means nothing
 * that a word may contain. */
static bool words_append_escape(GString *word, const char **s) {
        static const char letters[] = "abfnrtvs\\\"'", meanings[] = "\a\b\f\n\r\t\v \\\"'";
        static const struct {
                char letter;
                size_t n_digits;
        } codes[] = { { 'x', 2 }, { 'u', 4 }, { 'U', 8 } };
        const char *letter = **s ? strchr(letters, **s) : NULL;
        uint32_t code;

        if (letter) {
                g_string_append_c(word, meanings[letter - letters]);
                (*s)++;
                return true;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
                if (**s != codes[i].letter)
                        continue;
                if (!words_read_digits(*s + 1, codes[i].n_digits, 16, &code) || code == 0)
                        return false;
                *s += 1 + codes[i].n_digits;
                if (codes[i].letter == 'x') {
                        g_string_append_c(word, (char) code);
                        return true;
                }
                if (!g_unichar_validate(code))
                        return false;
                g_string_append_unichar(word, code);
                return true;
        }
        if (!words_read_digits(*s, 3, 8, &code) || code == 0 || code > UINT8_MAX)
                return false;
        *s += 3;
        g_string_append_c(word, (char) code);
        return true;
}

/* Reads the word that begins here, up to the white space after it. */
static int words_read(const char **s, WordsSyntax syntax, GString *word, Fault *fault) {
        char quote = '\0';

        while (**s && (quote || !strchr(WHITE, **s))) {
                char c = *(*s)++;

                if (quote ? c == quote : c == '"' || c == '\'') {
                        quote = quote ? '\0' : c;
                } else if (c != '\\' || (syntax == WORDS_SHELL && quote == '\'')) {
                        g_string_append_c(word, c);
                } else if (syntax == WORDS_UNIT) {
                        const char *escape = *s;

                        if (!words_append_escape(word, s))
                                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                        "A backslash with \"%.1s\" after it is no escape of a character",
                                        escape);
                } else {
                        if (!**s)
                                return fault_set(
                                        fault, NODE_ERROR_INVALID_ARGS, "A backslash is the last character");
                        if (quote && !strchr("$`\"\\", **s))
                                g_string_append_c(word, c);
                        g_string_append_c(word, *(*s)++);
                }
        }
        if (quote)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "The quote %c is not closed", quote);
        if (!utf8_is_valid(word->str)) /* because of its escapes */
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "An escape makes a character that D-Bus does not permit");
        return 0;
}

int words_split(const char *text, WordsSyntax syntax, char ***ret, Fault *fault) {
        g_autoptr(GStrvBuilder) words = g_strv_builder_new();
        g_autoptr(GString) word = g_string_new(NULL);

        for (const char *s = text + strspn(text, WHITE); *s; s += strspn(s, WHITE)) {
                g_string_truncate(word, 0);
                int r = words_read(&s, syntax, word, fault);
                if (r < 0)
                        return r;
                g_strv_builder_add(words, word->str);
        }
        *ret = g_strv_builder_end(words);
        return 0;
}
