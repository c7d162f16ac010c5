/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Freeze and Thaw in each order with each other, and with what ends a role. That a Freeze has a timeout is in
 * the system case freeze. */

#include "test-world.h"

#include "model/role-freezer.h"

static int freeze(Role *role, Told *told) {
        return role_freeze(role, true, NULL, told_by(told), NULL);
}

static int thaw(Role *role, Told *told) {
        return role_freeze(role, false, NULL, told_by(told), NULL);
}

/* The reply to the oldest request. */
static void answer_first(TestWorld *w, const Fault *fault) {
        assert_true(w->waiters->len > 0);
        Waiter waiter = g_array_index(w->waiters, Waiter, 0);

        g_array_remove_index(w->waiters, 0);
        waiter_wake(waiter, fault);
}

/* systemd has done what the oldest request asks for. */
static void done(TestWorld *w, Role *role, bool frozen) {
        if (frozen)
                (void) g_hash_table_add(w->frozen, role);
        else
                (void) g_hash_table_remove(w->frozen, role);
        answer_first(w, NULL);
}

static Role *run(TestWorld *w) {
        Role *role = world_run(w, "cam", NULL);

        forget_calls(w);
        return role;
}

static void test_both(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {}, again = {}, thawed = {};
        Role *role = run(w);
        unsigned n_changed = w->n_changed;

        assert_int_equal(freeze(role, &frozen), 0);
        expect_calls(w, "freeze(cam)");
        assert_not_told(&frozen);
        assert_int_equal(w->n_changed, n_changed);
        done(w, role, true);
        assert_told_success(&frozen);
        assert_true(w->n_changed > n_changed);
        assert_int_equal(role->state, ROLE_RUNNING);

        /* What is frozen already can be frozen. */
        assert_int_equal(freeze(role, &again), 0);
        expect_calls(w, "freeze(cam)");
        done(w, role, true);
        assert_told_success(&again);

        assert_int_equal(thaw(role, &thawed), 0);
        expect_calls(w, "thaw(cam)");
        done(w, role, false);
        assert_told_success(&thawed);
        expect_calls(w, "");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* All callers of one verb receive one reply. */
static void test_joined(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {}, joined = {}, thawed = {}, last = {};
        Role *role = run(w);

        assert_int_equal(freeze(role, &frozen), 0);
        assert_int_equal(freeze(role, &joined), 0);
        expect_calls(w, "freeze(cam)");
        done(w, role, true);
        assert_told_success(&frozen);
        assert_told_success(&joined);
        assert_int_equal(thaw(role, &thawed), 0);
        assert_int_equal(thaw(role, &last), 0);
        expect_calls(w, "thaw(cam)");
        done(w, role, false);
        assert_told_success(&thawed);
        assert_told_success(&last);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* A Thaw does not wait for a Freeze, which may take for ever. */
static void test_thaw_while_freezing(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {}, thawed = {};
        Role *role = run(w);

        assert_int_equal(freeze(role, &frozen), 0);
        assert_int_equal(thaw(role, &thawed), 0);
        expect_calls(w, "freeze(cam) thaw(cam)");
        assert_told_fault(&frozen, NODE_ERROR_IO_ERROR, "Role \"cam\" was thawed meanwhile");
        assert_not_told(&thawed);
        answer_first(w, NULL); /* systemd has begun to freeze it */
        assert_not_told(&thawed);
        done(w, role, false);
        assert_told_success(&thawed);
        expect_calls(w, "");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* A Freeze waits for a Thaw, unless another Thaw comes. */
static void test_freeze_while_thawing(void **state) {
        TestWorld *w = *state;
        g_auto(Told) thawed = {}, frozen = {}, never = {}, last = {};
        Role *role = run(w);

        (void) g_hash_table_add(w->frozen, role);
        assert_int_equal(thaw(role, &thawed), 0);
        assert_int_equal(freeze(role, &frozen), 0);
        expect_calls(w, "thaw(cam)");
        done(w, role, false);
        assert_told_success(&thawed);
        expect_calls(w, "freeze(cam)");
        assert_not_told(&frozen);
        done(w, role, true);
        assert_told_success(&frozen);

        told_clear(&thawed);
        assert_int_equal(thaw(role, &thawed), 0);
        assert_int_equal(freeze(role, &never), 0);
        assert_int_equal(thaw(role, &last), 0);
        assert_told_fault(&never, NODE_ERROR_IO_ERROR, "was thawed meanwhile");
        done(w, role, false);
        assert_told_success(&thawed);
        assert_told_success(&last);
        expect_calls(w, "thaw(cam)");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* systemd has succeeded, and somebody else has done the opposite. */
static void test_undone(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {}, thawed = {}, above = {};
        Role *role = run(w);

        assert_int_equal(freeze(role, &frozen), 0);
        done(w, role, false);
        assert_told_fault(&frozen, NODE_ERROR_IO_ERROR, "Role \"cam\" was thawed meanwhile");
        assert_int_equal(thaw(role, &thawed), 0);
        done(w, role, true);
        assert_told_fault(&thawed, NODE_ERROR_IO_ERROR, "Role \"cam\" was frozen again meanwhile");
        assert_int_equal(thaw(role, &above), 0);
        w->frozen_above = "architect.slice";
        done(w, role, true);
        assert_told_fault(&above, NODE_ERROR_ROLE_FROZEN, "\"cam\" cannot be thawed: architect.slice");
        w->frozen_above = NULL;
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* After a failure nothing is left half frozen. */
static void test_failure(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {}, thawed = {};
        g_auto(Fault) fault = {};
        Role *role = run(w);

        (void) fault_set(&fault, NODE_ERROR_IO_ERROR, "Cannot freeze it: busy");
        assert_int_equal(freeze(role, &frozen), 0);
        answer_first(w, &fault);
        assert_told_fault(&frozen, NODE_ERROR_IO_ERROR, "busy");
        expect_calls(w, "freeze(cam) thaw(cam)");
        /* It is taken back by a Thaw that others join. */
        assert_int_equal(thaw(role, &thawed), 0);
        expect_calls(w, "");
        (void) g_hash_table_add(w->frozen, role);
        answer_first(w, &fault);
        assert_told_fault(&thawed, NODE_ERROR_IO_ERROR, "busy");
        told_clear(&thawed);

        /* systemd does for somebody else what it refuses. */
        assert_int_equal(thaw(role, &thawed), 0);
        (void) g_hash_table_remove(w->frozen, role);
        answer_first(w, &fault);
        assert_told_success(&thawed);
        expect_calls(w, "thaw(cam)");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

static void test_refused(void **state) {
        TestWorld *w = *state;
        Role *role = run(w);

        for (int verb = 0; verb < 2; verb++) {
                g_auto(Fault) above = {}, unsupported = {};

                w->frozen_above = "architect.slice";
                assert_fault(role_freeze(role, verb, NULL, (Waiter){}, &above), &above,
                        NODE_ERROR_ROLE_FROZEN,
                        verb ? "cannot be frozen: architect.slice" : "cannot be thawed: ");
                w->frozen_above = NULL;
                expect_calls(w, "");
                w->freeze_result = -EOPNOTSUPP;
                assert_fault(role_freeze(role, verb, NULL, (Waiter){}, &unsupported), &unsupported,
                        NODE_ERROR_NOT_SUPPORTED, "cgroup v2");
                forget_calls(w);
                w->freeze_result = 0;
        }
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* A stop does not find its processes frozen, whatever systemd does when. */
static void test_stop_while_freezing(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {}, stopped = {};
        Role *role = run(w);

        assert_int_equal(freeze(role, &frozen), 0);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&stopped));
        expect_calls(w, "freeze(cam) save(cam) thaw(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        assert_told_fault(&frozen, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"cam\" is being stopped");
        /* That came to systemd after the Thaw. */
        done(w, role, true);
        expect_calls(w, "thaw(cam)");
        (void) g_hash_table_remove(w->frozen, role);
        world_exit(w, role, EXIT_CODE_KILLED, 15);
        assert_told_success(&stopped);
}

static void test_kill_while_thawing(void **state) {
        TestWorld *w = *state;
        g_auto(Told) thawed = {}, next = {}, killed = {};
        Role *role = run(w);

        (void) g_hash_table_add(w->frozen, role);
        assert_int_equal(thaw(role, &thawed), 0);
        assert_int_equal(freeze(role, &next), 0);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(&killed));
        expect_calls(w, "thaw(cam) save(cam) signal-cgroup(cam,9)");
        assert_told_fault(&thawed, NODE_ERROR_ROLE_NOT_RUNNING, "is being stopped");
        assert_told_fault(&next, NODE_ERROR_ROLE_NOT_RUNNING, "is being stopped");
        done(w, role, false);
        expect_calls(w, "");
        world_exit(w, role, EXIT_CODE_KILLED, 9);
        assert_told_success(&killed);
}

/* The reply comes when the role has ended, and when it is forgotten. */
static void test_end_while_freezing(void **state) {
        TestWorld *w = *state;
        char *names[] = { "cam", NULL };

        for (int forgotten = 0; forgotten < 2; forgotten++) {
                g_auto(Told) frozen = {};
                g_auto(GStrv) purged = NULL;
                g_auto(Fault) fault = {};
                Role *role = run(w);

                assert_int_equal(freeze(role, &frozen), 0);
                world_exit(w, role, EXIT_CODE_EXITED, 0);
                assert_told_fault(&frozen, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"cam\" has ended");
                if (forgotten)
                        assert_int_equal(node_purge(w->node, names, NULL, NULL, &purged, &fault), 0);
                forget_calls(w);
                answer_first(w, NULL);
                expect_calls(w, "");
        }
}

/* The service ends: nobody waits for ever. */
static void test_leaving(void **state) {
        TestWorld *w = *state;
        g_auto(Told) frozen = {};

        assert_int_equal(freeze(run(w), &frozen), 0);
        world_new_node(w, NULL);
        assert_told_fault(&frozen, NODE_ERROR_SHUTTING_DOWN, "");
        answer_first(w, NULL);
}

/* Others freeze it, too. The clients are told, and what has not changed is not sent (bus/announce.c). */
static void test_noticed(void **state) {
        TestWorld *w = *state;
        Role *role = run(w);
        unsigned n_changed = w->n_changed;

        (void) g_hash_table_add(w->frozen, role);
        role_on_cgroup_changed(role);
        assert_int_equal(w->n_changed, n_changed + 1);
        (void) g_hash_table_remove(w->frozen, role);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        n_changed = w->n_changed;
        role_on_cgroup_changed(role);
        assert_int_equal(w->n_changed, n_changed);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_both),
                TEST(test_joined),
                TEST(test_thaw_while_freezing),
                TEST(test_freeze_while_thawing),
                TEST(test_undone),
                TEST(test_failure),
                TEST(test_refused),
                TEST(test_stop_while_freezing),
                TEST(test_kill_while_thawing),
                TEST(test_end_while_freezing),
                TEST(test_leaving),
                TEST(test_noticed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
