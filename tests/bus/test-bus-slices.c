/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which slices are stopped as empty ones, and how, with the test as systemd. */

#include "bus-world.h"

#include "scope/manager.h"
#include "util/autoptr.h"

typedef struct Fixture {
        BusWorld *b;
        const char *const *units; /* that systemd has */
        GString *stopped;         /* "UNIT MODE, UNIT MODE" */
} Fixture;

static int reply_units(Fixture *f, sd_bus_message *call) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(sd_bus_message_new_method_return(call, &m), 0);
        assert_return_code(sd_bus_message_open_container(m, 'a', "(ssssssouso)"), 0);
        for (const char *const *u = f->units; *u; u++)
                assert_return_code(sd_bus_message_append(m, "(ssssssouso)", *u, "", "loaded", "active",
                                           "active", "", "/x", 0, "", "/"),
                        0);
        assert_return_code(sd_bus_message_close_container(m), 0);
        return sd_bus_send(sd_bus_message_get_bus(call), m, NULL);
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const char *unit, *mode;

        if (sd_bus_message_is_method_call(m, MANAGER_INTERFACE, "ListUnitsByPatterns") > 0)
                return reply_units(f, m);
        if (sd_bus_message_is_method_call(m, MANAGER_INTERFACE, "StopUnit") <= 0)
                return 0;
        assert_return_code(sd_bus_message_read(m, "ss", &unit, &mode), 0);
        g_string_append_printf(f->stopped, "%s%s %s", f->stopped->len > 0 ? ", " : "", unit, mode);
        return sd_bus_reply_method_return(m, "o", MANAGER_PATH "/job/1");
}

static int setup(void **state) {
        Fixture *f = g_new0(Fixture, 1);

        assert_return_code(bus_world_setup((void **) &f->b), 0);
        f->stopped = g_string_new(NULL);
        assert_return_code(sd_bus_add_filter(f->b->client, NULL, on_call, f), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        assert_return_code(bus_world_teardown((void **) &f->b), 0);
        g_string_free(f->stopped, true);
        g_free(f);
        return 0;
}

static void resync(Fixture *f, const char *const *units, const char *stopped) {
        f->units = units;
        g_string_truncate(f->stopped, 0);
        f->b->scope_ops->resync(f->b->scopes);
        bus_world_settle(f->b);
        assert_string_equal(f->stopped->str, stopped);
}

/* What an earlier process has left: the stop of an empty slice must not stop what is in it nevertheless,
 * since a start may overtake the call. The slices of roles stay. */
static void test_empty_slices(void **state) {
        static const char *const units[] = { "architect-main-0.slice", "architect-main-1.slice",
                "architect-main-g1-33.slice", "architect-main-g1.slice", "architect-main-34.slice",
                "architect-main-u1000-0.slice", "architect-main-u1000.slice", "architect-main-1-7.slice",
                "architect-main-batch3.slice", "architect-main-x.slice", NULL };
        Fixture *f = *state;

        (void) world_run(f->b->world, "cam", NULL); /* in 0 */
        resync(f, units,
                "architect-main-1.slice ignore-requirements, architect-main-g1-33.slice ignore-requirements, "
                "architect-main-g1.slice ignore-requirements, architect-main-34.slice ignore-requirements, "
                "architect-main-g1.slice ignore-requirements, architect-main-u1000-0.slice ignore-requirements, "
                "architect-main-u1000.slice ignore-requirements, architect-main-1-7.slice replace, "
                "architect-main-batch3.slice replace");
}

/* A group stays while one of its sub-slices has a role. */
static void test_group_in_use(void **state) {
        static const char *const units[] = { "architect-main-g1-33.slice", "architect-main-g1-34.slice",
                "architect-main-g2-64.slice", NULL };
        Fixture *f = *state;
        Role *role = world_run(f->b->world, "cam", NULL);

        node_slice_release(role);
        node_slice_retake(role, 0, 33);
        resync(f, units,
                "architect-main-g1-34.slice ignore-requirements, architect-main-g2-64.slice ignore-requirements, "
                "architect-main-g2.slice ignore-requirements");
}

/* It may be in any slice. */
static void test_damaged(void **state) {
        static const char *const units[] = { "architect-main-0.slice", "architect-main-1.slice", NULL };
        Fixture *f = *state;
        Role *role = world_run(f->b->world, "cam", NULL);

        node_slice_release(role);
        role->damaged = true;
        resync(f, units, "");
}

#define SLICES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                SLICES_TEST(test_empty_slices),
                SLICES_TEST(test_group_in_use),
                SLICES_TEST(test_damaged),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
