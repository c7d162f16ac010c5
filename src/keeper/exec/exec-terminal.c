/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "config.h"
#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-output.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-terminal.h"
#include "proto/terminal-protocol.h"

void terminal_connect(const ExecParameters *p, const struct identity *who) {
        const int slave = p->terminal.slave;

        /* Programs open it again by its name. The group is set by devpts and does not change. */
        if (fchown(slave, who->uid, (gid_t) -1) < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 ||
                dup2(slave, STDIN_FILENO) < 0 || dup2(slave, STDOUT_FILENO) < 0 ||
                dup2(slave, STDERR_FILENO) < 0) {
                int error = errno;

                gate_fail(p->gate_fd, LAUNCH_STAGE_STDIN, -error, "cannot take the terminal: %s",
                        strerror(error));
        }
}

void terminal_connect_pipe(const ExecParameters *p, const struct identity *who) {
        /* As for the pipe of stdin: by its name, /dev/stdout, only its owner may open it again. */
        if (who->change)
                (void) fchown(p->terminal.slave, who->uid, who->gid);
        output_connect(p->gate_fd, p->terminal.slave);
}

void terminal_send_output(const ExecParameters *p, const struct identity *who, int output_fd) {
        const struct terminal_output m = {
                .type = TERMINAL_OUTPUT,
                .pid = getpid(),
                .uid = who->uid,
                .gid = who->gid,
        };
        int r = socket_send(p->terminal.output, &m, sizeof(m), &output_fd, 1);

        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_OUTPUT, r,
                        "cannot pass the output to architect-terminal: %s", strerror(-r));
}

static int xterm_connect_client(const struct terminal_ends *ends, int *ret_fd, int *ret_size_fd) {
        const struct terminal_client m = { .type = TERMINAL_CLIENT, .flags = TERMINAL_CLIENT_REPLAY };
        int stream[2] = { -EBADF, -EBADF }, size[2] = { -EBADF, -EBADF }, r;

        /* The end for xterm has no O_CLOEXEC, so that it is inherited. */
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream) < 0 ||
                socketpair(AF_UNIX, SOCK_SEQPACKET, 0, size) < 0)
                r = -errno;
        else
                r = socket_send(ends->control, &m, sizeof(m), (int[]){ stream[1], size[1] }, 2);
        (void) fd_close(stream[1]);
        (void) fd_close(size[1]);
        *ret_fd = stream[0];
        *ret_size_fd = size[0];
        return r;
}

/* xterm runs a single argument after -e in a shell, so there are always several. Of two titles the last one
 * counts, so that of the caller follows. -e ends the options. */
static int xterm_build_arguments(const LaunchRequest *q, char *fd_option, char *size_option, char ***ret) {
        size_t n = 0, i = 0;
        char **argv;

        for (char **a = q->xterm_args; a && *a; a++)
                n++;
        argv = calloc(n + 9, sizeof(*argv));
        if (!argv)
                return -ENOMEM;

        argv[i++] = (char *) "xterm";
        argv[i++] = (char *) "-T";
        argv[i++] = q->role;
        for (char **a = q->xterm_args; a && *a; a++)
                argv[i++] = *a;
        argv[i++] = (char *) "-e";
        argv[i++] = (char *) ARCHITECTCTL;
        argv[i++] = (char *) "attach";
        argv[i++] = fd_option;
        argv[i++] = size_option;
        *ret = argv;
        return 0;
}

/* Writes an errno to the pipe, which otherwise is closed by the exec. */
static _noreturn_ void xterm_become(
        int pipe_fd, int output_fd, const int fds[static 2], char *const *argv, char *const *env) {
        const int keep[] = { pipe_fd, fds[0], fds[1] };
        int error, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output_fd, STDOUT_FILENO) >= 0 &&
                dup2(output_fd, STDERR_FILENO) >= 0 && fd_close_all_except(keep, ELEMENTSOF(keep)) >= 0) {
                environ = (char **)
                        env; /* the search uses the PATH of the role, see environment_search_path() */
                (void) execvp(argv[0], argv);
        }
        error = errno;
        (void) !write(pipe_fd, &error, sizeof(error));
        _exit(EXIT_FAILURE);
}

/* Forks twice, so that init becomes the parent of xterm, and begins a session, so that signals of the
 * terminal do not reach it. */
static int xterm_fork(int output_fd, const int fds[static 2], char *const *argv, char *const *env) {
        int p[2], error = 0;
        pid_t pid;

        if (pipe2(p, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0) {
                pid = setsid() < 0 ? -1 : fork();
                if (pid == 0)
                        xterm_become(p[1], output_fd, fds, argv, env);
                if (pid < 0) {
                        error = errno;
                        (void) !write(p[1], &error, sizeof(error));
                }
                _exit(EXIT_SUCCESS);
        }
        if (pid < 0)
                error = errno;
        (void) fd_close(p[1]);
        if (pid > 0) {
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                while (read(p[0], &error, sizeof(error)) < 0 && errno == EINTR)
                        ;
        }
        (void) fd_close(p[0]);
        return -error;
}

static _noreturn_ void xterm_fail_search(int gate_fd, char *const *env) {
        struct search_path search_path;

        environment_search_path(env, &search_path);
        gate_fail(gate_fd, LAUNCH_STAGE_XTERM, -ENOENT,
                "cannot open a window: there is no xterm in " SEARCH_PATH_FORMAT,
                SEARCH_PATH_ARGUMENTS(&search_path));
}

void xterm_start(const ExecParameters *p, const LaunchRequest *request, int output_fd, char *const *env) {
        char fd_option[32], size_option[32];
        int fds[2] = { -EBADF, -EBADF }, r;
        _cleanup_free_ char **argv = NULL;

        if (access(ARCHITECTCTL, X_OK) < 0) {
                int error = errno;

                gate_fail(p->gate_fd, LAUNCH_STAGE_XTERM, -error, "cannot execute %s: %s",
                        QUOTED(ARCHITECTCTL), strerror(error));
        }

        r = xterm_connect_client(&p->terminal, &fds[0], &fds[1]);
        (void) snprintf(fd_option, sizeof(fd_option), "--fd=%d", fds[0]);
        (void) snprintf(size_option, sizeof(size_option), "--size-fd=%d", fds[1]);
        if (r >= 0)
                r = xterm_build_arguments(request, fd_option, size_option, &argv);
        if (r >= 0)
                r = xterm_fork(output_fd, fds, argv, env);
        if (r == -ENOENT)
                xterm_fail_search(p->gate_fd, env);
        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_XTERM, r, "cannot open a window with xterm: %s",
                        fork_strerror(-r));
}
