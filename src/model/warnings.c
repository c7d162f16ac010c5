/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "model/definitions.h"
#include "model/leases.h"
#include "model/node.h"
#include "model/role.h"
#include "model/warnings.h"

#define NAMES_MAX 5U

static int name_compare(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* "a, b" or "a, b, c, d, e and 12 more", always the same for the same names. */
static char *names_join(GPtrArray *names) {
        g_autoptr(GString) text = g_string_new(NULL);

        g_ptr_array_sort(names, name_compare);
        for (unsigned i = 0; i < MIN(names->len, NAMES_MAX); i++)
                g_string_append_printf(
                        text, "%s%s", i > 0 ? ", " : "", (const char *) g_ptr_array_index(names, i));
        if (names->len > NAMES_MAX)
                g_string_append_printf(text, " and %u more", names->len - NAMES_MAX);
        return g_string_free(g_steal_pointer(&text), false);
}

static char *warnings_names(Node *node, RoleTrouble trouble) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (Role *r = role; r; r = r->predecessor)
                        if (r->troubles & 1U << trouble)
                                g_ptr_array_add(names, r->name);
        return names_join(names);
}

static char *warnings_refused(const Definitions *definitions) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (unsigned i = 0; i < definitions_count(definitions); i++) {
                const Definition *d = definitions_get(definitions, i);

                if (d->error)
                        g_ptr_array_add(names, d->name);
        }
        return names_join(names);
}

/* AutoStart= starts no role of a lease, and there has been no start of these. */
static bool definition_awaits_lease(const Node *node, const Definition *d) {
        return d->autostart && d->spec && d->spec->lease && !g_hash_table_contains(node->roles, d->name);
}

static char *warnings_await_lease(const Node *node) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (unsigned i = 0; i < definitions_count(node->definitions); i++) {
                const Definition *d = definitions_get(node->definitions, i);

                if (definition_awaits_lease(node, d))
                        g_ptr_array_add(names, d->name);
        }
        return names->len > 0 ? names_join(names) : NULL;
}

char **warnings_list(Node *node) {
        static const char *const texts[_ROLE_TROUBLE_MAX] = {
                [ROLE_TROUBLE_OUTPUT] =
                        "What these roles print is lost, because the journal does not take it: ",
                [ROLE_TROUBLE_DAMAGED] =
                        "These roles run with default options, because their saved state was damaged: ",
                [ROLE_TROUBLE_STUCK] = "Processes of these roles survive SIGKILL: ",
        };
        GPtrArray *list = g_ptr_array_new();

        if (!ASK(node, link, connected))
                g_ptr_array_add(list,
                        g_strdup(
                                "There is no keeper, so roles cannot be started (architect-keeper.service)."));
        else if (ASK(node, link, outdated))
                g_ptr_array_add(list,
                        g_strdup(
                                "The keeper is older than this service, so not everything works; reload architect-keeper.service, then restart this service, and the roles run on."));
        if (node->save_result < 0)
                g_ptr_array_add(list, g_strdup_printf("The state of roles cannot be saved: %s.",
                                              g_strerror(-node->save_result)));
        for (unsigned i = 0; i < _ROLE_TROUBLE_MAX; i++)
                if (node->n_troubles[i] > 0) {
                        g_autofree char *names = warnings_names(node, (RoleTrouble) i);

                        g_ptr_array_add(list, g_strconcat(texts[i], names, ".", NULL));
                }
        if (definitions_count_refused(node->definitions) > 0) {
                g_autofree char *names = warnings_refused(node->definitions);

                g_ptr_array_add(list,
                        g_strdup_printf(
                                "The definitions of these roles are refused (ListDefinitions has the reasons): %s.",
                                names));
        }
        g_autofree char *waiting = warnings_await_lease(node);
        if (waiting)
                g_ptr_array_add(list,
                        g_strdup_printf(
                                "AutoStart=yes does not start these roles, because they have a lease, whose holder starts them: %s.",
                                waiting));
        if (leases_have_lost_tokens(node->leases))
                g_ptr_array_add(list,
                        g_strdup(
                                "The fencing tokens of leases are lost, so new leases are refused until lease-tokens.damaged is removed from the state directory."));
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(list, false);
}
