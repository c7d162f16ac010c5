/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/macro.h"
#include "client/properties.h"
#include "ctl/event-info.h"

int event_info_read(sd_bus_message *m, EventInfo *info) {
        const struct {
                const char *key, *type;
                void *value;
        } known[] = {
                { "pid", "u", &info->pid },
                { "user", "s", &info->user },
                { "code", "s", &info->code },
                { "status", "i", &info->status },
                { "cause", "s", &info->cause },
                { "attempt", "u", &info->attempt },
                { "delay-usec", "t", &info->delay_usec },
                { "result", "s", &info->result },
                { "timeout-usec", "t", &info->timeout_usec },
                { "reason", "s", &info->reason },
                { "lease", "s", &info->lease },
        };
        const char *key;

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = properties_next(m, &key)) > 0) {
                size_t i = 0;

                while (i < ELEMENTSOF(known) && strcmp(known[i].key, key) != 0)
                        i++;
                r = i < ELEMENTSOF(known) ? sd_bus_message_read(m, "v", known[i].type, known[i].value)
                                          : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}
