/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures "architectctl -H HOST list" to another machine ($FAR), from its start to its end: the first
 * command to a host, which logs in, and the second one, which goes through the connection that ssh has kept
 * (src/ctl/remote.h). Before each round that connection is ended. tools/bench boots the other machine. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS 15U
#define GOAL_SECOND 0.25
/* That of architectctl for root; ssh replaces the rest. */
#define CONTROL_PATH "-oControlPath=/run/architectctl/%C"

static char host[128];

/* Runs it without output, and with its errors if they matter. Returns its status. */
static int program_run(const char *const *argv, bool errors) {
        int status;

        (void) fflush(NULL);
        const pid_t pid = fork();
        if (pid < 0)
                bench_die("fork has failed");
        if (pid == 0) {
                const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

                if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
                        (errors || dup2(null, STDERR_FILENO) >= 0))
                        (void) execvp(argv[0], (char *const *) argv);
                _exit(127);
        }
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
                bench_die("%s was ended", argv[0]);
        return WEXITSTATUS(status);
}

static double list_measure(void) {
        const char *const list[] = { "architectctl", "-q", "-H", host, "list", NULL };
        const double begin = bench_now();

        if (program_run(list, true) != 0)
                bench_die("the list of %s has failed", host);
        return bench_now() - begin;
}

static void master_end(void) {
        const char *const check[] = { "ssh", CONTROL_PATH, "-O", "check", host, NULL };
        const char *const end[] = { "ssh", CONTROL_PATH, "-O", "exit", host, NULL };

        if (program_run(check, false) != 0)
                bench_die("ssh has not kept the connection to %s", host);
        if (program_run(end, false) != 0 || program_run(check, false) == 0)
                bench_die("the connection to %s that ssh keeps does not end", host);
}

int main(void) {
        const char *far = getenv("FAR");
        double first[ROUNDS], second[ROUNDS];

        if (!far || snprintf(host, sizeof(host), "root@%s", far) >= (int) sizeof(host))
                bench_die("FAR is not the name of another machine");
        (void) list_measure(); /* what is started only once */
        for (unsigned i = 0; i < ROUNDS; i++) {
                master_end();
                first[i] = list_measure();
                second[i] = list_measure();
        }
        master_end();
        const double ratio = bench_ratio(second, first, ROUNDS);
        const BenchFigure before = bench_figure(first, ROUNDS);
        bench_print("the first command to a host", before, "ms", BENCH_NO_GOAL, 0);
        bench_compare("the second command to a host", bench_figure(second, ROUNDS), "ms", "the first one",
                before.median, ratio, BENCH_AT_MOST, GOAL_SECOND);
        return 0;
}
