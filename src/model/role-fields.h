/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the members of a RoleSpec are saved, by their type. The table of role-options.h says which member has
 * which. */

#include "model/account.h"
#include "model/role-spec.h"
#include "model/state-fields.h"

typedef struct RoleField {
        void (*put)(GString *s, const char *key, const RoleSpec *spec, const void *member);
        /* Reads it over its default. */
        void (*get)(StateFields *fields, const char *key, RoleSpec *spec, void *member);
        /* Frees it, with what belongs to it. NULL if there is nothing to free. */
        void (*clear)(RoleSpec *spec, void *member);
        /* Whether the saved file has it. A default is left out there, but it is a value that a caller may
         * give. NULL: always, and put() leaves out what has no value. */
        bool (*is_saved)(const RoleSpec *spec);
} RoleField;

extern const RoleField role_field_bound, role_field_command, role_field_commands, role_field_exit_type,
        role_field_flag, role_field_int, role_field_limits, role_field_loss, role_field_nice,
        role_field_notify_access, role_field_oom_score, role_field_output, role_field_pairs, role_field_ports,
        role_field_provider, role_field_restart, role_field_role_stdin, role_field_role_type,
        role_field_start_timeout, role_field_stop_to, role_field_string, role_field_strv, role_field_u64,
        role_field_usec, role_field_watchdog_signal;
