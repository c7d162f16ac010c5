/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/connection.h"
#include "ctl/role-files.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "model/role-options.h"
#include "util/autoptr.h"
#include "util/config-files.h"
#include "util/log.h"

/* -- where they are -- */

CtlExit role_files_check_options(const Ctl *ctl, const char *verb) {
        g_auto(GStrv) directories = NULL;

        if (ctl->host || ctl->machine)
                return ctl_refuse_place(ctl, verb);
        directories = definitions_directories(ctl->user);
        if (!directories) {
                ctl_error(
                        "the role files of a user are in $XDG_CONFIG_HOME or $HOME/.config; set one of them");
                return CTL_EXIT_FAILED;
        }
        return CTL_EXIT_OK;
}

char **role_files_directories(const Ctl *ctl) {
        char **directories = definitions_directories(ctl->user);

        for (char **d = directories; d && *d; d++) {
                char *path = g_strdup_printf("%s/%s.roles.d", *d, ctl->instance);

                g_free(*d);
                *d = path;
        }
        return directories;
}

int role_files_list(const Ctl *ctl, const char *role, const char *file, GPtrArray **ret) {
        g_auto(GStrv) directories = role_files_directories(ctl);
        g_autofree char *base = g_path_get_basename(file), *own = g_strconcat(role, ROLE_FILE_SUFFIX, NULL);
        g_autoptr(GPtrArray) of_role = NULL;

        if (!directories)
                return -ENOENT;
        int r = config_files_list((const char *const *) directories, base, ret);
        if (r < 0 || g_str_equal(base, own))
                return r;
        /* An instance of a template: its own drop-ins come after those of the template. */
        r = config_files_list((const char *const *) directories, own, &of_role);
        if (r < 0) {
                g_clear_pointer(ret, g_ptr_array_unref);
                return r;
        }
        for (guint i = 0; i < of_role->len; i++)
                g_ptr_array_add(*ret, g_strdup(g_ptr_array_index(of_role, i)));
        return 0;
}

/* -- reading -- */

/* The reader logs what it finds, for the journal of the service. Here the definitions have the errors; its
 * warnings are taken if they are about staged files. */
static void staging_take_warning(void *userdata, int level, const char *text, const char *const *fields) {
        Staging *staging = userdata;

        if (staging && level == LOG_WARNING && strstr(text, staging->directory))
                g_ptr_array_add(staging->warnings, g_strdup(text));
}

static int load(const Ctl *ctl, Staging *staging, bool installed, Definitions **ret, Fault *fault) {
        g_auto(GStrv) of_service = definitions_directories(ctl->user);
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) directories = NULL;

        if (staging)
                g_strv_builder_add(builder, staging->directory);
        if (installed)
                g_strv_builder_addv(builder, (const char **) of_service);
        directories = g_strv_builder_end(builder);
        const DefinitionsPlace place = {
                .directories = (const char *const *) directories,
                .instance = ctl->instance,
                /* The staged files belong to whoever runs this. */
                .owner = staging || ctl->user ? geteuid() : 0,
        };

        log_set_target(LOG_TARGET_NULL);
        log_set_sink(staging_take_warning, staging);
        int r = definitions_load(&place, ret, fault);
        log_set_sink(NULL, NULL);
        log_set_target(LOG_TARGET_CONSOLE);
        return r;
}

CtlExit role_files_load(const Ctl *ctl, Definitions **ret) {
        g_auto(Fault) fault = {};

        if (load(ctl, NULL, true, ret, &fault) < 0) {
                ctl_error("%s", fault.message);
                return CTL_EXIT_FAILED;
        }
        return CTL_EXIT_OK;
}

bool role_files_has_name(const Definition *definition, const char *name) {
        g_autofree char *base = g_path_get_basename(definition->file);

        return strcmp(definition->name, name) == 0 ||
               (g_str_has_suffix(name, "@") && g_str_has_prefix(base, name) &&
                       strcmp(base + strlen(name), ROLE_FILE_SUFFIX) == 0);
}

const Definition *role_files_find(const Definitions *definitions, const char *name) {
        for (unsigned i = 0; i < definitions_count(definitions); i++) {
                const Definition *definition = definitions_get(definitions, i);

                if (role_files_has_name(definition, name))
                        return definition;
        }
        return NULL;
}

static const char *nearest_definition(const Definitions *definitions, const char *name) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (unsigned i = 0; i < definitions_count(definitions); i++)
                g_ptr_array_add(names, definitions_get(definitions, i)->name);
        g_ptr_array_add(names, NULL);
        return words_nearest(name, (const char *const *) names->pdata);
}

CtlExit role_files_report_unknown(const Ctl *ctl, const Definitions *definitions, const char *name) {
        const char *nearest = nearest_definition(definitions, name);

        ctl_error("there is no definition of \"%s\"", name);
        if (nearest)
                ctl_say(ctl, "Did you mean \"%s\"?", nearest);
        else
                ctl_say(ctl, "architectctl list --defined shows those that there are.");
        return CTL_EXIT_NO_SUCH_ROLE;
}

/* -- writing -- */

static CtlExit report_change(
        const Ctl *ctl, const char *what, const char *path, const char *reason, bool denied) {
        ctl_error("cannot %s %s: %s", what, path, reason);
        if (!denied)
                return CTL_EXIT_FAILED;
        if (!ctl->user && geteuid() != 0)
                ctl_say(ctl,
                        "The definitions of the system belong to root; run it as root, or with --user for your own service.");
        return CTL_EXIT_NOT_PERMITTED;
}

static CtlExit report_change_errno(const Ctl *ctl, const char *what, const char *path, int error) {
        return report_change(ctl, what, path, g_strerror(error), error == EACCES || error == EPERM);
}

static CtlExit write_file(const Ctl *ctl, const char *path, const char *text) {
        g_autofree char *directory = g_path_get_dirname(path);
        g_autoptr(GError) error = NULL;

        if (g_mkdir_with_parents(directory, 0755) < 0)
                return report_change_errno(ctl, "make", directory, errno);
        if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error))
                return report_change(ctl, "write", path, error->message,
                        g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES) ||
                                g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_PERM));
        return CTL_EXIT_OK;
}

CtlExit role_files_write(const Ctl *ctl, const char *path, const char *text) {
        /* The service refuses what others may write to, and other programs read these files. */
        const mode_t mask = umask(022);
        CtlExit e = write_file(ctl, path, text);

        (void) umask(mask);
        return e;
}

CtlExit role_files_remove(const Ctl *ctl, const char *path) {
        g_autofree char *directory = g_path_get_dirname(path);

        if (unlink(path) < 0 && errno != ENOENT)
                return report_change_errno(ctl, "remove", path, errno);
        /* It stays if there are other drop-ins. */
        if (g_str_has_suffix(directory, ROLE_FILE_SUFFIX ".d"))
                (void) rmdir(directory);
        return CTL_EXIT_OK;
}

CtlExit role_files_reload(Ctl *ctl) {
        CtlExit e = ctl_call(ctl, NULL, "Reload", NULL);

        if (e != CTL_EXIT_OK)
                ctl_say(ctl, "The files are written; the service reads them when it starts, or by Reload.");
        return e;
}

/* -- staging -- */

CtlExit staging_new(const Ctl *ctl, Staging **ret) {
        g_autoptr(Staging) staging = g_new(Staging, 1);
        g_autoptr(GError) error = NULL;
        g_autofree char *below = NULL;

        *staging = (Staging){
                .ctl = ctl,
                .directory = g_dir_make_tmp("architectctl-XXXXXX", &error),
                .shown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                .warnings = g_ptr_array_new_with_free_func(g_free),
        };
        if (!staging->directory) {
                ctl_error("cannot make a temporary directory: %s", error->message);
                return CTL_EXIT_FAILED;
        }
        below = g_strdup_printf("%s/%s.roles.d", staging->directory, ctl->instance);
        if (mkdir(below, 0700) < 0)
                return ctl_failed(-errno, "make a temporary directory");
        *ret = g_steal_pointer(&staging);
        return CTL_EXIT_OK;
}

Staging *staging_free(Staging *staging) {
        GHashTableIter iter;
        g_autofree char *below = NULL;
        char *path;

        if (!staging)
                return NULL;
        below = g_strdup_printf("%s/%s.roles.d", staging->directory ?: "", staging->ctl->instance);
        g_hash_table_iter_init(&iter, staging->shown);
        while (g_hash_table_iter_next(&iter, (void **) &path, NULL)) {
                g_autofree char *directory = g_path_get_dirname(path);

                (void) unlink(path);
                if (strcmp(directory, below) != 0)
                        (void) rmdir(directory); /* empty after the last of its files */
        }
        if (staging->directory) {
                (void) rmdir(below);
                (void) rmdir(staging->directory);
        }
        g_hash_table_unref(staging->shown);
        g_ptr_array_unref(staging->warnings);
        g_free(staging->directory);
        g_free(staging);
        return NULL;
}

CtlExit staging_add(Staging *staging, const char *name, const char *text, size_t size, const char *shown) {
        g_autofree char *path = g_strdup_printf(
                                "%s/%s.roles.d/%s", staging->directory, staging->ctl->instance, name),
                        *directory = g_path_get_dirname(path);
        g_autoptr(GError) error = NULL;

        (void) mkdir(directory, 0700);
        if (!g_file_set_contents_full(path, text, (gssize) size, G_FILE_SET_CONTENTS_NONE, 0600, &error)) {
                ctl_error("cannot make a copy of %s: %s", shown, error->message);
                (void) rmdir(directory);
                return CTL_EXIT_FAILED;
        }
        g_hash_table_replace(staging->shown, g_steal_pointer(&path), g_strdup(shown));
        return CTL_EXIT_OK;
}

CtlExit staging_load(Staging *staging, Definitions **ret) {
        g_auto(Fault) fault = {}, alone = {};

        g_ptr_array_set_size(staging->warnings, 0);
        if (load(staging->ctl, staging, true, ret, &fault) >= 0)
                return CTL_EXIT_OK;
        ctl_say(staging->ctl, "%s; what is installed is not known.", fault.message);
        if (load(staging->ctl, staging, false, ret, &alone) < 0) {
                ctl_error("%s", alone.message);
                return CTL_EXIT_FAILED;
        }
        return CTL_EXIT_OK;
}

const char *staging_shown(const Staging *staging, const char *path) {
        return g_hash_table_lookup(staging->shown, path);
}

static bool staging_has(const Staging *staging, const Definition *definition) {
        for (unsigned i = 0; i < definition->files->len; i++)
                if (staging_shown(staging, g_ptr_array_index(definition->files, i)))
                        return true;
        return false;
}

/* -- what is wrong with them -- */

static void report_line(const Staging *staging, const char *file, unsigned line, const char *reason) {
        const char *shown = staging_shown(staging, file) ?: file;

        if (line > 0)
                (void) fprintf(stderr, "%s:%u: %s\n", shown, line, reason);
        else
                (void) fprintf(stderr, "%s: %s\n", shown, reason);
}

static void report_warnings(const Staging *staging) {
        for (unsigned i = 0; i < staging->warnings->len; i++) {
                g_autoptr(GString) text = g_string_new(g_ptr_array_index(staging->warnings, i));
                GHashTableIter iter;
                const char *path, *shown;

                g_hash_table_iter_init(&iter, staging->shown);
                while (g_hash_table_iter_next(&iter, (void **) &path, (void **) &shown))
                        g_string_replace(text, path, shown, 0);
                ctl_say(staging->ctl, "%s", text->str);
        }
}

/* A start that cannot have what it needs fails before anything is started. */
static unsigned report_needs(
        const Staging *staging, const Definitions *definitions, const Definition *definition) {
        unsigned n = 0;

        for (Dependency kind = 0; kind < _DEPENDENCY_MAX; kind++) {
                char **names = definition->spec->dependencies[kind];
                unsigned line = 0;
                const char *file = definition_dependency_source(definition, kind, &line);

                for (; dependency_pulls(kind) && names && *names; names++) {
                        const char *nearest = NULL;
                        g_autofree char *reason = NULL;

                        if (definitions_reserve(definitions, *names))
                                continue;
                        nearest = nearest_definition(definitions, *names);
                        reason = g_strdup_printf("%s \"%s\", which has no definition%s%s%s%s",
                                dependency_needs(kind) ? "it requires" : "it wants", *names,
                                dependency_needs(kind) ? "" : " and is not started",
                                nearest ? "; did you mean \"" : "", nearest ?: "", nearest ? "\"?" : "");
                        if (dependency_needs(kind) || !staging->ctl->quiet)
                                report_line(staging, file ?: definition->file, line, reason);
                        n += dependency_needs(kind);
                }
        }
        return n;
}

/* All roles of a template have most of their errors in common. */
static bool is_same_error(const Definition *a, const Definition *b) {
        return a->error && b->error && a->error_line == b->error_line &&
               strcmp(a->error_file, b->error_file) == 0 && strcmp(a->error, b->error) == 0;
}

unsigned staging_report(const Staging *staging, const Definitions *definitions) {
        const Definition *before = NULL;
        unsigned n = 0;

        for (unsigned i = 0; i < definitions_count(definitions); i++) {
                const Definition *definition = definitions_get(definitions, i);

                if (!staging_has(staging, definition))
                        continue;
                if (definition->spec)
                        n += report_needs(staging, definitions, definition);
                else if (!before || !is_same_error(before, definition)) {
                        report_line(
                                staging, definition->error_file, definition->error_line, definition->error);
                        n++;
                }
                before = definition;
        }
        report_warnings(staging);
        return n;
}
