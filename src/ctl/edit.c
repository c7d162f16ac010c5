/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "edit": a drop-in of a definition, or with --full the whole role file, in an editor. The file is
 * replaced only by one that the service would accept. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "ctl/role-files.h"
#include "ctl/verb.h"
#include "util/config-files.h"

#define DROP_IN "override.conf"

/* The words of systemctl edit, so that editors' macros and people find them again. */
#define UPPER_MARK \
        "### Anything between here and the comment below will become the contents of the drop-in file\n"
#define LOWER_MARK "### Edits below this comment will be discarded\n"

typedef struct Edit {
        Ctl *ctl;
        const char *name; /* "cam" or "guider@" */
        bool full;
        char *file;   /* what is edited, below the directory: "cam.role.d/override.conf" */
        char *path;   /* the same, as a path */
        char *draft;  /* the temporary file */
        char *before; /* what the draft has before it is edited */
} Edit;

static void edit_clear(Edit *edit) {
        g_free(edit->file);
        g_free(edit->path);
        g_free(edit->draft);
        g_free(edit->before);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Edit, edit_clear)

/* -- what there is -- */

static CtlExit edit_read(const char *path, char **ret) {
        int r = config_file_read(path, ret, NULL);

        if (r < 0) {
                ctl_error("cannot read %s: %s", path, g_strerror(-r));
                return CTL_EXIT_FAILED;
        }
        if (r == 0)
                *ret = g_strdup("");
        return CTL_EXIT_OK;
}

static void append_comment(GString *text, const char *path, const char *contents) {
        g_auto(GStrv) lines = g_strsplit(contents, "\n", -1);

        g_string_append_printf(text, "\n### %s\n", path);
        for (char **line = lines; *line; line++)
                if (**line || line[1])
                        g_string_append_printf(text, "# %s\n", *line);
}

/* The drop-in between the marks, and below them everything else that the definition has. */
static CtlExit edit_compose(Edit *edit, const Definition *definition) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *own = NULL;

        CtlExit e = edit_read(edit->path, &own);
        if (e != CTL_EXIT_OK)
                return e;
        g_string_append_printf(text, "### Editing %s\n" UPPER_MARK "\n%s\n\n" LOWER_MARK, edit->path, own);
        for (unsigned i = 0; i < definition->files->len; i++) {
                const char *path = g_ptr_array_index(definition->files, i);
                g_autofree char *contents = NULL;

                if (strcmp(path, edit->path) == 0)
                        continue;
                e = edit_read(path, &contents);
                if (e != CTL_EXIT_OK)
                        return e;
                append_comment(text, path, contents);
        }
        edit->before = g_string_free(g_steal_pointer(&text), FALSE);
        return CTL_EXIT_OK;
}

/* What becomes of the draft: all of it, or what is above the lower mark. */
static void edit_cut(const Edit *edit, char *text) {
        char *mark = edit->full ? NULL : strstr(text, LOWER_MARK);

        if (mark)
                *mark = '\0';
}

/* The contents of the file, without the marks and the empty lines around. */
static char *edit_contents(const Edit *edit, const char *text) {
        const char *mark = edit->full ? NULL : strstr(text, UPPER_MARK);
        g_autofree char *contents = g_strdup(mark ? mark + strlen(UPPER_MARK) : text);

        g_strchomp(contents);
        const char *first = contents + strspn(contents, "\n");
        return first[0] ? g_strconcat(first, "\n", NULL) : g_strdup("");
}

/* -- the editor -- */

static char **editor_of_environment(void) {
        static const char *const variables[] = { "SYSTEMD_EDITOR", "EDITOR", "VISUAL" };

        for (size_t i = 0; i < ELEMENTSOF(variables); i++) {
                const char *value = g_getenv(variables[i]);
                g_auto(GStrv) words = NULL;

                if (value && value[0] && g_shell_parse_argv(value, NULL, &words, NULL))
                        return g_steal_pointer(&words);
        }
        return NULL;
}

static char **editor_find(void) {
        static const char *const editors[] = { "editor", "nano", "vim", "vi" };
        char **words = editor_of_environment();

        for (size_t i = 0; !words && i < ELEMENTSOF(editors); i++) {
                g_autofree char *program = g_find_program_in_path(editors[i]);

                if (program)
                        words = g_strdupv((char *[]){ program, NULL });
        }
        return words;
}

static CtlExit editor_run(const char *path) {
        const GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN;
        g_auto(GStrv) editor = editor_find();
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;
        int status;

        if (!editor) {
                ctl_error("there is no editor; install one, or name it in $EDITOR");
                return CTL_EXIT_FAILED;
        }
        g_strv_builder_addv(builder, (const char **) editor);
        g_strv_builder_add(builder, path);
        argv = g_strv_builder_end(builder);
        if (!g_spawn_sync(NULL, argv, NULL, flags, NULL, NULL, NULL, NULL, &status, &error) ||
                !g_spawn_check_wait_status(status, &error)) {
                ctl_error("the editor %s has failed, nothing is changed: %s", argv[0], error->message);
                return CTL_EXIT_FAILED;
        }
        return CTL_EXIT_OK;
}

/* -- the draft -- */

/* Beside the file, under a name that is no drop-in. */
static CtlExit draft_write(Edit *edit) {
        g_autofree char *directory = g_path_get_dirname(edit->path), *base = g_path_get_basename(edit->path);

        edit->draft = g_strdup_printf("%s/.#%s-%d", directory, base, (int) getpid());
        return role_files_write(edit->ctl, edit->draft, edit->before);
}

static void draft_remove(const Edit *edit) {
        (void) role_files_remove(edit->ctl, edit->draft);
}

static CtlExit draft_check(const Edit *edit, const char *text) {
        g_autoptr(Definitions) definitions = NULL;
        g_autoptr(Staging) staging = NULL;

        CtlExit e = staging_new(edit->ctl, &staging);
        if (e == CTL_EXIT_OK)
                e = staging_add(staging, edit->file, text, strlen(text), edit->draft);
        if (e == CTL_EXIT_OK)
                e = staging_load(staging, &definitions);
        if (e == CTL_EXIT_OK && staging_report(staging, definitions) > 0)
                e = CTL_EXIT_FAILED;
        return e;
}

/* What somebody has written is never lost: *ret_keep says that the draft stays. */
static CtlExit draft_apply(Edit *edit, bool *ret_keep) {
        g_autofree char *text = NULL, *contents = NULL;

        *ret_keep = true;
        CtlExit e = edit_read(edit->draft, &text);
        if (e != CTL_EXIT_OK)
                return e;
        const bool same = strcmp(text, edit->before) == 0;
        edit_cut(edit, text);
        contents = edit_contents(edit, text);
        if (same || !contents[0]) {
                ctl_say(edit->ctl, "Nothing is changed: %s.", same ? "the text is the same" : "it is empty");
                *ret_keep = false;
                return CTL_EXIT_OK;
        }
        /* With the marks, so that the lines are those of the draft. */
        e = draft_check(edit, text);
        if (e != CTL_EXIT_OK) {
                ctl_error("%s is not changed, since the service would refuse it. What you wrote is in %s.",
                        edit->path, edit->draft);
                return e;
        }
        e = role_files_write(edit->ctl, edit->path, contents);
        if (e != CTL_EXIT_OK)
                return e;
        *ret_keep = false;
        ctl_say(edit->ctl, "Wrote %s.", edit->path);
        return role_files_reload(edit->ctl);
}

static CtlExit edit_run(Edit *edit) {
        bool keep = false;

        CtlExit e = draft_write(edit);
        if (e != CTL_EXIT_OK)
                return e;
        e = editor_run(edit->draft);
        if (e == CTL_EXIT_OK)
                e = draft_apply(edit, &keep);
        if (!keep)
                draft_remove(edit);
        return e;
}

static CtlExit edit_definition(Edit *edit, const Definition *definition) {
        g_autofree char *base = g_path_get_basename(definition->file),
                        *wanted = g_strconcat(edit->name, ROLE_FILE_SUFFIX, NULL);
        g_auto(GStrv) directories = role_files_directories(edit->ctl);

        if (edit->full && strcmp(base, wanted) != 0) {
                g_autofree char *template = g_strndup(base, strlen(base) - strlen(ROLE_FILE_SUFFIX));

                ctl_error("\"%s\" has no file of its own, it is defined by %s", edit->name, definition->file);
                ctl_say(edit->ctl, "Edit that with --full %s, or its drop-in without --full.", template);
                return CTL_EXIT_FAILED;
        }
        edit->file = edit->full ? g_steal_pointer(&wanted) : g_strconcat(wanted, ".d/" DROP_IN, NULL);
        edit->path = g_build_filename(directories[0], edit->file, NULL);
        CtlExit e = edit->full ? edit_read(definition->file, &edit->before) : edit_compose(edit, definition);
        return e == CTL_EXIT_OK ? edit_run(edit) : e;
}

CtlExit verb_edit(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_FULL = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "full", no_argument, NULL, ARG_FULL },
                { 0 },
        };
        g_autoptr(Definitions) definitions = NULL;
        g_auto(Edit) edit = { .ctl = ctl };
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                edit.full = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 1, 1);
        if (e == CTL_EXIT_OK)
                e = role_files_check_options(ctl, "edit");
        if (e == CTL_EXIT_OK)
                e = role_files_load(ctl, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        edit.name = argv[optind];
        const Definition *definition = role_files_find(definitions, edit.name);
        if (!definition)
                return role_files_report_unknown(ctl, definitions, edit.name);
        return edit_definition(&edit, definition);
}
