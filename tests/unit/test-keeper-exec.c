/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a child processes its launch request: every stage, with success and with failure. */

#include <elf.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/time-util.h"
#include "keeper/exec/exec-environment-file.h"
#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-invoke.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-user.h"

/* Runs a script with its output in a file, and returns the contents of the file. */
static char *output_of(World *w, char *script, LaunchRequest q) {
        char *path = world_path(w, "output"), *text;

        q.role = "cam";
        q.instance = "main";
        q.command = SHELL(script);
        q.output = LAUNCH_OUTPUT_FILE;
        q.output_path = path;
        if (unlink(path) < 0)
                assert_int_equal(errno, ENOENT);
        assert_run(w, &q, 0);
        text = world_read(w, "output");
        free(path);
        return text;
}

#define assert_output(w, script, expected, ...) \
        do { \
                char *_text = output_of(w, script, (LaunchRequest){ __VA_ARGS__ }); \
                assert_string_equal(_text, expected); \
                free(_text); \
        } while (0)

/* A role without options starts as a fresh process of root, whatever the properties of the keeper are. */

/* The CPUs of a process, as the kernel lists them, without a newline. */
#define ALLOWED "sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status | tr -d '\\n'"

static char *allowed_cpus(void) {
        static char list[4096];
        char *text, *p;

        assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL), 0);
        p = strstr(text, "Cpus_allowed_list:\t");
        assert_non_null(p);
        assert_int_equal(sscanf(p, "Cpus_allowed_list:\t%4095s", list), 1);
        free(text);
        return list;
}

static char *first_cpu(void) {
        char *list = allowed_cpus();

        list[strcspn(list, "-,")] = '\0';
        return list;
}

static void odd_keeper(World *w) {
        autofd score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        (void) setgroups(0, NULL); /* a service of systemd has no groups */
        (void) umask(0077);
        (void) setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 333, 4444 });
        (void) write(score, "300", 3);
        (void) setenv("SECRET", "1", 1);
        (void) setenv("NOTIFY_SOCKET", "@nobody-listens-here", 1);
        (void) dup2(2, 50);
        (void) dup2(2, 51);
        /* These tests compare nice values, and may have been started under nice(1). */
        if (setpriority(PRIO_PROCESS, 0, 0) < 0 || chdir(w->dir) < 0)
                _exit(126);
}

static void test_defaults(void **state) {
        World *w = *state;

        w->noisy = true;
        world_start(w, &(struct start){ .before_exec = odd_keeper });

        assert_output(w, "umask; pwd; cat /proc/self/oom_score_adj", "0022\n/\n0\n", 0);
        assert_output(w, ALLOWED, allowed_cpus(), 0);
        assert_output(w, "ulimit -Sn; ulimit -Hn", "333\n4444\n", 0);
        assert_output(w, "echo /proc/self/fd/*",
                "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n", 0);
        assert_output(w, "readlink /proc/$$/fd/0; ls /proc/$$/fd", "/dev/null\n0\n1\n2\n", 0);
        assert_output(w,
                "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader",
                "leader\n", 0);
        assert_output(w, "cut -d' ' -f19 /proc/$$/stat; id -u; id -g; id -G", "0\n0\n0\n0\n", 0);
        assert_output(w, "grep ^Groups: /proc/self/status", "Groups:\t0 \n", 0);
        assert_output(w,
                "grep -E '^(SigPnd|ShdPnd|SigBlk|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | sort -u",
                "0\n0000000000000000\n", 0);
        assert_output(w, "grep ^SigIgn: /proc/self/status", "SigIgn:\t0000000000001000\n", 0);
        assert_output(w, "env | grep -v ^PWD= | sort",
                "ARCHITECT_INSTANCE=main\nARCHITECT_ROLE=cam\nHOME=/root\nLOGNAME=root\n"
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSHELL=/bin/sh\nUSER=root\n",
                0);
}

static void test_environment(void **state) {
        World *w = *state;

        /* Each source has precedence over the previous ones. The variables that describe the role cannot be
         * overridden. */
        assert_output(w, "/usr/bin/env | /bin/grep -v ^PWD= | /usr/bin/sort",
                "A=second\nARCHITECT_INSTANCE=main\nARCHITECT_ROLE=cam\nB=own\nBASE=1\nC=\nD==x=\nHOME=/root\n"
                "LANG=C.UTF-8\nLOGNAME=root\nPATH=/base\nPATHX=2\nSHELL=/own\nUSER=root\n",
                .base_environment = ENVIRONMENT("PATH=/base", "LANG=C.UTF-8", "HOME=/base", "USER=base",
                        "SHELL=/base", "B=base", "BASE=1", "ARCHITECT_ROLE=x", "PATHX=1"),
                .environment = ENVIRONMENT("A=first", "A=second", "B=own", "C=", "D==x=", "SHELL=/own",
                        "ARCHITECT_INSTANCE=x", "PATHX=2"));
}

/* The first ones are those of systemd's own test of its parser (test-env-file.c). */
static void test_environment_file_syntax(void **state) {
        static const struct {
                const char *text;
                const char *expected; /* the variables, each with a "|" behind it */
                const char *ignored;
        } cases[] = {
                { "a=a\na=b\na=b\na=a\nb=b\\\nc\nd= d\\\ne  \\\nf  \ng=g\\ \nh= ąęół\\ śćńźżμ \ni=i\\",
                        "a=a|a=b|a=b|a=a|b=bc|d=de  f|g=g |h=ąęół śćńźżμ|i=i|", NULL },
                { "a=a\\\n", "a=a|", NULL },
                { "# Generated\n\nHWMON_MODULES=\"coretemp f71882fg\"\n\n# For compatibility reasons\n\n"
                  "MODULE_0=coretemp\nMODULE_1=f71882fg",
                        "HWMON_MODULES=coretemp f71882fg|MODULE_0=coretemp|MODULE_1=f71882fg|", NULL },
                { "a=\nb=", "a=|b=|", NULL },
                { "a=\\ \\n \\t \\x \\y \\' \nb= \\$'   \nc= ' \\n\\t\\$\\`\\\\\n'   \nd= \" \\n\\t\\$\\`\\\\\n\"   \n",
                        "a= n t x y '|b=$'|c= \\n\\t\\$\\`\\\\\n|d= \\n\\t$`\\\n|", NULL },
                { "", "", NULL },
                { "\n\r\n \t\n", "", NULL },
                { "A=1\r\nB=2\rC=3", "A=1|B=2|C=3|", NULL },
                { "  A = 1 2 \t\n\tB\t=\t2", "A=1 2|B=2|", NULL },
                { "#A=1\n;B=2\n # C=3\nD=# no comment", "D=# no comment|", NULL },
                { "#A=1 \\\nB=2", "B=2|", NULL },
                { "no assignment\nA=1\nB", "A=1|", NULL },
                { "A=it's\nB=say \"x\"\nC='a'\"b\"c'd' e", "A=it's|B=say \"x\"|C=abc'd' e|", NULL },
                { "A='one\ntwo'\nB=\"x\\\ny\"", "A=one\ntwo|B=xy|", NULL },
                { "A='open\nB=2", "A=open\nB=2|", NULL },
                { "A=\"open\\", "A=open\\|", NULL },
                { "A==x=\nB=${A} $A `A`", "A==x=|B=${A} $A `A`|", NULL },
                { "A='  x  '  \nB=\"\"\nC=' ' \nD=x\\  ", "A=  x  |B=|C= |D=x |", NULL },
                { "export A=1\n1B=2\n=3\nC-D=4\nE=5", "E=5|", "export A" },
                { "=3\n1B=2", "", "" },
        };
        static const char *const bad[] = { "A=\xff", "A=1\nB=\xc3\n", "\xff=1" };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct variables v = { 0 };
                char text[512] = "";

                assert_int_equal(variables_parse(&v, cases[i].text), 0);
                for (size_t n = 0; n < v.n; n++) {
                        (void) strcat(text, v.list[n]);
                        (void) strcat(text, "|");
                }
                assert_string_equal(text, cases[i].expected);
                if (cases[i].ignored)
                        assert_string_equal(v.ignored, cases[i].ignored);
                else
                        assert_null(v.ignored);
                variables_clear(&v);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct variables v = { 0 };

                assert_int_equal(variables_parse(&v, bad[i]), -EILSEQ);
                variables_clear(&v);
        }
}

#define FILES(...) ((char *[]){ __VA_ARGS__, NULL })

#define LIST(...) ((char *[]){ __VA_ARGS__, NULL })
#define PRE(...) .exec_start_pre = LIST(__VA_ARGS__), .start_pre_timeout_usec = 30 * USEC_PER_SEC

/* Commands before that of the role, in all that the role has. */
static void test_start_pre(void **state) {
        World *w = *state;
        char *marker = world_path(w, "marker"), *text, *command, *late;

        assert_int_equal(chmod(w->dir, 01777), 0);
        assert_output(w, "echo command", "first own nobody / 0\nsecond\ncommand\n",
                PRE("3", "/bin/sh", "-c",
                        "read x || true; echo first $A $(id -un) $(pwd) $(readlink /proc/$$/fd/0 | grep -c null | tr 1 0)",
                        "2", "echo", "second"),
                .environment = ENVIRONMENT("A=own"), .user = "nobody");
        /* Nothing but the standard streams, and none of them is the role's input. */
        assert_output(w, "true", "0\n1\n2\n", PRE("3", "/bin/sh", "-c", "ls /proc/$$/fd; true"));
        assert_output(w, "true", "0000000000001000\n",
                PRE("4", "sed", "-n", "s/^SigIgn:.//p", "/proc/self/status"));

        /* The first failure ends the start, and nothing of the rest is run. */
        assert_true(asprintf(&command, "touch %s", marker) > 0);
        text = assert_fails(w,
                QUIET(.command = SHELL(command), PRE("3", "/bin/sh", "-c", "exit 3", "2", "touch", marker)),
                LAUNCH_STAGE_START_PRE, -EIO);
        assert_string_equal(text, "\"/bin/sh -c exit 3\" failed with exit status 3");
        text = assert_fails(w, QUIET(.command = SHELL(command), PRE("3", "/bin/sh", "-c", "kill -9 $$")),
                LAUNCH_STAGE_START_PRE, -EINTR);
        assert_non_null(strstr(text, "was killed by signal 9 (Killed)"));
        text = assert_fails(
                w, QUIET(.command = SHELL(command), PRE("1", "/none")), LAUNCH_STAGE_START_PRE, -ENOENT);
        assert_non_null(strstr(text, "cannot execute \"/none\""));
        assert_int_equal(access(marker, F_OK), -1);

        /* Unless it has the prefix. */
        Role role = role_start(w, 0,
                QUIET(.command = SHELL("exit 4"),
                        PRE("1", "-/none", "1", "-false", "3", "-/bin/sh", "-c", "kill $$")));
        assert_int_equal(role.n_reports, 3);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(role.reports[i].warning, 1);
        assert_string_equal(role.reports[1].text, "\"false\" failed with exit status 1, ignoring");
        assert_int_equal(role_end(w, &role).exit.wait_status, 4 << 8);

        /* What one leaves behind is gone before the next begins, also outside of its session. */
        assert_true(asprintf(&late, "setsid sleep 1000 & echo $! >%s", marker) > 0);
        assert_output(w, "true", "gone\n",
                PRE("3", "/bin/sh", "-c", late, "4", "/bin/sh", "-c",
                        "kill -0 $(cat $0) 2>/dev/null || echo gone", marker));
        assert_int_equal(unlink(marker), 0);

        /* All of them have one time. */
        text = assert_fails(w,
                QUIET(.command = SHELL(command), .exec_start_pre = LIST("2", "-sleep", "1000"),
                        .start_pre_timeout_usec = 20 * USEC_PER_MSEC),
                LAUNCH_STAGE_START_PRE, -ETIMEDOUT);
        assert_string_equal(text,
                "\"sleep 1000\" was killed, because the commands of exec-start-pre did not end within 20 ms");
        assert_int_equal(access(marker, F_OK), -1);
        free(late);
        free(command);
        free(marker);
}

/* How long they took is told once, and only by a role that has some. */
static void test_start_pre_time(void **state) {
        const uint64_t begin = now_usec(CLOCK_MONOTONIC);
        World *w = *state;

        Role role = role_run(w, 0, QUIET(.command = SHELL("true"), PRE("2", "sleep", "0.05", "1", "true")));
        assert_int_equal(role.times.magic, GATE_TIMES_MAGIC);
        assert_int_equal(role.times.products_usec, 0);
        assert_in_range(role.times.hooks_usec, 50 * USEC_PER_MSEC, now_usec(CLOCK_MONOTONIC) - begin);
        assert_int_equal(role_end(w, &role).execed, 1);

        role = role_run(w, 0, QUIET(.command = SHELL("true")));
        assert_int_equal(role.times.magic, 0);
        assert_int_equal(role_end(w, &role).execed, 1);
}

/* SIGTERM to all, as of a start that is cancelled: the command may clean up, and the role does not start. */
static void test_start_pre_cancelled(void **state) {
        World *w = *state;
        char *marker = world_path(w, "marker"), *ready = world_path(w, "ready"), *script;
        struct keeper_exited e;

        assert_int_equal(mkfifo(ready, 0600), 0);
        assert_true(
                asprintf(&script, "trap 'touch %s; exit 0' TERM; echo $$ >%s; while :; do sleep 0.01; done",
                        marker, ready) > 0);
        Role role = role_fork(w, 0);
        role_open(&role, QUIET(.command = SHELL("true"), PRE("3", "/bin/sh", "-c", script)));
        FILE *f = fopen(ready, "re");
        int pid = 0;
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%d", &pid), 1);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(kill(role.pid, SIGTERM), 0);
        assert_int_equal(kill(pid, SIGTERM), 0);
        role_listen(&role);
        e = role_end(w, &role);
        assert_int_equal(e.execed, 0);
        assert_int_equal(e.exit.wait_status, SIGTERM);
        assert_int_equal(access(marker, F_OK), 0);
        free(script);
        free(ready);
        free(marker);
}

/* The commands of exec-stop and exec-stop-post: one is executed by the child, several by this program again.
 */
static void test_commands(void **state) {
        World *w = *state;
        char *out = world_path(w, "out"), *text;

        assert_int_equal(chmod(w->dir, 01777), 0);
#define COMMANDS(...) \
        REQUEST(.commands = LIST(__VA_ARGS__), .output = LAUNCH_OUTPUT_APPEND, .output_path = out, \
                .environment = ENVIRONMENT("A=own"), .user = "nobody")
        assert_run(w, COMMANDS("3", "/bin/sh", "-c", "echo one $A $(id -un); exit 3"), 3 << 8);
        assert_run(w, COMMANDS("1", "-false"), 1 << 8); /* the node ignores it */
        text = assert_fails(w, COMMANDS("1", "/none"), LAUNCH_STAGE_EXEC, -ENOENT);
        assert_non_null(strstr(text, "cannot execute \"/none\""));

        assert_run(w,
                COMMANDS("2", "echo", "two", "1", "-/none", "3", "-/bin/sh", "-c", "exit 4", "3", "/bin/sh",
                        "-c", "echo $A $(readlink /proc/$$/fd/0)"),
                0);
        assert_run(w, COMMANDS("2", "echo", "three", "3", "/bin/sh", "-c", "exit 5", "2", "echo", "not"),
                5 << 8);
        assert_run(
                w, COMMANDS("2", "echo", "four", "3", "/bin/sh", "-c", "kill -9 $$", "2", "echo", "not"), 9);
        text = world_read(w, "out");
        assert_string_equal(text,
                "one own nobody\ntwo\n"
                "cannot execute \"/none\": No such file or directory, ignoring\n"
                "\"/bin/sh -c exit 4\" failed with exit status 4, ignoring\nown /dev/null\nthree\n"
                "\"/bin/sh -c exit 5\" failed with exit status 5\nfour\n"
                "\"/bin/sh -c kill -9 $$\" was killed by signal 9 (Killed)\n");
        free(text);
        free(out);
}

static void test_environment_files(void **state) {
        World *w = *state;
        char *first = world_path(w, "first"), *second = world_path(w, "second"),
             *none = world_path(w, "none"), *pattern = world_path(w, "[fs]*t"), *ignored, *may, *directory,
             *text;

        assert_int_equal(chmod(w->dir, 01777), 0);                            /* alice writes the output */
        world_write(w, "first", "A=first\nB=first\nHOME=/first\n", 28, 0600); /* root's alone */
        world_write(w, "second", "B='second one'\nARCHITECT_ROLE=x\n", 32, 0600);
        assert_true(asprintf(&may, "-%s", none) > 0);
        assert_true(asprintf(&directory, "-%s", w->dir) > 0);
        /* A file replaces the variables of the option env, and a later file those of an earlier one. */
        assert_output(w, "echo $A $B $C $HOME $ARCHITECT_ROLE", "first second one own /first cam\n",
                .environment = ENVIRONMENT("A=own", "B=own", "C=own"),
                .environment_files = FILES(first, may, second), .user = "alice");
        assert_output(w, "echo $A $B", "first first\n", .environment_files = FILES(second, pattern));
        assert_output(w, "echo $A $B", "\n", .environment_files = FILES(may));

        text = assert_fails(w, QUIET(.command = SHELL("true"), .environment_files = FILES(none)),
                LAUNCH_STAGE_ENVIRONMENT, -ENOENT);
        assert_non_null(strstr(text, "cannot read the environment file \""));
        assert_non_null(strstr(text, "none\": No such file or directory"));
        (void) assert_fails(w, QUIET(.command = SHELL("true"), .environment_files = FILES(directory)),
                LAUNCH_STAGE_ENVIRONMENT, -EISDIR);
        assert_int_equal(mkfifo(none, 0600), 0);
        text = assert_fails(w, QUIET(.command = SHELL("true"), .environment_files = FILES(may)),
                LAUNCH_STAGE_ENVIRONMENT, -EBADFD);
        assert_non_null(strstr(text, "it is not a regular file"));
        assert_int_equal(unlink(none), 0);
        world_write(w, "none", "A=1\0B=2", 7, 0600);
        text = assert_fails(w, QUIET(.command = SHELL("true"), .environment_files = FILES(none)),
                LAUNCH_STAGE_ENVIRONMENT, -EILSEQ);
        assert_non_null(strstr(text, "it has bytes that are not UTF-8"));

        /* What a user starts has no file read as root. */
        LaunchAccount account = { .uid = 0, .gid = 0, .name = "root", .home = "/root", .shell = "/bin/sh" };
        (void) assert_fails(w,
                QUIET(.command = SHELL("true"), .environment_files = FILES(first), .account = &account),
                LAUNCH_STAGE_ENVIRONMENT, -EPERM);

        /* A warning, and the role runs. */
        ignored = world_path(w, "ignored");
        world_write(w, "ignored", "A B=1\nC=2\n", 10, 0600);
        Role role = role_start(
                w, 0, QUIET(.command = SHELL("test \"$C\" = 2"), .environment_files = FILES(ignored)));
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].warning, 1);
        assert_non_null(strstr(role.reports[0].text, "\"A B\", which is no name of a variable"));
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);
        free(first);
        free(second);
        free(none);
        free(pattern);
        free(may);
        free(directory);
        free(ignored);
}

static void test_environment_order(void **state) {
        char *base[3001], *own[3001], **begun, **env;
        LaunchRequest q = { .role = "r", .instance = "i", .base_environment = base, .environment = own };
        const struct identity who = { .name = "n", .home = "/h", .shell = "/s" };
        size_t n = 0;

        for (int i = 0; i < 3000; i++) {
                assert_true(asprintf(&base[i], "V%d=base", i) > 0);
                assert_true(asprintf(&own[i], "V%d=own", i % 1000) > 0);
        }
        base[3000] = own[3000] = NULL;
        assert_int_equal(environment_begin(&q, &who, false, &begun), 0);
        assert_int_equal(environment_finish(&q, begun, &env), 0);
        while (env[n])
                n++;
        assert_int_equal(n, 3000 + 5 + 2);
        assert_string_equal(environment_get(env, "V0"), "own");
        assert_string_equal(environment_get(env, "V999"), "own");
        assert_string_equal(environment_get(env, "V1000"), "base");
        assert_string_equal(environment_get(env, "PATH"), DEFAULT_PATH);
        assert_null(environment_get(env, "V"));
        assert_null(environment_get(env, "V3000"));

        for (size_t i = 0; env[i]; i++)
                if (env[i][0] != 'V')
                        free(env[i]);
        for (size_t i = 0; i < 3000; i++) {
                free(base[i]);
                free(own[i]);
        }
        free(begun);
        free(env);
}

static void test_environment_merge(void **state) {
        char *base[] = { "A=1", "AB=1", "B=1", "C=1", "B=2", NULL }, *more[] = { "B=3", "D==", "A=", NULL };
        char *none[] = { NULL }, **env;

        assert_int_equal(environment_merge(base, more, &env), 0);
        for (size_t i = 0; i < 6; i++)
                assert_ptr_equal(
                        env[i], ((char *[]){ base[1], base[3], more[0], more[1], more[2], NULL })[i]);
        assert_string_equal(base[0], "A=1"); /* the array of the caller remains as it is */
        free(env);

        assert_int_equal(environment_merge(none, base, &env), 0);
        for (size_t i = 0; i < 5; i++)
                assert_ptr_equal(env[i], ((char *[]){ base[0], base[1], base[3], base[4], NULL })[i]);
        free(env);

        assert_int_equal(environment_merge(NULL, NULL, &env), 0);
        assert_null(env[0]);
        free(env);
}

/* -- users -- */

static void test_users(void **state) {
        static char who[] =
                "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm):' /proc/self/status | tr -s '[:space:]' ' '; "
                "echo $HOME $USER $LOGNAME $SHELL";
        World *w = *state;

        assert_int_equal(chmod(w->dir, 01777), 0);
#define IDS(u, g, groups, rest) \
        "Uid: " u " " u " " u " " u " Gid: " g " " g " " g " " g " Groups: " groups \
        " CapPrm: 0000000000000000 CapEff: 0000000000000000 " rest "\n"
        assert_output(w, who, IDS("4711", "4712", "4712 4714 4715", "/home/alice alice alice /bin/alice-sh"),
                .user = "alice");
        assert_output(w, who, IDS("4711", "4712", "4712 4714 4715", "/home/alice alice alice /bin/alice-sh"),
                .user = "4711");
        assert_output(w, who, IDS("4711", "4716", "4714 4715 4716", "/home/alice alice alice /bin/alice-sh"),
                .user = "alice", .group = "other");
        assert_output(w, who, IDS("4711", "99", "99 4714 4715", "/home/alice alice alice /bin/alice-sh"),
                .user = "alice", .group = "99");
        assert_output(w, who, IDS("4713", "4713", "4713", "/ bare bare /bin/sh"), .user = "bare");
        assert_output(w, who, IDS("12345", "12345", "12345", "/ 12345 12345 /bin/sh"), .user = "12345");
        assert_output(w, who, IDS("12345", "4714", "4714", "/ 12345 12345 /bin/sh"), .user = "12345",
                .group = "scope");

        assert_output(
                w, "id -u; id -g; id -G; echo $USER $HOME", "0\n4714\n4714\nroot /root\n", .group = "scope");
        assert_output(w, "id -u; id -g; id -G; echo $USER $HOME", "0\n0\n0\nroot /root\n", .user = "root");
        assert_output(w, "id -u; id -g; id -G; echo $USER $HOME", "0\n0\n0\nroot /root\n", .user = "0");
}

/* What a session of the user has, if there is one. */
static void test_user_session(void **state) {
        static char show[] = "echo $XDG_RUNTIME_DIR $DBUS_SESSION_BUS_ADDRESS";
        const struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/user/4711/bus" };
        World *w = *state;
        autofd bus = -EBADF;

        assert_int_equal(chmod(w->dir, 01777), 0);
        assert_output(w, show, "\n", .user = "alice");
        assert_return_code(mkdir("/run/user", 0755), errno);
        assert_return_code(mkdir("/run/user/4711", 0700), errno);
        assert_output(w, show, "\n", .user = "alice"); /* not hers */
        assert_return_code(chown("/run/user/4711", ALICE_UID, ALICE_GID), errno);
        assert_output(w, show, "/run/user/4711\n", .user = "alice");
        bus = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_return_code(bind(bus, (const struct sockaddr *) &a, sizeof(a)), errno);
        assert_output(w, show, "/run/user/4711 unix:path=/run/user/4711/bus\n", .user = "alice");
        assert_output(w, show, "/own unix:path=/run/user/4711/bus\n", .user = "4711",
                .environment = ENVIRONMENT("XDG_RUNTIME_DIR=/own"));
        assert_output(w, show, "\n", .user = "bare");
        assert_output(w, show, "\n", .base_environment = ENVIRONMENT("A=1"));
        assert_return_code(unlink("/run/user/4711/bus"), errno);
        assert_return_code(rmdir("/run/user/4711"), errno);
        assert_return_code(rmdir("/run/user"), errno);
}

static void test_users_fail(void **state) {
        World *w = *state;

        assert_string_equal(
                assert_fails(w, QUIET(.command = SHELL("true"), .user = "nosuch"), LAUNCH_STAGE_USER, -ESRCH),
                "user \"nosuch\" does not exist");
        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true"), .group = "nosuch"),
                                    LAUNCH_STAGE_USER, -ESRCH),
                "group \"nosuch\" does not exist");
        assert_string_equal(
                assert_fails(w, QUIET(.command = SHELL("true"), .user = "alice", .group = "nosuch"),
                        LAUNCH_STAGE_USER, -ESRCH),
                "group \"nosuch\" does not exist");
        (void) assert_fails(w, QUIET(.command = SHELL("true"), .user = ""), LAUNCH_STAGE_USER, -ESRCH);
        (void) assert_fails(w, QUIET(.command = SHELL("true"), .user = "-1"), LAUNCH_STAGE_USER, -ESRCH);
        /* An entry of the database must not mean "remain root" either. */
        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true"), .user = "nobodys"),
                                    LAUNCH_STAGE_USER, -EINVAL),
                "user \"nobodys\" has the uid 4294967295, which is no valid number; correct the entry in the user database");
        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true"), .user = "nogroup"),
                                    LAUNCH_STAGE_USER, -EINVAL),
                "user \"nogroup\" has the gid 4294967295, which is no valid number; correct the entry in the user database");
        /* For the system calls this ID means "no change". */
        (void) assert_fails(
                w, QUIET(.command = SHELL("true"), .user = "4294967295"), LAUNCH_STAGE_USER, -ESRCH);
        (void) assert_fails(
                w, QUIET(.command = SHELL("true"), .group = "4294967295"), LAUNCH_STAGE_USER, -ESRCH);
}

static bool may_everything(void) {
        char *text, *p;
        unsigned long long caps = 0;

        assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL), 0);
        p = strstr(text, "CapEff:");
        assert_int_equal(sscanf(p, "CapEff: %llx", &caps), 1);
        free(text);
        return caps & (1ULL << 24); /* CAP_SYS_RESOURCE */
}

/* The instance of a user. */
static void test_unprivileged(void **state) {
        World *w = *state;

        world_start(w, &(struct start){ .before_exec = odd_keeper, .uid = ALICE_UID, .gid = ALICE_GID });
        w->noisy = true;

        assert_output(w, "id -u; id -g; echo $HOME $USER", "4711\n4712\n/home/alice alice\n", 0);
        assert_output(
                w, "id -u; id -g; echo $HOME $USER", "4711\n4712\n/home/alice alice\n", .user = "alice");
        assert_output(w, "id -u", "4711\n", .user = "4711", .group = "alice");
        assert_string_equal(
                assert_fails(w, QUIET(.command = SHELL("true"), .user = "root"), LAUNCH_STAGE_USER, -EPERM),
                "cannot become user \"root\" (uid 0, group 0): this service does not run as root, its roles run as uid 4711, group 4712");
        (void) assert_fails(w, QUIET(.command = SHELL("true"), .group = "scope"), LAUNCH_STAGE_USER, -EPERM);

        /* A value that a privileged root has set cannot be lowered by the user. */
        assert_output(w, "cat /proc/self/oom_score_adj", may_everything() ? "300\n" : "0\n", 0);

        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true"), .nice_set = true, .nice = -1),
                                    LAUNCH_STAGE_LIMITS, -EACCES),
                "cannot set nice to -1: Permission denied");
        assert_output(w, "cat /proc/self/oom_score_adj", "400\n", .oom_score_adjust_set = true,
                .oom_score_adjust = 400);
        if (may_everything())
                assert_string_equal(assert_fails(w,
                                            QUIET(.command = SHELL("true"), .oom_score_adjust_set = true,
                                                    .oom_score_adjust = 299),
                                            LAUNCH_STAGE_LIMITS, -EACCES),
                        "cannot set oom_score_adj to 299: Permission denied");
        assert_output(w, "cut -d' ' -f19 /proc/$$/stat", "7\n", .nice_set = true, .nice = 7);
}

/* Each change of credentials clears the death signal, and with it the guarantee that no half-started child
 * remains. */
static void test_deathsig(void **state) {
        const ExecParameters p = { .keeper_pid = getpid(), .gate_fd = -EBADF };
        LaunchRequest q = { .user = "alice" };
        int status;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                struct identity who;
                int signo;

#define ARMED (prctl(PR_GET_PDEATHSIG, &signo) >= 0 && signo == SIGKILL)
                identity_find(-EBADF, &q, &who);
                if (exec_die_with(p.keeper_pid) < 0 || !ARMED)
                        _exit(1);
                identity_take_groups(&p, &who);
                if (!ARMED)
                        _exit(2);
                identity_borrow(&p, &who);
                if (!ARMED || geteuid() != ALICE_UID || getuid() != 0)
                        _exit(3);
                identity_return(&p, &who);
                if (!ARMED || geteuid() != 0)
                        _exit(4);
                identity_become(&p, &who);
                if (!ARMED || getuid() != ALICE_UID || geteuid() != ALICE_UID)
                        _exit(5);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);

        /* The keeper has died already. */
        assert_int_equal(exec_die_with(getppid() + 1), -ESRCH);
        assert_int_equal(exec_die_with(getppid()), 0);
        assert_int_equal(prctl(PR_SET_PDEATHSIG, 0), 0);

        /* The death signal does not stay with the role. */
        {
                World *w = *state;
                Role role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600"), .user = "alice"));

                assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
                assert_int_equal(kill(w->keeper, SIGKILL), 0);
                assert_int_equal(waitpid(w->keeper, NULL, 0), w->keeper);
                w->keeper = 0;
                world_disconnect(w);
                (void) usleep(50000);
                assert_int_equal(waitpid(role.pid, &status, WNOHANG), 0);
                assert_int_equal(kill(role.pid, SIGTERM), 0);
                assert_int_equal(waitpid(role.pid, &status, 0), role.pid);
                assert_int_equal(status, SIGTERM);
                assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
                role_close(&role);
        }
}

/* -- stdin -- */

static void test_stdin(void **state) {
        enum { SIZE = 4 * 1024 * 1024 };
        World *w = *state;
        char *path = world_path(w, "output"), *text, *block = malloc(SIZE);
        size_t done = 0;
        Role role;

        /* The end of the role is blocking and that of the node is not, because a reader must not get
         * EAGAIN. */
        role = role_run(w, KEEPER_FORK_STDIN_PIPE,
                REQUEST(.command = SHELL("grep ^flags /proc/self/fdinfo/0; exec cat"),
                        .output = LAUNCH_OUTPUT_FILE, .output_path = path));
        assert_true(fcntl(role.stdin_fd, F_GETFL) & O_NONBLOCK);

        for (size_t i = 0; i < SIZE; i++)
                block[i] = (char) ('a' + i * 7 % 26);
        while (done < SIZE) {
                ssize_t n = write(role.stdin_fd, block + done, SIZE - done);

                if (n < 0) {
                        assert_int_equal(errno, EAGAIN);
                        (void) usleep(500);
                        continue;
                }
                done += (size_t) n;
        }

        /* The role reads EOF when both copies are closed, that of the test and that of the keeper. */
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, role.id), 0);
        role.stdin_fd = fd_close(role.stdin_fd);
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);
        text = world_read(w, "output");
        assert_int_equal(strncmp(text, "flags:\t00\n", 10), 0);
        assert_int_equal(strlen(text), 10 + SIZE);
        assert_memory_equal(text + 10, block, SIZE);
        free(text);
        free(block);
        free(path);
}

/* The end of the role closes the reading side, so the writer gets an error. */
static void test_stdin_epipe(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/true")));

        (void) role_ended(w, &role);
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(write(role.stdin_fd, "x", 1), -1);
        assert_int_equal(errno, EPIPE);
        (void) role_end(w, &role);
}

static void test_no_dev_null(void **state) {
        World *w = *state;
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        Role role;

        /* A socket in the place of /dev/null cannot be opened. */
        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/null", w->dir);
        assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(mount(a.sun_path, "/dev/null", NULL, MS_BIND, NULL), 0);

        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true")), LAUNCH_STAGE_STDIN, -ENXIO),
                "cannot connect stdin to /dev/null: No such device or address");
        role = role_start(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = SHELL("true")));
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].stage, LAUNCH_STAGE_OUTPUT);
        assert_int_equal(role.reports[0].error, -ENXIO);
        (void) role_end(w, &role);

        assert_int_equal(umount("/dev/null"), 0);
}

/* -- output -- */

static void test_output_file(void **state) {
        World *w = *state;
        char *path = world_path(w, "output"), *text;
        struct stat st;

        assert_int_equal(chmod(w->dir, 01777), 0);
        assert_output(
                w, "echo a; echo b >&2; echo c", "a\nb\nc\n", .user = "alice"); /* one stream for both */
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, ALICE_UID);
        assert_int_equal(st.st_gid, ALICE_GID);
        assert_int_equal(st.st_mode & 07777, 0644);

        assert_run(w,
                REQUEST(.command = SHELL("echo d"), .output = LAUNCH_OUTPUT_APPEND, .output_path = path,
                        .user = "alice"),
                0);
        text = world_read(w, "output");
        assert_string_equal(text, "a\nb\nc\nd\n");
        free(text);

        /* The file is truncated, but remains the same file. */
        assert_run(w,
                REQUEST(.command = SHELL("seq 100"), .output = LAUNCH_OUTPUT_APPEND, .output_path = path), 0);
        assert_run(w,
                REQUEST(.command = SHELL("grep ^flags /proc/self/fdinfo/2; echo e"),
                        .output = LAUNCH_OUTPUT_FILE, .output_path = path, .user = "alice"),
                0);
        text = world_read(w, "output");
        assert_string_equal(
                /* O_WRONLY (and O_LARGEFILE and O_NOFOLLOW), but neither O_NONBLOCK nor O_CLOEXEC */
                text, "flags:\t0500001\ne\n");
        free(text);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, ALICE_UID);

        assert_run(w,
                REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_FILE, .output_path = "/dev/null"),
                0);
        free(path);
}

static void test_output_fails(void **state) {
        World *w = *state;
        char *path = world_path(w, "no/such"), *expected;

        assert_true(asprintf(&expected,
                            "cannot open \"%s\" for output as user \"root\": No such file or directory",
                            path) > 0);
        assert_string_equal(
                assert_fails(w,
                        REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_FILE, .output_path = path),
                        LAUNCH_STAGE_OUTPUT, -ENOENT),
                expected);
        free(path);
        free(expected);

        (void) assert_fails(w,
                REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_APPEND, .output_path = w->dir),
                LAUNCH_STAGE_OUTPUT, -EISDIR);

        /* The file is opened with the rights of the user instead of those of the keeper; directory and file
         * belong to root. */
        path = world_path(w, "private");
        assert_true(asprintf(&expected, "cannot open \"%s\" for output as user \"alice\": Permission denied",
                            path) > 0);
        assert_string_equal(assert_fails(w,
                                    REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_APPEND,
                                            .output_path = path, .user = "alice"),
                                    LAUNCH_STAGE_OUTPUT, -EACCES),
                expected);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
        (void) assert_fails(w,
                REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .user = "alice"),
                LAUNCH_STAGE_OUTPUT, -EACCES);

        /* The supplementary groups of the user apply. */
        assert_int_equal(chown(path, 0, SCOPE_GID), 0);
        assert_int_equal(chmod(path, 0620), 0);
        assert_run(w,
                REQUEST(.command = SHELL("echo x"), .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .user = "alice"),
                0);
        free(path);
        free(expected);
}

/* A link in the place of the file, and what is no file that output belongs into, is refused to everybody, and
 * nothing has happened to it. */
static void test_output_refused(void **state) {
        World *w = *state;
        const struct {
                const char *name;
                const char *target; /* of a link of that name, which is made first */
                const char *path;
                int error;
                const char *reason;
        } refused[] = {
                { "to-file", "kept", "to-file", -ELOOP, "it is a symbolic link" },
                { "to-nothing", "new", "to-nothing", -ELOOP, "it is a symbolic link" },
                { "to-null", "/dev/null", "to-null", -ELOOP, "it is a symbolic link" },
                { "circle", "circle", "circle/file", -ELOOP, "Too many levels of symbolic links" },
                { NULL, NULL, "/dev/stdout", -ELOOP, "it is a symbolic link" },
                { NULL, NULL, "/dev/fd/2", -ELOOP, "it is a symbolic link" },
                { NULL, NULL, "/proc/self/fd/2", -ELOOP, "it is a symbolic link" },
                { "fds", "/dev/fd", "fds/2", -ELOOP, "it is a symbolic link" },
                { NULL, NULL, "/proc/self/comm", -EPERM, "it is a file of /proc" },
                { "process", "/proc/self", "process/comm", -EPERM, "it is a file of /proc" },
                { NULL, NULL, "/dev/full", -EPERM, "it is neither a regular file nor" },
                { "devices", "/dev", "devices/zero", -EPERM, "it is neither a regular file nor" },
        };
        const LaunchOutput outputs[] = { LAUNCH_OUTPUT_FILE, LAUNCH_OUTPUT_APPEND };
        const char *const users[] = { NULL, "alice" };
        char *kept = world_path(w, "kept"), *new = world_path(w, "new"), *text;

        assert_int_equal(chmod(w->dir, 01777), 0);
        world_write(w, "kept", "kept\n", 5, 0666);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                char *name = world_path(w, refused[i].name ?: "");
                char *path =
                        refused[i].path[0] == '/' ? strdup(refused[i].path) : world_path(w, refused[i].path);

                if (refused[i].name)
                        assert_int_equal(symlink(refused[i].target, name), 0);
                for (size_t k = 0; k < ELEMENTSOF(outputs) * ELEMENTSOF(users); k++) {
                        /* A child that has changed its user may not write these anyway. */
                        if (users[k / 2] && strstr(refused[i].reason, "/proc"))
                                continue;
                        text = assert_fails(w,
                                REQUEST(.command = SHELL("echo wrong"), .output = outputs[k % 2],
                                        .output_path = path, .user = (char *) users[k / 2]),
                                LAUNCH_STAGE_OUTPUT, refused[i].error);
                        if (!strstr(text, refused[i].reason))
                                fail_msg("%s: %s", refused[i].path, text);
                }
                free(name);
                free(path);
        }
        text = world_read(w, "kept");
        assert_string_equal(text, "kept\n");
        assert_int_equal(access(new, F_OK), -1);
        free(text);
        free(kept);
        free(new);
}

/* Only the last component may not be a link. */
static void test_output_below_link(void **state) {
        World *w = *state;
        char *directory = world_path(w, "directory"), *path = world_path(w, "link/output"),
             *link = world_path(w, "link"), *text;

        assert_int_equal(mkdir(directory, 0755), 0);
        assert_int_equal(symlink("directory", link), 0);
        assert_run(
                w, REQUEST(.command = SHELL("echo x"), .output = LAUNCH_OUTPUT_FILE, .output_path = path), 0);
        text = world_read(w, "directory/output");
        assert_string_equal(text, "x\n");
        free(text);
        free(link);
        free(path);
        free(directory);
}

static void test_output_fifo(void **state) {
        World *w = *state;
        char *path = world_path(w, "fifo"), *text, buffer[256] = { 0 };
        autofd fd = -EBADF;

        assert_int_equal(mkfifo(path, 0666), 0);
        text = assert_fails(w,
                REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_FILE, .output_path = path),
                LAUNCH_STAGE_OUTPUT, -ENXIO);
        assert_non_null(strstr(text, "it is a FIFO without a reader"));

        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_run(w,
                REQUEST(.command = SHELL("grep ^flags /proc/self/fdinfo/1"), .output = LAUNCH_OUTPUT_FILE,
                        .output_path = path),
                0);
        assert_true(read(fd, buffer, sizeof(buffer) - 1) > 0);
        assert_string_equal(
                buffer, "flags:\t0500001\n"); /* a full FIFO makes the role wait and loses nothing */
        free(path);
}

/* A session leader that opens a terminal gets it as its controlling terminal, unless O_NOCTTY is set. */
static void test_output_tty(void **state) {
        World *w = *state;
        autofd master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -EBADF;
        char name[64], buffer[64] = { 0 };

        assert_true(master >= 0);
        assert_int_equal(grantpt(master), 0);
        assert_int_equal(unlockpt(master), 0);
        assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
        /* Otherwise no process has the slave open, and the master cannot be read. */
        slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(slave >= 0);
        assert_run(w,
                REQUEST(.command = SHELL("cut -d' ' -f7 /proc/$$/stat"), .output = LAUNCH_OUTPUT_FILE,
                        .output_path = name),
                0);
        assert_true(read(master, buffer, sizeof(buffer) - 1) > 0);
        assert_string_equal(buffer, "0\r\n");
}

/* -- the journal, or a socket in its place -- */

static int journal_listen(int backlog) {
        struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/stdout" };
        const struct timeval patience = { .tv_sec = 20 };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (mkdir("/run/systemd", 0755) < 0 || mkdir("/run/systemd/journal", 0755) < 0)
                assert_int_equal(errno, EEXIST);
        if (unlink(a.sun_path) < 0)
                assert_int_equal(errno, ENOENT);
        assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(chmod(a.sun_path, 0666), 0);
        assert_int_equal(listen(fd, backlog), 0);
        /* accept() does not wait for ever, either. */
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
        return fd;
}

static void journal_gone(int fd) {
        (void) fd_close(fd);
        assert_int_equal(unlink("/run/systemd/journal/stdout"), 0);
}

static void test_journal(void **state) {
        static const char expected[] = "ccd-sim.1\n\n6\n1\n0\n0\n0\n<3>out\nerr\n";
        World *w = *state;
        int listener = journal_listen(16);
        char buffer[512] = { 0 };
        size_t size = 0;
        struct ucred peer;
        socklen_t peer_size = sizeof(peer);
        autofd stream = -EBADF;
        Role role;

        role = role_fork(w, 0);
        role_open(&role, &(LaunchRequest){ .role = "ccd-sim.1",
                                 .instance = "main",
                                 .user = "alice",
                                 .command = SHELL("echo '<3>out'; echo err >&2; exec sleep 600") });
        stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(stream >= 0);
        assert_int_equal(setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 20 },
                                 sizeof(struct timeval)),
                0);
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);

        /* journald takes the PID of the peer from the kernel. It must be in the scope of the role, so it must
         * be the role itself. */
        assert_int_equal(getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size), 0);
        assert_int_equal(peer.pid, role.pid);

        /* Expects the header of sd_journal_stream_fd(3), and then both streams in order. */
        while (size < strlen(expected)) {
                ssize_t n = read(stream, buffer + size, sizeof(buffer) - 1 - size);

                assert_true(n > 0);
                size += (size_t) n;
        }
        assert_string_equal(buffer, expected);

        /* The other direction is shut down. */
        assert_int_equal(send(stream, "x", 1, MSG_NOSIGNAL), -1);
        assert_int_equal(errno, EPIPE);
        assert_int_equal(world_signal(w, role.id, SIGTERM), 0);
        assert_int_equal(role_end(w, &role).exit.wait_status, SIGTERM);
        journal_gone(listener);
}

static void test_no_journal(void **state) {
        World *w = *state;
        char *path = world_path(w, "seen"), *script, *text;
        Role role;

        assert_true(asprintf(&script, "readlink /proc/$$/fd/1 /proc/$$/fd/2 >%s", path) > 0);
        role = role_start(w, 0, REQUEST(.command = SHELL(script)));
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].warning, 1);
        assert_int_equal(role.reports[0].stage, LAUNCH_STAGE_OUTPUT);
        assert_int_equal(role.reports[0].error, -ENOENT);
        assert_string_equal(role.reports[0].text,
                "the journal cannot be reached, output goes to /dev/null: No such file or directory");
        assert_int_equal(role_end(w, &role).execed, 1);
        text = world_read(w, "seen");
        assert_non_null(strstr(text, "/dev/null\n"));
        free(text);
        free(path);
        free(script);
}

/* If journald accepts no connection, the role starts without it after a limited time. */
static void test_hung_journal(void **state) {
        World *w = *state;
        int listener = journal_listen(0), waiting[8];
        struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/stdout" };
        Role role;

        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                (void) connect(waiting[i], (struct sockaddr *) &a, sizeof(a));
        }
        role = role_start(w, 0, REQUEST(.command = COMMAND("/bin/true")));
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].warning, 1);
        assert_int_equal(role.reports[0].error, -EAGAIN);
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++)
                (void) fd_close(waiting[i]);
        journal_gone(listener);
}

/* Reads so much from the stream, within 20 s. */
static char *journal_read(int stream, size_t size) {
        char *text = calloc(1, size + 1);

        assert_int_equal(setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 20 },
                                 sizeof(struct timeval)),
                0);
        assert_int_equal(recv(stream, text, size, MSG_WAITALL), size);
        return text;
}

#define assert_journal(stream, expected) \
        do { \
                char *_text = journal_read((stream), strlen(expected)); \
                assert_string_equal(_text, (expected)); \
                free(_text); \
        } while (0)

static void assert_null_output(World *w, Role *role) {
        char *text;

        assert_int_equal(role_end(w, role).execed, 1);
        text = world_read(w, "seen");
        assert_string_equal(text, "/dev/null\n");
        free(text);
}

/* Prints where its output goes, into a file. */
static char *seen_script(World *w) {
        char *path = world_path(w, "seen"), *script;

        assert_true(asprintf(&script, "readlink /proc/$$/fd/2 >%s", path) > 0);
        free(path);
        return script;
}

/* A stream for others, too, is sent when the journal has begun to read it, and never before. */
static void test_offered_stream(void **state) {
        World *w = *state;
        int listener = journal_listen(16);
        autofd journal = -EBADF;
        struct pollfd gate = { .events = POLLIN };
        Role role;

        role = role_fork(w, 0);
        role_open(&role, REQUEST(.stream = LAUNCH_STREAM_OFFERED, .user = "alice",
                                 .command = SHELL("echo mine; exec sleep 600")));
        journal = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(journal >= 0);
        gate.fd = role.gate;
        assert_int_equal(poll(&gate, 1, 300), 0);
        assert_journal(journal, "\n\n6\n1\n0\n0\n0\n"); /* no identifier */
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        assert_true(role.stream >= 0);
        assert_int_equal(role.stream_uid, ALICE_UID);
        assert_journal(journal, "mine\n");

        /* It can be used like that of the role: it blocks, and has room. */
        int size;
        socklen_t length = sizeof(size);
        assert_int_equal(fcntl(role.stream, F_GETFL) & O_NONBLOCK, 0);
        assert_int_equal(getsockopt(role.stream, SOL_SOCKET, SO_SNDBUF, &size, &length), 0);
        assert_true(size >= 8 * 1024 * 1024);
        assert_int_equal(write(role.stream, "others\n", 7), 7);
        assert_journal(journal, "others\n");
        assert_int_equal(world_signal(w, role.id, SIGTERM), 0);
        assert_int_equal(role_end(w, &role).exit.wait_status, SIGTERM);
        journal_gone(listener);
}

/* journald accepts each stream, and closes those of which it has too many. */
static void test_closed_stream(void **state) {
        World *w = *state;
        char *script = seen_script(w);
        int listener = journal_listen(16);
        Role role;

        role = role_fork(w, 0);
        role_open(&role, REQUEST(.stream = LAUNCH_STREAM_OFFERED, .command = SHELL(script)));
        (void) fd_close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
        role_listen(&role);
        assert_true(role.stream < 0);
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].warning, 1);
        assert_int_equal(role.reports[0].stage, LAUNCH_STAGE_OUTPUT);
        assert_int_equal(role.reports[0].error, -EPIPE);
        assert_non_null(strstr(role.reports[0].text, "it has closed the stream"));
        assert_null_output(w, &role);
        journal_gone(listener);
        free(script);
}

/* Nothing is lost by a journal that is slow, but nobody else gets its stream. */
static void test_slow_stream(void **state) {
        World *w = *state;
        int listener = journal_listen(16);
        autofd journal = -EBADF;
        Role role;

        role = role_fork(w, 0);
        role_open(&role, REQUEST(.stream = LAUNCH_STREAM_OFFERED, .command = SHELL("echo line")));
        role_listen(&role);
        assert_true(role.stream < 0);
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].warning, 1);
        assert_int_equal(role.reports[0].error, 0);
        assert_string_equal(role.reports[0].text, "the journal does not respond, the output waits for it");
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);
        journal = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(journal >= 0);
        assert_journal(journal, "\n\n6\n1\n0\n0\n0\nline\n");
        journal_gone(listener);
}

/* The stream of another role, without a journal of its own. */
static void test_shared_stream(void **state) {
        World *w = *state;
        int pair[2];
        Role role;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        for (int as_alice = 0; as_alice < 2; as_alice++) {
                role = role_fork(w, 0);
                role_open_with(&role,
                        REQUEST(.stream = LAUNCH_STREAM_SHARED, .stream_uid = as_alice ? ALICE_UID : 0,
                                .user = as_alice ? "alice" : NULL,
                                .command = SHELL("echo out; echo err >&2; ls -C /proc/$$/fd")),
                        pair[0]);
                role_listen(&role);
                assert_int_equal(role.n_reports, 0);
                assert_true(role.stream < 0);
                assert_int_equal(role_end(w, &role).exit.wait_status, 0);
                assert_journal(pair[1], "out\nerr\n0  1  2\n"); /* no copy of it */
        }
        (void) fd_close(pair[0]);
        (void) fd_close(pair[1]);
}

/* One that the child must not have, or that is closed: it makes another one. */
static void test_no_shared_stream(void **state) {
        World *w = *state;
        int listener = journal_listen(16);

        for (int closed = 0; closed < 2; closed++) {
                autofd journal = -EBADF;
                int pair[2];
                char byte;
                Role role;

                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
                if (closed)
                        pair[1] = fd_close(pair[1]);
                role = role_fork(w, 0);
                role_open_with(&role,
                        REQUEST(.stream = LAUNCH_STREAM_SHARED, .stream_uid = closed ? 0 : ALICE_UID,
                                .command = SHELL("echo line")),
                        pair[0]);
                pair[0] = fd_close(pair[0]);
                journal = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                assert_true(journal >= 0);
                assert_journal(journal, "\n\n6\n1\n0\n0\n0\nline\n");
                role_listen(&role);
                assert_int_equal(role.n_reports, 0);
                assert_true(role.stream >= 0);
                assert_int_equal(role.stream_uid, 0);
                assert_int_equal(role_end(w, &role).exit.wait_status, 0);
                if (!closed)
                        assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0); /* nobody has it */
                (void) fd_close(pair[1]);
        }
        journal_gone(listener);
}

/* -- limits and directory -- */

static void test_limits(void **state) {
        World *w = *state;
        Role role;

        assert_output(w, "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc; cut -d' ' -f19 /proc/$$/stat",
                "77\n77\n0\n0\n5\n", .limits_set = UINT64_C(1) << RLIMIT_NOFILE | UINT64_C(1) << RLIMIT_CORE,
                .limits = { [RLIMIT_NOFILE] = 77, [RLIMIT_CORE] = 0 }, .nice_set = true, .nice = 5,
                .user = "root");
        assert_output(w, "ulimit -St; ulimit -Ht", "unlimited\nunlimited\n",
                .limits_set = UINT64_C(1) << RLIMIT_CPU, .limits = { [RLIMIT_CPU] = UINT64_MAX });
        assert_output(w, "cut -d' ' -f19 /proc/$$/stat", "-3\n", .nice_set = true, .nice = -3);
        assert_output(w, "cat /proc/self/oom_score_adj", "77\n", .oom_score_adjust_set = true,
                .oom_score_adjust = 77);
        assert_output(w, ALLOWED, first_cpu(), .cpu_affinity = first_cpu());
        /* What does not exist is left out, as long as something does. */
        char *beyond = NULL;
        assert_true(asprintf(&beyond, "%s 8191", first_cpu()) > 0);
        assert_output(w, ALLOWED, first_cpu(), .cpu_affinity = beyond);
        free(beyond);
        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true"), .cpu_affinity = "8190-8191"),
                                    LAUNCH_STAGE_LIMITS, -EINVAL),
                "cannot run on the CPUs \"8190-8191\": the role may use none of them");

        /* The limit is so low that no other file could be opened before the exec. What the loader of the
         * shell then does is not tested. */
        role = role_run(w, 0,
                QUIET(.command = SHELL("true"), .limits_set = UINT64_C(1) << RLIMIT_NOFILE,
                        .limits = { [RLIMIT_NOFILE] = 3 }, .user = "12345"));
        assert_int_equal(role_end(w, &role).execed, 1);
        assert_string_equal(
                assert_fails(w,
                        QUIET(.command = SHELL("true"), .limits_set = UINT64_C(1) << RLIMIT_NOFILE,
                                .limits = { [RLIMIT_NOFILE] = UINT64_MAX }),
                        LAUNCH_STAGE_LIMITS, -EPERM),
                "cannot set the limit nofile to 18446744073709551615: Operation not permitted");
}

static void test_directory(void **state) {
        World *w = *state;
        char *path = world_path(w, "private"), *expected;

        assert_int_equal(chmod(w->dir, 01777), 0);
        assert_output(w, "pwd", "/usr\n", .working_directory = "/usr");
        assert_output(w, "pwd", "/usr\n", .working_directory = "usr"); /* relative to the root */

        assert_string_equal(assert_fails(w, QUIET(.command = SHELL("true"), .working_directory = "/no/such"),
                                    LAUNCH_STAGE_DIRECTORY, -ENOENT),
                "cannot change to directory \"/no/such\" as user \"root\": No such file or directory");
        (void) assert_fails(w, QUIET(.command = SHELL("true"), .working_directory = "/etc/passwd"),
                LAUNCH_STAGE_DIRECTORY, -ENOTDIR);

        /* The right of root to enter every directory does not extend to the role. */
        assert_int_equal(mkdir(path, 0700), 0);
        assert_true(
                asprintf(&expected, "cannot change to directory \"%s\" as user \"alice\": Permission denied",
                        path) > 0);
        assert_string_equal(
                assert_fails(w, QUIET(.command = SHELL("true"), .working_directory = path, .user = "alice"),
                        LAUNCH_STAGE_DIRECTORY, -EACCES),
                expected);
        free(path);
        free(expected);
}

/* The allocator of a sanitizer ends a process with so little memory before the tested code can report an
 * error. */
#ifdef __SANITIZE_ADDRESS__
#define WITH_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ADDRESS_SANITIZER 1
#endif
#endif

#ifndef WITH_ADDRESS_SANITIZER
static void test_no_memory(void **state) {
        static char *many[20001];
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(many) - 1; i++)
                many[i] = "A=1";
        assert_string_equal(
                assert_fails(w,
                        QUIET(.command = SHELL("true"), .environment = many,
                                .limits_set = UINT64_C(1) << RLIMIT_AS, .limits = { [RLIMIT_AS] = 4096 }),
                        LAUNCH_STAGE_ENVIRONMENT, -ENOMEM),
                "cannot build the environment: Cannot allocate memory");
}
#endif

/* -- the exec -- */

static char *make_file(World *w, const char *name, const void *data, size_t size, mode_t mode) {
        world_write(w, name, data, size, mode);
        return world_path(w, name);
}

static char *make_script(World *w, const char *name, const char *text, mode_t mode) {
        return make_file(w, name, text, strlen(text), mode);
}

static _printf_(5, 6) void assert_exec_fails(
        World *w, char *command, char *path, int error, const char *format, ...) {
        va_list ap;
        char *expected;

        va_start(ap, format);
        assert_true(vasprintf(&expected, format, ap) > 0);
        va_end(ap);
        assert_string_equal(
                assert_fails(w,
                        QUIET(.command = COMMAND(command), .environment = path ? ENVIRONMENT(path) : NULL),
                        LAUNCH_STAGE_EXEC, error),
                expected);
        free(expected);
}

/* The name of its loader inside the file. The bytes before that can be any. */
static char *elf_interpreter(char *program, size_t size) {
        ElfW(Ehdr) header;
        ElfW(Phdr) segment;

        assert_true(size >= sizeof(header));
        memcpy(&header, program, sizeof(header));
        for (size_t i = 0; i < header.e_phnum; i++) {
                size_t offset = header.e_phoff + i * sizeof(segment);

                assert_true(offset + sizeof(segment) <= size);
                memcpy(&segment, program + offset, sizeof(segment));
                if (segment.p_type == PT_INTERP && segment.p_offset < size)
                        return program + segment.p_offset;
        }
        fail_msg("the program has no loader");
        return NULL;
}

static void test_exec_fails(void **state) {
        World *w = *state;
        char *p, *q, *self, *interpreter;
        size_t size;

        assert_exec_fails(w, "/nonexistent", NULL, -ENOENT,
                "cannot execute \"/nonexistent\": No such file or directory");
        assert_exec_fails(w, "/etc/passwd", NULL, -EACCES,
                "cannot execute \"/etc/passwd\": Permission denied (it is not executable)");
        assert_exec_fails(w, "/usr", NULL, -EACCES, "cannot execute \"/usr\": it is a directory");
        assert_exec_fails(
                w, "/etc/passwd/x", NULL, -ENOTDIR, "cannot execute \"/etc/passwd/x\": Not a directory");
        assert_exec_fails(w, "", NULL, -ENOENT, "cannot execute a command without a name");

        p = make_script(w, "script", "#!/nope -x\necho\n", 0755);
        assert_exec_fails(
                w, p, NULL, -ENOENT, "cannot execute \"%s\": its interpreter \"/nope\" does not exist", p);
        q = make_script(w, "short", "#!x", 0755);
        assert_exec_fails(
                w, q, NULL, -ENOENT, "cannot execute \"%s\": its interpreter \"x\" does not exist", q);
        free(q);
        assert_true(asprintf(&interpreter, "#! \t%s\n", p) > 0);
        q = make_script(w, "chain", interpreter, 0755);
        assert_exec_fails(w, q, NULL, -ENOENT,
                "cannot execute \"%s\": an interpreter that its interpreter \"%s\" needs does not exist", q,
                p);
        free(q);
        free(interpreter);
        free(p);

        p = make_script(w, "passwd-script", "#!/etc/passwd\n", 0755);
        assert_exec_fails(w, p, NULL, -EACCES,
                "cannot execute \"%s\": its interpreter \"/etc/passwd\" is not executable", p);
        free(p);

        /* The file is not passed to /bin/sh, as execvp(3) would do. */
        p = make_script(w, "plain", "exit 0\n", 0755);
        assert_exec_fails(w, p, NULL, -ENOEXEC,
                "cannot execute \"%s\": it is neither a program for this machine nor a script that begins with #!",
                p);
        free(p);
        p = make_file(w, "empty", "", 0, 0755);
        assert_exec_fails(w, p, NULL, -ENOEXEC,
                "cannot execute \"%s\": it is neither a program for this machine nor a script that begins with #!",
                p);
        free(p);

        /* A program whose loader is missing; it is true(1), with the name of another loader in it. */
        assert_int_equal(file_read(AT_FDCWD, "/bin/true", 64 * 1024 * 1024, &self, &size), 0);
        interpreter = elf_interpreter(self, size);
        memcpy(interpreter + strlen(interpreter) - 1, "?", 1);
        p = make_file(w, "program", self, size, 0755);
        assert_exec_fails(w, p, NULL, -ENOENT, "cannot execute \"%s\": its interpreter \"%s\" does not exist",
                p, interpreter);
        free(p);
        free(self);
}

/* What a shell on Windows or a person who is used to a shell writes. */
static void test_exec_hints(void **state) {
        World *w = *state;
        char *p;

        p = make_script(w, "crlf", "#!/bin/sh\r\nexit 0\r\n", 0755);
        assert_exec_fails(w, p, NULL, -ENOENT,
                "cannot execute \"%s\": its first line ends with a carriage return; convert the line ends of the file from CR LF to LF",
                p);
        free(p);
        /* An interpreter of that name is what was meant. */
        p = make_script(w, "odd\r", "#!/bin/sh\nexit 4\n", 0755);
        free(p);
        assert_true(asprintf(&p, "#!%s/odd\r\n", w->dir) > 0);
        free(make_script(w, "script", p, 0755));
        free(p);
        p = world_path(w, "script");
        assert_run(w, QUIET(.command = COMMAND(p)), 4 << 8);
        free(p);

        assert_exec_fails(w, "sleep 900", "PATH=/bin", -ENOENT,
                "cannot execute \"sleep 900\": it is in no directory of PATH \"/bin\"; the command is a list of words, and this is one word with a space in it");
        assert_exec_fails(w, "/bin/sleep 900", NULL, -ENOENT,
                "cannot execute \"/bin/sleep 900\": No such file or directory; the command is a list of words, and this is one word with a space in it");
        p = make_script(w, "two words", "#!/bin/sh\nexit 5\n", 0755);
        assert_run(w, QUIET(.command = COMMAND(p)), 5 << 8);
        free(p);

        assert_exec_fails(w, "~/x", NULL, -ENOENT,
                "cannot execute \"~/x\": No such file or directory; no shell is involved, so ~ and $ are not expanded");
        assert_exec_fails(w, "$HOME/x", NULL, -ENOENT,
                "cannot execute \"$HOME/x\": No such file or directory; no shell is involved, so ~ and $ are not expanded");
        assert_exec_fails(w, "$PROGRAM", "PATH=/bin", -ENOENT,
                "cannot execute \"$PROGRAM\": it is in no directory of PATH \"/bin\"; no shell is involved, so ~ and $ are not expanded");
        assert_exec_fails(w, "DISPLAY=:0", "PATH=/bin", -ENOENT,
                "cannot execute \"DISPLAY=:0\": it is in no directory of PATH \"/bin\"; no shell is involved, the option \"env\" sets variables");

        assert_exec_fails(w, "./nosuch", NULL, -ENOENT,
                "cannot execute \"./nosuch\": No such file or directory, looked up from the working directory \"/\"");
        assert_string_equal(
                assert_fails(w, QUIET(.command = COMMAND("bin/nosuch"), .working_directory = "/usr"),
                        LAUNCH_STAGE_EXEC, -ENOENT),
                "cannot execute \"bin/nosuch\": No such file or directory, looked up from the working directory \"/usr\"");
}

static void test_noexec(void **state) {
        World *w = *state;
        char *mounted = world_path(w, "noexec"), *program = world_path(w, "noexec/program"), *p, *text, *path;
        autofd fd = -EBADF;

        assert_int_equal(mkdir(mounted, 0755), 0);
        assert_int_equal(mount("tmpfs", mounted, "tmpfs", MS_NOEXEC, NULL), 0);
        fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        assert_return_code(write(fd, "#!/bin/sh\n", 10), errno);
        fd = fd_close(fd);
        assert_exec_fails(w, program, NULL, -EACCES,
                "cannot execute \"%s\": its file system is mounted noexec", program);
        /* Found in PATH. */
        assert_true(asprintf(&path, "PATH=%s:/nowhere", mounted) > 0);
        assert_exec_fails(w, "program", path, -EACCES,
                "cannot execute \"%s\": its file system is mounted noexec", program);
        /* chmod(1) alone would not help. */
        assert_int_equal(chmod(program, 0644), 0);
        assert_exec_fails(w, program, NULL, -EACCES,
                "cannot execute \"%s\": its file system is mounted noexec", program);

        assert_true(asprintf(&text, "#!%s\n", program) > 0);
        p = make_script(w, "script", text, 0755);
        assert_exec_fails(w, p, NULL, -EACCES,
                "cannot execute \"%s\": its interpreter \"%s\" is on a file system that is mounted noexec", p,
                program);
        free(text);
        free(p);
        p = make_script(w, "script", "#!/usr\n", 0755);
        assert_exec_fails(
                w, p, NULL, -EACCES, "cannot execute \"%s\": its interpreter \"/usr\" is a directory", p);
        free(p);

        assert_int_equal(umount2(mounted, 0), 0);
        free(path);
        free(program);
        free(mounted);
}

/* The kernel compares the limit with the processes that the user has before this one becomes the user's. */
static void test_too_many_processes(void **state) {
        World *w = *state;
        Role first = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600"), .user = "alice"));

        for (size_t i = 0; i < 2; i++) {
                char *name = i == 0 ? "sleep" : "/bin/sleep", *expected;

                assert_true(
                        asprintf(&expected,
                                "cannot execute \"%s\": user \"alice\" has more processes than its limit nproc allows (0)",
                                name) > 0);
                assert_string_equal(assert_fails(w,
                                            QUIET(.command = COMMAND(name, "600"), .user = "alice",
                                                    .limits_set = UINT64_C(1) << RLIMIT_NPROC),
                                            LAUNCH_STAGE_EXEC, -EAGAIN),
                        expected);
                free(expected);
        }

        assert_int_equal(world_signal(w, first.id, SIGKILL), 0);
        (void) role_end(w, &first);
}

static void test_search(void **state) {
        World *w = *state;
        char *p, *path;

        /* The search uses the PATH of the role instead of that of the keeper. */
        assert_exec_fails(w, "sh", "PATH=/nowhere:/etc", -ENOENT,
                "cannot execute \"sh\": it is in no directory of PATH \"/nowhere:/etc\"");
        assert_exec_fails(w, "nosuch", "PATH=", -ENOENT,
                "cannot execute \"nosuch\": it is in no directory of PATH \"\"");
        assert_run(w,
                QUIET(.command = COMMAND("sh", "-c", "exit 3"),
                        .environment = ENVIRONMENT("PATH=/nowhere:/etc/passwd:/bin")),
                3 << 8);
        assert_run(w, QUIET(.command = COMMAND("sh", "-c", "exit 3")), 3 << 8);

        /* A file that may not be executed is skipped if another one is found, and is the error if none is. */
        p = make_script(w, "sh", "", 0644);
        assert_true(asprintf(&path, "PATH=%s:/bin", w->dir) > 0);
        assert_run(
                w, QUIET(.command = COMMAND("sh", "-c", "exit 3"), .environment = ENVIRONMENT(path)), 3 << 8);
        free(path);
        assert_true(asprintf(&path, "PATH=/nowhere:%s:/nowhere", w->dir) > 0);
        assert_exec_fails(
                w, "sh", path, -EACCES, "cannot execute \"%s\": Permission denied (it is not executable)", p);
        free(p);

        /* A script without its interpreter ends the search, because the file itself was found. */
        p = make_script(w, "sh", "#!/nope\n", 0755);
        free(path);
        assert_true(asprintf(&path, "PATH=%s:/bin", w->dir) > 0);
        assert_exec_fails(
                w, "sh", path, -ENOENT, "cannot execute \"%s\": its interpreter \"/nope\" does not exist", p);
        free(p);

        /* An empty element means the working directory. */
        p = make_script(w, "here", "#!/bin/sh\nexit 6\n", 0755);
        assert_run(w,
                QUIET(.command = COMMAND("here"), .working_directory = w->dir,
                        .environment = ENVIRONMENT("PATH=/nowhere:")),
                6 << 8);
        assert_run(w, QUIET(.command = COMMAND("./here"), .working_directory = w->dir), 6 << 8);
        free(p);
        free(path);

        /* argv[0] does not change. */
        {
                char *output = world_path(w, "output"), *text;

                assert_run(w,
                        REQUEST(.command = COMMAND("sh", "-c", "tr '\\0' ' ' </proc/$$/cmdline"),
                                .output = LAUNCH_OUTPUT_FILE, .output_path = output),
                        0);
                text = world_read(w, "output");
                assert_string_equal(text, "sh -c tr '\\0' ' ' </proc/$$/cmdline ");
                free(text);
                free(output);
        }
}

static void test_arguments(void **state) {
        World *w = *state;
        char *big = malloc(200000);

        memset(big, 'x', 199999);
        big[199999] = '\0';
        (void) assert_fails(w, QUIET(.command = COMMAND("/bin/true", big)), LAUNCH_STAGE_EXEC, -E2BIG);
        free(big);
        assert_run(w,
                QUIET(.command = COMMAND("/bin/sh", "-c",
                              "[ $# = 3 ] && [ \"$1\" = '' ] && [ \"$2\" = 'a  b' ] && [ \"$3\" = '*' ]",
                              "sh", "", "a  b", "*")),
                0);
}

/* -- the request itself -- */

static void assert_request_fails(
        World *w, const void *data, size_t size, const int *fds, size_t n_fds, int error) {
        Role role = role_fork(w, 0);
        struct keeper_exited e;

        assert_int_equal(socket_send(role.gate, data, size, fds, n_fds), 0);
        role_listen(&role);
        assert_int_equal(role.n_reports, 1);
        assert_int_equal(role.reports[0].stage, LAUNCH_STAGE_REQUEST);
        assert_int_equal(role.reports[0].error, error);
        e = role_end(w, &role);
        assert_int_equal(e.execed, 0);
        assert_int_equal(e.exit.wait_status, 255 << 8);
}

static void test_request(void **state) {
        const struct gate_open good = { GATE_MAGIC, LAUNCH_REQUEST_VERSION },
                               magic = { 1, LAUNCH_REQUEST_VERSION },
                               version = { GATE_MAGIC, LAUNCH_REQUEST_VERSION + 1 };
        World *w = *state;
        autofd fd = launch_request_write(QUIET(.command = COMMAND("/bin/true"))),
               garbage = memfd_new_sealed("x", "xyz", 3);
        const int many[] = { fd, fd, fd };

        assert_request_fails(w, &good, sizeof(good), NULL, 0, -EBADMSG);
        assert_request_fails(w, &good, sizeof(good), many, 2, -EBADMSG); /* a stream */
        assert_request_fails(w, &good, sizeof(good), many, 3, -EMSGSIZE);
        assert_request_fails(w, &good, sizeof(good) - 1, &fd, 1, -EBADMSG);
        assert_request_fails(w, &(struct gate_open[2]){ good, good }, 2 * sizeof(good), &fd, 1, -EMSGSIZE);
        assert_request_fails(w, &magic, sizeof(magic), &fd, 1, -EBADMSG);
        assert_request_fails(w, &version, sizeof(version), &fd, 1, -EPROTONOSUPPORT);
        assert_request_fails(w, &good, sizeof(good), &garbage, 1, -EBADMSG);
        assert_request_fails(w, &good, sizeof(good), &w->node, 1, -EBADMSG);
}

/* -- texts -- */

static bool is_utf8(const char *s) {
        const unsigned char *c = (const unsigned char *) s;

        while (*c) {
                size_t n = *c < 0x80 ? 1 : *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : *c < 0xf5 ? 4 : 0;

                if (n == 0)
                        return false;
                for (size_t i = 1; i < n; i++)
                        if ((c[i] & 0xc0) != 0x80)
                                return false;
                c += n;
        }
        return true;
}

static void test_quote(void **state) {
        static const struct {
                const char *in, *out;
        } cases[] = {
                { "", "\"\"" },
                { "/x/y", "\"/x/y\"" },
                { "grün …", "\"grün …\"" },
                { "a\nb\t\x7f\x1b[0m", "\"a?b???[0m\"" },
                { "\xff\xfe", "\"??\"" },
                { "a\xc3", "\"a?\"" },
                { "\xc0\xaf", "\"??\"" },           /* overlong */
                { "\xed\xa0\x80", "\"???\"" },      /* a surrogate */
                { "\xf4\x90\x80\x80", "\"????\"" }, /* beyond the range */
                { "\xf0\x9f\x94\xad", "\"\xf0\x9f\x94\xad\"" },
        };
        char in[4096];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(QUOTED(cases[i].in), cases[i].out);

        /* Texts of every length, with characters of every width at the places where they are cut. */
        for (size_t width = 1; width <= 4; width++)
                for (size_t offset = 0; offset < width; offset++)
                        for (size_t n = 0; n < 600; n++) {
                                static const char *const characters[] = { NULL, "x", "ü", "…",
                                        "\xf0\x9f\x94\xad" };
                                size_t size = 0;
                                const char *out;

                                memset(in, 'b', offset);
                                size = offset;
                                for (size_t i = 0; i < n; i++) {
                                        memcpy(in + size, characters[width], width);
                                        size += width;
                                }
                                in[size++] = 'e';
                                in[size] = '\0';
                                out = QUOTED(in);
                                assert_true(strlen(out) < QUOTED_MAX);
                                assert_true(is_utf8(out));
                                assert_null(strchr(out, '?'));
                                assert_string_equal(out + strlen(out) - 2, "e\"");
                                if (size <= QUOTED_MAX - 6) {
                                        assert_int_equal(strlen(out), size + 2);
                                        assert_memory_equal(out + 1, in, size);
                                } else
                                        assert_non_null(strstr(out, "…"));
                        }
}

/* With a path of maximum length the reason is still visible. */
static void test_long_names(void **state) {
        World *w = *state;
        char path[4000], *text;

        for (size_t i = 0; i < sizeof(path) - 1; i++)
                path[i] = i % 100 == 0 ? '/' : 'x';
        path[sizeof(path) - 1] = '\0';
        text = assert_fails(w, QUIET(.command = COMMAND(path)), LAUNCH_STAGE_EXEC, -ENOENT);
        assert_string_equal(
                text + strlen(text) - strlen(": No such file or directory"), ": No such file or directory");
        text = assert_fails(w, QUIET(.command = SHELL("true"), .working_directory = path, .user = "alice"),
                LAUNCH_STAGE_DIRECTORY, -ENOENT);
        assert_non_null(strstr(text, "as user \"alice\": No such file"));
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, world_setup_connected, world_teardown)
#define ALONE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ALONE(test_defaults),
                CONNECTED(test_environment),
                cmocka_unit_test(test_environment_file_syntax),
                CONNECTED(test_environment_files),
                CONNECTED(test_commands),
                CONNECTED(test_start_pre),
                CONNECTED(test_start_pre_time),
                CONNECTED(test_start_pre_cancelled),
                cmocka_unit_test(test_environment_order),
                cmocka_unit_test(test_environment_merge),
                CONNECTED(test_users),
                CONNECTED(test_user_session),
                CONNECTED(test_users_fail),
                ALONE(test_unprivileged),
                CONNECTED(test_deathsig),
                CONNECTED(test_stdin),
                CONNECTED(test_stdin_epipe),
                CONNECTED(test_no_dev_null),
                CONNECTED(test_output_file),
                CONNECTED(test_output_fails),
                CONNECTED(test_output_refused),
                CONNECTED(test_output_below_link),
                CONNECTED(test_output_fifo),
                CONNECTED(test_output_tty),
                CONNECTED(test_journal),
                CONNECTED(test_no_journal),
                CONNECTED(test_hung_journal),
                CONNECTED(test_offered_stream),
                CONNECTED(test_closed_stream),
                CONNECTED(test_slow_stream),
                CONNECTED(test_shared_stream),
                CONNECTED(test_no_shared_stream),
                CONNECTED(test_limits),
                CONNECTED(test_directory),
#ifndef WITH_ADDRESS_SANITIZER
                CONNECTED(test_no_memory),
#endif
                CONNECTED(test_exec_fails),
                CONNECTED(test_exec_hints),
                CONNECTED(test_noexec),
                CONNECTED(test_too_many_processes),
                CONNECTED(test_search),
                CONNECTED(test_arguments),
                CONNECTED(test_request),
                cmocka_unit_test(test_quote),
                CONNECTED(test_long_names),
        };

        return cmocka_run_group_tests(tests, world_group_setup, NULL);
}
