/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of the saved state, in the runtime directory: one reader and one writer for all of them (roles, environment, monitor,
 * ports, shutdown, log). Private data: no other program reads them.
 *
 * A file is text, one line each:
 *   # Private data of architect-node, with a checksum. Do not parse.
 *   VERSION=1          of the fields, not of this form
 *   COLOUR=blue        what a newer version has added, kept as it was, so that the newer version finds it again
 *   KEY=VALUE          escaped (\n, \", \303...), so that a value never ends its line; a list is its key again for each item
 *   WORD               a line without '='
 *   # CHECKSUM=e3b0c442...
 * Other lines that begin with '#' are comments, except "#KEY=VALUE" with KEY in capitals: where the keys are names that a user has
 * chosen (the environment), the prefix "#" sets the file's own fields apart.
 *
 * The last line is the SHA-256 of all bytes before it. It is for damage, not against forgery: only root can write here. GLib has it,
 * sha256sum(1) checks it, and it costs 2 µs for the file of a role, which is written four times in a start (a table-driven CRC-32
 * of our own would cost 1.4). First and last line are comments on purpose: version 0.1.0 neither wrote nor kept them, so that a file
 * which it has written, also one made of a newer file, has neither and is read without a checksum. Where one of the two is, the
 * other must be there, and true. VERSION cannot tell: 0.1.0 wrote it only in some files.
 *
 * A damaged file is set aside and never deleted. A file is written whole (temporary file, rename): a reader finds the old or the
 * new one. Ownership: strings and lists that a getter returns are the caller's. Errors: negative errno. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/parse-util.h"
#include "model/world.h"

/* -- Reading -- */

typedef struct StateFields StateFields;

/* Takes the text apart. It never fails: what is wrong is found by state_fields_end(). The prefix ("" or "#") is a literal. */
StateFields *state_fields_parse(const char *text, const char *prefix);
StateFields *state_fields_free(StateFields *fields);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateFields, state_fields_free)

uint64_t state_fields_version(const StateFields *fields); /* 0: it has none, as some files of 0.1.0 */
bool state_fields_of_1(const StateFields *fields);        /* 0.1.0 has written it: there is no checksum */
bool state_fields_have(const StateFields *fields, const char *key);

/* The file cannot be what it should be. Getters call it, and readers that find a value which the getters cannot judge. */
void state_fields_set_bad(StateFields *fields);

/* Getters. Each takes what it reads; what is left at the end is unknown. A field that is not there is NULL, 0, false or the
 * fallback; a scalar that is there twice, a value that is no number or too large, or a string that the bus would refuse (UTF-8, no
 * noncharacters) makes the file bad. */
char *state_take_string(StateFields *fields, const char *key);
char **state_take_strv(StateFields *fields, const char *key);
uint64_t state_take_u64(StateFields *fields, const char *key);
uint64_t state_take_u64_max(StateFields *fields, const char *key, uint64_t max);
int32_t state_take_i32(StateFields *fields, const char *key, int32_t fallback);
bool state_take_bool(StateFields *fields, const char *key);
/* Never a negative one: to kill(2) that means a group, or all processes. */
pid_t state_take_pid(StateFields *fields, const char *key);
void state_take_caller(StateFields *fields, const char *key, Caller *caller); /* KEY_UID, KEY_PID, KEY_UNIT */

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

/* The value as it is written, escapes and all. */
char *state_take_raw(StateFields *fields, const char *key);
/* The lines without '='; NULL: none. Those that nobody takes make the file bad. */
char **state_take_words(StateFields *fields);
/* The next line whose key does not begin with the prefix; false: there is none. */
bool state_take_next(StateFields *fields, char **ret_key, char **ret_value);

/* -EBADMSG: the file is damaged, or bad. Otherwise *ret_unknown is what nobody has taken, for state_fields_new(); NULL: nothing. */
int state_fields_end(StateFields *fields, char **ret_unknown);

/* -- Writing -- */

/* A file with its first lines; unknown may be NULL. */
GString *state_fields_new(const char *prefix, unsigned version, const char *unknown);

/* NULL, and an empty or NULL list, is not written. */
void state_put_string(GString *s, const char *key, const char *value);
void state_put_strv(GString *s, const char *key, char **values);
void state_put_u64(GString *s, const char *key, uint64_t value);
void state_put_nonzero(GString *s, const char *key, uint64_t value); /* 0 is not written */
void state_put_i64(GString *s, const char *key, int64_t value);
void state_put_caller(GString *s, const char *key, const Caller *caller);
/* Neither has a '=' or a control character. */
void state_put_word(GString *s, const char *prefix, const char *word);
#define state_put_enum(s, key, name, value) state_put_string(s, key, name##_to_string(value))

/* Ends it with the checksum. Frees s. */
char *state_fields_finish(GString *s);

/* -- Files -- */

typedef struct StateFile {
        const char *name;
        size_t max;              /* bytes */
        const char *what;        /* for the log: "the saved environment" */
        const char *consequence; /* of its loss, for the log: "; the next beat arms it again"; NULL: none */
        const char *aside;       /* ending of its name when it is set aside; NULL: ".damaged" */
        const char *prefix;      /* NULL: "" */
} StateFile;

/* Takes what it knows, and ends with state_fields_end(). Negative errno: it is not what it should be. */
typedef int (*StateParser)(void *userdata, StateFields *fields);

typedef enum StateFileResult {
        STATE_FILE_NONE,
        STATE_FILE_READ,
        STATE_FILE_DAMAGED, /* set aside, which has been logged: what was parsed of it does not count */
} StateFileResult;

/* Negative errno: it could not even be set aside, which has not been logged. */
int state_file_load(const StateFile *file, int dir_fd, StateParser parse, void *userdata);

/* Ends s, saves and frees it. A negative dir_fd is nowhere, and no error. */
int state_file_save(const StateFile *file, int dir_fd, GString *s);

/* It need not be there. A failure is logged and ignored. */
void state_file_forget(const StateFile *file, int dir_fd);
