/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A PID does not identify a process. While neither node nor keeper runs, a role ends and another process gets
 * its PID. After their start they must not take that process for the role, and never signal it, whether
 * systemd has stored a pidfd of the role or nothing. */

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

/* A unit whose start waits until it is released, so that its absence lasts as long as the test needs. */
typedef struct Absence {
        const char *unit;
        char *directory;
        char *file;
        char *fifo;
        int fd;
} Absence;

static void absence_prepare(Absence *absence, const char *unit, const char *settings) {
        g_autofree char *text = NULL;

        absence->unit = unit;
        absence->directory = g_strdup_printf("/run/systemd/system/%s.d", unit);
        absence->file = g_build_filename(absence->directory, "hold.conf", NULL);
        absence->fifo = g_strdup_printf("/run/hold-%s", unit);
        assert_int_equal(mkfifo(absence->fifo, 0600), 0);
        assert_int_equal(g_mkdir_with_parents(absence->directory, 0755), 0);
        text = g_strdup_printf("[Service]\n%sExecStartPre=/bin/cat %s\n", settings, absence->fifo);
        assert_true(g_file_set_contents(absence->file, text, -1, NULL));
        systemctl("daemon-reload", NULL);
}

/* Kills the service by SIGKILL; the start of its successor waits. */
static void absence_begin(Bus *bus, Absence *absence) {
        pid_t pid = unit_main_pid(bus, absence->unit);

        assert_int_equal(kill(pid, SIGKILL), 0);
        absence->fd = open(absence->fifo, O_WRONLY | O_CLOEXEC); /* when the successor is there to read it */
        assert_return_code(absence->fd, errno);
}

static void absence_end(Absence *absence) {
        assert_int_equal(unlink(absence->file), 0);
        assert_int_equal(rmdir(absence->directory), 0);
        systemctl("daemon-reload", NULL);
        close(absence->fd);
        assert_int_equal(unlink(absence->fifo), 0);
        g_free(absence->directory);
        g_free(absence->file);
        g_free(absence->fifo);
}

/* Starts a process of the test with this PID. It reports "ready" and each signal that it gets. */
static pid_t foreign_with_pid(pid_t pid, const Fifo *fifo) {
        struct clone_args args = {
                .exit_signal = SIGCHLD,
                .set_tid = (uint64_t) (uintptr_t) &pid,
                .set_tid_size = 1,
        };
        long child;

        /* The number is free a moment after the process has disappeared from /proc. */
        WAIT_UNTIL((child = syscall(SYS_clone3, &args, sizeof(args))) >= 0 || errno != EEXIST);
        if (child == 0) {
                execl(actor(), "actor", "tell-on", "TERM", fifo_path(fifo), "TERM", "tell-on", "HUP",
                        fifo_path(fifo), "HUP", "tell-on", "USR1", fifo_path(fifo), "USR1", "say",
                        fifo_path(fifo), "ready", "pause", NULL);
                _exit(99);
        }
        assert_return_code(child, errno);
        return (pid_t) child;
}

static void reused_pid(Bus *bus, bool stored) {
        const char *role = role_name("a"), *stays = role_name("stays");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *file = g_strdup_printf("/run/architect-node/main/roles/%s", stays), *saved = NULL;
        g_autofree char *boot_id =
                run_ok("journalctl", "-q", "-b", "-n1", "-o", "cat", "--output-fields=_BOOT_ID", NULL);
        Absence keeper;
        pid_t pid, other;
        int pidfd;

        /* The unit of the node is ordered after that of the keeper, and does not start without it. */
        absence_prepare(&keeper, KEEPER_UNIT, stored ? "" : "FileDescriptorStoreMax=0\n");
        keeper_wait_stored(bus, 0);
        start(bus, role, NULL, actor(), "pause", NULL);
        start(bus, stays, OPTIONS("{'stdin': <'null'>}"), actor(), "pause", NULL);
        pid = role_pid(bus, role);
        other = role_pid(bus, stays);
        assert_true(g_file_get_contents(file, &saved, NULL, NULL));
        assert_contains(saved, "MAIN_START_TIME=");
        assert_contains(saved, g_strstrip(boot_id));

        if (stored)
                keeper_wait_stored(bus, 1 + 2 + 1);
        absence_begin(bus, &keeper);
        assert_int_equal(kill(node_pid(bus), SIGKILL), 0);
        node_wait_name(bus, false);
        assert_int_equal(kill(pid, SIGKILL), 0);
        /* Reaped by PID 1, so its exit status cannot be known any more. */
        WAIT_UNTIL(process_state(pid) == 0);
        assert_int_equal(foreign_with_pid(pid, fifo), pid);
        assert_int_equal(fifo_expect_pid(fifo, "ready"), pid);
        pidfd = process_open(pid);
        absence_end(&keeper);
        node_wait_name(bus, true);

        /* The role has ended. With only its PID nothing more is known. The other process is not affected. */
        if (stored)
                expect_end(bus, role, "killed", SIGKILL, "exit -9", NULL);
        else {
                expect_exited(bus, role, "lost", -1, NULL);
                assert_poll(bus, role, "exit unknown");
        }
        assert_poll(bus, stays, "running");
        assert_int_equal(role_pid(bus, stays), other);

        /* No request about the role refers to that process. */
        node_call_fails(bus, "GetRoleByPID", g_variant_new("(u)", (guint32) pid), "NoSuchRole", NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "main", SIGUSR1), "RoleNotRunning", NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "all", SIGUSR1), "RoleNotRunning", NULL);
        stop(bus, role);
        kill_role(bus, role);
        start(bus, role, NULL, actor(), "pause", NULL);
        assert_int_not_equal(role_pid(bus, role), pid);
        kill_role(bus, role);
        purge(bus, role);
        stop(bus, stays);
        assert_false(process_is_dead(pidfd));
        assert_false(fifo_has_line(fifo));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(pidfd);
}

static void test_reused_pid(void **state) {
        reused_pid(*state, false);
}

static void test_reused_pid_stored(void **state) {
        reused_pid(*state, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_reused_pid),
                TEST(test_reused_pid_stored),
        };
        return run_case("identity", tests);
}
