/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* systemd as a peer that does not answer: each call is answered once, by it, by an error, or by its end together with the
 * connection's. */

#include "bus-world.h"

#include "scope/manager.h"

typedef struct Asked {
        unsigned n_answers, n_errors, n_drops;
} Asked;

static void on_reply(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        Asked *asked = userdata;

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

/* Nobody has the object at the other end. */
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

/* More than are sent at once. */
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

/* When the connection is lost, with questions under way and with new ones, that is no answer: who takes over asks again. */
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

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_error),
                BUS_TEST(test_not_answered),
                BUS_TEST(test_job_not_ended),
                BUS_TEST(test_no_bus),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
