/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "model/shutdown-state.h"
#include "model/state-file.h"
#include "util/log.h"

#define SHUTDOWN_VERSION 1U
#define SHUTDOWN_FILE_MAX (1024U * 1024U)

void shutdown_clear(Shutdown *shutdown) {
        g_free(shutdown->reason);
        caller_clear(&shutdown->caller);
        *shutdown = (Shutdown){};
}

int shutdown_check_reason(const char *reason, Fault *fault) {
        glong n = g_utf8_strlen(reason, -1);

        if (n <= SHUTDOWN_REASON_MAX)
                return 0;
        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                "The reason of the shutdown has %ld characters, but must not have more than %d", n,
                SHUTDOWN_REASON_MAX);
}

int shutdown_save(int dir_fd, const char *reason, const Caller *caller) {
        g_autoptr(GString) s = g_string_new("# This is private data of architect-node. Do not parse.\n");
        g_autofree char *escaped = g_strescape(reason, NULL);

        if (dir_fd < 0)
                return 0;
        g_string_append_printf(s, "VERSION=%u\nREASON=%s\n", SHUTDOWN_VERSION, escaped);
        if (caller && caller->known) {
                g_string_append_printf(
                        s, "CALLER_UID=%u\nCALLER_PID=%d\n", (unsigned) caller->uid, (int) caller->pid);
                if (caller->unit)
                        g_string_append_printf(s, "CALLER_UNIT=%s\n", caller->unit);
        }
        return file_replace(dir_fd, SHUTDOWN_FILE, s->str, s->len);
}

/* A newer version may say more; what it says of these it says in the same way. */
static int parse(void *userdata, const char *text) {
        Shutdown *shutdown = userdata;
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        uint32_t number, version = 0;

        for (char **l = lines; *l; l++) {
                char *value = strchr(*l, '=');

                if ((*l)[0] == '\0' || (*l)[0] == '#')
                        continue;
                if (!value)
                        return -EBADMSG;
                *value++ = '\0';
                if (g_str_equal(*l, "REASON") && !shutdown->reason)
                        shutdown->reason = g_strcompress(value);
                else if (g_str_equal(*l, "CALLER_UNIT") && !shutdown->caller.unit)
                        shutdown->caller.unit = g_strdup(value);
                else if (g_str_equal(*l, "VERSION") || g_str_has_prefix(*l, "CALLER_")) {
                        if (parse_u32(value, &number) < 0)
                                return -EBADMSG;
                        if (g_str_equal(*l, "VERSION"))
                                version = number;
                        else if (g_str_equal(*l, "CALLER_PID"))
                                shutdown->caller.pid = (pid_t) number;
                        else if (g_str_equal(*l, "CALLER_UID")) {
                                shutdown->caller.uid = number;
                                shutdown->caller.known = true;
                        }
                }
        }
        if (version == 0 || !shutdown->reason || !g_utf8_validate(shutdown->reason, -1, NULL))
                return -EBADMSG;
        return 0;
}

int shutdown_load(int dir_fd, Shutdown *ret) {
        int r = state_file_load(
                dir_fd, SHUTDOWN_FILE, SHUTDOWN_FILE_MAX, "the shutdown under way", "", parse, ret);

        if (r == STATE_FILE_DAMAGED) {
                shutdown_clear(ret);
                ret->reason = g_strdup("");
        }
        return r < 0 ? r : 0;
}

void shutdown_forget(int dir_fd) {
        state_file_forget(dir_fd, SHUTDOWN_FILE);
}
