/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The notification daemon of the desktop, org.freedesktop.Notifications, by GIO. It may be away, be started
 * by a call, be replaced by another one, and take its time: nothing here waits for it. */

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct NotifyDaemon NotifyDaemon;

typedef struct NotifyDaemonHandlers {
        /* Notifications can be shown, now. */
        void (*ready)(void *userdata);
        /* What it has shown is gone with it. */
        void (*gone)(void *userdata);
        /* Somebody has clicked. The id is that of a notification, also of another program. */
        void (*action)(uint32_t id, const char *action, void *userdata);
        /* Before that: what a window needs that opens now. */
        void (*token)(uint32_t id, const char *token, void *userdata);
        void (*closed)(uint32_t id, void *userdata);
} NotifyDaemonHandlers;

typedef struct Notification {
        uint32_t replaces; /* id; 0: none */
        const char *summary, *body;
        const char *const *actions; /* name and label, in turn */
        const char *icon;
        bool critical;
} Notification;

/* Called once: with the id, or with 0 and the reason. */
typedef void (*NotifyDaemonShown)(uint32_t id, const GError *error, void *userdata);

/* The handlers and the connection must live as long. */
NotifyDaemon *notify_daemon_new(GDBusConnection *bus, const NotifyDaemonHandlers *handlers, void *userdata);

/* Callbacks of calls that are under way are not called any more. */
NotifyDaemon *notify_daemon_free(NotifyDaemon *daemon);

/* Returns whether notifications can be shown now. If not, it is asked, and ready() follows if it answers. */
bool notify_daemon_is_ready(NotifyDaemon *daemon);

/* What it can, as it has said. */
bool notify_daemon_has_actions(const NotifyDaemon *daemon);
bool notify_daemon_has_markup(const NotifyDaemon *daemon);

void notify_daemon_show(
        NotifyDaemon *daemon, const Notification *notification, NotifyDaemonShown shown, void *userdata);
