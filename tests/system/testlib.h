/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every system case includes this header. A case is one process with one cmocka group. It runs as root in a
 * machine (the sandbox) whose PID 1 is systemd and whose architect-node.service it may start, stop and kill.
 *
 *   bus.h      a connection to the bus with all messages in their order
 *   node.h     the verbs, the properties and the events of the node and its roles
 *   screen.h   a client of the terminal of a role
 *   system.h   processes, cgroups, units, the journal, commands
 *
 * No function returns a failure. It fails the test instead, and prints what it has found. */

#include "../unit/unit-test.h"

#include <signal.h>
#include <sys/types.h>
#include <gio/gio.h>
#include <glib.h>

#include "bus.h"
#include "node.h"
#include "screen.h"
#include "system.h"

/* main() of a case is
 *
 *         const struct CMUnitTest tests[] = { TEST(test_one), TEST(test_two) };
 *         return run_case("name", tests);
 *
 * Each test gets a new connection (a Bus) as its *state. Afterwards every role whose name begins with the
 * name of the case is killed and purged, whatever the test did. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, case_teardown)
#define run_case(name, tests) (case_begin(name), cmocka_run_group_tests_name((name), (tests), NULL, NULL))

/* The same, without a role file before and after it; what was defined is forgotten with the next Reload. */
#define DEFINED_TEST(function) cmocka_unit_test_setup_teardown(function, defined_setup, defined_teardown)
int defined_setup(void **state);
int defined_teardown(void **state);

void case_begin(const char *name);
int case_setup(void **state);
int case_teardown(void **state);

/* Returns the name of a role of this case, "<case>.<suffix>". Valid as long as the process. */
const char *role_name(const char *suffix);
const char *role_name_n(const char *suffix, guint n);

/* Returns paths in a directory for this test, which every user may enter. It is removed after the test. */
const char *scratch(const char *name);

/* The time that a test waits for something that must happen before it fails. It is long, because a loaded
 * machine is not an error. */
gint64 patience_usec(void);

/* For changes that the kernel or systemd do not report. Checks the condition repeatedly, up to the patience.
 * If there is an event, wait for the event. */
#define WAIT_UNTIL(condition) \
        G_STMT_START { \
                gint64 _end = g_get_monotonic_time() + patience_usec(); \
                while (!(condition)) { \
                        if (g_get_monotonic_time() > _end) \
                                fail_msg("in vain: %s", #condition); \
                        g_usleep(500); \
                } \
        } \
        G_STMT_END

void assert_contains(const char *text, const char *part);
void assert_contains_not(const char *text, const char *part);
