/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * While one role takes its 10 s to stop, everything else continues: 100 replies of Poll, and a Start and a
 * Stop of others, arrive before the reply of that Stop. The test checks the order and not the time. */

#include "testlib.h"

static void test_order(void **state) {
        Bus *bus = *state;
        const char *slow = role_name("slow"), *other = role_name("other");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 slow_stop, polls[100], starting = 0, stopping;
        guint last = 0;
        Exited slow_exit, other_exit;

        start(bus, slow, OPTIONS("{'stop-timeout-usec': <@t 10000000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");

        slow_stop = node_send(bus, "Stop", g_variant_new("(s)", slow));
        fifo_expect_pid(fifo, "heard");

        for (size_t i = 0; i < G_N_ELEMENTS(polls); i++) {
                polls[i] = node_send(bus, "Poll", g_variant_new("(as)", NULL));
                if (i == 50)
                        starting = node_send(bus, "Start", start_args(other, NULL, actor(), "pause", NULL));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(polls); i++) {
                Event *reply = bus_wait_reply(bus, polls[i]);

                assert_int_equal(reply->type, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
                last = MAX(last, reply->index);
        }
        g_variant_unref(bus_result(bus, starting));
        last = MAX(last, bus_wait_reply(bus, starting)->index);
        stopping = node_send(bus, "Stop", g_variant_new("(s)", other));
        g_variant_unref(bus_result(bus, stopping));
        last = MAX(last, bus_wait_reply(bus, stopping)->index);
        other_exit = expect_exited(bus, other, "killed", SIGTERM, "stop");

        /* It still has most of its 10 s. To save them, Kill ends it, and the Stop with it. */
        assert_false(bus_has_reply(bus, slow_stop));
        assert_state(bus, slow, "stopping");
        kill_role(bus, slow);
        g_variant_unref(bus_result(bus, slow_stop));
        slow_exit = expect_exited(bus, slow, "killed", SIGKILL, "kill");
        assert_true(bus_wait_reply(bus, slow_stop)->index > last);
        assert_true(slow_exit.event->index > other_exit.event->index);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_order),
        };
        return run_case("slow-stop-order", tests);
}
