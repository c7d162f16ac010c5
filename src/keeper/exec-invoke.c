/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/rlimit-util.h"
#include "keeper/exec-command.h"
#include "keeper/exec-environment.h"
#include "keeper/exec-invoke.h"
#include "keeper/exec-output.h"
#include "keeper/exec-product.h"
#include "keeper/exec-report.h"
#include "keeper/exec-sockets.h"
#include "keeper/exec-terminal.h"
#include "keeper/exec-user.h"

#define OOM_SCORE_ADJ "/proc/self/oom_score_adj"

int exec_die_with_keeper(const struct keeper_self *self) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;

        /* It may have died before we asked for the signal. */
        return getppid() == self->pid ? 0 : -ESRCH;
}

/* The gate opens with one packet. Its end before that means that nobody wants us any more. */
static int wait_at_gate(int gate_fd, LaunchRequest **ret) {
        struct gate_open m;
        autofd memfd = -EBADF;
        int fds[1];
        size_t n_fds = 1;
        ssize_t n;

        n = socket_recv(gate_fd, &m, sizeof(m), fds, &n_fds);
        if (n == 0 || n == -ECONNRESET)
                _exit(EXEC_FAILED);
        if (n < 0)
                return (int) n;
        if (n_fds == 1)
                memfd = fds[0];
        if ((size_t) n != sizeof(m) || n_fds != 1 || m.magic != GATE_MAGIC)
                return -EBADMSG;
        if (m.version != LAUNCH_REQUEST_VERSION)
                return -EPROTONOSUPPORT;

        return launch_request_read(memfd, ret);
}

static void start_session(int gate_fd) {
        sigset_t none;

        /* To the root as well, for relative paths to mean the same wherever the keeper was started. */
        if (setsid() < 0 || chdir("/") < 0) {
                int error = errno;

                gate_fail(
                        gate_fd, LAUNCH_STAGE_SESSION, -error, "cannot begin a session: %s", strerror(error));
        }

        /* SIGKILL, SIGSTOP and those the C library keeps for itself refuse; nobody can have changed them. */
        for (int signo = 1; signo < NSIG; signo++)
                (void) signal(signo, SIG_DFL);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);

        (void) umask(0022);
}

/* The keeper is protected from the OOM killer; what it starts must not be. */
static void reset_oom_score(int gate_fd) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = file_read(AT_FDCWD, OOM_SCORE_ADJ, 64, &text, NULL);
        if (r >= 0 && strcmp(text, "0\n") == 0)
                return;

        /* In a user's own instance it may be above 0, and only root can lower it: then all of the user's processes are
         * like that. */
        if (r >= 0)
                r = file_write_string(OOM_SCORE_ADJ, "0");
        if (r < 0 && !(r == -EACCES && geteuid() != 0))
                gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, r, "cannot reset oom_score_adj: %s", strerror(-r));
}

static void set_limits(int gate_fd, const struct keeper_self *self, const LaunchRequest *q) {
        reset_oom_score(gate_fd);

        if (q->nice_set && setpriority(PRIO_PROCESS, 0, q->nice) < 0) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, -error, "cannot set nice to %d: %s", q->nice,
                        strerror(error));
        }

        for (int i = 0; i < RLIMIT_COUNT; i++) {
                rlim_t v = q->limits[i] == UINT64_MAX ? RLIM_INFINITY : (rlim_t) q->limits[i];
                struct rlimit rl = { .rlim_cur = v, .rlim_max = v };

                if (!(q->limits_set & (UINT64_C(1) << i))) {
                        if (i != RLIMIT_NOFILE)
                                continue;
                        rl = self->nofile;
                }

                if (setrlimit((__rlimit_resource_t) i, &rl) < 0) {
                        int error = errno;

                        gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, -error, "cannot set the limit %s to %llu: %s",
                                rlimit_to_string(i), (unsigned long long) rl.rlim_max, strerror(error));
                }
        }
}

static void change_directory(int gate_fd, const LaunchRequest *q, const struct identity *who) {
        const char *directory = q->working_directory ? q->working_directory : "/";

        if (chdir(directory) < 0) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_DIRECTORY, -error,
                        "cannot change to directory %s as user %s: %s", QUOTED(directory), QUOTED(who->name),
                        strerror(error));
        }
}

void exec_invoke(const struct keeper_self *self, int gate_fd, int stdin_fd, struct terminal_ends *terminal,
        struct child_sockets *sockets) {
        int keep[KEEPER_FORK_PORTS_MAX + 2], output_fd = -EBADF;
        int *others[] = { &stdin_fd, &terminal->slave, &terminal->control, &terminal->output };
        struct identity who;
        LaunchRequest *q;
        char **env;
        int r;

        r = wait_at_gate(gate_fd, &q);
        if (r < 0)
                gate_fail(
                        gate_fd, LAUNCH_STAGE_REQUEST, r, "cannot read the launch request: %s", strerror(-r));

        exec_sockets_arrange(&gate_fd, others, ELEMENTSOF(others), sockets);
        identity_find(gate_fd, q, &who);
        start_session(gate_fd);
        if (has_terminal(terminal))
                terminal_connect(gate_fd, terminal, &who);
        else
                stdin_connect(gate_fd, stdin_fd);
        identity_take_groups(gate_fd, self, &who);
        output_fd = output_open(gate_fd, self, q, &who);
        if (has_terminal(terminal))
                terminal_send_output(gate_fd, terminal, &who, output_fd);
        else
                output_connect(gate_fd, output_fd);
        set_limits(gate_fd, self, q);
        identity_become(gate_fd, self, &who);
        change_directory(gate_fd, q, &who);

        r = environment_begin(q, &who, has_terminal(terminal), &env);
        if (r >= 0 && q->setup)
                product_setup(gate_fd, q, env, &env);
        if (r >= 0)
                r = environment_finish(q, env, &env);
        if (r >= 0)
                r = exec_sockets_environment(sockets, &env);
        if (r < 0)
                gate_fail(gate_fd, LAUNCH_STAGE_ENVIRONMENT, r, "cannot build the environment: %s",
                        strerror(-r));

        if (has_terminal(terminal) && q->xterm)
                xterm_start(gate_fd, terminal, q, output_fd, env);

        /* The terminal's ends, and whatever NSS has left open. The gate closes with the exec, which is how the node hears of it. */
        r = fd_close_all_except(keep, exec_sockets_keep(gate_fd, sockets, keep));
        if (r < 0)
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, r, "cannot close descriptors: %s", strerror(-r));

        exec_sockets_open(gate_fd, sockets);

        /* From here on the role may outlive the keeper. */
        (void) prctl(PR_SET_PDEATHSIG, 0);
        command_exec(gate_fd, q->command, env);
}
