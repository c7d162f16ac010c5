/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how late root is while an ordinary user floods the node: the time of a Beat and that of a Start,
 * on the bus and on the private socket. Beside it is GetId, which the bus daemon itself answers, a Ping to
 * systemd, which each Start has to call, and a Beat to a service that does nothing but read and reply, under
 * a flood of the same kind: no service is earlier on this bus. "aside" is another one, which nobody floods.
 * The calls are made at fixed times, so that a slow one counts for all that it delays. Each kind of flood has
 * its turn. */

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "flood.h"

#define CONNECTIONS 250U /* dbus-daemon permits a user 256 */
#define SECONDS 60U
#define INTERVAL_MS 20.0
#define START_INTERVAL_MS 1000.0
#define SAMPLES_MAX 16384U
#define ROLES 100U
#define GOAL_MS 100.0
#define GOAL_RATIO 2.0
#define GOAL_START_MS 1000.0

#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"
/* The bus policy of the instances applies to it. */
#define REFERENCE "org.architect.Node.reference"
#define ASIDE "org.architect.Node.aside"
#define SYSTEMD "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.DBus.Peer"
#define PRIVATE "/run/architect-node/main/private"
#define DAEMON "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"

typedef struct Probe {
        sd_bus *bus;
        const char *what;
        const char *where; /* NULL for the bus */
        double interval, next;
        double sent[SAMPLES_MAX], ms[SAMPLES_MAX]; /* ms is negative while there is no reply */
        unsigned n_sent, n;
        unsigned n_failed;
        unsigned n_all; /* in all turns */
        unsigned turn;
} Probe;

typedef struct ProbeCall {
        Probe *probe;
        unsigned turn, i;
} ProbeCall;

enum { BEAT, GET_ID, START, PRIVATE_BEAT, PRIVATE_START, PING, N_PROBES };
enum { REFERENCE_BEAT, ASIDE_BEAT, REFERENCE_GET_ID, N_REFERENCES };

/* -- the reference -- */

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (!sd_bus_message_is_method_call(m, NULL, NULL))
                return 0;
        if (sd_bus_message_get_expect_reply(m) > 0)
                (void) sd_bus_reply_method_return(m, NULL);
        return 1;
}

/* Returns when it has its names. */
static pid_t start_reference(const char *name) {
        char c;
        int fds[2];

        bench_check(pipe(fds) < 0 ? -errno : 0, "pipe");
        pid_t pid = fork();
        if (pid == 0) {
                bench_check(prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0, "prctl");
                sd_bus *bus = bench_bus();
                bench_check(
                        sd_bus_request_name(bus, "org.architect.NodeInstances", SD_BUS_NAME_QUEUE), "name");
                bench_check(sd_bus_request_name(bus, name, 0), name);
                bench_check(sd_bus_add_filter(bus, NULL, on_call, NULL), "filter");
                bench_check(write(fds[1], "", 1) == 1 ? 0 : -EIO, "pipe");
                for (;;) {
                        int r = sd_bus_process(bus, NULL);
                        if (r == 0)
                                r = sd_bus_wait(bus, UINT64_MAX);
                        bench_check(r, "bus");
                }
        }
        bench_check(pid, "fork");
        bench_check(read(fds[0], &c, 1) == 1 ? 0 : -EIO, "reference");
        (void) close(fds[0]);
        (void) close(fds[1]);
        return pid;
}

/* -- the probes -- */

static sd_bus *private_bus(void) {
        sd_bus *bus = NULL;

        bench_check(sd_bus_new(&bus), "private socket");
        bench_check(sd_bus_set_address(bus, "unix:path=" PRIVATE), "private socket");
        bench_check(sd_bus_start(bus), "private socket");
        bench_bus_ready(bus);
        return bus;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ProbeCall *call = userdata;
        Probe *p = call->probe;
        const unsigned i = call->i;
        bool stale = call->turn != p->turn;

        free(call);
        /* It was sent under another flood, and counted there as one without a reply. */
        if (stale)
                return 0;
        if (sd_bus_message_is_method_error(m, NULL)) {
                if (p->n_failed++ == 0)
                        printf("flood: %s: %s\n", p->what, sd_bus_message_get_error(m)->message);
        }
        p->ms[i] = bench_now() - p->sent[i];
        p->n++;
        return 0;
}

static void send_probe(Probe *p, double now) {
        sd_bus_message *m = NULL;
        ProbeCall *call = malloc(sizeof(*call));
        char name[32];

        if (!call)
                bench_die("out of memory");
        *call = (ProbeCall){ p, p->turn, p->n_sent };

        if (strcmp(p->what, "Start") == 0) {
                bench_check(sd_bus_message_new_method_call(p->bus, &m, NODE, "Start"), "Start");
                (void) snprintf(name, sizeof(name), "bench-flood-%s-%u", p->where ?: "bus", p->n_all++);
                bench_check(sd_bus_message_append(m, "sasa{sv}", name, 1, bench_sleeper(), 0), "Start");
        } else if (strcmp(p->what, "Beat") == 0)
                bench_check(sd_bus_message_new_method_call(p->bus, &m, NODE, "Beat"), "Beat");
        else if (strcmp(p->what, "Ping") == 0)
                bench_check(sd_bus_message_new_method_call(p->bus, &m, SYSTEMD, "Ping"), "Ping");
        else if (strcmp(p->what, "aside") == 0)
                bench_check(sd_bus_message_new_method_call(
                                    p->bus, &m, ASIDE, "/org/architect/Node", "org.architect.Node", "Beat"),
                        "Beat");
        else if (strcmp(p->what, "reference") == 0)
                bench_check(sd_bus_message_new_method_call(p->bus, &m, REFERENCE, "/org/architect/Node",
                                    "org.architect.Node", "Beat"),
                        "Beat");
        else
                bench_check(sd_bus_message_new_method_call(p->bus, &m, DAEMON, "GetId"), "GetId");
        bench_check(sd_bus_call_async(p->bus, NULL, m, on_reply, call, UINT64_MAX), p->what);
        sd_bus_message_unref(m);
        p->ms[p->n_sent] = -1;
        p->sent[p->n_sent++] = now;
        p->next += p->interval;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static double percentile(const Probe *p, double part) {
        return p->n == 0 ? -1 : p->ms[(unsigned) (part * (p->n - 1) + 0.5)];
}

/* Returns the probes, sorted. */
static void measure(Probe *probes, unsigned n, double seconds) {
        double begin = bench_now(), now;

        for (unsigned i = 0; i < n; i++) {
                probes[i].next = begin + i;
                probes[i].n = probes[i].n_sent = probes[i].n_failed = 0;
                probes[i].turn++;
        }
        for (;;) {
                bool pending = false;

                now = bench_now();
                for (unsigned i = 0; i < n; i++) {
                        Probe *p = probes + i;

                        while (now < begin + seconds * 1e3 && now >= p->next && p->n_sent < SAMPLES_MAX &&
                                p->n_sent - p->n < 100)
                                send_probe(p, p->next);
                        int r;
                        while ((r = sd_bus_process(p->bus, NULL)) > 0)
                                ;
                        bench_check(r, "bus");
                        pending |= p->n < p->n_sent;
                }
                if (now >= begin + seconds * 1e3 && (!pending || now >= begin + 2 * seconds * 1e3))
                        break;
                (void) usleep(500);
        }
        for (unsigned i = 0; i < n; i++) {
                Probe *p = probes + i;
                /* What has not been answered is at least so late. */
                for (unsigned j = 0; j < p->n_sent; j++)
                        if (p->ms[j] < 0)
                                p->ms[j] = now - p->sent[j];
                p->n = p->n_sent;
                qsort(p->ms, p->n, sizeof(*p->ms), compare);
        }
}

static unsigned long peak_kib(pid_t pid) {
        char path[64], line[256];
        unsigned long value = 0;

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        FILE *f = fopen(path, "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f))
                if (strncmp(line, "VmHWM:", 6) == 0)
                        value = strtoul(line + 6, NULL, 10);
        (void) fclose(f);
        return value;
}

static const struct {
        const char *name;
        unsigned flags;
} kinds[] = {
        { "none", 0 },
        { "one call at a time", FLOOD_IN_TURN },
        { "no replies", FLOOD_NO_REPLIES },
        { "replies", FLOOD_REPLIES },
        { "both, half unread", FLOOD_NO_REPLIES | FLOOD_REPLIES | FLOOD_UNREAD },
};

static void flood_and_measure(const struct passwd *pw, unsigned flags, const char *destination, Probe *probes,
        unsigned n, double seconds) {
        Flood flood = {};

        while (flags) {
                bench_check(flood_start(&flood, destination, pw->pw_uid, pw->pw_gid, CONNECTIONS, flags),
                        "flood");
                while (flood.count->connections < CONNECTIONS && waitpid(flood.pid, NULL, WNOHANG) == 0)
                        (void) usleep(1000);
                if (flood.count->connections == CONNECTIONS)
                        break;
                /* dbus-daemon still counts the connections of the last one, which has ended. */
                (void) usleep(100000);
        }
        measure(probes, n, seconds);
        if (!flags)
                return;
        FloodCount count = flood_stop(&flood);
        printf("flood: of %s: %.0f calls, %.0f returns, %.0f errors\n", destination, (double) count.calls,
                (double) count.returns, (double) count.errors);
}

static void print_probe(const Probe *p) {
        printf("flood:   %-9s %-7s %5u calls, %u failed: median %8.2f, p99 %8.2f, max %8.2f ms\n", p->what,
                p->where ?: "", p->n, p->n_failed, percentile(p, 0.5), percentile(p, 0.99), percentile(p, 1));
}

int main(int argc, char *argv[]) {
        static Probe probes[N_PROBES], references[N_REFERENCES];
        const double seconds = argc > 1 ? atof(argv[1]) : SECONDS;
        const struct passwd *pw = getpwnam("nobody");
        sd_bus *control = bench_bus();

        if (!pw)
                bench_die("there is no user nobody");
        probes[BEAT] = (Probe){ .bus = bench_bus(), .what = "Beat", .interval = INTERVAL_MS };
        probes[GET_ID] = (Probe){ .bus = bench_bus(), .what = "GetId", .interval = INTERVAL_MS };
        probes[START] = (Probe){ .bus = bench_bus(), .what = "Start", .interval = START_INTERVAL_MS };
        probes[PRIVATE_BEAT] =
                (Probe){ .bus = private_bus(), .what = "Beat", .where = "private", .interval = INTERVAL_MS };
        probes[PRIVATE_START] = (Probe){
                .bus = private_bus(), .what = "Start", .where = "private", .interval = START_INTERVAL_MS
        };
        probes[PING] = (Probe){
                .bus = bench_bus(), .what = "Ping", .where = "systemd", .interval = START_INTERVAL_MS
        };
        references[REFERENCE_BEAT] =
                (Probe){ .bus = bench_bus(), .what = "reference", .interval = INTERVAL_MS };
        references[ASIDE_BEAT] = (Probe){ .bus = bench_bus(), .what = "aside", .interval = INTERVAL_MS };
        references[REFERENCE_GET_ID] =
                (Probe){ .bus = bench_bus(), .what = "GetId", .interval = INTERVAL_MS };
        /* A beat may be later than the monitor permits. */
        bench_check(
                sd_bus_call_method(control, NODE, "SetMonitorTimeout", NULL, NULL, "t", UINT64_C(3600000000)),
                "SetMonitorTimeout");
        bench_start_roles(control, ROLES);
        const pid_t node = bench_main_pid(control, "architect-node.service");

        for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
                printf("flood: %s, %u connections, %.0f s\n", kinds[k].name, kinds[k].flags ? CONNECTIONS : 0,
                        seconds);
                pid_t pid = start_reference(REFERENCE), pid2 = start_reference(ASIDE);
                flood_and_measure(pw, kinds[k].flags, REFERENCE, references, N_REFERENCES, seconds);
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                (void) kill(pid2, SIGKILL);
                (void) waitpid(pid2, NULL, 0);

                const double cpu = bench_cpu(node);
                flood_and_measure(pw, kinds[k].flags, "org.architect.Node", probes, N_PROBES, seconds);
                for (unsigned i = 0; i < N_REFERENCES; i++)
                        print_probe(references + i);
                for (unsigned i = 0; i < N_PROBES; i++)
                        print_probe(probes + i);
                const double beat = percentile(probes + BEAT, 0.99), id = percentile(probes + GET_ID, 0.99),
                             start = percentile(probes + START, 1), ping = percentile(probes + PING, 1);
                const double private_beat = percentile(probes + PRIVATE_BEAT, 0.99),
                             private_start = percentile(probes + PRIVATE_START, 1);
                printf("flood:   bus: Beat p99 / GetId p99 %.2f, / reference p99 %.2f; goal Beat p99 below %.0f ms or at most %.0f times GetId: %s; "
                       "Start at most %.0f ms, goal below %.0f: %s\n",
                        beat / id, beat / percentile(references, 0.99), GOAL_MS, GOAL_RATIO,
                        beat < GOAL_MS || beat <= GOAL_RATIO * id ? "met" : "not met", start, GOAL_START_MS,
                        start < GOAL_START_MS ? "met" : "not met");
                printf("flood:   private socket: Beat p99 / GetId p99 %.2f; goal Beat p99 below %.0f ms or at most %.0f times GetId: %s; "
                       "Start at most %.0f ms, %.1f times a Ping to systemd, goal below %.0f: %s\n",
                        private_beat / id, GOAL_MS, GOAL_RATIO,
                        private_beat < GOAL_MS || private_beat <= GOAL_RATIO * id ? "met" : "not met",
                        private_start, private_start / ping, GOAL_START_MS,
                        private_start < GOAL_START_MS ? "met" : "not met");
                printf("flood:   node: %.0f ms CPU, peak %lu KiB%s\n", bench_cpu(node) - cpu, peak_kib(node),
                        kill(node, 0) == 0 ? "" : "; it was RESTARTED");
                (void) fflush(stdout);
        }
        return 0;
}
