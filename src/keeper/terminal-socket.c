/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/notify-socket.h"
#include "base/stderr-log.h"
#include "keeper/child.h"
#include "keeper/listen.h"
#include "keeper/terminal-socket.h"
#include "proto/terminal-protocol.h"

#define NAME_FORMAT "%" PRIx64 ".%u"

static int terminal_socket_listen(const char *directory, TerminalSocket *s) {
        struct sockaddr_un address;
        autofd fd = -EBADF;
        socklen_t size;
        mode_t mask;
        int r;

        r = socket_address(s->path, &address, &size);
        if (r >= 0)
                r = socket_directory_make(directory, 0755);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        /* No other keeper uses this directory, so a file of this name is that of a keeper that has died. */
        (void) unlink(s->path);
        mask = umask(0177);
        r = bind(fd, (struct sockaddr *) &address, size) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r < 0)
                return r;
        if (chown(s->path, s->uid, (gid_t) -1) < 0 || listen(fd, SOMAXCONN) < 0) {
                r = -errno;
                (void) unlink(s->path);
                return r;
        }
        s->fd = fd_steal(&fd);
        return 0;
}

int terminal_socket_new(const char *directory, KeeperTerminal *terminal, uid_t uid, uint32_t flags, int fd,
        TerminalSocket **ret) {
        TerminalSocket *s = calloc(1, sizeof(*s));
        int r = 0;

        if (!s) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        *s = (TerminalSocket){ .terminal = terminal, .uid = uid, .flags = flags, .fd = fd };
        s->watch = (struct watch){ .type = WATCH_TERMINAL_SOCKET, .terminal_socket = s };
        list_init(&s->link);
        if ((size_t) snprintf(s->path, sizeof(s->path), "%s/" NAME_FORMAT, directory, terminal->child->id,
                    (unsigned) uid) >= sizeof(s->path))
                r = -ENAMETOOLONG;
        if (r >= 0 && fd < 0)
                r = terminal_socket_listen(directory, s);
        if (r < 0) {
                (void) fd_close(s->fd);
                free(s);
                return r;
        }
        list_append(&terminal->sockets, &s->link);
        *ret = s;
        return 0;
}

TerminalSocket *terminal_socket_free(TerminalSocket *s) {
        if (!s)
                return NULL;

        (void) unlink(s->path);
        (void) fd_close(s->fd);
        list_remove(&s->link);
        free(s);
        return NULL;
}

TerminalSocket *terminal_socket_find(const KeeperTerminal *terminal, uid_t uid) {
        LIST_FOREACH (TerminalSocket, link, s, &terminal->sockets)
                if (s->uid == uid)
                        return s;
        return NULL;
}

int terminal_socket_accept(TerminalSocket *s) {
        const struct terminal_client m = { .type = TERMINAL_CLIENT, .flags = s->flags };
        autofd fd = -EBADF;
        int r;

        fd = accept_from(s->fd, s->uid, 0);
        if (fd == -EPERM)
                log_warning("Refusing a connection of another user to the terminal of role %s",
                        s->terminal->role);
        if (fd < 0)
                return fd == -EPERM || fd == -EAGAIN ? 0 : fd;
        r = socket_send(s->terminal->control_fd, &m, sizeof(m), &fd, 1);
        if (r < 0)
                log_warning("Cannot pass a connection to the terminal of role %s: %s", s->terminal->role,
                        strerror(-r));
        return 0;
}

void terminal_socket_clean(
        const char *directory, bool (*is_known)(void *userdata, uint64_t child, uid_t uid), void *userdata) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;

        if (!d)
                return;
        while ((e = readdir(d))) {
                char name[64];
                uint64_t child;
                unsigned uid;

                if (sscanf(e->d_name, "%" SCNx64 ".%u", &child, &uid) != 2)
                        continue;
                (void) snprintf(name, sizeof(name), NAME_FORMAT, child, uid);
                if (strcmp(name, e->d_name) == 0 && !is_known(userdata, child, uid))
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        }
}
