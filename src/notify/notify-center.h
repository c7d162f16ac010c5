/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between the instances and the desktop: what waits is shown when its time has come, and what is clicked is
 * done. */

#include <gio/gio.h>
#include <systemd/sd-bus.h>

typedef struct NotifyCenter NotifyCenter;

/* system and user are the two buses on which instances are, attached to the loop; user is also that of the
 * systemd of the user. session is where the notification daemon is. The positions are saved in the state
 * directory. Returns a negative errno after logging. */
int notify_center_new(
        sd_bus *system, sd_bus *user, GDBusConnection *session, int state_fd, NotifyCenter **ret);

/* Saves the positions. The buses must not be dispatched any more. */
NotifyCenter *notify_center_free(NotifyCenter *center);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyCenter, notify_center_free)
