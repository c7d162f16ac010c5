/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/notify-socket.h"
#include "bus/clients-private.h"
#include "bus/private.h"
#include "bus/role-dbus.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Only the owner can connect, so this is reached by a fault of theirs. */
#define CONNECTIONS_MAX 128U
/* Beside the bus, not behind it: a flood there is always ready to be read. */
#define PRIVATE_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 1)

typedef struct Connection {
        Private *private;
        sd_bus *bus;
        sd_event_source *early; /* handles the calls that have come with the authentication */
        Caller caller;
        GPtrArray *slots;
        GList link;
} Connection;

struct Private {
        Clients *clients;
        char *path;
        int fd;
        sd_event_source *source;
        GQueue connections;
        bool direct; /* the room scope knows that there are connections */
};

/* Who calls without a bus does not depend on one, if what he requests does not. The room scope may have come
 * later than the connection. */
static void private_set_direct(Private *private, bool direct) {
        Node *node = private->clients->node;

        if (direct == private->direct || !node->world.scope.ops)
                return;
        private->direct = direct;
        ASK(node, scope, set_direct, direct);
}

/* -- connections -- */

/* Client libraries that know no other connections than those of a bus begin with this call. */
static int connection_method_hello(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", ":0.1");
}

static const sd_bus_vtable connection_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Hello", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", name), connection_method_hello,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void connection_free(Connection *connection) {
        authority_remove_peer(connection->private->clients->authority, connection->bus);
        clients_forget_calls(connection->private->clients, connection->bus);
        g_queue_unlink(&connection->private->connections, &connection->link);
        if (g_queue_is_empty(&connection->private->connections))
                private_set_direct(connection->private, false);
        g_ptr_array_unref(connection->slots);
        sd_event_source_disable_unref(connection->early);
        /* A reply that the socket had room for is there already. Nothing waits for a client that does not
         * read. */
        sd_bus_close_unref(connection->bus);
        caller_clear(&connection->caller);
        g_free(connection);
}

static int connection_on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        connection_free(userdata);
        return 0;
}

/* Most clients send their first call directly after the authentication. If the service is late, sd-bus reads
 * both at once, and would look at the call when more data arrive. So it is called until nothing is left. */
static int connection_on_early(sd_event_source *s, void *userdata) {
        Connection *connection = userdata;
        g_autoptr(sd_bus) bus = sd_bus_ref(connection->bus);

        int r = sd_bus_process(bus, NULL);
        /* With the bus it has closed the connection is gone, and with that this event source. */
        if (r == 0 || sd_bus_is_open(bus) <= 0)
                return 0;
        if (r > 0)
                return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        log_warning_errno(r, "Closing a connection of %s: %m", connection->private->path);
        connection_free(connection);
        return 0;
}

static int connection_on_connected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Connection *connection = userdata;

        return MIN(sd_event_source_set_enabled(connection->early, SD_EVENT_ONESHOT), 0);
}

static int connection_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Connection *connection = userdata;

        private_set_direct(connection->private, true);
        return clients_filter_calls(m, connection->private->clients, error);
}

/* A signal that sd-bus makes itself. */
static int connection_match_local(
        Connection *connection, const char *member, sd_bus_message_handler_t handler) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_match_signal(connection->bus, &slot, "org.freedesktop.DBus.Local",
                "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", member, handler, connection);
        if (r >= 0)
                g_ptr_array_add(connection->slots, slot);
        return r;
}

static int connection_setup(Connection *connection, int fd) {
        Clients *clients = connection->private->clients;
        sd_bus_slot *slot = NULL;
        sd_id128_t id;

        int r = sd_bus_new(&connection->bus);
        if (r >= 0)
                r = sd_bus_set_fd(connection->bus, fd, fd);
        if (r < 0) {
                (void) close(fd);
                return r;
        }
        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(connection->bus, true, id);
        if (r >= 0)
                r = sd_bus_set_connected_signal(connection->bus, true);
        if (r >= 0)
                r = sd_event_add_defer(clients->event, &connection->early, connection_on_early, connection);
        if (r >= 0)
                r = sd_event_source_set_enabled(connection->early, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(connection->early, PRIVATE_PRIORITY);
        if (r >= 0)
                r = connection_match_local(connection, "Disconnected", connection_on_disconnected);
        if (r >= 0)
                r = connection_match_local(connection, "Connected", connection_on_connected);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(connection->bus, &slot, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                connection_vtable, connection);
        if (r < 0)
                return r;
        g_ptr_array_add(connection->slots, slot);
        r = clients_register_objects(clients, connection->bus, connection->slots);
        if (r >= 0)
                r = sd_bus_add_filter(connection->bus, &slot, connection_on_message, connection);
        if (r >= 0)
                g_ptr_array_add(connection->slots, slot);
        if (r >= 0)
                r = sd_bus_start(connection->bus);
        if (r >= 0)
                r = sd_bus_attach_event(connection->bus, clients->event, PRIVATE_PRIORITY);
        if (r >= 0)
                r = sd_bus_set_close_on_exit(connection->bus, false);
        return r;
}

static void connection_new(Private *private, int fd, const struct ucred *peer) {
        Clients *clients = private->clients;
        Connection *connection = g_new(Connection, 1);

        *connection = (Connection){
                .private = private,
                .caller = { .uid = peer->uid, .pid = peer->pid },
                .slots = g_ptr_array_new_with_free_func(bus_slot_free),
                .link.data = connection,
        };
        g_queue_push_tail_link(&private->connections, &connection->link);
        int r = connection_setup(connection, fd);
        if (r < 0) {
                log_warning_errno(r, "Cannot set up a connection of %s, closing it: %m", private->path);
                connection_free(connection);
                return;
        }
        authority_add_peer(clients->authority, connection->bus, &connection->caller);
}

/* -- the socket -- */

static int private_on_connection(sd_event_source *s, int listen_fd, uint32_t revents, void *userdata) {
        Private *private = userdata;
        struct ucred peer = {};
        socklen_t size = sizeof(peer);

        autofd fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                /* Without a free descriptor the socket would be ready for ever. */
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                        log_error_errno(errno, "Cannot accept connections of %s any more: %m", private->path);
                        (void) sd_event_source_set_enabled(s, SD_EVENT_OFF);
                }
                return 0;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
                !authority_is_master(private->clients->authority, &(Caller){ .uid = peer.uid })) {
                log_warning("Closing a connection of %s from uid %u, which may not use it", private->path,
                        (unsigned) peer.uid);
                return 0;
        }
        if (g_queue_get_length(&private->connections) >= CONNECTIONS_MAX) {
                log_warning(
                        "Closing a connection of %s, there are %u already", private->path, CONNECTIONS_MAX);
                return 0;
        }
        connection_new(private, fd_steal(&fd), &peer);
        return 0;
}

static int private_listen(Private *private) {
        struct sockaddr_un address;
        socklen_t size;

        int r = socket_address(private->path, &address, &size);
        if (r < 0)
                return r;
        private->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (private->fd < 0)
                return -errno;
        if (unlink(private->path) < 0 && errno != ENOENT)
                return -errno;
        mode_t mask = umask(0177);
        r = bind(private->fd, (struct sockaddr *) &address, size) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r >= 0 && listen(private->fd, SOMAXCONN) < 0)
                r = -errno;
        return r < 0 ? r
                     : sd_event_add_io(private->clients->event, &private->source, private->fd, EPOLLIN,
                               private_on_connection, private);
}

int private_new(Clients *clients, const char *directory, Private **ret) {
        Private *private = g_new(Private, 1);

        *private = (Private){
                .clients = clients,
                .path = g_build_filename(directory, NODE_PRIVATE_SOCKET, NULL),
                .fd = -EBADF,
        };
        int r = private_listen(private);
        if (r < 0) {
                private_free(private);
                return r;
        }
        *ret = private;
        return 0;
}

Private *private_free(Private *private) {
        Connection *connection;

        if (!private)
                return NULL;
        private->direct = false; /* the node, which would be told, is gone before */
        while ((connection = g_queue_peek_head(&private->connections)))
                connection_free(connection);
        sd_event_source_disable_unref(private->source);
        /* Without the event source there is no socket of this process at the path. */
        if (private->fd >= 0)
                (void) unlink(private->path);
        (void) fd_close(private->fd);
        g_free(private->path);
        g_free(private);
        return NULL;
}
