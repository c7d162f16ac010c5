/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the databases of users and groups say about the user as whom a role is to run. The service itself
 * reads no such database; account-query.h has the keeper do that. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "model/fault.h"
#include "model/model-forward.h"

struct Account {
        uid_t uid;
        gid_t gid;      /* of the group that was requested, or of the user */
        GArray *groups; /* of gid_t, all of the user */
        char *name;
        char *group; /* the name of gid, or its number */
        char *home;
        char *shell;
        bool expired;
        bool no_shell; /* its shell refuses logins */
};

Account *account_copy(const Account *account); /* of NULL is NULL */
Account *account_free(Account *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Account, account_free)

/* Returns whether the user is a member of the group that was requested. */
bool account_has_group(const Account *account);

/* Returns whether a process of this account may do nothing that this user may not do. */
bool account_is_own(const Account *account, uid_t uid);

/* Fails with AccessDenied if nothing may be started as this user: the account has expired, or it is that of
 * the caller, and its shell refuses logins. A service may run as such a user. */
int account_check(const Account *account, bool of_caller, Fault *fault);
