/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "unit-test.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A failing test runs in a process of its own: this program, with the name of the failure as its argument. */

static const char *program;

typedef struct Run {
        char out[4096], err[4096];
        int status;
} Run;

static void read_all(int fd, char *buffer, size_t size) {
        ssize_t n;
        size_t have = 0;

        while ((n = read(fd, buffer + have, size - 1 - have)) > 0)
                have += (size_t) n;
        buffer[have] = '\0';
        (void) close(fd);
}

static void run(const char *what, const char *format, Run *ret) {
        int out[2], err[2];
        pid_t pid;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(err, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                if (dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0 ||
                        setenv("CMOCKA_MESSAGE_OUTPUT", format, 1) < 0 || unsetenv("CMOCKA_TEST_ABORT") < 0 ||
                        unsetenv("NOT_SET") < 0)
                        _exit(126);
                (void) execl(program, program, what, NULL);
                _exit(127);
        }
        (void) close(out[1]);
        (void) close(err[1]);
        /* The output is smaller than a pipe. */
        read_all(out[0], ret->out, sizeof(ret->out));
        read_all(err[0], ret->err, sizeof(ret->err));
        assert_int_equal(waitpid(pid, &ret->status, 0), pid);
}

static void fails(void **state) {
        assert_string_equal("this", "that");
}

static void fails_in_child(void **state) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
                assert_string_equal("here", "there");
        assert_int_equal(waitpid(pid, &status, 0), pid);
        (void) printf("# status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void second(void **state) {
        (void) printf("# second\n");
}

static int run_failing(const char *what) {
        const struct CMUnitTest failing[] = { cmocka_unit_test(fails), cmocka_unit_test(second) };
        const struct CMUnitTest forking[] = { cmocka_unit_test(fails_in_child), cmocka_unit_test(second) };

        if (strcmp(what, "fail") == 0)
                return cmocka_run_group_tests(failing, NULL, NULL);
        if (strcmp(what, "fail-in-child") == 0)
                return cmocka_run_group_tests(forking, NULL, NULL);
        (void) required_environment("NOT_SET");
        return 0;
}

static size_t count(const char *text, const char *what) {
        size_t n = 0;

        for (const char *p = text; (p = strstr(p, what)); p++)
                n++;
        return n;
}

static void test_child_fails(void **state) {
        static const char *const formats[] = { "TAP", "STDOUT" };

        for (size_t i = 0; i < 2; i++) {
                Run r;

                run("fail-in-child", formats[i], &r);
                /* Without meson cmocka 2 writes it to stdout. */
                const char *text = i > 0 && strstr(r.out, " != ") ? r.out : r.err;
                assert_non_null(strstr(text, "\"here\" != \"there\""));
                assert_non_null(strstr(text, "test-unit-test.c:"));
                assert_non_null(strstr(r.out, "# status 99\n"));
                assert_int_equal(count(r.out, "# second\n"), 1);
                assert_int_equal(r.status, 0);
        }
}

static void test_text_is_seen(void **state) {
        Run r;

        run("fail", "TAP", &r);
        assert_true(WIFEXITED(r.status));
        assert_int_equal(WEXITSTATUS(r.status), 1);

        /* The results on stdout for meson are unchanged, as this version of cmocka writes them. */
        assert_non_null(strstr(r.out, "1..2\n"));
        assert_non_null(strstr(r.out, "not ok 1 - fails\n"));
        assert_non_null(strstr(r.out, "\"this\" != \"that\"\n"));
        assert_non_null(strstr(r.out, "\nok 2 - second\n"));
        /* The failure is on stderr, too. */
        assert_non_null(strstr(r.err, "not ok 1 - fails\n"));
        assert_non_null(strstr(r.err, "\"this\" != \"that\"\n"));
        assert_null(strstr(r.err, "1..2"));
        assert_null(strstr(r.err, "ok 2"));
}

static void test_environment_is_needed(void **state) {
        Run r;

        run("environment", "TAP", &r);
        assert_true(WIFEXITED(r.status));
        assert_int_equal(WEXITSTATUS(r.status), EXIT_FAILURE);
        assert_string_equal(r.out, "");
        assert_non_null(strstr(r.err, "test-unit-test: $NOT_SET is not set"));
        assert_non_null(strstr(r.err, "meson test -C BUILD-DIRECTORY test-unit-test"));
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_child_fails),
                cmocka_unit_test(test_text_is_seen),
                cmocka_unit_test(test_environment_is_needed),
        };

        program = argv[0];
        return argc > 1 ? run_failing(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
