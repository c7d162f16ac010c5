/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Root has no inotify instance left. The service starts, names the sysctl, and knows when a cgroup is empty
 * all the same; when there are instances again, it uses one. (The limit counts for each user of the whole
 * machine, also over containers, so the node runs in a user namespace that has a limit of its own.) */

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define PROGRAM "/usr/libexec/architect-node/architect-node"

/* The limit can be written by a process of the namespace only, in a /proc that is not read-only. */
static void set_limit(pid_t pid, const char *limit) {
        g_autofree char *of = g_strdup_printf("%d", (int) pid);

        g_free(run_ok("nsenter", "--user", "--mount", "--preserve-credentials", "--target", of, "sh", "-c",
                "echo \"$0\" >/proc/sys/user/max_inotify_instances", limit, NULL));
}

static guint count_inotify(pid_t pid) {
        guint n = 0;

        for (int fd = 0; fd < 256; fd++) {
                g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int) pid, fd);
                g_autofree char *target = g_file_read_link(path, NULL);

                n += g_strcmp0(target, "anon_inode:inotify") == 0;
        }
        return n;
}

/* Its main process ends, and leaves one that must be seen to end. */
static void leaves_one(Bus *bus, const char *role) {
        g_autoptr(Fifo) fifo = fifo_new(role);

        start(bus, role, NULL, actor(), "daemon{", "ignore", "TERM", "say", fifo_path(fifo), "left", "pause",
                "}", "pause", NULL);
        pid_t left = fifo_expect_pid(fifo, "left");
        int pidfd = process_open(left);
        send_signal(bus, role, "main", SIGKILL);
        expect_exited(bus, role, "killed", SIGKILL, "kill");
        guint32 serial = node_send(bus, "Stop", g_variant_new("(s)", role));
        node_sync(bus);
        assert_false(bus_has_reply(bus, serial));
        assert_int_equal(kill(left, SIGKILL), 0);
        g_variant_unref(bus_result(bus, serial));
        assert_true(process_is_dead(pidfd));
        close(pidfd);
}

static void test_used_up(void **state) {
        Bus *bus = *state;
        const char *role = role_name("runs");
        g_autofree char *after = journal_from_now();

        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        unit_configure(NODE_UNIT,
                "[Service]\nExecStart=\n"
                "ExecStart=+/usr/bin/unshare --mount --propagation private sh -c 'mount -t proc proc /proc && "
                "exec unshare --user --map-root-user sh -c \"echo 0 >/proc/sys/user/max_inotify_instances && "
                "exec " PROGRAM " --instance=main\"'\n");
        node_restart(bus);
        assert_int_equal(count_inotify(node_pid(bus)), 0);
        assert_int_equal(role_pid(bus, role), pid);
        g_autofree char *log = journal(after, "-u", NODE_UNIT, "-p", "warning", NULL);
        assert_contains(log, "raise the sysctl fs.inotify.max_user_instances");

        leaves_one(bus, role_name("first"));
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");

        set_limit(node_pid(bus), "1");
        leaves_one(bus, role_name("second"));
        assert_int_equal(count_inotify(node_pid(bus)), 1);
        g_autofree char *again = journal(after, "-u", NODE_UNIT, NULL);
        assert_contains(again, "inotify works again");
        leaves_one(bus, role_name("third"));
}

static int end(void **state) {
        unit_configure(NODE_UNIT, NULL);
        node_restart(*state);
        return case_teardown(state);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_used_up, case_setup, end),
        };
        return run_case("inotify-used-up", tests);
}
