/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of the options of a role, and their values as text. That a value means the same as text and on
 * D-Bus shows tests/bus/test-bus-options.c. */

#include "spec-compare.h"
#include "test-world.h"

#include <signal.h>

#include "model/role-option-text.h"
#include "model/words.h"

static RoleSpec *from_lines(const char *text) {
        g_auto(Fault) fault = {};
        RoleSpec *spec = role_spec_new();

        if (test_spec_set_lines(spec, text, NULL, &fault) < 0)
                fail_msg("%s: %s", text, fault.message);
        return spec;
}

static const char *different_member(const RoleSpec *a, const RoleSpec *b) {
        for (size_t i = 0; i < ELEMENTSOF(spec_members); i++)
                if (!same_member(&spec_members[i], a, b))
                        return spec_members[i].name;
        return NULL;
}

/* No name stands for two options, and each option has what belongs to it. */
static void test_table(void **state) {
        g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) file_keys = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) saved = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];
                const char *name = o->file_key ?: o->key;

                if (o->key && !g_hash_table_add(keys, (gpointer) o->key))
                        fail_msg("%s is the key of two options", o->key);
                if (o->file_key && !g_hash_table_add(file_keys, (gpointer) o->file_key))
                        fail_msg("%s= is the key of two options", o->file_key);
                if (o->saved_key && !g_hash_table_add(saved, (gpointer) o->saved_key))
                        fail_msg("%s is the saved name of two options", o->saved_key);
                if (!o->saved_key == !o->part_of)
                        fail_msg("%s must be saved, by itself or as a part", name);
                if (!o->saved_key != !o->field)
                        fail_msg("%s has a saved name or a field, but not both", name);
                if (o->part_of && (o->key || !g_hash_table_contains(keys, o->part_of)))
                        fail_msg("%s is a part of no option", name);
                if (o->kind == ROLE_OPTION_PORTS) /* which the messages name */
                        assert_string_equal(role_ports_to_string(o->ports), o->key);
                assert_true(o->size > 0);
                assert_non_null(o->signature);
                if (o->file_key)
                        assert_ptr_equal(role_option_find_file_key(o->file_key), o);
        }
        /* Each resource limit has a key, since the option limits has all of them. */
        for (int i = 0; i < RLIMIT_COUNT; i++) {
                g_autofree char *upper = g_ascii_strup(rlimit_to_string(i), -1),
                                *key = g_strconcat("Limit", upper, NULL);
                const RoleOption *o = role_option_find_file_key(key);

                if (!o || o->resource != i)
                        fail_msg("%s= is not the limit %d", key, i);
        }
        assert_null(role_option_find_file_key("limits"));
        assert_null(role_option_find_file_key("nice"));
        assert_null(role_option_find_file_key(""));
}

/* An empty value gives everything that an option has set its default again. */
static void test_reset(void **state) {
        static const char all[] =
                "Command=/x 'a b'\nEnvironment=A=1 B=2\nWorkingDirectory=/tmp\nUser=u\nGroup=g\nStandardInput=null\n"
                "XTerm=yes\nXTermArguments=-rv\nStandardOutput=append:/log\nOutputTimestamps=yes\nIgnoreSIGPIPE=no\nExitType=cgroup\n"
                "KillSignal=INT\nStopTo=main\nTimeoutStopSec=1\nOnMonitorLoss=kill\nNice=-3\nRemove=yes\n"
                "Product=p\nProductVersion=1\nSetupArguments=-t x\nEupsList=q=2\nProductProvider=lmod\n"
                "Restart=always\nRestartSec=1\nRestartSteps=2\nRestartMaxDelaySec=3\nSuccessExitStatus=1\n"
                "RestartPreventExitStatus=2\nStartLimitIntervalSec=1\nStartLimitBurst=1\n"
                "After=a\nWants=b c\nRequires=d\nBindsTo=e\nPartOf=f\n"
                "CPUAffinity=1-2\nOOMScoreAdjust=5\nDelegate=yes\nEnvironmentFile=/e\nExecStartPre=/e\n"
                "ExecStop=/e\nExecStopPost=/e\nLease=l\nFencingToken=1\nManagedBy=k:n\n"
                "TCPPorts=1\nUDPPorts=2\nReleasePorts=3\nRoleGroups=g\n"
                "Type=oneshot\nTimeoutStartSec=1\nNotifyAccess=all\nWatchdogSec=1\nWatchdogSignal=KILL\n"
                "LimitAS=1\nLimitCORE=1\nLimitCPU=1\nLimitDATA=1\n"
                "LimitFSIZE=1\nLimitLOCKS=1\nLimitMEMLOCK=1\nLimitMSGQUEUE=1\nLimitNICE=1\nLimitNOFILE=1\n"
                "LimitNPROC=1\nLimitRSS=1\nLimitRTPRIO=1\nLimitRTTIME=1\nLimitSIGPENDING=1\nLimitSTACK=1";
        g_autoptr(RoleSpec) defaults = role_spec_new(), full = from_lines(all), emptied = from_lines(all);

        /* The controllers of the machine do not matter for this. */
        full->memory_max = emptied->memory_max = 1;
        full->tasks_max = emptied->tasks_max = 1;
        full->cpu_quota = emptied->cpu_quota = 1;
        full->cpu_weight = emptied->cpu_weight = 1;
        full->io_weight = emptied->io_weight = 1;
        full->memory_high = emptied->memory_high = 1;
        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];
                g_autoptr(RoleSpec) one = from_lines(all);

                one->memory_max = one->tasks_max = one->cpu_quota = 1;
                one->cpu_weight = one->io_weight = one->memory_high = 1;
                assert_null(different_member(one, full));
                if (o->file_key)
                        assert_return_code(role_option_set_from_text(one, o, i % 2 ? "" : " \t", NULL), 0);
                else
                        role_option_reset(one, o);
                if (!different_member(one, full))
                        fail_msg("%s keeps its value", o->file_key ?: o->key);
                if (o->key && g_str_equal(o->key, "limits"))
                        assert_memory_equal(one->limits, defaults->limits, sizeof(one->limits));
                if (o->file_key)
                        assert_return_code(role_option_set_from_text(emptied, o, "", NULL), 0);
        }
        if (different_member(emptied, defaults))
                fail_msg("%s is not its default again", different_member(emptied, defaults));

        /* One limit leaves the others. */
        g_autoptr(RoleSpec) limits = from_lines("LimitCORE=5\nLimitNOFILE=7\nLimitCORE=");
        assert_true(limits->limits_set == UINT64_C(1) << RLIMIT_NOFILE);
        assert_int_equal(limits->limits[RLIMIT_CORE], 0);
        assert_int_equal(limits->limits[RLIMIT_NOFILE], 7);
}

/* Two files of lines that mean the same. */
static void test_same(void **state) {
        static const char *const pairs[][2] = {
                /* A repeated key adds to a list, and replaces anything else. */
                { "Environment=A=1\nEnvironment=B=2 C=3", "Environment=A=1 B=2 C=3" },
                { "Environment=B=1 A=2\nEnvironment=B=3", "Environment=A=2 B=3" },
                { "Environment=A=1 A=2", "Environment=A=2" },
                { "Environment=A=1\nEnvironment=\nEnvironment=B=2", "Environment=B=2" },
                { "SetupArguments=-t\nSetupArguments=beta", "SetupArguments=-t beta" },
                { "XTermArguments=-rv\nXTermArguments=\nXTermArguments=-sb", "XTermArguments=-sb" },
                { "EupsList=camera\nEupsList=mount=2", "EupsList=camera= mount=2" },
                { "TCPPorts=5000\nTCPPorts=5001 5002", "TCPPorts=5000 5001 5002" },
                { "UDPPorts=1\nUDPPorts=\nUDPPorts=2", "UDPPorts=2" },
                { "Command=/bin/a b\nCommand=/bin/c", "Command=/bin/c" },
                { "User=a\nUser=b", "User=b" },
                { "Nice=1\nNice=2", "Nice=2" },
                { "LimitNOFILE=1\nLimitNOFILE=2", "LimitNOFILE=2" },
                { "StandardOutput=file:/x\nStandardOutput=null", "StandardOutput=null" },
                { "TimeoutStopSec=5\nTimeoutStopSec=", "TimeoutStopSec=" },
                /* Quotes and escapes of systemd. */
                { "Environment=\"A=two words\" 'B=x y' C=\"z z\"",
                        "Environment=A=two\\swords B=x\\x20y C=z\\040z" },
                { "Environment=A=\\u00e4 'B=\\n\\t'", "Environment=A=\\xc3\\xa4 \"B=\\x0a\\011\"" },
                { "Environment=A=# B=;", "Environment=\"A=#\" 'B=;'" },
                { "Environment=A=x=y B=", "Environment='A=x=y' \"B=\"" },
                /* Quotes of a shell. */
                { "Command=a 'b c' \"d $e\" f\\ g", "Command='a' b\\ c 'd $e' \"f g\"" },
                { "Command=a '\\n' \"\\n\" \"\\$\\`\\\"\\\\\" \\n", "Command=a \\\\n '\\n' '$`\"\\' n" },
                { "Command=a \"\" ''b'' #c d#e", "Command='a' '' b '#c' \\d#e" },
                { "EupsList='a=1 2'", "EupsList=a=1\\ 2" },
                /* Spellings of numbers. */
                { "KillSignal=SIGINT", "KillSignal=2" },
                { "KillSignal=INT", "KillSignal=2" },
                { "TimeoutStopSec=90", "TimeoutStopSec=1min 30s" },
                { "TimeoutStopSec=.5", "TimeoutStopSec=500ms" },
                { "Remove=on", "Remove=1" },
                { "IgnoreSIGPIPE=true", "IgnoreSIGPIPE=" },
                { "LimitAS=1K", "LimitAS=1024" },
                { "LimitCPU=1min", "LimitCPU=60" },
                { "LimitCPU=1500ms", "LimitCPU=2" },
                { "LimitRTTIME=5ms", "LimitRTTIME=5000" },
                { "LimitNICE=+5", "LimitNICE=15" },
                { "LimitNICE=-20", "LimitNICE=40" },
                { "LimitNOFILE=infinity", "LimitNOFILE=18446744073709551615" },
                { "MemoryMax=infinity", "MemoryMax=" },
                { "TasksMax=infinity", "TasksMax=" },
                { "User= a ", "User=a" },
                { "CPUAffinity=0-2,4", "CPUAffinity=4 0,1 2" },
                { "CPUAffinity=1\nCPUAffinity=3 2", "CPUAffinity=1-3" },
                { "CPUAffinity=1\nCPUAffinity=\nCPUAffinity=2", "CPUAffinity=2" },
                { "OOMScoreAdjust=5\nOOMScoreAdjust=", "OOMScoreAdjust=" },
                { "Delegate=on", "Delegate=1" },
                { "MemoryHigh=infinity", "MemoryHigh=" },
        };

        for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
                g_auto(Fault) fault = {};
                g_autoptr(RoleSpec) a = from_lines(pairs[i][0]), b = role_spec_new();

                if (test_spec_set_lines(b, pairs[i][1], NULL, &fault) < 0)
                        fail_msg("%s: %s", pairs[i][1], fault.message);
                if (different_member(a, b))
                        fail_msg("%s: \"%s\" and \"%s\"", different_member(a, b), pairs[i][0], pairs[i][1]);
        }

        g_autoptr(RoleSpec) unlimited =
                from_lines("LimitCPU=infinity\nLimitRTTIME=infinity\nLimitNICE=infinity");
        assert_true(unlimited->limits[RLIMIT_CPU] == UINT64_MAX);
        assert_true(unlimited->limits[RLIMIT_RTTIME] == UINT64_MAX);
        assert_true(unlimited->limits[RLIMIT_NICE] == UINT64_MAX);
}

/* Each option refuses a value, and names the key that stands in the file. */
static void test_refused(void **state) {
        static const struct {
                const char *text, *message;
        } table[] = {
                { "Command=a 'b", "Command=: The quote ' is not closed" },
                { "Command=a \\", "Command=: A backslash is the last character" },
                { "ExecStartPre=''", "ExecStartPre= has an empty command" },
                { "ExecStartPre=-", "ExecStartPre= has an empty command" },
                { "ExecStartPre=-@x", "ExecStartPre= has the prefix \"@\" before \"x\", but only \"-\"" },
                { "ExecStartPre=--x", "ExecStartPre= has the prefix \"-\" before \"x\"" },
                { "ExecStartPre=+/bin/x", "ExecStartPre= has the prefix \"+\"" },
                { "ExecStartPre=a 'b", "ExecStartPre=: The quote ' is not closed" },
                { "Command=''", "Command=: The command's first argument, the program, is empty" },
                { "Environment=A=1 1B=2", "Environment=: \"1B\" is not a valid name of a variable" },
                { "Environment=A=pass word",
                        "Environment=: word 2 is not NAME=VALUE; a value with spaces needs quotes" },
                { "Environment=A=\\q",
                        "Environment=: A backslash with \"q\" after it is no escape of a character" },
                { "Environment=A=\\", "Environment=: A backslash with \"\" after it" },
                { "Environment=A=\\x00", "Environment=: A backslash" },
                { "Environment=A=\\x1", "Environment=: A backslash" },
                { "Environment=A=\\000", "Environment=: A backslash" },
                { "Environment=A=\\777", "Environment=: A backslash" },
                { "Environment=A=\\ud800", "Environment=: A backslash" },
                { "Environment=A=\\xff", "Environment=: An escape makes a character that D-Bus" },
                { "Environment=A=\xff", "Environment=: The value has characters that D-Bus" },
                { "Environment=\"A=1", "Environment=: The quote \" is not closed" },
                { "WorkingDirectory=tmp", "WorkingDirectory=: \"tmp\" is not an absolute path" },
                { "StandardInput=tty", "StandardInput= is \"tty\", but must be pipe, null or pty" },
                { "StandardOutput=file:x", "StandardOutput=: \"x\" is not an absolute path" },
                { "StandardOutput=tty", "StandardOutput= is \"tty\", but must be journal" },
                { "XTerm=maybe", "XTerm= is \"maybe\", but must be yes or no" },
                { "XTermArguments=-e", "XTermArguments=: \"-e\" would take xterm" },
                { "IgnoreSIGPIPE=2", "IgnoreSIGPIPE= is \"2\", but must be yes or no" },
                { "ExitType=half", "ExitType= is \"half\", but must be main or cgroup" },
                { "KillSignal=SIGFOO", "KillSignal= is \"SIGFOO\", but must be a signal" },
                { "KillSignal=0", "KillSignal= is \"0\", but must be a signal" },
                { "StopTo=mixed", "StopTo= is \"mixed\", but must be all or main" },
                { "TimeoutStopSec=soon", "TimeoutStopSec= is \"soon\", but must be a time" },
                { "TimeoutStopSec=99999999999999y", "TimeoutStopSec= is" },
                { "OnMonitorLoss=die", "OnMonitorLoss= is \"die\", but must be keep, stop or kill" },
                { "Nice=20", "Nice= is 20, but must be from -20 to 19" },
                { "Nice=-21", "Nice= is -21, but must be from -20 to 19" },
                { "Nice=low", "Nice= is \"low\", but must be an integer" },
                { "Remove=", NULL },
                { "Remove=-", "Remove= is \"-\", but must be yes or no" },
                { "MemoryMax=0", "MemoryMax= is 0, but must be from 1 to 18446744073709551614" },
                { "MemoryMax=lots", "MemoryMax= is \"lots\", but must be a size" },
                { "MemoryMax=20%", "MemoryMax= is \"20%\", but must be a size" },
                { "TasksMax=1K", "TasksMax= is \"1K\", but must be an integer" },
                { "CPUQuota=20", "CPUQuota= is \"20\", but must be a percentage such as 20%" },
                { "CPUQuota=1.5%", "CPUQuota= is \"1.5%\", but must be a percentage" },
                { "CPUQuota=infinity", "CPUQuota= is \"infinity\", but must be a percentage" },
                { "CPUQuota=0%", "CPUQuota= is 0, but must be from 1 to 100000" },
                { "EupsList==1", "EupsList=: the product is empty" },
                { "CPUAffinity=numa", "CPUAffinity= is \"numa\", but must be CPUs such as \"0-3 5\"" },
                { "CPUAffinity=3-1", "CPUAffinity= is \"3-1\", but must be CPUs" },
                { "OOMScoreAdjust=1001", "OOMScoreAdjust= is 1001, but must be from -1000 to 1000" },
                { "OOMScoreAdjust=low", "OOMScoreAdjust= is \"low\", but must be an integer" },
                { "CPUWeight=infinity", "CPUWeight= is \"infinity\", but must be a weight from 1 to 10000" },
                { "CPUWeight=idle", "CPUWeight= is \"idle\", but must be a weight" },
                { "IOWeight=0", "IOWeight= is 0, but must be from 1 to 10000" },
                { "MemoryHigh=0", "MemoryHigh= is 0, but must be from 1 to" },
                { "Delegate=cpu memory", "Delegate= is \"cpu memory\", but must be yes or no" },
                { "ProductProvider=apt", "ProductProvider= is \"apt\", but must be eups, modules or lmod" },
                { "TCPPorts=http", "TCPPorts= is \"http\", but must be the number of a port" },
                { "TCPPorts=0", "TCPPorts=: 0 is not a port" },
                { "UDPPorts=65536", "UDPPorts=: 65536 is not a port" },
                { "ReleasePorts=5 5", "ReleasePorts=: port 5 is given twice" },
                { "LimitNOFILE=1:2", "LimitNOFILE= is \"1:2\", but must be one limit" },
                { "LimitNOFILE=many", "LimitNOFILE= is \"many\", but must be an integer" },
                { "LimitAS=5s", "LimitAS= is \"5s\", but must be a size" },
                { "LimitCPU=5K", "LimitCPU= is \"5K\", but must be a time" },
                { "LimitNICE=41", "LimitNICE= is \"41\", but must be from 1 to 40" },
                { "LimitNICE=0", "LimitNICE= is \"0\"" },
                { "LimitNICE=+20", "LimitNICE= is \"+20\"" },
                { "LimitNICE=-21", "LimitNICE= is \"-21\"" },
        };
        g_autofree char *many = g_strnfill(2 * (PRODUCT_LIST_MAX + 1), ' '), *name = g_strnfill(256, 'a');
        g_autoptr(RoleSpec) full = role_spec_new();
        g_auto(Fault) too_many = {}, too_long = {};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_autoptr(RoleSpec) spec = role_spec_new();
                g_auto(Fault) fault = {};
                int r = test_spec_set_lines(spec, table[i].text, NULL, &fault);

                if (!table[i].message)
                        assert_return_code(r, 0);
                else if (r != -EINVAL || !g_str_has_prefix(fault.message, table[i].message))
                        fail_msg("%s: %d, %s", table[i].text, r, fault.message);
        }

        for (size_t i = 0; i <= PRODUCT_LIST_MAX; i++)
                many[2 * i] = 'x';
        assert_fault(
                role_option_set_from_text(full, role_option_find_file_key("XTermArguments"), many, &too_many),
                &too_many, NODE_ERROR_INVALID_ARGS, "XTermArguments= has more than 256 strings");
        assert_fault(role_option_set_from_text(full, role_option_find_file_key("Group"), name, &too_long),
                &too_long, NODE_ERROR_INVALID_ARGS, "Group= is longer than 255 bytes");
        assert_null(full->xterm_args);
        assert_null(full->group);
}

static void test_words(void **state) {
        static const struct {
                const char *text, *shell, *unit; /* the words with '|' after each; NULL: refused */
        } table[] = {
                { "", "", "" },
                { " \t\n\r", "", "" },
                { "a", "a|", "a|" },
                { "  a\tb\n", "a|b|", "a|b|" },
                { "'' \"\"", "||", "||" },
                { "a'b c'd\"e f\"", "ab cde f|", "ab cde f|" },
                { "'\"' \"'\"", "\"|'|", "\"|'|" },
                { "a\\ b", "a b|", NULL },
                { "a\\sb", "asb|", "a b|" },
                { "'a\\tb'", "a\\tb|", "a\tb|" },
                { "\"a\\tb\"", "a\\tb|", "a\tb|" },
                { "\"a\\\"b\"", "a\"b|", "a\"b|" },
                { "'a\\'", "a\\|", NULL },
                { "\\u20ac\\U0001F600\\x41\\101", "u20acU0001F600x41101|", "\u20ac\U0001F600AA|" },
                { "\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\'", "abfnrtv\\\"'|", "\a\b\f\n\r\t\v\\\"'|" },
                { "# a", "#|a|", "#|a|" },
                { "$A `b` *", "$A|`b`|*|", "$A|`b`|*|" },
                { "'", NULL, NULL },
                { "a\\", NULL, NULL },
                { "\"a\\", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (int unit = 0; unit < 2; unit++) {
                        const char *expected = unit ? table[i].unit : table[i].shell;
                        g_auto(GStrv) words = NULL;
                        g_auto(Fault) fault = {};
                        g_autoptr(GString) joined = g_string_new(NULL);

                        int r = words_split(table[i].text, unit ? WORDS_UNIT : WORDS_SHELL, &words, &fault);
                        assert_int_equal(r < 0, fault.message != NULL);
                        assert_int_equal(r < 0, words == NULL);
                        for (char **w = words; w && *w; w++)
                                g_string_append_printf(joined, "%s|", *w);
                        if (r < 0 ? expected != NULL : g_strcmp0(joined->str, expected) != 0)
                                fail_msg("\"%s\": %s", table[i].text, r < 0 ? fault.message : joined->str);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_reset),
                cmocka_unit_test(test_same),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
