/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The identity of a process. A pid alone does not identify it; a pidfd does, or pid, start time and boot id
 * together. Uses libc only. */

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
        uint64_t start_time; /* clock ticks since boot; unique together with the pid within a boot */
};

/* The process has forked, but not executed a program yet (PF_FORKNOEXEC, field 9; stable since 2.6). A zombie
 * has it, too. */
#define PROC_STAT_FORKNOEXEC 0x40U

int proc_stat_read(pid_t pid, struct proc_stat *ret); /* returns -ESRCH if there is no such process */

/* Stores the name of the process's program for a message: at most 15 characters of it, with "?" for each that
 * is not printable ASCII. Returns -ESRCH. */
#define PROC_NAME_SIZE 16
int proc_name_read(pid_t pid, char ret[static PROC_NAME_SIZE]);

/* Describes a process that SIGKILL has not ended, for a message, with the place where it is if that is not
 * NULL: "812 (dd)", "812 (dd, in a.scope)", "812 (dd) waits in the kernel (uninterruptible sleep)", "812 (dd)
 * is held by its tracer 900 (gdb)". Of a process that does not exist it is only the number. The caller frees
 * it. Returns -ENOMEM. */
int proc_describe(pid_t pid, const char *place, char **ret);

int pidfd_open_pid(pid_t pid);    /* CLOEXEC; returns -ESRCH */
bool pidfd_has_exited(int pidfd); /* its process is a zombie, or was reaped */
/* Of a process whose main thread is a zombie: whether its other threads have ended, too. */
bool proc_has_ended(pid_t pid);
int pidfd_kill(int pidfd, int signo); /* returns -ESRCH once it was reaped */

/* Returns the wait(2) status of an ended and reaped process, which may be the child of another process:
 * PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15. Returns -EAGAIN if it was not reaped yet (or is alive),
 * -EOPNOTSUPP if the kernel is too old. */
int pidfd_exit_status(int pidfd, int *ret_wait_status);

/* Returns the boot id of the kernel as 32 hex digits and NUL: $ARCHITECT_BOOT_ID, which the unit sets for
 * processes that cannot read it in /proc (ProcSubset=pid), otherwise from /proc. */
int boot_id_read(char ret[static 33]);
