/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts a role, waits for its end and forgets it, with GDBus. README.md says how to build it. */

#include <gio/gio.h>

#define NAME "org.architect.Node"
#define PATH "/org/architect/Node"
#define NO_SUCH_ROLE "org.architect.Node.Error.NoSuchRole"

static gboolean succeeded;

/* The role is in the match rule, so the signals of the others do not arrive. */
static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
        const char *signal, GVariant *args, gpointer userdata) {
        const char *role, *code;
        int status;

        g_variant_get_child(args, 0, "&s", &role);
        if (g_str_equal(signal, "RoleStarted"))
                g_print("%s started\n", role);
        if (!g_str_equal(signal, "RoleExited"))
                return;
        /* The code is exited, killed, dumped or lost. Only the status of "exited" is an exit status. */
        g_variant_get(args, "(&so&sia{sv})", NULL, NULL, &code, &status, NULL);
        g_print("%s %s %d\n", role, code, status);
        succeeded = g_str_equal(code, "exited") && status == 3;
        g_main_loop_quit(userdata);
}

static gboolean call(GDBusConnection *bus, const char *method, GVariant *args, GError **error) {
        /* Stop returns when nothing is left of the role, which may take longer than the default of 25 s. */
        g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
                bus, NAME, PATH, NAME, method, args, NULL, G_DBUS_CALL_FLAGS_NONE, 60000, NULL, error);

        return reply != NULL;
}

int main(int argc, char **argv) {
        const char *role = argc > 1 ? argv[1] : "hello";
        const char *const command[] = { "sh", "-c", "echo hello; exit 3", NULL };
        g_autoptr(GError) error = NULL;
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
        g_autofree char *name = NULL;
        GVariant *options; /* without "user" the role runs as root */

        if (!bus) {
                g_printerr("%s\n", error->message);
                return 1;
        }
        /* First the signals, then the start, because a short command may have ended when Start returns. */
        g_dbus_connection_signal_subscribe(
                bus, NAME, NAME, NULL, PATH, role, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, loop, NULL);
        options = g_variant_new_parsed("{'user': <'nobody'>}");
        if (call(bus, "Start", g_variant_new("(s^as@a{sv})", role, command, options), &error)) {
                /* A program that asks ListRoles instead must take an unknown state for "running". */
                g_main_loop_run(loop);
                /* RoleExited reports the main process. Stop waits for those that it may have left. */
                if (call(bus, "Stop", g_variant_new("(s)", role), &error) &&
                        call(bus, "Purge", g_variant_new_parsed("([%s],)", role), &error))
                        (void) call(bus, "GetRole", g_variant_new("(s)", role), &error);
        }
        name = error ? g_dbus_error_get_remote_error(error) : NULL;
        if (g_strcmp0(name, NO_SUCH_ROLE) != 0) {
                g_printerr("%s\n", error ? error->message : "the role is still there");
                return 1;
        }
        g_print("%s purged\n", role);
        return !succeeded;
}
