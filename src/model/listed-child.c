/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/fd-util.h"
#include "model/listed-child.h"

static const char *const child_report_table[_CHILD_REPORT_MAX] = {
        [CHILD_NONE] = "none",
        [CHILD_STARTING] = "starting",
        [CHILD_RUNNING] = "running",
        [CHILD_ENDED] = "ended",
        [CHILD_UNKNOWN] = "unknown",
        [CHILD_ORPHAN] = "orphan",
};

DEFINE_STRING_TABLE(child_report, ChildReport, child_report_table);

void listed_child_close_fds(ListedChild *listed) {
        listed->pidfd = fd_close(listed->pidfd);
        listed->gate_fd = fd_close(listed->gate_fd);
        listed->stdin_fd = fd_close(listed->stdin_fd);
        listed->terminal_fd = fd_close(listed->terminal_fd);
}
