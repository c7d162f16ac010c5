/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Splits a line into words at its white space, with the quotes of a shell or of the unit files of systemd.
 * Nothing is expanded, and '#' is an ordinary character. In both, single and double quotes may begin and end
 * anywhere in a word, and two of them make an empty word. */

#include <glib.h>

#include "model/fault.h"

typedef enum WordsSyntax {
        /* As sh(1): nothing is special within '...'; a backslash escapes one of $`"\ within "...", and any
         * character outside. */
        WORDS_SHELL,
        /* As systemd.syntax(7): a backslash begins an escape of C or "\s" for a space, everywhere. */
        WORDS_UNIT,
} WordsSyntax;

/* The caller frees *ret with g_strfreev(). All words are UTF-8 if the text is. Fails with InvalidArgs,
 * and the message has nothing of the text, which may be secret, but the character of an escape. */
int words_split(const char *text, WordsSyntax syntax, char ***ret, Fault *fault);
