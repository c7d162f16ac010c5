/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The direct connection with systemd, with a real socket: which calls go by it, which by the bus, and that
 * nothing is lost or done twice when one of the two is slower. */

#include "bus-world.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "scope/manager.h"
#include "util/autoptr.h"

typedef struct Fixture {
        BusWorld *b;
        char *directory, *path, *address;
        int fd; /* the socket of systemd */
        sd_event_source *source;
        sd_bus *systemd; /* its end of the connection, or NULL */
        unsigned n_accepted;
        GString *by_bus, *by_direct; /* the calls that have arrived */
        GPtrArray *held;             /* of those, what is not answered */
        bool hold;
} Fixture;

static void message_free(void *m) {
        sd_bus_message_unref(m);
}

/* Of systemd, by either way. */
static int on_call(Fixture *f, GString *calls, sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m);

        if (!sd_bus_message_is_method_call(m, NULL, NULL) ||
                g_strcmp0(sd_bus_message_get_path(m), MANAGER_PATH) != 0)
                return 0;
        g_string_append_printf(calls, "%s ", member);
        if (f->hold) {
                g_ptr_array_add(f->held, sd_bus_message_ref(m));
                return 1;
        }
        return g_str_equal(member, "StopUnit") || g_str_equal(member, "StartTransientUnit")
                       ? sd_bus_reply_method_return(m, "o", MANAGER_PATH "/job/5")
                       : sd_bus_reply_method_return(m, NULL);
}

static int on_bus_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;

        return on_call(f, f->by_bus, m);
}

static int on_direct_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;

        return on_call(f, f->by_direct, m);
}

static int on_connection(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Fixture *f = userdata;
        sd_id128_t id;
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        assert_return_code(connection, errno);
        f->n_accepted++;
        assert_return_code(sd_bus_new(&f->systemd), 0);
        assert_return_code(sd_bus_set_fd(f->systemd, connection, connection), 0);
        assert_return_code(sd_id128_randomize(&id), 0);
        assert_return_code(sd_bus_set_server(f->systemd, true, id), 0);
        assert_return_code(sd_bus_start(f->systemd), 0);
        assert_return_code(sd_bus_attach_event(f->systemd, f->b->world->event, SD_EVENT_PRIORITY_NORMAL), 0);
        assert_return_code(sd_bus_add_filter(f->systemd, NULL, on_direct_call, f), 0);
        return 0;
}

static void systemd_close(Fixture *f) {
        f->systemd = sd_bus_close_unref(f->systemd);
}

static int setup(void **state) {
        Fixture *f = g_new0(Fixture, 1);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        assert_return_code(bus_world_setup((void **) &f->b), 0);
        f->directory = g_dir_make_tmp("test-bus-direct-XXXXXX", NULL);
        assert_non_null(f->directory);
        f->path = g_build_filename(f->directory, "private", NULL);
        f->address = g_strconcat("unix:path=", f->path, NULL);
        (void) g_strlcpy(address.sun_path, f->path, sizeof(address.sun_path));
        f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_return_code(f->fd, errno);
        assert_return_code(bind(f->fd, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_return_code(listen(f->fd, 4), errno);
        assert_return_code(
                sd_event_add_io(f->b->world->event, &f->source, f->fd, EPOLLIN, on_connection, f), 0);
        f->by_bus = g_string_new(NULL);
        f->by_direct = g_string_new(NULL);
        f->held = g_ptr_array_new_with_free_func(message_free);
        /* What the manager requests at its start has been answered. */
        bus_world_settle(f->b);
        assert_return_code(sd_bus_add_filter(f->b->client, NULL, on_bus_call, f), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        g_ptr_array_unref(f->held);
        systemd_close(f);
        sd_event_source_disable_unref(f->source);
        (void) close(f->fd);
        assert_return_code(bus_world_teardown((void **) &f->b), 0);
        assert_return_code(g_unlink(f->path), errno);
        assert_return_code(g_rmdir(f->directory), errno);
        g_string_free(f->by_bus, true);
        g_string_free(f->by_direct, true);
        g_free(f->directory);
        g_free(f->path);
        g_free(f->address);
        g_free(f);
        return 0;
}

static void answer_held(Fixture *f) {
        f->hold = false;
        for (guint i = 0; i < f->held->len; i++)
                assert_return_code(sd_bus_reply_method_return(f->held->pdata[i], NULL), 0);
        g_ptr_array_set_size(f->held, 0);
}

static void count_reply(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        unsigned *n = userdata;

        if (error)
                fail_msg("%s", error->message);
        (*n)++;
}

static void count_job(void *userdata, const char *result, const sd_bus_error *error) {
        count_reply(userdata, NULL, error);
}

static void kill_unit(Fixture *f, unsigned *n) {
        manager_kill_unit(f->b->manager, "cam.scope", SIGTERM, count_reply, n, NULL);
}

static void create_unit(Fixture *f, unsigned *n) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = manager_new_call(f->b->manager, &m, "StartTransientUnit");
        manager_create_units(f->b->manager, r, m, MANAGER_TIMEOUT_USEC, count_job, n, NULL);
}

static void assert_calls(Fixture *f, const char *by_bus, const char *by_direct) {
        assert_string_equal(f->by_bus->str, by_bus);
        assert_string_equal(f->by_direct->str, by_direct);
        g_string_truncate(f->by_bus, 0);
        g_string_truncate(f->by_direct, 0);
}

static void send_signal(sd_bus *bus, const char *member, const char *types, ...) {
        g_autoptr(sd_bus_message) m = NULL;
        va_list ap;

        assert_return_code(sd_bus_message_new_signal(bus, &m, MANAGER_PATH, MANAGER_INTERFACE, member), 0);
        assert_return_code(sd_bus_message_set_sender(m, ":1.1"), 0);
        va_start(ap, types);
        assert_return_code(sd_bus_message_appendv(m, types, ap), 0);
        va_end(ap);
        assert_return_code(sd_bus_send(bus, m, NULL), 0);
}

/* The signals of another one would be dropped. */
static void say_owner(Fixture *f) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(sd_bus_message_new_signal(f->b->client, &m, "/org/freedesktop/DBus",
                                   "org.freedesktop.DBus", "NameOwnerChanged"),
                0);
        assert_return_code(sd_bus_message_set_sender(m, "org.freedesktop.DBus"), 0);
        assert_return_code(sd_bus_message_append(m, "sss", MANAGER_BUS_NAME, "", ":1.1"), 0);
        assert_return_code(sd_bus_send(f->b->client, m, NULL), 0);
        bus_world_settle(f->b);
        g_string_truncate(f->by_bus, 0); /* the subscription, and what was asked of systemd at first */
}

/* Only while it is wanted, and until it has answered. */
static void test_wanted(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        kill_unit(f, &n);
        world_wait(f->b->world, n == 1);
        assert_calls(f, "KillUnit ", "");

        manager_set_direct(f->b->manager, f->address);
        assert_int_equal(f->n_accepted, 0); /* nothing is to be called */
        kill_unit(f, &n);
        kill_unit(f, &n);
        world_wait(f->b->world, n == 3);
        assert_calls(f, "", "KillUnit KillUnit ");
        assert_int_equal(f->n_accepted, 1);

        f->hold = true;
        kill_unit(f, &n);
        world_wait(f->b->world, f->held->len == 1);
        manager_set_direct(f->b->manager, NULL);
        f->hold = false;
        kill_unit(f, &n);
        world_wait(f->b->world, n == 4);
        assert_calls(f, "KillUnit ", "KillUnit ");
        assert_true(sd_bus_is_open(f->systemd) > 0);
        answer_held(f);
        world_wait(f->b->world, n == 5);
        world_wait(f->b->world, sd_bus_is_open(f->systemd) <= 0);
}

/* A call does not overtake those that the bus still has, unless it creates something. */
static void test_order(void **state) {
        Fixture *f = *state;
        unsigned n = 0, n_jobs = 0;

        say_owner(f);
        f->hold = true;
        kill_unit(f, &n);
        world_wait(f->b->world, f->held->len == 1);
        f->hold = false;
        manager_set_direct(f->b->manager, f->address);
        manager_stop_unit(f->b->manager, "cam.scope", NULL, NULL, NULL);
        create_unit(f, &n_jobs);
        world_wait(f->b->world, f->by_direct->len > 0);
        bus_world_settle(f->b);
        assert_calls(f, "KillUnit StopUnit ", "StartTransientUnit ");

        /* The job ends by the faster way, once. */
        send_signal(f->systemd, "JobRemoved", "uoss", 5, MANAGER_PATH "/job/5", "cam.scope", "done");
        world_wait(f->b->world, n_jobs == 1);
        send_signal(f->b->client, "JobRemoved", "uoss", 5, MANAGER_PATH "/job/5", "cam.scope", "done");
        bus_world_settle(f->b);
        assert_int_equal(n_jobs, 1);

        answer_held(f);
        world_wait(f->b->world, n == 1);
        kill_unit(f, &n);
        world_wait(f->b->world, n == 2);
        assert_calls(f, "", "KillUnit ");
}

/* What systemd has sent by the bus before this connection is still on its way. */
static void test_barrier(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        manager_set_direct(f->b->manager, f->address);
        manager_barrier(f->b->manager, count_reply, &n, NULL);
        world_wait(f->b->world, n == 1);
        assert_calls(f, "Ping ", "");
}

static void count_shutdown(void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

static void send_job(sd_bus *bus, unsigned job) {
        send_signal(bus, "JobNew", "uos", job, MANAGER_PATH "/job/x", "shutdown.target");
}

/* systemd sends each signal by both ways. */
static void test_signals_once(void **state) {
        Fixture *f = *state;
        unsigned n = 0, n_shutdowns = 0;

        manager_watch_shutdown(f->b->manager, count_shutdown, &n_shutdowns);
        say_owner(f);
        manager_set_direct(f->b->manager, f->address);
        kill_unit(f, &n);
        world_wait(f->b->world, n == 1);
        send_job(f->systemd, 7);
        send_job(f->systemd, 9);
        world_wait(f->b->world, n_shutdowns == 2);
        send_job(f->b->client, 7);
        send_job(f->b->client, 9);
        bus_world_settle(f->b);
        assert_int_equal(n_shutdowns, 2);
        /* From before the direct connection, and from after it. */
        send_job(f->b->client, 6);
        send_job(f->b->client, 10);
        bus_world_settle(f->b);
        assert_int_equal(n_shutdowns, 4);
}

/* In the middle of a call. */
static void hang_up(Fixture *f, unsigned *n) {
        f->hold = true;
        kill_unit(f, n);
        world_wait(f->b->world, f->held->len == 1);
        f->hold = false;
        g_ptr_array_set_size(f->held, 0);
        systemd_close(f);
}

/* The calls are made again, by the bus. A connection that has worked is opened again. */
static void test_lost(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        manager_set_direct(f->b->manager, f->address);
        kill_unit(f, &n);
        world_wait(f->b->world, n == 1);
        hang_up(f, &n);
        world_wait(f->b->world, n == 2);
        assert_calls(f, "KillUnit ", "KillUnit KillUnit ");
        kill_unit(f, &n);
        world_wait(f->b->world, n == 3);
        assert_calls(f, "", "KillUnit ");
        assert_int_equal(f->n_accepted, 2);
}

/* It is not tried for each call. */
static void test_broken(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        manager_set_direct(f->b->manager, f->address);
        hang_up(f, &n);
        world_wait(f->b->world, n == 1);
        kill_unit(f, &n);
        world_wait(f->b->world, n == 2);
        assert_calls(f, "KillUnit KillUnit ", "KillUnit ");
        assert_int_equal(f->n_accepted, 1);

        manager_set_direct(f->b->manager, "unix:path=/nonexistent/private");
        kill_unit(f, &n);
        world_wait(f->b->world, n == 3);
        assert_calls(f, "KillUnit ", "");
        manager_set_direct(f->b->manager, f->address);
        kill_unit(f, &n);
        world_wait(f->b->world, n == 4);
        assert_calls(f, "", "KillUnit ");
}

#define DIRECT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                DIRECT_TEST(test_wanted),
                DIRECT_TEST(test_order),
                DIRECT_TEST(test_barrier),
                DIRECT_TEST(test_signals_once),
                DIRECT_TEST(test_lost),
                DIRECT_TEST(test_broken),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
