/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports as their clients, and as others who want them, see them. */

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus.h"

/* Reserves n ports; protocol "TCP" or "UDP". */
void bind_ports(Bus *bus, const char *protocol, guint n, uint16_t *ret);
void release_port(Bus *bus, const char *protocol, uint16_t port);
GVariant *port_args(uint16_t port); /* (aq) */

/* "tcp 40001 0 role", one a line, as ListPorts has it. */
char *list_ports(Bus *bus);
void assert_ports(Bus *bus, const char *expected);
/* The line of one of them; NULL: it is not reserved. */
char *list_port(Bus *bus, const char *protocol, uint16_t port);

/* Options of Start with these ports: "tcp-ports" → [port]. */
GVariant *port_option(const char *key, uint16_t port);

/* 0, or the errno of a bind to any address; listening: and of listen(2). */
int try_bind(int type, uint16_t port);
/* Connects and reads what the actor's "serve" says: its pid. Negative errno: the connection failed. */
pid_t ask_tcp(uint16_t port);
/* Connects and hangs up when the other end has. */
void wait_hang_up(uint16_t port);
/* As ask_tcp() with a datagram; 0: no answer within a moment. */
pid_t ask_udp(uint16_t port, int msec);
void send_udp(uint16_t port);
