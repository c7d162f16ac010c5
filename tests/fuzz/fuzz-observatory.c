/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of observatories. An error names the place; without one, each role comes after what it waits for. */

#include <glib.h>
#include <string.h>

#include "ctl/observatory.h"
#include "fuzz.h"

static void check_errors(const GPtrArray *errors) {
        for (guint i = 0; i < errors->len; i++) {
                const char *error = g_ptr_array_index(errors, i);

                fuzz_check(g_str_has_prefix(error, "F.observatory:"));
                fuzz_check(g_ascii_isdigit(error[strlen("F.observatory:")]));
        }
}

static void check_order(const Observatory *observatory) {
        g_autoptr(GHashTable) before = g_hash_table_new(NULL, NULL);

        for (guint i = 0; i < observatory->roles->len; i++) {
                ObservatoryRole *role = g_ptr_array_index(observatory->roles, i);

                for (guint k = 0; k < role->after->len; k++)
                        fuzz_check(g_hash_table_contains(before, role->after->pdata[k]));
                for (guint k = 0; k < role->followers->len; k++)
                        fuzz_check(!g_hash_table_contains(before, role->followers->pdata[k]));
                g_hash_table_add(before, role);
                fuzz_check(g_hash_table_lookup(role->host->roles, role->name) == role);
                fuzz_check(observatory_manages(observatory, role->manager));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *text = g_malloc(size + 1);

        memcpy(text, data, size);
        text[size] = '\0';
        g_autoptr(Observatory) observatory = observatory_parse("F.observatory", text, size, errors);
        fuzz_check((observatory != NULL) == (errors->len == 0));
        check_errors(errors);
        if (observatory) {
                fuzz_check(observatory->hosts->len > 0);
                fuzz_check(observatory->beat_usec > 0 &&
                           observatory->beat_usec < observatory->lease_timeout_usec);
                check_order(observatory);
        }
        return 0;
}
