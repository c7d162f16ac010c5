/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "bind-tcp", "bind-udp", "ports" and "release". */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "client/json.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/json.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

static bool port_parse(const char *text, uint16_t *ret) {
        uint32_t port;

        if (parse_u32(text, &port) < 0 || port == 0 || port > UINT16_MAX)
                return false;
        *ret = (uint16_t) port;
        return true;
}

static CtlExit port_bad(const char *verb, const char *text) {
        return ctl_usage(verb, "\"%s\" is not the number of a port, from 1 to %d", text, UINT16_MAX);
}

/* -- bind-tcp, bind-udp -- */

typedef struct Bind {
        uint32_t count; /* 0: as many as ports, or 1 */
        GArray *ports;  /* of uint16_t; NULL: any */
        uint16_t first, last;
        const char *address;
} Bind;

static void bind_clear(Bind *bind) {
        g_clear_pointer(&bind->ports, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bind, bind_clear)

static CtlExit bind_parse_ports(const char *verb, Bind *bind, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, ",", -1);

        if (!bind->ports)
                bind->ports = g_array_new(false, false, sizeof(uint16_t));
        for (char **p = words; *p; p++) {
                uint16_t port;

                if (!port_parse(*p, &port))
                        return port_bad(verb, *p);
                g_array_append_val(bind->ports, port);
        }
        return CTL_EXIT_OK;
}

static CtlExit bind_parse_range(const char *verb, Bind *bind, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, "-", 2);

        if (!words[0] || !words[1] || !port_parse(words[0], &bind->first) ||
                !port_parse(words[1], &bind->last) || bind->first > bind->last)
                return ctl_usage(verb, "--range=%s is not a range of ports such as 5000-5010", text);
        return CTL_EXIT_OK;
}

/* The simple method is enough unless there are options. */
static CtlExit bind_call(Ctl *ctl, const Bind *bind, const char *protocol, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;
        int r = 0;

        if (!bind->ports && bind->first == 0 && !bind->address)
                return ctl_call(ctl, ret, strcmp(protocol, "tcp") == 0 ? "BindTCP" : "BindUDP", "u",
                        bind->count > 0 ? bind->count : 1);
        CtlExit e = ctl_new_call(ctl, &call, "BindPorts", "s", protocol);
        if (e != CTL_EXIT_OK)
                return e;
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && bind->count > 0)
                r = sd_bus_message_append(call, "{sv}", "count", "u", bind->count);
        if (r >= 0 && bind->first > 0)
                r = sd_bus_message_append(call, "{sv}", "range", "(qq)", (int) bind->first, (int) bind->last);
        if (r >= 0 && bind->address)
                r = sd_bus_message_append(call, "{sv}", "address", "s", bind->address);
        if (r >= 0 && bind->ports) {
                (void) sd_bus_message_open_container(call, 'e', "sv");
                (void) sd_bus_message_append(call, "s", "ports");
                (void) sd_bus_message_open_container(call, 'v', "aq");
                r = sd_bus_message_append_array(
                        call, 'q', bind->ports->data, bind->ports->len * sizeof(uint16_t));
                (void) sd_bus_message_close_container(call);
                (void) sd_bus_message_close_container(call);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? ctl_failed(r, "make a call") : ctl_send(ctl, call, ret);
}

static CtlExit bind_print(const Ctl *ctl, sd_bus_message *reply) {
        g_autoptr(GString) json = g_string_new(NULL);
        const uint16_t *ports;
        size_t size;
        int r;

        if (ctl->json != CTL_JSON_OFF) {
                r = json_append_value(json, reply);
                if (r >= 0)
                        json_print(json->str, ctl->json);
        } else {
                r = sd_bus_message_read_array(reply, 'q', (const void **) &ports, &size);
                for (size_t i = 0; r >= 0 && i < size / sizeof(uint16_t); i++)
                        (void) printf("%u\n", ports[i]);
        }
        return r < 0 ? ctl_bad_reply(r) : CTL_EXIT_OK;
}

static CtlExit bind_ports(Ctl *ctl, int argc, char *argv[], const char *protocol) {
        enum { ARG_PORTS = CTL_OPTION_OWN, ARG_RANGE, ARG_ADDRESS };
        static const struct option options[] = {
                { "ports", required_argument, NULL, ARG_PORTS },
                { "range", required_argument, NULL, ARG_RANGE },
                { "address", required_argument, NULL, ARG_ADDRESS },
                { 0 },
        };
        g_autoptr(sd_bus_message) reply = NULL;
        CtlExit e = CTL_EXIT_OK;
        g_auto(Bind) bind = {};
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0) {
                if (c == ARG_PORTS)
                        e = bind_parse_ports(argv[0], &bind, optarg);
                else if (c == ARG_RANGE)
                        e = bind_parse_range(argv[0], &bind, optarg);
                else
                        bind.address = optarg;
                if (e != CTL_EXIT_OK)
                        return e;
        }
        if (c != CTL_OPTION_EXIT)
                e = ctl_check_arguments(argc, argv, 0, 1);
        if (c == CTL_OPTION_EXIT || e != CTL_EXIT_OK)
                return e;
        if (optind < argc && (parse_u32(argv[optind], &bind.count) < 0 || bind.count == 0))
                return ctl_usage(argv[0], "\"%s\" is not a number of ports, from 1 on", argv[optind]);
        e = bind_call(ctl, &bind, protocol, &reply);
        return e == CTL_EXIT_OK ? bind_print(ctl, reply) : e;
}

CtlExit verb_bind_tcp(Ctl *ctl, int argc, char *argv[]) {
        return bind_ports(ctl, argc, argv, "tcp");
}

CtlExit verb_bind_udp(Ctl *ctl, int argc, char *argv[]) {
        return bind_ports(ctl, argc, argv, "udp");
}

/* -- ports -- */

typedef struct Port {
        char protocol[4];
        uint16_t number;
        uint32_t uid;
        char *role; /* empty: no role has it */
} Port;

static void port_clear(void *p) {
        g_free(((Port *) p)->role);
}

static CtlExit ports_list(Ctl *ctl, GArray **ret) {
        g_autoptr(GArray) ports = g_array_new(false, false, sizeof(Port));
        g_autoptr(sd_bus_message) reply = NULL;
        const char *protocol, *role;
        Port port = {};

        CtlExit e = ctl_call(ctl, &reply, "ListPorts", NULL);
        if (e != CTL_EXIT_OK)
                return e;
        g_array_set_clear_func(ports, port_clear);
        int r = sd_bus_message_enter_container(reply, 'a', "(squs)");
        while (r >= 0 &&
                (r = sd_bus_message_read(reply, "(squs)", &protocol, &port.number, &port.uid, &role)) > 0) {
                (void) g_strlcpy(port.protocol, protocol, sizeof(port.protocol));
                port.role = g_strdup(role);
                g_array_append_val(ports, port);
        }
        if (r < 0)
                return ctl_bad_reply(r);
        *ret = g_steal_pointer(&ports);
        return CTL_EXIT_OK;
}

enum { PORT_PROTOCOL, PORT_NUMBER, PORT_USER, PORT_UID, PORT_ROLE };

static const TableColumn port_columns[] = {
        [PORT_PROTOCOL] = { "PROTOCOL", "protocol" },
        [PORT_NUMBER] = { "PORT", "port", TABLE_NUMBER },
        [PORT_USER] = { "USER" },
        [PORT_UID] = { NULL, "uid", TABLE_NUMBER },
        [PORT_ROLE] = { "ROLE", "role" },
};

CtlExit verb_ports(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GArray) ports = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, 0, &e))
                return e;
        e = ports_list(ctl, &ports);
        if (e != CTL_EXIT_OK)
                return e;
        g_assert(ports);
        if (ports->len == 0 && ctl->json == CTL_JSON_OFF) {
                ctl_say(ctl, "No ports are reserved. Reserve one: architectctl bind-tcp");
                return CTL_EXIT_OK;
        }
        g_autoptr(Table) table = table_new(ctl, port_columns, ELEMENTSOF(port_columns));
        for (guint i = 0; i < ports->len; i++) {
                const Port *port = &g_array_index(ports, Port, i);
                struct libscols_line *row = table_add_row(table, NULL);
                g_autofree char *user = ctl_user_name(ctl, port->uid);

                table_set(table, row, PORT_PROTOCOL, port->protocol);
                table_setf(table, row, PORT_NUMBER, "%u", port->number);
                table_set(table, row, PORT_USER, user);
                table_setf(table, row, PORT_UID, "%" PRIu32, port->uid);
                table_set(table, row, PORT_ROLE, port->role[0] ? port->role : NULL);
        }
        return table_print(table);
}

/* -- release -- */

typedef struct Release {
        GArray *tcp, *udp; /* of uint16_t */
        bool all;
        bool only_tcp, only_udp;
} Release;

static void release_clear(Release *release) {
        g_clear_pointer(&release->tcp, g_array_unref);
        g_clear_pointer(&release->udp, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Release, release_clear)

/* The user for whom the service has reserved what this connection asks for. */
static CtlExit release_own_uid(Ctl *ctl, uint32_t *ret) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const char *name;

        *ret = 0; /* of the private socket */
        if (!ctl->bus_name)
                return CTL_EXIT_OK;
        int r = sd_bus_get_unique_name(ctl->bus, &name);
        if (r >= 0)
                r = WITHOUT_BATON(
                        sd_bus_call_method(ctl->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus", "GetConnectionUnixUser", &error, &reply, "s", name));
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", ret);
        return r < 0 ? ctl_failed(r, "ask the bus for the user") : CTL_EXIT_OK;
}

static bool release_wants(const Release *release, const Port *port) {
        return strcmp(port->protocol, "tcp") == 0 ? !release->only_udp : !release->only_tcp;
}

static void release_add(Release *release, const char *protocol, uint16_t number) {
        GArray *ports = strcmp(protocol, "tcp") == 0 ? release->tcp : release->udp;

        g_array_append_val(ports, number);
}

static CtlExit release_find_all(Ctl *ctl, Release *release, const GArray *ports) {
        uint32_t uid;

        CtlExit e = release_own_uid(ctl, &uid);
        if (e != CTL_EXIT_OK)
                return e;
        g_assert(ports);
        for (guint i = 0; i < ports->len; i++) {
                const Port *port = &g_array_index(ports, Port, i);

                if (port->uid != uid || !release_wants(release, port))
                        continue;
                if (port->role[0])
                        ctl_say(ctl, "The role \"%s\" has the %s port %u, which stays reserved.", port->role,
                                port->protocol, port->number);
                else
                        release_add(release, port->protocol, port->number);
        }
        return CTL_EXIT_OK;
}

/* A number that is not reserved is sent, too: the service says so. */
static CtlExit release_find(Release *release, const GArray *ports, const char *text) {
        bool found = false;
        uint16_t number;

        if (!port_parse(text, &number))
                return port_bad("release", text);
        g_assert(ports);
        for (guint i = 0; i < ports->len; i++) {
                const Port *port = &g_array_index(ports, Port, i);

                if (port->number != number || !release_wants(release, port))
                        continue;
                release_add(release, port->protocol, number);
                found = true;
        }
        if (!found)
                release_add(release, release->only_udp ? "udp" : "tcp", number);
        return CTL_EXIT_OK;
}

static CtlExit release_send(Ctl *ctl, const char *member, const GArray *ports) {
        g_autoptr(sd_bus_message) call = NULL;

        if (ports->len == 0)
                return CTL_EXIT_OK;
        CtlExit e = ctl_new_call(ctl, &call, member, NULL);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append_array(call, 'q', ports->data, ports->len * sizeof(uint16_t));
        return r < 0 ? ctl_failed(r, "make a call") : ctl_send(ctl, call, NULL);
}

static CtlExit release_run(Ctl *ctl, Release *release, char *const *arguments) {
        g_autoptr(GArray) ports = NULL;

        CtlExit e = ports_list(ctl, &ports);
        if (e == CTL_EXIT_OK && release->all)
                e = release_find_all(ctl, release, ports);
        for (; e == CTL_EXIT_OK && *arguments; arguments++)
                e = release_find(release, ports, *arguments);
        if (e == CTL_EXIT_OK)
                e = release_send(ctl, "ReleaseTCP", release->tcp);
        return e == CTL_EXIT_OK ? release_send(ctl, "ReleaseUDP", release->udp) : e;
}

CtlExit verb_release(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_ALL = CTL_OPTION_OWN, ARG_TCP, ARG_UDP };
        static const struct option options[] = {
                { "all", no_argument, NULL, ARG_ALL },
                { "tcp", no_argument, NULL, ARG_TCP },
                { "udp", no_argument, NULL, ARG_UDP },
                { 0 },
        };
        g_auto(Release) release = {
                .tcp = g_array_new(false, false, sizeof(uint16_t)),
                .udp = g_array_new(false, false, sizeof(uint16_t)),
        };
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                *(c == ARG_ALL ? &release.all : c == ARG_TCP ? &release.only_tcp : &release.only_udp) = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        if (release.only_tcp && release.only_udp)
                release.only_tcp = release.only_udp = false;
        if (release.all != (optind == argc))
                return ctl_usage(argv[0], "release takes either PORT... or --all");
        return release_run(ctl, &release, argv + optind);
}
