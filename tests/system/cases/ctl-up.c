/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl up, diff and down: an observatory of two instances of the service on this machine, which are
 * two hosts for it. Several machines, by ssh, are in tests/system/remote.py. */

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ctl.h"
#include "testlib.h"

#define OTHER "dome"
#define OTHER_UNIT "architect-node@" OTHER ".service"

static Bus *other;

#define HOSTS "[Host main]\nLocal=yes\n[Host dome]\nLocal=yes\nInstance=" OTHER "\n"
#define ROLE(name, host, command, more) "[Role " name "]\nHost=" host "\nCommand=" command "\n" more
#define CAMERA(more) ROLE("camera", "main", "sleep 600", "Requires=mount\n" more)
#define HUB(more) ROLE("hub", "main", "sleep 601", "BindsTo=camera\n" more)
#define MOUNT(more) ROLE("mount", "dome", "sleep 602", more)

#define FILE_NAME "north.observatory"
#define UP(...) CTL("--yes", "up", __VA_ARGS__)
#define UP_OUT(status) CTL_OUT(status, "--yes", "up", file())

static const char *file(void) {
        return scratch(FILE_NAME);
}

static void describe(const char *text) {
        write_file(file(), text);
}

static bool lives(Bus *bus, const char *role) {
        const char *state = role_state(bus, role);

        return strcmp(state, "none") != 0 && strcmp(state, "ended") != 0;
}

/* Waits for a line with this text. */
static void expect_line(Fifo *fifo, const char *text) {
        for (;;) {
                g_autofree char *said = fifo_line(fifo);

                if (strstr(said, text))
                        return;
        }
}

/* Runs "up" beside the test. What it says goes to the FIFO. */
static pid_t spawn_up(Fifo *fifo) {
        g_autofree char *line =
                g_strdup_printf("exec architectctl --yes up %s >/dev/null 2>%s", file(), fifo_path(fifo));

        return spawn("sh", "-c", line, NULL);
}

static void expect_status(pid_t pid, int expected) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), expected);
}

static int up_setup(void **state) {
        int r = case_setup(state);

        other = bus_new_instance(OTHER);
        systemctl("start", OTHER_UNIT);
        node_wait_name(other, true);
        return r;
}

/* The names of its roles do not begin with that of the case. */
static int up_teardown(void **state) {
        const char *instances[] = { "--instance=main", "--instance=" OTHER };
        bool clean = true;

        for (size_t i = 0; i < G_N_ELEMENTS(instances); i++) {
                g_auto(CtlRun) kill = CTL(instances[i], "kill", "--all", "--force"),
                               purge = CTL(instances[i], "purge", "--all", "--force"),
                               list = CTL(instances[i], "-j", "list");
                if (strcmp(list.out, "[]\n") != 0) {
                        print_error("clean-up: %s%s%s\n", kill.err, purge.err, list.out);
                        clean = false;
                }
        }
        systemctl("stop", OTHER_UNIT);
        bus_free(other);
        return case_teardown(state) == 0 && clean ? 0 : -1;
}

static void test_up(void **state) {
        Bus *bus = *state;

        describe(HOSTS HUB("") CAMERA("") MOUNT(""));
        g_auto(CtlRun) diff = CTL("diff", file());
        assert_int_equal(diff.status, 1);
        assert_contains(diff.out, "mount");
        assert_false(lives(bus, "camera"));

        g_auto(CtlRun) nobody = CTL("up", file());
        assert_int_equal(nobody.status, 2);
        assert_contains(nobody.err, "needs --yes");
        assert_false(lives(other, "mount"));

        g_auto(CtlRun) up = UP(file());
        if (up.status != 0)
                fail_msg("%s%s", up.out, up.err);
        assert_contains(up.out, "it does not run");
        assert_contains(up.err, "dome: mount is started.");
        assert_true(role_get_u64(other, "mount", "StartTimestamp") <=
                    role_get_u64(bus, "camera", "StartTimestamp"));
        assert_true(
                role_get_u64(bus, "camera", "StartTimestamp") <= role_get_u64(bus, "hub", "StartTimestamp"));
        g_autofree char *manager = role_get_string(bus, "hub", "ManagedBy");
        assert_true(g_str_has_prefix(manager, "desk:north#"));

        const pid_t pid = role_pid(bus, "hub");
        g_auto(CtlRun) again = CTL("up", file());
        assert_int_equal(again.status, 0);
        assert_string_equal(again.out, "");
        assert_contains(again.err, "Everything is as ");
        assert_int_equal(role_pid(bus, "hub"), pid);
        g_free(CTL_OUT(0, "diff", file()));

        /* The manager decides. */
        g_autofree char *refused = CTL_ERR(5, "stop", "hub");
        assert_contains(refused, "architectctl down north");

        g_auto(CtlRun) down = CTL("--yes", "down", file());
        assert_int_equal(down.status, 0);
        assert_true(strstr(down.err, "hub is stopped") < strstr(down.err, "camera is stopped"));
        assert_true(strstr(down.err, "camera is stopped") < strstr(down.err, "mount is stopped"));
        assert_false(lives(bus, "hub") || lives(bus, "camera") || lives(other, "mount"));
        g_auto(CtlRun) nothing = CTL("down", file());
        assert_int_equal(nothing.status, 0);
        assert_string_equal(nothing.out, "");
}

static void test_changes(void **state) {
        Bus *bus = *state;

        describe(HOSTS HUB("") CAMERA("") MOUNT("") ROLE("logger", "main dome", "sleep 603", ""));
        g_free(UP_OUT(0));
        pid_t hub = role_pid(bus, "hub"), camera = role_pid(bus, "camera"), mount = role_pid(other, "mount"),
              logger = role_pid(other, "logger");

        /* What binds to it goes with it; nothing else does. */
        describe(HOSTS HUB("") CAMERA("Nice=1\n") MOUNT("") ROLE("logger", "main dome", "sleep 603", ""));
        g_autofree char *plan = UP_OUT(0);
        assert_contains(plan, "its options have changed");
        assert_contains(plan, "camera is restarted");
        assert_int_not_equal(role_pid(bus, "hub"), hub);
        assert_int_not_equal(role_pid(bus, "camera"), camera);
        assert_int_equal(role_pid(other, "mount"), mount);
        assert_int_equal(role_pid(other, "logger"), logger);

        /* Over hosts, too. */
        hub = role_pid(bus, "hub");
        describe(HOSTS HUB("") CAMERA("Nice=1\n") MOUNT("Nice=1\n")
                        ROLE("logger", "main dome", "sleep 603", ""));
        g_free(UP_OUT(0));
        assert_int_not_equal(role_pid(bus, "hub"), hub);
        assert_int_not_equal(role_pid(other, "mount"), mount);

        /* What the file does not have any more is stopped. */
        hub = role_pid(bus, "hub");
        describe(HOSTS HUB("") CAMERA("Nice=1\n") MOUNT("Nice=1\n") ROLE("logger", "main", "sleep 603", ""));
        g_autofree char *stops = CTL_OUT(0, "up", file());
        assert_contains(stops, "the file does not have it any more");
        assert_false(lives(other, "logger"));
        assert_true(lives(bus, "logger"));
        assert_int_equal(role_pid(bus, "hub"), hub);

        /* What has ended is started again. */
        assert_return_code(kill(role_pid(bus, "logger"), SIGKILL), errno);
        expect_exited(bus, "logger", "killed", SIGKILL, "external");
        g_autofree char *starts = CTL_OUT(0, "up", file());
        assert_contains(starts, "it has ended (SIGKILL)");
        assert_true(lives(bus, "logger"));
}

static void test_in_the_way(void **state) {
        Bus *bus = *state;

        start(bus, "camera", NULL, "sleep", "700", NULL);
        const pid_t pid = role_pid(bus, "camera");
        describe(HOSTS CAMERA("") MOUNT(""));
        g_auto(CtlRun) refused = UP(file());
        assert_int_equal(refused.status, 1);
        assert_contains(refused.err, "camera on main runs, and was not started by this observatory");
        assert_int_equal(role_pid(bus, "camera"), pid);
        assert_false(lives(other, "mount"));
        g_free(CTL_OUT(0, "--yes", "up", "--force", file()));
        assert_int_not_equal(role_pid(bus, "camera"), pid);
        assert_true(lives(other, "mount"));

        /* Another role needs what is in the way, and a third one would be restarted. */
        describe(HOSTS CAMERA("") MOUNT("") ROLE("hub", "main", "sleep 601", "Requires=mount\n"));
        g_free(UP_OUT(0));
        g_free(CTL_OUT(0, "--instance=" OTHER, "stop", "--force", "mount"));
        start(other, "mount", NULL, "sleep", "701", NULL);
        describe(HOSTS CAMERA("Nice=1\n") MOUNT("") ROLE("hub", "main", "sleep 601", "Requires=mount\n"));
        g_auto(CtlRun) needed = UP(file());
        assert_int_equal(needed.status, 1);
        assert_contains(needed.err, "mount on dome runs, and was not started by this observatory");
}

/* PartOf= has no order, so it may be the other way round than that. */
static void test_part_of(void **state) {
        Bus *bus = *state;

        describe(HOSTS HUB("PartOf=logger\n") CAMERA("") MOUNT("")
                        ROLE("logger", "main", "sleep 603", "After=hub\n"));
        g_free(UP_OUT(0));
        const pid_t hub = role_pid(bus, "hub"), logger = role_pid(bus, "logger");
        describe(HOSTS HUB("PartOf=logger\n") CAMERA("") MOUNT("")
                        ROLE("logger", "main", "sleep 603", "After=hub\nNice=1\n"));
        g_free(UP_OUT(0));
        assert_int_not_equal(role_pid(bus, "hub"), hub);
        assert_int_not_equal(role_pid(bus, "logger"), logger);
        g_free(CTL_OUT(0, "--yes", "down", file()));
        assert_false(lives(bus, "hub") || lives(bus, "logger"));
}

#define SLOW_END \
        "sh -c 'trap \"sleep 0.5; exit 0\" TERM; systemd-notify --ready; while :; do sleep 0.05; done'"
#define SLOW_CAMERA(host) ROLE("camera", host, SLOW_END, "Type=notify\nNotifyAccess=all\n")

/* There are no two copies of a role that is on another host now. */
static void test_moved(void **state) {
        Bus *bus = *state;

        describe(HOSTS SLOW_CAMERA("dome") ROLE("hub", "main", "sleep 601", "Requires=camera\n"));
        g_free(UP_OUT(0));
        const pid_t hub = role_pid(bus, "hub");
        describe(HOSTS SLOW_CAMERA("main") ROLE("hub", "main", "sleep 601", "Requires=camera\n"));
        g_autofree char *plan = UP_OUT(0);
        assert_contains(plan, "camera is moved");
        assert_true(role_get_u64(other, "camera", "ExitTimestamp") <=
                    role_get_u64(bus, "camera", "StartTimestamp"));
        assert_int_not_equal(role_pid(bus, "hub"), hub);

        /* Its end is not known, so it is not started. */
        describe(HOSTS ROLE("weather", "dome", "sleep 605", ""));
        g_free(UP_OUT(0));
        g_free(CTL_OUT(0, "--instance=" OTHER, "lease", "acquire", "x"));
        start(other, "camera", OPTIONS("{'lease': <'x'>, 'managed-by': <'desk:north'>}"), "sleep", "606",
                NULL);
        describe(HOSTS SLOW_CAMERA("main"));
        g_auto(CtlRun) refused = UP(file());
        assert_int_equal(refused.status, 1);
        assert_contains(refused.err, "main: camera: not started, because it was not stopped on dome");
        assert_false(lives(bus, "camera"));
        assert_true(lives(other, "camera"));

        /* The lease of the file is not its lease, either. */
        describe("[Observatory]\nLease=moved\n" HOSTS SLOW_CAMERA("main"));
        g_autofree char *other_lease = CTL_ERR(1, "--yes", "down", file());
        assert_contains(other_lease, "belongs to lease \"x\"");
        g_free(CTL_OUT(0, "--yes", "down", "--force", file()));
        assert_false(lives(other, "camera"));

        /* Nor is it when it has ended. */
        describe(HOSTS ROLE("camera", "dome", "sleep 607", ""));
        g_auto(CtlRun) ended = UP(file());
        assert_int_equal(ended.status, 1);
        assert_contains(ended.err, "belongs to lease \"x\"");
        g_free(CTL_OUT(0, "--yes", "up", "--force", file()));
        assert_true(lives(other, "camera"));
}

static void test_failures(void **state) {
        Bus *bus = *state;

        describe(HOSTS CAMERA("") ROLE("mount", "dome", "/nonexistent/mount", "")
                        ROLE("logger", "main", "sleep 603", "After=mount\n"));
        g_auto(CtlRun) run = UP(file());
        assert_int_equal(run.status, 1);
        assert_contains(run.err, "dome: mount: ");
        assert_contains(run.err, "main: camera: not started, because it needs mount on dome");
        assert_contains(run.err, "1 done, 2 failed");
        assert_true(lives(bus, "logger"));
        assert_false(lives(bus, "camera"));

        /* The rest is done when it can be. */
        const pid_t pid = role_pid(bus, "logger");
        describe(HOSTS CAMERA("") MOUNT("") ROLE("logger", "main", "sleep 603", "After=mount\n"));
        g_free(UP_OUT(0));
        assert_true(lives(bus, "camera"));
        assert_int_equal(role_pid(bus, "logger"), pid);

        /* A host that is not there is a row, and the others go on. */
        describe(HOSTS "[Host far]\nAddress=nowhere.invalid\n" CAMERA("") MOUNT("")
                        ROLE("weather", "far", "sleep 1", "") ROLE("web", "main", "sleep 604", ""));
        g_auto(CtlRun) far = UP(file());
        assert_int_equal(far.status, 1);
        assert_contains(far.out, "no answer: ");
        assert_true(lives(bus, "web"));
}

static void test_bad_files(void **state) {
        Bus *bus = *state;
        static const struct {
                const char *text, *error;
        } bad[] = {
                { HOSTS MOUNT("Nice=x\n"), "north.observatory:9: Nice= is \"x\", but must be an integer" },
                { HOSTS MOUNT("Nicee=1\n"),
                        "north.observatory:9: a section [Role NAME] has no key Nicee=; did you mean Nice=?" },
                { HOSTS "[Role a]\nCommand=x\n", "north.observatory:6: [Role a] has no Host=" },
                { HOSTS "[Role a]\nHost=main\n", "north.observatory:6: Command= is missing" },
                { HOSTS ROLE("a", "nowhere", "x", ""), "north.observatory:7: there is no [Host nowhere]" },
                { HOSTS ROLE("a", "main", "x", "After=b\n"), "north.observatory:9: there is no [Role b]" },
                { HOSTS ROLE("a", "main", "x", "After=b\n") ROLE("b", "dome", "x", "After=a\n"),
                        "roles wait for each other in a circle: a -> b -> a" },
                { HOSTS ROLE("a", "main", "x", "BindsTo=b\n") ROLE("b", "dome", "x", ""),
                        "north.observatory:9: b is on another host than a" },
                { HOSTS MOUNT("") MOUNT(""),
                        "north.observatory:9: there is a section [Role mount] in line 6 already" },
                { HOSTS "[Role ZWO CCD]\n", "\"ZWO CCD\" is no valid name; \"ZWO_CCD\" would be one" },
                { HOSTS MOUNT("AutoStart=yes\n"), "north.observatory:9: AutoStart= is for role files" },
                { HOSTS MOUNT("Lease=x\n"), "that of Lease= in [Observatory]" },
                { HOSTS MOUNT("") "[Dome]\n", "north.observatory:9: the section [Dome] is unknown" },
                { "[Host a]\nAddress=-oProxyCommand=x\n", "Address= is \"-oProxyCommand=x\"" },
                { "[Observatory]\nBeatSec=40\n[Host a]\nLocal=yes\n", "BeatSec= is not shorter" },
                { "[Host a]\nLocal=yes\n[Host b]\nLocal=yes\n",
                        "north.observatory:3: [Host b] is the same service as [Host a]" },
                { "[Observatory]\nLease=x\nLeaseTimeoutSec=2us\n[Host a]\nLocal=yes\n",
                        "LeaseTimeoutSec= is too short" },
                { "[Observatory]\nLease=x\nBeatSec=1ms\n[Host a]\nLocal=yes\n", "BeatSec= is too short" },
                { "Command=x\n", "north.observatory:1: " },
                { "", "there is no [Host NAME]" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                describe(bad[i].text);
                g_auto(CtlRun) run = UP(file());
                assert_int_equal(run.status, 1);
                assert_contains(run.err, bad[i].error);
                assert_contains(run.err, "Nothing was done.");
                assert_false(lives(bus, "a") || lives(other, "mount"));
        }
        g_autofree char *missing = CTL_ERR(1, "up", "south");
        assert_contains(missing, "south cannot be read: there is no such file");
        assert_contains(missing, "There is also no south.observatory in");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *no_file = CTL_ERR(1, "up", fifo_path(fifo));
        assert_contains(no_file, "cannot be read: it is no regular file");
        g_free(CTL_ERR(2, "up"));
        describe(HOSTS MOUNT(""));
        g_autofree char *token = CTL_ERR(2, "up", "--token=1", file());
        assert_contains(token, "--token= is for a lease, and ");
        g_autofree char *host = CTL_ERR(2, "-H", "x", "up", file());
        assert_contains(host, "its hosts are those of the file");
}

/* Ctrl-C says what was done, and the next one goes on from there. */
static void test_interrupted(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) said = fifo_new("said");
        g_autofree char *go = g_strdup(scratch("go")),
                        *text = g_strdup_printf(
                                HOSTS ROLE("logger", "main", "sleep 603", "") ROLE("mount", "dome",
                                        "sh -c 'while ! [ -e %s ]; do sleep 0.05; done;"
                                        " systemd-notify --ready; exec sleep 600'",
                                        "Type=notify\nNotifyAccess=all\n"
                                        "TimeoutStartSec=infinity\nAfter=logger\n") CAMERA(""),
                                go);

        describe(text);
        pid_t pid = spawn_up(said);
        WAIT_UNTIL(lives(other, "mount") && role_get_u32(other, "mount", "MainPID") > 1);
        assert_return_code(kill(pid, SIGINT), errno);
        expect_line(said, "interrupted: 1 done, 1 go on on their hosts, 0 failed, 1 were not begun");
        expect_status(pid, 1);
        assert_false(lives(bus, "camera"));

        /* The start that goes on is waited for, and not done again. What does not wait for it comes after
         * what does in the file. */
        const pid_t mount = role_pid(other, "mount");
        g_autofree char *more = g_strconcat(text, ROLE("web", "main", "sleep 604", ""), NULL);
        describe(more);
        pid = spawn_up(said);
        WAIT_UNTIL(lives(bus, "web"));
        assert_false(lives(bus, "camera"));
        assert_true(g_file_set_contents(go, "", 0, NULL));
        expect_status(pid, 0);
        assert_int_equal(role_pid(other, "mount"), mount);
        assert_true(lives(bus, "camera"));
}

/* Its service ends while a start is waited for that had begun before. */
static void test_service_ends(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) said = fifo_new("said");

        describe(HOSTS ROLE("mount", "dome", "sleep 600", "Type=notify\nTimeoutStartSec=infinity\n"));
        pid_t pid = spawn_up(said);
        WAIT_UNTIL(lives(other, "mount") && role_get_u32(other, "mount", "MainPID") > 1);
        assert_return_code(kill(pid, SIGINT), errno);
        expect_status(pid, 1);
        describe(HOSTS ROLE("mount", "dome", "sleep 600", "Type=notify\nTimeoutStartSec=infinity\n")
                        CAMERA("") ROLE("web", "main", "sleep 604", ""));
        pid = spawn_up(said);
        WAIT_UNTIL(lives(bus, "web"));
        systemctl("stop", OTHER_UNIT);
        expect_line(said, "main: camera: not started, because it needs mount on dome");
        expect_status(pid, 1);
        systemctl("start", OTHER_UNIT);
        node_wait_name(other, true);
}

/* Runs "up" beside the test, with this script as ssh. */
static pid_t spawn_up_with_ssh(const char *script, Fifo *said) {
        g_autofree char *path = g_strdup(scratch("ssh")),
                        *line = g_strdup_printf(
                                "PATH=${0%%/*}:$PATH exec architectctl --yes up %s >/dev/null 2>%s", file(),
                                fifo_path(said));

        write_file(path, script);
        assert_return_code(chmod(path, 0755), errno);
        return spawn("sh", "-c", line, path, NULL);
}

/* Nobody knows what has become of a start whose connection is lost, and that is what it says. */
static void test_connection_lost(void **state) {
        g_autoptr(Fifo) said = fifo_new("said"), connects = fifo_new("connects");
        g_autofree char *ssh =
                g_strdup_printf("#!/bin/sh\necho $$ >%s\nexec systemd-stdio-bridge\n", fifo_path(connects));

        describe("[Host far]\nInstance=" OTHER
                 "\n" ROLE("mount", "far", "sleep 600", "Type=notify\nTimeoutStartSec=infinity\n"));
        const pid_t pid = spawn_up_with_ssh(ssh, said);
        g_autofree char *connection = fifo_line(connects);
        WAIT_UNTIL(lives(other, "mount") && role_get_u32(other, "mount", "MainPID") > 1);
        assert_return_code(kill((pid_t) strtol(connection, NULL, 10), SIGTERM), errno);
        expect_line(said, "far: mount: the connection was lost while it was started: ");
        expect_status(pid, 1);
}

/* Ctrl-C before anything is done: while a host is connected, and at the question. */
static void test_interrupted_early(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) said = fifo_new("said"), connects = fifo_new("connects");
        g_autofree char *ssh =
                g_strdup_printf("#!/bin/sh\necho connects >%s\nexec sleep 600\n", fifo_path(connects));

        describe(HOSTS "[Host far]\nAddress=far.invalid\n" CAMERA("") MOUNT(""));
        const pid_t pid = spawn_up_with_ssh(ssh, said);
        expect_line(connects, "connects");
        assert_return_code(kill(pid, SIGINT), errno);
        expect_line(said, "interrupted, nothing was done");
        expect_status(pid, 1);

        describe(HOSTS CAMERA("") MOUNT(""));
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("up", file());
        screen_expect(t.screen, "on 2 hosts? [y/N]");
        screen_type(t.screen, "\003");
        screen_expect(t.screen, "interrupted, nothing was done");
        assert_int_equal(ctl_terminal_wait(&t), 1);
        assert_false(lives(bus, "camera") || lives(other, "mount"));
        g_auto(CtlTerminal) yes = CTL_ON_TERMINAL("up", file());
        screen_expect(yes.screen, "on 2 hosts? [y/N]");
        screen_type(yes.screen, "y\n");
        assert_int_equal(ctl_terminal_wait(&yes), 0);
        assert_true(lives(bus, "camera"));
}

/* Another manager takes over before the first one has started everything. */
static void test_taken_over_early(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) first = fifo_new("first"), second = fifo_new("second");
        g_autofree char *go = g_strdup(scratch("go")),
                        *text = g_strdup_printf(
                                "[Observatory]\nLease=early\nBeatSec=50ms\n" HOSTS ROLE("mount", "dome",
                                        "sh -c 'while ! [ -e %s ]; do sleep 0.05; done;"
                                        " systemd-notify --ready; exec sleep 600'",
                                        "Type=notify\nNotifyAccess=all\n"
                                        "TimeoutStartSec=infinity\n") CAMERA(""),
                                go);

        describe(text);
        const pid_t pid = spawn_up(first);
        WAIT_UNTIL(lives(other, "mount") && role_get_u32(other, "mount", "MainPID") > 1);
        const pid_t new_pid = spawn_up(second);
        expect_line(first, "Another manager has taken over");
        expect_status(pid, 5);
        assert_true(g_file_set_contents(go, "", 0, NULL));
        expect_line(second, "Lease early is held with fencing token 2");
        assert_true(lives(bus, "camera"));
        assert_return_code(kill(new_pid, SIGTERM), errno);
        expect_status(new_pid, 0);
}

/* Whoever runs "up" is the manager, until the next one is, or until it does not beat. */
static void test_lease(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) first = fifo_new("first"), second = fifo_new("second");
        int status;

        describe("[Observatory]\nLease=north\nLeaseTimeoutSec=2\nBeatSec=100ms\n" HOSTS CAMERA("") MOUNT(""));
        pid_t pid = spawn_up(first);
        expect_line(first, "Lease north is held with fencing token 1");
        const pid_t camera = role_pid(bus, "camera"), mount = role_pid(other, "mount");
        g_autofree char *lease = role_get_string(other, "mount", "Lease");
        assert_string_equal(lease, "north");

        /* Another one takes over, and the first one can do nothing any more. */
        pid_t new_pid = spawn_up(second);
        expect_line(second, "Lease north is held with fencing token 2");
        expect_line(first, "Another manager has taken over");
        expect_status(pid, 5);
        g_autofree char *stale = CTL_ERR(5, "--yes", "up", "--token=1", file());
        assert_contains(stale, "Nothing was started or stopped.");
        assert_int_equal(role_pid(bus, "camera"), camera);
        assert_int_equal(role_pid(other, "mount"), mount);

        /* It dies, and so do the roles. */
        assert_return_code(kill(new_pid, SIGKILL), errno);
        assert_int_equal(waitpid(new_pid, &status, 0), new_pid);
        expect_exited(bus, "camera", "killed", SIGTERM, "monitor");
        expect_exited(other, "mount", "killed", SIGTERM, "monitor");

        /* "down" takes over, too. */
        pid = spawn_up(first);
        expect_line(first, "Lease north is held with fencing token 3");
        g_free(CTL_OUT(0, "--yes", "down", file()));
        assert_false(lives(bus, "camera") || lives(other, "mount"));
        expect_status(pid, 5);
        g_autofree char *leases = CTL_OUT(0, "-j", "leases");
        assert_contains(leases, "\"token\":4");

        describe("[Observatory]\nLease=north\nLeaseTimeoutSec=infinity\n" HOSTS CAMERA("") MOUNT(""));
        pid = spawn_up(first);
        expect_line(first, "Lease north is held with fencing token 5");
        assert_return_code(kill(pid, SIGTERM), errno);
        expect_line(first, "No more beats. The roles run on");
        expect_status(pid, 0);
}

#define UP_TEST(test) cmocka_unit_test_setup_teardown(test, up_setup, up_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                UP_TEST(test_up),
                UP_TEST(test_changes),
                UP_TEST(test_in_the_way),
                UP_TEST(test_part_of),
                UP_TEST(test_moved),
                UP_TEST(test_failures),
                UP_TEST(test_bad_files),
                UP_TEST(test_interrupted),
                UP_TEST(test_service_ends),
                UP_TEST(test_connection_lost),
                UP_TEST(test_interrupted_early),
                UP_TEST(test_lease),
                UP_TEST(test_taken_over_early),
        };

        return run_case("ctl-up", tests);
}
