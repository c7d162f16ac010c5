/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Look-ups of users in the databases of users and groups. They may answer late, or never, so the keeper has a
 * process of its own ask them.
 *
 * Of one caller, one look-up is under way at a time; the others wait here in their order, so that a user who
 * waits for a slow database delays nobody else. */

#include <sys/types.h>

#include "model/account.h"
#include "model/fault.h"
#include "model/model-forward.h"

/* Called once, later than account_query_new() returns, and not after account_query_free(). It must free the
 * query. account is NULL if there is a fault, and belongs to the function that calls this. */
typedef void (*AccountFound)(void *userdata, const Account *account, const Fault *fault);

Accounts *accounts_open(Node *node);
/* Answers all queries by ShuttingDown. Returns NULL. */
Accounts *accounts_close(Accounts *accounts);

/* Looks up a user and a group, each a name or a number; group may be NULL. caller is the uid of whoever wants
 * to know it. The fault names the user, the reason and the remedy. */
AccountQuery *account_query_new(Accounts *accounts, uid_t caller, const char *user, const char *group,
        AccountFound found, void *userdata);
AccountQuery *account_query_free(AccountQuery *query); /* returns NULL */

/* The answer to LinkOps.look_up(): the account, or a negative errno as in struct keeper_looked_up of
 * proto/keeper-protocol.h, -ENOTCONN without a keeper, or -EOPNOTSUPP if the keeper is too old. */
void account_on_found(AccountQuery *query, int error, const Account *account);
