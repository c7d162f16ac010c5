/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib/gstdio.h>

#include "keeper.h"
#include "keeper/keeper-state.h"
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

void keeper_and_node_upgrade(Bus *bus) {
        assert_int_equal(keeper_reload(), 0);
        node_restart(bus);
}

const Trouble troubles[N_TROUBLES] = {
        { "node", node_crash },
        { "keeper", keeper_crash_and_wait },
        { "both", keeper_and_node_crash },
        { "restart", node_restart },
        { "upgrade", keeper_and_node_upgrade },
};

/* The state of a keeper is a header and sections, see keeper-state.h. These have descriptors. */
enum { SECTION_CHILDREN = 2, SECTION_PORTS = 3, SECTION_TERMINALS = 5, SECTION_NOTIFY = 7 };

#define TAKE(type, items, i) (*(const type *) ((items) + (i) * sizeof(type)))

/* Returns how many descriptors this state says that systemd stores, itself included, or 0 if it is that of
 * another keeper. */
static guint state_count(const char *path, pid_t keeper) {
        g_autofree char *data = NULL;
        guint n = 1;
        gsize size;
        gint32 pid;

        if (!g_file_get_contents(path, &data, &size, NULL) || size < 36)
                return 0;
        memcpy(&pid, data + 32, sizeof(pid)); /* the first member of the first section */
        if (pid != keeper)
                return 0;
        for (const char *p = data + 16; p < data + size;) {
                guint32 tag = TAKE(guint32, p, 0), item_size = TAKE(guint32, p, 1);
                guint64 n_items = TAKE(guint64, p, 1);
                const char *items = p + 16;

                assert_true(tag != SECTION_CHILDREN || item_size == sizeof(struct keeper_state_child));
                assert_true(tag != SECTION_PORTS || item_size == sizeof(struct keeper_state_port));
                assert_true(tag != SECTION_TERMINALS || item_size == sizeof(struct keeper_state_terminal));
                assert_true(tag != SECTION_NOTIFY || item_size == sizeof(struct keeper_state_notify));
                if (tag == SECTION_NOTIFY)
                        n += 2 * (guint) n_items;
                for (guint64 i = 0; i < n_items; i++)
                        if (tag == SECTION_CHILDREN)
                                n += 1 + (TAKE(struct keeper_state_child, items, i).stdin_fd >= 0);
                        else if (tag == SECTION_PORTS)
                                n += TAKE(struct keeper_state_port, items, i).fd >= 0 &&
                                     TAKE(struct keeper_state_port, items, i).port.release == 0;
                        else if (tag == SECTION_TERMINALS) {
                                struct keeper_state_terminal t = TAKE(struct keeper_state_terminal, items, i);

                                if (t.child != 0 && !(t.flags & KEEPER_STATE_TERMINAL_OVER))
                                        n += 4 + (t.pidfd >= 0);
                        }
                p = items + n_items * item_size;
        }
        return n;
}

static guint keeper_stored_names(Bus *bus) {
        g_autoptr(GVariant) n = unit_get(bus, bus_keeper_unit(bus), "Service", "NFileDescriptorStore");

        return g_variant_get_uint32(n);
}

/* systemd stores a shelf with many descriptors as one, so what it stores is counted in the state, which is
 * stored after all that it names. */
static guint keeper_stored(Bus *bus) {
        pid_t keeper = keeper_pid(bus);
        g_autofree char *fds = g_strdup_printf("/proc/%d/fd", process_parent(keeper));
        g_autoptr(GDir) dir = g_dir_open(fds, 0, NULL);
        guint n = keeper_stored_names(bus);
        const char *name;

        if (n == 0)
                return 0;
        n = 0;
        assert_non_null(dir);
        while ((name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(fds, name, NULL),
                                *target = g_file_read_link(path, NULL);
                guint of_this = target && g_str_has_prefix(target, "/memfd:keeper-state")
                                        ? state_count(path, keeper)
                                        : 0;

                if (n > 0 && of_this > 0)
                        return G_MAXUINT / 2; /* a new one beside the old one */
                n += of_this;
        }
        return n;
}

void keeper_wait_stored(Bus *bus, guint n) {
        WAIT_UNTIL(keeper_stored(bus) == n);
}

void keeper_wait_shelved(Bus *bus) {
        WAIT_UNTIL(keeper_stored_names(bus) == 2);
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
