/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-directory.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/shutdown-state.h"
#include "util/log.h"

static int teardown(void **state) {
        static const char *const files[] = { SHUTDOWN_FILE, SHUTDOWN_FILE ".damaged", NULL };

        return directory_teardown(state, files);
}

static void test_none(void **state) {
        Directory *d = *state;
        g_auto(Shutdown) shutdown = {};

        shutdown_load(d->fd, &shutdown);
        assert_null(shutdown.reason);
        shutdown_forget(d->fd);
}

static void test_again(void **state) {
        static const char *const reasons[] = { "", "the roof is open", "a = \"b\"\n-c\\",
                "\xc3\x84\t\xe2\x98\x82" };
        Directory *d = *state;
        char unit[] = "sshd.service";
        const Caller caller = { .known = true, .uid = 4294967294U, .pid = 7, .unit = unit };

        for (size_t i = 0; i < ELEMENTSOF(reasons); i++) {
                g_auto(Shutdown) shutdown = {}, forgotten = {};

                assert_return_code(shutdown_save(d->fd, reasons[i], i == 0 ? NULL : &caller), 0);
                shutdown_load(d->fd, &shutdown);
                assert_string_equal(shutdown.reason, reasons[i]);
                assert_int_equal(shutdown.caller.known, i > 0);
                if (i > 0) {
                        assert_int_equal(shutdown.caller.uid, caller.uid);
                        assert_int_equal(shutdown.caller.pid, 7);
                        assert_string_equal(shutdown.caller.unit, unit);
                }
                shutdown_forget(d->fd);
                shutdown_load(d->fd, &forgotten);
                assert_null(forgotten.reason);
        }
}

static void write_text(Directory *d, const char *text) {
        assert_return_code(file_replace(d->fd, SHUTDOWN_FILE, text, strlen(text)), 0);
}

/* A damaged file still means that a shutdown was under way. It continues, without a reason. */
static void test_damaged(void **state) {
        static const char *const bad[] = { "", "REASON=x\n", "VERSION=1\n", "VERSION=x\nREASON=x\n",
                "VERSION=1\nREASON\n", "VERSION=1\nREASON=\\377\n", "VERSION=1\nREASON=x\nCALLER_UID=-1\n" };
        Directory *d = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Shutdown) shutdown = {};

                write_text(d, bad[i]);
                shutdown_load(d->fd, &shutdown);
                assert_string_equal(shutdown.reason, "");
                assert_false(shutdown.caller.known);
                assert_return_code(faccessat(d->fd, SHUTDOWN_FILE ".damaged", F_OK, 0), errno);
                assert_int_equal(faccessat(d->fd, SHUTDOWN_FILE, F_OK, 0), -1);
        }
}

/* A file of a newer version. */
static void test_unknown_fields(void **state) {
        Directory *d = *state;
        g_auto(Shutdown) shutdown = {};

        write_text(d, "# who knows\nVERSION=2\nCOLOUR=red\nREASON=x\n");
        shutdown_load(d->fd, &shutdown);
        assert_string_equal(shutdown.reason, "x");
}

/* Version 0.1.0 wrote the unit without escapes. */
static void test_of_1(void **state) {
        Directory *d = *state;
        g_auto(Shutdown) shutdown = {};

        write_text(d, "# This is private data of architect-node. Do not parse.\nVERSION=1\nREASON=a\\nb\n"
                      "CALLER_UID=3\nCALLER_PID=7\nCALLER_UNIT=a\\x2db.service\n");
        shutdown_load(d->fd, &shutdown);
        assert_string_equal(shutdown.reason, "a\nb");
        assert_int_equal(shutdown.caller.uid, 3);
        assert_int_equal(shutdown.caller.pid, 7);
        assert_string_equal(shutdown.caller.unit, "a\\x2db.service");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_none, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_again, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown_fields, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_of_1, directory_setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
