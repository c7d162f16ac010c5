/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the memory of node and keeper together: fresh, for each role, and one minute after 5000 roles were
 * there and were read by a client. PSS counts shared pages by their share. Then it counts the descriptors
 * that PID 1 has for each role with output, beside those for each service of systemd-run. */

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 500U
#define MANY 5000U
#define ROUNDS 3U
#define SERVICES 192U
#define AT_A_TIME 32U
#define SETTLE_USEC 1000000U /* systemd has stored the last descriptor by then */
#define LATER_SECONDS 60U

extern char **environ;

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
        while (!r.done)
                bench_turn(bus);
        sd_bus_message_unref(reply);
        sd_bus_slot_unref(match);
}

static double pss(sd_bus *bus) {
        return (double) (bench_pss_kib(bench_main_pid(bus, "architect-node.service")) +
                         bench_pss_kib(bench_main_pid(bus, "architect-keeper.service")));
}

/* -- descriptors -- */

static void run_all(char *const argv[], unsigned n) {
        pid_t pids[AT_A_TIME];
        int status;

        for (unsigned i = 0; i < n; i++)
                bench_check(-posix_spawnp(&pids[i], argv[0], NULL, NULL, argv, environ), argv[0]);
        for (unsigned i = 0; i < n; i++) {
                bench_check(waitpid(pids[i], &status, 0) < 0 ? -errno : 0, "waitpid");
                if (status != 0)
                        bench_die("%s: %d", argv[0], status);
        }
}

static double descriptors(void) {
        (void) usleep(SETTLE_USEC);
        return bench_fds(1);
}

static double descriptors_of_services(sd_bus *bus) {
        char *const run[] = { (char *) "systemd-run", (char *) "--quiet", (char *) "--collect",
                (char *) "--slice=benchrun.slice", (char *) bench_sleeper(), (char *) "say", (char *) "here",
                NULL };
        char *const stop[] = { (char *) "systemctl", (char *) "kill", (char *) "--signal=KILL",
                (char *) "run-*.service", NULL };
        const double before = descriptors();

        for (unsigned i = 0; i < SERVICES; i += AT_A_TIME)
                run_all(run, AT_A_TIME);
        const double each = (descriptors() - before) / SERVICES;
        run_all(stop, 1);
        bench_wait_units_gone(bus, "run-*.service");
        return each;
}

static double descriptors_of_roles(sd_bus *bus) {
        const double before = descriptors();

        bench_start_roles(bus, ROLES);
        const double each = (descriptors() - before) / ROLES;
        bench_remove_roles(bus, ROLES);
        return each;
}

int main(void) {
        static const char *command[4];
        double fresh[ROUNDS], role[ROUNDS];
        sd_bus *bus = bench_bus();
        sd_bus_message *reply = NULL;

        command[0] = bench_sleeper();
        command[1] = "say";
        command[2] = "here";
        bench_command = command;
        for (unsigned i = 0; i < ROUNDS; i++) {
                /* Fresh is a service that has just been started, and not one that has had roles. */
                restart(bus, "architect-node.service");
                fresh[i] = pss(bus);
                bench_start_roles(bus, ROLES);
                role[i] = (pss(bus) - fresh[i]) / ROLES;
                bench_remove_roles(bus, ROLES);
        }
        const BenchFigure fresh_figure = bench_figure(fresh, ROUNDS);
        bench_print("memory of node and keeper, fresh", fresh_figure, "KiB", BENCH_AT_MOST, 2048);
        bench_print("memory of a role, beside 500", bench_figure(role, ROUNDS), "KiB", BENCH_AT_MOST, 2);

        const double of_roles = descriptors_of_roles(bus), of_services = descriptors_of_services(bus);
        bench_print("descriptors in PID 1 for each role", bench_figure_of(of_roles), "descriptors",
                BENCH_NO_GOAL, 0);
        bench_print("descriptors in PID 1 for each service of systemd-run", bench_figure_of(of_services),
                "descriptors", BENCH_NO_GOAL, 0);
        bench_print("descriptors in PID 1 for each role, more than that",
                bench_figure_of(of_roles - of_services), "descriptors", BENCH_AT_MOST, 1);

        bench_start_roles(bus, MANY);
        bench_print("memory of node and keeper with 5000 roles", bench_figure_of(pss(bus)), "KiB",
                BENCH_NO_GOAL, 0);
        if (sd_bus_call_method(bus, "org.architect.Node", "/org/architect/Node",
                    "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL, &reply, "") < 0)
                bench_die("GetManagedObjects failed");
        sd_bus_message_unref(reply);
        bench_remove_roles(bus, MANY);
        (void) sleep(LATER_SECONDS);
        const double later = pss(bus);
        bench_compare("memory one minute after 5000 roles were purged", bench_figure_of(later), "KiB",
                "fresh", fresh_figure.median, later / fresh_figure.median, BENCH_AT_MOST, 1.2);
        sd_bus_unref(bus);
        return 0;
}
