/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "testlib.h"

void ctl_run_clear(CtlRun *run) {
        g_clear_pointer(&run->out, g_free);
        g_clear_pointer(&run->err, g_free);
}

CtlRun ctl_run(const char *const *argv) {
        CtlRun run = {};

        run.status = run_argv(&run.out, &run.err, argv);
        return run;
}

static CtlRun run_expecting(int status, const char *const *argv) {
        CtlRun run = ctl_run(argv);

        if (run.status != status) {
                g_autofree char *line = g_strjoinv(" ", (char **) argv);

                fail_msg("%s: status %d, not %d\n%s%s", line, run.status, status, run.out, run.err);
        }
        return run;
}

char *ctl_out(int status, const char *const *argv) {
        g_auto(CtlRun) run = run_expecting(status, argv);

        return g_steal_pointer(&run.out);
}

char *ctl_err(int status, const char *const *argv) {
        g_auto(CtlRun) run = run_expecting(status, argv);

        return g_steal_pointer(&run.err);
}

CtlTerminal ctl_on_terminal(const char *const *argv) {
        const struct winsize size = { .ws_row = 24, .ws_col = 80 };
        CtlTerminal terminal = {};
        int master;

        terminal.pid = forkpty(&master, NULL, NULL, &size);
        assert_return_code(terminal.pid, errno);
        if (terminal.pid == 0) {
                (void) setenv("TERM", "xterm", 1);
                (void) execvp(argv[0], (char *const *) argv);
                _exit(127);
        }
        terminal.screen = screen_new(master);
        return terminal;
}

int ctl_terminal_wait(CtlTerminal *terminal) {
        int status;

        screen_expect_end(terminal->screen);
        assert_int_equal(waitpid(terminal->pid, &status, 0), terminal->pid);
        terminal->pid = 0;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void ctl_terminal_clear(CtlTerminal *terminal) {
        if (terminal->pid > 0) {
                (void) kill(terminal->pid, SIGKILL);
                (void) waitpid(terminal->pid, NULL, 0);
        }
        g_clear_pointer(&terminal->screen, screen_free);
}
