/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/cpu-list.h"
#include "base/fd-util.h"
#include "base/rlimit-util.h"
#include "base/time-util.h"
#include "keeper/exec/exec-command.h"
#include "keeper/exec/exec-environment-file.h"
#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-hooks.h"
#include "keeper/exec/exec-invoke.h"
#include "keeper/exec/exec-notify.h"
#include "keeper/exec/exec-output.h"
#include "keeper/exec/exec-product.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-sockets.h"
#include "keeper/exec/exec-terminal.h"
#include "keeper/exec/exec-user.h"

#define OOM_SCORE_ADJ "/proc/self/oom_score_adj"

/* Sets the title that ps(1) shows until the exec. It is the role in parentheses, as in systemd. */
static void exec_set_title(const ExecParameters *p) {
        char title[ROLE_NAME_MAX + 3], comm[16];

        (void) snprintf(comm, sizeof(comm), "(%.13s)", p->role);
        (void) prctl(PR_SET_NAME, comm);

        /* The last byte must remain NUL; otherwise the kernel takes the environment for a part of the command
         * line. */
        (void) snprintf(title, sizeof(title), "(%s)", p->role);
        memset(p->arguments, 0, p->arguments_size);
        if (p->arguments_size > 0)
                (void) snprintf(p->arguments, p->arguments_size, "%s", title);
}

/* The clone has copies of the gates of other roles and of the write ends of their stdin. A role that waits
 * for EOF would wait for this process, too, so this step is the first one. */
static int exec_detach(const ExecParameters *p) {
        int keep[EXEC_SOCKETS_KEEP_MAX + 4], r;
        size_t n = exec_sockets_keep(p, keep);
        sigset_t none;

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);

        keep[n++] = p->stdin_fd;
        keep[n++] = p->terminal.slave;
        keep[n++] = p->terminal.control;
        keep[n++] = p->terminal.output;
        r = exec_die_with(p->keeper_pid);
        return r < 0 ? r : fd_close_all_except(keep, n);
}

/* The gate opens with one packet. If it ends before that, the role is not wanted any more. */
static int exec_wait_at_gate(ExecParameters *p, LaunchRequest **ret) {
        struct gate_open m;
        autofd memfd = -EBADF;
        int fds[2], r;
        size_t n_fds = ELEMENTSOF(fds);
        ssize_t n;

        n = socket_recv(p->gate_fd, &m, sizeof(m), fds, &n_fds);
        if (n == 0 || n == -ECONNRESET)
                _exit(EXEC_FAILED);
        if (n < 0)
                return (int) n;
        if (n_fds > 0)
                memfd = fds[0];
        if (n_fds > 1)
                p->stream_fd = fds[1];
        if ((size_t) n != sizeof(m) || n_fds == 0 || m.magic != GATE_MAGIC)
                return -EBADMSG;
        if (m.version != LAUNCH_REQUEST_VERSION)
                return -EPROTONOSUPPORT;

        r = launch_request_read(memfd, ret);
        return r >= 0 && ((*ret)->stream == LAUNCH_STREAM_SHARED) != (p->stream_fd >= 0) ? -EBADMSG : r;
}

static void exec_start_session(const ExecParameters *p) {
        const int gate_fd = p->gate_fd;
        sigset_t none;

        /* The working directory is the root, so that relative paths have the same meaning wherever the keeper
         * was started. */
        if (setsid() < 0 || chdir("/") < 0) {
                int error = errno;

                gate_fail(
                        gate_fd, LAUNCH_STAGE_SESSION, -error, "cannot begin a session: %s", strerror(error));
        }

        for (int signo = 1; signo < NSIG; signo++)
                if (sigismember(p->ignored, signo) == 1)
                        (void) signal(signo, SIG_DFL);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);

        (void) umask(0022);
}

/* The keeper is protected from the OOM killer, but its children must not be. */
static void exec_set_oom_score(int gate_fd, const LaunchRequest *q) {
        _cleanup_free_ char *text = NULL;
        char want[16];
        int r;

        (void) snprintf(want, sizeof(want), "%d\n", q->oom_score_adjust);
        r = file_read(AT_FDCWD, OOM_SCORE_ADJ, 64, &text, NULL);
        if (r >= 0 && strcmp(text, want) == 0)
                return;

        if (r >= 0)
                r = file_write_string(OOM_SCORE_ADJ, want);
        /* In the instance of a user it may be above 0, and only root can lower it. Then it is the same for
         * all processes of the user. */
        if (r < 0 && !(r == -EACCES && geteuid() != 0 && !q->oom_score_adjust_set))
                gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, r, "cannot set oom_score_adj to %d: %s",
                        q->oom_score_adjust, strerror(-r));
}

static void exec_set_cpu_affinity(int gate_fd, const LaunchRequest *q) {
        CpuList list = { 0 };

        if (!q->cpu_affinity)
                return;
        (void) cpu_list_parse(q->cpu_affinity, &list); /* the request was checked */
        if (sched_setaffinity(0, sizeof(list.bits), (const cpu_set_t *) list.bits) < 0) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, -error, "cannot run on the CPUs %s: %s",
                        QUOTED(q->cpu_affinity),
                        error == EINVAL ? "the role may use none of them" : strerror(error));
        }
}

/* Each stop walks over them. */
static void exec_limit_cgroups(int gate_fd, const LaunchRequest *q) {
        _cleanup_free_ char *cgroup = NULL;
        int r;

        if (q->cgroups_max == 0)
                return;
        r = cgroup_of_pid(getpid(), &cgroup);
        if (r >= 0)
                r = cgroup_set_max_descendants(cgroup, q->cgroups_max);
        if (r < 0)
                gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, r,
                        "cannot limit the control groups below its scope: %s", strerror(-r));
}

/* What a user starts gets no more than any child of the keeper has. */
static void exec_check_limits(const ExecParameters *p, const LaunchRequest *q) {
        errno = 0;
        int nice = getpriority(PRIO_PROCESS, 0);

        if (q->nice_set && (q->nice < nice || (nice == -1 && errno != 0)))
                gate_fail(p->gate_fd, LAUNCH_STAGE_LIMITS, -EPERM,
                        "option nice: only root may set %d, which is below %d", q->nice, nice);
        if (q->oom_score_adjust < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_LIMITS, -EPERM,
                        "option oom-score-adjust: only root may set %d, which is below 0",
                        q->oom_score_adjust);
        for (int i = 0; i < RLIMIT_COUNT; i++) {
                struct rlimit rl;

                if (!(q->limits_set & (UINT64_C(1) << i)))
                        continue;
                if (i == RLIMIT_NOFILE)
                        rl = p->nofile;
                else if (getrlimit((__rlimit_resource_t) i, &rl) < 0)
                        rl.rlim_max = 0;
                /* RLIM_INFINITY is the greatest value. */
                if (rl.rlim_max != RLIM_INFINITY && q->limits[i] > rl.rlim_max)
                        gate_fail(p->gate_fd, LAUNCH_STAGE_LIMITS, -EPERM,
                                "option limits: only root may set %s to more than %llu", rlimit_to_string(i),
                                (unsigned long long) rl.rlim_max);
        }
}

static void exec_set_limits(const ExecParameters *p, const LaunchRequest *q) {
        const int gate_fd = p->gate_fd;

        if (q->account)
                exec_check_limits(p, q);
        exec_set_oom_score(gate_fd, q);
        exec_set_cpu_affinity(gate_fd, q);
        exec_limit_cgroups(gate_fd, q);

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
                        rl = p->nofile;
                }

                if (setrlimit((__rlimit_resource_t) i, &rl) < 0) {
                        int error = errno;

                        gate_fail(gate_fd, LAUNCH_STAGE_LIMITS, -error, "cannot set the limit %s to %llu: %s",
                                rlimit_to_string(i), (unsigned long long) rl.rlim_max, strerror(error));
                }
        }
}

static void exec_change_directory(int gate_fd, const LaunchRequest *q, const struct identity *who) {
        const char *directory = q->working_directory ? q->working_directory : "/";

        if (chdir(directory) < 0) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_DIRECTORY, -error,
                        "cannot change to directory %s as user %s: %s", QUOTED(directory), QUOTED(who->name),
                        strerror(error));
        }
}

void exec_invoke(ExecParameters *p) {
        int keep[EXEC_SOCKETS_KEEP_MAX], output_fd = -EBADF;
        uint64_t products_usec = 0, hooks_usec = 0;
        struct identity who;
        LaunchRequest *q;
        char **env;
        int r;

        if (exec_detach(p) < 0)
                _exit(EXEC_FAILED);
        exec_set_title(p);

        r = exec_wait_at_gate(p, &q);
        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_REQUEST, r, "cannot read the launch request: %s",
                        strerror(-r));

        exec_sockets_arrange(p);
        identity_find(p->gate_fd, q, &who);
        identity_note_ipc(p->gate_fd, &who);
        exec_start_session(p);
        environment_read_files(p->gate_fd, q);
        if (exec_has_terminal(p))
                terminal_connect(p, &who);
        else
                stdin_connect(p, &who);
        identity_take_groups(p, &who);
        output_fd = output_open(p, q, &who);
        if (p->terminal.output >= 0)
                terminal_send_output(p, &who, output_fd);
        if (exec_has_output_pipe(p))
                terminal_connect_pipe(p, &who);
        else if (!exec_has_terminal(p))
                output_connect(p->gate_fd, output_fd);
        exec_set_limits(p, q);
        identity_become(p, &who);
        exec_change_directory(p->gate_fd, q, &who);

        r = environment_begin(q, &who, exec_has_terminal(p), &env);
        if (r >= 0 && q->setup) {
                const uint64_t begin = now_usec(CLOCK_MONOTONIC);

                r = environment_for_setup(q, env, &env);
                if (r >= 0)
                        product_setup(p->gate_fd, q, env, &env);
                products_usec = now_usec(CLOCK_MONOTONIC) - begin;
        }
        if (r >= 0)
                r = environment_finish(q, env, &env);
        if (r >= 0 && q->exec_start_pre) {
                const uint64_t begin = now_usec(CLOCK_MONOTONIC);

                hooks_run_start_pre(p, q, who.name, env);
                hooks_usec = now_usec(CLOCK_MONOTONIC) - begin;
        }
        if (r >= 0)
                r = exec_sockets_environment(p->sockets, &env);
        if (r >= 0)
                r = exec_notify_environment(p, q, &env);
        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_ENVIRONMENT, r, "cannot build the environment: %s",
                        strerror(-r));

        if (exec_has_terminal(p) && q->xterm)
                xterm_start(p, q, output_fd, env);

        if (!q->commands)
                gate_send_times(p->gate_fd, products_usec, hooks_usec);

        /* This closes the ends of the terminal, and what NSS has left open. The gate is closed by the exec,
         * which is how the node detects the exec. */
        r = fd_close_all_except(keep, exec_sockets_keep(p, keep));
        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_EXEC, r, "cannot close descriptors: %s", strerror(-r));

        exec_sockets_open(p);

        /* Last, because a product set-up and xterm start with the default, as from a shell. */
        if (!q->default_sigpipe)
                (void) signal(SIGPIPE, SIG_IGN);

        /* From here on the role may outlive the keeper. */
        (void) prctl(PR_SET_PDEATHSIG, 0);
        if (q->commands)
                hooks_exec(p->gate_fd, who.name, q->commands, env);
        command_exec(p->gate_fd, who.name, q->command, env);
}
