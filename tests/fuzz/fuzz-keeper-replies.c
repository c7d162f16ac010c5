/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The packets of a keeper, as the node receives them. An input is a list of records: a letter, the size of
 * the data as two bytes (low, high), and the data.
 *
 *   p  a packet
 *   0 to 9  a packet with that many descriptors
 *   r  requests, one of each kind, whose replies may follow
 *
 * Each request is answered once, by its reply or by the loss of the connection. No descriptor is lost, and
 * none is taken twice. */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "link/keeper-link.h"
#include "util/log.h"

#define RECORDS_MAX 64 /* of one input, so that a mutation does not take minutes */

static unsigned n_requests, n_answers;

static void take_fd(int fd) {
        if (fd >= 0)
                fuzz_check(close(fd) == 0);
}

static void take_fds(KeeperFds fds) {
        take_fd(fds.pidfd);
        take_fd(fds.gate);
        take_fd(fds.stdin_fd);
        take_fd(fds.terminal);
}

static void on_child(void *userdata, const struct keeper_child *child, KeeperFds fds) {
        fuzz_check(memchr(child->role, '\0', sizeof(child->role)));
        take_fds(fds);
}

static void on_ports(void *userdata, const struct keeper_port *ports, size_t n) {
        fuzz_check(n > 0 && n <= KEEPER_PORTS_PACKET);
}

static void on_nothing(void *userdata) {
}

static void on_forked(void *userdata, const struct keeper_forked *forked, KeeperFds fds) {
        fuzz_check(forked->error <= 0 && forked->error > -4096);
        take_fds(fds);
}

static void on_exited(void *userdata, const struct keeper_exited *exited) {
}

static void on_looked_up(void *userdata, const struct keeper_looked_up *m) {
        fuzz_check(m->error <= 0 && m->error > -4096 && m->n_groups <= KEEPER_ACCOUNT_GROUPS_MAX);
        fuzz_check(memchr(m->name, '\0', sizeof(m->name)) && memchr(m->group, '\0', sizeof(m->group)));
        fuzz_check(memchr(m->home, '\0', sizeof(m->home)) && memchr(m->shell, '\0', sizeof(m->shell)));
}

static void on_notified(void *userdata, const struct keeper_notified *m) {
        fuzz_check(memchr(m->text, '\0', sizeof(m->text)));
}

static void on_ports_kept(void *userdata, const struct keeper_port *ports, size_t n) {
        fuzz_check(n <= KEEPER_PORTS_PACKET);
}

static const KeeperHandler handler = {
        .child = on_child,
        .ports = on_ports,
        .connected = on_nothing,
        .lost = on_nothing,
        .forked = on_forked,
        .exited = on_exited,
        .looked_up = on_looked_up,
        .notified = on_notified,
        .ports_kept = on_ports_kept,
};

static void on_done(void *userdata, int error) {
        fuzz_check(error <= 0 && error > -4096);
        n_answers++;
}

static void on_bound(void *userdata, int error, const uint16_t *numbers, size_t n) {
        fuzz_check(error <= 0 && error > -4096 && n <= KEEPER_BIND_MAX);
        n_answers++;
}

static void on_socket_made(void *userdata, int error, const char *path) {
        fuzz_check(error <= 0 && error > -4096);
        fuzz_check(!path || strlen(path) < sizeof(((struct sockaddr_un *) NULL)->sun_path));
        n_answers++;
}

static void request(KeeperLink *link) {
        n_requests += keeper_link_signal(link, 1, 15, on_done, NULL) >= 0;
        n_requests += keeper_link_close_stdin(link, 1, on_done, NULL) >= 0;
        n_requests += keeper_link_bind(link, &(struct keeper_bind){ .n = 1 }, on_bound, NULL) >= 0;
        n_requests += keeper_link_bind_ports(link, &(struct keeper_bind_ports){ .n = 1, .numbers = { 1 } },
                              on_bound, NULL) >= 0;
        n_requests += keeper_link_make_terminal_socket(link, 1, 0, 0, on_socket_made, NULL) >= 0;
        n_requests += keeper_link_signal_cgroup(link, 1, "/a", 9, 0, on_done, NULL) >= 0;
        n_requests += keeper_link_take_notified(link, 1, 2, on_done, NULL) >= 0;
        n_requests += keeper_link_look_up(link, 1, "alice", "", on_done, NULL) >= 0;
        (void) keeper_link_rest_ports(link, &(struct keeper_port){ .number = 1 }, 1);
        (void) keeper_link_reap(link, 1);
}

static void run_events(sd_event *event) {
        while (sd_event_run(event, 0) > 0)
                ;
}

static void send_packet(int fd, const uint8_t *data, size_t size, unsigned n_fds) {
        int fds[SOCKET_FDS_MAX + 1];

        for (unsigned i = 0; i < n_fds; i++) {
                fds[i] = eventfd(0, EFD_CLOEXEC);
                fuzz_check(fds[i] >= 0);
        }
        /* It may have closed the connection. */
        (void) socket_send(fd, data, size, fds, n_fds);
        for (unsigned i = 0; i < n_fds; i++)
                fuzz_check(close(fds[i]) == 0);
}

static int listen_at(char path[static 64]) {
        static unsigned n;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        (void) snprintf(path, 64, "/tmp/architect-fuzz-%d-%u", (int) getpid(), n++);
        (void) g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        fuzz_check(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0);
        fuzz_check(listen(fd, 1) == 0);
        return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char path[64], packet[KEEPER_PACKET_MAX];
        sd_event *event = NULL;
        KeeperLink *link;
        int lowest, listening, keeper;

        log_set_max_level(LOG_EMERG);
        lowest = eventfd(0, EFD_CLOEXEC);
        fuzz_check(lowest >= 0 && close(lowest) == 0);

        n_requests = n_answers = 0;
        listening = listen_at(path);
        fuzz_check(sd_event_new(&event) >= 0);
        fuzz_check(keeper_link_new(event, path, &handler, NULL, &link) >= 0);
        keeper_link_open(link);
        keeper = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        fuzz_check(keeper >= 0 && unlink(path) == 0);
        fuzz_check(recv(keeper, packet, sizeof(packet), 0) == sizeof(struct keeper_hello));

        FuzzRecord record;
        for (unsigned i = 0; i < RECORDS_MAX && fuzz_take_record(&data, &size, &record); i++) {
                const uint8_t what = record.what;

                if (what == 'r')
                        request(link);
                else if (what == 'p' || (what >= '0' && what <= '9'))
                        send_packet(keeper, record.data, record.size,
                                what == 'p' ? 0 : MIN(what - '0', SOCKET_FDS_MAX + 1));
                run_events(event);
                while (recv(keeper, packet, sizeof(packet), MSG_DONTWAIT) > 0)
                        ;
        }

        fuzz_check(n_answers <= n_requests);
        keeper_link_free(link);
        fuzz_check(n_answers == n_requests);
        sd_event_unref(event);
        fuzz_check(close(keeper) == 0 && close(listening) == 0);

        fuzz_check(eventfd(0, EFD_CLOEXEC) == lowest);
        fuzz_check(close(lowest) == 0);
        return 0;
}
