/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* systemd's manager (PID 1, or the user manager) as an asynchronous peer: calls and jobs, and nothing about roles. Both bus daemons
 * have limits that kill a careless client (128 pending replies a connection; PID 1 itself is cut off near 512 tracked jobs), so
 * calls wait in a queue of our own. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define MANAGER_BUS_NAME "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

#define MANAGER_CALLS_MAX 100U
#define MANAGER_TIMEOUT_USEC (60 * USEC_PER_SEC) /* for an answer, and for the end of a job */

#define MANAGER_ERROR_UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"
#define MANAGER_ERROR_NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"

typedef struct Manager Manager;

/* One of the two is NULL. A timeout is an error as any other. */
typedef void (*ManagerReply)(void *userdata, sd_bus_message *reply, const sd_bus_error *error);

/* A job that the reply of a call named has ended: "done", or what JobRemoved says; NULL: it was never heard of again. On an
 * error of the call itself: result NULL and the error. */
typedef void (*ManagerJobDone)(void *userdata, const char *result, const sd_bus_error *error);

/* ready: the version is known; called once, later. */
int manager_new(sd_bus *bus, void (*ready)(void *userdata), void *userdata, Manager **ret);
Manager *manager_free(Manager *manager);

/* Every new job of any unit, ours or not; before systemd begins with it, so that what the job does comes later. */
typedef void (*ManagerJobNew)(void *userdata, const char *job, const char *unit);
int manager_watch_jobs(Manager *manager, ManagerJobNew job_new, void *userdata);

bool manager_is_ready(const Manager *manager);    /* the version was asked for, and ready has been called */
unsigned manager_version(const Manager *manager); /* 0: it did not say */

/* A message to the manager's own interface, to be filled. */
int manager_new_call(Manager *manager, sd_bus_message **ret, const char *member);

/* Whoever waits for an answer that will not come any more, because the manager goes: instead of it. */
typedef void (*ManagerDrop)(void *userdata);

/* Sends it, now or as soon as there is room; the answer comes later, exactly once, or drop is called, which may be NULL. A
 * call that cannot be sent is answered by an error, later as well. */
void manager_call(Manager *manager, sd_bus_message *m, ManagerReply reply, void *userdata, ManagerDrop drop);
void manager_call_job(
        Manager *manager, sd_bus_message *m, ManagerJobDone done, void *userdata, ManagerDrop drop);

/* Instead of one of the two where the caller could not make the message: its answer is this error (a negative errno). It comes in
 * the same way, later and exactly once, or drop is called. */
void manager_fail_call(Manager *manager, int error, ManagerReply reply, void *userdata, ManagerDrop drop);
void manager_fail_call_job(
        Manager *manager, int error, ManagerJobDone done, void *userdata, ManagerDrop drop);

/* The reply comes when everything has come that systemd had said before. */
void manager_barrier(Manager *manager, ManagerReply reply, void *userdata, ManagerDrop drop);

/* Sends it and wants no answer. */
void manager_send(Manager *manager, sd_bus_message *m);

/* StopUnit, and KillUnit to every process of a unit. Without done or reply nobody wants to know. */
void manager_stop_unit(
        Manager *manager, const char *unit, ManagerJobDone done, void *userdata, ManagerDrop drop);
void manager_kill_unit(
        Manager *manager, const char *unit, int signo, ManagerReply reply, void *userdata, ManagerDrop drop);

sd_bus *manager_bus(Manager *manager);
sd_event *manager_event(Manager *manager); /* the loop that the bus was attached to */
