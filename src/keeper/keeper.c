/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* architect-keeper: the parent of every role. It forks, waits, signals and keeps what has to outlive the node. It decides
 * nothing, and it is small so that it need not change. See src/README.md. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "config.h"
#include "keeper/keeper-log.h"
#include "keeper/keeper-loop.h"

/* Three descriptors a role, and five for its terminal; above the 8 000 roles nobody has, and below what some kernels refuse. */
#define NOFILE_WANTED 65536

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

static const char *arg_instance = "main";
static const char *arg_socket = NULL;
static const char *arg_terminal = PKGLIBEXECDIR "/architect-terminal";

static void help(void) {
        (void) printf(
                "architect-keeper [OPTIONS...]\n\n"
                "Keeps the roles of architect-node: started by systemd through architect-keeper.socket.\n\n"
                "  -h --help             Show this help\n"
                "     --version          Show the version\n"
                "     --instance=NAME    Instance whose roles these are (default: main)\n"
                "     --socket=PATH      Listen here instead of on the socket that systemd hands over\n"
                "     --terminal=PATH    The program that drains a role's terminal\n");
}

/* 1: go on; 0: done; negative: bad usage. */
static int parse_arguments(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_INSTANCE, ARG_SOCKET, ARG_TERMINAL };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "instance", required_argument, NULL, ARG_INSTANCE },
                { "socket", required_argument, NULL, ARG_SOCKET },
                { "terminal", required_argument, NULL, ARG_TERMINAL },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help();
                        return 0;
                case ARG_VERSION:
                        (void) printf("architect-keeper %s\n", PROJECT_VERSION);
                        return 0;
                case ARG_INSTANCE:
                        if (!instance_name_is_valid(optarg)) {
                                log_error("Not the name of an instance: %s", optarg);
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
                default:
                        return -EINVAL;
                }

        if (optind < argc) {
                log_error("Unexpected argument: %s", argv[optind]);
                return -EINVAL;
        }

        return 1;
}

/* What we open must not land on the standard streams: log lines would go to the node, and children would keep it. */
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

static void set_signals(void) {
        sigset_t none;

        /* Ends of children would be lost if we had inherited that they are ignored. */
        (void) signal(SIGCHLD, SIG_DFL);

        /* Whatever becomes of our terminal or of stderr is no reason to leave the roles alone. */
        (void) signal(SIGHUP, SIG_IGN);
        (void) signal(SIGPIPE, SIG_IGN);

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static int set_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_size) {
        const size_t n = strlen(path);

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (n == 0 || n >= sizeof(ret->sun_path))
                return -ENAMETOOLONG;

        memcpy(ret->sun_path, path, n);
        *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
        if (path[0] == '@')
                ret->sun_path[0] = '\0';
        else
                *ret_size += 1;
        return 0;
}

static int listen_inherited(void) {
        const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
        uint32_t n_fds, listen_pid;
        int type, listening;
        socklen_t size = sizeof(type);

        if (!pid || !fds || parse_u32(pid, &listen_pid) < 0 || parse_u32(fds, &n_fds) < 0 ||
                listen_pid != (uint32_t) getpid())
                return -ENOENT;

        if (n_fds != 1 || getsockopt(LISTEN_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
                type != SOCK_SEQPACKET ||
                getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
                return -EINVAL;

        return LISTEN_FD;
}

static int listen_at(const char *path) {
        struct sockaddr_un address;
        autofd fd = -EBADF, probe = -EBADF;
        struct stat st;
        socklen_t size;
        mode_t mask;
        int r;

        r = set_address(path, &address, &size);
        if (r < 0)
                return r;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0 || probe < 0)
                return -errno;

        /* The remains of a keeper that was killed; nobody else's, and no other kind of file. */
        if (lstat(path, &st) >= 0 && S_ISSOCK(st.st_mode) &&
                connect(probe, (struct sockaddr *) &address, size) < 0 && errno == ECONNREFUSED)
                (void) unlink(path);

        mask = umask(0177);
        r = bind(fd, (struct sockaddr *) &address, size) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r < 0)
                return r;
        if (listen(fd, SOMAXCONN) < 0)
                return -errno;

        return fd_steal(&fd);
}

static int notify_ready(void) {
        static const char message[] = "READY=1";
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address;
        autofd fd = -EBADF;
        socklen_t size;
        int r;

        if (!path)
                return 0;

        r = set_address(path, &address, &size);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 ||
                sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *) &address, size) < 0)
                return -errno;

        return 0;
}

static int run(int argc, char *argv[]) {
        struct keeper_self self = { .pid = getpid(), .terminal_program = arg_terminal };
        Keeper keeper;
        int fd, r;

        if (getrlimit(RLIMIT_NOFILE, &self.nofile) < 0)
                return -errno;
        r = rlimit_nofile_raise(NOFILE_WANTED);
        if (r < 0)
                log_warning("Cannot raise the limit of open files: %s", strerror(-r));

        self.arguments = argv[0];
        self.arguments_size = (size_t) (argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);

        fd = arg_socket ? listen_at(arg_socket) : listen_inherited();
        if (fd == -ENOENT && !arg_socket) {
                log_error("No listening socket: start architect-keeper.socket, or use --socket=PATH");
                return -EINVAL;
        }
        if (fd < 0) {
                log_error("Cannot listen: %s", strerror(-fd));
                return fd;
        }

        r = keeper_init(&keeper, &self, fd);
        if (r >= 0) {
                r = notify_ready();
                if (r < 0)
                        log_warning("Cannot tell $NOTIFY_SOCKET that we are ready: %s", strerror(-r));
                r = keeper_run(&keeper);
        }

        log_error("The keeper of instance %s cannot go on: %s", arg_instance, strerror(-r));
        return r;
}

int main(int argc, char *argv[]) {
        int r = parse_arguments(argc, argv);

        if (r <= 0)
                return r < 0 ? EXIT_BAD_USAGE : EXIT_SUCCESS;

        if (fill_standard_streams() < 0)
                return EXIT_FAILURE;
        set_signals();

        return run(argc, argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
