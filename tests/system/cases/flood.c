/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * alice attacks the node with calls that every user may send. Beyond her allowance they are refused, with the
 * name of the setting, on all of her connections. Calls that want no reply cost next to nothing, replies that
 * she does not read cost no memory, and the node goes on. tools/bench measures how late root is meanwhile. */

#include <pwd.h>
#include <unistd.h>

#include "flood.h"
#include "testlib.h"

#define LIMIT_REACHED "org.architect.Node.Error.LimitReached"
#define CONNECTIONS 40U
#define CALLS 20000U
#define WINDOW 100U /* dbus-daemon permits 128 calls under way */
/* The CPU time of the node for a call that it ignores, at most. */
#define IGNORED_USEC 40U
#define GROWTH_MAX (64U * 1024U * 1024U)
#define SANITIZED_FACTOR 8U /* so much slower and larger are the programs then */

/* There is one at a time. It ends with its test, whatever the test did, because it would make all that follow
 * late. */
static Flood flood;

static void attack(FloodReplies replies) {
        struct passwd *pw = getpwnam("alice");

        assert_non_null(pw);
        assert_return_code(flood_start(&flood, NODE_NAME, pw->pw_uid, pw->pw_gid, CONNECTIONS, replies), 0);
}

static int flood_teardown(void **state) {
        if (flood.pid > 0)
                (void) flood_stop(&flood);
        return case_teardown(state);
}

static guint64 factor(pid_t node) {
        return process_is_sanitized(node) ? SANITIZED_FACTOR : 1;
}

/* The load ends as soon as it has shown what it is for. The bus has replied to each Hello then. */
static void wait_calls(guint n) {
        WAIT_UNTIL(flood.count->calls >= n && flood.count->returns >= CONNECTIONS);
}

#define FLOOD_TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, flood_teardown)

/* Returns how many of them were refused. The user has this time of a second. */
static guint call_many(Bus *bus, guint n, const char *time) {
        g_autofree char *text = g_strconcat(" ", time, " of a second (MaxCallTimePerUser=)", NULL);
        guint32 serials[WINDOW];
        guint n_refused = 0;

        for (guint i = 0; i < n; i++)
                serials[i] = node_send(bus, "ListRoles", NULL);
        for (guint i = 0; i < n; i++) {
                const Event *reply = bus_wait_reply(bus, serials[i]);

                if (reply->type != G_DBUS_MESSAGE_TYPE_ERROR)
                        continue;
                assert_string_equal(reply->error, LIMIT_REACHED);
                assert_contains(reply->text, text);
                n_refused++;
        }
        return n_refused;
}

/* The user is refused, not the connection; nobody else is. */
static void test_refusal(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice"), again = bus_new_as("alice"), bob = bus_new_as("bob");
        const char *role = role_name("a");

        node_restart(bus);
        node_configure(bus, "MaxCallTimePerUser=1ms\n");
        WAIT_UNTIL(call_many(alice, WINDOW, "1 ms") > 0);
        WAIT_UNTIL(call_many(again, 1, "1 ms") > 0);
        assert_int_equal(call_many(bus, WINDOW, "1 ms"), 0);
        assert_int_equal(call_many(bob, 1, "1 ms"), 0);
        start(bus, role, NULL, actor(), "pause", NULL);
        stop(bus, role);
        /* The time comes back; with 1 ms of a second that may take minutes, because on a loaded machine she
         * was charged for a bus that was late. */
        node_configure(bus, NULL);
        WAIT_UNTIL(call_many(alice, 1, "100 ms") == 0);
}

static guint64 cpu_usec(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/schedstat", (int) pid);
        g_autofree char *text = read_file(path);

        assert_non_null(text);
        return g_ascii_strtoull(text, NULL, 10) / 1000;
}

static void test_no_replies(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_autoptr(GVariant) roles = NULL;

        /* She has all of her time again. */
        node_restart(bus);
        pid_t node = node_pid(bus);
        node_configure(bus, "MaxCallTimePerUser=1ms\n");
        const guint64 before = cpu_usec(node);
        attack(FLOOD_NO_REPLIES);
        wait_calls(CALLS / factor(node));
        FloodCount count = flood_stop(&flood);
        /* This call is behind those that the bus has already taken. */
        roles = node_call(bus, "ListRoles", NULL);
        const guint64 usec = cpu_usec(node) - before;
        print_message("%" PRIu64 " calls without reply: %" PRIu64 " us of CPU time\n", count.calls, usec);
        /* If they had been handled, none of her time would be left. */
        assert_int_equal(call_many(alice, 1, "1 ms"), 0);
        node_configure(bus, NULL);
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(count.returns, CONNECTIONS); /* those of the bus to Hello */
        assert_int_equal(count.errors, 0);
        assert_int_equal(count.closed, 0);
        /* What the sockets held when the process ended was not counted, so a batch of each is added. */
        assert_between(usec, 0, (count.calls + CONNECTIONS * 12) * IGNORED_USEC * factor(node));
}

#define PRIVATE_ADDRESS "unix:path=/run/architect-node/main/private"
#define PRIVATE "--address=" PRIVATE_ADDRESS, "call", NODE_NAME, NODE_PATH, NODE_INTERFACE

/* Root has a way on which there is no flood; nobody else has. */
static void test_private(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");

        start(bus, role, NULL, actor(), "pause", NULL);
        attack(FLOOD_NO_REPLIES);
        wait_calls(CALLS / factor(node_pid(bus)));
        g_free(run_ok("busctl", PRIVATE, "ListRoles", NULL));
        g_free(run_ok("gdbus", "call", "--address", PRIVATE_ADDRESS, "--dest", NODE_NAME, "--object-path",
                NODE_PATH, "--method", NODE_INTERFACE ".ListRoles", NULL));
        g_free(run_ok("busctl", PRIVATE, "Kill", "s", role, NULL));
        assert_int_equal(flood.count->closed, 0);
        (void) flood_stop(&flood);
        assert_int_not_equal(run_as("alice", NULL, NULL, "busctl", PRIVATE, "ListRoles", NULL), 0);
        /* The connection for systemd has a name that nobody may send to. */
        assert_int_not_equal(run_as("alice", NULL, NULL, "busctl", "call", "org.architect.NodeInternal",
                                     NODE_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL),
                0);
}

#define PRIVATE_CALL "busctl", "--timeout=20", PRIVATE

static int stop_or_continue(const char *how) {
        return run(NULL, NULL, "systemctl", "kill", how, "dbus.service", NULL);
}

/* The bus daemon does nothing at all. Neither does root's way, nor that of the node to systemd, need it, from
 * the start of a role to its end. What is told by the bus arrives when it goes on. */
static void test_bus_stands_still(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autofree char *started = NULL, *killed = NULL, *polled = NULL, *state_then = NULL;
        int r[4];

        assert_int_equal(stop_or_continue("--signal=STOP"), 0);
        r[0] = run(NULL, &started, PRIVATE_CALL, "Start", "sasa{sv}", role, "2", actor(), "pause", "0", NULL);
        r[1] = run(&state_then, NULL, PRIVATE_CALL, "Poll", "as", "1", role, NULL);
        r[2] = run(NULL, &killed, PRIVATE_CALL, "Kill", "s", role, NULL);
        r[3] = run(&polled, NULL, PRIVATE_CALL, "Poll", "as", "1", role, NULL);
        assert_int_equal(stop_or_continue("--signal=CONT"), 0);
        if (r[0] != 0 || r[2] != 0)
                fail_msg("%s%s", started, killed);
        assert_int_equal(r[1], 0);
        assert_contains(state_then, "\"running\"");
        assert_int_equal(r[3], 0);
        assert_contains(polled, "\"exit -9\"");
        bus_wait(bus, "RoleStarted", role);
        expect_exited(bus, role, "killed", SIGKILL, "kill");
}

/* Half of the connections do not read. */
static void test_memory(void **state) {
        Bus *bus = *state;
        pid_t node = node_pid(bus);
        g_autoptr(GVariant) roles = NULL;
        guint64 largest = 0;

        const guint64 before = process_rss(node);
        attack(FLOOD_REPLIES | FLOOD_UNREAD);
        WAIT_UNTIL(
                (largest = MAX(largest, process_rss(node)), flood.count->calls >= CALLS / 2 / factor(node)));
        FloodCount count = flood_stop(&flood);
        roles = node_call(bus, "ListRoles", NULL);
        largest = MAX(largest, process_rss(node));
        print_message("%" PRIu64 " calls: %" PRIu64 " returns, %" PRIu64 " errors; %" PRIu64
                      " KiB before, at most %" PRIu64 " KiB\n",
                count.calls, count.returns, count.errors, before / 1024, largest / 1024);
        assert_int_equal(node_pid(bus), node);
        assert_true(largest < before + GROWTH_MAX * factor(node));
}

/* Calls of 4 MiB, each the first one of its connection. */
static void test_large_calls(void **state) {
        Bus *bus = *state;
        pid_t node = node_pid(bus);
        g_autofree char *text = g_strnfill(4U * 1024U * 1024U, 'a');
        Bus *many[24];
        guint32 serials[G_N_ELEMENTS(many)];
        guint64 largest = 0;

        const guint64 before = process_rss(node);
        for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
                many[i] = bus_new_as("alice");
        for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
                serials[i] = node_send(many[i], "GetRole", g_variant_new("(s)", text));
        for (size_t i = 0; i < G_N_ELEMENTS(many); i++) {
                WAIT_UNTIL((largest = MAX(largest, process_rss(node)), bus_has_reply(many[i], serials[i])));
                assert_int_equal(bus_wait_reply(many[i], serials[i])->type, G_DBUS_MESSAGE_TYPE_ERROR);
                bus_free(many[i]);
        }
        print_message("%" PRIu64 " KiB before, at most %" PRIu64 " KiB\n", before / 1024, largest / 1024);
        assert_int_equal(node_pid(bus), node);
        assert_true(largest < before + GROWTH_MAX * factor(node));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_refusal),
                FLOOD_TEST(test_no_replies),
                FLOOD_TEST(test_private),
                TEST(test_bus_stands_still),
                FLOOD_TEST(test_memory),
                TEST(test_large_calls),
        };

        return run_case("flood", tests);
}
