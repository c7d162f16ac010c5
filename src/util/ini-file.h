/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a text in the syntax of Python's configparser, which supervisord and procServUtils have: sections
 * "[name]", assignments "key = value" or "key: value", and comments, which are lines that begin with # or ;.
 * A line that is indented more than the key goes on with its value, also after empty lines, and a newline
 * joins them. Keys are in lower case. Where the caller says so, a comment also begins with # or ; after white
 * space. Nothing is expanded, and quotes are part of the value.
 *
 * As for Python, a line that is no assignment and an assignment before the first section are errors, and so
 * are bytes that are not UTF-8. So are control characters, which no such file has; NUL is one.
 *
 * What a repeated section or key means is the caller's decision. */

#include <stdbool.h>
#include <stddef.h>

/* A place in a text. The strings are valid up to the next call. */
typedef struct IniFile {
        /* Set by ini_file_next(). */
        const char *section;
        const char *key;    /* NULL for the header of the section */
        const char *value;  /* NULL for the header of the section */
        unsigned line;      /* the one in which this, or what is wrong, begins; from 1 on */
        const char *reason; /* what is wrong, after an error; a literal */

        /* Private. */
        bool inline_comments;
        char *rest, *end;
        unsigned n_lines; /* up to rest */
} IniFile;

/* The text is changed while it is read. text[size] must exist and be NUL, as file_read() leaves it. */
void ini_file_init(IniFile *file, char *text, size_t size, bool inline_comments);

/* Moves on to the next section header or assignment, in the order of the text. Returns 1, 0 at the end, or
 * -EBADMSG with file->line and file->reason; there is nothing to read after that. The time of all calls
 * together is linear in the size of the text. */
int ini_file_next(IniFile *file);
