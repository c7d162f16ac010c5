/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reserved ports in the model: their owners, the roles that have them, what is saved, and how reports of the
 * keeper change it. */

#include "model/events.h"
#include "model/ports-roles.h"
#include "model/settings.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd-util.h"

static const Caller root = { .known = true, .uid = 0, .pid = 1 };
static const Caller alice = { .known = true, .uid = 1000, .pid = 2 };
static const Caller bob = { .known = true, .uid = 1001, .pid = 3 };

typedef struct Bound {
        unsigned n;
        uint16_t numbers[PORTS_PER_CALL_MAX];
        NodeError error;
        char *message;
} Bound;

static void bound_clear(Bound *b) {
        g_clear_pointer(&b->message, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bound, bound_clear)

static void bound_done(void *userdata, const Fault *fault) {
        Bound *b = userdata;

        b->n++;
        if (fault) {
                b->error = fault->error;
                b->message = g_strdup(fault->message);
        }
}

static int reserve(
        TestWorld *w, PortProtocol protocol, uint32_t n, const Caller *caller, Bound *b, Fault *fault) {
        const PortsWanted wanted = {
                .protocol = protocol, .n = n, .address = w->node->settings->bind_address
        };

        return ports_bind(w->node->ports, &wanted, caller, (Waiter){ bound_done, b }, b->numbers, fault);
}

/* Adds n ports from this number on. */
static void have(TestWorld *w, PortProtocol protocol, uint16_t first, uint16_t n, const Caller *caller) {
        g_autofree uint16_t *numbers = g_new(uint16_t, n);
        g_auto(Bound) b = {};

        for (uint16_t i = 0; i < n; i++)
                numbers[i] = (uint16_t) (first + i);
        assert_return_code(reserve(w, protocol, n, caller, &b, NULL), 0);
        ports_on_bound(w->request, 0, numbers, n);
        assert_int_equal(b.n, 1);
        assert_null(b.message);
        assert_memory_equal(b.numbers, numbers, n * sizeof(numbers[0]));
        if (n < PORTS_PER_CALL_MAX)
                assert_int_equal(b.numbers[n], 0);
        forget_calls(w);
}

static void assert_listed(Ports *ports, const char *expected) {
        g_autoptr(GArray) list = ports_list(ports);
        g_autoptr(GString) s = g_string_new(NULL);

        for (unsigned i = 0; i < list->len; i++) {
                PortListed *l = &g_array_index(list, PortListed, i);

                g_string_append_printf(s, "%s%s%u:%u%s%s", i > 0 ? " " : "",
                        l->port.protocol == PORT_TCP ? "t" : "u", l->port.number, (unsigned) l->port.uid,
                        l->role[0] ? "=" : "", l->role);
        }
        assert_string_equal(s->str, expected);
}

static RoleSpec *spec_with(RolePorts which, uint64_t number) {
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_ports(spec, which, &number, 1, NULL), 0);
        return spec;
}

static int start_role(
        TestWorld *w, const char *name, RoleSpec *spec, const Caller *caller, Told *told, Fault *fault) {
        int r = node_start_role(w->node, name, spec, caller, told_by(told), fault);

        if (r < 0)
                role_spec_free(spec);
        return r;
}

static Role *run_with(TestWorld *w, const char *name, RoleSpec *spec, const Caller *caller) {
        g_auto(Told) told = {};

        assert_return_code(start_role(w, name, spec, caller, &told, NULL), 0);
        Role *role = world_find(w, name);
        world_executed(w, role);
        assert_told_success(&told);
        forget_calls(w);
        return role;
}

static void test_bind(void **state) {
        TestWorld *w = *state;
        uint16_t numbers[] = { 5001, 5000 };
        g_auto(Bound) b = {};

        w->node->settings->bind_address = (BindAddress){ .ip_version = 4, .address = { 127, 0, 0, 1 } };
        assert_return_code(reserve(w, PORT_TCP, 2, &alice, &b, NULL), 0);
        expect_calls(w, "bind(tcp,2)");
        assert_int_equal(w->bind.ip_version, 4);
        assert_int_equal(w->bind.address[0], 127);
        assert_listed(w->node->ports, "");
        assert_int_equal(b.n, 0);
        ports_on_bound(w->request, 0, numbers, 2);
        assert_int_equal(b.n, 1);
        assert_listed(w->node->ports, "t5000:1000 t5001:1000");
        have(w, PORT_UDP, 5000, 1, &root);
        assert_listed(w->node->ports, "t5000:1000 t5001:1000 u5000:0");
}

static void test_bind_errors(void **state) {
        TestWorld *w = *state;
        const struct {
                int error;
                NodeError expected;
                const char *text;
        } answers[] = {
                { -EADDRINUSE, NODE_ERROR_PORTS_UNAVAILABLE, "3 UDP ports on any address" },
                { -EADDRNOTAVAIL, NODE_ERROR_PORTS_UNAVAILABLE, "Cannot assign" },
                { -EMFILE, NODE_ERROR_PORTS_UNAVAILABLE, "files" },
                { -ENOTCONN, NODE_ERROR_KEEPER_UNAVAILABLE, "no keeper" },
        };
        static const uint32_t counts[] = { 0, PORTS_PER_CALL_MAX + 1, UINT32_MAX };

        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                g_auto(Fault) fault = {};
                g_auto(Bound) b = {};

                assert_fault(reserve(w, PORT_TCP, counts[i], &root, &b, &fault), &fault,
                        NODE_ERROR_INVALID_ARGS, "from 1 to 256");
                assert_int_equal(b.n, 0);
        }
        expect_calls(w, "");
        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                g_auto(Bound) b = {};

                assert_return_code(reserve(w, PORT_UDP, 3, &root, &b, NULL), 0);
                ports_on_bound(w->request, answers[i].error, NULL, 0);
                assert_int_equal(b.n, 1);
                assert_int_equal(b.error, answers[i].expected);
                assert_contains(b.message, answers[i].text);
                assert_int_equal(b.numbers[0], 0);
        }

        /* The keeper is not connected. */
        g_auto(Fault) none = {};
        g_auto(Bound) b = {};
        w->ports_result = -ENOTCONN;
        assert_fault(
                reserve(w, PORT_TCP, 1, &root, &b, &none), &none, NODE_ERROR_KEEPER_UNAVAILABLE, "no keeper");
        assert_int_equal(b.n, 0);
        assert_listed(w->node->ports, "");

        /* The maximum is reached, including the pending ones. */
        w->ports_result = 0;
        for (uint16_t i = 0; i < PORTS_MAX / PORTS_PER_CALL_MAX - 1; i++)
                have(w, PORT_TCP, (uint16_t) (1 + i * PORTS_PER_CALL_MAX), PORTS_PER_CALL_MAX, &root);
        assert_return_code(reserve(w, PORT_TCP, PORTS_PER_CALL_MAX, &root, &b, NULL), 0);
        PortsRequest *request = w->request;
        g_auto(Fault) full = {};
        assert_fault(reserve(w, PORT_UDP, 1, &root, &b, &full), &full, NODE_ERROR_LIMIT_REACHED, "4096");
        ports_on_bound(request, -EMFILE, NULL, 0);
        g_auto(Bound) again = {};
        assert_return_code(reserve(w, PORT_UDP, 1, &root, &again, NULL), 0);
        ports_on_bound(w->request, -EMFILE, NULL, 0);
}

static int reserve_wanted(
        TestWorld *w, const PortsWanted *wanted, const Caller *caller, Bound *b, Fault *fault) {
        return ports_bind(w->node->ports, wanted, caller, (Waiter){ bound_done, b }, b->numbers, fault);
}

/* Certain numbers, at an address of their own. */
static void test_by_number(void **state) {
        TestWorld *w = *state;
        const uint16_t numbers[] = { 5001, 5000 }, low[] = { 5000, 1023 };
        const PortsWanted these = { .protocol = PORT_TCP,
                .n = 2,
                .numbers = numbers,
                .address.ip_version = 6 },
                          range = { .protocol = PORT_UDP, .n = 3, .first = 5000, .last = 5009 },
                          low_numbers = { .protocol = PORT_TCP, .n = 2, .numbers = low },
                          low_range = { .protocol = PORT_TCP, .n = 1, .first = 1023, .last = 2000 };
        static const struct {
                int error;
                uint16_t number;
                NodeError expected;
                const char *text;
        } answers[] = {
                { -EEXIST, 5001, NODE_ERROR_PORTS_UNAVAILABLE,
                        "TCP port 5001 on any address: it is reserved already" },
                { -EADDRINUSE, 5000, NODE_ERROR_PORTS_UNAVAILABLE,
                        "TCP port 5000 on any address: Address already in use" },
                { -EADDRINUSE, 0, NODE_ERROR_PORTS_UNAVAILABLE,
                        "2 TCP ports on any address: not enough are free" },
                { -EOPNOTSUPP, 0, NODE_ERROR_KEEPER_UNAVAILABLE, "too old; reload architect-keeper.service" },
        };
        g_auto(Bound) b = {}, ranged = {}, full = {};

        w->node->settings->bind_address = (BindAddress){ .ip_version = 4, .address = { 127, 0, 0, 1 } };
        assert_return_code(reserve_wanted(w, &these, &alice, &b, NULL), 0);
        expect_calls(w, "bind(tcp,2=5001+5000)");
        assert_int_equal(w->bind.ip_version, 6);
        ports_on_bound(w->request, 0, numbers, 2);
        assert_int_equal(b.n, 1);
        assert_listed(w->node->ports, "t5000:1000 t5001:1000");
        assert_return_code(reserve_wanted(w, &range, &root, &ranged, NULL), 0);
        expect_calls(w, "bind(udp,3,5000-5009)");
        ports_on_bound(w->request, -EADDRINUSE, NULL, 0);
        assert_contains(ranged.message, "3 UDP ports on any address: not enough of the range are free");

        w->node->settings->bind_address = (BindAddress){};
        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                const PortsWanted any = { .protocol = PORT_TCP, .n = 2, .numbers = numbers };
                g_auto(Bound) failed = {};

                assert_return_code(reserve_wanted(w, &any, &root, &failed, NULL), 0);
                ports_on_bound(w->request, answers[i].error, &answers[i].number, answers[i].number > 0);
                assert_int_equal(failed.error, answers[i].expected);
                assert_contains(failed.message, answers[i].text);
        }
        forget_calls(w);

        /* Low ports are root's. */
        for (int i = 0; i < 2; i++) {
                g_auto(Fault) fault = {};

                assert_fault(reserve_wanted(w, i ? &low_range : &low_numbers, &alice, &full, &fault), &fault,
                        NODE_ERROR_ACCESS_DENIED, "TCP port 1023: only root may reserve ports below 1024");
                g_auto(Bound) allowed = {};
                assert_return_code(
                        reserve_wanted(w, i ? &low_range : &low_numbers, &root, &allowed, NULL), 0);
                ports_on_bound(w->request, -EMFILE, NULL, 0);
        }
}

static void test_wanted_errors(void **state) {
        static const uint16_t twice[] = { 5000, 5000 }, zero[] = { 5000, 0 };
        static const struct {
                PortsWanted wanted;
                const char *text;
        } table[] = {
                { { .n = 2, .numbers = twice }, "TCP port 5000 is given twice" },
                { { .n = 2, .numbers = zero }, "0 is not a TCP port" },
                { { .n = 1, .last = 5 }, "The range of ports is 0 to 5" },
                { { .n = 1, .first = 6, .last = 5 }, "The range of ports is 6 to 5" },
                { { .n = 1, .first = 1, .last = 4097 }, "has 4097 ports, more than 4096" },
                { { .n = 6, .first = 1, .last = 5 },
                        "Cannot reserve 6 ports of the range 1 to 5, which has 5" },
                { { .n = 257, .first = 1, .last = 4096 }, "from 1 to 256" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_auto(Fault) fault = {};

                assert_fault(ports_check_wanted(&table[i].wanted, &fault), &fault, NODE_ERROR_INVALID_ARGS,
                        table[i].text);
        }
        assert_return_code(ports_check_wanted(&(PortsWanted){ .n = 1, .first = 1, .last = 4096 }, NULL), 0);
        assert_return_code(
                ports_check_wanted(&(PortsWanted){ .n = 1, .first = 65535, .last = 65535 }, NULL), 0);
}

/* What one user may reserve, at most, including what the keeper is still requested for. */
static void test_quota(void **state) {
        TestWorld *w = *state;
        g_auto(Bound) pending = {}, none = {}, again = {};
        g_auto(Fault) full = {}, one_more = {};
        uint16_t numbers[] = { 5100, 5101 };

        w->node->settings->max_ports_per_user = 5;
        have(w, PORT_TCP, 5000, 2, &alice);
        have(w, PORT_UDP, 5000, 1, &alice);
        assert_return_code(reserve(w, PORT_TCP, 2, &alice, &pending, NULL), 0);
        PortsRequest *request = w->request;
        forget_calls(w);
        assert_fault(reserve(w, PORT_UDP, 1, &alice, &none, &full), &full, NODE_ERROR_LIMIT_REACHED,
                "Cannot reserve 1 UDP ports: uid 1000 has reserved 5 ports already, and may have 5 (MaxPortsPerUser=)");
        expect_calls(w, "");
        have(w, PORT_TCP, 5200, 5, &bob);
        have(w, PORT_TCP, 5300, 20, &root);

        /* The keeper has none, so she has two less. */
        ports_on_bound(request, -EADDRINUSE, NULL, 0);
        assert_int_equal(pending.error, NODE_ERROR_PORTS_UNAVAILABLE);
        assert_return_code(reserve(w, PORT_UDP, 2, &alice, &again, NULL), 0);
        ports_on_bound(w->request, 0, numbers, 2);
        assert_int_equal(again.numbers[1], 5101);
        assert_fault(reserve(w, PORT_UDP, 1, &alice, &none, &one_more), &one_more, NODE_ERROR_LIMIT_REACHED,
                "uid 1000 has reserved 5 ports already");
        g_auto(Told) released = {};
        assert_return_code(
                ports_release(w->node->ports, PORT_UDP, numbers, 2, &alice, told_by(&released), NULL), 0);
        have(w, PORT_UDP, 5400, 2, &alice);
        world_answer(w, NULL);
}

static void test_release(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        const struct {
                uint16_t numbers[3];
                size_t n;
                const Caller *caller;
                NodeError error;
                const char *text;
        } bad[] = {
                { { 0 }, 0, &root, NODE_ERROR_INVALID_ARGS, "0 TCP ports" },
                { { 0 }, 1, &root, NODE_ERROR_INVALID_ARGS, "0 is not a TCP port" },
                { { 5000, 5001, 5000 }, 3, &root, NODE_ERROR_INVALID_ARGS, "5000 is given twice" },
                { { 5000, 4999 }, 2, &root, NODE_ERROR_NO_SUCH_PORT, "4999 is not reserved" },
                { { 6000 }, 1, &root, NODE_ERROR_NO_SUCH_PORT, "TCP port 6000" }, /* that one is a UDP port */
                { { 5000, 5002 }, 2, &alice, NODE_ERROR_ACCESS_DENIED, "5002 was reserved by uid 1001" },
                { { 5000 }, 1, NULL, NODE_ERROR_ACCESS_DENIED, "5000" },
                { { 5000, 5003 }, 2, &root, NODE_ERROR_PORTS_UNAVAILABLE, "\"cam\"" },
        };

        have(w, PORT_TCP, 5000, 2, &alice);
        have(w, PORT_TCP, 5002, 1, &bob);
        have(w, PORT_TCP, 5003, 1, &root);
        have(w, PORT_UDP, 6000, 1, &root);
        (void) run_with(w, "cam", spec_with(ROLE_PORTS_TCP, 5003), &root);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};

                assert_fault(ports_release(w->node->ports, PORT_TCP, bad[i].numbers, bad[i].n, bad[i].caller,
                                     told_by(&told), &fault),
                        &fault, bad[i].error, bad[i].text);
                assert_listed(w->node->ports, "t5000:1000 t5001:1000 t5002:1001 t5003:0=cam u6000:0");
        }
        expect_calls(w, "");
        assert_not_told(&told);

        /* Ports of the caller, and of root. */
        assert_return_code(ports_release(w->node->ports, PORT_TCP, (uint16_t[]){ 5001, 5000 }, 2, &alice,
                                   told_by(&told), NULL),
                0);
        expect_calls(w, "release(t5001,t5000)");
        assert_listed(w->node->ports, "t5002:1001 t5003:0=cam u6000:0");
        assert_not_told(&told); /* not before they are free */
        world_answer(w, NULL);
        assert_told_success(&told);
        assert_return_code(
                ports_release(w->node->ports, PORT_TCP, (uint16_t[]){ 5002 }, 1, &root, (Waiter){}, NULL), 0);
        assert_listed(w->node->ports, "t5003:0=cam u6000:0");

        /* Without a keeper all ports remain known. */
        g_auto(Fault) fault = {};
        w->ports_result = -ENOTCONN;
        assert_fault(
                ports_release(w->node->ports, PORT_UDP, (uint16_t[]){ 6000 }, 1, &root, (Waiter){}, &fault),
                &fault, NODE_ERROR_KEEPER_UNAVAILABLE, "no keeper");
        assert_listed(w->node->ports, "t5003:0=cam u6000:0");
}

/* Only one role has a port, until its last process has ended; only the owner and root can pass it on. */
static void test_start(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, waits = {};
        g_auto(Fault) theirs = {}, used = {}, missing = {}, starting = {}, left = {};
        Role *role;

        have(w, PORT_TCP, 5000, 1, &alice);
        assert_fault(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &bob, &told, &theirs), &theirs,
                NODE_ERROR_ACCESS_DENIED, "Role \"cam\": TCP port 5000");
        assert_fault(start_role(w, "cam", spec_with(ROLE_PORTS_UDP, 5000), &root, &told, &missing), &missing,
                NODE_ERROR_NO_SUCH_PORT, "UDP port 5000");
        assert_null(world_find(w, "cam"));

        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &alice, &told, NULL), 0);
        role = world_find(w, "cam");
        assert_listed(w->node->ports, "t5000:1000=cam");
        {
                g_autoptr(GArray) ports = ports_of_role(w->node->ports, role);

                assert_int_equal(ports->len, 1);
                assert_int_equal(g_array_index(ports, PortLoan, 0).number, 5000);
                assert_int_equal(g_array_index(ports, PortLoan, 0).protocol, PORT_TCP);
                assert_int_equal(g_array_index(ports, PortLoan, 0).release, 0);
        }
        assert_fault(start_role(w, "dog", spec_with(ROLE_PORTS_TCP, 5000), &alice, &told, &starting),
                &starting, NODE_ERROR_PORTS_UNAVAILABLE, "role \"cam\", which is starting");
        world_executed(w, role);
        assert_told_success(&told);
        assert_fault(start_role(w, "dog", spec_with(ROLE_PORTS_RELEASE, 5000), &root, &waits, &used), &used,
                NODE_ERROR_PORTS_UNAVAILABLE, "\"cam\"");

        /* Its main process has ended, but others have not. */
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_fault(start_role(w, "dog", spec_with(ROLE_PORTS_TCP, 5000), &root, &waits, &left), &left,
                NODE_ERROR_PORTS_UNAVAILABLE, "processes it left");
        /* A new run of the same name waits for the sweep anyway. */
        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &alice, &waits, NULL), 0);
        assert_listed(w->node->ports, "t5000:1000=cam");
        forget_calls(w);
        world_emptied(w, role);
        assert_non_null(strstr(w->calls->str, "rest(t5000)"));
        role = world_find(w, "cam");
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_told_success(&waits);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_listed(w->node->ports, "t5000:1000");
        (void) run_with(w, "dog", spec_with(ROLE_PORTS_TCP, 5000), &root);
        assert_listed(w->node->ports, "t5000:1000=dog");
}

/* The remains of the previous run have its port while they run, whatever the result of the start that needs
 * the same port is. */
static void test_cancelled_start(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        have(w, PORT_TCP, 5000, 2, &root);
        Role *old = run_with(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &root);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        for (uint64_t number = 5000; number < 5002; number++) {
                g_auto(Told) cancelled = {};

                assert_return_code(
                        start_role(w, "cam", spec_with(ROLE_PORTS_TCP, number), &root, &cancelled, NULL), 0);
                assert_listed(
                        w->node->ports, number == 5000 ? "t5000:0=cam t5001:0" : "t5000:0=cam t5001:0=cam");
                node_stop_role(w->node, world_find(w, "cam"), ROLE_CAUSE_STOP, NULL, (Waiter){});
                assert_told_fault(&cancelled, NODE_ERROR_START_CANCELLED, "cancelled");
                assert_listed(w->node->ports, "t5000:0=cam t5001:0");
        }
        {
                g_auto(Told) failed = {};

                assert_return_code(
                        start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &root, &failed, NULL), 0);
                world_emptied(w, old);
                assert_listed(w->node->ports, "t5000:0=cam t5001:0");
                world_fork_failed(w, world_find(w, "cam"), -EAGAIN);
                assert_told_fault(&failed, NODE_ERROR_SETUP_FAILED, "cannot fork");
                assert_listed(w->node->ports, "t5000:0 t5001:0");
        }

        /* An ended run that is restored has none. */
        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5001), &root, &told, NULL), 0);
        assert_listed(w->node->ports, "t5000:0 t5001:0=cam");
        world_fork_failed(w, world_find(w, "cam"), -EAGAIN);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED, "cannot fork");
        assert_listed(w->node->ports, "t5000:0 t5001:0");

        /* The exec releases one port and keeps the other one. */
        uint64_t released = 5001;
        RoleSpec *spec = spec_with(ROLE_PORTS_TCP, 5000);
        assert_return_code(role_spec_set_ports(spec, ROLE_PORTS_RELEASE, &released, 1, NULL), 0);
        (void) run_with(w, "cam", spec, &root);
        assert_listed(w->node->ports, "t5000:0=cam");
}

/* The disk was full when its last process had gone: the log has its purge, and its file that processes are
 * left. The next process removes it, and it does not have its port any more. */
static void test_purged_unswept(void **state) {
        TestWorld *w = *state;
        g_auto(Event) event = {};
        g_auto(Fault) fault = {};
        g_auto(Told) told = {};

        have(w, PORT_TCP, 5000, 1, &root);
        Role *role = run_with(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &root);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_listed(w->node->ports, "t5000:0=cam");
        assert_true(
                node_event_add(w->node, EVENT_ROLE_PURGED, role, event_details_purged(role, &root), &event));
        node_restore_events(w->node);
        assert_null(world_find(w, "cam"));
        assert_listed(w->node->ports, "t5000:0");
        assert_return_code(start_role(w, "spec", spec_with(ROLE_PORTS_TCP, 5000), &root, &told, &fault), 0);
        assert_listed(w->node->ports, "t5000:0=spec");
        world_fork_failed(w, world_find(w, "spec"), -EAGAIN);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED, "cannot fork");
}

/* The same of the run before: it is freed when the next one runs. */
static void test_previous_unswept(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        have(w, PORT_TCP, 5000, 1, &root);
        Role *old = run_with(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &root);
        world_exit(w, old, EXIT_CODE_EXITED, 0);
        assert_return_code(start_role(w, "cam", test_spec(), &root, &told, NULL), 0);
        Role *role = world_find(w, "cam");
        world_forked(w, role);
        world_scope_made(w, role);
        /* As the next process reads it. */
        old->swept = false;
        node_count_role(w->node, old);
        ports_role_added(w->node->ports, old);
        assert_listed(w->node->ports, "t5000:0=cam");
        role_on_gate_closed(role);
        assert_told_success(&told);
        assert_listed(w->node->ports, "t5000:0");
}

static void test_release_at_exec(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, second = {};
        Role *role;

        have(w, PORT_TCP, 5000, 1, &root);
        have(w, PORT_UDP, 5000, 1, &root);
        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_RELEASE, 5000), &root, &told, NULL), 0);
        role = world_find(w, "cam");
        assert_listed(w->node->ports, "t5000:0=cam u5000:0=cam");
        {
                g_autoptr(GArray) ports = ports_of_role(w->node->ports, role);

                assert_int_equal(ports->len, 2);
                assert_int_equal(g_array_index(ports, PortLoan, 0).release, 1);
                assert_int_equal(g_array_index(ports, PortLoan, 1).protocol, PORT_UDP);
        }
        /* A start that fails does not release them. */
        world_fork_failed(w, role, -EAGAIN);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED, "cannot fork");
        assert_listed(w->node->ports, "t5000:0 u5000:0");

        assert_return_code(
                start_role(w, "cam", spec_with(ROLE_PORTS_RELEASE, 5000), &root, &second, NULL), 0);
        role = world_find(w, "cam");
        world_forked(w, role);
        world_scope_made(w, role);
        assert_listed(w->node->ports, "t5000:0=cam u5000:0=cam");
        role_on_gate_closed(role);
        assert_listed(w->node->ports, "");
}

/* The start was queued, and meanwhile the keeper died with the ports. */
static void test_start_after_keeper(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        have(w, PORT_TCP, 5000, 1, &root);
        w->connected = false;
        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &root, &told, NULL), 0);
        w->connected = true;
        ports_on_keeper(w->node->ports, NULL, 0);
        node_pump_starts(w->node);
        assert_told_fault(&told, NODE_ERROR_NO_SUCH_PORT, "TCP port 5000 is not reserved any more");
        assert_nothing_left(w, "cam");

        /* The list contained the port, but the keeper does not have it any more. */
        g_auto(Told) lost = {};
        have(w, PORT_TCP, 5000, 1, &root);
        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 5000), &root, &lost, NULL), 0);
        world_fork_failed(w, world_find(w, "cam"), -EADDRNOTAVAIL);
        assert_told_fault(&lost, NODE_ERROR_PORTS_UNAVAILABLE, "has lost one of its ports");
}

static void test_keeper_says(void **state) {
        TestWorld *w = *state;
        const PortLoan held[] = { { PORT_TCP, 5000, 0 }, { 0, 0, 0 }, { PORT_TCP, 5002, 1 },
                { PORT_TCP, 7000, 0 }, { PORT_UDP, 5001, 0 } };

        have(w, PORT_TCP, 5000, 3, &alice);
        (void) run_with(w, "cam", spec_with(ROLE_PORTS_TCP, 5002), &root);
        ports_on_keeper(w->node->ports, held, ELEMENTSOF(held));
        assert_listed(w->node->ports, "t5000:1000 t5002:1000=cam");
        expect_calls(w, "release(t7000,u5001) rest(t5000)");

        /* A role whose options are lost may have the other one, and listen on it. */
        (void) run_with(w, "lost", test_spec(), &root);
        forget_calls(w);
        world_find(w, "lost")->damaged = true;
        ports_on_keeper(w->node->ports, held, ELEMENTSOF(held));
        expect_calls(w, "release(t7000,u5001)");
        world_find(w, "lost")->damaged = false;

        /* At a clean end all are released, also those that the keeper is still to report. An older keeper is
         * told which ones. */
        w->release_all_result = -EPROTONOSUPPORT;
        ports_forget(w->node->ports);
        assert_listed(w->node->ports, "");
        assert_non_null(strstr(w->calls->str, "release-all() release("));
        assert_non_null(strstr(w->calls->str, "t5002"));
        g_string_set_size(w->calls, 0);
        w->release_all_result = 0;
        ports_forget(w->node->ports);
        expect_calls(w, "release-all()");
}

/* -- the disk -- */

typedef struct Directory {
        char *path;
        int fd;
} Directory;

static Directory directory_new(void) {
        Directory d = { .path = g_dir_make_tmp("test-ports-XXXXXX", NULL) };

        assert_non_null(d.path);
        d.fd = open(d.path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(d.fd, errno);
        return d;
}

static void directory_free(Directory *d) {
        (void) unlinkat(d->fd, "ports", 0);
        (void) unlinkat(d->fd, "ports.damaged", 0);
        (void) fd_close(d->fd);
        (void) g_rmdir(d->path);
        g_free(d->path);
}

/* The service ends and starts again. */
static void reopen(TestWorld *w, const Directory *d) {
        ports_close(w->node->ports);
        w->node->ports = NULL;
        assert_return_code(ports_open(w->node, d->fd, &w->node->ports), 0);
}

static void write_ports(const Directory *d, const char *text) {
        assert_return_code(file_replace(d->fd, "ports", text, strlen(text)), 0);
}

/* A process has kept the socket of a role, so the keeper has given up the port. */
static void test_kept(void **state) {
        TestWorld *w = *state;
        const PortLoan kept[] = { { PORT_UDP, 6000, 0 }, { PORT_UDP, 7000, 0 } };
        g_auto(Fault) udp = {}, any = {}, tcp = {};
        g_auto(Told) told = {}, refused = {};
        Directory d = directory_new();

        reopen(w, &d);
        have(w, PORT_UDP, 6000, 2, &alice);
        ports_on_kept(w->node->ports, kept, ELEMENTSOF(kept)); /* 7000 is not reserved */
        assert_listed(w->node->ports, "u6001:1000");
        reopen(w, &d);
        assert_listed(w->node->ports, "u6001:1000");
        assert_fault(start_role(w, "cam", spec_with(ROLE_PORTS_UDP, 6000), &alice, &told, &udp), &udp,
                NODE_ERROR_PORTS_UNAVAILABLE, "UDP port 6000 is no longer reserved");
        assert_fault(start_role(w, "cam", spec_with(ROLE_PORTS_RELEASE, 6000), &alice, &told, &any), &any,
                NODE_ERROR_PORTS_UNAVAILABLE, "port 6000 is no longer reserved");
        assert_fault(start_role(w, "cam", spec_with(ROLE_PORTS_TCP, 6000), &alice, &told, &tcp), &tcp,
                NODE_ERROR_NO_SUCH_PORT, "TCP port 6000");
        g_string_set_size(w->calls, 0);

        /* The keeper notices it only when it is to lend the port. */
        assert_return_code(start_role(w, "cam", spec_with(ROLE_PORTS_UDP, 6001), &alice, &refused, NULL), 0);
        g_string_set_size(w->calls, 0);
        world_fork_failed(w, world_find(w, "cam"), -EADDRINUSE);
        assert_told_fault(&refused, NODE_ERROR_PORTS_UNAVAILABLE, "a process has kept");
        assert_non_null(strstr(w->calls->str, "rest(u6001)"));
        ports_on_kept(w->node->ports, &(PortLoan){ PORT_UDP, 6001, 0 }, 1);
        assert_listed(w->node->ports, "");

        /* The kernel gives the number away again. */
        have(w, PORT_UDP, 6000, 1, &alice);
        (void) run_with(w, "cam", spec_with(ROLE_PORTS_UDP, 6000), &alice);
        directory_free(&d);
}

static void test_saved(void **state) {
        TestWorld *w = *state;
        Directory d = directory_new();

        reopen(w, &d);
        have(w, PORT_TCP, 5000, 2, &alice);
        have(w, PORT_UDP, 65535, 1, &root);
        reopen(w, &d);
        assert_listed(w->node->ports, "t5000:1000 t5001:1000 u65535:0");
        assert_return_code(
                ports_release(w->node->ports, PORT_TCP, (uint16_t[]){ 5000 }, 1, &root, (Waiter){}, NULL), 0);
        reopen(w, &d);
        assert_listed(w->node->ports, "t5001:1000 u65535:0");
        ports_on_keeper(w->node->ports, &(PortLoan){ PORT_UDP, 65535, 0 }, 1);
        reopen(w, &d);
        assert_listed(w->node->ports, "u65535:0");
        (void) run_with(w, "cam", spec_with(ROLE_PORTS_RELEASE, 65535), &root);
        reopen(w, &d);
        assert_listed(w->node->ports, "");
        have(w, PORT_TCP, 5000, 1, &root);
        ports_forget(w->node->ports);
        reopen(w, &d);
        assert_listed(w->node->ports, "");

        /* Lines of a newer version are kept. */
        write_ports(&d, "VERSION=2\nPORT=tcp 5000 7\nCOLOUR=5000 blue\n");
        reopen(w, &d);
        have(w, PORT_UDP, 1, 1, &root);
        reopen(w, &d);
        assert_listed(w->node->ports, "t5000:7 u1:0");
        char *text = NULL;
        assert_return_code(file_read(d.fd, "ports", 4096, &text, NULL), 0);
        assert_contains(text, "\nCOLOUR=5000 blue\n");
        free(text);
        directory_free(&d);
}

static void test_damaged(void **state) {
        static const char *const texts[] = { "PORT=tcp 5000 0\n", "VERSION=1\nPORT=tcp 0 0\n",
                "VERSION=1\nPORT=tcp 65536 0\n", "VERSION=1\nPORT=sctp 1 0\n", "VERSION=1\nPORT=tcp 1\n",
                "VERSION=1\nPORT=tcp 1 2 3\n", "VERSION=1\nKEPT=tcp\n", "VERSION=1\nKEPT=tcp 1 2\n",
                "VERSION=1\nhalf a li" };
        TestWorld *w = *state;
        Directory d = directory_new();

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                write_ports(&d, texts[i]);
                reopen(w, &d);
                assert_listed(w->node->ports, "");
                assert_int_equal(faccessat(d.fd, "ports.damaged", F_OK, 0), 0);
                assert_int_equal(unlinkat(d.fd, "ports.damaged", 0), 0);
        }
        directory_free(&d);
}

/* A port that cannot be saved is released again, because the call fails. */
static void test_disk_full(void **state) {
        TestWorld *w = *state;
        Directory d = directory_new();
        g_auto(Bound) b = {};
        g_auto(Fault) fault = {};

        reopen(w, &d);
        have(w, PORT_TCP, 5000, 1, &root);
        /* A directory has the name of the temporary file. */
        assert_return_code(mkdirat(d.fd, ".ports.new", 0700), errno);
        assert_return_code(reserve(w, PORT_TCP, 1, &root, &b, NULL), 0);
        ports_on_bound(w->request, 0, (uint16_t[]){ 5001 }, 1);
        assert_int_equal(b.error, NODE_ERROR_IO_ERROR);
        assert_int_equal(b.numbers[0], 0);
        expect_calls(w, "bind(tcp,1) release(t5001)");
        assert_listed(w->node->ports, "t5000:0");
        assert_fault(
                ports_release(w->node->ports, PORT_TCP, (uint16_t[]){ 5000 }, 1, &root, (Waiter){}, &fault),
                &fault, NODE_ERROR_IO_ERROR, "Cannot save");
        assert_listed(w->node->ports, "t5000:0");
        expect_calls(w, "");
        assert_return_code(unlinkat(d.fd, ".ports.new", AT_REMOVEDIR), errno);
        directory_free(&d);
}

static void test_options(void **state) {
        g_autoptr(RoleSpec) spec = test_spec();
        uint64_t many[ROLE_PORTS_EACH_MAX + 1];
        const struct {
                uint64_t numbers[2];
                size_t n;
                const char *text;
        } bad[] = {
                { { 0 }, 0, "\"udp-ports\" names no port" },
                { { 0 }, 1, "0 is not a port" },
                { { 65536 }, 1, "65536 is not a port" },
                { { 7, 7 }, 2, "port 7 is given twice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                many[i] = i + 1;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Fault) fault = {};

                assert_fault(role_spec_set_ports(spec, ROLE_PORTS_UDP, bad[i].numbers, bad[i].n, &fault),
                        &fault, NODE_ERROR_INVALID_ARGS, bad[i].text);
        }
        g_auto(Fault) too_many = {}, both = {};
        assert_fault(role_spec_set_ports(spec, ROLE_PORTS_TCP, many, ELEMENTSOF(many), &too_many), &too_many,
                NODE_ERROR_INVALID_ARGS, "more than 256");
        assert_false(role_spec_has_ports(spec));
        assert_return_code(role_spec_set_ports(spec, ROLE_PORTS_UDP, many, 5, NULL), 0);
        assert_return_code(role_spec_check(spec, NULL), 0);
        assert_return_code(role_spec_set_ports(spec, ROLE_PORTS_RELEASE, many + 4, 2, NULL), 0);
        assert_fault(role_spec_check(spec, &both), &both, NODE_ERROR_INVALID_ARGS,
                "Port 5 is in \"release-ports\"");
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                WORLD_TEST(test_bind),
                WORLD_TEST(test_bind_errors),
                WORLD_TEST(test_by_number),
                WORLD_TEST(test_wanted_errors),
                WORLD_TEST(test_quota),
                WORLD_TEST(test_release),
                WORLD_TEST(test_start),
                WORLD_TEST(test_cancelled_start),
                WORLD_TEST(test_purged_unswept),
                WORLD_TEST(test_previous_unswept),
                WORLD_TEST(test_release_at_exec),
                WORLD_TEST(test_start_after_keeper),
                WORLD_TEST(test_keeper_says),
                WORLD_TEST(test_kept),
                WORLD_TEST(test_saved),
                WORLD_TEST(test_damaged),
                WORLD_TEST(test_disk_full),
                cmocka_unit_test(test_options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
