/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases on the bus: their methods, and that no call changes a role of a lease unless it names that. */

#include "bus-world.h"

#include <signal.h>

#include "bus/authority-details.h"
#include "bus/role-dbus.h"
#include "model/leases.h"
#include "util/autoptr.h"

#define ERROR(name) "org.architect.Node.Error." name
#define LONG (3600 * USEC_PER_SEC)

static const Caller root = { .known = true };

static Role *run_leased(BusWorld *b, const char *name, const char *lease, uint64_t token) {
        RoleSpec *spec = test_spec();
        g_auto(Fault) fault = {};

        assert_return_code(leases_acquire(b->world->node->leases, lease, token, LONG, &root, NULL), 0);
        assert_return_code(role_spec_set_lease(spec, lease, NULL), 0);
        spec->fencing_token = token;
        spec->stdin_kind = ROLE_STDIN_PIPE;
        if (node_start_role(b->world->node, name, spec, &root, (Waiter){}, &fault) < 0)
                fail_msg("%s", fault.message);
        Role *role = world_find(b->world, name);
        world_executed(b->world, role);
        forget_calls(b->world);
        return role;
}

/* "l 0 7 cam,hub; m ...": name, uid (- for nobody), token, roles */
static void assert_leases(BusWorld *b, const char *expected) {
        g_autoptr(GString) found = g_string_new(NULL);
        g_auto(Call) call = {};
        uint64_t timeout, deadline, token;
        const char *name;
        uint32_t uid;

        call_node(b, &call, "ListLeases", "");
        bus_world_settle(b);
        assert_replied(&call);
        assert_true(sd_bus_message_has_signature(call.reply, "a(sutttas)"));
        assert_int_equal(sd_bus_message_enter_container(call.reply, 'a', "(sutttas)"), 1);
        while (sd_bus_message_enter_container(call.reply, 'r', "sutttas") > 0) {
                g_auto(GStrv) roles = NULL;

                assert_return_code(
                        sd_bus_message_read(call.reply, "suttt", &name, &uid, &timeout, &deadline, &token),
                        0);
                assert_return_code(sd_bus_message_read_strv(call.reply, &roles), 0);
                g_autofree char *joined = roles ? g_strjoinv(",", roles) : g_strdup("");
                g_autofree char *owner =
                        uid == UINT32_MAX ? g_strdup("-") : g_strdup_printf("%u", (unsigned) uid);
                g_string_append_printf(
                        found, "%s%s %s %d %s", found->len > 0 ? "; " : "", name, owner, (int) token, joined);
                assert_int_equal(timeout != 0, uid != UINT32_MAX);
                assert_int_equal(deadline != 0, uid != UINT32_MAX);
                assert_return_code(sd_bus_message_exit_container(call.reply), 0);
        }
        assert_string_equal(found->str, expected);
}

static void test_methods(void **state) {
        BusWorld *b = *state;
        g_auto(Call) acquire = {}, beat = {}, stale = {}, release = {}, again = {}, zero = {}, name = {};

        assert_leases(b, "");
        call_node(b, &acquire, "AcquireLease", "stt", "l", UINT64_C(7), LONG);
        bus_world_settle(b);
        assert_replied(&acquire);
        call_node(b, &beat, "BeatLease", "stt", "m", UINT64_C(0), UINT64_MAX);
        bus_world_settle(b);
        assert_replied(&beat);
        assert_leases(b, "l 0 7 ; m 0 0 ");
        call_node(b, &stale, "BeatLease", "stt", "l", UINT64_C(6), LONG);
        bus_world_settle(b);
        assert_error(&stale, ERROR("StaleToken"), "fencing token 6 of lease \"l\" is stale");
        call_node(b, &release, "ReleaseLease", "st", "l", UINT64_C(7));
        bus_world_settle(b);
        assert_replied(&release);
        assert_leases(b, "l - 7 ; m 0 0 ");
        call_node(b, &again, "ReleaseLease", "st", "l", UINT64_C(7));
        call_node(b, &zero, "AcquireLease", "stt", "l", UINT64_C(7), UINT64_C(0));
        call_node(b, &name, "AcquireLease", "stt", "l l", UINT64_C(7), LONG);
        bus_world_settle(b);
        assert_error(&again, ERROR("NoSuchLease"), "Nobody holds the lease \"l\"");
        assert_error(&zero, SD_BUS_ERROR_INVALID_ARGS, "timeout of lease \"l\" is 0");
        assert_error(&name, SD_BUS_ERROR_INVALID_ARGS, "\"l_l\" is");
}

/* Without a right to do it. */
static void test_refused(void **state) {
        static const char *const members[] = { "AcquireLease", "BeatLease" };
        BusWorld *b = *state;
        g_auto(Call) release = {}, list = {}, managed = {};

        b->uid = 1000;
        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                g_auto(Call) call = {};

                call_node_from(b, &call, ":1.8", members[i], "stt", "l", UINT64_C(1), LONG);
                bus_world_settle(b);
                assert_error(&call, SD_BUS_ERROR_ACCESS_DENIED, "leases");
        }
        call_node_from(b, &release, ":1.8", "ReleaseLease", "st", "l", UINT64_C(1));
        call_node_from(b, &list, ":1.8", "ListLeases", "");
        call_node_from(b, &managed, ":1.8", "ListManaged", "");
        bus_world_settle(b);
        assert_error(&release, SD_BUS_ERROR_ACCESS_DENIED, "release leases");
        assert_replied(&list);
        assert_replied(&managed);
        assert_null(leases_find(b->world->node->leases, "l"));
}

/* Each method that changes a role, without the options of a lease: it is refused, and nothing happens. */
static void test_required(void **state) {
        BusWorld *b = *state;
        const Role *role = run_leased(b, "cam", "l", 7);
        g_autofree char *path = role_dbus_path("cam");
        const char *of_role[] = { "Stop", "Kill", "Freeze", "Thaw", "CloseInput", "Purge" };
        const uint8_t bytes[] = { 'x' };

        for (size_t i = 0; i < ELEMENTSOF(of_role); i++) {
                g_autoptr(sd_bus_message) m = call_new(b, CLIENT, path, NODE_ROLE_INTERFACE, of_role[i]);
                g_auto(Call) object = {}, node = {};

                call_send(b, &object, m);
                if (strcmp(of_role[i], "Purge") == 0)
                        call_node(b, &node, of_role[i], "as", 1, "cam");
                else
                        call_node(b, &node, of_role[i], "s", "cam");
                bus_world_settle(b);
                assert_error(&object, ERROR("LeaseRequired"), "Role \"cam\" belongs to lease \"l\"");
                assert_error(&node, ERROR("LeaseRequired"), "Role \"cam\" belongs to lease \"l\"");
        }

        g_auto(Call) signal = {}, send = {}, write = {}, terminal = {}, socket = {}, resize = {}, start = {};
        call_node(b, &signal, "Signal", "ssi", "cam", "all", SIGKILL);
        call_node(b, &send, "SendInput", "ss", "cam", "x");
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "WriteInput");
        assert_return_code(sd_bus_message_append(m, "s", "cam"), 0);
        assert_return_code(sd_bus_message_append_array(m, 'y', bytes, sizeof(bytes)), 0);
        call_send(b, &write, m);
        call_node(b, &terminal, "OpenTerminal", "sa{sv}", "cam", 0);
        call_node(b, &socket, "OpenTerminalSocket", "sa{sv}", "cam", 0);
        call_node(b, &resize, "ResizeTerminal", "sqq", "cam", 1, 1);
        call_node(b, &start, "Start", "sasa{sv}", "other", 1, "/bin/true", 1, "lease", "s", "m");
        bus_world_settle(b);
        assert_error(&signal, ERROR("LeaseRequired"), "\"l\"");
        assert_error(&send, ERROR("LeaseRequired"), "\"l\"");
        assert_error(&write, ERROR("LeaseRequired"), "\"l\"");
        assert_error(&terminal, ERROR("LeaseRequired"), "\"l\"");
        assert_error(&socket, ERROR("LeaseRequired"), "\"l\"");
        assert_error(&resize, ERROR("LeaseRequired"), "\"l\"");
        assert_error(&start, ERROR("NoSuchLease"), "\"m\"");
        expect_calls(b->world, "");
        assert_int_equal(role->state, ROLE_RUNNING);
}

/* The methods that have the options. With a stale token nothing happens, with the lease they do their work.
 */
static void test_with_options(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *member, *calls;
        } table[] = {
                { "FreezeWithOptions", "freeze(cam)" },
                { "ThawWithOptions", "" }, /* it is not frozen yet */
                { "CloseInputWithOptions", "" },
        };
        const Role *role = run_leased(b, "cam", "l", 7);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_auto(Call) stale = {}, none = {}, unknown = {};

                call_node(b, &stale, table[i].member, "sa{sv}", "cam", 2, "lease", "s", "l", "fencing-token",
                        "t", UINT64_C(6));
                call_node(b, &none, table[i].member, "sa{sv}", "cam", 0);
                call_node(b, &unknown, table[i].member, "sa{sv}", "cam", 1, "token", "t", UINT64_C(7));
                bus_world_settle(b);
                assert_error(&stale, ERROR("StaleToken"), "6 of lease \"l\"");
                assert_error(&none, ERROR("LeaseRequired"), "\"l\"");
                assert_error(&unknown, SD_BUS_ERROR_INVALID_ARGS, "Unknown option \"token\"");
                expect_calls(b->world, "");
        }

        g_auto(Call) signal = {}, force = {}, alone = {}, other = {};
        call_node(b, &signal, "SignalWithOptions", "ssia{sv}", "cam", "main", SIGUSR1, 2, "lease", "s", "l",
                "fencing-token", "t", UINT64_C(7));
        bus_world_settle(b);
        assert_contains(b->world->calls->str, "signal-main(cam,10)");
        world_answer(b->world, NULL);
        bus_world_settle(b);
        assert_replied(&signal);
        forget_calls(b->world);
        call_node(b, &force, "SignalWithOptions", "ssia{sv}", "cam", "main", SIGUSR2, 1, "force", "b", 1);
        bus_world_settle(b);
        assert_contains(b->world->calls->str, "signal-main(cam,12)");
        world_answer(b->world, NULL);
        bus_world_settle(b);
        assert_replied(&force);
        forget_calls(b->world);
        call_node(b, &alone, "SignalWithOptions", "ssia{sv}", "cam", "main", SIGUSR2, 1, "fencing-token", "t",
                UINT64_C(7));
        call_node(b, &other, "FreezeWithOptions", "sa{sv}", "cam", 1, "lease", "s", "m");
        bus_world_settle(b);
        assert_error(&alone, SD_BUS_ERROR_INVALID_ARGS, "\"fencing-token\" needs \"lease\"");
        assert_error(&other, ERROR("NoSuchLease"), "\"m\"");
        expect_calls(b->world, "");
        assert_int_equal(role->state, ROLE_RUNNING);

        /* A higher token is noted. */
        g_auto(Call) higher = {}, now_stale = {};
        call_node(b, &higher, "PurgeWithOptions", "asa{sv}", 1, "cam", 2, "lease", "s", "l", "fencing-token",
                "t", UINT64_C(9));
        call_node(b, &now_stale, "FreezeWithOptions", "sa{sv}", "cam", 2, "lease", "s", "l", "fencing-token",
                "t", UINT64_C(8));
        bus_world_settle(b);
        assert_error(&higher, ERROR("RoleRunning"), "\"cam\"");
        assert_error(&now_stale, ERROR("StaleToken"), "9 was used");
}

/* Of StopMany and KillMany. */
static void test_many(void **state) {
        BusWorld *b = *state;
        g_auto(Call) stale = {}, plain = {}, named = {};
        const char *name, *error, *message;

        const Role *cam = run_leased(b, "cam", "l", 7);
        const Role *free_role = world_run(b->world, "free", NULL);
        forget_calls(b->world);

        call_node(b, &stale, "StopMany", "asa{sv}", 2, "free", "cam", 2, "lease", "s", "l", "fencing-token",
                "t", UINT64_C(6));
        bus_world_settle(b);
        assert_error(&stale, ERROR("StaleToken"), "6 of lease \"l\"");
        expect_calls(b->world, ""); /* not even the role without a lease */

        call_node(b, &plain, "KillMany", "asa{sv}", 2, "cam", "free", 0);
        bus_world_settle(b);
        world_exit(b->world, (Role *) free_role, EXIT_CODE_KILLED, SIGKILL);
        bus_world_settle(b);
        assert_replied(&plain);
        assert_int_equal(sd_bus_message_enter_container(plain.reply, 'a', "(sss)"), 1);
        assert_int_equal(sd_bus_message_read(plain.reply, "(sss)", &name, &error, &message), 1);
        assert_string_equal(name, "cam");
        assert_string_equal(error, ERROR("LeaseRequired"));
        assert_int_equal(sd_bus_message_read(plain.reply, "(sss)", &name, &error, &message), 1);
        assert_string_equal(error, "");
        assert_int_equal(cam->state, ROLE_RUNNING);

        call_node(b, &named, "StopMany", "asa{sv}", 1, "cam", 2, "lease", "s", "l", "fencing-token", "t",
                UINT64_C(7));
        bus_world_settle(b);
        assert_int_equal(cam->state, ROLE_STOPPING);
        world_exit(b->world, (Role *) cam, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_replied(&named);
}

static void test_force_is_for_root(void **state) {
        BusWorld *b = *state;
        g_auto(Call) own = {}, start = {};
        const Role *role = run_leased(b, "cam", "l", 0);

        /* In the service of a user that user is root. */
        authority_set_user(b->clients->authority, 1000);
        b->uid = 1000;
        b->world->node->user = true;
        call_node_from(
                b, &own, ":1.8", "SignalWithOptions", "ssia{sv}", "cam", "main", SIGUSR1, 1, "force", "b", 1);
        bus_world_settle(b);
        assert_contains(b->world->calls->str, "signal-main(cam,10)");
        world_answer(b->world, NULL);
        bus_world_settle(b);
        assert_replied(&own);
        b->world->node->user = false;
        forget_calls(b->world);
        call_node_from(b, &start, ":1.8", "FreezeWithOptions", "sa{sv}", "cam", 1, "force", "b", 1);
        bus_world_settle(b);
        assert_error(&start, SD_BUS_ERROR_ACCESS_DENIED, "only root may use it");
        expect_calls(b->world, "");
        assert_int_equal(role->state, ROLE_RUNNING);
}

static void test_start_many(void **state) {
        BusWorld *b = *state;
        g_auto(Call) none = {}, stale = {}, good = {}, joined = {}, force = {};
        const char *name, *error, *message;

        node_set_definitions(b->world->node, test_definitions("cam", "Command=/bin/true\nLease=l"));
        assert_return_code(leases_acquire(b->world->node->leases, "l", 7, LONG, &root, NULL), 0);

        call_node(b, &none, "StartMany", "asa{sv}", 1, "cam", 0);
        bus_world_settle(b);
        assert_replied(&none);
        assert_int_equal(sd_bus_message_enter_container(none.reply, 'a', "(sss)"), 1);
        assert_int_equal(sd_bus_message_read(none.reply, "(sss)", &name, &error, &message), 1);
        assert_string_equal(error, ERROR("StaleToken"));
        call_node(b, &stale, "StartMany", "asa{sv}", 1, "cam", 2, "lease", "s", "l", "fencing-token", "t",
                UINT64_C(6));
        call_node(b, &force, "StartMany", "asa{sv}", 1, "cam", 1, "force", "b", 1);
        bus_world_settle(b);
        assert_error(&stale, ERROR("StaleToken"), "6 of lease \"l\"");
        assert_error(&force, SD_BUS_ERROR_INVALID_ARGS, "Unknown option \"force\"");
        assert_null(world_find(b->world, "cam"));

        call_node(b, &good, "StartMany", "asa{sv}", 1, "cam", 1, "fencing-token", "t", UINT64_C(7));
        bus_world_settle(b);
        world_executed(b->world, world_find(b->world, "cam"));
        bus_world_settle(b);
        assert_replied(&good);
        /* What runs already is a success only for who may start it. */
        call_node(b, &joined, "StartMany", "asa{sv}", 1, "cam", 1, "fencing-token", "t", UINT64_C(6));
        bus_world_settle(b);
        assert_replied(&joined);
        assert_int_equal(sd_bus_message_enter_container(joined.reply, 'a', "(sss)"), 1);
        assert_int_equal(sd_bus_message_read(joined.reply, "(sss)", &name, &error, &message), 1);
        assert_string_equal(error, ERROR("StaleToken"));
}

static void test_expired(void **state) {
        BusWorld *b = *state;
        g_auto(Call) managed = {};
        const char *name, *lease, *manager;

        const Role *role = run_leased(b, "cam", "l", 7);
        assert_leases(b, "l 0 7 cam");
        call_node(b, &managed, "ListManaged", "");
        bus_world_settle(b);
        assert_replied(&managed);
        assert_int_equal(sd_bus_message_enter_container(managed.reply, 'a', "(sss)"), 1);
        assert_int_equal(sd_bus_message_read(managed.reply, "(sss)", &name, &lease, &manager), 1);
        assert_string_equal(name, "cam");
        assert_string_equal(lease, "l");
        assert_string_equal(manager, "");

        g_ptr_array_set_size(b->signals, 0);
        assert_return_code(leases_beat(b->world->node->leases, "l", 7, 1, &root, NULL), 0);
        world_wait(b->world, role->state == ROLE_STOPPING);
        bus_world_settle(b);
        assert_true(g_ptr_array_find_with_equal_func(b->signals, "LeaseExpired", g_str_equal, NULL));
        assert_leases(b, "l - 7 cam");
}

/* To polkit a method with options is the one without. */
static void test_verb(void **state) {
        static const struct {
                const char *member, *verb;
        } table[] = {
                { "SignalWithOptions", "signal" },
                { "WriteInputWithOptions", "write-input" },
                { "AcquireLease", "acquire-lease" },
                { "WithOptions", "with-options" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_autofree char *verb = authority_verb(table[i].member);

                assert_string_equal(verb, table[i].verb);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_methods),
                BUS_TEST(test_refused),
                BUS_TEST(test_required),
                BUS_TEST(test_with_options),
                BUS_TEST(test_many),
                BUS_TEST(test_force_is_for_root),
                BUS_TEST(test_start_many),
                BUS_TEST(test_expired),
                cmocka_unit_test(test_verb),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
