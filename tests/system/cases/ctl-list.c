/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl list, and what all verbs share: the help, wrong options, words that are nearly right, JSON,
 * a terminal and a pipe, and a service that does not run. */

#include "ctl.h"
#include "testlib.h"

static void test_list(void **state) {
        Bus *bus = *state;
        g_autofree char *out = NULL, *line = NULL, *only = NULL, *json = NULL;

        start(bus, role_name("runs"), NULL, actor(), "pause", NULL);
        start(bus, role_name("ends"), NULL, "sh", "-c", "exit 3", NULL);
        expect_exited(bus, role_name("ends"), "exited", 3, "self");

        out = CTL_OUT(0, "list");
        assert_contains(out, "ROLE");
        line = g_strdup_printf("%d -", (int) role_pid(bus, role_name("runs")));
        assert_contains(out, line);
        assert_contains(out, "exit 3");
        assert_contains(out, "2 roles, 1 running, 1 failed.");
        /* Without a verb, and with a pattern. */
        only = CTL_OUT(0, "--no-legend", "list", "ctl-list.r*");
        assert_contains(only, role_name("runs"));
        assert_contains_not(only, role_name("ends"));
        assert_contains_not(only, "ROLE");
        json = CTL_OUT(0, "-j", "list", "ctl-list.ends");
        assert_string_equal(json,
                "[{\"role\":\"ctl-list.ends\",\"state\":\"ended\",\"pid\":null,\"code\":\"exited\",\"status\":3,"
                "\"unit\":\"architect-main-ctl-list.ends.scope\"}]\n");
}

/* On a terminal there are colours, unless NO_COLOR is set. */
static void test_terminal(void **state) {
        Bus *bus = *state;

        start(bus, role_name("runs"), NULL, actor(), "pause", NULL);
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("--no-pager");
        screen_expect(t.screen, role_name("runs"));
        screen_expect(t.screen, "\033[32m");
        screen_expect(t.screen, "1 role, 1 running, 0 failed.");
        assert_int_equal(ctl_terminal_wait(&t), 0);

        g_auto(CtlTerminal) plain = ctl_on_terminal(
                (const char *const[]){ "env", "NO_COLOR=1", "architectctl", "--no-pager", NULL });
        assert_int_equal(ctl_terminal_wait(&plain), 0);
        assert_contains_not(plain.screen->text->str, "\033[32m");

        /* A pager that the user has chosen, which sees the table but no terminal as its input. */
        g_auto(CtlTerminal) paged = ctl_on_terminal(
                (const char *const[]){ "env", "SYSTEMD_PAGER=tr a-z A-Z", "architectctl", NULL });
        screen_expect(paged.screen, "CTL-LIST.RUNS");
        assert_int_equal(ctl_terminal_wait(&paged), 0);
}

static void test_empty(void **state) {
        g_autofree char *json = CTL_OUT(0, "--json=short"), *err = CTL_ERR(0, "list"),
                        *quiet = CTL_ERR(0, "-q"), *matches = CTL_ERR(0, "list", "x*");

        assert_string_equal(json, "[]\n");
        assert_contains(err, "There are no roles. Start one: architectctl start");
        assert_string_equal(quiet, "");
        assert_string_equal(matches, "No role matches.\n");
}

static void test_errors(void **state) {
        Bus *bus = *state;

        start(bus, role_name("camera"), NULL, actor(), "pause", NULL);
        g_autofree char *verb = CTL_ERR(2, "lsit"), *none = CTL_ERR(2, "qwertz"),
                        *role = CTL_ERR(4, "list", "ctl-list.camrea"),
                        *option = CTL_ERR(2, "list", "--defnied"), *value = CTL_ERR(2, "--json=yaml"),
                        *letter = CTL_ERR(2, "-x"), *own = CTL_ERR(2, "show", "-p"),
                        *missing = CTL_ERR(2, "list", "--machine"), *flag = CTL_ERR(2, "--user=me"),
                        *timeout = CTL_ERR(2, "--timeout=soon"), *two = CTL_ERR(2, "-H", "a", "-M", "b"),
                        *instance = CTL_ERR(1, "--instance=other");

        assert_contains(verb, "there is no verb \"lsit\"; did you mean \"list\"?");
        assert_contains(none, "there is no verb \"qwertz\"\n");
        assert_contains(role, "There is no role \"ctl-list.camrea\"");
        assert_contains(role, "Did you mean \"ctl-list.camera\"?");
        assert_contains(option, "the option --defnied is not known");
        assert_contains(option, "See architectctl list --help.");
        assert_contains(value, "--json=yaml: there are pretty, short and off");
        assert_contains(letter, "the option -x is not known");
        assert_contains(own, "the option -p needs a value");
        assert_contains(missing, "the option --machine needs a value");
        assert_contains(flag, "the option --user=me takes no value");
        assert_contains(timeout, "--timeout=soon is not a time");
        assert_contains(two, "name two places");
        assert_contains(instance, "Start it: systemctl start architect-node@other.service");
}

/* Who looks does not start what was stopped, as a call would, but is told how. */
static void test_stopped(void **state) {
        Bus *bus = *state;

        systemctl("enable", NODE_UNIT);
        systemctl("stop", NODE_UNIT);
        g_autofree char *list = CTL_ERR(1, "list"), *status = CTL_ERR(1, "status");
        const bool started = node_has_name(bus);
        systemctl("disable", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_false(started);
        assert_contains(list, "Start it: systemctl start architect-node.service");
        assert_contains(status, "Start it: systemctl start architect-node.service");
}

/* A full disk is no success. */
static void test_full(void **state) {
        g_autofree char *err = NULL;

        assert_int_equal(run(NULL, &err, "sh", "-c", "architectctl --help >/dev/full", NULL), 1);
        assert_contains(err, "cannot write to standard output");
}

static void test_help(void **state) {
        g_autofree char *help = CTL_OUT(0, "--help"), *list = CTL_OUT(0, "list", "--help"),
                        *version = CTL_OUT(0, "--version");

        assert_contains(help, "list [PATTERN...|@GROUP...]");
        assert_contains(list, "--defined");
        assert_contains(list, "--instance=NAME");
        assert_true(g_str_has_prefix(version, "architectctl "));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_list),
                TEST(test_terminal),
                TEST(test_empty),
                TEST(test_errors),
                TEST(test_stopped),
                TEST(test_full),
                TEST(test_help),
        };
        return run_case("ctl-list", tests);
}
