/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Why a request failed, as the model says it: an error that has a name on the bus, and a message that names the object
 * and the reason. The bus room turns it into a D-Bus error, a test reads it as it is. */

#include <glib.h>

#include "base/macro.h"
#include "proto/node-errors.h"

typedef struct Fault {
        NodeError error;
        char *message; /* UTF-8; NULL: no fault */
} Fault;

/* Fills *fault unless it holds one already (the first reason is the true one); fault may be NULL. Bytes of the message that are
 * not UTF-8 become U+FFFD. Returns the negative errno of the error. */
int fault_set(Fault *fault, NodeError error, const char *format, ...) _printf_(3, 4);
void fault_clear(Fault *fault);
void fault_copy(Fault *to, const Fault *from);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fault, fault_clear)
