/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The options as the program has them, a line each: "Start nice i". For test-option-lists.py. */

#include <stdio.h>

#include "base/macro.h"
#include "bus/lease-options.h"
#include "bus/permissions-dbus.h"
#include "bus/ports-dbus.h"
#include "bus/start-options.h"
#include "bus/terminal-dbus.h"

int main(void) {
        const BusOptions tables[] = { start_options(), terminal_options, terminal_socket_options,
                permissions_options, bind_ports_options, lease_options, lease_start_options };

        for (size_t t = 0; t < ELEMENTSOF(tables); t++)
                for (size_t i = 0; i < tables[t].n_entries; i++) {
                        const BusOption *option = bus_options_get(&tables[t], i);

                        if (option->key)
                                printf("%s %s %s\n", tables[t].method, option->key, option->type);
                }
        return 0;
}
