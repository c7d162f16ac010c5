/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a click opens: the log of a role in a terminal, or a page in the browser. It is a service of the
 * systemd of the user, so it outlives this program, and has the environment of the desktop and not the
 * sandbox of this one. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Returns a command line that runs this one in a terminal, or NULL if none is installed. The caller frees it
 * with g_strfreev(). */
char **launch_in_terminal(char *const *command);

/* Returns one that opens this address in the browser, or NULL. */
char **launch_browser(const char *uri);

/* Returns the command that shows the log of a role, or of the whole instance if role is empty. */
char **launch_log(bool user, const char *instance, const char *role);

/* Asks systemd. token is that of the desktop, or NULL. The callback gets the reply. Returns a negative
 * errno. */
int launch_start(sd_bus *user_bus, char *const *words, const char *token, sd_bus_message_handler_t callback,
        void *userdata);
