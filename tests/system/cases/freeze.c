/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Freeze and Thaw: what systemd and the kernel say afterwards, what clients and the journal are told, also of
 * what others freeze, what ends a frozen role, and what survives a restart of the service. */

#include "../../../src/model/message-ids.h"
#include "testlib.h"

static bool is_frozen(Bus *bus, const char *role) {
        g_autoptr(GVariant) value = role_get(bus, role, "Frozen");

        return g_variant_get_boolean(value);
}

/* Returns whether the last change of the property since the mark is this one. */
static bool was_told(Bus *bus, const char *role, guint mark, gboolean frozen) {
        g_autofree char *path = role_path(role);
        g_autoptr(GPtrArray) changes = bus_all(bus, "PropertiesChanged", path);
        gboolean last = !frozen;

        for (guint i = 0; i < changes->len; i++) {
                const Event *event = g_ptr_array_index(changes, i);
                g_autoptr(GVariant) properties = g_variant_get_child_value(event->body, 1);

                if (event->index >= mark)
                        (void) g_variant_lookup(properties, "Frozen", "b", &last);
        }
        return last == frozen;
}

static char *freezer_state(Bus *bus, const char *role) {
        g_autofree char *scope = role_scope(role);

        return unit_get_string(bus, scope, "Unit", "FreezerState");
}

static void assert_freezer_state(Bus *bus, const char *role, const char *expected) {
        g_autofree char *state = freezer_state(bus, role);

        assert_string_equal(state, expected);
}

static void freeze(Bus *bus, const char *role) {
        g_variant_unref(node_call(bus, "Freeze", g_variant_new("(s)", role)));
}

static void thaw(Bus *bus, const char *role) {
        g_variant_unref(node_call(bus, "Thaw", g_variant_new("(s)", role)));
}

/* It says "usr1" when it receives this signal, and ends with 6 at SIGTERM, both by a handler. */
static void start_handler(Bus *bus, const char *role, Fifo *fifo) {
        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), actor(), "tell-on", "USR1",
                fifo_path(fifo), "usr1", "exit-on", "TERM", "6", "say", fifo_path(fifo), "ready", "pause",
                NULL);
        fifo_expect_pid(fifo, "ready");
}

static void test_both(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint mark;

        start_handler(bus, role, fifo);
        g_autofree char *cgroup = role_cgroup(bus, role);
        for (int by_object = 0; by_object < 2; by_object++) {
                g_autofree char *from = journal_from_now(), *frozen = NULL, *thawed = NULL;

                mark = bus_mark(bus);
                if (by_object)
                        g_variant_unref(role_call(bus, role, "Freeze", NULL));
                else
                        freeze(bus, role);
                assert_true(cgroup_is_frozen(cgroup));
                assert_true(is_frozen(bus, role));
                assert_freezer_state(bus, role, "frozen");
                assert_poll(bus, role, "running");
                WAIT_UNTIL(was_told(bus, role, mark, true));
                freeze(bus, role); /* once more changes nothing */
                send_signal(bus, role, "main", SIGUSR1);
                assert_false(fifo_has_line(fifo));

                mark = bus_mark(bus);
                if (by_object)
                        g_variant_unref(role_call(bus, role, "Thaw", NULL));
                else
                        thaw(bus, role);
                assert_false(cgroup_is_frozen(cgroup));
                assert_false(is_frozen(bus, role));
                assert_freezer_state(bus, role, "running");
                WAIT_UNTIL(was_told(bus, role, mark, false));
                thaw(bus, role);
                fifo_expect_pid(fifo, "usr1");

                /* Once each, not for what changes nothing. */
                frozen = journal(from, "MESSAGE_ID=" MESSAGE_ROLE_FROZEN, "ARCHITECT_CALLER_UID=0", NULL);
                thawed = journal(from, "MESSAGE_ID=" MESSAGE_ROLE_THAWED, "ARCHITECT_CALLER_UID=0", NULL);
                g_autofree char *frozen_line = g_strdup_printf("%s: Frozen", role),
                                *thawed_line = g_strdup_printf("%s: Thawed", role);
                assert_string_equal(g_strstrip(frozen), frozen_line);
                assert_string_equal(g_strstrip(thawed), thawed_line);
        }
        mark = bus_mark(bus);
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

/* What somebody else freezes is announced. */
static void test_by_others(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *scope = role_scope(role);

        start_handler(bus, role, fifo);
        g_autofree char *cgroup = role_cgroup(bus, role);
        for (int by_systemd = 0; by_systemd < 2; by_systemd++) {
                guint mark = bus_mark(bus);

                if (by_systemd)
                        systemctl("freeze", scope);
                else
                        cgroup_freeze(cgroup, true);
                WAIT_UNTIL(was_told(bus, role, mark, true));
                mark = bus_mark(bus);
                if (by_systemd)
                        systemctl("thaw", scope);
                else
                        cgroup_freeze(cgroup, false);
                WAIT_UNTIL(was_told(bus, role, mark, false));
        }

        /* Thaw ends what another has frozen, however that was. */
        systemctl("freeze", scope);
        thaw(bus, role);
        assert_false(cgroup_is_frozen(cgroup));
        cgroup_freeze(cgroup, true);
        WAIT_UNTIL(cgroup_is_frozen(cgroup));
        thaw(bus, role);
        assert_false(cgroup_is_frozen(cgroup));

        /* So does systemctl what Freeze has frozen. */
        freeze(bus, role);
        systemctl("thaw", scope);
        assert_false(cgroup_is_frozen(cgroup));
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

static void test_ends(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start_handler(bus, role, fifo);
        freeze(bus, role);
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
        assert_false(is_frozen(bus, role));
        node_call_fails(bus, "Freeze", g_variant_new("(s)", role), "RoleNotRunning", role, "ended", NULL);
        node_call_fails(bus, "Thaw", g_variant_new("(s)", role), "RoleNotRunning", role, "ended", NULL);

        start_handler(bus, role, fifo);
        freeze(bus, role);
        kill_role(bus, role);
        expect_exited(bus, role, "killed", SIGKILL, "kill");

        /* From outside. What it leaves is not left frozen. */
        start(bus, role, NULL, "sh", "-c", "\"$0\" pause & exec \"$0\" say \"$1\" ready pause", actor(),
                fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "ready");
        g_autofree char *cgroup = role_cgroup(bus, role);
        freeze(bus, role);
        assert_int_equal(kill(role_pid(bus, role), SIGKILL), 0);
        expect_exited(bus, role, "killed", SIGKILL, "external");
        stop(bus, role);
        assert_false(cgroup_is_populated(cgroup));

        /* Nothing remains for the next run. */
        start_handler(bus, role, fifo);
        assert_false(is_frozen(bus, role));
        assert_freezer_state(bus, role, "running");
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

/* Calls that come at once, in any order, all have a reply, and the last one counts. A Stop among them ends
 * the role by its handler, so it is not frozen then. */
static void test_at_once(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        for (guint round = 0; round < 16; round++) {
                guint32 serials[6];

                start_handler(bus, role, fifo);
                g_autofree char *cgroup = role_cgroup(bus, role);
                for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                        const char *method = (round * 5 + i * i) % 3 ? "Freeze" : "Thaw";

                        serials[i] = node_send(bus, method, g_variant_new("(s)", role));
                }
                if (round % 2 == 0) {
                        guint32 last = node_send(
                                bus, round % 4 == 0 ? "Freeze" : "Thaw", g_variant_new("(s)", role));

                        g_variant_unref(bus_result(bus, last));
                        assert_int_equal(cgroup_is_frozen(cgroup), round % 4 == 0);
                }
                stop(bus, role);
                expect_exited(bus, role, "exited", 6, "stop");
                for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                        (void) bus_wait_reply(bus, serials[i]);
        }
}

/* A unit above the scope is frozen. */
static void test_above(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start_handler(bus, role, fifo);
        guint mark = bus_mark(bus);
        cgroup_freeze("/architect.slice", true);
        WAIT_UNTIL(was_told(bus, role, mark, true));
        node_call_fails(bus, "Freeze", g_variant_new("(s)", role), "RoleFrozen", role, "cannot be frozen",
                "architect.slice", NULL);
        node_call_fails(bus, "Thaw", g_variant_new("(s)", role), "RoleFrozen", role, "cannot be thawed",
                "architect.slice", NULL);
        cgroup_freeze("/architect.slice", false);
        WAIT_UNTIL(!is_frozen(bus, role));
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

/* systemd does not answer, as it does not while a process cannot be frozen. The Freeze fails, and the role is
 * not frozen later. */
static void test_timeout(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start_handler(bus, role, fifo);
        systemd_freeze(true);
        node_call_fails(bus, "Freeze", g_variant_new("(s)", role), IO_ERROR, role, "within 5 s", NULL);
        systemd_freeze(false);
        thaw(bus, role); /* systemd has done what came before */
        assert_false(is_frozen(bus, role));
        send_signal(bus, role, "main", SIGUSR1);
        fifo_expect_pid(fifo, "usr1");
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

static int thaw_all(void **state) {
        systemd_freeze(false);
        cgroup_freeze("/architect.slice", false);
        return case_teardown(state);
}

/* A frozen role stays so, and the next process notices that it is thawed. */
static void test_restart(void **state) {
        Bus *bus = *state;
        const char *role = role_name("g");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *scope = role_scope(role);

        start_handler(bus, role, fifo);
        for (int crash = 0; crash < 2; crash++) {
                freeze(bus, role);
                if (crash)
                        node_crash(bus);
                else
                        node_restart(bus);
                node_sync(bus);
                assert_true(is_frozen(bus, role));
                guint mark = bus_mark(bus);
                systemctl("thaw", scope);
                WAIT_UNTIL(was_told(bus, role, mark, false));
        }
        freeze(bus, role);
        node_crash(bus);
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_both),
                TEST(test_by_others),
                TEST(test_ends),
                TEST(test_at_once),
                cmocka_unit_test_setup_teardown(test_above, case_setup, thaw_all),
                cmocka_unit_test_setup_teardown(test_timeout, case_setup, thaw_all),
                TEST(test_restart),
        };
        return run_case("freeze", tests);
}
