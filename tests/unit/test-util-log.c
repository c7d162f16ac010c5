/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages as text on stderr, where they are written without a journal. */

#include "unit-test.h"

#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "util/log.h"

static int saved_stderr = -EBADF, capture_fd = -EBADF;

static int setup(void **state) {
        int fds[2];

        (void) fflush(stderr);
        saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_return_code(saved_stderr, errno);
        assert_return_code(pipe2(fds, O_CLOEXEC | O_NONBLOCK), errno);
        assert_return_code(dup2(fds[1], STDERR_FILENO), errno);
        (void) fd_close(fds[1]);
        capture_fd = fds[0];
        log_set_max_level(LOG_INFO);
        return 0;
}

static int teardown(void **state) {
        (void) dup2(saved_stderr, STDERR_FILENO);
        saved_stderr = fd_close(saved_stderr);
        capture_fd = fd_close(capture_fd);
        return 0;
}

static const char *captured(void) {
        static char buffer[4096];

        (void) fflush(stderr);
        ssize_t n = read(capture_fd, buffer, sizeof(buffer) - 1);
        buffer[n > 0 ? n : 0] = '\0';
        return buffer;
}

static void test_returns_the_error(void **state) {
        assert_int_equal(log_error_errno(-ENOENT, "Cannot open %s: %m", "x"), -ENOENT);
        assert_string_equal(captured(), "Cannot open x: No such file or directory\n");
        assert_int_equal(log_warning_errno(EACCES, "%m"), -EACCES); /* of either sign */
        assert_string_equal(captured(), "Permission denied\n");
        assert_int_equal(log_full_errno(LOG_NOTICE, 0, "fine"), 0);
        assert_string_equal(captured(), "fine\n");
}

static void test_keeps_errno(void **state) {
        errno = EBUSY;
        (void) log_error_errno(-ENOENT, "%m");
        assert_int_equal(errno, EBUSY);
        errno = EBUSY;
        log_debug("not shown");
        assert_int_equal(errno, EBUSY);
        assert_string_equal(captured(), "No such file or directory\n");
}

static void test_levels(void **state) {
        log_debug("debug");
        log_info("info");
        assert_string_equal(captured(), "info\n");
        log_set_max_level(LOG_ERR);
        assert_int_equal(log_get_max_level(), LOG_ERR);
        log_warning("warning");
        log_error("error");
        assert_string_equal(captured(), "error\n");
        /* A message that is not shown still returns its error. */
        assert_int_equal(log_debug_errno(-EIO, "hidden"), -EIO);
        log_set_max_level(LOG_DEBUG);
        log_debug("debug %d", 7);
        assert_string_equal(captured(), "debug 7\n");
}

static void test_fields_are_for_the_journal(void **state) {
        const char *fields[] = { "ARCHITECT_ROLE=cam", NULL };

        assert_int_equal(log_fields(LOG_INFO, -EPIPE, fields, "%s", "100%s"), -EPIPE);
        assert_string_equal(captured(), "100%s\n");
}

/* $JOURNAL_STREAM of a parent process does not describe this stderr. */
static void test_stream_of_another(void **state) {
        static const char *const streams[] = { "1:2", "", "garbage" };

        for (size_t i = 0; i < ELEMENTSOF(streams); i++) {
                g_setenv("JOURNAL_STREAM", streams[i], true);
                log_setup();
                log_info("text");
                assert_string_equal(captured(), "text\n");
        }
        g_unsetenv("JOURNAL_STREAM");
        log_setup();
        log_info("text");
        assert_string_equal(captured(), "text\n");
}

/* What a service says before it has started goes by the stream of its unit, with its level; later all goes by
 * the socket of the journal, and what has fields always does. */
static void test_before_the_start(void **state) {
        const char *fields[] = { "ARCHITECT_ROLE=cam", NULL };
        g_autofree char *stream = NULL;
        struct stat st;

        assert_return_code(fstat(STDERR_FILENO, &st), errno);
        stream = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        g_setenv("JOURNAL_STREAM", stream, true);
        log_setup();
        g_unsetenv("JOURNAL_STREAM");
        assert_int_equal(log_get_target(), LOG_TARGET_JOURNAL);
        log_error("text");
        assert_string_equal(captured(), "<3>text\n");
        (void) log_fields(LOG_INFO, 0, fields, "with fields");
        assert_string_equal(captured(), "");
        log_set_started();
        log_error("later");
        assert_string_equal(captured(), "");
}

/* A pipe that is full because its reader does not read. The messages are lost, and the process does not
 * block. */
static void test_not_read(void **state) {
        int flags = fcntl(STDERR_FILENO, F_GETFL);
        size_t size = 0;
        unsigned n = 0;

        assert_return_code(fcntl(STDERR_FILENO, F_SETFL, flags & ~O_NONBLOCK), errno);
        (void) alarm(60);
        for (; n < 3000; n++)
                log_info("message %u of a service that goes on whatever becomes of its messages", n);
        (void) alarm(0);
        for (const char *text; *(text = captured());)
                size += strlen(text);
        unsigned n_taken =
                (unsigned) (size /
                            strlen("message 1000 of a service that goes on whatever becomes of its messages\n"));
        assert_true(n_taken > 100 && n_taken < 2000);

        log_info("it is read again");
        const char *text = captured();
        unsigned n_lost;
        assert_int_equal(sscanf(text, "%u messages before this one are lost", &n_lost), 1);
        assert_between(n_lost + n_taken, n - 20, n + 20); /* the first ones are shorter */
        assert_true(g_str_has_suffix(text, "\nit is read again\n"));
        log_info("and goes on");
        assert_string_equal(captured(), "and goes on\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_returns_the_error),
                TEST(test_keeps_errno),
                TEST(test_levels),
                TEST(test_fields_are_for_the_journal),
                TEST(test_stream_of_another),
                TEST(test_not_read),
                TEST(test_before_the_start),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
