/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File descriptors and the files behind them. libc only. Negative errno on failure. */

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/macro.h"

/* Closes unless negative, keeps errno, returns -EBADF: fd = fd_close(fd). */
int fd_close(int fd);
void fd_closep(int *fd);
#define autofd _cleanup_(fd_closep) int

static inline void closedirp(DIR **dir) {
        if (*dir)
                (void) closedir(*dir);
}
#define _cleanup_closedir_ _cleanup_(closedirp)

static inline void fclosep(FILE **file) {
        if (*file)
                (void) fclose(*file);
}
#define _cleanup_fclose_ _cleanup_(fclosep)

/* Hands the descriptor on and leaves -EBADF behind. */
static inline int fd_steal(int *fd) {
        int r = *fd;
        *fd = -EBADF;
        return r;
}

int fd_nonblock(int fd, bool nonblock);
int fd_cloexec(int fd, bool cloexec);

/* Closes everything from 3 on but the given ones (any order, duplicates and negatives allowed). */
int fd_close_all_except(const int *keep, size_t n_keep);

/* How many are open; takes a look at each. */
int fd_count_open(void);

/* Reads a small file whole and NUL-terminates it; -EFBIG beyond max bytes. The caller frees. Never blocks: -EISDIR for a directory,
 * -EBADFD for what is not a regular file either (FIFO, socket, device). *ret_size may be NULL. */
int file_read(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);

/* Opens a directory in this one, made with mode 0700 if it is not there. The descriptor, or negative errno. */
int directory_make_at(int dir_fd, const char *name);

/* To read the entries of a directory from the beginning; the caller closedir()s. */
int directory_read_at(int dir_fd, DIR **ret);

/* Replaces a file's contents atomically (temporary file beside it, rename); mode 0600.
 * On failure the old contents stay and nothing is left behind. No fsync: meant for tmpfs. */
int file_replace(int dir_fd, const char *name, const void *data, size_t size);
/* Removes from a directory what processes have left that died in there. */
int file_replace_clean(int dir_fd);

/* An empty memfd, not executable where the kernel knows that. */
int memfd_new(const char *name);

/* A sealed memfd with these contents, for handing over (SCM_RIGHTS): nobody can change it any more. */
int memfd_new_sealed(const char *name, const void *data, size_t size);
/* The same, of what is in several places. */
int memfd_new_sealed_pieces(const char *name, const struct iovec *pieces, size_t n);

/* Writes the whole string to a file that exists (sysfs, cgroupfs). */
int file_write_string(const char *path, const char *s);

/* Writes at once what the other end has room for, and never waits for it: for messages, which may be lost. The descriptor may
 * be anything, in blocking mode, and shared with other processes, which do not notice. Returns how much was written; -EAGAIN:
 * nothing; -EPIPE, -EIO: the other end is gone (the caller ignores SIGPIPE). */
ssize_t fd_write_nonblocking(int fd, const void *data, size_t size);

/* One packet with descriptors over an AF_UNIX SOCK_SEQPACKET socket; MSG_NOSIGNAL. */
#define SOCKET_FDS_MAX 8
int socket_send(int fd, const void *data, size_t size, const int *fds, size_t n_fds);

/* Receives one packet: returns its size (0: the peer has closed), at most size bytes. *n_fds goes in as the room in fds and comes
 * back as the number received; all are CLOEXEC. A truncated packet or descriptor list is -EMSGSIZE, with every received
 * descriptor closed. */
ssize_t socket_recv(int fd, void *data, size_t size, int *fds, size_t *n_fds);

/* The same, but the packet stays: who reads next gets it again, with descriptors of its own. */
ssize_t socket_peek(int fd, void *data, size_t size, int *fds, size_t *n_fds);

/* Raises the soft RLIMIT_NOFILE towards want, never above the hard limit. */
int rlimit_nofile_raise(uint64_t want);
