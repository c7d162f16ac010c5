/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files of alerts, what they match, and what an event is for them. */

#include "test-directory.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alert/alert-command.h"
#include "alert/alert-event.h"
#include "alert/alert-settings.h"
#include "util/autoptr.h"
#include "util/log.h"

static char *warnings;

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        g_autofree char *old = warnings;

        warnings = g_strconcat(old ?: "", text, "\n", NULL);
}

static int setup(void **state) {
        int r = directory_setup(state);

        log_set_max_level(LOG_WARNING);
        log_set_target(LOG_TARGET_NULL);
        log_set_sink(on_log, NULL);
        return r;
}

static int teardown(void **state) {
        static const char *const files[] = { "a.conf", "b.conf", "c d.conf", ".hidden.conf", "x.txt", NULL };

        log_set_sink(NULL, NULL);
        log_set_target(LOG_TARGET_CONSOLE);
        g_clear_pointer(&warnings, g_free);
        return directory_teardown(state, files);
}

static void write_file(const Directory *d, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(d->path, name, NULL);

        assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Loads a.conf, which is valid. */
static Alert *load(const Directory *d, const char *text) {
        g_autoptr(GPtrArray) alerts = NULL, problems = NULL;

        write_file(d, "a.conf", text);
        alerts_load(d->path, &alerts, &problems);
        if (problems->len > 0)
                fail_msg("%s", (char *) g_ptr_array_index(problems, 0));
        assert_int_equal(alerts->len, 1);
        return g_ptr_array_steal_index(alerts, 0);
}

static void assert_words(char *const *words, const char *expected) {
        g_autofree char *text = g_strjoinv("|", (char **) words);

        assert_string_equal(text, expected);
}

static const AlertCommand *command_at(const Alert *alert, unsigned i) {
        return g_ptr_array_index(alert->commands, i);
}

/* -- files -- */

static void test_defaults(void **state) {
        g_autoptr(Alert) a = load(*state, "[Alert]\nOn=failed\nCommand=/bin/true\n");

        assert_string_equal(a->name, "a");
        assert_int_equal(a->kinds, INCIDENT_BIT(INCIDENT_FAILED));
        assert_words(a->roles, "");
        assert_words(a->groups, "");
        assert_words(a->instances, "main");
        assert_int_equal(a->commands->len, 1);
        assert_words(command_at(a, 0)->words, "/bin/true");
        assert_false(command_at(a, 0)->ignore_failure);
        assert_null(a->user);
        assert_null(a->group);
        assert_int_equal(a->timeout_usec, 30 * USEC_PER_SEC);
        assert_int_equal(a->rate_interval_usec, 60 * USEC_PER_SEC);
        assert_int_equal(a->rate_burst, 5);
        assert_null(warnings);
}

static void test_every_key(void **state) {
        g_autoptr(Alert) a = load(*state,
                "[Alert]\nOn=oom\nOn=\nOn=gave-up lost\nOn=monitor\nRoles=cam* mount\nRoles=dome?\n"
                "RoleGroups=night  day\nInstances=other\nInstances=\nInstances=main obs\n"
                "Command=lost\nCommand=\nCommand=-mail -s \"two words\" ${X}\nCommand=/bin/b '' \\x41\n"
                "User=0\nGroup=adm\nTimeoutSec=1min 5s\nRateLimitIntervalSec=0\nRateLimitBurst=7\n");

        assert_int_equal(a->kinds, INCIDENT_BIT(INCIDENT_GAVE_UP) | INCIDENT_BIT(INCIDENT_LOST) |
                                           INCIDENT_BIT(INCIDENT_MONITOR));
        assert_words(a->roles, "cam*|mount|dome?");
        assert_words(a->groups, "night|day");
        assert_words(a->instances, "main|obs");
        assert_int_equal(a->commands->len, 2);
        assert_true(command_at(a, 0)->ignore_failure);
        assert_words(command_at(a, 0)->words, "mail|-s|two words|${X}");
        assert_false(command_at(a, 1)->ignore_failure);
        assert_words(command_at(a, 1)->words, "/bin/b||A");
        assert_string_equal(a->user, "0");
        assert_string_equal(a->group, "adm");
        assert_int_equal(a->timeout_usec, 65 * USEC_PER_SEC);
        assert_int_equal(a->rate_interval_usec, 0);
        assert_int_equal(a->rate_burst, 7);
        assert_null(warnings);
}

/* The account may come later, from a server. */
static void test_unknown_user(void **state) {
        g_autoptr(Alert) a =
                load(*state, "[Alert]\nOn=failed\nCommand=/bin/true\nUser=nobody-of-this-name\n");

        assert_string_equal(a->user, "nobody-of-this-name");
        assert_non_null(strstr(warnings, "User=nobody-of-this-name: there is no such user now"));
}

/* A bad file is named, and the other one works. */
static void test_bad_files(void **state) {
        static const struct {
                const char *text, *problem;
        } table[] = {
                { "On=fail", ":4: On=fail: \"fail\" is none of failed, gave-up, oom, monitor and lost" },
                { "Roles=a/b", ":4: Roles=a/b: \"a/b\" is not a name of roles" },
                { "RoleGroups=a*", ":4: RoleGroups=a*: \"a*\" is not the name of a group" },
                { "Instances=a-b", ":4: Instances=a-b: \"a-b\" is not the name of an instance" },
                { "Command='x", ":4: Command='x: " },
                { "Command=./x", "\"./x\" is neither an absolute path nor the name of a program" },
                { "Command=-", ":4: Command=-: it names no program" },
                { "Command=''", "\"\" is neither an absolute path" },
                { "User=a b", ":4: User=a b: that is no name" },
                { "Group=adm", "a.conf: Group= needs User=" },
                { "TimeoutSec=x", ":4: TimeoutSec=x: that is no time" },
                { "TimeoutSec=0", ":4: TimeoutSec=0: it must be from 1s to 1h" },
                { "TimeoutSec=infinity", "it must be from 1s to 1h" },
                { "RateLimitIntervalSec=y", ":4: RateLimitIntervalSec=y: that is no time" },
                { "RateLimitBurst=-1", ":4: RateLimitBurst=-1: that is no number" },
                { "on=failed", ":4: there is no key on=" },
                { "[Other]", ":4: there is no section [Other], only [Alert]" },
                { "nothing", ":4: the line is neither a section header nor an assignment" },
                { "On=", "a.conf: On= is missing" },
                { "Command=", "a.conf: Command= is missing" },
        };
        const Directory *d = *state;

        write_file(d, "b.conf", "[Alert]\nOn=failed\nCommand=/bin/true\n");
        write_file(d, ".hidden.conf", "x");
        write_file(d, "x.txt", "x");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_autoptr(GPtrArray) alerts = NULL, problems = NULL;
                g_autofree char *text =
                        g_strconcat("[Alert]\nOn=failed\nCommand=/bin/true\n", table[i].text, "\n", NULL);

                write_file(d, "a.conf", text);
                alerts_load(d->path, &alerts, &problems);
                assert_int_equal(problems->len, 1);
                const char *problem = g_ptr_array_index(problems, 0);
                if (!strstr(problem, table[i].problem) || !strstr(problem, "/a.conf"))
                        fail_msg("\"%s\" has no \"%s\"", problem, table[i].problem);
                assert_int_equal(alerts->len, 1);
                assert_string_equal(((Alert *) g_ptr_array_index(alerts, 0))->name, "b");
        }
        assert_null(warnings);
}

static void test_no_file(void **state) {
        g_autoptr(GPtrArray) alerts = NULL, problems = NULL, none = NULL, no_problems = NULL;
        const Directory *d = *state;
        g_autofree char *missing = g_build_filename(d->path, "missing", NULL);

        alerts_load(missing, &none, &no_problems);
        assert_int_equal(none->len + no_problems->len, 0);
        write_file(d, "a.conf", "# not yet\n");
        write_file(d, "c d.conf", "[Alert]\nOn=failed\nCommand=/bin/true\n");
        alerts_load(d->path, &alerts, &problems);
        assert_int_equal(alerts->len, 0);
        assert_int_equal(problems->len, 1);
        assert_non_null(strstr(g_ptr_array_index(problems, 0), "c d.conf: the name of an alert"));
}

/* -- what they match -- */

static void test_matches(void **state) {
        const unsigned failed = INCIDENT_BIT(INCIDENT_FAILED), oom = INCIDENT_BIT(INCIDENT_OOM),
                       monitor = INCIDENT_BIT(INCIDENT_MONITOR);
        char *night[] = { (char *) "day", (char *) "night", NULL }, *day[] = { (char *) "day", NULL };
        g_autoptr(Alert) a = load(*state,
                "[Alert]\nOn=failed monitor\nCommand=/bin/true\nRoles=cam* mount\nRoleGroups=night\n"
                "Instances=main obs\n");

        assert_true(alert_matches(a, failed | oom, "main", "cam1", night));
        assert_true(alert_matches(a, failed, "obs", "mount", night));
        assert_false(alert_matches(a, oom, "main", "cam1", night));
        assert_false(alert_matches(a, 0, "main", "cam1", night));
        assert_false(alert_matches(a, failed, "other", "cam1", night));
        assert_false(alert_matches(a, failed, "main", "mount2", night));
        assert_false(alert_matches(a, failed, "main", "cam1", day));
        /* Groups that are not known, and an event without a role. */
        assert_true(alert_matches(a, failed, "main", "cam1", NULL));
        assert_true(alert_matches(a, monitor, "main", "", NULL));
}

static void test_rate(void **state) {
        g_autoptr(Alert) a = load(*state,
                "[Alert]\nOn=failed\nCommand=/bin/true\nRateLimitIntervalSec=10s\nRateLimitBurst=2\n");

        assert_true(alert_take(a, 100));
        assert_true(alert_take(a, 101));
        assert_false(alert_take(a, 102));
        assert_false(alert_take(a, 99 + 10 * USEC_PER_SEC));
        assert_int_equal(a->n_suppressed, 2);
        assert_true(alert_take(a, 100 + 10 * USEC_PER_SEC));
        assert_true(alert_take(a, 100 + 10 * USEC_PER_SEC));
        assert_false(alert_take(a, 100 + 10 * USEC_PER_SEC));
        assert_int_equal(a->n_suppressed, 3);
        a->rate_burst = 0;
        assert_true(alert_take(a, 100 + 10 * USEC_PER_SEC));
}

/* -- events -- */

static sd_bus *bus;
static int peer;

static int bus_setup(void **state) {
        int fds[2];

        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
        peer = fds[1];
        assert_return_code(sd_bus_new(&bus), 0);
        assert_return_code(sd_bus_set_fd(bus, fds[0], fds[0]), 0);
        assert_return_code(sd_bus_start(bus), 0);
        return setup(state);
}

static int bus_teardown(void **state) {
        bus = sd_bus_close_unref(bus);
        assert_return_code(close(peer), errno);
        return teardown(state);
}

typedef struct Details {
        const char *code;
        int32_t status;
        const char *cause, *result;
        bool oom_kill;
} Details;

/* As it comes in a page of EventsSince. */
static Incident *event_new(const char *signal, const char *role, const Details *d) {
        g_autoptr(sd_bus_message) m = NULL;
        const NodeEvent event = { 7, 1000000, "e", signal, role };
        Incident *e;

        assert_return_code(sd_bus_message_new_signal(bus, &m, "/", "x.y", "z"), 0);
        assert_return_code(sd_bus_message_open_container(m, 'r', "ttssa{sv}"), 0);
        assert_return_code(sd_bus_message_append(m, "ttss", event.seq, event.realtime_usec, signal, role), 0);
        if (d)
                assert_return_code(sd_bus_message_append(m, "a{sv}", 6, "other", "as", 1, "x", "code", "s",
                                           d->code, "status", "i", d->status, "cause", "s", d->cause,
                                           "result", "s", d->result, "oom-kill", "b", (int) d->oom_kill),
                        0);
        else
                assert_return_code(
                        sd_bus_message_append(m, "a{sv}", 4, "lease", "s", "L", "timeout-usec", "t",
                                UINT64_C(2500000), "result", "s", "start-limit-hit", "n-restarts", "u", 3),
                        0);
        assert_return_code(sd_bus_message_close_container(m), 0);
        assert_return_code(sd_bus_message_seal(m, 1, 0), 0);
        assert_return_code(sd_bus_message_enter_container(m, 'r', "ttssa{sv}"), 0);
        assert_return_code(sd_bus_message_skip(m, "ttss"), 0);
        assert_return_code(incident_read(&event, m, &e), 0);
        assert_return_code(sd_bus_message_exit_container(m), 0);
        return e;
}

#define BIT(kind) INCIDENT_BIT(INCIDENT_##kind)

static void test_kinds(void **state) {
        static const struct {
                Details details;
                unsigned kinds;
                const char *text;
        } table[] = {
                { { "exited", 0, "self", "success", false }, 0, NULL },
                { { "exited", 3, "self", "exit-code", false }, BIT(FAILED), "role r failed: exit status 3" },
                { { "killed", 9, "external", "signal", false }, BIT(FAILED),
                        "role r failed: killed by SIGKILL, cause external" },
                { { "dumped", 11, "self", "core-dump", false }, BIT(FAILED),
                        "role r failed: dumped by SIGSEGV, core-dump" },
                { { "killed", 9, "oom", "oom-kill", true }, BIT(FAILED) | BIT(OOM),
                        "role r ran out of memory: killed by SIGKILL, oom-kill, cause oom" },
                { { "exited", 0, "self", "success", true }, BIT(OOM),
                        "role r ran out of memory: exit status 0, success" },
                { { "lost", -1, "self", "lost", false }, BIT(FAILED) | BIT(LOST),
                        "role r is gone, and how it ended is not known" },
                { { "killed", 9, "timeout", "timeout", false }, BIT(FAILED),
                        "role r failed: killed by SIGKILL, timeout, cause timeout" },
                { { "exited", 1, "watchdog", "watchdog", false }, BIT(FAILED),
                        "role r failed: exit status 1, watchdog, cause watchdog" },
                /* Somebody has asked for these. */
                { { "killed", 9, "stop", "timeout", false }, 0, NULL },
                { { "killed", 9, "kill", "signal", false }, 0, NULL },
                { { "exited", 1, "monitor", "exit-code", false }, 0, NULL },
                { { "exited", 1, "shutdown", "exit-code", false }, 0, NULL },
                { { "exited", 1, "dependency", "exit-code", false }, 0, NULL },
        };

        g_autoptr(Alert) all =
                load(*state, "[Alert]\nOn=failed gave-up oom monitor lost\nCommand=/bin/true\n");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_autoptr(Incident) e = event_new("RoleExited", "r", &table[i].details);

                assert_int_equal(e->kinds, table[i].kinds);
                if (!e->kinds)
                        continue;
                g_autofree char *text = incident_describe(e, incident_kind(e, all->kinds));
                assert_string_equal(text, table[i].text);
        }
        /* An alert that does not wait for lost. */
        g_autoptr(Alert) only = load(*state, "[Alert]\nOn=failed\nCommand=/bin/true\n");
        g_autoptr(Incident) lost =
                event_new("RoleExited", "r", &(Details){ "lost", -1, "self", "lost", false });
        g_autofree char *of_lost = incident_describe(lost, incident_kind(lost, only->kinds));
        assert_string_equal(of_lost, "role r failed: how it ended is not known");
        g_autoptr(Incident) failed = event_new("RoleFailed", "r", NULL);
        g_autofree char *gave_up = incident_describe(failed, incident_kind(failed, all->kinds));
        assert_string_equal(gave_up, "role r gave up after 3 restarts: start-limit-hit");
        g_autoptr(Incident) expired = event_new("LeaseExpired", "", NULL);
        g_autofree char *no_beat = incident_describe(expired, incident_kind(expired, all->kinds));
        assert_string_equal(no_beat, "no beat of the lease L within 2.5 s");
        g_autoptr(Incident) restarting = event_new("RoleRestarting", "r", NULL);
        assert_int_equal(restarting->kinds, 0);
}

static void test_environment(void **state) {
        g_autoptr(Alert) a = load(*state, "[Alert]\nOn=failed\nCommand=/bin/true\n");
        const Details details = { "killed", 9, "oom", "oom-kill", true };
        g_autoptr(Incident) e = event_new("RoleExited", "r", &details);

        a->n_suppressed = 4;
        g_auto(GStrv) environment = alert_event_environment(e, a, "obs", "host");
        for (char **v = environment; *v; v++)
                if (g_str_has_prefix(*v, "ARCHITECT_TIME="))
                        assert_true(strlen(*v) > strlen("ARCHITECT_TIME=1970-01-01T"));
                else
                        continue;
        static const char *const expected[] = {
                "ARCHITECT_EVENT=failed",
                "ARCHITECT_MESSAGE=role r failed: killed by SIGKILL, oom-kill, cause oom",
                "ARCHITECT_ALERT=a",
                "ARCHITECT_HOST=host",
                "ARCHITECT_INSTANCE=obs",
                "ARCHITECT_ROLE=r",
                "ARCHITECT_SIGNAL=RoleExited",
                "ARCHITECT_EPOCH=e",
                "ARCHITECT_SEQ=7",
                "ARCHITECT_REALTIME_USEC=1000000",
                "ARCHITECT_SUPPRESSED=4",
                "ARCHITECT_CODE=killed",
                "ARCHITECT_STATUS=9",
                "ARCHITECT_CAUSE=oom",
                "ARCHITECT_RESULT=oom-kill",
                "ARCHITECT_JSON={\"seq\":7,\"epoch\":\"e\",\"realtime-usec\":1000000,\"signal\":\"RoleExited\","
                "\"role\":\"r\",\"details\":{\"other\":[\"x\"],\"code\":\"killed\",\"status\":9,\"cause\":\"oom\","
                "\"result\":\"oom-kill\",\"oom-kill\":true}}",
        };
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                if (!g_strv_contains((const char *const *) environment, expected[i]))
                        fail_msg("no %s", expected[i]);
        assert_int_equal(g_strv_length(environment), ELEMENTSOF(expected) + 1);
}

static void test_command(void **state) {
        g_autoptr(Alert) a = load(*state, "[Alert]\nOn=failed\nCommand=-mail 'a b'\nUser=0\nGroup=0\n");
        const Details details = { "exited", 1, "self", "exit-code", false };
        g_autoptr(Incident) e = event_new("RoleExited", "r", &details);
        g_autoptr(sd_bus_message) m = NULL;
        const char *unit, *mode;

        assert_return_code(alert_command_new(bus, a, e, "main", "host", &m), 0);
        assert_return_code(sd_bus_message_seal(m, 1, 0), 0);
        assert_string_equal(sd_bus_message_get_signature(m, true), "ssa(sv)a(sa(sv))");
        assert_return_code(sd_bus_message_read(m, "ss", &unit, &mode), 0);
        assert_string_equal(unit, "architect-alert-a-main-7.service");
        assert_string_equal(mode, "fail");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
                cmocka_unit_test_setup_teardown(test_every_key, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown_user, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_matches, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
                cmocka_unit_test_setup_teardown(test_kinds, bus_setup, bus_teardown),
                cmocka_unit_test_setup_teardown(test_environment, bus_setup, bus_teardown),
                cmocka_unit_test_setup_teardown(test_command, bus_setup, bus_teardown),
        };

        return cmocka_run_group_tests_name("alert", tests, NULL, NULL);
}
