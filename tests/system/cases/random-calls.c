/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Random calls of all methods and properties of node and roles, which are taken from the introspection. Most
 * have arguments of the right types, with names of roles that exist, have ended, or never existed, with
 * numbers at the end of their range, with long and empty strings, and with options of the wrong type. Others
 * have arguments of other types, or another path, interface or method. Some clients do not wait for the
 * replies, some disconnect before them, and one is an ordinary user.
 *
 * Each call has a reply. Node and keeper are not replaced, do not grow, and log no error. Afterwards each
 * role can be ended and purged, and nothing is left.
 *
 * RANDOM_CALLS and RANDOM_SEED in the environment are the number of calls, and the seed of a previous run to
 * repeat it. */

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "testlib.h"

#define CALLS 3000
#define ROLES 6
#define CLIENTS 4
#define PENDING_MAX 40        /* of one client; dbus-daemon allows 128 */
#define CALLS_OF_A_ROUND 1500 /* after which all roles are ended */
/* Arguments of 100 kB leave memory that the allocator keeps for the next ones. It varies by 10 MiB. */
#define GROWTH_MAX (16U * 1024U * 1024U)

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

typedef struct Client {
        GDBusConnection *connection;
        const char *user; /* NULL for root */
        guint n_pending;
} Client;

typedef struct Random {
        Bus *bus;
        GRand *rand;
        GDBusNodeInfo *node, *role;
        const char *roles[ROLES + 1];
        Client clients[CLIENTS];
        GHashTable *errors; /* name → number of replies */
        guint n_calls, n_replies, n_errors, n_disconnects;
} Random;

/* A pending call. */
typedef struct Call {
        Random *random;
        Client *client;
        GDBusConnection *connection; /* that client may have another one now */
        char *what;
} Call;

static guint below(Random *r, guint n) {
        return (guint) g_rand_int_range(r->rand, 0, (gint32) n);
}

static bool chance(Random *r, guint percent) {
        return below(r, 100) < percent;
}

#define PICK(r, table) ((table)[below(r, G_N_ELEMENTS(table))])

static guint number(const char *variable, guint otherwise) {
        const char *value = g_getenv(variable);
        return value && value[0] ? (guint) g_ascii_strtoull(value, NULL, 10) : otherwise;
}

/* -- values -- */

static guint64 some_number(Random *r) {
        static const guint64 interesting[] = { 0, 1, 2, 15, 19, 64, 65, 127, 128, 255, 256, 32767, 32768,
                65535, 65536, G_MAXINT32, (guint64) G_MAXINT32 + 1, G_MAXUINT32, G_MAXINT64,
                (guint64) G_MAXINT64 + 1, G_MAXUINT64 };

        return chance(r, 60) ? PICK(r, interesting)
                             : ((guint64) g_rand_int(r->rand) << 32 | g_rand_int(r->rand)) >> below(r, 64);
}

static char *some_text(Random *r) {
        static const char *const texts[] = { "", " ", "x", "=", "A=B", "all", "main", "debug", "info", "null",
                "/", "/nonexistent", "../x", "\n", "two\nlines\n", "\xc3\xa9\xe2\x82\xac", "%s%n", "\x1b[31m",
                "-1", "18446744073709551616", "a/b", "alice", "nobody", "4711", "root" };

        if (chance(r, 5))
                return g_strnfill(below(r, 100000), 'x');
        return g_strdup(PICK(r, texts));
}

static char *some_role(Random *r) {
        static const char *const others[] = { "", "a/b", ".", "-", "no-such-role", "\xc3\xa9",
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" };

        if (chance(r, 90))
                return g_strdup(r->roles[below(r, ROLES + 1)]); /* the last is never started */
        return g_strdup(PICK(r, others));
}

/* A single type, not too deep. */
static char *some_type(Random *r, guint depth) {
        static const char *const basic[] = { "y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o", "g" };
        g_autofree char *element = NULL;

        switch (depth < 3 ? below(r, 10) : 9) {
        case 0:
                element = some_type(r, depth + 1);
                return g_strconcat("a", element, NULL);
        case 1:
                element = some_type(r, depth + 1);
                return g_strdup_printf("a{%s%s}", PICK(r, basic), element);
        case 2:
                element = some_type(r, depth + 1);
                return g_strdup_printf("(%ss)", element);
        case 3:
                return g_strdup("v");
        default:
                return g_strdup(PICK(r, basic));
        }
}

static GVariant *some_value(Random *r, const GVariantType *type, guint depth);

static GVariant *some_container(Random *r, const GVariantType *type, guint depth) {
        GVariantBuilder builder;
        guint n = depth > 4 || chance(r, 20) ? 0 : chance(r, 2) ? 1000 : 1 + below(r, 4);

        g_variant_builder_init(&builder, type);
        if (g_variant_type_is_array(type))
                for (guint i = 0; i < n; i++)
                        g_variant_builder_add_value(&builder,
                                some_value(r, g_variant_type_element(type), depth + (n > 4 ? 4 : 1)));
        else
                for (const GVariantType *t = g_variant_type_first(type); t; t = g_variant_type_next(t))
                        g_variant_builder_add_value(&builder, some_value(r, t, depth + 1));
        return g_variant_builder_end(&builder);
}

/* Any value of this type, floating. */
static GVariant *some_value(Random *r, const GVariantType *type, guint depth) {
        g_autofree char *text = NULL;
        guint64 n = some_number(r);

        switch (g_variant_type_peek_string(type)[0]) {
        case 'y':
                return g_variant_new_byte((guchar) n);
        case 'b':
                return g_variant_new_boolean(n & 1);
        case 'n':
                return g_variant_new_int16((gint16) n);
        case 'q':
                return g_variant_new_uint16((guint16) n);
        case 'i':
                return g_variant_new_int32((gint32) n);
        case 'u':
                return g_variant_new_uint32((guint32) n);
        case 'x':
                return g_variant_new_int64((gint64) n);
        case 't':
                return g_variant_new_uint64(n);
        case 'd':
                return g_variant_new_double((double) n / 3);
        case 's':
                text = depth < 2 && chance(r, 30) ? some_role(r) : some_text(r);
                return g_variant_new_string(text);
        case 'o':
                return g_variant_new_object_path(chance(r, 50) ? "/" : NODE_PATH);
        case 'g':
                return g_variant_new_signature(chance(r, 50) ? "" : "a{sv}");
        case 'v':
                text = some_type(r, depth);
                return g_variant_new_variant(some_value(r, G_VARIANT_TYPE(text), depth + 1));
        default:
                return some_container(r, type, depth);
        }
}

/* -- arguments that a method accepts -- */

static GVariant *some_command(Random *r) {
        const char *const commands[][5] = {
                { actor(), "pause" },
                { actor(), "read-eof" },
                { actor(), "cat" },
                { actor(), "exit", "3" },
                { actor(), "fork{", "pause", "}", "pause" },
                { actor(), "raise", "SEGV" },
                { "/bin/true" },
                { "/nonexistent" },
                { "true" },
                { "/etc" },
                { "" },
                { NULL },
        };
        guint i = chance(r, 70) ? below(r, 5) : below(r, G_N_ELEMENTS(commands));
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
        for (guint j = 0; j < G_N_ELEMENTS(commands[i]) && commands[i][j]; j++)
                g_variant_builder_add(&builder, "s", commands[i][j]);
        return g_variant_builder_end(&builder);
}

/* An option of Start with a value that is not refused for its type. */
static void add_start_option(Random *r, GVariantBuilder *options) {
        static const char *const known[] = { "{'stdin': <'pipe'>}", "{'stdin': <'null'>}",
                "{'stdin': <'pty'>}", "{'user': <'alice'>}", "{'user': <'nobody'>}",
                "{'user': <'no-such-user'>}", "{'group': <'nogroup'>}", "{'group': <'65536'>}",
                "{'output': <'null'>}", "{'output': <'journal'>}", "{'output': <'file:/dev/null'>}",
                "{'output': <'append:/nonexistent/x'>}", "{'output': <'printer'>}",
                "{'working-directory': <'/'>}", "{'working-directory': <'/nonexistent'>}",
                "{'env': <{'A': 'B', 'EMPTY': ''}>}", "{'env': <{'1': 'B'}>}", "{'ignore-sigpipe': <false>}",
                "{'output-timestamps': <true>, 'output': <'file:/dev/null'>}", "{'exit-type': <'cgroup'>}",
                "{'exit-type': <'main'>}", "{'type': <'exec'>}", "{'type': <'notify'>}",
                "{'type': <'oneshot'>}", "{'notify-access': <'all'>}", "{'watchdog-usec': <@t 100000>}",
                "{'type': <'simple'>}", "{'timeout-start-usec': <@t 100000>}", "{'stop-signal': <2>}",
                "{'stop-signal': <0>}", "{'stop-signal': <64>}", "{'stop-to': <'main'>}",
                "{'stop-to': <'all'>}", "{'on-monitor-loss': <'keep'>}", "{'on-monitor-loss': <'kill'>}",
                "{'nice': <5>}", "{'nice': <-21>}", "{'limits': <{'nofile': @t 64}>}",
                "{'limits': <{'core': @t 0}>}", "{'limits': <{'beer': @t 1}>}", "{'remove': <true>}",
                "{'memory-max': <@t 100000000>}", "{'tasks-max': <@t 16>}", "{'cpu-quota': <@t 50>}",
                "{'tcp-ports': <[@q 1, 2]>}", "{'udp-ports': <@aq []>}", "{'release-ports': <[@q 40000]>}",
                "{'cpu-affinity': <'0-1'>}", "{'cpu-affinity': <'one'>}", "{'oom-score-adjust': <9>}",
                "{'cpu-weight': <9>}", "{'io-weight': <9>}", "{'memory-high': <@t 100000000>}",
                "{'delegate': <true>}", "{'eups-list': <[('a', 'b')]>}", "{'version': <'1'>}",
                "{'provider': <'x'>}", "{'setup-args': <['-x']>}", "{'xterm-args': <['-e']>}",
                "{'managed-by': <'k:n'>}", "{'managed-by': <'x'>}", "{'lease': <'nobody-holds-it'>}",
                "{'fencing-token': <@t 1>}", "{'colour': <'blue'>}", "{'': <''>}" };
        g_autoptr(GVariant) option = g_variant_ref_sink(g_variant_new_parsed(PICK(r, known)));
        g_autoptr(GVariant) entry = g_variant_get_child_value(option, 0);

        g_variant_builder_add_value(options, entry);
}

static GVariant *some_options(Random *r, const char *method) {
        static const char *const keys[] = { "stdin", "user", "output", "env", "limits", "nice", "remove",
                "stop-signal", "stop-timeout-usec", "tcp-ports", "eups-list", "product", "replay", "rows",
                "columns", "xterm", "cpu-quota" };
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        if (strcmp(method, "Start") == 0) {
                /* A role that does not react to its stop signal is not waited for long. */
                g_variant_builder_add(
                        &options, "{sv}", "stop-timeout-usec", g_variant_new_uint64(below(r, 100) * 1000));
                for (guint i = chance(r, 60) ? below(r, 4) : 0; i > 0; i--)
                        add_start_option(r, &options);
        }
        if (chance(r, 15)) {
                g_autofree char *type = some_type(r, 1);

                g_variant_builder_add(
                        &options, "{sv}", PICK(r, keys), some_value(r, G_VARIANT_TYPE(type), 2));
        }
        return g_variant_builder_end(&options);
}

static GVariant *some_names(Random *r) {
        GVariantBuilder names;

        g_variant_builder_init(&names, G_VARIANT_TYPE("as"));
        for (guint i = chance(r, 20) ? 0 : 1 + below(r, 4); i > 0; i--) {
                g_autofree char *name = some_role(r);
                g_variant_builder_add(&names, "s", name);
        }
        return g_variant_builder_end(&names);
}

/* Variables that change nothing for a role or a product. */
static const char *some_variable(Random *r) {
        static const char *const variables[] = { "RANDOM_A", "RANDOM_B", "_", "", "1", "A=B", "\xc3\xa9" };
        return PICK(r, variables);
}

static GVariant *some_argument(Random *r, const char *method, const GDBusArgInfo *arg) {
        static const char *const levels[] = { "err", "warning", "notice", "info", "debug", "loud", "" };
        static const char *const whoms[] = { "main", "all", "", "cgroup" };
        g_autofree char *text = NULL;

        if (chance(r, 10) && strcmp(method, "SetEnv") != 0 && strcmp(method, "SetMonitorTimeout") != 0)
                return some_value(r, G_VARIANT_TYPE(arg->signature), 1);
        if (strcmp(arg->name, "role") == 0)
                return g_variant_new_string(text = some_role(r));
        if (strcmp(arg->name, "roles") == 0)
                return some_names(r);
        if (strcmp(arg->name, "command") == 0)
                return some_command(r);
        if (strcmp(arg->name, "options") == 0)
                return some_options(r, method);
        if (strcmp(arg->name, "whom") == 0)
                return g_variant_new_string(PICK(r, whoms));
        if (strcmp(arg->name, "signal") == 0)
                return g_variant_new_int32((gint32) below(r, 70) - 2);
        if (strcmp(arg->name, "level") == 0)
                return g_variant_new_string(PICK(r, levels));
        if (strcmp(arg->name, "name") == 0)
                return g_variant_new_string(some_variable(r));
        if (strcmp(arg->name, "num_ports") == 0)
                return g_variant_new_uint32(below(r, 6));
        /* The end of the monitor would end the node. */
        if (strcmp(method, "SetMonitorTimeout") == 0)
                return g_variant_new_uint64(chance(r, 50) ? 0 : G_MAXUINT64 - below(r, 2));
        return some_value(r, G_VARIANT_TYPE(arg->signature), 1);
}

static GVariant *some_arguments(Random *r, const GDBusMethodInfo *method) {
        GVariantBuilder builder;
        guint n = 0;

        while (method->in_args && method->in_args[n])
                n++;
        g_variant_builder_init(&builder, G_VARIANT_TYPE_TUPLE);
        if (chance(r, 6) && strcmp(method->name, "SetMonitorTimeout") != 0) {
                for (guint i = below(r, n + 2); i > 0; i--) {
                        g_autofree char *type = some_type(r, 0);
                        g_variant_builder_add_value(&builder, some_value(r, G_VARIANT_TYPE(type), 1));
                }
                return g_variant_builder_end(&builder);
        }
        for (guint i = 0; i < n; i++)
                g_variant_builder_add_value(&builder, some_argument(r, method->name, method->in_args[i]));
        return g_variant_builder_end(&builder);
}

/* -- calls -- */

static GDBusConnection *connect_as(const char *user) {
        g_autoptr(GError) error = NULL;
        g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);
        const struct passwd *pw = user ? getpwnam(user) : NULL;
        GDBusConnection *connection;

        /* The bus daemon gets the effective UID at the time of the connect() from the kernel. */
        if (pw)
                assert_int_equal(setresuid((uid_t) -1, pw->pw_uid, (uid_t) -1), 0);
        connection = g_dbus_connection_new_for_address_sync(address,
                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                        G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                NULL, NULL, &error);
        assert_int_equal(setresuid((uid_t) -1, 0, (uid_t) -1), 0);
        if (!connection)
                fail_msg("cannot connect to the bus: %s", error->message);
        return connection;
}

static void on_reply(GObject *source, GAsyncResult *result, void *userdata) {
        Call *call = userdata;
        Random *r = call->random;
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusMessage) reply =
                g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(source), result, &error);
        const char *name = reply ? g_dbus_message_get_error_name(reply) : NULL;
        bool current = call->client->connection == call->connection;

        /* The connection was closed by this test; otherwise there is a reply. */
        if (!reply && current)
                fail_msg("%s has no reply: %s", call->what, error->message);
        if (current)
                call->client->n_pending--;
        r->n_replies += reply != NULL;
        if (name) {
                guint n = GPOINTER_TO_UINT(g_hash_table_lookup(r->errors, name));

                r->n_errors++;
                g_hash_table_replace(r->errors, g_strdup(name), GUINT_TO_POINTER(n + 1));
                /* The bus daemon sends these in place of a node that is not there. */
                if (strcmp(name, "org.freedesktop.DBus.Error.NoReply") == 0 ||
                        strcmp(name, "org.freedesktop.DBus.Error.ServiceUnknown") == 0 ||
                        strcmp(name, "org.freedesktop.DBus.Error.Timeout") == 0)
                        fail_msg("%s: %s", call->what, name);
        }
        g_object_unref(call->connection);
        g_free(call->what);
        g_free(call);
}

static void wait_pending(Client *client, guint n) {
        gint64 end = g_get_monotonic_time() + patience_usec();

        while (client->n_pending > n) {
                if (!g_main_context_iteration(NULL, FALSE))
                        g_usleep(100);
                if (g_get_monotonic_time() > end)
                        fail_msg("%u calls have no reply", client->n_pending);
        }
}

static void reconnect(Random *r, Client *client) {
        GDBusConnection *old = client->connection;

        client->connection = connect_as(client->user);
        client->n_pending = 0;
        g_assert_true(g_dbus_connection_close_sync(old, NULL, NULL));
        g_object_unref(old);
        while (g_main_context_iteration(NULL, FALSE))
                ;
        r->n_disconnects++;
}

static void send_call(Random *r, Client *client, const char *path, const char *interface, const char *member,
        GVariant *arguments) {
        g_autoptr(GDBusMessage) m = g_dbus_message_new_method_call(NODE_NAME, path, interface, member);
        g_autoptr(GError) error = NULL;
        Call *call;

        r->n_calls++;
        g_dbus_message_set_body(m, arguments);
        if (chance(r, 10)) {
                g_dbus_message_set_flags(m, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
                if (!g_dbus_connection_send_message(
                            client->connection, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, &error))
                        fail_msg("cannot send %s: %s", member, error->message);
                return;
        }
        wait_pending(client, PENDING_MAX);
        call = g_new0(Call, 1);
        call->random = r;
        call->client = client;
        call->connection = g_object_ref(client->connection);
        call->what = g_strdup_printf("call %u, %s.%s", r->n_calls, interface ?: "", member);
        client->n_pending++;
        g_dbus_connection_send_message_with_reply(
                client->connection, m, G_DBUS_SEND_MESSAGE_FLAGS_NONE, G_MAXINT, NULL, NULL, on_reply, call);
}

static char *some_path(Random *r, bool role) {
        g_autofree char *name = NULL;

        if (chance(r, 3))
                return g_strdup(chance(r, 50) ? "/" : NODE_PATH "/nonexistent");
        if (!role)
                return g_strdup(NODE_PATH);
        name = some_role(r);
        /* sd_bus_path_encode(3) */
        return name[0] ? role_path(name) : g_strdup(NODE_PATH "/role/_");
}

static void call_method(Random *r, Client *client) {
        bool on_role = chance(r, 30);
        GDBusInterfaceInfo *interface = g_dbus_node_info_lookup_interface(
                on_role ? r->role : r->node, on_role ? ROLE_INTERFACE : NODE_INTERFACE);
        g_autofree char *path = some_path(r, on_role);
        const GDBusMethodInfo *method;
        guint n = 0;

        while (interface->methods[n])
                n++;
        method = interface->methods[below(r, n)];
        /* More starts, so that there are roles. */
        if (!on_role && chance(r, 20))
                method = g_dbus_interface_info_lookup_method(interface, "Start");
        if (strcmp(method->name, "Shutdown") == 0)
                return;
        send_call(r, client, path,
                chance(r, 97)   ? interface->name
                : chance(r, 50) ? NULL
                                : PROPERTIES,
                chance(r, 98) ? method->name : "Nonexistent", some_arguments(r, method));
}

static void call_property(Random *r, Client *client) {
        bool on_role = chance(r, 60);
        GDBusInterfaceInfo *interface = g_dbus_node_info_lookup_interface(
                on_role ? r->role : r->node, on_role ? ROLE_INTERFACE : NODE_INTERFACE);
        const char *name = chance(r, 97) ? interface->name : "org.example.Nonexistent", *property;
        g_autofree char *path = some_path(r, on_role), *type = some_type(r, 0);
        guint n = 0;

        while (interface->properties[n])
                n++;
        property = chance(r, 97) ? interface->properties[below(r, n)]->name : "Nonexistent";
        switch (below(r, 4)) {
        case 0:
                send_call(r, client, path, PROPERTIES, "GetAll", g_variant_new("(s)", name));
                return;
        case 1:
                send_call(r, client, path, PROPERTIES, "Set",
                        g_variant_new("(ssv)", name, property, some_value(r, G_VARIANT_TYPE(type), 1)));
                return;
        case 2:
                if (chance(r, 30))
                        send_call(r, client, NODE_PATH, OBJECT_MANAGER, "GetManagedObjects",
                                g_variant_new_tuple(NULL, 0));
                return;
        default:
                send_call(r, client, path, PROPERTIES, "Get", g_variant_new("(ss)", name, property));
        }
}

/* -- before and after -- */

static GDBusNodeInfo *introspect(Bus *bus, const char *path) {
        g_autoptr(GVariant) reply =
                bus_call(bus, NODE_NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL);
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *info;
        const char *xml;

        g_variant_get(reply, "(&s)", &xml);
        info = g_dbus_node_info_new_for_xml(xml, &error);
        if (!info)
                fail_msg("the introspection of %s: %s", path, error->message);
        return info;
}

static char **list_variables(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListEnv", NULL);
        char **variables;

        g_variant_get(reply, "(^as)", &variables);
        return variables;
}

static void restore(Random *r, char **variables) {
        g_auto(GStrv) now = list_variables(r->bus);

        for (char **v = now; *v; v++)
                if (!g_strv_contains((const char *const *) variables, *v)) {
                        g_autofree char *name = g_strndup(*v, strcspn(*v, "="));
                        g_variant_unref(node_call(r->bus, "UnsetEnv", g_variant_new("(s)", name)));
                }
        g_variant_unref(node_call(r->bus, "SetLogLevel", g_variant_new("(s)", "info")));
        g_variant_unref(node_call(r->bus, "SetLogToSve", g_variant_new("(b)", FALSE)));
        g_variant_unref(node_call(r->bus, "SetMonitorTimeout", g_variant_new("(t)", (guint64) 0)));
}

/* A role that was starting, or that is removed with its end, may be gone already. */
static void end_role(Bus *bus, const char *method, GVariant *arguments) {
        const Event *reply = bus_wait_reply(bus, node_send(bus, method, arguments));

        if (reply->error && !g_str_has_suffix(reply->error, ".NoSuchRole"))
                fail_msg("%s: %s: %s", method, reply->error, reply->text);
}

static void kill_roles(Random *r, bool purge) {
        g_autoptr(GVariant) reply = node_call(r->bus, "ListRoles", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        const char *role;

        g_variant_get(reply, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(roles, "(&s&su&si&s&o)", &role, NULL, NULL, NULL, NULL, NULL, NULL)) {
                end_role(r->bus, "Kill", g_variant_new("(s)", role));
                if (purge)
                        end_role(r->bus, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }));
        }
}

static guint count_pending(Random *r) {
        guint n = 0;

        while (g_main_context_iteration(NULL, FALSE))
                ;
        for (guint i = 0; i < CLIENTS; i++)
                n += r->clients[i].n_pending;
        return n;
}

/* Each role can be ended and purged. Input that waits for a role that never reads is answered at its end, and
 * a start that waits makes another role. */
static void end_roles(Random *r) {
        WAIT_UNTIL((kill_roles(r, false), count_pending(r) == 0));
        node_sync(r->bus);
        kill_roles(r, true);
        assert_int_equal(node_get_u32(r->bus, "NRoles"), 0);
        node_release_ports(r->bus);
}

static void assert_no_error_logged(const char *since) {
        g_autofree char *text =
                journal(since, "-u", NODE_UNIT, "-u", KEEPER_UNIT, "-p", "err", "-o", "short-precise", NULL);

        if (text[0])
                fail_msg("node or keeper have logged errors:\n%s", text);
}

static void shut_down(Random *r) {
        end_roles(r);
        g_variant_unref(node_call(r->bus, "Shutdown", g_variant_new("(s)", "random")));
        node_wait_name(r->bus, false);
        systemctl("start", NODE_UNIT);
        node_wait_name(r->bus, true);
        WAIT_UNTIL(keeper_is_connected(r->bus, 0));
}

/* Returns the memory of node and keeper. */
static guint64 memory(Bus *bus) {
        return process_rss(node_pid(bus)) + process_rss(keeper_pid(bus));
}

static void call_randomly(Random *r, guint n) {
        for (guint end = r->n_calls + n; r->n_calls < end;) {
                /* The last one is refused most of the time. */
                Client *client = &r->clients[chance(r, 10) ? CLIENTS - 1 : below(r, CLIENTS - 1)];

                if (chance(r, 75))
                        call_method(r, client);
                else
                        call_property(r, client);
                if (chance(r, 1) && chance(r, 50))
                        reconnect(r, client);
                while (g_main_context_iteration(NULL, FALSE))
                        ;
        }
}

static void test_random_calls(void **state) {
        Random r = { .bus = *state };
        guint n = number("RANDOM_CALLS", CALLS), seed = number("RANDOM_SEED", g_random_int());
        Bus *bus = r.bus;
        g_autofree char *since = journal_from_now();
        g_auto(GStrv) variables = list_variables(bus);
        pid_t node = node_pid(bus), keeper = keeper_pid(bus);
        GHashTableIter errors;
        const char *error;
        void *n_error;
        guint64 warm = 0;
        Census before;

        print_message("  RANDOM_CALLS=%u RANDOM_SEED=%u\n", n, seed);
        r.rand = g_rand_new_with_seed(seed);
        r.errors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (guint i = 0; i <= ROLES; i++)
                r.roles[i] = role_name_n("r", i);
        for (guint i = 0; i < CLIENTS; i++) {
                r.clients[i].user = i == CLIENTS - 1 ? "alice" : NULL;
                r.clients[i].connection = connect_as(r.clients[i].user);
        }
        start(bus, r.roles[0], NULL, actor(), "pause", NULL);
        r.node = introspect(bus, NODE_PATH);
        {
                g_autofree char *path = role_path(r.roles[0]);
                r.role = introspect(bus, path);
        }
        end_roles(&r);
        before = census_before(bus);

        while (r.n_calls < n) {
                call_randomly(&r, MIN(CALLS_OF_A_ROUND, n - r.n_calls));
                assert_int_equal(node_pid(bus), node);
                assert_int_equal(keeper_pid(bus), keeper);
                end_roles(&r);
                restore(&r, variables);
                /* The first calls allocate what is needed once. */
                if (warm == 0)
                        warm = memory(bus);
                else if (!process_is_sanitized(node) && memory(bus) > warm + GROWTH_MAX)
                        fail_msg("%u calls: node and keeper have grown from %" G_GUINT64_FORMAT
                                 " to %" G_GUINT64_FORMAT,
                                r.n_calls, warm, memory(bus));
        }
        print_message("  %u calls, %u replies, %u of them errors, %u clients disconnected; %" G_GUINT64_FORMAT
                      " KiB after the first %u calls, %" G_GUINT64_FORMAT " KiB at the end\n",
                r.n_calls, r.n_replies, r.n_errors, r.n_disconnects, warm / 1024, CALLS_OF_A_ROUND,
                memory(bus) / 1024);
        g_hash_table_iter_init(&errors, r.errors);
        while (g_hash_table_iter_next(&errors, (void **) &error, &n_error))
                print_message("  %6u %s\n", GPOINTER_TO_UINT(n_error), error);
        {
                /* The log of events has grown. */
                Census now = census_before(bus);

                before.saved = now.saved;
                assert_census(bus, &before);
        }
        assert_no_error_logged(since);

        shut_down(&r);
        assert_int_equal(keeper_pid(bus), keeper);
        start(bus, r.roles[0], NULL, actor(), "pause", NULL);
        assert_poll(bus, r.roles[0], "running");
        end_roles(&r);
        for (guint i = 0; i < CLIENTS; i++) {
                g_assert_true(g_dbus_connection_close_sync(r.clients[i].connection, NULL, NULL));
                g_object_unref(r.clients[i].connection);
        }
        g_hash_table_unref(r.errors);
        g_dbus_node_info_unref(r.node);
        g_dbus_node_info_unref(r.role);
        g_rand_free(r.rand);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_random_calls),
        };
        return run_case("random-calls", tests);
}
