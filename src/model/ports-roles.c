/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file determines which role has which port and which may have it, and what happens to the port when the
 * role runs and ends. */

#include "model/node.h"
#include "model/ports-private.h"
#include "model/ports-roles.h"
#include "model/role.h"

/* -- which role has which port ----------------------------------------------------------------- */

/* The lists from first to last. */
static void ports_each_of_role(Ports *ports, const Role *role, int first, int last,
        void (*each)(GHashTable *users, gpointer key, const Role *role)) {
        for (int which = first; which <= last; which++) {
                GArray *list = role->spec->ports[which];

                for (unsigned i = 0; list && i < list->len; i++) {
                        uint16_t number = g_array_index(list, uint16_t, i);

                        if (which != ROLE_PORTS_UDP)
                                each(ports->users, ports_key(PORT_TCP, number), role);
                        if (which != ROLE_PORTS_TCP)
                                each(ports->users, ports_key(PORT_UDP, number), role);
                }
        }
}

static void ports_add_user(GHashTable *users, gpointer key, const Role *role) {
        (void) g_hash_table_insert(users, key, (gpointer) role);
}

static void ports_remove_user(GHashTable *users, gpointer key, const Role *role) {
        if (g_hash_table_lookup(users, key) == role)
                (void) g_hash_table_remove(users, key);
}

G_STATIC_ASSERT(ROLE_PORTS_RELEASE == _ROLE_PORTS_MAX - 1);

void ports_role_added(Ports *ports, const Role *role) {
        if (role_is_over(role))
                return;
        /* A port that is to be released belongs to the role until it is released. */
        ports_each_of_role(ports, role, 0,
                role->state == ROLE_STARTING ? ROLE_PORTS_RELEASE : ROLE_PORTS_RELEASE - 1, ports_add_user);
}

void ports_role_gone(Ports *ports, const Role *role) {
        ports_each_of_role(ports, role, 0, ROLE_PORTS_RELEASE, ports_remove_user);
}

int ports_check_owner(const Port *port, const Caller *caller, Fault *fault) {
        if (caller && caller->known && (caller->uid == 0 || caller->uid == port->uid))
                return 0;
        return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                "%s port %u was reserved by uid %u, only this user and root may use it",
                ports_protocol_name(port->protocol), port->number, (unsigned) port->uid);
}

int ports_check_unused(Ports *ports, const Port *port, const char *except, Fault *fault) {
        Role *role = g_hash_table_lookup(ports->users, ports_key(port->protocol, port->number));

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

/* Checks that each port is reserved and, for a new start, that it belongs to the caller and to no other
 * role. */
static int ports_check_role(Ports *ports, const char *role, const RoleSpec *spec, bool start,
        const Caller *caller, Fault *fault) {
        static const char *const names[_ROLE_PORTS_MAX] = { "TCP port", "UDP port", "port" };

        for (int which = 0; which < _ROLE_PORTS_MAX; which++) {
                GArray *list = spec->ports[which];

                for (unsigned i = 0; list && i < list->len; i++) {
                        uint16_t number = g_array_index(list, uint16_t, i);
                        bool any = false, kept = false;

                        for (int p = 0; p < _PORT_PROTOCOL_MAX; p++) {
                                Port *port = ports_find(ports, (PortProtocol) p, number);

                                if (which != ROLE_PORTS_RELEASE && which != p)
                                        continue;
                                kept = kept || ports_is_kept(ports, (PortProtocol) p, number);
                                if (!port)
                                        continue;
                                any = true;
                                int r = start ? ports_check_owner(port, caller, fault) : 0;
                                if (r >= 0 && start)
                                        r = ports_check_unused(ports, port, role, fault);
                                if (r < 0)
                                        return r;
                        }
                        if (!any && kept)
                                return fault_set(fault, NODE_ERROR_PORTS_UNAVAILABLE,
                                        "%s %u is no longer reserved: a process has kept the socket that a role had, reserve another port",
                                        names[which], number);
                        if (!any)
                                return ports_no_such(names[which], number, fault);
                }
        }
        return 0;
}

G_STATIC_ASSERT((int) ROLE_PORTS_TCP == (int) PORT_TCP && (int) ROLE_PORTS_UDP == (int) PORT_UDP);

int ports_check_start(
        Ports *ports, const char *role, const RoleSpec *spec, const Caller *caller, Fault *fault) {
        return ports_check_role(ports, role, spec, true, caller, fault);
}

int ports_check_reserved(Ports *ports, const Role *role, Fault *fault) {
        return ports_check_role(ports, role->name, role->spec, false, NULL, fault);
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

void ports_forget_released(Ports *ports, RoleSpec *spec) {
        GArray *list = spec->ports[ROLE_PORTS_RELEASE];

        for (unsigned i = list ? list->len : 0; i > 0; i--) {
                const uint16_t number = g_array_index(list, uint16_t, i - 1);

                if (!ports_find(ports, PORT_TCP, number) && !ports_find(ports, PORT_UDP, number))
                        g_array_remove_index(list, i - 1);
        }
}

void ports_role_running(Ports *ports, const Role *role) {
        GArray *list = role->spec->ports[ROLE_PORTS_RELEASE];

        if (!list)
                return;
        ports_each_of_role(ports, role, ROLE_PORTS_RELEASE, ROLE_PORTS_RELEASE, ports_remove_user);
        /* A port may be in both lists. */
        ports_each_of_role(ports, role, 0, ROLE_PORTS_RELEASE - 1, ports_add_user);
        for (unsigned i = 0; i < list->len; i++)
                for (int p = 0; p < _PORT_PROTOCOL_MAX; p++)
                        (void) g_hash_table_remove(
                                ports->table, ports_key((PortProtocol) p, g_array_index(list, uint16_t, i)));
        ports_save_or_log(ports);
}

void ports_role_swept(Ports *ports, const Role *role) {
        g_autoptr(GArray) array = NULL;

        ports_role_gone(ports, role);
        if (!role->spec->ports[ROLE_PORTS_TCP] && !role->spec->ports[ROLE_PORTS_UDP])
                return;
        array = ports_of_role(ports, role);
        /* The keeper did this when the main process ended, but a remaining process may have begun to listen
         * again. */
        ASK(ports->node, link, ports_rest, (PortLoan *) array->data, array->len);
}

void ports_role_refused(Ports *ports, const Role *role) {
        g_autoptr(GArray) array = ports_of_role(ports, role);

        /* The keeper replies which ones it gives up. */
        ASK(ports->node, link, ports_rest, (PortLoan *) array->data, array->len);
}
