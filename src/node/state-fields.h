/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the small files of the saved state carry besides their contents: a version, and lines KEY=VALUE that a newer version of
 * the service has added. Those are kept, so that it finds them again after a downgrade. */

#define STATE_FIELDS_VERSION 1U

/* The lines "<prefix>KEY=VALUE" of the text (KEY: capitals and '_') but VERSION, each with its newline. "" is none. The caller
 * frees. */
char *state_fields_unknown(const char *text, const char *prefix);

/* The same with the version in front, to be saved; unknown may be NULL. The caller frees. */
char *state_fields_format(const char *prefix, const char *unknown);
