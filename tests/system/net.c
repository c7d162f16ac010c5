/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "testlib.h"

void bind_ports(Bus *bus, const char *protocol, guint n, uint16_t *ret) {
        g_autofree char *method = g_strconcat("Bind", protocol, NULL);
        g_autoptr(GVariant) reply = node_call(bus, method, g_variant_new("(u)", n)), numbers = NULL;
        g_autoptr(GString) expected = g_string_new(NULL);
        const uint16_t *ports;
        const char *text;
        gsize n_ports;

        g_variant_get(reply, "(@aq&s)", &numbers, &text);
        ports = g_variant_get_fixed_array(numbers, &n_ports, sizeof(*ports));
        assert_int_equal(n_ports, n);
        for (gsize i = 0; i < n; i++) {
                assert_int_not_equal(ports[i], 0);
                g_string_append_printf(expected, "%s%u", i > 0 ? " " : "", ports[i]);
                ret[i] = ports[i];
        }
        assert_string_equal(text, expected->str);
}

GVariant *port_args(uint16_t port) {
        return g_variant_new(
                "(@aq)", g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, &port, 1, sizeof(port)));
}

void release_port(Bus *bus, const char *protocol, uint16_t port) {
        g_autofree char *method = g_strconcat("Release", protocol, NULL);

        g_variant_unref(node_call(bus, method, port_args(port)));
}

char *list_ports(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListPorts", NULL);
        g_autoptr(GVariantIter) iter = NULL;
        GString *s = g_string_new(NULL);
        const char *protocol, *role;
        uint16_t port;
        guint32 uid;

        g_variant_get(reply, "(a(squs))", &iter);
        while (g_variant_iter_next(iter, "(&squ&s)", &protocol, &port, &uid, &role))
                g_string_append_printf(s, "%s %u %u %s\n", protocol, port, uid, role);
        return g_string_free(s, false);
}

void assert_ports(Bus *bus, const char *expected) {
        g_autofree char *listed = list_ports(bus);

        assert_string_equal(listed, expected);
}

char *list_port(Bus *bus, const char *protocol, uint16_t port) {
        g_autofree char *listed = list_ports(bus), *lower = g_ascii_strdown(protocol, -1),
                        *prefix = g_strdup_printf("%s %u ", lower, port);
        g_auto(GStrv) lines = g_strsplit(listed, "\n", -1);

        for (char **l = lines; *l; l++)
                if (g_str_has_prefix(*l, prefix))
                        return g_strdup(*l);
        return NULL;
}

GVariant *port_option(const char *key, uint16_t port) {
        g_autoptr(GVariantDict) dict = g_variant_dict_new(NULL);

        g_variant_dict_insert_value(
                dict, key, g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, &port, 1, sizeof(port)));
        return g_variant_dict_end(dict);
}

static int open_socket(int type) {
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        assert_return_code(fd, errno);
        return fd;
}

int try_bind(int type, uint16_t port) {
        const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
        int fd = open_socket(type), r;

        r = bind(fd, (const void *) &any, sizeof(any)) < 0 ? errno : 0;
        close(fd);
        return r;
}

static struct sockaddr_in local(uint16_t port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
}

static pid_t read_pid(int fd, int msec) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char buffer[64] = "";
        ssize_t n;

        if (poll(&p, 1, msec) <= 0)
                return 0;
        n = recv(fd, buffer, sizeof(buffer) - 1, 0);
        return n < 0 ? -errno : atoi(buffer);
}

pid_t ask_tcp(uint16_t port) {
        const struct sockaddr_in to = local(port);
        int fd = open_socket(SOCK_STREAM);
        pid_t pid;

        if (connect(fd, (const void *) &to, sizeof(to)) < 0)
                pid = -errno;
        else
                pid = read_pid(fd, (int) (patience_usec() / 1000));
        /* The connection is reset, so whichever end closes first, the kernel does not keep it for a
         * minute. */
        (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
        close(fd);
        return pid;
}

void wait_hang_up(uint16_t port) {
        const struct sockaddr_in to = local(port);
        int fd = open_socket(SOCK_STREAM);
        char buffer[64];

        assert_return_code(connect(fd, (const void *) &to, sizeof(to)), errno);
        while (recv(fd, buffer, sizeof(buffer), 0) > 0)
                ;
        close(fd);
}

pid_t ask_udp(uint16_t port, int msec) {
        const struct sockaddr_in to = local(port);
        int fd = open_socket(SOCK_DGRAM);
        pid_t pid;

        assert_int_equal(sendto(fd, "x", 1, 0, (const void *) &to, sizeof(to)), 1);
        pid = read_pid(fd, msec);
        close(fd);
        return pid;
}

void send_udp(uint16_t port) {
        const struct sockaddr_in to = local(port);
        int fd = open_socket(SOCK_DGRAM);

        assert_int_equal(sendto(fd, "x", 1, 0, (const void *) &to, sizeof(to)), 1);
        close(fd);
}

bool steal(int type, uint16_t port, size_t place, unsigned options) {
        static const struct {
                int family;
                uint32_t in;
                int only_v6;
                bool loopback6;
        } places[N_PLACES] = {
                { AF_INET, INADDR_ANY, 0, false },
                { AF_INET, INADDR_LOOPBACK, 0, false },
                { AF_INET6, 0, 0, false },
                { AF_INET6, 0, 1, false },
                { AF_INET6, 0, 0, true },
        };
        struct sockaddr_in in = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(places[place].in)
        };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        bool v6 = places[place].family == AF_INET6, had;
        int fd = socket(places[place].family, type | SOCK_CLOEXEC, 0), one = 1;

        if (fd < 0)
                return false;
        if (places[place].loopback6)
                in6.sin6_addr = (struct in6_addr) IN6ADDR_LOOPBACK_INIT;
        if (v6)
                (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &places[place].only_v6, sizeof(int));
        if (options & 1)
                (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (options & 2)
                (void) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        had = bind(fd, v6 ? (void *) &in6 : (void *) &in, v6 ? sizeof(in6) : sizeof(in)) >= 0;
        (void) close(fd);
        return had;
}
