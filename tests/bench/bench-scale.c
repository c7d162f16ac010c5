/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the CPU time of keeper, node and PID 1 for one start and one end of a role while 3,000 other roles
 * run, compared with 200. The two numbers of roles alternate. Batches of starts are measured, some starts at
 * a time, with all their consequences: the reaped children, the saved files, the descriptors that systemd
 * stores. The medians of the batches are compared. How many descriptors PID 1 has for each role is measured,
 * too: those of the keeper, and all, with one of the journal for a role that writes to it. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define FEW 200U
#define MANY 3000U
#define ROUNDS 2U
#define BATCHES 6U
#define BATCH 100U
/* So few that a slow machine, too, has no pause of 200 ms in a batch, see SETTLE_USEC. */
#define AT_A_TIME 10U
#define FIRST_OF_BATCH 100000U
#define SETTLE_USEC 700000U /* the keeper stores its descriptors after 200 ms without a change */
#define GOAL_KEEPER 1.3
#define GOAL_NODE 1.5

enum { KEEPER, NODE, INIT, N_PROCESSES };
enum { START, END, N_PHASES };

typedef struct Sample {
        double ms[N_PROCESSES][N_PHASES][ROUNDS * BATCHES];
        unsigned n;
} Sample;

static void read_cpu(const pid_t pids[static N_PROCESSES], double ret[static N_PROCESSES]) {
        (void) usleep(SETTLE_USEC);
        for (unsigned i = 0; i < N_PROCESSES; i++)
                ret[i] = bench_cpu(pids[i]);
}

static void measure(sd_bus *bus, const pid_t pids[static N_PROCESSES], Sample *sample) {
        double before[N_PROCESSES], started[N_PROCESSES], ended[N_PROCESSES];

        read_cpu(pids, before);
        bench_start_range(bus, FIRST_OF_BATCH, BATCH, AT_A_TIME);
        read_cpu(pids, started);
        bench_remove_range(bus, FIRST_OF_BATCH, BATCH, AT_A_TIME);
        read_cpu(pids, ended);

        for (unsigned i = 0; i < N_PROCESSES; i++) {
                sample->ms[i][START][sample->n] = (started[i] - before[i]) / BATCH;
                sample->ms[i][END][sample->n] = (ended[i] - started[i]) / BATCH;
        }
        sample->n++;
}

typedef struct Descriptors {
        double stored; /* for the keeper */
        double all;
} Descriptors;

static Descriptors read_descriptors(sd_bus *bus) {
        Descriptors d = { .stored = bench_stored(bus, "architect-keeper.service"), .all = bench_fds(1) };

        return d;
}

static void print(const char *process, const char *phase, double few, double many, double goal) {
        printf("scale: CPU time of the %s per %s: %.3f ms beside %u roles, %.3f ms beside %u, ratio %.2f",
                process, phase, few, FEW, many, MANY, many / few);
        if (goal > 0)
                printf("; goal at most %.1f: %s", goal, many / few <= goal ? "met" : "not met");
        printf("\n");
}

int main(void) {
        static const char *const processes[] = { "keeper", "node", "PID 1" };
        static const char *const phases[] = { "start", "end" };
        static const double goals[N_PROCESSES][N_PHASES] = { { GOAL_KEEPER, 0 }, { GOAL_NODE, 0 } };
        static Sample few, many;
        Descriptors with_few = {}, with_many = {};
        sd_bus *bus = bench_bus();

        bench_start_roles(bus, FEW);
        const pid_t pids[] = {
                bench_main_pid(bus, "architect-keeper.service"),
                bench_main_pid(bus, "architect-node.service"),
                1,
        };
        for (unsigned round = 0; round < ROUNDS; round++) {
                for (unsigned i = 0; i < BATCHES; i++)
                        measure(bus, pids, &few);
                with_few = read_descriptors(bus);
                bench_start_range(bus, FEW, MANY - FEW, BENCH_WINDOW);
                for (unsigned i = 0; i < BATCHES; i++)
                        measure(bus, pids, &many);
                with_many = read_descriptors(bus);
                bench_remove_range(bus, FEW, MANY - FEW, BENCH_WINDOW);
        }
        bench_remove_roles(bus, FEW);

        for (unsigned process = 0; process < N_PROCESSES; process++)
                for (unsigned phase = 0; phase < N_PHASES; phase++)
                        print(processes[process], phases[phase], bench_median(few.ms[process][phase], few.n),
                                bench_median(many.ms[process][phase], many.n), goals[process][phase]);
        printf("scale: descriptors of PID 1 for each role: %.3f of the keeper, %.3f in all\n",
                (with_many.stored - with_few.stored) / (MANY - FEW),
                (with_many.all - with_few.all) / (MANY - FEW));
        sd_bus_unref(bus);
        return 0;
}
