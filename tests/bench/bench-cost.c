/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the CPU time of node and keeper together for 500 starts and stops of ordinary roles, with what PID
 * 1 needs for the same roles beside it. The last line, which is the figure alone, is for tools/bench
 * --against=, which runs this program against two builds of the service in turn. */

#include <stdio.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 500U
#define SETTLE_USEC 700000U /* the keeper stores its descriptors after 200 ms without a change */

enum { NODE, KEEPER, INIT, N_PROCESSES };

static void read_cpu(const pid_t pids[static N_PROCESSES], double ret[static N_PROCESSES]) {
        (void) usleep(SETTLE_USEC);
        for (unsigned i = 0; i < N_PROCESSES; i++)
                ret[i] = bench_cpu(pids[i]);
}

int main(void) {
        double before[N_PROCESSES], after[N_PROCESSES];
        sd_bus *bus = bench_bus();
        const pid_t pids[] = {
                bench_main_pid(bus, "architect-node.service"),
                bench_main_pid(bus, "architect-keeper.service"),
                1,
        };

        /* The first roles also pay for what is set up once: slices, buffers, pages. */
        bench_start_roles(bus, ROLES);
        bench_remove_roles(bus, ROLES);

        read_cpu(pids, before);
        bench_start_roles(bus, ROLES);
        bench_stop_roles(bus, ROLES);
        read_cpu(pids, after);
        bench_remove_roles(bus, ROLES);

        double ms[N_PROCESSES];
        for (unsigned i = 0; i < N_PROCESSES; i++)
                ms[i] = after[i] - before[i];
        printf("cost: CPU time for %u starts and stops: node %.0f ms, keeper %.0f ms, PID 1 %.0f ms; node and "
               "keeper are %.2f of PID 1\n",
                ROLES, ms[NODE], ms[KEEPER], ms[INIT], (ms[NODE] + ms[KEEPER]) / ms[INIT]);
        printf("%.1f\n", ms[NODE] + ms[KEEPER]);
        sd_bus_unref(bus);
        return 0;
}
