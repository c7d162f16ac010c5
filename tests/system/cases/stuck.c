/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Processes that SIGKILL does not end: they wait in the kernel for a file system that does not answer, or a
 * tracer holds them. Start, Stop and Kill fail in time and name them, others are not delayed, and everything
 * goes on when the processes are gone. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testlib.h"

#define IN_KERNEL "waits in the kernel (uninterruptible sleep)"

/* -- a file system that takes each request and answers none -- */

static pid_t server;
static int requests; /* the server writes the pid of each request that it has taken */
static char *hung;   /* its mount point */

static void serve(int fd, int taken) {
        union {
                char bytes[FUSE_MIN_READ_BUFFER + 131072];
                struct {
                        struct fuse_in_header header;
                        struct fuse_init_in init;
                };
        } request;

        for (;;) {
                if (read(fd, &request, sizeof(request)) < (ssize_t) sizeof(request.header))
                        continue;
                if (request.header.opcode != FUSE_INIT) {
                        if (write(taken, &request.header.pid, sizeof(request.header.pid)) < 0)
                                _exit(1);
                        continue;
                }
                struct {
                        struct fuse_out_header header;
                        struct fuse_init_out init;
                } reply = { .header = { .len = sizeof(reply), .unique = request.header.unique },
                        .init = { .major = FUSE_KERNEL_VERSION,
                                .minor = FUSE_KERNEL_MINOR_VERSION,
                                /* Else a process waits until the lookup of another one has ended. */
                                .flags = FUSE_PARALLEL_DIROPS,
                                .max_write = 4096 } };
                if (write(fd, &reply, sizeof(reply)) != sizeof(reply))
                        _exit(1);
        }
}

static void hung_begin(void) {
        int fd, pipe_fds[2];

        hung = g_strdup(scratch("hung"));
        assert_return_code(g_mkdir(hung, 0755), errno);
        if (mknod("/dev/fuse", S_IFCHR | 0666, makedev(10, 229)) < 0)
                assert_int_equal(errno, EEXIST);
        fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        assert_return_code(fd, errno);
        g_autofree char *options = g_strdup_printf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
        assert_return_code(mount("hung", hung, "fuse", MS_NOSUID | MS_NODEV, options), errno);
        assert_return_code(pipe2(pipe_fds, O_CLOEXEC), errno);
        server = fork();
        if (server == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(fd, pipe_fds[1]);
        }
        assert_true(server > 0);
        close(pipe_fds[1]);
        requests = pipe_fds[0];
        close(fd); /* the connection ends with the server */
}

/* Waits until the server has taken a request of the process. Before that a signal still ends it. */
static void hung_wait(pid_t pid) {
        static uint32_t taken[16];
        static size_t n_taken;

        for (size_t i = 0;; i++) {
                if (i == n_taken) {
                        struct pollfd wait = { .fd = requests, .events = POLLIN };
                        assert_true(n_taken < G_N_ELEMENTS(taken));
                        assert_int_equal(poll(&wait, 1, (int) (patience_usec() / 1000)), 1);
                        assert_int_equal(read(requests, &taken[n_taken], sizeof(taken[0])), sizeof(taken[0]));
                        n_taken++;
                }
                if (taken[i] == (uint32_t) pid)
                        return;
        }
}

/* Lets all of its waiters go. */
static void hung_end(void) {
        if (server > 0) {
                (void) kill(server, SIGKILL);
                (void) waitpid(server, NULL, 0);
                server = 0;
        }
}

static void assert_took(const Event *event, gint64 since, gint64 min_msec) {
        gint64 msec = (event->usec - since) / 1000;

        print_message("  %s after %" G_GINT64_FORMAT " ms\n", event->text, msec);
        assert_true(msec >= min_msec);
        assert_true(msec <= min_msec + 3000); /* a loaded machine */
}

static char *named(pid_t pid, const char *program) {
        return g_strdup_printf("%d (%s) " IN_KERNEL, (int) pid, program);
}

static pid_t wait_process(Bus *bus, const char *role, const char *name) {
        pid_t pid;

        WAIT_UNTIL((pid = role_find_process(bus, role, name)) > 0);
        return pid;
}

static void test_in_kernel(void **state) {
        Bus *bus = *state;
        const char *starts = role_name("starts"), *runs = role_name("runs"), *leaves = role_name("leaves"),
                   *moves = role_name("moves"), *other = role_name("other");
        guint32 start_call, stop_call, kill_call, leave_call, move_call, again_call;
        gint64 begin;

        hung_begin();
        node_configure(bus, "SetupTimeout=1s\n");
        g_autofree char *file = g_build_filename(hung, "file", NULL),
                        *other_file = g_build_filename(hung, "other", NULL),
                        *third_file = g_build_filename(hung, "third", NULL);

        /* The main process hangs, or one that it leaves. */
        start(bus, runs, OPTIONS("{'stop-timeout-usec': <@t 500000>}"), "/bin/cat", file, NULL);
        start(bus, leaves, OPTIONS("{'stop-timeout-usec': <@t 500000>}"), "/bin/sh", "-c",
                "cat \"$0\" & exec sleep 900", other_file, NULL);
        start(bus, moves, OPTIONS("{'stop-timeout-usec': <@t 500000>}"), "/bin/systemd-run", "--scope",
                "--unit=stuck-moves", "/bin/cat", third_file, NULL);
        pid_t run_pid = role_pid(bus, runs), left_pid = wait_process(bus, leaves, "cat");
        g_autofree char *cat = named(run_pid, "cat"), *left = named(left_pid, "cat");
        pid_t moved_pid = role_pid(bus, moves);
        g_autofree char *moved =
                g_strdup_printf("are left: %d (cat, in stuck-moves.scope) " IN_KERNEL, (int) moved_pid);
        hung_wait(run_pid);
        hung_wait(left_pid);
        hung_wait(moved_pid);
        send_signal(bus, leaves, "main", SIGKILL);
        expect_exited(bus, leaves, "killed", SIGKILL, "kill");

        begin = g_get_monotonic_time();
        start_call = node_send(bus, "Start",
                start_args(starts, OPTIONS("{'working-directory': <%s>}", file), actor(), "pause", NULL));
        stop_call = node_send(bus, "Stop", g_variant_new("(s)", runs));
        leave_call = node_send(bus, "Stop", g_variant_new("(s)", leaves));
        move_call = node_send(bus, "Stop", g_variant_new("(s)", moves));
        pid_t child = 0;
        WAIT_UNTIL((child = (pid_t) role_get_u32(bus, starts, "MainPID")) > 0);
        g_autofree char *number = g_strdup_printf("%d (", (int) child);

        /* Nothing else is delayed. */
        start(bus, other, NULL, actor(), "pause", NULL);
        stop(bus, other);

        assert_took(bus_failure(bus, stop_call, "StopTimedOut", runs, "5 s after SIGKILL", cat, NULL), begin,
                5500);
        bus_failure(bus, leave_call, "StopTimedOut", leaves, left, NULL);
        bus_failure(bus, move_call, "StopTimedOut", moves, moved, NULL);
        assert_took(bus_failure(bus, start_call, "SetupFailed", starts, "within 1 s", "5 s after SIGKILL",
                            number, IN_KERNEL, NULL),
                begin, 6000);
        assert_state(bus, runs, "stopping");
        assert_state(bus, starts, "starting");
        assert_poll(bus, leaves, "exit -9");
        start_fails(bus, start_args(starts, NULL, actor(), "pause", NULL), "RoleExists", starts,
                "failed start", NULL);

        /* Once more. The second Kill joins the first. */
        begin = g_get_monotonic_time();
        kill_call = node_send(bus, "Kill", g_variant_new("(s)", runs));
        stop_call = node_send(bus, "Kill", g_variant_new("(s)", starts));
        leave_call = node_send(bus, "Kill", g_variant_new("(s)", runs));
        again_call = node_send(bus, "Start", start_args(leaves, NULL, actor(), "pause", NULL));
        assert_took(bus_failure(bus, kill_call, "StopTimedOut", cat, NULL), begin, 5000);
        bus_failure(bus, leave_call, "StopTimedOut", cat, NULL);
        bus_failure(bus, stop_call, "StopTimedOut", number, IN_KERNEL, NULL);
        assert_took(
                bus_failure(bus, again_call, "SetupFailed", leaves, "previous run", left, NULL), begin, 5000);

        /* The service forgets nothing of it. */
        node_crash(bus);
        node_sync(bus);
        assert_state(bus, runs, "stopping");
        assert_state(bus, starts, "starting");
        stop_call = node_send(bus, "Stop", g_variant_new("(s)", runs));

        hung_end();
        g_variant_unref(bus_result(bus, stop_call));
        expect_exited(bus, runs, "killed", SIGTERM, "kill"); /* the first one that was fatal */
        WAIT_UNTIL(g_str_equal(poll_role(bus, starts), "none"));
        stop(bus, leaves); /* waits for the rest of it */
        expect_exited(bus, moves, "killed", SIGTERM, "stop");
        start(bus, leaves, NULL, actor(), "pause", NULL);
        start(bus, starts, NULL, actor(), "pause", NULL);
}

/* -- a tracer that does not let go -- */

static pid_t trace(pid_t tracee) {
        int fds[2];
        pid_t pid;
        char byte;

        assert_return_code(pipe2(fds, O_CLOEXEC), errno);
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) prctl(PR_SET_NAME, "debugger");
                if (ptrace(PTRACE_SEIZE, tracee, 0, 0) < 0 || write(fds[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        (void) pause();
        }
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        return pid;
}

static void test_traced(void **state) {
        Bus *bus = *state;
        const char *role = role_name("traced");
        guint32 serial;

        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t tracer = trace(role_pid(bus, role));
        g_autofree char *text = g_strdup_printf(
                "%d (actor) is held by its tracer %d (debugger)", (int) role_pid(bus, role), (int) tracer);
        serial = node_send(bus, "Kill", g_variant_new("(s)", role));
        bus_failure(bus, serial, "StopTimedOut", role, text, NULL);
        serial = node_send(bus, "Stop", g_variant_new("(s)", role));
        assert_int_equal(kill(tracer, SIGKILL), 0);
        assert_int_equal(waitpid(tracer, NULL, 0), tracer);
        g_variant_unref(bus_result(bus, serial));
        expect_exited(bus, role, "killed", SIGKILL, "kill");
}

static int end(void **state) {
        hung_end();
        if (hung) {
                close(requests);
                (void) umount2(hung, MNT_DETACH);
                g_clear_pointer(&hung, g_free);
        }
        node_configure(*state, NULL);
        return case_teardown(state);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_in_kernel, case_setup, end),
                TEST(test_traced),
        };
        return run_case("stuck", tests);
}
