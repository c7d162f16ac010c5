/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: hybrid
 *
 * memory-max, tasks-max and cpu-quota apply to the scope of the role if the controllers exist, as v1
 * hierarchies beside v2 or, if those are not available, as controllers of v2. */

#include "testlib.h"

static char *read_attribute(const char *controller, const char *cgroup, const char *v1, const char *v2) {
        g_autofree char *path =
                machine_is_hybrid() ? cgroup_v1_file(controller, cgroup, v1) : cgroup_file(cgroup, v2);
        char *text = read_file(path);

        if (!text)
                fail_msg("there is no %s", path);
        return text;
}

/* In v1 the number of OOM kills is removed with the scope, so it may be unknown. It is never guessed. */
static void assert_oom(const Exited *exited, const char *cause) {
        if (machine_is_hybrid() && !detail_has(exited->details, "oom-kill")) {
                assert_string_equal(exited->cause, g_str_equal(cause, "oom") ? "external" : cause);
                return;
        }
        assert_string_equal(exited->cause, cause);
        assert_true(detail_bool(exited->details, "oom-kill"));
}

static void test_memory(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *small = role_name("b");
        g_autofree char *cgroup = NULL, *limit = NULL;
        Exited exited;

        start(bus, small, OPTIONS("{'memory-max': <@t 67108864>}"), actor(), "touch", "16", "read-eof",
                "exit", "0", NULL);
        cgroup = role_cgroup(bus, small);
        limit = read_attribute("memory", cgroup, "memory.limit_in_bytes", "memory.max");
        assert_string_equal(limit, "67108864");
        close_input(bus, small);
        expect_exited(bus, small, "exited", 0, "self");

        start(bus, role, OPTIONS("{'memory-max': <@t 67108864>}"), actor(), "touch", "300", "exit", "0",
                NULL);
        exited = expect_exited(bus, role, "killed", SIGKILL, NULL);
        assert_oom(&exited, "oom");
        assert_poll(bus, role, "exit -9");
}

/* A child is a detail. The role may even succeed. */
static void test_memory_of_child(void **state) {
        Bus *bus = *state;
        const char *role = role_name("child");
        Exited exited;

        for (int status = 0; status < 2; status++) {
                g_autofree char *line = g_strdup_printf("\"$0\" touch 300; exit %d", status);

                start(bus, role, OPTIONS("{'memory-max': <@t 67108864>}"), "sh", "-c", line, actor(), NULL);
                exited = expect_exited(bus, role, "exited", status, "self");
                assert_oom(&exited, "self");
        }
}

/* Sooner or later systemd is slower than the service, and then the cause is known in v1, too. */
static void test_oom_is_told(void **state) {
        Bus *bus = *state;
        const char *role = role_name("told");
        Exited exited;

        for (int i = 0; i < 100; i++) {
                start(bus, role, OPTIONS("{'memory-max': <@t 67108864>}"), actor(), "touch", "300", NULL);
                exited = expect_exited(bus, role, "killed", SIGKILL, NULL);
                if (g_str_equal(exited.cause, "oom"))
                        return;
                assert_oom(&exited, "oom");
        }
        fail_msg("never told");
}

/* SIGKILL of another program is none of the OOM killer, also after that has killed another role. */
static void test_killed_by_other(void **state) {
        Bus *bus = *state;
        const char *role = role_name("other");
        GVariant *options[] = { NULL, OPTIONS("{'memory-max': <@t 67108864>}") };

        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                start(bus, role, options[i], actor(), "pause", NULL);
                assert_return_code(kill(role_pid(bus, role), SIGKILL), errno);
                Exited exited = expect_exited(bus, role, "killed", SIGKILL, "external");
                assert_false(
                        detail_has(exited.details, "oom-kill") && detail_bool(exited.details, "oom-kill"));
        }
}

static void test_tasks(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *line = NULL, *cgroup = NULL, *limit = NULL;

        start(bus, role, OPTIONS("{'tasks-max': <@t 20>}"), actor(), "fill-tasks", fifo_path(fifo), "pause",
                NULL);
        line = fifo_line(fifo);
        /* Itself and 19 children. */
        assert_true(g_str_has_prefix(line, "19 EAGAIN "));
        cgroup = role_cgroup(bus, role);
        limit = read_attribute("pids", cgroup, "pids.max", "pids.max");
        assert_string_equal(limit, "20");
        stop(bus, role);
        assert_false(cgroup_is_populated(cgroup));
}

static void test_cpu(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autofree char *cgroup = NULL, *quota = NULL, *period = NULL;
        Exited exited;
        guint64 cpu, wall;

        start(bus, role, OPTIONS("{'cpu-quota': <@t 20>}"), actor(), "burn",
                machine_is_hybrid() ? "200" : "60000", NULL);
        cgroup = role_cgroup(bus, role);
        if (machine_is_hybrid()) {
                quota = read_attribute("cpu", cgroup, "cpu.cfs_quota_us", NULL);
                period = read_attribute("cpu", cgroup, "cpu.cfs_period_us", NULL);
        } else {
                quota = read_attribute("cpu", cgroup, NULL, "cpu.max");
                period = g_strdup(strchr(quota, ' '));
        }
        assert_int_equal(g_ascii_strtoull(quota, NULL, 10) * 100 / g_ascii_strtoull(period, NULL, 10), 20);

        if (!machine_is_hybrid()) {
                /* Where the processor is emulated, time is no measure. */
                g_autofree char *stat = NULL;

                WAIT_UNTIL((g_free(stat), stat = read_attribute("cpu", cgroup, NULL, "cpu.stat"),
                        strstr(stat, "nr_throttled ") && !strstr(stat, "nr_throttled 0")));
                kill_role(bus, role);
                return;
        }
        exited = expect_exited(bus, role, "exited", 0, "self");
        cpu = detail_u64(exited.details, "cpu-usec");
        wall = detail_u64(exited.details, "exit-monotonic-usec") -
               detail_u64(exited.details, "start-monotonic-usec");
        /* 200 ms of CPU time at a fifth of a CPU. The first period may be used completely. */
        assert_true(cpu >= 180000);
        assert_true(wall >= 600000);
}

static void test_features(void **state) {
        Bus *bus = *state;
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);

        assert_true(g_strv_contains(features, "memory"));
        assert_true(g_strv_contains(features, "pids"));
        assert_true(g_strv_contains(features, "cpu"));
}

/* All other behaviour is the same here: one pass through the life of a role in the hybrid layout. */
static void test_life(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL;
        Census before = census_before(bus);

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 200000>}"), actor(), "daemon{", "ignore", "TERM",
                "say", fifo_path(fifo), "up", "pause", "}", "pause", NULL);
        fifo_expect_pid(fifo, "up");
        cgroup = role_cgroup(bus, role);
        assert_true(cgroup_is_populated(cgroup));
        stop(bus, role);
        assert_false(cgroup_is_populated(cgroup));
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        purge(bus, role);
        assert_census(bus, &before);
}

/* A failed start leaves no unit, so the next one of that name works. */
static void test_failed_start(void **state) {
        Bus *bus = *state;
        const char *role = role_name("failed");
        g_autofree char *scope = role_scope(role);

        for (int i = 0; i < 3; i++)
                start_fails(bus,
                        start_args(role, OPTIONS("{'memory-max': <@t 67108864>}"), "/no/such/program", NULL),
                        "ExecFailed", NULL);
        start(bus, role, OPTIONS("{'memory-max': <@t 67108864>}"), actor(), "pause", NULL);
        stop(bus, role);
        WAIT_UNTIL(count_units(bus, scope) == 0);
}

/* A share of the CPUs works in both. What v1 has not is refused. */
static void test_weights(void **state) {
        Bus *bus = *state;
        const char *role = role_name("weight");
        GVariant *high[] = { OPTIONS("{'memory-high': <@t 67108864>}"), OPTIONS("{'io-weight': <200>}") };

        start(bus, role, OPTIONS("{'cpu-weight': <200>}"), actor(), "pause", NULL);
        g_autofree char *cgroup = role_cgroup(bus, role);
        g_autofree char *weight = read_attribute("cpu", cgroup, "cpu.shares", "cpu.weight");
        assert_string_equal(weight, machine_is_hybrid() ? "2048" : "200");
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");

        for (size_t i = 0; i < G_N_ELEMENTS(high); i++) {
                GVariant *args = g_variant_ref_sink(start_args(role, high[i], actor(), "pause", NULL));

                if (machine_is_hybrid())
                        start_fails(bus, args, NOT_SUPPORTED, "of cgroup v2", NULL);
                g_variant_unref(args);
        }
        if (machine_is_hybrid())
                return;
        start(bus, role, OPTIONS("{'memory-high': <@t 67108864>}"), actor(), "pause", NULL);
        g_autofree char *again = role_cgroup(bus, role);
        g_autofree char *limit = read_attribute("memory", again, NULL, "memory.high");
        assert_string_equal(limit, "67108864");
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
}

/* systemd freezes nothing beside hierarchies of v1. */
static void test_freeze(void **state) {
        Bus *bus = *state;
        const char *role = role_name("frozen");
        const char *verbs[] = { "Freeze", "Thaw" };

        start(bus, role, NULL, actor(), "pause", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                if (machine_is_hybrid())
                        node_call_fails(bus, verbs[i], g_variant_new("(s)", role), NOT_SUPPORTED, role,
                                "cgroup v2", NULL);
                else
                        g_variant_unref(node_call(bus, verbs[i], g_variant_new("(s)", role)));
        }
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_memory),
                TEST(test_memory_of_child),
                TEST(test_oom_is_told),
                TEST(test_killed_by_other),
                TEST(test_tasks),
                TEST(test_cpu),
                TEST(test_features),
                TEST(test_life),
                TEST(test_failed_start),
                TEST(test_weights),
                TEST(test_freeze),
        };
        return run_case("limits-hybrid", tests);
}
