/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* These functions convert the details of an event. They are written to the log, the signal and the reply of
 * EventsSince, and read back from the log into a role whose saved state is older.
 * dbus-interfaces/org.architect.Node.xml documents the keys. */

#include "model/events.h"
#include "model/role.h"

/* Each returns a floating reference. */
GVariant *event_details_started(const Role *role);
/* result: as role_result_to_string(). left: the processes that were left, a(us), or NULL. */
GVariant *event_details_exited(const Role *role, const char *result, GVariant *left);
/* The restart of the role, with role->restarts.attempt, next_deadline and next_realtime_usec, or the failure
 * after which there is none. result: as role_result_to_string(). */
GVariant *event_details_restarting(const Role *role, const char *result, uint64_t delay_usec);
GVariant *event_details_failed(const Role *role, const char *result);
GVariant *event_details_purged(const Role *role, const Caller *caller);
GVariant *event_details_monitor_timed_out(uint64_t timeout_usec);
GVariant *event_details_lease_expired(const char *lease, uint64_t timeout_usec, uid_t owner, uint64_t token);
GVariant *event_details_shutting_down(const char *reason, const Caller *caller);

/* Returns whether the event belongs to this run of the role. */
bool event_is_of(const Event *event, const Role *role);

/* Gives the role the identity of the run to which a RoleStarted or RoleExited belongs. The owner, the user
 * and the products are those of a RoleStarted. Returns false if the event has no identity. */
bool event_restore_run(const Event *event, Role *role);

/* Apply an event that has happened to a run whose saved state does not contain it. They set its sequence
 * numbers and its exit. */
void event_restore_started(const Event *event, Role *role);
void event_restore_exited(const Event *event, Role *role);
void event_restore_restarting(const Event *event, Role *role);
void event_restore_failed(const Event *event, Role *role);
