/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How errors travel.
 *
 * A function that can fail returns an int: 0 or more on success, a negative errno on failure. What it returns besides comes
 * last, is named ret_*, and is untouched on failure. Below the model (base, proto, util) that number is all there is. No
 * function matches the numbers of another one unless its header names them: there -ENOENT, -EAGAIN or -ENOTCONN is a
 * documented answer; any other number is only passed on, or printed with %m.
 *
 * A Fault is what a caller on the bus gets to know: an error that has a name there (proto/node-errors.h), and a sentence
 * that names the object, the reason and, if there is one, the remedy. It is made at the edge, which is the function that
 * knows which role, file or option the number is about: fault_set() fills it and returns the negative errno of its name, so
 * that "return fault_set(...)" is the whole path. Functions that take a Fault set it whenever they return a negative number,
 * and never otherwise; callers pass it up unread.
 *
 * The first reason is the true one: fault_set() and fault_copy() leave a Fault that is set as it is. So what goes wrong
 * while a start is undone does not hide why it had to be.
 *
 * Three ends are possible. The bus room turns a Fault into a D-Bus error (fault_to_bus_error(), operation_new()). A Waiter,
 * which is the one way in which an answer comes later, gets it as an argument, NULL on success; it stays the callee's. And
 * what has no caller (a timer, a message of the keeper) logs it where it happens, and goes on. A failure that is worth no
 * more is cast to void, or logged with "ignoring" in its text.
 *
 * Allocation does not fail: GLib ends the process, and the next one goes on (src/README.md, "One restart"). */

#include <glib.h>

#include "base/macro.h"
#include "proto/node-errors.h"

/* Owned by the function that declares it, as g_auto(Fault) fault = {}. */
typedef struct Fault {
        NodeError error;
        char *message; /* UTF-8; NULL if there is no fault */
} Fault;

/* Fills *fault unless it is filled already, because the first reason is the cause of the others. fault may be
 * NULL. Bytes of the message that are not UTF-8 become U+FFFD. Returns the negative errno of the error. */
int fault_set(Fault *fault, NodeError error, const char *format, ...) _printf_(3, 4);
void fault_clear(Fault *fault);
void fault_copy(Fault *to, const Fault *from);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fault, fault_clear)
