/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The real polkit decides about the actions of the node, by a rule that reads its answer from a file, so that
 * a test can change the answer and can hold it back. */

#define POLKIT_RULES "/etc/polkit-1/rules.d/"
#define POLKIT_ACTION "org.architect.node."

/* Installs the rule, which no longer permits anything then. The JavaScript of the case, which may be "", may
 * replace what the file says, the variable "said", by looking at "action" and "subject". */
void polkit_install(const char *script);

/* For the group and for each test of it. */
int polkit_group_setup(void **state); /* without a script */
int polkit_group_teardown(void **state);
int polkit_teardown(void **state);
#define POLKIT_TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, polkit_teardown)

/* "yes", "no", "auth" or "hold", which waits for a release(). Without an answer, "", the policy of the
 * package decides. */
void answer(const char *text);
/* Returns when polkit has asked the rule, whose answer this descriptor sends. */
int held(void);
/* Returns when the rule has read it. */
void release(int fd, const char *text);

/* Kills polkit, which the next question starts again. */
void polkit_kill(void);
