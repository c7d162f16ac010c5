/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which role has a stream of its own to the journal, and which roles share one. */

#include "test-world.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/journal-streams.h"
#include "model/account.h"
#include "model/warnings.h"

typedef struct Stream {
        int fd;      /* that a child has sent */
        int journal; /* the other end */
} Stream;

static Stream stream_new(void) {
        int pair[2];

        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), errno);
        return (Stream){ pair[0], pair[1] };
}

/* The child of the role sends a stream as one of this user. Returns the end of the journal. */
static int offer(Role *role, uid_t uid) {
        Stream stream = stream_new();

        outputs_offered(role->node->outputs, role, uid, stream.fd);
        return stream.journal;
}

static RoleSpec *spec_as(const char *user) {
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_user(spec, user, NULL), 0);
        return spec;
}

static LaunchStream choose(Role *role) {
        return outputs_choose(role->node->outputs, role).stream;
}

static Role *start_and_choose(TestWorld *w, const char *name, RoleSpec *spec, LaunchStream expected) {
        Role *role = world_run(w, name, spec);

        assert_int_equal(choose(role), expected);
        return role;
}

/* As long as the machine has few, each role has one. */
static void test_few(void **state) {
        TestWorld *w = *state;

        (void) start_and_choose(w, "nowhere", NULL, LAUNCH_STREAM_OWN); /* there is no journal */
        world_set_streams(w, OUTPUTS_OWN_MAX - 1);
        (void) start_and_choose(w, "few", NULL, LAUNCH_STREAM_OWN);
        world_set_streams(w, OUTPUTS_OWN_MAX);
        (void) start_and_choose(w, "many", NULL, LAUNCH_STREAM_OFFERED);
        world_set_streams(w, OUTPUTS_OWN_MAX - 1);
        (void) start_and_choose(w, "few-again", NULL, LAUNCH_STREAM_OWN);
}

/* What does not go to the journal has none. */
static void test_elsewhere(void **state) {
        static const char *const outputs[] = { "null", "file:/x", "append:/x" };
        TestWorld *w = *state;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        for (size_t i = 0; i < ELEMENTSOF(outputs); i++) {
                g_autofree char *name = g_strdup_printf("r%zu", i);
                RoleSpec *spec = test_spec();

                assert_return_code(role_spec_set_output(spec, outputs[i], NULL), 0);
                (void) start_and_choose(w, name, spec, LAUNCH_STREAM_OWN);
        }
}

/* Those who may do something to it are the same user, were started by the same one, and all have a terminal
 * or none has. */
static void test_who_shares(void **state) {
        TestWorld *w = *state;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        Role *role = start_and_choose(w, "a", spec_as("alice"), LAUNCH_STREAM_OFFERED);
        autofd journal = offer(role, 4711);
        role = world_run(w, "b", spec_as("alice"));
        OutputChoice choice = outputs_choose(w->node->outputs, role);
        assert_int_equal(choice.stream, LAUNCH_STREAM_SHARED);
        assert_int_equal(choice.uid, 4711);
        struct stat a, b;
        assert_return_code(fstat(choice.fd, &a), errno);
        assert_return_code(fstat(journal, &b), errno);
        assert_int_not_equal(a.st_ino, b.st_ino); /* the other end */

        (void) start_and_choose(w, "root", NULL, LAUNCH_STREAM_OFFERED);
        (void) start_and_choose(w, "bob", spec_as("bob"), LAUNCH_STREAM_OFFERED);

        /* Started by herself. */
        role = world_run(w, "own", spec_as("alice"));
        role->owner = (Caller){ .known = true, .uid = 4711 };
        role->spec->account = g_new0(Account, 1);
        role->spec->account->uid = 4711;
        assert_int_equal(choose(role), LAUNCH_STREAM_OFFERED);

        role = world_run(w, "terminal", spec_as("alice"));
        role->spec->stdin_kind = ROLE_STDIN_PTY;
        assert_int_equal(choose(role), LAUNCH_STREAM_OFFERED);
}

/* A stream has room for so many, and a role that is gone makes room. */
static void test_full(void **state) {
        TestWorld *w = *state;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        Role *first = start_and_choose(w, "r0", NULL, LAUNCH_STREAM_OFFERED);
        int journal = offer(first, 0);
        for (unsigned i = 1; i < OUTPUTS_ROLES_MAX; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                (void) start_and_choose(w, name, NULL, LAUNCH_STREAM_SHARED);
        }
        Role *more = start_and_choose(w, "more", NULL, LAUNCH_STREAM_OFFERED);
        int next = offer(more, 0);
        (void) start_and_choose(w, "shares-the-next", NULL, LAUNCH_STREAM_SHARED);
        assert_true(world_find(w, "shares-the-next")->output_stream == more->output_stream);
        world_exit(w, first, EXIT_CODE_EXITED, 0);
        Role *again = start_and_choose(w, "again", NULL, LAUNCH_STREAM_SHARED);
        assert_true(again->output_stream == world_find(w, "r1")->output_stream);

        /* An ended one whose child runs on still has it. */
        world_exit_leaving(w, again, EXIT_CODE_EXITED, 0);
        assert_non_null(again->output_stream);
        (void) start_and_choose(w, "third", NULL, LAUNCH_STREAM_SHARED);
        assert_true(world_find(w, "third")->output_stream == more->output_stream);
        world_emptied(w, again);
        assert_null(again->output_stream);
        assert_int_equal(close(journal) | close(next), 0);
}

/* The last one takes it along: the journal reads its end. */
static void test_last(void **state) {
        TestWorld *w = *state;
        char byte;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        Role *first = start_and_choose(w, "first", NULL, LAUNCH_STREAM_OFFERED);
        autofd journal = offer(first, 0);
        Role *second = start_and_choose(w, "second", NULL, LAUNCH_STREAM_SHARED);
        world_exit(w, first, EXIT_CODE_EXITED, 0);
        assert_int_equal(recv(journal, &byte, 1, MSG_DONTWAIT), -1);
        world_exit(w, second, EXIT_CODE_EXITED, 0);
        assert_int_equal(recv(journal, &byte, 1, MSG_DONTWAIT), 0);
        (void) start_and_choose(w, "third", NULL, LAUNCH_STREAM_OFFERED);
}

/* The journal is gone, or a role has shut it down: its roles are told to have no output, and no other role
 * gets it. */
static void test_closed(void **state) {
        TestWorld *w = *state;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        Role *first = start_and_choose(w, "first", NULL, LAUNCH_STREAM_OFFERED);
        int journal = offer(first, 0);
        Role *second = start_and_choose(w, "second", NULL, LAUNCH_STREAM_SHARED);
        Role *other = start_and_choose(w, "other", spec_as("bob"), LAUNCH_STREAM_OFFERED);
        autofd others = offer(other, 1);
        assert_true(others >= 0);
        forget_calls(w);
        unsigned n_changed = w->n_changed;
        (void) fd_close(journal);
        world_wait(w, first->output_lost && second->output_lost);
        assert_int_equal(w->n_changed, n_changed + 2);
        assert_false(other->output_lost);
        assert_contains(w->calls->str, "save(first)");
        assert_contains(w->calls->str, "save(second)");
        Role *third = start_and_choose(w, "third", NULL, LAUNCH_STREAM_OFFERED);
        autofd next = offer(third, 0);
        assert_true(next >= 0);
        (void) start_and_choose(w, "fourth", NULL, LAUNCH_STREAM_SHARED);
        world_exit(w, first, EXIT_CODE_EXITED, 0);
        world_exit(w, second, EXIT_CODE_EXITED, 0);
}

/* A role that starts and fails gives its place back. */
static void test_start_fails(void **state) {
        TestWorld *w = *state;
        char byte;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        Role *role = world_start(w, "cam", NULL, NULL);
        assert_int_equal(choose(role), LAUNCH_STREAM_OFFERED);
        autofd journal = offer(role, 0);
        world_fork_failed(w, role, -EAGAIN);
        assert_nothing_left(w, "cam");
        assert_int_equal(recv(journal, &byte, 1, MSG_DONTWAIT), 0);
}

/* The stream that was chosen is closed before the child has it, so the child makes another one. Its output is
 * not lost, whichever the service notices first. */
static void test_closed_meanwhile(void **state) {
        TestWorld *w = *state;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        for (int offered_first = 0; offered_first < 2; offered_first++)
                for (int slow = 0; slow < 2; slow++) {
                        Role *first = start_and_choose(w, "first", NULL, LAUNCH_STREAM_OFFERED);
                        int journal = offer(first, 0);
                        autofd next = -EBADF;

                        Role *second = world_start(w, "second", NULL, NULL);
                        world_forked(w, second);
                        world_scope_made(w, second);
                        (void) g_hash_table_add(w->populated, second);
                        assert_int_equal(choose(second), LAUNCH_STREAM_SHARED);
                        (void) fd_close(journal);
                        if (!offered_first) {
                                world_wait(w, first->output_lost);
                                assert_true(second->output_lost);
                        }
                        if (slow)
                                role_on_gate_report(second, LAUNCH_STAGE_OUTPUT, 0, true, "it waits");
                        else
                                next = offer(second, 0);
                        world_wait(w, first->output_lost);
                        assert_false(second->output_lost);
                        role_on_gate_closed(second);
                        Role *third = start_and_choose(
                                w, "third", NULL, slow ? LAUNCH_STREAM_OFFERED : LAUNCH_STREAM_SHARED);
                        assert_true(slow ? !third->output_stream && !second->output_stream
                                         : third->output_stream == second->output_stream);
                        world_exit(w, first, EXIT_CODE_EXITED, 0);
                        world_exit(w, second, EXIT_CODE_EXITED, 0);
                        world_exit(w, third, EXIT_CODE_EXITED, 0);
                }
}

/* One of a role that is gone. */
static void test_not_wanted(void **state) {
        TestWorld *w = *state;
        char byte;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        Role *role = start_and_choose(w, "cam", NULL, LAUNCH_STREAM_OFFERED);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        autofd journal = offer(role, 0);
        assert_int_equal(recv(journal, &byte, 1, MSG_DONTWAIT), 0);
}

/* -- output-lost -- */

static Role *open_gate(TestWorld *w, const char *name) {
        Role *role = world_start(w, name, NULL, NULL);

        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        forget_calls(w);
        return role;
}

static bool started_tells(const Role *role) {
        g_autoptr(GVariant) details = g_variant_ref_sink(event_details_started(role));
        gboolean lost = false;

        return g_variant_lookup(details, "output-lost", "b", &lost) && lost;
}

static void test_lost(void **state) {
        TestWorld *w = *state;

        Role *role = open_gate(w, "cam");
        role_on_gate_report(role, LAUNCH_STAGE_OUTPUT, 0, true, "the journal does not respond");
        role_on_gate_report(role, LAUNCH_STAGE_USER, -EPIPE, true, "something else");
        assert_false(role->output_lost);
        assert_false(started_tells(role));
        expect_calls(w, "");
        unsigned n_changed = w->n_changed;
        role_on_gate_report(role, LAUNCH_STAGE_OUTPUT, -EPIPE, true, "the journal cannot be reached");
        assert_true(role->output_lost);
        assert_true(started_tells(role));
        expect_calls(w, "save(cam)");
        assert_int_equal(w->n_changed, n_changed + 1);
        role_on_gate_report(role, LAUNCH_STAGE_OUTPUT, -EPIPE, true, "again");
        expect_calls(w, "");
        assert_int_equal(role->state, ROLE_STARTING);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_RUNNING);
        world_exit(w, role, EXIT_CODE_EXITED, 0);

        /* The next run of the name has its own. */
        role = world_run(w, "cam", NULL);
        assert_false(role->output_lost);
        assert_false(started_tells(role));
}

/* The saved state may be older than the event. */
static void test_lost_in_the_log(void **state) {
        TestWorld *w = *state;

        Role *role = open_gate(w, "cam");
        role->output_lost = true;
        g_auto(Event) event = { .type = EVENT_ROLE_STARTED,
                .sequence = 1,
                .role = g_strdup("cam"),
                .details = g_variant_ref_sink(event_details_started(role)) };
        role->output_lost = false;
        event_restore_started(&event, role);
        assert_true(role->output_lost);
        node_count_role(w->node, role);

        /* What was lost after that start is known by the state alone. */
        g_variant_unref(event.details);
        role->output_lost = false;
        event.details = g_variant_ref_sink(event_details_started(role));
        role->output_lost = true;
        event_restore_started(&event, role);
        assert_true(role->output_lost);
        role_on_gate_closed(role);
}

/* -- warnings -- */

#define assert_warnings(w, ...) assert_warnings_are((w), (const char *const[]){ __VA_ARGS__, NULL })
static void assert_warnings_are(TestWorld *w, const char *const *expected) {
        g_auto(GStrv) warnings = warnings_list(w->node);
        g_autofree char *text = g_strjoinv(" | ", warnings);

        for (unsigned i = 0; expected[i]; i++) {
                if (!warnings[i])
                        fail_msg("no warning of \"%s\": %s", expected[i], text);
                assert_contains(warnings[i], expected[i]);
        }
        if (g_strv_length(warnings) != g_strv_length((char **) expected))
                fail_msg("other warnings: %s", text);
}

#define assert_announced(w, action) \
        do { \
                unsigned _n = (w)->n_node_changed; \
                action; \
                assert_true((w)->n_node_changed > _n); \
        } while (0)

static void test_warnings_of_roles(void **state) {
        TestWorld *w = *state;

        assert_warnings(w, NULL);
        Role *role = open_gate(w, "cam");
        assert_announced(w, role_on_gate_report(role, LAUNCH_STAGE_OUTPUT, -EPIPE, true, "x"));
        assert_warnings(w, "does not take it: cam.");
        role_on_gate_closed(role);
        for (unsigned i = 0; i < 6; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                role_set_output_lost(world_run(w, name, NULL), true);
        }
        assert_warnings(w, "does not take it: cam, r0, r1, r2, r3 and 2 more.");

        /* It lasts until the last process is gone. */
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_warnings(w, "cam, ");
        assert_announced(w, world_emptied(w, role));
        assert_warnings(w, "does not take it: r0, r1, r2, r3, r4 and 1 more.");
        for (unsigned i = 0; i < 6; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                world_exit(w, world_find(w, name), EXIT_CODE_EXITED, 0);
        }
        assert_warnings(w, NULL);

        /* A start that fails. */
        role = open_gate(w, "cam");
        role_set_output_lost(role, true);
        assert_warnings(w, ": cam.");
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -ENOENT, false, "x");
        world_exit(w, role, EXIT_CODE_EXITED, 255);
        world_scope_removed(w, role);
        assert_warnings(w, NULL);
}

static void test_warnings_of_damage(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        role->damaged = true; /* as that of a file */
        assert_announced(w, node_count_role(w->node, role));
        assert_warnings(w, "default options, because their saved state was damaged: cam.");
        role_set_output_lost(role, true);
        assert_warnings(w, "does not take it: cam.", "damaged: cam.");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_warnings(w, NULL);
}

static void test_warnings_of_stuck(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
        assert_warnings(w, NULL);
        assert_announced(w, world_get_stuck(w, role, &role->stop_step));
        assert_warnings(w, "survive SIGKILL: cam.");
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_warnings(w, NULL);
}

static void test_warnings_of_keeper(void **state) {
        TestWorld *w = *state;

        w->outdated = true;
        assert_warnings(w, "The keeper is older");
        w->connected = false;
        assert_warnings(w, "There is no keeper");
        w->connected = true;
        w->outdated = false;
        assert_warnings(w, NULL);
}

static void test_warnings_of_saving(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        w->save_result = -ENOSPC;
        assert_announced(w, (void) role_save(role));
        assert_warnings(w, "cannot be saved: No space left on device.");
        unsigned n = w->n_node_changed;
        (void) role_save(role);
        assert_int_equal(w->n_node_changed, n);
        w->save_result = 0;
        assert_announced(w, (void) role_save(role));
        assert_warnings(w, NULL);

        /* At a start, too, which fails. */
        w->save_result = -ENOSPC;
        (void) world_start(w, "next", NULL, NULL);
        assert_warnings(w, "cannot be saved");
        w->save_result = 0;
        (void) role_save(role);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_setup, test_world_teardown)
        const struct CMUnitTest tests[] = {
                T(test_few),
                T(test_elsewhere),
                T(test_who_shares),
                T(test_full),
                T(test_last),
                T(test_closed),
                T(test_start_fails),
                T(test_closed_meanwhile),
                T(test_not_wanted),
                T(test_lost),
                T(test_lost_in_the_log),
                T(test_warnings_of_roles),
                T(test_warnings_of_damage),
                T(test_warnings_of_stuck),
                T(test_warnings_of_keeper),
                T(test_warnings_of_saving),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
