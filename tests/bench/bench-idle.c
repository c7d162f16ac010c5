/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how often node and keeper wake up while 500 roles are idle: the voluntary context switches in 30
 * s, beside those of PID 1 in the same time. The watchdog may wake the node once (WatchdogSec=3min, so every
 * 45 to 135 s). */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 500U
#define SECONDS 30U
#define SETTLE_SECONDS 3U

int main(void) {
        sd_bus *bus = bench_bus();

        bench_start_roles(bus, ROLES);
        pid_t node = bench_main_pid(bus, "architect-node.service");
        pid_t keeper = bench_main_pid(bus, "architect-keeper.service");

        (void) sleep(SETTLE_SECONDS);
        unsigned long n = bench_switches(node), k = bench_switches(keeper), s = bench_switches(1);
        (void) sleep(SECONDS);
        n = bench_switches(node) - n;
        k = bench_switches(keeper) - k;
        s = bench_switches(1) - s;
        bench_remove_roles(bus, ROLES);

        printf("idle: %u roles, %u s: node %lu wakeups, keeper %lu (PID 1: %lu); goal none but one for the watchdog: %s\n",
                ROLES, SECONDS, n, k, s, n <= 1 && k == 0 ? "met" : "not met");
        sd_bus_unref(bus);
        return 0;
}
