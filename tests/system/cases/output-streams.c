/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * From 512 streams of the machine on roles share a stream to the journal, each user his own. Each line has
 * the pid, the user and the unit of its role nevertheless, over restarts and SIGKILL of node, keeper and
 * journald. If the journal takes no further stream, or does not respond with a full queue, the start says
 * that the output is lost, and so do the properties of role and node. */

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "testlib.h"

#define JOURNAL_STREAMS "/run/systemd/journal/streams"
#define SHARED_FROM 512
#define STREAMS_MAX 4096
#define STORE_SMALL 1024

/* -- streams of somebody else -- */

static GArray *taken; /* of int */

static const struct sockaddr_un journal_address = { .sun_family = AF_UNIX,
        .sun_path = "/run/systemd/journal/stdout" };

static guint count_streams(void) {
        g_autoptr(GDir) dir = g_dir_open(JOURNAL_STREAMS, 0, NULL);
        guint n = 0;

        assert_non_null(dir);
        while (g_dir_read_name(dir))
                n++;
        return n;
}

static bool take_stream(void) {
        static const char header[] = "taken\n\n6\n1\n0\n0\n0\n";
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_return_code(fd, errno);
        if (connect(fd, (const struct sockaddr *) &journal_address, sizeof(journal_address)) < 0) {
                assert_int_equal(errno, EAGAIN);
                close(fd);
                return false;
        }
        assert_return_code(send(fd, header, strlen(header), MSG_NOSIGNAL), errno);
        g_array_append_val(taken, fd);
        return true;
}

/* Those of roles that have ended may go meanwhile, so the missing ones are taken until none is missing. */
static bool have_streams(guint n) {
        for (guint i = count_streams(); i < n; i++)
                WAIT_UNTIL(take_stream());
        g_free(run_ok("journalctl", "--sync", NULL));
        return count_streams() >= n;
}

/* systemd compares each stream that journald has it store with all others, and answers nobody meanwhile. With
 * thousands of them, on a machine with other work, that takes longer than a test waits for a reply. */
static void systemd_catch_up(void) {
        g_free(run_ok("busctl", "--timeout=300", "call", "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1", "org.freedesktop.DBus.Peer", "Ping", NULL));
}

static void take_streams(guint n) {
        WAIT_UNTIL(have_streams(n));
        systemd_catch_up();
}

static void give_streams_back(void) {
        for (guint i = 0; i < taken->len; i++)
                close(g_array_index(taken, int, i));
        g_array_set_size(taken, 0);
        WAIT_UNTIL(count_streams() < SHARED_FROM);
        systemd_catch_up();
}

/* With a small store systemd refuses what it would compare with thousands of others, which takes a slow
 * machine minutes. No test kills a journald with so many streams. */
static bool store_is_small;

static void have_small_store(bool small) {
        if (small == store_is_small)
                return;
        store_is_small = small;
        unit_configure("systemd-journald.service",
                small ? "[Service]\nFileDescriptorStoreMax=" G_STRINGIFY(STORE_SMALL) "\n" : NULL);
}

static pid_t stopped; /* journald */

static int setup(void **state) {
        const struct rlimit many = { 20000, 20000 };

        assert_return_code(setrlimit(RLIMIT_NOFILE, &many), errno);
        taken = g_array_new(false, false, sizeof(int));
        return case_setup(state);
}

static int teardown(void **state) {
        if (stopped > 0)
                assert_return_code(kill(stopped, SIGCONT), errno);
        stopped = 0;
        int r = case_teardown(state);
        give_streams_back();
        have_small_store(false);
        g_array_unref(taken);
        return r;
}

/* -- roles -- */

/* A role that writes what it reads. */
typedef struct Speaker {
        const char *role;
        uid_t uid;
        Fifo *fifo;
        GString *said; /* all lines */
} Speaker;

static Speaker speaker_start(Bus *bus, const char *name, const char *user) {
        Speaker s = { .role = role_name(name),
                .uid = user ? 65534 : 0,
                .fifo = fifo_new(name),
                .said = g_string_new(NULL) };

        start(bus, s.role, user ? OPTIONS("{'user': <%s>}", user) : NULL, actor(), "echo", fifo_path(s.fifo),
                NULL);
        return s;
}

static void speaker_clear(Speaker *s) {
        fifo_free(s->fifo);
        g_string_free(s->said, true);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Speaker, speaker_clear)

static void speaker_say(Bus *bus, Speaker *s, const char *text) {
        g_autofree char *line = g_strdup_printf("%s says %s", s->role, text);

        send_input(bus, s->role, line);
        fifo_expect_pid(s->fifo, "echo"); /* it has been written */
        g_string_append_printf(s->said, "%s\n", line);
}

/* The journal has all lines, in order, with what belongs to this role alone. */
static void speaker_check(Bus *bus, const Speaker *s, const char *since) {
        g_autofree char *pid = g_strdup_printf("_PID=%d", (int) role_pid(bus, s->role));
        g_autofree char *scope = role_scope(s->role);
        g_autofree char *unit = g_strdup_printf("_SYSTEMD_UNIT=%s", scope);
        g_autofree char *uid = g_strdup_printf("_UID=%u", (unsigned) s->uid);
        g_autofree char *by_all = journal(since, pid, unit, uid, "_TRANSPORT=stdout", NULL);
        g_autofree char *by_unit = journal(since, "-u", scope, "_TRANSPORT=stdout", NULL);

        assert_string_equal(by_all, s->said->str);
        assert_string_equal(by_unit, s->said->str);
}

static ino_t stream_of(Bus *bus, const Speaker *s) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/1", (int) role_pid(bus, s->role));
        struct stat st;

        assert_return_code(stat(path, &st), errno);
        assert_true(S_ISSOCK(st.st_mode));
        return st.st_ino;
}

static bool has_identifier(const Speaker *s, const char *since) {
        g_autofree char *lines = journal(since, "-t", s->role, "_TRANSPORT=stdout", NULL);

        return *lines;
}

static bool is_lost(Bus *bus, const char *role) {
        g_autoptr(GVariant) lost = role_get(bus, role, "OutputLost");
        Event *event = bus_wait(bus, "RoleStarted", role);
        g_autoptr(GVariant) details = event_details(event);

        assert_int_equal(g_variant_get_boolean(lost),
                detail_has(details, "output-lost") && detail_bool(details, "output-lost"));
        return g_variant_get_boolean(lost);
}

static char *warnings(Bus *bus) {
        g_autoptr(GVariant) value = node_get(bus, "Warnings");
        g_autofree const char **list = g_variant_get_strv(value, NULL);

        return g_strjoinv("\n", (char **) list);
}

static void assert_no_warnings(Bus *bus) {
        g_autofree char *text = warnings(bus);

        assert_string_equal(text, "");
}

/* -- tests -- */

static void test_shared(void **state) {
        Bus *bus = *state;
        g_autofree char *since = journal_from_now();

        g_auto(Speaker) own = speaker_start(bus, "own", NULL);
        take_streams(SHARED_FROM);
        g_auto(Speaker) a = speaker_start(bus, "a", NULL);
        g_auto(Speaker) b = speaker_start(bus, "b", NULL);
        g_auto(Speaker) c = speaker_start(bus, "c", "nobody");
        g_auto(Speaker) d = speaker_start(bus, "d", "nobody");
        Speaker *const all[] = { &own, &a, &b, &c, &d };

        assert_true(stream_of(bus, &a) == stream_of(bus, &b));
        assert_true(stream_of(bus, &c) == stream_of(bus, &d));
        assert_true(stream_of(bus, &a) != stream_of(bus, &c));
        assert_true(stream_of(bus, &a) != stream_of(bus, &own));
        for (guint round = 0; round < 5; round++)
                for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
                        g_autofree char *text = g_strdup_printf("%u", round);

                        speaker_say(bus, all[i], text);
                }
        for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
                speaker_check(bus, all[i], since);
                assert_false(is_lost(bus, all[i]->role));
        }
        assert_true(has_identifier(&own, since));
        assert_false(has_identifier(&a, since));
        assert_no_warnings(bus);
}

/* The roles have the stream, and nobody else needs it. */
static void test_everybody_dies(void **state) {
        Bus *bus = *state;
        g_autofree char *since = journal_from_now();

        take_streams(SHARED_FROM);
        g_auto(Speaker) a = speaker_start(bus, "a", NULL);
        g_auto(Speaker) b = speaker_start(bus, "b", NULL);
        assert_true(stream_of(bus, &a) == stream_of(bus, &b));
        speaker_say(bus, &a, "before");

        node_crash(bus);
        speaker_say(bus, &a, "after the node");
        /* The next node has no stream, and has one made. */
        g_auto(Speaker) c = speaker_start(bus, "c", NULL);
        g_auto(Speaker) d = speaker_start(bus, "d", NULL);
        assert_true(stream_of(bus, &c) != stream_of(bus, &a));
        assert_true(stream_of(bus, &d) == stream_of(bus, &c));

        pid_t keeper = keeper_pid(bus);
        keeper_crash(bus);
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
        g_free(run_ok("systemctl", "reset-failed", "systemd-journald.service", NULL));
        systemctl("restart", "systemd-journald.service");
        g_auto(Speaker) e = speaker_start(bus, "e", NULL);
        assert_true(stream_of(bus, &e) == stream_of(bus, &c));
        speaker_say(bus, &e, "after a restart of journald");
        speaker_say(bus, &b, "after a restart of journald");
        g_free(run_ok("journalctl", "--sync", NULL)); /* what it has read, a killed one loses */

        pid_t journald = unit_main_pid(bus, "systemd-journald.service");
        int pidfd = process_open(journald);
        assert_return_code(kill(journald, SIGKILL), errno);
        process_wait_dead(pidfd);
        Speaker *const all[] = { &a, &b, &c, &d, &e };
        for (guint i = 0; i < G_N_ELEMENTS(all); i++)
                speaker_say(bus, all[i], "after SIGKILL");
        WAIT_UNTIL(service_is_another(bus, "systemd-journald.service", journald));
        for (guint i = 0; i < G_N_ELEMENTS(all); i++)
                speaker_check(bus, all[i], since);
}

/* A role that is closed off by another one of its user. */
static void test_shut_down(void **state) {
        Bus *bus = *state;
        g_autofree char *since = journal_from_now();

        take_streams(SHARED_FROM);
        g_auto(Speaker) a = speaker_start(bus, "a", NULL);
        start(bus, role_name("b"), NULL, "/usr/bin/python3", "-c",
                "import os, socket, time; socket.socket(fileno=os.dup(1)).shutdown(socket.SHUT_WR); time.sleep(600)",
                NULL);
        Event *event = bus_wait(bus, "PropertiesChanged", NODE_PATH);
        for (;;) {
                g_autofree char *text = warnings(bus);

                if (strstr(text, role_name("a")) && strstr(text, role_name("b")))
                        break;
                event = bus_wait(bus, "PropertiesChanged", NODE_PATH);
        }
        assert_non_null(event);
        g_autoptr(GVariant) lost = role_get(bus, a.role, "OutputLost");
        assert_true(g_variant_get_boolean(lost));
        g_auto(Speaker) c = speaker_start(bus, "c", NULL);
        assert_true(stream_of(bus, &c) != stream_of(bus, &a));
        speaker_say(bus, &c, "this is heard");
        speaker_check(bus, &c, since);
        kill_role(bus, a.role);
        kill_role(bus, role_name("b"));
        assert_no_warnings(bus);
}

/* journald takes no further one. */
static void test_none_left(void **state) {
        Bus *bus = *state;
        g_autofree char *since = journal_from_now(), *text = NULL, *null = NULL;
        const char *role = role_name("mute");

        have_small_store(true);
        take_streams(STREAMS_MAX);
        start(bus, role, NULL, actor(), "print", "nobody hears this\n", "pause", NULL);
        assert_true(is_lost(bus, role));
        null = g_strdup_printf("/proc/%d/fd/1", (int) role_pid(bus, role));
        g_autofree char *target = g_file_read_link(null, NULL);
        assert_string_equal(target, "/dev/null");
        text = warnings(bus);
        assert_contains(text, role);
        assert_non_null(bus_wait(bus, "PropertiesChanged", NODE_PATH));

        /* The same after a restart, and in the log of events. */
        node_restart(bus);
        g_autoptr(GVariant) lost = role_get(bus, role, "OutputLost");
        assert_true(g_variant_get_boolean(lost));
        g_autofree char *again = warnings(bus);
        assert_string_equal(again, text);

        give_streams_back();
        g_auto(Speaker) next = speaker_start(bus, "next", NULL);
        speaker_say(bus, &next, "this is heard");
        speaker_check(bus, &next, since);
        assert_false(is_lost(bus, next.role));
        kill_role(bus, role);
        assert_no_warnings(bus);
}

/* journald hangs. Nothing is lost as long as its queue has room, and a start does not wait for it. */
static void test_hangs(void **state) {
        Bus *bus = *state;
        g_autofree char *since = journal_from_now();
        const char *mute = role_name("mute");

        take_streams(SHARED_FROM);
        stopped = unit_main_pid(bus, "systemd-journald.service");
        assert_return_code(kill(stopped, SIGSTOP), errno);
        g_auto(Speaker) waits = speaker_start(bus, "waits", NULL);
        assert_false(is_lost(bus, waits.role));
        speaker_say(bus, &waits, "this is heard later");

        while (take_stream())
                ;
        start(bus, mute, NULL, actor(), "pause", NULL);
        assert_true(is_lost(bus, mute));
        g_autofree char *text = warnings(bus);
        assert_contains(text, mute);
        assert_contains_not(text, waits.role);

        /* What waits in the queue would be refused, and is not meant to be in the way. */
        for (guint i = SHARED_FROM; i < taken->len; i++)
                close(g_array_index(taken, int, i));
        g_array_set_size(taken, MIN(taken->len, SHARED_FROM));
        assert_return_code(kill(stopped, SIGCONT), errno);
        stopped = 0;
        speaker_check(bus, &waits, since);
}

int main(void) {
#define STREAMS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                STREAMS(test_shared),
                STREAMS(test_everybody_dies),
                STREAMS(test_shut_down),
                STREAMS(test_none_left),
                STREAMS(test_hangs),
        };
        return run_case("output-streams", tests);
}
