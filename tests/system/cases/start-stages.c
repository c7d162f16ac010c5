/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Node, keeper or both are killed at each stage of a Start: before each system call whose effect is visible
 * to other processes, and while the other service, the child or systemd has the next step. Afterwards the
 * role runs, is known, and was started once, or nothing of it is left. The name can be used in either
 * case. */

#include <sys/syscall.h>
#include <unistd.h>

#include "products.h"
#include "stepper.h"
#include "testlib.h"

#define NODE 1
#define KEEPER 2

/* The visible calls of the node, which are its messages and its files. */
static const long node_calls[] = { SYS_sendmsg, SYS_sendto, SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev,
        SYS_rename, SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_ftruncate, SYS_fsync, SYS_fdatasync,
        SYS_shutdown, -1 };
/* The visible calls of the keeper. It closes its copies of descriptors of the child or the node; closing the
 * last copy is an end-of-file. */
static const long keeper_calls[] = { SYS_sendmsg, SYS_sendto, SYS_write, SYS_clone3, SYS_shutdown, SYS_close,
        SYS_waitid, -1 };

typedef struct Start {
        Bus *bus;
        const char *role;
        Fifo *fifo;   /* the command itself reports here that it has been started */
        bool was_run; /* there is an ended run of that name */
        bool products;
        pid_t node, keeper;
        guint32 serial;
        guint mark;
} Start;

static guint saved(const char *directory, const char *role) {
        g_autofree char *path = g_build_filename("/run/architect-node/main", directory, role, NULL);
        return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void start_send(Start *s, const char *program, Fifo *fifo) {
        s->fifo = fifo;
        s->node = node_pid(s->bus);
        s->keeper = keeper_pid(s->bus);
        s->mark = bus_mark(s->bus);
        s->serial = node_send(s->bus, "Start",
                start_args(s->role, s->products ? OPTIONS("{'product': <'foo'>}") : NULL, program, "say",
                        fifo_path(fifo), "started", "pause", NULL));
}

static void kill_them(const Start *s, guint victims) {
        /* The keeper is first, because a process that is held does not notice it before its own death. */
        if (victims & KEEPER)
                assert_int_equal(kill(s->keeper, SIGKILL), 0);
        if (victims & NODE)
                assert_int_equal(kill(s->node, SIGKILL), 0);
}

static bool successors_are_there(const Start *s, guint victims) {
        /* Not by the bus name, which the dead one may still own, see node_wait_next(). */
        if ((victims & NODE) && !service_is_another(s->bus, NODE_UNIT, s->node))
                return false;
        return keeper_is_connected(s->bus, victims & KEEPER ? s->keeper : 0);
}

/* Its only process is in its only scope, and is the one that has reported its start. */
static void assert_runs(Start *s) {
        g_autofree char *scope = role_scope(s->role), *cgroup = NULL;
        pid_t pid = role_pid(s->bus, s->role);
        Census now;

        assert_poll(s->bus, s->role, "running");
        assert_int_equal(fifo_expect_pid(s->fifo, "started"), pid);
        assert_false(fifo_has_line(s->fifo));
        cgroup = process_cgroup(pid);
        assert_true(g_str_has_suffix(cgroup, scope));
        WAIT_UNTIL((now = census(s->bus), now.processes == 1 && now.scopes == 1));
        assert_int_equal(saved("previous", s->role), 0);
        if (s->products) {
                g_autofree char *hash = products_record(s->bus, s->role, s->mark, "[('foo', '1.0')]");
                /* printf 'FAKE=1\0LOADEDMODULES=foo/1.0\0' | sha256sum */
                assert_string_equal(hash, "6704ed11a1173a3279d15a9257186689f59739935b3e5e33865b1a4055db87d4");
        }
}

static void assert_as_before(Start *s) {
        g_autofree char *scope = role_scope(s->role);
        Census now;

        WAIT_UNTIL(count_units(s->bus, scope) == 0);
        WAIT_UNTIL((now = census(s->bus), now.processes == 0 && now.keeper_children == 0));
        assert_false(fifo_has_line(s->fifo));
        assert_int_equal(bus_count_since(s->bus, s->mark, "RoleStarted", s->role), 0);
        assert_int_equal(saved("previous", s->role), 0);
        assert_int_equal(saved("roles", s->role), s->was_run);
        if (s->was_run)
                assert_poll(s->bus, s->role, "exit 5");
        else
                assert_no_trace(s->bus, s->role, s->mark);
}

/* Called after the deaths. Returns whether the role runs. */
static bool check(Start *s, guint victims) {
        Event *reply = bus_wait_reply(s->bus, s->serial);
        bool success = reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN, runs;

        WAIT_UNTIL(successors_are_there(s, victims));
        WAIT_UNTIL(strcmp(role_state(s->bus, s->role), "starting") != 0);
        runs = strcmp(role_state(s->bus, s->role), "running") == 0;
        if (success && !runs)
                fail_msg("Start has said that %s runs, and it is '%s'", s->role, role_state(s->bus, s->role));
        /* If the caller got a reply, it is correct. */
        if (!(victims & NODE))
                assert_int_equal(runs, success);
        if (runs)
                assert_runs(s);
        else
                assert_as_before(s);
        return runs;
}

/* Uses the name for one more run, to its end. */
static void use_name(Start *s, bool runs) {
        if (runs)
                kill_role(s->bus, s->role);
        s->products = false;
        start(s->bus, s->role, NULL, actor(), "say", fifo_path(s->fifo), "started", "pause", NULL);
        assert_runs(s);
        kill_role(s->bus, s->role);
        purge(s->bus, s->role);
        WAIT_UNTIL(census(s->bus).keeper_children == 0);
        assert_int_equal(saved("roles", s->role), 0);
}

static void prepare(Start *s) {
        if (!s->was_run)
                return;
        start(s->bus, s->role, NULL, actor(), "exit", "5", NULL);
        expect_exited(s->bus, s->role, "exited", 5, NULL);
        stop(s->bus, s->role);
        WAIT_UNTIL(census(s->bus).keeper_children == 0);
}

static bool is_answered(void *userdata) {
        Start *s = userdata;
        return bus_has_reply(s->bus, s->serial);
}

/* Repeats until a start completes before its nth call. */
static void step_through(Bus *bus, guint traced, guint victims, bool was_run, bool products) {
        guint n_ran = 0, n = 0;
        bool reached = true;

        (void) census_before(bus); /* the slice exists */
        while (reached) {
                g_autofree char *fifo_name = g_strdup_printf("fifo%u", ++n);
                g_autoptr(Fifo) fifo = fifo_new(fifo_name);
                Start s = {
                        .bus = bus, .role = role_name_n("n", n), .was_run = was_run, .products = products
                };
                bool runs;

                prepare(&s);
                {
                        g_autoptr(Stepper) stepper =
                                stepper_new(traced == NODE ? node_pid(bus) : keeper_pid(bus),
                                        traced == NODE ? node_calls : keeper_calls);

                        start_send(&s, actor(), fifo);
                        reached = stepper_run(stepper, n, is_answered, &s);
                        if (reached)
                                kill_them(&s, victims);
                }
                runs = check(&s, reached ? victims : 0);
                if (!reached)
                        assert_true(runs);
                n_ran += runs;
                use_name(&s, runs);
        }
        print_message("  %u calls; after %u of the deaths it ran\n", n - 1, n_ran - 1);
        assert_true(n > 5);
}

static void test_node(void **state) {
        step_through(*state, NODE, NODE, false, false);
}

static void test_node_with_a_run_before(void **state) {
        step_through(*state, NODE, NODE, true, false);
}

static void test_keeper(void **state) {
        step_through(*state, KEEPER, KEEPER, false, false);
}

static void test_keeper_at_the_node(void **state) {
        step_through(*state, NODE, KEEPER, true, false);
}

static void test_node_at_the_keeper(void **state) {
        step_through(*state, KEEPER, NODE, false, false);
}

static void test_both_at_the_node(void **state) {
        step_through(*state, NODE, NODE | KEEPER, false, false);
}

static void test_both_at_the_keeper(void **state) {
        step_through(*state, KEEPER, NODE | KEEPER, true, false);
}

/* A role that runs has the record of its products, whoever has died. */
static void step_through_products(Bus *bus, guint traced, guint victims) {
        products_configure_fake(bus);
        step_through(bus, traced, victims, false, true);
        node_configure(bus, NULL);
}

static void test_products_node(void **state) {
        step_through_products(*state, NODE, NODE);
}

static void test_products_keeper(void **state) {
        step_through_products(*state, NODE, KEEPER);
}

static void test_products_both(void **state) {
        step_through_products(*state, NODE, NODE | KEEPER);
}

static void test_products_node_at_the_keeper(void **state) {
        step_through_products(*state, KEEPER, NODE);
}

/* While the child is before its exec. */
static void test_in_the_set_up(void **state) {
        Bus *bus = *state;

        (void) census_before(bus);
        for (guint victims = NODE; victims <= (NODE | KEEPER); victims++) {
                g_autofree char *fifo_name = g_strdup_printf("fifo%u", victims);
                g_autoptr(Fifo) fifo = fifo_new(fifo_name);
                g_autoptr(Hold) hold = hold_new();
                Start s = { .bus = bus, .role = role_name_n("held", victims) };
                bool runs;

                start_send(&s, hold_program(hold), fifo);
                held_child(bus, s.role);
                kill_them(&s, victims);
                WAIT_UNTIL(successors_are_there(&s, victims));
                /* The child may continue, and one of the two services is left to see the result. */
                if (victims != (NODE | KEEPER))
                        assert_state(bus, s.role, "starting");
                else
                        WAIT_UNTIL(strcmp(role_state(bus, s.role), "none") == 0);
                hold_release(hold);
                runs = check(&s, victims);
                assert_int_equal(runs, victims != (NODE | KEEPER));
                use_name(&s, runs);
        }
}

/* The keeper was requested to fork a child and does not reply. */
static void test_keeper_is_silent(void **state) {
        Bus *bus = *state;

        (void) census_before(bus);
        for (guint victims = NODE; victims <= (NODE | KEEPER); victims++) {
                g_autofree char *fifo_name = g_strdup_printf("fifo%u", victims);
                g_autoptr(Fifo) fifo = fifo_new(fifo_name);
                Start s = { .bus = bus, .role = role_name_n("silent", victims) };
                g_autofree char *owner = node_owner(bus);
                pid_t keeper = keeper_pid(bus);
                bool runs;

                assert_int_equal(kill(keeper, SIGSTOP), 0);
                WAIT_UNTIL(process_state(keeper) == 'T');
                start_send(&s, actor(), fifo);
                WAIT_UNTIL(saved("roles", s.role));
                kill_them(&s, victims);
                if (!(victims & KEEPER)) {
                        node_wait_next(bus, owner);
                        assert_int_equal(kill(keeper, SIGCONT), 0);
                }
                runs = check(&s, victims);
                use_name(&s, runs);
        }
}

/* While the start waits for the sweep of the previous run. */
static void test_in_the_sweep(void **state) {
        Bus *bus = *state;

        for (guint victims = NODE; victims <= (NODE | KEEPER); victims++) {
                g_autofree char *fifo_name = g_strdup_printf("fifo%u", victims);
                g_autofree char *other_name = g_strdup_printf("other%u", victims);
                g_autoptr(Fifo) fifo = fifo_new(fifo_name), other = fifo_new(other_name);
                Start s = { .bus = bus, .role = role_name_n("sweep", victims), .was_run = true };
                bool runs;
                int left;

                start(bus, s.role, OPTIONS("{'stop-timeout-usec': <@t 2000000>}"), actor(), "daemon{",
                        "tell-on", "TERM", fifo_path(other), "heard", "say", fifo_path(other), "ready",
                        "pause", "}", "read-eof", "exit", "5", NULL);
                left = process_open(fifo_expect_pid(other, "ready"));
                close_input(bus, s.role);
                expect_exited(bus, s.role, "exited", 5, "self");
                fifo_expect_pid(other, "heard");
                start_send(&s, actor(), fifo);
                assert_state(bus, s.role, "starting");
                kill_them(&s, victims);
                WAIT_UNTIL(successors_are_there(&s, victims));
                assert_false(process_is_dead(left));
                runs = check(&s, victims);
                assert_true(process_is_dead(left));
                close(left);
                assert_true(runs);
                use_name(&s, runs);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_node),
                TEST(test_node_with_a_run_before),
                TEST(test_keeper),
                TEST(test_keeper_at_the_node),
                TEST(test_node_at_the_keeper),
                TEST(test_both_at_the_node),
                TEST(test_both_at_the_keeper),
                TEST(test_products_node),
                TEST(test_products_keeper),
                TEST(test_products_both),
                TEST(test_products_node_at_the_keeper),
                TEST(test_in_the_set_up),
                TEST(test_keeper_is_silent),
                TEST(test_in_the_sweep),
        };
        return run_case("start-stages", tests);
}
