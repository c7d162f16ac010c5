/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd-util.h"
#include "util/config-files.h"

/* The keys of seen are names in the paths. */
static int config_files_add_drop_ins(const char *directory, GPtrArray *paths, GHashTable *seen) {
        _cleanup_closedir_ DIR *dir = opendir(directory);

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        for (;;) {
                const struct dirent *entry;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return -errno;
                if (entry->d_name[0] == '.' || !g_str_has_suffix(entry->d_name, ".conf") ||
                        g_hash_table_contains(seen, entry->d_name))
                        continue;
                char *path = g_build_filename(directory, entry->d_name, NULL);
                g_ptr_array_add(paths, path);
                g_hash_table_add(seen, strrchr(path, '/') + 1);
        }
}

static int config_files_compare_names(const void *a, const void *b) {
        return strcmp(strrchr(*(char *const *) a, '/'), strrchr(*(char *const *) b, '/'));
}

int config_files_list(const char *const *directories, const char *name, GPtrArray **ret) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *main_file = NULL;

        for (; *directories; directories++) {
                g_autofree char *file = g_build_filename(*directories, name, NULL);
                g_autofree char *drop_ins = g_strconcat(file, ".d", NULL);
                struct stat st;

                int r = config_files_add_drop_ins(drop_ins, paths, seen);
                if (r < 0)
                        return r;
                /* After another error it is listed, so that whoever reads it reports the error. */
                if (!main_file && (lstat(file, &st) >= 0 || errno != ENOENT))
                        main_file = g_steal_pointer(&file);
        }
        g_ptr_array_sort(paths, config_files_compare_names);
        if (main_file)
                g_ptr_array_insert(paths, 0, g_steal_pointer(&main_file));
        *ret = g_steal_pointer(&paths);
        return 0;
}

bool config_file_is_masked(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

int config_file_read(const char *path, char **ret, size_t *ret_size) {
        int r = file_read(AT_FDCWD, path, CONFIG_FILE_MAX, ret, ret_size);

        if (r == -ENOENT || (r == -EBADFD && config_file_is_masked(path)))
                return 0;
        return r < 0 ? r : 1;
}

static int config_file_load(const char *path, ConfigItemHandler handler, void *userdata, char **ret_message) {
        _cleanup_free_ char *text = NULL; /* allocated by libc */
        UnitFile file;
        size_t size;

        int r = config_file_read(path, &text, &size);
        if (r == 0)
                return 0;
        if (r < 0) {
                *ret_message =
                        r == -EBADFD
                                ? g_strdup_printf(
                                          "Cannot read %s: it is neither a regular file nor /dev/null", path)
                                : g_strdup_printf("Cannot read %s: %s", path, g_strerror(-r));
                return r;
        }
        unit_file_init(&file, text, size);
        while ((r = unit_file_next(&file)) > 0) {
                r = handler(path, &file, userdata);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                *ret_message = g_strdup_printf("%s:%u: %s", path, file.line, file.reason);
        return r;
}

int config_files_load(const char *const *directories, const char *name, ConfigItemHandler handler,
        void *userdata, char **ret_message) {
        g_autoptr(GPtrArray) files = NULL;

        int r = config_files_list(directories, name, &files);
        if (r < 0) {
                *ret_message =
                        g_strdup_printf("Cannot read %s/%s.d: %s", directories[0], name, g_strerror(-r));
                return r;
        }
        for (unsigned i = 0; r >= 0 && i < files->len; i++)
                r = config_file_load(g_ptr_array_index(files, i), handler, userdata, ret_message);
        return r;
}
