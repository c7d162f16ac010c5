/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports as seen by their clients, and by other processes that try to bind them. */

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus.h"

/* Reserves n ports; protocol is "TCP" or "UDP". */
void bind_ports(Bus *bus, const char *protocol, guint n, uint16_t *ret);
void release_port(Bus *bus, const char *protocol, uint16_t port);
GVariant *port_args(uint16_t port); /* (aq) */

/* Returns "tcp 40001 0 role", one port a line, from ListPorts. */
char *list_ports(Bus *bus);
void assert_ports(Bus *bus, const char *expected);
/* Returns the line of one port, or NULL if it is not reserved. */
char *list_port(Bus *bus, const char *protocol, uint16_t port);

/* Returns the options of Start with these ports: "tcp-ports" → [port]. */
GVariant *port_option(const char *key, uint16_t port);

/* Return 0 or the errno of a bind to any address; with listening, also of listen(2). */
int try_bind(int type, uint16_t port);
/* Connects and reads the PID that "serve" of the actor sends. Returns a negative errno if the connection
 * fails. */
pid_t ask_tcp(uint16_t port);
/* Connects and hangs up when the other end has hung up. */
void wait_hang_up(uint16_t port);
/* The same as ask_tcp() with a datagram. Returns 0 if there is no reply within this time. */
pid_t ask_udp(uint16_t port, int msec);
void send_udp(uint16_t port);

/* The addresses by which a process may bind a port that another one has: all or the loopback address, of both
 * families. */
#define N_PLACES 5
/* Returns whether it could bind the port, which is then free again. Options are 1, SO_REUSEADDR, and 2,
 * SO_REUSEPORT. Uses system calls only, for a fork of a process with threads. */
bool steal(int type, uint16_t port, size_t place, unsigned options);
