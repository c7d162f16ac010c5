/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "keeper/keeper-log.h"

void keeper_log(const char *prefix, const char *format, ...) {
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

        /* One of these lines always fits where there is room at all. */
        struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
        if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT))
                (void) !write(STDERR_FILENO, line, (size_t) n);
        errno = error;
}
