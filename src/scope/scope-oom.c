/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Was it the kernel's OOM killer? memory.events is gone with the cgroup, so the scope's Result is asked for. */

#include <stdlib.h>
#include <string.h>

#include "scope/scope-private.h"
#include "util/log.h"

#define OOM_WAIT_USEC (100 * USEC_PER_MSEC)

typedef struct OomQuery {
        Scopes *scopes;
        Role *role;
        sd_bus_slot *match;
        sd_event_source *timeout;
} OomQuery;
static void oom_end(OomQuery *query, bool known, bool oom) {
        Role *role = query->role;

        (void) g_hash_table_remove(query->scopes->oom, role);
        role_on_oom(role, known, oom);
}

void scope_oom_free(void *p) {
        OomQuery *query = p;

        sd_bus_slot_unref(query->match);
        sd_event_source_disable_unref(query->timeout);
        g_free(query);
}

static int on_oom_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        oom_end(userdata, false, false);
        return 0;
}

/* Only a Result of oom-kill says something: where v1 has the memory controller systemd never says it. */
static int on_scope_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OomQuery *query = userdata;
        const char *key, *result;

        int r = sd_bus_message_skip(m, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r <= 0)
                        break;
                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0 && g_str_equal(key, "Result")) {
                        r = sd_bus_message_read(m, "v", "s", &result);
                        if (r >= 0 && g_str_equal(result, "oom-kill")) {
                                oom_end(query, true, true);
                                return 0;
                        }
                } else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r < 0)
                log_debug_errno(r, "Cannot read the changes of a scope, ignoring: %m");
        return 0;
}

static void on_result(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        g_autofree struct {
                Scopes *scopes;
                Role *role;
        } *key = userdata;
        const char *result;

        OomQuery *query = g_hash_table_lookup(key->scopes->oom, key->role);
        if (query && !error && sd_bus_message_read(reply, "v", "s", &result) >= 0 &&
                g_str_equal(result, "oom-kill"))
                oom_end(query, true, true);
}

int scope_query_oom(Scopes *scopes, Role *role) {
        g_autofree char *path = NULL;
        g_autoptr(sd_bus_message) m = NULL;
        sd_bus *bus = manager_bus(scopes->manager);
        struct {
                Scopes *scopes;
                Role *role;
        } key = { scopes, role };
        char *encoded;

        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", role->scope, &encoded);
        if (r < 0)
                return r;
        path = g_strdup(encoded);
        free(encoded);

        OomQuery *query = g_new0(OomQuery, 1);
        query->scopes = scopes;
        query->role = role;
        r = sd_bus_match_signal_async(bus, &query->match, MANAGER_BUS_NAME, path,
                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_scope_properties, NULL, query);
        if (r >= 0)
                r = sd_event_add_time_relative(manager_event(scopes->manager), &query->timeout,
                        CLOCK_MONOTONIC, OOM_WAIT_USEC, 1, on_oom_timeout, query);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        bus, &m, MANAGER_BUS_NAME, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Scope", "Result");
        if (r < 0) {
                scope_oom_free(query);
                return r;
        }
        (void) g_hash_table_insert(scopes->oom, role, query);
        manager_call(scopes->manager, m, on_result, g_memdup2(&key, sizeof(key)), g_free);
        return 0;
}
