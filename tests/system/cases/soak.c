/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Random starts, exits, stops, lines of input, and deaths of node and keeper. The records that the roles have
 * written themselves are compared with the signals and the later replies of the service. Each run has one
 * start and one exit, the exit is correct, each acknowledged line has arrived once, and nothing is left.
 *
 * SOAK_ROUNDS and SOAK_SEED in the environment are the number of rounds, and the seed of a previous run to
 * repeat it. */

#include <stdio.h>
#include <stdlib.h>
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
        WAIT_UNTIL((state = role_state(soak->bus, slot->role), strcmp(state, "starting") != 0));
        if (slot->starting)
                run->unanswered = !success;
        slot->starting = false;
        if (run->stopped)
                WAIT_UNTIL((state = role_state(soak->bus, slot->role), strcmp(state, "stopping") != 0));
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
                right = run->killed || run->kind == KIND_ABORTS;
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

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_soak),
        };
        return run_case("soak", tests);
}
