/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * systemctl isolate, which stops all units that the target does not need, has no effect. */

#include <unistd.h>

#include "testlib.h"

#define TARGET "/run/systemd/system/isolate-test.target"

static void test_isolate(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *target = "isolate-test.target";
        pid_t node = node_pid(bus), keeper = keeper_pid(bus), pid;

        start(bus, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);

        /* The same as multi-user.target, except for the units that are wanted by it, such as the service. */
        assert_true(g_file_set_contents(TARGET,
                "[Unit]\nAllowIsolate=yes\nRequires=basic.target\nWants=dbus.service dbus.socket\nAfter=basic.target\n",
                -1, NULL));
        systemctl("daemon-reload", NULL);
        systemctl("isolate", target);
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        systemctl("isolate", "multi-user.target");
        assert_int_equal(unlink(TARGET), 0);
        systemctl("daemon-reload", NULL);

        assert_int_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_int_equal(bus_count(bus, "RoleExited", role), 0);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_isolate),
        };
        return run_case("isolate", tests);
}
