/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the time until N roles run, compared with the least that one scope for each of N processes can
 * cost. For the latter this program itself spawns N sleepers and pipelines N StartTransientUnit calls on one
 * connection, all in one slice, until the last JobRemoved. The two alternate. */

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"

#define REPETITIONS 6U
#define GOAL 1.3

typedef struct Floor {
        unsigned calls;
        unsigned jobs;
        unsigned done;
} Floor;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Floor *f = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("StartTransientUnit: %s", sd_bus_message_get_error(m)->message);
        f->calls--;
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Floor *f = userdata;
        const char *unit;

        bench_check(sd_bus_message_read(m, "uos", NULL, NULL, &unit), "JobRemoved");
        if (strncmp(unit, "benchfloor-", strlen("benchfloor-")) == 0 && strstr(unit, ".scope")) {
                f->jobs--;
                f->done++;
        }
        return 0;
}

static void call_start(sd_bus *bus, Floor *f, unsigned i, pid_t pid) {
        sd_bus_message *m = NULL;
        char unit[64];

        (void) snprintf(unit, sizeof(unit), "benchfloor-%u.scope", i);
        bench_check(sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1",
                            "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                            "StartTransientUnit"),
                unit);
        bench_check(sd_bus_message_append(m, "ssa(sv)a(sa(sv))", unit, "fail", 3, "Slice", "s",
                            "benchfloor.slice", "CollectMode", "s", "inactive-or-failed", "PIDs", "au", 1,
                            (uint32_t) pid, 0),
                unit);
        bench_check(sd_bus_call_async(bus, NULL, m, on_reply, f, 120 * UINT64_C(1000000)), unit);
        sd_bus_message_unref(m);
}

static double run_floor(sd_bus *bus, unsigned n) {
        char *const argv[] = { (char *) bench_sleeper(), NULL };
        pid_t *pids = calloc(n, sizeof(pid_t));
        sd_bus_slot *match = NULL;
        Floor f = {};

        bench_check(sd_bus_match_signal(bus, &match, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                            "org.freedesktop.systemd1.Manager", "JobRemoved", on_job_removed, &f),
                "match");

        double begin = bench_now();
        for (unsigned i = 0; i < n; i++)
                bench_check(-posix_spawn(&pids[i], argv[0], NULL, NULL, argv, NULL), argv[0]);
        for (unsigned i = 0; f.done < n;) {
                while (i < n && f.calls < BENCH_WINDOW && f.jobs < BENCH_JOBS) {
                        call_start(bus, &f, i, pids[i]);
                        i++;
                        f.calls++;
                        f.jobs++;
                }
                int r = sd_bus_process(bus, NULL);
                bench_check(r, "bus");
                if (r == 0)
                        bench_check(sd_bus_wait(bus, UINT64_MAX), "bus");
        }
        double ms = bench_now() - begin;

        for (unsigned i = 0; i < n; i++) {
                (void) kill(pids[i], SIGKILL);
                (void) waitpid(pids[i], NULL, 0);
        }
        free(pids);
        sd_bus_slot_unref(match);
        bench_wait_units_gone(bus, "benchfloor-*.scope");
        return ms;
}

static double run_node(sd_bus *bus, unsigned n) {
        double begin = bench_now();

        bench_start_roles(bus, n);
        double ms = bench_now() - begin;
        bench_remove_roles(bus, n);
        return ms;
}

int main(void) {
        static const unsigned sizes[] = { 1, 100, 500 };
        sd_bus *bus = bench_bus();

        (void) run_node(bus, 10);
        (void) run_floor(bus, 10);
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                unsigned n = sizes[s];
                double floor_ms[REPETITIONS], node_ms[REPETITIONS], ratio[REPETITIONS];

                for (unsigned i = 0; i < REPETITIONS; i++) {
                        /* After a pause the first move of a process between cgroups waits for the kernel, and
                         * the next one does not. So each of the two is the first equally often. */
                        if (i % 2 == 0)
                                floor_ms[i] = run_floor(bus, n);
                        node_ms[i] = run_node(bus, n);
                        if (i % 2 != 0)
                                floor_ms[i] = run_floor(bus, n);
                        ratio[i] = node_ms[i] / floor_ms[i];
                }
                double r = bench_median(ratio, REPETITIONS);
                printf("start %3u roles: floor %7.1f ms, node %7.1f ms, ratio %.2f (%.2f to %.2f)", n,
                        bench_median(floor_ms, REPETITIONS), bench_median(node_ms, REPETITIONS), r, ratio[0],
                        ratio[REPETITIONS - 1]);
                if (n == 500)
                        printf("; goal at most %.1f: %s", GOAL, r <= GOAL ? "met" : "not met");
                printf("\n");
                (void) fflush(stdout);
        }
        sd_bus_unref(bus);
        return 0;
}
