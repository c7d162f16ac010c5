/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strict integers: whole string, decimal, no sign tricks, no white space; -EINVAL, -ERANGE. */

#include <stdint.h>

int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_i32(const char *s, int32_t *ret);
