/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/unit-name.h"
#include "model/leases.h"
#include "model/node.h"
#include "model/role-log.h"
#include "model/settings.h"
#include "model/state-fields.h"
#include "util/log.h"

#define LEASES_VERSION 1U
#define TOKENS_VERSION 1U
#define TOKENS_NAME "lease-tokens"
#define TOKENS_ASIDE ".damaged"

static const StateFile leases_file = {
        .name = "leases",
        .max = 256U * 1024U,
        .what = "the saved list of leases",
        .consequence = "; nobody holds a lease until it is acquired again",
};

static const StateFile tokens_file = {
        .name = TOKENS_NAME,
        .max = 256U * 1024U,
        .what = "the fencing tokens of leases",
        .consequence = "; leases whose token is not known cannot be acquired until that file is removed",
        .aside = TOKENS_ASIDE,
        .durable = true,
};

struct Leases {
        Node *node;
        int dir_fd, state_fd;           /* not owned; see leases_open() */
        bool tokens_lost;               /* see leases_have_lost_tokens() */
        bool tokens_aside;              /* the damaged file was there when they were loaded */
        GHashTable *table;              /* name → Lease, owned; held, or with a token */
        char *unknown, *unknown_tokens; /* fields of a newer version */
};

static bool lease_is_held(const Lease *lease) {
        return lease->deadline.usec != 0;
}

/* -- the table -- */

static void lease_on_expired(void *data);

static void lease_free(void *p) {
        Lease *lease = p;

        beat_deadline_done(&lease->deadline);
        g_free(lease->name);
        g_free(lease->what);
        g_free(lease);
}

static Lease *leases_get(Leases *leases, const char *name) {
        Lease *lease = g_hash_table_lookup(leases->table, name);

        if (lease)
                return lease;
        lease = g_new0(Lease, 1);
        lease->name = g_strdup(name);
        lease->what = g_strdup_printf("lease \"%s\"", name);
        lease->leases = leases;
        beat_deadline_init(&lease->deadline, leases->node->event, lease->what, lease_on_expired, lease);
        (void) g_hash_table_insert(leases->table, lease->name, lease);
        return lease;
}

/* What has nothing to remember is forgotten. */
static void leases_drop_idle(Leases *leases, Lease *lease) {
        if (!lease_is_held(lease) && lease->token == 0)
                (void) g_hash_table_remove(leases->table, lease->name);
}

/* -- the disk -- */

/* The words of a line begin with a name; the others are numbers. */
static Lease *leases_parse_line(Leases *leases, const char *line, uint64_t *numbers, unsigned n) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);

        if (g_strv_length(words) != n + 1 || !role_name_is_valid(words[0]))
                return NULL;
        for (unsigned i = 0; i < n; i++)
                if (parse_u64(words[i + 1], &numbers[i]) < 0)
                        return NULL;
        return numbers[0] < UINT32_MAX ? leases_get(leases, words[0]) : NULL; /* the uid */
}

/* NAME UID TOKEN */
static int leases_parse_tokens(void *userdata, StateFields *fields) {
        Leases *leases = userdata;
        g_auto(GStrv) lines = state_take_strv(fields, "TOKEN");

        for (char **line = lines; line && *line; line++) {
                uint64_t numbers[2];
                Lease *lease = leases_parse_line(leases, *line, numbers, ELEMENTSOF(numbers));

                if (!lease || lease->token != 0 || numbers[1] == 0)
                        return -EBADMSG;
                lease->uid = (uid_t) numbers[0];
                lease->token = numbers[1];
        }
        return state_fields_version(fields) == 0 ? -EBADMSG
                                                 : state_fields_end(fields, &leases->unknown_tokens);
}

/* NAME UID TOKEN TIMEOUT DEADLINE LAST_BEAT */
static int leases_parse(void *userdata, StateFields *fields) {
        Leases *leases = userdata;
        g_auto(GStrv) lines = state_take_strv(fields, "LEASE");

        for (char **line = lines; line && *line; line++) {
                uint64_t numbers[5];
                Lease *lease = leases_parse_line(leases, *line, numbers, ELEMENTSOF(numbers));

                if (!lease || lease_is_held(lease) || numbers[2] == 0 || numbers[3] == 0)
                        return -EBADMSG;
                lease->uid = (uid_t) numbers[0];
                lease->token = MAX(lease->token, numbers[1]);
                lease->deadline.armed_usec = numbers[2];
                lease->deadline.usec = numbers[3];
                lease->deadline.last_beat = numbers[4];
                lease->deadline.waiting = true;
        }
        return state_fields_version(fields) == 0 ? -EBADMSG : state_fields_end(fields, &leases->unknown);
}

/* Without a lease there is no file, as before the first one. */
static int leases_save(Leases *leases) {
        GString *s = state_fields_new("", LEASES_VERSION, leases->unknown);
        bool any = leases->unknown != NULL;
        GHashTableIter iter;
        const Lease *lease;

        g_hash_table_iter_init(&iter, leases->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &lease)) {
                const BeatDeadline *d = &lease->deadline;
                g_autofree char *line =
                        g_strdup_printf("%s %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, lease->name,
                                (unsigned) lease->uid, lease->token, d->armed_usec, d->usec, d->last_beat);

                if (!lease_is_held(lease))
                        continue;
                state_put_string(s, "LEASE", line);
                any = true;
        }
        if (any)
                return state_file_save(&leases_file, leases->dir_fd, s);
        g_string_free(s, true);
        return leases->dir_fd >= 0 && unlinkat(leases->dir_fd, leases_file.name, 0) < 0 && errno != ENOENT
                       ? -errno
                       : 0;
}

static int leases_save_tokens(Leases *leases) {
        GString *s = state_fields_new("", TOKENS_VERSION, leases->unknown_tokens);
        GHashTableIter iter;
        const Lease *lease;

        g_hash_table_iter_init(&iter, leases->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &lease)) {
                g_autofree char *line =
                        g_strdup_printf("%s %u %" PRIu64, lease->name, (unsigned) lease->uid, lease->token);

                if (lease->token != 0)
                        state_put_string(s, "TOKEN", line);
        }
        return state_file_save(&tokens_file, leases->state_fd, s);
}

static bool leases_tokens_are_aside(const Leases *leases) {
        return faccessat(leases->state_fd, TOKENS_NAME TOKENS_ASIDE, F_OK, AT_SYMLINK_NOFOLLOW) >= 0 ||
               errno != ENOENT;
}

/* Whoever removes the file need not restart the service. Where it could not be renamed, no file says when the
 * old managers are gone. */
bool leases_have_lost_tokens(Leases *leases) {
        leases->tokens_lost =
                leases->tokens_lost && (!leases->tokens_aside || leases_tokens_are_aside(leases));
        return leases->tokens_lost;
}

static void leases_load_tokens(Leases *leases) {
        const bool damaged = state_file_load(&tokens_file, leases->state_fd, leases_parse_tokens, leases) ==
                             STATE_FILE_DAMAGED;

        if (damaged)
                g_hash_table_remove_all(leases->table);
        leases->tokens_aside = leases->state_fd >= 0 && leases_tokens_are_aside(leases);
        leases->tokens_lost = damaged || leases->tokens_aside;
        if (leases->tokens_lost)
                log_error("The fencing tokens of leases are lost: a lease whose token is not known cannot be "
                          "acquired until \"" TOKENS_NAME TOKENS_ASIDE
                          "\" is removed from the state directory, which says that no old manager is left");
}

/* What was read of it before the damage may be wrong, too. */
static void leases_load(Leases *leases) {
        if (state_file_load(&leases_file, leases->dir_fd, leases_parse, leases) != STATE_FILE_DAMAGED)
                return;
        g_hash_table_remove_all(leases->table);
        g_clear_pointer(&leases->unknown_tokens, g_free);
        (void) state_file_load(&tokens_file, leases->state_fd, leases_parse_tokens, leases);
}

Leases *leases_open(Node *node, int dir_fd, int state_fd) {
        Leases *leases = g_new0(Leases, 1);

        leases->node = node;
        leases->dir_fd = dir_fd;
        leases->state_fd = state_fd;
        leases->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lease_free);
        leases_load_tokens(leases);
        leases_load(leases);
        return leases;
}

Leases *leases_close(Leases *leases) {
        if (!leases)
                return NULL;
        g_hash_table_unref(leases->table);
        g_free(leases->unknown);
        g_free(leases->unknown_tokens);
        g_free(leases);
        return NULL;
}

void leases_resume(Leases *leases) {
        GHashTableIter iter;
        Lease *lease;

        g_hash_table_iter_init(&iter, leases->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &lease))
                beat_deadline_resume(&lease->deadline);
}

void leases_forget(Leases *leases) {
        state_file_forget(&leases_file, leases->dir_fd);
}

/* -- who may use it -- */

static int lease_check_token(const Lease *lease, uint64_t token, Fault *fault) {
        if (token >= lease->token)
                return 0;
        return fault_set(fault, NODE_ERROR_STALE_TOKEN,
                "The fencing token %" PRIu64 " of lease \"%s\" is stale: %" PRIu64
                " was used; another manager has taken over",
                token, lease->name, lease->token);
}

/* NULL is the service itself. */
static bool lease_is_of(const Lease *lease, const Caller *caller) {
        return !caller ||
               (caller->known && (caller->uid == lease->uid || !node_limits(lease->leases->node, caller)));
}

static int lease_check_owner(const Lease *lease, const Caller *caller, Fault *fault) {
        if (lease_is_of(lease, caller))
                return 0;
        return fault_set(fault, NODE_ERROR_LEASE_TAKEN, "Lease \"%s\" is held by uid %u", lease->name,
                (unsigned) lease->uid);
}

static int leases_check_name(const char *name, Fault *fault) {
        if (role_name_is_valid(name))
                return 0;
        g_autofree char *refused = role_spec_refuse_name("name of a lease", name);
        return fault_set(fault, NODE_ERROR_INVALID_ARGS, "%s", refused);
}

static int leases_fault_not_held(const char *name, Fault *fault) {
        return fault_set(fault, NODE_ERROR_NO_SUCH_LEASE, "Nobody holds the lease \"%s\"; acquire it", name);
}

/* A lease that is held, by the caller or while the caller is root, and a token that is not stale. */
static int leases_check_holder(
        Leases *leases, const char *name, uint64_t token, const Caller *caller, Lease **ret, Fault *fault) {
        Lease *lease = g_hash_table_lookup(leases->table, name);

        int r = lease ? lease_check_token(lease, token, fault) : 0;
        if (r < 0)
                return r;
        if (!lease || !lease_is_held(lease))
                return leases_fault_not_held(name, fault);
        r = lease_check_owner(lease, caller, fault);
        if (r >= 0)
                *ret = lease;
        return r;
}

static int leases_check_limits(Leases *leases, const char *name, const Caller *caller, Fault *fault) {
        const unsigned max = leases->node->settings->max_leases_per_user;
        unsigned n_all = 0, n_own = 0;
        GHashTableIter iter;
        const Lease *lease;

        g_hash_table_iter_init(&iter, leases->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &lease))
                if (!g_str_equal(lease->name, name)) {
                        n_all++;
                        n_own += lease->uid == caller->uid;
                }
        if (node_limits(leases->node, caller) && n_own >= max)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Lease \"%s\" cannot be acquired: uid %u has %u leases already, and may have %u (MaxLeasesPerUser=); those count, too, of which a token is remembered",
                        name, (unsigned) caller->uid, n_own, max);
        if (n_all >= NODE_MAX_LEASES)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Lease \"%s\" cannot be acquired: there are %u already; those count, too, of which a token is remembered",
                        name, n_all);
        return 0;
}

/* -- its changes -- */

/* Saved, and on the disk, before the call is answered and before anything is done with it. */
static int lease_raise_token(Lease *lease, uid_t uid, uint64_t token, Fault *fault) {
        Leases *leases = lease->leases;
        const uid_t old_uid = lease->uid;
        const uint64_t old = lease->token;

        if (token == old)
                return 0;
        lease->uid = uid;
        lease->token = token;
        int r = leases_save_tokens(leases);
        if (r >= 0)
                return 0;
        lease->uid = old_uid;
        lease->token = old;
        return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save the fencing token of lease \"%s\": %s",
                lease->name, g_strerror(-r));
}

static int leases_check_lost(Leases *leases, const char *name, const Lease *lease, Fault *fault) {
        if ((lease && (lease->token > 0 || lease_is_held(lease))) || !leases_have_lost_tokens(leases))
                return 0;
        return fault_set(fault, NODE_ERROR_STALE_TOKEN,
                "Lease \"%s\" cannot be acquired, because the saved fencing tokens were damaged, so nobody knows which are stale; when no old manager is left, remove \"" TOKENS_NAME
                        TOKENS_ASIDE "\" from the state directory",
                name);
}

static int leases_check_acquire(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec,
        const Caller *caller, Fault *fault) {
        const Lease *lease = g_hash_table_lookup(leases->table, name);

        int r = leases_check_name(name, fault);
        if (r < 0)
                return r;
        if (timeout_usec == 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The timeout of lease \"%s\" is 0, but must be a time; ReleaseLease gives it up",
                        name);
        if (!caller || !caller->known)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Lease \"%s\" cannot be acquired: the credentials of the caller are not known", name);
        if (leases->dir_fd >= 0 && leases->state_fd < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR,
                        "Lease \"%s\" cannot be acquired, because its fencing token cannot be kept: there is no state directory (%s)",
                        name, g_strerror(-leases->state_fd));
        r = leases_check_lost(leases, name, lease, fault);
        if (r >= 0 && lease)
                r = lease_check_token(lease, token, fault);
        if (r >= 0 && lease && lease_is_held(lease))
                r = lease_check_owner(lease, caller, fault);
        /* What the caller has already is renewed also if a lower limit has been set since. */
        if (r >= 0 && (!lease || lease->uid != caller->uid))
                r = leases_check_limits(leases, name, caller, fault);
        return r;
}

static void lease_log_acquired(const Lease *lease, const Caller *caller, bool was_held) {
        g_autofree char *within =
                lease->deadline.armed_usec == USEC_INFINITY
                        ? g_strdup("it does not expire")
                        : g_strdup_printf("the next beat is due within %g s",
                                  (double) lease->deadline.armed_usec / (double) USEC_PER_SEC);

        journal_node(lease->leases->node, NULL, LOG_INFO, caller,
                "Lease \"%s\" %s uid %u (fencing token %" PRIu64 "): %s", lease->name,
                was_held ? "is taken over by" : "is acquired by", (unsigned) lease->uid, lease->token,
                within);
}

static int leases_renew(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec,
        bool take_over, const Caller *caller, Fault *fault) {
        int r = leases_check_acquire(leases, name, token, timeout_usec, caller, fault);
        if (r < 0)
                return r;

        Lease *lease = leases_get(leases, name);
        const bool was_held = lease_is_held(lease);
        const uid_t uid = was_held && !take_over ? lease->uid : caller->uid, old_uid = lease->uid;
        const BeatDeadline old = lease->deadline;
        const bool news = !was_held || uid != old_uid;

        r = lease_raise_token(lease, uid, token, fault);
        if (r >= 0) {
                lease->uid = uid;
                beat_deadline_beat(&lease->deadline, timeout_usec);
                r = leases_save(leases);
                if (r < 0 && news) {
                        lease->uid = old_uid;
                        lease->deadline = old; /* its timer has not changed yet */
                        r = fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save lease \"%s\": %s", name,
                                g_strerror(-r));
                } else if (r < 0) {
                        /* As for the monitor, the beat is valid nevertheless. */
                        log_warning_errno(r, "Cannot save the deadline of lease \"%s\", ignoring: %m", name);
                        r = 0;
                }
        }
        if (r < 0) {
                leases_drop_idle(leases, lease);
                return r;
        }
        beat_deadline_arm(&lease->deadline);
        if (news)
                lease_log_acquired(lease, caller, was_held);
        return 0;
}

int leases_acquire(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec,
        const Caller *caller, Fault *fault) {
        return leases_renew(leases, name, token, timeout_usec, true, caller, fault);
}

int leases_beat(Leases *leases, const char *name, uint64_t token, uint64_t timeout_usec, const Caller *caller,
        Fault *fault) {
        return leases_renew(leases, name, token, timeout_usec, false, caller, fault);
}

int leases_release(Leases *leases, const char *name, uint64_t token, const Caller *caller, Fault *fault) {
        Lease *lease = NULL;

        int r = leases_check_name(name, fault);
        if (r >= 0)
                r = leases_check_holder(leases, name, token, caller, &lease, fault);
        if (r < 0)
                return r;
        g_assert(lease);
        r = lease_raise_token(lease, lease->uid, token, fault);
        if (r < 0)
                return r;
        const uint64_t deadline = lease->deadline.usec;
        lease->deadline.usec = 0;
        r = leases_save(leases);
        if (r < 0) {
                lease->deadline.usec = deadline;
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save that lease \"%s\" is released: %s",
                        name, g_strerror(-r));
        }
        beat_deadline_arm(&lease->deadline);
        journal_node(
                leases->node, NULL, LOG_INFO, caller, "Lease \"%s\" is released; its roles run on", name);
        leases_drop_idle(leases, lease);
        return 0;
}

static void lease_on_expired(void *data) {
        const Lease *lease = data;

        lease->leases->node->reports->lease_expired(lease->leases->node, lease->name);
}

void leases_end(Leases *leases, const char *name) {
        Lease *lease = g_hash_table_lookup(leases->table, name);

        lease->deadline.usec = 0;
        beat_deadline_arm(&lease->deadline);
        leases_drop_idle(leases, lease);
}

void leases_save_ended(Leases *leases) {
        int r = leases->node->finished ? 0 : leases_save(leases);
        if (r < 0)
                log_error_errno(r, "Cannot save the list of leases: %m");
}

/* -- what others ask -- */

bool leases_is_held(const Leases *leases, const char *name) {
        const Lease *lease = g_hash_table_lookup(leases->table, name);

        return lease && lease_is_held(lease);
}

const Lease *leases_find(const Leases *leases, const char *name) {
        return g_hash_table_lookup(leases->table, name);
}

static int lease_compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

GPtrArray *leases_list_names(const Leases *leases) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        const char *name;
        const Role *role;

        g_hash_table_iter_init(&iter, leases->table);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                (void) g_hash_table_add(seen, (char *) name);
        g_hash_table_iter_init(&iter, leases->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->spec->lease)
                        (void) g_hash_table_add(seen, role->spec->lease);
        g_hash_table_iter_init(&iter, seen);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, lease_compare_names);
        return names;
}

GPtrArray *leases_list_roles(const Leases *leases, const char *name) {
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        const Role *role;

        g_hash_table_iter_init(&iter, leases->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (g_strcmp0(role->spec->lease, name) == 0)
                        g_ptr_array_add(names, g_strdup(role->name));
        g_ptr_array_sort(names, lease_compare_names);
        return names;
}

/* -- the calls of a manager -- */

/* The lease that this call uses. */
static int leases_use(Leases *leases, const char *name, uint64_t token, const Caller *caller, Fault *fault) {
        Lease *lease = NULL;

        int r = leases_check_holder(leases, name, token, caller, &lease, fault);
        if (r < 0)
                return r;
        g_assert(lease);
        return lease_raise_token(lease, lease->uid, token, fault);
}

int lease_use_check(const LeaseUse *use, Node *node, const Caller *caller, Fault *fault) {
        if (use->force && caller && (!caller->known || node_limits(node, caller)))
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED, "Option \"force\": only root may use it");
        if (use->token_given && !use->lease)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"fencing-token\" needs \"lease\"");
        if (!use->lease)
                return 0;
        int r = leases_check_name(use->lease, fault);
        return r < 0 ? r : leases_use(node->leases, use->lease, use->token, caller, fault);
}

int lease_use_check_role(const LeaseUse *use, const Role *role, Fault *fault) {
        const char *lease = role->spec->lease;

        if (!lease || (use && (use->force || g_strcmp0(use->lease, lease) == 0)))
                return 0;
        return fault_set(fault, NODE_ERROR_LEASE_REQUIRED,
                "Role \"%s\" belongs to lease \"%s\"%s%s: only a call that names this lease may change it; root can force it",
                role->name, lease, role->spec->managed_by ? ", managed by " : "",
                role->spec->managed_by ?: "");
}

int lease_use_check_start(const LeaseUse *use, Node *node, const char *role, const char *lease,
        const Caller *caller, Fault *fault) {
        const Role *before = g_hash_table_lookup(node->roles, role);
        g_auto(Fault) reason = {};
        int r = 0;

        /* Its end is that of the manager who has started it, and a start would replace it. */
        if (before && before->state == ROLE_ENDED && before->spec->lease &&
                g_strcmp0(before->spec->lease, lease) != 0)
                return fault_set(fault, NODE_ERROR_LEASE_REQUIRED,
                        "Role \"%s\" has ended and belongs to lease \"%s\", so only a start with this lease replaces it; root can purge it by force",
                        role, before->spec->lease);
        if (!lease)
                return 0;
        if (use->lease && !g_str_equal(use->lease, lease))
                return fault_set(fault, NODE_ERROR_LEASE_REQUIRED,
                        "Role \"%s\" belongs to lease \"%s\", but \"%s\" is named", role, lease, use->lease);
        if (!use->automatic)
                r = leases_use(node->leases, lease, use->token, caller, &reason);
        else if (!leases_is_held(node->leases, lease))
                r = leases_fault_not_held(lease, &reason);
        return r < 0 ? fault_set(fault, reason.error, "Role \"%s\": %s", role, reason.message) : 0;
}
