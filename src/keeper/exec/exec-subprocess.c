/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/parse-util.h"
#include "base/time-util.h"
#include "keeper/exec/exec-subprocess.h"

/* EUPS releases its lock at SIGTERM but continues, so SIGKILL follows a little later. */
#define TERM_USEC (200 * USEC_PER_MSEC)
#define KILL_USEC (2 * USEC_PER_SEC)

struct timespec timespec_until(uint64_t deadline) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), left = deadline > now ? deadline - now : 0;

        return (struct timespec){ (time_t) (left / USEC_PER_SEC), (long) (left % USEC_PER_SEC) * 1000 };
}

int subprocess_prepare(int signo, sigset_t *ret_mask) {
        sigset_t blocked;

        sigemptyset(&blocked);
        sigaddset(&blocked, SIGCHLD);
        if (signo != 0)
                sigaddset(&blocked, signo);
        /* What is left in the background becomes a child of this process, even outside its session, and can
         * be ended. */
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || sigprocmask(SIG_BLOCK, &blocked, ret_mask) < 0)
                return -errno;
        return 0;
}

int subprocess_done(const sigset_t *mask) {
        if (sigprocmask(SIG_SETMASK, mask, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 0) < 0)
                return -errno;
        return 0;
}

/* At this point all processes that it has left are children of this process. */
static void subprocess_signal_children(int signo, char *ret_pids, size_t size) {
        _cleanup_free_ char *list = NULL;
        char *state = NULL;

        if (ret_pids)
                (void) snprintf(ret_pids, size, "?");
        if (file_read(AT_FDCWD, "/proc/thread-self/children", 65536, &list, NULL) < 0)
                return;
        if (ret_pids)
                (void) snprintf(ret_pids, size, "%s", list);
        for (char *word = strtok_r(list, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
                int32_t pid;

                if (parse_i32(word, &pid) >= 0 && pid > 1)
                        (void) kill(pid, signo);
        }
}

static void subprocess_signal_all(const Subprocess *s, int signo) {
        if (!s->reaped)
                (void) kill(-s->pid, signo);
        subprocess_signal_children(signo, NULL, 0);
}

/* Reaps the children that have ended. Returns false if no child remains. */
static bool subprocess_reap(Subprocess *s) {
        for (;;) {
                int status;
                pid_t pid = waitpid(-1, &status, WNOHANG);

                if (pid < 0 && errno == EINTR)
                        continue;
                if (pid <= 0)
                        return pid == 0;
                if (pid == s->pid) {
                        s->reaped = true;
                        s->status = status;
                }
        }
}

bool subprocess_wait(Subprocess *s, uint64_t deadline) {
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        while (subprocess_reap(s) && !s->reaped) {
                struct timespec left;

                if (deadline == USEC_INFINITY) {
                        (void) sigwaitinfo(&chld, NULL);
                        continue;
                }
                left = timespec_until(deadline);
                if (left.tv_sec == 0 && left.tv_nsec == 0)
                        return false;
                (void) sigtimedwait(&chld, NULL, &left);
        }
        return true;
}

/* Waits until all children have ended, with this limit. When a child ends its own children become children of
 * this process, and with SIGKILL they are killed next. */
static bool subprocess_wait_for_all(Subprocess *s, uint64_t usec, bool kill_new) {
        const uint64_t deadline = now_usec(CLOCK_MONOTONIC) + usec;
        sigset_t chld;

        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        while (subprocess_reap(s)) {
                struct timespec left = timespec_until(deadline);

                if (left.tv_sec == 0 && left.tv_nsec == 0)
                        return false;
                if (kill_new)
                        subprocess_signal_all(s, SIGKILL);
                (void) sigtimedwait(&chld, NULL, &left);
        }
        return true;
}

bool subprocess_end_all(Subprocess *s, char ret_pids[static SUBPROCESS_PIDS_SIZE]) {
        subprocess_signal_all(s, SIGTERM);
        if (subprocess_wait_for_all(s, TERM_USEC, false))
                return true;
        subprocess_signal_all(s, SIGKILL);
        if (subprocess_wait_for_all(s, KILL_USEC, true))
                return true;
        subprocess_signal_children(0, ret_pids, SUBPROCESS_PIDS_SIZE);
        return false;
}
