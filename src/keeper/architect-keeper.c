/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* architect-keeper is the parent of every role. It forks, waits, sends signals and keeps what must outlive
 * the node. It makes no decisions, and it is small so that it rarely has to change. See src/README.md. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/stderr-log.h"
#include "config.h"
#include "keeper/exec/exec-hooks.h"
#include "keeper/keeper-loop.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-restore.h"
#include "keeper/keeper-state.h"
#include "keeper/listen.h"
#include "proto/node-names.h"

/* A role needs three descriptors, and a role with a terminal five more. The value is enough for more than
 * 8,000 roles, and lower than the limit of some kernels. */
#define NOFILE_WANTED 65536

static const char *arg_instance = NODE_DEFAULT_INSTANCE;
static const char *arg_socket = NULL;
static const char *arg_terminal = PKGLIBEXECDIR "/architect-terminal";
static uint32_t arg_protocol_max = KEEPER_PROTOCOL_VERSION;
static enum { ACTION_RUN, ACTION_CHECK, ACTION_REEXEC } arg_action = ACTION_RUN;

static void keeper_help(void) {
        (void) printf(
                "architect-keeper [OPTIONS...]\n\n"
                "Keeps the roles of architect-node. systemd starts it through architect-keeper.socket.\n\n"
                "  -h --help             Show this help\n"
                "     --version          Show the version\n"
                "     --instance=NAME    Instance whose roles these are (default: " NODE_DEFAULT_INSTANCE
                ")\n"
                "     --socket=PATH      Listen here instead of on the socket that systemd passes\n"
                "     --terminal=PATH    The program that drains a role's terminal\n"
                "     --reexec           Replace the running keeper by the installed program\n"
                "     --check            Only check whether the state in standard input can be taken over\n"
                "     --protocol-max=N   Use no newer version of the protocol (for tests of downgrades)\n");
}

/* Returns 1 to continue, 0 if nothing remains to be done, negative if the arguments are invalid. */
static int parse_arguments(int argc, char *argv[]) {
        enum {
                ARG_VERSION = 0x100,
                ARG_INSTANCE,
                ARG_SOCKET,
                ARG_TERMINAL,
                ARG_REEXEC,
                ARG_CHECK,
                ARG_PROTOCOL_MAX
        };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "instance", required_argument, NULL, ARG_INSTANCE },
                { "socket", required_argument, NULL, ARG_SOCKET },
                { "terminal", required_argument, NULL, ARG_TERMINAL },
                { "reexec", no_argument, NULL, ARG_REEXEC },
                { "check", no_argument, NULL, ARG_CHECK },
                { "protocol-max", required_argument, NULL, ARG_PROTOCOL_MAX },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        keeper_help();
                        return 0;
                case ARG_VERSION:
                        (void) printf("architect-keeper %s\n", PROJECT_VERSION);
                        return 0;
                case ARG_INSTANCE:
                        if (!instance_name_is_valid(optarg)) {
                                log_error("\"%s\" is not a valid instance name", optarg);
                                return -EINVAL;
                        }
                        arg_instance = optarg;
                        break;
                case ARG_SOCKET:
                        arg_socket = optarg;
                        break;
                case ARG_TERMINAL:
                        arg_terminal = optarg;
                        break;
                case ARG_REEXEC:
                        arg_action = ACTION_REEXEC;
                        break;
                case ARG_CHECK:
                        arg_action = ACTION_CHECK;
                        break;
                case ARG_PROTOCOL_MAX:
                        if (parse_u32(optarg, &arg_protocol_max) < 0 ||
                                arg_protocol_max < KEEPER_PROTOCOL_VERSION_MIN ||
                                arg_protocol_max > KEEPER_PROTOCOL_VERSION) {
                                log_error("The version of the protocol must be from %u to %u: %s",
                                        KEEPER_PROTOCOL_VERSION_MIN, KEEPER_PROTOCOL_VERSION, optarg);
                                return -EINVAL;
                        }
                        break;
                default:
                        return -EINVAL;
                }

        if (optind < argc) {
                log_error("Unexpected argument: %s", argv[optind]);
                return -EINVAL;
        }

        return 1;
}

/* Descriptors that are opened later must not get the numbers of the standard streams, or log lines would be
 * sent to the node, and children would keep it open. */
static int fill_standard_streams(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
        } while (fd <= STDERR_FILENO);

        (void) fd_close(fd);
        return 0;
}

static void set_signals(sigset_t *ret_ignored) {
        struct sigaction action;
        sigset_t mask;

        /* If SIGCHLD were still ignored, as it may be inherited, the ends of children would be lost. */
        (void) signal(SIGCHLD, SIG_DFL);

        /* The loss of the terminal or of stderr must not end the roles. */
        (void) signal(SIGHUP, SIG_IGN);
        (void) signal(SIGPIPE, SIG_IGN);

        sigemptyset(ret_ignored);
        for (int signo = 1; signo < NSIG; signo++)
                if (sigaction(signo, NULL, &action) >= 0 && action.sa_handler == SIG_IGN)
                        sigaddset(ret_ignored, signo);

        /* SIGTERM is read from a descriptor. It is blocked from here on, so that it cannot arrive between two
         * programs of a re-execution. */
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* Reads the state that the previous program has left for this one. Returns -ENOENT if it has left none. */
static int read_handed_over(KeeperState *ret) {
        const char *number = getenv(KEEPER_STATE_ENVIRONMENT), *why = NULL;
        uint32_t n;
        int r, fd;

        if (!number)
                return -ENOENT;
        if (parse_u32(number, &n) < 0 || n > INT32_MAX)
                return -EBADF;
        (void) unsetenv(KEEPER_STATE_ENVIRONMENT);

        fd = (int) n;
        r = keeper_state_read(fd, ret, &why);
        (void) fd_close(fd);
        if (r < 0)
                log_error("Cannot take over from the previous program: %s", why);
        else if (ret->self.pid != getpid()) {
                log_error("The state to be taken over belongs to process %d", ret->self.pid);
                r = -EBADMSG;
        }
        return r;
}

static int start_new(Keeper *keeper, struct keeper_self *self) {
        _cleanup_free_ char *names = NULL;
        uint32_t n_fds = 0;
        int fd, r;

        if (getrlimit(RLIMIT_NOFILE, &self->nofile) < 0)
                return -errno;
        r = rlimit_nofile_raise(NOFILE_WANTED);
        if (r < 0)
                log_warning("Cannot raise the limit of open files: %s", strerror(-r));

        fd = arg_socket ? listen_at(arg_socket) : listen_inherited(&n_fds, &names);
        if (fd == -ENOENT && !arg_socket) {
                log_error(
                        "systemd passed no listening socket, start architect-keeper.socket or use --socket=PATH");
                return -EINVAL;
        }
        if (fd < 0) {
                log_error("Cannot listen: %s", strerror(-fd));
                return fd;
        }

        r = keeper_init(keeper, self, fd);
        if (r >= 0 && n_fds > 1)
                r = keeper_restore(keeper, LISTEN_FD, n_fds, names);
        if (r >= 0)
                keeper_clean_sockets(keeper);
        return r;
}

static int run(int argc, char *argv[]) {
        /* /proc/self/exe cannot be used: after an upgrade it is the old file. */
        struct keeper_self self = {
                .pid = getpid(),
                .argv = argv,
                .program = strchr(argv[0], '/') ? argv[0] : PKGLIBEXECDIR "/architect-keeper",
                .instance = arg_instance,
                .protocol_max = arg_protocol_max,
                .terminal_program = arg_terminal,
                .arguments = argv[0],
                .arguments_size = (size_t) (argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]),
        };
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        Keeper keeper;
        int r;

        set_signals(&self.ignored);
        r = read_handed_over(&state);
        if (r >= 0) {
                self.nofile.rlim_cur = state.self.nofile_current;
                self.nofile.rlim_max = state.self.nofile_max;
                r = keeper_resume(&keeper, &self, &state);
        } else if (r == -ENOENT) {
                r = start_new(&keeper, &self);
                if (r == -EINVAL)
                        return r;
        }
        if (r >= 0) {
                /* Also after a re-execution: the previous program may not have been able to send it. */
                store_ready(&keeper.store);
                r = keeper_run(&keeper);
        }

        log_error("The keeper of instance %s cannot continue: %s", arg_instance, strerror(-r));
        return r;
}

static int check_state(void) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        const char *why = NULL;
        int r;

        r = keeper_state_read(STDIN_FILENO, &state, &why);
        if (r < 0)
                log_error("architect-keeper " PROJECT_VERSION " cannot take over: %s", why);
        return r;
}

static int reexec(void) {
        char path[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
        int r;

        (void) snprintf(path, sizeof(path), KEEPER_SOCKET_DIRECTORY "/%s", arg_instance);
        r = ask_reexec(arg_socket ? arg_socket : path);
        if (r < 0)
                log_error("The keeper at %s was not replaced: %s%s", arg_socket ? arg_socket : path,
                        strerror(-r),
                        r == -ENOEXEC || r == -ETIMEDOUT ? " (its journal has the reason)" : "");
        return r;
}

int main(int argc, char *argv[]) {
        int r;

        if (argc > 2 && strcmp(argv[1], HOOKS_OPTION) == 0)
                return hooks_main(argv + 2);
        r = parse_arguments(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_BAD_USAGE : EXIT_SUCCESS;

        if (fill_standard_streams() < 0)
                return EXIT_FAILURE;
        if (arg_action == ACTION_CHECK)
                return check_state() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (arg_action == ACTION_REEXEC)
                return reexec() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        /* The state of thousands of children is written each time that it changes. Its memory is a map of its
         * own, which is returned at once; without this the C library would keep the next ones in its heap. */
        (void) mallopt(M_MMAP_THRESHOLD, 64 * 1024);

        return run(argc, argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
