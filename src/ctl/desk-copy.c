/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "ctl/desk-copy.h"

char *desk_path_map(const char *path, const char *from, const char *to) {
        const size_t size = strlen(from);

        if (strncmp(path, from, size) != 0 || (path[size] != '\0' && path[size] != '/'))
                return NULL;
        return g_strconcat(to, path + size, NULL);
}

static int copy_path(sd_bus_message *m, sd_bus_message *source, const char *from, const char *to) {
        const char *path;

        int r = sd_bus_message_read_basic(source, SD_BUS_TYPE_OBJECT_PATH, &path);
        if (r < 0)
                return r;
        g_autofree char *mapped = desk_path_map(path, from, to);
        return sd_bus_message_append_basic(m, SD_BUS_TYPE_OBJECT_PATH, mapped ?: path);
}

static int copy_container(sd_bus_message *m, sd_bus_message *source, char type, const char *contents,
        const char *from, const char *to) {
        int r = sd_bus_message_enter_container(source, type, contents);

        if (r >= 0)
                r = sd_bus_message_open_container(m, type, contents);
        if (r >= 0)
                r = desk_copy(m, source, from, to);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_exit_container(source);
        return r;
}

int desk_copy_one(sd_bus_message *m, sd_bus_message *source, const char *from, const char *to) {
        const char *contents;
        char type;

        int r = sd_bus_message_peek_type(source, &type, &contents);
        if (r <= 0)
                return r;
        if (type == SD_BUS_TYPE_UNIX_FD)
                return -EOPNOTSUPP;
        if (type == SD_BUS_TYPE_OBJECT_PATH)
                r = copy_path(m, source, from, to);
        /* What has neither paths nor descriptors is copied as a whole. */
        else if (contents && strpbrk(contents, "ohv"))
                r = copy_container(m, source, type, contents, from, to);
        else
                r = sd_bus_message_copy(m, source, false);
        return r < 0 ? r : 1;
}

int desk_copy(sd_bus_message *m, sd_bus_message *source, const char *from, const char *to) {
        int r;

        while ((r = desk_copy_one(m, source, from, to)) > 0)
                ;
        return r;
}
