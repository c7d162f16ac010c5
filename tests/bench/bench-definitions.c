/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how long a Reload takes that reads 5,000 role files, compared with one that reads none, and the
 * CPU time that a definition costs the node in a Start: of a role that is running, so that the Start is
 * refused when all of its options are known and nothing else is measured, compared with the same Start with a
 * command and no options. Calls of the two kinds take turns. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define DEFINITIONS 5000U
#define RELOADS 5U
#define GOAL_RELOAD_MS 500.0
#define CALLS 2000U
#define ROUNDS 11U
#define GOAL_START_USEC 5.0

#define DIRECTORY "/etc/architect-node/main.roles.d"
#define ROLE "bench-0"
#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"
#define EXISTS "org.architect.Node.Error.RoleExists"

/* As many keys as such a file has, one of each kind. */
static const char text[] = "[Role]\n"
                           "Description=A role of a benchmark\n"
                           "Command=/usr/bin/sleep infinity\n"
                           "User=root\n"
                           "Environment=A=1 \"B=two words\" C=%n\n"
                           "WorkingDirectory=/tmp\n"
                           "KillSignal=SIGINT\n"
                           "TimeoutStopSec=1min 30s\n"
                           "LimitNOFILE=4096\n"
                           "LimitCORE=0\n"
                           "RoleGroups=night dome\n"
                           "Nice=5\n";

static void definition_path(unsigned i, char path[static 128]) {
        (void) snprintf(path, 128, DIRECTORY "/bench-%u.role", i);
}

static void definitions_write(void) {
        char path[128];

        if ((mkdir("/etc/architect-node", 0755) < 0 && errno != EEXIST) ||
                (mkdir(DIRECTORY, 0755) < 0 && errno != EEXIST))
                bench_check(-errno, DIRECTORY);
        for (unsigned i = 0; i < DEFINITIONS; i++) {
                definition_path(i, path);
                FILE *f = fopen(path, "we");
                if (!f)
                        bench_check(-errno, path);
                if (fputs(text, f) < 0 || fclose(f) != 0)
                        bench_check(-EIO, path);
        }
}

static void definitions_remove(void) {
        char path[128];

        for (unsigned i = 0; i < DEFINITIONS; i++) {
                definition_path(i, path);
                (void) unlink(path);
        }
        (void) rmdir(DIRECTORY);
}

static BenchFigure reload(sd_bus *bus) {
        double ms[RELOADS];

        bench_call_node(bus, "Reload", NULL, "");
        for (unsigned i = 0; i < RELOADS; i++) {
                const double begin = bench_now();

                bench_call_node(bus, "Reload", NULL, "");
                ms[i] = bench_now() - begin;
        }
        return bench_figure(ms, RELOADS);
}

/* Returns the CPU time of the node for each of the refused calls, in µs. */
static double refused(sd_bus *bus, pid_t node, bool defined) {
        const double begin = bench_cpu(node);

        for (unsigned i = 0; i < CALLS; i++) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                int r = defined ? sd_bus_call_method(bus, NODE, "Start", &error, NULL, "sasa{sv}", ROLE, 0, 0)
                                : sd_bus_call_method(bus, NODE, "Start", &error, NULL, "sasa{sv}", ROLE, 2,
                                          "/usr/bin/sleep", "infinity", 0);

                if (r >= 0 || !sd_bus_error_has_name(&error, EXISTS))
                        bench_die("Start of a role that runs: %s", r >= 0 ? "succeeded" : error.message);
                sd_bus_error_free(&error);
        }
        return (bench_cpu(node) - begin) * 1000 / CALLS;
}

int main(void) {
        sd_bus *bus = bench_bus();
        const pid_t node = bench_main_pid(bus, "architect-node.service");
        double by_command[ROUNDS], by_definition[ROUNDS], more[ROUNDS];

        const BenchFigure none = reload(bus);
        definitions_write();
        const BenchFigure all = reload(bus);
        bench_compare("definitions: Reload of 5000 role files", all, "ms", "without files", none.median,
                all.median / none.median, BENCH_NO_GOAL, 0);
        bench_print("definitions: the same", all, "ms", BENCH_AT_MOST, GOAL_RELOAD_MS);

        bench_start_roles(bus, 1);
        (void) refused(bus, node, true);
        (void) refused(bus, node, false);
        for (unsigned i = 0; i < ROUNDS; i++) {
                by_definition[i] = refused(bus, node, true);
                by_command[i] = refused(bus, node, false);
                more[i] = by_definition[i] - by_command[i];
        }
        printf("definitions: a refused Start costs the node %.1f us by definition, %.1f us by command\n",
                bench_median(by_definition, ROUNDS), bench_median(by_command, ROUNDS));
        bench_print("definitions: what a role file costs a Start", bench_figure(more, ROUNDS), "us",
                BENCH_AT_MOST, GOAL_START_USEC);

        bench_remove_roles(bus, 1);
        definitions_remove();
        bench_call_node(bus, "Reload", NULL, "");
        sd_bus_unref(bus);
        return 0;
}
