/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Role files, in three directories that stand for /etc, /run and /usr/lib. */

#include "spec-compare.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "model/definitions.h"
#include "model/role-option-text.h"
#include "util/log.h"

#define OWNER 4711U /* of the user whose service this is, in a test of that */

static char *top, *messages;

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        g_autofree char *old = messages;

        messages = level <= LOG_WARNING ? g_strconcat(old ?: "", text, "\n", NULL) : g_steal_pointer(&old);
}

static int setup(void **state) {
        log_set_max_level(LOG_WARNING);
        log_set_target(LOG_TARGET_NULL);
        log_set_sink(on_log, NULL);
        top = g_dir_make_tmp("test-definitions-XXXXXX", NULL);
        assert_non_null(top);
        return 0;
}

static void remove_all(const char *path) {
        GDir *dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *child = g_build_filename(path, name, NULL);
                remove_all(child);
        }
        if (dir)
                g_dir_close(dir);
        assert_return_code(g_remove(path), errno);
}

static int teardown(void **state) {
        remove_all(top);
        g_clear_pointer(&top, g_free);
        g_clear_pointer(&messages, g_free);
        log_set_sink(NULL, NULL);
        log_set_target(LOG_TARGET_CONSOLE);
        return 0;
}

/* The name begins with one of the three directories: "etc/cam.role", "usr/cam.role.d/10-a.conf". */
static char *path_of(const char *name) {
        g_auto(GStrv) parts = g_strsplit(name, "/", 2);

        return parts[1] ? g_strdup_printf("%s/%s/main.roles.d/%s", top, parts[0], parts[1])
                        : g_strdup_printf("%s/%s/main.roles.d", top, name);
}

static void write_file(const char *name, const char *text) {
        g_autofree char *path = path_of(name), *parent = g_path_get_dirname(path);

        assert_return_code(g_mkdir_with_parents(parent, 0755), errno);
        assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
}

static void link_file(const char *name, const char *to) {
        g_autofree char *path = path_of(name), *parent = g_path_get_dirname(path);

        assert_return_code(g_mkdir_with_parents(parent, 0755), errno);
        assert_return_code(symlink(to, path), errno);
}

static int try_load(uid_t owner, Definitions **ret, Fault *fault) {
        g_autofree char *etc = g_build_filename(top, "etc", NULL), *run = g_build_filename(top, "run", NULL),
                        *usr = g_build_filename(top, "usr", NULL);
        const char *const directories[] = { etc, run, usr, NULL };
        const DefinitionsPlace place = { directories, "main", owner };

        g_clear_pointer(&messages, g_free);
        return definitions_load(&place, ret, fault);
}

static Definitions *load(void) {
        g_auto(Fault) fault = {};
        Definitions *definitions = NULL;

        if (try_load(0, &definitions, &fault) < 0)
                fail_msg("%s", fault.message);
        return definitions;
}

/* The definition, which must be valid. */
static const Definition *get(const Definitions *definitions, const char *name) {
        g_auto(Fault) fault = {};
        const Definition *d = NULL;

        if (definitions_find_valid(definitions, name, &d, &fault) < 0)
                fail_msg("%s", fault.message);
        return d;
}

static void assert_command(const Definition *d, const char *want) {
        g_autofree char *command = g_strjoinv("|", d->spec->command);

        assert_string_equal(command, want);
}

static void test_nothing(void **state) {
        g_autoptr(Definitions) definitions = load();
        g_auto(Fault) fault = {};
        const Definition *d;

        assert_int_equal(definitions_count(definitions), 0);
        assert_int_equal(definitions_find_valid(definitions, "cam", &d, &fault), -ENOENT);
        assert_int_equal(fault.error, NODE_ERROR_NO_SUCH_DEFINITION);
        assert_contains(fault.message, "Role \"cam\" has no definition");
        assert_false(definitions_reserve(definitions, "cam"));
        assert_null(messages);
}

/* Plain members have no memory of their own. */
static bool shares_memory(const SpecMember *m, const RoleSpec *a, const RoleSpec *b) {
        void *x = NULL, *y = NULL;

        if (m->same == same_plain || m->size != sizeof(void *))
                return false;
        memcpy(&x, (const char *) a + m->offset, sizeof(x));
        memcpy(&y, (const char *) b + m->offset, sizeof(y));
        return x && x == y;
}

/* What the lines of one file mean is what they mean as options, which test-bus-options compares with D-Bus.
 */
static void test_every_option(void **state) {
        static const char lines[] =
                "Command=/x 'a b'\nEnvironment=A=1 \"B=2 3\"\nWorkingDirectory=/tmp\nUser=u\nGroup=g\n"
                "StandardInput=pty\nXTerm=yes\nXTermArguments=-rv\nStandardOutput=append:/log\nOutputTimestamps=yes\n"
                "IgnoreSIGPIPE=no\n"
                "ExitType=cgroup\nKillSignal=INT\nStopTo=main\nTimeoutStopSec=1min 30s\nOnMonitorLoss=kill\n"
                "Nice=-3\nRemove=yes\nProduct=p\nProductVersion=1\nSetupArguments=-t x\nEupsList=q=2\n"
                "ProductProvider=eups\nReleasePorts=3\nRoleGroups=night day night\nEnvironmentFile=/a -/b\n"
                "Restart=always\nRestartSec=1\nRestartSteps=2\nRestartMaxDelaySec=3\nSuccessExitStatus=1\n"
                "RestartPreventExitStatus=2\nStartLimitIntervalSec=1\nStartLimitBurst=1\n"
                "After=a\nWants=b c\nRequires=d\nBindsTo=e\nPartOf=f\n"
                "CPUAffinity=0-1\nOOMScoreAdjust=5\nDelegate=yes\n"
                "ExecStartPre=/a\nExecStop=/b\nExecStopPost=/c\nLease=l\nManagedBy=k:n\n"
                "Type=notify\nTimeoutStartSec=1\nNotifyAccess=all\nWatchdogSec=1\nWatchdogSignal=KILL\n"
                "LimitAS=1\nLimitCORE=1\nLimitCPU=1\nLimitDATA=1\nLimitFSIZE=1\nLimitLOCKS=1\nLimitMEMLOCK=1\n"
                "LimitMSGQUEUE=1\nLimitNICE=1\nLimitNOFILE=1\nLimitNPROC=1\nLimitRSS=1\nLimitRTPRIO=1\n"
                "LimitRTTIME=1\nLimitSIGPENDING=1\nLimitSTACK=1";
        g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(RoleSpec) spec = role_spec_new(), copy = NULL;
        g_autofree char *text = g_strconcat("[Role]\n", lines, "\n", NULL);

        write_file("etc/cam.role", text);
        g_autoptr(Definitions) definitions = load();
        const Definition *d = get(definitions, "cam");
        assert_return_code(test_spec_set_lines(spec, lines, keys, NULL), 0);
        copy = role_spec_copy(d->spec);
        spec->definition = g_strdup(d->file);
        spec->definition_hash = g_strdup(d->spec->definition_hash);
        for (size_t i = 0; i < ELEMENTSOF(spec_members); i++) {
                if (!same_member(&spec_members[i], d->spec, spec))
                        fail_msg("%s is not what its line says", spec_members[i].name);
                if (!same_member(&spec_members[i], copy, spec))
                        fail_msg("%s is not copied", spec_members[i].name);
                if (shares_memory(&spec_members[i], copy, d->spec))
                        fail_msg("%s of the copy is that of the original", spec_members[i].name);
        }
        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];
                /* These depend on the machine, or cannot be together with the others. */
                const bool without = o->controller || o->kind == ROLE_OPTION_PORTS || o->of_call;

                if (o->file_key && !without && !g_hash_table_contains(keys, o->file_key))
                        fail_msg("%s= is missing here", o->file_key);
                if (o->file_key && !without)
                        assert_string_equal(definition_source(d, o), d->file);
        }
        assert_string_equal(spec->role_groups[1], "day");
        assert_int_equal(g_strv_length(spec->role_groups), 2);
        /* The copy has its own memory. */
        definitions = definitions_free(definitions);
        assert_string_equal(copy->command[1], "a b");
        assert_string_equal(copy->output_path, "/log");
}

static void test_own_keys(void **state) {
        write_file("etc/cam.role",
                "# a comment\n[Role]\nDescription=The camera of %n\nAutoStart=yes\nCommand=/bin/true\n"
                "X-Site=anything %q\n[X-Other]\nWhatever=1\n");
        write_file("etc/log.role", "[Role]\nCommand=/bin/true\nAutoStart=yes\nAutoStart=\nDescription=a\n"
                                   "Description=\n");
        g_autoptr(Definitions) definitions = load();
        const Definition *cam = get(definitions, "cam"), *log = get(definitions, "log");

        assert_int_equal(definitions_count(definitions), 2);
        assert_int_equal(definitions_count_refused(definitions), 0);
        assert_ptr_equal(definitions_get(definitions, 0), cam);
        assert_ptr_equal(definitions_get(definitions, 1), log);
        assert_string_equal(cam->description, "The camera of cam");
        assert_true(cam->autostart);
        assert_null(log->description);
        assert_false(log->autostart);
        assert_true(definitions_reserve(definitions, "cam"));
        assert_false(definitions_reserve(definitions, "came"));
        assert_null(messages);
}

static void test_precedence(void **state) {
        write_file("usr/a.role", "[Role]\nCommand=/usr\n");
        write_file("usr/b.role", "[Role]\nCommand=/usr\n");
        write_file("usr/c.role", "[Role]\nCommand=/usr\n");
        write_file("usr/gone.role", "[Role]\nCommand=/usr\n");
        write_file("run/a.role", "[Role]\nCommand=/run\n");
        write_file("run/b.role", "[Role]\nCommand=/run\n");
        write_file("etc/a.role", "[Role]\nCommand=/etc\n");
        write_file("etc/.hidden.role", "[Role]\nnonsense");
        write_file("etc/b.role~", "[Role]\nnonsense");
        write_file("etc/README", "nonsense");
        link_file("etc/gone.role", "/dev/null");
        link_file("run/linked.role", "../../etc/main.roles.d/a.role");
        g_autoptr(Definitions) definitions = load();

        assert_int_equal(definitions_count(definitions), 4);
        assert_command(get(definitions, "a"), "/etc");
        assert_command(get(definitions, "b"), "/run");
        assert_command(get(definitions, "c"), "/usr");
        assert_command(get(definitions, "linked"), "/etc");
        assert_null(definitions_find(definitions, "gone"));
        assert_false(definitions_reserve(definitions, "gone"));
        assert_null(messages);
}

static void test_drop_ins(void **state) {
        write_file(
                "usr/cam.role", "[Role]\nCommand=/usr\nNice=1\nEnvironment=A=1 B=1\nUser=u\nLimitNOFILE=5\n");
        write_file("usr/cam.role.d/10-a.conf", "[Role]\nNice=2\nEnvironment=A=2\n");
        write_file("usr/cam.role.d/20-gone.conf", "[Role]\nNice=3\n");
        write_file("etc/cam.role.d/05-first.conf", "[Role]\nNice=7\nUser=\nKillSignal=INT\n");
        write_file("run/cam.role.d/10-a.conf", "[Role]\nNice=4\nEnvironment=C=3\nLimitCORE=0\n");
        write_file("run/cam.role.d/30-no", "[Role]\nnonsense");
        link_file("etc/cam.role.d/20-gone.conf", "/dev/null");
        /* Of no role. */
        write_file("etc/other.role.d/10-a.conf", "nonsense");
        g_autoptr(Definitions) definitions = load();
        const Definition *d = get(definitions, "cam");
        g_autofree char *environment = g_strjoinv(" ", d->spec->environment);
        g_autofree char *usr = path_of("usr/cam.role"), *first = path_of("etc/cam.role.d/05-first.conf"),
                        *a = path_of("run/cam.role.d/10-a.conf");

        assert_int_equal(definitions_count(definitions), 1);
        assert_string_equal(d->file, usr);
        assert_int_equal(d->spec->nice, 4);
        assert_string_equal(environment, "A=1 B=1 C=3");
        assert_null(d->spec->user);
        assert_string_equal(definition_source(d, role_option_find_file_key("Command")), usr);
        assert_string_equal(definition_source(d, role_option_find_file_key("Nice")), a);
        assert_string_equal(definition_source(d, role_option_find_file_key("Environment")), a);
        assert_string_equal(definition_source(d, role_option_find_file_key("KillSignal")), first);
        assert_null(definition_source(d, role_option_find_file_key("User")));
        assert_null(definition_source(d, role_option_find_file_key("StopTo")));
        assert_null(messages);

        /* An option of parts has the file of the last one. */
        for (size_t i = 0; i < n_role_options; i++)
                if (g_strcmp0(role_options[i].key, "limits") == 0)
                        assert_string_equal(definition_source(d, &role_options[i]), a);
}

static void test_templates(void **state) {
        struct utsname host;

        assert_return_code(uname(&host), errno);
        write_file("etc/cam@.role",
                "[Role]\nInstances=5\nInstances=\nInstances=\t0..2  x.y 1\nAutoStart=yes\nUser=u%i\n"
                "Command=/bin/cam --name=%n --index=%i '100%%' %H\nWorkingDirectory=/%\n");
        write_file("etc/cam@.role.d/10-all.conf", "[Role]\nNice=1\n");
        write_file("etc/cam-1.role.d/10-one.conf", "[Role]\nNice=2\n");
        write_file("etc/wide@.role", "[Role]\nInstances=08..10 7..9\nCommand=/bin/true\n");
        g_autofree char *file = path_of("etc/cam@.role");
        g_autoptr(Definitions) definitions = load();
        assert_null(messages);

        const Definition *first = get(definitions, "cam-0"), *second = get(definitions, "cam-1"),
                         *last = get(definitions, "cam-x.y");
        g_autofree char *command = g_strdup_printf("/bin/cam|--name=cam-0|--index=0|100%%|%s", host.nodename);
        assert_command(first, command);
        assert_string_equal(first->spec->user, "u0");
        assert_string_equal(first->file, file);
        assert_string_equal(first->spec->working_directory, "/%");
        assert_true(first->autostart);
        assert_int_equal(first->spec->nice, 1);
        assert_int_equal(second->spec->nice, 2);
        assert_string_equal(second->file, file);
        assert_string_equal(last->spec->user, "ux.y");
        assert_string_not_equal(first->spec->definition_hash, last->spec->definition_hash);
        assert_null(definitions_find(definitions, "cam"));
        assert_null(definitions_find(definitions, "cam@"));
        assert_null(definitions_find(definitions, "cam-3"));
        assert_false(definitions_reserve(definitions, "cam-3"));

        /* As many digits as the first number has. */
        static const char *const wide[] = { "wide-08", "wide-09", "wide-10", "wide-7", "wide-8", "wide-9" };
        for (size_t i = 0; i < ELEMENTSOF(wide); i++)
                (void) get(definitions, wide[i]);
        assert_int_equal(definitions_count(definitions), 4 + ELEMENTSOF(wide));
}

static void test_exact_wins(void **state) {
        write_file("etc/cam@.role", "[Role]\nInstances=0..2\nCommand=/template\n");
        write_file("usr/cam-0.role", "[Role]\nCommand=/exact\n");
        link_file("etc/cam-1.role", "/dev/null");
        /* Two templates that define the same role: the first one by its name. */
        write_file("etc/a@.role", "[Role]\nInstances=b-c\nCommand=/a\n");
        write_file("etc/a-b@.role", "[Role]\nInstances=c\nCommand=/a-b\n");
        g_autoptr(Definitions) definitions = load();

        assert_command(get(definitions, "cam-0"), "/exact");
        assert_null(definitions_find(definitions, "cam-1"));
        assert_command(get(definitions, "cam-2"), "/template");
        assert_command(get(definitions, "a-b-c"), "/a-b");
        assert_contains(messages, "etc/main.roles.d/cam@.role: its instance \"0\" is ignored, since ");
        assert_contains(messages, "usr/main.roles.d/cam-0.role defines \"cam-0\"");
        assert_contains(messages, "etc/main.roles.d/a@.role: its instance \"b-c\" is ignored, since ");
        assert_null(strstr(messages, "\"1\""));
}

/* Each makes one definition unavailable, with the reason and the line. */
static void test_refused(void **state) {
        static const struct {
                const char *text;
                unsigned line;
                const char *reason;
        } cases[] = {
                { "", 1, "Command= is missing" },
                { "\n\n[Role]\nNice=1\n", 3, "Command= is missing" },
                { "[Role]\nCommand=/x\nCommand=\n", 1, "Command= is missing" },
                { "[Role]\nCommand=/x\n\nColour=blue\n", 4, "the key Colour= is unknown" },
                { "[Role]\nCommand=/x\nLease=l\nFencingToken=1\n", 4,
                        "FencingToken= is given with each start" },
                { "[Role]\nCommand=/x\nLease=a b\n", 3, "\"a_b\" is" },
                { "[Role]\nCommand=/x\nManagedBy=x\n", 3, "ManagedBy= is not KIND:NAME" },
                { "[Role]\nCommand=/x\ncommand=/y\n", 3, "the key command= is unknown" },
                { "[Role]\nCommand=/x\n[Unit]\n", 3, "the section [Unit] is unknown" },
                { "Command=/x\n", 1, "the assignment comes before the first section header" },
                { "[Role]\nCommand=/x\nnonsense\n", 3, "the line is neither a section header nor" },
                { "[Role]\nCommand=/x\n# \xff\nUser=\xff\n", 4, "the line is not UTF-8" },
                { "[Role]\n# a\nNice=1 \\\n  2\nCommand=/x\n", 3,
                        "Nice= is \"1    2\", but must be an integer" },
                { "[Role]\nCommand=/x\nNice=20\n", 3, "Nice= is 20, but must be from -20 to 19" },
                { "[Role]\nCommand=/x 'a\n", 2, "Command=" },
                { "[Role]\nCommand=/x\nWorkingDirectory=tmp\n", 3, "WorkingDirectory=" },
                { "[Role]\nCommand=/x\nAutoStart=perhaps\n", 3,
                        "AutoStart= is \"perhaps\", but must be yes or no" },
                { "[Role]\nCommand=/x\nRoleGroups=a b/c\n", 3, "RoleGroups=: \"b/c\" is not a valid name" },
                { "[Role]\nCommand=/x %s\n", 2, "Command=: \"%s\" is not one of %n, %i and %H" },
                { "[Role]\nCommand=/x %\xc3\xa4\n", 2, "Command=: \"%\xc3\xa4\" is not one of" },
                { "[Role]\nCommand=/x %i\n", 2, "Command=: %i is the instance of a template" },
                { "[Role]\nCommand=/x\nVersion=1\n", 3, "the key Version= is unknown" },
                /* Options together. */
                { "#\n[Role]\nCommand=/x\nXTermArguments=-rv\n", 2, "needs \"xterm\" to be true" },
                { "#\n[Role]\nCommand=/x\nProductVersion=1\n", 2, "without \"product\"" },
                { "[Role]\nCommand=/x\nTCPPorts=1\nReleasePorts=1\n", 1, "Port 1 is in" },
        };
        g_autoptr(Definitions) definitions = NULL;

        write_file("etc/good.role", "[Role]\nCommand=/good\n");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *name = g_strdup_printf("etc/bad%zu.role", i);
                write_file(name, cases[i].text);
        }
        definitions = load();
        assert_int_equal(definitions_count_refused(definitions), ELEMENTSOF(cases));
        assert_command(get(definitions, "good"), "/good");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *name = g_strdup_printf("bad%zu", i),
                                *file = g_strdup_printf("etc/%s.role", name), *path = path_of(file),
                                *place = g_strdup_printf("%s:%u: ", path, cases[i].line);
                const Definition *d = definitions_find(definitions, name), *valid = NULL;
                g_auto(Fault) fault = {};

                assert_non_null(d);
                assert_null(d->spec);
                assert_contains(d->error, cases[i].reason);
                assert_int_equal(d->error_line, cases[i].line);
                assert_string_equal(d->error_file, path);
                assert_string_equal(d->file, path);
                assert_contains(messages, place);
                assert_int_equal(definitions_find_valid(definitions, name, &valid, &fault), -EBADMSG);
                assert_int_equal(fault.error, NODE_ERROR_BAD_DEFINITION);
                assert_contains(fault.message, place);
                assert_contains(fault.message, cases[i].reason);
                assert_true(definitions_reserve(definitions, name)); /* nobody else may take it */
        }
}

/* The error of a drop-in names that. */
static void test_refused_drop_in(void **state) {
        write_file("etc/cam.role", "[Role]\nCommand=/x\n");
        write_file("usr/cam.role.d/10-a.conf", "[Role]\n\nNice=x\n");
        g_autoptr(Definitions) definitions = load();
        const Definition *d = definitions_find(definitions, "cam");
        g_autofree char *file = path_of("etc/cam.role"), *drop_in = path_of("usr/cam.role.d/10-a.conf");

        assert_null(d->spec);
        assert_string_equal(d->file, file);
        assert_string_equal(d->error_file, drop_in);
        assert_int_equal(d->error_line, 3);
}

static void test_refused_templates(void **state) {
        static const struct {
                const char *text;
                unsigned line;
                const char *reason;
        } cases[] = {
                { "#\n[Role]\nCommand=/x\n", 2, "Instances= is missing" },
                { "[Role]\nCommand=/x\nInstances=1\nInstances=\n", 1, "Instances= is missing" },
                { "[Role]\nCommand=/x\nInstances=9..0\n", 3, "\"9..0\" is not a range" },
                { "[Role]\nCommand=/x\nInstances=..\n", 3, "\"..\" is not a range" },
                { "[Role]\nCommand=/x\nInstances=1 a..c\n", 3, "\"a..c\" is not a range" },
                { "[Role]\nCommand=/x\nInstances=0..1000\n", 3, "there are more than 1000" },
                { "[Role]\nCommand=/x\nInstances=0..99999999999999999999\n", 3, "is not a range" },
                { "[Role]\nCommand=/x\nInstances=0..18446744073709551615\n", 3, "there are more than 1000" },
                { "[Role]\nCommand=/x\nInstances=a/b\n", 3, "-a/b\" would not be a valid role name" },
                { "[Role]\nFoo=/x\nInstances=1\n", 2, "the key Foo= is unknown" },
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *name = g_strdup_printf("etc/t%zu@.role", i);
                write_file(name, cases[i].text);
        }
        /* The instances are known here, so each of them is refused. */
        write_file("etc/known@.role", "[Role]\nInstances=1 2\nNice=%i0\nCommand=/x\n");
        g_autoptr(Definitions) definitions = load();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *name = g_strdup_printf("t%zu@", i),
                                *instance = g_strdup_printf("t%zu-1-2", i);
                const Definition *d = definitions_find(definitions, name), *valid;
                g_auto(Fault) fault = {};

                assert_non_null(d);
                assert_contains(d->error, cases[i].reason);
                assert_int_equal(d->error_line, cases[i].line);
                assert_true(definitions_reserve(definitions, instance));
                assert_int_equal(definitions_find_valid(definitions, instance, &valid, &fault), -EBADMSG);
                assert_contains(fault.message, cases[i].reason);
        }
        assert_int_equal(get(definitions, "known-1")->spec->nice, 10);
        assert_contains(definitions_find(definitions, "known-2")->error, "Nice= is 20");
        assert_false(definitions_reserve(definitions, "known-3"));

        /* Instances= would be ignored here, so it is refused. */
        write_file("etc/plain.role", "[Role]\nCommand=/x\nInstances=1\n");
        write_file("etc/known-1.role.d/10-a.conf", "[Role]\nNice=1\nInstances=3\n");
        definitions_free(definitions);
        definitions = load();
        assert_contains(definitions_find(definitions, "plain")->error, "Instances= is for templates");
        assert_int_equal(definitions_find(definitions, "plain")->error_line, 3);
        assert_contains(definitions_find(definitions, "known-1")->error, "Instances= is for templates");
        assert_contains(definitions_find(definitions, "known-1")->error_file, "10-a.conf");
}

static void set_file(const char *name, mode_t mode, uid_t uid) {
        g_autofree char *path = path_of(name);

        assert_return_code(chmod(path, mode), errno);
        assert_return_code(chown(path, uid, 0), errno);
}

static void test_owner(void **state) {
        static const struct {
                const char *name;
                mode_t mode;
                uid_t uid;
                const char *reason; /* for root; NULL if it is good */
                const char *for_user;
        } cases[] = {
                { "good", 0600, 0, NULL, NULL },
                { "world", 0646, 0, "others than its owner may write to it",
                        "others than its owner may write to it" },
                { "group", 0664, 0, "others than its owner may write to it",
                        "others than its owner may write to it" },
                { "foreign", 0644, 1, "it does not belong to root",
                        "it belongs neither to root nor to the user" },
                { "own", 0644, OWNER, "it does not belong to root", NULL },
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *name = g_strdup_printf("etc/%s.role", cases[i].name);

                write_file(name, "[Role]\nCommand=/x\n");
                set_file(name, cases[i].mode, cases[i].uid);
        }
        write_file("etc/dropped.role", "[Role]\nCommand=/x\n");
        write_file("etc/dropped.role.d/10-a.conf", "[Role]\nNice=1\n");
        set_file("etc/dropped.role.d/10-a.conf", 0666, 0);
        write_file("etc/directory.role", "[Role]\nCommand=/x\n");
        write_file("etc/directory.role.d/10-a.conf", "[Role]\nNice=1\n");
        set_file("etc/directory.role.d", 0777, 0);

        for (unsigned user = 0; user < 2; user++) {
                g_autoptr(Definitions) definitions = NULL;

                assert_return_code(try_load(user ? OWNER : 0, &definitions, NULL), 0);
                for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                        const char *reason = user ? cases[i].for_user : cases[i].reason;
                        const Definition *d = definitions_find(definitions, cases[i].name);

                        if (!reason)
                                assert_non_null(d->spec);
                        else {
                                assert_contains(d->error, reason);
                                assert_int_equal(d->error_line, 0);
                                assert_contains(messages, d->error_file);
                        }
                }
                assert_contains(definitions_find(definitions, "dropped")->error, "others than its owner");
                assert_contains(definitions_find(definitions, "dropped")->error_file, "10-a.conf");
                assert_contains(definitions_find(definitions, "directory")->error, "others than its owner");
        }
}

static void test_no_file(void **state) {
        g_autofree char *fifo = path_of("etc/fifo.role"), *directory = path_of("etc/directory.role");

        write_file("etc/good.role", "[Role]\nCommand=/x\n");
        assert_return_code(mkfifo(fifo, 0600), errno);
        assert_return_code(mkdir(directory, 0755), errno);
        link_file("etc/dangling.role", "/nonexistent");
        link_file("etc/circle.role", "circle.role");
        write_file("etc/-name.role", "[Role]\nCommand=/x\n");
        write_file("etc/na me.role", "[Role]\nCommand=/x\n");
        write_file("etc/@.role", "[Role]\nCommand=/x\n");
        write_file("etc/\xff.role", "[Role]\nCommand=/x\n");
        g_autoptr(Definitions) definitions = load();

        assert_contains(definitions_find(definitions, "fifo")->error, "it is not a regular file");
        assert_contains(definitions_find(definitions, "directory")->error, "it is not a regular file");
        assert_contains(definitions_find(definitions, "circle")->error, "it is not a regular file");
        assert_contains(definitions_find(definitions, "dangling")->error, "it cannot be read: No such file");
        assert_contains(definitions_find(definitions, "-name")->error, "is not a valid role name");
        assert_contains(definitions_find(definitions, "na me")->error, "\"na me\" is not a valid role name");
        assert_contains(definitions_find(definitions, "na me")->error, "; \"na_me\" is");
        assert_contains(definitions_find(definitions, "@")->error, "is not a valid role name");
        assert_contains(messages, "\\377.role: the name is not UTF-8");
        assert_int_equal(definitions_count(definitions), 8);
        (void) get(definitions, "good");
}

/* A file in such a directory could replace or mask any other. */
static void test_directories(void **state) {
        g_autoptr(Definitions) definitions = NULL;
        g_auto(Fault) writable = {}, file = {};

        write_file("usr/good.role", "[Role]\nCommand=/x\n");
        write_file("run/other.role", "[Role]\nCommand=/x\n");
        set_file("run", 0777, 0);
        assert_int_equal(try_load(0, &definitions, &writable), -EIO);
        assert_null(definitions);
        assert_contains(
                writable.message, "run/main.roles.d is not read: others than its owner may write to it");
        set_file("run", 0755, 0);
        assert_return_code(try_load(0, &definitions, NULL), 0);
        assert_int_equal(definitions_count(definitions), 2);

        g_autofree char *etc = g_build_filename(top, "etc", NULL), *path = path_of("etc");
        definitions = definitions_free(definitions);
        assert_return_code(mkdir(etc, 0755), errno);
        assert_true(g_file_set_contents(path, "", 0, NULL));
        assert_int_equal(try_load(0, &definitions, &file), -EIO);
        assert_contains(file.message, "etc/main.roles.d: Not a directory");
}

/* What is read is compared, not how it is written. */
static void test_hash(void **state) {
        static const char *const texts[] = {
                "[Role]\nCommand=/x  \nNice=1\n",
                "#\n[Role]\n\nCommand = /x\nX-Nice=5\n; comment\nNice=1\n[X-More]\n",
                "[Role]\nCommand=/x\nNice=2\n",
                "[Role]\nCommand=/x\nNice=1\nAutoStart=yes\n",
        };
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                write_file("etc/cam.role", texts[i]);
                g_autoptr(Definitions) definitions = load();
                g_ptr_array_add(list, g_strdup(get(definitions, "cam")->spec->definition_hash));
        }
        char **hashes = (char **) list->pdata;
        assert_string_equal(hashes[0], hashes[1]);
        assert_string_not_equal(hashes[2], hashes[3]);
        assert_string_not_equal(hashes[0], hashes[2]);
        assert_string_not_equal(hashes[0], hashes[3]);
}

/* Whether a role that runs was started from what is loaded now. */
static void test_differ(void **state) {
        g_autoptr(Definitions) definitions = definitions_new();
        g_autoptr(RoleSpec) free_spec = role_spec_new(), spec = NULL;

        assert_false(definitions_differ(definitions, "cam", free_spec));
        write_file("etc/cam.role", "[Role]\nCommand=/x\n");
        definitions_free(definitions);
        definitions = load();
        assert_false(definitions_differ(definitions, "cam", free_spec));
        spec = role_spec_copy(get(definitions, "cam")->spec);
        assert_false(definitions_differ(definitions, "cam", spec));
        assert_true(definitions_differ(definitions, "gone", spec));

        write_file("usr/cam.role.d/10-a.conf", "[Role]\nNice=1\n");
        definitions_free(definitions);
        definitions = load();
        assert_true(definitions_differ(definitions, "cam", spec));
        write_file("usr/cam.role.d/10-a.conf", "[Role]\n");
        definitions_free(definitions);
        definitions = load();
        assert_false(definitions_differ(definitions, "cam", spec));
        write_file("usr/cam.role.d/10-a.conf", "nonsense");
        definitions_free(definitions);
        definitions = load();
        assert_true(definitions_differ(definitions, "cam", spec));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_every_option, setup, teardown),
                cmocka_unit_test_setup_teardown(test_own_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
                cmocka_unit_test_setup_teardown(test_drop_ins, setup, teardown),
                cmocka_unit_test_setup_teardown(test_templates, setup, teardown),
                cmocka_unit_test_setup_teardown(test_exact_wins, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused_drop_in, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused_templates, setup, teardown),
                cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_directories, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
                cmocka_unit_test_setup_teardown(test_differ, setup, teardown),
        };

        umask(022);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
