/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/definition-order.h"

/* A step of the way from one definition to the next one. */
typedef struct Step {
        const Definition *definition;
        Dependency kind; /* by which it waits for the next one */
} Step;

/* One that is refused. */
typedef struct Refusal {
        const char *name;
        Dependency kind;
        char *reason;
} Refusal;

typedef struct Order {
        const Definitions *definitions;
        GArray *path;      /* of Step */
        GHashTable *seen;  /* Definition → itself while it is in path, then NULL */
        GArray *refusals;  /* of Refusal */
        GHashTable *named; /* the names in refusals */
} Order;

static char *order_describe(const Order *order, unsigned first) {
        g_autoptr(GString) s = g_string_new("the order of its dependencies has a cycle: ");

        for (unsigned i = first; i < order->path->len; i++)
                g_string_append_printf(s, "%s -> ", g_array_index(order->path, Step, i).definition->name);
        g_string_append(s, g_array_index(order->path, Step, first).definition->name);
        return g_string_free(g_steal_pointer(&s), false);
}

static void order_add_circle(Order *order, const Definition *definition) {
        unsigned first = 0;

        while (g_array_index(order->path, Step, first).definition != definition)
                first++;
        for (unsigned i = first; i < order->path->len; i++) {
                const Step *step = &g_array_index(order->path, Step, i);

                if (g_hash_table_add(order->named, step->definition->name)) {
                        const Refusal refusal = { step->definition->name, step->kind,
                                order_describe(order, first) };
                        g_array_append_val(order->refusals, refusal);
                }
        }
}

static void order_visit(Order *order, const Definition *definition) {
        const unsigned place = order->path->len;
        void *on_path = NULL;

        if (!definition || !definition->spec)
                return;
        if (g_hash_table_lookup_extended(order->seen, definition, NULL, &on_path)) {
                if (on_path)
                        order_add_circle(order, definition);
                return;
        }
        g_hash_table_insert(order->seen, (void *) definition, (void *) definition);
        g_array_append_val(order->path, ((Step){ .definition = definition }));
        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++)
                for (char **name = definition->spec->dependencies[kind]; name && *name; name++)
                        if (dependency_orders((Dependency) kind)) {
                                g_array_index(order->path, Step, place).kind = (Dependency) kind;
                                order_visit(order, definitions_find(order->definitions, *name));
                        }
        g_array_set_size(order->path, place);
        g_hash_table_insert(order->seen, (void *) definition, NULL);
}

void definition_order_check(const Definitions *definitions, DefinitionRefuse refuse, void *userdata) {
        g_autoptr(GArray) path = g_array_new(false, true, sizeof(Step)),
                          refusals = g_array_new(false, false, sizeof(Refusal));
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL),
                              named = g_hash_table_new(g_str_hash, g_str_equal);
        Order order = { definitions, path, seen, refusals, named };

        for (unsigned i = 0; i < definitions_count(definitions); i++)
                order_visit(&order, definitions_get(definitions, i));
        for (unsigned i = 0; i < refusals->len; i++) {
                const Refusal *refusal = &g_array_index(refusals, Refusal, i);

                refuse(userdata, refusal->name, refusal->kind, refusal->reason);
        }
}
