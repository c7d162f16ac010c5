/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Random starts, exits, stops, lines of input, and deaths of node and keeper. The records that the roles have
 * written themselves are compared with the signals and the later replies of the service. Each run has one
 * start and one exit, the exit is correct, each acknowledged line has arrived once, and nothing is left. The
 * same deaths while roles wait for something: for their restart, for READY=1, for a sign of life.
 *
 * SOAK_ROUNDS and SOAK_SEED in the environment are the number of rounds, and the seed of a previous run to
 * repeat it. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"
#include "replay.h"
#include "testlib.h"

#define ROUNDS 40
#define SLOTS 12
/* After this number of starts the service has allocated what it needs once, and must not grow by later
 * ones. */
#define WARM 60
#define GROWTH_MAX (1024U * 1024U)

typedef enum Kind {
        KIND_READS,   /* until its input ends */
        KIND_COPIES,  /* the same, and its input is compared */
        KIND_HANDLES, /* exits at SIGTERM */
        KIND_EXITS,
        KIND_ABORTS,
        N_KINDS,
} Kind;

typedef struct Run {
        guint tag;
        const char *role;
        Kind kind;
        int status;      /* if it exits by itself */
        bool unanswered; /* its start was not confirmed */
        bool stopped, killed, keeper_died;
        GArray *lines; /* of bool, whether the line was acknowledged */

        /* From the record of the role itself. */
        pid_t pid;
        bool said_end;
        int pidfd; /* since it was seen running */
} Run;

typedef struct Slot {
        const char *role;
        Run *run;
        guint32 serial; /* a call for this role, of this round */
        bool starting;
        guint n_inputs;
        guint32 inputs[4];
} Slot;

typedef struct Soak {
        Bus *bus;
        GRand *random;
        const char *log;
        Slot slots[SLOTS];
        GPtrArray *runs; /* in the order of their starts */
        guint n_node_deaths, n_keeper_deaths, n_unseen, n_lost, n_lines;
} Soak;

static void run_free(void *data) {
        Run *run = data;

        g_array_unref(run->lines);
        if (run->pidfd >= 0)
                close(run->pidfd);
        g_free(run);
}

static bool chance(Soak *soak, guint percent) {
        return (guint) g_rand_int_range(soak->random, 0, 100) < percent;
}

/* -- the records of the roles -- */

static void read_log(Soak *soak) {
        g_autofree char *text = read_file(soak->log);
        g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);

        for (char **line = lines; *line && **line; line++) {
                bool end = g_str_has_prefix(*line, "end.");
                guint tag;
                int pid;
                Run *run;

                if (sscanf(*line, end ? "end.%u %d" : "start.%u %d", &tag, &pid) != 2)
                        fail_msg("a role has said '%s'", *line);
                assert_true(tag < soak->runs->len);
                run = g_ptr_array_index(soak->runs, tag);
                /* Its command was started once. */
                if (run->pid != 0 && run->pid != pid)
                        fail_msg("run %u of %s is both %d and %d", tag, run->role, (int) run->pid, pid);
                run->pid = pid;
                run->said_end |= end;
        }
}

static bool said_start(Soak *soak, const Run *run) {
        read_log(soak);
        return run->pid != 0;
}

/* -- the actions -- */

static void send_start(Soak *soak, Slot *slot) {
        Run *run = g_new0(Run, 1);
        g_autofree char *says_start = NULL, *says_end = NULL, *status = NULL, *file = NULL, *output = NULL;
        GVariant *options = NULL, *args;

        run->tag = soak->runs->len;
        run->role = slot->role;
        run->kind = (Kind) g_rand_int_range(soak->random, 0, N_KINDS);
        run->status = g_rand_int_range(soak->random, 0, 256);
        run->pidfd = -1;
        run->lines = g_array_new(false, true, sizeof(bool));
        g_ptr_array_add(soak->runs, run);
        slot->run = run;

        says_start = g_strdup_printf("start.%u", run->tag);
        says_end = g_strdup_printf("end.%u", run->tag);
        status = g_strdup_printf("%d", run->status);
        switch (run->kind) {
        case KIND_COPIES:
                file = g_strdup_printf("copy.%u", run->tag);
                output = g_strconcat("append:", scratch(file), NULL);
                options = OPTIONS("{'output': <%s>}", output);
                args = start_args(slot->role, options, actor(), "say", soak->log, says_start, "cat", "say",
                        soak->log, says_end, "exit", status, NULL);
                break;
        case KIND_READS:
                args = start_args(slot->role, NULL, actor(), "say", soak->log, says_start, "read-eof", "say",
                        soak->log, says_end, "exit", status, NULL);
                break;
        case KIND_HANDLES:
                options = OPTIONS("{'stdin': <'null'>}");
                args = start_args(slot->role, options, actor(), "exit-on", "TERM", status, "say", soak->log,
                        says_start, "pause", NULL);
                break;
        case KIND_EXITS:
                args = start_args(slot->role, NULL, actor(), "say", soak->log, says_start, "say", soak->log,
                        says_end, "exit", status, NULL);
                break;
        default:
                args = start_args(
                        slot->role, NULL, actor(), "say", soak->log, says_start, "raise", "KILL", NULL);
                break;
        }
        slot->serial = node_send(soak->bus, "Start", args);
        slot->starting = true;
}

static void send_lines(Soak *soak, Slot *slot) {
        Run *run = slot->run;

        slot->n_inputs = (guint) g_rand_int_range(soak->random, 1, G_N_ELEMENTS(slot->inputs) + 1);
        for (guint i = 0; i < slot->n_inputs; i++) {
                g_autofree char *text = g_strdup_printf("%u.%u", run->tag, run->lines->len);

                g_array_set_size(run->lines, run->lines->len + 1);
                slot->inputs[i] = node_send(soak->bus, "SendInput", g_variant_new("(ss)", slot->role, text));
        }
}

static void send_verb(Soak *soak, Slot *slot, const char *verb) {
        slot->serial = node_send(soak->bus, verb, g_variant_new("(s)", slot->role));
}

static void act(Soak *soak, Slot *slot) {
        Run *run = slot->run;
        bool reads;

        if (!run) {
                send_start(soak, slot);
                return;
        }
        if (run->kind == KIND_EXITS || run->kind == KIND_ABORTS)
                return;
        reads = run->kind != KIND_HANDLES;
        if (run->kind == KIND_COPIES && chance(soak, 60))
                send_lines(soak, slot);
        else if (reads && chance(soak, 50))
                send_verb(soak, slot, "CloseInput");
        else if (chance(soak, 40)) {
                run->stopped = true;
                send_verb(soak, slot, "Stop");
        } else if (chance(soak, 50)) {
                run->killed = true;
                send_verb(soak, slot, "Kill");
        } else {
                /* It may have ended already, because the death of its keeper ended its input. */
                run->killed = true;
                if (run->pidfd >= 0)
                        (void) syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
        }
}

static void crash(Soak *soak) {
        bool keeper = chance(soak, 40), node = !keeper || chance(soak, 40);

        g_usleep((gulong) g_rand_int_range(soak->random, 0, 15000));
        if (keeper) {
                for (guint i = 0; i < SLOTS; i++)
                        if (soak->slots[i].run)
                                soak->slots[i].run->keeper_died = true;
                WAIT_UNTIL(keeper_is_connected(soak->bus, 0));
                keeper_crash(soak->bus);
                soak->n_keeper_deaths++;
        }
        if (node) {
                node_crash(soak->bus);
                soak->n_node_deaths++;
        }
}

/* The end of a round: determines the state of a slot. */
static void settle(Soak *soak, Slot *slot) {
        Run *run = slot->run;
        bool success = true;
        const char *state;

        if (!run)
                return;
        for (guint i = 0; i < slot->n_inputs; i++) {
                Event *reply = bus_wait_reply(soak->bus, slot->inputs[i]);
                guint index = run->lines->len - slot->n_inputs + i;
                g_array_index(run->lines, bool, index) = reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN;
        }
        slot->n_inputs = 0;
        if (slot->serial != 0)
                success = bus_wait_reply(soak->bus, slot->serial)->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN;
        slot->serial = 0;
        /* A Stop or Kill of which the reply was lost may have been done. */
        WAIT_UNTIL((state = role_state(soak->bus, slot->role),
                strcmp(state, "starting") != 0 && strcmp(state, "stopping") != 0));
        if (slot->starting)
                run->unanswered = !success;
        slot->starting = false;
        if (strcmp(state, "running") == 0) {
                /* The role must have written its record before anything is done to it. */
                WAIT_UNTIL(said_start(soak, run));
                if (run->pidfd < 0)
                        run->pidfd = (int) syscall(SYS_pidfd_open, run->pid, 0);
        } else {
                /* Without a reply it may be the previous run. */
                if (!run->unanswered)
                        assert_string_equal(state, "ended");
                slot->run = NULL;
        }
}

static void end_all(Soak *soak) {
        for (guint i = 0; i < SLOTS; i++) {
                Slot *slot = &soak->slots[i];

                if (slot->run && slot->run->kind != KIND_EXITS && slot->run->kind != KIND_ABORTS) {
                        slot->run->stopped = true;
                        send_verb(soak, slot, "Stop");
                }
        }
        for (guint i = 0; i < SLOTS; i++)
                while (soak->slots[i].run)
                        settle(soak, &soak->slots[i]);
}

/* -- the comparison -- */

static void check_lines(Soak *soak, const Run *run) {
        g_autofree char *name = g_strdup_printf("copy.%u", run->tag), *text = NULL;
        g_auto(GStrv) lines = NULL;
        guint next = 0;

        if (!g_file_get_contents(scratch(name), &text, NULL, NULL))
                fail_msg("run %u of %s has no output", run->tag, run->role);
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line && **line; line++) {
                guint tag, n;

                if (sscanf(*line, "%u.%u", &tag, &n) != 2 || tag != run->tag || n < next ||
                        n >= run->lines->len)
                        fail_msg(
                                "run %u of %s has got '%s' after %u lines", run->tag, run->role, *line, next);
                /* A role that is killed may not have read the contents of its pipe. */
                for (; next < n; next++)
                        if (g_array_index(run->lines, bool, next) && run->said_end)
                                fail_msg("run %u of %s did not get line %u", run->tag, run->role, next);
                next++;
        }
        for (; next < run->lines->len; next++)
                if (g_array_index(run->lines, bool, next) && run->said_end)
                        fail_msg("run %u of %s did not get line %u", run->tag, run->role, next);
        soak->n_lines += next;
}

static void check_end(Soak *soak, const Run *run, const Replayed *r) {
        g_autoptr(GVariant) value = g_variant_lookup_value(r->details, "status", G_VARIANT_TYPE_INT32);
        const char *code = detail_string(r->details, "code"), *cause = detail_string(r->details, "cause");
        int status = g_variant_get_int32(value);
        bool right = false;

        if (strcmp(code, "lost") == 0) {
                right = run->keeper_died && status == -1;
                soak->n_lost++;
        } else if (strcmp(code, "exited") == 0)
                right = status == run->status && (run->kind == KIND_HANDLES ? run->stopped : run->said_end);
        else if (strcmp(code, "killed") == 0 && status == SIGTERM)
                right = run->stopped && run->kind != KIND_HANDLES && strcmp(cause, "stop") == 0;
        else if (strcmp(code, "killed") == 0 && status == SIGKILL)
                /* The stop signal may have died with the keeper that was to send it. It is not sent again, as
                 * a second one has another meaning for some programs, and the stop timeout expires. */
                right = run->killed || run->kind == KIND_ABORTS ||
                        (run->stopped && run->keeper_died && strcmp(cause, "stop") == 0);
        if (!right)
                fail_msg("the end of run %u of %s (kind %d, status %d%s%s%s%s) is told as %s %d (%s)",
                        run->tag, run->role, run->kind, run->status, run->said_end ? ", ended by itself" : "",
                        run->stopped ? ", stopped" : "", run->killed ? ", killed" : "",
                        run->keeper_died ? ", lost its keeper" : "", code, status, cause);
}

/* Compares the runs of one name with the events about it, in their order. */
static void check_name(Soak *soak, const char *role, GPtrArray *events) {
        guint next = 0;

        for (guint i = 0; i < soak->runs->len; i++) {
                Run *run = g_ptr_array_index(soak->runs, i);
                const Replayed *started = NULL, *exited;

                if (run->role != role)
                        continue;
                while (next < events->len &&
                        strcmp(((Replayed *) g_ptr_array_index(events, next))->role, role) != 0)
                        next++;
                if (run->pid != 0 && next < events->len)
                        started = g_ptr_array_index(events, next);
                if (!started || (pid_t) detail_u32(started->details, "pid") != run->pid) {
                        /* It has never run, or it started and ended while neither node nor keeper could
                         * know. */
                        assert_true(run->unanswered);
                        assert_true(run->pid == 0 || run->keeper_died);
                        soak->n_unseen += run->pid != 0;
                        continue;
                }
                assert_string_equal(started->signal, "RoleStarted");
                do
                        assert_true(++next < events->len);
                while (strcmp(((Replayed *) g_ptr_array_index(events, next))->role, role) != 0);
                exited = g_ptr_array_index(events, next++);
                assert_string_equal(exited->signal, "RoleExited");
                assert_string_equal(detail_string(exited->details, "invocation-id"),
                        detail_string(started->details, "invocation-id"));
                check_end(soak, run, exited);
                if (run->kind == KIND_COPIES)
                        check_lines(soak, run);
        }
        /* No event belongs to a run that was not requested. */
        for (; next < events->len; next++)
                assert_string_not_equal(((Replayed *) g_ptr_array_index(events, next))->role, role);
}

/* -- before and after -- */

static void some_runs(Bus *bus, guint n) {
        for (guint i = 0; i < n; i++) {
                start(bus, role_name("warm"), NULL, actor(), "exit", "0", NULL);
                wait_exited(bus, role_name("warm"));
        }
        stop(bus, role_name("warm"));
        purge(bus, role_name("warm"));
}

static void assert_no_growth(Bus *bus) {
        pid_t pids[] = { node_pid(bus), keeper_pid(bus) };
        guint64 before[2];

        some_runs(bus, WARM);
        for (size_t i = 0; i < 2; i++)
                before[i] = process_rss(pids[i]);
        some_runs(bus, WARM);
        for (size_t i = 0; i < 2; i++)
                /* The sanitizers keep freed memory for a while. */
                if (!process_is_sanitized(pids[i]) && process_rss(pids[i]) > before[i] + GROWTH_MAX)
                        fail_msg("%s has grown from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                                i == 0 ? "node" : "keeper", before[i], process_rss(pids[i]));
}

static void assert_nothing_saved(const char *directory) {
        g_autofree char *path = g_build_filename("/run/architect-node/main", directory, NULL);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        assert_non_null(dir);
        while ((name = g_dir_read_name(dir))) {
                g_autofree char *file = g_build_filename(path, name, NULL), *text = NULL;

                (void) g_file_get_contents(file, &text, NULL, NULL);
                fail_msg("%s is left:\n%s", file, text ?: "(cannot be read)");
        }
}

static guint number(const char *variable, guint otherwise) {
        const char *value = g_getenv(variable);
        return value && value[0] ? (guint) g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static void test_soak(void **state) {
        Soak soak = {
                .bus = *state, .log = scratch("log"), .runs = g_ptr_array_new_with_free_func(run_free)
        };
        guint rounds = number("SOAK_ROUNDS", ROUNDS), seed = number("SOAK_SEED", g_random_int()), n_doubled;
        Bus *bus = soak.bus;
        g_autoptr(GPtrArray) events = NULL;
        g_autofree char *epoch = event_epoch(bus);
        guint64 first;
        Census before;

        print_message("  SOAK_ROUNDS=%u SOAK_SEED=%u\n", rounds, seed);
        soak.random = g_rand_new_with_seed(seed);
        assert_true(g_file_set_contents(soak.log, "", 0, NULL));
        for (guint i = 0; i < SLOTS; i++)
                soak.slots[i].role = role_name_n("r", i);
        first = event_sequence(bus);
        keeper_and_node_crash(bus);
        before = census_before(bus);

        for (guint round = 0; round < rounds; round++) {
                for (guint i = 0; i < SLOTS; i++)
                        if (chance(&soak, 50))
                                act(&soak, &soak.slots[i]);
                if (chance(&soak, 25))
                        crash(&soak);
                for (guint i = 0; i < SLOTS; i++)
                        settle(&soak, &soak.slots[i]);
        }
        WAIT_UNTIL(keeper_is_connected(bus, 0));
        end_all(&soak);
        read_log(&soak);
        node_sync(bus);

        events = events_all_since(bus, epoch, first);
        assert_int_equal(events->len, event_sequence(bus) - first);
        n_doubled = assert_signals_are(bus, events);
        for (guint i = 0; i < SLOTS; i++)
                check_name(&soak, soak.slots[i].role, events);
        print_message(
                "  %u runs, %u events, %u told twice; %u deaths of the node, %u of the keeper; %u ends are "
                "lost, %u runs were over before anybody saw them; %u lines\n",
                soak.runs->len, events->len, n_doubled, soak.n_node_deaths, soak.n_keeper_deaths, soak.n_lost,
                soak.n_unseen, soak.n_lines);

        g_variant_unref(node_call(bus, "Purge", g_variant_new("(^as)", (const char *[]){ NULL })));
        keeper_and_node_crash(bus);
        (void) census_before(bus);
        {
                /* The log of events has grown, but no saved roles are left. */
                Census now = census(bus);
                assert_nothing_saved("roles");
                assert_nothing_saved("previous");
                before.saved = now.saved;
                assert_census(bus, &before);
        }
        assert_no_growth(bus);
        g_rand_free(soak.random);
        g_ptr_array_unref(soak.runs);
}

/* -- roles that wait -- */

#define WAITERS 10
/* A deadline that began anew in the middle would be half of the time late. */
#define WAIT_USEC (10 * G_USEC_PER_SEC)
#define LATE_USEC (WAIT_USEC * 45 / 100)

typedef enum Wait {
        WAIT_RESTART,  /* between two runs */
        WAIT_READY,    /* it becomes ready in the end */
        WAIT_TIMEOUT,  /* it never does */
        WAIT_WATCHDOG, /* it gives no sign of life any more */
        WAIT_PING,     /* it goes on giving signs */
        N_WAITS,
} Wait;

typedef struct Waiter {
        Wait wait;
        const char *role, *go;
        Fifo *fifo;
        pid_t pid;
        gint64 since;                 /* of what has a deadline */
        guint64 next, next_monotonic; /* of a restart */
} Waiter;

static guint32 waiter_send(Bus *bus, const Waiter *w, GVariant *options, const char *script) {
        return node_send(bus, "Start", start_args(w->role, options, "/bin/sh", "-c", script, NULL));
}

static void waiter_begin(Bus *bus, Waiter *w) {
        const char *fifo = fifo_path(w->fifo);
        g_autofree char *once = g_strconcat(w->go, ".once", NULL), *script = NULL;
        g_autoptr(GVariant) details = NULL;

        switch (w->wait) {
        case WAIT_RESTART:
                script =
                        g_strdup_printf("[ -e %s ] && exec %s say %s up pause; >%s; exec %s say %s up exit 7",
                                once, actor(), fifo, once, actor(), fifo);
                bus_result(bus, waiter_send(bus, w,
                                        OPTIONS("{'restart': <'always'>, 'restart-usec': <@t 10000000>,"
                                                " 'stdin': <'null'>}"),
                                        script));
                fifo_expect_pid(w->fifo, "up");
                bus_wait(bus, "RoleStarted", w->role);
                details = event_details(bus_wait(bus, "RoleRestarting", w->role));
                w->next_monotonic = detail_u64(details, "next-monotonic-usec");
                w->next = role_get_u64(bus, w->role, "NextStartUSec");
                assert_true(w->next > 0);
                return;
        case WAIT_READY:
        case WAIT_TIMEOUT:
                script = g_strdup_printf(
                        "echo up $$ >%s; read line <%s; exec %s notify READY=1 say %s ready pause", fifo,
                        w->go, actor(), fifo);
                waiter_send(bus, w,
                        w->wait == WAIT_READY ? OPTIONS("{'type': <'notify'>, 'stdin': <'null'>}")
                                              : OPTIONS("{'type': <'notify'>, 'stdin': <'null'>,"
                                                        " 'timeout-start-usec': <@t 10000000>}"),
                        script);
                break;
        default:
                script = g_strdup_printf("exec %s ping 1 1 say %s up %s", actor(), fifo,
                        w->wait == WAIT_PING ? "ping 500 1000" : "pause");
                waiter_send(bus, w, OPTIONS("{'watchdog-usec': <@t 10000000>, 'stdin': <'null'>}"), script);
        }
        w->pid = fifo_expect_pid(w->fifo, "up");
        w->since = g_get_monotonic_time();
        bus_wait(bus, "RoleStarted", w->role);
}

static void waiter_check_one_process(Bus *bus, const Waiter *w, pid_t pid) {
        g_autofree char *cgroup = role_cgroup(bus, w->role);
        g_autoptr(GArray) pids = cgroup_pids(cgroup);

        assert_state(bus, w->role, "running");
        assert_int_equal(role_pid(bus, w->role), pid);
        assert_int_equal(pids->len, 1);
        assert_int_equal(g_array_index(pids, pid_t, 0), pid);
        assert_false(fifo_has_line(w->fifo));
}

/* It has ended at its deadline. That the keeper has died may be the reason that its status is not known. */
static void waiter_check_end(Bus *bus, const Waiter *w, const char *cause) {
        Exited exited = wait_exited(bus, w->role);

        assert_string_equal(exited.cause, cause);
        assert_between(
                (guint64) (exited.event->usec - w->since), WAIT_USEC * 95 / 100, WAIT_USEC + LATE_USEC);
        assert_false(fifo_has_line(w->fifo));
}

static void waiter_check(Bus *bus, Waiter *w) {
        guint n_starts = 1;

        switch (w->wait) {
        case WAIT_RESTART: {
                const guint64 next = role_get_u64(bus, w->role, "NextStartUSec");

                assert_true(next == w->next || g_get_monotonic_time() >= (gint64) w->next_monotonic);
                g_autoptr(GVariant) details = event_details(bus_wait(bus, "RoleStarted", w->role));
                assert_between(detail_u64(details, "monotonic-usec"), w->next_monotonic,
                        w->next_monotonic + LATE_USEC);
                waiter_check_one_process(bus, w, fifo_expect_pid(w->fifo, "up"));
                assert_int_equal(role_get_u32(bus, w->role, "NRestarts"), 1);
                assert_int_equal(bus_count(bus, "RoleRestarting", w->role), 1);
                n_starts = 2;
                break;
        }
        case WAIT_READY: {
                g_autoptr(GVariant) before = role_get(bus, w->role, "Ready");

                assert_false(g_variant_get_boolean(before));
                int fd = open(w->go, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
                assert_return_code(fd, errno);
                assert_int_equal(write(fd, "go\n", 3), 3);
                close(fd);
                assert_int_equal(fifo_expect_pid(w->fifo, "ready"), w->pid);
                for (bool ready = false; !ready;) {
                        g_autoptr(GVariant) value = role_get(bus, w->role, "Ready");
                        ready = g_variant_get_boolean(value);
                }
                waiter_check_one_process(bus, w, w->pid);
                break;
        }
        case WAIT_TIMEOUT:
                waiter_check_end(bus, w, "timeout");
                break;
        case WAIT_WATCHDOG:
                waiter_check_end(bus, w, "watchdog");
                break;
        default:
                waiter_check_one_process(bus, w, w->pid);
        }
        assert_int_equal(bus_count(bus, "RoleStarted", w->role), n_starts);
        assert_int_equal(bus_count(bus, "RoleFailed", w->role), 0);
}

/* Whatever dies while they wait: there is one instance or none, it is the same attempt, and the deadline is
 * the one of before. */
static void test_waiting(void **state) {
        static const struct {
                const char *name;
                void (*happens)(Bus *bus);
        } deaths[] = {
                { "the node", node_crash },
                { "the keeper", keeper_crash_and_wait },
                { "both", keeper_and_node_crash },
                { "a restart", node_restart },
        };
        /* A round takes about as long as 100 of the others. */
        guint rounds = 2 + number("SOAK_ROUNDS", 0) / 100, seed = number("SOAK_SEED", g_random_int());
        Bus *bus = *state;
        GRand *random = g_rand_new_with_seed(seed);

        print_message("  SOAK_SEED=%u\n", seed);
        for (guint round = 0; round < rounds; round++) {
                const guint death = (round + seed) % G_N_ELEMENTS(deaths);
                Waiter waiters[WAITERS];
                guint n_running = 0;

                keeper_wait_stored(bus, 0);
                for (guint i = 0; i < WAITERS; i++) {
                        Waiter *w = &waiters[i];
                        g_autofree char *fifo = g_strdup_printf("fifo.%u.%u", round, i),
                                        *go = g_strdup_printf("go.%u.%u", round, i);

                        *w = (Waiter){
                                .wait = i < N_WAITS ? (Wait) i : (Wait) g_rand_int_range(random, 0, N_WAITS),
                                .role = role_name_n("w", round * WAITERS + i),
                                .go = scratch(go),
                                .fifo = fifo_new(fifo),
                        };
                        assert_int_equal(mkfifo(w->go, 0600), 0);
                        waiter_begin(bus, w);
                        n_running += w->wait != WAIT_RESTART;
                }
                /* What the keeper has told systemd outlives it: pidfd, and two for notifications. */
                keeper_wait_stored(bus, 1 + 3 * n_running);
                g_usleep((gulong) g_rand_int_range(random, WAIT_USEC / 4, WAIT_USEC / 2));
                deaths[death].happens(bus);
                for (guint i = 0; i < WAITERS; i++)
                        waiter_check(bus, &waiters[i]);
                for (guint i = 0; i < WAITERS; i++) {
                        kill_role(bus, waiters[i].role);
                        purge(bus, waiters[i].role);
                        fifo_free(waiters[i].fifo);
                }
                print_message("  %s: well\n", deaths[death].name);
        }
        g_rand_free(random);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_soak),
                TEST(test_waiting),
        };
        return run_case("soak", tests);
}
