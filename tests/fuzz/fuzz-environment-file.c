/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A file of variables. What is read are assignments with valid names, in UTF-8, which fit into the text. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "keeper/exec/exec-environment-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct variables v = { 0 };
        char *text = malloc(size + 1);
        size_t all = 0;

        fuzz_check(text);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        int r = variables_parse(&v, text);
        fuzz_check(r == 0 || r == -EILSEQ);
        for (size_t i = 0; i < v.n; i++) {
                const char *equals = strchr(v.list[i], '=');

                fuzz_check(equals > v.list[i] && utf8_is_valid(v.list[i]));
                for (const char *p = v.list[i]; p < equals; p++)
                        fuzz_check(*p == '_' || (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                                   (*p >= 'a' && *p <= 'z'));
                all += strlen(v.list[i]);
        }
        fuzz_check(all <= strlen(text));
        fuzz_check(!v.n || !v.list[v.n]);
        variables_clear(&v);
        free(text);
        return 0;
}
