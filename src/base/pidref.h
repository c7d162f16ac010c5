/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Identity of a process. A pid alone is never enough: it is a pidfd, or pid + start time + boot id. libc only. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Fields of /proc/PID/stat (proc(5)). */
struct proc_stat {
        char state; /* R S D Z T t X I */
        pid_t ppid;
        pid_t pgrp;
        pid_t session;
        unsigned flags;      /* PF_* of the kernel's sched.h */
        uint64_t start_time; /* clock ticks since boot; together with the pid unique within a boot */
};

/* Forked but has not execed yet (PF_FORKNOEXEC, field 9; stable since 2.6). Still readable on a zombie. */
#define PROC_STAT_FORKNOEXEC 0x40U

int proc_stat_read(pid_t pid, struct proc_stat *ret); /* -ESRCH: no such process */

int pidfd_open_pid(pid_t pid);        /* CLOEXEC; -ESRCH */
bool pidfd_has_exited(int pidfd);     /* its process is a zombie, or reaped */
int pidfd_kill(int pidfd, int signo); /* -ESRCH once reaped */

/* The wait(2) status of an ended and reaped process that need not be our child: PIDFD_GET_INFO with
 * PIDFD_INFO_EXIT, Linux 6.15. -EAGAIN: not reaped yet (or still alive); -EOPNOTSUPP: this kernel cannot tell. */
int pidfd_exit_status(int pidfd, int *ret_wait_status);

/* The kernel's boot id as 32 hex digits and NUL: $ARCHITECT_BOOT_ID, which the unit sets for who does not see it in /proc
 * (ProcSubset=pid), or what is there. */
int boot_id_read(char ret[static 33]);
