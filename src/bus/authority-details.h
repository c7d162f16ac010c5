/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a call is about to do, and what polkit is told about it, for its rules and for the person who is
 * asked. */

#include <glib.h>
#include <stdbool.h>

#include "base/string-table.h"
#include "model/model-forward.h"

/* Actions of polkit. data/org.architect.node.policy has the same list. */
typedef enum NodeAction {
        NODE_ACTION_START_DEFINED_ROLE,
        NODE_ACTION_START_ROLE,
        NODE_ACTION_START_ROLE_AS,
        NODE_ACTION_MANAGE_OWN,
        NODE_ACTION_MANAGE_ROLES,
        NODE_ACTION_MANAGE_PORTS,
        NODE_ACTION_MANAGE_ENVIRONMENT,
        NODE_ACTION_MONITOR,
        NODE_ACTION_LOG,
        NODE_ACTION_SHUTDOWN,
        _NODE_ACTION_MAX,
        _NODE_ACTION_INVALID = -EINVAL,
} NodeAction;

DECLARE_STRING_TABLE(node_action, NodeAction); /* ↔ the name at polkit */

/* The roles that a call is about. */
typedef enum AuthorityRoles {
        AUTHORITY_ROLES_LISTED, /* those of the request, if any */
        AUTHORITY_ROLES_ENDED,
        AUTHORITY_ROLES_LIVING,
} AuthorityRoles;

/* A role that is about to be started. */
typedef struct AuthorityStart {
        const char *name;
        const RoleSpec *spec;
        const Account *account; /* as whom it will run */
        const char *options;    /* the names of those that were given, sorted, with a space between them */
} AuthorityStart;

/* What a call is about to do. */
typedef struct AuthorityRequest {
        /* MANAGE_ROLES becomes MANAGE_OWN where that is sufficient. _NODE_ACTION_INVALID is not permitted to
         * anybody but root. */
        NodeAction action;
        const char *doing;  /* for messages, like "stop roles" */
        Role *role;         /* the role, or NULL */
        char *const *names; /* or the names of roles, or NULL */
        AuthorityRoles roles;
        const AuthorityStart *start; /* or this, else NULL */
        const char *lease;           /* or this, else NULL */
} AuthorityRequest;

typedef struct AuthorityDetails {
        char **pairs; /* names and values in turn */
        char *runs;   /* identifies the runs of the roles, with their owners and uids */
        bool own;     /* all of them are the caller's: owner and uid are */
} AuthorityDetails;

/* Returns what polkit calls a method, "send-input" for SendInput, "signal" for SignalWithOptions. The caller
 * frees it. */
char *authority_verb(const char *member);

/* verb may be NULL; uid is that of the caller. */
void authority_details_set(
        AuthorityDetails *details, Node *node, const AuthorityRequest *request, const char *verb, uid_t uid);
void authority_details_clear(AuthorityDetails *details);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AuthorityDetails, authority_details_clear)
