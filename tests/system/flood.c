/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flood.h"

#define BUS_SOCKET "/run/dbus/system_bus_socket"
#define NODE "org.architect.Node"
#define NODE_PATH "/org/architect/Node"
#define FREEDESKTOP "org.freedesktop.DBus"

#define CALLS_MAX 64U
#define BATCH_MAX 32768U
#define HEADER_SIZE 16U

typedef struct Batch {
        uint8_t data[BATCH_MAX];
        size_t size;
        size_t calls[CALLS_MAX]; /* their offsets */
        unsigned n_calls;
} Batch;

typedef struct Connection {
        int fd;
        unsigned turn; /* the call that is under way, for FLOOD_IN_TURN */
        uint32_t serial;
        bool reads;
        uint8_t *batch; /* that is being sent */
        size_t sent;
        uint8_t header[HEADER_SIZE]; /* of the message that is being received */
        size_t n_header;
        size_t skip; /* the rest of it */
} Connection;

/* -- messages -- */

static void batch_align(Batch *b, size_t start, size_t n) {
        while ((b->size - start) % n != 0)
                b->data[b->size++] = 0;
}

static void batch_u32(Batch *b, uint32_t value) {
        memcpy(b->data + b->size, &value, sizeof(value)); /* in native byte order, as the first byte says */
        b->size += sizeof(value);
}

static void batch_string(Batch *b, size_t start, const char *s) {
        batch_align(b, start, 4);
        batch_u32(b, (uint32_t) strlen(s));
        memcpy(b->data + b->size, s, strlen(s) + 1);
        b->size += strlen(s) + 1;
}

static void batch_field(Batch *b, size_t start, uint8_t code, char type, const char *value) {
        batch_align(b, start, 8);
        b->data[b->size++] = code;
        b->data[b->size++] = 1;
        b->data[b->size++] = (uint8_t) type;
        b->data[b->size++] = 0;
        if (type != 'g') {
                batch_string(b, start, value);
                return;
        }
        b->data[b->size++] = (uint8_t) strlen(value);
        memcpy(b->data + b->size, value, strlen(value) + 1);
        b->size += strlen(value) + 1;
}

/* Appends a call. Its arguments are strings ("s"), numbers ("u", "t", always 0) and lists without an element
 * ("as"). */
static void batch_call(Batch *b, bool reply, const char *destination, const char *path, const char *interface,
        const char *member, const char *signature, const char *const *strings) {
        const size_t start = b->size;

        b->calls[b->n_calls++] = start;
        b->data[b->size++] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B';
        b->data[b->size++] = 1;             /* a call */
        b->data[b->size++] = reply ? 0 : 1; /* NO_REPLY_EXPECTED */
        b->data[b->size++] = 1;
        b->size += 3 * sizeof(uint32_t); /* size of the body, serial, size of the fields */
        batch_field(b, start, 1, 'o', path);
        batch_field(b, start, 2, 's', interface);
        batch_field(b, start, 3, 's', member);
        batch_field(b, start, 6, 's', destination);
        if (signature[0])
                batch_field(b, start, 8, 'g', signature);
        uint32_t fields = (uint32_t) (b->size - start - HEADER_SIZE);
        batch_align(b, start, 8);

        const size_t body = b->size;
        for (const char *type = signature; *type; type++)
                switch (*type) {
                case 's':
                        batch_string(b, body, *strings++);
                        break;
                case 't':
                        batch_align(b, body, 8);
                        batch_u32(b, 0);
                        batch_u32(b, 0);
                        break;
                case 'a': /* as */
                        type++;
                        __attribute__((fallthrough));
                default:
                        batch_align(b, body, 4);
                        batch_u32(b, 0);
                }
        uint32_t size = (uint32_t) (b->size - body);
        memcpy(b->data + start + 4, &size, sizeof(size));
        memcpy(b->data + start + 12, &fields, sizeof(fields));
}

static void batch_node_call(Batch *b, bool reply, const char *destination, const char *interface,
        const char *member, const char *signature, const char *const *strings) {
        batch_call(b, reply, destination, NODE_PATH, interface, member, signature, strings);
}

/* Every method that data/org.architect.Node.conf permits to all users. */
static void batch_add_reads(Batch *b, bool reply, const char *destination) {
        const char *no_role[] = { "no-such-role" }, *epoch[] = { "" }, *pgrp[] = { "no-such-role" };
        const char *all[] = { NODE }, *one[] = { NODE, "Features" };

        batch_node_call(b, reply, destination, NODE, "EventsSince", "stu", epoch);
        batch_node_call(b, reply, destination, NODE, "Poll", "as", NULL);
        batch_node_call(b, reply, destination, NODE, "ListRoles", "", NULL);
        batch_node_call(b, reply, destination, NODE, "GetRole", "s", no_role);
        batch_node_call(b, reply, destination, NODE, "GetRoleByPID", "u", NULL);
        batch_node_call(b, reply, destination, NODE, "ListPorts", "", NULL);
        batch_node_call(b, reply, destination, NODE, "GetPgrp", "s", pgrp);
        batch_node_call(b, reply, destination, FREEDESKTOP ".Properties", "GetAll", "s", all);
        batch_node_call(b, reply, destination, FREEDESKTOP ".Properties", "Get", "ss", one);
        batch_node_call(b, reply, destination, FREEDESKTOP ".ObjectManager", "GetManagedObjects", "", NULL);
        batch_node_call(b, reply, destination, FREEDESKTOP ".Introspectable", "Introspect", "", NULL);
        batch_node_call(b, reply, destination, FREEDESKTOP ".Peer", "Ping", "", NULL);
}

static void batch_number(const Batch *b, Connection *c) {
        for (unsigned i = 0; i < b->n_calls; i++) {
                c->serial++;
                memcpy(c->batch + b->calls[i] + 8, &c->serial, sizeof(c->serial));
        }
}

/* -- connections -- */

static int connection_open(Connection *c, uid_t uid) {
        static Batch hello;
        struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = BUS_SOCKET };
        char auth[64], hex[32] = "", text[16], reply[256];

        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &sun, sizeof(sun)) < 0)
                return -errno;
        (void) snprintf(text, sizeof(text), "%u", (unsigned) uid);
        for (char *p = text; *p; p++)
                (void) snprintf(hex + strlen(hex), sizeof(hex) - strlen(hex), "%02x", (unsigned) *p);
        (void) snprintf(auth, sizeof(auth), "%cAUTH EXTERNAL %s\r\n", '\0', hex);
        size_t n = 1 + strlen(auth + 1);
        if (write(c->fd, auth, n) != (ssize_t) n || read(c->fd, reply, sizeof(reply)) < 2 ||
                strncmp(reply, "OK", 2) != 0 || write(c->fd, "BEGIN\r\n", 7) != 7)
                return -EPROTO;
        if (hello.size == 0)
                batch_call(
                        &hello, true, FREEDESKTOP, "/org/freedesktop/DBus", FREEDESKTOP, "Hello", "", NULL);
        c->batch = hello.data;
        batch_number(&hello, c);
        c->batch = NULL;
        if (write(c->fd, hello.data, hello.size) != (ssize_t) hello.size)
                return -EPROTO;
        return 0;
}

/* Reads what there is, and counts the messages. */
static bool connection_read(Connection *c, volatile FloodCount *count) {
        static uint8_t data[256U * 1024U];

        ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);
        if (n <= 0)
                return n < 0 && errno == EAGAIN;
        for (const uint8_t *p = data, *end = data + n; p < end;) {
                size_t left = (size_t) (end - p);

                if (c->skip > 0) {
                        size_t k = c->skip < left ? c->skip : left;
                        c->skip -= k;
                        p += k;
                        continue;
                }
                size_t k = HEADER_SIZE - c->n_header < left ? HEADER_SIZE - c->n_header : left;
                memcpy(c->header + c->n_header, p, k);
                c->n_header += k;
                p += k;
                if (c->n_header == HEADER_SIZE) {
                        uint32_t body, fields;

                        memcpy(&body, c->header + 4, sizeof(body));
                        memcpy(&fields, c->header + 12, sizeof(fields));
                        c->skip = ((fields + 7U) & ~7U) + body;
                        c->n_header = 0;
                        count->returns += c->header[1] == 2;
                        count->errors += c->header[1] == 3;
                }
        }
        return true;
}

static bool connection_write(Connection *c, const Batch *b, volatile FloodCount *count) {
        ssize_t n = send(c->fd, c->batch + c->sent, b->size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN;
        c->sent += (size_t) n;
        if (c->sent == b->size) {
                count->calls += b->n_calls;
                c->sent = 0;
                batch_number(b, c);
        }
        return true;
}

static bool connection_take_turn(Connection *c, const Batch *b, volatile FloodCount *count) {
        const size_t from = b->calls[c->turn],
                     to = c->turn + 1 < b->n_calls ? b->calls[c->turn + 1] : b->size;

        c->turn = (c->turn + 1) % b->n_calls;
        if (c->turn == 0)
                batch_number(b, c);
        count->calls++;
        return send(c->fd, c->batch + from, to - from, MSG_NOSIGNAL) == (ssize_t) (to - from);
}

static void flood_run(
        const char *destination, uid_t uid, unsigned n, FloodReplies replies, volatile FloodCount *count) {
        static Batch batch;
        Connection *connections = calloc(n, sizeof(*connections));
        struct epoll_event events[64];
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        if (!connections || epoll < 0)
                _exit(EXIT_FAILURE);
        const bool in_turn = replies & FLOOD_IN_TURN;
        if (replies & FLOOD_NO_REPLIES)
                batch_add_reads(&batch, false, destination);
        if (replies & (FLOOD_REPLIES | FLOOD_IN_TURN))
                batch_add_reads(&batch, true, destination);
        for (unsigned i = 0; i < n; i++) {
                Connection *c = connections + i;

                if (connection_open(c, uid) < 0)
                        _exit(EXIT_FAILURE);
                c->reads = !(replies & FLOOD_UNREAD) || i % 2 == 0;
                c->batch = malloc(batch.size);
                if (!c->batch)
                        _exit(EXIT_FAILURE);
                memcpy(c->batch, batch.data, batch.size);
                batch_number(&batch, c);
                count->connections++;
        }
        for (unsigned i = 0; i < n; i++) {
                struct epoll_event ev = { in_turn ? 0 : EPOLLOUT, { .ptr = connections + i } };

                if (connections[i].reads)
                        ev.events |= EPOLLIN;
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &ev) < 0)
                        _exit(EXIT_FAILURE);
        }
        for (;;) {
                int k = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < k; i++) {
                        Connection *c = events[i].data.ptr;
                        bool ok = !(events[i].events & EPOLLHUP);

                        const uint64_t replied = count->returns + count->errors;

                        if (ok && events[i].events & EPOLLIN)
                                ok = connection_read(c, count);
                        /* The first reply is that to Hello. */
                        if (ok && in_turn && count->returns + count->errors > replied)
                                ok = connection_take_turn(c, &batch, count);
                        if (ok && events[i].events & EPOLLOUT)
                                ok = connection_write(c, &batch, count);
                        if (!ok) {
                                (void) close(c->fd);
                                count->closed++;
                        }
                }
        }
}

int flood_start(Flood *flood, const char *destination, uid_t uid, gid_t gid, unsigned n_connections,
        FloodReplies replies) {
        pid_t parent = getpid();

        flood->count =
                mmap(NULL, sizeof(FloodCount), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (flood->count == MAP_FAILED)
                return -errno;
        flood->pid = fork();
        if (flood->pid < 0)
                return -errno;
        if (flood->pid == 0) {
                if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
                        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                        _exit(EXIT_FAILURE);
                flood_run(destination, uid, n_connections, replies, flood->count);
        }
        return 0;
}

FloodCount flood_stop(Flood *flood) {
        FloodCount count;

        (void) kill(flood->pid, SIGKILL);
        (void) waitpid(flood->pid, NULL, 0);
        count = *flood->count;
        (void) munmap((void *) flood->count, sizeof(FloodCount));
        *flood = (Flood){};
        return count;
}
