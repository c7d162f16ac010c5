/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whose signals are believed: those of a peer from the owner of its name, those of the bus from the bus, and
 * no others, whatever waits for them. */

#include "bus-world.h"

#include "util/autoptr.h"

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define LOCAL_NAME "org.freedesktop.DBus.Local"
#define STRANGER ":1.66"

#define PROPERTIES "org.freedesktop.DBus.Properties"

static const struct {
        const char *name, *owner;
} peers[] = {
        { "org.freedesktop.systemd1", ":1.1" },
        { "org.freedesktop.login1", ":1.2" },
        { "org.freedesktop.PolicyKit1", ":1.3" },
};

/* from is the number of the peer that may send it; -1 is the bus, -2 nobody. */
static const struct {
        const char *path, *interface, *member;
        int from;
} signals[] = {
        { MANAGER_PATH, MANAGER_INTERFACE, "JobNew", 0 },
        { MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", 0 },
        { MANAGER_PATH "/unit/cam_2escope", PROPERTIES, "PropertiesChanged", 0 },
        { MANAGER_PATH "x", MANAGER_INTERFACE, "JobRemoved", -2 },
        { "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "SessionNew", 1 },
        { "/org/freedesktop/login1/session/_31", PROPERTIES, "PropertiesChanged", 1 },
        { "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority", "Changed", 2 },
        { BUS_PATH, BUS_NAME, "NameOwnerChanged", -1 },
        { "/org/freedesktop/DBus/Local", LOCAL_NAME, "Disconnected", -2 },
        { "/", "org.example.Other", "Happened", -2 },
        { "/org/freedesktop", "org.example.Other", "Happened", -2 },
};

static unsigned n_seen;

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        n_seen++;
        return 0;
}

static void emit(BusWorld *b, const char *sender, size_t i) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(sd_bus_message_new_signal(
                                   b->client, &m, signals[i].path, signals[i].interface, signals[i].member),
                0);
        if (sender)
                assert_return_code(sd_bus_message_set_sender(m, sender), 0);
        /* Who owns a name is not changed by this. */
        assert_return_code(sd_bus_message_append(m, "sss", "org.example.Name", "", STRANGER), 0);
        assert_return_code(sd_bus_send(b->client, m, NULL), 0);
        bus_world_settle(b);
}

static void emit_owner(BusWorld *b, const char *sender, const char *name, const char *owner) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(
                sd_bus_message_new_signal(b->client, &m, BUS_PATH, BUS_NAME, "NameOwnerChanged"), 0);
        assert_return_code(sd_bus_message_set_sender(m, sender), 0);
        assert_return_code(sd_bus_message_append(m, "sss", name, "", owner), 0);
        assert_return_code(sd_bus_send(b->client, m, NULL), 0);
        bus_world_settle(b);
}

static void expect(BusWorld *b, const char *sender, size_t i, bool believed) {
        n_seen = 0;
        emit(b, sender, i);
        if (n_seen != believed)
                fail_msg("%s of %s from %s: seen %u times", signals[i].member, signals[i].path,
                        sender ?: "nobody", n_seen);
}

/* A handler for each, with the sender in the match as a careless subscription has it. */
static void subscribe(BusWorld *b) {
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                assert_return_code(sd_bus_match_signal(b->clients->bus, NULL, NULL, signals[i].path,
                                           signals[i].interface, signals[i].member, on_signal, NULL),
                        0);
}

static void test_senders(void **state) {
        BusWorld *b = *state;

        subscribe(b);
        for (size_t k = 0; k < ELEMENTSOF(peers); k++)
                emit_owner(b, BUS_NAME, peers[k].name, peers[k].owner);

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                for (size_t k = 0; k < ELEMENTSOF(peers); k++)
                        expect(b, peers[k].owner, i, signals[i].from == (int) k);
                expect(b, BUS_NAME, i, signals[i].from == -1);
                expect(b, STRANGER, i, false);
                expect(b, peers[0].name, i, false);
                expect(b, NULL, i, false);
        }
}

/* The owner changes when the bus says so, and nobody else. */
static void test_owner(void **state) {
        BusWorld *b = *state;
        const char *systemd = peers[0].name, *polkit = peers[2].name;

        subscribe(b);
        expect(b, ":1.1", 0, false); /* nobody has the name */
        emit_owner(b, ":1.1", systemd, ":1.1");
        expect(b, ":1.1", 0, false);
        emit_owner(b, BUS_NAME, systemd, ":1.1");
        expect(b, ":1.1", 0, true);
        emit_owner(b, STRANGER, systemd, STRANGER);
        emit_owner(b, BUS_NAME, polkit, STRANGER);
        expect(b, STRANGER, 0, false);
        expect(b, ":1.1", 0, true);
        emit_owner(b, BUS_NAME, systemd, ":1.9");
        expect(b, ":1.1", 0, false);
        expect(b, ":1.9", 0, true);
        emit_owner(b, BUS_NAME, systemd, "");
        expect(b, ":1.9", 0, false);
}

/* The owner is asked for at the beginning, and again if the bus does not answer. */
static void test_asked(void **state) {
        BusWorld *b = *state;

        b->clients->peers = peers_free(b->clients->peers);
        subscribe(b);
        b->owner = ":1.1";
        b->owner_error = SD_BUS_ERROR_NO_REPLY;
        assert_return_code(peers_new(b->clients->bus, &b->clients->peers), 0);
        bus_world_settle(b);
        expect(b, ":1.1", 0, true);
        assert_null(b->owner_error);
        expect(b, STRANGER, 0, false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_senders),
                BUS_TEST(test_owner),
                BUS_TEST(test_asked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
