/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>

#include "client/transient.h"
#include "util/autoptr.h"

int transient_new(sd_bus *bus, const char *unit, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return r;
}

static int open_property(sd_bus_message *m, const char *name, const char *type) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', name);
        return r < 0 ? r : sd_bus_message_open_container(m, 'v', type);
}

static int close_property(sd_bus_message *m) {
        int r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

int transient_append(sd_bus_message *m, const char *name, const char *type, ...) {
        va_list ap;

        int r = open_property(m, name, type);
        if (r >= 0) {
                va_start(ap, type);
                r = sd_bus_message_appendv(m, type, ap);
                va_end(ap);
        }
        return r < 0 ? r : close_property(m);
}

int transient_append_environment(sd_bus_message *m, char *const *environment) {
        int r = open_property(m, "Environment", "as");

        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) environment);
        return r < 0 ? r : close_property(m);
}

int transient_open_commands(sd_bus_message *m) {
        int r = open_property(m, "ExecStart", "a(sasb)");

        return r < 0 ? r : sd_bus_message_open_container(m, 'a', "(sasb)");
}

int transient_append_command(sd_bus_message *m, char *const *words, bool ignore_failure) {
        int r = sd_bus_message_open_container(m, 'r', "sasb");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', words[0]);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) words);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", (int) ignore_failure);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int transient_close_commands(sd_bus_message *m) {
        int r = sd_bus_message_close_container(m);

        return r < 0 ? r : close_property(m);
}

int transient_end(sd_bus_message *m) {
        int r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}
