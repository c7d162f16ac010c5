/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/time-util.h"
#include "notify/notify-board.h"

struct Board {
        GHashTable *entries; /* of BoardEntry *, which are their own keys */
        uint64_t not_before_usec;
};

static unsigned entry_hash(gconstpointer p) {
        const BoardEntry *entry = p;

        return g_str_hash(entry->subject) ^ g_direct_hash(entry->origin);
}

static gboolean entry_equal(gconstpointer a, gconstpointer b) {
        const BoardEntry *x = a, *y = b;

        return x->origin == y->origin && g_str_equal(x->subject, y->subject);
}

static void entry_free(void *p) {
        BoardEntry *entry = p;

        batch_clear(&entry->batch);
        batch_clear(&entry->waiting);
        g_free(entry->subject);
        g_free(entry->token);
        g_free(entry);
}

Board *board_new(void) {
        Board *board = g_new(Board, 1);

        *board = (Board){ .entries = g_hash_table_new_full(entry_hash, entry_equal, entry_free, NULL) };
        return board;
}

void board_hold(Board *board, uint64_t not_before_usec) {
        board->not_before_usec = not_before_usec;
}

Board *board_free(Board *board) {
        if (!board)
                return NULL;
        g_hash_table_unref(board->entries);
        g_free(board);
        return NULL;
}

/* Nothing of it is to be told, and its next notification may come at any time. */
static bool entry_is_idle(const BoardEntry *entry, uint64_t now) {
        return !entry->batch.note && !entry->waiting.note && entry->not_before_usec <= now;
}

/* Forgets the role that was shown the longest time ago. Returns whether there was one. */
static bool board_forget_one(Board *board, uint64_t now) {
        BoardEntry *entry, *oldest = NULL;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, board->entries);
        while (g_hash_table_iter_next(&iter, (void **) &entry, NULL))
                if (entry_is_idle(entry, now) &&
                        (!oldest || entry->not_before_usec < oldest->not_before_usec))
                        oldest = entry;
        return oldest && g_hash_table_remove(board->entries, oldest);
}

static BoardEntry *board_get(Board *board, const void *origin, const char *subject, uint64_t now) {
        const BoardEntry key = { .origin = origin, .subject = (char *) subject };
        BoardEntry *entry = g_hash_table_lookup(board->entries, &key);

        if (entry)
                return entry;
        if (g_hash_table_size(board->entries) >= BOARD_MAX && !board_forget_one(board, now))
                return NULL;
        entry = g_new(BoardEntry, 1);
        *entry = (BoardEntry){
                .origin = origin,
                .subject = g_strdup(subject),
                .not_before_usec = board->not_before_usec,
        };
        g_hash_table_add(board->entries, entry);
        return entry;
}

bool board_add(Board *board, const void *origin, const char *subject, Note *note, uint64_t now) {
        BoardEntry *entry = board_get(board, origin, subject, now);

        if (!entry) {
                (void) note_free(note);
                return false;
        }
        if (!entry->waiting.note)
                entry->not_before_usec = MAX(entry->not_before_usec, now + BOARD_SETTLE_USEC);
        batch_add(&entry->waiting, note);
        return true;
}

BoardEntry *board_take(Board *board, uint64_t now, uint64_t *ret_next_usec) {
        BoardEntry *entry, *first = NULL;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, board->entries);
        while (g_hash_table_iter_next(&iter, (void **) &entry, NULL))
                if (entry->waiting.note && !entry->batch.note &&
                        (!first || entry->not_before_usec < first->not_before_usec))
                        first = entry;
        *ret_next_usec = first ? first->not_before_usec : UINT64_MAX;
        if (!first || first->not_before_usec > now)
                return NULL;
        first->batch = first->waiting;
        first->waiting = (Batch){};
        return first;
}

void board_shown(Board *board, BoardEntry *entry, uint32_t id, uint64_t now) {
        batch_clear(&entry->batch);
        entry->id = id;
        entry->closed = false;
        entry->not_before_usec = now + BOARD_INTERVAL_USEC;
}

void board_not_shown(Board *board, BoardEntry *entry) {
        batch_add_older(&entry->waiting, &entry->batch);
}

BoardEntry *board_find(Board *board, uint32_t id) {
        BoardEntry *entry;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, board->entries);
        while (id != 0 && g_hash_table_iter_next(&iter, (void **) &entry, NULL))
                if (entry->id == id)
                        return entry;
        return NULL;
}

void board_forget_ids(Board *board) {
        BoardEntry *entry;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, board->entries);
        while (g_hash_table_iter_next(&iter, (void **) &entry, NULL))
                entry->id = 0;
}

uint64_t board_first_seq(Board *board, const void *origin) {
        BoardEntry *entry;
        GHashTableIter iter;
        uint64_t first = 0;

        g_hash_table_iter_init(&iter, board->entries);
        while (g_hash_table_iter_next(&iter, (void **) &entry, NULL))
                if (entry->origin == origin)
                        first = seq_first(first, seq_first(entry->batch.seq, entry->waiting.seq));
        return first;
}

void board_forget_seqs(Board *board, const void *origin) {
        BoardEntry *entry;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, board->entries);
        while (g_hash_table_iter_next(&iter, (void **) &entry, NULL))
                if (entry->origin == origin)
                        entry->batch.seq = entry->waiting.seq = 0;
}
