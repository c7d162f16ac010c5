/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * busctl is convenient: the introspection names the arguments, and a call is one line. As busctl prints
 * nothing else, the message of an error alone contains the role and the reason. */

#include "testlib.h"

#define CALL "busctl", "call", NODE_NAME, NODE_PATH, NODE_INTERFACE

static void test_introspect(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *path = role_path(role), *node = NULL, *object = NULL, *xml = NULL, *role_xml = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        node = run_ok("busctl", "introspect", NODE_NAME, NODE_PATH, NULL);
        assert_contains(node, ".Start");
        assert_contains(node, "sasa{sv}");
        assert_contains(node, "ssusiso"); /* ListRoles */
        assert_contains(node, ".RoleExited");
        assert_contains(node, "sosia{sv}");
        object = run_ok("busctl", "introspect", NODE_NAME, path, NULL);
        assert_contains(object, ".MainPID");
        assert_contains(object, role);

        xml = run_ok("busctl", "introspect", "--xml-interface", NODE_NAME, NODE_PATH, NULL);
        assert_contains(xml, "<method name=\"Start\">");
        assert_contains(xml, "<arg type=\"s\" name=\"role\" direction=\"in\"/>");
        assert_contains(xml, "<arg type=\"as\" name=\"command\" direction=\"in\"/>");
        assert_contains(xml, "<arg type=\"a{sv}\" name=\"options\" direction=\"in\"/>");
        assert_contains(xml, "<arg type=\"o\" name=\"path\" direction=\"out\"/>");
        assert_contains(xml, "<arg type=\"a{sv}\" name=\"details\"/>");
        role_xml = run_ok("busctl", "introspect", "--xml-interface", NODE_NAME, path, NULL);
        assert_contains(role_xml, "<arg type=\"s\" name=\"whom\" direction=\"in\"/>");
        assert_contains(role_xml, "<arg type=\"i\" name=\"signal\" direction=\"in\"/>");
        assert_contains(role_xml, "<arg type=\"ay\" name=\"data\" direction=\"in\"/>");
}

static void test_a_day_at_work(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b"), *file = scratch("output");
        g_autofree char *path = role_path(role), *output = g_strconcat("file:", file, NULL), *poll = NULL,
                        *json = NULL;
        g_autofree char *started = NULL, *expected = NULL, *state_now = NULL, *text = NULL, *purged = NULL;

        started = run_ok(CALL, "Start", "sasa{sv}", role, "1", "cat", "2", "output", "s", output, "nice", "i",
                "3", NULL);
        expected = g_strdup_printf("o \"%s\"\n", path);
        assert_string_equal(started, expected);

        poll = run_ok(CALL, "Poll", "as", "1", role, NULL);
        g_clear_pointer(&expected, g_free);
        expected = g_strdup_printf("a{ss} 1 \"%s\" \"running\"\n", role);
        assert_string_equal(poll, expected);
        json = run_ok("busctl", "--json=short", "call", NODE_NAME, NODE_PATH, NODE_INTERFACE, "Poll", "as",
                "1", role, NULL);
        assert_contains(json, "\"running\"");

        g_free(run_ok(CALL, "SendInput", "ss", role, "hello", NULL));
        state_now = run_ok("busctl", "get-property", NODE_NAME, path, ROLE_INTERFACE, "State", NULL);
        assert_string_equal(state_now, "s \"running\"\n");
        g_free(run_ok(CALL, "CloseInput", "s", role, NULL));
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(file);
        assert_string_equal(text, "hello");
        g_clear_pointer(&poll, g_free);
        poll = run_ok(CALL, "Poll", "as", "1", role, NULL);
        assert_contains(poll, "\"exit 0\"");
        g_free(run_ok(CALL, "Stop", "s", role, NULL));
        purged = run_ok(CALL, "Purge", "as", "1", role, NULL);
        g_clear_pointer(&expected, g_free);
        expected = g_strdup_printf("as 1 \"%s\"\n", role);
        assert_string_equal(purged, expected);
}

/* Only the message is printed, so it must be sufficient. */
static void test_errors(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autofree char *err = NULL;

        assert_int_equal(run(NULL, &err, CALL, "Stop", "s", "no-such-role", NULL), 1);
        assert_contains(err, "Call failed: ");
        assert_contains(err, "no-such-role");
        g_clear_pointer(&err, g_free);

        assert_int_equal(
                run(NULL, &err, CALL, "Start", "sasa{sv}", role, "1", "/nonexistent/program", "0", NULL), 1);
        assert_contains(err, role);
        assert_contains(err, "/nonexistent/program");
        assert_contains(err, "No such file or directory");
        g_clear_pointer(&err, g_free);

        assert_int_equal(run(NULL, &err, CALL, "Start", "sasa{sv}", role, "1", "cat", "1", "user", "s",
                                 "nobody-is-called-so", NULL),
                1);
        assert_contains(err, role);
        assert_contains(err, "nobody-is-called-so");
        g_clear_pointer(&err, g_free);

        assert_int_equal(run(NULL, &err, CALL, "Start", "sasa{sv}", role, "1", "cat", "1", "colour", "s",
                                 "blue", NULL),
                1);
        assert_contains(err, "colour");
        g_clear_pointer(&err, g_free);

        start(bus, role, OPTIONS("{'stdin': <'null'>}"), actor(), "pause", NULL);
        assert_int_equal(run(NULL, &err, CALL, "Start", "sasa{sv}", role, "1", "cat", "0", NULL), 1);
        assert_contains(err, role);
        assert_contains(err, "running");
        g_clear_pointer(&err, g_free);
        assert_int_equal(run(NULL, &err, CALL, "SendInput", "ss", role, "x", NULL), 1);
        assert_contains(err, role);
        assert_contains(err, "standard input");
        g_clear_pointer(&err, g_free);
        assert_int_equal(run(NULL, &err, CALL, "Purge", "as", "1", role, NULL), 1);
        assert_contains(err, role);
        g_clear_pointer(&err, g_free);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_introspect),
                TEST(test_a_day_at_work),
                TEST(test_errors),
        };
        return run_case("busctl", tests);
}
