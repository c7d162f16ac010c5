/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how long a client waits for all objects of the object manager, and for Poll of all roles, with
 * 500, 1000 and 5000 roles. The two take turns. */

#include <stdio.h>

#include "bench.h"

#define REPETITIONS 10U

static double call(sd_bus *bus, const char *interface, const char *member, const char *types) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const double begin = bench_now();

        if (sd_bus_call_method(bus, "org.architect.Node", "/org/architect/Node", interface, member, &error,
                    &reply, types, 0) < 0)
                bench_die("%s: %s", member, error.message);
        const double ms = bench_now() - begin;
        sd_bus_message_unref(reply);
        return ms;
}

int main(void) {
        static const unsigned sizes[] = { 500, 1000, 5000 };
        sd_bus *bus = bench_bus();
        unsigned n = 0;

        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                double objects[REPETITIONS], poll[REPETITIONS];
                char name[64];

                bench_start_range(bus, n, sizes[s] - n, BENCH_WINDOW);
                n = sizes[s];
                for (unsigned i = 0; i < REPETITIONS; i++) {
                        objects[i] =
                                call(bus, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
                        poll[i] = call(bus, "org.architect.Node", "Poll", "as");
                }
                const BenchFigure figure = bench_figure(objects, REPETITIONS);
                const double polled = bench_median(poll, REPETITIONS);
                (void) snprintf(name, sizeof(name), "GetManagedObjects of %u", n);
                bench_compare(name, figure, "ms", "Poll", polled, figure.median / polled, BENCH_NO_GOAL, 0);
        }
        bench_remove_roles(bus, n);
        sd_bus_unref(bus);
        return 0;
}
