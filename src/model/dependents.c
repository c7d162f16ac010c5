/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/dependents.h"

static void dependents_free(void *p) {
        g_ptr_array_unref(p);
}

GHashTable *dependents_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, dependents_free);
}

void dependents_add(GHashTable *dependents, const RoleSpec *spec, Role *role) {
        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++)
                for (char **name = spec->dependencies[kind]; name && *name; name++) {
                        GPtrArray *roles = g_hash_table_lookup(dependents, *name);

                        if (!roles) {
                                roles = g_ptr_array_new();
                                g_hash_table_insert(dependents, g_strdup(*name), roles);
                        }
                        /* A name may be in several of the options. */
                        if (roles->len == 0 || g_ptr_array_index(roles, roles->len - 1) != role)
                                g_ptr_array_add(roles, role);
                }
}

void dependents_remove(GHashTable *dependents, const RoleSpec *spec, Role *role) {
        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++)
                for (char **name = spec->dependencies[kind]; name && *name; name++) {
                        GPtrArray *roles = g_hash_table_lookup(dependents, *name);

                        if (roles && g_ptr_array_remove(roles, role) && roles->len == 0)
                                g_hash_table_remove(dependents, *name);
                }
}

const GPtrArray *dependents_get(GHashTable *dependents, const char *name) {
        return g_hash_table_lookup(dependents, name);
}
