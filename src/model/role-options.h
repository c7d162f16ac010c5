/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of the options of a role. Each has a name in Start on D-Bus and one in role files, a type, a
 * check, and the name under which it is saved. Whoever reads, saves or documents options goes through this
 * table, so an option is added here only (src/README.md, "An option of Start"). */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/fault.h"
#include "model/role-fields.h"
#include "model/role-spec.h"

/* What the value is, with the function of the option that checks and stores it. */
typedef enum RoleOptionKind {
        ROLE_OPTION_STRING,           /* set_string */
        ROLE_OPTION_STRINGS,          /* set_strings */
        ROLE_OPTION_COMMANDS,         /* role_option_add_command(), for each */
        ROLE_OPTION_PAIRS,            /* add_strings, for each; the second one may be empty */
        ROLE_OPTION_STRING_ENTRIES,   /* add_strings, for each; no name twice */
        ROLE_OPTION_UNSIGNED_ENTRIES, /* add_unsigned, for each; no name twice */
        ROLE_OPTION_FLAG,             /* role_option_set_flag() */
        ROLE_OPTION_SIGNED,           /* role_option_set_signed() */
        ROLE_OPTION_UNSIGNED,         /* role_option_set_unsigned() */
        ROLE_OPTION_PORTS,            /* role_spec_set_ports() */
        _ROLE_OPTION_KIND_MAX,
} RoleOptionKind;

/* How a role file spells a number. D-Bus has the number itself. */
typedef enum RoleNumber {
        ROLE_NUMBER_PLAIN,
        ROLE_NUMBER_SIGNAL,
        ROLE_NUMBER_TIME,     /* in microseconds; without a unit it is in seconds */
        ROLE_NUMBER_CPU_TIME, /* in seconds, rounded up */
        ROLE_NUMBER_RT_TIME,  /* in microseconds, also without a unit */
        ROLE_NUMBER_SIZE,     /* in bytes */
        ROLE_NUMBER_PERCENT,
        ROLE_NUMBER_WEIGHT, /* without "infinity" */
        ROLE_NUMBER_NICE,   /* of RLIMIT_NICE, "+5" and "-5" are nice levels */
} RoleNumber;

typedef struct RoleOption {
        /* In Start, with the type that is documented. NULL: it has no entry of its own there, because it is
         * the command, or a part of the option part_of. */
        const char *key;
        const char *signature;
        const char *file_key; /* in a role file, without '='; NULL if each of its parts has one */
        bool systemd;         /* file_key is a setting of systemd with this meaning */
        const char *part_of;  /* the key of the option of which it sets one entry (limits) */
        RoleOptionKind kind;
        RoleNumber number;
        bool of_call;   /* it says something of the call, so it is not in role files */
        bool inverted;  /* the member is the opposite of a FLAG */
        bool last_wins; /* STRINGS of which a repeated key of a file replaces the value */
        union {
                int (*set_string)(RoleSpec *spec, const char *value, Fault *fault);
                int (*set_strings)(RoleSpec *spec, char **strings, Fault *fault);
                int (*add_strings)(RoleSpec *spec, const char *first, const char *second, Fault *fault);
                int (*add_unsigned)(RoleSpec *spec, const char *name, uint64_t value, Fault *fault);
                int resource;    /* of a part of limits */
                RolePorts ports; /* of PORTS */
        };
        int64_t signed_min, signed_max;
        /* Of an UNSIGNED; max is also the maximum number of STRINGS, and of the words of one of COMMANDS. */
        uint64_t min, max;
        const char *controller; /* of cgroups, which a limit of the scope requires */
        bool v2;                /* the controller must be one of v2, as v1 has no such limit */

        size_t offset, size; /* of the member of RoleSpec */
        size_t given; /* the offset of the bool that says whether the option is given; 0: there is none */
        const char *saved_key; /* NULL if it is saved with the option part_of */
        const RoleField *field;
} RoleOption;

/* In the order in which they are saved. */
extern const RoleOption role_options[];
extern const size_t n_role_options;

/* Returns NULL if there is no such key in role files. */
const RoleOption *role_option_find_file_key(const char *key);

/* Returns the option of which it is a part, which Start has as a whole, or else itself. */
const RoleOption *role_option_whole(const RoleOption *option);

/* Gives the option its default. */
void role_option_reset(RoleSpec *spec, const RoleOption *option);

/* Returns the value of a STRING, which is one string, of STRINGS, COMMANDS (see command-list.h), PAIRS or
 * STRING_ENTRIES, in the spelling of D-Bus; NULL or an empty list for none. The caller frees it. */
char **role_option_get_strings(const RoleSpec *spec, const RoleOption *option);

/* Store a value. A number that is out of range fails with InvalidArgs, a limit that this machine does not
 * support with NotSupported. The messages name the option by its key on D-Bus. */
void role_option_set_flag(RoleSpec *spec, const RoleOption *option, bool value);
int role_option_set_signed(RoleSpec *spec, const RoleOption *option, int64_t value, Fault *fault);
int role_option_set_unsigned(RoleSpec *spec, const RoleOption *option, uint64_t value, Fault *fault);
int role_option_add_command(RoleSpec *spec, const RoleOption *option, char **words, Fault *fault);
