/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A restart or a crash of the node does not affect the roles: the processes are the same, their standard
 * input still works, exits in the meantime are reported exactly and once, a pending stop continues, and Poll
 * is correct from the first reply on. */

#include <unistd.h>

#include "testlib.h"

typedef void (*Again)(Bus *bus);

static guint64 sequence(Bus *bus) {
        g_autoptr(GVariant) value = node_get(bus, "EventSequence");
        return g_variant_get_uint64(value);
}

static void keeps_roles(Bus *bus, Again again) {
        const char *reads = role_name("reads"), *pauses = role_name("pauses"), *ended = role_name("ended");
        const char *roles[] = { reads, pauses, ended };
        g_autofree char *path = NULL, *output = NULL, *text = NULL,
                        *epoch = node_get_string(bus, "EventEpoch"), *now = NULL;
        g_autoptr(GVariant) polled = NULL, states = NULL;
        GVariant *before[3];
        const char *names[] = { reads, pauses, ended, NULL }, *answer;
        pid_t keeper = keeper_pid(bus), node = node_pid(bus), pid;
        guint64 seq;
        guint mark;

        path = g_strdup(scratch("output"));
        output = g_strconcat("append:", path, NULL);
        start(bus, reads, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        start(bus, pauses, OPTIONS("{'stop-timeout-usec': <@t 7000000>}"), actor(), "pause", NULL);
        start(bus, ended, NULL, actor(), "exit", "5", NULL);
        expect_exited(bus, ended, "exited", 5, "self");
        stop(bus, ended);
        send_input(bus, reads, "before");
        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
                before[i] = role_get_all(bus, roles[i]);
        pid = role_pid(bus, pauses);
        seq = sequence(bus);
        mark = bus_mark(bus);

        again(bus);

        /* The first call to which the new node replies. */
        polled = node_call(bus, "Poll", g_variant_new("(^as)", names));
        assert_int_not_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        states = g_variant_get_child_value(polled, 0);
        assert_int_equal(g_variant_n_children(states), 3);
        assert_true(g_variant_lookup(states, reads, "&s", &answer));
        assert_string_equal(answer, "running");
        assert_true(g_variant_lookup(states, pauses, "&s", &answer));
        assert_string_equal(answer, "running");
        assert_true(g_variant_lookup(states, ended, "&s", &answer));
        assert_string_equal(answer, "exit 5");

        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
                g_autoptr(GVariant) after = role_get_all(bus, roles[i]);

                if (!g_variant_equal(before[i], after)) {
                        g_autofree char *a = g_variant_print(before[i], false),
                                        *b = g_variant_print(after, false);
                        fail_msg("%s was %s, and is %s", roles[i], a, b);
                }
                g_variant_unref(before[i]);
        }
        now = node_get_string(bus, "EventEpoch");
        assert_string_equal(now, epoch);
        assert_int_equal(sequence(bus), seq);
        assert_int_equal(bus_count_since(bus, mark, "RoleStarted", NULL), 0);
        assert_int_equal(bus_count_since(bus, mark, "RoleExited", NULL), 0);

        /* Everything continues as before. */
        send_input(bus, reads, "after");
        close_input(bus, reads);
        assert_int_equal(expect_exited(bus, reads, "exited", 0, "self").seq, seq + 1);
        text = read_file(path);
        assert_string_equal(text, "before\nafter");
        assert_int_equal(process_state(pid), 'S');
        stop(bus, pauses);
        assert_int_equal(expect_exited(bus, pauses, "killed", SIGTERM, "stop").seq, seq + 2);
        start(bus, ended, NULL, actor(), "exit", "6", NULL);
        expect_exited(bus, ended, "exited", 6, "self");
}

static void test_restart(void **state) {
        keeps_roles(*state, node_restart);
        /* After a clean end the node knows which events were received. */
        assert_int_equal(bus_count_again(*state), 0);
}

static void test_crash(void **state) {
        keeps_roles(*state, node_crash);
}

/* The node is absent (stopped, then killed) while its roles end in every way. */
static void test_exits_while_away(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *directory = g_path_get_dirname(scratch("x"));
        const struct {
                const char *role;
                int signo;
                const char *code;
                int status;
                const char *poll;
        } ends[] = {
                { role_name("exits"), SIGUSR1, "exited", 42, "exit 42" },
                { role_name("succeeds"), SIGUSR2, "exited", 0, "exit 0" },
                { role_name("killed"), SIGKILL, "killed", SIGKILL, "exit -9" },
                { role_name("terminated"), SIGTERM, "killed", SIGTERM, "exit -15" },
                { role_name("crashes"), SIGSEGV, "dumped", SIGSEGV, "exit -11" },
                { role_name("stays"), SIGCONT, NULL, 0, "running" },
        };
        int pidfds[G_N_ELEMENTS(ends)];
        pid_t node = node_pid(bus), pids[G_N_ELEMENTS(ends)];
        gint64 left, back;

        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                start(bus, ends[i].role,
                        OPTIONS("{'limits': <{'core': @t 67108864}>, 'working-directory': <%s>}", directory),
                        actor(), "exit-on", "USR1", "42", "exit-on", "USR2", "0", "say", fifo_path(fifo),
                        "ready", "pause", NULL);
                pids[i] = fifo_expect_pid(fifo, "ready");
                pidfds[i] = process_open(pids[i]);
        }

        assert_int_equal(kill(node, SIGSTOP), 0);
        WAIT_UNTIL(process_state(node) == 'T');
        left = g_get_monotonic_time();
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
                assert_int_equal(kill(pids[i], ends[i].signo), 0);
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
                if (ends[i].code)
                        process_wait_dead(pidfds[i]);
        back = g_get_monotonic_time();
        node_crash(bus);

        /* Before anything else. */
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
                assert_poll(bus, ends[i].role, ends[i].poll);
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                Exited exited;

                if (ends[i].code) {
                        exited = expect_exited(bus, ends[i].role, ends[i].code, ends[i].status, NULL);
                        /* The time of the actual exit. */
                        assert_true(detail_u64(exited.details, "exit-monotonic-usec") >= (guint64) left);
                        assert_true(
                                detail_u64(exited.details, "exit-monotonic-usec") <= (guint64) back + 100000);
                        assert_true(detail_u64(exited.details, "maxrss") > 0);
                        node_sync(bus);
                        assert_int_equal(bus_count(bus, "RoleExited", ends[i].role), 1);
                } else {
                        assert_int_equal(role_pid(bus, ends[i].role), pids[i]);
                        assert_int_equal(bus_count(bus, "RoleExited", ends[i].role), 0);
                }
                close(pidfds[i]);
        }
}

/* A planned restart continues the stop, and the waiting caller gets an error. */
static void test_waiting_stop(void **state) {
        Bus *bus = *state;
        const char *role = role_name("ignores");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 serial;
        pid_t pid;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 60000000>}"), actor(), "ignore", "TERM", "say",
                fifo_path(fifo), "ready", "pause", NULL);
        pid = fifo_expect_pid(fifo, "ready");
        serial = node_send(bus, "Stop", g_variant_new("(s)", role));
        WAIT_UNTIL(g_str_equal(role_state(bus, role), "stopping"));
        systemctl("restart", NODE_UNIT);
        bus_failure(bus, serial, "ShuttingDown", "call again", NULL);
        assert_state(bus, role, "stopping");
        assert_int_equal(role_pid(bus, role), pid);
        kill_role(bus, role);
        expect_exited(bus, role, "killed", SIGKILL, "kill");
}

/* The node dies during starts. Each role either runs or does not exist, and no start is incomplete. Calls
 * without a reply never get one. */
static void test_crash_during_starts(void **state) {
        Bus *bus = *state;
        guint32 serials[40];
        guint running = 0;

        for (guint round = 0; round < 3; round++) {
                g_autofree char *name = g_strdup_printf("s%u.", round);

                for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                        serials[i] = node_send(
                                bus, "Start", start_args(role_name_n(name, i), NULL, actor(), "pause", NULL));
                bus_wait(bus, "RoleStarted", role_name_n(name, round * 7));
                node_crash(bus);

                for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                        const char *role = role_name_n(name, i);
                        g_autofree char *scope = role_scope(role);
                        Event *reply = bus_wait_reply(bus, serials[i]);

                        /* Pending starts are completed. */
                        WAIT_UNTIL(strcmp(role_state(bus, role), "starting") != 0);
                        if (strcmp(role_state(bus, role), "none") == 0) {
                                /* A role whose start has been confirmed must exist. */
                                assert_int_equal(reply->type, G_DBUS_MESSAGE_TYPE_ERROR);
                                WAIT_UNTIL(count_units(bus, scope) == 0);
                        } else {
                                assert_state(bus, role, "running");
                                running++;
                                assert_int_equal(count_units(bus, scope), 1);
                                assert_true(process_state(role_pid(bus, role)) != 0);
                                assert_true(bus_count(bus, "RoleStarted", role) >= 1);
                        }
                }
                {
                        /* No process exists that belongs to none of them. */
                        Census now = census(bus);
                        assert_int_equal(now.scopes, running);
                        assert_int_equal(now.processes, running);
                        WAIT_UNTIL(census(bus).keeper_children == running);
                }
        }
        print_message("  %u of 120 ran\n", running);
}

/* A pending stop continues in the next node, with its old deadline, although the caller gets no reply. */
static void test_crash_during_stop(void **state) {
        Bus *bus = *state;
        const char *role = role_name("stopping");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL;
        gint64 asked;
        Exited exited;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 1500000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        cgroup = role_cgroup(bus, role);
        asked = g_get_monotonic_time();
        node_send(bus, "Stop", g_variant_new("(s)", role));
        fifo_expect_pid(fifo, "heard");
        node_crash(bus);
        assert_state(bus, role, "stopping");
        exited = expect_exited(bus, role, "killed", SIGKILL, "stop");
        assert_int_equal(detail_u32(exited.details, "caller-uid"), 0);
        assert_true(exited.event->usec - asked >= 1500000);
        cgroup_wait_empty(cgroup);
}

/* The same for a sweep. */
static void test_crash_during_sweep(void **state) {
        Bus *bus = *state;
        const char *role = role_name("sweeping");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL;
        int child;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 1500000>}"), actor(), "daemon{", "tell-on",
                "TERM", fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", "}", "read-eof",
                "exit", "2", NULL);
        child = process_open(fifo_expect_pid(fifo, "ready"));
        cgroup = role_cgroup(bus, role);
        close_input(bus, role);
        expect_exited(bus, role, "exited", 2, "self");
        fifo_expect_pid(fifo, "heard");
        node_crash(bus);
        assert_poll(bus, role, "exit 2");
        assert_false(process_is_dead(child));
        node_call_fails(bus, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }), "RoleRunning",
                role, NULL);
        process_wait_dead(child);
        close(child);
        cgroup_wait_empty(cgroup);
        stop(bus, role);
        purge(bus, role);
        {
                /* A crash may cause it to be sent twice, but never with another number. */
                g_autoptr(GPtrArray) exits = bus_all(bus, "RoleExited", role);
                guint64 seq = exited_from(g_ptr_array_index(exits, 0)).seq;

                for (guint i = 1; i < exits->len; i++)
                        assert_int_equal(exited_from(g_ptr_array_index(exits, i)).seq, seq);
        }
}

/* Many roles and many crashes. After each crash all roles exist, and nothing leaks. */
static void test_again_and_again(void **state) {
        Bus *bus = *state;
        pid_t pids[30];
        Census before;

        for (guint i = 0; i < G_N_ELEMENTS(pids); i++) {
                start(bus, role_name_n("many", i), NULL, "cat", NULL);
                pids[i] = role_pid(bus, role_name_n("many", i));
        }
        node_crash(bus);
        node_sync(bus);
        before = census(bus);
        for (guint round = 0; round < 5; round++) {
                if (round % 2 == 0)
                        node_crash(bus);
                else
                        node_restart(bus);
                for (guint i = 0; i < G_N_ELEMENTS(pids); i++) {
                        assert_int_equal(role_pid(bus, role_name_n("many", i)), pids[i]);
                        send_input(bus, role_name_n("many", i), "x");
                }
                assert_census(bus, &before);
        }
        assert_int_equal(bus_count(bus, "RoleExited", NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_restart),
                TEST(test_crash),
                TEST(test_exits_while_away),
                TEST(test_waiting_stop),
                TEST(test_crash_during_starts),
                TEST(test_crash_during_stop),
                TEST(test_crash_during_sweep),
                TEST(test_again_and_again),
        };
        return run_case("restart-keeps-roles", tests);
}
