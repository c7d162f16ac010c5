/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Passes reserved ports to the keeper, which has their sockets, and back. */

#include <string.h>

#include "link/children-private.h"
#include "model/ports-roles.h"

G_STATIC_ASSERT((int) PORT_TCP == (int) KEEPER_TCP && (int) PORT_UDP == (int) KEEPER_UDP);

/* The caller frees it. */
static GArray *port_loans_to_keeper(const PortLoan *ports, size_t n) {
        GArray *array = g_array_sized_new(false, false, sizeof(struct keeper_port), (guint) n);

        for (size_t i = 0; i < n; i++) {
                struct keeper_port port = {
                        .number = ports[i].number,
                        .protocol = (uint8_t) ports[i].protocol,
                        .release = ports[i].release,
                };

                g_array_append_val(array, port);
        }
        return array;
}

GArray *port_loans_of_role(Children *children, const Role *role) {
        g_autoptr(GArray) loans = ports_of_role(children->node->ports, role);

        return port_loans_to_keeper((const PortLoan *) loans->data, loans->len);
}

static void port_loans_on_bound(void *userdata, int error, const uint16_t *numbers, size_t n) {
        ports_on_bound(userdata, error, numbers, n);
}

static int port_loans_bind_ports(Children *children, const PortsWanted *wanted, PortsRequest *request) {
        struct keeper_bind_ports bind = {
                .n = (uint16_t) wanted->n,
                .protocol = (uint8_t) wanted->protocol,
                .ip_version = wanted->address.ip_version,
                .first = wanted->first,
                .last = wanted->last,
        };

        memcpy(bind.address, wanted->address.address, sizeof(bind.address));
        if (wanted->numbers)
                memcpy(bind.numbers, wanted->numbers, wanted->n * sizeof(bind.numbers[0]));
        return keeper_link_bind_ports(children->keeper, &bind, port_loans_on_bound, request);
}

int port_loans_bind(void *data, const PortsWanted *wanted, PortsRequest *request) {
        Children *children = data;
        struct keeper_bind bind = {
                .n = (uint16_t) wanted->n,
                .protocol = (uint8_t) wanted->protocol,
                .ip_version = wanted->address.ip_version,
        };

        if (wanted->numbers || wanted->first > 0)
                return port_loans_bind_ports(children, wanted, request);
        memcpy(bind.address, wanted->address.address, sizeof(bind.address));
        return keeper_link_bind(children->keeper, &bind, port_loans_on_bound, request);
}

static void port_loans_on_released(void *userdata, int error) {
        g_autofree Waiter *waiter = userdata;
        g_auto(Fault) fault = {};

        if (error < 0)
                (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "The connection to the keeper was lost; if it still has the ports, it releases them when it is "
                        "back");
        waiter_wake(*waiter, &fault);
}

int port_loans_release(void *data, const PortLoan *ports, size_t n, Waiter waiter) {
        Children *children = data;
        g_autoptr(GArray) array = port_loans_to_keeper(ports, n);
        Waiter *copy = g_new(Waiter, 1);

        *copy = waiter;
        int r = keeper_link_release_ports(children->keeper, (struct keeper_port *) array->data, array->len,
                port_loans_on_released, copy);
        if (r < 0)
                g_free(copy);
        return r;
}

int port_loans_release_all(void *data) {
        Children *children = data;

        return keeper_link_release_all_ports(children->keeper);
}

void port_loans_rest(void *data, const PortLoan *ports, size_t n) {
        Children *children = data;
        g_autoptr(GArray) array = port_loans_to_keeper(ports, n);

        /* Without a connection this is not lost: after the next one the idle ports are determined again. */
        (void) keeper_link_rest_ports(children->keeper, (struct keeper_port *) array->data, array->len);
}

/* What this file does not know is skipped. */
static void port_loans_from_keeper(GArray *array, const struct keeper_port *ports, size_t n) {
        for (size_t i = 0; i < n; i++) {
                PortLoan loan = { (PortProtocol) ports[i].protocol, ports[i].number, false };

                if (ports[i].protocol < _PORT_PROTOCOL_MAX)
                        g_array_append_val(array, loan);
        }
}

void port_loans_listed(Children *children, const struct keeper_port *ports, size_t n) {
        port_loans_from_keeper(children->ports, ports, n);
}

void port_loans_kept(Children *children, const struct keeper_port *ports, size_t n) {
        g_autoptr(GArray) kept = g_array_new(false, false, sizeof(PortLoan));

        port_loans_from_keeper(kept, ports, n);
        ports_on_kept(children->node->ports, (PortLoan *) kept->data, kept->len);
}
