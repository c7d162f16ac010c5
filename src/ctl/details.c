/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/time-util.h"
#include "client/node-client.h"
#include "ctl/connection.h"
#include "ctl/definitions.h"
#include "ctl/details.h"
#include "ctl/roles.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

/* -- a call whose error may be reported or returned -- */

static CtlExit details_send(Ctl *ctl, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;

        if (ctl_try(ctl, call, error ?: &own, ret) >= 0)
                return CTL_EXIT_OK;
        return error ? ctl_error_to_exit(error->name) : ctl_report(ctl, NULL, &own);
}

static CtlExit details_bad_reply(int r, sd_bus_error *error) {
        if (!error)
                return ctl_bad_reply(r);
        (void) sd_bus_error_set_errno(error, r);
        return CTL_EXIT_FAILED;
}

static CtlExit details_get_all(
        Ctl *ctl, const char *path, const char *interface, sd_bus_error *error, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_get_all(ctl, &call, path, interface);
        return e == CTL_EXIT_OK ? details_send(ctl, call, error, ret) : e;
}

/* -- roles -- */

#define DETAIL(property, signature, member) \
        { property, signature, offsetof(CtlDetails, member) }
static const Property role_properties[] = {
        DETAIL("Name", "s", name),
        DETAIL("State", "s", state),
        DETAIL("User", "s", user),
        DETAIL("Product", "s", product),
        DETAIL("Version", "s", version),
        DETAIL("Provider", "s", provider),
        DETAIL("Scope", "s", scope),
        DETAIL("ControlGroup", "s", control_group),
        DETAIL("StatusText", "s", status_text),
        DETAIL("WaitsFor", "s", waits_for),
        DETAIL("ExitCode", "s", exit_code),
        DETAIL("Cause", "s", cause),
        DETAIL("Result", "s", result),
        DETAIL("Definition", "s", definition),
        DETAIL("Lease", "s", lease),
        DETAIL("ManagedBy", "s", managed_by),
        DETAIL("Command", "as", command),
        DETAIL("Strays", "as", strays),
        DETAIL("RoleGroups", "as", groups),
        DETAIL("After", "as", after),
        DETAIL("Wants", "as", wants),
        DETAIL("Requires", "as", requires),
        DETAIL("BindsTo", "as", binds_to),
        DETAIL("PartOf", "as", part_of),
        DETAIL("StartTimes", "a{st}", start_times),
        DETAIL("MainPID", "u", main_pid),
        DETAIL("NRestarts", "u", n_restarts),
        DETAIL("ExitStatus", "i", exit_status),
        DETAIL("StartTimestamp", "t", start_usec),
        DETAIL("ExitTimestamp", "t", exit_usec),
        DETAIL("NextStartUSec", "t", next_start_usec),
        DETAIL("Ready", "b", ready),
        DETAIL("Damaged", "b", damaged),
        DETAIL("OutputLost", "b", output_lost),
        DETAIL("NeedReload", "b", need_reload),
        DETAIL("Frozen", "b", frozen),
};

static void details_free(void *p) {
        properties_clear(role_properties, ELEMENTSOF(role_properties), p);
        g_free(p);
}

static int details_compare(const void *a, const void *b) {
        return strcmp((*(CtlDetails *const *) a)->name, (*(CtlDetails *const *) b)->name);
}

static int details_read(const char *path, sd_bus_message *m, void *userdata) {
        GPtrArray *roles = userdata;
        CtlDetails *role = g_new0(CtlDetails, 1);

        role->started = true;
        int r = properties_read(m, role_properties, ELEMENTSOF(role_properties), role);
        /* What every version has. */
        if (r >= 0 && (!role->name || !role->state || !role->exit_code || !role->result || !role->cause))
                r = -EBADMSG;
        if (r < 0)
                details_free(role);
        else
                g_ptr_array_add(roles, role);
        return r;
}

CtlExit ctl_new_details_call(Ctl *ctl, sd_bus_message **ret) {
        return ctl_new_call_of(ctl, ret, NODE_PATH, OBJECT_MANAGER, "GetManagedObjects");
}

int ctl_read_details(sd_bus_message *reply, GPtrArray **ret) {
        g_autoptr(GPtrArray) roles = g_ptr_array_new_with_free_func(details_free);

        int r = properties_read_objects(reply, NODE_ROLE_INTERFACE, details_read, roles);
        if (r < 0)
                return r;
        g_ptr_array_sort(roles, details_compare);
        *ret = g_steal_pointer(&roles);
        return 0;
}

static CtlExit details_get_objects(Ctl *ctl, sd_bus_error *error, GPtrArray **ret) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;

        CtlExit e = ctl_new_details_call(ctl, &call);
        if (e == CTL_EXIT_OK)
                e = details_send(ctl, call, error, &reply);
        if (e != CTL_EXIT_OK)
                return e;
        int r = ctl_read_details(reply, ret);
        return r < 0 ? details_bad_reply(r, error) : CTL_EXIT_OK;
}

static CtlExit details_get_one(Ctl *ctl, const char *name, sd_bus_error *error, GPtrArray *roles) {
        _cleanup_free_ char *path = role_object_path(name);
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) reply = NULL;

        CtlExit e = details_get_all(ctl, path, NODE_ROLE_INTERFACE, &own, &reply);
        /* A role is an object, and there is none. */
        if (sd_bus_error_has_name(&own, SD_BUS_ERROR_UNKNOWN_OBJECT))
                return CTL_EXIT_OK;
        if (sd_bus_error_is_set(&own)) {
                if (!error)
                        return ctl_report(ctl, name, &own);
                sd_bus_error_move(error, &own);
        }
        if (e != CTL_EXIT_OK)
                return e;
        int r = details_read(path, reply, roles);
        return r < 0 ? details_bad_reply(r, error) : CTL_EXIT_OK;
}

bool ctl_word_is_name(const char *word) {
        return word[0] != '@' && !strpbrk(word, "*?[");
}

CtlExit ctl_get_details(Ctl *ctl, char *const *words, sd_bus_error *error, GPtrArray **ret) {
        if (!words || !words[0] || words[1] || !words[0][0] || !ctl_word_is_name(words[0]))
                return details_get_objects(ctl, error, ret);
        g_autoptr(GPtrArray) roles = g_ptr_array_new_with_free_func(details_free);
        CtlExit e = details_get_one(ctl, words[0], error, roles);
        if (e == CTL_EXIT_OK)
                *ret = g_steal_pointer(&roles);
        return e;
}

static bool details_find(const GPtrArray *roles, const char *name) {
        for (guint i = 0; i < roles->len; i++)
                if (strcmp(((CtlDetails *) g_ptr_array_index(roles, i))->name, name) == 0)
                        return true;
        return false;
}

static bool words_want_defined(char *const *words, const GPtrArray *roles) {
        for (; words && *words; words++)
                if ((*words)[0] == '@' || (ctl_word_is_name(*words) && !details_find(roles, *words)))
                        return true;
        return false;
}

void ctl_add_definitions(const GArray *definitions, char *const *words, GPtrArray *roles) {
        const guint n = roles->len;

        for (guint i = 0; i < definitions->len; i++) {
                const CtlDefinition *definition = &g_array_index(definitions, CtlDefinition, i);

                for (char *const *word = words; *word; word++) {
                        const bool is_pattern = (*word)[0] != '@' && !ctl_word_is_name(*word);

                        if (is_pattern || !ctl_word_selects(*word, definition->name, definition->groups) ||
                                details_find(roles, definition->name))
                                continue;
                        CtlDetails *role = g_new0(CtlDetails, 1);
                        role->name = g_strdup(definition->name);
                        role->definition = g_strdup(definition->file);
                        role->groups = g_strdupv(definition->groups);
                        g_ptr_array_add(roles, role);
                }
        }
        if (roles->len > n)
                g_ptr_array_sort(roles, details_compare);
}

CtlExit ctl_add_defined(Ctl *ctl, char *const *words, GPtrArray *roles) {
        g_autoptr(GArray) definitions = NULL;

        if (!words_want_defined(words, roles))
                return CTL_EXIT_OK;
        CtlExit e = ctl_list_definitions(ctl, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        ctl_add_definitions(definitions, words, roles);
        return CTL_EXIT_OK;
}

bool ctl_details_are_up(const CtlDetails *role) {
        return role->started && (strcmp(role->state, "ended") != 0 || role->ready);
}

bool ctl_details_have_failed(const CtlDetails *role) {
        static const char *const asked[] = { "stop", "kill", "shutdown", NULL };

        if (!role->started || ctl_details_are_up(role) || role->next_start_usec != 0 ||
                strcmp(role->result, "success") == 0)
                return false;
        return !g_strv_contains(asked, role->cause);
}

/* -- which ones -- */

bool ctl_word_selects(const char *word, const char *name, char *const *groups) {
        if (word[0] == '@')
                return groups && g_strv_contains((const char *const *) groups, word + 1);
        return ctl_pattern_matches(word, name);
}

bool ctl_words_select(char *const *words, const char *name, char *const *groups) {
        if (!*words)
                return true;
        for (; *words; words++)
                if (ctl_word_selects(*words, name, groups))
                        return true;
        return false;
}

CtlExit ctl_no_such(Ctl *ctl, const char *thing, const char *word) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const NodeError name =
                strcmp(thing, "definition") == 0 ? NODE_ERROR_NO_SUCH_DEFINITION : NODE_ERROR_NO_SUCH_ROLE;
        const bool is_group = word[0] == '@';

        if (!is_group && !ctl_word_is_name(word)) {
                ctl_say(ctl, "No %s matches %s.", thing, word);
                return CTL_EXIT_OK;
        }
        (void) sd_bus_error_setf(&error, node_error_to_string(name),
                is_group ? "There is no %s of the group \"%s\"" : "There is no %s \"%s\"", thing,
                word + (is_group ? 1 : 0));
        return ctl_report(ctl, is_group ? NULL : word, &error);
}

CtlExit ctl_select_details(Ctl *ctl, char *const *words, GPtrArray *roles, GPtrArray **ret) {
        static const char *const everything[] = { "*", NULL };
        GPtrArray *selected = g_ptr_array_new();
        CtlExit e = CTL_EXIT_OK;

        for (char *const *word = words && *words ? words : (char *const *) everything; *word; word++) {
                bool any = false;

                for (guint i = 0; i < roles->len; i++) {
                        CtlDetails *role = g_ptr_array_index(roles, i);

                        if (!ctl_word_selects(*word, role->name, role->groups))
                                continue;
                        any = true;
                        if (!g_ptr_array_find(selected, role, NULL))
                                g_ptr_array_add(selected, role);
                }
                if (!any)
                        e = ctl_no_such(ctl, "role", *word) ?: e;
        }
        *ret = selected;
        return e;
}

CtlExit ctl_select_names(Ctl *ctl, char *const *words, bool ended, GPtrArray *names) {
        g_autoptr(GPtrArray) roles = NULL, selected = NULL;

        CtlExit e = ctl_get_details(ctl, words, NULL, &roles);
        if (e == CTL_EXIT_OK) {
                g_assert(roles); /* as the analyzers cannot see */
                e = ctl_select_details(ctl, words, roles, &selected);
        }
        for (guint i = 0; selected && i < selected->len; i++) {
                const CtlDetails *role = g_ptr_array_index(selected, i);

                if ((strcmp(role->state, "ended") == 0) == ended ||
                        g_strv_contains((const char *const *) words, role->name))
                        g_ptr_array_add(names, g_strdup(role->name));
        }
        g_ptr_array_add(names, NULL);
        return e;
}

static void add_name(GPtrArray *names, const char *name) {
        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
                g_ptr_array_add(names, g_strdup(name));
}

CtlExit ctl_expand_roles(Ctl *ctl, char *const *words, GPtrArray *names) {
        g_autoptr(GPtrArray) roles = NULL;
        bool only_names = words[0] != NULL;

        for (char *const *w = words; *w; w++)
                if (**w != '@')
                        add_name(names, *w);
                else
                        only_names = false;
        if (only_names)
                return CTL_EXIT_OK;
        CtlExit e = ctl_get_details(ctl, NULL, NULL, &roles);
        if (e != CTL_EXIT_OK)
                return e;
        g_assert(roles); /* as the analyzers cannot see */
        for (guint i = 0; i < roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(roles, i);
                bool meant = !words[0];

                if (strcmp(role->state, "ended") == 0)
                        continue;
                for (char *const *w = words; *w && !meant; w++)
                        meant = **w == '@' && ctl_word_selects(*w, role->name, role->groups);
                if (meant)
                        add_name(names, role->name);
        }
        return CTL_EXIT_OK;
}

/* -- the node -- */

#define NODE_PROPERTY(property, signature, member) \
        { property, signature, offsetof(CtlNode, member) }
static const Property node_properties[] = {
        NODE_PROPERTY("Version", "s", version),
        NODE_PROPERTY("Instance", "s", instance),
        NODE_PROPERTY("State", "s", state),
        NODE_PROPERTY("Slice", "s", slice),
        NODE_PROPERTY("EventEpoch", "s", event_epoch),
        NODE_PROPERTY("Features", "as", features),
        NODE_PROPERTY("Warnings", "as", warnings),
        NODE_PROPERTY("NRoles", "u", n_roles),
        NODE_PROPERTY("NRunning", "u", n_running),
        NODE_PROPERTY("EventSequence", "t", event_sequence),
        NODE_PROPERTY("MonitorTimeoutUSec", "t", timeout_usec),
        NODE_PROPERTY("MonitorDeadlineUSec", "t", deadline_usec),
        NODE_PROPERTY("KeeperConnected", "b", keeper_connected),
};

CtlExit ctl_get_node(Ctl *ctl, sd_bus_error *error, CtlNode *ret) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(CtlNode) node = {};

        CtlExit e = details_get_all(ctl, NODE_PATH, NODE_INTERFACE, error, &reply);
        if (e != CTL_EXIT_OK)
                return e;
        int r = properties_read(reply, node_properties, ELEMENTSOF(node_properties), &node);
        if (r >= 0 && (!node.version || !node.instance || !node.state || !node.warnings))
                r = -EBADMSG;
        if (r < 0)
                return details_bad_reply(r, error);
        *ret = node;
        node = (CtlNode){};
        return CTL_EXIT_OK;
}

void ctl_node_clear(CtlNode *node) {
        properties_clear(node_properties, ELEMENTSOF(node_properties), node);
}

bool ctl_node_deadline(const Ctl *ctl, const CtlNode *node, int64_t *ret_usec) {
        if (node->deadline_usec == 0 || node->deadline_usec == UINT64_MAX || ctl->host)
                return false;
        *ret_usec = (int64_t) (node->deadline_usec - now_usec(CLOCK_MONOTONIC));
        return true;
}
