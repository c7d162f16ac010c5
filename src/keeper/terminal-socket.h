/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A listening socket through which one user opens the terminal of a role, for clients that cannot receive a
 * descriptor from the bus. It is a file of that user (0600) in a directory that every user can traverse. Its
 * name contains the number of the child, so the path of one run never leads to the next one. */

#include <sys/types.h>
#include <sys/un.h>

#include "base/list.h"
#include "keeper/keeper-terminal.h"
#include "keeper/keeper-watch.h"

struct TerminalSocket {
        ListLink link; /* KeeperTerminal.sockets */
        KeeperTerminal *terminal;
        uid_t uid;
        uint32_t flags; /* TERMINAL_CLIENT_*, of the clients that connect */
        int fd;
        char path[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
        struct watch watch;
};

/* Beside the directory of the keeper's socket, see socket_directory(). */
#define TERMINAL_SOCKET_DIRECTORY "architect-terminal"

/* Makes the socket, and the directory if it does not exist, and adds it to the terminal of a child. A file
 * that a dead keeper has left is replaced. With fd >= 0 it takes over that socket instead, also on failure.
 * Returns a negative errno. */
int terminal_socket_new(const char *directory, KeeperTerminal *terminal, uid_t uid, uint32_t flags, int fd,
        TerminalSocket **ret);

/* Removes the file. The clients that have connected are not affected. */
TerminalSocket *terminal_socket_free(TerminalSocket *socket);

TerminalSocket *terminal_socket_find(const KeeperTerminal *terminal, uid_t uid);

/* Accepts one connection and passes it to the architect-terminal. Returns 0 also if the connection was
 * refused, or a negative errno if there is no descriptor for it now. */
int terminal_socket_accept(TerminalSocket *socket);

/* Removes each socket of the directory that is_known() does not know, which a dead keeper has left. */
void terminal_socket_clean(
        const char *directory, bool (*is_known)(void *userdata, uint64_t child, uid_t uid), void *userdata);
