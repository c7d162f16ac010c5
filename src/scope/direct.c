/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "scope/direct.h"
#include "scope/manager.h"

struct Direct {
        sd_bus *bus;
        sd_bus_slot *job_new, *job_removed, *disconnected;
        void (*lost)(void *userdata);
        void *userdata;
};

static int direct_on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Direct *direct = userdata;

        direct->lost(direct->userdata);
        return 0;
}

/* Without a bus a message has no sender. */
static int direct_match(Direct *direct, const DirectHandler *handler) {
        int r = sd_bus_match_signal(direct->bus, &direct->job_new, NULL, MANAGER_PATH, MANAGER_INTERFACE,
                "JobNew", handler->job_new, direct->userdata);
        if (r >= 0)
                r = sd_bus_match_signal(direct->bus, &direct->job_removed, NULL, MANAGER_PATH,
                        MANAGER_INTERFACE, "JobRemoved", handler->job_removed, direct->userdata);
        if (r >= 0)
                r = sd_bus_match_signal(direct->bus, &direct->disconnected, "org.freedesktop.DBus.Local",
                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                        direct_on_disconnected, direct);
        return r;
}

int direct_new(
        sd_event *event, const char *address, const DirectHandler *handler, void *userdata, Direct **ret) {
        Direct *direct = g_new(Direct, 1);

        *direct = (Direct){ .lost = handler->lost, .userdata = userdata };
        int r = sd_bus_new(&direct->bus);
        if (r >= 0)
                r = sd_bus_set_address(direct->bus, address);
        if (r >= 0)
                r = sd_bus_start(direct->bus);
        if (r >= 0)
                r = sd_bus_attach_event(direct->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_close_on_exit(direct->bus, false);
        if (r >= 0)
                r = direct_match(direct, handler);
        if (r < 0) {
                direct_free(direct);
                return r;
        }
        *ret = direct;
        return 0;
}

Direct *direct_free(Direct *direct) {
        if (!direct)
                return NULL;
        sd_bus_slot_unref(direct->job_new);
        sd_bus_slot_unref(direct->job_removed);
        sd_bus_slot_unref(direct->disconnected);
        sd_bus_close_unref(direct->bus);
        g_free(direct);
        return NULL;
}

sd_bus *direct_bus(const Direct *direct) {
        return direct->bus;
}
