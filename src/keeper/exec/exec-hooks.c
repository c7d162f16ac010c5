/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/command-list.h"
#include "base/fd-util.h"
#include "base/time-util.h"
#include "keeper/exec/exec-command.h"
#include "keeper/exec/exec-hooks.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-subprocess.h"

/* -- one command -- */

typedef struct Hook {
        char *const *words; /* without the '-' before the program */
        size_t n_words;
        bool ignore; /* its failure */
        char *program;
        Subprocess process;
} Hook;

static bool hook_next(char *const **list, Hook *ret) {
        size_t n = 0;
        char *const *words = command_list_next(list, &n);

        if (!words)
                return false;
        *ret = (Hook){
                .words = words,
                .n_words = n,
                .ignore = words[0][0] == COMMAND_IGNORES_FAILURE,
        };
        ret->program = words[0] + ret->ignore;
        return true;
}

/* The command for a message, as far as there is room. */
static const char *hook_text(const Hook *hook, char buffer[static QUOTED_MAX]) {
        char text[2 * QUOTED_MAX];
        size_t n;

        (void) snprintf(text, sizeof(text), "%s", hook->program);
        for (size_t i = 1; i < hook->n_words && (n = strlen(text)) + 1 < sizeof(text); i++)
                (void) snprintf(text + n, sizeof(text) - n, " %s", hook->words[i]);
        return text_quote(text, buffer);
}
#define HOOK_TEXT(hook) hook_text((hook), (char[QUOTED_MAX]){ 0 })

/* In the process of the command. report_fd receives why it cannot be executed. */
static _noreturn_ void hook_exec(
        const Hook *hook, bool default_sigpipe, const char *user, char *const *env, int report_fd) {
        sigset_t none;
        char **argv;
        int null_fd;

        (void) setpgid(0, 0);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, default_sigpipe ? SIG_DFL : SIG_IGN);

        /* The standard input belongs to the command of the role. */
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
                gate_fail(report_fd, LAUNCH_STAGE_EXEC, -errno, "cannot connect /dev/null: %s",
                        strerror(errno));
        if (fd_close_all_except(&report_fd, 1) < 0)
                gate_fail(report_fd, LAUNCH_STAGE_EXEC, -EMFILE, "cannot close descriptors");

        argv = calloc(hook->n_words + 1, sizeof(*argv));
        if (!argv)
                gate_fail(report_fd, LAUNCH_STAGE_EXEC, -ENOMEM, "%s", strerror(ENOMEM));
        memcpy(argv, hook->words, hook->n_words * sizeof(*argv));
        argv[0] = hook->program;
        command_exec(report_fd, user, argv, env);
}

/* Returns a negative errno; a text for messages says then what has failed. */
static int hook_spawn(Hook *hook, bool default_sigpipe, const char *user, char *const *env, int *ret_report) {
        int report[2];
        const pid_t self = getpid();

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) < 0)
                return -errno;
        hook->process.pid = fork();
        if (hook->process.pid == 0) {
                /* Without its parent nothing would end it at its deadline. */
                if (exec_die_with(self) < 0)
                        _exit(EXEC_FAILED);
                hook_exec(hook, default_sigpipe, user, env, report[1]);
        }
        const int error = errno;
        (void) fd_close(report[1]);
        if (hook->process.pid < 0) {
                (void) fd_close(report[0]);
                return -error;
        }
        (void) setpgid(hook->process.pid, hook->process.pid); /* either may be the first */
        *ret_report = report[0];
        return 0;
}

/* How it has ended, with a text. Returns 0, -EINTR, -EIO, or why it was not executed. */
static int hook_result(const Hook *hook, int report_fd, char text[static WORDS_MAX]) {
        const int status = hook->process.status;
        struct gate_report report;
        char packet[sizeof(report)];
        size_t n_fds = 0;
        ssize_t n;

        /* Its process is over, so there is the report or the end. */
        n = socket_recv(report_fd, packet, sizeof(packet), NULL, &n_fds);
        if (n > 0 && gate_report_parse(packet, (size_t) n, &report) >= 0) {
                (void) snprintf(text, WORDS_MAX, "%.*s", WORDS_MAX - 1, report.text);
                return report.error < 0 ? report.error : -EIO;
        }
        if (WIFSIGNALED(status)) {
                (void) snprintf(text, WORDS_MAX, "%s was killed by signal %d (%s)", HOOK_TEXT(hook),
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
                return -EINTR;
        }
        if (WEXITSTATUS(status) == 0)
                return 0;
        (void) snprintf(
                text, WORDS_MAX, "%s failed with exit status %d", HOOK_TEXT(hook), WEXITSTATUS(status));
        return -EIO;
}

/* -- exec-start-pre -- */

static _noreturn_ void start_pre_time_out(int gate_fd, const Hook *hook, uint64_t timeout_usec) {
        gate_fail(gate_fd, LAUNCH_STAGE_START_PRE, -ETIMEDOUT,
                "%s was killed, because the commands of exec-start-pre did not end within %" PRIu64 " ms",
                HOOK_TEXT(hook), timeout_usec / USEC_PER_MSEC);
}

static void start_pre_run(const ExecParameters *p, const LaunchRequest *q, Hook *hook, uint64_t deadline,
        const char *user, char *const *env) {
        char text[WORDS_MAX], pids[SUBPROCESS_PIDS_SIZE];
        autofd report_fd = -EBADF;
        int r;

        r = hook_spawn(hook, q->default_sigpipe, user, env, &report_fd);
        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_START_PRE, r, "cannot fork for %s: %s", HOOK_TEXT(hook),
                        fork_strerror(-r));
        const bool in_time = subprocess_wait(&hook->process, deadline);
        if (!subprocess_end_all(&hook->process, pids))
                gate_fail(p->gate_fd, LAUNCH_STAGE_START_PRE, -EBUSY, "processes of %s do not end: %s",
                        HOOK_TEXT(hook), pids);
        if (!in_time)
                start_pre_time_out(p->gate_fd, hook, q->start_pre_timeout_usec);
        r = hook_result(hook, report_fd, text);
        if (r < 0 && hook->ignore)
                gate_warn(p->gate_fd, LAUNCH_STAGE_START_PRE, 0, "%s, ignoring", text);
        else if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_START_PRE, r, "%s", text);
}

void hooks_run_start_pre(
        const ExecParameters *p, const LaunchRequest *request, const char *user, char *const *env) {
        const uint64_t deadline = usec_add(now_usec(CLOCK_MONOTONIC), request->start_pre_timeout_usec);
        char *const *list = request->exec_start_pre;
        sigset_t mask;
        Hook hook;
        int r;

        if (!request->exec_start_pre)
                return;
        /* A cancelled start sends SIGTERM to the scope. This process must outlive the command, which would be
         * killed with it, and may have something to clean up. */
        r = subprocess_prepare(SIGTERM, &mask);
        if (r < 0)
                gate_fail(
                        p->gate_fd, LAUNCH_STAGE_START_PRE, r, "cannot begin the commands: %s", strerror(-r));
        while (hook_next(&list, &hook))
                start_pre_run(p, request, &hook, deadline, user, env);
        r = subprocess_done(&mask); /* a SIGTERM that has come ends it here */
        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_START_PRE, r, "cannot go on after the commands: %s",
                        strerror(-r));
}

/* -- exec-stop and exec-stop-post -- */

/* The file may have been replaced by an upgrade. The process still has it. */
#define HOOKS_PROGRAM "/proc/self/exe"

void hooks_exec(int gate_fd, const char *user, char *const *commands, char *const *env) {
        static char title[] = "architect-keeper", option[] = HOOKS_OPTION;
        char *const *list = commands;
        size_t n = 0;
        char **argv;
        Hook hook = { 0 };

        if (!hook_next(&list, &hook))
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -EINVAL, "there is no command");
        while (commands[n])
                n++;
        argv = calloc(n + 3, sizeof(*argv));
        if (!argv)
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOMEM, "%s", strerror(ENOMEM));
        if (!*list) {
                memcpy(argv, hook.words, hook.n_words * sizeof(*argv));
                argv[0] = hook.program;
                command_exec(gate_fd, user, argv, env);
        }
        argv[0] = title;
        argv[1] = option;
        memcpy(argv + 2, commands, n * sizeof(*argv));
        (void) execve(HOOKS_PROGRAM, argv, env);
        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -errno, "cannot run several commands: %s", strerror(errno));
}

/* Ends as the command has, for the parent. */
static int hook_end_alike(const Hook *hook, int error) {
        const int status = hook->process.status;
        sigset_t none;

        if (error == -EINTR && WIFSIGNALED(status)) {
                sigemptyset(&none);
                (void) setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }); /* the command has left one */
                (void) signal(WTERMSIG(status), SIG_DFL);
                (void) sigprocmask(SIG_SETMASK, &none, NULL);
                (void) raise(WTERMSIG(status));
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : EXEC_FAILED;
}

int hooks_main(char *const *commands) {
        const bool default_sigpipe = signal(SIGPIPE, SIG_IGN) != SIG_IGN;
        char *const *list = commands;
        Hook hook;

        if (!command_list_is_valid(commands))
                return EXEC_FAILED;
        while (hook_next(&list, &hook)) {
                char text[WORDS_MAX];
                autofd report_fd = -EBADF;
                int r;

                r = hook_spawn(&hook, default_sigpipe, getenv("USER"), environ, &report_fd);
                if (r < 0) {
                        (void) dprintf(STDERR_FILENO, "Cannot fork for %s: %s\n", HOOK_TEXT(&hook),
                                fork_strerror(-r));
                        return EXEC_FAILED;
                }
                while (waitpid(hook.process.pid, &hook.process.status, 0) < 0 && errno == EINTR)
                        ;
                r = hook_result(&hook, report_fd, text);
                if (r < 0)
                        (void) dprintf(STDERR_FILENO, "%s%s\n", text, hook.ignore ? ", ignoring" : "");
                if (r < 0 && !hook.ignore)
                        return hook_end_alike(&hook, r);
        }
        return EXIT_SUCCESS;
}
