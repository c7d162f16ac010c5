/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The input that clients send to a role, through a real pipe. */

#include "test-world.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/input.h"
#include "model/quota.h"
#include "model/settings.h"

/* A running role whose standard input is a pipe of one page, and the reader of that pipe. */
typedef struct Reader {
        TestWorld *world;
        Role *role;
        int fd;
        unsigned n_released;
        GString *got;
} Reader;

static void release(void *owner) {
        Reader *reader = owner;

        reader->n_released++;
}

static int setup(void **state) {
        int fds[2];

        test_world_setup(state);
        Reader *reader = g_new0(Reader, 1);
        reader->world = *state;
        reader->role = world_run(reader->world, "cat", NULL);
        reader->got = g_string_new(NULL);
        assert_return_code(pipe2(fds, O_CLOEXEC | O_NONBLOCK), errno);
        assert_return_code(fcntl(fds[1], F_SETPIPE_SZ, 4096), errno);
        reader->fd = fds[0];
        (void) fd_close(reader->role->stdin_fd);
        reader->role->stdin_fd = fds[1];
        forget_calls(reader->world);
        *state = reader;
        return 0;
}

static int teardown(void **state) {
        Reader *reader = *state;
        void *world = reader->world;

        (void) fd_close(reader->fd);
        g_string_free(reader->got, true);
        g_free(reader);
        return test_world_teardown(&world);
}

/* Queues static bytes and counts their release. */
static void put(Reader *reader, const void *data, size_t size, bool newline, Told *told) {
        g_auto(Fault) fault = {};

        int r = input_write(
                reader->role->input, data, size, newline, reader, release, NULL, told_by(told), &fault);
        if (fault.message)
                fail_msg("%s", fault.message);
        assert_return_code(r, 0);
}

/* Reads what the pipe contains now. Returns false at end-of-file. */
static bool take(Reader *reader) {
        char buffer[8192];

        ssize_t n = read(reader->fd, buffer, sizeof(buffer));
        if (n < 0) {
                assert_int_equal(errno, EAGAIN);
                return true;
        }
        g_string_append_len(reader->got, buffer, n);
        return n > 0;
}

static void test_at_once(void **state) {
        Reader *reader = *state;
        g_auto(Told) told = {};

        put(reader, "hello", 5, true, &told);
        assert_told_success(&told);
        assert_int_equal(reader->n_released, 1);
        assert_true(take(reader));
        assert_string_equal(reader->got->str, "hello\n");
}

static void test_bytes_are_bytes(void **state) {
        Reader *reader = *state;
        g_auto(Told) one = {}, two = {}, three = {};

        put(reader, "\0\n\xff", 3, false, &one);
        put(reader, "", 0, false, &two); /* an empty write is valid, too */
        put(reader, "", 0, true, &three);
        assert_told_success(&one);
        assert_told_success(&two);
        assert_told_success(&three);
        assert_true(take(reader));
        assert_int_equal(reader->got->len, 4);
        assert_memory_equal(reader->got->str, "\0\n\xff\n", 4);
}

/* Pieces of every size around that of the pipe, in order and byte by byte. Each call completes when its own
 * last byte is in the pipe. */
static void test_order_and_partial_writes(void **state) {
        Reader *reader = *state;
        static const size_t sizes[] = { 4095, 1, 4096, 0, 10000, 4097, 3, 65536 };
        Told told[ELEMENTSOF(sizes)] = {};
        g_autoptr(GString) sent = g_string_new(NULL);
        g_autoptr(GPtrArray) pieces = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                char *piece = g_malloc(sizes[i] + 1);

                for (size_t j = 0; j < sizes[i]; j++)
                        piece[j] = (char) (i * 31 + j * 7);
                g_ptr_array_add(pieces, piece);
                g_string_append_len(sent, piece, (gssize) sizes[i]);
                if (i % 2 == 0)
                        g_string_append_c(sent, '\n');
                put(reader, piece, sizes[i], i % 2 == 0, &told[i]);
        }
        assert_told_success(&told[0]); /* 4096 with its newline just fits */
        for (size_t i = 1; i < ELEMENTSOF(sizes); i++)
                assert_not_told(&told[i]);

        /* In order: no call completes before the previous one. */
        while (reader->got->len < sent->len) {
                world_wait(reader->world, (take(reader), true));
                assert_return_code(sd_event_run(reader->world->event, 0), 0);
                for (size_t i = 1; i < ELEMENTSOF(sizes); i++)
                        assert_true(told[i].n <= told[i - 1].n);
        }
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                assert_told_success(&told[i]);
                told_clear(&told[i]);
        }
        assert_int_equal(reader->n_released, ELEMENTSOF(sizes));
        assert_int_equal(reader->got->len, sent->len);
        assert_memory_equal(reader->got->str, sent->str, sent->len);
}

static void test_quiet_when_idle(void **state) {
        Reader *reader = *state;
        g_auto(Told) told = {};
        g_autofree char *data = g_malloc0(5000);

        /* A writable pipe without pending input must not keep the loop busy. */
        put(reader, data, 5000, false, &told);
        assert_not_told(&told);
        world_wait(reader->world, (take(reader), told.n > 0));
        assert_told_success(&told);
        assert_int_equal(sd_event_run(reader->world->event, 0), 0);
}

static void test_full(void **state) {
        Reader *reader = *state;
        g_autofree char *data = g_malloc0(INPUT_QUEUE_MAX);
        g_auto(Told) big = {}, last = {}, none = {};
        g_auto(Fault) fault = {}, again = {};

        /* A larger input cannot be queued by several calls either. */
        assert_fault(input_write(reader->role->input, data, INPUT_QUEUE_MAX, true, reader, release, NULL,
                             told_by(&none), &fault),
                &fault, NODE_ERROR_INPUT_FULL,
                "Cannot write 4194305 bytes to role \"cat\": one call may write 4194304 at most");
        assert_int_equal(reader->n_released, 0); /* nothing was queued */

        put(reader, data, INPUT_QUEUE_MAX - 10, false, &big);
        put(reader, data, 9, true, &last);
        assert_not_told(&big);
        assert_fault(input_write(reader->role->input, data, 1, false, reader, release, NULL, told_by(&none),
                             &again),
                &again, NODE_ERROR_INPUT_FULL, "4194304 bytes wait already");
        assert_not_told(&none);

        /* Input that is completely in the pipe does not wait for other chunks. */
        world_wait(reader->world, (take(reader), big.n > 0));
        world_wait(reader->world, (take(reader), last.n > 0));
        assert_told_success(&big);
        assert_told_success(&last);
        g_auto(Told) more = {};
        put(reader, data, 1, false, &more);
        assert_int_equal(reader->n_released, 2 + (more.n > 0));
        world_wait(reader->world, (take(reader), more.n > 0));
        assert_told_success(&more);
}

static const Caller alice = { .known = true, .uid = 1000, .pid = 2 };
static const Caller bob = { .known = true, .uid = 1001, .pid = 3 };
static const Caller root = { .known = true, .uid = 0, .pid = 1 };

static int put_as(Role *role, const Caller *caller, const void *data, size_t size, Told *told, Fault *fault) {
        return input_write(role->input, data, size, false, NULL, NULL, caller, told_by(told), fault);
}

/* What waits of one user has a limit, over all roles, and what waits of others does not count. */
static void test_quota(void **state) {
        Reader *reader = *state;
        Role *cat = reader->role, *other = world_run(reader->world, "other", NULL);
        g_autofree char *data = g_malloc0(65536);
        g_auto(Told) first = {}, second = {}, none = {}, of_bob = {}, of_root = {}, end = {}, later = {},
                     of_other = {};
        g_auto(Fault) full = {}, close_full = {}, elsewhere = {};
        int fds[2];

        assert_return_code(pipe2(fds, O_CLOEXEC | O_NONBLOCK), errno);
        autofd other_reader = fds[0];
        (void) fd_close(other->stdin_fd);
        other->stdin_fd = fds[1];

        reader->world->node->settings->max_queued_input_per_user = 20000 + 3 * QUOTA_CALL_SIZE - 1;
        assert_return_code(put_as(cat, &alice, data, 10000, &first, NULL), 0);
        assert_return_code(put_as(cat, &alice, data, 10000, &second, NULL), 0);
        assert_not_told(&first);
        /* Not even a call without bytes, which is a message that waits, too. */
        assert_fault(put_as(cat, &alice, data, 0, &none, &full), &full, NODE_ERROR_LIMIT_REACHED,
                "Cannot write 0 bytes to role \"cat\": 22048 bytes of uid 1000 wait already, the limit is 23071 (MaxQueuedInputPerUser=)");
        assert_fault(input_close(cat->input, &alice, told_by(&none), &close_full), &close_full,
                NODE_ERROR_LIMIT_REACHED, "uid 1000");
        assert_fault(put_as(other, &alice, data, 1, &none, &elsewhere), &elsewhere, NODE_ERROR_LIMIT_REACHED,
                "role \"other\"");
        assert_not_told(&none);
        assert_return_code(put_as(cat, &bob, data, 20000, &of_bob, NULL), 0);
        assert_return_code(put_as(cat, &root, data, 65536, &of_root, NULL), 0);

        /* What was read is free again. The refused close has closed nothing. */
        world_wait(reader->world, (take(reader), first.n > 0));
        assert_return_code(put_as(other, &alice, data, 1, &of_other, NULL), 0);
        assert_told_success(&of_other);
        assert_int_equal(read(other_reader, data, 10), 1);
        assert_return_code(input_close(cat->input, &alice, told_by(&end), NULL), 0);
        world_wait(reader->world, (take(reader), of_root.n > 0));
        world_answer(reader->world, NULL);
        assert_told_success(&end);
        assert_told_success(&second);
        assert_told_success(&of_bob);
        assert_int_equal(quota_get(reader->world->node->quotas, 1000)->queued_input, 0);
        assert_int_equal(quota_get(reader->world->node->quotas, 1001)->queued_input, 0);

        /* And what was dropped. */
        assert_return_code(fcntl(other->stdin_fd, F_SETPIPE_SZ, 4096), errno);
        assert_return_code(put_as(other, &alice, data, 10000, &later, NULL), 0);
        assert_not_told(&later);
        assert_int_equal(quota_get(reader->world->node->quotas, 1000)->queued_input, 10000 + QUOTA_CALL_SIZE);
        input_refuse(other);
        assert_told_fault(&later, NODE_ERROR_NO_INPUT, "being stopped");
        assert_int_equal(quota_get(reader->world->node->quotas, 1000)->queued_input, 0);
}

static void test_close_after_data(void **state) {
        Reader *reader = *state;
        g_autofree char *data = g_malloc(10000);
        g_auto(Told) write = {}, close = {}, late = {};
        g_auto(Fault) fault = {}, close_fault = {};

        memset(data, 'd', 10000);
        put(reader, data, 10000, false, &write);
        assert_return_code(input_close(reader->role->input, NULL, told_by(&close), NULL), 0);
        assert_not_told(&close);
        expect_calls(reader->world, "");

        /* After the close no input is accepted, although earlier input is still pending. */
        assert_fault(input_write(reader->role->input, "x", 1, false, reader, release, NULL, told_by(&late),
                             &fault),
                &fault, NODE_ERROR_NO_INPUT, "The standard input of role \"cat\" is closed");
        assert_fault(input_close(reader->role->input, NULL, told_by(&late), &close_fault), &close_fault,
                NODE_ERROR_NO_INPUT, "closed");
        assert_not_told(&late);

        bool open = true;
        while (open) {
                open = take(reader);
                assert_return_code(sd_event_run(reader->world->event, 0), 0);
        }
        assert_int_equal(reader->got->len, 10000);
        assert_told_success(&write);
        assert_true(reader->role->stdin_fd < 0);

        /* The keeper has a copy; until that is closed the role cannot read EOF. */
        expect_calls(reader->world, "close-stdin(cat)");
        assert_not_told(&close);
        world_answer(reader->world, NULL);
        assert_told_success(&close);
}

static void test_close_of_nothing(void **state) {
        Reader *reader = *state;
        g_auto(Told) close = {};

        assert_return_code(input_close(reader->role->input, NULL, told_by(&close), NULL), 0);
        assert_false(take(reader));
        expect_calls(reader->world, "close-stdin(cat)");
        world_answer(reader->world, NULL);
        assert_told_success(&close);
}

/* The role closes its end. All pending input fails, once, and the end of the node is closed, too. */
static void test_reader_closes(void **state) {
        Reader *reader = *state;
        g_autofree char *data = g_malloc0(10000);
        g_auto(Told) one = {}, two = {}, close = {}, late = {};
        g_auto(Fault) fault = {};

        put(reader, data, 10000, false, &one);
        put(reader, data, 10, false, &two);
        assert_return_code(input_close(reader->role->input, NULL, told_by(&close), NULL), 0);
        reader->fd = fd_close(reader->fd);
        world_wait(reader->world, one.n > 0);
        assert_told_fault(
                &one, NODE_ERROR_NO_INPUT, "Role \"cat\" does not read its standard input: it has closed it");
        assert_told_fault(&two, NODE_ERROR_NO_INPUT, "it has closed it");
        assert_told_fault(&close, NODE_ERROR_NO_INPUT, "it has closed it");
        assert_int_equal(reader->n_released, 2);
        assert_true(reader->role->stdin_fd < 0);
        expect_calls(reader->world, "close-stdin(cat)");

        assert_fault(input_write(reader->role->input, "x", 1, false, reader, release, NULL, told_by(&late),
                             &fault),
                &fault, NODE_ERROR_NO_INPUT, "closed");
        assert_int_equal(reader->n_released, 2);
}

static void test_reader_closed_before(void **state) {
        Reader *reader = *state;
        g_auto(Told) told = {};

        reader->fd = fd_close(reader->fd);
        put(reader, "x", 1, true, &told);
        assert_told_fault(&told, NODE_ERROR_NO_INPUT, "it has closed it");
        assert_int_equal(reader->n_released, 1);
}

/* The role ends while input is pending. */
static void test_role_ends(void **state) {
        Reader *reader = *state;
        g_autofree char *data = g_malloc0(10000);
        g_auto(Told) write = {}, close = {};

        put(reader, data, 10000, false, &write);
        assert_return_code(input_close(reader->role->input, NULL, told_by(&close), NULL), 0);
        world_exit(reader->world, reader->role, EXIT_CODE_EXITED, 0);
        assert_told_fault(&write, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"cat\" has ended");
        assert_told_fault(&close, NODE_ERROR_ROLE_NOT_RUNNING, "has ended");
        assert_int_equal(reader->n_released, 1);
        assert_null(reader->role->input);
}

static void test_free_tells(void **state) {
        Reader *reader = *state;
        g_autofree char *data = g_malloc0(10000);
        g_auto(Told) one = {}, two = {};
        g_auto(Fault) reason = {};

        put(reader, data, 10000, false, &one);
        put(reader, data, 1, false, &two);
        (void) fault_set(&reason, NODE_ERROR_SHUTTING_DOWN, "that is all");
        reader->role->input = input_free(reader->role->input, &reason);
        assert_told_fault(&one, NODE_ERROR_SHUTTING_DOWN, "that is all");
        assert_told_fault(&two, NODE_ERROR_SHUTTING_DOWN, "that is all");
        assert_int_equal(reader->n_released, 2);
        assert_null(input_free(NULL, NULL));
}

/* The service ends while input is pending. No call may report success. */
static void test_node_goes(void **state) {
        Reader *reader = *state;
        g_autofree char *data = g_malloc0(10000);
        g_auto(Told) told = {};

        put(reader, data, 10000, false, &told);
        reader->world->node = node_free(reader->world->node);
        assert_int_equal(reader->n_released, 1);
        assert_told_fault(&told, NODE_ERROR_SHUTTING_DOWN, "Role \"cat\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bytes_are_bytes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_order_and_partial_writes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_quiet_when_idle, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full, setup, teardown),
                cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
                cmocka_unit_test_setup_teardown(test_close_after_data, setup, teardown),
                cmocka_unit_test_setup_teardown(test_close_of_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reader_closes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reader_closed_before, setup, teardown),
                cmocka_unit_test_setup_teardown(test_role_ends, setup, teardown),
                cmocka_unit_test_setup_teardown(test_free_tells, setup, teardown),
                cmocka_unit_test_setup_teardown(test_node_goes, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
