/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The saved state of a role: what is read can be written, and what is written is read back unchanged. */

#include <glib.h>
#include <string.h>

#include "fuzz.h"
#include "model/node-setup.h"
#include "model/node.h"
#include "model/role-state.h"
#include "model/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        Events *events;

        fuzz_check(events_open(-1, &events) >= 0);
        g_autoptr(Node) node = node_new("main", NULL, events);
        g_autoptr(Role) role = NULL, again = NULL;

        if (role_state_parse(node, "cam", text, &role) < 0)
                return 0;
        fuzz_check(role->main_pid >= 0);
        fuzz_check(role->spec->command && role->spec->command[0]);
        fuzz_check(role->slice >= -1);

        g_autofree char *saved = role_state_format(role);
        fuzz_check(role_state_parse(node, "cam", saved, &again) >= 0);
        fuzz_check(again->state == role->state && again->exit.code == role->exit.code);
        g_autofree char *saved_again = role_state_format(again);
        fuzz_check(g_str_equal(saved, saved_again));
        return 0;
}
