/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Signals to all processes of a cgroup, and to any process of a role. The processes are children of the test;
 * the test moves them. */

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "keeper/cgroup-signal.h"

#define ROOT "/sys/fs/cgroup"

/* -- cgroups and processes -- */

/* Each test has a directory of its own, so that two runs do not meet. */
static char *cgroup_path(const char *name) {
        static char paths[8][128];
        static unsigned n;
        char *path = paths[n++ % ELEMENTSOF(paths)];

        (void) snprintf(path, sizeof(paths[0]), "/architect-test-%d%.80s", (int) getppid(), name);
        return path;
}

static void cgroup_make(const char *path) {
        char directory[512];

        (void) snprintf(directory, sizeof(directory), ROOT "%s", path);
        if (mkdir(directory, 0755) < 0)
                fail_msg("cannot make %s: %s", directory, strerror(errno));
}

static void cgroup_write(const char *path, const char *file, const char *text) {
        char name[512];
        int r;

        (void) snprintf(name, sizeof(name), ROOT "%s/%s", path, file);
        r = file_write_string(name, text);
        if (r < 0)
                fail_msg("cannot write %s to %s: %s", text, name, strerror(-r));
}

static void cgroup_move(const char *path, pid_t pid) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        cgroup_write(path, "cgroup.procs", text);
}

static bool cgroup_is_removed(void *userdata) {
        char directory[512];

        (void) snprintf(directory, sizeof(directory), ROOT "%s", (const char *) userdata);
        return rmdir(directory) == 0 || errno == ENOENT;
}

static void cgroup_remove(const char *path) {
        if (!wait_for(cgroup_is_removed, (void *) path))
                fail_msg("%s still has processes", path);
}

/* A process that waits in this cgroup for a signal. */
static pid_t process_new(const char *path) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        (void) pause();
        }
        if (path)
                cgroup_move(path, pid);
        return pid;
}

static int process_end(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static bool process_is_alive(pid_t pid) {
        siginfo_t info = { 0 };

        assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        return info.si_pid == 0;
}

static void process_kill(pid_t pid) {
        assert_true(process_is_alive(pid));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(process_end(pid), SIGKILL);
}

static uint64_t start_time_of(pid_t pid) {
        struct proc_stat st;

        assert_int_equal(proc_stat_read(pid, &st), 0);
        return st.start_time;
}

/* -- requests -- */

static int signal_cgroup(World *w, uint64_t child, const char *path, int signo, uint32_t flags) {
        struct keeper_signal_cgroup m = {
                .header = { .type = KEEPER_SIGNAL_CGROUP, .child = child }, .signo = signo, .flags = flags
        };
        int fds[WORLD_FDS_MAX];
        Packet p;

        (void) snprintf(m.path, sizeof(m.path), "%s", path);
        node_send(w->node, &m, offsetof(struct keeper_signal_cgroup, path) + strlen(m.path) + 1);
        (void) world_receive(w, KEEPER_DONE, child, &p, fds);
        assert_int_equal(p.done.request, KEEPER_SIGNAL_CGROUP);
        return p.done.error;
}

static int signal_process(World *w, uint64_t child, pid_t pid, uint64_t start_time, int signo) {
        const struct keeper_signal_process m = { .header = { .type = KEEPER_SIGNAL_PROCESS, .child = child },
                .signo = signo,
                .pid = pid,
                .start_time = start_time };
        int fds[WORLD_FDS_MAX];
        Packet p;

        node_send(w->node, &m, sizeof(m));
        (void) world_receive(w, KEEPER_DONE, child, &p, fds);
        assert_int_equal(p.done.request, KEEPER_SIGNAL_PROCESS);
        return p.done.error;
}

/* -- the scope of a role -- */

static void test_all(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope");
        const char *below = cgroup_path("/architect-main-cam.scope/a"),
                   *deep = cgroup_path("/architect-main-cam.scope/a/b"),
                   *beside = cgroup_path("/architect-main-cam.scope.d");
        pid_t pids[3], other;

        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, 0), -ENOENT);
        cgroup_make(scope);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, 0), -ESRCH);
        cgroup_make(below);
        cgroup_make(deep);
        cgroup_make(beside);
        other = process_new(beside);
        pids[0] = process_new(scope);
        pids[1] = process_new(below);
        pids[2] = process_new(deep);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, 0), 0);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_int_equal(process_end(pids[i]), SIGTERM);

        pids[0] = process_new(scope);
        pids[1] = process_new(deep);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGKILL, 0), 0);
        assert_int_equal(process_end(pids[0]), SIGKILL);
        assert_int_equal(process_end(pids[1]), SIGKILL);

        pids[0] = process_new(scope);
        pids[1] = process_new(deep);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGKILL, KEEPER_CGROUP_EACH), 0);
        assert_int_equal(process_end(pids[0]), SIGKILL);
        assert_int_equal(process_end(pids[1]), SIGKILL);

        process_kill(other);
        cgroup_remove(deep);
        cgroup_remove(below);
        cgroup_remove(scope);
        cgroup_remove(beside);
}

/* A stopped process acts on the signal, because SIGCONT follows it. */
static void test_continue(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope");
        pid_t pid;
        int status;

        cgroup_make(scope);
        pid = process_new(scope);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGSTOP, 0), 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, KEEPER_CGROUP_CONTINUE), 0);
        assert_int_equal(process_end(pid), SIGTERM);
        cgroup_remove(scope);
}

static void *thread_wait(void *p) {
        for (;;)
                (void) pause();
        return p;
}

/* A process whose main thread has ended, and another thread goes on. */
static pid_t process_new_without_main_thread(const char *path) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                pthread_t thread;

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                cgroup_move(path, getpid()); /* a thread that has ended is not moved */
                if (pthread_create(&thread, NULL, thread_wait, NULL) != 0)
                        _exit(1);
                (void) syscall(SYS_exit, 0);
        }
        return pid;
}

static bool main_thread_is_dead(void *userdata) {
        struct proc_stat st;

        return proc_stat_read(*(pid_t *) userdata, &st) >= 0 && st.state == 'Z';
}

static void test_main_thread(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope");
        const int signals[] = { SIGTERM, SIGKILL };

        cgroup_make(scope);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                pid_t pid = process_new_without_main_thread(scope);

                assert_true(wait_for(main_thread_is_dead, &pid));
                assert_int_equal(signal_cgroup(w, 0, scope, signals[i], KEEPER_CGROUP_EACH), 0);
                assert_int_equal(process_end(pid), signals[i]);
        }
        cgroup_remove(scope);
}

/* The list of a threaded cgroup cannot be read. Its processes are in the list above. */
static void test_threaded(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope"),
                   *threads = cgroup_path("/architect-main-cam.scope/threads");
        pid_t pid;
        char text[16];

        cgroup_make(scope);
        pid = process_new(scope);
        cgroup_make(threads);
        cgroup_write(threads, "cgroup.type", "threaded");
        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        cgroup_write(threads, "cgroup.threads", text);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, 0), 0);
        assert_int_equal(process_end(pid), SIGTERM);
        cgroup_remove(threads);
        cgroup_remove(scope);
}

/* More processes than one batch would be too many for a test, so this is only many. */
static void test_many(void **state) {
        enum { N = 300 };
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope");
        pid_t pids[N];

        cgroup_make(scope);
        for (int i = 0; i < N; i++)
                pids[i] = process_new(scope);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, KEEPER_CGROUP_CONTINUE), 0);
        for (int i = 0; i < N; i++)
                assert_int_equal(process_end(pids[i]), SIGTERM);
        cgroup_remove(scope);
}

/* A role has made so many cgroups that not all are read. SIGKILL reaches them nevertheless. */
static void test_deep(void **state) {
        enum { DEPTH = 70 };
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope");
        char path[512];
        pid_t top, bottom;

        (void) snprintf(path, sizeof(path), "%s", scope);
        cgroup_make(scope);
        for (int i = 0; i < DEPTH; i++) {
                (void) snprintf(path + strlen(path), sizeof(path) - strlen(path), "/d");
                cgroup_make(path);
        }
        top = process_new(scope);
        bottom = process_new(path);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGTERM, 0), -E2BIG);
        assert_int_equal(process_end(top), SIGTERM);
        assert_true(process_is_alive(bottom));
        assert_int_equal(signal_cgroup(w, 0, scope, SIGKILL, 0), 0);
        assert_int_equal(process_end(bottom), SIGKILL);
        for (int i = 0; i < DEPTH; i++) {
                cgroup_remove(path);
                *strrchr(path, '/') = '\0';
        }
        cgroup_remove(scope);
}

/* Processes that fork for ever are gone after one request, whether or not the kernel has cgroup.kill. */
static void test_forks(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope");

        for (int round = 0; round < 4; round++) {
                pid_t pids[4];

                cgroup_make(scope);
                for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                        pids[i] = fork();
                        assert_true(pids[i] >= 0);
                        if (pids[i] == 0) {
                                cgroup_move(scope, getpid());
                                (void) signal(SIGCHLD, SIG_IGN);
                                /* The parent goes, the child goes on. */
                                for (;;)
                                        if (fork() > 0)
                                                _exit(0);
                        }
                }
                for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                        assert_int_equal(process_end(pids[i]), 0);
                assert_int_equal(signal_cgroup(w, 0, scope, SIGKILL, round % 2 ? KEEPER_CGROUP_EACH : 0), 0);
                cgroup_remove(scope);
        }
}

static void mask_cgroup_kill(World *w) {
        (void) setenv("ARCHITECT_FEATURES_OFF", "cgroup-kill", 1);
}

static void test_forks_masked(void **state) {
        World *w = *state;

        world_start(w, &(struct start){ .before_exec = mask_cgroup_kill });
        test_forks(state);
        test_all(state);
}

/* Whoever has put the keeper into the scope of a role has not ended it with the role. */
static void test_keeper_inside(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope"), *top = cgroup_path("");
        pid_t pid;

        cgroup_make(scope);
        for (int i = 0; i < 2; i++) {
                pid = process_new(scope);
                cgroup_move(scope, w->keeper);
                assert_int_equal(signal_cgroup(w, 0, scope, SIGKILL, i == 0 ? 0 : KEEPER_CGROUP_EACH), 0);
                assert_int_equal(process_end(pid), SIGKILL);
                cgroup_move(top, w->keeper);
        }
        cgroup_remove(scope);
}

/* -- which cgroups -- */

static void test_refused(void **state) {
        World *w = *state;
        static const struct {
                const char *path;
                uint32_t flags;
                int error;
        } refused[] = {
                { "", 0, -EPERM },
                { "/", 0, -EPERM },
                { "/system.slice", 0, -EPERM },
                { "/init.scope", 0, -EPERM },
                { "/system.slice/ssh.service", 0, -EPERM },
                { "/user.slice/user-1000.slice/session-1.scope", 0, -EPERM },
                { "/architect.slice/architect-other-cam.scope", 0, -EPERM },
                { "/architect.slice/architect-main-.scope", 0, -EPERM },
                { "/architect.slice/architect-main-cam.scope/below", 0, -EPERM },
                { "/architect.slice/architect-main-cam.scope/", 0, -EPERM },
                { "/architect.slice/architect-main-cam.scope/..", 0, -EPERM },
                { "/architect.slice/architect-main-cam.service", 0, -EPERM },
                { "/architect-main-cam.slice", 0, -EPERM },
                { "/../architect-main-cam.scope", 0, -EINVAL },
                { "/a/../architect-main-cam.scope", 0, -EINVAL },
                { "architect-main-cam.scope", 0, -EINVAL },
                { "", KEEPER_CGROUP_STRAY, -EPERM },
                { "/", KEEPER_CGROUP_STRAY, -EPERM },
                { "/init.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/system.slice", KEEPER_CGROUP_STRAY, -EPERM },
                { "/system.slice/ssh.service", KEEPER_CGROUP_STRAY, -EPERM },
                { "/user.slice/session-1.scope/below", KEEPER_CGROUP_STRAY, -EPERM },
                { "/user.slice/user@1.service/init.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/user.slice/run-1.scope/../../system.slice", KEEPER_CGROUP_STRAY, -EPERM },
                { "/user.slice/../run-1.scope", KEEPER_CGROUP_STRAY, -EINVAL },
                { "run-1.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/session-1.scope/ssh.service", KEEPER_CGROUP_STRAY, -EPERM },
                { "/architect.slice/architect-other-cam.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/architect.slice/architect-main-cam.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/architect.slice/architect-main-other.scope", KEEPER_CGROUP_STRAY, -EPERM },
                { "/user.slice/run-1.scope", KEEPER_CGROUP_STRAY, -ENOENT },
                { "/architect-main-cam.scope", UINT32_C(1) << 3, -EOPNOTSUPP },
        };
        const char *scope = cgroup_path("/architect-main-cam.scope");
        Role role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        pid_t pid;

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                int r = signal_cgroup(w, role.id, refused[i].path, SIGTERM, refused[i].flags);

                if (r != refused[i].error)
                        fail_msg("\"%s\": %s", refused[i].path, strerror(-r));
        }

        cgroup_make(scope);
        pid = process_new(scope);
        assert_int_equal(signal_cgroup(w, 0, scope, 0, 0), -EINVAL);
        assert_int_equal(signal_cgroup(w, 0, scope, -1, 0), -EINVAL);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGRTMAX + 1, KEEPER_CGROUP_EACH), -EINVAL);
        process_kill(pid);
        cgroup_remove(scope);
        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_end(w, &role);
}

static void test_kill_cgroup_of_others(void **state) {
        World *w = *state;
        static const struct {
                const char *path;
                int error;
        } refused[] = {
                { "", -EPERM },
                { "/", -EPERM },
                { "/system.slice/ssh.service", -EPERM },
                { "/user.slice/user-1000.slice/session-1.scope", -EPERM },
                { "/architect.slice/architect-other-cam.scope", -EPERM },
                { "/architect.slice/architect-main-cam.scope/..", -EPERM },
                { "/architect.slice/architect-main-cam.scope/below", -EPERM },
                { "/architect.slice/architect-main-cam.scope/", -EPERM },
                { "/architect.slice/architect-main-.scope", -EPERM },
                { "/architect.slice/architect-main-cam.service", -EPERM },
                { "/architect.slice/architect-main-cam.slice", -EPERM },
                { "/architect.slice/xarchitect-main-cam.scope", -EPERM },
                { "/architect.slice/architect-main-cam.scope.d", -EPERM },
                { "/init.scope", -EPERM },
                { "/architect.slice/../architect-main-cam.scope", -EINVAL },
                { "/../architect-main-cam.scope", -EINVAL },
                { "architect-main-cam.scope", -EINVAL },
                { "/no/such/architect-main-cam.scope", -ENOENT },
        };
        int fds[WORLD_FDS_MAX];
        Packet p;

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                struct keeper_kill_cgroup m = { .header = { .type = KEEPER_KILL_CGROUP } };

                (void) snprintf(m.path, sizeof(m.path), "%s", refused[i].path);
                node_send(w->node, &m, sizeof(m));
                (void) world_receive(w, KEEPER_DONE, 0, &p, fds);
                if (p.done.error != refused[i].error)
                        fail_msg("\"%s\": %s", refused[i].path, strerror(-p.done.error));
        }
}

/* The start time is in ticks of 10 ms. */
static void wait_for_next_tick(uint64_t start_time) {
        uint64_t now;

        do {
                pid_t pid = process_new(NULL);

                now = start_time_of(pid);
                process_kill(pid);
        } while (now <= start_time);
}

static void test_stray(void **state) {
        World *w = *state;
        const char *stray = cgroup_path("/session-c1.scope"), *below = cgroup_path("/session-c1.scope/below");
        const uint32_t flags[] = { 0, KEEPER_CGROUP_EACH };
        pid_t older = process_new(NULL), younger;
        Role role;

        cgroup_make(stray);
        cgroup_make(below);
        wait_for_next_tick(start_time_of(older));
        role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));

        /* Only with a child that the keeper has. */
        younger = process_new(stray);
        assert_int_equal(signal_cgroup(w, 0, stray, SIGTERM, KEEPER_CGROUP_STRAY), -ENOENT);
        assert_int_equal(signal_cgroup(w, role.id + 1, stray, SIGTERM, KEEPER_CGROUP_STRAY), -ENOENT);
        assert_int_equal(signal_cgroup(w, role.id, stray, SIGTERM, KEEPER_CGROUP_STRAY), 0);
        assert_int_equal(process_end(younger), SIGTERM);

        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                younger = process_new(below);
                assert_int_equal(
                        signal_cgroup(w, role.id, stray, SIGKILL, KEEPER_CGROUP_STRAY | flags[i]), 0);
                assert_int_equal(process_end(younger), SIGKILL);
        }

        /* One that is older, or the keeper, and none receives it. */
        cgroup_move(below, older);
        younger = process_new(stray);
        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                assert_int_equal(
                        signal_cgroup(w, role.id, stray, SIGTERM, KEEPER_CGROUP_STRAY | flags[i]), -EPERM);
                assert_int_equal(
                        signal_cgroup(w, role.id, stray, SIGKILL, KEEPER_CGROUP_STRAY | flags[i]), -EPERM);
        }
        assert_true(process_is_alive(younger));
        process_kill(older);
        cgroup_move(below, w->keeper);
        assert_int_equal(signal_cgroup(w, role.id, stray, SIGKILL, KEEPER_CGROUP_STRAY), -EPERM);
        cgroup_move(cgroup_path(""), w->keeper);

        /* The main process may be there itself, and as a zombie it still vouches for the others. */
        cgroup_move(stray, role.pid);
        assert_int_equal(signal_cgroup(w, role.id, stray, SIGTERM, KEEPER_CGROUP_STRAY), 0);
        assert_int_equal(process_end(younger), SIGTERM);
        assert_int_equal(role_ended(w, &role).exit.wait_status, SIGTERM);
        younger = process_new(stray);
        assert_int_equal(signal_cgroup(w, role.id, stray, SIGKILL, KEEPER_CGROUP_STRAY), 0);
        assert_int_equal(process_end(younger), SIGKILL);
        (void) role_end(w, &role);
        younger = process_new(stray);
        assert_int_equal(signal_cgroup(w, role.id, stray, SIGKILL, KEEPER_CGROUP_STRAY), -ENOENT);
        process_kill(younger);
        cgroup_remove(below);
        cgroup_remove(stray);
}

static void test_process(void **state) {
        World *w = *state;
        pid_t older = process_new(NULL), younger;
        uint64_t time;
        Role role;

        wait_for_next_tick(start_time_of(older));
        role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        younger = process_new(NULL);
        time = start_time_of(younger);

        assert_int_equal(signal_process(w, role.id, older, start_time_of(older), SIGTERM), -EPERM);
        assert_int_equal(signal_process(w, role.id, older, time, SIGTERM), -ESRCH);
        assert_int_equal(signal_process(w, role.id, younger, time + 1, SIGTERM), -ESRCH);
        assert_int_equal(signal_process(w, role.id + 1, younger, time, SIGTERM), -ENOENT);
        assert_int_equal(signal_process(w, role.id, younger, time, 0), -EINVAL);
        assert_int_equal(signal_process(w, role.id, younger, time, SIGRTMAX + 1), -EINVAL);
        assert_int_equal(signal_process(w, role.id, 1, UINT64_MAX, SIGTERM), -EPERM);
        assert_int_equal(signal_process(w, role.id, 0, UINT64_MAX, SIGTERM), -EPERM);
        assert_int_equal(signal_process(w, role.id, -1, UINT64_MAX, SIGTERM), -EPERM);
        assert_int_equal(signal_process(w, role.id, w->keeper, UINT64_MAX, SIGTERM), -EPERM);
        assert_true(process_is_alive(older) && process_is_alive(younger));
        assert_int_equal(signal_process(w, role.id, younger, time, SIGTERM), 0);
        assert_int_equal(process_end(younger), SIGTERM);
        assert_int_equal(signal_process(w, role.id, younger, time, SIGTERM), -ESRCH);

        process_kill(older);
        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_end(w, &role);
}

/* -- cgroups of the test -- */

static int group_setup(void **state) {
        int r = world_group_setup(state);

        if (r < 0)
                return r;
        /* The keepers share the mount namespace. */
        if (mount("cgroup2", ROOT, "cgroup2", 0, NULL) < 0)
                return -1;
        return 0;
}

/* -- children in a cgroup -- */

/* Returns the error of the keeper. The child is at its gate. */
static int fork_into(World *w, uint64_t id, const char *path, uint32_t flags, Role *ret) {
        struct keeper_fork_into m = { .fork = { .header = { .type = KEEPER_FORK_INTO, .child = id },
                                              .flags = flags } };
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        (void) snprintf(m.fork.role, sizeof(m.fork.role), "cam");
        (void) snprintf(m.path, sizeof(m.path), "%s", path);
        node_send(w->node, &m, offsetof(struct keeper_fork_into, path) + strlen(m.path) + 1);
        n_fds = world_receive(w, KEEPER_FORKED, id, &p, fds);
        if (p.forked.error < 0) {
                assert_int_equal(n_fds, 0);
                return p.forked.error;
        }
        assert_int_equal(p.forked.fds, KEEPER_FD_PIDFD | KEEPER_FD_GATE);
        *ret = (Role){ .id = id,
                .pid = p.forked.pid,
                .start_time = p.forked.start_time,
                .pidfd = fds[0],
                .gate = fds[1],
                .stdin_fd = -EBADF,
                .terminal = -EBADF,
                .master = -EBADF,
                .record = -EBADF,
                .stream = -EBADF };
        return 0;
}

static void assert_in_cgroup(pid_t pid, const char *expected) {
        _cleanup_free_ char *path = NULL;

        assert_int_equal(cgroup_of_pid(pid, &path), 0);
        assert_string_equal(path, expected);
}

static void test_fork_into(void **state) {
        World *w = *state;
        const char *scope = cgroup_path("/architect-main-cam.scope"),
                   *other = cgroup_path("/architect-main-cam.service"),
                   *post = cgroup_path("/architect-main-_post-cam.scope");
        Role role;

        assert_int_equal(fork_into(w, 11, scope, 0, &role), -ENOENT);
        cgroup_make(scope);
        cgroup_make(other);
        assert_int_equal(fork_into(w, 11, other, 0, &role), -EPERM);
        assert_int_equal(fork_into(w, 11, "/", 0, &role), -EPERM);
        assert_int_equal(fork_into(w, 11, scope, KEEPER_FORK_STDIN_PIPE, &role), -EOPNOTSUPP);

        /* It is there before its launch request, and becomes what that says. */
        assert_int_equal(fork_into(w, 11, scope, 0, &role), 0);
        assert_in_cgroup(role.pid, scope);
        role_open(&role, QUIET(.commands = (char *[]){ "1", "true", NULL }));
        role_listen(&role);
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);

        assert_int_equal(fork_into(w, 13, scope, 0, &role), 0);
        assert_int_equal(fork_into(w, 13, scope, 0, &(Role){ 0 }), -EEXIST);
        assert_int_equal(signal_cgroup(w, 0, scope, SIGKILL, 0), 0);
        role_listen(&role);
        assert_int_equal(role_end(w, &role).exit.wait_status, SIGKILL);

        /* That of exec-stop-post can be signalled, too. */
        cgroup_make(post);
        pid_t pid = process_new(post);
        assert_int_equal(signal_cgroup(w, 0, post, SIGTERM, 0), 0);
        assert_int_equal(process_end(pid), SIGTERM);
        cgroup_remove(post);
        cgroup_remove(other);
        cgroup_remove(scope);
}

static int setup(void **state) {
        int r = world_setup_connected(state);

        cgroup_make(cgroup_path(""));
        return r;
}

static int setup_alone(void **state) {
        int r = world_setup(state);

        cgroup_make(cgroup_path(""));
        return r;
}

/* -- what a failed test leaves -- */

static unsigned n_left;

static int directory_kill(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        char name[512];
        pid_t pid;

        if (type != FTW_DP)
                return 0;
        (void) snprintf(name, sizeof(name), "%s/cgroup.procs", path);
        FILE *f = fopen(name, "re");
        if (!f)
                return 0;
        while (fscanf(f, "%d", &pid) == 1)
                n_left += kill(pid, SIGKILL) >= 0;
        (void) fclose(f);
        return 0;
}

static int directory_remove(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        if (type == FTW_DP)
                n_left += rmdir(path) >= 0;
        return 0;
}

static bool tree_is_removed(void *directory) {
        (void) nftw(directory, directory_kill, 16, FTW_DEPTH | FTW_PHYS);
        (void) nftw(directory, directory_remove, 16, FTW_DEPTH | FTW_PHYS);
        return access(directory, F_OK) < 0;
}

/* A test that passes leaves the empty cgroup of its setup and no other. This comes before the world, whose
 * teardown ends with its first assertion that fails. */
static int teardown(void **state) {
        World *w = *state;
        char directory[512];
        bool clean;

        (void) snprintf(directory, sizeof(directory), ROOT "%s", cgroup_path(""));
        if (w->keeper > 0)
                cgroup_move("", w->keeper);
        n_left = 0;
        clean = wait_for(tree_is_removed, directory) && n_left == 1;
        if (!clean)
                print_error("%s was not empty\n", directory);
        return world_teardown(state) < 0 || !clean ? -1 : 0;
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_all),
                CONNECTED(test_continue),
                CONNECTED(test_main_thread),
                CONNECTED(test_threaded),
                CONNECTED(test_many),
                CONNECTED(test_deep),
                CONNECTED(test_forks),
                cmocka_unit_test_setup_teardown(test_forks_masked, setup_alone, teardown),
                CONNECTED(test_keeper_inside),
                CONNECTED(test_refused),
                CONNECTED(test_kill_cgroup_of_others),
                CONNECTED(test_stray),
                CONNECTED(test_process),
                CONNECTED(test_fork_into),
        };

        return cmocka_run_group_tests(tests, group_setup, NULL);
}
