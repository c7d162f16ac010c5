/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* systemd's reports of scopes that it has started: which of them are followed. */

#include "bus-world.h"

#include "util/autoptr.h"

#define SYSTEMD ":1.1"

static unsigned n_asked; /* of the cgroups of scopes */

static int on_asked(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        n_asked++;
        return sd_bus_reply_method_return(m, "v", "s", "/user.slice/session-c1.scope");
}

static void emit(BusWorld *b, const char *sender, sd_bus_message *m) {
        assert_return_code(sd_bus_message_set_sender(m, sender), 0);
        assert_return_code(sd_bus_send(b->client, m, NULL), 0);
        bus_world_settle(b);
}

static void emit_owner(BusWorld *b, const char *sender, const char *owner) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(sd_bus_message_new_signal(b->client, &m, "/org/freedesktop/DBus",
                                   "org.freedesktop.DBus", "NameOwnerChanged"),
                0);
        assert_return_code(sd_bus_message_append(m, "sss", MANAGER_BUS_NAME, "", owner), 0);
        emit(b, sender, m);
}

static void emit_job(BusWorld *b, const char *sender, const char *unit, const char *result) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(
                sd_bus_message_new_signal(b->client, &m, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved"), 0);
        assert_return_code(sd_bus_message_append(m, "uoss", 1, MANAGER_PATH "/job/1", unit, result), 0);
        emit(b, sender, m);
}

static void test_followed(void **state) {
        static const char *const units[] = { "session-c1.scope", "cron.service", "user.slice",
                "architect-main-cam.scope", "architect-other-cam.scope" };
        BusWorld *b = *state;

        n_asked = 0;
        emit_owner(b, "org.freedesktop.DBus", SYSTEMD);
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                _cleanup_free_ char *path = NULL;

                assert_return_code(sd_bus_path_encode("/org/freedesktop/systemd1/unit", units[i], &path), 0);
                assert_return_code(sd_bus_add_object(b->client, NULL, path, on_asked, NULL), 0);
        }

        emit_job(b, SYSTEMD, units[0], "done"); /* there is no role */
        assert_int_equal(n_asked, 0);
        Role *role = world_run(b->world, "cam", NULL);
        emit_job(b, SYSTEMD, units[0], "failed");
        assert_int_equal(n_asked, 0);
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                emit_job(b, SYSTEMD, units[i], "done");
        assert_int_equal(n_asked, 1);
        world_exit(b->world, role, EXIT_CODE_EXITED, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_followed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
