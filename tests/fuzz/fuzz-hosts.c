/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files with groups of hosts. Each host that comes out is one that ssh may have, and what is written again
 * from the groups stands for the same. */

#include <glib.h>
#include <string.h>

#include "ctl/hosts.h"
#include "fuzz.h"

static char *expand_all(const char *text, size_t size, bool *ret_valid) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free),
                             hosts = g_ptr_array_new_with_free_func(g_free);
        char *const words[] = { (char *) "@all", NULL };
        g_autoptr(HostGroups) groups = host_groups_new();
        GString *all = g_string_new("g =");

        host_groups_parse(groups, "F", text, size, errors);
        host_groups_check(groups, errors);
        for (guint i = 0; i < errors->len; i++) {
                fuzz_check(g_str_has_prefix(errors->pdata[i], "F:"));
                fuzz_check(!strpbrk(errors->pdata[i], "\n\x1b"));
        }
        g_autofree char *reason = host_groups_expand(groups, words, hosts);
        for (guint i = 0; i < hosts->len; i++) {
                g_autofree char *where = NULL, *port = NULL, *container = NULL;

                fuzz_check(host_is_valid(hosts->pdata[i]));
                host_split(hosts->pdata[i], &where, &port, &container);
                fuzz_check(where[0] && where[0] != '-' && !strpbrk(where, " ,/\n"));
                g_string_append_printf(all, " %s", (char *) hosts->pdata[i]);
        }
        *ret_valid = errors->len == 0 && !reason && hosts->len > 0;
        return g_string_free(all, FALSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_malloc(size + 1);
        bool valid;

        memcpy(text, data, size);
        text[size] = '\0';
        g_autofree char *all = expand_all(text, size, &valid);
        if (!valid)
                return 0;
        g_autofree char *again = expand_all(all, strlen(all), &valid);
        fuzz_check(valid && strcmp(all, again) == 0);
        return 0;
}
