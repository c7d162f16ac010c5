/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * One client starts 300 roles at once, kills some at random from outside, starts them again, and stops them.
 * No event is lost or sent twice, and no unit, descriptor, zombie or process is left. */

#include "testlib.h"

#define N 300
/* dbus-daemon refuses the 129th pending call of a connection. */
#define WINDOW 100

typedef guint32 (*SendFunction)(Bus *bus, guint i);

static const char *name_of(guint i) {
        return role_name_n("r", i);
}

/* Sends one call for each of the indices, at most WINDOW at a time; all must succeed. */
static void send_all(Bus *bus, const GArray *indices, SendFunction function) {
        g_autofree guint32 *serials = g_new(guint32, indices->len);

        for (guint i = 0; i < indices->len; i++) {
                if (i >= WINDOW)
                        g_variant_unref(bus_result(bus, serials[i - WINDOW]));
                serials[i] = function(bus, g_array_index(indices, guint, i));
        }
        for (guint i = indices->len > WINDOW ? indices->len - WINDOW : 0; i < indices->len; i++)
                g_variant_unref(bus_result(bus, serials[i]));
}

/* The role runs until the end of its input, then it exits with 7. */
static guint32 send_start(Bus *bus, guint i) {
        return node_send(bus, "Start", start_args(name_of(i), NULL, actor(), "read-eof", "exit", "7", NULL));
}

static guint32 send_stop(Bus *bus, guint i) {
        return node_send(bus, "Stop", g_variant_new("(s)", name_of(i)));
}

static guint32 send_close(Bus *bus, guint i) {
        return node_send(bus, "CloseInput", g_variant_new("(s)", name_of(i)));
}

static GArray *range(guint from, guint to) {
        GArray *indices = g_array_new(false, false, sizeof(guint));

        for (guint i = from; i < to; i++)
                g_array_append_val(indices, i);
        return indices;
}

static void shuffle(GArray *indices, GRand *random) {
        for (guint i = indices->len; i > 1; i--) {
                guint j = (guint) g_rand_int_range(random, 0, (gint32) i);
                guint swap = g_array_index(indices, guint, j);

                g_array_index(indices, guint, j) = g_array_index(indices, guint, i - 1);
                g_array_index(indices, guint, i - 1) = swap;
        }
}

static void check_running(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) pids = g_hash_table_new(NULL, NULL);
        const char *name, *state, *scope, *prefix = role_name("r");
        guint32 pid;

        g_variant_get(reply, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(roles, "(&s&su&si&s&o)", &name, &state, &pid, NULL, NULL, &scope, NULL)) {
                g_autofree char *cgroup = NULL;

                if (!g_str_has_prefix(name, prefix))
                        continue;
                assert_string_equal(state, "running");
                assert_true(g_hash_table_add(names, (void *) g_intern_string(name)));
                assert_true(g_hash_table_add(pids, GUINT_TO_POINTER(pid)));
                /* Each is in its own scope. */
                cgroup = process_cgroup((pid_t) pid);
                assert_non_null(cgroup);
                assert_true(g_str_has_suffix(cgroup, scope));
        }
        assert_int_equal(g_hash_table_size(names), N);
        assert_int_equal(count_units(bus, "architect-main-many.r*.scope"), N);
}

/* Checks that there is exactly one RoleStarted and, for an ended role, exactly one RoleExited for each
 * invocation, and no event without its number. */
static void check_events(Bus *bus, guint starts, guint exits) {
        const char *members[] = { "RoleStarted", "RoleExited" };
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GHashTable) numbers = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        guint64 first = G_MAXUINT64, last = 0;
        guint counts[2] = { 0, 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
                g_autoptr(GPtrArray) events = bus_all(bus, members[i], NULL);

                for (guint j = 0; j < events->len; j++) {
                        const Event *event = g_ptr_array_index(events, j);
                        g_autoptr(GVariant) details = event_details(event);
                        guint64 seq = detail_u64(details, "seq");

                        if (!g_str_has_prefix(event->text, role_name("r")))
                                continue; /* of census_before() */
                        counts[i]++;
                        /* No event was sent twice. */
                        assert_true(g_hash_table_add(seen,
                                g_strconcat(members[i], detail_string(details, "invocation-id"), NULL)));
                        assert_true(g_hash_table_add(numbers, g_memdup2(&seq, sizeof(seq))));
                        first = MIN(first, seq);
                        last = MAX(last, seq);
                }
        }
        assert_int_equal(counts[0], starts);
        assert_int_equal(counts[1], exits);
        /* No event was lost. */
        assert_int_equal(last - first + 1, starts + exits);
}

static void test_many(void **state) {
        Bus *bus = *state;
        g_autoptr(GRand) random = g_rand_new_with_seed(300);
        g_autoptr(GArray) all = range(0, N), killed = NULL, closed = NULL, again = NULL;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autoptr(GVariant) reply = NULL;
        g_autofree const char **purged = NULL;
        Census before = census_before(bus);
        guint starts = 0, exits = 0, by_kill = 0, mark;
        pid_t pids[N];

        send_all(bus, all, send_start);
        starts += N;
        check_running(bus);
        check_events(bus, starts, exits);

        /* 100 are killed from outside, in an order of their own, and meanwhile 50 others reach the end of
         * their input. */
        for (guint i = 0; i < N; i++)
                pids[i] = role_pid(bus, name_of(i));
        shuffle(all, random);
        killed = g_array_copy(all);
        g_array_set_size(killed, 100);
        closed = g_array_copy(all);
        g_array_remove_range(closed, 0, 100);
        g_array_set_size(closed, 50);
        for (guint i = 0; i < closed->len; i++) {
                assert_int_equal(kill(pids[g_array_index(killed, guint, 2 * i)], SIGKILL), 0);
                send_close(bus, g_array_index(closed, guint, i));
                assert_int_equal(kill(pids[g_array_index(killed, guint, 2 * i + 1)], SIGKILL), 0);
        }
        for (guint i = 0; i < killed->len; i++)
                expect_exited(bus, name_of(g_array_index(killed, guint, i)), "killed", SIGKILL, "external");
        for (guint i = 0; i < closed->len; i++)
                expect_exited(bus, name_of(g_array_index(closed, guint, i)), "exited", 7, "self");
        exits += 150;
        check_events(bus, starts, exits);

        /* All of these start again. */
        again = g_array_copy(killed);
        g_array_append_vals(again, closed->data, closed->len);
        shuffle(again, random);
        send_all(bus, again, send_start);
        starts += again->len;
        check_running(bus);
        check_events(bus, starts, exits);

        /* All are stopped, and some die during the stop. */
        for (guint i = 0; i < N; i++)
                pids[i] = role_pid(bus, name_of(i));
        shuffle(all, random);
        {
                g_autofree guint32 *serials = g_new(guint32, N);
                for (guint i = 0; i < N; i++) {
                        if (i >= WINDOW)
                                g_variant_unref(bus_result(bus, serials[i - WINDOW]));
                        /* Only those that have not been stopped yet, because the PIDs of the others may be
                         * free. */
                        if (i % 5 == 0)
                                assert_int_equal(kill(pids[g_array_index(all, guint, i)], SIGKILL), 0);
                        serials[i] = send_stop(bus, g_array_index(all, guint, i));
                }
                for (guint i = N - WINDOW; i < N; i++)
                        g_variant_unref(bus_result(bus, serials[i]));
        }
        exits += N;
        for (guint i = 0; i < N; i++) {
                Exited exited = wait_exited(bus, name_of(g_array_index(all, guint, i)));

                assert_string_equal(exited.code, "killed");
                if (exited.status == SIGKILL) {
                        by_kill++;
                        assert_int_equal(i % 5, 0);
                } else {
                        assert_int_equal(exited.status, SIGTERM);
                        assert_string_equal(exited.cause, "stop");
                }
        }
        assert_true(by_kill > 0);
        check_events(bus, starts, exits);

        for (guint i = 0; i < N; i++)
                g_ptr_array_add(names, (void *) name_of(i));
        g_ptr_array_add(names, NULL);
        mark = bus_mark(bus);
        reply = node_call(bus, "Purge", g_variant_new("(^as)", names->pdata));
        g_variant_get(reply, "(^a&s)", &purged);
        assert_int_equal(g_strv_length((char **) purged), N);
        for (guint i = 0; i < N; i++)
                bus_wait(bus, "RolePurged", name_of(i));
        assert_int_equal(bus_count_since(bus, mark, "RolePurged", NULL), N);

        assert_census(bus, &before);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_many),
        };
        return run_case("many", tests);
}
