/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "tree": what roles and definitions depend on, or with --reverse what depends on them. A role has
 * the dependencies of its run, and only a definition that is no role is asked for its own. */

#include <string.h>

#include "ctl/connection.h"
#include "ctl/definitions.h"
#include "ctl/details.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* The bus daemon permits 128 calls of a connection at a time. */
#define TREE_WINDOW 100U

enum { KIND_REQUIRES, KIND_BINDS_TO, KIND_WANTS, KIND_PART_OF, KIND_AFTER, N_KINDS };

/* As the options of Start. */
static const char *const kind_names[N_KINDS] = { "requires", "binds-to", "wants", "part-of", "after" };

typedef struct TreeNode {
        char *name, *state;
        char **others[N_KINDS];
        bool is_below; /* something in the table has it below itself */
        bool shown;    /* with what is below it */
} TreeNode;

typedef struct Tree {
        Ctl *ctl;
        GHashTable *nodes; /* by name */
        GPtrArray *names;  /* sorted, of the nodes */
        GHashTable *edges; /* name → GPtrArray of TreeEdge */
        bool reverse;
        unsigned n_in_flight, n_wanted; /* calls that wait for a reply, and how many may */
        bool done;
        CtlExit exit;
} Tree;

typedef struct TreeEdge {
        const char *to;
        unsigned kinds; /* bits */
} TreeEdge;

typedef struct TreeQuery {
        Tree *tree;
        TreeNode *node;
} TreeQuery;

static void tree_node_free(void *p) {
        TreeNode *node = p;

        g_free(node->name);
        g_free(node->state);
        for (unsigned kind = 0; kind < N_KINDS; kind++)
                g_strfreev(node->others[kind]);
        g_free(node);
}

static TreeNode *tree_add(Tree *tree, const char *name, const char *state) {
        TreeNode *node = g_hash_table_lookup(tree->nodes, name);

        if (node)
                return node;
        node = g_new0(TreeNode, 1);
        node->name = g_strdup(name);
        node->state = g_strdup(state);
        g_hash_table_insert(tree->nodes, node->name, node);
        return node;
}

/* -- what there is -- */

static int tree_read_option(sd_bus_message *m, TreeNode *node) {
        const char *key;
        unsigned kind;

        int r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        for (kind = 0; kind < N_KINDS && strcmp(key, kind_names[kind]) != 0; kind++)
                ;
        if (kind == N_KINDS)
                return sd_bus_message_skip(m, "(vs)");
        r = sd_bus_message_enter_container(m, 'r', "vs");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_read_strv(m, &node->others[kind]);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_skip(m, "s");
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int tree_on_definition(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autofree TreeQuery *query = userdata;
        Tree *tree = query->tree;

        tree->n_in_flight--;
        tree->done = tree->n_in_flight <= tree->n_wanted;
        /* It has been removed since, or refused. */
        if (sd_bus_message_is_method_error(reply, NULL))
                return 0;
        int r = sd_bus_message_enter_container(reply, 'a', "{s(vs)}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "s(vs)")) > 0) {
                r = tree_read_option(reply, query->node);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                tree->exit = ctl_bad_reply(r);
        return 0;
}

/* Handles replies until no more calls than that wait for one. */
static CtlExit tree_wait(Tree *tree, unsigned n) {
        tree->n_wanted = n;
        tree->done = tree->n_in_flight <= n;
        CtlExit e = ctl_run_until(tree->ctl, &tree->done);
        return e != CTL_EXIT_OK ? e : tree->exit;
}

static CtlExit tree_query(Tree *tree, const CtlDefinition *definition) {
        TreeNode *node = tree_add(tree, definition->name, definition->error ? "refused" : "not started");
        g_autoptr(sd_bus_message) call = NULL;

        if (definition->error)
                return CTL_EXIT_OK;
        CtlExit e = ctl_new_call(tree->ctl, &call, "GetDefinition", "s", definition->name);
        if (e != CTL_EXIT_OK)
                return e;
        TreeQuery *query = g_new(TreeQuery, 1);
        *query = (TreeQuery){ .tree = tree, .node = node };
        e = ctl_send_async(tree->ctl, call, tree_on_definition, query);
        if (e != CTL_EXIT_OK) {
                g_free(query);
                return e;
        }
        tree->n_in_flight++;
        return tree_wait(tree, TREE_WINDOW - 1);
}

static void tree_add_role(Tree *tree, const CtlDetails *role) {
        TreeNode *node = tree_add(tree, role->name, role->state);

        node->others[KIND_AFTER] = g_strdupv(role->after);
        node->others[KIND_WANTS] = g_strdupv(role->wants);
        node->others[KIND_REQUIRES] = g_strdupv(role->requires);
        node->others[KIND_BINDS_TO] = g_strdupv(role->binds_to);
        node->others[KIND_PART_OF] = g_strdupv(role->part_of);
}

static CtlExit tree_load(Tree *tree, GPtrArray *roles, GArray *definitions) {
        CtlExit e = CTL_EXIT_OK;

        for (guint i = 0; i < roles->len; i++)
                tree_add_role(tree, g_ptr_array_index(roles, i));
        for (guint i = 0; e == CTL_EXIT_OK && i < definitions->len; i++) {
                const CtlDefinition *definition = &g_array_index(definitions, CtlDefinition, i);

                if (!g_hash_table_contains(tree->nodes, definition->name))
                        e = tree_query(tree, definition);
        }
        return e == CTL_EXIT_OK ? tree_wait(tree, 0) : e;
}

/* -- the edges -- */

static void tree_connect(Tree *tree, TreeNode *from, TreeNode *to, unsigned kind) {
        GPtrArray *edges = g_hash_table_lookup(tree->edges, from->name);

        if (!edges) {
                edges = g_ptr_array_new_with_free_func(g_free);
                g_hash_table_insert(tree->edges, from->name, edges);
        }
        to->is_below = true;
        for (guint i = 0; i < edges->len; i++) {
                TreeEdge *edge = g_ptr_array_index(edges, i);

                if (strcmp(edge->to, to->name) == 0) {
                        edge->kinds |= 1U << kind;
                        return;
                }
        }
        TreeEdge *edge = g_new(TreeEdge, 1);
        *edge = (TreeEdge){ .to = to->name, .kinds = 1U << kind };
        g_ptr_array_add(edges, edge);
}

static int tree_compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void tree_link(Tree *tree) {
        g_autoptr(GList) known = g_hash_table_get_values(tree->nodes);

        for (GList *i = known; i; i = i->next) {
                TreeNode *node = i->data;

                for (unsigned kind = 0; kind < N_KINDS; kind++)
                        for (char **name = node->others[kind]; name && *name; name++) {
                                TreeNode *other = tree_add(tree, *name, "not there");

                                tree_connect(tree, tree->reverse ? other : node, tree->reverse ? node : other,
                                        kind);
                        }
        }
        GHashTableIter iter;
        void *name;

        g_hash_table_iter_init(&iter, tree->nodes);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_ptr_array_add(tree->names, name);
        g_ptr_array_sort(tree->names, tree_compare_names);
}

/* -- the table -- */

enum { TREE_ROLE, TREE_KIND, TREE_STATE };

static const TableColumn tree_columns[] = {
        [TREE_ROLE] = { "ROLE", "role", TABLE_TREE },
        [TREE_KIND] = { "DEPENDENCY", "dependency" },
        [TREE_STATE] = { "STATE", "state" },
};

static char *tree_kinds(unsigned kinds) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned kind = 0; kind < N_KINDS; kind++)
                if (kinds & (1U << kind))
                        g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", kind_names[kind]);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

/* What is below a role is shown once, since a diamond of diamonds has more paths than roles, and a circle has
 * no end. */
static void tree_show(
        Tree *tree, Table *table, struct libscols_line *parent, const char *name, unsigned kinds) {
        TreeNode *node = g_hash_table_lookup(tree->nodes, name);
        const GPtrArray *edges = g_hash_table_lookup(tree->edges, name);
        struct libscols_line *row = table_add_row(table, parent);
        g_autofree char *words = tree_kinds(kinds), *again = g_strconcat(name, " (see above)", NULL);

        table_set_two(table, row, TREE_ROLE, node->shown && edges ? again : name, name);
        if (kinds != 0)
                table_set(table, row, TREE_KIND, words);
        table_set(table, row, TREE_STATE, node->state);
        table_set_color(table, row, TREE_STATE,
                strcmp(node->state, "running") == 0                                            ? "green"
                : strcmp(node->state, "refused") == 0 || strcmp(node->state, "not there") == 0 ? "red"
                                                                                               : NULL);
        if (node->shown)
                return;
        node->shown = true;
        for (guint i = 0; edges && i < edges->len; i++) {
                const TreeEdge *edge = g_ptr_array_index(edges, i);

                tree_show(tree, table, row, edge->to, edge->kinds);
        }
}

/* Those that nothing is above, and then one of each circle. */
static void tree_show_all(Tree *tree, Table *table) {
        for (unsigned circles = 0; circles < 2; circles++)
                for (guint i = 0; i < tree->names->len; i++) {
                        const char *name = g_ptr_array_index(tree->names, i);
                        const TreeNode *node = g_hash_table_lookup(tree->nodes, name);

                        if (!node->shown && (circles > 0 || !node->is_below))
                                tree_show(tree, table, NULL, name, 0);
                }
}

/* The groups of roles and definitions are those of the lists. */
static CtlExit tree_show_words(
        Tree *tree, Table *table, char *const *words, GPtrArray *roles, GArray *definitions) {
        CtlExit e = CTL_EXIT_OK;

        for (; *words; words++) {
                g_autoptr(GPtrArray) names = g_ptr_array_new();

                for (guint i = 0; i < roles->len; i++) {
                        const CtlDetails *role = g_ptr_array_index(roles, i);

                        if (ctl_word_selects(*words, role->name, role->groups))
                                g_ptr_array_add(names, role->name);
                }
                for (guint i = 0; i < definitions->len; i++) {
                        const CtlDefinition *definition = &g_array_index(definitions, CtlDefinition, i);

                        if (ctl_word_selects(*words, definition->name, definition->groups) &&
                                !g_ptr_array_find_with_equal_func(names, definition->name, g_str_equal, NULL))
                                g_ptr_array_add(names, definition->name);
                }
                if (names->len == 0)
                        e = ctl_no_such(tree->ctl, "role", *words) ?: e;
                g_ptr_array_sort(names, tree_compare_names);
                for (guint i = 0; i < names->len; i++)
                        tree_show(tree, table, NULL, g_ptr_array_index(names, i), 0);
        }
        return e;
}

static CtlExit tree_run(Tree *tree, char *const *words) {
        g_autoptr(GPtrArray) roles = NULL;
        g_autoptr(GArray) definitions = NULL;

        CtlExit e = ctl_get_details(tree->ctl, NULL, NULL, &roles);
        if (e == CTL_EXIT_OK)
                e = ctl_list_definitions(tree->ctl, &definitions);
        if (e == CTL_EXIT_OK)
                e = tree_load(tree, roles, definitions);
        if (e != CTL_EXIT_OK)
                return e;
        tree_link(tree);
        g_autoptr(Table) table = table_new(tree->ctl, tree_columns, ELEMENTSOF(tree_columns));
        if (*words)
                e = tree_show_words(tree, table, words, roles, definitions);
        else
                tree_show_all(tree, table);
        if (tree->names->len == 0 && tree->ctl->json == CTL_JSON_OFF && e == CTL_EXIT_OK)
                ctl_say(tree->ctl, "There are no roles and no definitions.");
        CtlExit printed = table_print(table);
        return printed != CTL_EXIT_OK ? printed : e;
}

CtlExit verb_tree(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_REVERSE = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "reverse", no_argument, NULL, ARG_REVERSE },
                { 0 },
        };
        Tree tree = { .ctl = ctl };
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                tree.reverse = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        tree.nodes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, tree_node_free);
        tree.edges = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
        tree.names = g_ptr_array_new();
        e = tree_run(&tree, argv + optind);
        g_ptr_array_unref(tree.names);
        g_hash_table_unref(tree.edges);
        g_hash_table_unref(tree.nodes);
        return e;
}
