/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/account.h"

Account *account_copy(const Account *account) {
        if (!account)
                return NULL;

        Account *copy = g_new(Account, 1);
        *copy = *account;
        copy->groups = g_array_copy(account->groups);
        copy->name = g_strdup(account->name);
        copy->group = g_strdup(account->group);
        copy->home = g_strdup(account->home);
        copy->shell = g_strdup(account->shell);
        return copy;
}

Account *account_free(Account *account) {
        if (!account)
                return NULL;
        if (account->groups)
                g_array_unref(account->groups);
        g_free(account->name);
        g_free(account->group);
        g_free(account->home);
        g_free(account->shell);
        g_free(account);
        return NULL;
}

bool account_has_group(const Account *account) {
        for (unsigned i = 0; i < account->groups->len; i++)
                if (g_array_index(account->groups, gid_t, i) == account->gid)
                        return true;
        return false;
}

bool account_is_own(const Account *account, uid_t uid) {
        return account->uid == uid && account_has_group(account);
}

int account_check(const Account *account, bool of_caller, Fault *fault) {
        if (account->expired)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "The account of user \"%s\" has expired (chage(1))", account->name);
        if (of_caller && account->no_shell)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "User \"%s\" may not log in: the shell is %s", account->name, account->shell);
        return 0;
}
