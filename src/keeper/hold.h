/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A descriptor in the queue of a socket that nobody reads: whoever has the socket, by a fork or because systemd keeps it for us, has
 * the same queue, and when one of them empties it none has the descriptor any more. So a reserved port is free at the moment it is
 * released. With the port's own socket it would not be: a child that has just been cloned has a copy until it runs, and systemd
 * (257 at least: asynchronous_close() in its service.c) closes what leaves its store some time later, in a process of its own.
 *
 * They count against the limit of descriptors of their user (unix(7): ETOOMANYREFS): beyond 1,024 ports an ordinary user's other
 * programs with the usual limit cannot pass descriptors to each other. */

int hold_new(int fd);       /* takes fd, also on failure */
int hold_look(int hold_fd); /* a copy of what is in it; -ENODATA: nothing; -ENOTSOCK: it is no such socket */
void hold_end(int hold_fd); /* empties and closes it; nothing if it is negative */

/* One that comes from another process of ours, which may have been older and had the descriptor itself; taken, also on failure.
 * -ENODATA: it was emptied. */
int hold_adopt(int fd);
