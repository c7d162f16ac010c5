/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The requests to the keeper, packet by packet. Each gets one reply or ends the connection, and no descriptor
 * is lost. An input is a list of records: a letter, the size of the data as two bytes (low, high), and the
 * data.
 *
 *   p  a packet
 *   c  the connection ends
 *   e  the child of this number (one byte) has ended
 *   x  the child has executed its command, and so has released its ports
 *
 * Functions that affect the machine are replaced at link time (meson.build), so no process is created or
 * killed. Ports are really bound. */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "keeper/cgroup-signal.h"
#include "keeper/hold.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-requests.h"

#define CHILD_START_TIME 4711
#define PACKETS_MAX 64 /* of one input, so that a mutation does not take minutes */

/* The linker uses these; the original functions are named __real_...(). */
int __wrap_child_new(const struct keeper_self *self, uint64_t id, const char *role, uint32_t flags,
        const char *cgroup, struct child_sockets *sockets, Notify *notify, Child **ret);
int __wrap_child_reap(Child *child);
int __wrap_pidfd_kill(int pidfd, int signo);
int __wrap_cgroup_kill(const char *path);
int __wrap_cgroup_signal(const char *path, int signo, uint32_t flags, uint64_t not_before);
int __wrap_process_signal(int pid, uint64_t start_time, int signo);
void __wrap_reexec_ask(Keeper *keeper, int asker_fd);
int __wrap_lookup_new(const struct keeper_self *self, const struct keeper_lookup *request, Lookup **ret);

int __wrap_child_new(const struct keeper_self *self, uint64_t id, const char *role, uint32_t flags,
        const char *cgroup, struct child_sockets *sockets, Notify *notify, Child **ret) {
        Child *child = calloc(1, sizeof(*child));

        fuzz_check(child && self && id != 0 && strlen(role) <= ROLE_NAME_MAX);
        fuzz_check(sockets->n <= KEEPER_FORK_PORTS_MAX && sockets->n_handed <= sockets->n);
        for (size_t i = 0; i < sockets->n; i++) {
                fuzz_check(sockets->fds[i] >= 0 && (i < sockets->n_handed) == !sockets->ports[i].release);
                sockets->fds[i] = fd_close(sockets->fds[i]);
        }

        child_init(child, id, role);
        child->notify = notify;
        if (notify)
                notify->child = child;
        child->pid = 1;
        child->start_time = CHILD_START_TIME;
        child->pidfd = eventfd(0, EFD_CLOEXEC);
        child->gate_fd = eventfd(0, EFD_CLOEXEC);
        if (flags & KEEPER_FORK_STDIN_PIPE)
                child->stdin_fd = eventfd(0, EFD_CLOEXEC);
        if (sockets->n > sockets->n_handed)
                child->release_fd = eventfd(0, EFD_CLOEXEC);
        *ret = child;
        return 0;
}

int __wrap_child_reap(Child *child) {
        fuzz_check(child->exited || child->orphan);
        return 0;
}

int __wrap_pidfd_kill(int pidfd, int signo) {
        fuzz_check(pidfd >= 0);
        return signo >= 0 && signo <= SIGRTMAX ? 0 : -EINVAL;
}

/* Only scopes get so far, of a role or with KEEPER_CGROUP_STRAY of others. */
static void check_scope(const char *path, bool stray) {
        const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        size_t n = strlen(name);

        fuzz_check(n > strlen(".scope") && strcmp(name + n - strlen(".scope"), ".scope") == 0);
        fuzz_check(strcmp(name, "init.scope") != 0);
        fuzz_check((strncmp(name, "architect-main-", strlen("architect-main-")) == 0) || stray);
}

int __wrap_cgroup_kill(const char *path) {
        check_scope(path, false);
        return strlen(path) < sizeof(((struct keeper_kill_cgroup *) NULL)->path) ? -ENOENT : -ENAMETOOLONG;
}

int __wrap_cgroup_signal(const char *path, int signo, uint32_t flags, uint64_t not_before) {
        check_scope(path, flags & KEEPER_CGROUP_STRAY);
        fuzz_check((not_before > 0) == !!(flags & KEEPER_CGROUP_STRAY));
        return signo > 0 && signo <= SIGRTMAX ? 0 : -EINVAL;
}

int __wrap_process_signal(int pid, uint64_t start_time, int signo) {
        fuzz_check(start_time >= CHILD_START_TIME);
        return pid > 1 && signo > 0 && signo <= SIGRTMAX ? 0 : -EINVAL;
}

void __wrap_reexec_ask(Keeper *keeper, int asker_fd) {
        fuzz_check(asker_fd < 0);
        (void) keeper_reply_done(keeper, &(struct keeper_header){ .type = KEEPER_REEXEC }, -EBUSY);
}

int __wrap_lookup_new(const struct keeper_self *self, const struct keeper_lookup *request, Lookup **ret) {
        Lookup *lookup = calloc(1, sizeof(*lookup));

        fuzz_check(lookup && self && strlen(request->user) > 0);
        fuzz_check(strlen(request->user) < sizeof(request->user));
        fuzz_check(strlen(request->group) < sizeof(request->group));
        lookup->pidfd = eventfd(0, EFD_CLOEXEC);
        lookup->fd = eventfd(0, EFD_CLOEXEC);
        lookup->watch = (struct watch){ .type = WATCH_LOOKUP, .lookup = lookup };
        list_init(&lookup->link);
        list_init(&lookup->to_tell);
        *ret = lookup;
        return 0;
}

static void set_up(Keeper *k, const struct keeper_self *self) {
        struct sockaddr_un any = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct sigaction action;

        fuzz_check(fd >= 0);
        fuzz_check(bind(fd, (struct sockaddr *) &any, sizeof(sa_family_t)) == 0 && listen(fd, 1) == 0);
        /* Otherwise the keeper would read SIGTERM itself. */
        fuzz_check(sigaction(SIGTERM, &(struct sigaction){ .sa_handler = SIG_IGN }, &action) == 0);
        fuzz_check(keeper_init(k, self, fd) == 0);
        fuzz_check(sigaction(SIGTERM, &action, NULL) == 0);
}

static void tear_down(Keeper *k) {
        for (Child *c; (c = LIST_FIRST(Child, link, &k->children));)
                keeper_forget_child(k, c);
        for (Lookup *l; (l = LIST_FIRST(Lookup, link, &k->lookups));)
                (void) lookup_free(l);
        id_map_clear(&k->children_by_id);
        for (size_t i = 0; i < k->sockets.n; i++) {
                hold_end(k->sockets.all[i]->hold_fd);
                free(k->sockets.all[i]);
        }
        free(k->sockets.all);
        id_map_clear(&k->sockets.by_port);
        for (struct reserved_socket *s;
                (s = LIST_FIRST(struct reserved_socket, to_store, &k->sockets.forgotten));) {
                list_remove(&s->to_store);
                free(s);
        }
        (void) fd_close(k->epoll_fd);
        (void) fd_close(k->listen_fd);
}

static void check_state(const Keeper *k) {
        LIST_FOREACH (Child, link, c, &k->children)
                fuzz_check(id_map_get(&k->children_by_id, c->id) == c);
        size_t n_lookups = 0;
        LIST_FOREACH (Lookup, link, l, &k->lookups)
                n_lookups++;
        fuzz_check(n_lookups <= KEEPER_LOOKUPS_MAX);
        fuzz_check(k->sockets.n <= KEEPER_PORTS_MAX);
        for (size_t i = 0; i < k->sockets.n; i++)
                fuzz_check(k->sockets.all[i]->port.number != 0 && k->sockets.all[i]->hold_fd >= 0);
}

/* Does what keeper-node.c does when it sends everything at once. */
static void take_reply(Keeper *k, const struct keeper_header *request) {
        const struct keeper_header *reply = &k->reply.welcome.header;
        int fds[CHILD_FDS_MAX];
        uint32_t mask;

        fuzz_check(k->reply_size >= sizeof(*reply) && k->reply_size <= sizeof(k->reply));
        fuzz_check(reply->reserved == 0);
        if (request->type != KEEPER_HELLO && request->type != KEEPER_REEXEC && request->type != KEEPER_BIND &&
                request->type != KEEPER_BIND_PORTS)
                fuzz_check(reply->child == request->child);
        if (k->reply_child) {
                size_t n = child_fds(k->reply_child, fds, &mask);

                fuzz_check(reply->type == KEEPER_FORKED && n == (size_t) __builtin_popcount(mask));
        }
        k->reply_size = 0;
        k->reply_child = NULL;

        while (k->ports_left > 0) {
                struct keeper_ports m;
                size_t n = sockets_tell(&k->sockets, k->ports_left, &m);

                fuzz_check(n > 0 && n <= k->ports_left);
                k->ports_left -= n;
        }
        for (Child *c; (c = LIST_FIRST(Child, to_tell, &k->to_announce));) {
                list_remove(&c->to_tell);
                c->announce = false;
        }
}

static void on_packet(Keeper *k, const uint8_t *data, size_t size) {
        /* It is aligned like the buffer of the keeper, and has exactly this size, so that a sanitizer detects
         * each read beyond its end. */
        struct keeper_header *packet = malloc(size > 0 ? size : 1);

        fuzz_check(packet);
        memcpy(packet, data, size);
        if (keeper_on_request(k, packet, size) == 0)
                take_reply(k, packet);
        else
                keeper_close_node(k);
        free(packet);
}

static Child *nth_child(Keeper *k, unsigned n) {
        LIST_FOREACH (Child, link, child, &k->children)
                if (n-- == 0)
                        return child;
        return NULL;
}

static void on_record(Keeper *k, uint8_t what, const uint8_t *data, size_t size) {
        Child *child;

        switch (what) {
        case 'p':
                if (size <= KEEPER_PACKET_MAX)
                        on_packet(k, data, size);
                return;
        case 'c':
                keeper_close_node(k);
                return;
        case 'e':
        case 'x':
                child = size == 1 ? nth_child(k, data[0]) : NULL;
                if (!child || child->exited)
                        return;
                if (what == 'x') {
                        child->execed = true;
                        sockets_released(&k->sockets, &child->sockets);
                } else {
                        child->exited = true;
                        sockets_rest_child(&k->sockets, &child->sockets, child->role);
                }
                return;
        default:
                return;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct keeper_self self = {
                .pid = 1, .instance = "main", .protocol_max = KEEPER_PROTOCOL_VERSION
        };
        static bool prepared;
        int lowest;
        Keeper k;

        if (!prepared) {
                fuzz_check(unsetenv("NOTIFY_SOCKET") == 0);
                /* Without the privilege the ports are free ones of the machine. */
                (void) unshare(CLONE_NEWNET);
                prepared = true;
        }

        lowest = eventfd(0, EFD_CLOEXEC);
        fuzz_check(lowest >= 0 && close(lowest) == 0);

        set_up(&k, &self);
        FuzzRecord record;
        for (unsigned i = 0; i < PACKETS_MAX && fuzz_take_record(&data, &size, &record); i++) {
                on_record(&k, record.what, record.data, record.size);
                check_state(&k);
        }
        tear_down(&k);

        fuzz_check(eventfd(0, EFD_CLOEXEC) == lowest);
        fuzz_check(close(lowest) == 0);
        return 0;
}
