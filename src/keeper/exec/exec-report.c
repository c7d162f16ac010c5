/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/utf8.h"
#include "keeper/exec/exec-handover.h"
#include "keeper/exec/exec-report.h"
#include "proto/product-record.h"

_printf_(5, 0) static void gate_report_send(
        int gate_fd, LaunchStage stage, int error, bool warning, const char *fmt, va_list ap) {
        struct gate_report m = {
                .magic = GATE_MAGIC,
                .stage = (uint32_t) stage,
                .error = error,
                .warning = warning,
        };

        (void) vsnprintf(m.text, sizeof(m.text), fmt, ap);
        /* If the node does not read any more, the exit without an exec is enough. */
        (void) socket_send(gate_fd, &m, sizeof(m), NULL, 0);
}

void gate_warn(int gate_fd, LaunchStage stage, int error, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        gate_report_send(gate_fd, stage, error, true, fmt, ap);
        va_end(ap);
}

void gate_fail(int gate_fd, LaunchStage stage, int error, const char *fmt, ...) {
        va_list ap;

        /* Before the report, to which the node may react at once. */
        exec_handover_undo();
        va_start(ap, fmt);
        gate_report_send(gate_fd, stage, error, false, fmt, ap);
        va_end(ap);
        _exit(EXEC_FAILED);
}

void gate_offer_stream(int gate_fd, int stream_fd, uid_t uid) {
        struct gate_stream m = { .magic = GATE_STREAM_MAGIC, .uid = uid };

        /* If the node does not read any more, nobody else gets it. */
        (void) socket_send(gate_fd, &m, sizeof(m), &stream_fd, 1);
}

void gate_send_times(int gate_fd, uint64_t products_usec, uint64_t hooks_usec) {
        struct gate_times m = {
                .magic = GATE_TIMES_MAGIC, .products_usec = products_usec, .hooks_usec = hooks_usec
        };

        if (products_usec > 0 || hooks_usec > 0)
                (void) socket_send(gate_fd, &m, sizeof(m), NULL, 0);
}

/* Returns whether nobody has the other end. As long as the keeper lives, it has a copy. */
static bool gate_is_abandoned(int gate_fd) {
        struct pollfd p = { .fd = gate_fd };

        return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

int gate_send_record(int gate_fd, int memfd) {
        struct gate_record m = { .magic = GATE_RECORD_MAGIC };
        struct gate_recorded reply;
        size_t n_fds = 0;
        ssize_t n;
        int r;

        r = socket_send(gate_fd, &m, sizeof(m), &memfd, 1);
        if (r >= 0)
                do
                        n = socket_recv(gate_fd, &reply, sizeof(reply), NULL, &n_fds);
                while (n > 0 && ((size_t) n != sizeof(reply) || reply.magic != GATE_RECORDED_MAGIC));
        /* The keeper is dying, and closes its descriptors before the kernel kills its children. In between
         * the command would begin, and what was set up for it would be unknown. */
        if (gate_is_abandoned(gate_fd))
                (void) raise(SIGKILL);
        return r < 0 ? r : 0;
}

const char *fork_strerror(int error) {
        return error == EAGAIN
                       ? "the limit nproc of the user, or tasks-max of the role, allows no further process"
                       : strerror(error);
}

/* Returns the length of the valid and printable UTF-8 character at s, or 0. */
static size_t text_character_length(const char *s) {
        return (unsigned char) *s < ' ' || *s == 0x7f ? 0 : utf8_length(s);
}

static const char text_dots[] = "…";
#define DOTS_SIZE (sizeof(text_dots) - 1)

/* Copies valid and printable UTF-8 of at most room bytes and the dots. The part after the first head bytes is
 * left out if it is too long. */
static size_t text_shorten(const char *s, size_t size, char *buffer, size_t room, size_t head) {
        size_t n = 0;

        for (size_t i = 0, skipped = 0; i < size;) {
                size_t k = text_character_length(s + i);

                if (size > room && !skipped && i + (k > 0 ? k : 1) > head) {
                        memcpy(buffer + n, text_dots, DOTS_SIZE);
                        n += DOTS_SIZE;
                        skipped = size - (room - head);
                        for (i = skipped; i < size && ((unsigned char) s[i] & 0xc0) == 0x80;)
                                i++;
                        continue;
                }

                if (k > 0)
                        memcpy(buffer + n, s + i, k);
                else
                        buffer[n] = '?';
                n += k > 0 ? k : 1;
                i += k > 0 ? k : 1;
        }
        return n;
}

const char *text_quote(const char *s, char buffer[static QUOTED_MAX]) {
        const size_t room = QUOTED_MAX - DOTS_SIZE - 3; /* two quotes and NUL */
        size_t n = 0;

        /* The end of a path is more significant than its beginning. */
        buffer[n++] = '"';
        n += text_shorten(s, strlen(s), buffer + n, room, room / 2);
        buffer[n++] = '"';
        buffer[n] = '\0';
        return buffer;
}

/* Returns the length of an escape sequence of a terminal (ECMA-48, CSI only) at s, or 0. */
static size_t text_escape_length(const char *s, size_t size) {
        size_t n = 2;

        if (size < 3 || s[0] != '\033' || s[1] != '[')
                return 0;
        while (n < size && s[n] >= 0x20 && s[n] < 0x40)
                n++;
        return n < size ? n + 1 : n;
}

const char *text_words(char *s, size_t size, size_t head, char buffer[static WORDS_MAX]) {
        size_t n = 0;

        /* Reduces the text to one line, with one blank between words. */
        for (size_t i = 0, k; i < size; i += k) {
                k = text_escape_length(s + i, size - i);
                if (k > 0)
                        continue;
                k = 1;
                if (s[i] != '\0' && strchr(" \t\r\n\f\v", s[i])) {
                        if (n > 0 && s[n - 1] != ' ')
                                s[n++] = ' ';
                } else
                        s[n++] = s[i];
        }
        if (n > 0 && s[n - 1] == ' ')
                n--;
        s[n] = '\0';

        n = text_shorten(s, n, buffer, WORDS_MAX - DOTS_SIZE - 1, head);
        buffer[n] = '\0';
        return buffer;
}
