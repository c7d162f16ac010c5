/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "ctl/fifo.h"

void fifo_init(Fifo *fifo) {
        *fifo = (Fifo){ .fd = -EBADF, .keep_fd = -EBADF };
}

void fifo_close(Fifo *fifo) {
        fifo->fd = fd_close(fifo->fd);
        fifo->keep_fd = fd_close(fifo->keep_fd);
}

void fifo_clear(Fifo *fifo) {
        fifo_close(fifo);
        if (fifo->path)
                (void) unlink(fifo->path);
        if (fifo->directory)
                (void) rmdir(fifo->directory);
        g_clear_pointer(&fifo->path, g_free);
        g_clear_pointer(&fifo->directory, g_free);
}

static int user_to_uid(const char *user, uid_t *ret) {
        const struct passwd *account;
        uint32_t uid;

        if (parse_u32(user, &uid) >= 0) {
                *ret = uid;
                return 0;
        }
        account = getpwnam(user);
        if (!account)
                return -ESRCH;
        *ret = account->pw_uid;
        return 0;
}

bool fifo_is_possible(const char *user) {
        uid_t uid;

        return !user || geteuid() == 0 || (user_to_uid(user, &uid) >= 0 && uid == geteuid());
}

/* Nobody but the user of the role may write into it, whoever knows its name, which is the property Output. */
static int give_to(const Fifo *fifo, const char *user) {
        uid_t uid = geteuid();

        int r = user ? user_to_uid(user, &uid) : 0;
        if (r < 0)
                return r;
        if (uid == geteuid())
                return 0;
        return chmod(fifo->directory, 0711) < 0 || chown(fifo->path, uid, (gid_t) -1) < 0 ? -errno : 0;
}

CtlExit fifo_make(Fifo *fifo, const char *user) {
        /* Not TMPDIR, which the user of the role may be unable to reach. */
        char template[] = "/tmp/architectctl-XXXXXX";

        if (!mkdtemp(template))
                return ctl_failed(errno, "make a directory in /tmp for a named pipe");
        fifo->directory = g_strdup(template);
        fifo->path = g_strconcat(template, "/output", NULL);
        if (mkfifo(fifo->path, 0600) < 0)
                return ctl_failed(errno, "make a named pipe for the output");
        fifo->fd = open(fifo->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fifo->fd >= 0)
                fifo->keep_fd = open(fifo->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fifo->keep_fd < 0)
                return ctl_failed(errno, "open the named pipe for the output");
        int r = give_to(fifo, user);
        if (r == -ESRCH) {
                ctl_error("there is no user \"%s\"", user);
                return CTL_EXIT_FAILED;
        }
        return r < 0 ? ctl_failed(r, "give the named pipe for the output to the user of the role")
                     : CTL_EXIT_OK;
}
