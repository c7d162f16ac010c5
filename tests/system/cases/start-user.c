/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Users who are not root start roles, as far as polkit permits it, and get nothing by it that they have not.
 * The real polkit decides, by a rule that reads its answer from a file, as in the case polkit. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define RULE "/etc/polkit-1/rules.d/10-start-user.rules"
#define ANSWER "/run/case-start-user-answer"
#define HOLD "/run/case-start-user-hold"
#define ACTION "org.architect.node."
#define ALICE 1001
#define BOB 1002
#define SLICE_OF_ALICE "architect-main-u1001"
#define LONG_AGO "1970-01-02"

/* "self" permits to start as oneself, and one's environment and ports, "bob" also one command as bob, "hold"
 * waits for HOLD. What is about something else has the default of the policy. */
static const char rule[] =
        "polkit.addRule(function(action, subject) {\n"
        "    var start = action.id.indexOf('" ACTION "start-role') == 0;\n"
        "    if (!start && action.id != '" ACTION "manage-environment' &&\n"
        "        action.id != '" ACTION "manage-ports')\n"
        "        return polkit.Result.NOT_HANDLED;\n"
        "    var said = polkit.spawn(['/bin/cat', '" ANSWER "']).trim();\n"
        "    if (said == 'hold')\n"
        "        said = polkit.spawn(['/bin/cat', '" HOLD "']).trim();\n"
        "    if (said == '')\n"
        "        return polkit.Result.NOT_HANDLED;\n"
        "    if (!start)\n"
        "        return polkit.Result.YES;\n"
        "    var own = action.id == '" ACTION "start-role' &&\n"
        "        action.lookup('user') == subject.user &&\n"
        "        action.lookup('owner') == action.lookup('uid');\n"
        "    var bob = action.id == '" ACTION "start-role-as' && subject.user == 'alice' &&\n"
        "        action.lookup('owner') == '1001' && action.lookup('uid') == '1002' &&\n"
        "        action.lookup('user') == 'bob' && action.lookup('verb') == 'start' &&\n"
        "        action.lookup('instance') == 'main' && action.lookup('options') == 'user' &&\n"
        "        action.lookup('command').indexOf(' pause') > 0;\n"
        "    return said == 'yes' || (said == 'self' && own) || (said == 'bob' && (own || bob)) ?\n"
        "        polkit.Result.YES : polkit.Result.NO;\n"
        "});\n";

static void answer(const char *text) {
        assert_true(g_file_set_contents(ANSWER, text, -1, NULL));
        assert_int_equal(chmod(ANSWER, 0644), 0);
}

static int group_setup(void **state) {
        assert_true(g_file_set_contents(RULE, rule, -1, NULL));
        assert_int_equal(chmod(RULE, 0644), 0);
        answer("");
        assert_int_equal(mkfifo(HOLD, 0600), 0);
        assert_int_equal(chmod(HOLD, 0644), 0);
        systemctl("restart", "polkit.service");
        return 0;
}

static int group_teardown(void **state) {
        (void) g_unlink(RULE);
        (void) g_unlink(ANSWER);
        (void) g_unlink(HOLD);
        systemctl("restart", "polkit.service");
        return 0;
}

static int teardown(void **state) {
        answer("");
        return case_teardown(state);
}

/* A file that every user may write. */
static char *public_file(const char *name) {
        char *path = g_strdup(scratch(name));
        g_autofree char *directory = g_path_get_dirname(path);

        assert_int_equal(chmod(directory, 0777 | S_ISVTX), 0);
        return path;
}

static void await_file(const char *path) {
        WAIT_UNTIL(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* Empty slices are stopped after half a minute, so this takes longer than anything else here. */
static void await_no_slice_of_alice(Bus *bus) {
        gint64 end = g_get_monotonic_time() + 35 * G_USEC_PER_SEC;

        while (count_units(bus, SLICE_OF_ALICE "*.slice") > 0 && g_get_monotonic_time() < end)
                g_usleep(50000);
        WAIT_UNTIL(count_units(bus, SLICE_OF_ALICE "*.slice") == 0);
}

/* -- the tests -- */

/* Without a rule and without a session nobody but root starts anything. */
static void test_default(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        guint mark = bus_mark(bus);

        node_call_fails(alice, "Start", start_args(role, NULL, actor(), "pause", NULL), ACCESS_DENIED,
                "uid 1001", ACTION "start-role", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL), ACCESS_DENIED,
                ACTION "start-role-as", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'root'>}"), actor(), "pause", NULL), ACCESS_DENIED,
                ACTION "start-role-as", NULL);
        assert_no_trace(bus, role, mark);
}

/* She is herself, with her groups, in her slice, without what root has set, and without more than any role
 * has. */
static void test_oneself(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *of_root = role_name("b");
        g_autofree char *path = public_file("dump"), *cgroup = NULL, *user = NULL, *groups = NULL;
        g_autoptr(GHashTable) dump = NULL;
        Exited e;

        run_ok("usermod", "-a", "-G", "adm,dialout", "alice", NULL);
        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", "CASE_SECRET", "root's")));
        answer("self");
        start(alice, role, OPTIONS("{'env': <{'OWN': 'x'}>, 'limits': <{'nofile': @t 99}>, 'nice': <5>}"),
                actor(), "dump", path, "pause", NULL);
        await_file(path);
        dump = read_dump(path);
        assert_string_equal(dump_get(dump, "status.Uid"), "1001\t1001\t1001\t1001");
        assert_string_equal(dump_get(dump, "status.Gid"), "1001\t1001\t1001\t1001");
        groups = g_strdup_printf(" %s ", dump_get(dump, "status.Groups"));
        assert_contains(groups, " 4 ");
        assert_contains(groups, " 20 ");
        assert_contains(groups, " 1001 ");
        assert_string_equal(dump_get(dump, "status.CapPrm"), "0000000000000000");
        assert_string_equal(dump_get(dump, "status.CapAmb"), "0000000000000000");
        assert_null(g_hash_table_lookup(dump, "env.CASE_SECRET"));
        assert_string_equal(dump_get(dump, "env.OWN"), "x");
        assert_string_equal(dump_get(dump, "env.USER"), "alice");
        assert_string_equal(dump_get(dump, "env.ARCHITECT_ROLE"), role);
        assert_string_equal(dump_get(dump, "nice"), "5");
        assert_string_equal(dump_get(dump, "oom_score_adj"), "0");

        cgroup = role_cgroup(bus, role);
        assert_contains(cgroup, "/architect-main.slice/" SLICE_OF_ALICE ".slice/" SLICE_OF_ALICE "-0.slice/");
        user = role_get_string(bus, role, "User");
        assert_string_equal(user, "alice");
        assert_int_equal(role_get_u32(bus, role, "Owner"), ALICE);

        /* It is her own, and not bob's. */
        {
                g_autoptr(Bus) bob = bus_new_as("bob");

                node_call_fails(bob, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        }
        stop(alice, role);
        e = expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_non_null(e.event);

        /* Root's role of the same kind has it. */
        assert_int_equal(g_unlink(path), 0);
        start(bus, of_root, OPTIONS("{'user': <'alice'>}"), actor(), "dump", path, "pause", NULL);
        await_file(path);
        g_hash_table_unref(g_steal_pointer(&dump));
        dump = read_dump(path);
        assert_string_equal(dump_get(dump, "env.CASE_SECRET"), "root's");
        g_variant_unref(node_call(bus, "UnsetEnv", g_variant_new("(s)", "CASE_SECRET")));
        run_ok("gpasswd", "-d", "alice", "adm", NULL);
        run_ok("gpasswd", "-d", "alice", "dialout", NULL);
}

static void assert_own_env(Bus *caller, const char *expected) {
        g_autoptr(GVariant) reply = node_call(caller, "ListEnv", NULL);
        g_autofree const char **variables = NULL;

        g_variant_get(reply, "(^a&s)", &variables);
        g_autofree char *joined = g_strjoinv(" ", (char **) variables);
        assert_string_equal(joined, expected);
}

/* Starts a role that writes down what it has, and returns that. */
static GHashTable *dump_of(Bus *caller, const char *role, GVariant *options) {
        g_autofree char *path = public_file(role);

        start(caller, role, options, actor(), "dump", path, "pause", NULL);
        await_file(path);
        return read_dump(path);
}

/* What she sets is hers, before and after a restart, and reaches what runs with her rights. */
static void test_environment(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice"), bob = bus_new_as("bob");
        void (*const restarts[])(Bus *) = { node_restart, node_crash };

        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", "CASE_SECRET", "root's")));
        node_call_fails(alice, "SetEnv", g_variant_new("(ss)", "CASE_OWN", "hers"), ACCESS_DENIED,
                ACTION "manage-environment", NULL);
        answer("self");
        g_variant_unref(node_call(alice, "SetEnv", g_variant_new("(ss)", "CASE_OWN", "hers")));
        for (size_t i = 0; i < G_N_ELEMENTS(restarts); i++) {
                restarts[i](bus);
                assert_own_env(alice, "CASE_OWN=hers");
                assert_own_env(bob, "");
        }
        node_call_fails(
                alice, "GetEnv", g_variant_new("(s)", "CASE_SECRET"), "NoSuchVariable", "uid 1001", NULL);
        node_call_fails(
                alice, "UnsetEnv", g_variant_new("(s)", "CASE_SECRET"), "NoSuchVariable", "uid 1001", NULL);
        node_call_fails(bus, "GetEnv", g_variant_new("(s)", "CASE_OWN"), "NoSuchVariable", NULL);

        {
                g_autoptr(GHashTable) hers = dump_of(alice, role_name("a"), NULL),
                                      his = dump_of(bob, role_name("b"), NULL),
                                      of_root = dump_of(bus, role_name("c"), OPTIONS("{'user': <'alice'>}")),
                                      as_bob = NULL;

                assert_string_equal(dump_get(hers, "env.CASE_OWN"), "hers");
                assert_null(g_hash_table_lookup(hers, "env.CASE_SECRET"));
                assert_null(g_hash_table_lookup(his, "env.CASE_OWN"));
                assert_null(g_hash_table_lookup(his, "env.CASE_SECRET"));
                assert_null(g_hash_table_lookup(of_root, "env.CASE_OWN"));
                assert_string_equal(dump_get(of_root, "env.CASE_SECRET"), "root's");
                answer("bob");
                as_bob = dump_of(alice, role_name("d"), OPTIONS("{'user': <'bob'>}"));
                assert_string_equal(dump_get(as_bob, "env.USER"), "bob");
                assert_null(g_hash_table_lookup(as_bob, "env.CASE_OWN"));
        }
        for (const char *const *r = (const char *const[]){ "a", "b", "c", "d", NULL }; *r; r++)
                kill_role(bus, role_name(*r));

        /* Not after a clean end. */
        systemctl("stop", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_own_env(alice, "");
}

static void test_as_other(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *other = role_name("b");
        g_autofree char *uids = NULL, *cgroup = NULL;

        answer("self");
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL), ACCESS_DENIED,
                ACTION "start-role-as", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'group': <'root'>}"), actor(), "pause", NULL), ACCESS_DENIED,
                ACTION "start-role-as", NULL);

        answer("bob");
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'bob'>, 'env': <{'LD_PRELOAD': '/tmp/x'}>}"), actor(),
                        "pause", NULL),
                ACCESS_DENIED, NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'root'>}"), actor(), "pause", NULL), ACCESS_DENIED, NULL);
        start(alice, role, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL);
        uids = process_status(role_pid(bus, role), "Uid");
        assert_string_equal(uids, "1002\t1002\t1002\t1002");
        assert_int_equal(role_get_u32(bus, role, "Owner"), ALICE);
        cgroup = role_cgroup(bus, role);
        assert_contains(cgroup, "/" SLICE_OF_ALICE ".slice/");

        /* Who has a terminal of bob's process is bob, so it is not her own. Neither is it his. */
        node_call_fails(alice, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        {
                g_autoptr(Bus) bob = bus_new_as("bob");

                node_call_fails(bob, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
                start(bob, other, OPTIONS("{'user': <'1002'>}"), actor(), "pause", NULL);
        }
        kill_role(bus, role);
        kill_role(bus, other);
}

static void test_accounts(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        g_autofree char *shell = NULL;
        guint mark;

        answer("yes");
        mark = bus_mark(bus);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'mallory'>}"), actor(), "pause", NULL), "SetupFailed",
                "User \"mallory\" does not exist", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'group': <'crew'>}"), actor(), "pause", NULL), "SetupFailed",
                "Group \"crew\" does not exist", NULL);
        run_ok("chage", "-E", LONG_AGO, "bob", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL), ACCESS_DENIED,
                "account of user \"bob\" has expired", NULL);
        run_ok("chage", "-E", "-1", "bob", NULL);
        run_ok("chage", "-E", LONG_AGO, "alice", NULL);
        node_call_fails(alice, "Start", start_args(role, NULL, actor(), "pause", NULL), ACCESS_DENIED,
                "account of user \"alice\" has expired", NULL);
        run_ok("chage", "-E", "-1", "alice", NULL);
        shell = run_ok("sh", "-c", "getent passwd alice | cut -d: -f7", NULL);
        run_ok("usermod", "-s", "/usr/sbin/nologin", "alice", NULL);
        node_call_fails(alice, "Start", start_args(role, NULL, actor(), "pause", NULL), ACCESS_DENIED,
                "may not log in", NULL);
        run_ok("usermod", "-s", g_strstrip(shell), "alice", NULL);
        assert_no_trace(bus, role, mark);
        start(alice, role, NULL, actor(), "pause", NULL);
}

/* Her cgroup is hers, but not its limits: how many there are below it is bounded, since all roles are stopped
 * by one process that walks over them. */
static void test_delegate(void **state) {
        static const char script[] = "CG=/sys/fs/cgroup$(sed -n s,^0::,,p /proc/self/cgroup); i=0; "
                                     "while mkdir $CG/c$i; do i=$((i+1)); done 2>/dev/null; "
                                     "for f in max.descendants kill freeze; do "
                                     "echo 1 >$CG/cgroup.$f && i=wrote-$f; done 2>/dev/null; "
                                     "echo $$ >$CG/c0/cgroup.procs && exec \"$0\" say \"$1\" $i pause";
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_autoptr(Fifo) fifo = fifo_new("delegate");
        const char *role = role_name("a");

        assert_return_code(chmod(fifo_path(fifo), 0666), errno);
        answer("yes");
        start(alice, role, OPTIONS("{'delegate': <true>}"), "sh", "-c", script, actor(), fifo_path(fifo),
                NULL);
        fifo_expect_pid(fifo, "256");
        g_autofree char *cgroup = role_cgroup(bus, role);
        stop(alice, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_false(cgroup_is_populated(cgroup));
}

static void test_limits(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a");
        guint mark = bus_mark(bus);

        answer("yes");
        node_call_fails(alice, "Start", start_args(role, OPTIONS("{'nice': <-1>}"), actor(), "pause", NULL),
                ACCESS_DENIED, "\"nice\"", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'oom-score-adjust': <-1>}"), actor(), "pause", NULL),
                ACCESS_DENIED, "\"oom-score-adjust\"", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'limits': <{'nofile': @t 2000000000}>}"), actor(), "pause", NULL),
                ACCESS_DENIED, "option limits", "nofile", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'limits': <{'rtprio': @t 10}>}"), actor(), "pause", NULL),
                ACCESS_DENIED, "option limits", "rtprio", NULL);
        node_call_fails(alice, "Start",
                start_args(role, OPTIONS("{'stop-timeout-usec': <@t 86400000000>}"), actor(), "pause", NULL),
                ACCESS_DENIED, "\"stop-timeout-usec\"", NULL);
        assert_no_trace(bus, role, mark);
        node_configure(bus, "MaxRolesPerUser=1\n");
        start(alice, role, NULL, actor(), "pause", NULL);
        node_call_fails(alice, "Start", start_args(role_name("b"), NULL, actor(), "pause", NULL),
                "LimitReached", "uid 1001", "MaxRolesPerUser=", NULL);
        node_configure(bus, NULL);
}

static GVariant *zeros(const char *role, gsize size) {
        g_autofree char *data = g_malloc0(size);

        return g_variant_new("(s@ay)", role, g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1));
}

static void end(Bus *caller, Bus *bus, const char *role) {
        start(caller, role, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
}

/* At each limit she gets an error that names it, and neither bob nor root meets it. */
static void test_quotas(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice"), bob = bus_new_as("bob");
        const char *hers = role_name("a"), *his = role_name("b");
        guint32 queued, of_bob, of_root;

        answer("self");
        node_configure(bus,
                "MaxPortsPerUser=2\nMaxEnvironmentPerUser=8\nMaxQueuedInputPerUser=300K\nMaxEndedRolesPerUser=2\n");
        g_variant_unref(node_call(alice, "BindTCP", g_variant_new("(u)", 2)));
        node_call_fails(alice, "BindUDP", g_variant_new("(u)", 1), "LimitReached", "uid 1001",
                "MaxPortsPerUser=", NULL);
        g_variant_unref(node_call(bob, "BindUDP", g_variant_new("(u)", 1)));
        g_variant_unref(node_call(bus, "BindTCP", g_variant_new("(u)", 3)));
        node_release_ports(bus);

        g_variant_unref(node_call(alice, "SetEnv", g_variant_new("(ss)", "A", "12345")));
        node_call_fails(alice, "SetEnv", g_variant_new("(ss)", "B", ""), "LimitReached", "uid 1001",
                "8 bytes", "MaxEnvironmentPerUser=", NULL);
        g_variant_unref(node_call(bob, "SetEnv", g_variant_new("(ss)", "B", "")));
        g_variant_unref(node_call(bob, "UnsetEnv", g_variant_new("(s)", "B")));
        g_variant_unref(node_call(alice, "UnsetEnv", g_variant_new("(s)", "A")));

        start(alice, hers, NULL, actor(), "pause", NULL);
        start(bob, his, NULL, actor(), "pause", NULL);
        queued = node_send(alice, "WriteInput", zeros(hers, 250000));
        node_call_fails(alice, "WriteInput", zeros(hers, 100000), "LimitReached", "uid 1001",
                "MaxQueuedInputPerUser=", NULL);
        of_bob = node_send(bob, "WriteInput", zeros(his, 250000));
        of_root = node_send(bus, "WriteInput", zeros(hers, 400000));
        assert_poll(bob, his, "running"); /* which comes after his input */
        g_variant_unref(node_call(alice, "Stop", g_variant_new("(s)", hers)));
        g_variant_unref(node_call(bob, "Stop", g_variant_new("(s)", his)));
        expect_exited(bus, hers, "killed", SIGTERM, "stop");
        expect_exited(bus, his, "killed", SIGTERM, "stop");
        bus_failure(alice, queued, "NoInput", NULL);
        bus_failure(bob, of_bob, "NoInput", NULL);
        bus_failure(bus, of_root, "NoInput", NULL);

        end(bus, bus, role_name("of-root"));
        for (const char *const *r = (const char *const[]){ "c", "d", "e", NULL }; *r; r++)
                end(alice, bus, role_name(*r));
        bus_wait(bus, "RolePurged", role_name("c"));
        assert_poll(bus, hers, "none");
        assert_poll(bus, role_name("d"), "exit 0");
        assert_poll(bus, role_name("e"), "exit 0");
        assert_poll(bus, his, "exit -15");
        assert_poll(bus, role_name("of-root"), "exit 0");

        node_configure(bus, "MaxStartsPerUser=1\n");
        node_restart(bus); /* which forgets what was started before */
        end(alice, bus, role_name("d"));
        node_call_fails(alice, "Start", start_args(role_name("d"), NULL, actor(), "pause", NULL),
                "LimitReached", "uid 1001", "MaxStartsPerUser=", NULL);
        assert_poll(bus, role_name("d"), "exit 0");
        end(bob, bus, his);
        end(bus, bus, role_name("of-root"));
        end(bus, bus, role_name("of-root"));
        node_configure(bus, NULL);
}

/* Files are hers. */
static void test_output(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("a"), *other = role_name("b"), *to_journal = role_name("c");
        g_autofree char *path = public_file("out"), *link = g_strconcat(path, ".link", NULL),
                        *output = g_strconcat("file:", path, NULL),
                        *by_link = g_strconcat("file:", link, NULL), *match = NULL, *lines = NULL;
        struct stat st;

        answer("yes");
        start(alice, role, OPTIONS("{'output': <%s>}", output), actor(), "print", "x", "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, ALICE);
        assert_int_equal(symlink("/etc/shadow", link), 0);
        node_call_fails(alice, "Start",
                start_args(other, OPTIONS("{'output': <%s>}", by_link), actor(), "pause", NULL),
                "SetupFailed", "symbolic link", NULL);
        node_call_fails(alice, "Start",
                start_args(other, OPTIONS("{'output': <'append:/etc/shadow'>}"), actor(), "pause", NULL),
                "SetupFailed", "Permission denied", NULL);

        /* The journal does not take it for root's. It looks for the unit of the process, which must be there
         * then. */
        start(alice, to_journal, OPTIONS("{'output': <'journal'>}"), actor(), "print", "hers", "pause", NULL);
        match = g_strdup_printf("_SYSTEMD_UNIT=architect-main-%s.scope", to_journal);
        WAIT_UNTIL((g_free(lines), lines = journal(match, "_UID=1001", NULL)) && strstr(lines, "hers"));
        kill_role(bus, to_journal);
}

/* Another's role is neither replaced nor hidden, running or ended, before or after the question; root's may
 * be hers afterwards only if root removes it. */
static void test_names(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice"), bob = bus_new_as("bob");
        const char *role = role_name("a"), *other = role_name("b"), *late = role_name("c");
        guint32 serial;
        int fd;

        answer("self");
        start(bus, role, NULL, actor(), "pause", NULL);
        node_call_fails(alice, "Start", start_args(role, NULL, actor(), "pause", NULL), "RoleExists",
                "is running", NULL);
        kill_role(bus, role);
        node_call_fails(alice, "Start", start_args(role, NULL, actor(), "pause", NULL), ACCESS_DENIED,
                "choose another name", NULL);
        assert_poll(bus, role, "exit -9");
        node_call_fails(
                alice, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }), ACCESS_DENIED, NULL);

        start(bob, other, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, other, "exited", 3, "self");
        node_call_fails(alice, "Start", start_args(other, NULL, actor(), "pause", NULL), ACCESS_DENIED, NULL);
        assert_poll(bus, other, "exit 3");
        start(bob, other, NULL, actor(), "pause", NULL);
        /* Root may. */
        kill_role(bus, other);
        start(bus, other, NULL, actor(), "pause", NULL);

        /* Bob's comes while polkit is asked about alice's. */
        answer("hold");
        serial = node_send(alice, "Start", start_args(late, NULL, actor(), "pause", NULL));
        fd = open(HOLD, O_WRONLY | O_CLOEXEC);
        assert_return_code(fd, errno);
        start(bus, late, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL);
        answer("self");
        assert_int_equal(write(fd, "self", 4), 4);
        assert_int_equal(close(fd), 0);
        bus_failure(alice, serial, "RoleExists", NULL);
        assert_poll(bus, late, "running");
}

/* The next process of the node knows whose the role is, and in whose slice. */
static void again(Bus *bus, void (*restart)(Bus *bus)) {
        g_autoptr(Bus) alice = bus_new_as("alice"), bob = bus_new_as("bob");
        const char *role = role_name("a"), *next = role_name("b");
        g_autofree char *cgroup = NULL, *of_next = NULL;
        pid_t pid;

        answer("self");
        start(alice, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);
        cgroup = role_cgroup(bus, role);
        restart(bus);
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(role_get_u32(bus, role, "Owner"), ALICE);
        node_call_fails(bob, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        start(alice, next, NULL, actor(), "pause", NULL);
        of_next = role_cgroup(bus, next);
        g_variant_unref(node_call(alice, "Kill", g_variant_new("(s)", next)));
        /* Her slice is not empty. */
        assert_contains(of_next, "/" SLICE_OF_ALICE "-0.slice/");
        assert_true(cgroup_is_populated(cgroup));
        assert_int_equal(role_pid(bus, role), pid);
        g_variant_unref(node_call(alice, "Stop", g_variant_new("(s)", role)));
        if (restart == node_restart)
                await_no_slice_of_alice(bus);
}

static void test_restart(void **state) {
        again(*state, node_restart);
}

static void test_crash(void **state) {
        again(*state, node_crash);
}

/* A limit of the site for all that she starts. */
static void test_drop_in(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_autoptr(GVariant) tasks = NULL;
        const char *role = role_name("a");

        answer("self");
        /* The drop-in applies to a slice that is loaded, too. */
        unit_configure(SLICE_OF_ALICE ".slice", "[Slice]\nTasksMax=77\n");
        start(alice, role, NULL, actor(), "pause", NULL);
        tasks = unit_get(bus, SLICE_OF_ALICE ".slice", "Slice", "TasksMax");
        assert_int_equal(g_variant_get_uint64(tasks), 77);
        kill_role(bus, role);
        unit_configure(SLICE_OF_ALICE ".slice", NULL);
}

#define USER_TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                USER_TEST(test_default),
                USER_TEST(test_oneself),
                USER_TEST(test_environment),
                USER_TEST(test_as_other),
                USER_TEST(test_accounts),
                USER_TEST(test_delegate),
                USER_TEST(test_limits),
                USER_TEST(test_quotas),
                USER_TEST(test_output),
                USER_TEST(test_names),
                USER_TEST(test_restart),
                USER_TEST(test_crash),
                USER_TEST(test_drop_in),
        };

        case_begin("start-user");
        return cmocka_run_group_tests_name("start-user", tests, group_setup, group_teardown);
}
