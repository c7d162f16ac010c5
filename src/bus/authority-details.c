/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "bus/authority-details.h"
#include "model/account.h"
#include "model/node.h"
#include "model/role.h"

static const char *const node_action_table[_NODE_ACTION_MAX] = {
        [NODE_ACTION_START_DEFINED_ROLE] = "org.architect.node.start-defined-role",
        [NODE_ACTION_START_ROLE] = "org.architect.node.start-role",
        [NODE_ACTION_START_ROLE_AS] = "org.architect.node.start-role-as",
        [NODE_ACTION_MANAGE_OWN] = "org.architect.node.manage-own",
        [NODE_ACTION_MANAGE_ROLES] = "org.architect.node.manage-roles",
        [NODE_ACTION_MANAGE_PORTS] = "org.architect.node.manage-ports",
        [NODE_ACTION_MANAGE_ENVIRONMENT] = "org.architect.node.manage-environment",
        [NODE_ACTION_MONITOR] = "org.architect.node.monitor",
        [NODE_ACTION_LOG] = "org.architect.node.log",
        [NODE_ACTION_SHUTDOWN] = "org.architect.node.shutdown",
};

DEFINE_STRING_TABLE(node_action, NodeAction, node_action_table);

#define COMMAND_MAX 4096U /* of the escaped command */
#define WITH_OPTIONS "WithOptions"

/* A method with the options of a lease is the same to a rule as the one without. */
char *authority_verb(const char *member) {
        const size_t length = strlen(member), suffix = strlen(WITH_OPTIONS);
        const char *end =
                member + length - (length > suffix && g_str_has_suffix(member, WITH_OPTIONS) ? suffix : 0);
        GString *verb = g_string_new(NULL);

        for (const char *c = member; c < end; c++) {
                if (g_ascii_isupper(*c) && c > member && g_ascii_islower(c[-1]))
                        g_string_append_c(verb, '-');
                g_string_append_c(verb, g_ascii_tolower(*c));
        }
        return g_string_free(verb, false);
}

/* A person reads this, and rules compare it, so no byte of it may look like another one: every byte that is
 * not a printable ASCII character, and each space, backslash and quote, is \xNN. Spaces separate the words.
 * An empty word is "". If words are missing at the end, the last one is "...", with these quotes. */
static char *command_escape(char *const *command) {
        GString *escaped = g_string_new(NULL);

        for (char *const *word = command; word && *word; word++) {
                g_autoptr(GString) s = g_string_new(escaped->len > 0 ? " " : "");

                if ((*word)[0] == '\0')
                        g_string_append(s, "\"\"");
                for (const unsigned char *c = (const unsigned char *) *word; *c && s->len <= COMMAND_MAX; c++)
                        if (*c <= ' ' || *c >= 0x7f || *c == '\\' || *c == '"' || *c == '\'')
                                g_string_append_printf(s, "\\x%02x", *c);
                        else
                                g_string_append_c(s, (char) *c);
                if (escaped->len + s->len > COMMAND_MAX) {
                        g_string_append(escaped, " \"...\"");
                        break;
                }
                g_string_append_len(escaped, s->str, (gssize) s->len);
        }
        return g_string_free(escaped, false);
}

static int role_compare_names(const void *a, const void *b) {
        return strcmp((*(Role *const *) a)->name, (*(Role *const *) b)->name);
}

/* The roles of the request, each once, sorted by name. */
static GPtrArray *request_find_roles(Node *node, const AuthorityRequest *request) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        GPtrArray *roles = g_ptr_array_new();
        GHashTableIter iter;
        Role *role;

        if (request->role)
                g_ptr_array_add(roles, request->role);
        /* The role that a start replaces, or that has its name. */
        role = request->start ? g_hash_table_lookup(node->roles, request->start->name) : NULL;
        if (role)
                g_ptr_array_add(roles, role);
        for (char *const *name = request->names; name && *name; name++) {
                role = g_hash_table_lookup(node->roles, *name);
                if (role && g_hash_table_add(seen, role))
                        g_ptr_array_add(roles, role);
        }
        if (request->roles != AUTHORITY_ROLES_LISTED) {
                g_hash_table_iter_init(&iter, node->roles);
                while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                        if (role_is_living(role) == (request->roles == AUTHORITY_ROLES_LIVING) &&
                                g_hash_table_add(seen, role))
                                g_ptr_array_add(roles, role);
        }
        g_ptr_array_sort(roles, role_compare_names);
        return roles;
}

static bool role_is_owned_by(const Role *role, uid_t uid) {
        return role->owner.known && role->owner.uid == uid;
}

static bool role_runs_as(const Role *role, uid_t uid) {
        uid_t its;

        return role_uid(role, &its) && its == uid;
}

/* Takes the value. */
static void pairs_add(GPtrArray *pairs, const char *name, char *value) {
        g_ptr_array_add(pairs, g_strdup(name));
        g_ptr_array_add(pairs, value);
}

static void pairs_add_uid(GPtrArray *pairs, const char *name, uid_t uid) {
        pairs_add(pairs, name, g_strdup_printf("%u", (unsigned) uid));
}

static void pairs_add_spec(GPtrArray *pairs, const RoleSpec *spec, const char *user, const uid_t *uid) {
        pairs_add(pairs, "command", command_escape(spec->command));
        pairs_add(pairs, "user", g_strdup(user));
        if (uid)
                pairs_add_uid(pairs, "uid", *uid);
        if (spec->group)
                pairs_add(pairs, "group", g_strdup(spec->group));
}

static void pairs_add_role(GPtrArray *pairs, const Role *role) {
        uid_t uid;
        bool known = role_uid(role, &uid);

        pairs_add_spec(pairs, role->spec, role_user(role), known ? &uid : NULL);
}

static void pairs_add_start(GPtrArray *pairs, const AuthorityStart *start, uid_t caller) {
        const RoleSpec *spec = start->spec;

        pairs_add(pairs, "role", g_strdup(start->name));
        pairs_add_uid(pairs, "owner", caller);
        pairs_add_spec(pairs, spec, start->account->name, &start->account->uid);
        pairs_add(pairs, "options", g_strdup(start->options));
        if (spec->lease)
                pairs_add(pairs, "lease", g_strdup(spec->lease));
        if (spec->definition)
                pairs_add(pairs, "definition", g_strdup(spec->definition));
        if (spec->definition && spec->role_groups)
                pairs_add(pairs, "role-groups", g_strjoinv(" ", spec->role_groups));
}

void authority_details_set(
        AuthorityDetails *details, Node *node, const AuthorityRequest *request, const char *verb, uid_t uid) {
        g_autoptr(GPtrArray) roles = request_find_roles(node, request);
        GPtrArray *pairs = g_ptr_array_new();
        GString *names = g_string_new(NULL), *runs = g_string_new(NULL);
        bool owned = true, runs_as = true, one_owner = true;
        const Role *first = roles->len > 0 ? g_ptr_array_index(roles, 0) : NULL;

        for (unsigned i = 0; i < roles->len; i++) {
                const Role *role = g_ptr_array_index(roles, i);
                uid_t its = (uid_t) -1;

                owned = owned && role_is_owned_by(role, uid);
                runs_as = runs_as && role_runs_as(role, uid);
                one_owner = one_owner && role->owner.known && role->owner.uid == first->owner.uid;
                (void) role_uid(role, &its);
                g_string_append_printf(names, "%s%s", i > 0 ? " " : "", role->name);
                g_string_append_printf(runs, "%s %s %d %u %u\n", role->name,
                        SD_ID128_TO_STRING(role->invocation), role->owner.known, (unsigned) role->owner.uid,
                        (unsigned) its);
        }
        /* What polkit was asked about is the definition as it was read then. */
        if (request->start && request->start->spec->definition_hash)
                g_string_append_printf(runs, "definition %s\n", request->start->spec->definition_hash);
        pairs_add(pairs, "instance", g_strdup(node->instance));
        if (verb)
                pairs_add(pairs, "verb", g_strdup(verb));
        if (request->lease)
                pairs_add(pairs, "lease", g_strdup(request->lease));
        if (request->start)
                pairs_add_start(pairs, request->start, uid);
        else if (first) {
                pairs_add(pairs, "role", g_strdup(names->str));
                if (one_owner)
                        pairs_add_uid(pairs, "owner", first->owner.uid);
                pairs_add(pairs, "own", g_strdup(owned ? "yes" : "no"));
        }
        if (roles->len == 1 && !request->start)
                pairs_add_role(pairs, first);
        g_ptr_array_add(pairs, NULL);
        (void) g_string_free(names, true);
        *details = (AuthorityDetails){
                .pairs = (char **) g_ptr_array_free(pairs, false),
                .runs = g_string_free(runs, false),
                .own = owned && runs_as,
        };
}

void authority_details_clear(AuthorityDetails *details) {
        g_strfreev(details->pairs);
        g_free(details->runs);
        *details = (AuthorityDetails){};
}
