/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory of node and keeper together: at rest, and what a role adds. PSS counts shared pages by their share. */

#include <stdio.h>
#include <string.h>

#include "bench.h"

#define ROLES 500U
#define GOAL_REST_KIB 5000.0
#define GOAL_ROLE_KIB 4.0

int main(void) {
        sd_bus *bus = bench_bus();
        pid_t node, keeper;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        /* At rest is a service that has just been started, not one that has had thousands of roles. */
        if (sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "RestartUnit", &error, NULL, "ss",
                    "architect-node.service", "replace") < 0)
                bench_die("RestartUnit: %s", error.message);
        /* Held by the service until it has all its roles. */
        while (sd_bus_call_method(bus, "org.architect.Node", "/org/architect/Node",
                       "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL) < 0)
                continue;

        node = bench_main_pid(bus, "architect-node.service");
        keeper = bench_main_pid(bus, "architect-keeper.service");
        double rest = (double) (bench_pss_kib(node) + bench_pss_kib(keeper));
        double node_rest = (double) bench_pss_kib(node);
        bench_start_roles(bus, ROLES);
        double full = (double) (bench_pss_kib(node) + bench_pss_kib(keeper));
        double node_full = (double) bench_pss_kib(node);
        double per_role = (full - rest) / ROLES;
        bench_remove_roles(bus, ROLES);

        printf("memory: at rest %.0f KiB (node %.0f); goal below %.0f: %s\n", rest, node_rest, GOAL_REST_KIB,
                rest < GOAL_REST_KIB ? "met" : "not met");
        printf("memory: with %u roles %.0f KiB (node %.0f), %.2f KiB a role, ratio %.2f to rest; goal below %.0f KiB a role: %s\n",
                ROLES, full, node_full, per_role, full / rest, GOAL_ROLE_KIB,
                per_role < GOAL_ROLE_KIB ? "met" : "not met");
        sd_bus_unref(bus);
        return 0;
}
