/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages of sd_notify(3), which any process of a role may send. */

#include <string.h>

#include "fuzz.h"
#include "proto/notify-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* Of exactly this size, so that a sanitizer detects each read beyond its end. */
        char *message = malloc(size > 0 ? size : 1);
        const char *p = message;
        NotifyAssignment a;
        size_t n = 0;

        fuzz_check(message);
        if (size > 0)
                memcpy(message, data, size);
        while (notify_message_next(&p, message + size, &a)) {
                fuzz_check(p > message && p <= message + size);
                fuzz_check(a.kind > 0 && a.kind < _NOTIFY_KIND_MAX);
                fuzz_check(a.text >= message && a.text + a.text_size <= message + size);
                fuzz_check(!memchr(a.text, '\n', a.text_size) && !memchr(a.text, '\0', a.text_size));
                fuzz_check(a.kind != NOTIFY_ERRNO || (a.value > 0 && a.value < 4096));
                fuzz_check(a.kind != NOTIFY_MAINPID || (a.value > 0 && a.value <= INT32_MAX));
                n++;
        }
        /* The shortest one is ERRNO=1 and its newline. */
        fuzz_check(n <= size / 8 + 1);
        free(message);
        return 0;
}
