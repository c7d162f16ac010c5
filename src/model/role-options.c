/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/cgroup-util.h"
#include "model/role-options.h"

/* -- the table -- */

#define OPTION(name, file, saved, ...) \
        { .key = name, file, .saved_key = saved, __VA_ARGS__ }
#define SYSTEMD(name) .file_key = name, .systemd = true
#define OURS(name) .file_key = name

#define HAS_TYPE(member, type) __builtin_types_compatible_p(typeof(((RoleSpec *) NULL)->member), type)
#define STORED(member, type) \
        .offset = offsetof(RoleSpec, member) + 0 * sizeof(char[HAS_TYPE(member, type) ? 1 : -1]), \
        .size = sizeof(type)
#define MEMBER(member, type, name) STORED(member, type), .field = &role_field_##name
#define GIVEN(member) .given = offsetof(RoleSpec, member) + 0 * sizeof(char[HAS_TYPE(member, bool) ? 1 : -1])

#define KIND(type, name) .signature = type, .kind = ROLE_OPTION_##name
#define STRING(set) KIND("s", STRING), .set_string = set
#define STRINGS(set, n) KIND("as", STRINGS), .set_strings = set, .max = n
#define COMMANDS(member) \
        KIND("aas", COMMANDS), .max = ROLE_COMMAND_ARGS_MAX, MEMBER(member, char **, commands)
#define PAIRS(add) KIND("a(ss)", PAIRS), .add_strings = add
#define STRING_ENTRIES(add) KIND("a{ss}", STRING_ENTRIES), .add_strings = add
#define UNSIGNED_ENTRIES(add) KIND("a{st}", UNSIGNED_ENTRIES), .add_unsigned = add
#define FLAG KIND("b", FLAG)
/* The member is an int. */
#define SIGNED(lowest, highest, spelling) \
        KIND("i", SIGNED), .signed_min = lowest, .signed_max = highest, .number = ROLE_NUMBER_##spelling
/* The member is a uint64_t. */
#define UNSIGNED(lowest, highest, spelling) \
        KIND("t", UNSIGNED), .min = lowest, .max = highest, .number = ROLE_NUMBER_##spelling
#define COUNT(highest) KIND("u", UNSIGNED), .min = 0, .max = highest, .number = ROLE_NUMBER_PLAIN
#define SCOPE_LIMIT(highest, spelling, needs) UNSIGNED(1, highest, spelling), .controller = needs
#define SCOPE_LIMIT_V2(highest, spelling, needs) SCOPE_LIMIT(highest, spelling, needs), .v2 = true
#define PORTS(which) KIND("aq", PORTS), .ports = which, MEMBER(ports[which], GArray *, ports)
#define DEPENDENCY(which) \
        MEMBER(dependencies[DEPENDENCY_##which], char **, strv), \
                STRINGS(role_option_set_##which, ROLE_DEPENDENCIES_MAX)
#define LIMIT(name, spelling) \
        { \
                SYSTEMD("Limit" #name), .part_of = "limits", UNSIGNED(0, UINT64_MAX, spelling), \
                                        .resource = RLIMIT_##name, STORED(limits[RLIMIT_##name], uint64_t) \
        }

#define DEFINE_SET_DEPENDENCY(which) \
        static int role_option_set_##which(RoleSpec *spec, char **names, Fault *fault) { \
                return role_spec_set_dependencies(spec, DEPENDENCY_##which, names, fault); \
        }

DEFINE_SET_DEPENDENCY(AFTER)
DEFINE_SET_DEPENDENCY(WANTS)
DEFINE_SET_DEPENDENCY(REQUIRES)
DEFINE_SET_DEPENDENCY(BINDS_TO)
DEFINE_SET_DEPENDENCY(PART_OF)

/* A member of RoleSpec that is missing fails test-node-state. tests/bus/test-option-lists.py compares the
 * D-Bus keys with the XML document and examples/architectnode.py. */
const RoleOption role_options[] = {
        OPTION(NULL, OURS("Command"), "COMMAND", MEMBER(command, char **, command),
                STRINGS(role_spec_set_command, ROLE_COMMAND_ARGS_MAX), .last_wins = true),
        OPTION("env", SYSTEMD("Environment"), "ENVIRONMENT", MEMBER(environment, char **, strv),
                STRING_ENTRIES(role_spec_add_environment)),
        OPTION("working-directory", SYSTEMD("WorkingDirectory"), "WORKING_DIRECTORY",
                MEMBER(working_directory, char *, string), STRING(role_spec_set_working_directory)),
        OPTION("user", SYSTEMD("User"), "USER", MEMBER(user, char *, string), STRING(role_spec_set_user)),
        OPTION("group", SYSTEMD("Group"), "GROUP", MEMBER(group, char *, string),
                STRING(role_spec_set_group)),
        OPTION("stdin", SYSTEMD("StandardInput"), "STDIN", MEMBER(stdin_kind, RoleStdin, role_stdin),
                GIVEN(stdin_set), STRING(role_spec_set_stdin)),
        OPTION("xterm", OURS("XTerm"), "XTERM", MEMBER(xterm, bool, flag), FLAG),
        OPTION("xterm-args", OURS("XTermArguments"), "XTERM_ARG", MEMBER(xterm_args, char **, strv),
                STRINGS(role_spec_set_xterm_args, XTERM_ARGS_MAX)),
        OPTION("output", SYSTEMD("StandardOutput"), "OUTPUT", MEMBER(output, LaunchOutput, output),
                STRING(role_spec_set_output)),
        OPTION("output-timestamps", OURS("OutputTimestamps"), "OUTPUT_TIMESTAMPS",
                MEMBER(output_timestamps, bool, flag), FLAG),
        OPTION("ignore-sigpipe", SYSTEMD("IgnoreSIGPIPE"), "DEFAULT_SIGPIPE",
                MEMBER(default_sigpipe, bool, flag), FLAG, .inverted = true),
        OPTION("exit-type", SYSTEMD("ExitType"), "EXIT_TYPE", MEMBER(exit_type, ExitType, exit_type),
                STRING(role_spec_set_exit_type)),
        OPTION("stop-signal", SYSTEMD("KillSignal"), "STOP_SIGNAL", MEMBER(stop_signal, int, int),
                SIGNED(1, SIGNAL_MAX, SIGNAL)),
        /* Not KillMode=, in which mixed sends SIGKILL to what the main process leaves, and process leaves
         * it running. Here it is swept, with SIGTERM at first. */
        OPTION("stop-to", OURS("StopTo"), "STOP_TO", MEMBER(stop_to, StopTo, stop_to),
                STRING(role_spec_set_stop_to)),
        OPTION("stop-timeout-usec", SYSTEMD("TimeoutStopSec"), "STOP_TIMEOUT",
                MEMBER(stop_timeout_usec, uint64_t, usec), GIVEN(stop_timeout_set),
                UNSIGNED(0, UINT64_MAX, TIME)),
        OPTION("on-monitor-loss", OURS("OnMonitorLoss"), "ON_MONITOR_LOSS",
                MEMBER(on_monitor_loss, MonitorLoss, loss), STRING(role_spec_set_on_monitor_loss)),
        OPTION("nice", SYSTEMD("Nice"), "NICE", MEMBER(nice, int, nice), GIVEN(nice_set),
                SIGNED(-20, 19, PLAIN)),
        OPTION("limits", .file_key = NULL, "LIMIT", MEMBER(limits_set, uint64_t, limits),
                UNSIGNED_ENTRIES(role_spec_add_limit)),
        OPTION("remove", OURS("Remove"), "REMOVE", MEMBER(remove, bool, flag), FLAG),
        OPTION("memory-max", SYSTEMD("MemoryMax"), "MEMORY_MAX", MEMBER(memory_max, uint64_t, bound),
                SCOPE_LIMIT(UINT64_MAX - 1, SIZE, "memory")),
        OPTION("tasks-max", SYSTEMD("TasksMax"), "TASKS_MAX", MEMBER(tasks_max, uint64_t, bound),
                SCOPE_LIMIT(UINT64_MAX - 1, PLAIN, "pids")),
        /* 1,000 CPUs, far below the value at which the microseconds of systemd overflow. */
        OPTION("cpu-quota", SYSTEMD("CPUQuota"), "CPU_QUOTA", MEMBER(cpu_quota, uint64_t, bound),
                SCOPE_LIMIT(100000, PERCENT, "cpu")),
        OPTION("restart", SYSTEMD("Restart"), "RESTART", MEMBER(restart, RestartPolicy, restart),
                STRING(role_spec_set_restart)),
        OPTION("restart-usec", SYSTEMD("RestartSec"), "RESTART_USEC", MEMBER(restart_usec, uint64_t, u64),
                UNSIGNED(0, UINT64_MAX - 1, TIME)),
        OPTION("restart-steps", SYSTEMD("RestartSteps"), "RESTART_STEPS",
                MEMBER(restart_steps, uint64_t, u64), COUNT(UINT32_MAX)),
        OPTION("restart-max-delay-usec", SYSTEMD("RestartMaxDelaySec"), "RESTART_MAX_DELAY",
                MEMBER(restart_max_delay_usec, uint64_t, u64), UNSIGNED(0, UINT64_MAX, TIME)),
        OPTION("success-exit-status", SYSTEMD("SuccessExitStatus"), "SUCCESS_EXIT_STATUS",
                MEMBER(success_exit_status, char **, strv),
                STRINGS(role_spec_set_success_exit_status, EXIT_STATUS_LIST_MAX)),
        OPTION("restart-prevent-exit-status", SYSTEMD("RestartPreventExitStatus"),
                "RESTART_PREVENT_EXIT_STATUS", MEMBER(restart_prevent_exit_status, char **, strv),
                STRINGS(role_spec_set_restart_prevent_exit_status, EXIT_STATUS_LIST_MAX)),
        OPTION("start-limit-interval-usec", SYSTEMD("StartLimitIntervalSec"), "START_LIMIT_INTERVAL",
                MEMBER(start_limit_interval_usec, uint64_t, u64), UNSIGNED(0, UINT64_MAX, TIME)),
        OPTION("start-limit-burst", SYSTEMD("StartLimitBurst"), "START_LIMIT_BURST",
                MEMBER(start_limit_burst, uint64_t, u64), COUNT(UINT32_MAX)),
        OPTION("product", OURS("Product"), "PRODUCT", MEMBER(product, char *, string),
                STRING(role_spec_set_product)),
        OPTION("version", OURS("ProductVersion"), "PRODUCT_VERSION", MEMBER(version, char *, string),
                STRING(role_spec_set_version)),
        OPTION("setup-args", OURS("SetupArguments"), "SETUP_ARG", MEMBER(setup_args, char **, strv),
                STRINGS(role_spec_set_setup_args, PRODUCT_LIST_MAX)),
        OPTION("eups-list", OURS("EupsList"), "EUPS_LIST", MEMBER(eups_list, char **, pairs),
                PAIRS(role_spec_add_eups)),
        OPTION("provider", OURS("ProductProvider"), "PROVIDER", MEMBER(provider, ProductProvider, provider),
                GIVEN(provider_set), STRING(role_spec_set_provider)),
        OPTION("tcp-ports", OURS("TCPPorts"), "TCP_PORT", PORTS(ROLE_PORTS_TCP)),
        OPTION("udp-ports", OURS("UDPPorts"), "UDP_PORT", PORTS(ROLE_PORTS_UDP)),
        OPTION("release-ports", OURS("ReleasePorts"), "RELEASE_PORT", PORTS(ROLE_PORTS_RELEASE)),
        OPTION("environment-file", SYSTEMD("EnvironmentFile"), "ENVIRONMENT_FILE",
                MEMBER(environment_files, char **, strv),
                STRINGS(role_spec_set_environment_files, ENVIRONMENT_FILES_MAX)),
        OPTION("role-groups", OURS("RoleGroups"), "ROLE_GROUP", MEMBER(role_groups, char **, strv),
                STRINGS(role_spec_set_role_groups, ROLE_GROUPS_MAX)),
        OPTION("after", SYSTEMD("After"), "AFTER", DEPENDENCY(AFTER)),
        OPTION("wants", SYSTEMD("Wants"), "WANTS", DEPENDENCY(WANTS)),
        OPTION("requires", SYSTEMD("Requires"), "REQUIRES", DEPENDENCY(REQUIRES)),
        OPTION("binds-to", SYSTEMD("BindsTo"), "BINDS_TO", DEPENDENCY(BINDS_TO)),
        OPTION("part-of", SYSTEMD("PartOf"), "PART_OF", DEPENDENCY(PART_OF)),
        OPTION("cpu-affinity", SYSTEMD("CPUAffinity"), "CPU_AFFINITY", MEMBER(cpu_affinity, char *, string),
                STRING(role_spec_set_cpu_affinity)),
        OPTION("oom-score-adjust", SYSTEMD("OOMScoreAdjust"), "OOM_SCORE_ADJUST",
                MEMBER(oom_score_adjust, int, oom_score), GIVEN(oom_score_adjust_set),
                SIGNED(-1000, 1000, PLAIN)),
        OPTION("cpu-weight", SYSTEMD("CPUWeight"), "CPU_WEIGHT", MEMBER(cpu_weight, uint64_t, bound),
                SCOPE_LIMIT(10000, WEIGHT, "cpu")),
        OPTION("io-weight", SYSTEMD("IOWeight"), "IO_WEIGHT", MEMBER(io_weight, uint64_t, bound),
                SCOPE_LIMIT_V2(10000, WEIGHT, "io")),
        OPTION("memory-high", SYSTEMD("MemoryHigh"), "MEMORY_HIGH", MEMBER(memory_high, uint64_t, bound),
                SCOPE_LIMIT_V2(UINT64_MAX - 1, SIZE, "memory")),
        OPTION("delegate", SYSTEMD("Delegate"), "DELEGATE", MEMBER(delegate, bool, flag), FLAG),
        OPTION("type", SYSTEMD("Type"), "TYPE", MEMBER(type, RoleType, role_type),
                STRING(role_spec_set_type)),
        OPTION("timeout-start-usec", SYSTEMD("TimeoutStartSec"), "TIMEOUT_START",
                MEMBER(timeout_start_usec, uint64_t, start_timeout), GIVEN(timeout_start_set),
                UNSIGNED(0, UINT64_MAX, TIME)),
        OPTION("notify-access", SYSTEMD("NotifyAccess"), "NOTIFY_ACCESS",
                MEMBER(notify_access, NotifyAccess, notify_access), STRING(role_spec_set_notify_access)),
        OPTION("watchdog-usec", SYSTEMD("WatchdogSec"), "WATCHDOG", MEMBER(watchdog_usec, uint64_t, bound),
                UNSIGNED(0, UINT64_MAX, TIME)),
        OPTION("watchdog-signal", SYSTEMD("WatchdogSignal"), "WATCHDOG_SIGNAL",
                MEMBER(watchdog_signal, int, watchdog_signal), SIGNED(1, SIGNAL_MAX, SIGNAL)),
        OPTION("exec-start-pre", SYSTEMD("ExecStartPre"), "EXEC_START_PRE", COMMANDS(exec_start_pre)),
        OPTION("exec-stop", SYSTEMD("ExecStop"), "EXEC_STOP", COMMANDS(exec_stop)),
        OPTION("exec-stop-post", SYSTEMD("ExecStopPost"), "EXEC_STOP_POST", COMMANDS(exec_stop_post)),
        OPTION("lease", OURS("Lease"), "LEASE", MEMBER(lease, char *, string), STRING(role_spec_set_lease)),
        OPTION("fencing-token", OURS("FencingToken"), "FENCING_TOKEN", MEMBER(fencing_token, uint64_t, bound),
                UNSIGNED(0, UINT64_MAX, PLAIN), .of_call = true),
        OPTION("managed-by", OURS("ManagedBy"), "MANAGED_BY", MEMBER(managed_by, char *, string),
                STRING(role_spec_set_managed_by)),

        LIMIT(AS, SIZE),
        LIMIT(CORE, SIZE),
        LIMIT(CPU, CPU_TIME),
        LIMIT(DATA, SIZE),
        LIMIT(FSIZE, SIZE),
        LIMIT(LOCKS, PLAIN),
        LIMIT(MEMLOCK, SIZE),
        LIMIT(MSGQUEUE, SIZE),
        LIMIT(NICE, NICE),
        LIMIT(NOFILE, PLAIN),
        LIMIT(NPROC, PLAIN),
        LIMIT(RSS, SIZE),
        LIMIT(RTPRIO, PLAIN),
        LIMIT(RTTIME, RT_TIME),
        LIMIT(SIGPENDING, PLAIN),
        LIMIT(STACK, SIZE),
};

const size_t n_role_options = G_N_ELEMENTS(role_options);

const RoleOption *role_option_find_file_key(const char *key) {
        for (size_t i = 0; i < n_role_options; i++)
                if (g_strcmp0(role_options[i].file_key, key) == 0)
                        return &role_options[i];
        return NULL;
}

const RoleOption *role_option_whole(const RoleOption *option) {
        for (size_t i = 0; option->part_of && i < n_role_options; i++)
                if (g_strcmp0(role_options[i].key, option->part_of) == 0)
                        return &role_options[i];
        return option;
}

/* -- values -- */

static void *role_option_member(RoleSpec *spec, const RoleOption *option) {
        return (char *) spec + option->offset;
}

/* What belongs to the option besides its member. */
static void role_option_set_given(RoleSpec *spec, const RoleOption *option, bool given) {
        if (option->given > 0)
                *(bool *) ((char *) spec + option->given) = given;
        if (option->part_of) {
                const uint64_t bit = UINT64_C(1) << option->resource;

                spec->limits_set = given ? spec->limits_set | bit : spec->limits_set & ~bit;
        }
}

void role_option_reset(RoleSpec *spec, const RoleOption *option) {
        void *member = role_option_member(spec, option);

        if (option->field && option->field->clear)
                option->field->clear(spec, member);
        /* No default is a pointer to anything. */
        memcpy(member, (const char *) &role_spec_defaults + option->offset, option->size);
        role_option_set_given(spec, option, false);
}

char **role_option_get_strings(const RoleSpec *spec, const RoleOption *option) {
        static const char key[] = "VALUE";
        g_autoptr(GString) saved = g_string_new(NULL);

        /* The saved form of these is that of D-Bus, and it exists for each. */
        option->field->put(saved, key, spec, (const char *) spec + option->offset);
        g_autoptr(StateFields) fields = state_fields_parse(saved->str, "");
        return state_take_strv(fields, key);
}

void role_option_set_flag(RoleSpec *spec, const RoleOption *option, bool value) {
        *(bool *) role_option_member(spec, option) = value != option->inverted;
}

int role_option_set_signed(RoleSpec *spec, const RoleOption *option, int64_t value, Fault *fault) {
        if (value < option->signed_min || value > option->signed_max)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\" is %" G_GINT64_FORMAT ", but must be from %" G_GINT64_FORMAT
                        " to %" G_GINT64_FORMAT,
                        option->key, value, option->signed_min, option->signed_max);
        *(int *) role_option_member(spec, option) = (int) value;
        role_option_set_given(spec, option, true);
        return 0;
}

/* A limit must not be accepted without an effect. */
static int role_option_check_controller(const RoleOption *option, Fault *fault) {
        if (!option->controller ||
                (cgroup_has_controller(option->controller) && (!option->v2 || cgroup_is_unified())))
                return 0;
        return fault_set(fault, NODE_ERROR_NOT_SUPPORTED,
                "Option \"%s\" needs the cgroup controller \"%s\"%s, which this machine does not have",
                option->key, option->controller, option->v2 ? " of cgroup v2" : "");
}

int role_option_set_unsigned(RoleSpec *spec, const RoleOption *option, uint64_t value, Fault *fault) {
        if (value < option->min || value > option->max)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\" is %" G_GUINT64_FORMAT ", but must be from %" G_GUINT64_FORMAT
                        " to %" G_GUINT64_FORMAT,
                        option->key, value, option->min, option->max);
        int r = role_option_check_controller(option, fault);
        if (r < 0)
                return r;
        *(uint64_t *) role_option_member(spec, option) = value;
        role_option_set_given(spec, option, true);
        return 0;
}

int role_option_add_command(RoleSpec *spec, const RoleOption *option, char **words, Fault *fault) {
        return role_spec_add_command(role_option_member(spec, option), option->key, words, fault);
}
