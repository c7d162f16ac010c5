/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the calls of one user may cost, so that no user makes the service late for others. Each uid has an
 * allowance for all of its connections together. Root, and the user whose service this is, have no limit.
 *
 * A filter sees each call before anything is done with it:
 *  - A call that wants no reply and changes nothing is dropped.
 *  - A user whose calls have taken MaxCallTimePerUser= of a second gets the error LimitReached.
 *  - Calls of users are handled one after the other, and only while the bus reads what the service sends.
 *    Until then they wait, at most MaxWaitingCallsPerUser= of each user. So what root is sent never stands in
 *    a queue behind what others have requested. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct Allowance Allowance;
typedef struct Clients Clients;

/* It must be created before the Authority, whose filter then comes before this one. */
int allowance_new(Clients *clients, Allowance **ret);
/* Replies to the calls that wait here with the error ShuttingDown. Returns NULL. */
Allowance *allowance_free(Allowance *allowance);

/* Whether the call only reads, whatever its arguments are. */
bool allowance_call_reads(sd_bus_message *m);

/* Whether there is memory for one more call that has to wait. Calls that change something have more of it. */
bool allowance_has_room(bool reads);

/* A call of a known caller is kept for later. It counts as waiting until allowance_done(), or until it is
 * received again, which nothing limits. Returns -EDQUOT if too many calls of its user wait; *error is set. */
int allowance_wait(Allowance *allowance, sd_bus_message *m, sd_bus_error *error);
void allowance_done(Allowance *allowance, sd_bus_message *m);

/* After each message that was handled: what it took is deducted from the allowance of its user. */
void allowance_charge(Allowance *allowance);

/* Whether a call of a user with a limit was received since this was called. */
bool allowance_is_crowded(Allowance *allowance);

/* Sends errors and handles calls that wait, as far as the bus reads what is sent. */
void allowance_run(Allowance *allowance);
