/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a text in the syntax of unit files (systemd.syntax(7)): sections "[Name]", assignments "Key=value",
 * and comments, which are lines that begin with # or ;. White space around keys and values is removed. A
 * line whose last character is a backslash goes on in the next one that is no comment, and a space replaces
 * the backslash. In a run of backslashes only the last one of an odd number does so. Quotes and escape
 * sequences are part of the value.
 *
 * As for systemd, a line ends with "\n" or "\r", or with one of each, and a byte order mark at the beginning
 * of a line is skipped once. What systemd ignores with a warning is an error here: a line that is neither a
 * section header nor an assignment, an assignment before the first header, bytes that are not UTF-8. So are
 * NUL bytes, which systemd takes for the end of a line, and the characters of base/utf8.h, since values are
 * sent over the bus. In comments everything but NUL is permitted.
 *
 * What a repeated key or an empty value means is the caller's decision, and so are unknown keys and
 * sections. */

#include <stdbool.h>
#include <stddef.h>

/* A place in a text. The strings are valid as long as the text, whose owner is the caller. */
typedef struct UnitFile {
        /* Set by unit_file_next(). */
        const char *section;
        const char *key;    /* NULL for the header of the section */
        const char *value;  /* NULL for the header of the section, never NULL for a key */
        unsigned line;      /* the one in which this, or what is wrong, begins; from 1 on */
        const char *reason; /* what is wrong, after an error; a literal */

        /* Private. */
        char *rest, *end;
        unsigned n_lines; /* up to rest */
        bool mark_seen;
} UnitFile;

/* The text is changed while it is read. text[size] must exist and be NUL, as file_read() leaves it. */
void unit_file_init(UnitFile *file, char *text, size_t size);

/* Moves on to the next section header or assignment, in the order of the text. Returns 1, 0 at the end, or
 * -EBADMSG with file->line and file->reason; there is nothing to read after that. The time of all calls
 * together is linear in the size of the text. */
int unit_file_next(UnitFile *file);
