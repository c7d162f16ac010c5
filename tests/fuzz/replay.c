/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replaces a fuzzing engine. Runs each file that is named or is in a directory that is named, also cut short
 * and with a changed byte. */

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static void run(const uint8_t *data, size_t size) {
        /* The copy has exactly this size, so that a sanitizer detects each read beyond it. */
        uint8_t *copy = malloc(size > 0 ? size : 1);

        fuzz_check(copy);
        memcpy(copy, data, size);
        (void) LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

static uint8_t *read_file(const char *path, size_t *ret_size) {
        FILE *f = fopen(path, "re");
        uint8_t *data = NULL;
        size_t size = 0, n;

        if (!f) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        do {
                data = realloc(data, size + 4096);
                fuzz_check(data);
                n = fread(data + size, 1, 4096, f);
                size += n;
        } while (n > 0);
        fuzz_check(!ferror(f));
        (void) fclose(f);
        *ret_size = size;
        return data;
}

static void replay_file(const char *path) {
        static const uint8_t bytes[] = { 0, '\n', '=', '\\', '9', 0xff };
        size_t size;
        uint8_t *data = read_file(path, &size);

        run(data, size);
        for (size_t n = 0; n < size; n++) {
                uint8_t old = data[n];

                run(data, n);
                for (size_t b = 0; b < sizeof(bytes); b++) {
                        data[n] = bytes[b];
                        run(data, size);
                }
                data[n] = old;
        }
        free(data);
}

/* Returns the number of files. */
static unsigned replay(const char *path) {
        struct dirent **entries;
        unsigned n_files = 0;
        struct stat st;
        int n;

        if (stat(path, &st) < 0) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        if (!S_ISDIR(st.st_mode)) {
                replay_file(path);
                return 1;
        }

        n = scandir(path, &entries, NULL, alphasort);
        fuzz_check(n >= 0);
        for (int i = 0; i < n; i++) {
                char *file;

                fuzz_check(asprintf(&file, "%s/%s", path, entries[i]->d_name) > 0);
                if (entries[i]->d_name[0] != '.')
                        n_files += replay(file);
                free(file);
                free(entries[i]);
        }
        free(entries);
        if (n_files == 0) {
                (void) fprintf(stderr, "%s: there is no file in it\n", path);
                exit(EXIT_FAILURE);
        }
        return n_files;
}

int main(int argc, char **argv) {
        unsigned n_files = 0;

        if (argc < 2) {
                (void) fprintf(stderr, "Usage: %s FILE|DIRECTORY...\n", argv[0]);
                return EXIT_FAILURE;
        }
        for (int i = 1; i < argc; i++)
                n_files += replay(argv[i]);
        (void) printf("%u files\n", n_files);
        return EXIT_SUCCESS;
}
