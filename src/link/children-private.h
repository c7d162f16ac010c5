/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by children.c, gate.c, lookups.c, main-watch.c and port-loans.c only. */

#include "base/id-map.h"
#include "link/children.h"
#include "link/keeper-link.h"
#include "model/role.h"
#include "util/autoptr.h"

struct Children {
        sd_event *event;
        Node *node;
        KeeperLink *keeper;
        IdMap roles; /* the keeper's number → Role */
        int n_fds; /* open when they were last counted; negative if they were not counted with this keeper */
        unsigned n_forks;  /* since then */
        GArray *ports;     /* of PortLoan, listed by the keeper before it is connected */
        GArray *reaps;     /* numbers of children whose exits were sent, but possibly not written yet */
        GHashTable *gates; /* Role → sd_event_source, for starts whose child has not executed its command */
        /* Role → sd_event_source, for main processes, while there is no keeper that reports their end. */
        GHashTable *mains;
        GHashTable *lookups; /* number → LookupCall */
        uint64_t last_lookup;
};

/* gate.c */
int gate_launch(void *data, Role *role); /* LinkOps.launch */
void gate_watch(void *data, Role *role); /* LinkOps.watch_gate */

/* lookups.c */
GHashTable *lookups_new(void);
int lookups_begin(void *data, const char *user, const char *group, AccountQuery *query); /* LinkOps.look_up */
void lookups_on_found(Children *children, const struct keeper_looked_up *m);
void lookups_lost(Children *children);

/* main-watch.c */
void main_watch(void *data, Role *role); /* LinkOps.watch_main */

/* LinkOps.ports_… are in port-loans.c, with the ports that are lent with a child (of struct keeper_port; the
 * caller frees them). */
int port_loans_bind(void *data, const PortsWanted *wanted, PortsRequest *request);
int port_loans_release(void *data, const PortLoan *ports, size_t n, Waiter waiter);
int port_loans_release_all(void *data);
void port_loans_rest(void *data, const PortLoan *ports, size_t n);
GArray *port_loans_of_role(Children *children, const Role *role);
void port_loans_listed(Children *children, const struct keeper_port *ports, size_t n);
void port_loans_kept(Children *children, const struct keeper_port *ports, size_t n);
