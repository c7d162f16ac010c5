/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-user.h"

/* logind does not remove the IPC objects of users up to this uid, as of all users of the system. */
#define SYSTEM_UID_MAX 999U
#define LOGIND_USERS "/run/systemd/users" /* exists while logind runs */
#define LOGIND_LINGER "/var/lib/systemd/linger"
#define LOGIND_CONF_MAX (64 * 1024)

/* According to getpwnam(3) sources differ. */
bool nss_means_no_entry(int error) {
        return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

bool id_parse(const char *s, uint32_t *ret) {
        return parse_u32(s, ret) >= 0 && *ret != UINT32_MAX;
}

static char *identity_copy(int gate_fd, const char *s, const char *fallback) {
        char *copy = strdup(s && *s ? s : fallback);

        if (!copy)
                gate_fail(
                        gate_fd, LAUNCH_STAGE_USER, -ENOMEM, "cannot look up the user: %s", strerror(ENOMEM));
        return copy;
}

/* Root is in the file, whatever else knows the users, so neither a name service that does not answer nor the
 * search for the right one delays a role of root. systemd does not look root up either (get_user_creds() in
 * its user-util.c). */
static const struct passwd *passwd_find_root(void) {
        FILE *f = fopen("/etc/passwd", "re");
        const struct passwd *pw = NULL;

        if (!f)
                return NULL;
        do
                pw = fgetpwent(f);
        while (pw && pw->pw_uid != 0);
        (void) fclose(f);
        return pw;
}

static const struct passwd *passwd_find(const char *user, bool numeric, uid_t uid) {
        const struct passwd *pw = !user && uid == 0 ? passwd_find_root() : NULL;

        errno = 0;
        return pw ?: !user || numeric ? getpwuid(uid) : getpwnam(user);
}

static void identity_find_user(int gate_fd, const char *user, struct identity *ret) {
        uint32_t uid = getuid();
        bool numeric = !user || id_parse(user, &uid);

        const struct passwd *pw = passwd_find(user, numeric, uid);
        if (!pw && !nss_means_no_entry(errno)) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_USER, -error, "cannot look up user %s: %s",
                        user ? QUOTED(user) : "", strerror(error));
        }
        if (!pw && !numeric)
                gate_fail(gate_fd, LAUNCH_STAGE_USER, -ESRCH, "user %s does not exist", QUOTED(user));

        ret->has_groups = user && pw;
        ret->uid = pw ? pw->pw_uid : uid;
        /* A number without an entry is its own group, as in a container. It never gets the group of the
         * keeper. */
        ret->gid = !user ? getgid() : pw ? pw->pw_gid : uid;
        ret->home = identity_copy(gate_fd, pw ? pw->pw_dir : NULL, "/");
        ret->shell = identity_copy(gate_fd, pw ? pw->pw_shell : NULL, "/bin/sh");
        if (pw)
                (void) snprintf(ret->name, sizeof(ret->name), "%s", pw->pw_name);
        else
                (void) snprintf(ret->name, sizeof(ret->name), "%u", uid);
}

static gid_t identity_find_group(int gate_fd, const char *group) {
        const struct group *gr;
        uint32_t gid;

        if (id_parse(group, &gid))
                return gid;

        errno = 0;
        gr = getgrnam(group);
        if (!gr && !nss_means_no_entry(errno)) {
                int error = errno;

                gate_fail(gate_fd, LAUNCH_STAGE_USER, -error, "cannot look up group %s: %s", QUOTED(group),
                        strerror(error));
        }
        if (!gr)
                gate_fail(gate_fd, LAUNCH_STAGE_USER, -ESRCH, "group %s does not exist", QUOTED(group));

        return gr->gr_gid;
}

/* Somebody has decided about this uid, so it is not looked up again by its name. */
static void identity_take_account(int gate_fd, const LaunchAccount *account, struct identity *ret) {
        ret->account = account;
        ret->uid = account->uid;
        ret->gid = account->gid;
        ret->has_groups = true;
        ret->home = identity_copy(gate_fd, account->home, "/");
        ret->shell = identity_copy(gate_fd, account->shell, "/bin/sh");
        if ((size_t) snprintf(ret->name, sizeof(ret->name), "%s", account->name) >= sizeof(ret->name))
                gate_fail(gate_fd, LAUNCH_STAGE_USER, -ENAMETOOLONG, "the name of user %u is too long",
                        account->uid);
}

void identity_find(int gate_fd, const LaunchRequest *request, struct identity *ret) {
        *ret = (struct identity){ 0 };

        if (request->account)
                identity_take_account(gate_fd, request->account, ret);
        else {
                identity_find_user(gate_fd, request->user, ret);
                if (request->group)
                        ret->gid = identity_find_group(gate_fd, request->group);
        }
        /* The system calls would take it for "no change", so the role would remain what the keeper is. */
        if (ret->uid == UINT32_MAX || ret->gid == UINT32_MAX)
                gate_fail(gate_fd, LAUNCH_STAGE_USER, -EINVAL,
                        "user %s has the %s %u, which is no valid number; correct the entry in the user database",
                        QUOTED(ret->name), ret->uid == UINT32_MAX ? "uid" : "gid", UINT32_MAX);

        /* Without privileges a change to the own user is no change, and setgroups() would refuse it. */
        ret->change = (request->account || request->user || request->group) &&
                      (geteuid() == 0 || ret->uid != getuid() || ret->gid != getgid());
        if (ret->change && geteuid() != 0)
                gate_fail(gate_fd, LAUNCH_STAGE_USER, -EPERM,
                        "cannot become user %s (uid %u, group %u): this service does not run as root, its roles run as uid %u, group %u",
                        QUOTED(ret->name), ret->uid, ret->gid, getuid(), getgid());
}

/* Returns the RemoveIPC= of logind.conf(5), which is on by default. Of several files the last one counts. */
static bool logind_removes_ipc(void) {
        static const char *const patterns[] = {
                "/etc/systemd/logind.conf",
                "/usr/lib/systemd/logind.conf.d/*.conf",
                "/run/systemd/logind.conf.d/*.conf",
                "/etc/systemd/logind.conf.d/*.conf",
        };
        bool removes = true;
        glob_t found = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(patterns); i++)
                (void) glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &found);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                _cleanup_free_ char *text = NULL;

                if (file_read(AT_FDCWD, found.gl_pathv[i], LOGIND_CONF_MAX, &text, NULL) < 0)
                        continue;
                for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
                        char value[16];

                        if (sscanf(line, " RemoveIPC = %15s", value) == 1)
                                removes = !strchr("nNfF0", value[0]) && strcasecmp(value, "off") != 0;
                }
        }
        globfree(&found);
        return removes;
}

void identity_note_ipc(int gate_fd, const struct identity *who) {
        char path[sizeof(LOGIND_LINGER) + sizeof(who->name) + 1];

        (void) snprintf(path, sizeof(path), LOGIND_LINGER "/%s", who->name);
        if (!who->change || who->uid <= SYSTEM_UID_MAX || access(LOGIND_USERS, F_OK) < 0 ||
                access(path, F_OK) >= 0 || !logind_removes_ipc())
                return;
        gate_warn(gate_fd, LAUNCH_STAGE_USER, 0,
                "When the last session of user %s ends, logind removes the shared memory, semaphores and message queues of this user, also those of running roles; \"loginctl enable-linger\" for the user prevents that (RemoveIPC= in logind.conf(5))",
                QUOTED(who->name));
}

static void identity_check(const ExecParameters *p, const struct identity *who, const char *what, int r) {
        int error = errno;

        if (r < 0)
                gate_fail(p->gate_fd, LAUNCH_STAGE_USER, -error, "cannot %s user %s: %s", what,
                        QUOTED(who->name), strerror(error));
        if (exec_die_with(p->keeper_pid) < 0)
                _exit(EXEC_FAILED);
}

void identity_take_groups(const ExecParameters *p, const struct identity *who) {
        int r;

        if (!who->change) {
                /* A service of systemd has no groups, but a shell of root has. The user did not request this,
                 * so it may fail. */
                if (geteuid() == 0 && getgroups(0, NULL) == 0)
                        (void) setgroups(1, &who->gid);
                return;
        }

        if (who->account)
                r = setgroups(who->account->n_groups, who->account->groups);
        else
                r = who->has_groups ? initgroups(who->name, who->gid) : setgroups(1, &who->gid);
        identity_check(p, who, "take the groups of", r);
        identity_check(p, who, "take the group of", setresgid(who->gid, who->gid, who->gid));
}

void identity_borrow(const ExecParameters *p, const struct identity *who) {
        if (who->change)
                identity_check(p, who, "become", seteuid(who->uid));
}

void identity_return(const ExecParameters *p, const struct identity *who) {
        if (who->change)
                identity_check(p, who, "come back from", seteuid(getuid()));
}

void identity_become(const ExecParameters *p, const struct identity *who) {
        if (who->change)
                identity_check(p, who, "become", setresuid(who->uid, who->uid, who->uid));
}
