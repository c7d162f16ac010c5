/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a host of a cluster renews its lease. The times are seconds. */

#include "unit-test.h"

#include "cluster/beat.h"

#define S(seconds) ((uint64_t) ((seconds) * (double) USEC_PER_SEC))

static void test_period(void **state) {
        Beat beat;

        beat_init(&beat, S(6), S(100));
        assert_int_equal(beat.period_usec, S(1));
        beat_init(&beat, S(30), S(100));
        assert_int_equal(beat.period_usec, S(5));
        /* A long lease is no reason to notice a lost one late. */
        beat_init(&beat, S(3600), S(100));
        assert_int_equal(beat.period_usec, S(5));
        /* The shortest one outlasts a hold, a late message and a period. */
        beat_init(&beat, BEAT_TIMEOUT_MIN_USEC, S(100));
        assert_true(BEAT_HOLD_USEC + BEAT_LATE_USEC + 2 * beat.period_usec < BEAT_TIMEOUT_MIN_USEC);
        /* Who fences is heard some times in a hold. */
        assert_true(BEAT_HOLD_USEC >= 4 * BEAT_REPEAT_USEC);
}

/* A host that has just come hears who fences it before it beats. */
static void test_first(void **state) {
        Beat beat;

        beat_init(&beat, S(6), S(100));
        assert_true(beat_tick(&beat, true, S(100)));
        assert_false(beat_returned(&beat, true, S(100.01)));
        assert_true(beat_tick(&beat, true, S(101)));
        assert_true(beat_returned(&beat, true, S(101.01)));
}

static Beat beating(void) {
        Beat beat;

        beat_init(&beat, S(6), S(90));
        assert_true(beat_tick(&beat, true, S(99)));
        assert_true(beat_returned(&beat, true, S(99.01)));
        return beat;
}

/* One message at a time, because a frozen corosync would collect them. */
static void test_one_message(void **state) {
        Beat beat = beating();

        assert_true(beat_tick(&beat, true, S(100)));
        assert_false(beat_tick(&beat, true, S(101)));
        assert_true(beat_returned(&beat, true, S(100.5)));
        assert_true(beat_tick(&beat, true, S(102)));
        /* It comes back once. */
        assert_true(beat_returned(&beat, true, S(102.01)));
        assert_false(beat_returned(&beat, true, S(102.02)));
}

static void test_no_quorum(void **state) {
        Beat beat = beating();

        assert_false(beat_tick(&beat, false, S(100)));
        /* The quorum was lost while the message was on its way. */
        assert_true(beat_tick(&beat, true, S(101)));
        assert_false(beat_returned(&beat, false, S(101.01)));
        assert_true(beat_tick(&beat, true, S(102)));
        assert_true(beat_returned(&beat, true, S(102.01)));
}

/* corosync was frozen and goes on: it still says that there is quorum, and the others have decided meanwhile.
 */
static void test_frozen(void **state) {
        Beat beat = beating();

        assert_true(beat_tick(&beat, true, S(100)));
        assert_false(beat_returned(&beat, true, S(120)));
        assert_true(beat_tick(&beat, true, S(120.5)));
        assert_false(beat_returned(&beat, true, S(120.51)));
        assert_true(beat_tick(&beat, true, S(121)));
        assert_true(beat_returned(&beat, true, S(121.01)));
}

/* The ring has changed, or somebody fences this host. */
static void test_hold(void **state) {
        Beat beat = beating();

        assert_true(beat_tick(&beat, true, S(100)));
        beat_hold(&beat, S(100.001));
        assert_false(beat_returned(&beat, true, S(100.01)));
        beat_hold(&beat, S(101));
        assert_true(beat_tick(&beat, true, S(101.2)));
        assert_false(beat_returned(&beat, true, S(101.9)));
        assert_true(beat_tick(&beat, true, S(102)));
        assert_true(beat_returned(&beat, true, S(102.01)));
}

/* Another corosync: what was on its way is lost. */
static void test_reset(void **state) {
        Beat beat = beating();

        assert_true(beat_tick(&beat, true, S(100)));
        beat_reset(&beat, S(101));
        assert_false(beat_returned(&beat, true, S(101.5)));
        assert_true(beat_tick(&beat, true, S(101.6)));
        assert_false(beat_returned(&beat, true, S(101.7)));
        assert_true(beat_tick(&beat, true, S(102)));
        assert_true(beat_returned(&beat, true, S(102.1)));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_period),
                cmocka_unit_test(test_first),
                cmocka_unit_test(test_one_message),
                cmocka_unit_test(test_no_quorum),
                cmocka_unit_test(test_frozen),
                cmocka_unit_test(test_hold),
                cmocka_unit_test(test_reset),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
