/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib/gstdio.h>

#include "keeper.h"
#include "testlib.h"

void keeper_crash_and_wait(Bus *bus) {
        pid_t keeper = keeper_pid(bus);

        keeper_crash(bus);
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
}

void keeper_and_node_crash(Bus *bus) {
        pid_t keeper = keeper_pid(bus);

        keeper_crash(bus);
        node_crash(bus);
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
}

static guint keeper_stored(Bus *bus) {
        g_autoptr(GVariant) n = unit_get(bus, bus_keeper_unit(bus), "Service", "NFileDescriptorStore");

        return g_variant_get_uint32(n);
}

void keeper_wait_stored(Bus *bus, guint n) {
        guint now;

        /* The number has other values in between. */
        WAIT_UNTIL((now = keeper_stored(bus)) == n || now > n + 1000);
        assert_int_equal(now, n);
}

guint64 keeper_stored_state(void) {
        g_autoptr(GDir) dir = g_dir_open("/proc/1/fd", 0, NULL);
        const char *name;
        guint64 inode = 0;
        GStatBuf st;

        assert_non_null(dir);
        while ((name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename("/proc/1/fd", name, NULL),
                                *target = g_file_read_link(path, NULL);

                if (!target || !g_str_has_prefix(target, "/memfd:keeper-state") || g_stat(path, &st) < 0)
                        continue;
                if (inode != 0)
                        return 0; /* a new one beside the old one */
                inode = st.st_ino;
        }
        return inode;
}

int keeper_reload(void) {
        return run(NULL, NULL, "systemctl", "reload", KEEPER_UNIT, NULL);
}

void expect_end(
        Bus *bus, const char *role, const char *code, int status, const char *poll, const char *cause) {
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);

        if (g_strv_contains(features, "pidfd-info")) {
                expect_exited(bus, role, code, status, cause);
                assert_poll(bus, role, poll);
        } else {
                expect_exited(bus, role, "lost", -1, cause);
                assert_poll(bus, role, "exit unknown");
        }
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
}
