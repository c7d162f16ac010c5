/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every system case includes. A case is one process with one cmocka group; it runs as root in a machine (the
 * sandbox) whose PID 1 is systemd and whose architect-node.service it may start, stop and kill.
 *
 *   bus.h      one connection to the bus with everything that came over it, in order
 *   node.h     the verbs, the properties and the events of the node and its roles
 *   screen.h   a client of a role's terminal
 *   system.h   processes, cgroups, units, the journal, running commands
 *
 * No function here returns a failure: it fails the test, with what it saw. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <gio/gio.h>
#include <glib.h>

#include "bus.h"
#include "node.h"
#include "screen.h"
#include "system.h"

/* A case's main() is:
 *
 *         const struct CMUnitTest tests[] = { TEST(test_one), TEST(test_two) };
 *         return run_case("name", tests);
 *
 * Each test gets a fresh connection (a Bus) as its *state. Afterwards every role whose name begins with the name of the case
 * is killed and purged, whatever the test did. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, case_teardown)
#define run_case(name, tests) (case_begin(name), cmocka_run_group_tests_name((name), (tests), NULL, NULL))

void case_begin(const char *name);
int case_setup(void **state);
int case_teardown(void **state);

/* The name of a role of this case: "<case>.<suffix>". Lives as long as the process. */
const char *role_name(const char *suffix);
const char *role_name_n(const char *suffix, guint n);

/* A directory for this test, everybody may enter it, and paths in it. The directory goes with the test. */
const char *scratch(const char *name);

/* How long a wait for something that must happen lasts before the test fails: long, because a loaded machine is no bug. */
gint64 patience_usec(void);

/* For what the kernel or systemd announce to nobody: asks again and again, within the patience. Where there is an event, wait for
 * the event. */
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
