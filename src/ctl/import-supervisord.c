/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* supervisord.conf: each [program:x] becomes a role, and one with numprocs= a template. docs/roles.md has the
 * table of what a key means. */

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "base/unit-name.h"
#include "ctl/import-ini.h"

#define PRIORITY_DEFAULT 999
#define START_SECONDS_DEFAULT 1
#define START_RETRIES_DEFAULT 3
#define COUNT_MAX 1000000 /* no such number in a file is meant */

typedef struct Program {
        const IniSection *section;
        const char *name; /* in the section */
        char *group;      /* NULL if it is in none */
        int group_priority, priority;
        bool autostart;
        int n_processes, first_process;
        char *width; /* of the number of the process, if all values write it alike */
        bool is_template;
        GPtrArray *process_names; /* of supervisord, one for each role file */
        GPtrArray *role_names;    /* of the roles that these define */
} Program;

typedef struct Supervisord {
        Import *import;
        GPtrArray *sections;
        GPtrArray *programs; /* of Program, in the order in which they are started */
        GHashTable *names;   /* what references stand for in all sections */
        char *host;
        char **environment; /* of [supervisord], as words of Environment= */
} Supervisord;

static void program_free(void *p) {
        Program *program = p;

        g_free(program->group);
        g_free(program->width);
        g_ptr_array_unref(program->process_names);
        g_ptr_array_unref(program->role_names);
        g_free(program);
}

/* -- what has no counterpart -- */

static const struct {
        const char *key, *reason;
} key_reasons[] = {
        { "killasgroup", "SIGKILL always reaches all processes of a role" },
        { "stderr_logfile", "stderr goes where stdout goes" },
        { "redirect_stderr", "stderr always goes where stdout goes" },
        { "stdout_logfile_maxbytes",
                "use logrotate with copytruncate for a file; journald.conf(5) limits the journal" },
        { "stdout_logfile_backups",
                "use logrotate with copytruncate for a file; journald.conf(5) limits the journal" },
        { "stderr_logfile_maxbytes",
                "use logrotate with copytruncate for a file; journald.conf(5) limits the journal" },
        { "stderr_logfile_backups",
                "use logrotate with copytruncate for a file; journald.conf(5) limits the journal" },
        { "stdout_syslog", "the journal has what is written to it" },
        { "stderr_syslog", "the journal has what is written to it" },
        { "stdout_capture_maxbytes",
                "there is no capture mode; RoleExited and the journal tell what happens" },
        { "stderr_capture_maxbytes",
                "there is no capture mode; RoleExited and the journal tell what happens" },
        { "stdout_events_enabled", "there are no events of output; the journal has it" },
        { "stderr_events_enabled", "there are no events of output; the journal has it" },
        { "serverurl", "clients use the bus" },
        { "startretries", "a role that is not started again needs no limit" },
        { "process_name", "the roles are named after the program, with a number" },
};

static const char *program_reason(const char *key) {
        for (size_t i = 0; i < ELEMENTSOF(key_reasons); i++)
                if (strcmp(key_reasons[i].key, key) == 0)
                        return key_reasons[i].reason;
        return "it is no key of a program that supervisord knows";
}

static const char *service_reason(const char *key) {
        if (strcmp(key, "minfds") == 0 || strcmp(key, "minprocs") == 0)
                return "a role that needs it has LimitNOFILE= or LimitNPROC=";
        if (g_str_has_prefix(key, "log") || strcmp(key, "childlogdir") == 0)
                return "the messages of the service, and output without a file, are in the journal";
        return "systemd runs the service; architect-node.conf(5) has its settings";
}

static const struct {
        const char *prefix, *reason;
} section_reasons[] = {
        { "unix_http_server", "clients use the bus" },
        { "inet_http_server", "clients use the bus, which is not on the network" },
        { "supervisorctl", "clients use the bus; see architectctl" },
        { "rpcinterface:", "clients use the bus" },
        { "ctlplugin:", "clients use the bus; see architectctl" },
        { "eventlistener:", "any client receives the signals of the service; see architectctl monitor" },
        { "fcgi-program:", "TCPPorts= gives a role open sockets, sd_listen_fds(3)" },
};

static void comment_section(Import *import, const IniSection *section) {
        g_autofree char *header = g_strdup_printf("[%s]", section->name);

        const char *reason = "it is no section that supervisord knows";
        for (size_t i = 0; i < ELEMENTSOF(section_reasons); i++)
                if (g_str_has_prefix(section->name, section_reasons[i].prefix))
                        reason = section_reasons[i].reason;
        import_comment(import->notes, section->place, header, NULL, reason);
        ini_section_comment(section, import->notes, reason, NULL);
}

/* -- values -- */

static void names_set(GHashTable *names, const char *name, const char *value) {
        g_hash_table_replace(names, g_strdup(name), g_strdup(value));
}

/* Sets %(ENV_x)s for each NAME=VALUE. */
static void names_set_environment(GHashTable *names, char *const *environment) {
        for (; environment && *environment; environment++) {
                const char *equals = strchr(*environment, '=');

                if (equals)
                        g_hash_table_replace(names,
                                g_strdup_printf("ENV_%.*s", (int) (equals - *environment), *environment),
                                g_strdup(equals + 1));
        }
}

/* The expanded value, or NULL if there is none, or if it was wrong. %(here)s is the directory of the file. */
static char *take(const Supervisord *s, const IniSection *section, const char *key, GHashTable *names) {
        IniValue *value = ini_section_take(section, key);

        if (!value)
                return NULL;
        g_autofree char *path = realpath(value->place.file, NULL),
                        *here = g_path_get_dirname(path ?: value->place.file);
        names_set(names, "here", here);
        return ini_expand(s->import, value, names);
}

static ImportPlace place_of(const IniSection *section, const char *key) {
        const IniValue *value = ini_section_take(section, key);

        return value ? value->place : section->place;
}

static int take_number(
        const Supervisord *s, const IniSection *section, const char *key, int without, GHashTable *names) {
        g_autofree char *text = take(s, section, key, names);
        int32_t number;

        if (!text)
                return without;
        if (parse_i32(text, &number) < 0 || number > COUNT_MAX || number < -COUNT_MAX) {
                import_error(s->import, place_of(section, key), "%s=%s is no number", key, text);
                return without;
        }
        return number;
}

static bool take_flag(
        const Supervisord *s, const IniSection *section, const char *key, bool without, GHashTable *names) {
        g_autofree char *text = take(s, section, key, names);
        bool flag;

        if (!text)
                return without;
        if (parse_boolean(text, &flag) < 0) {
                import_error(s->import, place_of(section, key), "%s=%s is neither true nor false", key, text);
                return without;
        }
        return flag;
}

/* -- environment= -- */

/* The words of supervisord, of shlex that is not POSIX: a quote ends at the next one, without escapes. */
static char *next_token(const char **text) {
        static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
                                   "/.+-():'\"" IMPORT_INSTANCE IMPORT_HOST;
        const char *s = *text + strspn(*text, " \t\n"), *end;

        if (*s == '#' || !*s) {
                *text = s + strlen(s);
                return NULL;
        }
        if (*s == '"' || *s == '\'') {
                end = strchr(s + 1, *s);
                end = end ? end + 1 : s + strlen(s);
        } else
                end = strchr(word, *s) ? s + strspn(s, word) : g_utf8_next_char(s);
        *text = end;
        return g_strndup(s, (gsize) (end - s));
}

static void strip_quotes(char *text) {
        const size_t before = strspn(text, "'\"");
        size_t size = strlen(text + before);

        while (size > 0 && strchr("'\"", text[before + size - 1]))
                size--;
        memmove(text, text + before, size);
        text[size] = '\0';
}

/* A="x",B=y. Returns NAME=VALUE as a list, or NULL if it is wrong. */
static char **environment_parse(const char *text) {
        g_autoptr(GStrvBuilder) variables = g_strv_builder_new();

        for (;;) {
                g_autofree char *name = next_token(&text), *equals = next_token(&text),
                                *value = next_token(&text), *comma = NULL, *variable = NULL;

                if (!name)
                        return g_strv_builder_end(variables);
                if (!equals || !value || strcmp(equals, "=") != 0)
                        return NULL;
                strip_quotes(value);
                variable = g_strconcat(name, "=", value, NULL);
                g_strv_builder_add(variables, variable);
                comma = next_token(&text);
                /* supervisord does not look at what it is. */
                (void) comma;
        }
}

static char **take_environment(const Supervisord *s, const IniSection *section, GHashTable *names) {
        g_autofree char *text = take(s, section, "environment", names);
        char **environment = text ? environment_parse(text) : NULL;

        if (text && !environment)
                import_error(s->import, place_of(section, "environment"),
                        "environment= is not a list such as A=\"1\",B=\"two words\"");
        names_set_environment(names, environment);
        return environment;
}

static void set_environment(ImportRole *role, char *const *environment) {
        g_autoptr(GString) line = g_string_new(NULL);

        for (; environment && *environment; environment++) {
                g_auto(GStrv) pair = g_strsplit(*environment, "=", 2);
                g_autofree char *escaped = import_escape(pair[1]),
                                *word = import_environment_word(pair[0], escaped);

                g_string_append_printf(line, "%s%s", line->len > 0 ? " " : "", word);
        }
        if (line->len > 0)
                import_set(role, "Environment", line->str);
}

/* -- a program -- */

static GHashTable *program_names(const Supervisord *s, const Program *program) {
        GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autofree char *n = g_strdup_printf("%d", program->n_processes);
        GHashTableIter iter;
        const char *name, *value;

        g_hash_table_iter_init(&iter, s->names);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &value))
                names_set(names, name, value);
        names_set(names, "program_name", program->name);
        names_set(names, "group_name", program->group ?: program->name);
        names_set(names, "numprocs", n);
        return names;
}

/* Finds out how the values write the number of the process. Returns false if they differ: then a template
 * would not do. */
static bool program_find_width(Program *program) {
        for (unsigned i = 0; i < program->section->values->len; i++) {
                const IniValue *value = g_ptr_array_index(program->section->values, i);
                g_autoptr(GString) literal = g_string_new(NULL);
                const char *text = value->text;

                for (;;) {
                        g_auto(IniReference) reference = {};

                        if (value->replaced || ini_next_reference(&text, literal, &reference) <= 0)
                                break;
                        if (strcmp(reference.name, "process_num") != 0)
                                continue;
                        if (program->width && strcmp(program->width, reference.width) != 0)
                                return false;
                        if (!program->width)
                                program->width = g_steal_pointer(&reference.width);
                }
        }
        return !program->width || !program->width[0] || program->width[0] == '0';
}

/* The number of a process as the values write it. */
static char *program_number(const Program *program, int number) {
        const char *width = program->width ?: "";

        return g_strdup_printf("%0*d", (int) g_ascii_strtoull(width, NULL, 10), number);
}

static void program_find_template(const Supervisord *s, Program *program) {
        const bool same = program_find_width(program);

        program->is_template = same && program->n_processes > 1 && program->first_process >= 0;
        if (!same)
                g_clear_pointer(&program->width, g_free);
}

static void program_read(Supervisord *s, const IniSection *section) {
        const char *name = strchr(section->name, ':') + 1;
        Program *program = g_new(Program, 1);

        *program = (Program){
                .section = section,
                .name = name + strspn(name, " \t"),
                .process_names = g_ptr_array_new_with_free_func(g_free),
                .role_names = g_ptr_array_new_with_free_func(g_free),
        };
        g_ptr_array_add(s->programs, program);
        g_autoptr(GHashTable) names = program_names(s, program);
        program->priority = take_number(s, section, "priority", PRIORITY_DEFAULT, names);
        program->group_priority = program->priority;
        program->autostart = take_flag(s, section, "autostart", true, names);
        program->n_processes = take_number(s, section, "numprocs", 1, names);
        program->first_process = take_number(s, section, "numprocs_start", 0, names);
        if (program->n_processes < 1 || program->n_processes > 1000) {
                import_error(s->import, place_of(section, "numprocs"),
                        "numprocs=%d must be from 1 to 1000 for a template", program->n_processes);
                program->n_processes = 1;
        }
        program_find_template(s, program);
}

static Program *find_program(const Supervisord *s, const char *name) {
        for (unsigned i = 0; i < s->programs->len; i++) {
                Program *program = g_ptr_array_index(s->programs, i);

                if (strcmp(program->name, name) == 0)
                        return program;
        }
        return NULL;
}

/* [group:x] programs=a,b */
static void group_read(const Supervisord *s, const IniSection *section) {
        const char *group = strchr(section->name, ':') + 1;
        g_autofree char *programs = take(s, section, "programs", s->names);
        const int priority = take_number(s, section, "priority", PRIORITY_DEFAULT, s->names);
        g_auto(GStrv) members = g_strsplit(programs ?: "", ",", -1);

        for (char **m = members; *m; m++) {
                Program *program = find_program(s, g_strstrip(*m));

                if (!program) {
                        if ((*m)[0])
                                import_error(s->import, place_of(section, "programs"),
                                        "programs= names \"%s\", and there is no [program:%s]", *m, *m);
                        continue;
                }
                g_free(program->group);
                program->group = g_strdup(group);
                program->group_priority = priority;
        }
        ini_section_comment(section, s->import->notes, "it is no key of a group", NULL);
}

static int compare_programs(const void *a, const void *b) {
        const Program *p = *(Program *const *) a, *q = *(Program *const *) b;

        if (p->group_priority != q->group_priority)
                return p->group_priority < q->group_priority ? -1 : 1;
        return p->priority < q->priority ? -1 : p->priority > q->priority;
}

/* -- its role -- */

static void set_restart(const Supervisord *s, const Program *program, ImportRole *role, GHashTable *names) {
        const IniSection *section = program->section;
        g_autofree char *text = take(s, section, "autorestart", names);
        const int seconds = take_number(s, section, "startsecs", START_SECONDS_DEFAULT, names);
        bool always = false;

        if (text && g_ascii_strcasecmp(text, "unexpected") != 0) {
                if (parse_boolean(text, &always) < 0)
                        import_error(s->import, place_of(section, "autorestart"),
                                "autorestart=%s is none of unexpected, true and false", text);
                else if (!always) {
                        import_set(role, "Restart", "no");
                        return;
                }
        }
        import_set(role, "Restart", always ? "always" : "on-failure");
        /* Of startsecs=0 every start is a success. */
        const int retries = MAX(take_number(s, section, "startretries", START_RETRIES_DEFAULT, names), 0);
        if (seconds <= 0) {
                import_set(role, "StartLimitBurst", "0");
                return;
        }
        /* The delays are 1 s, 2 s and so on; supervisord counts those that end within startsecs. So many
         * starts fit into this time only if each ends before that. */
        const int64_t delays = (int64_t) retries * (retries + 1) / 2 + retries;
        import_set(role, "RestartSec", "1s");
        if (retries > 1) {
                import_setf(role, "RestartSteps", "%d", retries - 1);
                import_setf(role, "RestartMaxDelaySec", "%ds", retries);
        }
        import_setf(role, "StartLimitIntervalSec", "%" G_GINT64_FORMAT "s",
                (int64_t) seconds * (retries + 1) + delays + delays / 10 + 1);
        import_setf(role, "StartLimitBurst", "%d", retries + 1);
}

/* Without 0, which is always a success. */
static void set_exit_codes(
        const Supervisord *s, const Program *program, ImportRole *role, GHashTable *names) {
        g_autofree char *text = take(s, program->section, "exitcodes", names);
        g_auto(GStrv) codes = g_strsplit_set(text ?: "0", ", \n", -1);
        g_autoptr(GString) others = g_string_new(NULL);
        bool zero = false;

        for (char **code = codes; *code; code++)
                if (strcmp(*code, "0") == 0)
                        zero = true;
                else if ((*code)[0])
                        g_string_append_printf(others, "%s%s", others->len > 0 ? " " : "", *code);
        if (others->len > 0)
                import_set(role, "SuccessExitStatus", others->str);
        if (!zero)
                import_comment(role->lines, place_of(program->section, "exitcodes"), "exitcodes", text,
                        "0 is a success, too");
}

static void set_stop(const Supervisord *s, const Program *program, ImportRole *role, GHashTable *names) {
        const IniSection *section = program->section;
        g_autofree char *number = take(s, section, "stopsignal", names),
                        *seconds = take(s, section, "stopwaitsecs", names);

        if (number) {
                g_autofree char *upper = g_ascii_strup(number, -1);
                const bool has_prefix = g_ascii_isdigit(upper[0]) || g_str_has_prefix(upper, "SIG");

                import_setf(role, "KillSignal", "%s%s", has_prefix ? "" : "SIG", upper);
        }
        if (seconds)
                import_setf(role, "TimeoutStopSec", "%ss", seconds);
        if (!take_flag(s, section, "stopasgroup", false, names))
                import_set(role, "StopTo", "main");
}

/* What a role does in any case has no comment. */
static void take_what_is_so(const Supervisord *s, const Program *program, GHashTable *names) {
        static const char *const flags[] = { "redirect_stderr", "killasgroup" };
        static const char *const limits[] = { "stdout_logfile_maxbytes", "stderr_logfile_maxbytes" };

        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (!take_flag(s, program->section, flags[i], true, names))
                        ini_section_take(program->section, flags[i])->used = false;
        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                IniValue *value = ini_section_take(program->section, limits[i]);

                if (value)
                        value->used = strcmp(value->text, "0") == 0;
        }
}

/* A path, NONE, AUTO or syslog. */
static void set_output(const Supervisord *s, const Program *program, ImportRole *role, GHashTable *names) {
        g_autofree char *path = take(s, program->section, "stdout_logfile", names), *escaped = NULL;

        if (!path)
                return;
        if (g_ascii_strcasecmp(path, "NONE") == 0 || g_ascii_strcasecmp(path, "OFF") == 0)
                import_set(role, "StandardOutput", "null");
        else if (g_ascii_strcasecmp(path, "AUTO") == 0 || g_ascii_strcasecmp(path, "syslog") == 0 ||
                 g_str_has_prefix(path, "/dev/std") || g_str_has_prefix(path, "/dev/fd/"))
                import_set(role, "StandardOutput", "journal");
        else {
                escaped = import_escape(path);
                import_setf(role, "StandardOutput", "append:%s", escaped);
        }
}

static void set_command(const Supervisord *s, const Program *program, ImportRole *role, GHashTable *names) {
        const IniSection *service = ini_sections_find(s->sections, "supervisord");
        g_autofree char *command = take(s, program->section, "command", names),
                        *umask_text =
                                take(s, program->section, "umask", names) ?: take(s, service, "umask", names);

        if (!command) {
                import_error(
                        s->import, program->section->place, "[%s] has no command=", program->section->name);
                return;
        }
        g_autofree char *escaped = import_escape(command);
        if (!umask_text) {
                import_set(role, "Command", escaped);
                return;
        }
        if (!umask_text[0] || umask_text[strspn(umask_text, "01234567")]) {
                import_error(s->import, place_of(program->section, "umask"), "umask=%s is no octal number",
                        umask_text);
                return;
        }
        g_autofree char *script = g_strconcat("umask ", umask_text, NULL),
                        *wrapped = import_wrap(script, escaped);
        import_set(role, "Command", wrapped);
}

static void set_text(const Supervisord *s, const Program *program, ImportRole *role, const char *key,
        const char *file_key, GHashTable *names) {
        const IniSection *service = ini_sections_find(s->sections, "supervisord");
        g_autofree char *text = take(s, program->section, key, names) ?: take(s, service, key, names);

        if (text) {
                g_autofree char *escaped = import_escape(text);

                import_set(role, file_key, escaped);
        }
}

/* Of all roles of the programs before it, back to those that start by themselves: a program that does not
 * start orders nothing. */
static void set_order(const Supervisord *s, unsigned i, ImportRole *role) {
        const Program **programs = (const Program **) s->programs->pdata;
        g_autoptr(GString) after = g_string_new(NULL);
        bool ordered = false;
        unsigned first;

        while (i > 0 && compare_programs(&programs[i - 1], &programs[i]) == 0)
                i--;
        for (first = i; first > 0; first--) {
                if (ordered && compare_programs(&programs[first - 1], &programs[first]) != 0)
                        break;
                ordered = ordered || programs[first - 1]->autostart;
        }
        for (; first < i; first++)
                for (unsigned k = 0; k < programs[first]->role_names->len; k++)
                        g_string_append_printf(after, "%s%s", after->len > 0 ? " " : "",
                                (const char *) g_ptr_array_index(programs[first]->role_names, k));
        if (after->len > 0)
                import_set(role, "After", after->str);
}

static void set_groups(const Supervisord *s, const Program *program, ImportRole *role) {
        g_autofree char *group = program->group ? role_name_suggest(program->group) : NULL;

        if (group)
                import_set(role, "RoleGroups", group);
}

static void program_write_role(const Supervisord *s, unsigned i, ImportRole *role, GHashTable *names) {
        const Program *program = g_ptr_array_index(s->programs, i);
        g_auto(GStrv) own = NULL;

        if (program->is_template) {
                g_autofree char *first = program_number(program, program->first_process),
                                *last = program_number(
                                        program, program->first_process + program->n_processes - 1);

                import_setf(role, "Instances", "%s..%s", first, last);
        }
        set_environment(role, s->import->environment);
        set_environment(role, s->environment);
        own = take_environment(s, program->section, names);
        set_environment(role, own);
        set_command(s, program, role, names);
        set_text(s, program, role, "directory", "WorkingDirectory", names);
        set_text(s, program, role, "user", "User", names);
        set_groups(s, program, role);
        set_order(s, i, role);
        if (program->autostart)
                import_set(role, "AutoStart", "yes");
        set_exit_codes(s, program, role, names);
        set_restart(s, program, role, names);
        set_stop(s, program, role, names);
        set_output(s, program, role, names);
        take_what_is_so(s, program, names);
        ini_section_comment(program->section, role->lines, NULL, program_reason);
}

static void program_write(const Supervisord *s, unsigned i) {
        const Program *program = g_ptr_array_index(s->programs, i);
        g_autofree char *what = g_strdup_printf("[%s]", program->section->name);

        for (unsigned k = 0; k < program->process_names->len; k++) {
                g_autoptr(GHashTable) names = program_names(s, program);
                g_autofree char *number = g_strdup_printf("%d", program->first_process + (int) k);
                ImportRole *role = import_add_role(s->import, g_ptr_array_index(program->process_names, k),
                        program->is_template, program->section->place, what);

                names_set(names, "process_num", program->is_template ? IMPORT_INSTANCE : number);
                if (role)
                        program_write_role(s, i, role, names);
        }
}

/* The roles of a template are named after the program and the number. */
static void program_name_instances(const Supervisord *s, const Program *program, GHashTable *names) {
        g_autofree char *name = role_name_suggest(program->name), *process_name = NULL, *same = NULL;

        g_ptr_array_add(program->process_names, g_strdup(program->name));
        if (!name) /* it will be refused */
                return;
        names_set(names, "process_num", IMPORT_INSTANCE);
        process_name = take(s, program->section, "process_name", names);
        same = g_strdup_printf("%s-%s", name, IMPORT_INSTANCE);
        if (process_name && strcmp(process_name, same) != 0) /* a comment says that they are others */
                ini_section_take(program->section, "process_name")->used = false;
        for (int i = 0; i < program->n_processes; i++) {
                g_autofree char *instance = program_number(program, program->first_process + i);

                g_ptr_array_add(program->role_names, g_strdup_printf("%s-%s", name, instance));
        }
}

/* Others need the names for their order before they are written. */
static void program_name_roles(const Supervisord *s, const Program *program) {
        g_autoptr(GHashTable) names = program_names(s, program);

        if (program->is_template) {
                program_name_instances(s, program, names);
                return;
        }
        for (int i = 0; i < program->n_processes; i++) {
                g_autofree char *number = g_strdup_printf("%d", program->first_process + i), *name = NULL;

                names_set(names, "process_num", number);
                name = take(s, program->section, "process_name", names);
                char *role_name = role_name_suggest(name ?: program->name);

                g_ptr_array_add(program->process_names, g_strdup(name ?: program->name));
                if (role_name)
                        g_ptr_array_add(program->role_names, role_name);
        }
}

/* -- the files -- */

static void include_read(const Supervisord *s, const char *main_file, const IniSection *section) {
        g_autofree char *files = take(s, section, "files", s->names),
                        *directory = g_path_get_dirname(main_file);
        const ImportPlace place = place_of(section, "files");
        g_auto(GStrv) patterns = g_strsplit_set(files ?: "", " \t\n", -1);

        for (char **p = patterns; *p; p++) {
                g_autofree char *pattern =
                        g_path_is_absolute(*p) ? g_strdup(*p) : g_build_filename(directory, *p, NULL);
                glob_t found = {};

                if (!(*p)[0])
                        continue;
                int r = glob(pattern, 0, NULL, &found);
                if (r == GLOB_NOMATCH && !strpbrk(*p, "*?["))
                        import_error(s->import, place, "%s: it does not exist", pattern);
                else if (r == GLOB_NOMATCH)
                        import_comment(s->import->notes, place, "files", *p, "no file matches");
                else if (r != 0)
                        import_error(s->import, place, "%s: it cannot be read", pattern);
                for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                        ini_sections_read(s->import, s->sections, place, found.gl_pathv[i], true);
                globfree(&found);
        }
        ini_section_comment(section, s->import->notes, "it is no key of an include", NULL);
}

static void service_read(Supervisord *s) {
        IniSection *section = ini_sections_find(s->sections, "supervisord");

        if (section)
                s->environment = take_environment(s, section, s->names);
}

static void sections_read(Supervisord *s) {
        for (unsigned i = 0; i < s->sections->len; i++) {
                IniSection *section = g_ptr_array_index(s->sections, i);

                if (g_str_has_prefix(section->name, "program:"))
                        program_read(s, section);
        }
        for (unsigned i = 0; i < s->sections->len; i++) {
                IniSection *section = g_ptr_array_index(s->sections, i);

                if (g_str_has_prefix(section->name, "group:"))
                        group_read(s, section);
                else if (!g_str_has_prefix(section->name, "program:") &&
                         strcmp(section->name, "supervisord") != 0 && strcmp(section->name, "include") != 0)
                        comment_section(s->import, section);
        }
}

static void programs_write(Supervisord *s) {
        const IniSection *service = ini_sections_find(s->sections, "supervisord");

        /* The order of the file remains among those of the same priority. */
        g_ptr_array_sort(s->programs, compare_programs);
        for (unsigned i = 0; i < s->programs->len; i++)
                program_name_roles(s, g_ptr_array_index(s->programs, i));
        for (unsigned i = 0; i < s->programs->len; i++)
                program_write(s, i);
        if (service)
                ini_section_comment(service, s->import->notes, NULL, service_reason);
}

static void supervisord_read(Import *import, const char *file) {
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GPtrArray) sections = ini_sections_new(),
                             programs = g_ptr_array_new_with_free_func(program_free);
        g_auto(GStrv) environment = g_get_environ();
        const IniSection *include = NULL;
        Supervisord s = { .import = import, .sections = sections, .programs = programs, .names = names };

        names_set(names, "host_node_name", IMPORT_HOST);
        names_set_environment(names, environment);
        names_set_environment(names, import->environment);
        ini_sections_read(import, sections, (ImportPlace){}, file, true);
        include = ini_sections_find(sections, "include");
        if (include)
                include_read(&s, file, include);
        service_read(&s);
        sections_read(&s);
        programs_write(&s);
        g_strfreev(s.environment);
}

void import_supervisord(Import *import, char *const *files) {
        for (; *files; files++)
                supervisord_read(import, *files);
}
