/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "ctl/output.h"

/* O_NONBLOCK belongs to the open file description, which other processes may share: the shell after us, or
 * other programs on the same terminal. So a terminal or pipe is opened again. If that is not possible,
 * ctl_output_close() restores the flag. A file never blocks. */
void ctl_output_open(CtlOutput *o, int fd) {
        char path[32];
        struct stat st;

        *o = (CtlOutput){ .fd = fd };
        if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
                return;
        if (!S_ISSOCK(st.st_mode)) {
                int again;

                (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
                if (again >= 0) {
                        o->fd = again;
                        o->own = true;
                        return;
                }
        }
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && !(flags & O_NONBLOCK))
                o->nonblocking = fd_nonblock(fd, true) >= 0;
}

void ctl_output_close(CtlOutput *o) {
        if (o->own)
                (void) fd_close(o->fd);
        else if (o->nonblocking)
                (void) fd_nonblock(o->fd, false);
        *o = (CtlOutput){ .fd = -EBADF };
}

bool ctl_output_is_pending(const CtlOutput *o) {
        return o->begin < o->end;
}

int ctl_output_flush(CtlOutput *o) {
        while (ctl_output_is_pending(o)) {
                ssize_t n = write(o->fd, o->data + o->begin, o->end - o->begin);

                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        o->begin += (size_t) n;
        }
        return 0;
}

int ctl_output_take(CtlOutput *o, size_t size) {
        o->begin = 0;
        o->end = size;
        return ctl_output_flush(o);
}
