/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The gate of a start, with the test as the child: every option that the child needs arrives there. */

#include "spec-members.h"
#include "test-world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "link/children.h"
#include "model/env.h"
#include "model/products.h"
#include "model/role-hooks.h"
#include "model/settings.h"
#include "proto/product-record.h"

/* LaunchRequest is initialised by position below. A new member without a line here does not compile. */
#define REQUEST_MEMBERS(X) \
        X(role, string, role->name) \
        X(instance, string, role->node->instance) \
        X(scope, string, role->scope) \
        X(command, strv, spec->command) \
        X(commands, elsewhere, NULL) /* test_hooks() */ \
        X(base_environment, strv, base) \
        X(environment, strv, spec->environment) \
        X(environment_files, strv, spec->environment_files) \
        X(working_directory, string, spec->working_directory) \
        X(user, string, spec->user) \
        X(group, string, spec->group) \
        X(output, plain, spec->output) \
        X(output_path, string, spec->output_path) \
        X(stream, elsewhere, 0) /* test_streams() */ \
        X(stream_uid, elsewhere, 0) \
        X(nice_set, plain, spec->nice_set) \
        X(nice, plain, spec->nice) \
        X(limits_set, plain, spec->limits_set) \
        X(limits, plain, SPEC_LIMITS) \
        X(setup, strv, setup) \
        X(setup_deadline_usec, plain, USEC_INFINITY) \
        X(record, plain, true) \
        X(xterm, plain, spec->xterm) \
        X(xterm_args, strv, spec->xterm_args) \
        X(default_sigpipe, plain, spec->default_sigpipe) \
        X(cpu_affinity, string, spec->cpu_affinity) \
        X(oom_score_adjust_set, plain, spec->oom_score_adjust_set) \
        X(oom_score_adjust, plain, spec->oom_score_adjust) \
        X(cgroups_max, plain, 256) \
        X(watchdog_usec, plain, spec->watchdog_usec) \
        X(exec_start_pre, strv, spec->exec_start_pre) \
        X(start_pre_timeout_usec, plain, spec->timeout_start_usec) \
        X(account, account, &account)

/* An option that goes into the request has a member of its name there, and so a line above. */
#define HAS_request(member) \
        _Static_assert(sizeof(((LaunchRequest *) NULL)->member) == sizeof(((RoleSpec *) NULL)->member), "");
#define HAS_setup(member)
#define HAS_account(member)
#define HAS_keeper(member)
#define HAS_scope(member)
#define HAS_node(member)
#define HAS_hook(member)
#define HAS(member, kind, saved, to, ...) HAS_##to(member)
SPEC_MEMBERS(HAS)

static bool same_account(const void *a, const void *b, size_t size) {
        const LaunchAccount *x = *(LaunchAccount *const *) a, *y = *(LaunchAccount *const *) b;

        if (!x || !y)
                return x == y;
        return x->uid == y->uid && x->gid == y->gid && x->n_groups == y->n_groups &&
               memcmp(x->groups, y->groups, x->n_groups * sizeof(x->groups[0])) == 0 &&
               g_str_equal(x->name, y->name) && g_str_equal(x->home, y->home) &&
               g_str_equal(x->shell, y->shell);
}

#define same_elsewhere NULL

typedef struct RequestMember {
        const char *name;
        size_t offset, size;
        bool (*same)(const void *a, const void *b, size_t size);
} RequestMember;

static const RequestMember request_members[] = {
#define MEMBER(member, kind, ...) \
        { #member, offsetof(LaunchRequest, member), sizeof(((LaunchRequest *) NULL)->member), same_##kind },
        REQUEST_MEMBERS(MEMBER)
};

static void assert_every_member(const LaunchRequest *expected, const LaunchRequest *found) {
        static const LaunchRequest nothing;

        for (size_t i = 0; i < ELEMENTSOF(request_members); i++) {
                const RequestMember *m = &request_members[i];
                const char *value = (const char *) expected + m->offset;

                if (!m->same)
                        continue;
                if (memcmp(value, (const char *) &nothing + m->offset, m->size) == 0)
                        fail_msg("%s is not set here, so that nothing is tested", m->name);
                if (!m->same(value, (const char *) found + m->offset, m->size))
                        fail_msg("%s does not reach the child", m->name);
        }
}

static void test_every_option(void **state) {
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;
        _cleanup_(launch_request_freep) LaunchRequest *request = NULL;
        struct gate_open open = {};
        int fds[1], gate[2];
        size_t n_fds = ELEMENTSOF(fds);

        g_autoptr(Role) role = role_new(w->node, "cam", spec_without_defaults());
        const RoleSpec *spec = role->spec;
        assert_return_code(env_set(w->node->env, 0, "BASE", "1", NULL), 0);
        w->node->settings->setup_timeout_usec = USEC_INFINITY;
        g_auto(GStrv) base = env_list_role(w->node->env, spec->account, &role->owner),
                      setup = products_setup(spec, w->node->settings);
        LaunchAccount account = {
                .uid = spec->account->uid,
                .gid = spec->account->gid,
                .groups = (uint32_t *) spec->account->groups->data,
                .n_groups = spec->account->groups->len,
                .name = spec->account->name,
                .home = spec->account->home,
                .shell = spec->account->shell,
        };
        const LaunchRequest expected = {
#define REQUEST_VALUE(member, kind, ...) __VA_ARGS__,
                REQUEST_MEMBERS(REQUEST_VALUE)
        };

        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), errno);
        autofd child = gate[1];
        role->gate_fd = gate[0];
        assert_return_code(ASK(w->node, link, launch, role), 0);

        assert_int_equal(socket_recv(child, &open, sizeof(open), fds, &n_fds), sizeof(open));
        assert_int_equal(n_fds, 1);
        autofd memfd = fds[0];
        assert_int_equal(open.magic, GATE_MAGIC);
        assert_int_equal(open.version, LAUNCH_REQUEST_VERSION);
        assert_return_code(launch_request_read(memfd, &request), 0);
        assert_every_member(&expected, request);
}

/* A role of root begins with what root has set, and one that a user starts with what this user has set. */
static void test_environment(void **state) {
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;

        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        assert_return_code(env_set(w->node->env, 0, "SECRET", "1", NULL), 0);
        assert_return_code(env_set(w->node->env, 77, "HERS", "1", NULL), 0);
        for (int of_user = 0; of_user < 2; of_user++) {
                g_autoptr(Role) role = role_new(w->node, "cam", spec_without_defaults());
                _cleanup_(launch_request_freep) LaunchRequest *request = NULL;
                struct gate_open open = {};
                int fds[1], gate[2];
                size_t n_fds = ELEMENTSOF(fds);

                if (!of_user)
                        role->spec->account = account_free(role->spec->account);
                else {
                        role->spec->account->uid = 77;
                        role->spec->account->gid = g_array_index(role->spec->account->groups, gid_t, 0);
                        role->owner = (Caller){ .known = true, .uid = 77 };
                }
                assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), errno);
                autofd child = gate[1];
                role->gate_fd = gate[0];
                assert_return_code(ASK(w->node, link, launch, role), 0);
                assert_int_equal(socket_recv(child, &open, sizeof(open), fds, &n_fds), sizeof(open));
                autofd memfd = fds[0];
                assert_return_code(launch_request_read(memfd, &request), 0);
                assert_int_equal(!request->account, !of_user);
                assert_int_equal(g_strv_contains((const char *const *) request->base_environment, "SECRET=1"),
                        !of_user);
                assert_int_equal(
                        g_strv_contains((const char *const *) request->base_environment, "HERS=1"), of_user);
        }
}

/* Commands beside that of the role: the same request, but with them, and without what belongs to its main
 * process. */
static void test_hooks(void **state) {
        static const HookKind kinds[] = { HOOK_STOP, HOOK_STOP_POST };
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;

        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                g_autoptr(Role) role = role_new(w->node, "cam", spec_without_defaults());
                _cleanup_(launch_request_freep) LaunchRequest *request = NULL;
                struct gate_open open = {};
                int fds[1], gate[2];
                size_t n_fds = ELEMENTSOF(fds);
                const RoleSpec *spec = role->spec;

                role->spec->output = LAUNCH_OUTPUT_FILE;
                Role *hook = role_hook_new(role, kinds[i]);
                assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), errno);
                autofd child = gate[1];
                hook->gate_fd = gate[0];
                assert_return_code(ASK(w->node, link, launch, hook), 0);
                assert_int_equal(socket_recv(child, &open, sizeof(open), fds, &n_fds), sizeof(open));
                autofd memfd = fds[0];
                assert_return_code(launch_request_read(memfd, &request), 0);
                assert_null(request->command);
                assert_true(g_strv_equal((const char *const *) request->commands,
                        (const char *const *) (kinds[i] == HOOK_STOP ? spec->exec_stop
                                                                     : spec->exec_stop_post)));
                assert_string_equal(request->role, "cam");
                assert_string_equal(request->user, spec->user);
                assert_int_equal(request->account->uid, spec->account->uid);
                assert_int_equal(request->output, LAUNCH_OUTPUT_APPEND);
                assert_true(request->limits_set == spec->limits_set && request->nice == spec->nice);
                assert_non_null(request->setup);
                assert_false(request->record);
                assert_false(request->xterm);
                assert_null(request->exec_start_pre);
                assert_true(request->watchdog_usec == 0);
        }
}

/* Both ends of the gate, for the handler of SIGIO, which runs when something has arrived at that of the
 * child. */
static int io_child, io_node;
static volatile sig_atomic_t replied_first;

static bool has_packet(int fd) {
        char byte;

        return recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void on_io(int signo) {
        int error = errno;

        if (has_packet(io_child) && has_packet(io_node))
                replied_first = true;
        errno = error;
}

/* The child waits for the reply. If the node dies before it has replied, the next one must find the record,
 * so it leaves the gate only after that. */
static void test_record_stays(void **state) {
        static char name[] = "camera", version[] = "3.1", change[] = "CAMERA_DIR=/opt/camera";
        char *products[] = { name, version, NULL }, *changes[] = { change, NULL };
        const struct gate_record m = { .magic = GATE_RECORD_MAGIC };
        const struct sigaction action = { .sa_handler = on_io, .sa_flags = SA_RESTART };
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;
        struct gate_recorded reply = {};
        int gate[2];

        g_autoptr(Role) role = role_new(w->node, "cam", spec_without_defaults());
        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), errno);
        autofd child = gate[1];
        role->gate_fd = gate[0];
        ASK(w->node, link, watch_gate, role);

        autofd memfd = product_record_write(products, changes);
        assert_true(memfd >= 0);
        assert_return_code(socket_send(child, &m, sizeof(m), &memfd, 1), 0);
        io_child = child;
        io_node = role->gate_fd;
        assert_return_code(sigaction(SIGIO, &action, NULL), errno);
        assert_return_code(fcntl(child, F_SETOWN, getpid()), errno);
        assert_return_code(fcntl(child, F_SETFL, O_ASYNC), errno);
        world_wait(w, has_packet(child));
        assert_return_code(fcntl(child, F_SETFL, 0), errno);

        assert_true(replied_first);
        assert_false(has_packet(role->gate_fd));
        assert_int_equal(recv(child, &reply, sizeof(reply), 0), sizeof(reply));
        assert_int_equal(reply.magic, GATE_RECORDED_MAGIC);
}

typedef struct Launched {
        Role *role;
        int gate; /* the end of the child */
        LaunchRequest *request;
        int stream; /* that it has received; negative if there was none */
} Launched;

static void launched_clear(Launched *l) {
        l->role = role_free(l->role);
        (void) fd_close(l->gate);
        (void) fd_close(l->stream);
        launch_request_freep(&l->request);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Launched, launched_clear)

static Launched launch(TestWorld *w, const char *name) {
        Launched l = { .role = role_new(w->node, name, test_spec()), .stream = -EBADF };
        struct gate_open open = {};
        int fds[2], gate[2];
        size_t n_fds = ELEMENTSOF(fds);

        assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), errno);
        l.role->gate_fd = gate[0];
        l.gate = gate[1];
        assert_return_code(ASK(w->node, link, launch, l.role), 0);
        assert_int_equal(socket_recv(l.gate, &open, sizeof(open), fds, &n_fds), sizeof(open));
        assert_in_range(n_fds, 1, 2);
        autofd memfd = fds[0];
        if (n_fds > 1)
                l.stream = fds[1];
        assert_return_code(launch_request_read(memfd, &l.request), 0);
        return l;
}

static ino_t inode_of(int fd) {
        struct stat st;

        assert_return_code(fstat(fd, &st), errno);
        return st.st_ino;
}

/* The journal has many streams: the child of the first role is requested to make one for others, too, and the
 * next one receives what the first one has sent. */
static void test_streams(void **state) {
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;
        const struct gate_stream m = { .magic = GATE_STREAM_MAGIC, .uid = 4711 };
        int stream[2];

        world_set_streams(w, OUTPUTS_OWN_MAX - 1);
        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        {
                g_auto(Launched) own = launch(w, "own");
                assert_int_equal(own.request->stream, LAUNCH_STREAM_OWN);
                assert_true(own.stream < 0);
        }

        world_set_streams(w, OUTPUTS_OWN_MAX);
        g_auto(Launched) first = launch(w, "first");
        assert_int_equal(first.request->stream, LAUNCH_STREAM_OFFERED);
        assert_true(first.stream < 0);
        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), errno);
        autofd journal = stream[0], sent = stream[1];
        assert_true(journal >= 0);
        assert_return_code(socket_send(first.gate, &m, sizeof(m), &sent, 1), 0);
        world_wait(w, first.role->output_stream);
        assert_false(has_packet(first.role->gate_fd));

        g_auto(Launched) second = launch(w, "second");
        assert_int_equal(second.request->stream, LAUNCH_STREAM_SHARED);
        assert_int_equal(second.request->stream_uid, 4711);
        assert_true(second.stream >= 0);
        assert_int_equal(inode_of(second.stream), inode_of(sent));
}

/* What the child says before its exec is known when that is noticed. */
static void test_times(void **state) {
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;
        const struct gate_times m = { .magic = GATE_TIMES_MAGIC, .products_usec = 300, .hooks_usec = 40 };

        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        g_auto(Launched) l = launch(w, "cam");
        StartTimes *times = &l.role->start_times;
        times->since = now_usec(CLOCK_MONOTONIC) - USEC_PER_SEC; /* long enough for both */
        const uint64_t since = times->since;
        assert_return_code(socket_send(l.gate, &m, sizeof(m), NULL, 0), 0);
        world_wait(w, times->known != 0);
        assert_false(has_packet(l.role->gate_fd));
        assert_int_equal(times->known, 1U << START_STEP_PRODUCTS | 1U << START_STEP_HOOKS);
        assert_int_equal(times->usec[START_STEP_PRODUCTS], 300);
        assert_int_equal(times->usec[START_STEP_HOOKS], 40);
        assert_int_equal(times->since, since + 340);
}

/* The state of the role is saved while the report is still in the gate. */
static bool reported_at_save;
static int save_looks_at_gate(void *data, const Role *role) {
        reported_at_save = reported_at_save || (role->output_lost && has_packet(role->gate_fd));
        return 0;
}

static void test_lost_output_stays(void **state) {
        TestWorld *w = *state;
        g_autoptr(Children) children = NULL;
        StoreOps store = *w->node->world.store.ops;
        struct gate_report m = { .magic = GATE_MAGIC,
                .stage = LAUNCH_STAGE_OUTPUT,
                .error = -EPIPE,
                .warning = 1,
                .text = "the journal" };

        store.save = save_looks_at_gate;
        w->node->world.store.ops = &store;
        assert_return_code(children_new(w->event, w->node, "/nowhere", &children), 0);
        {
                g_auto(Launched) l = launch(w, "cam");
                assert_return_code(socket_send(l.gate, &m, sizeof(m), NULL, 0), 0);
                world_wait(w, l.role->output_lost);
                assert_true(reported_at_save);
                assert_false(has_packet(l.role->gate_fd));
        }
        w->node->world.store.ops = test_world.store.ops;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_option, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_hooks, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_environment, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_record_stays, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_streams, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_times, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(
                        test_lost_output_stays, test_world_setup, test_world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
