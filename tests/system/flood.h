/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A user who floods the node: a process of its own with many connections to the system bus, each of which
 * sends every method that all users may call, as fast as the bus takes them. It speaks the protocol itself,
 * since a client library would limit it. The benchmark flood and the system case flood use it. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum FloodReplies {
        FLOOD_NO_REPLIES = 1 << 0, /* sends calls that want no reply */
        FLOOD_REPLIES = 1 << 1,    /* sends calls that want a reply */
        FLOOD_UNREAD = 1 << 2,     /* half of the connections never read */
        FLOOD_IN_TURN = 1 << 3,    /* each connection has one call under way, which wants a reply */
} FloodReplies;

/* What the process has done so far; it is shared with the caller. */
typedef struct FloodCount {
        uint64_t connections;
        uint64_t calls;
        uint64_t returns;
        uint64_t errors;
        uint64_t closed; /* connections that the bus has closed */
} FloodCount;

typedef struct Flood {
        pid_t pid;
        volatile FloodCount *count;
} Flood;

/* Starts the process, which calls the service of this name. It ends with its parent. Returns a negative
 * errno. */
int flood_start(Flood *flood, const char *destination, uid_t uid, gid_t gid, unsigned n_connections,
        FloodReplies replies);
/* Ends it and returns what it has done. */
FloodCount flood_stop(Flood *flood);
