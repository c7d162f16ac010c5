/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client of the terminal of a role, with everything that it was shown, and a keyboard. */

#include <glib.h>
#include <stdbool.h>

#include "bus.h"

typedef struct Screen {
        int fd;
        GString *text; /* all of it */
        gsize seen;    /* the end of the last expected text */
        bool ended;
} Screen;

/* Calls OpenTerminal with these options, which may be NULL. */
Screen *screen_open(Bus *bus, const char *role, GVariant *options);
/* Uses a descriptor, and takes ownership of it. */
Screen *screen_new(int fd);
void screen_free(Screen *screen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Screen, screen_free)

void screen_type(Screen *screen, const char *text);
/* Waits for a text after the last one that was expected. */
void screen_expect(Screen *screen, const char *text);
/* Reads until end-of-file. */
void screen_expect_end(Screen *screen);

/* Returns the processes that serve terminals now, oldest first. They are children of the keeper, as pid_t. */
GArray *terminal_pids(Bus *bus);
