/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The verbs of architectctl that act on roles: start, stop, kill, restart, signal, freeze, thaw, through a
 * pipe and on a terminal, and as a user without rights. */

#include <signal.h>
#include <sys/stat.h>

#include "ctl.h"
#include "testlib.h"

/* -- start -- */

static void test_start(void **state) {
        const char *role = role_name("cam"), *path = scratch("dump");
        g_autofree char *out = NULL, *again = NULL, *none = NULL, *odd = NULL;
        g_autoptr(GHashTable) dump = NULL;

        assert_int_equal(chmod(scratch(""), 0777), 0);
        g_assert_true(g_setenv("SITE", "Kitt \"Peak\" \\ ü", TRUE));
        out = CTL_OUT(0, "start", "-E", "ONE=1", "--setenv=SITE", role, "--uid=alice", "-p", "Nice=3", "-p",
                "LimitCORE=0", "-p", "LimitNOFILE=64", "--working-directory=/tmp", actor(), "dump", path,
                "pause", "--quiet");
        assert_string_equal(out, "");
        WAIT_UNTIL(g_file_test(path, G_FILE_TEST_EXISTS));
        dump = read_dump(path);
        assert_string_equal(dump_get(dump, "env.ONE"), "1");
        assert_string_equal(dump_get(dump, "env.SITE"), "Kitt \"Peak\" \\ ü");
        assert_string_equal(dump_get(dump, "env.USER"), "alice");
        assert_string_equal(dump_get(dump, "cwd"), "/tmp");
        again = CTL_ERR(1, "start", role, "--", actor(), "pause");
        assert_contains(again, role);
        /* The words of the command are the command's. */
        none = CTL_ERR(1, "start", role_name("none"), "/nonexistent", "--help");
        assert_contains(none, "/nonexistent");
        odd = CTL_ERR(2, "start", "ZWO CCD", "/bin/true");
        assert_contains(odd, "ZWO_CCD"); /* what is permitted */
}

static void test_start_usage(void **state) {
        Bus *bus = *state;
        g_autofree char *none = CTL_ERR(2, "start"),
                        *key = CTL_ERR(2, "start", "-p", "Nicee=3", "x", "/bin/true"),
                        *value = CTL_ERR(2, "start", "-p", "KillSignal=FOO", "x", "/bin/true"),
                        *text = CTL_ERR(2, "start", "-p", "Nice", "x", "/bin/true"),
                        *command = CTL_ERR(2, "start", "-p", "Command=/bin/true", "x", "/bin/true"),
                        *group = CTL_ERR(2, "start", "--nice=3", "@dome"),
                        *variable = CTL_ERR(2, "start", "-E", "NO_SUCH_VARIABLE", "x", "/bin/true");

        assert_contains(none, "start needs ROLE..., @GROUP..., or NAME and COMMAND");
        assert_contains(key, "there is no option Nicee=; did you mean Nice=?");
        assert_contains(value, "KillSignal= is \"FOO\", but must be a signal such as SIGTERM");
        assert_contains(text, "-p Nice is not KEY=VALUE");
        assert_contains(command, "Command= is for role files only");
        assert_contains(group, "without options");
        assert_contains(variable, "there is no such variable here");
        assert_state(bus, "x", "none");
}

static void test_start_defined(void **state) {
        Bus *bus = *state;
        const char *one = role_name("one"), *two = role_name("two"), *bad = role_name("bad");
        g_autofree char *unclear = NULL, *none = NULL, *broken = NULL, *nearest = NULL;

        define(one, "RoleGroups=dome\n");
        define(two, "RoleGroups=dome\n");
        define(bad, "Nice=100\n");
        reload_definitions(bus);
        g_free(CTL_OUT(0, "start", one));
        assert_state(bus, one, "running");
        g_free(CTL_OUT(0, "start", one, two)); /* what runs already is a success */
        assert_state(bus, two, "running");
        g_free(CTL_OUT(0, "stop", "@dome"));
        assert_state(bus, one, "ended");
        assert_state(bus, two, "ended");
        g_free(CTL_OUT(0, "start", "@dome"));
        assert_state(bus, two, "running");
        g_free(CTL_OUT(0, "stop", "--all"));
        assert_state(bus, two, "ended");
        g_free(CTL_OUT(0, "start", one, "-p", "KillSignal=INT"));
        assert_int_equal(role_get_i32(bus, one, "StopSignal"), SIGINT);

        unclear = CTL_ERR(2, "start", one, "sleep");
        assert_contains(unclear, "has a definition and \"sleep\" has none; put -- before");
        nearest = CTL_ERR(4, "start", "ctl-act.onee");
        assert_contains(nearest, "Did you mean \"ctl-act.one\"?");
        none = CTL_ERR(4, "start", "@nights", one);
        assert_contains(none, "@nights");
        broken = CTL_ERR(1, "start", one, bad, two);
        assert_contains(broken, "Nice");
        assert_state(bus, two, "running");
}

/* -- stop -- */

/* A stop may take longer than the time that sd-bus waits for a reply. */
static void test_stop_slow(void **state) {
        Bus *bus = *state;
        const char *role = role_name("slow");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *out = NULL, *ended = NULL, *limited = NULL;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <uint64 1500000>}"), actor(), "ignore", "TERM", "say",
                fifo_path(fifo), "ready", "pause", NULL);
        (void) fifo_expect_pid(fifo, "ready");
        g_assert_true(g_setenv("SYSTEMD_BUS_TIMEOUT", "100ms", TRUE));
        limited = CTL_ERR(1, "stop", "--timeout=50ms", role);
        assert_contains(limited, "what was asked for goes on");
        g_auto(CtlRun) run = CTL("stop", role);
        assert_int_equal(run.status, 0);
        assert_string_equal(run.out, "");
        assert_string_equal(run.err, ""); /* no progress in a pipe */
        g_unsetenv("SYSTEMD_BUS_TIMEOUT");
        expect_exited(bus, role, "killed", SIGKILL, "stop");
        ended = CTL_OUT(0, "stop", role);
        out = CTL_ERR(4, "stop", "ctl-act.slwo");
        assert_contains(out, "Did you mean \"ctl-act.slow\"?");
}

static void start_stubborn(Bus *bus, const char *role, Fifo *fifo) {
        start(bus, role, OPTIONS("{'stop-timeout-usec': <uint64 18446744073709551615>}"), actor(), "ignore",
                "TERM", "say", fifo_path(fifo), "ready", "pause", NULL);
        (void) fifo_expect_pid(fifo, "ready");
}

static void test_stop_on_terminal(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start(bus, role_name("a"), NULL, actor(), "pause", NULL);
        start_stubborn(bus, role_name("b"), fifo);
        start_stubborn(bus, role_name("c"), fifo);
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("stop", "--all");
        screen_expect(t.screen, "[1/3] ctl-act.b: stopping");
        kill_role(bus, role_name("b"));
        screen_expect(t.screen, "[2/3] ctl-act.c: stopping");
        screen_type(t.screen, "\003");
        screen_expect(t.screen, "The stop goes on");
        assert_int_equal(ctl_terminal_wait(&t), 128 + SIGINT);
        assert_state(bus, role_name("c"), "stopping");
        g_auto(CtlTerminal) k = CTL_ON_TERMINAL("kill", role_name("c"));
        assert_int_equal(ctl_terminal_wait(&k), 0);
        assert_state(bus, role_name("c"), "ended");
        /* The line is gone at the end. */
        assert_true(g_str_has_suffix(k.screen->text->str, "\r\033[K"));
}

static void test_stop_usage(void **state) {
        g_autofree char *none = CTL_ERR(2, "stop"), *both = CTL_ERR(2, "kill", "--all", "x");

        assert_contains(none, "stop needs ROLE..., @GROUP... or --all");
        assert_contains(both, "kill takes either --all or names");
        g_free(CTL_OUT(0, "stop", "--all"));
}

/* -- restart -- */

static void test_restart(void **state) {
        Bus *bus = *state;
        const char *server = role_name("server"), *client = role_name("client"), *alone = role_name("alone"),
                   *freely = role_name("free");
        g_autofree char *before = NULL, *after = NULL, *of_client = NULL, *client_after = NULL,
                        *refused = NULL, *none = NULL, *lines = g_strdup_printf("Requires=%s\n", server);

        define(server, "RoleGroups=dome\n");
        define(client, lines);
        define(alone, "");
        reload_definitions(bus);
        g_free(CTL_OUT(0, "start", client));
        before = role_get_string(bus, server, "InvocationID");
        of_client = role_get_string(bus, client, "InvocationID");
        /* What depends on it stops and starts with it. */
        g_free(CTL_OUT(0, "restart", "@dome"));
        after = role_get_string(bus, server, "InvocationID");
        client_after = role_get_string(bus, client, "InvocationID");
        assert_string_not_equal(before, after);
        assert_string_not_equal(of_client, client_after);
        assert_state(bus, client, "running");
        /* What does not run is started. */
        g_free(CTL_OUT(0, "restart", alone));
        assert_state(bus, alone, "running");

        /* Nothing is stopped that could not be started again. */
        start(bus, freely, OPTIONS("{'env': <{'A': '1'}>}"), actor(), "pause", NULL);
        refused = CTL_ERR(1, "restart", alone, freely);
        assert_contains(refused, "\"ctl-act.free\" was started with a command");
        assert_contains(
                refused, "architectctl stop ctl-act.free; architectctl start ctl-act.free [OPTIONS] -- ");
        assert_contains(refused, " pause\n");
        assert_state(bus, freely, "running");
        assert_state(bus, alone, "running");
        none = CTL_ERR(4, "restart", "ctl-act.aloen");
        assert_contains(none, "Did you mean \"ctl-act.alone\"?");
        g_free(CTL_OUT(0, "kill", freely));
        g_free(CTL_OUT(0, "restart", "--all"));
        assert_state(bus, client, "running");
        assert_state(bus, freely, "ended");
        g_free(CTL_OUT(3, "restart", "@nobody"));
}

/* -- signals -- */

static void test_signal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("sig");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *bad = NULL, *whom = NULL, *ended = NULL;
        pid_t child, main_pid;

        start(bus, role, NULL, actor(), "tell-on", "USR1", fifo_path(fifo), "usr1", "fork{", "say",
                fifo_path(fifo), "child", "pause", "}", "say", fifo_path(fifo), "main", "pause", NULL);
        main_pid = role_pid(bus, role);
        g_autofree char *first = fifo_line(fifo), *second = fifo_line(fifo);
        assert_string_not_equal(first, second);
        g_free(CTL_OUT(0, "signal", role, "SIGUSR1"));
        assert_int_equal(fifo_expect_pid(fifo, "usr1"), main_pid);
        g_free(CTL_OUT(0, "signal", "--to=all", role, "USR1"));
        child = fifo_expect_pid(fifo, "usr1");
        assert_int_not_equal(child, fifo_expect_pid(fifo, "usr1"));
        bad = CTL_ERR(2, "signal", role, "SIGFOO");
        assert_contains(bad, "\"SIGFOO\" is no signal");
        whom = CTL_ERR(2, "signal", "--to=pgrp", role, "HUP");
        assert_contains(whom, "--to=pgrp: there are main");
        g_free(CTL_OUT(0, "signal", role, "9"));
        expect_exited(bus, role, "killed", SIGKILL, NULL);
        g_free(CTL_OUT(0, "stop", role));
        ended = CTL_ERR(3, "signal", role, "HUP");
        assert_contains(ended, "not running");
}

static void test_freeze(void **state) {
        Bus *bus = *state;
        const char *role = role_name("ice"), *other = role_name("snow"), *gone = role_name("water");
        g_autofree char *none = NULL;

        start(bus, role, OPTIONS("{'role-groups': <['cold']>}"), actor(), "pause", NULL);
        start(bus, other, OPTIONS("{'role-groups': <['cold']>}"), actor(), "pause", NULL);
        start(bus, gone, OPTIONS("{'role-groups': <['cold']>}"), "true", NULL);
        expect_exited(bus, gone, "exited", 0, "self");
        g_free(CTL_OUT(0, "freeze", "@cold"));
        {
                g_autoptr(GVariant) frozen = role_get(bus, other, "Frozen");
                assert_true(g_variant_get_boolean(frozen));
        }
        g_free(CTL_ERR(3, "freeze", gone));
        none = CTL_ERR(4, "thaw", "ctl-act.none", role, other);
        assert_contains(none, "ctl-act.none");
        {
                g_autoptr(GVariant) frozen = role_get(bus, other, "Frozen");
                assert_false(g_variant_get_boolean(frozen));
        }
}

/* -- rights -- */

/* The error names the action of polkit that is missing. */
static void test_not_permitted(void **state) {
        Bus *bus = *state;
        const char *role = role_name("mine");

        define(role, "");
        reload_definitions(bus);
        start_defined(bus, role, NULL);
        g_auto(CtlRun) run = CTL_AS("alice", "--no-ask-password", "start", role_name("x"), "/bin/true"),
                       stop = CTL_AS("alice", "--no-ask-password", "stop", role),
                       many = CTL_AS("alice", "--no-ask-password", "kill", "--all"),
                       signal = CTL_AS("alice", "--no-ask-password", "signal", role, "HUP"),
                       restart = CTL_AS("alice", "--no-ask-password", "restart", role),
                       freeze = CTL_AS("alice", "--no-ask-password", "freeze", role);

        assert_int_equal(run.status, 5);
        assert_contains(run.err, "org.architect.node.start-role");
        assert_int_equal(stop.status, 5);
        assert_contains(stop.err, "org.architect.node.manage-roles");
        assert_int_equal(many.status, 5);
        assert_int_equal(signal.status, 5);
        assert_int_equal(restart.status, 5);
        assert_int_equal(freeze.status, 5);
        assert_state(bus, role, "running");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_start),
                TEST(test_start_usage),
                DEFINED_TEST(test_start_defined),
                TEST(test_stop_slow),
                TEST(test_stop_on_terminal),
                TEST(test_stop_usage),
                DEFINED_TEST(test_restart),
                TEST(test_signal),
                TEST(test_freeze),
                DEFINED_TEST(test_not_permitted),
        };
        return run_case("ctl-act", tests);
}
