/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Terminals on the bus. Whoever opens one may type: as WriteInput, it is for those who may write to roles. */

#include "base/fd-util.h"
#include "bus/role-dbus.h"
#include "bus/terminal-dbus.h"
#include "bus/operation.h"
#include "model/role-terminal.h"
#include "util/autoptr.h"
#include "bus/bus-util.h"

typedef struct TerminalOptions {
        bool replay;
} TerminalOptions;

static int terminal_find_option(const char *key) {
        return g_str_equal(key, "replay") ? 0 : -1;
}

static int terminal_read_option(
        sd_bus_message *m, int option, const char *key, void *userdata, sd_bus_error *error) {
        TerminalOptions *options = userdata;

        return bus_read_variant_bool(m, key, &options->replay, error);
}

static const BusOptions terminal_options = { terminal_find_option, terminal_read_option };

int role_method_open_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        TerminalOptions options = { .replay = true };
        autofd fd = -EBADF;

        int r = bus_read_options(m, &terminal_options, &options, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "write to roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = terminal_open(role, options.replay, &fd, &fault);
        /* The message takes a copy. */
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, "h", fd);
}

int role_method_resize_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        uint16_t rows, columns;

        int r = sd_bus_message_read(m, "qq", &rows, &columns);
        if (r < 0)
                return r;
        if (rows == 0 || columns == 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "The size of a terminal is %u rows and %u columns, but must be at least one of each",
                        rows, columns);
        r = role_dbus_check(m, role, "write to roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = terminal_resize(role, rows, columns, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}
