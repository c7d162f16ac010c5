/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A hold is a descriptor in the queue of a socket that is never read. All processes that have the socket, by
 * a fork or because systemd stores it, share this queue. When one of them empties it, none has the descriptor
 * any more, so a reserved port is free at the moment when it is released. With the socket of the port itself
 * this would not work: a child that has just been cloned has a copy until it runs, and systemd (257 at least,
 * see asynchronous_close() in its service.c) closes descriptors that leave its store later, in a process of
 * its own.
 *
 * The descriptors count against the limit of their user (unix(7), ETOOMANYREFS). With more than 1,024 ports
 * other programs of an ordinary user, with the usual limit, cannot pass descriptors to each other.
 *
 * hold_new() takes ownership of fd, also on failure. hold_look() returns a copy of the descriptor, -ENODATA
 * if it is empty, -ENOTSOCK if hold_fd is no such socket. hold_end() empties and closes the hold; it does
 * nothing if hold_fd is negative. */

int hold_new(int fd);
int hold_look(int hold_fd);
void hold_end(int hold_fd);

/* Takes over a descriptor from another process of the keeper. An older one may have had the descriptor
 * itself. Takes ownership of fd, also on failure. Returns -ENODATA if the hold was emptied. */
int hold_adopt(int fd);
