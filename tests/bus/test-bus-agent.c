/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The composition of the rooms: the agent starts on a bus that does not reply, without a keeper. */

#include "test-world.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd-util.h"
#include "node/agent.h"
#include "util/log.h"

static int silent_bus(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *bus_address = g_strconcat("unix:path=", path, NULL);

        (void) g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_return_code(fd, errno);
        assert_return_code(bind(fd, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_return_code(listen(fd, 4), errno);
        assert_true(g_setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address, true));
        return fd;
}

static Instance *test_instance(const char *directory) {
        Instance *instance = g_new0(Instance, 1);

        *instance = (Instance){ .name = g_strdup("main"),
                .bus_name = g_strdup("org.architect.Node"),
                .keeper_unit = g_strdup("architect-keeper.service"),
                .runtime_directory = g_build_filename(directory, "run", NULL),
                .keeper_socket = g_build_filename(directory, "keeper", NULL),
                .settings_directory = g_build_filename(directory, "etc", NULL) };
        instance->definition_directories = g_strdupv((char *[]){ instance->settings_directory, NULL });
        return instance;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

/* Each side of the world is attached, so each has been checked by world_check(). */
static void test_every_side(void **state) {
        g_autoptr(Agent) agent = NULL;
        g_autofree char *directory = g_dir_make_tmp("agent-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(directory, "bus", NULL);
        sd_event *event;

        assert_non_null(directory);
        log_set_max_level(LOG_EMERG);
        autofd bus = silent_bus(path);
        assert_return_code(sd_event_new(&event), 0);
        assert_return_code(agent_new(event, test_instance(directory), &agent), 0);
        const NodeWorld *world = &agent->node->world;
        assert_ptr_equal(world->link.data, agent->children);
        assert_ptr_equal(world->scope.data, agent->scopes);
        assert_ptr_equal(world->store.data, &agent->store);
        assert_ptr_equal(world->clients.data, agent->clients);
        assert_ptr_equal(world->service.data, agent);

        bus = fd_close(bus); /* its end would wait for the reply of the bus */
        agent = agent_free(agent);
        sd_event_unref(event);
        assert_int_equal(nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_side),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
