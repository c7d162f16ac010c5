/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The private socket, with a real one: who may connect, what is there, and what happens to calls whose
 * connection or service ends. */

#include "bus-world.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/clients-private.h"
#include "bus/private.h"
#include "util/autoptr.h"

typedef struct Fixture {
        BusWorld *b;
        char *directory, *path;
        sd_bus *bus; /* of a client of the socket */
} Fixture;

static void client_open(Fixture *f) {
        g_autofree char *address = g_strdup_printf("unix:path=%s", f->path);

        assert_return_code(sd_bus_new(&f->bus), 0);
        assert_return_code(sd_bus_set_address(f->bus, address), 0);
        assert_return_code(sd_bus_start(f->bus), 0);
        assert_return_code(sd_bus_attach_event(f->bus, f->b->world->event, SD_EVENT_PRIORITY_NORMAL), 0);
        bus_world_settle(f->b);
}

static void client_close(Fixture *f) {
        sd_bus_close_unref(f->bus);
        f->bus = NULL;
        bus_world_settle(f->b);
}

static int setup(void **state) {
        Fixture *f = g_new0(Fixture, 1);

        assert_return_code(bus_world_setup((void **) &f->b), 0);
        f->directory = g_dir_make_tmp("test-bus-private-XXXXXX", NULL);
        assert_non_null(f->directory);
        f->path = g_build_filename(f->directory, "private", NULL);
        assert_return_code(private_new(f->b->clients, f->directory, &f->b->clients->private), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        /* This end of the connection first, or the teardown of the world counts its descriptor. */
        if (f->bus)
                client_close(f);
        assert_return_code(bus_world_teardown((void **) &f->b), 0);
        assert_int_equal(access(f->path, F_OK), -1);
        assert_return_code(g_rmdir(f->directory), errno);
        g_free(f->directory);
        g_free(f->path);
        g_free(f);
        return 0;
}

static void call_private(Fixture *f, Call *call, const char *sender, const char *path, const char *interface,
        const char *member) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(
                sd_bus_message_new_method_call(f->bus, &m, NODE_BUS_NAME, path, interface, member), 0);
        if (sender)
                assert_return_code(sd_bus_message_set_sender(m, sender), 0);
        call_send_on(f->bus, call, m);
        bus_world_settle(f->b);
}

static void assert_returned(const Call *call) {
        assert_int_equal(call->n, 1);
        assert_false(sd_bus_message_is_method_error(call->reply, NULL));
}

/* The kernel says who it is, so the bus is not asked, whatever the client says. Only the owner of the
 * service passes the check of Beat. */
static void test_caller(void **state) {
        Fixture *f = *state;
        g_auto(Call) beat = {}, other = {};
        struct stat st;

        assert_return_code(stat(f->path, &st), errno);
        assert_int_equal(st.st_mode & 0777, 0600);
        f->b->uid = 1001;
        client_open(f);
        call_private(f, &beat, NULL, NODE_PATH, NODE_INTERFACE, "Beat");
        assert_returned(&beat);
        call_private(f, &other, ":1.5", NODE_PATH, NODE_INTERFACE, "Beat");
        assert_returned(&other);
        assert_int_equal(f->b->n_asked, 0);
}

static void test_objects(void **state) {
        Fixture *f = *state;
        g_auto(Call) hello = {}, all = {}, options = {}, list = {};
        int command = 0;

        Role *role = world_run(f->b->world, "cam", NULL);
        forget_calls(f->b->world);
        client_open(f);
        /* A client that takes it for a bus. */
        call_private(f, &hello, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello");
        assert_returned(&hello);
        call_private(f, &list, NULL, NODE_PATH, NODE_INTERFACE, "ListRoles");
        assert_returned(&list);
        call_private(f, &all, NULL, NODE_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        assert_returned(&all);
        assert_true(sd_bus_message_enter_container(all.reply, 'a', "{oa{sa{sv}}}") > 0);
        while (sd_bus_message_enter_container(all.reply, 'e', "oa{sa{sv}}") > 0) {
                const char *object;

                assert_true(sd_bus_message_read(all.reply, "o", &object) > 0);
                command += g_str_equal(object, NODE_ROLE_PATH_PREFIX "/cam");
                assert_true(sd_bus_message_skip(all.reply, "a{sa{sv}}") > 0);
                assert_return_code(sd_bus_message_exit_container(all.reply), 0);
        }
        assert_int_equal(command, 1);
        call_private(f, &options, NULL, NODE_ROLE_PATH_PREFIX "/cam", NODE_ROLE_INTERFACE, "Kill");
        expect_calls(f->b->world, "set-direct(yes) save(cam) signal-cgroup(cam,9)");
        assert_int_equal(role->state, ROLE_STOPPING);
        client_close(f);
        expect_calls(f->b->world, "set-direct(no)");
}

/* -- a client that speaks the protocol itself -- */

static int client_connect(Fixture *f) {
        struct sockaddr_un sun = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_return_code(fd, errno);
        assert_in_range(g_strlcpy(sun.sun_path, f->path, sizeof(sun.sun_path)), 1, sizeof(sun.sun_path) - 1);
        assert_return_code(connect(fd, (struct sockaddr *) &sun, sizeof(sun)), errno);
        return fd;
}

static void client_write(Fixture *f, int fd, const void *data, size_t size) {
        assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
        bus_world_settle(f->b);
}

static void append_padding(GByteArray *bytes) {
        while (bytes->len % 8 != 0)
                g_byte_array_append(bytes, (const guint8 *) "", 1);
}

static void append_field(GByteArray *bytes, guint8 code, char type, const char *value) {
        const guint8 head[] = { code, 1, (guint8) type, 0 };
        const guint32 size = (guint32) strlen(value);

        append_padding(bytes);
        g_byte_array_append(bytes, head, sizeof(head));
        g_byte_array_append(bytes, (const guint8 *) &size, sizeof(size));
        g_byte_array_append(bytes, (const guint8 *) value, size + 1);
}

/* A call without arguments. */
static GByteArray *call_bytes(guint32 serial, const char *path, const char *interface, const char *member) {
        GByteArray *bytes = g_byte_array_new();
        const guint8 head[] = { G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B', 1, 0, 1 };
        const guint32 numbers[] = { 0, serial, 0 };

        g_byte_array_append(bytes, head, sizeof(head));
        g_byte_array_append(bytes, (const guint8 *) numbers, sizeof(numbers));
        append_field(bytes, 1, 'o', path);
        append_field(bytes, 2, 's', interface);
        append_field(bytes, 3, 's', member);
        const guint32 fields = bytes->len - sizeof(head) - sizeof(numbers);
        memcpy(bytes->data + sizeof(head) + 2 * sizeof(guint32), &fields, sizeof(fields));
        append_padding(bytes);
        return bytes;
}

#define AUTH "\0AUTH EXTERNAL\r\nDATA\r\n"
#define BEGIN "BEGIN\r\n"

/* Without its end. */
static int client_authenticate(Fixture *f) {
        char reply[256];

        int fd = client_connect(f);
        client_write(f, fd, AUTH, sizeof(AUTH) - 1);
        assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
        return fd;
}

/* A client may send its first calls with the end of the authentication, as all do but sd-bus. A service that
 * is late reads them at once, and nothing more arrives that would wake it. The buffer of sd-bus for the
 * authentication has room for both calls. */
static void test_early_calls(void **state) {
        Fixture *f = *state;
        g_autoptr(GByteArray) bytes = g_byte_array_new(),
                              hello = call_bytes(1, "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"),
                              ping = call_bytes(2, "/", "org.freedesktop.DBus.Peer", "Ping");
        char reply[1024];
        guint n = 0;
        ssize_t size;

        int fd = client_authenticate(f);
        g_byte_array_append(bytes, (const guint8 *) BEGIN, sizeof(BEGIN) - 1);
        g_byte_array_append(bytes, hello->data, hello->len);
        g_byte_array_append(bytes, ping->data, ping->len);
        assert_in_range(bytes->len, 1, 256 - (sizeof(AUTH) - 1));
        client_write(f, fd, bytes->data, bytes->len);
        size = recv(fd, reply, sizeof(reply), 0);
        assert_return_code(size, errno);
        /* The two replies. */
        for (ssize_t at = 0; at < size; n++) {
                guint32 body, fields;

                assert_int_equal(reply[at + 1], 2);
                memcpy(&body, reply + at + 4, sizeof(body));
                memcpy(&fields, reply + at + 12, sizeof(fields));
                at += 16 + ((fields + 7) & ~7U) + body;
        }
        assert_int_equal(n, 2);
        (void) close(fd);
        bus_world_settle(f->b);
}

/* What is no message ends the connection at once. So does the client, whatever it has sent. */
static void test_early_end(void **state) {
        static const char garbage[] = BEGIN "This is not a message of the bus.";
        Fixture *f = *state;
        g_autoptr(GByteArray) hello = call_bytes(1, "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello");
        char reply[256];

        int fd = client_authenticate(f);
        client_write(f, fd, garbage, sizeof(garbage));
        assert_int_equal(recv(fd, reply, sizeof(reply), 0), 0);
        (void) close(fd);

        fd = client_authenticate(f);
        g_byte_array_prepend(hello, (const guint8 *) BEGIN, sizeof(BEGIN) - 1);
        assert_int_equal(send(fd, hello->data, hello->len, MSG_NOSIGNAL), hello->len);
        (void) close(fd);
        bus_world_settle(f->b);
}

/* Another user has no connection, whatever the mode of the file is. */
static void test_other_user(void **state) {
        Fixture *f = *state;

        authority_set_user(f->b->clients->authority, 1001);
        client_open(f);
        assert_int_equal(sd_bus_is_open(f->bus), 0);
        authority_set_user(f->b->clients->authority, 0);
}

/* Calls wait until the roles are up to date. A client that leaves before loses only its reply. */
static void test_held(void **state) {
        Fixture *f = *state;
        g_auto(Call) lost = {}, list = {};

        f->b->world->node->recovered = false;
        client_open(f);
        call_private(f, &lost, NULL, NODE_PATH, NODE_INTERFACE, "ListRoles");
        assert_int_equal(g_queue_get_length(f->b->clients->held), 1);
        client_close(f);
        client_open(f);
        call_private(f, &list, NULL, NODE_PATH, NODE_INTERFACE, "ListRoles");
        assert_int_equal(list.n, 0);
        f->b->world->node->recovered = true;
        ASK(f->b->world->node, clients, recovered);
        bus_world_settle(f->b);
        assert_returned(&list);
}

/* The service ends while a client is connected and a call waits. */
static void test_leaving(void **state) {
        Fixture *f = *state;
        g_auto(Call) list = {};

        f->b->world->node->recovered = false;
        client_open(f);
        call_private(f, &list, NULL, NODE_PATH, NODE_INTERFACE, "ListRoles");
        assert_int_equal(list.n, 0);
        /* The teardown fails the call and closes the connection; the client reads what was sent. */
        f->b->clients->private = private_free(f->b->clients->private);
        bus_world_settle(f->b);
        assert_int_equal(list.n, 1);
        assert_true(sd_bus_message_is_method_error(list.reply, NULL));
        f->b->world->node->recovered = true;
}

/* What a killed process has left is no obstacle. */
static void test_remains(void **state) {
        Fixture *f = *state;
        g_auto(Call) beat = {};

        f->b->clients->private = private_free(f->b->clients->private);
        assert_true(g_file_set_contents(f->path, "", 0, NULL));
        assert_return_code(private_new(f->b->clients, f->directory, &f->b->clients->private), 0);
        client_open(f);
        call_private(f, &beat, NULL, NODE_PATH, NODE_INTERFACE, "Beat");
        assert_returned(&beat);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_caller, setup, teardown),
                cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_early_calls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_early_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_other_user, setup, teardown),
                cmocka_unit_test_setup_teardown(test_held, setup, teardown),
                cmocka_unit_test_setup_teardown(test_leaving, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remains, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
