/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "terminal/output.h"

#define STAMP_FORMAT "%Y-%m-%dT%H:%M:%S"
#define STAMP_SIZE (sizeof("2026-12-01T03:14:15.926535Z ") - 1)

void output_init(Output *output, bool of_terminal, bool timestamps) {
        const time_t now = 0;
        struct tm tm;

        *output = (Output){ .fd = -EBADF, .of_terminal = of_terminal, .timestamps = timestamps };
        /* The C library reads its time zone at the first call, for UTC as well. */
        (void) gmtime_r(&now, &tm);
}

size_t output_chunk_max(const Output *output) {
        const size_t room = sizeof(output->data) - 1;

        return output->timestamps ? room / (STAMP_SIZE + 1) : room;
}

void output_set(Output *output, int fd, const struct ucred *sender) {
        struct stat st;

        output->fd = fd;
        output->sender = *sender;
        output->is_socket = output->has_sender = fstat(fd, &st) >= 0 && S_ISSOCK(st.st_mode);
        (void) fd_nonblock(fd, true);
}

/* One time for what has come together. */
static void stamp_make(char ret[static STAMP_SIZE + 1]) {
        const uint64_t now = now_usec(CLOCK_REALTIME);
        const time_t sec = (time_t) (now / USEC_PER_SEC);
        struct tm tm;
        size_t n;

        (void) gmtime_r(&sec, &tm);
        n = strftime(ret, STAMP_SIZE + 1, STAMP_FORMAT, &tm);
        (void) snprintf(ret + n, STAMP_SIZE + 1 - n, ".%06uZ ", (unsigned) (now % USEC_PER_SEC));
}

static void output_put(Output *output, char c, const char *stamp) {
        if (output->timestamps && !output->in_line) {
                memcpy(output->data + output->end, stamp, STAMP_SIZE);
                output->end += STAMP_SIZE;
        }
        output->data[output->end++] = c;
        output->in_line = c != '\n';
}

void output_add(Output *output, const char *data, size_t size) {
        char stamp[STAMP_SIZE + 1] = "";

        output->begin = output->end = 0;
        if (output->fd < 0)
                return;

        if (output->timestamps)
                stamp_make(stamp);
        for (size_t i = 0; i < size; i++) {
                if (output->carriage_return && data[i] != '\n')
                        output_put(output, '\r', stamp);
                output->carriage_return = output->of_terminal && data[i] == '\r';
                if (!output->carriage_return)
                        output_put(output, data[i], stamp);
        }
}

void output_finish(Output *output) {
        char stamp[STAMP_SIZE + 1];

        if (!output->carriage_return)
                return;
        stamp_make(stamp);
        if (output->end + STAMP_SIZE < sizeof(output->data))
                output_put(output, '\r', stamp);
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
