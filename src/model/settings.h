/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration of an instance: /etc/architect-node/INSTANCE.conf, then INSTANCE.conf.d/ *.conf by name, later ones
 * overriding key by key. architect-node.conf(5) documents every key. One value, replaced whole by a reload. */

#include <glib.h>
#include <stdint.h>

#include "base/string-table.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/port.h"
#include "model/role-spec.h"

#define SETTINGS_DIRECTORY "/etc/architect-node"

#define NODE_MAX_CONCURRENT_STARTS 100U
#define NODE_MAX_ENDED_ROLES 1000U
#define NODE_MAX_ROLES 16384U
#define ROLE_SETUP_TIMEOUT_USEC (20 * USEC_PER_SEC) /* from the gate to exec */
#define MONITOR_TIMEOUT_DEFAULT_USEC (30 * USEC_PER_SEC)
#define MODULES_COMMAND_DEFAULT "/usr/bin/modulecmd"
#define LMOD_COMMAND_DEFAULT "/usr/share/lmod/lmod/libexec/lmod"

typedef enum MonitorAction {
        MONITOR_ACTION_SHUTDOWN, /* the original's: stop every role and end */
        MONITOR_ACTION_STOP_ROLES,
        MONITOR_ACTION_NONE,
        _MONITOR_ACTION_MAX,
        _MONITOR_ACTION_INVALID = -EINVAL,
} MonitorAction;

DECLARE_STRING_TABLE(monitor_action, MonitorAction);

struct Settings {
        uint64_t default_stop_timeout_usec;
        uint64_t setup_timeout_usec;
        uint64_t monitor_timeout_usec; /* 0: off */
        MonitorAction monitor_action;
        unsigned max_concurrent_starts;
        unsigned max_ended_roles;
        ProductProvider product_provider;
        char *modules_command;
        char *lmod_command;
        BindAddress bind_address; /* of reserved ports */
        char **environment;       /* NAME=VALUE, of [Environment] */
};

Settings *settings_new(void); /* the defaults */
Settings *settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* Files that are not there are no error. An unknown section or key is a warning that names file and line; a file that cannot be
 * parsed, or a value that cannot be, is a fault that does, and nothing is returned. */
int settings_load(const char *directory, const char *instance, Settings **ret, Fault *fault);

/* "30", "30s", "500ms", "2min", "1h", "infinity"; sums as "1min 30s". -EINVAL, -ERANGE. */
int settings_parse_time(const char *text, uint64_t *ret_usec);
