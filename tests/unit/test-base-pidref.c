/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The identity of real processes, including dead ones. */

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/fd-util.h"
#include "base/pidref.h"

/* Starts a child that reports that it is ready and then waits for a signal. */
static pid_t sleeper(const char *comm, bool exec) {
        int p[2];
        pid_t pid;
        char c;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                if (comm)
                        (void) prctl(PR_SET_NAME, comm);
                if (exec) {
                        (void) execl("/bin/sleep", "sleep", "600", NULL); /* exec closes the pipe */
                        _exit(127);
                }
                (void) write(p[1], "x", 1);
                (void) close(p[1]);
                for (;;)
                        (void) pause();
        }
        (void) fd_close(p[1]);
        (void) read(p[0], &c, 1);
        (void) fd_close(p[0]);
        return pid;
}

static void wait_zombie(pid_t pid) {
        siginfo_t info;

        assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
}

static void reap(pid_t pid) {
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_self(void **state) {
        struct proc_stat st;

        assert_int_equal(proc_stat_read(getpid(), &st), 0);
        assert_int_equal(st.state, 'R');
        assert_int_equal(st.ppid, getppid());
        assert_int_equal(st.pgrp, getpgrp());
        assert_int_equal(st.session, getsid(0));
        assert_false(st.flags & PROC_STAT_FORKNOEXEC);
        assert_true(st.start_time > 0);
}

/* These names confuse a parser that searches for the first ")" or counts spaces. */
static void test_names(void **state) {
        static const char *const names[] = { ")", ") Z 1 1 1", "a b", "(x) R 7 7", "((((", "\n) S 1", "" };
        struct proc_stat st;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                pid_t pid = sleeper(names[i], false);

                assert_int_equal(proc_stat_read(pid, &st), 0);
                assert_int_equal(st.ppid, getpid());
                assert_int_equal(st.pgrp, getpgrp());
                assert_true(st.state == 'S' || st.state == 'R');
                assert_int_equal(kill(pid, SIGKILL), 0);
                reap(pid);
        }
}

static void test_shown_names(void **state) {
        static const struct {
                const char *name;
                const char *shown;
        } cases[] = {
                { "sleep", "sleep" },
                { "", "" },
                { "a name of sixteen", "a name of sixte" },
                { "a\nb\n", "a?b?" },
                { "gr\xc3\xbc\x01", "gr???" },
        };
        char name[PROC_NAME_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                pid_t pid = sleeper(cases[i].name, false);

                assert_int_equal(proc_name_read(pid, name), 0);
                assert_string_equal(name, cases[i].shown);
                assert_int_equal(kill(pid, SIGKILL), 0);
                wait_zombie(pid);
                assert_int_equal(proc_name_read(pid, name), 0);
                assert_string_equal(name, cases[i].shown);
                reap(pid);
                assert_int_equal(proc_name_read(pid, name), -ESRCH);
        }
}

static void expect_description(pid_t pid, const char *place, const char *format, ...) _printf_(3, 4);

static void expect_description(pid_t pid, const char *place, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *expected = NULL;
        va_list ap;

        va_start(ap, format);
        assert_true(vasprintf(&expected, format, ap) >= 0);
        va_end(ap);
        assert_int_equal(proc_describe(pid, place, &text), 0);
        assert_string_equal(text, expected);
}

static void wait_state(pid_t pid, char state) {
        struct proc_stat st = { 0 };

        do
                assert_int_equal(proc_stat_read(pid, &st), 0);
        while (st.state != state);
}

/* vfork() waits in the kernel until its child executes a program or ends. */
static void *wait_in_kernel(void *userdata) {
        const pid_t pid = getpid();

        if (vfork() == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                while (getppid() == pid)
                        (void) pause();
                _exit(0);
        }
        return NULL;
}

static pid_t waits_in_kernel(bool leader_ends) {
        pid_t pid = fork();

        if (pid == 0) {
                pthread_t thread;

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) prctl(PR_SET_NAME, "waits");
                if (!leader_ends)
                        (void) wait_in_kernel(NULL);
                (void) pthread_create(&thread, NULL, wait_in_kernel, NULL);
                pthread_exit(NULL);
        }
        assert_true(pid > 0);
        wait_state(pid, leader_ends ? 'Z' : 'D');
        return pid;
}

static void kill_group(pid_t pid) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        reap(pid);
}

/* It traces a process and does not wait for it. */
static pid_t tracer_of(pid_t tracee) {
        pid_t pid = fork();

        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (ptrace(PTRACE_SEIZE, tracee, 0, 0) < 0)
                        _exit(1);
                (void) prctl(PR_SET_NAME, "holds");
                for (;;)
                        (void) pause();
        }
        assert_true(pid > 0);
        for (char name[PROC_NAME_SIZE] = ""; strcmp(name, "holds") != 0;)
                assert_int_equal(proc_name_read(pid, name), 0);
        return pid;
}

static void test_description(void **state) {
        pid_t pid = sleeper("name", false), tracer;

        expect_description(pid, NULL, "%d (name)", (int) pid);
        expect_description(pid, "a.scope", "%d (name, in a.scope)", (int) pid);
        tracer = tracer_of(pid);
        expect_description(pid, NULL, "%d (name)", (int) pid); /* it runs */
        assert_int_equal(kill(pid, SIGKILL), 0);
        wait_state(pid, 'Z');
        expect_description(pid, "a.scope", "%d (name, in a.scope) is held by its tracer %d (holds)",
                (int) pid, (int) tracer);
        kill_group(tracer);
        reap(pid);
        expect_description(pid, "a.scope", "%d", (int) pid);
}

static void test_description_in_kernel(void **state) {
        for (int leader_ends = 0; leader_ends < 2; leader_ends++) {
                pid_t pid = waits_in_kernel(leader_ends);
                _cleanup_free_ char *expected = NULL, *text = NULL;

                assert_true(asprintf(&expected, "%d (waits) waits in the kernel (uninterruptible sleep)",
                                    (int) pid) >= 0);
                do { /* the thread may not be there yet */
                        free(text);
                        assert_int_equal(proc_describe(pid, NULL, &text), 0);
                } while (strcmp(text, expected) != 0);
                assert_false(proc_has_ended(pid)); /* a zombie is no sign of that */
                kill_group(pid);
                assert_true(proc_has_ended(pid));
        }
}

static void test_forknoexec(void **state) {
        struct proc_stat before, after;
        pid_t forked = sleeper(NULL, false), execed = sleeper(NULL, true);

        /* The flag of a running process and of its zombie; the start time is the same in both. */
        assert_int_equal(proc_stat_read(forked, &before), 0);
        assert_true(before.flags & PROC_STAT_FORKNOEXEC);
        assert_int_equal(kill(forked, SIGKILL), 0);
        wait_zombie(forked);
        assert_true(proc_has_ended(forked));
        assert_int_equal(proc_stat_read(forked, &after), 0);
        assert_int_equal(after.state, 'Z');
        assert_true(after.flags & PROC_STAT_FORKNOEXEC);
        assert_true(after.start_time == before.start_time);

        assert_int_equal(proc_stat_read(execed, &before), 0);
        assert_false(before.flags & PROC_STAT_FORKNOEXEC);
        assert_int_equal(kill(execed, SIGKILL), 0);
        wait_zombie(execed);
        assert_int_equal(proc_stat_read(execed, &after), 0);
        assert_int_equal(after.state, 'Z');
        assert_false(after.flags & PROC_STAT_FORKNOEXEC);

        reap(forked);
        reap(execed);
        assert_int_equal(proc_stat_read(forked, &after), -ESRCH);
        assert_int_equal(proc_stat_read(0, &after), -ESRCH);
        assert_int_equal(proc_stat_read(-1, &after), -ESRCH);
}

static void test_pidfd(void **state) {
        pid_t pid = sleeper(NULL, false);
        autofd fd = pidfd_open_pid(pid);
        int status;

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(pidfd_kill(fd, 0), 0);
        assert_int_equal(pidfd_kill(fd, 4711), -EINVAL);
        assert_false(pidfd_has_exited(fd));
        assert_int_equal(pidfd_kill(fd, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WTERMSIG(status), SIGTERM);
        assert_int_equal(pidfd_kill(fd, 0), -ESRCH);
        assert_true(pidfd_has_exited(fd));
        assert_int_equal(pidfd_open_pid(pid), -ESRCH);
}

/* Returns whether this kernel reports it, without the tested code, so that the test checks either result. */
static bool kernel_tells(void) {
        struct {
                uint64_t mask, cgroup;
                uint32_t ids[11];
                int32_t exit_code;
        } info = { .mask = 8 };
        pid_t pid = sleeper(NULL, false);
        autofd fd = pidfd_open_pid(pid);

        assert_int_equal(kill(pid, SIGKILL), 0);
        reap(pid);
        return syscall(SYS_ioctl, fd, 0xc040ff0bUL, &info) == 0 && (info.mask & 8);
}

static void test_exit_status(void **state) {
        const int expected[] = { 0, 42 << 8, SIGTERM, SIGKILL };
        bool tells = kernel_tells();

        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                int p[2], status = 4711;
                autofd fd = -EBADF;
                pid_t pid;

                assert_int_equal(pipe2(p, O_CLOEXEC), 0);
                pid = fork();
                if (pid == 0) {
                        char c;

                        (void) close(p[1]);
                        (void) read(p[0], &c, 1);
                        if (WIFEXITED(expected[i]))
                                _exit(WEXITSTATUS(expected[i]));
                        (void) kill(getpid(), WTERMSIG(expected[i]));
                        for (;;)
                                (void) pause();
                }
                (void) fd_close(p[0]);

                fd = pidfd_open_pid(pid);
                assert_int_equal(pidfd_exit_status(fd, &status), tells ? -EAGAIN : -EOPNOTSUPP);
                (void) fd_close(p[1]);
                wait_zombie(pid);
                assert_int_equal(pidfd_exit_status(fd, &status), tells ? -EAGAIN : -EOPNOTSUPP);
                assert_int_equal(status, 4711);
                reap(pid);
                assert_int_equal(pidfd_exit_status(fd, &status), tells ? 0 : -EOPNOTSUPP);
                assert_int_equal(status, tells ? expected[i] : 4711);

                assert_int_equal(setenv("ARCHITECT_FEATURES_OFF", "pidfd-info", 1), 0);
                assert_int_equal(pidfd_exit_status(fd, &status), -EOPNOTSUPP);
                assert_int_equal(unsetenv("ARCHITECT_FEATURES_OFF"), 0);
        }

        {
                autofd null = open("/dev/null", O_RDONLY | O_CLOEXEC);
                int status;

                assert_int_equal(pidfd_exit_status(null, &status), -EOPNOTSUPP);
                assert_int_equal(pidfd_exit_status(-1, &status), -EBADF);
        }
}

static void test_boot_id(void **state) {
        char a[33], b[33], *text, *dashed;

        memset(a, 'x', sizeof(a));
        assert_int_equal(boot_id_read(a), 0);
        assert_int_equal(boot_id_read(b), 0);
        assert_string_equal(a, b);
        assert_int_equal(strlen(a), 32);
        assert_int_equal(strspn(a, "0123456789abcdef"), 32);

        assert_int_equal(file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 100, &text, NULL), 0);
        assert_true(asprintf(&dashed, "%.8s-%.4s-%.4s-%.4s-%s\n", a, a + 8, a + 12, a + 16, a + 20) > 0);
        assert_string_equal(text, dashed);
        free(text);
        free(dashed);

        assert_int_equal(setenv("ARCHITECT_BOOT_ID", "01234567-89ab-cdef-0123-456789abcdef", 1), 0);
        assert_int_equal(boot_id_read(b), 0);
        assert_string_equal(b, "0123456789abcdef0123456789abcdef");
        assert_int_equal(setenv("ARCHITECT_BOOT_ID", "0123456789abcdef", 1), 0);
        assert_int_equal(boot_id_read(b), -EBADMSG);
        assert_int_equal(unsetenv("ARCHITECT_BOOT_ID"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_self),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_shown_names),
                cmocka_unit_test(test_description),
                cmocka_unit_test(test_description_in_kernel),
                cmocka_unit_test(test_forknoexec),
                cmocka_unit_test(test_pidfd),
                cmocka_unit_test(test_exit_status),
                cmocka_unit_test(test_boot_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
