/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This verb connects our terminal to the terminal of a role. The service opens that, or the process that has
 * started us has opened it (a window). */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/parse-util.h"
#include "ctl/ctl-private.h"
#include "proto/node-names.h"
#include "proto/terminal-protocol.h"

#define ESCAPE_DEFAULT 0x1d /* Ctrl-] */
#define ESCAPE_NONE (-1)

/* An output to which nothing is written that would block. */
typedef struct AttachOutput {
        int fd;
        bool own;         /* opened again */
        bool nonblocking; /* set by us; other processes share it, so the flag is restored */
} AttachOutput;

typedef struct Attach {
        const char *role; /* NULL if the descriptors were passed to us */
        char *bus_name;
        sd_bus *bus;
        int fd;      /* of the terminal */
        int size_fd; /* negative if the size is sent over the bus */
        int signal_fd;
        bool replay;
        int escape;

        bool input_is_terminal;
        bool output_is_terminal;
        struct termios settings; /* the previous settings */
        bool raw;

        AttachOutput output;
        char shown[16384]; /* to be shown; our output has not accepted it yet */
        size_t shown_begin, shown_end;

        bool input_ended;
        bool detached;
        bool ended;
        char input[4096]; /* typed; the role's terminal has not accepted it yet */
        size_t input_begin, input_end;
} Attach;

/* O_NONBLOCK belongs to the open file description, which other processes may share: the shell after us, or
 * other programs on the same terminal. So a terminal or pipe is opened again. If that is not possible,
 * attach_output_close() restores the flag. A file never blocks. */
static void attach_output_open(AttachOutput *o, int fd) {
        char path[32];
        struct stat st;

        *o = (AttachOutput){ .fd = fd };
        if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
                return;
        if (!S_ISSOCK(st.st_mode)) {
                int again;

                (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
                if (again >= 0) {
                        o->fd = again;
                        o->own = true;
                        return;
                }
        }
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && !(flags & O_NONBLOCK))
                o->nonblocking = fd_nonblock(fd, true) >= 0;
}

static void attach_output_close(AttachOutput *o) {
        if (o->own)
                (void) fd_close(o->fd);
        else if (o->nonblocking)
                (void) fd_nonblock(o->fd, false);
        *o = (AttachOutput){ .fd = -EBADF };
}

/* Prints a message for the user if stderr accepts it. Nothing else depends on that. */
static _printf_(1, 2) void attach_say(const char *format, ...);
static void attach_say(const char *format, ...) {
        char text[512];
        AttachOutput o;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (n <= 0)
                return;
        attach_output_open(&o, STDERR_FILENO);
        (void) !write(o.fd, text, (size_t) n < sizeof(text) ? (size_t) n : sizeof(text) - 1);
        attach_output_close(&o);
}

static int attach_set_raw(Attach *s) {
        struct termios raw;

        if (!s->input_is_terminal)
                return 0;
        if (tcgetattr(STDIN_FILENO, &s->settings) < 0)
                return -errno;
        raw = s->settings;
        cfmakeraw(&raw);
        /* TCSANOW, because pending output may never be shown. */
        if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
                return -errno;
        s->raw = true;
        return 0;
}

static void attach_set_back(Attach *s) {
        if (s->raw)
                (void) tcsetattr(STDIN_FILENO, TCSANOW, &s->settings);
        s->raw = false;
}

/* An error is ignored, because a terminal of another size can still be used. */
static void attach_send_size(Attach *s) {
        struct winsize size;

        if (!s->output_is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 ||
                size.ws_col == 0)
                return;

        if (s->size_fd >= 0) {
                const struct terminal_resize m = {
                        .type = TERMINAL_RESIZE,
                        .rows = size.ws_row,
                        .columns = size.ws_col,
                };

                (void) socket_send(s->size_fd, &m, sizeof(m), NULL, 0);
        } else if (s->bus) {
                (void) sd_bus_call_method_async(s->bus, NULL, s->bus_name, NODE_PATH, NODE_INTERFACE,
                        "ResizeTerminal", NULL, NULL, "sqq", s->role, size.ws_row, size.ws_col);
                (void) sd_bus_flush(s->bus);
        }
}

static int attach_open_terminal(const Ctl *ctl, Attach *s) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int fd, r;

        s->bus_name = ctl_bus_name(ctl);
        if (!s->bus_name)
                return -ENOMEM;
        r = ctl_open_bus(ctl, &s->bus);
        if (r < 0)
                return r;

        r = sd_bus_call_method(s->bus, s->bus_name, NODE_PATH, NODE_INTERFACE, "OpenTerminal", &error, &reply,
                "sa{sv}", s->role, 1, "replay", "b", (int) s->replay);
        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                ctl_error("cannot attach to role %s: the service %s is not running", s->role, s->bus_name);
        else if (r < 0)
                ctl_error("cannot attach to role %s: %s", s->role, error.message ?: strerror(-r));
        else {
                r = sd_bus_message_read_basic(reply, 'h', &fd);
                if (r >= 0) {
                        s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                        r = s->fd < 0 ? -errno : 0;
                }
                if (r < 0)
                        ctl_error("cannot attach to role %s: %s", s->role, strerror(-r));
        }
        return r;
}

static bool attach_shows(const Attach *s) {
        return s->shown_begin < s->shown_end;
}

/* Writes as much as our output accepts. Until then no more is read: if we are too slow, the other end drops
 * output and reports that. */
static int attach_show(Attach *s) {
        while (attach_shows(s)) {
                ssize_t n = write(s->output.fd, s->shown + s->shown_begin, s->shown_end - s->shown_begin);

                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        s->shown_begin += (size_t) n;
        }
        return 0;
}

static int attach_read_shown(Attach *s) {
        ssize_t n = recv(s->fd, s->shown, sizeof(s->shown), MSG_DONTWAIT);

        if (n > 0) {
                s->shown_begin = 0;
                s->shown_end = (size_t) n;
                return attach_show(s);
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        s->ended = true;
        return 0;
}

static void attach_read_input(Attach *s) {
        ssize_t n = read(STDIN_FILENO, s->input, sizeof(s->input));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                /* A file or a pipe has ended, or a terminal is gone, which ends us, too. */
                s->input_ended = true;
                s->detached = s->input_is_terminal;
                return;
        }

        s->input_begin = 0;
        s->input_end = (size_t) n;
        if (s->input_is_terminal && s->escape != ESCAPE_NONE) {
                const char *at = memchr(s->input, s->escape, (size_t) n);

                if (at) {
                        s->input_end = (size_t) (at - s->input);
                        s->input_ended = s->detached = true;
                }
        }
}

static void attach_send_input(Attach *s) {
        if (s->input_begin < s->input_end) {
                ssize_t n = send(s->fd, s->input + s->input_begin, s->input_end - s->input_begin,
                        MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0)
                        s->input_begin += (size_t) n;
                else if (errno != EAGAIN && errno != EINTR)
                        /* The terminal has ended. attach_read_shown() notices that. */
                        s->input_begin = s->input_end;
        }
        if (s->input_ended && s->input_begin == s->input_end)
                (void) shutdown(s->fd, SHUT_WR);
}

static void attach_on_signal(Attach *s) {
        struct signalfd_siginfo info;

        if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == SIGWINCH)
                attach_send_size(s);
        else
                s->detached = true;
}

static int attach_watch_signals(Attach *s) {
        sigset_t set;

        /* The terminal must be restored whatever ends us. */
        sigemptyset(&set);
        sigaddset(&set, SIGWINCH);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGQUIT);
        sigaddset(&set, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        (void) signal(SIGPIPE, SIG_IGN);
        s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return s->signal_fd < 0 ? -errno : 0;
}

static int attach_run(Attach *s) {
        int r = 0;

        while (r >= 0 && !s->ended && !s->detached) {
                const bool waits = s->input_begin < s->input_end, full = attach_shows(s);
                struct pollfd p[] = {
                        { .fd = waits || !full ? s->fd : -1,
                                .events = (short) ((full ? 0 : POLLIN) | (waits ? POLLOUT : 0)) },
                        { .fd = s->signal_fd, .events = POLLIN },
                        { .fd = s->input_ended || waits ? -1 : STDIN_FILENO, .events = POLLIN },
                        /* Replies that no caller waits for. The loss of the bus has no effect. */
                        { .fd = s->bus ? sd_bus_get_fd(s->bus) : -1, .events = POLLIN },
                        { .fd = full ? s->output.fd : -1, .events = POLLOUT },
                };

                if (poll(p, ELEMENTSOF(p), -1) < 0) {
                        r = errno == EINTR ? 0 : -errno;
                        continue;
                }
                if (p[1].revents)
                        attach_on_signal(s);
                if (p[3].revents) {
                        do
                                r = sd_bus_process(s->bus, NULL);
                        while (r > 0);
                        if (r < 0)
                                s->bus = sd_bus_close_unref(s->bus);
                        r = 0;
                }
                if (full && p[4].revents)
                        r = attach_show(s);
                else if (!full && (p[0].revents & ~POLLOUT))
                        r = attach_read_shown(s);
                if (r >= 0 && p[2].revents)
                        attach_read_input(s);
                if (waits || p[2].revents)
                        attach_send_input(s);
        }
        return r;
}

static int attach_parse_socket(const char *text, int *ret) {
        uint32_t fd;
        int type;
        socklen_t size = sizeof(type);

        if (parse_u32(text, &fd) < 0 || fd > INT32_MAX ||
                getsockopt((int) fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
                ctl_error("\"%s\" is not the descriptor of a socket", text);
                return -EINVAL;
        }
        *ret = (int) fd;
        return 0;
}

/* Parses "^]", a single character, or "none". */
static int attach_parse_escape(const char *text, int *ret) {
        if (strcmp(text, "none") == 0)
                *ret = ESCAPE_NONE;
        else if (text[0] == '^' && text[1] >= '@' && text[1] <= '_' && !text[2])
                *ret = text[1] & 0x1f;
        else if (text[0] == '^' && text[1] >= 'a' && text[1] <= 'z' && !text[2])
                *ret = text[1] & 0x1f;
        else if (text[0] && !text[1])
                *ret = (unsigned char) text[0];
        else {
                ctl_error(
                        "the key of --escape= is \"%s\", but must be a character, ^ and a character, or none",
                        text);
                return -EINVAL;
        }
        return 0;
}

static void attach_help(void) {
        (void) printf(
                "architectctl [OPTIONS...] attach [OPTIONS...] ROLE\n"
                "architectctl attach [OPTIONS...] --fd=N [--size-fd=N]\n\n"
                "Shows the terminal of a role and types into it, until Ctrl-] is typed or the role ends.\n\n"
                "  -h --help              Show this help\n"
                "     --escape=KEY        The key that detaches (default: ^], \"none\" disables it)\n"
                "     --no-replay         Show new output only\n"
                "     --fd=N              Show the terminal of an inherited socket of OpenTerminal\n"
                "     --size-fd=N         The socket for the size that OpenTerminal returned with it\n");
}

static int attach_parse_arguments(Attach *s, int argc, char *argv[]) {
        enum { ARG_ESCAPE = 0x100, ARG_NO_REPLAY, ARG_FD, ARG_SIZE_FD };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "escape", required_argument, NULL, ARG_ESCAPE },
                { "no-replay", no_argument, NULL, ARG_NO_REPLAY },
                { "fd", required_argument, NULL, ARG_FD },
                { "size-fd", required_argument, NULL, ARG_SIZE_FD },
                { 0 },
        };
        int c, r = 0;

        while (r >= 0 && (c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        attach_help();
                        return 0;
                case ARG_ESCAPE:
                        r = attach_parse_escape(optarg, &s->escape);
                        break;
                case ARG_NO_REPLAY:
                        s->replay = false;
                        break;
                case ARG_FD:
                        r = attach_parse_socket(optarg, &s->fd);
                        break;
                case ARG_SIZE_FD:
                        r = attach_parse_socket(optarg, &s->size_fd);
                        break;
                default:
                        return -EINVAL;
                }
        if (r < 0)
                return r;

        if (argc - optind != (s->fd >= 0 ? 0 : 1) || (s->size_fd >= 0 && s->fd < 0)) {
                ctl_error("attach needs either a role or --fd=, see architectctl attach --help");
                return -EINVAL;
        }
        s->role = argv[optind]; /* NULL after the last one */
        return 1;
}

int verb_attach(const Ctl *ctl, int argc, char *argv[]) {
        Attach s = {
                .fd = -EBADF,
                .size_fd = -EBADF,
                .signal_fd = -EBADF,
                .replay = true,
                .escape = ESCAPE_DEFAULT,
                .input_is_terminal = isatty(STDIN_FILENO),
                .output_is_terminal = isatty(STDOUT_FILENO),
        };
        bool talks;
        int r;

        r = attach_parse_arguments(&s, argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        talks = s.role && s.input_is_terminal;

        if (s.role)
                r = attach_open_terminal(ctl, &s);
        if (r >= 0) {
                r = attach_watch_signals(&s);
                if (r >= 0 && talks)
                        attach_say("Attached to role %s%s.\r\n", s.role,
                                s.escape == ESCAPE_DEFAULT ? "; Ctrl-] detaches" : "");
                if (r >= 0)
                        r = attach_set_raw(&s);
                if (r < 0)
                        attach_say("architectctl: cannot set up the terminal: %s\n", strerror(-r));
        }
        if (r >= 0) {
                attach_output_open(&s.output, STDOUT_FILENO);
                attach_send_size(&s);
                r = attach_run(&s);
                attach_output_close(&s.output);
                attach_set_back(&s);
                if (r < 0 && r != -EPIPE)
                        attach_say("architectctl: cannot show the terminal: %s\n", strerror(-r));
                else if (r >= 0 && talks)
                        attach_say("\n%s role %s.\n", s.ended ? "End of the terminal of" : "Detached from",
                                s.role);
        }

        (void) fd_close(s.signal_fd);
        (void) fd_close(s.fd);
        (void) fd_close(s.size_fd);
        sd_bus_flush_close_unref(s.bus);
        free(s.bus_name);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
