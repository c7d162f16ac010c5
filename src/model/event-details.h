/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What there is to say of an event, as it goes into the log, into the signal and to EventsSince; and back from the log into
 * a role whose saved state is older. The keys are documented in dbus-interfaces/org.architect.Node.xml. */

#include "model/events.h"
#include "model/role.h"

/* Floating. */
GVariant *event_details_started(const Role *role);
GVariant *event_details_exited(const Role *role);
GVariant *event_details_purged(const Role *role, const Caller *caller);
GVariant *event_details_monitor_timed_out(uint64_t timeout_usec);
GVariant *event_details_shutting_down(const char *reason, const Caller *caller);

/* Whether an event is of this run of the role. */
bool event_is_of(const Event *event, const Role *role);

/* The run has this event behind it, whatever its saved state says: its numbers and its exit are the event's. */
void event_restore_started(const Event *event, Role *role);
void event_restore_exited(const Event *event, Role *role);
