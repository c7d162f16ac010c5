/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "client/node-client.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/roles.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

static void role_clear(void *p) {
        CtlRole *role = p;

        g_free(role->name);
        g_free(role->state);
        g_free(role->code);
        g_free(role->scope);
}

static int role_compare(const void *a, const void *b) {
        return strcmp(((const CtlRole *) a)->name, ((const CtlRole *) b)->name);
}

static int roles_read(sd_bus_message *reply, GArray *roles) {
        const char *name, *state, *code, *scope;
        CtlRole role = {};

        int r = sd_bus_message_enter_container(reply, 'a', "(ssusiso)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ssusiso)", &name, &state, &role.pid, &code,
                                  &role.status, &scope, NULL)) > 0) {
                role.name = g_strdup(name);
                role.state = g_strdup(state);
                role.code = g_strdup(code);
                role.scope = g_strdup(scope);
                g_array_append_val(roles, role);
        }
        return r;
}

CtlExit ctl_list_roles(Ctl *ctl, GArray **ret) {
        g_autoptr(GArray) roles = g_array_new(false, false, sizeof(CtlRole));
        g_autoptr(sd_bus_message) reply = NULL;

        CtlExit e = ctl_call(ctl, &reply, "ListRoles", NULL);
        if (e != CTL_EXIT_OK)
                return e;
        g_array_set_clear_func(roles, role_clear);
        int r = roles_read(reply, roles);
        if (r < 0)
                return ctl_bad_reply(r);
        g_array_sort(roles, role_compare);
        *ret = g_steal_pointer(&roles);
        return CTL_EXIT_OK;
}

bool ctl_role_is_running(const CtlRole *role) {
        return strcmp(role->state, "ended") != 0;
}

/* Appends the first member of each structure, which is a string. */
static int names_get(Ctl *ctl, const char *member, const char *other_members, GPtrArray *names) {
        g_autofree char *contents = g_strconcat("s", other_members, NULL),
                        *type = g_strdup_printf("(%s)", contents);
        g_autoptr(sd_bus_message) reply = NULL;
        const char *name;

        int r = WITHOUT_BATON(sd_bus_call_method(
                ctl->bus, ctl->bus_name, NODE_PATH, NODE_INTERFACE, member, NULL, &reply, NULL));
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', type);
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', contents)) > 0) {
                r = sd_bus_message_read_basic(reply, 's', &name);
                if (r >= 0) {
                        g_ptr_array_add(names, g_strdup(name));
                        r = sd_bus_message_skip(reply, other_members);
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r;
}

char **ctl_role_names(Ctl *ctl, bool defined) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

        if (names_get(ctl, "ListRoles", "susiso", names) < 0 ||
                (defined && names_get(ctl, "ListDefinitions", "sasa{sv}", names) < 0))
                return NULL;
        g_ptr_array_add(names, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

char **ctl_definition_names(Ctl *ctl) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

        if (names_get(ctl, "ListDefinitions", "sasa{sv}", names) < 0)
                return NULL;
        g_ptr_array_add(names, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

bool ctl_pattern_matches(const char *pattern, const char *name) {
        return strcmp(pattern, name) == 0 || fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

/* -- several roles -- */

int ctl_peek_string(Ctl *ctl, const char *role, const char *property, char **ret) {
        _cleanup_free_ char *path = role_object_path(role);

        return path ? WITHOUT_BATON(sd_bus_get_property_string(
                              ctl->bus, ctl->bus_name, path, NODE_ROLE_INTERFACE, property, NULL, ret))
                    : -EINVAL;
}

int ctl_peek_strings(Ctl *ctl, const char *role, const char *property, char ***ret) {
        _cleanup_free_ char *path = role_object_path(role);

        return path ? WITHOUT_BATON(sd_bus_get_property_strv(
                              ctl->bus, ctl->bus_name, path, NODE_ROLE_INTERFACE, property, NULL, ret))
                    : -EINVAL;
}

CtlExit ctl_new_call_many(Ctl *ctl, const char *method, char *const *roles, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(ctl, &call, method, NULL);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append_strv(call, (char **) roles);
        if (r >= 0 && ctl->force && strcmp(method, "StartMany") != 0)
                r = ctl_append_change(ctl, call);
        else if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 0);
        if (r < 0)
                return ctl_cannot_send(r);
        *ret = g_steal_pointer(&call);
        return CTL_EXIT_OK;
}

CtlExit ctl_report_results(Ctl *ctl, sd_bus_message *reply) {
        const char *role, *name, *message;
        CtlExit first = CTL_EXIT_OK;

        int r = sd_bus_message_enter_container(reply, 'a', "(sss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sss)", &role, &name, &message)) > 0)
                if (name[0]) {
                        const sd_bus_error error = { .name = name, .message = message };
                        const CtlExit e = ctl_report(ctl, role, &error);

                        if (first == CTL_EXIT_OK)
                                first = e;
                }
        return r < 0 ? ctl_bad_reply(r) : first;
}
