/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods of leases. */

#include "bus/clients-private.h"
#include "bus/operation.h"
#include "model/leases.h"
#include "util/autoptr.h"

#define NOBODY UINT32_MAX /* no uid */

static int leases_dbus_check(Clients *clients, sd_bus_message *m, const char *doing, const char *lease,
        const Caller **ret, sd_bus_error *error) {
        const AuthorityRequest request = { .action = NODE_ACTION_MONITOR, .doing = doing, .lease = lease };

        return clients_check_change(clients, m, &request, ret, error);
}

static int leases_dbus_renew(sd_bus_message *m, Clients *clients, const char *doing,
        int (*renew)(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec,
                const Caller *caller, Fault *fault),
        sd_bus_error *error) {
        g_auto(Fault) fault = {};
        uint64_t token, timeout_usec;
        const Caller *caller;
        const char *lease;

        int r = sd_bus_message_read(m, "stt", &lease, &token, &timeout_usec);
        if (r < 0)
                return r;
        r = leases_dbus_check(clients, m, doing, lease, &caller, error);
        if (r != 0)
                return r;
        r = renew(clients->node->leases, lease, token, timeout_usec, caller, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int leases_method_acquire(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return leases_dbus_renew(m, userdata, "acquire leases", leases_acquire, error);
}

static int leases_method_beat(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return leases_dbus_renew(m, userdata, "beat for leases", leases_beat, error);
}

static int leases_method_release(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller;
        const char *lease;
        uint64_t token;

        int r = sd_bus_message_read(m, "st", &lease, &token);
        if (r < 0)
                return r;
        r = leases_dbus_check(clients, m, "release leases", lease, &caller, error);
        if (r != 0)
                return r;
        r = leases_release(clients->node->leases, lease, token, caller, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int leases_dbus_append(sd_bus_message *reply, const Leases *leases, const char *name) {
        g_autoptr(GPtrArray) roles = leases_list_roles(leases, name);
        const Lease *lease = leases_find(leases, name);
        const bool held = leases_is_held(leases, name);

        g_ptr_array_add(roles, NULL);
        int r = sd_bus_message_open_container(reply, 'r', "sutttas");
        if (r >= 0)
                r = sd_bus_message_append(reply, "suttt", name, held ? (uint32_t) lease->uid : NOBODY,
                        held ? lease->deadline.armed_usec : 0, held ? lease->deadline.usec : 0,
                        lease ? lease->token : 0);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **) roles->pdata);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int leases_method_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Clients *clients = userdata;
        const Leases *leases = clients->node->leases;
        g_autoptr(GPtrArray) names = leases_list_names(leases);
        g_autoptr(sd_bus_message) reply = NULL;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sutttas)");
        for (unsigned i = 0; r >= 0 && i < names->len; i++)
                r = leases_dbus_append(reply, leases, g_ptr_array_index(names, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int leases_method_list_managed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        GHashTableIter iter;
        const Role *role;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sss)");
        g_hash_table_iter_init(&iter, clients->node->roles);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->spec->lease || role->spec->managed_by)
                        r = sd_bus_message_append(reply, "(sss)", role->name, role->spec->lease ?: "",
                                role->spec->managed_by ?: "");
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static const sd_bus_vtable leases_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("AcquireLease",
                SD_BUS_ARGS("s", lease, "t", fencing_token, "t", timeout_usec), SD_BUS_NO_RESULT,
                leases_method_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("BeatLease", SD_BUS_ARGS("s", lease, "t", fencing_token, "t", timeout_usec),
                SD_BUS_NO_RESULT, leases_method_beat, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReleaseLease", SD_BUS_ARGS("s", lease, "t", fencing_token), SD_BUS_NO_RESULT,
                leases_method_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListLeases", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sutttas)", leases),
                leases_method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListManaged", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sss)", roles),
                leases_method_list_managed, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS(
                "LeaseExpired", SD_BUS_ARGS("s", lease, "t", timeout_usec, "a{sv}", details), 0),
        SD_BUS_VTABLE_END,
};

int leases_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, leases_vtable);
}
