/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "client/node-client.h"
#include "config.h"
#include "ctl/desk-copy.h"
#include "ctl/desk-service.h"
#include "ctl/remote.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

struct Desk {
        sd_bus *bus;
        GPtrArray *slots;    /* of sd_bus_slot, its objects */
        GPtrArray *hosts;    /* of DeskHost, in the order in which they were given */
        GHashTable *by_path; /* the same, by the path */
        HostLinks *links;
        DeskChanged changed;
        void *userdata;
};

/* -- what happens on the hosts -- */

static unsigned desk_count_connected(const Desk *desk) {
        unsigned n = 0;

        for (guint i = 0; i < desk->hosts->len; i++)
                n += ((DeskHost *) desk->hosts->pdata[i])->state == DESK_HOST_CONNECTED;
        return n;
}

static void desk_on_changed(DeskHost *host, void *userdata) {
        Desk *desk = userdata;

        (void) sd_bus_emit_signal(desk->bus, DESK_PATH, DESK_INTERFACE, "HostChanged", "sss", host->name,
                desk_host_state_to_string(host->state), host->reason);
        (void) sd_bus_emit_properties_changed(desk->bus, DESK_PATH, DESK_INTERFACE, "Hosts", NULL);
        desk->changed(host, desk_count_connected(desk), desk->hosts->len, desk->userdata);
}

static int desk_on_event(DeskHost *host, const NodeEvent *event, sd_bus_message *m, void *userdata) {
        g_autoptr(sd_bus_message) signal = NULL;
        Desk *desk = userdata;

        int r = sd_bus_message_new_signal(desk->bus, &signal, DESK_PATH, DESK_INTERFACE, "NodeEvent");
        if (r >= 0)
                r = sd_bus_message_append(signal, "ssttss", host->name, event->epoch, event->seq,
                        event->realtime_usec, event->signal, event->role);
        if (r >= 0)
                r = desk_copy_one(signal, m, NODE_PATH, host->path);
        return r < 0 ? r : sd_bus_send(desk->bus, signal, NULL);
}

static void desk_on_lost(DeskHost *host, const char *epoch, uint64_t first, uint64_t last, void *userdata) {
        Desk *desk = userdata;

        (void) sd_bus_emit_signal(
                desk->bus, DESK_PATH, DESK_INTERFACE, "EventsLost", "sstt", host->name, epoch, first, last);
}

static const DeskHostOps desk_host_ops = {
        .changed = desk_on_changed,
        .event = desk_on_event,
        .lost = desk_on_lost,
};

/* -- calls to a host -- */

static char *desk_unreachable(const DeskHost *host) {
        return host->state == DESK_HOST_CONNECTING
                       ? g_strdup_printf("%s is being connected", host->name)
                       : g_strdup_printf("%s is not connected: %s", host->name, host->reason);
}

/* A call of which the reply is that of the host. */
typedef struct Forward {
        const DeskHost *host;
        sd_bus_message *call;
} Forward;

static void forward_free(Forward *forward) {
        sd_bus_message_unref(forward->call);
        g_free(forward);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Forward, forward_free)

static int desk_refuse_fds(sd_bus_message *call, const DeskHost *host) {
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NOT_SUPPORTED,
                "%s passes a file descriptor, which a connection by ssh to %s cannot; use architectctl -H",
                sd_bus_message_get_member(call), host->name);
}

static void forward_on_reply(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autoptr(Forward) forward = userdata;
        g_autoptr(sd_bus_message) m = NULL;

        if (error) {
                (void) sd_bus_reply_method_error(forward->call, error);
                return;
        }
        int r = sd_bus_message_new_method_return(forward->call, &m);
        if (r >= 0)
                r = desk_copy(m, reply, NODE_PATH, forward->host->path);
        if (r >= 0)
                r = sd_bus_send(NULL, m, NULL);
        if (r == -EOPNOTSUPP)
                (void) desk_refuse_fds(forward->call, forward->host);
        else if (r < 0)
                (void) sd_bus_reply_method_errnof(forward->call, -r,
                        "The reply of %s cannot be passed on: %s", forward->host->name, g_strerror(-r));
}

/* The flags are a part of what the caller asks for. */
static int forward_make(DeskHost *host, sd_bus_message *m, const char *path, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;

        int r = desk_host_new_call(
                host, &call, path, sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
        if (r >= 0)
                r = desk_copy(call, m, host->path, NODE_PATH);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(call, sd_bus_message_get_expect_reply(m) > 0);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, sd_bus_message_get_auto_start(m) > 0);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(
                        call, sd_bus_message_get_allow_interactive_authorization(m) > 0);
        if (r >= 0)
                *ret = g_steal_pointer(&call);
        return r;
}

/* These return a descriptor. One that a later node has does not get through its bus. */
static bool member_returns_fd(const char *member) {
        return strcmp(member, "OpenTerminal") == 0;
}

static int desk_forward(DeskHost *host, sd_bus_message *m, const char *path) {
        g_autoptr(sd_bus_message) call = NULL;

        if (host->state != DESK_HOST_CONNECTED) {
                g_autofree char *reason = desk_unreachable(host);
                return sd_bus_reply_method_errorf(m, DESK_ERROR_UNREACHABLE, "%s", reason);
        }
        if (member_returns_fd(sd_bus_message_get_member(m)))
                return desk_refuse_fds(m, host);
        int r = forward_make(host, m, path, &call);
        if (r == -EOPNOTSUPP)
                return desk_refuse_fds(m, host);
        if (r < 0)
                return r;
        if (sd_bus_message_get_expect_reply(m) <= 0) {
                r = sd_bus_send(host->link->bus, call, NULL);
                return r < 0 ? r : 1;
        }
        g_autoptr(Forward) forward = g_new(Forward, 1);
        *forward = (Forward){ .host = host, .call = sd_bus_message_ref(m) };
        r = desk_host_send(host, call, forward_on_reply, forward);
        if (r < 0)
                return r;
        forward = NULL; /* it is the reply's */
        return 1;
}

/* Any call of an object of a host, or of one below it, also of the standard interfaces. */
static int desk_on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Desk *desk = userdata;
        const char *path = sd_bus_message_get_path(m), *name = path + strlen(DESK_HOST_PATH_PREFIX);

        if (name[0] == '\0')
                return 0; /* that of all hosts is ours */
        const size_t size = strlen(DESK_HOST_PATH_PREFIX) + 1 + strcspn(name + 1, "/");
        g_autofree char *key = g_strndup(path, size);
        DeskHost *host = g_hash_table_lookup(desk->by_path, key);
        if (!host)
                return sd_bus_reply_method_errorf(
                        m, SD_BUS_ERROR_UNKNOWN_OBJECT, "The desk has no host with the path %s", key);
        g_autofree char *there = desk_path_map(path, host->path, NODE_PATH);
        return desk_forward(host, m, there);
}

static int desk_enumerate(
        sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        const Desk *desk = userdata;
        g_autoptr(GStrvBuilder) nodes = g_strv_builder_new();

        for (guint i = 0; i < desk->hosts->len; i++)
                g_strv_builder_add(nodes, ((DeskHost *) desk->hosts->pdata[i])->path);
        *ret_nodes = g_strv_builder_end(nodes); /* free() frees what GLib allocates */
        return 1;
}

/* -- the roles of all hosts -- */

typedef struct RosterRow {
        struct Roster *roster;
        const DeskHost *host;
        sd_bus_message *reply;
        char *error; /* with no reply */
} RosterRow;

typedef struct Roster {
        sd_bus_message *call;
        unsigned n_rows, n_left;
        RosterRow rows[];
} Roster;

static void roster_free(Roster *roster) {
        for (unsigned i = 0; i < roster->n_rows; i++) {
                sd_bus_message_unref(roster->rows[i].reply);
                g_free(roster->rows[i].error);
        }
        sd_bus_message_unref(roster->call);
        g_free(roster);
}

static int roster_append(const Roster *roster, sd_bus_message *m) {
        int r = sd_bus_message_open_container(m, 'a', "(ssa(ssusiso))");

        for (unsigned i = 0; r >= 0 && i < roster->n_rows; i++) {
                const RosterRow *row = &roster->rows[i];

                r = sd_bus_message_open_container(m, 'r', "ssa(ssusiso)");
                if (r >= 0)
                        r = sd_bus_message_append(m, "ss", row->host->name, row->error ?: "");
                if (r >= 0)
                        r = row->reply ? desk_copy_one(m, row->reply, NODE_PATH, row->host->path)
                                       : sd_bus_message_append(m, "a(ssusiso)", 0);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void roster_finish(Roster *roster) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_return(roster->call, &m);
        if (r >= 0)
                r = roster_append(roster, m);
        if (r >= 0)
                r = sd_bus_send(NULL, m, NULL);
        if (r < 0)
                (void) sd_bus_reply_method_errnof(
                        roster->call, -r, "The list of roles cannot be sent: %s", g_strerror(-r));
        roster_free(roster);
}

static void roster_on_reply(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        RosterRow *row = userdata;

        if (error)
                row->error = g_strdup(error->message ?: error->name);
        else if (sd_bus_message_has_signature(reply, "a(ssusiso)") > 0)
                row->reply = sd_bus_message_ref(reply);
        else
                row->error = g_strdup("its reply has other types");
        if (--row->roster->n_left == 0)
                roster_finish(row->roster);
}

/* A list does not start a node that was stopped. */
static int roster_ask(RosterRow *row, DeskHost *host) {
        g_autoptr(sd_bus_message) call = NULL;

        int r = desk_host_new_call(host, &call, NODE_PATH, NODE_INTERFACE, "ListRoles");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        return r < 0 ? r : desk_host_send(host, call, roster_on_reply, row);
}

static int desk_method_list_roles(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Desk *desk = userdata;
        Roster *roster = g_malloc0(sizeof(Roster) + desk->hosts->len * sizeof(RosterRow));

        roster->call = sd_bus_message_ref(m);
        roster->n_rows = desk->hosts->len;
        roster->n_left = 1; /* for this function */
        for (guint i = 0; i < desk->hosts->len; i++) {
                DeskHost *host = g_ptr_array_index(desk->hosts, i);
                RosterRow *row = &roster->rows[i];

                *row = (RosterRow){ .roster = roster, .host = host };
                if (host->state != DESK_HOST_CONNECTED) {
                        row->error = g_strdup(host->reason[0] ? host->reason : "it is being connected");
                        continue;
                }
                int r = roster_ask(row, host);
                if (r < 0)
                        row->error = g_strdup(g_strerror(-r));
                else
                        roster->n_left++;
        }
        if (--roster->n_left == 0)
                roster_finish(roster);
        return 1;
}

/* -- the object of the desk -- */

static int desk_method_list_hosts(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(sd_bus_message) reply = NULL;
        const Desk *desk = userdata;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssost)");
        for (guint i = 0; r >= 0 && i < desk->hosts->len; i++) {
                const DeskHost *host = g_ptr_array_index(desk->hosts, i);

                r = sd_bus_message_append(reply, "(sssost)", host->name,
                        desk_host_state_to_string(host->state), host->reason, host->path, host->reader.epoch,
                        host->reader.seq);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int desk_property_hosts(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Desk *desk = userdata;

        int r = sd_bus_message_open_container(reply, 'a', "(ssso)");
        for (guint i = 0; r >= 0 && i < desk->hosts->len; i++) {
                const DeskHost *host = g_ptr_array_index(desk->hosts, i);

                r = sd_bus_message_append(reply, "(ssso)", host->name, desk_host_state_to_string(host->state),
                        host->reason, host->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int desk_property_version(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", PROJECT_VERSION);
}

static const sd_bus_vtable desk_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ListHosts", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssost)", hosts),
                desk_method_list_hosts, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListRoles", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssa(ssusiso))", hosts),
                desk_method_list_roles, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("HostChanged", SD_BUS_ARGS("s", host, "s", state, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("NodeEvent",
                SD_BUS_ARGS("s", host, "s", epoch, "t", seq, "t", realtime_usec, "s", event, "s", role,
                        "a{sv}", details),
                0),
        SD_BUS_SIGNAL_WITH_ARGS("EventsLost", SD_BUS_ARGS("s", host, "s", epoch, "t", first, "t", last), 0),
        SD_BUS_PROPERTY("Version", "s", desk_property_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY(
                "Hosts", "a(ssso)", desk_property_hosts, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
        SD_BUS_VTABLE_END,
};

static int desk_take_slot(Desk *desk, sd_bus_slot *slot, int r) {
        if (r >= 0)
                g_ptr_array_add(desk->slots, slot);
        return r;
}

static int desk_add_objects(Desk *desk) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_object_vtable(desk->bus, &slot, DESK_PATH, DESK_INTERFACE, desk_vtable, desk);
        r = desk_take_slot(desk, slot, r);
        if (r < 0)
                return r;
        r = sd_bus_add_fallback(desk->bus, &slot, DESK_HOST_PATH_PREFIX, desk_on_call, desk);
        r = desk_take_slot(desk, slot, r);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(desk->bus, &slot, DESK_HOST_PATH_PREFIX, desk_enumerate, desk);
        return desk_take_slot(desk, slot, r);
}

/* -- */

static void desk_on_link(HostLink *link) {
        desk_host_on_link(link->owner);
}

static char *desk_address(const char *host) {
        return remote_address(host, true);
}

static int desk_add_host(Desk *desk, sd_event *event, const char *name, const char *bus_name,
        char *(*address)(const char *host), uint64_t patience_usec) {
        g_autofree char *where = (address ?: desk_address)(name);
        char *path = NULL;

        int r = sd_bus_path_encode(DESK_HOST_PATH_PREFIX, name, &path);
        if (r < 0)
                return r;
        DeskHost *host = desk_host_new(desk->links, name, where, path, bus_name, desk->bus, event,
                patience_usec, &desk_host_ops, desk);
        free(path);
        if (!host)
                return -ENOMEM;
        g_ptr_array_add(desk->hosts, host);
        g_hash_table_insert(desk->by_path, host->path, host);
        return 0;
}

static void host_free(void *p) {
        (void) desk_host_free(p);
}

int desk_new(sd_event *event, sd_bus *bus, const char *instance, const GPtrArray *hosts,
        char *(*address)(const char *host), uint64_t patience_usec, DeskChanged changed, void *userdata,
        Desk **ret) {
        g_autofree char *bus_name = node_bus_name(instance);
        g_autoptr(Desk) desk = g_new(Desk, 1);

        *desk = (Desk){
                .bus = sd_bus_ref(bus),
                .slots = g_ptr_array_new_with_free_func(bus_slot_free),
                .hosts = g_ptr_array_new_with_free_func(host_free),
                .by_path = g_hash_table_new(g_str_hash, g_str_equal),
                .links = host_links_new(event, patience_usec, true, desk_on_link),
                .changed = changed,
                .userdata = userdata,
        };
        int r = desk_add_objects(desk);
        for (guint i = 0; r >= 0 && i < hosts->len; i++)
                r = desk_add_host(desk, event, hosts->pdata[i], bus_name, address, patience_usec);
        if (r < 0)
                return r;
        /* One that fails at once is reported at once. */
        for (guint i = 0; i < desk->hosts->len; i++)
                host_link_connect(((DeskHost *) desk->hosts->pdata[i])->link);
        *ret = g_steal_pointer(&desk);
        return 0;
}

Desk *desk_free(Desk *desk) {
        if (!desk)
                return NULL;
        /* Nobody is told of a host any more, and nothing comes from one. */
        g_ptr_array_unref(desk->slots);
        for (guint i = 0; i < desk->hosts->len; i++)
                desk_host_end(desk->hosts->pdata[i]);
        host_links_free(desk->links);
        g_hash_table_unref(desk->by_path);
        g_ptr_array_unref(desk->hosts);
        sd_bus_unref(desk->bus);
        g_free(desk);
        return NULL;
}
