/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A world for the model. Every request is recorded, and the test replies to it, at any time and in any order.
 * There is one world at a time, so the callbacks need no pointer; on the bus that pointer belongs to the
 * agent. */

#include "unit-test.h"

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/account-query.h"
#include "model/definitions.h"
#include "model/event-details.h"
#include "model/node-events.h"
#include "model/node-purge.h"
#include "model/node-setup.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/role-end.h"
#include "model/outputs.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/role-strays.h"

typedef struct TestWorld {
        sd_event *event;
        Node *node;

        GString *calls;     /* since the last expect_calls(), as "fork(cam) scope(cam)" */
        unsigned n_changed; /* role_changed */
        unsigned n_node_changed;
        unsigned n_empty_slices;
        GHashTable *children;  /* numbers of the children that the keeper would still have */
        GHashTable *scopes;    /* Roles whose unit systemd would still have */
        GHashTable *populated; /* Roles with processes in their cgroups */
        GHashTable *found;     /* names of roles whose cgroup, with processes, is found by a search */
        GHashTable *frozen;
        const char *frozen_above; /* the unit above all scopes that is frozen */
        GPtrArray *strays;        /* of Stray, what a look finds */
        uint64_t cgroup_id;       /* of each cgroup; 0 if none exists */
        GArray *waiters;          /* of Waiter, the signals and closes without a reply */

        uint64_t stop_extended; /* what systemd was told last during a shutdown */

        bool connected, outdated;
        bool no_systemd;      /* systemd has not replied yet */
        unsigned n_recovered; /* of clients and service */
        /* The results of the requests, at first 0. */
        int fork_result, launch_result, scope_result, remove_result, watch_result, cgroup_result, save_result;
        int release_all_result;   /* of ports_release_all */
        int signal_cgroup_result; /* of signal_cgroup and signal_process */
        bool not_stopped;         /* systemd stops no scope, which is known */
        int stop_result;          /* at first -EOPNOTSUPP */
        int oom_result;           /* of oom_kills, or their number; at first -ENODATA */
        unsigned n_oom_asked;
        unsigned saves_left; /* before save_result is returned */

        int freeze_result;
        int sync_result; /* of sync_notified */

        int socket_result;
        bool socket_replay;
        TerminalSocketRequest *socket_request; /* of terminal_on_socket() */

        int lookup_result;
        AccountQuery *query; /* the last one, of account_on_found() */

        int ports_result;      /* of both requests */
        BindAddress bind;      /* the last one */
        PortsRequest *request; /* of ports_on_bound() */

        char *streams; /* the directory of the journal; NULL if no test has asked for it */
        unsigned n_streams;

        bool finished;
        int finished_status;
        unsigned n_removed;     /* of the service */
        uint64_t last_sequence; /* of a purge or a shutdown */
        unsigned n_fds;         /* open when the world began */
} TestWorld;

extern const NodeWorld test_world;

/* Fixtures of cmocka; *state is the world, with an empty node "main". The teardown fails the test if
 * descriptors leak. */
int test_world_setup(void **state);
int test_world_teardown(void **state);

/* For tests with a node of their own (tests/bus). */
TestWorld *test_world_new(void);
TestWorld *test_world_free(TestWorld *w);

/* Begins another life of the service, with a new node without roles. */
void world_new_node(TestWorld *w, Events *events);

/* The journal has so many streams. Before the first call, which comes before any role, it has none. */
void world_set_streams(TestWorld *w, unsigned n);

/* Compares the requests since the last time, in order, and clears them. */
#define expect_calls(w, expected) \
        do { \
                assert_string_equal((w)->calls->str, (expected)); \
                g_string_set_size((w)->calls, 0); \
        } while (0)
void forget_calls(TestWorld *w);

/* A waiting caller, and the reply to it. */
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

/* Checks a refused request: its errno, its name, and a part of its message. */
#define assert_fault(r, fault, which, text) \
        do { \
                assert_int_equal((r), -node_error_to_errno(which)); \
                assert_non_null((fault)->message); \
                assert_string_equal(node_error_to_string((fault)->error), node_error_to_string(which)); \
                assert_contains((fault)->message, (text)); \
        } while (0)

/* /bin/true with a stop timeout that no test reaches. */
RoleSpec *test_spec(void);

/* Sets options by lines of "Key=value", as in a role file, until one is refused. The set keys, unless it is
 * NULL, gets the keys. */
int test_spec_set_lines(RoleSpec *spec, const char *text, GHashTable *keys, Fault *fault);

/* What one role file of this name with these lines of the section [Role] defines. The caller owns it. */
Definitions *test_definitions(const char *name, const char *lines);

/* Returns NULL and sets the fault if the start is refused. */
Role *world_start(TestWorld *w, const char *name, RoleSpec *spec, Told *told);
Role *world_find(TestWorld *w, const char *name);

/* A child that has executed nothing and waits, as one at its gate; it dies with the test. */
pid_t fork_pausing(void);
uint64_t start_time_of(pid_t pid);
int some_fd(void);

/* The replies to the requests, each with real descriptors. The main process is the test itself, so according
 * to the kernel it has passed its exec. */
void world_forked(TestWorld *w, Role *role);
void world_fork_failed(TestWorld *w, Role *role, int error);
void world_scope_made(TestWorld *w, Role *role);
void world_scope_failed(TestWorld *w, Role *role);
void world_scope_removed(TestWorld *w, Role *role);

/* From the fork that was requested to the exec of the command; the cgroup is populated. */
void world_executed(TestWorld *w, Role *role);

/* Completes all steps; the cgroup is populated. If spec is NULL, test_spec() is used. */
Role *world_run(TestWorld *w, const char *name, RoleSpec *spec);
Role *world_run_on_terminal(TestWorld *w, const char *name);

/* The main process ends; the cgroup then stays as it is (leaving) or is empty. */
RoleExit test_exit(ExitCode code, int status);
void world_exit_leaving(TestWorld *w, Role *role, ExitCode code, int status);
void world_exit(TestWorld *w, Role *role, ExitCode code, int status);

/* The cgroup of an ended role becomes empty. This may free the role. */
void world_emptied(TestWorld *w, Role *role);

/* A role that has exited with 0 and been swept. */
Role *world_run_and_exit(TestWorld *w, const char *name, RoleSpec *spec);

/* Replies to all requests that wait for the keeper or for KillUnit. */
void world_answer(TestWorld *w, const Fault *fault);

/* Runs the loop until the condition is true; fails the test after a minute. */
#define world_wait(w, condition) \
        do { \
                gint64 _end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC; \
                while (!(condition)) { \
                        if (g_get_monotonic_time() > _end) \
                                fail_msg("never happened: %s", #condition); \
                        assert_return_code(sd_event_run((w)->event, 1000000), 0); \
                } \
        } while (0)

/* Makes the 5 s after SIGKILL pass at once. The step is that of the stop or of the undo. */
void world_get_stuck(TestWorld *w, Role *role, const StopStep *step);

/* Nothing remains of a start: no child, no unit and no slot, and without a predecessor no role. */
void assert_nothing_left(TestWorld *w, const char *name);

unsigned count_fds(void);
