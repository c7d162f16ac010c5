/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the CPU time that EventsSince costs the node for an event, in replies of 1000 events, beside that
 * of the bus daemon, which passes the same bytes on, and beside a Beat of root. Two further calls return
 * almost nothing: one after the newest event, and one after the event before it, which has to be found in the
 * log. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define ROLES 400U /* three events each */
#define EVENTS 1000U
#define CALLS 30U
#define ROUNDS 5U
#define GOAL_USEC 1.0

#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"

static void beat(sd_bus *bus) {
        bench_check(sd_bus_call_method(bus, NODE, "Beat", NULL, NULL, NULL), "Beat");
}

/* Returns the number of events after this one. */
static unsigned since(sd_bus *bus, uint64_t after, uint64_t *ret_last) {
        sd_bus_message *reply = NULL;
        unsigned n = 0;
        int complete;

        bench_check(sd_bus_call_method(bus, NODE, "EventsSince", NULL, &reply, "stu", "", after, EVENTS),
                "EventsSince");
        bench_check(sd_bus_message_skip(reply, "s"), "EventsSince");
        bench_check(sd_bus_message_read(reply, "b", &complete), "EventsSince");
        bench_check(sd_bus_message_enter_container(reply, 'a', "(ttssa{sv})"), "EventsSince");
        /* Only what is needed is read, because the client shares the processors. */
        while (ret_last && sd_bus_message_enter_container(reply, 'r', "ttssa{sv}") > 0) {
                bench_check(sd_bus_message_read(reply, "t", ret_last), "EventsSince");
                bench_check(sd_bus_message_skip(reply, "tssa{sv}"), "EventsSince");
                bench_check(sd_bus_message_exit_container(reply), "EventsSince");
                n++;
        }
        if (!complete)
                bench_die("events are missing");
        sd_bus_message_unref(reply);
        return n;
}

static uint64_t newest(sd_bus *bus) {
        uint64_t last = 0;

        while (since(bus, last, &last) > 0)
                ;
        return last;
}

typedef struct Cost {
        double node[ROUNDS], daemon[ROUNDS]; /* us for a call */
} Cost;

static void measure(
        sd_bus *bus, pid_t node, pid_t daemon, unsigned round, Cost *cost, const uint64_t *after) {
        double before = bench_cpu(node), daemon_before = bench_cpu(daemon);

        for (unsigned i = 0; i < CALLS; i++)
                if (after)
                        (void) since(bus, *after, NULL);
                else
                        beat(bus);
        cost->node[round] = (bench_cpu(node) - before) * 1e3 / CALLS;
        cost->daemon[round] = (bench_cpu(daemon) - daemon_before) * 1e3 / CALLS;
}

/* Returns the process that passes messages on, which dbus-broker-launch is not. */
static pid_t daemon_pid(sd_bus *bus) {
        const pid_t pid = bench_main_pid(bus, "dbus.service");
        char path[64];
        int child;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) pid);
        FILE *f = fopen(path, "re");
        if (!f)
                bench_die("%s: %s", path, strerror(errno));
        const bool has_child = fscanf(f, "%d", &child) == 1;
        (void) fclose(f);
        return has_child ? (pid_t) child : pid;
}

int main(void) {
        sd_bus *bus = bench_bus();
        const pid_t node = bench_main_pid(bus, "architect-node.service"), daemon = daemon_pid(bus);
        Cost calls = {}, many = {}, one = {}, none = {};

        bench_start_roles(bus, ROLES);
        bench_remove_roles(bus, ROLES);
        const uint64_t last = newest(bus), before = last - 1, first = last - EVENTS;
        uint64_t ignored;
        if (last < EVENTS || since(bus, first, &ignored) != EVENTS)
                bench_die("there are only %llu events", (unsigned long long) last);

        for (unsigned i = 0; i < ROUNDS; i++) {
                measure(bus, node, daemon, i, &calls, NULL);
                measure(bus, node, daemon, i, &many, &first);
                measure(bus, node, daemon, i, &one, &before);
                measure(bus, node, daemon, i, &none, &last);
        }
        const double call = bench_median(calls.node, ROUNDS),
                     event = (bench_median(many.node, ROUNDS) - call) / EVENTS,
                     passed = (bench_median(many.daemon, ROUNDS) - bench_median(calls.daemon, ROUNDS)) /
                              EVENTS;

        printf("events: CPU time of the node for an event of EventsSince: %.2f us, %.2f times that of the bus daemon (%.2f us); goal at most %.0f us: %s\n",
                event, event / passed, passed, GOAL_USEC, event <= GOAL_USEC ? "met" : "not met");
        printf("events: CPU time of the node for EventsSince with one event %.0f us, without one %.0f us; Beat %.0f us\n",
                bench_median(one.node, ROUNDS), bench_median(none.node, ROUNDS), call);
        sd_bus_unref(bus);
        return 0;
}
