/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/macro.h"
#include "keeper/exec/exec-environment.h"

#define RUNTIME_DIRECTORY "/run/user"

struct entry {
        char *assignment;
        size_t position;
};

static int entry_compare_names(const void *a, const void *b) {
        const char *x = ((const struct entry *) a)->assignment, *y = ((const struct entry *) b)->assignment;
        size_t n = strcspn(x, "="), m = strcspn(y, "=");
        int r = memcmp(x, y, n < m ? n : m);

        return r != 0 ? r : (n > m) - (n < m);
}

static int entry_compare(const void *a, const void *b) {
        size_t x = ((const struct entry *) a)->position, y = ((const struct entry *) b)->position;
        int r = entry_compare_names(a, b);

        return r != 0 ? r : (x > y) - (x < y);
}

static size_t strings_count(char *const *strings) {
        size_t n = 0;

        for (; strings && *strings; strings++)
                n++;
        return n;
}

static int environment_assign(const char *name, const char *value, char **ret) {
        return asprintf(ret, "%s=%s", name, value) < 0 ? -ENOMEM : 0;
}

static struct entry *environment_sort(char *const *env, size_t *ret_n) {
        const size_t n = strings_count(env);
        struct entry *entries = calloc(n + 1, sizeof(*entries));

        if (!entries)
                return NULL;
        for (size_t i = 0; i < n; i++)
                entries[i] = (struct entry){ .assignment = env[i], .position = i };
        qsort(entries, n, sizeof(*entries), entry_compare);
        *ret_n = n;
        return entries;
}

/* Keeps the last assignment of each name, in place. Sorting keeps this fast for a list of ten thousand, which
 * is unusual but valid. */
static int environment_drop_overridden(char **env) {
        _cleanup_free_ struct entry *entries = NULL;
        size_t n, k = 0;

        entries = environment_sort(env, &n);
        if (!entries)
                return -ENOMEM;

        for (size_t i = 0; i + 1 < n; i++)
                if (entry_compare_names(&entries[i], &entries[i + 1]) == 0)
                        env[entries[i].position] = NULL;

        for (size_t i = 0; i < n; i++)
                if (env[i])
                        env[k++] = env[i];
        env[k] = NULL;
        return 0;
}

int environment_changes(char *const *before, char *const *after, char ***ret) {
        _cleanup_free_ struct entry *old = NULL, *new = NULL;
        size_t n_old = 0, n_new = 0, n = 0, i = 0, j = 0;
        char **changes;

        old = environment_sort(before, &n_old);
        new = environment_sort(after, &n_new);
        changes = calloc(n_old + n_new + 1, sizeof(*changes));
        if (!old || !new || !changes) {
                free(changes);
                return -ENOMEM;
        }
        while (i < n_old || j < n_new) {
                int r = i == n_old ? 1 : j == n_new ? -1 : entry_compare_names(&old[i], &new[j]);

                if (r < 0) {
                        const char *name = old[i++].assignment;

                        changes[n] = strndup(name, strcspn(name, "="));
                        if (!changes[n++]) {
                                free(changes);
                                return -ENOMEM;
                        }
                } else if (r > 0)
                        changes[n++] = new[j++].assignment;
                else {
                        if (strcmp(old[i++].assignment, new[j].assignment) != 0)
                                changes[n++] = new[j].assignment;
                        j++;
                }
        }
        *ret = changes;
        return 0;
}

int environment_merge(char *const *base, char *const *more, char ***ret) {
        const size_t n_base = strings_count(base), n_more = strings_count(more);
        char **env;
        int r;

        env = calloc(n_base + n_more + 1, sizeof(*env));
        if (!env)
                return -ENOMEM;

        for (size_t i = 0; i < n_base; i++)
                env[i] = base[i];
        for (size_t i = 0; i < n_more; i++)
                env[n_base + i] = more[i];

        r = environment_drop_overridden(env);
        if (r < 0) {
                free(env);
                return r;
        }

        *ret = env;
        return 0;
}

/* What pam_systemd(8) sets in a session of the user, if the user has one, or lingers. */
static int environment_add_session(uid_t uid, char **env, size_t *n) {
        char path[sizeof(RUNTIME_DIRECTORY) + 32];
        struct stat st;
        int r;

        (void) snprintf(path, sizeof(path), RUNTIME_DIRECTORY "/%u", uid);
        if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != uid)
                return 0;
        r = environment_assign("XDG_RUNTIME_DIR", path, &env[*n]);
        if (r < 0)
                return r;
        (*n)++;

        (void) snprintf(path, sizeof(path), RUNTIME_DIRECTORY "/%u/bus", uid);
        if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return 0;
        if (asprintf(&env[*n], "DBUS_SESSION_BUS_ADDRESS=unix:path=%s", path) < 0)
                return -ENOMEM;
        (*n)++;
        return 0;
}

int environment_begin(
        const LaunchRequest *request, const struct identity *who, bool has_terminal, char ***ret) {
        const size_t n_base = strings_count(request->base_environment);
        char **env;
        size_t n = 0;
        int r;

        /* This is never freed, because the exec takes it or the process ends. */
        env = calloc(3 + n_base + 4 + 2 + 1, sizeof(*env));
        if (!env)
                return -ENOMEM;

        r = environment_assign("PATH", DEFAULT_PATH, &env[n++]);
        if (r < 0)
                return r;
        if (has_terminal) {
                r = environment_assign("TERM", DEFAULT_TERM, &env[n++]);
                if (r < 0)
                        return r;
        }
        if (request->setup) {
                struct utsname name;

                /* Many tables, modulefiles and scripts of a site read it, because every shell of a login has
                 * it. */
                if (uname(&name) < 0)
                        return -errno;
                r = environment_assign("HOSTNAME", name.nodename, &env[n++]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < n_base; i++)
                env[n++] = request->base_environment[i];

        if ((r = environment_assign("HOME", who->home, &env[n++])) < 0 ||
                (r = environment_assign("USER", who->name, &env[n++])) < 0 ||
                (r = environment_assign("LOGNAME", who->name, &env[n++])) < 0 ||
                (r = environment_assign("SHELL", who->shell, &env[n++])) < 0 ||
                ((request->account || request->user) && (r = environment_add_session(who->uid, env, &n)) < 0))
                return r;

        r = environment_drop_overridden(env);
        if (r < 0)
                return r;

        *ret = env;
        return 0;
}

bool assignment_is_of_shell(const char *assignment, const char *const *names, size_t n_names) {
        const size_t n = strcspn(assignment, "=");

        for (size_t i = 0; i < n_names; i++)
                if (strlen(names[i]) == n && memcmp(names[i], assignment, n) == 0)
                        return true;
        return strncmp(assignment, "BASH_FUNC_", strlen("BASH_FUNC_")) == 0;
}

int environment_for_setup(const LaunchRequest *request, char *const *begun, char ***ret) {
        /* These change what a shell does. bash -p ignores most of them, but the programs that it runs do
         * not. */
        static const char *const names[] = { "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "IFS" };
        _cleanup_free_ char **own = NULL;
        size_t n = 0;

        own = calloc(strings_count(request->environment) + 1, sizeof(*own));
        if (!own)
                return -ENOMEM;
        for (char *const *e = request->environment; e && *e; e++)
                if (!assignment_is_of_shell(*e, names, ELEMENTSOF(names)))
                        own[n++] = *e;
        return environment_merge(begun, own, ret);
}

int environment_finish(const LaunchRequest *request, char *const *begun, char ***ret) {
        const size_t n_begun = strings_count(begun), n_own = strings_count(request->environment);
        char **env;
        size_t n = 0;
        int r;

        env = calloc(n_begun + n_own + 2 + 1, sizeof(*env));
        if (!env)
                return -ENOMEM;

        for (size_t i = 0; i < n_begun; i++)
                env[n++] = begun[i];
        for (size_t i = 0; i < n_own; i++)
                env[n++] = request->environment[i];

        if ((r = environment_assign("ARCHITECT_ROLE", request->role, &env[n++])) < 0 ||
                (r = environment_assign("ARCHITECT_INSTANCE", request->instance, &env[n++])) < 0)
                return r;

        r = environment_drop_overridden(env);
        if (r < 0)
                return r;

        *ret = env;
        return 0;
}

void environment_search_path(char *const *env, struct search_path *ret) {
        const char *path = environment_get(env, "PATH");
        size_t n;

        ret->is_default = !path;
        ret->path = path;
        if (path)
                return;
        n = confstr(_CS_PATH, ret->value, sizeof(ret->value));
        ret->path = n > 0 && n <= sizeof(ret->value) ? ret->value : "/bin:/usr/bin";
}

const char *environment_get(char *const *env, const char *name) {
        const size_t n = strlen(name);

        for (; *env; env++)
                if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
                        return *env + n + 1;
        return NULL;
}
