/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Users that the keeper looks up. Each look-up has an answer in time, also if the keeper does not reply. */

#include <errno.h>

#include "base/time-util.h"
#include "base/utf8.h"
#include "link/children-private.h"
#include "model/account-query.h"
#include "util/log.h"

/* The keeper gives up first, and knows the reason. */
#define LOOKUP_TIMEOUT_USEC (KEEPER_LOOKUP_TIMEOUT_USEC + USEC_PER_SEC)

typedef struct LookupCall {
        Children *children;
        uint64_t id;
        AccountQuery *query; /* NULL once it is answered */
        bool begun;          /* the keeper has accepted it */
        sd_event_source *timer;
} LookupCall;

static LookupCall *lookups_find(Children *children, uint64_t id) {
        gint64 key = (gint64) id;

        return g_hash_table_lookup(children->lookups, &key);
}

static void lookup_answer(LookupCall *call, int error, const Account *account) {
        AccountQuery *query = g_steal_pointer(&call->query);

        call->timer = sd_event_source_disable_unref(call->timer);
        if (query)
                account_on_found(query, error, account);
}

static void lookup_call_free(void *p) {
        LookupCall *call = p;

        sd_event_source_disable_unref(call->timer);
        g_free(call);
}

static void lookup_end(LookupCall *call, int error, const Account *account) {
        Children *children = call->children;
        gint64 key = (gint64) call->id;

        lookup_answer(call, error, account);
        (void) g_hash_table_remove(children->lookups, &key);
}

static int lookup_on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        LookupCall *call = userdata;

        if (call->begun)
                lookup_end(call, -ETIMEDOUT, NULL);
        else
                lookup_answer(call, -ETIMEDOUT, NULL); /* the connection still refers to the call */
        return 0;
}

static void lookup_on_begun(void *userdata, int error) {
        LookupCall *call = userdata;

        call->begun = true;
        if (error < 0)
                lookup_end(call, error, NULL);
        else if (!call->query)
                lookup_end(call, -ETIMEDOUT, NULL);
}

int lookups_begin(void *data, const char *user, const char *group, AccountQuery *query) {
        Children *children = data;
        LookupCall *call = g_new(LookupCall, 1);

        *call = (LookupCall){ .children = children, .id = ++children->last_lookup, .query = query };
        int r = sd_event_add_time_relative(children->event, &call->timer, CLOCK_MONOTONIC,
                LOOKUP_TIMEOUT_USEC, 0, lookup_on_timeout, call);
        if (r >= 0)
                r = keeper_link_look_up(children->keeper, call->id, user, group ?: "", lookup_on_begun, call);
        if (r < 0) {
                lookup_call_free(call);
                return r;
        }
        gint64 *key = g_new(gint64, 1);
        *key = (gint64) call->id;
        (void) g_hash_table_insert(children->lookups, key, call);
        return 0;
}

/* The bus and the saved files refuse other strings. */
static int account_check_utf8(const struct keeper_looked_up *m) {
        return utf8_is_valid(m->name) && utf8_is_valid(m->group) && utf8_is_valid(m->home) &&
                               utf8_is_valid(m->shell)
                       ? 0
                       : -EILSEQ;
}

void lookups_on_found(Children *children, const struct keeper_looked_up *m) {
        LookupCall *call = lookups_find(children, m->header.child);
        g_autoptr(Account) account = NULL;
        int r = m->error;

        if (!call || !call->begun)
                return; /* it has come too late */
        if (r >= 0)
                r = account_check_utf8(m);
        if (r >= 0) {
                account = g_new(Account, 1);
                *account = (Account){
                        .uid = m->uid,
                        .gid = m->gid,
                        .groups = g_array_new(false, false, sizeof(gid_t)),
                        .name = g_strdup(m->name),
                        .group = g_strdup(m->group),
                        .home = g_strdup(m->home),
                        .shell = g_strdup(m->shell),
                        .expired = m->flags & KEEPER_ACCOUNT_EXPIRED,
                        .no_shell = m->flags & KEEPER_ACCOUNT_NO_SHELL,
                };
                G_STATIC_ASSERT(sizeof(gid_t) == sizeof(m->groups[0]));
                g_array_append_vals(account->groups, m->groups, m->n_groups);
        }
        lookup_end(call, r < 0 ? r : 0, account);
}

/* The next keeper does not know them. Those that it has not accepted have failed with the connection. */
void lookups_lost(Children *children) {
        g_autoptr(GPtrArray) calls = g_ptr_array_new();
        GHashTableIter iter;
        LookupCall *call;

        g_hash_table_iter_init(&iter, children->lookups);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &call))
                if (call->begun)
                        g_ptr_array_add(calls, call);
        for (unsigned i = 0; i < calls->len; i++)
                lookup_end(g_ptr_array_index(calls, i), -ENOTCONN, NULL);
}

GHashTable *lookups_new(void) {
        return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, lookup_call_free);
}
