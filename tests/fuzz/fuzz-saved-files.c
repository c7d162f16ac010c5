/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The small files of the node. The first byte of an input selects one: e the environment, m the monitor, p
 * the ports, s the shutdown. The rest is the file. What is read is valid, and a damaged file is set aside, so
 * that the next process does not find it. */

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "model/auto-start.h"
#include "model/env.h"
#include "model/events.h"
#include "model/leases.h"
#include "model/monitor.h"
#include "model/node-setup.h"
#include "model/node.h"
#include "model/ports.h"
#include "model/role.h"
#include "model/shutdown-state.h"
#include "util/log.h"

/* In memory, because a disk would be slow. */
static char directory[] = "/dev/shm/architect-fuzz-XXXXXX";
static int dir_fd;

static const struct {
        char kind;
        const char *name, *aside;
} files[] = {
        { 'a', AUTO_START_FILE, AUTO_START_FILE ".damaged" },
        { 'e', "environment", "environment.damaged" },
        { 'l', "leases", "leases.damaged" },
        { 'm', "monitor", "monitor.damaged" },
        { 'p', "ports", "ports.damaged" },
        { 's', SHUTDOWN_FILE, SHUTDOWN_FILE ".damaged" },
        { 't', "lease-tokens", "lease-tokens.damaged" },
};

static void remove_files(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                (void) unlinkat(dir_fd, files[i].name, 0);
                (void) unlinkat(dir_fd, files[i].aside, 0);
        }
}

static void remove_directory(void) {
        remove_files();
        (void) rmdir(directory);
}

static void prepare(void) {
        static bool prepared;

        if (prepared)
                return;
        prepared = true;
        log_set_max_level(LOG_EMERG);
        fuzz_check(g_mkdtemp(directory) && atexit(remove_directory) == 0);
        dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fuzz_check(dir_fd >= 0);
}

static void check_variables(Env *env, uid_t uid) {
        g_auto(GStrv) variables = env_list(env, uid);

        for (char **v = variables; *v; v++) {
                g_autofree char *name = g_strndup(*v, strcspn(*v, "="));

                fuzz_check(strchr(*v, '=') && env_name_is_valid(name) && g_utf8_validate(*v, -1, NULL));
        }
}

static void load_environment(void) {
        Env *env;

        fuzz_check(env_open(dir_fd, &env) >= 0);
        check_variables(env, 0);
        check_variables(env, 1000);
        env_close(env);
}

static void load(char kind, Node *node) {
        Shutdown shutdown = {};
        Monitor *monitor;
        Ports *ports;

        switch (kind) {
        case 'a':
                auto_start_close(auto_start_open(dir_fd));
                return;
        case 'e':
                load_environment();
                return;
        case 'l':
                leases_close(leases_open(node, dir_fd, -1));
                return;
        case 't':
                leases_close(leases_open(node, -1, dir_fd));
                return;
        case 'm':
                fuzz_check(monitor_open(node, dir_fd, &monitor) >= 0);
                monitor_close(monitor);
                return;
        case 'p':
                fuzz_check(ports_open(node, dir_fd, &ports) >= 0);
                ports_close(ports);
                return;
        default:
                shutdown_load(dir_fd, &shutdown);
                fuzz_check(!shutdown.reason || g_utf8_validate(shutdown.reason, -1, NULL));
                shutdown_clear(&shutdown);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Events *events;
        size_t which = 0;
        struct stat st;
        bool left;

        prepare();
        if (size == 0)
                return 0;
        while (which < G_N_ELEMENTS(files) && files[which].kind != (char) data[0])
                which++;
        if (which == G_N_ELEMENTS(files))
                return 0;

        fuzz_check(events_open(-1, &events) >= 0);
        g_autoptr(Node) node = node_new("main", NULL, events);
        fuzz_check(file_replace(dir_fd, files[which].name, data + 1, size - 1) >= 0);
        load(files[which].kind, node);
        left = fstatat(dir_fd, files[which].name, &st, 0) >= 0;
        fuzz_check(left != (fstatat(dir_fd, files[which].aside, &st, 0) >= 0));
        /* The next process reads the same file, or none. */
        load(files[which].kind, node);
        fuzz_check(left == (fstatat(dir_fd, files[which].name, &st, 0) >= 0));
        remove_files();
        return 0;
}
