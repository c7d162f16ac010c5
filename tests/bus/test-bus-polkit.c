/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is asked of polkit, and what its answers permit. The client is also polkit here, which holds each
 * question until the test answers it. The system case polkit has the real one. */

#include "bus-world.h"

#include <signal.h>

#include "bus/role-dbus.h"
#include "model/env.h"
#include "model/settings.h"
#include "util/autoptr.h"

#define ALICE 1000

/* -- polkit -- */

static GPtrArray *questions; /* of sd_bus_message */
static GString *cancelled;   /* the ids, each with a space */

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_ptr_array_add(questions, sd_bus_message_ref(m));
        return 1;
}

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *id;

        assert_return_code(sd_bus_message_read(m, "s", &id), 0);
        g_string_append_printf(cancelled, "%s ", id);
        return 1;
}

static const sd_bus_vtable polkit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", "", method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int setup(void **state) {
        if (bus_world_setup(state) < 0)
                return -1;
        BusWorld *b = *state;
        b->uid = ALICE;
        /* On a slow machine her calls would have to wait, or be refused. */
        b->world->node->settings->max_call_time_per_user_usec = 1000 * USEC_PER_SEC;
        questions = g_ptr_array_new_with_free_func(bus_message_free);
        cancelled = g_string_new(NULL);
        return sd_bus_add_object_vtable(b->client, NULL, "/org/freedesktop/PolicyKit1/Authority",
                       "org.freedesktop.PolicyKit1.Authority", polkit_vtable, b) < 0
                       ? -1
                       : 0;
}

static int teardown(void **state) {
        g_ptr_array_unref(questions);
        (void) g_string_free(cancelled, true);
        return bus_world_teardown(state);
}

static int compare_strings(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* "manage-roles 0 role=cam verb=stop ...": the action, the flags and the details, sorted. */
static char *question_text(unsigned i) {
        sd_bus_message *m = g_ptr_array_index(questions, i);
        g_autoptr(GPtrArray) details = g_ptr_array_new_with_free_func(g_free);
        const char *kind, *key, *name, *action, *value, *id;
        uint32_t flags;

        assert_true(i < questions->len);
        assert_return_code(sd_bus_message_rewind(m, true), 0);
        assert_true(sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &name, &action) > 0);
        assert_string_equal(kind, "system-bus-name");
        assert_string_equal(key, "name");
        assert_string_equal(name, CLIENT);
        assert_true(g_str_has_prefix(action, "org.architect.node."));
        assert_true(sd_bus_message_enter_container(m, 'a', "{ss}") > 0);
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                g_ptr_array_add(details, g_strdup_printf("%s=%s", key, value));
        assert_return_code(sd_bus_message_exit_container(m), 0);
        assert_true(sd_bus_message_read(m, "us", &flags, &id) > 0);
        g_ptr_array_sort(details, compare_strings);
        g_ptr_array_add(details, NULL);
        g_autofree char *all = g_strjoinv(" ", (char **) details->pdata);
        return g_strdup_printf("%s %u %s", action + strlen("org.architect.node."), flags, all);
}

#define assert_question(i, expected) \
        do { \
                g_autofree char *_text = question_text(i); \
                assert_string_equal(_text, (expected)); \
        } while (0)

/* Answers the first question. */
static void answer(BusWorld *b, bool authorized, bool challenge, bool dismissed) {
        assert_true(questions->len > 0);
        sd_bus_message *m = g_ptr_array_index(questions, 0);

        if (dismissed)
                assert_return_code(sd_bus_reply_method_return(m, "(bba{ss})", authorized, challenge, 1,
                                           "polkit.dismissed", "true"),
                        0);
        else
                assert_return_code(sd_bus_reply_method_return(m, "(bba{ss})", authorized, challenge, 0), 0);
        g_ptr_array_remove_index(questions, 0);
        bus_world_settle(b);
}

static void answer_error(BusWorld *b, const char *name, const char *text) {
        assert_true(questions->len > 0);
        assert_return_code(sd_bus_reply_method_errorf(g_ptr_array_index(questions, 0), name, "%s", text), 0);
        g_ptr_array_remove_index(questions, 0);
        bus_world_settle(b);
}

#define yes(b) answer((b), true, false, false)
#define no(b) answer((b), false, false, false)

static Role *run_role(BusWorld *b, const char *name, uid_t owner, const char *user) {
        Role *role = world_run(b->world, name, NULL);

        role->owner = (Caller){ .known = true, .uid = owner };
        g_free(role->spec->user);
        role->spec->user = g_strdup(user);
        forget_calls(b->world);
        return role;
}

static void call(BusWorld *b, Call *c, const char *member, const char *role) {
        call_node(b, c, member, "s", role);
        bus_world_settle(b);
}

/* -- the tests -- */

static void test_permitted(void **state) {
        BusWorld *b = *state;
        g_auto(Call) stop = {}, poll = {};

        Role *role = run_role(b, "cam", 5, "0");
        role->spec->group = g_strdup("staff");
        g_strfreev(role->spec->command);
        role->spec->command = g_strdupv(
                (char *[]){ (char *) "/bin/x", (char *) "a b\"\\", (char *) "", (char *) "\u00e9\n", NULL });
        call(b, &stop, "Stop", "cam");
        assert_int_equal(questions->len, 1);
        assert_question(0,
                "manage-roles 0 command=/bin/x a\\x20b\\x22\\x5c \"\" \\xc3\\xa9\\x0a group=staff instance=main "
                "own=no owner=5 role=cam uid=0 user=0 verb=stop");
        /* Nothing has happened, and nothing else waits. */
        expect_calls(b->world, "");
        call_node(b, &poll, "Poll", "as", 0);
        bus_world_settle(b);
        assert_replied(&poll);
        assert_int_equal(stop.n, 0);
        yes(b);
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_int_equal(role->cause_caller.uid, ALICE);
        assert_int_equal(stop.n, 0);
        world_exit(b->world, role, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_replied(&stop);

        /* An answer is not kept. */
        g_auto(Call) purge = {};
        call_node(b, &purge, "Purge", "as", 1, "cam");
        bus_world_settle(b);
        assert_int_equal(purge.n, 0);
        no(b);
        assert_error(&purge, SD_BUS_ERROR_ACCESS_DENIED,
                "The caller, uid 1000, may not purge roles: polkit refuses org.architect.node.manage-roles");
        assert_non_null(world_find(b->world, "cam"));
        assert_string_equal(cancelled->str, "");
}

/* Root is never asked for, and costs no question. */
static void test_root(void **state) {
        BusWorld *b = *state;
        g_auto(Call) kill = {}, permissions = {};
        const char *name, *value;

        b->uid = 0;
        (void) run_role(b, "cam", ALICE, "1000");
        call(b, &kill, "Kill", "cam");
        assert_int_equal(questions->len, 0);
        assert_int_equal(world_find(b->world, "cam")->state, ROLE_STOPPING);
        call_node(b, &permissions, "GetPermissions", "sa{sv}", "cam", 0);
        bus_world_settle(b);
        assert_replied(&permissions);
        assert_true(sd_bus_message_enter_container(permissions.reply, 'a', "{ss}") > 0);
        unsigned n = 0;
        for (; sd_bus_message_read(permissions.reply, "{ss}", &name, &value) > 0; n++)
                assert_string_equal(value, "yes");
        assert_int_equal(n, 2);
        assert_int_equal(questions->len, 0);
        world_exit(b->world, world_find(b->world, "cam"), EXIT_CODE_KILLED, SIGKILL);
}

/* manage-own is sufficient only where owner and uid are the caller's. If it is refused, manage-roles is
 * asked. */
static void test_own(void **state) {
        BusWorld *b = *state;
        static const struct {
                uid_t owner;
                const char *user;
                const char *begin;
        } roles[] = {
                { ALICE, "1000", "manage-own 0 command=/bin/true instance=main own=yes owner=1000" },
                { ALICE, "1001", "manage-roles 0 command=/bin/true instance=main own=yes owner=1000" },
                { ALICE, "alice", "manage-roles 0 command=/bin/true instance=main own=yes owner=1000" },
                { ALICE, NULL, "manage-roles 0 command=/bin/true instance=main own=yes owner=1000" },
                { 0, "1000", "manage-roles 0 command=/bin/true instance=main own=no owner=0" },
                { 1001, "1000", "manage-roles 0 command=/bin/true instance=main own=no owner=1001" },
        };

        for (size_t i = 0; i < ELEMENTSOF(roles); i++) {
                g_autofree char *name = g_strdup_printf("r%zu", i);
                g_auto(Call) kill = {};

                Role *role = run_role(b, name, roles[i].owner, roles[i].user);
                call(b, &kill, "Kill", name);
                g_autofree char *text = question_text(0);
                if (!g_str_has_prefix(text, roles[i].begin))
                        fail_msg("%s", text);
                no(b);
                if (i == 0) {
                        assert_int_equal(kill.n, 0);
                        g_autofree char *again = question_text(0);
                        assert_true(g_str_has_prefix(again, "manage-roles 0"));
                        no(b);
                }
                assert_error(&kill, SD_BUS_ERROR_ACCESS_DENIED, "org.architect.node.manage-roles");
                assert_int_equal(role->state, ROLE_RUNNING);
        }
        /* A role whose owner the bus did not know is nobody's. */
        g_auto(Call) kill = {};
        world_find(b->world, "r0")->owner.known = false;
        call(b, &kill, "Kill", "r0");
        g_autofree char *text = question_text(0);
        assert_true(g_str_has_prefix(text, "manage-roles"));
        yes(b);
        assert_int_equal(world_find(b->world, "r0")->state, ROLE_STOPPING);
}

static void test_challenge(void **state) {
        BusWorld *b = *state;
        g_auto(Call) plain = {}, alone = {}, dismissed = {}, own = {};

        (void) run_role(b, "cam", 0, NULL);
        (void) run_role(b, "mine", ALICE, "1000");
        call(b, &plain, "Stop", "cam");
        answer(b, false, true, false);
        assert_error(&plain, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                "org.architect.node.manage-roles requires an authentication, which the call does not permit");

        for (unsigned i = 0; i < 2; i++) {
                g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Stop");
                assert_return_code(sd_bus_message_append(m, "s", "cam"), 0);
                assert_return_code(sd_bus_message_set_allow_interactive_authorization(m, true), 0);
                call_send(b, i == 0 ? &alone : &dismissed, m);
                bus_world_settle(b);
                g_autofree char *text = question_text(0);
                assert_true(g_str_has_prefix(text, "manage-roles 1 "));
                answer(b, false, i == 0, i == 1);
        }
        assert_error(&alone, SD_BUS_ERROR_ACCESS_DENIED, "for which the session of the caller has no agent");
        assert_error(&dismissed, SD_BUS_ERROR_ACCESS_DENIED,
                "the authentication for org.architect.node.manage-roles was dismissed");

        /* Who dismisses one is not asked for another. */
        call(b, &own, "Stop", "mine");
        answer(b, false, false, true);
        assert_error(&own, SD_BUS_ERROR_ACCESS_DENIED, "manage-own was dismissed");
        assert_int_equal(questions->len, 0);
}

static void test_no_answer(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *name, *text;
        } errors[] = {
                { SD_BUS_ERROR_SERVICE_UNKNOWN, "is not available: gone" },
                { SD_BUS_ERROR_NAME_HAS_NO_OWNER, "is not available: gone" },
                { "org.freedesktop.systemd1.UnitMasked", "is not available: gone" },
                { SD_BUS_ERROR_NO_REPLY,
                        "polkit has not answered about org.architect.node.manage-roles: gone" },
                { "org.freedesktop.PolicyKit1.Error.Failed",
                        "polkit has not answered about org.architect.node.manage-roles: gone" },
        };

        Role *role = run_role(b, "cam", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                g_auto(Call) stop = {};

                call(b, &stop, "Stop", "cam");
                answer_error(b, errors[i].name, "gone");
                assert_error(&stop, SD_BUS_ERROR_ACCESS_DENIED, errors[i].text);
                assert_int_equal(role->state, ROLE_RUNNING);
        }
}

/* Another run, owner or uid under the same name is another question. */
static void test_other_role(void **state) {
        BusWorld *b = *state;
        g_auto(Call) stop = {}, gone = {}, kill = {}, later = {};

        Role *role = run_role(b, "cam", ALICE, "1000");
        call(b, &stop, "Stop", "cam");
        g_autofree char *first = question_text(0);
        assert_true(g_str_has_prefix(first, "manage-own"));
        role->owner.uid = 0;
        assert_return_code(sd_id128_randomize(&role->invocation), 0);
        yes(b);
        assert_int_equal(stop.n, 0);
        assert_int_equal(role->state, ROLE_RUNNING);
        g_autofree char *second = question_text(0);
        assert_true(g_str_has_prefix(second, "manage-roles"));
        /* The answer was no, but to another question. */
        assert_return_code(sd_id128_randomize(&role->invocation), 0);
        no(b);
        assert_int_equal(questions->len, 1);
        yes(b);
        assert_int_equal(role->state, ROLE_STOPPING);
        world_exit(b->world, role, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_replied(&stop);

        /* It is purged while polkit is asked. */
        call_node(b, &gone, "Purge", "as", 1, "cam");
        bus_world_settle(b);
        node_remove_role(b->world->node, role);
        yes(b);
        /* The set is empty now, so it is asked again; then the name is not known. */
        yes(b);
        assert_error(&gone, "org.architect.Node.Error.NoSuchRole", "cam");

        /* If it always changes, there is an end. */
        role = run_role(b, "cam", 0, NULL);
        call(b, &kill, "Kill", "cam");
        unsigned n = 0;
        for (; questions->len > 0; n++) {
                assert_return_code(sd_id128_randomize(&role->invocation), 0);
                yes(b);
        }
        assert_int_equal(n, 8);
        assert_error(
                &kill, SD_BUS_ERROR_ACCESS_DENIED, "the roles have changed whenever polkit had answered");
        assert_int_equal(role->state, ROLE_RUNNING);
        call(b, &later, "Kill", "cam");
        yes(b);
        assert_int_equal(role->state, ROLE_STOPPING);
}

/* Purge of all and Shutdown are about a set of roles. */
static void test_sets(void **state) {
        BusWorld *b = *state;
        g_auto(Call) purge = {}, shutdown = {}, own = {};

        Role *a = run_role(b, "a", ALICE, "1000"), *z = run_role(b, "z", ALICE, "1000");
        world_exit(b->world, a, EXIT_CODE_EXITED, 0);
        world_exit(b->world, z, EXIT_CODE_EXITED, 0);
        Role *bob = run_role(b, "bob", 1001, "1001"), *late = run_role(b, "late", 1001, "1001");
        call_node(b, &purge, "Purge", "as", 0);
        bus_world_settle(b);
        assert_question(0, "manage-own 0 instance=main own=yes owner=1000 role=a z verb=purge");
        world_exit(b->world, bob, EXIT_CODE_EXITED, 0);
        yes(b);
        assert_int_equal(purge.n, 0);
        assert_question(0, "manage-roles 0 instance=main own=no role=a bob z verb=purge");
        no(b);
        assert_error(&purge, SD_BUS_ERROR_ACCESS_DENIED, "may not purge roles");
        assert_non_null(world_find(b->world, "a"));
        assert_non_null(world_find(b->world, "bob"));

        call_node(b, &own, "Purge", "as", 3, "z", "a", "z");
        bus_world_settle(b);
        assert_question(0, "manage-own 0 instance=main own=yes owner=1000 role=a z verb=purge");
        yes(b);
        assert_replied(&own);
        assert_null(world_find(b->world, "a"));

        call(b, &shutdown, "Shutdown", "night");
        g_autofree char *text = question_text(0);
        assert_true(g_str_has_prefix(text, "shutdown 0 command=/bin/true instance=main own=no owner=1001"));
        Role *more = run_role(b, "more", 1001, "1001");
        yes(b);
        assert_int_equal(shutdown.n, 0);
        assert_false(b->world->node->stopping);
        assert_question(0, "shutdown 0 instance=main own=no owner=1001 role=late more verb=shutdown");
        yes(b);
        assert_replied(&shutdown);
        assert_true(b->world->node->stopping);
        world_exit(b->world, late, EXIT_CODE_KILLED, SIGTERM);
        world_exit(b->world, more, EXIT_CODE_KILLED, SIGTERM);
}

/* What the bus daemon sends when a connection ends. */
static void leave(BusWorld *b) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(sd_bus_message_new_signal(b->client, &m, "/org/freedesktop/DBus",
                                   "org.freedesktop.DBus", "NameOwnerChanged"),
                0);
        assert_return_code(sd_bus_message_append(m, "sss", CLIENT, CLIENT, ""), 0);
        assert_return_code(sd_bus_message_set_sender(m, "org.freedesktop.DBus"), 0);
        assert_return_code(sd_bus_send(b->client, m, NULL), 0);
        bus_world_settle(b);
}

static void test_caller_leaves(void **state) {
        BusWorld *b = *state;
        g_auto(Call) stop = {}, kill = {}, permissions = {};

        Role *role = run_role(b, "cam", 0, NULL);
        call(b, &stop, "Stop", "cam");
        call(b, &kill, "Kill", "cam");
        call_node(b, &permissions, "GetPermissions", "sa{sv}", "", 0);
        bus_world_settle(b);
        assert_int_equal(questions->len, 4);
        leave(b);
        assert_int_equal(cancelled->len, strlen("1 2 3 4 ")); /* in any order */
        assert_int_equal(stop.n + kill.n + permissions.n, 0);
        assert_int_equal(role->state, ROLE_RUNNING);
        /* Late answers are ignored, and the questions that waited were not sent. */
        assert_int_equal(questions->len, 4);
        while (questions->len > 0)
                yes(b);
        assert_int_equal(stop.n + kill.n + permissions.n, 0);
        assert_int_equal(role->state, ROLE_RUNNING);
}

/* The service ends meanwhile. */
static void test_leaving(void **state) {
        BusWorld *b = *state;
        g_auto(Call) stop = {}, kill = {}, permissions = {};

        (void) run_role(b, "cam", 0, NULL);
        call(b, &stop, "Stop", "cam");
        call(b, &kill, "Kill", "cam");
        call_node(b, &permissions, "GetPermissions", "sa{sv}", "", 0);
        bus_world_settle(b);
        assert_int_equal(questions->len, 4);
        b->clients->authority = authority_free(b->clients->authority);
        bus_world_settle(b);
        assert_error(&stop, "org.architect.Node.Error.ShuttingDown", "call again");
        assert_error(&kill, "org.architect.Node.Error.ShuttingDown", "call again");
        assert_error(&permissions, "org.architect.Node.Error.ShuttingDown", "call again");
        assert_string_equal(cancelled->str, "1 2 3 4 ");
}

/* Four questions of a uid are open, 64 calls wait, others come through. */
static void test_many(void **state) {
        BusWorld *b = *state;
        Call calls[65] = {}, other = {};
        unsigned n_replied = 0;

        (void) run_role(b, "cam", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                call_node(b, &calls[i], "Stop", "s", "cam");
        bus_world_settle(b);
        assert_int_equal(questions->len, 4);
        assert_error(&calls[64], "org.architect.Node.Error.LimitReached", "Too many calls of uid 1000");
        b->uid = 1001;
        call_node_from(b, &other, ":1.8", "Stop", "s", "cam");
        bus_world_settle(b);
        assert_int_equal(questions->len, 5);
        sd_bus_message *m = g_ptr_array_index(questions, 4);
        assert_return_code(sd_bus_reply_method_return(m, "(bba{ss})", false, false, 0), 0);
        g_ptr_array_remove_index(questions, 4);
        bus_world_settle(b);
        assert_error(&other, SD_BUS_ERROR_ACCESS_DENIED, "uid 1001");
        while (questions->len > 0) {
                assert_true(questions->len <= 4);
                no(b);
                n_replied++;
        }
        assert_int_equal(n_replied, 64);
        for (size_t i = 0; i < 64; i++)
                assert_error(&calls[i], SD_BUS_ERROR_ACCESS_DENIED, "uid 1000");
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                call_clear(&calls[i]);
        call_clear(&other);
}

/* Answers the questions of GetPermissions, by their actions, and returns its reply. */
static char *permissions(BusWorld *b, const char *role, const char *verb, const char *const *replies) {
        g_auto(Call) call = {};
        g_autoptr(GString) s = g_string_new(NULL);
        const char *name, *value;

        if (verb)
                call_node(b, &call, "GetPermissions", "sa{sv}", role, 1, "verb", "s", verb);
        else
                call_node(b, &call, "GetPermissions", "sa{sv}", role, 0);
        bus_world_settle(b);
        while (questions->len > 0) {
                g_autofree char *text = question_text(0);
                const char *reply = "no";

                assert_non_null(strstr(text, " 0 ")); /* without interaction */
                assert_true(!verb == !strstr(text, " verb="));
                for (const char *const *r = replies; *r; r += 2)
                        if (g_str_has_prefix(text, r[0]))
                                reply = r[1];
                if (g_str_equal(reply, "error"))
                        answer_error(b, SD_BUS_ERROR_NO_REPLY, "gone");
                else
                        answer(b, g_str_equal(reply, "yes"), g_str_equal(reply, "auth"), false);
        }
        assert_replied(&call);
        assert_true(sd_bus_message_enter_container(call.reply, 'a', "{ss}") > 0);
        while (sd_bus_message_read(call.reply, "{ss}", &name, &value) > 0)
                g_string_append_printf(
                        s, "%s%s=%s", s->len > 0 ? " " : "", name + strlen("org.architect.node."), value);
        return g_strdup(s->str);
}

#define assert_permissions(b, role, verb, expected, ...) \
        do { \
                g_autofree char *_p = \
                        permissions((b), (role), (verb), (const char *const[]){ __VA_ARGS__, NULL }); \
                assert_string_equal(_p, (expected)); \
        } while (0)

static void test_permissions(void **state) {
        BusWorld *b = *state;
        g_auto(Call) unknown = {}, option = {}, object = {};

        assert_permissions(b, "", NULL,
                "start-defined-role=auth start-role=yes start-role-as=auth manage-ports=yes manage-environment=auth monitor=no log=no "
                "shutdown=no",
                "start-defined-role ", "auth", "start-role ", "yes", "start-role-as ", "auth", "manage-ports",
                "yes", "manage-environment", "auth", "log", "error");
        (void) run_role(b, "cam", 0, NULL);
        (void) run_role(b, "mine", ALICE, "1000");
        assert_permissions(b, "cam", "stop", "manage-own=no manage-roles=yes", "manage-roles", "yes");
        assert_permissions(b, "mine", NULL, "manage-own=yes manage-roles=auth", "manage-own", "yes",
                "manage-roles", "auth");
        call_node(b, &unknown, "GetPermissions", "sa{sv}", "nobody", 0);
        call_node(b, &option, "GetPermissions", "sa{sv}", "cam", 1, "what", "s", "x");
        g_autofree char *path = role_dbus_path("cam");
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, path, NODE_ROLE_INTERFACE, "GetPermissions");
        assert_return_code(sd_bus_message_append(m, "a{sv}", 0), 0);
        call_send(b, &object, m);
        bus_world_settle(b);
        assert_error(&unknown, "org.architect.Node.Error.NoSuchRole", "nobody");
        assert_error(&option, SD_BUS_ERROR_INVALID_ARGS, "\"what\"");
        assert_int_equal(questions->len, 1);
        no(b);
        assert_replied(&object);
}

/* The service of a user never asks. */
static void test_user(void **state) {
        BusWorld *b = *state;
        g_auto(Call) stop = {};

        authority_set_user(b->clients->authority, 1001);
        (void) run_role(b, "cam", 0, NULL);
        call(b, &stop, "Stop", "cam");
        assert_error(&stop, SD_BUS_ERROR_ACCESS_DENIED, "Only uid 1001, which owns this service");
        assert_permissions(b, "cam", NULL, "manage-own=no manage-roles=no", "", "yes");
        assert_int_equal(questions->len, 0);
}

/* Each method asks for its action, and names itself. */
static void test_actions(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *member, *types, *action, *verb;
        } methods[] = {
                { "GetEnv", "s", "manage-environment", "get-env" },
                { "UnsetEnv", "s", "manage-environment", "unset-env" },
                { "ListEnv", "", "manage-environment", "list-env" },
                { "Beat", "", "monitor", "beat" },
                { "CloseInput", "s", "manage-roles", "close-input" },
                { "Kill", "s", "manage-roles", "kill" },
                { "Freeze", "s", "manage-roles", "freeze" },
                { "Thaw", "s", "manage-roles", "thaw" },
        };

        (void) run_role(b, "cam", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                g_autofree char *begin = g_strdup_printf("%s 0 ", methods[i].action),
                                *end = g_strdup_printf(" verb=%s", methods[i].verb);
                g_auto(Call) c = {};

                call_node(b, &c, methods[i].member, methods[i].types, "cam");
                bus_world_settle(b);
                g_autofree char *text = question_text(0);
                assert_true(g_str_has_prefix(text, begin));
                assert_true(g_str_has_suffix(text, end));
                no(b);
                assert_error(&c, SD_BUS_ERROR_ACCESS_DENIED, methods[i].action);
        }
        g_auto(Call) level = {}, bind = {}, reload = {};
        call_node(b, &level, "SetLogLevel", "s", "debug");
        bus_world_settle(b);
        assert_question(0, "log 0 instance=main verb=set-log-level");
        no(b);
        call_node(b, &bind, "BindTCP", "u", 1);
        bus_world_settle(b);
        assert_question(0, "manage-ports 0 instance=main verb=bind-tcp");
        no(b);
        call_node(b, &reload, "Reload", "");
        bus_world_settle(b);
        assert_error(&reload, SD_BUS_ERROR_ACCESS_DENIED, "Only root may reload the configuration");
}

/* What ListEnv returns to this caller, without the locale. */
static void assert_env(BusWorld *b, const char *sender, uid_t uid, const char *expected) {
        g_autoptr(GString) found = g_string_new(NULL);
        g_auto(Call) c = {};
        const char *variable;

        b->uid = uid;
        call_node_from(b, &c, sender, "ListEnv", "");
        bus_world_settle(b);
        if (uid != 0)
                yes(b);
        assert_replied(&c);
        assert_true(sd_bus_message_enter_container(c.reply, 'a', "s") > 0);
        while (sd_bus_message_read(c.reply, "s", &variable) > 0)
                if (!g_str_has_prefix(variable, "L"))
                        g_string_append_printf(found, "%s%s", found->len > 0 ? " " : "", variable);
        assert_string_equal(found->str, expected);
}

/* What a user sets, gets and removes are variables of his own, whatever polkit permits. */
static void test_environment(void **state) {
        BusWorld *b = *state;
        Env *env = b->world->node->env;
        char *base[] = { "CONFIGURED=1", "PATH=/bin", NULL };
        g_auto(Call) set = {}, get = {}, unset = {}, own = {}, refused = {}, full = {};
        const char *value;

        env_set_base(env, base);
        env_set_user_max(env, 10);
        assert_return_code(env_set(env, 0, "SECRET", "root's", NULL), 0);
        call_node(b, &set, "SetEnv", "ss", "A", "hers");
        bus_world_settle(b);
        assert_question(0, "manage-environment 0 instance=main verb=set-env");
        expect_calls(b->world, "");
        yes(b);
        assert_replied(&set);
        assert_env(b, ":1.7", ALICE, "A=hers");
        assert_env(b, ":1.8", 1002, "");
        assert_env(b, ":1.9", 0, "CONFIGURED=1 PATH=/bin SECRET=root's");
        b->uid = ALICE;

        call_node(b, &get, "GetEnv", "s", "SECRET");
        bus_world_settle(b);
        yes(b);
        assert_error(&get, "org.architect.Node.Error.NoSuchVariable", "the roles of uid 1000");
        call_node(b, &unset, "UnsetEnv", "s", "SECRET");
        bus_world_settle(b);
        yes(b);
        assert_error(&unset, "org.architect.Node.Error.NoSuchVariable", "the roles of uid 1000");
        call_node(b, &full, "SetEnv", "ss", "B", "12");
        bus_world_settle(b);
        yes(b);
        assert_error(&full, "org.architect.Node.Error.LimitReached", "(MaxEnvironmentPerUser=)");
        call_node(b, &own, "GetEnv", "s", "A");
        bus_world_settle(b);
        yes(b);
        assert_replied(&own);
        assert_return_code(sd_bus_message_read(own.reply, "s", &value), 0);
        assert_string_equal(value, "hers");
        call_node(b, &refused, "UnsetEnv", "s", "A");
        bus_world_settle(b);
        no(b);
        assert_error(&refused, SD_BUS_ERROR_ACCESS_DENIED, "manage-environment");
        assert_env(b, ":1.7", ALICE, "A=hers");
}

/* -- starts -- */

#define BOB 1002

static void found(BusWorld *b, const char *name, uid_t uid, gid_t gid, const char *group, bool expired) {
        AccountQuery *query = g_steal_pointer(&b->world->query);
        const gid_t groups[] = { uid, 27 };
        char user[] = "u", home[] = "/home/u", shell[] = "/usr/sbin/nologin";
        Account account = { .uid = uid,
                .gid = gid,
                .groups = g_array_new(false, false, sizeof(gid_t)),
                .name = name ? (char *) name : user,
                .group = (char *) group,
                .home = home,
                .shell = shell,
                .expired = expired,
                .no_shell = g_strcmp0(name, "mute") == 0 };

        assert_non_null(query);
        g_array_append_vals(account.groups, groups, ELEMENTSOF(groups));
        account_on_found(query, 0, &account);
        g_array_unref(account.groups);
        bus_world_settle(b);
}

#define found_alice(b) found((b), "alice", ALICE, ALICE, "alice", false)
#define found_bob(b) found((b), "bob", BOB, BOB, "bob", false)

static void start(BusWorld *b, Call *c, const char *name) {
        call_node(b, c, "Start", "sasa{sv}", name, 2, "/bin/x", "a b", 0);
        bus_world_settle(b);
}

static void run_started(BusWorld *b, Call *c, const char *name) {
        TestWorld *w = b->world;
        Role *role = world_find(w, name);

        assert_non_null(role);
        world_executed(w, role);
        bus_world_settle(b);
        assert_replied(c);
        assert_int_equal(role->state, ROLE_RUNNING);
        forget_calls(w);
}

/* Who the role runs as is looked up once, before polkit is asked. */
static void test_start(void **state) {
        BusWorld *b = *state;
        g_auto(Call) refused = {}, c = {}, list = {};

        start(b, &refused, "cam");
        expect_calls(b->world, "lookup(1000,)");
        assert_int_equal(questions->len, 0);
        found_alice(b);
        assert_question(0,
                "start-role 0 command=/bin/x a\\x20b instance=main options= owner=1000 role=cam uid=1000 "
                "user=alice verb=start");
        expect_calls(b->world, "");
        no(b);
        assert_error(&refused, SD_BUS_ERROR_ACCESS_DENIED,
                "The caller, uid 1000, may not start roles: polkit refuses org.architect.node.start-role");
        assert_null(world_find(b->world, "cam"));

        call_node(b, &c, "Start", "sasa{sv}", "cam", 1, "/bin/x", 3, "remove", "b", 0, "group", "s", "27",
                "env", "a{ss}", 1, "A", "1");
        bus_world_settle(b);
        expect_calls(b->world, "lookup(1000,27)");
        found(b, "alice", ALICE, 27, "sudo", false);
        assert_question(0,
                "start-role 0 command=/bin/x group=sudo instance=main options=env group remove owner=1000 "
                "role=cam uid=1000 user=alice verb=start");
        yes(b);
        expect_calls(b->world, "save(cam) fork(cam)");
        Role *role = world_find(b->world, "cam");
        assert_non_null(role);
        assert_int_equal(role->owner.uid, ALICE);
        assert_int_equal(role->spec->account->uid, ALICE);
        assert_int_equal(role->spec->account->gid, 27);
        assert_string_equal(role->spec->user, "alice");
        assert_string_equal(role->spec->group, "sudo");
        run_started(b, &c, "cam");
        assert_int_equal(role->slice_uid, ALICE);
        g_autofree char *slice = node_slice_name(b->world->node, role->slice_uid, role->slice);
        assert_string_equal(slice, "architect-main-u1000-0.slice");

        /* It is her own. */
        call(b, &list, "Kill", "cam");
        g_autofree char *text = question_text(0);
        assert_true(g_str_has_prefix(text, "manage-own 0 "));
        yes(b);
        world_exit(b->world, role, EXIT_CODE_KILLED, SIGKILL);
        bus_world_settle(b);
        assert_replied(&list);
        assert_true(node_user_slice_is_empty(b->world->node, ALICE));
}

/* Root's start asks nobody, and waits for nobody. */
static void test_start_of_root(void **state) {
        BusWorld *b = *state;
        g_auto(Call) c = {};

        b->uid = 0;
        start(b, &c, "cam");
        assert_int_equal(questions->len, 0);
        expect_calls(b->world, "save(cam) fork(cam)");
        assert_null(world_find(b->world, "cam")->spec->account);
        run_started(b, &c, "cam");
        assert_int_equal(world_find(b->world, "cam")->slice_uid, 0);
        world_exit(b->world, world_find(b->world, "cam"), EXIT_CODE_EXITED, 0);
}

static void start_defined(BusWorld *b, Call *c, const char *name) {
        call_node(b, c, "Start", "sasa{sv}", name, 0, 0);
        bus_world_settle(b);
}

/* A definition is root's: polkit is told what it is, and the role is as one that root starts. */
static void test_start_defined(void **state) {
        BusWorld *b = *state;
        Node *node = b->world->node;
        g_auto(Call) refused = {}, c = {}, with_option = {}, taken = {}, changed = {}, kill = {};

        node_set_definitions(node,
                test_definitions("cam", "Command=/bin/d 'a b'\nUser=bob\nRoleGroups=night day\nNice=-3"));
        const char *file = definitions_find(node->definitions, "cam")->file;
        start_defined(b, &refused, "cam");
        expect_calls(b->world, "lookup(bob,)");
        found_bob(b);
        g_autofree char *question = g_strdup_printf(
                "start-defined-role 0 command=/bin/d a\\x20b definition=%s instance=main options= owner=1000 "
                "role-groups=night day role=cam uid=1002 user=bob verb=start",
                file);
        assert_question(0, question);
        no(b);
        assert_error(&refused, SD_BUS_ERROR_ACCESS_DENIED, "may not start defined roles: polkit refuses");
        assert_null(world_find(b->world, "cam"));

        /* What is root's, or somebody else's, is refused without a question. */
        call_node(b, &with_option, "Start", "sasa{sv}", "cam", 0, 1, "remove", "b", 1);
        bus_world_settle(b);
        assert_error(&with_option, SD_BUS_ERROR_ACCESS_DENIED, "only root may replace options");
        start(b, &taken, "cam");
        assert_error(&taken, SD_BUS_ERROR_ACCESS_DENIED, "has a definition, which reserves its name");
        assert_int_equal(questions->len, 0);

        start_defined(b, &c, "cam");
        found_bob(b);
        yes(b);
        Role *role = world_find(b->world, "cam");
        assert_non_null(role);
        assert_null(role->spec->account);
        assert_string_equal(role->spec->user, "bob");
        assert_int_equal(role->spec->nice, -3);
        assert_int_equal(role->owner.uid, ALICE);
        run_started(b, &c, "cam");
        assert_int_equal(role->slice_uid, 0);

        /* It is not her own. */
        call(b, &kill, "Kill", "cam");
        g_autofree char *text = question_text(0);
        assert_true(g_str_has_prefix(text, "manage-roles 0 "));
        yes(b);
        world_exit(b->world, role, EXIT_CODE_KILLED, SIGKILL);
        bus_world_settle(b);

        /* If the definition is another one at the answer, polkit is asked about that. */
        forget_calls(b->world);
        start_defined(b, &changed, "cam");
        found_bob(b);
        assert_int_equal(questions->len, 1);
        node_set_definitions(node, test_definitions("cam", "Command=/bin/other\nUser=bob"));
        yes(b);
        assert_int_equal(questions->len, 1);
        g_autofree char *again = question_text(0);
        assert_contains(again, "command=/bin/other");
        no(b);
        assert_error(&changed, SD_BUS_ERROR_ACCESS_DENIED, "start defined roles");
}

static void test_start_as(void **state) {
        BusWorld *b = *state;
        g_auto(Call) as_bob = {}, by_name = {}, group = {}, number = {};

        call_node(b, &as_bob, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "user", "s", "bob");
        bus_world_settle(b);
        expect_calls(b->world, "lookup(bob,)");
        found_bob(b);
        assert_question(0,
                "start-role-as 0 command=/bin/x instance=main options=user owner=1000 role=cam uid=1002 "
                "user=bob verb=start");
        no(b);
        assert_error(&as_bob, SD_BUS_ERROR_ACCESS_DENIED, "may not start roles as another user or group");

        /* Herself, by any name; but not with any group. */
        call_node(b, &by_name, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "user", "s", "alice");
        bus_world_settle(b);
        found_alice(b);
        g_autofree char *own = question_text(0);
        assert_true(g_str_has_prefix(own, "start-role 0 "));
        no(b);
        call_node(b, &group, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "group", "s", "disk");
        bus_world_settle(b);
        found(b, "alice", ALICE, 6, "disk", false);
        g_autofree char *other = question_text(0);
        assert_true(g_str_has_prefix(other, "start-role-as 0 "));
        no(b);
        /* The uid of root by another name. */
        call_node(b, &number, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "user", "s", "toor");
        bus_world_settle(b);
        found(b, "root", 0, 0, "root", false);
        g_autofree char *root = question_text(0);
        assert_contains(root, "start-role-as 0 ");
        assert_contains(root, " uid=0 user=root ");
        no(b);
        assert_null(world_find(b->world, "cam"));
}

static void test_start_account(void **state) {
        static const struct {
                int error;
                const char *name, *text;
        } failures[] = {
                { -ESRCH, "org.architect.Node.Error.SetupFailed", "User \"1000\" does not exist" },
                { -ENOENT, "org.architect.Node.Error.SetupFailed", "Group \"crew\" does not exist" },
                { -ETIMEDOUT, "org.architect.Node.Error.SetupFailed", "have not answered in time" },
                { -ECANCELED, "org.architect.Node.Error.SetupFailed", "is being replaced, try again" },
                { -ENOTCONN, "org.architect.Node.Error.KeeperUnavailable", "there is no keeper" },
                { -EOPNOTSUPP, "org.architect.Node.Error.KeeperUnavailable", "older than this service" },
        };
        BusWorld *b = *state;

        for (size_t i = 0; i < 2 * ELEMENTSOF(failures); i++) {
                const bool at_once = i % 2;
                g_auto(Call) c = {};

                b->world->lookup_result = at_once ? failures[i / 2].error : 0;
                call_node(b, &c, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "group", "s", "crew");
                bus_world_settle(b);
                if (!at_once)
                        account_on_found(g_steal_pointer(&b->world->query), failures[i / 2].error, NULL);
                bus_world_settle(b);
                assert_error(&c, failures[i / 2].name, failures[i / 2].text);
        }
        b->world->lookup_result = 0;
        assert_int_equal(questions->len, 0);

        /* Only who is permitted learns it. */
        g_auto(Call) expired = {}, mute = {}, service = {};
        start(b, &expired, "cam");
        found(b, "alice", ALICE, ALICE, "alice", true);
        yes(b);
        assert_error(&expired, SD_BUS_ERROR_ACCESS_DENIED, "account of user \"alice\" has expired");
        start(b, &mute, "cam");
        found(b, "mute", ALICE, ALICE, "alice", false);
        yes(b);
        assert_error(&mute, SD_BUS_ERROR_ACCESS_DENIED, "User \"mute\" may not log in: the shell is");
        call_node(b, &service, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "user", "s", "mute");
        bus_world_settle(b);
        found(b, "mute", BOB, BOB, "bob", false);
        forget_calls(b->world);
        yes(b);
        run_started(b, &service, "cam");
        world_exit(b->world, world_find(b->world, "cam"), EXIT_CODE_EXITED, 0);
}

/* One look-up of a user is under way at a time, and those of others do not wait for it. */
static void test_start_lookups(void **state) {
        BusWorld *b = *state;
        g_auto(Call) first = {}, second = {}, other = {}, poll = {};

        start(b, &first, "a");
        AccountQuery *of_first = g_steal_pointer(&b->world->query);
        start(b, &second, "b");
        expect_calls(b->world, "lookup(1000,)");
        call_node(b, &poll, "Poll", "as", 0);
        bus_world_settle(b);
        assert_replied(&poll);
        b->uid = BOB;
        call_node_from(b, &other, ":1.8", "Start", "sasa{sv}", "c", 1, "/bin/x", 0);
        bus_world_settle(b);
        expect_calls(b->world, "lookup(1002,)");
        AccountQuery *of_other = g_steal_pointer(&b->world->query);
        account_on_found(of_first, -ESRCH, NULL);
        bus_world_settle(b);
        assert_error(&first, "org.architect.Node.Error.SetupFailed", "1000");
        expect_calls(b->world, "lookup(1000,)");
        assert_int_equal(second.n + other.n, 0);

        /* The service ends. */
        b->clients->authority = authority_free(b->clients->authority);
        bus_world_settle(b);
        assert_error(&second, "org.architect.Node.Error.ShuttingDown", "call again");
        assert_error(&other, "org.architect.Node.Error.ShuttingDown", "call again");
        /* These come too late. */
        account_on_found(of_other, -ESRCH, NULL);
        account_on_found(g_steal_pointer(&b->world->query), -ESRCH, NULL);
}

/* Another's role is neither replaced nor hidden, whenever it comes. */
static void test_start_names(void **state) {
        BusWorld *b = *state;
        g_auto(Call) running = {}, ended = {}, late = {}, late_end = {}, own = {};

        Role *role = run_role(b, "cam", BOB, "1002");
        start(b, &running, "cam");
        found_alice(b);
        yes(b);
        assert_error(&running, "org.architect.Node.Error.RoleExists", "is running");
        world_exit(b->world, role, EXIT_CODE_EXITED, 0);
        forget_calls(b->world);
        start(b, &ended, "cam");
        assert_error(&ended, SD_BUS_ERROR_ACCESS_DENIED,
                "Role \"cam\" has ended, and only who has started it, and root, may replace it");
        expect_calls(b->world, ""); /* and nobody was asked */

        /* It appears while polkit is asked: it is asked again, and then refused. */
        start(b, &late, "new");
        found_alice(b);
        role = run_role(b, "new", BOB, "1002");
        yes(b);
        assert_int_equal(late.n, 0);
        yes(b);
        assert_error(&late, "org.architect.Node.Error.RoleExists", "is running");
        start(b, &late_end, "new");
        found_alice(b);
        world_exit(b->world, role, EXIT_CODE_EXITED, 0);
        yes(b);
        assert_error(&late_end, SD_BUS_ERROR_ACCESS_DENIED, "choose another name");
        assert_int_equal(world_find(b->world, "new")->owner.uid, BOB);
        assert_int_equal(questions->len, 0);

        /* She may replace her own. */
        role = run_role(b, "mine", ALICE, "1000");
        world_exit(b->world, role, EXIT_CODE_EXITED, 0);
        start(b, &own, "mine");
        found_alice(b);
        yes(b);
        run_started(b, &own, "mine");
        world_exit(b->world, world_find(b->world, "mine"), EXIT_CODE_EXITED, 0);
}

static void test_start_limits(void **state) {
        BusWorld *b = *state;
        g_auto(Call) nice = {}, timeout = {}, display = {}, own_display = {}, fast = {}, many = {},
                     stopping = {};

        call_node(b, &nice, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "nice", "i", -1);
        call_node(b, &timeout, "Start", "sasa{sv}", "cam", 1, "/bin/x", 1, "stop-timeout-usec", "t",
                UINT64_C(10000001));
        bus_world_settle(b);
        assert_error(&nice, SD_BUS_ERROR_ACCESS_DENIED, "Option \"nice\": only root");
        assert_error(&timeout, SD_BUS_ERROR_ACCESS_DENIED, "Option \"stop-timeout-usec\": only root");
        expect_calls(b->world, "");

        /* That is root's display. */
        assert_return_code(env_set(b->world->node->env, 0, "DISPLAY", ":0", NULL), 0);
        call_node(b, &display, "Start", "sasa{sv}", "cam", 1, "/bin/x", 2, "stdin", "s", "pty", "xterm", "b",
                1);
        bus_world_settle(b);
        found_alice(b);
        yes(b);
        assert_error(&display, SD_BUS_ERROR_INVALID_ARGS, "needs a DISPLAY");
        /* This is hers. */
        assert_return_code(env_set(b->world->node->env, ALICE, "DISPLAY", ":1", NULL), 0);
        call_node(b, &own_display, "Start", "sasa{sv}", "window", 1, "/bin/x", 2, "stdin", "s", "pty",
                "xterm", "b", 1);
        bus_world_settle(b);
        found_alice(b);
        yes(b);
        assert_non_null(world_find(b->world, "window"));
        b->world->node->settings->max_starts_per_user = 1;
        start(b, &fast, "e");
        assert_error(&fast, "org.architect.Node.Error.LimitReached", "");
        /* It names the role once. */
        assert_string_equal(sd_bus_message_get_error(fast.reply)->message,
                "Role \"e\" cannot be started: uid 1000 starts more than 1 roles within a minute (MaxStartsPerUser=), try again later");
        b->world->node->settings->max_starts_per_user = 6000;

        b->world->node->settings->max_roles_per_user = 2;
        world_exit(b->world, run_role(b, "a", ALICE, "1000"), EXIT_CODE_EXITED, 0);
        world_exit(b->world, run_role(b, "b", ALICE, "1000"), EXIT_CODE_EXITED, 0);
        world_exit(b->world, run_role(b, "c", BOB, "1000"), EXIT_CODE_EXITED, 0);
        start(b, &many, "d");
        assert_error(&many, "org.architect.Node.Error.LimitReached", "uid 1000 has 3 roles already");
        b->world->node->settings->max_roles_per_user = 100;
        for (unsigned i = 1; i < 16; i++) { /* with the window */
                g_autofree char *name = g_strdup_printf("s%u", i);
                g_auto(Call) c = {};

                start(b, &c, name);
                found_alice(b);
                yes(b);
                assert_non_null(world_find(b->world, name));
        }
        start(b, &stopping, "s16");
        assert_error(&stopping, "org.architect.Node.Error.LimitReached", "16 roles of uid 1000 are starting");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_permitted),
                TEST(test_root),
                TEST(test_own),
                TEST(test_challenge),
                TEST(test_no_answer),
                TEST(test_other_role),
                TEST(test_sets),
                TEST(test_caller_leaves),
                TEST(test_leaving),
                TEST(test_many),
                TEST(test_permissions),
                TEST(test_user),
                TEST(test_actions),
                TEST(test_environment),
                TEST(test_start),
                TEST(test_start_of_root),
                TEST(test_start_defined),
                TEST(test_start_as),
                TEST(test_start_account),
                TEST(test_start_lookups),
                TEST(test_start_names),
                TEST(test_start_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
