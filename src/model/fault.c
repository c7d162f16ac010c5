/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/fault.h"

int fault_set(Fault *fault, NodeError error, const char *format, ...) {
        if (fault && !fault->message) {
                va_list ap;

                va_start(ap, format);
                fault->error = error;
                g_autofree char *message = g_strdup_vprintf(format, ap);
                va_end(ap);
                /* D-Bus permits UTF-8 only, and the message may contain bytes of a file or a program. */
                fault->message = g_utf8_make_valid(message, -1);
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
