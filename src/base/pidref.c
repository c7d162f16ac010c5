/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/feature.h"
#include "base/pidref.h"

/* From linux/pidfd.h of 6.15; the headers of Debian 12 are older. The first published size suffices. */
struct pidfd_info_v0 {
        uint64_t mask;
        uint64_t cgroupid;
        uint32_t pid, tgid, ppid;
        uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
        int32_t exit_code;
};

_Static_assert(sizeof(struct pidfd_info_v0) == 64, "the size is part of the ioctl's number");

#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)
#define PIDFD_INFO_V0_EXIT (UINT64_C(1) << 3)

/* Reads /proc/PID/stat, or that of a thread, which has the same form. */
static int stat_read(const char *path, struct proc_stat *ret) {
        char buffer[2048], state;
        struct proc_stat st;
        autofd fd = -EBADF;
        const char *p;
        unsigned long long start_time;
        size_t size = 0;
        ssize_t n;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;

        /* Without allocation, because the keeper calls it for each ended child, also when it is short of
         * memory. */
        while (size < sizeof(buffer) - 1) {
                n = read(fd, buffer + size, sizeof(buffer) - 1 - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno; /* ESRCH: it ended between open and read */
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        buffer[size] = '\0';

        /* The name in field 2 may contain any character, also ")" and spaces; the fields after it do not. */
        p = memrchr(buffer, ')', size);
        if (!p ||
                sscanf(p + 1, " %c %d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                        &state, &st.ppid, &st.pgrp, &st.session, &st.flags, &start_time) != 6)
                return -EBADMSG;

        st.state = state;
        st.start_time = start_time;
        *ret = st;
        return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret) {
        char path[sizeof("/proc//stat") + 3 * sizeof(pid_t)];

        if (pid <= 0)
                return -ESRCH;
        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        return stat_read(path, ret);
}

int proc_name_read(pid_t pid, char ret[static PROC_NAME_SIZE]) {
        char path[sizeof("/proc//comm") + 3 * sizeof(pid_t)];
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
        r = file_read(AT_FDCWD, path, 4096, &text, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;

        /* The name itself may contain a newline; the last one is the kernel's. */
        n = strlen(text);
        if (n > 0 && text[n - 1] == '\n')
                n--;
        if (n >= PROC_NAME_SIZE)
                n = PROC_NAME_SIZE - 1;
        for (size_t i = 0; i < n; i++)
                ret[i] = (char) (text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
        ret[n] = '\0';
        return 0;
}

/* Returns the process that traces a thread, or 0. */
static pid_t thread_tracer(pid_t pid, const char *tid) {
        static const char key[] = "\nTracerPid:";
        char path[sizeof("/proc//task//status") + 3 * sizeof(pid_t) + NAME_MAX];
        _cleanup_free_ char *text = NULL;
        const char *line;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int) pid, tid);
        if (file_read(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return 0;
        line = strstr(text, key);
        return line ? (pid_t) strtol(line + strlen(key), NULL, 10) : 0;
}

/* A thread that has received SIGKILL and has not ended waits for something in the kernel, or it is stopped,
 * or a zombie, until its tracer goes on. The other threads of its process may have ended already. */
static void proc_find_obstacle(pid_t pid, bool *ret_sleeps, pid_t *ret_tracer) {
        char path[sizeof("/proc//task") + 3 * sizeof(pid_t)];
        _cleanup_closedir_ DIR *dir = NULL;

        *ret_sleeps = false;
        *ret_tracer = 0;
        (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);
        dir = opendir(path);
        if (!dir)
                return;
        for (struct dirent *d; (d = readdir(dir)) && !*ret_sleeps;) {
                _cleanup_free_ char *file = NULL;
                struct proc_stat stat = { 0 };

                if (d->d_name[0] == '.')
                        continue;
                if (asprintf(&file, "%s/%s/stat", path, d->d_name) < 0) {
                        file = NULL;
                        return;
                }
                if (stat_read(file, &stat) < 0)
                        continue;
                if (stat.state == 'D')
                        *ret_sleeps = true;
                else if (*ret_tracer == 0 && strchr("tTZ", stat.state))
                        *ret_tracer = thread_tracer(pid, d->d_name);
        }
}

int proc_describe(pid_t pid, const char *place, char **ret) {
        char name[PROC_NAME_SIZE], tracer_name[PROC_NAME_SIZE] = "?", held[64 + PROC_NAME_SIZE] = "";
        const char *obstacle = "";
        pid_t tracer;
        bool sleeps;

        if (proc_name_read(pid, name) < 0)
                return asprintf(ret, "%d", (int) pid) < 0 ? -ENOMEM : 0;

        proc_find_obstacle(pid, &sleeps, &tracer);
        if (sleeps)
                obstacle = " waits in the kernel (uninterruptible sleep)";
        else if (tracer > 0) {
                (void) proc_name_read(tracer, tracer_name);
                (void) snprintf(
                        held, sizeof(held), " is held by its tracer %d (%s)", (int) tracer, tracer_name);
                obstacle = held;
        }
        return asprintf(ret, "%d (%s%s%s)%s", (int) pid, name, place ? ", in " : "", place ? place : "",
                       obstacle) < 0
                       ? -ENOMEM
                       : 0;
}

int pidfd_open_pid(pid_t pid) {
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? -errno : fd; /* always CLOEXEC */
}

bool pidfd_has_exited(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLIN | POLLHUP));
}

bool proc_has_ended(pid_t pid) {
        autofd fd = pidfd_open_pid(pid);

        return fd < 0 || pidfd_has_exited(fd);
}

int pidfd_kill(int pidfd, int signo) {
        return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int pidfd_exit_status(int pidfd, int *ret_wait_status) {
        struct pidfd_info_v0 info = { .mask = PIDFD_INFO_V0_EXIT };

        if (feature_masked(FEATURE_PIDFD_INFO))
                return -EOPNOTSUPP;

        /* ESRCH comes from 6.13 and 6.14: they support the ioctl, but forget a process when it is reaped. */
        if (ioctl(pidfd, PIDFD_GET_INFO_V0, &info) < 0)
                return errno == EBADF ? -EBADF : -EOPNOTSUPP;
        if (!(info.mask & PIDFD_INFO_V0_EXIT))
                return -EAGAIN;

        *ret_wait_status = info.exit_code;
        return 0;
}

int boot_id_read(char ret[static 33]) {
        _cleanup_free_ char *text = NULL;
        const char *given;
        char id[33];
        size_t n = 0;
        int r;

        given = getenv("ARCHITECT_BOOT_ID");
        if (given)
                text = strdup(given);
        else {
                r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL);
                if (r < 0)
                        return r;
        }
        if (!text)
                return -ENOMEM;

        for (const char *p = text; *p && *p != '\n'; p++) {
                if (*p == '-')
                        continue;
                if (n >= sizeof(id) - 1 || !strchr("0123456789abcdef", *p))
                        return -EBADMSG;
                id[n++] = *p;
        }
        if (n != sizeof(id) - 1)
                return -EBADMSG;

        id[n] = '\0';
        memcpy(ret, id, sizeof(id));
        return 0;
}
