/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which roles AutoStart=yes starts, when, and what the file "auto-start" keeps of it. */

#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/auto-start.h"
#include "model/definitions.h"
#include "model/role-recover.h"
#include "util/log.h"

typedef struct Fixture {
        char *top; /* has main.roles.d, and is the runtime directory */
        int fd;
        TestWorld *world;
} Fixture;

static const char *const files[] = { "main.roles.d/a.role", "main.roles.d/b.role", "main.roles.d/c.role",
        "main.roles.d/d.role" };

static void write_file(Fixture *f, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(f->top, name, NULL);

        assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
}

static void load_definitions(Fixture *f) {
        const char *const directories[] = { f->top, NULL };
        const DefinitionsPlace place = { directories, "main", 0 };
        Definitions *definitions = NULL;

        assert_return_code(definitions_load(&place, &definitions, NULL), 0);
        node_set_definitions(f->world->node, definitions);
}

/* A process of the service, which has read its state and the definitions. */
static void process_begin(Fixture *f) {
        f->world = test_world_new();
        world_new_node(f->world, NULL);
        auto_start_close(f->world->node->auto_start);
        f->world->node->auto_start = auto_start_open(f->fd);
        load_definitions(f);
}

/* Its roles are up to date, after the keeper has listed its children. */
static void process_recover(Fixture *f) {
        node_on_keeper(f->world->node, NULL, 0);
}

static void process_start(Fixture *f) {
        process_begin(f);
        process_recover(f);
}

/* Leaves the roles, as a restart does. */
static void process_end(Fixture *f) {
        f->world = test_world_free(f->world);
}

/* A clean end, as "systemctl stop" does. */
static void process_stop(Fixture *f) {
        node_forget_state(f->world->node, true);
        process_end(f);
}

static bool file_exists(Fixture *f) {
        return faccessat(f->fd, AUTO_START_FILE, F_OK, 0) >= 0;
}

static int setup(void **state) {
        Fixture *f = g_new0(Fixture, 1);
        g_autofree char *directory = NULL;

        log_set_max_level(LOG_EMERG);
        f->top = g_dir_make_tmp("test-auto-start-XXXXXX", NULL);
        directory = g_build_filename(f->top, "main.roles.d", NULL);
        assert_return_code(mkdir(directory, 0755), errno);
        f->fd = open(f->top, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(f->fd, errno);
        write_file(f, files[0], "[Role]\nCommand=/a\nAutoStart=yes\n");
        write_file(f, files[1], "[Role]\nCommand=/b\nAutoStart=yes\nNice=3\n");
        write_file(f, files[2], "[Role]\nCommand=/c\n");
        write_file(f, files[3], "[Role]\nCommand=/d\nAutoStart=yes\nColour=blue\n");
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        if (f->world)
                process_end(f);
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                (void) unlinkat(f->fd, files[i], 0);
        (void) unlinkat(f->fd, "main.roles.d", AT_REMOVEDIR);
        (void) unlinkat(f->fd, AUTO_START_FILE, 0);
        (void) unlinkat(f->fd, AUTO_START_FILE ".damaged", 0);
        (void) fd_close(f->fd);
        assert_return_code(g_rmdir(f->top), errno);
        g_free(f->top);
        g_free(f);
        return 0;
}

/* The roles that exist, by name. */
static void assert_roles(Fixture *f, const char *want) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (char name[2] = "a"; name[0] <= 'd'; name[0]++)
                if (world_find(f->world, name))
                        g_string_append(text, name);
        assert_string_equal(text->str, want);
}

static void test_first_start(void **state) {
        Fixture *f = *state;

        process_start(f);
        assert_roles(f, "ab");
        const Role *role = world_find(f->world, "b");
        assert_int_equal(role->spec->nice, 3);
        assert_non_null(role->spec->definition);
        assert_true(role->owner.known);
        assert_int_equal(role->owner.uid, 0);
        assert_true(file_exists(f));
}

/* After a restart, a crash or an upgrade nothing is started, whatever the files say by now. */
static void test_restart(void **state) {
        Fixture *f = *state;

        process_start(f);
        process_end(f);
        write_file(f, files[2], "[Role]\nCommand=/c\nAutoStart=yes\n");
        process_start(f);
        assert_roles(f, "");
        /* Nor by a reload. */
        load_definitions(f);
        assert_roles(f, "");
}

static void test_stop_and_start(void **state) {
        Fixture *f = *state;

        process_start(f);
        process_stop(f);
        assert_false(file_exists(f)); /* nothing remains */
        process_start(f);
        assert_roles(f, "ab");
}

static void stop_role(Fixture *f, const char *name, RoleCause cause) {
        node_stop_role(f->world->node, world_find(f->world, name), cause, NULL, (Waiter){});
}

static void test_stopped_by_hand(void **state) {
        Fixture *f = *state;

        process_start(f);
        stop_role(f, "a", ROLE_CAUSE_STOP);
        process_stop(f);
        assert_true(file_exists(f));
        process_start(f);
        assert_roles(f, "b");
        stop_role(f, "b", ROLE_CAUSE_KILL);
        process_end(f);
        process_start(f);
        process_stop(f);
        process_start(f);
        assert_roles(f, "");

        /* Until somebody starts it. */
        (void) world_start(f->world, "a", NULL, NULL);
        process_stop(f);
        process_start(f);
        assert_roles(f, "a");
}

/* Many at once are saved once, before anybody hears of them. */
static void test_hold(void **state) {
        Fixture *f = *state;
        struct stat before, held, released;

        process_start(f);
        assert_return_code(fstatat(f->fd, AUTO_START_FILE, &before, 0), errno);
        auto_start_hold(f->world->node);
        stop_role(f, "a", ROLE_CAUSE_STOP);
        stop_role(f, "b", ROLE_CAUSE_STOP);
        assert_return_code(fstatat(f->fd, AUTO_START_FILE, &held, 0), errno);
        auto_start_release(f->world->node);
        assert_return_code(fstatat(f->fd, AUTO_START_FILE, &released, 0), errno);
        assert_true(held.st_ino == before.st_ino && held.st_size == before.st_size);
        assert_true(released.st_size > held.st_size);
        process_stop(f);
        process_start(f);
        assert_roles(f, "");

        /* Without a change nothing is written. */
        assert_return_code(fstatat(f->fd, AUTO_START_FILE, &before, 0), errno);
        auto_start_hold(f->world->node);
        auto_start_release(f->world->node);
        assert_return_code(fstatat(f->fd, AUTO_START_FILE, &released, 0), errno);
        assert_int_equal(released.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

/* The end of the service stops them, too, which is not by hand. */
static void test_shutdown(void **state) {
        Fixture *f = *state;

        process_start(f);
        node_shutdown(f->world->node, "", NULL);
        process_stop(f);
        process_start(f);
        assert_roles(f, "ab");
        /* In a shutdown nothing is started. */
        process_stop(f);
        process_begin(f);
        f->world->node->stopping = true;
        process_recover(f);
        assert_roles(f, "");
        assert_false(file_exists(f)); /* the next start does it */
}

static void test_reboot(void **state) {
        Fixture *f = *state;
        static const char *const boots[] = { "00000000000000000000000000000001",
                "00000000000000000000000000000002" };

        assert_true(g_setenv("ARCHITECT_BOOT_ID", boots[0], true));
        process_start(f);
        stop_role(f, "a", ROLE_CAUSE_STOP);
        process_end(f);
        assert_true(g_setenv("ARCHITECT_BOOT_ID", boots[1], true));
        process_start(f);
        assert_roles(f, "ab");
        g_unsetenv("ARCHITECT_BOOT_ID");
}

/* A process that has died in between has started some. */
static void test_crash(void **state) {
        Fixture *f = *state;

        process_start(f);
        auto_start_end(f->world->node->auto_start, false);
        process_end(f);
        process_begin(f);
        const Role *role = world_start(f->world, "a", NULL, NULL);
        process_recover(f);
        assert_roles(f, "ab");
        assert_ptr_equal(world_find(f->world, "a"), role);
        assert_null(role->spec->definition);
}

/* A version without the file has left a role: this is its upgrade. */
static void test_upgrade(void **state) {
        Fixture *f = *state;

        process_begin(f);
        (void) world_start(f->world, "c", NULL, NULL);
        process_recover(f);
        assert_roles(f, "c");
}

static void test_damaged(void **state) {
        static const char *const bad[] = { "nonsense", "", "VERSION=1\nSTOPPED=a/b\n", "DONE=0\n",
                "VERSION=1\nDONE=maybe\n" };
        Fixture *f = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                assert_return_code(file_replace(f->fd, AUTO_START_FILE, bad[i], strlen(bad[i])), 0);
                process_start(f);
                assert_roles(f, "");
                assert_return_code(faccessat(f->fd, AUTO_START_FILE ".damaged", F_OK, 0), errno);
                assert_return_code(unlinkat(f->fd, AUTO_START_FILE ".damaged", 0), errno);
                process_end(f);
        }
}

/* A newer version keeps its fields. */
static void test_unknown_fields(void **state) {
        static const char newer[] = "VERSION=9\nCOLOUR=blue\nSTOPPED=a\n";
        g_autofree char *text = NULL, *path = NULL;
        Fixture *f = *state;

        assert_return_code(file_replace(f->fd, AUTO_START_FILE, newer, strlen(newer)), 0);
        process_start(f);
        assert_roles(f, "b");
        path = g_build_filename(f->top, AUTO_START_FILE, NULL);
        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        assert_contains(text, "\nCOLOUR=blue\n");
        assert_contains(text, "\nSTOPPED=a\n");
}

/* What cannot be started does not keep the others from it. */
static void test_cannot_start(void **state) {
        Fixture *f = *state;

        write_file(f, files[0], "[Role]\nCommand=/a\nAutoStart=yes\nTCPPorts=1\n");
        process_start(f);
        assert_roles(f, "b");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_first_start, setup, teardown),
                cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stop_and_start, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stopped_by_hand, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
                cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reboot, setup, teardown),
                cmocka_unit_test_setup_teardown(test_crash, setup, teardown),
                cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown_fields, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cannot_start, setup, teardown),
        };

        umask(022);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
