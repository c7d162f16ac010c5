/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A lease is a name that a manager holds as long as it beats, with a deadline, an owner and roles of its own.
 * Two managers on one node do not disturb each other by it, and one that was cut off cannot act when it comes
 * back: each of its calls names the lease with a fencing token, and a token that is lower than the highest
 * that was used is refused with StaleToken. 0 is no exception: it means "no fencing" only until another token
 * was used.
 *
 * The rules. Who acquires a lease is its owner, by uid. The owner, and root, may use it; for others it is
 * taken (LeaseTaken) until it expires or is released, which leaves the token as it is. When it expires, its
 * roles get their on-monitor-loss. What changes a role of a lease names that lease, or is refused with
 * LeaseRequired; only root can force it.
 *
 * What is saved. The file "leases" in the runtime directory has who holds which lease until when, as the file
 * "monitor" has it, and goes at a clean end. The file "lease-tokens" in the state directory has the highest
 * token of each lease. It is synced to the disk before the call is answered, and it survives a clean end and
 * a reboot. If that file is damaged, nobody knows which tokens are stale: it is renamed to
 * "lease-tokens.damaged", and until somebody has removed that, because no old manager is left, a lease whose
 * token is not known cannot be acquired (StaleToken). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/beat-deadline.h"
#include "model/caller.h"
#include "model/fault.h"
#include "model/model-forward.h"

typedef struct Lease {
        char *name;
        char *what; /* for the log */
        Leases *leases;
        uid_t uid;             /* of its owner, or of the last one */
        uint64_t token;        /* the highest that was used */
        BeatDeadline deadline; /* armed while it is held */
} Lease;

/* How a call uses a lease: what its options "lease", "fencing-token" and "force" say. */
typedef struct LeaseUse {
        const char *lease; /* NULL: it names none */
        uint64_t token;
        bool token_given;
        bool force;
        /* No caller uses it, but the restart policy of a role: the lease has to be held, by whomever. */
        bool automatic;
} LeaseUse;

/* A negative dir_fd saves nothing (for tests). With a dir_fd, but without a directory for the tokens,
 * state_fd is a negative errno, and no lease can be acquired. The timers start with leases_resume(). Neither
 * descriptor is owned. */
Leases *leases_open(Node *node, int dir_fd, int state_fd);
Leases *leases_close(Leases *leases); /* NULL is allowed */
void leases_resume(Leases *leases);

/* Acquires the lease, or renews it: the next beat is due within the timeout. Fail with StaleToken,
 * LeaseTaken, LimitReached, InvalidArgs or IOError. */
int leases_acquire(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec,
        const Caller *caller, Fault *fault);
/* The same, but does not change the owner of a lease that is held. */
int leases_beat(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec, const Caller *caller,
        Fault *fault);
/* Its roles run on. Fails with NoSuchLease, StaleToken, LeaseTaken or IOError. */
int leases_release(Leases *leases, const char *name, uint64_t token, const Caller *caller, Fault *fault);

bool leases_is_held(const Leases *leases, const char *name);
/* NULL if nobody holds it and it has no token. */
const Lease *leases_find(const Leases *leases, const char *name);
/* Of strings, sorted: the leases that are held, have a token or have a role. The caller unrefs it. */
GPtrArray *leases_list_names(const Leases *leases);
/* The names of the roles of the lease, sorted. The caller unrefs it. */
GPtrArray *leases_list_roles(const Leases *leases, const char *name);
/* Returns whether there are leases that cannot be acquired, because their tokens are lost. */
bool leases_have_lost_tokens(Leases *leases);

/* Checks what the call says of itself, before it is looked at its roles: whether the caller may use the lease
 * that it names, with this token. A higher one is noted, as by a beat. Fails with NoSuchLease, LeaseTaken,
 * StaleToken, AccessDenied for "force" of somebody else than root, InvalidArgs or IOError. */
int lease_use_check(const LeaseUse *use, Node *node, const Caller *caller, Fault *fault);

/* After that: whether the call may change this role. Fails with LeaseRequired. use may be NULL. */
int lease_use_check_role(const LeaseUse *use, const Role *role, Fault *fault);

/* Whether the call may start a role of this name with the lease, which is NULL if it has none. Checks the
 * lease as lease_use_check() does; a call that names none uses that of the role. */
int lease_use_check_start(const LeaseUse *use, Node *node, const char *role, const char *lease,
        const Caller *caller, Fault *fault);

/* The lease has expired, which NodeReports.lease_expired() is told. Ends it; it is saved by the second one,
 * only together with what becomes of its roles, as for the monitor: if this process dies in between, the next
 * one finds no beat either. */
void leases_end(Leases *leases, const char *name);
void leases_save_ended(Leases *leases);

/* Removes the file of those that are held, at a clean end. */
void leases_forget(Leases *leases);
