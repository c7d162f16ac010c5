/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The watches of the room scope, with a real cgroup2 in a mount namespace of our own, as root. */

#include "bus-world.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "model/node-processes.h"
#include "scope/scope-private.h"
#include "util/log.h"

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

/* -- without inotify -- */

static int inotify_error; /* of the next calls; 0 for the real ones */

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);
int __wrap_inotify_init1(int flags) {
        errno = inotify_error;
        return inotify_error == EMFILE ? -1 : __real_inotify_init1(flags);
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask) {
        errno = inotify_error;
        return inotify_error == ENOSPC ? -1 : __real_inotify_add_watch(fd, path, mask);
}

static char *logged;

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        g_autofree char *before = g_steal_pointer(&logged);

        if (level <= LOG_NOTICE && (strstr(text, "inotify") || strstr(text, "timer")))
                logged = g_strconcat(before ?: "", text, NULL);
        else
                logged = g_steal_pointer(&before);
}

static void expect_logged(const char *part) {
        g_autofree char *text = g_steal_pointer(&logged);

        if (!part)
                assert_null(text);
        else if (!text || !strstr(text, part))
                fail_msg("\"%s\" is not in \"%s\"", part, text ?: "");
}

static void spawn_into(const char *below, pid_t *ret) {
        g_autofree char *path = full(below), *procs = g_strconcat(path, "/cgroup.procs", NULL);
        pid_t pid = fork_pausing();

        g_autofree char *text = g_strdup_printf("%d", (int) pid);
        assert_return_code(file_write_string(procs, text), 0);
        *ret = pid;
}

/* A role whose main process has ended, and which has left others. */
static Role *with_leftovers(TestWorld *w, const char *name) {
        Role *role = world_run(w, name, NULL);

        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        g_free(role->cgroup);
        role->cgroup = g_strconcat(group, "/old", NULL);
        return role;
}

/* The role is swept although nothing notifies the room, and inotify is used as soon as there is some. */
static void without_inotify(BusWorld *b, int error, const char *part) {
        TestWorld *w = b->world;
        sd_event *event = manager_event(b->manager);
        Role *role = with_leftovers(w, "cam"), *other = with_leftovers(w, "guider");
        pid_t pid;

        inotify_error = error;
        log_set_max_level(LOG_NOTICE);
        log_set_target(LOG_TARGET_NULL);
        log_set_sink(on_log, NULL);
        if (error == EMFILE) { /* as if the service had started without an instance */
                b->scopes->inotify = sd_event_source_disable_unref(b->scopes->inotify);
                b->scopes->inotify_fd = fd_close(b->scopes->inotify_fd);
        }
        spawn_into("/old", &pid);
        assert_int_equal(b->scope_ops->cgroup_watch(b->scopes, role), 0);
        assert_int_equal(role->cgroup_watch, 0);
        expect_logged(part);
        assert_int_equal(b->scope_ops->cgroup_watch(b->scopes, other), 0);
        expect_logged(NULL); /* once */
        w->node->world.scope.ops = b->scope_ops;
        w->node->world.scope.data = b->scopes;
        for (int i = 0; i < 3; i++)
                assert_return_code(sd_event_run(event, UINT64_MAX), 0);
        assert_false(role->swept);
        assert_int_equal(g_hash_table_size(b->scopes->looked_at), 2);

        b->scope_ops->role_freed(b->scopes, other);
        assert_int_equal(g_hash_table_size(b->scopes->looked_at), 1);
        assert_return_code(kill(pid, SIGKILL), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (g_hash_table_size(b->scopes->looked_at) > 0)
                assert_return_code(sd_event_run(event, UINT64_MAX), 0);
        assert_true(role->swept);
        expect_logged(NULL);

        inotify_error = 0;
        watch(b, other, "/old");
        expect_logged("inotify works again");
        role_on_cgroup_changed(other);
        assert_true(other->swept);
        b->scope_ops->role_freed(b->scopes, other);
        w->node->world.scope = test_world.scope;
        log_set_sink(NULL, NULL);
        log_set_max_level(LOG_EMERG);
}

static void test_no_instance(void **state) {
        without_inotify(*state, EMFILE, "fs.inotify.max_user_instances");
}

static void test_no_watch(void **state) {
        without_inotify(*state, ENOSPC, "fs.inotify.max_user_watches");
}

/* -- strays -- */

/* The scope of one role has ended, and another role, or nobody that is known, has one of the same name. */
static void test_name_of_stray(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        Role *first = world_run(w, "cam", NULL), *second = world_run(w, "guider", NULL);
        g_autofree char *scope = g_strconcat(group, "/x.scope", NULL);
        pid_t pid;

        make("/x.scope");
        spawn_into("/x.scope", &pid);
        g_ptr_array_add(w->strays, stray_new(pid, start_time_of(pid), scope, scope));
        role_look_for_strays(first);
        assert_ptr_equal(node_role_of_process(w->node, pid), first);
        assert_null(role_stray_scope(second, scope));

        w->cgroup_id++;
        assert_null(node_role_of_process(w->node, pid));
        g_autofree char *taken = role_stray_scope(second, scope);
        assert_non_null(taken);
        assert_string_equal(taken, scope);

        assert_return_code(kill(pid, SIGKILL), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        unmake("/x.scope");
}

/* A child of a process that is signalled alone, and whose parent has ended, is found, too. */
static void test_child_of_lone(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        Role *role = world_run(w, "cam", NULL);
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(stray_free);
        LoneProcess lone;
        int pipe_fds[2];
        pid_t child;

        assert_return_code(pipe2(pipe_fds, O_CLOEXEC), errno);
        lone.pid = fork();
        if (lone.pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                child = fork_pausing();
                (void) !write(pipe_fds[1], &child, sizeof(child));
                for (;;)
                        (void) pause();
        }
        assert_true(lone.pid > 0);
        assert_int_equal(read(pipe_fds[0], &child, sizeof(child)), sizeof(child));
        lone.start_time = start_time_of(lone.pid);
        role->lone = g_array_new(false, false, sizeof(LoneProcess));
        g_array_append_val(role->lone, lone);

        pid_t main_pid = role->main_pid; /* the test itself, which is its parent */
        role->main_pid = 0;
        b->scope_ops->find_strays(b->scopes, role, found);
        role->main_pid = main_pid;
        assert_int_equal(found->len, 2);
        assert_int_equal(((const Stray *) g_ptr_array_index(found, 1))->pid, child);

        /* It may not have asked yet to be killed with its parent. */
        assert_return_code(kill(child, SIGKILL), errno);
        assert_return_code(kill(lone.pid, SIGKILL), errno);
        assert_int_equal(waitpid(lone.pid, NULL, 0), lone.pid);
        (void) close(pipe_fds[0]);
        (void) close(pipe_fds[1]);
}

/* What the main process has left is found where PAM has moved it, although it has no parent in the role. */
static void test_left_is_moved(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        RoleSpec *spec = test_spec();
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(stray_free);
        g_autofree char *procs = full("/x.scope/cgroup.procs"), *place = g_strconcat(group, "/x.scope", NULL);
        pid_t pid;

        spec->exit_type = EXIT_TYPE_CGROUP;
        Role *role = world_run(w, "cam", spec);
        g_free(role->cgroup);
        role->cgroup = g_strconcat(group, "/old", NULL);
        spawn_into("/old", &pid);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_int_equal(role->main_pid, 0);

        make("/x.scope");
        g_autofree char *text = g_strdup_printf("%d", (int) pid);
        assert_return_code(file_write_string(procs, text), 0);
        assert_ptr_equal(node_role_of_process(w->node, pid), role);
        b->scope_ops->find_strays(b->scopes, role, found);
        assert_int_equal(found->len, 1);
        const Stray *stray = g_ptr_array_index(found, 0);
        assert_int_equal(stray->pid, pid);
        assert_non_null(stray->scope);
        assert_string_equal(stray->scope, place);

        assert_return_code(kill(pid, SIGKILL), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        unmake("/x.scope");
        world_emptied(w, role);
}

/* -- the OOM killer -- */

/* What the kernel has counted in the scope of the first role and in its sub-slice; negative for no cgroup. */
static int kills_of_scope, kills_of_slice;

int __real_cgroup_oom_kills(const char *path, unsigned long long *ret);
int __wrap_cgroup_oom_kills(const char *path, unsigned long long *ret);
int __wrap_cgroup_oom_kills(const char *path, unsigned long long *ret) {
        int n = g_str_has_suffix(path, ".slice")            ? kills_of_slice
                : strstr(path, "/architect-main-cam.scope") ? kills_of_scope
                                                            : -ENOENT;

        *ret = (unsigned long long) MAX(n, 0);
        return MIN(n, 0);
}

static Role *run_in_slice(BusWorld *b, const char *name) {
        Role *role = world_run(b->world, name, NULL);

        assert_int_equal(role->slice, 0);
        g_free(role->cgroup);
        role->cgroup = g_strdup_printf("/architect.slice/architect-main-0.slice/%s", role->scope);
        return role;
}

static void expect_kills(BusWorld *b, Role *role, int expected) {
        unsigned n = 0;

        int r = b->scope_ops->oom_kills(b->scopes, role, &n);
        assert_int_equal(r < 0 ? r : (int) n, expected);
}

/* A role is asked about once more, and the kill of another one is not taken for its own. */
static void test_kills_of_slice(void **state) {
        BusWorld *b = *state;

        kills_of_scope = kills_of_slice = 0;
        Role *first = run_in_slice(b, "cam"), *second = run_in_slice(b, "guider");
        scope_cause_add_slice(b->scopes, first, first->cgroup);
        kills_of_scope = kills_of_slice = 1;
        expect_kills(b, first, 1);
        expect_kills(b, first, 1);

        kills_of_slice = 2;
        second->exit = test_exit(EXIT_CODE_KILLED, SIGKILL);
        expect_kills(b, second, 1);
        expect_kills(b, second, 0);
}

/* The first scope in a sub-slice that has counted before cannot be made. */
static void test_kills_before(void **state) {
        BusWorld *b = *state;

        kills_of_scope = kills_of_slice = 1;
        Role *first = run_in_slice(b, "cam"), *second = run_in_slice(b, "guider");
        scope_cause_add_slice(b->scopes, first, NULL);
        second->exit = test_exit(EXIT_CODE_KILLED, SIGKILL);
        expect_kills(b, second, -ENODATA);
        scope_cause_add_slice(b->scopes, second, second->cgroup);
        expect_kills(b, second, 0);
        kills_of_slice = 2;
        expect_kills(b, second, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_two_runs),
                BUS_TEST(test_one),
                BUS_TEST(test_no_instance),
                BUS_TEST(test_no_watch),
                BUS_TEST(test_name_of_stray),
                BUS_TEST(test_child_of_lone),
                BUS_TEST(test_left_is_moved),
                BUS_TEST(test_kills_of_slice),
                BUS_TEST(test_kills_before),
        };

        return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
