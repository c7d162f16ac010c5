/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One call for many roles. */

#include "bus-world.h"

#include <signal.h>

#include "util/autoptr.h"

/* "cam= hub=NoSuchRole", without the messages. */
static void assert_results(Call *call, const char *expected) {
        g_autoptr(GString) found = g_string_new(NULL);
        const char *name, *error, *message;

        assert_replied(call);
        assert_int_equal(sd_bus_message_enter_container(call->reply, 'a', "(sss)"), 1);
        while (sd_bus_message_read(call->reply, "(sss)", &name, &error, &message) > 0) {
                g_string_append_printf(found, "%s%s=%s", found->len > 0 ? " " : "", name,
                        g_str_has_prefix(error, "org.architect.Node.Error.") ? strrchr(error, '.') + 1
                                                                             : error);
                assert_int_equal(error[0] == '\0', message[0] == '\0');
        }
        assert_string_equal(found->str, expected);
}

/* The reply comes when the last one is gone, in the order of the call, each once. */
static void test_stop(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {};

        Role *cam = world_run(w, "cam", NULL), *hub = world_run(w, "hub", NULL);
        (void) world_run(w, "other", NULL);
        (void) world_run_and_exit(w, "over", NULL);
        forget_calls(w);
        call_node(b, &call, "StopMany", "asa{sv}", 5, "hub", "none", "cam", "over", "hub", 0);
        bus_world_settle(b);
        assert_int_equal(call.n, 0);
        expect_calls(w, "save(hub) signal-cgroup(hub,15,continue) close-stdin(hub) "
                        "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_exit(w, hub, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_int_equal(call.n, 0);
        world_exit(w, cam, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_results(&call, "hub= none=NoSuchRole cam= over=");
        assert_int_equal(world_find(w, "other")->state, ROLE_RUNNING);
        assert_int_equal(cam->cause, ROLE_CAUSE_STOP);
}

/* An empty list: what runs, what has left processes and what waits for its restart, but not what is over. */
static void test_all(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        RoleSpec *again = test_spec();
        g_auto(Call) call = {};

        again->restart = RESTART_ALWAYS;
        again->restart_usec = 3600 * USEC_PER_SEC;
        (void) world_run_and_exit(w, "again", again);
        assert_true(role_waits_for_restart(world_find(w, "again")));
        (void) world_run_and_exit(w, "over", NULL);
        Role *left = world_run(w, "left", NULL), *runs = world_run(w, "runs", NULL);
        world_exit_leaving(w, left, EXIT_CODE_EXITED, 0);
        call_node(b, &call, "KillMany", "asa{sv}", 0, 0);
        bus_world_settle(b);
        assert_int_equal(call.n, 0);
        assert_false(role_waits_for_restart(world_find(w, "again")));
        world_exit(w, runs, EXIT_CODE_KILLED, SIGKILL);
        world_emptied(w, left);
        bus_world_settle(b);
        assert_results(&call, "again= left= runs=");
        assert_int_equal(runs->cause, ROLE_CAUSE_KILL);
}

static void test_none(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {};

        call_node(b, &call, "StopMany", "asa{sv}", 0, 0);
        bus_world_settle(b);
        assert_results(&call, "");
}

static void test_refused(void **state) {
        BusWorld *b = *state;
        g_auto(Call) option = {}, other = {};

        (void) world_run(b->world, "cam", NULL);
        forget_calls(b->world);
        call_node(b, &option, "StopMany", "asa{sv}", 1, "cam", 1, "fast", "b", 1);
        bus_world_settle(b);
        assert_error(&option, SD_BUS_ERROR_INVALID_ARGS, "fast");
        b->uid = 1000;
        call_node_from(b, &other, ":1.8", "KillMany", "asa{sv}", 1, "cam", 0);
        bus_world_settle(b);
        assert_error(&other, SD_BUS_ERROR_ACCESS_DENIED, "kill roles");
        expect_calls(b->world, "");
}

static void test_start_is_for_root(void **state) {
        BusWorld *b = *state;
        g_auto(Call) other = {}, none = {};

        call_node(b, &none, "StartMany", "asa{sv}", 2, "cam", "@night", 0);
        bus_world_settle(b);
        assert_results(&none, "cam=NoSuchDefinition @night=NoSuchDefinition");
        b->uid = 1000;
        call_node_from(b, &other, ":1.8", "StartMany", "asa{sv}", 1, "cam", 0);
        bus_world_settle(b);
        assert_error(&other, SD_BUS_ERROR_ACCESS_DENIED, "start many roles");
        expect_calls(b->world, "");
}

static RoleSpec *spec_in(const char *group) {
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_role_groups(spec, (char *[]){ (char *) group, NULL }, NULL), 0);
        return spec;
}

/* The members of a group by their names, each once; a group without one fails as a name does. */
static void test_group(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {};
        static const char *const names[] = { "dome", "cam", "hub" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                (void) world_run(w, names[i], spec_in(i < 2 ? "night" : "day"));
        call_node(b, &call, "StopMany", "asa{sv}", 4, "dome", "@night", "@dusk", "dome", 0);
        bus_world_settle(b);
        assert_int_equal(call.n, 0);
        for (size_t i = 0; i < 2; i++)
                world_exit(w, world_find(w, names[i]), EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_results(&call, "dome= cam= @dusk=NoSuchRole");
        assert_int_equal(world_find(w, "hub")->state, ROLE_RUNNING);
}

/* A role that cannot be stopped fails alone. */
static void test_one_fails(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {};

        Role *cam = world_run(w, "cam", NULL), *hub = world_run(w, "hub", NULL);
        call_node(b, &call, "StopMany", "asa{sv}", 2, "cam", "hub", 0);
        bus_world_settle(b);
        role_stop(cam, ROLE_CAUSE_STOP, true, NULL);
        world_get_stuck(w, cam, &cam->stop_step);
        world_exit(w, hub, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_results(&call, "cam=StopTimedOut hub=");
        world_exit(w, cam, EXIT_CODE_KILLED, SIGKILL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_stop),
                BUS_TEST(test_all),
                BUS_TEST(test_none),
                BUS_TEST(test_refused),
                BUS_TEST(test_start_is_for_root),
                BUS_TEST(test_group),
                BUS_TEST(test_one_fails),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
