/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What monitor shows and tells of the details of an event. */

#include <stdint.h>
#include <systemd/sd-bus.h>

/* What an event does not have is 0 or NULL. */
typedef struct EventInfo {
        uint32_t pid, attempt;
        uint64_t delay_usec, timeout_usec;
        int32_t status;
        const char *user, *code, *cause, *result, *reason, *lease;
} EventInfo;

/* Reads the details, an a{sv}. The strings are those of the message. Returns a negative errno. */
int event_info_read(sd_bus_message *m, EventInfo *info);
