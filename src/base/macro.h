/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few macros everybody may use. libc only. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _noreturn_ __attribute__((noreturn))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

/* 64-bit microseconds everywhere; UINT64_MAX means never. */
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

/* Exit status of a program that was called in a wrong way: systemd does not try it again (RestartPreventExitStatus=). */
#define EXIT_BAD_USAGE 2

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)
