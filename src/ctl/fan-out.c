/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/time-util.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/fan-out.h"
#include "ctl/gather.h"
#include "ctl/remote.h"
#include "ctl/words.h"
#include "util/autoptr.h"

/* What is not touched takes no memory. */
#define STACK_SIZE (1024U * 1024U)
#define NAMES_MAX 8U

typedef enum FanOutState {
        FAN_OUT_HELD, /* until it is known that the command line makes sense, and the user agrees */
        FAN_OUT_GOES,
        FAN_OUT_CANCELLED,
} FanOutState;

typedef struct FanOut {
        const CtlVerb *verb;
        int argc;
        char *(*address)(const char *host);
        GPtrArray *hosts; /* FanHost */
        FanOutState state;
        bool first_connects; /* so its options and words are right */
        unsigned n_connecting;
        guint n_ended;
} FanOut;

typedef struct FanHost {
        Ctl ctl; /* the first member */
        FanOut *fan_out;
        const char *name;
        char **argv;
        Baton baton;
        GatherHost *output;
        pthread_t thread;
        bool started, ended;
        CtlExit exit;
} FanHost;

char *fan_out_address(const char *host) {
        return remote_address(host, true);
}

/* -- the connection of one -- */

static void fan_host_close_errors(FanHost *host) {
        if (host->ctl.remote_errors > 0)
                (void) close(host->ctl.remote_errors);
        host->ctl.remote_errors = 0;
}

static int fan_host_open_errors(FanHost *host, int *ret_write) {
        int fds[2];

        fan_host_close_errors(host);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        (void) fd_nonblock(fds[0], true);
        host->ctl.remote_errors = fds[0];
        *ret_write = fds[1];
        return 0;
}

static int fan_host_begin(FanHost *host, sd_bus **ret) {
        g_autofree char *address = host->fan_out->address(host->name);
        autofd errors = -EBADF;

        int r = fan_host_open_errors(host, &errors);
        return r < 0 ? r : remote_start(address, errors, ret);
}

static int fan_host_open(FanHost *host, char **ret_reason) {
        sd_bus *bus = NULL;

        int r = fan_host_begin(host, &bus);
        if (r >= 0)
                r = remote_wait(bus, usec_add(now_usec(CLOCK_MONOTONIC), host->ctl.patience_usec));
        if (r < 0) {
                /* ssh has ended, or is ended here, so it says no more. */
                (void) WITHOUT_BATON(sd_bus_close_unref(bus));
                *ret_reason = remote_reason(host->ctl.remote_errors, r);
                return r;
        }
        host->ctl.bus = bus;
        return ctl_use_bus(&host->ctl);
}

static void fan_host_take_permit(Ctl *ctl) {
        FanOut *f = ((FanHost *) ctl)->fan_out;

        while (f->n_connecting >= REMOTE_CONNECTING_MAX)
                baton_wait(BATON_PERMIT);
        f->n_connecting++;
}

static void fan_host_return_permit(Ctl *ctl) {
        FanOut *f = ((FanHost *) ctl)->fan_out;

        f->n_connecting--;
        baton_wake_one(BATON_PERMIT);
}

static int fan_host_connect(Ctl *ctl, char **ret_reason) {
        FanHost *host = (FanHost *) ctl;
        FanOut *f = host->fan_out;

        if (!f->first_connects) {
                f->first_connects = true;
                baton_wake(BATON_STATE);
        }
        while (f->state == FAN_OUT_HELD)
                baton_wait(BATON_GO);
        if (f->state == FAN_OUT_CANCELLED) {
                ctl->cancelled = true;
                return -ECANCELED;
        }
        fan_host_take_permit(ctl);
        int r = fan_host_open(host, ret_reason);
        fan_host_return_permit(ctl);
        return r;
}

/* Verbs whose output would be too much to keep it print it one host after the other. */
static void fan_host_take_turn(Ctl *ctl) {
        const FanHost *host = (FanHost *) ctl;
        const GPtrArray *hosts = host->fan_out->hosts;

        for (guint i = 0; g_ptr_array_index(hosts, i) != host; i++)
                while (!((FanHost *) g_ptr_array_index(hosts, i))->ended)
                        baton_wait(BATON_TURN);
}

/* -- the threads -- */

static void *fan_host_run(void *p) {
        FanHost *host = p;
        FanOut *f = host->fan_out;

        baton_enter(&host->baton);
        host->exit = f->verb->run(&host->ctl, f->argc, host->argv);
        ctl_disconnect(&host->ctl);
        gather_host_end(host->output, host->exit);
        host->ended = true;
        f->n_ended++;
        baton_wake(BATON_TURN);
        baton_wake(BATON_STATE);
        baton_leave();
        return NULL;
}

static void fan_host_start(FanHost *host) {
        pthread_attr_t attr;

        int r = pthread_attr_init(&attr);
        if (r == 0)
                r = pthread_attr_setstacksize(&attr, STACK_SIZE);
        if (r == 0)
                r = pthread_create(&host->thread, &attr, fan_host_run, host);
        if (r != 0)
                g_error("Cannot make a thread for %s: %s", host->name, g_strerror(r));
        (void) pthread_attr_destroy(&attr);
        host->started = true;
}

static void fan_host_free(void *p) {
        FanHost *host = p;

        if (host->started)
                (void) pthread_join(host->thread, NULL);
        fan_host_close_errors(host);
        g_free(host->argv);
        g_free(host);
}

/* The hosts share the strings of argv, of which getopt() changes the order. */
static void fan_out_add(FanOut *f, const Ctl *ctl, const char *name, char *argv[], Gather *gather) {
        FanHost *host = g_new0(FanHost, 1);
        const bool looks = f->verb->many == CTL_MANY_LOOK || f->verb->many == CTL_MANY_CHECK;

        host->ctl = *ctl;
        host->ctl.many = true;
        host->ctl.host = name;
        host->ctl.connect = fan_host_connect;
        host->ctl.take_permit = fan_host_take_permit;
        host->ctl.return_permit = fan_host_return_permit;
        host->ctl.take_turn = fan_host_take_turn;
        host->ctl.patience_usec = ctl->timeout_usec > 0 ? ctl->timeout_usec : REMOTE_PATIENCE_USEC;
        if (looks)
                host->ctl.timeout_usec = host->ctl.patience_usec;
        host->fan_out = f;
        host->name = name;
        host->argv = g_new0(char *, (gsize) f->argc + 1);
        memcpy(host->argv, argv, (size_t) f->argc * sizeof(argv[0]));
        host->output = gather_add(gather, name, &host->baton);
        g_ptr_array_add(f->hosts, host);
}

/* -- the question -- */

/* "log-level" and its like show without a word what they set with one. */
static bool fan_out_changes(const FanOut *f, const Ctl *ctl) {
        const char *word = ctl->first_word;

        if (f->verb->many != CTL_MANY_SET)
                return f->verb->many == CTL_MANY_CHANGE;
        return word && strcmp(word, "get") != 0 && strcmp(word, "list") != 0;
}

static char *fan_out_names(const FanOut *f) {
        GString *names = g_string_new(NULL);

        for (guint i = 0; i < f->hosts->len && i < NAMES_MAX; i++)
                g_string_append_printf(
                        names, "%s%s", i > 0 ? " " : "", ((FanHost *) f->hosts->pdata[i])->name);
        if (f->hosts->len > NAMES_MAX)
                g_string_append_printf(names, " and %u more", f->hosts->len - NAMES_MAX);
        return g_string_free(names, FALSE);
}

static CtlExit fan_out_confirm(const FanOut *f, const Ctl *ctl, char *argv[]) {
        g_autofree char *names = fan_out_names(f), *line = words_command((const char *const *) argv);

        if (f->hosts->len < 2 || ctl->yes || !fan_out_changes(f, ctl))
                return CTL_EXIT_OK;
        CtlExit e = ctl_check_can_ask(f->verb->name, f->hosts->len);
        if (e != CTL_EXIT_OK)
                return e;
        (void) fprintf(stderr, "Run \"%s\" on %u hosts (%s)? [y/N] ", line, f->hosts->len, names);
        return ctl_read_answer();
}

/* -- all of them -- */

static void end_by_interrupt(int signo) {
        static const char text[] = "\nWhat was asked for goes on on the hosts.\n";

        (void) !write(STDERR_FILENO, text, sizeof(text) - 1);
        (void) signal(signo, SIG_DFL);
        (void) raise(signo);
}

/* The status of a plug-in for monitoring, of which unknown is not the worst. */
static CtlExit exit_worse(CtlExit a, CtlExit b) {
        static const unsigned order[] = { 0, 1, 3, 2 };

        if ((size_t) a >= ELEMENTSOF(order) || (size_t) b >= ELEMENTSOF(order))
                return MAX(a, b);
        return order[a] > order[b] ? a : b;
}

static CtlExit fan_out_exit(const FanOut *f) {
        CtlExit e = CTL_EXIT_OK;

        for (guint i = 0; i < f->hosts->len; i++) {
                const FanHost *host = g_ptr_array_index(f->hosts, i);

                if (f->verb->many == CTL_MANY_CHECK)
                        e = exit_worse(e, host->exit);
                else if (host->exit != CTL_EXIT_OK)
                        e = CTL_EXIT_FAILED;
        }
        return e;
}

/* With the baton. The first host shows whether the command line is right, before anything is done. Returns
 * true if the others were started, too; then *ret is not set. */
static bool fan_out_begin(FanOut *f, const Ctl *ctl, Gather *gather, char *argv[], CtlExit *ret) {
        FanHost *first = g_ptr_array_index(f->hosts, 0);

        fan_host_start(first);
        while (!f->first_connects && f->n_ended == 0)
                baton_wait(BATON_STATE);
        if (!f->first_connects) {
                gather_print_alone(first->output);
                *ret = first->exit;
                return false;
        }
        *ret = fan_out_confirm(f, ctl, argv);
        f->state = *ret == CTL_EXIT_OK ? FAN_OUT_GOES : FAN_OUT_CANCELLED;
        if (f->state == FAN_OUT_GOES) {
                gather_begin(gather);
                for (guint i = 1; i < f->hosts->len; i++)
                        fan_host_start(g_ptr_array_index(f->hosts, i));
        }
        baton_wake(BATON_GO);
        return f->state == FAN_OUT_GOES;
}

static CtlExit fan_out_all(FanOut *f, const Ctl *ctl, Gather *gather, char *argv[]) {
        CtlExit e;

        int r = baton_begin();
        if (r < 0)
                return ctl_failed(r, "begin with several hosts");
        const bool all = fan_out_begin(f, ctl, gather, argv, &e);
        if (all && fan_out_changes(f, ctl) && !ctl->quiet)
                (void) signal(SIGINT, end_by_interrupt);
        while (f->n_ended < (all ? f->hosts->len : 1))
                baton_wait(BATON_STATE);
        baton_end();
        if (!all)
                return e;
        e = fan_out_exit(f);
        const CtlExit printed = gather_print(gather);
        return printed != CTL_EXIT_OK ? printed : e;
}

static GatherMode fan_out_mode(const CtlVerb *verb) {
        switch (verb->many) {
        case CTL_MANY_STREAM:
                return GATHER_STREAM;
        case CTL_MANY_CHANGE:
                return GATHER_AT_ONCE;
        default:
                return GATHER_IN_ORDER;
        }
}

CtlExit fan_out_run(
        Ctl *ctl, const CtlVerb *verb, int argc, char *argv[], char *(*address)(const char *host)) {
        g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(fan_host_free);
        FanOut f = { .verb = verb, .argc = argc, .address = address, .hosts = hosts };

        if (verb->many == CTL_MANY_NOT)
                return ctl_refuse_place(ctl, verb->name);
        if (ctl->machine || ctl->user)
                return ctl_usage(verb->name, "several hosts go neither with --machine= nor with --user");
        (void) rlimit_nofile_raise(UINT64_MAX); /* two descriptors for each host */
        /* One thread at a time allocates, and each further arena takes memory. */
        (void) mallopt(M_ARENA_MAX, 1);
        g_autoptr(Gather) gather = gather_new(ctl, fan_out_mode(verb));
        for (guint i = 0; i < ctl->hosts->len; i++)
                fan_out_add(&f, ctl, g_ptr_array_index(ctl->hosts, i), argv, gather);
        CtlExit e = fan_out_all(&f, ctl, gather, argv);
        /* The threads have ended, and use what is the gather's until then. */
        g_clear_pointer(&hosts, g_ptr_array_unref);
        return e;
}
