/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/utf8.h"
#include "model/env.h"
#include "model/state-fields.h"
#include "util/log.h"

#define ENV_VERSION 1U

/* The keys of the file are names of variables. */
#define ENV_PREFIX "#"

static const StateFile env_file = {
        .name = "environment",
        .max = 2U * 1024U * 1024U,
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
        char *unknown;       /* fields of a newer version */
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

/* A line is NAME=VALUE, or the word -NAME for an unset variable. */
static int env_parse(void *userdata, StateFields *fields) {
        Env *env = userdata;
        g_auto(GStrv) words = state_take_words(fields);
        char *name, *value;

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
        if (state_file_load(&env_file, env->dir_fd, env_parse, env) == STATE_FILE_DAMAGED)
                g_hash_table_remove_all(env->changes);
}

static int env_save(Env *env) {
        GHashTableIter iter;
        const char *name, *value;

        GString *s = state_fields_new(ENV_PREFIX, ENV_VERSION, env->unknown);
        g_hash_table_iter_init(&iter, env->changes);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &value)) {
                if (value)
                        state_put_string(s, name, value);
                else
                        state_put_word(s, "-", name);
        }
        return state_file_save(&env_file, env->dir_fd, s);
}

int env_open(int dir_fd, Env **ret) {
        g_autoptr(Env) env = g_new0(Env, 1);

        env->dir_fd = dir_fd;
        env->base = env_table_new();
        env->changes = env_table_new();
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
        g_free(env->unknown);
        g_free(env);
        return NULL;
}

static void env_add_base(Env *env, const char *variable) {
        const char *eq = strchr(variable, '=');

        g_assert(eq);
        (void) g_hash_table_replace(
                env->base, g_strndup(variable, (gsize) (eq - variable)), g_strdup(eq + 1));
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

static bool env_is_everybodys(Env *env, const char *variable) {
        static const char *const user_prefixes[] = { "XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS=" };

        if (env_is_locale(variable))
                return true;
        for (size_t i = 0; env->user && i < ELEMENTSOF(user_prefixes); i++)
                if (g_str_has_prefix(variable, user_prefixes[i]))
                        return true;
        return false;
}

void env_set_base(Env *env, char **base) {
        g_hash_table_remove_all(env->base);
        env_add_base(env, "PATH=" DEFAULT_PATH);
        for (char **e = environ; *e; e++)
                if (env_is_everybodys(env, *e) && utf8_is_valid(*e)) /* else ListEnv would fail */
                        env_add_base(env, *e);
        for (char **b = base; b && *b; b++)
                env_add_base(env, *b);
}

static const char *env_lookup(Env *env, const char *name) {
        const char *value;

        if (g_hash_table_lookup_extended(env->changes, name, NULL, (void **) &value))
                return value;
        return g_hash_table_lookup(env->base, name);
}

static int env_no_such_variable(const char *name, Fault *fault) {
        g_autofree char *shown = g_strescape(name, NULL);

        return fault_set(fault, NODE_ERROR_NO_SUCH_VARIABLE,
                "The environment of roles has no variable \"%.128s\"", shown);
}

int env_get(Env *env, const char *name, const char **ret, Fault *fault) {
        const char *value = env_lookup(env, name);

        if (!value)
                return env_no_such_variable(name, fault);
        *ret = value;
        return 0;
}

static void env_measure(Env *env, const char *except, unsigned *ret_n, size_t *ret_size) {
        g_auto(GStrv) all = env_list(env);

        *ret_n = 0;
        *ret_size = 0;
        for (char **v = all; *v; v++)
                if (!env_variable_is(*v, except)) {
                        (*ret_n)++;
                        *ret_size += strlen(*v) + 1;
                }
}

/* If the change cannot be saved, the old value is restored, because a successful reply means that it is
 * saved. */
static int env_change(Env *env, const char *name, const char *value, Fault *fault) {
        char *old_value = NULL;
        g_autofree char *old_name = NULL;
        bool had = g_hash_table_steal_extended(env->changes, name, (void **) &old_name, (void **) &old_value);
        g_autofree char *old = old_value;

        (void) g_hash_table_replace(env->changes, g_strdup(name), g_strdup(value));
        int r = env_save(env);
        if (r >= 0)
                return 0;
        if (had)
                (void) g_hash_table_replace(env->changes, g_steal_pointer(&old_name), g_steal_pointer(&old));
        else
                (void) g_hash_table_remove(env->changes, name);
        return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save variable \"%s\": %s", name, g_strerror(-r));
}

int env_set(Env *env, const char *name, const char *value, Fault *fault) {
        unsigned n;
        size_t size;

        if (!env_name_is_valid(name)) {
                g_autofree char *shown = g_strescape(name, NULL);
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "\"%.128s\" is not a valid name of a variable, it must be a letter or '_', then letters, digits and '_'",
                        shown);
        }
        env_measure(env, name, &n, &size);
        if (n >= ENV_VARIABLES_MAX)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot set variable \"%s\": the environment of roles has %u variables already", name,
                        n);
        if (size + strlen(name) + strlen(value) + 2 > ENV_SIZE_MAX)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot set variable \"%s\": the environment of roles would be larger than %u bytes",
                        name, ENV_SIZE_MAX);
        return env_change(env, name, value, fault);
}

int env_unset(Env *env, const char *name, Fault *fault) {
        if (!env_lookup(env, name))
                return env_no_such_variable(name, fault);
        return env_change(env, name, NULL, fault);
}

static int env_compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

char **env_list(Env *env) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        const char *name, *value;

        g_hash_table_iter_init(&iter, env->base);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &value))
                if (!g_hash_table_contains(env->changes, name))
                        g_ptr_array_add(list, g_strconcat(name, "=", value, NULL));
        g_hash_table_iter_init(&iter, env->changes);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &value))
                if (value)
                        g_ptr_array_add(list, g_strconcat(name, "=", value, NULL));
        g_ptr_array_sort(list, env_compare_names);
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&list), false);
}

char **env_list_public(void) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(list, g_strdup("PATH=" DEFAULT_PATH));
        for (char **e = environ; *e; e++)
                if (env_is_locale(*e) && utf8_is_valid(*e))
                        g_ptr_array_add(list, g_strdup(*e));
        g_ptr_array_sort(list, env_compare_names);
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&list), false);
}

void env_forget(Env *env) {
        state_file_forget(&env_file, env->dir_fd);
}
