/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node on a bus of two. A socketpair connects the service with a client that is also the bus daemon, as
 * far as one is needed. Keeper, systemd and disk are those of the test (tests/unit/test-world.h). */

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
        Scopes *scopes;            /* not those of the world, which belong to the test */
        const ScopeOps *scope_ops; /* of these scopes */
        sd_bus *client;

        /* The replies of the bus daemon about a sender. */
        uid_t uid;
        bool nobody;       /* there is no such sender */
        bool no_uid;       /* the UID is not known */
        const char *error; /* the reply is this error */
        bool hold;         /* the reply waits for bus_world_answer() */
        GPtrArray *asked;  /* the pending requests */
        unsigned n_asked;
        unsigned n_ids;          /* how often its own ID was requested */
        const char *owner;       /* of each well-known name, or NULL */
        const char *owner_error; /* the first reply about an owner is this error */

        /* the signals that the client has received: "RoleStarted", "InterfacesAdded"... */
        GPtrArray *signals;
} BusWorld;

int bus_world_setup(void **state);
int bus_world_teardown(void **state);
void bus_world_answer(BusWorld *b);
void bus_world_disconnect_client(BusWorld *b);

/* A call and its reply. */
typedef struct Call {
        sd_bus_message *reply;
        unsigned n;
} Call;

void call_clear(Call *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Call, call_clear)

/* Calls a method of the node, from CLIENT or from sender (NULL for a call without a sender). */
void call_node(BusWorld *b, Call *call, const char *member, const char *types, ...);
void call_node_from(BusWorld *b, Call *call, const char *sender, const char *member, const char *types, ...);
void call_send(BusWorld *b, Call *call, sd_bus_message *m);
void call_send_on(sd_bus *bus, Call *call, sd_bus_message *m); /* another connection with the node */
sd_bus_message *call_new(
        BusWorld *b, const char *sender, const char *path, const char *interface, const char *member);

/* Returns the introspection of an object, which the caller frees. */
char *call_introspect(BusWorld *b, const char *path);

/* Completes all pending operations, with a round trip of the client. */
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
