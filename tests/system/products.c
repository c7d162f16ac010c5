/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "products.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void products_set_env(Bus *bus, const char *name, const char *value) {
        if (value)
                g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", name, value)));
        else /* it may not be set */
                (void) bus_wait_reply(bus, node_send(bus, "UnsetEnv", g_variant_new("(s)", name)));
}

GHashTable *products_dump(Bus *bus, const char *role, GVariant *options) {
        g_autofree char *path = g_build_filename(scratch("dumps"), role, NULL);

        /* Every user may write into it. */
        assert_return_code(g_mkdir_with_parents(scratch("dumps"), 0755), errno);
        assert_int_equal(chmod(scratch("dumps"), 0777), 0);
        start(bus, role, options, actor(), "dump", path, NULL);
        expect_exited(bus, role, "exited", 0, "self");
        return read_dump(path);
}

void assert_env(GHashTable *dump, const char *name, const char *expected) {
        g_autofree char *key = g_strconcat("env.", name, NULL);
        const char *value = g_hash_table_lookup(dump, key);

        if (g_strcmp0(value, expected) != 0)
                fail_msg("%s is \"%s\", not \"%s\"", name, value ?: "(unset)", expected ?: "(unset)");
}

static const Event *products_find_started(Bus *bus, const char *role, guint mark) {
        g_autoptr(GPtrArray) all = bus_all(bus, "RoleStarted", role);

        for (guint i = 0; i < all->len; i++) {
                const Event *event = g_ptr_array_index(all, i);
                if (event->index >= mark)
                        return event;
        }
        return NULL;
}

char *products_record(Bus *bus, const char *role, guint mark, const char *expected) {
        g_autoptr(GVariant) resolved = role_get(bus, role, "ResolvedProducts"), started = NULL, told = NULL;
        g_autofree char *text = g_variant_print(resolved, false),
                        *hash = role_get_string(bus, role, "EnvironmentHash");

        assert_string_equal(text, expected);
        assert_int_equal(strlen(hash), 64);
        const Event *event;
        WAIT_UNTIL((event = products_find_started(bus, role, mark)));
        started = event_details(event);
        told = g_variant_lookup_value(started, "resolved-products", G_VARIANT_TYPE("a(ss)"));
        assert_non_null(told);
        assert_true(g_variant_equal(told, resolved));
        assert_string_equal(detail_string(started, "environment-hash"), hash);
        return g_steal_pointer(&hash);
}

void products_configure_fake(Bus *bus) {
        g_autofree char *configuration =
                g_strdup_printf("ProductProvider=modules\nModulesCommand=%s\n", scratch("fake"));

        write_file(scratch("fake"),
                "#!/bin/sh\necho 'LOADEDMODULES=foo/1.0; export LOADEDMODULES; FAKE=1; export FAKE;'\n");
        assert_int_equal(chmod(scratch("fake"), 0755), 0);
        node_configure(bus, configuration);
}

void products_fail(Bus *bus, const char *role, GVariant *options, ...) {
        guint mark = bus_mark(bus);
        guint32 serial = node_send(bus, "Start", start_args(role, options, actor(), "pause", NULL));
        va_list parts;

        va_start(parts, options);
        Event *event = bus_failure_v(bus, serial, "SetupFailed", parts);
        va_end(parts);
        assert_contains(event->text, role);
        assert_contains(event->text, "(product)");
        assert_no_trace(bus, role, mark);
}

void trap_make(const char *path) {
        assert_int_equal(mkfifo(path, 0644), 0);
}

Trap *trap_wait(const char *path) {
        Trap *trap = g_new0(Trap, 1);

        trap->path = g_strdup(path);
        WAIT_UNTIL((trap->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0);
        return trap;
}

void trap_release(Trap *trap, const char *text) {
        assert_int_equal(write(trap->fd, text, strlen(text)), strlen(text));
        close(trap->fd);
        trap->fd = -1;
}

void trap_free(Trap *trap) {
        if (trap->fd >= 0)
                close(trap->fd);
        g_free(trap->path);
        g_free(trap);
}
