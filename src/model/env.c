/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/parse-util.h"
#include "base/utf8.h"
#include "model/account.h"
#include "model/env.h"
#include "model/state-fields.h"
#include "util/log.h"

#define ENV_VERSION 1U

/* The keys of the file are names of variables. */
#define ENV_PREFIX "#"
/* A variable of a user, with the value "UID NAME=VALUE". */
#define ENV_USER ENV_PREFIX "USER"

static const StateFile env_file = {
        .name = "environment",
        /* A byte takes four characters at most, and a variable of a user twenty at least. */
        .max = 8U * 1024U * 1024U,
        .what = "the saved environment",
        .consequence = "; what was set by SetEnv and UnsetEnv is gone",
        .prefix = ENV_PREFIX,
};

/* The default of systemd, which the configuration may override. */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct Env {
        int dir_fd; /* not owned; negative if nothing is saved */
        bool user;
        GHashTable *base;    /* name → value */
        GHashTable *changes; /* name → value, or NULL if the variable is unset */
        GHashTable *users;   /* uid → name → value, of users who have any */
        size_t user_max;
        char *unknown; /* fields of a newer version */
};

bool env_name_is_valid(const char *name) {
        if (!g_ascii_isalpha(name[0]) && name[0] != '_')
                return false;
        for (const char *p = name; *p; p++)
                if (!g_ascii_isalnum(*p) && *p != '_')
                        return false;
        return true;
}

bool env_variable_is(const char *variable, const char *name) {
        return g_str_has_prefix(variable, name) && variable[strlen(name)] == '=';
}

static GHashTable *env_table_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* NULL if a user has no variables. */
static GHashTable *env_changes(Env *env, uid_t uid) {
        return uid == 0 ? env->changes : g_hash_table_lookup(env->users, GUINT_TO_POINTER(uid));
}

static GHashTable *env_changes_make(Env *env, uid_t uid) {
        GHashTable *changes = env_changes(env, uid);

        if (!changes) {
                changes = env_table_new();
                (void) g_hash_table_insert(env->users, GUINT_TO_POINTER(uid), changes);
        }
        return changes;
}

static int env_parse_user(Env *env, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, " ", 2);
        uint32_t uid;

        if (!words[0] || !words[1] || parse_u32(words[0], &uid) < 0 || uid == 0 || uid == UINT32_MAX)
                return -EBADMSG;
        const char *eq = strchr(words[1], '=');
        if (!eq)
                return -EBADMSG;
        g_autofree char *name = g_strndup(words[1], (gsize) (eq - words[1]));
        GHashTable *changes = env_changes_make(env, uid);
        if (!env_name_is_valid(name) || g_hash_table_contains(changes, name))
                return -EBADMSG;
        (void) g_hash_table_insert(changes, g_steal_pointer(&name), g_strdup(eq + 1));
        return 0;
}

/* A line is NAME=VALUE, the word -NAME for an unset variable, or one of ENV_USER. */
static int env_parse(void *userdata, StateFields *fields) {
        Env *env = userdata;
        g_auto(GStrv) words = state_take_words(fields), of_users = state_take_strv(fields, ENV_USER);
        char *name, *value;

        for (char **u = of_users; u && *u; u++)
                if (env_parse_user(env, *u) < 0)
                        return -EBADMSG;
        for (char **w = words; w && *w; w++) {
                if ((*w)[0] != '-' || !env_name_is_valid(*w + 1))
                        return -EBADMSG;
                (void) g_hash_table_replace(env->changes, g_strdup(*w + 1), NULL);
        }
        while (state_take_next(fields, &name, &value)) {
                if (!env_name_is_valid(name) || g_hash_table_contains(env->changes, name))
                        state_fields_set_bad(fields);
                (void) g_hash_table_replace(env->changes, name, value);
        }
        return state_fields_end(fields, &env->unknown);
}

static void env_load(Env *env) {
        if (state_file_load(&env_file, env->dir_fd, env_parse, env) == STATE_FILE_DAMAGED) {
                g_hash_table_remove_all(env->changes);
                g_hash_table_remove_all(env->users);
        }
}

static int env_save(Env *env) {
        GHashTableIter iter, of_user;
        const char *name, *value;
        gpointer uid, changes;

        GString *s = state_fields_new(ENV_PREFIX, ENV_VERSION, env->unknown);
        g_hash_table_iter_init(&iter, env->changes);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &value)) {
                if (value)
                        state_put_string(s, name, value);
                else
                        state_put_word(s, "-", name);
        }
        g_hash_table_iter_init(&iter, env->users);
        while (g_hash_table_iter_next(&iter, &uid, &changes)) {
                g_hash_table_iter_init(&of_user, changes);
                while (g_hash_table_iter_next(&of_user, (void **) &name, (void **) &value)) {
                        g_autofree char *text =
                                g_strdup_printf("%u %s=%s", GPOINTER_TO_UINT(uid), name, value);
                        state_put_string(s, ENV_USER, text);
                }
        }
        return state_file_save(&env_file, env->dir_fd, s);
}

int env_open(int dir_fd, Env **ret) {
        g_autoptr(Env) env = g_new0(Env, 1);

        env->dir_fd = dir_fd;
        env->base = env_table_new();
        env->changes = env_table_new();
        env->users = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) g_hash_table_unref);
        env->user_max = ENV_SIZE_MAX;
        env_set_base(env, NULL);
        env_load(env);
        *ret = g_steal_pointer(&env);
        return 0;
}

Env *env_close(Env *env) {
        if (!env)
                return NULL;
        g_hash_table_unref(env->base);
        g_hash_table_unref(env->changes);
        g_hash_table_unref(env->users);
        g_free(env->unknown);
        g_free(env);
        return NULL;
}

static void env_add_base(GHashTable *base, const char *variable) {
        const char *eq = strchr(variable, '=');

        g_assert(eq);
        (void) g_hash_table_replace(base, g_strndup(variable, (gsize) (eq - variable)), g_strdup(eq + 1));
}

void env_set_user(Env *env) {
        env->user = true;
}

/* The variables that systemd gives to every service are the locale of the system and, in a user manager,
 * those that lead to the user's bus. */
static bool env_is_locale(const char *variable) {
        static const char *const prefixes[] = { "LANG=", "LANGUAGE=", "LC_" };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (g_str_has_prefix(variable, prefixes[i]))
                        return true;
        return false;
}

static bool env_is_for_session(const char *variable) {
        return g_str_has_prefix(variable, "XDG_RUNTIME_DIR=") ||
               g_str_has_prefix(variable, "DBUS_SESSION_BUS_ADDRESS=");
}

/* What is no secret. */
static void env_add_public(GHashTable *base, bool session) {
        env_add_base(base, "PATH=" DEFAULT_PATH);
        for (char **e = environ; *e; e++)
                if ((env_is_locale(*e) || (session && env_is_for_session(*e))) &&
                        utf8_is_valid(*e)) /* else ListEnv would fail */
                        env_add_base(base, *e);
}

void env_set_base(Env *env, char **base) {
        g_hash_table_remove_all(env->base);
        env_add_public(env->base, env->user);
        for (char **b = base; b && *b; b++)
                env_add_base(env->base, *b);
}

void env_set_user_max(Env *env, size_t max) {
        env->user_max = max;
}

static const char *env_lookup(Env *env, uid_t uid, const char *name) {
        GHashTable *changes = env_changes(env, uid);
        const char *value;

        if (changes && g_hash_table_lookup_extended(changes, name, NULL, (void **) &value))
                return value;
        return uid == 0 ? g_hash_table_lookup(env->base, name) : NULL;
}

/* "the environment of roles", or of whose. */
static char *env_describe(uid_t uid) {
        return uid == 0 ? g_strdup("the environment of roles")
                        : g_strdup_printf("the environment of the roles of uid %u", (unsigned) uid);
}

static int env_no_such_variable(uid_t uid, const char *name, Fault *fault) {
        g_autofree char *shown = g_strescape(name, NULL), *whose = env_describe(uid);

        whose[0] = 'T';
        return fault_set(fault, NODE_ERROR_NO_SUCH_VARIABLE, "%s has no variable \"%.128s\"", whose, shown);
}

int env_get(Env *env, uid_t uid, const char *name, const char **ret, Fault *fault) {
        const char *value = env_lookup(env, uid, name);

        if (!value)
                return env_no_such_variable(uid, name, fault);
        *ret = value;
        return 0;
}

/* Adds the number and the size of the variables in the table, but for those that another one hides, and the
 * one of this name. */
static void env_measure(
        GHashTable *table, GHashTable *hiding, const char *except, unsigned *n, size_t *size) {
        GHashTableIter iter;
        const char *name, *value;

        g_hash_table_iter_init(&iter, table);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &value))
                if (value && !g_str_equal(name, except) && !(hiding && g_hash_table_contains(hiding, name))) {
                        (*n)++;
                        *size += strlen(name) + strlen(value) + 2;
                }
}

/* The size of what all users have but this one. */
static size_t env_measure_others(Env *env, uid_t uid) {
        GHashTableIter iter;
        gpointer key, changes;
        unsigned n = 0;
        size_t size = 0;

        g_hash_table_iter_init(&iter, env->users);
        while (g_hash_table_iter_next(&iter, &key, &changes))
                if (GPOINTER_TO_UINT(key) != uid)
                        env_measure(changes, NULL, "", &n, &size);
        return size;
}

/* If the change cannot be saved, the old value is restored, because a successful reply means that it is
 * saved. */
static int env_change(Env *env, uid_t uid, const char *name, const char *value, Fault *fault) {
        GHashTable *changes = env_changes_make(env, uid);
        char *old_value = NULL;
        g_autofree char *old_name = NULL;
        bool had = g_hash_table_steal_extended(changes, name, (void **) &old_name, (void **) &old_value);
        g_autofree char *old = old_value;

        if (value || uid == 0) /* a user has nothing below his own variables that an entry would hide */
                (void) g_hash_table_replace(changes, g_strdup(name), g_strdup(value));
        int r = env_save(env);
        if (r < 0 && had)
                (void) g_hash_table_replace(changes, g_steal_pointer(&old_name), g_steal_pointer(&old));
        else if (r < 0)
                (void) g_hash_table_remove(changes, name);
        if (uid != 0 && g_hash_table_size(changes) == 0)
                (void) g_hash_table_remove(env->users, GUINT_TO_POINTER(uid));
        if (r >= 0)
                return 0;
        return fault_set(
                fault, NODE_ERROR_IO_ERROR, "Cannot save variable \"%.128s\": %s", name, g_strerror(-r));
}

static int env_check_size(Env *env, uid_t uid, const char *name, const char *value, Fault *fault) {
        const size_t max = uid == 0 ? ENV_SIZE_MAX : env->user_max;
        g_autofree char *whose = env_describe(uid);
        GHashTable *changes = env_changes(env, uid);
        unsigned n = 0;
        size_t size = 0;

        if (changes)
                env_measure(changes, NULL, name, &n, &size);
        if (uid == 0)
                env_measure(env->base, changes, name, &n, &size);
        if (n >= ENV_VARIABLES_MAX)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot set variable \"%.128s\": %s has %u variables already; unset some", name,
                        whose, n);
        size += strlen(name) + strlen(value) + 2;
        if (size > max)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot set variable \"%.128s\": %s would be larger than %zu bytes%s; unset some variables",
                        name, whose, max, uid == 0 ? "" : " (MaxEnvironmentPerUser=)");
        if (uid != 0 && size + env_measure_others(env, uid) > ENV_USERS_SIZE_MAX)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot set variable \"%.128s\" for uid %u: the variables of all users would be larger than %u bytes",
                        name, (unsigned) uid, ENV_USERS_SIZE_MAX);
        return 0;
}

int env_set(Env *env, uid_t uid, const char *name, const char *value, Fault *fault) {
        if (!env_name_is_valid(name)) {
                g_autofree char *shown = g_strescape(name, NULL);
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "\"%.128s\" is not a valid name of a variable, it must be a letter or '_', then letters, digits and '_'",
                        shown);
        }
        int r = env_check_size(env, uid, name, value, fault);
        return r < 0 ? r : env_change(env, uid, name, value, fault);
}

int env_unset(Env *env, uid_t uid, const char *name, Fault *fault) {
        if (!env_lookup(env, uid, name))
                return env_no_such_variable(uid, name, fault);
        return env_change(env, uid, name, NULL, fault);
}

static int env_compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Either may be NULL. */
static char **env_merge(GHashTable *base, GHashTable *changes) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        const char *name, *value;

        if (base)
                g_hash_table_iter_init(&iter, base);
        while (base && g_hash_table_iter_next(&iter, (void **) &name, (void **) &value))
                if (!changes || !g_hash_table_contains(changes, name))
                        g_ptr_array_add(list, g_strconcat(name, "=", value, NULL));
        if (changes)
                g_hash_table_iter_init(&iter, changes);
        while (changes && g_hash_table_iter_next(&iter, (void **) &name, (void **) &value))
                if (value)
                        g_ptr_array_add(list, g_strconcat(name, "=", value, NULL));
        g_ptr_array_sort(list, env_compare_names);
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&list), false);
}

char **env_list(Env *env, uid_t uid) {
        return env_merge(uid == 0 ? env->base : NULL, env_changes(env, uid));
}

char **env_list_role(Env *env, const Account *account, const Caller *owner) {
        g_autoptr(GHashTable) base = env_table_new();

        if (!account)
                return env_list(env, 0);
        const bool own = owner->known && owner->uid != 0 && account_is_own(account, owner->uid);
        env_add_public(base, false);
        return env_merge(base, own ? env_changes(env, owner->uid) : NULL);
}

void env_forget(Env *env) {
        state_file_forget(&env_file, env->dir_fd);
}
