/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A reply of bytes arrives like any other reply, whatever its size is, and also after one that failed. */

#include "unit-test.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/bus-raw.h"
#include "util/autoptr.h"

#define SENDER ":1.23"

typedef struct Pair {
        sd_bus *client, *server;
        BusRaw *raw;
        unsigned n_replies;
        unsigned n_others;     /* replies that the client did not wait for */
        sd_bus_message *reply; /* the last one */
} Pair;

static int on_other(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Pair *p = userdata;

        p->n_others += sd_bus_message_get_reply_cookie(m, &(uint64_t){ 0 }) >= 0;
        return 0;
}

static int setup(void **state) {
        Pair *p = g_new0(Pair, 1);
        sd_id128_t id;
        int fds[2];

        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), errno);
        assert_return_code(sd_id128_randomize(&id), 0);
        assert_return_code(sd_bus_new(&p->server), 0);
        assert_return_code(sd_bus_set_fd(p->server, fds[0], fds[0]), 0);
        assert_return_code(sd_bus_set_server(p->server, true, id), 0);
        assert_return_code(sd_bus_start(p->server), 0);
        assert_return_code(sd_bus_new(&p->client), 0);
        assert_return_code(sd_bus_set_fd(p->client, fds[1], fds[1]), 0);
        assert_return_code(sd_bus_add_filter(p->client, NULL, on_other, p), 0);
        assert_return_code(sd_bus_start(p->client), 0);
        assert_return_code(bus_raw_new(&p->raw), 0);
        *state = p;
        return 0;
}

static int teardown(void **state) {
        Pair *p = *state;

        bus_raw_free(p->raw);
        sd_bus_message_unref(p->reply);
        sd_bus_close_unref(p->client);
        sd_bus_close_unref(p->server);
        g_free(p);
        return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Pair *p = userdata;

        sd_bus_message_unref(p->reply);
        p->reply = sd_bus_message_ref(m);
        p->n_replies++;
        return 1; /* the filter need not see it */
}

/* Returns the call as the server receives it. */
static sd_bus_message *receive_call(Pair *p, bool want_reply) {
        g_autoptr(sd_bus_message) call = NULL;
        sd_bus_message *received = NULL;

        assert_return_code(sd_bus_message_new_method_call(p->client, &call, NULL, "/a", "a.b", "C"), 0);
        assert_return_code(sd_bus_message_set_sender(call, SENDER), 0);
        if (want_reply)
                assert_return_code(sd_bus_call_async(p->client, NULL, call, on_reply, p, 0), 0);
        else
                assert_return_code(sd_bus_send(p->client, call, NULL), 0);
        while (!received) {
                assert_return_code(sd_bus_process(p->client, NULL), 0);
                assert_return_code(sd_bus_process(p->server, &received), 0);
        }
        return received;
}

static void wait_reply(Pair *p, unsigned n) {
        while (p->n_replies < n) {
                assert_return_code(sd_bus_process(p->server, NULL), 0);
                assert_return_code(sd_bus_process(p->client, NULL), 0);
        }
}

/* A body of type tay. */
static void fill(BusBytes *body, uint64_t number, size_t size) {
        bus_bytes_u64(body, number);
        const size_t array = bus_bytes_begin_array(body, 1);
        if (size > 0)
                memset(bus_bytes_extend(body, 1, size), (int) (number & 0xff), size);
        bus_bytes_end_array(body, array, 1);
}

static void assert_reply(Pair *p, unsigned n, uint64_t number, size_t size) {
        const uint8_t *bytes;
        uint64_t have;
        size_t have_size;

        wait_reply(p, n);
        assert_int_equal(p->n_replies, n);
        assert_int_equal(p->n_others, 0);
        assert_false(sd_bus_message_is_method_error(p->reply, NULL));
        assert_string_equal(sd_bus_message_get_signature(p->reply, true), "tay");
        assert_string_equal(sd_bus_message_get_destination(p->reply), SENDER);
        assert_return_code(sd_bus_message_read(p->reply, "t", &have), 0);
        assert_int_equal(have, number);
        assert_return_code(sd_bus_message_read_array(p->reply, 'y', (const void **) &bytes, &have_size), 0);
        assert_int_equal(have_size, size);
        if (size > 0) {
                assert_int_equal(bytes[0], number & 0xff);
                assert_memory_equal(bytes, bytes + 1, size - 1);
        }
        assert_int_equal(sd_bus_message_at_end(p->reply, true), 1);
}

/* Larger and smaller than the one before; the largest do not fit into a socket. */
static void test_sizes(void **state) {
        static const size_t sizes[] = { 0, 1, 300000, 7, 3000000, 8, 10000000, 0, 1500000 };
        Pair *p = *state;

        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(sd_bus_message) call = receive_call(p, true);
                g_auto(BusBytes) body = {};

                fill(&body, i + 1, sizes[i]);
                assert_return_code(bus_raw_reply(p->raw, call, "tay", &body), 0);
                assert_reply(p, i + 1, i + 1, sizes[i]);
        }
}

/* The replies reach their calls in any order, and other replies come between them. */
static void test_order(void **state) {
        Pair *p = *state;
        g_autoptr(sd_bus_message) first = receive_call(p, true), second = receive_call(p, true),
                                  third = receive_call(p, true);
        g_auto(BusBytes) one = {}, two = {};

        fill(&one, 1, 5);
        fill(&two, 2, 500000);
        assert_return_code(bus_raw_reply(p->raw, third, "tay", &two), 0);
        assert_return_code(sd_bus_reply_method_return(second, "tay", UINT64_C(7), 2, 7, 7), 0);
        assert_return_code(bus_raw_reply(p->raw, first, "tay", &one), 0);
        assert_reply(p, 1, 2, 500000);
        assert_reply(p, 2, 7, 2);
        assert_reply(p, 3, 1, 5);
}

static void test_no_reply(void **state) {
        Pair *p = *state;
        g_autoptr(sd_bus_message) quiet = receive_call(p, false), call = receive_call(p, true);
        g_auto(BusBytes) body = {};

        fill(&body, 1, 1);
        assert_int_equal(bus_raw_reply(p->raw, quiet, "tay", &body), 1);
        assert_return_code(bus_raw_reply(p->raw, call, "tay", &body), 0);
        assert_reply(p, 1, 1, 1);
}

/* Without memory for it nothing is sent, and the next one is complete. */
static void test_no_memory(void **state) {
        Pair *p = *state;
        g_autoptr(sd_bus_message) call = receive_call(p, true);
        g_auto(BusBytes) large = {}, small = {};
        struct rlimit limit;

        fill(&large, 1, 300000);
        fill(&small, 2, 10);
        assert_return_code(getrlimit(RLIMIT_FSIZE, &limit), errno);
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_return_code(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100000, limit.rlim_max }), errno);
        int r = bus_raw_reply(p->raw, call, "tay", &large);
        assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), errno);
        assert_int_equal(r, -EIO);
        assert_return_code(bus_raw_reply(p->raw, call, "tay", &small), 0);
        assert_reply(p, 1, 2, 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_reply, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
