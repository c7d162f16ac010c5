/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Identifies the object of an event of the keeper's epoll. */

#include <stddef.h>

typedef struct Child Child;
typedef struct KeeperTerminal KeeperTerminal;
typedef struct TerminalSocket TerminalSocket;
typedef struct Lookup Lookup;
typedef struct Notify Notify;

typedef enum WatchType {
        WATCH_LISTENER,
        WATCH_NODE,
        WATCH_REFUSED,
        WATCH_PIDFD,
        WATCH_GATE,
        WATCH_RELEASE,
        WATCH_TERMINAL,
        WATCH_TERMINAL_SOCKET,
        WATCH_LOOKUP,
        WATCH_NOTIFY,
        WATCH_NOTIFY_DROP,
        WATCH_GUEST,
        WATCH_ASKER,
        WATCH_CHECK,
        WATCH_SIGNAL,
} WatchType;

/* Each child has three of these. */
struct watch {
        WatchType type;
        union { /* the one that belongs to the type, or none */
                Child *child;
                KeeperTerminal *terminal;
                TerminalSocket *terminal_socket;
                Lookup *lookup;
                Notify *notify;
                size_t guest;
        };
};
