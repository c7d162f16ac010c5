/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "up", "down" and "diff": an observatory is made to be what its file says. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ctl/lease.h"
#include "ctl/loop.h"
#include "ctl/up.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

static void up_clear(Up *up) {
        /* The links call back, and the hosts are their owners. */
        up->links = host_links_free(up->links);
        if (up->steps)
                g_ptr_array_unref(up->steps);
        if (up->hosts)
                g_ptr_array_unref(up->hosts);
        up->event = sd_event_unref(up->event);
        up->observatory = observatory_free(up->observatory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Up, up_clear)

static int up_on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Up *up = userdata;

        up->interrupted = true;
        return 0;
}

static CtlExit up_begin(Up *up, const char *file) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

        CtlExit e = observatory_load(file, &up->observatory);
        if (e != CTL_EXIT_OK)
                return e;
        if (up->token != 0 && !up->observatory->lease)
                return ctl_usage(
                        up->verb, "--token= is for a lease, and %s has no Lease=", up->observatory->path);
        up->hosts = g_ptr_array_new_with_free_func(up_host_free);
        up->steps = g_ptr_array_new_with_free_func(up_step_free);
        int r = sd_event_new(&up->event);
        if (r < 0)
                return ctl_failed(r, "wait for events");
        for (size_t i = 0; e == CTL_EXIT_OK && i < ELEMENTSOF(signals); i++)
                e = ctl_loop_add_signal(up->ctl, up->event, signals[i], up_on_signal, up);
        return e == CTL_EXIT_OK ? up_hosts_ask(up) : e;
}

/* -- before anything is done -- */

static guint up_count_hosts(const Up *up) {
        guint n = 0;

        for (guint i = 0; i < up->hosts->len; i++) {
                const UpHost *host = g_ptr_array_index(up->hosts, i);
                bool changes = false;

                for (guint k = 0; k < up->steps->len; k++) {
                        const UpStep *step = g_ptr_array_index(up->steps, k);

                        changes = changes || (step->host == host && step->action != UP_KEEP);
                }
                n += changes && !host->problem;
        }
        return n;
}

static CtlExit up_tell_interrupted(void) {
        ctl_error("interrupted, nothing was done");
        return CTL_EXIT_FAILED;
}

static int up_on_answer(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        bool *answered = userdata;

        *answered = true;
        return 0;
}

/* Until there is a line, or a signal, which is blocked. */
static int up_await_answer(const Up *up) {
        g_autoptr(sd_event_source) source = NULL;
        bool answered = false;

        int r = sd_event_add_io(up->event, &source, STDIN_FILENO, EPOLLIN, up_on_answer, &answered);
        while ((r >= 0 || r == -EINTR) && !answered && !up->interrupted)
                r = sd_event_run(up->event, UINT64_MAX);
        return r;
}

static CtlExit up_confirm(const Up *up) {
        const guint n_hosts = up_count_hosts(up);

        if (n_hosts < 2 || up->ctl->yes)
                return CTL_EXIT_OK;
        CtlExit e = ctl_check_can_ask(up->verb, n_hosts);
        if (e != CTL_EXIT_OK)
                return e;
        (void) fprintf(stderr, "Start %u, restart %u and stop %u roles on %u hosts? [y/N] ",
                up_plan_count(up, UP_START), up_plan_count(up, UP_RESTART), up_plan_count(up, UP_STOP),
                n_hosts);
        int r = up_await_answer(up);
        if (r < 0 && r != -EINTR)
                return ctl_failed(r, "wait for an answer");
        if (!up->interrupted)
                return ctl_read_answer();
        (void) fputc('\n', stderr);
        return up_tell_interrupted();
}

static bool up_has_problems(const Up *up) {
        for (guint i = 0; i < up->hosts->len; i++)
                if (((UpHost *) g_ptr_array_index(up->hosts, i))->problem)
                        return true;
        return false;
}

static bool up_is_held(const Up *up) {
        for (guint i = 0; i < up->hosts->len; i++)
                if (((UpHost *) g_ptr_array_index(up->hosts, i))->holds)
                        return true;
        return false;
}

static bool up_changes(const Up *up) {
        return up_plan_count(up, UP_KEEP) < up->steps->len;
}

/* Returns CTL_EXIT_OK if something is to be done. */
static CtlExit up_plan(Up *up, bool down) {
        CtlExit e;

        /* Then not all hosts have told what they have. */
        if (up->interrupted)
                return up_tell_interrupted();
        e = up_plan_make(up, down);
        return e == CTL_EXIT_OK ? up_plan_print(up) : e;
}

/* -- the verbs -- */

typedef enum UpOptions {
        UP_OPTION_FORCE = 1 << 0,
        UP_OPTION_TOKEN = 1 << 1,
} UpOptions;

/* Returns true if the verb is to go on, with the file in argv[optind]; otherwise it returns *ret. */
static bool up_get_options(Up *up, UpOptions has, int argc, char *argv[], CtlExit *ret) {
        enum { ARG_FORCE = CTL_OPTION_OWN, ARG_TOKEN };
        struct option options[3] = {};
        size_t n = 0;
        int c = 0;

        if (has & UP_OPTION_FORCE)
                options[n++] = (struct option){ "force", no_argument, NULL, ARG_FORCE };
        if (has & UP_OPTION_TOKEN)
                options[n++] = (struct option){ "token", required_argument, NULL, ARG_TOKEN };
        *ret = CTL_EXIT_OK;
        while (*ret == CTL_EXIT_OK && (c = ctl_getopt(up->ctl, argc, argv, NULL, options, ret)) >= 0)
                if (c == ARG_FORCE)
                        up->force = true;
                else
                        *ret = lease_parse_token(argv[0], optarg, &up->token);
        if (c == CTL_OPTION_EXIT || *ret != CTL_EXIT_OK)
                return false;
        if (up->ctl->host || up->ctl->machine) {
                *ret = ctl_refuse_place(up->ctl, argv[0]);
                return false;
        }
        *ret = ctl_check_arguments(argc, argv, 1, 1);
        return *ret == CTL_EXIT_OK;
}

static CtlExit up_do(Up *up, bool down) {
        const bool has_lease = up->observatory->lease;

        CtlExit e = up_changes(up) ? up_confirm(up) : CTL_EXIT_OK;
        if (e == CTL_EXIT_OK && has_lease)
                e = up_beat_begin(up);
        if (e != CTL_EXIT_OK)
                return e;
        e = up_run(up);
        if (e == CTL_EXIT_OK && up_has_problems(up))
                e = CTL_EXIT_FAILED;
        if (e == CTL_EXIT_OK && !up_changes(up))
                ctl_say(up->ctl, down ? "Nothing of %s runs." : "Everything is as %s says.",
                        up->observatory->path);
        return e;
}

static CtlExit up_make(Up *up, bool down, int argc, char *argv[]) {
        CtlExit e;

        if (!up_get_options(up, UP_OPTION_FORCE | UP_OPTION_TOKEN, argc, argv, &e))
                return e;
        e = up_begin(up, argv[optind]);
        if (e == CTL_EXIT_OK)
                e = up_plan(up, down);
        return e == CTL_EXIT_OK ? up_do(up, down) : e;
}

CtlExit verb_up(Ctl *ctl, int argc, char *argv[]) {
        g_auto(Up) up = { .ctl = ctl, .verb = "up" };
        CtlExit e = up_make(&up, false, argc, argv);
        /* What has failed is no reason to let the others end. */
        if (up.hosts && !up.interrupted && up_is_held(&up)) {
                const CtlExit beat = up_beat_run(&up);

                e = beat != CTL_EXIT_OK ? beat : e;
        }
        return e;
}

CtlExit verb_down(Ctl *ctl, int argc, char *argv[]) {
        g_auto(Up) up = { .ctl = ctl, .verb = "down" };
        CtlExit e = up_make(&up, true, argc, argv);
        if (up.hosts && up_is_held(&up))
                up_beat_release(&up);
        return e;
}

/* Like diff(1): 0 if there is no difference. */
CtlExit verb_diff(Ctl *ctl, int argc, char *argv[]) {
        g_auto(Up) up = { .ctl = ctl, .verb = "diff", .force = true };
        CtlExit e;

        if (!up_get_options(&up, 0, argc, argv, &e))
                return e;
        e = up_begin(&up, argv[optind]);
        if (e == CTL_EXIT_OK)
                e = up_plan(&up, false);
        if (e != CTL_EXIT_OK)
                return e;
        return up_changes(&up) || up_has_problems(&up) ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}
