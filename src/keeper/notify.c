/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/notify-socket.h"
#include "base/pidref.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "keeper/child.h"
#include "keeper/hold.h"
#include "keeper/listen.h"
#include "keeper/notify.h"

#define NAME_FORMAT "%" PRIx64 ".%016" PRIx64
#define FLOOD_MESSAGES 100U /* of one role in a second; the next one waits */
#define DROP_MESSAGES 10U   /* one with descriptors counts as so many, because it costs a process */

/* What is in the hold. */
struct notify_packet {
        uint64_t serial; /* see hold_replace_packet() */
        uint64_t number;
        char path[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
        char pad[4];
        char status[NOTIFY_TEXT_MAX + 1];
        struct notify_item items[NOTIFY_KEPT_MAX]; /* as many as the packet has room for */
};

ASSERT_FIXED_SIZE(struct notify_item, 32);
ASSERT_FIXED_SIZE(struct notify_packet, 8 * 2 + 112 + 1024 + 32 * 256);

/* One at a time is written or read. */
static struct notify_packet packet;

static void notify_write(Notify *n) {
        packet.number = n->number;
        memcpy(packet.path, n->path, sizeof(packet.path));
        memcpy(packet.status, n->status, sizeof(packet.status));
        if (n->n_items > 0)
                memcpy(packet.items, n->items, n->n_items * sizeof(n->items[0]));

        int r = hold_replace_packet(n->hold_fd, &packet.serial,
                offsetof(struct notify_packet, items) + n->n_items * sizeof(packet.items[0]), NULL, 0);
        if (r < 0)
                log_warning("Cannot keep a notification of role %s over a death of the keeper: %s",
                        n->child->role, strerror(-r));
}

static int notify_keep_room(Notify *n) {
        struct notify_item *larger;
        size_t room = n->room > 0 ? n->room * 2 : 4;

        if (n->n_items < n->room)
                return 0;
        if (n->n_items >= NOTIFY_KEPT_MAX)
                return -ENOBUFS;
        larger = realloc(n->items, room * sizeof(*larger));
        if (!larger)
                return -ENOMEM;
        n->items = larger;
        n->room = room;
        return 0;
}

static Notify *notify_alloc(int fd, int hold_fd, bool all) {
        Notify *n = calloc(1, sizeof(*n));

        if (!n)
                return NULL;
        *n = (Notify){ .fd = fd, .hold_fd = hold_fd, .all = all, .drop_pidfd = -EBADF };
        n->watch = (struct watch){ .type = WATCH_NOTIFY, .notify = n };
        n->drop_watch = (struct watch){ .type = WATCH_NOTIFY_DROP, .notify = n };
        list_init(&n->to_tell);
        list_init(&n->paused);
        list_init(&n->drop);
        return n;
}

/* -- the socket -- */

static int notify_bind(const char *directory, uint64_t id, int fd, char ret_path[static 108]) {
        char bound[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
        struct sockaddr_un address;
        socklen_t size;
        uint64_t random;
        mode_t mask;
        int r;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                return -errno;
        if ((size_t) snprintf(ret_path, sizeof(bound), "%s/" NAME_FORMAT, directory, id, random) >=
                sizeof(bound))
                return -ENAMETOOLONG;
        (void) snprintf(bound, sizeof(bound), "%s/%" PRIx64, directory, id);
        r = socket_address(bound, &address, &size);
        if (r < 0)
                return r;
        (void) unlink(bound); /* of a keeper that has died between the two steps */
        mask = umask(0111);
        r = bind(fd, (struct sockaddr *) &address, size) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r >= 0 && rename(bound, ret_path) < 0) {
                r = -errno;
                (void) unlink(bound);
        }
        return r;
}

int notify_new(const char *directory, uint64_t id, bool all, Notify **ret) {
        autofd fd = -EBADF, hold = -EBADF;
        char path[108];
        int r;

        r = socket_directory_make(directory, 0711);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* Before it has a name, so that no message is without its sender. */
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) < 0)
                return -errno;
        hold = hold_open();
        if (hold < 0)
                return hold;
        Notify *n = notify_alloc(fd, hold, all);
        if (!n)
                return -ENOMEM;
        r = notify_bind(directory, id, fd, path);
        if (r < 0) {
                free(n);
                return r;
        }
        (void) fd_steal(&fd);
        (void) fd_steal(&hold);
        memcpy(n->path, path, sizeof(n->path));
        notify_write(n);
        *ret = n;
        return 0;
}

int notify_take(int fd, int hold_fd, bool all, Notify **ret) {
        autofd taken_fd = fd, taken_hold = hold_fd;
        Notify *n;

        if (fd < 0 || hold_fd < 0)
                return -EBADF;
        ssize_t size = socket_peek(hold_fd, &packet, sizeof(packet), NULL, NULL);
        if (size < 0)
                return (int) size;
        size_t n_items = ((size_t) size - offsetof(struct notify_packet, items)) / sizeof(packet.items[0]);
        if ((size_t) size < offsetof(struct notify_packet, items) ||
                (size_t) size != offsetof(struct notify_packet, items) + n_items * sizeof(packet.items[0]) ||
                !memchr(packet.path, '\0', sizeof(packet.path)) || packet.status[NOTIFY_TEXT_MAX] != '\0')
                return -EBADMSG;

        n = notify_alloc(fd, hold_fd, all);
        if (!n)
                return -ENOMEM;
        n->items = calloc(n_items + 1, sizeof(n->items[0]));
        if (!n->items) {
                free(n);
                return -ENOMEM;
        }
        memcpy(n->items, packet.items, n_items * sizeof(n->items[0]));
        n->n_items = n_items;
        n->room = n_items + 1;
        n->number = packet.number;
        memcpy(n->path, packet.path, sizeof(n->path));
        memcpy(n->status, packet.status, sizeof(n->status));
        (void) fd_steal(&taken_fd);
        (void) fd_steal(&taken_hold);
        *ret = n;
        return 0;
}

void notify_shut(Notify *n) {
        (void) unlink(n->path);
        (void) shutdown(n->fd, SHUT_RD); /* for all who have it open */
        hold_end(n->hold_fd);
        n->hold_fd = -EBADF;
}

Notify *notify_free(Notify *n) {
        if (!n)
                return NULL;

        notify_shut(n);
        (void) fd_close(n->fd);
        (void) fd_close(n->drop_pidfd);
        list_remove(&n->to_tell);
        list_remove(&n->paused);
        list_remove(&n->drop);
        free(n->items);
        free(n->scope);
        free(n);
        return NULL;
}

/* -- the sender -- */

/* Stores the cgroup of the scope, which is in the path of the main process: an own cgroup below it is the
 * role's, too. A scope of this name elsewhere, which a user can make below what is delegated to him, is not
 * it. */
static const char *notify_scope(Notify *n, const char *instance) {
        _cleanup_free_ char *path = NULL, *name = NULL;
        size_t size;
        char *p;

        if (n->scope || cgroup_of_pid(n->child->pid, &path) < 0)
                return n->scope;
        name = role_scope_name(instance, n->child->role);
        if (!name)
                return NULL;
        size = strlen(name);
        for (p = strstr(path, name); p; p = strstr(p + 1, name))
                if (p > path && p[-1] == '/' && (p[size] == '/' || p[size] == '\0')) {
                        p[size] = '\0';
                        n->scope = path;
                        path = NULL;
                        break;
                }
        return n->scope;
}

static bool notify_is_in_scope(Notify *n, const char *instance, pid_t pid) {
        char *path = NULL;

        bool inside = notify_scope(n, instance) && cgroup_of_pid(pid, &path) >= 0 &&
                      cgroup_is_below(path, n->scope);
        free(path); /* not by its scope, because the analyzer of GCC 12 does not see that it is initialized */
        return inside;
}

/* The kernel uses the number of a child for no other process until it is reaped. */
static bool notify_accepts(Notify *n, const char *instance, pid_t pid) {
        return pid == n->child->pid || (n->all && pid > 0 && notify_is_in_scope(n, instance, pid));
}

static void notify_refuse(Notify *n, pid_t pid) {
        char name[PROC_NAME_SIZE] = "?";

        if (n->refused_told)
                return;
        n->refused_told = true;
        (void) proc_name_read(pid, name);
        log_warning("Refusing notifications of process %d (%s) to role %s: it is %s", (int) pid, name,
                n->child->role,
                n->all ? "not in the scope of the role"
                       : "not the main process of the role, see the option notify-access");
}

/* -- messages -- */

static bool notify_supersedes(uint32_t kind) {
        return kind == NOTIFY_STATUS || kind == NOTIFY_WATCHDOG || kind == NOTIFY_EXTEND_TIMEOUT;
}

static void notify_drop(Notify *n, size_t i) {
        memmove(&n->items[i], &n->items[i + 1], (n->n_items - i - 1) * sizeof(n->items[0]));
        n->n_items--;
}

static void notify_keep(Notify *n, const NotifyAssignment *a, pid_t pid) {
        if (notify_supersedes(a->kind))
                for (size_t i = 0; i < n->n_items; i++)
                        if (n->items[i].kind == (uint32_t) a->kind) {
                                notify_drop(n, i);
                                break;
                        }
        int r = notify_keep_room(n);
        if (r < 0) {
                if (!n->full_told)
                        log_warning("Dropping notifications of role %s, of which %zu wait: %s",
                                n->child->role, n->n_items, strerror(-r));
                n->full_told = true;
                return;
        }
        n->items[n->n_items++] = (struct notify_item){
                .number = ++n->number,
                .monotonic_usec = now_usec(CLOCK_MONOTONIC),
                .value = a->value,
                .pid = pid,
                .kind = a->kind,
        };
        if (a->kind == NOTIFY_STATUS) {
                size_t size = a->text_size < NOTIFY_TEXT_MAX ? a->text_size : NOTIFY_TEXT_MAX;

                memset(n->status, 0, sizeof(n->status));
                memcpy(n->status, a->text, size);
        }
}

/* What a message tells of a role. The state that it announces comes after it, whatever the order in the
 * message: whoever sees that the role is ready sees the status text that came with it. systemd takes a
 * message as one, too. */
static bool notify_is_told_first(NotifyKind kind) {
        return kind == NOTIFY_STATUS || kind == NOTIFY_ERRNO || kind == NOTIFY_MAINPID;
}

static void notify_keep_all(Notify *n, const char *message, const char *end, pid_t pid) {
        NotifyAssignment a;

        for (int first = 1; first >= 0; first--)
                for (const char *p = message; notify_message_next(&p, end, &a);)
                        if (notify_is_told_first(a.kind) == first)
                                notify_keep(n, &a, pid);
}

/* Reads the next message, and leaves it in the socket, so that the references to its descriptors that this
 * drops are not the last ones. Returns its size, or a negative errno. */
static ssize_t notify_peek(int fd, char *buffer, pid_t *ret_pid, bool *ret_with_fds) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(struct ucred))]; /* for no descriptor */
        } control;
        struct iovec iov = { .iov_base = buffer, .iov_len = NOTIFY_MESSAGE_MAX };
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        ssize_t size = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_PEEK);

        *ret_pid = 0;
        *ret_with_fds = false;
        if (size < 0)
                return -errno;
        *ret_with_fds = msg.msg_flags & MSG_CTRUNC;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                struct ucred sender;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
                        c->cmsg_len != CMSG_LEN(sizeof(sender)))
                        continue;
                memcpy(&sender, CMSG_DATA(c), sizeof(sender));
                *ret_pid = sender.pid;
        }
        return msg.msg_flags & MSG_TRUNC ? 0 : size; /* a message that is too long is none */
}

/* Takes the next message out of the socket. Without room for its descriptors, the kernel closes them, before
 * this returns. */
static int notify_take_out(int fd) {
        return recv(fd, NULL, 0, MSG_DONTWAIT) < 0 ? -errno : 0;
}

bool notify_read(Notify *n, const char *instance, unsigned max, bool *ret_drop) {
        const uint64_t before = n->number;
        bool with_fds = false;

        for (unsigned i = 0; i < max && !with_fds; i++) {
                char buffer[NOTIFY_MESSAGE_MAX];
                const uint64_t number = n->number;
                pid_t pid;
                ssize_t size = notify_peek(n->fd, buffer, &pid, &with_fds);

                if (size == -EINTR)
                        continue;
                if (size < 0)
                        break;
                n->n_recent += with_fds ? DROP_MESSAGES : 1;
                if (notify_accepts(n, instance, pid))
                        notify_keep_all(n, buffer, buffer + size, pid);
                else
                        notify_refuse(n, pid);
                /* Before the descriptor of a BARRIER is closed, which says that all was received. */
                if (n->number != number)
                        notify_write(n);
                if (!with_fds)
                        (void) notify_take_out(n->fd);
        }
        *ret_drop = with_fds;
        return n->number != before;
}

bool notify_discard(Notify *n) {
        char buffer[NOTIFY_MESSAGE_MAX];
        bool with_fds;
        ssize_t size;
        pid_t pid;

        while ((size = notify_peek(n->fd, buffer, &pid, &with_fds)) >= 0 || size == -EINTR) {
                if (size >= 0 && with_fds)
                        return true;
                if (size >= 0)
                        (void) notify_take_out(n->fd);
        }
        return false;
}

static _noreturn_ void drop_invoke(int fd, bool all) {
        /* It may live for long, and must hold nothing else open: the end of a role waits at its gate and
         * reads its standard input to the end. */
        (void) fd_close_all_except(&fd, 1);
        for (int r = -EINTR; r == -EINTR || (r >= 0 && all);)
                r = notify_take_out(fd);
        _exit(EXIT_SUCCESS);
}

int notify_clone_drop(Notify *n) {
        pid_t pid = child_clone(&n->drop_pidfd);

        if (pid == 0)
                drop_invoke(n->fd, !n->child);
        if (pid < 0)
                n->drop_pidfd = -EBADF;
        return pid < 0 ? pid : 0;
}

bool notify_is_flooded(Notify *n) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now - n->recent_usec >= USEC_PER_SEC) {
                n->recent_usec = now;
                n->n_recent = 0;
        }
        n->resume_usec = n->recent_usec + USEC_PER_SEC;
        return n->n_recent > FLOOD_MESSAGES;
}

void notify_saved(Notify *n, uint64_t number) {
        const size_t before = n->n_items;
        size_t kept = 0;

        for (size_t i = 0; i < n->n_items; i++)
                if (n->items[i].number > number || n->items[i].kind == NOTIFY_WATCHDOG)
                        n->items[kept++] = n->items[i];
        n->n_items = kept;
        if (kept != before)
                notify_write(n);
}

const struct notify_item *notify_next(const Notify *n) {
        for (size_t i = 0; i < n->n_items; i++)
                if (n->items[i].number > n->told)
                        return &n->items[i];
        return NULL;
}

void notify_clean(const char *directory, bool (*is_known)(void *userdata, const char *path), void *userdata) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;

        if (!d)
                return;
        while ((e = readdir(d))) {
                char path[PATH_MAX];

                if (e->d_name[0] == '.')
                        continue;
                (void) snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
                if (!is_known(userdata, path))
                        (void) unlink(path);
        }
}
