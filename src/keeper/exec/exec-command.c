/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "keeper/exec/exec-command.h"
#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-report.h"

#define INTERPRETER_MAX 256
#define ELF_PHNUM_MAX 64

static bool elf_read_at(int fd, void *buffer, size_t size, uint64_t offset) {
        return pread(fd, buffer, size, (off_t) offset) == (ssize_t) size;
}

/* Finds the offset of the name of a program's loader in its file. */
static bool elf_find_loader(
        int fd, const unsigned char ident[static EI_NIDENT], uint64_t *ret_offset, uint64_t *ret_size) {
        union {
                Elf32_Ehdr e32;
                Elf64_Ehdr e64;
        } header;
        const bool wide = ident[EI_CLASS] == ELFCLASS64;

        if (!elf_read_at(fd, &header, wide ? sizeof(header.e64) : sizeof(header.e32), 0))
                return false;

        for (unsigned i = 0; i < (wide ? header.e64.e_phnum : header.e32.e_phnum) && i < ELF_PHNUM_MAX; i++) {
                Elf32_Phdr p32;
                Elf64_Phdr p64;

                if (wide ? !elf_read_at(fd, &p64, sizeof(p64), header.e64.e_phoff + i * sizeof(p64))
                         : !elf_read_at(fd, &p32, sizeof(p32), header.e32.e_phoff + i * sizeof(p32)))
                        return false;
                if ((wide ? p64.p_type : p32.p_type) == PT_INTERP) {
                        *ret_offset = wide ? p64.p_offset : p32.p_offset;
                        *ret_size = wide ? p64.p_filesz : p32.p_filesz;
                        return true;
                }
        }

        return false;
}

/* Finds the file that the kernel uses to run a command: the interpreter of a script, or the loader of a
 * program. */
static bool command_find_interpreter(const char *path, char ret[static INTERPRETER_MAX]) {
        char start[INTERPRETER_MAX];
        uint64_t offset, size;
        autofd fd = -EBADF;
        char *p;
        ssize_t n;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return false;
        n = pread(fd, start, sizeof(start) - 1, 0);
        if (n < 0)
                return false;
        start[n] = '\0';

        if (n >= EI_NIDENT && memcmp(start, ELFMAG, SELFMAG) == 0) {
                if (!elf_find_loader(fd, (const unsigned char *) start, &offset, &size) || size == 0 ||
                        size >= INTERPRETER_MAX || !elf_read_at(fd, ret, size, offset))
                        return false;
                ret[size] = '\0';
                return true;
        }

        if (strncmp(start, "#!", 2) != 0)
                return false;
        p = start + 2 + strspn(start + 2, " \t");
        p[strcspn(p, " \t\n")] = '\0';
        (void) snprintf(ret, INTERPRETER_MAX, "%s", p);
        return *p != '\0';
}

/* Why the kernel refuses to execute a file with EACCES, as the end of a text about a program and about an
 * interpreter. */
typedef struct Refusal {
        const char *program;
        const char *interpreter;
} Refusal;

static const Refusal *refusal_find(const char *path) {
        static const Refusal directory = { "it is a directory", "is a directory" },
                             noexec = { "its file system is mounted noexec",
                                     "is on a file system that is mounted noexec" },
                             permission = { "Permission denied (it is not executable)", "is not executable" };
        struct statvfs fs;
        struct stat st;

        if (stat(path, &st) < 0)
                return &permission;
        if (S_ISDIR(st.st_mode))
                return &directory;
        /* Before access(), which refuses there whatever the mode of the file is. */
        if (S_ISREG(st.st_mode) && statvfs(path, &fs) >= 0 && (fs.f_flag & ST_NOEXEC))
                return &noexec;

        return access(path, X_OK) < 0 ? &permission : NULL;
}

/* The end of a text that there is no such program, if its name is one that a shell would have changed. */
static const char *command_hint(const char *name) {
        if (name[strcspn(name, " \t\n")])
                return "; the command is a list of words, and this is one word with a space in it";
        if (*name == '~' || strchr(name, '$'))
                return "; no shell is involved, so ~ and $ are not expanded";
        if (strchr(name, '='))
                return "; no shell is involved, the option \"env\" sets variables";
        return "";
}

static _noreturn_ void command_fail_missing(int gate_fd, const char *name, const char *path, int error) {
        const char *hint =
                error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG ? command_hint(name) : "";
        char directory[PATH_MAX];

        if (error == ENOENT && !*hint && *path != '/' && getcwd(directory, sizeof(directory)))
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -error,
                        "cannot execute %s: %s, looked up from the working directory %s", QUOTED(path),
                        strerror(error), QUOTED(directory));

        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -error, "cannot execute %s: %s%s", QUOTED(path),
                strerror(error), hint);
}

/* The kernel has not looked for the file yet. */
static _noreturn_ void command_fail_processes(int gate_fd, const char *name, const char *user) {
        struct rlimit rl = { 0 };

        (void) getrlimit(RLIMIT_NPROC, &rl);
        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -EAGAIN,
                "cannot execute %s: user %s has more processes than its limit nproc allows (%llu)",
                QUOTED(name), QUOTED(user), (unsigned long long) rl.rlim_cur);
}

static _noreturn_ void command_fail_interpreter(int gate_fd, const char *path) {
        char interpreter[INTERPRETER_MAX];
        size_t n;

        if (!command_find_interpreter(path, interpreter))
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOENT,
                        "cannot execute %s: the interpreter it needs does not exist", QUOTED(path));

        n = strlen(interpreter);
        if (access(interpreter, F_OK) < 0 && n > 0 && interpreter[n - 1] == '\r')
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOENT,
                        "cannot execute %s: its first line ends with a carriage return; convert the line ends of the file from CR LF to LF",
                        QUOTED(path));
        if (access(interpreter, F_OK) < 0)
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOENT,
                        "cannot execute %s: its interpreter %s does not exist", QUOTED(path),
                        QUOTED(interpreter));
        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOENT,
                "cannot execute %s: an interpreter that its interpreter %s needs does not exist",
                QUOTED(path), QUOTED(interpreter));
}

static _noreturn_ void command_fail_refused(int gate_fd, const char *path) {
        const Refusal *refusal = refusal_find(path);
        char interpreter[INTERPRETER_MAX];

        if (refusal)
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -EACCES, "cannot execute %s: %s", QUOTED(path),
                        refusal->program);

        refusal = command_find_interpreter(path, interpreter) ? refusal_find(interpreter) : NULL;
        if (refusal)
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -EACCES, "cannot execute %s: its interpreter %s %s",
                        QUOTED(path), QUOTED(interpreter), refusal->interpreter);

        gate_fail(
                gate_fd, LAUNCH_STAGE_EXEC, -EACCES, "cannot execute %s: %s", QUOTED(path), strerror(EACCES));
}

/* path: the file that was tried for the name. */
static _noreturn_ void command_fail(
        int gate_fd, const char *user, const char *name, const char *path, int error) {
        struct stat st;

        if (error == EAGAIN)
                command_fail_processes(gate_fd, name, user);
        if (stat(path, &st) < 0)
                command_fail_missing(gate_fd, name, path, error);
        if (error == ENOENT)
                command_fail_interpreter(gate_fd, path);
        if (error == EACCES)
                command_fail_refused(gate_fd, path);

        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -error, "cannot execute %s: %s", QUOTED(path),
                error == ENOEXEC ? "it is neither a program for this machine nor a script that begins with #!"
                                 : strerror(error));
}

/* execvpe() would pass a file of unknown format to /bin/sh, and search the PATH of the keeper instead of that
 * of the role. */
static _noreturn_ void command_search(int gate_fd, const char *user, char *const *argv, char *const *env) {
        struct search_path search_path;
        const char *p, *end;
        char *refused = NULL;

        environment_search_path(env, &search_path);
        for (p = search_path.path;; p = end + 1) {
                char *candidate;
                int error;

                end = strchrnul(p, ':');
                if (asprintf(&candidate, "%.*s%s%s", (int) (end - p), p, end > p ? "/" : "", argv[0]) < 0)
                        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOMEM, "cannot search for %s: %s",
                                QUOTED(argv[0]), strerror(ENOMEM));

                (void) execve(candidate, argv, env);
                error = errno;

                /* As in a shell, the search continues if a file is missing or may not be executed, but stops
                 * at a file that exists and fails. access() is called because ENOENT may also mean that the
                 * interpreter is missing. */
                if (error == EACCES && !refused)
                        refused = candidate;
                else if (error != EACCES && error != ENOTDIR &&
                         (error != ENOENT || access(candidate, F_OK) >= 0))
                        command_fail(gate_fd, user, argv[0], candidate, error);
                if (!*end)
                        break;
        }

        if (refused)
                command_fail(gate_fd, user, argv[0], refused, EACCES);
        gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOENT,
                "cannot execute %s: it is in no directory of " SEARCH_PATH_FORMAT "%s", QUOTED(argv[0]),
                SEARCH_PATH_ARGUMENTS(&search_path), command_hint(argv[0]));
}

void command_exec(int gate_fd, const char *user, char *const *argv, char *const *env) {
        if (!*argv[0])
                gate_fail(gate_fd, LAUNCH_STAGE_EXEC, -ENOENT, "cannot execute a command without a name");
        if (!strchr(argv[0], '/'))
                command_search(gate_fd, user, argv, env);

        (void) execve(argv[0], argv, env);
        command_fail(gate_fd, user, argv[0], argv[0], errno);
}
