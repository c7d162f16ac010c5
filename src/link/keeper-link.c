/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "link/keeper-link.h"
#include "util/log.h"

/* These apply only while there is no keeper, which systemd restarts within 100 ms. The wait doubles from the
 * first to the second. */
#define RECONNECT_MIN_USEC (50 * USEC_PER_MSEC)
#define RECONNECT_MAX_USEC (5 * USEC_PER_SEC)

typedef struct Pending {
        uint32_t request;
        KeeperDone done;
        /* One of these instead of done. */
        KeeperBound bound;
        KeeperSocketMade socket_made;
        void *userdata;
} Pending;

struct KeeperLink {
        sd_event *event;
        char *path;
        const KeeperHandler *handler;
        void *userdata;

        int fd;
        sd_event_source *io;
        sd_event_source *reconnect;
        uint64_t reconnect_usec;
        GQueue *out;            /* of GBytes that the socket has not taken yet */
        GQueue *pending;        /* of Pending, because the keeper replies in order */
        uint32_t version;       /* agreed on; 0 until the keeper has welcomed this process */
        uint32_t children_left; /* not listed yet; the connection is complete at 0 */
        uint32_t ports_left;    /* the same for ports */
        bool connected;
};

int keeper_link_new(
        sd_event *event, const char *path, const KeeperHandler *handler, void *userdata, KeeperLink **ret) {
        KeeperLink *link = g_new0(KeeperLink, 1);

        if (strlen(path) >= sizeof(((struct sockaddr_un *) NULL)->sun_path)) {
                g_free(link);
                return -ENAMETOOLONG;
        }
        link->event = sd_event_ref(event);
        link->path = g_strdup(path);
        link->handler = handler;
        link->userdata = userdata;
        link->fd = -EBADF;
        link->reconnect_usec = RECONNECT_MIN_USEC;
        link->out = g_queue_new();
        link->pending = g_queue_new();
        *ret = link;
        return 0;
}

static void link_close(KeeperLink *link) {
        link->io = sd_event_source_disable_unref(link->io);
        link->fd = fd_close(link->fd);
        link->version = 0;
        link->children_left = link->ports_left = 0;
        link->connected = false;
        g_queue_clear_full(link->out, (GDestroyNotify) g_bytes_unref);
}

/* It is not known whether the requests were executed. */
static void link_fail_pending(KeeperLink *link) {
        g_autoptr(GQueue) pending = g_steal_pointer(&link->pending);
        Pending *p;

        link->pending = g_queue_new();
        while ((p = g_queue_pop_head(pending))) {
                if (p->done)
                        p->done(p->userdata, -ENOTCONN);
                if (p->bound)
                        p->bound(p->userdata, -ENOTCONN, NULL, 0);
                if (p->socket_made)
                        p->socket_made(p->userdata, -ENOTCONN, NULL);
                g_free(p);
        }
}

KeeperLink *keeper_link_free(KeeperLink *link) {
        if (!link)
                return NULL;
        link_close(link);
        link_fail_pending(link);
        link->reconnect = sd_event_source_disable_unref(link->reconnect);
        g_queue_free(link->out);
        g_queue_free(link->pending);
        sd_event_unref(link->event);
        g_free(link->path);
        g_free(link);
        return NULL;
}

static int link_on_reconnect(sd_event_source *s, uint64_t usec, void *userdata) {
        KeeperLink *link = userdata;

        link->reconnect = sd_event_source_disable_unref(link->reconnect);
        keeper_link_open(link);
        return 0;
}

static void link_retry(KeeperLink *link) {
        int r = sd_event_add_time_relative(link->event, &link->reconnect, CLOCK_MONOTONIC,
                link->reconnect_usec, 0, link_on_reconnect, link);
        if (r < 0)
                log_error_errno(r, "Cannot set the timer of the connection to the keeper: %m");
        link->reconnect_usec = MIN(2 * link->reconnect_usec, RECONNECT_MAX_USEC);
}

static void link_lost(KeeperLink *link, int error) {
        bool was_connected = link->connected, was_listing = link->version > 0;

        if (was_connected)
                log_error_errno(error, "Lost the connection to the keeper: %m");
        else
                log_debug_errno(error, "Cannot connect to the keeper: %m");
        link_close(link);
        link_fail_pending(link);
        link_retry(link);
        /* An incomplete list is lost as well: the next keeper may not have the children of it. */
        if (was_listing)
                link->handler->lost(link->userdata);
}

static int link_update_events(KeeperLink *link) {
        return sd_event_source_set_io_events(
                link->io, g_queue_is_empty(link->out) ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static int link_send(KeeperLink *link, const void *data, size_t size) {
        if (link->fd < 0)
                return -ENOTCONN;

        if (g_queue_is_empty(link->out)) {
                int r = socket_send(link->fd, data, size, NULL, 0);
                if (r >= 0)
                        return 0;
                if (r != -EAGAIN) {
                        /* The read side must see the error, too, and reconnect, because callers wait for
                         * that. */
                        (void) shutdown(link->fd, SHUT_RDWR);
                        return -ENOTCONN;
                }
        }
        g_queue_push_tail(link->out, g_bytes_new(data, size));
        return link_update_events(link);
}

static int link_request_full(KeeperLink *link, const void *data, size_t size, Pending reply) {
        const struct keeper_header *header = data;

        if (!link->connected)
                return -ENOTCONN;
        int r = link_send(link, data, size);
        if (r < 0)
                return r;

        Pending *p = g_new(Pending, 1);
        *p = reply;
        p->request = header->type;
        g_queue_push_tail(link->pending, p);
        return 0;
}

static int link_request(KeeperLink *link, const void *data, size_t size, KeeperDone done, void *userdata) {
        return link_request_full(link, data, size, (Pending){ .done = done, .userdata = userdata });
}

static int link_flush(KeeperLink *link) {
        GBytes *packet;

        while ((packet = g_queue_peek_head(link->out))) {
                gsize size;
                const void *data = g_bytes_get_data(packet, &size);

                int r = socket_send(link->fd, data, size, NULL, 0);
                if (r == -EAGAIN)
                        return 0;
                if (r < 0)
                        return r;
                g_bytes_unref(g_queue_pop_head(link->out));
        }
        return link_update_events(link);
}

static void link_close_fds(const int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                (void) fd_close(fds[i]);
}

/* Flags define which descriptors were received, in a fixed order. */
static int keeper_fds_sort(uint32_t flags, const int *fds, size_t n_fds, KeeperFds *ret) {
        KeeperFds sorted = { -EBADF, -EBADF, -EBADF, -EBADF };
        size_t n = 0;

        if ((size_t) __builtin_popcount(flags) != n_fds ||
                (flags & ~(KEEPER_FD_PIDFD | KEEPER_FD_GATE | KEEPER_FD_STDIN | KEEPER_FD_TERMINAL |
                                 KEEPER_FD_MASTER)) ||
                ((flags & KEEPER_FD_STDIN) && (flags & KEEPER_FD_MASTER)))
                return -EBADMSG;
        if (flags & KEEPER_FD_PIDFD)
                sorted.pidfd = fds[n++];
        if (flags & KEEPER_FD_GATE)
                sorted.gate = fds[n++];
        if (flags & KEEPER_FD_STDIN)
                sorted.stdin_fd = fds[n++];
        if (flags & KEEPER_FD_TERMINAL)
                sorted.terminal = fds[n++];
        if (flags & KEEPER_FD_MASTER)
                sorted.stdin_fd = fds[n++];
        *ret = sorted;
        return 0;
}

static void link_check_connected(KeeperLink *link) {
        if (link->version == 0 || link->connected || link->children_left > 0 || link->ports_left > 0)
                return;
        link->connected = true;
        link->reconnect_usec = RECONNECT_MIN_USEC;
        link->handler->connected(link->userdata);
}

static int link_handle_welcome(KeeperLink *link, const struct keeper_welcome *m) {
        if (link->version > 0 || !ERROR_IS_VALID(m->error))
                return -EBADMSG;
        if (m->error < 0)
                return m->error;
        if (m->version < KEEPER_PROTOCOL_VERSION_MIN || m->version > KEEPER_PROTOCOL_VERSION)
                return -EPROTONOSUPPORT;
        link->version = m->version;
        link->children_left = m->n_children;
        link->ports_left = m->n_ports;
        return 0;
}

static int link_handle_child(KeeperLink *link, const struct keeper_child *m, const int *fds, size_t n_fds) {
        KeeperFds sorted;

        if (link->version == 0 || link->children_left == 0 || link->ports_left > 0 ||
                m->role[sizeof(m->role) - 1] != '\0')
                return -EBADMSG;
        int r = keeper_fds_sort(m->fds, fds, n_fds, &sorted);
        if (r < 0)
                return r;
        link->children_left--;
        link->handler->child(link->userdata, m, sorted);
        return 0;
}

static int link_handle_ports(KeeperLink *link, const struct keeper_ports *m, size_t size) {
        size_t ports_size = size - keeper_ports_size(0), n = ports_size / sizeof(m->ports[0]);

        if (size > sizeof(*m) || ports_size % sizeof(m->ports[0]) != 0 || n == 0 || n > link->ports_left)
                return -EBADMSG;
        link->ports_left -= (uint32_t) n;
        link->handler->ports(link->userdata, m->ports, n);
        return 0;
}

/* Returns the request to which this is the reply, or NULL. A request whose reply is not valid stays pending,
 * so it fails with the connection. */
static Pending *link_take_pending(KeeperLink *link, uint32_t request) {
        Pending *p = g_queue_peek_head(link->pending);

        return p && p->request == request ? g_queue_pop_head(link->pending) : NULL;
}

static int link_handle_kept(KeeperLink *link, const struct keeper_ports *m, size_t size) {
        size_t ports_size = size - keeper_ports_size(0);

        if (size > sizeof(*m) || ports_size % sizeof(m->ports[0]) != 0)
                return -EBADMSG;

        g_autofree Pending *p = link_take_pending(link, KEEPER_REST_PORTS);
        if (!p)
                return -EBADMSG;
        link->handler->ports_kept(link->userdata, m->ports, ports_size / sizeof(m->ports[0]));
        return 0;
}

static Pending *link_take_bind(KeeperLink *link) {
        return link_take_pending(link, KEEPER_BIND) ?: link_take_pending(link, KEEPER_BIND_PORTS);
}

static int link_handle_bound(KeeperLink *link, const struct keeper_bound *m, size_t size) {
        if (m->n > KEEPER_BIND_MAX || size != keeper_bound_size(m->n) || !ERROR_IS_VALID(m->error))
                return -EBADMSG;

        g_autofree Pending *p = link_take_bind(link);
        if (!p)
                return -EBADMSG;
        p->bound(p->userdata, m->error, m->numbers, m->n);
        return 0;
}

static int link_handle_terminal_socket(KeeperLink *link, const struct keeper_terminal_socket_made *m) {
        if (m->path[sizeof(m->path) - 1] != '\0' || !ERROR_IS_VALID(m->error))
                return -EBADMSG;

        g_autofree Pending *p = link_take_pending(link, KEEPER_MAKE_TERMINAL_SOCKET);
        if (!p)
                return -EBADMSG;
        p->socket_made(p->userdata, m->error, m->path);
        return 0;
}

static int link_handle_done(KeeperLink *link, const struct keeper_done *m) {
        /* These have a reply of their own. */
        if (m->request == KEEPER_BIND || m->request == KEEPER_MAKE_TERMINAL_SOCKET ||
                (m->request == KEEPER_BIND_PORTS && m->error != -EOPNOTSUPP) || !ERROR_IS_VALID(m->error))
                return -EBADMSG;

        g_autofree Pending *p = link_take_pending(link, m->request);
        if (!p)
                return -EBADMSG;
        if (p->done)
                p->done(p->userdata, m->error);
        if (p->bound)
                p->bound(p->userdata, m->error, NULL, 0);
        return 0;
}

static bool string_is_terminated(const char *s, size_t size) {
        return memchr(s, '\0', size);
}

static int link_handle_looked_up(KeeperLink *link, const struct keeper_looked_up *m, size_t size) {
        if (m->n_groups > KEEPER_ACCOUNT_GROUPS_MAX || size != keeper_looked_up_size(m->n_groups) ||
                !ERROR_IS_VALID(m->error) || !string_is_terminated(m->name, sizeof(m->name)) ||
                !string_is_terminated(m->group, sizeof(m->group)) ||
                !string_is_terminated(m->home, sizeof(m->home)) ||
                !string_is_terminated(m->shell, sizeof(m->shell)))
                return -EBADMSG;
        link->handler->looked_up(link->userdata, m);
        return 0;
}

static int link_handle_notified(KeeperLink *link, const struct keeper_notified *m, size_t size) {
        const size_t text_size = size - offsetof(struct keeper_notified, text);

        if (!link->connected || text_size > sizeof(m->text) || m->text[text_size - 1] != '\0')
                return -EBADMSG;
        link->handler->notified(link->userdata, m);
        return 0;
}

/* Takes the descriptors on success. */
static int link_handle(KeeperLink *link, const void *packet, size_t size, const int *fds, size_t n_fds) {
        const struct keeper_header *header = packet;
        KeeperFds sorted;
        int r;

        if (size < sizeof(*header))
                return -EBADMSG;

        switch (header->type) {
        case KEEPER_WELCOME:
                if (size != sizeof(struct keeper_welcome) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_welcome(link, packet);

        case KEEPER_CHILD:
                if (size != sizeof(struct keeper_child))
                        return -EBADMSG;
                return link_handle_child(link, packet, fds, n_fds);

        case KEEPER_FORKED: {
                const struct keeper_forked *m = packet;

                if (size != sizeof(*m) || !ERROR_IS_VALID(m->error))
                        return -EBADMSG;
                r = keeper_fds_sort(m->fds, fds, n_fds, &sorted);
                if (r < 0)
                        return r;
                link->handler->forked(link->userdata, m, sorted);
                return 0;
        }

        case KEEPER_EXITED:
                if (size != sizeof(struct keeper_exited) || n_fds > 0)
                        return -EBADMSG;
                link->handler->exited(link->userdata, packet);
                return 0;

        case KEEPER_DONE:
                if (size != sizeof(struct keeper_done) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_done(link, packet);

        case KEEPER_PORTS:
                if (size < keeper_ports_size(0) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_ports(link, packet, size);

        case KEEPER_PORTS_KEPT:
                if (size < keeper_ports_size(0) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_kept(link, packet, size);

        case KEEPER_BOUND:
                if (size < keeper_bound_size(0) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_bound(link, packet, size);

        case KEEPER_LOOKED_UP:
                if (size < keeper_looked_up_size(0) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_looked_up(link, packet, size);

        case KEEPER_NOTIFIED:
                if (size <= offsetof(struct keeper_notified, text) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_notified(link, packet, size);

        case KEEPER_TERMINAL_SOCKET_MADE:
                if (size != sizeof(struct keeper_terminal_socket_made) || n_fds > 0)
                        return -EBADMSG;
                return link_handle_terminal_socket(link, packet);

        default:
                return -EBADMSG;
        }
}

static int link_on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        KeeperLink *link = userdata;
        int r = 0;

        if (revents & EPOLLOUT)
                r = link_flush(link);

        /* At most a few packets at a time, so that other sources get their turn. */
        for (int i = 0; r >= 0 && i < 16; i++) {
                union {
                        struct keeper_header header; /* for the alignment of all of them */
                        char bytes[KEEPER_PACKET_MAX];
                } packet;
                int fds[SOCKET_FDS_MAX];
                size_t n_fds = ELEMENTSOF(fds);

                ssize_t n = socket_recv(link->fd, &packet, sizeof(packet), fds, &n_fds);
                if (n == -EAGAIN)
                        break;
                if (n <= 0) {
                        r = n == 0 ? -ECONNRESET : (int) n;
                        break;
                }
                r = link_handle(link, &packet, (size_t) n, fds, n_fds);
                if (r < 0)
                        link_close_fds(fds, n_fds);
                else
                        link_check_connected(link);
        }

        if (r < 0)
                link_lost(link, r);
        return 0;
}

void keeper_link_open(KeeperLink *link) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct keeper_hello hello = { .header = { .type = KEEPER_HELLO },
                .version_min = KEEPER_PROTOCOL_VERSION_MIN,
                .version_max = KEEPER_PROTOCOL_VERSION };
        int r;

        g_assert(link->fd < 0);
        (void) g_strlcpy(address.sun_path, link->path, sizeof(address.sun_path));

        link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (link->fd < 0 || connect(link->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                r = -errno;
        else
                r = sd_event_add_io(link->event, &link->io, link->fd, EPOLLIN, link_on_io, link);
        if (r >= 0)
                r = link_send(link, &hello, sizeof(hello));
        if (r < 0)
                link_lost(link, r);
}

bool keeper_link_is_older(const KeeperLink *link, uint32_t version) {
        return link->version > 0 && link->version < version;
}

bool keeper_link_is_connected(const KeeperLink *link) {
        return link->connected;
}

int keeper_link_fork(KeeperLink *link, uint64_t child, const char *role, uint32_t flags,
        const struct keeper_port *ports, size_t n_ports) {
        struct {
                struct keeper_fork fork;
                struct keeper_port ports[KEEPER_FORK_PORTS_MAX];
        } m = { .fork = { .header = { .type = KEEPER_FORK, .child = child }, .flags = flags } };

        if (n_ports > KEEPER_FORK_PORTS_MAX)
                return -E2BIG;
        if (!link->connected)
                return -ENOTCONN;
        (void) g_strlcpy(m.fork.role, role, sizeof(m.fork.role));
        if (n_ports > 0)
                memcpy(m.ports, ports, n_ports * sizeof(ports[0]));
        return link_send(link, &m, sizeof(m.fork) + n_ports * sizeof(ports[0]));
}

static int link_check_version(const KeeperLink *link, uint32_t version) {
        if (!link->connected)
                return -ENOTCONN;
        return link->version < version ? -EPROTONOSUPPORT : 0;
}

int keeper_link_fork_into(
        KeeperLink *link, uint64_t child, const char *role, uint32_t flags, const char *cgroup) {
        struct keeper_fork_into m = { .fork.header = { .type = KEEPER_FORK_INTO, .child = child },
                .fork.flags = flags };

        int r = link_check_version(link, 5);
        if (r < 0)
                return r;
        if (g_strlcpy(m.path, cgroup, sizeof(m.path)) >= sizeof(m.path))
                return -ENAMETOOLONG;
        (void) g_strlcpy(m.fork.role, role, sizeof(m.fork.role));
        return link_send(link, &m, offsetof(struct keeper_fork_into, path) + strlen(m.path) + 1);
}

int keeper_link_signal(KeeperLink *link, uint64_t child, int signo, KeeperDone done, void *userdata) {
        struct keeper_signal m = { .header = { .type = KEEPER_SIGNAL, .child = child }, .signo = signo };

        return link_request(link, &m, sizeof(m), done, userdata);
}

int keeper_link_close_stdin(KeeperLink *link, uint64_t child, KeeperDone done, void *userdata) {
        struct keeper_header m = { .type = KEEPER_CLOSE_STDIN, .child = child };

        return link_request(link, &m, sizeof(m), done, userdata);
}

int keeper_link_reap(KeeperLink *link, uint64_t child) {
        struct keeper_header m = { .type = KEEPER_REAP, .child = child };

        return link_request(link, &m, sizeof(m), NULL, NULL);
}

int keeper_link_kill_cgroup(KeeperLink *link, const char *path, KeeperDone done, void *userdata) {
        struct keeper_kill_cgroup m = { .header = { .type = KEEPER_KILL_CGROUP } };

        if (g_strlcpy(m.path, path, sizeof(m.path)) >= sizeof(m.path))
                return -ENAMETOOLONG;
        return link_request(
                link, &m, offsetof(struct keeper_kill_cgroup, path) + strlen(path) + 1, done, userdata);
}

int keeper_link_signal_cgroup(KeeperLink *link, uint64_t child, const char *path, int signo, uint32_t flags,
        KeeperDone done, void *userdata) {
        struct keeper_signal_cgroup m = {
                .header = { .type = KEEPER_SIGNAL_CGROUP, .child = child }, .signo = signo, .flags = flags
        };

        int r = link_check_version(link, 3);
        if (r < 0)
                return r;
        if (g_strlcpy(m.path, path, sizeof(m.path)) >= sizeof(m.path))
                return -ENAMETOOLONG;
        return link_request(
                link, &m, offsetof(struct keeper_signal_cgroup, path) + strlen(path) + 1, done, userdata);
}

int keeper_link_signal_process(KeeperLink *link, uint64_t child, pid_t pid, uint64_t start_time, int signo,
        KeeperDone done, void *userdata) {
        struct keeper_signal_process m = { .header = { .type = KEEPER_SIGNAL_PROCESS, .child = child },
                .signo = signo,
                .pid = pid,
                .start_time = start_time };

        int r = link_check_version(link, 3);
        return r < 0 ? r : link_request(link, &m, sizeof(m), done, userdata);
}

int keeper_link_take_notified(
        KeeperLink *link, uint64_t child, uint64_t number, KeeperDone done, void *userdata) {
        struct keeper_take_notified m = { .header = { .type = KEEPER_TAKE_NOTIFIED, .child = child },
                .number = number };

        int r = link_check_version(link, 5);
        return r < 0 ? r : link_request(link, &m, sizeof(m), done, userdata);
}

int keeper_link_make_terminal_socket(
        KeeperLink *link, uint64_t child, uid_t uid, uint32_t flags, KeeperSocketMade done, void *userdata) {
        struct keeper_terminal_socket m = {
                .header = { .type = KEEPER_MAKE_TERMINAL_SOCKET, .child = child }, .uid = uid, .flags = flags
        };

        int r = link_check_version(link, 3);
        if (r < 0)
                return r;
        return link_request_full(link, &m, sizeof(m), (Pending){ .socket_made = done, .userdata = userdata });
}

int keeper_link_look_up(KeeperLink *link, uint64_t number, const char *user, const char *group,
        KeeperDone done, void *userdata) {
        struct keeper_lookup m = { .header = { .type = KEEPER_LOOKUP, .child = number } };

        int r = link_check_version(link, 3);
        if (r < 0)
                return r;
        if (g_strlcpy(m.user, user, sizeof(m.user)) >= sizeof(m.user) ||
                g_strlcpy(m.group, group, sizeof(m.group)) >= sizeof(m.group))
                return -ENAMETOOLONG;
        return link_request(link, &m, sizeof(m), done, userdata);
}

int keeper_link_bind(KeeperLink *link, const struct keeper_bind *bind, KeeperBound done, void *userdata) {
        struct keeper_bind m = *bind;

        m.header = (struct keeper_header){ .type = KEEPER_BIND };
        return link_request_full(link, &m, sizeof(m), (Pending){ .bound = done, .userdata = userdata });
}

int keeper_link_bind_ports(
        KeeperLink *link, const struct keeper_bind_ports *bind, KeeperBound done, void *userdata) {
        struct keeper_bind_ports m = *bind;

        m.header = (struct keeper_header){ .type = KEEPER_BIND_PORTS };
        return link_request_full(link, &m, sizeof(m), (Pending){ .bound = done, .userdata = userdata });
}

static int link_request_ports(KeeperLink *link, KeeperMessageType type, const struct keeper_port *ports,
        size_t n, KeeperDone done, void *userdata) {
        struct keeper_ports m = { .header = { .type = type } };

        if (!link->connected)
                return -ENOTCONN;
        /* A long list is split into several requests. The reply to the last one is the reply to all, because
         * the keeper handles them in order. */
        for (size_t done_n = 0; done_n < n;) {
                size_t k = MIN(n - done_n, KEEPER_PORTS_PACKET);
                bool last = done_n + k == n;

                memcpy(m.ports, ports + done_n, k * sizeof(ports[0]));
                int r = link_request(
                        link, &m, keeper_ports_size(k), last ? done : NULL, last ? userdata : NULL);
                if (r < 0)
                        return r;
                done_n += k;
        }
        return 0;
}

int keeper_link_release_ports(
        KeeperLink *link, const struct keeper_port *ports, size_t n, KeeperDone done, void *userdata) {
        return link_request_ports(link, KEEPER_RELEASE_PORTS, ports, n, done, userdata);
}

int keeper_link_rest_ports(KeeperLink *link, const struct keeper_port *ports, size_t n) {
        return link_request_ports(link, KEEPER_REST_PORTS, ports, n, NULL, NULL);
}

int keeper_link_release_all_ports(KeeperLink *link) {
        struct keeper_header m = { .type = KEEPER_RELEASE_ALL_PORTS };

        int r = link_check_version(link, 3);
        return r < 0 ? r : link_request(link, &m, sizeof(m), NULL, NULL);
}

/* The reservations that this process knows are saved already, so one that comes now fails, and the next
 * process releases its ports. After a clean end there may be no next process, and ports_forget() has had
 * all of them released. */
static int link_finish_handle(KeeperLink *link, const struct keeper_header *header, size_t size) {
        if (size == sizeof(struct keeper_done) && header->type == KEEPER_DONE)
                return link_handle_done(link, (const struct keeper_done *) header);
        if (size == sizeof(struct keeper_terminal_socket_made) && header->type == KEEPER_TERMINAL_SOCKET_MADE)
                return link_handle_terminal_socket(link, (const struct keeper_terminal_socket_made *) header);
        if (size >= keeper_ports_size(0) && header->type == KEEPER_PORTS_KEPT)
                return link_handle_kept(link, (const struct keeper_ports *) header, size);
        if (size < sizeof(*header) || header->type != KEEPER_BOUND)
                return 0;

        g_autofree Pending *p = link_take_bind(link);
        if (!p)
                return -EBADMSG;
        p->bound(p->userdata, -ENOTCONN, NULL, 0);
        return 0;
}

void keeper_link_finish(KeeperLink *link, uint64_t timeout_usec) {
        int64_t end = g_get_monotonic_time() + (int64_t) timeout_usec, left;
        union {
                struct keeper_header header;
                char bytes[KEEPER_PACKET_MAX];
        } packet;

        while (link->connected && !g_queue_is_empty(link->pending) &&
                (left = end - g_get_monotonic_time()) > 0) {
                struct pollfd p = { link->fd, g_queue_is_empty(link->out) ? POLLIN : POLLIN | POLLOUT, 0 };
                int fds[SOCKET_FDS_MAX];
                size_t n_fds = ELEMENTSOF(fds);

                if (poll(&p, 1, timeout_until((uint64_t) left, 0)) <= 0 || link_flush(link) < 0)
                        return;
                ssize_t n = socket_recv(link->fd, &packet, sizeof(packet), fds, &n_fds);
                if (n == -EAGAIN)
                        continue;
                if (n <= 0)
                        return;
                link_close_fds(fds, n_fds);
                if (link_finish_handle(link, &packet.header, (size_t) n) < 0)
                        return;
        }
}
