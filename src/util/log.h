/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages of the daemon: with fields to the journal when stderr is the journal, otherwise as text to stderr. Neither is waited for:
 * what it does not take at once is lost, and the next message that it takes says how many were. */

#include <errno.h>
#include <stdarg.h>
#include <syslog.h>

#include "base/string-table.h"

typedef enum LogLevel { /* the numbers are syslog(3)'s */
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

/* Finds out once where messages go ($JOURNAL_STREAM against stderr). */
void log_setup(void);

void log_set_max_level(int level);
int log_get_max_level(void);
void log_set_target(LogTarget target);
LogTarget log_get_target(void);

/* Gets each message that is logged, after it was. */
typedef void (*LogSink)(void *userdata, int level, const char *text, const char *const *fields);
void log_set_sink(LogSink sink, void *userdata);

/* The terminal or pipe at the other end has gone: from now on stdout and stderr lead nowhere, and the service carries on. */
void log_lose_terminal(void);

/* fields: NULL-terminated array of "NAME=value", or NULL. error: errno of either sign or 0; %m in the format is its
 * text. Keeps errno and returns the negative error, so that "return log_error_errno(r, ...)" reads as it acts. */
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
