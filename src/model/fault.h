/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The path of an error.
 *
 * A function that can fail returns an int, which is 0 or more on success and a negative errno on failure. Its
 * other results come last and are named ret_*; they are not changed on failure. Below the model (base, proto,
 * util) functions return this number only. No caller compares it with a value that the header of the function
 * does not name: there -ENOENT, -EAGAIN or -ENOTCONN is a documented answer. All other numbers are passed on,
 * or printed with %m.
 *
 * A Fault is the error that a caller on the bus receives. It consists of an error with a name on the bus
 * (proto/node-errors.h), and of a sentence that names the object, the reason and, if there is one, the
 * remedy. It is created at the edge, by the function that knows to which role, file or option the number
 * belongs. fault_set() fills it and returns the negative errno of its name, so "return fault_set(...)" is
 * sufficient. A function with a Fault sets it whenever it returns a negative number, and never otherwise. Its
 * callers pass it on without reading it.
 *
 * The first reason is the cause of the others, so fault_set() and fault_copy() do not change a Fault that is
 * set. An error while a start is undone does not hide why the start had to be undone.
 *
 * A Fault or a number has one of three ends. The room bus turns it into a D-Bus error (fault_to_bus_error(),
 * operation_new()). A Waiter, which is the only way to answer later, receives it as an argument, NULL on
 * success; the function that calls the Waiter owns it. An error without a caller (in a timer, or a message of
 * the keeper) is logged where it happens, and the service continues. A failure that matters less is cast to
 * void, or logged with "ignoring" in its text.
 *
 * Allocation does not fail, because GLib ends the process, and the next one continues (src/README.md, "One
 * restart"). */

#include <glib.h>

#include "base/macro.h"
#include "proto/node-errors.h"

/* Owned by the function that declares it, as g_auto(Fault) fault = {}. */
typedef struct Fault {
        NodeError error;
        char *message; /* UTF-8; NULL if there is no fault */
} Fault;

/* Returns a copy in which each byte that the bus refuses (see base/utf8.h) is U+FFFD. */
char *text_make_valid(const char *text);

/* Fills *fault unless it is filled already, because the first reason is the cause of the others. fault may be
 * NULL. The message is as text_make_valid() returns it. Returns the negative errno of the error. */
int fault_set(Fault *fault, NodeError error, const char *format, ...) _printf_(3, 4);
void fault_clear(Fault *fault);
/* Copies *from unless *to is filled already or *from has no fault. */
void fault_copy(Fault *to, const Fault *from);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fault, fault_clear)
