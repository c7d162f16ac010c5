/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/auto-start.h"
#include "model/beat-deadline.h"
#include "model/leases.h"
#include "model/monitor.h"
#include "model/role-restart.h"
#include "model/settings.h"
#include "model/warnings.h"

#define TIMEOUT (50 * USEC_PER_MSEC)
#define LONG (3600 * USEC_PER_SEC)

static const Caller root = { .known = true }, alice = { .known = true, .uid = 1000 },
                    bob = { .known = true, .uid = 1001 };

static void acquire(TestWorld *w, const char *name, uint64_t token, uint64_t timeout, const Caller *caller) {
        g_auto(Fault) fault = {};

        if (leases_acquire(w->node->leases, name, token, timeout, caller, &fault) < 0)
                fail_msg("%s", fault.message);
}

static RoleSpec *spec_of(const char *lease, uint64_t token) {
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_lease(spec, lease, NULL), 0);
        spec->fencing_token = token;
        return spec;
}

/* Starts with this caller, who is refused, or not. */
static int start_as(TestWorld *w, const char *name, RoleSpec *spec, const Caller *caller, Fault *fault) {
        int r = node_start_role(w->node, name, spec, caller, (Waiter){}, fault);

        if (r < 0)
                role_spec_free(spec);
        return r;
}

/* Root is the caller, as somebody has to be. */
static Role *run(TestWorld *w, const char *name, RoleSpec *spec) {
        g_auto(Fault) fault = {};

        if (start_as(w, name, spec, &root, &fault) < 0)
                fail_msg("%s", fault.message);
        Role *role = world_find(w, name);
        world_executed(w, role);
        return role;
}

static bool expired(TestWorld *w, const char *name) {
        g_autofree char *call = g_strdup_printf("lease-expired(%s)", name);

        return strstr(w->calls->str, call);
}

/* -- who holds a lease -- */

typedef enum Call { ACQUIRE, BEAT, RELEASE } Call;

static int call_lease(
        TestWorld *w, Call call, const char *name, uint64_t token, const Caller *caller, Fault *fault) {
        Leases *leases = w->node->leases;

        return call == ACQUIRE ? leases_acquire(leases, name, token, LONG, caller, fault)
               : call == BEAT  ? leases_beat(leases, name, token, LONG, caller, fault)
                               : leases_release(leases, name, token, caller, fault);
}

/* One after the other; after each the owner, or nobody, and the token are these. */
static void test_rules(void **state) {
        static const struct {
                Call call;
                const Caller *caller;
                uint64_t token;
                NodeError error; /* _NODE_ERROR_INVALID for none */
                int owner;       /* -1: nobody */
                uint64_t last;
        } table[] = {
                { RELEASE, &alice, 0, NODE_ERROR_NO_SUCH_LEASE, -1, 0 },
                { ACQUIRE, &alice, 0, _NODE_ERROR_INVALID, 1000, 0 },
                { ACQUIRE, &bob, 0, NODE_ERROR_LEASE_TAKEN, 1000, 0 },
                { BEAT, &bob, 9, NODE_ERROR_LEASE_TAKEN, 1000, 0 },
                { RELEASE, &bob, 9, NODE_ERROR_LEASE_TAKEN, 1000, 0 },
                { BEAT, &alice, 0, _NODE_ERROR_INVALID, 1000, 0 },
                { BEAT, &root, 0, _NODE_ERROR_INVALID, 1000, 0 }, /* for the owner */
                { BEAT, &alice, 3, _NODE_ERROR_INVALID, 1000, 3 },
                { BEAT, &alice, 2, NODE_ERROR_STALE_TOKEN, 1000, 3 },
                { BEAT, &alice, 0, NODE_ERROR_STALE_TOKEN, 1000, 3 },
                { BEAT, &root, 2, NODE_ERROR_STALE_TOKEN, 1000, 3 },
                { BEAT, &bob, 2, NODE_ERROR_STALE_TOKEN, 1000, 3 },
                { ACQUIRE, &alice, 2, NODE_ERROR_STALE_TOKEN, 1000, 3 },
                { RELEASE, &alice, 2, NODE_ERROR_STALE_TOKEN, 1000, 3 },
                { ACQUIRE, &alice, 3, _NODE_ERROR_INVALID, 1000, 3 },
                { ACQUIRE, &root, 4, _NODE_ERROR_INVALID, 0, 4 }, /* takes it over */
                { BEAT, &alice, 4, NODE_ERROR_LEASE_TAKEN, 0, 4 },
                { RELEASE, &root, 4, _NODE_ERROR_INVALID, -1, 4 },
                { RELEASE, &root, 4, NODE_ERROR_NO_SUCH_LEASE, -1, 4 },
                { ACQUIRE, &bob, 3, NODE_ERROR_STALE_TOKEN, -1, 4 },
                { BEAT, &bob, 4, _NODE_ERROR_INVALID, 1001, 4 }, /* nobody has it */
                { RELEASE, &root, UINT64_MAX, _NODE_ERROR_INVALID, -1, UINT64_MAX },
                { ACQUIRE, &bob, UINT64_MAX - 1, NODE_ERROR_STALE_TOKEN, -1, UINT64_MAX },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_auto(Fault) fault = {};
                int r = call_lease(w, table[i].call, "l", table[i].token, table[i].caller, &fault);
                const Lease *lease = leases_find(w->node->leases, "l");

                if (table[i].error == _NODE_ERROR_INVALID) {
                        if (r < 0)
                                fail_msg("%zu: %s", i, fault.message);
                } else
                        assert_fault(r, &fault, table[i].error, "\"l\"");
                if (leases_is_held(w->node->leases, "l") != (table[i].owner >= 0))
                        fail_msg("%zu", i);
                if (table[i].owner >= 0)
                        assert_int_equal(lease->uid, table[i].owner);
                assert_int_equal(lease ? lease->token : 0, table[i].last);
        }
        assert_false(leases_is_held(w->node->leases, "other"));
}

static void test_arguments(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) name = {}, release = {}, timeout = {}, caller = {};

        assert_fault(leases_acquire(w->node->leases, "two words", 0, 1, &root, &name), &name,
                NODE_ERROR_INVALID_ARGS, "is not a valid name of a lease");
        assert_contains(name.message, "\"two_words\" is");
        assert_fault(leases_release(w->node->leases, "", 0, &root, &release), &release,
                NODE_ERROR_INVALID_ARGS, "is not a valid name of a lease");
        assert_fault(leases_beat(w->node->leases, "l", 0, 0, &root, &timeout), &timeout,
                NODE_ERROR_INVALID_ARGS, "The timeout of lease \"l\" is 0");
        assert_fault(leases_beat(w->node->leases, "l", 0, 1, &(Caller){}, &caller), &caller,
                NODE_ERROR_ACCESS_DENIED, "credentials");
        assert_null(leases_find(w->node->leases, "l"));

        acquire(w, "l", 0, USEC_INFINITY, &root);
        assert_int_equal(leases_find(w->node->leases, "l")->deadline.usec, USEC_INFINITY);
        acquire(w, "l", 0, USEC_INFINITY - 1, &root); /* no overflow */
        assert_int_equal(leases_find(w->node->leases, "l")->deadline.usec, USEC_INFINITY);
}

static void test_limits(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) own = {}, all = {};

        w->node->settings->max_leases_per_user = 2;
        acquire(w, "a", 1, LONG, &alice);
        acquire(w, "b", 0, LONG, &alice);
        assert_fault(leases_acquire(w->node->leases, "c", 0, LONG, &alice, &own), &own,
                NODE_ERROR_LIMIT_REACHED, "uid 1000 has 2 leases already");
        acquire(w, "a", 2, LONG, &alice);
        /* One whose token is kept counts, the other does not. */
        assert_return_code(leases_release(w->node->leases, "a", 2, &alice, NULL), 0);
        assert_int_equal(leases_acquire(w->node->leases, "c", 0, LONG, &alice, NULL), -EDQUOT);
        assert_return_code(leases_release(w->node->leases, "b", 0, &alice, NULL), 0);
        acquire(w, "c", 0, LONG, &alice);
        /* A lower limit takes nothing away. */
        w->node->settings->max_leases_per_user = 1;
        assert_return_code(leases_beat(w->node->leases, "c", 0, LONG, &alice, NULL), 0);
        assert_int_equal(leases_acquire(w->node->leases, "d", 0, LONG, &alice, NULL), -EDQUOT);

        for (unsigned i = 0; i < NODE_MAX_LEASES - 2; i++) {
                g_autofree char *name = g_strdup_printf("root-%u", i);

                acquire(w, name, 0, LONG, &root);
        }
        assert_fault(leases_acquire(w->node->leases, "one-more", 0, LONG, &root, &all), &all,
                NODE_ERROR_LIMIT_REACHED, "there are 256 already");
        acquire(w, "root-1", 0, LONG, &root);
}

/* -- the end of a lease -- */

static void test_expiry(void **state) {
        static const struct {
                MonitorAction action;
                const char *loss;
                bool stopped, killed;
        } table[] = {
                { MONITOR_ACTION_NONE, NULL, false, false },
                { MONITOR_ACTION_NONE, "kill", true, true },
                { MONITOR_ACTION_STOP_ROLES, NULL, true, false },
                { MONITOR_ACTION_SHUTDOWN, NULL, true, false },
                { MONITOR_ACTION_SHUTDOWN, "keep", false, false },
                { MONITOR_ACTION_SHUTDOWN, "stop", true, false },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                world_new_node(w, NULL);
                monitor_configure(w->node->monitor, LONG, table[i].action);
                acquire(w, "l", 0, LONG, &root);
                acquire(w, "m", 0, LONG, &root);
                RoleSpec *spec = spec_of("l", 0);
                if (table[i].loss)
                        assert_return_code(role_spec_set_on_monitor_loss(spec, table[i].loss, NULL), 0);
                Role *role = run(w, "cam", spec), *free_role = world_run(w, "free", NULL),
                     *other = run(w, "other", spec_of("m", 0));
                forget_calls(w);

                acquire(w, "l", 0, TIMEOUT, &root);
                world_wait(w, expired(w, "l"));
                assert_false(leases_is_held(w->node->leases, "l"));
                assert_true(leases_is_held(w->node->leases, "m"));
                assert_int_equal(role->state, table[i].stopped ? ROLE_STOPPING : ROLE_RUNNING);
                assert_int_equal(free_role->state, ROLE_RUNNING);
                assert_int_equal(other->state, ROLE_RUNNING);
                assert_false(w->node->stopping); /* whatever MonitorAction= is */
                if (table[i].stopped) {
                        assert_int_equal(role->cause, ROLE_CAUSE_MONITOR);
                        assert_int_equal(
                                role->stop_step, table[i].killed ? STOP_STEP_KILLED : STOP_STEP_ASKED);
                }
                world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
                world_exit(w, free_role, EXIT_CODE_EXITED, 0);
                world_exit(w, other, EXIT_CODE_EXITED, 0);
        }
}

/* The beats of one lease, and of the monitor, do not hold another one. */
static void test_beats(void **state) {
        TestWorld *w = *state;

        monitor_configure(w->node->monitor, LONG, MONITOR_ACTION_SHUTDOWN);
        acquire(w, "short", 0, 4 * TIMEOUT, &alice);
        acquire(w, "long", 0, 2 * LONG, &bob);
        while (!expired(w, "short")) {
                assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
                assert_return_code(leases_beat(w->node->leases, "long", 0, LONG, &bob, NULL), 0);
                assert_return_code(sd_event_run(w->event, TIMEOUT), 0);
        }
        assert_true(leases_is_held(w->node->leases, "long"));
        assert_null(leases_find(w->node->leases, "short"));
        assert_null(strstr(w->calls->str, "monitor-timed-out"));
}

/* Roles that have not begun, or wait for their restart, end, too. */
static void test_expiry_of_waiting(void **state) {
        TestWorld *w = *state;
        static Told told; /* also for a test that fails */

        told = (Told){};
        acquire(w, "l", 0, LONG, &root);
        RoleSpec *spec = spec_of("l", 0);
        assert_return_code(role_spec_set_restart(spec, "always", NULL), 0);
        spec->restart_usec = LONG;
        Role *waiting = run(w, "waiting", spec);
        world_exit(w, waiting, EXIT_CODE_EXITED, 1);
        assert_true(role_waits_for_restart(waiting));
        w->node->settings->max_concurrent_starts = 0; /* it stays in the queue */
        assert_return_code(
                node_start_role(w->node, "starting", spec_of("l", 0), &root, told_by(&told), NULL), 0);
        Role *starting = world_find(w, "starting");
        assert_int_equal(starting->state, ROLE_STARTING);

        acquire(w, "l", 0, TIMEOUT, &root);
        world_wait(w, expired(w, "l"));
        assert_false(role_waits_for_restart(waiting));
        assert_null(world_find(w, "starting"));
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by the monitor");
        told_clear(&told);
}

/* The monitor leaves them alone, and they keep the service. */
static void test_monitor(void **state) {
        TestWorld *w = *state;

        acquire(w, "l", 0, LONG, &root);
        Role *leased = run(w, "leased", spec_of("l", 0)), *other = world_run(w, "other", NULL);
        RoleSpec *spec = spec_of("l", 0);
        assert_return_code(role_spec_set_on_monitor_loss(spec, "kill", NULL), 0);
        Role *killed = run(w, "killed", spec);

        monitor_configure(w->node->monitor, TIMEOUT, MONITOR_ACTION_SHUTDOWN);
        assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
        forget_calls(w);
        world_wait(w, strstr(w->calls->str, "monitor-timed-out"));
        assert_int_equal(other->state, ROLE_STOPPING);
        assert_int_equal(leased->state, ROLE_RUNNING);
        assert_int_equal(killed->state, ROLE_RUNNING);
        assert_false(w->node->stopping);
        world_exit(w, other, EXIT_CODE_KILLED, SIGTERM);
}

static void test_late(void **state) {
        TestWorld *w = *state;

        acquire(w, "l", 0, TIMEOUT, &root);
        g_usleep((gulong) (TIMEOUT + 1200 * USEC_PER_MSEC)); /* as with SIGSTOP or a suspended system */
        const uint64_t now = (uint64_t) g_get_monotonic_time();
        assert_return_code(sd_event_run(w->event, 0), 0);
        assert_false(expired(w, "l"));
        assert_true(leases_find(w->node->leases, "l")->deadline.usec >= now + BEAT_GRACE_USEC);
}

/* -- starts -- */

static void test_start(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) not_held = {}, taken = {}, stale = {}, required = {}, other = {};

        assert_fault(start_as(w, "cam", spec_of("l", 0), &root, &not_held), &not_held,
                NODE_ERROR_NO_SUCH_LEASE, "Role \"cam\": Nobody holds the lease \"l\"");
        acquire(w, "l", 5, LONG, &alice);
        assert_fault(start_as(w, "cam", spec_of("l", 5), &bob, &taken), &taken, NODE_ERROR_LEASE_TAKEN,
                "held by uid 1000");
        assert_fault(start_as(w, "cam", spec_of("l", 4), &alice, &stale), &stale, NODE_ERROR_STALE_TOKEN,
                "5 was used");
        assert_null(world_find(w, "cam"));
        expect_calls(w, "");

        assert_return_code(start_as(w, "cam", spec_of("l", 6), &alice, NULL), 0);
        assert_int_equal(leases_find(w->node->leases, "l")->token, 6); /* a higher one is noted */
        Role *role = world_find(w, "cam");
        world_executed(w, role);
        world_exit(w, role, EXIT_CODE_EXITED, 3);

        /* The end belongs to the manager, too. */
        assert_fault(start_as(w, "cam", test_spec(), &root, &required), &required, NODE_ERROR_LEASE_REQUIRED,
                "belongs to lease \"l\"");
        acquire(w, "m", 0, LONG, &root);
        assert_fault(start_as(w, "cam", spec_of("m", 0), &root, &other), &other, NODE_ERROR_LEASE_REQUIRED,
                "belongs to lease \"l\"");
        assert_return_code(start_as(w, "cam", spec_of("l", 6), &root, NULL), 0);
        world_executed(w, world_find(w, "cam"));
        assert_string_equal(world_find(w, "cam")->spec->lease, "l");
}

/* AutoStart= starts none of them, and a start of the definition needs the token. */
static void test_definition(void **state) {
        TestWorld *w = *state;
        const LeaseUse none = {}, stale = { .token = 1, .token_given = true },
                       good = { .lease = "l", .token = 2, .token_given = true }, other = { .lease = "m" };
        g_auto(Fault) refused = {}, required = {};

        node_set_definitions(w->node, test_definitions("cam", "Command=/bin/true\nLease=l\nAutoStart=yes"));
        acquire(w, "l", 0, LONG, &root); /* also while root holds it, as the service is no manager */
        w->node->auto_start = auto_start_close(w->node->auto_start);
        w->node->auto_start = auto_start_open(-1);
        auto_start_run(w->node);
        assert_null(world_find(w, "cam"));
        g_auto(GStrv) warnings = warnings_list(w->node);
        g_autofree char *text = g_strjoinv("\n", warnings);
        assert_contains(text,
                "AutoStart=yes does not start these roles, because they have a lease, whose holder starts them: cam.");

        acquire(w, "l", 2, LONG, &root);
        acquire(w, "m", 0, LONG, &root);
        assert_int_equal(node_start_defined(w->node, "cam", &none, &root, false, (Waiter){}, NULL), -ESTALE);
        assert_fault(node_start_defined(w->node, "cam", &stale, &root, false, (Waiter){}, &refused), &refused,
                NODE_ERROR_STALE_TOKEN, "Role \"cam\"");
        assert_fault(node_start_defined(w->node, "cam", &other, &root, false, (Waiter){}, &required),
                &required, NODE_ERROR_LEASE_REQUIRED, "but \"m\" is named");
        assert_return_code(node_start_defined(w->node, "cam", &good, &root, false, (Waiter){}, NULL), 0);
        assert_int_equal(world_find(w, "cam")->spec->fencing_token, 2);
        world_executed(w, world_find(w, "cam"));
        g_auto(GStrv) without = warnings_list(w->node);
        g_autofree char *rest = g_strjoinv("\n", without);
        assert_null(strstr(rest, "AutoStart"));
}

/* -- restarts -- */

static Role *run_restarting(TestWorld *w, uint64_t delay) {
        RoleSpec *spec = spec_of("l", 0);

        assert_return_code(role_spec_set_restart(spec, "on-failure", NULL), 0);
        spec->restart_usec = delay;
        return run(w, "cam", spec);
}

static void test_restart(void **state) {
        TestWorld *w = *state;

        acquire(w, "l", 0, LONG, &alice);
        Role *role = run_restarting(w, 1);
        world_exit(w, role, EXIT_CODE_EXITED, 1);
        world_wait(w, world_find(w, "cam")->state == ROLE_STARTING); /* whoever holds it */
        role = world_find(w, "cam");
        world_executed(w, role);

        /* It is released before the role ends. */
        assert_return_code(leases_release(w->node->leases, "l", 0, &alice, NULL), 0);
        assert_int_equal(role->state, ROLE_RUNNING);
        forget_calls(w);
        world_exit(w, role, EXIT_CODE_EXITED, 1);
        assert_false(role_waits_for_restart(role));
        assert_contains(w->calls->str, "failed(cam");
}

static void test_restart_released(void **state) {
        TestWorld *w = *state;

        acquire(w, "l", 0, LONG, &alice);
        Role *role = run_restarting(w, 1);
        world_exit(w, role, EXIT_CODE_EXITED, 1);
        assert_true(role_waits_for_restart(role));
        forget_calls(w);
        assert_return_code(leases_release(w->node->leases, "l", 0, &alice, NULL), 0);
        world_wait(w, strstr(w->calls->str, "failed(cam"));
        assert_int_equal(role->state, ROLE_ENDED);
        assert_false(role_waits_for_restart(role));
        assert_int_equal(role->restarts.n, 0);
}

/* -- what changes a role -- */

static void test_use(void **state) {
        TestWorld *w = *state;
        static const LeaseUse named = { .lease = "l", .token = 2, .token_given = true },
                              stale = { .lease = "l", .token = 1, .token_given = true },
                              other = { .lease = "m" }, force = { .force = true },
                              no_lease = { .token = 1, .token_given = true }, bad = { .lease = "a b" },
                              none = {};
        static const struct {
                const LeaseUse *use;
                const Caller *caller;
                NodeError error, of_role; /* _NODE_ERROR_INVALID for none */
        } table[] = {
                { &none, &root, _NODE_ERROR_INVALID, NODE_ERROR_LEASE_REQUIRED },
                { &none, &alice, _NODE_ERROR_INVALID, NODE_ERROR_LEASE_REQUIRED },
                { &named, &alice, _NODE_ERROR_INVALID, _NODE_ERROR_INVALID },
                { &named, &root, _NODE_ERROR_INVALID, _NODE_ERROR_INVALID },
                { &named, &bob, NODE_ERROR_LEASE_TAKEN, _NODE_ERROR_INVALID },
                { &stale, &alice, NODE_ERROR_STALE_TOKEN, _NODE_ERROR_INVALID },
                { &stale, &root, NODE_ERROR_STALE_TOKEN, _NODE_ERROR_INVALID },
                { &other, &bob, _NODE_ERROR_INVALID, NODE_ERROR_LEASE_REQUIRED },
                { &force, &root, _NODE_ERROR_INVALID, _NODE_ERROR_INVALID },
                { &force, &alice, NODE_ERROR_ACCESS_DENIED, _NODE_ERROR_INVALID },
                { &no_lease, &alice, NODE_ERROR_INVALID_ARGS, _NODE_ERROR_INVALID },
                { &bad, &alice, NODE_ERROR_INVALID_ARGS, _NODE_ERROR_INVALID },
        };

        acquire(w, "l", 2, LONG, &alice);
        acquire(w, "m", 0, LONG, &bob);
        RoleSpec *spec = spec_of("l", 2);
        assert_return_code(role_spec_set_managed_by(spec, "pacemaker:cam", NULL), 0);
        Role *role = run(w, "cam", spec), *free_role = world_run(w, "free", NULL);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_auto(Fault) fault = {}, of_role = {};

                int r = lease_use_check(table[i].use, w->node, table[i].caller, &fault);
                if (table[i].error != _NODE_ERROR_INVALID) {
                        assert_fault(r, &fault, table[i].error, "");
                        continue;
                }
                assert_return_code(r, 0);
                r = lease_use_check_role(table[i].use, role, &of_role);
                if (table[i].of_role != _NODE_ERROR_INVALID)
                        assert_fault(r, &of_role, table[i].of_role,
                                "belongs to lease \"l\", managed by pacemaker:cam");
                else
                        assert_return_code(r, 0);
                assert_return_code(lease_use_check_role(table[i].use, free_role, NULL), 0);
        }
        /* Nobody holds it any more. */
        g_auto(Fault) gone = {};
        assert_return_code(leases_release(w->node->leases, "l", 2, &alice, NULL), 0);
        assert_fault(
                lease_use_check(&named, w->node, &alice, &gone), &gone, NODE_ERROR_NO_SUCH_LEASE, "\"l\"");
        assert_int_equal(lease_use_check_role(NULL, role, NULL), -EPERM);
}

/* What stops with a role counts, too. */
static void test_stop_with_others(void **state) {
        TestWorld *w = *state;
        const LeaseUse none = {}, named = { .lease = "l" };
        g_auto(Fault) fault = {};

        acquire(w, "l", 0, LONG, &root);
        Role *mount = world_run(w, "mount", NULL);
        RoleSpec *spec = test_spec();
        assert_return_code(
                role_spec_set_dependencies(spec, DEPENDENCY_REQUIRES, (char *[]){ "mount", NULL }, NULL), 0);
        Role *guider = world_run(w, "guider", spec);
        assert_return_code(node_check_stop(w->node, mount, &none, NULL), 0);
        spec = spec_of("l", 0);
        assert_return_code(
                role_spec_set_dependencies(spec, DEPENDENCY_REQUIRES, (char *[]){ "guider", NULL }, NULL), 0);
        Role *cam = run(w, "cam", spec);

        assert_fault(node_check_stop(w->node, mount, &none, &fault), &fault, NODE_ERROR_LEASE_REQUIRED,
                "Role \"mount\" cannot be stopped, as \"cam\" stops with it");
        assert_int_equal(node_check_stop(w->node, guider, &none, NULL), -EPERM);
        assert_int_equal(node_check_stop(w->node, cam, &none, NULL), -EPERM);
        assert_return_code(node_check_stop(w->node, mount, &named, NULL), 0);
        world_exit(w, cam, EXIT_CODE_EXITED, 0);
        assert_return_code(node_check_stop(w->node, mount, &none, NULL), 0);
}

static void test_purge(void **state) {
        TestWorld *w = *state;
        char *both[] = { "free", "cam", NULL };
        const LeaseUse named = { .lease = "l" };
        g_auto(GStrv) none = NULL, some = NULL, rest = NULL;
        g_auto(Fault) fault = {};

        acquire(w, "l", 0, LONG, &root);
        world_exit(w, run(w, "cam", spec_of("l", 0)), EXIT_CODE_EXITED, 0);
        (void) world_run_and_exit(w, "free", NULL);
        assert_fault(node_purge(w->node, both, NULL, NULL, &none, &fault), &fault, NODE_ERROR_LEASE_REQUIRED,
                "Role \"cam\"");
        assert_non_null(world_find(w, "free"));
        assert_return_code(node_purge(w->node, NULL, NULL, NULL, &some, NULL), 0);
        assert_int_equal(g_strv_length(some), 1);
        assert_non_null(world_find(w, "cam"));
        assert_return_code(node_purge(w->node, NULL, &named, NULL, &rest, NULL), 0);
        assert_null(world_find(w, "cam"));
}

/* -- what is saved -- */

typedef struct Disk {
        char *path;
        int dir, state;
} Disk;

static Disk disk_new(void) {
        Disk disk = { .path = g_dir_make_tmp("test-leases-XXXXXX", NULL) };
        g_autofree char *run = g_build_filename(disk.path, "run", NULL),
                        *lib = g_build_filename(disk.path, "lib", NULL);

        assert_return_code(g_mkdir(run, 0700), errno);
        assert_return_code(g_mkdir(lib, 0700), errno);
        disk.dir = open(run, O_DIRECTORY | O_CLOEXEC);
        disk.state = open(lib, O_DIRECTORY | O_CLOEXEC);
        return disk;
}

static void disk_free(Disk *disk) {
        g_autofree char *run = g_build_filename(disk->path, "run", NULL),
                        *lib = g_build_filename(disk->path, "lib", NULL);

        (void) fd_close(disk->dir);
        (void) fd_close(disk->state);
        assert_return_code(g_rmdir(run), errno);
        assert_return_code(g_rmdir(lib), errno);
        assert_return_code(g_rmdir(disk->path), errno);
        g_free(disk->path);
}

static Leases *reopen(TestWorld *w, const Disk *disk) {
        leases_close(w->node->leases);
        w->node->leases = leases_open(w->node, disk->dir, disk->state);
        return w->node->leases;
}

static bool has_file(int dir, const char *name) {
        return faccessat(dir, name, F_OK, 0) >= 0;
}

static void test_saved(void **state) {
        TestWorld *w = *state;
        Disk disk = disk_new();
        g_auto(Fault) stale = {};

        Leases *leases = reopen(w, &disk);
        acquire(w, "a", 7, LONG, &alice);
        acquire(w, "b", 0, USEC_INFINITY, &bob);
        const uint64_t deadline = leases_find(leases, "a")->deadline.usec;

        /* A restart, or SIGKILL. */
        leases = reopen(w, &disk);
        leases_resume(leases);
        assert_int_equal(leases_find(leases, "a")->deadline.usec, deadline);
        assert_int_equal(leases_find(leases, "a")->uid, 1000);
        assert_int_equal(leases_find(leases, "a")->deadline.armed_usec, LONG);
        assert_int_equal(leases_find(leases, "b")->deadline.usec, USEC_INFINITY);
        assert_int_equal(leases_find(leases, "b")->uid, 1001);
        assert_int_equal(leases_acquire(leases, "a", 6, LONG, &alice, NULL), -ESTALE);

        /* One that has passed meanwhile gets time to beat. */
        acquire(w, "a", 7, 1, &alice);
        leases = reopen(w, &disk);
        const uint64_t now = (uint64_t) g_get_monotonic_time();
        leases_resume(leases);
        assert_true(leases_find(leases, "a")->deadline.usec >= now + BEAT_GRACE_USEC);

        /* A clean end, or a reboot: nobody holds them, and the token is kept. */
        leases_forget(leases);
        assert_false(has_file(disk.dir, "leases"));
        leases = reopen(w, &disk);
        assert_false(leases_is_held(leases, "a"));
        assert_null(leases_find(leases, "b"));
        assert_fault(leases_acquire(leases, "a", 6, LONG, &bob, &stale), &stale, NODE_ERROR_STALE_TOKEN,
                "The fencing token 6 of lease \"a\" is stale: 7 was used");
        assert_return_code(leases_beat(leases, "a", 8, LONG, &bob, NULL), 0);

        /* The directory of the tokens was lost, but not that of the deadlines. */
        assert_return_code(unlinkat(disk.state, "lease-tokens", 0), errno);
        leases = reopen(w, &disk);
        assert_int_equal(leases_acquire(leases, "a", 7, LONG, &bob, NULL), -ESTALE);
        leases_forget(leases);
        disk_free(&disk);
}

static void damage(int dir, const char *name) {
        assert_return_code(file_replace(dir, name, "LEASE=x\n", 8), 0);
}

static void test_damaged(void **state) {
        TestWorld *w = *state;
        Disk disk = disk_new();
        g_auto(Fault) lost = {};

        (void) reopen(w, &disk);
        acquire(w, "a", 7, LONG, &alice);
        acquire(w, "b", 0, LONG, &alice);
        damage(disk.dir, "leases");
        Leases *leases = reopen(w, &disk);
        assert_false(leases_is_held(leases, "a"));
        assert_null(leases_find(leases, "b"));
        assert_int_equal(leases_find(leases, "a")->token, 7);
        assert_true(has_file(disk.dir, "leases.damaged"));

        /* Who holds a lease goes on; nothing is known about another one. */
        acquire(w, "a", 7, LONG, &alice);
        acquire(w, "b", 0, LONG, &alice);
        damage(disk.state, "lease-tokens");
        leases = reopen(w, &disk);
        leases_resume(leases);
        assert_true(leases_have_lost_tokens(leases));
        assert_return_code(leases_beat(leases, "a", 7, LONG, &alice, NULL), 0);
        assert_return_code(leases_beat(leases, "b", 0, LONG, &alice, NULL), 0);
        assert_int_equal(leases_beat(leases, "a", 6, LONG, &alice, NULL), -ESTALE);
        assert_fault(leases_acquire(leases, "c", UINT64_MAX, LONG, &root, &lost), &lost,
                NODE_ERROR_STALE_TOKEN, "remove \"lease-tokens.damaged\"");
        assert_return_code(leases_beat(leases, "a", 8, LONG, &alice, NULL), 0); /* writes a new file */
        assert_true(has_file(disk.state, "lease-tokens"));
        g_auto(GStrv) warnings = warnings_list(w->node);
        g_autofree char *text = g_strjoinv("\n", warnings);
        assert_contains(text, "The fencing tokens of leases are lost");

        /* It is not forgotten, also not by a restart, until somebody says so. */
        leases = reopen(w, &disk);
        assert_int_equal(leases_acquire(leases, "c", 1, LONG, &root, NULL), -ESTALE);
        assert_return_code(unlinkat(disk.state, "lease-tokens.damaged", 0), errno);
        assert_return_code(leases_acquire(leases, "c", 1, LONG, &root, NULL), 0);
        assert_false(leases_have_lost_tokens(leases));

        leases_forget(leases);
        assert_return_code(unlinkat(disk.dir, "leases.damaged", 0), errno);
        assert_return_code(unlinkat(disk.state, "lease-tokens", 0), errno);
        disk_free(&disk);
}

/* A token that is not on the disk is not confirmed, and nothing is done with it. */
static void test_cannot_save(void **state) {
        TestWorld *w = *state;
        Disk disk = disk_new();
        g_auto(Fault) token = {}, holder = {}, directory = {};

        Leases *leases = reopen(w, &disk);
        acquire(w, "a", 1, LONG, &alice);
        const uint64_t deadline = leases_find(leases, "a")->deadline.usec;
        assert_return_code(unlinkat(disk.state, "lease-tokens", 0), errno);
        assert_return_code(mkdirat(disk.state, "lease-tokens", 0700), errno);
        assert_fault(leases_beat(leases, "a", 2, 2 * LONG, &alice, &token), &token, NODE_ERROR_IO_ERROR,
                "Cannot save the fencing token of lease \"a\"");
        assert_int_equal(leases_find(leases, "a")->token, 1);
        assert_int_equal(leases_find(leases, "a")->deadline.usec, deadline);
        assert_int_equal(leases_acquire(leases, "b", 2, LONG, &alice, NULL), -EIO);
        assert_null(leases_find(leases, "b"));
        assert_return_code(unlinkat(disk.state, "lease-tokens", AT_REMOVEDIR), errno);

        assert_return_code(unlinkat(disk.dir, "leases", 0), errno);
        assert_return_code(mkdirat(disk.dir, "leases", 0700), errno);
        assert_fault(leases_acquire(leases, "b", 0, LONG, &alice, &holder), &holder, NODE_ERROR_IO_ERROR,
                "Cannot save lease \"b\"");
        assert_false(leases_is_held(leases, "b"));
        assert_int_equal(leases_release(leases, "a", 1, &alice, NULL), -EIO);
        assert_true(leases_is_held(leases, "a"));
        assert_return_code(leases_beat(leases, "a", 1, LONG, &alice, NULL), 0); /* it is valid nevertheless */
        assert_return_code(unlinkat(disk.dir, "leases", AT_REMOVEDIR), errno);

        leases_close(leases);
        w->node->leases = leases_open(w->node, disk.dir, -EROFS);
        assert_fault(leases_acquire(w->node->leases, "a", 0, LONG, &root, &directory), &directory,
                NODE_ERROR_IO_ERROR, "there is no state directory");
        disk_free(&disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_rules),
                TEST(test_arguments),
                TEST(test_limits),
                TEST(test_expiry),
                TEST(test_beats),
                TEST(test_expiry_of_waiting),
                TEST(test_monitor),
                TEST(test_late),
                TEST(test_start),
                TEST(test_definition),
                TEST(test_restart),
                TEST(test_restart_released),
                TEST(test_use),
                TEST(test_stop_with_others),
                TEST(test_purge),
                TEST(test_saved),
                TEST(test_damaged),
                TEST(test_cannot_save),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
