/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"
#include "base/parse-util.h"

#define DIGITS "0123456789"
#define WHITE " \t\n\r"

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

/* Whether s is this word, with white space around it. */
static bool word_is(const char *s, const char *word, int (*compare)(const char *a, const char *b, size_t n)) {
        size_t n = strlen(word);

        s += strspn(s, WHITE);
        return compare(s, word, n) == 0 && s[n + strspn(s + n, WHITE)] == '\0';
}

int parse_boolean(const char *s, bool *ret) {
        static const char *const words[][2] = { { "0", "1" }, { "no", "yes" }, { "n", "y" },
                { "false", "true" }, { "f", "t" }, { "off", "on" } };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (int value = 0; value < 2; value++)
                        if (word_is(s, words[i][value], strncasecmp)) {
                                *ret = value;
                                return 0;
                        }
        return -EINVAL;
}

/* "12.5": its digits before and after the point. */
typedef struct Decimal {
        const char *whole, *fraction;
        size_t n_whole, n_fraction;
} Decimal;

/* Moves *s behind the number and the white space that follows. */
static int parse_decimal(const char **s, Decimal *ret) {
        Decimal d = { .whole = *s + strspn(*s, WHITE) };

        d.n_whole = strspn(d.whole, DIGITS);
        d.fraction = d.whole + d.n_whole;
        *s = d.fraction;
        if (*d.fraction == '.') {
                d.fraction++;
                d.n_fraction = strspn(d.fraction, DIGITS);
                if (d.n_fraction == 0)
                        return -EINVAL;
                *s = d.fraction + d.n_fraction;
        } else if (d.n_whole == 0)
                return -EINVAL;
        *s += strspn(*s, WHITE);
        *ret = d;
        return 0;
}

/* Adds so many units, of at most 2^60, and rounds down. */
static int decimal_add(const Decimal *d, uint64_t unit, uint64_t *sum) {
        uint64_t value = 0, part = 0;

        for (size_t i = 0; i < d->n_whole; i++)
                if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
                        __builtin_add_overflow(value, (uint64_t) (d->whole[i] - '0'), &value))
                        return -ERANGE;
        if (__builtin_mul_overflow(value, unit, &value))
                return -ERANGE;
        for (size_t i = d->n_fraction; i > 0; i--)
                part = ((uint64_t) (d->fraction[i - 1] - '0') * unit + part) / 10;
        if (__builtin_add_overflow(value, part, &value))
                return -ERANGE;
        return __builtin_add_overflow(*sum, value, sum) ? -ERANGE : 0;
}

/* The name of a unit that a number has, and its value; a name of no letters is that of the default. */
typedef struct Unit {
        const char *names; /* with a space after each */
        uint64_t value;
} Unit;

static uint64_t unit_find(const Unit *units, size_t n_units, const char *name, size_t length) {
        for (size_t i = 0; i < n_units; i++)
                for (const char *n = units[i].names; *n; n += strcspn(n, " ") + 1)
                        if (strcspn(n, " ") == length && memcmp(n, name, length) == 0)
                                return units[i].value;
        return 0;
}

int parse_time(const char *s, uint64_t default_unit_usec, uint64_t *ret_usec) {
        static const Unit units[] = {
                { "us usec \u00b5s \u03bcs ", 1 }, /* both of the characters that look like this */
                { "ms msec ", USEC_PER_MSEC },
                { "s sec second seconds ", USEC_PER_SEC },
                { "m min minute minutes ", 60 * USEC_PER_SEC },
                { "h hr hour hours ", 3600 * USEC_PER_SEC },
                { "d day days ", 24 * 3600 * USEC_PER_SEC },
                { "w week weeks ", 7 * 24 * 3600 * USEC_PER_SEC },
                { "M month months ", 2629800 * USEC_PER_SEC },
                { "y year years ", 31557600 * USEC_PER_SEC },
        };
        uint64_t sum = 0;
        int range = 0; /* remembered, because what follows may not be a time at all */

        if (word_is(s, "infinity", strncmp)) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }
        do {
                Decimal d;

                int r = parse_decimal(&s, &d);
                if (r < 0)
                        return r;
                size_t length = strcspn(s, DIGITS "." WHITE);
                uint64_t unit =
                        length > 0 ? unit_find(units, ELEMENTSOF(units), s, length) : default_unit_usec;
                if (unit == 0)
                        return -EINVAL;
                r = decimal_add(&d, unit, &sum);
                if (r < 0)
                        range = r;
                s += length + strspn(s + length, WHITE);
        } while (*s);
        if (range < 0 || sum == USEC_INFINITY)
                return -ERANGE;
        *ret_usec = sum;
        return 0;
}

int parse_size(const char *s, uint64_t *ret) {
        static const Unit units[] = {
                { "B ", 1 },
                { "K ", UINT64_C(1) << 10 },
                { "M ", UINT64_C(1) << 20 },
                { "G ", UINT64_C(1) << 30 },
                { "T ", UINT64_C(1) << 40 },
                { "P ", UINT64_C(1) << 50 },
                { "E ", UINT64_C(1) << 60 },
        };
        uint64_t size = 0;
        Decimal d;

        int r = parse_decimal(&s, &d);
        if (r < 0)
                return r;
        size_t length = strcspn(s, WHITE);
        uint64_t unit = length > 0 ? unit_find(units, ELEMENTSOF(units), s, length) : 1;
        if (unit == 0 || s[length + strspn(s + length, WHITE)] != '\0')
                return -EINVAL;
        r = decimal_add(&d, unit, &size);
        if (r < 0)
                return r;
        *ret = size;
        return 0;
}

/* The sum or difference of a real-time signal: "RTMIN", "RTMIN+3", "RTMAX-3". */
static int parse_realtime_signal(const char *s, const char *name, char sign, int base, int *ret) {
        uint32_t distance = 0;

        if (strncmp(s, name, strlen(name)) != 0)
                return -EINVAL;
        s += strlen(name);
        if (*s && (*s != sign || parse_u32(s + 1, &distance) < 0))
                return -EINVAL;
        if (distance > (uint32_t) (SIGRTMAX - SIGRTMIN))
                return -ERANGE;
        *ret = sign == '+' ? base + (int) distance : base - (int) distance;
        return 0;
}

int parse_signal(const char *s, int *ret) {
        uint32_t number;

        int r = parse_u32(s, &number);
        if (r >= 0)
                r = number >= 1 && number <= (uint32_t) SIGRTMAX ? 0 : -ERANGE;
        if (r >= 0)
                *ret = (int) number;
        if (r != -EINVAL)
                return r;

        if (strncmp(s, "SIG", 3) == 0)
                s += 3;
        for (int i = 1; i < SIGRTMIN; i++) {
                const char *name = sigabbrev_np(i);

                if (name && strcmp(name, s) == 0) {
                        *ret = i;
                        return 0;
                }
        }
        r = parse_realtime_signal(s, "RTMIN", '+', SIGRTMIN, ret);
        return r == -EINVAL ? parse_realtime_signal(s, "RTMAX", '-', SIGRTMAX, ret) : r;
}
