/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <fts.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/feature.h"
#include "base/macro.h"
#include "base/parse-util.h"

#define CGROUP_FILE_MAX (1024U * 1024U)
/* where v2 is mounted if it is the only hierarchy */
#define CGROUP_UNIFIED "/sys/fs/cgroup"

static bool cgroup_is_fs(const char *path, unsigned long magic) {
        struct statfs fs;

        return statfs(path, &fs) >= 0 && (unsigned long) fs.f_type == magic;
}

/* Where the hierarchy was found. It is not moved while the machine runs, and each stop asks for it often. */
static const char *cgroup_root_found;

int cgroup_root(const char **ret) {
        static const char *const places[] = { CGROUP_UNIFIED, "/sys/fs/cgroup/unified" };

        for (size_t i = 0; !cgroup_root_found && i < ELEMENTSOF(places); i++)
                if (cgroup_is_fs(places[i], CGROUP2_SUPER_MAGIC))
                        cgroup_root_found = places[i];
        if (!cgroup_root_found)
                return -ENOMEDIUM;

        *ret = cgroup_root_found;
        return 0;
}

void cgroup_root_forget(void) {
        cgroup_root_found = NULL;
}

/* Accepts paths below the root only, not the root itself. */
static bool cgroup_path_is_valid(const char *path) {
        if (!path || path[0] != '/' || !path[1])
                return false;

        for (const char *p = path; p; p = strchr(p + 1, '/'))
                if (strcmp(p, "/..") == 0 || strncmp(p, "/../", 4) == 0)
                        return false;

        return true;
}

bool cgroup_is_below(const char *cgroup, const char *above) {
        size_t n = above ? strlen(above) : 0;

        return n > 0 && strncmp(cgroup, above, n) == 0 && (cgroup[n] == '\0' || cgroup[n] == '/');
}

static int cgroup_file(const char *path, const char *file, char **ret) {
        const char *root;
        int r;

        if (!cgroup_path_is_valid(path))
                return -EINVAL;

        r = cgroup_root(&root);
        if (r < 0)
                return r;

        return asprintf(ret, "%s%s%s%s", root, path, file ? "/" : "", file ? file : "") < 0 ? -ENOMEM : 0;
}

int cgroup_id(const char *path, uint64_t *ret) {
        _cleanup_free_ char *directory = NULL;
        struct stat st;
        int r;

        r = cgroup_file(path, NULL, &directory);
        if (r < 0)
                return r;
        if (stat(directory, &st) < 0)
                return -errno;

        *ret = st.st_ino;
        return 0;
}

static int cgroup_file_read(const char *path, const char *file, char **ret) {
        _cleanup_free_ char *name = NULL;
        int r;

        r = cgroup_file(path, file, &name);
        if (r < 0)
                return r;

        r = file_read(AT_FDCWD, name, CGROUP_FILE_MAX, ret, NULL);
        return r == -ENODEV ? -ENOENT : r; /* removed while it was open */
}

int cgroup_of_pid(pid_t pid, char **ret) {
        char name[sizeof("/proc//cgroup") + 3 * sizeof(pid_t)];
        _cleanup_free_ char *text = NULL;
        char *line, *next, *path;
        int r;

        if (pid <= 0)
                return -ESRCH;

        (void) snprintf(name, sizeof(name), "/proc/%d/cgroup", (int) pid);
        r = file_read(AT_FDCWD, name, CGROUP_FILE_MAX, &text, NULL);
        if (r == -ENOENT)
                return -ESRCH;
        if (r < 0)
                return r;

        for (line = text; line && *line; line = next) {
                static const char deleted[] = " (deleted)";
                size_t n;

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (strncmp(line, "0::/", 4) != 0)
                        continue;

                /* A zombie stays in a cgroup that was removed; another one of the same name may exist now. */
                line += 3;
                n = strlen(line);
                if (n >= strlen(deleted) && strcmp(line + n - strlen(deleted), deleted) == 0)
                        return -ENODATA;

                path = strdup(line);
                if (!path)
                        return -ENOMEM;
                *ret = path;
                return 0;
        }

        return -ENODATA;
}

/* Returns the value of the line "key value", or the first line of the file without a key. */
static int cgroup_find_value(const char *text, const char *key, char *ret, size_t size) {
        const char *line, *end;
        size_t n = key ? strlen(key) : 0;

        for (line = text; *line; line = *end ? end + 1 : end) {
                end = strchrnul(line, '\n');

                if (key && (strncmp(line, key, n) != 0 || line[n] != ' '))
                        continue;
                if (key)
                        line += n + 1;
                if ((size_t) (end - line) >= size)
                        return -ENODATA;

                memcpy(ret, line, (size_t) (end - line));
                ret[end - line] = '\0';
                return 0;
        }

        return -ENODATA;
}

/* Reads the beginning of a file that one read() returns, into a buffer, with no more than three system calls.
 * Some files are read for each of thousands of roles, or for each start. */
static int cgroup_file_peek(const char *path, const char *file, char *ret, size_t size) {
        _cleanup_free_ char *name = NULL;
        autofd fd = -EBADF;
        ssize_t n;
        int r;

        r = cgroup_file(path, file, &name);
        if (r < 0)
                return r;
        fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, ret, size - 1);
        if (n < 0)
                return errno == ENODEV ? -ENOENT : -errno; /* removed while it was open */
        ret[n] = '\0';
        return 0;
}

int cgroup_events(const char *path, bool *ret_populated, bool *ret_frozen) {
        char populated[8] = "0", frozen[8] = "0", text[256];
        int r;

        r = cgroup_file_peek(path, "cgroup.events", text, sizeof(text));
        if (r < 0 && r != -ENOENT)
                return r;

        if (r >= 0) {
                r = cgroup_find_value(text, "populated", populated, sizeof(populated));
                if (r >= 0)
                        r = cgroup_find_value(text, "frozen", frozen, sizeof(frozen));
                if (r < 0)
                        return r;
        }

        if (ret_populated)
                *ret_populated = strcmp(populated, "0") != 0;
        if (ret_frozen)
                *ret_frozen = strcmp(frozen, "0") != 0;
        return 0;
}

int cgroup_open(const char *path) {
        _cleanup_free_ char *directory = NULL;
        int fd, r;

        r = cgroup_file(path, NULL, &directory);
        if (r < 0)
                return r;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

bool cgroup_is_freezing(const char *path) {
        char value[2] = "";

        return cgroup_file_peek(path, "cgroup.freeze", value, sizeof(value)) >= 0 && value[0] == '1';
}

int cgroup_frozen_above(const char *path, char **ret) {
        _cleanup_free_ char *above = strdup(path);
        char *slash;

        if (!above)
                return -ENOMEM;

        /* The root cannot be frozen. */
        while ((slash = strrchr(above, '/')) && slash != above) {
                *slash = '\0';
                if (!cgroup_is_freezing(above))
                        continue;
                *ret = strdup(strrchr(above, '/') + 1);
                return *ret ? 0 : -ENOMEM;
        }
        return -ENOENT;
}

int cgroup_kill(const char *path) {
        _cleanup_free_ char *directory = NULL, *file = NULL;
        int r;

        if (feature_masked(FEATURE_CGROUP_KILL))
                return -EOPNOTSUPP;

        r = cgroup_file(path, "cgroup.kill", &file);
        if (r >= 0)
                r = cgroup_file(path, NULL, &directory);
        if (r < 0)
                return r;

        r = file_write_string(file, "1");
        if (r == -ENODEV)
                return -ENOENT;
        if (r == -ENOENT && access(directory, F_OK) >= 0)
                return -EOPNOTSUPP;

        return r;
}

int cgroup_set_max_descendants(const char *path, unsigned max) {
        _cleanup_free_ char *file = NULL;
        char text[16];
        int r;

        r = cgroup_file(path, "cgroup.max.descendants", &file);
        if (r < 0)
                return r;
        (void) snprintf(text, sizeof(text), "%u", max);
        return file_write_string(file, text);
}

static bool cgroup_has_word(const char *text, const char *word) {
        size_t n = strlen(word), k;

        for (const char *p = text; *p; p += k) {
                p += strspn(p, " \n");
                k = strcspn(p, " \n");
                if (k > 0 && k == n && strncmp(p, word, n) == 0)
                        return true;
        }

        return false;
}

/* Returns the file that lists the controllers of our scopes. A user manager has only those that were
 * delegated to it. */
static int cgroup_controllers_file(const char *root, char **ret) {
        _cleanup_free_ char *own = NULL;
        const char *unit, *end = NULL;

        if (cgroup_of_pid(getpid(), &own) >= 0) {
                unit = strstr(own, "/user@");
                end = unit ? strchr(unit + 1, '/') : NULL;
                if (end)
                        own[end - own] = '\0';
        }

        return asprintf(ret, "%s%s/cgroup.controllers", root, end ? own : "") < 0 ? -ENOMEM : 0;
}

static bool cgroup_has_v1_controller(const char *controller) {
        char path[64];
        int n = snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", controller);

        return n > 0 && (size_t) n < sizeof(path) && cgroup_is_fs(path, CGROUP_SUPER_MAGIC);
}

static bool cgroup_has_v2_controller(const char *root, const char *controller) {
        _cleanup_free_ char *file = NULL, *text = NULL;

        return cgroup_controllers_file(root, &file) >= 0 &&
               file_read(AT_FDCWD, file, CGROUP_FILE_MAX, &text, NULL) >= 0 &&
               cgroup_has_word(text, controller);
}

bool cgroup_has_controller(const char *controller) {
        const char *root;

        if (!*controller || strchr(controller, '/') || cgroup_root(&root) < 0)
                return false;

        /* Hybrid: systemd uses the v2 hierarchy for tracking only, together with the v1 controllers that are
         * mounted. */
        return strcmp(root, CGROUP_UNIFIED) == 0 ? cgroup_has_v2_controller(root, controller)
                                                 : cgroup_has_v1_controller(controller);
}

/* Appends the pids of one directory. *n also counts those that do not fit. */
static int cgroup_append_pids(const char *directory, pid_t *ret, size_t max, int *n) {
        _cleanup_free_ char *file = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        int pid;

        if (asprintf(&file, "%s/cgroup.procs", directory) < 0) {
                file = NULL;
                return -ENOMEM;
        }

        f = fopen(file, "re");
        if (!f)
                return errno == ENOENT || errno == ENODEV ? 0 : -errno;

        /* 0 is a process of another pid namespace, which cannot be named here */
        while (fscanf(f, "%d", &pid) == 1)
                if (pid > 0) {
                        if ((size_t) *n < max)
                                ret[*n] = pid;
                        (*n)++;
                }

        return 0;
}

int cgroup_pids(const char *path, pid_t *ret, size_t max) {
        _cleanup_free_ char *directory = NULL;
        struct stat st;
        FTSENT *entry;
        FTS *tree;
        int n = 0, r;

        r = cgroup_file(path, NULL, &directory);
        if (r < 0)
                return r;

        if (stat(directory, &st) < 0)
                return 0;
        /* The number of links counts the directories below. A walk looks at each of some forty files. */
        if (st.st_nlink == 2) {
                r = cgroup_append_pids(directory, ret, max, &n);
                return r < 0 ? r : n;
        }

        tree = fts_open((char *const[]){ directory, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        if (!tree)
                return -errno;

        while (r >= 0 && (entry = fts_read(tree)))
                if (entry->fts_info == FTS_D)
                        r = cgroup_append_pids(entry->fts_path, ret, max, &n);

        (void) fts_close(tree);
        return r < 0 ? r : n;
}

bool cgroup_is_unified(void) {
        const char *root;

        return cgroup_root(&root) >= 0 && strcmp(root, CGROUP_UNIFIED) == 0;
}

int cgroup_read_u64(const char *path, const char *file, const char *key, unsigned long long *ret) {
        _cleanup_free_ char *text = NULL;
        uint64_t v = UINT64_MAX;
        char value[32];
        int r;

        r = cgroup_file_read(path, file, &text);
        if (r < 0)
                return r;

        r = cgroup_find_value(text, key, value, sizeof(value));
        if (r < 0)
                return r;
        if (strcmp(value, "max") != 0 && parse_u64(value, &v) < 0)
                return -ENODATA;

        *ret = v;
        return 0;
}

static int cgroup_v1_oom_kills(const char *path, unsigned long long *ret) {
        _cleanup_free_ char *file = NULL, *text = NULL;
        char value[32];
        uint64_t v;

        if (!cgroup_path_is_valid(path))
                return -EINVAL;
        if (asprintf(&file, "/sys/fs/cgroup/memory%s/memory.oom_control", path) < 0) {
                file = NULL;
                return -ENOMEM;
        }

        int r = file_read(AT_FDCWD, file, CGROUP_FILE_MAX, &text, NULL);
        if (r >= 0)
                r = cgroup_find_value(text, "oom_kill", value, sizeof(value));
        if (r < 0)
                return r == -ENODEV ? -ENOENT : r; /* removed while it was open */
        if (parse_u64(value, &v) < 0)
                return -ENODATA;
        *ret = v;
        return 0;
}

int cgroup_oom_kills(const char *path, unsigned long long *ret) {
        return cgroup_is_unified() ? cgroup_read_u64(path, "memory.events", "oom_kill", ret)
                                   : cgroup_v1_oom_kills(path, ret);
}

/* Returns the mount point of a hierarchy of v1 by its line in /proc/PID/cgroup, as systemd mounts them, or
 * NULL if it is that of v2. */
static char *cgroup_line_mount(char *line) {
        char *list = strchr(line, ':'), *end = list ? strchr(list + 1, ':') : NULL, *mount;

        if (!end || end == list + 1)
                return NULL;
        list++;
        *end = '\0';
        if (strncmp(list, "name=", 5) == 0)
                list += 5;
        return asprintf(&mount, CGROUP_UNIFIED "/%s", list) < 0 ? NULL : mount;
}

static int cgroup_attach_v1(const char *path, const char *pid) {
        _cleanup_free_ char *text = NULL;
        char *line, *next;
        int r;

        r = file_read(AT_FDCWD, "/proc/self/cgroup", CGROUP_FILE_MAX, &text, NULL);
        for (line = text; r >= 0 && line && *line; line = next) {
                _cleanup_free_ char *mount = NULL, *file = NULL;

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                mount = cgroup_line_mount(line);
                if (!mount)
                        continue;
                if (asprintf(&file, "%s%s/cgroup.procs", mount, path) < 0)
                        return -ENOMEM;
                /* systemd makes a cgroup only where a controller of it is used. */
                r = file_write_string(file, pid);
                if (r == -ENOENT)
                        r = 0;
        }
        return r;
}

int cgroup_attach(const char *path, pid_t pid) {
        _cleanup_free_ char *file = NULL;
        char text[16];
        int r;

        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        r = cgroup_file(path, "cgroup.procs", &file);
        if (r >= 0)
                r = file_write_string(file, text);
        if (r >= 0 && !cgroup_is_unified())
                r = cgroup_attach_v1(path, text);
        return r;
}
