/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every verb on a role in every state. */

#include "test-world.h"

#include <signal.h>

#include "model/input.h"
#include "model/role-freezer.h"
#include "model/role-terminal.h"

typedef enum Situation {
        STARTING,
        RUNNING,
        STOPPING,
        ENDED,
        UNSWEPT, /* ended, but some of its processes still run */
        _SITUATION_MAX,
} Situation;

static const char *const situation_names[_SITUATION_MAX] = { "starting", "running", "stopping", "ended",
        "ended, not swept" };

typedef enum Verb {
        POLL,
        START,
        STOP,
        KILL,
        SIGNAL_MAIN,
        SIGNAL_ALL,
        FREEZE,
        THAW,
        SEND_INPUT,
        CLOSE_INPUT,
        PURGE,
        PURGE_ALL,
} Verb;

/* The immediate result for the caller of the verb. */
typedef enum Outcome {
        DONE,    /* success at once */
        WAITS,   /* success later */
        REFUSED, /* an error, without any change */
} Outcome;

typedef struct Row {
        const char *label;
        Verb verb;
        Situation situation;
        Outcome outcome;
        const char *calls; /* the requests to the world */
        RoleState after;   /* _ROLE_STATE_MAX if the role has been removed */
        NodeError error;   /* of REFUSED */
        const char *text;  /* the result of Poll, or a part of the message */
} Row;

#define GONE _ROLE_STATE_MAX
#define OK 0

static const Row rows[] = {
        { "Poll starting", POLL, STARTING, DONE, "", ROLE_STARTING, OK, "running" },
        { "Poll running", POLL, RUNNING, DONE, "", ROLE_RUNNING, OK, "running" },
        { "Poll stopping", POLL, STOPPING, DONE, "", ROLE_STOPPING, OK, "running" },
        { "Poll ended", POLL, ENDED, DONE, "", ROLE_ENDED, OK, "exit 3" },
        { "Poll unswept", POLL, UNSWEPT, DONE, "", ROLE_ENDED, OK, "exit 3" },

        { "Start starting", START, STARTING, REFUSED, "", ROLE_STARTING, NODE_ERROR_ROLE_EXISTS,
                "it is starting" },
        { "Start running", START, RUNNING, REFUSED, "", ROLE_RUNNING, NODE_ERROR_ROLE_EXISTS,
                "it is running" },
        { "Start stopping", START, STOPPING, REFUSED, "", ROLE_STOPPING, NODE_ERROR_ROLE_EXISTS,
                "it is stopping" },
        { "Start ended", START, ENDED, WAITS, "set-aside(cam) save(cam) fork(cam)", ROLE_STARTING },
        /* Waits for the sweep of the old scope, whose name it needs. */
        { "Start unswept", START, UNSWEPT, WAITS, "set-aside(cam) save(cam)", ROLE_STARTING },

        /* Cancels the start, but nothing can be undone before the keeper has replied. */
        { "Stop starting", STOP, STARTING, WAITS, "", ROLE_STARTING },
        { "Stop running", STOP, RUNNING, WAITS, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)",
                ROLE_STOPPING },
        { "Stop stopping", STOP, STOPPING, WAITS, "", ROLE_STOPPING },
        { "Stop ended", STOP, ENDED, DONE, "", ROLE_ENDED },
        { "Stop unswept", STOP, UNSWEPT, WAITS, "", ROLE_ENDED },

        { "Kill starting", KILL, STARTING, WAITS, "", ROLE_STARTING },
        { "Kill running", KILL, RUNNING, WAITS, "save(cam) signal-cgroup(cam,9)", ROLE_STOPPING },
        { "Kill stopping", KILL, STOPPING, WAITS, "save(cam) signal-cgroup(cam,9)", ROLE_STOPPING },
        { "Kill ended", KILL, ENDED, DONE, "", ROLE_ENDED },
        { "Kill unswept", KILL, UNSWEPT, WAITS, "save(cam) signal-cgroup(cam,9)", ROLE_ENDED },

        { "Signal main starting", SIGNAL_MAIN, STARTING, REFUSED, "", ROLE_STARTING,
                NODE_ERROR_ROLE_NOT_RUNNING, "it is starting" },
        { "Signal main running", SIGNAL_MAIN, RUNNING, WAITS, "save(cam) signal-main(cam,10)", ROLE_RUNNING },
        { "Signal main stopping", SIGNAL_MAIN, STOPPING, WAITS, "save(cam) signal-main(cam,10)",
                ROLE_STOPPING },
        { "Signal main ended", SIGNAL_MAIN, ENDED, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },
        { "Signal main unswept", SIGNAL_MAIN, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },

        { "Signal all starting", SIGNAL_ALL, STARTING, REFUSED, "", ROLE_STARTING,
                NODE_ERROR_ROLE_NOT_RUNNING, "\"cam\"" },
        { "Signal all running", SIGNAL_ALL, RUNNING, WAITS, "save(cam) signal-cgroup(cam,10)", ROLE_RUNNING },
        { "Signal all stopping", SIGNAL_ALL, STOPPING, WAITS, "save(cam) signal-cgroup(cam,10)",
                ROLE_STOPPING },
        { "Signal all ended", SIGNAL_ALL, ENDED, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "\"cam\"" },
        { "Signal all unswept", SIGNAL_ALL, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "\"cam\"" },

        { "Freeze starting", FREEZE, STARTING, REFUSED, "", ROLE_STARTING, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is starting" },
        { "Freeze running", FREEZE, RUNNING, WAITS, "freeze(cam)", ROLE_RUNNING },
        { "Freeze stopping", FREEZE, STOPPING, REFUSED, "", ROLE_STOPPING, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is being stopped" },
        { "Freeze ended", FREEZE, ENDED, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },
        { "Freeze unswept", FREEZE, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },

        { "Thaw starting", THAW, STARTING, REFUSED, "", ROLE_STARTING, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is starting" },
        { "Thaw running", THAW, RUNNING, WAITS, "thaw(cam)", ROLE_RUNNING },
        { "Thaw stopping", THAW, STOPPING, WAITS, "thaw(cam)", ROLE_STOPPING },
        { "Thaw ended", THAW, ENDED, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING, "it is ended" },
        { "Thaw unswept", THAW, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },

        { "SendInput starting", SEND_INPUT, STARTING, REFUSED, "", ROLE_STARTING, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is starting" },
        { "SendInput running", SEND_INPUT, RUNNING, DONE, "", ROLE_RUNNING },
        { "SendInput stopping", SEND_INPUT, STOPPING, REFUSED, "", ROLE_STOPPING, NODE_ERROR_NO_INPUT,
                "because the role is being stopped" },
        { "SendInput ended", SEND_INPUT, ENDED, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },
        { "SendInput unswept", SEND_INPUT, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },

        { "CloseInput starting", CLOSE_INPUT, STARTING, REFUSED, "", ROLE_STARTING,
                NODE_ERROR_ROLE_NOT_RUNNING, "it is starting" },
        { "CloseInput running", CLOSE_INPUT, RUNNING, WAITS, "close-stdin(cam)", ROLE_RUNNING },
        { "CloseInput stopping", CLOSE_INPUT, STOPPING, REFUSED, "", ROLE_STOPPING, NODE_ERROR_NO_INPUT,
                "because the role is being stopped" },
        { "CloseInput ended", CLOSE_INPUT, ENDED, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },
        { "CloseInput unswept", CLOSE_INPUT, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_NOT_RUNNING,
                "it is ended" },

        { "Purge starting", PURGE, STARTING, REFUSED, "", ROLE_STARTING, NODE_ERROR_ROLE_RUNNING,
                "it is starting" },
        { "Purge running", PURGE, RUNNING, REFUSED, "", ROLE_RUNNING, NODE_ERROR_ROLE_RUNNING,
                "it is running" },
        { "Purge stopping", PURGE, STOPPING, REFUSED, "", ROLE_STOPPING, NODE_ERROR_ROLE_RUNNING,
                "it is stopping" },
        { "Purge ended", PURGE, ENDED, DONE, "purged(cam) forget(cam) removed(cam)", GONE, OK, "cam" },
        { "Purge unswept", PURGE, UNSWEPT, REFUSED, "", ROLE_ENDED, NODE_ERROR_ROLE_RUNNING,
                "processes it left still run" },

        /* Applies to all ended roles. A role that cannot be purged stays, without an error. */
        { "Purge all starting", PURGE_ALL, STARTING, DONE, "", ROLE_STARTING, OK, "" },
        { "Purge all running", PURGE_ALL, RUNNING, DONE, "", ROLE_RUNNING, OK, "" },
        { "Purge all stopping", PURGE_ALL, STOPPING, DONE, "", ROLE_STOPPING, OK, "" },
        { "Purge all ended", PURGE_ALL, ENDED, DONE, "purged(cam) forget(cam) removed(cam)", GONE, OK,
                "cam" },
        { "Purge all unswept", PURGE_ALL, UNSWEPT, DONE, "", ROLE_ENDED, OK, "" },
};

static Role *bring_about(TestWorld *w, Situation situation, Told *start, Told *stop) {
        Role *role;

        if (situation == STARTING)
                return world_start(w, "cam", NULL, start);

        role = world_run(w, "cam", NULL);
        switch (situation) {
        case STOPPING:
                node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(stop));
                break;
        case ENDED:
                world_exit(w, role, EXIT_CODE_EXITED, 3);
                break;
        case UNSWEPT:
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 3);
                break;
        default:
                break;
        }
        return role;
}

static int purge(TestWorld *w, char **names, Told *told, char **ret_text, Fault *fault) {
        g_auto(GStrv) purged = NULL;

        int r = node_purge(w->node, names, NULL, NULL, &purged, fault);
        if (r >= 0) {
                *ret_text = g_strjoinv(" ", purged);
                told->n++;
        }
        return r;
}

/* Calls the verb as the bus room does. */
static int act(TestWorld *w, Role *role, Verb verb, Told *told, char **ret_text, Fault *fault) {
        char *cam[] = { "cam", NULL }, *nobody[] = { NULL };
        g_autoptr(RoleSpec) spec = NULL;
        int r;

        switch (verb) {
        case POLL:
                *ret_text = role_poll(role);
                told->n++;
                return 0;
        case START:
                spec = test_spec();
                r = node_start_role(w->node, "cam", spec, NULL, told_by(told), fault);
                if (r >= 0)
                        g_steal_pointer(&spec);
                return r;
        case STOP:
                node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(told));
                return 0;
        case KILL:
                node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(told));
                return 0;
        case SIGNAL_MAIN:
                return node_signal_role(w->node, role, false, SIGUSR1, NULL, told_by(told), fault);
        case SIGNAL_ALL:
                return node_signal_role(w->node, role, true, SIGUSR1, NULL, told_by(told), fault);
        case FREEZE:
        case THAW:
                return role_freeze(role, verb == FREEZE, NULL, told_by(told), fault);
        case SEND_INPUT:
                r = input_find(role, fault);
                return r < 0 ? r
                             : input_write(role->input, "x", 1, true, NULL, NULL, NULL, told_by(told), fault);
        case CLOSE_INPUT:
                r = input_find(role, fault);
                return r < 0 ? r : input_close(role->input, NULL, told_by(told), fault);
        case PURGE:
                return purge(w, cam, told, ret_text, fault);
        case PURGE_ALL:
                return purge(w, nobody, told, ret_text, fault);
        default:
                fail();
                return 0;
        }
}

/* Completes all pending operations. Each waiting call must get its reply. */
static void finish(TestWorld *w, Situation situation, Verb verb) {
        Role *role = world_find(w, "cam");

        if (verb == FREEZE)
                (void) g_hash_table_add(w->frozen, role);
        world_answer(w, NULL);
        if (situation == STARTING && (verb == STOP || verb == KILL)) {
                world_fork_failed(w, role, -ECANCELED);
                return;
        }
        if (situation == UNSWEPT) {
                Role *old = role->predecessor ?: role;
                world_emptied(w, old);
        } else if (role->state == ROLE_STOPPING)
                world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        role = world_find(w, "cam");
        if (verb == START && role && role->state == ROLE_STARTING) {
                world_forked(w, role);
                world_scope_made(w, role);
                role_on_gate_closed(role);
        }
}

static void test_row(void **state) {
        /* cmocka passes the row as the initial state; the world belongs to this test. */
        const Row *row = *state;
        g_auto(Told) start = {}, stop = {}, told = {};
        g_auto(Fault) fault = {};
        g_autofree char *text = NULL;
        void *world_state;

        test_world_setup(&world_state);
        TestWorld *w = world_state;
        Role *role = bring_about(w, row->situation, &start, &stop);
        uint64_t deadline = role->stop_deadline;
        forget_calls(w);

        int r = act(w, role, row->verb, &told, &text, &fault);
        expect_calls(w, row->calls);

        Role *after = world_find(w, "cam");
        if (row->after == GONE)
                assert_null(after);
        else {
                assert_non_null(after);
                assert_string_equal(role_state_to_string(after->state), role_state_to_string(row->after));
        }

        switch (row->outcome) {
        case REFUSED:
                assert_fault(r, &fault, row->error, row->text);
                assert_contains(fault.message, "\"cam\"");
                assert_not_told(&told);
                assert_ptr_equal(after, role);
                assert_true(role->stop_deadline == deadline);
                break;
        case DONE:
                assert_int_equal(r, 0);
                assert_told_success(&told);
                if (row->text)
                        assert_string_equal(text, row->text);
                break;
        case WAITS:
                assert_int_equal(r, 0);
                assert_null(fault.message);
                assert_not_told(&told);
                /* A second Stop joins the first one, and does not extend the timeout. */
                if (row->verb == STOP && row->situation != RUNNING)
                        assert_true(role->stop_deadline == deadline);
                finish(w, row->situation, row->verb);
                assert_told_success(&told);
                if (row->situation == STARTING) {
                        assert_told_fault(&start, NODE_ERROR_START_CANCELLED,
                                row->verb == STOP ? "by Stop" : "by Kill");
                        assert_nothing_left(w, "cam");
                }
                if (row->situation == STOPPING && (row->verb == STOP || row->verb == KILL))
                        assert_told_success(&stop);
                break;
        }
        test_world_teardown(&world_state);
}

/* Checks that the table is complete. */
static void test_table_is_complete(void **state) {
        for (int v = 0; v <= PURGE_ALL; v++)
                for (int s = 0; s < _SITUATION_MAX; s++) {
                        unsigned n = 0;

                        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                                n += rows[i].verb == (Verb) v && rows[i].situation == (Situation) s;
                        if (n != 1)
                                fail_msg("verb %d while %s: %u rows", v, situation_names[s], n);
                }
}

/* -- OpenTerminalSocket -- */

static void test_terminal_socket(void **state) {
        TestWorld *w = *state;
        const Caller alice = { .known = true, .uid = 1000 };
        g_auto(Told) told = {};
        g_autofree char *path = NULL;
        Role *role = world_run_on_terminal(w, "cam");

        assert_int_equal(terminal_make_socket(role, &alice, true, &path, told_by(&told), NULL), 0);
        expect_calls(w, "socket(cam,1000)");
        assert_true(w->socket_replay);
        assert_not_told(&told);
        terminal_on_socket(g_steal_pointer(&w->socket_request), 0, "/run/x");
        assert_told_success(&told);
        assert_string_equal(path, "/run/x");
}

static void test_terminal_socket_errors(void **state) {
        static const struct {
                int error;
                NodeError fault;
                const char *text;
        } errors[] = {
                { -ENOENT, NODE_ERROR_ROLE_NOT_RUNNING, "has just ended" },
                { -ESRCH, NODE_ERROR_ROLE_NOT_RUNNING, "has just ended" },
                { -ENOTCONN, NODE_ERROR_KEEPER_UNAVAILABLE, "there is no keeper" },
                { -EPROTONOSUPPORT, NODE_ERROR_KEEPER_UNAVAILABLE, "reload architect-keeper.service" },
                { -ENAMETOOLONG, NODE_ERROR_IO_ERROR, "File name too long" },
        };
        TestWorld *w = *state;
        const Caller root = { .known = true }, nobody = {};
        Role *role = world_run_on_terminal(w, "cam");

        /* As the reply of the keeper, and at once. */
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                g_auto(Told) told = {};
                g_auto(Fault) fault = {};
                char *path = NULL;

                w->socket_result = 0;
                assert_int_equal(terminal_make_socket(role, &root, false, &path, told_by(&told), NULL), 0);
                assert_false(w->socket_replay);
                terminal_on_socket(g_steal_pointer(&w->socket_request), errors[i].error, NULL);
                assert_told_fault(&told, errors[i].fault, errors[i].text);
                assert_null(path);

                w->socket_result = errors[i].error;
                assert_fault(terminal_make_socket(role, &root, false, &path, (Waiter){}, &fault), &fault,
                        errors[i].fault, errors[i].text);
                assert_contains(fault.message, "\"cam\"");
        }

        for (const Caller *caller = &nobody;; caller = NULL) {
                g_auto(Fault) fault = {};

                assert_fault(terminal_make_socket(role, caller, true, NULL, (Waiter){}, &fault), &fault,
                        NODE_ERROR_ACCESS_DENIED, "not known");
                if (!caller)
                        break;
        }
        world_exit(w, role, EXIT_CODE_EXITED, 3);
        forget_calls(w);
        {
                g_auto(Fault) fault = {};

                assert_fault(terminal_make_socket(role, &root, true, NULL, (Waiter){}, &fault), &fault,
                        NODE_ERROR_ROLE_NOT_RUNNING, "it is ended");
        }
        expect_calls(w, "");
}

/* Poll distinguishes the ends. */
static void test_poll_of_ends(void **state) {
        static const struct {
                ExitCode code;
                int status;
                const char *expected;
        } ends[] = {
                { EXIT_CODE_EXITED, 0, "exit 0" },
                { EXIT_CODE_EXITED, 42, "exit 42" },
                { EXIT_CODE_EXITED, 255, "exit 255" },
                { EXIT_CODE_KILLED, SIGTERM, "exit -15" },
                { EXIT_CODE_KILLED, SIGKILL, "exit -9" },
                { EXIT_CODE_DUMPED, SIGSEGV, "exit -11" },
                { EXIT_CODE_LOST, -1, "exit unknown" },
        };
        void *world_state;

        test_world_setup(&world_state);
        TestWorld *w = world_state;
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                Role *role = world_run(w, "cam", NULL);

                world_exit(w, role, ends[i].code, ends[i].status);
                g_autofree char *text = role_poll(world_find(w, "cam"));
                assert_string_equal(text, ends[i].expected);
        }
        test_world_teardown(&world_state);
}

int main(void) {
        struct CMUnitTest tests[ELEMENTSOF(rows) + 4] = {
                cmocka_unit_test(test_table_is_complete),
                cmocka_unit_test(test_poll_of_ends),
                cmocka_unit_test_setup_teardown(test_terminal_socket, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(
                        test_terminal_socket_errors, test_world_setup, test_world_teardown),
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                tests[i + 4] = (struct CMUnitTest){
                        .name = rows[i].label, .test_func = test_row, .initial_state = (void *) &rows[i]
                };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
