/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A descriptor that somebody else keeps for us, and that we can take from them: what they are given is a socket with the descriptor
 * in its queue. Whoever has the socket, the queue is one: when we have emptied it nobody has the descriptor any more. systemd from
 * 254 on closes what is removed from its store some time later, in a process of its own, and does not say when: a port would not
 * be free when it is called free.
 *
 * Descriptors in the queue of a socket count against the user's limit of them (unix(7): ETOOMANYREFS). */

int hold_new(int fd);       /* the socket; negative errno */
int hold_look(int hold_fd); /* a copy of what is in it; -ENODATA: nothing; -ENOTSOCK: it is no such socket */
void hold_end(int hold_fd); /* empties and closes it; nothing if it is negative */
