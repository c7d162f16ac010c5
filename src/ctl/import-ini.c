/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/parse-util.h"
#include "ctl/import-ini.h"
#include "util/ini-file.h"

/* -- sections -- */

static void ini_value_free(void *p) {
        IniValue *value = p;

        g_free(value->key);
        g_free(value->text);
        g_free(value);
}

static void ini_section_free(void *p) {
        IniSection *section = p;

        g_free(section->name);
        g_ptr_array_unref(section->values);
        g_free(section);
}

GPtrArray *ini_sections_new(void) {
        return g_ptr_array_new_with_free_func(ini_section_free);
}

IniSection *ini_sections_find(const GPtrArray *sections, const char *name) {
        for (unsigned i = 0; i < sections->len; i++) {
                IniSection *section = g_ptr_array_index(sections, i);

                if (strcmp(section->name, name) == 0)
                        return section;
        }
        return NULL;
}

static IniSection *sections_add(GPtrArray *sections, const char *name, ImportPlace place) {
        IniSection *section = ini_sections_find(sections, name);

        if (section)
                return section;
        section = g_new(IniSection, 1);
        *section = (IniSection){
                .name = g_strdup(name),
                .place = place,
                .values = g_ptr_array_new_with_free_func(ini_value_free),
        };
        g_ptr_array_add(sections, section);
        return section;
}

static void section_add_value(IniSection *section, const char *key, const char *text, ImportPlace place) {
        IniValue *value = g_new(IniValue, 1);

        for (unsigned i = 0; i < section->values->len; i++) {
                IniValue *other = g_ptr_array_index(section->values, i);

                other->replaced = other->replaced || strcmp(other->key, key) == 0;
        }
        *value = (IniValue){ .key = g_strdup(key), .text = g_strdup(text), .place = place };
        g_ptr_array_add(section->values, value);
}

void ini_sections_read(
        Import *import, GPtrArray *sections, ImportPlace from, const char *path, bool inline_comments) {
        /* The places stay valid as long as the program. */
        const char *name = g_intern_string(path);
        IniSection *section = NULL;
        g_autofree char *text = NULL;
        size_t size = 0;
        IniFile file;
        int r;

        if (!import_read_file(import, from, path, &text, &size))
                return;
        ini_file_init(&file, text, size, inline_comments);
        while ((r = ini_file_next(&file)) > 0) {
                const ImportPlace place = { name, file.line };

                if (!file.key)
                        section = sections_add(sections, file.section, place);
                else {
                        g_assert(section); /* the reader refuses a key before the first one */
                        section_add_value(section, file.key, file.value, place);
                }
        }
        if (r < 0)
                import_error(import, (ImportPlace){ name, file.line }, "%s", file.reason);
}

IniValue *ini_section_take(const IniSection *section, const char *key) {
        for (unsigned i = 0; section && i < section->values->len; i++) {
                IniValue *value = g_ptr_array_index(section->values, i);

                if (!value->replaced && strcmp(value->key, key) == 0) {
                        value->used = true;
                        return value;
                }
        }
        return NULL;
}

void ini_section_comment(const IniSection *section, GPtrArray *lines, const char *reason,
        const char *(*reason_of)(const char *key)) {
        for (unsigned i = 0; i < section->values->len; i++) {
                const IniValue *value = g_ptr_array_index(section->values, i);

                if (!value->used)
                        import_comment(lines, value->place, value->key, value->text,
                                value->replaced ? "a later line sets it again" : reason ?: reason_of(value->key));
        }
}

/* -- what values stand for -- */

void ini_reference_clear(IniReference *reference) {
        g_clear_pointer(&reference->name, g_free);
        g_clear_pointer(&reference->width, g_free);
}

int ini_next_reference(const char **text, GString *literal, IniReference *ret) {
        static const char conversions[] = "sdiu";
        const char *s = *text, *percent;

        while ((percent = strchr(s, '%'))) {
                const char *end = percent[1] == '(' ? strchr(percent, ')') : NULL;

                g_string_append_len(literal, s, percent - s);
                if (percent[1] == '%') {
                        g_string_append_c(literal, '%');
                        s = percent + 2;
                        continue;
                }
                if (!end)
                        return -EINVAL;
                const size_t width = strspn(end + 1, "0123456789-");
                if (!end[1 + width] || !strchr(conversions, end[1 + width]) || width > 4)
                        return -EINVAL;
                *ret = (IniReference){
                        .name = g_strndup(percent + 2, (gsize) (end - percent - 2)),
                        .width = g_strndup(end + 1, width),
                        .conversion = end[1 + width],
                };
                *text = end + 2 + width;
                return 1;
        }
        g_string_append(literal, s);
        *text = s + strlen(s);
        return 0;
}

/* As printf() of Python: a number is filled up with zeroes if the width begins with one. */
static void append_formatted(GString *s, const char *value, const IniReference *reference) {
        const char *width = reference->width;
        const bool left = width[0] == '-', zero = width[0] == '0' && reference->conversion != 's';
        uint32_t n = 0;

        /* The instances have the width themselves. */
        if (strcmp(value, IMPORT_INSTANCE) != 0)
                (void) parse_u32(width + left, &n);
        const size_t size = strlen(value), fill = n > size ? n - size : 0;

        for (size_t i = 0; !left && i < fill; i++)
                g_string_append_c(s, zero ? '0' : ' ');
        g_string_append(s, value);
        for (size_t i = 0; left && i < fill; i++)
                g_string_append_c(s, ' ');
}

char *ini_expand(Import *import, const IniValue *value, GHashTable *names) {
        g_autoptr(GString) s = g_string_new(NULL);
        const char *text = value->text;

        for (;;) {
                g_auto(IniReference) reference = {};
                const char *with;

                int r = ini_next_reference(&text, s, &reference);
                if (r < 0) {
                        import_error(import, value->place,
                                "%s= has a %% that is no %%(name)s; a percent sign is written %%%%",
                                value->key);
                        return NULL;
                }
                if (r == 0)
                        return g_string_free(g_steal_pointer(&s), FALSE);
                with = g_hash_table_lookup(names, reference.name);
                if (!with && g_str_has_prefix(reference.name, "ENV_")) {
                        const char *variable = reference.name + strlen("ENV_");

                        import_error(import, value->place,
                                "%s= has %%(%s)s, and %s is not in the environment; give it by --setenv=%s=VALUE",
                                value->key, reference.name, variable, variable);
                        return NULL;
                }
                if (!with) {
                        import_error(import, value->place, "%s= has %%(%s)s, which stands for nothing here",
                                value->key, reference.name);
                        return NULL;
                }
                append_formatted(s, with, &reference);
        }
}
