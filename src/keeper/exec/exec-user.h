/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who a role is: looked up by NSS, here and nowhere else. All of it fails through the gate. */

#include <stdbool.h>
#include <sys/types.h>

#include "keeper/exec/exec-parameters.h"
#include "proto/launch-request.h"

struct identity {
        uid_t uid;
        gid_t gid;
        bool change;    /* something else than we are was asked for */
        char name[256]; /* the user's, or its number */
        char *home;
        char *shell;
        bool has_groups; /* a user was asked for who may be in more groups than one */
};

void identity_find(int gate_fd, const LaunchRequest *request, struct identity *ret);

/* Groups first, while we may. */
void identity_take_groups(const ExecParameters *p, const struct identity *who);

/* The role's user for a while, to open what it is to open with its own rights. */
void identity_borrow(const ExecParameters *p, const struct identity *who);
void identity_return(const ExecParameters *p, const struct identity *who);

/* For good. */
void identity_become(const ExecParameters *p, const struct identity *who);
