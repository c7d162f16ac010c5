/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "poll" and "purge", which pass names to a method of the node and print the names of the reply. */

#include <stdio.h>
#include <string.h>

#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/managed.h"
#include "ctl/stop.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

/* Calls a method that takes an as, which the words are. */
static CtlExit poll_call(Ctl *ctl, const char *member, char **words, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(ctl, &call, member, NULL);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append_strv(call, words);
        if (r >= 0)
                r = ctl_append_change(ctl, call);
        if (r < 0)
                return ctl_cannot_send(r);
        return ctl_send_about(ctl, call, words[0] && !words[1] ? words[0] : NULL, ret);
}

/* -- poll -- */

enum { POLL_NAME, POLL_STATE };

static const TableColumn poll_columns[] = {
        [POLL_NAME] = { "ROLE", "role" },
        [POLL_STATE] = { "STATE", "state" },
};

static int poll_compare(const void *a, const void *b) {
        return strcmp((*(char **const *) a)[0], (*(char **const *) b)[0]);
}

static int poll_read(sd_bus_message *m, GPtrArray *pairs) {
        const char *name, *state;

        int r = sd_bus_message_enter_container(m, 'a', "{ss}");
        while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &name, &state)) > 0) {
                char *pair[] = { (char *) name, (char *) state, NULL };

                g_ptr_array_add(pairs, g_strdupv(pair));
        }
        g_ptr_array_sort(pairs, poll_compare);
        return r;
}

CtlExit verb_poll(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
        g_autoptr(sd_bus_message) reply = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, INT_MAX, &e))
                return e;
        e = poll_call(ctl, "Poll", argv + optind, &reply);
        if (e != CTL_EXIT_OK)
                return e;
        int r = poll_read(reply, pairs);
        if (r < 0)
                return ctl_bad_reply(r);
        g_autoptr(Table) table = table_new(ctl, poll_columns, ELEMENTSOF(poll_columns));
        for (guint i = 0; i < pairs->len; i++) {
                char **pair = g_ptr_array_index(pairs, i);
                struct libscols_line *row = table_add_row(table, NULL);

                table_set(table, row, POLL_NAME, pair[0]);
                table_set(table, row, POLL_STATE, pair[1]);
        }
        if (pairs->len == 0 && ctl->json == CTL_JSON_OFF) {
                ctl_say(ctl, "There are no roles.");
                return CTL_EXIT_OK;
        }
        return table_print(table);
}

/* -- purge -- */

static const TableColumn purge_columns[] = { { "ROLE", "role" } };

static CtlExit purge_print(Ctl *ctl, sd_bus_message *reply) {
        g_auto(GStrv) names = NULL;

        int r = sd_bus_message_read_strv(reply, &names);
        if (r < 0)
                return ctl_bad_reply(r);
        const guint n = names ? g_strv_length(names) : 0;
        if (ctl->json != CTL_JSON_OFF) {
                g_autoptr(Table) table = table_new(ctl, purge_columns, ELEMENTSOF(purge_columns));

                for (guint i = 0; i < n; i++)
                        table_set(table, table_add_row(table, NULL), 0, names[i]);
                return table_print(table);
        }
        for (guint i = 0; i < n; i++)
                ctl_say(ctl, "%s is purged.", names[i]);
        if (n == 0)
                ctl_say(ctl, "No role has ended.");
        return CTL_EXIT_OK;
}

/* Purge takes names only; no words stand for all roles. */
static CtlExit purge_words(Ctl *ctl, char *const *words, bool force) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(sd_bus_message) reply = NULL;
        char *const all[] = { (char *) "*", NULL };
        bool only_names = true;

        /* Of all, the service leaves those of a lease out. */
        if (!*words && force)
                words = all;
        for (char *const *word = words; *word; word++)
                only_names = only_names && ctl_word_is_name(*word);
        if (only_names) {
                for (char *const *word = words; *word; word++)
                        g_ptr_array_add(names, g_strdup(*word));
                g_ptr_array_add(names, NULL);
        } else {
                CtlExit e = ctl_select_names(ctl, words, true, names);
                if (e != CTL_EXIT_OK)
                        return e;
                /* An empty list would be all roles. */
                if (names->len == 1) {
                        ctl_say(ctl, "None of them has ended.");
                        return CTL_EXIT_OK;
                }
        }
        CtlExit e = ctl_check_managed(ctl, "purge", (char *const *) names->pdata, force);
        if (e == CTL_EXIT_OK) {
                g_autofree char *method = ctl_change_name(ctl, "Purge");

                e = poll_call(ctl, method, (char **) names->pdata, &reply);
        }
        return e == CTL_EXIT_OK ? purge_print(ctl, reply) : e;
}

CtlExit verb_purge(Ctl *ctl, int argc, char *argv[]) {
        bool force;
        CtlExit e;

        return ctl_read_roles(ctl, argc, argv, &force, &e) ? purge_words(ctl, argv + optind, force) : e;
}
