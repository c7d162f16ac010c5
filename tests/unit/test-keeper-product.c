/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The product set-up of a child, with the real script and with providers that misbehave in ways in which real
 * ones should not. The tests with real providers are tests/system/cases/products-*.c. */

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/pidref.h"
#include "keeper/exec/exec-report.h"

static char *script; /* a copy that every user can read */

static void write_file(World *w, const char *name, const char *text, mode_t mode) {
        char *path = world_path(w, name);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, mode), 0);
        free(path);
}

static int group_setup(void **state) {
        (void) required_environment("ARCHITECT_SETUP");
        return world_group_setup(state);
}

static int setup(void **state) {
        int r = world_setup(state);
        World *w = *state;
        char *text;

        if (r < 0)
                return r;
        assert_int_equal(file_read(AT_FDCWD, required_environment("ARCHITECT_SETUP"), 65536, &text, NULL), 0);
        /* A lock that is never free need not take two minutes here. */
        char *seconds = strstr(text, "__architect_lock_seconds=120");
        assert_non_null(seconds);
        memcpy(seconds, "__architect_lock_seconds=003", strlen("__architect_lock_seconds=003"));
        write_file(w, "setup", text, 0644);
        free(text);
        script = world_path(w, "setup");
        world_start(w, &(struct start){ 0 });
        return 0;
}

static int teardown(void **state) {
        free(script);
        return world_teardown(state);
}

static uint64_t now_usec(void) {
        struct timespec ts;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* Makes a "modulecmd" of this shell text; "$3" is the module, and the output is evaluated. */
static char *provider(World *w, const char *text) {
        char *whole;

        assert_true(asprintf(&whole, "#!/bin/bash\ncd '%s'\n%s\n", w->dir, text) > 0);
        write_file(w, "provider", whole, 0755);
        free(whole);
        return world_path(w, "provider");
}

#define SETUP(kind, command, ...) ((char *[]){ script, kind, command, __VA_ARGS__, NULL })
#define NEVER .setup_deadline_usec = USEC_INFINITY
#define IN(usec) .setup_deadline_usec = now_usec() + (usec)

/* Returns the environment of the role, sorted, without the variables that every role has. */
static char *environment_of(World *w, LaunchRequest q) {
        char *path = world_path(w, "output"), *text;

        q.role = "cam";
        q.instance = "main";
        q.command = COMMAND("/bin/bash", "-c",
                "exec /usr/bin/tr '\\0' '\\n' </proc/$$/environ | "
                "/bin/grep -avE '^(ARCHITECT_INSTANCE|HOME|HOSTNAME|LOGNAME|SHELL|USER|LOADEDMODULES)=' | LC_ALL=C /usr/bin/sort");
        q.output = LAUNCH_OUTPUT_FILE;
        q.output_path = path;
        write_file(w, "output", "", 0666);
        assert_run(w, &q, 0);
        text = world_read(w, "output");
        free(path);
        return text;
}

#define assert_environment(w, expected, ...) \
        do { \
                char *_text = environment_of(w, (LaunchRequest){ __VA_ARGS__ }); \
                assert_string_equal(_text, expected); \
                free(_text); \
        } while (0)

#define LOADED "echo \"export LOADEDMODULES=${LOADEDMODULES:+$LOADEDMODULES:}$3\";"

static void test_too_many_processes(void **state) {
        World *w = *state;

        assert_string_equal(
                assert_fails(w,
                        QUIET(.command = SHELL("true"), NEVER, .user = "alice",
                                .setup = SETUP("modules", "/nowhere", "cam", ""),
                                .limits_set = UINT64_C(1) << RLIMIT_NPROC, .limits = { [RLIMIT_NPROC] = 1 }),
                        LAUNCH_STAGE_PRODUCT, -EAGAIN),
                "modules: cannot fork for its set-up: the limit nproc of the user, or tasks-max of the role, allows no further process");
}

/* The set-up runs after the variables of the node and the user. Those of the role come after it once more.
 * Variables that it unsets are removed, and those of the shell itself are not visible. */
static void test_layers(void **state) {
        World *w = *state;
        char *command = provider(w, LOADED
                "echo 'export PATH=/product:$PATH A=product B=product USER=x ARCHITECT_ROLE=product; unset GONE; local=1; export UNSET;'\n"
                "echo 'f() { :; }; export -f f; PS4=x; cd /; set -- a b; BASH_ENV=/x'");

        assert_environment(w,
                "2\nA=product\nARCHITECT_ROLE=cam\nB=own\nBAD-NAME=1\nBASH_ENV=/x\nC=own\nKEPT=1\nLINES=7\nOLDPWD=/a\n"
                "PATH=/product:/bin\nPS4=base\nPWD=/nowhere\nSECONDS=5\nSHLVL=7\nX=\377\n_=mine\n",
                .base_environment = ENVIRONMENT("PATH=/bin", "A=base", "GONE=1", "KEPT=1\n2", "BAD-NAME=1",
                        "PWD=/nowhere", "OLDPWD=/a", "SHLVL=7", "_=mine", "LINES=7", "SECONDS=5", "PS4=base",
                        "BASH_ENV=/nowhere", "X=\377"),
                .environment = ENVIRONMENT("B=own", "C=own"), .setup = SETUP("modules", command, "1", "m"),
                NEVER);
        free(command);
}

/* A set-up sees the variables of the role, but those that change how shells work reach the command only.
 * HOSTNAME is there for both, unless the role has another one. */
static void test_variables_of_the_role(void **state) {
        World *w = *state;
        char *command = provider(w,
                LOADED "echo \"export SEEN=$ROOT,${BASH_ENV+1}${ENV+1}$(bash -c 'type -t evil'),$HOSTNAME"
                       " LATE=product ROOT=product BASH_ENV=/product;\"\n"
                       "! tr '\\0' '\\n' </proc/$PPID/environ | "
                       "grep -E '^(BASH_ENV|ENV|SHELLOPTS|BASHOPTS|PS4|IFS|BASH_FUNC_.*)='");
        char *path = world_path(w, "output"), *text;

        assert_environment(w,
                "ARCHITECT_ROLE=cam\nBASHOPTS=x\nBASH_ENV=/nowhere\nBASH_FUNC_evil%%=() { :; }\nENV=/nowhere\n"
                "IFS=x\nLATE=own\nPATH=/bin:/usr/bin\nPS4=own\nROOT=/root\nSEEN=/root,,there\nSHELLOPTS=braceexpand\n",
                .base_environment = ENVIRONMENT("HOSTNAME=here", "ROOT=base"),
                .environment = ENVIRONMENT("ROOT=/root", "LATE=own", "PATH=/bin:/usr/bin",
                        "BASH_ENV=/nowhere", "ENV=/nowhere", "SHELLOPTS=braceexpand", "BASHOPTS=x", "PS4=own",
                        "IFS=x", "BASH_FUNC_evil%%=() { :; }", "HOSTNAME=there"),
                .setup = SETUP("modules", command, "1", "m"), NEVER);

        assert_run(w,
                REQUEST(.command = COMMAND("/bin/sh", "-c", "echo $HOSTNAME; uname -n"),
                        .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .setup = SETUP("modules", command, "1", "m"), NEVER),
                0);
        text = world_read(w, "output");
        char *second = strchr(text, '\n') + 1;
        assert_true(second - text > 1);
        assert_int_equal(strncmp(text, second, strlen(second)), 0);
        free(text);
        free(path);
        free(command);
}

/* Arguments are not evaluated. */
static void test_strings_are_arguments(void **state) {
        World *w = *state;
        static char *const texts[] = { "$(touch evil)", "`touch evil`", ";touch evil", "a  b\t*", "new\nline",
                "'", "\"", "\\", "", "-e", "${IFS}", "~", "<x", "gr\303\274n\377" };
        char *eups = world_path(w, "eups"), *bin = world_path(w, "eups/bin"), *base, *recorded, *expected;
        size_t size = 0;
        FILE *f = open_memstream(&expected, &size);
        char *setup_arguments[ELEMENTSOF(texts) + 8] = { script, "eups", "", "16", "base", "1.0" };

        assert_int_equal(mkdir(eups, 0755), 0);
        assert_int_equal(mkdir(bin, 0755), 0);
        write_file(w, "eups/bin/setups.sh", "setup() { exit 1; }\nset -- x y\necho noise\n", 0644);
        write_file(w, "eups/bin/eups_setup",
                "#!/bin/bash\nshift\nprintf '<%s>' \"$@\" >>\"$HOME_OF_TEST/recorded\"\necho 'export A=1'\necho 'noise' >&2\n",
                0755);
        assert_true(asprintf(&base, "EUPS_DIR=%s", eups) > 0);
        assert_true(asprintf(&recorded, "HOME_OF_TEST=%s", w->dir) > 0);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                setup_arguments[6 + i] = texts[i];
        setup_arguments[6 + ELEMENTSOF(texts)] = "1";
        setup_arguments[7 + ELEMENTSOF(texts)] = "camera";
        char *whole[ELEMENTSOF(setup_arguments) + 1];
        memcpy(whole, setup_arguments, sizeof(setup_arguments));
        whole[ELEMENTSOF(setup_arguments)] = NULL;

        fprintf(f, "<base><1.0>");
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                fprintf(f, "<%s>", texts[i]);
        fprintf(f, "<camera>");
        assert_int_equal(fclose(f), 0);

        assert_run(w,
                QUIET(.command = SHELL("true"), .working_directory = w->dir,
                        .base_environment = ENVIRONMENT(base, recorded, "PATH=/bin:/usr/bin"), .setup = whole,
                        NEVER),
                0);
        char *text = world_read(w, "recorded"), *evil = world_path(w, "evil");
        assert_string_equal(text, expected);
        assert_int_equal(access(evil, F_OK), -1);
        free(text);
        free(evil);
        free(expected);
        free(recorded);
        free(base);
        free(bin);
        free(eups);
}

/* Checks exit status, text and environment of each failure. */
static void test_failures(void **state) {
        World *w = *state;
        static const struct {
                const char *provider, *words;
        } cases[] = {
                { "echo 'no such thing' >&2; exit 1", "modules: no such thing" },
                { "exit 3", "modules: its set-up failed without a message (exit status 98)" },
                { "echo false", "without a message (exit status 99)" },
                { "echo 'ERROR: bad' >&2; echo 'export A=1;'; echo 'test 0 = 1;'", "modules: ERROR: bad" },
                { LOADED "echo false; echo 'export A=1'", "without a message (exit status 99)" },
                { LOADED "echo \"A=it\"; echo \"s; export A;\"", "the value of A contains a newline" },
                { LOADED "echo 'A=\\\"it'; echo true\\;; echo 'export A;'",
                        "the value of A contains a newline" },
                { LOADED "echo \"export A='\"", "(what it printed could not be evaluated)" },
                { LOADED "echo 'nosuchcommand'; echo true", "nosuchcommand: command not found" },
                { LOADED "echo 'cat <<X'", "(what it printed could not be evaluated)" },
                { LOADED "echo 'return 0'", "(what it printed could not be evaluated)" },
                { LOADED "echo 'set -e; false'", "(what it printed could not be evaluated)" },
                { LOADED "echo 'exit 0'", "(what it printed could not be evaluated)" },
                { LOADED "echo 'exec true'", "its set-up ended before it was complete" },
                { LOADED "echo 'FUNCNEST=1'", "(its set-up was not completed)" },
                { "echo 'export A=1'", "modules says nothing, but has not loaded m/1" },
                { LOADED "echo 'kill -KILL $$'", "modules: its set-up was killed by signal 9 (Killed)" },
                { "printf '\\033[31mred\\033[0m \\r\\n\\n\\377\\001 x' >&2; exit 1", "modules: red ?? x" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *command = provider(w, cases[i].provider);
                char *text = assert_fails(w,
                        QUIET(.command = SHELL("true"), .setup = SETUP("modules", command, "1", "m/1"),
                                NEVER),
                        LAUNCH_STAGE_PRODUCT, -EIO);

                if (!strstr(text, cases[i].words))
                        fail_msg("\"%s\" is not in \"%s\"", cases[i].words, text);
                free(command);
        }
}

/* The text of a provider may contain commands that fail, and scripts of a site in which anything fails or
 * changes the shell. A value that looks like a failure is none. */
static void test_commands_may_fail(void **state) {
        World *w = *state;
        char *command = provider(w, LOADED
                "echo 'false && export NOT=1; [ -n \"\" ] && export NOT=2'\n"
                "echo '. ./activate 2>/dev/null; f() { return 3; }; f; IFS=/'\n"
                "echo 'export QUOTED=\"a'; echo 'test 0 = 1;' | sed 's/=/!=/'; echo 'false or not\";'\n"
                "echo 'X=1'; echo 'X=2; export X;'\n"
                "echo 'export status=s name=n text=t i=7 before=b since=x;'\n"
                "echo '(exit 5); set -uefa'");

        write_file(w, "activate", "no_such_function\nfalse\nexport ACTIVE=1\nreturn 1\n", 0644);
        assert_environment(w,
                "ACTIVE=1\nARCHITECT_ROLE=cam\nPATH=/bin:/usr/bin\nQUOTED=a\nX=2\nbefore=b\n"
                "false or not\ni=7\nname=n\nsince=x\nstatus=s\ntest 0 != 1;\ntext=t\n",
                .base_environment = ENVIRONMENT("PATH=/bin:/usr/bin"), .working_directory = w->dir,
                .setup = SETUP("modules", command, "1", "m", "1", "n"), NEVER);
        free(command);
}

/* What was requested is set up at the end, in the requested version. */
static void test_replaced(void **state) {
        World *w = *state;
        /* The last part of the name says what becomes of the loaded modules. */
        char *command = provider(w,
                "case $3 in\n"
                "*/keep)   l=$LOADEDMODULES:$3 ;;\n"
                "*/swap)   l=a/2:$3 ;;\n"
                "*/family) l=$3; echo 'export LMOD_FAMILY_MPI=b LMOD_FAMILY_MPI_VERSION=family;' ;;\n"
                "*/nested) l=c/9:$3; echo 'export LMOD_FAMILY_MPI=c LMOD_FAMILY_MPI_VERSION=9;' ;;\n"
                "*/remove) l=$3 ;;\n"
                "*/again)  l=$LOADEDMODULES:a/1:$3 ;;\n"
                "alias)    l=$LOADEDMODULES:real/1; echo 'export __MODULES_LMALTNAME=\"real/1&al|alias&as|real/x\";' ;;\n"
                "a)        l=a/1; ;;\n"
                "*)        l=$3; echo 'export LMOD_FAMILY_MPI=a LMOD_FAMILY_MPI_VERSION=1;' ;;\n"
                "esac\n"
                "echo \"export LOADEDMODULES=$l;\"; echo \"words of $3\" >&2");
        static const struct {
                const char *second, *words;
        } cases[] = {
                { "b/swap", "a/1 is not set up any more after the set-up of all products: "
                            "a/2 has replaced it in the set-up of b/swap" },
                { "b/family", "any more after the set-up of all products: b/family has replaced it" },
                { "b/nested", "c/9 has replaced it in the set-up of b/nested" },
                { "b/remove", "the set-up of b/remove has removed it" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *second = strdup(cases[i].second);
                char *text = assert_fails(w,
                        QUIET(.command = SHELL("true"), NEVER,
                                .setup = SETUP("lmod", command, "1", "a/1", "1", second)),
                        LAUNCH_STAGE_PRODUCT, -EIO);

                if (!strstr(text, cases[i].words) || strstr(text, "words of"))
                        fail_msg("\"%s\" is not in \"%s\"", cases[i].words, text);
                free(second);
        }
        char *text = assert_fails(w,
                QUIET(.command = SHELL("true"), NEVER,
                        .setup = SETUP("modules", command, "1", "alias", "1", "b/keep", "1", "b/remove")),
                LAUNCH_STAGE_PRODUCT, -EIO);
        assert_non_null(strstr(text, "real/1 is not set up any more"));

        /* A version that was not named may change, and a module may come back. */
        assert_run(w,
                QUIET(.command = SHELL("true"), NEVER,
                        .setup = SETUP("lmod", command, "1", "a", "1", "b/swap")),
                0);
        assert_run(w,
                QUIET(.command = SHELL("true"), NEVER,
                        .setup = SETUP("lmod", command, "1", "a/1", "1", "b/remove", "1", "c/again", "1",
                                "d/keep", "1", "b/keep")),
                0);
        free(command);
}

static void assert_strings(char *const *strings, char *const *expected) {
        size_t n = 0;

        for (; strings[n] && expected[n]; n++)
                assert_string_equal(strings[n], expected[n]);
        if (strings[n] || expected[n])
                fail_msg("%s is there, not %s", strings[n] ? strings[n] : "no more",
                        expected[n] ? expected[n] : "nothing");
}

static void assert_record(Role *role, char *const *products, char *const *changes) {
        ProductRecord record;

        assert_int_equal(product_record_read(role->record, &record), 0);
        assert_strings(record.products, products);
        assert_strings(record.changes, changes);
        product_record_clear(&record);
}

/* The same for EUPS, whose locks fail now and then, and which runs again then. */
static void test_eups(void **state) {
        World *w = *state;
        char *eups = world_path(w, "eups"), *bin = world_path(w, "eups/bin"), *variable, *here, *text;

        assert_int_equal(mkdir(eups, 0755), 0);
        assert_int_equal(mkdir(bin, 0755), 0);
        assert_true(asprintf(&variable, "EUPS_DIR=%s", eups) > 0);
        assert_true(asprintf(&here, "HERE=%s", w->dir) > 0);
        write_file(w, "eups/bin/setups.sh",
                "eval `$EUPS_DIR/bin/eups_setup DYLD_LIBRARY_PATH= eups -r $EUPS_DIR`\n", 0644);
        /* Each call but each third one cannot take its lock. */
        write_file(w, "eups/bin/eups_setup",
                "#!/bin/bash\nshift; echo $1 >>$HERE/calls; n=$(wc -l <$HERE/calls)\n"
                "if [ $((n % 3)) -ne 0 ] || [ $1 = locked ]; then echo \"lock $n of $1\" >&2; echo false; exit 9; fi\n"
                "case $1 in eups) echo 'setup() { :; }' ;; swap) echo \"export SETUP_BASE='base 2 -f x' SETUP_SWAP='swap 1'\" ;;\n"
                "gone) echo \"unset SETUP_BASE\" ;; *) echo \"export SETUP_${1^^}='$1 ${2:-1} -f x -Z y'\" ;; esac",
                0755);
#define EUPS_SETUP(...) \
        .base_environment = ENVIRONMENT(variable, here, "PATH=/bin:/usr/bin"), NEVER, \
        .command = SHELL("true"), .setup = SETUP("eups", "", __VA_ARGS__)

        assert_run(w, QUIET(EUPS_SETUP("1", "base", "2", "cam", "7")), 0);
        text = world_read(w, "calls");
        /* The bootstrap runs it twice in each round, once for the status. */
        assert_string_equal(text, "eups\neups\neups\nbase\nbase\nbase\ncam\ncam\ncam\n");
        free(text);
        /* Products of EUPS, by name. */
        Role role = role_start(w, 0, QUIET(EUPS_SETUP("2", "zoo", "7", "1", "base"), .record = true));
        assert_int_equal(role.n_reports, 0);
        assert_record(&role, (char *[]){ "base", "1", "zoo", "7", NULL },
                (char *[]){ "SETUP_BASE=base 1 -f x -Z y", "SETUP_ZOO=zoo 7 -f x -Z y", NULL });
        (void) role_end(w, &role);
        assert_run(w, QUIET(EUPS_SETUP("1", "base", "1", "swap")), 0);
        text = assert_fails(w, QUIET(EUPS_SETUP("2", "base", "1", "1", "swap")), LAUNCH_STAGE_PRODUCT, -EIO);
        assert_non_null(strstr(text, "base 1 is not set up any more"));
        assert_non_null(strstr(text, "base 2 has replaced it in the set-up of swap 1"));
        text = assert_fails(w, QUIET(EUPS_SETUP("2", "base", "1", "1", "gone")), LAUNCH_STAGE_PRODUCT, -EIO);
        assert_non_null(strstr(text, "base 1 is not set up any more"));
        assert_non_null(strstr(text, "the set-up of gone has removed it"));
        text = assert_fails(w, QUIET(EUPS_SETUP("1", "locked")), LAUNCH_STAGE_PRODUCT, -EIO);
        assert_non_null(strstr(text, " of locked"));
        free(here);
        free(variable);
        free(bin);
        free(eups);
}

static void test_not_there(void **state) {
        World *w = *state;
        char *empty = world_path(w, "empty"), *variable, *text;

#define NOT_THERE(...) \
        assert_fails(w, QUIET(.command = SHELL("true"), NEVER, __VA_ARGS__), LAUNCH_STAGE_PRODUCT, -EIO)
        text = NOT_THERE(.setup = SETUP("eups", "", "1", "base"));
        assert_non_null(strstr(text, "EUPS_DIR is set neither"));
        assert_true(asprintf(&variable, "EUPS_DIR=%s", empty) > 0);
        text = NOT_THERE(.setup = SETUP("eups", "", "1", "base"), .base_environment = ENVIRONMENT(variable));
        assert_non_null(strstr(text, "EUPS is not installed in EUPS_DIR"));
        text = NOT_THERE(.setup = SETUP("lmod", "/no/lmod", "1", "base"));
        assert_non_null(strstr(text, "lmod is not installed: there is no program /no/lmod"));
        text = NOT_THERE(.setup = SETUP("other", "", "1", "base"));
        assert_non_null(strstr(text, "there is no provider other"));
        text = NOT_THERE(.setup = ((char *[]){ "/no/script", "eups", "", NULL }));
        assert_non_null(strstr(text, "/no/script: No such file"));
        free(variable);
        free(empty);
}

/* The error contains both ends of the output of a provider, and the role's output contains all of it. */
static void test_many_words(void **state) {
        World *w = *state;
        char *command = provider(w,
                "echo first >&2; for ((i = 0; i < 30000; i++)); do echo \"word $i\" >&2; done; echo last >&2; exit 1");
        char *path = world_path(w, "output");
        char *text = assert_fails(w,
                REQUEST(.command = SHELL("true"), .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .setup = SETUP("lmod", command, "1", "m"), NEVER),
                LAUNCH_STAGE_PRODUCT, -EIO);

        assert_non_null(strstr(text, "lmod: first word 0 word 1 "));
        assert_non_null(strstr(text, "…"));
        assert_string_equal(text + strlen(text) - strlen("word 29999 last"), "word 29999 last");
        text = world_read(w, "output");
        assert_non_null(strstr(text, "first\nword 0\n"));
        assert_non_null(strstr(text, "word 15000\n"));
        assert_non_null(strstr(text, "word 29999\nlast\n"));
        free(text);
        free(path);
        free(command);
}

/* The error contains what the product has said that could not be set up, and nothing of the others. The end
 * of a traceback is significant, and what Lmod says first. */
static void test_last_words(void **state) {
        World *w = *state;
        char *command = provider(w,
                "if [ $3 = good ]; then echo 'a warning' >&2; head -c 30000 /dev/zero | tr '\\0' x >&2; " LOADED
                " exit; fi\n"
                "echo 'Traceback (most recent call last):' >&2\n"
                "for ((i = 0; i < 200; i++)); do echo \"  File \\\"/opt/x.py\\\", line $i, in <module>\" >&2; done\n"
                "echo \"KeyError: 'DESI_ROOT'\" >&2; exit 1");
        char *path = world_path(w, "output"), *text;

        text = assert_fails(w,
                REQUEST(.command = SHELL("true"), NEVER, .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .setup = SETUP("modules", command, "1", "good", "1", "bad/1")),
                LAUNCH_STAGE_PRODUCT, -EIO);
        if (strncmp(text, "modules: bad/1: Traceback (most recent call last): File ", 56) != 0)
                fail_msg("it begins otherwise: %s", text);
        const char *end = "line 197, in <module> File \"/opt/x.py\", line 198, in <module> "
                          "File \"/opt/x.py\", line 199, in <module> KeyError: 'DESI_ROOT'";
        assert_string_equal(text + strlen(text) - strlen(end), end);
        assert_non_null(strstr(text, "…"));

        text = world_read(w, "output");
        assert_non_null(strstr(text, "a warning\n"));
        assert_non_null(strstr(text, "line 100,"));
        assert_int_equal(strlen(text), 10 + 30000 + strlen(strchr(text, 'T')));
        free(text);
        free(path);
        free(command);
}

static pid_t read_pid(World *w, const char *name) {
        char *text = world_read(w, name);
        pid_t pid = atoi(text);

        free(text);
        assert_true(pid > 1);
        return pid;
}

static void assert_gone(World *w, const char *name) {
        assert_int_equal(kill(read_pid(w, name), 0), -1);
        assert_int_equal(errno, ESRCH);
}

/* The set-up receives SIGTERM, has a moment to clean up, and then receives SIGKILL. No process of it is
 * left. */
static void test_deadline(void **state) {
        World *w = *state;
        char *command = provider(w,
                "echo $$ >pid; echo waiting >&2; trap 'echo cleaned >cleaned' TERM\n"
                "(trap '' TERM; echo $BASHPID >deaf; while :; do sleep 100; done) &\n"
                "setsid bash -c 'trap \"\" TERM; echo $$ >session; while :; do sleep 100; done' &\n"
                "until [ -s session ] && [ -s deaf ]; do sleep 0.01; done\nwhile :; do sleep 0.01; done");
        uint64_t begin = now_usec();
        char *text = assert_fails(w,
                QUIET(.command = SHELL("true"), .setup = SETUP("modules", command, "1", "m"),
                        IN(1500 * USEC_PER_MSEC)),
                LAUNCH_STAGE_PRODUCT, -ETIMEDOUT);

        assert_string_equal(
                text, "modules: its set-up did not end in time (SetupTimeout=), its output was: waiting");
        assert_true(now_usec() - begin >= 1500 * USEC_PER_MSEC);
        assert_gone(w, "pid");
        assert_gone(w, "deaf");
        assert_gone(w, "session");
        text = world_read(w, "cleaned");
        assert_string_equal(text, "cleaned\n");
        free(text);
        free(command);
}

/* A set-up that writes without end is read until the deadline, but no longer. */
static void test_endless(void **state) {
        World *w = *state;
        char *command = provider(w, "exec yes >&2");
        char *text = assert_fails(w,
                QUIET(.command = SHELL("true"), .setup = SETUP("modules", command, "1", "m"),
                        IN(300 * USEC_PER_MSEC)),
                LAUNCH_STAGE_PRODUCT, -ETIMEDOUT);

        assert_non_null(strstr(text, "did not end in time"));
        free(command);
}

/* Processes that a set-up leaves behind do not become children of the role, and the descriptors and signals
 * that were used to find them are restored. */
static void test_leftovers(void **state) {
        World *w = *state;
        char *command = provider(w, LOADED
                "sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >plain\n"
                "setsid bash -c 'trap \"\" TERM; echo $$ >session; exec sleep 1000' </dev/null >/dev/null 2>&1 &\n"
                "sleep 1000 & echo $! >loud\n"
                "until [ -s session ]; do sleep 0.01; done");
        char *path = world_path(w, "output"), *text;

        assert_run(w,
                REQUEST(.command = SHELL(
                                "cat /proc/thread-self/children; cat /proc/$$/task/$$/children; ls /proc/$$/fd; "
                                "grep -E '^(SigBlk|SigIgn):' /proc/$$/status | cut -f2"),
                        .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .setup = SETUP("modules", command, "1", "m"), IN(20 * USEC_PER_SEC)),
                0);
        assert_gone(w, "plain");
        assert_gone(w, "session");
        assert_gone(w, "loud");
        text = world_read(w, "output");
        /* The only child is the cat itself. */
        assert_non_null(strstr(text, " 0\n1\n2\n"));
        free(text);

        /* A shell cannot test this, because it begins with a clean mask. */
        assert_run(w,
                REQUEST(.command = COMMAND("/bin/grep", "-E", "^(SigBlk|SigIgn):", "/proc/self/status"),
                        .output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .setup = SETUP("modules", command, "1", "m"), IN(20 * USEC_PER_SEC)),
                0);
        text = world_read(w, "output");
        assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\n");
        free(text);
        free(path);
        free(command);
}

/* The set-up runs as the user of the role, and no descriptor of the keeper is open in it. */
static void test_user(void **state) {
        World *w = *state;
        char *command = provider(w, LOADED
                "echo \"export ID=$(id -u):$(id -g) CWD=$OLDPWD MEMFDS=$(ls -l /proc/$$/fd | grep -c memfd) SOCKETS=$(ls -l /proc/$$/fd | grep -c socket) IN=$(readlink /proc/$$/fd/0)\"");

        assert_environment(w,
                "ARCHITECT_ROLE=cam\nCWD=/tmp\nID=4711:4712\nIN=/dev/null\nMEMFDS=1\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSOCKETS=0\n",
                .user = "alice", .working_directory = "/tmp", .setup = SETUP("modules", command, "1", "m"),
                NEVER);
        free(command);
}

static bool file_is_there(void *path) {
        struct stat st;

        return stat(path, &st) >= 0 && st.st_size > 0;
}

/* The child is killed from outside. The shell does not continue without a process that would end it. */
static void test_killed(void **state) {
        World *w = *state;
        char *command = provider(w, "echo $PPID >shell; echo $$ >pid; exec sleep 1000"),
             *pid_file = world_path(w, "pid");
        Role role = role_fork(w, 0);
        pid_t shell, sleeper;

        role_open(
                &role, QUIET(.command = SHELL("true"), .setup = SETUP("modules", command, "1", "m"), NEVER));
        assert_true(wait_for(file_is_there, pid_file));
        shell = read_pid(w, "shell");
        sleeper = read_pid(w, "pid");
        autofd shell_fd = pidfd_open_pid(shell);
        assert_true(shell_fd >= 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        assert_true(wait_for(pidfd_is_dead, &shell_fd));
        assert_int_equal(kill(sleeper, SIGKILL), 0); /* in a scope the node does this */
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        assert_int_equal(role_end(w, &role).execed, 0);
        free(pid_file);
        free(command);
}

/* Steps after a set-up fail in the same way as without one. */
static void test_exec_fails(void **state) {
        World *w = *state;
        char *command = provider(w, LOADED "echo 'export PATH=/only'");
        char *text = assert_fails(w,
                QUIET(.command = COMMAND("nosuch"), .setup = SETUP("modules", command, "1", "m"), NEVER),
                LAUNCH_STAGE_EXEC, -ENOENT);

        assert_string_equal(text, "cannot execute \"nosuch\": it is in no directory of PATH \"/only\"");
        free(command);
}

/* What the set-up has made is reported, and the command does not run before the node has it. What the shell
 * changes by itself is not in it, and nothing of this is reported to a node that does not want it. */
static void test_record(void **state) {
        World *w = *state;
        char *command = provider(w,
                "echo 'export LOADEDMODULES=foo/1.0:compilers/gcc/12:plain:/x; A=new EMPTY=; export A EMPTY; "
                "unset GONE; OLD=2; export SAME=1 OWN=product; cd /tmp; f() { :; }; export -f f'");
        LaunchRequest q = *QUIET(.command = COMMAND("/bin/sleep", "1000"), NEVER, .record = true,
                .base_environment = ENVIRONMENT("PATH=/bin:/usr/bin", "OLD=1", "GONE=1", "SAME=1"),
                .environment = ENVIRONMENT("OWN=1"), .setup = SETUP("modules", command, "1", "foo/1.0"));
        Role role = role_fork(w, 0);

        role_open(&role, &q);
        role_await_record(&role);
        assert_record(&role, (char *[]){ "foo", "1.0", "compilers/gcc", "12", "plain", "", NULL },
                (char *[]){ "A=new", "EMPTY=", "GONE", "LOADEDMODULES=foo/1.0:compilers/gcc/12:plain:/x",
                        "OLD=2", "OWN=product", NULL });
        assert_at_rest(role.pid);
        role_wait_at_gate(&role); /* it still has the name that it has before the exec */
        role_reply_recorded(&role);
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        assert_int_equal(role_end(w, &role).execed, 1);

        assert_true(role.times.products_usec > 0); /* told in any case */
        assert_int_equal(role.times.hooks_usec, 0);

        q.record = false;
        role = role_run(w, 0, &q);
        assert_int_equal(role.record, -EBADF);
        assert_true(role.times.products_usec > 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        assert_int_equal(role_end(w, &role).execed, 1);

        /* The commands after the role have its products, too, but their time is that of no start. */
        q.command = NULL;
        q.commands = (char *[]){ "1", "/bin/true", NULL };
        role = role_run(w, 0, &q);
        assert_int_equal(role.times.magic, 0);
        assert_int_equal(role_end(w, &role).execed, 1);
        free(command);
}

/* Without a node the command runs, and the next node finds the record in the gate. */
static void test_record_without_node(void **state) {
        World *w = *state;
        char *command = provider(
                     w, LOADED "echo $$ >waits; until [ -e go ]; do sleep 0.01; done; echo 'export A=1;'"),
             *waits = world_path(w, "waits"), *runs = world_path(w, "runs"), *variable;
        int fds[WORLD_FDS_MAX];
        Role role = role_fork(w, 0);
        size_t n;
        Packet p;

        assert_true(asprintf(&variable, "DIR=%s", w->dir) > 0);
        role_open(&role, QUIET(.command = SHELL("echo x >\"$DIR/runs\"; exec sleep 1000"), NEVER,
                                 .record = true, .environment = ENVIRONMENT(variable),
                                 .setup = SETUP("modules", command, "1", "foo/1.0")));
        assert_true(wait_for(file_is_there, waits));
        role_close(&role);
        world_disconnect(w);
        write_file(w, "go", "x", 0644);
        assert_true(wait_for(file_is_there, runs));

        /* Twice, because this node may die, too. */
        for (int i = 0; i < 2; i++) {
                assert_int_equal(world_connect(w), 1);
                n = world_receive(w, KEEPER_CHILD, role.id, &p, fds);
                assert_int_equal(p.child.execed, 1);
                assert_int_equal(p.child.fds, KEEPER_FD_PIDFD | KEEPER_FD_GATE);
                assert_int_equal(n, 2);
                if (i == 0) {
                        (void) fd_close(fds[0]);
                        (void) fd_close(fds[1]);
                        world_disconnect(w);
                }
        }
        role.pidfd = fds[0];
        role.gate = fds[1];
        role_await_record(&role);
        assert_record(
                &role, (char *[]){ "foo", "1.0", NULL }, (char *[]){ "A=1", "LOADEDMODULES=foo/1.0", NULL });
        role_listen(&role); /* to its end */
        assert_int_equal(role.n_reports, 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        assert_int_equal(role_end(w, &role).execed, 1);
        free(variable);
        free(runs);
        free(waits);
        free(command);
}

/* Between the moment at which a dying keeper closes its descriptors and the SIGKILL for its children, the
 * command of a role must not begin without its record. */
static void test_record_without_keeper(void **state) {
        autofd memfd = -EBADF;
        int gate[2], status;

        memfd = memfd_create("record", MFD_CLOEXEC);
        assert_true(memfd >= 0);
        for (int closed = 0; closed < 2; closed++) {
                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), 0);
                if (closed)
                        (void) fd_close(gate[0]);
                pid_t pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        if (!closed)
                                (void) fd_close(gate[0]);
                        (void) gate_send_record(gate[1], memfd);
                        _exit(0);
                }
                (void) fd_close(gate[1]);
                if (!closed) {
                        char packet[64];

                        assert_true(recv(gate[0], packet, sizeof(packet), 0) > 0);
                        (void) fd_close(gate[0]);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), SIGKILL);
        }
}

static void test_words(void **state) {
        char buffer[WORDS_MAX], big[3 * WORDS_MAX + 1];
        static const struct {
                const char *in, *out;
        } cases[] = { { "", "" }, { " \n\t ", "" }, { "a", "a" }, { "\n a \r\n\n b\t", "a b" },
                { "\033[1;31mred\033[m", "red" }, { "\033[", "?[" }, { "\033[1", "" }, { "\033x", "?x" },
                { "gr\303\274n \303", "gr\303\274n ?" } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[64];

                (void) snprintf(text, sizeof(text), "%s", cases[i].in);
                assert_string_equal(text_words(text, strlen(text), WORDS_MAX / 2, buffer), cases[i].out);
        }
        for (size_t size = WORDS_MAX - 10; size < sizeof(big); size++)
                for (size_t shift = 0; shift < 3; shift++) {
                        memset(big, 'x', size);
                        for (size_t i = shift; i + 3 <= size; i += 3)
                                memcpy(big + i, "€", 3);
                        memcpy(big, "begin", 5);
                        memcpy(big + size - 3, "end", 3);
                        (void) text_words(big, size, size % WORDS_MAX / 2 + 5, buffer);
                        assert_true(strlen(buffer) < WORDS_MAX);
                        assert_true(strncmp(buffer, "begin", 5) == 0);
                        assert_string_equal(buffer + strlen(buffer) - 3, "end");
                        assert_int_equal(!strstr(buffer, "…"), size <= WORDS_MAX - 4);
                }
}

/* A set-up may unset PATH. Then the search uses the default path of execvp(3) instead of a crash. */
static void test_no_path(void **state) {
        World *w = *state;
        char *command = provider(w, LOADED "echo 'unset PATH'"), *text;

        assert_environment(w, "ARCHITECT_ROLE=cam\n", .setup = SETUP("modules", command, "1", "m"), NEVER);
        assert_run(w,
                QUIET(.command = COMMAND("sh", "-c", "exit 3"), .setup = SETUP("modules", command, "1", "m"),
                        NEVER),
                3 << 8);
        /* The provider of the second product has no PATH either. */
        assert_run(w,
                QUIET(.command = COMMAND("sh", "-c", "exit 4"),
                        .setup = SETUP("modules", command, "1", "m", "1", "n"), NEVER),
                4 << 8);
        assert_run(w,
                QUIET(.command = COMMAND("sh", "-c", "exit 5"), .environment = ENVIRONMENT("PATH=/bin"),
                        .setup = SETUP("modules", command, "1", "m"), NEVER),
                5 << 8);
        text = assert_fails(w,
                QUIET(.command = COMMAND("nosuch"), .setup = SETUP("modules", command, "1", "m"), NEVER),
                LAUNCH_STAGE_EXEC, -ENOENT);
        assert_string_equal(text,
                "cannot execute \"nosuch\": it is in no directory of the default PATH \"/bin:/usr/bin\" (its set-up has unset PATH)");
        free(command);
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_too_many_processes),
                CONNECTED(test_layers),
                CONNECTED(test_variables_of_the_role),
                CONNECTED(test_strings_are_arguments),
                CONNECTED(test_failures),
                CONNECTED(test_commands_may_fail),
                CONNECTED(test_replaced),
                CONNECTED(test_eups),
                CONNECTED(test_not_there),
                CONNECTED(test_many_words),
                CONNECTED(test_last_words),
                CONNECTED(test_deadline),
                CONNECTED(test_endless),
                CONNECTED(test_leftovers),
                CONNECTED(test_user),
                CONNECTED(test_killed),
                CONNECTED(test_exec_fails),
                CONNECTED(test_no_path),
                CONNECTED(test_record),
                CONNECTED(test_record_without_node),
                cmocka_unit_test(test_record_without_keeper),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, group_setup, NULL);
}
