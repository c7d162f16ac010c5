/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gio/gunixfdlist.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "testlib.h"

struct Bus {
        GDBusConnection *connection;
        const char *instance;
        const char *node;      /* the bus name of the node */
        const char *node_unit; /* the units of the node */
        const char *keeper_unit;
        guint filter;

        GMutex lock;
        GCond changed;
        GPtrArray *events;   /* of Event, in the order of arrival */
        GHashTable *replies; /* serial → Event, NULL before the reply */
        GHashTable *told;    /* "epoch number" of the events that have arrived */
        guint n_again;

        SignalHandler handler;
        void *handler_data;
};

static void event_free(void *p) {
        Event *event = p;

        g_free((char *) event->path);
        g_free((char *) event->interface);
        g_free((char *) event->member);
        g_free((char *) event->error);
        g_free((char *) event->text);
        g_variant_unref(event->body);
        if (event->fd >= 0)
                (void) close(event->fd);
        g_free(event);
}

static Event *event_new(GDBusMessage *message) {
        Event *event = g_new0(Event, 1);
        GVariant *body = g_dbus_message_get_body(message);
        GUnixFDList *fds = g_dbus_message_get_unix_fd_list(message);

        event->fd = fds && g_unix_fd_list_get_length(fds) > 0 ? g_unix_fd_list_get(fds, 0, NULL) : -1;
        event->type = g_dbus_message_get_message_type(message);
        event->path = g_strdup(g_dbus_message_get_path(message));
        event->interface = g_strdup(g_dbus_message_get_interface(message));
        event->member = g_strdup(g_dbus_message_get_member(message));
        event->error = g_strdup(g_dbus_message_get_error_name(message));
        event->reply_to = g_dbus_message_get_reply_serial(message);
        event->body = body ? g_variant_ref(body) : g_variant_ref_sink(g_variant_new_tuple(NULL, 0));
        if (g_variant_n_children(event->body) > 0) {
                g_autoptr(GVariant) first = g_variant_get_child_value(event->body, 0);

                if (g_variant_is_of_type(first, G_VARIANT_TYPE_STRING) ||
                        g_variant_is_of_type(first, G_VARIANT_TYPE_OBJECT_PATH))
                        event->text = g_variant_dup_string(first, NULL);
        }
        event->usec = g_get_monotonic_time();
        return event;
}

/* Every client must detect repeated events in this way. */
static void find_again(Bus *bus, Event *event) {
        gsize n = g_variant_n_children(event->body);
        g_autoptr(GVariant) details = n > 0 ? g_variant_get_child_value(event->body, n - 1) : NULL;
        const char *epoch;
        guint64 seq;

        if (!details || !g_variant_is_of_type(details, G_VARIANT_TYPE_VARDICT) ||
                !g_variant_lookup(details, "epoch", "&s", &epoch) ||
                !g_variant_lookup(details, "seq", "t", &seq))
                return;
        event->again = !g_hash_table_add(bus->told, g_strdup_printf("%s %" G_GUINT64_FORMAT, epoch, seq));
        bus->n_again += event->again;
}

static void add_event(Bus *bus, Event *event) {
        if (event->type == G_DBUS_MESSAGE_TYPE_SIGNAL)
                find_again(bus, event);
        event->index = bus->events->len;
        g_ptr_array_add(bus->events, event);
        if (event->type != G_DBUS_MESSAGE_TYPE_SIGNAL)
                g_hash_table_insert(bus->replies, GUINT_TO_POINTER(event->reply_to), event);
        g_cond_broadcast(&bus->changed);
}

/* Runs in the thread of GDBus. Replies to calls of GDBus itself are passed on. */
static GDBusMessage *on_message(
        GDBusConnection *connection G_GNUC_UNUSED, GDBusMessage *message, gboolean incoming, void *userdata) {
        Bus *bus = userdata;
        SignalHandler handler = NULL;
        void *handler_data = NULL;
        Event *event;
        bool is_signal;

        if (!incoming)
                return message;

        switch (g_dbus_message_get_message_type(message)) {
        case G_DBUS_MESSAGE_TYPE_SIGNAL:
                is_signal = true;
                break;
        case G_DBUS_MESSAGE_TYPE_METHOD_RETURN:
        case G_DBUS_MESSAGE_TYPE_ERROR:
                is_signal = false;
                break;
        default:
                return message;
        }

        g_mutex_lock(&bus->lock);
        if (!is_signal && !g_hash_table_contains(
                                  bus->replies, GUINT_TO_POINTER(g_dbus_message_get_reply_serial(message)))) {
                g_mutex_unlock(&bus->lock);
                return message;
        }
        event = event_new(message);
        add_event(bus, event);
        if (is_signal) {
                handler = bus->handler;
                handler_data = bus->handler_data;
        }
        g_mutex_unlock(&bus->lock);

        if (handler)
                handler(bus, event, handler_data);

        g_object_unref(message);
        return NULL;
}

void bus_add_match(Bus *bus, const char *rule) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) reply = g_dbus_connection_call_sync(bus->connection, "org.freedesktop.DBus",
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", g_variant_new("(s)", rule), NULL,
                G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
        if (!reply)
                fail_msg("AddMatch %s: %s", rule, error->message);
}

/* GDBus calls this when its thread has left on_message() for good. */
static void bus_destroy(void *userdata) {
        Bus *bus = userdata;

        g_hash_table_unref(bus->replies);
        g_hash_table_unref(bus->told);
        g_ptr_array_unref(bus->events);
        g_mutex_clear(&bus->lock);
        g_cond_clear(&bus->changed);
        g_free(bus);
}

static void connect_bus(Bus *bus, const char *bus_address) {
        g_autofree char *address = g_strdup(bus_address), *of_node = NULL, *of_name = NULL;
        g_autoptr(GError) error = NULL;

        g_mutex_init(&bus->lock);
        g_cond_init(&bus->changed);
        bus->events = g_ptr_array_new_with_free_func(event_free);
        bus->replies = g_hash_table_new(NULL, NULL);
        bus->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        if (!address)
                address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
        if (address)
                bus->connection = g_dbus_connection_new_for_address_sync(address,
                        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                        NULL, NULL, &error);
        if (!bus->connection)
                fail_msg("cannot connect to the bus: %s", error->message);

        bus->filter = g_dbus_connection_add_filter(bus->connection, on_message, bus, bus_destroy);
        of_node = g_strdup_printf("type='signal',sender='%s'", bus->node);
        bus_add_match(bus, of_node);
        of_name = g_strdup_printf(
                "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", bus->node);
        bus_add_match(bus, of_name);
}

static Bus *new_for(const char *instance, const char *address) {
        Bus *bus = g_new0(Bus, 1);
        bool is_main = g_str_equal(instance, "main");
        g_autofree char *name = g_strconcat(NODE_NAME ".", instance, NULL);
        g_autofree char *node = g_strconcat("architect-node@", instance, ".service", NULL);
        g_autofree char *keeper = g_strconcat("architect-keeper@", instance, ".service", NULL);

        bus->instance = g_intern_string(instance);
        bus->node = is_main ? NODE_NAME : g_intern_string(name);
        bus->node_unit = is_main ? NODE_UNIT : g_intern_string(node);
        bus->keeper_unit = is_main ? KEEPER_UNIT : g_intern_string(keeper);
        connect_bus(bus, address);
        return bus;
}

Bus *bus_new(void) {
        return new_for("main", NULL);
}

Bus *bus_new_instance(const char *instance) {
        return new_for(instance, NULL);
}

const char *bus_instance(Bus *bus) {
        return bus->instance;
}

const char *bus_node(Bus *bus) {
        return bus->node;
}

const char *bus_node_unit(Bus *bus) {
        return bus->node_unit;
}

const char *bus_keeper_unit(Bus *bus) {
        return bus->keeper_unit;
}

static Bus *new_as(const char *user, bool session) {
        struct passwd *pw = getpwnam(user);
        g_autofree char *address = NULL;
        Bus *bus;

        if (!pw)
                fail_msg("there is no user %s", user);

        if (session)
                address = g_strdup_printf("unix:path=/run/user/%u/bus", (unsigned) pw->pw_uid);
        /* The bus daemon gets the effective UID and the groups at the time of the connect() from the kernel,
         * and polkit gets them from the bus daemon. */
        assert_int_equal(initgroups(user, pw->pw_gid), 0);
        assert_int_equal(setresgid((gid_t) -1, pw->pw_gid, (gid_t) -1), 0);
        assert_int_equal(setresuid((uid_t) -1, pw->pw_uid, (uid_t) -1), 0);
        bus = new_for("main", address);
        assert_int_equal(setresuid((uid_t) -1, 0, (uid_t) -1), 0);
        assert_int_equal(setresgid((gid_t) -1, 0, (gid_t) -1), 0);
        assert_int_equal(initgroups("root", 0), 0);
        return bus;
}

Bus *bus_new_as(const char *user) {
        return new_as(user, false);
}

Bus *bus_new_session(const char *user) {
        return new_as(user, true);
}

void bus_free(Bus *bus) {
        GDBusConnection *connection;

        if (!bus)
                return;

        connection = bus->connection;
        g_dbus_connection_flush_sync(connection, NULL, NULL);
        g_dbus_connection_close_sync(connection, NULL, NULL);
        g_dbus_connection_remove_filter(connection, bus->filter);
        g_object_unref(connection);
}

const char *bus_unique_name(Bus *bus) {
        return g_dbus_connection_get_unique_name(bus->connection);
}

void bus_set_handler(Bus *bus, SignalHandler handler, void *userdata) {
        g_mutex_lock(&bus->lock);
        bus->handler = handler;
        bus->handler_data = userdata;
        g_mutex_unlock(&bus->lock);
}

static guint32 bus_send_with(Bus *bus, GDBusMessageFlags flags, const char *name, const char *path,
        const char *interface, const char *method, GVariant *args) {
        g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(name, path, interface, method);
        g_autoptr(GError) error = NULL;
        guint32 serial = 0;
        gboolean sent;

        if (args)
                g_dbus_message_set_body(message, args);
        g_dbus_message_set_flags(message, flags);

        /* The lock prevents the reply from arriving before it is expected. */
        g_mutex_lock(&bus->lock);
        sent = g_dbus_connection_send_message(bus->connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                (volatile guint32 *) &serial, &error);
        if (sent)
                g_hash_table_insert(bus->replies, GUINT_TO_POINTER(serial), NULL);
        g_mutex_unlock(&bus->lock);

        if (!sent)
                fail_msg("cannot send %s: %s", method, error->message);
        return serial;
}

guint32 bus_send(Bus *bus, const char *name, const char *path, const char *interface, const char *method,
        GVariant *args) {
        return bus_send_with(bus, G_DBUS_MESSAGE_FLAGS_NONE, name, path, interface, method, args);
}

guint32 bus_send_interactive(Bus *bus, const char *name, const char *path, const char *interface,
        const char *method, GVariant *args) {
        return bus_send_with(bus, G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, name, path, interface,
                method, args);
}

void bus_forge_reply(Bus *bus, const char *destination, guint32 serial, GVariant *body) {
        g_autoptr(GDBusMessage) message = g_dbus_message_new();
        g_autoptr(GError) error = NULL;

        g_dbus_message_set_message_type(message, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
        g_dbus_message_set_destination(message, destination);
        g_dbus_message_set_reply_serial(message, serial);
        g_dbus_message_set_body(message, body);
        if (!g_dbus_connection_send_message(
                    bus->connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, &error))
                fail_msg("cannot send a reply: %s", error->message);
}

void bus_emit(Bus *bus, const char *destination, const char *path, const char *interface, const char *member,
        GVariant *args) {
        g_autoptr(GError) error = NULL;

        if (!g_dbus_connection_emit_signal(
                    bus->connection, destination, path, interface, member, args, &error))
                fail_msg("cannot send the signal %s: %s", member, error->message);
}

char *bus_path_encode(const char *prefix, const char *label) {
        GString *path = g_string_new(prefix);

        g_string_append_c(path, '/');
        for (const char *p = label; *p; p++)
                if (g_ascii_isalpha(*p) || (p > label && g_ascii_isdigit(*p)))
                        g_string_append_c(path, *p);
                else
                        g_string_append_printf(path, "_%02x", (guint8) *p);
        return g_string_free(path, false);
}

void bus_flush(Bus *bus) {
        g_autoptr(GError) error = NULL;

        if (!g_dbus_connection_flush_sync(bus->connection, NULL, &error))
                fail_msg("cannot write to the bus: %s", error->message);
}

bool bus_has_reply(Bus *bus, guint32 serial) {
        bool r;

        g_mutex_lock(&bus->lock);
        r = g_hash_table_lookup(bus->replies, GUINT_TO_POINTER(serial));
        g_mutex_unlock(&bus->lock);
        return r;
}

Event *bus_wait_reply(Bus *bus, guint32 serial) {
        gint64 end = g_get_monotonic_time() + patience_usec();
        Event *event;

        g_mutex_lock(&bus->lock);
        while (!(event = g_hash_table_lookup(bus->replies, GUINT_TO_POINTER(serial))))
                if (!g_cond_wait_until(&bus->changed, &bus->lock, end))
                        break;
        g_mutex_unlock(&bus->lock);

        if (!event) {
                bus_dump(bus);
                fail_msg("no reply to call %u", serial);
        }
        return event;
}

GVariant *bus_result(Bus *bus, guint32 serial) {
        Event *event = bus_wait_reply(bus, serial);

        if (event->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                bus_dump(bus);
                fail_msg("%s: %s", event->error, event->text);
        }
        return g_variant_ref(event->body);
}

static char *problem_v(Event *event, const char *error, va_list parts) {
        g_autofree char *name =
                strchr(error, '.') ? g_strdup(error) : g_strconcat(NODE_NAME ".Error.", error, NULL);
        const char *part;

        if (event->type != G_DBUS_MESSAGE_TYPE_ERROR) {
                g_autofree char *text = g_variant_print(event->body, true);
                return g_strdup_printf("should fail with %s, but succeeded: %s", name, text);
        }
        if (strcmp(event->error, name) != 0)
                return g_strdup_printf(
                        "should fail with %s, but failed with %s: %s", name, event->error, event->text);
        while ((part = va_arg(parts, const char *)))
                if (!strstr(event->text, part))
                        return g_strdup_printf("%s should name '%s', but says: %s", name, part, event->text);
        return NULL;
}

char *bus_problem(Bus *bus, guint32 serial, const char *error, ...) {
        char *problem;
        va_list parts;

        va_start(parts, error);
        problem = problem_v(bus_wait_reply(bus, serial), error, parts);
        va_end(parts);
        return problem;
}

Event *bus_failure_v(Bus *bus, guint32 serial, const char *error, va_list parts) {
        Event *event = bus_wait_reply(bus, serial);
        g_autofree char *problem = problem_v(event, error, parts);

        if (problem)
                fail_msg("%s", problem);
        return event;
}

Event *bus_failure(Bus *bus, guint32 serial, const char *error, ...) {
        Event *event;
        va_list parts;

        va_start(parts, error);
        event = bus_failure_v(bus, serial, error, parts);
        va_end(parts);
        return event;
}

GVariant *bus_call(Bus *bus, const char *name, const char *path, const char *interface, const char *method,
        GVariant *args) {
        return bus_result(bus, bus_send(bus, name, path, interface, method, args));
}

GVariant *bus_get(Bus *bus, const char *name, const char *path, const char *interface, const char *property) {
        g_autoptr(GVariant) reply = bus_call(bus, name, path, "org.freedesktop.DBus.Properties", "Get",
                g_variant_new("(ss)", interface, property));
        GVariant *value;

        g_variant_get(reply, "(v)", &value);
        return value;
}

bool event_is(const Event *event, const char *member, const char *key) {
        if (event->type != G_DBUS_MESSAGE_TYPE_SIGNAL || strcmp(event->member, member) != 0)
                return false;
        return !key || g_strcmp0(event->path, key) == 0 || g_strcmp0(event->text, key) == 0;
}

static Event *find_and_take(Bus *bus, guint *from, const char *member, const char *key) {
        for (; *from < bus->events->len; (*from)++) {
                Event *event = g_ptr_array_index(bus->events, *from);

                if (!event->taken && !event->again && event_is(event, member, key)) {
                        event->taken = true;
                        return event;
                }
        }
        return NULL;
}

Event *bus_find(Bus *bus, const char *member, const char *key) {
        guint from = 0;
        Event *event;

        g_mutex_lock(&bus->lock);
        event = find_and_take(bus, &from, member, key);
        g_mutex_unlock(&bus->lock);
        return event;
}

Event *bus_wait(Bus *bus, const char *member, const char *key) {
        gint64 end = g_get_monotonic_time() + patience_usec();
        guint from = 0;
        Event *event;

        g_mutex_lock(&bus->lock);
        while (!(event = find_and_take(bus, &from, member, key)))
                if (!g_cond_wait_until(&bus->changed, &bus->lock, end))
                        break;
        g_mutex_unlock(&bus->lock);

        if (!event) {
                bus_dump(bus);
                fail_msg("no signal %s for %s", member, key ?: "anybody");
        }
        return event;
}

guint bus_mark(Bus *bus) {
        guint n;

        g_mutex_lock(&bus->lock);
        n = bus->events->len;
        g_mutex_unlock(&bus->lock);
        return n;
}

GPtrArray *bus_all(Bus *bus, const char *member, const char *key) {
        GPtrArray *found = g_ptr_array_new();

        g_mutex_lock(&bus->lock);
        for (guint i = 0; i < bus->events->len; i++)
                if (event_is(g_ptr_array_index(bus->events, i), member, key))
                        g_ptr_array_add(found, g_ptr_array_index(bus->events, i));
        g_mutex_unlock(&bus->lock);
        return found;
}

guint bus_count_since(Bus *bus, guint mark, const char *member, const char *key) {
        g_autoptr(GPtrArray) found = bus_all(bus, member, key);
        guint n = 0;

        for (guint i = 0; i < found->len; i++) {
                const Event *event = g_ptr_array_index(found, i);

                n += event->index >= mark && !event->again;
        }
        return n;
}

guint bus_count(Bus *bus, const char *member, const char *key) {
        return bus_count_since(bus, 0, member, key);
}

guint bus_count_again(Bus *bus) {
        guint n;

        g_mutex_lock(&bus->lock);
        n = bus->n_again;
        g_mutex_unlock(&bus->lock);
        return n;
}

void bus_dump(Bus *bus) {
        g_mutex_lock(&bus->lock);
        for (guint i = bus->events->len > 40 ? bus->events->len - 40 : 0; i < bus->events->len; i++) {
                const Event *event = g_ptr_array_index(bus->events, i);
                g_autofree char *body = g_variant_print(event->body, false);

                if (strlen(body) > 300)
                        strcpy(body + 297, "...");
                if (event->type == G_DBUS_MESSAGE_TYPE_SIGNAL)
                        print_error("%5u %s %s %s\n", event->index, event->member, event->path, body);
                else
                        print_error("%5u reply to %u: %s %s\n", event->index, event->reply_to,
                                event->error ?: "", body);
        }
        g_mutex_unlock(&bus->lock);
}
