/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A role file. The part of the input before the first NUL is both cam.role and the template t@.role, and the
 * rest is the drop-in of both. */

#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unit-name.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "model/definitions.h"
#include "util/log.h"

static char directory[] = "/tmp/architect-fuzz-XXXXXX";

/* Below the directory. Directories come before what is in them. */
static const char *const names[] = { "main.roles.d", "main.roles.d/cam.role.d", "main.roles.d/t@.role.d",
        "main.roles.d/cam.role", "main.roles.d/cam.role.d/a.conf", "main.roles.d/t@.role",
        "main.roles.d/t@.role.d/a.conf" };
#define N_DIRECTORIES 3U

static char *path_of(size_t i) {
        return g_strconcat(directory, "/", names[i], NULL);
}

static void remove_directory(void) {
        for (size_t i = G_N_ELEMENTS(names); i > 0; i--) {
                g_autofree char *path = path_of(i - 1);
                (void) (i > N_DIRECTORIES ? unlink(path) : rmdir(path));
        }
        (void) rmdir(directory);
}

static void prepare(void) {
        static bool prepared;

        if (prepared)
                return;
        prepared = true;
        log_set_max_level(LOG_EMERG);
        (void) umask(022);
        fuzz_check(g_mkdtemp(directory) && atexit(remove_directory) == 0);
        for (size_t i = 0; i < N_DIRECTORIES; i++) {
                g_autofree char *path = path_of(i);
                fuzz_check(mkdir(path, 0755) == 0);
        }
}

static void write_file(size_t i, const char *data, size_t size) {
        g_autofree char *path = path_of(i);

        fuzz_check(g_file_set_contents_full(path, data, (gssize) size, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
}

/* All of it is sent over the bus. */
static void check_refused(const Definition *d) {
        fuzz_check(!d->spec && !d->autostart && d->error_file && utf8_is_valid(d->error));
        fuzz_check(g_str_has_suffix(d->error_file, ".role") || g_str_has_suffix(d->error_file, ".conf"));
        fuzz_check(d->error_line > 0);
}

static void check_valid(const Definition *d) {
        g_autoptr(RoleSpec) copy = role_spec_copy(d->spec);

        fuzz_check(role_name_is_valid(d->name) && d->spec->command && d->spec->definition_hash);
        fuzz_check(!d->description || utf8_is_valid(d->description));
        for (size_t i = 0; i < n_role_options; i++) {
                const char *file = definition_source(d, &role_options[i]);

                fuzz_check(!file || g_str_has_prefix(file, directory));
        }
        for (char **s = d->spec->command; *s; s++)
                fuzz_check(utf8_is_valid(*s));
        fuzz_check(role_spec_finish_terminal(copy, NULL) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data, *end = size > 0 ? memchr(data, '\0', size) : NULL;
        const char *const directories[] = { directory, NULL };
        const DefinitionsPlace place = { directories, "main", geteuid() };
        g_autoptr(Definitions) definitions = NULL;
        const size_t n = end ? (size_t) (end - text) : size;
        g_auto(Fault) fault = {};

        prepare();
        write_file(3, text, n);
        write_file(4, end ? end + 1 : "", end ? size - n - 1 : 0);
        write_file(5, text, n);
        write_file(6, end ? end + 1 : "", end ? size - n - 1 : 0);
        fuzz_check(definitions_load(&place, &definitions, &fault) >= 0);
        fuzz_check(definitions_find(definitions, "cam"));
        fuzz_check(definitions_count(definitions) >= 2);
        for (unsigned i = 0; i < definitions_count(definitions); i++) {
                const Definition *d = definitions_get(definitions, i);

                if (d->error)
                        check_refused(d);
                else
                        check_valid(d);
        }
        return 0;
}
