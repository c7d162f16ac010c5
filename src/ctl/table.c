/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/json.h"
#include "ctl/pager.h"
#include "ctl/table.h"
#include "ctl/words.h"

bool table_is_json(const Table *table) {
        return table->ctl->json != CTL_JSON_OFF;
}

static void table_add_column(Table *table, size_t i) {
        const TableColumn *column = &table->columns[i];
        const char *name = table_is_json(table) ? column->key : column->heading;
        int flags = 0;

        table->numbers[i] = -1;
        if (!name)
                return;
        if (column->type == TABLE_NUMBER)
                flags |= SCOLS_FL_RIGHT;
        if (column->type == TABLE_TREE)
                flags |= SCOLS_FL_TREE;
        if (column->trunc)
                flags |= SCOLS_FL_TRUNC;
        struct libscols_column *c = scols_table_new_column(table->scols, name, 0, flags);
        if (!c)
                g_error("Cannot make a column: %s", g_strerror(errno)); /* there is no memory */
        (void) scols_column_set_json_type(
                c, column->type == TABLE_NUMBER ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING);
        table->numbers[i] = (int) scols_table_get_ncols(table->scols) - 1;
}

/* libsmartcols would ask stdout, which may be a pager by then. Into a pipe no cell is cut. */
static void table_set_width(Table *table) {
        struct winsize size;

        if (!ctl_stdout_is_terminal()) {
                (void) scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER);
                return;
        }
        (void) scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_ALWAYS);
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0)
                (void) scols_table_set_termwidth(table->scols, size.ws_col);
}

Table *table_new(const Ctl *ctl, const TableColumn *columns, size_t n_columns) {
        Table *table = g_new0(Table, 1);

        scols_init_debug(0);
        table->ctl = ctl;
        table->columns = columns;
        table->n_columns = n_columns;
        table->numbers = g_new(int, n_columns);
        table->scols = scols_new_table();
        if (!table->scols)
                g_error("Cannot make a table: %s", g_strerror(errno));
        for (size_t i = 0; i < n_columns; i++)
                table_add_column(table, i);
        (void) scols_table_set_name(table->scols, "rows");
        (void) scols_table_enable_json(table->scols, table_is_json(table));
        (void) scols_table_enable_noheadings(table->scols, !ctl->legend);
        (void) scols_table_enable_colors(table->scols, ctl_has_color());
        (void) scols_table_enable_maxout(table->scols, false);
        table_set_width(table);
        return table;
}

Table *table_free(Table *table) {
        if (!table)
                return NULL;
        scols_unref_table(table->scols);
        g_free(table->numbers);
        g_free(table);
        return NULL;
}

struct libscols_line *table_add_row(Table *table, struct libscols_line *parent) {
        struct libscols_line *line = scols_table_new_line(table->scols, parent);

        if (!line)
                g_error("Cannot make a row: %s", g_strerror(errno));
        if (!table_is_json(table))
                for (size_t i = 0; i < table->n_columns; i++)
                        table_set(table, line, i, NULL);
        return line;
}

void table_set_two(
        Table *table, struct libscols_line *line, size_t column, const char *value, const char *json) {
        const int n = table->numbers[column];

        if (n < 0)
                return;
        if (table_is_json(table))
                value = json;
        else if (!value || !value[0])
                value = "-";
        if (value && scols_line_set_data(line, (size_t) n, value) < 0)
                g_error("Cannot set a cell: there is no memory");
}

void table_set(Table *table, struct libscols_line *line, size_t column, const char *value) {
        table_set_two(table, line, column, value, value);
}

void table_setf(Table *table, struct libscols_line *line, size_t column, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *value = g_strdup_vprintf(format, ap);
        va_end(ap);
        table_set(table, line, column, value);
}

void table_set_color(Table *table, struct libscols_line *line, size_t column, const char *color) {
        const int n = table->numbers[column];

        if (n >= 0)
                (void) scols_cell_set_color(scols_line_get_cell(line, (size_t) n), color);
}

char *table_to_text(Table *table) {
        _cleanup_free_ char *text = NULL;

        if (scols_table_is_empty(table->scols))
                return g_strdup("");
        if (scols_print_table_to_string(table->scols, &text) < 0)
                g_error("Cannot print the table: there is no memory");
        return g_strdup(text);
}

CtlExit table_print(Table *table) {
        _cleanup_free_ char *text = NULL;

        if (ctl_sink) {
                ctl_sink->table(table);
                return CTL_EXIT_OK;
        }
        if (!table_is_json(table)) {
                pager_open(table->ctl);
                if (scols_table_is_empty(table->scols))
                        return CTL_EXIT_OK;
                int r = scols_print_table(table->scols);
                return r < 0 ? ctl_failed(r, "print the table") : CTL_EXIT_OK;
        }
        if (scols_table_is_empty(table->scols)) {
                (void) puts("[]");
                return CTL_EXIT_OK;
        }
        int r = scols_print_table_to_string(table->scols, &text);
        if (r < 0)
                return ctl_failed(r, "make the JSON");
        /* libsmartcols has an object around the array, with the name of the table. */
        const char *begin = strchr(text, '['), *end = strrchr(text, ']');
        g_assert(begin && end);
        g_autofree char *array = g_strndup(begin, (size_t) (end - begin) + 1);
        json_print(array, table->ctl->json);
        return CTL_EXIT_OK;
}
