/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * RoleExited, Poll, ListRoles and the properties of the role distinguish every kind of exit exactly. The
 * details contain the used resources and the caller. */

#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

/* Poll, ListRoles and the properties agree with RoleExited. */
static void check_everywhere(Bus *bus, const char *role, const Exited *exited) {
        bool by_signal = strcmp(exited->code, "exited") != 0;
        g_autofree char *poll = g_strdup_printf("exit %d", by_signal ? -exited->status : exited->status);
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        g_autofree char *code = role_get_string(bus, role, "ExitCode"),
                        *cause = role_get_string(bus, role, "Cause");
        const char *name, *state, *list_code;
        guint32 pid;
        gint32 status;
        guint found = 0;

        assert_poll(bus, role, poll);

        g_variant_get(reply, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(
                roles, "(&s&su&si&s&o)", &name, &state, &pid, &list_code, &status, NULL, NULL)) {
                if (strcmp(name, role) != 0)
                        continue;
                found++;
                assert_string_equal(state, "ended");
                assert_int_equal(pid, 0);
                assert_string_equal(list_code, exited->code);
                assert_int_equal(status, exited->status);
        }
        assert_int_equal(found, 1);

        assert_string_equal(code, exited->code);
        assert_int_equal(role_get_i32(bus, role, "ExitStatus"), exited->status);
        assert_string_equal(cause, exited->cause);
        assert_int_equal(role_get_u32(bus, role, "MainPID"), 0);
        assert_int_equal(role_get_u32(bus, role, "ProcessGroup"), 0);
        assert_int_equal(
                role_get_u64(bus, role, "ExitTimestamp"), detail_u64(exited->details, "exit-realtime-usec"));
        assert_int_equal(role_get_u64(bus, role, "ExitTimestampMonotonic"),
                detail_u64(exited->details, "exit-monotonic-usec"));
        assert_int_equal(role_get_u64(bus, role, "CPUUsageUSec"), detail_u64(exited->details, "cpu-usec"));
        assert_int_equal(role_get_u64(bus, role, "MaxRSS"), detail_u64(exited->details, "maxrss"));
}

static void test_by_itself(void **state) {
        Bus *bus = *state;
        const struct {
                const char *verb, *argument, *code;
                int status;
                const char *cause;
        } ends[] = {
                { "exit", "0", "exited", 0, "self" },
                { "exit", "42", "exited", 42, "self" },
                { "exit", "255", "exited", 255, "self" },
                /* 128 + 15, which a shell would return for a signal; here it is an exit status */
                { "exit", "143", "exited", 143, "self" },
                { "raise", "TERM", "killed", SIGTERM, "external" },
                { "raise", "KILL", "killed", SIGKILL, "external" },
                { "raise", "HUP", "killed", SIGHUP, "external" },
                { "raise", "37", "killed", 37, "external" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                const char *role = role_name_n("a", (guint) i);
                Exited exited;

                start(bus, role, NULL, actor(), ends[i].verb, ends[i].argument, NULL);
                exited = expect_exited(bus, role, ends[i].code, ends[i].status, ends[i].cause);
                check_everywhere(bus, role, &exited);
                assert_false(detail_has(exited.details, "caller-uid"));
        }
}

static void test_by_us(void **state) {
        Bus *bus = *state;
        const int signals[] = { SIGTERM, SIGKILL, SIGINT, SIGUSR1 };
        const char *role = role_name("b");
        Exited exited;

        /* From outside. */
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                start(bus, role, NULL, actor(), "pause", NULL);
                assert_int_equal(kill(role_pid(bus, role), signals[i]), 0);
                exited = expect_exited(bus, role, "killed", signals[i], "external");
                check_everywhere(bus, role, &exited);
                assert_false(detail_has(exited.details, "caller-uid"));
        }

        start(bus, role, NULL, actor(), "pause", NULL);
        stop(bus, role);
        exited = expect_exited(bus, role, "killed", SIGTERM, "stop");
        check_everywhere(bus, role, &exited);
        assert_int_equal(detail_u32(exited.details, "caller-uid"), 0);
        assert_int_equal(detail_u32(exited.details, "caller-pid"), getpid());

        start(bus, role, NULL, actor(), "pause", NULL);
        kill_role(bus, role);
        exited = expect_exited(bus, role, "killed", SIGKILL, "kill");
        check_everywhere(bus, role, &exited);
        assert_int_equal(detail_u32(exited.details, "caller-uid"), 0);
}

/* A role that handles the stop signal exits as it chooses. The status is its own, the cause is the stop. */
static void test_stopped_in_order(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) ready = fifo_new("ready");
        const char *role = role_name("c");
        Exited exited;

        start(bus, role, NULL, actor(), "exit-on", "TERM", "7", "say", fifo_path(ready), "ready", "pause",
                NULL);
        fifo_expect_pid(ready, "ready");
        stop(bus, role);
        exited = expect_exited(bus, role, "exited", 7, "stop");
        check_everywhere(bus, role, &exited);

        start(bus, role, OPTIONS("{'stop-signal': <%i>}", SIGINT), actor(), "ignore", "TERM", "exit-on",
                "INT", "0", "say", fifo_path(ready), "ready", "pause", NULL);
        fifo_expect_pid(ready, "ready");
        stop(bus, role);
        exited = expect_exited(bus, role, "exited", 0, "stop");
        check_everywhere(bus, role, &exited);
}

/* If core_pattern of the machine writes cores to a directory, that directory must exist. */
static bool cores_go_to_a_pipe(void) {
        g_autofree char *pattern = read_file("/proc/sys/kernel/core_pattern");

        assert_non_null(pattern);
        if (pattern[0] == '/') {
                g_autofree char *directory = g_path_get_dirname(pattern);
                assert_int_equal(g_mkdir_with_parents(directory, 01777), 0);
        }
        return pattern[0] == '|';
}

static void test_core(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        const char *signals[] = { "SEGV", "ABRT", "QUIT" };
        const int numbers[] = { SIGSEGV, SIGABRT, SIGQUIT };
        g_autofree char *directory = g_path_get_dirname(scratch("x"));
        bool pipe = cores_go_to_a_pipe();
        Exited exited;

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                start(bus, role,
                        OPTIONS("{'limits': <{'core': @t 67108864}>, 'working-directory': <%s>}", directory),
                        actor(), "raise", signals[i], NULL);
                exited = expect_exited(
                        bus, role, "dumped", numbers[i], numbers[i] == SIGQUIT ? "external" : "self");
                check_everywhere(bus, role, &exited);
        }

        /* There is no core if cores are files; a pipe gets the core whatever the limit is. */
        start(bus, role, OPTIONS("{'limits': <{'core': @t 0}>}"), actor(), "raise", "SEGV", NULL);
        exited = expect_exited(bus, role, pipe ? "dumped" : "killed", SIGSEGV, "self");
        check_everywhere(bus, role, &exited);
}

static void test_usage(void **state) {
        Bus *bus = *state;
        const char *busy = role_name("busy"), *big = role_name("big"), *small = role_name("small");
        gint64 before = g_get_real_time(), before_monotonic = g_get_monotonic_time();
        Exited exited;
        guint64 user, system;

        start(bus, busy, NULL, actor(), "burn", "200", NULL);
        exited = expect_exited(bus, busy, "exited", 0, "self");
        check_everywhere(bus, busy, &exited);
        user = detail_u64(exited.details, "cpu-user-usec");
        system = detail_u64(exited.details, "cpu-system-usec");
        assert_int_equal(detail_u64(exited.details, "cpu-usec"), user + system);
        assert_true(user + system >= 180000);
        assert_true(user + system < 2000000);

        assert_true(detail_u64(exited.details, "start-realtime-usec") >= (guint64) before);
        assert_true(detail_u64(exited.details, "start-monotonic-usec") >= (guint64) before_monotonic);
        assert_true(detail_u64(exited.details, "exit-monotonic-usec") >=
                    detail_u64(exited.details, "start-monotonic-usec") + 180000);
        assert_true(detail_u64(exited.details, "exit-monotonic-usec") <= (guint64) exited.event->usec);
        assert_true(detail_u64(exited.details, "exit-realtime-usec") <= (guint64) g_get_real_time());
        assert_int_equal(detail_u64(exited.details, "start-monotonic-usec"),
                role_get_u64(bus, busy, "StartTimestampMonotonic"));

        start(bus, big, NULL, actor(), "touch", "100", NULL);
        exited = expect_exited(bus, big, "exited", 0, "self");
        assert_true(detail_u64(exited.details, "maxrss") >= (guint64) 100 << 20);
        assert_true(detail_u64(exited.details, "maxrss") < (guint64) 150 << 20);

        start(bus, small, NULL, actor(), "exit", "0", NULL);
        exited = expect_exited(bus, small, "exited", 0, "self");
        assert_true(detail_u64(exited.details, "maxrss") < (guint64) 50 << 20);
        assert_true(detail_u64(exited.details, "maxrss") >= 65536);
        assert_true(detail_u64(exited.details, "cpu-usec") < 180000);
}

/* Each run has an invocation ID of its own, and each event its own number. */
static void test_identity(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        guint64 last = 0;

        for (int i = 0; i < 5; i++) {
                g_autoptr(GVariant) started = NULL;
                g_autofree char *invocation = NULL;
                Exited exited;

                start(bus, role, NULL, actor(), "exit", "1", NULL);
                started = event_details(bus_wait(bus, "RoleStarted", role));
                exited = expect_exited(bus, role, "exited", 1, "self");
                invocation = role_get_string(bus, role, "InvocationID");

                assert_int_equal(strlen(invocation), 32);
                assert_string_equal(detail_string(started, "invocation-id"), invocation);
                assert_string_equal(detail_string(exited.details, "invocation-id"), invocation);
                assert_string_equal(detail_string(exited.details, "epoch"), detail_string(started, "epoch"));
                assert_true(detail_u64(started, "seq") > last);
                assert_true(exited.seq > detail_u64(started, "seq"));
                last = exited.seq;
                assert_true(g_hash_table_add(seen, g_steal_pointer(&invocation)));
        }
}

#define N_FIGURES 40U

/* RoleExited of a role that ends by itself contains the figures of its scope, because the service reads them
 * before it sends a request to systemd. (systemd removes the cgroup as soon as it is empty, and on a busy
 * machine this may be earlier than the service learns of the exit. It was always earlier when the service
 * waited for the reply of systemd first.) */
static void test_figures(void **state) {
        Bus *bus = *state;
        guint known = 0;

        for (guint i = 0; i < N_FIGURES; i++) {
                start(bus, role_name_n("f", i), NULL, actor(), "burn", "2", "read-eof", "exit", "0", NULL);
                close_input(bus, role_name_n("f", i));
                Exited exited = expect_exited(bus, role_name_n("f", i), "exited", 0, "self");
                if (!detail_has(exited.details, "scope-cpu-usec"))
                        continue;
                assert_true(detail_u64(exited.details, "scope-cpu-usec") >= 1000);
                known++;
        }
        print_message("  %u of %u\n", known, N_FIGURES);
        assert_true(known >= N_FIGURES / 4);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_by_itself),
                TEST(test_by_us),
                TEST(test_stopped_in_order),
                TEST(test_core),
                TEST(test_usage),
                TEST(test_identity),
                TEST(test_figures),
        };
        return run_case("exit-codes", tests);
}
