/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-world.h"

#include <signal.h>

#include "model/role-spec.h"
#include "model/role-terminal.h"

static void test_defaults(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_autofree char *output = role_spec_output(spec);

        assert_null(spec->command);
        assert_null(spec->environment);
        assert_null(spec->working_directory);
        assert_null(spec->user);
        assert_null(spec->group);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_PIPE);
        assert_string_equal(output, "journal");
        assert_false(spec->default_sigpipe);
        assert_int_equal(spec->exit_type, EXIT_TYPE_MAIN);
        assert_int_equal(spec->stop_signal, SIGTERM);
        assert_int_equal(spec->stop_to, STOP_TO_ALL);
        assert_int_equal(spec->stop_timeout_usec, 10 * USEC_PER_SEC);
        assert_false(spec->nice_set);
        assert_int_equal(spec->limits_set, 0);
        assert_false(spec->remove);
        assert_int_equal(spec->type, ROLE_TYPE_EXEC);
        assert_false(spec->timeout_start_set);
        assert_int_equal(spec->notify_access, NOTIFY_ACCESS_DEFAULT);
        assert_int_equal(spec->watchdog_usec, 0);
        assert_int_equal(spec->watchdog_signal, SIGABRT);
        assert_false(role_spec_notifies(spec));
        assert_int_equal(spec->memory_max, 0);
        assert_int_equal(spec->tasks_max, 0);
        assert_int_equal(spec->cpu_quota, 0);
        assert_null(spec->cpu_affinity);
        assert_false(spec->oom_score_adjust_set);
        assert_int_equal(spec->cpu_weight, 0);
        assert_int_equal(spec->io_weight, 0);
        assert_int_equal(spec->memory_high, 0);
        assert_false(spec->delegate);
        assert_null(spec->lease);
        assert_int_equal(spec->fencing_token, 0);
        assert_null(spec->managed_by);
        assert_null(role_spec_free(NULL));
}

/* A lease has the names of roles, and a manager a kind and a name. */
static void test_manager(void **state) {
        static const char *const good[] = { "pacemaker:guider", "desk:/etc/night plan.desk", "a:b:c",
                "x.y-1_:é" };
        static const char *const bad[] = { "", "guider", ":guider", "pacemaker:", "pace maker:x", "é:x",
                "x:a\nb", "x:\033[31m", "x:\xc3" };
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_autofree char *longest = g_strnfill(MANAGED_BY_MAX + 1, 'x');
        g_auto(Fault) lease = {}, token = {};

        longest[1] = ':';
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_return_code(role_spec_set_managed_by(spec, good[i], NULL), 0);
                assert_string_equal(spec->managed_by, good[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};

                assert_fault(role_spec_set_managed_by(spec, bad[i], &fault), &fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"managed-by\" is not KIND:NAME");
        }
        assert_int_equal(role_spec_set_managed_by(spec, longest, NULL), -EINVAL);
        longest[MANAGED_BY_MAX] = '\0';
        assert_return_code(role_spec_set_managed_by(spec, longest, NULL), 0);

        assert_fault(role_spec_set_lease(spec, "two words", &lease), &lease, NODE_ERROR_INVALID_ARGS,
                "\"two_words\" is");
        spec->fencing_token = 1;
        assert_return_code(role_spec_set_command(spec, (char *[]){ "x", NULL }, NULL), 0);
        assert_fault(role_spec_check(spec, &token), &token, NODE_ERROR_INVALID_ARGS,
                "Option \"fencing-token\" needs \"lease\"");
        assert_return_code(role_spec_set_lease(spec, "cluster", NULL), 0);
        assert_return_code(role_spec_check(spec, NULL), 0);
}

static void test_command(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        char *good[] = { "/bin/echo", "", "two words", NULL };
        char *other[] = { "true", NULL };
        char *empty[] = { NULL };
        char *no_program[] = { "", "x", NULL };

        assert_return_code(role_spec_set_command(spec, good, NULL), 0);
        assert_int_equal(g_strv_length(spec->command), 3);
        assert_string_equal(spec->command[1], "");
        assert_ptr_not_equal(spec->command[0], good[0]);
        assert_return_code(role_spec_set_command(spec, other, NULL), 0);
        assert_int_equal(g_strv_length(spec->command), 1);

        char **bad[] = { NULL, empty, no_program };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};
                assert_fault(role_spec_set_command(spec, bad[i], &fault), &fault, NODE_ERROR_INVALID_ARGS,
                        "command");
                assert_string_equal(spec->command[0], "true"); /* not changed */
        }
}

static void test_command_bounds(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {};
        g_autofree char **args = g_new0(char *, ROLE_COMMAND_ARGS_MAX + 2);

        for (unsigned i = 0; i < ROLE_COMMAND_ARGS_MAX; i++)
                args[i] = "x";
        assert_return_code(role_spec_set_command(spec, args, NULL), 0);
        args[ROLE_COMMAND_ARGS_MAX] = "x";
        assert_fault(role_spec_set_command(spec, args, &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "4097 arguments, more than 4096");
}

/* Arguments and environment share one limit, each with its NUL. */
static void test_size(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {};
        g_autofree char *half = g_strnfill(ROLE_COMMAND_SIZE_MAX / 2 - 1, 'x');
        g_autofree char *rest = g_strnfill(ROLE_COMMAND_SIZE_MAX / 2 - 1 - strlen("A="), 'y');
        char *command[] = { half, NULL };

        assert_return_code(role_spec_set_command(spec, command, NULL), 0);
        assert_return_code(role_spec_add_environment(spec, "A", rest, NULL), 0);
        assert_return_code(role_spec_check(spec, &fault), 0);
        assert_null(fault.message);

        assert_return_code(role_spec_add_environment(spec, "B", "", NULL), 0);
        assert_fault(role_spec_check(spec, &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "1048579 bytes, more than 1048576");
}

static void test_environment(void **state) {
        static const char *const bad[] = { "", "1A", "A-B", "A B", "A=B", "\xc3\xa4", "A\n" };
        g_autoptr(RoleSpec) spec = role_spec_new();

        assert_return_code(role_spec_add_environment(spec, "_a1", "x=y\nz", NULL), 0);
        assert_return_code(role_spec_add_environment(spec, "AB", "", NULL), 0);
        /* A prefix of the other name. */
        assert_return_code(role_spec_add_environment(spec, "A", "", NULL), 0);
        assert_int_equal(g_strv_length(spec->environment), 3);
        assert_string_equal(spec->environment[0], "_a1=x=y\nz");
        assert_string_equal(spec->environment[2], "A=");

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};
                assert_fault(role_spec_add_environment(spec, bad[i], "v", &fault), &fault,
                        NODE_ERROR_INVALID_ARGS, "Option \"env\"");
        }
        g_auto(Fault) twice = {};
        assert_fault(role_spec_add_environment(spec, "A", "2", &twice), &twice, NODE_ERROR_INVALID_ARGS,
                "Option \"env\": \"A\" is given twice");
        assert_int_equal(g_strv_length(spec->environment), 3);
}

static void test_working_directory(void **state) {
        static const char *const bad[] = { "", ".", "tmp", "~/x" };
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_autofree char *longest = g_strnfill(4095, '/'), *too_long = g_strnfill(4096, '/');
        g_auto(Fault) long_fault = {};

        assert_return_code(role_spec_set_working_directory(spec, "/tmp", NULL), 0);
        assert_string_equal(spec->working_directory, "/tmp");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};
                assert_fault(role_spec_set_working_directory(spec, bad[i], &fault), &fault,
                        NODE_ERROR_INVALID_ARGS, "Option \"working-directory\"");
                assert_string_equal(spec->working_directory, "/tmp");
        }
        assert_return_code(role_spec_set_working_directory(spec, longest, NULL), 0);
        assert_fault(role_spec_set_working_directory(spec, too_long, &long_fault), &long_fault,
                NODE_ERROR_INVALID_ARGS, "longer than 4095 bytes");
}

static void check_account(const char *option, int (*set)(RoleSpec *, const char *, Fault *), size_t offset) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) empty = {}, too_long_fault = {};
        g_autofree char *longest = g_strnfill(255, 'u'), *too_long = g_strnfill(256, 'u');
        char **field = (char **) ((char *) spec + offset);

        assert_return_code(set(spec, "daemon", NULL), 0);
        assert_string_equal(*field, "daemon");
        assert_return_code(set(spec, "1000", NULL), 0);
        assert_string_equal(*field, "1000");
        assert_fault(set(spec, "", &empty), &empty, NODE_ERROR_INVALID_ARGS, option);
        assert_fault(set(spec, too_long, &too_long_fault), &too_long_fault, NODE_ERROR_INVALID_ARGS, option);
        assert_string_equal(*field, "1000");
        assert_return_code(set(spec, longest, NULL), 0);
}

static void test_accounts(void **state) {
        check_account("Option \"user\"", role_spec_set_user, offsetof(RoleSpec, user));
        check_account("Option \"group\"", role_spec_set_group, offsetof(RoleSpec, group));
}

static void test_stdin(void **state) {
        static const char *const bad[] = { "", "Pipe", "tty", "file:/x" };
        g_autoptr(RoleSpec) spec = role_spec_new();

        assert_return_code(role_spec_set_stdin(spec, "null", NULL), 0);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_NULL);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};
                assert_fault(role_spec_set_stdin(spec, bad[i], &fault), &fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"stdin\"");
                assert_int_equal(spec->stdin_kind, ROLE_STDIN_NULL);
        }
        assert_return_code(role_spec_set_stdin(spec, "pipe", NULL), 0);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_PIPE);
        assert_return_code(role_spec_set_stdin(spec, "pty", NULL), 0);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_PTY);
}

static void test_xterm_args(void **state) {
        static const char *const bad[] = { "-e", "-S12/3", "-Sab4", "-C", "-into", "-in", "-int", "-l", "+l",
                "-lf" };
        static const char *const good[] = { "-ls", "-lc", "-cr", "-iconic", "-geometry", "80x24+0+0", "e",
                "" };
        g_autoptr(RoleSpec) spec = role_spec_new();

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_return_code(
                        role_spec_set_xterm_args(spec, (char *[]){ "-b", (char *) good[i], NULL }, NULL), 0);
        assert_string_equal(spec->xterm_args[0], "-b");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};

                assert_fault(
                        role_spec_set_xterm_args(spec, (char *[]){ "-b", (char *) bad[i], NULL }, &fault),
                        &fault, NODE_ERROR_INVALID_ARGS, bad[i]);
                assert_string_equal(spec->xterm_args[1], ""); /* not changed */
        }
}

/* Which options can be combined. */
static void test_xterm(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new(), args = role_spec_new(), pipe = role_spec_new(),
                            pty = role_spec_new();
        g_autoptr(Env) env = NULL;
        g_auto(Fault) fault = {}, none = {}, empty = {}, without = {};

        assert_return_code(role_spec_finish_terminal(spec, NULL), 0);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_PIPE);
        spec->xterm = true;
        assert_return_code(role_spec_finish_terminal(spec, NULL), 0);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_PTY);
        pty->xterm = true;
        assert_return_code(role_spec_set_stdin(pty, "pty", NULL), 0);
        assert_return_code(role_spec_finish_terminal(pty, NULL), 0);

        assert_return_code(role_spec_set_xterm_args(args, (char *[]){ NULL }, NULL), 0);
        assert_return_code(role_spec_finish_terminal(args, NULL), 0);
        assert_return_code(role_spec_set_xterm_args(args, (char *[]){ "-b", "2", NULL }, NULL), 0);
        assert_fault(role_spec_finish_terminal(args, &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "\"xterm-args\" needs");
        pipe->xterm = true;
        assert_return_code(role_spec_set_stdin(pipe, "pipe", NULL), 0);
        fault_clear(&fault);
        assert_fault(
                role_spec_finish_terminal(pipe, &fault), &fault, NODE_ERROR_INVALID_ARGS, "but it is pipe");

        /* DISPLAY of the role has precedence over that of the node. */
        assert_return_code(env_open(-1, &env), 0);
        assert_fault(
                terminal_check_display(spec, env, NULL, &none), &none, NODE_ERROR_INVALID_ARGS, "DISPLAY");
        assert_return_code(terminal_check_display(args, env, NULL, &without), 0); /* no window at all */
        assert_return_code(env_set(env, 0, "DISPLAY", ":7", NULL), 0);
        assert_return_code(terminal_check_display(spec, env, NULL, NULL), 0);
        assert_return_code(role_spec_add_environment(spec, "DISPLAY", "", NULL), 0);
        assert_fault(
                terminal_check_display(spec, env, NULL, &empty), &empty, NODE_ERROR_INVALID_ARGS, "DISPLAY");
        assert_return_code(role_spec_add_environment(pty, "DISPLAY", ":8", NULL), 0);
        assert_return_code(env_unset(env, 0, "DISPLAY", NULL), 0);
        assert_return_code(terminal_check_display(pty, env, NULL, NULL), 0);
}

static void test_output(void **state) {
        static const char *const good[] = { "journal", "null", "file:/x", "append:/x:y/z", "journal" };
        static const char *const bad[] = { "", "file", "file:", "file:x", "append:./x", "journal:/x",
                "null:", "tty", "FILE:/x", ":" };
        g_autoptr(RoleSpec) spec = role_spec_new();

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_return_code(role_spec_set_output(spec, good[i], NULL), 0);
                g_autofree char *output = role_spec_output(spec);
                assert_string_equal(output, good[i]);
        }
        assert_null(spec->output_path); /* the output is the journal again, so the previous path is unset */
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};
                assert_fault(role_spec_set_output(spec, bad[i], &fault), &fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"output\"");
                g_autofree char *output = role_spec_output(spec);
                assert_string_equal(output, "journal");
        }
}

static void test_stop_to(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {};

        assert_return_code(role_spec_set_stop_to(spec, "main", NULL), 0);
        assert_int_equal(spec->stop_to, STOP_TO_MAIN);
        assert_fault(role_spec_set_stop_to(spec, "both", &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "Option \"stop-to\" is \"both\"");
        assert_int_equal(spec->stop_to, STOP_TO_MAIN);
        assert_return_code(role_spec_set_stop_to(spec, "all", NULL), 0);
        assert_int_equal(spec->stop_to, STOP_TO_ALL);
}

static void test_limits(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) unknown = {}, twice = {};

        for (int i = 0; i < RLIMIT_COUNT; i++)
                assert_return_code(
                        role_spec_add_limit(spec, rlimit_to_string(i), (uint64_t) i * 10, NULL), 0);
        assert_int_equal(spec->limits_set, (UINT64_C(1) << RLIMIT_COUNT) - 1);
        assert_int_equal(spec->limits[RLIMIT_NOFILE], RLIMIT_NOFILE * 10);

        assert_fault(role_spec_add_limit(spec, "files", 1, &unknown), &unknown, NODE_ERROR_INVALID_ARGS,
                "Option \"limits\": \"files\"");
        assert_fault(role_spec_add_limit(spec, "nofile", 1, &twice), &twice, NODE_ERROR_INVALID_ARGS,
                "Option \"limits\": \"nofile\" is given twice");
        assert_int_equal(spec->limits[RLIMIT_NOFILE], RLIMIT_NOFILE * 10);
}

static void test_exit_type(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {}, ports = {};

        assert_return_code(role_spec_set_command(spec, (char *[]){ "x", NULL }, NULL), 0);
        assert_return_code(role_spec_set_exit_type(spec, "cgroup", NULL), 0);
        assert_int_equal(spec->exit_type, EXIT_TYPE_CGROUP);
        assert_fault(role_spec_set_exit_type(spec, "all", &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "Option \"exit-type\" is \"all\"");
        assert_int_equal(spec->exit_type, EXIT_TYPE_CGROUP);
        assert_return_code(role_spec_set_ports(spec, ROLE_PORTS_RELEASE, (uint64_t[]){ 7 }, 1, NULL), 0);
        assert_return_code(role_spec_check(spec, NULL), 0);
        assert_return_code(role_spec_set_ports(spec, ROLE_PORTS_UDP, (uint64_t[]){ 8 }, 1, NULL), 0);
        assert_fault(role_spec_check(spec, &ports), &ports, NODE_ERROR_INVALID_ARGS,
                "cannot be cgroup with \"udp-ports\"");
        assert_return_code(role_spec_set_exit_type(spec, "main", NULL), 0);
        assert_return_code(role_spec_check(spec, NULL), 0);
}

static void test_type(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {}, timeout = {};

        assert_return_code(role_spec_set_command(spec, (char *[]){ "x", NULL }, NULL), 0);
        assert_return_code(role_spec_set_type(spec, "oneshot", NULL), 0);
        assert_int_equal(spec->type, ROLE_TYPE_ONESHOT);
        assert_fault(role_spec_set_type(spec, "simple", &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "Option \"type\" is \"simple\"");
        assert_int_equal(spec->type, ROLE_TYPE_ONESHOT);
        spec->timeout_start_set = true;
        assert_return_code(role_spec_check(spec, NULL), 0);
        /* A timeout that would have no effect is refused. */
        assert_return_code(role_spec_set_type(spec, "exec", NULL), 0);
        assert_fault(role_spec_check(spec, &timeout), &timeout, NODE_ERROR_INVALID_ARGS,
                "Option \"timeout-start-usec\" needs \"type\"");
}

/* Each of them makes a socket. */
static void test_notify(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) access = {}, empty = {}, oneshot = {}, signal = {};

        assert_return_code(role_spec_set_command(spec, (char *[]){ "x", NULL }, NULL), 0);
        assert_return_code(role_spec_set_type(spec, "notify", NULL), 0);
        assert_true(role_spec_notifies(spec));
        spec->timeout_start_set = true;
        assert_return_code(role_spec_check(spec, NULL), 0);
        spec->timeout_start_set = false;
        assert_return_code(role_spec_set_type(spec, "exec", NULL), 0);
        assert_false(role_spec_notifies(spec));
        assert_fault(role_spec_set_notify_access(spec, "none", &access), &access, NODE_ERROR_INVALID_ARGS,
                "Option \"notify-access\" is \"none\", but must be main or all");
        assert_fault(role_spec_set_notify_access(spec, "", &empty), &empty, NODE_ERROR_INVALID_ARGS,
                "must be main or all");
        assert_false(role_spec_notifies(spec));
        assert_return_code(role_spec_set_notify_access(spec, "main", NULL), 0);
        assert_true(role_spec_notifies(spec));
        spec->notify_access = NOTIFY_ACCESS_DEFAULT;

        spec->watchdog_signal = SIGKILL;
        assert_fault(role_spec_check(spec, &signal), &signal, NODE_ERROR_INVALID_ARGS,
                "Option \"watchdog-signal\" needs \"watchdog-usec\"");
        spec->watchdog_usec = USEC_INFINITY; /* as for systemd, it is not watched */
        assert_false(role_spec_notifies(spec));
        spec->watchdog_usec = 1;
        assert_true(role_spec_notifies(spec));
        assert_return_code(role_spec_check(spec, NULL), 0);
        assert_return_code(role_spec_set_type(spec, "oneshot", NULL), 0);
        assert_fault(role_spec_check(spec, &oneshot), &oneshot, NODE_ERROR_INVALID_ARGS,
                "Option \"watchdog-usec\" cannot be used with \"type\" oneshot");
        spec->watchdog_usec = 0;
        spec->watchdog_signal = SIGABRT;
        for (int policy = 0; policy < _RESTART_POLICY_MAX; policy++) {
                g_auto(Fault) restart = {};
                bool refused = policy == RESTART_ALWAYS || policy == RESTART_ON_SUCCESS;

                spec->restart = (RestartPolicy) policy;
                assert_int_equal(role_spec_check(spec, &restart) < 0, refused);
                if (refused)
                        assert_contains(restart.message, "Option \"restart\" cannot be ");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_manager),
                cmocka_unit_test(test_command),
                cmocka_unit_test(test_command_bounds),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_working_directory),
                cmocka_unit_test(test_accounts),
                cmocka_unit_test(test_stdin),
                cmocka_unit_test(test_xterm_args),
                cmocka_unit_test(test_xterm),
                cmocka_unit_test(test_output),
                cmocka_unit_test(test_stop_to),
                cmocka_unit_test(test_exit_type),
                cmocka_unit_test(test_type),
                cmocka_unit_test(test_notify),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
