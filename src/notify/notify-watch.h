/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One instance of the node: reads its events, and says what a person is to be told. What has happened before
 * this program was there is one note. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "notify/notify-note.h"

typedef struct NotifyWatch NotifyWatch;

/* The subject of a note about all that has happened before. No role has this name. */
#define NOTIFY_SUBJECT_AWAY "-away"

typedef struct NotifyWatchHandlers {
        /* Takes the note. subject is the role, or empty. */
        void (*note)(const NotifyWatch *watch, const char *subject, Note *note, void *userdata);
        /* Returns the number of the first event of this watch that is not shown yet, or 0. */
        uint64_t (*first_seq)(const NotifyWatch *watch, void *userdata);
        /* The numbers of the events begin again. */
        void (*epoch)(const NotifyWatch *watch, void *userdata);
} NotifyWatchHandlers;

/* The bus must be attached to the loop; user says that it is that of the user. The position is saved in the
 * state directory. Returns a negative errno after logging. */
int notify_watch_new(sd_bus *bus, bool user, const char *instance, int state_fd,
        const NotifyWatchHandlers *handlers, void *userdata, NotifyWatch **ret);

/* The bus must not be dispatched any more. */
NotifyWatch *notify_watch_free(NotifyWatch *watch);

/* Something was shown, or is to be saved for the next process at once. */
void notify_watch_shown(NotifyWatch *watch);
void notify_watch_save(NotifyWatch *watch);

/* Returns whether it was there before this process, so that one before may have shown something just now. */
bool notify_watch_has_history(const NotifyWatch *watch);

sd_bus *notify_watch_bus(const NotifyWatch *watch);
bool notify_watch_is_user(const NotifyWatch *watch);
const char *notify_watch_instance(const NotifyWatch *watch);
const char *notify_watch_bus_name(const NotifyWatch *watch);

/* Returns which one it is, in words, or NULL for main of the system. */
const char *notify_watch_place(const NotifyWatch *watch);
