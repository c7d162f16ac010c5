/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node on a bus of two: a socketpair, with the service at one end and at the other a client that also is the bus
 * daemon, as far as one is asked. Keeper, systemd and disk are the test's (tests/unit/test-world.h). */

#include "test-world.h"

#include <systemd/sd-bus.h>

#include "bus/clients-private.h"
#include "bus/clients.h"
#include "proto/node-names.h"
#include "scope/manager.h"
#include "scope/scope.h"

#define CLIENT ":1.7"

typedef struct BusWorld {
        TestWorld *world;
        Clients *clients;
        Manager *manager;
        Scopes *scopes;            /* not the side of the world: that is the test's */
        const ScopeOps *scope_ops; /* of these */
        sd_bus *client;

        /* What the bus daemon says of a sender. */
        uid_t uid;
        bool nobody;       /* there is no such sender */
        bool no_uid;       /* it does not know the uid */
        const char *error; /* it answers with this error */
        bool hold;         /* the answer has to wait for bus_world_answer() */
        GPtrArray *asked;  /* the questions that wait */
        unsigned n_asked;
        unsigned n_ids; /* how often it was asked for its own */

        GPtrArray *signals; /* what the client has seen: "RoleStarted", "InterfacesAdded"... */
} BusWorld;

int bus_world_setup(void **state);
int bus_world_teardown(void **state);
void bus_world_answer(BusWorld *b);
void bus_world_disconnect_client(BusWorld *b);

/* A call and its answer. */
typedef struct Call {
        sd_bus_message *reply;
        unsigned n;
} Call;

void call_clear(Call *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Call, call_clear)

/* A method of the node, from CLIENT, or from sender (NULL: without a name). */
void call_node(BusWorld *b, Call *call, const char *member, const char *types, ...);
void call_node_from(BusWorld *b, Call *call, const char *sender, const char *member, const char *types, ...);
void call_send(BusWorld *b, Call *call, sd_bus_message *m);
sd_bus_message *call_new(
        BusWorld *b, const char *sender, const char *path, const char *interface, const char *member);

/* Everything that is under way comes to its end: a round trip of the client's. */
void bus_world_settle(BusWorld *b);

#define assert_replied(call) \
        do { \
                assert_int_equal((call)->n, 1); \
                if (sd_bus_message_is_method_error((call)->reply, NULL)) \
                        fail_msg("%s", sd_bus_message_get_error((call)->reply)->message); \
        } while (0)
#define assert_error(call, expected_name, text) \
        do { \
                assert_int_equal((call)->n, 1); \
                assert_true(sd_bus_message_is_method_error((call)->reply, NULL)); \
                assert_string_equal(sd_bus_message_get_error((call)->reply)->name, (expected_name)); \
                assert_contains(sd_bus_message_get_error((call)->reply)->message, (text)); \
        } while (0)

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, bus_world_setup, bus_world_teardown)
