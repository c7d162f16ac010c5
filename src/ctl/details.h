/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything about the roles and the node, which costs the service more than what roles.h asks for, but one
 * call all the same. */

#include "client/properties.h"
#include "ctl/ctl.h"

/* The properties of a role, as org.architect.Node.Role names them. */
typedef struct CtlDetails {
        char *name, *state, *user, *product, *version, *provider, *scope, *control_group, *status_text;
        char *waits_for, *exit_code, *cause, *result, *definition, *lease, *managed_by;
        char **command, **strays, **groups, **after, **wants, **requires, **binds_to, **part_of;
        GArray *start_times;
        uint32_t main_pid, n_restarts;
        int32_t exit_status;
        uint64_t start_usec, exit_usec, next_start_usec;
        bool ready, damaged, output_lost, need_reload, frozen;
        bool started; /* false: only its definition is known, see ctl_add_defined() */
} CtlDetails;

/* error is NULL if a failure is to be reported. Otherwise it is set, and nothing is printed,
 * unless there is no connection. */

/* *ret has pointers to CtlDetails, sorted by name, and owns them. If words has one name of a role and nothing
 * else, only that one is asked for, and the array is empty if there is none. words may be NULL. */
CtlExit ctl_get_details(Ctl *ctl, char *const *words, sd_bus_error *error, GPtrArray **ret);

/* The same in two steps, for a call that is not waited for: makes the call, and reads the reply. */
CtlExit ctl_new_details_call(Ctl *ctl, sd_bus_message **ret);
int ctl_read_details(sd_bus_message *reply, GPtrArray **ret);

/* Adds the definitions that are no role yet, if the words ask for one: by a group, or by a name that no role
 * has. The second one is for a verb that has the list already. */
CtlExit ctl_add_defined(Ctl *ctl, char *const *words, GPtrArray *roles);
void ctl_add_definitions(const GArray *definitions, char *const *words, GPtrArray *roles);

/* Whether the role has a process, or is a oneshot that has done its work. */
bool ctl_details_are_up(const CtlDetails *role);

/* Whether its last run has failed, and nothing starts it again. What a caller has ended has not failed. */
bool ctl_details_have_failed(const CtlDetails *role);

/* Whether the word is neither a pattern nor a group. */
bool ctl_word_is_name(const char *word);

/* Whether the word is the name of the role, a pattern for it, or one of its groups as @GROUP. */
bool ctl_word_selects(const char *word, const char *name, char *const *groups);

/* The same for any of the words, and without words. */
bool ctl_words_select(char *const *words, const char *name, char *const *groups);

/* Selects the roles, each once and in the order of the words; all of them without words. A name or a group
 * that nothing has is reported, with CTL_EXIT_NO_SUCH_ROLE at the end; *ret is set in each case, and does not
 * own the roles. */
CtlExit ctl_select_details(Ctl *ctl, char *const *words, GPtrArray *roles, GPtrArray **ret);

/* Adds the names of the roles that are meant to names, and NULL at the end: those that are named, and of
 * patterns and groups those that have ended, or those that have not. Reports a word that selects none, as
 * ctl_select_details() does; names is complete in each case. */
CtlExit ctl_select_names(Ctl *ctl, char *const *words, bool ended, GPtrArray *names);

/* Reports that a word selects no role, or no definition (thing: "role", "definition"). Returns
 * CTL_EXIT_NO_SUCH_ROLE for a name or a group, and CTL_EXIT_OK for a pattern, for which that is an answer. */
CtlExit ctl_no_such(Ctl *ctl, const char *thing, const char *word);

/* Adds the roles that are meant to names, each once: those that are named, for "@group" its members, and all
 * for an empty list; of the latter two those that have not ended. It reports an error. */
CtlExit ctl_expand_roles(Ctl *ctl, char *const *words, GPtrArray *names);

/* -- the node -- */

typedef struct CtlNode {
        char *version, *instance, *state, *slice, *event_epoch;
        char **features, **warnings;
        uint32_t n_roles, n_running;
        uint64_t event_sequence, timeout_usec, deadline_usec;
        bool keeper_connected;
} CtlNode;

CtlExit ctl_get_node(Ctl *ctl, sd_bus_error *error, CtlNode *ret);
void ctl_node_clear(CtlNode *node);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlNode, ctl_node_clear)

/* How long until the next beat is due, which is negative if it is late. Returns false if none is, or if the
 * clock is that of another host. */
bool ctl_node_deadline(const Ctl *ctl, const CtlNode *node, int64_t *ret_usec);
