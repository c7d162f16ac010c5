/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by ports.c and ports-roles.c. */

#include "model/ports.h"

struct Ports {
        Node *node;
        int dir_fd;        /* not owned; negative if nothing is saved */
        GHashTable *table; /* ports_key() → Port */
        /* ports_key() → the Role that has it, until its last process is gone, which may still hold the
         * socket. */
        GHashTable *users;
        /* A set of ports_key(), no longer reserved because a process has kept a socket of them. */
        GHashTable *kept;
        unsigned n_binding; /* requested and not answered yet */
        char *unknown;      /* fields of a newer version */
};

static inline gpointer ports_key(PortProtocol protocol, uint16_t number) {
        return GUINT_TO_POINTER((guint) protocol << 16 | number);
}

static inline PortProtocol ports_key_protocol(gpointer key) {
        return (PortProtocol) (GPOINTER_TO_UINT(key) >> 16);
}

static inline uint16_t ports_key_number(gpointer key) {
        return (uint16_t) GPOINTER_TO_UINT(key);
}

static inline const char *ports_protocol_name(PortProtocol protocol) {
        return protocol == PORT_TCP ? "TCP" : "UDP";
}

static inline Port *ports_find(Ports *ports, PortProtocol protocol, uint16_t number) {
        return g_hash_table_lookup(ports->table, ports_key(protocol, number));
}

void ports_save_or_log(Ports *ports);

/* Fails with AccessDenied, PortsUnavailable and NoSuchPort, in this order. */
int ports_check_owner(const Port *port, const Caller *caller, Fault *fault);
int ports_check_unused(Ports *ports, const Port *port, const char *except, Fault *fault);
int ports_no_such(const char *protocol, uint16_t number, Fault *fault);
bool ports_is_kept(Ports *ports, PortProtocol protocol, uint16_t number);
