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

/* When its Start is successful. */
typedef enum RoleType {
        ROLE_TYPE_EXEC,    /* its command has been executed */
        ROLE_TYPE_NOTIFY,  /* it has sent READY=1 */
        ROLE_TYPE_ONESHOT, /* it has ended with success */
        _ROLE_TYPE_MAX,
        _ROLE_TYPE_INVALID = -EINVAL,
} RoleType;

DECLARE_STRING_TABLE(role_type, RoleType);

/* Which of its processes may send messages of sd_notify(3). */
typedef enum NotifyAccess {
        NOTIFY_ACCESS_DEFAULT, /* the main process, if an option makes a socket for them */
        NOTIFY_ACCESS_MAIN,
        NOTIFY_ACCESS_ALL,
        _NOTIFY_ACCESS_MAX,
        _NOTIFY_ACCESS_INVALID = -EINVAL,
} NotifyAccess;

DECLARE_STRING_TABLE(notify_access, NotifyAccess); /* the default is "" */

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

/* What other roles are to a role. The names and the meaning are those of systemd.unit(5), except that a role
 * that is wanted or needed is also waited for. */
typedef enum Dependency {
        DEPENDENCY_AFTER,    /* if the other starts, too, this one waits until it is ready */
        DEPENDENCY_WANTS,    /* the other is started, and waited for */
        DEPENDENCY_REQUIRES, /* the same; this one fails without it, and stops when it is stopped */
        DEPENDENCY_BINDS_TO, /* the same, and this one also stops when the other ends by itself */
        DEPENDENCY_PART_OF,  /* this one is stopped and restarted with the other */
        _DEPENDENCY_MAX,
        _DEPENDENCY_INVALID = -EINVAL,
} Dependency;

DECLARE_STRING_TABLE(dependency, Dependency); /* the names of the options */

/* Returns whether the other is before this one in the order of starts, and after it in that of stops. */
static inline bool dependency_orders(Dependency dependency) {
        return dependency != DEPENDENCY_PART_OF;
}

/* Returns whether this one cannot run without the other. */
static inline bool dependency_needs(Dependency dependency) {
        return dependency == DEPENDENCY_REQUIRES || dependency == DEPENDENCY_BINDS_TO;
}

/* Returns whether a start of this one starts the other. */
static inline bool dependency_pulls(Dependency dependency) {
        return dependency == DEPENDENCY_WANTS || dependency_needs(dependency);
}

/* After which ends a role is started again, as Restart= of systemd. */
typedef enum RestartPolicy {
        RESTART_NO,
        RESTART_ON_SUCCESS,
        RESTART_ON_FAILURE,
        RESTART_ON_ABNORMAL,
        RESTART_ON_ABORT,
        RESTART_ON_WATCHDOG,
        RESTART_ALWAYS,
        _RESTART_POLICY_MAX,
        _RESTART_POLICY_INVALID = -EINVAL,
} RestartPolicy;

DECLARE_STRING_TABLE(restart_policy, RestartPolicy);

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
#define ROLE_GROUPS_MAX 64U
#define ROLE_DEPENDENCIES_MAX 1024U /* names in each of the five options */
#define ENVIRONMENT_FILES_MAX 64U
#define ROLE_COMMANDS_MAX 64U /* commands of each of exec-start-pre and its like */
#define SIGNAL_MAX 64
#define MANAGED_BY_MAX 255U       /* bytes */
#define EXIT_STATUS_LIST_MAX 256U /* entries of success-exit-status and restart-prevent-exit-status */
#define RESTART_USEC_DEFAULT (100 * USEC_PER_MSEC)
#define START_LIMIT_INTERVAL_DEFAULT_USEC (10 * USEC_PER_SEC)
#define START_LIMIT_BURST_DEFAULT 5U
/* Of a role that another user than root has started and to whom its cgroup is delegated. The keeper, which
 * serves all roles, walks over them. */
#define ROLE_CGROUPS_MAX 256U

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
        bool output_timestamps; /* only with a path */
        bool default_sigpipe;   /* the option ignore-sigpipe is false */
        ExitType exit_type;
        int stop_signal;
        StopTo stop_to;
        bool stop_timeout_set;      /* if false, DefaultStopTimeout= of the node applies */
        uint64_t stop_timeout_usec; /* USEC_INFINITY: SIGKILL is never sent */
        RoleType type;
        bool timeout_start_set;      /* if false, the type has the default */
        uint64_t timeout_start_usec; /* 0 and USEC_INFINITY: it may take any time */
        NotifyAccess notify_access;
        uint64_t watchdog_usec; /* 0 and USEC_INFINITY: it is not watched */
        int watchdog_signal;
        MonitorLoss on_monitor_loss;
        bool nice_set;
        int nice;
        uint64_t limits_set; /* bit RLIMIT_x */
        uint64_t limits[RLIMIT_COUNT];
        bool remove;
        uint64_t memory_max; /* in bytes; in all three, 0 sets no limit */
        uint64_t tasks_max;
        uint64_t cpu_quota; /* percent of one CPU */

        /* Restarts (role-restart.h). */
        RestartPolicy restart;
        uint64_t restart_usec;
        uint64_t restart_steps;          /* 0: the delay does not grow */
        uint64_t restart_max_delay_usec; /* USEC_INFINITY: the same */
        char **success_exit_status;      /* in both, entries of exit_status_is_in() */
        char **restart_prevent_exit_status;
        uint64_t start_limit_interval_usec; /* with 0 of one of the two there is no limit */
        uint64_t start_limit_burst;

        /* The products (products.h). */
        char *product; /* NULL if there is none; a list may exist */
        char *version; /* NULL selects the default of the provider */
        char **setup_args;
        /* Product, version, product, version...; an empty version selects the default of the provider. */
        char **eups_list;
        bool provider_set; /* if false, ProductProvider= of the node when the role is started */
        ProductProvider provider;
        GArray *ports[_ROLE_PORTS_MAX];       /* of uint16_t, or NULL */
        char **role_groups;                   /* each once; NULL if there are none */
        char **dependencies[_DEPENDENCY_MAX]; /* names of roles, each once in one of them; or NULL */
        char **environment_files; /* paths, which begin with '-' if the file may be missing; or NULL */
        /* The role file that defines it, with a hash of what that and its drop-ins say; NULL for a role that
         * is started with a command. */
        char *definition;
        char *definition_hash;
        char *cpu_affinity; /* see cpu-list.h; NULL sets none */
        bool oom_score_adjust_set;
        int oom_score_adjust; /* 0 if it is not set */
        uint64_t cpu_weight;  /* in all three, 0 sets none */
        uint64_t io_weight;
        uint64_t memory_high; /* in bytes */
        bool delegate;        /* its cgroup belongs to the role's user, who may make others below it */
        /* Commands, see command-list.h; NULL if there are none: before its own, before the stop signal, and
         * when nothing is left of it. */
        char **exec_start_pre;
        char **exec_stop;
        char **exec_stop_post;
        /* The lease without which nobody may change it, and what the call of Start has given as its token;
         * NULL and 0 for none. The token is checked when it starts, and kept to tell by which start it was.
         */
        char *lease;
        uint64_t fencing_token;
        char *managed_by; /* KIND:NAME of the manager that starts and stops it; NULL for none */
        /* What it runs as if another user than root starts it, looked up before it was decided whether this
         * user may; then user is its name. NULL for a role of root, whose user and group are looked up when
         * it starts. */
        Account *account;
};

extern const RoleSpec role_spec_defaults;

/* Return a value with all defaults, or one of its own with what this one has. The caller frees it with
 * role_spec_free(). */
RoleSpec *role_spec_new(void);
RoleSpec *role_spec_copy(const RoleSpec *spec);
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
int role_spec_set_type(RoleSpec *spec, const char *type, Fault *fault);
int role_spec_set_notify_access(RoleSpec *spec, const char *access, Fault *fault);
int role_spec_set_stop_to(RoleSpec *spec, const char *stop_to, Fault *fault);
int role_spec_set_on_monitor_loss(RoleSpec *spec, const char *loss, Fault *fault);
int role_spec_set_lease(RoleSpec *spec, const char *lease, Fault *fault);
int role_spec_set_managed_by(RoleSpec *spec, const char *manager, Fault *fault);
int role_spec_set_restart(RoleSpec *spec, const char *policy, Fault *fault);
int role_spec_set_success_exit_status(RoleSpec *spec, char **entries, Fault *fault);
int role_spec_set_restart_prevent_exit_status(RoleSpec *spec, char **entries, Fault *fault);
int role_spec_add_limit(RoleSpec *spec, const char *name, uint64_t value, Fault *fault);
int role_spec_set_product(RoleSpec *spec, const char *product, Fault *fault);
int role_spec_set_version(RoleSpec *spec, const char *version, Fault *fault);
int role_spec_set_setup_args(RoleSpec *spec, char **arguments, Fault *fault);
int role_spec_add_eups(RoleSpec *spec, const char *product, const char *version, Fault *fault);
int role_spec_set_provider(RoleSpec *spec, const char *provider, Fault *fault);
/* Adds to those that it has. */
int role_spec_set_cpu_affinity(RoleSpec *spec, const char *cpus, Fault *fault);
/* Also refuses those that would replace the terminal or the command of xterm. */
int role_spec_set_xterm_args(RoleSpec *spec, char **args, Fault *fault);
int role_spec_set_ports(RoleSpec *spec, RolePorts which, const uint64_t *numbers, size_t n, Fault *fault);

/* Returns the text that refuses a name which is not valid for a role, with one that is valid if the name has
 * something of it, see role_name_suggest(). what is "role name", or what else has such names. The caller
 * frees it. */
char *role_spec_refuse_name(const char *what, const char *name);
int role_spec_set_role_groups(RoleSpec *spec, char **groups, Fault *fault);
int role_spec_set_dependencies(RoleSpec *spec, Dependency which, char **names, Fault *fault);
int role_spec_set_environment_files(RoleSpec *spec, char **files, Fault *fault);
/* Adds a command to a list of them, a member of the spec, see command-list.h. option is its name. */
int role_spec_add_command(char ***list, const char *option, char **words, Fault *fault);

bool role_spec_has_ports(const RoleSpec *spec);
/* Returns whether the role has this dependency on that other role, whether it cannot run without that, and
 * whether it has any dependency on any. */
bool role_spec_depends(const RoleSpec *spec, Dependency which, const char *name);
bool role_spec_needs(const RoleSpec *spec, const char *name);
bool role_spec_has_dependencies(const RoleSpec *spec);
/* Returns whether it is watched, and whether it has a socket for messages of sd_notify(3). */
bool role_spec_is_watched(const RoleSpec *spec);
bool role_spec_notifies(const RoleSpec *spec);
/* Returns whether it has commands beside its own. */
bool role_spec_has_hooks(const RoleSpec *spec);

/* How many cgroups the role may have below that of its scope; 0: any number. */
unsigned role_spec_cgroups_max(const RoleSpec *spec);

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
