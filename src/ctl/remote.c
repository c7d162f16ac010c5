/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "ctl/baton.h"
#include "ctl/hosts.h"
#include "ctl/remote.h"
#include "ctl/words.h"
#include "util/autoptr.h"

/* What ssh makes of "%C", and what it appends to that while it listens. */
#define CONTROL_NAME_SIZE 60

/* -- the address -- */

static void address_append(GString *address, unsigned n, const char *value) {
        g_string_append_printf(address, ",argv%u=", n);
        /* As D-Bus demands it: everything else is escaped. */
        for (const char *c = value; *c; c++)
                if (g_ascii_isalnum(*c) || strchr("-_/.*", *c))
                        g_string_append_c(address, *c);
                else
                        g_string_append_printf(address, "%%%02x", (unsigned) (unsigned char) *c);
}

static bool directory_is_ours(const char *path) {
        struct stat st;

        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return false;
        return lstat(path, &st) >= 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
               (st.st_mode & 0077) == 0;
}

/* Whoever may connect to the socket has the rights of this user on the host. Without a directory for it each
 * command makes a connection of its own. Root has none in a session of su, and in a service. */
static char *remote_control_path(void) {
        const char *runtime = g_getenv("XDG_RUNTIME_DIR");
        g_autofree char *directory = NULL;

        if (runtime && runtime[0] == '/')
                directory = g_build_filename(runtime, "architect", NULL);
        else if (geteuid() == 0)
                directory = g_strdup("/run/architectctl");
        if (!directory || strchr(directory, '%') || strpbrk(directory, " \t\"'\\") ||
                strlen(directory) + CONTROL_NAME_SIZE >= sizeof(((struct sockaddr_un *) 0)->sun_path) ||
                !directory_is_ours(directory))
                return NULL;
        return g_build_filename(directory, "%C", NULL);
}

/* The words of ssh before those of the command. */
static GPtrArray *remote_ssh(const char *host, bool batch, char **ret_container) {
        GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *where = NULL, *port = NULL, *control = remote_control_path();

        host_split(host, &where, &port, ret_container);
        g_ptr_array_add(argv, g_strdup("ssh"));
        g_ptr_array_add(argv, g_strdup("-xT"));
        if (batch)
                g_ptr_array_add(argv, g_strdup("-oBatchMode=yes"));
        g_ptr_array_add(argv, g_strdup("-oConnectTimeout=5"));
        g_ptr_array_add(argv, g_strdup("-oServerAliveInterval=5"));
        if (control) {
                g_ptr_array_add(argv, g_strdup("-oControlMaster=auto"));
                g_ptr_array_add(argv, g_strconcat("-oControlPath=", control, NULL));
                g_ptr_array_add(argv, g_strdup("-oControlPersist=10m"));
        }
        if (port) {
                g_ptr_array_add(argv, g_strdup("-p"));
                g_ptr_array_add(argv, g_steal_pointer(&port));
        }
        g_ptr_array_add(argv, g_strdup("--"));
        g_ptr_array_add(argv, g_steal_pointer(&where));
        return argv;
}

static void add_machine(GPtrArray *argv, const char *container) {
        if (container)
                g_ptr_array_add(argv, g_strconcat("--machine=", container, NULL));
}

char *remote_address(const char *host, bool batch) {
        g_autofree char *container = NULL;
        g_autoptr(GPtrArray) argv = remote_ssh(host, batch, &container);
        GString *address = g_string_new("unixexec:path=ssh");

        g_ptr_array_add(argv, g_strdup("systemd-stdio-bridge"));
        add_machine(argv, container);
        for (guint i = 1; i < argv->len; i++)
                address_append(address, i, g_ptr_array_index(argv, i));
        return g_string_free(address, FALSE);
}

char **remote_command(const char *host, bool batch, const char *before, const char *const *words) {
        g_autofree char *container = NULL;
        GPtrArray *argv = remote_ssh(host, batch, &container);
        g_autoptr(GPtrArray) command = g_ptr_array_new_with_free_func(g_free);

        for (; *words; words++)
                g_ptr_array_add(command, g_strdup(*words));
        add_machine(command, container);
        g_ptr_array_add(command, NULL);
        g_autofree char *line = words_command((const char *const *) command->pdata);
        g_ptr_array_add(argv, g_strconcat(before ?: "", "exec ", line, NULL));
        g_ptr_array_add(argv, NULL);
        return (char **) g_ptr_array_free(argv, FALSE);
}

/* -- the connection -- */

/* sd-bus gives ssh our stderr. So this is another one for the moment in which it forks; the others of our
 * threads do not write, since they do not have the baton. */
static int start_with_stderr(sd_bus *bus, int errors) {
        if (errors < 0)
                return sd_bus_start(bus);
        autofd own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        if (own < 0 || dup2(errors, STDERR_FILENO) < 0)
                return -errno;
        int r = sd_bus_start(bus);
        return dup2(own, STDERR_FILENO) < 0 ? -errno : r;
}

int remote_start(const char *address, int errors, sd_bus **ret) {
        g_autoptr(sd_bus) bus = NULL;

        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = start_with_stderr(bus, errors);
        if (r >= 0)
                *ret = g_steal_pointer(&bus);
        return r;
}

int remote_poll(sd_bus *bus, uint64_t deadline_usec) {
        uint64_t own;

        const int fd = sd_bus_get_fd(bus), events = sd_bus_get_events(bus);
        int r = sd_bus_get_timeout(bus, &own);
        if (fd < 0 || events < 0 || r < 0)
                return fd < 0 ? fd : events < 0 ? events : r;
        return baton_poll(fd, (short) events, MIN(own, deadline_usec));
}

/* Only the reply to Hello arrives here, which is for sd-bus. */
int remote_wait(sd_bus *bus, uint64_t deadline_usec) {
        int r;

        while ((r = sd_bus_is_ready(bus)) == 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0 && now_usec(CLOCK_MONOTONIC) >= deadline_usec)
                        return -ETIMEDOUT;
                if (r == 0)
                        r = remote_poll(bus, deadline_usec);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return r;
}

char *remote_reason(int errors, int r) {
        char text[4096];
        size_t size = 0;
        ssize_t n;

        /* The end of it matters. */
        while (errors >= 0 && (n = read(errors, text + size, sizeof(text) - 1 - size)) > 0) {
                size += (size_t) n;
                if (size < sizeof(text) - 1)
                        continue;
                memmove(text, text + size / 2, size - size / 2);
                size -= size / 2;
        }
        text[size] = '\0';
        g_strchomp(text);
        const char *newline = strrchr(text, '\n'), *last = newline ? newline + 1 : text;
        return last[0] ? words_escape(last) : g_strdup(g_strerror(-r));
}
