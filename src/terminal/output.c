/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "terminal/output.h"

void output_init(Output *output, int fd, const struct ucred *sender) {
        struct stat st;

        output->fd = fd;
        output->sender = *sender;
        output->is_socket = output->has_sender = fstat(fd, &st) >= 0 && S_ISSOCK(st.st_mode);
        (void) fd_nonblock(fd, true);
}

void output_add(Output *output, const char *data, size_t size) {
        output->begin = output->end = 0;
        if (output->fd < 0)
                return;

        for (size_t i = 0; i < size; i++) {
                if (output->carriage_return && data[i] != '\n')
                        output->data[output->end++] = '\r';
                output->carriage_return = data[i] == '\r';
                if (!output->carriage_return)
                        output->data[output->end++] = data[i];
        }
}

void output_finish(Output *output) {
        if (output->carriage_return && output->end < sizeof(output->data))
                output->data[output->end++] = '\r';
        output->carriage_return = false;
}

bool output_is_pending(const Output *output) {
        return output->begin < output->end;
}

void output_drop(Output *output) {
        output->begin = output->end;
}

/* journald assigns a line to the process of its credentials. The unit of this process is that of the keeper,
 * which would be of no use. */
static ssize_t output_send_as(const Output *output) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(struct ucred))];
        } control = { 0 };
        struct iovec iov = { .iov_base = (char *) output->data + output->begin,
                .iov_len = output->end - output->begin };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (output->has_sender) {
                msg.msg_control = &control;
                msg.msg_controllen = sizeof(control.room);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_CREDENTIALS;
                control.header.cmsg_len = CMSG_LEN(sizeof(struct ucred));
                memcpy(CMSG_DATA(&control.header), &output->sender, sizeof(output->sender));
        }
        return sendmsg(output->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void output_flush(Output *output) {
        while (output_is_pending(output)) {
                ssize_t n = output->is_socket ? output_send_as(output)
                                              : write(output->fd, output->data + output->begin,
                                                        output->end - output->begin);

                if (n >= 0)
                        output->begin += (size_t) n;
                else if (errno == EAGAIN)
                        return;
                else if (output->has_sender && (errno == ESRCH || errno == EPERM))
                        /* The main process has ended and been reaped, or this process may not send for
                         * others. So the line is sent as its own. */
                        output->has_sender = false;
                else if (errno != EINTR)
                        output_drop(output);
        }
}
