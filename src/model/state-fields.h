/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of the saved state, in the runtime directory, and the fencing tokens in the state directory. All
 * of them (roles, environment, monitor, leases, ports, shutdown, log) have this one reader and writer. They
 * are private: no other program reads them.
 *
 * A file is text with these lines:
 *
 *   # Private data of architect-node, with a checksum. Do not parse.
 *   VERSION=1          of the fields, not of this format
 *   COLOUR=blue        a field of a newer version, kept unchanged for that version
 *   KEY=VALUE          escaped (\n, \", \303...), so that a value never ends its line;
 *                      a list repeats its key for each item
 *   WORD               a line without '='
 *   # CHECKSUM=e3b0c442...
 *
 * Other lines that begin with '#' are comments, except "#KEY=VALUE" with KEY in capitals: where a user
 * chooses the keys (the environment), the prefix "#" separates the fields of the file itself from them.
 *
 * The last line is the SHA-256 of all bytes before it. It detects damage, not forgery: only root can write
 * here. GLib provides it, sha256sum(1) checks it, and it costs 2 µs for the file of a role, which is written
 * four times in a start (a table-driven CRC-32 would cost 1.4 µs). The first and the last line are comments,
 * because version 0.1.0 neither wrote nor kept comments: a file that 0.1.0 has written, also one made of a
 * newer file, has neither line and is read without a checksum. If a file has one of the two lines, damaged or
 * not, it must have the other, and the checksum must be correct. VERSION cannot distinguish them, because
 * 0.1.0 wrote it in some files only.
 *
 * A damaged file is renamed and never deleted. A file is written as a whole (temporary file, rename), so a
 * reader finds the old or the new one. The caller owns the strings and lists that a getter returns. Functions
 * that can fail return a negative errno. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/parse-util.h"
#include "model/caller.h"

/* -- Reading -- */

typedef struct StateFields StateFields;

/* Parses the text. It never fails: state_fields_end() reports errors. The prefix ("" or "#") is a literal. */
StateFields *state_fields_parse(const char *text, const char *prefix);
/* The same for a text whose checksum is wrong. Its lines can be taken, and its end is always an error. */
StateFields *state_fields_salvage(const char *text, const char *prefix);
StateFields *state_fields_free(StateFields *fields);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateFields, state_fields_free)

uint64_t state_fields_version(const StateFields *fields); /* 0 if it has none, as some files of 0.1.0 */
bool state_fields_of_1(const StateFields *fields);        /* written by 0.1.0, without a checksum */
bool state_fields_have(const StateFields *fields, const char *key);

/* Marks the file as invalid. Getters call it, and readers that find a value which the getters cannot
 * check. */
void state_fields_set_bad(StateFields *fields);

/* Each getter takes the fields that it reads; those that remain at the end are unknown. A missing field is
 * NULL, 0, false or the fallback. The file is invalid if a scalar occurs twice, a number is not valid or too
 * large, or a string is one that the bus refuses (no UTF-8, or a noncharacter). */
char *state_take_string(StateFields *fields, const char *key);
char **state_take_strv(StateFields *fields, const char *key);
uint64_t state_take_u64(StateFields *fields, const char *key);
uint64_t state_take_u64_max(StateFields *fields, const char *key, uint64_t max);
int32_t state_take_i32(StateFields *fields, const char *key, int32_t fallback);
bool state_take_bool(StateFields *fields, const char *key);
/* Accepts no negative number, which kill(2) takes for a process group or all processes. */
pid_t state_take_pid(StateFields *fields, const char *key);
/* KEY_UID, KEY_PID, KEY_UNIT */
void state_take_caller(StateFields *fields, const char *key, Caller *caller);

#define state_take_enum(fields, key, name, fallback) \
        ({ \
                g_autofree char *_text = state_take_string(fields, key); \
                typeof(fallback) _value = _text ? name##_from_string(_text) : (fallback); \
                if ((int) _value < 0) { \
                        state_fields_set_bad(fields); \
                        _value = (fallback); \
                } \
                _value; \
        })

/* Returns the value in its written form, with escapes. */
char *state_take_raw(StateFields *fields, const char *key);
/* Returns the lines without '=', or NULL. If they are not taken, the file is invalid. */
char **state_take_words(StateFields *fields);
/* Returns the next line whose key does not begin with the prefix, or false if there is none. */
bool state_take_next(StateFields *fields, char **ret_key, char **ret_value);

/* Returns -EBADMSG if the file is damaged or invalid. Otherwise *ret_unknown contains the fields that were
 * not taken, for state_fields_new(), or is NULL. */
int state_fields_end(StateFields *fields, char **ret_unknown);

/* -- Writing -- */

/* Begins a file with its first lines. unknown may be NULL. */
GString *state_fields_new(const char *prefix, unsigned version, const char *unknown);

/* NULL and an empty list are not written. */
void state_put_string(GString *s, const char *key, const char *value);
void state_put_strv(GString *s, const char *key, char **values);
void state_put_u64(GString *s, const char *key, uint64_t value);
void state_put_nonzero(GString *s, const char *key, uint64_t value); /* 0 is not written */
void state_put_i64(GString *s, const char *key, int64_t value);
void state_put_caller(GString *s, const char *key, const Caller *caller);
/* Neither may contain '=' or a control character. */
void state_put_word(GString *s, const char *prefix, const char *word);
#define state_put_enum(s, key, name, value) state_put_string(s, key, name##_to_string(value))

/* Appends the checksum and frees s. The caller frees the text. */
char *state_fields_finish(GString *s);

/* -- Files -- */

/* Takes the known fields and ends with state_fields_end(). Returns a negative errno if the content is not
 * valid. */
typedef int (*StateParser)(void *userdata, StateFields *fields);

typedef struct StateFile {
        const char *name;
        size_t max;       /* bytes */
        const char *what; /* for the log, such as "the saved environment" */
        /* The consequence of its loss, for the log: "; the next beat arms it again"; may be NULL. */
        const char *consequence;
        const char *aside;  /* the suffix of its name after renaming; NULL for ".damaged" */
        const char *prefix; /* NULL for "" */
        bool durable;       /* it is on a disk and not on a tmpfs, so a save returns when it is there */
        /* Is called with the lines of a damaged file, which prove nothing: any of them may be wrong. NULL if
         * nothing is made of them. */
        void (*salvage)(void *userdata, StateFields *fields);
} StateFile;

typedef enum StateFileResult {
        STATE_FILE_NONE,
        STATE_FILE_READ,
        /* Logged, and renamed if that is possible; the values that were parsed are not valid. */
        STATE_FILE_DAMAGED,
} StateFileResult;

/* Never fails, because no file may prevent the start of the service. With a negative dir_fd there is no
 * file. */
StateFileResult state_file_load(const StateFile *file, int dir_fd, StateParser parse, void *userdata);

/* Completes, saves and frees s. A negative dir_fd saves nothing and is no error. */
int state_file_save(const StateFile *file, int dir_fd, GString *s);

/* Renames what stands in the place of a file or directory to the name with this suffix, or with this suffix
 * and a number if that fails. Returns a negative errno, after having logged it. */
int state_set_aside(int dir_fd, const char *name, const char *suffix);

/* Opens a directory of saved files, and creates it if there is none. Whatever else has its name is set
 * aside. Returns the descriptor or a negative errno. */
int state_directory_open(int dir_fd, const char *name);

/* The file may be missing. A failure is logged and ignored. */
void state_file_forget(const StateFile *file, int dir_fd);
