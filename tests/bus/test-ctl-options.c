/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What Start gets from "architectctl start -p KEY=VALUE": for each option of the table the same as from
 * D-Bus. The test is the bus and the service of a real architectctl. */

#include "bus-world.h"
#include "option-samples.h"
#include "spec-compare.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/start-options.h"
#include "util/autoptr.h"

static const char *program; /* architectctl */

typedef struct Server {
        char *directory, *path, *address;
        int fd;
        RoleSpec *spec; /* of the last Start */
        char *role;
        char *error; /* why that is refused */
} Server;

static int setup(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Server *s = g_new0(Server, 1);

        s->directory = g_dir_make_tmp("test-ctl-options-XXXXXX", NULL);
        assert_non_null(s->directory);
        s->path = g_build_filename(s->directory, "bus", NULL);
        s->address = g_strconcat("unix:path=", s->path, NULL);
        assert_true(
                g_strlcpy(address.sun_path, s->path, sizeof(address.sun_path)) < sizeof(address.sun_path));
        s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_return_code(s->fd, errno);
        assert_return_code(bind(s->fd, (const struct sockaddr *) &address, sizeof(address)), errno);
        assert_return_code(listen(s->fd, 1), errno);
        *state = s;
        return 0;
}

static void server_forget(Server *s) {
        s->spec = role_spec_free(s->spec);
        g_clear_pointer(&s->role, g_free);
        g_clear_pointer(&s->error, g_free);
}

static int teardown(void **state) {
        Server *s = *state;

        server_forget(s);
        (void) close(s->fd);
        (void) unlink(s->path);
        (void) rmdir(s->directory);
        g_free(s->directory);
        g_free(s->path);
        g_free(s->address);
        g_free(s);
        return 0;
}

/* -- the bus and the service -- */

static int server_on_start(sd_bus_message *m, Server *s) {
        g_autoptr(Definitions) none = definitions_new();
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *names = NULL;
        const char *role;

        server_forget(s);
        assert_return_code(sd_bus_message_read(m, "s", &role), 0);
        s->role = g_strdup(role);
        int r = start_options_read(m, none, role, &s->spec, &names, &error);
        if (r < 0)
                s->error = g_strdup(error.message);
        return sd_bus_reply_method_return(m, "o", NODE_ROLE_PATH_PREFIX "/cam");
}

static int server_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "Hello"))
                return sd_bus_reply_method_return(m, "s", CLIENT) < 0 ? -EIO : 1;
        if (sd_bus_message_is_method_call(m, NODE_INTERFACE, "Start"))
                return server_on_start(m, userdata) < 0 ? -EIO : 1;
        return 0;
}

/* Serves one client to its end. */
static void serve(Server *s) {
        const sd_id128_t id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
        g_autoptr(sd_bus) bus = NULL;
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

        assert_return_code(fd, errno);
        assert_return_code(sd_bus_new(&bus), 0);
        assert_return_code(sd_bus_set_fd(bus, fd, fd), 0);
        assert_return_code(sd_bus_set_server(bus, true, id), 0);
        assert_return_code(sd_bus_add_filter(bus, NULL, server_on_message, s), 0);
        assert_return_code(sd_bus_start(bus), 0);
        do {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        } while (r >= 0 || r == -EINTR);
        sd_bus_close(bus);
}

/* Runs architectctl start with these options for the role cam. Returns its exit status, and what it has
 * written to stderr. If it refuses an option, it does not connect. */
static int run_start(Server *s, char *const *properties, bool connects, char **ret_err) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_auto(GStrv) environment =
                g_environ_setenv(g_get_environ(), "DBUS_SESSION_BUS_ADDRESS", s->address, TRUE);
        g_autoptr(GString) text = g_string_new(NULL);
        int err, status;
        GPid pid;

        server_forget(s);
        g_ptr_array_add(argv, (char *) program);
        g_ptr_array_add(argv, (char *) "--user");
        g_ptr_array_add(argv, (char *) "start");
        for (char *const *p = properties; *p; p++) {
                g_ptr_array_add(argv, (char *) "-p");
                g_ptr_array_add(argv, *p);
        }
        for (const char *const *w = (const char *const[]){ "cam", "--", "/bin/echo", "", NULL }; *w; w++)
                g_ptr_array_add(argv, (char *) *w);
        g_ptr_array_add(argv, NULL);
        assert_true(g_spawn_async_with_pipes(NULL, (char **) argv->pdata, environment,
                G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL, NULL, &err, NULL));
        if (connects)
                serve(s);
        for (;;) {
                char buffer[4096];
                ssize_t n = read(err, buffer, sizeof(buffer));

                if (n <= 0)
                        break;
                g_string_append_len(text, buffer, n);
        }
        (void) close(err);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        *ret_err = g_string_free(g_steal_pointer(&text), FALSE);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* -- the tests -- */

static void test_each_option(void **state) {
        Server *s = *state;
        g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);

        assert_all_sampled();
        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                g_auto(GStrv) lines = g_strsplit(samples[i].text, "\n", -1);
                g_autoptr(RoleSpec) written = role_spec_new();
                g_auto(Fault) fault = {};
                g_autofree char *err = NULL;

                assert_return_code(test_spec_set_lines(written, "Command=/bin/echo \"\"", NULL, &fault), 0);
                const bool valid = test_spec_set_lines(written, samples[i].text, keys, &fault) >= 0;
                const int status = run_start(s, lines, valid, &err);
                if (!valid) { /* this machine does not support it */
                        assert_int_equal(fault.error, NODE_ERROR_NOT_SUPPORTED);
                        assert_int_equal(status, 1);
                        assert_contains(err, fault.message);
                        continue;
                }
                if (status != 0)
                        fail_msg("%s: status %d, \"%s\"", samples[i].text, status, err);
                const int r = role_spec_finish_terminal(written, &fault);
                if ((r < 0) != !s->spec)
                        fail_msg("%s: \"%s\", but \"%s\" by Start", samples[i].text, fault.message ?: "",
                                s->error ?: "");
                if (r < 0)
                        continue;
                assert_string_equal(s->role, "cam");
                for (size_t m = 0; m < ELEMENTSOF(spec_members); m++)
                        if (!same_member(&spec_members[m], s->spec, written))
                                fail_msg(
                                        "%s: %s is not what was said", samples[i].text, spec_members[m].name);
        }
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].file_key && !g_str_equal(role_options[i].file_key, "Command") &&
                        !g_hash_table_contains(keys, role_options[i].file_key))
                        fail_msg("%s= has no sample", role_options[i].file_key);
}

/* An empty value takes back what was said before, and "infinity" a limit of the scope. */
static void test_taken_back(void **state) {
        char *const nothing[] = { (char *) "Nice=5", (char *) "Nice=", (char *) "LimitCORE=0",
                (char *) "LimitCORE=", (char *) "TasksMax=infinity", (char *) "Environment=A=1",
                (char *) "Environment=", NULL };
        char *const one[] = { (char *) "LimitCORE=0", (char *) "LimitNOFILE=64",
                (char *) "LimitCORE=", NULL };
        Server *s = *state;
        g_autofree char *err = NULL, *other_err = NULL;

        assert_int_equal(run_start(s, nothing, true, &err), 0);
        assert_null(s->error);
        assert_false(s->spec->nice_set);
        assert_int_equal(s->spec->limits_set, 0);
        assert_int_equal(s->spec->tasks_max, 0);
        assert_null(s->spec->environment);
        assert_int_equal(run_start(s, one, true, &other_err), 0);
        assert_int_equal(s->spec->limits_set, UINT64_C(1) << RLIMIT_NOFILE);
        assert_int_equal(s->spec->limits[RLIMIT_NOFILE], 64);
}

/* What is the default may be said, and is sent. */
static void test_defaults(void **state) {
        char *const defaults[] = { (char *) "Restart=no", (char *) "Type=exec", (char *) "ExitType=main",
                (char *) "StopTo=all", (char *) "StandardInput=pipe", (char *) "StandardOutput=journal",
                NULL };
        char *const provider[] = { (char *) "ProductProvider=eups", NULL };
        Server *s = *state;
        g_autofree char *err = NULL, *other_err = NULL;

        assert_int_equal(run_start(s, defaults, true, &err), 0);
        if (s->error)
                fail_msg("%s", s->error);
        assert_int_equal(s->spec->restart, RESTART_NO);
        assert_int_equal(s->spec->type, ROLE_TYPE_EXEC);
        /* The service knows what is wrong with it. */
        assert_int_equal(run_start(s, provider, true, &other_err), 0);
        assert_null(s->error);
        assert_true(s->spec->provider_set);
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_option, setup, teardown),
                cmocka_unit_test_setup_teardown(test_taken_back, setup, teardown),
                cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        };

        g_assert(argc == 2);
        program = argv[1];
        return cmocka_run_group_tests_name("ctl-options", tests, NULL, NULL);
}
