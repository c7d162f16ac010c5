/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Notifications to a systemd that does not read for a while. */

#include "unit-test.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/notify-socket.h"
#include "util/log.h"
#include "util/notify.h"

static int reader = -EBADF;
static char *path;

static void open_reader(void) {
        struct sockaddr_un address;
        socklen_t size;

        assert_int_equal(socket_address(path, &address, &size), 0);
        reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_return_code(reader, errno);
        assert_return_code(bind(reader, (struct sockaddr *) &address, size), errno);
}

static void close_reader(void) {
        reader = fd_close(reader);
        assert_return_code(g_unlink(path), errno);
}

static int setup(void **state) {
        path = g_strdup_printf("%s/test-util-notify-%d", g_get_tmp_dir(), (int) getpid());
        open_reader();
        assert_true(g_setenv("NOTIFY_SOCKET", path, true));
        log_set_max_level(LOG_ERR);
        return 0;
}

static int teardown(void **state) {
        notify_detach();
        close_reader();
        g_unsetenv("NOTIFY_SOCKET");
        g_unsetenv("WATCHDOG_USEC");
        g_clear_pointer(&path, g_free);
        return 0;
}

/* Returns the next message that has arrived, or "". */
static const char *received(void) {
        static char buffer[4096];

        ssize_t n = recv(reader, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
        buffer[MAX(n, 0)] = '\0';
        return buffer;
}

static unsigned fill(void) {
        autofd fd = notify_connect();
        unsigned n = 0;

        assert_return_code(fd, errno);
        while (send(fd, "FILLER", strlen("FILLER"), 0) >= 0)
                n++;
        assert_int_equal(errno, EAGAIN);
        assert_true(n > 0);
        return n;
}

static void drain(unsigned n) {
        for (unsigned i = 0; i < n; i++)
                assert_string_equal(received(), "FILLER");
}

static sd_event *attached_event(void) {
        sd_event *event;

        assert_return_code(sd_event_new(&event), 0);
        assert_return_code(notify_attach(event), 0);
        return event;
}

static void detach(sd_event *event) {
        notify_detach();
        sd_event_unref(event);
}

static void test_at_once(void **state) {
        sd_event *event = attached_event();

        notify_send("READY=1\nSTATUS=Ready.");
        assert_string_equal(received(), "READY=1\nSTATUS=Ready.");
        notify_sendf("STATUS=%d", 7);
        assert_string_equal(received(), "STATUS=7");
        assert_string_equal(received(), "");
        detach(event);
}

static void run_until_idle(sd_event *event) {
        while (sd_event_run(event, 0) > 0)
                ;
}

/* All arrive in the order in which the newest of each kind was sent. */
static void test_later(void **state) {
        sd_event *event = attached_event();
        unsigned n = fill();

        notify_send("READY=1\nSTATUS=one");
        notify_send("STATUS=two");
        notify_send("RELOADING=1\nMONOTONIC_USEC=1");
        notify_send("READY=1\nSTATUS=three");
        notify_send("RELOADING=1\nMONOTONIC_USEC=2");
        notify_send("STATUS=four\nREADY=1"); /* another order, so another kind */
        notify_send("READY=1\nSTATUS=");
        run_until_idle(event); /* a full socket does not keep it busy */
        drain(n);
        run_until_idle(event);
        assert_string_equal(received(), "STATUS=two");
        assert_string_equal(received(), "RELOADING=1\nMONOTONIC_USEC=2");
        assert_string_equal(received(), "STATUS=four\nREADY=1");
        assert_string_equal(received(), "READY=1\nSTATUS=");
        assert_string_equal(received(), "");

        notify_send("STATUS=five");
        assert_string_equal(received(), "STATUS=five");
        detach(event);
}

/* The service makes one loop after the other. */
static void test_next_loop(void **state) {
        sd_event *event = attached_event();
        unsigned n = fill();

        notify_send("STATUS=one");
        detach(event);
        notify_send("STATUS=two");
        event = attached_event();
        run_until_idle(event);
        drain(n);
        run_until_idle(event);
        assert_string_equal(received(), "STATUS=two");
        assert_string_equal(received(), "");
        detach(event);
}

static void test_next_reader(void **state) {
        sd_event *event = attached_event();

        (void) fill();
        notify_send("STATUS=one");
        close_reader();
        open_reader();
        run_until_idle(event);
        assert_string_equal(received(), "STATUS=one");
        close_reader();
        notify_send("STATUS=lost");
        open_reader();
        notify_send("STATUS=two");
        assert_string_equal(received(), "STATUS=two");
        detach(event);
}

static void test_watchdog(void **state) {
        unsigned n;

        assert_true(g_setenv("WATCHDOG_USEC", "20000", true));
        sd_event *event = attached_event();
        for (unsigned i = 0; i < 3; i++) {
                assert_return_code(sd_event_run(event, UINT64_MAX), 0);
                assert_string_equal(received(), "WATCHDOG=1");
        }
        n = fill();
        for (unsigned i = 0; i < 3; i++)
                assert_return_code(sd_event_run(event, UINT64_MAX), 0);
        drain(n);
        assert_return_code(sd_event_run(event, UINT64_MAX), 0);
        assert_string_equal(received(), "WATCHDOG=1"); /* one for the three */
        assert_string_equal(received(), "");
        detach(event);
}

static void test_without_systemd(void **state) {
        g_unsetenv("NOTIFY_SOCKET");
        sd_event *event = attached_event();

        notify_send("READY=1");
        run_until_idle(event);
        detach(event);
}

#define NOTIFY_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                NOTIFY_TEST(test_at_once),
                NOTIFY_TEST(test_later),
                NOTIFY_TEST(test_next_loop),
                NOTIFY_TEST(test_next_reader),
                NOTIFY_TEST(test_watchdog),
                NOTIFY_TEST(test_without_systemd),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
