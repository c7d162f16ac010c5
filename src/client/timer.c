/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>

#include "client/timer.h"

int timer_new(sd_event *event, sd_event_source **ret, uint64_t accuracy_usec, sd_event_time_handler_t handler,
        void *userdata) {
        int r = sd_event_add_time(event, ret, CLOCK_MONOTONIC, 0, accuracy_usec, handler, userdata);

        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int timer_start(sd_event_source *timer, uint64_t usec) {
        int r = sd_event_source_set_time_relative(timer, usec);

        return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}
