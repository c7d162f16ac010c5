/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "polkit.h"
#include "testlib.h"

#define RULE POLKIT_RULES "10-case.rules"
#define ANSWER "/run/case-polkit-answer"
#define HOLD "/run/case-polkit-hold"

static const char rule[] = "polkit.addRule(function(action, subject) {\n"
                           "    if (action.id.indexOf('" POLKIT_ACTION "') != 0)\n"
                           "        return polkit.Result.NOT_HANDLED;\n"
                           "    var said = polkit.spawn(['/bin/cat', '" ANSWER "']).trim();\n"
                           "    if (said == 'hold')\n"
                           "        said = polkit.spawn(['/bin/cat', '" HOLD "']).trim();\n"
                           "%s"
                           "    return said == 'yes' ? polkit.Result.YES :\n"
                           "        said == 'no' ? polkit.Result.NO :\n"
                           "        said == 'auth' ? polkit.Result.AUTH_ADMIN : polkit.Result.NOT_HANDLED;\n"
                           "});\n";

void polkit_install(const char *script) {
        g_autofree char *text = g_strdup_printf(rule, script);

        assert_true(g_file_set_contents(RULE, text, -1, NULL));
        assert_int_equal(chmod(RULE, 0644), 0);
        answer("");
        assert_int_equal(mkfifo(HOLD, 0600), 0);
        assert_int_equal(chmod(HOLD, 0644), 0);
        systemctl("restart", "polkit.service");
}

void polkit_remove(void) {
        (void) g_unlink(RULE);
        (void) g_unlink(ANSWER);
        (void) g_unlink(HOLD);
        systemctl("restart", "polkit.service");
}

void answer(const char *text) {
        assert_true(g_file_set_contents(ANSWER, text, -1, NULL));
        assert_int_equal(chmod(ANSWER, 0644), 0);
}

int held(void) {
        int fd = open(HOLD, O_WRONLY | O_CLOEXEC);

        assert_return_code(fd, errno);
        return fd;
}

void release(int fd, const char *text) {
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        assert_int_equal(close(fd), 0);
}
