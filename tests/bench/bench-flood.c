/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how late root is while an ordinary user floods the node: the time of a Beat, beside that of GetId,
 * which the bus daemon itself answers, and that of a Start. The calls are made at fixed times, so that a slow
 * one counts for all that it delays. Each kind of flood has its turn. */

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#define DAEMON "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"

typedef struct Probe {
        sd_bus *bus;
        const char *what;
        double interval, next;
        double sent[SAMPLES_MAX], ms[SAMPLES_MAX];
        unsigned n_sent, n;
        unsigned n_failed;
} Probe;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Probe *p = userdata;

        /* One connection, so the replies are in order. */
        if (sd_bus_message_is_method_error(m, NULL)) {
                if (p->n_failed++ == 0)
                        printf("flood: %s: %s\n", p->what, sd_bus_message_get_error(m)->message);
        }
        p->ms[p->n] = bench_now() - p->sent[p->n];
        p->n++;
        return 0;
}

static void send_probe(Probe *p, double now) {
        sd_bus_message *m = NULL;
        char name[32];

        if (strcmp(p->what, "Start") == 0) {
                bench_check(sd_bus_message_new_method_call(p->bus, &m, NODE, "Start"), "Start");
                (void) snprintf(name, sizeof(name), "bench-flood-%u", p->n_sent);
                bench_check(sd_bus_message_append(m, "sasa{sv}", name, 1, bench_sleeper(), 0), "Start");
        } else if (strcmp(p->what, "Beat") == 0)
                bench_check(sd_bus_message_new_method_call(p->bus, &m, NODE, "Beat"), "Beat");
        else
                bench_check(sd_bus_message_new_method_call(p->bus, &m, DAEMON, "GetId"), "GetId");
        bench_check(sd_bus_call_async(p->bus, NULL, m, on_reply, p, UINT64_MAX), p->what);
        sd_bus_message_unref(m);
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
                if (now >= begin + seconds * 1e3 && (!pending || now >= begin + (seconds + 30) * 1e3))
                        break;
                (void) usleep(500);
        }
        for (unsigned i = 0; i < n; i++) {
                Probe *p = probes + i;
                /* What has not been answered is at least so late. */
                for (; p->n < p->n_sent; p->n++)
                        p->ms[p->n] = now - p->sent[p->n];
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

int main(int argc, char *argv[]) {
        static Probe probes[3];
        static const struct {
                const char *name;
                unsigned flags;
        } kinds[] = {
                { "no flood", 0 },
                { "no replies", FLOOD_NO_REPLIES },
                { "replies", FLOOD_REPLIES },
                { "both, half unread", FLOOD_NO_REPLIES | FLOOD_REPLIES | FLOOD_UNREAD },
        };
        double seconds = argc > 1 ? atof(argv[1]) : SECONDS;
        struct passwd *pw = getpwnam("nobody");

        if (!pw)
                bench_die("there is no user nobody");
        probes[0] = (Probe){ .bus = bench_bus(), .what = "GetId", .interval = INTERVAL_MS };
        probes[1] = (Probe){ .bus = bench_bus(), .what = "Beat", .interval = INTERVAL_MS };
        probes[2] = (Probe){ .bus = bench_bus(), .what = "Start", .interval = START_INTERVAL_MS };
        bench_start_roles(probes[2].bus, ROLES);
        pid_t node = bench_main_pid(probes[2].bus, "architect-node.service");

        for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
                Flood flood = {};
                FloodCount count = {};

                if (kinds[k].flags) {
                        bench_check(flood_start(&flood, pw->pw_uid, pw->pw_gid, CONNECTIONS, kinds[k].flags),
                                "flood");
                        while (flood.count->connections < CONNECTIONS)
                                (void) usleep(1000);
                }
                double cpu = bench_cpu(node);
                measure(probes, 3, seconds);
                cpu = bench_cpu(node) - cpu;
                if (kinds[k].flags)
                        count = flood_stop(&flood);
                printf("flood: %s: %.0f calls, %.0f returns, %.0f errors, %.0f closed; node %.0f ms CPU, peak %lu KiB\n",
                        kinds[k].name, (double) count.calls, (double) count.returns, (double) count.errors,
                        (double) count.closed, cpu, peak_kib(node));
                for (unsigned i = 0; i < 3; i++) {
                        Probe *p = probes + i;
                        printf("flood: %-20s %-6s n %5u failed %u median %8.2f p99 %8.2f max %8.2f ms\n",
                                kinds[k].name, p->what, p->n, p->n_failed, percentile(p, 0.5),
                                percentile(p, 0.99), percentile(p, 1));
                }
                (void) fflush(stdout);
                if (bench_main_pid(probes[2].bus, "architect-node.service") != node)
                        printf("flood: the node was restarted\n");
                bench_remove_range(probes[2].bus, 0, 0, 1);
        }
        return 0;
}
