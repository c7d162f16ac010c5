/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/utf8.h"
#include "keeper/exec/exec-environment-file.h"
#include "keeper/exec/exec-report.h"

/* The analyzer of GCC 12 loses a string that is stored in a list. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define FILE_SIZE_MAX (1024U * 1024U)

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DIGITS "0123456789"
#define LINE_ENDS "\n\r"
#define WHITE_SPACE " \t\n\r"
#define COMMENT_SIGNS "#;"
#define SPECIAL_IN_QUOTES "\"\\`$"

/* strchr() finds the NUL, too. */
static bool char_is_in(char c, const char *set) {
        return c && strchr(set, c);
}

void variables_clear(struct variables *v) {
        for (size_t i = 0; i < v->n; i++)
                free(v->list[i]);
        free(v->list);
        free(v->ignored);
        *v = (struct variables){ 0 };
}

static bool name_is_valid(const char *name) {
        return char_is_in(name[0], LETTERS) && !name[strspn(name, LETTERS DIGITS)];
}

/* Takes the assignment, whose name has this size. */
static int variables_add(struct variables *v, char *assignment, size_t name_size) {
        char **larger;

        assignment[name_size] = '\0';
        if (!name_is_valid(assignment)) {
                if (v->ignored)
                        free(assignment);
                else
                        v->ignored = assignment;
                return 0;
        }
        assignment[name_size] = '=';
        if (v->n + 1 >= v->room) {
                v->room = v->room > 0 ? 2 * v->room : 16;
                larger = realloc(v->list, v->room * sizeof(*larger));
                if (!larger) {
                        free(assignment);
                        return -ENOMEM;
                }
                v->list = larger;
        }
        v->list[v->n++] = assignment;
        v->list[v->n] = NULL;
        return 0;
}

/* What stands between quotes, from the first one on. Returns the rest of the text behind the last one. */
static const char *value_read_quoted(const char *p, char **to) {
        const char quote = *p++;

        for (; *p && *p != quote; p++) {
                if (quote == '"' && *p == '\\' && p[1]) {
                        p++;
                        if (*p == '\n')
                                continue;
                        if (!char_is_in(*p, SPECIAL_IN_QUOTES))
                                *(*to)++ = '\\';
                }
                *(*to)++ = *p;
        }
        return p + (*p != '\0');
}

/* A value goes on until the end of a line that is neither quoted nor escaped. Quotes have a meaning at its
 * beginning and behind other quotes only. Stores it with a NUL and returns the rest of the text. */
static const char *value_read(const char *p, char *to) {
        char *end = to; /* white space after it does not count, unless it is quoted or escaped */
        bool plain = false;

        while (*p && !char_is_in(*p, LINE_ENDS)) {
                const bool space = char_is_in(*p, WHITE_SPACE);

                if (!plain && space) {
                        p++;
                        continue;
                }
                if (!plain && (*p == '\'' || *p == '"'))
                        p = value_read_quoted(p, &to);
                else {
                        const bool escape = *p == '\\';

                        plain = true;
                        p += escape;
                        if (*p && !(escape && char_is_in(*p, LINE_ENDS)))
                                *to++ = *p;
                        p += *p != '\0';
                        if (space && !escape)
                                continue;
                }
                end = to;
        }
        *end = '\0';
        return p;
}

/* One that has a '='. The buffer has room for the rest of the text. */
static int variables_read(struct variables *v, const char **p, char *buffer) {
        size_t size = strcspn(*p, "=");

        memcpy(buffer, *p, size);
        *p += size + 1;
        while (size > 0 && char_is_in(buffer[size - 1], WHITE_SPACE))
                size--;
        buffer[size] = '=';
        *p = value_read(*p, buffer + size + 1);
        if (!utf8_is_valid(buffer))
                return -EILSEQ;
        char *assignment = strdup(buffer);
        return assignment ? variables_add(v, assignment, size) : -ENOMEM;
}

int variables_parse(struct variables *v, const char *text) {
        _cleanup_free_ char *buffer = malloc(strlen(text) + 1);
        const char *p = text;
        int r = 0;

        if (!buffer)
                return -ENOMEM;
        while (r >= 0 && *(p += strspn(p, WHITE_SPACE)))
                if (char_is_in(*p, COMMENT_SIGNS) || p[strcspn(p, "=" LINE_ENDS)] != '=')
                        p += strcspn(p, LINE_ENDS);
                else
                        r = variables_read(v, &p, buffer);
        return r;
}

/* -- of a role -- */

static int variables_read_file(struct variables *v, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size;

        int r = file_read(AT_FDCWD, path, FILE_SIZE_MAX, &text, &size);
        if (r < 0)
                return r;
        return strlen(text) == size ? variables_parse(v, text) : -EILSEQ;
}

static const char *file_strerror(int error) {
        switch (error) {
        case -EBADFD:
                return "it is not a regular file";
        case -EILSEQ:
                return "it has bytes that are not UTF-8";
        default:
                return strerror(-error);
        }
}

static void environment_read_file(int gate_fd, struct variables *v, const char *path) {
        int r = variables_read_file(v, path);

        if (r < 0)
                gate_fail(gate_fd, LAUNCH_STAGE_ENVIRONMENT, r, "cannot read the environment file %s: %s",
                        QUOTED(path), file_strerror(r));
        if (!v->ignored)
                return;
        gate_warn(gate_fd, LAUNCH_STAGE_ENVIRONMENT, 0,
                "the environment file %s has %s, which is no name of a variable, ignoring it", QUOTED(path),
                QUOTED(v->ignored));
        free(v->ignored);
        v->ignored = NULL;
}

static void environment_read_pattern(int gate_fd, struct variables *v, const char *pattern) {
        const bool may_be_missing = pattern[0] == '-';
        glob_t found = { 0 };

        pattern += may_be_missing;
        int r = glob(pattern, 0, NULL, &found);
        if (r == GLOB_NOMATCH && !may_be_missing)
                gate_fail(gate_fd, LAUNCH_STAGE_ENVIRONMENT, -ENOENT,
                        "cannot read the environment file %s: %s", QUOTED(pattern), strerror(ENOENT));
        if (r != 0 && r != GLOB_NOMATCH)
                gate_fail(gate_fd, LAUNCH_STAGE_ENVIRONMENT, r == GLOB_NOSPACE ? -ENOMEM : -EIO,
                        "cannot find the environment files %s", QUOTED(pattern));
        for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                environment_read_file(gate_fd, v, found.gl_pathv[i]);
        globfree(&found);
}

void environment_read_files(int gate_fd, LaunchRequest *q) {
        struct variables v = { 0 };
        size_t n = 0;

        if (!q->environment_files)
                return;
        /* The files are read as root, who has checked this for his own roles only. */
        if (q->account)
                gate_fail(gate_fd, LAUNCH_STAGE_ENVIRONMENT, -EPERM,
                        "option environment-file: only root may use it");
        for (char **path = q->environment_files; *path; path++)
                environment_read_pattern(gate_fd, &v, *path);

        while (q->environment && q->environment[n])
                n++;
        /* Neither is freed, because the exec takes them or the process ends. */
        char **all = calloc(n + v.n + 1, sizeof(*all));
        if (!all)
                gate_fail(gate_fd, LAUNCH_STAGE_ENVIRONMENT, -ENOMEM, "%s", strerror(ENOMEM));
        for (size_t i = 0; i < n; i++)
                all[i] = q->environment[i];
        for (size_t i = 0; i < v.n; i++)
                all[n + i] = v.list[i];
        free(v.list);
        free(q->environment);
        q->environment = all;
}
