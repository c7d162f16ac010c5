/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/wait.h>

#include "base/exit-status.h"

static const char *const exit_code_table[_EXIT_CODE_MAX] = {
        [EXIT_CODE_EXITED] = "exited",
        [EXIT_CODE_KILLED] = "killed",
        [EXIT_CODE_DUMPED] = "dumped",
        [EXIT_CODE_LOST] = "lost",
};

DEFINE_STRING_TABLE(exit_code, ExitCode, exit_code_table);

int exit_status_from_wait(int wait_status, ExitCode *ret_code, int *ret_status) {
        /* The kernel uses 16 bits. A greater number, or a signal 0 with a core, is damaged, and must not be
         * taken for exit(0). */
        if (wait_status < 0 || wait_status > 0xffff || (wait_status & 0xff) == 0x80)
                return -EINVAL;

        if (WIFEXITED(wait_status)) {
                *ret_code = EXIT_CODE_EXITED;
                *ret_status = WEXITSTATUS(wait_status);
                return 0;
        }

        if (WIFSIGNALED(wait_status)) {
                *ret_code = WCOREDUMP(wait_status) ? EXIT_CODE_DUMPED : EXIT_CODE_KILLED;
                *ret_status = WTERMSIG(wait_status);
                return 0;
        }

        return -EINVAL;
}
