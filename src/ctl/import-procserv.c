/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* procServ: each command line becomes a role with a terminal. The lines are in a shell script, in a unit of
 * systemd, or come from procServUtils, whose procs.conf has a section for each. docs/roles.md has the table
 * of what an option means. */

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/utf8.h"
#include "ctl/import-ini.h"
#include "ctl/import-units.h"
#include "ctl/words.h"
#include "model/words.h"

#define HOLDOFF_DEFAULT "15"

/* A command line. The strings are in the words of it, and those of a role file. */
typedef struct ProcServ {
        ImportPlace place;
        const char *name, *directory, *program, *log_file, *holdoff, *ignored, *kill_signal, *grace,
                *core_size;
        bool waits, restarts, has_endpoint, log_stamps;
        char **command;      /* not owned */
        GPtrArray *comments; /* lines for the role */
} ProcServ;

/* -- the options -- */

enum {
        PS_ALLOW = 0x100,
        PS_TOGGLE,
        PS_CORE_SIZE,
        PS_HOLDOFF,
        PS_KILL_SIGNAL,
        PS_LOG_STAMP,
        PS_NO_RESTART,
        PS_RESTRICT,
        PS_TIME_FORMAT
};

static const struct option ps_options[] = {
        { "allow", no_argument, NULL, PS_ALLOW },
        { "autorestartcmd", required_argument, NULL, PS_TOGGLE },
        { "coresize", required_argument, NULL, PS_CORE_SIZE },
        { "chdir", required_argument, NULL, 'c' },
        { "debug", no_argument, NULL, 'd' },
        { "exec", required_argument, NULL, 'e' },
        { "foreground", no_argument, NULL, 'f' },
        { "grace-period", required_argument, NULL, 'G' },
        { "holdoff", required_argument, NULL, PS_HOLDOFF },
        { "ignore", required_argument, NULL, 'i' },
        { "info-file", required_argument, NULL, 'I' },
        { "killcmd", required_argument, NULL, 'k' },
        { "killsig", required_argument, NULL, PS_KILL_SIGNAL },
        { "logport", required_argument, NULL, 'l' },
        { "logfile", required_argument, NULL, 'L' },
        { "logstamp", optional_argument, NULL, PS_LOG_STAMP },
        { "name", required_argument, NULL, 'n' },
        { "noautorestart", no_argument, NULL, PS_NO_RESTART },
        { "oneshot", no_argument, NULL, 'o' },
        { "pidfile", required_argument, NULL, 'p' },
        { "port", required_argument, NULL, 'P' },
        { "quiet", no_argument, NULL, 'q' },
        { "restrict", no_argument, NULL, PS_RESTRICT },
        { "timefmt", required_argument, NULL, PS_TIME_FORMAT },
        { "wait", no_argument, NULL, 'w' },
        { "logoutcmd", required_argument, NULL, 'x' },
        { 0 },
};

static const struct {
        int option;
        const char *name, *reason;
} option_reasons[] = {
        { PS_ALLOW, "--allow", "the bus is not on the network; polkit decides who may attach" },
        { PS_RESTRICT, "--restrict", "the bus is not on the network; polkit decides who may attach" },
        { PS_TOGGLE, "--autorestartcmd", "architectctl stop ends the restarts, and start begins them" },
        { PS_TIME_FORMAT, "--timefmt", "the times are in UTC, as of ISO 8601" },
        { 'd', "--debug", "the service runs it" },
        { 'f', "--foreground", "the service runs it" },
        { 'q', "--quiet", "the service runs it" },
        { 'I', "--info-file", "architectctl show tells it" },
        { 'p', "--pidfile", "the property MainPID tells it" },
        { 'k', "--killcmd", "architectctl signal, which a restart follows" },
        { 'l', "--logport", "architectctl logs -f shows it without typing" },
        { 'o', "--oneshot", "there is no server that could exit" },
        { 'P', "--port", "architectctl attach takes its place; a port is open to all users of the machine" },
        { 'x', "--logoutcmd", "Ctrl-] leaves architectctl attach" },
};

static void ps_comment(ProcServ *ps, int option, const char *value) {
        for (size_t i = 0; i < ELEMENTSOF(option_reasons); i++)
                if (option_reasons[i].option == option)
                        import_comment(ps->comments, ps->place, option_reasons[i].name, value,
                                option_reasons[i].reason);
}

static void ps_take_option(ProcServ *ps, int option, const char *value) {
        const struct {
                int option;
                const char **member;
        } members[] = {
                { 'n', &ps->name },
                { 'c', &ps->directory },
                { 'e', &ps->program },
                { 'L', &ps->log_file },
                { PS_HOLDOFF, &ps->holdoff },
                { 'i', &ps->ignored },
                { PS_KILL_SIGNAL, &ps->kill_signal },
                { 'G', &ps->grace },
                { PS_CORE_SIZE, &ps->core_size },
        };

        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                if (members[i].option == option)
                        *members[i].member = value;
        if (option == 'w')
                ps->waits = true;
        if (option == 'o' || option == PS_NO_RESTART)
                ps->restarts = false;
        if (option == PS_LOG_STAMP)
                ps->log_stamps = true;
        if (option == 'P')
                ps->has_endpoint = true;
        ps_comment(ps, option, value);
}

/* Reads the words, of which the first one is procServ. */
static bool ps_parse(Import *import, ProcServ *ps, char **words) {
        const int n = (int) g_strv_length(words);
        int c;

        ps->restarts = true;
        opterr = 0;
        optind = 0; /* from the beginning, in a list of its own */
        while ((c = getopt_long(n, words, "+:c:de:fG:i:I:k:l:L:n:op:P:qwx:", ps_options, NULL)) >= 0) {
                if (c == '?' || c == ':') {
                        import_error(import, ps->place,
                                c == ':' ? "%s needs a value" : "procServ has no option %s",
                                words[optind - 1]);
                        return false;
                }
                ps_take_option(ps, c, optarg);
        }
        if (!ps->has_endpoint && words[optind])
                ps_comment(ps, 'P', words[optind++]);
        ps->command = words + optind;
        if (!words[optind]) {
                import_error(import, ps->place, "procServ has no command");
                return false;
        }
        return true;
}

/* -- the role -- */

/* "^C^D": what the terminal does with these keys is undone. */
static char *ps_stty(ProcServ *ps) {
        static const struct {
                char letter;
                const char *setting;
        } keys[] = { { 'C', "intr" }, { 'D', "eof" }, { 'Z', "susp" }, { '\\', "quit" }, { 'S', "stop" },
                { 'Q', "start" } };
        g_autoptr(GString) script = g_string_new(NULL);

        for (const char *s = ps->ignored; s && *s; s++) {
                const char letter = *s == '^' && s[1] ? *++s : '\0';
                g_autofree char *key = letter ? g_strdup_printf("^%c", letter) : g_strndup(s, 1);
                bool known = false;

                for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                        if (letter == keys[i].letter) {
                                g_string_append_printf(script, " %s undef", keys[i].setting);
                                known = true;
                        }
                if (!known)
                        import_comment(ps->comments, ps->place, "--ignore", key,
                                strcmp(key, "^]") == 0
                                        ? "it leaves architectctl attach, which --escape= changes"
                                        : "the terminal gives it to the role");
        }
        return script->len > 0 ? g_strconcat("stty", script->str, NULL) : NULL;
}

static void ps_set_command(ProcServ *ps, ImportRole *role) {
        g_autofree const char **words =
                g_memdup2(ps->command, (g_strv_length(ps->command) + 1) * sizeof(char *));
        g_autofree char *command = NULL, *stty = ps_stty(ps);

        if (ps->program) {
                import_comment(ps->comments, ps->place, "--exec", ps->program, "argv[0] is the program, too");
                words[0] = ps->program;
        }
        command = words_command(words);
        if (stty) {
                g_autofree char *wrapped = import_wrap(stty, command);

                import_set(role, "Command", wrapped);
        } else
                import_set(role, "Command", command);
}

static void ps_set_kill_signal(const ProcServ *ps, ImportRole *role) {
        int32_t number = 0;
        const char *name = NULL;

        if (parse_i32(ps->kill_signal, &number) >= 0)
                name = sigabbrev_np(ABS(number));
        import_setf(role, "KillSignal", "%s%s", name ? "SIG" : "", name ?: ps->kill_signal);
}

static void ps_write(ProcServ *ps, ImportRole *role) {
        if (ps->name)
                import_set(role, "Description", ps->name);
        ps_set_command(ps, role);
        if (ps->directory)
                import_set(role, "WorkingDirectory", ps->directory);
        import_set(role, "StandardInput", "pty");
        if (ps->log_file && strcmp(ps->log_file, "-") != 0) {
                import_setf(role, "StandardOutput", "append:%s", ps->log_file);
                if (ps->log_stamps)
                        import_set(role, "OutputTimestamps", "yes");
        } else if (ps->log_stamps)
                import_comment(
                        ps->comments, ps->place, "--logstamp", NULL, "the journal has the time of each line");
        import_set(role, "Restart", ps->restarts ? "always" : "no");
        if (ps->restarts) {
                import_setf(role, "RestartSec", "%ss", ps->holdoff ?: HOLDOFF_DEFAULT);
                g_ptr_array_add(role->lines, g_strdup("# procServ never gives up."));
                import_set(role, "StartLimitBurst", "0");
        }
        if (ps->kill_signal)
                ps_set_kill_signal(ps, role);
        if (ps->grace)
                import_setf(role, "TimeoutStopSec", "%ss", ps->grace);
        if (ps->core_size)
                import_set(role, "LimitCORE", ps->core_size);
        for (unsigned i = 0; i < ps->comments->len; i++)
                g_ptr_array_add(role->lines, g_strdup(g_ptr_array_index(ps->comments, i)));
}

static bool is_procserv(const char *word) {
        g_autofree char *base = g_path_get_basename(word);

        return strcmp(base, "procServ") == 0;
}

/* -- in a unit -- */

static bool unit_take(Import *import, ImportRole *role, ImportPlace place, char **words) {
        g_autoptr(GPtrArray) comments = g_ptr_array_new_with_free_func(g_free);
        ProcServ ps = { .place = place, .comments = comments };

        if (!words[0] || !is_procserv(words[0]))
                return false;
        if (ps_parse(import, &ps, words))
                ps_write(&ps, role);
        return true;
}

/* -- in a script -- */

/* The words before procServ: exec, sudo -u USER, NAME=VALUE. */
static char **line_take_prefix(ProcServ *ps, char **words, GPtrArray *keys) {
        for (; *words && !is_procserv(*words); words++) {
                if (strcmp(*words, "exec") == 0 || strcmp(*words, "nohup") == 0 || strcmp(*words, "env") == 0)
                        continue;
                if ((strcmp(*words, "sudo") == 0 || strcmp(*words, "runuser") == 0) && words[1] &&
                        strcmp(words[1], "-u") == 0 && words[2]) {
                        g_ptr_array_add(keys, g_strdup_printf("User=%s", words[2]));
                        words += 2;
                } else if (strchr(*words, '=') && (*words)[0] != '=' && (*words)[0] != '-') {
                        g_auto(GStrv) pair = g_strsplit(*words, "=", 2);
                        g_autofree char *word = import_environment_word(pair[0], pair[1]);

                        g_ptr_array_add(keys, g_strdup_printf("Environment=%s", word));
                } else if (strcmp(*words, "--") != 0)
                        import_comment(ps->comments, ps->place, *words, NULL, "it has no counterpart");
        }
        return words;
}

static void line_add_role(Import *import, ProcServ *ps, GPtrArray *keys) {
        g_autofree char *base = g_path_get_basename(ps->command[0]), *what = NULL;
        const char *name = ps->name ?: base;

        what = g_strdup_printf("procServ %s", name);
        ImportRole *role = import_add_role(import, name, false, ps->place, what);
        if (!role)
                return;
        ps_write(ps, role);
        for (unsigned i = 0; i < keys->len; i++)
                g_ptr_array_add(role->lines, g_strdup(g_ptr_array_index(keys, i)));
        if (!ps->waits)
                import_set(role, "AutoStart", "yes");
}

static void line_read(Import *import, ImportPlace place, const char *line) {
        g_autoptr(GPtrArray) comments = g_ptr_array_new_with_free_func(g_free),
                             keys = g_ptr_array_new_with_free_func(g_free);
        ProcServ ps = { .place = place, .comments = comments };
        g_autofree char *escaped = import_escape(line);
        g_auto(GStrv) words = NULL;
        g_auto(Fault) fault = {};
        char **first;

        if (!strstr(line, "procServ")) {
                import_comment(import->notes, place, line, NULL, "it starts no procServ");
                return;
        }
        if (words_split(escaped, WORDS_SHELL, &words, &fault) < 0) {
                import_error(import, place, "%s", fault.message);
                return;
        }
        const unsigned n = g_strv_length(words);
        if (n > 0 && strcmp(words[n - 1], "&") == 0)
                g_clear_pointer(&words[n - 1], g_free);
        first = line_take_prefix(&ps, words, keys);
        if (!*first) {
                import_comment(import->notes, place, line, NULL, "it starts no procServ");
                return;
        }
        if (strchr(line, '$'))
                import_error(import, place,
                        "a shell would replace what begins with $ here; write the value in its place");
        if (ps_parse(import, &ps, first))
                line_add_role(import, &ps, keys);
}

/* A line that ends with a backslash goes on in the next one. */
static void script_read(Import *import, const char *file, char *text) {
        g_autoptr(GString) joined = g_string_new(NULL);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        ImportPlace place = { file, 0 };

        for (unsigned i = 0; lines[i]; i++) {
                char *line = g_strstrip(lines[i]);

                if (joined->len == 0)
                        place.line = i + 1;
                if (!utf8_is_valid(line)) {
                        import_error(import, (ImportPlace){ file, i + 1 },
                                "the line is not UTF-8, or has characters that D-Bus does not permit");
                        return;
                }
                if (joined->len == 0 && (line[0] == '#' || line[0] == '\0'))
                        continue;
                g_string_append(joined, line);
                if (g_str_has_suffix(line, "\\") && lines[i + 1]) {
                        joined->str[joined->len - 1] = ' ';
                        continue;
                }
                line_read(import, place, joined->str);
                g_string_truncate(joined, 0);
        }
}

/* -- of procServUtils -- */

static const char *utils_reason(const char *key) {
        if (strcmp(key, "port") == 0)
                return "architectctl attach takes its place; a port is open to all users of the machine";
        if (strcmp(key, "host") == 0)
                return "install the file on this host alone";
        return "it has no counterpart";
}

/* A value of the section or of [DEFAULT], with what it refers to; or the default of procServUtils. */
static char *utils_take(Import *import, const GPtrArray *sections, const IniSection *section, const char *key,
        const char *without) {
        const IniSection *defaults = ini_sections_find(sections, "DEFAULT");
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        const IniSection *const both[] = { defaults, section };
        IniValue *value = ini_section_take(section, key) ?: ini_section_take(defaults, key);

        for (size_t i = 0; i < ELEMENTSOF(both); i++)
                for (unsigned k = 0; both[i] && k < both[i]->values->len; k++) {
                        const IniValue *other = g_ptr_array_index(both[i]->values, k);

                        g_hash_table_replace(names, other->key, other->text);
                }
        g_autofree char *text = value ? ini_expand(import, value, names) : g_strdup(without);
        return text && text[0] ? import_escape(text) : NULL;
}

static void utils_write(Import *import, const GPtrArray *sections, const IniSection *section) {
        static const struct {
                const char *key, *file_key;
        } keys[] = { { "user", "User" }, { "group", "Group" }, { "environment", "Environment" },
                { "env_file", "EnvironmentFile" } };
        g_autofree char *command = utils_take(import, sections, section, "command", NULL),
                        *directory = utils_take(import, sections, section, "chdir", "/"),
                        *what = g_strdup_printf("[%s]", section->name);
        g_autoptr(GPtrArray) comments = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) words = NULL;
        g_auto(Fault) fault = {};

        if (!command) {
                import_error(import, section->place, "[%s] has no command=", section->name);
                return;
        }
        if (words_split(command, WORDS_SHELL, &words, &fault) < 0 || !words[0]) {
                import_error(import, section->place, "[%s]: command=: %s", section->name,
                        fault.message ?: "it is empty");
                return;
        }
        ImportRole *role = import_add_role(import, section->name, false, section->place, what);
        if (!role)
                return;
        /* What its launcher gives to procServ. */
        ProcServ ps = {
                .place = section->place,
                .directory = directory,
                .ignored = "^D^C", /* and ^], which has no meaning here */
                .restarts = true,
                .command = words,
                .comments = comments,
        };
        ps_write(&ps, role);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                g_autofree char *value = utils_take(import, sections, section, keys[i].key,
                        strcmp(keys[i].key, "user") == 0 && !import->ctl->user ? "nobody" : NULL);

                if (value)
                        import_set(role, keys[i].file_key, value);
        }
        import_setf(role, "Environment", "PROCSERV_NAME=%s IOCNAME=%s", section->name, section->name);
        import_set(role, "AutoStart", "yes");
        ini_section_comment(section, role->lines, NULL, utils_reason);
}

static void utils_read(Import *import, const char *file) {
        g_autoptr(GPtrArray) sections = ini_sections_new();
        const IniSection *defaults = NULL;

        ini_sections_read(import, sections, (ImportPlace){}, file, false);
        for (unsigned i = 0; i < sections->len; i++) {
                const IniSection *section = g_ptr_array_index(sections, i);
                g_autofree char *instance = NULL;
                bool is_instance = true;

                if (strcmp(section->name, "DEFAULT") == 0)
                        continue;
                instance = utils_take(import, sections, section, "instance", "yes");
                if (instance && parse_boolean(instance, &is_instance) >= 0 && !is_instance)
                        ini_section_comment(section, import->notes, "the section has instance=no", NULL);
                else
                        utils_write(import, sections, section);
        }
        defaults = ini_sections_find(sections, "DEFAULT");
        if (defaults)
                ini_section_comment(
                        defaults, import->notes, "its value stands where it is referred to", NULL);
}

/* -- the files -- */

/* Whether the first line that is no comment is a section header. */
static bool has_sections(const char *text) {
        for (;;) {
                text += strspn(text, " \t\r\n");
                if (*text != '#' && *text != ';')
                        return *text == '[';
                text += strcspn(text, "\n");
        }
}

static void procserv_read(Import *import, char *file) {
        g_autofree char *text = NULL;
        size_t size = 0;

        if (g_str_has_suffix(file, ".service")) {
                import_units(import, (char *[]){ file, NULL }, unit_take);
                return;
        }
        if (!import_read_file(import, (ImportPlace){}, file, &text, &size))
                return;
        if (has_sections(text))
                utils_read(import, file);
        else if (strlen(text) != size)
                import_error(import, (ImportPlace){ file, 0 }, "it has a NUL byte, so it is not text");
        else
                script_read(import, g_intern_string(file), text);
}

void import_procserv(Import *import, char *const *files) {
        for (; *files; files++)
                procserv_read(import, *files);
}
