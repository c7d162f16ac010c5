/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files in the syntax of configparser, for the importers: their sections, and what their values stand for. */

#include "ctl/import.h"

typedef struct IniValue {
        char *key;
        char *text;
        ImportPlace place;
        bool used;     /* it has become something else than a comment */
        bool replaced; /* a later line sets it again */
} IniValue;

typedef struct IniSection {
        char *name;
        ImportPlace place;
        GPtrArray *values; /* of IniValue */
} IniSection;

GPtrArray *ini_sections_new(void); /* of IniSection */

/* Adds the sections of a file. A section that is there gets its values, as for Python. from is the place that
 * names the file, or has no file. Reports errors. */
void ini_sections_read(
        Import *import, GPtrArray *sections, ImportPlace from, const char *path, bool inline_comments);

/* Returns NULL if there is none. */
IniSection *ini_sections_find(const GPtrArray *sections, const char *name);
/* The value that counts, which is marked as used; NULL if there is none. */
IniValue *ini_section_take(const IniSection *section, const char *key);

/* Comments for all values that were not used: with this reason, or if that is NULL with that of reason_of()
 * for the key. */
void ini_section_comment(const IniSection *section, GPtrArray *lines, const char *reason,
        const char *(*reason_of)(const char *key));

/* A reference "%(name)02d" in a value. */
typedef struct IniReference {
        char *name;
        char *width; /* "02", or "" */
        char conversion;
} IniReference;

void ini_reference_clear(IniReference *reference);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IniReference, ini_reference_clear)

/* Appends the text before the next reference and moves *text behind that. Returns 1, 0 at the end, or -EINVAL
 * if there is a % that begins none. */
int ini_next_reference(const char **text, GString *literal, IniReference *ret);

/* Returns the text with what its references stand for, by their names. Reports an error and returns NULL if
 * one is not among these. The caller frees it. */
char *ini_expand(Import *import, const IniValue *value, GHashTable *names);
