/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The macros that all rooms use. Uses libc only. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _noreturn_ __attribute__((noreturn))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

/* For what another process reads or has written, which may have been built before or after this one. The
 * tests build both sides anew, so nothing else notices a struct that grows. */
#define ASSERT_FIXED_SIZE(type, size) \
        _Static_assert(sizeof(type) == (size), #type " never changes, because the other side may be older")

/* All times are in microseconds, with 64 bits. UINT64_MAX means never. */
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

/* Exit status of a program that was called with invalid arguments. systemd does not restart it
 * (RestartPreventExitStatus=). */
#define EXIT_BAD_USAGE 2
/* Exit status of architect-node after a shutdown during which a process of a role has survived SIGKILL.
 * systemd does not restart it either, because it was to stop. */
#define EXIT_ROLES_LEFT 3

/* Of an error that another process reports: 0 or a negative errno, as the kernel limits them. */
#define ERROR_IS_VALID(error) ((error) <= 0 && (error) >= -4095)

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)
