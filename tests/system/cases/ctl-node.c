/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl: the verbs about the service as a whole, which are env, bind-tcp, bind-udp, ports, release,
 * beat, monitor-timeout, log-level, log-to-sve, reload and shutdown. */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "testlib.h"

static void test_env(void **state) {
        g_autofree char *set = CTL_OUT(0, "env", "set", "CTL_ONE", "a b"),
                        *two = CTL_OUT(0, "env", "set", "CTL_TWO=x=y", "CTL_THREE="),
                        *option = CTL_OUT(0, "env", "set", "CTL_FOUR", "-x"),
                        *one = CTL_OUT(0, "env", "get", "CTL_ONE"), *json = CTL_OUT(0, "-j", "env", "list"),
                        *quoted = CTL_OUT(0, "-j", "env", "get", "CTL_ONE"), *list = CTL_OUT(0, "env");

        assert_string_equal(set, "");
        assert_string_equal(two, "");
        assert_string_equal(option, "");
        assert_string_equal(one, "a b\n");
        assert_string_equal(quoted, "\"a b\"\n");
        assert_contains(list, "CTL_FOUR=-x\nCTL_ONE=a b\nCTL_THREE=\nCTL_TWO=x=y\n");
        assert_true(g_str_has_prefix(
                json, "{\"CTL_FOUR\":\"-x\",\"CTL_ONE\":\"a b\",\"CTL_THREE\":\"\",\"CTL_TWO\":\"x=y\","));
        g_free(CTL_OUT(0, "env", "unset", "CTL_ONE", "CTL_TWO", "CTL_THREE", "CTL_FOUR"));
        g_autofree char *gone = CTL_ERR(1, "env", "get", "CTL_ONE"), *verb = CTL_ERR(2, "env", "gte", "A"),
                        *none = CTL_ERR(2, "env", "get"), *value = CTL_ERR(2, "env", "set", "CTL_ONE"),
                        *name = CTL_ERR(2, "env", "set", "1A=b");

        assert_contains(gone, "CTL_ONE");
        assert_contains(verb, "env takes get, set, unset or list, not \"gte\"");
        assert_contains(none, "env get takes NAME");
        assert_contains(value, "\"CTL_ONE\" has no value");
        assert_contains(name, "1A");
}

static void test_ports(void **state) {
        Bus *bus = *state;
        const char *role = role_name("server");

        g_autofree char *empty = CTL_ERR(0, "ports"), *nothing = CTL_OUT(0, "-j", "ports"),
                        *two = CTL_OUT(0, "bind-tcp", "2"), *json = CTL_OUT(0, "-j", "bind-udp"),
                        *these = CTL_OUT(0, "bind-tcp", "--ports=7301,7302"),
                        *same = CTL_OUT(0, "bind-udp", "--ports=7302"),
                        *range = CTL_OUT(0, "bind-tcp", "--range=7310-7320", "--address=127.0.0.1", "2"),
                        *table = CTL_OUT(0, "ports");
        g_auto(GStrv) lines = g_strsplit(two, "\n", -1);

        assert_string_equal(empty, "No ports are reserved. Reserve one: architectctl bind-tcp\n");
        assert_string_equal(nothing, "[]\n");
        assert_int_equal(g_strv_length(lines), 3); /* one a line */
        assert_true(g_ascii_strtoull(lines[1], NULL, 10) > 1023);
        assert_true(json[0] == '[' && g_str_has_suffix(json, "]\n"));
        assert_string_equal(these, "7301\n7302\n");
        assert_string_equal(range, "7310\n7311\n");
        assert_string_equal(same, "7302\n");
        assert_contains(table, "PROTOCOL  PORT USER ROLE");
        assert_contains(table, "tcp       7301 root -\n");

        /* Both protocols, unless one is named. A port of a role stays. */
        g_autofree char *busy = CTL_ERR(1, "bind-tcp", "--ports=7301");
        assert_contains(busy, "7301");
        g_free(CTL_OUT(0, "release", "7302"));
        g_autofree char *absent = CTL_ERR(1, "release", "7302");
        assert_contains(absent, "7302");
        start(bus, role, OPTIONS("{'tcp-ports': <[uint16 7301]>}"), actor(), "pause", NULL);
        g_autofree char *of_role = CTL_ERR(1, "release", "7301"), *listed = CTL_OUT(0, "-j", "ports");
        assert_contains(of_role, role);
        assert_contains(
                listed, "{\"protocol\":\"tcp\",\"port\":7301,\"uid\":0,\"role\":\"ctl-node.server\"}");
        g_free(CTL_OUT(0, "release", "--all", "--tcp"));
        g_autofree char *left = CTL_OUT(0, "--no-legend", "ports");
        assert_contains(left, "tcp ");
        assert_contains(left, "udp ");
        assert_contains_not(left, "7310");
        g_autofree char *stays = CTL_ERR(0, "release", "--all");
        assert_string_equal(
                stays, "The role \"ctl-node.server\" has the tcp port 7301, which stays reserved.\n");
        stop(bus, role);
        g_free(CTL_OUT(0, "release", "--all"));
        g_autofree char *end = CTL_OUT(0, "-j", "ports");
        assert_string_equal(end, "[]\n");

        g_autofree char *number = CTL_ERR(2, "release", "70000"), *both = CTL_ERR(2, "release", "--all", "5"),
                        *neither = CTL_ERR(2, "release"), *count = CTL_ERR(2, "bind-tcp", "0"),
                        *many = CTL_ERR(2, "bind-tcp", "257"), *wrong = CTL_ERR(2, "bind-tcp", "--range=9-5");
        assert_contains(number, "\"70000\" is not the number of a port, from 1 to 65535");
        assert_contains(both, "either PORT... or --all");
        assert_contains(neither, "either PORT... or --all");
        assert_contains(count, "\"0\" is not a number of ports");
        assert_contains(many, "256");
        assert_contains(wrong, "--range=9-5 is not a range");
}

static guint64 deadline(Bus *bus) {
        g_autoptr(GVariant) value = node_get(bus, "MonitorDeadlineUSec");

        return g_variant_get_uint64(value);
}

static void test_beat(void **state) {
        Bus *bus = *state;

        g_free(CTL_OUT(0, "monitor-timeout", "1h"));
        g_autofree char *shown = CTL_OUT(0, "monitor-timeout"), *json = CTL_OUT(0, "-j", "monitor-timeout");
        assert_string_equal(shown, "1h\n");
        assert_string_equal(json, "3600000000\n");
        const guint64 before = (guint64) g_get_monotonic_time();
        g_free(CTL_OUT(0, "beat"));
        assert_true(deadline(bus) >= before + 3600 * (guint64) G_USEC_PER_SEC);
        g_free(CTL_OUT(0, "monitor-timeout", "off"));
        g_autofree char *off = CTL_OUT(0, "monitor-timeout");
        assert_string_equal(off, "off\n");
        assert_int_equal(deadline(bus), 0);
        g_autofree char *text = CTL_ERR(2, "monitor-timeout", "soon"),
                        *every = CTL_ERR(2, "beat", "--every=0"), *more = CTL_ERR(2, "beat", "now");
        assert_contains(text, "\"soon\" is not a time");
        assert_contains(every, "--every=0 is not a time");
        assert_contains(more, "beat takes no argument");
}

/* Beats go on over a crash and a stop of the service, which they do not start. */
static void test_beats(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *line = g_strdup_printf("exec architectctl beat --every=50ms 2>%s", fifo_path(fifo));
        guint64 last;
        int status;

        g_free(CTL_OUT(0, "monitor-timeout", "1h"));
        pid_t pid = spawn("sh", "-c", line, NULL);
        WAIT_UNTIL(deadline(bus) > 0);
        last = deadline(bus);
        WAIT_UNTIL(deadline(bus) > last);
        node_crash(bus);
        last = deadline(bus);
        WAIT_UNTIL(deadline(bus) > last);

        systemctl("enable", NODE_UNIT); /* a call would start it */
        systemctl("stop", NODE_UNIT);
        for (;;) {
                g_autofree char *said = fifo_line(fifo);

                if (strstr(said, " does not run"))
                        break;
        }
        /* Some beats later it does not run either. */
        for (guint64 end = (guint64) g_get_monotonic_time() + 300000; (guint64) g_get_monotonic_time() < end;)
                assert_false(node_has_name(bus));
        systemctl("disable", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        for (;;) {
                g_autofree char *said = fifo_line(fifo);

                if (g_str_has_prefix(said, "Beats arrive again, after "))
                        break;
        }
        WAIT_UNTIL(deadline(bus) > 0);
        assert_return_code(kill(pid, SIGTERM), errno);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("beat", "--every=50ms");
        last = deadline(bus);
        WAIT_UNTIL(deadline(bus) > last);
        screen_type(t.screen, "\003");
        assert_int_equal(ctl_terminal_wait(&t), 0);

        /* This can never succeed. */
        g_auto(CtlRun) refused = CTL_AS("nobody", "--no-ask-password", "beat", "--every=1s");
        assert_int_equal(refused.status, 5);
        g_free(CTL_OUT(0, "monitor-timeout", "0"));
}

static void test_log(void **state) {
        Bus *bus = *state;
        g_autofree char *before = CTL_OUT(0, "log-level");

        g_free(CTL_OUT(0, "log-level", "debug"));
        g_autofree char *after = CTL_OUT(0, "log-level"), *json = CTL_OUT(0, "-j", "log-level"),
                        *bad = CTL_ERR(2, "log-level", "loud");
        assert_string_equal(after, "debug\n");
        assert_string_equal(json, "\"debug\"\n");
        assert_contains(bad, "\"loud\", but must be emerg");
        g_free(CTL_OUT(0, "log-to-sve", "yes"));
        start(bus, role_name("a"), NULL, actor(), "pause", NULL);
        bus_wait(bus, "LogMessage", NULL);
        g_free(CTL_OUT(0, "log-to-sve", "no"));
        g_free(CTL_OUT(0, "log-level", g_strchomp(before)));
        node_sync(bus);
        const guint mark = bus_mark(bus);
        stop(bus, role_name("a"));
        node_sync(bus);
        assert_int_equal(bus_count_since(bus, mark, "LogMessage", NULL), 0);
        g_autofree char *maybe = CTL_ERR(2, "log-to-sve", "maybe"), *none = CTL_ERR(2, "log-to-sve");
        assert_contains(maybe, "\"maybe\" is neither yes nor no");
        assert_contains(none, "log-to-sve needs BOOL");
}

static void test_reload(void **state) {
        const char *bad = role_name("bad"), *good = role_name("good");
        g_autofree char *file = role_file(bad);

        define(good, "");
        g_free(CTL_OUT(0, "reload"));
        define(bad, "Colour=blue\n");
        g_autofree char *err = CTL_ERR(1, "-q", "reload"), *list = CTL_OUT(0, "list", "--defined"),
                        *expected = g_strdup_printf("architectctl: %s:", file);
        assert_contains(err, expected);
        assert_contains(err, "Colour");
        assert_contains(list, good);
        assert_contains(list, "refused");
        write_configuration("MonitorTimeout=soon\n");
        g_autofree char *configuration = CTL_ERR(2, "reload");
        assert_contains(configuration, CONFIGURATION_DROP_IN);
        write_configuration(NULL);
}

static void start_again(Bus *bus) {
        node_wait_name(bus, false);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
}

static void test_shutdown(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *quick = role_name("quick");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start(bus, quick, NULL, actor(), "pause", NULL);
        start(bus, role, OPTIONS("{'stop-timeout-usec': <uint64 1500000>}"), actor(), "ignore", "TERM", "say",
                fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        {
                g_auto(CtlTerminal) t = CTL_ON_TERMINAL("shutdown", "the dome is open");
                screen_expect(t.screen, "Stop 2 roles and end? [y/N] ");
                screen_type(t.screen, "n\n");
                assert_int_equal(ctl_terminal_wait(&t), 1);
                assert_contains(t.screen->text->str, "nothing was stopped");
        }
        assert_poll(bus, role, "running");

        /* It says on a terminal who does not end, and ends with the service. */
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("shutdown", "the dome is open");
        screen_expect(t.screen, "Stop 2 roles and end? [y/N] ");
        screen_type(t.screen, "y\n");
        screen_expect(t.screen, "Still running: ctl-node.a\r\n");
        assert_int_equal(ctl_terminal_wait(&t), 0);
        assert_false(node_has_name(bus));
        assert_string_equal(bus_wait(bus, "ShuttingDown", NULL)->text, "the dome is open");
        expect_exited(bus, role, "killed", SIGKILL, "shutdown");
        start_again(bus);
}

/* Nobody is asked in a script, nor with --yes. */
static void test_shutdown_unasked(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        start(bus, role, NULL, actor(), "pause", NULL);
        g_autofree char *more = CTL_ERR(2, "shutdown", "two", "reasons"), *err = CTL_ERR(0, "shutdown");
        assert_contains(more, "\"reasons\" is one too many");
        assert_string_equal(err, "");
        assert_false(node_has_name(bus));
        expect_exited(bus, role, "killed", SIGTERM, "shutdown");
        start_again(bus);

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("shutdown", "--yes", "--no-block");
        assert_int_equal(ctl_terminal_wait(&t), 0);
        assert_contains_not(t.screen->text->str, "[y/N]");
        start_again(bus);
}

/* Whoever may not is told which action it is, and changes nothing. */
static void test_not_permitted(void **state) {
        g_auto(CtlRun) env = CTL_AS("nobody", "--no-ask-password", "env", "list"),
                       ports = CTL_AS("nobody", "--no-ask-password", "bind-tcp"),
                       level = CTL_AS("nobody", "--no-ask-password", "log-level", "debug"),
                       shown = CTL_AS("nobody", "log-level"),
                       end = CTL_AS("nobody", "--no-ask-password", "shutdown"),
                       reload = CTL_AS("nobody", "--no-ask-password", "reload"),
                       monitor = CTL_AS("nobody", "monitor", "--since=0", "-n1");

        assert_int_equal(env.status, 5);
        assert_int_equal(ports.status, 5);
        assert_contains(ports.err, "org.architect.node.manage-ports");
        assert_int_equal(level.status, 5);
        assert_int_equal(shown.status, 0);
        assert_int_equal(end.status, 5);
        assert_int_equal(reload.status, 5);
        assert_int_equal(monitor.status, 0); /* everybody may look */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_env),
                TEST(test_ports),
                TEST(test_beat),
                TEST(test_beats),
                TEST(test_log),
                DEFINED_TEST(test_reload),
                TEST(test_shutdown),
                TEST(test_shutdown_unasked),
                TEST(test_not_permitted),
        };
        return run_case("ctl-node", tests);
}
