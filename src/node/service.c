/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>

#include "model/node-stop.h"
#include "node/agent-settings.h"
#include "node/agent-stop.h"
#include "node/service.h"
#include "util/autoptr.h"
#include "util/notify.h"

/* An agent lives as long as its connection to the bus. Without one it can do nothing, and nothing would be
 * lost if the process ended here: the keeper has the exits that happen meanwhile, and the runtime directory
 * all other state. But a process that stays running needs no new start, and does not depend on a systemd that
 * restarts it. So the same process creates the next agent, from the same files. */

#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC USEC_PER_SEC

static int service_on_stop_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        agent_on_stop_signal(userdata);
        return 0;
}

static int service_on_reload_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        agent_on_reload_signal(userdata);
        return 0;
}

/* The loss of a terminal must not end the service. */
static int service_on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        log_lose_terminal();
        return 0;
}

static int service_add_signals(
        sd_event *event, sd_event_signal_handler_t stop, sd_event_signal_handler_t reload, void *userdata) {
        int r = sd_event_add_signal(event, NULL, SIGTERM, stop, userdata);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, stop, userdata);
        if (r >= 0)
                /* SIGHUP is not used, because it means the loss of a terminal. */
                r = sd_event_add_signal(event, NULL, SIGUSR1, reload, userdata);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGHUP, service_on_hangup, NULL);
        return r < 0 ? log_error_errno(r, "Cannot watch signals: %m") : 0;
}

static int service_new_event(sd_event **ret) {
        int r = sd_event_new(ret);
        return r < 0 ? log_error_errno(r, "Cannot create the event loop: %m") : 0;
}

static int service_run_event(sd_event *event) {
        int r = notify_attach(event);
        if (r >= 0)
                r = sd_event_loop(event);
        notify_detach();
        return r < 0 ? log_error_errno(r, "The event loop failed: %m") : r;
}

static int service_run_agent(Instance *instance) {
        g_autoptr(sd_event) event = NULL;
        g_autoptr(Agent) agent = NULL;

        int r = service_new_event(&event);
        if (r < 0) {
                instance_free(instance);
                return r;
        }
        r = agent_new(event, instance, &agent);
        if (r >= 0)
                r = service_add_signals(event, service_on_stop_signal, service_on_reload_signal, agent);
        if (r >= 0)
                r = service_run_event(event);
        /* The answer of systemd would have come over that bus. */
        if (r == CLIENTS_BUS_LOST && agent->asked_why && !node_is_shutting_down(agent->node)) {
                agent_leave_roles(agent, "the bus is gone");
                r = 0;
        }
        return r;
}

/* -- between two buses -- */

typedef struct Wait {
        bool user;
        uint64_t retry_usec;
        bool stop;
} Wait;

/* Without a bus the reason cannot be determined, so the roles keep running, as in a restart. */
static int service_on_stop_waiting(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Wait *wait = userdata;

        wait->stop = true;
        return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int service_on_reload_waiting(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        return 0; /* the next agent reads the configuration in any case */
}

/* There is no notification when a process listens on the socket again, so it is tried. */
static int service_on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        Wait *wait = userdata;
        g_autoptr(sd_bus) bus = NULL;

        int r = wait->user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                return sd_event_exit(sd_event_source_get_event(s), 0);
        log_debug_errno(r, "There is no bus yet: %m");
        r = sd_event_source_set_time_relative(s, wait->retry_usec);
        wait->retry_usec = MIN(2 * wait->retry_usec, RETRY_MAX_USEC);
        return r >= 0 ? sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) : r;
}

/* Returns 1 if the bus is back and 0 if the service was stopped. */
static int service_wait_for_bus(bool user) {
        g_autoptr(sd_event) event = NULL;
        g_autoptr(sd_event_source) timer = NULL;
        Wait wait = { .user = user, .retry_usec = 2 * RETRY_MIN_USEC };

        notify_send("STATUS=Waiting for the bus.");
        int r = service_new_event(&event);
        if (r < 0)
                return r;
        r = service_add_signals(event, service_on_stop_waiting, service_on_reload_waiting, &wait);
        if (r < 0)
                return r;
        /* The wait is needed, because a bus that accepts connections and closes them must not keep the
         * process busy. */
        r = sd_event_add_time_relative(
                event, &timer, CLOCK_MONOTONIC, RETRY_MIN_USEC, 0, service_on_retry, &wait);
        if (r < 0)
                return log_error_errno(r, "Cannot set a timer: %m");
        r = service_run_event(event);
        return r < 0 ? r : !wait.stop;
}

int service_run(const char *name, bool user, LogTarget target) {
        for (;;) {
                Instance *instance;

                int r = instance_new(name, user, &instance);
                if (r < 0)
                        return r;
                log_set_target(target);
                r = service_run_agent(instance);
                if (r != CLIENTS_BUS_LOST)
                        return r;
                log_warning("Lost the connection to the bus, waiting for the next one");
                r = service_wait_for_bus(user);
                if (r <= 0)
                        return r;
        }
}
