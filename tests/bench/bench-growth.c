/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures what 5000 roles cost, each with a line of output, compared with 500 or with none: their start, one
 * more role, the stop of all. Meanwhile PID 1 is asked every 10 ms whether it is there. At last node, keeper
 * and both are killed, and what has survived is counted. */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define FEW 500U
#define MANY 5000U
#define ROUNDS 3U /* the roles of the last one are not stopped, but survive */
#define SINGLE 20U
#define FIRST_SINGLE 100000U
#define PING_MS 10.0

extern char **environ;

/* -- PID 1 -- */

typedef struct Pinger {
        volatile double largest_ms; /* between two replies */
        volatile unsigned replies;
} Pinger;

static void sleep_until(double ms) {
        struct timespec ts = { .tv_sec = (time_t) (ms / 1e3) };

        ts.tv_nsec = (long) ((ms - (double) ts.tv_sec * 1e3) * 1e6);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
                ;
}

static _Noreturn void ping_for_ever(Pinger *pinger) {
        const struct sched_param param = { .sched_priority = 1 };
        sd_bus *bus = NULL;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* So that it is PID 1 that is late, and not this process. Where that is not permitted it counts as
         * PID 1. */
        (void) sched_setscheduler(0, SCHED_FIFO, &param);
        bench_check(sd_bus_new(&bus), "bus");
        bench_check(sd_bus_set_address(bus, "unix:path=/run/systemd/private"), "bus");
        bench_check(sd_bus_start(bus), "bus of PID 1");
        bench_check(sd_bus_set_method_call_timeout(bus, BENCH_PATIENCE_USEC), "bus");
        for (double last = bench_now(), next = last;;) {
                bench_check(sd_bus_call_method(bus, NULL, "/org/freedesktop/systemd1",
                                    "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, ""),
                        "Ping of PID 1");
                const double now = bench_now();
                if (now - last > pinger->largest_ms)
                        pinger->largest_ms = now - last;
                last = now;
                pinger->replies++;
                while (next <= now)
                        next += PING_MS;
                sleep_until(next);
        }
}

static Pinger *pinger_new(void) {
        Pinger *pinger =
                mmap(NULL, sizeof(*pinger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (pinger == MAP_FAILED)
                bench_die("mmap: %s", strerror(errno));
        const pid_t pid = fork();
        bench_check(pid < 0 ? -errno : 0, "fork");
        if (pid == 0)
                ping_for_ever(pinger);
        return pinger;
}

/* Returns the largest pause since the last call, which includes the one that lasts. */
static double pinger_read(Pinger *pinger) {
        const unsigned replies = pinger->replies;
        const double begin = bench_now();

        while (pinger->replies - replies < 2) {
                if (bench_now() - begin > (double) BENCH_PATIENCE_USEC / 1e3)
                        bench_die("PID 1 does not answer");
                (void) usleep(1000);
        }
        const double ms = pinger->largest_ms;
        pinger->largest_ms = 0;
        return ms;
}

/* -- output -- */

static void journal_sync(void) {
        char *const argv[] = { (char *) "journalctl", (char *) "--sync", NULL };
        pid_t pid;
        int status;

        bench_check(-posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ), argv[0]);
        bench_check(waitpid(pid, &status, 0) < 0 ? -errno : 0, "waitpid");
        if (status != 0)
                bench_die("journalctl --sync: %d", status);
}

/* Returns the number of roles whose line is in the journal so many times. */
static unsigned count_output(const char *line, unsigned times) {
        /* Roles that share a stream have no identifier of their own. */
        static const char field[] = "_SYSTEMD_UNIT=architect-main-bench-";
        unsigned *seen = calloc(MANY, sizeof(unsigned));
        sd_journal *journal = NULL;
        char match[300];
        unsigned n = 0;

        if (!seen)
                bench_die("out of memory");
        journal_sync();
        bench_check(sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY), "journal");
        (void) snprintf(match, sizeof(match), "MESSAGE=%s", line);
        bench_check(sd_journal_add_match(journal, match, 0), "journal");
        SD_JOURNAL_FOREACH(journal) {
                const void *data;
                size_t size;
                char name[64];

                if (sd_journal_get_data(journal, "_SYSTEMD_UNIT", &data, &size) < 0 || size < sizeof(field) ||
                        strncmp(data, field, sizeof(field) - 1) != 0)
                        continue;
                (void) snprintf(name, sizeof(name), "%.*s", (int) (size - sizeof(field) + 1),
                        (const char *) data + sizeof(field) - 1);
                const unsigned long i = strtoul(name, NULL, 10);
                if (i < MANY && ++seen[i] == times)
                        n++;
        }
        sd_journal_close(journal);
        free(seen);
        return n;
}

/* -- survival -- */

typedef struct Snapshot {
        BenchRole *roles;
        char (*outputs)[64];
        unsigned n;
} Snapshot;

static void read_output(pid_t pid, char buf[static 64]) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/fd/1", (int) pid);
        const ssize_t n = readlink(path, buf, 63);
        buf[n < 0 ? 0 : n] = '\0';
}

static int compare_roles(const void *a, const void *b) {
        return strcmp(((const BenchRole *) a)->name, ((const BenchRole *) b)->name);
}

static Snapshot snapshot_new(sd_bus *bus) {
        Snapshot s = {};

        s.roles = bench_list_running(bus, &s.n);
        qsort(s.roles, s.n, sizeof(*s.roles), compare_roles);
        s.outputs = calloc(s.n + 1, sizeof(*s.outputs));
        if (!s.outputs)
                bench_die("out of memory");
        for (unsigned i = 0; i < s.n; i++)
                read_output(s.roles[i].pid, s.outputs[i]);
        return s;
}

static void snapshot_free(Snapshot *s) {
        free(s->roles);
        free(s->outputs);
}

/* Returns how many roles run as the same process with the same output. */
static unsigned snapshot_same(const Snapshot *before, const Snapshot *after) {
        unsigned n = 0;

        for (unsigned i = 0, k = 0; i < before->n; i++) {
                while (k < after->n && compare_roles(&after->roles[k], &before->roles[i]) < 0)
                        k++;
                n += k < after->n && compare_roles(&after->roles[k], &before->roles[i]) == 0 &&
                     after->roles[k].pid == before->roles[i].pid && before->outputs[i][0] != '\0' &&
                     strcmp(after->outputs[k], before->outputs[i]) == 0;
        }
        return n;
}

static void kill_service(sd_bus *bus, const char *unit, pid_t *ret_pid) {
        *ret_pid = unit ? bench_main_pid(bus, unit) : 0;
        bench_check(*ret_pid != 0 && kill(*ret_pid, SIGKILL) < 0 ? -errno : 0, "kill");
}

static void wait_service(sd_bus *bus, const char *unit, pid_t old) {
        const double begin = bench_now();

        for (;;) {
                const pid_t pid = unit ? bench_main_pid_or_none(bus, unit) : 0;

                if (!unit || (pid != 0 && pid != old))
                        return;
                if (bench_now() - begin > (double) BENCH_PATIENCE_USEC / 1e3)
                        bench_die("%s does not come back", unit);
                (void) usleep(10000);
        }
}

/* Everything works again when a role can be started. */
static void wait_start(sd_bus *bus) {
        const double begin = bench_now();

        for (;;) {
                sd_bus_error error = SD_BUS_ERROR_NULL;

                if (sd_bus_call_method(bus, "org.architect.Node", "/org/architect/Node", "org.architect.Node",
                            "Start", &error, NULL, "sasa{sv}", "survivor", 1, bench_sleeper(), 0) >= 0)
                        break;
                if (bench_now() - begin > (double) BENCH_PATIENCE_USEC / 1e3)
                        bench_die("Start: %s", error.message);
                sd_bus_error_free(&error);
                (void) usleep(10000);
        }
        bench_call_node(bus, "Kill", NULL, "s", "survivor");
        bench_call_node(bus, "Purge", NULL, "as", 1, "survivor");
}

static void survive(sd_bus *bus, Pinger *pinger, const char *what, const char *node, const char *keeper) {
        Snapshot before = snapshot_new(bus);
        pid_t node_pid, keeper_pid;
        char name[128];

        (void) pinger_read(pinger);
        const double begin = bench_now();
        kill_service(bus, node, &node_pid);
        kill_service(bus, keeper, &keeper_pid);
        wait_service(bus, node, node_pid);
        wait_service(bus, keeper, keeper_pid);
        wait_start(bus);
        const double ms = bench_now() - begin, silent = pinger_read(pinger);
        Snapshot after = snapshot_new(bus);

        (void) snprintf(name, sizeof(name), "roles that survive SIGKILL of %s", what);
        bench_print(name, bench_figure_of(snapshot_same(&before, &after)), "roles", BENCH_AT_LEAST, MANY);
        (void) snprintf(name, sizeof(name), "until a role can be started after that, beside %u", MANY);
        bench_print(name, bench_figure_of(ms / 1e3), "s", BENCH_NO_GOAL, 0);
        (void) snprintf(name, sizeof(name), "PID 1 is silent meanwhile");
        bench_print(name, bench_figure_of(silent), "ms", BENCH_AT_MOST, 50);
        snapshot_free(&before);
        snapshot_free(&after);
}

/* -- growth -- */

static double start_range(sd_bus *bus, unsigned first, unsigned n) {
        const double begin = bench_now();

        bench_start_range(bus, first, n, BENCH_WINDOW);
        return bench_now() - begin;
}

static void start_single(sd_bus *bus, double *ret) {
        for (unsigned i = 0; i < SINGLE; i++) {
                const double begin = bench_now();

                bench_start_range(bus, FIRST_SINGLE + i, 1, 1);
                ret[i] = bench_now() - begin;
                bench_remove_range(bus, FIRST_SINGLE + i, 1, 1);
        }
}

typedef struct Result {
        double few_us[ROUNDS], many_us[ROUNDS], last_us[ROUNDS];
        double beside_none[ROUNDS * SINGLE], beside_many[ROUNDS * SINGLE];
        double stop_s[ROUNDS - 1];
        double output[ROUNDS];
        double silent_start[ROUNDS], silent_stop[ROUNDS - 1];
} Result;

static void set_line(char line[static 128], unsigned round) {
        static const char *command[4];

        (void) snprintf(line, 128, "bench-growth %d says this in round %u", (int) getpid(), round);
        command[0] = bench_sleeper();
        command[1] = "say";
        command[2] = line;
        bench_command = command;
}

static void grow(sd_bus *bus, Pinger *pinger, unsigned round, const char *line, Result *result) {
        start_single(bus, result->beside_none + (size_t) round * SINGLE);
        result->few_us[round] = start_range(bus, 0, FEW) * 1e3 / FEW;
        bench_remove_roles(bus, FEW);

        (void) pinger_read(pinger);
        const double most = start_range(bus, 0, MANY - FEW), last = start_range(bus, MANY - FEW, FEW);
        result->silent_start[round] = pinger_read(pinger);
        result->many_us[round] = (most + last) * 1e3 / MANY;
        result->last_us[round] = last * 1e3 / FEW;
        result->output[round] = count_output(line, 1);
        start_single(bus, result->beside_many + (size_t) round * SINGLE);
}

static void stop(sd_bus *bus, Pinger *pinger, unsigned round, Result *result) {
        (void) pinger_read(pinger);
        const double begin = bench_now();
        bench_stop_roles(bus, MANY);
        result->stop_s[round] = (bench_now() - begin) / 1e3;
        result->silent_stop[round] = pinger_read(pinger);
}

static void print_worst(
        const char *what, double *values, unsigned n, const char *unit, BenchGoal goal, double limit) {
        bench_row(&(BenchRow){
                .what = what,
                .figure = bench_figure(values, n),
                .unit = unit,
                .goal = goal,
                .limit = limit,
                .worst = true,
        });
}

static void print(Result *r) {
        const double many = bench_ratio(r->many_us, r->few_us, ROUNDS),
                     last = bench_ratio(r->last_us, r->few_us, ROUNDS), few = bench_median(r->few_us, ROUNDS),
                     none = bench_median(r->beside_none, ROUNDS * SINGLE);
        const BenchFigure beside = bench_figure(r->beside_many, ROUNDS * SINGLE);

        bench_compare("start of 5000, for each", bench_figure(r->many_us, ROUNDS), "us", "of 500", few, many,
                BENCH_AT_MOST, 1.2);
        bench_compare("the last 500 of them, for each", bench_figure(r->last_us, ROUNDS), "us", "of 500", few,
                last, BENCH_NO_GOAL, 0);
        bench_compare("one more beside 5000", beside, "ms", "beside none", none, beside.median / none,
                BENCH_AT_MOST, 1.3);
        bench_print("stop of 5000", bench_figure(r->stop_s, ROUNDS - 1), "s", BENCH_AT_MOST, 3);
        print_worst("roles of 5000 whose output is in the journal", r->output, ROUNDS, "roles",
                BENCH_AT_LEAST, MANY);
        print_worst(
                "PID 1 is silent during the start of 5000", r->silent_start, ROUNDS, "ms", BENCH_AT_MOST, 50);
        print_worst("PID 1 is silent during the stop of 5000", r->silent_stop, ROUNDS - 1, "ms",
                BENCH_AT_MOST, 50);
}

int main(void) {
        static Result result;
        char line[128];
        sd_bus *bus = bench_bus();
        Pinger *pinger = pinger_new();

        for (unsigned round = 0; round < ROUNDS; round++) {
                set_line(line, round);
                grow(bus, pinger, round, line, &result);
                if (round < ROUNDS - 1) {
                        stop(bus, pinger, round, &result);
                        bench_purge_roles(bus);
                }
        }
        print(&result);

        survive(bus, pinger, "the node", "architect-node.service", NULL);
        survive(bus, pinger, "the keeper", NULL, "architect-keeper.service");
        survive(bus, pinger, "both", "architect-node.service", "architect-keeper.service");
        Snapshot roles = snapshot_new(bus);
        for (unsigned i = 0; i < roles.n; i++)
                bench_check(kill(roles.roles[i].pid, SIGUSR2) < 0 ? -errno : 0, "kill");
        bench_print("roles whose output is in the journal after that", bench_figure_of(count_output(line, 2)),
                "roles", BENCH_AT_LEAST, MANY);
        snapshot_free(&roles);
        bench_remove_roles(bus, MANY);
        sd_bus_unref(bus);
        return 0;
}
