/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings are the configuration of an instance. It is read from /etc/architect-node/INSTANCE.conf, then
 * from INSTANCE.conf.d/ *.conf in the order of their names, in the syntax of util/unit-file.h. Later files
 * and later lines override keys of earlier ones. architect-node.conf(5) documents each key. A reload replaces
 * the whole value. */

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
#define NODE_MAX_ENDED_ROLES_PER_USER 100U
#define NODE_MAX_ROLES 16384U
#define NODE_MAX_WAITING_CALLS_PER_USER 512U
#define NODE_MAX_ROLES_PER_USER 256U
#define NODE_MAX_STARTS_PER_USER 120U
#define NODE_MAX_PORTS_PER_USER 256U
#define NODE_MAX_LEASES 256U /* held, or with a token; of all users */
#define NODE_MAX_LEASES_PER_USER 16U
#define NODE_MAX_ENVIRONMENT_PER_USER (16U * 1024U)
#define NODE_MAX_QUEUED_INPUT_PER_USER (8U * 1024U * 1024U)
#define NODE_MAX_CALL_TIME_PER_USER_USEC (100 * USEC_PER_MSEC)
#define ROLE_SETUP_TIMEOUT_USEC (20 * USEC_PER_SEC) /* from the gate to exec */
#define MONITOR_TIMEOUT_DEFAULT_USEC (30 * USEC_PER_SEC)
#define MODULES_COMMAND_DEFAULT "/usr/bin/modulecmd"
#define LMOD_COMMAND_DEFAULT "/usr/share/lmod/lmod/libexec/lmod"

typedef enum MonitorAction {
        MONITOR_ACTION_SHUTDOWN, /* stops all roles and ends, as the original did */
        MONITOR_ACTION_STOP_ROLES,
        MONITOR_ACTION_NONE,
        _MONITOR_ACTION_MAX,
        _MONITOR_ACTION_INVALID = -EINVAL,
} MonitorAction;

DECLARE_STRING_TABLE(monitor_action, MonitorAction);

struct Settings {
        uint64_t default_stop_timeout_usec;
        uint64_t setup_timeout_usec;
        uint64_t monitor_timeout_usec; /* 0 turns it off */
        MonitorAction monitor_action;
        unsigned max_concurrent_starts;
        unsigned max_ended_roles; /* of root, and of the user whose service this is */
        unsigned max_ended_roles_per_user;
        unsigned max_waiting_calls_per_user;
        unsigned max_roles_per_user;  /* ended ones included */
        unsigned max_starts_per_user; /* in each minute */
        unsigned max_ports_per_user;
        unsigned max_leases_per_user;
        size_t max_environment_per_user;      /* in bytes */
        size_t max_queued_input_per_user;     /* in bytes */
        uint64_t max_call_time_per_user_usec; /* in each second */
        ProductProvider product_provider;
        char *modules_command;
        char *lmod_command;
        BindAddress bind_address; /* of reserved ports */
        char *default_user;       /* of roles without the option user; NULL is that of the service */
        bool require_user;        /* whether a start without the option user is refused */
        char **environment;       /* NAME=VALUE, of [Environment] */
};

Settings *settings_new(void); /* with all defaults */
Settings *settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* Missing files are no error. An unknown section or key is logged as a warning with file and line. A file
 * that cannot be parsed or a value that is not valid is a fault with file and line, and *ret is not set. In
 * a user's own service (user), so are the keys about the users of roles. A file or a directory of drop-ins
 * that exists and cannot be read is a fault, too. The caller owns *ret. */
int settings_load(const char *directory, const char *instance, bool user, Settings **ret, Fault *fault);

/* Returns the defaults, for files that are not valid. If one of the files has a key about the users of roles,
 * or cannot be read and so may have one, the option user is required, since a role would otherwise run as
 * root because of a wrong value elsewhere. */
Settings *settings_new_fallback(const char *directory, const char *instance);
