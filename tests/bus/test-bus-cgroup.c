/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The watches of the room scope, with a real cgroup2 in a mount namespace of our own, as root. */

#include "bus-world.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "scope/scope-private.h"

static char *group; /* relative to the root of the hierarchy */

static char *full(const char *below) {
        const char *root;

        assert_return_code(cgroup_root(&root), 0);
        return g_strconcat(root, group, below, NULL);
}

static void make(const char *below) {
        g_autofree char *path = full(below);

        assert_return_code(mkdir(path, 0755), errno);
}

static void unmake(const char *below) {
        g_autofree char *path = full(below);

        assert_return_code(rmdir(path), errno);
}

static int group_setup(void **state) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0) {
                print_error("this test wants to be root: %s\n", g_strerror(errno));
                return -1;
        }
        group = g_strdup_printf("/architect-test-bus-%d", (int) getpid());
        make("");
        make("/old");
        make("/new");
        return 0;
}

static int group_teardown(void **state) {
        unmake("/new");
        unmake("/old");
        unmake("");
        g_free(group);
        return 0;
}

static void watch(BusWorld *b, Role *role, const char *below) {
        g_free(role->cgroup);
        role->cgroup = g_strconcat(group, below, NULL);
        assert_int_equal(b->scope_ops->cgroup_watch(b->scopes, role), 0);
        assert_true(role->cgroup_watch > 0);
}

static void assert_watched(BusWorld *b, unsigned n, Role *by_name) {
        assert_int_equal(g_hash_table_size(b->scopes->watches), n);
        assert_ptr_equal(g_hash_table_lookup(b->scopes->watched, "architect-main-cam.scope"), by_name);
        assert_int_equal(g_hash_table_size(b->scopes->watched), by_name ? 1 : 0);
}

/* An ended run that had left processes, and the next run of the name, whose set-up has left some: none that
 * is freed stays watched, whichever is the first. */
static void test_two_runs(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;

        for (int order = 0; order < 2; order++)
                for (int same = 0; same < 2; same++) {
                        Role *old = world_run_and_exit(w, "cam", NULL);
                        watch(b, old, "/old");
                        assert_watched(b, 1, old);
                        Role *new = world_start(w, "cam", NULL, NULL);
                        assert_ptr_equal(new->predecessor, old);
                        watch(b, new, same ? "/old" : "/new");
                        assert_watched(b, same ? 1 : 2, new);

                        b->scope_ops->role_freed(b->scopes, order == 0 ? new : old);
                        if (order == 0)
                                assert_watched(b, same ? 0 : 1, NULL);
                        else
                                assert_watched(b, 1, new);
                        b->scope_ops->role_freed(b->scopes, order == 0 ? old : new);
                        assert_watched(b, 0, NULL);

                        world_fork_failed(w, new, -EAGAIN);
                        assert_ptr_equal(world_find(w, "cam"), old);
                        node_purge_role(w->node, old, NULL);
                }
}

/* The watch goes with the role, as the room is told. */
static void test_one(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        Role *role = world_run_and_exit(w, "cam", NULL);

        watch(b, role, "/old");
        int number = role->cgroup_watch;
        /* Once is enough. */
        assert_int_equal(b->scope_ops->cgroup_watch(b->scopes, role), 0);
        assert_int_equal(role->cgroup_watch, number);
        w->node->world.scope.ops = b->scope_ops;
        w->node->world.scope.data = b->scopes;
        node_purge_role(w->node, role, NULL);
        w->node->world.scope = test_world.scope;
        assert_watched(b, 0, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_two_runs),
                BUS_TEST(test_one),
        };

        return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
