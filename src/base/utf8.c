/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdint.h>

#include "base/utf8.h"

size_t utf8_length(const char *s) {
        const uint8_t *c = (const uint8_t *) s;
        const size_t n = c[0] == 0     ? 0
                         : c[0] < 0x80 ? 1
                         : c[0] < 0xc2 ? 0
                         : c[0] < 0xe0 ? 2
                         : c[0] < 0xf0 ? 3
                         : c[0] < 0xf5 ? 4
                                       : 0;
        uint32_t value = n > 1 ? c[0] & (0xffU >> (n + 1)) : c[0];

        for (size_t i = 1; i < n; i++) {
                if ((c[i] & 0xc0) != 0x80)
                        return 0;
                value = value << 6 | (c[i] & 0x3fU);
        }
        /* Overlong forms, surrogates, values beyond U+10FFFF, and noncharacters. */
        if ((n == 3 && value < 0x800) || (n == 4 && (value < 0x10000 || value > 0x10ffff)) ||
                (value >= 0xd800 && value <= 0xdfff) || (value >= 0xfdd0 && value <= 0xfdef) ||
                (value & 0xfffe) == 0xfffe)
                return 0;
        return n;
}

bool utf8_is_valid(const char *s) {
        size_t n;

        while ((n = utf8_length(s)) > 0)
                s += n;
        return *s == '\0';
}
