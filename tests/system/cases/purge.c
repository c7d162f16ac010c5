/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Purge removes ended roles: all of the named ones or none, or without names every ended one. A running role
 * is refused by name. */

#include <unistd.h>

#include "testlib.h"

static void make_ended(Bus *bus, const char *role) {
        start(bus, role, NULL, actor(), "exit", "1", NULL);
        expect_exited(bus, role, "exited", 1, "self");
        stop(bus, role);
}

static char **purge_names(Bus *bus, const char *const *names) {
        g_autoptr(GVariant) reply = node_call(bus, "Purge", g_variant_new("(^as)", names));
        char **purged;

        g_variant_get(reply, "(^as)", &purged);
        return purged;
}

static void test_named(void **state) {
        Bus *bus = *state;
        const char *a = role_name("a"), *b = role_name("b"), *c = role_name("c"), *runs = role_name("runs");
        g_auto(GStrv) purged = NULL;
        g_autoptr(GVariant) details = NULL;
        Event *event;

        make_ended(bus, a);
        make_ended(bus, b);
        make_ended(bus, c);
        start(bus, runs, NULL, actor(), "pause", NULL);

        /* All or none. */
        node_call_fails(bus, "Purge", g_variant_new("(^as)", (const char *[]){ a, runs, b, NULL }),
                "RoleRunning", runs, NULL);
        node_call_fails(bus, "Purge", g_variant_new("(^as)", (const char *[]){ a, "no-such-role", NULL }),
                "NoSuchRole", "no-such-role", NULL);
        assert_poll(bus, a, "exit 1");
        assert_poll(bus, b, "exit 1");
        assert_int_equal(bus_count(bus, "RolePurged", NULL), 0);

        purged = purge_names(bus, (const char *[]){ a, b, NULL });
        assert_int_equal(g_strv_length(purged), 2);
        assert_true(g_strv_contains((const char *const *) purged, a));
        assert_true(g_strv_contains((const char *const *) purged, b));
        assert_poll(bus, a, "none");
        assert_poll(bus, b, "none");
        assert_poll(bus, c, "exit 1");
        event = bus_wait(bus, "RolePurged", a);
        details = event_details(event);
        assert_int_equal(detail_u32(details, "caller-uid"), 0);
        assert_int_equal(detail_u32(details, "caller-pid"), getpid());
        bus_wait(bus, "RolePurged", b);
        assert_int_equal(bus_count(bus, "RolePurged", NULL), 2);
        node_call_fails(
                bus, "Purge", g_variant_new("(^as)", (const char *[]){ a, NULL }), "NoSuchRole", a, NULL);
}

static void test_all(void **state) {
        Bus *bus = *state;
        const char *a = role_name("a"), *b = role_name("b"), *runs = role_name("runs"), *none[] = { NULL };
        g_auto(GStrv) purged = NULL, again = NULL;

        make_ended(bus, a);
        make_ended(bus, b);
        start(bus, runs, NULL, actor(), "pause", NULL);
        purged = purge_names(bus, none);
        assert_true(g_strv_contains((const char *const *) purged, a));
        assert_true(g_strv_contains((const char *const *) purged, b));
        assert_false(g_strv_contains((const char *const *) purged, runs));
        assert_poll(bus, runs, "running");
        again = purge_names(bus, none);
        assert_int_equal(g_strv_length(again), 0);
}

/* Nothing remains of it, even after a restart. */
static void test_for_good(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Census before = census_before(bus);

        make_ended(bus, role);
        purge(bus, role);
        assert_census(bus, &before);
        node_crash(bus);
        assert_poll(bus, role, "none");
        make_ended(bus, role);
        node_crash(bus);
        assert_poll(bus, role, "exit 1");
        purge(bus, role);
        node_crash(bus);
        assert_poll(bus, role, "none");
}

/* A name that is given twice is purged once. */
static void test_twice(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_auto(GStrv) purged = NULL;

        make_ended(bus, role);
        purged = purge_names(bus, (const char *[]){ role, role, NULL });
        assert_int_equal(g_strv_length(purged), 1);
        node_sync(bus);
        assert_int_equal(bus_count(bus, "RolePurged", role), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_named),
                TEST(test_all),
                TEST(test_for_good),
                TEST(test_twice),
        };
        return run_case("purge", tests);
}
