/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* StartMany, StopMany and KillMany: one call, and one reply, for many roles. dbus-daemon refuses a connection
 * its 129th unanswered call. */

#include "bus/bus-util.h"
#include "bus/clients-private.h"
#include "bus/lease-options.h"
#include "bus/operation.h"
#include "model/definitions.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/role-dependencies.h"
#include "model/settings.h"
#include "util/autoptr.h"
#include "util/log.h"

/* A call, and what has become of each of its roles, in the order of the call. */
typedef struct Many {
        sd_bus_message *call;
        GPtrArray *entries; /* of ManyEntry */
        unsigned n_pending;
} Many;

typedef struct ManyEntry {
        Many *many;
        char *name;
        Fault fault;
} ManyEntry;

static void many_entry_free(void *p) {
        ManyEntry *entry = p;

        g_free(entry->name);
        fault_clear(&entry->fault);
        g_free(entry);
}

static int many_reply(const Many *many) {
        g_autoptr(sd_bus_message) reply = NULL;

        int r = sd_bus_message_new_method_return(many->call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sss)");
        for (unsigned i = 0; r >= 0 && i < many->entries->len; i++) {
                const ManyEntry *entry = g_ptr_array_index(many->entries, i);
                const char *message = entry->fault.message;

                r = sd_bus_message_append(reply, "(sss)", entry->name,
                        message ? node_error_to_string(entry->fault.error) : "", message ?: "");
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static void many_unref(Many *many) {
        if (--many->n_pending > 0)
                return;
        int r = many_reply(many);
        if (r < 0) /* the caller may have left the bus */
                log_debug_errno(r, "Cannot reply to %s, ignoring: %m", sd_bus_message_get_member(many->call));
        sd_bus_message_unref(many->call);
        g_ptr_array_unref(many->entries);
        g_free(many);
}

static void many_on_done(void *userdata, const Fault *fault) {
        ManyEntry *entry = userdata;

        if (fault)
                fault_copy(&entry->fault, fault);
        many_unref(entry->many);
}

/* The caller has the first reference, so no entry that is done at once sends the reply before the last one is
 * there. */
static Many *many_new(sd_bus_message *call) {
        Many *many = g_new(Many, 1);

        *many = (Many){ sd_bus_message_ref(call), g_ptr_array_new_with_free_func(many_entry_free), 1 };
        return many;
}

static Waiter many_add(Many *many, const char *name) {
        ManyEntry *entry = g_new0(ManyEntry, 1);

        entry->many = many;
        entry->name = g_strdup(name);
        g_ptr_array_add(many->entries, entry);
        many->n_pending++;
        return (Waiter){ many_on_done, entry };
}

/* -- the roles of a call -- */

/* Names, each once, in the order in which they are added. */
typedef struct ManyNames {
        GPtrArray *array;
        GHashTable *seen;
} ManyNames;

static void many_names_clear(ManyNames *names) {
        g_ptr_array_unref(names->array);
        g_hash_table_unref(names->seen);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ManyNames, many_names_clear)

static void many_names_init(ManyNames *names) {
        *names = (ManyNames){ g_ptr_array_new(),
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };
}

static void many_names_add(ManyNames *names, const char *name) {
        if (g_hash_table_contains(names->seen, name))
                return;
        char *copy = g_strdup(name);
        (void) g_hash_table_add(names->seen, copy);
        g_ptr_array_add(names->array, copy);
}

static int many_name_compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static bool spec_is_in_group(const RoleSpec *spec, const char *group) {
        return spec && spec->role_groups && g_strv_contains((const char *const *) spec->role_groups, group);
}

/* Adds the names of the roles of a group, or, if that is NULL, of those for which a stop can do something:
 * they have not ended, or processes of them are left, or they wait for their restart. In the order of their
 * names. */
static void many_add_roles(ManyNames *names, Node *node, const char *group) {
        g_autoptr(GPtrArray) all = node_list_names(node);

        g_ptr_array_sort(all, many_name_compare);
        for (unsigned i = 0; i < all->len; i++) {
                const char *name = g_ptr_array_index(all, i);
                const Role *role = g_hash_table_lookup(node->roles, name);

                if (group ? spec_is_in_group(role->spec, group) : role_is_living(role))
                        many_names_add(names, name);
        }
}

/* The same for the definitions of a group, or of those with AutoStart=yes. */
static void many_add_definitions(ManyNames *names, Node *node, const char *group) {
        for (unsigned i = 0; i < definitions_count(node->definitions); i++) {
                const Definition *d = definitions_get(node->definitions, i);

                if (d->spec && (group ? spec_is_in_group(d->spec, group) : d->autostart))
                        many_names_add(names, d->name);
        }
}

/* "@group" stands for the members of the group. A group without a member stays, and fails as a name does. */
static void many_expand(ManyNames *names, Node *node, char *const *listed,
        void (*add)(ManyNames *names, Node *node, const char *group)) {
        if (!listed || !listed[0])
                add(names, node, NULL);
        for (char *const *name = listed; name && *name; name++) {
                const unsigned before = names->array->len;

                if ((*name)[0] == '@')
                        add(names, node, *name + 1);
                if ((*name)[0] != '@' || names->array->len == before)
                        many_names_add(names, *name);
        }
}

static bool many_has_leased(const Node *node) {
        GHashTableIter iter;
        const Role *role;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->spec->lease)
                        return true;
        return false;
}

/* All of them are looked at before anything is done. Returns false if the call must not stop it. */
static bool many_check_stop(Node *node, const char *name, const LeaseUse *use, Fault *fault) {
        const Role *role = g_hash_table_lookup(node->roles, name);

        return !role || node_check_stop(node, role, use, fault) >= 0;
}

static int many_stop(
        sd_bus_message *m, Clients *clients, const char *doing, RoleCause cause, sd_bus_error *error) {
        Node *node = clients->node;
        g_auto(GStrv) listed = NULL;
        g_auto(Fault) fault = {};
        LeaseUse use = {};
        const Caller *caller;

        int r = bus_read_strings(m, "The list of roles", NODE_MAX_ROLES, &listed, error);
        if (r >= 0)
                r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        g_auto(ManyNames) names;
        many_names_init(&names);
        many_expand(&names, node, listed, many_add_roles);
        g_ptr_array_add(names.array, NULL);
        const AuthorityRequest request = {
                .action = NODE_ACTION_MANAGE_ROLES,
                .doing = doing,
                .names = (char *const *) names.array->pdata,
                .roles = listed && listed[0] ? AUTHORITY_ROLES_LISTED : AUTHORITY_ROLES_LIVING,
        };
        r = clients_check_change(clients, m, &request, &caller, error);
        if (r != 0)
                return r;
        r = lease_use_check(&use, node, caller, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        const bool leased = many_has_leased(node); /* else nobody needs to look at what stops with each */
        g_autoptr(GArray) stops = g_array_new(false, false, sizeof(StopRequest));
        Many *many = many_new(m);
        for (char *const *n = request.names; *n; n++) {
                const StopRequest stop = { *n, cause == ROLE_CAUSE_KILL, many_add(many, *n) };
                g_auto(Fault) refused = {};

                if (!leased || many_check_stop(node, *n, &use, &refused))
                        g_array_append_val(stops, stop);
                else
                        waiter_wake(stop.waiter, &refused);
        }
        node_stop_roles(node, (const StopRequest *) stops->data, stops->len, cause, caller);
        many_unref(many);
        return 1;
}

/* As for a unit of systemd, what runs already is a success, and a start that is under way, such as that of a
 * role which one before in the list depends on, is joined. */
static void many_start(
        Node *node, const char *name, const LeaseUse *use, const Caller *caller, Waiter waiter) {
        Role *role = g_hash_table_lookup(node->roles, name);
        const bool runs = role_presence(role) == PRESENCE_READY && role->state == ROLE_RUNNING;
        const bool comes = role_presence(role) == PRESENCE_COMING &&
                           (role->state == ROLE_STARTING || role->state == ROLE_RUNNING);
        g_auto(Fault) fault = {};
        int r = 0;

        if (runs || comes)
                r = lease_use_check_start(use, node, name, role->spec->lease, caller, &fault);
        else
                r = node_start_defined(node, name, use, caller, false, waiter, &fault);
        if (r < 0 || runs)
                waiter_wake(waiter, &fault);
        else if (comes)
                role_wait_start(role, waiter);
}

static int many_method_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const AuthorityRequest request = { .action = _NODE_ACTION_INVALID, .doing = "start many roles" };
        Clients *clients = userdata;
        Node *node = clients->node;
        g_auto(GStrv) listed = NULL;
        g_auto(Fault) fault = {};
        LeaseUse use = {};
        const Caller *caller;

        int r = bus_read_strings(m, "The list of roles", NODE_MAX_ROLES, &listed, error);
        if (r >= 0)
                r = lease_options_read_start(m, &use, error);
        if (r >= 0)
                r = authority_check(clients->authority, m, &request, &caller, error);
        if (r != 0)
                return r;
        /* A token alone is for the leases that the definitions name. */
        if (use.lease)
                r = lease_use_check(&use, node, caller, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        g_auto(ManyNames) names;
        many_names_init(&names);
        many_expand(&names, node, listed, many_add_definitions);
        Many *many = many_new(m);
        node_hold_starts(node);
        for (unsigned i = 0; i < names.array->len; i++) {
                const char *name = g_ptr_array_index(names.array, i);

                many_start(node, name, &use, caller, many_add(many, name));
        }
        node_release_starts(node);
        many_unref(many);
        return 1;
}

static int many_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return many_stop(m, userdata, "stop roles", ROLE_CAUSE_STOP, error);
}

static int many_method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return many_stop(m, userdata, "kill roles", ROLE_CAUSE_KILL, error);
}

static const sd_bus_vtable many_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("StartMany", SD_BUS_ARGS("as", roles, "a{sv}", options),
                SD_BUS_RESULT("a(sss)", results), many_method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StopMany", SD_BUS_ARGS("as", roles, "a{sv}", options),
                SD_BUS_RESULT("a(sss)", results), many_method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("KillMany", SD_BUS_ARGS("as", roles, "a{sv}", options),
                SD_BUS_RESULT("a(sss)", results), many_method_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int many_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, many_vtable);
}
