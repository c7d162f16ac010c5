/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified, last
 *
 * The bus stops and starts again. The same process gets its names again, with the same roles, and reports the
 * exits in the meantime exactly. (systemd --user does not connect to the bus again.) */

#include <unistd.h>

#include "testlib.h"

/* The unit of either daemon. */
#define BUS_SERVICE "dbus.service"
#define BUS_SOCKET "dbus.socket"

/* systemctl, which as root does not need the bus. */
static pid_t main_pid(const char *unit) {
        g_autofree char *text = run_ok("systemctl", "show", "--property=MainPID", "--value", unit, NULL);

        return (pid_t) atoi(text);
}

/* However often it was killed before. */
static void start_bus(void) {
        g_free(run_ok("systemctl", "reset-failed", NULL));
        g_free(run_ok("systemctl", "start", BUS_SOCKET, BUS_SERVICE, NULL));
}

/* Makes a new connection once the node has its name on the new bus. */
static Bus *reconnect(void **state) {
        bus_free(*state);
        /* A daemon that is stopping still accepts connections. */
        WAIT_UNTIL(run(NULL, NULL, "busctl", "--system", "status", "org.freedesktop.DBus", NULL) == 0 &&
                   run(NULL, NULL, "systemctl", "is-active", "--quiet", BUS_SERVICE, NULL) == 0);
        *state = bus_new();
        node_wait_name(*state, true);
        node_sync(*state);
        return *state;
}

typedef struct Roles {
        const char *reads, *ends, *stays;
        pid_t reads_pid, ends_pid, stays_pid;
        Fifo *fifo;
} Roles;

static void start_roles(Bus *bus, const char *name, Roles *roles) {
        *roles = (Roles){ .reads = role_name("reads"),
                .ends = role_name("ends"),
                .stays = role_name("stays"),
                .fifo = fifo_new(name) };
        start(bus, roles->reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(roles->fifo),
                NULL);
        start(bus, roles->ends, NULL, actor(), "exit-on", "USR1", "42", "say", fifo_path(roles->fifo),
                "ready", "pause", NULL);
        roles->ends_pid = fifo_expect_pid(roles->fifo, "ready");
        start(bus, roles->stays, NULL, actor(), "pause", NULL);
        roles->reads_pid = role_pid(bus, roles->reads);
        roles->stays_pid = role_pid(bus, roles->stays);
}

/* Checks the roles after the bus was away, while one of them has exited with 42. */
static void check_roles(Bus *bus, Roles *roles, guint64 seq) {
        g_autofree char *epoch = node_get_string(bus, "EventEpoch");
        g_autoptr(GVariant) reply = NULL;
        g_autoptr(GVariantIter) iter = NULL;
        const char *signal, *name;
        GVariant *details;
        guint n = 0;

        WAIT_UNTIL(g_str_equal(role_state(bus, roles->ends), "ended"));
        assert_poll(bus, roles->ends, "exit 42");
        assert_int_equal(role_pid(bus, roles->stays), roles->stays_pid);
        assert_int_equal(role_pid(bus, roles->reads), roles->reads_pid);
        send_input(bus, roles->reads, "still there?");
        fifo_expect_pid(roles->fifo, "echo");

        reply = node_call(bus, "EventsSince", g_variant_new("(stu)", epoch, seq, 0));
        g_variant_get(reply, "(sba(ttssa{sv}))", NULL, NULL, &iter);
        while (g_variant_iter_next(iter, "(tt&s&s@a{sv})", NULL, NULL, &signal, &name, &details)) {
                if (g_str_equal(signal, "RoleExited") && g_str_equal(name, roles->ends)) {
                        assert_string_equal(detail_string(details, "code"), "exited");
                        n++;
                }
                g_variant_unref(details);
        }
        assert_int_equal(n, 1);

        /* systemd is connected again, too: starts and stops work. */
        start(bus, roles->ends, NULL, actor(), "pause", NULL);
        stop(bus, roles->ends);
        assert_poll(bus, roles->ends, "exit -15");
        stop(bus, roles->stays);
        stop(bus, roles->reads);
        fifo_free(roles->fifo);
}

static guint64 sequence(Bus *bus) {
        g_autoptr(GVariant) value = node_get(bus, "EventSequence");

        return g_variant_get_uint64(value);
}

static void test_restart(void **state) {
        Bus *bus = *state;
        pid_t node = node_pid(bus);
        guint64 seq = sequence(bus);
        Roles roles;

        start_roles(bus, "fifo", &roles);
        assert_int_equal(kill(roles.ends_pid, SIGUSR1), 0);
        systemctl("restart", BUS_SERVICE);
        bus = reconnect(state);
        check_roles(bus, &roles, seq);
        assert_int_equal(main_pid(NODE_UNIT), node);
}

/* With frozen, it still receives what is sent to it, but the request to systemd about the exit gets no
 * reply. */
static void killed(void **state, bool frozen) {
        Bus *bus = *state;
        pid_t node = node_pid(bus);

        for (int round = 0; round < 3; round++) {
                guint64 seq = sequence(bus);
                pid_t daemon = main_pid(BUS_SERVICE);
                Roles roles;

                g_autofree char *name = g_strdup_printf("fifo-%d", round);

                g_free(run_ok("systemctl", "reset-failed", NULL));
                start_roles(bus, name, &roles);
                int pidfd = process_open(roles.ends_pid);
                assert_int_equal(kill(daemon, frozen ? SIGSTOP : SIGKILL), 0);
                assert_int_equal(kill(roles.ends_pid, SIGUSR1), 0);
                if (frozen) {
                        process_wait_dead(pidfd);
                        assert_int_equal(kill(daemon, SIGKILL), 0);
                }
                close(pidfd);
                WAIT_UNTIL(main_pid(BUS_SERVICE) != daemon && main_pid(BUS_SERVICE) != 0);
                bus = reconnect(state);
                check_roles(bus, &roles, seq);
        }
        assert_int_equal(main_pid(NODE_UNIT), node);
}

static void test_killed(void **state) {
        killed(state, false);
}

static void test_frozen(void **state) {
        killed(state, true);
}

/* For a while there is no bus at all. */
static void test_absent(void **state) {
        Bus *bus = *state;
        pid_t node = node_pid(bus);
        guint64 seq = sequence(bus);
        Roles roles;
        int pidfd;

        start_roles(bus, "fifo", &roles);
        pidfd = process_open(roles.ends_pid);
        g_free(run_ok("systemctl", "stop", BUS_SOCKET, BUS_SERVICE, NULL));
        assert_int_equal(kill(roles.ends_pid, SIGUSR1), 0);
        process_wait_dead(pidfd);
        close(pidfd);
        WAIT_UNTIL(({
                g_autofree char *text =
                        run_ok("systemctl", "show", "--property=StatusText", "--value", NODE_UNIT, NULL);
                strstr(text, "Waiting for the bus") != NULL;
        }));
        start_bus();
        bus = reconnect(state);
        check_roles(bus, &roles, seq);
        assert_int_equal(main_pid(NODE_UNIT), node);
}

/* The service gets SIGTERM while no bus is there to find out the reason. The roles stay. */
static void test_terminated_meanwhile(void **state) {
        Bus *bus = *state;
        pid_t node = node_pid(bus), pid;
        const char *role = role_name("stays");
        int pidfd = process_open(node);

        start(bus, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);
        g_free(run_ok("systemctl", "stop", BUS_SOCKET, BUS_SERVICE, NULL));
        WAIT_UNTIL(({
                g_autofree char *text =
                        run_ok("systemctl", "show", "--property=StatusText", "--value", NODE_UNIT, NULL);
                strstr(text, "Waiting for the bus") != NULL;
        }));
        assert_int_equal(kill(node, SIGTERM), 0);
        process_wait_dead(pidfd);
        close(pidfd);
        assert_true(process_state(pid) != 0);
        start_bus();
        systemctl("start", NODE_UNIT);
        bus = reconnect(state);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        stop(bus, role);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_restart),
                TEST(test_killed),
                TEST(test_frozen),
                TEST(test_absent),
                TEST(test_terminated_meanwhile),
        };
        return run_case("bus-restart", tests);
}
