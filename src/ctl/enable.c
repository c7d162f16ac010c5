/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "enable" and "disable": whether a role starts with the service, by a drop-in of its definition.
 */

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "ctl/connection.h"
#include "ctl/managed.h"
#include "ctl/role-files.h"
#include "ctl/roles.h"
#include "ctl/verb.h"
#include "proto/node-errors.h"
#include "util/autoptr.h"

#define DROP_IN "50-autostart.conf"

typedef struct Enable {
        Ctl *ctl;
        bool enable;
        bool now;
        char **directories;       /* of role files */
        Definitions *definitions; /* as they are installed */
        GPtrArray *roles;         /* their names, for --now */
} Enable;

static char *drop_in_name(const char *name) {
        return g_strconcat(name, ROLE_FILE_SUFFIX ".d/" DROP_IN, NULL);
}

/* With this text as the drop-in: returns in *ret whether all roles of the name are as they should be. One
 * that is refused does not say it. If a later drop-in says it, that is returned, too. */
static CtlExit enable_try(const Enable *en, const char *name, const char *text, bool *ret, char **ret_later) {
        g_autofree char *drop_in = drop_in_name(name);
        g_autoptr(Definitions) definitions = NULL;
        g_autoptr(Staging) staging = NULL;

        CtlExit e = staging_new(en->ctl, &staging);
        if (e == CTL_EXIT_OK)
                e = staging_add(staging, drop_in, text, strlen(text), drop_in);
        if (e == CTL_EXIT_OK)
                e = staging_load(staging, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        *ret = true;
        for (unsigned i = 0; i < definitions_count(definitions); i++) {
                const Definition *d = definitions_get(definitions, i);

                if (!role_files_has_name(d, name) || (d->spec && d->autostart == en->enable))
                        continue;
                *ret = false;
                if (d->spec && !*ret_later)
                        *ret_later = g_strdup(g_ptr_array_index(d->files, d->files->len - 1));
        }
        return CTL_EXIT_OK;
}

/* Returns whether a directory of lower precedence has the drop-in, which applies when ours is removed. */
static bool has_lower_drop_in(const Enable *en, const char *drop_in) {
        for (char **d = en->directories + 1; *d; d++) {
                g_autofree char *path = g_build_filename(*d, drop_in, NULL);

                if (access(path, F_OK) == 0)
                        return true;
        }
        return false;
}

static CtlExit enable_remove(const Enable *en, const char *path) {
        const bool exists = access(path, F_OK) == 0;

        CtlExit e = role_files_remove(en->ctl, path);
        if (e == CTL_EXIT_OK && exists)
                ctl_say(en->ctl, "Removed %s.", path);
        return e;
}

static CtlExit enable_write(const Enable *en, const char *name, const char *path, const char *text) {
        g_autofree char *later = NULL;
        bool done = false;

        CtlExit e = enable_try(en, name, text, &done, &later);
        if (e != CTL_EXIT_OK)
                return e;
        if (!done && later) {
                ctl_error("%s is not changed: %s, which is read after " DROP_IN ", has AutoStart=", name,
                        later);
                ctl_say(en->ctl, "Remove the line there: architectctl edit %s", name);
                return CTL_EXIT_FAILED;
        }
        e = role_files_write(en->ctl, path, text);
        if (e == CTL_EXIT_OK)
                ctl_say(en->ctl, "Created %s with AutoStart=%s.", path, en->enable ? "yes" : "no");
        return e;
}

/* The drop-in exists only where the rest of the definition says the opposite. */
static CtlExit enable_change(const Enable *en, const char *name) {
        g_autofree char *drop_in = drop_in_name(name),
                        *path = g_build_filename(en->directories[0], drop_in, NULL), *later = NULL;
        const char *text = en->enable ? "[Role]\nAutoStart=yes\n" : "[Role]\nAutoStart=no\n";
        bool done = false;

        if (!has_lower_drop_in(en, drop_in)) {
                CtlExit e = enable_try(en, name, "", &done, &later);
                if (e != CTL_EXIT_OK)
                        return e;
        }
        return done ? enable_remove(en, path) : enable_write(en, name, path, text);
}

static CtlExit enable_one(const Enable *en, const char *name) {
        for (unsigned i = 0; i < definitions_count(en->definitions); i++) {
                const Definition *d = definitions_get(en->definitions, i);

                if (!role_files_has_name(d, name))
                        continue;
                g_ptr_array_add(en->roles, d->name);
                if (d->error && d->error_line > 0)
                        ctl_say(en->ctl, "Note: the definition is refused: %s:%u: %s", d->error_file,
                                d->error_line, d->error);
                else if (d->error)
                        ctl_say(en->ctl, "Note: the definition is refused: %s: %s", d->error_file, d->error);
        }
        return enable_change(en, name);
}

/* -- --now -- */

static CtlExit now_read(const Enable *en, sd_bus_message *reply) {
        const char *role, *name, *message;
        CtlExit first = CTL_EXIT_OK;

        int r = sd_bus_message_enter_container(reply, 'a', "(sss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sss)", &role, &name, &message)) > 0) {
                const sd_bus_error error = { .name = name, .message = message };

                /* What does not run need not be stopped. */
                if (!name[0] || (!en->enable && node_error_from_string(name) == NODE_ERROR_NO_SUCH_ROLE))
                        continue;
                const CtlExit e = ctl_report(en->ctl, role, &error);
                if (first == CTL_EXIT_OK)
                        first = e;
        }
        return r < 0 ? ctl_bad_reply(r) : first;
}

static CtlExit enable_do_now(const Enable *en) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;

        g_ptr_array_add(en->roles, NULL);
        CtlExit e = ctl_new_call_many(
                en->ctl, en->enable ? "StartMany" : "StopMany", (char *const *) en->roles->pdata, &call);
        if (e == CTL_EXIT_OK)
                e = ctl_send(en->ctl, call, &reply);
        return e == CTL_EXIT_OK ? now_read(en, reply) : e;
}

static CtlExit enable_all(Enable *en, char *const *names) {
        CtlExit e = CTL_EXIT_OK, first = CTL_EXIT_OK;

        /* All names are known before anything is changed. */
        for (char *const *name = names; *name; name++)
                if (!role_files_find(en->definitions, *name)) {
                        e = role_files_report_unknown(en->ctl, en->definitions, *name);
                        first = first != CTL_EXIT_OK ? first : e;
                }
        if (first != CTL_EXIT_OK)
                return first;
        for (; *names && e == CTL_EXIT_OK; names++)
                e = enable_one(en, *names);
        if (e == CTL_EXIT_OK)
                e = role_files_reload(en->ctl);
        return e == CTL_EXIT_OK && en->now ? enable_do_now(en) : e;
}

static CtlExit verb_enable_or_disable(Ctl *ctl, int argc, char *argv[], bool enable) {
        enum { ARG_NOW = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "now", no_argument, NULL, ARG_NOW },
                { 0 },
        };
        g_autoptr(GPtrArray) roles = g_ptr_array_new();
        g_autoptr(Definitions) definitions = NULL;
        g_auto(GStrv) directories = NULL;
        CtlExit e = CTL_EXIT_OK;
        bool now = false;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                now = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 1, INT_MAX);
        if (e == CTL_EXIT_OK)
                e = role_files_check_options(ctl, argv[0]);
        if (e == CTL_EXIT_OK)
                e = role_files_load(ctl, &definitions);
        if (e == CTL_EXIT_OK && now && !enable)
                e = ctl_check_managed(ctl, argv[0], argv + optind, false);
        if (e != CTL_EXIT_OK)
                return e;
        directories = role_files_directories(ctl);
        Enable en = {
                .ctl = ctl,
                .enable = enable,
                .now = now,
                .directories = directories,
                .definitions = definitions,
                .roles = roles,
        };
        return enable_all(&en, argv + optind);
}

CtlExit verb_enable(Ctl *ctl, int argc, char *argv[]) {
        return verb_enable_or_disable(ctl, argc, argv, true);
}

CtlExit verb_disable(Ctl *ctl, int argc, char *argv[]) {
        return verb_enable_or_disable(ctl, argc, argv, false);
}
