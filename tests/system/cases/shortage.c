/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Without space, descriptors, processes or memory, new requests fail with the reason, running roles continue,
 * and exits are reported exactly, even over a crash of the service. Afterwards everything works again. */

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define RUNTIME_DIRECTORY "/run/architect-node/main"
#define FILLER RUNTIME_DIRECTORY "/filler"

/* -- no space -- */

/* Mounts a small disk for the state. */
static void small_disk(Bus *bus) {
        systemctl("stop", NODE_UNIT);
        assert_return_code(mount("tmpfs", RUNTIME_DIRECTORY, "tmpfs", 0, "size=4m,mode=0700"), errno);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        node_sync(bus);
}

static void fill(void) {
        static const char zeros[4096];
        int fd = open(FILLER, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_return_code(fd, errno);
        while (write(fd, zeros, sizeof(zeros)) > 0)
                ;
        assert_int_equal(errno, ENOSPC);
        close(fd);
}

/* With two free pages the role is saved, and again while its old file still exists. When the process and the
 * cgroup are known the file may have grown to a second page, and there is no third one. */
static void nearly_full(Bus *bus, const char *role) {
        guint failures = 0;
        struct stat st;

        assert_return_code(stat(FILLER, &st), errno);
        assert_return_code(truncate(FILLER, st.st_size - 2 * 4096), errno);
        for (guint n = 2600; n <= 4000; n += 50) {
                g_autofree char *filler = g_strnfill(n, 'x');
                GVariant *options = g_variant_new_parsed("@a{sv} {'env': <{'FILLER': %s}>}", filler);
                guint32 serial = node_send(bus, "Start", start_args(role, options, actor(), "pause", NULL));
                Event *reply = bus_wait_reply(bus, serial);

                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                        failures++;
                        assert_string_equal(reply->error, "org.freedesktop.DBus.Error.IOError");
                        assert_contains(reply->text, "its state cannot be saved: No space left on device");
                        continue;
                }
                kill_role(bus, role);
                purge(bus, role);
        }
        print_message("  %u starts failed\n", failures);
        assert_true(failures > 0);
        fill();
}

static void test_no_space(void **state) {
        Bus *bus = *state;
        const char *ends = role_name("ends"), *stops = role_name("stops"), *stays = role_name("stays"),
                   *other = role_name("new");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t pid, stays_pid;
        guint mark;
        guint64 seq;

        small_disk(bus);
        start(bus, ends, NULL, actor(), "exit-on", "USR1", "42", "say", fifo_path(fifo), "ready", "pause",
                NULL);
        pid = fifo_expect_pid(fifo, "ready");
        start(bus, stops, NULL, actor(), "pause", NULL);
        start(bus, stays, NULL, actor(), "pause", NULL);
        stays_pid = role_pid(bus, stays);
        fill();

        /* Operations that require saving are refused and leave nothing. */
        mark = bus_mark(bus);
        start_fails(bus, start_args(other, NULL, actor(), "pause", NULL),
                "org.freedesktop.DBus.Error.IOError", other, "No space left on device", NULL);
        assert_no_trace(bus, other, mark);
        nearly_full(bus, role_name("grows"));
        node_call_fails(bus, "SetEnv", g_variant_new("(ss)", "SHORTAGE", "1"),
                "org.freedesktop.DBus.Error.IOError", "No space left on device", NULL);
        node_call_fails(bus, "GetEnv", g_variant_new("(s)", "SHORTAGE"), "NoSuchVariable", NULL);

        /* An exit is reported, and is still known if the service dies now. */
        assert_int_equal(kill(pid, SIGUSR1), 0);
        seq = expect_exited(bus, ends, "exited", 42, "self").seq;
        stop(bus, stops);
        expect_exited(bus, stops, "killed", SIGTERM, "stop");
        start_fails(bus, start_args(ends, NULL, actor(), "pause", NULL), "org.freedesktop.DBus.Error.IOError",
                ends, "No space left on device", NULL);
        assert_poll(bus, ends, "exit 42"); /* the previous run exists again */
        node_crash(bus);
        node_sync(bus);
        assert_poll(bus, ends, "exit 42");
        assert_poll(bus, stops, "exit -15");
        assert_poll(bus, stays, "running");
        assert_int_equal(role_pid(bus, stays), stays_pid);
        {
                g_autoptr(GPtrArray) exits = bus_all(bus, "RoleExited", ends);
                for (guint i = 0; i < exits->len; i++)
                        assert_int_equal(exited_from(g_ptr_array_index(exits, i)).seq, seq);
        }

        /* There is space again. */
        assert_int_equal(unlink(FILLER), 0);
        start(bus, other, NULL, actor(), "exit", "7", NULL);
        expect_exited(bus, other, "exited", 7, "self");
        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", "SHORTAGE", "1")));
        node_crash(bus);
        node_sync(bus);
        assert_poll(bus, ends, "exit 42");
        assert_poll(bus, other, "exit 7");
        assert_poll(bus, stays, "running");
        stop(bus, stays);
}

/* Restores the disk, whatever the test did. */
static int end_small_disk(void **state) {
        g_autoptr(Bus) bus = bus_new();

        systemctl("stop", NODE_UNIT);
        assert_return_code(umount2(RUNTIME_DIRECTORY, MNT_DETACH), errno);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        return case_teardown(state);
}

/* -- no descriptors -- */

static struct rlimit limit_fds(pid_t pid, rlim_t n) {
        struct rlimit limit, old;

        assert_return_code(prlimit(pid, RLIMIT_NOFILE, NULL, &old), errno);
        limit = (struct rlimit){ n, old.rlim_max };
        assert_return_code(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), errno);
        return old;
}

/* Starts that fail because no descriptor is left, with 0 to 8 descriptors more than are open now, so that
 * each place that creates one is the first to fail. Running roles continue. */
static void without_fds(Bus *bus, pid_t (*find)(Bus *bus)) {
        const char *ends = role_name("ends"), *other = role_name("new");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint failures = 0;

        for (guint more = 0; more <= 8; more++) {
                pid_t pid, victim;
                guint32 serial;
                Event *reply;

                start(bus, ends, NULL, actor(), "exit-on", "USR1", "42", "say", fifo_path(fifo), "ready",
                        "pause", NULL);
                pid = fifo_expect_pid(fifo, "ready");
                WAIT_UNTIL(!g_str_equal(role_state(bus, ends), "starting"));
                victim = find(bus);
                struct rlimit old = limit_fds(victim, process_n_fds(victim) + more);

                serial = node_send(bus, "Start", start_args(other, NULL, actor(), "pause", NULL));
                reply = bus_wait_reply(bus, serial);
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                        failures++;
                        assert_contains(reply->text, other);
                }
                assert_int_equal(kill(pid, SIGUSR1), 0);
                expect_exited(bus, ends, "exited", 42, "self");
                assert_int_equal(find(bus), victim);
                assert_return_code(prlimit(victim, RLIMIT_NOFILE, &old, NULL), errno);
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                        g_autofree char *scope = role_scope(other);
                        WAIT_UNTIL(!g_str_equal(poll_role(bus, other), "running"));
                        WAIT_UNTIL(count_units(bus, scope) == 0);
                        start(bus, other, NULL, actor(), "pause", NULL);
                }
                kill_role(bus, other);
                expect_exited(bus, other, "killed", SIGKILL, "kill");
                if (more % 2 == 1)
                        purge(bus, other); /* the next start has a previous run or not */
        }
        print_message("  %u starts failed\n", failures);
        assert_true(failures > 0);
}

static void test_no_fds_in_the_keeper(void **state) {
        without_fds(*state, keeper_pid);
}

static void test_no_fds_in_the_node(void **state) {
        without_fds(*state, node_pid);
}

/* -- no processes, no memory -- */

static void without_clone(Bus *bus, const char *error, const char *text) {
        const char *ends = role_name("ends"), *other = role_name("new");
        g_autofree char *keeper = g_strdup_printf("%d", keeper_pid(bus));
        g_autofree char *inject = g_strdup_printf("--inject=clone3:error=%s", error);
        g_autoptr(Fifo) fifo = fifo_new(error);
        pid_t pid, tracer;
        int pidfd;
        guint mark;

        start(bus, ends, NULL, actor(), "exit-on", "USR1", "42", "say", fifo_path(fifo), "ready", "pause",
                NULL);
        pid = fifo_expect_pid(fifo, "ready");
        tracer = spawn("strace", "--quiet=all", "--output=/dev/null", "--trace=clone3", inject, "--attach",
                keeper, NULL);
        pidfd = process_open(tracer);
        WAIT_UNTIL(({
                g_autofree char *by = process_status(keeper_pid(bus), "TracerPid");
                atoi(by) == tracer;
        }));

        mark = bus_mark(bus);
        start_fails(bus, start_args(other, NULL, actor(), "pause", NULL), "SetupFailed", other, text, NULL);
        assert_no_trace(bus, other, mark);
        assert_int_equal(kill(pid, SIGUSR1), 0);
        expect_exited(bus, ends, "exited", 42, "self");

        assert_int_equal(kill(tracer, SIGTERM), 0);
        process_wait_dead(pidfd);
        close(pidfd);
        start(bus, other, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, other, "exited", 3, "self");
}

static void test_no_processes(void **state) {
        without_clone(*state, "EAGAIN", "Resource temporarily unavailable");
}

static void test_no_memory(void **state) {
        without_clone(*state, "ENOMEM", "Cannot allocate memory");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_no_space, case_setup, end_small_disk),
                TEST(test_no_fds_in_the_keeper),
                TEST(test_no_fds_in_the_node),
                TEST(test_no_processes),
                TEST(test_no_memory),
        };
        return run_case("shortage", tests);
}
