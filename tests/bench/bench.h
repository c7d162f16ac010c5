/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The code that the benchmarks share: time, medians, rows of the result, the node as seen by a client,
 * systemd as seen by any process. The benchmarks run as root on a system bus with architect-node on it. They
 * print each figure beside its goal, with a ratio to a figure that was measured in the same run. They do not
 * fail, because a machine may be slow. An error ends the program with a message. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define BENCH_WINDOW 100U /* calls in flight; dbus-daemon allows 128 for each connection */
#define BENCH_JOBS 400U   /* jobs in flight; near 512 PID 1 loses its own connection to dbus-daemon */

/* For a reply. A machine with other work may be very slow with 5000 roles. */
#define BENCH_PATIENCE_USEC (600 * UINT64_C(1000000))

double bench_now(void); /* ms, CLOCK_MONOTONIC */
double bench_median(double *values, unsigned n);

typedef struct BenchFigure {
        double median, p90, min, max;
} BenchFigure;

BenchFigure bench_figure(double *values, unsigned n); /* sorts them */
BenchFigure bench_figure_of(double value);

/* The median of the quotients of what was measured in the same repetition. */
double bench_ratio(const double *values, const double *references, unsigned n);

typedef enum BenchGoal {
        BENCH_NO_GOAL,
        BENCH_AT_MOST,
        BENCH_AT_LEAST,
} BenchGoal;

/* One line of the result. With a reference the goal is one for the ratio, else for the figure. */
typedef struct BenchRow {
        const char *what;
        const char *unit;
        BenchFigure figure;
        const char *reference; /* its name, or NULL */
        double reference_value;
        double ratio;
        BenchGoal goal;
        double limit;
        bool worst; /* the goal is for the worst of the values, not for their median */
} BenchRow;

/* Prints it as a sentence, or as a line of a table in Markdown for tools/bench goals (BENCH_ROWS=1). */
void bench_row(const BenchRow *row);

/* A row without and with a reference. */
void bench_print(const char *what, BenchFigure figure, const char *unit, BenchGoal goal, double limit);
void bench_compare(const char *what, BenchFigure figure, const char *unit, const char *reference,
        double reference_value, double ratio, BenchGoal goal, double limit);

/* One value for a plot, with BENCH_ROWS=1 only. */
void bench_plot(const char *plot, const char *curve, double x, double y);
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bench_check(int r, const char *what); /* ends the program if r is a negative errno */

const char *bench_sleeper(void); /* absolute path of the smallest program that sleeps */
/* They return when the connection is complete, since the other end does not wait long for that. */
sd_bus *bench_bus(void);
void bench_bus_ready(sd_bus *bus);
void bench_turn(sd_bus *bus); /* handles one message, for which it waits */
pid_t bench_main_pid(sd_bus *bus, const char *unit);
pid_t bench_main_pid_or_none(sd_bus *bus, const char *unit); /* 0 while it does not run */

/* Calls a method of the node. ret_reply may be NULL. */
void bench_call_node(sd_bus *bus, const char *member, sd_bus_message **ret_reply, const char *types, ...);

typedef struct BenchRole {
        char name[32];
        pid_t pid;
        char scope[128]; /* the object path of its unit */
} BenchRole;

/* Returns the roles that run, as ListRoles has them. */
BenchRole *bench_list_running(sd_bus *bus, unsigned *ret_n);

/* What a role runs; NULL at the end. Set once, before the first role; defaults to the sleeper alone. */
extern const char *const *bench_command;

/* Start, or kill and purge, the roles bench-0 to bench-(n-1), all at once. They return when all are done. */
void bench_start_roles(sd_bus *bus, unsigned n);
void bench_remove_roles(sd_bus *bus, unsigned n);

/* Ends the roles by Stop, which sends SIGTERM first, and does not purge them. But the node itself purges the
 * first ones of more than MaxEndedRoles=. */
void bench_stop_roles(sd_bus *bus, unsigned n);
void bench_purge_roles(sd_bus *bus); /* those that have ended */

/* Start and remove for the roles bench-FIRST to bench-(FIRST+n-1), beside others, with at most window calls
 * at a time. */
void bench_start_range(sd_bus *bus, unsigned first, unsigned n, unsigned window);
void bench_remove_range(sd_bus *bus, unsigned first, unsigned n, unsigned window);

/* Waits until systemd has no unit of this pattern any more. */
void bench_wait_units_gone(sd_bus *bus, const char *pattern);

/* The number of descriptors that systemd stores for this service. */
unsigned bench_stored(sd_bus *bus, const char *service);
unsigned bench_fds(pid_t pid); /* the number of its descriptors */

unsigned long bench_pss_kib(pid_t pid);
double bench_cpu(pid_t pid); /* ms of CPU time of all threads, with the resolution of the scheduler */
unsigned long bench_switches(pid_t pid); /* voluntary context switches of all threads */
