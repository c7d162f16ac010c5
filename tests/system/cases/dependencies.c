/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * A small observatory of role files that depend on each other: it comes up in order, goes down the other way
 * round, follows the camera, and is the same after whatever kills the service meanwhile. */

#include <signal.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

#define STORED_EACH 4 /* of the logger: pidfd, standard input, and two for notifications */

/* One of the group "night", which runs this command of the actor. */
static void define_actor(const char *suffix, const char *lines, const char *command) {
        g_autofree char *path = role_file(role_name(suffix)),
                        *all = g_strdup_printf(
                                "RoleGroups=night\nCommand=%s %s\n%s\n", actor(), command, lines);

        write_role_file(path, all);
}

static GVariant *group(void) {
        GVariantBuilder none = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        const char *const names[] = { "@night", NULL };

        return g_variant_new("(^asa{sv})", names, &none);
}

static void assert_no_error(GVariant *results, guint n) {
        g_autoptr(GVariant) list = g_variant_get_child_value(results, 0);

        assert_int_equal(g_variant_n_children(list), n);
        for (guint i = 0; i < n; i++) {
                const char *name, *error, *message;

                g_variant_get_child(list, i, "(&s&s&s)", &name, &error, &message);
                if (error[0])
                        fail_msg("%s: %s: %s", name, error, message);
        }
}

/* NULL: for none. */
static void assert_waits_for(Bus *bus, const char *suffix, const char *other) {
        g_autofree char *name = NULL;

        WAIT_UNTIL((g_free(name), name = role_get_string(bus, role_name(suffix), "WaitsFor"),
                g_str_equal(name, other ? role_name(other) : "")));
}

static guint64 sequence(const Event *event) {
        g_autoptr(GVariant) details = event_details(event);

        return detail_u64(details, "seq");
}

/* The logger is ready when its input ends; the guider is bound to the camera, the hub requires both. */
static void define_observatory(Bus *bus, Fifo *fifo, const char *more) {
        g_autofree char *log = g_strdup_printf("say %s up read-eof notify READY=1 pause", fifo_path(fifo)),
                        *requires_log = g_strdup_printf("Requires=%s\n%s", role_name("log"), more),
                        *camera = g_strdup_printf("%s\nRestart=on-failure\nRestartSec=100ms", requires_log),
                        *guider = g_strdup_printf(
                                "BindsTo=%s\nRestart=on-failure\n%s", role_name("camera"), more),
                        *hub = g_strdup_printf(
                                "Requires=%s %s\n%s", role_name("camera"), role_name("guider"), more),
                        *web = g_strdup_printf(
                                "After=%s\nPartOf=%s\n%s", role_name("hub"), role_name("hub"), more);

        define_actor("log", "Type=notify", log);
        define_actor("camera", camera, "pause");
        define_actor("guider", guider, "pause");
        define_actor("hub", hub, "pause");
        define_actor("web", web, "pause");
        reload_definitions(bus);
}

static const char *const in_order[] = { "log", "camera", "guider", "hub", "web" };
#define N G_N_ELEMENTS(in_order)

/* Returns the serial number of the call. The logger is not ready yet. */
static guint32 begin_night(Bus *bus, Fifo *fifo) {
        guint32 serial = node_send(bus, "StartMany", group());

        fifo_expect_pid(fifo, "up");
        assert_waits_for(bus, "camera", "log");
        return serial;
}

static void bring_up(Bus *bus, Fifo *fifo) {
        guint32 serial = begin_night(bus, fifo);

        close_input(bus, role_name("log"));
        g_autoptr(GVariant) results = bus_result(bus, serial);
        assert_no_error(results, N);
}

/* Each has started after the one before. */
static void assert_started_in_order(Bus *bus) {
        guint64 last = 0;

        for (guint i = 0; i < N; i++) {
                const guint64 now = sequence(bus_wait(bus, "RoleStarted", role_name(in_order[i])));

                assert_true(now > last);
                last = now;
        }
}

/* Up, each when the one before is ready, and down the other way round. */
static void test_night(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint64 last = G_MAXUINT64;

        define_observatory(bus, fifo, "");
        guint32 serial = begin_night(bus, fifo);
        assert_state(bus, role_name("hub"), "starting");
        assert_state(bus, role_name("web"), "starting");
        assert_false(bus_has_reply(bus, serial));
        close_input(bus, role_name("log"));
        g_autoptr(GVariant) started = bus_result(bus, serial);
        assert_no_error(started, N);
        assert_started_in_order(bus);

        g_autoptr(GVariant) stopped = node_call(bus, "StopMany", group());
        assert_no_error(stopped, N);
        for (guint i = 0; i < N; i++) {
                Exited exited = expect_exited(bus, role_name(in_order[i]), "killed", SIGTERM, "stop");

                assert_true(sequence(exited.event) < last);
                last = sequence(exited.event);
        }
}

/* A Stop of one takes with it what depends on it, and nothing comes back. */
static void test_stop(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        define_observatory(bus, fifo, "");
        bring_up(bus, fifo);
        stop(bus, role_name("camera"));
        Exited camera = expect_exited(bus, role_name("camera"), "killed", SIGTERM, "stop");
        static const char *const with_it[] = { "guider", "hub", "web" };
        for (guint i = 0; i < G_N_ELEMENTS(with_it); i++) {
                Exited exited = expect_exited(bus, role_name(with_it[i]), "killed", SIGTERM, "dependency");

                assert_true(sequence(exited.event) < sequence(camera.event));
                assert_true(role_get_u64(bus, role_name(with_it[i]), "NextStartUSec") == 0);
        }
        assert_state(bus, role_name("log"), "running");
        /* A Start of one brings what it needs, and not what needs it. */
        start_defined(bus, role_name("guider"), NULL);
        assert_state(bus, role_name("camera"), "running");
        assert_state(bus, role_name("hub"), "ended");
}

/* The camera dies: what is bound to it stops and comes back, with what requires that. */
static void test_camera_dies(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        define_observatory(bus, fifo, "Restart=always");
        bring_up(bus, fifo);
        assert_started_in_order(bus);
        assert_int_equal(kill(role_pid(bus, role_name("camera")), SIGKILL), 0);
        expect_exited(bus, role_name("camera"), "killed", SIGKILL, "external");
        expect_exited(bus, role_name("web"), "killed", SIGTERM, "dependency");
        expect_exited(bus, role_name("hub"), "killed", SIGTERM, "dependency");
        expect_exited(bus, role_name("guider"), "killed", SIGTERM, "dependency");
        guint64 last = 0;
        for (guint i = 1; i < N; i++) { /* the logger has run on */
                const guint64 now = sequence(bus_wait(bus, "RoleStarted", role_name(in_order[i])));

                assert_true(now > last);
                last = now;
                assert_int_equal(role_get_u32(bus, role_name(in_order[i]), "NRestarts"), 1);
        }
        assert_int_equal(bus_count(bus, "RoleStarted", role_name("log")), 1);
}

/* -- whatever kills the service -- */

static void assert_started_once(Bus *bus, guint mark) {
        for (guint i = 0; i < N; i++)
                assert_int_equal(bus_count_since(bus, mark, "RoleStarted", role_name(in_order[i])), 1);
}

/* The others go on to wait, and each starts once. */
static void test_crash_starting(void **state) {
        Bus *bus = *state;

        for (guint i = 0; i < N_TROUBLES; i++) {
                g_autoptr(Fifo) fifo = fifo_new(troubles[i].name);
                const guint mark = bus_mark(bus);

                define_observatory(bus, fifo, "");
                keeper_wait_stored(bus, 0);
                (void) begin_night(bus, fifo);
                keeper_wait_stored(bus, 1 + STORED_EACH);
                troubles[i].happens(bus);
                assert_waits_for(bus, "camera", "log");
                assert_state(bus, role_name("web"), "starting");
                close_input(bus, role_name("log"));
                assert_started_in_order(bus);
                assert_started_once(bus, mark);
                g_variant_unref(node_call(bus, "KillMany", group()));
        }
}

/* A stop that waits for another one goes on to do so. */
static void test_crash_stopping(void **state) {
        Bus *bus = *state;

        for (guint i = 0; i < N_TROUBLES; i++) {
                g_autoptr(Fifo) fifo = fifo_new(troubles[i].name);
                g_autofree char *needs = g_strdup_printf(
                        "Requires=%s\nStandardInput=null\nTimeoutStopSec=1h", role_name("guider"));

                define_observatory(bus, fifo, "");
                define_actor("hub", needs, "ignore TERM pause");
                reload_definitions(bus);
                bring_up(bus, fifo);
                assert_started_in_order(bus);
                pid_t hub = role_pid(bus, role_name("hub"));
                int camera = process_open(role_pid(bus, role_name("camera")));
                (void) node_send(bus, "StopMany", group());
                expect_exited(bus, role_name("web"), "killed", SIGTERM, "stop");
                assert_state(bus, role_name("camera"), "stopping");
                troubles[i].happens(bus);
                assert_state(bus, role_name("camera"), "stopping");
                assert_false(process_is_dead(camera));
                assert_int_equal(kill(hub, SIGKILL), 0);
                (void) wait_exited(bus, role_name("hub"));
                process_wait_dead(camera);
                assert_string_equal(wait_exited(bus, role_name("camera")).cause, "stop");
                assert_string_equal(wait_exited(bus, role_name("log")).cause, "stop");
                (void) close(camera);
                (void) wait_exited(bus, role_name("guider"));
        }
}

/* What waits for the camera comes back with it, once. */
static void test_crash_waiting(void **state) {
        Bus *bus = *state;

        for (guint i = 0; i < N_TROUBLES; i++) {
                g_autoptr(Fifo) fifo = fifo_new(troubles[i].name);
                g_autofree char *camera =
                        g_strdup_printf("Requires=%s\nRestart=always\nRestartSec=1h", role_name("log"));

                define_observatory(bus, fifo, "");
                define_actor("camera", camera, "pause");
                reload_definitions(bus);
                bring_up(bus, fifo);
                assert_started_in_order(bus);
                assert_int_equal(kill(role_pid(bus, role_name("camera")), SIGKILL), 0);
                (void) wait_exited(bus, role_name("camera"));
                (void) wait_exited(bus, role_name("hub"));
                (void) wait_exited(bus, role_name("web"));
                expect_exited(bus, role_name("guider"), "killed", SIGTERM, "dependency");
                assert_waits_for(bus, "guider", "camera");
                troubles[i].happens(bus);
                assert_waits_for(bus, "guider", "camera");
                assert_true(role_get_u64(bus, role_name("guider"), "NextStartUSec") == G_MAXUINT64);
                const guint mark = bus_mark(bus);
                start_defined(bus, role_name("camera"), NULL);
                bus_wait(bus, "RoleStarted", role_name("camera"));
                bus_wait(bus, "RoleStarted", role_name("guider"));
                assert_state(bus, role_name("guider"), "running");
                assert_int_equal(bus_count_since(bus, mark, "RoleStarted", role_name("guider")), 1);
                g_variant_unref(node_call(bus, "KillMany", group()));
                (void) wait_exited(bus, role_name("camera"));
                (void) wait_exited(bus, role_name("guider"));
                (void) wait_exited(bus, role_name("log"));
        }
}

/* -- what cannot be -- */

static void test_refused(void **state) {
        Bus *bus = *state;
        g_autofree char *b = g_strdup_printf("After=%s", role_name("b")),
                        *a = g_strdup_printf("Nice=1\nWants=%s", role_name("a")),
                        *ghost = g_strdup_printf("Requires=%s", role_name("ghost"));

        define_actor("a", b, "pause");
        define_actor("b", a, "pause");
        define_actor("lonely", ghost, "pause");
        define_actor("good", "", "pause");
        reload_definitions(bus);
        start_fails(bus, defined_args(role_name("a"), NULL), "BadDefinition", "a.role:4",
                "the order of its dependencies has a cycle", role_name("b"), NULL);
        start_fails(bus, defined_args(role_name("b"), NULL), "BadDefinition", "b.role:5", NULL);
        start_fails(bus, defined_args(role_name("lonely"), NULL), "DependencyFailed", "lonely.role:4",
                role_name("ghost"), "has no definition", NULL);
        start_defined(bus, role_name("good"), NULL);
        g_autofree char *said = journal("-u", "architect-node.service", "-b", NULL);
        assert_contains(said, "cycle");
}

/* One of those that a role needs does not become ready. */
static void test_fails(void **state) {
        Bus *bus = *state;
        g_autofree char *needs = g_strdup_printf("Requires=%s", role_name("slow")),
                        *wants = g_strdup_printf("Wants=%s", role_name("needs"));

        define_actor("slow", "Type=notify\nTimeoutStartSec=300ms", "pause");
        define_actor("needs", needs, "pause");
        define_actor("wants", wants, "pause");
        reload_definitions(bus);
        start_fails(bus, defined_args(role_name("needs"), NULL), "DependencyFailed", role_name("needs"),
                role_name("slow"), NULL);
        assert_state(bus, role_name("needs"), "none");
        start_defined(bus, role_name("wants"), NULL);
        assert_state(bus, role_name("wants"), "running");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                DEFINED_TEST(test_night),
                DEFINED_TEST(test_stop),
                DEFINED_TEST(test_camera_dies),
                DEFINED_TEST(test_crash_starting),
                DEFINED_TEST(test_crash_stopping),
                DEFINED_TEST(test_crash_waiting),
                DEFINED_TEST(test_refused),
                DEFINED_TEST(test_fails),
        };
        return run_case("dependencies", tests);
}
