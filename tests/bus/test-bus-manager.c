/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* systemd as a peer that does not reply. Each call is completed once, by a reply, by an error, or at its end
 * together with the connection. */

#include "bus-world.h"

#include "scope/manager.h"
#include "util/autoptr.h"

/* The linker uses these instead of the functions of sd-bus. */
int __wrap_sd_bus_message_new_method_call(sd_bus *bus, sd_bus_message **ret, const char *destination,
        const char *path, const char *interface, const char *member);
int __real_sd_bus_message_new_method_call(sd_bus *bus, sd_bus_message **ret, const char *destination,
        const char *path, const char *interface, const char *member);
int __wrap_sd_bus_call_async(sd_bus *bus, sd_bus_slot **slot, sd_bus_message *m,
        sd_bus_message_handler_t callback, void *userdata, uint64_t usec);
int __real_sd_bus_call_async(sd_bus *bus, sd_bus_slot **slot, sd_bus_message *m,
        sd_bus_message_handler_t callback, void *userdata, uint64_t usec);

static int make_result, send_result;

int __wrap_sd_bus_message_new_method_call(sd_bus *bus, sd_bus_message **ret, const char *destination,
        const char *path, const char *interface, const char *member) {
        return make_result < 0 ? make_result
                               : __real_sd_bus_message_new_method_call(
                                         bus, ret, destination, path, interface, member);
}

int __wrap_sd_bus_call_async(sd_bus *bus, sd_bus_slot **slot, sd_bus_message *m,
        sd_bus_message_handler_t callback, void *userdata, uint64_t usec) {
        return send_result < 0 ? send_result
                               : __real_sd_bus_call_async(bus, slot, m, callback, userdata, usec);
}

typedef struct Asked {
        unsigned n_answers, n_errors, n_drops;
        char message[128]; /* of the first error */
} Asked;

static void on_reply(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        Asked *asked = userdata;

        if (error && asked->n_answers == 0)
                g_strlcpy(asked->message, error->message ?: "", sizeof(asked->message));
        asked->n_answers++;
        asked->n_errors += error != NULL;
}

static void on_job(void *userdata, const char *result, const sd_bus_error *error) {
        on_reply(userdata, NULL, error);
}

static void on_drop(void *userdata) {
        Asked *asked = userdata;

        asked->n_drops++;
}

static void assert_asked(const Asked *asked, unsigned n_answers, unsigned n_errors, unsigned n_drops) {
        assert_int_equal(asked->n_answers, n_answers);
        assert_int_equal(asked->n_errors, n_errors);
        assert_int_equal(asked->n_drops, n_drops);
}

static void end_manager(BusWorld *b) {
        b->scopes = scopes_free(b->scopes);
        b->manager = manager_free(b->manager);
}

/* The other end has no such object. */
static void test_error(void **state) {
        BusWorld *b = *state;
        Asked barrier = {}, job = {};

        manager_barrier(b->manager, on_reply, &barrier, on_drop);
        manager_stop_unit(b->manager, "cam.scope", on_job, &job, on_drop);
        assert_asked(&barrier, 0, 0, 0);
        bus_world_settle(b);
        assert_int_equal(job.n_answers, 1);
        end_manager(b);
        assert_asked(&barrier, 1, barrier.n_errors, 0);
        assert_asked(&job, 1, 1, 0);
}

/* More calls than are sent at once. */
static void test_not_answered(void **state) {
        BusWorld *b = *state;
        static Asked asked[2 * MANAGER_CALLS_MAX];

        for (size_t i = 0; i < ELEMENTSOF(asked); i++)
                if (i % 2 == 0)
                        manager_kill_unit(b->manager, "cam.scope", SIGTERM, on_reply, &asked[i], on_drop);
                else
                        manager_stop_unit(b->manager, "cam.scope", on_job, &asked[i], on_drop);
        manager_stop_unit(b->manager, "cam.scope", NULL, NULL, NULL);
        end_manager(b);
        bus_world_settle(b);
        for (size_t i = 0; i < ELEMENTSOF(asked); i++)
                assert_asked(&asked[i], 0, 0, 1);
}

static int on_stop_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "o", MANAGER_PATH "/job/1");
}

static void test_job_not_ended(void **state) {
        BusWorld *b = *state;
        Asked asked = {};

        assert_return_code(sd_bus_add_object(b->client, NULL, MANAGER_PATH, on_stop_unit, NULL), 0);
        manager_stop_unit(b->manager, "cam.scope", on_job, &asked, on_drop);
        bus_world_settle(b);
        assert_asked(&asked, 0, 0, 0);
        end_manager(b);
        assert_asked(&asked, 0, 0, 1);
}

/* A lost connection is not a reply, neither for pending calls nor for new ones. The next agent sends them
 * again. */
static void test_no_bus(void **state) {
        BusWorld *b = *state;
        Asked sent = {}, lost[2] = {};

        manager_barrier(b->manager, on_reply, &sent, on_drop);
        bus_world_disconnect_client(b);
        manager_barrier(b->manager, on_reply, &lost[0], on_drop);
        world_wait(b->world, sd_bus_is_open(b->clients->bus) <= 0);
        manager_stop_unit(b->manager, "cam.scope", on_job, &lost[1], on_drop);
        for (int i = 0; i < 100; i++)
                assert_return_code(sd_event_run(b->world->event, 0), 0);
        assert_asked(&sent, 0, 0, 0);
        end_manager(b);
        assert_asked(&sent, 0, 0, 1);
        for (size_t i = 0; i < ELEMENTSOF(lost); i++)
                assert_asked(&lost[i], 0, 0, 1);
}

static void ask_all(BusWorld *b, Asked *asked) {
        Manager *manager = b->manager;
        g_autoptr(sd_bus_message) m = NULL;

        manager_barrier(manager, on_reply, &asked[0], on_drop);
        manager_stop_unit(manager, "cam.scope", on_job, &asked[1], on_drop);
        manager_kill_unit(manager, "cam.scope", SIGTERM, on_reply, &asked[2], on_drop);
        manager_stop_unit(manager, "cam.scope", NULL, NULL, NULL);
        manager_kill_unit(manager, "cam.scope", SIGTERM, NULL, NULL, NULL);
        int r = manager_new_call(manager, &m, "GetUnit");
        manager_call(manager, r, m, on_reply, &asked[3], on_drop);
        manager_create_units(manager, r, m, MANAGER_TIMEOUT_USEC, on_job, &asked[4], on_drop);
}

/* A call that cannot be created or sent completes with its error, but not before the request has returned. */
static void test_not_made(void **state) {
        BusWorld *b = *state;
        int *const results[] = { &make_result, &send_result };

        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                Asked asked[5] = {};

                *results[i] = -ENOBUFS;
                ask_all(b, asked);
                *results[i] = 0;
                for (size_t j = 0; j < ELEMENTSOF(asked); j++)
                        assert_asked(&asked[j], 0, 0, 0);
                bus_world_settle(b);
                for (size_t j = 0; j < ELEMENTSOF(asked); j++) {
                        assert_asked(&asked[j], 1, 1, 0);
                        assert_string_equal(
                                asked[j].message, "Cannot call systemd: No buffer space available");
                }
        }

        Asked asked[5] = {};
        make_result = -ENOBUFS;
        ask_all(b, asked);
        make_result = 0;
        end_manager(b);
        for (size_t j = 0; j < ELEMENTSOF(asked); j++)
                assert_asked(&asked[j], 0, 0, 1);
}

/* A role whose process waits for its scope. */
static Role *role_forked(BusWorld *b, const char *name, Told *told) {
        Role *role = world_start(b->world, name, NULL, told);

        assert_non_null(role);
        world_forked(b->world, role);
        assert_true(role->scope_pending);
        return role;
}

/* Scopes that are requested alone, and so many that they are requested at once, in a batch. */
static void test_scope_not_made(void **state) {
        BusWorld *b = *state;
        static Told told[50];
        static Role *roles[ELEMENTSOF(told)];

        for (size_t n = 1; n <= ELEMENTSOF(told); n += ELEMENTSOF(told) - 1) {
                for (size_t i = 0; i < n; i++) {
                        g_autofree char *name = g_strdup_printf("cam%zu", i);
                        roles[i] = role_forked(b, name, &told[i]);
                }
                make_result = -ENOBUFS;
                for (size_t i = 0; i < n; i++) {
                        b->scope_ops->start(b->scopes, roles[i]);
                        assert_true(roles[i]->scope_pending);
                }
                for (int i = 0; i < 20; i++) /* the batch, then each alone */
                        assert_return_code(sd_event_run(b->world->event, 0), 0);
                make_result = 0;
                for (size_t i = 0; i < n; i++) {
                        assert_false(roles[i]->scope_pending);
                        assert_contains(roles[i]->failure.message, "Cannot call systemd: No buffer space");
                        world_exit(b->world, roles[i], EXIT_CODE_KILLED, SIGKILL);
                        world_scope_removed(b->world, roles[i]);
                        assert_told_fault(&told[i], NODE_ERROR_SCOPE_FAILED, "cannot create its scope");
                        told_clear(&told[i]);
                }
        }
}

static int on_unit_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        GString *calls = userdata;

        g_string_append_printf(calls, "%s ", sd_bus_message_get_member(m));
        return sd_bus_reply_method_return(m, NULL);
}

/* A signal gets its reply. A scope that cannot be frozen is killed unfrozen. */
static void test_signal_not_made(void **state) {
        BusWorld *b = *state;
        g_autoptr(GString) calls = g_string_new(NULL);
        g_auto(Told) told = {};
        Role *role = world_run(b->world, "cam", NULL);

        assert_return_code(sd_bus_add_object(b->client, NULL, MANAGER_PATH, on_unit_call, calls), 0);
        make_result = -ENOBUFS;
        b->scope_ops->signal(b->scopes, role, role->scope, SIGUSR1, told_by(&told));
        b->scope_ops->freeze_and_kill(b->scopes, role);
        (void) b->scope_ops->freeze(b->scopes, role, false, (Waiter){});
        b->scope_ops->resync(b->scopes);
        make_result = 0;
        assert_not_told(&told);
        bus_world_settle(b);
        assert_told_fault(&told, NODE_ERROR_IO_ERROR, "Cannot signal role \"cam\": Cannot call systemd");
        assert_string_equal(calls->str, "KillUnit ");

        /* The next time it is frozen again. */
        b->scope_ops->freeze_and_kill(b->scopes, role);
        bus_world_settle(b);
        assert_string_equal(calls->str, "KillUnit FreezeUnit KillUnit ");
        world_exit(b->world, role, EXIT_CODE_KILLED, SIGKILL);
}

static void send_signal(BusWorld *b, const char *sender, const char *path, const char *interface,
        const char *member, const char *types, ...) {
        g_autoptr(sd_bus_message) m = NULL;
        va_list ap;

        assert_return_code(sd_bus_message_new_signal(b->client, &m, path, interface, member), 0);
        assert_return_code(sd_bus_message_set_sender(m, sender), 0);
        va_start(ap, types);
        assert_return_code(sd_bus_message_appendv(m, types, ap), 0);
        va_end(ap);
        assert_return_code(sd_bus_send(b->client, m, NULL), 0);
        bus_world_settle(b);
}

static void send_job(BusWorld *b, const char *sender, const char *unit) {
        send_signal(
                b, sender, MANAGER_PATH, MANAGER_INTERFACE, "JobNew", "uos", 9, MANAGER_PATH "/job/9", unit);
}

static void send_job_removed(BusWorld *b, const char *result) {
        send_signal(b, ":1.1", MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", "uoss", 9,
                MANAGER_PATH "/job/9", "shutdown.target", result);
}

static void count(void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

/* systemd announces the shutdown by the job of a target. Nobody else can, and a cancelled one is over. */
static void test_shutdown(void **state) {
        BusWorld *b = *state;
        unsigned n = 0;

        manager_watch_shutdown(b->manager, count, &n);
        send_signal(b, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                "NameOwnerChanged", "sss", MANAGER_BUS_NAME, "", ":1.1");
        send_job(b, ":1.1", "cam.service");
        send_job(b, ":1.8", "shutdown.target");
        assert_false(manager_is_shutting_down(b->manager));
        send_job(b, ":1.1", "shutdown.target");
        assert_true(manager_is_shutting_down(b->manager));
        assert_int_equal(n, 1);
        send_job_removed(b, "done");
        assert_true(manager_is_shutting_down(b->manager));
        send_job_removed(b, "canceled");
        assert_false(manager_is_shutting_down(b->manager));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_error),
                BUS_TEST(test_not_answered),
                BUS_TEST(test_job_not_ended),
                BUS_TEST(test_no_bus),
                BUS_TEST(test_not_made),
                BUS_TEST(test_scope_not_made),
                BUS_TEST(test_signal_not_made),
                BUS_TEST(test_shutdown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
