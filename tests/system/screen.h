/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client of a role's terminal: everything that it was shown, and a keyboard. */

#include <glib.h>
#include <stdbool.h>

#include "bus.h"

typedef struct Screen {
        int fd;
        GString *text; /* all of it */
        gsize seen;    /* what was expected up to now */
        bool ended;
} Screen;

/* OpenTerminal with these options; NULL: none. */
Screen *screen_open(Bus *bus, const char *role, GVariant *options);
/* On a descriptor, which it takes. */
Screen *screen_new(int fd);
void screen_free(Screen *screen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Screen, screen_free)

void screen_type(Screen *screen, const char *text);
/* Waits for a text after the last that was expected. */
void screen_expect(Screen *screen, const char *text);
/* Reads until end-of-file. */
void screen_expect_end(Screen *screen);

/* The processes that serve terminals now, oldest first: children of the keeper, of pid_t. */
GArray *terminal_pids(Bus *bus);
