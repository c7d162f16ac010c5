/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * "systemctl reload architect-keeper": the keeper is replaced during running roles and starts, repeatedly,
 * and nothing is lost. A new program that does not work is refused, and the running one continues. */

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"
#include "net.h"
#include "testlib.h"

static guint64 exe_inode(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/exe", pid);
        GStatBuf st;

        assert_return_code(g_stat(path, &st), errno);
        return st.st_ino;
}

static void test_roles(void **state) {
        Bus *bus = *state;
        const char *reads = role_name("reads"), *exits = role_name("exits"), *stays = role_name("stays");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus), node = node_pid(bus), pid;
        g_autofree char *from = journal_from_now(), *log = NULL;
        uint16_t port;
        guint mark;

        bind_ports(bus, "TCP", 1, &port);
        start(bus, reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        start(bus, exits, NULL, actor(), "exit-on", "USR1", "42", "burn", "30", "pause", NULL);
        start(bus, stays, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, exits);
        mark = bus_mark(bus);
        for (int i = 0; i < 5; i++) {
                assert_int_equal(keeper_reload(), 0);
                assert_int_equal(keeper_pid(bus), keeper);
                send_input(bus, reads, "still there?");
                fifo_expect_pid(fifo, "echo");
                assert_int_equal(try_bind(SOCK_STREAM, port), EADDRINUSE);
        }
        assert_int_equal(bus_count_since(bus, mark, "RoleExited", NULL), 0);
        assert_int_equal(node_pid(bus), node);

        /* The parent is the same, and so are all values that only a parent gets. */
        send_signal(bus, exits, "main", SIGUSR1);
        {
                Exited e = expect_exited(bus, exits, "exited", 42, NULL);

                assert_true(detail_u64(e.details, "cpu-usec") > 0);
        }
        WAIT_UNTIL(process_state(pid) == 0);
        stop(bus, stays);
        expect_exited(bus, stays, "killed", SIGTERM, "stop");
        close_input(bus, reads);
        expect_exited(bus, reads, "exited", 0, "self");
        release_port(bus, "TCP", port);
        assert_int_equal(try_bind(SOCK_STREAM, port), 0);

        /* The node has not logged a warning. */
        log = journal("-u", NODE_UNIT, "-p", "warning", from, NULL);
        assert_string_equal(log, "");
}

/* A hundred starts are pending all the time, with lines through a standard input and exits of every kind. */
static void test_in_flight(void **state) {
        Bus *bus = *state;
        const char *reads = role_name("reads");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 serials[100];
        guint lines = 0;
        Census before = census_before(bus);

        start(bus, reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        for (int round = 0; round < 4; round++) {
                guint mark = bus_mark(bus);

                for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                        serials[i] = node_send(bus, "Start",
                                start_args(
                                        role_name_n("s", i), NULL, actor(), "exit", i % 2 ? "3" : "0", NULL));
                do {
                        assert_int_equal(keeper_reload(), 0);
                        send_input(bus, reads, "line");
                        lines++;
                } while (!bus_has_reply(bus, serials[99]));
                for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                        const char *role = role_name_n("s", i);

                        g_variant_unref(bus_result(bus, serials[i]));
                        expect_exited(bus, role, "exited", i % 2 ? 3 : 0, "self");
                        assert_int_equal(bus_count_since(bus, mark, "RoleExited", role), 1);
                }
                for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                        purge(bus, role_name_n("s", i));
        }
        print_message("  %u reloads\n", lines);
        while (lines-- > 0)
                fifo_expect_pid(fifo, "echo");
        kill_role(bus, reads);
        purge(bus, reads);
        assert_census(bus, &before);
}

#define SCRIPT \
        "#!/bin/sh\n" \
        "case \"$*\" in\n" \
        "*--check*) %s;;\n" \
        "*) exec '%s' \"$@\";;\n" \
        "esac\n"

static char *installed_program(Bus *bus) {
        g_autofree char *link = g_strdup_printf("/proc/%d/exe", keeper_pid(bus)), *path = NULL;

        path = g_file_read_link(link, NULL);
        assert_non_null(path);
        return g_steal_pointer(&path);
}

static void test_broken(void **state) {
        Bus *bus = *state;
        const char *reads = role_name("reads"), *other = role_name("other");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *program = installed_program(bus), *saved = g_strconcat(program, ".saved", NULL);
        pid_t keeper = keeper_pid(bus);
        guint64 exe = exe_inode(keeper);
        const struct {
                const char *check, *why;
        } broken[] = {
                { "exit 1", "exit status 1" },
                { "exec sleep 1000", "longer than" },
                { "echo 'cannot take over: its version is not supported' >&2; exit 1",
                        "its version is not supported" },
                { "kill -SEGV $$", "signal 11" },
        };

        start(bus, reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        assert_return_code(g_rename(program, saved), errno);
        for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
                g_autofree char *from = journal_from_now(), *log = NULL,
                                *script = g_strdup_printf(SCRIPT, broken[i].check, saved);

                assert_true(g_file_set_contents(program, script, -1, NULL));
                assert_return_code(g_chmod(program, 0755), errno);
                assert_int_not_equal(keeper_reload(), 0);
                assert_int_equal(keeper_pid(bus), keeper);
                assert_int_equal(exe_inode(keeper), exe);
                log = journal("-u", KEEPER_UNIT, from, NULL);
                assert_contains(log, broken[i].why);
                assert_contains(log, "continuing");

                send_input(bus, reads, "still there?");
                fifo_expect_pid(fifo, "echo");
                start(bus, other, NULL, actor(), "exit", "5", NULL);
                expect_exited(bus, other, "exited", 5, "self");
        }

        /* A program that works. */
        assert_return_code(g_unlink(program), errno);
        {
                g_autofree char *data = NULL;
                gsize size;

                assert_true(g_file_get_contents(saved, &data, &size, NULL));
                assert_true(g_file_set_contents(program, data, (gssize) size, NULL));
                assert_return_code(g_chmod(program, 0755), errno);
        }
        assert_int_equal(keeper_reload(), 0);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_int_not_equal(exe_inode(keeper), exe);
        assert_return_code(g_unlink(saved), errno);
        send_input(bus, reads, "still there?");
        fifo_expect_pid(fifo, "echo");
        close_input(bus, reads);
        expect_exited(bus, reads, "exited", 0, "self");
}

/* The connection of the node stays. A client that is connected to a keeper that was just replaced may lose
 * that connection, as before. */
static void test_then_crashes(void **state) {
        Bus *bus = *state;
        const char *reads = role_name("reads");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        keeper_wait_stored(bus, 0);
        start(bus, reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        keeper_wait_stored(bus, 1 + 2);
        assert_int_equal(keeper_reload(), 0);
        node_crash(bus);
        send_input(bus, reads, "still there?");
        fifo_expect_pid(fifo, "echo");
        keeper_wait_stored(bus, 1 + 2);
        keeper_crash_and_wait(bus);
        node_crash(bus);
        send_input(bus, reads, "still there?");
        fifo_expect_pid(fifo, "echo");
        close_input(bus, reads);
        wait_exited(bus, reads);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_roles),
                TEST(test_in_flight),
                TEST(test_broken),
                TEST(test_then_crashes),
        };
        return run_case("keeper-reexec", tests);
}
