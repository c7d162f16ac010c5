/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File descriptors and the files behind them. Uses libc only. Functions return a negative errno on
 * failure. */

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/macro.h"

/* Closes fd unless it is negative, preserves errno and returns -EBADF: fd = fd_close(fd). */
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

/* Returns the descriptor and leaves -EBADF behind. */
static inline int fd_steal(int *fd) {
        int r = *fd;
        *fd = -EBADF;
        return r;
}

int fd_nonblock(int fd, bool nonblock);
int fd_cloexec(int fd, bool cloexec);

/* Closes all descriptors from 3 on except the given ones (in any order, duplicates and negative numbers are
 * allowed). */
int fd_close_all_except(const int *keep, size_t n_keep);

/* Returns the number of open descriptors. Before Linux 6.2 it lists them each time. */
int fd_count_open(void);

/* Opens a regular file. It never blocks and makes no terminal the controlling one. The flags are those of
 * open(2), without O_CREAT: O_NOFOLLOW refuses a symlink as the last component. Returns the descriptor,
 * -EISDIR for a directory, or -EBADFD for another file that is not regular (FIFO, socket, device, symlink).
 */
int file_open(int dir_fd, const char *path, int flags);

/* Reads what is left of a small file and terminates it with NUL. The caller frees *ret; ret_size may be NULL.
 * Returns -EFBIG if there are more than max bytes. */
int file_read_all(int fd, size_t max, char **ret, size_t *ret_size);

/* Reads a whole small file and terminates it with NUL. The caller frees *ret; ret_size may be NULL. Returns
 * -EFBIG if it is larger than max bytes, and the errors of file_open(). */
int file_read(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);
/* The same for a file that this program has written, which is never a symlink. */
int file_read_own(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);

/* Opens a directory in this one and creates it with mode 0700 if it does not exist. Returns the descriptor or
 * a negative errno. */
int directory_make_at(int dir_fd, const char *name);

/* Opens the entries of a directory, from the first one on. The caller closes *ret with closedir(). */
int directory_read_at(int dir_fd, DIR **ret);

/* Replaces the contents of a file atomically (temporary file beside it, rename), with mode 0600. On failure
 * the old contents remain and no temporary file is left. It does not call fsync(), because it is intended for
 * tmpfs. */
int file_replace(int dir_fd, const char *name, const void *data, size_t size);
/* The same on a disk: returns when the new contents are there, with fsync() of the file and of the directory.
 */
int file_replace_durable(int dir_fd, const char *name, const void *data, size_t size);
/* Removes the temporary files that processes have left in a directory because they died in file_replace(). */
int file_replace_clean(int dir_fd);

/* Returns an empty memfd, which is not executable if the kernel supports that. */
int memfd_new(const char *name);

/* Returns a sealed memfd with these contents, to be passed by SCM_RIGHTS. No process can change it any
 * more. */
int memfd_new_sealed(const char *name, const void *data, size_t size);
/* The same for contents that consist of several pieces. */
int memfd_new_sealed_pieces(const char *name, const struct iovec *pieces, size_t n);

/* Reads a whole memfd, or another regular file, by position, because its writer has left the shared offset at
 * the end. Allocates *ret, which the caller frees and which is not terminated with NUL. *ret_size is what
 * there is, even if the file shrinks meanwhile. Returns -E2BIG if it is larger than max bytes. */
int memfd_read(int fd, size_t max, char **ret, size_t *ret_size);

/* The same for a memfd of memfd_new_sealed(). Any other file could change or block while it is read, and is
 * refused with -EBADMSG. */
int memfd_read_sealed(int fd, size_t max, char **ret, size_t *ret_size);

/* Writes the whole string to an existing file (sysfs, cgroupfs). */
int file_write_string(const char *path, const char *s);

/* Writes as much as the other end accepts at once and never blocks; for messages that may be lost. The
 * descriptor may be of any type, in blocking mode, and shared with other processes, which are not affected.
 * Returns the number of bytes written, -EAGAIN if there were none, or -EPIPE or -EIO if the other end is gone
 * (the caller must ignore SIGPIPE). */
ssize_t fd_write_nonblocking(int fd, const void *data, size_t size);

/* Sends one packet with descriptors over an AF_UNIX SOCK_SEQPACKET socket, with MSG_NOSIGNAL. */
#define SOCKET_FDS_MAX 8
int socket_send(int fd, const void *data, size_t size, const int *fds, size_t n_fds);

/* Receives one packet of at most size bytes. Returns its size, 0 if the peer has closed the socket. *n_fds is
 * the size of fds before the call and the number of received descriptors after it; all have CLOEXEC. If the
 * packet or its descriptors are truncated, returns -EMSGSIZE and closes the received descriptors. */
ssize_t socket_recv(int fd, void *data, size_t size, int *fds, size_t *n_fds);

/* The same, but the packet stays in the queue: the next reader receives it again, with descriptors of its
 * own. */
ssize_t socket_peek(int fd, void *data, size_t size, int *fds, size_t *n_fds);

/* socket_send() and socket_peek() for as many descriptors as the kernel allows in one packet (SCM_MAX_FD). */
#define SOCKET_FDS_MANY 253
int socket_send_many(int fd, const void *data, size_t size, const int *fds, size_t n_fds);
ssize_t socket_peek_many(int fd, void *data, size_t size, int *fds, size_t *n_fds);

/* Raises the soft RLIMIT_NOFILE to want, but not above the hard limit. */
int rlimit_nofile_raise(uint64_t want);
