/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/parse-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "cluster/role-check.h"

/* Of its output the end is kept, of which the last line is shown. */
#define OUTPUT_MAX 512

/* -- the child -- */

static _noreturn_ void check_give_up(const char *what, const char *name) {
        (void) dprintf(STDERR_FILENO, "%s %s: %s\n", what, name, strerror(errno));
        _exit(127);
}

static void check_become(const char *user) {
        uint32_t uid;

        errno = 0;
        const struct passwd *account = parse_u32(user, &uid) >= 0 ? getpwuid(uid) : getpwnam(user);
        if (!account) {
                errno = errno ?: ENOENT;
                check_give_up("cannot find user", user);
        }
        (void) setenv("HOME", account->pw_dir, true);
        (void) setenv("USER", account->pw_name, true);
        (void) setenv("LOGNAME", account->pw_name, true);
        /* Who runs the agent by hand need not be allowed to become what it is already. */
        if (geteuid() == account->pw_uid)
                return;
        if (initgroups(account->pw_name, account->pw_gid) < 0 ||
                setresgid(account->pw_gid, account->pw_gid, account->pw_gid) < 0 ||
                setresuid(account->pw_uid, account->pw_uid, account->pw_uid) < 0)
                check_give_up("cannot become", user);
}

static _noreturn_ void check_exec(const RoleCheck *check, int output, pid_t parent) {
        const char *directory = *check->directory ? check->directory : "/";
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        (void) setpgid(0, 0);
        (void) dup2(output, STDERR_FILENO);
        (void) dup2(output, STDOUT_FILENO);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0)
                check_give_up("cannot open", "/dev/null");
        if (*check->user)
                check_become(check->user);
        /* Pacemaker kills an agent that takes too long; a change of the user forgets this. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(127);
        if (chdir(directory) < 0)
                check_give_up("cannot change to", directory);
        (void) execvp(check->command[0], check->command);
        check_give_up("cannot execute", check->command[0]);
}

/* -- the parent -- */

static void check_read(int fd, GString *output) {
        char data[OUTPUT_MAX];
        ssize_t n;

        while ((n = read(fd, data, sizeof(data))) > 0) {
                (void) g_string_append_len(output, data, n);
                if (output->len > OUTPUT_MAX)
                        (void) g_string_erase(output, 0, (gssize) (output->len - OUTPUT_MAX));
        }
}

/* Returns false at the deadline. A process that it has left behind may keep the output open, so its own end
 * counts. */
static bool check_wait(const RoleCheck *check, int pidfd, int fd, GString *output) {
        struct pollfd items[] = { { .fd = pidfd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

        for (;;) {
                const uint64_t left = usec_until(check->deadline_usec);

                if (left == 0)
                        return false;
                (void) poll(items, ELEMENTSOF(items), (int) MIN(left / USEC_PER_MSEC + 1, INT_MAX));
                if (items[1].revents) {
                        check_read(fd, output);
                        /* Closed: readable for ever. */
                        if (items[1].revents & POLLHUP)
                                items[1].fd = -1;
                }
                if (items[0].revents) {
                        check_read(fd, output);
                        return true;
                }
        }
}

static char *check_last_line(GString *output) {
        for (char *c = output->str; *c; c++)
                if ((unsigned char) *c < ' ' && *c != '\n')
                        *c = ' ';
        g_strchomp(output->str);
        const char *newline = strrchr(output->str, '\n');
        return g_utf8_make_valid(newline ? newline + 1 : output->str, -1);
}

static char *check_describe(int status, bool in_time, GString *output) {
        g_autofree char *line = check_last_line(output), *end = NULL;

        if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return NULL;
        if (!in_time)
                end = g_strdup("did not end in time");
        else if (WIFEXITED(status))
                end = g_strdup_printf("exited with status %d", WEXITSTATUS(status));
        else
                end = g_strdup_printf("killed by signal %d", WTERMSIG(status));
        return g_strconcat(end, *line ? ": " : "", line, NULL);
}

char *role_check_run(const RoleCheck *check) {
        g_autoptr(GString) output = g_string_new(NULL);
        const pid_t parent = getpid();
        int fds[2], status = 0;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return g_strdup_printf("could not be run: %s", strerror(errno));
        autofd fd = fds[0], pidfd = -EBADF;
        int r = fd_nonblock(fd, true);
        pid_t pid = r < 0 ? -1 : fork();
        if (pid == 0)
                check_exec(check, fds[1], parent);
        (void) fd_close(fds[1]);
        if (pid < 0)
                return g_strdup_printf("could not be run: %s", strerror(r < 0 ? -r : errno));
        /* Whoever is first. */
        (void) setpgid(pid, pid);

        pidfd = pidfd_open_pid(pid);
        const bool in_time = pidfd >= 0 && check_wait(check, pidfd, fd, output);
        /* Before it is waited for, so that the number is still its own. */
        (void) kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return g_strdup_printf("could not be waited for: %s", strerror(errno));
        return check_describe(status, in_time, output);
}
