/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "base/exit-status.h"
#include "base/macro.h"
#include "base/parse-util.h"

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

static const struct {
        const char *name;
        int status;
} exit_status_names[] = {
        { "USAGE", EX_USAGE },
        { "DATAERR", EX_DATAERR },
        { "NOINPUT", EX_NOINPUT },
        { "NOUSER", EX_NOUSER },
        { "NOHOST", EX_NOHOST },
        { "UNAVAILABLE", EX_UNAVAILABLE },
        { "SOFTWARE", EX_SOFTWARE },
        { "OSERR", EX_OSERR },
        { "OSFILE", EX_OSFILE },
        { "CANTCREAT", EX_CANTCREAT },
        { "IOERR", EX_IOERR },
        { "TEMPFAIL", EX_TEMPFAIL },
        { "PROTOCOL", EX_PROTOCOL },
        { "NOPERM", EX_NOPERM },
        { "CONFIG", EX_CONFIG },
};

/* Sets one of the two, and the other one to -1. */
static int exit_status_entry_parse(const char *entry, int *ret_status, int *ret_signal) {
        uint32_t number;

        *ret_status = *ret_signal = -1;
        if (isdigit((unsigned char) entry[0])) {
                if (parse_u32(entry, &number) < 0 || number > 255)
                        return -EINVAL;
                *ret_status = (int) number;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(exit_status_names); i++)
                if (strcmp(entry, exit_status_names[i].name) == 0) {
                        *ret_status = exit_status_names[i].status;
                        return 0;
                }
        return parse_signal(entry, ret_signal);
}

bool exit_status_entry_is_valid(const char *entry) {
        int status, signo;

        return exit_status_entry_parse(entry, &status, &signo) >= 0;
}

bool exit_status_is_in(char *const *entries, ExitCode code, int status) {
        for (char *const *entry = entries; entry && *entry; entry++) {
                int number, signo;

                if (exit_status_entry_parse(*entry, &number, &signo) < 0)
                        continue;
                if (code == EXIT_CODE_EXITED ? number == status
                                             : code != EXIT_CODE_LOST && signo > 0 && signo == status)
                        return true;
        }
        return false;
}

bool exit_signal_is_clean(int signo) {
        return signo == SIGHUP || signo == SIGINT || signo == SIGTERM || signo == SIGPIPE;
}
