/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fields of a message are a field array of our own, never a journal macro with a source location: messages are
 * for the people who run the service. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "util/log.h"

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

static int max_level = LOG_INFO;
static LogTarget log_target = LOG_TARGET_CONSOLE;
static bool stderr_is_journal = false;
static LogSink log_sink = NULL;
static void *log_sink_userdata = NULL;

void log_setup(void) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return;

        g_autofree char *own = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        stderr_is_journal = g_str_equal(stream, own);
        if (stderr_is_journal)
                log_target = LOG_TARGET_JOURNAL;
}

void log_set_max_level(int level) {
        max_level = level;
}

int log_get_max_level(void) {
        return max_level;
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

static void write_journal(int level, int error, const char *const *fields, const char *text) {
        g_autofree char *message = g_strconcat("MESSAGE=", text, NULL);
        g_autofree char *priority = g_strdup_printf("PRIORITY=%d", level);
        size_t n = 0, n_fields = fields ? g_strv_length((char **) fields) : 0;
        g_autofree struct iovec *iov = g_new(struct iovec, n_fields + 3);
        char number[sizeof("ERRNO=") + 10];

        iov[n++] = (struct iovec){ message, strlen(message) };
        iov[n++] = (struct iovec){ priority, strlen(priority) };
        if (error > 0) {
                (void) g_snprintf(number, sizeof(number), "ERRNO=%d", error);
                iov[n++] = (struct iovec){ number, strlen(number) };
        }
        for (size_t i = 0; i < n_fields; i++)
                iov[n++] = (struct iovec){ (char *) fields[i], strlen(fields[i]) };
        (void) sd_journal_sendv(iov, (int) n);
}

static void write_console(int level, const char *text) {
        g_autofree char *line =
                stderr_is_journal ? g_strdup_printf("<%d>%s\n", level, text) : g_strconcat(text, "\n", NULL);

        /* Not stdio: what a lost terminal did not take must not come out again later. */
        if (write(STDERR_FILENO, line, strlen(line)) < 0 && (errno == EPIPE || errno == EIO))
                log_lose_terminal();
}

int log_fieldsv(int level, int error, const char *const *fields, const char *format, va_list ap) {
        int saved_errno = errno;

        error = ABS(error);
        if (level <= max_level) {
                errno = error;
                g_autofree char *text = g_strdup_vprintf(format, ap);

                if (log_target == LOG_TARGET_JOURNAL)
                        write_journal(level, error, fields, text);
                else if (log_target == LOG_TARGET_CONSOLE)
                        write_console(level, text);
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
