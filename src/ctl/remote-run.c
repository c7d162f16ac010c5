/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "ctl/baton.h"
#include "ctl/remote-run.h"
#include "ctl/remote.h"
#include "ctl/words.h"

/* What ssh returns for a failure of its own. */
#define SSH_FAILED 255
/* The shell prints this before the command, so that it is known when there is a connection. Every shell knows
 * these two commands. */
#define BEFORE "echo;"

/* -- the process -- */

_Noreturn static void child_exec(const char *path, char **argv, int out, int err, pid_t parent) {
        const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        /* Nothing else ends it when this program is killed, and the command has nothing to print. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(SSH_FAILED);
        if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
                dup2(err, STDERR_FILENO) >= 0)
                (void) execv(path, argv);
        _exit(SSH_FAILED);
}

static CtlExit child_start(const Ctl *ctl, const RemoteRun *run, int out, int err, pid_t *ret) {
        g_auto(GStrv) argv = remote_command(ctl->host, ctl->many, ctl->many ? BEFORE : NULL, run->argv);
        g_autofree char *path = g_find_program_in_path(argv[0]);
        const pid_t parent = getpid();

        if (!path)
                return ctl_failed(-ENOENT, "run ssh");
        const pid_t pid = fork();
        if (pid < 0)
                return ctl_failed(-errno, "run ssh");
        if (pid == 0)
                child_exec(path, argv, out, err, parent);
        *ret = pid;
        return CTL_EXIT_OK;
}

static int child_wait(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return SSH_FAILED;
        return WIFEXITED(status) ? WEXITSTATUS(status) : SSH_FAILED;
}

/* -- one host -- */

static CtlExit run_one(const Ctl *ctl, const RemoteRun *run) {
        pid_t pid = 0;

        CtlExit e = child_start(ctl, run, STDOUT_FILENO, STDERR_FILENO, &pid);
        if (e != CTL_EXIT_OK)
                return e;
        const int status = child_wait(pid);
        if (status != SSH_FAILED)
                return (CtlExit) status;
        ctl_error("the connection to %s has failed", ctl->host);
        return CTL_EXIT_FAILED;
}

/* -- one of several -- */

typedef struct RunStream {
        int fd; /* negative: it has ended */
        GString *text;
} RunStream;

typedef struct Run {
        Ctl *ctl;
        const RemoteRun *run;
        pid_t pid;
        int epoll;
        RunStream out, err;
        bool connected;
} Run;

static int stream_open(Run *r, RunStream *stream, int *ret_write) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        stream->fd = fds[0];
        *ret_write = fds[1];
        struct epoll_event event = { .events = EPOLLIN };
        if (fd_nonblock(fds[0], true) < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, fds[0], &event) < 0)
                return -errno;
        return 0;
}

static void stream_close(RunStream *stream) {
        if (stream->fd >= 0)
                (void) close(stream->fd);
        stream->fd = -EBADF;
}

static void stream_clear(RunStream *stream) {
        stream_close(stream);
        (void) g_string_free(stream->text, TRUE);
}

/* Reads what is there, so much that one host leaves time for the others. */
static void stream_read(RunStream *stream) {
        char buffer[65536];

        if (stream->fd < 0)
                return;
        ssize_t n = read(stream->fd, buffer, sizeof(buffer));
        if (n > 0)
                g_string_append_len(stream->text, buffer, n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                stream_close(stream);
}

/* Passes on the lines that are there; at the end of the stream the last one needs no newline. */
static void stream_pass(
        RunStream *stream, void (*on_line)(const char *line, size_t size, void *userdata), void *userdata) {
        const char *line = stream->text->str, *end = line + stream->text->len, *newline;

        for (; (newline = memchr(line, '\n', (size_t) (end - line))); line = newline + 1)
                on_line(line, (size_t) (newline - line), userdata);
        if (stream->fd < 0 && line < end) {
                on_line(line, (size_t) (end - line), userdata);
                line = end;
        }
        g_string_erase(stream->text, 0, line - stream->text->str);
}

static void say_line(const char *line, size_t size, void *userdata) {
        g_autofree char *copy = g_strndup(line, size), *text = words_escape(copy);

        ctl_explain("%s", text);
}

static void run_process(Run *r) {
        stream_read(&r->out);
        stream_read(&r->err);
        if (!r->connected) {
                const char *newline = strchr(r->out.text->str, '\n');

                if (!newline)
                        return;
                r->connected = true;
                g_string_erase(r->out.text, 0, newline + 1 - r->out.text->str);
                r->ctl->return_permit(r->ctl);
                if (r->run->in_turn)
                        r->ctl->take_turn(r->ctl);
        }
        stream_pass(&r->out, r->run->on_line, r->run->userdata);
        stream_pass(&r->err, say_line, NULL);
}

static CtlExit run_end(Run *r, int problem) {
        const int status = WITHOUT_BATON(child_wait(r->pid));
        const char *name = r->run->argv[0];

        /* An ssh that keeps the connection may have our pipe still. */
        stream_read(&r->err);
        if (!r->connected) {
                r->ctl->return_permit(r->ctl);
                g_strchomp(r->err.text->str);
                const char *newline = strrchr(r->err.text->str, '\n');
                g_autofree char *last = words_escape(newline ? newline + 1 : r->err.text->str);

                ctl_error("no answer: %s", last[0] ? last : g_strerror(problem < 0 ? -problem : ECONNRESET));
                return CTL_EXIT_FAILED;
        }
        stream_close(&r->err);
        stream_pass(&r->err, say_line, NULL);
        if (status == SSH_FAILED)
                ctl_error("the connection is lost");
        else if (status != 0)
                ctl_error("%s has ended with the status %d", name, status);
        return status == 0 ? CTL_EXIT_OK : CTL_EXIT_FAILED;
}

static CtlExit run_many(Run *r) {
        const uint64_t until = usec_add(now_usec(CLOCK_MONOTONIC), r->ctl->patience_usec);
        int n = 1;

        while (r->out.fd >= 0) {
                n = baton_poll(r->epoll, POLLIN, r->connected ? UINT64_MAX : until);
                if (n <= 0 && n != -EINTR) {
                        (void) kill(r->pid, SIGTERM);
                        return run_end(r, n < 0 ? n : -ETIMEDOUT);
                }
                run_process(r);
        }
        return run_end(r, 0);
}

static CtlExit run_begin(Run *r) {
        autofd out = -EBADF, err = -EBADF;

        r->epoll = epoll_create1(EPOLL_CLOEXEC);
        int n = r->epoll < 0 ? -errno : stream_open(r, &r->out, &out);
        if (n >= 0)
                n = stream_open(r, &r->err, &err);
        return n < 0 ? ctl_failed(n, "run ssh") : child_start(r->ctl, r->run, out, err, &r->pid);
}

CtlExit remote_run(Ctl *ctl, const RemoteRun *run) {
        if (!ctl->many)
                return run_one(ctl, run);
        Run r = {
                .ctl = ctl,
                .run = run,
                .epoll = -EBADF,
                .out = { -EBADF, g_string_new(NULL) },
                .err = { -EBADF, g_string_new(NULL) },
        };
        ctl->take_permit(ctl);
        CtlExit e = run_begin(&r);
        if (e == CTL_EXIT_OK)
                e = run_many(&r);
        else
                ctl->return_permit(ctl);
        stream_clear(&r.out);
        stream_clear(&r.err);
        (void) fd_close(r.epoll);
        return e;
}
