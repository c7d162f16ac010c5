/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* EventsSince, and whether its events are those of the signals. */

#include <inttypes.h>

#include "bus-world.h"
#include "model/event-details.h"
#include "util/autoptr.h"

static void pass_over(sd_bus_message *m, const char *types) {
        assert_return_code(sd_bus_message_skip(m, types), 0);
}

/* Returns "epoch complete: 1:RolePurged(r) …", without the epoch if it is that of the node. */
static char *since(BusWorld *b, const char *epoch, uint64_t seq, uint32_t max) {
        g_auto(Call) call = {};
        g_autoptr(GString) s = g_string_new(NULL);
        char own[SD_ID128_STRING_MAX];
        const char *their, *signal, *role;
        uint64_t n, realtime;
        int complete, r;

        call_node(b, &call, "EventsSince", "stu", epoch, seq, max);
        bus_world_settle(b);
        assert_replied(&call);
        assert_string_equal(sd_bus_message_get_signature(call.reply, true), "sba(ttssa{sv})");
        assert_return_code(sd_bus_message_read(call.reply, "sb", &their, &complete), 0);
        assert_string_equal(their, sd_id128_to_string(events_epoch(b->world->node->events), own));
        g_string_append(s, complete ? "complete" : "incomplete");
        assert_return_code(sd_bus_message_enter_container(call.reply, 'a', "(ttssa{sv})"), 0);
        while ((r = sd_bus_message_enter_container(call.reply, 'r', "ttssa{sv}")) > 0) {
                assert_return_code(sd_bus_message_read(call.reply, "ttss", &n, &realtime, &signal, &role), 0);
                g_string_append_printf(s, " %" PRIu64 ":%s(%s)", n, signal, role);
                assert_true(realtime > 0);
                pass_over(call.reply, "a{sv}");
                assert_return_code(sd_bus_message_exit_container(call.reply), 0);
        }
        assert_return_code(r, 0);
        return g_string_free(g_steal_pointer(&s), false);
}

#define assert_since(b, epoch, seq, max, expected) \
        do { \
                g_autofree char *_since = since((b), (epoch), (seq), (max)); \
                assert_string_equal(_since, (expected)); \
        } while (0)

static void test_since(void **state) {
        BusWorld *b = *state;
        char epoch[SD_ID128_STRING_MAX];
        g_auto(Call) call = {};

        assert_since(b, "", 0, 0, "complete");
        Role *role = world_run_and_exit(b->world, "cam", NULL);
        node_purge_role(b->world->node, role, NULL);
        (void) sd_id128_to_string(events_epoch(b->world->node->events), epoch);
        assert_since(b, "", 0, 0, "complete 1:RoleStarted(cam) 2:RoleExited(cam) 3:RolePurged(cam)");
        assert_since(b, epoch, 1, 1000, "complete 2:RoleExited(cam) 3:RolePurged(cam)");
        assert_since(b, epoch, 0, 2, "complete 1:RoleStarted(cam) 2:RoleExited(cam)");
        assert_since(b, epoch, 3, 0, "complete");
        assert_since(b, "another", 3, 0, "incomplete 1:RoleStarted(cam) 2:RoleExited(cam) 3:RolePurged(cam)");
        call_node(b, &call, "EventsSince", "stu", epoch, UINT64_C(4), 0);
        bus_world_settle(b);
        assert_error(&call, SD_BUS_ERROR_INVALID_ARGS, "Event 4 has not happened, the newest is 3");
}

static void test_at_most(void **state) {
        BusWorld *b = *state;

        for (unsigned i = 0; i < 1200; i++) {
                g_auto(Event) event = {};
                node_event_add(
                        b->world->node, EVENT_ROLE_PURGED, NULL, g_variant_new_parsed("@a{sv} {}"), &event);
        }
        for (uint32_t max = 0; max < 3000; max += 1500) {
                g_autofree char *all = since(b, "", 0, max);
                assert_true(g_str_has_suffix(all, " 1000:RolePurged()"));
                assert_true(g_str_has_prefix(all, "complete "));
        }
}

/* An event that could not be saved leaves a gap, which is reported. */
static void test_gap(void **state) {
        BusWorld *b = *state;
        g_autofree char *long_text = g_strnfill(70000, 'x');

        for (unsigned i = 0; i < 3; i++) {
                g_auto(Event) event = {};
                bool saved = node_event_add(b->world->node, EVENT_SHUTTING_DOWN, NULL,
                        g_variant_new_parsed("{'reason': <%s>}", i == 1 ? long_text : ""), &event);
                assert_int_equal(saved, i != 1);
                if (i == 1) /* the newest event is missing */
                        assert_since(b, "", 1, 0, "incomplete");
        }
        assert_since(b, "", 0, 1, "complete 1:ShuttingDown()");
        assert_since(b, "", 0, 0, "incomplete 1:ShuttingDown() 3:ShuttingDown()");
        assert_since(b, "", 1, 0, "incomplete 3:ShuttingDown()");
        assert_since(b, "", 2, 0, "complete 3:ShuttingDown()");
}

/* All types that the details of a newer version could contain. */
static void test_any_details(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {};
        g_auto(Event) event = {};
        const char *o, *inner, *texts[2];
        int yes;
        double d;
        int16_t n;
        uint8_t y;

        node_event_add(b->world->node, EVENT_ROLE_PURGED, NULL,
                g_variant_new_parsed("{'k': <(objectpath '/a/b', true, 2.5, int16 -3, byte 7, <'inner'>, "
                                     "['x', 'y'], {'key': uint64 9})>}"),
                &event);
        call_node(b, &call, "EventsSince", "stu", "", UINT64_C(0), 0);
        bus_world_settle(b);
        assert_replied(&call);
        pass_over(call.reply, "sb");
        assert_return_code(sd_bus_message_enter_container(call.reply, 'a', "(ttssa{sv})"), 0);
        assert_return_code(sd_bus_message_enter_container(call.reply, 'r', "ttssa{sv}"), 0);
        pass_over(call.reply, "ttss");
        assert_return_code(sd_bus_message_enter_container(call.reply, 'a', "{sv}"), 0);
        assert_return_code(sd_bus_message_enter_container(call.reply, 'e', "sv"), 0);
        pass_over(call.reply, "s");
        assert_return_code(sd_bus_message_enter_container(call.reply, 'v', "(obdnyvasa{st})"), 0);
        assert_return_code(sd_bus_message_read(call.reply, "(obdnyvasa{st})", &o, &yes, &d, &n, &y, "s",
                                   &inner, 2, &texts[0], &texts[1], 1, NULL, NULL),
                0);
        assert_string_equal(o, "/a/b");
        assert_true(yes && d == 2.5 && n == -3 && y == 7);
        assert_string_equal(inner, "inner");
        assert_string_equal(texts[1], "y");
}

static void tell(BusWorld *b) {
        g_auto(Event) event = {};

        assert_true(node_event_add(
                b->world->node, EVENT_MONITOR_TIMED_OUT, NULL, event_details_monitor_timed_out(3), &event));
        node_event_tell(b->world->node, &event, NULL);
}

/* An event counts as sent when the bus has read it, and not when it was written. The bus is checked once for
 * all events so far. */
static void test_confirmed(void **state) {
        BusWorld *b = *state;
        Events *events = b->world->node->events;

        /* Otherwise the loop would check after each iteration. */
        assert_return_code(sd_event_source_set_enabled(b->clients->after_all, SD_EVENT_OFF), 0);
        tell(b);
        tell(b);
        events_dbus_confirm(b->clients);
        tell(b);
        events_dbus_confirm(b->clients);
        assert_int_equal(events_told(events), 3);
        assert_int_equal(events_sent(events), 0);
        bus_world_settle(b);
        assert_int_equal(events_sent(events), 2);
        events_dbus_confirm(b->clients);
        bus_world_settle(b);
        assert_int_equal(events_sent(events), 3);
        events_dbus_confirm(b->clients);
        bus_world_settle(b);
        assert_int_equal(b->n_ids, 2);
}

/* A check without a reply confirms nothing, in whatever way it ends. */
static void test_not_confirmed(void **state) {
        BusWorld *b = *state;
        Events *events = b->world->node->events;

        tell(b);
        events_dbus_confirm_all(b->clients); /* the other end is in this thread */
        assert_int_equal(events_sent(events), 0);
        events_dbus_confirm(b->clients);
        assert_int_equal(b->clients->confirming, 1);
        bus_world_disconnect_client(b);
        world_wait(b->world, b->clients->confirming == 0);
        assert_int_equal(events_sent(events), 0);
        events_dbus_confirm(b->clients);
        events_dbus_confirm_all(b->clients);
        assert_int_equal(events_sent(events), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_since),
                BUS_TEST(test_at_most),
                BUS_TEST(test_gap),
                BUS_TEST(test_any_details),
                BUS_TEST(test_confirmed),
                BUS_TEST(test_not_confirmed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
