/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/loop.h"
#include "util/autoptr.h"

CtlExit ctl_loop_new(Ctl *ctl, sd_event **ret) {
        g_autoptr(sd_event) event = NULL;

        CtlExit e = ctl_connect(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_attach_event(ctl->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return ctl_failed(r, "wait for events");
        *ret = g_steal_pointer(&event);
        return CTL_EXIT_OK;
}

void ctl_loop_free(Ctl *ctl, sd_event *event) {
        if (!event)
                return;
        (void) sd_bus_detach_event(ctl->bus);
        sd_event_unref(event);
}

/* As sd_event_run(), but the handlers have the baton. */
static int loop_turn(const Ctl *ctl, sd_event *event) {
        int r = sd_event_prepare(event);

        if (r == 0) {
                if (ctl->many)
                        (void) baton_poll(sd_event_get_fd(event), POLLIN, UINT64_MAX);
                r = sd_event_wait(event, ctl->many ? 0 : UINT64_MAX);
        }
        return r > 0 ? sd_event_dispatch(event) : r;
}

CtlExit ctl_loop_run(Ctl *ctl, sd_event *event, const bool *done) {
        while (!*done) {
                int r = loop_turn(ctl, event);
                if (r < 0)
                        return ctl_failed(r, "wait for events");
                if (!*done && sd_bus_is_open(ctl->bus) <= 0) {
                        ctl_error("the connection to the service is lost");
                        return CTL_EXIT_FAILED;
                }
        }
        return CTL_EXIT_OK;
}

CtlExit ctl_loop_add_signal(
        Ctl *ctl, sd_event *event, int signo, sd_event_signal_handler_t handler, void *userdata) {
        sigset_t set;

        if (ctl->many)
                return CTL_EXIT_OK;
        (void) sigemptyset(&set);
        (void) sigaddset(&set, signo);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        int r = sd_event_add_signal(event, NULL, signo, handler, userdata);
        return r < 0 ? ctl_failed(r, "wait for signals") : CTL_EXIT_OK;
}

int ctl_open_signals(void) {
        static const int signals[] = { SIGWINCH, SIGHUP, SIGINT, SIGQUIT, SIGTERM };
        sigset_t set;

        (void) sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void) sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

/* -- a call -- */

typedef struct Lasting {
        sd_bus_message *reply;
        bool interrupted;
        bool done;
} Lasting;

static int lasting_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Lasting *l = userdata;

        l->reply = sd_bus_message_ref(m);
        l->done = true;
        return 0;
}

static int lasting_on_interrupt(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        Lasting *l = userdata;

        l->interrupted = l->done = true;
        return 0;
}

static void unblock_interrupt(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGINT);
        (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* The parent, such as a shell, shall see what has ended us. */
static void end_by_interrupt(Ctl *ctl, const char *goes_on) {
        if (isatty(STDERR_FILENO))
                (void) fputc('\n', stderr); /* after the ^C of the terminal */
        ctl_say(ctl, "%s", goes_on);
        ctl_disconnect(ctl);
        (void) fflush(NULL);
        (void) signal(SIGINT, SIG_DFL);
        (void) raise(SIGINT);
        unblock_interrupt();
}

CtlExit ctl_send_lasting(Ctl *ctl, sd_bus_message *call, const char *goes_on, sd_bus_message **ret_reply) {
        sd_event *event = NULL;
        Lasting l = {};

        if (ctl->many)
                return ctl_send(ctl, call, ret_reply);
        CtlExit e = ctl_loop_new(ctl, &event);
        if (e == CTL_EXIT_OK)
                e = ctl_loop_add_signal(ctl, event, SIGINT, lasting_on_interrupt, &l);
        if (e == CTL_EXIT_OK)
                e = ctl_send_async(ctl, call, lasting_on_reply, &l);
        if (e == CTL_EXIT_OK)
                e = ctl_loop_run(ctl, event, &l.done);
        if (e == CTL_EXIT_OK && l.interrupted)
                end_by_interrupt(ctl, goes_on);
        ctl_loop_free(ctl, event);
        unblock_interrupt(); /* what comes next can be interrupted, too */
        if (e == CTL_EXIT_OK)
                *ret_reply = l.reply;
        return e;
}

CtlExit ctl_check_reply(Ctl *ctl, sd_bus_message *call, sd_bus_message *reply) {
        return sd_bus_message_is_method_error(reply, NULL)
                       ? ctl_report(ctl, ctl_call_role(call), sd_bus_message_get_error(reply))
                       : CTL_EXIT_OK;
}
