/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include "model/account-query.h"
#include "model/node.h"

struct Accounts {
        Node *node;
        GHashTable *open; /* uid → AccountQuery that the keeper has */
        GQueue *waiting;  /* of AccountQuery, whose caller has one that is open */
};

struct AccountQuery {
        Accounts *accounts;
        uid_t caller;
        char *user, *group;
        AccountFound found; /* NULL if nobody wants to know any more */
        void *userdata;
        sd_event_source *defer; /* tells at once that it cannot be sent */
        int error;
};

Accounts *accounts_open(Node *node) {
        Accounts *accounts = g_new(Accounts, 1);

        *accounts = (Accounts){ node, g_hash_table_new(NULL, NULL), g_queue_new() };
        return accounts;
}

static void query_free(AccountQuery *query) {
        sd_event_source_disable_unref(query->defer);
        g_free(query->user);
        g_free(query->group);
        g_free(query);
}

/* The function frees the query, for which it is no longer open. */
static void query_tell(AccountQuery *query, const Account *account, const Fault *fault) {
        if (query->found)
                query->found(query->userdata, account, fault);
        else
                query_free(query);
}

Accounts *accounts_close(Accounts *accounts) {
        g_auto(Fault) fault = {};
        GHashTableIter iter;
        AccountQuery *query;

        if (!accounts)
                return NULL;
        node_set_leaving_fault(&fault);
        g_hash_table_iter_init(&iter, accounts->open);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &query)) {
                g_hash_table_iter_steal(&iter);
                query_tell(query, NULL, &fault);
        }
        while ((query = g_queue_pop_head(accounts->waiting)))
                query_tell(query, NULL, &fault);
        g_hash_table_unref(accounts->open);
        g_queue_free(accounts->waiting);
        g_free(accounts);
        return NULL;
}

static gpointer caller_key(uid_t uid) {
        return GUINT_TO_POINTER(uid);
}

static bool query_is_open(const AccountQuery *query) {
        return g_hash_table_lookup(query->accounts->open, caller_key(query->caller)) == query;
}

static int query_on_defer(sd_event_source *s, void *userdata) {
        AccountQuery *query = userdata;

        query->defer = sd_event_source_disable_unref(query->defer);
        account_on_found(query, query->error, NULL);
        return 0;
}

static void query_send(AccountQuery *query) {
        Node *node = query->accounts->node;

        (void) g_hash_table_insert(query->accounts->open, caller_key(query->caller), query);
        query->error = ASK(node, link, look_up, query->user, query->group, query);
        if (query->error >= 0)
                return;
        int r = sd_event_add_defer(node->event, &query->defer, query_on_defer, query);
        if (r < 0)
                g_error("Cannot add an event source: %s", g_strerror(-r));
}

AccountQuery *account_query_new(Accounts *accounts, uid_t caller, const char *user, const char *group,
        AccountFound found, void *userdata) {
        AccountQuery *query = g_new(AccountQuery, 1);

        *query = (AccountQuery){ .accounts = accounts,
                .caller = caller,
                .user = g_strdup(user),
                .group = g_strdup(group),
                .found = found,
                .userdata = userdata };
        if (g_hash_table_contains(accounts->open, caller_key(caller)))
                g_queue_push_tail(accounts->waiting, query);
        else
                query_send(query);
        return query;
}

AccountQuery *account_query_free(AccountQuery *query) {
        if (!query)
                return NULL;
        if (query->found && query_is_open(query)) {
                query->found = NULL; /* the keeper has it, and answers in time */
                return NULL;
        }
        if (query->found)
                (void) g_queue_remove(query->accounts->waiting, query);
        query_free(query);
        return NULL;
}

static void query_set_fault(const AccountQuery *query, int error, Fault *fault) {
        g_autofree char *user = g_strescape(query->user, NULL),
                        *group = g_strescape(query->group ?: "", NULL);

        switch (error) {
        case -ESRCH:
                (void) fault_set(fault, NODE_ERROR_SETUP_FAILED, "User \"%s\" does not exist", user);
                return;
        case -ENOENT:
                (void) fault_set(fault, NODE_ERROR_SETUP_FAILED, "Group \"%s\" does not exist", group);
                return;
        case -ETIMEDOUT:
                (void) fault_set(fault, NODE_ERROR_SETUP_FAILED,
                        "Cannot look up user \"%s\": the databases of users and groups have not answered in time, try again",
                        user);
                return;
        case -E2BIG:
                (void) fault_set(fault, NODE_ERROR_SETUP_FAILED, "User \"%s\" has too many groups", user);
                return;
        case -EBUSY:
        case -EAGAIN:
        case -ECANCELED:
                (void) fault_set(fault, NODE_ERROR_SETUP_FAILED,
                        "Cannot look up user \"%s\": the keeper %s, try again", user,
                        error == -EBUSY ? "is looking up too many users" : "is being replaced");
                return;
        case -ENOTCONN:
                (void) fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot look up user \"%s\": there is no keeper, try again", user);
                return;
        case -EPROTONOSUPPORT:
        case -EOPNOTSUPP:
                (void) fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot look up user \"%s\": the running keeper is older than this service, so only root can start roles; reload architect-keeper.service, then restart this service, and the roles run on",
                        user);
                return;
        default:
                (void) fault_set(fault, NODE_ERROR_SETUP_FAILED, "Cannot look up user \"%s\": %s", user,
                        g_strerror(-error));
        }
}

static void accounts_send_next(Accounts *accounts, uid_t caller) {
        for (GList *l = accounts->waiting->head; l; l = l->next) {
                AccountQuery *query = l->data;

                if (query->caller != caller)
                        continue;
                g_queue_delete_link(accounts->waiting, l);
                query_send(query);
                return;
        }
}

void account_on_found(AccountQuery *query, int error, const Account *account) {
        Accounts *accounts = query->accounts;
        const uid_t caller = query->caller;
        g_auto(Fault) fault = {};

        (void) g_hash_table_remove(accounts->open, caller_key(caller));
        if (error < 0)
                query_set_fault(query, error, &fault);
        /* Then this is not the query of the caller that comes next. */
        accounts_send_next(accounts, caller);
        AccountFound found = query->found;
        if (!found) {
                query_free(query);
                return;
        }
        found(query->userdata, error < 0 ? NULL : account, error < 0 ? &fault : NULL);
}
