/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The v2 hierarchy, at both of its places. The tests run in a mount namespace of their own, as root, with a
 * real cgroup2, but without controllers and without systemd. The cgroups that they create are removed with
 * them. */

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/stray-scope.h"

static char group[64]; /* "/architect-test-PID" */

static char *full(const char *below) {
        const char *root;
        char *s;

        assert_int_equal(cgroup_root(&root), 0);
        assert_true(asprintf(&s, "%s%s%s", root, group, below) > 0);
        return s;
}

static char *in_group(const char *below) {
        char *s;

        assert_true(asprintf(&s, "%s%s", group, below) > 0);
        return s;
}

static void make(const char *below) {
        _cleanup_free_ char *s = full(below);

        assert_int_equal(mkdir(s, 0755), 0);
}

static void removed(const char *below) {
        _cleanup_free_ char *s = full(below);

        /* The last process leaves the cgroup a moment after it was reaped. */
        for (int i = 0; rmdir(s) < 0 && errno == EBUSY && i < 2000; i++)
                (void) usleep(1000);
        assert_int_equal(access(s, F_OK), -1);
}

static void unified(void) {
        assert_int_equal(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL), 0);
}

static void hybrid(void) {
        assert_int_equal(mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, NULL), 0);
        assert_int_equal(mkdir("/sys/fs/cgroup/unified", 0755), 0);
        assert_int_equal(mount("cgroup2", "/sys/fs/cgroup/unified", "cgroup2", 0, NULL), 0);
}

static void clear(void) {
        while (umount2("/sys/fs/cgroup", MNT_DETACH) >= 0)
                ;
        cgroup_root_forget();
}

static int setup(void **state) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                print_error("this test wants to be root: %s\n", strerror(errno));
                return -1;
        }
        clear();
        (void) snprintf(group, sizeof(group), "/architect-test-%d", (int) getpid());
        return 0;
}

static pid_t sleeper_in(const char *below) {
        _cleanup_free_ char *s = full(below), *procs = NULL;
        pid_t pid;

        assert_true(asprintf(&procs, "%s/cgroup.procs", s) > 0);
        pid = fork();
        if (pid == 0)
                for (;;)
                        (void) pause();
        assert_true(pid > 0);
        {
                char text[16];

                (void) snprintf(text, sizeof(text), "%d", (int) pid);
                assert_int_equal(file_write_string(procs, text), 0);
        }
        return pid;
}

static void assert_killed(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, SIGKILL);
}

static void test_root(void **state) {
        const char *root = "untouched";

        clear();
        assert_int_equal(mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, NULL), 0);
        assert_int_equal(cgroup_root(&root), -ENOMEDIUM);
        assert_string_equal(root, "untouched");
        assert_int_equal(cgroup_events("/x", NULL, NULL), -ENOMEDIUM);
        assert_int_equal(cgroup_kill("/x"), -ENOMEDIUM);
        assert_false(cgroup_has_controller("memory"));

        clear();
        hybrid();
        assert_int_equal(cgroup_root(&root), 0);
        assert_string_equal(root, "/sys/fs/cgroup/unified");

        clear();
        unified();
        assert_int_equal(cgroup_root(&root), 0);
        assert_string_equal(root, "/sys/fs/cgroup");
        clear();
}

static void life(void) {
        _cleanup_free_ char *a = NULL, *b = NULL, *path = NULL, *freeze = NULL;
        pid_t pids[8] = { 0 }, p, q, z;
        bool populated = true, frozen = true;
        unsigned long long v = 0;
        uint64_t id, other_id;

        make("");
        make("/a");
        make("/a/b");
        a = in_group("/a");
        b = in_group("/a/b");

        assert_int_equal(cgroup_events(a, &populated, &frozen), 0);
        assert_false(populated);
        assert_false(frozen);
        assert_int_equal(cgroup_pids(a, pids, 8), 0);

        p = sleeper_in("/a");
        q = sleeper_in("/a/b");
        assert_int_equal(cgroup_events(a, &populated, NULL), 0);
        assert_true(populated);
        assert_int_equal(cgroup_pids(a, pids, 8), 2);
        assert_true((pids[0] == p && pids[1] == q) || (pids[0] == q && pids[1] == p));
        assert_int_equal(cgroup_pids(b, pids, 8), 1);
        assert_int_equal(pids[0], q);
        pids[0] = pids[1] = 0;
        /* All are counted, but none is written beyond the room. */
        assert_int_equal(cgroup_pids(a, pids, 1), 2);
        assert_int_equal(pids[1], 0);
        assert_int_equal(cgroup_pids(a, NULL, 0), 2);

        assert_int_equal(cgroup_of_pid(q, &path), 0);
        assert_string_equal(path, b);
        assert_int_equal(cgroup_id(b, &id), 0);
        assert_int_equal(cgroup_read_u64(a, "cgroup.events", "populated", &v), 0);
        assert_int_equal(v, 1);
        assert_int_equal(cgroup_read_u64(a, "cgroup.max.depth", NULL, &v), 0);
        assert_true(v == ULLONG_MAX); /* "max" */
        assert_int_equal(cgroup_read_u64(a, "cgroup.stat", "nr_descendants", &v), 0);
        assert_int_equal(v, 1);
        v = 4711;
        assert_int_equal(cgroup_read_u64(a, "cgroup.stat", "nr_desc", &v), -ENODATA); /* no prefixes */
        assert_int_equal(cgroup_read_u64(a, "cgroup.stat", "no-such-key", &v), -ENODATA);
        /* "domain" is not a number */
        assert_int_equal(cgroup_read_u64(a, "cgroup.type", NULL, &v), -ENODATA);
        assert_int_equal(cgroup_read_u64(a, "no.such.file", NULL, &v), -ENOENT);
        assert_int_equal(v, 4711);

        assert_true(asprintf(&freeze, "/a/cgroup.freeze") > 0);
        {
                _cleanup_free_ char *file = full(freeze);

                assert_int_equal(file_write_string(file, "1"), 0);
                for (int i = 0; i < 2000 && !frozen; i++) {
                        (void) usleep(1000);
                        assert_int_equal(cgroup_events(a, NULL, &frozen), 0);
                }
                assert_true(frozen);
        }
        {
                _cleanup_free_ char *above = NULL, *none = NULL;

                assert_int_equal(cgroup_frozen_above(b, &above), 0);
                assert_string_equal(above, "a");
                assert_int_equal(cgroup_frozen_above(a, &none), -ENOENT); /* it is frozen itself */
                assert_int_equal(cgroup_frozen_above("/", &none), -ENOENT);
        }

        /* Without the feature nothing is killed. With it everything below is killed, frozen or not. */
        assert_int_equal(setenv("ARCHITECT_FEATURES_OFF", "cgroup-kill", 1), 0);
        assert_int_equal(cgroup_kill(a), -EOPNOTSUPP);
        assert_int_equal(unsetenv("ARCHITECT_FEATURES_OFF"), 0);
        assert_int_equal(cgroup_pids(a, NULL, 0), 2);
        assert_int_equal(cgroup_kill(a), 0);
        assert_killed(p);
        assert_killed(q);

        /* A zombie stays in a cgroup that is removed. It is then in no cgroup, even if one of that name is
         * created again. */
        z = sleeper_in("/a/b");
        assert_int_equal(kill(z, SIGKILL), 0);
        {
                siginfo_t info;

                assert_int_equal(waitid(P_PID, (id_t) z, &info, WEXITED | WNOWAIT), 0);
        }
        removed("/a/b");
        assert_int_equal(cgroup_id(b, &other_id), -ENOENT);
        free(path);
        path = NULL;
        assert_int_equal(cgroup_of_pid(z, &path), -ENODATA);
        make("/a/b");
        assert_int_equal(cgroup_id(b, &other_id), 0);
        assert_true(id != other_id);
        {
                _cleanup_free_ char *one = full("/a/b/one"), *two = full("/a/b/two");

                assert_int_equal(cgroup_set_max_descendants(b, 1), 0);
                assert_int_equal(mkdir(one, 0755), 0);
                assert_int_equal(mkdir(two, 0755), -1);
                assert_int_equal(errno, EAGAIN);
                removed("/a/b/one");
        }
        assert_int_equal(cgroup_of_pid(z, &path), -ENODATA);
        assert_null(path);
        assert_int_equal(waitpid(z, NULL, 0), z);
        assert_int_equal(cgroup_of_pid(z, &path), -ESRCH);
        assert_int_equal(cgroup_of_pid(0, &path), -ESRCH);

        removed("/a/b");
        removed("/a");
        populated = frozen = true;
        assert_int_equal(cgroup_events(a, &populated, &frozen), 0);
        assert_false(populated);
        assert_false(frozen);
        assert_int_equal(cgroup_pids(a, pids, 8), 0);
        assert_int_equal(cgroup_kill(a), -ENOENT);
        assert_int_equal(cgroup_set_max_descendants(a, 1), -ENOENT);
        assert_int_equal(cgroup_read_u64(a, "cgroup.events", "populated", &v), -ENOENT);
        removed("");
}

static void test_unified(void **state) {
        unified();
        life();
        clear();
}

static void test_hybrid(void **state) {
        hybrid();
        life();
        clear();
}

static void test_bad_paths(void **state) {
        static const char *const bad[] = { "", "/", "relative", "/..", "/../x", "/a/..", "/a/../b" };
        unsigned long long v;

        unified();
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(cgroup_kill(bad[i]), -EINVAL);
                assert_int_equal(cgroup_events(bad[i], NULL, NULL), -EINVAL);
                assert_int_equal(cgroup_pids(bad[i], NULL, 0), -EINVAL);
                assert_int_equal(cgroup_read_u64(bad[i], "cgroup.events", "populated", &v), -EINVAL);
        }
        assert_int_equal(cgroup_kill("/..no-such"), -ENOENT); /* a name like any other */
        clear();
}

/* The file cgroup.kill does not exist before Linux 5.14. A cgroup without it is "not supported", a missing
 * cgroup is "gone". A tmpfs over a real cgroup takes the place of a cgroup without the file. */
static void test_no_kill(void **state) {
        _cleanup_free_ char *path = NULL;

        unified();
        make("");
        path = full("");
        assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
        assert_int_equal(cgroup_kill(group), -EOPNOTSUPP);
        assert_int_equal(umount(path), 0);
        removed("");
        assert_int_equal(cgroup_kill(group), -ENOENT);
        clear();
}

static void write_controllers(const char *directory, const char *text) {
        autofd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(file_replace(fd, "controllers", text, strlen(text)), 0);
}

/* The controllers of the kernel cannot be chosen, so a file is bound over that of the kernel. */
static void test_controllers(void **state) {
        char dir[] = "/tmp/architect-test-XXXXXX";
        _cleanup_free_ char *file = NULL;

        assert_non_null(mkdtemp(dir));
        write_controllers(dir, "cpuset cpu io memory\n");
        assert_true(asprintf(&file, "%s/controllers", dir) > 0);

        unified();
        assert_int_equal(mount(file, "/sys/fs/cgroup/cgroup.controllers", NULL, MS_BIND, NULL), 0);
        assert_true(cgroup_has_controller("cpu"));
        assert_true(cgroup_has_controller("memory"));
        assert_true(cgroup_has_controller("cpuset"));
        assert_false(cgroup_has_controller("pids"));
        assert_false(cgroup_has_controller("mem"));
        assert_false(cgroup_has_controller("memory2"));
        assert_false(cgroup_has_controller(""));
        assert_false(cgroup_has_controller("../cgroup.procs"));
        clear();

        /* In the hybrid layout systemd does not use the controllers that v2 lists, but it uses a mounted v1
         * controller. */
        hybrid();
        assert_int_equal(mount(file, "/sys/fs/cgroup/unified/cgroup.controllers", NULL, MS_BIND, NULL), 0);
        assert_false(cgroup_has_controller("memory"));
        assert_int_equal(mkdir("/sys/fs/cgroup/memory", 0755), 0);
        assert_false(cgroup_has_controller("memory")); /* a directory is not a hierarchy */
        assert_int_equal(
                mount("cgroup", "/sys/fs/cgroup/memory", "cgroup", 0, "none,name=architect-test"), 0);
        assert_true(cgroup_has_controller("memory"));
        clear();

        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(dir), 0);
}

/* Below a user manager only the controllers that were delegated to it are used. */
static void test_delegated(void **state) {
        char dir[] = "/tmp/architect-test-XXXXXX", text[16];
        _cleanup_free_ char *file = NULL, *target = NULL, *procs = NULL;
        int status;
        pid_t pid;

        assert_non_null(mkdtemp(dir));
        write_controllers(dir, "memory pids\n");
        assert_true(asprintf(&file, "%s/controllers", dir) > 0);

        unified();
        make("");
        make("/user@1000.service");
        make("/user@1000.service/app.slice");
        target = full("/user@1000.service/cgroup.controllers");
        procs = full("/user@1000.service/app.slice/cgroup.procs");
        assert_int_equal(mount(file, target, NULL, MS_BIND, NULL), 0);

        pid = fork();
        if (pid == 0) {
                (void) snprintf(text, sizeof(text), "%d", (int) getpid());
                if (file_write_string(procs, text) < 0)
                        _exit(1);
                _exit(cgroup_has_controller("pids") && !cgroup_has_controller("io") ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);

        assert_int_equal(umount(target), 0);
        removed("/user@1000.service/app.slice");
        removed("/user@1000.service");
        removed("");
        clear();
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(dir), 0);
}

static void test_stray_scope_names(void **state) {
        static const struct {
                const char *cgroup;
                const char *scope; /* NULL if there is none */
        } cases[] = {
                { "/user.slice/user-1000.slice/session-c3.scope",
                        "/user.slice/user-1000.slice/session-c3.scope" },
                { "/system.slice/run-r1.scope/a/b", "/system.slice/run-r1.scope" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope",
                        "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope" },
                { "/outer.scope/inner.scope/x", "/outer.scope/inner.scope" },
                { "/session-1.scope/x.service", NULL },
                { "/session-1.scope/x.service/y", NULL },
                { "/system.slice/cron.service", NULL },
                { "/user.slice/user-1000.slice", NULL },
                { "/init.scope", NULL },
                { "/user.slice/user-1000.slice/user@1000.service/init.scope", NULL },
                { "/architect.slice/architect-other-cam.scope", NULL },
                { "/outer.scope/architect-other-cam.scope/sub", NULL },
                { "/.scope", NULL },
                { "/xscope", NULL },
                { "/elsewhere", NULL },
                { "/", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *scope = NULL;

                int r = stray_scope_of(cases[i].cgroup, &scope);
                assert_int_equal(r, cases[i].scope ? 0 : -ENODATA);
                if (cases[i].scope)
                        assert_string_equal(scope, cases[i].scope);
                else
                        assert_null(scope);
        }
}

static void test_stray_scope_check(void **state) {
        _cleanup_free_ char *scope = NULL, *service = NULL, *slice = NULL;
        struct proc_stat older, younger;
        pid_t p, q;

        unified();
        make("");
        make("/a.scope");
        make("/a.scope/sub");
        make("/b.service");
        scope = in_group("/a.scope");
        service = in_group("/b.service");
        slice = in_group("/a.scope/sub");

        assert_int_equal(stray_scope_check(scope, 0), -ENOENT);
        p = sleeper_in("/a.scope/sub");
        assert_int_equal(proc_stat_read(p, &older), 0);
        (void) usleep(50000); /* more than a clock tick, in which the start times are */
        q = sleeper_in("/a.scope");
        assert_int_equal(proc_stat_read(q, &younger), 0);
        assert_true(older.start_time < younger.start_time);

        assert_int_equal(stray_scope_check(scope, older.start_time), 0);
        assert_int_equal(stray_scope_check(scope, older.start_time + 1), -EPERM);
        assert_int_equal(stray_scope_check(scope, younger.start_time), -EPERM);
        /* Only the scope itself, and no service. */
        assert_int_equal(stray_scope_check(slice, 0), -EPERM);
        assert_int_equal(stray_scope_check(service, 0), -EPERM);
        assert_int_equal(stray_scope_check("/", 0), -EPERM);

        assert_int_equal(cgroup_kill(scope), 0);
        assert_killed(p);
        assert_killed(q);
        removed("/a.scope/sub");
        removed("/a.scope");
        removed("/b.service");
        removed("");
        clear();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stray_scope_names),
                cmocka_unit_test(test_stray_scope_check),
                cmocka_unit_test(test_root),
                cmocka_unit_test(test_unified),
                cmocka_unit_test(test_hybrid),
                cmocka_unit_test(test_bad_paths),
                cmocka_unit_test(test_no_kill),
                cmocka_unit_test(test_controllers),
                cmocka_unit_test(test_delegated),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
