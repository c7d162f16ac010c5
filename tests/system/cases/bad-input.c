/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Wrong types, unknown options, invalid names, numbers out of range, arguments that are too long or too many:
 * each has its error. The message alone names the role or the option and the reason, and nothing is done. A
 * client that disconnects before its reply undoes nothing. */

#include <unistd.h>

#include "testlib.h"

static void test_options(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Census before = census_before(bus);
        const struct {
                const char *options, *option, *reason; /* the reason may be NULL */
        } bad[] = {
                { "{'colour': <'blue'>}", "colour", NULL },
                { "{'': <'blue'>}", "", NULL },
                { "{'Stdin': <'null'>}", "Stdin", NULL },
                { "{'stdin': <'null'>, 'colour': <1>}", "colour", NULL },
                /* types */
                { "{'user': <5>}", "user", NULL },
                { "{'user': <['alice']>}", "user", NULL },
                { "{'group': <true>}", "group", NULL },
                { "{'stdin': <0>}", "stdin", NULL },
                { "{'output': <b'journal'>}", "output", NULL },
                { "{'working-directory': <@o '/tmp'>}", "working-directory", NULL },
                { "{'env': <['A=B']>}", "env", NULL },
                { "{'env': <{'A': 1}>}", "env", NULL },
                { "{'env': <'A=B'>}", "env", NULL },
                { "{'limits': <{'nofile': 'many'}>}", "limits", NULL },
                { "{'limits': <['nofile']>}", "limits", NULL },
                { "{'remove': <'yes'>}", "remove", NULL },
                { "{'remove': <1>}", "remove", NULL },
                { "{'ignore-sigpipe': <'yes'>}", "ignore-sigpipe", NULL },
                { "{'stop-to': <1>}", "stop-to", NULL },
                { "{'stop-signal': <'TERM'>}", "stop-signal", NULL },
                { "{'stop-signal': <15.0>}", "stop-signal", NULL },
                { "{'stop-timeout-usec': <'10s'>}", "stop-timeout-usec", NULL },
                { "{'stop-timeout-usec': <1.5>}", "stop-timeout-usec", NULL },
                { "{'nice': <'+5'>}", "nice", NULL },
                { "{'nice': <true>}", "nice", NULL },
                { "{'memory-max': <'64M'>}", "memory-max", NULL },
                { "{'user': <<5>>}", "user", NULL },
                /* values */
                { "{'user': <''>}", "user", NULL },
                { "{'group': <''>}", "group", NULL },
                { "{'stdin': <'maybe'>}", "stdin", "maybe" },
                { "{'stdin': <''>}", "stdin", NULL },
                { "{'output': <'printer'>}", "output", "printer" },
                { "{'output': <''>}", "output", NULL },
                { "{'output': <'file:'>}", "output", NULL },
                { "{'output': <'file:relative/path'>}", "output", "relative/path" },
                { "{'output': <'append'>}", "output", NULL },
                { "{'output': <'journal:x'>}", "output", NULL },
                { "{'working-directory': <'relative'>}", "working-directory", "relative" },
                { "{'working-directory': <''>}", "working-directory", NULL },
                { "{'env': <{'': 'x'}>}", "env", NULL },
                { "{'env': <{'A=B': 'x'}>}", "env", "A=B" },
                { "{'env': <{'1A': 'x'}>}", "env", "1A" },
                { "{'exit-type': <'group'>}", "exit-type", "group" },
                { "{'exit-type': <'cgroup'>, 'tcp-ports': <[@q 1]>}", "exit-type", "tcp-ports" },
                { "{'type': <'simple'>}", "type", "simple" },
                { "{'type': <''>}", "type", NULL },
                { "{'notify-access': <'none'>}", "notify-access", "none" },
                { "{'watchdog-signal': <6>, 'watchdog-usec': <@t 1>, 'type': <'oneshot'>}", "watchdog-usec",
                        "oneshot" },
                { "{'watchdog-signal': <9>}", "watchdog-signal", "watchdog-usec" },
                { "{'watchdog-signal': <65>}", "watchdog-signal", "65" },
                { "{'timeout-start-usec': <@t 1>}", "timeout-start-usec", "type" },
                { "{'stop-to': <'some'>}", "stop-to", "some" },
                { "{'limits': <{'nofiles': @t 5}>}", "limits", "nofiles" },
                { "{'limits': <{'': @t 5}>}", "limits", NULL },
                { "{'limits': <{'NOFILE': @t 5}>}", "limits", "NOFILE" },
                /* ranges */
                { "{'stop-signal': <0>}", "stop-signal", "0" },
                { "{'stop-signal': <-1>}", "stop-signal", "-1" },
                { "{'stop-signal': <65>}", "stop-signal", "65" },
                { "{'stop-signal': <@x 4294967311>}", "stop-signal", "4294967311" },
                { "{'nice': <20>}", "nice", "20" },
                { "{'nice': <-21>}", "nice", "-21" },
                { "{'nice': <@t 18446744073709551615>}", "nice", NULL },
                { "{'stop-timeout-usec': <-1>}", "stop-timeout-usec", "-1" },
                { "{'memory-max': <0>}", "memory-max", "0" },
                { "{'cpu-weight': <0>}", "cpu-weight", "0" },
                { "{'io-weight': <10001>}", "io-weight", "10001" },
                { "{'memory-high': <0>}", "memory-high", "0" },
                { "{'oom-score-adjust': <1001>}", "oom-score-adjust", "1001" },
                { "{'cpu-affinity': <'numa'>}", "cpu-affinity", "numa" },
                { "{'cpu-affinity': <'2-1'>}", "cpu-affinity", "2-1" },
                { "{'delegate': <'some'>}", "delegate", NULL },
                { "{'memory-max': <-1>}", "memory-max", "-1" },
                { "{'tasks-max': <0>}", "tasks-max", "0" },
                { "{'tasks-max': <-5>}", "tasks-max", "-5" },
                { "{'cpu-quota': <0>}", "cpu-quota", "0" },
                { "{'cpu-quota': <-30>}", "cpu-quota", "-30" },
                /* values of later versions, which this version must refuse */
                { "{'stdin': <'tty'>}", "stdin", "pty" },
                { "{'xterm': <true>}", "xterm", "DISPLAY" },
                { "{'xterm': <true>, 'stdin': <'null'>}", "xterm", "pty" },
                { "{'xterm-args': <['-b', '2']>}", "xterm-args", "xterm" },
        };
        guint mark = bus_mark(bus), problems = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *problem = NULL;
                GVariant *options =
                        g_variant_parse(G_VARIANT_TYPE_VARDICT, bad[i].options, NULL, NULL, &error);

                if (!options)
                        fail_msg("%s: %s", bad[i].options, error->message);
                problem = bus_problem(bus,
                        node_send(bus, "Start", start_args(role, options, actor(), "pause", NULL)),
                        INVALID_ARGS, role, bad[i].option, bad[i].reason, NULL);
                if (problem) {
                        print_error("%s: %s\n", bad[i].options, problem);
                        problems++;
                }
        }
        assert_int_equal(problems, 0);
        assert_no_trace(bus, role, mark);
        assert_census(bus, &before);
}

/* A key that occurs twice is treated as an error. */
static void test_twice(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        GVariantBuilder options = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        guint mark = bus_mark(bus);

        g_variant_builder_add(&options, "{sv}", "nice", g_variant_new_int32(5));
        g_variant_builder_add(&options, "{sv}", "nice", g_variant_new_int32(6));
        start_fails(bus, start_args(role, g_variant_builder_end(&options), actor(), "pause", NULL),
                INVALID_ARGS, role, "nice", NULL);
        assert_no_trace(bus, role, mark);
}

/* "Integers may be of any integer type that holds the value." */
static void test_integers(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        const char types[] = "ynqiuxt";

        for (const char *type = types; *type; type++) {
                g_autofree char *options = g_strdup_printf(
                        "{'nice': <@%c 3>, 'stop-signal': <@%c 2>, 'stop-timeout-usec': <@%c 200>}", *type,
                        *type, *type);

                start(bus, role, g_variant_parse(G_VARIANT_TYPE_VARDICT, options, NULL, NULL, NULL), actor(),
                        "pause", NULL);
                assert_int_equal(role_get_i32(bus, role, "StopSignal"), 2);
                assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 200);
                stop(bus, role);
        }
}

static void test_names(void **state) {
        Bus *bus = *state;
        g_autofree char *longest = g_strnfill(64, 'x'), *too_long = g_strnfill(65, 'x');
        const char *bad[] = { "", "-a", ".a", "_a", "a/b", "a b", "a\n", "a*", "a@b", "a:b", "ä", "a\\x2d",
                "../a", "a\t", too_long };
        Census before = census_before(bus);

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                start_fails(bus, start_args(bad[i], NULL, actor(), "pause", NULL), "InvalidRoleName", NULL);
        /* The message contains the name, as far as it can be printed, and one that is allowed. */
        start_fails(bus, start_args("a b", NULL, actor(), "pause", NULL), "InvalidRoleName", "\"a b\"",
                "; \"a_b\" is", NULL);
        assert_census(bus, &before);

        /* The longest valid name. */
        memcpy(longest, role_name(""), strlen(role_name("")));
        start(bus, longest, NULL, actor(), "pause", NULL);
        assert_poll(bus, longest, "running");
        stop(bus, longest);
        purge(bus, longest);
}

static void test_commands(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d"), *path = scratch("output");
        g_autofree char *long_arg = g_strnfill(200 * 1024, 'x'), *huge_arg = g_strnfill(3 << 20, 'x');
        g_autofree char *big_arg = g_strnfill(100 * 1024, 'x'), *output = g_strconcat("file:", path, NULL),
                        *text = NULL;
        g_autofree const char **many = g_new0(const char *, 1000001), **some = g_new0(const char *, 3001);
        guint mark = bus_mark(bus);
        Census before = census_before(bus);

        start_fails(bus, start_args_v(role, NULL, (const char *[]){ NULL }), "NoSuchDefinition", role, NULL);
        start_fails(bus, start_args(role, NULL, "", NULL), INVALID_ARGS, role, NULL);
        start_fails(bus, start_args(role, NULL, "", "x", NULL), INVALID_ARGS, role, NULL);

        /* The kernel accepts no argument over 128 KiB. The error gives this reason, wherever it is
         * detected. */
        start_fails(bus, start_args(role, NULL, "/bin/true", long_arg, NULL), "ExecFailed", role,
                "Argument list too long", NULL);
        start_fails(bus, start_args(role, NULL, "/bin/true", huge_arg, NULL), INVALID_ARGS, role, NULL);
        for (guint i = 0; i < 1000000; i++)
                many[i] = "a";
        start_fails(bus, start_args_v(role, NULL, many), INVALID_ARGS, role, NULL);
        assert_no_trace(bus, role, mark);
        assert_census(bus, &before);

        /* A list that is large but valid works. */
        for (guint i = 0; i < 3000; i++)
                some[i] = "a";
        some[0] = "sh";
        some[1] = "-c";
        some[2] = "echo $#";
        start(bus, role, OPTIONS("{'output': <%s>, 'env': <{'A': %s, 'B': %s}>}", output, big_arg, big_arg),
                "sh", "-c", "echo ${#A} ${#B} ${#1}", "sh", big_arg, NULL);
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(path);
        assert_string_equal(text, "102400 102400 102400");
        g_clear_pointer(&text, g_free);

        g_variant_unref(
                node_call(bus, "Start", start_args_v(role, OPTIONS("{'output': <%s>}", output), some)));
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(path);
        assert_string_equal(text, "2996"); /* without sh -c SCRIPT and $0 */
}

/* Huge lists cost no more than their size, whichever client sends them. */
static void test_huge_lists(void **state) {
        Bus *bus = *state;
        const guint n = 1000000, n_env = 300000;
        const char *role = role_name("g");
        g_autoptr(Bus) alice = bus_new_as("alice");
        Bus *clients[] = { bus, alice };
        g_autofree const char **names = g_new0(const char *, n + 1);
        gint64 begin = g_get_monotonic_time();

        for (guint i = 0; i < n; i++)
                names[i] = "x";
        for (size_t c = 0; c < G_N_ELEMENTS(clients); c++) {
                GVariantBuilder env = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));
                Bus *client = clients[c];

                for (guint i = 0; i < n_env; i++) {
                        g_autofree char *name = g_strdup_printf("V%u", i);
                        g_variant_builder_add(&env, "{ss}", name, "");
                }
                bus_failure(client,
                        node_send(client, "Start",
                                start_args(role, OPTIONS("{'env': <%@a{ss}>}", g_variant_builder_end(&env)),
                                        actor(), NULL)),
                        INVALID_ARGS, role, "more than 1000", NULL);
                bus_failure(client, node_send(client, "Start", start_args_v(role, NULL, names)), INVALID_ARGS,
                        role, NULL);
                /* No list can name more roles than there may be. */
                bus_failure(client, node_send(client, "Poll", g_variant_new("(^as)", names)), INVALID_ARGS,
                        "more than 16384", NULL);
                bus_failure(client, node_send(client, "Purge", g_variant_new("(^as)", names)), INVALID_ARGS,
                        "more than 16384", NULL);
        }
        /* Eight messages of some megabytes each. */
        assert_true(g_get_monotonic_time() - begin < patience_usec());
}

/* A call with the wrong signature is refused, by sd-bus or by the node, and nothing changes. */
static void test_signatures(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        const struct {
                const char *method;
                GVariant *args;
        } bad[] = {
                { "Start", NULL },
                { "Start", g_variant_new("(s)", role) },
                { "Start", g_variant_new("(ss)", role, "sleep") },
                { "Start", g_variant_new_parsed("(%s, ['sleep'], {'a': 'b'})", role) },
                { "Start", g_variant_new_parsed("(%s, ['sleep'], @a{sv} {}, 1)", role) },
                { "Start", g_variant_new_parsed("(1, ['sleep'], @a{sv} {})") },
                { "Stop", g_variant_new("(u)", 5) },
                { "Stop", g_variant_new("(as)", NULL) },
                { "Poll", g_variant_new("(s)", role) },
                { "Purge", g_variant_new("(s)", role) },
                { "Signal", g_variant_new("(ss)", role, "all") },
                { "Signal", g_variant_new("(ssu)", role, "all", 10) },
                { "WriteInput", g_variant_new("(ss)", role, "x") },
                { "GetRoleByPID", g_variant_new("(i)", 5) },
                { "ListRoles", g_variant_new("(s)", role) },
                { "Shutdown", NULL },
        };

        start(bus, role, NULL, actor(), "pause", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                node_call_fails(bus, bad[i].method, bad[i].args, INVALID_ARGS, NULL);
        node_call_fails(bus, "Explode", NULL, "org.freedesktop.DBus.Error.UnknownMethod", NULL);
        assert_poll(bus, role, "running");
}

static void test_shutdown_reason(void **state) {
        Bus *bus = *state;
        const char *role = role_name("g");
        g_autofree char *reason = g_strnfill(1025, 'r');

        start(bus, role, NULL, actor(), "pause", NULL);
        node_call_fails(bus, "Shutdown", g_variant_new("(s)", reason), INVALID_ARGS, "1025 characters",
                "more than 1024", NULL);
        assert_poll(bus, role, "running");
        assert_int_equal(bus_count(bus, "ShuttingDown", NULL), 0);
}

static void test_verbs(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f");
        const char *by_name[] = { "Stop", "Kill", "Freeze", "Thaw", "CloseInput", "GetRole" };
        const char *names[] = { "no-such-role", "", "a b", "../x", "main" };
        const char *list[] = { role, "no-such-role", NULL };

        start(bus, role, NULL, actor(), "pause", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                const char *name = names[i], *one[] = { name, NULL };

                for (size_t j = 0; j < G_N_ELEMENTS(by_name); j++)
                        node_call_fails(
                                bus, by_name[j], g_variant_new("(s)", name), "NoSuchRole", name, NULL);
                node_call_fails(bus, "SendInput", g_variant_new("(ss)", name, "x"), "NoSuchRole", name, NULL);
                bus_failure(bus, send_write_input(bus, name, "x", 1), "NoSuchRole", name, NULL);
                node_call_fails(
                        bus, "Signal", g_variant_new("(ssi)", name, "all", 10), "NoSuchRole", name, NULL);
                node_call_fails(bus, "Poll", g_variant_new("(^as)", one), "NoSuchRole", name, NULL);
                node_call_fails(bus, "Purge", g_variant_new("(^as)", one), "NoSuchRole", name, NULL);
        }
        /* A prefix is not a name, nor is a pattern. */
        node_call_fails(bus, "Stop", g_variant_new("(s)", role_name("")), "NoSuchRole", NULL);
        node_call_fails(bus, "Stop", g_variant_new("(s)", "bad-input*"), "NoSuchRole", "bad-input*", NULL);
        node_call_fails(bus, "Poll", g_variant_new("(^as)", list), "NoSuchRole", "no-such-role", NULL);

        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "some", 10), INVALID_ARGS, "some", NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "", 10), INVALID_ARGS, NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "main", 0), INVALID_ARGS, "0", NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "all", -1), INVALID_ARGS, "-1", NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "main", 65), INVALID_ARGS, "65", NULL);
        node_call_fails(
                bus, "GetRoleByPID", g_variant_new("(u)", 4000000000U), "NoSuchRole", "4000000000", NULL);

        assert_poll(bus, role, "running");
        assert_int_equal(bus_count(bus, "RoleExited", role), 0);
}

/* Disconnects a client, until the connection of the test receives the signal. The node has read everything
 * that was sent before. */
static void vanish(Bus *bus, Bus *client) {
        g_autofree char *name = g_strdup(bus_unique_name(client));

        bus_free(client);
        for (;;) {
                Event *event = bus_wait_reply(
                        bus, bus_send(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "NameHasOwner", g_variant_new("(s)", name)));
                gboolean owned;

                g_variant_get(event->body, "(b)", &owned);
                if (!owned)
                        return;
        }
}

/* The start is executed or was never begun. The reply of Poll, the unit, the event and the process agree. */
static void test_vanish_after_start(void **state) {
        Bus *bus = *state;
        guint ran = 0;

        for (guint i = 0; i < 20; i++) {
                const char *role = role_name_n("v", i);
                g_autofree char *scope = role_scope(role);
                guint mark = bus_mark(bus);
                Bus *client = bus_new();

                node_send(client, "Start", start_args(role, NULL, actor(), "pause", NULL));
                vanish(bus, client);
                /* A start takes some time, but it ends. */
                WAIT_UNTIL(strcmp(role_state(bus, role), "starting") != 0);
                if (strcmp(role_state(bus, role), "none") == 0) {
                        assert_no_trace(bus, role, mark);
                        continue;
                }
                ran++;
                assert_state(bus, role, "running");
                bus_wait(bus, "RoleStarted", role);
                assert_int_equal(count_units(bus, scope), 1);
                assert_true(process_state(role_pid(bus, role)) != 0);
        }
        print_message("  %u of 20 run\n", ran);
}

static void test_vanish_before_stops_reply(void **state) {
        Bus *bus = *state;
        const char *role = role_name("w");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL;
        Bus *client = bus_new();

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 300000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        cgroup = role_cgroup(bus, role);
        node_send(client, "Stop", g_variant_new("(s)", role));
        fifo_expect_pid(fifo, "heard");
        vanish(bus, client);
        expect_exited(bus, role, "killed", SIGKILL, "stop");
        cgroup_wait_empty(cgroup);
        stop(bus, role);
        purge(bus, role);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_options),
                TEST(test_twice),
                TEST(test_integers),
                TEST(test_names),
                TEST(test_commands),
                TEST(test_huge_lists),
                TEST(test_signatures),
                TEST(test_shutdown_reason),
                TEST(test_verbs),
                TEST(test_vanish_after_start),
                TEST(test_vanish_before_stops_reply),
        };
        return run_case("bad-input", tests);
}
