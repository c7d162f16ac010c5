/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-handover.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-sockets.h"

#define LISTEN_FDS_START 3 /* SD_LISTEN_FDS_START */

static _noreturn_ void exec_sockets_fail(int gate_fd, const char *what, int error) {
        gate_fail(gate_fd, LAUNCH_STAGE_PORTS, -error, "cannot %s: %s", what, strerror(error));
}

static const char *port_protocol_name(const struct keeper_port *port) {
        return port->protocol == KEEPER_TCP ? "tcp" : "udp";
}

static int fd_move_up(int *fd, int from) {
        int moved;

        if (*fd < 0 || *fd >= from)
                return 0;
        moved = fcntl(*fd, F_DUPFD_CLOEXEC, from);
        if (moved < 0)
                return -errno;
        (void) fd_close(*fd);
        *fd = moved;
        return 0;
}

void exec_sockets_arrange(ExecParameters *p) {
        int *const others[] = { &p->gate_fd, &p->stdin_fd, &p->stream_fd, &p->terminal.slave,
                &p->terminal.control, &p->terminal.output, &p->sockets->release_fd };
        struct child_sockets *sockets = p->sockets;
        const int end = LISTEN_FDS_START + (int) sockets->n_handed;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(others); i++)
                r = fd_move_up(others[i], end);
        for (size_t i = 0; r >= 0 && i < sockets->n; i++)
                r = fd_move_up(&sockets->fds[i], end);
        for (size_t i = 0; r >= 0 && i < sockets->n_handed; i++) {
                int fd = LISTEN_FDS_START + (int) i;

                if (dup3(sockets->fds[i], fd, O_CLOEXEC) < 0)
                        r = -errno;
                (void) fd_close(sockets->fds[i]);
                sockets->fds[i] = fd;
        }
        if (r < 0)
                exec_sockets_fail(p->gate_fd, "put the sockets of its ports in their places", -r);
}

static void exec_sockets_print_ports(FILE *f, const struct child_sockets *sockets, uint8_t protocol) {
        bool first = true;

        for (size_t i = 0; i < sockets->n_handed; i++)
                if (sockets->ports[i].protocol == protocol) {
                        (void) fprintf(f, "%s%u", first ? "" : " ", sockets->ports[i].number);
                        first = false;
                }
}

static void exec_sockets_print_names(FILE *f, const struct child_sockets *sockets) {
        for (size_t i = 0; i < sockets->n_handed; i++)
                (void) fprintf(f, "%s%s-%u", i > 0 ? ":" : "", port_protocol_name(&sockets->ports[i]),
                        sockets->ports[i].number);
}

static int exec_sockets_make_variable(const struct child_sockets *sockets, const char *name, char **ret) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        (void) fprintf(f, "%s=", name);
        if (strcmp(name, "LISTEN_FDS") == 0)
                (void) fprintf(f, "%zu", sockets->n_handed);
        else if (strcmp(name, "LISTEN_PID") == 0)
                (void) fprintf(f, "%d", (int) getpid());
        else if (strcmp(name, "LISTEN_FDNAMES") == 0)
                exec_sockets_print_names(f, sockets);
        else
                exec_sockets_print_ports(
                        f, sockets, strcmp(name, "ARCHITECT_TCP_PORTS") == 0 ? KEEPER_TCP : KEEPER_UDP);
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

int exec_sockets_environment(const struct child_sockets *sockets, char ***env) {
        static const char *const names[] = { "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                "ARCHITECT_TCP_PORTS", "ARCHITECT_UDP_PORTS" };
        char *own[ELEMENTSOF(names) + 1] = { NULL };

        if (sockets->n_handed == 0)
                return 0;

        /* These are never freed, because the exec takes them or the process ends. */
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int r = exec_sockets_make_variable(sockets, names[i], &own[i]);

                if (r < 0)
                        return r;
        }
        return environment_merge(*env, own, env);
}

size_t exec_sockets_keep(const ExecParameters *p, int *ret) {
        const struct child_sockets *sockets = p->sockets;
        size_t n = 0;

        ret[n++] = p->gate_fd;
        ret[n++] = sockets->release_fd;
        for (size_t i = 0; i < sockets->n; i++)
                ret[n++] = sockets->fds[i];
        return n;
}

static void exec_socket_open(int gate_fd, const struct keeper_port *port, int fd) {
        char what[64];
        int r;

        r = fd_cloexec(fd, false);
        if (r >= 0 && port->protocol == KEEPER_TCP && listen(fd, SOMAXCONN) < 0)
                r = -errno;
        if (r >= 0 && port->protocol == KEEPER_UDP &&
                setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)) < 0)
                r = -errno;
        if (r >= 0)
                return;

        if (r == -EADDRINUSE)
                gate_fail(gate_fd, LAUNCH_STAGE_PORTS, r,
                        "cannot listen on TCP port %u: a process has kept a socket or a connection of an earlier role, "
                        "reserve another port",
                        port->number);
        (void) snprintf(what, sizeof(what), "listen on %s port %u",
                port->protocol == KEEPER_TCP ? "TCP" : "UDP", port->number);
        exec_sockets_fail(gate_fd, what, -r);
}

void exec_sockets_open(const ExecParameters *p) {
        int r;

        for (size_t i = 0; i < p->sockets->n_handed; i++)
                exec_socket_open(p->gate_fd, &p->sockets->ports[i], p->sockets->fds[i]);

        r = exec_handover_begin(p->sockets);
        if (r < 0)
                exec_sockets_fail(p->gate_fd, "release its ports", -r);
}
