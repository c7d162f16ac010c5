/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "blame": how long the start of each role took, and where (the property StartTimes). */

#include <inttypes.h>
#include <string.h>

#include "ctl/details.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"

enum { BLAME_ROLE, BLAME_TOTAL, BLAME_FIRST_STEP };

static uint64_t blame_total(const CtlDetails *role) {
        uint64_t total = 0;

        for (guint i = 0; i < role->start_times->len; i++)
                total += g_array_index(role->start_times, PropertyEntry, i).value;
        return total;
}

/* The longest first. */
static int blame_compare(const void *a, const void *b) {
        const CtlDetails *x = *(CtlDetails *const *) a, *y = *(CtlDetails *const *) b;
        const uint64_t t = blame_total(x), u = blame_total(y);

        return t != u ? (t < u ? 1 : -1) : strcmp(x->name, y->name);
}

static bool blame_has_step(const GPtrArray *roles, const char *step) {
        for (guint i = 0; i < roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(roles, i);

                for (guint j = 0; j < role->start_times->len; j++)
                        if (strcmp(g_array_index(role->start_times, PropertyEntry, j).key, step) == 0)
                                return true;
        }
        return false;
}

/* The steps that occur, in the order in which they happen; those of a newer service come last. */
static GPtrArray *blame_find_steps(const GPtrArray *roles) {
        static const char *const order[] = { "queue", "dependencies", "sweep", "fork", "scope", "products",
                "hooks", "exec", "ready", NULL };
        GPtrArray *steps = g_ptr_array_new();

        for (const char *const *step = order; *step; step++)
                if (blame_has_step(roles, *step))
                        g_ptr_array_add(steps, (char *) *step);
        for (guint i = 0; i < roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(roles, i);

                for (guint j = 0; j < role->start_times->len; j++) {
                        char *step = g_array_index(role->start_times, PropertyEntry, j).key;

                        if (!g_ptr_array_find_with_equal_func(steps, step, g_str_equal, NULL))
                                g_ptr_array_add(steps, step);
                }
        }
        return steps;
}

static void blame_set(Table *table, struct libscols_line *row, size_t column, uint64_t usec) {
        g_autofree char *text = words_precise(usec), *json = g_strdup_printf("%" PRIu64, usec);

        table_set_two(table, row, column, text, json);
}

static void blame_add(Table *table, const CtlDetails *role, GPtrArray *steps) {
        struct libscols_line *row = table_add_row(table, NULL);

        table_set(table, row, BLAME_ROLE, role->name);
        blame_set(table, row, BLAME_TOTAL, blame_total(role));
        for (guint i = 0; i < role->start_times->len; i++) {
                const PropertyEntry *entry = &g_array_index(role->start_times, PropertyEntry, i);
                guint step;

                if (g_ptr_array_find_with_equal_func(steps, entry->key, g_str_equal, &step))
                        blame_set(table, row, BLAME_FIRST_STEP + step, entry->value);
        }
}

static CtlExit blame_print(Ctl *ctl, const GPtrArray *roles) {
        g_autoptr(GPtrArray) steps = blame_find_steps(roles),
                             headings = g_ptr_array_new_with_free_func(g_free);
        const size_t n = BLAME_FIRST_STEP + steps->len;
        g_autofree TableColumn *columns = g_new0(TableColumn, n);

        columns[BLAME_ROLE] = (TableColumn){ "ROLE", "role" };
        columns[BLAME_TOTAL] = (TableColumn){ "TOTAL", "total", TABLE_NUMBER };
        for (guint i = 0; i < steps->len; i++) {
                const char *step = g_ptr_array_index(steps, i);

                g_ptr_array_add(headings, g_ascii_strup(step, -1));
                columns[BLAME_FIRST_STEP + i] =
                        (TableColumn){ g_ptr_array_index(headings, i), step, TABLE_NUMBER };
        }
        g_autoptr(Table) table = table_new(ctl, columns, n);
        for (guint i = 0; i < roles->len; i++)
                blame_add(table, g_ptr_array_index(roles, i), steps);
        return table_print(table);
}

CtlExit verb_blame(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GPtrArray) roles = NULL, selected = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, INT_MAX, &e))
                return e;
        e = ctl_get_details(ctl, argv + optind, NULL, &roles);
        if (e != CTL_EXIT_OK)
                return e;
        if (roles->len == 0 && optind == argc) {
                if (ctl->json == CTL_JSON_OFF)
                        ctl_say(ctl, "There are no roles.");
        } else {
                e = ctl_select_details(ctl, argv + optind, roles, &selected);
                /* One whose command was not executed yet has no times. */
                for (guint i = selected->len; i > 0; i--) {
                        const CtlDetails *role = g_ptr_array_index(selected, i - 1);

                        if (!role->start_times || role->start_times->len == 0)
                                (void) g_ptr_array_remove_index(selected, i - 1);
                }
                g_ptr_array_sort(selected, blame_compare);
        }
        if (ctl->json == CTL_JSON_OFF && (!selected || selected->len == 0)) {
                if (selected && e == CTL_EXIT_OK)
                        ctl_say(ctl, "No start has times.");
                return e;
        }
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        CtlExit printed = blame_print(ctl, selected ?: none);
        return printed != CTL_EXIT_OK ? printed : e;
}
