/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Our terminal, or what our standard input and output are, connected to the terminal of a role. */

#include <stdbool.h>
#include <termios.h>

#include "ctl/ctl.h"
#include "ctl/output.h"

#define TERMINAL_ESCAPE_DEFAULT 0x1d /* Ctrl-] */
#define TERMINAL_ESCAPE_NONE (-1)

typedef struct Terminal {
        const char *role; /* NULL if the descriptors were passed to us */
        const char *bus_name;
        bool force;  /* of Ctl, when it was opened */
        sd_bus *bus; /* of Ctl, whose events are handled meanwhile; NULL without one */
        int fd;      /* of the terminal */
        int size_fd; /* negative if the size is sent over the bus */
        int signal_fd;
        int escape; /* the key that detaches */

        bool input_is_terminal;
        bool output_is_terminal;
        struct termios settings; /* the previous settings */
        bool raw;

        CtlOutput output;

        bool input_ended;
        char input[4096]; /* typed; the role's terminal has not accepted it yet */
        size_t input_begin, input_end;

        /* What has ended it: the end of the role, the user's key, or one of these is false, which means a
         * signal or the end of our terminal. */
        bool detached;
        bool escaped; /* by the key */
        bool ended;
} Terminal;

void terminal_init(Terminal *terminal, const char *role);
void terminal_clear(Terminal *terminal);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Terminal, terminal_clear)

/* Opens the terminal of the role. Returns a negative errno, with the error of the call. */
int terminal_open(Ctl *ctl, Terminal *terminal, bool replay, sd_bus_error *error);

/* Shows it until it ends, or the user detaches, or a signal comes. Everything that it changes on the user's
 * terminal is restored. With talks it says when it begins and ends. */
CtlExit terminal_show(Terminal *terminal, bool talks);
