/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/parse-util.h"
#include "model/definitions.h"
#include "model/settings.h"
#include "node/instance.h"
#include "proto/keeper-limits.h"
#include "proto/node-names.h"
#include "util/log.h"

static char *instance_unit_name(const char *prefix, const char *instance) {
        return g_str_equal(instance, NODE_DEFAULT_INSTANCE)
                       ? g_strconcat(prefix, ".service", NULL)
                       : g_strconcat(prefix, "@", instance, ".service", NULL);
}

/* The shell of a user runs in a unit, too. systemd sets a variable for the process that it has started
 * itself. */
static bool instance_is_run_by_systemd(void) {
        const char *pid = g_getenv("SYSTEMD_EXEC_PID");
        uint32_t number;

        return pid && parse_u32(pid, &number) >= 0 && number == (uint32_t) getpid();
}

static char *instance_find_own_unit(bool user) {
        _cleanup_free_ char *unit = NULL;

        if (!instance_is_run_by_systemd() ||
                (user ? sd_pid_get_user_unit(0, &unit) : sd_pid_get_unit(0, &unit)) < 0)
                return NULL;
        return g_str_has_suffix(unit, ".service") ? g_strdup(unit) : NULL;
}

/* systemd creates it (StateDirectory=) and names it. Where nobody does, it is where systemd would have it. */
static char *instance_find_state_directory(const char *name, bool user) {
        const char *given = g_getenv("STATE_DIRECTORY"), *state = g_getenv("XDG_STATE_HOME");

        if (given && g_path_is_absolute(given) && !strchr(given, ':') && instance_is_run_by_systemd())
                return g_strdup(given);
        if (!user)
                return g_build_filename(NODE_STATE_DIRECTORY, name, NULL);
        return state && g_path_is_absolute(state)
                       ? g_build_filename(state, "architect-node", name, NULL)
                       : g_build_filename(g_get_home_dir(), ".local/state/architect-node", name, NULL);
}

static void instance_set_directories(Instance *instance) {
        instance->runtime_directory = g_build_filename(NODE_RUNTIME_DIRECTORY, instance->name, NULL);
        instance->keeper_socket = g_build_filename(KEEPER_SOCKET_DIRECTORY, instance->name, NULL);
        instance->settings_directory = g_strdup(SETTINGS_DIRECTORY);
        instance->definition_directories = definitions_directories(false);
}

static int instance_set_user_directories(Instance *instance) {
        const char *runtime = g_getenv("XDG_RUNTIME_DIR");
        g_auto(GStrv) directories = definitions_directories(true);

        /* A relative path is none, by the basedir specification. */
        if (!runtime || !g_path_is_absolute(runtime)) {
                log_error(
                        "With --user the state is in $XDG_RUNTIME_DIR, which is not set; log in as the user or set it");
                return -ENXIO;
        }
        if (!directories) {
                log_error(
                        "With --user the configuration is in $XDG_CONFIG_HOME or $HOME/.config; set one of them");
                return -ENXIO;
        }
        instance->runtime_directory = g_build_filename(runtime, "architect-node", instance->name, NULL);
        instance->keeper_socket = g_build_filename(runtime, "architect-keeper", instance->name, NULL);
        instance->settings_directory = g_strdup(directories[0]);
        instance->definition_directories = g_steal_pointer(&directories);
        return 0;
}

int instance_new(const char *name, bool user, Instance **ret) {
        bool is_main = g_str_equal(name, NODE_DEFAULT_INSTANCE);
        g_autoptr(Instance) instance = g_new(Instance, 1);

        *instance = (Instance){
                .name = g_strdup(name),
                .user = user,
                .bus_name = is_main ? g_strdup(NODE_BUS_NAME) : g_strconcat(NODE_BUS_NAME ".", name, NULL),
                .keeper_unit = instance_unit_name("architect-keeper", name),
                .own_unit = instance_find_own_unit(user),
        };

        /* Two units of one instance would restart each other's service for ever. */
        if (is_main &&
                g_strcmp0(instance->own_unit, "architect-node@" NODE_DEFAULT_INSTANCE ".service") == 0) {
                log_error("The instance \"" NODE_DEFAULT_INSTANCE
                          "\" is architect-node.service: %s conflicts with it and is not started",
                        instance->own_unit);
                return -EBUSY;
        }
        instance->state_directory = instance_find_state_directory(name, user);
        if (!user)
                instance_set_directories(instance);
        else {
                int r = instance_set_user_directories(instance);
                if (r < 0)
                        return r;
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
        g_free(instance->state_directory);
        g_free(instance->keeper_socket);
        g_free(instance->settings_directory);
        g_strfreev(instance->definition_directories);
        g_free(instance);
        return NULL;
}
