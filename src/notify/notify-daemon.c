/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "notify/notify-daemon.h"
#include "util/log.h"

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"
/* The .desktop file, by which desktops know for whom the user has set what. */
#define DESKTOP_ENTRY "org.architect.Notify"
/* One that could not be started is tried again, in case nothing else says that it can be; and one that is
 * there and has not answered. */
#define RETRY_SECONDS 30U
#define RETRY_PRESENT_SECONDS 1U

struct NotifyDaemon {
        GDBusConnection *bus; /* not owned */
        const NotifyDaemonHandlers *handlers;
        void *userdata;
        GCancellable *cancellable;
        unsigned watch, signals, retry; /* ids of GLib; 0: none */
        bool present, asked, ready, has_actions, has_markup;
};

/* -- what it can -- */

static gboolean daemon_on_retry(gpointer userdata) {
        NotifyDaemon *d = userdata;

        d->retry = 0;
        if (notify_daemon_is_ready(d))
                d->handlers->ready(d->userdata);
        return G_SOURCE_REMOVE;
}

static void daemon_on_capabilities(GObject *bus, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
        const char **names;
        NotifyDaemon *d = userdata;

        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                return; /* it is freed, or another one is there, which was asked as well */
        d->asked = false;
        if (!reply) {
                log_debug("No notification daemon: %s", error->message);
                if (d->retry == 0)
                        d->retry = g_timeout_add_seconds(
                                d->present ? RETRY_PRESENT_SECONDS : RETRY_SECONDS, daemon_on_retry, d);
                return;
        }
        g_variant_get(reply, "(^a&s)", &names);
        d->has_actions = g_strv_contains(names, "actions");
        d->has_markup = g_strv_contains(names, "body-markup");
        g_free(names);
        d->ready = true;
        d->handlers->ready(d->userdata);
}

bool notify_daemon_is_ready(NotifyDaemon *d) {
        if (d->ready || d->asked || d->retry != 0)
                return d->ready;
        d->asked = true;
        /* It takes its time if it is started by this, and may be stopped by a debugger. */
        g_dbus_connection_call(d->bus, NAME, PATH, NAME, "GetCapabilities", NULL, G_VARIANT_TYPE("(as)"),
                G_DBUS_CALL_FLAGS_NONE, G_MAXINT, d->cancellable, daemon_on_capabilities, d);
        return false;
}

bool notify_daemon_has_actions(const NotifyDaemon *d) {
        return d->has_actions;
}

bool notify_daemon_has_markup(const NotifyDaemon *d) {
        return d->has_markup;
}

/* -- whether it is there -- */

/* Calls to the one before are over. */
static void daemon_forget(NotifyDaemon *d) {
        d->ready = d->asked = false;
        g_clear_handle_id(&d->retry, g_source_remove);
}

static void daemon_on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer userdata) {
        NotifyDaemon *d = userdata;

        d->present = true;
        if (d->asked)
                return; /* it was started by that */
        daemon_forget(d);
        (void) notify_daemon_is_ready(d);
}

static void daemon_on_vanished(GDBusConnection *bus, const char *name, gpointer userdata) {
        NotifyDaemon *d = userdata;

        d->present = false;
        if (!d->ready)
                return; /* the bus answers what it was asked */
        daemon_forget(d);
        d->handlers->gone(d->userdata);
}

/* -- what it says -- */

static void daemon_on_signal(GDBusConnection *bus, const char *sender, const char *path,
        const char *interface, const char *signal, GVariant *parameters, gpointer userdata) {
        const NotifyDaemon *d = userdata;
        const char *text;
        uint32_t id, reason;

        if (g_str_equal(signal, "ActionInvoked") &&
                g_variant_is_of_type(parameters, G_VARIANT_TYPE("(us)"))) {
                g_variant_get(parameters, "(u&s)", &id, &text);
                d->handlers->action(id, text, d->userdata);
        } else if (g_str_equal(signal, "ActivationToken") &&
                   g_variant_is_of_type(parameters, G_VARIANT_TYPE("(us)"))) {
                g_variant_get(parameters, "(u&s)", &id, &text);
                d->handlers->token(id, text, d->userdata);
        } else if (g_str_equal(signal, "NotificationClosed") &&
                   g_variant_is_of_type(parameters, G_VARIANT_TYPE("(uu)"))) {
                g_variant_get(parameters, "(uu)", &id, &reason);
                d->handlers->closed(id, d->userdata);
        }
}

/* -- showing -- */

typedef struct Show {
        NotifyDaemonShown shown;
        void *userdata;
} Show;

static void daemon_on_shown(GObject *bus, GAsyncResult *result, gpointer userdata) {
        g_autofree Show *show = userdata;
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
        uint32_t id = 0;

        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                return;
        if (reply)
                g_variant_get(reply, "(u)", &id);
        show->shown(id, error, show->userdata);
}

void notify_daemon_show(NotifyDaemon *d, const Notification *n, NotifyDaemonShown shown, void *userdata) {
        GVariantBuilder hints;
        Show *show = g_new(Show, 1);

        *show = (Show){ .shown = shown, .userdata = userdata };
        g_variant_builder_init(&hints, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&hints, "{sv}", "urgency", g_variant_new_byte(n->critical ? 2 : 1));
        g_variant_builder_add(&hints, "{sv}", "category", g_variant_new_string("x-architect.role"));
        g_variant_builder_add(&hints, "{sv}", "desktop-entry", g_variant_new_string(DESKTOP_ENTRY));
        /* No time limit: one that is slow shows it later, and one that is gone the bus reports. A second call
         * could be a second notification. */
        g_dbus_connection_call(d->bus, NAME, PATH, NAME, "Notify",
                g_variant_new("(susss@asa{sv}i)", "architect-node", n->replaces, n->icon, n->summary, n->body,
                        g_variant_new_strv(n->actions, -1), &hints, -1),
                G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, G_MAXINT, d->cancellable, daemon_on_shown,
                show);
}

/* -- */

NotifyDaemon *notify_daemon_new(GDBusConnection *bus, const NotifyDaemonHandlers *handlers, void *userdata) {
        NotifyDaemon *d = g_new(NotifyDaemon, 1);

        *d = (NotifyDaemon){
                .bus = bus, .handlers = handlers, .userdata = userdata, .cancellable = g_cancellable_new()
        };
        d->signals = g_dbus_connection_signal_subscribe(
                bus, NAME, NAME, NULL, PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, daemon_on_signal, d, NULL);
        d->watch = g_bus_watch_name_on_connection(
                bus, NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, daemon_on_appeared, daemon_on_vanished, d, NULL);
        return d;
}

NotifyDaemon *notify_daemon_free(NotifyDaemon *d) {
        if (!d)
                return NULL;
        g_cancellable_cancel(d->cancellable);
        g_bus_unwatch_name(d->watch);
        g_dbus_connection_signal_unsubscribe(d->bus, d->signals);
        daemon_forget(d);
        g_object_unref(d->cancellable);
        g_free(d);
        return NULL;
}
