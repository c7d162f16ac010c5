/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "floor.h"

#define BATCH 50U
#define SLICES 32U

typedef struct Batch {
        struct Floor *floor;
        unsigned first, n;
        int release[2]; /* a pipe from which each child reads one byte */
        char job[64];
} Batch;

typedef struct Floor {
        pid_t *pids;
        unsigned released;
        Batch *batches;
        unsigned n_batches;
} Floor;

static void scope_name(char buf[static 64], unsigned i) {
        (void) snprintf(buf, 64, "benchfloor-%u.scope", i);
}

static void append_properties(sd_bus_message *m, const Batch *b, unsigned i, bool is_anchor) {
        char slice[64], others[BATCH][64];
        const char *names[BATCH + 1] = {};

        (void) snprintf(slice, sizeof(slice), "benchfloor-s%u.slice", i % SLICES);
        bench_check(sd_bus_message_open_container(m, 'a', "(sv)"), "properties");
        bench_check(sd_bus_message_append(m, "(sv)(sv)(sv)", "Slice", "s", slice, "CollectMode", "s",
                            "inactive-or-failed", "PIDs", "au", 1, (uint32_t) b->floor->pids[i]),
                "properties");
        for (unsigned k = 0; is_anchor && k + 1 < b->n; k++) {
                scope_name(others[k], b->first + k);
                names[k] = others[k];
        }
        for (unsigned k = 0; is_anchor && k < 2; k++) {
                bench_check(sd_bus_message_open_container(m, 'r', "sv"), "properties");
                bench_check(sd_bus_message_append(m, "s", k == 0 ? "Wants" : "After"), "properties");
                bench_check(sd_bus_message_open_container(m, 'v', "as"), "properties");
                bench_check(sd_bus_message_append_strv(m, (char **) names), "properties");
                bench_check(sd_bus_message_close_container(m), "properties");
                bench_check(sd_bus_message_close_container(m), "properties");
        }
        bench_check(sd_bus_message_close_container(m), "properties");
}

/* systemd sends the reply before it begins with the job. */
static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Batch *b = userdata;
        const char *job;

        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("StartTransientUnit: %s", sd_bus_message_get_error(m)->message);
        bench_check(sd_bus_message_read(m, "o", &job), "StartTransientUnit");
        (void) snprintf(b->job, sizeof(b->job), "%s", job);
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const char bytes[BATCH];
        const char *job, *unit, *result;
        Floor *f = userdata;

        bench_check(sd_bus_message_read(m, "uoss", NULL, &job, &unit, &result), "JobRemoved");
        for (unsigned i = 0; i < f->n_batches; i++) {
                Batch *b = &f->batches[i];

                if (strcmp(b->job, job) != 0)
                        continue;
                if (strcmp(result, "done") != 0)
                        bench_die("%s: %s", unit, result);
                if (write(b->release[1], bytes, b->n) != (ssize_t) b->n)
                        bench_die("release: %s", strerror(errno));
                f->released++;
                b->job[0] = '\0';
        }
        return 0;
}

static void call_start(sd_bus *bus, Batch *b) {
        const unsigned anchor = b->first + b->n - 1;
        sd_bus_message *m = NULL;
        char unit[64];

        scope_name(unit, anchor);
        bench_check(sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1",
                            "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                            "StartTransientUnit"),
                unit);
        bench_check(sd_bus_message_append(m, "ss", unit, "fail"), unit);
        append_properties(m, b, anchor, true);
        bench_check(sd_bus_message_open_container(m, 'a', "(sa(sv))"), unit);
        for (unsigned i = b->first; i < anchor; i++) {
                scope_name(unit, i);
                bench_check(sd_bus_message_open_container(m, 'r', "sa(sv)"), unit);
                bench_check(sd_bus_message_append(m, "s", unit), unit);
                append_properties(m, b, i, false);
                bench_check(sd_bus_message_close_container(m), unit);
        }
        bench_check(sd_bus_message_close_container(m), unit);
        bench_check(sd_bus_call_async(bus, NULL, m, on_reply, b, 0), unit);
        sd_bus_message_unref(m);
}

/* The exec closes the descriptors of the pipes, so the end of file of the other pipe is the moment when all
 * have executed their command. */
static pid_t fork_child(const Batch *b) {
        char *const argv[] = { (char *) bench_sleeper(), NULL };
        const pid_t pid = fork();
        char byte;

        bench_check(pid < 0 ? -errno : 0, "fork");
        if (pid == 0) {
                if (read(b->release[0], &byte, 1) == 1)
                        (void) execv(argv[0], argv);
                _exit(EXIT_FAILURE);
        }
        return pid;
}

double floor_start(sd_bus *bus, unsigned n) {
        Floor f = {
                .pids = calloc(n, sizeof(pid_t)),
                .batches = calloc(n / BATCH + 1, sizeof(Batch)),
        };
        sd_bus_slot *match = NULL;
        int running[2];

        if (!f.pids || !f.batches)
                bench_die("out of memory");
        bench_check(sd_bus_match_signal(bus, &match, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                            "org.freedesktop.systemd1.Manager", "JobRemoved", on_job_removed, &f),
                "match");
        bench_check(pipe2(running, O_CLOEXEC) < 0 ? -errno : 0, "pipe");

        const double begin = bench_now();
        for (unsigned i = 0; i < n;) {
                Batch *b = &f.batches[f.n_batches++];

                b->floor = &f;
                b->first = i;
                b->n = n - i < BATCH ? n - i : BATCH;
                bench_check(pipe2(b->release, O_CLOEXEC) < 0 ? -errno : 0, "pipe");
                for (; i < b->first + b->n; i++)
                        f.pids[i] = fork_child(b);
                call_start(bus, b);
                /* systemd works on this one while the children of the next one are forked. */
                bench_check(sd_bus_flush(bus), "bus");
        }
        (void) close(running[1]);
        while (f.released < f.n_batches)
                bench_turn(bus);
        struct pollfd p = { .fd = running[0], .events = POLLIN };
        bench_check(poll(&p, 1, -1) < 0 ? -errno : 0, "poll");
        const double ms = bench_now() - begin;

        for (unsigned i = 0; i < n; i++) {
                int status;

                (void) kill(f.pids[i], SIGKILL);
                bench_check(waitpid(f.pids[i], &status, 0) < 0 ? -errno : 0, "waitpid");
                if (!WIFSIGNALED(status))
                        bench_die("a child could not execute its command");
        }
        for (unsigned i = 0; i < f.n_batches; i++) {
                (void) close(f.batches[i].release[0]);
                (void) close(f.batches[i].release[1]);
        }
        (void) close(running[0]);
        sd_bus_slot_unref(match);
        free(f.pids);
        free(f.batches);
        bench_wait_units_gone(bus, "benchfloor-*.scope");
        return ms;
}
