/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the memory of node and keeper together, when idle and for each role. PSS counts shared pages by
 * their share. */

#include <stdio.h>
#include <string.h>

#include "bench.h"

#define ROLES 500U
#define GOAL_REST_KIB 5000.0
#define GOAL_ROLE_KIB 4.0

typedef struct Restart {
        const char *job;
        bool done;
} Restart;

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Restart *restart = userdata;
        const char *job, *result;

        bench_check(sd_bus_message_read(m, "uoss", NULL, &job, NULL, &result), "JobRemoved");
        if (restart->job && strcmp(job, restart->job) == 0) {
                if (strcmp(result, "done") != 0)
                        bench_die("The restart of the service ended with %s", result);
                restart->done = true;
        }
        return 0;
}

static void restart(sd_bus *bus, const char *unit) {
        sd_bus_message *reply = NULL;
        sd_bus_slot *match = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Restart r = {};

        bench_check(sd_bus_match_signal(bus, &match, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                            "org.freedesktop.systemd1.Manager", "JobRemoved", on_job_removed, &r),
                "match");
        if (sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "RestartUnit", &error, &reply, "ss", unit,
                    "replace") < 0)
                bench_die("RestartUnit: %s", error.message);
        bench_check(sd_bus_message_read(reply, "o", &r.job), "RestartUnit");
        while (!r.done) {
                int processed = sd_bus_process(bus, NULL);
                bench_check(processed, "bus");
                if (processed == 0)
                        bench_check(sd_bus_wait(bus, UINT64_MAX), "bus");
        }
        sd_bus_message_unref(reply);
        sd_bus_slot_unref(match);
}

int main(void) {
        sd_bus *bus = bench_bus();
        pid_t node, keeper;

        /* Idle means a service that has just been started, and not one that has had thousands of roles. */
        restart(bus, "architect-node.service");

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
