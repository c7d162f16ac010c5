/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "ctl/ctl.h"
#include "ctl/words.h"

const CtlSink *ctl_sink;

static _printf_(2, 0) void ctl_print(const char *prefix, const char *fmt, va_list ap);
static void ctl_print(const char *prefix, const char *fmt, va_list ap) {
        if (ctl_sink) {
                g_autofree char *text = g_strdup_vprintf(fmt, ap);

                (prefix[0] ? ctl_sink->error : ctl_sink->say)(text);
                return;
        }
        (void) fflush(stdout); /* what was said before comes before */
        (void) fputs(prefix, stderr);
        (void) vfprintf(stderr, fmt, ap);
        (void) fputc('\n', stderr);
}

void ctl_error(const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        ctl_print("architectctl: ", fmt, ap);
        va_end(ap);
}

void ctl_say(const Ctl *ctl, const char *fmt, ...) {
        va_list ap;

        if (ctl->quiet)
                return;
        va_start(ap, fmt);
        ctl_print("", fmt, ap);
        va_end(ap);
}

void ctl_explain(const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        ctl_print("", fmt, ap);
        va_end(ap);
}

CtlExit ctl_usage(const char *verb, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        ctl_print("architectctl: ", fmt, ap);
        va_end(ap);
        ctl_explain("See architectctl %s%s--help.", verb ?: "", verb ? " " : "");
        return CTL_EXIT_USAGE;
}

CtlExit ctl_failed(int r, const char *doing) {
        ctl_error("cannot %s: %s", doing, strerror(r < 0 ? -r : r));
        return CTL_EXIT_FAILED;
}

CtlExit ctl_check_can_ask(const char *verb, unsigned n_hosts) {
        if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
                return CTL_EXIT_OK;
        return ctl_usage(verb, "%s on %u hosts needs --yes, as there is nobody to ask", verb, n_hosts);
}

CtlExit ctl_read_answer(void) {
        char answer[16] = "";

        if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
                return CTL_EXIT_OK;
        ctl_error("nothing was done");
        return CTL_EXIT_FAILED;
}

bool ctl_has_color(void) {
        const char *colors = getenv("SYSTEMD_COLORS"), *none = getenv("NO_COLOR"), *term = getenv("TERM");
        bool wanted;

        if (colors && parse_boolean(colors, &wanted) >= 0)
                return wanted;
        return !(none && none[0]) && term && strcmp(term, "dumb") != 0 && ctl_stdout_is_terminal();
}

static void end_now(int signo) {
        (void) signo;
        _exit(EXIT_SUCCESS);
}

void ctl_end_on_signals(void) {
        (void) signal(SIGINT, end_now);
        (void) signal(SIGTERM, end_now);
}

char *ctl_user_name(const Ctl *ctl, uint32_t uid) {
        const struct passwd *pw = ctl->host || ctl->machine ? NULL : getpwuid(uid);

        return pw ? g_strdup(pw->pw_name) : g_strdup_printf("%" PRIu32, uid);
}
