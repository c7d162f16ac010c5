/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how long "architectctl list" takes with 500 roles, from its start to its end, compared with
 * busctl, which makes the same call and prints its reply, and with "systemctl list-units" of their scopes.
 * All of them take turns. Root has private sockets of both services, other users have not, so an ordinary
 * user is measured, too. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 500U
#define REPETITIONS 21U
#define NOBODY 65534
#define GOAL_BUSCTL 2.0
#define GOAL_SYSTEMCTL 1.0

typedef struct Program {
        const char *name;
        uid_t uid;
        const char *const *argv;
        double ms[REPETITIONS];
} Program;

_Noreturn static void program_exec(const Program *p) {
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
                (p->uid == 0 || setuid(p->uid) >= 0))
                (void) execvp(p->argv[0], (char *const *) p->argv);
        _exit(127);
}

static double program_run(const Program *p) {
        const double begin = bench_now();
        const pid_t pid = fork();
        int status;

        if (pid < 0)
                bench_die("fork: %s", strerror(errno));
        if (pid == 0)
                program_exec(p);
        if (waitpid(pid, &status, 0) != pid || status != 0)
                bench_die("%s has failed", p->name);
        return bench_now() - begin;
}

/* The medians are sorted from copies, because ratios are of the same repetition. */
static BenchFigure program_figure(const Program *p) {
        double ms[REPETITIONS];

        memcpy(ms, p->ms, sizeof(ms));
        return bench_figure(ms, REPETITIONS);
}

static void compare(const Program *p, const Program *reference, BenchGoal goal, double limit) {
        bench_compare(p->name, program_figure(p), "ms", reference->name, program_figure(reference).median,
                bench_ratio(p->ms, reference->ms, REPETITIONS), goal, limit);
}

#define LIST \
        (const char *const[]) { \
                "architectctl", "list", NULL \
        }
#define CALL \
        (const char *const[]) { \
                "busctl", "call", "org.architect.Node", "/org/architect/Node", "org.architect.Node", \
                        "ListRoles", NULL \
        }
#define UNITS \
        (const char *const[]) { \
                "systemctl", "list-units", "--no-pager", "architect-main-bench*.scope", NULL \
        }

int main(void) {
        enum { ROOT_LIST, ROOT_CALL, ROOT_UNITS, USER_LIST, USER_CALL, USER_UNITS, N_PROGRAMS };
        Program programs[N_PROGRAMS] = {
                [ROOT_LIST] = { "architectctl list of 500 roles", 0, LIST },
                [ROOT_CALL] = { "busctl call ListRoles", 0, CALL },
                [ROOT_UNITS] = { "systemctl list-units", 0, UNITS },
                [USER_LIST] = { "architectctl list of 500 roles by a user", NOBODY, LIST },
                [USER_CALL] = { "busctl call ListRoles by a user", NOBODY, CALL },
                [USER_UNITS] = { "systemctl list-units by a user", NOBODY, UNITS },
        };
        sd_bus *bus = bench_bus();

        bench_start_roles(bus, ROLES);
        for (unsigned i = 0; i < N_PROGRAMS; i++)
                (void) program_run(&programs[i]); /* loads it into memory */
        for (unsigned repetition = 0; repetition < REPETITIONS; repetition++)
                for (unsigned i = 0; i < N_PROGRAMS; i++)
                        programs[i].ms[repetition] = program_run(&programs[i]);
        for (unsigned i = ROOT_LIST; i < N_PROGRAMS; i += USER_LIST) {
                compare(&programs[i], &programs[i + ROOT_CALL], BENCH_AT_MOST, GOAL_BUSCTL);
                compare(&programs[i], &programs[i + ROOT_UNITS], BENCH_AT_MOST, GOAL_SYSTEMCTL);
        }
        bench_remove_roles(bus, ROLES);
        sd_bus_unref(bus);
        return 0;
}
