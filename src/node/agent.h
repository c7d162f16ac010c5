/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The running service: one node, wired to the keeper, to systemd, to the disk and to its clients. It is the world of the
 * model (world.h). */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus/authority.h"
#include "node/instance.h"
#include "link/keeper-link.h"
#include "scope/manager.h"
#include "model/node.h"
#include "model/role-state.h"
#include "scope/scope.h"

typedef struct Agent {
        sd_event *event;
        sd_bus *bus;
        Node *node;
        Authority *authority;
        Manager *manager;
        Scopes *scopes;
        KeeperLink *keeper;
        int dir_fd; /* the runtime directory */
        RoleStore store;
        Instance *instance;

        GArray *keeper_ports; /* of struct keeper_port: what the keeper tells of before it is connected; NULL: nothing */
        GHashTable *children; /* the keeper's number → Role */
        int inotify_fd;
        sd_event_source *inotify;
        GHashTable *watches; /* inotify's number → Role */
        GArray *reaps; /* numbers of children: their exits have been sent, but perhaps not all written */
        sd_event_source *at_exit;     /* the same once more, when the loop ends */
        sd_event_source *after_all;   /* runs after whatever else has run: sends the reaps */
        sd_event_source *keeper_wait; /* start-up: how long calls are held for the keeper */

        GHashTable *dirty; /* Roles whose properties changed since the last signal */
        bool node_dirty;
        sd_event_source *announce; /* sends what is dirty, when nothing else is to be done */
        GPtrArray *slots;

        uint64_t confirming; /* the bus is asked whether it has read the events up to this; 0: it is not */

        char *settings_fault; /* what is wrong with the configuration; NULL: nothing */

        bool log_to_sve;   /* each log message also goes out as a signal */
        char *log_unknown; /* fields of a newer version in the file of the two */
        struct LogSignals {
                bool sending;
                uint64_t second_usec;
                unsigned n_sent;    /* in this second */
                unsigned n_dropped; /* since the last one that was sent */
        } log_signals;

        bool manager_ready; /* systemd's version is known */
        bool recovered;     /* the roles of the last process are up to date: calls are answered */
        GQueue *held;       /* calls that came before that */
} Agent;

/* What the agent keeps about a role: role->links. */
typedef struct RoleLinks {
        sd_event_source *gate;
        sd_event_source *pidfd; /* only while there is no keeper to tell of its end */
        int watch;              /* inotify's number; -1: none */
        bool announced;         /* InterfacesAdded has been sent */
} RoleLinks;

/* The end of the service does not wait longer for a bus that hangs; twice: for the last signals, and for the last answers. */
#define AGENT_BUS_END_USEC USEC_PER_SEC

/* What the event loop returns when the bus has gone: nothing but a new agent helps. */
#define AGENT_BUS_LOST 0x100

int agent_new(sd_event *event, Instance *instance /* taken */, Agent **ret);
Agent *agent_free(Agent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

/* SIGTERM, SIGINT: why? A restart leaves the roles alone, everything else stops them. */
void agent_on_stop_signal(Agent *agent);

RoleLinks *agent_links(Role *role);

/* The keeper has told of all its children. */
void agent_on_keeper(Agent *agent);

/* agent-keeper.c: the keeper's side of the world. */
extern const KeeperHandler agent_keeper_handler;
bool agent_keeper_connected(void *world);
int agent_child_fork(void *world, Role *role);
int agent_child_launch(void *world, Role *role);
void agent_child_signal(void *world, Role *role, int signo, Waiter waiter);
void agent_child_close_stdin(void *world, Role *role, Waiter waiter);
void agent_child_reap(void *world, Role *role);
void agent_scope_kill(void *world, Role *role);
int agent_ports_bind(void *world, const struct keeper_bind *bind, PortsRequest *request);
int agent_ports_release(void *world, const struct keeper_port *ports, size_t n, Waiter waiter);
void agent_ports_rest(void *world, const struct keeper_port *ports, size_t n);
void agent_ports_told(Agent *agent, const struct keeper_port *ports, size_t n);
void agent_ports_connected(Agent *agent);
void agent_watch_without_keeper(Agent *agent); /* at the start, when it does not answer */
int agent_reaps_setup(Agent *agent);

/* agent-cgroup.c: what the cgroups say. */
int agent_cgroup_setup(Agent *agent);
int agent_cgroup_state(void *world, Role *role, bool *ret_populated, bool *ret_frozen);
int agent_cgroup_watch(void *world, Role *role);
void agent_cgroup_unwatch(Agent *agent, Role *role);
char *agent_cgroup_pids(void *world, Role *role);

/* agent-settings.c: the configuration. */
void agent_load_settings(Agent *agent); /* at the start */
/* Reads it again; a fault leaves the old one in force, and systemd's status line says so. */
int agent_reload(Agent *agent, Fault *fault);
/* The same, asked for by systemd or by hand: systemd is told when it begins and when it is done. */
void agent_on_reload_signal(Agent *agent);
void agent_notify_ready(Agent *agent);

/* agent-stop.c: why systemd wants us to stop. */
void agent_ask_why(Agent *agent);
