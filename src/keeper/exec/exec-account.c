/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "keeper/exec/exec-account.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-user.h"

#define SEC_PER_DAY 86400

/* A name that is cut would be the name of somebody else. */
static int account_copy(char *to, size_t size, const char *from, const char *fallback) {
        const char *s = from && *from ? from : fallback;

        return (size_t) snprintf(to, size, "%s", s) < size ? 0 : -ENAMETOOLONG;
}

/* The shells for which systemd, too, takes an account for one without logins. */
static bool shell_refuses_logins(const char *shell) {
        static const char *const names[] = { "nologin", "false", "true" };
        const char *slash = strrchr(shell, '/');

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(slash ? slash + 1 : shell, names[i]) == 0)
                        return true;
        return false;
}

/* As pam_unix(8) decides in the account phase, but for a password that must be changed at the next login. An
 * account without an entry in shadow(5) does not expire. */
static int account_has_expired(const char *name, bool *ret) {
        const struct spwd *sp;
        long today = (long) (time(NULL) / SEC_PER_DAY), age;

        errno = 0;
        sp = getspnam(name);
        if (!sp)
                return nss_means_no_entry(errno) ? 0 : -errno;
        age = today - sp->sp_lstchg;
        *ret = (sp->sp_expire >= 0 && today >= sp->sp_expire) ||
               (sp->sp_lstchg > 0 && sp->sp_max >= 0 && sp->sp_inact >= 0 && age > sp->sp_max &&
                       age > sp->sp_max + sp->sp_inact);
        return 0;
}

static int account_find_user(const char *user, struct keeper_looked_up *ret) {
        const struct passwd *pw;
        bool expired = false;
        uint32_t uid;
        int r;

        errno = 0;
        pw = id_parse(user, &uid) ? getpwuid(uid) : getpwnam(user);
        if (!pw)
                return nss_means_no_entry(errno) ? -ESRCH : -errno;
        ret->uid = pw->pw_uid;
        ret->gid = pw->pw_gid;
        r = account_copy(ret->name, sizeof(ret->name), pw->pw_name, "");
        if (r >= 0)
                r = account_copy(ret->home, sizeof(ret->home), pw->pw_dir, "/");
        if (r >= 0)
                r = account_copy(ret->shell, sizeof(ret->shell), pw->pw_shell, "/bin/sh");
        if (r >= 0)
                r = account_has_expired(ret->name, &expired);
        if (r < 0)
                return r;
        ret->flags = (expired ? KEEPER_ACCOUNT_EXPIRED : 0) |
                     (shell_refuses_logins(ret->shell) ? KEEPER_ACCOUNT_NO_SHELL : 0);
        return 0;
}

static int account_find_groups(struct keeper_looked_up *ret) {
        gid_t groups[KEEPER_ACCOUNT_GROUPS_MAX];
        int n = ELEMENTSOF(groups);

        if (getgrouplist(ret->name, ret->gid, groups, &n) < 0)
                return -E2BIG;
        for (int i = 0; i < n; i++)
                ret->groups[i] = groups[i];
        ret->n_groups = (uint32_t) n;
        return 0;
}

/* The group of the user need not have a name. */
static int account_find_group(const char *group, struct keeper_looked_up *ret) {
        const struct group *gr;
        uint32_t gid = ret->gid;
        char number[16];
        bool numeric = !*group || id_parse(group, &gid);

        errno = 0;
        gr = numeric ? getgrgid(gid) : getgrnam(group);
        if (!gr && !nss_means_no_entry(errno))
                return -errno;
        if (!gr && *group)
                return -ENOENT;
        ret->gid = gr ? gr->gr_gid : gid;
        (void) snprintf(number, sizeof(number), "%u", gid);
        return account_copy(ret->group, sizeof(ret->group), gr ? gr->gr_name : NULL, number);
}

void account_look_up(const char *user, const char *group, struct keeper_looked_up *ret) {
        int r;

        r = account_find_user(user, ret);
        if (r >= 0)
                r = account_find_groups(ret);
        if (r >= 0)
                r = account_find_group(group, ret);
        ret->error = r < 0 ? r : 0;
        if (r < 0)
                ret->n_groups = 0;
}

void account_invoke(pid_t keeper_pid, int fd, const struct keeper_lookup *request) {
        struct keeper_looked_up result = { .header = { .type = KEEPER_LOOKED_UP,
                                                   .child = request->header.child } };
        sigset_t none;

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        if (exec_die_with(keeper_pid) < 0 || fd_close_all_except(&fd, 1) < 0)
                _exit(EXEC_FAILED);
        (void) prctl(PR_SET_NAME, "(lookup)");
        account_look_up(request->user, request->group, &result);
        _exit(socket_send(fd, &result, keeper_looked_up_size(result.n_groups), NULL, 0) < 0 ? EXEC_FAILED
                                                                                            : 0);
}
