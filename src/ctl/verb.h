/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs. Each is a function like main(): its arguments begin with its own name. The table in verbs.c
 * gives the help and the order of it, and completions are checked against it. */

#include <getopt.h>

#include "ctl/ctl.h"

/* What a verb does with several hosts. */
typedef enum CtlMany {
        CTL_MANY_NOT,    /* it is refused */
        CTL_MANY_HOLD,   /* it is run once, and holds all of Ctl.hosts, by default those of @all */
        CTL_MANY_LOOK,   /* it changes nothing, and what it prints is in the order of the hosts */
        CTL_MANY_CHECK,  /* the same, and the worst status is that of all */
        CTL_MANY_STREAM, /* it changes nothing, and what it prints comes as it happens */
        CTL_MANY_CHANGE, /* it asks before */
        CTL_MANY_SET, /* it changes something, and asks, if it has an argument that is not "get" or "list" */
} CtlMany;

typedef struct CtlVerb {
        const char *name;
        CtlExit (*run)(Ctl *ctl, int argc, char *argv[]);
        const char *arguments; /* as in "ROLE..."; "" for none */
        const char *summary;   /* one line */
        const char *options;   /* the lines of the help for the options of its own, or NULL */
        const char *heading;   /* of the verbs that begin with this one, in the help */
        bool looks;            /* its calls do not start a service that was stopped */
        CtlMany many;
        const char *here;    /* with CTL_MANY_NOT: why */
        const char *instead; /* and what to do; NULL: run it there */
} CtlVerb;

extern const CtlVerb ctl_verbs[];
extern const size_t n_ctl_verbs;

/* Returns NULL if there is none. */
const CtlVerb *ctl_verb_find(const char *name);

/* The numbers of options without a letter begin here in each verb. */
#define CTL_OPTION_OWN 0x200

/* Like getopt_long(), for the options of a verb and those that all verbs share, which may come after the
 * verb, too. If several hosts were given, the verb returns at the end of the options, as after the help, and
 * main() runs it again for each. The shared ones are handled here. short_options and options are those of the
 * verb; both may be NULL. Returns -1 at the end of the options, and CTL_OPTION_EXIT if the verb shall return
 * *ret at once, because the help was printed, or an option is wrong (which was reported).
 *
 * A verb that takes a command begins its short_options with '+': the options end with the first argument that
 * is none. */
#define CTL_OPTION_EXIT (-2)
int ctl_getopt(Ctl *ctl, int argc, char *argv[], const char *short_options, const struct option *options,
        CtlExit *ret);

/* Reports that a verb is not for the place that the options name, why (CtlVerb.here), and what to do. Returns
 * CTL_EXIT_USAGE. */
CtlExit ctl_refuse_place(const Ctl *ctl, const char *name);

/* Fails unless the number of arguments that are left is within these, with the usage. */
CtlExit ctl_check_arguments(int argc, char *argv[], int min, int max);

/* For a verb without options of its own: reads the options and checks the number of arguments. Returns true
 * if the verb is to go on, with argv[optind] as its first argument; otherwise it returns *ret. */
bool ctl_begin(Ctl *ctl, int argc, char *argv[], int min, int max, CtlExit *ret);

CtlExit verb_attach(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_beat(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_bind_tcp(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_bind_udp(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_blame(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_cat(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_check(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_desk(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_disable(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_diff(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_down(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_edit(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_enable(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_env(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_freeze(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_import(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_kill(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_lease(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_leases(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_list(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_log_level(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_log_to_sve(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_logs(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_metrics(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_monitor(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_monitor_timeout(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_poll(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_ports(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_purge(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_release(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_reload(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_restart(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_run(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_send(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_show(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_shutdown(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_signal(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_start(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_status(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_stop(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_thaw(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_top(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_tree(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_up(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_verify(Ctl *ctl, int argc, char *argv[]);
CtlExit verb_wait(Ctl *ctl, int argc, char *argv[]);
