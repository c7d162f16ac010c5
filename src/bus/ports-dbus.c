/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods of reserved ports. */

#include "base/macro.h"
#include "bus/clients-private.h"
#include "bus/operation.h"
#include "bus/ports-dbus.h"
#include "model/ports.h"
#include "model/settings.h"
#include "util/autoptr.h"

/* A call of BindTCP, BindUDP or BindPorts that waits for the keeper. */
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

static void ports_dbus_act(
        Clients *clients, sd_bus_message *m, const PortsWanted *wanted, const Caller *caller) {
        g_auto(Fault) fault = {};

        Binding *binding = g_malloc0(sizeof(*binding) + wanted->n * sizeof(binding->numbers[0]));
        binding->call = sd_bus_message_ref(m);
        binding->n = wanted->n;
        Waiter waiter = { binding_done, binding };
        if (ports_bind(clients->node->ports, wanted, caller, waiter, binding->numbers, &fault) < 0)
                waiter_wake(waiter, &fault);
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

        ports_dbus_act(clients, m,
                &(PortsWanted){
                        .protocol = protocol, .address = clients->node->settings->bind_address, .n = n },
                caller);
        return 1;
}

/* -- BindPorts -- */

typedef struct BindOptions {
        PortsWanted wanted;
        bool count_given;
        GArray *ports; /* of uint64_t */
} BindOptions;

static void bind_options_clear(BindOptions *options) {
        if (options->ports)
                g_array_unref(options->ports);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BindOptions, bind_options_clear)

static int bind_read_count(sd_bus_message *m, const char *key, BindOptions *o, sd_bus_error *error) {
        uint64_t n;

        int r = bus_read_variant_unsigned(m, key, 1, PORTS_PER_CALL_MAX, &n, error);
        if (r < 0)
                return r;
        o->wanted.n = (unsigned) n;
        o->count_given = true;
        return 0;
}

/* As (qq), or as an array of two numbers. */
static int bind_read_range(sd_bus_message *m, const char *key, BindOptions *o, sd_bus_error *error) {
        g_autoptr(GArray) range = NULL;
        const char *type;

        int r = sd_bus_message_peek_type(m, NULL, &type);
        if (r < 0)
                return r;
        if (g_str_equal(type, "(qq)"))
                r = sd_bus_message_read(m, "v", "(qq)", &o->wanted.first, &o->wanted.last);
        else {
                r = bus_read_variant_unsigned_array(m, key, 0, UINT16_MAX, 2, &range, error);
                if (r >= 0 && range->len != 2)
                        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                "Option \"%s\" has %u numbers, but must be the first and the last one", key,
                                range->len);
                if (r >= 0) {
                        o->wanted.first = (uint16_t) g_array_index(range, uint64_t, 0);
                        o->wanted.last = (uint16_t) g_array_index(range, uint64_t, 1);
                }
        }
        if (r >= 0 && o->wanted.first == 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "Option \"%s\" begins with 0, which is not a port", key);
        return r;
}

static int bind_read_address(sd_bus_message *m, const char *key, BindOptions *o, sd_bus_error *error) {
        const char *text;

        int r = bus_read_variant_string(m, key, &text, error);
        if (r >= 0 && bind_address_parse(text, &o->wanted.address) < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "Option \"%s\" is \"%.64s\", but must be an IPv4 or IPv6 address, or empty for any",
                        key, text);
        return r;
}

static int bind_read_ports(sd_bus_message *m, const char *key, BindOptions *o, sd_bus_error *error) {
        return bus_read_variant_unsigned_array(m, key, 1, UINT16_MAX, PORTS_PER_CALL_MAX, &o->ports, error);
}

/* It begins as a BusOption. */
typedef struct BindOption {
        BusOption option;
        int (*read)(sd_bus_message *m, const char *key, BindOptions *o, sd_bus_error *error);
} BindOption;

static const BindOption bind_entries[] = {
        { { "count", "u" }, bind_read_count },
        { { "ports", "aq" }, bind_read_ports },
        { { "range", "(qq)" }, bind_read_range },
        { { "address", "s" }, bind_read_address },
};

static int bind_read_option(sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        return ((const BindOption *) option)->read(m, option->key, userdata, error);
}

const BusOptions bind_ports_options = { "BindPorts", bind_entries, sizeof(bind_entries[0]),
        ELEMENTSOF(bind_entries), bind_read_option };

/* Checks the options together. */
static int bind_options_finish(BindOptions *o, uint16_t *numbers, sd_bus_error *error) {
        if (!o->ports)
                return 0;
        if (o->wanted.first > 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                        "Option \"ports\" and option \"range\" cannot be used together");
        if (o->count_given && o->wanted.n != o->ports->len)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "Option \"count\" is %u, but option \"ports\" has %u ports", o->wanted.n,
                        o->ports->len);
        for (unsigned i = 0; i < o->ports->len; i++)
                numbers[i] = (uint16_t) g_array_index(o->ports, uint64_t, i);
        o->wanted.n = o->ports->len;
        o->wanted.numbers = numbers;
        return 0;
}

static int ports_method_bind_ports(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        uint16_t numbers[PORTS_PER_CALL_MAX];
        g_auto(BindOptions) options = {
                .wanted = { .address = clients->node->settings->bind_address, .n = 1 },
        };
        g_auto(Fault) fault = {};
        const Caller *caller;
        const char *protocol;

        int r = sd_bus_message_read_basic(m, 's', &protocol);
        if (r < 0)
                return r;
        options.wanted.protocol = port_protocol_from_string(protocol);
        if ((int) options.wanted.protocol < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "protocol is \"%.64s\", but must be tcp or udp", protocol);
        r = bus_read_options(m, &bind_ports_options, &options, error);
        if (r >= 0)
                r = bind_options_finish(&options, numbers, error);
        if (r < 0)
                return r;
        r = ports_check_wanted(&options.wanted, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = clients_check_change(clients, m, REQUEST(MANAGE_PORTS, "reserve ports"), &caller, error);
        if (r != 0)
                return r;
        ports_dbus_act(clients, m, &options.wanted, caller);
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
        SD_BUS_METHOD_WITH_ARGS("BindPorts", SD_BUS_ARGS("s", protocol, "a{sv}", options),
                SD_BUS_RESULT("aq", ports, "s", ports_string), ports_method_bind_ports, OPEN),
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
