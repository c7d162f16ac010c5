/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/port.h"

static const char *const port_protocol_table[_PORT_PROTOCOL_MAX] = {
        [PORT_TCP] = "tcp",
        [PORT_UDP] = "udp",
};

DEFINE_STRING_TABLE(port_protocol, PortProtocol, port_protocol_table);
