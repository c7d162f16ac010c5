/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One GDBus connection to the system bus. Every reply to a bus_send() and every signal is put into one list in the order
 * in which it came, by GDBus's own thread, before anything else happens with it: so a test can ask what came before
 * what, and cannot miss an event that came while it looked elsewhere. */

#include <gio/gio.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Bus Bus;

typedef struct Event {
        guint index;           /* its place in the order of arrival */
        GDBusMessageType type; /* SIGNAL, METHOD_RETURN or ERROR */
        const char *path;
        const char *interface;
        const char *member;
        const char *error; /* name of the error */
        const char *text;  /* the first argument, if it is a string or a path; NULL. An error's message */
        guint32 reply_to;
        GVariant *body; /* never NULL: the empty tuple instead */
        int fd;         /* the first descriptor that came with it; -1: none */
        gint64 usec;    /* CLOCK_MONOTONIC, when it came */
        bool taken;     /* by a bus_wait() */
        bool again; /* an event that has come before: a crashed service may tell it twice, with one number */
} Event;

/* As root, or with the effective uid of a user. Signals of the node (and of its name's owner) are subscribed to. */
Bus *bus_new(void);
Bus *bus_new_as(const char *user);
/* The same, but the node is another instance on the system bus, or main on the bus of a user, as that user. Everything that
 * takes a Bus is about this node and its systemd. */
Bus *bus_new_instance(const char *instance);
Bus *bus_new_session(const char *user);
const char *bus_instance(Bus *bus);
const char *bus_node(Bus *bus); /* its bus name */
const char *bus_node_unit(Bus *bus);
const char *bus_keeper_unit(Bus *bus);
/* Without a farewell: what was sent is flushed, then the socket is closed. */
void bus_free(Bus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)

const char *bus_unique_name(Bus *bus);

/* Called in GDBus's thread for each signal, before bus_wait() sees it: the handler of a client. It may bus_send(). */
typedef void (*SignalHandler)(Bus *bus, const Event *event, void *userdata);
void bus_set_handler(Bus *bus, SignalHandler handler, void *userdata);

/* -- calls ------------------------------------------------------------------------------------------------------- */

guint32 bus_send(Bus *bus, const char *name, const char *path, const char *interface, const char *method,
        GVariant *args);
bool bus_has_reply(Bus *bus, guint32 serial);
/* The reply, whatever it is. */
Event *bus_wait_reply(Bus *bus, guint32 serial);
/* The reply, which must not be an error. */
GVariant *bus_result(Bus *bus, guint32 serial);
/* The reply, which must be this error, "NoSuchRole" or "org.freedesktop.DBus.Error.InvalidArgs"; each of the strings (up to
 * NULL) must be in its message. */
Event *bus_failure(Bus *bus, guint32 serial, const char *error, ...) G_GNUC_NULL_TERMINATED;
/* For tables, which go on: what is wrong with the reply; NULL: nothing. */
char *bus_problem(Bus *bus, guint32 serial, const char *error, ...) G_GNUC_NULL_TERMINATED;
Event *bus_failure_v(Bus *bus, guint32 serial, const char *error, va_list parts);

GVariant *bus_call(Bus *bus, const char *name, const char *path, const char *interface, const char *method,
        GVariant *args);
GVariant *bus_get(Bus *bus, const char *name, const char *path, const char *interface, const char *property);

/* -- signals ----------------------------------------------------------------------------------------------------- */

/* Sends one itself, to a connection or (NULL) as a broadcast. */
void bus_emit(Bus *bus, const char *destination, const char *path, const char *interface, const char *member,
        GVariant *args);
void bus_flush(Bus *bus); /* returns when all that was sent is written */
/* Has the bus pass on what is broadcast and matches the rule. */
void bus_add_match(Bus *bus, const char *rule);

/* Key: NULL, or the object path, or the first argument if that is a string or a path: most signals name their role there. */
bool event_is(const Event *event, const char *member, const char *key);

/* The first such signal that was not waited for before; never an event that comes again. */
Event *bus_wait(Bus *bus, const char *member, const char *key);

/* The same, without waiting: NULL if it is not there. */
Event *bus_find(Bus *bus, const char *member, const char *key);

/* How many events have come that had come before. */
guint bus_count_again(Bus *bus);

/* All that came up to now, waited for or not; each event once. */
guint bus_count(Bus *bus, const char *member, const char *key);
GPtrArray *bus_all(Bus *bus, const char *member, const char *key); /* of Event */

/* The number of events up to now: what comes later has this index or a higher one. */
guint bus_mark(Bus *bus);
guint bus_count_since(Bus *bus, guint mark, const char *member, const char *key);

/* Prints the last events, for a test that fails. */
void bus_dump(Bus *bus);
