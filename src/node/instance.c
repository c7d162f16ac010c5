/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "node/instance.h"
#include "node/settings.h"
#include "proto/keeper-protocol.h"
#include "proto/node-names.h"
#include "util/log.h"

static char *unit_name(const char *prefix, const char *instance) {
        return g_str_equal(instance, NODE_DEFAULT_INSTANCE)
                       ? g_strconcat(prefix, ".service", NULL)
                       : g_strconcat(prefix, "@", instance, ".service", NULL);
}

/* Somebody's shell is in a unit too: systemd tells the process that it has started itself. */
static bool run_by_systemd(void) {
        const char *pid = g_getenv("SYSTEMD_EXEC_PID");
        uint32_t number;

        return pid && parse_u32(pid, &number) >= 0 && number == (uint32_t) getpid();
}

static char *find_own_unit(void) {
        char *unit, *copy = NULL;

        if (!run_by_systemd() || sd_pid_get_unit(0, &unit) < 0)
                return NULL;
        if (g_str_has_suffix(unit, ".service"))
                copy = g_strdup(unit);
        free(unit);
        return copy;
}

int instance_new(const char *name, Instance **ret) {
        bool is_main = g_str_equal(name, NODE_DEFAULT_INSTANCE);
        g_autoptr(Instance) instance = g_new(Instance, 1);

        *instance = (Instance){
                .name = g_strdup(name),
                .bus_name = is_main ? g_strdup(NODE_BUS_NAME) : g_strconcat(NODE_BUS_NAME ".", name, NULL),
                .keeper_unit = unit_name("architect-keeper", name),
                .own_unit = find_own_unit(),
                .runtime_directory = g_build_filename(NODE_RUNTIME_DIRECTORY, name, NULL),
                .keeper_socket = g_build_filename(KEEPER_SOCKET_DIRECTORY, name, NULL),
                .settings_directory = g_strdup(SETTINGS_DIRECTORY),
        };

        /* Two units of one instance would start each other's service anew for ever. */
        if (is_main &&
                g_strcmp0(instance->own_unit, "architect-node@" NODE_DEFAULT_INSTANCE ".service") == 0) {
                log_error("The instance \"" NODE_DEFAULT_INSTANCE
                          "\" is architect-node.service: %s conflicts with it and is not started",
                        instance->own_unit);
                return -EBUSY;
        }
        *ret = g_steal_pointer(&instance);
        return 0;
}

Instance *instance_free(Instance *instance) {
        if (!instance)
                return NULL;
        g_free(instance->name);
        g_free(instance->bus_name);
        g_free(instance->keeper_unit);
        g_free(instance->own_unit);
        g_free(instance->runtime_directory);
        g_free(instance->keeper_socket);
        g_free(instance->settings_directory);
        g_free(instance);
        return NULL;
}
