/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A reserved port, and the plain values that model and keeper exchange about ports. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/string-table.h"

typedef enum PortProtocol {
        PORT_TCP,
        PORT_UDP,
        _PORT_PROTOCOL_MAX,
        _PORT_PROTOCOL_INVALID = -EINVAL,
} PortProtocol;

DECLARE_STRING_TABLE(port_protocol, PortProtocol); /* tcp udp */

typedef struct Port {
        PortProtocol protocol;
        uint16_t number;
        uid_t uid; /* the user that reserved it */
} Port;

/* A port that is lent to a child or given back. */
typedef struct PortLoan {
        PortProtocol protocol;
        uint16_t number;
        /* True releases the reservation at the exec of the child, false passes the open socket to it. */
        bool release;
} PortLoan;

/* The address at which ports are reserved. */
typedef struct BindAddress {
        uint8_t ip_version;  /* 4, 6, or 0 for every address of both, or of IPv4 if there is no IPv6 */
        uint8_t address[16]; /* in network order, as many bytes as the version has */
} BindAddress;

/* Reads an IPv4 or IPv6 address; the empty string is any address. Returns -EINVAL. */
int bind_address_parse(const char *text, BindAddress *ret);

/* Which ports are to be reserved. */
typedef struct PortsWanted {
        PortProtocol protocol;
        BindAddress address;
        unsigned n;
        const uint16_t *numbers; /* these n; NULL: any */
        uint16_t first, last;    /* n of these, unless both are 0 */
} PortsWanted;
