/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages of the daemon: with fields to the journal when stderr is the journal, otherwise as text to stderr. */

#include <errno.h>
#include <stdarg.h>
#include <syslog.h>

#include "base/macro.h"

/* Finds out once where messages go ($JOURNAL_STREAM against stderr). */
void log_setup(void);

void log_set_max_level(int level);
int log_get_max_level(void);

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
