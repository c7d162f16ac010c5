/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A state directory of version 1 of the files, unchanged. Each later version of the service must read it. */

#include "model/auto-start.h"
#include "model/events.h"
#include "model/leases.h"
#include "model/ports.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/env.h"
#include "model/event-log.h"
#include "model/monitor.h"
#include "model/role-state.h"

typedef struct Fixture {
        TestWorld *world;
        char *path;
        int dir_fd;
        RoleStore store;
} Fixture;

static char *file_of(Fixture *f, const char *name) {
        return g_build_filename(f->path, name, NULL);
}

static char *read_text(Fixture *f, const char *name) {
        g_autofree char *path = file_of(f, name);
        char *text;

        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

static void open_state(Fixture *f) {
        Events *events;

        assert_return_code(events_open(f->dir_fd, &events), 0);
        world_new_node(f->world, events);
        /* The objects in memory are replaced by those of the directory. */
        (void) env_close(f->world->node->env);
        (void) monitor_close(f->world->node->monitor);
        (void) ports_close(f->world->node->ports);
        (void) auto_start_close(f->world->node->auto_start);
        (void) leases_close(f->world->node->leases);
        assert_return_code(node_open_state(f->world->node, f->dir_fd, -1), 0);
        if (f->store.roles_fd < 0)
                assert_return_code(role_store_open(f->dir_fd, &f->store), 0);
        assert_return_code(role_state_load_all(&f->store, f->world->node), 0);
        node_restore_events(f->world->node);
}

/* The original directory is only read; the test uses a copy. */
static int setup(void **state) {
        Fixture *f = g_new0(Fixture, 1);
        const char *source = required_environment("STATE_OF_1");
        g_autofree char *command = NULL;

        test_world_setup((void **) &f->world);
        f->path = g_dir_make_tmp("test-state-XXXXXX", NULL);
        assert_non_null(f->path);
        command = g_strdup_printf("cp -r '%s'/. '%s'", source, f->path);
        assert_int_equal(system(command), 0);
        f->dir_fd = open(f->path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(f->dir_fd, errno);
        f->store = (RoleStore){ -EBADF, -EBADF };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        void *world = f->world;
        g_autofree char *command = g_strdup_printf("rm -r -- '%s'", f->path);

        f->world->node = node_free(f->world->node); /* before its files */
        role_store_close(&f->store);
        (void) fd_close(f->dir_fd);
        assert_int_equal(system(command), 0);
        g_free(f->path);
        g_free(f);
        return test_world_teardown(&world);
}

static Role *get(Fixture *f, const char *name) {
        Role *role = g_hash_table_lookup(f->world->node->roles, name);

        assert_non_null(role);
        return role;
}

/* No file was renamed as damaged, in any directory. */
static void assert_all_read(Fixture *f) {
        static const char *const directories[] = { ".", ROLE_STATE_DIRECTORY, ROLE_PREVIOUS_DIRECTORY,
                EVENT_LOG_DIRECTORY };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                g_autofree char *path = file_of(f, directories[i]);
                g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
                const char *name;

                assert_non_null(dir);
                while ((name = g_dir_read_name(dir)))
                        if (strstr(name, "damaged"))
                                fail_msg("there is %s/%s", directories[i], name);
        }
}

static int count_event(void *userdata, const Event *event) {
        unsigned *n = userdata;

        (*n)++;
        assert_int_equal(event->sequence, *n);
        return 0;
}

static void test_is_read(void **state) {
        Fixture *f = *state;
        Node *node;
        g_auto(Fault) fault = {};
        const char *value;
        unsigned n = 0;
        Role *role;

        open_state(f);
        node = f->world->node;
        assert_all_read(f);
        assert_int_equal(g_hash_table_size(node->roles), 4);

        role = get(f, "running");
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(g_strv_length(role->spec->command), 4);
        assert_string_equal(role->spec->command[2], "read x");
        assert_string_equal(role->spec->command[3], "\303\244 b");
        assert_string_equal(role->spec->environment[0], "K=v");
        assert_string_equal(role->spec->working_directory, "/");
        assert_int_equal(role->spec->stdin_kind, ROLE_STDIN_PIPE);
        assert_string_equal(role->spec->output_path, "/tmp/out");
        assert_int_equal(role->spec->stop_signal, 2);
        assert_true(role->spec->stop_timeout_usec == 7000000);
        assert_int_equal(role->spec->nice, 3);
        assert_true(role->child == 1);
        assert_true(role->main_pid > 1);
        assert_int_equal(role->started_sequence, 1);

        role = get(f, "ended");
        assert_int_equal(role->state, ROLE_ENDED);
        assert_true(role->swept);
        assert_int_equal(role->exit.code, EXIT_CODE_EXITED);
        assert_int_equal(role->exit.status, 5);

        role = get(f, "again");
        assert_int_equal(role->state, ROLE_STARTING);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        assert_non_null(role->predecessor);
        assert_int_equal(role->predecessor->exit.status, 6);

        role = get(f, "stopping");
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_int_equal(role->cause, ROLE_CAUSE_STOP);
        assert_int_equal(role->stop_step, STOP_STEP_ASKED);
        assert_true(role->stop_deadline > 0 && role->stop_deadline != USEC_INFINITY);

        assert_return_code(env_get(node->env, 0, "NAME", &value, &fault), 0);
        assert_string_equal(value, "two\nlines");
        assert_true(env_get(node->env, 0, "PATH", &value, &fault) < 0); /* it was unset */
        assert_true(monitor_timeout(node->monitor) == 3600 * USEC_PER_SEC);
        assert_true(monitor_deadline(node->monitor) > 0);

        assert_int_equal(events_sequence(node->events), 6);
        assert_return_code(events_read(node->events, 0, count_event, &n), 0);
        assert_int_equal(n, 6);
        /* No child of the previous process is taken for one of the new process. */
        assert_int_equal(node->next_child, 6);
}

static void add_text(Fixture *f, const char *name, const char *more) {
        g_autofree char *path = file_of(f, name), *text = read_text(f, name),
                        *both = g_strconcat(text, more, NULL);

        assert_true(g_file_set_contents(path, both, -1, NULL));
}

static void assert_kept(Fixture *f, const char *name, const char *part) {
        g_autofree char *text = read_text(f, name);

        assert_contains(text, part);
}

/* A later version has written the files, and the roles with unknown fields. They are read, and kept when they
 * are written. */
static void test_of_the_next_version(void **state) {
        Fixture *f = *state;
        static const char *const files[] = { "roles/running", "roles/ended", "roles/again", "roles/stopping",
                "previous/again" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                g_autofree char *path = file_of(f, files[i]), *text = read_text(f, files[i]);
                g_auto(GStrv) parts = g_strsplit(text, "VERSION=1\n", 2);
                g_autofree char *next = g_strconcat(parts[0], "VERSION=2\nTERMINAL=of\\nnext\n", parts[1],
                        "TERMINAL_SIZE=80\nTERMINAL_SIZE=24\n", NULL);

                assert_non_null(parts[1]);
                assert_true(g_file_set_contents(path, next, -1, NULL));
        }
        add_text(f, "environment", "#VERSION=2\n#COLOUR=blue\n# of the sky\n");
        add_text(f, "monitor", "VERSION=2\nCOLOUR=blue\n");
        open_state(f);
        assert_all_read(f);
        assert_int_equal(g_hash_table_size(f->world->node->roles), 4);
        assert_return_code(env_set(f->world->node->env, 0, "ONE", "more", NULL), 0);
        assert_return_code(monitor_beat(f->world->node->monitor, NULL), 0);
        assert_kept(f, "environment", "\n#VERSION=1\n#COLOUR=blue\n");
        assert_kept(f, "monitor", "\nVERSION=1\nCOLOUR=blue\n");
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                const char *slash = strchr(files[i], '/');
                Role *role = get(f, slash + 1);

                if (g_str_has_prefix(files[i], ROLE_PREVIOUS_DIRECTORY))
                        role = role->predecessor;
                assert_return_code(role_state_save(&f->store, role), 0);
                g_autofree char *text = read_text(f, files[i]);
                assert_contains(text, "\nTERMINAL=of\\nnext\n");
                assert_contains(text, "\nTERMINAL_SIZE=80\nTERMINAL_SIZE=24\n");
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_is_read),
                TEST(test_of_the_next_version),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
