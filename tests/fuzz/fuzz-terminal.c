/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What architect-terminal receives on its control socket, on its output socket and from its clients. An input
 * is a list of records: a letter, the size of the data as two bytes (low, high), and the data.
 *
 *   0 to 3  a packet on the control socket with that many descriptors
 *   o  a packet on the output socket, with a descriptor
 *   s  a packet on the size socket of the last client
 *   i  input of the last client
 *   w  output of the role
 *
 * It ends when the role has ended, whatever it has received, and loses no descriptor. It gives its rights
 * away once. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "fuzz.h"
#include "proto/terminal-protocol.h"
#include "terminal/confine.h"
#include "terminal/terminal-loop.h"

#define RECORDS_MAX 48 /* of one input, so that a mutation does not take minutes */

/* The linker uses this in place of the function that gives the rights of the process away. */
int __wrap_terminal_confine(uid_t uid, gid_t gid, bool send_as);

static unsigned n_confined;

int __wrap_terminal_confine(uid_t uid, gid_t gid, bool send_as) {
        n_confined++;
        return 0;
}

typedef struct Ends {
        int control, output, slave;
        int client, size; /* of the last client */
} Ends;

static void send_control(Ends *e, const uint8_t *data, size_t size, unsigned n_fds) {
        int client[2] = { -EBADF, -EBADF }, sizes[2] = { -EBADF, -EBADF };

        fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, client) == 0);
        fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sizes) == 0);
        (void) socket_send(e->control, data, size, (int[]){ client[0], sizes[0], sizes[0] }, n_fds);
        (void) fd_close(client[0]);
        (void) fd_close(sizes[0]);
        (void) fd_close(e->client);
        (void) fd_close(e->size);
        e->client = client[1];
        e->size = sizes[1];
}

static void on_record(Ends *e, uint8_t what, const uint8_t *data, size_t size) {
        int null;

        switch (what) {
        case '0':
        case '1':
        case '2':
        case '3':
                send_control(e, data, size, what - '0');
                return;
        case 'o':
                null = open("/dev/null", O_WRONLY | O_CLOEXEC);
                fuzz_check(null >= 0);
                (void) socket_send(e->output, data, size, &null, 1);
                (void) fd_close(null);
                return;
        case 's':
                if (e->size >= 0)
                        (void) send(e->size, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
                return;
        case 'i':
                if (e->client >= 0)
                        (void) send(e->client, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
                return;
        case 'w':
                (void) !write(e->slave, data, size < 1024 ? size : 1024);
                return;
        default:
                return;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        int lowest, master, control[2], output[2];
        Ends e = { .client = -EBADF, .size = -EBADF };
        struct termios raw;
        static Terminal t; /* with its ring it is large */

        lowest = eventfd(0, EFD_CLOEXEC);
        fuzz_check(lowest >= 0 && close(lowest) == 0);
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        fuzz_check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        fuzz_check(fcntl(master, F_SETFL, O_NONBLOCK) == 0);
        fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, control) == 0);
        fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, output) == 0);
        e.control = control[0];
        e.output = output[0];
        e.slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        fuzz_check(e.slave >= 0 && tcgetattr(e.slave, &raw) == 0);
        cfmakeraw(&raw); /* without an echo, which nobody reads */
        fuzz_check(tcsetattr(e.slave, TCSANOW, &raw) == 0);

        FuzzRecord record;
        for (unsigned i = 0; i < RECORDS_MAX && fuzz_take_record(&data, &size, &record); i++) {
                on_record(&e, record.what, record.data, record.size);
        }

        /* The role ends. Everything that was sent is read before that. */
        (void) fd_close(e.control);
        (void) fd_close(e.output);
        (void) fd_close(e.slave);
        (void) fd_close(e.client);
        (void) fd_close(e.size);
        n_confined = 0;
        fuzz_check(terminal_init(&t, master, control[1], output[1], false) == 0);
        fuzz_check(terminal_run(&t) == 0);
        fuzz_check(n_confined == 1);
        (void) fd_close(t.master_fd);
        (void) fd_close(t.slave_fd);
        (void) fd_close(t.control_fd);
        (void) fd_close(t.output_socket_fd);
        (void) fd_close(t.output.fd);
        (void) fd_close(t.epoll_fd);

        fuzz_check(eventfd(0, EFD_CLOEXEC) == lowest);
        fuzz_check(close(lowest) == 0);
        return 0;
}
