/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A RoleSpec has the checked options of a Start, including the command. They never change once the role
 * exists. */

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

/* What ends the role. */
typedef enum ExitType {
        EXIT_TYPE_MAIN,   /* the end of its main process */
        EXIT_TYPE_CGROUP, /* the end of its last process */
        _EXIT_TYPE_MAX,
        _EXIT_TYPE_INVALID = -EINVAL,
} ExitType;

DECLARE_STRING_TABLE(exit_type, ExitType);

/* The action for the role when the monitor times out. If it is not set, MonitorAction= of the node
 * applies. */
typedef enum MonitorLoss {
        MONITOR_LOSS_DEFAULT,
        MONITOR_LOSS_KEEP,
        MONITOR_LOSS_STOP,
        MONITOR_LOSS_KILL,
        _MONITOR_LOSS_MAX,
        _MONITOR_LOSS_INVALID = -EINVAL,
} MonitorLoss;

DECLARE_STRING_TABLE(monitor_loss, MonitorLoss); /* the default is "" */

/* Reserved ports, which the role receives as open sockets or which its exec releases. */
typedef enum RolePorts {
        ROLE_PORTS_TCP,
        ROLE_PORTS_UDP,
        ROLE_PORTS_RELEASE,
        _ROLE_PORTS_MAX,
        _ROLE_PORTS_INVALID = -EINVAL,
} RolePorts;

DECLARE_STRING_TABLE(role_ports, RolePorts); /* the names of the options */

#define ACCOUNT_NAME_MAX 256U /* LOGIN_NAME_MAX of Linux */
#define ROLE_STOP_TIMEOUT_DEFAULT_USEC (10 * USEC_PER_SEC)

#define ROLE_COMMAND_ARGS_MAX 4096U           /* arguments */
#define ROLE_COMMAND_SIZE_MAX (1024U * 1024U) /* bytes of arguments and environment together */
#define ROLE_ENVIRONMENT_MAX 1000U            /* variables */
#define ROLE_PORTS_EACH_MAX 256U              /* ports of each of the three kinds */
#define PRODUCT_LIST_MAX 256U                 /* products of eups-list, arguments of setup-args */
#define PRODUCT_TEXT_MAX 255U                 /* bytes of a name or a version */
#define PRODUCT_ARGUMENT_MAX 4096U            /* bytes of an argument */
#define XTERM_ARGS_MAX 256U                   /* arguments */
#define SIGNAL_MAX 64

/* The software that sets products up. */
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
        char *working_directory; /* NULL for / */
        char *user;
        char *group;
        RoleStdin stdin_kind;
        bool stdin_set; /* set by an option, not the default */
        bool xterm;     /* a window on its pty */
        char **xterm_args;
        LaunchOutput output;
        char *output_path;
        bool default_sigpipe; /* the option ignore-sigpipe is false */
        ExitType exit_type;
        int stop_signal;
        StopTo stop_to;
        bool stop_timeout_set;      /* if false, DefaultStopTimeout= of the node applies */
        uint64_t stop_timeout_usec; /* USEC_INFINITY: SIGKILL is never sent */
        MonitorLoss on_monitor_loss;
        bool nice_set;
        int nice;
        uint64_t limits_set; /* bit RLIMIT_x */
        uint64_t limits[RLIMIT_COUNT];
        bool remove;
        uint64_t memory_max; /* in bytes; in all three, 0 sets no limit */
        uint64_t tasks_max;
        uint64_t cpu_quota; /* percent of one CPU */

        /* The products (products.h). */
        char *product; /* NULL if there is none; a list may exist */
        char *version; /* NULL selects the default of the provider */
        char **setup_args;
        /* Product, version, product, version...; an empty version selects the default of the provider. */
        char **eups_list;
        bool provider_set; /* if false, ProductProvider= of the node when the role is started */
        ProductProvider provider;
        GArray *ports[_ROLE_PORTS_MAX]; /* of uint16_t, or NULL */
        /* What it runs as if another user than root starts it, looked up before it was decided whether this
         * user may; then user is its name. NULL for a role of root, whose user and group are looked up when
         * it starts. */
        Account *account;
};

/* Returns a value with all defaults. The caller frees it with role_spec_free(). */
RoleSpec *role_spec_new(void);
RoleSpec *role_spec_free(RoleSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RoleSpec, role_spec_free)

/* Each checks one value and copies it. Fails with InvalidArgs; the message names the option. */
int role_spec_set_command(RoleSpec *spec, char **command, Fault *fault);
int role_spec_add_environment(RoleSpec *spec, const char *name, const char *value, Fault *fault);
int role_spec_set_working_directory(RoleSpec *spec, const char *path, Fault *fault);
int role_spec_set_user(RoleSpec *spec, const char *user, Fault *fault);
int role_spec_set_group(RoleSpec *spec, const char *group, Fault *fault);
int role_spec_set_stdin(RoleSpec *spec, const char *kind, Fault *fault);
int role_spec_set_output(RoleSpec *spec, const char *output, Fault *fault);
int role_spec_set_exit_type(RoleSpec *spec, const char *exit_type, Fault *fault);
int role_spec_set_stop_to(RoleSpec *spec, const char *stop_to, Fault *fault);
int role_spec_set_on_monitor_loss(RoleSpec *spec, const char *loss, Fault *fault);
int role_spec_add_limit(RoleSpec *spec, const char *name, uint64_t value, Fault *fault);
int role_spec_set_product(RoleSpec *spec, const char *product, Fault *fault);
int role_spec_set_version(RoleSpec *spec, const char *version, Fault *fault);
int role_spec_set_setup_args(RoleSpec *spec, char **arguments, Fault *fault);
int role_spec_add_eups(RoleSpec *spec, const char *product, const char *version, Fault *fault);
int role_spec_set_provider(RoleSpec *spec, const char *provider, Fault *fault);
/* Also refuses those that would replace the terminal or the command of xterm. */
int role_spec_set_xterm_args(RoleSpec *spec, char **args, Fault *fault);
int role_spec_set_ports(RoleSpec *spec, RolePorts which, const uint64_t *numbers, size_t n, Fault *fault);

bool role_spec_has_ports(const RoleSpec *spec);

/* Called after all options are read. Checks the combination of those of the terminal, and sets the pty that a
 * window requires. Fails with InvalidArgs. */
int role_spec_finish_terminal(RoleSpec *spec, Fault *fault);

/* Checks the options together, such as the size of command and environment, or a port in two lists. Fails
 * with InvalidArgs. */
int role_spec_check(const RoleSpec *spec, Fault *fault);

/* For a user who is not root: copies the account, and sets the user and, if there is one, the group to the
 * names of it. */
void role_spec_become(RoleSpec *spec, const Account *account);

/* Returns the option output in the form of Start ("file:/x"). The caller frees it. */
char *role_spec_output(const RoleSpec *spec);
