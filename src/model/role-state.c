/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/account.h"
#include "model/node.h"
#include "model/ports-roles.h"
#include "model/role-damage.h"
#include "model/role-hooks.h"
#include "model/role-options.h"
#include "model/role-state.h"
#include "model/role-strays.h"
#include "model/settings.h"
#include "model/state-fields.h"
#include "util/log.h"

#define ROLE_STATE_SIZE_MAX (8U * 1024U * 1024U)
#define ROLE_DAMAGED_SUFFIX "~damaged"

static void spec_put_account(GString *s, const RoleSpec *spec) {
        const Account *account = spec->account;

        if (!account)
                return;
        state_put_u64(s, "ACCOUNT_UID", account->uid);
        state_put_u64(s, "ACCOUNT_GID", account->gid);
        for (unsigned i = 0; i < account->groups->len; i++)
                state_put_u64(s, "ACCOUNT_MEMBER", g_array_index(account->groups, gid_t, i));
        state_put_string(s, "ACCOUNT_NAME", account->name);
        state_put_string(s, "ACCOUNT_GROUP", account->group);
        state_put_string(s, "ACCOUNT_HOME", account->home);
        state_put_string(s, "ACCOUNT_SHELL", account->shell);
}

static void spec_get_account(StateFields *fields, RoleSpec *spec) {
        if (!state_fields_have(fields, "ACCOUNT_UID"))
                return;

        g_auto(GStrv) groups = NULL;
        Account *account = g_new(Account, 1);
        spec->account = account;
        *account = (Account){ .groups = g_array_new(false, false, sizeof(gid_t)) };
        account->uid = (uid_t) state_take_u64_max(fields, "ACCOUNT_UID", UINT32_MAX - 1);
        account->gid = (gid_t) state_take_u64_max(fields, "ACCOUNT_GID", UINT32_MAX - 1);
        groups = state_take_strv(fields, "ACCOUNT_MEMBER");
        for (char **g = groups; g && *g; g++) {
                uint64_t value = 0;

                if (parse_u64(*g, &value) < 0 || value >= UINT32_MAX)
                        state_fields_set_bad(fields);
                gid_t gid = (gid_t) value;
                g_array_append_val(account->groups, gid);
        }
        account->name = state_take_string(fields, "ACCOUNT_NAME");
        account->group = state_take_string(fields, "ACCOUNT_GROUP");
        account->home = state_take_string(fields, "ACCOUNT_HOME");
        account->shell = state_take_string(fields, "ACCOUNT_SHELL");
        if (!account->name || !account->group || !account->home || !account->shell)
                state_fields_set_bad(fields);
}

/* The options in their saved form, then what is no option. test-node-state fails for a member
 * of RoleSpec that is missing. */
static void spec_put(GString *s, const RoleSpec *spec) {
        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];

                if (o->saved_key && (!o->field->is_saved || o->field->is_saved(spec)))
                        o->field->put(s, o->saved_key, spec, (const char *) spec + o->offset);
        }
        state_put_string(s, "DEFINITION", spec->definition);
        state_put_string(s, "DEFINITION_HASH", spec->definition_hash);
        spec_put_account(s, spec);
}

static RoleSpec *spec_get(StateFields *fields) {
        RoleSpec *spec = role_spec_new();

        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];

                if (o->saved_key)
                        o->field->get(fields, o->saved_key, spec, (char *) spec + o->offset);
        }
        spec->definition = state_take_string(fields, "DEFINITION");
        spec->definition_hash = state_take_string(fields, "DEFINITION_HASH");
        spec_get_account(fields, spec);
        return spec;
}

static void role_put_strays(GString *s, const Role *role) {
        state_put_strv(s, "STRAY", role->strays);
        for (unsigned i = 0; role->strays && i < role->stray_ids->len; i++)
                state_put_u64(s, "STRAY_ID", g_array_index(role->stray_ids, uint64_t, i));
}

static void role_get_strays(StateFields *fields, Role *role) {
        g_auto(GStrv) ids = state_take_strv(fields, "STRAY_ID");

        role->strays = state_take_strv(fields, "STRAY");
        if ((role->strays ? g_strv_length(role->strays) : 0) != (ids ? g_strv_length(ids) : 0)) {
                state_fields_set_bad(fields);
                return;
        }
        for (char **id = ids; id && *id; id++) {
                uint64_t value = 0;

                if (parse_u64(*id, &value) < 0)
                        state_fields_set_bad(fields);
                if (!role->stray_ids)
                        role->stray_ids = g_array_new(false, false, sizeof(uint64_t));
                g_array_append_val(role->stray_ids, value);
        }
}

static void state_put_processes(GString *s, const char *key, const GArray *processes) {
        for (unsigned i = 0; processes && i < processes->len; i++) {
                const LoneProcess *lone = &g_array_index(processes, LoneProcess, i);
                g_autofree char *text =
                        g_strdup_printf("%d:%" G_GUINT64_FORMAT, (int) lone->pid, lone->start_time);

                state_put_string(s, key, text);
        }
}

static void state_take_processes(StateFields *fields, const char *key, GArray **processes) {
        g_auto(GStrv) texts = state_take_strv(fields, key);

        for (char **t = texts; t && *t; t++) {
                char *colon = strchr(*t, ':');
                LoneProcess lone;
                uint64_t pid;

                if (colon)
                        *colon = '\0';
                if (!colon || parse_u64(*t, &pid) < 0 || pid == 0 || pid > INT32_MAX ||
                        parse_u64(colon + 1, &lone.start_time) < 0) {
                        state_fields_set_bad(fields);
                        return;
                }
                lone.pid = (pid_t) pid;
                if (!*processes)
                        *processes = g_array_new(false, false, sizeof(LoneProcess));
                g_array_append_val(*processes, lone);
        }
}

static const char *const start_time_keys[_START_STEP_MAX] = {
        [START_STEP_QUEUE] = "START_TIME_QUEUE",
        [START_STEP_DEPENDENCIES] = "START_TIME_DEPENDENCIES",
        [START_STEP_SWEEP] = "START_TIME_SWEEP",
        [START_STEP_FORK] = "START_TIME_FORK",
        [START_STEP_SCOPE] = "START_TIME_SCOPE",
        [START_STEP_PRODUCTS] = "START_TIME_PRODUCTS",
        [START_STEP_HOOKS] = "START_TIME_HOOKS",
        [START_STEP_EXEC] = "START_TIME_EXEC",
        [START_STEP_READY] = "START_TIME_READY",
};

static void role_put_start_times(GString *s, const Role *role) {
        const StartTimes *times = &role->start_times;

        state_put_nonzero(s, "START_TIME_SINCE", times->since);
        for (StartStep i = 0; i < _START_STEP_MAX; i++)
                if (start_times_have(times, i))
                        state_put_u64(s, start_time_keys[i], times->usec[i]);
}

static void role_get_start_times(StateFields *fields, Role *role) {
        StartTimes *times = &role->start_times;

        times->since = state_take_u64(fields, "START_TIME_SINCE");
        for (StartStep i = 0; i < _START_STEP_MAX; i++)
                if (state_fields_have(fields, start_time_keys[i])) {
                        times->known |= UINT64_C(1) << i;
                        times->usec[i] = state_take_u64(fields, start_time_keys[i]);
                }
}

static void role_put_restarts(GString *s, const Role *role) {
        const RestartCount *count = &role->restarts;

        state_put_nonzero(s, "AUTOMATIC", role->automatic);
        state_put_nonzero(s, "STOP_REQUESTED", role->stop_requested);
        state_put_nonzero(s, "START_FAILED", role->start_failed);
        state_put_string(s, "FOLLOWS", role->follows);
        state_put_nonzero(s, "N_RESTARTS", count->n);
        state_put_nonzero(s, "RESTART_ATTEMPT", count->attempt);
        if (role->spec->restart != RESTART_NO) {
                state_put_nonzero(s, "START_WINDOW", count->window_begin);
                state_put_nonzero(s, "START_WINDOW_STARTS", count->window_starts);
        }
        if (role->next_run != NEXT_RUN_NONE)
                state_put_enum(s, "NEXT_RUN", next_run, role->next_run);
        state_put_nonzero(s, "NEXT_DEADLINE", role->next_deadline);
        state_put_nonzero(s, "NEXT_REALTIME", role->next_realtime_usec);
        state_put_nonzero(s, "NEXT_SEQUENCE", role->next_sequence);
}

static void role_get_restarts(StateFields *fields, Role *role) {
        RestartCount *count = &role->restarts;

        role->automatic = state_take_bool(fields, "AUTOMATIC");
        role->stop_requested = state_take_bool(fields, "STOP_REQUESTED");
        role->start_failed = state_take_bool(fields, "START_FAILED");
        role->follows = state_take_string(fields, "FOLLOWS");
        count->n = state_take_u64(fields, "N_RESTARTS");
        count->attempt = state_take_u64(fields, "RESTART_ATTEMPT");
        count->window_begin = state_take_u64(fields, "START_WINDOW");
        count->window_starts = state_take_u64(fields, "START_WINDOW_STARTS");
        role->next_run = state_take_enum(fields, "NEXT_RUN", next_run, NEXT_RUN_NONE);
        role->next_deadline = state_take_u64(fields, "NEXT_DEADLINE");
        role->next_realtime_usec = state_take_u64(fields, "NEXT_REALTIME");
        role->next_sequence = state_take_u64(fields, "NEXT_SEQUENCE");
        if (role->follows ? !role_name_is_valid(role->follows) : role->next_run == NEXT_RUN_DEPENDENCY)
                state_fields_set_bad(fields);
}

static void role_put_hook(GString *s, const Role *role) {
        const Role *hook = role->hook;

        if (!hook)
                return;
        state_put_enum(s, "HOOK", hook_kind, hook->hook_kind);
        state_put_enum(s, "HOOK_PHASE", role_phase, hook->phase);
        state_put_nonzero(s, "HOOK_CHILD", hook->child);
        state_put_nonzero(s, "HOOK_PID", (uint64_t) hook->main_pid);
        state_put_nonzero(s, "HOOK_START_TIME", hook->main_start_time);
        state_put_string(s, "HOOK_CGROUP", hook->cgroup);
        if (hook->slice >= 0) {
                state_put_i64(s, "HOOK_SLICE", hook->slice);
                state_put_nonzero(s, "HOOK_SLICE_UID", hook->slice_uid);
        }
        if (hook->hook_kind == HOOK_STOP_POST) /* the others have that of the stop */
                state_put_nonzero(s, "HOOK_DEADLINE", hook->stop_deadline);
        state_put_nonzero(s, "HOOK_CANCELLED", hook->hook_cancelled);
        state_put_string(s, "HOOK_RESULT", hook->hook_result);
}

static void role_get_hook(StateFields *fields, Role *role) {
        if (!state_fields_have(fields, "HOOK"))
                return;

        Role *hook = role_hook_new(role, state_take_enum(fields, "HOOK", hook_kind, HOOK_STOP));
        hook->phase = state_take_enum(fields, "HOOK_PHASE", role_phase, ROLE_PHASE_FORK);
        hook->child = state_take_u64(fields, "HOOK_CHILD");
        hook->main_pid = state_take_pid(fields, "HOOK_PID");
        hook->main_start_time = state_take_u64(fields, "HOOK_START_TIME");
        hook->cgroup = state_take_string(fields, "HOOK_CGROUP");
        hook->stop_deadline = state_take_u64(fields, "HOOK_DEADLINE");
        hook->hook_cancelled = state_take_bool(fields, "HOOK_CANCELLED");
        hook->hook_result = state_take_string(fields, "HOOK_RESULT");
        int slice = state_take_i32(fields, "HOOK_SLICE", -1);
        uid_t uid = (uid_t) state_take_u64_max(fields, "HOOK_SLICE_UID", UINT32_MAX);
        if (slice >= 0 && slice < (int) NODE_SLICES_MAX)
                node_slice_retake(hook, uid, slice);
        /* Why it has failed was told to its caller, or nobody waits any more. */
        if (role->state == ROLE_STARTING) {
                role->interrupted = true;
                (void) fault_set(&role->failure, NODE_ERROR_SETUP_FAILED,
                        "The start of role \"%s\" has failed, and a restart of the service has come between",
                        role->name);
        }
}

char *role_state_format(const Role *role) {
        GString *s = state_fields_new("", ROLE_STATE_VERSION, role->unknown_fields);
        char boot_id[33], invocation[SD_ID128_STRING_MAX];

        if (boot_id_read(boot_id) >= 0)
                state_put_string(s, "BOOT_ID", boot_id);
        state_put_string(s, "NAME", role->name);
        state_put_nonzero(s, "DAMAGED", role->damaged);
        state_put_string(s, "INVOCATION", sd_id128_to_string(role->invocation, invocation));
        state_put_enum(s, "STATE", role_state, role->state);
        state_put_enum(s, "PHASE", role_phase, role->phase);
        state_put_caller(s, "OWNER", &role->owner);
        spec_put(s, role->spec);

        state_put_nonzero(s, "CHILD", role->child);
        state_put_nonzero(s, "MAIN_PID", (uint64_t) role->main_pid);
        state_put_nonzero(s, "MAIN_START_TIME", role->main_start_time);
        if (role->slice >= 0)
                state_put_i64(s, "SLICE", role->slice);
        if (role->slice >= 0)
                state_put_nonzero(s, "SLICE_UID", role->slice_uid);
        state_put_string(s, "CGROUP", role->cgroup);
        role_put_strays(s, role);
        state_put_processes(s, "LONE_PROCESS", role->lone);
        state_put_processes(s, "LEFT_PROCESS", role->left);
        state_put_nonzero(s, "NAMED_MAIN_PID", (uint64_t) role->named_main.pid);
        state_put_nonzero(s, "NAMED_MAIN_START_TIME", role->named_main.start_time);
        state_put_nonzero(s, "STRAYS_TOLD", role->strays_told);
        state_put_nonzero(s, "MAIN_OUTSIDE", role->main_outside);
        state_put_nonzero(s, "STDIN_OPEN", role->stdin_fd >= 0);

        state_put_strv(s, "RESOLVED_PRODUCT", role->resolved_products);
        state_put_string(s, "ENVIRONMENT_HASH", role->environment_hash);
        state_put_nonzero(s, "OUTPUT_LOST", role->output_lost);
        state_put_nonzero(s, "UNREADY", role->unready);
        if (role->unready)
                state_put_nonzero(s, "START_DEADLINE", role->start_deadline);
        state_put_nonzero(s, "READY_EARLY", role->ready_early);
        state_put_nonzero(s, "WATCHDOG_PING", role->watchdog_ping);
        state_put_nonzero(s, "NOTIFIED", role->notified);
        state_put_string(s, "STATUS_TEXT", role->status_text);
        state_put_nonzero(s, "STATUS_ERRNO", (uint64_t) role->status_errno);
        role_put_start_times(s, role);
        state_put_nonzero(s, "START_REALTIME", role->start_realtime_usec);
        state_put_nonzero(s, "START_MONOTONIC", role->start_monotonic_usec);
        state_put_nonzero(s, "STARTED_SEQUENCE", role->started_sequence);

        if (role->cause_known) {
                state_put_enum(s, "CAUSE", role_cause, role->cause);
                state_put_caller(s, "CAUSE", &role->cause_caller);
        }
        state_put_nonzero(s, "LAST_SIGNAL", (uint64_t) role->last_signal);
        state_put_caller(s, "LAST_SIGNAL", &role->last_signal_caller);
        state_put_enum(s, "STOP_STEP", stop_step, role->stop_step);
        state_put_nonzero(s, "STOP_ASKED_ALL", role->stop_asked_all);
        state_put_nonzero(s, "STOP_BEGAN", role->stop_began);
        state_put_nonzero(s, "STOP_DEADLINE", role->stop_deadline);
        state_put_nonzero(s, "SWEPT", role->swept);
        role_put_restarts(s, role);
        role_put_hook(s, role);

        if (role->state == ROLE_ENDED || role_has_outlived_main(role)) {
                const RoleExit *e = &role->exit;

                state_put_nonzero(s, "EXITED_SEQUENCE", role->exited_sequence);
                state_put_enum(s, "EXIT_CODE", exit_code, e->code);
                state_put_i64(s, "EXIT_STATUS", e->status);
                state_put_nonzero(s, "EXIT_REALTIME", e->realtime_usec);
                state_put_nonzero(s, "EXIT_MONOTONIC", e->monotonic_usec);
                state_put_nonzero(s, "USAGE_KNOWN", e->usage_known);
                state_put_nonzero(s, "CPU_USER", e->cpu_user_usec);
                state_put_nonzero(s, "CPU_SYSTEM", e->cpu_system_usec);
                state_put_nonzero(s, "MAXRSS", e->maxrss_bytes);
                state_put_nonzero(s, "OOM_KNOWN", e->oom_known);
                state_put_nonzero(s, "OOM", e->oom);
                state_put_nonzero(s, "SCOPE_CPU", e->scope_cpu_usec);
                state_put_nonzero(s, "SCOPE_MEMORY_PEAK", e->scope_memory_peak);
        }

        return state_fields_finish(s);
}

static void role_exit_get(StateFields *fields, Role *role) {
        RoleExit *e = &role->exit;

        role->exited_sequence = state_take_u64(fields, "EXITED_SEQUENCE");
        e->code = state_take_enum(fields, "EXIT_CODE", exit_code, EXIT_CODE_LOST);
        e->status = state_take_i32(fields, "EXIT_STATUS", -1);
        e->realtime_usec = state_take_u64(fields, "EXIT_REALTIME");
        e->monotonic_usec = state_take_u64(fields, "EXIT_MONOTONIC");
        e->usage_known = state_take_bool(fields, "USAGE_KNOWN");
        e->cpu_user_usec = state_take_u64(fields, "CPU_USER");
        e->cpu_system_usec = state_take_u64(fields, "CPU_SYSTEM");
        e->maxrss_bytes = state_take_u64(fields, "MAXRSS");
        e->oom_known = state_take_bool(fields, "OOM_KNOWN");
        e->oom = state_take_bool(fields, "OOM");
        e->scope_cpu_usec = state_take_u64(fields, "SCOPE_CPU");
        e->scope_memory_peak = state_take_u64(fields, "SCOPE_MEMORY_PEAK");
}

G_STATIC_ASSERT(NODE_MAX_ROLES / NODE_SLICE_ROLES == NODE_SLICES_MAX);

static int role_from_fields(Node *node, const char *name, StateFields *fields, Role **ret) {
        char boot_id[33];

        if (state_fields_version(fields) == 0)
                return -EBADMSG;

        g_autoptr(Role) role = role_new(node, name, spec_get(fields));
        g_autofree char *saved_boot_id = state_take_string(fields, "BOOT_ID");
        g_autofree char *saved_name = state_take_string(fields, "NAME");
        g_autofree char *invocation = state_take_string(fields, "INVOCATION");

        if (saved_name && !g_str_equal(saved_name, name)) /* the file of another role */
                state_fields_set_bad(fields);
        role->damaged = state_take_bool(fields, "DAMAGED");
        if (!invocation || sd_id128_from_string(invocation, &role->invocation) < 0)
                state_fields_set_bad(fields);
        role->state = state_take_enum(fields, "STATE", role_state, ROLE_STARTING);
        role->phase = state_take_enum(fields, "PHASE", role_phase, ROLE_PHASE_QUEUED);
        state_take_caller(fields, "OWNER", &role->owner);
        role->child = state_take_u64(fields, "CHILD");
        role->main_pid = state_take_pid(fields, "MAIN_PID");
        role->main_start_time = state_take_u64(fields, "MAIN_START_TIME");
        int slice = state_take_i32(fields, "SLICE", -1);
        uid_t slice_uid = (uid_t) state_take_u64_max(fields, "SLICE_UID", UINT32_MAX);
        role->cgroup = state_take_string(fields, "CGROUP");
        role_get_strays(fields, role);
        state_take_processes(fields, "LONE_PROCESS", &role->lone);
        state_take_processes(fields, "LEFT_PROCESS", &role->left);
        role->named_main.pid = state_take_pid(fields, "NAMED_MAIN_PID");
        role->named_main.start_time = state_take_u64(fields, "NAMED_MAIN_START_TIME");
        role->strays_told = state_take_bool(fields, "STRAYS_TOLD");
        role->main_outside = state_take_bool(fields, "MAIN_OUTSIDE");
        (void) state_take_bool(fields, "STDIN_OPEN"); /* the keeper lends it if it still has it */
        role->resolved_products = state_take_strv(fields, "RESOLVED_PRODUCT");
        if (role->resolved_products && g_strv_length(role->resolved_products) % 2 != 0)
                state_fields_set_bad(fields);
        role->environment_hash = state_take_string(fields, "ENVIRONMENT_HASH");
        role->output_lost = state_take_bool(fields, "OUTPUT_LOST");
        role->unready = state_take_bool(fields, "UNREADY");
        role->start_deadline = state_take_u64(fields, "START_DEADLINE");
        role->ready_early = state_take_bool(fields, "READY_EARLY");
        role->watchdog_ping = state_take_u64(fields, "WATCHDOG_PING");
        role->notified = state_take_u64(fields, "NOTIFIED");
        role->status_text = state_take_string(fields, "STATUS_TEXT");
        role->status_errno = (int) state_take_u64_max(fields, "STATUS_ERRNO", INT32_MAX);
        role_get_start_times(fields, role);
        role->start_realtime_usec = state_take_u64(fields, "START_REALTIME");
        role->start_monotonic_usec = state_take_u64(fields, "START_MONOTONIC");
        role->started_sequence = state_take_u64(fields, "STARTED_SEQUENCE");
        role->cause_known = state_fields_have(fields, "CAUSE");
        role->cause = state_take_enum(fields, "CAUSE", role_cause, ROLE_CAUSE_SELF);
        state_take_caller(fields, "CAUSE", &role->cause_caller);
        role->last_signal = (int) state_take_u64_max(fields, "LAST_SIGNAL", SIGNAL_MAX);
        state_take_caller(fields, "LAST_SIGNAL", &role->last_signal_caller);
        role->stop_step = state_take_enum(fields, "STOP_STEP", stop_step, STOP_STEP_NONE);
        role->stop_asked_all = state_take_bool(fields, "STOP_ASKED_ALL");
        role->stop_began = state_take_u64(fields, "STOP_BEGAN");
        role->stop_deadline = state_take_u64(fields, "STOP_DEADLINE");
        role->swept = state_take_bool(fields, "SWEPT");
        role_get_restarts(fields, role);
        role_get_hook(fields, role);
        /* Set first, because role_has_outlived_main() reads it. */
        role->main_exited = role->state == ROLE_ENDED || state_fields_have(fields, "EXIT_CODE");
        role->main_exited = role->state == ROLE_ENDED || role_has_outlived_main(role);
        if (role->main_exited)
                role_exit_get(fields, role);

        int r = state_fields_end(fields, &role->unknown_fields);
        if (r < 0)
                return r;

        /* After a reboot no process of the role runs, its pid may belong to another process, and the clock
         * has started again. */
        if (saved_boot_id && boot_id_read(boot_id) >= 0 && !g_str_equal(boot_id, saved_boot_id)) {
                role->main_pid = 0;
                role->named_main = (LoneProcess){};
                role->start_times.since = 0;
                g_clear_pointer(&role->cgroup, g_free);
                role_forget_strays(role);
                if (role->next_run == NEXT_RUN_WAITING || role->next_run == NEXT_RUN_DEPENDENCY)
                        role->next_run = NEXT_RUN_NONE;
        } else if (slice >= 0 && slice < (int) NODE_SLICES_MAX && !role->swept) {
                node_slice_retake(role, slice_uid, slice);
        }
        *ret = g_steal_pointer(&role);
        return 0;
}

int role_state_parse(Node *node, const char *name, const char *text, Role **ret) {
        if (!role_name_is_valid(name))
                return -EINVAL;
        g_autoptr(StateFields) fields = state_fields_parse(text, "");
        return role_from_fields(node, name, fields, ret);
}

int role_store_open(int dir_fd, RoleStore *ret) {
        autofd roles = state_directory_open(dir_fd, ROLE_STATE_DIRECTORY);
        if (roles < 0)
                return roles;
        int previous = state_directory_open(dir_fd, ROLE_PREVIOUS_DIRECTORY);
        if (previous < 0)
                return previous;
        /* A role that is purged is never saved again, so its temporary file would remain. */
        int r = file_replace_clean(roles);
        if (r >= 0)
                r = file_replace_clean(previous);
        if (r < 0)
                log_warning_errno(r, "Cannot remove incomplete saved files, ignoring: %m");
        *ret = (RoleStore){ fd_steal(&roles), previous };
        return 0;
}

void role_store_close(RoleStore *store) {
        store->roles_fd = fd_close(store->roles_fd);
        store->previous_fd = fd_close(store->previous_fd);
}

int role_state_save(const RoleStore *store, const Role *role) {
        g_autofree char *text = role_state_format(role);

        /* The run that a new start replaces is saved beside it. */
        return file_replace(
                role->successor ? store->previous_fd : store->roles_fd, role->name, text, strlen(text));
}

static void store_warn_unless_missing(const char *name, const char *what) {
        if (errno != ENOENT)
                log_warning_errno(errno, "Cannot %s the saved state of role \"%s\": %m", what, name);
}

void role_state_drop_previous(const RoleStore *store, const char *name) {
        if (unlinkat(store->previous_fd, name, 0) < 0)
                store_warn_unless_missing(name, "remove");
}

void role_state_forget(const RoleStore *store, const char *name) {
        if (unlinkat(store->roles_fd, name, 0) < 0)
                store_warn_unless_missing(name, "remove");
        role_state_drop_previous(store, name);
}

void role_state_set_aside(const RoleStore *store, const char *name) {
        if (renameat(store->roles_fd, name, store->previous_fd, name) < 0)
                store_warn_unless_missing(name, "move");
}

void role_state_bring_back(const RoleStore *store, const char *name) {
        if (renameat(store->previous_fd, name, store->roles_fd, name) < 0)
                store_warn_unless_missing(name, "restore");
}

typedef struct Loading {
        Node *node;
        const char *name;
        Role *role, *damaged;
} Loading;

static int loading_parse(void *userdata, StateFields *fields) {
        Loading *loading = userdata;

        return role_from_fields(loading->node, loading->name, fields, &loading->role);
}

static void loading_salvage(void *userdata, StateFields *fields) {
        Loading *loading = userdata;

        loading->damaged = role_new_damaged(loading->node, loading->name);
        role_damage_salvage(loading->damaged, fields);
}

/* Returns the role of a damaged file, too, unless there is nothing to know of a run that has ended. */
static Role *store_load_role(int dir_fd, const char *name, Node *node, bool previous) {
        g_autofree char *what = g_strdup_printf("the saved state of role \"%s\"", name);
        /* A file with this suffix is ignored from then on. It is kept for inspection. */
        const StateFile file = { .name = name,
                .max = ROLE_STATE_SIZE_MAX,
                .what = what,
                .aside = ROLE_DAMAGED_SUFFIX,
                .salvage = previous ? NULL : loading_salvage };
        Loading loading = { node, name, NULL, NULL };

        StateFileResult result = state_file_load(&file, dir_fd, loading_parse, &loading);
        if (result == STATE_FILE_DAMAGED && !previous)
                return loading.damaged ?: role_new_damaged(node, name); /* without a line that can be read */
        return result == STATE_FILE_READ ? loading.role : NULL;
}

static int store_list_roles(int dir_fd, GPtrArray **ret) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        DIR *dir;

        int r = directory_read_at(dir_fd, &dir);
        if (r < 0)
                return r;
        for (struct dirent *d; (d = readdir(dir));)
                if (role_name_is_valid(d->d_name))
                        g_ptr_array_add(names, g_strdup(d->d_name));
        (void) closedir(dir);
        *ret = g_steal_pointer(&names);
        return 0;
}

void role_state_forget_all(const RoleStore *store) {
        g_autoptr(GPtrArray) names = NULL;

        int r = store_list_roles(store->roles_fd, &names);
        if (r < 0) {
                log_warning_errno(r, "Cannot list the saved roles, ignoring: %m");
                return;
        }
        g_assert(names);
        for (unsigned i = 0; i < names->len; i++)
                role_state_forget(store, g_ptr_array_index(names, i));
}

/* The numbers of a saved run are not used again. */
static void node_numbers_seen(Node *node, const Role *role) {
        events_seen(
                node->events, MAX(MAX(role->started_sequence, role->exited_sequence), role->next_sequence));
        node_child_seen(node, role->child);
        if (role->hook)
                node_child_seen(node, role->hook->child);
}

static int role_compare_ends(const void *a, const void *b, void *userdata) {
        const Role *x = a, *y = b;

        return x->exited_sequence < y->exited_sequence ? -1 : x->exited_sequence > y->exited_sequence;
}

/* Loads the previous, ended run of a role that is starting. */
static void store_load_previous(const RoleStore *store, Node *node, Role *role) {
        Role *previous = store_load_role(store->previous_fd, role->name, node, true);

        if (!previous)
                return;
        if (previous->state != ROLE_ENDED) {
                log_error("The saved state of the previous run of role \"%s\" is not \"ended\", ignoring it",
                        role->name);
                role_free(previous);
                return;
        }
        node_numbers_seen(node, previous);
        role->predecessor = previous;
        previous->successor = role;
}

int role_state_load_all(const RoleStore *store, Node *node) {
        g_autoptr(GPtrArray) previous_names = NULL, names = NULL;

        /* This process may have died between moving a run and saving the one that replaces it. */
        int r = store_list_roles(store->previous_fd, &previous_names);
        if (r < 0)
                return r;
        g_assert(previous_names);
        for (unsigned i = 0; i < previous_names->len; i++) {
                const char *name = g_ptr_array_index(previous_names, i);
                if (faccessat(store->roles_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        role_state_bring_back(store, name);
        }

        r = store_list_roles(store->roles_fd, &names);
        if (r < 0)
                return r;
        g_assert(names);

        for (unsigned i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                Role *role = store_load_role(store->roles_fd, name, node, false);

                if (!role)
                        continue;
                if (role->state != ROLE_STARTING && !role->damage)
                        role_state_drop_previous(store, name);
                else
                        store_load_previous(store, node, role);
                node_add_role(node, role);
                if (role->predecessor)
                        ports_role_added(node->ports, role->predecessor);
                ports_role_added(node->ports, role);
                node_numbers_seen(node, role);
        }
        /* A directory is not sorted, and the oldest roles must be removed first. */
        g_queue_sort(node->ended, role_compare_ends, NULL);
        return 0;
}

/* -- StoreOps -- */

static int store_save(void *data, const Role *role) {
        return role_state_save(data, role);
}

static void store_forget(void *data, const Role *role) {
        role_state_forget(data, role->name);
}

static void store_set_aside(void *data, const Role *role) {
        role_state_set_aside(data, role->name);
}

static void store_drop_previous(void *data, const Role *role) {
        role_state_drop_previous(data, role->name);
}

static void store_bring_back(void *data, const Role *role) {
        role_state_bring_back(data, role->name);
}

static void store_forget_all(void *data) {
        role_state_forget_all(data);
}

const StoreOps role_store_ops = {
        .save = store_save,
        .forget = store_forget,
        .set_aside = store_set_aside,
        .drop_previous = store_drop_previous,
        .bring_back = store_bring_back,
        .forget_all = store_forget_all,
};
