/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * EventsSince returns all events that a client has missed, once, in order, with the numbers and details of
 * the signals, even over crashes of the service. */

#include "replay.h"
#include "testlib.h"

#define N 1000
#define BATCH 50
#define N_CRASHES 20

static void test_same_as_signals(void **state) {
        Bus *bus = *state;
        g_autofree char *epoch = event_epoch(bus);
        guint64 before = event_sequence(bus);
        const char *role = role_name("cam");
        static const char *const expected[] = { "RoleStarted", "RoleExited", "RoleStarted", "RoleExited",
                "RolePurged" };
        guint next[3] = {};

        start(bus, role, NULL, actor(), "exit", "7", NULL);
        wait_exited(bus, role);
        start(bus, role, NULL, actor(), "pause", NULL);
        kill_role(bus, role);
        wait_exited(bus, role);
        purge(bus, role);
        node_sync(bus);

        g_autoptr(GPtrArray) events = events_all_since(bus, epoch, before),
                             started = bus_all(bus, "RoleStarted", role),
                             exited = bus_all(bus, "RoleExited", role),
                             purged = bus_all(bus, "RolePurged", role);
        GPtrArray *signals[] = { started, exited, purged };

        assert_int_equal(events->len, G_N_ELEMENTS(expected));
        for (guint i = 0; i < events->len; i++) {
                Replayed *r = g_ptr_array_index(events, i);
                guint kind = i == 4 ? 2 : i % 2;

                assert_int_equal(r->seq, before + i + 1);
                assert_string_equal(r->signal, expected[i]);
                assert_string_equal(r->role, role);
                assert_same_as_signal(r, g_ptr_array_index(signals[kind], next[kind]++));
        }
}

static void test_arguments(void **state) {
        Bus *bus = *state;
        g_autofree char *epoch = event_epoch(bus);
        g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(replayed_free);
        bool complete;

        start(bus, role_name("cam"), NULL, actor(), "exit", "0", NULL);
        wait_exited(bus, role_name("cam"));
        guint64 last = event_sequence(bus);
        assert_int_equal(events_since(bus, epoch, last - 2, 1, events, &complete), 1);
        assert_true(complete);
        assert_int_equal(events_since(bus, epoch, last, 0, events, &complete), 0);
        assert_true(complete);
        node_call_fails(bus, "EventsSince", g_variant_new("(stu)", epoch, last + 1, 0), INVALID_ARGS,
                "has not happened", NULL);
        /* The reply to a client of an earlier epoch reports that events are missing. */
        assert_true(
                events_since(bus, "0123456789abcdef0123456789abcdef", last + 1000, 0, events, &complete) > 0);
        assert_false(complete);

        /* Users that may receive the signals may also call this. */
        g_autoptr(Bus) nobody = bus_new_as("nobody");
        assert_int_equal(events_since(nobody, epoch, last - 1, 0, events, &complete), 1);
}

static guint32 send_start(Bus *bus, guint i) {
        g_autofree char *status = g_strdup_printf("%u", i % 256);

        return node_send(bus, "Start", start_args(role_name_n("r", i), NULL, actor(), "exit", status, NULL));
}

/* Starts a batch until each of the roles was started. A call that was interrupted by a crash is repeated,
 * unless it had been completed. */
static void start_batch(Bus *bus, guint first, bool crash) {
        bool done[BATCH] = {};
        guint left = BATCH;

        while (left > 0) {
                guint32 serials[BATCH] = {};

                for (guint i = 0; i < BATCH; i++)
                        if (!done[i])
                                serials[i] = send_start(bus, first + i);
                if (crash) {
                        /* The crash comes in the middle: some starts have not begun, some roles are running,
                         * some have ended. As there are always messages that the service has not read, its
                         * death also removes those that it has written from the bus. */
                        bus_wait(bus, "RoleExited", NULL);
                        for (guint i = 0; i < BATCH; i++)
                                (void) node_send(bus, "Poll", g_variant_new("(as)", NULL));
                        node_crash(bus);
                }
                crash = false;
                for (guint i = 0; i < BATCH; i++) {
                        Event *reply;

                        if (done[i])
                                continue;
                        reply = bus_wait_reply(bus, serials[i]);
                        done[i] = reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN;
                        if (!done[i]) {
                                /* An interrupted start is undone, or was completed already. */
                                const char *role = role_name_n("r", first + i);
                                WAIT_UNTIL(!g_str_equal(role_state(bus, role), "starting"));
                                done[i] = !g_str_equal(role_state(bus, role), "none");
                        }
                        if (done[i])
                                left--;
                }
        }
}

/* The client has received everything up to a number, and is away for 1,000 exits and some crashes of the
 * service. */
static void test_listener_was_away(void **state) {
        Bus *bus = *state;
        g_autofree char *epoch = event_epoch(bus), *same = NULL;
        guint64 before = event_sequence(bus), last;
        guint n_started[N] = {}, n_exited[N] = {}, n_doubled;
        g_autoptr(GPtrArray) events = NULL;
        const char *prefix = role_name("r");

        for (guint first = 0; first < N; first += BATCH)
                start_batch(bus, first, first % (N / N_CRASHES) == 0);
        WAIT_UNTIL(count_roles(bus, prefix, "ended") == N);
        node_sync(bus);
        last = event_sequence(bus);

        same = event_epoch(bus);
        assert_string_equal(same, epoch);
        events = events_all_since(bus, epoch, before);
        assert_int_equal(events->len, last - before);
        for (guint i = 0; i < events->len; i++) {
                Replayed *r = g_ptr_array_index(events, i);
                guint n;

                assert_int_equal(r->seq, before + i + 1); /* each number, in order */
                if (!g_str_has_prefix(r->role, prefix))
                        continue;
                n = (guint) atoi(r->role + strlen(prefix));
                if (g_str_equal(r->signal, "RoleStarted")) {
                        n_started[n]++;
                } else {
                        g_autoptr(GVariant) status = g_variant_lookup_value(r->details, "status", NULL);

                        assert_string_equal(r->signal, "RoleExited");
                        assert_int_equal(n_started[n], n_exited[n] + 1);
                        n_exited[n]++;
                        assert_string_equal(detail_string(r->details, "code"), "exited");
                        assert_int_equal(g_variant_get_int32(status), n % 256);
                }
        }
        for (guint i = 0; i < N; i++) {
                assert_int_equal(n_started[i], 1);
                assert_int_equal(n_exited[i], 1);
        }

        /* A client that was connected all the time has received the same events. */
        n_doubled = assert_signals_are(bus, events);
        print_message("  %u events, %u told twice\n", events->len, n_doubled);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_same_as_signals),
                TEST(test_arguments),
                TEST(test_listener_was_away),
        };
        return run_case("events-since", tests);
}
