/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Terminals on the bus. Whoever opens one may type: as WriteInput, it is for those who may write to roles. */

#include "base/fd-util.h"
#include "bus/node-dbus.h"
#include "bus/operation.h"
#include "model/role-terminal.h"
#include "util/autoptr.h"
#include "bus/bus-util.h"

typedef struct OpenOptions {
        bool replay;
} OpenOptions;

static int find_option(const char *key) {
        return g_str_equal(key, "replay") ? 0 : -1;
}

static int read_option(sd_bus_message *m, int option, const char *key, void *userdata, sd_bus_error *error) {
        OpenOptions *options = userdata;

        return bus_read_variant_bool(m, key, &options->replay, error);
}

static const BusOptions bus_options = { find_option, read_option };

int node_dbus_open_terminal(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        OpenOptions options = { .replay = true };
        Role *role = NULL;
        autofd fd = -EBADF;

        int r = bus_read_options(m, &bus_options, &options, error);
        if (r < 0)
                return r;
        r = node_dbus_check_and_find(agent, m, name, "write to roles", &caller, &role, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = terminal_open(role, options.replay, &fd, &fault);
        /* The message takes a copy. */
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, "h", fd);
}

int node_dbus_resize_terminal(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        uint16_t rows, columns;
        Role *role = NULL;

        int r = sd_bus_message_read(m, "qq", &rows, &columns);
        if (r < 0)
                return r;
        if (rows == 0 || columns == 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "A terminal of %u rows and %u columns: there must be one of each at least", rows,
                        columns);
        r = node_dbus_check_and_find(agent, m, name, "write to roles", &caller, &role, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = terminal_resize(role, rows, columns, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int method_open_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_open_terminal(userdata, m, name, error);
}

static int method_resize_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_resize_terminal(userdata, m, name, error);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminal", SD_BUS_ARGS("s", role, "a{sv}", options),
                SD_BUS_RESULT("h", fd), method_open_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResizeTerminal", SD_BUS_ARGS("s", role, "q", rows, "q", columns),
                SD_BUS_NO_RESULT, method_resize_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int terminal_dbus_register(Agent *agent) {
        return node_dbus_add_vtable(agent, vtable);
}
