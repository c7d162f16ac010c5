/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"
#define SYSTEMD "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"

double bench_now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double) ts.tv_sec * 1e3 + (double) ts.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n) {
        qsort(values, n, sizeof(*values), compare);
        return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

BenchFigure bench_figure(double *values, unsigned n) {
        const double median = bench_median(values, n);

        return (BenchFigure){
                .median = median,
                .p90 = values[n * 9 / 10],
                .min = values[0],
                .max = values[n - 1],
        };
}

BenchFigure bench_figure_of(double value) {
        return (BenchFigure){ value, value, value, value };
}

double bench_ratio(const double *values, const double *references, unsigned n) {
        double *ratios = calloc(n, sizeof(double));

        if (!ratios)
                bench_die("out of memory");
        for (unsigned i = 0; i < n; i++)
                ratios[i] = values[i] / references[i];
        const double median = bench_median(ratios, n);
        free(ratios);
        return median;
}

static bool rows_wanted(void) {
        return getenv("BENCH_ROWS") != NULL;
}

/* Three digits are as many as a figure has that differs by some percent from run to run. */
static const char *number(char buf[static 32], double value) {
        const double size = fabs(value);

        (void) snprintf(buf, 32, "%.*f",
                size >= 100 || size == floor(size) ? 0
                : size >= 10                       ? 1
                : size >= 1                        ? 2
                                                   : 3,
                value);
        return buf;
}

void bench_row(const BenchRow *row) {
        const BenchFigure *f = &row->figure;
        char figure[32], min[32], max[32], reference[32], ratio[32], limit[32], range[80] = "";
        double judged = row->reference ? row->ratio : f->median;

        if (row->worst)
                judged = row->goal == BENCH_AT_LEAST ? f->min : f->max;
        const bool met = row->goal == BENCH_AT_LEAST ? judged >= row->limit : judged <= row->limit;
        (void) number(figure, f->median);
        if (f->min < f->max)
                (void) snprintf(
                        range, sizeof(range), " (%s to %s)", number(min, f->min), number(max, f->max));
        (void) number(reference, row->reference_value);
        (void) number(ratio, row->ratio);
        (void) snprintf(limit, sizeof(limit), "%g", row->limit);

        const char *const word = row->goal == BENCH_AT_LEAST ? "at least" : "at most";
        if (rows_wanted()) {
                printf("| %s | %s%s %s |", row->what, figure, range, row->unit);
                if (row->reference)
                        printf(" %s: %s %s | %s |", row->reference, reference, row->unit, ratio);
                else
                        printf(" | |");
                if (row->goal != BENCH_NO_GOAL)
                        printf(" %s %s | %s |\n", word, limit, met ? "met" : "**not met**");
                else
                        printf(" | |\n");
        } else {
                printf("%s: %s%s %s", row->what, figure, range, row->unit);
                if (row->reference)
                        printf("; %s %s %s, ratio %s", row->reference, reference, row->unit, ratio);
                if (row->goal != BENCH_NO_GOAL)
                        printf("; goal %s %s: %s", word, limit, met ? "met" : "not met");
                printf("\n");
        }
        (void) fflush(stdout);
}

void bench_print(const char *what, BenchFigure figure, const char *unit, BenchGoal goal, double limit) {
        bench_row(&(BenchRow){ .what = what, .unit = unit, .figure = figure, .goal = goal, .limit = limit });
}

void bench_compare(const char *what, BenchFigure figure, const char *unit, const char *reference,
        double reference_value, double ratio, BenchGoal goal, double limit) {
        bench_row(&(BenchRow){
                .what = what,
                .unit = unit,
                .figure = figure,
                .reference = reference,
                .reference_value = reference_value,
                .ratio = ratio,
                .goal = goal,
                .limit = limit,
        });
}

void bench_plot(const char *plot, const char *curve, double x, double y) {
        if (rows_wanted())
                printf("plot\t%s\t%s\t%g\t%g\n", plot, curve, x, y);
}

void bench_die(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

void bench_check(int r, const char *what) {
        if (r < 0)
                bench_die("%s: %s", what, strerror(-r));
}

const char *bench_sleeper(void) {
        static char path[4096];

        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        bench_check(n < 0 ? -errno : 0, "/proc/self/exe");
        path[n] = '\0';
        char *slash = strrchr(path, '/');
        if ((size_t) (slash - path) + sizeof("/bench-sleeper") > sizeof(path))
                bench_die("The path of the benchmarks is too long");
        (void) strcpy(slash, "/bench-sleeper");
        return path;
}

sd_bus *bench_bus(void) {
        sd_bus *bus = NULL;

        bench_check(sd_bus_open_system(&bus), "system bus");
        bench_check(sd_bus_set_method_call_timeout(bus, BENCH_PATIENCE_USEC), "system bus");
        bench_bus_ready(bus);
        return bus;
}

void bench_bus_ready(sd_bus *bus) {
        while (sd_bus_is_ready(bus) == 0) {
                int r = sd_bus_process(bus, NULL);

                bench_check(r, "bus");
                if (r == 0)
                        bench_check(sd_bus_wait(bus, UINT64_MAX), "bus");
        }
}

static uint32_t read_service(sd_bus *bus, const char *unit, const char *property) {
        char *path = NULL;
        uint32_t value = 0;

        bench_check(sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path), unit);
        bench_check(sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1", path,
                            "org.freedesktop.systemd1.Service", property, NULL, 'u', &value),
                unit);
        free(path);
        return value;
}

pid_t bench_main_pid_or_none(sd_bus *bus, const char *unit) {
        return (pid_t) read_service(bus, unit, "MainPID");
}

pid_t bench_main_pid(sd_bus *bus, const char *unit) {
        const pid_t pid = bench_main_pid_or_none(bus, unit);

        if (pid == 0)
                bench_die("%s does not run", unit);
        return pid;
}

unsigned bench_stored(sd_bus *bus, const char *service) {
        return read_service(bus, service, "NFileDescriptorStore");
}

/* Adds up what read() makes of DIRECTORY/ENTRY/FILE, for each entry of a directory of a process. */
static double sum_of_entries(
        pid_t pid, const char *directory, const char *file, double (*read)(const char *path)) {
        double sum = 0;
        char path[600];

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, directory);
        DIR *dir = opendir(path);
        if (!dir)
                bench_die("%s: %s", path, strerror(errno));
        for (struct dirent *d; (d = readdir(dir));)
                if (d->d_name[0] != '.') {
                        (void) snprintf(path, sizeof(path), "/proc/%d/%s/%s/%s", (int) pid, directory,
                                d->d_name, file);
                        sum += read(path);
                }
        (void) closedir(dir);
        return sum;
}

static double count_one(const char *path) {
        return 1;
}

unsigned bench_fds(pid_t pid) {
        return (unsigned) sum_of_entries(pid, "fd", "", count_one);
}

typedef struct Window {
        unsigned in_flight;
        unsigned done;
        const char *what;
} Window;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Window *w = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("%s: %s", w->what, sd_bus_message_get_error(m)->message);
        w->in_flight--;
        w->done++;
        return 0;
}

void bench_turn(sd_bus *bus) {
        int r = sd_bus_process(bus, NULL);

        bench_check(r, "bus");
        if (r == 0)
                bench_check(sd_bus_wait(bus, UINT64_MAX), "bus");
}

static void for_all_roles(sd_bus *bus, unsigned first, unsigned n, unsigned window, const char *member,
        int (*fill)(sd_bus_message *m)) {
        Window w = { .what = member };

        for (unsigned i = 0; w.done < n;) {
                while (i < n && w.in_flight < window) {
                        sd_bus_message *m = NULL;
                        char name[32];

                        (void) snprintf(name, sizeof(name), "bench-%u", first + i++);
                        bench_check(sd_bus_message_new_method_call(bus, &m, NODE, member), member);
                        bench_check(sd_bus_message_append(m, "s", name), member);
                        if (fill)
                                bench_check(fill(m), member);
                        bench_check(sd_bus_call_async(bus, NULL, m, on_reply, &w, 0), member);
                        sd_bus_message_unref(m);
                        w.in_flight++;
                }
                bench_turn(bus);
        }
}

const char *const *bench_command;

static int fill_start(sd_bus_message *m) {
        const char *const sleeper[] = { bench_sleeper(), NULL };
        int r = sd_bus_message_append_strv(m, (char **) (bench_command ? bench_command : sleeper));

        return r < 0 ? r : sd_bus_message_append(m, "a{sv}", 0);
}

void bench_start_range(sd_bus *bus, unsigned first, unsigned n, unsigned window) {
        for_all_roles(bus, first, n, window, "Start", fill_start);
}

void bench_remove_range(sd_bus *bus, unsigned first, unsigned n, unsigned window) {
        for_all_roles(bus, first, n, window, "Kill", NULL);
        bench_call_node(bus, "Purge", NULL, "as", 0);
}

void bench_purge_roles(sd_bus *bus) {
        bench_call_node(bus, "Purge", NULL, "as", 0);
        bench_wait_units_gone(bus, "architect-main-bench*.scope");
}

void bench_start_roles(sd_bus *bus, unsigned n) {
        bench_start_range(bus, 0, n, BENCH_WINDOW);
}

void bench_remove_roles(sd_bus *bus, unsigned n) {
        bench_remove_range(bus, 0, n, BENCH_WINDOW);
        bench_wait_units_gone(bus, "architect-main-bench*.scope");
}

void bench_stop_roles(sd_bus *bus, unsigned n) {
        for_all_roles(bus, 0, n, BENCH_WINDOW, "Stop", NULL);
}

void bench_call_node(sd_bus *bus, const char *member, sd_bus_message **ret_reply, const char *types, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        va_list ap;

        bench_check(sd_bus_message_new_method_call(bus, &m, NODE, member), member);
        va_start(ap, types);
        bench_check(sd_bus_message_appendv(m, types, ap), member);
        va_end(ap);
        if (sd_bus_call(bus, m, 0, &error, ret_reply) < 0)
                bench_die("%s: %s", member, error.message);
        sd_bus_message_unref(m);
}

BenchRole *bench_list_running(sd_bus *bus, unsigned *ret_n) {
        sd_bus_message *reply = NULL;
        const char *name, *state, *scope;
        BenchRole *roles = NULL;
        unsigned n = 0;
        uint32_t pid;
        char *path;
        int r;

        bench_call_node(bus, "ListRoles", &reply, "");
        bench_check(sd_bus_message_enter_container(reply, 'a', "(ssusiso)"), "ListRoles");
        while ((r = sd_bus_message_read(reply, "(ssusiso)", &name, &state, &pid, NULL, NULL, &scope, NULL)) >
                0) {
                if (strcmp(state, "running") != 0)
                        continue;
                roles = reallocarray(roles, n + 1, sizeof(BenchRole));
                if (!roles)
                        bench_die("out of memory");
                bench_check(sd_bus_path_encode("/org/freedesktop/systemd1/unit", scope, &path), scope);
                (void) snprintf(roles[n].name, sizeof(roles[n].name), "%s", name);
                (void) snprintf(roles[n].scope, sizeof(roles[n].scope), "%s", path);
                roles[n++].pid = (pid_t) pid;
                free(path);
        }
        bench_check(r, "ListRoles");
        sd_bus_message_unref(reply);
        *ret_n = n;
        return roles;
}

void bench_wait_units_gone(sd_bus *bus, const char *pattern) {
        for (;;) {
                sd_bus_message *reply = NULL;
                const double begin = bench_now();

                bench_check(sd_bus_call_method(
                                    bus, SYSTEMD, "ListUnitsByPatterns", NULL, &reply, "asas", 0, 1, pattern),
                        "ListUnitsByPatterns");
                bench_check(
                        sd_bus_message_enter_container(reply, 'a', "(ssssssouso)"), "ListUnitsByPatterns");
                bool gone = sd_bus_message_at_end(reply, false);
                sd_bus_message_unref(reply);
                if (gone)
                        return;
                /* The interval between two checks. It does not replace an event, because no time is measured
                 * here. A list of thousands of units costs systemd some time, which it needs to remove them.
                 */
                (void) usleep(10000 + (useconds_t) ((bench_now() - begin) * 4e3));
        }
}

static unsigned long read_field(const char *path, const char *field) {
        char line[256];
        unsigned long value = 0;
        FILE *f = fopen(path, "re");

        if (!f)
                bench_die("%s: %s", path, strerror(errno));
        while (fgets(line, sizeof(line), f))
                if (strncmp(line, field, strlen(field)) == 0)
                        value = strtoul(line + strlen(field), NULL, 10);
        (void) fclose(f);
        return value;
}

unsigned long bench_pss_kib(pid_t pid) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pid);
        return read_field(path, "Pss:");
}

static double read_schedstat(const char *path) {
        unsigned long long ns;
        FILE *f = fopen(path, "re");

        if (!f)
                bench_die("%s: %s", path, strerror(errno));
        if (fscanf(f, "%llu", &ns) != 1)
                bench_die("%s: not a time", path);
        (void) fclose(f);
        return (double) ns / 1e6;
}

double bench_cpu(pid_t pid) {
        return sum_of_entries(pid, "task", "schedstat", read_schedstat);
}

static double read_switches(const char *path) {
        return (double) read_field(path, "voluntary_ctxt_switches:");
}

unsigned long bench_switches(pid_t pid) {
        return (unsigned long) sum_of_entries(pid, "task", "status", read_switches);
}
