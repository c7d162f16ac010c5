/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "interface-facts.h"

#include "unit-test.h"

#define EMITS "org.freedesktop.DBus.Property.EmitsChangedSignal"

GDBusNodeInfo *interface_parse(const char *xml) {
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *info = g_dbus_node_info_new_for_xml(xml, &error);

        if (!info)
                fail_msg("%s", error->message);
        return info;
}

GDBusNodeInfo *interface_promised(const char *interface) {
        g_autofree char *path = g_strdup_printf("%s/%s.xml", INTERFACE_DIRECTORY, interface), *xml = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(path, &xml, NULL, &error))
                fail_msg("%s", error->message);
        return interface_parse(xml);
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

void interface_compare(const char *introspection, const char *interface) {
        g_autoptr(GDBusNodeInfo) want = interface_promised(interface), have = interface_parse(introspection);
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
