/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the time until N roles run, and until all of them have ended by a stop, compared with the floor
 * (see floor.h) and with other programs that start and stop N processes. All of them take turns. */

#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "floor.h"
#include "peers.h"

#define MAX_REPETITIONS 10U

typedef struct Contender {
        const char *name;
        double (*start)(sd_bus *bus, unsigned n);
        double (*stop)(sd_bus *bus, unsigned n);
        unsigned from, to;    /* the numbers of processes with which it takes part */
        unsigned repetitions; /* at most; some are slow */
} Contender;

/* The last reply is what a client waits for. It comes after the exec of the role. */
static double node_start(sd_bus *bus, unsigned n) {
        const double begin = bench_now();

        bench_start_roles(bus, n);
        return bench_now() - begin;
}

static double node_stop(sd_bus *bus, unsigned n) {
        const double begin = bench_now();

        bench_stop_roles(bus, n);
        const double ms = bench_now() - begin;
        bench_purge_roles(bus);
        return ms;
}

enum { NODE, FLOOR, S6, PLAIN, SUPERVISORD, SYSTEMD_RUN, N_CONTENDERS };

static const Contender contenders[N_CONTENDERS] = {
        [NODE] = { "node", node_start, node_stop, 1, 1000, MAX_REPETITIONS },
        [FLOOR] = { "floor", floor_start, NULL, 1, 1000, MAX_REPETITIONS },
        [S6] = { "s6", s6_start, s6_stop, 1, 1000, MAX_REPETITIONS },
        [PLAIN] = { "TERM + wait", plain_start, plain_stop, 500, 500, MAX_REPETITIONS },
        [SUPERVISORD] = { "supervisord", supervisord_start, supervisord_stop, 500, 500, 3 },
        [SYSTEMD_RUN] = { "systemd-run --scope", systemd_run_start, NULL, 500, 500, 3 },
};

typedef struct Times {
        double start[N_CONTENDERS][MAX_REPETITIONS], stop[N_CONTENDERS][MAX_REPETITIONS];
} Times;

static bool takes_part(const Contender *c, unsigned n, unsigned repetition) {
        return n >= c->from && n <= c->to && repetition < c->repetitions;
}

/* After a pause the first move of a process between cgroups waits for the kernel, and the next one does not.
 * So each one is the first equally often. */
static void measure(sd_bus *bus, unsigned n, unsigned repetitions, Times *ret) {
        for (unsigned i = 0; i < repetitions; i++)
                for (unsigned k = 0; k < N_CONTENDERS; k++) {
                        const unsigned which = i % 2 == 0 ? k : N_CONTENDERS - 1 - k;
                        const Contender *c = &contenders[which];

                        if (!takes_part(c, n, i))
                                continue;
                        ret->start[which][i] = c->start(bus, n);
                        if (c->stop)
                                ret->stop[which][i] = c->stop(bus, n);
                }
}

static void compare(const char *what, unsigned n, unsigned repetitions, unsigned other,
        double times[static N_CONTENDERS][MAX_REPETITIONS], BenchGoal goal, double limit) {
        const unsigned common =
                contenders[other].repetitions < repetitions ? contenders[other].repetitions : repetitions;
        double node[MAX_REPETITIONS], reference[MAX_REPETITIONS];
        char name[64];

        if (!takes_part(&contenders[other], n, 0))
                return;
        (void) memcpy(node, times[NODE], sizeof(node));
        (void) memcpy(reference, times[other], sizeof(reference));
        const double ratio = bench_ratio(node, reference, common);
        (void) snprintf(name, sizeof(name), "%s of %u", what, n);
        bench_compare(name, bench_figure(node, repetitions), "ms", contenders[other].name,
                bench_median(reference, common), ratio, goal, limit);
}

int main(void) {
        static const struct {
                unsigned n, repetitions;
        } sizes[] = { { 1, 10 }, { 100, 10 }, { 500, 6 }, { 1000, 6 } };
        static Times times;
        sd_bus *bus = bench_bus();

        /* The first ones also pay for what is set up once: slices, buffers, pages. */
        measure(bus, 100, 2, &times);
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                const unsigned n = sizes[s].n, repetitions = sizes[s].repetitions;
                const BenchGoal goal = n == 500 ? BENCH_AT_MOST : BENCH_NO_GOAL;

                measure(bus, n, repetitions, &times);
                compare("start", n, repetitions, FLOOR, times.start, n >= 500 ? BENCH_AT_MOST : BENCH_NO_GOAL,
                        1.25);
                compare("start", n, repetitions, S6, times.start, BENCH_NO_GOAL, 0);
                compare("start", n, repetitions, SUPERVISORD, times.start, goal, 0.1);
                compare("start", n, repetitions, SYSTEMD_RUN, times.start, goal, 0.15);
                compare("stop", n, repetitions, S6, times.stop, goal, 2.5);
                compare("stop", n, repetitions, PLAIN, times.stop, goal, 12);
                compare("stop", n, repetitions, SUPERVISORD, times.stop, BENCH_NO_GOAL, 0);
                for (unsigned k = 0; k < N_CONTENDERS; k++)
                        for (unsigned i = 0; i < repetitions; i++)
                                if (takes_part(&contenders[k], n, i))
                                        bench_plot("start", contenders[k].name, n, times.start[k][i]);
        }
        sd_bus_unref(bus);
        return 0;
}
