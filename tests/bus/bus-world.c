/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus-world.h"

#include "util/log.h"

#include <sys/socket.h>
#include <unistd.h>

#include "util/autoptr.h"
#include "bus/bus-errors.h"

static int answer(BusWorld *b, sd_bus_message *m) {
        if (b->nobody)
                return sd_bus_reply_method_errorf(
                        m, "org.freedesktop.DBus.Error.NameHasNoOwner", "There is nobody of that name");
        if (b->error)
                return sd_bus_reply_method_errorf(m, b->error, "The bus is busy");
        if (b->no_uid)
                return sd_bus_reply_method_return(m, "a{sv}", 1, "ProcessID", "u", (uint32_t) getpid());
        return sd_bus_reply_method_return(m, "a{sv}", 3, "UnixUserID", "u", (uint32_t) b->uid, "ProcessID",
                "u", (uint32_t) getpid(), "LinuxSecurityLabel", "ay", 1, 'x');
}

static int method_get_credentials(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusWorld *b = userdata;

        b->n_asked++;
        if (!b->hold)
                return answer(b, m);
        g_ptr_array_add(b->asked, sd_bus_message_ref(m));
        return 1;
}

void bus_world_answer(BusWorld *b) {
        b->hold = false;
        for (unsigned i = 0; i < b->asked->len; i++)
                assert_return_code(answer(b, g_ptr_array_index(b->asked, i)), 0);
        g_ptr_array_set_size(b->asked, 0);
}

static int method_get_id(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusWorld *b = userdata;

        b->n_ids++;
        return sd_bus_reply_method_return(m, "s", "0123456789abcdef0123456789abcdef");
}

static int method_get_name_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusWorld *b = userdata;
        const char *name;

        assert_return_code(sd_bus_message_read(m, "s", &name), 0);
        if (b->owner_error) {
                const char *e = b->owner_error;

                b->owner_error = NULL;
                return sd_bus_reply_method_errorf(m, e, "The bus is busy");
        }
        if (!b->owner)
                return sd_bus_reply_method_errorf(
                        m, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "Name \"%s\" does not exist", name);
        return sd_bus_reply_method_return(m, "s", b->owner);
}

static const sd_bus_vtable daemon_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetNameOwner", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", owner),
                method_get_name_owner, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "GetId", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", id), method_get_id, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetConnectionCredentials", SD_BUS_ARGS("s", name),
                SD_BUS_RESULT("a{sv}", credentials), method_get_credentials, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusWorld *b = userdata;

        if (sd_bus_message_is_signal(m, NULL, NULL))
                g_ptr_array_add(b->signals, g_strdup(sd_bus_message_get_member(m)));
        return 0;
}

static void connect_both(BusWorld *b) {
        int fds[2];
        sd_id128_t id;

        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), errno);
        assert_return_code(sd_id128_randomize(&id), 0);
        assert_return_code(sd_bus_new(&b->clients->bus), 0);
        assert_return_code(sd_bus_set_fd(b->clients->bus, fds[0], fds[0]), 0);
        assert_return_code(sd_bus_set_server(b->clients->bus, true, id), 0);
        assert_return_code(sd_bus_start(b->clients->bus), 0);
        assert_return_code(
                sd_bus_attach_event(b->clients->bus, b->world->event, SD_EVENT_PRIORITY_NORMAL), 0);
        assert_return_code(sd_bus_new(&b->client), 0);
        assert_return_code(sd_bus_set_fd(b->client, fds[1], fds[1]), 0);
        assert_return_code(sd_bus_start(b->client), 0);
        assert_return_code(sd_bus_attach_event(b->client, b->world->event, SD_EVENT_PRIORITY_NORMAL), 0);
        assert_return_code(sd_bus_add_filter(b->client, NULL, on_message, b), 0);
        assert_return_code(sd_bus_add_object_vtable(b->client, NULL, "/org/freedesktop/DBus",
                                   "org.freedesktop.DBus", daemon_vtable, b),
                0);
}

static void on_manager_ready(void *userdata) {
}

int bus_world_setup(void **state) {
        BusWorld *b = g_new0(BusWorld, 1);
        TestWorld *w = b->world = test_world_new();
        Events *events;

        b->asked = g_ptr_array_new_with_free_func(bus_message_free);
        b->signals = g_ptr_array_new_with_free_func(g_free);
        assert_return_code(bus_errors_register(), 0);

        /* This is the order of agent_new(), without a disk, a keeper and a connection of their own. */
        assert_return_code(events_open(-1, &events), 0);
        w->node = node_new("main", w->event, events);
        w->node->world = test_world;
        w->node->recovered = true;
        assert_return_code(clients_new(w->event, w->node, &b->clients), 0);
        assert_return_code(node_open_state(w->node, -1, -1), 0);
        connect_both(b);
        assert_return_code(clients_register(b->clients), 0);
        assert_return_code(manager_new(b->clients->bus, on_manager_ready, NULL, &b->manager), 0);
        assert_return_code(scopes_new(b->manager, w->node, NULL, NULL, &b->scopes), 0);
        b->scope_ops = w->node->world.scope.ops;
        w->node->world.scope = test_world.scope;
        bus_world_settle(b);
        *state = b;
        return 0;
}

void bus_world_disconnect_client(BusWorld *b) {
        g_ptr_array_set_size(b->asked, 0);
        sd_bus_close_unref(b->client);
        b->client = NULL;
}

int bus_world_teardown(void **state) {
        BusWorld *b = *state;
        unsigned n_fds = b->world->n_fds;

        /* This is the order of agent_free(). */
        log_set_sink(NULL, NULL);
        scopes_free(b->scopes);
        b->world->node = node_free(b->world->node);
        manager_free(b->manager);
        /* The other end is in this thread, so a flush at the close would wait for ever. */
        if (b->client)
                bus_world_disconnect_client(b);
        clients_free(b->clients);
        g_ptr_array_unref(b->asked);
        g_ptr_array_unref(b->signals);
        test_world_free(b->world);
        g_free(b);
        assert_int_equal(count_fds(), n_fds);
        return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Call *call = userdata;

        call->n++;
        sd_bus_message_unref(call->reply);
        call->reply = sd_bus_message_ref(m);
        return 0;
}

void call_clear(Call *call) {
        sd_bus_message_unref(call->reply);
        *call = (Call){};
}

sd_bus_message *call_new(
        BusWorld *b, const char *sender, const char *path, const char *interface, const char *member) {
        sd_bus_message *m;

        assert_return_code(
                sd_bus_message_new_method_call(b->client, &m, NODE_BUS_NAME, path, interface, member), 0);
        if (sender)
                assert_return_code(sd_bus_message_set_sender(m, sender), 0);
        return m;
}

void call_send_on(sd_bus *bus, Call *call, sd_bus_message *m) {
        assert_return_code(sd_bus_call_async(bus, NULL, m, on_reply, call, UINT64_MAX), 0);
}

void call_send(BusWorld *b, Call *call, sd_bus_message *m) {
        call_send_on(b->client, call, m);
}

static void call_node_v(
        BusWorld *b, Call *call, const char *sender, const char *member, const char *types, va_list ap) {
        g_autoptr(sd_bus_message) m = call_new(b, sender, NODE_PATH, NODE_INTERFACE, member);

        assert_return_code(sd_bus_message_appendv(m, types, ap), 0);
        call_send(b, call, m);
}

void call_node(BusWorld *b, Call *call, const char *member, const char *types, ...) {
        va_list ap;

        va_start(ap, types);
        call_node_v(b, call, CLIENT, member, types, ap);
        va_end(ap);
}

void call_node_from(BusWorld *b, Call *call, const char *sender, const char *member, const char *types, ...) {
        va_list ap;

        va_start(ap, types);
        call_node_v(b, call, sender, member, types, ap);
        va_end(ap);
}

char *call_introspect(BusWorld *b, const char *path) {
        g_auto(Call) call = {};
        g_autoptr(sd_bus_message) m =
                call_new(b, NULL, path, "org.freedesktop.DBus.Introspectable", "Introspect");
        const char *xml;

        call_send(b, &call, m);
        world_wait(b->world, call.n > 0);
        assert_replied(&call);
        assert_return_code(sd_bus_message_read(call.reply, "s", &xml), 0);
        return g_strdup(xml);
}

static bool announces(BusWorld *b) {
        int enabled;

        assert_return_code(sd_event_source_get_enabled(b->clients->announce, &enabled), 0);
        return enabled != SD_EVENT_OFF;
}

void bus_world_settle(BusWorld *b) {
        /* Two rounds, because a reply to the service may make it send more. Announcements wait for each other
         * and for an idle loop, so the loop runs until it has none and is idle. */
        for (unsigned i = 0; i < 2; i++) {
                g_auto(Call) ping = {};
                g_autoptr(sd_bus_message) m =
                        call_new(b, NULL, NODE_PATH, "org.freedesktop.DBus.Peer", "Ping");

                call_send(b, &ping, m);
                world_wait(b->world, ping.n > 0 && !announces(b));
                while (sd_event_run(b->world->event, 0) > 0)
                        ;
        }
}
