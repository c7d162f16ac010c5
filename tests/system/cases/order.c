/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The service and the scopes are ordered after the targets for users, network and its file systems, so that
 * they start later and stop earlier, but require none of them. A start whose scope waits for one of these in
 * systemd fails after SetupTimeout=, and the error names the job. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define HOLD "/run/systemd/system/order-hold.service"
#define HOLD_FIFO "/run/order-hold"

static void assert_after(Bus *bus, const char *unit, const char *const *expected) {
        g_autoptr(GVariant) value = unit_get(bus, unit, "Unit", "After");
        g_autofree const char **after = g_variant_get_strv(value, NULL);

        for (; *expected; expected++)
                if (!g_strv_contains(after, *expected))
                        fail_msg("%s is not ordered after %s", unit, *expected);
}

static void test_after(void **state) {
        static const char *const of_service[] = { "remote-fs.target", "nss-user-lookup.target",
                "network.target", "time-sync.target", NULL };
        static const char *const of_scope[] = { "remote-fs.target", "network.target", KEEPER_UNIT, NULL };
        Bus *bus = *state;
        g_autofree char *scope = role_scope(role_name("a"));

        start(bus, role_name("a"), NULL, actor(), "pause", NULL);
        assert_after(bus, NODE_UNIT, of_service);
        assert_after(bus, scope, of_scope);
        stop(bus, role_name("a"));
}

/* Makes remote-fs.target a job that waits until hold_end(). */
static void hold_begin(void) {
        assert_true(g_file_set_contents(HOLD,
                "[Unit]\nDefaultDependencies=no\nBefore=remote-fs.target\n"
                "[Service]\nType=oneshot\nTimeoutStartSec=1min\nExecStart=/bin/sh -c 'read line <" HOLD_FIFO
                "'\n",
                -1, NULL));
        assert_return_code(mkfifo(HOLD_FIFO, 0600), errno);
        systemctl("daemon-reload", NULL);
        systemctl("stop", "remote-fs.target");
        g_free(run_ok("systemctl", "--no-block", "start", "order-hold.service", "remote-fs.target", NULL));
}

static void hold_end(void) {
        int fd = open(HOLD_FIFO, O_WRONLY | O_CLOEXEC); /* waits for the service, which reads */

        assert_return_code(fd, errno);
        assert_int_equal(write(fd, "go\n", 3), 3);
        close(fd);
        g_free(run_ok("systemctl", "start", "remote-fs.target", NULL));
        assert_return_code(unlink(HOLD_FIFO), errno);
        assert_return_code(unlink(HOLD), errno);
        systemctl("daemon-reload", NULL);
}

static void test_waits(void **state) {
        Bus *bus = *state;
        const char *roles[] = { role_name("b"), role_name("c"), role_name("d") };
        guint32 serials[G_N_ELEMENTS(roles)];
        guint mark = bus_mark(bus);

        node_configure(bus, "SetupTimeout=2s\n");
        hold_begin();
        /* The first one goes alone, the others are a batch. */
        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
                serials[i] = node_send(bus, "Start", start_args(roles[i], NULL, actor(), "pause", NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
                g_autofree char *scope = role_scope(roles[i]);

                bus_failure(bus, serials[i], "ScopeFailed", roles[i], scope, "its job ", "for 2 s",
                        "start job of remote-fs.target", NULL);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
                g_autofree char *scope = role_scope(roles[i]);

                /* systemd keeps one of a batch until all of that batch are gone. */
                WAIT_UNTIL(count_units(bus, scope) == 0);
                assert_no_trace(bus, roles[i], mark);
        }

        /* One that waits is started as soon as the target is there. */
        node_configure(bus, "SetupTimeout=1min\n");
        guint32 serial = node_send(bus, "Start", start_args(roles[0], NULL, actor(), "pause", NULL));
        WAIT_UNTIL(count_units(bus, "architect-main-order.b.scope") == 1);
        assert_state(bus, roles[0], "starting");
        hold_end();
        assert_int_equal(bus_wait_reply(bus, serial)->type, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
        assert_poll(bus, roles[0], "running");
        stop(bus, roles[0]);
        node_configure(bus, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_after),
                TEST(test_waits),
        };
        return run_case("order", tests);
}
