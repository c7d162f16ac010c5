/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods of the environment of roles, and GetPgrp. Values may be secrets, so they are
 * returned by methods that check the caller, and there are no properties. What root calls is about the
 * environment of the service itself, and what another user calls is about his own variables. */

#include <unistd.h>

#include "bus/clients-private.h"
#include "bus/operation.h"
#include "model/env.h"
#include "util/autoptr.h"

static uid_t env_dbus_whose(const Clients *clients, const Caller *caller) {
        return authority_is_master(clients->authority, caller) ? 0 : caller->uid;
}

static int env_method_get(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        const char *name, *value;
        const Caller *caller;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = authority_check(clients->authority, m,
                REQUEST(MANAGE_ENVIRONMENT, "read the environment of roles"), &caller, error);
        if (r != 0)
                return r;
        r = env_get(clients->node->env, env_dbus_whose(clients, caller), name, &value, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, "s", value);
}

static int env_method_set(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        const char *name, *value;
        const Caller *caller;

        int r = sd_bus_message_read(m, "ss", &name, &value);
        if (r < 0)
                return r;
        r = clients_check_change(
                clients, m, REQUEST(MANAGE_ENVIRONMENT, "change the environment of roles"), &caller, error);
        if (r != 0)
                return r;
        r = env_set(clients->node->env, env_dbus_whose(clients, caller), name, value, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int env_method_unset(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        const char *name;
        const Caller *caller;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = clients_check_change(
                clients, m, REQUEST(MANAGE_ENVIRONMENT, "change the environment of roles"), &caller, error);
        if (r != 0)
                return r;
        r = env_unset(clients->node->env, env_dbus_whose(clients, caller), name, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int env_method_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        const Caller *caller;

        int r = authority_check(clients->authority, m,
                REQUEST(MANAGE_ENVIRONMENT, "read the environment of roles"), &caller, error);
        if (r != 0)
                return r;
        g_auto(GStrv) variables = env_list(clients->node->env, env_dbus_whose(clients, caller));
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, variables);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int env_method_get_pgrp(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "u", (uint32_t) getpgrp());
}

/* A handler checks the caller if it changes something or returns a secret. */
#define OPEN SD_BUS_VTABLE_UNPRIVILEGED
#define SECRET SD_BUS_VTABLE_SENSITIVE

static const sd_bus_vtable env_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(
                "GetEnv", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", value), env_method_get, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("SetEnv", SD_BUS_ARGS("s", name, "s", value), SD_BUS_NO_RESULT,
                env_method_set, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("UnsetEnv", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, env_method_unset, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "ListEnv", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", variables), env_method_list, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS(
                "GetPgrp", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", process_group), env_method_get_pgrp, OPEN),
        SD_BUS_VTABLE_END,
};

int env_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, env_vtable);
}
