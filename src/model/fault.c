/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/utf8.h"
#include "model/fault.h"

char *text_make_valid(const char *text) {
        GString *s = g_string_sized_new(strlen(text) + 1);
        size_t n;

        while (*text) {
                n = utf8_length(text);
                if (n > 0)
                        g_string_append_len(s, text, (gssize) n);
                else
                        g_string_append(s, "\xef\xbf\xbd");
                text += MAX(n, 1);
        }
        return g_string_free(s, false);
}

int fault_set(Fault *fault, NodeError error, const char *format, ...) {
        if (fault && !fault->message) {
                va_list ap;

                va_start(ap, format);
                fault->error = error;
                g_autofree char *message = g_strdup_vprintf(format, ap);
                va_end(ap);
                /* It may contain bytes of a file or a program. */
                fault->message = text_make_valid(message);
        }
        return -node_error_to_errno(error);
}

void fault_clear(Fault *fault) {
        g_clear_pointer(&fault->message, g_free);
}

void fault_copy(Fault *to, const Fault *from) {
        if (from->message)
                (void) fault_set(to, from->error, "%s", from->message);
}
