/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sim-nodes.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/macro.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

#define TEST_INTERFACE "org.architect.Test"
#define BACKLOG 64

typedef struct Host {
        const SimHost *sim;
        int fd;
        GPtrArray *buses;   /* its connections */
        GPtrArray *greeted; /* those that have said hello: a bus sends nothing to others */
        GHashTable *counts; /* calls by member */
        GString *stopped;   /* names of roles */
        GPtrArray *held;    /* calls that are never replied to */
        uint64_t n_events;
        unsigned epoch;
        SimNode node;
} Host;

static SimNodes *started; /* for the address */
static unsigned n_connecting, most_connecting;

#define CHECK(expression) check(expression, #expression)
static void check(int r, const char *what) {
        if (r >= 0)
                return;
        (void) fprintf(stderr, "sim-nodes: %s: %s\n", what, strerror(-r));
        abort();
}

static void host_count(Host *host, sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m);
        const guint n = GPOINTER_TO_UINT(g_hash_table_lookup(host->counts, member));

        g_hash_table_insert(host->counts, g_strdup(member), GUINT_TO_POINTER(n + 1));
}

static void host_send(Host *host, const char *member, const char *role, uint64_t seq) {
        for (guint i = 0; i < host->greeted->len; i++) {
                g_autoptr(sd_bus_message) signal = NULL;
                sd_bus *bus = g_ptr_array_index(host->greeted, i);

                CHECK(sd_bus_message_new_signal(bus, &signal, NODE_PATH, NODE_INTERFACE, member));
                CHECK(sd_bus_message_append(signal, "sot", role, "/", seq));
                CHECK(sd_bus_message_set_sender(signal, NODE_BUS_NAME));
                (void) sd_bus_send(bus, signal, NULL); /* who has left does not get it */
        }
}

/* -- the bus -- */

static int method_hello(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_ptr_array_add(((Host *) userdata)->greeted, sd_bus_message_get_bus(m));
        n_connecting--;
        return sd_bus_reply_method_return(m, "s", ":1.7");
}

static int method_get_id(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", "00000000000000000000000000000001");
}

static int method_match(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        host_count(userdata, m);
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable bus_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Hello", "", "s", method_hello, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetId", "", "s", method_get_id, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("AddMatch", "s", "", method_match, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RemoveMatch", "s", "", method_match, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* -- the node -- */

static void host_drop(Host *host) {
        for (guint i = 0; i < host->buses->len; i++)
                sd_bus_close(g_ptr_array_index(host->buses, i));
        g_ptr_array_set_size(host->greeted, 0);
        g_ptr_array_set_size(host->buses, 0);
}

static int method_list_roles(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(sd_bus_message) reply = NULL;
        Host *host = userdata;

        host_count(host, m);
        if (host->sim->kind == SIM_DIES) {
                host_drop(host);
                return 1;
        }
        CHECK(sd_bus_message_new_method_return(m, &reply));
        CHECK(sd_bus_message_open_container(reply, 'a', "(ssusiso)"));
        for (unsigned i = 0; i < host->sim->n_roles; i++) {
                g_autofree char *name = g_strdup_printf("role-%u", i),
                                *scope = g_strdup_printf("architect-main-%s.scope", name),
                                *path = g_strdup_printf(NODE_ROLE_PATH_PREFIX "/role_2d%u", i);

                CHECK(sd_bus_message_append(
                        reply, "(ssusiso)", name, "running", 1000 + i, "", 0, scope, path));
        }
        CHECK(sd_bus_message_close_container(reply));
        return sd_bus_send(NULL, reply, NULL);
}

static int method_poll(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        host_count(userdata, m);
        return sd_bus_reply_method_return(m, "a{ss}", 1, "role-0", "running");
}

static int method_list_env(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        host_count(userdata, m);
        return sd_bus_reply_method_return(m, "as", 1, "SITE=south");
}

static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Host *host = userdata;
        const char *role;

        host_count(host, m);
        CHECK(sd_bus_message_read(m, "s", &role));
        if (host->sim->kind == SIM_BUSY) {
                g_ptr_array_add(host->held, sd_bus_message_ref(m));
                return 1;
        }
        if (!g_str_has_prefix(role, "role-"))
                return sd_bus_reply_method_errorf(
                        m, NODE_INTERFACE ".NoSuchRole", "There is no role \"%s\"", role);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_stop_many(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        host_count(userdata, m);
        return sd_bus_reply_method_return(m, "a(sss)", 1, "role-0", "", "");
}

static char *host_epoch(const Host *host) {
        return g_strdup_printf("%032x", host->epoch);
}

/* At most ten in a reply, so that clients have to ask again. */
static int method_events_since(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(sd_bus_message) reply = NULL;
        Host *host = userdata;
        g_autofree char *epoch = host_epoch(host);
        const char *of;
        uint64_t seq;

        host_count(host, m);
        CHECK(sd_bus_message_read(m, "stu", &of, &seq, NULL));
        if (of[0] && strcmp(of, epoch) != 0)
                seq = 0;
        CHECK(sd_bus_message_new_method_return(m, &reply));
        CHECK(sd_bus_message_append(reply, "sb", epoch, 1));
        CHECK(sd_bus_message_open_container(reply, 'a', "(ttssa{sv})"));
        for (uint64_t i = seq + 1; i <= host->n_events && i <= seq + 10; i++)
                CHECK(sd_bus_message_append(reply, "(ttssa{sv})", i, UINT64_C(1), "RolePurged", "role-0", 0));
        CHECK(sd_bus_message_close_container(reply));
        return sd_bus_send(NULL, reply, NULL);
}

static int property_get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", ((Host *) userdata)->sim->kind == SIM_OLD ? "0.0.9" : "9.9");
}

static int property_get_epoch(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autofree char *epoch = host_epoch(userdata);

        return sd_bus_message_append(reply, "s", epoch);
}

static int property_get_sequence(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", ((Host *) userdata)->n_events);
}

static const sd_bus_vtable old_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListRoles", "", "a(ssusiso)", method_list_roles, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Poll", "as", "a{ss}", method_poll, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Stop", "s", "", method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", property_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable node_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListRoles", "", "a(ssusiso)", method_list_roles, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Poll", "as", "a{ss}", method_poll, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListEnv", "", "as", method_list_env, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Stop", "s", "", method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopMany", "asa{sv}", "a(sss)", method_stop_many, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD(
                "EventsSince", "stu", "sba(ttssa{sv})", method_events_since, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", property_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("EventEpoch", "s", property_get_epoch, 0, 0),
        SD_BUS_PROPERTY("EventSequence", "t", property_get_sequence, 0, 0),
        SD_BUS_VTABLE_END,
};

/* -- a role -- */

static int property_get_name(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autofree char *name = NULL;
        char *decoded;

        CHECK(sd_bus_path_decode(path, NODE_ROLE_PATH_PREFIX, &decoded));
        name = g_strdup(decoded);
        free(decoded);
        return sd_bus_message_append(reply, "s", name);
}

/* Returns the path that it has got, as it is and as a string. */
static int method_path(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *path;

        CHECK(sd_bus_message_read(m, "o", &path));
        return sd_bus_reply_method_return(m, "sv", path, "o", path);
}

static const sd_bus_vtable role_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Path", "o", "sv", method_path, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", property_get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

/* -- control -- */

static int method_add_events(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Host *host = userdata;
        uint32_t n;

        CHECK(sd_bus_message_read(m, "u", &n));
        for (; n > 0; n--)
                host_send(host, "RolePurged", "role-0", ++host->n_events);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_drop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        CHECK(sd_bus_reply_method_return(m, NULL));
        CHECK(sd_bus_flush(sd_bus_message_get_bus(m)));
        host_drop(userdata);
        return 1;
}

static int method_forget(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Host *host = userdata;

        host->epoch++;
        host->n_events = 0;
        return sd_bus_reply_method_return(m, NULL);
}

/* The bus announces its name again. */
static void host_announce_node(Host *host) {
        for (guint i = 0; i < host->greeted->len; i++) {
                g_autoptr(sd_bus_message) signal = NULL;
                sd_bus *bus = g_ptr_array_index(host->greeted, i);

                CHECK(sd_bus_message_new_signal(
                        bus, &signal, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged"));
                CHECK(sd_bus_message_append(signal, "sss", NODE_BUS_NAME,
                        host->node == SIM_NODE_AWAY ? ":1.1" : "",
                        host->node == SIM_NODE_AWAY ? "" : ":1.1"));
                CHECK(sd_bus_message_set_sender(signal, "org.freedesktop.DBus"));
                (void) sd_bus_send(bus, signal, NULL);
        }
}

static int method_set_node(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Host *host = userdata;
        const SimNode old = host->node;
        uint32_t node;

        CHECK(sd_bus_message_read(m, "u", &node));
        host->node = (SimNode) node;
        if ((old == SIM_NODE_AWAY) != (host->node == SIM_NODE_AWAY))
                host_announce_node(host);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_count(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *member;
        Host *host = userdata;

        CHECK(sd_bus_message_read(m, "s", &member));
        return sd_bus_reply_method_return(m, "u",
                strcmp(member, "connecting") == 0
                        ? most_connecting
                        : GPOINTER_TO_UINT(g_hash_table_lookup(host->counts, member)));
}

static const sd_bus_vtable test_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("AddEvents", "u", "", method_add_events, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Drop", "", "", method_drop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Forget", "", "", method_forget, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetNode", "u", "", method_set_node, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Count", "s", "u", method_count, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* -- connections -- */

static bool is_for_node(sd_bus_message *m) {
        const char *path = sd_bus_message_get_path(m);

        return sd_bus_message_is_method_call(m, NULL, NULL) && path && g_str_has_prefix(path, NODE_PATH) &&
               !sd_bus_message_is_method_call(m, TEST_INTERFACE, NULL);
}

static int on_any(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Host *host = userdata;

        /* systemd-stdio-bridge replies to it, whatever is behind that; here sd-bus does. */
        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Peer", NULL))
                return 0;
        if (host->sim->kind == SIM_STUCK && !sd_bus_message_is_method_call(m, NULL, "Hello")) {
                host_count(host, m);
                return 1;
        }
        if (!is_for_node(m))
                return 0;
        if (host->node == SIM_NODE_AWAY)
                return sd_bus_reply_method_errorf(
                        m, SD_BUS_ERROR_SERVICE_UNKNOWN, "The name %s has no owner", NODE_BUS_NAME);
        if (host->node == SIM_NODE_ODD && sd_bus_message_is_method_call(m, NODE_INTERFACE, "EventsSince"))
                return sd_bus_reply_method_return(m, "sba{sv}", "", true, 0);
        /* The one to which the handler of a property replies. */
        if (host->node == SIM_NODE_HANGS || sd_bus_message_is_method_call(m, NULL, "Get"))
                host_count(host, m);
        return host->node == SIM_NODE_HANGS;
}

/* Its peer has gone: nothing holds it any longer. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Host *host = userdata;

        (void) g_ptr_array_remove(host->greeted, sd_bus_message_get_bus(m));
        (void) g_ptr_array_remove(host->buses, sd_bus_message_get_bus(m));
        return 0;
}

static void bus_free(void *p) {
        sd_bus_close_unref(p);
}

static int on_connection(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        g_autoptr(sd_bus) bus = NULL;
        Host *host = userdata;
        sd_id128_t id;

        const int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0)
                return 0;
        if (host->sim->kind == SIM_MUTE)
                return 0; /* the connection stays open, without an owner, until the process ends */
        n_connecting++;
        most_connecting = MAX(most_connecting, n_connecting);
        CHECK(sd_id128_randomize(&id));
        CHECK(sd_bus_new(&bus));
        CHECK(sd_bus_set_fd(bus, connection, connection));
        CHECK(sd_bus_set_server(bus, true, id));
        CHECK(sd_bus_start(bus));
        CHECK(sd_bus_attach_event(bus, sd_event_source_get_event(s), SD_EVENT_PRIORITY_NORMAL));
        CHECK(sd_bus_add_filter(bus, NULL, on_any, host));
        CHECK(sd_bus_add_object_vtable(
                bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", bus_vtable, host));
        CHECK(sd_bus_add_object_vtable(bus, NULL, NODE_PATH, NODE_INTERFACE,
                host->sim->kind == SIM_OLD ? old_vtable : node_vtable, host));
        CHECK(sd_bus_add_object_vtable(bus, NULL, NODE_PATH, TEST_INTERFACE, test_vtable, host));
        CHECK(sd_bus_add_fallback_vtable(
                bus, NULL, NODE_ROLE_PATH_PREFIX, NODE_ROLE_INTERFACE, role_vtable, NULL, host));
        CHECK(sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, host));
        g_ptr_array_add(host->buses, g_steal_pointer(&bus));
        return 0;
}

_Noreturn static void sim_run(Host *hosts, unsigned n_hosts) {
        sd_event *event;

        CHECK(sd_event_new(&event));
        for (unsigned i = 0; i < n_hosts; i++)
                if (hosts[i].fd >= 0)
                        CHECK(sd_event_add_io(event, NULL, hosts[i].fd, 1, on_connection, &hosts[i]));
        CHECK(sd_event_loop(event));
        _exit(EXIT_SUCCESS);
}

static int sim_listen(const char *directory, const char *name) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
                check(-ENAMETOOLONG, path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
                listen(fd, BACKLOG) < 0)
                check(-errno, path);
        return fd;
}

void sim_nodes_start(SimNodes *sim, const SimHost *hosts, unsigned n_hosts) {
        g_autofree Host *list = g_new0(Host, n_hosts);
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) >= 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
        *sim = (SimNodes){
                .directory = g_dir_make_tmp("sim-nodes-XXXXXX", NULL), .hosts = hosts, .n_hosts = n_hosts
        };
        for (unsigned i = 0; i < n_hosts; i++)
                list[i] = (Host){ .sim = &hosts[i],
                        .fd = hosts[i].kind == SIM_NOBODY ? -EBADF
                                                          : sim_listen(sim->directory, hosts[i].name),
                        .buses = g_ptr_array_new_with_free_func(bus_free),
                        .greeted = g_ptr_array_new(),
                        .held = g_ptr_array_new_with_free_func(bus_message_free),
                        .counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };
        (void) fflush(NULL);
        sim->pid = fork();
        if (sim->pid < 0)
                check(-errno, "fork");
        if (sim->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                sim_run(list, n_hosts);
        }
        for (unsigned i = 0; i < n_hosts; i++) {
                if (list[i].fd >= 0)
                        (void) close(list[i].fd);
                g_ptr_array_unref(list[i].buses);
                g_ptr_array_unref(list[i].greeted);
                g_ptr_array_unref(list[i].held);
                g_hash_table_unref(list[i].counts);
        }
        started = sim;
}

void sim_nodes_stop(SimNodes *sim) {
        (void) kill(sim->pid, SIGKILL);
        (void) waitpid(sim->pid, NULL, 0);
        for (unsigned i = 0; i < sim->n_hosts; i++) {
                g_autofree char *path = g_build_filename(sim->directory, sim->hosts[i].name, NULL);
                (void) unlink(path);
        }
        (void) rmdir(sim->directory);
        g_clear_pointer(&sim->directory, g_free);
        started = NULL;
}

char *sim_nodes_address(const char *host) {
        return g_strdup_printf("unix:path=%s/%s", started->directory, host);
}

static void sim_control(
        const char *host, const char *member, sd_bus_message **ret_reply, const char *types, ...) {
        g_autofree char *address = sim_nodes_address(host);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        sd_bus *bus;
        va_list ap;

        CHECK(sd_bus_new(&bus));
        CHECK(sd_bus_set_address(bus, address));
        CHECK(sd_bus_set_bus_client(bus, true));
        CHECK(sd_bus_start(bus));
        CHECK(sd_bus_message_new_method_call(bus, &call, NODE_BUS_NAME, NODE_PATH, TEST_INTERFACE, member));
        va_start(ap, types);
        CHECK(sd_bus_message_appendv(call, types, ap));
        va_end(ap);
        CHECK(sd_bus_call(bus, call, 0, &error, &reply));
        if (ret_reply)
                *ret_reply = g_steal_pointer(&reply);
        sd_bus_flush_close_unref(bus);
}

void sim_host_add_events(const char *host, unsigned n) {
        sim_control(host, "AddEvents", NULL, "u", n);
}

void sim_host_drop(const char *host) {
        sim_control(host, "Drop", NULL, "");
}

void sim_host_forget(const char *host) {
        sim_control(host, "Forget", NULL, "");
}

void sim_host_set_node(const char *host, SimNode node) {
        sim_control(host, "SetNode", NULL, "u", (uint32_t) node);
}

unsigned sim_host_count(const char *host, const char *method) {
        g_autoptr(sd_bus_message) reply = NULL;
        uint32_t n;

        sim_control(host, "Count", &reply, "s", method);
        CHECK(sd_bus_message_read(reply, "u", &n));
        return n;
}

unsigned sim_host_most_connecting(const char *host) {
        return sim_host_count(host, "connecting");
}
