/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an event of the node is for the command of an alert. */

#include "alert/alert-settings.h"
#include "client/incident.h"

/* Returns the variables of a command. The caller frees them with g_strfreev(). */
char **alert_event_environment(
        const Incident *event, const Alert *alert, const char *instance, const char *host);
