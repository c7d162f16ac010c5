/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The saved files of running roles are damaged while the service is down. The next one adopts the roles: none
 * is stopped, each is marked as Damaged, and each end is told with its status, also of those that have ended
 * meanwhile. MUTATION_SEED= in the environment repeats a run. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define STATE "/run/architect-node/main"
#define ROLES 20
#define ENDING 4 /* the first of them end while the service is down */
#define ROUNDS 4

typedef enum Kind {
        KIND_PLAIN,
        KIND_USER,
        KIND_OUTLIVED, /* runs on without its main process */
        KIND_TERMINAL,
        KIND_INPUT,
        _KIND_MAX,
} Kind;

typedef struct Run {
        const char *role;
        Kind kind;
        pid_t pid;
        int pidfd;
        char *cgroup;
        char *invocation;
        bool mutated;
} Run;

/* -- roles -- */

static void start_run(Bus *bus, Run *r, Fifo *fifo) {
        g_autofree char *script =
                g_strdup_printf("%s say %s report pause & exit 5", actor(), fifo_path(fifo));

        switch (r->kind) {
        case KIND_USER:
                start(bus, r->role, OPTIONS("{'stdin': <'null'>, 'user': <'daemon'>}"), actor(), "pause",
                        NULL);
                break;
        case KIND_OUTLIVED:
                start(bus, r->role, OPTIONS("{'stdin': <'null'>, 'exit-type': <'cgroup'>}"), "/bin/sh", "-c",
                        script, NULL);
                break;
        case KIND_TERMINAL:
                start(bus, r->role, OPTIONS("{'stdin': <'pty'>}"), actor(), "pause", NULL);
                break;
        case KIND_INPUT:
                start(bus, r->role, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
                break;
        default:
                start(bus, r->role, OPTIONS("{'stdin': <'null'>, 'stop-timeout-usec': <@t 3000000>}"),
                        actor(), "pause", NULL);
                break;
        }
        r->cgroup = role_cgroup(bus, r->role);
        r->invocation = role_get_string(bus, r->role, "InvocationID");
        if (r->kind != KIND_OUTLIVED)
                r->pid = role_pid(bus, r->role);
        else {
                r->pid = fifo_expect_pid(fifo, "report");
                WAIT_UNTIL(role_get_u32(bus, r->role, "MainPID") == 0);
        }
        r->pidfd = process_open(r->pid);
}

/* -- damage -- */

static void put(const char *path, const char *data, gsize size) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, size), (gssize) size);
        (void) close(fd);
}

/* Each of these makes a file that is not the one that was saved. */
static void mutate(GRand *rand, Run *r, const Run *other, guint kind) {
        g_autofree char *path = g_build_filename(STATE "/roles", r->role, NULL),
                        *others = g_build_filename(STATE "/roles", other->role, NULL), *text = NULL,
                        *its = NULL;
        gsize n, its_n;

        r->mutated = true;
        assert_true(g_file_get_contents(path, &text, &n, NULL));
        gsize at = (gsize) g_rand_int_range(rand, 0, (gint32) n);
        switch (kind) {
        case 0:
                text[at] ^= (char) (1 << g_rand_int_range(rand, 0, 8));
                put(path, text, n);
                break;
        case 1:
                put(path, text, at);
                break;
        case 2:
                text[at] = '\xff';
                put(path, text, n);
                break;
        case 3:
                put(path, "", 0);
                break;
        case 4:
                assert_true(g_file_get_contents(others, &its, &its_n, NULL));
                put(path, its, its_n);
                break;
        case 5:
                assert_int_equal(unlink(path), 0);
                assert_int_equal(mkfifo(path, 0600), 0);
                break;
        case 6:
                assert_int_equal(unlink(path), 0);
                assert_int_equal(mkdir(path, 0700), 0);
                break;
        case 7:
                assert_int_equal(unlink(path), 0);
                assert_int_equal(symlink("/dev/zero", path), 0);
                break;
        default:
                assert_int_equal(unlink(path), 0);
                break;
        }
}

/* -- what must hold -- */

static void check_adopted(Bus *bus, const Run *r) {
        g_autofree char *cgroup = role_cgroup(bus, r->role),
                        *invocation = role_get_string(bus, r->role, "InvocationID");
        g_autoptr(GVariant) damaged = role_get(bus, r->role, "Damaged");

        assert_false(process_is_dead(r->pidfd));
        assert_state(bus, r->role, "running");
        assert_int_equal(
                role_get_u32(bus, r->role, "MainPID"), r->kind == KIND_OUTLIVED ? 0 : (guint) r->pid);
        assert_string_equal(cgroup, r->cgroup);
        assert_string_equal(invocation, r->invocation);
        assert_int_equal(g_variant_get_boolean(damaged), r->mutated);
        assert_true(cgroup_is_populated(cgroup));
}

static void check_managed_objects(Bus *bus) {
        g_autoptr(GVariant) all = bus_call(
                bus, NODE_NAME, NODE_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);

        assert_non_null(all);
}

static void end_run(Bus *bus, Run *r, guint i, Fifo *fifo) {
        if (r->kind == KIND_INPUT) {
                send_input(bus, r->role, "still there?");
                fifo_expect_pid(fifo, "echo");
                close_input(bus, r->role);
                expect_exited(bus, r->role, "exited", 0, "self");
        } else if (r->kind == KIND_OUTLIVED) {
                assert_int_equal(kill(r->pid, SIGKILL), 0);
                expect_exited(bus, r->role, "exited", 5, NULL);
        } else if (i % 2 == 0) {
                assert_int_equal(kill(r->pid, SIGUSR1), 0);
                expect_exited(bus, r->role, "killed", SIGUSR1, "external");
        } else {
                stop(bus, r->role);
                expect_exited(bus, r->role, "killed", SIGTERM, "stop");
        }
        process_wait_dead(r->pidfd);
}

static void one_round(Bus *bus, GRand *rand, guint round, Fifo *fifo) {
        Run runs[ROLES] = {};

        for (guint i = 0; i < ROLES; i++) {
                runs[i] = (Run){ .role = role_name_n("r", i), .kind = (Kind) (i % _KIND_MAX), .pidfd = -1 };
                start_run(bus, &runs[i], fifo);
        }
        node_sync(bus);

        g_autofree char *owner = node_owner(bus);
        pid_t node = node_pid(bus);
        int pidfd = process_open(node);
        systemd_freeze(true);
        assert_int_equal(kill(node, SIGKILL), 0);
        process_wait_dead(pidfd);
        for (guint i = 0; i < ROLES; i++)
                if (g_rand_int_range(rand, 0, 8) > 0)
                        mutate(rand, &runs[i], &runs[(i + 1) % ROLES], (round + i) % 9);
        for (guint i = 0; i < ENDING; i++)
                if (runs[i].kind != KIND_OUTLIVED) {
                        assert_int_equal(kill(runs[i].pid, SIGUSR2), 0);
                        process_wait_dead(runs[i].pidfd);
                }
        systemd_freeze(false);
        node_wait_next(bus, owner);
        (void) close(pidfd);

        check_managed_objects(bus);
        for (guint i = 0; i < ROLES; i++)
                if (i < ENDING && runs[i].kind != KIND_OUTLIVED) {
                        Exited exited = expect_exited(bus, runs[i].role, "killed", SIGUSR2, "external");
                        assert_string_equal(
                                detail_string(exited.details, "invocation-id"), runs[i].invocation);
                } else
                        check_adopted(bus, &runs[i]);
        /* They stay so over another restart, which reads what was saved of them. */
        node_crash(bus);
        for (guint i = 0; i < ROLES; i++)
                if (i >= ENDING || runs[i].kind == KIND_OUTLIVED) {
                        check_adopted(bus, &runs[i]);
                        end_run(bus, &runs[i], i, fifo);
                }
        for (guint i = 0; i < ROLES; i++) {
                stop(bus, runs[i].role);
                purge(bus, runs[i].role);
                (void) close(runs[i].pidfd);
                g_free(runs[i].cgroup);
                g_free(runs[i].invocation);
        }
}

static void remove_aside(void) {
        run(NULL, NULL, "/bin/sh", "-c", "rm -rf " STATE "/roles/*~damaged*", NULL);
}

static void test_damage(void **state) {
        Bus *bus = *state;
        const char *given = getenv("MUTATION_SEED");
        guint32 seed = given ? (guint32) strtoul(given, NULL, 10) : g_random_int();
        GRand *rand = g_rand_new_with_seed(seed);
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        Census before;

        print_message("  MUTATION_SEED=%u\n", seed);
        before = census_before(bus);
        for (guint round = 0; round < ROUNDS; round++) {
                one_round(bus, rand, round, fifo);
                remove_aside();
        }
        g_rand_free(rand);
        assert_census(bus, &before);
}

static int teardown(void **state) {
        systemd_freeze(false);
        return case_teardown(state);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_damage, case_setup, teardown),
        };
        return run_case("damage", tests);
}
