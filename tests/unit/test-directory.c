/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-directory.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "util/log.h"

int directory_setup(void **state) {
        Directory *d = g_new0(Directory, 1);

        log_set_max_level(LOG_EMERG);
        d->path = g_dir_make_tmp("architect-test-XXXXXX", NULL);
        assert_non_null(d->path);
        d->fd = open(d->path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(d->fd, errno);
        *state = d;
        return 0;
}

int directory_teardown(void **state, const char *const *files) {
        Directory *d = *state;

        for (const char *const *f = files; *f; f++)
                (void) unlinkat(d->fd, *f, 0);
        (void) fd_close(d->fd);
        assert_return_code(g_rmdir(d->path), errno);
        g_free(d->path);
        g_free(d);
        return 0;
}
