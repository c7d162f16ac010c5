/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How the keeper looks up a user, by the NSS of this machine in files of the test, and what happens if the
 * databases do not answer: one of them is a FIFO without a writer. */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/time-util.h"

#define SHADOW "/run/shadow" /* that of the tests; /etc/shadow is this file, or the FIFO */
#define FIFO "/run/shadow-fifo"

static void write_shadow(const char *text) {
        autofd fd = open(SHADOW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_return_code(fd, errno);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void lookup_send(World *w, uint64_t id, const char *user, const char *group) {
        struct keeper_lookup m = { .header = { .type = KEEPER_LOOKUP, .child = id } };

        (void) snprintf(m.user, sizeof(m.user), "%s", user);
        (void) snprintf(m.group, sizeof(m.group), "%s", group);
        node_send(w->node, &m, sizeof(m));
}

static int lookup_begin(World *w, uint64_t id, const char *user, const char *group) {
        int fds[WORLD_FDS_MAX];
        Packet p;

        lookup_send(w, id, user, group);
        assert_int_equal(world_receive(w, KEEPER_DONE, id, &p, fds), 0);
        assert_int_equal(p.done.request, KEEPER_LOOKUP);
        return p.done.error;
}

static struct keeper_looked_up lookup_end(World *w, uint64_t id) {
        int fds[WORLD_FDS_MAX];
        Packet p;

        memset(&p, 0xff, sizeof(p));
        assert_int_equal(world_receive(w, KEEPER_LOOKED_UP, id, &p, fds), 0);
        return p.looked_up;
}

static struct keeper_looked_up look_up(World *w, const char *user, const char *group) {
        static uint64_t id = 1000;

        id++;
        assert_int_equal(lookup_begin(w, id, user, group), 0);
        return lookup_end(w, id);
}

static void assert_is_alice(const struct keeper_looked_up *a) {
        const uint32_t groups[] = { ALICE_GID, SCOPE_GID, 4715 };

        assert_int_equal(a->error, 0);
        assert_int_equal(a->uid, ALICE_UID);
        assert_string_equal(a->name, "alice");
        assert_string_equal(a->home, "/home/alice");
        assert_string_equal(a->shell, "/bin/alice-sh");
        assert_int_equal(a->flags, 0);
        assert_int_equal(a->n_groups, ELEMENTSOF(groups));
        assert_memory_equal(a->groups, groups, sizeof(groups));
}

static void test_found(void **state) {
        World *w = *state;
        struct keeper_looked_up a;

        write_shadow("alice:!:19000:0:99999:7:::\n");
        a = look_up(w, "alice", "");
        assert_is_alice(&a);
        assert_int_equal(a.gid, ALICE_GID);
        assert_string_equal(a.group, "alice");
        a = look_up(w, "4711", "dialout");
        assert_is_alice(&a);
        assert_int_equal(a.gid, 4715);
        assert_string_equal(a.group, "dialout");
        /* A group that is not hers is not added. */
        a = look_up(w, "alice", "4716");
        assert_is_alice(&a);
        assert_int_equal(a.gid, 4716);
        assert_string_equal(a.group, "other");

        a = look_up(w, "bare", "");
        assert_int_equal(a.error, 0);
        assert_string_equal(a.home, "/");
        assert_string_equal(a.shell, "/bin/sh");
        a = look_up(w, "0", "");
        assert_int_equal(a.error, 0);
        assert_string_equal(a.name, "root");
}

static void test_unknown(void **state) {
        World *w = *state;

        assert_int_equal(look_up(w, "mallory", "").error, -ESRCH);
        assert_int_equal(look_up(w, "4799", "").error, -ESRCH);
        assert_int_equal(look_up(w, "4294967295", "").error, -ESRCH);
        assert_int_equal(look_up(w, "alice", "crew").error, -ENOENT);
        assert_int_equal(look_up(w, "alice", "4799").error, -ENOENT);
}

static void test_account(void **state) {
        const long today = (long) (time(NULL) / 86400);
        World *w = *state;
        char text[256];

        /* Its last day was yesterday. */
        (void) snprintf(text, sizeof(text), "alice:!:19000:0:99999:7::%ld:\n", today);
        write_shadow(text);
        assert_int_equal(look_up(w, "alice", "").flags, KEEPER_ACCOUNT_EXPIRED);
        (void) snprintf(text, sizeof(text), "alice:!:19000:0:99999:7::%ld:\n", today + 1);
        write_shadow(text);
        assert_int_equal(look_up(w, "alice", "").flags, 0);

        /* The password has expired, and could be changed for two more days. */
        (void) snprintf(text, sizeof(text), "alice:!:%ld:0:10:7:2::\n", today - 13);
        write_shadow(text);
        assert_int_equal(look_up(w, "alice", "").flags, KEEPER_ACCOUNT_EXPIRED);
        (void) snprintf(text, sizeof(text), "alice:!:%ld:0:10:7:2::\n", today - 12);
        write_shadow(text);
        assert_int_equal(look_up(w, "alice", "").flags, 0);
        (void) snprintf(text, sizeof(text), "alice:!:%ld:0:10:7:::\n", today - 100);
        write_shadow(text);
        assert_int_equal(look_up(w, "alice", "").flags, 0);

        write_shadow("");
        assert_int_equal(look_up(w, "alice", "").flags, 0);
        assert_int_equal(look_up(w, "nobody", "").flags, KEEPER_ACCOUNT_NO_SHELL);
}

/* -- databases that do not answer -- */

static int setup_hanging(void **state) {
        if (mount(FIFO, "/etc/shadow", NULL, MS_BIND, NULL) < 0)
                return -1;
        return world_setup_connected(state);
}

static int teardown_hanging(void **state) {
        int r = world_teardown(state);

        return umount("/etc/shadow") < 0 ? -1 : r;
}

static bool is_lookup(pid_t pid) {
        char path[64], *text;
        bool found;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
        if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
                return false;
        found = strcmp(text, "(lookup)\n") == 0;
        free(text);
        return found;
}

struct lookups {
        pid_t keeper;
        size_t wanted;
        pid_t one; /* of them */
};

/* Whether there are so many processes of look-ups. */
static bool has_lookups(void *userdata) {
        struct lookups *l = userdata;
        char path[64], *text, *p, *end;
        size_t n = 0;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) l->keeper, (int) l->keeper);
        assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
        for (p = text; *p; p = end) {
                long pid = strtol(p, &end, 10);

                if (end == p)
                        break;
                if (is_lookup((pid_t) pid)) {
                        l->one = (pid_t) pid;
                        n++;
                }
        }
        free(text);
        return n == l->wanted;
}

static pid_t await_lookups(World *w, size_t n) {
        struct lookups l = { .keeper = w->keeper, .wanted = n };

        assert_true(wait_for(has_lookups, &l));
        return l.one;
}

/* Nobody waits for it, and it does not wait longer than it may, even if it is stopped. */
static void test_stopped(void **state) {
        const uint64_t began = now_usec(CLOCK_MONOTONIC);
        World *w = *state;
        uint64_t took;
        Role role;

        assert_int_equal(lookup_begin(w, 1, "alice", ""), 0);
        assert_int_equal(kill(await_lookups(w, 1), SIGSTOP), 0);

        role = role_run(w, 0, QUIET(.command = COMMAND("/bin/true")));
        (void) role_end(w, &role);
        assert_true(now_usec(CLOCK_MONOTONIC) - began < KEEPER_LOOKUP_TIMEOUT_USEC);

        assert_int_equal(lookup_end(w, 1).error, -ETIMEDOUT);
        took = now_usec(CLOCK_MONOTONIC) - began;
        assert_in_range(took, KEEPER_LOOKUP_TIMEOUT_USEC, KEEPER_LOOKUP_TIMEOUT_USEC + 5 * USEC_PER_SEC);
        (void) await_lookups(w, 0);
}

/* A module of NSS may end the process. */
static void test_killed(void **state) {
        World *w = *state;

        assert_int_equal(lookup_begin(w, 1, "alice", ""), 0);
        assert_int_equal(kill(await_lookups(w, 1), SIGKILL), 0);
        assert_int_equal(lookup_end(w, 1).error, -EIO);
        assert_int_equal(look_up(w, "mallory", "").error, -ESRCH);
}

static void test_many(void **state) {
        World *w = *state;

        for (uint64_t i = 1; i <= KEEPER_LOOKUPS_MAX; i++)
                assert_int_equal(lookup_begin(w, i, "alice", ""), 0);
        assert_int_equal(lookup_begin(w, KEEPER_LOOKUPS_MAX + 1, "alice", ""), -EBUSY);
        (void) await_lookups(w, KEEPER_LOOKUPS_MAX);

        /* The next node knows nothing of them. */
        world_disconnect(w);
        (void) await_lookups(w, 0);
        (void) world_connect(w);
        assert_int_equal(look_up(w, "mallory", "").error, -ESRCH);
}

static void test_reexec(void **state) {
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        World *w = *state;
        autofd fd = node_connect(w);
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        assert_int_equal(lookup_begin(w, 1, "alice", ""), 0);
        (void) await_lookups(w, 1);
        node_send(fd, &m, sizeof(m));
        assert_int_equal(lookup_end(w, 1).error, -ECANCELED);
        assert_int_equal(node_receive(fd, &p, fds, &n_fds), sizeof(p.done));
        assert_int_equal(p.done.error, 0);

        (void) await_lookups(w, 0);
        assert_int_equal(look_up(w, "mallory", "").error, -ESRCH);
}

/* -- requests that are refused -- */

static void test_malformed(void **state) {
        struct keeper_lookup bad[3];
        World *w = *state;
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                bad[i] = (struct keeper_lookup){ .header = { .type = KEEPER_LOOKUP, .child = 1 },
                        .user = "alice" };
        }
        bad[0].user[0] = '\0';
        memset(bad[1].user, 'x', sizeof(bad[1].user));
        memset(bad[2].group, 'x', sizeof(bad[2].group));
        w->noisy = true;
        for (size_t i = 0; i < ELEMENTSOF(bad) + 1; i++) {
                node_send(w->node, &bad[i % ELEMENTSOF(bad)], sizeof(bad[0]) - (i == ELEMENTSOF(bad)));
                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), 0);
                world_disconnect(w);
                (void) world_connect(w);
        }
}

static void test_version_2(void **state) {
        World *w = *state;
        Packet p;

        node_hello(w->node, 2, 2, &p);
        assert_int_equal(p.welcome.version, 2);
        assert_int_equal(lookup_begin(w, 1, "alice", ""), -EOPNOTSUPP);
}

static int group_setup(void **state) {
        int r = world_group_setup(state);

        if (r < 0)
                return r;
        write_shadow("");
        return mkfifo(FIFO, 0600) < 0 || mount(SHADOW, "/etc/shadow", NULL, MS_BIND, NULL) < 0 ? -1 : 0;
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, world_setup_connected, world_teardown)
#define HANGING(f) cmocka_unit_test_setup_teardown(f, setup_hanging, teardown_hanging)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_found),
                CONNECTED(test_unknown),
                CONNECTED(test_account),
                HANGING(test_stopped),
                HANGING(test_killed),
                HANGING(test_many),
                HANGING(test_reexec),
                CONNECTED(test_malformed),
                CONNECTED(test_version_2),
        };

        return cmocka_run_group_tests(tests, group_setup, NULL);
}
