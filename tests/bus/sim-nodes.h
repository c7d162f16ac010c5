/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Simulated nodes on simulated hosts, all of them in one process: each speaks the protocol of
 * org.architect.Node over sd-bus on a socket of its own, with the bus in front of it as far as a client sees
 * that. What it has is roles that run, and events. A failure ends the process with a message. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum SimKind {
        SIM_GOOD,
        SIM_OLD,    /* a version without the methods for many roles, leases, events and Features */
        SIM_MUTE,   /* takes connections and never says a word */
        SIM_STUCK,  /* has said hello, and replies to nothing else */
        SIM_DIES,   /* closes the connection when it is asked for its roles */
        SIM_BUSY,   /* a stop never ends, but it replies to everything else */
        SIM_NOBODY, /* there is no host of this name */
} SimKind;

/* What becomes of the node of a good host. */
typedef enum SimNode {
        SIM_NODE_RUNS,
        SIM_NODE_HANGS, /* it replies to nothing, and the bus does */
        SIM_NODE_AWAY,  /* the bus says that it does not run */
        SIM_NODE_ODD,   /* its events have other types */
} SimNode;

typedef struct SimHost {
        const char *name;
        SimKind kind;
        unsigned n_roles; /* "role-0" and so on */
} SimHost;

typedef struct SimNodes {
        char *directory; /* of the sockets */
        pid_t pid;
        unsigned n_hosts;
        const SimHost *hosts;
} SimNodes;

/* The sockets exist when it returns. The hosts stay the caller's. */
void sim_nodes_start(SimNodes *sim, const SimHost *hosts, unsigned n_hosts);
void sim_nodes_stop(SimNodes *sim);

/* The address of a host of the last ones that were started, as fan_out_run() wants it. */
char *sim_nodes_address(const char *host);

/* Controls a host: adds events, closes its connections, loses its state so that the epoch is another one,
 * changes what its node does, or returns how many calls of this method it has had. */
void sim_host_add_events(const char *host, unsigned n);
void sim_host_drop(const char *host);
void sim_host_forget(const char *host);
void sim_host_set_node(const char *host, SimNode node);
unsigned sim_host_count(const char *host, const char *method);
/* How many connections have been made at the same time, at most, over all hosts. */
unsigned sim_host_most_connecting(const char *host);
