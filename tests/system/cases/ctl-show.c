/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The verbs of architectctl that show: status, show, cat, poll, purge, list @GROUP, tree, blame and top,
 * through a pipe and on a terminal. */

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"
#include "testlib.h"

/* Ends with this status, and is known after that. */
static void start_ended(Bus *bus, const char *suffix, const char *status) {
        start(bus, role_name(suffix), NULL, actor(), "exit", status, NULL);
        (void) expect_exited(bus, role_name(suffix), "exited", atoi(status), "self");
}

/* -- status -- */

static void test_status(void **state) {
        Bus *bus = *state;
        g_autofree char *out = NULL, *ended = NULL, *both = NULL, *json = NULL, *node = NULL, *missing = NULL,
                        *partly = NULL, *pid = NULL;

        start(bus, role_name("runs"),
                OPTIONS("{'role-groups': <['night']>, 'notify-access': <'all'>, 'env': <{'A': 'b'}>}"),
                actor(), "print", "first light", "notify", "STATUS=Guiding on a \033[31mstar", "pause", NULL);
        WAIT_UNTIL((g_free(out), out = role_get_string(bus, role_name("runs"), "StatusText"), out[0]));
        start_ended(bus, "ends", "3");
        g_free(out);

        out = CTL_OUT(0, "status", role_name("runs"));
        pid = g_strdup_printf("Main PID: %d\n", (int) role_pid(bus, role_name("runs")));
        assert_contains(out, "ctl-show.runs\n");
        assert_contains(out, "State: running since ");
        assert_contains(out, " ago\n");
        assert_contains(out, pid);
        assert_contains(out, "Unit: architect-main-ctl-show.runs.scope\n");
        assert_contains(out, "Status: Guiding on a \\x1b[31mstar\n");
        assert_contains(out, "Groups: night\n");
        assert_contains(out, "Command: ");
        (void) run_ok("journalctl", "--sync", NULL);
        g_autofree char *log = CTL_OUT(0, "status", role_name("runs")),
                        *without = CTL_OUT(0, "status", "-n", "0", role_name("runs"));
        assert_contains(log, "first light");
        assert_contains_not(g_strrstr(without, "Status:"), "first light");

        ended = CTL_OUT(3, "status", role_name("ends"));
        assert_contains(ended, "State: ended (exit 3) since ");
        assert_contains(ended, "Cause: self\n");
        assert_contains(ended, "Result: exit-code\n");
        both = CTL_OUT(3, "status", role_name("ends"), role_name("runs"));
        assert_true(strstr(both, "ctl-show.ends") < strstr(both, "ctl-show.runs"));
        missing = CTL_ERR(4, "status", "ctl-show.rusn");
        assert_contains(missing, "There is no role \"ctl-show.rusn\"");
        assert_contains(missing, "Did you mean \"ctl-show.runs\"?");
        /* What there is is shown all the same. */
        partly = CTL_OUT(4, "status", "ctl-show.none", role_name("runs"));
        assert_contains(partly, "State: running since ");

        /* Nobody needs rights for what it shows, except for the journal. */
        g_auto(CtlRun) user = CTL_AS("65534", "status", role_name("runs"));
        assert_int_equal(user.status, 0);
        assert_contains(user.out, "State: running since ");
        json = CTL_OUT(3, "-j", "status", role_name("ends"));
        assert_true(g_str_has_prefix(json, "[{\"Name\":\"ctl-show.ends\","));
        assert_contains(json, "\"ExitStatus\":3,");
        node = CTL_OUT(0, "status");
        assert_contains(node, "architect-node - main\n");
        assert_contains(node, "Roles: 2 known, 1 running, 1 failed, 0 to be restarted\n");
        assert_contains(node, "Keeper: connected\n");
        assert_contains(node, "Monitor: ");
}

/* A role that waits for its restart, one that was never started, one that is refused. */
static void test_status_of_definitions(void **state) {
        Bus *bus = *state;

        define(role_name("idle"), "Description=A dome\nAutoStart=yes\nRoleGroups=day\n");
        define(role_name("wrong"), "Nice=much\n");
        reload_definitions(bus);
        start(bus, role_name("again"),
                OPTIONS("{'restart': <'always'>, 'restart-usec': <uint64 3600000000>}"), actor(), "exit", "1",
                NULL);
        (void) bus_wait(bus, "RoleRestarting", role_name("again"));

        g_autofree char *idle = CTL_OUT(3, "status", role_name("idle")),
                        *group = CTL_OUT(3, "status", "@day"),
                        *wrong = CTL_OUT(3, "status", role_name("wrong")),
                        *again = CTL_OUT(3, "status", role_name("again"));
        assert_contains(idle, "ctl-show.idle - A dome\n");
        assert_contains(idle, "State: not started\n");
        assert_contains(idle, "/ctl-show.idle.role; starts with the service\n");
        assert_string_equal(idle, group);
        assert_contains(wrong, "refused: ");
        assert_contains(again, "Next start: ");
        assert_contains(again, " left\n");
}

static void test_status_on_terminal(void **state) {
        Bus *bus = *state;

        start(bus, role_name("runs"), NULL, actor(), "pause", NULL);
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("--no-pager", "status", role_name("runs"));
        screen_expect(t.screen, "\033[0;1;32m");
        screen_expect(t.screen, "running");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

/* -- show -- */

static void test_show(void **state) {
        Bus *bus = *state;

        start(bus, role_name("a"), OPTIONS("{'stop-timeout-usec': <uint64 90000000>}"), actor(), "pause",
                NULL);
        start(bus, role_name("b"), NULL, "sh", "-c", "exec sleep infinity # 'x y'", NULL);
        g_autofree char *all = CTL_OUT(0, "show", role_name("a")),
                        *some = CTL_OUT(
                                0, "show", "-p", "State,StopTimeoutUSec", "-p", "Ready", role_name("a")),
                        *value = CTL_OUT(0, "show", "--value", "-p", "Command", role_name("b")),
                        *two = CTL_OUT(0, "show", "-p", "Name", role_name("b"), role_name("a")),
                        *node = CTL_OUT(0, "show", "-p", "Instance"),
                        *json = CTL_OUT(0, "-j", "show", "-p", "State,MainPID", "ctl-show.*"),
                        *node_json = CTL_OUT(0, "--json=short", "show", "-p", "Instance,NRoles"),
                        *wrong = CTL_ERR(2, "show", "-p", "Sate", role_name("a")),
                        *missing = CTL_ERR(4, "show", "ctl-show.c"), *expected = NULL;

        assert_contains(all, "Name=ctl-show.a\n");
        assert_contains(all, "StartTimestamp=");
        assert_contains(all, "StartTimes=");
        assert_contains(all, "RoleGroups=\n");
        assert_contains(some, "State=running\n");
        assert_contains(some, "StopTimeoutUSec=1min 30s\n");
        assert_contains(some, "Ready=yes\n");
        assert_contains_not(some, "Name=");
        assert_string_equal(value, "sh -c 'exec sleep infinity # '\\''x y'\\'''\n");
        assert_string_equal(two, "Name=ctl-show.b\n\nName=ctl-show.a\n");
        assert_string_equal(node, "Instance=main\n");
        expected = g_strdup_printf(
                "[{\"State\":\"running\",\"MainPID\":%d},{\"State\":\"running\",\"MainPID\":%d}]\n",
                (int) role_pid(bus, role_name("a")), (int) role_pid(bus, role_name("b")));
        assert_string_equal(json, expected);
        assert_contains(node_json, "{\"Instance\":\"main\",\"NRoles\":2}\n");
        assert_contains(wrong, "there is no property \"Sate\"; did you mean \"State\"?");
        assert_contains(missing, "There is no role \"ctl-show.c\"");
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("--no-pager", "show", "-p", "State", role_name("a"));
        screen_expect(t.screen, "State=running");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

/* -- cat -- */

static void test_cat(void **state) {
        Bus *bus = *state;
        g_autofree char *file = role_file(role_name("camera")),
                        *drop_in = g_strconcat(file, ".d/50-x.conf", NULL),
                        *wrong = role_file(role_name("wrong")), *expected = NULL;

        write_role_file(file, "Command=/bin/sleep infinity\nDescription=The camera\n");
        write_role_file(drop_in, "Nice=5\nEnvironment=A=secret\n");
        write_role_file(wrong, "Command=/bin/true\nNice=much\n");
        reload_definitions(bus);

        g_autofree char *out = CTL_OUT(0, "cat", role_name("camera")),
                        *missing = CTL_ERR(4, "cat", "ctl-show.cam"), *usage = CTL_ERR(2, "cat"),
                        *json = CTL_OUT(0, "-j", "cat", role_name("camera"));
        expected = g_strdup_printf(
                "# %s\n[Role]\nCommand=/bin/sleep infinity\nDescription=The camera\n\n# %s\n[Role]\nNice=5\n"
                "Environment=A=secret\n",
                file, drop_in);
        assert_string_equal(out, expected);
        assert_contains(
                missing, "There is no definition \"ctl-show.cam\"\nDid you mean \"ctl-show.camera\"?");
        assert_contains(usage, "cat needs ROLE");
        assert_contains(json, "\"nice\":[5,\"");
        /* One that is refused is shown, too. */
        g_auto(CtlRun) refused = CTL("cat", role_name("wrong"));
        assert_int_equal(refused.status, 0);
        assert_contains(refused.out, "Nice=much\n");
        assert_contains(refused.err, "the definition of ctl-show.wrong is refused");
        assert_contains(refused.err, "ctl-show.wrong.role:3: ");
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("--no-pager", "cat", role_name("camera"));
        screen_expect(t.screen, "Nice=5");
        assert_int_equal(ctl_terminal_wait(&t), 0);
        /* Not on this machine: what the service says, without values of the environment. */
        g_auto(CtlRun) remote = CTL("-M", ".host", "cat", role_name("camera"));
        if (remote.status == 0) {
                assert_contains(remote.out, "nice=5\n");
                assert_contains(remote.out, drop_in);
                assert_contains_not(remote.out, "secret");
        } else
                assert_contains(remote.err, "cannot connect to the system bus of .host");
}

/* A template, the drop-ins of it and those of the instance. */
static void test_cat_template(void **state) {
        Bus *bus = *state;
        g_autofree char *template = g_strdup(DEFINITIONS "/ctl-show.t@.role"),
                        *own = g_strdup(DEFINITIONS "/ctl-show.t-1.role.d/10-own.conf");

        write_role_file(template, "Command=/bin/sleep infinity\nInstances=1 2\n");
        write_role_file(own, "Nice=7\n");
        reload_definitions(bus);
        g_autofree char *one = CTL_OUT(0, "cat", "ctl-show.t-1"), *two = CTL_OUT(0, "cat", "ctl-show.t-2");
        assert_contains(one, "# " DEFINITIONS "/ctl-show.t@.role\n");
        assert_contains(one, "\n# " DEFINITIONS "/ctl-show.t-1.role.d/10-own.conf\n[Role]\nNice=7\n");
        assert_contains_not(two, "Nice=7");
}

/* -- poll, purge -- */

static void test_poll_and_purge(void **state) {
        Bus *bus = *state;

        start(bus, role_name("runs"), NULL, actor(), "pause", NULL);
        start_ended(bus, "b", "3");
        start_ended(bus, "c", "0");
        g_autofree char *all = CTL_OUT(0, "--no-legend", "poll"),
                        *one = CTL_OUT(0, "-j", "poll", role_name("b")),
                        *missing = CTL_ERR(4, "poll", "ctl-show.x"),
                        *both = CTL_ERR(2, "purge", "--all", "x"), *none = CTL_ERR(2, "purge"),
                        *runs = CTL_ERR(1, "purge", role_name("runs"));
        assert_contains(all, "ctl-show.b    exit 3\n");
        assert_contains(all, "ctl-show.runs running\n");
        assert_string_equal(one, "[{\"role\":\"ctl-show.b\",\"state\":\"exit 3\"}]\n");
        assert_contains(missing, "ctl-show.x");
        assert_contains(both, "purge takes either --all or names");
        assert_contains(none, "purge needs ROLE..., @GROUP... or --all");
        assert_contains(runs, "ctl-show.runs");

        g_autofree char *purged = CTL_ERR(0, "purge", role_name("b")),
                        *json = CTL_OUT(0, "-j", "purge", "--all"), *again = CTL_ERR(0, "purge", "--all"),
                        *pattern = CTL_ERR(0, "purge", "ctl-show.*");
        assert_string_equal(purged, "ctl-show.b is purged.\n");
        assert_contains(json, "{\"role\":\"ctl-show.c\"}");
        assert_string_equal(again, "No role has ended.\n");
        assert_string_equal(pattern, "None of them has ended.\n");
        assert_string_equal(poll_role(bus, role_name("runs")), "running");
        assert_string_equal(poll_role(bus, role_name("b")), "none");
}

/* -- groups -- */

static void test_groups(void **state) {
        Bus *bus = *state;

        define(role_name("idle"), "RoleGroups=night\n");
        define(role_name("day"), "RoleGroups=day\n");
        reload_definitions(bus);
        start(bus, role_name("a"), OPTIONS("{'role-groups': <['night', 'dome']>}"), actor(), "pause", NULL);
        start(bus, role_name("b"), NULL, actor(), "pause", NULL);

        g_autofree char *night = CTL_OUT(0, "--no-legend", "list", "@night"),
                        *defined = CTL_OUT(0, "list", "--defined", "@night"),
                        *none = CTL_ERR(4, "list", "@none"),
                        *show = CTL_OUT(0, "show", "-p", "Name", "@dome");
        assert_contains(night, "ctl-show.a");
        assert_contains_not(night, "ctl-show.b");
        assert_contains(defined, "ctl-show.idle");
        assert_contains_not(defined, "ctl-show.day");
        assert_contains(none, "There is no role of the group \"none\"");
        assert_string_equal(show, "Name=ctl-show.a\n");
}

/* -- tree -- */

static void test_tree(void **state) {
        Bus *bus = *state;
        g_autofree char *dome = g_strdup_printf(
                                "Requires=%s\nAfter=%s\n", role_name("mount"), role_name("power")),
                        *mount = g_strdup_printf("BindsTo=%s\n", role_name("power")),
                        *bad = g_strdup_printf("Wants=%s\nNice=much\n", role_name("power"));

        define(role_name("power"), "");
        define(role_name("mount"), mount);
        define(role_name("dome"), dome);
        define(role_name("bad"), bad);
        reload_definitions(bus);
        start_defined(bus, role_name("power"), NULL);

        g_autofree char *all = CTL_OUT(0, "--no-legend", "tree"),
                        *one = CTL_OUT(0, "-j", "tree", role_name("mount")),
                        *reverse = CTL_OUT(0, "--no-legend", "tree", "--reverse", role_name("power")),
                        *missing = CTL_ERR(4, "tree", "ctl-show.x"), *none = CTL_ERR(0, "tree", "x*");
        assert_contains(all, "ctl-show.bad ");
        assert_contains(all, "refused");
        assert_contains(all, "not started");
        assert_contains(all, "binds-to");
        assert_contains(all, "requires");
        assert_contains(all, "running");
        assert_string_equal(one,
                "[{\"role\":\"ctl-show.mount\",\"dependency\":null,\"state\":\"not started\",\"children\":"
                "[{\"role\":\"ctl-show.power\",\"dependency\":\"binds-to\",\"state\":\"running\"}]}]\n");
        assert_true(g_str_has_prefix(reverse, "ctl-show.power"));
        assert_contains(reverse, "ctl-show.mount");
        assert_contains(reverse, "ctl-show.dome");
        assert_contains(missing, "There is no role \"ctl-show.x\"");
        assert_string_equal(none, "No role matches x*.\n");
        /* On a terminal with the lines of a tree. */
        g_auto(CtlTerminal) t = ctl_on_terminal((const char *const[]){
                "env", "LC_ALL=C.UTF-8", "architectctl", "--no-pager", "tree", role_name("mount"), NULL });
        screen_expect(t.screen, "ctl-show.mount");
        screen_expect(t.screen, "\u2514\u2500ctl-show.power");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

/* -- blame -- */

static void test_blame(void **state) {
        Bus *bus = *state;

        start(bus, role_name("fast"), NULL, actor(), "pause", NULL);
        start(bus, role_name("slow"), OPTIONS("{'exec-start-pre': <[[%s, 'burn', '300']]>}", actor()),
                actor(), "pause", NULL);

        g_autofree char *out = CTL_OUT(0, "blame"), *json = CTL_OUT(0, "-j", "blame", role_name("slow")),
                        *fast = CTL_OUT(0, "blame", role_name("fast")),
                        *missing = CTL_ERR(4, "blame", "ctl-show.x");
        const char *slow = strstr(out, "ctl-show.slow");

        assert_contains(out, "TOTAL");
        assert_contains(out, "HOOKS");
        assert_non_null(slow);
        assert_non_null(strstr(slow, "ctl-show.fast"));
        assert_true(g_str_has_prefix(json, "[{\"role\":\"ctl-show.slow\",\"total\":"));
        const char *total = strstr(json, "\"total\":"), *hooks = strstr(json, "\"hooks\":");
        assert_non_null(hooks);
        assert_in_range(g_ascii_strtoull(hooks + 8, NULL, 10), 300000, 60000000);
        assert_true(g_ascii_strtoull(total + 8, NULL, 10) > g_ascii_strtoull(hooks + 8, NULL, 10));
        /* A column that nobody needs is not there. */
        assert_contains_not(fast, "HOOKS");
        assert_contains(missing, "There is no role");
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("--no-pager", "blame");
        screen_expect(t.screen, "ctl-show.slow");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

/* -- top -- */

static void test_top(void **state) {
        Bus *bus = *state;

        start(bus, role_name("idle"), NULL, actor(), "pause", NULL);
        start(bus, role_name("busy"), NULL, "sh", "-c", "while :; do :; done", NULL);
        start_ended(bus, "ended", "0");

        g_autofree char *out = CTL_OUT(0, "top", "-d", "300ms"),
                        *json = CTL_OUT(0, "-j", "top", "-n", "2", "-d", "200ms"),
                        *zero = CTL_ERR(2, "top", "-n", "0"), *delay = CTL_ERR(2, "top", "-d", "never"),
                        *order = CTL_ERR(2, "top", "--order=size"), *remote = CTL_ERR(2, "-M", "dome", "top");
        assert_contains(out, "CPU%");
        const char *busy = strstr(out, "ctl-show.busy"), *idle = strstr(out, "ctl-show.idle");
        assert_non_null(busy);
        assert_non_null(idle);
        assert_true(busy < idle); /* by CPU */
        assert_contains_not(out, "ctl-show.ended");
        const char *percent = strstr(json, "\"cpu-percent\":");
        assert_non_null(percent);
        assert_true(g_ascii_strtod(percent + 14, NULL) > 1);
        g_auto(GStrv) lines = g_strsplit(json, "\n", -1);
        assert_int_equal(g_strv_length(lines), 3); /* two, and their last newline */
        assert_contains(zero, "--iterations=0 is not a number from 1 on");
        assert_contains(delay, "--delay=never is not a time");
        assert_contains(order, "there are cpu, memory and tasks");
        assert_contains(remote, "machinectl shell dome");
}

/* The settings of the terminal and its screen are as before, whatever has ended it. */
static void expect_restored(CtlTerminal *t, const struct termios *before) {
        struct termios after;

        screen_expect(t->screen, "\033[?25h\033[?1049l");
        assert_return_code(tcgetattr(t->screen->fd, &after), errno);
        assert_int_equal(after.c_lflag, before->c_lflag);
        assert_int_equal(after.c_cc[VSUSP], before->c_cc[VSUSP]);
        assert_int_equal(ctl_terminal_wait(t), 0);
}

static void test_top_on_terminal(void **state) {
        static const int signals[] = { 0, SIGINT, SIGTERM, SIGHUP };
        Bus *bus = *state;

        start(bus, role_name("idle"), NULL, actor(), "pause", NULL);
        start(bus, role_name("busy"), NULL, "sh", "-c", "while :; do :; done", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                g_auto(CtlTerminal) t = CTL_ON_TERMINAL("top", "-d", "100ms");
                struct termios before, during;

                screen_expect(t.screen, "\033[?1049h\033[?25l");
                screen_expect(t.screen, "2 roles run, by cpu");
                screen_expect(t.screen, role_name("busy"));
                assert_return_code(tcgetattr(t.screen->fd, &during), errno);
                assert_int_equal(during.c_lflag & (ICANON | ECHO), 0);
                before = during;
                before.c_lflag |= ICANON | ECHO;
                before.c_cc[VSUSP] = 26;
                screen_type(t.screen, "t");
                screen_expect(t.screen, "by tasks");
                screen_type(t.screen, "m");
                screen_expect(t.screen, "by memory");
                if (signals[i] == 0)
                        screen_type(t.screen, "q");
                else
                        assert_return_code(kill(t.pid, signals[i]), errno);
                expect_restored(&t, &before);
        }
        /* So often, and no longer. */
        g_auto(CtlTerminal) counted = CTL_ON_TERMINAL("top", "-d", "100ms", "-n", "2");
        assert_int_equal(ctl_terminal_wait(&counted), 0);
        /* On a terminal that can do nothing it writes tables. */
        g_auto(CtlTerminal) dumb = ctl_on_terminal((const char *const[]){
                "env", "TERM=dumb", "architectctl", "top", "-d", "100ms", "-n", "1", NULL });
        assert_int_equal(ctl_terminal_wait(&dumb), 0);
        assert_contains(dumb.screen->text->str, role_name("busy"));
        assert_contains_not(dumb.screen->text->str, "\033[?1049h");
}

static guint64 n_switches(pid_t pid) {
        g_autofree char *n = process_status(pid, "voluntary_ctxt_switches");

        return g_ascii_strtoull(n, NULL, 10);
}

/* The user has stopped the output by Ctrl-S. It goes on, and ends nevertheless. */
static void test_top_stopped(void **state) {
        Bus *bus = *state;
        int status;

        start(bus, role_name("idle"), NULL, actor(), "pause", NULL);
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("top", "-d", "10ms");
        screen_expect(t.screen, role_name("idle"));
        screen_type(t.screen, "\023");
        const guint64 before = n_switches(t.pid);
        WAIT_UNTIL(n_switches(t.pid) > before + 20);
        assert_return_code(kill(t.pid, SIGTERM), errno);
        assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
        t.pid = 0;
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Who watches does not start a service that was stopped, as a call would. */
static void test_top_of_nothing(void **state) {
        Bus *bus = *state;

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("top", "-d", "50ms");
        screen_expect(t.screen, "0 roles run");
        systemctl("enable", NODE_UNIT);
        systemctl("stop", NODE_UNIT);
        for (unsigned i = 0; i < 3; i++)
                screen_expect(t.screen, "The service does not answer: ");
        assert_false(node_has_name(bus));
        systemctl("disable", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        screen_expect(t.screen, "0 roles run");
        screen_type(t.screen, "q");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_status),
                DEFINED_TEST(test_status_of_definitions),
                TEST(test_status_on_terminal),
                TEST(test_show),
                DEFINED_TEST(test_cat),
                DEFINED_TEST(test_cat_template),
                TEST(test_poll_and_purge),
                DEFINED_TEST(test_groups),
                DEFINED_TEST(test_tree),
                TEST(test_blame),
                TEST(test_top),
                TEST(test_top_on_terminal),
                TEST(test_top_stopped),
                TEST(test_top_of_nothing),
        };
        return run_case("ctl-show", tests);
}
