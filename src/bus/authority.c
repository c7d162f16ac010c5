/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-login.h>

#include "bus/authority.h"
#include "bus/bus-util.h"
#include "bus/operation.h"
#include "model/node.h"
#include "util/autoptr.h"
#include "util/log.h"

#define PARKED_MAX 4096U /* the maximum number of calls whose sender is not known yet */
/* The maximum number of known senders. Then those without a parked call are dropped, and each of them costs
 * one more query at its next call. */
#define SENDERS_MAX 1024U

typedef struct Sender {
        Authority *authority;
        char *name;
        Caller caller; /* valid if known, which is after the reply of the bus */
        sd_bus_slot *query;
        /* Of messages, which wait for the reply, or return to their handlers in this order. */
        GQueue *parked;
} Sender;

struct Authority {
        sd_bus *bus;
        sd_bus_slot *filter;
        bool user;           /* the service of a user, not of the system */
        uid_t owner;         /* the user that has the rights: root, or the user of the service */
        GHashTable *senders; /* unique name → Sender */
        unsigned n_parked;
        sd_bus_message *returned; /* the call that returned last; its handler runs, or has returned */
};

/* Undoes the last sender_park(). */
static void sender_unpark(Sender *sender) {
        sd_bus_message_unref(g_queue_pop_tail(sender->parked));
        sender->authority->n_parked--;
}

/* Replies to the calls that are still parked, with this fault. */
static void sender_fail(Sender *sender, const Fault *fault) {
        sender->authority->n_parked -= g_queue_get_length(sender->parked);
        operation_fail_all(sender->parked, fault);
}

static void sender_free(Sender *sender) {
        sender->authority->n_parked -= g_queue_get_length(sender->parked);
        g_queue_free_full(sender->parked, bus_message_free);
        sd_bus_slot_unref(sender->query);
        caller_clear(&sender->caller);
        g_free(sender->name);
        g_free(sender);
}

/* A parked call that returns is no longer parked, whatever happens to it. Its object may be gone meanwhile;
 * then its handler does not identify the caller, or it has no handler. */
static int authority_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Authority *authority = userdata;

        if (authority->n_parked == 0)
                return 0;
        const char *name = sd_bus_message_get_sender(m);
        Sender *sender = name ? g_hash_table_lookup(authority->senders, name) : NULL;
        if (sender && sender->caller.known && g_queue_peek_head(sender->parked) == m) {
                sd_bus_message_unref(authority->returned);
                authority->returned = g_queue_pop_head(sender->parked);
                authority->n_parked--;
        }
        return 0;
}

int authority_new(sd_bus *bus, Authority **ret) {
        Authority *authority = g_new0(Authority, 1);

        authority->bus = sd_bus_ref(bus);
        authority->senders =
                g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) sender_free);
        int r = sd_bus_add_filter(bus, &authority->filter, authority_on_message, authority);
        if (r < 0) {
                authority_free(authority);
                return r;
        }
        *ret = authority;
        return 0;
}

void authority_set_user(Authority *authority, uid_t uid) {
        authority->user = true;
        authority->owner = uid;
}

Authority *authority_free(Authority *authority) {
        g_auto(Fault) fault = {};
        GHashTableIter iter;
        Sender *sender;

        if (!authority)
                return NULL;
        node_set_leaving_fault(&fault);
        g_hash_table_iter_init(&iter, authority->senders);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &sender))
                sender_fail(sender, &fault);
        g_hash_table_unref(authority->senders);
        sd_bus_message_unref(authority->returned);
        sd_bus_slot_unref(authority->filter);
        sd_bus_unref(authority->bus);
        g_free(authority);
        return NULL;
}

static int authority_read_credentials(sd_bus_message *reply, Caller *caller) {
        bool have_uid = false;
        const char *key;
        uint32_t value;

        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(reply, 's', &key);
                if (r < 0)
                        break;
                bool uid = g_str_equal(key, "UnixUserID"), pid = g_str_equal(key, "ProcessID");
                if (uid || pid)
                        r = sd_bus_message_read(reply, "v", "u", &value);
                else
                        r = sd_bus_message_skip(reply, "v");
                if (r < 0)
                        break;
                if (uid) {
                        caller->uid = value;
                        have_uid = true;
                } else if (pid)
                        caller->pid = (pid_t) value;
                r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                return r;
        return have_uid ? 0 : -ENODATA;
}

static int sender_on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Sender *sender = userdata;
        Authority *authority = sender->authority;

        sender->query = sd_bus_slot_unref(sender->query);
        int r = sd_bus_message_is_method_error(reply, NULL)
                        ? -sd_bus_message_get_errno(reply)
                        : authority_read_credentials(reply, &sender->caller);
        if (r < 0) {
                g_auto(Fault) fault = {};

                log_debug_errno(r, "Cannot get the credentials of %s: %m", sender->name);
                (void) fault_set(&fault, NODE_ERROR_ACCESS_DENIED,
                        "Cannot get the credentials of the caller, call again: %s", g_strerror(-r));
                /* A sender that has left the bus waits for no reply. */
                if (!sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                        sender_fail(sender, &fault);
                (void) g_hash_table_remove(authority->senders, sender->name);
                return 0;
        }
        char *unit;
        if (sender->caller.pid > 0 && (authority->user ? sd_pid_get_user_unit(sender->caller.pid, &unit)
                                                       : sd_pid_get_unit(sender->caller.pid, &unit)) >= 0) {
                sender->caller.unit = g_strdup(unit);
                free(unit);
        }
        sender->caller.known = true;

        for (GList *l = sender->parked->head, *next; l; l = next) {
                next = l->next;
                if (operation_resume(authority->bus, l->data) >= 0)
                        continue;
                sd_bus_message_unref(l->data);
                g_queue_delete_link(sender->parked, l);
                authority->n_parked--;
        }
        return 0;
}

static int sender_query(Sender *sender) {
        return sd_bus_call_method_async(sender->authority->bus, &sender->query, "org.freedesktop.DBus",
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials",
                sender_on_credentials, sender, "s", sender->name);
}

/* Returns 1, or a negative errno if *error is set. */
static int sender_park(Sender *sender, sd_bus_message *m, sd_bus_error *error) {
        if (sender->authority->n_parked >= PARKED_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                        "Too many calls wait for the credentials of their callers, call again later");
        g_queue_push_tail(sender->parked, sd_bus_message_ref(m));
        sender->authority->n_parked++;
        return 1;
}

static gboolean sender_is_idle(void *key, void *value, void *userdata) {
        Sender *sender = value;

        return g_queue_is_empty(sender->parked) && sender->caller.known;
}

int authority_identify(Authority *authority, sd_bus_message *m, const Caller **ret, sd_bus_error *error) {
        const char *name = sd_bus_message_get_sender(m);
        Sender *sender;

        if (!name)
                return sd_bus_error_set(
                        error, SD_BUS_ERROR_ACCESS_DENIED, "The caller has no name on the bus");

        sender = g_hash_table_lookup(authority->senders, name);
        if (!sender) {
                if (g_hash_table_size(authority->senders) >= SENDERS_MAX)
                        (void) g_hash_table_foreach_remove(authority->senders, sender_is_idle, NULL);
                sender = g_new(Sender, 1);
                *sender = (Sender){ .authority = authority, .name = g_strdup(name), .parked = g_queue_new() };
                int r = sender_park(sender, m, error);
                if (r >= 0)
                        r = sender_query(sender);
                if (r < 0) {
                        sender_free(sender);
                        return r;
                }
                (void) g_hash_table_insert(authority->senders, sender->name, sender);
                return 1;
        }

        if (!sender->caller.known)
                return sender_park(sender, m, error);

        if (m != authority->returned && !g_queue_is_empty(sender->parked)) {
                /* It was sent after the parked calls, so it stays behind them. */
                int r = sender_park(sender, m, error);
                if (r < 0)
                        return r;
                r = bus_message_requeue(authority->bus, m);
                if (r < 0) {
                        sender_unpark(sender);
                        return r;
                }
                return 1;
        }
        *ret = &sender->caller;
        return 0;
}

int authority_check(Authority *authority, sd_bus_message *m, const char *action, const Caller **ret,
        sd_bus_error *error) {
        const Caller *caller = NULL;

        int r = authority_identify(authority, m, &caller, error);
        if (r != 0)
                return r;
        g_assert(caller);
        if (caller->uid != authority->owner && authority->user)
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                        "Only uid %u, which owns this service, may %s (the caller is uid %u)",
                        (unsigned) authority->owner, action, (unsigned) caller->uid);
        if (caller->uid != authority->owner)
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                        "Only root may %s (the caller is uid %u)", action, (unsigned) caller->uid);
        if (ret)
                *ret = caller;
        return 0;
}
