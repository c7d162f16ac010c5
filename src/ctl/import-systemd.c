/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units: each x.service becomes a role. What a role file has under the name of systemd is copied;
 * docs/roles.md has the table of everything else. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unit-name.h"
#include "ctl/import-units.h"
#include "ctl/words.h"
#include "model/role-options.h"
#include "model/words.h"
#include "util/config-files.h"
#include "util/unit-file.h"

#define SERVICE_SUFFIX ".service"

typedef struct UnitLine {
        char *section, *key, *value;
        ImportPlace place;
} UnitLine;

typedef struct Unit {
        char *name;     /* "x@a.service" */
        char *prefix;   /* "x" */
        char *instance; /* "a", NULL if it has none */
        bool is_template;
        GPtrArray *lines; /* of UnitLine */
        ImportRole *role; /* NULL if it could not be made */

        /* What was seen in the lines. */
        GPtrArray *commands; /* of ExecStart=, in the language of the shell; the last one as a command, too */
        char *command;
        char *umask;
        bool has_stdin, has_stop_timeout, is_oneshot, remains, starts, has_instances;
        bool taken; /* by the ImportUnitCommand */
} Unit;

typedef struct Units {
        Import *import;
        ImportUnitCommand take;
        GPtrArray *units; /* of Unit */
} Units;

static void unit_line_free(void *p) {
        UnitLine *line = p;

        g_free(line->section);
        g_free(line->key);
        g_free(line->value);
        g_free(line);
}

static void unit_free(void *p) {
        Unit *unit = p;

        g_free(unit->name);
        g_free(unit->prefix);
        g_free(unit->instance);
        g_ptr_array_unref(unit->lines);
        g_ptr_array_unref(unit->commands);
        g_free(unit->command);
        g_free(unit->umask);
        g_free(unit);
}

/* -- specifiers -- */

static char *specifier_value(const Units *units, const Unit *unit, char specifier) {
        const bool user = units->import->ctl->user;

        switch (specifier) {
        case 'i':
        case 'I':
                return unit->is_template ? g_strdup(IMPORT_INSTANCE) : g_strdup(unit->instance ?: "");
        case 'H':
                return g_strdup(IMPORT_HOST);
        case 'n':
                return unit->is_template ? g_strdup_printf("%s@" IMPORT_INSTANCE SERVICE_SUFFIX, unit->prefix)
                                         : g_strdup(unit->name);
        case 'N':
                return unit->is_template ? g_strdup_printf("%s@" IMPORT_INSTANCE, unit->prefix)
                                         : g_strndup(unit->name, strlen(unit->name) - strlen(SERVICE_SUFFIX));
        case 'p':
        case 'P':
                return g_strdup(unit->prefix);
        case 'h':
                return g_strdup(user ? g_get_home_dir() : "/root");
        case 'u':
                return g_strdup(user ? g_get_user_name() : "root");
        case 'U':
                return user ? g_strdup_printf("%u", (unsigned) getuid()) : g_strdup("0");
        case 't':
                return g_strdup(user ? g_get_user_runtime_dir() : "/run");
        case 'E':
                return g_strdup(user ? g_get_user_config_dir() : "/etc");
        case 'C':
                return g_strdup(user ? g_get_user_cache_dir() : "/var/cache");
        case 'S':
                return user ? NULL : g_strdup("/var/lib");
        case 'L':
                return user ? NULL : g_strdup("/var/log");
        case 'T':
                return g_strdup("/tmp");
        case 'V':
                return g_strdup("/var/tmp");
        case '%':
                return g_strdup("%");
        default:
                return NULL;
        }
}

/* Returns the value as a role file has it, or NULL and the specifier that has no counterpart. A % that begins
 * none is itself for systemd. */
static char *unit_expand(const Units *units, const Unit *unit, const char *value, char *ret_specifier) {
        g_autoptr(GString) s = g_string_new(NULL);

        for (; *value; value++) {
                g_autofree char *with = NULL;

                if (*value != '%' || !g_ascii_isalpha(value[1] == '%' ? 'x' : value[1])) {
                        g_string_append_c(s, *value);
                        continue;
                }
                value++;
                with = specifier_value(units, unit, *value);
                if (!with) {
                        *ret_specifier = *value;
                        return NULL;
                }
                g_string_append(s, with);
        }
        return import_escape(s->str);
}

static void unit_comment(const Unit *unit, const UnitLine *line, const char *reason) {
        import_comment(unit->role->lines, line->place, line->key, line->value, reason);
}

/* The same with a comment if there is none. */
static char *line_expand(const Units *units, const Unit *unit, const UnitLine *line) {
        char specifier = '\0';
        char *value = unit_expand(units, unit, line->value, &specifier);

        if (!value) {
                g_autofree char *reason = g_strdup_printf("%%%c has no counterpart", specifier);

                unit_comment(unit, line, reason);
        }
        return value;
}

/* -- commands -- */

typedef struct UnitCommand {
        char **words;
        bool ignores_failure, is_plain; /* without expansion of variables */
} UnitCommand;

static void unit_command_clear(void *p) {
        UnitCommand *command = p;

        g_strfreev(command->words);
}

static bool is_variable_word(const char *word) {
        return word[0] == '$' && (g_ascii_isalpha(word[1]) || word[1] == '_');
}

static bool command_has_variables(const UnitCommand *command) {
        for (char **w = command->words; !command->is_plain && *w; w++)
                if (is_variable_word(*w) || strstr(*w, "${"))
                        return true;
        return false;
}

/* A word within double quotes of the shell; "$$" is a dollar sign, and "${X}" a variable. */
static void append_shell_word(GString *s, const char *word, bool is_plain) {
        if (!is_plain && is_variable_word(word)) {
                g_string_append(s, word);
                return;
        }
        g_string_append_c(s, '"');
        for (; *word; word++) {
                const bool variable = !is_plain && word[0] == '$' && word[1] == '{';

                if (!is_plain && word[0] == '$' && word[1] == '$')
                        word++;
                if (strchr("\"\\`$", *word) && !variable)
                        g_string_append_c(s, '\\');
                g_string_append_c(s, *word);
        }
        g_string_append_c(s, '"');
}

static char *command_to_shell(const UnitCommand *command) {
        GString *s = g_string_new(NULL);

        for (char **w = command->words; *w; w++) {
                if (s->len > 0)
                        g_string_append_c(s, ' ');
                append_shell_word(s, *w, command->is_plain);
        }
        return g_string_free(s, FALSE);
}

/* "$$" without a variable beside it needs no shell. */
static char *command_to_words(const UnitCommand *command) {
        g_auto(GStrv) words = g_strdupv(command->words);

        for (char **w = words; !command->is_plain && *w; w++) {
                GString *word = g_string_new(*w);

                g_string_replace(word, "$$", "$", 0);
                g_free(*w);
                *w = g_string_free(word, FALSE);
        }
        return words_command((const char *const *) words);
}

static char *shell_to_command(const char *script) {
        g_autofree char *all = g_strconcat("set -f; ", script, NULL), *quoted = g_shell_quote(all);

        return g_strconcat("sh -c ", quoted, NULL);
}

static char *command_to_role(const UnitCommand *command) {
        if (!command_has_variables(command))
                return command_to_words(command);
        g_autofree char *shell = command_to_shell(command), *script = g_strconcat("exec ", shell, NULL);
        return shell_to_command(script);
}

/* Takes the prefixes from the first word. */
static void command_take_prefixes(const Unit *unit, const UnitLine *line, UnitCommand *command) {
        const size_t n = strspn(command->words[0], "-@:+!|");

        for (size_t i = 0; i < n; i++)
                switch (command->words[0][i]) {
                case '-':
                        command->ignores_failure = true;
                        break;
                case ':':
                        command->is_plain = true;
                        break;
                case '@':
                        unit_comment(unit, line, "the prefix @ has no counterpart; argv[0] is the program");
                        if (command->words[1]) {
                                g_free(command->words[1]);
                                memmove(command->words + 1, command->words + 2,
                                        g_strv_length(command->words + 1) * sizeof(char *));
                        }
                        break;
                default:
                        unit_comment(
                                unit, line, "the prefix has no counterpart; it runs as the user of the role");
                }
        memmove(command->words[0], command->words[0] + n, strlen(command->words[0] + n) + 1);
}

/* Splits a line into its commands, which a ";" separates. Comments on what is wrong. */
static GArray *line_commands(const Units *units, const Unit *unit, const UnitLine *line) {
        GArray *commands = g_array_new(false, false, sizeof(UnitCommand));
        g_autofree char *value = line_expand(units, unit, line);
        g_auto(GStrv) words = NULL;
        g_auto(Fault) fault = {};

        g_array_set_clear_func(commands, unit_command_clear);
        if (!value)
                return commands;
        if (words_split(value, WORDS_UNIT, &words, &fault) < 0) {
                unit_comment(unit, line, fault.message);
                return commands;
        }
        for (char **first = words; *first;) {
                g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
                UnitCommand command = {};
                char **w;

                for (w = first; *w && strcmp(*w, ";") != 0; w++)
                        g_strv_builder_add(builder, strcmp(*w, "\\;") == 0 ? ";" : *w);
                command.words = g_strv_builder_end(builder);
                first = *w ? w + 1 : w;
                if (command.words[0]) {
                        command_take_prefixes(unit, line, &command);
                        g_array_append_val(commands, command);
                } else
                        g_strfreev(command.words);
        }
        return commands;
}

/* ExecStart=. Several commands, of a oneshot, become one of the shell. */
static void unit_add_start(const Units *units, Unit *unit, const UnitLine *line) {
        g_autoptr(GArray) commands = line_commands(units, unit, line);

        if (!line->value[0]) {
                g_ptr_array_set_size(unit->commands, 0);
                g_clear_pointer(&unit->command, g_free);
        } else if (commands->len == 0)
                import_error(units->import, line->place, "the command cannot be imported: %s", line->value);
        for (unsigned i = 0; i < commands->len; i++) {
                const UnitCommand *command = &g_array_index(commands, UnitCommand, i);
                g_autofree char *shell = command_to_shell(command);

                if (units->take && units->take(units->import, unit->role, line->place, command->words)) {
                        unit->taken = true;
                        continue;
                }
                if (command->ignores_failure)
                        unit_comment(unit, line,
                                "the prefix - has no counterpart; SuccessExitStatus= has statuses");
                g_ptr_array_add(unit->commands, g_steal_pointer(&shell));
                g_free(unit->command);
                unit->command = command_to_role(command);
        }
}

static void unit_set_start(Unit *unit) {
        g_autofree char *script = NULL, *wrapped = NULL;

        if (unit->commands->len == 0)
                return;
        if (unit->commands->len > 1) {
                g_ptr_array_add(unit->commands, NULL);
                script = g_strjoinv(" && ", (char **) unit->commands->pdata);
                g_free(unit->command);
                unit->command = shell_to_command(script);
        }
        if (unit->umask) {
                g_autofree char *set = g_strconcat("umask ", unit->umask, NULL);

                wrapped = import_wrap(set, unit->command);
        }
        import_set(unit->role, "Command", wrapped ?: unit->command);
}

/* ExecStop= and its like. */
static void unit_add_hook(const Units *units, Unit *unit, const UnitLine *line) {
        g_autoptr(GArray) commands = line_commands(units, unit, line);

        if (!line->value[0])
                import_set(unit->role, line->key, "");
        for (unsigned i = 0; i < commands->len; i++) {
                const UnitCommand *command = &g_array_index(commands, UnitCommand, i);
                g_autofree char *text = command_to_role(command);

                import_setf(unit->role, line->key, "%s%s", command->ignores_failure ? "-" : "", text);
        }
}

/* -- keys with another value -- */

static void unit_set_type(const Units *units, Unit *unit, const UnitLine *line) {
        if (strcmp(line->value, "oneshot") == 0 || strcmp(line->value, "notify") == 0)
                import_set(unit->role, "Type", line->value);
        else if (strcmp(line->value, "simple") == 0 || strcmp(line->value, "exec") == 0 || !line->value[0])
                import_set(unit->role, "Type", "exec");
        else if (strcmp(line->value, "forking") == 0)
                unit_comment(unit, line, "run the program in the foreground, or set ExitType=cgroup");
        else
                unit_comment(unit, line, "a role has exec, the default, notify and oneshot");
}

static void unit_set_remain(const Units *units, Unit *unit, const UnitLine *line) {
        bool yes = strchr("1yYtT", line->value[0]) || g_ascii_strcasecmp(line->value, "on") == 0;

        unit->remains = line->value[0] && yes;
        if (!unit->is_oneshot)
                unit_comment(unit, line, "a oneshot stays ready until it is stopped, and no other role");
}

static void unit_set_kill_mode(const Units *units, Unit *unit, const UnitLine *line) {
        if (strcmp(line->value, "control-group") == 0)
                import_set(unit->role, "StopTo", "all");
        else if (strcmp(line->value, "mixed") == 0)
                import_set(unit->role, "StopTo", "main");
        else
                unit_comment(unit, line, "nothing is left running; StopTo= is all or main");
}

static void unit_set_stdin(const Units *units, Unit *unit, const UnitLine *line) {
        if (strcmp(line->value, "null") != 0) {
                unit_comment(unit, line, "a role has null, pipe and pty");
                return;
        }
        unit->has_stdin = true;
        import_set(unit->role, "StandardInput", "null");
}

static void unit_set_output(const Units *units, Unit *unit, const UnitLine *line) {
        g_autofree char *value = line_expand(units, unit, line);

        if (!value)
                return;
        if (g_str_has_prefix(value, "truncate:"))
                import_setf(unit->role, "StandardOutput", "file:%s", value + strlen("truncate:"));
        else if (strcmp(value, "inherit") == 0 || strcmp(value, "journal+console") == 0)
                import_set(unit->role, "StandardOutput", "journal");
        else
                import_set(unit->role, "StandardOutput", value);
}

static void unit_set_error(const Units *units, Unit *unit, const UnitLine *line) {
        if (strcmp(line->value, "inherit") != 0)
                unit_comment(unit, line, "it goes where the output goes");
}

static void unit_set_timeout(const Units *units, Unit *unit, const UnitLine *line) {
        unit->has_stop_timeout = true;
        import_set(unit->role, "TimeoutStartSec", line->value);
        import_set(unit->role, "TimeoutStopSec", line->value);
}

static void unit_set_stop_timeout(const Units *units, Unit *unit, const UnitLine *line) {
        unit->has_stop_timeout = true;
        import_set(unit->role, "TimeoutStopSec", line->value);
}

static void unit_set_limit_interval(const Units *units, Unit *unit, const UnitLine *line) {
        import_set(unit->role, "StartLimitIntervalSec", line->value);
}

static void unit_set_umask(const Units *units, Unit *unit, const UnitLine *line) {
        if (!line->value[0] || line->value[strspn(line->value, "01234567")]) {
                unit_comment(unit, line, "it is no octal number");
                return;
        }
        g_free(unit->umask);
        unit->umask = g_strdup(line->value);
}

static void unit_set_description(const Units *units, Unit *unit, const UnitLine *line) {
        g_autofree char *value = line_expand(units, unit, line);

        if (value)
                import_set(unit->role, "Description", value);
}

static void unit_set_auto_start(const Units *units, Unit *unit, const UnitLine *line) {
        if (line->value[0] && !unit->starts) {
                unit->starts = true;
                import_set(unit->role, "AutoStart", "yes");
        }
}

static void unit_set_default_instance(const Units *units, Unit *unit, const UnitLine *line) {
        if (!unit->is_template)
                return;
        unit->has_instances = true;
        import_set(unit->role, "Instances", line->value);
}

/* -- dependencies -- */

static Unit *find_unit(const Units *units, const char *name) {
        for (unsigned i = 0; i < units->units->len; i++) {
                Unit *unit = g_ptr_array_index(units->units, i);

                if (strcmp(unit->name, name) == 0 && !unit->is_template && unit->role)
                        return unit;
        }
        return NULL;
}

/* Between units that are imported. Before= is After= of the other one. */
static void unit_add_dependency(const Units *units, Unit *unit, const UnitLine *line) {
        g_auto(GStrv) names = g_strsplit_set(line->value, " \t", -1);
        g_autoptr(GString) roles = g_string_new(NULL), others = g_string_new(NULL);
        const bool before = strcmp(line->key, "Before") == 0;

        for (char **name = names; *name; name++) {
                Unit *other = find_unit(units, *name);

                if (!(*name)[0])
                        continue;
                if (other && before && !unit->is_template)
                        import_set(other->role, "After", unit->role->name);
                else if (other && !before)
                        g_string_append_printf(roles, "%s%s", roles->len > 0 ? " " : "", other->role->name);
                else
                        g_string_append_printf(others, "%s%s", others->len > 0 ? " " : "", *name);
        }
        if (roles->len > 0 || (!line->value[0] && !before))
                import_set(unit->role, line->key, roles->str);
        if (others->len > 0)
                import_comment(unit->role->lines, line->place, line->key, others->str,
                        "it is no role; what all roles need belongs into a drop-in of architect-node.service");
}

/* -- all keys -- */

static const struct {
        const char *section, *key;
        void (*handle)(const Units *units, Unit *unit, const UnitLine *line);
} key_handlers[] = {
        { "Unit", "Description", unit_set_description },
        { "Unit", "After", unit_add_dependency },
        { "Unit", "Before", unit_add_dependency },
        { "Unit", "Wants", unit_add_dependency },
        { "Unit", "Requires", unit_add_dependency },
        { "Unit", "BindsTo", unit_add_dependency },
        { "Unit", "PartOf", unit_add_dependency },
        { "Unit", "StartLimitInterval", unit_set_limit_interval },
        { "Service", "StartLimitInterval", unit_set_limit_interval },
        { "Service", "ExecStart", unit_add_start },
        { "Service", "ExecStartPre", unit_add_hook },
        { "Service", "ExecStop", unit_add_hook },
        { "Service", "ExecStopPost", unit_add_hook },
        { "Service", "Type", unit_set_type },
        { "Service", "RemainAfterExit", unit_set_remain },
        { "Service", "KillMode", unit_set_kill_mode },
        { "Service", "StandardInput", unit_set_stdin },
        { "Service", "StandardOutput", unit_set_output },
        { "Service", "StandardError", unit_set_error },
        { "Service", "TimeoutSec", unit_set_timeout },
        { "Service", "TimeoutStopSec", unit_set_stop_timeout },
        { "Service", "UMask", unit_set_umask },
        { "Install", "WantedBy", unit_set_auto_start },
        { "Install", "RequiredBy", unit_set_auto_start },
        { "Install", "UpheldBy", unit_set_auto_start },
        { "Install", "DefaultInstance", unit_set_default_instance },
};

static const struct {
        const char *key, *reason;
} key_reasons[] = {
        { "ExecStartPost", "a Type=oneshot role that is after this one" },
        { "ExecReload", "architectctl signal, with the signal of a reload" },
        { "PIDFile", "run the program in the foreground, or set ExitType=cgroup" },
        { "OnFailure", "a client that receives RoleFailed takes its place" },
        { "RuntimeDirectory", "see tmpfiles.d(5)" },
        { "StateDirectory", "see tmpfiles.d(5)" },
        { "LogsDirectory", "see tmpfiles.d(5)" },
        { "CacheDirectory", "see tmpfiles.d(5)" },
        { "SupplementaryGroups", "the groups of User= apply" },
        { "PassEnvironment", "the environment of systemd is not that of roles; use Environment=" },
        { "SyslogIdentifier", "the journal has the name of the role" },
        { "Documentation", "it is for people" },
        { "Alias", "a role has one name" },
        { "Also", "architectctl enable takes several roles" },
};

/* Of the process that starts the role in the end, and not of the role. */
static const char *const keys_of_process[] = { "Type", "Restart", "RestartSec", "RestartSteps",
        "RestartMaxDelaySec", "KillMode", "KillSignal", "TimeoutStopSec", "TimeoutSec", "TimeoutStartSec",
        "StandardInput", "StandardOutput", "StandardError", "PIDFile", "RemainAfterExit", "SuccessExitStatus",
        "RestartPreventExitStatus", "ExecReload", "NotifyAccess", "WatchdogSec", "StartLimitIntervalSec",
        "StartLimitInterval", "StartLimitBurst", NULL };

static const char *key_reason(const char *key) {
        for (size_t i = 0; i < ELEMENTSOF(key_reasons); i++)
                if (strcmp(key_reasons[i].key, key) == 0)
                        return key_reasons[i].reason;
        if (g_str_has_prefix(key, "Protect") || g_str_has_prefix(key, "Private") ||
                g_str_has_prefix(key, "Restrict") || strstr(key, "Capabilit") ||
                g_str_has_prefix(key, "System"))
                return "it has no counterpart; a program that needs it stays in a unit";
        return "it has no counterpart";
}

static void unit_write_line(const Units *units, Unit *unit, const UnitLine *line) {
        const RoleOption *option = role_option_find_file_key(line->key);
        const bool known = strcmp(line->section, "Unit") == 0 || strcmp(line->section, "Service") == 0;

        if (g_str_has_prefix(line->section, "X-") || g_str_has_prefix(line->key, "X-")) {
                unit_comment(unit, line, "it is for other programs");
                return;
        }
        if (unit->taken && g_strv_contains(keys_of_process, line->key)) {
                unit_comment(unit, line, "it is about the program that has started the role until now");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(key_handlers); i++)
                if (strcmp(key_handlers[i].section, line->section) == 0 &&
                        strcmp(key_handlers[i].key, line->key) == 0) {
                        key_handlers[i].handle(units, unit, line);
                        return;
                }
        g_autofree char *value = known && option && option->systemd ? line_expand(units, unit, line) : NULL;
        /* As in CPUQuota=20%, a percent sign at the end is itself. */
        if (value && g_str_has_suffix(value, "%%"))
                value[strlen(value) - 1] = '\0';
        if (value)
                import_set(unit->role, line->key, value);
        else if (!known || !option || !option->systemd)
                unit_comment(unit, line, key_reason(line->key));
}

static void unit_write(const Units *units, Unit *unit) {
        /* The type, and whether the command is taken, decide about the other lines. */
        for (unsigned i = 0; i < unit->lines->len; i++) {
                const UnitLine *line = g_ptr_array_index(unit->lines, i);

                if (strcmp(line->section, "Service") != 0)
                        continue;
                if (strcmp(line->key, "ExecStart") == 0)
                        unit_add_start(units, unit, line);
                if (strcmp(line->key, "Type") == 0)
                        unit->is_oneshot = strcmp(line->value, "oneshot") == 0;
        }
        for (unsigned i = 0; i < unit->lines->len; i++) {
                const UnitLine *line = g_ptr_array_index(unit->lines, i);

                if (strcmp(line->section, "Service") != 0 || strcmp(line->key, "ExecStart") != 0)
                        unit_write_line(units, unit, line);
        }
        unit_set_start(unit);
        if (unit->is_oneshot && !unit->remains)
                g_ptr_array_add(unit->role->lines,
                        g_strdup(
                                "# A oneshot stays ready until it is stopped, as with RemainAfterExit=yes."));
        if (!unit->taken && (!unit->has_stdin || !unit->has_stop_timeout))
                g_ptr_array_add(unit->role->lines, g_strdup("# The defaults of systemd:"));
        if (!unit->taken && !unit->has_stdin)
                import_set(unit->role, "StandardInput", "null");
        if (!unit->taken && !unit->has_stop_timeout)
                import_set(unit->role, "TimeoutStopSec", "90s");
}

/* -- the files -- */

static void unit_read_file(const Units *units, Unit *unit, const char *path) {
        const char *name = g_intern_string(path);
        g_autofree char *text = NULL;
        size_t size = 0;
        UnitFile file;
        int r;

        if (!import_read_file(units->import, (ImportPlace){}, path, &text, &size))
                return;
        unit_file_init(&file, text, size);
        while ((r = unit_file_next(&file)) > 0) {
                UnitLine *line = file.key ? g_new(UnitLine, 1) : NULL;

                if (!line)
                        continue;
                *line = (UnitLine){
                        .section = g_strdup(file.section),
                        .key = g_strdup(file.key),
                        .value = g_strdup(file.value),
                        .place = { name, file.line },
                };
                g_ptr_array_add(unit->lines, line);
        }
        if (r < 0)
                import_error(units->import, (ImportPlace){ name, file.line }, "%s", file.reason);
}

/* The unit and its drop-ins. An instance that has no file of its own is that of the template beside it. */
static void unit_read_files(const Units *units, Unit *unit, const char *path) {
        g_autofree char *directory = g_path_get_dirname(path),
                        *template =
                                unit->instance ? g_strdup_printf("%s@" SERVICE_SUFFIX, unit->prefix) : NULL;
        const char *const directories[] = { directory, NULL }, *const names[] = { unit->name, template };
        bool found = false;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                g_autoptr(GPtrArray) paths = NULL;
                const char *name = names[ELEMENTSOF(names) - 1 - i];

                if (!name || config_files_list(directories, name, &paths) < 0)
                        continue;
                for (unsigned k = 0; k < paths->len; k++) {
                        const char *each = g_ptr_array_index(paths, k);

                        found = found || g_str_has_suffix(each, SERVICE_SUFFIX);
                        unit_read_file(units, unit, each + (directory[0] == '.' && path[0] != '.' ? 2 : 0));
                }
        }
        if (!found)
                import_error(units->import, (ImportPlace){ g_intern_string(path), 0 }, "it does not exist");
}

static void unit_add(Units *units, const char *path) {
        g_autofree char *base = g_path_get_basename(path), *wanted = NULL, *what = NULL;
        const ImportPlace place = { g_intern_string(path), 1 };
        Unit *unit = NULL;

        if (!g_str_has_suffix(base, SERVICE_SUFFIX) || base[0] == '.') {
                import_error(units->import, (ImportPlace){ place.file, 0 },
                        "a service is imported, NAME" SERVICE_SUFFIX " or NAME@INSTANCE" SERVICE_SUFFIX);
                return;
        }
        g_autofree char *stem = g_strndup(base, strlen(base) - strlen(SERVICE_SUFFIX));
        char *at = strchr(stem, '@');
        unit = g_new(Unit, 1);
        *unit = (Unit){
                .name = g_strdup(base),
                .prefix = at ? g_strndup(stem, (gsize) (at - stem)) : g_strdup(stem),
                .instance = at && at[1] ? g_strdup(at + 1) : NULL,
                .is_template = at && !at[1],
                .lines = g_ptr_array_new_with_free_func(unit_line_free),
                .commands = g_ptr_array_new_with_free_func(g_free),
        };
        g_ptr_array_add(units->units, unit);
        const unsigned n_errors = units->import->n_errors;
        unit_read_files(units, unit, path);
        if (unit->lines->len == 0) {
                if (units->import->n_errors == n_errors)
                        import_error(units->import, (ImportPlace){ place.file, 0 }, "it has no assignment");
                return;
        }
        wanted = unit->instance ? g_strconcat(unit->prefix, "-", unit->instance, NULL)
                                : g_strdup(unit->prefix);
        what = g_strdup(base);
        unit->role = import_add_role(units->import, wanted, unit->is_template, place, what);
}

void import_units(Import *import, char *const *files, ImportUnitCommand take) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(unit_free);
        Units units = { .import = import, .take = take, .units = all };

        for (; *files; files++)
                unit_add(&units, *files);
        for (unsigned i = 0; i < all->len; i++) {
                Unit *unit = g_ptr_array_index(all, i);

                if (!unit->role)
                        continue;
                unit_write(&units, unit);
                if (unit->is_template && !unit->has_instances)
                        import_error(import, unit->role->place,
                                "a template needs its instances: import %s@NAME" SERVICE_SUFFIX
                                " for each of them",
                                unit->prefix);
        }
}

void import_systemd(Import *import, char *const *files) {
        import_units(import, files, NULL);
}
