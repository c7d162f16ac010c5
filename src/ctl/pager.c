/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/pager.h"
#include "ctl/words.h"

static pid_t pager_pid;

static const char *pager_command(void) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        if (!pager)
                return "exec less";
        return pager[0] && strcmp(pager, "cat") != 0 ? pager : NULL;
}

_Noreturn static void pager_exec(int in, const char *command) {
        if (dup2(in, STDIN_FILENO) < 0)
                _exit(EXIT_FAILURE);
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        /* The user leaves it with its own keys. */
        (void) signal(SIGINT, SIG_IGN);
        (void) execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(EXIT_FAILURE);
}

void pager_open(const Ctl *ctl) {
        const char *command = pager_command();
        int pipe_fds[2];

        if (pager_pid > 0 || ctl->many || !ctl->pager || !ctl_stdout_is_terminal() || !command)
                return;
        /* What is in less must end before it: without less the shell would say so instead of the output. */
        if (g_str_equal(command, "exec less")) {
                g_autofree char *less = g_find_program_in_path("less");
                if (!less)
                        return;
        }
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return;
        (void) fflush(stdout);
        pager_pid = fork();
        if (pager_pid == 0)
                pager_exec(pipe_fds[0], command);
        if (pager_pid > 0) {
                (void) dup2(pipe_fds[1], STDOUT_FILENO);
                (void) signal(SIGINT, SIG_IGN);
        }
        (void) close(pipe_fds[0]);
        (void) close(pipe_fds[1]);
}

void pager_close(void) {
        if (pager_pid <= 0)
                return;
        (void) fflush(stdout);
        (void) freopen("/dev/null", "w", stdout); /* the end of its input */
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}
