/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This is the main program of architect-alert, with options, signals and the loop. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alert/alert-settings.h"
#include "alert/alert-watch.h"
#include "base/fd-util.h"
#include "client/program.h"
#include "util/autoptr.h"
#include "util/log.h"
#include "util/notify.h"

typedef struct Program {
        sd_event *event;
        GPtrArray *alerts, *problems;
        sd_bus *bus;
        GPtrArray *watches; /* of AlertWatch * */
        unsigned n_stopped;
        int state_fd;
} Program;

static void program_clear(Program *p) {
        g_clear_pointer(&p->watches, g_ptr_array_unref);
        sd_bus_flush_close_unref(p->bus);
        sd_event_unref(p->event);
        g_clear_pointer(&p->alerts, g_ptr_array_unref);
        g_clear_pointer(&p->problems, g_ptr_array_unref);
        (void) fd_close(p->state_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Program, program_clear)

static void watch_free(void *p) {
        (void) alert_watch_free(p);
}

static const char alert_help[] = "architect-alert [OPTIONS...]\n\n"
                                 "Runs commands of the administrator for events of architect-node.\n\n"
                                 "  -h --help                Show this help\n"
                                 "     --version             Show the version\n"
                                 "     --check[=DIRECTORY]   Check the files of alerts, and run nothing\n"
                                 "     --debug               Log debug messages\n\n"
                                 "See architect-alert(8).\n";

/* Returns the exit status. */
static int alert_check(const char *directory) {
        g_autoptr(GPtrArray) alerts = NULL, problems = NULL;

        alerts_load(directory, &alerts, &problems);
        for (unsigned i = 0; i < problems->len; i++)
                log_error("%s", (const char *) g_ptr_array_index(problems, i));
        printf("%u alerts, %u files that are not valid\n", alerts->len, problems->len);
        return problems->len > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* -- set-up -- */

static void program_load(Program *p) {
        alerts_load(ALERTS_DIRECTORY, &p->alerts, &p->problems);
        for (unsigned i = 0; i < p->problems->len; i++)
                log_error("%s; this alert is not there, all others are",
                        (const char *) g_ptr_array_index(p->problems, i));
}

static void program_on_stopped(void *userdata) {
        Program *p = userdata;

        if (++p->n_stopped >= p->watches->len)
                (void) sd_event_exit(p->event, EXIT_SUCCESS);
}

static int program_on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        const Program *p = userdata;

        notify_send("STOPPING=1");
        if (p->watches->len == 0)
                return sd_event_exit(p->event, EXIT_SUCCESS);
        for (unsigned i = 0; i < p->watches->len; i++)
                alert_watch_stop(g_ptr_array_index(p->watches, i), program_on_stopped, userdata);
        return 0;
}

/* Each instance that an alert names is watched once. */
static int program_watch(Program *p) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        char host[HOST_NAME_MAX + 1] = "";

        if (gethostname(host, sizeof(host) - 1) < 0)
                return log_error_errno(-errno, "Cannot get the name of this host: %m");
        for (unsigned i = 0; i < p->alerts->len; i++)
                for (char **name = ((Alert *) g_ptr_array_index(p->alerts, i))->instances; *name; name++) {
                        AlertWatch *watch;

                        if (!g_hash_table_add(seen, *name))
                                continue;
                        int r = alert_watch_new(p->bus, *name, host, p->alerts, p->state_fd, &watch);
                        if (r < 0)
                                return r;
                        g_ptr_array_add(p->watches, watch);
                }
        return 0;
}

/* Returns the exit status, or a negative errno after logging. */
static int program_run(Program *p) {
        int r = program_open_state("architect-alert.service", &p->state_fd);

        if (r >= 0)
                r = program_open_bus(program_on_stop, p, &p->event, &p->bus);
        if (r < 0)
                return r;
        program_load(p);
        r = program_watch(p);
        if (r < 0)
                return r;
        g_autofree char *ready = g_strdup_printf("STATUS=%u alerts%s", p->alerts->len,
                p->problems->len > 0 ? "; some files are not valid, the log says which." : ".");
        return program_run_loop(p->event, ready, sd_event_loop);
}

int main(int argc, char **argv) {
        log_setup();
        const char *check = NULL;
        int r = program_parse_options(argc, argv, alert_help, "check", &check);
        if (r >= 0)
                return r;
        if (check)
                return alert_check(check[0] ? check : ALERTS_DIRECTORY);
        if (program_block_signals() < 0)
                return EXIT_FAILURE;

        g_auto(Program)
                program = { .watches = g_ptr_array_new_with_free_func(watch_free), .state_fd = -EBADF };
        return program_exit_status(program_run(&program));
}
