/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * PID 1 does not run for a while, and nothing takes what the services send to it. Both services answer, and
 * when it runs again, it is told how they are now. */

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "testlib.h"

#define NOTIFY_SOCKET "/run/systemd/notify"

/* Returns how many messages a new sender could send. */
static guint send_fillers(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = NOTIFY_SOCKET };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        guint n = 0;

        assert_true(fd >= 0);
        while (sendto(fd, "FILLER=1", 8, MSG_DONTWAIT, (struct sockaddr *) &address, sizeof(address)) == 8)
                n++;
        assert_int_equal(errno, EAGAIN);
        close(fd);
        return n;
}

/* Each sender has a limit of its own, too. */
static void fill_notify_socket(void) {
        guint n = 0;

        for (guint more; (more = send_fillers()) > 0; n += more)
                ;
        print_message("  %u messages fill the socket\n", n);
        assert_true(n > 0);
}

static bool status_is(Bus *bus, const char *part) {
        g_autofree char *text = unit_get_string(bus, NODE_UNIT, "Service", "StatusText");

        return strstr(text, part) != NULL;
}

static void test_notify_socket_full(void **state) {
        Bus *bus = *state;
        const char *role = role_name("runs"), *ends = role_name("ends");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t node = node_pid(bus), keeper = keeper_pid(bus);
        guint32 restarts = g_variant_get_uint32(unit_get(bus, NODE_UNIT, "Service", "NRestarts"));

        assert_true(status_is(bus, "Ready."));
        start(bus, role, NULL, actor(), "exit-on", "TERM", "0", "say", fifo_path(fifo), "ready", "cat", NULL);
        (void) fifo_expect_pid(fifo, "ready");
        start(bus, ends, NULL, actor(), "pause", NULL);

        systemd_freeze(true);
        fill_notify_socket();
        write_configuration("DefaultStopTimeout=soon\n");
        node_call_fails(bus, "Reload", NULL, INVALID_ARGS, CONFIGURATION_DROP_IN ":2", NULL);
        node_configure(bus, "DefaultStopTimeout=7s\n");
        /* The signal of systemctl reload, which has two more notifications. */
        assert_int_equal(kill(node, SIGUSR1), 0);
        write_configuration("DefaultStopTimeout=later\n");
        node_call_fails(bus, "Reload", NULL, INVALID_ARGS, CONFIGURATION_DROP_IN ":2", NULL);
        g_variant_unref(node_call(bus, "Beat", NULL));
        g_variant_unref(node_call(bus, "SetMonitorTimeout", g_variant_new("(t)", G_GUINT64_CONSTANT(0))));
        send_input(bus, role, "hello");
        close_input(bus, role); /* the keeper has systemd forget its end */
        send_signal(bus, ends, "main", SIGKILL);
        expect_exited(bus, ends, "killed", SIGKILL, "kill");
        /* Of its end-of-file. systemd has not stopped it, which is known without an answer of systemd. */
        expect_exited(bus, role, "exited", 0, "self");

        systemd_freeze(false);
        WAIT_UNTIL(status_is(bus, "not applied: " CONFIGURATION_DROP_IN ":2"));
        g_autofree char *active = unit_get_string(bus, NODE_UNIT, "Unit", "ActiveState");
        assert_string_equal(active, "active");
        write_configuration(NULL);
        systemctl("reload", NODE_UNIT);
        WAIT_UNTIL(status_is(bus, "Ready."));
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_int_equal(g_variant_get_uint32(unit_get(bus, NODE_UNIT, "Service", "NRestarts")), restarts);
}

static int end(void **state) {
        systemd_freeze(false);
        write_configuration(NULL);
        node_restart(*state);
        return case_teardown(state);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_notify_socket_full, case_setup, end),
        };
        return run_case("systemd-busy", tests);
}
