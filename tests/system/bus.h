/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A GDBus connection to the system bus. The thread of GDBus appends every reply to a bus_send() and every
 * signal to one list, in the order of arrival, before anything else happens with it. So a test can check the
 * order of messages, and does not miss a signal that arrives while it waits for something else. */

#include <gio/gio.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Bus Bus;

typedef struct Event {
        guint index;           /* its position in the order of arrival */
        GDBusMessageType type; /* SIGNAL, METHOD_RETURN or ERROR */
        const char *path;
        const char *interface;
        const char *member;
        const char *error; /* name of the error */
        /* The first argument if it is a string or a path, or NULL; of an error its message. */
        const char *text;
        guint32 reply_to;
        GVariant *body; /* never NULL, but the empty tuple */
        int fd;         /* the first descriptor of the message, or -1 */
        gint64 usec;    /* CLOCK_MONOTONIC, of the arrival */
        bool taken;     /* by a bus_wait() */
        /* A repeated event: a service that has crashed may send an event twice, with one number. */
        bool again;
} Event;

/* Connects as root, or with the effective UID of a user, and subscribes to the signals of the node and of the
 * owner of its name. */
Bus *bus_new(void);
Bus *bus_new_as(const char *user);
/* The same, but the node is another instance on the system bus, or main on the bus of a user, as that user.
 * All functions with a Bus refer to this node and its systemd. */
Bus *bus_new_instance(const char *instance);
Bus *bus_new_session(const char *user);
const char *bus_instance(Bus *bus);
const char *bus_node(Bus *bus); /* the bus name of the node */
const char *bus_node_unit(Bus *bus);
const char *bus_keeper_unit(Bus *bus);
/* Flushes what was sent and closes the socket. */
void bus_free(Bus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)

const char *bus_unique_name(Bus *bus);

/* Called in the thread of GDBus for each signal before bus_wait() returns it, as the handler of a client. It
 * may call bus_send(). */
typedef void (*SignalHandler)(Bus *bus, const Event *event, void *userdata);
void bus_set_handler(Bus *bus, SignalHandler handler, void *userdata);

/* -- calls -- */

guint32 bus_send(Bus *bus, const char *name, const char *path, const char *interface, const char *method,
        GVariant *args);
/* The same, and permits that a person is asked to authenticate. */
guint32 bus_send_interactive(Bus *bus, const char *name, const char *path, const char *interface,
        const char *method, GVariant *args);
bool bus_has_reply(Bus *bus, guint32 serial);
/* Returns the reply, which may be an error. */
Event *bus_wait_reply(Bus *bus, guint32 serial);
/* Returns the reply, which must not be an error. */
GVariant *bus_result(Bus *bus, guint32 serial);
/* Returns the reply, which must be this error, as "NoSuchRole" or "org.freedesktop.DBus.Error.InvalidArgs".
 * Each of the strings (up to NULL) must be in its message. */
Event *bus_failure(Bus *bus, guint32 serial, const char *error, ...) G_GNUC_NULL_TERMINATED;
/* For tables, in which the test continues. Returns the difference from the expected reply, or NULL. */
char *bus_problem(Bus *bus, guint32 serial, const char *error, ...) G_GNUC_NULL_TERMINATED;
Event *bus_failure_v(Bus *bus, guint32 serial, const char *error, va_list parts);

GVariant *bus_call(Bus *bus, const char *name, const char *path, const char *interface, const char *method,
        GVariant *args);
GVariant *bus_get(Bus *bus, const char *name, const char *path, const char *interface, const char *property);

/* -- signals -- */

/* Sends a signal to a connection, or as a broadcast if destination is NULL. */
void bus_emit(Bus *bus, const char *destination, const char *path, const char *interface, const char *member,
        GVariant *args);
/* As sd_bus_path_encode(3). The caller frees it. */
char *bus_path_encode(const char *prefix, const char *label);
/* Sends a reply to a call that may have been made to somebody else. */
void bus_forge_reply(Bus *bus, const char *destination, guint32 serial, GVariant *body);
void bus_flush(Bus *bus); /* returns when everything that was sent is written */
/* Makes the bus pass on broadcasts that match the rule. */
void bus_add_match(Bus *bus, const char *rule);

/* The key is NULL, the object path, or the first argument if that is a string or a path; most signals have
 * their role there. */
bool event_is(const Event *event, const char *member, const char *key);

/* Returns the first such signal that bus_wait() has not returned before, but no repeated event. */
Event *bus_wait(Bus *bus, const char *member, const char *key);

/* The same, without waiting. Returns NULL if there is none. */
Event *bus_find(Bus *bus, const char *member, const char *key);

/* Returns the number of repeated events. */
guint bus_count_again(Bus *bus);

/* Return all that have arrived until now, whether a test waited for them or not; each event once. */
guint bus_count(Bus *bus, const char *member, const char *key);
GPtrArray *bus_all(Bus *bus, const char *member, const char *key); /* of Event */

/* Returns the number of messages until now. Later messages have this index or a higher one. */
guint bus_mark(Bus *bus);
guint bus_count_since(Bus *bus, guint mark, const char *member, const char *key);

/* Prints the last messages, for a test that fails. */
void bus_dump(Bus *bus);
