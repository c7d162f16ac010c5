/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures StartMany of 500 defined roles in layers of 50, in which each role requires all of the layer
 * before and waits until these are ready, compared with 500 defined roles that depend on nothing, and
 * StopMany of both. The two take turns. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 500U
#define LAYER 50U
#define ROUNDS 7U
#define GOAL_RATIO 1.15

#define DIRECTORY "/etc/architect-node/main.roles.d"

static void definition_path(const char *kind, unsigned i, char path[static 128]) {
        (void) snprintf(path, 128, DIRECTORY "/bench-%s-%u.role", kind, i);
}

static void definition_write(const char *kind, unsigned i, bool layers) {
        char path[128];

        definition_path(kind, i, path);
        FILE *f = fopen(path, "we");
        if (!f)
                bench_check(-errno, path);
        (void) fprintf(f, "[Role]\nCommand=%s\nRoleGroups=%s\n", bench_sleeper(), kind);
        if (layers && i >= LAYER) {
                (void) fputs("Requires=", f);
                for (unsigned k = i - i % LAYER - LAYER; k < i - i % LAYER; k++)
                        (void) fprintf(f, "bench-%s-%u ", kind, k);
                (void) fputs("\n", f);
        }
        if (ferror(f) || fclose(f) != 0)
                bench_check(-EIO, path);
}

/* Calls StartMany or another of these for one of the two groups. Returns how long it takes. */
static double many(sd_bus *bus, const char *method, const char *group) {
        sd_bus_message *reply = NULL;
        const char *name, *error, *message;
        unsigned n = 0;

        const double begin = bench_now();
        bench_call_node(bus, method, &reply, "asa{sv}", 1, group, 0);
        const double took = bench_now() - begin;
        bench_check(sd_bus_message_enter_container(reply, 'a', "(sss)"), method);
        while (sd_bus_message_read(reply, "(sss)", &name, &error, &message) > 0) {
                n++;
                if (error[0])
                        bench_die("%s: %s: %s", method, name, message);
        }
        if (n != ROLES)
                bench_die("%s is about %u roles, not %u", method, n, ROLES);
        sd_bus_message_unref(reply);
        return took;
}

static void turn(sd_bus *bus, const char *group, double *ret_start, double *ret_stop) {
        *ret_start = many(bus, "StartMany", group);
        *ret_stop = many(bus, "StopMany", group);
        bench_purge_roles(bus);
}

int main(void) {
        double free_start[ROUNDS], free_stop[ROUNDS], start[ROUNDS], stop[ROUNDS];
        sd_bus *bus = bench_bus();

        if ((mkdir("/etc/architect-node", 0755) < 0 && errno != EEXIST) ||
                (mkdir(DIRECTORY, 0755) < 0 && errno != EEXIST))
                bench_check(-errno, DIRECTORY);
        for (unsigned i = 0; i < ROLES; i++) {
                definition_write("free", i, false);
                definition_write("layers", i, true);
        }
        bench_call_node(bus, "Reload", NULL, "");
        turn(bus, "@free", &free_start[0], &free_stop[0]); /* not counted */
        for (unsigned i = 0; i < ROUNDS; i++) {
                turn(bus, "@free", &free_start[i], &free_stop[i]);
                turn(bus, "@layers", &start[i], &stop[i]);
        }
        const double start_ratio = bench_ratio(start, free_start, ROUNDS),
                     stop_ratio = bench_ratio(stop, free_stop, ROUNDS);
        bench_compare("dependencies: StartMany of 500 roles in layers of 50", bench_figure(start, ROUNDS),
                "ms", "of 500 free ones", bench_median(free_start, ROUNDS), start_ratio, BENCH_AT_MOST,
                GOAL_RATIO);
        bench_compare("dependencies: StopMany of the same", bench_figure(stop, ROUNDS), "ms",
                "of 500 free ones", bench_median(free_stop, ROUNDS), stop_ratio, BENCH_NO_GOAL, 0);

        for (unsigned i = 0; i < ROLES; i++) {
                char path[128];

                definition_path("free", i, path);
                (void) unlink(path);
                definition_path("layers", i, path);
                (void) unlink(path);
        }
        (void) rmdir(DIRECTORY);
        bench_call_node(bus, "Reload", NULL, "");
        sd_bus_unref(bus);
        return 0;
}
