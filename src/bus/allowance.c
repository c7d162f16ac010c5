/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <sys/ioctl.h>

#include "base/macro.h"
#include "base/time-util.h"
#include "bus/allowance.h"
#include "bus/clients-private.h"
#include "bus/operation.h"
#include "model/settings.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* The bus keeps up as long as the kernel holds no more than this for it, which are some five small messages.
 * dbus-daemon reads at most 4 KiB of a connection before it turns to all others, however long they take. */
#define UNREAD_MAX 4096
/* The kernel has no event for "the bus has read everything", so it is looked at in this interval, but only
 * while something waits for that. */
#define RUN_INTERVAL_USEC (2 * USEC_PER_MSEC)
/* Errors of one user that wait until the bus reads again. Further ones are dropped, so that the memory is
 * bounded; such a caller has sent more calls than he reads replies. */
#define REFUSALS_MAX 512U
/* A user may use his time for this part of a second at once. */
#define BURST_DIVISOR 4
/* sd-bus does not tell the size of a message, but malloc() tells the size of all large blocks together, which
 * are maps of their own. While they have so much memory, no call is kept. */
#define LARGE_BLOCK (16 * 1024)
#define LARGE_BLOCKS_MAX (32U * 1024U * 1024U)
/* Users without calls are forgotten when there are so many. */
#define USERS_MAX 256U

typedef struct User {
        uid_t uid;
        int64_t left_usec; /* of the time for calls; negative after a call that took longer */
        uint64_t filled_usec;
        unsigned n_waiting; /* calls that others keep, see allowance_wait() */
        GQueue calls;       /* that wait here, for the bus */
        GQueue refusals;    /* errors that wait, too */
} User;

struct Allowance {
        Clients *clients;
        sd_bus_slot *filter;
        sd_event_source *timer;
        GHashTable *users;   /* uid → User */
        GHashTable *waiting; /* call → User */
        GQueue lanes;        /* of User with calls or refusals; they take turns */
        bool crowded;        /* the last call was one that has a limit or was dropped */
        /* The call that has left the queue of its user and is received again. */
        sd_bus_message *resumed;
        /* The user whose call is being handled, and since when, in CPU time. */
        User *working;
        uint64_t working_usec;
        /* The user whose reply the bus has not read yet, and since when. */
        User *sending;
        uint64_t sending_usec;
};

/* -- calls that only read -- */

/* Sorted by interface. NULL stands for all members. tests/tools/test-lists compares those of the node with
 * the handlers. */
static const struct {
        const char *interface;
        const char *member;
} read_calls[] = {
        { NODE_INTERFACE, "EventsSince" },
        { NODE_INTERFACE, "GetDefinition" },
        { NODE_INTERFACE, "GetEnv" },
        { NODE_INTERFACE, "GetPermissions" },
        { NODE_INTERFACE, "GetPgrp" },
        { NODE_INTERFACE, "GetRole" },
        { NODE_INTERFACE, "GetRoleByPID" },
        { NODE_INTERFACE, "ListDefinitions" },
        { NODE_INTERFACE, "ListEnv" },
        { NODE_INTERFACE, "ListLeases" },
        { NODE_INTERFACE, "ListManaged" },
        { NODE_INTERFACE, "ListPorts" },
        { NODE_INTERFACE, "ListRoles" },
        { NODE_INTERFACE, "Poll" },
        { "org.freedesktop.DBus.Introspectable", NULL },
        { "org.freedesktop.DBus.ObjectManager", NULL },
        { "org.freedesktop.DBus.Peer", NULL },
        { "org.freedesktop.DBus.Properties", "Get" },
        { "org.freedesktop.DBus.Properties", "GetAll" },
};

bool allowance_call_reads(sd_bus_message *m) {
        const char *interface = sd_bus_message_get_interface(m), *member = sd_bus_message_get_member(m);

        if (!interface || !member)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(read_calls); i++)
                if (g_str_equal(read_calls[i].interface, interface) &&
                        (!read_calls[i].member || g_str_equal(read_calls[i].member, member)))
                        return true;
        return false;
}

bool allowance_has_room(bool reads) {
        return mallinfo2().hblkhd < LARGE_BLOCKS_MAX * (reads ? 1U : 2U);
}

/* -- users -- */

static uint64_t user_rate(const Allowance *allowance) {
        return allowance->clients->node->settings->max_call_time_per_user_usec;
}

static unsigned user_waiting_max(const Allowance *allowance) {
        return allowance->clients->node->settings->max_waiting_calls_per_user;
}

static int64_t user_burst(const Allowance *allowance) {
        return (int64_t) MAX(user_rate(allowance) / BURST_DIVISOR, 1);
}

static void user_free(void *p) {
        User *user = p;

        g_queue_clear_full(&user->calls, bus_message_free);
        g_queue_clear_full(&user->refusals, bus_message_free);
        g_free(user);
}

static void user_fill(const Allowance *allowance, User *user) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        /* The product of a long time would overflow, and no debt takes longer. */
        uint64_t passed = MIN(now - user->filled_usec, 3600 * USEC_PER_SEC);
        uint64_t earned = passed * user_rate(allowance) / USEC_PER_SEC;

        if (earned == 0)
                return;
        user->filled_usec = now;
        user->left_usec = MIN(user->left_usec + (int64_t) earned, user_burst(allowance));
}

static bool user_has_lane(const User *user) {
        return !g_queue_is_empty((GQueue *) &user->calls) || !g_queue_is_empty((GQueue *) &user->refusals);
}

static gboolean user_is_idle(void *key, void *value, void *userdata) {
        Allowance *allowance = userdata;
        User *user = value;

        user_fill(allowance, user);
        return user->n_waiting == 0 && !user_has_lane(user) && user != allowance->working &&
               user != allowance->sending && user->left_usec == user_burst(allowance);
}

static User *user_get(Allowance *allowance, uid_t uid) {
        User *user = g_hash_table_lookup(allowance->users, GUINT_TO_POINTER(uid));

        if (!user) {
                if (g_hash_table_size(allowance->users) >= USERS_MAX)
                        (void) g_hash_table_foreach_remove(allowance->users, user_is_idle, allowance);
                user = g_new(User, 1);
                *user = (User){
                        .uid = uid,
                        .left_usec = user_burst(allowance),
                        .filled_usec = now_usec(CLOCK_MONOTONIC),
                };
                (void) g_hash_table_insert(allowance->users, GUINT_TO_POINTER(uid), user);
        }
        return user;
}

/* -- the bus -- */

/* Whether it has not read what was sent. */
static bool allowance_is_bus_behind(const Allowance *allowance) {
        sd_bus *bus = allowance->clients->bus;
        uint64_t queued = 0;
        int unread = 0, fd = sd_bus_get_fd(bus);

        (void) sd_bus_get_n_queued_write(bus, &queued);
        return queued > 0 || (fd >= 0 && ioctl(fd, SIOCOUTQ, &unread) >= 0 && unread > UNREAD_MAX);
}

/* A user is charged for the time that the bus takes to read what his call has sent, because nobody else
 * receives anything meanwhile. */
static bool allowance_can_send(Allowance *allowance) {
        if (allowance_is_bus_behind(allowance))
                return false;
        if (allowance->sending) {
                allowance->sending->left_usec -=
                        (int64_t) (now_usec(CLOCK_MONOTONIC) - allowance->sending_usec);
                allowance->sending = NULL;
        }
        return true;
}

static void allowance_arm(Allowance *allowance) {
        int enabled;

        int r = sd_event_source_get_enabled(allowance->timer, &enabled);
        if (r >= 0 && enabled == SD_EVENT_OFF)
                r = sd_event_source_set_time_relative(allowance->timer, RUN_INTERVAL_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(allowance->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Cannot set the timer of the calls that wait, ignoring: %m");
}

static void user_add_lane(Allowance *allowance, User *user) {
        if (!g_queue_find(&allowance->lanes, user))
                g_queue_push_tail(&allowance->lanes, user);
        allowance_arm(allowance);
}

static void user_refuse(Allowance *allowance, User *user, sd_bus_message *m, const sd_bus_error *error) {
        g_autoptr(sd_bus_message) reply = NULL;

        if (sd_bus_message_get_expect_reply(m) <= 0 || g_queue_get_length(&user->refusals) >= REFUSALS_MAX)
                return;
        int r = sd_bus_message_new_method_error(m, &reply, error);
        if (r >= 0 && g_queue_is_empty(&user->refusals) && allowance_can_send(allowance))
                r = sd_bus_message_send(reply);
        else if (r >= 0) {
                g_queue_push_tail(&user->refusals, g_steal_pointer(&reply));
                user_add_lane(allowance, user);
        }
        if (r < 0)
                log_debug_errno(r, "Cannot refuse a call of uid %u, ignoring: %m", (unsigned) user->uid);
}

static void user_refuse_late(Allowance *allowance, User *user, sd_bus_message *m) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        (void) sd_bus_error_setf(&error, node_error_to_string(NODE_ERROR_LIMIT_REACHED),
                "The calls of uid %u have taken their %" PRIu64
                " ms of a second (MaxCallTimePerUser=), call again later",
                (unsigned) user->uid, user_rate(allowance) / USEC_PER_MSEC);
        user_refuse(allowance, user, m, &error);
}

static int user_check_waiting(const Allowance *allowance, User *user, sd_bus_error *error) {
        if (!allowance_has_room(true))
                return sd_bus_error_setf(error, node_error_to_string(NODE_ERROR_LIMIT_REACHED),
                        "The calls that wait are larger than %u MiB altogether, call again later",
                        LARGE_BLOCKS_MAX / 1024U / 1024U);
        if (user->n_waiting + g_queue_get_length(&user->calls) < user_waiting_max(allowance))
                return 0;
        return sd_bus_error_setf(error, node_error_to_string(NODE_ERROR_LIMIT_REACHED),
                "%u calls of uid %u wait already (MaxWaitingCallsPerUser=), call again later",
                user_waiting_max(allowance), (unsigned) user->uid);
}

/* Returns 1 if the call was refused or waits, and 0 if it is to be handled now. */
static int user_admit(Allowance *allowance, User *user, sd_bus_message *m, bool again) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        user_fill(allowance, user);
        if (user->left_usec <= 0) {
                user_refuse_late(allowance, user, m);
                return 1;
        }
        if (!again && (!g_queue_is_empty(&user->calls) || !allowance_can_send(allowance))) {
                if (user_check_waiting(allowance, user, &error) < 0) {
                        user_refuse(allowance, user, m, &error);
                        return 1;
                }
                g_queue_push_tail(&user->calls, sd_bus_message_ref(m));
                user_add_lane(allowance, user);
                return 1;
        }
        allowance->working = user;
        allowance->working_usec = now_usec(CLOCK_THREAD_CPUTIME_ID);
        return 0;
}

static bool allowance_is_exempt(const Allowance *allowance, const Caller *caller) {
        return caller->uid == 0 || authority_is_master(allowance->clients->authority, caller);
}

static int allowance_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Allowance *allowance = userdata;
        Clients *clients = allowance->clients;
        const bool again = m == allowance->resumed;
        const Caller *caller = NULL;

        if (!sd_bus_message_is_method_call(m, NULL, NULL))
                return 0;
        allowance->crowded = true;
        if (sd_bus_message_get_expect_reply(m) <= 0 && allowance_call_reads(m))
                return 1;
        /* The bus daemon names the sender of each call. */
        if (!sd_bus_message_get_sender(m))
                return 0;
        if (again)
                g_clear_pointer(&allowance->resumed, sd_bus_message_unref);

        int r = authority_identify(clients->authority, m, &caller, error);
        if (r != 0)
                return r;
        if (allowance_is_exempt(allowance, caller)) {
                allowance->crowded = false;
                return 0;
        }
        User *user = g_hash_table_lookup(allowance->waiting, m);
        if (!user)
                return user_admit(allowance, user_get(allowance, caller->uid), m, again);
        allowance_done(allowance, m);
        return 0;
}

int allowance_wait(Allowance *allowance, sd_bus_message *m, sd_bus_error *error) {
        const Caller *caller = NULL;

        int r = authority_identify(allowance->clients->authority, m, &caller, error);
        if (r != 0 || allowance_is_exempt(allowance, caller))
                return MIN(r, 0);
        User *user = user_get(allowance, caller->uid);
        r = user_check_waiting(allowance, user, error);
        if (r < 0)
                return r;
        user->n_waiting++;
        (void) g_hash_table_insert(allowance->waiting, m, user);
        return 0;
}

void allowance_done(Allowance *allowance, sd_bus_message *m) {
        User *user = g_hash_table_lookup(allowance->waiting, m);

        if (!user)
                return;
        user->n_waiting--;
        (void) g_hash_table_remove(allowance->waiting, m);
}

void allowance_charge(Allowance *allowance) {
        User *user = g_steal_pointer(&allowance->working);

        if (!user)
                return;
        user->left_usec -= (int64_t) (now_usec(CLOCK_THREAD_CPUTIME_ID) - allowance->working_usec);
        if (!allowance_is_bus_behind(allowance))
                return;
        allowance->sending = user;
        allowance->sending_usec = now_usec(CLOCK_MONOTONIC);
        allowance_arm(allowance);
}

bool allowance_is_crowded(Allowance *allowance) {
        const bool crowded = allowance->crowded;

        allowance->crowded = false;
        return crowded;
}

/* -- what waits -- */

static void user_run(Allowance *allowance, User *user) {
        sd_bus_message *m = g_queue_pop_head(&user->refusals);

        if (m) {
                int r = sd_bus_message_send(m);
                if (r < 0)
                        log_debug_errno(
                                r, "Cannot refuse a call of uid %u, ignoring: %m", (unsigned) user->uid);
                sd_bus_message_unref(m);
                return;
        }
        m = g_queue_pop_head(&user->calls);
        if (operation_resume(allowance->clients->bus, m) >= 0)
                allowance->resumed = m;
        else
                sd_bus_message_unref(m);
}

void allowance_run(Allowance *allowance) {
        /* A call that was resumed is handled before the next one. */
        while (!allowance->resumed && !g_queue_is_empty(&allowance->lanes) && allowance_can_send(allowance)) {
                User *user = g_queue_pop_head(&allowance->lanes);

                user_run(allowance, user);
                if (user_has_lane(user))
                        g_queue_push_tail(&allowance->lanes, user);
        }
}

static int allowance_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Allowance *allowance = userdata;

        allowance_run(allowance);
        (void) allowance_can_send(allowance);
        if (allowance->sending || !g_queue_is_empty(&allowance->lanes))
                allowance_arm(allowance);
        return 0;
}

/* -- its life -- */

int allowance_new(Clients *clients, Allowance **ret) {
        Allowance *allowance = g_new0(Allowance, 1);

        if (mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK) == 0)
                log_warning("Cannot limit the memory of calls that wait, ignoring");
        allowance->clients = clients;
        allowance->users = g_hash_table_new_full(NULL, NULL, NULL, user_free);
        allowance->waiting = g_hash_table_new(NULL, NULL);
        int r = sd_bus_add_filter(clients->bus, &allowance->filter, allowance_on_message, allowance);
        if (r >= 0)
                r = sd_event_add_time_relative(clients->event, &allowance->timer, CLOCK_MONOTONIC,
                        RUN_INTERVAL_USEC, 1, allowance_on_timer, allowance);
        if (r >= 0)
                r = sd_event_source_set_enabled(allowance->timer, SD_EVENT_OFF);
        if (r < 0) {
                allowance_free(allowance);
                return r;
        }
        *ret = allowance;
        return 0;
}

Allowance *allowance_free(Allowance *allowance) {
        g_auto(Fault) fault = {};
        User *user;

        if (!allowance)
                return NULL;
        node_set_leaving_fault(&fault);
        while ((user = g_queue_pop_head(&allowance->lanes)))
                operation_fail_all(&user->calls, &fault);
        sd_bus_message_unref(allowance->resumed);
        g_hash_table_unref(allowance->waiting);
        g_hash_table_unref(allowance->users);
        sd_bus_slot_unref(allowance->filter);
        sd_event_source_disable_unref(allowance->timer);
        g_free(allowance);
        return NULL;
}
