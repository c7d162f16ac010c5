/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

static const char *case_name;
static char *scratch_directory;

gint64 patience_usec(void) {
        static gint64 patience = 0;

        if (patience == 0) {
                const char *seconds = g_getenv("ARCHITECT_TEST_PATIENCE");
                patience = (seconds ? g_ascii_strtoll(seconds, NULL, 10) : 90) * G_USEC_PER_SEC;
        }
        return patience;
}

const char *role_name(const char *suffix) {
        g_autofree char *name = g_strconcat(case_name, ".", suffix, NULL);
        return g_intern_string(name);
}

const char *role_name_n(const char *suffix, guint n) {
        g_autofree char *name = g_strdup_printf("%s.%s%u", case_name, suffix, n);
        return g_intern_string(name);
}

const char *scratch(const char *name) {
        g_autofree char *path = g_build_filename(scratch_directory, name, NULL);
        return g_intern_string(path);
}

const char *actor(void) {
        return scratch("actor");
}

void case_begin(const char *name) {
        if (geteuid() != 0) {
                print_error("%s: must be run as root, in a machine that may be broken\n", name);
                exit(1);
        }
        case_name = name;
        signal(SIGIO, SIG_IGN); /* for hold_new() */
        umask(0022);
}

static void copy_actor(void) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
        g_autofree char *directory = g_path_get_dirname(self);
        g_autofree char *path = g_build_filename(directory, "actor", NULL);
        g_autofree char *data = NULL;
        g_autoptr(GError) error = NULL;
        gsize size;

        /* A checkout may be in a directory that only root may read. */
        if (!g_file_get_contents(path, &data, &size, &error) ||
                !g_file_set_contents(actor(), data, (gssize) size, &error))
                fail_msg("cannot copy the actor: %s", error->message);
        assert_int_equal(chmod(actor(), 0755), 0);
}

int case_setup(void **state) {
        g_autofree char *template = g_strdup_printf("/var/tmp/architect-test-%s-XXXXXX", case_name);

        assert_non_null(g_mkdtemp(template));
        assert_int_equal(chmod(template, 0755), 0);
        scratch_directory = g_steal_pointer(&template);
        copy_actor();
        *state = bus_new();
        return 0;
}

/* Repairs the state that a failed test left: a stopped node, keeper or journal, or none at all. */
static void repair(void) {
        const char *services[] = { "systemd-journald.service", KEEPER_UNIT, NODE_UNIT };

        for (size_t i = 0; i < G_N_ELEMENTS(services); i++)
                run(NULL, NULL, "systemctl", "kill", "--signal=CONT", services[i], NULL);
        run(NULL, NULL, "systemctl", "start", NODE_UNIT, NULL);
}

/* No assertion may return from this before everything is cleaned up, because the next test would fail. */
static bool end_roles(Bus *bus) {
        g_autofree char *prefix = g_strconcat(case_name, ".", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        Event *reply = bus_wait_reply(bus, node_send(bus, "ListRoles", NULL));
        g_autofree guint32 *serials = NULL;
        const char *name;
        bool clean = true;

        if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                print_error("clean-up: ListRoles: %s\n", reply->text);
                return false;
        }
        g_variant_get(reply->body, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(roles, "(&s&su&si&s&o)", &name, NULL, NULL, NULL, NULL, NULL, NULL))
                if (g_str_has_prefix(name, prefix))
                        g_ptr_array_add(names, g_strdup(name));

        /* dbus-daemon allows 128 pending calls. */
        serials = g_new(guint32, names->len);
        for (guint i = 0; i < names->len; i++) {
                if (i >= 100)
                        bus_wait_reply(bus, serials[i - 100]);
                serials[i] = node_send(bus, "Kill", g_variant_new("(s)", names->pdata[i]));
        }
        for (guint i = 0; i < names->len; i++) {
                reply = bus_wait_reply(bus, serials[i]);
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR &&
                        !g_str_has_suffix(reply->error, ".NoSuchRole")) {
                        print_error("clean-up: Kill %s: %s\n", (char *) names->pdata[i], reply->text);
                        clean = false;
                }
        }
        for (guint i = 0; i < names->len; i++) {
                reply = bus_wait_reply(
                        bus, node_send(bus, "Purge",
                                     g_variant_new("(^as)", (const char *[]){ names->pdata[i], NULL })));
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR &&
                        !g_str_has_suffix(reply->error, ".NoSuchRole")) {
                        print_error("clean-up: Purge %s: %s\n", (char *) names->pdata[i], reply->text);
                        clean = false;
                }
        }
        return clean;
}

/* A beat of a test must not shut the service down in the middle of a later one. */
static bool disarm_monitor(Bus *bus) {
        Event *reply =
                bus_wait_reply(bus, bus_send(bus, NODE_NAME, NODE_PATH, "org.freedesktop.DBus.Properties",
                                            "GetAll", g_variant_new("(s)", NODE_INTERFACE)));
        g_autoptr(GVariant) properties = NULL;
        guint64 deadline, timeout;

        if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                print_error("clean-up: GetAll: %s\n", reply->text);
                return false;
        }
        properties = g_variant_get_child_value(reply->body, 0);
        if (!g_variant_lookup(properties, "MonitorDeadlineUSec", "t", &deadline) || deadline == 0 ||
                !g_variant_lookup(properties, "MonitorTimeoutUSec", "t", &timeout))
                return true;
        for (guint i = 0; i < 2; i++) {
                reply = bus_wait_reply(
                        bus, node_send(bus, "SetMonitorTimeout", g_variant_new("(t)", i == 0 ? 0 : timeout)));
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                        print_error("clean-up: SetMonitorTimeout: %s\n", reply->text);
                        return false;
                }
        }
        return true;
}

int case_teardown(void **state) {
        Bus *bus = *state;
        bool clean;

        repair();
        clean = end_roles(bus) && disarm_monitor(bus);
        bus_free(bus);
        run(NULL, NULL, "rm", "-rf", "--one-file-system", "--", scratch_directory, NULL);
        g_clear_pointer(&scratch_directory, g_free);
        return clean ? 0 : -1;
}

static void remove_definitions(void) {
        g_free(run_ok("rm", "-rf", DEFINITIONS, NULL));
}

int defined_setup(void **state) {
        remove_definitions();
        return case_setup(state);
}

int defined_teardown(void **state) {
        int r = case_teardown(state);

        remove_definitions();
        return r;
}

void assert_contains(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("'%s' is not in: %s", part, text);
}

void assert_contains_not(const char *text, const char *part) {
        if (strstr(text, part))
                fail_msg("'%s' should not be in: %s", part, text);
}
