/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * What depends on the version of systemd: it finds no error in the units, rates their confinement well, and
 * gets the kind of reload and the kind of scope that it supports. */

#include <signal.h>
#include <sys/wait.h>

#include "testlib.h"

static guint systemd_version(Bus *bus) {
        g_autoptr(GVariant) value = bus_get(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Version");

        return (guint) g_ascii_strtoull(g_variant_get_string(value, NULL), NULL, 10);
}

static void test_verify(void **state) {
        static const char *const units[] = { "architect-node.service", "architect-node@.service",
                "architect-keeper.service", "architect-keeper.socket", "architect-keeper@.service",
                "architect-keeper@.socket", "architect.slice" };

        for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
                g_autofree char *out = NULL, *err = NULL;
                int r = run(&out, &err, "systemd-analyze", "verify", "--man=no", units[i], NULL);

                if (r != 0 || *out || *err)
                        fail_msg("%s: exit status %d: %s%s", units[i], r, out, err);
        }
}

/* In tenths; 100 is no confinement at all. */
static void test_exposure(void **state) {
        /* For the sanitizers the test stage has relaxed the confinement. */
        if (process_is_sanitized(node_pid(*state)))
                return;
        g_free(run_ok("systemd-analyze", "security", "--no-pager", "--threshold=5", NODE_UNIT, NULL));
        g_free(run_ok("systemd-analyze", "security", "--no-pager", "--threshold=5",
                "architect-node@other.service", NULL));
        /* The check itself works. */
        assert_int_not_equal(run(NULL, NULL, "systemd-analyze", "security", "--no-pager", "--threshold=5",
                                     KEEPER_UNIT, NULL),
                0);
}

static void test_reload(void **state) {
        Bus *bus = *state;
        g_autofree char *type = unit_get_string(bus, NODE_UNIT, "Service", "Type");

        assert_string_equal(type, systemd_version(bus) >= 253 ? "notify-reload" : "notify");
        systemctl("reload", NODE_UNIT);
}

static bool masked(Bus *bus, const char *feature) {
        g_autofree char *path = g_strdup_printf("/proc/%d/environ", node_pid(bus)), *text = NULL;
        gsize size;

        assert_true(g_file_get_contents(path, &text, &size, NULL));
        for (const char *p = text; p < text + size; p += strlen(p) + 1)
                if (g_str_has_prefix(p, "ARCHITECT_FEATURES_OFF=") && strstr(p, feature))
                        return true;
        return false;
}

/* If systemd supports it, a scope gets its first process by a pidfd, otherwise by its PID. Features contains
 * which of the two, and it is correct. */
static void test_pidfds(void **state) {
        Bus *bus = *state;
        const char *path = scratch("monitor"), *role = role_name("a");
        bool pidfds = systemd_version(bus) >= 255 && !masked(bus, "pidfds");
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);
        g_autofree char *scope = role_scope(role);

        assert_int_equal(g_strv_contains(features, "pidfds"), pidfds);

        g_autofree char *line = g_strdup_printf("exec busctl monitor %s >'%s' 2>&1", SYSTEMD_NAME, path);
        pid_t monitor = spawn("sh", "-c", line, NULL);
        g_autofree char *text = NULL;
        WAIT_UNTIL((g_free(text), (text = read_file(path)) && strstr(text, "Monitoring")));
        start(bus, role, NULL, actor(), "pause", NULL);

        char *call = NULL, *end = NULL;
        WAIT_UNTIL((g_free(text), (text = read_file(path)) &&
                                          (call = strstr(text, "Member=StartTransientUnit")) &&
                                          (end = strstr(call, "\n\n"))));
        *end = 0;
        assert_contains(call, scope);
        assert_int_equal(strstr(call, "\"PIDFDs\"") != NULL, pidfds);
        assert_int_equal(strstr(call, "\"PIDs\"") != NULL, !pidfds);

        assert_int_equal(kill(monitor, SIGTERM), 0);
        assert_int_equal(waitpid(monitor, NULL, 0), monitor);
        stop(bus, role);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_verify),
                TEST(test_exposure),
                TEST(test_reload),
                TEST(test_pidfds),
        };
        return run_case("units", tests);
}
