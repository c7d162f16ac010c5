/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All options of a start, for the tests that must not miss one. */

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "model/account.h"
#include "model/role-spec.h"

/* RoleSpec is initialised by position below. A new member without a line here does not compile. */
#pragma GCC diagnostic error "-Wmissing-field-initializers"

static inline GArray *port_list(uint16_t number) {
        GArray *ports = g_array_new(false, false, sizeof(uint16_t));

        return g_array_append_val(ports, number);
}

static bool same_plain(const void *a, const void *b, size_t size) {
        return memcmp(a, b, size) == 0;
}

static bool same_string(const void *a, const void *b, size_t size) {
        return g_strcmp0(*(char *const *) a, *(char *const *) b) == 0;
}

static bool same_strv(const void *a, const void *b, size_t size) {
        const char *const *x = *(const char *const *const *) a, *const *y = *(const char *const *const *) b;

        return x && y ? g_strv_equal(x, y) : x == y;
}

/* Every member of RoleSpec, in its order: how it is compared, whether it is saved, where a start sends it,
 * and a value that is not the default. It is sent in the member of this name of the launch request, in the
 * set-up of the products, as the account, to the keeper, to systemd with the scope, in the request of a child
 * of its own (hook), or not at all (node). */
#define SPEC_MEMBERS(X) \
        X(command, strv, true, request, g_strsplit("/bin/x -y", " ", -1)) \
        X(environment, strv, true, request, g_strsplit("A=1 B=2", " ", -1)) \
        X(working_directory, string, true, request, g_strdup("/tmp")) \
        X(user, string, true, request, g_strdup("u")) \
        X(group, string, true, request, g_strdup("g")) \
        X(stdin_kind, plain, true, keeper, ROLE_STDIN_PTY) \
        X(stdin_set, plain, false, node, true) /* only the check of a start reads it */ \
        X(xterm, plain, true, request, true) \
        X(xterm_args, strv, true, request, g_strsplit("-a -b", " ", -1)) \
        X(output, plain, true, request, LAUNCH_OUTPUT_APPEND) \
        X(output_path, string, true, request, g_strdup("/log")) \
        X(output_timestamps, plain, true, keeper, true) \
        X(default_sigpipe, plain, true, request, true) \
        X(exit_type, plain, true, node, EXIT_TYPE_CGROUP) \
        X(stop_signal, plain, true, node, SIGUSR1) \
        X(stop_to, plain, true, node, STOP_TO_MAIN) \
        X(stop_timeout_set, plain, false, node, true) /* the value has been filled in */ \
        X(stop_timeout_usec, plain, true, node, 1) \
        X(type, plain, true, node, ROLE_TYPE_ONESHOT) \
        X(timeout_start_set, plain, true, node, true) \
        X(timeout_start_usec, plain, true, node, 14) \
        X(notify_access, plain, true, keeper, NOTIFY_ACCESS_ALL) \
        X(watchdog_usec, plain, true, request, 15) \
        X(watchdog_signal, plain, true, node, SIGUSR2) \
        X(on_monitor_loss, plain, true, node, MONITOR_LOSS_KILL) \
        X(nice_set, plain, true, request, true) \
        X(nice, plain, true, request, -3) \
        X(limits_set, plain, true, request, UINT64_C(1) << RLIMIT_CORE | UINT64_C(1) << RLIMIT_NOFILE) \
        X(limits, plain, true, request, SPEC_LIMITS) \
        X(remove, plain, true, node, true) \
        X(memory_max, plain, true, scope, 11) \
        X(tasks_max, plain, true, scope, 12) \
        X(cpu_quota, plain, true, scope, 13) \
        X(restart, plain, true, node, RESTART_ALWAYS) \
        X(restart_usec, plain, true, node, 1) \
        X(restart_steps, plain, true, node, 2) \
        X(restart_max_delay_usec, plain, true, node, 3) \
        X(success_exit_status, strv, true, node, g_strsplit("1 SIGKILL", " ", -1)) \
        X(restart_prevent_exit_status, strv, true, node, g_strsplit("255 TEMPFAIL", " ", -1)) \
        X(start_limit_interval_usec, plain, true, node, 4) \
        X(start_limit_burst, plain, true, node, 6) \
        X(product, string, true, setup, g_strdup("p")) \
        X(version, string, true, setup, g_strdup("1")) \
        X(setup_args, strv, true, setup, g_strsplit("-s -t", " ", -1)) \
        X(eups_list, strv, true, setup, g_strsplit("q 2", " ", -1)) \
        X(provider_set, plain, true, node, true) \
        X(provider, plain, true, setup, PRODUCT_PROVIDER_LMOD) \
        X(ports, ports, true, keeper, SPEC_PORTS) \
        X(role_groups, strv, true, node, g_strsplit("g h", " ", -1)) \
        X(dependencies, dependencies, true, node, SPEC_DEPENDENCIES) \
        X(environment_files, strv, true, request, g_strsplit("/a -/b", " ", -1)) \
        X(definition, string, true, node, g_strdup("/etc/x.role")) \
        X(definition_hash, string, true, node, g_strdup("012abc")) \
        X(cpu_affinity, string, true, request, g_strdup("0-1 3")) \
        X(oom_score_adjust_set, plain, true, request, true) \
        X(oom_score_adjust, plain, true, request, -7) \
        X(cpu_weight, plain, true, scope, 14) \
        X(io_weight, plain, true, scope, 15) \
        X(memory_high, plain, true, scope, 16) \
        X(delegate, plain, true, scope, true) \
        X(exec_start_pre, strv, true, request, g_strsplit("2 -/bin/x a", " ", -1)) \
        X(exec_stop, strv, true, hook, g_strsplit("1 /bin/y", " ", -1)) \
        X(exec_stop_post, strv, true, hook, g_strsplit("1 /bin/z", " ", -1)) \
        X(lease, string, true, node, g_strdup("l")) \
        X(fencing_token, plain, true, node, 17) \
        X(managed_by, string, true, node, g_strdup("k:n")) \
        X(account, account, true, account, account_example())

#define SPEC_LIMITS \
        { [RLIMIT_CORE] = 5, [RLIMIT_NOFILE] = UINT64_MAX }
#define SPEC_DEPENDENCIES \
        { \
                g_strsplit("a", " ", -1), g_strsplit("b c", " ", -1), g_strsplit("d", " ", -1), \
                        g_strsplit("e", " ", -1), g_strsplit("f", " ", -1) \
        }
#define SPEC_PORTS \
        { port_list(1), port_list(65535), port_list(3) }

static inline Account *account_example(void) {
        Account *account = g_new(Account, 1);

        *account = (Account){
                .uid = 1000,
                .gid = 1001,
                .groups = g_array_new(false, false, sizeof(gid_t)),
                .name = g_strdup("u"),
                .group = g_strdup("g"),
                .home = g_strdup("/home/u"),
                .shell = g_strdup("/bin/sh"),
        };
        g_array_append_vals(account->groups, (gid_t[]){ 1000, 1001, 4294967294U }, 3);
        return account;
}

static inline RoleSpec *spec_without_defaults(void) {
#define VALUE(member, kind, saved, to, ...) __VA_ARGS__,
        const RoleSpec spec = { SPEC_MEMBERS(VALUE) };

        return g_memdup2(&spec, sizeof(spec));
}
