/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A user without privileges may read everything and change nothing. Each method that changes something, of
 * the node and of a role, returns AccessDenied to alice and has no effect. She also cannot send signals of
 * systemd to the node. */

#include "testlib.h"

static void test_reading(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *path = role_path(role), *out = NULL, *name = NULL;
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_autoptr(GVariant) list = NULL, object = NULL, by_pid = NULL, objects = NULL, all = NULL, xml = NULL,
                            group = NULL, roles = NULL, ports = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        assert_poll(alice, role, "running");
        assert_string_equal(role_state(alice, role), "running");
        object = node_call(alice, "GetRole", g_variant_new("(s)", role));
        by_pid = node_call(alice, "GetRoleByPID", g_variant_new("(u)", (guint32) role_pid(alice, role)));
        assert_true(g_variant_equal(object, by_pid));
        list = node_call(alice, "Poll", g_variant_new("(as)", NULL));
        group = node_call(alice, "GetPgrp", NULL);
        roles = node_call(alice, "ListRoles", NULL);
        ports = node_call(alice, "ListPorts", NULL);
        objects = bus_call(
                alice, NODE_NAME, NODE_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
        all = role_get_all(alice, role);
        name = node_get_string(alice, "Instance");
        xml = bus_call(alice, NODE_NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL);

        assert_int_equal(run_as("alice", &out, NULL, "busctl", "introspect", NODE_NAME, NODE_PATH, NULL), 0);
        assert_contains(out, ".Start");
        g_clear_pointer(&out, g_free);
        assert_int_equal(run_as("alice", &out, NULL, "busctl", "call", NODE_NAME, NODE_PATH, NODE_INTERFACE,
                                 "Poll", "as", "1", role, NULL),
                0);
        assert_contains(out, "running");

        stop(bus, role);
        expect_exited(alice, role, "killed", SIGTERM, "stop");
}

static void test_changing(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b"), *other = role_name("c"), *ended = role_name("d");
        g_autoptr(Bus) alice = bus_new_as("alice");
        GVariant *bytes = g_variant_ref_sink(g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, "x", 1, 1));
        const char *one[] = { role, NULL }, *gone[] = { ended, NULL };
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint mark = bus_mark(bus);
        g_autofree char *err = NULL;
        pid_t pid;

        start(bus, ended, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, ended, "exited", 0, "self");
        stop(bus, ended);
        start(bus, role, NULL, actor(), "tell-on", "USR1", fifo_path(fifo), "usr1", "say", fifo_path(fifo),
                "ready", "read-eof", "exit", "1", NULL);
        fifo_expect_pid(fifo, "ready");
        pid = role_pid(bus, role);
        mark = bus_mark(bus);

        {
                const struct {
                        const char *method;
                        GVariant *args;
                } on_node[] = {
                        { "Start", start_args(other, NULL, actor(), "pause", NULL) },
                        { "Start", start_args(role, NULL, actor(), "pause", NULL) },
                        { "SendInput", g_variant_new("(ss)", role, "x") },
                        { "WriteInput", g_variant_new("(s@ay)", role, bytes) },
                        { "CloseInput", g_variant_new("(s)", role) },
                        { "Stop", g_variant_new("(s)", role) },
                        { "Kill", g_variant_new("(s)", role) },
                        { "Signal", g_variant_new("(ssi)", role, "main", SIGUSR1) },
                        { "Signal", g_variant_new("(ssi)", role, "all", SIGKILL) },
                        { "Freeze", g_variant_new("(s)", role) },
                        { "Thaw", g_variant_new("(s)", role) },
                        { "Purge", g_variant_new("(^as)", one) },
                        { "Purge", g_variant_new("(^as)", gone) },
                        { "Purge", g_variant_new("(as)", NULL) },
                        { "Shutdown", g_variant_new("(s)", "because I can") },
                }, on_role[] = {
                        { "Stop", NULL },
                        { "Kill", NULL },
                        { "Signal", g_variant_new("(si)", "main", SIGUSR1) },
                        { "Freeze", NULL },
                        { "Thaw", NULL },
                        { "SendInput", g_variant_new("(s)", "x") },
                        { "WriteInput", g_variant_new("(@ay)", bytes) },
                        { "CloseInput", NULL },
                        { "Purge", NULL },
                };

                for (size_t i = 0; i < G_N_ELEMENTS(on_node); i++)
                        bus_failure(alice, node_send(alice, on_node[i].method, on_node[i].args),
                                ACCESS_DENIED, NULL);
                for (size_t i = 0; i < G_N_ELEMENTS(on_role); i++)
                        bus_failure(alice, role_send(alice, role, on_role[i].method, on_role[i].args),
                                ACCESS_DENIED, NULL);
        }

        /* Nothing has changed. */
        node_sync(bus);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        assert_poll(bus, ended, "exit 0");
        assert_poll(bus, other, "none");
        assert_false(fifo_has_line(fifo));
        assert_int_equal(bus_count_since(bus, mark, "RoleStarted", NULL), 0);
        assert_int_equal(bus_count_since(bus, mark, "RoleExited", NULL), 0);
        assert_int_equal(bus_count_since(bus, mark, "RolePurged", NULL), 0);
        assert_int_equal(bus_count_since(bus, mark, "ShuttingDown", NULL), 0);
        g_variant_unref(bytes);

        /* A refusal by the node itself names what was refused. */
        assert_int_equal(run_as("alice", NULL, &err, "busctl", "call", NODE_NAME, NODE_PATH, NODE_INTERFACE,
                                 "Stop", "s", role, NULL),
                1);
        assert_contains(err, "Call failed: ");
}

/* No other process can own the name, or send in its place. */
static void test_name(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *names[] = { NODE_NAME, NODE_NAME ".other", NODE_NAME "Instances" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                bus_failure(alice,
                        bus_send(alice, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus", "RequestName", g_variant_new("(su)", names[i], 0)),
                        ACCESS_DENIED, NULL);
        assert_true(node_has_name(bus));
}

/* Signals that alice sends directly to the node never reach it, whatever they are, but her broadcasts reach
 * all subscribers. No client can observe the messages to the node. So another connection stands beside it,
 * under the same policy, as it queues for one of its names. */
static void test_signals(void **state) {
        Bus *bus = *state;
        const char *names[] = { NODE_NAME "Instances", NODE_NAME };
        g_autoptr(Bus) alice = bus_new_as("alice");

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(Bus) listener = bus_new();
                const char *destination = bus_unique_name(listener);
                guint32 ping;

                g_variant_unref(bus_call(listener, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                        "org.freedesktop.DBus", "RequestName", g_variant_new("(su)", names[i], 0)));
                bus_add_match(listener, "type='signal',interface='org.architect.Test'");
                bus_emit(alice, destination, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
                        g_variant_new("(uoss)", 1, SYSTEMD_PATH "/job/1", "cam.scope", "done"));
                bus_emit(alice, destination, "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
                        "PrepareForShutdown", g_variant_new("(b)", true));
                bus_emit(alice, destination, "/org/architect/Test", "org.architect.Test", "Straight", NULL);
                bus_emit(bus, destination, "/org/architect/Test", "org.architect.Test", "Root", NULL);
                bus_emit(alice, NULL, "/org/architect/Test", "org.architect.Test", "Broadcast", NULL);
                (void) bus_wait(listener, "Broadcast", NULL);
                (void) bus_wait(listener, "Root", NULL);
                assert_int_equal(bus_count(listener, "JobRemoved", NULL), 0);
                assert_int_equal(bus_count(listener, "PrepareForShutdown", NULL), 0);
                assert_int_equal(bus_count(listener, "Straight", NULL), 0);

                /* The policy still allows her to read. */
                ping = bus_send(alice, NODE_NAME, NODE_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL);
                g_variant_unref(bus_result(alice, ping));
        }
}

/* The keeper accepts requests from the node only. */
static void test_keeper_socket(void **state) {
        g_autofree char *err = NULL;

        assert_int_not_equal(run_as("alice", NULL, &err, "ls", "/run/architect-keeper", NULL), 0);
        assert_contains(err, "Permission denied");
        g_clear_pointer(&err, g_free);
        assert_int_not_equal(run_as("alice", NULL, &err, "ls", "/run/architect-node/main", NULL), 0);
        assert_contains(err, "Permission denied");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_reading),
                TEST(test_changing),
                TEST(test_name),
                TEST(test_signals),
                TEST(test_keeper_socket),
        };
        return run_case("permissions", tests);
}
