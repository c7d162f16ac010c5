/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/parse-util.h"
#include "proto/notify-message.h"

static const struct {
        const char *name;
        NotifyKind kind;
        bool flag; /* the only value is 1 */
        uint64_t max;
} notify_names[] = {
        { "READY", NOTIFY_READY, true, 0 },
        { "STATUS", NOTIFY_STATUS, false, 0 },
        { "RELOADING", NOTIFY_RELOADING, true, 0 },
        { "STOPPING", NOTIFY_STOPPING, true, 0 },
        { "WATCHDOG", NOTIFY_WATCHDOG, true, 0 },
        { "EXTEND_TIMEOUT_USEC", NOTIFY_EXTEND_TIMEOUT, false, UINT64_MAX },
        { "ERRNO", NOTIFY_ERRNO, false, 4095 }, /* MAX_ERRNO of Linux */
        { "MAINPID", NOTIFY_MAINPID, false, INT32_MAX },
};

static bool assignment_parse(const char *line, size_t size, NotifyAssignment *ret) {
        const char *equals = memchr(line, '=', size);

        if (!equals)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(notify_names); i++) {
                const size_t n = strlen(notify_names[i].name);
                char number[24];

                if ((size_t) (equals - line) != n || memcmp(line, notify_names[i].name, n) != 0)
                        continue;
                *ret = (NotifyAssignment){
                        .kind = notify_names[i].kind, .text = equals + 1, .text_size = size - n - 1
                };
                if (ret->kind == NOTIFY_STATUS)
                        return true;
                if (ret->text_size >= sizeof(number))
                        return false;
                (void) snprintf(number, sizeof(number), "%.*s", (int) ret->text_size, ret->text);
                if (ret->kind == NOTIFY_WATCHDOG && strcmp(number, "trigger") == 0) {
                        ret->kind = NOTIFY_WATCHDOG_TRIGGER;
                        return true;
                }
                if (notify_names[i].flag)
                        return strcmp(number, "1") == 0;
                return parse_u64(number, &ret->value) >= 0 && ret->value > 0 &&
                       ret->value <= notify_names[i].max;
        }
        return false;
}

bool notify_message_next(const char **message, const char *end, NotifyAssignment *ret) {
        while (*message < end && **message != '\0') {
                const char *line = *message, *stop = memchr(line, '\0', (size_t) (end - line)),
                           *newline = memchr(line, '\n', (size_t) ((stop ? stop : end) - line));
                const char *line_end = newline ? newline : stop ? stop : end;

                *message = newline ? newline + 1 : line_end;
                if (assignment_parse(line, (size_t) (line_end - line), ret))
                        return true;
        }
        return false;
}
