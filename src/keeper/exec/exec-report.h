/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a child says through its gate what went wrong. */

#include "base/macro.h"
#include "proto/launch-request.h"

/* The exit status of a child that has not become a role. */
#define EXEC_FAILED 255

/* error is a negative errno; the text names the thing and the reason: people see nothing else. */
_printf_(4, 5) void gate_warn(int gate_fd, LaunchStage stage, int error, const char *fmt, ...);
_printf_(4, 5) _noreturn_ void gate_fail(int gate_fd, LaunchStage stage, int error, const char *fmt, ...);

/* A name in quotes for such a text: valid UTF-8 without control characters, and so short that what comes after it is
 * not cut off. Lives as long as the block it is in. */
#define QUOTED_MAX 192
#define QUOTED(s) text_quote((s), (char[QUOTED_MAX]){ 0 })
const char *text_quote(const char *s, char buffer[static QUOTED_MAX]);

/* What a program has said, for the end of such a text: one line of valid UTF-8 without control characters. Changes s, which
 * has room for size bytes and a NUL. */
#define WORDS_MAX 400
const char *text_words(char *s, size_t size, char buffer[static WORDS_MAX]);
