/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-login.h>

#include "bus/allowance.h"
#include "bus/authority.h"
#include "bus/bus-util.h"
#include "bus/operation.h"
#include "model/account-query.h"
#include "model/node.h"
#include "util/autoptr.h"
#include "util/log.h"

/* The maximum number of calls whose sender is not known yet. Those that only read, which every user may send,
 * leave room for the others. A connection may always have a few, since the bus limits the number of
 * connections. */
#define PARKED_MAX 8192U
#define PARKED_READS_MAX (PARKED_MAX / 2)
#define PARKED_READS_OF_ONE_MAX 128U
#define PARKED_OF_ONE_MIN 4U
/* The maximum number of known senders. Then those without a parked call are dropped, and each of them costs
 * one more query at its next call. It is more than one user may have connections. */
#define SENDERS_MAX 8192U
/* How often polkit is asked for one call whose roles have always changed when the answer arrives. */
#define QUESTIONS_MAX 8U

typedef struct Sender {
        Authority *authority;
        char *name;
        Caller caller; /* valid if known, which is after the reply of the bus */
        sd_bus_slot *query;
        /* Of messages, which wait for the reply, or return to their handlers in this order. */
        GQueue *parked;
        unsigned n_questions; /* calls that wait for polkit; later calls do not wait for these */
} Sender;

/* A call that waits for polkit, or for the look-up before that, or returns to its handler with the answer. */
typedef struct Question {
        Sender *sender;
        sd_bus_message *call;
        NodeAction requested;
        NodeAction action; /* for which polkit is asked */
        const char *doing;
        AuthorityDetails details;
        PolkitQuestion *question; /* NULL once it is answered */
        AccountQuery *query;      /* the same */
        bool of_account;          /* nothing was asked of polkit yet */
        Account *account;         /* as whom something is to be started, or NULL */
        Fault refusal;            /* not set if polkit permits it */
        unsigned n;               /* how often polkit was asked for this call */
} Question;

struct Authority {
        sd_bus *bus;
        Node *node;
        Allowance *allowance;
        Polkit *polkit;
        sd_bus_slot *filter;
        bool user;           /* the service of a user, not of the system */
        uid_t owner;         /* the user that has the rights: root, or the user of the service */
        GHashTable *senders; /* unique name → Sender */
        GHashTable *peers;   /* sd_bus → Caller, for connections without a bus */
        unsigned n_parked;
        sd_bus_message *returned; /* the call that returned last; its handler runs, or has returned */
        GHashTable *questions;    /* call → Question */
        Question *answered;       /* the one whose call returned last */
};

/* Undoes the last sender_park(). */
static void sender_unpark(Sender *sender) {
        sd_bus_message_unref(g_queue_pop_tail(sender->parked));
        sender->authority->n_parked--;
}

/* Replies to the calls that are still parked, with this fault. */
static void sender_fail(Sender *sender, const Fault *fault) {
        sender->authority->n_parked -= g_queue_get_length(sender->parked);
        operation_fail_all(sender->parked, fault);
}

static void sender_free(Sender *sender) {
        sender->authority->n_parked -= g_queue_get_length(sender->parked);
        g_queue_free_full(sender->parked, bus_message_free);
        sd_bus_slot_unref(sender->query);
        caller_clear(&sender->caller);
        g_free(sender->name);
        g_free(sender);
}

static Question *question_free(Question *question) {
        if (!question)
                return NULL;
        question->sender->n_questions--;
        allowance_done(question->sender->authority->allowance, question->call);
        polkit_question_free(question->question);
        account_query_free(question->query);
        account_free(question->account);
        sd_bus_message_unref(question->call);
        authority_details_clear(&question->details);
        fault_clear(&question->refusal);
        g_free(question);
        return NULL;
}

/* The handler of a call that returns takes the answer of polkit, unless it fails before. */
static void authority_take_answer(Authority *authority, sd_bus_message *m) {
        Question *question = g_hash_table_lookup(authority->questions, m);

        if (!question || question->question || question->query)
                return;
        g_hash_table_steal(authority->questions, m);
        question_free(authority->answered);
        authority->answered = question;
}

/* A parked call that returns is no longer parked, whatever happens to it. Its object may be gone meanwhile;
 * then its handler does not identify the caller, or it has no handler. */
static int authority_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Authority *authority = userdata;

        if (g_hash_table_size(authority->questions) > 0)
                authority_take_answer(authority, m);
        if (authority->n_parked == 0)
                return 0;
        const char *name = sd_bus_message_get_sender(m);
        Sender *sender = name ? g_hash_table_lookup(authority->senders, name) : NULL;
        if (sender && sender->caller.known && g_queue_peek_head(sender->parked) == m) {
                sd_bus_message_unref(authority->returned);
                authority->returned = g_queue_pop_head(sender->parked);
                authority->n_parked--;
        }
        return 0;
}

int authority_new(sd_bus *bus, sd_bus *polkit_bus, Node *node, Allowance *allowance, Authority **ret) {
        Authority *authority = g_new0(Authority, 1);

        authority->bus = sd_bus_ref(bus);
        authority->node = node;
        authority->allowance = allowance;
        authority->questions = g_hash_table_new(NULL, NULL);
        authority->peers = g_hash_table_new(NULL, NULL);
        authority->senders =
                g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) sender_free);
        int r = sd_bus_add_filter(bus, &authority->filter, authority_on_message, authority);
        if (r >= 0)
                r = polkit_new(polkit_bus, &authority->polkit);
        if (r < 0) {
                authority_free(authority);
                return r;
        }
        *ret = authority;
        return 0;
}

void authority_set_user(Authority *authority, uid_t uid) {
        authority->user = true;
        authority->owner = uid;
}

/* Of a caller whose uid and pid are known. */
static void authority_complete(const Authority *authority, Caller *caller) {
        char *unit;

        if (caller->pid > 0 && (authority->user ? sd_pid_get_user_unit(caller->pid, &unit)
                                                : sd_pid_get_unit(caller->pid, &unit)) >= 0) {
                caller->unit = g_strdup(unit);
                free(unit);
        }
        caller->known = true;
}

void authority_add_peer(Authority *authority, sd_bus *peer, Caller *caller) {
        authority_complete(authority, caller);
        (void) g_hash_table_insert(authority->peers, peer, caller);
}

void authority_remove_peer(Authority *authority, sd_bus *peer) {
        (void) g_hash_table_remove(authority->peers, peer);
}

Authority *authority_free(Authority *authority) {
        g_auto(Fault) fault = {};
        GHashTableIter iter;
        Sender *sender;
        Question *question;

        if (!authority)
                return NULL;
        node_set_leaving_fault(&fault);
        polkit_free(authority->polkit); /* answers all open questions */
        question_free(authority->answered);
        g_hash_table_iter_init(&iter, authority->questions);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &question)) {
                operation_fail(question->call, &fault);
                question_free(question);
        }
        g_hash_table_unref(authority->questions);
        g_hash_table_iter_init(&iter, authority->senders);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &sender))
                sender_fail(sender, &fault);
        g_hash_table_unref(authority->senders);
        g_hash_table_unref(authority->peers);
        sd_bus_message_unref(authority->returned);
        sd_bus_slot_unref(authority->filter);
        sd_bus_unref(authority->bus);
        g_free(authority);
        return NULL;
}

static int authority_read_credentials(sd_bus_message *reply, Caller *caller) {
        bool have_uid = false;
        const char *key;
        uint32_t value;

        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(reply, 's', &key);
                if (r < 0)
                        break;
                bool uid = g_str_equal(key, "UnixUserID"), pid = g_str_equal(key, "ProcessID");
                if (uid || pid)
                        r = sd_bus_message_read(reply, "v", "u", &value);
                else
                        r = sd_bus_message_skip(reply, "v");
                if (r < 0)
                        break;
                if (uid) {
                        caller->uid = value;
                        have_uid = true;
                } else if (pid)
                        caller->pid = (pid_t) value;
                r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                return r;
        return have_uid ? 0 : -ENODATA;
}

static int sender_on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Sender *sender = userdata;
        Authority *authority = sender->authority;

        sender->query = sd_bus_slot_unref(sender->query);
        int r = sd_bus_message_is_method_error(reply, NULL)
                        ? -sd_bus_message_get_errno(reply)
                        : authority_read_credentials(reply, &sender->caller);
        if (r < 0) {
                g_auto(Fault) fault = {};

                log_debug_errno(r, "Cannot get the credentials of %s: %m", sender->name);
                (void) fault_set(&fault, NODE_ERROR_ACCESS_DENIED,
                        "Cannot get the credentials of the caller, call again: %s", g_strerror(-r));
                /* A sender that has left the bus waits for no reply. */
                if (!sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                        sender_fail(sender, &fault);
                (void) g_hash_table_remove(authority->senders, sender->name);
                return 0;
        }
        authority_complete(authority, &sender->caller);

        for (GList *l = sender->parked->head, *next; l; l = next) {
                next = l->next;
                if (operation_resume(authority->bus, l->data) >= 0)
                        continue;
                sd_bus_message_unref(l->data);
                g_queue_delete_link(sender->parked, l);
                authority->n_parked--;
        }
        return 0;
}

static int sender_query(Sender *sender) {
        return sd_bus_call_method_async(sender->authority->bus, &sender->query, "org.freedesktop.DBus",
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials",
                sender_on_credentials, sender, "s", sender->name);
}

/* Returns 1, or a negative errno if *error is set. */
static int sender_park(Sender *sender, sd_bus_message *m, sd_bus_error *error) {
        const bool reads = allowance_call_reads(m);
        const unsigned n = g_queue_get_length(sender->parked), n_all = sender->authority->n_parked;

        if (!allowance_has_room(reads) ||
                (n >= PARKED_OF_ONE_MIN && (n_all >= (reads ? PARKED_READS_MAX : PARKED_MAX) ||
                                                   (reads && n >= PARKED_READS_OF_ONE_MAX))))
                return sd_bus_error_set(error, node_error_to_string(NODE_ERROR_LIMIT_REACHED),
                        "Too many calls wait until the bus has identified their callers, call again later");
        g_queue_push_tail(sender->parked, sd_bus_message_ref(m));
        sender->authority->n_parked++;
        return 1;
}

static gboolean sender_is_idle(void *key, void *value, void *userdata) {
        Sender *sender = value;

        return g_queue_is_empty(sender->parked) && sender->caller.known && sender->n_questions == 0;
}

int authority_identify(Authority *authority, sd_bus_message *m, const Caller **ret, sd_bus_error *error) {
        const char *name = sd_bus_message_get_sender(m);
        const Caller *peer = g_hash_table_lookup(authority->peers, sd_bus_message_get_bus(m));
        Sender *sender;

        if (peer) {
                /* Without a bus the sender is what the other end says. The kernel knows who that is. */
                *ret = peer;
                return 0;
        }
        if (!name)
                return sd_bus_error_set(
                        error, SD_BUS_ERROR_ACCESS_DENIED, "The caller has no name on the bus");

        sender = g_hash_table_lookup(authority->senders, name);
        if (!sender) {
                if (g_hash_table_size(authority->senders) >= SENDERS_MAX)
                        (void) g_hash_table_foreach_remove(authority->senders, sender_is_idle, NULL);
                sender = g_new(Sender, 1);
                *sender = (Sender){ .authority = authority, .name = g_strdup(name), .parked = g_queue_new() };
                int r = sender_park(sender, m, error);
                if (r >= 0)
                        r = sender_query(sender);
                if (r < 0) {
                        sender_free(sender);
                        return r;
                }
                (void) g_hash_table_insert(authority->senders, sender->name, sender);
                return 1;
        }

        if (!sender->caller.known)
                return sender_park(sender, m, error);

        if (m != authority->returned && !g_queue_is_empty(sender->parked)) {
                /* It was sent after the parked calls, so it stays behind them. */
                int r = sender_park(sender, m, error);
                if (r < 0)
                        return r;
                r = bus_message_requeue(authority->bus, m);
                if (r < 0) {
                        sender_unpark(sender);
                        return r;
                }
                return 1;
        }
        *ret = &sender->caller;
        return 0;
}

/* -- polkit -- */

bool authority_is_master(const Authority *authority, const Caller *caller) {
        return caller->uid == authority->owner;
}

Polkit *authority_polkit(const Authority *authority) {
        return authority->user ? NULL : authority->polkit;
}

static void question_refuse(Question *question, PolkitResult result, const char *text) {
        const char *action = node_action_to_string(question->action);
        const bool interactive = sd_bus_message_get_allow_interactive_authorization(question->call) > 0;
        g_autofree char *reason = NULL;
        NodeError error = NODE_ERROR_ACCESS_DENIED;

        switch (result) {
        case POLKIT_YES:
                return;
        case POLKIT_DISMISSED:
                reason = g_strdup_printf("the authentication for %s was dismissed", action);
                break;
        case POLKIT_CHALLENGE:
                if (!interactive)
                        error = NODE_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED;
                reason = g_strdup_printf("%s requires an authentication, %s", action,
                        interactive ? "for which the session of the caller has no agent"
                                    : "which the call does not permit");
                break;
        case POLKIT_ABSENT:
                reason =
                        g_strdup_printf("polkit, which decides about %s, is not available: %s", action, text);
                break;
        case POLKIT_FAILED:
                reason = g_strdup_printf("polkit has not answered about %s: %s", action, text);
                break;
        default:
                reason = g_strdup_printf("polkit refuses %s", action);
                break;
        }
        (void) fault_set(&question->refusal, error, "The caller, uid %u, may not %s: %s",
                (unsigned) question->sender->caller.uid, question->doing, reason);
}

static int question_ask(Question *question);

static void question_on_answer(void *userdata, PolkitResult result, const char *text) {
        Question *question = userdata;
        Authority *authority = question->sender->authority;

        question->question = polkit_question_free(question->question);
        /* Who may manage all roles may manage his own. */
        if (result == POLKIT_NO && question->action == NODE_ACTION_MANAGE_OWN) {
                question->action = NODE_ACTION_MANAGE_ROLES;
                int r = question_ask(question);
                if (r >= 0)
                        return;
                result = POLKIT_FAILED;
                text = g_strerror(-r);
        }
        if (result == POLKIT_LEAVING)
                node_set_leaving_fault(&question->refusal);
        else if (result != POLKIT_GONE) {
                question_refuse(question, result, text);
                if (operation_resume(authority->bus, question->call) >= 0)
                        return;
        }
        if (result == POLKIT_LEAVING)
                operation_fail(question->call, &question->refusal);
        (void) g_hash_table_remove(authority->questions, question->call);
        question_free(question);
}

static int question_ask(Question *question) {
        Sender *sender = question->sender;
        const PolkitSubject subject = {
                .name = sender->name,
                .uid = sender->caller.uid,
                .interactive = sd_bus_message_get_allow_interactive_authorization(question->call) > 0,
        };

        return polkit_ask(sender->authority->polkit, &subject, node_action_to_string(question->action),
                question->details.pairs, question_on_answer, question, &question->question);
}

static Question *authority_find_answer(const Authority *authority, sd_bus_message *m) {
        return authority->answered && authority->answered->call == m ? authority->answered : NULL;
}

static void question_on_account(void *userdata, const Account *account, const Fault *fault) {
        Question *question = userdata;
        Authority *authority = question->sender->authority;

        question->query = account_query_free(question->query);
        question->account = account_copy(account);
        if (fault)
                fault_copy(&question->refusal, fault);
        if (operation_resume(authority->bus, question->call) >= 0)
                return;
        (void) g_hash_table_remove(authority->questions, question->call);
        question_free(question);
}

int authority_look_up(Authority *authority, sd_bus_message *m, const Caller *caller, const char *user,
        const char *group, const Account **ret, sd_bus_error *error) {
        const Question *answered = authority_find_answer(authority, m);

        if (answered && answered->account) {
                *ret = answered->account;
                return 0;
        }
        if (answered && answered->refusal.message)
                return fault_to_bus_error(&answered->refusal, -EIO, error);

        int r = allowance_wait(authority->allowance, m, error);
        if (r < 0)
                return r;
        Question *question = g_new(Question, 1);
        *question = (Question){
                .sender = g_hash_table_lookup(authority->senders, sd_bus_message_get_sender(m)),
                .call = sd_bus_message_ref(m),
                .requested = _NODE_ACTION_INVALID,
                .of_account = true,
        };
        question->sender->n_questions++;
        question->query = account_query_new(
                authority->node->accounts, caller->uid, user, group, question_on_account, question);
        (void) g_hash_table_insert(authority->questions, m, question);
        return 1;
}

/* Returns 1 if the call is parked. */
static int authority_ask(Authority *authority, sd_bus_message *m, const AuthorityRequest *request,
        AuthorityDetails *details, unsigned n, sd_bus_error *error) {
        Question *answered = authority_find_answer(authority, m);
        Sender *sender = g_hash_table_lookup(authority->senders, sd_bus_message_get_sender(m));

        int r = allowance_wait(authority->allowance, m, error);
        if (r < 0)
                return r;
        Question *question = g_new(Question, 1);
        *question = (Question){
                .sender = sender,
                .call = sd_bus_message_ref(m),
                .requested = request->action,
                .action = request->action == NODE_ACTION_MANAGE_ROLES && details->own ? NODE_ACTION_MANAGE_OWN
                                                                                      : request->action,
                .doing = request->doing,
                .details = *details,
                .account = answered ? g_steal_pointer(&answered->account) : NULL,
                .n = n,
        };
        *details = (AuthorityDetails){};
        sender->n_questions++;
        r = question_ask(question);
        if (r < 0) {
                question_free(question);
                return r == -EDQUOT ? sd_bus_error_setf(error, node_error_to_string(NODE_ERROR_LIMIT_REACHED),
                                              "Too many calls of uid %u wait for polkit, call again later",
                                              (unsigned) sender->caller.uid)
                                    : sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                              "polkit cannot be asked whether the caller may %s: %s",
                                              request->doing, g_strerror(-r));
        }
        (void) g_hash_table_insert(authority->questions, m, question);
        return 1;
}

/* Returns 0 if polkit has permitted this call. */
static int authority_check_polkit(Authority *authority, sd_bus_message *m, const AuthorityRequest *request,
        const Caller *caller, sd_bus_error *error) {
        g_auto(AuthorityDetails) details = {};
        g_autofree char *verb = authority_verb(sd_bus_message_get_member(m));
        Question *answered = authority_find_answer(authority, m);

        authority_details_set(&details, authority->node, request, verb, caller->uid);
        if (!answered || answered->of_account)
                return authority_ask(authority, m, request, &details, 1, error);
        if (answered->requested == request->action && g_str_equal(answered->details.runs, details.runs))
                return answered->refusal.message ? fault_to_bus_error(&answered->refusal, -EACCES, error) : 0;
        /* The answer is about other roles. */
        if (answered->n < QUESTIONS_MAX)
                return authority_ask(authority, m, request, &details, answered->n + 1, error);
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                "The caller, uid %u, may not %s: the roles have changed whenever polkit had answered, call again",
                (unsigned) caller->uid, request->doing);
}

int authority_check(Authority *authority, sd_bus_message *m, const AuthorityRequest *request,
        const Caller **ret, sd_bus_error *error) {
        const Caller *caller = NULL;

        int r = authority_identify(authority, m, &caller, error);
        if (r != 0)
                return r;
        g_assert(caller);
        if (!authority_is_master(authority, caller)) {
                if (authority->user)
                        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                "Only uid %u, which owns this service, may %s (the caller is uid %u)",
                                (unsigned) authority->owner, request->doing, (unsigned) caller->uid);
                if ((int) request->action < 0)
                        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                                "Only root may %s (the caller is uid %u)", request->doing,
                                (unsigned) caller->uid);
                r = authority_check_polkit(authority, m, request, caller, error);
                if (r != 0)
                        return r;
        }
        if (ret)
                *ret = caller;
        return 0;
}
