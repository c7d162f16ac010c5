/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This is the main program of architect-notify, with options, signals and the loop. */

#include <stdlib.h>

#include "base/fd-util.h"
#include "client/program.h"
#include "notify/notify-center.h"
#include "notify/notify-loop.h"
#include "util/autoptr.h"
#include "util/log.h"
#include "util/notify.h"

typedef struct Program {
        sd_event *event;
        sd_bus *system, *user;
        GDBusConnection *session;
        NotifyCenter *center;
        int state_fd;
} Program;

static void program_clear(Program *p) {
        (void) notify_center_free(p->center);
        /* What GIO was asked and nobody waits for any more is freed by the loop. */
        while (g_main_context_iteration(NULL, false))
                ;
        g_clear_object(&p->session);
        sd_bus_flush_close_unref(p->user);
        sd_bus_flush_close_unref(p->system);
        sd_event_unref(p->event);
        (void) fd_close(p->state_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Program, program_clear)

static const char notify_help[] = "architect-notify [OPTIONS...]\n\n"
                                  "Shows on the desktop which roles of architect-node have failed.\n\n"
                                  "  -h --help                Show this help\n"
                                  "     --version             Show the version\n"
                                  "     --debug               Log debug messages\n\n"
                                  "See architect-notify(8).\n";

static int program_on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        const Program *p = userdata;

        notify_send("STOPPING=1");
        return sd_event_exit(p->event, EXIT_SUCCESS);
}

static int program_open_session(Program *p) {
        g_autoptr(GError) error = NULL;

        p->session = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, &error);
        if (!p->session) {
                log_error("Cannot connect to the bus of the session: %s", error->message);
                return -ENOTCONN;
        }
        /* The other connection to the same bus ends the loop. */
        g_dbus_connection_set_exit_on_close(p->session, false);
        return 0;
}

/* Returns the exit status, or a negative errno after logging. */
static int program_run(Program *p) {
        int r = program_open_state("architect-notify.service", &p->state_fd);

        if (r >= 0)
                r = program_open_bus(program_on_stop, p, &p->event, &p->system);
        if (r >= 0)
                r = program_open_user_bus(p->event, &p->user);
        if (r >= 0)
                r = program_open_session(p);
        if (r >= 0)
                r = notify_center_new(p->system, p->user, p->session, p->state_fd, &p->center);
        if (r < 0)
                return r;
        return program_run_loop(p->event, "", notify_loop_run);
}

int main(int argc, char **argv) {
        log_setup();
        int r = program_parse_options(argc, argv, notify_help, NULL, NULL);
        if (r >= 0)
                return r;
        if (program_block_signals() < 0)
                return EXIT_FAILURE;

        g_auto(Program) program = { .state_fd = -EBADF };
        return program_exit_status(program_run(&program));
}
