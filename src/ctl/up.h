/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the verbs "up", "down" and "diff" share: the hosts of an observatory, what is on them, and what is to
 * be done about it. up-hosts.c asks the hosts, up-plan.c decides, up-run.c does it, up-beat.c keeps the
 * lease. */

#include <systemd/sd-event.h>

#include "ctl/host-link.h"
#include "ctl/observatory.h"

typedef enum UpAction {
        UP_KEEP, /* it is as it should be */
        UP_START,
        UP_RESTART,
        UP_STOP,
        _UP_ACTION_MAX,
} UpAction;

typedef enum UpResult {
        UP_WAITS, /* for others, or nobody has begun */
        UP_GOES_ON,
        UP_DONE,
        UP_FAILED,
} UpResult;

typedef struct Up Up;

typedef struct UpHost {
        Up *up;
        const ObservatoryHost *host;
        HostLink *link;
        Ctl ctl;            /* its bus is that of the link */
        GPtrArray *details; /* of CtlDetails: the roles that it has; NULL while that is not known */
        char *problem;      /* why it is of no use, or NULL */
        GPtrArray *calls;   /* under way */
        unsigned n_calls;   /* the same, and what else is waited for */
        bool pinged;        /* and has not replied */
        sd_event_source *patience;

        /* The lease. */
        uint64_t token;          /* the highest that was used there */
        bool acquires;           /* it was of use when the lease was acquired */
        bool beats;              /* a beat is under way */
        bool holds;              /* the last beat has arrived, and the lease was not taken over */
        uint64_t last_beat_usec; /* CLOCK_MONOTONIC */
        bool late_told;
        sd_event_source *beat;
} UpHost;

typedef struct UpStep {
        Up *up;
        UpHost *host;
        char *name;
        ObservatoryRole *role; /* NULL: the file has it not */
        GPtrArray *copies;     /* of UpStep: the same role is stopped on other hosts; NULL for none */
        bool other_lease; /* what is there has another lease than the file, or has one and the file none */
        UpAction action;
        char *reason;
        UpResult stop, start; /* what there is of it to do; UP_DONE for what there is not */
        bool looks;           /* a role that is kept is being started, which is watched */
        sd_bus_slot *changes; /* of that */
        sd_bus_slot *owner;   /* the same, of its service: one that ends says nothing of its roles */
} UpStep;

struct Up {
        Ctl *ctl;
        const char *verb;
        Observatory *observatory;
        sd_event *event;
        HostLinks *links;
        GPtrArray *hosts; /* of UpHost, as in the observatory */
        GPtrArray *steps; /* of UpStep, in the order of the starts */
        bool force;
        uint64_t token; /* that this uses */
        bool interrupted;
        bool stepping, step_again; /* of up-run.c */
        CtlExit exit;              /* not CTL_EXIT_OK: another manager has the lease */
};

/* -- up-hosts.c -- */

/* Connects all hosts, and asks each what it has. What fails is the problem of that host. */
CtlExit up_hosts_ask(Up *up);

/* Handles events until there is nothing under way on any host, or up->interrupted. Returns a negative errno.
 */
int up_hosts_wait(Up *up);

/* Sends a call, which takes as long as it takes, while the service of the host replies to a ping. The reply
 * may be an error. Takes the call. If it cannot be sent, the callback gets an error, too. */
typedef void (*UpReply)(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata);
void up_host_send(UpHost *host, sd_bus_message *call, UpReply callback, void *userdata);

/* The host is of no use any more. */
_printf_(2, 3) void up_host_fail(UpHost *host, const char *format, ...);

void up_host_free(void *p);

/* -- up-plan.c -- */

/* Decides what has to be done for what the file says, or for nothing to be left of it. Returns
 * CTL_EXIT_FAILED if a role is in the way, which it reports. */
CtlExit up_plan_make(Up *up, bool down);
void up_step_free(void *p);

const char *up_action_to_string(UpAction action);
guint up_plan_count(const Up *up, UpAction action);

/* Prints the steps that change something, or all of them for JSON, and the hosts that are of no use. */
CtlExit up_plan_print(const Up *up);

/* -- up-run.c -- */

/* Does it. What fails is reported. */
CtlExit up_run(Up *up);

/* The connection to a host is lost. Its calls get errors, and this is for what is waited for without one. */
void up_run_host_lost(const UpHost *host);

/* -- up-beat.c -- */

/* Acquires the lease on all hosts that are of use, with a token that is higher than all that were used,
 * unless up->token says one. Fails if somebody else holds it, before anything else is done. */
CtlExit up_beat_begin(Up *up);

/* Beats until a signal, or until another manager has taken over. */
CtlExit up_beat_run(Up *up);

/* Gives it up on all hosts. */
void up_beat_release(Up *up);
