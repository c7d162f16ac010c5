/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The options of a role as text, a line "Key=value" each. What is accepted can be saved, and is read back. */

#include <glib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "model/node-setup.h"
#include "model/node.h"
#include "model/role-option-text.h"
#include "model/role-state.h"
#include "model/role.h"

/* Returns whether the value is accepted. */
static bool set_line(RoleSpec *spec, char *line) {
        g_auto(Fault) fault = {};
        char *equals = strchr(line, '=');

        if (!equals)
                return true;
        *equals = '\0';
        const RoleOption *option = role_option_find_file_key(line);
        if (!option)
                return true;
        int r = role_option_set_from_text(spec, option, equals + 1, &fault);
        fuzz_check((r < 0) == !!fault.message);
        if (r < 0) {
                fuzz_check(utf8_is_valid(fault.message));
                fuzz_check(g_str_has_prefix(fault.message, option->file_key));
                fuzz_check(fault.message[strlen(option->file_key)] == '=');
        }
        return r >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        RoleSpec *spec = role_spec_new();
        Events *events;

        fuzz_check(events_open(-1, &events) >= 0);
        g_autoptr(Node) node = node_new("main", NULL, events);
        g_autoptr(Role) role = role_new(node, "cam", spec), again = NULL;

        fuzz_check(role_spec_set_command(spec, (char *[]){ (char *) "x", NULL }, NULL) >= 0);
        for (char **l = lines; *l; l++)
                if (!set_line(spec, *l))
                        return 0;
        if (!spec->command) /* "Command=" */
                return 0;
        g_autofree char *saved = role_state_format(role);
        fuzz_check(role_state_parse(node, "cam", saved, &again) >= 0);
        g_autofree char *saved_again = role_state_format(again);
        fuzz_check(g_str_equal(saved, saved_again));
        return 0;
}
