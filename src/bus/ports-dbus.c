/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods of reserved ports. */

#include "bus/clients-private.h"
#include "bus/operation.h"
#include "model/ports.h"
#include "util/autoptr.h"

/* A call of BindTCP or BindUDP that waits for the keeper. */
typedef struct Binding {
        sd_bus_message *call;
        size_t n;
        uint16_t numbers[];
} Binding;

static void binding_done(void *userdata, const Fault *fault) {
        g_autofree Binding *binding = userdata;
        g_autoptr(sd_bus_message) m = binding->call;
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GString) text = g_string_new(NULL);

        if (fault) {
                operation_fail(m, fault);
                return;
        }
        for (size_t i = 0; i < binding->n; i++)
                g_string_append_printf(text, "%s%u", i > 0 ? " " : "", binding->numbers[i]);
        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(
                        reply, 'q', binding->numbers, binding->n * sizeof(binding->numbers[0]));
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', text->str);
        if (r >= 0)
                (void) sd_bus_message_send(reply);
}

static int ports_dbus_bind(Clients *clients, sd_bus_message *m, PortProtocol protocol, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller;
        uint32_t n;

        int r = sd_bus_message_read(m, "u", &n);
        if (r < 0)
                return r;
        r = ports_check_count(protocol, n, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = clients_check_change(clients, m, REQUEST(MANAGE_PORTS, "reserve ports"), &caller, error);
        if (r != 0)
                return r;

        Binding *binding = g_malloc0(sizeof(*binding) + n * sizeof(binding->numbers[0]));
        binding->call = sd_bus_message_ref(m);
        binding->n = n;
        Waiter waiter = { binding_done, binding };
        if (ports_bind(clients->node->ports, protocol, n, caller, waiter, binding->numbers, &fault) < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

static int ports_dbus_release(
        Clients *clients, sd_bus_message *m, PortProtocol protocol, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const uint16_t *numbers;
        const Caller *caller;
        size_t size;

        int r = sd_bus_message_read_array(m, 'q', (const void **) &numbers, &size);
        if (r < 0)
                return r;
        size_t n = size / sizeof(numbers[0]);
        r = ports_check_list(protocol, numbers, n, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = clients_check_change(clients, m, REQUEST(MANAGE_PORTS, "release ports"), &caller, error);
        if (r != 0)
                return r;

        Waiter waiter = operation_new(m, NULL);
        if (ports_release(clients->node->ports, protocol, numbers, n, caller, waiter, &fault) < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

static int ports_method_bind_tcp(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ports_dbus_bind(userdata, m, PORT_TCP, error);
}

static int ports_method_bind_udp(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ports_dbus_bind(userdata, m, PORT_UDP, error);
}

static int ports_method_release_tcp(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ports_dbus_release(userdata, m, PORT_TCP, error);
}

static int ports_method_release_udp(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ports_dbus_release(userdata, m, PORT_UDP, error);
}

static int ports_method_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GArray) list = ports_list(clients->node->ports);

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(squs)");
        for (unsigned i = 0; r >= 0 && i < list->len; i++) {
                const PortListed *l = &g_array_index(list, PortListed, i);

                r = sd_bus_message_append(reply, "(squs)", port_protocol_to_string(l->port.protocol),
                        l->port.number, (uint32_t) l->port.uid, l->role);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

#define OPEN SD_BUS_VTABLE_UNPRIVILEGED /* a handler that changes something checks the caller */

static const sd_bus_vtable ports_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("BindTCP", SD_BUS_ARGS("u", num_ports),
                SD_BUS_RESULT("aq", ports, "s", ports_string), ports_method_bind_tcp, OPEN),
        SD_BUS_METHOD_WITH_ARGS("BindUDP", SD_BUS_ARGS("u", num_ports),
                SD_BUS_RESULT("aq", ports, "s", ports_string), ports_method_bind_udp, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "ReleaseTCP", SD_BUS_ARGS("aq", ports), SD_BUS_NO_RESULT, ports_method_release_tcp, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "ReleaseUDP", SD_BUS_ARGS("aq", ports), SD_BUS_NO_RESULT, ports_method_release_udp, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "ListPorts", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(squs)", ports), ports_method_list, OPEN),
        SD_BUS_VTABLE_END,
};

int ports_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, ports_vtable);
}
