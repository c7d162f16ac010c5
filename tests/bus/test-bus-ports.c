/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reserved ports on the bus: the forms of calls and replies, the permitted callers, and keepers that are too
 * old or disconnect. */

#include "bus-world.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "bus/bus-util.h"
#include "bus/start-options.h"
#include "link/children.h"
#include "link/keeper-link.h"
#include "model/ports.h"
#include "model/settings.h"
#include "proto/keeper-protocol.h"
#include "util/autoptr.h"

#define ERROR "org.architect.Node.Error."
#define INVALID "org.freedesktop.DBus.Error.InvalidArgs"

static void answer_bind(BusWorld *b, Call *call, uint16_t first, uint16_t n) {
        g_autofree uint16_t *numbers = g_new(uint16_t, n);

        for (uint16_t i = 0; i < n; i++)
                numbers[i] = (uint16_t) (first + i);
        bus_world_settle(b);
        assert_non_null(b->world->request);
        ports_on_bound(g_steal_pointer(&b->world->request), 0, numbers, n);
        world_wait(b->world, call->n > 0);
}

static void test_bind(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {}, udp = {}, list = {}, release = {};
        const uint16_t *ports;
        const char *text, *signature;
        size_t size;

        call_node(b, &call, "BindTCP", "u", 3);
        answer_bind(b, &call, 40001, 3);
        assert_replied(&call);
        signature = sd_bus_message_get_signature(call.reply, true);
        assert_string_equal(signature, "aqs");
        assert_return_code(sd_bus_message_read_array(call.reply, 'q', (const void **) &ports, &size), 0);
        assert_int_equal(size, 3 * sizeof(uint16_t));
        assert_int_equal(ports[2], 40003);
        assert_return_code(sd_bus_message_read(call.reply, "s", &text), 0);
        assert_string_equal(text, "40001 40002 40003");
        call_node(b, &udp, "BindUDP", "u", 1);
        answer_bind(b, &udp, 40001, 1);
        assert_replied(&udp);
        expect_calls(b->world, "bind(tcp,3) bind(udp,1)");

        call_node(b, &list, "ListPorts", "");
        world_wait(b->world, list.n > 0);
        assert_replied(&list);
        {
                const char *protocol, *role;
                uint16_t number;
                uint32_t uid;

                assert_return_code(sd_bus_message_enter_container(list.reply, 'a', "(squs)"), 0);
                for (unsigned i = 0; i < 4; i++) {
                        assert_true(sd_bus_message_read(
                                            list.reply, "(squs)", &protocol, &number, &uid, &role) > 0);
                        assert_string_equal(protocol, i < 3 ? "tcp" : "udp");
                        assert_int_equal(number, i < 3 ? 40001 + i : 40001);
                        assert_int_equal(uid, 0);
                        assert_string_equal(role, "");
                }
                assert_int_equal(sd_bus_message_at_end(list.reply, false), 1);
        }

        /* The reply is sent when the ports are free. */
        call_node(b, &release, "ReleaseTCP", "aq", 2, 40001, 40003);
        bus_world_settle(b);
        expect_calls(b->world, "release(t40001,t40003)");
        assert_int_equal(release.n, 0);
        world_answer(b->world, NULL);
        world_wait(b->world, release.n > 0);
        assert_replied(&release);
}

/* A call of BindPorts with options in the format of GVariant. */
static void call_bind_ports(BusWorld *b, Call *call, const char *protocol, const char *options) {
        g_autoptr(GVariant) dictionary = g_variant_ref_sink(g_variant_new_parsed(options));
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "BindPorts");

        assert_return_code(sd_bus_message_append(m, "s", protocol), 0);
        assert_return_code(bus_append_gvariant(m, dictionary), 0);
        call_send(b, call, m);
        bus_world_settle(b);
}

static void test_bind_ports(void **state) {
        static const struct {
                const char *protocol, *options, *calls;
                uint8_t ip_version;
        } table[] = {
                { "tcp", "@a{sv} {}", "bind(tcp,1)", 4 },
                { "udp", "{'count': <3>}", "bind(udp,3)", 4 },
                { "tcp", "{'ports': <[uint16 5001, 5000]>}", "bind(tcp,2=5001+5000)", 4 },
                { "tcp", "{'ports': <['5001', '5000']>, 'count': <'2'>}", "bind(tcp,2=5001+5000)", 4 },
                { "udp", "{'range': <(uint16 5000, uint16 5009)>}", "bind(udp,1,5000-5009)", 4 },
                { "udp", "{'range': <[5000, 5009]>, 'count': <byte 10>}", "bind(udp,10,5000-5009)", 4 },
                { "tcp", "{'address': <''>}", "bind(tcp,1)", 0 },
                { "tcp", "{'address': <'::1'>, 'ports': <[uint16 65535]>}", "bind(tcp,1=65535)", 6 },
        };
        static const struct {
                const char *protocol, *options, *text;
        } wrong[] = {
                { "sctp", "@a{sv} {}", "protocol is \"sctp\", but must be tcp or udp" },
                { "TCP", "@a{sv} {}", "protocol is \"TCP\"" },
                { "tcp", "{'count': <0>}", "\"count\" is 0, but must be from 1 to 256" },
                { "tcp", "{'count': <257>}", "\"count\" is 257" },
                { "tcp", "{'ports': <@aq []>}", "0 TCP ports" },
                { "tcp", "{'ports': <[uint16 0]>}", "\"ports\" is 0" },
                { "tcp", "{'ports': <[5, 5]>}", "port 5 is given twice" },
                { "tcp", "{'ports': <[5, 6]>, 'count': <3>}",
                        "\"count\" is 3, but option \"ports\" has 2 ports" },
                { "tcp", "{'ports': <[5]>, 'range': <[5, 6]>}", "cannot be used together" },
                { "tcp", "{'range': <[5]>}", "\"range\" has 1 numbers" },
                { "tcp", "{'range': <[5, 6, 7]>}", "range" },
                { "tcp", "{'range': <[0, 6]>}", "\"range\" begins with 0" },
                { "tcp", "{'range': <(uint16 0, uint16 0)>}", "\"range\" begins with 0" },
                { "tcp", "{'range': <[7, 6]>}", "The range of ports is 7 to 6" },
                { "tcp", "{'range': <[5, 65536]>}", "65536" },
                { "tcp", "{'range': <'5-6'>}", "range" },
                { "tcp", "{'address': <'localhost'>}", "\"address\" is \"localhost\"" },
                { "tcp", "{'port': <5>}", "\"port\"" },
        };
        BusWorld *b = *state;

        b->world->node->settings->bind_address =
                (BindAddress){ .ip_version = 4, .address = { 127, 0, 0, 1 } };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_auto(Call) call = {};

                call_bind_ports(b, &call, table[i].protocol, table[i].options);
                assert_string_equal(b->world->calls->str, table[i].calls);
                forget_calls(b->world);
                assert_int_equal(b->world->bind.ip_version, table[i].ip_version);
                ports_on_bound(g_steal_pointer(&b->world->request), -EADDRINUSE, NULL, 0);
                world_wait(b->world, call.n > 0);
                assert_error(&call, ERROR "PortsUnavailable", "free");
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                g_auto(Call) call = {};

                call_bind_ports(b, &call, wrong[i].protocol, wrong[i].options);
                assert_error(&call, INVALID, wrong[i].text);
        }
        expect_calls(b->world, "");

        g_auto(Call) good = {};
        const char *text;
        call_bind_ports(b, &good, "tcp", "{'ports': <[uint16 40002, 40001]>}");
        ports_on_bound(g_steal_pointer(&b->world->request), 0, (uint16_t[]){ 40002, 40001 }, 2);
        world_wait(b->world, good.n > 0);
        assert_replied(&good);
        assert_return_code(sd_bus_message_skip(good.reply, "aq"), 0);
        assert_return_code(sd_bus_message_read(good.reply, "s", &text), 0);
        assert_string_equal(text, "40002 40001");
        forget_calls(b->world);
}

/* Errors in a call are reported to everybody. */
static void test_errors(void **state) {
        BusWorld *b = *state;
        g_auto(Call) none = {}, many = {}, empty = {}, twice = {}, unknown = {}, stopping = {};

        b->uid = 1000;
        call_node(b, &none, "BindTCP", "u", 0);
        call_node(b, &many, "BindUDP", "u", 257);
        call_node(b, &empty, "ReleaseTCP", "aq", 0);
        call_node(b, &twice, "ReleaseUDP", "aq", 2, 5, 5);
        bus_world_settle(b);
        assert_error(&none, INVALID, "0 TCP ports");
        assert_error(&many, INVALID, "257 UDP ports");
        assert_error(&empty, INVALID, "0 TCP ports");
        assert_error(&twice, INVALID, "port 5 is given twice");
        assert_int_equal(b->n_asked, 1);

        b->uid = 0;
        call_node_from(b, &unknown, ":1.8", "ReleaseTCP", "aq", 1, 5);
        bus_world_settle(b);
        assert_error(&unknown, ERROR "NoSuchPort", "TCP port 5");
        b->world->node->stopping = true;
        call_node_from(b, &stopping, ":1.8", "BindTCP", "u", 1);
        bus_world_settle(b);
        assert_error(&stopping, ERROR "ShuttingDown", "");
        b->world->node->stopping = false;
        expect_calls(b->world, "");
}

static void test_others(void **state) {
        static const char *const methods[] = { "BindTCP", "BindUDP" }, *const releases[] = { "ReleaseTCP",
                "ReleaseUDP" };
        BusWorld *b = *state;
        g_auto(Call) list = {};

        b->uid = 1000;
        for (size_t i = 0; i < 2; i++) {
                g_auto(Call) call = {}, release = {};

                call_node(b, &call, methods[i], "u", 1);
                call_node(b, &release, releases[i], "aq", 1, 5);
                bus_world_settle(b);
                assert_error(&call, "org.freedesktop.DBus.Error.AccessDenied", "reserve ports");
                assert_error(&release, "org.freedesktop.DBus.Error.AccessDenied", "release ports");
        }
        call_node(b, &list, "ListPorts", "");
        bus_world_settle(b);
        assert_replied(&list);
        expect_calls(b->world, "");
}

/* The options, as they are received. */
static int read_option(
        BusWorld *b, RoleSpec **ret, sd_bus_error *error, const char *key, const char *type, ...) {
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");
        va_list ap;

        assert_return_code(sd_bus_message_append(m, "as", 1, "/bin/true"), 0);
        assert_return_code(sd_bus_message_open_container(m, 'a', "{sv}"), 0);
        assert_return_code(sd_bus_message_open_container(m, 'e', "sv"), 0);
        assert_return_code(sd_bus_message_append(m, "s", key), 0);
        assert_return_code(sd_bus_message_open_container(m, 'v', type), 0);
        va_start(ap, type);
        assert_return_code(sd_bus_message_appendv(m, type, ap), 0);
        va_end(ap);
        for (unsigned i = 0; i < 3; i++)
                assert_return_code(sd_bus_message_close_container(m), 0);
        assert_return_code(sd_bus_message_seal(m, 1, 0), 0);
        assert_return_code(sd_bus_message_rewind(m, true), 0);
        g_autofree char *names = NULL;
        return start_options_read(m, b->world->node->definitions, "cam", ret, &names, error);
}

static void assert_ports(const RoleSpec *spec, RolePorts which, uint16_t first, uint16_t second) {
        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                if (i != (int) which)
                        assert_null(spec->ports[i]);
        assert_int_equal(spec->ports[which]->len, 2);
        assert_int_equal(g_array_index(spec->ports[which], uint16_t, 0), first);
        assert_int_equal(g_array_index(spec->ports[which], uint16_t, 1), second);
}

#define GOOD(which, key, type, a, b_) \
        do { \
                g_autoptr(RoleSpec) _spec = NULL; \
                assert_return_code(read_option(b, &_spec, NULL, key, type, 2, a, b_), 0); \
                assert_ports(_spec, which, (uint16_t) (a), (uint16_t) (b_)); \
        } while (0)
#define BAD(text, key, ...) \
        do { \
                g_autoptr(RoleSpec) _spec = NULL; \
                sd_bus_error _error = SD_BUS_ERROR_NULL; \
                assert_int_equal(read_option(b, &_spec, &_error, key, __VA_ARGS__), -EINVAL); \
                assert_string_equal(_error.name, INVALID); \
                assert_contains(_error.message, key); \
                assert_contains(_error.message, text); \
                sd_bus_error_free(&_error); \
        } while (0)

static void test_options(void **state) {
        BusWorld *b = *state;

        GOOD(ROLE_PORTS_TCP, "tcp-ports", "ay", 255, 1);
        GOOD(ROLE_PORTS_UDP, "udp-ports", "an", 32767, 1);
        GOOD(ROLE_PORTS_RELEASE, "release-ports", "aq", 65535, 40000);
        GOOD(ROLE_PORTS_TCP, "tcp-ports", "ai", 65535, 1);
        GOOD(ROLE_PORTS_TCP, "tcp-ports", "au", 65535, 1);
        GOOD(ROLE_PORTS_UDP, "udp-ports", "ax", (int64_t) 65535, (int64_t) 1);
        GOOD(ROLE_PORTS_UDP, "udp-ports", "at", (uint64_t) 65535, (uint64_t) 1);

        BAD("names no port", "tcp-ports", "aq", 0);
        BAD("is 0, but must be from 1", "udp-ports", "aq", 2, 5, 0);
        BAD("65536", "udp-ports", "ai", 1, 65536);
        BAD("-1", "release-ports", "an", 1, -1);
        BAD("-9223372036854775808", "tcp-ports", "ax", 1, INT64_MIN);
        BAD("18446744073709551615", "tcp-ports", "at", 1, UINT64_MAX);
        BAD("twice", "tcp-ports", "aq", 3, 5, 6, 5);
        BAD("an array of integers", "tcp-ports", "q", 5);
        BAD("\"http\" of type s, but must be an integer", "tcp-ports", "as", 1, "http");
        BAD("an array of integers", "tcp-ports", "ad", 1, 5.0);
        BAD("an array of integers", "tcp-ports", "aaq", 1, 1, 5);
        BAD("an array of integers", "tcp-ports", "ab", 1, 1);
}

/* A keeper that belongs to the test. */
typedef struct FakeKeeper {
        char *directory, *path;
        int listener, fd;
        Children *children;
} FakeKeeper;

static void fake_keeper_start(BusWorld *b, FakeKeeper *k) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const struct keeper_welcome welcome = { .header = { .type = KEEPER_WELCOME },
                .version = KEEPER_PROTOCOL_VERSION };
        struct keeper_hello hello;

        k->directory = g_dir_make_tmp("test-bus-ports-XXXXXX", NULL);
        k->path = g_build_filename(k->directory, "keeper", NULL);
        (void) g_strlcpy(address.sun_path, k->path, sizeof(address.sun_path));
        k->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_return_code(bind(k->listener, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_return_code(listen(k->listener, 5), errno);

        assert_return_code(children_new(b->world->event, b->world->node, k->path, &k->children), 0);
        children_open(k->children);
        k->fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
        assert_return_code(k->fd, errno);
        assert_int_equal(recv(k->fd, &hello, sizeof(hello), 0), sizeof(hello));
        assert_int_equal(hello.version_max, KEEPER_PROTOCOL_VERSION);
        assert_int_equal(send(k->fd, &welcome, sizeof(welcome), 0), sizeof(welcome));
        world_wait(b->world, ASK(b->world->node, link, connected));
}

static void fake_keeper_stop(FakeKeeper *k) {
        children_free(k->children);
        (void) fd_close(k->fd);
        (void) fd_close(k->listener);
        (void) unlink(k->path);
        (void) g_rmdir(k->directory);
        g_free(k->path);
        g_free(k->directory);
}

static void test_keeper(void **state) {
        BusWorld *b = *state;
        FakeKeeper k = {};
        struct keeper_bind bind;
        struct keeper_bound bound = {
                .header = { .type = KEEPER_BOUND }, .n = 2, .numbers = { 50002, 50001 }
        };
        struct keeper_ports ports;
        struct keeper_done done = { .header = { .type = KEEPER_DONE }, .request = KEEPER_RELEASE_PORTS };
        g_auto(Call) call = {}, release = {}, lost = {};
        const char *text;

        fake_keeper_start(b, &k);
        call_node(b, &call, "BindUDP", "u", 2);
        bus_world_settle(b);
        assert_int_equal(recv(k.fd, &bind, sizeof(bind), 0), sizeof(bind));
        assert_int_equal(bind.header.type, KEEPER_BIND);
        assert_int_equal(bind.n, 2);
        assert_int_equal(bind.protocol, KEEPER_UDP);
        assert_int_equal(bind.ip_version, 0);
        assert_int_equal(call.n, 0);
        size_t size = offsetof(struct keeper_bound, numbers) + 2 * sizeof(uint16_t);
        assert_int_equal(send(k.fd, &bound, size, 0), size);
        world_wait(b->world, call.n > 0);
        assert_replied(&call);
        assert_return_code(sd_bus_message_skip(call.reply, "aq"), 0);
        assert_return_code(sd_bus_message_read(call.reply, "s", &text), 0);
        assert_string_equal(text, "50002 50001");

        call_node(b, &release, "ReleaseUDP", "aq", 1, 50001);
        bus_world_settle(b);
        assert_int_equal(recv(k.fd, &ports, sizeof(ports), 0),
                offsetof(struct keeper_ports, ports) + sizeof(struct keeper_port));
        assert_int_equal(ports.header.type, KEEPER_RELEASE_PORTS);
        assert_int_equal(ports.ports[0].number, 50001);
        assert_int_equal(send(k.fd, &done, sizeof(done), 0), sizeof(done));
        world_wait(b->world, release.n > 0);
        assert_replied(&release);

        /* The keeper disconnects with a pending request. */
        call_node(b, &lost, "BindTCP", "u", 1);
        bus_world_settle(b);
        k.fd = fd_close(k.fd);
        world_wait(b->world, lost.n > 0);
        assert_error(&lost, ERROR "KeeperUnavailable", "no keeper");
        fake_keeper_stop(&k);
}

/* By number, and with a keeper that knows nothing of that. */
static void test_keeper_by_number(void **state) {
        BusWorld *b = *state;
        FakeKeeper k = {};
        struct keeper_bind_ports bind;
        const struct keeper_bound bound = {
                .header = { .type = KEEPER_BOUND }, .n = 2, .numbers = { 50002, 50001 }
        };
        const struct keeper_done done = {
                .header = { .type = KEEPER_DONE }, .request = KEEPER_BIND_PORTS, .error = -EOPNOTSUPP
        };
        g_auto(Call) call = {}, ranged = {};

        fake_keeper_start(b, &k);
        call_bind_ports(b, &call, "udp", "{'ports': <[uint16 50002, 50001]>, 'address': <'127.0.0.2'>}");
        assert_int_equal(recv(k.fd, &bind, sizeof(bind), 0), sizeof(bind));
        assert_int_equal(bind.header.type, KEEPER_BIND_PORTS);
        assert_int_equal(bind.n, 2);
        assert_int_equal(bind.protocol, KEEPER_UDP);
        assert_int_equal(bind.ip_version, 4);
        assert_int_equal(bind.address[3], 2);
        assert_int_equal(bind.first, 0);
        assert_int_equal(bind.numbers[0], 50002);
        assert_int_equal(bind.numbers[1], 50001);
        assert_int_equal(bind.numbers[2], 0);
        size_t size = offsetof(struct keeper_bound, numbers) + 2 * sizeof(uint16_t);
        assert_int_equal(send(k.fd, &bound, size, 0), size);
        world_wait(b->world, call.n > 0);
        assert_replied(&call);

        call_bind_ports(b, &ranged, "tcp", "{'range': <(uint16 5000, uint16 5009)>, 'count': <2>}");
        assert_int_equal(recv(k.fd, &bind, sizeof(bind), 0), sizeof(bind));
        assert_int_equal(bind.n, 2);
        assert_int_equal(bind.first, 5000);
        assert_int_equal(bind.last, 5009);
        assert_int_equal(bind.numbers[0], 0);
        assert_int_equal(send(k.fd, &done, sizeof(done), 0), sizeof(done));
        world_wait(b->world, ranged.n > 0);
        assert_error(&ranged, ERROR "KeeperUnavailable", "too old");
        assert_true(ASK(b->world->node, link, connected));
        fake_keeper_stop(&k);
}

/* The loop has ended while ports were being reserved. The caller gets an answer, and what was asked after it
 * is done, too. */
static void test_end_while_binding(void **state) {
        BusWorld *b = *state;
        FakeKeeper k = {};
        const struct keeper_bound bound = {
                .header = { .type = KEEPER_BOUND }, .n = 1, .numbers = { 50001 }
        };
        const struct keeper_done done = { .header = { .type = KEEPER_DONE }, .request = KEEPER_REAP };
        struct keeper_header reap;
        struct keeper_bind bind;
        g_auto(Call) call = {};

        fake_keeper_start(b, &k);
        call_node(b, &call, "BindTCP", "u", 1);
        bus_world_settle(b);
        assert_int_equal(recv(k.fd, &bind, sizeof(bind), 0), sizeof(bind));
        ASK(b->world->node, link, forget, 7);
        ASK(b->world->node, link, forget, 8);
        size_t size = offsetof(struct keeper_bound, numbers) + sizeof(uint16_t);
        assert_int_equal(send(k.fd, &bound, size, 0), size);
        assert_int_equal(send(k.fd, &done, sizeof(done), 0), sizeof(done));
        assert_int_equal(send(k.fd, &done, sizeof(done), 0), sizeof(done));
        gint64 before = g_get_monotonic_time();
        children_finish(k.children);
        assert_true(g_get_monotonic_time() - before < G_USEC_PER_SEC / 2); /* it has not waited for more */
        for (int i = 0; i < 2; i++)
                assert_int_equal(recv(k.fd, &reap, sizeof(reap), 0), sizeof(reap));
        bus_world_settle(b);
        assert_error(&call, ERROR "KeeperUnavailable", "no keeper");
        g_autoptr(GArray) reserved = ports_list(b->world->node->ports);
        assert_int_equal(reserved->len, 0);
        fake_keeper_stop(&k);
}

/* A reply to what was not asked ends the connection; who waits for another one hears of it. */
static void test_wrong_reply(void **state) {
        BusWorld *b = *state;
        const struct keeper_done wrong[] = {
                { .header = { .type = KEEPER_DONE }, .request = KEEPER_SIGNAL },
                { .header = { .type = KEEPER_DONE }, .request = KEEPER_BIND },
        };
        const struct keeper_bound too_short = { .header = { .type = KEEPER_BOUND }, .n = 3 };

        for (size_t i = 0; i < ELEMENTSOF(wrong) + 1; i++) {
                FakeKeeper k = {};
                struct keeper_bind bind;
                g_auto(Call) call = {};

                fake_keeper_start(b, &k);
                call_node(b, &call, "BindTCP", "u", 1);
                bus_world_settle(b);
                assert_int_equal(recv(k.fd, &bind, sizeof(bind), 0), sizeof(bind));
                if (i < ELEMENTSOF(wrong))
                        assert_int_equal(send(k.fd, &wrong[i], sizeof(wrong[i]), 0), sizeof(wrong[i]));
                else
                        assert_return_code(
                                send(k.fd, &too_short, offsetof(struct keeper_bound, numbers), 0), errno);
                world_wait(b->world, call.n > 0);
                assert_error(&call, ERROR "KeeperUnavailable", "no keeper");
                fake_keeper_stop(&k);
                b->world->node->world.link = test_world.link;
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_bind),
                BUS_TEST(test_bind_ports),
                BUS_TEST(test_errors),
                BUS_TEST(test_others),
                BUS_TEST(test_options),
                BUS_TEST(test_keeper),
                BUS_TEST(test_keeper_by_number),
                BUS_TEST(test_end_while_binding),
                BUS_TEST(test_wrong_reply),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
