/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The standard input of a role is what was written to it, byte by byte and in order. A role that never reads
 * neither blocks the node nor makes it grow. CloseInput gives end-of-file after all input before it. Every
 * refusal has its error name. */

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define MIB ((size_t) 1 << 20)
#define QUEUE_MAX (4 * MIB) /* "4 MiB wait already" */

static void fill(GRand *random, guint32 *data, size_t size) {
        for (size_t i = 0; i < size / sizeof(*data); i++)
                data[i] = g_rand_int(random);
}

static void test_64_mib(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *copied = NULL;
        g_autoptr(GRand) random = g_rand_new_with_seed(64);
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256), out = g_checksum_new(G_CHECKSUM_SHA256);
        const size_t chunk = 512 * 1024, n = 64 * MIB / chunk, window = 4;
        g_autofree guint32 *data = g_malloc(chunk), *serials = g_new(guint32, n);
        gsize size;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        for (size_t i = 0; i < n; i++) {
                if (i >= window)
                        g_variant_unref(bus_result(bus, serials[i - window]));
                fill(random, data, chunk);
                g_checksum_update(sum, (const guchar *) data, (gssize) chunk);
                serials[i] = send_write_input(bus, role, data, chunk);
        }
        for (size_t i = n - window; i < n; i++)
                g_variant_unref(bus_result(bus, serials[i]));
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");

        assert_true(g_file_get_contents(path, &copied, &size, NULL));
        assert_int_equal(size, 64 * MIB);
        g_checksum_update(out, (const guchar *) copied, (gssize) size);
        assert_string_equal(g_checksum_get_string(out), g_checksum_get_string(sum));
}

/* Small and odd pieces, including NUL bytes, from both methods of both objects, stay in order. */
static void test_pieces(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *copied = NULL;
        g_autoptr(GString) expected = g_string_new(NULL);
        gsize size;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        for (int i = 0; i < 200; i++) {
                g_autofree char *piece = g_strdup_printf("piece %d%c%c\377\n", i, 0, 'x');
                const size_t n = strlen(piece) + 4;

                switch (i % 4) {
                case 0:
                        send_write_input(bus, role, piece, n);
                        g_string_append_len(expected, piece, (gssize) n);
                        break;
                case 1:
                        node_send(bus, "SendInput", g_variant_new("(ss)", role, "a line"));
                        g_string_append(expected, "a line\n");
                        break;
                case 2:
                        role_send(bus, role, "WriteInput",
                                g_variant_new("(@ay)",
                                        g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, piece, n, 1)));
                        g_string_append_len(expected, piece, (gssize) n);
                        break;
                default:
                        role_send(bus, role, "SendInput", g_variant_new("(s)", "grüße"));
                        g_string_append(expected, "grüße\n");
                }
                if (i % 50 == 49)
                        node_sync(bus);
        }
        /* Empty input is valid, too. */
        g_variant_unref(bus_result(bus, send_write_input(bus, role, "", 0)));
        g_variant_unref(role_call(bus, role, "CloseInput", NULL));
        expect_exited(bus, role, "exited", 0, "self");
        assert_true(g_file_get_contents(path, &copied, &size, NULL));
        assert_int_equal(size, expected->len);
        assert_memory_equal(copied, expected->str, size);
}

static void test_line(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *text = NULL;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "sh", "-c",
                "read -r line; echo \"<$line>\"; exit 3", NULL);
        send_input(bus, role, "one \\ line");
        expect_exited(bus, role, "exited", 3, "self");
        text = read_file(path);
        assert_string_equal(text, "<one \\ line>");
}

/* If the role does not read, the pipe is filled, 4 MiB are queued, the rest is refused, and nothing else
 * becomes slower. */
static void test_never_reads(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d"), *other = role_name("e");
        const size_t chunk = 256 * 1024, n = 64 * MIB / chunk;
        g_autofree char *data = g_malloc0(chunk);
        g_autofree guint32 *serials = g_new(guint32, n);
        guint refused = 0, waiting = 0;
        pid_t node = node_pid(bus);
        bool sanitized = process_is_sanitized(node);
        guint64 before, after;
        guint mark;

        start(bus, role, NULL, actor(), "pause", NULL);
        node_sync(bus);
        before = process_rss(node);
        for (size_t i = 0; i < n; i++) {
                serials[i] = send_write_input(bus, role, data, chunk);
                if (i % 20 == 19)
                        node_sync(bus);
        }
        node_sync(bus);
        after = process_rss(node);

        for (size_t i = 0; i < n; i++) {
                if (!bus_has_reply(bus, serials[i])) {
                        waiting++;
                        continue;
                }
                bus_failure(bus, serials[i], "InputFull", role, NULL);
                refused++;
        }
        print_message("  %u of %zu wait, RSS %" G_GUINT64_FORMAT " -> %" G_GUINT64_FORMAT " kB\n", waiting, n,
                before / 1024, after / 1024);
        assert_true(refused > 0);
        /* The queue, the pipe, and the input that was partly written. */
        assert_true(waiting * chunk <= QUEUE_MAX + 2 * chunk);
        assert_true(waiting * chunk >= QUEUE_MAX / 2);
        /* An allocator that detects errors keeps freed memory. */
        if (!sanitized)
                assert_true(after < before + QUEUE_MAX + 12 * MIB);

        /* Everything else still works. */
        start(bus, other, NULL, "cat", NULL);
        send_input(bus, other, "x");
        for (int i = 0; i < 50; i++)
                assert_poll(bus, role, "running");
        stop(bus, other);

        /* No call waits for ever: when the role ends, each gets an error. */
        mark = bus_mark(bus);
        kill_role(bus, role);
        for (size_t i = 0; i < n; i++) {
                Event *reply = bus_wait_reply(bus, serials[i]);

                assert_int_equal(reply->type, G_DBUS_MESSAGE_TYPE_ERROR);
                if (reply->index >= mark) {
                        /* Either is detected first, the end of the role or the closed pipe. */
                        assert_true(g_str_has_suffix(reply->error, ".RoleNotRunning") ||
                                    g_str_has_suffix(reply->error, ".NoInput"));
                        assert_contains(reply->text, role);
                        waiting--;
                }
        }
        assert_int_equal(waiting, 0);
        node_call_fails(bus, "SendInput", g_variant_new("(ss)", role, "x"), "RoleNotRunning", role, NULL);
}

/* Queued input is written as soon as the role reads again, and end-of-file comes last. */
static void test_reads_later(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *copied = NULL;
        g_autoptr(GRand) random = g_rand_new_with_seed(2);
        const size_t size = 2 * MIB;
        g_autofree guint32 *data = g_malloc(size);
        guint32 writing, closing;
        gsize n;
        pid_t pid;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        pid = role_pid(bus, role);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        WAIT_UNTIL(process_state(pid) == 'T');
        fill(random, data, size);
        writing = send_write_input(bus, role, data, size);
        closing = node_send(bus, "CloseInput", g_variant_new("(s)", role));
        node_sync(bus);
        assert_false(bus_has_reply(bus, writing));
        /* Closed for all later calls. */
        node_call_fails(bus, "SendInput", g_variant_new("(ss)", role, "late"), "NoInput", role, NULL);

        assert_int_equal(kill(pid, SIGCONT), 0);
        g_variant_unref(bus_result(bus, writing));
        g_variant_unref(bus_result(bus, closing));
        expect_exited(bus, role, "exited", 0, "self");
        assert_true(g_file_get_contents(path, &copied, &n, NULL));
        assert_int_equal(n, size);
        assert_memory_equal(copied, data, size);
}

static void test_no_input(void **state) {
        Bus *bus = *state;
        const char *null = role_name("g"), *closed = role_name("h"), *closes = role_name("i");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        const char *roles[] = { null, closed, closes };

        start(bus, null, OPTIONS("{'stdin': <'null'>}"), actor(), "read-eof", "say", fifo_path(fifo), "eof",
                "pause", NULL);
        fifo_expect_pid(fifo, "eof"); /* /dev/null is at end-of-file at once */

        start(bus, closed, NULL, actor(), "read-eof", "say", fifo_path(fifo), "eof", "pause", NULL);
        close_input(bus, closed);
        fifo_expect_pid(fifo, "eof");

        start(bus, closes, NULL, actor(), "close", "0", "say", fifo_path(fifo), "closed", "pause", NULL);
        fifo_expect_pid(fifo, "closed");

        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
                node_call_fails(
                        bus, "SendInput", g_variant_new("(ss)", roles[i], "x"), "NoInput", roles[i], NULL);
                bus_failure(bus, send_write_input(bus, roles[i], "x", 1), "NoInput", roles[i], NULL);
                node_call_fails(bus, "CloseInput", g_variant_new("(s)", roles[i]), "NoInput", roles[i], NULL);
                assert_poll(bus, roles[i], "running");
        }
}

/* A client that disconnects before its reply undoes nothing. */
static void test_client_vanishes(void **state) {
        Bus *bus = *state;
        const char *role = role_name("j"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *copied = NULL;
        const size_t size = MIB;
        g_autofree char *data = g_malloc(size);
        Bus *client = bus_new();
        gsize n;
        pid_t pid;

        memset(data, 'v', size);
        start(bus, role, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        pid = role_pid(bus, role);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        WAIT_UNTIL(process_state(pid) == 'T');
        send_write_input(client, role, data, size);
        node_sync(client); /* the node has received it */
        bus_free(client);
        node_sync(bus);
        assert_int_equal(kill(pid, SIGCONT), 0);
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");
        assert_true(g_file_get_contents(path, &copied, &n, NULL));
        assert_int_equal(n, size);
        assert_memory_equal(copied, data, size);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_64_mib),
                TEST(test_pieces),
                TEST(test_line),
                TEST(test_never_reads),
                TEST(test_reads_later),
                TEST(test_no_input),
                TEST(test_client_vanishes),
        };
        return run_case("input", tests);
}
