/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * If a controller is missing, a limit that needs it is refused by name and nothing is started, because a
 * limit without an effect is worse than none. (The machine in namespaces has no v2 controllers.) */

#include "testlib.h"

static void test_refused(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        const struct {
                GVariant *options;
                const char *option, *controller;
        } limits[] = {
                { OPTIONS("{'memory-max': <@t 67108864>}"), "memory-max", "memory" },
                { OPTIONS("{'tasks-max': <@t 20>}"), "tasks-max", "pids" },
                { OPTIONS("{'cpu-quota': <@t 30>}"), "cpu-quota", "cpu" },
                { OPTIONS("{'cpu-weight': <@t 30>}"), "cpu-weight", "cpu" },
                { OPTIONS("{'io-weight': <@t 30>}"), "io-weight", "io" },
                { OPTIONS("{'memory-high': <@t 67108864>}"), "memory-high", "memory" },
        };
        g_autofree char *path = cgroup_file("/", "cgroup.controllers"), *controllers = read_file(path);

        /* Otherwise this proves nothing. */
        assert_false(machine_is_hybrid());
        assert_string_equal(controllers, "");

        for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
                guint mark = bus_mark(bus);

                start_fails(bus, start_args(role, limits[i].options, actor(), "pause", NULL), NOT_SUPPORTED,
                        role, limits[i].option, limits[i].controller, NULL);
                assert_no_trace(bus, role, mark);
        }
}

/* Features agrees. */
static void test_features(void **state) {
        Bus *bus = *state;
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);

        assert_false(g_strv_contains(features, "memory"));
        assert_false(g_strv_contains(features, "pids"));
        assert_false(g_strv_contains(features, "cpu"));
        assert_false(g_strv_contains(features, "io"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_refused),
                TEST(test_features),
        };
        return run_case("limits-unified", tests);
}
