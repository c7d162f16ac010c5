/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/exit-status.h"
#include "ctl/ends.h"

CtlExit ctl_end_to_exit(const char *code, int status) {
        switch (exit_code_from_string(code)) {
        case EXIT_CODE_EXITED:
                return (CtlExit) status;
        case EXIT_CODE_KILLED:
        case EXIT_CODE_DUMPED:
                return (CtlExit) (CTL_EXIT_SIGNAL + status);
        default:
                return CTL_EXIT_LOST;
        }
}
