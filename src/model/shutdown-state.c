/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include "model/shutdown-state.h"
#include "model/state-fields.h"
#include "util/log.h"

#define SHUTDOWN_VERSION 1U

static const StateFile shutdown_file = {
        .name = SHUTDOWN_FILE,
        .max = 1024U * 1024U,
        .what = "the shutdown under way",
        .consequence = "; it continues without its reason",
};

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
        GString *s = state_fields_new("", SHUTDOWN_VERSION, NULL);

        state_put_string(s, "REASON", reason);
        state_put_caller(s, "CALLER", caller);
        return state_file_save(&shutdown_file, dir_fd, s);
}

static int shutdown_parse(void *userdata, StateFields *fields) {
        Shutdown *shutdown = userdata;
        /* 0.1.0 did not escape it. */
        g_autofree char *unit_of_1 = state_fields_of_1(fields) ? state_take_raw(fields, "CALLER_UNIT") : NULL;
        g_autofree char *unknown = NULL; /* the file is not written again */

        shutdown->reason = state_take_string(fields, "REASON");
        state_take_caller(fields, "CALLER", &shutdown->caller);
        if (unit_of_1)
                shutdown->caller.unit = g_steal_pointer(&unit_of_1);
        if (state_fields_version(fields) == 0 || !shutdown->reason)
                return -EBADMSG;
        return state_fields_end(fields, &unknown);
}

void shutdown_load(int dir_fd, Shutdown *ret) {
        if (state_file_load(&shutdown_file, dir_fd, shutdown_parse, ret) != STATE_FILE_DAMAGED)
                return;
        shutdown_clear(ret);
        ret->reason = g_strdup("");
}

void shutdown_forget(int dir_fd) {
        state_file_forget(&shutdown_file, dir_fd);
}
