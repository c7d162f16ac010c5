/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>

#include "model/port.h"

static const char *const port_protocol_table[_PORT_PROTOCOL_MAX] = {
        [PORT_TCP] = "tcp",
        [PORT_UDP] = "udp",
};

DEFINE_STRING_TABLE(port_protocol, PortProtocol, port_protocol_table);

int bind_address_parse(const char *text, BindAddress *ret) {
        BindAddress address = {};

        if (*text == '\0')
                ; /* any value */
        else if (inet_pton(AF_INET, text, address.address) > 0)
                address.ip_version = 4;
        else if (inet_pton(AF_INET6, text, address.address) > 0)
                address.ip_version = 6;
        else
                return -EINVAL;
        *ret = address;
        return 0;
}
