/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Recovery: each state of a role × each report of the keeper, after a restart of the service (the saved
 * state, read by a new node) and after a lost connection (the same node). For each the decision, what is
 * asked of the world, and that the role comes to its end from there: also with a shutdown under way, and when
 * the keeper is late. */

#include "model/input.h"
#include "model/monitor.h"
#include "model/role-recover.h"
#include "model/role-state.h"
#include "model/settings.h"
#include "test-world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"

typedef enum Life {
        LIFE_RESTART,   /* of the service: the next process has what was saved */
        LIFE_RECONNECT, /* the connection to the keeper was lost, and is made again */
        LIFE_LATE,      /* as restart, and the keeper answers only after the wait for it */
        _LIFE_MAX,
} Life;

typedef struct Cell {
        RecoverState state;
        ChildReport report;
        RecoverAction action;
        const char *effect[_LIFE_MAX]; /* as cell_effect() has it; NULL: is never saved */
} Cell;

#define CAM "cam"
#define AWAITED "lamp" /* for which it waits in ROLE_PHASE_DEPENDENCIES */

/* A process that has not executed anything, as a child at its gate; and one that is dead. */
static pid_t at_gate, dead;
static uint64_t at_gate_time, dead_time;

static int group_setup(void **state) {
        at_gate = fork_pausing();
        at_gate_time = start_time_of(at_gate);
        dead = fork_pausing();
        dead_time = start_time_of(dead);
        assert_return_code(kill(dead, SIGKILL), errno);
        assert_int_equal(waitpid(dead, NULL, 0), dead);
        return 0;
}

static int group_teardown(void **state) {
        (void) kill(at_gate, SIGKILL);
        (void) waitpid(at_gate, NULL, 0);
        return 0;
}

/* -- the state before ------------------------------------------------------------------------- */

/* Those who wait in the life before; they are told of its end. */
static Told start_told, stop_told;

static void stop(TestWorld *w, bool kill) {
        node_stop_role(w->node, world_find(w, CAM), kill ? ROLE_CAUSE_KILL : ROLE_CAUSE_STOP, NULL,
                told_by(&stop_told));
}

/* It has ended, and waits for its restart. */
static void make_awaited(TestWorld *w) {
        RoleSpec *spec = test_spec();

        spec->restart = RESTART_ALWAYS;
        spec->restart_usec = 3600 * USEC_PER_SEC;
        world_exit(w, world_run(w, AWAITED, spec), EXIT_CODE_EXITED, 0);
}

static Role *start_until(TestWorld *w, RolePhase phase) {
        RoleSpec *spec = test_spec();

        if (phase == ROLE_PHASE_QUEUED)
                w->connected = false;
        if (phase == ROLE_PHASE_DEPENDENCIES) {
                make_awaited(w);
                assert_return_code(role_spec_set_dependencies(
                                           spec, DEPENDENCY_REQUIRES, (char *[]){ AWAITED, NULL }, NULL),
                        0);
        }
        Role *role = world_start(w, CAM, spec, &start_told);
        if (phase >= ROLE_PHASE_SCOPE) {
                world_forked(w, role);
                role->main_pid = at_gate;
                role->main_start_time = at_gate_time;
        }
        if (phase >= ROLE_PHASE_OPEN) {
                world_scope_made(w, role);
                (void) g_hash_table_add(w->populated, role);
        }
        assert_int_equal(role->phase, phase);
        return role;
}

/* A role in this state, by the way that a role comes there. */
static Role *reach(TestWorld *w, RecoverState state) {
        Role *role;

        told_clear(&start_told);
        told_clear(&stop_told);
        switch (state) {
        case RECOVER_DEPENDENCIES:
                role = start_until(w, ROLE_PHASE_DEPENDENCIES);
                break;
        case RECOVER_QUEUED:
                role = start_until(w, ROLE_PHASE_QUEUED);
                break;
        case RECOVER_SWEEP:
                role = world_run(w, CAM, NULL);
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
                role = start_until(w, ROLE_PHASE_SWEEP);
                break;
        case RECOVER_FORK:
                role = start_until(w, ROLE_PHASE_FORK);
                break;
        case RECOVER_SCOPE:
                role = start_until(w, ROLE_PHASE_SCOPE);
                break;
        case RECOVER_OPEN:
                role = start_until(w, ROLE_PHASE_OPEN);
                break;
        case RECOVER_UNDOING:
                role = start_until(w, ROLE_PHASE_OPEN);
                stop(w, false);
                break;
        case RECOVER_RUNNING:
                role = world_run(w, CAM, NULL);
                break;
        case RECOVER_ASKED:
                role = world_run(w, CAM, NULL);
                stop(w, false);
                break;
        case RECOVER_KILLED:
                role = world_run(w, CAM, NULL);
                stop(w, true);
                break;
        case RECOVER_OUTLIVED: {
                RoleSpec *spec = test_spec();

                spec->exit_type = EXIT_TYPE_CGROUP;
                role = world_run(w, CAM, spec);
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 5);
                break;
        }
        case RECOVER_UNSWEPT:
                role = world_run(w, CAM, NULL);
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
                break;
        case RECOVER_ENDED:
                role = world_run_and_exit(w, CAM, NULL);
                break;
        default:
                fail();
                return NULL;
        }
        assert_string_equal(
                recover_state_to_string(role_recover_state(role)), recover_state_to_string(state));
        return role;
}

/* -- the next life ---------------------------------------------------------------------------- */

static Role *parse(TestWorld *w, const char *name, const char *text) {
        Role *role = NULL;

        assert_return_code(role_state_parse(w->node, name, text, &role), 0);
        assert_non_null(role);
        return role;
}

/* The service ends, and the next process has what this one has saved. */
static Role *restart(TestWorld *w) {
        Role *role = world_find(w, CAM), *predecessor = role->predecessor, *awaited = world_find(w, AWAITED);
        g_autofree char *text = role_state_format(role),
                        *awaited_text = awaited ? role_state_format(awaited) : NULL,
                        *predecessor_text = predecessor ? role_state_format(predecessor) : NULL;
        bool populated = g_hash_table_contains(w->populated, role),
             predecessor_populated = predecessor && g_hash_table_contains(w->populated, predecessor);

        g_hash_table_remove_all(w->populated);
        g_hash_table_remove_all(w->scopes);
        w->connected = false;
        world_new_node(w, NULL);
        role = parse(w, CAM, text);
        if (populated)
                (void) g_hash_table_add(w->populated, role);
        if (predecessor_text) {
                role->predecessor = predecessor = parse(w, CAM, predecessor_text);
                predecessor->successor = role;
                if (predecessor_populated)
                        (void) g_hash_table_add(w->populated, predecessor);
        }
        node_add_role(w->node, role);
        w->node->next_child = MAX(role->child, predecessor ? predecessor->child : 0) + 1;
        if (awaited_text) {
                node_add_role(w->node, parse(w, AWAITED, awaited_text));
                node_child_seen(w->node, world_find(w, AWAITED)->child);
        }
        return role;
}

static Role *next_life(TestWorld *w, Life life) {
        if (life != LIFE_RECONNECT) {
                Role *role = restart(w);

                told_clear(&start_told);
                told_clear(&stop_told);
                return role;
        }
        w->connected = false;
        node_on_keeper_lost(w->node);
        return world_find(w, CAM);
}

/* -- what the keeper reports ------------------------------------------------------------------ */

/* Role: NULL, there is none of the name any more. */
static void list_child(TestWorld *w, Role *role, uint64_t child, ChildReport report) {
        bool at_its_gate =
                report == CHILD_STARTING || (role && role->state == ROLE_STARTING && report != CHILD_RUNNING);
        ListedChild listed = {
                .child = child,
                .role = CAM,
                .report = report == CHILD_ORPHAN ? CHILD_RUNNING : report,
                .orphan = report == CHILD_ORPHAN,
                .pid = at_its_gate ? at_gate : getpid(),
                .start_time = at_its_gate ? at_gate_time : start_time_of(getpid()),
                .execed = !at_its_gate,
                .exit = report == CHILD_ENDED ? test_exit(EXIT_CODE_EXITED, 7)
                                              : (RoleExit){ .code = EXIT_CODE_LOST, .status = -1 },
                .pidfd = some_fd(),
                .gate_fd = at_its_gate ? some_fd() : -EBADF,
                .stdin_fd = some_fd(),
                .terminal_fd = some_fd(),
        };

        /* Nobody is left in the cgroup of one that has ended. */
        if (role && (report == CHILD_ENDED || report == CHILD_UNKNOWN))
                (void) g_hash_table_remove(w->populated, role);
        (void) g_hash_table_add(w->children, GUINT_TO_POINTER((guint) child));
        node_on_child(w->node, &listed);
        assert_true(listed.pidfd < 0 && listed.gate_fd < 0 && listed.stdin_fd < 0 && listed.terminal_fd < 0);
}

/* The number that the child of the role has. A start that has not asked for one cannot have a child; decided
 * it is all the same. */
static uint64_t child_of(TestWorld *w, Role *role, ChildReport report) {
        if (role->child == 0 && report != CHILD_NONE)
                role->child = w->node->next_child++;
        return role->child;
}

/* The keeper lists its children: this one, if any. */
static void connect_keeper(TestWorld *w, uint64_t child, ChildReport report) {
        g_hash_table_remove_all(w->children);
        if (report != CHILD_NONE)
                list_child(w, world_find(w, CAM), child, report);
        w->connected = true;
        node_on_keeper(w->node, NULL, 0);

        /* What it was to forget it has no more, and one that nobody knows leaves its gate by itself. */
        Role *role = world_find(w, CAM);
        if (strstr(w->calls->str, "forget-child(") || !role || role->child != child)
                (void) g_hash_table_remove(w->children, GUINT_TO_POINTER((guint) child));
}

/* -- and what follows ------------------------------------------------------------------------- */

static void append_told(GString *s, const char *what, const Told *told) {
        assert_true(told->n <= 1);
        if (told->n > 0)
                g_string_append_printf(s, " %s:%s", what,
                        told->failed ? strrchr(node_error_to_string(told->error), '.') + 1 : "done");
}

/* "calls | state timer told": the timer is the one after which SIGKILL is sent. */
static char *cell_effect(TestWorld *w) {
        GString *s = g_string_new(w->calls->str);
        const Role *role = world_find(w, CAM);

        g_string_append(s, " | ");
        if (!role)
                g_string_append(s, "gone");
        else if (role->state == ROLE_STARTING)
                g_string_append_printf(s, "%s%s", role_phase_to_string(role->phase),
                        role->failure.message ? " undoing" : "");
        else if (role->state == ROLE_ENDED) {
                g_autofree char *poll = role_poll(role);

                g_string_append_printf(s, "%s%s", poll, role->swept ? "" : " unswept");
        } else
                g_string_append(s, role_state_to_string(role->state));
        if (role && role->timer)
                g_string_append(s, " timer");
        append_told(s, "start", &start_told);
        append_told(s, "stop", &stop_told);
        g_string_set_size(w->calls, 0);
        return g_string_free(s, false);
}

/* Answers for keeper, systemd and kernel until nothing is open; asks for nothing. Without a keeper a death is
 * seen by the pidfd. */
static void answer_all(TestWorld *w) {
        for (unsigned i = 0; i < 20; i++) {
                Role *role = world_find(w, CAM);

                if (!role)
                        return;
                if (role->predecessor && !role->predecessor->swept) {
                        world_emptied(w, role->predecessor);
                        continue;
                }
                if (role->state == ROLE_ENDED) {
                        if (role->swept)
                                return;
                        world_emptied(w, role);
                } else if (role->state == ROLE_STARTING) {
                        if (w->connected && role->phase == ROLE_PHASE_FORK && role->child != 0 &&
                                !role->child_exists)
                                world_fork_failed(w, role, -EAGAIN);
                        else if (role->child_exists && !role->main_exited)
                                world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
                        else if (role->gate_fd >= 0 && role->main_exited && !role->failure.message)
                                role_on_gate_closed(role);
                        else if (role->scope_pending)
                                world_scope_removed(w, role);
                        else if (g_hash_table_contains(w->populated, role))
                                world_emptied(w, role);
                        else
                                return;
                } else if (role_has_outlived_main(role) && role->state == ROLE_STOPPING)
                        world_emptied(w, role);
                else if (role->state == ROLE_STOPPING)
                        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
                else
                        return;
        }
        fail_msg("it never ends");
}

/* Nothing hangs: a stop that is asked for now ends whatever the role does, and who waits is told once. */
static void check_stop_ends_it(TestWorld *w) {
        Role *role = world_find(w, CAM);
        g_auto(Told) told = {};

        if (role)
                node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&told));
        answer_all(w);
        if (role)
                assert_told_success(&told);
        role = world_find(w, CAM);
        if (role)
                assert_true(role->state == ROLE_ENDED && role->swept);
        assert_int_equal(w->node->n_starts, 0);
        assert_int_equal(w->node->n_not_ended, 0);
        assert_int_equal(w->node->n_awaited, 0);
        assert_true(g_queue_is_empty(w->node->start_queue));
        if (w->connected)
                assert_int_equal(g_hash_table_size(w->children), 0);
}

/* One world for each. */
static void in_world(void (*test)(TestWorld *w, const Cell *cell, Life life), const Cell *cell, Life life) {
        void *state = NULL;

        assert_int_equal(test_world_setup(&state), 0);
        node_on_keeper(((TestWorld *) state)->node, NULL, 0);
        test(state, cell, life);
        told_clear(&start_told);
        told_clear(&stop_told);
        assert_int_equal(test_world_teardown(&state), 0);
}

static const Cell cells[] = {
        { RECOVER_DEPENDENCIES, CHILD_NONE, RECOVER_REQUEUE,
                { "resync() | dependencies", " | dependencies", " | dependencies" } },
        { RECOVER_DEPENDENCIES, CHILD_STARTING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | dependencies undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | dependencies undoing timer",
                        " | dependencies" } },
        { RECOVER_DEPENDENCIES, CHILD_RUNNING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | dependencies undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | dependencies undoing timer",
                        " | dependencies" } },
        { RECOVER_DEPENDENCIES, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | dependencies undoing",
                        "adopt(cam) reap(cam) remove(cam) | dependencies undoing",
                        "forget-child(2) | dependencies" } },
        { RECOVER_DEPENDENCIES, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | dependencies undoing",
                        "adopt(cam) reap(cam) remove(cam) | dependencies undoing",
                        "forget-child(2) | dependencies" } },
        { RECOVER_DEPENDENCIES, CHILD_ORPHAN, RECOVER_FORGET,
                { "forget-child(2) resync() | dependencies", "forget-child(2) | dependencies",
                        " | dependencies" } },
        { RECOVER_QUEUED, CHILD_NONE, RECOVER_REQUEUE,
                { "resync() save(cam) fork(cam) | fork timer", "fork(cam) | fork timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_QUEUED, CHILD_STARTING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | queued undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | queued undoing timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_QUEUED, CHILD_RUNNING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | queued undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | queued undoing timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_QUEUED, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | queued undoing",
                        "adopt(cam) reap(cam) remove(cam) | queued undoing",
                        "forget-child(1) save(cam) fork(cam) | fork timer" } },
        { RECOVER_QUEUED, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | queued undoing",
                        "adopt(cam) reap(cam) remove(cam) | queued undoing",
                        "forget-child(1) save(cam) fork(cam) | fork timer" } },
        { RECOVER_QUEUED, CHILD_ORPHAN, RECOVER_FORGET,
                { "forget-child(1) resync() save(cam) fork(cam) | fork timer",
                        "forget-child(1) fork(cam) | fork timer", "save(cam) fork(cam) | fork timer" } },
        { RECOVER_SWEEP, CHILD_NONE, RECOVER_REQUEUE,
                { "resync() watch(cam) | sweep", " | sweep", " | sweep" } },
        { RECOVER_SWEEP, CHILD_STARTING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() watch(cam) | sweep undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | sweep undoing timer",
                        " | sweep" } },
        { RECOVER_SWEEP, CHILD_RUNNING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() watch(cam) | sweep undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | sweep undoing timer",
                        " | sweep" } },
        { RECOVER_SWEEP, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) reap(cam) bring-back(cam) resync() watch(cam) | exit 0 unswept timer",
                        "adopt(cam) reap(cam) bring-back(cam) | exit 0 unswept timer start:SetupFailed",
                        "forget-child(2) | sweep" } },
        { RECOVER_SWEEP, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) reap(cam) bring-back(cam) resync() watch(cam) | exit 0 unswept timer",
                        "adopt(cam) reap(cam) bring-back(cam) | exit 0 unswept timer start:SetupFailed",
                        "forget-child(2) | sweep" } },
        { RECOVER_SWEEP, CHILD_ORPHAN, RECOVER_FORGET,
                { "forget-child(2) resync() watch(cam) | sweep", "forget-child(2) | sweep", " | sweep" } },
        { RECOVER_FORK, CHILD_NONE, RECOVER_REQUEUE,
                { "resync() save(cam) fork(cam) | fork timer", "save(cam) fork(cam) | fork timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_FORK, CHILD_STARTING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | fork undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | fork undoing timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_FORK, CHILD_RUNNING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | fork undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | fork undoing timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_FORK, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | fork undoing",
                        "adopt(cam) reap(cam) remove(cam) | fork undoing",
                        "forget-child(1) save(cam) fork(cam) | fork timer" } },
        { RECOVER_FORK, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | fork undoing",
                        "adopt(cam) reap(cam) remove(cam) | fork undoing",
                        "forget-child(1) save(cam) fork(cam) | fork timer" } },
        { RECOVER_FORK, CHILD_ORPHAN, RECOVER_FORGET,
                { "forget-child(1) resync() save(cam) fork(cam) | fork timer",
                        "forget-child(1) save(cam) fork(cam) | fork timer",
                        "save(cam) fork(cam) | fork timer" } },
        { RECOVER_SCOPE, CHILD_NONE, RECOVER_LOST,
                { "watch-main(cam) remove(cam) resync() | scope undoing", "watch-main(cam) | scope timer",
                        "watch-main(cam) remove(cam) | scope undoing" } },
        { RECOVER_SCOPE, CHILD_STARTING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | scope undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | scope undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | scope undoing timer" } },
        { RECOVER_SCOPE, CHILD_RUNNING, RECOVER_UNDO,
                { "adopt(cam) signal-lost(cam,9) signal-main(cam,9) resync() | scope undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | scope undoing timer",
                        "adopt(cam) signal-lost(cam,9) signal-main(cam,9) | scope undoing timer" } },
        { RECOVER_SCOPE, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | scope undoing", "adopt(cam) | scope undoing",
                        "adopt(cam) reap(cam) remove(cam) | scope undoing" } },
        { RECOVER_SCOPE, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) reap(cam) remove(cam) resync() | scope undoing", "adopt(cam) | scope undoing",
                        "adopt(cam) reap(cam) remove(cam) | scope undoing" } },
        { RECOVER_SCOPE, CHILD_ORPHAN, RECOVER_FORGET,
                { "forget-child(1) watch-main(cam) remove(cam) resync() | scope undoing",
                        "forget-child(1) watch-main(cam) | scope timer",
                        "forget-child(1) watch-main(cam) remove(cam) | scope undoing" } },
        { RECOVER_OPEN, CHILD_NONE, RECOVER_LOST,
                { "watch-main(cam) signal-cgroup(cam,9,each) watch(cam) resync() | open undoing timer",
                        "watch-main(cam) | open timer",
                        "watch-main(cam) signal-cgroup(cam,9,each) watch(cam) | open undoing timer" } },
        { RECOVER_OPEN, CHILD_STARTING, RECOVER_GATE,
                { "adopt(cam) watch-gate(cam) resync() | open timer",
                        "adopt(cam) watch-gate(cam) | open timer",
                        "adopt(cam) watch-gate(cam) | open timer" } },
        { RECOVER_OPEN, CHILD_RUNNING, RECOVER_GATE,
                { "adopt(cam) save(cam) started(cam) resync() | running",
                        "adopt(cam) save(cam) started(cam) | running start:done",
                        "adopt(cam) save(cam) started(cam) | running" } },
        { RECOVER_OPEN, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) watch-gate(cam) resync() | open", "adopt(cam) watch-gate(cam) | open timer",
                        "adopt(cam) watch-gate(cam) | open" } },
        { RECOVER_OPEN, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) watch-gate(cam) resync() | open", "adopt(cam) watch-gate(cam) | open timer",
                        "adopt(cam) watch-gate(cam) | open" } },
        { RECOVER_OPEN, CHILD_ORPHAN, RECOVER_FORGET,
                { "forget-child(1) watch-main(cam) signal-cgroup(cam,9,each) watch(cam) resync() | open undoing timer",
                        "forget-child(1) watch-main(cam) | open timer",
                        "forget-child(1) watch-main(cam) signal-cgroup(cam,9,each) watch(cam) | open undoing timer" } },
        { RECOVER_UNDOING, CHILD_NONE, RECOVER_UNDO,
                { NULL, "signal-cgroup(cam,9,each) watch(cam) | open undoing timer", NULL } },
        { RECOVER_UNDOING, CHILD_STARTING, RECOVER_KILL,
                { NULL, "adopt(cam) signal-main(cam,9) | open undoing timer", NULL } },
        { RECOVER_UNDOING, CHILD_RUNNING, RECOVER_KILL,
                { NULL, "adopt(cam) signal-main(cam,9) | open undoing timer", NULL } },
        { RECOVER_UNDOING, CHILD_ENDED, RECOVER_EXIT,
                { NULL, "adopt(cam) watch-gate(cam) reap(cam) remove(cam) | open undoing", NULL } },
        { RECOVER_UNDOING, CHILD_UNKNOWN, RECOVER_EXIT,
                { NULL, "adopt(cam) watch-gate(cam) reap(cam) remove(cam) | open undoing", NULL } },
        { RECOVER_UNDOING, CHILD_ORPHAN, RECOVER_FORGET,
                { NULL, "forget-child(1) signal-cgroup(cam,9,each) watch(cam) | open undoing timer", NULL } },
        { RECOVER_RUNNING, CHILD_NONE, RECOVER_WATCH,
                { "watch-main(cam) resync() | running", "watch-main(cam) | running",
                        "watch-main(cam) | running" } },
        { RECOVER_RUNNING, CHILD_STARTING, RECOVER_ADOPT,
                { "adopt(cam) resync() | running", "adopt(cam) | running", "adopt(cam) | running" } },
        { RECOVER_RUNNING, CHILD_RUNNING, RECOVER_ADOPT,
                { "adopt(cam) resync() | running", "adopt(cam) | running", "adopt(cam) | running" } },
        { RECOVER_RUNNING, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) exited(cam) save(cam) reap(cam) resync() | exit 7",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit 7",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit 7" } },
        { RECOVER_RUNNING, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) exited(cam) save(cam) reap(cam) resync() | exit unknown",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit unknown",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit unknown" } },
        { RECOVER_RUNNING, CHILD_ORPHAN, RECOVER_ADOPT,
                { "adopt(cam) resync() | running", "adopt(cam) | running", "adopt(cam) | running" } },
        { RECOVER_ASKED, CHILD_NONE, RECOVER_WATCH,
                { "watch-main(cam) resync() | stopping timer", "watch-main(cam) | stopping timer",
                        "watch-main(cam) | stopping timer" } },
        { RECOVER_ASKED, CHILD_STARTING, RECOVER_ADOPT,
                { "adopt(cam) close-stdin(cam) resync() | stopping timer",
                        "adopt(cam) close-stdin(cam) | stopping timer",
                        "adopt(cam) close-stdin(cam) | stopping timer" } },
        { RECOVER_ASKED, CHILD_RUNNING, RECOVER_ADOPT,
                { "adopt(cam) close-stdin(cam) resync() | stopping timer",
                        "adopt(cam) close-stdin(cam) | stopping timer",
                        "adopt(cam) close-stdin(cam) | stopping timer" } },
        { RECOVER_ASKED, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) exited(cam) save(cam) reap(cam) resync() | exit 7",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit 7 stop:done",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit 7" } },
        { RECOVER_ASKED, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) exited(cam) save(cam) reap(cam) resync() | exit unknown",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit unknown stop:done",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit unknown" } },
        { RECOVER_ASKED, CHILD_ORPHAN, RECOVER_ADOPT,
                { "adopt(cam) close-stdin(cam) resync() | stopping timer",
                        "adopt(cam) close-stdin(cam) | stopping timer",
                        "adopt(cam) close-stdin(cam) | stopping timer" } },
        { RECOVER_KILLED, CHILD_NONE, RECOVER_WATCH,
                { "watch-main(cam) resync() save(cam) signal-cgroup(cam,9) | stopping timer",
                        "watch-main(cam) | stopping timer", "watch-main(cam) | stopping timer" } },
        { RECOVER_KILLED, CHILD_STARTING, RECOVER_ADOPT,
                { "adopt(cam) resync() save(cam) signal-cgroup(cam,9) | stopping timer",
                        "adopt(cam) | stopping timer", "adopt(cam) | stopping timer" } },
        { RECOVER_KILLED, CHILD_RUNNING, RECOVER_ADOPT,
                { "adopt(cam) resync() save(cam) signal-cgroup(cam,9) | stopping timer",
                        "adopt(cam) | stopping timer", "adopt(cam) | stopping timer" } },
        { RECOVER_KILLED, CHILD_ENDED, RECOVER_EXIT,
                { "adopt(cam) exited(cam) save(cam) reap(cam) resync() | exit 7",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit 7 stop:done",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit 7" } },
        { RECOVER_KILLED, CHILD_UNKNOWN, RECOVER_EXIT,
                { "adopt(cam) exited(cam) save(cam) reap(cam) resync() | exit unknown",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit unknown stop:done",
                        "adopt(cam) exited(cam) save(cam) reap(cam) | exit unknown" } },
        { RECOVER_KILLED, CHILD_ORPHAN, RECOVER_ADOPT,
                { "adopt(cam) resync() save(cam) signal-cgroup(cam,9) | stopping timer",
                        "adopt(cam) | stopping timer", "adopt(cam) | stopping timer" } },
        { RECOVER_OUTLIVED, CHILD_NONE, RECOVER_NOTHING,
                { "resync() watch(cam) | running", " | running", " | running" } },
        { RECOVER_OUTLIVED, CHILD_STARTING, RECOVER_ADOPT,
                { "adopt(cam) resync() watch(cam) | running", "adopt(cam) | running",
                        "adopt(cam) | running" } },
        { RECOVER_OUTLIVED, CHILD_RUNNING, RECOVER_ADOPT,
                { "adopt(cam) resync() watch(cam) | running", "adopt(cam) | running",
                        "adopt(cam) | running" } },
        { RECOVER_OUTLIVED, CHILD_ENDED, RECOVER_ADOPT,
                { "adopt(cam) resync() exited(cam) save(cam) reap(cam) | exit 5", "adopt(cam) | running",
                        "adopt(cam) | running" } },
        { RECOVER_OUTLIVED, CHILD_UNKNOWN, RECOVER_ADOPT,
                { "adopt(cam) resync() exited(cam) save(cam) reap(cam) | exit 5", "adopt(cam) | running",
                        "adopt(cam) | running" } },
        { RECOVER_OUTLIVED, CHILD_ORPHAN, RECOVER_ADOPT,
                { "adopt(cam) resync() watch(cam) | running", "adopt(cam) | running",
                        "adopt(cam) | running" } },
        { RECOVER_UNSWEPT, CHILD_NONE, RECOVER_NOTHING,
                { "resync() watch(cam) | exit 0 unswept timer", " | exit 0 unswept timer",
                        " | exit 0 unswept timer" } },
        { RECOVER_UNSWEPT, CHILD_STARTING, RECOVER_REAP,
                { "reap(cam) resync() watch(cam) | exit 0 unswept timer", "reap(cam) | exit 0 unswept timer",
                        "reap(cam) | exit 0 unswept timer" } },
        { RECOVER_UNSWEPT, CHILD_RUNNING, RECOVER_REAP,
                { "reap(cam) resync() watch(cam) | exit 0 unswept timer", "reap(cam) | exit 0 unswept timer",
                        "reap(cam) | exit 0 unswept timer" } },
        { RECOVER_UNSWEPT, CHILD_ENDED, RECOVER_REAP,
                { "reap(cam) resync() save(cam) | exit 0", "reap(cam) | exit 0 unswept timer",
                        "reap(cam) | exit 0 unswept timer" } },
        { RECOVER_UNSWEPT, CHILD_UNKNOWN, RECOVER_REAP,
                { "reap(cam) resync() save(cam) | exit 0", "reap(cam) | exit 0 unswept timer",
                        "reap(cam) | exit 0 unswept timer" } },
        { RECOVER_UNSWEPT, CHILD_ORPHAN, RECOVER_REAP,
                { "reap(cam) resync() watch(cam) | exit 0 unswept timer", "reap(cam) | exit 0 unswept timer",
                        "reap(cam) | exit 0 unswept timer" } },
        { RECOVER_ENDED, CHILD_NONE, RECOVER_NOTHING, { "resync() | exit 0", " | exit 0", " | exit 0" } },
        { RECOVER_ENDED, CHILD_STARTING, RECOVER_REAP,
                { "reap(cam) resync() | exit 0", "reap(cam) | exit 0", "reap(cam) | exit 0" } },
        { RECOVER_ENDED, CHILD_RUNNING, RECOVER_REAP,
                { "reap(cam) resync() | exit 0", "reap(cam) | exit 0", "reap(cam) | exit 0" } },
        { RECOVER_ENDED, CHILD_ENDED, RECOVER_REAP,
                { "reap(cam) resync() | exit 0", "reap(cam) | exit 0", "reap(cam) | exit 0" } },
        { RECOVER_ENDED, CHILD_UNKNOWN, RECOVER_REAP,
                { "reap(cam) resync() | exit 0", "reap(cam) | exit 0", "reap(cam) | exit 0" } },
        { RECOVER_ENDED, CHILD_ORPHAN, RECOVER_REAP,
                { "reap(cam) resync() | exit 0", "reap(cam) | exit 0", "reap(cam) | exit 0" } },
};

/* What is done when the keeper has not answered in time. */
static const char *const late_effects[_RECOVER_STATE_MAX] = {
        [RECOVER_DEPENDENCIES] = "resync() | queued",
        [RECOVER_QUEUED] = "resync() | queued",
        [RECOVER_SWEEP] = "resync() watch(cam) | queued",
        [RECOVER_FORK] = "resync() | queued",
        [RECOVER_SCOPE] = "resync() | scope",
        [RECOVER_OPEN] = "resync() | open",
        [RECOVER_RUNNING] = "watch-main(cam) resync() | running",
        [RECOVER_ASKED] = "watch-main(cam) resync() | stopping timer",
        [RECOVER_KILLED] = "watch-main(cam) resync() save(cam) freeze-and-kill(cam) | stopping timer",
        [RECOVER_OUTLIVED] = "resync() watch(cam) | running",
        [RECOVER_UNSWEPT] = "resync() watch(cam) | exit 0 unswept timer",
        [RECOVER_ENDED] = "resync() | exit 0",
};

static void begin_cell(TestWorld *w, const Cell *cell, Life life, uint64_t *ret_child) {
        (void) reach(w, cell->state);
        Role *role = next_life(w, life);
        *ret_child = child_of(w, role, cell->report);
        if (life == LIFE_LATE)
                node_on_keeper_late(w->node);
        forget_calls(w);
}

static void run_cell(TestWorld *w, const Cell *cell, Life life) {
        uint64_t child;

        begin_cell(w, cell, life, &child);
        connect_keeper(w, child, cell->report);
        g_autofree char *effect = cell_effect(w);
        if (!g_str_equal(effect, cell->effect[life]))
                fail_msg("%s, and the keeper reports %s (life %u): \"%s\", not \"%s\"",
                        recover_state_to_string(cell->state), child_report_to_string(cell->report), life,
                        effect, cell->effect[life]);
        assert_int_equal(w->n_recovered, life == LIFE_RECONNECT ? 2 : 4); /* clients and service, once each */
        check_stop_ends_it(w);
}

static void each_cell(void (*test)(TestWorld *w, const Cell *cell, Life life), Life life) {
        for (size_t i = 0; i < ELEMENTSOF(cells); i++)
                if (cells[i].effect[life])
                        in_world(test, &cells[i], life);
}

static void test_decisions(void **state) {
        bool seen[_RECOVER_STATE_MAX][_CHILD_REPORT_MAX] = {};

        for (size_t i = 0; i < ELEMENTSOF(cells); i++) {
                const Cell *cell = &cells[i];
                RecoverAction action = role_recover_decide(cell->state, cell->report);

                assert_false(seen[cell->state][cell->report]);
                seen[cell->state][cell->report] = true;
                if (action != cell->action)
                        fail_msg("%s, and the keeper reports %s: %s, not %s",
                                recover_state_to_string(cell->state), child_report_to_string(cell->report),
                                recover_action_to_string(action), recover_action_to_string(cell->action));
        }
        /* test-node-hooks.c has the others. */
        for (RecoverState s = 0; s < RECOVER_POST; s++)
                for (ChildReport r = 0; r < _CHILD_REPORT_MAX; r++)
                        assert_true(seen[s][r]);
}

static void test_restart(void **state) {
        each_cell(run_cell, LIFE_RESTART);
}

static void test_reconnect(void **state) {
        each_cell(run_cell, LIFE_RECONNECT);
}

static void test_late(void **state) {
        each_cell(run_cell, LIFE_LATE);
}

/* -- a shutdown under way --------------------------------------------------------------------- */

/* The process before us had begun it. Nobody asks for a stop, and the service ends with success. */
static void run_shutdown(TestWorld *w, const Cell *cell, Life life) {
        uint64_t child;

        (void) reach(w, cell->state);
        Role *role = next_life(w, life);
        child = child_of(w, role, cell->report);
        w->node->resumed.reason = g_strdup("a storm");
        if (life == LIFE_LATE) {
                node_on_keeper_late(w->node);
                assert_true(w->node->stopping);
        }
        connect_keeper(w, child, cell->report);
        assert_contains(w->calls->str, "shutting-down(a storm)");
        answer_all(w);
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
        role = world_find(w, CAM);
        if (role)
                assert_true(role->state == ROLE_ENDED && role->swept);
        assert_int_equal(w->node->n_starts, 0);
        assert_int_equal(w->node->n_awaited, 0);
        assert_int_equal(g_hash_table_size(w->children), 0);
}

static void test_shutdown(void **state) {
        each_cell(run_shutdown, LIFE_RESTART);
        each_cell(run_shutdown, LIFE_LATE);
}

/* -- without a keeper ------------------------------------------------------------------------- */

static void run_late(TestWorld *w, const Cell *cell, Life life) {
        (void) reach(w, cell->state);
        (void) next_life(w, life);
        forget_calls(w);
        node_on_keeper_late(w->node);
        g_autofree char *effect = cell_effect(w);
        assert_string_equal(effect, late_effects[cell->state]);
        assert_int_equal(w->n_recovered, 4);
        check_stop_ends_it(w);
}

/* The keeper does not come at all: a stop ends, and so does a shutdown. */
static void run_never(TestWorld *w, const Cell *cell, Life life) {
        (void) reach(w, cell->state);
        (void) next_life(w, life);
        w->node->resumed.reason = g_strdup("a storm");
        node_on_keeper_late(w->node);
        answer_all(w);
        assert_false(w->connected);
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
}

static void test_never(void **state) {
        /* test-node-hooks.c has the others. */
        for (RecoverState s = 0; s < RECOVER_POST; s++) {
                const Cell cell = { .state = s };

                if (!late_effects[s])
                        continue;
                in_world(run_late, &cell, LIFE_RESTART);
                in_world(run_never, &cell, LIFE_RESTART);
        }
}

/* -- what the cells do not distinguish -------------------------------------------------------- */

/* The main process is dead, and there is no parent that could report how it ended. */
static void test_dead(void **state) {
        static const struct {
                RecoverState state;
                const char *effect, *late;
        } all[] = {
                { RECOVER_SCOPE, "remove(cam) resync() | scope undoing", "resync() | scope" },
                { RECOVER_OPEN, "signal-cgroup(cam,9,each) watch(cam) resync() | open undoing timer",
                        "resync() | open" },
                { RECOVER_RUNNING,
                        "exited(cam) watch(cam) save(cam) signal-cgroup(cam,15,continue) resync() watch(cam) | exit unknown unswept timer",
                        "resync() | running" },
                { RECOVER_ASKED,
                        "exited(cam) watch(cam) save(cam) resync() watch(cam) | exit unknown unswept timer",
                        "resync() | stopping timer" },
                { RECOVER_KILLED,
                        "exited(cam) watch(cam) save(cam) resync() save(cam) signal-cgroup(cam,9) watch(cam) | exit unknown unswept timer",
                        "resync() save(cam) freeze-and-kill(cam) | stopping timer" },
        };

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                for (unsigned late = 0; late < 2; late++) {
                        void *world = NULL;

                        assert_int_equal(test_world_setup(&world), 0);
                        TestWorld *w = world;
                        Role *role = reach(w, all[i].state);
                        role->main_pid = dead;
                        role->main_start_time = dead_time;
                        (void) next_life(w, LIFE_RESTART);
                        forget_calls(w);
                        /* A keeper that is late may know how it ended. */
                        if (late)
                                node_on_keeper_late(w->node);
                        else
                                connect_keeper(w, 0, CHILD_NONE);
                        g_autofree char *effect = cell_effect(w);
                        assert_string_equal(effect, late ? all[i].late : all[i].effect);
                        if (!late)
                                check_stop_ends_it(w);
                        told_clear(&start_told);
                        told_clear(&stop_told);
                        assert_int_equal(test_world_teardown(&world), 0);
                }
}

/* A signal that Signal has sent ends the role when the node that sent it is gone. */
static void test_signalled(void **state) {
        static const struct {
                int status;
                RoleCause cause;
        } all[] = { { SIGUSR1, ROLE_CAUSE_KILL }, { SIGKILL, ROLE_CAUSE_EXTERNAL } };
        const Caller caller = { .known = true, .uid = 5, .pid = 6, .unit = (char *) "a.service" };

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                void *world = NULL;

                assert_int_equal(test_world_setup(&world), 0);
                TestWorld *w = world;
                Role *role = reach(w, RECOVER_RUNNING);
                assert_return_code(
                        node_signal_role(w->node, role, false, SIGUSR1, &caller, (Waiter){}, NULL), 0);
                role = next_life(w, LIFE_RESTART);
                connect_keeper(w, role->child, CHILD_RUNNING);
                world_exit(w, role, EXIT_CODE_KILLED, all[i].status);
                role = world_find(w, CAM);
                assert_string_equal(role_cause_to_string(role->cause), role_cause_to_string(all[i].cause));
                assert_int_equal(role->cause_caller.known, all[i].cause == ROLE_CAUSE_KILL);
                if (role->cause_caller.known) {
                        assert_int_equal(role->cause_caller.uid, 5);
                        assert_int_equal(role->cause_caller.pid, 6);
                        assert_string_equal(role->cause_caller.unit, "a.service");
                }
                assert_int_equal(test_world_teardown(&world), 0);
        }
}

/* Its pid is another's by now: that one is not watched. */
static void test_other_process(void **state) {
        TestWorld *w = *state;

        Role *role = reach(w, RECOVER_RUNNING);
        role->main_start_time++;
        role = next_life(w, LIFE_RESTART);
        connect_keeper(w, 0, CHILD_NONE);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->exit.code, EXIT_CODE_LOST);
        assert_int_equal(role->cause, ROLE_CAUSE_EXTERNAL);
}

/* The keeper is gone, and the command runs: the kernel says so, and the start has succeeded. */
static void test_lost_but_runs(void **state) {
        TestWorld *w = *state;

        Role *role = reach(w, RECOVER_OPEN);
        role->main_pid = getpid();
        role->main_start_time = start_time_of(getpid());
        role = next_life(w, LIFE_RESTART);
        forget_calls(w);
        connect_keeper(w, 0, CHILD_NONE);
        expect_calls(w, "watch-main(cam) save(cam) started(cam) resync()");
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(w->node->n_starts, 0);
        check_stop_ends_it(w);
}

/* What is undone is undone whatever the keeper has of it, and the first failure is the one that is told.
 * SIGKILL that was lost with the connection is sent again, as soon as something can be asked of the keeper.
 * */
static void test_undoing(void **state) {
        static const struct {
                RolePhase phase;
                ChildReport report;
                const char *effect;
        } all[] = {
                { ROLE_PHASE_FORK, CHILD_NONE,
                        "forget(cam) removed(cam) | gone start:StartCancelled stop:done" },
                { ROLE_PHASE_FORK, CHILD_STARTING, "adopt(cam) signal-main(cam,9) | fork undoing timer" },
                { ROLE_PHASE_FORK, CHILD_ENDED, "adopt(cam) reap(cam) remove(cam) | fork undoing" },
                { ROLE_PHASE_SCOPE, CHILD_NONE, " | scope undoing timer" }, /* systemd has not answered yet */
                { ROLE_PHASE_SCOPE, CHILD_STARTING, "adopt(cam) signal-main(cam,9) | scope undoing timer" },
                { ROLE_PHASE_SCOPE, CHILD_ENDED, "adopt(cam) | scope undoing timer" },
                { ROLE_PHASE_OPEN, CHILD_NONE, "signal-cgroup(cam,9,each) watch(cam) | open undoing timer" },
                { ROLE_PHASE_OPEN, CHILD_RUNNING, "adopt(cam) signal-main(cam,9) | open undoing timer" },
        };

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                void *world = NULL;

                assert_int_equal(test_world_setup(&world), 0);
                TestWorld *w = world;
                node_on_keeper(w->node, NULL, 0); /* not recovered for the first time below */
                told_clear(&start_told);
                told_clear(&stop_told);
                Role *role = start_until(w, all[i].phase);
                stop(w, false);
                (void) next_life(w, LIFE_RECONNECT);
                uint64_t child = role->child;
                forget_calls(w);
                connect_keeper(w, child, all[i].report);
                g_autofree char *effect = cell_effect(w);
                assert_string_equal(effect, all[i].effect);
                answer_all(w);
                assert_told_fault(&start_told, NODE_ERROR_START_CANCELLED, "cancelled by Stop");
                assert_told_success(&stop_told);
                assert_nothing_left(w, CAM);
                told_clear(&start_told);
                told_clear(&stop_told);
                assert_int_equal(test_world_teardown(&world), 0);
        }
}

/* A product set-up that has had SIGTERM has its moment, also over a reconnection. */
static void test_undoing_setup(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->product = g_strdup("cfitsio");
        Role *role = world_start(w, CAM, spec, &start_told);
        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        stop(w, false);
        (void) next_life(w, LIFE_RECONNECT);
        forget_calls(w);
        connect_keeper(w, role->child, CHILD_RUNNING);
        assert_null(strstr(w->calls->str, "signal-main"));
        /* And no more than that. */
        world_wait(w, strstr(w->calls->str, "signal-main(cam,9)"));
        answer_all(w);
        assert_nothing_left(w, CAM);
        told_clear(&start_told);
        told_clear(&stop_told);
}

/* Two lists in one process: the first connection is lost before its list is complete. What it had listed is
 * not taken for what the next keeper has, and what it had not listed yet is not taken for dead. */
static void test_half_a_list(void **state) {
        TestWorld *w = *state;

        (void) reach(w, RECOVER_RUNNING);
        Role *role = next_life(w, LIFE_RESTART);
        list_child(w, role, role->child, CHILD_RUNNING);
        assert_true(role->child_exists);
        node_on_keeper_lost(w->node);
        assert_false(role->child_exists);
        forget_calls(w);
        connect_keeper(w, 0, CHILD_NONE);
        expect_calls(w, "watch-main(cam) resync()");
        check_stop_ends_it(w);
}

/* A stop between the two: a keeper that still lists cannot be asked to signal the main process, so all are
 * signalled. */
static void test_stop_while_listed(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->stop_to = STOP_TO_MAIN;
        Role *role = world_run(w, CAM, spec);
        (void) next_life(w, LIFE_RECONNECT);
        list_child(w, role, role->child, CHILD_RUNNING);
        forget_calls(w);
        stop(w, false);
        expect_calls(w, "save(cam) signal-all(cam,15) signal-all(cam,18) close-lost(cam)");
        w->connected = true;
        node_on_keeper(w->node, NULL, 0);
        answer_all(w);
        assert_told_success(&stop_told);
        told_clear(&stop_told);
}

static void test_no_list(void **state) {
        TestWorld *w = *state;

        (void) reach(w, RECOVER_RUNNING);
        Role *role = next_life(w, LIFE_RESTART);
        node_on_keeper_lost(w->node);
        assert_int_equal(role->state, ROLE_RUNNING);
        forget_calls(w);
        connect_keeper(w, role->child, CHILD_ENDED);
        assert_int_equal(role->exit.status, 7);
}

static RoleSpec *pipe_spec(void) {
        RoleSpec *spec = test_spec();

        spec->stdin_kind = ROLE_STDIN_PIPE;
        return spec;
}

/* What is written goes on over a reconnection, through the descriptor that the role has; after a restart
 * through the keeper's. */
static void test_input(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) fault = {};
        g_auto(Told) written = {};

        Role *role = world_run(w, CAM, pipe_spec());
        int fd = role->stdin_fd;
        RoleInput *input = role->input;
        assert_non_null(input);
        (void) next_life(w, LIFE_RECONNECT);
        forget_calls(w);
        connect_keeper(w, role->child, CHILD_RUNNING);
        assert_int_equal(role->stdin_fd, fd);
        assert_ptr_equal(role->input, input);
        expect_calls(w, "adopt(cam) resync()");
        assert_return_code(input_write(input, "x", 1, false, NULL, NULL, NULL, told_by(&written), &fault), 0);
        assert_told_success(&written);

        role = next_life(w, LIFE_RESTART);
        assert_null(role->input);
        connect_keeper(w, role->child, CHILD_RUNNING);
        assert_true(role->stdin_fd >= 0 && role->terminal_fd >= 0);
        assert_non_null(role->input);
        check_stop_ends_it(w);
}

/* End-of-file was asked for, and the keeper has not closed its copy: it is asked again. */
static void test_close_is_lost(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) fault = {}, lost = {};
        g_auto(Told) closed = {};

        Role *role = world_run(w, CAM, pipe_spec());
        assert_return_code(input_close(role->input, NULL, told_by(&closed), &fault), 0);
        assert_true(role->stdin_fd < 0);
        (void) fault_set(&lost, NODE_ERROR_KEEPER_UNAVAILABLE, "there is no keeper");
        world_answer(w, &lost);
        (void) next_life(w, LIFE_RECONNECT);
        forget_calls(w);
        connect_keeper(w, role->child, CHILD_RUNNING);
        expect_calls(w, "adopt(cam) close-stdin(cam) resync()");
        assert_true(role->stdin_fd < 0);
        assert_told_fault(&closed, NODE_ERROR_KEEPER_UNAVAILABLE, "no keeper");
        assert_int_equal(input_close(role->input, NULL, (Waiter){}, &fault),
                -node_error_to_errno(NODE_ERROR_NO_INPUT));
        check_stop_ends_it(w);
}

/* Its end is known, and the question of how is open, when the connection is lost: it ends once. */
static void test_end_is_open(void **state) {
        TestWorld *w = *state;

        w->stop_result = 0;
        Role *role = world_run(w, CAM, NULL);
        world_exit(w, role, EXIT_CODE_EXITED, 3);
        assert_int_equal(role->state, ROLE_RUNNING);
        (void) next_life(w, LIFE_RECONNECT);
        forget_calls(w);
        connect_keeper(w, role->child, CHILD_ENDED);
        assert_int_equal(role->state, ROLE_RUNNING);
        role_on_stop_known(role);
        node_follow_up(w->node);
        expect_calls(w, "adopt(cam) resync() exited(cam) save(cam) reap(cam)");
        assert_int_equal(role->exit.status, 3);
}

/* The end of the gate has been read, the end of the child has not: what it said is read from the keeper's end
 * of the gate, and the start fails once. */
static void test_gate_again(void **state) {
        TestWorld *w = *state;

        Role *role = reach(w, RECOVER_OPEN);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_STARTING);
        (void) next_life(w, LIFE_RECONNECT);
        forget_calls(w);
        connect_keeper(w, role->child, CHILD_ENDED);
        expect_calls(w, "adopt(cam) watch-gate(cam) resync()");
        assert_not_told(&start_told);
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, ENOENT, false, "no such file");
        answer_all(w);
        assert_told_fault(&start_told, NODE_ERROR_EXEC_FAILED, "no such file");
        assert_nothing_left(w, CAM);
        told_clear(&start_told);
}

/* A child that no role knows: its number is not given out again, and its end may be forgotten. */
static void test_unknown_child(void **state) {
        TestWorld *w = *state;

        for (unsigned ended = 0; ended < 2; ended++) {
                ListedChild listed = {
                        .child = 41 + ended,
                        .role = "nobody",
                        .report = ended ? CHILD_ENDED : CHILD_RUNNING,
                        .pidfd = some_fd(),
                        .gate_fd = some_fd(),
                        .stdin_fd = some_fd(),
                        .terminal_fd = some_fd(),
                };
                node_on_child(w->node, &listed);
                expect_calls(w, ended ? "forget-child(42)" : "");
                assert_int_equal(w->node->next_child, 42 + ended);
        }
}

/* The ended run before a start has a child that was not reaped; and so has the start. */
static void test_predecessor(void **state) {
        TestWorld *w = *state;

        Role *role = reach(w, RECOVER_SWEEP);
        assert_int_not_equal(role->child, role->predecessor->child);
        role = next_life(w, LIFE_RESTART);
        forget_calls(w);
        list_child(w, role->predecessor, role->predecessor->child, CHILD_ENDED);
        w->connected = true;
        node_on_keeper(w->node, NULL, 0);
        /* Nothing of it is left any more, so the start has its turn. */
        expect_calls(w, "reap(cam) resync() save(cam) save(cam) fork(cam)");
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        assert_true(role->predecessor->swept);
        check_stop_ends_it(w);
}

/* -- the whole node --------------------------------------------------------------------------- */

/* The end of one role purges others, which may be those that were to have their turn next. */
static void test_ends_purge(void **state) {
        TestWorld *w = *state;
        Settings *settings = settings_new();

        settings->max_ended_roles = 20;
        node_set_settings(w->node, settings);
        for (unsigned i = 0; i < 40; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);

                if (i < 20) {
                        (void) world_run_and_exit(w, name, NULL);
                        continue;
                }
                Role *role = world_run(w, name, NULL);
                (void) g_hash_table_remove(w->populated, role);
                role->main_pidfd = fd_close(role->main_pidfd);
                role->main_pid = dead;
                role->main_start_time = dead_time;
        }
        w->connected = false;
        node_on_keeper_lost(w->node);
        g_hash_table_remove_all(w->children);
        w->connected = true;
        node_on_keeper(w->node, NULL, 0);
        assert_int_equal(w->node->n_not_ended, 0);
        assert_int_equal(g_hash_table_size(w->node->roles), 20);
        for (unsigned i = 20; i < 40; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                assert_non_null(world_find(w, name));
        }
}

static unsigned count(const char *text, const char *part) {
        unsigned n = 0;

        while ((text = strstr(text, part))) {
                text += strlen(part);
                n++;
        }
        return n;
}

/* Slots become free while the roles are gone through. The starts that have them then are not taken for some
 * whose children got lost, and are not begun again. */
static void test_start_once(void **state) {
        TestWorld *w = *state;
        Settings *settings = settings_new();
        enum { N = 10 };

        settings->max_concurrent_starts = N;
        node_set_settings(w->node, settings);
        for (unsigned i = 0; i < 3 * N; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                (void) world_start(w, name, NULL, NULL);
        }
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                node_stop_role(w->node, world_find(w, name), ROLE_CAUSE_STOP, NULL, (Waiter){});
        }
        w->connected = false;
        node_on_keeper_lost(w->node);
        forget_calls(w);
        w->connected = true;
        node_on_keeper(w->node, NULL, 0);
        assert_int_equal(count(w->calls->str, "fork("), N);
        for (unsigned i = 0; i < 3 * N; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i), *fork = g_strdup_printf("fork(%s)", name);
                Role *role = world_find(w, name);

                assert_int_equal(!!role, i >= N);
                if (role)
                        assert_int_equal(count(w->calls->str, fork), role->phase == ROLE_PHASE_FORK);
        }
        assert_int_equal(w->node->n_starts, N);
        assert_int_equal(g_queue_get_length(w->node->start_queue), N);
        /* The last ones first: no slot becomes free for them. */
        for (unsigned i = 3 * N; i-- > N;) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                Role *role = world_find(w, name);

                node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
                if (i < 2 * N)
                        world_fork_failed(w, role, -EAGAIN);
        }
        assert_int_equal(w->node->n_starts, 0);
}

/* A set-up that hangs after a restart has its time, as one before. */
static void test_setup_timeout(void **state) {
        TestWorld *w = *state;
        Settings *settings = settings_new();

        (void) reach(w, RECOVER_OPEN);
        Role *role = next_life(w, LIFE_RESTART);
        settings->setup_timeout_usec = 20 * USEC_PER_MSEC;
        node_set_settings(w->node, settings);
        connect_keeper(w, role->child, CHILD_STARTING);
        forget_calls(w);
        world_wait(w, role->failure.message);
        assert_contains(role->failure.message, "did not reach the command");
        expect_calls(w, "signal-main(cam,9)");
        answer_all(w);
        assert_nothing_left(w, CAM);
}

/* Scopes without a role are looked for once systemd and the roles are known, whichever comes first; a late
 * keeper is no reason to leave them. */
static void test_resync(void **state) {
        TestWorld *w = *state;

        w->no_systemd = true;
        node_on_keeper_late(w->node);
        expect_calls(w, "");
        w->no_systemd = false;
        node_on_systemd(w->node);
        expect_calls(w, "resync()");
        node_on_keeper(w->node, NULL, 0);
        expect_calls(w, "");

        world_new_node(w, NULL);
        node_on_systemd(w->node);
        expect_calls(w, "");
        node_on_keeper_late(w->node);
        expect_calls(w, "resync()");
        node_on_keeper(w->node, NULL, 0);
        expect_calls(w, "");
}

#define TEST_IN_WORLD(test) cmocka_unit_test_setup_teardown(test, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_decisions),
                cmocka_unit_test(test_restart),
                cmocka_unit_test(test_reconnect),
                cmocka_unit_test(test_late),
                cmocka_unit_test(test_shutdown),
                cmocka_unit_test(test_never),
                cmocka_unit_test(test_dead),
                cmocka_unit_test(test_signalled),
                TEST_IN_WORLD(test_other_process),
                TEST_IN_WORLD(test_lost_but_runs),
                cmocka_unit_test(test_undoing),
                TEST_IN_WORLD(test_undoing_setup),
                TEST_IN_WORLD(test_half_a_list),
                TEST_IN_WORLD(test_stop_while_listed),
                TEST_IN_WORLD(test_no_list),
                TEST_IN_WORLD(test_input),
                TEST_IN_WORLD(test_close_is_lost),
                TEST_IN_WORLD(test_end_is_open),
                TEST_IN_WORLD(test_gate_again),
                TEST_IN_WORLD(test_unknown_child),
                TEST_IN_WORLD(test_predecessor),
                TEST_IN_WORLD(test_ends_purge),
                TEST_IN_WORLD(test_start_once),
                TEST_IN_WORLD(test_setup_timeout),
                TEST_IN_WORLD(test_resync),
        };
        return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
