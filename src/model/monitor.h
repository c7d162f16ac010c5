/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The monitor expects a beat of the manager within its timeout and acts when none arrives. The first beat
 * arms it, so it does not affect a node without a manager. The deadline is on CLOCK_MONOTONIC, survives a
 * restart of the service (in the file "monitor" of the runtime directory), and an outage of the service
 * itself never makes it expire (beat-deadline.h). It is the lease of those who name none; the others are in
 * leases.h. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/settings.h"

/* dir_fd is the directory of the saved file, which the caller keeps open; -1 saves nothing (for tests). The
 * timer starts with monitor_resume(). Returns a negative errno. */
int monitor_open(Node *node, int dir_fd, Monitor **ret);
Monitor *monitor_close(Monitor *monitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Monitor, monitor_close)

/* Starts the timer of a loaded monitor, with a grace period for the beats that were not possible before. */
void monitor_resume(Monitor *monitor);

/* The configured timeout applies until SetMonitorTimeout changes it. */
void monitor_configure(Monitor *monitor, uint64_t timeout_usec, MonitorAction action);

/* Arms the monitor, or moves its deadline. Has no effect if the monitor is off. Does not fail. */
int monitor_beat(Monitor *monitor, Fault *fault);
int monitor_set_timeout(Monitor *monitor, uint64_t timeout_usec, Fault *fault); /* 0 turns it off */

MonitorAction monitor_action(const Monitor *monitor);
uint64_t monitor_timeout(const Monitor *monitor);  /* in microseconds, 0 if it is off */
uint64_t monitor_deadline(const Monitor *monitor); /* CLOCK_MONOTONIC in microseconds, 0 if it is not armed */

/* Removes the saved state at a clean end, so that the monitor of the next service is not armed. */
void monitor_forget(Monitor *monitor);
