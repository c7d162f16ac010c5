/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/journal-streams.h"

/* What tmpfs counts for each entry of a directory, "." and ".." included (BOGO_DIRENT_SIZE). */
#define TMPFS_ENTRY_SIZE 20

static int directory_count(const char *directory) {
        int n = 0;
        DIR *dir;

        dir = opendir(directory);
        if (!dir)
                return -errno;
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n < 2 ? 0 : n - 2;
}

int journal_streams_count(const char *directory) {
        struct statfs fs;
        struct stat st;

        if (statfs(directory, &fs) < 0 || stat(directory, &st) < 0)
                return -errno;
        /* It is asked for each role that starts, and to read thousands of names takes a millisecond. */
        if (fs.f_type == TMPFS_MAGIC && st.st_size >= 2 * TMPFS_ENTRY_SIZE && st.st_size < INT_MAX)
                return (int) st.st_size / TMPFS_ENTRY_SIZE - 2;
        return directory_count(directory);
}
