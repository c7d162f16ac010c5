/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Notifications to systemd (sd_notify(3)) that never block. While systemd does not read, a notification waits
 * in this process, and is sent as soon as systemd reads again. Of those that wait, one with the same
 * variables replaces the older one and goes to the end, so systemd always sees the newest value of each last.
 */

#include <systemd/sd-event.h>

#include "base/macro.h"

/* From now on what waits is sent by this loop, and the keep-alive of WatchdogSec= too. sd-event's own
 * watchdog is not used, because it blocks. Returns a negative errno. */
int notify_attach(sd_event *event);
void notify_detach(void);

/* Sends lines of the form "NAME=value". Does nothing if $NOTIFY_SOCKET is not set. */
void notify_send(const char *message);
void notify_sendf(const char *format, ...) _printf_(1, 2);
