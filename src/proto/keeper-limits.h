/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What both sides of the keeper's protocol promise, for those that do not speak it. */

/* The socket of an instance is KEEPER_SOCKET_DIRECTORY/<instance>, made by architect-keeper.socket, 0600. */
#define KEEPER_SOCKET_DIRECTORY "/run/architect-keeper"

#define KEEPER_BIND_MAX 256U        /* ports of one KEEPER_BIND */
#define KEEPER_FORK_PORTS_MAX 1024U /* ports that go with one child */
#define KEEPER_PORTS_MAX 4096U      /* ports that a keeper holds */
