/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <syslog.h>

#include "base/exit-status.h"
#include "base/time-util.h"
#include "model/event-details.h"
#include "model/leases.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/role-dependencies.h"
#include "model/role-log.h"
#include "model/role-restart.h"

/* -- how it ended -- */

static const char *const role_result_table[_ROLE_RESULT_MAX] = {
        [RESULT_SUCCESS] = "success",
        [RESULT_EXIT_CODE] = "exit-code",
        [RESULT_SIGNAL] = "signal",
        [RESULT_CORE_DUMP] = "core-dump",
        [RESULT_TIMEOUT] = "timeout",
        [RESULT_WATCHDOG] = "watchdog",
        [RESULT_PROTOCOL] = "protocol",
        [RESULT_OOM_KILL] = "oom-kill",
        [RESULT_LOST] = "lost",
        [RESULT_RESOURCES] = "resources",
        [RESULT_START_LIMIT_HIT] = "start-limit-hit",
};

DEFINE_STRING_TABLE(role_result, RoleResult, role_result_table);

/* SIGKILL that nobody has asked for: the stop timeout has elapsed. */
static bool role_timed_out(const Role *role) {
        return role->exit.code == EXIT_CODE_KILLED && role->exit.status == SIGKILL &&
               (role->cause == ROLE_CAUSE_STOP || role->cause == ROLE_CAUSE_SHUTDOWN ||
                       role->cause == ROLE_CAUSE_DEPENDENCY);
}

static RoleResult role_exit_result(const Role *role) {
        const RoleExit *e = &role->exit;

        if (exit_status_is_in(role->spec->success_exit_status, e->code, e->status))
                return RESULT_SUCCESS;
        if (role_timed_out(role))
                return RESULT_TIMEOUT;
        switch (e->code) {
        case EXIT_CODE_EXITED:
                return e->status == 0 ? RESULT_SUCCESS : RESULT_EXIT_CODE;
        case EXIT_CODE_KILLED:
                return exit_signal_is_clean(e->status) ? RESULT_SUCCESS : RESULT_SIGNAL;
        case EXIT_CODE_DUMPED:
                return RESULT_CORE_DUMP;
        default:
                return RESULT_LOST;
        }
}

RoleResult role_run_result(const Role *role) {
        if (role->start_failed)
                return RESULT_RESOURCES;
        if (role->cause == ROLE_CAUSE_OOM)
                return RESULT_OOM_KILL;
        /* What it has made of the signal does not matter, as for systemd. */
        if (role->cause == ROLE_CAUSE_WATCHDOG)
                return RESULT_WATCHDOG;
        if (role->cause == ROLE_CAUSE_TIMEOUT)
                return RESULT_TIMEOUT;

        RoleResult result = role_exit_result(role);
        if (result == RESULT_SUCCESS && role->spec->type == ROLE_TYPE_NOTIFY && role->unready &&
                !role->stop_requested)
                return RESULT_PROTOCOL;
        return result;
}

RoleResult role_result(const Role *role) {
        if (role->state != ROLE_ENDED)
                return RESULT_SUCCESS;
        return role->next_run == NEXT_RUN_LIMIT_HIT ? RESULT_START_LIMIT_HIT : role_run_result(role);
}

/* -- what the policy says of it -- */

/* The table under Restart= in systemd.service(5). That the process is dead is known of a lost one, too. */
static bool restart_policy_has(RestartPolicy policy, RoleResult result) {
        switch (policy) {
        case RESTART_ALWAYS:
                return true;
        case RESTART_ON_SUCCESS:
                return result == RESULT_SUCCESS;
        case RESTART_ON_FAILURE:
                return result != RESULT_SUCCESS;
        case RESTART_ON_ABNORMAL:
                return result != RESULT_SUCCESS && result != RESULT_EXIT_CODE && result != RESULT_LOST;
        case RESTART_ON_ABORT:
                return result == RESULT_SIGNAL || result == RESULT_CORE_DUMP;
        case RESTART_ON_WATCHDOG:
                return result == RESULT_WATCHDOG;
        default:
                return false;
        }
}

static bool role_is_to_restart(const Role *role, RoleResult result) {
        const RoleSpec *spec = role->spec;

        if (!role->start_failed &&
                exit_status_is_in(spec->restart_prevent_exit_status, role->exit.code, role->exit.status))
                return false;
        return restart_policy_has(spec->restart, result);
}

/* After a run this long its past does not count: it was longer than what the limit of starts looks back, and
 * than its longest delay. */
static uint64_t role_good_run_usec(const RoleSpec *spec) {
        if (spec->restart_steps == 0 || spec->restart_max_delay_usec == USEC_INFINITY)
                return spec->start_limit_interval_usec;
        return MAX(spec->start_limit_interval_usec, spec->restart_max_delay_usec);
}

static bool role_had_good_run(const Role *role) {
        uint64_t good = role_good_run_usec(role->spec);

        return !role->start_failed && role->start_monotonic_usec > 0 && good != USEC_INFINITY &&
               role->exit.monotonic_usec >= usec_add(role->start_monotonic_usec, good);
}

/* RestartSteps= of systemd: from restart-usec to restart-max-delay-usec in equal factors. */
static double role_restart_delay(const RoleSpec *spec, uint64_t attempt) {
        const double first = (double) spec->restart_usec, last = (double) spec->restart_max_delay_usec;

        if (attempt <= 1 || spec->restart_steps == 0 || spec->restart_max_delay_usec == USEC_INFINITY ||
                last <= first)
                return first;
        if (attempt > spec->restart_steps)
                return last;
        return MAX(first, 1) *
               pow(last / MAX(first, 1), (double) (attempt - 1) / (double) spec->restart_steps);
}

static uint64_t role_vary_delay(const Role *role, double delay) {
        const double varied = delay * g_rand_double_range(role->node->random, 0.9, 1.1);

        return varied < (double) INT64_MAX ? (uint64_t) varied : USEC_INFINITY - 1;
}

/* -- the decision -- */

static void role_set_wait(Role *role, uint64_t delay) {
        role->next_run = NEXT_RUN_WAITING;
        role->next_deadline = role_deadline_in(delay);
        role->next_realtime_usec = usec_add(now_usec(CLOCK_REALTIME), delay);
}

static void role_wait_for_restart(Role *role, RoleResult result, uint64_t least_usec, Event *ret) {
        RestartCount *count = &role->restarts;

        if (role_had_good_run(role))
                count->attempt = 0;
        count->attempt++;
        const uint64_t wanted = role_vary_delay(role, role_restart_delay(role->spec, count->attempt)),
                       delay = MAX(wanted, least_usec);
        role_set_wait(role, delay);
        node_event_add(role->node, EVENT_ROLE_RESTARTING, role,
                event_details_restarting(role, role_result_to_string(result), delay), ret);
        role->next_sequence = ret->sequence;
        journal_role(role, MESSAGE_ROLE_RESTARTING, LOG_NOTICE, NULL,
                "Starting again in %.3f s, attempt %" PRIu64 " (result: %s)",
                (double) delay / (double) USEC_PER_SEC, count->attempt, role_result_to_string(result));
}

static void role_wait_for_dependency(Role *role, Event *ret) {
        const char *result = role_result_to_string(role_result(role));

        role->next_run = NEXT_RUN_DEPENDENCY;
        role->next_deadline = role->next_realtime_usec = USEC_INFINITY;
        node_event_add(role->node, EVENT_ROLE_RESTARTING, role,
                event_details_restarting(role, result, USEC_INFINITY), ret);
        role->next_sequence = ret->sequence;
        journal_role(role, MESSAGE_ROLE_RESTARTING, LOG_NOTICE, NULL,
                "Starting again when role \"%s\" is ready (result: %s)", role->follows, result);
}

/* Nobody else than the holder of its lease decides that it runs. */
static bool role_lease_is_held(const Role *role) {
        return !role->spec->lease || leases_is_held(role->node->leases, role->spec->lease);
}

static void role_give_up(Role *role, NextRun how, Event *ret) {
        role->next_run = how;
        const char *result = role_result_to_string(role_result(role));
        node_event_add(role->node, EVENT_ROLE_FAILED, role, event_details_failed(role, result), ret);
        role->next_sequence = ret->sequence;
        journal_role(role, MESSAGE_ROLE_FAILED, LOG_WARNING, NULL,
                how == NEXT_RUN_LIMIT_HIT ? "Started too often, giving up (result: %s)"
                : !role_lease_is_held(role)
                        ? "Not starting it again, because nobody holds its lease (result: %s)"
                        : "Failed, and its policy does not start it again (result: %s)",
                result);
}

static void role_decide_next_run_after(Role *role, uint64_t least_usec, Event *ret) {
        if (role->next_run != NEXT_RUN_NONE || role->node->stopping || role->node->resumed.reason)
                return;
        if (role_comes_back(role)) {
                role_wait_for_dependency(role, ret);
                return;
        }
        if (role->spec->restart == RESTART_NO || role->stop_requested)
                return;
        const RoleResult result = role_result(role);
        if (role_is_to_restart(role, result) && role_lease_is_held(role))
                role_wait_for_restart(role, result, least_usec, ret);
        else if (result != RESULT_SUCCESS)
                role_give_up(role, NEXT_RUN_GIVEN_UP, ret);
}

void role_decide_next_run(Role *role, Event *ret) {
        role_decide_next_run_after(role, 0, ret);
}

static int role_on_restart_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        role_set_timer(role, USEC_INFINITY, NULL);
        role->node->reports->restart_due(role->node, role); /* may free the role */
        return 0;
}

void role_arm_restart(Role *role) {
        if (!role_waits_for_restart(role))
                return;
        if (role->next_run == NEXT_RUN_DEPENDENCY) {
                const Role *other = g_hash_table_lookup(role->node->roles, role->follows);

                if (role_presence(other) == PRESENCE_READY)
                        role_set_timer(role, 0, role_on_restart_timer);
                return;
        }
        role_set_timer_at(role, role->next_deadline, role_on_restart_timer);
}

bool role_cancel_restart(Role *role, RoleCause cause, const Caller *caller) {
        if (!role_waits_for_restart(role))
                return false;
        role_set_timer(role, USEC_INFINITY, NULL);
        journal_role(role, MESSAGE_ROLE_STOPPING, LOG_INFO, caller, "Not starting it again (cause: %s)",
                role_cause_to_string(cause));
        role_restart_cancelled(role);
        role->node->reports->role_swept(role->node, role);
        return true;
}

/* As ratelimit_below() of systemd, which counts whole intervals. */
static bool role_may_start_again(Role *role) {
        const RoleSpec *spec = role->spec;
        const uint64_t now = now_usec(CLOCK_MONOTONIC);
        RestartCount *count = &role->restarts;

        if (spec->start_limit_interval_usec == 0 || spec->start_limit_burst == 0)
                return true;
        if (now > usec_add(count->window_begin, spec->start_limit_interval_usec)) {
                count->window_begin = now;
                count->window_starts = 0;
        }
        return count->window_starts++ < spec->start_limit_burst;
}

bool role_take_restart(Role *role) {
        const bool held = role_lease_is_held(role);
        g_auto(Event) event = {};

        if (held && role_may_start_again(role)) {
                role->restarts.n++;
                return true;
        }
        role_give_up(role, held ? NEXT_RUN_LIMIT_HIT : NEXT_RUN_GIVEN_UP, &event);
        (void) role_save(role);
        node_event_tell(role->node, &event, role);
        ASK(role->node, clients, role_changed, role);
        role->node->reports->role_swept(role->node, role);
        return false;
}

void role_restart_failed(Role *role, const Fault *fault, uint64_t least_usec) {
        g_auto(Event) event = {};

        role->next_run = NEXT_RUN_NONE;
        role->start_failed = true;
        /* From here on it goes by its own policy, and what stops a part of another has none. */
        g_clear_pointer(&role->follows, g_free);
        role->stop_requested = false;
        role_log(role, LOG_WARNING, "Cannot start it again: %s", fault->message);
        role_decide_next_run_after(role, least_usec, &event);
        (void) role_save(role);
        node_event_tell(role->node, &event, role);
        ASK(role->node, clients, role_changed, role);
}

void role_restart_cancelled(Role *role) {
        role->next_run = NEXT_RUN_NONE;
        role->stop_requested = true;
        g_clear_pointer(&role->follows, g_free);
        (void) role_save(role);
        ASK(role->node, clients, role_changed, role);
}

bool role_restart_is_put_off(const Fault *fault) {
        return fault->error == NODE_ERROR_LIMIT_REACHED || fault->error == NODE_ERROR_KEEPER_UNAVAILABLE;
}

/* No event, since this may be repeated each second for as long as a limit is reached. */
void role_put_restart_off(Role *role, const Fault *fault) {
        RestartCount *count = &role->restarts;

        count->n -= MIN(count->n, 1);
        count->window_starts -= MIN(count->window_starts, 1);
        role_set_wait(role, RESTART_PUT_OFF_USEC);
        role_log(role, LOG_DEBUG, "Cannot start it again yet: %s", fault->message);
        (void) role_save(role);
        ASK(role->node, clients, role_changed, role);
}
