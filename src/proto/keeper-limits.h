/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The limits of the keeper's protocol, for files that do not use the protocol itself. */

/* The socket of an instance is KEEPER_SOCKET_DIRECTORY/<instance>, created by architect-keeper.socket with
 * mode 0600. */
#define KEEPER_SOCKET_DIRECTORY "/run/architect-keeper"

#define KEEPER_BIND_MAX 256U        /* ports of one KEEPER_BIND */
#define KEEPER_BIND_RANGE_MAX 4096U /* numbers of which KEEPER_BIND_PORTS takes some */
#define KEEPER_FORK_PORTS_MAX 1024U /* ports that are passed to one child */
#define KEEPER_PORTS_MAX 4096U      /* ports that a keeper has */
#define KEEPER_LOOKUPS_MAX 64U      /* users that are looked up at the same time */
#define KEEPER_LOOKUP_TIMEOUT_USEC (10 * USEC_PER_SEC)
