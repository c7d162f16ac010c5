/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/node.h"
#include "model/role.h"
#include "model/role-terminal.h"
#include "proto/terminal-protocol.h"

int terminal_check_display(const RoleSpec *spec, Env *env, const Caller *owner, Fault *fault) {
        const char *value = NULL;

        if (!spec->xterm)
                return 0;
        g_auto(GStrv) base = env_list_role(env, spec->account, owner);
        for (char **e = base; *e; e++)
                if (env_variable_is(*e, "DISPLAY"))
                        value = *e + strlen("DISPLAY=");
        for (char **e = spec->environment; e && *e; e++)
                if (env_variable_is(*e, "DISPLAY"))
                        value = *e + strlen("DISPLAY=");
        if (!value || value[0] == '\0')
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"xterm\" needs a DISPLAY: in \"env\", by SetEnv, or in [Environment] of the configuration");
        return 0;
}

static int terminal_check(const Role *role, Fault *fault) {
        int r = role_check_running(role, fault);
        if (r < 0)
                return r;
        if (role->spec->stdin_kind != ROLE_STDIN_PTY)
                return fault_set(fault, NODE_ERROR_NO_TERMINAL, "Role \"%s\" was started without a terminal",
                        role->name);
        if (role->main_exited)
                return fault_set(fault, NODE_ERROR_ROLE_NOT_RUNNING,
                        "The terminal of role \"%s\" has ended with its main process", role->name);
        if (role->terminal_fd < 0 || role->stdin_fd < 0)
                return fault_set(fault, NODE_ERROR_NO_TERMINAL,
                        "The terminal of role \"%s\" was lost with its keeper", role->name);
        return 0;
}

int terminal_open(Role *role, bool replay, int *ret_fd, Fault *fault) {
        const struct terminal_client m = {
                .type = TERMINAL_CLIENT,
                .flags = replay ? TERMINAL_CLIENT_REPLAY : 0,
        };
        int pair[2];

        int r = terminal_check(role, fault);
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR,
                        "Cannot make a socket for the terminal of role \"%s\": %s", role->name,
                        g_strerror(errno));
        autofd ours = pair[0], theirs = pair[1];

        r = socket_send(role->terminal_fd, &m, sizeof(m), &theirs, 1);
        if (r == -EPIPE)
                return fault_set(
                        fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has just ended", role->name);
        if (r < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR,
                        "The terminal of role \"%s\" cannot be reached: %s", role->name,
                        r == -EAGAIN ? "it has not processed its earlier requests" : g_strerror(-r));
        *ret_fd = fd_steal(&ours);
        return 0;
}

struct TerminalSocketRequest {
        char *role;
        char **ret_path;
        Waiter waiter;
};

static int terminal_socket_fault(int error, const char *role, Fault *fault) {
        switch (error) {
        case -ENOENT:
        case -ESRCH:
                return fault_set(fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has just ended", role);
        case -ENOTCONN:
                return fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot make a socket for the terminal of role \"%s\": there is no keeper", role);
        case -EPROTONOSUPPORT:
                return fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot make a socket for the terminal of role \"%s\": the running keeper is older than this "
                        "service; reload architect-keeper.service, then restart this service, and the roles run on",
                        role);
        default:
                return fault_set(fault, NODE_ERROR_IO_ERROR,
                        "Cannot make a socket for the terminal of role \"%s\": %s", role, g_strerror(-error));
        }
}

static void terminal_socket_request_free(TerminalSocketRequest *request) {
        g_free(request->role);
        g_free(request);
}

int terminal_make_socket(
        Role *role, const Caller *caller, bool replay, char **ret_path, Waiter waiter, Fault *fault) {
        int r = terminal_check(role, fault);
        if (r < 0)
                return r;
        if (!caller || !caller->known)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Cannot make a socket for the terminal of role \"%s\": the credentials of the caller are not "
                        "known",
                        role->name);

        TerminalSocketRequest *request = g_new(TerminalSocketRequest, 1);
        *request = (TerminalSocketRequest){ g_strdup(role->name), ret_path, waiter };
        r = ASK(role->node, link, make_terminal_socket, role, caller->uid, replay, request);
        if (r >= 0)
                return 0;
        terminal_socket_request_free(request);
        return terminal_socket_fault(r, role->name, fault);
}

void terminal_on_socket(TerminalSocketRequest *request, int error, const char *path) {
        g_auto(Fault) fault = {};

        if (error < 0)
                (void) terminal_socket_fault(error, request->role, &fault);
        else
                *request->ret_path = g_strdup(path);
        waiter_wake(request->waiter, &fault);
        terminal_socket_request_free(request);
}

int terminal_resize(Role *role, uint16_t rows, uint16_t columns, Fault *fault) {
        const struct winsize size = { .ws_row = rows, .ws_col = columns };

        int r = terminal_check(role, fault);
        if (r < 0)
                return r;
        /* The kernel sends SIGWINCH to the foreground process group. */
        if (ioctl(role->stdin_fd, TIOCSWINSZ, &size) < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot resize the terminal of role \"%s\": %s",
                        role->name, g_strerror(errno));
        return 0;
}

int terminal_end_of_file(int master_fd, bool mid_line, char ret[static 2], size_t *ret_size) {
        struct termios settings;

        if (tcgetattr(master_fd, &settings) < 0)
                return -errno;
        if (!(settings.c_lflag & ICANON) || settings.c_cc[VEOF] == _POSIX_VDISABLE)
                return -ENOTTY;

        /* The first one in a line only passes on what the line contains so far. */
        memset(ret, settings.c_cc[VEOF], 2);
        *ret_size = mid_line ? 2 : 1;
        return 0;
}
