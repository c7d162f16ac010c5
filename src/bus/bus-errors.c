/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <systemd/sd-bus.h>

#include "bus/bus-errors.h"
#include "proto/node-errors.h"

int bus_errors_register(void) {
        static const sd_bus_error_map map[] = {
#define X(id, name, number) SD_BUS_ERROR_MAP(name, number),
                NODE_ERRORS(X)
#undef X
                        SD_BUS_ERROR_MAP_END
        };

        return sd_bus_error_add_map(map);
}
