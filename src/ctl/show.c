/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "show": all properties of roles, or of the node, for scripts. It knows no property by its name but
 * for the form of times, so that it shows those of a newer service as well. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/json.h"
#include "client/node-client.h"
#include "client/properties.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/json.h"
#include "ctl/pager.h"
#include "ctl/show.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

typedef struct Show {
        Ctl *ctl;
        GPtrArray *wanted; /* names of properties, each once; none: all */
        bool only_values;
        GString *out;
        unsigned n_objects;
} Show;

/* -- values as text, as systemctl show has them -- */

static char *show_number(const char *name, uint64_t value) {
        /* A time, though its name does not say so. */
        if (g_str_has_suffix(name, "Timestamp") || strcmp(name, "NextStartUSec") == 0)
                return value == UINT64_MAX ? g_strdup("infinity")
                       : value == 0        ? g_strdup("")
                                           : words_timestamp(value);
        if (g_str_has_suffix(name, "USec") && strcmp(name, "MonitorDeadlineUSec") != 0)
                return words_span(value);
        return g_strdup_printf("%" PRIu64, value);
}

static int show_append_value(GString *text, const char *name, sd_bus_message *m);

/* The members of a structure or of an entry are joined by '=' here, as in "product=version", the elements of
 * an array by spaces. */
static int show_append_container(
        GString *text, const char *name, sd_bus_message *m, char type, const char *contents) {
        const char separator = type == 'a' ? ' ' : '=';
        bool first = true;

        int r = sd_bus_message_enter_container(m, type, contents);
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                if (!first)
                        g_string_append_c(text, separator);
                first = false;
                r = show_append_value(text, name, m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int show_append_strings(GString *text, sd_bus_message *m) {
        g_auto(GStrv) words = NULL;

        int r = sd_bus_message_read_strv(m, &words);
        if (r < 0)
                return r;
        g_autofree char *line = words_command((const char *const *) words), *escaped = words_escape(line);
        g_string_append(text, escaped);
        return 0;
}

static int show_append_value(GString *text, const char *name, sd_bus_message *m) {
        const char *contents, *string;
        uint64_t number;
        char type;
        int flag;

        int r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        switch (type) {
        case 'a':
                if (strcmp(contents, "s") == 0)
                        return show_append_strings(text, m);
                G_GNUC_FALLTHROUGH;
        case 'r':
        case 'e':
        case 'v':
                return show_append_container(text, name, m, type, contents);
        case 's':
        case 'o':
        case 'g':
                r = sd_bus_message_read_basic(m, type, &string);
                if (r >= 0) {
                        g_autofree char *escaped = words_escape(string);
                        g_string_append(text, escaped);
                }
                return r;
        case 'b':
                r = sd_bus_message_read_basic(m, 'b', &flag);
                if (r >= 0)
                        g_string_append(text, flag ? "yes" : "no");
                return r;
        case 't':
                r = sd_bus_message_read_basic(m, 't', &number);
                if (r >= 0) {
                        g_autofree char *value = show_number(name, number);
                        g_string_append(text, value);
                }
                return r;
        default:
                return json_append_value(text, m); /* the other numbers */
        }
}

/* -- one object -- */

static bool show_wants(const Show *show, const char *name) {
        return show->wanted->len == 0 ||
               g_ptr_array_find_with_equal_func(show->wanted, name, g_str_equal, NULL);
}

static int show_append_text(const Show *show, const char *name, sd_bus_message *m, GString *text) {
        if (!show->only_values)
                g_string_append_printf(text, "%s=", name);
        int r = show_append_value(text, name, m);
        g_string_append_c(text, '\n');
        return r;
}

static int show_append_json(const char *name, sd_bus_message *m, GString *text) {
        g_string_append(text, text->len > 0 ? "," : "");
        json_append_string(text, name);
        g_string_append_c(text, ':');
        return json_append_value(text, m);
}

static int show_read_property(const Show *show, GPtrArray *names, sd_bus_message *m, GString *text) {
        const char *name, *contents;

        int r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;
        g_ptr_array_add(names, g_strdup(name));
        if (!show_wants(show, name))
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = show->ctl->json == CTL_JSON_OFF ? show_append_text(show, name, m, text)
                                                    : show_append_json(name, m, text);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static CtlExit show_check_wanted(const Show *show, GPtrArray *names) {
        for (guint i = 0; i < show->wanted->len; i++) {
                const char *wanted = g_ptr_array_index(show->wanted, i);

                if (g_ptr_array_find_with_equal_func(names, wanted, g_str_equal, NULL))
                        continue;
                g_ptr_array_add(names, NULL);
                const char *nearest = words_nearest(wanted, (const char *const *) names->pdata);
                return nearest ? ctl_usage("show", "there is no property \"%s\"; did you mean \"%s\"?",
                                         wanted, nearest)
                               : ctl_usage("show", "there is no property \"%s\"", wanted);
        }
        return CTL_EXIT_OK;
}

/* Reads the properties of an object. The caller frees what they are as text. */
static CtlExit show_read(const Show *show, sd_bus_message *m, char **ret) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        GString *text = g_string_new(NULL);

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = show_read_property(show, names, m, text);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        CtlExit e = r < 0 ? ctl_bad_reply(r) : show_check_wanted(show, names);
        *ret = g_string_free(text, e != CTL_EXIT_OK);
        return e;
}

static void show_add(Show *show, const char *text) {
        const bool json = show->ctl->json != CTL_JSON_OFF;

        if (show->n_objects++ > 0)
                g_string_append_c(show->out, json ? ',' : '\n');
        g_string_append_printf(show->out, json ? "{%s}" : "%s", text);
}

/* With role, this is the object of it, which may not be there. */
static CtlExit show_object(Show *show, const char *path, const char *interface, const char *role) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        char *text = NULL;

        CtlExit e = ctl_new_get_all(show->ctl, &call, path, interface);
        if (e != CTL_EXIT_OK)
                return e;
        if (ctl_try(show->ctl, call, &error, &reply) < 0)
                return role && sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT)
                               ? ctl_no_such(show->ctl, "role", role)
                               : ctl_report(show->ctl, role, &error);
        e = show_read(show, reply, &text);
        if (e == CTL_EXIT_OK)
                show_add(show, text);
        g_free(text);
        return e;
}

/* -- roles -- */

typedef struct ShowRoles {
        const Show *show;
        GHashTable *texts; /* of those that are wanted, by the object path; "" before they are read */
        CtlExit exit;
} ShowRoles;

static int show_on_role(const char *path, sd_bus_message *m, void *userdata) {
        ShowRoles *roles = userdata;
        char *text = NULL;

        if (!g_hash_table_contains(roles->texts, path))
                return sd_bus_message_skip(m, "a{sv}");
        roles->exit = show_read(roles->show, m, &text);
        if (roles->exit != CTL_EXIT_OK)
                return -ECANCELED;
        g_hash_table_insert(roles->texts, g_strdup(path), text);
        return 0;
}

/* The order is that of the user. A role that was purged meanwhile is left out. */
static CtlExit show_roles(Show *show, sd_bus_message *reply, const GPtrArray *roles) {
        g_autoptr(GHashTable) texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        ShowRoles all = { .show = show, .texts = texts, .exit = CTL_EXIT_OK };

        for (guint i = 0; i < roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(roles, i);
                _cleanup_free_ char *path = role_object_path(role->name);

                g_hash_table_insert(texts, g_strdup(path), g_strdup(""));
        }
        int r = properties_read_objects(reply, NODE_ROLE_INTERFACE, show_on_role, &all);
        if (all.exit != CTL_EXIT_OK)
                return all.exit;
        if (r < 0)
                return ctl_bad_reply(r);
        for (guint i = 0; i < roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(roles, i);
                _cleanup_free_ char *path = role_object_path(role->name);
                const char *text = g_hash_table_lookup(texts, path);

                if (text[0])
                        show_add(show, text);
        }
        return CTL_EXIT_OK;
}

static CtlExit show_ask_roles(Ctl *ctl, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_details_call(ctl, &call);
        return e == CTL_EXIT_OK ? ctl_send_about(ctl, call, NULL, ret) : e;
}

static void show_print(Show *show, bool as_array) {
        Ctl *ctl = show->ctl;

        if (ctl->json == CTL_JSON_OFF) {
                pager_open(ctl);
                (void) fputs(show->out->str, stdout);
                return;
        }
        if (as_array) {
                g_string_prepend_c(show->out, '[');
                g_string_append_c(show->out, ']');
        }
        json_print(show->out->str, ctl->json);
}

CtlExit ctl_show_roles(Ctl *ctl, const GPtrArray *roles) {
        g_autoptr(GPtrArray) wanted = g_ptr_array_new();
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GString) out = g_string_new(NULL);
        Show show = { .ctl = ctl, .wanted = wanted, .out = out };
        CtlExit e = CTL_EXIT_OK;

        if (roles->len == 1) {
                const CtlDetails *role = g_ptr_array_index(roles, 0);
                _cleanup_free_ char *path = role_object_path(role->name);

                e = show_object(&show, path, NODE_ROLE_INTERFACE, role->name);
        } else if (roles->len > 1) {
                e = show_ask_roles(ctl, &reply);
                if (e == CTL_EXIT_OK)
                        e = show_roles(&show, reply, roles);
        }
        if (e == CTL_EXIT_OK)
                show_print(&show, true);
        return e;
}

/* One role has an object of its own. Otherwise one reply says which ones there are, and has all of them. */
static CtlExit show_words(Show *show, char *const *words) {
        g_autoptr(GPtrArray) roles = NULL, selected = NULL;
        g_autoptr(sd_bus_message) reply = NULL;

        if (!words[1] && words[0][0] && ctl_word_is_name(words[0])) {
                _cleanup_free_ char *path = role_object_path(words[0]);
                CtlExit e = show_object(show, path, NODE_ROLE_INTERFACE, words[0]);

                if (e == CTL_EXIT_OK)
                        show_print(show, true);
                return e;
        }
        CtlExit e = show_ask_roles(show->ctl, &reply);
        if (e != CTL_EXIT_OK)
                return e;
        int r = ctl_read_details(reply, &roles);
        if (r >= 0)
                r = sd_bus_message_rewind(reply, true);
        if (r < 0)
                return ctl_bad_reply(r);
        const CtlExit missing = ctl_select_details(show->ctl, words, roles, &selected);
        e = show_roles(show, reply, selected);
        if (e == CTL_EXIT_OK && (selected->len > 0 || missing == CTL_EXIT_OK))
                show_print(show, true);
        return e != CTL_EXIT_OK ? e : missing;
}

static void show_add_wanted(Show *show, const char *list) {
        g_auto(GStrv) names = g_strsplit(list, ",", -1);

        for (char **name = names; *name; name++)
                if ((*name)[0] && (show->wanted->len == 0 || !show_wants(show, *name)))
                        g_ptr_array_add(show->wanted, g_strdup(*name));
}

CtlExit verb_show(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_VALUE = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "property", required_argument, NULL, 'p' },
                { "value", no_argument, NULL, ARG_VALUE },
                { 0 },
        };
        g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) out = g_string_new(NULL);
        Show show = { .ctl = ctl, .wanted = wanted, .out = out };
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, "p:", options, &e)) >= 0)
                if (c == 'p')
                        show_add_wanted(&show, optarg);
                else
                        show.only_values = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        if (optind < argc)
                return show_words(&show, argv + optind);
        e = show_object(&show, NODE_PATH, NODE_INTERFACE, NULL);
        if (e == CTL_EXIT_OK)
                show_print(&show, false);
        return e;
}
