/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/ptrace.h>

#include "stepper.h"
#include "testlib.h"

struct Stepper {
        pid_t pid;
        const long *calls;
        bool dead;
};

/* It is not possible to wait for a traced process and for another event at the same time. */
#define LOOK_USEC 50

static void resume(Stepper *s, int signo) {
        if (ptrace(PTRACE_SYSCALL, s->pid, NULL, (void *) (long) signo) < 0 && errno != ESRCH)
                fail_msg("cannot resume %d: %s", (int) s->pid, g_strerror(errno));
}

Stepper *stepper_new(pid_t pid, const long *calls) {
        Stepper *s = g_new0(Stepper, 1);
        int status;

        s->pid = pid;
        s->calls = calls;
        if (ptrace(PTRACE_SEIZE, pid, NULL, (void *) (long) PTRACE_O_TRACESYSGOOD) < 0 ||
                ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
                fail_msg("cannot trace %d: %s", (int) pid, g_strerror(errno));
        assert_int_equal(waitpid(pid, &status, __WALL), pid);
        assert_true(WIFSTOPPED(status));
        resume(s, 0);
        return s;
}

static bool is_one(const Stepper *s) {
        struct ptrace_syscall_info info;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, s->pid, (void *) sizeof(info), &info) < 0)
                return false; /* another process has killed it */
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
                return false;
        for (const long *call = s->calls; *call >= 0; call++)
                if ((unsigned long) *call == info.entry.nr)
                        return true;
        return false;
}

bool stepper_run(Stepper *s, guint n, bool (*over)(void *userdata), void *userdata) {
        gint64 end = g_get_monotonic_time() + patience_usec();
        int status;

        for (;;) {
                pid_t pid = waitpid(s->pid, &status, __WALL | WNOHANG);

                if (pid == 0) {
                        if (over(userdata))
                                return false;
                        if (g_get_monotonic_time() > end)
                                fail_msg("neither %u calls of %d nor an end of it", n, (int) s->pid);
                        g_usleep(LOOK_USEC);
                        continue;
                }
                assert_int_equal(pid, s->pid);
                if (!WIFSTOPPED(status)) {
                        s->dead = true;
                        fail_msg("%d has ended while it was traced", (int) s->pid);
                }
                if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
                        if (is_one(s) && --n == 0)
                                return true;
                        resume(s, 0);
                } else
                        resume(s, status >> 16
                                          ? 0
                                          : WSTOPSIG(status)); /* an event of ptrace itself, or a signal */
        }
}

void stepper_free(Stepper *s) {
        int status;

        if (!s)
                return;
        /* Only a stopped process can be detached, and a dead one must be reaped by its tracer before its
         * parent can do so. Both calls fail if it has stopped already. */
        while (!s->dead) {
                if (ptrace(PTRACE_DETACH, s->pid, NULL, NULL) == 0)
                        break;
                (void) ptrace(PTRACE_INTERRUPT, s->pid, NULL, NULL);
                if (waitpid(s->pid, &status, __WALL) != s->pid || !WIFSTOPPED(status))
                        s->dead = true;
        }
        g_free(s);
}
