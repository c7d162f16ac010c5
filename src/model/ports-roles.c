/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which role has which port, may have it, and what becomes of it when the role runs and ends. */

#include "model/node.h"
#include "model/ports-private.h"
#include "model/role.h"

/* Who has what */

static void add_user(GHashTable *users, const Role *role) {
        if (role->state == ROLE_ENDED && role->swept)
                return;
        for (int which = 0; which < _ROLE_PORTS_MAX; which++) {
                GArray *list = role->spec->ports[which];

                /* What is to be released is its own until it has been. */
                if (which == ROLE_PORTS_RELEASE && role->state != ROLE_STARTING)
                        continue;
                for (unsigned i = 0; list && i < list->len; i++) {
                        uint16_t number = g_array_index(list, uint16_t, i);

                        if (which != ROLE_PORTS_UDP)
                                (void) g_hash_table_insert(
                                        users, ports_key(PORT_TCP, number), (gpointer) role);
                        if (which != ROLE_PORTS_TCP)
                                (void) g_hash_table_insert(
                                        users, ports_key(PORT_UDP, number), (gpointer) role);
                }
        }
}

/* ports_key() → the Role that has it, until its last process is gone: what it left may still hold the socket. */
GHashTable *ports_users(Ports *ports) {
        GHashTable *users = g_hash_table_new(NULL, NULL);
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, ports->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (Role *r = role; r; r = r->predecessor)
                        add_user(users, r);
        return users;
}

int ports_check_owner(const Port *port, const Caller *caller, Fault *fault) {
        if (caller && caller->known && (caller->uid == 0 || caller->uid == port->uid))
                return 0;
        return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                "%s port %u was reserved by uid %u: it is theirs and root's",
                ports_protocol_name(port->protocol), port->number, (unsigned) port->uid);
}

int ports_check_unused(GHashTable *users, const Port *port, const char *except, Fault *fault) {
        Role *role = g_hash_table_lookup(users, ports_key(port->protocol, port->number));

        if (!role || g_strcmp0(role->name, except) == 0)
                return 0;
        return fault_set(fault, NODE_ERROR_PORTS_UNAVAILABLE, "%s port %u belongs to role \"%s\", which %s%s",
                ports_protocol_name(port->protocol), port->number, role->name,
                role->state == ROLE_ENDED ? "" : "is ",
                role->state == ROLE_ENDED ? "has ended, but processes it left still run"
                                          : role_state_to_string(role->state));
}

int ports_no_such(const char *protocol, uint16_t number, Fault *fault) {
        return fault_set(fault, NODE_ERROR_NO_SUCH_PORT, "%s %u is not reserved", protocol, number);
}

static int check_role(Ports *ports, const char *role, const RoleSpec *spec, GHashTable *users,
        const Caller *caller, Fault *fault) {
        static const char *const names[_ROLE_PORTS_MAX] = { "TCP port", "UDP port", "port" };

        for (int which = 0; which < _ROLE_PORTS_MAX; which++) {
                GArray *list = spec->ports[which];

                for (unsigned i = 0; list && i < list->len; i++) {
                        uint16_t number = g_array_index(list, uint16_t, i);
                        bool any = false;

                        for (int p = 0; p < _PORT_PROTOCOL_MAX; p++) {
                                Port *port = ports_find(ports, (PortProtocol) p, number);

                                if (!port || (which != ROLE_PORTS_RELEASE && which != p))
                                        continue;
                                any = true;
                                int r = users ? ports_check_owner(port, caller, fault) : 0;
                                if (r >= 0 && users)
                                        r = ports_check_unused(users, port, role, fault);
                                if (r < 0)
                                        return r;
                        }
                        if (!any)
                                return ports_no_such(names[which], number, fault);
                }
        }
        return 0;
}

G_STATIC_ASSERT((int) ROLE_PORTS_TCP == (int) PORT_TCP && (int) ROLE_PORTS_UDP == (int) PORT_UDP);

int ports_check_start(
        Ports *ports, const char *role, const RoleSpec *spec, const Caller *caller, Fault *fault) {
        if (!role_spec_has_ports(spec))
                return 0;
        g_autoptr(GHashTable) users = ports_users(ports);
        return check_role(ports, role, spec, users, caller, fault);
}

int ports_check_reserved(Ports *ports, const Role *role, Fault *fault) {
        return check_role(ports, role->name, role->spec, NULL, NULL, fault);
}

GArray *ports_of_role(Ports *ports, const Role *role) {
        GArray *array = g_array_new(false, false, sizeof(PortLoan));

        for (int which = 0; which < _ROLE_PORTS_MAX; which++) {
                GArray *list = role->spec->ports[which];

                for (unsigned i = 0; list && i < list->len; i++)
                        for (int p = 0; p < _PORT_PROTOCOL_MAX; p++) {
                                PortLoan port = {
                                        .number = g_array_index(list, uint16_t, i),
                                        .protocol = (PortProtocol) p,
                                        .release = which == ROLE_PORTS_RELEASE,
                                };

                                if (port.release ? !!ports_find(ports, (PortProtocol) p, port.number)
                                                 : which == p)
                                        g_array_append_val(array, port);
                        }
        }
        return array;
}

void ports_role_running(Ports *ports, const Role *role) {
        GArray *list = role->spec->ports[ROLE_PORTS_RELEASE];

        if (!list)
                return;
        for (unsigned i = 0; i < list->len; i++)
                for (int p = 0; p < _PORT_PROTOCOL_MAX; p++)
                        (void) g_hash_table_remove(
                                ports->table, ports_key((PortProtocol) p, g_array_index(list, uint16_t, i)));
        ports_save_or_log(ports);
}

void ports_role_swept(Ports *ports, const Role *role) {
        g_autoptr(GArray) array = NULL;

        if (!role->spec->ports[ROLE_PORTS_TCP] && !role->spec->ports[ROLE_PORTS_UDP])
                return;
        array = ports_of_role(ports, role);
        /* The keeper has done so when the main process ended; what that left may have begun to listen again. */
        ASK(ports->node, link, ports_rest, (PortLoan *) array->data, array->len);
}
