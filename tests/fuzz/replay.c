/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* In the place of a fuzzing engine: runs each file that is named once, each also cut short and with a byte changed. */

#include <string.h>

#include "fuzz.h"

static void run(const uint8_t *data, size_t size) {
        /* Of its own size, so that a sanitizer sees a read beyond its end. */
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

int main(int argc, char **argv) {
        if (argc < 2) {
                (void) fprintf(stderr, "Usage: %s FILE...\n", argv[0]);
                return EXIT_FAILURE;
        }
        for (int i = 1; i < argc; i++) {
                size_t size;
                uint8_t *data = read_file(argv[i], &size);

                run(data, size);
                for (size_t n = 0; n < size; n++) {
                        static const uint8_t bytes[] = { 0, '\n', '=', '\\', '9', 0xff };
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
        (void) printf("%d files\n", argc - 1);
        return EXIT_SUCCESS;
}
