/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A child reports errors and warnings through its gate. */

#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"
#include "proto/launch-request.h"

/* The exit status of a child that has not become a role. */
#define EXEC_FAILED 255

/* Send a warning or an error to the node; the second exits. error is a negative errno; a
 * warning with 0 is a notice. The text names the
 * thing and the reason, because the user sees nothing else. */
_printf_(4, 5) void gate_warn(int gate_fd, LaunchStage stage, int error, const char *fmt, ...);
_printf_(4, 5) _noreturn_ void gate_fail(int gate_fd, LaunchStage stage, int error, const char *fmt, ...);

/* Sends the node a stream to the journal that others of this user may have, too. */
void gate_offer_stream(int gate_fd, int stream_fd, uid_t uid);

/* Tells the node how long the set-up of products and the commands of exec-start-pre took, if there was one of
 * them. */
void gate_send_times(int gate_fd, uint64_t products_usec, uint64_t hooks_usec);

/* Sends the record of a product set-up and waits until the node has saved it, or has died. Then the keeper
 * has it for the next node. If the keeper is dying, too, the process kills itself, as the keeper's death does
 * until the exec. Returns a negative errno if it could not be sent. */
int gate_send_record(int gate_fd, int memfd);

/* Quotes a name for such a text. The result is valid UTF-8 without control characters, and short enough that
 * the text after it is not cut off. It is valid within the enclosing block. */
#define QUOTED_MAX 192
#define QUOTED(s) text_quote((s), (char[QUOTED_MAX]){ 0 })
const char *text_quote(const char *s, char buffer[static QUOTED_MAX]);

/* What strerror(3) returns for an error of fork(2), but for EAGAIN the limits that cause it. */
const char *fork_strerror(int error);

/* Converts the output of a program for the end of such a text, to one line of valid UTF-8 without control
 * characters. If it is too long, the first head bytes and the end remain. Changes s, which has room for size
 * bytes and a NUL. */
#define WORDS_MAX 380
const char *text_words(char *s, size_t size, size_t head, char buffer[static WORDS_MAX]);
