/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The introspection of the service must be equal to dbus-interfaces/, without missing or additional
 * members. */

#include "bus-world.h"

#include <gio/gio.h>

#include "bus/role-dbus.h"
#include "util/autoptr.h"

#define EMITS "org.freedesktop.DBus.Property.EmitsChangedSignal"

static GDBusNodeInfo *parse(const char *xml) {
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *info = g_dbus_node_info_new_for_xml(xml, &error);

        if (!info)
                fail_msg("%s", error->message);
        return info;
}

static GDBusNodeInfo *promised(const char *interface) {
        g_autofree char *path = g_strdup_printf("%s/%s.xml", INTERFACE_DIRECTORY, interface), *xml = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(path, &xml, NULL, &error))
                fail_msg("%s", error->message);
        return parse(xml);
}

static GDBusNodeInfo *introspected(BusWorld *b, const char *path) {
        g_autofree char *xml = call_introspect(b, path);

        return parse(xml);
}

/* Converts an interface into sorted lines, one for each fact. Two interfaces are equal if their lines are. */
static void add_annotations(GPtrArray *lines, const char *what, GDBusAnnotationInfo **annotations) {
        for (GDBusAnnotationInfo **a = annotations; a && *a; a++)
                /* Documentation and hints for code generators are not part of the introspection of the
                 * service. */
                if (g_str_has_prefix((*a)->key, "org.freedesktop.") && !g_str_equal((*a)->key, EMITS))
                        g_ptr_array_add(lines, g_strdup_printf("%s: %s=%s", what, (*a)->key, (*a)->value));
}

static void add_args(GPtrArray *lines, const char *what, const char *direction, GDBusArgInfo **args) {
        for (unsigned i = 0; args && args[i]; i++)
                g_ptr_array_add(lines, g_strdup_printf("%s: %s %u is %s of type %s", what, direction, i,
                                               args[i]->name, args[i]->signature));
}

static gint compare_lines(gconstpointer a, gconstpointer b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static char *facts(GDBusInterfaceInfo *interface) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        add_annotations(lines, "interface", interface->annotations);
        for (GDBusMethodInfo **m = interface->methods; m && *m; m++) {
                g_autofree char *what = g_strdup_printf("method %s", (*m)->name);

                g_ptr_array_add(lines, g_strdup(what));
                add_args(lines, what, "in", (*m)->in_args);
                add_args(lines, what, "out", (*m)->out_args);
                add_annotations(lines, what, (*m)->annotations);
        }
        for (GDBusSignalInfo **s = interface->signals; s && *s; s++) {
                g_autofree char *what = g_strdup_printf("signal %s", (*s)->name);

                g_ptr_array_add(lines, g_strdup(what));
                add_args(lines, what, "arg", (*s)->args);
                add_annotations(lines, what, (*s)->annotations);
        }
        for (GDBusPropertyInfo **p = interface->properties; p && *p; p++) {
                g_autofree char *what = g_strdup_printf("property %s", (*p)->name);
                const char *emits = g_dbus_annotation_info_lookup((*p)->annotations, EMITS) ?: "true";

                g_ptr_array_add(lines, g_strdup_printf("%s: type %s, access %d, emits %s", what,
                                               (*p)->signature, (*p)->flags, emits));
                add_annotations(lines, what, (*p)->annotations);
        }
        assert_true(lines->len > 5);
        g_ptr_array_sort(lines, compare_lines);
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **) lines->pdata);
}

static void compare(BusWorld *b, const char *path, const char *interface) {
        g_autoptr(GDBusNodeInfo) want = promised(interface), have = introspected(b, path);
        GDBusInterfaceInfo *wanted = g_dbus_node_info_lookup_interface(want, interface),
                           *there = g_dbus_node_info_lookup_interface(have, interface);

        assert_non_null(wanted);
        assert_non_null(there);
        assert_null(want->interfaces[1]);
        g_autofree char *a = facts(wanted), *z = facts(there);
        if (!g_str_equal(a, z)) {
                g_auto(GStrv) promised_lines = g_strsplit(a, "\n", -1), lines = g_strsplit(z, "\n", -1);

                for (char **l = promised_lines; *l; l++)
                        if (!g_strv_contains((const char *const *) lines, *l))
                                print_error("promised, but not there: %s\n", *l);
                for (char **l = lines; *l; l++)
                        if (!g_strv_contains((const char *const *) promised_lines, *l))
                                print_error("there, but not promised: %s\n", *l);
                fail_msg("%s is not what its file says", interface);
        }
}

static void test_node(void **state) {
        BusWorld *b = *state;

        compare(b, NODE_PATH, NODE_INTERFACE);
        g_autoptr(GDBusNodeInfo) info = introspected(b, NODE_PATH);
        assert_non_null(g_dbus_node_info_lookup_interface(info, "org.freedesktop.DBus.ObjectManager"));
        assert_non_null(g_dbus_node_info_lookup_interface(info, "org.freedesktop.DBus.Properties"));
}

static void test_role(void **state) {
        BusWorld *b = *state;

        (void) world_run(b->world, "cam-1.x", NULL);
        g_autofree char *path = role_dbus_path("cam-1.x");
        assert_string_equal(path, NODE_ROLE_PATH_PREFIX "/cam_2d1_2ex");
        compare(b, path, NODE_ROLE_INTERFACE);
}

/* Follows the standard interfaces from the root to each role. */
static void test_tree(void **state) {
        BusWorld *b = *state;

        (void) world_run(b->world, "a", NULL);
        (void) world_run_and_exit(b->world, "b", NULL);
        g_autoptr(GDBusNodeInfo) info = introspected(b, NODE_ROLE_PATH_PREFIX);
        unsigned n = 0;
        for (GDBusNodeInfo **child = info->nodes; child && *child; child++) {
                assert_true(g_str_equal((*child)->path, "a") || g_str_equal((*child)->path, "b"));
                n++;
        }
        assert_int_equal(n, 2);

        g_auto(Call) call = {};
        g_autoptr(sd_bus_message) m =
                call_new(b, NULL, NODE_ROLE_PATH_PREFIX "/c", NODE_ROLE_INTERFACE, "Stop");
        call_send(b, &call, m);
        world_wait(b->world, call.n > 0);
        assert_error(&call, "org.freedesktop.DBus.Error.UnknownObject", "");
}

static unsigned n_properties(BusWorld *b, const char *path, const char *interface) {
        g_auto(Call) call = {};
        g_autoptr(sd_bus_message) m = call_new(b, NULL, path, "org.freedesktop.DBus.Properties", "GetAll");
        unsigned n = 0;
        int r;

        assert_return_code(sd_bus_message_append(m, "s", interface), 0);
        call_send(b, &call, m);
        world_wait(b->world, call.n > 0);
        assert_replied(&call);
        assert_return_code(sd_bus_message_enter_container(call.reply, 'a', "{sv}"), 0);
        while ((r = sd_bus_message_skip(call.reply, "{sv}")) > 0)
                n++;
        return n;
}

static unsigned n_promised(const char *interface) {
        g_autoptr(GDBusNodeInfo) info = promised(interface);
        unsigned n = 0;

        while (info->interfaces[0]->properties[n])
                n++;
        return n;
}

/* Every property can be read, in every state of a role. */
static void test_properties_can_be_read(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        unsigned n = n_promised(NODE_ROLE_INTERFACE);

        assert_int_equal(n_properties(b, NODE_PATH, NODE_INTERFACE), n_promised(NODE_INTERFACE));

        Role *role = world_start(w, "cam", NULL, NULL);
        g_autofree char *path = role_dbus_path("cam");
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_node),
                BUS_TEST(test_role),
                BUS_TEST(test_tree),
                BUS_TEST(test_properties_can_be_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
