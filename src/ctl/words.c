/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/exit-status.h"
#include "base/macro.h"
#include "base/time-util.h"
#include "ctl/words.h"

/* A pager takes the place of stdout later, but what it shows is for the terminal nevertheless. */
bool ctl_stdout_is_terminal(void) {
        static int known = -1;

        if (known < 0)
                known = isatty(STDOUT_FILENO) ? 1 : 0;
        return known > 0;
}

/* -- the word that was meant -- */

#define WORD_MAX 64U

/* The number of letters to insert, drop, replace or swap with the next one, without regard to case. */
static unsigned words_distance(const char *a, const char *b) {
        const size_t n = strlen(a), m = strlen(b);
        unsigned rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];

        if (n > WORD_MAX || m > WORD_MAX)
                return UINT_MAX;
        for (size_t j = 0; j <= m; j++)
                before[j] = last[j] = (unsigned) j;
        for (size_t i = 1; i <= n; i++) {
                row[0] = (unsigned) i;
                for (size_t j = 1; j <= m; j++) {
                        const bool same = g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 1]);

                        row[j] = MIN(MIN(last[j], row[j - 1]) + 1, last[j - 1] + (same ? 0 : 1));
                        if (i > 1 && j > 1 && g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 2]) &&
                                g_ascii_tolower(a[i - 2]) == g_ascii_tolower(b[j - 1]))
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                unsigned *free_row = before;
                before = last;
                last = row;
                row = free_row;
        }
        return last[m];
}

const char *words_nearest(const char *word, const char *const *words) {
        const char *nearest = NULL;
        unsigned best = UINT_MAX;

        for (; *words; words++) {
                const size_t longer = MAX(strlen(word), strlen(*words));
                const unsigned distance = words_distance(word, *words);

                /* Half of the letters are another word. */
                if (distance < best && distance * 5 <= longer * 2) {
                        best = distance;
                        nearest = *words;
                }
        }
        return nearest;
}

/* -- times -- */

char *words_span(uint64_t usec) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                { "d", 24 * 3600 * USEC_PER_SEC },
                { "h", 3600 * USEC_PER_SEC },
                { "min", 60 * USEC_PER_SEC },
                { "s", USEC_PER_SEC },
                { "ms", USEC_PER_MSEC },
                { "us", 1 },
        };

        if (usec == UINT64_MAX)
                return g_strdup("infinity");
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                if (usec < units[i].usec)
                        continue;
                const uint64_t n = usec / units[i].usec, rest = usec % units[i].usec;
                /* The next smaller unit belongs to days, hours and minutes. */
                if (i > 2 || rest / units[i + 1].usec == 0)
                        return g_strdup_printf("%" PRIu64 "%s", n, units[i].name);
                return g_strdup_printf("%" PRIu64 "%s %" PRIu64 "%s", n, units[i].name,
                        rest / units[i + 1].usec, units[i + 1].name);
        }
        return g_strdup("0");
}

char *words_precise(uint64_t usec) {
        if (usec >= USEC_PER_SEC)
                return g_strdup_printf("%.3fs", (double) usec / (double) USEC_PER_SEC);
        if (usec >= USEC_PER_MSEC)
                return g_strdup_printf("%.3fms", (double) usec / (double) USEC_PER_MSEC);
        return g_strdup_printf("%" PRIu64 "us", usec);
}

char *words_ago(uint64_t realtime_usec) {
        if (realtime_usec == 0)
                return g_strdup("-");
        const uint64_t now = now_usec(CLOCK_REALTIME);

        return words_span(now > realtime_usec ? MAX(now - realtime_usec, USEC_PER_MSEC) : USEC_PER_MSEC);
}

char *words_timestamp(uint64_t realtime_usec) {
        if (realtime_usec == 0)
                return g_strdup("-");
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64) (realtime_usec / USEC_PER_SEC));
        char *text = time ? g_date_time_format(time, "%a %Y-%m-%d %H:%M:%S %Z") : NULL;

        return text ?: g_strdup_printf("@%" PRIu64, realtime_usec / USEC_PER_SEC);
}

/* -- the rest -- */

char *words_end(const char *code, int status) {
        const char *signal_name = sigabbrev_np(status);
        g_autofree char *name =
                signal_name ? g_strconcat("SIG", signal_name, NULL) : g_strdup_printf("signal %d", status);

        switch (exit_code_from_string(code)) {
        case EXIT_CODE_EXITED:
                return g_strdup_printf("exit %d", status);
        case EXIT_CODE_KILLED:
                return g_steal_pointer(&name);
        case EXIT_CODE_DUMPED:
                return g_strconcat(name, ", core dumped", NULL);
        default:
                return g_strdup(code && code[0] ? code : "-");
        }
}

char *words_size(uint64_t bytes) {
        static const char units[] = "BKMGTPE";
        double value = (double) bytes;
        size_t i = 0;

        if (bytes == UINT64_MAX)
                return g_strdup("-");
        for (; value >= 1024 && units[i + 1]; i++)
                value /= 1024;
        return i == 0 ? g_strdup_printf("%" PRIu64 "B", bytes) : g_strdup_printf("%.1f%c", value, units[i]);
}

char *words_escape(const char *text) {
        GString *escaped = g_string_new(NULL);

        for (; *text; text++)
                if (g_ascii_iscntrl(*text))
                        g_string_append_printf(escaped, "\\x%02x", (unsigned) (unsigned char) *text);
                else
                        g_string_append_c(escaped, *text);
        return g_string_free(escaped, FALSE);
}

char *words_command(const char *const *argv) {
        GString *line = g_string_new(NULL);

        for (; argv && *argv; argv++) {
                static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                            "%+,-./:=@_";
                const bool is_plain = (*argv)[0] && (*argv)[strspn(*argv, plain)] == '\0';
                g_autofree char *word = is_plain ? g_strdup(*argv) : g_shell_quote(*argv);

                g_string_append_printf(line, "%s%s", line->len > 0 ? " " : "", word);
        }
        return g_string_free(line, FALSE);
}
