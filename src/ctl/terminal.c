/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "ctl/connection.h"
#include "ctl/loop.h"
#include "ctl/terminal.h"
#include "proto/node-names.h"
#include "proto/terminal-protocol.h"
#include "util/autoptr.h"

void terminal_init(Terminal *t, const char *role) {
        *t = (Terminal){
                .role = role,
                .fd = -EBADF,
                .size_fd = -EBADF,
                .signal_fd = -EBADF,
                .escape = TERMINAL_ESCAPE_DEFAULT,
                .input_is_terminal = isatty(STDIN_FILENO),
                .output_is_terminal = isatty(STDOUT_FILENO),
        };
}

void terminal_clear(Terminal *t) {
        t->signal_fd = fd_close(t->signal_fd);
        t->fd = fd_close(t->fd);
        t->size_fd = fd_close(t->size_fd);
}

/* Prints a message for the user if stderr accepts it. Nothing else depends on that. */
static _printf_(1, 2) void terminal_say(const char *format, ...);
static void terminal_say(const char *format, ...) {
        char text[512];
        CtlOutput o;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (n <= 0)
                return;
        ctl_output_open(&o, STDERR_FILENO);
        (void) !write(o.fd, text, (size_t) n < sizeof(text) ? (size_t) n : sizeof(text) - 1);
        ctl_output_close(&o);
}

static int terminal_set_raw(Terminal *t) {
        struct termios raw;

        if (!t->input_is_terminal)
                return 0;
        if (tcgetattr(STDIN_FILENO, &t->settings) < 0)
                return -errno;
        raw = t->settings;
        cfmakeraw(&raw);
        /* TCSANOW, because pending output may never be shown. */
        if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
                return -errno;
        t->raw = true;
        return 0;
}

static void terminal_set_back(Terminal *t) {
        if (t->raw)
                (void) tcsetattr(STDIN_FILENO, TCSANOW, &t->settings);
        t->raw = false;
}

/* An error is ignored, because a terminal of another size can still be used. */
static void terminal_send_size(Terminal *t) {
        struct winsize size;

        if (!t->output_is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 ||
                size.ws_col == 0)
                return;

        if (t->size_fd >= 0) {
                const struct terminal_resize m = {
                        .type = TERMINAL_RESIZE,
                        .rows = size.ws_row,
                        .columns = size.ws_col,
                };

                (void) socket_send(t->size_fd, &m, sizeof(m), NULL, 0);
        } else if (t->bus) {
                if (t->force)
                        (void) sd_bus_call_method_async(t->bus, NULL, t->bus_name, NODE_PATH, NODE_INTERFACE,
                                "ResizeTerminalWithOptions", NULL, NULL, "sqqa{sv}", t->role, size.ws_row,
                                size.ws_col, 1, "force", "b", (int) true);
                else
                        (void) sd_bus_call_method_async(t->bus, NULL, t->bus_name, NODE_PATH, NODE_INTERFACE,
                                "ResizeTerminal", NULL, NULL, "sqq", t->role, size.ws_row, size.ws_col);
                (void) sd_bus_flush(t->bus);
        }
}

int terminal_open(Ctl *ctl, Terminal *t, bool replay, sd_bus_error *error) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        int fd;

        CtlExit e = ctl->force ? ctl_new_call(ctl, &call, "OpenTerminal", "sa{sv}", t->role, 2, "replay", "b",
                                         (int) replay, "force", "b", (int) true)
                               : ctl_new_call(ctl, &call, "OpenTerminal", "sa{sv}", t->role, 1, "replay", "b",
                                         (int) replay);
        if (e != CTL_EXIT_OK)
                return sd_bus_error_set_errno(error, ENOTCONN);
        int r = ctl_try(ctl, call, error, &reply);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 'h', &fd);
        if (r >= 0) {
                t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = t->fd < 0 ? -errno : 0;
        }
        if (r < 0 && !sd_bus_error_is_set(error))
                (void) sd_bus_error_set_errno(error, r);
        t->force = ctl->force;
        t->bus = ctl->bus;
        t->bus_name = ctl->bus_name;
        return r;
}

static int terminal_read_shown(Terminal *t) {
        ssize_t n = recv(t->fd, t->output.data, sizeof(t->output.data), MSG_DONTWAIT);

        if (n > 0)
                return ctl_output_take(&t->output, (size_t) n);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        t->ended = true;
        return 0;
}

static void terminal_read_input(Terminal *t) {
        ssize_t n = read(STDIN_FILENO, t->input, sizeof(t->input));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                /* A file or a pipe has ended, or a terminal is gone, which ends us, too. */
                t->input_ended = true;
                t->detached = t->input_is_terminal;
                return;
        }

        t->input_begin = 0;
        t->input_end = (size_t) n;
        if (t->input_is_terminal && t->escape != TERMINAL_ESCAPE_NONE) {
                const char *at = memchr(t->input, t->escape, (size_t) n);

                if (at) {
                        t->input_end = (size_t) (at - t->input);
                        t->input_ended = t->detached = t->escaped = true;
                }
        }
}

static void terminal_send_input(Terminal *t) {
        if (t->input_begin < t->input_end) {
                ssize_t n = send(t->fd, t->input + t->input_begin, t->input_end - t->input_begin,
                        MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0)
                        t->input_begin += (size_t) n;
                else if (errno != EAGAIN && errno != EINTR)
                        /* The terminal has ended. terminal_read_shown() notices that. */
                        t->input_begin = t->input_end;
        }
        if (t->input_ended && t->input_begin == t->input_end)
                (void) shutdown(t->fd, SHUT_WR);
}

static void terminal_on_signal(Terminal *t) {
        struct signalfd_siginfo info;

        if (read(t->signal_fd, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == SIGWINCH)
                terminal_send_size(t);
        else
                t->detached = true;
}

static int terminal_run(Terminal *t) {
        int r = 0;

        while (r >= 0 && !t->ended && !t->detached) {
                const bool waits = t->input_begin < t->input_end, full = ctl_output_is_pending(&t->output);
                struct pollfd p[] = {
                        { .fd = waits || !full ? t->fd : -1,
                                .events = (short) ((full ? 0 : POLLIN) | (waits ? POLLOUT : 0)) },
                        { .fd = t->signal_fd, .events = POLLIN },
                        { .fd = t->input_ended || waits ? -1 : STDIN_FILENO, .events = POLLIN },
                        /* Replies that no caller waits for. The loss of the bus has no effect. */
                        { .fd = t->bus ? sd_bus_get_fd(t->bus) : -1, .events = POLLIN },
                        { .fd = full ? t->output.fd : -1, .events = POLLOUT },
                };

                if (poll(p, ELEMENTSOF(p), -1) < 0) {
                        r = errno == EINTR ? 0 : -errno;
                        continue;
                }
                if (p[1].revents)
                        terminal_on_signal(t);
                if (p[3].revents) {
                        do
                                r = sd_bus_process(t->bus, NULL);
                        while (r > 0);
                        if (r < 0)
                                t->bus = NULL;
                        r = 0;
                }
                if (full && p[4].revents)
                        r = ctl_output_flush(&t->output);
                else if (!full && (p[0].revents & ~POLLOUT))
                        r = terminal_read_shown(t);
                if (r >= 0 && p[2].revents)
                        terminal_read_input(t);
                if (waits || p[2].revents)
                        terminal_send_input(t);
        }
        return r;
}

CtlExit terminal_show(Terminal *t, bool talks) {
        int r = t->signal_fd = ctl_open_signals();

        (void) signal(SIGPIPE, SIG_IGN);
        if (r >= 0 && talks)
                terminal_say("Attached to role %s%s.\r\n", t->role,
                        t->escape == TERMINAL_ESCAPE_DEFAULT ? "; Ctrl-] detaches" : "");
        if (r >= 0)
                r = terminal_set_raw(t);
        if (r < 0) {
                terminal_say("architectctl: cannot set up the terminal: %s\n", strerror(-r));
                return CTL_EXIT_FAILED;
        }
        ctl_output_open(&t->output, STDOUT_FILENO);
        terminal_send_size(t);
        r = terminal_run(t);
        ctl_output_close(&t->output);
        terminal_set_back(t);
        if (r < 0 && r != -EPIPE)
                terminal_say("architectctl: cannot show the terminal: %s\n", strerror(-r));
        else if (r >= 0 && talks)
                terminal_say(
                        "\n%s role %s.\n", t->ended ? "End of the terminal of" : "Detached from", t->role);
        return r < 0 ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}
