/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every error of the node, with its errno. The enum, the D-Bus names and the SD_BUS_ERROR_MAP are generated
 * from this list. Uses libc only. */

#include "base/string-table.h"

#define NODE_ERROR_PREFIX "org.architect.Node.Error."

#define NODE_ERRORS(X) \
        X(NO_SUCH_ROLE, NODE_ERROR_PREFIX "NoSuchRole", ENOENT) \
        X(NO_SUCH_DEFINITION, NODE_ERROR_PREFIX "NoSuchDefinition", ENOENT) \
        X(BAD_DEFINITION, NODE_ERROR_PREFIX "BadDefinition", EBADMSG) \
        X(ROLE_EXISTS, NODE_ERROR_PREFIX "RoleExists", EEXIST) \
        X(ROLE_NOT_RUNNING, NODE_ERROR_PREFIX "RoleNotRunning", ESRCH) \
        X(ROLE_RUNNING, NODE_ERROR_PREFIX "RoleRunning", EBUSY) \
        X(ROLE_FROZEN, NODE_ERROR_PREFIX "RoleFrozen", EBUSY) \
        X(INVALID_ROLE_NAME, NODE_ERROR_PREFIX "InvalidRoleName", EINVAL) \
        X(START_CANCELLED, NODE_ERROR_PREFIX "StartCancelled", ECANCELED) \
        X(START_TIMED_OUT, NODE_ERROR_PREFIX "StartTimedOut", ETIME) \
        X(START_FAILED, NODE_ERROR_PREFIX "StartFailed", ECHILD) \
        X(DEPENDENCY_FAILED, NODE_ERROR_PREFIX "DependencyFailed", ENOLINK) \
        X(STOP_TIMED_OUT, NODE_ERROR_PREFIX "StopTimedOut", ETIMEDOUT) \
        X(NO_SUCH_LEASE, NODE_ERROR_PREFIX "NoSuchLease", ENOKEY) \
        X(LEASE_TAKEN, NODE_ERROR_PREFIX "LeaseTaken", EBUSY) \
        X(LEASE_REQUIRED, NODE_ERROR_PREFIX "LeaseRequired", EPERM) \
        X(STALE_TOKEN, NODE_ERROR_PREFIX "StaleToken", ESTALE) \
        X(NO_INPUT, NODE_ERROR_PREFIX "NoInput", EPIPE) \
        X(INPUT_FULL, NODE_ERROR_PREFIX "InputFull", ENOBUFS) \
        X(NO_TERMINAL, NODE_ERROR_PREFIX "NoTerminal", ENOTTY) \
        X(NO_SUCH_VARIABLE, NODE_ERROR_PREFIX "NoSuchVariable", ENODATA) \
        X(NO_SUCH_PORT, NODE_ERROR_PREFIX "NoSuchPort", ENXIO) \
        X(PORTS_UNAVAILABLE, NODE_ERROR_PREFIX "PortsUnavailable", EADDRINUSE) \
        X(SETUP_FAILED, NODE_ERROR_PREFIX "SetupFailed", EIO) \
        X(EXEC_FAILED, NODE_ERROR_PREFIX "ExecFailed", ENOEXEC) \
        X(SCOPE_FAILED, NODE_ERROR_PREFIX "ScopeFailed", EREMOTEIO) \
        X(KEEPER_UNAVAILABLE, NODE_ERROR_PREFIX "KeeperUnavailable", EHOSTDOWN) \
        X(SHUTTING_DOWN, NODE_ERROR_PREFIX "ShuttingDown", ESHUTDOWN) \
        X(LIMIT_REACHED, NODE_ERROR_PREFIX "LimitReached", EDQUOT) \
        X(INVALID_ARGS, "org.freedesktop.DBus.Error.InvalidArgs", EINVAL) \
        X(ACCESS_DENIED, "org.freedesktop.DBus.Error.AccessDenied", EACCES) \
        X(INTERACTIVE_AUTHORIZATION_REQUIRED, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", \
                EACCES) \
        X(NOT_SUPPORTED, "org.freedesktop.DBus.Error.NotSupported", EOPNOTSUPP) \
        X(IO_ERROR, "org.freedesktop.DBus.Error.IOError", EIO)

typedef enum NodeError {
#define X(id, name, number) NODE_ERROR_##id,
        NODE_ERRORS(X)
#undef X
                _NODE_ERROR_MAX,
        _NODE_ERROR_INVALID = -EINVAL,
} NodeError;

DECLARE_STRING_TABLE(node_error, NodeError); /* ↔ D-Bus name */

/* Returns the positive errno. */
int node_error_to_errno(NodeError e);
