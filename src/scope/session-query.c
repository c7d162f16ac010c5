/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Asks logind whose session a stray is, for the message about it. */

#include <stdlib.h>

#include "base/macro.h"
#include "model/role-strays.h"
#include "scope/scope-private.h"

#define SESSION_PREFIX "/org/freedesktop/login1/session"
#define SESSION_WAIT_USEC USEC_PER_SEC

typedef struct SessionQuery {
        Scopes *scopes;
        Role *role;
        Stray *stray;
        char *user; /* NULL until logind has answered */
        sd_bus_slot *slot;
        bool failed;
} SessionQuery;

/* The message is written whatever the answer is, also when the role is freed before, unless the request has
 * failed. */
void session_query_free(void *p) {
        SessionQuery *query = p;

        sd_bus_slot_unref(query->slot);
        if (!query->failed)
                role_on_session(query->role, query->stray, query->user);
        stray_free(query->stray);
        g_free(query->user);
        g_free(query);
}

static int session_query_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SessionQuery *query = userdata;
        const char *user;

        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "v", "s", &user) >= 0)
                query->user = g_strdup(user);
        (void) g_hash_table_remove(query->scopes->sessions, query->role);
        return 0;
}

int scope_query_session(void *data, Role *role, const char *session, const Stray *stray) {
        Scopes *scopes = data;
        g_autoptr(sd_bus_message) m = NULL;
        _cleanup_free_ char *path = NULL;
        SessionQuery *query = g_new(SessionQuery, 1);

        *query = (SessionQuery){
                .scopes = scopes,
                .role = role,
                .stray = stray_copy(stray),
        };
        (void) g_hash_table_replace(scopes->sessions, role, query);
        int r = sd_bus_path_encode(SESSION_PREFIX, session, &path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(manager_bus(scopes->manager), &m, "org.freedesktop.login1",
                        path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", "org.freedesktop.login1.Session", "Name");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call_async(manager_bus(scopes->manager), &query->slot, m, session_query_on_reply,
                        query, SESSION_WAIT_USEC);
        if (r < 0) {
                query->failed = true;
                (void) g_hash_table_remove(scopes->sessions, role);
        }
        return r;
}
