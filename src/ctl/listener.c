/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "ctl/listener.h"
#include "ctl/loop.h"
#include "util/autoptr.h"

/* Of a line, and of what follows RESULT. supervisord has no limit. */
#define SAID_MAX 65536U

void listener_init(Listener *l, Ctl *ctl) {
        *l = (Listener){ .ctl = ctl, .said = g_string_new(NULL), .pending = g_string_new(NULL) };
        (void) signal(SIGPIPE, SIG_IGN); /* a listener that has ended is reported */
}

void listener_clear(Listener *l) {
        listener_detach(l);
        if (l->said)
                (void) g_string_free(g_steal_pointer(&l->said), TRUE);
        if (l->pending)
                (void) g_string_free(g_steal_pointer(&l->pending), TRUE);
}

/* -- what it says -- */

static int listener_on_input(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Listener *l = userdata;
        char data[4096];
        ssize_t n = read(fd, data, sizeof(data));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n > 0)
                g_string_append_len(l->said, data, n);
        else
                l->ended = true;
        if (l->wake)
                *l->wake = true;
        /* It is read again when what it has said is used. */
        return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

CtlExit listener_attach(Listener *l) {
        CtlExit e = ctl_loop_new(l->ctl, &l->event);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_event_add_io(l->event, &l->input, STDIN_FILENO, EPOLLIN, listener_on_input, l);
        if (r == -EPERM || r == -EBADF) {
                ctl_error("standard input is no pipe from an event listener");
                ctl_explain("--format=supervisor needs a listener at both ends; --json needs none.");
                return CTL_EXIT_FAILED;
        }
        return r < 0 ? ctl_failed(r, "wait for the listener") : CTL_EXIT_OK;
}

void listener_detach(Listener *l) {
        l->input = sd_event_source_disable_unref(l->input);
        ctl_loop_free(l->ctl, l->event);
        l->event = NULL;
}

static CtlExit listener_wait(Listener *l, bool *woken) {
        int r = sd_event_source_set_enabled(l->input, l->ended ? SD_EVENT_OFF : SD_EVENT_ON);
        if (r < 0)
                return ctl_failed(r, "wait for the listener");
        l->wake = woken;
        CtlExit e = ctl_loop_run(l->ctl, l->event, woken);
        l->wake = NULL;
        return e;
}

CtlExit listener_run_until(Listener *l, bool *news) {
        return listener_wait(l, news);
}

static CtlExit listener_has_ended(void) {
        ctl_error("the event listener has ended");
        return CTL_EXIT_FAILED;
}

static CtlExit listener_is_wrong(const char *said) {
        g_autofree char *escaped = g_strescape(said, NULL);

        ctl_error(
                "the event listener said \"%.60s\", which is neither READY nor RESULT in its place", escaped);
        return CTL_EXIT_FAILED;
}

/* Waits until so many bytes are there. */
static CtlExit listener_need(Listener *l, size_t n) {
        CtlExit e = CTL_EXIT_OK;

        while (e == CTL_EXIT_OK && l->said->len < n) {
                bool woken = false;

                if (l->ended)
                        return listener_has_ended();
                e = listener_wait(l, &woken);
        }
        return e;
}

/* The connection may be lost while it waits, and it begins again then. So a line stays in what was said until
 * the caller has used all that belongs to it. Returns NULL, and why, if there is none. */
static char *listener_line(Listener *l, CtlExit *ret) {
        const char *end;

        while (!(end = memchr(l->said->str, '\n', l->said->len))) {
                *ret = l->said->len > SAID_MAX ? listener_is_wrong(l->said->str)
                                               : listener_need(l, l->said->len + 1);
                if (*ret != CTL_EXIT_OK)
                        return NULL;
        }
        return g_strndup(l->said->str, (gsize) (end - l->said->str));
}

static CtlExit listener_get_ready(Listener *l) {
        CtlExit e = CTL_EXIT_OK;

        if (l->ready)
                return CTL_EXIT_OK;
        g_autofree char *line = listener_line(l, &e);
        if (!line)
                return e;
        if (strcmp(line, "READY") != 0)
                return listener_is_wrong(line);
        g_string_erase(l->said, 0, (gssize) strlen("READY\n"));
        l->ready = true;
        return CTL_EXIT_OK;
}

/* "RESULT 2\nOK"; all but OK is a refusal, as for supervisord. */
static CtlExit listener_get_result(Listener *l, bool *ret_accepted) {
        CtlExit e = CTL_EXIT_OK;
        uint32_t n = 0;

        g_autofree char *line = listener_line(l, &e);
        if (!line)
                return e;
        if (!g_str_has_prefix(line, "RESULT ") || parse_u32(line + strlen("RESULT "), &n) < 0 || n > SAID_MAX)
                return listener_is_wrong(line);
        const size_t begin = strlen(line) + 1;
        e = listener_need(l, begin + n);
        if (e != CTL_EXIT_OK)
                return e;
        *ret_accepted = n == 2 && memcmp(l->said->str + begin, "OK", 2) == 0;
        g_string_erase(l->said, 0, (gssize) (begin + n));
        return CTL_EXIT_OK;
}

/* -- the event -- */

/* Who has asked for the end of a role, or none, in which case it has ended by itself. */
static bool event_was_asked_for(const char *cause) {
        static const char *const asked[] = { "stop", "kill", "monitor", "shutdown", "dependency", NULL };

        return cause && g_strv_contains(asked, cause);
}

/* The name and the payload, or NULL. from_state is what supervisord writes there. */
static const char *event_translate(const NodeEvent *event, const EventInfo *info, GString *payload) {
        g_string_printf(payload, "processname:%s groupname:%s from_state:", event->role, event->role);
        if (strcmp(event->signal, "RoleStarted") == 0) {
                g_string_append_printf(payload, "STARTING pid:%" PRIu32, info->pid);
                return "PROCESS_STATE_RUNNING";
        }
        if (strcmp(event->signal, "RoleExited") == 0 && event_was_asked_for(info->cause)) {
                g_string_append_printf(payload, "STOPPING pid:%" PRIu32, info->pid);
                return "PROCESS_STATE_STOPPED";
        }
        if (strcmp(event->signal, "RoleExited") == 0) {
                /* A service before this detail does not say whether it was a success. */
                const bool expected = info->result
                                              ? strcmp(info->result, "success") == 0
                                              : g_strcmp0(info->code, "exited") == 0 && info->status == 0;

                g_string_append_printf(payload, "RUNNING expected:%d pid:%" PRIu32, expected, info->pid);
                return "PROCESS_STATE_EXITED";
        }
        if (strcmp(event->signal, "RoleRestarting") == 0) {
                g_string_append_printf(payload, "STARTING tries:%" PRIu32, info->attempt);
                return "PROCESS_STATE_BACKOFF";
        }
        if (strcmp(event->signal, "RoleFailed") == 0) {
                g_string_append(payload, "BACKOFF");
                return "PROCESS_STATE_FATAL";
        }
        g_string_truncate(payload, 0);
        return strcmp(event->signal, "ShuttingDown") == 0 ? "SUPERVISOR_STATE_CHANGE_STOPPING" : NULL;
}

CtlExit listener_flush(Listener *l) {
        bool accepted = false;

        /* Between two events it says READY, which nobody must wait for, and nothing else. */
        if (l->pending->len == 0 && !l->ready &&
                (memchr(l->said->str, '\n', l->said->len) || l->said->len > SAID_MAX)) {
                CtlExit e = listener_get_ready(l);
                if (e != CTL_EXIT_OK)
                        return e;
        }
        if (l->pending->len == 0 && l->ready && l->said->len > 0)
                return listener_is_wrong(l->said->str);
        if (l->pending->len == 0 && l->ended)
                return listener_has_ended();
        while (l->pending->len > 0) {
                CtlExit e = l->told ? CTL_EXIT_OK : listener_get_ready(l);
                if (e == CTL_EXIT_OK && !l->told &&
                        (fwrite(l->pending->str, 1, l->pending->len, stdout) != l->pending->len ||
                                fflush(stdout) != 0))
                        e = ctl_failed(errno, "write to the event listener");
                if (e != CTL_EXIT_OK)
                        return e;
                l->told = true;
                l->ready = false;
                e = listener_get_result(l, &accepted);
                if (e != CTL_EXIT_OK)
                        return e;
                l->told = false;
                if (accepted)
                        g_string_truncate(l->pending, 0);
        }
        return CTL_EXIT_OK;
}

CtlExit listener_tell(Listener *l, const NodeEvent *event, const EventInfo *info) {
        g_autoptr(GString) payload = g_string_new(NULL);
        const char *name = event_translate(event, info, payload);

        if (!name)
                return CTL_EXIT_OK;
        g_string_printf(l->pending,
                "ver:3.0 server:architect serial:%" PRIu64 " pool:%s poolserial:%" PRIu64
                " eventname:%s len:%zu\n%s",
                event->seq, l->ctl->instance, l->n++, name, payload->len, payload->str);
        return listener_flush(l);
}
