/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/unit-name.h"
#include "base/utf8.h"
#include "model/definition-order.h"
#include "model/definitions.h"
#include "model/products.h"
#include "model/role-option-text.h"
#include "model/role-specifiers.h"
#include "model/settings.h"
#include "proto/node-names.h"
#include "util/config-files.h"
#include "util/log.h"
#include "util/unit-file.h"

#define ROLE_SUFFIX ".role"
#define DROP_INS_SUFFIX ".role.d"
#define SECTION_ROLE "Role"
#define IGNORED_PREFIX "X-"
#define WHITE_SPACE " \t"

struct Definitions {
        GHashTable *by_name; /* name → Definition; owned */
        GPtrArray *sorted;   /* the same; not owned */
        unsigned n_refused;
};

/* -- where they are -- */

/* A path of the user according to the basedir specification, which ignores relative ones. */
static const char *definitions_get_path(const char *variable) {
        const char *path = g_getenv(variable);

        return path && g_path_is_absolute(path) ? path : NULL;
}

char **definitions_directories(bool user) {
        /* The precedence of systemd. */
        static const char *const of_system[] = { SETTINGS_DIRECTORY, NODE_RUNTIME_DIRECTORY,
                "/usr/lib/architect-node", NULL };
        const char *config = definitions_get_path("XDG_CONFIG_HOME"), *home = definitions_get_path("HOME");
        g_autofree char *directory = NULL;

        if (!user)
                return g_strdupv((char **) of_system);
        if (!config && !home)
                return NULL;
        directory = config ? g_build_filename(config, "architect-node", NULL)
                           : g_build_filename(home, ".config", "architect-node", NULL);
        return g_strdupv((char *[]){ directory, NULL });
}

const char *definitions_refuse_owner(const struct stat *st, uid_t owner) {
        if (st->st_uid != 0 && st->st_uid != owner)
                return owner == 0 ? "it does not belong to root"
                                  : "it belongs neither to root nor to the user whose service this is";
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return "others than its owner may write to it";
        return NULL;
}

/* -- one definition -- */

static void definition_free(void *p) {
        Definition *d = p;

        g_free(d->name);
        g_free(d->file);
        role_spec_free(d->spec);
        g_free(d->description);
        g_ptr_array_unref(d->files);
        g_array_unref(d->sources);
        g_free(d->error);
        g_free(d->error_file);
        g_free(d);
}

/* Takes a reference to the files, of which the first one is the role file. */
static Definition *definition_new(const char *name, GPtrArray *files) {
        Definition *d = g_new(Definition, 1);

        *d = (Definition){
                .name = g_strdup(name),
                .file = g_strdup(g_ptr_array_index(files, 0)),
                .files = g_ptr_array_ref(files),
                .sources = g_array_new(false, false, sizeof(DefinitionSource)),
        };
        return d;
}

const char *definition_source(const Definition *definition, const RoleOption *option) {
        const char *file = NULL;
        unsigned last = 0;

        for (unsigned i = 0; i < definition->sources->len; i++) {
                const DefinitionSource *s = &g_array_index(definition->sources, DefinitionSource, i);
                const bool part = s->option->part_of && g_strcmp0(s->option->part_of, option->key) == 0;

                if ((s->option == option || part) && s->file >= last) {
                        last = s->file;
                        file = g_ptr_array_index(definition->files, last);
                }
        }
        return file;
}

const char *definition_dependency_source(const Definition *d, Dependency kind, unsigned *ret_line) {
        for (unsigned i = 0; i < d->sources->len; i++) {
                const DefinitionSource *s = &g_array_index(d->sources, DefinitionSource, i);

                if (s->option->offset == offsetof(RoleSpec, dependencies) + kind * sizeof(char **)) {
                        *ret_line = s->line;
                        return g_ptr_array_index(d->files, s->file);
                }
        }
        return NULL;
}

/* -- what is wrong with it -- */

typedef struct Problem {
        char *reason; /* NULL if there is none */
        char *file;
        unsigned line;
} Problem;

static void problem_clear(Problem *problem) {
        g_free(problem->reason);
        g_free(problem->file);
        *problem = (Problem){};
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Problem, problem_clear)

/* Takes the reason. Always returns -EBADMSG. */
static int problem_set(Problem *problem, const char *file, unsigned line, char *reason) {
        g_assert(!problem->reason);
        problem->reason = reason;
        problem->file = g_strdup(file);
        problem->line = line;
        return -EBADMSG;
}

/* -- the files of one definition -- */

typedef enum Setting {
        SETTING_OPTION,
        SETTING_DESCRIPTION,
        SETTING_AUTO_START,
        SETTING_INSTANCES,
} Setting;

/* An assignment. */
typedef struct Item {
        Setting setting;
        const RoleOption *option; /* of SETTING_OPTION */
        const char *key, *value;  /* in a text */
        unsigned file, line;
} Item;

typedef struct Reading {
        GPtrArray *files; /* paths */
        GPtrArray *texts; /* their contents, which the items point into */
        GArray *items;    /* of Item */
        unsigned header;  /* the line of the section in the role file; 1 if it has none */
} Reading;

static Reading *reading_new(void) {
        Reading *reading = g_new(Reading, 1);

        *reading = (Reading){
                .files = g_ptr_array_new_with_free_func(g_free),
                .texts = g_ptr_array_new_with_free_func(free), /* allocated by libc */
                .items = g_array_new(false, false, sizeof(Item)),
                .header = 1,
        };
        return reading;
}

/* The same files, to which others are added. The texts are those of the first one. */
static Reading *reading_fork(const Reading *from) {
        Reading *reading = g_new(Reading, 1);

        *reading = (Reading){
                .files = g_ptr_array_copy(from->files, (GCopyFunc) (void *) g_strdup, NULL),
                .texts = g_ptr_array_ref(from->texts),
                .items = g_array_copy(from->items),
                .header = from->header,
        };
        return reading;
}

static void reading_free(Reading *reading) {
        g_ptr_array_unref(reading->files);
        g_ptr_array_unref(reading->texts);
        g_array_unref(reading->items);
        g_free(reading);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reading, reading_free)

/* Returns 1, 0 for a file that is masked, or an error with the reason. */
static int definition_read_text(
        const char *path, uid_t owner, char **ret, size_t *ret_size, Problem *problem) {
        struct stat st;

        /* The owner is that of the file which is read, whatever the path leads to by now. */
        autofd fd = file_open(AT_FDCWD, path, O_RDONLY);
        if (fd == -EBADFD && config_file_is_masked(path))
                return 0;
        if (fd == -EBADFD || fd == -EISDIR)
                return problem_set(problem, path, 0, g_strdup("it is not a regular file"));
        int r = fd;
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r >= 0) {
                const char *reason = definitions_refuse_owner(&st, owner);

                if (reason)
                        return problem_set(problem, path, 0, g_strdup(reason));
                r = file_read_all(fd, CONFIG_FILE_MAX, ret, ret_size);
        }
        if (r == -EFBIG)
                return problem_set(
                        problem, path, 0, g_strdup_printf("it has more than %u bytes", CONFIG_FILE_MAX));
        if (r < 0)
                return problem_set(
                        problem, path, 0, g_strdup_printf("it cannot be read: %s", g_strerror(-r)));
        return 1;
}

static int reading_add_item(Reading *reading, const UnitFile *file, Problem *problem) {
        const unsigned n = reading->files->len - 1;
        Item item = { .key = file->key, .value = file->value, .file = n, .line = file->line };

        item.option = role_option_find_file_key(file->key);
        if (item.option && item.option->of_call)
                return problem_set(problem, g_ptr_array_index(reading->files, n), file->line,
                        g_strdup_printf("%s= is given with each start, and not in a file", file->key));
        if (item.option)
                item.setting = SETTING_OPTION;
        else if (g_str_equal(file->key, "Description"))
                item.setting = SETTING_DESCRIPTION;
        else if (g_str_equal(file->key, "AutoStart"))
                item.setting = SETTING_AUTO_START;
        else if (g_str_equal(file->key, "Instances"))
                item.setting = SETTING_INSTANCES;
        else
                return problem_set(problem, g_ptr_array_index(reading->files, n), file->line,
                        g_strdup_printf("the key %s= is unknown", file->key));
        g_array_append_val(reading->items, item);
        return 0;
}

/* Keys and sections that begin with X- are for other programs, as in systemd. */
static int reading_parse(Reading *reading, char *text, size_t size, Problem *problem) {
        const char *path = g_ptr_array_index(reading->files, reading->files->len - 1);
        UnitFile file;
        int r;

        unit_file_init(&file, text, size);
        while ((r = unit_file_next(&file)) > 0) {
                if (g_str_has_prefix(file.section, IGNORED_PREFIX))
                        continue;
                if (!g_str_equal(file.section, SECTION_ROLE))
                        return problem_set(problem, path, file.line,
                                g_strdup_printf("the section [%s] is unknown", file.section));
                if (!file.key && reading->files->len == 1)
                        reading->header = file.line;
                if (!file.key || g_str_has_prefix(file.key, IGNORED_PREFIX))
                        continue;
                r = reading_add_item(reading, &file, problem);
                if (r < 0)
                        return r;
        }
        return r < 0 ? problem_set(problem, path, file.line, g_strdup(file.reason)) : 0;
}

/* Returns 0 for a file that is masked. Takes the path. */
static int reading_add_file(Reading *reading, char *path, uid_t owner, Problem *problem) {
        size_t size = 0;
        char *text = NULL;

        g_ptr_array_add(reading->files, path);
        if (!utf8_is_valid(path))
                return problem_set(problem, g_ptr_array_index(reading->files, 0), 0,
                        g_strdup("the name of one of its drop-ins is not UTF-8"));
        int r = definition_read_text(path, owner, &text, &size, problem);
        if (r <= 0)
                return r;
        g_ptr_array_add(reading->texts, text);
        r = reading_parse(reading, text, size, problem);
        return r < 0 ? r : 1;
}

/* -- a definition from its items -- */

static void definition_set_source(Definition *d, const Item *item, bool reset) {
        for (unsigned i = 0; i < d->sources->len; i++)
                if (g_array_index(d->sources, DefinitionSource, i).option == item->option) {
                        g_array_remove_index_fast(d->sources, i);
                        break;
                }
        if (!reset)
                g_array_append_val(d->sources, ((DefinitionSource){ item->option, item->file, item->line }));
}

static int definition_set_option(Definition *d, const Item *item, const char *value, Problem *problem) {
        g_auto(Fault) fault = {};

        int r = role_option_set_from_text(d->spec, item->option, value, &fault);
        if (r < 0)
                return problem_set(problem, g_ptr_array_index(d->files, item->file), item->line,
                        g_strdup(fault.message));
        definition_set_source(d, item, value[0] == '\0');
        return 0;
}

static int definition_set_item(Definition *d, const Item *item, const char *value, Problem *problem) {
        const char *file = g_ptr_array_index(d->files, item->file);

        switch (item->setting) {
        case SETTING_OPTION:
                return definition_set_option(d, item, value, problem);
        case SETTING_DESCRIPTION:
                if (strlen(value) > DEFINITION_DESCRIPTION_MAX)
                        return problem_set(problem, file, item->line,
                                g_strdup_printf(
                                        "Description= is longer than %u bytes", DEFINITION_DESCRIPTION_MAX));
                g_free(d->description);
                d->description = value[0] ? g_strdup(value) : NULL;
                return 0;
        case SETTING_AUTO_START:
                d->autostart = false;
                if (value[0] && parse_boolean(value, &d->autostart) < 0)
                        return problem_set(problem, file, item->line,
                                g_strdup_printf("AutoStart= is \"%.64s\", but must be yes or no", value));
                return 0;
        default: /* read before */
                return 0;
        }
}

int definition_check_spec(const RoleSpec *spec, Fault *fault) {
        g_autoptr(RoleSpec) whole = role_spec_copy(spec);

        if (!whole->command)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Command= is missing");
        int r = role_spec_finish_terminal(whole, fault);
        /* Without a provider that of the configuration is used, so a start checks it. */
        if (r >= 0 && (whole->provider_set || !products_wanted(whole)))
                r = role_spec_check(whole, fault);
        return r;
}

static int definition_check(const Definition *d, unsigned line, Problem *problem) {
        g_auto(Fault) fault = {};

        int r = definition_check_spec(d->spec, &fault);
        return r < 0 ? problem_set(problem, d->file, line, g_strdup(fault.message)) : 0;
}

static void checksum_add(GChecksum *sum, const char *text) {
        g_checksum_update(sum, (const guchar *) text, (gssize) strlen(text) + 1);
}

/* Makes the definition of a role, and records what is wrong with it. */
static Definition *definition_make(const Reading *reading, const RoleSpecifiers *names) {
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        Definition *d = definition_new(names->role, reading->files);
        g_auto(Problem) problem = {};
        int r = 0;

        d->spec = role_spec_new();
        for (unsigned i = 0; r >= 0 && i < reading->items->len; i++) {
                const Item *item = &g_array_index(reading->items, Item, i);
                g_autofree char *reason = NULL, *value = role_specifiers_expand(item->value, names, &reason);

                if (item->setting == SETTING_INSTANCES)
                        continue;
                if (!value) {
                        r = problem_set(&problem, g_ptr_array_index(d->files, item->file), item->line,
                                g_strdup_printf("%s=: %s", item->key, reason));
                        break;
                }
                checksum_add(sum, item->key);
                checksum_add(sum, value);
                r = definition_set_item(d, item, value, &problem);
        }
        if (r >= 0)
                r = definition_check(d, reading->header, &problem);
        if (r < 0) {
                d->spec = role_spec_free(d->spec);
                d->autostart = false;
                d->error = g_steal_pointer(&problem.reason);
                d->error_file = g_steal_pointer(&problem.file);
                d->error_line = problem.line;
        } else {
                d->spec->definition = g_strdup(d->file);
                d->spec->definition_hash = g_strdup(g_checksum_get_string(sum));
        }
        return d;
}

/* -- instances -- */

static char *instance_name(const char *template, const char *instance) {
        return g_strconcat(template, "-", instance, NULL);
}

/* "0..9"; the numbers have at least as many digits as the first one is written with. */
static bool instances_add_range(const char *word, GPtrArray *instances) {
        const char *dots = strstr(word, "..");
        g_autofree char *from_text = g_strndup(word, (gsize) (dots - word));
        uint64_t from, to;

        if (parse_u64(from_text, &from) < 0 || parse_u64(dots + 2, &to) < 0 || from > to)
                return false;
        /* More than the maximum are refused, however many these are. */
        const uint64_t n = MIN(to - from, DEFINITION_INSTANCES_MAX) + 1;
        for (uint64_t k = 0, i = from; k < n; k++, i++)
                g_ptr_array_add(
                        instances, g_strdup_printf("%0*" G_GUINT64_FORMAT, (int) strlen(from_text), i));
        return true;
}

/* Returns what is wrong, which the caller frees, or NULL. */
static char *instances_add(const char *template, const char *value, GPtrArray *instances) {
        g_auto(GStrv) words = g_strsplit_set(value, WHITE_SPACE, -1);

        for (char **w = words; *w; w++) {
                unsigned i = instances->len;

                if ((*w)[0] == '\0')
                        continue;
                if (!strstr(*w, ".."))
                        g_ptr_array_add(instances, g_strdup(*w));
                else if (!instances_add_range(*w, instances))
                        return g_strdup_printf("\"%.64s\" is not a range such as 0..9", *w);
                if (instances->len > DEFINITION_INSTANCES_MAX)
                        return g_strdup_printf("there are more than %u", DEFINITION_INSTANCES_MAX);
                for (; i < instances->len; i++) {
                        g_autofree char *name = instance_name(template, g_ptr_array_index(instances, i));

                        if (!role_name_is_valid(name))
                                return g_strdup_printf("\"%.128s\" would not be a valid role name", name);
                }
        }
        return NULL;
}

/* From this item on. */
static int reading_refuse_instances(const Reading *reading, unsigned first, Problem *problem) {
        for (unsigned i = first; i < reading->items->len; i++) {
                const Item *item = &g_array_index(reading->items, Item, i);

                if (item->setting == SETTING_INSTANCES)
                        return problem_set(problem, g_ptr_array_index(reading->files, item->file), item->line,
                                g_strdup("Instances= is for templates, NAME@.role"));
        }
        return 0;
}

/* Of the role file and the drop-ins of the template. */
static int reading_find_instances(
        const Reading *reading, const char *template, GPtrArray *instances, Problem *problem) {
        for (unsigned i = 0; i < reading->items->len; i++) {
                const Item *item = &g_array_index(reading->items, Item, i);

                if (item->setting != SETTING_INSTANCES)
                        continue;
                if (item->value[0] == '\0')
                        g_ptr_array_set_size(instances, 0);
                g_autofree char *reason = instances_add(template, item->value, instances);
                if (reason)
                        return problem_set(problem, g_ptr_array_index(reading->files, item->file), item->line,
                                g_strdup_printf("Instances=: %s", reason));
        }
        if (instances->len == 0)
                return problem_set(problem, g_ptr_array_index(reading->files, 0), reading->header,
                        g_strdup("Instances= is missing, without which a template defines no role"));
        return 0;
}

/* -- all of them -- */

/* What the directories have. */
typedef struct Scan {
        const DefinitionsPlace *place;
        const char *host;
        GPtrArray *directories; /* of strings, with .roles.d; NULL at the end */
        GHashTable *files;      /* name without .role → path, of the first directory that has it */
        GHashTable *drop_ins;   /* the names that have drop-ins */
        GHashTable *masked;     /* the names that are masked */
        Definitions *definitions;
} Scan;

static void definitions_count_error(Definitions *definitions, const Definition *d) {
        if (d->error && d->error_line > 0)
                log_error("%s:%u: %s; the definition of \"%s\" is refused", d->error_file, d->error_line,
                        d->error, d->name);
        else if (d->error)
                log_error("%s: %s; the definition of \"%s\" is refused", d->error_file, d->error, d->name);
        definitions->n_refused += d->error != NULL;
}

static void definitions_add(Definitions *definitions, Definition *d) {
        definitions_count_error(definitions, d);
        g_hash_table_insert(definitions->by_name, d->name, d);
}

static void definitions_add_refused(
        Definitions *definitions, const char *name, GPtrArray *files, Problem *problem) {
        Definition *d = definition_new(name, files);

        d->error = g_steal_pointer(&problem->reason);
        d->error_file = g_steal_pointer(&problem->file);
        d->error_line = problem->line;
        definitions_add(definitions, d);
}

static int drop_ins_check(const char *directory, const char *name, uid_t owner, Problem *problem) {
        g_autofree char *path = g_strconcat(directory, "/", name, DROP_INS_SUFFIX, NULL);
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == ENOENT ? 0
                                       : problem_set(problem, path, 0,
                                                 g_strdup_printf("it cannot be read: %s", g_strerror(errno)));
        const char *reason = definitions_refuse_owner(&st, owner);
        return reason ? problem_set(problem, path, 0, g_strdup(reason)) : 0;
}

/* The drop-ins of all directories, without the role file. */
static int reading_add_drop_ins(Reading *reading, const Scan *scan, const char *name, Problem *problem) {
        g_autoptr(GPtrArray) paths = NULL;
        g_autofree char *file = g_strconcat(name, ROLE_SUFFIX, NULL);
        int r = 0;

        if (!g_hash_table_contains(scan->drop_ins, name))
                return 0;
        for (unsigned i = 0; r >= 0 && i + 1 < scan->directories->len; i++)
                r = drop_ins_check(
                        g_ptr_array_index(scan->directories, i), name, scan->place->owner, problem);
        if (r < 0)
                return r;
        r = config_files_list((const char *const *) scan->directories->pdata, file, &paths);
        if (r < 0)
                return problem_set(problem, g_ptr_array_index(reading->files, 0), 0,
                        g_strdup_printf("its drop-ins cannot be read: %s", g_strerror(-r)));
        for (unsigned i = 0; r >= 0 && i < paths->len; i++) {
                const char *path = g_ptr_array_index(paths, i);

                if (!g_str_has_suffix(path, ROLE_SUFFIX))
                        r = reading_add_file(reading, g_strdup(path), scan->place->owner, problem);
        }
        return MIN(r, 0);
}

static void scan_add(const Scan *scan, const Reading *reading, const char *name, const char *instance) {
        const RoleSpecifiers names = { name, instance, scan->host };

        definitions_add(scan->definitions, definition_make(reading, &names));
}

static void scan_add_instance(
        const Scan *scan, const Reading *template_reading, const char *template, const char *instance) {
        g_autofree char *name = instance_name(template, instance);
        const char *path = g_ptr_array_index(template_reading->files, 0);
        const Definition *other = g_hash_table_lookup(scan->definitions->by_name, name);
        g_autoptr(Reading) reading = NULL;
        g_auto(Problem) problem = {};

        if (g_hash_table_contains(scan->masked, name))
                return;
        if (other) {
                if (!g_str_equal(other->file, path)) /* else it is listed twice */
                        log_warning("%s: its instance \"%s\" is ignored, since %s defines \"%s\"", path,
                                instance, other->file, name);
                return;
        }
        if (!g_hash_table_contains(scan->drop_ins, name)) {
                scan_add(scan, template_reading, name, instance);
                return;
        }
        reading = reading_fork(template_reading);
        int r = reading_add_drop_ins(reading, scan, name, &problem);
        if (r >= 0)
                r = reading_refuse_instances(reading, template_reading->items->len, &problem);
        if (r < 0)
                definitions_add_refused(scan->definitions, name, reading->files, &problem);
        else
                scan_add(scan, reading, name, instance);
}

/* Reads a role file, which may be a template, with its drop-ins. */
static void scan_read(const Scan *scan, const char *name, const char *path) {
        g_autofree char *template = g_str_has_suffix(name, "@") ? g_strndup(name, strlen(name) - 1) : NULL;
        g_autoptr(GPtrArray) instances = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Reading) reading = reading_new();
        g_auto(Problem) problem = {};

        int r = reading_add_file(reading, g_strdup(path), scan->place->owner, &problem);
        if (r == 0) {
                g_hash_table_add(scan->masked, g_strdup(name));
                return;
        }
        if (r >= 0 && !role_name_is_valid(template ?: name))
                r = problem_set(&problem, path, 0, role_spec_refuse_name("role name", template ?: name));
        if (r >= 0)
                r = reading_add_drop_ins(reading, scan, name, &problem);
        if (r >= 0)
                r = template ? reading_find_instances(reading, template, instances, &problem)
                             : reading_refuse_instances(reading, 0, &problem);
        if (r < 0) {
                definitions_add_refused(scan->definitions, name, reading->files, &problem);
                return;
        }
        if (!template)
                scan_add(scan, reading, name, NULL);
        for (unsigned i = 0; i < instances->len; i++)
                scan_add_instance(scan, reading, template, g_ptr_array_index(instances, i));
}

static int scan_list_directory(Scan *scan, const char *directory, Fault *fault) {
        _cleanup_closedir_ DIR *dir = opendir(directory);
        const char *reason = NULL;
        struct stat st;

        if (!dir && errno == ENOENT)
                return 0;
        if (!dir || fstat(dirfd(dir), &st) < 0)
                return fault_set(
                        fault, NODE_ERROR_IO_ERROR, "Cannot read %s: %s", directory, g_strerror(errno));
        reason = definitions_refuse_owner(&st, scan->place->owner);
        if (reason)
                return fault_set(fault, NODE_ERROR_IO_ERROR, "%s is not read: %s", directory, reason);
        for (;;) {
                const struct dirent *entry;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno == 0 ? 0
                                          : fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot read %s: %s",
                                                    directory, g_strerror(errno));
                const size_t size = strlen(entry->d_name);
                if (entry->d_name[0] == '.')
                        continue;
                if (g_str_has_suffix(entry->d_name, DROP_INS_SUFFIX)) {
                        g_hash_table_add(
                                scan->drop_ins, g_strndup(entry->d_name, size - strlen(DROP_INS_SUFFIX)));
                        continue;
                }
                if (!g_str_has_suffix(entry->d_name, ROLE_SUFFIX))
                        continue;
                g_autofree char *name = g_strndup(entry->d_name, size - strlen(ROLE_SUFFIX));
                if (!utf8_is_valid(name)) {
                        g_autofree char *shown = g_strescape(entry->d_name, NULL);
                        log_error("%s/%s: the name is not UTF-8, ignoring the file", directory, shown);
                } else if (!g_hash_table_contains(scan->files, name))
                        g_hash_table_insert(scan->files, g_steal_pointer(&name),
                                g_build_filename(directory, entry->d_name, NULL));
        }
}

static int name_compare(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Role files come before templates, over whose instances they win; in each of the two the order of the names
 * decides, so that the same files always mean the same. */
static void scan_read_all(const Scan *scan) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        GHashTableIter iter;
        char *key;

        g_hash_table_iter_init(&iter, scan->files);
        while (g_hash_table_iter_next(&iter, (void **) &key, NULL))
                g_ptr_array_add(names, key);
        g_ptr_array_sort(names, name_compare);
        for (unsigned templates = 0; templates < 2; templates++)
                for (unsigned i = 0; i < names->len; i++) {
                        const char *name = g_ptr_array_index(names, i);

                        if (g_str_has_suffix(name, "@") == (templates > 0))
                                scan_read(scan, name, g_hash_table_lookup(scan->files, name));
                }
}

static int definition_compare_names(const void *a, const void *b) {
        return strcmp((*(Definition *const *) a)->name, (*(Definition *const *) b)->name);
}

static void definitions_sort(Definitions *definitions) {
        GHashTableIter iter;
        Definition *d;

        g_hash_table_iter_init(&iter, definitions->by_name);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &d))
                g_ptr_array_add(definitions->sorted, d);
        g_ptr_array_sort(definitions->sorted, definition_compare_names);
}

/* Called for one that was valid by itself. */
static void definitions_refuse(void *userdata, const char *name, Dependency kind, char *reason) {
        Definitions *definitions = userdata;
        Definition *d = g_hash_table_lookup(definitions->by_name, name);

        d->error_file = g_strdup(definition_dependency_source(d, kind, &d->error_line) ?: d->file);
        d->error = reason;
        d->spec = role_spec_free(d->spec);
        d->autostart = false;
        definitions_count_error(definitions, d);
}

Definitions *definitions_new(void) {
        Definitions *definitions = g_new(Definitions, 1);

        *definitions = (Definitions){
                .by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, definition_free),
                .sorted = g_ptr_array_new(),
        };
        return definitions;
}

Definitions *definitions_free(Definitions *definitions) {
        if (!definitions)
                return NULL;
        g_ptr_array_unref(definitions->sorted);
        g_hash_table_unref(definitions->by_name);
        g_free(definitions);
        return NULL;
}

int definitions_load(const DefinitionsPlace *place, Definitions **ret, Fault *fault) {
        g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GHashTable) drop_ins = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GHashTable) masked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Definitions) definitions = definitions_new();
        struct utsname host;
        int r = 0;

        for (const char *const *d = place->directories; *d; d++)
                g_ptr_array_add(directories, g_strdup_printf("%s/%s.roles.d", *d, place->instance));
        g_ptr_array_add(directories, NULL);
        Scan scan = {
                .place = place,
                .host = uname(&host) < 0 ? "localhost" : host.nodename,
                .directories = directories,
                .files = files,
                .drop_ins = drop_ins,
                .masked = masked,
                .definitions = definitions,
        };
        for (unsigned i = 0; r >= 0 && i + 1 < directories->len; i++)
                r = scan_list_directory(&scan, g_ptr_array_index(directories, i), fault);
        if (r < 0)
                return r;
        scan_read_all(&scan);
        definitions_sort(definitions);
        definition_order_check(definitions, definitions_refuse, definitions);
        *ret = g_steal_pointer(&definitions);
        return 0;
}

/* -- to look at them -- */

unsigned definitions_count(const Definitions *definitions) {
        return definitions->sorted->len;
}

unsigned definitions_count_refused(const Definitions *definitions) {
        return definitions->n_refused;
}

const Definition *definitions_get(const Definitions *definitions, unsigned i) {
        return g_ptr_array_index(definitions->sorted, i);
}

const Definition *definitions_find(const Definitions *definitions, const char *name) {
        return g_hash_table_lookup(definitions->by_name, name);
}

/* The refused template that may have had this instance. A name may have several '-'. */
static const Definition *definitions_find_template(const Definitions *definitions, const char *name) {
        for (const char *dash = strchr(name, '-'); dash; dash = strchr(dash + 1, '-')) {
                g_autofree char *template = g_strdup_printf("%.*s@", (int) (dash - name), name);
                const Definition *d = definitions_find(definitions, template);

                if (d)
                        return d;
        }
        return NULL;
}

static const Definition *definitions_find_any(const Definitions *definitions, const char *name) {
        return definitions_find(definitions, name) ?: definitions_find_template(definitions, name);
}

bool definitions_differ(const Definitions *definitions, const char *name, const RoleSpec *spec) {
        const Definition *d = spec->definition_hash ? definitions_find(definitions, name) : NULL;

        if (!spec->definition_hash)
                return false;
        return !d || !d->spec || !g_str_equal(d->spec->definition_hash, spec->definition_hash);
}

bool definitions_reserve(const Definitions *definitions, const char *name) {
        return definitions_find_any(definitions, name) != NULL;
}

int definitions_find_valid(
        const Definitions *definitions, const char *name, const Definition **ret, Fault *fault) {
        const Definition *d = definitions_find_any(definitions, name);

        if (!d) {
                g_autofree char *shown = g_strescape(name, NULL);
                return fault_set(fault, NODE_ERROR_NO_SUCH_DEFINITION,
                        "Role \"%.*s\" has no definition, and the command is empty", 2 * ROLE_NAME_MAX,
                        shown);
        }
        if (!d->spec) {
                g_autofree char *line = d->error_line > 0 ? g_strdup_printf(":%u", d->error_line) : NULL;
                return fault_set(fault, NODE_ERROR_BAD_DEFINITION,
                        "Role \"%.*s\": its definition is refused: %s%s: %s", ROLE_NAME_MAX, name,
                        d->error_file, line ?: "", d->error);
        }
        *ret = d;
        return 0;
}
