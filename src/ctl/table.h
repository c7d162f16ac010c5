/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A table of libsmartcols, for people or as JSON (an array of objects), as --json= says. For people a cell
 * without a value shows "-", in JSON it is null. */

#include <libsmartcols.h>

#include "ctl/ctl.h"

typedef enum TableType {
        TABLE_STRING,
        TABLE_NUMBER, /* in JSON a number; for people at the right */
        TABLE_TREE,   /* a string, before which the lines to its parent are drawn */
} TableType;

typedef struct TableColumn {
        const char *heading; /* NULL: only in JSON */
        const char *key;     /* in JSON; NULL: not there */
        TableType type;
        bool trunc; /* may be cut at the width of the terminal */
} TableColumn;

typedef struct Table {
        const Ctl *ctl;
        const TableColumn *columns;
        size_t n_columns;
        struct libscols_table *scols;
        int *numbers; /* of each of columns in scols; -1: it is not shown */
} Table;

/* The columns stay the caller's, and must stay valid. */
Table *table_new(const Ctl *ctl, const TableColumn *columns, size_t n_columns);
Table *table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

bool table_is_json(const Table *table);

/* Adds a row; parent may be NULL. The table owns it. */
struct libscols_line *table_add_row(Table *table, struct libscols_line *parent);

/* Sets the value of a cell, which is copied; NULL: it has none. table_set() sets it for both. table_set_two()
 * has another value for JSON, for example a time in microseconds for "2h ago". */
void table_set(Table *table, struct libscols_line *line, size_t column, const char *value);
void table_set_two(
        Table *table, struct libscols_line *line, size_t column, const char *value, const char *json);
_printf_(4, 5) void table_setf(
        Table *table, struct libscols_line *line, size_t column, const char *format, ...);

/* Gives a cell a colour, as "red" or "green", if there are colours. */
void table_set_color(Table *table, struct libscols_line *line, size_t column, const char *color);

/* Returns the table as it would be printed for people, "" without rows. The caller frees it. */
char *table_to_text(Table *table);

/* Writes the table to stdout, through the pager for people. With several hosts it goes to gather.h. */
CtlExit table_print(Table *table);
