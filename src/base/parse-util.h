/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strict parsers: the whole string must be a value. They return -EINVAL or -ERANGE, and do not change *ret
 * then. Uses libc only. */

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits, after a '-' if the type is signed, without white space. */
int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_i32(const char *s, int32_t *ret);

/* The parsers below accept what systemd accepts in the files of its units, with white space around it. */

/* 1, yes, y, true, t, on, and 0, no, n, false, f, off, in any case. */
int parse_boolean(const char *s, bool *ret);

/* A time span of systemd.time(7), such as "30", "1.5h", "1min 30s" or "infinity" (USEC_INFINITY). A number
 * without a unit counts default_unit_usec. *ret_usec is in microseconds. */
int parse_time(const char *s, uint64_t default_unit_usec, uint64_t *ret_usec);

/* A number of bytes, or a number with one of the suffixes K, M, G, T, P and E to the base of 1024, such as
 * "1.5G". */
int parse_size(const char *s, uint64_t *ret);

/* The number of a signal or its name: "15", "SIGTERM", "TERM", "RTMIN+3". */
int parse_signal(const char *s, int *ret);
