/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GetPermissions reports what the caller may do, so that a client can show it before it is tried. Nobody is
 * asked to authenticate for that. */

#include "base/macro.h"
#include "bus/authority-details.h"
#include "bus/bus-util.h"
#include "bus/operation.h"
#include "bus/permissions-dbus.h"
#include "bus/role-dbus.h"
#include "model/node.h"
#include "util/autoptr.h"

/* A call that waits for the answers of polkit. */
typedef struct Permissions {
        sd_bus_message *call;
        const char *verb; /* that the caller wants to know about, or NULL; in the message */
        struct Permission {
                struct Permissions *permissions;
                bool listed; /* the reply contains it */
                const char *value;
                PolkitQuestion *question;
        } actions[_NODE_ACTION_MAX];
        unsigned n_open;
} Permissions;

static int permissions_read_verb(
        sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        return bus_read_variant_string(m, option->key, userdata, error);
}

static const BusOption permissions_entries[] = {
        { "verb", "s" },
};

const BusOptions permissions_options = { "GetPermissions", permissions_entries,
        sizeof(permissions_entries[0]), ELEMENTSOF(permissions_entries), permissions_read_verb };

static void permissions_free(Permissions *permissions) {
        for (NodeAction action = 0; action < _NODE_ACTION_MAX; action++)
                polkit_question_free(permissions->actions[action].question);
        sd_bus_message_unref(permissions->call);
        g_free(permissions);
}

static int permissions_reply(const Permissions *permissions) {
        g_autoptr(sd_bus_message) reply = NULL;

        int r = sd_bus_message_new_method_return(permissions->call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{ss}");
        for (NodeAction action = 0; r >= 0 && action < _NODE_ACTION_MAX; action++)
                if (permissions->actions[action].listed)
                        r = sd_bus_message_append(reply, "{ss}", node_action_to_string(action),
                                permissions->actions[action].value);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static void permission_on_answer(void *userdata, PolkitResult result, const char *text) {
        struct Permission *permission = userdata;
        Permissions *permissions = permission->permissions;

        permission->question = polkit_question_free(permission->question);
        permission->value = result == POLKIT_YES ? "yes" : result == POLKIT_CHALLENGE ? "auth" : "no";
        if (result == POLKIT_LEAVING) {
                g_auto(Fault) fault = {};

                node_set_leaving_fault(&fault);
                operation_fail(permissions->call, &fault);
        } else if (result != POLKIT_GONE && --permissions->n_open > 0)
                return;
        else if (result != POLKIT_GONE)
                (void) permissions_reply(permissions);
        permissions_free(permissions);
}

/* Whether this action is about the role, or, without a role, about the node. */
static bool permission_is_about(NodeAction action, const Role *role) {
        bool of_role = action == NODE_ACTION_MANAGE_OWN || action == NODE_ACTION_MANAGE_ROLES;

        return of_role == (role != NULL);
}

static int permissions_ask(
        Permissions *permissions, Polkit *polkit, NodeAction action, Node *node, Role *role, uid_t uid) {
        struct Permission *permission = &permissions->actions[action];
        const AuthorityRequest request = { .action = action, .role = role };
        const PolkitSubject subject = { sd_bus_message_get_sender(permissions->call), uid, false };
        g_auto(AuthorityDetails) details = {};

        authority_details_set(&details, node, &request, permissions->verb, uid);
        if (action == NODE_ACTION_MANAGE_OWN && !details.own)
                return 0;
        int r = polkit_ask(polkit, &subject, node_action_to_string(action), details.pairs,
                permission_on_answer, permission, &permission->question);
        if (r >= 0)
                permissions->n_open++;
        return r;
}

static int permissions_get(Clients *clients, sd_bus_message *m, Role *role, sd_bus_error *error) {
        const Caller *caller = NULL;
        const char *verb = NULL;

        int r = bus_read_options(m, &permissions_options, &verb, error);
        if (r >= 0)
                r = authority_identify(clients->authority, m, &caller, error);
        if (r != 0)
                return r;
        const bool master = authority_is_master(clients->authority, caller);
        Polkit *polkit = authority_polkit(clients->authority);

        Permissions *permissions = g_new0(Permissions, 1);
        permissions->call = sd_bus_message_ref(m);
        permissions->verb = verb;
        for (NodeAction action = 0; r >= 0 && action < _NODE_ACTION_MAX; action++) {
                struct Permission *permission = &permissions->actions[action];

                *permission =
                        (struct Permission){ .permissions = permissions, .value = master ? "yes" : "no" };
                permission->listed = permission_is_about(action, role);
                if (permission->listed && !master && polkit)
                        r = permissions_ask(permissions, polkit, action, clients->node, role, caller->uid);
        }
        if (r >= 0 && permissions->n_open > 0)
                return 1;
        if (r >= 0)
                r = permissions_reply(permissions);
        else if (r == -EDQUOT)
                r = sd_bus_error_setf(error, node_error_to_string(NODE_ERROR_LIMIT_REACHED),
                        "Too many calls of uid %u wait for polkit, call again later", (unsigned) caller->uid);
        permissions_free(permissions);
        return r;
}

static int node_method_get_permissions(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        const char *name;
        Role *role = NULL;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        if (name[0]) {
                r = node_find_role(clients->node, name, &role, &fault);
                if (r < 0)
                        return fault_to_bus_error(&fault, r, error);
        }
        return permissions_get(clients, m, role, error);
}

int role_method_get_permissions(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;

        return permissions_get(role->node->world.clients.data, m, role, error);
}

static const sd_bus_vtable permissions_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetPermissions", SD_BUS_ARGS("s", role, "a{sv}", options),
                SD_BUS_RESULT("a{ss}", permissions), node_method_get_permissions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int permissions_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, permissions_vtable);
}
