/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/managed.h"
#include "ctl/observatory.h"
#include "ctl/words.h"
#include "util/autoptr.h"

static void managed_clear(void *p) {
        CtlManaged *managed = p;

        g_free(managed->name);
        g_free(managed->lease);
        g_free(managed->manager);
}

static int managed_compare(const void *a, const void *b) {
        return strcmp(((const CtlManaged *) a)->name, ((const CtlManaged *) b)->name);
}

static int managed_read(sd_bus_message *reply, GArray *list) {
        const char *name, *lease, *manager;

        int r = sd_bus_message_enter_container(reply, 'a', "(sss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sss)", &name, &lease, &manager)) > 0) {
                const CtlManaged managed = { g_strdup(name), g_strdup(lease), g_strdup(manager) };

                g_array_append_val(list, managed);
        }
        return r;
}

CtlExit ctl_list_managed(Ctl *ctl, GArray **ret) {
        g_autoptr(GArray) list = g_array_new(false, false, sizeof(CtlManaged));
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        g_array_set_clear_func(list, managed_clear);
        CtlExit e = ctl_new_call(ctl, &call, "ListManaged", NULL);
        if (e != CTL_EXIT_OK)
                return e;
        int r = ctl_try(ctl, call, &error, &reply);
        if (r < 0 && !sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD))
                return ctl_report(ctl, NULL, &error);
        r = r < 0 ? 0 : managed_read(reply, list);
        if (r < 0)
                return ctl_bad_reply(r);
        g_array_sort(list, managed_compare);
        *ret = g_steal_pointer(&list);
        return CTL_EXIT_OK;
}

const CtlManaged *ctl_find_managed(const GArray *managed, const char *role) {
        const CtlManaged key = { .name = (char *) role };

        return managed->len == 0 ? NULL
                                 : bsearch(&key, managed->data, managed->len, sizeof(key), managed_compare);
}

/* -- the refusal -- */

/* What a person types to have the manager do it, or NULL. */
static char *manager_command(const char *manager, const char *verb) {
        const char *name = strchr(manager, ':') + 1;
        const bool restart = strcmp(verb, "restart") == 0;

        if (g_str_has_prefix(manager, "pacemaker:")) {
                const char *crm[] = { "crm", "resource", restart ? "restart" : "stop", name, NULL };
                const char *pcs[] = { "pcs", "resource", restart ? "restart" : "disable", name, NULL };
                g_autofree char *first = words_command(crm), *second = words_command(pcs);

                return g_strdup_printf("%s, or: %s", first, second);
        }
        if (g_str_has_prefix(manager, OBSERVATORY_MANAGER)) {
                g_autofree char *observatory = g_strndup(name, strcspn(name, "#"));
                const char *up[] = { "architectctl", restart ? "up" : "down", observatory, NULL };

                return words_command(up);
        }
        return NULL;
}

static CtlExit refuse_managed(Ctl *ctl, const char *verb, const CtlManaged *managed) {
        const bool has_manager = strchr(managed->manager, ':');
        g_autofree char *command = has_manager ? manager_command(managed->manager, verb) : NULL;

        if (has_manager)
                ctl_error("\"%s\" is managed by %s, which decides whether it runs", managed->name,
                        managed->manager);
        else
                ctl_error("\"%s\" belongs to lease \"%s\", and who holds that decides about it",
                        managed->name, managed->lease);
        if (command)
                ctl_say(ctl, "Have the manager do it: %s", command);
        if (strcmp(verb, "disable") == 0)
                ctl_say(ctl, "Without --now it is only not started with the service any more.");
        else
                ctl_say(ctl, "--force does it all the same%s",
                        has_manager ? ", and the manager may undo it." : "; only root may do that.");
        return CTL_EXIT_NOT_PERMITTED;
}

static CtlExit check_each(Ctl *ctl, const GArray *managed, const char *verb, char *const *roles, bool force) {
        for (; *roles; roles++) {
                const CtlManaged *m = ctl_find_managed(managed, *roles);

                if (m && !force)
                        return refuse_managed(ctl, verb, m);
                ctl->force = ctl->force || (m && m->lease[0]);
        }
        return CTL_EXIT_OK;
}

CtlExit ctl_check_managed(Ctl *ctl, const char *verb, char *const *roles, bool force) {
        g_autoptr(GArray) managed = NULL;

        CtlExit e = ctl_list_managed(ctl, &managed);
        if (e != CTL_EXIT_OK)
                return e;
        g_assert(managed);
        return check_each(ctl, managed, verb, roles, force);
}

CtlExit ctl_check_managed_words(Ctl *ctl, const char *verb, char *const *words, bool force) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GArray) managed = NULL;

        CtlExit e = ctl_list_managed(ctl, &managed);
        if (e != CTL_EXIT_OK)
                return e;
        g_assert(managed);
        if (managed->len == 0)
                return CTL_EXIT_OK;
        e = ctl_expand_roles(ctl, words, names);
        if (e != CTL_EXIT_OK)
                return e;
        g_ptr_array_add(names, NULL);
        return check_each(ctl, managed, verb, (char *const *) names->pdata, force);
}
