/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods of terminals. A client that opens a terminal may type, so OpenTerminal requires
 * the same right as WriteInput. */

#include <string.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "bus/bus-util.h"
#include "bus/lease-options.h"
#include "bus/operation.h"
#include "bus/role-dbus.h"
#include "bus/terminal-dbus.h"
#include "model/role-terminal.h"
#include "util/autoptr.h"

typedef struct TerminalCall {
        bool replay;
        LeaseUse use;
} TerminalCall;

static int terminal_option_read(
        sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        TerminalCall *call = userdata;

        return strcmp(option->key, "replay") == 0
                       ? bus_read_variant_bool(m, option->key, &call->replay, error)
                       : lease_option_read(m, option, &call->use, error);
}

static const BusOption terminal_entries[] = {
        { "replay", "b" },
        LEASE_OPTIONS,
};

const BusOptions terminal_options = { "OpenTerminal", terminal_entries, sizeof(terminal_entries[0]),
        ELEMENTSOF(terminal_entries), terminal_option_read };
const BusOptions terminal_socket_options = { "OpenTerminalSocket", terminal_entries,
        sizeof(terminal_entries[0]), ELEMENTSOF(terminal_entries), terminal_option_read };

int role_method_open_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        TerminalCall call = { .replay = true };
        autofd fd = -EBADF;

        int r = bus_read_options(m, &terminal_options, &call, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "write to roles", &call.use, NULL, error);
        if (r != 0)
                return r;
        r = terminal_open(role, call.replay, &fd, &fault);
        /* The message duplicates the descriptor. */
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, "h", fd);
}

/* A call of OpenTerminalSocket that waits for the keeper. */
typedef struct SocketCall {
        sd_bus_message *call;
        char *path;
} SocketCall;

static void socket_call_done(void *userdata, const Fault *fault) {
        SocketCall *call = userdata;

        if (fault)
                operation_fail(call->call, fault);
        else
                (void) sd_bus_reply_method_return(call->call, "s", call->path);
        sd_bus_message_unref(call->call);
        g_free(call->path);
        g_free(call);
}

int role_method_open_terminal_socket(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        TerminalCall read = { .replay = true };
        const Caller *caller;

        int r = bus_read_options(m, &terminal_socket_options, &read, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "write to roles", &read.use, &caller, error);
        if (r != 0)
                return r;

        SocketCall *call = g_new0(SocketCall, 1);
        call->call = sd_bus_message_ref(m);
        Waiter waiter = { socket_call_done, call };
        if (terminal_make_socket(role, caller, read.replay, &call->path, waiter, &fault) < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

int role_method_resize_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        uint16_t rows, columns;
        LeaseUse use = {};

        int r = sd_bus_message_read(m, "qq", &rows, &columns);
        if (r < 0)
                return r;
        if (rows == 0 || columns == 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "The size of a terminal is %u rows and %u columns, but must be at least one of each",
                        rows, columns);
        r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "write to roles", &use, NULL, error);
        if (r != 0)
                return r;
        r = terminal_resize(role, rows, columns, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}
