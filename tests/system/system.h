/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The machine around the node: processes, cgroups, units, the journal, commands. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus.h"

/* -- programs ------------------------------------------------------------------------------------------------------ */

/* The program that plays most roles: see actor.c. A copy that every user can execute. */
const char *actor(void);

/* Runs a command to its end; returns its exit status (128 + n: killed by signal n). The outputs may be NULL. */
int run(char **ret_stdout, char **ret_stderr, const char *program, ...) G_GNUC_NULL_TERMINATED;
/* The same; it must succeed. Returns its standard output. */
char *run_ok(const char *program, ...) G_GNUC_NULL_TERMINATED;
/* As an ordinary user, with that user's environment. */
int run_as(const char *user, char **ret_stdout, char **ret_stderr, const char *program,
        ...) G_GNUC_NULL_TERMINATED;
/* Starts one without waiting. It is this process's child. */
pid_t spawn(const char *program, ...) G_GNUC_NULL_TERMINATED;

/* What the actor's "dump" wrote: "status.Umask" → "0022"; see actor.c. */
GHashTable *read_dump(const char *path);
const char *dump_get(GHashTable *dump, const char *key); /* must be there */

/* A named pipe in the scratch directory, by which a role tells the test that it has come somewhere: one line each time. */
typedef struct Fifo Fifo;
Fifo *fifo_new(const char *name);
void fifo_free(Fifo *fifo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fifo, fifo_free)
const char *fifo_path(const Fifo *fifo);
/* Waits for a line; without its newline. The caller frees. */
char *fifo_line(Fifo *fifo);
void fifo_expect(Fifo *fifo, const char *line);
/* Lines of the form "TEXT PID", as the actor writes them: returns the pid. */
pid_t fifo_expect_pid(Fifo *fifo, const char *text);
/* Whether there is a line now. */
bool fifo_has_line(Fifo *fifo);

/* A copy of the actor that nobody can execute until it is released: execve(2) waits. So a start is held in its last step. (A
 * lease on the file, which the kernel breaks after 45 s; a signal still reaches who waits.) */
typedef struct Hold Hold;
Hold *hold_new(void);
void hold_free(Hold *hold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hold, hold_free)
const char *hold_program(const Hold *hold);
void hold_release(Hold *hold);

/* -- processes ------------------------------------------------------------------------------------------------------ */

/* A process that can be asked whether it is dead even after its pid was used again. */
int process_open(pid_t pid);
bool process_is_dead(int pidfd); /* a zombie is dead */
void process_wait_dead(int pidfd);

char process_state(pid_t pid); /* as in /proc/PID/stat; 0: there is none */
pid_t process_parent(pid_t pid);
/* The value of "Key:" in /proc/PID/status; NULL: there is none. The caller frees. */
char *process_status(pid_t pid, const char *key);
guint64 process_rss(pid_t pid); /* bytes */
guint process_n_fds(pid_t pid);
GArray *process_children(pid_t pid); /* of pid_t; zombies too */
char *process_cgroup(pid_t pid);     /* in the v2 hierarchy */
/* Whether it is blocked in this system call. */
bool process_in_syscall(pid_t pid, long number);
bool process_is_sanitized(pid_t pid);

/* -- cgroups --------------------------------------------------------------------------------------------------------- */

bool machine_is_hybrid(void);
char *cgroup_file(const char *cgroup, const char *file); /* its path in the v2 hierarchy */
char *cgroup_v1_file(const char *controller, const char *cgroup, const char *file);
bool cgroup_is_populated(const char *cgroup); /* one that is gone is not */
bool cgroup_is_frozen(const char *cgroup);
void cgroup_wait_empty(const char *cgroup);
GArray *cgroup_pids(const char *cgroup); /* and below, of pid_t */
char *read_file(const char *path);       /* stripped; NULL: there is none */

/* -- units ------------------------------------------------------------------------------------------------------------- */

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

/* Names of the loaded units. */
char **units(Bus *bus, const char *pattern);
guint count_units(Bus *bus, const char *pattern);
/* Interface: "Unit", "Service" or "Scope". */
GVariant *unit_get(Bus *bus, const char *unit, const char *interface, const char *property);
char *unit_get_string(Bus *bus, const char *unit, const char *interface, const char *property);
pid_t unit_main_pid(Bus *bus, const char *unit); /* never 0 */
pid_t node_pid(Bus *bus);
pid_t keeper_pid(Bus *bus);

/* systemctl VERB UNIT; must succeed. Returns when the job is done. */
void systemctl(const char *verb, const char *unit);

/* SIGKILLs the node, waits for the next one to have the bus name. */
void node_crash(Bus *bus);
void node_crash_by(Bus *bus, int signo); /* the same by another signal, which must be its end */
/* Waits for the bus name to be gone or owned, from events that came since the mark or now. */
void node_wait_name(Bus *bus, bool owned);
bool node_has_name(Bus *bus);
/* SIGKILLs the keeper; there need not be another one yet. */
void keeper_crash(Bus *bus);
/* Whether the node talks to one that is not this. */
bool keeper_is_connected(Bus *bus, pid_t before);

/* -- the journal --------------------------------------------------------------------------------------------------------- */

/* Messages, one a line, oldest first, of journalctl with these arguments, after everything written up to now is in it. */
char *journal(const char *option, ...) G_GNUC_NULL_TERMINATED;
/* An option for it: only what comes after now. The caller frees. */
char *journal_from_now(void);
