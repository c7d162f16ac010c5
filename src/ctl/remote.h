/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bus of another host, by ssh. A connection to a host stays with ssh for some minutes (ControlMaster), so
 * that only the first command of several to a host takes the time of a handshake. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/time-util.h"

/* An sshd drops new connections from ten on (MaxStartups=), for example one through which all of them go, and
 * a handshake takes much of a processor. */
#define REMOTE_CONNECTING_MAX 16U
/* What a host is given to be connected, and the longest silence after that, unless --timeout= says more. */
#define REMOTE_PATIENCE_USEC (5 * USEC_PER_SEC)

/* Returns the address for sd-bus of a host for which host_is_valid(). If batch is set, ssh asks nothing. The
 * caller frees it. */
char *remote_address(const char *host, bool batch);

/* Returns the command line of ssh that runs a command there, which the caller frees. There is a shell on its
 * way, for which the words are quoted; before is for that shell, or NULL. In the container of a host the
 * command gets --machine=. */
char **remote_command(const char *host, bool batch, const char *before, const char *const *words);

/* Begins to connect. What ssh says goes to errors, or to stderr if that is negative. */
int remote_start(const char *address, int errors, sd_bus **ret);

/* The same as sd_bus_wait(), up to this time of CLOCK_MONOTONIC, but other threads go on meanwhile. */
int remote_poll(sd_bus *bus, uint64_t deadline_usec);

/* Waits until there is a connection. Returns a negative errno, -ETIMEDOUT at this time of
 * CLOCK_MONOTONIC. */
int remote_wait(sd_bus *bus, uint64_t deadline_usec);

/* Returns why there is no connection: the last line of what ssh has written to the pipe, of which errors is
 * the end that is read, or the text of the errno r, which is negative. The caller frees it. */
char *remote_reason(int errors, int r);
