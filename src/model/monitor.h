/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The dead-man's switch: a manager beats; when it stops beating, something is done. Armed by the first beat, so a node that
 * nobody manages runs on. The deadline is on CLOCK_MONOTONIC, survives a restart of the service (the file "monitor" in the
 * runtime directory), and an outage of the service itself never makes it fire. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/settings.h"

#define MONITOR_GRACE_USEC (5 * USEC_PER_SEC) /* after an outage of our own, at least */

/* dir_fd: where it is saved; -1: nowhere (tests). The timer begins with monitor_resume(). */
int monitor_open(Node *node, int dir_fd, Monitor **ret);
Monitor *monitor_close(Monitor *monitor);
void monitor_resume(Monitor *monitor);

/* The configured timeout holds until SetMonitorTimeout says another. */
void monitor_configure(Monitor *monitor, uint64_t timeout_usec, MonitorAction action);

int monitor_beat(Monitor *monitor, Fault *fault);
int monitor_set_timeout(Monitor *monitor, uint64_t timeout_usec, Fault *fault); /* 0: off */

uint64_t monitor_timeout(const Monitor *monitor);  /* usec; 0: off */
uint64_t monitor_deadline(const Monitor *monitor); /* CLOCK_MONOTONIC usec; 0: not armed */

/* After a clean end: the next service begins unarmed. */
void monitor_forget(Monitor *monitor);
