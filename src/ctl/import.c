/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "import": role files from the configuration of other supervisors. The reader of the service
 * decides what is valid: a line that it refuses becomes a comment with its reason. */

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/unit-name.h"
#include "ctl/import.h"
#include "ctl/role-files.h"
#include "ctl/verb.h"
#include "model/role-options.h"
#include "util/config-files.h"

typedef struct ImportKind {
        const char *name;
        void (*read)(Import *import, char *const *files);
} ImportKind;

static const ImportKind import_kinds[] = {
        { "supervisord", import_supervisord },
        { "procserv", import_procserv },
        { "systemd", import_systemd },
};

/* -- for the importers -- */

static void import_role_free(void *p) {
        ImportRole *role = p;

        g_free(role->name);
        g_ptr_array_unref(role->lines);
        g_free(role);
}

void import_error(Import *import, ImportPlace place, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (place.line > 0)
                (void) fprintf(stderr, "%s:%u: %s\n", place.file, place.line, reason);
        else
                (void) fprintf(stderr, "%s: %s\n", place.file, reason);
        import->n_errors++;
}

bool import_read_file(Import *import, ImportPlace from, const char *path, char **ret, size_t *ret_size) {
        g_autofree char *of = from.file ? g_strdup_printf("%s: ", path) : NULL;

        int r = config_file_read(path, ret, ret_size);
        if (r > 0)
                return true;
        if (!from.file)
                from = (ImportPlace){ path, 0 };
        if (r == -EFBIG)
                import_error(import, from, "%sit has more than %u bytes", of ?: "", CONFIG_FILE_MAX);
        else if (r == -EISDIR || r == -EBADFD)
                import_error(import, from, "%sit is not a regular file", of ?: "");
        else
                import_error(
                        import, from, "%sit cannot be read: %s", of ?: "", g_strerror(r < 0 ? -r : ENOENT));
        return false;
}

ImportRole *import_add_role(
        Import *import, const char *wanted, bool is_template, ImportPlace place, const char *what) {
        g_autofree char *allowed = role_name_suggest(wanted);
        ImportRole *role;

        if (!allowed) {
                import_error(
                        import, place, "%s has no letter or digit that a role could be named after", what);
                return NULL;
        }
        g_autofree char *name = is_template ? g_strconcat(allowed, "@", NULL) : g_strdup(allowed);
        for (unsigned i = 0; i < import->roles->len; i++) {
                const ImportRole *other = g_ptr_array_index(import->roles, i);

                if (strcmp(other->name, name) != 0)
                        continue;
                import_error(import, place, "%s would be the role \"%s\", as %s:%u; rename one of them", what,
                        name, other->place.file, other->place.line);
                return NULL;
        }
        role = g_new(ImportRole, 1);
        *role = (ImportRole){
                .name = g_steal_pointer(&name),
                .place = place,
                .lines = g_ptr_array_new_with_free_func(g_free),
        };
        g_ptr_array_add(role->lines, g_strdup_printf("# From %s:%u: %s", place.file, place.line, what));
        if (strcmp(allowed, wanted) != 0)
                g_ptr_array_add(role->lines, g_strdup_printf("# Its name was \"%s\".", wanted));
        g_ptr_array_add(role->lines, g_strdup("[Role]"));
        g_ptr_array_add(import->roles, role);
        return role;
}

/* The lines of a value, for example of a command, are separated like words. */
static char *one_line(const char *text) {
        return g_strdelimit(g_strdup(text), "\n\r", ' ');
}

void import_set(ImportRole *role, const char *key, const char *value) {
        g_autofree char *line = g_strdup_printf("%s=%s", key, value);

        g_ptr_array_add(role->lines, one_line(line));
}

void import_setf(ImportRole *role, const char *key, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *value = g_strdup_vprintf(format, ap);
        va_end(ap);
        import_set(role, key, value);
}

void import_comment(
        GPtrArray *lines, ImportPlace place, const char *key, const char *value, const char *reason) {
        /* The file will be readable by everybody. */
        const bool secret = strstr(key, "password") != NULL;
        g_autofree char *comment =
                g_strdup_printf("# %s:%u: %s%s%s: %s", place.file, place.line, key, value ? "=" : "",
                        !value   ? ""
                        : secret ? "..."
                                 : value,
                        reason);

        g_ptr_array_add(lines, one_line(comment));
}

/* -- values -- */

char *import_escape(const char *text) {
        GString *s = g_string_new(text);

        g_string_replace(s, "%", "%%", 0);
        g_string_replace(s, IMPORT_INSTANCE, "%i", 0);
        g_string_replace(s, IMPORT_HOST, "%H", 0);
        return g_string_free(s, FALSE);
}

char *import_environment_word(const char *name, const char *value) {
        GString *word = g_string_new(NULL);
        const bool plain = !value[strcspn(value, " \t\n\"'\\")];

        g_string_append_printf(word, "%s%s=", plain ? "" : "\"", name);
        for (; *value; value++)
                switch (*value) {
                case '"':
                case '\\':
                        g_string_append_printf(word, "\\%c", *value);
                        break;
                case '\n':
                        g_string_append(word, "\\n");
                        break;
                default:
                        g_string_append_c(word, *value);
                }
        if (!plain)
                g_string_append_c(word, '"');
        return g_string_free(word, FALSE);
}

char *import_wrap(const char *script, const char *command) {
        return g_strdup_printf("sh -c '%s; exec \"$@\"' sh %s", script, command);
}

/* -- the check -- */

static char *role_text(const ImportRole *role) {
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < role->lines->len; i++)
                g_string_append_printf(text, "%s\n", (const char *) g_ptr_array_index(role->lines, i));
        return g_string_free(text, FALSE);
}

static ImportRole *import_find(const Import *import, const char *shown) {
        for (unsigned i = 0; shown && i < import->roles->len; i++) {
                ImportRole *role = g_ptr_array_index(import->roles, i);

                if (g_str_has_prefix(shown, role->name) &&
                        strcmp(shown + strlen(role->name), ROLE_FILE_SUFFIX) == 0)
                        return role;
        }
        return NULL;
}

/* Options that do not go together are an error of the file as a whole, which begins with one of them, by its
 * name on the bus. Returns the line of that, or 0. */
static unsigned role_find_option(const ImportRole *role, const char *error) {
        static const char begin[] = "Option \"";
        const char *name = g_str_has_prefix(error, begin) ? error + strlen(begin) : "";

        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *option = &role_options[i];
                g_autofree char *key = option->file_key ? g_strconcat(option->file_key, "=", NULL) : NULL;

                if (!key || !option->key || !g_str_has_prefix(name, option->key) ||
                        name[strlen(option->key)] != '"' || strcmp(option->file_key, "Command") == 0)
                        continue;
                for (unsigned k = role->lines->len; k > 0; k--)
                        if (g_str_has_prefix(g_ptr_array_index(role->lines, k - 1), key))
                                return k;
        }
        return 0;
}

/* Makes a comment of a line that is refused. Returns false if it is none that can be left out. */
static bool role_refuse_line(const Import *import, ImportRole *role, const Definition *d) {
        unsigned number = d->error_line;
        char **line = NULL;

        if (number == 0 || number > role->lines->len)
                return false;
        line = (char **) &g_ptr_array_index(role->lines, number - 1);
        if ((*line)[0] == '#')
                return true; /* another role of the template had the same error */
        if ((*line)[0] == '[') {
                number = role_find_option(role, d->error);
                if (number == 0)
                        return false;
                line = (char **) &g_ptr_array_index(role->lines, number - 1);
        }
        ctl_say(import->ctl, "%s" ROLE_FILE_SUFFIX ": %s is left out: %s", role->name, *line, d->error);
        char *comment = g_strdup_printf("# %s: %s", *line, d->error);
        g_free(*line);
        *line = comment;
        return true;
}

static CtlExit import_stage(const Import *import, Staging **ret, Definitions **ret_definitions) {
        g_autoptr(Staging) staging = NULL;

        CtlExit e = staging_new(import->ctl, &staging);
        for (unsigned i = 0; e == CTL_EXIT_OK && i < import->roles->len; i++) {
                const ImportRole *role = g_ptr_array_index(import->roles, i);
                g_autofree char *text = role_text(role),
                                *name = g_strconcat(role->name, ROLE_FILE_SUFFIX, NULL);

                e = staging_add(staging, name, text, strlen(text), name);
        }
        if (e == CTL_EXIT_OK)
                e = staging_load(staging, ret_definitions);
        if (e == CTL_EXIT_OK)
                *ret = g_steal_pointer(&staging);
        return e;
}

/* Returns in *ret how many lines were left out. A role that is refused for another reason is an error, and is
 * not written. */
static CtlExit import_settle_once(Import *import, unsigned *ret) {
        g_autoptr(Definitions) definitions = NULL;
        g_autoptr(Staging) staging = NULL;
        unsigned n = 0;

        CtlExit e = import_stage(import, &staging, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        for (unsigned i = 0; i < definitions_count(definitions); i++) {
                const Definition *d = definitions_get(definitions, i);
                ImportRole *role = import_find(import, staging_shown(staging, d->file));

                if (!d->error || !role)
                        continue;
                n++;
                /* The line may also be one of a drop-in that is installed. */
                const bool own = strcmp(d->error_file, d->file) == 0;
                if (own && role_refuse_line(import, role, d))
                        continue;
                import_error(import, role->place, "its role file would be refused: %s%s%s",
                        own ? "" : d->error_file, own ? "" : ": ", d->error);
                (void) g_ptr_array_remove(import->roles, role);
        }
        *ret = n;
        return CTL_EXIT_OK;
}

static CtlExit import_settle(Import *import) {
        CtlExit e = CTL_EXIT_OK;
        unsigned n = 1;

        /* Each time there is a line less, or a role. */
        while (e == CTL_EXIT_OK && n > 0)
                e = import_settle_once(import, &n);
        return e;
}

/* -- writing -- */

static void import_print_notes(const Import *import) {
        for (unsigned i = 0; i < import->notes->len; i++)
                (void) printf("%s\n", (const char *) g_ptr_array_index(import->notes, i));
}

static void import_print(const Import *import) {
        import_print_notes(import);
        for (unsigned i = 0; i < import->roles->len; i++) {
                const ImportRole *role = g_ptr_array_index(import->roles, i);
                g_autofree char *text = role_text(role);

                (void) printf("%s# %s" ROLE_FILE_SUFFIX "\n%s", i > 0 || import->notes->len > 0 ? "\n" : "",
                        role->name, text);
        }
}

static char *role_path(const char *directory, const ImportRole *role) {
        return g_strdup_printf("%s/%s" ROLE_FILE_SUFFIX, directory, role->name);
}

static CtlExit import_write(const Import *import, const char *directory, bool force) {
        CtlExit e = CTL_EXIT_OK;

        for (unsigned i = 0; !force && i < import->roles->len; i++) {
                g_autofree char *path = role_path(directory, g_ptr_array_index(import->roles, i));

                if (access(path, F_OK) == 0) {
                        ctl_error("%s exists already, nothing is written; --force replaces it", path);
                        return CTL_EXIT_FAILED;
                }
        }
        for (unsigned i = 0; e == CTL_EXIT_OK && i < import->roles->len; i++) {
                const ImportRole *role = g_ptr_array_index(import->roles, i);
                g_autofree char *path = role_path(directory, role), *text = role_text(role);

                e = role_files_write(import->ctl, path, text);
                if (e == CTL_EXIT_OK)
                        ctl_say(import->ctl, "Wrote %s.", path);
        }
        import_print_notes(import);
        return e;
}

typedef struct ImportOptions {
        const char *output;
        bool install;
        bool force;
} ImportOptions;

static CtlExit import_run(
        Import *import, const ImportKind *kind, const ImportOptions *options, char *const *files) {
        g_auto(GStrv) directories = role_files_directories(import->ctl);

        kind->read(import, files);
        CtlExit e = import_settle(import);
        if (e != CTL_EXIT_OK)
                return e;
        if (import->roles->len == 0 && import->n_errors == 0)
                ctl_say(import->ctl, "There is nothing that could be a role.");
        if (!options->output && !options->install)
                import_print(import);
        else
                e = import_write(import, options->output ?: directories[0], options->force);
        if (e == CTL_EXIT_OK && options->install && import->roles->len > 0)
                e = role_files_reload(import->ctl);
        return e == CTL_EXIT_OK && import->n_errors > 0 ? CTL_EXIT_FAILED : e;
}

static const ImportKind *find_kind(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(import_kinds); i++)
                if (strcmp(import_kinds[i].name, name) == 0)
                        return &import_kinds[i];
        return NULL;
}

/* NAME=VALUE, or NAME for that of this process, as systemd-run. */
static CtlExit add_environment(GPtrArray *environment, const char *text) {
        const char *equals = strchr(text, '='), *value = equals ? NULL : g_getenv(text);

        if (!equals && !value)
                return ctl_usage("import", "--setenv=%s: there is no such variable in the environment", text);
        if (equals == text)
                return ctl_usage("import", "--setenv=%s: the name is empty", text);
        g_ptr_array_add(environment, equals ? g_strdup(text) : g_strdup_printf("%s=%s", text, value));
        return CTL_EXIT_OK;
}

static CtlExit import_files(
        Ctl *ctl, const ImportOptions *options, char **environment, char *const *arguments) {
        const ImportKind *kind = find_kind(arguments[0]);
        g_autoptr(GPtrArray) roles = g_ptr_array_new_with_free_func(import_role_free),
                             notes = g_ptr_array_new_with_free_func(g_free);
        Import import = { .ctl = ctl, .roles = roles, .notes = notes, .environment = environment };

        if (!kind)
                return ctl_usage("import",
                        "\"%s\" cannot be imported: there are supervisord, procserv and systemd",
                        arguments[0]);
        if (options->output && options->install)
                return ctl_usage("import", "--output= and --install name two directories, give one of them");
        CtlExit e = role_files_check_options(ctl, "import");
        return e == CTL_EXIT_OK ? import_run(&import, kind, options, arguments + 1) : e;
}

CtlExit verb_import(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_OUTPUT = CTL_OPTION_OWN, ARG_INSTALL, ARG_FORCE, ARG_SETENV };
        static const struct option all[] = {
                { "output", required_argument, NULL, ARG_OUTPUT },
                { "install", no_argument, NULL, ARG_INSTALL },
                { "force", no_argument, NULL, ARG_FORCE },
                { "setenv", required_argument, NULL, ARG_SETENV },
                { 0 },
        };
        g_autoptr(GPtrArray) environment = g_ptr_array_new_with_free_func(g_free);
        ImportOptions options = {};
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, all, &e)) >= 0) {
                if (c == ARG_OUTPUT)
                        options.output = optarg;
                else if (c == ARG_SETENV)
                        e = add_environment(environment, optarg);
                else if (c == ARG_INSTALL)
                        options.install = true;
                else
                        options.force = true;
                if (e != CTL_EXIT_OK)
                        return e;
        }
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 2, INT_MAX);
        if (e != CTL_EXIT_OK)
                return e;
        g_ptr_array_add(environment, NULL);
        return import_files(ctl, &options, (char **) environment->pdata, argv + optind);
}
