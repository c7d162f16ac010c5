/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The environment of the roles: GetEnv, SetEnv, UnsetEnv, ListEnv. It comes before HOME, USER, LOGNAME and
 * SHELL, before the env of the role and before ARCHITECT_*. No variable of the service itself is passed on.
 * The environment survives a restart and a crash of the service, but not a clean end. */

#include <unistd.h>

#include "testlib.h"

static void set_env(Bus *bus, const char *name, const char *value) {
        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", name, value)));
}

static void unset_env(Bus *bus, const char *name) {
        g_variant_unref(node_call(bus, "UnsetEnv", g_variant_new("(s)", name)));
}

static void assert_env(Bus *bus, const char *name, const char *expected) {
        g_autoptr(GVariant) result = node_call(bus, "GetEnv", g_variant_new("(s)", name));
        const char *value;

        g_variant_get(result, "(&s)", &value);
        assert_string_equal(value, expected);
}

static void assert_no_env(Bus *bus, const char *name) {
        node_call_fails(bus, "GetEnv", g_variant_new("(s)", name), "NoSuchVariable", name, NULL);
}

static bool list_has(Bus *bus, const char *variable) {
        g_autoptr(GVariant) result = node_call(bus, "ListEnv", NULL);
        g_autofree const char **list = NULL;

        g_variant_get(result, "(^a&s)", &list);
        return g_strv_contains(list, variable);
}

static GHashTable *role_dump(Bus *bus, const char *role, GVariant *options) {
        g_autofree char *path = g_strdup_printf("/run/%s.dump", role);

        start(bus, role, options, actor(), "dump", path, NULL);
        expect_exited(bus, role, "exited", 0, "self");
        GHashTable *dump = read_dump(path);
        (void) unlink(path);
        return dump;
}

static void test_layers(void **state) {
        Bus *bus = *state;
        g_autoptr(GHashTable) dump = NULL;

        set_env(bus, "ONLY_NODE", "n");
        set_env(bus, "BOTH", "node");
        set_env(bus, "HOME", "/node");
        set_env(bus, "ARCHITECT_ROLE", "node");
        assert_true(list_has(bus, "ONLY_NODE=n"));
        assert_env(bus, "HOME", "/node");

        dump = role_dump(bus, role_name("a"),
                OPTIONS("{'env': <{'BOTH': 'role', 'ARCHITECT_INSTANCE': 'role', 'ONLY_ROLE': ''}>}"));
        assert_string_equal(dump_get(dump, "env.ONLY_NODE"), "n");
        assert_string_equal(dump_get(dump, "env.BOTH"), "role");
        assert_string_equal(dump_get(dump, "env.ONLY_ROLE"), "");
        assert_string_equal(dump_get(dump, "env.HOME"), "/root");
        assert_string_equal(dump_get(dump, "env.ARCHITECT_ROLE"), role_name("a"));
        assert_string_equal(dump_get(dump, "env.ARCHITECT_INSTANCE"), "main");

        /* The variables of the service itself. */
        static const char *const own[] = { "INVOCATION_ID", "NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_PID",
                "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC", "RUNTIME_DIRECTORY",
                "SYSTEMD_EXEC_PID" };
        for (size_t i = 0; i < G_N_ELEMENTS(own); i++) {
                g_autofree char *key = g_strconcat("env.", own[i], NULL);
                if (g_hash_table_contains(dump, key))
                        fail_msg("the role has %s=%s", own[i], dump_get(dump, key));
                assert_no_env(bus, own[i]);
        }
        unset_env(bus, "ONLY_NODE");
        unset_env(bus, "BOTH");
        unset_env(bus, "HOME");
        unset_env(bus, "ARCHITECT_ROLE");
        assert_no_env(bus, "ONLY_NODE");
}

static void test_errors(void **state) {
        Bus *bus = *state;
        static const char *const names[] = { "", "1A", "A=B", "A B", "Ä" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                node_call_fails(
                        bus, "SetEnv", g_variant_new("(ss)", names[i], "x"), INVALID_ARGS, "name", NULL);
        node_call_fails(
                bus, "UnsetEnv", g_variant_new("(s)", "NEVER_SET"), "NoSuchVariable", "NEVER_SET", NULL);
        assert_no_env(bus, "NEVER_SET");
}

static void test_survives(void **state) {
        Bus *bus = *state;

        set_env(bus, "SURVIVES", "two words\nand a line");
        node_restart(bus);
        assert_env(bus, "SURVIVES", "two words\nand a line");
        node_crash(bus);
        assert_env(bus, "SURVIVES", "two words\nand a line");

        systemctl("stop", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_no_env(bus, "SURVIVES");
}

/* Values may be secrets. */
static void test_private(void **state) {
        g_autoptr(Bus) alice = bus_new_as("alice");

        node_call_fails(alice, "ListEnv", NULL, ACCESS_DENIED, NULL);
        node_call_fails(alice, "GetEnv", g_variant_new("(s)", "PATH"), ACCESS_DENIED, NULL);
        node_call_fails(alice, "SetEnv", g_variant_new("(ss)", "A", "B"), ACCESS_DENIED, NULL);
        node_call_fails(alice, "UnsetEnv", g_variant_new("(s)", "PATH"), ACCESS_DENIED, NULL);
}

static void test_pgrp(void **state) {
        Bus *bus = *state;
        g_autoptr(GVariant) result = node_call(bus, "GetPgrp", NULL);
        guint32 pgrp;

        g_variant_get(result, "(u)", &pgrp);
        assert_int_equal(pgrp, getpgid(node_pid(bus)));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_layers),
                TEST(test_errors),
                TEST(test_survives),
                TEST(test_private),
                TEST(test_pgrp),
        };
        return run_case("environment", tests);
}
