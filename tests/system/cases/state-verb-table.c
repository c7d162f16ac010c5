/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The effect of each verb in each state, according to the table in the documentation: every cell, by the
 * method of the node and by that of the role's object. */

#include <unistd.h>

#include "testlib.h"

typedef enum State {
        STARTING,
        RUNNING,
        STOPPING,
        ENDED,
        SWEEPING, /* ended, and its remaining processes are being stopped */
        N_STATES,
} State;

static const char *const state_names[N_STATES] = { "starting", "running", "stopping", "ended",
        "ended, swept" };

/* The value of a cell is the name of an error, or one of these. */
#define OK "ok"
#define CANCELS "cancels" /* succeeds, and the Start fails with StartCancelled */
#define JOINS "joins"     /* no reply before the pending operation is complete */
#define EXIT3 "exit 3"

typedef struct Verb {
        const char *name;
        const char *args; /* after the name of the role; NULL for a verb of the node only */
        const char *expected[N_STATES];
} Verb;

static const Verb verbs[] = {
        { "Start", NULL, { "RoleExists", "RoleExists", "RoleExists", OK, JOINS } },
        { "Poll", NULL, { "running", "running", "running", EXIT3, EXIT3 } },
        { "Stop", "()", { CANCELS, OK, JOINS, OK, JOINS } },
        { "Kill", "()", { CANCELS, OK, OK, OK, OK } },
        { "Signal", "('main', 18)", { "RoleNotRunning", OK, OK, "RoleNotRunning", "RoleNotRunning" } },
        { "Signal", "('all', 18)", { "RoleNotRunning", OK, OK, "RoleNotRunning", "RoleNotRunning" } },
        { "Freeze", "()", { "RoleNotRunning", OK, "RoleNotRunning", "RoleNotRunning", "RoleNotRunning" } },
        { "Thaw", "()", { "RoleNotRunning", OK, OK, "RoleNotRunning", "RoleNotRunning" } },
        { "SendInput", "('x',)", { "RoleNotRunning", OK, "NoInput", "RoleNotRunning", "RoleNotRunning" } },
        { "WriteInput", "([byte 1],)",
                { "RoleNotRunning", OK, "NoInput", "RoleNotRunning", "RoleNotRunning" } },
        { "CloseInput", "()", { "RoleNotRunning", OK, "NoInput", "RoleNotRunning", "RoleNotRunning" } },
        { "Purge", "()", { "RoleRunning", "RoleRunning", "RoleRunning", OK, "RoleRunning" } },
};

/* A role that was brought into a state. */
typedef struct Held {
        State state;
        const char *name;
        guint32 start; /* of a role that is starting */
        guint32 stop;  /* of a role that is stopping */
        pid_t keeper;  /* stopped, for a role that is starting */
        pid_t leftover;
} Held;

static Held hold(Bus *bus, const char *role, State state, Fifo *fifo) {
        Held held = { .state = state, .name = role };
        const char *never = "{'stop-timeout-usec': <@t 18446744073709551615>}";
        g_autofree char *path = role_path(role);

        switch (state) {
        case STARTING:
                /* The keeper does not reply, so no start continues. */
                held.keeper = keeper_pid(bus);
                assert_int_equal(kill(held.keeper, SIGSTOP), 0);
                WAIT_UNTIL(process_state(held.keeper) == 'T');
                held.start = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
                bus_wait(bus, "InterfacesAdded", path);
                break;

        case RUNNING:
                start(bus, role, NULL, actor(), "pause", NULL);
                break;

        case STOPPING:
                start(bus, role, g_variant_parse(G_VARIANT_TYPE_VARDICT, never, NULL, NULL, NULL), actor(),
                        "tell-on", "TERM", fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause",
                        NULL);
                fifo_expect_pid(fifo, "ready");
                held.stop = node_send(bus, "Stop", g_variant_new("(s)", role));
                fifo_expect_pid(fifo, "heard");
                break;

        case ENDED:
                start(bus, role, NULL, actor(), "exit", "3", NULL);
                expect_exited(bus, role, "exited", 3, "self");
                stop(bus, role); /* until it is swept */
                break;

        case SWEEPING:
                start(bus, role, g_variant_parse(G_VARIANT_TYPE_VARDICT, never, NULL, NULL, NULL), actor(),
                        "daemon{", "tell-on", "TERM", fifo_path(fifo), "heard", "say", fifo_path(fifo),
                        "ready", "pause", "}", "read-eof", "exit", "3", NULL);
                held.leftover = fifo_expect_pid(fifo, "ready");
                close_input(bus, role);
                expect_exited(bus, role, "exited", 3, "self");
                fifo_expect_pid(fifo, "heard");
                break;

        default:
                abort();
        }

        assert_string_equal(role_state(bus, role), state == SWEEPING ? "ended" : state_names[state]);
        return held;
}

/* Releases what holds the role in its state. */
static void release(Bus *bus, Held *held) {
        switch (held->state) {
        case STARTING:
                assert_int_equal(kill(held->keeper, SIGCONT), 0);
                break;
        case STOPPING: {
                const char *now = role_state(bus, held->name);
                if (strcmp(now, "stopping") == 0)
                        assert_int_equal(kill(role_pid(bus, held->name), SIGKILL), 0);
                break;
        }
        case SWEEPING:
                kill(held->leftover, SIGKILL); /* it may have ended already */
                break;
        default:
                break;
        }
}

static guint32 send_verb(Bus *bus, const Verb *verb, const char *role, bool by_object) {
        const char *one[] = { role, NULL };
        g_autoptr(GVariant) args = NULL;
        GVariantBuilder builder;

        if (strcmp(verb->name, "Start") == 0)
                return node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
        if (strcmp(verb->name, "Poll") == 0 || (strcmp(verb->name, "Purge") == 0 && !by_object))
                return node_send(bus, verb->name, g_variant_new("(^as)", one));

        args = g_variant_ref_sink(g_variant_parse(NULL, verb->args, NULL, NULL, NULL));
        if (by_object)
                return role_send(bus, role, verb->name, args);
        g_variant_builder_init(&builder, G_VARIANT_TYPE_TUPLE);
        g_variant_builder_add(&builder, "s", role);
        for (gsize i = 0; i < g_variant_n_children(args); i++)
                g_variant_builder_add_value(&builder, g_variant_get_child_value(args, i));
        return node_send(bus, verb->name, g_variant_builder_end(&builder));
}

static void check_cell(Bus *bus, const Verb *verb, State state, bool by_object, guint n) {
        const char *expected = verb->expected[state], *role = role_name_n("r", n);
        g_autofree char *name = g_strdup_printf("fifo%u", n);
        g_autoptr(Fifo) fifo = fifo_new(name);
        Held held = hold(bus, role, state, fifo);
        guint32 serial = send_verb(bus, verb, role, by_object);

        print_message("  %s%s%s, %s: %s\n", by_object ? "role object's " : "", verb->name, verb->args ?: "",
                state_names[state], expected);

        if (strcmp(expected, CANCELS) == 0) {
                node_sync(bus); /* the call has been read */
                release(bus, &held);
                g_variant_unref(bus_result(bus, serial));
                bus_failure(bus, held.start, "StartCancelled", role, NULL);
                assert_poll(bus, role, "none");
                return;
        }

        if (strcmp(expected, JOINS) == 0) {
                node_sync(bus);
                node_sync(bus);
                assert_false(bus_has_reply(bus, serial));
                release(bus, &held);
                g_variant_unref(bus_result(bus, serial));
        } else if (strcmp(verb->name, "Poll") == 0) {
                g_autoptr(GVariant) reply = bus_result(bus, serial),
                                    states = g_variant_get_child_value(reply, 0);
                const char *answer;

                assert_int_equal(g_variant_n_children(states), 1);
                assert_true(g_variant_lookup(states, role, "&s", &answer));
                assert_string_equal(answer, expected);
        } else if (strcmp(expected, OK) == 0)
                g_variant_unref(bus_result(bus, serial));
        else {
                bus_failure(bus, serial, expected, role, NULL);
                /* A refused call has no effect. */
                assert_string_equal(role_state(bus, role), state == SWEEPING ? "ended" : state_names[state]);
        }

        release(bus, &held);
        if (held.start > 0) {
                g_variant_unref(bus_result(bus, held.start));
                assert_poll(bus, role, "running");
        }
        if (held.stop > 0)
                g_variant_unref(bus_result(bus, held.stop));
}

static void check_state(Bus *bus, State state) {
        guint n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                check_cell(bus, &verbs[i], state, false, n++);
                if (verbs[i].args)
                        check_cell(bus, &verbs[i], state, true, n++);
        }
}

static void test_starting(void **state) {
        check_state(*state, STARTING);
}

static void test_running(void **state) {
        check_state(*state, RUNNING);
}

static void test_stopping(void **state) {
        check_state(*state, STOPPING);
}

static void test_ended(void **state) {
        check_state(*state, ENDED);
}

static void test_sweeping(void **state) {
        check_state(*state, SWEEPING);
}

/* A start can also be cancelled during its set-up. Then nothing is left, and the ended role of that name
 * exists again. */
static void test_cancel_in_setup(void **state) {
        Bus *bus = *state;
        const char *role = role_name("s"), *cancel[] = { "Stop", "Kill" };
        g_autofree char *scope = role_scope(role);
        g_autoptr(Hold) hold = hold_new();
        Census before;

        start(bus, role, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        stop(bus, role);
        before = census_before(bus);

        for (size_t i = 0; i < G_N_ELEMENTS(cancel); i++) {
                guint32 starting =
                        node_send(bus, "Start", start_args(role, NULL, hold_program(hold), "pause", NULL));

                held_child(bus, role);
                assert_poll(bus, role, "running");
                g_variant_unref(node_call(bus, cancel[i], g_variant_new("(s)", role)));
                bus_failure(bus, starting, "StartCancelled", role, cancel[i], NULL);
                assert_int_equal(count_units(bus, scope), 0);
                assert_poll(bus, role, "exit 3");
        }
        assert_int_equal(bus_count(bus, "RoleStarted", role), 1);
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
        assert_census(bus, &before);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_starting),
                TEST(test_running),
                TEST(test_stopping),
                TEST(test_ended),
                TEST(test_sweeping),
                TEST(test_cancel_in_setup),
        };
        return run_case("state-verb-table", tests);
}
