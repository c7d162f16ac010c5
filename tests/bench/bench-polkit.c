/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the CPU time that a question to polkit costs the node: a Beat of an ordinary user, which polkit
 * refuses, compared with a Beat of root, about which nobody is asked. A caller is identified once, before the
 * measurement. Both with the flag that permits interaction and without it, since a question that may take as
 * long as a person does is watched. */

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CALLS 300U
#define ROUNDS 5U
#define GOAL_USEC 100.0

#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"

/* Makes one call that is answered, and returns whether it was permitted. A call over the allowance of the
 * user is none. */
static bool beat(sd_bus *bus) {
        for (;;) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                int r = sd_bus_call_method(bus, NODE, "Beat", &error, NULL, NULL);
                bool late = sd_bus_error_has_name(&error, "org.architect.Node.Error.LimitReached"),
                     denied = sd_bus_error_has_names(&error, SD_BUS_ERROR_ACCESS_DENIED,
                             SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);

                if (r < 0 && !denied && !late)
                        bench_die("Beat: %s", error.message);
                sd_bus_error_free(&error);
                if (!late)
                        return r >= 0;
                (void) usleep(100000);
        }
}

/* A child that makes its calls when it is told to, as this user. */
typedef struct Caller {
        pid_t pid;
        int fds[2]; /* to it and from it */
} Caller;

static void caller_run(int in, int out, bool interactive, bool permitted) {
        sd_bus *bus = bench_bus();
        char c;

        bench_check(sd_bus_set_allow_interactive_authorization(bus, interactive), "bus");
        if (beat(bus) != permitted)
                bench_die("Beat was %s", permitted ? "refused" : "permitted");
        while (write(out, "", 1) == 1 && read(in, &c, 1) == 1)
                for (unsigned i = 0; i < CALLS; i++)
                        (void) beat(bus);
        _exit(0);
}

static void caller_wait(const Caller *caller) {
        char c;

        if (read(caller->fds[1], &c, 1) != 1)
                bench_die("a caller has ended");
}

static void caller_start(Caller *ret, const struct passwd *pw, bool interactive) {
        int in[2], out[2];

        bench_check(pipe(in) < 0 || pipe(out) < 0 ? -errno : 0, "pipe");
        ret->pid = fork();
        bench_check(ret->pid < 0 ? -errno : 0, "fork");
        if (ret->pid == 0) {
                (void) close(in[1]);
                (void) close(out[0]);
                if (pw && (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
                                  setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0))
                        bench_die("setresuid: %s", strerror(errno));
                caller_run(in[0], out[1], interactive, !pw);
        }
        (void) close(in[0]);
        (void) close(out[1]);
        ret->fds[0] = in[1];
        ret->fds[1] = out[0];
        caller_wait(ret);
}

/* Returns the CPU time of the node for a call, in us. */
static double caller_measure(const Caller *caller, pid_t node) {
        const double before = bench_cpu(node);

        if (write(caller->fds[0], "", 1) != 1)
                bench_die("a caller has ended");
        caller_wait(caller);
        return (bench_cpu(node) - before) * 1e3 / CALLS;
}

int main(void) {
        const struct passwd *pw = getpwnam("nobody");
        sd_bus *bus = bench_bus();
        const pid_t node = bench_main_pid(bus, "architect-node.service");
        double root[ROUNDS], plain[ROUNDS], interactive[ROUNDS];
        Caller callers[3];

        if (!pw)
                bench_die("there is no user nobody");
        /* The lease of root's Beat must not run out in between. */
        bench_check(sd_bus_call_method(bus, NODE, "SetMonitorTimeout", NULL, NULL, "t", UINT64_C(3600000000)),
                "SetMonitorTimeout");
        caller_start(callers, NULL, false);
        caller_start(callers + 1, pw, false);
        caller_start(callers + 2, pw, true);
        for (unsigned i = 0; i < ROUNDS; i++) {
                root[i] = caller_measure(callers, node);
                plain[i] = caller_measure(callers + 1, node);
                interactive[i] = caller_measure(callers + 2, node);
        }
        const double base = bench_median(root, ROUNDS);
        const double questions[] = { bench_median(plain, ROUNDS) - base,
                bench_median(interactive, ROUNDS) - base };
        for (unsigned i = 0; i < 2; i++)
                printf("polkit: CPU time of the node for a question, %s: %.0f us, %.2f times that of a call of root (%.0f us); goal at most %.0f us: %s\n",
                        i == 0 ? "without interaction" : "with interaction", questions[i],
                        questions[i] / base, base, GOAL_USEC, questions[i] <= GOAL_USEC ? "met" : "not met");
        for (unsigned i = 0; i < 3; i++) {
                (void) kill(callers[i].pid, SIGKILL);
                (void) waitpid(callers[i].pid, NULL, 0);
        }
        return 0;
}
