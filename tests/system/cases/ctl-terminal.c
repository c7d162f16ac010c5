/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Each verb of architectctl on a terminal of 80 columns, where it shows what it has to say, asks nothing that
 * needs no answer, and ends with its status. The other cases ctl-... have what each verb does in detail. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl.h"
#include "testlib.h"

#define SELF "ctl-terminal."

/* On a terminal the case attach is about this one, and ctl-node about that, which ends the service. desk
 * writes nothing, and is on the bus of a user. */
static const char *const elsewhere[] = { "attach", "shutdown", "desk", NULL };
#define FILE_NAME "/run/ctl-terminal.observatory"

typedef struct OnTerminal {
        const char *words; /* after the program; the first one is the verb */
        int status;
        const char *shows; /* NULL: nothing is said */
} OnTerminal;

/* In an order in which each finds what it needs. */
static const OnTerminal calls[] = {
        { "start " SELF "defined", 0, NULL },
        { "start " SELF "camera --setenv=A=b -p TimeoutStopSec=2s cat", 0, NULL },
        { "list", 0, "2 roles, 2 running, 0 failed." },
        { "status " SELF "camera", 0, "Main PID" },
        { "show -p State " SELF "camera", 0, "State=running" },
        { "cat " SELF "defined", 0, "[Role]" },
        { "poll " SELF "camera", 0, "running" },
        { "tree " SELF "defined", 0, "STATE" },
        { "blame " SELF "camera", 0, "TOTAL" },
        { "top --batch --iterations=1 --delay=10ms", 0, SELF "camera" },
        { "send " SELF "camera hello", 0, NULL },
        { "signal " SELF "camera CONT", 0, NULL },
        { "freeze " SELF "camera", 0, NULL },
        { "thaw " SELF "camera", 0, NULL },
        { "monitor -n 1 --since 0", 0, " UTC " }, /* whatever the case before has left */
        { "logs --lines=5 " SELF "camera", 0, NULL },
        { "check " SELF "camera", 0, "ARCHITECT OK" },
        { "metrics", 0, "# EOF" },
        { "restart " SELF "defined", 0, NULL },
        { "stop " SELF "defined", 0, NULL },
        { "kill " SELF "camera", 0, NULL },
        { "wait " SELF "camera", 128 + SIGKILL, NULL },
        { "purge " SELF "camera", 0, "is purged" },
        { "run --wait -- sh -c echo\\ done", 0, "done" },
        { "verify " DEFINITIONS "/" SELF "defined.role", 0, NULL },
        { "edit " SELF "defined", 0, NULL },
        { "enable " SELF "defined", 0, NULL },
        { "disable " SELF "defined", 0, NULL },
        { "reload", 0, NULL },
        { "diff " FILE_NAME, 1, "it does not run" },
        { "up " FILE_NAME, 0, "is started" },
        { "down " FILE_NAME, 0, "is stopped" },
        { "import systemd /lib/systemd/system/systemd-journald.service", 0, "[Role]" },
        { "env set CTL_TERMINAL value", 0, NULL },
        { "env get CTL_TERMINAL", 0, "value" },
        { "env unset CTL_TERMINAL", 0, NULL },
        { "bind-tcp 1", 0, NULL },
        { "bind-udp 1", 0, NULL },
        { "ports", 0, "udp" },
        { "release --all", 0, NULL },
        { "beat", 0, NULL },
        { "lease acquire " SELF "lease", 0, NULL },
        { "beat --lease=" SELF "lease --within=1h", 0, NULL },
        { "leases", 0, SELF "lease" },
        { "lease release " SELF "lease", 0, NULL },
        { "monitor-timeout", 0, NULL },
        { "log-level", 0, "info" },
        { "log-to-sve no", 0, NULL },
};

static bool is_tried(const char *verb) {
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                if (g_str_has_prefix(calls[i].words, verb) && strchr(" ", calls[i].words[strlen(verb)]))
                        return true;
        return g_strv_contains(elsewhere, verb);
}

/* The table above has each verb of the help. */
static void test_complete(void **state) {
        g_autofree char *help = CTL_OUT(0, "--help");
        g_auto(GStrv) lines = g_strsplit(help, "\n", -1);
        guint n = 0;

        for (char **line = lines; *line && strcmp(*line, "Options:") != 0; line++) {
                if (!g_str_has_prefix(*line, "  ") || !g_ascii_islower((*line)[2]))
                        continue;
                g_autofree char *verb = g_strndup(*line + 2, strcspn(*line + 2, " "));
                if (!is_tried(verb))
                        fail_msg("the verb %s is not tried on a terminal", verb);
                n++;
        }
        assert_true(n >= 40);
}

static void test_each(void **state) {
        define(SELF "defined", "");
        write_file(FILE_NAME, "[Host here]\nLocal=yes\n[Role " SELF "up]\nHost=here\nCommand=sleep 600\n");
        reload_definitions(*state);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                g_autofree char *line = g_strconcat("architectctl --no-pager ", calls[i].words, NULL);
                g_auto(GStrv) argv = NULL;

                assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
                g_auto(CtlTerminal) t = ctl_on_terminal((const char *const *) argv);
                int status = ctl_terminal_wait(&t);
                if (status != calls[i].status)
                        fail_msg("%s: status %d: %s", line, status, t.screen->text->str);
                if (calls[i].shows)
                        assert_contains(t.screen->text->str, calls[i].shows);
                /* Of an older case there may be more events than the service keeps, which monitor says. */
                if (!g_str_has_prefix(calls[i].words, "monitor "))
                        assert_contains_not(t.screen->text->str, "architectctl: ");
        }
        assert_return_code(unlink(FILE_NAME), errno);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_complete),
                DEFINED_TEST(test_each),
        };

        (void) setenv("SYSTEMD_EDITOR", "true", 1); /* an editor that changes nothing */
        return run_case("ctl-terminal", tests);
}
