/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the calls of one user may cost: the calls that are dropped, the errors over the limits, and who has
 * none. */

#include "bus-world.h"

#include "base/time-util.h"
#include "bus/allowance.h"
#include "model/settings.h"
#include "util/autoptr.h"

#define OTHER ":1.8" /* a second connection of the same user */
#define ROOT ":1.9"
#define LIMIT "org.architect.Node.Error.LimitReached"
#define UID 1000
#define N_CALLS 8U

static void identify(BusWorld *b, const char *sender, uid_t uid) {
        g_auto(Call) call = {};

        b->uid = uid;
        call_node_from(b, &call, sender, "Poll", "as", 0);
        world_wait(b->world, call.n > 0);
        assert_replied(&call);
}

static sd_bus_message *call_peer(BusWorld *b, const char *sender) {
        return call_new(b, sender, NODE_PATH, "org.freedesktop.DBus.Peer", "Ping");
}

static void send_without_reply(BusWorld *b, sd_bus_message *m) {
        assert_return_code(sd_bus_message_set_expect_reply(m, false), 0);
        assert_return_code(sd_bus_send(b->client, m, NULL), 0);
        sd_bus_message_unref(m);
}

/* Nothing is done for a call that wants no reply and changes nothing; even its caller is not looked up. */
static void test_no_reply(void **state) {
        static const struct {
                const char *interface, *member;
        } reads[] = {
                { NODE_INTERFACE, "ListRoles" },
                { "org.freedesktop.DBus.ObjectManager", "GetManagedObjects" },
                { "org.freedesktop.DBus.Introspectable", "Introspect" },
                { "org.freedesktop.DBus.Peer", "Ping" },
        };
        BusWorld *b = *state;
        g_auto(Call) get = {};
        const char *value;

        for (size_t i = 0; i < ELEMENTSOF(reads); i++)
                send_without_reply(b, call_new(b, CLIENT, NODE_PATH, reads[i].interface, reads[i].member));
        bus_world_settle(b);
        assert_int_equal(b->n_asked, 0);

        /* What changes something is done. */
        b->uid = 0;
        sd_bus_message *set = call_new(b, ROOT, NODE_PATH, NODE_INTERFACE, "SetEnv");
        assert_return_code(sd_bus_message_append(set, "ss", "A", "b"), 0);
        send_without_reply(b, set);
        call_node_from(b, &get, ROOT, "GetEnv", "s", "A");
        bus_world_settle(b);
        assert_replied(&get);
        assert_return_code(sd_bus_message_read(get.reply, "s", &value), 0);
        assert_string_equal(value, "b");
        assert_int_equal(b->n_asked, 1);
}

/* A call that asks from a connection that is not known waits until it is. */
static void test_unknown(void **state) {
        BusWorld *b = *state;
        Call calls[200] = {};
        unsigned n_refused = 0;

        b->world->node->settings->max_call_time_per_user_usec = USEC_PER_SEC;
        b->uid = UID;
        b->hold = true;
        for (unsigned i = 0; i < ELEMENTSOF(calls); i++) {
                g_autoptr(sd_bus_message) m = call_peer(b, CLIENT);
                call_send(b, &calls[i], m);
        }
        world_wait(b->world, calls[ELEMENTSOF(calls) - 1].n > 0);
        assert_int_equal(b->n_asked, 1);
        assert_int_equal(calls[127].n, 0);
        assert_error(&calls[128], LIMIT, "identified");

        bus_world_answer(b);
        world_wait(b->world, calls[127].n > 0);
        for (unsigned i = 0; i < ELEMENTSOF(calls); i++) {
                assert_int_equal(calls[i].n, 1);
                n_refused += sd_bus_message_is_method_error(calls[i].reply, LIMIT) > 0;
                call_clear(&calls[i]);
        }
        assert_int_equal(n_refused, ELEMENTSOF(calls) - 128);
}

static bool is_refused(BusWorld *b, const char *sender) {
        g_auto(Call) call = {};

        call_node_from(b, &call, sender, "ListRoles", "");
        world_wait(b->world, call.n > 0);
        if (sd_bus_message_is_method_error(call.reply, NULL) <= 0)
                return false;
        assert_error(&call, LIMIT, "uid 1000 have taken their 20 ms of a second (MaxCallTimePerUser=)");
        return true;
}

/* The time is that of the user, whatever connection he uses; other users have their own, and root needs
 * none. */
static void test_time(void **state) {
        BusWorld *b = *state;
        bool other_refused = false;

        b->world->node->settings->max_call_time_per_user_usec = 20 * USEC_PER_MSEC;
        identify(b, ROOT, 0);
        identify(b, ":1.20", 2000);
        identify(b, OTHER, UID);
        identify(b, CLIENT, UID);
        world_wait(b->world, is_refused(b, CLIENT));
        /* Each call earns a little. An allowance of its own would last for more calls than these. */
        for (unsigned i = 0; i < 5 * N_CALLS && !other_refused; i++)
                other_refused = is_refused(b, OTHER);
        assert_true(other_refused);
        assert_false(is_refused(b, ROOT));
        assert_false(is_refused(b, ":1.20"));
        /* It comes back. */
        world_wait(b->world, !is_refused(b, CLIENT));
}

/* The node numbers what it sends. */
static uint64_t reply_number(const Call *call) {
        uint64_t number;

        assert_return_code(sd_bus_message_get_cookie(call->reply, &number), 0);
        return number;
}

/* While the client has not read a large reply, the next calls wait, as many as may, in their order. Root's do
 * not. */
static void test_waiting(void **state) {
        BusWorld *b = *state;
        Call calls[N_CALLS] = {};
        g_auto(Call) large = {}, root = {};
        g_autoptr(sd_bus_message) introspect =
                call_new(b, CLIENT, NODE_PATH, "org.freedesktop.DBus.Introspectable", "Introspect");

        b->world->node->settings->max_call_time_per_user_usec = USEC_PER_SEC;
        b->world->node->settings->max_waiting_calls_per_user = 3;
        identify(b, ROOT, 0);
        identify(b, CLIENT, UID);
        call_send(b, &large, introspect);
        for (unsigned i = 0; i < N_CALLS; i++) {
                g_autoptr(sd_bus_message) m = call_peer(b, CLIENT);
                call_send(b, &calls[i], m);
        }
        call_node_from(b, &root, ROOT, "ListRoles", "");
        /* The client does not read before the node has seen all of them. */
        assert_return_code(sd_bus_flush(b->client), 0);
        assert_return_code(sd_bus_detach_event(b->client), 0);
        while (sd_event_run(b->world->event, 0) > 0)
                ;
        assert_return_code(sd_bus_attach_event(b->client, b->world->event, 0), 0);
        world_wait(b->world, root.n > 0);
        assert_replied(&root);
        assert_replied(&large);
        world_wait(b->world, calls[2].n > 0 && calls[N_CALLS - 1].n > 0);
        for (unsigned i = 0; i < N_CALLS; i++) {
                assert_true(reply_number(&calls[i]) > reply_number(&root)); /* root was first */
                if (i < 3)
                        assert_replied(&calls[i]);
                else
                        assert_error(&calls[i], LIMIT,
                                "3 calls of uid 1000 wait already (MaxWaitingCallsPerUser=)");
                call_clear(&calls[i]);
        }
}

/* The owner of a user's service is not limited. */
static void test_owner(void **state) {
        BusWorld *b = *state;

        b->world->node->settings->max_call_time_per_user_usec = 1;
        authority_set_user(b->clients->authority, UID);
        identify(b, CLIENT, UID);
        for (unsigned i = 0; i < 100; i++)
                assert_false(is_refused(b, CLIENT));
}

/* Calls that others keep count, too, and are received again without a further check. */
static void test_kept(void **state) {
        BusWorld *b = *state;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) first = NULL, second = NULL;

        identify(b, CLIENT, UID);
        b->world->node->settings->max_waiting_calls_per_user = 1;
        first = call_peer(b, CLIENT);
        second = call_peer(b, CLIENT);
        assert_return_code(sd_bus_message_seal(first, 1, 0), 0);
        assert_return_code(sd_bus_message_seal(second, 2, 0), 0);
        assert_int_equal(allowance_wait(b->clients->allowance, first, &error), 0);
        assert_int_equal(allowance_wait(b->clients->allowance, second, &error), -EDQUOT);
        assert_contains(error.message, "1 calls of uid 1000 wait already");
        allowance_done(b->clients->allowance, first);
        sd_bus_error_free(&error);
        assert_int_equal(allowance_wait(b->clients->allowance, second, &error), 0);
        allowance_done(b->clients->allowance, second);
}

/* A list cannot be longer than there may be roles. */
static void test_list(void **state) {
        BusWorld *b = *state;
        g_auto(Call) poll = {}, purge = {};
        Call *calls[] = { &poll, &purge };
        const char *members[] = { "Poll", "Purge" };

        b->uid = 0;
        for (size_t k = 0; k < ELEMENTSOF(members); k++) {
                g_autoptr(sd_bus_message) m = call_new(b, ROOT, NODE_PATH, NODE_INTERFACE, members[k]);

                assert_return_code(sd_bus_message_open_container(m, 'a', "s"), 0);
                for (unsigned i = 0; i <= NODE_MAX_ROLES; i++)
                        assert_return_code(sd_bus_message_append_basic(m, 's', "a"), 0);
                assert_return_code(sd_bus_message_close_container(m), 0);
                call_send(b, calls[k], m);
                world_wait(b->world, calls[k]->n > 0);
                assert_error(calls[k], "org.freedesktop.DBus.Error.InvalidArgs", "more than 16384 strings");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_no_reply),
                BUS_TEST(test_unknown),
                BUS_TEST(test_time),
                BUS_TEST(test_waiting),
                BUS_TEST(test_owner),
                BUS_TEST(test_kept),
                BUS_TEST(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
