/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each value of an enum with a table has a name, the name is parsed back to the value, no name is used twice,
 * and values outside the table are refused. */

#include "unit-test.h"

#include "base/exit-status.h"
#include "base/feature.h"
#include "base/rlimit-util.h"
#include "proto/launch-request.h"

#define TEST_TABLE(name, type, max) \
        static void test_##name(void **state) { \
                for (int i = 0; i < (int) (max); i++) { \
                        const char *s = name##_to_string((type) i); \
                        assert_non_null(s); \
                        assert_string_not_equal(s, ""); \
                        assert_int_equal(name##_from_string(s), i); \
                } \
                assert_null(name##_to_string((type) (max))); \
                assert_null(name##_to_string((type) -1)); \
                assert_null(name##_to_string((type) -EINVAL)); \
                assert_int_equal(name##_from_string("no such name"), -EINVAL); \
                assert_int_equal(name##_from_string(""), -EINVAL); \
                assert_int_equal(name##_from_string(NULL), -EINVAL); \
        } \
        struct name##_test_semicolon

TEST_TABLE(exit_code, ExitCode, _EXIT_CODE_MAX);
TEST_TABLE(feature, Feature, _FEATURE_MAX);
TEST_TABLE(rlimit, int, RLIMIT_COUNT);
TEST_TABLE(launch_output, LaunchOutput, _LAUNCH_OUTPUT_MAX);
TEST_TABLE(launch_stage, LaunchStage, _LAUNCH_STAGE_MAX);

/* These names are part of the bus interface, of the words of systemd, or of the documentation. */
static void test_fixed_names(void **state) {
        assert_string_equal(exit_code_to_string(EXIT_CODE_EXITED), "exited");
        assert_string_equal(exit_code_to_string(EXIT_CODE_KILLED), "killed");
        assert_string_equal(exit_code_to_string(EXIT_CODE_DUMPED), "dumped");
        assert_string_equal(exit_code_to_string(EXIT_CODE_LOST), "lost");
        assert_int_equal(rlimit_from_string("nofile"), RLIMIT_NOFILE);
        assert_int_equal(rlimit_from_string("core"), RLIMIT_CORE);
        assert_int_equal(rlimit_from_string("memlock"), RLIMIT_MEMLOCK);
        assert_int_equal(rlimit_from_string("as"), RLIMIT_AS);
        assert_int_equal(launch_output_from_string("append"), LAUNCH_OUTPUT_APPEND);
        assert_int_equal(launch_stage_from_string("exec"), LAUNCH_STAGE_EXEC);
}

static void test_feature_mask(void **state) {
        assert_int_equal(unsetenv("ARCHITECT_FEATURES_OFF"), 0);
        assert_false(feature_masked(FEATURE_PIDFDS));

        assert_int_equal(setenv("ARCHITECT_FEATURES_OFF", "pidfds,cgroup-kill", 1), 0);
        assert_true(feature_masked(FEATURE_PIDFDS));
        assert_false(feature_masked(FEATURE_PIDFD_INFO));
        assert_true(feature_masked(FEATURE_CGROUP_KILL));

        /* Only whole names match, so "pidfd-info" does not mask "pidfds", nor the reverse. */
        assert_int_equal(setenv("ARCHITECT_FEATURES_OFF", "pidfd-info2,,pidfd", 1), 0);
        assert_false(feature_masked(FEATURE_PIDFDS));
        assert_false(feature_masked(FEATURE_PIDFD_INFO));

        assert_int_equal(setenv("ARCHITECT_FEATURES_OFF", "pidfd-info", 1), 0);
        assert_true(feature_masked(FEATURE_PIDFD_INFO));
        assert_int_equal(unsetenv("ARCHITECT_FEATURES_OFF"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exit_code),
                cmocka_unit_test(test_feature),
                cmocka_unit_test(test_rlimit),
                cmocka_unit_test(test_launch_output),
                cmocka_unit_test(test_launch_stage),
                cmocka_unit_test(test_fixed_names),
                cmocka_unit_test(test_feature_mask),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
