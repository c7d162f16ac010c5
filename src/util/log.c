/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "util/log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
/* It must fit into a datagram together with its fields. */
#define MESSAGE_MAX (48 * 1024)

static const char *const log_level_table[_LOG_LEVEL_MAX] = {
        [LOG_EMERG] = "emerg",
        [LOG_ALERT] = "alert",
        [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

DEFINE_STRING_TABLE(log_level, LogLevel, log_level_table);

static const char *const log_target_table[_LOG_TARGET_MAX] = {
        [LOG_TARGET_JOURNAL] = "journal",
        [LOG_TARGET_CONSOLE] = "console",
        [LOG_TARGET_NULL] = "null",
};

DEFINE_STRING_TABLE(log_target, LogTarget, log_target_table);

static int log_max_level = LOG_INFO;
static LogTarget log_target = LOG_TARGET_CONSOLE;
static bool log_stderr_is_journal = false;
static bool log_started = false;
static LogSink log_sink = NULL;
static void *log_sink_userdata = NULL;

void log_setup(void) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return;

        g_autofree char *own = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        log_stderr_is_journal = g_str_equal(stream, own);
        if (log_stderr_is_journal)
                log_target = LOG_TARGET_JOURNAL;
}

void log_set_started(void) {
        log_started = true;
}

void log_set_max_level(int level) {
        log_max_level = level;
}

int log_get_max_level(void) {
        return log_max_level;
}

void log_set_target(LogTarget target) {
        log_target = target;
}

LogTarget log_get_target(void) {
        return log_target;
}

void log_set_sink(LogSink sink, void *userdata) {
        log_sink = sink;
        log_sink_userdata = userdata;
}

void log_lose_terminal(void) {
        autofd fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return;
        (void) dup2(fd, STDOUT_FILENO);
        (void) dup2(fd, STDERR_FILENO);
}

/* Adds a field in the format of the journal: NAME=value and a newline or, if the value contains a newline,
 * the name, a newline, the size of the value in 64 bits (little-endian) and the value. See systemd's "Native
 * Journal Protocol". */
static void log_add_field(GString *s, const char *field) {
        size_t name = strcspn(field, "=");

        if (!strchr(field, '\n'))
                g_string_append(s, field);
        else {
                uint64_t size = GUINT64_TO_LE((uint64_t) strlen(field + name + 1));

                g_string_append_len(s, field, (gssize) name);
                g_string_append_c(s, '\n');
                g_string_append_len(s, (const char *) &size, sizeof(size));
                g_string_append(s, field + name + 1);
        }
        g_string_append_c(s, '\n');
}

/* sd_journal_sendv() is not used, because its socket blocks, and the service would hang together with the
 * journal. */
static int log_send_journal(const GString *s) {
        static const struct sockaddr_un journal = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
        static int fd = -EBADF;

        if (fd < 0)
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || sendto(fd, s->str, s->len, MSG_NOSIGNAL, (const struct sockaddr *) &journal,
                              sizeof(journal)) < 0)
                return -errno;
        return 0;
}

static void log_write_journal(int level, int error, const char *const *fields, const char *text) {
        static unsigned n_lost = 0;
        g_autoptr(GString) s = g_string_new(NULL);
        g_autofree char *message = g_strdup_printf("MESSAGE=%.*s", MESSAGE_MAX, text);

        g_string_append_printf(
                s, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", level, program_invocation_short_name);
        if (error > 0)
                g_string_append_printf(s, "ERRNO=%d\n", error);
        for (; fields && *fields; fields++)
                log_add_field(s, *fields);
        log_add_field(s, message);

        if (n_lost > 0) {
                g_autofree char *lost = g_strdup_printf(
                        "MESSAGE=%u messages before this one are lost, the journal did not accept them",
                        n_lost);
                g_autoptr(GString) notice = g_string_new("PRIORITY=4\n");

                g_string_append_printf(notice, "SYSLOG_IDENTIFIER=%s\n", program_invocation_short_name);
                log_add_field(notice, lost);
                if (log_send_journal(notice) >= 0)
                        n_lost = 0;
        }
        n_lost += log_send_journal(s) < 0;
}

static void log_add_line(GString *s, int level, const char *text) {
        if (log_stderr_is_journal)
                g_string_append_printf(s, "<%d>", level);
        g_string_append(s, text);
        g_string_append_c(s, '\n');
}

/* stdio is not used, because output that a lost terminal has not accepted must not be written later. It must
 * not block either: a pipe that is not read, or a stopped terminal, would block the service. */
static void log_write_console(int level, const char *text) {
        static unsigned n_lost = 0;
        static bool torn = false; /* the last line is incomplete */
        g_autoptr(GString) s = g_string_new(torn ? "\n" : NULL);

        if (n_lost > 0) {
                g_autofree char *lost = g_strdup_printf(
                        "%u messages before this one are lost, standard error did not accept them", n_lost);
                log_add_line(s, LOG_WARNING, lost);
        }
        log_add_line(s, level, text);

        ssize_t n = fd_write_nonblocking(STDERR_FILENO, s->str, s->len);
        if (n == -EPIPE || n == -EIO)
                log_lose_terminal();
        if (n > 0)
                torn = s->str[n - 1] != '\n';
        if (n == (ssize_t) s->len)
                n_lost = 0;
        else
                n_lost++;
}

int log_fieldsv(int level, int error, const char *const *fields, const char *format, va_list ap) {
        int saved_errno = errno;

        error = ABS(error);
        if (level <= log_max_level) {
                errno = error;
                g_autofree char *text = g_strdup_vprintf(format, ap);

                if (log_target == LOG_TARGET_CONSOLE || (log_target == LOG_TARGET_JOURNAL && !log_started &&
                                                                !fields && log_stderr_is_journal))
                        log_write_console(level, text);
                else if (log_target == LOG_TARGET_JOURNAL)
                        log_write_journal(level, error, fields, text);
                if (log_sink)
                        log_sink(log_sink_userdata, level, text, fields);
        }

        errno = saved_errno;
        return -error;
}

int log_fields(int level, int error, const char *const *fields, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        int r = log_fieldsv(level, error, fields, format, ap);
        va_end(ap);
        return r;
}
