/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The part of fence_architect that talks to the cluster. */

#include <stdint.h>

/* Has the host end its roles, and returns 0 when nothing of them is left: as soon as the host says so, or
 * else when its leases must have ended, after wait_usec. Returns a negative errno, with a message, if nobody
 * can be sure of that. */
int fence_host(const char *host, uint64_t wait_usec);

/* Prints the hosts whose beat is heard, one a line with its lease time in microseconds. Returns a negative
 * errno, with a message, if corosync cannot be reached or this host has no quorum. */
int fence_print_hosts(void);
