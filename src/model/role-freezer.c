/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <syslog.h>

#include "base/time-util.h"
#include "model/message-ids.h"
#include "model/node.h"
#include "model/role-freezer.h"
#include "model/role-log.h"

/* systemd replies to FreezeUnit when the kernel has frozen all processes, and to ThawUnit when all of them
 * run. A process that waits in the kernel, as for a dead file server, may delay the first reply for ever, and
 * the call would take one of the places that all calls of systemd share. So a Freeze has a timeout, at which
 * the scope is thawed, and systemd replies to both. */
struct RoleFreezer {
        Role *role; /* NULL once it is freed */
        unsigned n_ref;
        unsigned n_freezing; /* requests to freeze it that systemd has not answered */
        uint64_t serial;     /* of the request that the waiters wait for; 0 if there is none */
        uint64_t n_requests;
        bool freeze;  /* what it is */
        bool changes; /* the role was in the other state */
        Caller caller;
        GArray *waiters;
        GArray *next; /* waiters of a Freeze that begins after this Thaw */
        Caller next_caller;
        sd_event_source *timer;
};

typedef struct FreezerRequest {
        RoleFreezer *freezer;
        uint64_t serial;
        bool freeze;
} FreezerRequest;

static int freezer_begin(RoleFreezer *freezer, bool freeze, const Caller *caller, Fault *fault);

static RoleFreezer *freezer_unref(RoleFreezer *freezer) {
        if (--freezer->n_ref > 0)
                return NULL;
        sd_event_source_disable_unref(freezer->timer);
        caller_clear(&freezer->caller);
        caller_clear(&freezer->next_caller);
        g_array_unref(freezer->waiters);
        g_array_unref(freezer->next);
        g_free(freezer);
        return NULL;
}

static RoleFreezer *role_freezer(Role *role) {
        if (!role->freezer) {
                role->freezer = g_new0(RoleFreezer, 1);
                role->freezer->role = role;
                role->freezer->n_ref = 1;
                role->freezer->waiters = g_array_new(false, false, sizeof(Waiter));
                role->freezer->next = g_array_new(false, false, sizeof(Waiter));
        }
        return role->freezer;
}

/* A waiter may call the next Freeze at once, so it is no longer in the list then. */
static GArray *waiters_steal(GArray **waiters) {
        GArray *stolen = *waiters;

        *waiters = g_array_new(false, false, sizeof(Waiter));
        return stolen;
}

static void waiters_wake(GArray *waiters, const Fault *fault) {
        for (unsigned i = 0; i < waiters->len; i++)
                waiter_wake(g_array_index(waiters, Waiter, i), fault);
        g_array_unref(waiters);
}

/* A reply that is still to come is about a request that is over. Returns those who wait for this one. */
static GArray *freezer_end(RoleFreezer *freezer) {
        freezer->serial = 0;
        freezer->timer = sd_event_source_disable_unref(freezer->timer);
        return waiters_steal(&freezer->waiters);
}

static void freezer_was_thawed(RoleFreezer *freezer, GArray *waiters) {
        g_auto(Fault) fault = {};

        (void) fault_set(
                &fault, NODE_ERROR_IO_ERROR, "Role \"%s\" was thawed meanwhile", freezer->role->name);
        waiters_wake(waiters, &fault);
}

/* It is a request like any other, so that what comes next does not find systemd in the middle of it. */
static void freezer_take_back(RoleFreezer *freezer) {
        g_auto(Fault) fault = {};

        (void) freezer_begin(freezer, false, NULL, &fault);
}

static int freezer_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        RoleFreezer *freezer = userdata;
        Role *role = freezer->role;
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_IO_ERROR,
                "Cannot freeze role \"%s\": not all of its processes were frozen within %" PRIu64
                " s; it runs on",
                role->name, ROLE_FREEZE_TIMEOUT_USEC / USEC_PER_SEC);
        GArray *waiters = freezer_end(freezer);
        freezer_take_back(freezer);
        waiters_wake(waiters, &fault);
        return 0;
}

/* systemd has done it. Another client may have done the opposite since. */
static int freezer_check(RoleFreezer *freezer, Fault *fault) {
        Role *role = freezer->role;

        if (role_is_frozen(role) == freezer->freeze)
                return 0;
        int r = role_check_not_frozen(role, freezer->freeze ? "frozen" : "thawed", "", fault);
        if (r < 0)
                return r;
        return fault_set(fault, NODE_ERROR_IO_ERROR, "Role \"%s\" was %s meanwhile", role->name,
                freezer->freeze ? "thawed" : "frozen again");
}

static void freezer_log(const RoleFreezer *freezer) {
        if (freezer->changes)
                journal_role(freezer->role, freezer->freeze ? MESSAGE_ROLE_FROZEN : MESSAGE_ROLE_THAWED,
                        LOG_INFO, &freezer->caller, freezer->freeze ? "Frozen" : "Thawed");
}

static void freezer_begin_next(RoleFreezer *freezer) {
        g_auto(Fault) fault = {};

        if (freezer_begin(freezer, true, &freezer->next_caller, &fault) < 0) {
                waiters_wake(waiters_steal(&freezer->next), &fault);
                return;
        }
        g_array_append_vals(freezer->waiters, freezer->next->data, freezer->next->len);
        g_array_set_size(freezer->next, 0);
}

static void freezer_answered(RoleFreezer *freezer, const Fault *failure) {
        const bool freeze = freezer->freeze;
        g_auto(Fault) fault = {};

        /* systemd refuses what it is doing for somebody else. */
        if (failure && role_is_frozen(freezer->role) != freeze)
                fault_copy(&fault, failure);
        else if (freezer_check(freezer, &fault) >= 0)
                freezer_log(freezer);
        ASK(freezer->role->node, clients, role_changed, freezer->role);
        GArray *waiters = freezer_end(freezer);
        if (failure && fault.message && freeze)
                freezer_take_back(freezer); /* a part of it may be frozen */
        else if (freezer->next->len > 0)
                freezer_begin_next(freezer);
        waiters_wake(waiters, &fault);
}

static void freezer_on_reply(void *userdata, const Fault *fault) {
        g_autofree FreezerRequest *request = userdata;
        RoleFreezer *freezer = request->freezer;

        freezer->n_freezing -= request->freeze;
        if (freezer->role && request->serial == freezer->serial)
                freezer_answered(freezer, fault);
        else if (freezer->role && request->freeze && !fault && !(freezer->serial > 0 && freezer->freeze) &&
                 role_is_frozen(freezer->role))
                /* A Thaw came to systemd before this Freeze, on another connection. */
                (void) ASK(freezer->role->node, scope, freeze, freezer->role, false, (Waiter){});
        freezer_unref(freezer);
}

/* The waiters may be added after this. */
static int freezer_begin(RoleFreezer *freezer, bool freeze, const Caller *caller, Fault *fault) {
        Role *role = freezer->role;
        const bool changes = role_is_frozen(role) != freeze;
        g_autofree FreezerRequest *request = g_new(FreezerRequest, 1);

        *request = (FreezerRequest){ freezer, freezer->n_requests + 1, freeze };
        int r = ASK(role->node, scope, freeze, role, freeze, (Waiter){ freezer_on_reply, request });
        if (r < 0)
                return fault_set(fault, NODE_ERROR_NOT_SUPPORTED,
                        "Role \"%s\" cannot be %s: this machine does not have cgroup v2 as its only hierarchy",
                        role->name, freeze ? "frozen" : "thawed");
        request = NULL; /* of the reply */
        freezer->n_ref++;
        freezer->n_freezing += freeze;

        freezer->serial = ++freezer->n_requests;
        freezer->freeze = freeze;
        freezer->changes = changes;
        caller_copy(&freezer->caller, caller);
        if (freeze) {
                r = sd_event_add_time_relative(role->node->event, &freezer->timer, CLOCK_MONOTONIC,
                        ROLE_FREEZE_TIMEOUT_USEC, 1, freezer_on_timer, freezer);
                if (r < 0)
                        role_log_errno(role, LOG_ERR, r, "Cannot set a timer: %m");
        }
        return 0;
}

int role_freeze(Role *role, bool freeze, const Caller *caller, Waiter waiter, Fault *fault) {
        int r = role_check_running(role, fault);
        if (r < 0)
                return r;
        if (freeze && role->state == ROLE_STOPPING)
                return fault_set(fault, NODE_ERROR_ROLE_NOT_RUNNING,
                        "Role \"%s\" cannot be frozen: it is being stopped", role->name);
        r = role_check_not_frozen(role, freeze ? "frozen" : "thawed", "", fault);
        if (r < 0)
                return r;

        RoleFreezer *freezer = role_freezer(role);
        const bool busy = freezer->serial > 0;
        if (busy && freeze && !freezer->freeze) {
                /* systemd refuses to freeze what it is thawing. */
                g_array_append_val(freezer->next, waiter);
                caller_copy(&freezer->next_caller, caller);
                return 0;
        }
        if (busy && !freeze && freezer->freeze)
                freezer_was_thawed(freezer, freezer_end(freezer));
        else if (!freeze && freezer->next->len > 0)
                freezer_was_thawed(freezer, waiters_steal(&freezer->next));
        if (freezer->serial == 0)
                r = freezer_begin(freezer, freeze, caller, fault);
        if (r >= 0)
                g_array_append_val(freezer->waiters, waiter);
        return r;
}

bool role_freezer_cancel(Role *role, const Fault *fault) {
        RoleFreezer *freezer = role->freezer;

        if (!freezer)
                return false;
        waiters_wake(freezer_end(freezer), fault);
        waiters_wake(waiters_steal(&freezer->next), fault);
        return freezer->n_freezing > 0;
}

void role_freezer_detach(Role *role) {
        RoleFreezer *freezer = g_steal_pointer(&role->freezer);

        if (!freezer)
                return;
        g_assert(freezer->waiters->len == 0 && freezer->next->len == 0);
        freezer->role = NULL;
        freezer->timer = sd_event_source_disable_unref(freezer->timer);
        freezer_unref(freezer);
}
