/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the time from the end of a role, by SIGKILL and by an exit of its own, to RoleExited at a
 * subscribed client. It is compared with the time in which the kernel reports such an end by a pidfd, and
 * with the first signal about the scope that systemd sends for the same end. The ends come one directly after
 * the other, or each after 20 ms in which nothing has happened. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 50U
#define ROUNDS 3U
#define SETTLE_USEC 700000U /* what the starts have caused is over by then */
#define QUIET_USEC 20000U
#define GOAL_PIDFD 6.0
#define GOAL_SYSTEMD 2.0
#define GOAL_P90 2.0

typedef struct Watch {
        const BenchRole *role;
        double begin;
        double node_ms, systemd_ms; /* 0 until the signal is here */
} Watch;

static int on_role_exited(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *role;
        Watch *w = userdata;

        bench_check(sd_bus_message_read(m, "s", &role), "RoleExited");
        if (w->role && strcmp(role, w->role->name) == 0)
                w->node_ms = bench_now() - w->begin;
        return 0;
}

static void on_systemd(Watch *w, const char *path) {
        if (w->role && w->systemd_ms <= 0 && strcmp(path, w->role->scope) == 0)
                w->systemd_ms = bench_now() - w->begin;
}

static int on_properties_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        on_systemd(userdata, sd_bus_message_get_path(m));
        return 0;
}

static int on_unit_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *path;

        bench_check(sd_bus_message_read(m, "so", NULL, &path), "UnitRemoved");
        on_systemd(userdata, path);
        return 0;
}

static void subscribe_to_systemd(sd_bus *bus, Watch *w) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        bench_check(sd_bus_add_match(bus, NULL,
                            "type='signal',sender='org.freedesktop.systemd1',member='PropertiesChanged',"
                            "path_namespace='/org/freedesktop/systemd1/unit'",
                            on_properties_changed, w),
                "match");
        bench_check(sd_bus_match_signal(bus, NULL, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                            "org.freedesktop.systemd1.Manager", "UnitRemoved", on_unit_removed, w),
                "match");
        if (sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "Subscribe", &error, NULL, "") < 0)
                bench_die("Subscribe: %s", error.message);
}

static void time_role(sd_bus *bus, Watch *w, const BenchRole *role, int sig, bool beside_systemd) {
        w->node_ms = w->systemd_ms = 0;
        w->role = role;
        w->begin = bench_now();
        bench_check(kill(role->pid, sig) < 0 ? -errno : 0, "kill");
        while (w->node_ms <= 0 || (beside_systemd && w->systemd_ms <= 0))
                bench_turn(bus);
}

typedef struct Process {
        pid_t pid;
        int pidfd;
} Process;

static Process process_new(void) {
        char *const argv[] = { (char *) bench_sleeper(), NULL };
        Process p;

        bench_check(-posix_spawn(&p.pid, argv[0], NULL, NULL, argv, NULL), argv[0]);
        p.pidfd = (int) syscall(SYS_pidfd_open, p.pid, 0);
        bench_check(p.pidfd < 0 ? -errno : 0, "pidfd_open");
        return p;
}

static double time_process(const Process *process, int sig) {
        struct pollfd p = { .fd = process->pidfd, .events = POLLIN };
        const double begin = bench_now();

        bench_check(kill(process->pid, sig) < 0 ? -errno : 0, "kill");
        bench_check(poll(&p, 1, -1) < 0 ? -errno : 0, "poll");
        const double ms = bench_now() - begin;
        (void) close(process->pidfd);
        bench_check(waitpid(process->pid, NULL, 0) < 0 ? -errno : 0, "waitpid");
        return ms;
}

typedef struct Case {
        const char *what;
        int sig;
        useconds_t pause;
} Case;

typedef struct Sample {
        double node[ROUNDS * ROLES], pidfd[ROUNDS * ROLES];
        double node_beside[ROUNDS * ROLES], systemd[ROUNDS * ROLES];
} Sample;

/* Who is subscribed to systemd costs time, too, so RoleExited is measured without that first. */
static void measure(sd_bus *control, const Case *c, bool beside_systemd, unsigned first, Sample *sample) {
        Process processes[ROLES];
        sd_bus *bus = bench_bus();
        Watch w = {};
        unsigned n;

        bench_start_roles(control, ROLES);
        for (unsigned i = 0; i < ROLES; i++)
                processes[i] = process_new();
        BenchRole *roles = bench_list_running(control, &n);
        if (n != ROLES)
                bench_die("%u roles run", n);
        (void) usleep(SETTLE_USEC);
        bench_check(sd_bus_match_signal(bus, NULL, "org.architect.Node", NULL, "org.architect.Node",
                            "RoleExited", on_role_exited, &w),
                "match");
        if (beside_systemd)
                subscribe_to_systemd(bus, &w);

        for (unsigned i = 0; i < ROLES; i++) {
                (void) usleep(c->pause);
                time_role(bus, &w, &roles[i], c->sig, beside_systemd);
                if (beside_systemd) {
                        sample->node_beside[first + i] = w.node_ms;
                        sample->systemd[first + i] = w.systemd_ms;
                } else
                        sample->node[first + i] = w.node_ms;
                (void) usleep(c->pause);
                const double ms = time_process(&processes[i], c->sig);
                if (!beside_systemd)
                        sample->pidfd[first + i] = ms;
        }
        free(roles);
        sd_bus_unref(bus);
        bench_remove_roles(control, ROLES);
}

static void plot(const char *what, const char *who, const double *values, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                bench_plot(what, who, i, values[i]);
}

static void print(const Case *c, Sample *sample) {
        const unsigned n = ROUNDS * ROLES;
        char name[128];

        plot(c->what, "pidfd", sample->pidfd, n);
        plot(c->what, "RoleExited", sample->node, n);
        plot(c->what, "systemd", sample->systemd, n);
        const BenchFigure node = bench_figure(sample->node, n), beside = bench_figure(sample->node_beside, n),
                          systemd = bench_figure(sample->systemd, n);
        const double pidfd = bench_median(sample->pidfd, n);
        bench_compare(c->what, node, "ms", "pidfd", pidfd, node.median / pidfd, BENCH_AT_MOST, GOAL_PIDFD);
        (void) snprintf(name, sizeof(name), "%s, p90", c->what);
        bench_compare(name, bench_figure_of(node.p90), "ms", "median", node.median, node.p90 / node.median,
                BENCH_AT_MOST, GOAL_P90);
        (void) snprintf(name, sizeof(name), "%s, systemd's own signal", c->what);
        bench_compare(name, systemd, "ms", "RoleExited", beside.median, systemd.median / beside.median,
                BENCH_AT_LEAST, GOAL_SYSTEMD);
}

int main(void) {
        static const Case cases[] = {
                { "kill -9, back to back", SIGKILL, 0 },
                { "kill -9, after 20 ms of quiet", SIGKILL, QUIET_USEC },
                { "exit 0, back to back", SIGUSR1, 0 },
                { "exit 0, after 20 ms of quiet", SIGUSR1, QUIET_USEC },
        };
        enum { N_CASES = sizeof(cases) / sizeof(cases[0]) };
        static Sample samples[N_CASES];
        sd_bus *bus = bench_bus();

        for (unsigned round = 0; round < ROUNDS; round++)
                for (unsigned i = 0; i < N_CASES; i++)
                        for (int beside_systemd = 0; beside_systemd <= 1; beside_systemd++)
                                measure(bus, &cases[i], beside_systemd, round * ROLES, &samples[i]);
        for (unsigned i = 0; i < N_CASES; i++)
                print(&cases[i], &samples[i]);
        sd_bus_unref(bus);
        return 0;
}
