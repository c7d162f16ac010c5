/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "replay.h"
#include "testlib.h"

void replayed_free(void *data) {
        Replayed *r = data;

        g_free(r->signal);
        g_free(r->role);
        g_variant_unref(r->details);
        g_free(r);
}

char *event_epoch(Bus *bus) {
        return node_get_string(bus, "EventEpoch");
}

guint64 event_sequence(Bus *bus) {
        g_autoptr(GVariant) value = node_get(bus, "EventSequence");

        return g_variant_get_uint64(value);
}

/* Makes one call and appends the events. Returns their number. */
guint events_since(
        Bus *bus, const char *epoch, guint64 seq, guint32 max, GPtrArray *events, bool *ret_complete) {
        g_autoptr(GVariant) reply = node_call(bus, "EventsSince", g_variant_new("(stu)", epoch, seq, max));
        g_autoptr(GVariantIter) iter = NULL;
        g_autofree char *now = event_epoch(bus);
        guint64 realtime;
        const char *their;
        gboolean complete;
        Replayed r;
        guint n = 0;

        g_variant_get(reply, "(&sba(ttssa{sv}))", &their, &complete, &iter);
        assert_string_equal(their, now);
        while (g_variant_iter_next(iter, "(ttss@a{sv})", &r.seq, &realtime, &r.signal, &r.role, &r.details)) {
                Replayed *copy = g_new(Replayed, 1);
                *copy = r;
                g_ptr_array_add(events, copy);
                n++;
        }
        *ret_complete = complete;
        return n;
}

GPtrArray *events_all_since(Bus *bus, const char *epoch, guint64 seq) {
        GPtrArray *events = g_ptr_array_new_with_free_func(replayed_free);
        bool complete;

        for (;;) {
                guint64 last = events->len > 0
                                       ? ((Replayed *) g_ptr_array_index(events, events->len - 1))->seq
                                       : seq;
                guint n = events_since(bus, epoch, last, 333, events, &complete);
                assert_true(complete);
                if (n == 0)
                        return events;
        }
}

/* Checks that the signal with this number has the replayed details, except seq and epoch. */
void assert_same_as_signal(const Replayed *r, const Event *event) {
        g_autoptr(GVariant) details = event_details(event);
        guint n = (guint) g_variant_n_children(r->details);

        assert_string_equal(event->member, r->signal);
        assert_int_equal(g_variant_n_children(details), n + 2);
        for (guint i = 0; i < n; i++) {
                const char *key;
                g_autoptr(GVariant) value = NULL, other = NULL;

                g_variant_get_child(r->details, i, "{&sv}", &key, &value);
                other = g_variant_lookup_value(details, key, NULL);
                assert_non_null(other);
                assert_true(g_variant_equal(value, other));
        }
}

guint assert_signals_are(Bus *bus, GPtrArray *events) {
        static const char *const members[] = { "RoleStarted", "RoleExited" };
        g_autoptr(GHashTable) by_seq = g_hash_table_new(NULL, NULL);
        guint n_doubled = 0;

        for (guint i = 0; i < events->len; i++) {
                Replayed *r = g_ptr_array_index(events, i);
                assert_true(g_hash_table_insert(by_seq, GUINT_TO_POINTER((guint) r->seq), r));
        }
        for (guint m = 0; m < G_N_ELEMENTS(members); m++) {
                g_autoptr(GPtrArray) signals = bus_all(bus, members[m], NULL);
                g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

                for (guint i = 0; i < signals->len; i++) {
                        const Event *event = g_ptr_array_index(signals, i);
                        g_autoptr(GVariant) details = event_details(event);
                        guint64 seq = detail_u64(details, "seq");
                        Replayed *r = g_hash_table_lookup(by_seq, GUINT_TO_POINTER((guint) seq));

                        assert_non_null(r);
                        assert_same_as_signal(r, event);
                        if (!g_hash_table_add(seen, GUINT_TO_POINTER((guint) seq)))
                                n_doubled++;
                }
                for (guint i = 0; i < events->len; i++) {
                        Replayed *r = g_ptr_array_index(events, i);
                        if (g_str_equal(r->signal, members[m]) &&
                                !g_hash_table_contains(seen, GUINT_TO_POINTER((guint) r->seq)))
                                fail_msg("No signal came of the event %" G_GUINT64_FORMAT ", %s of %s",
                                        r->seq, r->signal, r->role);
                }
        }
        return n_doubled;
}
