/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* systemd's manager (PID 1, or the user manager) as an asynchronous peer, with calls and jobs, but without
 * roles. Both bus daemons have limits that disconnect a careless client (128 pending replies of a connection,
 * and PID 1 itself is disconnected near 512 tracked jobs), so calls wait in a queue of this file. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define MANAGER_BUS_NAME "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

#define MANAGER_CALLS_MAX 100U
#define MANAGER_TIMEOUT_USEC (60 * USEC_PER_SEC) /* for a reply, and usually for the end of a job */

#define MANAGER_ERROR_UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"
#define MANAGER_ERROR_NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"
#define MANAGER_ERROR_UNIT_INACTIVE "org.freedesktop.systemd1.UnitInactive"

typedef struct Manager Manager;

/* Either reply or error is NULL. A timeout is reported as an error. */
typedef void (*ManagerReply)(void *userdata, sd_bus_message *reply, const sd_bus_error *error);

/* The job that the reply of a call has named has ended. result is "done" or another result of JobRemoved, or
 * NULL if no JobRemoved arrived in time. If the call itself fails, result is NULL and error is set. */
typedef void (*ManagerJobDone)(void *userdata, const char *result, const sd_bus_error *error);

/* ready is called once, later, when the version is known. */
int manager_new(sd_bus *bus, void (*ready)(void *userdata), void *userdata, Manager **ret);
Manager *manager_free(Manager *manager);

/* Called for each new job of any unit, also of other clients. It is called before systemd begins the job, so
 * the effects of the job come later. */
typedef void (*ManagerJobNew)(void *userdata, const char *job, const char *unit);
int manager_watch_jobs(Manager *manager, ManagerJobNew job_new, void *userdata);

/* Returns whether the machine (or the manager of a user) is shutting down, as far as systemd has announced
 * it: it needs no answer of systemd, which is busy just then. on_shutdown is called at that announcement. */
bool manager_is_shutting_down(const Manager *manager);
void manager_watch_shutdown(Manager *manager, void (*on_shutdown)(void *userdata), void *userdata);

bool manager_is_ready(const Manager *manager);    /* the version was requested, and ready has been called */
unsigned manager_version(const Manager *manager); /* 0 if the version is not known */

/* Returns a message to the interface of the manager, without arguments. The caller owns it. */
int manager_new_call(Manager *manager, sd_bus_message **ret, const char *member);

/* Called instead of the reply when the manager is freed, to free the userdata. */
typedef void (*ManagerDrop)(void *userdata);

/* Sends the message, now or as soon as there is room. r is the result of making the message; if it is a
 * negative errno, nothing is sent, and m may be NULL. Later, exactly once, either reply (or done) or drop is
 * called; drop may be NULL. If the message was not made or cannot be sent, reply receives an error, also
 * later. */
void manager_call(
        Manager *manager, int r, sd_bus_message *m, ManagerReply reply, void *userdata, ManagerDrop drop);
/* For a message that creates units. What was called before must not be about these, since it may arrive
 * later. timeout_usec limits the wait for the end of the job. */
void manager_create_units(Manager *manager, int r, sd_bus_message *m, uint64_t timeout_usec,
        ManagerJobDone done, void *userdata, ManagerDrop drop);

/* From now on systemd is called by its own socket, which has this address, or by the bus if it is NULL, or if
 * the socket does not work. See direct.h. */
void manager_set_direct(Manager *manager, const char *address);

/* Requests a property of an object of systemd; the reply has one variant. Returns a negative errno if the
 * message cannot be made; then neither reply nor drop is called, and the caller still owns userdata. */
int manager_get_property(Manager *manager, const char *path, const char *interface, const char *property,
        ManagerReply reply, void *userdata, ManagerDrop drop);

/* reply is called when everything has arrived that systemd sent before. */
void manager_barrier(Manager *manager, ManagerReply reply, void *userdata, ManagerDrop drop);

/* Sends it without a reply. */
void manager_send(Manager *manager, sd_bus_message *m);

/* StopUnit, and KillUnit for each process of a unit. done and reply may be NULL. */
void manager_stop_unit(
        Manager *manager, const char *unit, ManagerJobDone done, void *userdata, ManagerDrop drop);
/* StopUnit for a sub-slice that should be empty. What is in it nevertheless is not stopped. */
void manager_stop_slice(Manager *manager, const char *slice);
void manager_kill_unit(
        Manager *manager, const char *unit, int signo, ManagerReply reply, void *userdata, ManagerDrop drop);

sd_bus *manager_bus(Manager *manager);
sd_event *manager_event(Manager *manager); /* the event loop to which the bus is attached */
