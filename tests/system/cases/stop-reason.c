/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * SIGTERM without an answer of systemd, which is frozen here as long as a busy machine may need: a stop stops
 * the roles, and a restart leaves them, as soon as it answers. */

#include <unistd.h>

#include "testlib.h"

/* Longer than any scheduling, and much less than what the service waits. */
#define BUSY_USEC (3 * G_USEC_PER_SEC)

/* systemd receives the request first, and then the question of the service for its reason. */
static void stop_while_busy(Bus *bus, const char *method, pid_t node) {
        g_autofree char *from = journal_from_now(), *log = NULL;
        int pidfd = process_open(node);
        guint32 serial;

        systemd_freeze(true);
        serial = bus_send(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, method,
                g_variant_new("(ss)", NODE_UNIT, "replace"));
        /* The bus has read the request when it replies to the next one of this connection. */
        g_variant_unref(bus_call(
                bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL));
        assert_return_code(kill(node, SIGTERM), errno);
        g_usleep(BUSY_USEC);
        assert_false(process_is_dead(pidfd));
        systemd_freeze(false);
        assert_int_equal(bus_wait_reply(bus, serial)->type, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
        process_wait_dead(pidfd);
        close(pidfd);
        log = journal(from, "-u", NODE_UNIT, NULL);
        assert_contains_not(log, "has not reported");
}

static void test_stop(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        start(bus, role, NULL, actor(), "pause", NULL);
        stop_while_busy(bus, "StopUnit", node_pid(bus));
        expect_exited(bus, role, "killed", SIGTERM, "shutdown");
        node_wait_name(bus, false);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_state(bus, role, "none");
}

static void test_restart(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");

        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role), node = node_pid(bus);
        g_autofree char *owner = node_owner(bus);
        stop_while_busy(bus, "RestartUnit", node);
        node_wait_next(bus, owner);
        assert_int_not_equal(node_pid(bus), node);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(bus_count(bus, "RoleExited", role), 0);
        stop(bus, role);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stop),
                TEST(test_restart),
        };
        return run_case("stop-reason", tests);
}
