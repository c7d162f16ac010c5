/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/macro.h"
#include "base/parse-util.h"
#include "base/utf8.h"
#include "ctl/hosts.h"
#include "ctl/words.h"
#include "util/config-files.h"

#define HOSTS_FILE "architect-node/hosts"
#define ALL_HOSTS "all"
#define DEPTH_MAX 32U

typedef struct HostGroup {
        char *name;
        char **words; /* hosts, and @GROUP */
        char *path;
        unsigned line;
} HostGroup;

struct HostGroups {
        GPtrArray *list;     /* HostGroup, in the order of the files */
        GHashTable *indices; /* in the list, plus one, by name */
};

static void host_group_free(void *p) {
        HostGroup *group = p;

        g_free(group->name);
        g_strfreev(group->words);
        g_free(group->path);
        g_free(group);
}

HostGroups *host_groups_new(void) {
        HostGroups *groups = g_new(HostGroups, 1);

        groups->list = g_ptr_array_new_with_free_func(host_group_free);
        groups->indices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        return groups;
}

HostGroups *host_groups_free(HostGroups *groups) {
        if (!groups)
                return NULL;
        g_hash_table_unref(groups->indices);
        g_ptr_array_unref(groups->list);
        g_free(groups);
        return NULL;
}

static HostGroup *host_groups_find(const HostGroups *groups, const char *name, guint *ret_index) {
        const guint i = GPOINTER_TO_UINT(g_hash_table_lookup(groups->indices, name));

        if (i == 0)
                return NULL;
        if (ret_index)
                *ret_index = i - 1;
        return g_ptr_array_index(groups->list, i - 1);
}

/* -- one host -- */

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool part_is_valid(const char *begin, size_t size, const char *more) {
        if (size == 0 || begin[0] == '-')
                return false;
        for (size_t i = 0; i < size; i++)
                if (!strchr(LETTERS_AND_DIGITS, begin[i]) && !strchr(more, begin[i]))
                        return false;
        return true;
}

static bool port_is_valid(const char *text) {
        uint32_t port;

        return parse_u32(text, &port) >= 0 && port > 0 && port <= UINT16_MAX;
}

void host_split(const char *host, char **ret_where, char **ret_port, char **ret_container) {
        const char *slash = strchr(host, '/');
        g_autofree char *where = slash ? g_strndup(host, (size_t) (slash - host)) : g_strdup(host);
        char *at = strchr(where, '@'), *name = at ? at + 1 : where;
        char *bracket = name[0] == '[' ? strchr(name, ']') : NULL;
        char *colon = strchr(bracket ?: name, ':');

        *ret_container = slash ? g_strdup(slash + 1) : NULL;
        *ret_port = colon ? g_strdup(colon + 1) : NULL;
        if (colon)
                *colon = '\0';
        /* ssh takes an address without the brackets. */
        if (bracket) {
                *bracket = '\0';
                memmove(name, name + 1, strlen(name));
        }
        *ret_where = g_steal_pointer(&where);
}

bool host_is_valid(const char *host) {
        const char *bracket = strpbrk(host, "[]");
        g_autofree char *where = NULL, *port = NULL, *container = NULL;

        /* Only one pair, around the address, and nothing but the port after it. */
        if (bracket) {
                const char *end = strchr(bracket, ']');

                if (*bracket != '[' || (bracket > host && bracket[-1] != '@') || !end ||
                        strpbrk(end + 1, "[]@") || strchr(bracket + 1, '[') ||
                        (end[1] && end[1] != ':' && end[1] != '/') ||
                        !part_is_valid(bracket + 1, (size_t) (end - bracket - 1), ".:%-_"))
                        return false;
        }
        host_split(host, &where, &port, &container);
        const char *at = strchr(where, '@'), *name = at ? at + 1 : where;
        if (at && !part_is_valid(where, (size_t) (at - where), "._-+"))
                return false;
        if (!part_is_valid(name, strlen(name), bracket ? ".:%-_" : ".-_"))
                return false;
        if (container && !part_is_valid(container, strlen(container), ".-_"))
                return false;
        return !port || port_is_valid(port);
}

/* -- a file -- */

static bool group_name_is_valid(const char *name) {
        return part_is_valid(name, strlen(name), "._-");
}

/* Returns what is wrong with one word of a line, or NULL. */
static char *word_check(const char *word) {
        if (word[0] == '@')
                return group_name_is_valid(word + 1)
                               ? NULL
                               : g_strdup_printf("\"%s\" is not the name of a group", word + 1);
        return host_is_valid(word) ? NULL
                                   : g_strdup_printf("\"%s\" is not a host, as in [USER@]HOST[:PORT]", word);
}

static char *words_check(char *const *words) {
        if (!words[0])
                return g_strdup("the group has no host");
        for (; *words; words++) {
                char *reason = word_check(*words);
                if (reason)
                        return reason;
        }
        return NULL;
}

/* A group that is known is replaced at its place, unless it is one of the same file. */
static char *groups_add(HostGroups *groups, const char *path, unsigned line, const char *name, char **words) {
        HostGroup *group = g_new(HostGroup, 1);
        guint i;

        HostGroup *known = host_groups_find(groups, name, &i);
        if (known && strcmp(known->path, path) == 0) {
                g_free(group);
                return g_strdup_printf("the group \"%s\" is already in line %u", name, known->line);
        }
        *group = (HostGroup){
                .name = g_strdup(name), .words = g_strdupv(words), .path = g_strdup(path), .line = line
        };
        if (known) {
                host_group_free(known);
                groups->list->pdata[i] = group;
        } else {
                g_ptr_array_add(groups->list, group);
                g_hash_table_insert(groups->indices, g_strdup(name), GUINT_TO_POINTER(groups->list->len));
        }
        return NULL;
}

static char *groups_parse_line(HostGroups *groups, const char *path, unsigned line, char *text) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        char *state = NULL;

        text[strcspn(text, "#")] = '\0';
        g_strstrip(text);
        if (!text[0])
                return NULL;
        if (!utf8_is_valid(text))
                return g_strdup("it is not UTF-8");
        char *equals = strchr(text, '=');
        if (!equals)
                return g_strdup("there is no \"=\", as in \"cameras = cam1 cam2\"");
        *equals = '\0';
        char *name = g_strchomp(text);
        if (!group_name_is_valid(name)) {
                g_autofree char *escaped = words_escape(name);

                return g_strdup_printf("\"%s\" is not the name of a group", escaped);
        }
        for (char *word = strtok_r(equals + 1, " \t\r\v\f", &state); word;
                word = strtok_r(NULL, " \t\r\v\f", &state))
                g_ptr_array_add(words, word);
        g_ptr_array_add(words, NULL);
        char *reason = words_check((char **) words->pdata);
        return reason ?: groups_add(groups, path, line, name, (char **) words->pdata);
}

static void add_error(GPtrArray *errors, const char *path, unsigned line, const char *reason) {
        g_autofree char *escaped = words_escape(reason);

        g_ptr_array_add(errors, g_strdup_printf("%s:%u: %s", path, line, escaped));
}

void host_groups_parse(
        HostGroups *groups, const char *path, const char *text, size_t size, GPtrArray *errors) {
        unsigned n_lines = 0;

        for (const char *end = text + size; text < end;) {
                const char *newline = memchr(text, '\n', (size_t) (end - text)) ?: end;
                g_autofree char *line = g_strndup(text, (size_t) (newline - text));
                g_autofree char *reason = NULL;

                n_lines++;
                /* Whatever is behind it would be lost. */
                if (memchr(text, '\0', (size_t) (newline - text)))
                        reason = g_strdup("it has a NUL byte");
                else
                        reason = groups_parse_line(groups, path, n_lines, line);
                if (reason)
                        add_error(errors, path, n_lines, reason);
                text = newline + 1;
        }
}

static void groups_load_file(HostGroups *groups, const char *path, GPtrArray *errors) {
        g_autofree char *text = NULL;
        size_t size;

        int r = config_file_read(path, &text, &size);
        if (r < 0)
                g_ptr_array_add(errors, g_strdup_printf("cannot read %s: %s", path, g_strerror(-r)));
        else if (r > 0)
                host_groups_parse(groups, path, text, size, errors);
}

void host_groups_load(HostGroups *groups, GPtrArray *errors) {
        g_autofree char *own = g_build_filename(g_get_user_config_dir(), HOSTS_FILE, NULL);

        groups_load_file(groups, "/etc/" HOSTS_FILE, errors);
        groups_load_file(groups, own, errors);
        host_groups_check(groups, errors);
}

void host_groups_check(const HostGroups *groups, GPtrArray *errors) {
        for (guint i = 0; i < groups->list->len; i++) {
                const HostGroup *group = g_ptr_array_index(groups->list, i);

                for (char **word = group->words; *word; word++) {
                        if ((*word)[0] != '@' || strcmp(*word + 1, ALL_HOSTS) == 0 ||
                                host_groups_find(groups, *word + 1, NULL))
                                continue;
                        g_autofree char *reason = g_strdup_printf("there is no group \"%s\"", *word + 1);
                        add_error(errors, group->path, group->line, reason);
                }
        }
}

/* -- what words stand for -- */

typedef struct Expansion {
        const HostGroups *groups;
        GPtrArray *hosts;
        GHashTable *known; /* the hosts, so that many of them take no longer than they have to */
        GPtrArray *within; /* names of groups, from the outermost on */
        GHashTable *done;  /* names of groups, all of whose hosts are known */
} Expansion;

static char *expand_word(Expansion *x, const char *word);

static char *expand_words(Expansion *x, char *const *words) {
        char *reason = NULL;

        for (; !reason && *words; words++)
                reason = expand_word(x, *words);
        return reason;
}

static char *expand_no_group(const Expansion *x, const char *name) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (guint i = 0; i < x->groups->list->len; i++)
                g_ptr_array_add(names, ((HostGroup *) g_ptr_array_index(x->groups->list, i))->name);
        g_ptr_array_add(names, NULL);
        const char *nearest = words_nearest(name, (const char *const *) names->pdata);
        return nearest ? g_strdup_printf(
                                 "there is no group of hosts \"%s\"; did you mean \"%s\"?", name, nearest)
                       : g_strdup_printf("there is no group of hosts \"%s\"; /etc/" HOSTS_FILE
                                         " and ~/.config/" HOSTS_FILE " have them",
                                 name);
}

/* A group that contains @all, which is not defined, is a part of what that stands for. */
static char *expand_all(Expansion *x) {
        char *reason = NULL;

        if (x->groups->list->len == 0)
                return expand_no_group(x, ALL_HOSTS);
        for (guint i = 0; !reason && i < x->groups->list->len; i++) {
                const HostGroup *group = g_ptr_array_index(x->groups->list, i);

                for (char **word = group->words; !reason && *word; word++)
                        if ((*word)[0] != '@')
                                reason = expand_word(x, *word);
        }
        return reason;
}

static char *expand_group(Expansion *x, const char *name) {
        const HostGroup *group = host_groups_find(x->groups, name, NULL);

        if (!group)
                return strcmp(name, ALL_HOSTS) == 0 ? expand_all(x) : expand_no_group(x, name);
        if (g_ptr_array_find_with_equal_func(x->within, name, g_str_equal, NULL))
                return g_strdup_printf(
                        "%s:%u: the group \"%s\" contains itself", group->path, group->line, name);
        if (x->within->len == DEPTH_MAX)
                return g_strdup_printf(
                        "%s:%u: more than %u groups are in one another", group->path, group->line, DEPTH_MAX);
        if (!g_hash_table_add(x->done, group->name))
                return NULL;
        g_ptr_array_add(x->within, group->name);
        char *reason = expand_words(x, group->words);
        g_ptr_array_remove_index(x->within, x->within->len - 1);
        return reason;
}

static char *expand_word(Expansion *x, const char *word) {
        if (word[0] == '@')
                return expand_group(x, word + 1);
        if (!host_is_valid(word))
                return word_check(word);
        if (g_hash_table_add(x->known, g_strdup(word)))
                g_ptr_array_add(x->hosts, g_strdup(word));
        return NULL;
}

char *host_groups_expand(const HostGroups *groups, char *const *words, GPtrArray *hosts) {
        g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) within = g_ptr_array_new();
        g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
        Expansion x = { .groups = groups, .hosts = hosts, .known = known, .within = within, .done = done };
        char *reason = NULL;

        for (; !reason && *words; words++) {
                g_auto(GStrv) parts = g_strsplit(*words, ",", -1);

                reason = parts[0] ? expand_words(&x, parts) : word_check("");
        }
        return reason;
}

bool host_words_have_group(char *const *words) {
        for (; *words; words++)
                if ((*words)[0] == '@' || strstr(*words, ",@"))
                        return true;
        return false;
}
