/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every file of architectctl needs: the options that all verbs share, the exit statuses, and what is
 * written to stderr. Data goes to stdout, everything else to stderr.
 *
 * A function that returns a CtlExit has reported each error already, with the remedy if there is one. Its
 * caller passes a value that is not CTL_EXIT_OK on, to main(). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/macro.h"

struct OpenMetrics;
struct Table;

/* Documented in architectctl(1). check has the statuses of monitoring plug-ins, run and wait that of the
 * role. */
typedef enum CtlExit {
        CTL_EXIT_OK = 0,
        CTL_EXIT_FAILED = 1,
        CTL_EXIT_USAGE = 2,
        CTL_EXIT_NOT_RUNNING = 3,
        CTL_EXIT_NO_SUCH_ROLE = 4,
        CTL_EXIT_NOT_PERMITTED = 5,
        CTL_EXIT_LOST = 124,   /* of run and wait: the status of the role is not known */
        CTL_EXIT_OWN = 125,    /* of run and wait: they have failed themselves */
        CTL_EXIT_SIGNAL = 128, /* of run and wait: plus the number of the signal */
} CtlExit;

typedef enum CtlJson {
        CTL_JSON_OFF,
        CTL_JSON_SHORT,  /* in one line */
        CTL_JSON_PRETTY, /* in several lines */
} CtlJson;

typedef struct Ctl Ctl;
struct Ctl {
        const char *instance;
        bool user;              /* --user: the service on the session bus */
        const char *machine;    /* -M, or NULL */
        const char *host;       /* -H, or NULL */
        GPtrArray *host_words;  /* each -H as it was given, or NULL */
        GPtrArray *hosts;       /* if these are several: the verb shall be run for each, see fan-out.h, unless
                                 * it holds all of them */
        const char *first_word; /* of the arguments of the verb then, or NULL */
        bool many;              /* this is for one of several hosts, in a thread of its own (baton.h) */
        bool yes;               /* --yes: nothing is asked */
        bool cancelled;         /* with many: the user has not agreed, and there will be no connection */
        CtlJson json;
        bool legend;
        bool pager;
        bool quiet;
        bool force; /* the lease of a role does not matter, see managed.h */
        bool ask_password;
        bool auto_start;        /* a call starts the service if it does not run, as the bus does */
        uint64_t timeout_usec;  /* of each call; 0: that of the verb */
        uint64_t patience_usec; /* with many: how long the node may be silent */
        sd_bus *bus;            /* after ctl_connect() */
        char *bus_name;         /* the same; NULL without a bus in between, on the socket of root */
        int remote_errors;      /* with many: a pipe with what ssh has said */

        /* With many: connects to the host. It reports nothing, but returns a negative errno and why, which
         * the caller frees. */
        int (*connect)(Ctl *ctl, char **ret_reason);
        /* With many: waits until one more connection may be made, and says that it is made. */
        void (*take_permit)(Ctl *ctl);
        void (*return_permit)(Ctl *ctl);
        /* With many: waits until all hosts before this one have ended. */
        void (*take_turn)(Ctl *ctl);
};

/* Prints "architectctl: TEXT" to stderr. */
_printf_(1, 2) void ctl_error(const char *fmt, ...);

/* Prints a line to stderr that says what to do about an error, or what happens, unless --quiet. */
_printf_(2, 3) void ctl_say(const Ctl *ctl, const char *fmt, ...);

/* The same for what belongs to an error, which --quiet does not hide. */
_printf_(1, 2) void ctl_explain(const char *fmt, ...);

/* Prints the error, and where the help is. Returns CTL_EXIT_USAGE. */
_printf_(2, 3) CtlExit ctl_usage(const char *verb, const char *fmt, ...);

/* Reports that there is not enough memory, or another failure of a library. Returns CTL_EXIT_FAILED. */
CtlExit ctl_failed(int r, const char *doing);

/* Returns the name of a user of the machine with the service, or the number if that is not known, since the
 * users of another machine have other names. The caller frees it. */
char *ctl_user_name(const Ctl *ctl, uint32_t uid);

/* Before and after a question on a terminal about what a verb does on several hosts. The first one fails with
 * the remedy if there is nobody to ask; the second one reads the answer, and unless that is yes reports that
 * nothing was done. */
CtlExit ctl_check_can_ask(const char *verb, unsigned n_hosts);
CtlExit ctl_read_answer(void);

/* Returns whether descriptions of states may have a colour: stdout is a terminal that knows colours, and
 * neither NO_COLOR nor SYSTEMD_COLORS=0 are in the environment. */
bool ctl_has_color(void);

/* With several hosts this gets what would be printed, except on stdout; otherwise it is NULL. gather.c sets
 * it. */
typedef struct CtlSink {
        void (*error)(const char *text);              /* of ctl_error() */
        void (*say)(const char *text);                /* of ctl_say(), and what explains an error */
        void (*json)(const char *json, CtlJson mode); /* a value */
        void (*table)(struct Table *table);

        /* What goes to this file, or to stdout if that is NULL. The sink owns the metrics. */
        void (*metrics)(struct OpenMetrics *metrics, const char *path);
} CtlSink;

extern const CtlSink *ctl_sink;

/* From now on SIGINT and SIGTERM end the program at once, with the status 0, whatever it waits for. This is
 * for verbs that run until then, write whole lines and have nothing to restore. */
void ctl_end_on_signals(void);
