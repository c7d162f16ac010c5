/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "verify": role files before they are used. It needs neither the service nor root, so it also runs
 * where files are written, for example as a check of a repository. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "ctl/role-files.h"
#include "ctl/verb.h"
#include "util/config-files.h"

typedef struct Verify {
        const Ctl *ctl;
        Staging *staging;
        GHashTable *names; /* of the files that were added, with their paths */
        unsigned n_errors;
} Verify;

_printf_(3, 4) static void verify_error(Verify *v, const char *path, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        (void) fprintf(stderr, "%s: %s\n", path, reason);
        v->n_errors++;
}

/* Returns whether the file will be in use as it is: it lies in one of the directories. */
static bool verify_is_installed(const Verify *v, const char *path) {
        g_autofree char *directory = g_path_get_dirname(path), *real = realpath(directory, NULL);
        g_auto(GStrv) directories = role_files_directories(v->ctl);
        g_autofree char *above = real && g_str_has_suffix(real, ".d") ? g_path_get_dirname(real) : NULL;

        return real && (g_strv_contains((const char *const *) directories, real) ||
                               (above && g_strv_contains((const char *const *) directories, above)));
}

/* Who may write to a file does not matter before it is installed, and then it is another file most often. */
static void verify_owner(Verify *v, const char *path, const struct stat *st) {
        const char *reason = definitions_refuse_owner(st, v->ctl->user ? geteuid() : 0);

        if (!reason)
                return;
        if (verify_is_installed(v, path))
                verify_error(v, path, "%s", reason);
        else
                ctl_say(v->ctl, "%s: note: %s, which matters once it is installed: install -m 644%s", path,
                        reason, v->ctl->user ? "" : " -o root");
}

/* Adds one file under its name. */
static CtlExit verify_add_file(Verify *v, const char *path, const char *name) {
        g_autofree char *text = NULL;
        size_t size = 0;
        struct stat st;

        autofd fd = file_open(AT_FDCWD, path, O_RDONLY);
        if (fd == -EBADFD && config_file_is_masked(path)) {
                /* An empty drop-in means the same. */
                ctl_say(v->ctl, "%s: note: it is masked", path);
                return g_str_has_suffix(name, ".conf") ? staging_add(v->staging, name, "", 0, path)
                                                       : CTL_EXIT_OK;
        }
        if (fd == -EISDIR || fd == -EBADFD) {
                verify_error(v, path, "it is not a regular file");
                return CTL_EXIT_OK;
        }
        int r = fd;
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r >= 0)
                r = file_read_all(fd, CONFIG_FILE_MAX, &text, &size);
        if (r == -EFBIG)
                verify_error(v, path, "it has more than %u bytes", CONFIG_FILE_MAX);
        else if (r < 0)
                verify_error(v, path, "it cannot be read: %s", g_strerror(-r));
        if (r < 0)
                return CTL_EXIT_OK;
        verify_owner(v, path, &st);
        return staging_add(v->staging, name, text, size, path);
}

/* Adds what path.d has, and the file itself if it is there. */
static CtlExit verify_add_with_drop_ins(Verify *v, const char *path) {
        g_autofree char *directory = g_path_get_dirname(path), *file = g_path_get_basename(path);
        const char *const directories[] = { directory, NULL };
        g_autoptr(GPtrArray) found = NULL;
        CtlExit e = CTL_EXIT_OK;

        int r = config_files_list(directories, file, &found);
        if (r < 0) {
                verify_error(v, path, "its drop-ins cannot be read: %s", g_strerror(-r));
                return CTL_EXIT_OK;
        }
        for (unsigned i = 0; e == CTL_EXIT_OK && i < found->len; i++) {
                g_autofree char *base = g_path_get_basename(g_ptr_array_index(found, i));

                if (strcmp(base, file) == 0)
                        e = verify_add_file(v, path, file);
                else {
                        /* The path as the user has written it. */
                        g_autofree char *name = g_strconcat(file, ".d/", base, NULL),
                                        *shown = g_strconcat(path, ".d/", base, NULL);

                        e = verify_add_file(v, shown, name);
                }
        }
        return e;
}

/* The drop-ins of single roles of a template lie beside it, too. */
static CtlExit verify_add_instances(Verify *v, const char *path) {
        g_autofree char *directory = g_path_get_dirname(path), *file = g_path_get_basename(path);
        g_autofree char *prefix = g_strdup_printf("%.*s-", (int) (strchr(file, '@') - file), file);
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        const size_t before = strlen(path) - strlen(file);
        CtlExit e = CTL_EXIT_OK;
        const char *name;

        while (e == CTL_EXIT_OK && dir && (name = g_dir_read_name(dir))) {
                struct stat st;

                if (!g_str_has_prefix(name, prefix) || !g_str_has_suffix(name, ROLE_FILE_SUFFIX ".d"))
                        continue;
                g_autofree char *role =
                        g_strdup_printf("%.*s%.*s", (int) before, path, (int) strlen(name) - 2, name);
                /* A role file of its own has them. */
                if (lstat(role, &st) < 0)
                        e = verify_add_with_drop_ins(v, role);
        }
        return e;
}

static CtlExit verify_add(Verify *v, const char *path) {
        g_autofree char *base = g_path_get_basename(path);
        struct stat st;

        if (!g_str_has_suffix(base, ROLE_FILE_SUFFIX) || base[0] == '.') {
                verify_error(v, path, "the name of a role file is NAME.role or NAME@.role");
                return CTL_EXIT_OK;
        }
        if (g_hash_table_contains(v->names, base)) {
                verify_error(v, path, "%s defines the same role; one of them can be installed",
                        (const char *) g_hash_table_lookup(v->names, base));
                return CTL_EXIT_OK;
        }
        g_hash_table_insert(v->names, g_strdup(base), g_strdup(path));
        if (stat(path, &st) < 0) {
                verify_error(v, path, "it cannot be read: %s", g_strerror(errno));
                return CTL_EXIT_OK;
        }
        CtlExit e = verify_add_with_drop_ins(v, path);
        if (e == CTL_EXIT_OK && g_str_has_suffix(base, "@" ROLE_FILE_SUFFIX))
                e = verify_add_instances(v, path);
        return e;
}

CtlExit verb_verify(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(Definitions) definitions = NULL;
        g_autoptr(Staging) staging = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 1, INT_MAX, &e))
                return e;
        e = role_files_check_options(ctl, "verify");
        if (e == CTL_EXIT_OK)
                e = staging_new(ctl, &staging);
        Verify v = { .ctl = ctl, .staging = staging, .names = names };
        for (int i = optind; e == CTL_EXIT_OK && i < argc; i++)
                e = verify_add(&v, argv[i]);
        if (e == CTL_EXIT_OK)
                e = staging_load(staging, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        v.n_errors += staging_report(staging, definitions);
        return v.n_errors > 0 ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}
