/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/macro.h"
#include "client/json.h"
#include "ctl/gather.h"
#include "ctl/json.h"
#include "ctl/openmetrics.h"
#include "ctl/pager.h"
#include "ctl/table.h"

typedef struct GatherColumn {
        char *name;
        TableType type;
        bool trunc;
} GatherColumn;

typedef struct Said {
        char *text;
        bool error;
} Said;

struct GatherHost {
        Gather *gather;
        char *name;
        FILE *out;       /* its stdout */
        GString *text;   /* of that; the last line may not be complete */
        GPtrArray *said; /* Said, for stderr */
        char *error;     /* the first one */
        GString *json;   /* values, with the host, and commas between them */
        GArray *columns; /* GatherColumn, of the table */
        struct libscols_table *table;
        OpenMetrics *metrics;
        CtlExit exit;
};

struct Gather {
        const Ctl *ctl;
        GatherMode mode;
        GPtrArray *hosts;
        FILE *out;
        const char *metrics_path;
        bool begun;
};

/* -- text -- */

static void print_lines(FILE *to, const char *host, const char *text, size_t size) {
        while (size > 0) {
                const char *newline = memchr(text, '\n', size);
                const size_t n = newline ? (size_t) (newline - text) : size;

                (void) fprintf(to, "%s:%s", host, n > 0 ? " " : "");
                (void) fwrite(text, 1, n, to);
                (void) fputc('\n', to);
                text += newline ? n + 1 : n;
                size -= newline ? n + 1 : n;
        }
}

static bool gather_prints(const Gather *gather) {
        return gather->begun && gather->mode != GATHER_IN_ORDER;
}

/* The whole lines, or all that is there. */
static void host_print_text(GatherHost *host, bool all) {
        const char *newline = memrchr(host->text->str, '\n', host->text->len);
        const size_t n = all ? host->text->len : newline ? (size_t) (newline - host->text->str) + 1 : 0;

        if (n == 0)
                return;
        print_lines(host->gather->out, host->name, host->text->str, n);
        (void) fflush(host->gather->out);
        g_string_erase(host->text, 0, (gssize) n);
}

/* Its FILE is written to by the thread that has the baton. */
static ssize_t host_on_write(void *cookie, const char *data, size_t size) {
        GatherHost *host = cookie;

        g_string_append_len(host->text, data, (gssize) size);
        if (gather_prints(host->gather))
                host_print_text(host, false);
        return (ssize_t) size;
}

static void said_free(void *p) {
        Said *said = p;

        g_free(said->text);
        g_free(said);
}

static void host_print_said(GatherHost *host) {
        for (guint i = 0; i < host->said->len; i++) {
                const Said *said = g_ptr_array_index(host->said, i);

                (void) fprintf(
                        stderr, "%s%s: %s\n", said->error ? "architectctl: " : "", host->name, said->text);
        }
        g_ptr_array_set_size(host->said, 0);
}

static void host_say(GatherHost *host, const char *text, bool error) {
        Said *said = g_new(Said, 1);

        *said = (Said){ .text = g_strdup(text), .error = error };
        g_ptr_array_add(host->said, said);
        (void) fflush(host->out); /* what was said before comes before */
        if (gather_prints(host->gather))
                host_print_said(host);
}

static void sink_say(const char *text) {
        GatherHost *host = baton_output();

        if (host)
                host_say(host, text, false);
        else
                (void) fprintf(stderr, "%s\n", text);
}

static void sink_error(const char *text) {
        GatherHost *host = baton_output();

        if (!host) {
                (void) fprintf(stderr, "architectctl: %s\n", text);
                return;
        }
        if (!host->error)
                host->error = g_strdup(text);
        host_say(host, text, true);
}

/* -- JSON and tables -- */

static void sink_json(const char *json, CtlJson mode) {
        GatherHost *host = baton_output();

        json_append_with_member(host->json, json, "host", host->name);
        if (host->gather->mode != GATHER_STREAM || !host->gather->begun)
                return;
        json_write(host->gather->out, host->json->str, mode);
        (void) fflush(host->gather->out);
        g_string_truncate(host->json, 0);
}

/* The columns are those of the verb, and do not outlive it. */
static void sink_table(Table *table) {
        GatherHost *host = baton_output();

        g_assert(!host->table); /* no verb prints two */
        for (size_t i = 0; i < table->n_columns; i++) {
                const TableColumn *column = &table->columns[i];
                const GatherColumn copy = {
                        .name = g_strdup(table_is_json(table) ? column->key : column->heading),
                        .type = column->type,
                        .trunc = column->trunc,
                };

                if (table->numbers[i] >= 0)
                        g_array_append_val(host->columns, copy);
        }
        scols_ref_table(table->scols);
        host->table = table->scols;
}

static void sink_metrics(OpenMetrics *metrics, const char *path) {
        GatherHost *host = baton_output();

        g_assert(!host->metrics);
        host->metrics = metrics;
        host->gather->metrics_path = path;
}

static const CtlSink gather_sink = {
        .error = sink_error,
        .say = sink_say,
        .json = sink_json,
        .table = sink_table,
        .metrics = sink_metrics,
};

/* -- one table of all -- */

typedef struct Merge {
        const Gather *gather;
        GArray *columns; /* TableColumn; the first one is that of the hosts */
        Table *table;
        bool json;
        bool any_failed; /* then JSON has a column for the reasons, the last one */
} Merge;

static guint merge_find(const Merge *merge, const char *name) {
        guint i = 1;

        while (i < merge->columns->len) {
                const TableColumn *column = &g_array_index(merge->columns, TableColumn, i);

                if (strcmp(merge->json ? column->key : column->heading, name) == 0)
                        break;
                i++;
        }
        return i;
}

static void merge_add_column(Merge *merge, const char *name, TableType type, bool trunc) {
        const TableColumn column = { merge->json ? NULL : name, merge->json ? name : NULL, type, trunc };

        g_array_append_val(merge->columns, column);
}

static void merge_find_columns(Merge *merge) {
        merge_add_column(merge, merge->json ? "host" : "HOST", TABLE_STRING, false);
        for (guint i = 0; i < merge->gather->hosts->len; i++) {
                const GatherHost *host = g_ptr_array_index(merge->gather->hosts, i);

                merge->any_failed = merge->any_failed || (!host->table && host->error);
                for (guint j = 0; j < host->columns->len; j++) {
                        const GatherColumn *column = &g_array_index(host->columns, GatherColumn, j);

                        if (merge_find(merge, column->name) == merge->columns->len)
                                merge_add_column(merge, column->name, column->type, column->trunc);
                }
        }
        if (merge->json && merge->any_failed)
                merge_add_column(merge, "error", TABLE_STRING, false);
}

static void merge_copy_line(
        Merge *merge, const GatherHost *host, struct libscols_line *from, struct libscols_line *to) {
        table_set(merge->table, to, 0, host->name);
        for (guint j = 0; j < host->columns->len; j++) {
                const GatherColumn *column = &g_array_index(host->columns, GatherColumn, j);
                struct libscols_cell *cell = scols_line_get_cell(from, j);
                const guint i = merge_find(merge, column->name);
                const char *color = scols_cell_get_color(cell);

                table_set(merge->table, to, i, scols_cell_get_data(cell));
                if (color)
                        table_set_color(merge->table, to, i, color);
        }
}

static void merge_copy_table(Merge *merge, const GatherHost *host) {
        g_autoptr(GHashTable) copies = g_hash_table_new(NULL, NULL); /* parents come before their children */
        struct libscols_iter *iter = scols_new_iter(SCOLS_ITER_FORWARD);
        struct libscols_line *from = NULL;

        if (!iter)
                g_error("There is no memory for a table");
        while (scols_table_next_line(host->table, iter, &from) == 0) {
                struct libscols_line *parent = scols_line_get_parent(from);
                struct libscols_line *to =
                        table_add_row(merge->table, parent ? g_hash_table_lookup(copies, parent) : NULL);

                g_hash_table_insert(copies, from, to);
                merge_copy_line(merge, host, from, to);
        }
        scols_free_iter(iter);
}

/* For people the reason is in the last column, which makes no other one wider. */
static void merge_add_failed(Merge *merge, const GatherHost *host) {
        struct libscols_line *row = table_add_row(merge->table, NULL);

        table_set(merge->table, row, 0, host->name);
        table_set(merge->table, row, merge->columns->len - 1, host->error);
        table_set_color(merge->table, row, merge->columns->len - 1, "red");
}

static CtlExit gather_print_table(Gather *gather) {
        g_autoptr(GArray) columns = g_array_new(false, false, sizeof(TableColumn));
        Merge merge = { .gather = gather, .columns = columns, .json = gather->ctl->json != CTL_JSON_OFF };
        unsigned n_failed = 0;

        merge_find_columns(&merge);
        g_autoptr(Table) table = table_new(gather->ctl, (TableColumn *) columns->data, columns->len);
        merge.table = table;
        for (guint i = 0; i < gather->hosts->len; i++) {
                GatherHost *host = g_ptr_array_index(gather->hosts, i);

                n_failed += host->exit != CTL_EXIT_OK;
                if (host->table) {
                        merge_copy_table(&merge, host);
                        scols_unref_table(g_steal_pointer(&host->table)); /* all of them twice are a lot */
                        continue;
                }
                if (!host->error)
                        continue;
                merge_add_failed(&merge, host);
                g_ptr_array_set_size(host->said, 0); /* the row has it */
        }
        CtlExit e = table_print(table);
        if (gather->ctl->legend && !merge.json)
                (void) printf("\n%u host%s, %u failed.\n", gather->hosts->len,
                        gather->hosts->len == 1 ? "" : "s", n_failed);
        return e;
}

/* -- the end -- */

static void gather_print_json(Gather *gather) {
        g_autoptr(GString) json = g_string_new("[");

        for (guint i = 0; i < gather->hosts->len; i++) {
                GatherHost *host = g_ptr_array_index(gather->hosts, i);

                if (json->len > 1)
                        g_string_append_c(json, ',');
                if (host->json->len > 0) {
                        g_string_append(json, host->json->str);
                        continue;
                }
                g_string_append(json, "{\"host\":");
                json_append_string(json, host->name);
                if (host->error) {
                        g_string_append(json, ",\"error\":");
                        json_append_string(json, host->error);
                        g_ptr_array_set_size(host->said, 0);
                }
                g_string_append_c(json, '}');
        }
        g_string_append_c(json, ']');
        json_write(gather->out, json->str, gather->ctl->json);
}

/* A family of metrics is in one piece for all hosts. */
static CtlExit gather_print_metrics(const Gather *gather) {
        g_autoptr(OpenMetrics) all = openmetrics_new();

        for (guint i = 0; i < gather->hosts->len; i++) {
                const GatherHost *host = g_ptr_array_index(gather->hosts, i);

                if (host->metrics)
                        openmetrics_add(all, host->metrics);
        }
        return openmetrics_write(all, gather->metrics_path);
}

static bool gather_has(const Gather *gather, bool (*has)(const GatherHost *host)) {
        for (guint i = 0; i < gather->hosts->len; i++)
                if (has(g_ptr_array_index(gather->hosts, i)))
                        return true;
        return false;
}

static bool host_has_table(const GatherHost *host) {
        return host->table != NULL;
}

static bool host_has_metrics(const GatherHost *host) {
        return host->metrics != NULL;
}

static bool host_has_text(const GatherHost *host) {
        return host->text->len > 0;
}

CtlExit gather_print(Gather *gather) {
        const bool json = gather->ctl->json != CTL_JSON_OFF, has_text = gather_has(gather, host_has_text);
        CtlExit e = CTL_EXIT_OK;

        ctl_sink = NULL;
        if (gather_has(gather, host_has_table))
                e = gather_print_table(gather);
        else if (gather_has(gather, host_has_metrics))
                e = gather_print_metrics(gather);
        else if (json && gather->mode != GATHER_STREAM && !has_text)
                gather_print_json(gather);
        else if (has_text)
                pager_open(gather->ctl);
        for (guint i = 0; i < gather->hosts->len; i++) {
                GatherHost *host = g_ptr_array_index(gather->hosts, i);

                host_print_text(host, true);
                host_print_said(host);
        }
        return e;
}

void gather_print_alone(GatherHost *host) {
        ctl_sink = NULL;
        (void) fputs(host->text->str, host->gather->out);
        for (guint i = 0; i < host->said->len; i++) {
                const Said *said = g_ptr_array_index(host->said, i);

                (void) fprintf(stderr, "%s%s\n", said->error ? "architectctl: " : "", said->text);
        }
        g_ptr_array_set_size(host->said, 0);
}

void gather_begin(Gather *gather) {
        gather->begun = true;
}

/* -- the hosts -- */

static void column_clear(void *p) {
        g_free(((GatherColumn *) p)->name);
}

GatherHost *gather_add(Gather *gather, const char *name, Baton *baton) {
        static const cookie_io_functions_t functions = { .write = host_on_write };
        GatherHost *host = g_new0(GatherHost, 1);

        host->gather = gather;
        host->name = g_strdup(name);
        host->text = g_string_new(NULL);
        host->said = g_ptr_array_new_with_free_func(said_free);
        host->json = g_string_new(NULL);
        host->columns = g_array_new(false, false, sizeof(GatherColumn));
        g_array_set_clear_func(host->columns, column_clear);
        host->out = fopencookie(host, "w", functions);
        if (!host->out)
                g_error("There is no memory for the output of a host");
        (void) setvbuf(host->out, NULL, _IOLBF, 0);
        baton_init(baton, host->out, host);
        g_ptr_array_add(gather->hosts, host);
        return host;
}

void gather_host_end(GatherHost *host, CtlExit e) {
        (void) fflush(host->out);
        host->exit = e;
        if (gather_prints(host->gather))
                host_print_text(host, true);
}

static void host_free(void *p) {
        GatherHost *host = p;

        (void) fclose(host->out);
        scols_unref_table(host->table);
        (void) openmetrics_free(host->metrics);
        g_array_unref(host->columns);
        g_string_free(host->text, TRUE);
        g_ptr_array_unref(host->said);
        g_string_free(host->json, TRUE);
        g_free(host->error);
        g_free(host->name);
        g_free(host);
}

Gather *gather_new(const Ctl *ctl, GatherMode mode) {
        Gather *gather = g_new(Gather, 1);

        *gather = (Gather){
                .ctl = ctl, .mode = mode, .hosts = g_ptr_array_new_with_free_func(host_free), .out = stdout
        };
        ctl_sink = &gather_sink;
        return gather;
}

Gather *gather_free(Gather *gather) {
        if (!gather)
                return NULL;
        ctl_sink = NULL;
        g_ptr_array_unref(gather->hosts);
        g_free(gather);
        return NULL;
}
