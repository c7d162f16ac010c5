/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how many roles of /bin/true start and end in a second, with 50 under way. The last line, which is
 * the figure alone, is for tools/bench --against=, which runs this program against two builds of the service
 * in turn. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define UNDER_WAY 50U
#define WARM_UP 200U
#define ROLES 1000U
#define ROUNDS 3U
#define GOAL 500.0

typedef struct Slot {
        struct Churn *churn;
        bool started, ended;
} Slot;

typedef struct Churn {
        sd_bus *bus;
        Slot slots[UNDER_WAY];
        unsigned to_start, to_end;
} Churn;

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error);

static void slot_start(Slot *slot) {
        const unsigned i = (unsigned) (slot - slot->churn->slots);
        char name[32];

        if (slot->churn->to_start == 0)
                return;
        slot->churn->to_start--;
        slot->started = slot->ended = false;
        (void) snprintf(name, sizeof(name), "churn-%u", i);
        bench_check(
                sd_bus_call_method_async(slot->churn->bus, NULL, "org.architect.Node", "/org/architect/Node",
                        "org.architect.Node", "Start", on_started, slot, "sasa{sv}", name, 1, "/bin/true", 0),
                "Start");
}

/* The same name starts again as soon as the role has ended and the call has returned, in either order. */
static void slot_check(Slot *slot) {
        if (!slot->started || !slot->ended)
                return;
        slot->churn->to_end--;
        slot_start(slot);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Slot *slot = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("Start: %s", sd_bus_message_get_error(m)->message);
        slot->started = true;
        slot_check(slot);
        return 0;
}

static int on_exited(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Churn *churn = userdata;
        const char *role, *code;
        int32_t status;

        bench_check(sd_bus_message_read(m, "sosi", &role, NULL, &code, &status), "RoleExited");
        if (strncmp(role, "churn-", strlen("churn-")) != 0)
                return 0;
        if (strcmp(code, "exited") != 0 || status != 0)
                bench_die("%s: %s %d", role, code, status);
        Slot *slot = &churn->slots[strtoul(role + strlen("churn-"), NULL, 10)];
        slot->ended = true;
        slot_check(slot);
        return 0;
}

static double run(Churn *churn, unsigned n) {
        const double begin = bench_now();

        churn->to_start = churn->to_end = n;
        for (unsigned i = 0; i < UNDER_WAY; i++)
                slot_start(&churn->slots[i]);
        while (churn->to_end > 0)
                bench_turn(churn->bus);
        return n / (bench_now() - begin) * 1e3;
}

int main(int argc, char *argv[]) {
        const unsigned rounds = argc > 1 ? 1 : ROUNDS;
        Churn churn = { .bus = bench_bus() };
        double rate[ROUNDS];

        for (unsigned i = 0; i < UNDER_WAY; i++)
                churn.slots[i].churn = &churn;
        bench_check(sd_bus_match_signal(churn.bus, NULL, "org.architect.Node", NULL, "org.architect.Node",
                            "RoleExited", on_exited, &churn),
                "match");
        (void) run(&churn, WARM_UP);
        for (unsigned i = 0; i < rounds; i++)
                rate[i] = run(&churn, ROLES);
        bench_call_node(churn.bus, "Purge", NULL, "as", 0);

        const BenchFigure figure = bench_figure(rate, rounds);
        bench_print("churn of /bin/true, 50 under way", figure, "starts/s", BENCH_AT_LEAST, GOAL);
        printf("%.1f\n", figure.median);
        sd_bus_unref(churn.bus);
        return 0;
}
