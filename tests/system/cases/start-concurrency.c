/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Starts run concurrently, up to MaxConcurrentStarts (100): those above wait their turn; one whose set-up hangs delays nobody, as
 * long as there is room. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define MAX_CONCURRENT_STARTS 100

/* A set-up that hangs: opening this pipe for writing waits for a reader. */
static char *make_hold(const char *name) {
        const char *path = scratch(name);

        assert_int_equal(mkfifo(path, 0600), 0);
        return g_strconcat("append:", path, NULL);
}

static void test_hanging_setup(void **state) {
        Bus *bus = *state;
        const char *hangs = role_name("hangs"), *other = role_name("other");
        g_autofree char *hold = make_hold("hold");
        guint32 serial = node_send(
                bus, "Start", start_args(hangs, OPTIONS("{'output': <%s>}", hold), actor(), "pause", NULL));
        int fd;

        for (int i = 0; i < 10; i++) {
                start(bus, other, NULL, actor(), "pause", NULL);
                stop(bus, other);
        }
        assert_false(bus_has_reply(bus, serial));
        assert_state(bus, hangs, "starting");

        /* Somebody reads: it goes on. */
        fd = open(scratch("hold"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0);
        g_variant_unref(bus_result(bus, serial));
        assert_poll(bus, hangs, "running");
        stop(bus, hangs);
        close(fd);
}

static guint count_starting(Bus *bus, const char *prefix, guint *ret_children) {
        g_autoptr(GArray) children = process_children(keeper_pid(bus));
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        const char *name, *now;
        guint n = 0;

        g_variant_get(reply, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(roles, "(&s&su&si&s&o)", &name, &now, NULL, NULL, NULL, NULL, NULL))
                if (g_str_has_prefix(name, prefix) && strcmp(now, "starting") == 0)
                        n++;
        *ret_children = children->len;
        return n;
}

/* The hundred and first waits until one is through. Two clients, for each may have no more than 128 calls in flight. */
static void test_limit(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) second = bus_new();
        g_autofree char *hold = make_hold("hold");
        const char *last = role_name("last"), *prefix = role_name("h");
        guint32 serials[MAX_CONCURRENT_STARTS], last_serial;
        Census before = census(bus);
        guint children;
        int fd;

        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                serials[i] = node_send(bus, "Start",
                        start_args(role_name_n("h", i), OPTIONS("{'output': <%s>}", hold), actor(), "pause",
                                NULL));
        node_sync(bus);
        last_serial = node_send(second, "Start", start_args(last, NULL, actor(), "pause", NULL));
        WAIT_UNTIL(count_starting(bus, prefix, &children) == MAX_CONCURRENT_STARTS &&
                   children == before.keeper_children + MAX_CONCURRENT_STARTS);
        assert_state(bus, last, "starting");
        for (int i = 0; i < 20; i++)
                node_sync(second);
        assert_false(bus_has_reply(second, last_serial));
        assert_int_equal(count_starting(bus, prefix, &children), MAX_CONCURRENT_STARTS);
        assert_int_equal(children, before.keeper_children + MAX_CONCURRENT_STARTS);

        /* One gives up, another gets its place. */
        stop(bus, role_name_n("h", 42));
        bus_failure(bus, serials[42], "StartCancelled", role_name_n("h", 42), NULL);
        g_variant_unref(bus_result(second, last_serial));

        /* And all others go on when they can. */
        fd = open(scratch("hold"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0);
        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                if (i != 42)
                        g_variant_unref(bus_result(bus, serials[i]));
        close(fd);
}

/* A start that waits its turn can be cancelled as well. */
static void test_cancel_waiting(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) second = bus_new();
        g_autofree char *hold = make_hold("hold"), *path = role_path(role_name("w"));
        const char *waits = role_name("w");
        guint32 serials[MAX_CONCURRENT_STARTS], serial;

        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++)
                serials[i] = node_send(bus, "Start",
                        start_args(role_name_n("c", i), OPTIONS("{'output': <%s>}", hold), actor(), "pause",
                                NULL));
        node_sync(bus);
        serial = node_send(second, "Start", start_args(waits, NULL, actor(), "pause", NULL));
        bus_wait(second, "InterfacesAdded", path);
        stop(second, waits);
        bus_failure(second, serial, "StartCancelled", waits, NULL);
        assert_poll(second, waits, "none");
        for (guint i = 0; i < MAX_CONCURRENT_STARTS; i++) {
                kill_role(bus, role_name_n("c", i));
                bus_failure(bus, serials[i], "StartCancelled", NULL);
        }
}

/* One client may ask for more than that at once (two connections, for dbus-daemon's sake): all run. */
static void test_more_than_the_limit(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) second = bus_new();
        Bus *clients[] = { bus, second };
        guint32 serials[200];

        for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                serials[i] = node_send(clients[i % 2], "Start",
                        start_args(role_name_n("m", i), NULL, actor(), "pause", NULL));
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                g_variant_unref(bus_result(clients[i % 2], serials[i]));
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                assert_int_equal(bus_count(bus, "RoleStarted", role_name_n("m", i)), 1);
                assert_poll(bus, role_name_n("m", i), "running");
        }
}

/* Many clients want the same name: one has it, the others hear so. */
static void test_same_name(void **state) {
        Bus *bus = *state;
        const char *role = role_name("same");
        guint32 serials[50];
        guint started = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++)
                serials[i] = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++) {
                Event *reply = bus_wait_reply(bus, serials[i]);

                if (reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN)
                        started++;
                else
                        bus_failure(bus, serials[i], "RoleExists", role, NULL);
        }
        assert_int_equal(started, 1);
        assert_int_equal(bus_count(bus, "RoleStarted", role), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_hanging_setup),
                TEST(test_limit),
                TEST(test_cancel_waiting),
                TEST(test_more_than_the_limit),
                TEST(test_same_name),
        };
        return run_case("start-concurrency", tests);
}
