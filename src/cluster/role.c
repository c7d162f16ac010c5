/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ocf:architect:role, the agent with which Pacemaker runs a role of the node on one of the hosts of a
 * cluster. It is a program that ends after one action, and knows nothing of Pacemaker but the OCF standard:
 * the action is its argument, the parameters are in its environment, and the result is its exit status. */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cgroup-util.h"
#include "base/exit-status.h"
#include "base/parse-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "bus/option-values.h"
#include "cluster/node-calls.h"
#include "cluster/role-check.h"
#include "cluster/role-metadata.h"
#include "client/node-client.h"
#include "client/properties.h"
#include "model/role-option-text.h"
#include "model/words.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"

/* The exit statuses of the OCF resource agent API. */
typedef enum Ocf {
        OCF_SUCCESS = 0,
        OCF_ERR_GENERIC = 1,
        OCF_ERR_ARGS = 2,
        OCF_ERR_UNIMPLEMENTED = 3,
        OCF_ERR_PERM = 4,
        OCF_ERR_INSTALLED = 5,  /* not on this host: tried elsewhere */
        OCF_ERR_CONFIGURED = 6, /* on no host */
        OCF_NOT_RUNNING = 7,
} Ocf;

/* Without it in the environment, for who runs the agent by hand. */
#define DEFAULT_TIMEOUT_MSEC 20000U
/* Of a monitor, OCF_CHECK_LEVEL. */
#define DEEP_CHECK_LEVEL 10
/* The lease comes back a moment after the host has joined the cluster again. */
#define LEASE_LOOK_MSEC 200

typedef struct RoleAgent {
        const char *name, *resource, *lease;
        uint64_t begin_usec, timeout_usec;
        bool is_probe, is_deep;
        char **command; /* NULL: what its definition says */
        char **check;   /* NULL: nothing is looked at but the role itself */
        RoleSpec *spec;
        GPtrArray *given; /* of const RoleOption *, those that the parameters set */
        NodeCalls calls;
} RoleAgent;

/* What the node says of the role. */
typedef struct RoleState {
        char *state, *exit_code, *cause, *result, *lease, *managed_by;
        char *user, *directory;
        int32_t exit_status;
        uint64_t next_start_usec;
        bool ready;
} RoleState;

#define PROPERTY(name, signature, member) \
        { name, signature, offsetof(RoleState, member) }
static const Property role_state_properties[] = {
        PROPERTY("State", "s", state),
        PROPERTY("ExitCode", "s", exit_code),
        PROPERTY("ExitStatus", "i", exit_status),
        PROPERTY("Cause", "s", cause),
        PROPERTY("Result", "s", result),
        PROPERTY("Lease", "s", lease),
        PROPERTY("ManagedBy", "s", managed_by),
        PROPERTY("User", "s", user),
        PROPERTY("WorkingDirectory", "s", directory),
        PROPERTY("NextStartUSec", "t", next_start_usec),
        PROPERTY("Ready", "b", ready),
};

static void role_state_clear(RoleState *state) {
        properties_clear(role_state_properties, ELEMENTSOF(role_state_properties), state);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RoleState, role_state_clear)

/* Pacemaker shows what stands after this word with the failed action. */
static Ocf _printf_(2, 3) agent_fail(Ocf status, const char *format, ...) {
        const char *prefix = getenv("OCF_EXIT_REASON_PREFIX");
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        /* One line is the reason. */
        (void) fprintf(stderr, "%s%s\n", prefix ?: "ocf-exit-reason:", g_strdelimit(text, "\n", ' '));
        return status;
}

/* -- parameters -- */

static const char *agent_parameter(const char *name) {
        g_autofree char *variable = g_strconcat("OCF_RESKEY_", name, NULL);
        const char *value = getenv(variable);

        return value && *value ? value : NULL;
}

static Ocf agent_set(RoleAgent *agent, const char *parameter, const char *file_key, const char *value) {
        const RoleOption *option = role_option_find_file_key(file_key);
        g_auto(Fault) fault = {};

        if (!option || !role_option_whole(option)->key)
                return agent_fail(OCF_ERR_CONFIGURED, "%s: there is no option %s=", parameter, file_key);
        if (role_option_set_from_text(agent->spec, option, value, &fault) < 0)
                return agent_fail(
                        fault.error == NODE_ERROR_NOT_SUPPORTED ? OCF_ERR_INSTALLED : OCF_ERR_CONFIGURED,
                        "%s: %s", parameter, fault.message);
        option = role_option_whole(option);
        if (!g_ptr_array_find(agent->given, option, NULL))
                g_ptr_array_add(agent->given, (void *) option);
        return OCF_SUCCESS;
}

static Ocf agent_read_options(RoleAgent *agent) {
        static const struct {
                const char *parameter, *file_key, *by_default;
        } options[] = {
                { "user", "User", NULL },
                { "directory", "WorkingDirectory", NULL },
                { "env", "Environment", NULL },
                { "stop_timeout", "TimeoutStopSec", NULL },
                { "on_monitor_loss", "OnMonitorLoss", "kill" },
        };
        /* It is the cluster that starts the role, here or elsewhere, and its parameters say the rest. */
        static const char *const own[] = { "Restart", "Lease", "ManagedBy", NULL };
        g_auto(GStrv) words = NULL;
        g_auto(Fault) fault = {};
        const char *text;

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                const char *value = agent_parameter(options[i].parameter) ?: options[i].by_default;
                Ocf status;

                if (!value)
                        continue;
                status = agent_set(agent, options[i].parameter, options[i].file_key, value);
                if (status != OCF_SUCCESS)
                        return status;
        }

        text = agent_parameter("options");
        if (text && words_split(text, WORDS_SHELL, &words, &fault) < 0)
                return agent_fail(OCF_ERR_CONFIGURED, "options: %s", fault.message);
        for (char **word = words; word && *word; word++) {
                char *equals = strchr(*word, '=');
                Ocf status;

                if (!equals)
                        return agent_fail(OCF_ERR_CONFIGURED,
                                "options: \"%s\" is not KEY=VALUE, as TasksMax=50 is", *word);
                *equals = '\0';
                if (g_strv_contains(own, *word))
                        return agent_fail(OCF_ERR_CONFIGURED, "options: %s= is the cluster's", *word);
                status = agent_set(agent, "options", *word, equals + 1);
                if (status != OCF_SUCCESS)
                        return status;
        }
        return OCF_SUCCESS;
}

/* The lightest level, 0, looks at the role. The next one, 10, is "expected to be called multiple times per
 * minute", which is for the author of the command to meet; a higher one falls back to it, as the standard
 * recommends. */
static Ocf agent_read_check(RoleAgent *agent) {
        const char *text = agent_parameter("check"), *level = getenv("OCF_CHECK_LEVEL");
        g_auto(Fault) fault = {};
        uint32_t number = 0;

        if (level && *level && parse_u32(level, &number) < 0)
                return agent_fail(OCF_ERR_CONFIGURED, "OCF_CHECK_LEVEL: \"%s\" is not a number", level);
        if (text && words_split(text, WORDS_SHELL, &agent->check, &fault) < 0)
                return agent_fail(OCF_ERR_CONFIGURED, "check: %s", fault.message);
        if (agent->check && !*agent->check)
                return agent_fail(OCF_ERR_CONFIGURED, "check: there is no command");
        agent->is_deep = number >= DEEP_CHECK_LEVEL;
        return OCF_SUCCESS;
}

/* An instance of a clone is named RESOURCE:NUMBER. */
static char *agent_resource_name(void) {
        const char *instance = getenv("OCF_RESOURCE_INSTANCE");

        return g_strndup(instance ?: "", instance ? strcspn(instance, ":") : 0);
}

static Ocf agent_read(RoleAgent *agent) {
        const char *instance = agent_parameter("instance") ?: NODE_DEFAULT_INSTANCE;
        const char *timeout = getenv("OCF_RESKEY_CRM_meta_timeout");
        const char *interval = getenv("OCF_RESKEY_CRM_meta_interval");
        const char *command = agent_parameter("command");
        g_auto(Fault) fault = {};
        uint32_t msec = DEFAULT_TIMEOUT_MSEC;

        agent->begin_usec = now_usec(CLOCK_MONOTONIC);
        if (timeout)
                (void) parse_u32(timeout, &msec);
        agent->timeout_usec = msec * USEC_PER_MSEC;
        agent->is_probe = interval && strcmp(interval, "0") == 0;
        agent->resource = agent_resource_name();
        agent->name = agent_parameter("role") ?: agent->resource;
        agent->lease = agent_parameter("lease") ?: "cluster";
        agent->spec = role_spec_new();
        agent->given = g_ptr_array_new();
        node_calls_init(&agent->calls, instance);

        if (!*agent->resource)
                return agent_fail(OCF_ERR_ARGS, "OCF_RESOURCE_INSTANCE is not set");
        if (!instance_name_is_valid(instance))
                return agent_fail(
                        OCF_ERR_CONFIGURED, "instance: \"%s\" is not the name of an instance", instance);
        if (!role_name_is_valid(agent->name))
                return agent_fail(OCF_ERR_CONFIGURED, "role: \"%s\" is not the name of a role", agent->name);
        if (command && words_split(command, WORDS_SHELL, &agent->command, &fault) < 0)
                return agent_fail(OCF_ERR_CONFIGURED, "command: %s", fault.message);
        Ocf status = agent_read_check(agent);
        return status == OCF_SUCCESS ? agent_read_options(agent) : status;
}

/* Lets no call take longer than these percent of the time of the action. */
static void agent_limit(RoleAgent *agent, unsigned percent) {
        agent->calls.deadline_usec = agent->begin_usec + agent->timeout_usec / 100 * percent;
}

/* -- calls -- */

static Ocf agent_report(const RoleAgent *agent, int r, const sd_bus_error *error) {
        if (r == -EHOSTDOWN)
                return agent_fail(
                        OCF_ERR_GENERIC, "architect-node does not answer: %s", error->message ?: error->name);

        switch (node_error_from_string(error->name)) {
        case NODE_ERROR_EXEC_FAILED:
        case NODE_ERROR_SETUP_FAILED:
        case NODE_ERROR_NO_SUCH_DEFINITION:
        case NODE_ERROR_BAD_DEFINITION:
        case NODE_ERROR_NOT_SUPPORTED:
                return agent_fail(OCF_ERR_INSTALLED, "%s", error->message);
        case NODE_ERROR_INVALID_ARGS:
        case NODE_ERROR_INVALID_ROLE_NAME:
                return agent_fail(OCF_ERR_CONFIGURED, "%s", error->message);
        case NODE_ERROR_ACCESS_DENIED:
                return agent_fail(OCF_ERR_PERM, "%s", error->message);
        default:
                return agent_fail(OCF_ERR_GENERIC, "%s", error->message ?: error->name);
        }
}

static int agent_fill_string(sd_bus_message *call, const void *text) {
        return sd_bus_message_append_basic(call, 's', text);
}

/* Returns 0 if there is no such role, 1 if there is, or as node_call(). */
static int agent_get_state(RoleAgent *agent, bool start, sd_bus_error *error, RoleState *ret) {
        g_autoptr(sd_bus_message) reply = NULL;
        _cleanup_free_ char *path = role_object_path(agent->name);

        if (!path) {
                (void) sd_bus_error_set_errno(error, ENOMEM);
                return -ENOMEM;
        }
        int r = node_call(&agent->calls, start, path, "org.freedesktop.DBus.Properties", "GetAll",
                agent_fill_string, NODE_ROLE_INTERFACE, error, &reply);
        if (r < 0)
                return sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT) ? 0 : r;
        r = properties_read(reply, role_state_properties, ELEMENTSOF(role_state_properties), ret);
        if (r >= 0 && (!ret->state || !ret->exit_code || !ret->cause || !ret->result))
                r = -EBADMSG;
        return r < 0 ? sd_bus_error_set_errno(error, r) : 1;
}

/* A oneshot that has done its work stays active until it is stopped, as with RemainAfterExit=yes of systemd.
 */
static bool role_state_is_up(const RoleState *state) {
        return strcmp(state->state, "ended") != 0 || state->next_start_usec != 0 || state->ready;
}

/* Nobody has to do anything about such an end: it was requested, or the role had done its work. */
static bool role_state_ended_well(const RoleState *state) {
        static const char *const requested[] = { "stop", "kill", "shutdown", "monitor", "dependency", NULL };

        return g_strv_contains(requested, state->cause) ||
               (strcmp(state->exit_code, exit_code_to_string(EXIT_CODE_EXITED)) == 0 &&
                       strcmp(state->result, "success") == 0);
}

static char *role_state_end(const RoleState *state) {
        if (strcmp(state->exit_code, exit_code_to_string(EXIT_CODE_EXITED)) == 0)
                return g_strdup_printf("exited with status %" PRIi32, state->exit_status);
        if (strcmp(state->exit_code, exit_code_to_string(EXIT_CODE_LOST)) == 0)
                return g_strdup("ended in an unknown way");
        return g_strdup_printf("killed by signal %" PRIi32 "%s, cause %s", state->exit_status,
                strcmp(state->exit_code, exit_code_to_string(EXIT_CODE_DUMPED)) == 0 ? " with a core dump"
                                                                                     : "",
                state->cause);
}

static bool role_state_is_ours(const RoleState *state, const RoleAgent *agent) {
        return g_strcmp0(state->lease, agent->lease) == 0;
}

/* -- monitor -- */

/* The node restarts or is gone. Its roles run without it, and what systemd has of them are their processes.
 */
static Ocf agent_monitor_scope(RoleAgent *agent, const sd_bus_error *error) {
        g_autofree char *cgroup = NULL;
        bool populated;

        agent_limit(agent, 90);
        int r = node_calls_get_scope(&agent->calls, agent->name, &cgroup);
        if (r < 0)
                return agent_fail(
                        OCF_ERR_GENERIC, "neither architect-node nor systemd answers: %s", error->message);
        /* systemd forgets a scope a moment after its last process has ended. */
        if (*cgroup && (cgroup_events(cgroup, &populated, NULL) < 0 || populated))
                return OCF_SUCCESS;
        if (agent->is_probe)
                return OCF_NOT_RUNNING;
        return agent_fail(OCF_ERR_GENERIC, "role %s has no process, and architect-node does not answer: %s",
                agent->name, error->message ?: error->name);
}

/* A role that starts, or stops, need not do its work yet, or any more. */
static Ocf agent_monitor_deep(RoleAgent *agent, const RoleState *state) {
        if (!agent->is_deep || agent->is_probe || !agent->check || strcmp(state->state, "starting") == 0 ||
                strcmp(state->state, "stopping") == 0)
                return OCF_SUCCESS;
        agent_limit(agent, 90);
        g_autofree char *end = role_check_run(&(RoleCheck){
                .command = agent->check,
                .user = state->user ?: "",
                .directory = state->directory ?: "",
                .deadline_usec = agent->calls.deadline_usec,
        });
        return end ? agent_fail(OCF_ERR_GENERIC, "role %s runs, but its check %s", agent->name, end)
                   : OCF_SUCCESS;
}

static Ocf agent_monitor(RoleAgent *agent) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_auto(RoleState) state = {};

        agent_limit(agent, 60);
        /* A service that was stopped is not started by somebody who only looks. */
        int r = agent_get_state(agent, false, &error, &state);
        if (r == -EHOSTDOWN)
                return agent_monitor_scope(agent, &error);
        if (r < 0)
                return agent_report(agent, r, &error);
        if (r == 0)
                return OCF_NOT_RUNNING;

        if (role_state_is_up(&state)) {
                if (agent->is_probe || role_state_is_ours(&state, agent))
                        return agent_monitor_deep(agent, &state);
                /* The dead man's switch would not end it, so the cluster must not count on it. */
                return agent_fail(OCF_ERR_GENERIC,
                        "role %s runs without the lease %s: the cluster has not started it", agent->name,
                        agent->lease);
        }
        /* Nothing is left of it. As a failure it would be a second copy that has to be stopped. */
        if (agent->is_probe || role_state_ended_well(&state))
                return OCF_NOT_RUNNING;
        g_autofree char *end = role_state_end(&state);
        return agent_fail(OCF_ERR_GENERIC, "role %s %s", agent->name, end);
}

/* -- start -- */

static int agent_fill_start(sd_bus_message *call, const void *arguments) {
        const RoleAgent *agent = arguments;
        g_autofree char *manager = g_strconcat("pacemaker:", agent->resource, NULL);

        int r = sd_bus_message_append_basic(call, 's', agent->name);
        if (r >= 0)
                r = sd_bus_message_append_strv(call, agent->command);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (guint i = 0; r >= 0 && i < agent->given->len; i++)
                r = option_value_append_entry(call, agent->spec, g_ptr_array_index(agent->given, i));
        /* The cluster starts it again, here or elsewhere, and counts how often. */
        if (r >= 0)
                r = sd_bus_message_append(call, "{sv}{sv}{sv}", "restart", "s", "no", "lease", "s",
                        agent->lease, "managed-by", "s", manager);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* Each host would start it by itself, whatever the cluster decides. */
static Ocf agent_check_definition(RoleAgent *agent) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) reply = NULL;
        const char *name, *file;

        if (agent->command)
                return OCF_SUCCESS;
        int r = node_call(&agent->calls, true, NODE_PATH, NODE_INTERFACE, "ListDefinitions", NULL, NULL,
                &error, &reply);
        if (r < 0)
                return agent_report(agent, r, &error);
        r = sd_bus_message_enter_container(reply, 'a', "(ssasa{sv})");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ssasa{sv}")) > 0) {
                static const Property details[] = { { "autostart", "b", 0 } };
                bool autostart = false;

                r = sd_bus_message_read(reply, "ss", &name, &file);
                if (r >= 0)
                        r = sd_bus_message_skip(reply, "as");
                if (r >= 0)
                        r = properties_read(reply, details, ELEMENTSOF(details), &autostart);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r >= 0 && strcmp(name, agent->name) == 0)
                        return autostart
                                       ? agent_fail(OCF_ERR_INSTALLED,
                                                 "%s has AutoStart=yes: this host would start role %s by itself",
                                                 file, name)
                                       : OCF_SUCCESS;
        }
        if (r < 0)
                return agent_fail(
                        OCF_ERR_GENERIC, "cannot read the reply of architect-node: %s", strerror(-r));
        return agent_fail(OCF_ERR_INSTALLED, "there is no definition of role %s on this host, and no command",
                agent->name);
}

static Ocf agent_start(RoleAgent *agent) {
        /* The start itself takes its time, too. */
        const uint64_t lease_deadline_usec = agent->begin_usec + agent->timeout_usec / 2;
        Ocf status;

        /* While this waits for the lease the host may be fenced, and then Pacemaker ends. When the host is
         * back and has its lease, the role runs elsewhere, and nobody wants this start any more. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        agent_limit(agent, 90);
        status = agent_check_definition(agent);
        while (status == OCF_SUCCESS) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_auto(RoleState) state = {};

                int r = node_call(&agent->calls, true, NODE_PATH, NODE_INTERFACE, "Start", agent_fill_start,
                        agent, &error, NULL);
                if (r >= 0)
                        return OCF_SUCCESS;
                if (r == -EHOSTDOWN)
                        return agent_report(agent, r, &error);

                switch (node_error_from_string(error.name)) {
                case NODE_ERROR_ROLE_EXISTS:
                        /* It runs already, or an earlier call has done it whose answer was lost. */
                        r = agent_get_state(agent, true, &error, &state);
                        if (r < 0)
                                return agent_report(agent, r, &error);
                        if (r > 0 && role_state_is_up(&state) && role_state_is_ours(&state, agent))
                                return OCF_SUCCESS;
                        return agent_fail(OCF_ERR_GENERIC,
                                "role %s runs already, and the cluster has not started it; stop it",
                                agent->name);
                case NODE_ERROR_NO_SUCH_LEASE:
                        /* The host has quorum, or Pacemaker would start nothing; its beat is on the way. */
                        if (now_usec(CLOCK_MONOTONIC) >= lease_deadline_usec)
                                return agent_fail(OCF_ERR_GENERIC,
                                        "nobody holds the lease %s: is architect-cluster.service active?",
                                        agent->lease);
                        (void) poll(NULL, 0, LEASE_LOOK_MSEC);
                        break;
                default:
                        return agent_report(agent, r, &error);
                }
        }
        return status;
}

/* -- stop -- */

static int agent_fill_stop(sd_bus_message *call, const void *arguments) {
        const RoleAgent *agent = arguments;

        /* The cluster stops its roles also when it has no quorum, and the lease is gone. */
        int r = sd_bus_message_append(call, "as", 1, agent->name);
        return r < 0 ? r : sd_bus_message_append(call, "a{sv}", 1, "force", "b", true);
}

/* Of the one role. *error is set if it is negative. */
static int agent_end(RoleAgent *agent, const char *member, sd_bus_error *error) {
        g_autoptr(sd_bus_message) reply = NULL;
        const char *role, *name, *message;

        int r = node_call(&agent->calls, true, NODE_PATH, NODE_INTERFACE, member, agent_fill_stop, agent,
                error, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(sss)");
        if (r >= 0)
                r = sd_bus_message_read(reply, "(sss)", &role, &name, &message);
        if (r < 0)
                return sd_bus_error_set_errno(error, r);
        if (r == 0 || *name == '\0')
                return 0;
        r = sd_bus_error_set(error, name, message);
        return sd_bus_error_has_name(error, node_error_to_string(NODE_ERROR_NO_SUCH_ROLE)) ? 0 : r;
}

static Ocf agent_stop(RoleAgent *agent) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        /* The reply is the proof that no process of the role is left. A host that fails to stop is fenced, so
         * a role that takes longer than its cluster has time for is killed. */
        agent_limit(agent, 70);
        int r = agent_end(agent, "StopMany", &error);
        if (r < 0) {
                agent_limit(agent, 85);
                r = agent_end(agent, "KillMany", &error);
        }
        if (r >= 0)
                return OCF_SUCCESS;
        if (r != -EHOSTDOWN)
                return agent_report(agent, r, &error);

        agent_limit(agent, 95);
        r = node_calls_kill_scope(&agent->calls, agent->name);
        if (r < 0)
                return agent_fail(OCF_ERR_GENERIC,
                        "architect-node does not answer (%s), and systemd cannot kill %s: %s", error.message,
                        agent->name, strerror(-r));
        return OCF_SUCCESS;
}

/* -- main -- */

static Ocf agent_validate(RoleAgent *agent) {
        agent_limit(agent, 90);
        return agent_check_definition(agent);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                Ocf (*run)(RoleAgent *agent);
        } actions[] = {
                { "start", agent_start },
                { "stop", agent_stop },
                { "monitor", agent_monitor },
                { "status", agent_monitor },
                { "validate-all", agent_validate },
        };
        static RoleAgent agent;

        if (argc == 2 && strcmp(argv[1], "meta-data") == 0) {
                (void) fputs(role_metadata, stdout);
                return OCF_SUCCESS;
        }
        for (size_t i = 0; argc == 2 && i < ELEMENTSOF(actions); i++) {
                if (strcmp(argv[1], actions[i].name) != 0)
                        continue;
                Ocf status = agent_read(&agent);
                return (int) (status == OCF_SUCCESS ? actions[i].run(&agent) : status);
        }
        (void) fputs("usage: role start|stop|monitor|validate-all|meta-data\n\nSee ocf_architect_role(7).\n",
                stderr);
        return OCF_ERR_UNIMPLEMENTED;
}
