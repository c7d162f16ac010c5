/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/stray-scope.h"
#include "base/unit-name.h"
#include "keeper/cgroup-signal.h"
#include "proto/keeper-protocol.h"

/* Processes that are signalled in one pass. The keeper needs most of its descriptors for the roles. */
#define BATCH_MAX 1024
/* Passes after the one that has reached the last process of the first list. A role that forks without end
 * must not keep the keeper busy; whoever sends SIGKILL repeats it. */
#define PASSES_MAX 16
/* A role of root may make any number of cgroups below its own. Each level takes two descriptors and some
 * stack, and each cgroup takes time. What is beyond receives SIGKILL only, by cgroup.kill. */
#define DEPTH_MAX 64
#define CGROUPS_MAX 4096

typedef struct PidList {
        pid_t *pids;
        size_t n, room;
        unsigned n_cgroups; /* that were read */
} PidList;

static void pid_list_clear(PidList *list) {
        free(list->pids);
        *list = (PidList){ 0 };
}

static int pid_list_add(PidList *list, pid_t pid) {
        if (list->n == list->room) {
                size_t room = list->room > 0 ? 2 * list->room : 64;
                pid_t *pids = reallocarray(list->pids, room, sizeof(pid_t));

                if (!pids)
                        return -ENOMEM;
                list->pids = pids;
                list->room = room;
        }
        list->pids[list->n++] = pid;
        return 0;
}

static int pid_compare(const void *a, const void *b) {
        const pid_t x = *(const pid_t *) a, y = *(const pid_t *) b;

        return (x > y) - (x < y);
}

static void pid_list_sort(PidList *list) {
        if (list->n > 1)
                qsort(list->pids, list->n, sizeof(pid_t), pid_compare);
}

static bool pid_list_has(const PidList *sorted, pid_t pid) {
        return sorted->n > 0 && bsearch(&pid, sorted->pids, sorted->n, sizeof(pid_t), pid_compare);
}

/* -- the processes of a cgroup -- */

/* Adds the processes of one directory. The list of a threaded cgroup cannot be read (EOPNOTSUPP): its
 * processes are in that of the first cgroup above that is not threaded, which is the scope or below it. */
static int pid_list_read(PidList *list, int directory_fd) {
        char buffer[4096];
        autofd fd = -EBADF;
        pid_t pid = 0;
        ssize_t n;
        int r;

        fd = openat(directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT || errno == ENODEV ? 0 : -errno;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        if (buffer[i] >= '0' && buffer[i] <= '9') {
                                pid = 10 * pid + (buffer[i] - '0');
                                continue;
                        }
                        /* 0 is a process of another pid namespace, which has no number here. */
                        if (pid > 0) {
                                r = pid_list_add(list, pid);
                                if (r < 0)
                                        return r;
                        }
                        pid = 0;
                }

        return n < 0 && errno != EOPNOTSUPP && errno != ENODEV ? -errno : 0;
}

static int pid_list_read_tree(PidList *list, int directory_fd, unsigned depth) {
        _cleanup_closedir_ DIR *dir = NULL;
        const struct dirent *entry;
        struct stat st;
        int r;

        if (depth == 0)
                list->n_cgroups = 0;
        if (++list->n_cgroups > CGROUPS_MAX)
                return -E2BIG;
        r = pid_list_read(list, directory_fd);
        if (r < 0)
                return r;
        /* A cgroup without others below it has two links. Most are so. */
        if (fstat(directory_fd, &st) < 0)
                return -errno;
        if (st.st_nlink <= 2)
                return 0;
        if (depth >= DEPTH_MAX)
                return -E2BIG;

        r = directory_read_at(directory_fd, &dir);
        while (r >= 0 && (entry = readdir(dir))) {
                autofd fd = -EBADF;

                if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                        continue;
                fd = openat(directory_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0)
                        r = pid_list_read_tree(list, fd, depth + 1);
                else if (errno != ENOENT)
                        r = -errno;
        }
        return r;
}

/* -- which may be signalled -- */

static const char *path_last(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

bool cgroup_is_of_role(const char *path, const char *instance) {
        _cleanup_free_ char *role = NULL;

        return role_scope_name_parse(instance, path_last(path), &role) >= 0 ||
               role_post_scope_name_parse(instance, path_last(path), &role) >= 0;
}

bool cgroup_may_be_stray(const char *path) {
        _cleanup_free_ char *scope = NULL;

        return stray_scope_of(path, &scope) >= 0 && strcmp(scope, path) == 0;
}

static int process_check_age(pid_t pid, uint64_t not_before) {
        struct proc_stat st;
        int r;

        if (pid == getpid())
                return -EPERM;
        r = proc_stat_read(pid, &st);
        if (r == -ESRCH)
                return 0; /* a process that gets its number later is younger */
        if (r < 0)
                return r;
        return st.start_time < not_before ? -EPERM : 0;
}

/* Returns whether the keeper itself is in the cgroup, where nobody should have put it. */
static bool cgroup_has_keeper(const char *path) {
        _cleanup_free_ char *own = NULL;

        return cgroup_of_pid(getpid(), &own) >= 0 && cgroup_is_below(own, path);
}

/* -- sending -- */

typedef struct Signalling {
        int signo;
        bool then_continue;
        uint64_t not_before;
        PidList checked; /* for not_before; sorted, as done is */
        PidList done;
        size_t n_sent;
        int error; /* the first one */
        struct {
                pid_t pid;
                int pidfd;
        } batch[BATCH_MAX];
        size_t n_batch;
} Signalling;

static void signalling_clear(Signalling *s) {
        for (size_t i = 0; i < s->n_batch; i++)
                (void) fd_close(s->batch[i].pidfd);
        pid_list_clear(&s->checked);
        pid_list_clear(&s->done);
}

static void signalling_fail(Signalling *s, int error) {
        if (s->error == 0)
                s->error = error;
}

/* Checks all processes before the first one receives the signal. */
static int signalling_check(Signalling *s, int directory_fd) {
        int r;

        r = pid_list_read_tree(&s->checked, directory_fd, 0);
        for (size_t i = 0; r >= 0 && i < s->checked.n; i++)
                r = process_check_age(s->checked.pids[i], s->not_before);
        pid_list_sort(&s->checked);
        return r;
}

/* Opens processes of the list that have not received the signal. Returns a negative errno. */
static int signalling_open(Signalling *s, const PidList *list) {
        for (size_t i = 0; i < list->n && s->n_batch < BATCH_MAX; i++) {
                pid_t pid = list->pids[i];
                int fd, r;

                if (pid == 1 || pid == getpid() || pid_list_has(&s->done, pid))
                        continue;
                r = s->not_before == 0 || pid_list_has(&s->checked, pid)
                            ? 0
                            : process_check_age(pid, s->not_before);
                fd = r < 0 ? r : pidfd_open_pid(pid);
                if (fd >= 0) {
                        s->batch[s->n_batch].pid = pid;
                        s->batch[s->n_batch++].pidfd = fd;
                } else if (fd == -EMFILE || fd == -ENFILE)
                        return s->n_batch > 0 ? 0 : fd;
                else if (fd != -ESRCH)
                        signalling_fail(s, fd);
        }
        return 0;
}

/* Signals the opened processes that are still in the list. It was read after they were opened, so the number
 * belongs to the process of the pidfd, unless that has ended. Returns the number of processes that have
 * received it, or a negative errno. */
static int signalling_send(Signalling *s, const PidList *list) {
        const size_t n_before = s->done.n;
        int r = 0;

        for (size_t i = 0; i < s->n_batch; i++) {
                int fd = s->batch[i].pidfd, error = -ESRCH;

                if (pid_list_has(list, s->batch[i].pid))
                        error = pidfd_kill(fd, s->signo);
                if (error >= 0) {
                        s->n_sent++;
                        if (s->then_continue)
                                (void) pidfd_kill(fd, SIGCONT);
                } else if (error != -ESRCH)
                        signalling_fail(s, error);
                if (error != -ESRCH && r >= 0)
                        r = pid_list_add(&s->done, s->batch[i].pid);
                (void) fd_close(fd);
        }
        s->n_batch = 0;
        pid_list_sort(&s->done);
        return r < 0 ? r : (int) (s->done.n - n_before);
}

/* Reads the list again and again until it contains no process without the signal: a process that is forked
 * while the others are signalled must not be missed. */
static int signalling_run(Signalling *s, int directory_fd) {
        _cleanup_(pid_list_clear) PidList list = { 0 };
        size_t passes_max = PASSES_MAX;
        int r, n_sent;

        for (size_t pass = 0; pass < passes_max; pass++) {
                list.n = 0;
                r = pid_list_read_tree(&list, directory_fd, 0);
                if (r == -E2BIG)
                        signalling_fail(s, r); /* the others receive it */
                else if (r < 0)
                        return r;
                pid_list_sort(&list);
                if (pass == 0)
                        passes_max += list.n / BATCH_MAX;

                n_sent = signalling_send(s, &list);
                if (n_sent < 0)
                        return n_sent;
                r = signalling_open(s, &list);
                if (r < 0)
                        return r;
                if (n_sent == 0 && s->n_batch == 0)
                        break;
        }
        return 0;
}

/* A frozen process can be killed, but does not fork, so that no fork escapes between two passes. */
static void cgroup_freeze(int directory_fd, bool freeze) {
        autofd fd = openat(directory_fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);

        if (fd >= 0)
                (void) write(fd, freeze ? "1" : "0", 1);
}

int cgroup_signal(const char *path, int signo, uint32_t flags, uint64_t not_before) {
        _cleanup_(signalling_clear) Signalling s = { .signo = signo, .not_before = not_before };
        autofd directory_fd = -EBADF;
        bool freeze = false, killed = false;
        int r;

        if (signo <= 0 || signo > SIGRTMAX)
                return -EINVAL;
        directory_fd = cgroup_open(path);
        if (directory_fd < 0)
                return directory_fd;
        r = not_before > 0 ? signalling_check(&s, directory_fd) : 0;
        if (r < 0)
                return r;

        if (signo == SIGKILL && !cgroup_has_keeper(path)) {
                /* Before the others, because it needs no permission to signal a process. */
                r = cgroup_kill(path);
                if (r != -EOPNOTSUPP && (r < 0 || !(flags & KEEPER_CGROUP_EACH)))
                        return r;
                freeze = true;
                killed = r >= 0;
        }

        s.then_continue = (flags & KEEPER_CGROUP_CONTINUE) && signo != SIGKILL && signo != SIGCONT;
        if (freeze)
                cgroup_freeze(directory_fd, true);
        r = signalling_run(&s, directory_fd);
        if (freeze)
                cgroup_freeze(directory_fd, false);

        if (r < 0 || killed)
                return r;
        if (s.error < 0)
                return s.error;
        return s.n_sent > 0 ? 0 : -ESRCH;
}

int process_signal(int pid, uint64_t start_time, int signo) {
        struct proc_stat st;
        autofd fd = -EBADF;
        int r;

        if (signo <= 0 || signo > SIGRTMAX)
                return -EINVAL;
        if (pid <= 1 || pid == getpid())
                return -EPERM;
        fd = pidfd_open_pid(pid);
        if (fd < 0)
                return fd;
        /* Read after it was opened: if this is another process, that of the pidfd has ended. */
        r = proc_stat_read(pid, &st);
        if (r < 0)
                return r;
        return st.start_time == start_time ? pidfd_kill(fd, signo) : -ESRCH;
}
