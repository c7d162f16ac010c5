/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process of its own that tells Pacemaker about failed roles, by crm_resource(8), one at a time. The beat
 * must not wait for that, nor for a fork, so it only sends the names of resources through a socket. */

#include <sys/types.h>

/* Starts it, before there is a loop or a connection in this process. It ends when the socket is closed. */
int reporter_start(int *ret_socket, pid_t *ret_pid);

/* Requests that the resource has failed on this host. Never waits. Returns -EAGAIN if too many reports are
 * under way; the next monitor of Pacemaker notices the failure then. */
int reporter_send(int socket, const char *resource, const char *host);
