/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fields of a message are a field array of our own, never a journal macro with a source location: messages are
 * for the people who run the service. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "util/log.h"

static int max_level = LOG_INFO;
static bool to_journal = false;

void log_setup(void) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return;

        g_autofree char *own = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        to_journal = g_str_equal(stream, own);
}

void log_set_max_level(int level) {
        max_level = level;
}

int log_get_max_level(void) {
        return max_level;
}

int log_fieldsv(int level, int error, const char *const *fields, const char *format, va_list ap) {
        int saved_errno = errno;

        error = ABS(error);
        if (level <= max_level) {
                errno = error;
                g_autofree char *text = g_strdup_vprintf(format, ap);

                if (to_journal) {
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
                } else
                        (void) fprintf(stderr, "%s\n", text);
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
