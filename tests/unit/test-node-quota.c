/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one user may have and do, and that it is nobody else's. Ports, input and variables have their tests
 * in test-node-ports, test-node-input and test-node-env. */

#include "test-world.h"

#include "base/time-util.h"
#include "model/env.h"
#include "model/quota.h"
#include "model/settings.h"

#define ALICE 1000
#define BOB 1001

static const Caller root = { .known = true, .uid = 0, .pid = 1 };
static const Caller alice = { .known = true, .uid = ALICE, .pid = 2 };
static const Caller bob = { .known = true, .uid = BOB, .pid = 3 };

/* As the bus makes it: only what others than root start has an account. */
static RoleSpec *spec_of(const Caller *caller) {
        RoleSpec *spec = test_spec();
        char name[] = "somebody", home[] = "/", shell[] = "/bin/sh";
        Account account = { .uid = caller->uid,
                .groups = g_array_new(false, false, sizeof(gid_t)),
                .name = name,
                .group = name,
                .home = home,
                .shell = shell };

        spec->stop_timeout_set = false; /* which only root may make longer */
        if (caller->uid != 0)
                role_spec_become(spec, &account);
        g_array_unref(account.groups);
        return spec;
}

static int start_as(TestWorld *w, const char *name, const Caller *caller, Fault *fault) {
        RoleSpec *spec = spec_of(caller);

        int r = node_start_role(w->node, name, spec, caller, (Waiter){}, fault);
        if (r < 0)
                role_spec_free(spec);
        return r;
}

static Role *run_as(TestWorld *w, const char *name, const Caller *caller) {
        g_auto(Fault) fault = {};

        if (start_as(w, name, caller, &fault) < 0)
                fail_msg("%s", fault.message);
        Role *role = world_find(w, name);
        world_executed(w, role);
        assert_int_equal(role->state, ROLE_RUNNING);
        return role;
}

static void end_as(TestWorld *w, const char *name, const Caller *caller) {
        world_exit(w, run_as(w, name, caller), EXIT_CODE_EXITED, 0);
        forget_calls(w);
}

static unsigned n_ended(TestWorld *w, uid_t uid) {
        return quota_get(w->node->quotas, uid)->n_ended;
}

/* "root.0 alice.1": the ended roles, oldest first. */
static void assert_ended(TestWorld *w, const char *expected) {
        g_autoptr(GString) s = g_string_new(NULL);
        unsigned n = 0;

        for (GList *l = w->node->ended->head; l; l = l->next, n++) {
                const Role *role = l->data;
                g_string_append_printf(s, "%s%s", s->len > 0 ? " " : "", role->name);
        }
        assert_string_equal(s->str, expected);
        assert_int_equal(n_ended(w, 0) + n_ended(w, ALICE) + n_ended(w, BOB), n);
}

static void test_ended(void **state) {
        TestWorld *w = *state;

        w->node->settings->max_ended_roles = 2;
        w->node->settings->max_ended_roles_per_user = 3;
        end_as(w, "root.0", &root);
        end_as(w, "bob.0", &bob);
        end_as(w, "alice.0", &alice);
        end_as(w, "alice.1", &alice);
        end_as(w, "alice.2", &alice);
        assert_ended(w, "root.0 bob.0 alice.0 alice.1 alice.2");
        /* However many she has, those of root and bob stay. */
        end_as(w, "alice.3", &alice);
        end_as(w, "alice.4", &alice);
        assert_ended(w, "root.0 bob.0 alice.2 alice.3 alice.4");
        assert_null(world_find(w, "alice.0"));
        end_as(w, "root.1", &root);
        end_as(w, "root.2", &root);
        assert_ended(w, "bob.0 alice.2 alice.3 alice.4 root.1 root.2");

        /* A start under the name takes one from the count, and its end gives it back. */
        end_as(w, "alice.2", &alice);
        assert_ended(w, "bob.0 alice.3 alice.4 root.1 root.2 alice.2");
        node_purge_role(w->node, world_find(w, "alice.3"), NULL);
        assert_int_equal(n_ended(w, ALICE), 2);

        Settings *settings = settings_new();
        settings->max_ended_roles_per_user = 1;
        node_set_settings(w->node, settings);
        assert_ended(w, "bob.0 root.1 root.2 alice.2");
}

/* What root starts as alice is root's. */
static void test_ended_by_root(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        w->node->settings->max_ended_roles_per_user = 1;
        assert_return_code(role_spec_set_user(spec, "1000", NULL), 0);
        (void) world_run_and_exit(w, "as-alice", spec);
        end_as(w, "alice.0", &alice);
        end_as(w, "alice.1", &alice);
        assert_ended(w, "as-alice alice.1");

        /* So is what a user starts in the service of his own, which has no account. */
        RoleSpec *own = test_spec();
        assert_return_code(node_start_role(w->node, "own", own, &alice, (Waiter){}, NULL), 0);
        Role *role = world_find(w, "own");
        assert_int_equal(role->owner.uid, ALICE);
        assert_int_equal(role_started_by(role), 0);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
}

static void test_starts(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) fault = {}, soon = {}, again = {}, more = {}, most = {};

        w->node->settings->max_starts_per_user = 3;
        w->node->settings->max_ended_roles = 1;
        w->node->settings->max_ended_roles_per_user = 1;
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        for (int i = 0; i < 3; i++)
                end_as(w, "a", &alice);
        assert_fault(start_as(w, "a", &alice, &fault), &fault, NODE_ERROR_LIMIT_REACHED,
                "Role \"a\" cannot be started: uid 1000 starts more than 3 roles within a minute (MaxStartsPerUser=)");
        /* After twenty seconds there is one more. */
        Quota *quota = quota_get(w->node->quotas, ALICE);
        assert_true(quota->starts_usec >= begin);
        quota->starts_usec = now_usec(CLOCK_MONOTONIC) - 18 * USEC_PER_SEC;
        assert_fault(start_as(w, "a", &alice, &soon), &soon, NODE_ERROR_LIMIT_REACHED, "uid 1000");
        quota->starts_usec -= 2 * USEC_PER_SEC;
        end_as(w, "a", &alice);
        assert_fault(start_as(w, "a", &alice, &again), &again, NODE_ERROR_LIMIT_REACHED, "uid 1000");
        /* After a minute there are all of them again, and after two not more. */
        quota->starts_usec -= MIN(quota->starts_usec, 120 * USEC_PER_SEC); /* it may be up for less */
        for (int i = 0; i < 3; i++)
                end_as(w, "a", &alice);
        assert_fault(start_as(w, "a", &alice, &more), &more, NODE_ERROR_LIMIT_REACHED, "uid 1000");
        /* A reload permits one more at once. */
        w->node->settings->max_starts_per_user = 4;
        end_as(w, "a", &alice);
        assert_fault(start_as(w, "a", &alice, &most), &most, NODE_ERROR_LIMIT_REACHED, "uid 1000");

        for (int i = 0; i < 20; i++)
                end_as(w, "r", &root);
        end_as(w, "b", &bob);
        /* In her own service she is the one who has no limit. */
        w->node->user = true;
        assert_false(node_limits(w->node, &alice));
        w->node->user = false;
        assert_true(node_limits(w->node, &alice));
        assert_false(node_limits(w->node, &root));
        assert_false(node_limits(w->node, NULL));
}

/* A start that is refused costs nothing. */
static void test_refused_start(void **state) {
        TestWorld *w = *state;

        w->node->settings->max_starts_per_user = 2;
        Role *role = run_as(w, "a", &alice);
        for (int i = 0; i < 5; i++) {
                g_auto(Fault) fault = {};

                assert_fault(start_as(w, "a", &alice, &fault), &fault, NODE_ERROR_ROLE_EXISTS, "\"a\"");
        }
        end_as(w, "b", &alice);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* The environment knows the limit, at once and after a reload. */
static void test_environment(void **state) {
        TestWorld *w = *state;
        g_autofree char *large = g_strnfill(NODE_MAX_ENVIRONMENT_PER_USER, 'x');
        g_auto(Fault) first = {}, second = {};
        Settings *settings = settings_new();

        assert_fault(env_set(w->node->env, ALICE, "A", large, &first), &first, NODE_ERROR_LIMIT_REACHED,
                "16384 bytes (MaxEnvironmentPerUser=)");
        settings->max_environment_per_user = 3;
        node_set_settings(w->node, settings);
        assert_fault(env_set(w->node->env, ALICE, "A", "x", &second), &second, NODE_ERROR_LIMIT_REACHED,
                "3 bytes (MaxEnvironmentPerUser=)");
        assert_return_code(env_set(w->node->env, ALICE, "A", "", NULL), 0);
        assert_return_code(env_set(w->node->env, 0, "A", large, NULL), 0);
}

/* However many users there were, the table stays small, and forgets nobody who has something. */
static void test_table(void **state) {
        g_autoptr(GHashTable) quotas = quotas_new();

        quota_get(quotas, 1)->n_ended = 1;
        quota_get(quotas, 2)->n_binding = 1;
        quota_get(quotas, 3)->queued_input = 1;
        quota_take_start(quotas, 4, 10);
        for (uid_t uid = 5; uid < 2000; uid++)
                (void) quota_get(quotas, uid);
        assert_true(g_hash_table_size(quotas) <= 256);
        for (uid_t uid = 1; uid < 5; uid++)
                assert_true(g_hash_table_contains(quotas, GUINT_TO_POINTER(uid)));
        assert_int_equal(quota_get(quotas, 1)->n_ended, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_ended, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_ended_by_root, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_starts, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_refused_start, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_environment, test_world_setup, test_world_teardown),
                cmocka_unit_test(test_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
