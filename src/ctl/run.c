/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "run": a job as if it were local.
 *
 * With --pipe the role writes into a named pipe of this program, since the service passes no descriptors to a
 * role, and a pipe is exact: nothing is changed or lost, and a slow reader makes the role wait. What is read
 * from standard input goes to the role by WriteInput. With --pty the terminal of the role is shown. The role
 * has the option remove, so RolePurged tells that nothing of it is left and all that it wrote is in the
 * pipe.
 *
 * If this program is the main process of a unit of systemd, it says there when the role is ready, and what
 * its status is. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/unit-name.h"
#include "client/node-client.h"
#include "ctl/connection.h"
#include "ctl/ends.h"
#include "ctl/feed.h"
#include "ctl/fifo.h"
#include "ctl/loop.h"
#include "ctl/output.h"
#include "ctl/start-args.h"
#include "ctl/terminal.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/notify.h"

typedef enum RunMode {
        RUN_BACKGROUND,
        RUN_WAIT, /* what --wait means is decided when all options are read */
        RUN_PIPE,
        RUN_PTY,
} RunMode;

typedef struct Run {
        Ctl *ctl;
        sd_event *event;
        StartArgs args;
        RunMode mode;
        const char *role;
        char *const *command;

        Fifo fifo; /* for what the role writes; with --pty until its terminal is open */
        sd_event_source *fifo_source, *output_source;
        CtlOutput output;
        Feed feed;

        bool of_unit; /* systemd has started us, and takes notifications */
        char *path;   /* of the role then */
        char *status; /* that systemd has */
        bool ready, ready_told;

        bool sent;    /* Start; what comes before is about an earlier role of this name */
        bool started; /* its command has been executed */
        bool attach;  /* it has, or will not be: with --pty */
        bool gone;    /* nothing of it is left */
        bool failed;  /* this program, which has reported it */
        unsigned n_signals;
        int signo; /* that has ended us */
        CtlExit exit;
        bool done;
} Run;

/* -- stopping -- */

static int run_on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Run *run = userdata;

        /* It is not there yet, or not any more. */
        if (sd_bus_message_is_method_error(m, node_error_to_string(NODE_ERROR_NO_SUCH_ROLE)))
                return 0;
        if (sd_bus_message_is_method_error(m, NULL))
                (void) ctl_report(run->ctl, run->role, sd_bus_message_get_error(m));
        return 0;
}

static void run_stop(Run *run) {
        g_autoptr(sd_bus_message) call = NULL;
        CtlExit e;

        e = ctl_new_call(run->ctl, &call, run->n_signals > 1 ? "Kill" : "Stop", "s", run->role);
        if (e == CTL_EXIT_OK)
                (void) ctl_send_async(run->ctl, call, run_on_stopped, run);
}

/* -- the end -- */

static void run_check_done(Run *run) {
        run->done = run->done || (run->gone && run->fifo.fd < 0 && !ctl_output_is_pending(&run->output));
}

/* The role has no process any more that could write, so the named pipe has an end. */
static void run_gone(Run *run) {
        run->gone = run->attach = true;
        run->fifo.keep_fd = fd_close(run->fifo.keep_fd);
        run_check_done(run);
}

static void run_stop_reading(Run *run) {
        run->fifo_source = sd_event_source_disable_unref(run->fifo_source);
        fifo_close(&run->fifo);
        run_check_done(run);
}

/* It has failed itself, so the role is stopped, and its status says nothing. */
static void run_fail(Run *run, CtlExit e) {
        if (e == CTL_EXIT_OK || run->failed)
                return;
        run->failed = true;
        if (!run->gone)
                run_stop(run);
}

/* -- output -- */

static void run_after_output(Run *run, int r) {
        const bool pending = ctl_output_is_pending(&run->output);

        if (r < 0) {
                /* As in a pipeline of a shell: the role is told when it writes again. */
                if (r != -EPIPE)
                        run_fail(run, ctl_failed(r, "write to standard output"));
                ctl_output_close(&run->output);
                run->output_source = sd_event_source_disable_unref(run->output_source);
                run_stop_reading(run);
                return;
        }
        if (run->output_source)
                (void) sd_event_source_set_enabled(run->output_source, pending ? SD_EVENT_ON : SD_EVENT_OFF);
        if (run->fifo_source)
                (void) sd_event_source_set_enabled(run->fifo_source, pending ? SD_EVENT_OFF : SD_EVENT_ON);
        run_check_done(run);
}

static int run_on_fifo(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Run *run = userdata;
        ssize_t n = read(fd, run->output.data, sizeof(run->output.data));

        if (n > 0)
                run_after_output(run, ctl_output_take(&run->output, (size_t) n));
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                run_stop_reading(run);
        return 0;
}

static int run_on_output(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Run *run = userdata;

        run_after_output(run, ctl_output_flush(&run->output));
        return 0;
}

static CtlExit run_begin_output(Run *run) {
        if (run->fifo.fd < 0)
                return CTL_EXIT_OK;
        ctl_output_open(&run->output, STDOUT_FILENO);
        int r = sd_event_add_io(run->event, &run->fifo_source, run->fifo.fd, EPOLLIN, run_on_fifo, run);
        if (r >= 0)
                r = sd_event_add_io(
                        run->event, &run->output_source, run->output.fd, EPOLLOUT, run_on_output, run);
        if (r >= 0)
                r = sd_event_source_set_enabled(run->output_source, SD_EVENT_OFF);
        else if (r == -EPERM) /* a file, which never blocks, and epoll does not take */
                r = 0;
        return r < 0 ? ctl_failed(r, "watch the output") : CTL_EXIT_OK;
}

/* -- signals of this process, and its input -- */

static void run_interrupt(Run *run, int signo) {
        run->signo = signo;
        run->n_signals++;
        if (run->of_unit)
                notify_send("STOPPING=1");
        if (run->n_signals == 1 && isatty(STDERR_FILENO))
                ctl_say(run->ctl, "\nStopping role %s; Ctrl-C again kills it.", run->role);
        if (run->n_signals > 2) { /* the service does not answer, or our output takes nothing */
                ctl_say(run->ctl, "Role %s may run on; architectctl list shows it.", run->role);
                run->exit = CTL_EXIT_SIGNAL + (CtlExit) signo;
                run->attach = run->done = true;
                return;
        }
        run_stop(run);
}

static int run_on_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        run_interrupt(userdata, (int) info->ssi_signo);
        return 0;
}

/* A role that waits for input that cannot come would wait for ever. */
static void run_on_input_end(void *userdata) {
        Run *run = userdata;

        run_fail(run, run->feed.exit);
}

/* -- what systemd is told -- */

/* A program of a unit may run this, too; only what systemd itself has started speaks for the unit. */
static bool run_is_of_unit(void) {
        const char *pid = g_getenv("SYSTEMD_EXEC_PID");
        uint32_t exec_pid;

        return g_getenv("NOTIFY_SOCKET") && pid && parse_u32(pid, &exec_pid) >= 0 &&
               exec_pid == (uint32_t) getpid();
}

static void run_tell_ready(Run *run) {
        if (run->ready && !run->ready_told)
                notify_send("READY=1");
        run->ready_told = run->ready;
}

static int run_on_status(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Run *run = userdata;
        const char *text;

        /* An error is that of a role that is not there any more. */
        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "v", "s", &text) >= 0 &&
                g_strcmp0(run->status ?: "", text) != 0) {
                g_free(run->status);
                run->status = g_strdup(text);
                notify_sendf("STATUS=%s", text);
        }
        run_tell_ready(run);
        return 0;
}

/* A unit that is active has its status already, so that comes before READY=1. */
static void run_ask_status(Run *run) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call_of(run->ctl, &call, run->path, "org.freedesktop.DBus.Properties", "Get");
        if (e == CTL_EXIT_OK && sd_bus_message_append(call, "ss", NODE_ROLE_INTERFACE, "StatusText") < 0)
                e = CTL_EXIT_FAILED;
        if (e == CTL_EXIT_OK)
                e = ctl_send_async(run->ctl, call, run_on_status, run);
        if (e != CTL_EXIT_OK)
                run_tell_ready(run);
}

static int run_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Run *run = userdata;

        if (run->sent && !run->gone)
                run_ask_status(run);
        return 0;
}

/* From here on systemd gets the keep-alive of WatchdogSec=, too: this program lives, and waits for the
 * service. Whether the role does is watched by the service. */
static CtlExit run_begin_notify(Run *run) {
        run->of_unit = run_is_of_unit();
        if (!run->of_unit)
                return CTL_EXIT_OK;
        run->path = role_object_path(run->role);
        int r = run->path
                        ? sd_bus_match_signal(run->ctl->bus, NULL, run->ctl->bus_name, run->path,
                                  "org.freedesktop.DBus.Properties", "PropertiesChanged", run_on_changed, run)
                        : 0; /* Start refuses that name */
        if (r >= 0)
                r = notify_attach(run->event);
        return r < 0 ? ctl_failed(r, "prepare what systemd is told") : CTL_EXIT_OK;
}

/* -- what the service says -- */

static void run_on_started(Run *run) {
        if (run->n_signals > 0) /* the stop came before there was anything to stop */
                run_stop(run);
        if (run->started)
                return;
        run->started = run->attach = true;
        if (run->mode == RUN_PIPE && run->args.spec->stdin_kind == ROLE_STDIN_PIPE)
                feed_begin(&run->feed);
}

/* A role that is kept is gone when a Stop says so, which waits for what it has left. */
static int run_on_swept(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        run_gone(userdata);
        return 0;
}

static void run_wait_for_sweep(Run *run) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(run->ctl, &call, "Stop", "s", run->role);
        if (e == CTL_EXIT_OK)
                e = ctl_send_async(run->ctl, call, run_on_swept, run);
        if (e != CTL_EXIT_OK)
                run_gone(run);
}

static int run_on_event(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *role, *code;
        Run *run = userdata;
        int32_t status;

        if (!run->sent || sd_bus_message_read_basic(m, 's', &role) <= 0 || strcmp(role, run->role) != 0)
                return 0;
        if (sd_bus_message_is_signal(m, NODE_INTERFACE, "RoleStarted"))
                run_on_started(run);
        else if (sd_bus_message_is_signal(m, NODE_INTERFACE, "RoleExited") && run->started) {
                if (sd_bus_message_read(m, "osi", NULL, &code, &status) >= 0)
                        run->exit = ctl_end_to_exit(code, status);
                if (!run->args.spec->remove)
                        run_wait_for_sweep(run);
        } else if (sd_bus_message_is_signal(m, NODE_INTERFACE, "RolePurged") && run->started)
                run_gone(run);
        return 0;
}

static int run_on_start_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Run *run = userdata;

        if (!sd_bus_message_is_method_error(m, NULL)) {
                run->ready = true;
                if (run->of_unit)
                        run_ask_status(run);
                return 0;
        }
        if (!run->started) {
                /* The user knows why a start was cancelled that he has interrupted. */
                if (run->n_signals == 0 ||
                        !sd_bus_message_is_method_error(m, node_error_to_string(NODE_ERROR_START_CANCELLED)))
                        (void) ctl_report(run->ctl, run->role, sd_bus_message_get_error(m));
                run->exit = run->n_signals > 0 ? CTL_EXIT_SIGNAL + (CtlExit) run->signo : CTL_EXIT_OWN;
                run_gone(run);
                return 0;
        }
        /* It has ended, or is stopped, before it was what its type promises. Its status says the former. */
        if (!sd_bus_message_is_method_error(m, node_error_to_string(NODE_ERROR_START_FAILED)) &&
                run->n_signals == 0)
                (void) ctl_report(run->ctl, run->role, sd_bus_message_get_error(m));
        if (!run->gone)
                run_wait_for_sweep(run);
        return 0;
}

static int run_on_there(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Run *run = userdata;

        if (!run->gone && sd_bus_message_is_method_error(m, node_error_to_string(NODE_ERROR_NO_SUCH_ROLE)))
                run_gone(run); /* with the status that was told, or none */
        return 0;
}

/* The service was started again. It has sent the events that nobody has read, or it has lost the role. */
static int run_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(sd_bus_message) call = NULL;
        const char *owner;
        Run *run = userdata;

        if (!run->started || sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0 || !owner[0])
                return 0;
        if (ctl_new_call(run->ctl, &call, "GetRole", "s", run->role) == CTL_EXIT_OK)
                (void) ctl_send_async(run->ctl, call, run_on_there, run);
        return 0;
}

/* -- the walk -- */

static CtlExit run_subscribe(Run *run) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
        g_autoptr(sd_bus_message) state = NULL;

        (void) signal(SIGPIPE, SIG_IGN); /* the role is told that nobody reads, and this sees its end */
        CtlExit e = ctl_subscribe(run->ctl, run_on_event, run);
        if (e == CTL_EXIT_OK)
                e = ctl_subscribe_owner(run->ctl, run_on_owner, run);
        /* Everything that was sent before the reply is about earlier roles, and handled before Start. */
        if (e == CTL_EXIT_OK)
                e = ctl_get_property(run->ctl, "State", "s", &state);
        if (e == CTL_EXIT_OK)
                e = ctl_loop_new(run->ctl, &run->event);
        for (size_t i = 0; e == CTL_EXIT_OK && i < ELEMENTSOF(signals); i++)
                e = ctl_loop_add_signal(run->ctl, run->event, signals[i], run_on_signal, run);
        if (e == CTL_EXIT_OK)
                e = run_begin_notify(run);
        return e;
}

static CtlExit run_start(Run *run) {
        g_autoptr(sd_bus_message) call = NULL;

        while (sd_bus_process(run->ctl->bus, NULL) > 0)
                ;
        CtlExit e = start_args_new_call(run->ctl, &run->args, run->role, run->command, &call);
        if (e != CTL_EXIT_OK)
                return e;
        run->feed.event = run->event;
        run->sent = true;
        return ctl_send_async(run->ctl, call, run_on_start_reply, run);
}

/* A command may end before its terminal is open; then the named pipe has what it wrote. */
static CtlExit run_attach(Run *run) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_auto(Terminal) t;

        terminal_init(&t, run->role);
        if (terminal_open(run->ctl, &t, true, &error) < 0) {
                const NodeError e = node_error_from_string(error.name);

                if (e != NODE_ERROR_ROLE_NOT_RUNNING && e != NODE_ERROR_NO_SUCH_ROLE)
                        (void) ctl_report(run->ctl, run->role, &error);
                return run_begin_output(run);
        }
        fifo_close(&run->fifo);
        run_fail(run, terminal_show(&t, false));
        if (t.escaped) {
                ctl_say(run->ctl, "\nDetached from role %s, which runs on.", run->role);
                run->exit = CTL_EXIT_OK;
                run->done = true;
        } else if (!t.ended && !run->failed) /* a signal, or our terminal is gone */
                run_interrupt(run, SIGHUP);
        run_check_done(run);
        return CTL_EXIT_OK;
}

static CtlExit run_and_wait(Run *run) {
        CtlExit e = run_subscribe(run);
        if (e == CTL_EXIT_OK && run->mode == RUN_PIPE)
                e = run_begin_output(run);
        if (e == CTL_EXIT_OK)
                e = run_start(run);
        if (e == CTL_EXIT_OK && run->mode == RUN_PTY) {
                e = ctl_loop_run(run->ctl, run->event, &run->attach);
                if (e == CTL_EXIT_OK && run->started && !run->done)
                        e = run_attach(run);
        }
        if (e == CTL_EXIT_OK)
                e = ctl_loop_run(run->ctl, run->event, &run->done);
        if (run->of_unit) /* a command that has ended at once was ready, too */
                run_tell_ready(run);
        return e != CTL_EXIT_OK || run->failed ? CTL_EXIT_OWN : run->exit;
}

static CtlExit run_in_background(Run *run) {
        if (start_args_send(run->ctl, &run->args, run->role, run->command) != CTL_EXIT_OK)
                return CTL_EXIT_OWN;
        ctl_say(run->ctl, "Running as role %s.", run->role);
        return CTL_EXIT_OK;
}

/* -- the options -- */

static bool run_has_terminal(void) {
        return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

static CtlExit run_default(Run *run, const char *key, const char *value) {
        return start_args_has(&run->args, key) ? CTL_EXIT_OK : start_args_set(&run->args, "run", key, value);
}

/* With WatchdogSec= of the unit, the role has to send WATCHDOG=1 as often, and the service watches that. */
static CtlExit run_pass_watchdog(Run *run) {
        uint64_t usec;

        if (run->args.spec->type != ROLE_TYPE_NOTIFY || !run_is_of_unit() ||
                sd_watchdog_enabled(false, &usec) <= 0)
                return CTL_EXIT_OK;
        g_autofree char *value = g_strdup_printf("%" PRIu64 "us", usec);
        return run_default(run, "WatchdogSec", value);
}

/* A program on our terminal should know what that is. */
static CtlExit run_pass_term(Run *run) {
        const char *term = g_getenv("TERM");

        for (char **e = run->args.spec->environment; e && *e; e++)
                if (g_str_has_prefix(*e, "TERM="))
                        return CTL_EXIT_OK;
        return term && term[0] ? start_args_take(&run->args, "run", 'E', "TERM") : CTL_EXIT_OK;
}

/* Whoever gives StandardOutput= wants the output there. */
static CtlExit run_direct_output(Run *run) {
        const char *user = run->args.spec->user;
        const bool here = !run->ctl->host && !run->ctl->machine;
        g_autofree char *output = NULL;

        if (start_args_has(&run->args, "StandardOutput"))
                return CTL_EXIT_OK;
        if (!here && run->mode == RUN_PIPE)
                return ctl_usage("run",
                        "the output of a role on another machine does not come here; run architectctl there, or give -p StandardOutput=journal");
        if (!fifo_is_possible(user) && run->mode == RUN_PIPE)
                return ctl_usage("run",
                        "the output of a role of %s cannot come here by --pipe; use --pty, or -p StandardOutput=journal",
                        user);
        if (!here || !fifo_is_possible(user))
                return start_args_set(&run->args, "run", "StandardOutput", "null");
        CtlExit e = fifo_make(&run->fifo, user);
        /* So small that the terminal can replay what went in there before it was open. */
        if (e == CTL_EXIT_OK && run->mode == RUN_PTY)
                (void) fcntl(run->fifo.fd, F_SETPIPE_SZ, 16384);
        if (e != CTL_EXIT_OK)
                return e;
        output = g_strconcat("file:", run->fifo.path, NULL);
        return start_args_set(&run->args, "run", "StandardOutput", output);
}

static CtlExit run_prepare(Run *run) {
        const RoleSpec *spec = run->args.spec;

        if (run->mode == RUN_WAIT)
                run->mode = run_has_terminal() ? RUN_PTY : RUN_PIPE;
        if (run->mode == RUN_BACKGROUND)
                return CTL_EXIT_OK;
        if (run->mode == RUN_PTY && run->ctl->host)
                return ctl_usage("run", "no terminal is passed by ssh; use ssh -t %s architectctl run -t ...",
                        run->ctl->host);
        if (start_args_has(&run->args, "Restart") && start_args_has(&run->args, "Remove") && !spec->remove)
                return ctl_usage("run",
                        "with Restart= and Remove=no nothing tells which end is the last one; leave Remove= out");
        CtlExit e = run_default(run, "Remove", "yes");
        if (e == CTL_EXIT_OK)
                e = run_pass_watchdog(run);
        if (e == CTL_EXIT_OK && run->mode == RUN_PTY)
                e = start_args_set(&run->args, "run", "StandardInput", "pty");
        if (e == CTL_EXIT_OK && run->mode == RUN_PTY)
                e = run_pass_term(run);
        if (e == CTL_EXIT_OK && run->mode == RUN_PIPE && spec->stdin_kind == ROLE_STDIN_PTY)
                return ctl_usage("run", "StandardInput=pty needs --pty");
        /* "yes | head" ends. */
        if (e == CTL_EXIT_OK && run->mode == RUN_PIPE)
                e = run_default(run, "IgnoreSIGPIPE", "no");
        return e == CTL_EXIT_OK ? run_direct_output(run) : e;
}

/* A name that no other role has: "sleep-3f2a91c4". */
static char *run_make_name(const char *program) {
        const char *slash = strrchr(program, '/');
        _cleanup_free_ char *base = role_name_suggest(slash ? slash + 1 : program);

        return g_strdup_printf("%.48s-%08x", base ?: "run", (unsigned) g_random_int());
}

static bool run_read_options(Run *run, int argc, char *argv[], bool ordered, CtlExit *ret) {
        enum { ARG_WAIT = START_OPTION_OWN };
        static const struct option options[] = {
                START_LONG_OPTIONS,
                { "wait", no_argument, NULL, ARG_WAIT },
                { "pipe", no_argument, NULL, 'P' },
                { "pty", no_argument, NULL, 't' },
                { 0 },
        };
        static const char shorts[] = START_SHORT_OPTIONS "Pt";
        bool wait = false, pipe = false, pty = false;
        int c;

        *ret = CTL_EXIT_OK;
        while ((c = ctl_getopt(run->ctl, argc, argv, ordered ? shorts : shorts + 1, options, ret)) >= 0) {
                wait = wait || c == ARG_WAIT;
                pipe = pipe || c == 'P';
                pty = pty || c == 't';
                if (c != ARG_WAIT && c != 'P' && c != 't')
                        *ret = start_args_take(&run->args, "run", c, optarg);
                if (*ret != CTL_EXIT_OK)
                        return false;
        }
        run->mode = pipe && pty ? RUN_WAIT
                    : pty       ? RUN_PTY
                    : pipe      ? RUN_PIPE
                    : wait      ? RUN_WAIT
                                : RUN_BACKGROUND;
        return c != CTL_OPTION_EXIT;
}

/* NAME, if there is "--"; *ret_name is NULL if there is none. */
static bool run_read_arguments(Run *run, int argc, char *argv[], const char **ret_name, CtlExit *ret) {
        int end = 1;

        while (end < argc && strcmp(argv[end], "--") != 0)
                end++;
        const bool separated = end < argc;

        if (!run_read_options(run, end, argv, !separated, ret))
                return false;
        *ret_name = separated && optind < end ? argv[optind] : NULL;
        run->command = separated ? argv + end + 1 : argv + optind;
        if (separated && optind + 1 < end)
                *ret = ctl_usage(
                        "run", "run takes one NAME before --: \"%s\" is one too many", argv[optind + 1]);
        else if (!run->command[0])
                *ret = ctl_usage("run", "run needs COMMAND");
        return *ret == CTL_EXIT_OK;
}

static void run_clear(Run *run) {
        feed_clear(&run->feed);
        run->fifo_source = sd_event_source_disable_unref(run->fifo_source);
        run->output_source = sd_event_source_disable_unref(run->output_source);
        ctl_output_close(&run->output);
        notify_detach();
        ctl_loop_free(run->ctl, run->event);
        ctl_disconnect(run->ctl); /* what still comes must not find this */
        fifo_clear(&run->fifo);
        start_args_clear(&run->args);
        free(run->path);
        g_free(run->status);
        g_free(run);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_clear)

CtlExit verb_run(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(Run) run = g_new0(Run, 1);
        g_autofree char *made = NULL;
        const char *name = NULL;
        CtlExit e;

        *run = (Run){ .ctl = ctl, .exit = CTL_EXIT_LOST, .output = { .fd = -EBADF } };
        fifo_init(&run->fifo);
        start_args_init(&run->args);
        if (!run_read_arguments(run, argc, argv, &name, &e)) {
                if (e == CTL_EXIT_OK && ctl->hosts)
                        e = ctl_refuse_place(ctl, "run");
                return e == CTL_EXIT_OK ? e : CTL_EXIT_OWN;
        }
        made = name ? NULL : run_make_name(run->command[0]);
        run->role = name ?: made;
        run->feed = (Feed){ .ctl = ctl,
                .role = run->role,
                .fd = STDIN_FILENO,
                .close = true,
                .quiet_refusal = true,
                .on_end = run_on_input_end,
                .userdata = run };
        if (run_prepare(run) != CTL_EXIT_OK)
                return CTL_EXIT_OWN;
        return run->mode == RUN_BACKGROUND ? run_in_background(run) : run_and_wait(run);
}
