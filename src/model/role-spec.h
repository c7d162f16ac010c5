/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a Start asked for: the command and every option, checked. One value, never changed once its role exists. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rlimit-util.h"
#include "base/string-table.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "proto/launch-request.h"

typedef enum RoleStdin {
        ROLE_STDIN_PIPE,
        ROLE_STDIN_NULL,
        ROLE_STDIN_PTY,
        _ROLE_STDIN_MAX,
        _ROLE_STDIN_INVALID = -EINVAL,
} RoleStdin;

DECLARE_STRING_TABLE(role_stdin, RoleStdin);

typedef enum StopTo {
        STOP_TO_ALL,
        STOP_TO_MAIN,
        _STOP_TO_MAX,
        _STOP_TO_INVALID = -EINVAL,
} StopTo;

DECLARE_STRING_TABLE(stop_to, StopTo);

/* What happens to the role when the monitor times out; without a word of its own the node's MonitorAction decides. */
typedef enum MonitorLoss {
        MONITOR_LOSS_DEFAULT,
        MONITOR_LOSS_KEEP,
        MONITOR_LOSS_STOP,
        MONITOR_LOSS_KILL,
        _MONITOR_LOSS_MAX,
        _MONITOR_LOSS_INVALID = -EINVAL,
} MonitorLoss;

DECLARE_STRING_TABLE(monitor_loss, MonitorLoss); /* the default is "" */

/* Reserved ports: handed to the role as open sockets, or freed by its exec. */
typedef enum RolePorts {
        ROLE_PORTS_TCP,
        ROLE_PORTS_UDP,
        ROLE_PORTS_RELEASE,
        _ROLE_PORTS_MAX,
        _ROLE_PORTS_INVALID = -EINVAL,
} RolePorts;

DECLARE_STRING_TABLE(role_ports, RolePorts); /* the options' names */

#define ROLE_STOP_TIMEOUT_DEFAULT_USEC (10 * USEC_PER_SEC)

#define ROLE_COMMAND_ARGS_MAX 4096U           /* arguments */
#define ROLE_COMMAND_SIZE_MAX (1024U * 1024U) /* bytes of arguments and environment together */
#define ROLE_ENVIRONMENT_MAX 1000U            /* variables */
#define ROLE_PORTS_EACH_MAX 256U              /* ports of each of the three kinds */
#define SIGNAL_MAX 64

/* Who sets products up. */
typedef enum ProductProvider {
        PRODUCT_PROVIDER_EUPS,
        PRODUCT_PROVIDER_MODULES, /* Environment Modules */
        PRODUCT_PROVIDER_LMOD,
        _PRODUCT_PROVIDER_MAX,
        _PRODUCT_PROVIDER_INVALID = -EINVAL,
} ProductProvider;

DECLARE_STRING_TABLE(product_provider, ProductProvider);

struct RoleSpec {
        char **command;
        char **environment;      /* NAME=VALUE */
        char *working_directory; /* NULL: / */
        char *user;
        char *group;
        RoleStdin stdin_kind;
        bool stdin_set; /* said so, and not the default */
        bool xterm;     /* a window on its pty */
        char **xterm_args;
        LaunchOutput output;
        char *output_path;
        int stop_signal;
        StopTo stop_to;
        bool stop_timeout_set;      /* otherwise the node's DefaultStopTimeout */
        uint64_t stop_timeout_usec; /* USEC_INFINITY: never kill */
        MonitorLoss on_monitor_loss;
        bool nice_set;
        int nice;
        uint64_t limits_set; /* bit RLIMIT_x */
        uint64_t limits[RLIMIT_COUNT];
        bool remove;
        uint64_t memory_max; /* bytes; 0: no limit asked for, in all three */
        uint64_t tasks_max;
        uint64_t cpu_quota; /* percent of one CPU */

        /* The products (products.h). */
        char *product; /* NULL: none, perhaps a list */
        char *version; /* NULL: the provider's choice */
        char **setup_args;
        char **eups_list; /* product, version, product, version...; an empty version: the provider's choice */
        bool provider_set; /* otherwise the node's ProductProvider, from the start on */
        ProductProvider provider;
        GArray *ports[_ROLE_PORTS_MAX]; /* of uint16_t; NULL: none */
};

/* With the defaults. */
RoleSpec *role_spec_new(void);
RoleSpec *role_spec_free(RoleSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RoleSpec, role_spec_free)

/* Each checks one value and takes a copy. The message names the option. */
int role_spec_set_command(RoleSpec *spec, char **command, Fault *fault);
int role_spec_add_environment(RoleSpec *spec, const char *name, const char *value, Fault *fault);
int role_spec_set_working_directory(RoleSpec *spec, const char *path, Fault *fault);
int role_spec_set_user(RoleSpec *spec, const char *user, Fault *fault);
int role_spec_set_group(RoleSpec *spec, const char *group, Fault *fault);
int role_spec_set_stdin(RoleSpec *spec, const char *kind, Fault *fault);
int role_spec_set_output(RoleSpec *spec, const char *output, Fault *fault);
int role_spec_set_stop_to(RoleSpec *spec, const char *stop_to, Fault *fault);
int role_spec_set_on_monitor_loss(RoleSpec *spec, const char *loss, Fault *fault);
int role_spec_add_limit(RoleSpec *spec, const char *name, uint64_t value, Fault *fault);

int role_spec_set_ports(RoleSpec *spec, RolePorts which, const uint64_t *numbers, size_t n, Fault *fault);
bool role_spec_has_ports(const RoleSpec *spec);

/* What only the whole can show: the size of command and environment together, a port in two lists. */
int role_spec_check(const RoleSpec *spec, Fault *fault);

/* The output option as Start takes it: "file:/x". The caller frees. */
char *role_spec_output(const RoleSpec *spec);
