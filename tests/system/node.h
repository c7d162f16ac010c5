/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs, properties and events of the node and its roles, for tests. */

#include <gio/gio.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus.h"

#define NODE_NAME "org.architect.Node"
#define NODE_PATH "/org/architect/Node"
#define NODE_INTERFACE "org.architect.Node"
#define ROLE_INTERFACE "org.architect.Node.Role"
#define NODE_UNIT "architect-node.service"
#define KEEPER_UNIT "architect-keeper.service"
#define NODE_SLICE "architect-main.slice"
#define SCOPE_PATTERN "architect-main-*.scope"

#define INVALID_ARGS "org.freedesktop.DBus.Error.InvalidArgs"
#define ACCESS_DENIED "org.freedesktop.DBus.Error.AccessDenied"
#define NOT_SUPPORTED "org.freedesktop.DBus.Error.NotSupported"
#define IO_ERROR "org.freedesktop.DBus.Error.IOError"

/* a{sv} from GVariant text format: OPTIONS("{'stdin': <'null'>, 'nice': <%i>}", 5) */
#define OPTIONS(...) g_variant_new_parsed("@a{sv} " __VA_ARGS__)

/* -- calls on the node -- */

guint32 node_send(Bus *bus, const char *method, GVariant *args);
GVariant *node_call(Bus *bus, const char *method, GVariant *args);
/* Similar to bus_failure(). */
void node_call_fails(
        Bus *bus, const char *method, GVariant *args, const char *error, ...) G_GNUC_NULL_TERMINATED;
GVariant *node_get(Bus *bus, const char *property);
guint32 node_get_u32(Bus *bus, const char *property);
char *node_get_string(Bus *bus, const char *property);

/* A round trip, after which every earlier signal of the node has arrived. */
void node_sync(Bus *bus);

/* -- verbs -- */

/* (s as a{sv}); options may be NULL. The arguments end with NULL. */
GVariant *start_args(const char *role, GVariant *options, const char *program, ...) G_GNUC_NULL_TERMINATED;
GVariant *start_args_v(const char *role, GVariant *options, const char *const *command);

/* Each of these must succeed. */
void start(Bus *bus, const char *role, GVariant *options, const char *program, ...) G_GNUC_NULL_TERMINATED;
void start_fails(Bus *bus, GVariant *args, const char *error, ...) G_GNUC_NULL_TERMINATED;

/* Role files. The lines are those of the section [Role], in define() after a command that pauses. */
#define DEFINITIONS "/etc/architect-node/main.roles.d"
char *role_file(const char *role);
void write_role_file(const char *path, const char *lines);
void define(const char *role, const char *lines);
void reload_definitions(Bus *bus);

/* Start with an empty command. */
GVariant *defined_args(const char *role, GVariant *options);
void start_defined(Bus *bus, const char *role, GVariant *options);

void stop(Bus *bus, const char *role);
void kill_role(Bus *bus, const char *role);
void send_signal(Bus *bus, const char *role, const char *whom, int signo);
void purge(Bus *bus, const char *role);
void send_input(Bus *bus, const char *role, const char *text);
void close_input(Bus *bus, const char *role);
guint32 send_write_input(Bus *bus, const char *role, const void *data, size_t size);

/* Returns the state of one role from Poll, as "running" or "exit 0"; "none" if the role is not known. Valid
 * until the next call. */
const char *poll_role(Bus *bus, const char *role);
/* Returns "starting", "running", "stopping" or "ended"; "none" if the role is not known. */
const char *role_state(Bus *bus, const char *role);
/* How many roles whose names begin like this have this state. */
guint count_roles(Bus *bus, const char *prefix, const char *in_state);
void assert_poll(Bus *bus, const char *role, const char *expected);
void assert_state(Bus *bus, const char *role, const char *expected);

/* Waits for the child of a start that is held (see hold_new()), which is then in its scope and directly
 * before its exec. */
pid_t held_child(Bus *bus, const char *role);

/* -- the configuration -- */

#define CONFIGURATION "/etc/architect-node/main.conf"
#define CONFIGURATION_DROP_IN CONFIGURATION ".d/50-test.conf"

/* Writes a drop-in with these lines of the section [Node], or removes it if they are NULL. */
void write_configuration(const char *node_section);
/* The same, and reloads it. */
void node_configure(Bus *bus, const char *node_section);

/* Releases all reserved ports, whoever owns them. */
void node_release_ports(Bus *bus);

/* -- the object of the role -- */

char *role_path(const char *role);
/* The name of the scope. */
char *role_scope(const char *role);

guint32 role_send(Bus *bus, const char *role, const char *method, GVariant *args);
GVariant *role_call(Bus *bus, const char *role, const char *method, GVariant *args);
GVariant *role_get(Bus *bus, const char *role, const char *property);
guint32 role_get_u32(Bus *bus, const char *role, const char *property);
gint32 role_get_i32(Bus *bus, const char *role, const char *property);
guint64 role_get_u64(Bus *bus, const char *role, const char *property);
char *role_get_string(Bus *bus, const char *role, const char *property);
/* How long a step of StartTimes took; 0 if it is not there. */
guint64 role_start_usec(Bus *bus, const char *role, const char *step);
GVariant *role_get_all(Bus *bus, const char *role);
pid_t role_pid(Bus *bus, const char *role);
char *role_cgroup(Bus *bus, const char *role);
/* Returns a process of its scope that runs a program of this name (15 characters of it), or 0. */
pid_t role_find_process(Bus *bus, const char *role, const char *name);

/* -- events -- */

/* The members of a RoleExited. */
typedef struct Exited {
        const Event *event;
        const char *code;
        int status;
        GVariant *details;
        const char *cause;
        guint64 seq;
} Exited;

Exited wait_exited(Bus *bus, const char *role);
/* The same, with these expected values. Cause may be NULL for any. */
Exited expect_exited(Bus *bus, const char *role, const char *code, int status, const char *cause);
Exited exited_from(const Event *event);

/* Returns the details of any event of the node, which are its last argument. */
GVariant *event_details(const Event *event);
guint64 detail_u64(GVariant *details, const char *key);
guint32 detail_u32(GVariant *details, const char *key);
const char *detail_string(GVariant *details, const char *key);
bool detail_bool(GVariant *details, const char *key);
bool detail_has(GVariant *details, const char *key);

/* -- nothing is left, nothing leaks -- */

/* Checks that there is no role, no unit, no object, and no event about it since the mark. */
void assert_no_trace(Bus *bus, const char *role, guint mark);

typedef struct Census {
        guint node_fds;
        guint keeper_fds;
        guint keeper_children; /* including zombies */
        guint keeper_zombies;
        guint node_children;
        guint scopes;
        guint processes; /* in the slice of the roles */
        guint roles;
        guint saved; /* files in the runtime directory */
} Census;

Census census(Bus *bus);
/* The same after one role has run and ended, because the services open some files once and keep them open. */
Census census_before(Bus *bus);
/* Waits until all numbers are as before; fails with the name of one that is not. */
void assert_census(Bus *bus, const Census *before);
