/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Compares the introspection of an object with a document of dbus-interfaces/. */

#include <gio/gio.h>

/* The caller frees them with g_dbus_node_info_unref(). */
GDBusNodeInfo *interface_parse(const char *xml);
GDBusNodeInfo *interface_promised(const char *interface);

/* Fails if the introspection lacks a member of the document of this interface, or has another one. */
void interface_compare(const char *introspection, const char *interface);
