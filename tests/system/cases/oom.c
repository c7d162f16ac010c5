/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: vm
 *
 * The OOM killer of the kernel, in cgroup v2: with and without memory-max, over a restart of the service, and
 * never confused with SIGKILL of another program. */

#include <unistd.h>

#include "testlib.h"

#define OWN_SLICES "architect-main-*-*.slice"
#define MEMORY_MAX OPTIONS("{'memory-max': <@t 67108864>}")

/* The limit of all roles, as an administrator sets it, or as a machine without memory is. */
static void set_slice_limit(const char *limit) {
        g_autofree char *assignment = g_strconcat("MemoryMax=", limit, NULL);

        g_free(run_ok("systemctl", "set-property", "--runtime", "architect.slice", assignment, NULL));
}

static void expect_oom(Bus *bus, const char *role) {
        Exited exited = expect_exited(bus, role, "killed", SIGKILL, "oom");

        assert_true(detail_bool(exited.details, "oom-kill"));
}

static void expect_external(Bus *bus, const char *role) {
        assert_return_code(kill(role_pid(bus, role), SIGKILL), errno);
        Exited exited = expect_exited(bus, role, "killed", SIGKILL, "external");

        assert_false(detail_has(exited.details, "oom-kill") && detail_bool(exited.details, "oom-kill"));
}

/* All in one sub-slice, whether the cgroup of the scope is gone already at the end of the role or not. */
static void test_without_limit(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *child = role_name("child"), *other = role_name("other");

        start(bus, other, NULL, actor(), "pause", NULL);
        set_slice_limit("64M");
        for (int i = 0; i < 5; i++) {
                start(bus, role, NULL, actor(), "touch", "300", NULL);
                expect_oom(bus, role);
                start(bus, role, NULL, actor(), "pause", NULL);
                expect_external(bus, role);
        }
        start(bus, child, NULL, "sh", "-c", "\"$0\" touch 300; exit 1", actor(), NULL);
        Exited exited = expect_exited(bus, child, "exited", 1, "self");
        assert_true(!detail_has(exited.details, "oom-kill") || detail_bool(exited.details, "oom-kill"));
        set_slice_limit("infinity");
        expect_external(bus, other);
        assert_int_equal(count_units(bus, OWN_SLICES), 0);
}

/* A role with memory-max has a slice of its own as long as it has a process. */
static void test_own_slice(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");

        start(bus, role, MEMORY_MAX, actor(), "pause", NULL);
        assert_int_equal(count_units(bus, OWN_SLICES), 1);
        expect_external(bus, role);
        WAIT_UNTIL(count_units(bus, OWN_SLICES) == 0);
        start(bus, role, MEMORY_MAX, actor(), "touch", "300", NULL);
        expect_oom(bus, role);
        WAIT_UNTIL(count_units(bus, OWN_SLICES) == 0);
}

/* The counter is still there when the service is back. */
static void test_restart(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c"), *path = scratch("go");
        g_autofree char *line =
                g_strdup_printf("while ! [ -e '%s' ]; do sleep 0.1; done; exec \"$0\" touch 300", path);

        start(bus, role, MEMORY_MAX, "sh", "-c", line, actor(), NULL);
        int pidfd = process_open(role_pid(bus, role));
        pid_t node = node_pid(bus);
        assert_return_code(kill(node, SIGSTOP), errno);
        assert_true(g_file_set_contents(path, "", 0, NULL));
        process_wait_dead(pidfd);
        close(pidfd);
        assert_return_code(kill(node, SIGKILL), errno);
        expect_oom(bus, role);
        WAIT_UNTIL(count_units(bus, OWN_SLICES) == 0);
}

/* RoleExited has the figures of the scope. */
static void test_figures(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");

        /* systemd removes an empty cgroup, with its figures, and may be faster than the service. */
        start(bus, role, MEMORY_MAX, actor(), "daemon{", "pause", "}", "touch", "16", "read-eof", "exit", "0",
                NULL);
        close_input(bus, role);
        Exited exited = expect_exited(bus, role, "exited", 0, "self");
        assert_false(detail_bool(exited.details, "oom-kill"));
        assert_between(detail_u64(exited.details, "memory-peak"), 16 << 20, 64 << 20);
        assert_true(detail_u64(exited.details, "maxrss") >= 16 << 20);
        assert_true(detail_u64(exited.details, "scope-cpu-usec") > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_without_limit),
                TEST(test_own_slice),
                TEST(test_restart),
                TEST(test_figures),
        };
        return run_case("oom", tests);
}
