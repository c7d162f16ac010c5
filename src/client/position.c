/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/utf8.h"
#include "client/position.h"
#include "util/log.h"

#define POSITION_FILE_MAX 256

void position_clear(Position *position) {
        g_clear_pointer(&position->epoch, g_free);
}

void position_set(Position *position, const char *epoch, uint64_t seq) {
        if (g_strcmp0(position->epoch, epoch) != 0) {
                g_free(position->epoch);
                position->epoch = g_strdup(epoch);
        }
        position->seq = seq;
}

/* "EPOCH SEQ\n" */
static int position_parse(char *text, Position *ret) {
        char *end = text + strlen(text), *space = strchr(text, ' ');
        uint64_t seq;

        if (!space || space == text || end[-1] != '\n' || !utf8_is_valid(text))
                return -EBADMSG;
        end[-1] = *space = '\0';
        if (parse_u64(space + 1, &seq) < 0)
                return -EBADMSG;
        position_set(ret, text, seq);
        return 0;
}

int position_load(int dir_fd, const char *name, Position *ret) {
        _cleanup_free_ char *text = NULL;

        *ret = (Position){ .epoch = g_strdup("") };
        int r = file_read_own(dir_fd, name, POSITION_FILE_MAX, &text, NULL);
        return r < 0 ? r : position_parse(text, ret);
}

int position_save(int dir_fd, const char *name, const Position *position) {
        g_autofree char *text = g_strdup_printf("%s %" PRIu64 "\n", position->epoch, position->seq);

        int r = file_replace(dir_fd, name, text, strlen(text));
        return r < 0 ? log_warning_errno(r,
                               "Cannot save which event of %s was the last one, it may come again: %m", name)
                     : 0;
}
