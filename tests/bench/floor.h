/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The least that it can cost to start N processes, each in a scope of its own, of which none runs its command
 * before it is there: what the node does for a role, without a role. Children of this program wait before
 * their exec. StartTransientUnit is called for 50 of them at a time, in 32 slices; the last scope of a call
 * is its unit, which wants all the others and is after them, so one JobRemoved is for 50. Then these 50 exec.
 */

#include <systemd/sd-bus.h>

/* Returns the ms until the last one has executed its command. Then it ends them. */
double floor_start(sd_bus *bus, unsigned n);
