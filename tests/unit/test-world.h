/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A world for the model: every request is written down and answered by the test, when and in whatever order it likes.
 * There is one at a time, so that its callbacks need no pointer: on the bus that pointer is the agent's. */

#include "unit-test.h"

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/event-details.h"
#include "model/node-events.h"
#include "model/node-purge.h"
#include "model/node-setup.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/role-start.h"
#include "model/role-stop.h"

typedef struct TestWorld {
        sd_event *event;
        Node *node;

        GString *calls;     /* since the last expect_calls(): "fork(cam) scope(cam)" */
        unsigned n_changed; /* role_changed */
        unsigned n_empty_slices;
        GHashTable *children;  /* numbers the keeper would still have */
        GHashTable *scopes;    /* Roles with a unit that systemd would still have */
        GHashTable *populated; /* Roles with processes in their cgroups */
        GHashTable *frozen;
        GArray *waiters; /* of Waiter: signals and closes that have not been answered */

        bool connected;
        bool no_systemd;      /* it has not answered yet */
        unsigned n_recovered; /* of clients and service */
        /* What a request returns; 0 at first. */
        int fork_result, launch_result, scope_result, remove_result, watch_result, cgroup_result, save_result;
        int kill_cgroup_result;
        int oom_result, stop_result; /* -EOPNOTSUPP at first */
        unsigned saves_left;         /* before save_result is returned */

        int ports_result;      /* of both requests */
        BindAddress bind;      /* the last one */
        PortsRequest *request; /* of which: ports_on_bound() */

        bool finished;
        int finished_status;
        uint64_t last_sequence; /* of a purge or a shutdown */
        unsigned n_fds;         /* open when the world began */
} TestWorld;

extern const NodeWorld test_world;

/* As cmocka's fixtures: *state is the world, with an empty node "main". Teardown fails the test when descriptors leak. */
int test_world_setup(void **state);
int test_world_teardown(void **state);

/* For those with a node of their own (tests/bus). */
TestWorld *test_world_new(void);
TestWorld *test_world_free(TestWorld *w);

/* Begins another life of the service: a new node over nothing. */
void world_new_node(TestWorld *w, Events *events);

/* What was asked of the world since the last time, in order; and clears it. */
#define expect_calls(w, expected) \
        do { \
                assert_string_equal((w)->calls->str, (expected)); \
                g_string_set_size((w)->calls, 0); \
        } while (0)
void forget_calls(TestWorld *w);

/* Somebody who waits, and what they were told. */
typedef struct Told {
        unsigned n;
        bool failed;
        NodeError error;
        char *message;
} Told;

Waiter told_by(Told *told);
void told_clear(Told *told);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Told, told_clear)

#define assert_not_told(t) assert_int_equal((t)->n, 0)
#define assert_told_success(t) \
        do { \
                assert_int_equal((t)->n, 1); \
                if ((t)->failed) \
                        fail_msg("told of a fault: %s", (t)->message); \
        } while (0)
#define assert_told_fault(t, which, text) \
        do { \
                assert_int_equal((t)->n, 1); \
                assert_true((t)->failed); \
                assert_string_equal(node_error_to_string((t)->error), node_error_to_string(which)); \
                assert_contains((t)->message, (text)); \
        } while (0)

#define assert_contains(haystack, needle) \
        do { \
                if (!(haystack) || !strstr((haystack), (needle))) \
                        fail_msg("\"%s\" is not in \"%s\"", (needle), (haystack) ?: "(null)"); \
        } while (0)

/* A refused request: its errno, its name, and what its message says. */
#define assert_fault(r, fault, which, text) \
        do { \
                assert_int_equal((r), -node_error_to_errno(which)); \
                assert_non_null((fault)->message); \
                assert_string_equal(node_error_to_string((fault)->error), node_error_to_string(which)); \
                assert_contains((fault)->message, (text)); \
        } while (0)

/* /bin/true with a stop timeout that no test reaches. */
RoleSpec *test_spec(void);

/* NULL when it is refused, with the fault. */
Role *world_start(TestWorld *w, const char *name, RoleSpec *spec, Told *told);
Role *world_find(TestWorld *w, const char *name);

/* The answers to the requests, each with real descriptors. The main process is this one, so the kernel says that it has
 * executed its command. */
void world_forked(TestWorld *w, Role *role);
void world_fork_failed(TestWorld *w, Role *role, int error);
void world_scope_made(TestWorld *w, Role *role);
void world_scope_failed(TestWorld *w, Role *role);
void world_scope_removed(TestWorld *w, Role *role);

/* All the way; its cgroup is populated. spec NULL: test_spec(). */
Role *world_run(TestWorld *w, const char *name, RoleSpec *spec);

/* The main process ends; the cgroup is left as it is (leaving) or empty. */
RoleExit test_exit(ExitCode code, int status);
void world_exit_leaving(TestWorld *w, Role *role, ExitCode code, int status);
void world_exit(TestWorld *w, Role *role, ExitCode code, int status);

/* The cgroup of an ended role becomes empty. May free it. */
void world_emptied(TestWorld *w, Role *role);

/* Ended and swept: exit 0. */
Role *world_run_and_exit(TestWorld *w, const char *name, RoleSpec *spec);

/* Answers everything that waits for the keeper or for KillUnit. */
void world_answer(TestWorld *w, const Fault *fault);

/* Runs the loop until the condition holds; a test that waits 20 s has failed. */
#define world_wait(w, condition) \
        do { \
                gint64 _end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC; \
                while (!(condition)) { \
                        if (g_get_monotonic_time() > _end) \
                                fail_msg("never happened: %s", #condition); \
                        assert_return_code(sd_event_run((w)->event, 1000000), 0); \
                } \
        } while (0)

/* Nothing of a start is left: no child, no unit, no slot, and if there was no predecessor no role. */
void assert_nothing_left(TestWorld *w, const char *name);

unsigned count_fds(void);
