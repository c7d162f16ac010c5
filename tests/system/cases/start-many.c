/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * StartMany, StopMany and KillMany with groups of definitions, in one call each. */

#include "testlib.h"

#define N 40U

static GVariant *many(Bus *bus, const char *method, const char *first, const char *second) {
        g_autoptr(GStrvBuilder) names = g_strv_builder_new();

        if (first)
                g_strv_builder_add(names, first);
        if (second)
                g_strv_builder_add(names, second);
        g_auto(GStrv) list = g_strv_builder_end(names);
        GVariantBuilder none = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

        return node_call(bus, method, g_variant_new("(^asa{sv})", list, &none));
}

/* Each of the roles, in the order of their numbers, has succeeded. */
static void assert_all_done(GVariant *results) {
        g_autoptr(GVariant) list = g_variant_get_child_value(results, 0);

        assert_int_equal(g_variant_n_children(list), N);
        for (guint i = 0; i < N; i++) {
                const char *name, *error, *message;

                g_variant_get_child(list, i, "(&s&s&s)", &name, &error, &message);
                g_autofree char *suffix = g_strdup_printf("n%02u", i);
                assert_string_equal(name, role_name(suffix));
                assert_string_equal(message, "");
                assert_string_equal(error, "");
        }
}

static void test_group(void **state) {
        Bus *bus = *state;

        for (guint i = 0; i < N; i++) {
                g_autofree char *suffix = g_strdup_printf("n%02u", i);
                define(role_name(suffix), "RoleGroups=night all");
        }
        define(role_name("day"), "RoleGroups=day");
        define(role_name("bad"), "RoleGroups=night\nNice=many");
        reload_definitions(bus);

        g_autoptr(GVariant) started = many(bus, "StartMany", "@night", NULL);
        assert_all_done(started);
        assert_int_equal(count_roles(bus, role_name("n"), "running"), N);
        assert_poll(bus, role_name("day"), "none");
        /* What runs already is a success, as for a unit. */
        pid_t pid = role_pid(bus, role_name("n00"));
        g_autoptr(GVariant) again = many(bus, "StartMany", "@all", NULL);
        assert_all_done(again);
        assert_int_equal(role_pid(bus, role_name("n00")), pid);

        g_autoptr(GVariant) stopped = many(bus, "StopMany", "@night", NULL);
        assert_all_done(stopped);
        assert_int_equal(count_roles(bus, role_name("n"), "ended"), N);
}

/* One that is refused does not keep the others. */
static void test_refused(void **state) {
        Bus *bus = *state;
        const char *good = role_name("good"), *bad = role_name("bad");

        define(good, "");
        define(bad, "Nice=many");
        reload_definitions(bus);
        g_autoptr(GVariant) results = many(bus, "StartMany", bad, good);
        g_autofree char *text = g_variant_print(results, false);
        assert_contains(text, "BadDefinition");
        assert_contains(text, "bad.role:3");
        assert_state(bus, good, "running");

        g_autoptr(GVariant) none = many(bus, "StartMany", "@nobody", "nobody");
        g_autofree char *missing = g_variant_print(none, false);
        assert_contains(missing, "('@nobody', 'org.architect.Node.Error.NoSuchDefinition'");
        assert_contains(missing, "('nobody', 'org.architect.Node.Error.NoSuchDefinition'");
        g_autoptr(GVariant) killed = many(bus, "KillMany", good, bad);
        g_autofree char *end = g_variant_print(killed, false);
        assert_contains(end, "NoSuchRole");
        expect_exited(bus, good, "killed", SIGKILL, "kill");
}

/* An empty list: the definitions with AutoStart=yes. */
static void test_auto_start(void **state) {
        Bus *bus = *state;

        define(role_name("auto"), "AutoStart=yes");
        define(role_name("other"), "");
        reload_definitions(bus);
        g_autoptr(GVariant) results = many(bus, "StartMany", NULL, NULL);
        g_autoptr(GVariant) expected =
                g_variant_ref_sink(g_variant_new_parsed("([(%s, '', '')],)", role_name("auto")));
        assert_true(g_variant_equal(results, expected));
        assert_state(bus, role_name("auto"), "running");
        assert_poll(bus, role_name("other"), "none");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                DEFINED_TEST(test_group),
                DEFINED_TEST(test_refused),
                DEFINED_TEST(test_auto_start),
        };
        return run_case("start-many", tests);
}
