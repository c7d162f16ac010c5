/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the keeper, which is the test here. */

#include "test-world.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "link/children.h"
#include "model/role-deadline.h"
#include "model/role-recover.h"
#include "proto/keeper-protocol.h"

typedef struct Keeper {
        TestWorld *world;
        Children *children;
        char *directory, *path;
        int listen_fd;
        pid_t pid; /* the main process of a role */
} Keeper;

static int setup(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Keeper *k = g_new0(Keeper, 1);
        void *world = NULL;

        assert_int_equal(test_world_setup(&world), 0);
        k->world = world;
        k->directory = g_dir_make_tmp("link-XXXXXX", NULL);
        assert_non_null(k->directory);
        k->path = g_build_filename(k->directory, "socket", NULL);
        (void) g_strlcpy(address.sun_path, k->path, sizeof(address.sun_path));
        k->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_return_code(k->listen_fd, errno);
        assert_return_code(bind(k->listen_fd, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_return_code(listen(k->listen_fd, 4), errno);

        k->pid = fork_pausing();
        *state = k;
        return 0;
}

static int teardown(void **state) {
        Keeper *k = *state;
        void *world = k->world;

        if (k->pid > 0) {
                (void) kill(k->pid, SIGKILL);
                (void) waitpid(k->pid, NULL, 0);
        }
        children_free(k->children);
        k->world->node->world.link = test_world.link;
        (void) fd_close(k->listen_fd);
        (void) g_unlink(k->path);
        (void) g_rmdir(k->directory);
        g_free(k->path);
        g_free(k->directory);
        g_free(k);
        return test_world_teardown(&world);
}

/* The node connects; returns the connection, after its greeting. */
static int keeper_accept(Keeper *k) {
        struct keeper_hello hello = {};
        int fd = -1;
        ssize_t n;

        world_wait(k->world, (fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
        world_wait(k->world, (n = recv(fd, &hello, sizeof(hello), 0)) >= 0);
        assert_int_equal(n, sizeof(hello));
        assert_int_equal(hello.header.type, KEEPER_HELLO);
        return fd;
}

static void keeper_welcome_version(int fd, uint32_t version, uint32_t n_children, uint32_t n_ports) {
        struct keeper_welcome m = { .header.type = KEEPER_WELCOME,
                .version = version,
                .n_children = n_children,
                .n_ports = n_ports };

        assert_return_code(socket_send(fd, &m, sizeof(m), NULL, 0), 0);
}

static void keeper_welcome(int fd, uint32_t n_children, uint32_t n_ports) {
        keeper_welcome_version(fd, KEEPER_PROTOCOL_VERSION, n_children, n_ports);
}

static void keeper_ports(int fd, uint16_t number) {
        struct keeper_ports m = { .header.type = KEEPER_PORTS,
                .ports = { { .number = number, .protocol = KEEPER_TCP } } };

        assert_return_code(socket_send(fd, &m, keeper_ports_size(1), NULL, 0), 0);
}

static void keeper_child(Keeper *k, int fd, const Role *role) {
        struct keeper_child m = { .header = { .type = KEEPER_CHILD, .child = role->child },
                .pid = k->pid,
                .fds = KEEPER_FD_PIDFD,
                .execed = 1,
                .start_time = start_time_of(k->pid) };
        autofd pidfd = pidfd_open_pid(k->pid);

        assert_return_code(pidfd, 0);
        (void) g_strlcpy(m.role, role->name, sizeof(m.role));
        assert_return_code(socket_send(fd, &m, sizeof(m), (int[]){ pidfd }, 1), 0);
}

/* The connection is lost in the middle of the list: by the next keeper, which does not have the child, its
 * end is seen all the same, and a port of that list is not released. */
static void test_half_a_list(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;
        char byte;

        Role *role = world_run(w, "cam", NULL);
        node_on_keeper_lost(w->node);
        assert_return_code(children_new(w->event, w->node, k->path, &k->children), 0);
        children_open(k->children);
        int fd = keeper_accept(k);
        keeper_welcome(fd, 2, 1);
        keeper_ports(fd, 4711);
        keeper_child(k, fd, role);
        world_wait(w, role->child_exists);
        assert_int_equal(role->main_pid, k->pid);
        fd = fd_close(fd);
        world_wait(w, !role->child_exists);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(w->n_recovered, 0);

        fd = keeper_accept(k);
        keeper_welcome(fd, 0, 0);
        world_wait(w, w->n_recovered > 0);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_return_code(kill(k->pid, SIGKILL), errno);
        assert_int_equal(waitpid(k->pid, NULL, 0), k->pid);
        k->pid = 0;
        (void) g_hash_table_remove(w->populated, role);
        world_wait(w, role->swept);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(recv(fd, &byte, sizeof(byte), 0), -1);
        assert_int_equal(errno, EAGAIN);
        (void) fd_close(fd);
}

/* A role with a keeper of this version. */
static Role *run_with_keeper(Keeper *k, uint32_t version, int *ret_fd) {
        TestWorld *w = k->world;

        Role *role = world_run(w, "cam", NULL);
        node_on_keeper_lost(w->node);
        /* A node before this one may have connected again before it was freed. */
        for (int left; (left = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
                (void) fd_close(left);
        assert_return_code(children_new(w->event, w->node, k->path, &k->children), 0);
        children_open(k->children);
        *ret_fd = keeper_accept(k);
        keeper_welcome_version(*ret_fd, version, 1, 0);
        keeper_child(k, *ret_fd, role);
        world_wait(w, ASK(w->node, link, connected));
        assert_true(role->child_exists);
        forget_calls(w);
        return role;
}

/* The main process ends without a keeper, and its cgroup is empty. */
static void end_without_keeper(Keeper *k, Role *role) {
        assert_return_code(kill(k->pid, SIGKILL), errno);
        assert_int_equal(waitpid(k->pid, NULL, 0), k->pid);
        k->pid = 0;
        (void) g_hash_table_remove(k->world->populated, role);
        world_wait(k->world, role->swept);
        assert_int_equal(role->state, ROLE_ENDED);
}

static void expect_signal(int fd, const Role *role, int signo, uint32_t flags) {
        struct keeper_signal_cgroup m;
        ssize_t n = recv(fd, &m, sizeof(m), 0);

        assert_int_equal(n, offsetof(struct keeper_signal_cgroup, path) + strlen(role->cgroup) + 1);
        assert_int_equal(m.header.type, KEEPER_SIGNAL_CGROUP);
        assert_int_equal(m.header.child, role->child);
        assert_int_equal(m.signo, signo);
        assert_int_equal(m.flags, flags);
        assert_string_equal(m.path, role->cgroup);
}

static void reply_done(int fd, const Role *role, uint32_t request, int error) {
        struct keeper_done m = {
                .header = { .type = KEEPER_DONE, .child = role->child }, .request = request, .error = error
        };

        assert_return_code(socket_send(fd, &m, sizeof(m), NULL, 0), 0);
}

/* A stop closes a piped standard input, after the signal. */
static void expect_close_stdin(int fd) {
        struct keeper_header m;

        assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
        assert_int_equal(m.type, KEEPER_CLOSE_STDIN);
}

/* The keeper dies after the stop signal was sent to it and before it replies, so systemd sends it. */
static void test_signal_is_lost(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;
        int fd;

        for (int replied = 0; replied < 2; replied++) {
                Role *role = run_with_keeper(k, KEEPER_PROTOCOL_VERSION, &fd);

                node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
                expect_calls(w, "save(cam)");
                expect_signal(fd, role, SIGTERM, KEEPER_CGROUP_CONTINUE);
                expect_close_stdin(fd);
                if (replied)
                        reply_done(fd, role, KEEPER_SIGNAL_CGROUP, 0);
                fd = fd_close(fd);
                world_wait(w, !role->child_exists);
                if (replied)
                        expect_calls(w, "");
                else
                        expect_calls(w, "save(cam) signal-all(cam,15) signal-all(cam,18)");
                end_without_keeper(k, role);
                node_purge_role(w->node, role, NULL);
                k->children = children_free(k->children);
                w->node->world.link = test_world.link;
                k->pid = fork_pausing();
        }
}

static void test_answers(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;
        static const struct {
                int error;
                NodeError fault;
                const char *text;
        } answers[] = {
                { -ESRCH, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"cam\" has ended" },
                { -ENOENT, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"cam\" has ended" },
                { -EPERM, NODE_ERROR_IO_ERROR, "Cannot signal role \"cam\": Operation not permitted" },
        };
        g_auto(Fault) fault = {};
        g_auto(Told) success = {};
        int fd;

        Role *role = run_with_keeper(k, KEEPER_PROTOCOL_VERSION, &fd);
        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                g_auto(Told) told = {};

                assert_return_code(
                        node_signal_role(w->node, role, true, SIGUSR1, NULL, told_by(&told), &fault), 0);
                expect_signal(fd, role, SIGUSR1, 0);
                reply_done(fd, role, KEEPER_SIGNAL_CGROUP, answers[i].error);
                world_wait(w, told.n > 0);
                assert_told_fault(&told, answers[i].fault, answers[i].text);
        }
        assert_return_code(
                node_signal_role(w->node, role, true, SIGUSR1, NULL, told_by(&success), &fault), 0);
        expect_signal(fd, role, SIGUSR1, 0);
        reply_done(fd, role, KEEPER_SIGNAL_CGROUP, 0);
        world_wait(w, success.n > 0);
        assert_told_success(&success);

        /* The end of the service: nothing is asked of systemd any more. */
        forget_calls(w);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        expect_signal(fd, role, SIGTERM, KEEPER_CGROUP_CONTINUE);
        k->children = children_free(k->children);
        expect_calls(w, "save(cam)");
        w->node->world.link = test_world.link;
        (void) fd_close(fd);
}

/* A keeper that was started before an upgrade: it kills, but systemd sends all other signals. */
static void test_previous_version(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;
        struct keeper_kill_cgroup m;
        int fd;

        Role *role = run_with_keeper(k, KEEPER_PROTOCOL_VERSION_MIN, &fd);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        expect_calls(w, "save(cam) signal-all(cam,15) signal-all(cam,18)");
        expect_close_stdin(fd);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
        expect_calls(w, "save(cam)");
        assert_true(recv(fd, &m, sizeof(m), 0) > 0);
        assert_int_equal(m.header.type, KEEPER_KILL_CGROUP);
        assert_string_equal(m.path, role->cgroup);
        reply_done(fd, role, KEEPER_KILL_CGROUP, 0);
        world_wait(w, w->calls->len > 0);
        expect_calls(w, "freeze-and-kill(cam)");
        fd = fd_close(fd);
        world_wait(w, !role->child_exists);
        end_without_keeper(k, role);
}

static void keeper_notified(int fd, const Role *role, NotifyKind kind, uint64_t number, const char *text) {
        struct keeper_notified m = { .header = { .type = KEEPER_NOTIFIED, .child = role->child },
                .number = number,
                .monotonic_usec = 5,
                .kind = kind,
                .value = 2 };

        (void) g_strlcpy(m.text, text, sizeof(m.text));
        assert_return_code(
                socket_send(fd, &m, offsetof(struct keeper_notified, text) + strlen(text) + 1, NULL, 0), 0);
}

static void expect_take(int fd, const Role *role, uint64_t number) {
        struct keeper_take_notified m;

        assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
        assert_int_equal(m.header.type, KEEPER_TAKE_NOTIFIED);
        assert_int_equal(m.header.child, role->child);
        assert_true(m.number == number);
        reply_done(fd, role, KEEPER_TAKE_NOTIFIED, 0);
}

/* What a role sends is saved, all of a turn at once, and then the keeper is told. A sync is complete when
 * what comes before its reply is known. */
static void test_notified(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;
        int fd;

        Role *role = run_with_keeper(k, KEEPER_PROTOCOL_VERSION, &fd);
        keeper_notified(fd, role, NOTIFY_ERRNO, 2, "");
        keeper_notified(fd, role, NOTIFY_STATUS, 3, "a\xff");
        world_wait(w, role->status_text && !role->notified_due);
        assert_string_equal(role->status_text, "a\xef\xbf\xbd"); /* U+FFFD */
        expect_calls(w, "save(cam)");
        expect_take(fd, role, 3);

        role->watchdog_ping = 1;
        role->spec->watchdog_usec = 1;
        role_watch_deadlines(role);
        world_wait(w, !role->timer);
        struct keeper_take_notified m;
        assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
        assert_true(m.number == 0);
        keeper_notified(fd, role, NOTIFY_WATCHDOG, 4, "");
        world_wait(w, role->watchdog_ping == 5);
        assert_int_equal(role->state, ROLE_RUNNING);
        reply_done(fd, role, KEEPER_TAKE_NOTIFIED, 0);
        world_wait(w, role->state == ROLE_STOPPING);
        assert_int_equal(role->cause, ROLE_CAUSE_WATCHDOG);

        /* Of a child that no role has, and one whose text is not terminated. */
        const Role none = { .child = 4711 };
        keeper_notified(fd, &none, NOTIFY_STATUS, 1, "x");
        struct keeper_notified bad = { .header = { .type = KEEPER_NOTIFIED, .child = role->child } };
        memset(bad.text, 'x', sizeof(bad.text));
        assert_return_code(socket_send(fd, &bad, sizeof(bad), NULL, 0), 0);
        world_wait(w, !role->child_exists);
        (void) fd_close(fd);
        end_without_keeper(k, role);
}

/* An older keeper is not asked for a socket. */
static void test_no_notify_before(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;

        for (uint32_t version = 4; version <= KEEPER_PROTOCOL_VERSION; version++) {
                int fd;

                Role *role = run_with_keeper(k, version, &fd);
                g_autoptr(Role) next = role_new(w->node, "next", test_spec());
                next->child = 99;
                next->spec->notify_access = NOTIFY_ACCESS_ALL;
                assert_int_equal(ASK(w->node, link, fork, next), version < 5 ? -EPROTONOSUPPORT : 0);
                if (version >= 5) {
                        struct keeper_fork m;

                        assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
                        assert_int_equal(m.flags,
                                KEEPER_FORK_STDIN_PIPE | KEEPER_FORK_NOTIFY | KEEPER_FORK_NOTIFY_ALL);
                }
                g_autoptr(Role) stamped = role_new(w->node, "stamped", test_spec());
                stamped->child = 100;
                stamped->spec->output_timestamps = true;
                assert_int_equal(ASK(w->node, link, fork, stamped), version < 6 ? -EPROTONOSUPPORT : 0);
                if (version >= 6) {
                        struct keeper_fork m;

                        assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
                        assert_int_equal(m.flags, KEEPER_FORK_STDIN_PIPE | KEEPER_FORK_TIMESTAMPS);
                }
                stamped = role_free(stamped);
                next = role_free(next);
                (void) fd_close(fd);
                world_wait(w, !role->child_exists);
                end_without_keeper(k, role);
                node_purge_role(w->node, role, NULL);
                k->children = children_free(k->children);
                w->node->world.link = test_world.link;
                k->pid = fork_pausing();
        }
}

/* The children of an older keeper know no stream that is shared. */
static void test_no_streams_before(void **state) {
        Keeper *k = *state;
        TestWorld *w = k->world;

        world_set_streams(w, OUTPUTS_OWN_MAX);
        for (uint32_t version = KEEPER_PROTOCOL_VERSION_MIN; version <= KEEPER_PROTOCOL_VERSION; version++) {
                _cleanup_(launch_request_freep) LaunchRequest *request = NULL;
                struct gate_open open = {};
                int fd, gate[2], memfd;
                size_t n_fds = 1;

                Role *role = run_with_keeper(k, version, &fd);
                assert_int_equal(ASK(w->node, link, outdated), version < KEEPER_PROTOCOL_VERSION);
                assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), errno);
                g_autoptr(Role) next = role_new(w->node, "next", test_spec());
                next->gate_fd = gate[0];
                assert_return_code(ASK(w->node, link, launch, next), 0);
                assert_int_equal(socket_recv(gate[1], &open, sizeof(open), &memfd, &n_fds), sizeof(open));
                assert_return_code(launch_request_read(memfd, &request), 0);
                assert_int_equal(request->stream, version < 4 ? LAUNCH_STREAM_OWN : LAUNCH_STREAM_OFFERED);
                next = role_free(next);
                (void) fd_close(memfd);
                (void) fd_close(gate[1]);
                (void) fd_close(fd);
                world_wait(w, !role->child_exists);
                end_without_keeper(k, role);
                node_purge_role(w->node, role, NULL);
                k->children = children_free(k->children);
                w->node->world.link = test_world.link;
                k->pid = fork_pausing();
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_half_a_list, setup, teardown),
                cmocka_unit_test_setup_teardown(test_signal_is_lost, setup, teardown),
                cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
                cmocka_unit_test_setup_teardown(test_previous_version, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_streams_before, setup, teardown),
                cmocka_unit_test_setup_teardown(test_notified, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_notify_before, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
