/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "polkit.h"
#include "testlib.h"

#define RULE POLKIT_RULES "10-case.rules"
#define ANSWER "/run/case-polkit-answer"
#define HOLD "/run/case-polkit-hold"
#define SERVICE "polkit.service"

static const char rule[] = "polkit.addRule(function(action, subject) {\n"
                           "    if (action.id.indexOf('" POLKIT_ACTION "') != 0)\n"
                           "        return polkit.Result.NOT_HANDLED;\n"
                           "    var said = polkit.spawn(['/bin/cat', '" ANSWER "']).trim();\n"
                           "    if (said == 'hold')\n"
                           "        said = polkit.spawn(['/usr/bin/head', '-n', '1', '" HOLD "']).trim();\n"
                           "%s"
                           "    return said == 'yes' ? polkit.Result.YES :\n"
                           "        said == 'no' ? polkit.Result.NO :\n"
                           "        said == 'auth' ? polkit.Result.AUTH_ADMIN : polkit.Result.NOT_HANDLED;\n"
                           "});\n";

/* For the next question that is held. */
static void fifo_renew(void) {
        (void) g_unlink(HOLD);
        assert_int_equal(mkfifo(HOLD, 0600), 0);
        assert_int_equal(chmod(HOLD, 0644), 0);
}

void polkit_install(const char *script) {
        g_autofree char *text = g_strdup_printf(rule, script);

        assert_true(g_file_set_contents(RULE, text, -1, NULL));
        assert_int_equal(chmod(RULE, 0644), 0);
        answer("");
        fifo_renew(); /* there may be one of a case that was killed */
        systemctl("restart", SERVICE);
}

int polkit_group_setup(void **state) {
        polkit_install("");
        return 0;
}

int polkit_group_teardown(void **state) {
        (void) g_unlink(RULE);
        (void) g_unlink(ANSWER);
        (void) g_unlink(HOLD);
        systemctl("restart", SERVICE);
        return 0;
}

int polkit_teardown(void **state) {
        answer("");
        return case_teardown(state);
}

void answer(const char *text) {
        assert_true(g_file_set_contents(ANSWER, text, -1, NULL));
        assert_int_equal(chmod(ANSWER, 0644), 0);
}

int held(void) {
        int fd;

        /* A blocking open would wait for ever for a question that does not come. */
        WAIT_UNTIL((fd = open(HOLD, O_WRONLY | O_CLOEXEC | O_NONBLOCK)) >= 0);
        return fd;
}

void release(int fd, const char *text) {
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        struct pollfd p = { .fd = fd };

        /* The next question may come before this end is closed, and would take that for its answer. */
        fifo_renew();
        assert_int_equal(write(fd, line, strlen(line)), strlen(line));
        if (poll(&p, 1, (int) (patience_usec() / 1000)) != 1)
                fail_msg("the rule does not read its answer");
        assert_int_equal(close(fd), 0);
}

void polkit_kill(void) {
        /* It may be killed more often than systemd would start it again. */
        g_free(run_ok("systemctl", "reset-failed", NULL));
        g_free(run_ok("systemctl", "kill", "--signal=KILL", SERVICE, NULL));
        /* The bus knows of its end before systemd does. A start that the bus requests in between is none,
         * since the service still counts as running; the bus waits 25 s for the name then, and the question
         * fails (dbus-daemon 1.16, systemd 257). */
        WAIT_UNTIL(run(NULL, NULL, "systemctl", "is-active", "--quiet", SERVICE, NULL) != 0);
}
