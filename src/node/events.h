/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lifecycle events have numbers that go on over restarts of the service: one number an event, never reused. The file
 * "events" in the runtime directory holds the epoch and the newest number that was given out. */

#include <stdint.h>
#include <systemd/sd-id128.h>

#include "node/forward.h"

/* Opens or begins the count in this directory (-1: keep it in memory only, for tests). A file that cannot be read is set aside and a new
 * epoch begins. */
int events_open(int dir_fd, Events **ret);
Events *events_close(Events *events);

sd_id128_t events_epoch(const Events *events);
uint64_t events_sequence(const Events *events);

/* The next number; it is in the file before it is returned. */
int events_next(Events *events, uint64_t *ret);

/* A saved role knows this number: never give it out again, whatever the file says. */
void events_seen(Events *events, uint64_t sequence);
