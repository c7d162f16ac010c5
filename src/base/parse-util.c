/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include "base/parse-util.h"

int parse_u64(const char *s, uint64_t *ret) {
        uint64_t v = 0;
        int r = 0;

        if (!s || !*s)
                return -EINVAL;

        /* Parsed to the end also after an overflow, because "999…9x" is not a number. */
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return -EINVAL;
                if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
                        __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v))
                        r = -ERANGE;
        }

        if (r < 0)
                return r;

        *ret = v;
        return 0;
}

int parse_u32(const char *s, uint32_t *ret) {
        uint64_t v;
        int r = parse_u64(s, &v);

        if (r < 0)
                return r;
        if (v > UINT32_MAX)
                return -ERANGE;

        *ret = (uint32_t) v;
        return 0;
}

int parse_i32(const char *s, int32_t *ret) {
        uint64_t v;
        int r, negative = s && *s == '-';

        r = parse_u64(negative ? s + 1 : s, &v);
        if (r < 0)
                return r;
        if (v > (uint64_t) INT32_MAX + (negative ? 1 : 0))
                return -ERANGE;

        *ret = (int32_t) (negative ? -(int64_t) v : (int64_t) v);
        return 0;
}
