/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/notify-socket.h"

int socket_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_size) {
        const size_t n = strlen(path);

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (n == 0 || n >= sizeof(ret->sun_path))
                return -ENAMETOOLONG;

        memcpy(ret->sun_path, path, n);
        *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
        if (path[0] == '@')
                ret->sun_path[0] = '\0';
        else
                *ret_size += 1;
        return 0;
}

int notify_connect(void) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address;
        autofd fd = -EBADF;
        socklen_t size;
        int r;

        if (!path)
                return -ENODATA;

        r = socket_address(path, &address, &size);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, size) < 0)
                return -errno;
        return fd_steal(&fd);
}
