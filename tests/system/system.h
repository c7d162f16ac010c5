/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The machine around the node: processes, cgroups, units, the journal, commands. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus.h"

/* -- programs -- */

/* The program that plays most roles, see actor.c. It is a copy that every user can execute. */
const char *actor(void);

/* Runs a command to its end; returns its exit status (128 + n if it was killed by signal n). The outputs may
 * be NULL. */
int run(char **ret_stdout, char **ret_stderr, const char *program, ...) G_GNUC_NULL_TERMINATED;
int run_argv(char **ret_stdout, char **ret_stderr, const char *const *argv);
/* The same, but the command must succeed. Returns its standard output. */
char *run_ok(const char *program, ...) G_GNUC_NULL_TERMINATED;
/* Runs it as an ordinary user, with the environment of that user. */
int run_as(const char *user, char **ret_stdout, char **ret_stderr, const char *program,
        ...) G_GNUC_NULL_TERMINATED;
/* Starts a command without waiting. It is a child of this process. */
pid_t spawn(const char *program, ...) G_GNUC_NULL_TERMINATED;

/* Reads the file of the actor's "dump": "status.Umask" → "0022"; see actor.c. */
GHashTable *read_dump(const char *path);
const char *dump_get(GHashTable *dump, const char *key); /* the key must exist */

/* A named pipe in the scratch directory. A role writes one line each time to report its progress to the
 * test. */
typedef struct Fifo Fifo;
Fifo *fifo_new(const char *name);
void fifo_free(Fifo *fifo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fifo, fifo_free)
const char *fifo_path(const Fifo *fifo);
/* Waits for a line, which is returned without its newline. The caller frees it. */
char *fifo_line(Fifo *fifo);
void fifo_expect(Fifo *fifo, const char *line);
/* Expects a line of the form "TEXT PID", as the actor writes it. Returns the PID. */
pid_t fifo_expect_pid(Fifo *fifo, const char *text);
/* Returns whether there is a line now, which stays for fifo_line(). */
bool fifo_has_line(Fifo *fifo);

/* A copy of the actor that cannot be executed until it is released, because execve(2) waits. So a start is
 * held in its last step. (It uses a lease on the file, which the kernel breaks after 45 s; the waiting
 * process still receives signals.) */
typedef struct Hold Hold;
Hold *hold_new(void);
void hold_free(Hold *hold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hold, hold_free)
const char *hold_program(const Hold *hold);
void hold_release(Hold *hold);

/* -- processes -- */

/* Returns a descriptor of a process, by which its death is known even after its PID was used again. */
int process_open(pid_t pid);
bool process_is_dead(int pidfd); /* a zombie is dead */
void process_wait_dead(int pidfd);

char process_state(pid_t pid); /* as in /proc/PID/stat; 0 if there is none */
pid_t process_parent(pid_t pid);
/* Returns the value of "Key:" in /proc/PID/status, or NULL. The caller frees it. */
char *process_status(pid_t pid, const char *key);
guint64 process_rss(pid_t pid); /* bytes */
guint process_n_fds(pid_t pid);
GArray *process_children(pid_t pid); /* of pid_t, including zombies */
char *process_cgroup(pid_t pid);     /* in the v2 hierarchy */
/* Returns whether the process is blocked in this system call. */
bool process_in_syscall(pid_t pid, long number);
bool process_is_sanitized(pid_t pid);

/* -- cgroups -- */

bool machine_is_hybrid(void);
char *cgroup_file(const char *cgroup, const char *file); /* its path in the v2 hierarchy */
char *cgroup_v1_file(const char *controller, const char *cgroup, const char *file);
bool cgroup_is_populated(const char *cgroup); /* false if it has been removed */
bool cgroup_is_frozen(const char *cgroup);
/* Writes cgroup.freeze, as a program does that knows no systemd. A cgroup that is gone is not frozen. */
void cgroup_freeze(const char *cgroup, bool freeze);
void cgroup_wait_empty(const char *cgroup);
GArray *cgroup_pids(const char *cgroup);             /* and below, of pid_t */
char *read_file(const char *path);                   /* stripped; NULL if there is none */
void write_file(const char *path, const char *text); /* and its directories */

/* -- units -- */

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

/* Returns the names of the loaded units. */
char **units(Bus *bus, const char *pattern);
guint count_units(Bus *bus, const char *pattern);
/* interface is "Unit", "Service" or "Scope". */
GVariant *unit_get(Bus *bus, const char *unit, const char *interface, const char *property);
char *unit_get_string(Bus *bus, const char *unit, const char *interface, const char *property);
pid_t unit_main_pid(Bus *bus, const char *unit); /* never 0 */
/* Returns whether the service is active with another main process than this one. */
bool service_is_another(Bus *bus, const char *unit, pid_t before);
pid_t node_pid(Bus *bus);
pid_t keeper_pid(Bus *bus);

/* Runs systemctl VERB UNIT, which must succeed. Returns when the job is done. */
void systemctl(const char *verb, const char *unit);
/* Writes a drop-in of the unit, which applies to its next start, or removes it if text is NULL. */
void unit_configure(const char *unit, const char *text);

/* Freezes PID 1, or lets it go on. It is frozen by its cgroup, because a process of its own pid namespace
 * cannot stop it by a signal. Whoever freezes it lets it go on in the teardown. */
void systemd_freeze(bool freeze);

/* Restarts the node by systemctl and waits until it has the bus name. */
void node_restart(Bus *bus);
/* Kills the node by SIGKILL and waits until the next one has the bus name. */
void node_crash(Bus *bus);
void node_crash_by(Bus *bus, int signo); /* the same by another signal, which must end the node */
/* Waits until the bus name has no owner or an owner, from events since the mark or now. */
void node_wait_name(Bus *bus, bool owned);
bool node_has_name(Bus *bus);
char *node_owner(Bus *bus); /* its unique name, NULL if it does not run */
/* Waits until the next node has the bus name. A node that was killed still owns the name until the bus daemon
 * has noticed its death, which may be later than its pidfd reports it, so node_wait_name() may not wait. */
void node_wait_next(Bus *bus, const char *owner_before);
/* Kills the keeper by SIGKILL; another one may not be running yet. */
void keeper_crash(Bus *bus);
/* Returns whether the node is connected to a keeper that is not this one. */
bool keeper_is_connected(Bus *bus, pid_t before);

/* -- the journal -- */

/* Returns the messages, one a line, oldest first, of journalctl with these arguments, after everything so far
 * has been written. */
char *journal(const char *option, ...) G_GNUC_NULL_TERMINATED;
/* Returns an option for it that selects only later messages. The caller frees it. */
char *journal_from_now(void);
