/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * GetRoleByPID returns the role of any of its processes, however far from the main process; 0 means the
 * caller itself. For a process without a role it returns an error. */

#include <unistd.h>

#include "testlib.h"

static void check(Bus *bus, pid_t pid, const char *role) {
        g_autofree char *path = role_path(role);
        g_autoptr(GVariant) reply = node_call(bus, "GetRoleByPID", g_variant_new("(u)", (guint32) pid));
        g_autoptr(GVariant) by_name = node_call(bus, "GetRole", g_variant_new("(s)", role));
        const char *found;

        g_variant_get(reply, "(&o)", &found);
        assert_string_equal(found, path);
        assert_true(g_variant_equal(reply, by_name));
}

static void test_processes(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *other = role_name("b");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t pid;

        start(bus, other, NULL, actor(), "pause", NULL);
        start(bus, role, NULL, actor(), "fork{", "fork{", "say", fifo_path(fifo), "up", "pause", "}", "say",
                fifo_path(fifo), "up", "pause", "}", "daemon{", "say", fifo_path(fifo), "up", "pause", "}",
                "pause", NULL);
        for (int i = 0; i < 3; i++)
                check(bus, fifo_expect_pid(fifo, "up"), role);
        check(bus, role_pid(bus, role), role);
        check(bus, role_pid(bus, other), other);

        pid = role_pid(bus, role);
        stop(bus, role);
        node_call_fails(bus, "GetRoleByPID", g_variant_new("(u)", (guint32) pid), "NoSuchRole", NULL);
}

static void test_foreign(void **state) {
        Bus *bus = *state;
        const pid_t foreign[] = { 1, getpid(), node_pid(bus), keeper_pid(bus), 0 /* the test itself */ };

        for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
                node_call_fails(
                        bus, "GetRoleByPID", g_variant_new("(u)", (guint32) foreign[i]), "NoSuchRole", NULL);
}

/* A role that determines its own name. */
static void test_itself(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c"), *output_path = scratch("output");
        g_autofree char *output = g_strconcat("file:", output_path, NULL), *path = role_path(role),
                        *text = NULL;
        g_autofree char *expected = NULL;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "busctl", "call", NODE_NAME, NODE_PATH,
                NODE_INTERFACE, "GetRoleByPID", "u", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(output_path);
        expected = g_strdup_printf("o \"%s\"", path);
        assert_string_equal(text, expected);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_processes),
                TEST(test_foreign),
                TEST(test_itself),
        };
        return run_case("get-role-by-pid", tests);
}
