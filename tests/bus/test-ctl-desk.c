/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The desk with simulated hosts, and a client at the other end of a socketpair in the place of the bus of the
 * user. */

#include "sim-nodes.h"
#include "unit-test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time-util.h"
#include "ctl/desk-copy.h"
#include "ctl/desk-service.h"
#include "interface-facts.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* For tests of hosts that answer, and of those that do not. */
#define LONG_USEC (60 * USEC_PER_SEC)
#define SHORT_USEC (2 * USEC_PER_SEC)
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define GOOD DESK_HOST_PATH_PREFIX "/good"
#define OTHER DESK_HOST_PATH_PREFIX "/other"

/* One of each kind. */
static const SimHost kinds[] = {
        { "good", SIM_GOOD, 2 },
        { "other", SIM_GOOD, 1 },
        { "old", SIM_OLD, 1 },
        { "mute", SIM_MUTE, 0 },
        { "stuck", SIM_STUCK, 0 },
        { "nobody", SIM_NOBODY, 0 },
};
static const SimHost pair[] = { { "good", SIM_GOOD, 2 }, { "other", SIM_GOOD, 1 } };
static const SimHost busy[] = { { "good", SIM_BUSY, 2 }, { "other", SIM_GOOD, 1 } };

static struct {
        SimNodes sim;
        sd_event *event;
        sd_bus *service, *client;
        Desk *desk;
        GPtrArray *events;    /* "HOST EPOCH SEQ" of each NodeEvent, the epoch without leading zeros */
        GPtrArray *lost;      /* "HOST EPOCH FIRST LAST" */
        GHashTable *states;   /* "STATE REASON" by host, of HostChanged */
        unsigned n_changed;   /* HostChanged */
        unsigned n_reported;  /* the same, to the caller of desk_new() */
        bool slow;            /* the client does not reply to GetId */
        sd_bus_message *held; /* that call */
} t;

/* -- the world -- */

static const char *short_epoch(const char *epoch) {
        while (epoch[0] == '0' && epoch[1])
                epoch++;
        return epoch;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *host, *epoch, *state, *reason;
        uint64_t first, last;

        if (sd_bus_message_is_signal(m, DESK_INTERFACE, "NodeEvent")) {
                const char *event, *role;

                assert_true(sd_bus_message_has_signature(m, "ssttssa{sv}"));
                assert_true(
                        sd_bus_message_read(m, "ssttss", &host, &epoch, &first, &last, &event, &role) > 0);
                assert_string_equal(event, "RolePurged");
                assert_string_equal(role, "role-0");
                assert_int_equal(last, 1); /* the time */
                g_ptr_array_add(t.events, g_strdup_printf("%s %s %" PRIu64, host, short_epoch(epoch), first));
        } else if (sd_bus_message_is_signal(m, DESK_INTERFACE, "EventsLost")) {
                assert_true(sd_bus_message_read(m, "sstt", &host, &epoch, &first, &last) > 0);
                g_ptr_array_add(t.lost,
                        g_strdup_printf("%s %s %" PRIu64 " %" PRIu64, host, short_epoch(epoch), first, last));
        } else if (sd_bus_message_is_signal(m, DESK_INTERFACE, "HostChanged")) {
                assert_true(sd_bus_message_read(m, "sss", &host, &state, &reason) > 0);
                g_hash_table_insert(t.states, g_strdup(host), g_strdup_printf("%s %s", state, reason));
                t.n_changed++;
        }
        return 0;
}

/* sd-bus replies to it with an error, which is as good. */
static int on_any(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (!t.slow || !sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "GetId"))
                return 0;
        assert_null(t.held);
        t.held = sd_bus_message_ref(m);
        return 1;
}

static void on_changed(const DeskHost *host, unsigned n_connected, unsigned n_hosts, void *userdata) {
        assert_ptr_equal(userdata, &t);
        assert_int_equal(n_hosts, t.sim.n_hosts);
        t.n_reported++;
}

static void turn(void) {
        assert_return_code(sd_event_run(t.event, UINT64_MAX), 0);
}

#define UNTIL(condition) \
        while (!(condition)) \
        turn()

static sd_bus *open_end(int fd, bool server) {
        sd_id128_t id;
        sd_bus *bus;

        assert_return_code(sd_bus_new(&bus), 0);
        assert_return_code(sd_bus_set_fd(bus, fd, fd), 0);
        assert_return_code(sd_bus_negotiate_fds(bus, true), 0);
        if (server) {
                assert_return_code(sd_id128_randomize(&id), 0);
                assert_return_code(sd_bus_set_server(bus, true, id), 0);
        }
        assert_return_code(sd_bus_start(bus), 0);
        assert_return_code(sd_bus_attach_event(bus, t.event, SD_EVENT_PRIORITY_NORMAL), 0);
        return bus;
}

static void begin(const SimHost *hosts, unsigned n, uint64_t patience_usec) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        int fds[2];

        sim_nodes_start(&t.sim, hosts, n);
        for (unsigned i = 0; i < n; i++)
                g_ptr_array_add(names, (char *) hosts[i].name);
        assert_return_code(sd_event_new(&t.event), 0);
        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), errno);
        t.service = open_end(fds[0], true);
        t.client = open_end(fds[1], false);
        t.events = g_ptr_array_new_with_free_func(g_free);
        t.lost = g_ptr_array_new_with_free_func(g_free);
        t.states = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        t.n_changed = t.n_reported = 0;
        assert_return_code(
                sd_bus_match_signal(t.client, NULL, NULL, DESK_PATH, DESK_INTERFACE, NULL, on_signal, NULL),
                0);
        assert_return_code(sd_bus_add_filter(t.client, NULL, on_any, NULL), 0);
        assert_return_code(desk_new(t.event, t.service, NODE_DEFAULT_INSTANCE, names, sim_nodes_address,
                                   patience_usec, on_changed, &t, &t.desk),
                0);
}

static int teardown(void **state) {
        t.desk = desk_free(t.desk);
        sd_bus_close_unref(t.service);
        sd_bus_close_unref(t.client);
        sd_event_unref(t.event);
        g_ptr_array_unref(t.events);
        g_ptr_array_unref(t.lost);
        g_hash_table_unref(t.states);
        sim_nodes_stop(&t.sim);
        return 0;
}

/* -- the client -- */

typedef struct Call {
        sd_bus_message *reply;
} Call;

static void call_clear(Call *call) {
        sd_bus_message_unref(call->reply);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Call, call_clear)

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Call *call = userdata;

        assert_null(call->reply);
        call->reply = sd_bus_message_ref(m);
        return 0;
}

static void call_send(Call *call, sd_bus_message *m) {
        assert_return_code(sd_bus_call_async(t.client, NULL, m, on_reply, call, UINT64_MAX), 0);
}

static sd_bus_message *call_new(const char *path, const char *interface, const char *member) {
        sd_bus_message *m;

        assert_return_code(sd_bus_message_new_method_call(t.client, &m, NULL, path, interface, member), 0);
        return m;
}

static void call_begin(
        Call *call, const char *path, const char *interface, const char *member, const char *types, ...) {
        g_autoptr(sd_bus_message) m = call_new(path, interface, member);
        va_list ap;

        va_start(ap, types);
        assert_return_code(sd_bus_message_appendv(m, types, ap), 0);
        va_end(ap);
        call_send(call, m);
}

/* Its reply, which must be one. */
static sd_bus_message *call_end(Call *call) {
        UNTIL(call->reply);
        if (sd_bus_message_is_method_error(call->reply, NULL))
                fail_msg("%s: %s", sd_bus_message_get_error(call->reply)->name,
                        sd_bus_message_get_error(call->reply)->message);
        return call->reply;
}

static void call_fails(Call *call, const char *name, const char *part) {
        UNTIL(call->reply);
        const sd_bus_error *error = sd_bus_message_get_error(call->reply);
        assert_non_null(error);
        assert_string_equal(error->name, name);
        if (!strstr(error->message, part))
                fail_msg("there is no \"%s\" in \"%s\"", part, error->message);
}

static bool is_state(const char *host, const char *state) {
        const char *now = g_hash_table_lookup(t.states, host);

        return now && g_str_has_prefix(now, state);
}

static void begin_pair(const SimHost *hosts, uint64_t patience_usec) {
        begin(hosts, 2, patience_usec);
        UNTIL(is_state("good", "connected") && is_state("other", "connected"));
}

static void read_property(Call *call, const char *path, const char *interface, const char *name) {
        call_begin(call, path, PROPERTIES, "Get", "ss", interface, name);
}

/* -- the hosts -- */

static void assert_host(sd_bus_message *m, const char *types, const char *name, const char *state,
        const char *reason, const char *path) {
        const char *n, *s, *r, *p;

        assert_true(sd_bus_message_enter_container(m, 'r', types) > 0);
        assert_true(sd_bus_message_read(m, "ssso", &n, &s, &r, &p) > 0);
        assert_string_equal(n, name);
        assert_string_equal(s, state);
        if (reason[0] ? !strstr(r, reason) : r[0])
                fail_msg("the reason of %s is \"%s\"", n, r);
        g_autofree char *expected = g_strconcat(DESK_HOST_PATH_PREFIX "/", path, NULL);
        assert_string_equal(p, expected);
}

static void assert_kinds(sd_bus_message *m, const char *types, bool position) {
        static const char *const expected[][4] = {
                { "good", "connected", "" },
                { "other", "connected", "" },
                { "old", "connected", "that node has the version 0.0.9 and no EventsSince" },
                { "mute", "unreachable", "Connection timed out" },
                { "stuck", "unreachable", "Connection timed out" },
                { "nobody", "unreachable", "No such file or directory" },
        };
        g_autofree char *row = g_strdup_printf("(%s)", types);

        assert_true(sd_bus_message_enter_container(m, 'a', row) > 0);
        for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
                const char *epoch;
                uint64_t seq;

                assert_host(m, types, expected[i][0], expected[i][1], expected[i][2], expected[i][0]);
                if (position) {
                        assert_true(sd_bus_message_read(m, "st", &epoch, &seq) > 0);
                        assert_int_equal(strlen(epoch), i < 2 ? 32 : 0);
                        assert_int_equal(seq, 0);
                }
                assert_return_code(sd_bus_message_exit_container(m), 0);
        }
        assert_int_equal(sd_bus_message_at_end(m, false), true);
}

/* Whatever is the matter with one, it has a state and a reason, and the others are there. */
static void test_hosts(void **state) {
        g_auto(Call) list = {}, property = {}, roles = {};

        begin(kinds, G_N_ELEMENTS(kinds), SHORT_USEC);
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                UNTIL(is_state(kinds[i].name, i < 3 ? "connected" : "unreachable"));
        assert_int_equal(t.n_reported, t.n_changed);
        call_begin(&list, DESK_PATH, DESK_INTERFACE, "ListHosts", "");
        assert_kinds(call_end(&list), "sssost", true);
        read_property(&property, DESK_PATH, DESK_INTERFACE, "Hosts");
        assert_true(sd_bus_message_enter_container(call_end(&property), 'v', "a(ssso)") > 0);
        assert_kinds(property.reply, "ssso", false);

        call_begin(&roles, DESK_PATH, DESK_INTERFACE, "ListRoles", "");
        sd_bus_message *m = call_end(&roles);
        assert_true(sd_bus_message_enter_container(m, 'a', "(ssa(ssusiso))") > 0);
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                const char *host, *error, *role, *end, *code, *unit, *path;
                unsigned n = 0;
                uint32_t pid;
                int32_t status;

                assert_true(sd_bus_message_enter_container(m, 'r', "ssa(ssusiso)") > 0);
                assert_true(sd_bus_message_read(m, "ss", &host, &error) > 0);
                assert_string_equal(host, kinds[i].name);
                assert_int_equal(error[0] == '\0', i < 3);
                assert_true(sd_bus_message_enter_container(m, 'a', "(ssusiso)") > 0);
                while (sd_bus_message_read(m, "(ssusiso)", &role, &end, &pid, &code, &status, &unit, &path) >
                        0) {
                        g_autofree char *expected =
                                g_strdup_printf(DESK_HOST_PATH_PREFIX "/%s/role/role_2d%u", host, n);
                        assert_string_equal(path, expected);
                        assert_int_equal(pid, 1000 + n);
                        n++;
                }
                assert_int_equal(n, kinds[i].n_roles);
                assert_return_code(sd_bus_message_exit_container(m), 0);
                assert_return_code(sd_bus_message_exit_container(m), 0);
        }
}

/* -- calls to one -- */

static void test_forward(void **state) {
        g_auto(Call) stop = {}, error = {}, version = {}, role = {}, path = {}, method = {}, nobody = {};
        const char *text, *there;

        begin_pair(pair, LONG_USEC);
        call_begin(&stop, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        assert_true(sd_bus_message_is_empty(call_end(&stop)));
        assert_int_equal(sim_host_count("good", "Stop"), 1);
        assert_int_equal(sim_host_count("other", "Stop"), 0);

        call_begin(&error, OTHER, NODE_INTERFACE, "Stop", "s", "camera");
        call_fails(&error, NODE_INTERFACE ".NoSuchRole", "There is no role \"camera\"");
        call_begin(&method, GOOD, NODE_INTERFACE, "Bake", "");
        call_fails(&method, SD_BUS_ERROR_UNKNOWN_METHOD, "Bake");

        read_property(&version, GOOD, NODE_INTERFACE, "Version");
        assert_true(sd_bus_message_read(call_end(&version), "v", "s", &text) > 0);
        assert_string_equal(text, "9.9");
        read_property(&role, GOOD "/role/role_2d1", NODE_ROLE_INTERFACE, "Name");
        assert_true(sd_bus_message_read(call_end(&role), "v", "s", &text) > 0);
        assert_string_equal(text, "role-1");

        /* Paths are those of the desk here, and those of the node there. */
        call_begin(&path, GOOD "/role/a", NODE_ROLE_INTERFACE, "Path", "o", GOOD "/role/b");
        assert_true(sd_bus_message_read(call_end(&path), "sv", &there, "o", &text) > 0);
        assert_string_equal(there, NODE_PATH "/role/b");
        assert_string_equal(text, GOOD "/role/b");

        call_begin(&nobody, DESK_HOST_PATH_PREFIX "/goo", NODE_INTERFACE, "Stop", "s", "role-0");
        call_fails(&nobody, SD_BUS_ERROR_UNKNOWN_OBJECT, DESK_HOST_PATH_PREFIX "/goo");
}

/* Calls that want no reply have an effect. */
static void test_no_reply(void **state) {
        g_autoptr(sd_bus_message) m = NULL;

        begin_pair(pair, LONG_USEC);
        m = call_new(GOOD, NODE_INTERFACE, "Stop");
        assert_return_code(sd_bus_message_append(m, "s", "role-0"), 0);
        assert_return_code(sd_bus_message_set_expect_reply(m, false), 0);
        assert_return_code(sd_bus_send(t.client, m, NULL), 0);
        for (g_auto(Call) after = {}; !after.reply;) {
                call_begin(&after, GOOD, NODE_INTERFACE, "ListEnv", "");
                (void) call_end(&after);
        }
        assert_int_equal(sim_host_count("good", "Stop"), 1);
}

static void test_unreachable(void **state) {
        static const SimHost hosts[] = { { "good", SIM_NOBODY, 0 }, { "mute", SIM_MUTE, 0 } };
        g_auto(Call) gone = {}, introspect = {}, early = {};

        begin(hosts, 2, LONG_USEC);
        call_begin(&early, DESK_HOST_PATH_PREFIX "/mute", NODE_INTERFACE, "ListRoles", "");
        call_fails(&early, DESK_ERROR_UNREACHABLE, "mute is being connected");
        UNTIL(is_state("good", "unreachable"));
        call_begin(&gone, GOOD, NODE_INTERFACE, "ListRoles", "");
        call_fails(&gone, DESK_ERROR_UNREACHABLE, "good is not connected: No such file or directory");
        call_begin(&introspect, GOOD "/role", "org.freedesktop.DBus.Introspectable", "Introspect", "");
        call_fails(&introspect, DESK_ERROR_UNREACHABLE, "");
}

/* -- descriptors -- */

static bool has_fd(GDBusArgInfo **args) {
        for (; args && *args; args++)
                if (strchr((*args)->signature, 'h'))
                        return true;
        return false;
}

/* Every method of the node that passes one, and any other that gets one. */
static void test_descriptors(void **state) {
        static const char *const interfaces[] = { NODE_INTERFACE, NODE_ROLE_INTERFACE };
        g_auto(Call) direct = {}, within = {};
        unsigned n = 0;

        begin_pair(pair, LONG_USEC);
        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
                g_autoptr(GDBusNodeInfo) info = interface_promised(interfaces[i]);

                for (GDBusMethodInfo **method = info->interfaces[0]->methods; *method; method++) {
                        g_auto(Call) call = {};

                        if (!has_fd((*method)->in_args) && !has_fd((*method)->out_args))
                                continue;
                        n++;
                        call_begin(&call, GOOD, interfaces[i], (*method)->name, "");
                        call_fails(&call, SD_BUS_ERROR_NOT_SUPPORTED, (*method)->name);
                }
        }
        assert_int_equal(n, 2);
        call_begin(&direct, GOOD, NODE_INTERFACE, "Stop", "h", STDERR_FILENO);
        call_fails(&direct, SD_BUS_ERROR_NOT_SUPPORTED, "Stop passes a file descriptor");
        call_begin(&within, GOOD, NODE_INTERFACE, "Stop", "sa{sv}", "role-0", 1, "fd", "h", STDERR_FILENO);
        call_fails(&within, SD_BUS_ERROR_NOT_SUPPORTED, "Stop passes a file descriptor");
        assert_int_equal(sim_host_count("good", "Stop"), 0);
        assert_int_equal(sim_host_count("good", "OpenTerminal"), 0);
}

/* -- introspection -- */

static char *introspect(const char *path) {
        g_auto(Call) call = {};
        const char *xml;

        call_begin(&call, path, "org.freedesktop.DBus.Introspectable", "Introspect", "");
        assert_true(sd_bus_message_read(call_end(&call), "s", &xml) > 0);
        return g_strdup(xml);
}

static void test_introspection(void **state) {
        begin_pair(pair, LONG_USEC);
        g_autofree char *desk = introspect(DESK_PATH), *hosts = introspect(DESK_HOST_PATH_PREFIX),
                        *host = introspect(GOOD), *role = introspect(GOOD "/role/x");
        interface_compare(desk, DESK_INTERFACE);
        g_autoptr(GDBusNodeInfo) top = interface_parse(desk), list = interface_parse(hosts),
                                 node = interface_parse(host), below = interface_parse(role);
        assert_string_equal(top->nodes[0]->path, "host");
        assert_null(top->nodes[1]);
        assert_string_equal(list->nodes[0]->path, "good");
        assert_string_equal(list->nodes[1]->path, "other");
        assert_null(list->nodes[2]);
        assert_non_null(g_dbus_node_info_lookup_interface(node, NODE_INTERFACE));
        assert_null(g_dbus_node_info_lookup_interface(node, DESK_INTERFACE));
        assert_non_null(g_dbus_node_info_lookup_interface(below, NODE_ROLE_INTERFACE));
}

/* -- events -- */

/* Those of the host, from the first one on, and no others. */
static void assert_events(const char *host, const char *epoch, unsigned from, unsigned to) {
        unsigned next = from;

        for (guint i = 0; i < t.events->len; i++) {
                const char *event = g_ptr_array_index(t.events, i);
                g_autofree char *expected = g_strdup_printf("%s %s %u", host, epoch, next),
                                *begins = g_strdup_printf("%s %s ", host, epoch);

                if (!g_str_has_prefix(event, begins))
                        continue;
                assert_string_equal(event, expected);
                next++;
        }
        assert_int_equal(next, to + 1);
}

static uint64_t position(const char *path) {
        g_auto(Call) call = {};
        const char *host, *st, *reason, *p, *epoch;
        uint64_t seq;

        call_begin(&call, DESK_PATH, DESK_INTERFACE, "ListHosts", "");
        assert_true(sd_bus_message_enter_container(call_end(&call), 'a', "(sssost)") > 0);
        while (sd_bus_message_read(call.reply, "(sssost)", &host, &st, &reason, &p, &epoch, &seq) > 0)
                if (strcmp(p, path) == 0)
                        return seq;
        fail_msg("there is no host %s", path);
        return 0;
}

/* Whatever happens to the connection, each comes once and none is missing. */
static void test_events(void **state) {
        begin_pair(pair, LONG_USEC);
        sim_host_add_events("good", 3);
        sim_host_add_events("other", 1);
        UNTIL(t.events->len == 4);
        for (unsigned round = 0; round < 3; round++) {
                const guint n = t.events->len;

                sim_host_drop("good");
                /* More than a reply has. */
                sim_host_add_events("good", 25);
                UNTIL(is_state("good", "unreachable"));
                UNTIL(t.events->len >= n + 25);
                assert_true(is_state("good", "connected"));
                sim_host_add_events("good", 1);
                UNTIL(t.events->len >= n + 26);
        }
        sim_host_add_events("other", 1);
        UNTIL(t.events->len == 4 + 3 * 26 + 1);
        assert_events("good", "0", 1, 3 + 3 * 26);
        assert_events("other", "0", 1, 2);
        assert_int_equal(position(GOOD), 3 + 3 * 26);
        assert_int_equal(position(OTHER), 2);
        assert_int_equal(t.lost->len, 0);
}

/* Those before the first connection are not told, but those of a node that has lost its state are. */
static void test_events_begin(void **state) {
        begin(pair, 2, LONG_USEC);
        sim_host_add_events("good", 5); /* before the loop runs, so before the desk is there */
        UNTIL(is_state("good", "connected") && is_state("other", "connected"));
        sim_host_add_events("good", 1);
        UNTIL(t.events->len == 1);
        assert_events("good", "0", 6, 6);

        sim_host_forget("good");
        sim_host_add_events("good", 2);
        UNTIL(t.events->len == 3);
        assert_events("good", "1", 1, 2);
        assert_int_equal(t.lost->len, 1);
        assert_string_equal(t.lost->pdata[0], "good 0 7 18446744073709551615");
}

/* Events that the bus of the user has not read are not followed by more, but stay in the log of the node. */
static void test_events_slow_bus(void **state) {
        g_auto(Call) call = {};

        begin_pair(pair, LONG_USEC);
        t.slow = true;
        sim_host_drop("good");
        sim_host_add_events("good", 25); /* ten fit into a reply */
        UNTIL(t.held);
        const unsigned n_asked = sim_host_count("good", "EventsSince");
        sim_host_add_events("good", 1);
        call_begin(&call, GOOD, NODE_INTERFACE, "ListEnv", "");
        (void) call_end(&call);
        assert_int_equal(t.events->len, 10);
        assert_int_equal(sim_host_count("good", "EventsSince"), n_asked);

        t.slow = false;
        assert_return_code(sd_bus_reply_method_return(t.held, "s", "id"), 0);
        t.held = sd_bus_message_unref(t.held);
        UNTIL(t.events->len == 26);
        assert_events("good", "0", 1, 26);
}

/* What cannot be read is read again, and costs no event. */
static void test_events_odd(void **state) {
        begin_pair(pair, LONG_USEC);
        sim_host_set_node("good", SIM_NODE_ODD);
        sim_host_add_events("good", 1);
        UNTIL(is_state("good", "unreachable its events cannot be read: "));
        sim_host_set_node("good", SIM_NODE_RUNS);
        sim_host_add_events("good", 1);
        UNTIL(t.events->len == 2);
        assert_events("good", "0", 1, 2);
        assert_int_equal(t.lost->len, 0);
}

/* The connection is there, and the node is not. */
static void test_node_away(void **state) {
        g_auto(Call) call = {};

        begin_pair(pair, LONG_USEC);
        sim_host_set_node("good", SIM_NODE_AWAY);
        UNTIL(is_state("good", "connected architect-node does not run there"));
        call_begin(&call, GOOD, NODE_INTERFACE, "ListRoles", "");
        call_fails(&call, SD_BUS_ERROR_SERVICE_UNKNOWN, NODE_BUS_NAME);
        sim_host_add_events("good", 2);
        sim_host_set_node("good", SIM_NODE_RUNS);
        UNTIL(t.events->len == 2);
        assert_events("good", "0", 1, 2);
        assert_string_equal(g_hash_table_lookup(t.states, "good"), "connected ");
}

/* -- hosts that do not answer -- */

/* It is given up, which holds up nobody else, and taken again when it answers. */
static void test_hangs(void **state) {
        g_auto(Call) stop = {}, roles = {}, other = {}, at_once = {}, again = {}, behind = {};
        unsigned n = 0, n_asked;
        const char *host, *error;

        begin_pair(pair, SHORT_USEC);
        sim_host_set_node("good", SIM_NODE_HANGS);
        call_begin(&stop, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        call_begin(&roles, DESK_PATH, DESK_INTERFACE, "ListRoles", "");
        call_begin(&other, OTHER, NODE_INTERFACE, "ListRoles", "");
        (void) call_end(&other);
        assert_null(stop.reply);
        call_fails(&stop, DESK_ERROR_CONNECTION_LOST,
                "what the call has done is not known: no answer within 2s");
        UNTIL(is_state("good", "unreachable"));
        assert_string_equal(g_hash_table_lookup(t.states, "good"), "unreachable no answer within 2s");
        assert_true(sd_bus_message_enter_container(call_end(&roles), 'a', "(ssa(ssusiso))") > 0);
        while (sd_bus_message_enter_container(roles.reply, 'r', "ssa(ssusiso)") > 0) {
                assert_true(sd_bus_message_read(roles.reply, "ss", &host, &error) > 0);
                assert_int_equal(error[0] == '\0', strcmp(host, "other") == 0);
                assert_return_code(sd_bus_message_skip(roles.reply, "a(ssusiso)"), 0);
                assert_return_code(sd_bus_message_exit_container(roles.reply), 0);
                n++;
        }
        assert_int_equal(n, 2);
        call_begin(&at_once, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        call_fails(&at_once, DESK_ERROR_UNREACHABLE, "good is not connected: no answer within 2s");

        /* It is not connected either when there is a connection, and no node that answers. */
        n_asked = sim_host_count("good", "EventsSince");
        while (sim_host_count("good", "EventsSince") == n_asked)
                turn();
        call_begin(&behind, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        call_fails(&behind, DESK_ERROR_UNREACHABLE, "good is not connected: no answer within 2s");

        sim_host_add_events("good", 1);
        sim_host_set_node("good", SIM_NODE_RUNS);
        sim_host_drop("good"); /* what it was asked before has no reply */
        UNTIL(is_state("good", "connected"));
        call_begin(&again, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        (void) call_end(&again);
        UNTIL(t.events->len == 1);
        assert_events("good", "0", 1, 1);
}

/* Until the node was asked so often, while the call goes on. */
static void wait_pings(unsigned n, const Call *call) {
        while (sim_host_count("good", "Get") < n) {
                turn();
                assert_null(call->reply);
        }
}

/* A node that lives may take as long as it likes. If the connection ends meanwhile, the caller knows. */
static void test_busy(void **state) {
        g_auto(Call) stop = {};

        begin_pair(busy, SHORT_USEC);
        call_begin(&stop, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        wait_pings(4, &stop); /* twice as long as a dead one has */
        assert_true(is_state("good", "connected"));
        sim_host_drop("good");
        call_fails(&stop, DESK_ERROR_CONNECTION_LOST, "good has ended before the reply");
        UNTIL(is_state("good", "unreachable"));
        UNTIL(is_state("good", "connected"));
}

/* A reply that has come counts, also if the desk itself could not read it in time. */
static void test_late(void **state) {
        g_auto(Call) stop = {};

        begin_pair(busy, SHORT_USEC);
        call_begin(&stop, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        wait_pings(1, &stop);
        (void) usleep(SHORT_USEC); /* it does nothing meanwhile */
        wait_pings(2, &stop);
        assert_int_equal(t.n_changed, 2);
}

/* A call that is under way when the desk ends has a reply. */
static void test_end(void **state) {
        g_auto(Call) stop = {};

        begin_pair(busy, LONG_USEC);
        call_begin(&stop, GOOD, NODE_INTERFACE, "Stop", "s", "role-0");
        while (sim_host_count("good", "Stop") == 0)
                turn();
        t.desk = desk_free(t.desk);
        call_fails(&stop, DESK_ERROR_CONNECTION_LOST, "the desk ends");
}

/* -- many -- */

static void test_many(void **state) {
        enum { MANY = 100, ROLES = 50 };
        static SimHost hosts[MANY];
        static char names[MANY][8];
        g_auto(Call) roles = {};
        Call calls[MANY] = {};
        unsigned n_hosts = 0, n_roles = 0;
        const char *host, *error;

        for (unsigned i = 0; i < MANY; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "h%u", i);
                hosts[i] = (SimHost){ names[i], SIM_GOOD, ROLES };
        }
        begin(hosts, MANY, LONG_USEC);
        UNTIL(g_hash_table_size(t.states) == MANY);
        for (unsigned i = 0; i < MANY; i++)
                assert_string_equal(g_hash_table_lookup(t.states, names[i]), "connected ");
        assert_between(sim_host_most_connecting("h0"), 2, 16);

        call_begin(&roles, DESK_PATH, DESK_INTERFACE, "ListRoles", "");
        assert_true(sd_bus_message_enter_container(call_end(&roles), 'a', "(ssa(ssusiso))") > 0);
        while (sd_bus_message_enter_container(roles.reply, 'r', "ssa(ssusiso)") > 0) {
                assert_true(sd_bus_message_read(roles.reply, "ss", &host, &error) > 0);
                assert_string_equal(host, names[n_hosts++]);
                assert_true(sd_bus_message_enter_container(roles.reply, 'a', "(ssusiso)") > 0);
                while (sd_bus_message_skip(roles.reply, "(ssusiso)") > 0)
                        n_roles++;
                assert_return_code(sd_bus_message_exit_container(roles.reply), 0);
                assert_return_code(sd_bus_message_exit_container(roles.reply), 0);
        }
        assert_int_equal(n_hosts, MANY);
        assert_int_equal(n_roles, MANY * ROLES);

        for (unsigned i = 0; i < MANY; i++) {
                g_autofree char *path = g_strdup_printf(DESK_HOST_PATH_PREFIX "/%s", names[i]);
                call_begin(&calls[i], path, NODE_INTERFACE, "Stop", "s", "role-0");
        }
        for (unsigned i = 0; i < MANY; i++) {
                (void) call_end(&calls[i]);
                call_clear(&calls[i]);
        }
        for (unsigned i = 0; i < MANY; i++)
                sim_host_add_events(names[i], 12);
        UNTIL(t.events->len == MANY * 12);
        for (unsigned i = 0; i < MANY; i++)
                assert_events(names[i], "0", 1, 12);
}

/* -- paths -- */

static void test_paths(void **state) {
        static const struct {
                const char *path, *expected;
        } cases[] = {
                { "/org/architect/Node", "/d" },
                { "/org/architect/Node/role/a", "/d/role/a" },
                { "/org/architect/NodeX", NULL },
                { "/org/architect", NULL },
                { "/", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *mapped = desk_path_map(cases[i].path, NODE_PATH, "/d");
                assert_int_equal(g_strcmp0(mapped, cases[i].expected), 0);
        }
}

#define DESK_TEST(test) cmocka_unit_test_teardown(test, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_paths),
                DESK_TEST(test_hosts),
                DESK_TEST(test_forward),
                DESK_TEST(test_no_reply),
                DESK_TEST(test_unreachable),
                DESK_TEST(test_descriptors),
                DESK_TEST(test_introspection),
                DESK_TEST(test_events),
                DESK_TEST(test_events_begin),
                DESK_TEST(test_events_slow_bus),
                DESK_TEST(test_events_odd),
                DESK_TEST(test_node_away),
                DESK_TEST(test_hangs),
                DESK_TEST(test_busy),
                DESK_TEST(test_late),
                DESK_TEST(test_end),
                DESK_TEST(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
