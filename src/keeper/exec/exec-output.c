/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "keeper/exec/exec-output.h"
#include "keeper/exec/exec-report.h"

#define JOURNAL_STREAM_SOCKET "/run/systemd/journal/stdout"
#define JOURNAL_CONNECT_SEC 5
#define JOURNAL_ANSWER_MSEC 1000
#define JOURNAL_SNDBUF (8 * 1024 * 1024)
#define NULL_DEVICE makedev(1, 3) /* /dev/null, by whatever name */

void stdin_connect(const ExecParameters *p, const struct identity *who) {
        int fd = p->stdin_fd;

        /* By its name, /dev/stdin, only its owner may open the pipe again. This cannot fail for root, and
         * without it only that name does not work. */
        if (fd >= 0 && who->change)
                (void) fchown(fd, who->uid, who->gid);

        if (fd < 0)
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || dup2(fd, STDIN_FILENO) < 0) {
                int error = errno;

                gate_fail(p->gate_fd, LAUNCH_STAGE_STDIN, -error, "cannot connect stdin to %s: %s",
                        p->stdin_fd < 0 ? "/dev/null" : "its pipe", strerror(error));
        }

        (void) fd_close(fd);
}

static bool stream_is_closed(int fd, short events, int timeout_msec, bool *ret_any) {
        struct pollfd p = { .fd = fd, .events = events };
        int n;

        do
                n = poll(&p, 1, timeout_msec);
        while (n < 0 && errno == EINTR);
        *ret_any = n > 0;
        return n > 0 && p.revents & (POLLHUP | POLLERR);
}

/* journald accepts every stream, and closes those of which it has too many without a word. A role would
 * notice that at its first line. So the header is sent in two packets into a buffer that has room for no
 * more: it is writable again when journald has read one, which it does with streams that it keeps.
 *
 * Returns 1 if it keeps this one, 0 if it does not answer in time, and -EPIPE if it has closed it. */
static int stream_send_header(int fd, const char *header, size_t size, bool confirm) {
        const int smallest = 1; /* the kernel makes it as large as two packets */
        const size_t first = confirm ? 1 : size;
        bool any;

        if (confirm && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest)) < 0)
                return -errno;
        errno = EIO;
        if (send(fd, header, first, MSG_NOSIGNAL) != (ssize_t) first ||
                (size > first &&
                        send(fd, header + first, size - first, MSG_NOSIGNAL) != (ssize_t) (size - first)))
                return -errno;
        if (!confirm)
                return 0;
        if (stream_is_closed(fd, POLLOUT, JOURNAL_ANSWER_MSEC, &any))
                return -EPIPE;
        return any;
}

/* Does the same as sd_journal_stream_fd(3), without its library. It is called in the scope of the role, so
 * that journald finds the unit. A stream for several roles has no identifier, instead of which journalctl
 * shows the name of the process. */
static int output_journal_stream(
        const ExecParameters *p, const LaunchRequest *q, const struct identity *who) {
        const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL_STREAM_SOCKET };
        const struct timeval patience = { .tv_sec = JOURNAL_CONNECT_SEC }, for_ever = { 0 };
        const int size = JOURNAL_SNDBUF;
        const bool offered = q->stream != LAUNCH_STREAM_OWN;
        autofd fd = -EBADF;
        char header[256];
        int n, r;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        /* If journald hangs and its queue stays full, the role continues without it. Once connected, a role
         * waits for journald, as any service does. */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
                return -errno;
        /* The journal records who has connected as _UID=, by which people recognize what root has said. */
        if (who->account)
                identity_borrow(p, who);
        r = connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
        if (who->account)
                identity_return(p, who);
        if (r < 0)
                return r;
        if (shutdown(fd, SHUT_RD) < 0)
                return -errno;

        /* The lines are identifier, unit (empty), priority, and flags: prefixes are parsed as levels, and
         * nothing is forwarded to syslog, kmsg or the console. */
        n = snprintf(header, sizeof(header), "%s\n\n%d\n1\n0\n0\n0\n", offered ? "" : q->role, LOG_INFO);
        r = stream_send_header(fd, header, (size_t) n, offered);
        if (r < 0)
                return r;
        if (offered && r == 0)
                gate_warn(p->gate_fd, LAUNCH_STAGE_OUTPUT, 0,
                        "the journal does not respond, the output waits for it");
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &for_ever, sizeof(for_ever)) < 0)
                return -errno;
        if (offered && r > 0)
                gate_offer_stream(p->gate_fd, fd, who->uid);

        return fd_steal(&fd);
}

/* Only its user may have it, because each of those who have a stream can shut it down for all. */
static bool output_may_share(const ExecParameters *p, const LaunchRequest *q, const struct identity *who) {
        bool any;

        return q->stream == LAUNCH_STREAM_SHARED && q->stream_uid == who->uid &&
               !stream_is_closed(p->stream_fd, 0, 0, &any);
}

/* A directory on the way may belong to another user, who can make a link of it: what counts is what has been
 * opened. A file of /proc changes a process, and another device does what its driver wants. */
static int output_check_file(int fd, struct stat *ret, const char **ret_reason) {
        struct statfs fs;

        if (fstat(fd, ret) < 0 || fstatfs(fd, &fs) < 0)
                return -errno;
        if (fs.f_type == PROC_SUPER_MAGIC) {
                *ret_reason = "it is a file of /proc, and output belongs into a file of its own";
                return -EPERM;
        }
        if (S_ISREG(ret->st_mode) || S_ISFIFO(ret->st_mode) ||
                (S_ISCHR(ret->st_mode) && (ret->st_rdev == NULL_DEVICE || isatty(fd))))
                return 0;
        *ret_reason = "it is neither a regular file nor a FIFO, a terminal or /dev/null";
        return -EPERM;
}

static const char *output_open_reason(const char *path, int error) {
        struct stat st;

        if (error == -ENXIO && stat(path, &st) >= 0 && S_ISFIFO(st.st_mode))
                return "it is a FIFO without a reader";
        if (error == -ELOOP && lstat(path, &st) >= 0 && S_ISLNK(st.st_mode))
                return "it is a symbolic link, with which its owner could have any file written; name the file to which it points";
        return strerror(-error);
}

/* A link in place of the file is not followed, not even that of root, because nobody sees who has made it: in
 * a directory that others may write, one of them has. Nothing is emptied before it is known what it is. */
static int output_open_file(const LaunchRequest *q, const char **ret_reason) {
        const int append = q->output == LAUNCH_OUTPUT_APPEND ? O_APPEND : 0;
        autofd fd = -EBADF;
        struct stat st;
        int r;

        /* The open is non-blocking, so that a FIFO without a reader is an error instead of an endless
         * wait. */
        fd = open(q->output_path,
                O_WRONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | O_NONBLOCK | append, 0666);
        if (fd < 0) {
                r = -errno;
                *ret_reason = output_open_reason(q->output_path, r);
                return r;
        }

        r = output_check_file(fd, &st, ret_reason);
        if (r >= 0 && !append && S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
                r = -errno;
        if (r >= 0)
                r = fd_nonblock(fd, false);
        return r < 0 ? r : fd_steal(&fd);
}

int output_open(const ExecParameters *p, const LaunchRequest *request, const struct identity *who) {
        const LaunchRequest *q = request;
        const char *reason = NULL;
        int fd;

        switch (q->output) {
        case LAUNCH_OUTPUT_FILE:
        case LAUNCH_OUTPUT_APPEND:
                identity_borrow(p, who);
                fd = output_open_file(q, &reason);
                if (fd < 0)
                        gate_fail(p->gate_fd, LAUNCH_STAGE_OUTPUT, fd,
                                "cannot open %s for output as user %s: %s", QUOTED(q->output_path),
                                QUOTED(who->name), reason ?: strerror(-fd));
                identity_return(p, who);
                return fd;

        case LAUNCH_OUTPUT_JOURNAL:
                if (output_may_share(p, q, who))
                        return p->stream_fd;
                fd = output_journal_stream(p, q, who);
                if (fd >= 0)
                        return fd;
                gate_warn(p->gate_fd, LAUNCH_STAGE_OUTPUT, fd,
                        "the journal cannot be reached, output goes to /dev/null: %s",
                        fd == -EPIPE ? "it has closed the stream, of which it takes 4096" : strerror(-fd));
                break;

        default:
                break;
        }

        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
                int error = errno;

                gate_fail(p->gate_fd, LAUNCH_STAGE_OUTPUT, -error, "cannot open /dev/null for output: %s",
                        strerror(error));
        }
        return fd;
}

void output_connect(int gate_fd, int output_fd) {
        if (dup2(output_fd, STDOUT_FILENO) < 0 || dup2(output_fd, STDERR_FILENO) < 0) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_OUTPUT, -error, "cannot connect the output: %s",
                        strerror(error));
        }
}
