/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "ctl/hosts.h"
#include "ctl/lease.h"
#include "ctl/observatory.h"
#include "ctl/words.h"
#include "model/definitions.h"
#include "model/role-specifiers.h"
#include "model/words.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/config-files.h"

#define IGNORED_PREFIX "X-"
#define FINGERPRINT_SIZE 16

/* A beat may be late, and one may be lost. */
#define BEATS_WITHIN_TIMEOUT 3U
/* What is shorter keeps all processors busy, and no network is that fast. */
#define BEAT_MIN_USEC (10 * USEC_PER_MSEC)

/* -- what is there -- */

static void host_free(void *p) {
        ObservatoryHost *host = p;

        g_free(host->name);
        g_free(host->address);
        g_free(host->instance);
        g_hash_table_unref(host->roles);
        g_free(host);
}

static void role_free(void *p) {
        ObservatoryRole *role = p;

        start_args_clear(&role->args);
        g_free(role->name);
        g_free(role->manager);
        g_ptr_array_unref(role->after);
        g_ptr_array_unref(role->needs);
        g_ptr_array_unref(role->stops_with);
        g_ptr_array_unref(role->followers);
        g_free(role);
}

Observatory *observatory_free(Observatory *o) {
        if (!o)
                return NULL;
        g_ptr_array_unref(o->roles);
        g_ptr_array_unref(o->hosts);
        g_free(o->path);
        g_free(o->name);
        g_free(o->lease);
        g_free(o);
        return NULL;
}

/* -- reading -- */

/* One assignment of a section. */
typedef struct Item {
        const char *key, *value;
        unsigned line;
} Item;

typedef struct Section {
        const char *type; /* "Role" */
        char *name;       /* NULL for [Observatory] */
        unsigned line;
        GArray *items;
} Section;

typedef struct Reading {
        Observatory *observatory;
        GPtrArray *sections;
        GHashTable *by_header;  /* the same, by their text in brackets */
        GHashTable *host_names; /* name → ObservatoryHost */
        GHashTable *places;     /* where a service is → ObservatoryHost */
        GHashTable *role_names; /* name → GPtrArray of ObservatoryRole, one for each host */
        GPtrArray *errors;
} Reading;

static void section_free(void *p) {
        Section *section = p;

        g_free(section->name);
        g_array_unref(section->items);
        g_free(section);
}

static void reading_clear(Reading *reading) {
        reading->observatory = observatory_free(reading->observatory);
        g_ptr_array_unref(reading->sections);
        g_hash_table_unref(reading->by_header);
        g_hash_table_unref(reading->host_names);
        g_hash_table_unref(reading->places);
        g_hash_table_unref(reading->role_names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reading, reading_clear)

_printf_(3, 4) static void reading_fail(const Reading *reading, unsigned line, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_ptr_array_add(
                reading->errors, g_strdup_printf("%s:%u: %s", reading->observatory->path, line, reason));
}

/* -- sections -- */

static char *section_header(const char *type, const char *name) {
        return name ? g_strconcat(type, " ", name, NULL) : g_strdup(type);
}

static Section *reading_find_section(const Reading *reading, const char *type, const char *name) {
        g_autofree char *header = section_header(type, name);

        return g_hash_table_lookup(reading->by_header, header);
}

static const Item *section_find(const Section *section, const char *key) {
        const Item *found = NULL;

        for (guint i = 0; i < section->items->len; i++)
                if (strcmp(g_array_index(section->items, Item, i).key, key) == 0)
                        found = &g_array_index(section->items, Item, i);
        return found;
}

/* Two sections of one name would be two people who do not know of each other. */
static Section *reading_add_section(Reading *reading, const char *type, const char *name, unsigned line) {
        const Section *other = reading_find_section(reading, type, name);
        char *header = section_header(type, name);
        Section *section;

        if (other)
                reading_fail(
                        reading, line, "there is a section [%s] in line %u already", header, other->line);
        section = g_new(Section, 1);
        *section = (Section){ type, g_strdup(name), line, g_array_new(false, false, sizeof(Item)) };
        g_ptr_array_add(reading->sections, section);
        g_hash_table_insert(reading->by_header, header, section);
        return section;
}

/* Returns NULL for a section that is ignored, or wrong, which was added to the errors. */
static Section *reading_begin_section(Reading *reading, const char *header, unsigned line) {
        static const char *const types[] = { "Host", "Role" };

        if (g_str_has_prefix(header, IGNORED_PREFIX))
                return NULL;
        if (strcmp(header, "Observatory") == 0)
                return reading_add_section(reading, "Observatory", NULL, line);
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                const size_t n = strlen(types[i]);

                if (strncmp(header, types[i], n) != 0 || (header[n] != ' ' && header[n] != '\0'))
                        continue;
                const char *name = header + n + strspn(header + n, " ");
                if (role_name_is_valid(name))
                        return reading_add_section(reading, types[i], name, line);
                g_autofree char *nearest = *name ? role_name_suggest(name) : NULL;
                if (*name == '\0')
                        reading_fail(reading, line, "a section of a %s has its name, as [%s NAME]",
                                i == 0 ? "host" : "role", types[i]);
                else
                        reading_fail(reading, line, "\"%s\" is no valid name%s%s%s", name,
                                nearest ? "; \"" : "", nearest ?: "", nearest ? "\" would be one" : "");
                return NULL;
        }
        reading_fail(reading, line,
                "the section [%s] is unknown; there are [Observatory], [Host NAME] and [Role NAME]", header);
        return NULL;
}

static void reading_read(Reading *reading, char *text, size_t size) {
        Section *section = NULL;
        UnitFile file;
        int r;

        unit_file_init(&file, text, size);
        while ((r = unit_file_next(&file)) > 0) {
                if (!file.key) {
                        section = reading_begin_section(reading, file.section, file.line);
                        continue;
                }
                const Item item = { file.key, file.value, file.line };
                if (section && !g_str_has_prefix(file.key, IGNORED_PREFIX))
                        g_array_append_val(section->items, item);
        }
        if (r < 0)
                reading_fail(reading, file.line, "%s", file.reason);
}

static void reading_unknown_key(
        const Reading *reading, const Section *section, const Item *item, const char *const *keys) {
        const char *nearest = words_nearest(item->key, keys);

        reading_fail(reading, item->line, "a section [%s%s] has no key %s=%s%s%s", section->type,
                section->name ? " NAME" : "", item->key, nearest ? "; did you mean " : "", nearest ?: "",
                nearest ? "=?" : "");
}

/* -- [Observatory] -- */

static void reading_set_time(const Reading *reading, const Item *item, uint64_t *ret) {
        if (parse_time(item->value, USEC_PER_SEC, ret) < 0 || *ret == 0)
                reading_fail(reading, item->line, "%s= is \"%s\", which is not a time such as 30s", item->key,
                        item->value);
}

static void reading_set_name(const Reading *reading, const Item *item, char **name) {
        if (!role_name_is_valid(item->value)) {
                reading_fail(
                        reading, item->line, "%s= is \"%s\", which is no valid name", item->key, item->value);
                return;
        }
        g_free(*name);
        *name = g_strdup(item->value);
}

static void reading_take_observatory(const Reading *reading, const Section *section) {
        static const char *const keys[] = { "Name", "Lease", "LeaseTimeoutSec", "BeatSec", NULL };
        Observatory *o = reading->observatory;
        uint64_t beat_usec = 0;

        for (guint i = 0; i < section->items->len; i++) {
                const Item *item = &g_array_index(section->items, Item, i);

                if (strcmp(item->key, "Name") == 0)
                        reading_set_name(reading, item, &o->name);
                else if (strcmp(item->key, "Lease") == 0)
                        reading_set_name(reading, item, &o->lease);
                else if (strcmp(item->key, "LeaseTimeoutSec") == 0)
                        reading_set_time(reading, item, &o->lease_timeout_usec);
                else if (strcmp(item->key, "BeatSec") == 0)
                        reading_set_time(reading, item, &beat_usec);
                else
                        reading_unknown_key(reading, section, item, keys);
        }
        /* Whoever writes them believes that the roles end without beats. */
        if (!o->lease && (section_find(section, "LeaseTimeoutSec") || section_find(section, "BeatSec")))
                reading_fail(reading, section->line,
                        "LeaseTimeoutSec= and BeatSec= are of no use without Lease=, which names the lease");
        if (beat_usec >= o->lease_timeout_usec)
                reading_fail(reading, section->line,
                        "BeatSec= is not shorter than LeaseTimeoutSec=, so the lease would expire");
        o->beat_usec =
                beat_usec ?: MIN(o->lease_timeout_usec, LEASE_WITHIN_DEFAULT_USEC) / BEATS_WITHIN_TIMEOUT;
        if (o->beat_usec < BEAT_MIN_USEC)
                reading_fail(reading, section->line, "%s= is too short: a beat takes 10ms at least",
                        beat_usec ? "BeatSec" : "LeaseTimeoutSec");
}

static void reading_take_all(const Reading *reading, const char *type,
        void (*take)(const Reading *reading, const Section *section)) {
        for (guint i = 0; i < reading->sections->len; i++) {
                const Section *section = g_ptr_array_index(reading->sections, i);

                if (strcmp(section->type, type) == 0)
                        take(reading, section);
        }
}

/* -- [Host] -- */

static void host_set(
        const Reading *reading, const Section *section, const Item *item, ObservatoryHost *host) {
        static const char *const keys[] = { "Address", "Instance", "Local", NULL };

        if (strcmp(item->key, "Address") == 0) {
                if (!host_is_valid(item->value))
                        reading_fail(reading, item->line,
                                "Address= is \"%s\", which is not [USER@]HOST[:PORT]", item->value);
                g_free(host->address);
                host->address = g_strdup(item->value);
        } else if (strcmp(item->key, "Instance") == 0) {
                reading_set_name(reading, item, &host->instance);
        } else if (strcmp(item->key, "Local") == 0) {
                if (parse_boolean(item->value, &host->local) < 0)
                        reading_fail(
                                reading, item->line, "Local= is \"%s\", but must be yes or no", item->value);
        } else
                reading_unknown_key(reading, section, item, keys);
}

/* Under two names each would stop what the file has for the other. */
static void reading_add_host(const Reading *reading, ObservatoryHost *host) {
        g_autofree char *place = g_strdup_printf("%s %s", host->local ? "" : host->address, host->instance);
        const ObservatoryHost *other = g_hash_table_lookup(reading->places, place);

        if (other && strcmp(other->name, host->name) != 0)
                reading_fail(reading, host->line, "[Host %s] is the same service as [Host %s]", host->name,
                        other->name);
        else
                g_hash_table_insert(reading->places, g_steal_pointer(&place), host);
        g_hash_table_insert(reading->host_names, host->name, host);
        g_ptr_array_add(reading->observatory->hosts, host);
}

static void reading_take_host(const Reading *reading, const Section *section) {
        ObservatoryHost *host = g_new(ObservatoryHost, 1);

        *host = (ObservatoryHost){
                .name = g_strdup(section->name),
                .instance = g_strdup(NODE_DEFAULT_INSTANCE),
                .line = section->line,
                .roles = g_hash_table_new(g_str_hash, g_str_equal),
        };
        for (guint i = 0; i < section->items->len; i++)
                host_set(reading, section, &g_array_index(section->items, Item, i), host);
        if (host->local && host->address)
                reading_fail(reading, section->line, "[Host %s] has both Address= and Local=yes", host->name);
        if (!host->local && !host->address)
                host->address = g_strdup(host->name);
        reading_add_host(reading, host);
}

/* -- [Role] -- */

/* Returns why a key of role files has no place here, or NULL. */
static const char *role_refuse_key(const char *key) {
        static const struct {
                const char *key, *reason;
        } refused[] = {
                { "AutoStart", "AutoStart= is for role files; this is started by \"architectctl up\"" },
                { "Instances", "Instances= is for role files; here each role has a section" },
                { "Lease", "the lease of all roles is that of Lease= in [Observatory]" },
                { "ManagedBy", "ManagedBy= is the observatory, always" },
        };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (strcmp(refused[i].key, key) == 0)
                        return refused[i].reason;
        return NULL;
}

static void role_unknown_key(const Reading *reading, const Section *section, const Item *item) {
        g_autofree const char **keys = g_new0(const char *, n_role_options + 3);
        size_t n = 0;

        keys[n++] = "Host";
        keys[n++] = "Description";
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].file_key)
                        keys[n++] = role_options[i].file_key;
        reading_unknown_key(reading, section, item, keys);
}

/* Returns whether the value was set. */
static bool role_set(const Reading *reading, const Section *section, const Item *item, ObservatoryRole *role,
        GChecksum *sum) {
        const RoleSpecifiers specifiers = { .role = role->name, .host = role->host->name };
        const RoleOption *option = role_option_find_file_key(item->key);
        const char *refused = role_refuse_key(item->key);
        g_autofree char *reason = NULL, *value = NULL;
        g_auto(Fault) fault = {};

        if (refused || (option && option->of_call)) {
                reading_fail(reading, item->line, "%s",
                        refused ?: "the fencing token is that of \"architectctl up\"");
                return false;
        }
        if (!option) {
                role_unknown_key(reading, section, item);
                return false;
        }
        value = role_specifiers_expand(item->value, &specifiers, &reason);
        if (!value) {
                reading_fail(reading, item->line, "%s=: %s", item->key, reason);
                return false;
        }
        if (start_args_set_option(&role->args, option, value, &fault) < 0) {
                reading_fail(reading, item->line, "%s", fault.message);
                return false;
        }
        g_checksum_update(sum, (const guchar *) item->key, (gssize) strlen(item->key) + 1);
        g_checksum_update(sum, (const guchar *) value, (gssize) strlen(value) + 1);
        return true;
}

static void role_set_own(const Reading *reading, ObservatoryRole *role, const char *key, const char *value) {
        g_auto(Fault) fault = {};

        if (start_args_set_option(&role->args, role_option_find_file_key(key), value, &fault) < 0)
                reading_fail(reading, role->line, "%s", fault.message);
}

static void role_set_manager(const Reading *reading, ObservatoryRole *role, GChecksum *sum) {
        const Observatory *o = reading->observatory;

        if (o->lease) {
                role_set_own(reading, role, "Lease", o->lease);
                g_checksum_update(sum, (const guchar *) o->lease, -1);
        }
        role->manager = g_strdup_printf(
                OBSERVATORY_MANAGER "%s#%.*s", o->name, FINGERPRINT_SIZE, g_checksum_get_string(sum));
        role_set_own(reading, role, "ManagedBy", role->manager);
}

/* Its errors are those of the first host, since those of the others are the same. */
static ObservatoryRole *reading_add_role(
        const Reading *reading, const Section *section, ObservatoryHost *host) {
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        ObservatoryRole *role = g_new(ObservatoryRole, 1);
        g_auto(Fault) fault = {};
        bool well = true;

        *role = (ObservatoryRole){
                .name = g_strdup(section->name),
                .host = host,
                .line = section->line,
                .after = g_ptr_array_new(),
                .needs = g_ptr_array_new(),
                .stops_with = g_ptr_array_new(),
                .followers = g_ptr_array_new(),
        };
        start_args_init(&role->args);
        for (guint i = 0; i < section->items->len; i++) {
                const Item *item = &g_array_index(section->items, Item, i);

                if (strcmp(item->key, "Host") != 0 && strcmp(item->key, "Description") != 0)
                        well = role_set(reading, section, item, role, sum) && well;
        }
        if (well && definition_check_spec(role->args.spec, &fault) < 0)
                reading_fail(reading, section->line, "%s", fault.message);
        role_set_manager(reading, role, sum);
        g_hash_table_insert(host->roles, role->name, role);
        return role;
}

static char **role_host_words(const Reading *reading, const Section *section, unsigned *ret_line) {
        const Item *item = section_find(section, "Host");
        g_auto(GStrv) words = NULL;
        g_auto(Fault) fault = {};

        if (!item) {
                reading_fail(reading, section->line, "[Role %s] has no Host=", section->name);
                return NULL;
        }
        *ret_line = item->line;
        if (words_split(item->value, WORDS_UNIT, &words, &fault) < 0 || !words[0]) {
                reading_fail(reading, item->line, "Host=: %s", fault.message ?: "it names no host");
                return NULL;
        }
        return g_steal_pointer(&words);
}

static void reading_take_role(const Reading *reading, const Section *section) {
        unsigned line = 0;
        g_auto(GStrv) words = role_host_words(reading, section, &line);
        GPtrArray *roles = g_ptr_array_new();
        const guint n_errors = reading->errors->len;

        g_hash_table_insert(reading->role_names, section->name, roles);
        for (char **word = words; word && *word; word++) {
                ObservatoryHost *host = g_hash_table_lookup(reading->host_names, *word);

                if (!host)
                        reading_fail(reading, line, "there is no [Host %s]", *word);
                else if (!g_hash_table_contains(host->roles, section->name) &&
                         reading->errors->len == n_errors)
                        g_ptr_array_add(roles, reading_add_role(reading, section, host));
        }
        g_ptr_array_extend(reading->observatory->roles, roles, NULL, NULL);
}

/* -- what a role waits for -- */

static unsigned role_dependency_line(const Reading *reading, const ObservatoryRole *role, Dependency kind) {
        static const char *const keys[] = { "After", "Wants", "Requires", "BindsTo", "PartOf" };
        const Section *section = reading_find_section(reading, "Role", role->name);

        G_STATIC_ASSERT(ELEMENTSOF(keys) == _DEPENDENCY_MAX);
        g_assert(section);
        const Item *item = section_find(section, keys[kind]);
        return item ? item->line : role->line;
}

static void roles_add(GPtrArray *roles, ObservatoryRole *role) {
        if (!g_ptr_array_find(roles, role, NULL))
                g_ptr_array_add(roles, role);
}

static void role_add_dependency(ObservatoryRole *role, Dependency kind, ObservatoryRole *other) {
        if (dependency_orders(kind))
                roles_add(role->after, other);
        if (dependency_needs(kind))
                roles_add(role->needs, other);
        if (dependency_needs(kind) || kind == DEPENDENCY_PART_OF)
                roles_add(role->stops_with, other);
        /* PartOf= has no order, so there may be circles of it. */
        if (dependency_orders(kind))
                roles_add(other->followers, role);
}

/* Returns whether the service of the host can take care of it. Nobody is there all the time who would stop a
 * role because of one on another host, so that is not promised. */
static bool role_resolve(const Reading *reading, ObservatoryRole *role, Dependency kind, const char *name) {
        const GPtrArray *others = g_hash_table_lookup(reading->role_names, name);
        ObservatoryRole *here = g_hash_table_lookup(role->host->roles, name);
        const unsigned line = role_dependency_line(reading, role, kind);

        if (here) {
                role_add_dependency(role, kind, here);
                return true;
        }
        if (!others)
                reading_fail(reading, line, "there is no [Role %s]", name);
        else if (kind == DEPENDENCY_BINDS_TO || kind == DEPENDENCY_PART_OF)
                reading_fail(reading, line,
                        "%s is on another host than %s, where nobody can stop the one with the other; use Requires= or After=",
                        name, role->name);
        else
                for (guint i = 0; i < others->len; i++)
                        role_add_dependency(role, kind, g_ptr_array_index(others, i));
        return false;
}

static void role_resolve_all(const Reading *reading, ObservatoryRole *role) {
        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++) {
                g_auto(GStrv) names = g_strdupv(role->args.spec->dependencies[kind]);
                g_autoptr(GPtrArray) own = g_ptr_array_new();
                g_auto(Fault) fault = {};

                for (char **name = names; name && *name; name++)
                        if (role_resolve(reading, role, (Dependency) kind, *name))
                                g_ptr_array_add(own, *name);
                if (!names || own->len == g_strv_length(names))
                        continue;
                g_ptr_array_add(own, NULL);
                if (start_args_set_dependencies(
                            &role->args, (Dependency) kind, (char **) own->pdata, &fault) < 0)
                        reading_fail(reading, role->line, "%s", fault.message);
        }
}

/* -- the order -- */

typedef struct Sorting {
        const Reading *reading;
        GPtrArray *sorted;
        GHashTable *state; /* of roles: not there, on the path (1), or done (2) */
        GPtrArray *path;
        bool failed; /* one circle is told: of few roles there may be very many */
} Sorting;

static void sorting_fail(Sorting *sorting, const ObservatoryRole *role) {
        g_autoptr(GString) circle = NULL;
        guint i = 0;

        if (sorting->failed)
                return;
        sorting->failed = true;
        circle = g_string_new(NULL);
        (void) g_ptr_array_find(sorting->path, role, &i);
        for (; i < sorting->path->len; i++)
                g_string_append_printf(
                        circle, "%s -> ", ((ObservatoryRole *) g_ptr_array_index(sorting->path, i))->name);
        reading_fail(sorting->reading, role->line, "roles wait for each other in a circle: %s%s", circle->str,
                role->name);
}

static void sorting_visit(Sorting *sorting, ObservatoryRole *role) {
        const int state = GPOINTER_TO_INT(g_hash_table_lookup(sorting->state, role));

        if (state == 1)
                sorting_fail(sorting, role);
        if (state != 0)
                return;
        g_hash_table_insert(sorting->state, role, GINT_TO_POINTER(1));
        g_ptr_array_add(sorting->path, role);
        for (guint i = 0; i < role->after->len; i++)
                sorting_visit(sorting, g_ptr_array_index(role->after, i));
        g_ptr_array_set_size(sorting->path, (int) sorting->path->len - 1);
        g_hash_table_insert(sorting->state, role, GINT_TO_POINTER(2));
        g_ptr_array_add(sorting->sorted, role);
}

static void reading_sort(Reading *reading) {
        g_autoptr(GPtrArray) sorted = g_ptr_array_new_with_free_func(role_free);
        g_autoptr(GPtrArray) path = g_ptr_array_new();
        g_autoptr(GHashTable) state = g_hash_table_new(NULL, NULL);
        Sorting sorting = { reading, sorted, state, path, false };
        GPtrArray *roles = reading->observatory->roles;

        for (guint i = 0; i < roles->len; i++)
                sorting_visit(&sorting, g_ptr_array_index(roles, i));
        g_ptr_array_set_free_func(roles, NULL);
        g_ptr_array_unref(roles);
        reading->observatory->roles = g_steal_pointer(&sorted);
}

/* -- all of it -- */

static char *default_name(const char *path) {
        g_autofree char *base = g_path_get_basename(path);
        char *dot = strrchr(base, '.');

        if (dot && dot > base)
                *dot = '\0';
        if (role_name_is_valid(base))
                return g_steal_pointer(&base);
        return role_name_suggest(base) ?: g_strdup("observatory");
}

Observatory *observatory_parse(const char *path, char *text, size_t size, GPtrArray *errors) {
        Observatory *o = g_new(Observatory, 1);
        g_auto(Reading) reading = {
                .observatory = o,
                .sections = g_ptr_array_new_with_free_func(section_free),
                .by_header = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .host_names = g_hash_table_new(g_str_hash, g_str_equal),
                .places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .role_names = g_hash_table_new_full(
                        g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref),
                .errors = errors,
        };
        const guint n_errors = errors->len;

        *o = (Observatory){
                .path = g_strdup(path),
                .name = default_name(path),
                .lease_timeout_usec = LEASE_WITHIN_DEFAULT_USEC,
                .beat_usec = LEASE_WITHIN_DEFAULT_USEC / BEATS_WITHIN_TIMEOUT,
                .hosts = g_ptr_array_new_with_free_func(host_free),
                .roles = g_ptr_array_new_with_free_func(role_free),
        };
        reading_read(&reading, text, size);
        reading_take_all(&reading, "Observatory", reading_take_observatory);
        reading_take_all(&reading, "Host", reading_take_host);
        reading_take_all(&reading, "Role", reading_take_role);
        if (errors->len == n_errors && o->hosts->len == 0)
                reading_fail(&reading, 1, "there is no [Host NAME]");
        if (errors->len == n_errors)
                for (guint i = 0; i < o->roles->len; i++)
                        role_resolve_all(&reading, g_ptr_array_index(o->roles, i));
        if (errors->len == n_errors)
                reading_sort(&reading);
        return errors->len == n_errors ? g_steal_pointer(&reading.observatory) : NULL;
}

bool observatory_manages(const Observatory *o, const char *managed_by) {
        const size_t n = strlen(OBSERVATORY_MANAGER), m = strlen(o->name);

        return managed_by && strncmp(managed_by, OBSERVATORY_MANAGER, n) == 0 &&
               strncmp(managed_by + n, o->name, m) == 0 &&
               (managed_by[n + m] == '#' || managed_by[n + m] == '\0');
}

/* -- the file -- */

/* Returns the path that a word stands for. */
static char *find_file(const char *word) {
        const char *const directories[] = { g_get_user_config_dir(), "/etc" };
        g_autofree char *name = g_strconcat(word, OBSERVATORY_SUFFIX, NULL);

        if (!role_name_is_valid(word) || g_file_test(word, G_FILE_TEST_EXISTS))
                return g_strdup(word);
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                g_autofree char *path = g_build_filename(directories[i], "architect-node", name, NULL);

                if (g_file_test(path, G_FILE_TEST_EXISTS))
                        return g_steal_pointer(&path);
        }
        return g_strdup(word);
}

static void explain_missing(const char *word) {
        if (role_name_is_valid(word))
                ctl_explain("There is also no %s" OBSERVATORY_SUFFIX
                            " in ~/.config/architect-node or /etc/architect-node.",
                        word);
}

CtlExit observatory_load(const char *word, Observatory **ret) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *path = find_file(word), *text = NULL;
        size_t size;

        int r = config_file_read(path, &text, &size);
        if (r <= 0) {
                ctl_error("%s cannot be read: %s", path,
                        r == 0         ? "there is no such file"
                        : r == -EBADFD ? "it is no regular file"
                        : r == -EFBIG  ? "it has more than 1 MiB"
                                       : g_strerror(-r));
                if (r == 0)
                        explain_missing(word);
                return CTL_EXIT_FAILED;
        }
        *ret = observatory_parse(path, text, size, errors);
        for (guint i = 0; i < errors->len; i++)
                ctl_error("%s", (const char *) g_ptr_array_index(errors, i));
        if (*ret)
                return CTL_EXIT_OK;
        ctl_explain("Nothing was done.");
        return CTL_EXIT_FAILED;
}
