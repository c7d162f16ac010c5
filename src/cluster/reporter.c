/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "cluster/reporter.h"
#include "util/log.h"

/* A Pacemaker that is frozen does not keep the next report for ever. */
#define REPORT_TIMEOUT_MSEC (60 * 1000)
#define REPORT_MAX 1024

static int report_wait(pid_t pid) {
        autofd pidfd = pidfd_open_pid(pid);
        struct pollfd item = { .fd = pidfd, .events = POLLIN };
        int status;

        if (pidfd < 0 || poll(&item, 1, REPORT_TIMEOUT_MSEC) <= 0)
                (void) kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}

static void report(const char *resource, const char *host) {
        pid_t pid = fork();

        if (pid == 0) {
                (void) execlp("crm_resource", "crm_resource", "--fail", "--quiet", "--resource", resource,
                        "--node", host, NULL);
                _exit(127);
        }
        int r = pid < 0 ? -errno : report_wait(pid);
        if (r == 0)
                log_info("Pacemaker was told that resource %s has failed", resource);
        else if (r > 0)
                log_warning(
                        "crm_resource --fail of resource %s has exited with status %d, so its next monitor "
                        "notices the failure",
                        resource, r);
        else
                (void) log_warning_errno(r,
                        "Cannot run crm_resource --fail for resource %s, so its next monitor notices the failure: %m",
                        resource);
}

static _noreturn_ void reporter_run(int fd) {
        char data[REPORT_MAX + 1];
        ssize_t n;

        /* It ends with its parent, not before it. */
        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGINT, SIG_IGN);
        (void) prctl(PR_SET_NAME, "cluster-report");
        while ((n = recv(fd, data, REPORT_MAX, 0)) > 0 || (n < 0 && errno == EINTR)) {
                const char *resource = data, *host;

                if (n < 0)
                        continue;
                data[n] = '\0';
                host = data + strlen(data) + 1;
                if (host < data + n)
                        report(resource, host);
        }
        _exit(EXIT_SUCCESS);
}

int reporter_start(int *ret_socket, pid_t *ret_pid) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0) {
                (void) fd_close(pair[0]);
                reporter_run(pair[1]);
        }
        (void) fd_close(pair[1]);
        if (pid < 0) {
                (void) fd_close(pair[0]);
                return -errno;
        }
        *ret_socket = pair[0];
        *ret_pid = pid;
        return 0;
}

int reporter_send(int socket, const char *resource, const char *host) {
        const size_t n = strlen(resource) + 1, m = strlen(host) + 1;
        char data[REPORT_MAX];

        if (n + m > sizeof(data))
                return -EMSGSIZE;
        memcpy(data, resource, n);
        memcpy(data + n, host, m);
        return send(socket, data, n + m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
