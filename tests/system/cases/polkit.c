/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * What polkit permits, an ordinary user may do, and nothing else. */

#include <glib/gstdio.h>
#include <unistd.h>

#include "polkit.h"
#include "testlib.h"

#define INTERACTION_REQUIRED "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
#define RULES POLKIT_RULES
#define ACTION POLKIT_ACTION

static const char details[] = "    if (said == 'details')\n"
                              "        said = action.lookup('verb') == 'signal' &&\n"
                              "            action.lookup('role') == 'polkit.a' &&\n"
                              "            action.lookup('owner') == '0' && action.lookup('own') == 'no' &&\n"
                              "            action.lookup('user') == 'bob' &&\n"
                              "            action.lookup('instance') == 'main' &&\n"
                              "            action.lookup('command').indexOf(' pause') > 0 &&\n"
                              "            subject.user == 'alice' ? 'yes' : 'no';\n";

static int group_setup(void **state) {
        polkit_install(details);
        return 0;
}

static guint32 node_send_interactive(Bus *bus, const char *method, GVariant *args) {
        return bus_send_interactive(bus, NODE_NAME, NODE_PATH, NODE_INTERFACE, method, args);
}

/* -- the tests -- */

static void release_ports(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListPorts", NULL);
        g_autoptr(GVariantIter) iter = NULL;
        const char *protocol;
        guint16 port;
        guint32 uid;
        guint n = 0;

        g_variant_get(reply, "(a(squs))", &iter);
        for (; g_variant_iter_next(iter, "(&squ&s)", &protocol, &port, &uid, NULL); n++) {
                assert_int_equal(uid, 1001);
                g_variant_unref(node_call(bus, g_str_equal(protocol, "tcp") ? "ReleaseTCP" : "ReleaseUDP",
                        g_variant_new("(@aq)",
                                g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, &port, 1, sizeof(port)))));
        }
        assert_int_equal(n, 3);
}

/* Every method that asks, with each answer. Each has a harmless argument, whose error, or success, shows that
 * the call was permitted. */
static void test_every_method(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        const guint16 port = 9;
        const char *none[] = { role, NULL };
        const struct {
                const char *method, *action;
                GVariant *args;
                const char *error; /* of a call that is permitted; NULL if it succeeds */
        } calls[] = {
                { "SendInput", "manage-roles", g_variant_new("(ss)", role, "x"), "NoInput" },
                { "WriteInput", "manage-roles", g_variant_new("(s@ay)", role, g_variant_new_bytestring("x")),
                        "NoInput" },
                { "CloseInput", "manage-roles", g_variant_new("(s)", role), "NoInput" },
                { "OpenTerminal", "manage-roles", g_variant_new("(sa{sv})", role, NULL), "NoTerminal" },
                { "OpenTerminalSocket", "manage-roles", g_variant_new("(sa{sv})", role, NULL), "NoTerminal" },
                { "ResizeTerminal", "manage-roles", g_variant_new("(sqq)", role, 24, 80), "NoTerminal" },
                { "Signal", "manage-roles", g_variant_new("(ssi)", role, "main", SIGCONT), NULL },
                { "Freeze", "manage-roles", g_variant_new("(s)", role), NULL },
                { "Thaw", "manage-roles", g_variant_new("(s)", role), NULL },
                { "Purge", "manage-roles", g_variant_new("(^as)", none), "RoleRunning" },
                { "GetEnv", "manage-environment", g_variant_new("(s)", "CASE_POLKIT"), "NoSuchVariable" },
                { "SetEnv", "manage-environment", g_variant_new("(ss)", "CASE_POLKIT", "x"), NULL },
                { "ListEnv", "manage-environment", NULL, NULL },
                { "UnsetEnv", "manage-environment", g_variant_new("(s)", "CASE_POLKIT"), NULL },
                { "BindTCP", "manage-ports", g_variant_new("(u)", 1), NULL },
                { "BindUDP", "manage-ports", g_variant_new("(u)", 1), NULL },
                { "BindPorts", "manage-ports", g_variant_new("(sa{sv})", "tcp", NULL), NULL },
                { "ReleaseTCP", "manage-ports",
                        g_variant_new("(@aq)", g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, &port, 1, 2)),
                        "NoSuchPort" },
                { "ReleaseUDP", "manage-ports",
                        g_variant_new("(@aq)", g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, &port, 1, 2)),
                        "NoSuchPort" },
                { "SetMonitorTimeout", "monitor", g_variant_new("(t)", (guint64) 30000000), NULL },
                { "AcquireLease", "monitor",
                        g_variant_new("(stt)", "polkit", (guint64) 0, (guint64) 30000000), NULL },
                { "BeatLease", "monitor", g_variant_new("(stt)", "polkit", (guint64) 0, (guint64) 30000000),
                        NULL },
                { "ReleaseLease", "monitor", g_variant_new("(st)", "polkit", (guint64) 0), NULL },
                { "WriteInputWithOptions", "manage-roles",
                        g_variant_new("(s@aya{sv})", role, g_variant_new_bytestring("x"), NULL), "NoInput" },
                { "CloseInputWithOptions", "manage-roles", g_variant_new("(sa{sv})", role, NULL), "NoInput" },
                { "ResizeTerminalWithOptions", "manage-roles",
                        g_variant_new("(sqqa{sv})", role, 24, 80, NULL), "NoTerminal" },
                { "SignalWithOptions", "manage-roles",
                        g_variant_new("(ssia{sv})", role, "main", SIGCONT, NULL), NULL },
                { "FreezeWithOptions", "manage-roles", g_variant_new("(sa{sv})", role, NULL), NULL },
                { "ThawWithOptions", "manage-roles", g_variant_new("(sa{sv})", role, NULL), NULL },
                { "PurgeWithOptions", "manage-roles", g_variant_new("(^asa{sv})", none, NULL),
                        "RoleRunning" },
                /* What only root may say is refused to whom polkit permits the rest. */
                { "FreezeWithOptions", "manage-roles",
                        g_variant_new("(s@a{sv})", role, OPTIONS("{'force': <true>}")), ACCESS_DENIED },
                { "SetLogLevel", "log", g_variant_new("(s)", "info"), NULL },
                { "SetLogToSve", "log", g_variant_new("(b)", FALSE), NULL },
                { "Stop", "manage-roles", g_variant_new("(s)", role), NULL },
                { "Kill", "manage-roles", g_variant_new("(s)", role), NULL },
        };

        start(bus, role, OPTIONS("{'stdin': <'null'>}"), actor(), "pause", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                g_autofree char *action = g_strconcat(ACTION, calls[i].action, NULL);
                GVariant *args = calls[i].args ? g_variant_ref_sink(calls[i].args) : NULL;

                answer("no");
                bus_failure(alice, node_send(alice, calls[i].method, args), ACCESS_DENIED, "uid 1001", action,
                        "polkit refuses", NULL);
                bus_failure(alice, node_send_interactive(alice, calls[i].method, args), ACCESS_DENIED, action,
                        NULL);
                answer(""); /* alice has no session here, for which all is refused by default */
                bus_failure(alice, node_send(alice, calls[i].method, args), ACCESS_DENIED, action, NULL);
                answer("auth");
                bus_failure(alice, node_send(alice, calls[i].method, args), INTERACTION_REQUIRED, action,
                        "requires an authentication", NULL);
                bus_failure(alice, node_send_interactive(alice, calls[i].method, args), ACCESS_DENIED, action,
                        "no agent", NULL);
                assert_poll(bus, role, i < G_N_ELEMENTS(calls) - 1 ? "running" : "exit -15");
                answer("yes");
                if (calls[i].error)
                        bus_failure(alice, node_send(alice, calls[i].method, args), calls[i].error, NULL);
                else
                        g_variant_unref(bus_result(alice, node_send(alice, calls[i].method, args)));
                if (args)
                        g_variant_unref(args);
        }
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        release_ports(bus);
}

/* What the policy of the package says, without a rule. */
static void test_policy(void **state) {
        static const struct {
                const char *action, *any, *inactive, *active;
        } defaults[] = {
                { "start-defined-role", "no", "no", "auth_admin_keep" },
                { "start-role", "no", "no", "yes" },
                { "start-role-as", "no", "no", "auth_admin" },
                { "manage-own", "yes", "yes", "yes" },
                { "manage-roles", "no", "no", "auth_admin_keep" },
                { "manage-ports", "no", "no", "auth_admin_keep" },
                { "manage-environment", "no", "no", "auth_admin_keep" },
                { "monitor", "no", "no", "auth_admin_keep" },
                { "log", "no", "no", "auth_admin_keep" },
                { "shutdown", "no", "no", "auth_admin_keep" },
        };
        g_autofree char *all = run_ok("pkaction", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(defaults); i++) {
                g_autofree char *action = g_strconcat(ACTION, defaults[i].action, NULL);
                g_autofree char *out = run_ok("pkaction", "--verbose", "--action-id", action, NULL);
                g_autofree char *want =
                        g_strdup_printf("implicit any: %s implicit inactive: %s implicit active: %s",
                                defaults[i].any, defaults[i].inactive, defaults[i].active);
                g_auto(GStrv) words = g_strsplit_set(out, " \n", -1);
                g_autoptr(GString) flat = g_string_new(NULL);

                for (char **word = words; *word; word++)
                        if (**word)
                                g_string_append_printf(flat, "%s%s", flat->len > 0 ? " " : "", *word);
                assert_contains(flat->str, want);
                assert_contains(all, action);
        }
}

/* The rule permits one verb on one role of one user. */
static void test_details(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *other = role_name("b");

        start(bus, role, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL);
        start(bus, other, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL);
        answer("details");
        g_variant_unref(node_call(alice, "Signal", g_variant_new("(ssi)", role, "main", SIGCONT)));
        g_variant_unref(role_call(alice, role, "Signal", g_variant_new("(si)", "main", SIGCONT)));
        node_call_fails(alice, "Signal", g_variant_new("(ssi)", other, "main", SIGCONT), ACCESS_DENIED, NULL);
        node_call_fails(alice, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        assert_poll(bus, role, "running");
}

/* Returns the dictionary of GetPermissions. */
static GVariant *permissions(Bus *bus, const char *role) {
        g_autoptr(GVariant) reply = node_call(bus, "GetPermissions", g_variant_new("(sa{sv})", role, NULL));

        return g_variant_get_child_value(reply, 0);
}

static void assert_permission(GVariant *dictionary, const char *action, const char *expected) {
        g_autofree char *name = g_strconcat(ACTION, action, NULL);
        const char *value;

        assert_true(g_variant_lookup(dictionary, name, "&s", &value));
        assert_string_equal(value, expected);
}

static void test_permissions(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        static const char *const of_node[] = { "start-defined-role", "start-role", "start-role-as",
                "manage-ports", "manage-environment", "monitor", "log", "shutdown" };
        static const char *const answers[][2] = { { "yes", "yes" }, { "no", "no" }, { "auth", "auth" },
                { "", "no" } };
        g_autoptr(GVariant) roots = NULL, roots_role = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
                g_autoptr(GVariant) node = NULL, its = NULL;

                answer(answers[i][0]);
                node = permissions(alice, "");
                its = permissions(alice, role);
                for (size_t j = 0; j < G_N_ELEMENTS(of_node); j++)
                        assert_permission(node, of_node[j], answers[i][1]);
                assert_permission(its, "manage-roles", answers[i][1]);
                assert_permission(its, "manage-own", "no");
        }
        roots = permissions(bus, "");
        roots_role = permissions(bus, role);
        assert_permission(roots, "shutdown", "yes");
        assert_permission(roots_role, "manage-own", "yes");
}

/* While polkit is asked, nobody waits: neither root nor the same caller with a call that only reads. A reply
 * that she forges herself is not one of polkit. */
static void test_held(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *other = role_name("b");
        g_autofree char *node = NULL;
        g_autoptr(GVariant) owner = NULL;
        guint32 serial;
        int fd;

        start(bus, role, NULL, actor(), "pause", NULL);
        answer("hold");
        serial = node_send(alice, "Stop", g_variant_new("(s)", role));
        fd = held();
        /* polkit waits for the rule now, and the node for polkit. */
        assert_poll(alice, role, "running");
        g_variant_unref(node_call(alice, "ListPorts", NULL));
        start(bus, other, NULL, actor(), "pause", NULL);
        stop(bus, other);
        g_variant_unref(node_call(bus, "ListEnv", NULL));

        owner = bus_call(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                "GetNameOwner", g_variant_new("(s)", NODE_NAME));
        g_variant_get(owner, "(s)", &node);
        for (guint32 n = 1; n < 3000; n++)
                bus_forge_reply(alice, node, n, g_variant_new_parsed("((true, false, @a{ss} {}),)"));
        bus_flush(alice);
        assert_poll(alice, role, "running");
        assert_false(bus_has_reply(alice, serial));
        release(fd, "yes");
        g_variant_unref(bus_result(alice, serial));
        expect_exited(bus, role, "killed", SIGTERM, "stop");
}

/* Polkit dies in the middle of a question. */
static void test_polkit_killed(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        guint32 serial;
        int fd;

        start(bus, role, NULL, actor(), "pause", NULL);
        answer("hold");
        serial = node_send(alice, "Stop", g_variant_new("(s)", role));
        fd = held();
        polkit_kill();
        bus_failure(
                alice, serial, ACCESS_DENIED, "polkit has not answered about " ACTION "manage-roles", NULL);
        (void) close(fd);
        assert_poll(bus, role, "running");

        /* The next question starts it again. */
        answer("yes");
        g_variant_unref(node_call(alice, "Stop", g_variant_new("(s)", role)));
}

/* A caller who leaves the bus while polkit is asked has called nothing. */
static void test_caller_leaves(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        int fd;

        start(bus, role, NULL, actor(), "pause", NULL);
        answer("hold");
        (void) node_send(alice, "Stop", g_variant_new("(s)", role));
        fd = held();
        g_clear_pointer(&alice, bus_free);
        node_sync(bus);
        release(fd, "yes");
        answer("no");
        /* polkit answers in this order. */
        alice = bus_new_as("alice");
        node_call_fails(alice, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        node_sync(bus);
        assert_poll(bus, role, "running");
}

/* The role ends and another one begins under its name while polkit is asked. The answer is not about that
 * one, so polkit is asked again. */
static void test_other_role(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        guint32 serial;
        int fd;
        pid_t pid;

        start(bus, role, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL);
        answer("hold");
        serial = node_send(alice, "Kill", g_variant_new("(s)", role));
        fd = held();
        kill_role(bus, role);
        start(bus, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);
        release(fd, "yes");
        fd = held();
        assert_false(bus_has_reply(alice, serial));
        assert_int_equal(role_pid(bus, role), pid);
        release(fd, "no");
        bus_failure(alice, serial, ACCESS_DENIED, ACTION "manage-roles", NULL);
        assert_int_equal(role_pid(bus, role), pid);

        /* It is gone when the answer arrives. */
        answer("hold");
        serial = role_send(alice, role, "Kill", NULL);
        fd = held();
        kill_role(bus, role);
        purge(bus, role);
        release(fd, "yes");
        bus_failure(alice, serial, "org.freedesktop.DBus.Error.UnknownObject", NULL);
}

/* The node is replaced while polkit is asked. */
static void test_restart(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        guint32 serial;
        int fd;

        start(bus, role, NULL, actor(), "pause", NULL);
        answer("hold");
        serial = node_send(alice, "Stop", g_variant_new("(s)", role));
        fd = held();
        run_ok("systemctl", "restart", NODE_UNIT, NULL);
        bus_failure(alice, serial, "ShuttingDown", "call again", NULL);
        release(fd, "yes");
        assert_poll(bus, role, "running");
}

/* Without polkit only root may change anything. */
static void test_absent(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        g_autoptr(GVariant) none = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        answer("yes");
        run_ok("systemctl", "mask", "--runtime", "--now", "polkit.service", NULL);
        node_call_fails(
                alice, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, ACTION "manage-roles", NULL);
        node_call_fails(alice, "Start", start_args(role_name("b"), NULL, actor(), "pause", NULL),
                ACCESS_DENIED, ACTION "start-role", NULL);
        none = permissions(alice, "");
        assert_permission(none, "shutdown", "no");
        assert_poll(bus, role, "running");
        stop(bus, role);
        run_ok("systemctl", "unmask", "--runtime", "polkit.service", NULL);
        g_variant_unref(node_call(alice, "Purge", g_variant_new("(as)", NULL)));
}

/* Shutdown is refused, asked and done. */
static void test_shutdown(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *other = role_name("b");
        guint32 serial;
        int fd;

        start(bus, role, NULL, actor(), "pause", NULL);
        answer("hold");
        serial = node_send(alice, "Shutdown", g_variant_new("(s)", "night"));
        fd = held();
        start(bus, other, NULL, actor(), "pause", NULL);
        release(fd, "yes");
        fd = held(); /* there is another role than before */
        assert_poll(bus, role, "running");
        release(fd, "no");
        bus_failure(alice, serial, ACCESS_DENIED, ACTION "shutdown", NULL);
        answer("yes");
        g_variant_unref(node_call(alice, "Shutdown", g_variant_new("(s)", "night")));
        expect_exited(bus, role, "killed", SIGTERM, "shutdown");
        node_wait_name(bus, false);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
}

/* The rules that are installed as examples. */
static void test_examples(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *own = role_name("b");
        const char *names[] = { "40-architect-operators.rules", "40-architect-owners.rules",
                "40-architect-starters.rules" };

        start(bus, role, NULL, actor(), "pause", NULL);
        run_ok("groupadd", "operators", NULL);
        run_ok("groupadd", "observers", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *from =
                        g_build_filename("/usr/share/doc/architect-node/examples", names[i], NULL);
                run_ok("cp", from, RULES, NULL);
        }
        systemctl("restart", "polkit.service");
        node_call_fails(alice, "Kill", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        run_ok("usermod", "-a", "-G", "operators", "alice", NULL);
        /* Since polkit 125 the groups are those that she has got when she logged in. */
        g_autoptr(Bus) again = bus_new_as("alice");
        node_call_fails(again, "SendInput", g_variant_new("(ss)", role, "x"), ACCESS_DENIED, NULL);
        g_variant_unref(node_call(again, "Kill", g_variant_new("(s)", role)));
        g_variant_unref(node_call(again, "Purge", g_variant_new("(as)", NULL)));
        assert_poll(bus, role, "none");

        node_call_fails(again, "Start", start_args(own, NULL, actor(), "pause", NULL), ACCESS_DENIED,
                ACTION "start-role", NULL);
        run_ok("usermod", "-a", "-G", "observers", "alice", NULL);
        g_autoptr(Bus) starter = bus_new_as("alice");
        node_call_fails(starter, "Start",
                start_args(own, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL), ACCESS_DENIED,
                ACTION "start-role-as", NULL);
        start(starter, own, NULL, actor(), "pause", NULL);
        assert_int_equal(role_get_u32(bus, own, "Owner"), 1001);
        g_variant_unref(node_call(starter, "SetEnv", g_variant_new("(ss)", "CASE_POLKIT", "x")));
        g_variant_unref(node_call(starter, "UnsetEnv", g_variant_new("(s)", "CASE_POLKIT")));
        g_variant_unref(node_call(starter, "Kill", g_variant_new("(s)", own)));

        run_ok("gpasswd", "-d", "alice", "observers", NULL);
        run_ok("groupdel", "observers", NULL);
        run_ok("gpasswd", "-d", "alice", "operators", NULL);
        run_ok("groupdel", "operators", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *file = g_strconcat(RULES, names[i], NULL);
                assert_int_equal(g_unlink(file), 0);
        }
        systemctl("restart", "polkit.service");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                POLKIT_TEST(test_every_method),
                POLKIT_TEST(test_policy),
                POLKIT_TEST(test_details),
                POLKIT_TEST(test_permissions),
                POLKIT_TEST(test_held),
                POLKIT_TEST(test_polkit_killed),
                POLKIT_TEST(test_caller_leaves),
                POLKIT_TEST(test_other_role),
                POLKIT_TEST(test_restart),
                POLKIT_TEST(test_absent),
                POLKIT_TEST(test_shutdown),
                POLKIT_TEST(test_examples),
        };

        case_begin("polkit");
        return cmocka_run_group_tests_name("polkit", tests, group_setup, polkit_group_teardown);
}
