/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Verbs of architectctl for several hosts, which are simulated: good ones, and one of each kind that is not.
 * The verb runs in a child, as in architectctl, whose stdout and stderr are read. */

#include "sim-nodes.h"
#include "unit-test.h"

#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/fan-out.h"
#include "proto/node-names.h"

static const SimHost hosts[] = {
        { "good", SIM_GOOD, 2 },
        { "other", SIM_GOOD, 1 },
        { "old", SIM_OLD, 1 },
        { "mute", SIM_MUTE, 0 },
        { "stuck", SIM_STUCK, 0 },
        { "dies", SIM_DIES, 0 },
        { "busy", SIM_BUSY, 1 },
        { "nobody", SIM_NOBODY, 0 },
};

static SimNodes sim;

static int setup(void **state) {
        sim_nodes_start(&sim, hosts, G_N_ELEMENTS(hosts));
        return 0;
}

static int teardown(void **state) {
        sim_nodes_stop(&sim);
        return 0;
}

typedef struct Result {
        int status;
        char *out, *err;
} Result;

static void result_clear(Result *result) {
        g_free(result->out);
        g_free(result->err);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

_Noreturn static void child_run(char *const *words) {
        Ctl ctl = { .instance = NODE_DEFAULT_INSTANCE, .legend = true, .ask_password = true };
        char *argv[16] = {};
        int argc = 0;

        for (; words[argc]; argc++)
                argv[argc] = words[argc];
        const CtlVerb *verb = ctl_verb_find(argv[0]);
        optind = 0;
        CtlExit e = verb->run(&ctl, argc, argv);
        if (ctl.hosts && e == CTL_EXIT_OK)
                e = fan_out_run(&ctl, verb, argc, (char **) words, sim_nodes_address);
        (void) fflush(stdout);
        _exit(e);
}

static pid_t start(char *const *words, const char *out, const char *err) {
        (void) fflush(NULL);
        const pid_t pid = fork();
        assert_return_code(pid, errno);
        if (pid > 0)
                return pid;
        const int fds[] = { open("/dev/null", O_RDONLY | O_CLOEXEC),
                open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
                open(err, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };
        for (int i = 0; i < 3; i++)
                assert_return_code(dup2(fds[i], i), errno);
        stdout = fdopen(STDOUT_FILENO, "w"); /* that of this program may be for its results */
        assert_non_null(stdout);
        child_run(words);
}

static Result finish(pid_t pid, const char *out, const char *err) {
        Result result = {};
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        result.status = WEXITSTATUS(status);
        assert_true(g_file_get_contents(out, &result.out, NULL, NULL));
        assert_true(g_file_get_contents(err, &result.err, NULL, NULL));
        (void) unlink(out);
        (void) unlink(err);
        return result;
}

/* A path of a file in the directory of the sockets. */
static char *file(const char *name) {
        return g_build_filename(sim.directory, name, NULL);
}

static Result run_words(char *const *words) {
        g_autofree char *out = file(".out"), *err = file(".err");

        return finish(start(words, out, err), out, err);
}

#define run(...) run_words((char *[]){ __VA_ARGS__, NULL })

static void assert_contains(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("there is no \"%s\" in \"%s\"", part, text);
}

static void assert_lacks(const char *text, const char *part) {
        if (strstr(text, part))
                fail_msg("there is \"%s\" in \"%s\"", part, text);
}

/* Waits until the file has so many lines, and returns it. */
static char *wait_lines(pid_t pid, const char *path, unsigned n) {
        for (;;) {
                g_autofree char *text = NULL;
                unsigned found = 0;

                (void) g_file_get_contents(path, &text, NULL, NULL);
                for (const char *c = text; c && (c = strchr(c, '\n')); c++)
                        found++;
                if (found >= n)
                        return g_steal_pointer(&text);
                assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
                (void) poll(NULL, 0, 20);
        }
}

/* -- looking -- */

static void test_table(void **state) {
        g_auto(Result) r = run("list", "-H", "good,other");

        assert_string_equal(r.err, "");
        assert_string_equal(r.out, "HOST  ROLE   STATE    PID END UNIT\n"
                                   "good  role-0 running 1000 -   architect-main-role-0.scope\n"
                                   "good  role-1 running 1001 -   architect-main-role-1.scope\n"
                                   "other role-0 running 1000 -   architect-main-role-0.scope\n"
                                   "\n2 hosts, 0 failed.\n");
        assert_int_equal(r.status, 0);
}

static void test_table_json(void **state) {
        g_auto(Result) r = run("poll", "--host=good", "-H", "nobody", "--json=short");

        assert_string_equal(r.out,
                "[{\"host\":\"good\",\"role\":\"role-0\",\"state\":\"running\",\"error\":null},"
                "{\"host\":\"nobody\",\"role\":null,\"state\":null,"
                "\"error\":\"no answer: No such file or directory\"}]\n");
        assert_int_equal(r.status, 1);
}

/* The verbs that print no table. */
static void test_text(void **state) {
        g_auto(Result) r = run("env", "-H", "good,nobody,other", "list");

        assert_string_equal(r.out, "good: SITE=south\nother: SITE=south\n");
        assert_string_equal(r.err, "architectctl: nobody: no answer: No such file or directory\n");
        assert_int_equal(r.status, 1);
}

static void test_json(void **state) {
        g_auto(Result) r = run("env", "-H", "good,nobody", "-j", "list");

        assert_string_equal(r.out,
                "[{\"host\":\"good\",\"SITE\":\"south\"},"
                "{\"host\":\"nobody\",\"error\":\"no answer: No such file or directory\"}]\n");
        assert_string_equal(r.err, "");
        assert_int_equal(r.status, 1);
}

/* Whatever is the matter with a host, it is a row, and the others are there. */
static void test_bad_hosts(void **state) {
        g_auto(Result) r = run("list", "-H", "mute,stuck,dies,nobody,good", "--timeout=1s", "--no-legend");
        g_auto(GStrv) lines = g_strsplit(r.out, "\n", -1);

        assert_int_equal(g_strv_length(lines), 7);
        assert_true(g_str_has_prefix(lines[0], "mute "));
        assert_contains(lines[0], "no answer: Connection timed out");
        assert_true(g_str_has_prefix(lines[1], "stuck "));
        assert_contains(lines[1], "no answer within 1s");
        assert_true(g_str_has_prefix(lines[2], "dies "));
        assert_contains(lines[2], "no answer: Connection reset by peer");
        assert_true(g_str_has_prefix(lines[3], "nobody "));
        assert_contains(lines[3], "no answer: No such file or directory");
        assert_true(g_str_has_prefix(lines[4], "good   role-0 running"));
        assert_string_equal(r.err, "");
        assert_int_equal(r.status, 1);
}

static void test_check(void **state) {
        g_auto(Result) r = run("check", "-H", "nobody,good", "--timeout=1s");

        /* What the simulated node does not have is unknown, too. */
        assert_contains(r.out, "nobody: ARCHITECT UNKNOWN - there is no connection\n");
        assert_contains(r.err, "architectctl: nobody: no answer: ");
        assert_int_equal(r.status, 3);
}

/* -- metrics -- */

/* By the grammar of OpenMetrics: a family is in one piece, with its TYPE once and its HELP once; no sample is
 * there twice; the end is "# EOF". */
static void assert_open_metrics(const char *text) {
        static const char label[] = "[a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\\\n]|\\\\[\"\\\\n])*\"";
        g_autofree char *pattern = g_strdup_printf(
                "^([a-zA-Z_:][a-zA-Z0-9_:]*\\{%s(,%s)*\\}) -?[0-9]+(\\.[0-9]+)?$", label, label);
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GRegex) sample = g_regex_new(pattern, 0, 0, NULL);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        const guint n = g_strv_length(lines);
        g_autofree char *family = NULL;

        assert_non_null(sample);
        assert_string_equal(lines[n - 1], "");
        assert_string_equal(lines[n - 2], "# EOF");
        for (guint i = 0; i < n - 2; i++) {
                g_autoptr(GMatchInfo) match = NULL;
                g_auto(GStrv) words = g_strsplit(lines[i], " ", 4);

                if (lines[i][0] == '#') {
                        assert_int_equal(g_strv_length(words), 4);
                        if (!g_hash_table_add(seen, g_strconcat(words[1], " ", words[2], NULL)))
                                fail_msg("twice: %s", lines[i]);
                        if (strcmp(words[1], "TYPE") != 0)
                                continue;
                        g_free(family);
                        family = g_strconcat(
                                words[2], strcmp(words[3], "counter") == 0 ? "_total{" : "{", NULL);
                        continue;
                }
                if (!g_regex_match(sample, lines[i], 0, &match) || !family ||
                        !g_str_has_prefix(lines[i], family))
                        fail_msg("not a sample of its family: %s", lines[i]);
                if (!g_hash_table_add(seen, g_match_info_fetch(match, 1)))
                        fail_msg("twice: %s", lines[i]);
        }
}

static void test_metrics(void **state) {
        g_autofree char *path = file(".prom"), *written = NULL;
        g_auto(Result) r = run("metrics", "-H", "good,nobody,dies,other");
        g_auto(Result) to_file = run("metrics", "--output", path, "-H", "good,nobody,dies,other");

        assert_open_metrics(r.out);
        assert_contains(r.out, "# TYPE architect_up gauge\n"
                               "architect_up{host=\"good\",architect_instance=\"main\"} 1\n"
                               "architect_up{host=\"nobody\",architect_instance=\"main\"} 0\n"
                               "architect_up{host=\"dies\",architect_instance=\"main\"} 0\n"
                               "architect_up{host=\"other\",architect_instance=\"main\"} 1\n");
        assert_contains(r.out,
                "architect_role_running{host=\"good\",architect_instance=\"main\",role=\"role-0\"} 1\n"
                "architect_role_running{host=\"good\",architect_instance=\"main\",role=\"role-1\"} 1\n"
                "architect_role_running{host=\"other\",architect_instance=\"main\",role=\"role-0\"} 1\n");
        assert_contains(r.out,
                "architect_role_start_time_seconds{host=\"other\",architect_instance=\"main\",role=\"role-0\"} "
                "1.500000\n");
        assert_contains(r.err, "architectctl: nobody: no answer: No such file or directory\n");
        assert_int_equal(r.status, 1);
        assert_string_equal(to_file.out, "");
        assert_int_equal(to_file.status, 1);
        assert_true(g_file_get_contents(path, &written, NULL, NULL));
        assert_string_equal(written, r.out);
        (void) unlink(path);
}

/* -- logs, with an ssh that runs on this machine what it is told -- */

static const char fake_ssh[] = "#!/bin/sh\n"
                               "[ \"$1\" = -xT ] && [ \"$2\" = -oBatchMode=yes ] || exit 99\n"
                               "while [ \"$1\" != -- ]; do shift; done\n"
                               "host=$2 && shift 2\n"
                               "export host\n"
                               "if [ $host = busy ]; then echo 'ssh: the cable is broken' >&2; exit 255; fi\n"
                               "exec sh -c \"$*\"\n";
/* The first of the hosts is the last one to have something to say. */
static const char fake_journalctl[] =
        "#!/bin/sh\n"
        "echo $$ >>\"$SCRATCH/pids\"\n"
        "case $*,$host in\n"
        "*--follow*,*) echo \"follows $host\"; exec sleep 1000 ;;\n"
        "*--output=json*,other) echo '-- No entries --' ;;\n"
        "*--output=json*,*) echo '{\"MESSAGE\":\"a {,} \\\"b\\\"\",\"N\":1}' ;;\n"
        "*,good) until [ -e \"$SCRATCH/other-was-here\" ]; do sleep 0.01; done\n"
        "        for a; do printf '[%s]' \"$a\"; done; echo; printf 'no end' ;;\n"
        "*,other) echo one; echo two; echo 'that is wrong' >&2; : >\"$SCRATCH/other-was-here\"; exit 3 ;;\n"
        "*) echo one ;;\n"
        "esac\n";

static void write_program(const char *name, const char *text) {
        g_autofree char *path = file(name);

        assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
}

static int setup_ssh(void **state) {
        g_autofree char *path = NULL;

        (void) setup(state);
        path = g_strdup_printf("%s:%s", sim.directory, g_getenv("PATH"));
        *state = g_strdup(g_getenv("PATH"));
        assert_true(g_setenv("PATH", path, true));
        assert_true(g_setenv("SCRATCH", sim.directory, true));
        write_program("ssh", fake_ssh);
        write_program("journalctl", fake_journalctl);
        return 0;
}

static int teardown_ssh(void **state) {
        static const char *const names[] = { "ssh", "journalctl", "pids", "other-was-here" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = file(names[i]);
                (void) unlink(path);
        }
        assert_true(g_setenv("PATH", *state, true));
        g_unsetenv("SCRATCH");
        g_clear_pointer(state, g_free);
        return teardown(state);
}

/* One host after the other, and every word arrives as it was, whatever the shells on the way think of it. */
static void test_logs(void **state) {
        g_auto(Result) r =
                run("logs", "-H", "good,nobody,other", "--since=a 'b' \"c\" $(d) `e` ; * \\", "cam");

        assert_string_equal(r.out,
                "good: [--all][--since=a 'b' \"c\" $(d) `e` ; * \\][--no-pager]"
                "[_SYSTEMD_UNIT=architect-main-cam.scope][_SYSTEMD_UNIT=architect-main-_post-cam.scope][+]"
                "[_SYSTEMD_UNIT=architect-node.service][ARCHITECT_INSTANCE=main][ARCHITECT_ROLE=cam]\n"
                "good: no end\n"
                "other: one\n"
                "other: two\n");
        assert_contains(r.err, "architectctl: nobody: no answer: No such file or directory\n");
        assert_contains(
                r.err, "other: that is wrong\narchitectctl: other: journalctl has ended with the status 3\n");
        assert_lacks(r.err, "architectctl: good");
        assert_int_equal(r.status, 1);
}

/* The pattern is for journalctl, and not for the shell. */
static void test_logs_of_all(void **state) {
        g_auto(Result) r = run("logs", "-H", "other,good");

        assert_contains(r.out,
                "good: [--all][--no-pager][--unit=architect-main-*.scope][--unit=architect-node.service]\n");
}

/* The bus is reached, and ssh fails after that. */
static void test_logs_lost(void **state) {
        g_auto(Result) r = run("logs", "-H", "busy,old");

        assert_string_equal(r.out, "old: one\n");
        assert_string_equal(r.err, "architectctl: busy: no answer: ssh: the cable is broken\n");
        assert_int_equal(r.status, 1);
}

static void test_logs_json(void **state) {
        g_auto(Result) r = run("logs", "--json=short", "-H", "good,other");
        g_auto(Result) mode = run("logs", "-o", "json-pretty", "-H", "good,other");
        g_auto(Result) other = run("logs", "-o", "export", "-H", "good,other");

        assert_string_equal(r.out, "{\"host\":\"good\",\"MESSAGE\":\"a {,} \\\"b\\\"\",\"N\":1}\n");
        assert_string_equal(r.err, "");
        assert_int_equal(r.status, 0);
        assert_string_equal(
                mode.out, "{\n\t\"host\": \"good\",\n\t\"MESSAGE\": \"a {,} \\\"b\\\"\",\n\t\"N\": 1\n}\n");
        assert_contains(other.err, "architectctl: -o export has no place for the host");
        assert_int_equal(other.status, CTL_EXIT_USAGE);
}

/* All at the same time, and when this program ends, nothing of it goes on. */
static void test_logs_follow(void **state) {
        g_autofree char *out = file(".out"), *err = file(".err"), *pids = file("pids"), *text = NULL,
                        *list = NULL;
        char *const words[] = { (char *) "logs", (char *) "-f", (char *) "-H", (char *) "good,other", NULL };

        const pid_t pid = start(words, out, err);
        text = wait_lines(pid, out, 2);
        assert_contains(text, "good: follows good\n");
        assert_contains(text, "other: follows other\n");
        assert_return_code(kill(pid, SIGINT), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(g_file_get_contents(pids, &list, NULL, NULL));
        g_auto(GStrv) lines = g_strsplit(g_strchomp(list), "\n", -1);
        assert_int_equal(g_strv_length(lines), 2);
        for (char **line = lines; *line; line++)
                while (kill((pid_t) atoi(*line), 0) == 0)
                        (void) poll(NULL, 0, 5);
        (void) unlink(out);
        (void) unlink(err);
}

/* -- changing -- */

static void test_asks(void **state) {
        g_auto(Result) r = run("stop", "-H", "good,other", "role-0");

        assert_contains(r.err, "stop on 2 hosts needs --yes");
        assert_int_equal(r.status, CTL_EXIT_USAGE);
        assert_int_equal(sim_host_count("good", "Stop"), 0);
        assert_int_equal(sim_host_count("other", "Stop"), 0);
}

/* Also a verb that would try for ever ends. */
static void test_not_agreed(void **state) {
        g_auto(Result) r = run("beat", "--every=1s", "-H", "good,other");

        assert_contains(r.err, "beat on 2 hosts needs --yes");
        assert_int_equal(r.status, CTL_EXIT_USAGE);
}

static void test_change(void **state) {
        g_auto(Result) r = run("stop", "--yes", "-H", "good,other", "role-0");

        assert_string_equal(r.err, "");
        assert_int_equal(r.status, 0);
        assert_int_equal(sim_host_count("good", "Stop"), 1);
        assert_int_equal(sim_host_count("other", "Stop"), 1);
}

static void test_change_fails(void **state) {
        g_auto(Result) r = run("stop", "--yes", "-H", "good,other", "camera");

        assert_contains(r.err, "architectctl: good: There is no role \"camera\"\n");
        assert_contains(r.err, "architectctl: other: There is no role \"camera\"\n");
        assert_int_equal(r.status, 1);
}

static void test_change_json(void **state) {
        g_auto(Result) r = run("stop", "--yes", "--json=short", "-H", "good,nobody", "role-0");

        assert_string_equal(r.out,
                "[{\"host\":\"good\"},"
                "{\"host\":\"nobody\",\"error\":\"no answer: No such file or directory\"}]\n");
        assert_int_equal(r.status, 1);
}

/* One host is not asked about, but a group of one host has the column. */
static void test_one_of_a_list(void **state) {
        g_auto(Result) r = run("stop", "-H", "good,good", "role-0");

        assert_string_equal(r.err, "");
        assert_int_equal(r.status, 0);
}

/* A stop may take as long as it likes, if the node lives. One that does not is told from it. */
static void test_busy_and_stuck(void **state) {
        g_autofree char *out = file(".out"), *err = file(".err");
        char *const words[] = { (char *) "stop", (char *) "--yes", (char *) "-H", (char *) "busy,stuck",
                (char *) "role-0", NULL };
        g_autofree char *text = NULL;

        const pid_t pid = start(words, out, err);
        while (!text || !strstr(text, "architectctl: stuck: no answer within 5s\n")) {
                assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
                (void) poll(NULL, 0, 20);
                g_clear_pointer(&text, g_free);
                (void) g_file_get_contents(err, &text, NULL, NULL);
        }
        assert_lacks(text, "busy");
        /* It was asked whether it lives, and is waited for. */
        assert_int_equal(sim_host_count("busy", "Stop"), 1);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        assert_return_code(kill(pid, SIGKILL), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void) unlink(out);
        (void) unlink(err);
}

/* The reason names what the older node does not have. */
static void test_old(void **state) {
        g_auto(Result) r = run("stop", "--yes", "-H", "good,old", "role-0", "role-1");

        assert_contains(r.err,
                "architectctl: old: Unknown method StopMany or interface org.architect.Node: that node has the "
                "version 0.0.9 and tells no features, architectctl has the version ");
        assert_lacks(r.err, "good");
        assert_int_equal(r.status, 1);
        assert_int_equal(sim_host_count("good", "StopMany"), 1);
}

/* What it has is there, also if a verb would show more, and what it does not have is in its row. */
static void test_old_looks(void **state) {
        g_auto(Result) list = run("list", "-H", "old,good", "--no-legend");
        g_auto(Result) leases = run("leases", "-H", "old,good", "--no-legend");
        g_auto(Result) json = run("leases", "-H", "old,good", "--json=short");

        assert_string_equal(list.out, "old  role-0 running 1000 -   architect-main-role-0.scope\n"
                                      "good role-0 running 1000 -   architect-main-role-0.scope\n"
                                      "good role-1 running 1001 -   architect-main-role-1.scope\n");
        assert_int_equal(list.status, 0);
        assert_true(g_str_has_prefix(leases.out, "old  "));
        assert_contains(leases.out,
                " Unknown method ListLeases or interface org.architect.Node: that node has the version 0.0.9 ");
        assert_contains(leases.out, "\ngood night ");
        assert_string_equal(leases.err, "");
        assert_int_equal(leases.status, 1);
        assert_contains(json.out, "[{\"host\":\"old\",\"lease\":null,");
        assert_contains(json.out, "\"error\":\"Unknown method ListLeases ");
}

/* It has no events, and is not asked for ever. */
static void test_old_monitor(void **state) {
        g_auto(Result) now = run("monitor", "-H", "old,old");
        g_auto(Result) since = run("monitor", "--since=0", "-H", "old,old");

        assert_string_equal(
                now.err, "architectctl: old: that node has the version 0.0.9, which does not keep events\n");
        assert_int_equal(now.status, 1);
        assert_contains(since.err,
                "architectctl: old: Unknown method EventsSince or interface org.architect.Node: that node has the version 0.0.9 ");
        assert_int_equal(since.status, 1);
}

/* -- mistakes -- */

/* It is one of the command line, not of each host, and no host hears of it. */
static void test_usage(void **state) {
        g_auto(Result) r = run("stop", "--yes", "-H", "good,other");

        assert_string_equal(r.err,
                "architectctl: stop needs ROLE..., @GROUP... or --all\nSee architectctl stop --help.\n");
        assert_int_equal(r.status, CTL_EXIT_USAGE);
}

static void test_refused(void **state) {
        g_auto(Result) attach = run("attach", "-H", "good,other", "role-0");
        g_auto(Result) option = run("list", "-H", "good,-oProxyCommand=id");
        g_auto(Result) input = run("send", "--yes", "-H", "good,other", "role-0");

        assert_string_equal(attach.err,
                "architectctl: attach is not for several hosts: no terminal is passed by the connection to a bus "
                "of another host\n"
                "Run it on each of them: ssh -t HOST architectctl attach ROLE\n");
        assert_int_equal(attach.status, CTL_EXIT_USAGE);
        assert_contains(option.err, "\"-oProxyCommand=id\" is not a host");
        assert_int_equal(option.status, CTL_EXIT_USAGE);
        assert_contains(input.err, "standard input goes to one host only");
        assert_int_equal(input.status, CTL_EXIT_USAGE);
}

/* Each verb that is not for other hosts says why, and what to do. */
static void test_not_many(void **state) {
        for (size_t i = 0; i < n_ctl_verbs; i++) {
                const CtlVerb *verb = &ctl_verbs[i];
                g_auto(Result) r = {};

                if (verb->many != CTL_MANY_NOT)
                        continue;
                assert_non_null(verb->here);
                r = run((char *) verb->name, "-H", "good,other", "word");
                g_autofree char *begin = g_strdup_printf(
                        "architectctl: %s is not for several hosts: %s\n", verb->name, verb->here);
                g_autofree char *end =
                        g_strdup_printf("Run it on each of them: ssh -t HOST architectctl %s ", verb->name);
                assert_true(g_str_has_prefix(r.err, begin));
                assert_contains(r.err, verb->instead ?: end);
                assert_int_equal(r.status, verb->run == verb_run ? CTL_EXIT_OWN : CTL_EXIT_USAGE);
        }
}

/* The same for one host, of which those verbs that read and write files would take this machine for it. */
static void test_not_there(void **state) {
        static const char *const names[] = { "attach", "disable", "edit", "enable", "verify", "import" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                const bool import = strcmp(names[i], "import") == 0;
                g_auto(Result) r = run((char *) names[i], "-H", "good",
                        import ? (char *) "systemd" : (char *) "word", import ? (char *) "x" : NULL);
                g_autofree char *expected = g_strdup_printf(
                        "architectctl: %s is not for other hosts: %s\nRun it there: ssh -t good architectctl %s %s\n",
                        names[i], ctl_verb_find(names[i])->here, names[i],
                        ctl_verb_find(names[i])->arguments);

                assert_string_equal(r.err, expected);
                assert_int_equal(r.status, CTL_EXIT_USAGE);
        }
        g_auto(Result) top = run("top", "-H", "good");
        assert_contains(top.err, "Run it there: ssh -t good architectctl top");
        assert_int_equal(top.status, CTL_EXIT_USAGE);
}

/* -- events -- */

static void assert_events(const char *text, const char *host, unsigned from, unsigned to) {
        for (unsigned i = from; i <= to; i++) {
                g_autofree char *begin = g_strdup_printf("{\"host\":\"%s\",\"seq\":%u,", host, i);
                const char *found = strstr(text, begin);

                if (!found || strstr(found + 1, begin))
                        fail_msg("%s is not once in %s", begin, text);
        }
}

/* While a connection is away events happen, which come after it, each once and without a gap. */
static void test_monitor(void **state) {
        g_autofree char *out = file(".out"), *err = file(".err"), *said = NULL, *text = NULL;
        char *const words[] = { (char *) "monitor", (char *) "--since=0", (char *) "--json=short",
                (char *) "-H", (char *) "good,other", NULL };

        sim_host_add_events("good", 3);
        const pid_t pid = start(words, out, err);
        g_free(wait_lines(pid, out, 3));
        sim_host_add_events("other", 1);
        g_free(wait_lines(pid, out, 4));
        sim_host_drop("good");
        sim_host_add_events("good", 25);
        text = wait_lines(pid, out, 29);
        assert_events(text, "good", 1, 28);
        assert_events(text, "other", 1, 1);
        sim_host_forget("good");
        sim_host_add_events("good", 1);
        g_free(text);
        text = wait_lines(pid, out, 30);
        assert_contains(text, "\"epoch\":\"00000000000000000000000000000001\"");
        assert_return_code(kill(pid, SIGTERM), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(g_file_get_contents(err, &said, NULL, NULL));
        assert_contains(said, "architectctl: good: the connection to the service is lost: ");
        assert_contains(said, "good: There is a connection again. Event 3 was the last one.\n");
        assert_contains(
                said, "architectctl: good: the service has lost its state: events after 28 may be lost");
        assert_lacks(said, "other");
        (void) unlink(out);
        (void) unlink(err);
}

/* -- many -- */

static void test_connecting(void **state) {
        g_autofree SimHost *many = g_new0(SimHost, 100);
        g_autoptr(GString) words = g_string_new(NULL);
        SimNodes before = sim;
        char names[100][8];

        for (unsigned i = 0; i < 100; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "h%u", i);
                many[i] = (SimHost){ names[i], SIM_GOOD, 50 };
                g_string_append_printf(words, "%s%s", i > 0 ? "," : "", names[i]);
        }
        sim_nodes_start(&sim, many, 100);
        g_auto(Result) r = run("list", "--no-legend", "-H", words->str);
        assert_int_equal(r.status, 0);
        g_auto(GStrv) lines = g_strsplit(r.out, "\n", -1);
        assert_int_equal(g_strv_length(lines), 100 * 50 + 1);
        for (unsigned i = 0; i < 100; i++) {
                g_autofree char *begin = g_strdup_printf("h%u ", i);
                assert_true(g_str_has_prefix(lines[(size_t) 50 * i], begin));
        }
        assert_between(sim_host_most_connecting("h0"), 2, 16);
        sim_nodes_stop(&sim);
        sim = before;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_table, setup, teardown),
                cmocka_unit_test_setup_teardown(test_table_json, setup, teardown),
                cmocka_unit_test_setup_teardown(test_text, setup, teardown),
                cmocka_unit_test_setup_teardown(test_json, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_hosts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_check, setup, teardown),
                cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
                cmocka_unit_test_setup_teardown(test_logs, setup_ssh, teardown_ssh),
                cmocka_unit_test_setup_teardown(test_logs_of_all, setup_ssh, teardown_ssh),
                cmocka_unit_test_setup_teardown(test_logs_lost, setup_ssh, teardown_ssh),
                cmocka_unit_test_setup_teardown(test_logs_json, setup_ssh, teardown_ssh),
                cmocka_unit_test_setup_teardown(test_logs_follow, setup_ssh, teardown_ssh),
                cmocka_unit_test_setup_teardown(test_asks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_agreed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_change, setup, teardown),
                cmocka_unit_test_setup_teardown(test_change_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_change_json, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_of_a_list, setup, teardown),
                cmocka_unit_test_setup_teardown(test_busy_and_stuck, setup, teardown),
                cmocka_unit_test_setup_teardown(test_old, setup, teardown),
                cmocka_unit_test_setup_teardown(test_old_looks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_old_monitor, setup, teardown),
                cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_there, setup, teardown),
                cmocka_unit_test_setup_teardown(test_monitor, setup, teardown),
                cmocka_unit_test_setup_teardown(test_connecting, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
