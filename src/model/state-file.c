/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/state-file.h"
#include "util/log.h"

#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

int state_file_load(int dir_fd, const char *name, size_t max, const char *what, const char *consequence,
        StateFileParser parse, void *userdata) {
        char *text = NULL;

        int r = file_read(dir_fd, name, max, &text, NULL);
        if (r == -ENOENT)
                return STATE_FILE_NONE;
        if (r >= 0)
                r = parse(userdata, text);
        free(text); /* libc's */
        if (r >= 0)
                return STATE_FILE_READ;

        g_autofree char *aside = g_strconcat(name, ".damaged", NULL);
        log_error_errno(r, "Cannot read %s, set aside as \"%s\"%s: %m", what, aside, consequence);
        return renameat(dir_fd, name, dir_fd, aside) < 0 ? -errno : (int) STATE_FILE_DAMAGED;
}

void state_file_forget(int dir_fd, const char *name) {
        if (dir_fd >= 0 && unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
                log_warning_errno(errno, "Cannot remove the saved file \"%s\", ignoring: %m", name);
}

char *state_fields_unknown(const char *text, const char *prefix) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GString) kept = g_string_new(NULL);

        for (char **l = lines; *l; l++) {
                const char *key = *l + strlen(prefix);

                if (!g_str_has_prefix(*l, prefix))
                        continue;
                size_t n = strspn(key, KEY_CHARACTERS);
                if (n > 0 && key[n] == '=' && !g_str_has_prefix(key, "VERSION="))
                        g_string_append_printf(kept, "%s\n", *l);
        }
        return g_string_free(g_steal_pointer(&kept), false);
}

char *state_fields_format(const char *prefix, const char *unknown) {
        return g_strdup_printf("%sVERSION=%u\n%s", prefix, STATE_FIELDS_VERSION, unknown ?: "");
}
