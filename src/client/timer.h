/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Timers of CLOCK_MONOTONIC that exist for long, and run only now and then. */

#include <stdint.h>
#include <systemd/sd-event.h>

/* Makes one that does not run. The accuracy is as for sd_event_add_time(). The caller unrefs *ret. */
int timer_new(sd_event *event, sd_event_source **ret, uint64_t accuracy_usec, sd_event_time_handler_t handler,
        void *userdata);

/* Lets it call its handler once, so long after the beginning of this turn of the loop; one that runs begins
 * anew. Both return a negative errno. */
int timer_start(sd_event_source *timer, uint64_t usec);
