/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The identity of a role. The functions with a role fail through the gate. NSS is used here and in
 * exec-account.c only. */

#include <stdbool.h>
#include <sys/types.h>

#include "keeper/exec/exec-parameters.h"
#include "proto/launch-request.h"

struct identity {
        uid_t uid;
        gid_t gid;
        bool change;    /* another identity than that of the keeper was requested */
        char name[256]; /* of the user, or its number */
        char *home;
        char *shell;
        bool has_groups;              /* a user was requested, who may be a member of several groups */
        const LaunchAccount *account; /* the request contains all this; else NULL */
};

/* Returns whether this is an error of NSS for an entry that does not exist. */
bool nss_means_no_entry(int error);
/* Parses a number. -1 is refused, because the system calls take it for "no change". */
bool id_parse(const char *s, uint32_t *ret);

void identity_find(int gate_fd, const LaunchRequest *request, struct identity *ret);

/* Sends a notice if logind removes the IPC objects of this user at the end of a session, those of the role
 * included. */
void identity_note_ipc(int gate_fd, const struct identity *who);

/* Sets the groups first, while the process has the privilege. */
void identity_take_groups(const ExecParameters *p, const struct identity *who);

/* Takes the identity of the role temporarily, to open files with the rights of the role. */
void identity_borrow(const ExecParameters *p, const struct identity *who);
void identity_return(const ExecParameters *p, const struct identity *who);

/* Changes the identity permanently. */
void identity_become(const ExecParameters *p, const struct identity *who);
