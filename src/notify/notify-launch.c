/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "client/transient.h"
#include "config.h"
#include "notify/notify-launch.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* What was written before, in lines; then what is written. */
#define LOG_LINES "200"

/* What comes between the program and the command, for each terminal; NULL: nothing. */
static const struct {
        const char *name, *option;
} terminals[] = {
        { "xdg-terminal-exec", NULL },
        { "x-terminal-emulator", "-e" }, /* the alternative of Debian, whose policy has this option */
        { "gnome-terminal", "--" },
        { "ptyxis", "--" },
        { "kgx", "--" },
        { "konsole", "-e" },
        { "xfce4-terminal", "-x" },
        { "foot", NULL },
        { "xterm", "-e" },
};

static char **terminal_words(char *program, const char *option, char *const *command) {
        g_autoptr(GStrvBuilder) b = g_strv_builder_new();
        g_autofree char *path = program;

        g_strv_builder_add(b, path);
        if (option)
                g_strv_builder_add(b, option);
        g_strv_builder_addv(b, (const char **) command);
        return g_strv_builder_end(b);
}

char **launch_in_terminal(char *const *command) {
        const char *wanted = g_getenv("TERMINAL");
        char *program = wanted && wanted[0] ? g_find_program_in_path(wanted) : NULL;

        if (program)
                return terminal_words(program, "-e", command);
        for (size_t i = 0; i < G_N_ELEMENTS(terminals); i++)
                if ((program = g_find_program_in_path(terminals[i].name)))
                        return terminal_words(program, terminals[i].option, command);
        return NULL;
}

char **launch_browser(const char *uri) {
        g_autofree char *xdg_open = g_find_program_in_path("xdg-open"), *gio = NULL;

        if (xdg_open)
                return g_strdupv((char *[]){ xdg_open, (char *) uri, NULL });
        gio = g_find_program_in_path("gio");
        return gio ? g_strdupv((char *[]){ gio, (char *) "open", (char *) uri, NULL }) : NULL;
}

char **launch_log(bool user, const char *instance, const char *role) {
        g_autoptr(GStrvBuilder) b = g_strv_builder_new();

        g_strv_builder_add(b, ARCHITECTCTL);
        if (user)
                g_strv_builder_add(b, "--user");
        if (!g_str_equal(instance, NODE_DEFAULT_INSTANCE)) {
                g_autofree char *option = g_strconcat("--instance=", instance, NULL);

                g_strv_builder_add(b, option);
        }
        g_strv_builder_add_many(b, "logs", "--follow", "--lines=" LOG_LINES, NULL);
        if (role[0])
                g_strv_builder_add(b, role);
        return g_strv_builder_end(b);
}

int launch_start(sd_bus *user_bus, char *const *words, const char *token, sd_bus_message_handler_t callback,
        void *userdata) {
        static unsigned n;
        g_autofree char *unit =
                g_strdup_printf("app-org.architect.Notify-%u-%u.service", (unsigned) getpid(), ++n);
        g_autofree char *description = g_strjoinv(" ", (char **) words);
        g_autoptr(sd_bus_message) m = NULL;

        int r = transient_new(user_bus, unit, &m);
        if (r >= 0)
                r = transient_append(m, "Description", "s", description);
        if (r >= 0)
                r = transient_append(m, "Slice", "s", "app.slice");
        if (r >= 0)
                r = transient_append(m, "CollectMode", "s", "inactive-or-failed");
        /* A terminal and a browser may have a process that runs already, and then what was started is done.
         */
        if (r >= 0)
                r = transient_append(m, "ExitType", "s", "cgroup");
        if (r >= 0 && token) {
                g_autofree char *wayland = g_strconcat("XDG_ACTIVATION_TOKEN=", token, NULL),
                                *x11 = g_strconcat("DESKTOP_STARTUP_ID=", token, NULL);

                r = transient_append_environment(m, (char *[]){ wayland, x11, NULL });
        }
        if (r >= 0)
                r = transient_open_commands(m);
        if (r >= 0)
                r = transient_append_command(m, words, false);
        if (r >= 0)
                r = transient_close_commands(m);
        if (r >= 0)
                r = transient_end(m);
        return r < 0 ? r : sd_bus_call_async(user_bus, NULL, m, callback, userdata, 0);
}
