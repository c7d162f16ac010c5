/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decides what is shown when: for each role what waits and what is shown, never more than one notification a
 * role and BOARD_INTERVAL_USEC, and nothing that comes in between is lost. It calls nobody, and the time is
 * that of CLOCK_MONOTONIC. */

#include <stdbool.h>
#include <stdint.h>

#include "notify/notify-note.h"

#define BOARD_INTERVAL_USEC (10 * USEC_PER_SEC)
/* The end of a role and what its policy decides are two events, and one thing to be told. */
#define BOARD_SETTLE_USEC (300 * USEC_PER_MSEC)
/* Roles that are remembered. */
#define BOARD_MAX 1024U

typedef struct Board Board;

/* A role. It lives until it is forgotten, which never happens while it has something to tell. */
typedef struct BoardEntry {
        const void *origin; /* whose role it is; not owned */
        char *subject;      /* the role, or what the origin calls it */
        uint32_t id;        /* of its last notification; 0: none */
        Batch batch;        /* what is being shown; its note is NULL if nothing is */

        /* Of who shows it. */
        bool closed;           /* the last notification is not there any more */
        unsigned cockpit_port; /* what it offers */
        char *token;           /* of the desktop, for a window that a click opens */

        /* Private. */
        Batch waiting;
        uint64_t not_before_usec;
} BoardEntry;

Board *board_new(void);
Board *board_free(Board *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Board, board_free)

/* Roles that are not known yet are not shown before this time, since the process before may have shown them.
 */
void board_hold(Board *board, uint64_t not_before_usec);

/* Takes the note. Returns false if there are too many roles to remember one more. */
bool board_add(Board *board, const void *origin, const char *subject, Note *note, uint64_t now);

/* Returns a role whose batch is to be shown now, and which is not returned again before board_shown() or
 * board_not_shown(). If there is none, returns NULL, and the time of the next one, or UINT64_MAX. */
BoardEntry *board_take(Board *board, uint64_t now, uint64_t *ret_next_usec);

/* The notification is there. An id of 0 is none that could be replaced. */
void board_shown(Board *board, BoardEntry *entry, uint32_t id, uint64_t now);
/* It waits again, with what has come meanwhile. */
void board_not_shown(Board *board, BoardEntry *entry);

/* Returns the role of a notification, or NULL. */
BoardEntry *board_find(Board *board, uint32_t id);
/* No notification of the daemon is there any more. */
void board_forget_ids(Board *board);

/* Returns the number of the first event of the origin that is not shown yet, or 0. */
uint64_t board_first_seq(Board *board, const void *origin);
/* The numbers of the origin begin again. */
void board_forget_seqs(Board *board, const void *origin);
