/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages of the daemon go to the journal, with fields, if stderr is the journal, otherwise as text to
 * stderr. Neither may block: a message that is not accepted at once is lost, and the next one that is
 * accepted is preceded by the number of lost ones. */

#include <errno.h>
#include <stdarg.h>
#include <syslog.h>

#include "base/string-table.h"

typedef enum LogLevel { /* the numbers of syslog(3) */
        _LOG_LEVEL_MAX = LOG_DEBUG + 1,
        _LOG_LEVEL_INVALID = -EINVAL,
} LogLevel;

DECLARE_STRING_TABLE(log_level, LogLevel);

typedef enum LogTarget {
        LOG_TARGET_JOURNAL,
        LOG_TARGET_CONSOLE, /* stderr */
        LOG_TARGET_NULL,
        _LOG_TARGET_MAX,
        _LOG_TARGET_INVALID = -EINVAL,
} LogTarget;

DECLARE_STRING_TABLE(log_target, LogTarget);

/* Determines once where messages go, by comparing $JOURNAL_STREAM with stderr. */
void log_setup(void);

/* The service has started. Before this its messages without fields go to the journal by stderr: what a
 * process says by the socket of the journal and then exits belongs to no unit, for systemctl status and
 * journalctl
 * --unit=, if the journal reads it later (systemd 252 to 257). The stream is that of the unit. */
void log_set_started(void);

void log_set_max_level(int level);
int log_get_max_level(void);
void log_set_target(LogTarget target);
LogTarget log_get_target(void);

/* Receives each message after it was logged. */
typedef void (*LogSink)(void *userdata, int level, const char *text, const char *const *fields);
void log_set_sink(LogSink sink, void *userdata);

/* After the loss of the terminal or pipe. From now on stdout and stderr are /dev/null, and the service
 * continues. */
void log_lose_terminal(void);

/* fields is a NULL-terminated array of "NAME=value", or NULL. error is an errno of either sign or 0; %m in
 * the format is its text. Preserves errno and returns the negative error, for "return log_error_errno(r,
 * ...)". */
int log_fieldsv(int level, int error, const char *const *fields, const char *format, va_list ap)
        __attribute__((format(printf, 4, 0)));
int log_fields(int level, int error, const char *const *fields, const char *format, ...) _printf_(4, 5);

#define log_full_errno(level, error, ...) log_fields(level, error, NULL, __VA_ARGS__)

#define log_error_errno(error, ...) log_full_errno(LOG_ERR, error, __VA_ARGS__)
#define log_warning_errno(error, ...) log_full_errno(LOG_WARNING, error, __VA_ARGS__)
#define log_debug_errno(error, ...) log_full_errno(LOG_DEBUG, error, __VA_ARGS__)

#define log_error(...) ((void) log_full_errno(LOG_ERR, 0, __VA_ARGS__))
#define log_warning(...) ((void) log_full_errno(LOG_WARNING, 0, __VA_ARGS__))
#define log_notice(...) ((void) log_full_errno(LOG_NOTICE, 0, __VA_ARGS__))
#define log_info(...) ((void) log_full_errno(LOG_INFO, 0, __VA_ARGS__))
#define log_debug(...) ((void) log_full_errno(LOG_DEBUG, 0, __VA_ARGS__))
