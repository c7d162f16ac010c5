/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The launch request: what is read can be written, and what is written is read back unchanged. */

#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "proto/launch-request.h"

static int same_string(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static int same_strings(char **a, char **b) {
        static char *none[] = { NULL };

        for (a = a ? a : none, b = b ? b : none; *a && *b; a++, b++)
                if (strcmp(*a, *b) != 0)
                        return 0;
        return *a == *b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(launch_request_freep) LaunchRequest *q = NULL, *again = NULL;
        autofd fd = -EBADF;

        if (launch_request_parse(data, size, &q) < 0) {
                fuzz_check(!q);
                return 0;
        }

        fuzz_check(q->command ? q->command[0] && !q->commands : q->commands && q->commands[0]);
        fd = launch_request_write(q);
        fuzz_check(fd >= 0);
        fuzz_check(launch_request_read(fd, &again) >= 0);

        fuzz_check(same_string(q->role, again->role) && same_string(q->instance, again->instance));
        fuzz_check(same_string(q->scope, again->scope) && same_strings(q->command, again->command));
        fuzz_check(same_strings(q->base_environment, again->base_environment));
        fuzz_check(same_strings(q->environment, again->environment));
        fuzz_check(same_strings(q->environment_files, again->environment_files));
        fuzz_check(same_string(q->working_directory, again->working_directory));
        fuzz_check(same_string(q->user, again->user) && same_string(q->group, again->group));
        fuzz_check(q->output == again->output && same_string(q->output_path, again->output_path));
        fuzz_check(q->nice_set == again->nice_set && q->nice == again->nice);
        fuzz_check(q->default_sigpipe == again->default_sigpipe);
        fuzz_check(same_string(q->cpu_affinity, again->cpu_affinity));
        fuzz_check(q->oom_score_adjust_set == again->oom_score_adjust_set);
        fuzz_check(q->oom_score_adjust == again->oom_score_adjust && q->cgroups_max == again->cgroups_max);
        fuzz_check(q->record == again->record && q->watchdog_usec == again->watchdog_usec);
        fuzz_check(same_strings(q->commands, again->commands));
        fuzz_check(same_strings(q->exec_start_pre, again->exec_start_pre));
        fuzz_check(q->start_pre_timeout_usec == again->start_pre_timeout_usec);
        fuzz_check(q->stream == again->stream && q->stream_uid == again->stream_uid);
        fuzz_check(q->limits_set == again->limits_set);
        fuzz_check(memcmp(q->limits, again->limits, sizeof(q->limits)) == 0);
        return 0;
}
