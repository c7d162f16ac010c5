/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls whose replies are sent later, and which callers are permitted. */

#include "bus-world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/input.h"
#include "bus/role-dbus.h"
#include "model/role-recover.h"
#include "model/role-start.h"
#include "model/role-terminal.h"
#include "util/autoptr.h"

static void start(BusWorld *b, Call *call, const char *name) {
        call_node(b, call, "Start", "sasa{sv}", name, 1, "/bin/true", 0);
        bus_world_settle(b);
}

static void assert_path(Call *call, const char *name) {
        g_autofree char *want = role_dbus_path(name);
        const char *path;

        assert_replied(call);
        assert_return_code(sd_bus_message_read(call->reply, "o", &path), 0);
        assert_string_equal(path, want);
}

static char *seen(BusWorld *b) {
        g_autoptr(GString) s = g_string_new(NULL);

        for (unsigned i = 0; i < b->signals->len; i++)
                g_string_append_printf(
                        s, "%s%s", i > 0 ? " " : "", (char *) g_ptr_array_index(b->signals, i));
        g_ptr_array_set_size(b->signals, 0);
        return g_string_free(g_steal_pointer(&s), false);
}

#define assert_seen(b, expected) \
        do { \
                g_autofree char *_seen = seen(b); \
                assert_string_equal(_seen, (expected)); \
        } while (0)

static void test_start_and_stop(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) started = {}, stopped = {}, joined = {};

        start(b, &started, "cam");
        Role *role = world_find(w, "cam");
        assert_non_null(role);
        /* The role, which is starting, and the counters of the node. */
        assert_seen(b, "InterfacesAdded PropertiesChanged");
        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        bus_world_settle(b);
        assert_int_equal(started.n, 0);
        role_on_gate_closed(role);
        bus_world_settle(b);
        assert_path(&started, "cam");
        assert_int_equal(role->owner.uid, 0);
        assert_int_equal(role->owner.pid, getpid());
        /* The role's process and cgroup, then its state; of the node nothing has changed. */
        assert_seen(b, "PropertiesChanged PropertiesChanged RoleStarted");

        call_node(b, &stopped, "Stop", "s", "cam");
        call_node(b, &joined, "Stop", "s", "cam");
        bus_world_settle(b);
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_int_equal(stopped.n, 0);
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        bus_world_settle(b);
        assert_int_equal(stopped.n, 0);
        g_autofree char *before = seen(b);
        assert_contains(before, "RoleExited");
        world_emptied(w, role);
        bus_world_settle(b);
        assert_replied(&stopped);
        assert_replied(&joined);
        assert_int_equal(started.n, 1);
}

/* The order in which a client receives signal and reply. */
static int on_first_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusWorld *b = userdata;

        g_ptr_array_add(b->signals, g_strdup("reply"));
        return 0;
}

static void test_signal_before_reply(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");

        assert_return_code(sd_bus_message_append(m, "sasa{sv}", "cam", 1, "/bin/true", 0), 0);
        assert_return_code(sd_bus_call_async(b->client, NULL, m, on_first_reply, b, UINT64_MAX), 0);
        bus_world_settle(b);
        Role *role = world_find(w, "cam");
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        world_exit(w, role, EXIT_CODE_EXITED, 0); /* all of it in one iteration of the loop */
        bus_world_settle(b);
        g_autofree char *s = seen(b);
        const char *started = strstr(s, "RoleStarted"), *reply = strstr(s, "reply"),
                   *exited = strstr(s, "RoleExited"), *added = strstr(s, "InterfacesAdded");
        assert_non_null(added);
        assert_non_null(started);
        assert_non_null(reply);
        assert_non_null(exited);
        assert_true(added < started && started < reply && reply < exited);
}

static void test_failed_start(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {}, again = {};

        start(b, &call, "cam");
        g_auto(Call) exists = {};
        start(b, &exists, "cam");
        assert_error(&exists, "org.architect.Node.Error.RoleExists",
                "Role \"cam\" exists already: it is starting");
        world_fork_failed(b->world, world_find(b->world, "cam"), -EAGAIN);
        bus_world_settle(b);
        assert_error(&call, "org.architect.Node.Error.SetupFailed", "Role \"cam\": cannot fork");
        assert_null(world_find(b->world, "cam"));
        g_autofree char *s = seen(b);
        assert_contains(s, "InterfacesRemoved");
        assert_null(strstr(s, "RoleStarted"));

        /* Changes are coalesced, so a role that appears and disappears between two iterations is not
         * announced. */
        b->world->fork_result = -ENOSPC;
        start(b, &again, "cam");
        assert_error(&again, "org.architect.Node.Error.KeeperUnavailable", "\"cam\"");
        g_autofree char *nothing = seen(b);
        assert_null(strstr(nothing, "Interfaces"));
}

static void test_cancelled(void **state) {
        BusWorld *b = *state;
        g_auto(Call) started = {}, stopped = {};

        start(b, &started, "cam");
        call_node(b, &stopped, "Stop", "s", "cam");
        bus_world_settle(b);
        assert_int_equal(started.n + stopped.n, 0);
        world_fork_failed(b->world, world_find(b->world, "cam"), -EIO);
        bus_world_settle(b);
        assert_error(&started, "org.architect.Node.Error.StartCancelled", "cancelled by Stop");
        assert_replied(&stopped);
}

/* The caller disconnects before there is a reply. */
static void test_client_is_gone(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        Call started = {}, stopped = {}; /* they are not read, because the connection is closed first */

        Role *other = world_run(w, "other", NULL);
        start(b, &started, "cam");
        call_node(b, &stopped, "Stop", "s", "other");
        bus_world_settle(b);
        Role *role = world_find(w, "cam");
        bus_world_disconnect_client(b);
        while (sd_event_run(w->event, 0) > 0)
                ;

        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_RUNNING);
        world_exit(w, other, EXIT_CODE_KILLED, SIGTERM);
        assert_true(other->swept);
        while (sd_event_run(w->event, 0) > 0)
                ;
}

static void test_signal(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {}, all = {}, ended = {};
        g_auto(Fault) fault = {};

        Role *role = world_run(w, "cam", NULL);
        forget_calls(w);
        call_node(b, &call, "Signal", "ssi", "cam", "main", SIGUSR1);
        bus_world_settle(b);
        expect_calls(w, "save(cam) signal-main(cam,10)");
        assert_int_equal(call.n, 0);
        world_answer(w, NULL);
        bus_world_settle(b);
        assert_replied(&call);

        call_node(b, &all, "Signal", "ssi", "cam", "all", SIGUSR2);
        bus_world_settle(b);
        expect_calls(w, "save(cam) signal-cgroup(cam,12)");
        (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"cam\" has ended");
        world_answer(w, &fault);
        bus_world_settle(b);
        assert_error(&all, "org.architect.Node.Error.RoleNotRunning", "has ended");

        static const struct {
                const char *whom;
                int signo;
                const char *text;
        } bad[] = { { "both", 1, "whom is \"both\"" }, { "", 1, "whom is \"\"" },
                { "main", 0, "signal is 0, but must be from 1 to 64" }, { "main", 65, "signal is 65" },
                { "all", -9, "signal is -9" } };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_auto(Call) refused = {};

                call_node(b, &refused, "Signal", "ssi", "cam", bad[i].whom, bad[i].signo);
                bus_world_settle(b);
                assert_error(&refused, SD_BUS_ERROR_INVALID_ARGS, bad[i].text);
        }
        expect_calls(w, "");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        call_node(b, &ended, "Signal", "ssi", "cam", "main", SIGUSR1);
        bus_world_settle(b);
        assert_error(&ended, "org.architect.Node.Error.RoleNotRunning", "it is ended");
}

/* The bytes of a call stay in the message. A refused call is released. */
static void test_input(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) first = {}, full = {}, ended = {};
        g_autofree char *data = g_malloc0(INPUT_QUEUE_MAX);
        int fds[2];

        Role *role = world_run(w, "cat", NULL);
        assert_return_code(pipe2(fds, O_CLOEXEC | O_NONBLOCK), errno);
        (void) fd_close(role->stdin_fd);
        role->stdin_fd = fds[1];

        g_autoptr(sd_bus_message) write = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "WriteInput"),
                                  more = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "WriteInput");
        assert_return_code(sd_bus_message_append(write, "s", "cat"), 0);
        assert_return_code(sd_bus_message_append_array(write, 'y', data, INPUT_QUEUE_MAX), 0);
        call_send(b, &first, write);
        assert_return_code(sd_bus_message_append(more, "s", "cat"), 0);
        assert_return_code(sd_bus_message_append_array(more, 'y', data, INPUT_QUEUE_MAX), 0);
        call_send(b, &full, more);
        world_wait(w, full.n > 0);
        assert_error(&full, "org.architect.Node.Error.InputFull", "Role \"cat\"");
        assert_int_equal(first.n, 0);

        size_t total = 0;
        while (first.n == 0) {
                char buffer[65536];
                ssize_t n;

                while ((n = read(fds[0], buffer, sizeof(buffer))) > 0)
                        total += (size_t) n;
                assert_return_code(sd_event_run(w->event, 1000000), 0);
        }
        assert_replied(&first);
        char buffer[65536];
        for (ssize_t n; (n = read(fds[0], buffer, sizeof(buffer))) > 0;)
                total += (size_t) n;
        assert_int_equal(total, INPUT_QUEUE_MAX);
        (void) fd_close(fds[0]);

        world_exit(w, role, EXIT_CODE_EXITED, 0);
        call_node(b, &ended, "SendInput", "ss", "cat", "x");
        bus_world_settle(b);
        assert_error(&ended, "org.architect.Node.Error.RoleNotRunning", "it is ended");
}

/* The same verbs on the object of the role. */
static void test_role_object(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autofree char *path = role_dbus_path("cam");
        g_auto(Call) purge = {}, stop = {}, purged = {};

        Role *role = world_run(w, "cam", NULL);
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, path, NODE_ROLE_INTERFACE, "Purge");
        call_send(b, &purge, m);
        bus_world_settle(b);
        assert_error(&purge, "org.architect.Node.Error.RoleRunning", "\"cam\"");
        g_autoptr(sd_bus_message) s = call_new(b, CLIENT, path, NODE_ROLE_INTERFACE, "Stop");
        call_send(b, &stop, s);
        bus_world_settle(b);
        assert_int_equal(role->state, ROLE_STOPPING);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        bus_world_settle(b);
        assert_replied(&stop);
        g_autoptr(sd_bus_message) p = call_new(b, CLIENT, path, NODE_ROLE_INTERFACE, "Purge");
        call_send(b, &purged, p);
        bus_world_settle(b);
        assert_replied(&purged);
        assert_null(world_find(w, "cam"));
}

static void test_shutdown(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {}, again = {}, start_call = {}, poll = {};

        Role *role = world_run(w, "cam", NULL);
        bus_world_settle(b);
        g_ptr_array_set_size(b->signals, 0);
        call_node(b, &call, "Shutdown", "s", "night is over");
        bus_world_settle(b);
        assert_replied(&call);
        g_autofree char *s = seen(b);
        assert_contains(s, "ShuttingDown");
        call_node(b, &again, "Shutdown", "s", "");
        start(b, &start_call, "new");
        call_node(b, &poll, "Poll", "as", 0);
        bus_world_settle(b);
        assert_error(&again, "org.architect.Node.Error.ShuttingDown", "shutting down");
        assert_error(&start_call, "org.architect.Node.Error.ShuttingDown", "shutting down");
        assert_replied(&poll); /* the connection is still read */
        assert_false(w->finished);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_true(w->finished);
}

/* The limit counts characters and not bytes. */
static void test_shutdown_reason(void **state) {
        BusWorld *b = *state;
        g_auto(Call) refused = {}, call = {};
        g_autoptr(GString) reason = g_string_new(NULL);

        while (g_utf8_strlen(reason->str, -1) <= 1024)
                g_string_append(reason, "\u2602");
        Role *role = world_run(b->world, "cam", NULL);
        call_node(b, &refused, "Shutdown", "s", reason->str);
        bus_world_settle(b);
        assert_error(
                &refused, SD_BUS_ERROR_INVALID_ARGS, "has 1025 characters, but must not have more than 1024");
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_false(b->world->node->stopping);

        g_string_truncate(reason, reason->len - strlen("\u2602"));
        call_node(b, &call, "Shutdown", "s", reason->str);
        bus_world_settle(b);
        assert_replied(&call);
        world_exit(b->world, role, EXIT_CODE_KILLED, SIGTERM);
        assert_true(b->world->finished);
}

static void test_reading_needs_no_name(void **state) {
        BusWorld *b = *state;
        g_auto(Call) poll = {}, list = {}, get = {}, unknown = {};

        (void) world_run_and_exit(b->world, "cam", NULL);
        call_node_from(b, &poll, NULL, "Poll", "as", 2, "cam", "cam");
        call_node_from(b, &list, NULL, "ListRoles", "");
        call_node_from(b, &get, NULL, "GetRole", "s", "cam");
        call_node_from(b, &unknown, NULL, "Poll", "as", 2, "cam", "nobody");
        bus_world_settle(b);
        const char *name, *text;
        assert_replied(&poll);
        assert_return_code(sd_bus_message_read(poll.reply, "a{ss}", 1, &name, &text), 0);
        assert_string_equal(text, "exit 0");
        assert_replied(&list);
        assert_path(&get, "cam");
        assert_error(&unknown, "org.architect.Node.Error.NoSuchRole", "There is no role \"nobody\"");
        assert_int_equal(b->n_asked, 0);
}

/* Every call that changes something, from this sender. */
static void refuse_all(BusWorld *b, const char *sender, const char *text) {
        static const struct {
                const char *member, *types, *doing;
        } calls[] = {
                { "Stop", "s", "stop roles" },
                { "Kill", "s", "stop roles" },
                { "CloseInput", "s", "write to roles" },
                { "Freeze", "s", "freeze roles" },
                { "Thaw", "s", "thaw roles" },
                { "Shutdown", "s", "shut the service down" },
        };
        g_auto(Call) start_call = {}, signal_call = {}, send = {}, purge = {};

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                g_auto(Call) call = {};

                call_node_from(b, &call, sender, calls[i].member, calls[i].types, "cam");
                bus_world_settle(b);
                assert_error(&call, SD_BUS_ERROR_ACCESS_DENIED, text);
                if (sender)
                        assert_contains(sd_bus_message_get_error(call.reply)->message, calls[i].doing);
        }
        call_node_from(b, &start_call, sender, "Start", "sasa{sv}", "new", 1, "/bin/true", 0);
        call_node_from(b, &signal_call, sender, "Signal", "ssi", "cam", "main", SIGKILL);
        call_node_from(b, &send, sender, "SendInput", "ss", "cam", "x");
        call_node_from(b, &purge, sender, "Purge", "as", 0);
        bus_world_settle(b);
        if (b->world->query) {
                g_autoptr(GArray) none = g_array_new(false, false, sizeof(gid_t));
                char name[] = "u";

                account_on_found(g_steal_pointer(&b->world->query), 0,
                        &(Account){ b->uid, 0, none, name, name, name, name, false, false });
                bus_world_settle(b);
        }
        assert_error(&start_call, SD_BUS_ERROR_ACCESS_DENIED, text);
        assert_error(&signal_call, SD_BUS_ERROR_ACCESS_DENIED, text);
        assert_error(&send, SD_BUS_ERROR_ACCESS_DENIED, text);
        assert_error(&purge, SD_BUS_ERROR_ACCESS_DENIED, text);

        static const char *const role_calls[] = { "Stop", "Kill", "CloseInput", "Freeze", "Thaw", "Purge" };
        g_autofree char *path = role_dbus_path("cam");
        for (size_t i = 0; i < ELEMENTSOF(role_calls); i++) {
                g_auto(Call) call = {};
                g_autoptr(sd_bus_message) m = call_new(b, sender, path, NODE_ROLE_INTERFACE, role_calls[i]);

                call_send(b, &call, m);
                bus_world_settle(b);
                assert_error(&call, SD_BUS_ERROR_ACCESS_DENIED, text);
        }
        assert_int_equal(world_find(b->world, "cam")->state, ROLE_RUNNING);
        assert_null(world_find(b->world, "new"));
        assert_false(b->world->node->stopping);
}

static void test_no_name(void **state) {
        BusWorld *b = *state;

        (void) world_run(b->world, "cam", NULL);
        refuse_all(b, NULL, "has no name on the bus");
        assert_int_equal(b->n_asked, 0);
}

static void test_not_root(void **state) {
        BusWorld *b = *state;

        (void) world_run(b->world, "cam", NULL);
        b->uid = 1000;
        refuse_all(b, CLIENT, "uid 1000");
        assert_int_equal(b->n_asked, 1); /* once for each connection */
}

/* The service of a user serves only that user, not even root, who may have one, too. */
static void test_user(void **state) {
        BusWorld *b = *state;
        g_auto(Call) beat = {};

        authority_set_user(b->clients->authority, 1000);
        (void) world_run(b->world, "cam", NULL);
        b->uid = 1000;
        call_node(b, &beat, "Beat", "");
        bus_world_settle(b);
        assert_replied(&beat);
}

static void test_not_the_user(void **state) {
        BusWorld *b = *state;

        authority_set_user(b->clients->authority, 1000);
        (void) world_run(b->world, "cam", NULL);
        b->uid = 0;
        refuse_all(b, CLIENT, "Only uid 1000, which owns this service");
}

/* Calls of a sender that is not known yet wait for the reply of the bus daemon, and continue in their
 * order. */
static void test_parked_in_order(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) a = {}, z = {}, stop = {}, later = {};

        b->hold = true;
        start(b, &a, "a");
        start(b, &z, "z");
        call_node(b, &stop, "Stop", "s", "a");
        bus_world_settle(b);
        expect_calls(w, "");
        assert_int_equal(b->n_asked, 1);
        bus_world_answer(b);
        bus_world_settle(b);
        expect_calls(w, "save(a) fork(a) save(z) fork(z)");
        assert_non_null(world_find(w, "a")->failure.message); /* the stop came after the start */
        call_node(b, &later, "Poll", "as", 1, "z");
        world_fork_failed(w, world_find(w, "a"), -EIO);
        world_fork_failed(w, world_find(w, "z"), -EIO);
        bus_world_settle(b);
        assert_error(&a, "org.architect.Node.Error.StartCancelled", "cancelled");
        assert_error(&z, "org.architect.Node.Error.SetupFailed", "fork");
        assert_replied(&stop);
        assert_int_equal(b->n_asked, 1);
}

/* A call that arrives together with the reply stays behind those that wait for it. */
static void test_behind_the_parked(void **state) {
        BusWorld *b = *state;
        g_auto(Call) start_call = {}, stop = {};

        b->hold = true;
        start(b, &start_call, "cam");
        bus_world_answer(b);
        call_node(b, &stop, "Stop", "s", "cam");
        bus_world_settle(b);
        assert_int_equal(start_call.n + stop.n, 0); /* the start was cancelled; the error is not NoSuchRole */
        world_fork_failed(b->world, world_find(b->world, "cam"), -EIO);
        bus_world_settle(b);
        assert_error(&start_call, "org.architect.Node.Error.StartCancelled", "cancelled by Stop");
        assert_replied(&stop);
}

/* Calls that were held until the roles are up to date come before those that were read in the meantime. */
static void test_behind_the_held(void **state) {
        BusWorld *b = *state;
        sd_bus *bus = b->clients->bus;
        sd_bus_slot *slot = NULL;
        g_auto(Call) known = {}, first = {}, second = {}, get = {};
        const char *value;

        call_node(b, &known, "Poll", "as", 0);
        bus_world_settle(b);
        assert_replied(&known);
        assert_return_code(sd_bus_add_filter(bus, &slot, clients_filter_calls, b->clients), 0);
        b->world->node->recovered = false;
        call_node(b, &first, "SetEnv", "ss", "NAME", "first");
        call_node(b, &second, "SetEnv", "ss", "NAME", "second");
        bus_world_settle(b);
        assert_int_equal(g_queue_get_length(b->clients->held), 2);
        /* As if this one stood in the queue of the bus already. */
        g_autoptr(sd_bus_message) read = g_queue_pop_tail(b->clients->held);
        assert_return_code(sd_bus_message_rewind(read, true), 0);
        assert_return_code(sd_bus_enqueue_for_read(bus, read), 0);

        b->world->node->recovered = true;
        ASK(b->world->node, clients, recovered);
        bus_world_settle(b);
        assert_replied(&first);
        assert_replied(&second);
        assert_int_equal(g_queue_get_length(b->clients->held), 0);
        call_node(b, &get, "GetEnv", "s", "NAME");
        bus_world_settle(b);
        assert_replied(&get);
        assert_return_code(sd_bus_message_read(get.reply, "s", &value), 0);
        assert_string_equal(value, "second");
        sd_bus_slot_unref(slot);
}

/* Calls of a sender that has disconnected in the meantime have no effect. */
static void test_sender_has_left(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {}, again = {};

        b->hold = true;
        b->nobody = true;
        start(b, &call, "cam");
        bus_world_answer(b);
        bus_world_settle(b);
        expect_calls(b->world, "");
        assert_int_equal(call.n, 0);

        /* The request is repeated, because the reply was an error. */
        b->nobody = false;
        start(b, &again, "cam");
        assert_int_equal(b->n_asked, 2);
        assert_non_null(world_find(b->world, "cam"));
        world_fork_failed(b->world, world_find(b->world, "cam"), -EIO);
        bus_world_settle(b);
        assert_int_equal(again.n, 1);
}

/* If the bus daemon does not reply in time, or does not know the UID, each call gets an error, and the next
 * call requests it again. */
static void test_sender_not_named(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *error;
                const char *text;
        } answers[] = { { SD_BUS_ERROR_NO_REPLY, "call again: " },
                { NULL, "call again: No data available" } };

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                g_auto(Call) first = {}, second = {}, later = {};

                b->hold = true;
                b->no_uid = !answers[i].error;
                b->error = answers[i].error;
                start(b, &first, "cam");
                call_node(b, &second, "Stop", "s", "cam");
                bus_world_settle(b);
                assert_int_equal(first.n + second.n, 0);
                bus_world_answer(b);
                bus_world_settle(b);
                expect_calls(b->world, "");
                assert_error(&first, SD_BUS_ERROR_ACCESS_DENIED, answers[i].text);
                assert_error(&second, SD_BUS_ERROR_ACCESS_DENIED, answers[i].text);

                b->no_uid = false;
                b->error = NULL;
                call_node(b, &later, "Purge", "as", 0);
                bus_world_settle(b);
                assert_replied(&later);
                b->clients->authority = authority_free(b->clients->authority);
                assert_return_code(authority_new(b->clients->bus, b->clients->bus, b->world->node,
                                           b->clients->allowance, &b->clients->authority),
                        0);
        }
}

/* The service ends in the meantime. */
static void test_leaving_with_parked(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {};

        b->hold = true;
        start(b, &call, "cam");
        assert_int_equal(call.n, 0);
        b->clients->authority = authority_free(b->clients->authority);
        bus_world_settle(b);
        assert_error(&call, "org.architect.Node.Error.ShuttingDown", "call again");
}

/* A call whose role has been removed when it continues is replied to without a request about the caller, and
 * the calls behind it continue. */
static void test_parked_role_gone(void **state) {
        BusWorld *b = *state;
        g_auto(Call) purge = {}, method = {}, object = {}, last = {}, later = {};

        (void) world_run_and_exit(b->world, "cam", NULL);
        g_autofree char *path = role_dbus_path("cam");
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, path, NODE_ROLE_INTERFACE, "Kill");

        b->hold = true;
        call_node(b, &purge, "Purge", "as", 1, "cam");
        call_node(b, &method, "Stop", "s", "cam");
        call_send(b, &object, m);
        call_node(b, &last, "Purge", "as", 0);
        bus_world_settle(b);
        bus_world_answer(b);
        bus_world_settle(b);
        assert_replied(&purge);
        assert_error(&method, "org.architect.Node.Error.NoSuchRole", "cam");
        assert_int_equal(object.n, 1);
        assert_true(sd_bus_message_is_method_error(object.reply, NULL));
        assert_replied(&last);
        call_node(b, &later, "Purge", "as", 0);
        bus_world_settle(b);
        assert_replied(&later);
}

/* OpenTerminalSocket replies when the keeper has made the socket, which belongs to the user of the caller. */
static void test_terminal_socket(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {}, object = {}, failed = {}, bad = {}, denied = {};
        const char *path;

        (void) world_run_on_terminal(w, "cam");
        call_node(b, &call, "OpenTerminalSocket", "sa{sv}", "cam", 0);
        bus_world_settle(b);
        expect_calls(w, "socket(cam,0)");
        assert_true(w->socket_replay);
        assert_int_equal(call.n, 0);
        terminal_on_socket(g_steal_pointer(&w->socket_request), 0, "/run/architect-terminal/main/1.0");
        bus_world_settle(b);
        assert_replied(&call);
        assert_true(sd_bus_message_read(call.reply, "s", &path) > 0);
        assert_string_equal(path, "/run/architect-terminal/main/1.0");

        g_autofree char *object_path = role_dbus_path("cam");
        g_autoptr(sd_bus_message) m =
                call_new(b, CLIENT, object_path, NODE_ROLE_INTERFACE, "OpenTerminalSocket");
        assert_return_code(sd_bus_message_append(m, "a{sv}", 1, "replay", "b", false), 0);
        call_send(b, &object, m);
        bus_world_settle(b);
        assert_false(w->socket_replay);
        terminal_on_socket(g_steal_pointer(&w->socket_request), 0, "/run/x");
        bus_world_settle(b);
        assert_replied(&object);

        call_node(b, &failed, "OpenTerminalSocket", "sa{sv}", "cam", 0);
        bus_world_settle(b);
        terminal_on_socket(g_steal_pointer(&w->socket_request), -ESRCH, NULL);
        bus_world_settle(b);
        assert_error(&failed, "org.architect.Node.Error.RoleNotRunning", "cam");

        call_node(b, &bad, "OpenTerminalSocket", "sa{sv}", "cam", 1, "raw", "b", true);
        bus_world_settle(b);
        assert_error(&bad, SD_BUS_ERROR_INVALID_ARGS, "\"raw\"");
        forget_calls(w);
        b->uid = 5;
        call_node_from(b, &denied, ":1.9", "OpenTerminalSocket", "sa{sv}", "cam", 0);
        bus_world_settle(b);
        assert_error(&denied, SD_BUS_ERROR_ACCESS_DENIED, "uid 5");
        expect_calls(w, "");
}

static void test_two_senders(void **state) {
        BusWorld *b = *state;
        g_auto(Call) one = {}, two = {};

        (void) world_run_and_exit(b->world, "cam", NULL);
        call_node_from(b, &one, ":1.8", "Purge", "as", 0);
        bus_world_settle(b);
        assert_replied(&one);
        b->uid = 5;
        call_node_from(b, &two, ":1.9", "Purge", "as", 0);
        bus_world_settle(b);
        assert_error(&two, SD_BUS_ERROR_ACCESS_DENIED, "uid 5");
        assert_int_equal(b->n_asked, 2);
}

static void reconnect_keeper(BusWorld *b) {
        node_on_keeper_lost(b->world->node);
        /* The keeper has no children. */
        node_on_keeper(b->world->node, NULL, 0);
}

/* The keeper dies during the fork that was requested, or is found to be dead at the request. The request is
 * sent to the next keeper. */
static void test_keeper_lost_while_forking(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        const int sent[] = { 0, -ENOTCONN };

        for (size_t i = 0; i < ELEMENTSOF(sent); i++) {
                const char *name = i == 0 ? "cam" : "spec";
                /* The role that runs by then is watched without a keeper. */
                g_autofree char *calls = g_strdup_printf(
                        "%ssave(%s) fork(%s)", i == 0 ? "" : "watch-main(cam) watch-main(cam) ", name, name);
                g_auto(Call) call = {};

                w->fork_result = sent[i];
                start(b, &call, name);
                w->fork_result = 0;
                assert_int_equal(call.n, 0);
                Role *role = world_find(w, name);
                uint64_t child = role->child;
                forget_calls(w);
                reconnect_keeper(b);
                expect_calls(w, calls);
                assert_true(role->child > child);
                assert_int_equal(w->node->n_starts, 1);
                world_forked(w, role);
                world_scope_made(w, role);
                role_on_gate_closed(role);
                bus_world_settle(b);
                assert_path(&call, name);
        }
}

/* A cancelled start ends, because there is no reply to wait for. */
static void test_keeper_lost_while_cancelled_in_fork(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_auto(Call) call = {}, stop = {};

        start(b, &call, "cam");
        call_node(b, &stop, "Stop", "s", "cam");
        bus_world_settle(b);
        assert_int_equal(call.n + stop.n, 0);
        reconnect_keeper(b);
        bus_world_settle(b);
        assert_error(&call, "org.architect.Node.Error.StartCancelled", "cancelled by Stop");
        assert_replied(&stop);
        assert_nothing_left(w, "cam");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_start_and_stop),
                BUS_TEST(test_signal_before_reply),
                BUS_TEST(test_failed_start),
                BUS_TEST(test_cancelled),
                BUS_TEST(test_client_is_gone),
                BUS_TEST(test_signal),
                BUS_TEST(test_input),
                BUS_TEST(test_role_object),
                BUS_TEST(test_shutdown),
                BUS_TEST(test_shutdown_reason),
                BUS_TEST(test_reading_needs_no_name),
                BUS_TEST(test_no_name),
                BUS_TEST(test_not_root),
                BUS_TEST(test_user),
                BUS_TEST(test_not_the_user),
                BUS_TEST(test_parked_in_order),
                BUS_TEST(test_behind_the_parked),
                BUS_TEST(test_behind_the_held),
                BUS_TEST(test_sender_has_left),
                BUS_TEST(test_sender_not_named),
                BUS_TEST(test_leaving_with_parked),
                BUS_TEST(test_parked_role_gone),
                BUS_TEST(test_terminal_socket),
                BUS_TEST(test_two_senders),
                BUS_TEST(test_keeper_lost_while_forking),
                BUS_TEST(test_keeper_lost_while_cancelled_in_fork),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
