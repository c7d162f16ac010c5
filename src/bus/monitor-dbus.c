/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods of the monitor, a dead man's switch. */

#include "bus/clients-private.h"
#include "bus/operation.h"
#include "bus/properties.h"
#include "model/monitor.h"
#include "util/autoptr.h"

static int monitor_method_beat(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};

        int r = clients_check_change(clients, m, REQUEST(MONITOR, "beat"), NULL, error);
        if (r != 0)
                return r;
        r = monitor_beat(clients->node->monitor, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int monitor_method_set_timeout(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        uint64_t usec;

        int r = sd_bus_message_read(m, "t", &usec);
        if (r < 0)
                return r;
        r = clients_check_change(clients, m, REQUEST(MONITOR, "set the timeout of the monitor"), NULL, error);
        if (r != 0)
                return r;
        r = monitor_set_timeout(clients->node->monitor, usec, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

PROPERTY_U64(monitor, MonitorTimeoutUSec, const Clients *clients, monitor_timeout(clients->node->monitor));
PROPERTY_U64(monitor, MonitorDeadlineUSec, const Clients *clients, monitor_deadline(clients->node->monitor));

static const sd_bus_vtable monitor_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(
                "Beat", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, monitor_method_beat, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetMonitorTimeout", SD_BUS_ARGS("t", usec), SD_BUS_NO_RESULT,
                monitor_method_set_timeout, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("MonitorTimedOut", SD_BUS_ARGS("t", timeout_usec, "a{sv}", details), 0),
        PROPERTY(monitor, MonitorTimeoutUSec, "t", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        PROPERTY(monitor, MonitorDeadlineUSec, "t", 0),
        SD_BUS_VTABLE_END,
};

int monitor_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, monitor_vtable);
}
