/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "cat": the role files. They are read here if they are on this machine. Of another one, or of a
 * container, the service tells what they say. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/json.h"
#include "ctl/connection.h"
#include "ctl/definitions.h"
#include "ctl/details.h"
#include "ctl/json.h"
#include "ctl/pager.h"
#include "ctl/role-files.h"
#include "ctl/verb.h"
#include "util/autoptr.h"
#include "util/config-files.h"

typedef struct Cat {
        Ctl *ctl;
        bool first; /* nothing has been printed */
} Cat;

static const char *cat_comment_begin(void) {
        return ctl_has_color() ? "\033[0;34m" : "";
}

static const char *cat_comment_end(void) {
        return ctl_has_color() ? "\033[0m" : "";
}

static void cat_head(Cat *cat, const char *path, const char *remark) {
        (void) printf("%s%s# %s%s%s\n", cat->first ? "" : "\n", cat_comment_begin(), path, remark,
                cat_comment_end());
        cat->first = false;
}

/* -- files -- */

static CtlExit cat_file(Cat *cat, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;

        int r = config_file_read(path, &text, &size);
        if (r < 0) {
                ctl_error("cannot read %s: %s", path, strerror(-r));
                return r == -EACCES || r == -EPERM ? CTL_EXIT_NOT_PERMITTED : CTL_EXIT_FAILED;
        }
        cat_head(cat, path, r == 0 ? " is masked or gone" : "");
        if (size > 0)
                (void) fwrite(text, 1, size, stdout);
        if (size > 0 && text[size - 1] != '\n')
                (void) putchar('\n');
        return CTL_EXIT_OK;
}

static CtlExit cat_files(Cat *cat, const CtlDefinition *definition) {
        g_autoptr(GPtrArray) paths = NULL;
        CtlExit e = CTL_EXIT_OK;

        int r = role_files_list(cat->ctl, definition->name, definition->file, &paths);
        if (r < 0)
                return ctl_failed(r, "list the drop-ins of the role file");
        for (guint i = 0; i < paths->len; i++) {
                CtlExit one = cat_file(cat, g_ptr_array_index(paths, i));
                e = e != CTL_EXIT_OK ? e : one;
        }
        return e;
}

/* -- what the service says -- */

typedef struct CatPart {
        char *file;
        GString *text;
} CatPart;

static void cat_part_clear(void *p) {
        CatPart *part = p;

        g_free(part->file);
        (void) g_string_free(part->text, TRUE);
}

static GString *cat_find_part(GArray *parts, const char *file) {
        for (guint i = 0; i < parts->len; i++) {
                const CatPart *part = &g_array_index(parts, CatPart, i);

                if (strcmp(part->file, file) == 0)
                        return part->text;
        }
        const CatPart part = { .file = g_strdup(file), .text = g_string_new(NULL) };
        g_array_append_val(parts, part);
        return part.text;
}

/* The options come in an order of their own. Here each is below the file that has set it last. */
static int cat_add_option(sd_bus_message *m, GArray *parts) {
        const char *key, *file;
        g_autoptr(GString) value = g_string_new(NULL);

        int r = sd_bus_message_read_basic(m, 's', &key);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'r', "vs");
        if (r >= 0)
                r = json_append_value(value, m);
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 's', &file);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                g_string_append_printf(cat_find_part(parts, file), "%s=%s\n", key, value->str);
        return r;
}

static CtlExit cat_options(Cat *cat, const CtlDefinition *definition) {
        g_autoptr(GArray) parts = g_array_new(false, false, sizeof(CatPart));
        g_autoptr(sd_bus_message) reply = NULL;

        g_array_set_clear_func(parts, cat_part_clear);
        (void) cat_find_part(parts, definition->file);
        CtlExit e = ctl_call(cat->ctl, &reply, "GetDefinition", "s", definition->name);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_enter_container(reply, 'a', "{s(vs)}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "s(vs)")) > 0) {
                r = cat_add_option(reply, parts);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                return ctl_bad_reply(r);
        for (guint i = 0; i < parts->len; i++) {
                const CatPart *part = &g_array_index(parts, CatPart, i);

                cat_head(cat, part->file, "");
                (void) fputs(part->text->str, stdout);
        }
        return CTL_EXIT_OK;
}

/* -- the verb -- */

static CtlExit cat_json(Ctl *ctl, const GPtrArray *definitions) {
        g_autoptr(GString) json = g_string_new("[");

        for (guint i = 0; i < definitions->len; i++) {
                const CtlDefinition *definition = g_ptr_array_index(definitions, i);
                g_autoptr(sd_bus_message) reply = NULL;

                g_string_append(json, i > 0 ? ",{\"role\":" : "{\"role\":");
                json_append_string(json, definition->name);
                g_string_append(json, ",\"file\":");
                json_append_string(json, definition->file);
                if (definition->error) {
                        g_string_append(json, ",\"error\":");
                        json_append_string(json, definition->error);
                        g_string_append_printf(json, ",\"line\":%" PRIu32 "}", definition->line);
                        continue;
                }
                CtlExit e = ctl_call(ctl, &reply, "GetDefinition", "s", definition->name);
                if (e != CTL_EXIT_OK)
                        return e;
                g_string_append(json, ",\"options\":");
                int r = json_append_value(json, reply);
                if (r < 0)
                        return ctl_bad_reply(r);
                g_string_append_c(json, '}');
        }
        g_string_append_c(json, ']');
        json_print(json->str, ctl->json);
        return CTL_EXIT_OK;
}

static CtlExit cat_one(Cat *cat, const CtlDefinition *definition) {
        const bool local = !cat->ctl->host && !cat->ctl->machine;
        CtlExit e = CTL_EXIT_OK;

        if (local)
                e = cat_files(cat, definition);
        else if (!definition->error)
                e = cat_options(cat, definition);
        if (definition->error) {
                g_autofree char *error = ctl_definition_error(definition);

                ctl_error("the definition of %s is refused: %s", definition->name, error);
        }
        return e;
}

static CtlExit cat_select(Ctl *ctl, char *const *words, GArray *definitions, GPtrArray *selected) {
        CtlExit e = CTL_EXIT_OK;

        for (; *words; words++) {
                bool any = false;

                for (guint i = 0; i < definitions->len; i++) {
                        CtlDefinition *definition = &g_array_index(definitions, CtlDefinition, i);

                        if (!ctl_word_selects(*words, definition->name, definition->groups))
                                continue;
                        any = true;
                        if (!g_ptr_array_find(selected, definition, NULL))
                                g_ptr_array_add(selected, definition);
                }
                if (!any)
                        e = ctl_no_such(ctl, "definition", *words) ?: e;
        }
        return e;
}

CtlExit verb_cat(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GPtrArray) selected = g_ptr_array_new();
        g_autoptr(GArray) definitions = NULL;
        Cat cat = { .ctl = ctl, .first = true };
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 1, INT_MAX, &e))
                return e;
        e = ctl_list_definitions(ctl, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        e = cat_select(ctl, argv + optind, definitions, selected);
        if (ctl->json != CTL_JSON_OFF) {
                CtlExit printed = cat_json(ctl, selected);
                return printed != CTL_EXIT_OK ? printed : e;
        }
        if (selected->len > 0)
                pager_open(ctl);
        for (guint i = 0; i < selected->len; i++) {
                CtlExit one = cat_one(&cat, g_ptr_array_index(selected, i));
                e = e != CTL_EXIT_OK ? e : one;
        }
        return e;
}
