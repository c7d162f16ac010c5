/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"

void stderr_log(const char *prefix, const char *format, ...) {
        char line[1024];
        va_list arguments;
        int error = errno, n, m;

        n = snprintf(line, sizeof(line), "%s", prefix);
        va_start(arguments, format);
        m = vsnprintf(line + n, sizeof(line) - (size_t) n - 1, format, arguments);
        va_end(arguments);
        if (m > 0)
                n = n + m < (int) sizeof(line) - 2 ? n + m : (int) sizeof(line) - 2;
        line[n++] = '\n';

        (void) fd_write_nonblocking(STDERR_FILENO, line, (size_t) n);
        errno = error;
}
