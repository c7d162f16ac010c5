/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "unit-test.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* A failing assertion of cmocka jumps to the loop that runs the tests. In a forked child this loop would run
 * the rest of the list once more, and fork again. With this variable set to 1 cmocka writes the text to
 * stderr and aborts instead. It is changed in place, because another thread may have held the lock of
 * setenv() when the child was forked. */
static char abort_variable[] = "CMOCKA_TEST_ABORT=0";

static void on_abort(int signo) {
        (void) !write(STDERR_FILENO, "\n", 1);
        _exit(TEST_CHILD_FAILED);
}

static void on_fork(void) {
        abort_variable[sizeof(abort_variable) - 2] = '1';
        (void) signal(SIGABRT, on_abort);
}

/* meson reads the results from standard output, and shows only stderr of a test that failed. */
static ssize_t write_results(void *cookie, const char *data, size_t size) {
        static const char *const not_shown[] = { "ok ", "1..", "# ok " };
        static bool shown;
        static bool line_begins = true;

        for (size_t done = 0; done < size;) {
                const char *line = data + done, *end = memchr(line, '\n', size - done);
                size_t n = end ? (size_t) (end - line) + 1 : size - done;

                if (line_begins) {
                        shown = true;
                        for (size_t i = 0; i < sizeof(not_shown) / sizeof(not_shown[0]); i++)
                                if (n >= strlen(not_shown[i]) &&
                                        memcmp(line, not_shown[i], strlen(not_shown[i])) == 0)
                                        shown = false;
                }
                if (shown)
                        (void) !write(STDERR_FILENO, line, n);
                line_begins = end;
                done += n;
        }
        return write(STDOUT_FILENO, data, size);
}

static void __attribute__((constructor)) prepare(void) {
        const char *value = getenv("CMOCKA_TEST_ABORT"), *format = getenv("CMOCKA_MESSAGE_OUTPUT");
        FILE *f;

        if (value && value[0])
                abort_variable[sizeof(abort_variable) - 2] = value[0];
        if (putenv(abort_variable) != 0 || pthread_atfork(NULL, NULL, on_fork) != 0)
                abort();

        if (!format || strcmp(format, "TAP") != 0)
                return;
        f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = write_results });
        if (!f)
                abort();
        (void) setvbuf(f, NULL, _IOLBF, 0);
        stdout = f;
}

const char *assert_stamped(const char *line, const char *text) {
        struct tm tm = { 0 };
        unsigned usec;
        int n = 0;
        const char *end = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);

        if (!end || sscanf(end, ".%6uZ%n", &usec, &n) != 1 || n != (int) strlen(".123456Z") ||
                end[n++] != ' ' || strncmp(end + n, text, strlen(text)) != 0)
                fail_msg("'%s' is not \"%s\" after a time", line, text);
        assert_between(time(NULL) - timegm(&tm), 0, 600);
        return end + n + strlen(text);
}

const char *required_environment(const char *variable) {
        const char *value = getenv(variable);

        if (value && value[0])
                return value;
        (void) fprintf(stderr,
                "%s: $%s is not set, so nothing is tested. meson sets it: run \"meson test -C BUILD-DIRECTORY %s\".\n",
                program_invocation_short_name, variable, program_invocation_short_name);
        exit(EXIT_FAILURE);
}
