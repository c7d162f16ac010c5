/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The gate of a start, with the test as the child: every option that the child needs arrives there. */

#include "spec-members.h"
#include "test-world.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "link/children.h"
#include "model/env.h"
#include "model/products.h"
#include "model/settings.h"

/* LaunchRequest is initialised by position below. A new member without a line here does not compile. */
#define REQUEST_MEMBERS(X) \
        X(role, string, role->name) \
        X(instance, string, role->node->instance) \
        X(scope, string, role->scope) \
        X(command, strv, spec->command) \
        X(base_environment, strv, base) \
        X(environment, strv, spec->environment) \
        X(working_directory, string, spec->working_directory) \
        X(user, string, spec->user) \
        X(group, string, spec->group) \
        X(output, plain, spec->output) \
        X(output_path, string, spec->output_path) \
        X(nice_set, plain, spec->nice_set) \
        X(nice, plain, spec->nice) \
        X(limits_set, plain, spec->limits_set) \
        X(limits, plain, SPEC_LIMITS) \
        X(setup, strv, setup) \
        X(setup_deadline_usec, plain, USEC_INFINITY) \
        X(record, plain, true) \
        X(xterm, plain, spec->xterm) \
        X(xterm_args, strv, spec->xterm_args) \
        X(default_sigpipe, plain, spec->default_sigpipe)

/* An option that goes into the request has a member of its name there, and so a line above. */
#define HAS_request(member) \
        _Static_assert(sizeof(((LaunchRequest *) NULL)->member) == sizeof(((RoleSpec *) NULL)->member), "");
#define HAS_setup(member)
#define HAS_keeper(member)
#define HAS_scope(member)
#define HAS_node(member)
#define HAS(member, kind, saved, to, ...) HAS_##to(member)
SPEC_MEMBERS(HAS)

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
        assert_return_code(env_set(w->node->env, "BASE", "1", NULL), 0);
        w->node->settings->setup_timeout_usec = USEC_INFINITY;
        g_auto(GStrv) base = env_list(w->node->env), setup = products_setup(spec, w->node->settings);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_option, test_world_setup, test_world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
