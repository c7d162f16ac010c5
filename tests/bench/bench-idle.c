/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how often node and keeper wake up while 500 roles are idle, and while 500 roles wait for their
 * restart in an hour: the voluntary context switches in 30 s, beside those of PID 1 in the same time. The
 * watchdog may wake the node once (WatchdogSec=3min, so every 45 to 135 s). */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 500U
#define SECONDS 30U
#define SETTLE_SECONDS 20U

static void measure(sd_bus *bus, const char *what) {
        pid_t node = bench_main_pid(bus, "architect-node.service");
        pid_t keeper = bench_main_pid(bus, "architect-keeper.service");

        (void) sleep(SETTLE_SECONDS);
        unsigned long n = bench_switches(node), k = bench_switches(keeper), s = bench_switches(1);
        (void) sleep(SECONDS);
        n = bench_switches(node) - n;
        k = bench_switches(keeper) - k;
        s = bench_switches(1) - s;
        printf("idle: %u roles %s, %u s: node %lu wakeups, keeper %lu (PID 1: %lu); goal none but one for the watchdog: %s\n",
                ROLES, what, SECONDS, n, k, s, n <= 1 && k == 0 ? "met" : "not met");
}

/* Each ends at once. */
static void start_waiting(sd_bus *bus) {
        char name[32];

        for (unsigned i = 0; i < ROLES; i++) {
                (void) snprintf(name, sizeof(name), "bench-waits-%u", i);
                bench_call_node(bus, "Start", NULL, "sasa{sv}", name, 1, "/bin/false", 2, "restart", "s",
                        "always", "restart-usec", "t", UINT64_C(3600000000));
        }
}

/* An error ends the program if one of them is not there. */
static void remove_waiting(sd_bus *bus) {
        char name[32];

        for (unsigned i = 0; i < ROLES; i++) {
                (void) snprintf(name, sizeof(name), "bench-waits-%u", i);
                bench_call_node(bus, "Kill", NULL, "s", name);
                bench_call_node(bus, "Purge", NULL, "as", 1, name);
        }
        bench_wait_units_gone(bus, "architect-main-bench*.scope");
}

int main(void) {
        sd_bus *bus = bench_bus();

        bench_start_roles(bus, ROLES);
        measure(bus, "that run");
        bench_remove_roles(bus, ROLES);
        start_waiting(bus);
        measure(bus, "that wait for their restart");
        remove_waiting(bus);
        sd_bus_unref(bus);
        return 0;
}
