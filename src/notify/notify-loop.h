/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs an sd-event loop inside that of GLib, where GIO is. sd_event_get_fd(3) describes how. */

#include <glib.h>
#include <systemd/sd-event.h>

/* Returns when sd_event_exit() was called: its code, or a negative errno. */
int notify_loop_run(sd_event *event);
