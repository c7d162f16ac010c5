/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The node restarts, and the keeper does not answer within the 5 s that it waits: a keeper that hangs, or
 * one that is dead and cannot be started. What was under way goes on without it. A role whose stop timeout
 * expires gets SIGKILL, what an ended role has left is swept, a start of its name waits for no more than the
 * next keeper, and a shutdown ends the service. */

#include <glib/gstdio.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

/* Longer than a restart of the node takes: the deadline is the successor's affair. */
#define STOP_TIMEOUT "{'stdin': <%s>, 'stop-timeout-usec': <@t 8000000>}"
/* How long a check waits. It begins no earlier than the last of these deadlines but 3 s. */
#define CHECK_USEC (12 * G_USEC_PER_SEC)

/* Each is an instance of its own, so that they wait side by side. */
typedef struct Scene {
        const char *instance; /* NULL: main */
        bool dead;            /* the keeper; otherwise it is stopped */
        bool shutdown;        /* is under way; otherwise a stop */
        Bus *bus;
        Fifo *fifo;
        pid_t keeper;
        bool exact; /* the kernel reports an end that no parent has seen */
        int main_pidfd, left_pidfd;
        char *cgroup, *left_cgroup;
        guint32 stop, start; /* calls on the node after the restart */
} Scene;

static const char *stubborn, *leaves;

/* All that is wrong is reported, not only the first. */
static void check(GString *wrong, const Scene *scene, bool right, const char *what) {
        if (!right)
                g_string_append_printf(wrong, "\n  keeper %s, %s under way: %s",
                        scene->dead ? "dead" : "stopped", scene->shutdown ? "shutdown" : "stop", what);
}

#define HAPPENS(end, condition) \
        ({ \
                bool _happens; \
                while (!(_happens = (condition)) && g_get_monotonic_time() < (end)) \
                        g_usleep(5000); \
                _happens; \
        })

static bool has_features(Bus *bus, const char *feature) {
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);

        return g_strv_contains(features, feature);
}

static bool is_connected(Bus *bus) {
        g_autoptr(GVariant) connected = node_get(bus, "KeeperConnected");

        return g_variant_get_boolean(connected);
}

static void begin(Scene *scene) {
        g_autofree char *fifo = g_strdup_printf("fifo.%s", scene->instance ?: "main");
        Bus *bus = scene->bus;

        if (scene->instance) {
                bus = scene->bus = bus_new_instance(scene->instance);
                systemctl("start", bus_node_unit(bus));
                node_wait_name(bus, true);
        }
        /* Else systemd forgets how it ended as soon as it has. */
        g_variant_unref(bus_call(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "RefUnit",
                g_variant_new("(s)", bus_node_unit(bus))));
        scene->fifo = fifo_new(fifo);
        scene->keeper = keeper_pid(bus);
        scene->exact = has_features(bus, "pidfd-info");
        start(bus, stubborn, OPTIONS(STOP_TIMEOUT, "null"), actor(), "tell-on", "TERM",
                fifo_path(scene->fifo), "heard", "say", fifo_path(scene->fifo), "ready", "pause", NULL);
        scene->main_pidfd = process_open(fifo_expect_pid(scene->fifo, "ready"));
        scene->cgroup = role_cgroup(bus, stubborn);
        if (!scene->shutdown) {
                start(bus, leaves, OPTIONS(STOP_TIMEOUT, "pipe"), actor(), "daemon{", "tell-on", "TERM",
                        fifo_path(scene->fifo), "heard", "say", fifo_path(scene->fifo), "ready", "pause", "}",
                        "read-eof", "exit", "3", NULL);
                scene->left_pidfd = process_open(fifo_expect_pid(scene->fifo, "ready"));
                scene->left_cgroup = role_cgroup(bus, leaves);
        }
}

static void ask(Scene *scene) {
        Bus *bus = scene->bus;

        /* What the next keeper gets from systemd: its state, and the pidfd of the one role that lives. */
        if (!scene->shutdown) {
                close_input(bus, leaves);
                expect_exited(bus, leaves, "exited", 3, "self");
                fifo_expect_pid(scene->fifo, "heard");
        }
        keeper_wait_stored(bus, 1 + 1);
        if (scene->shutdown)
                g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "a storm")));
        else
                (void) node_send(bus, "Stop", g_variant_new("(s)", stubborn));
        fifo_expect_pid(scene->fifo, "heard");
}

static void take_keeper(Scene *scene) {
        if (scene->dead) {
                keeper_crash(scene->bus);
                return;
        }
        assert_return_code(kill(scene->keeper, SIGSTOP), errno);
        WAIT_UNTIL(process_state(scene->keeper) == 'T');
}

/* Held by the node until it goes on without the keeper. */
static void ask_again(Scene *scene) {
        if (scene->shutdown)
                return;
        scene->stop = node_send(scene->bus, "Stop", g_variant_new("(s)", stubborn));
        scene->start = node_send(scene->bus, "Start", start_args(leaves, NULL, actor(), "pause", NULL));
}

static void check_killed(GString *wrong, Scene *scene, gint64 end) {
        check(wrong, scene, HAPPENS(end, process_is_dead(scene->main_pidfd)), "SIGKILL is not sent");
        check(wrong, scene, HAPPENS(end, !cgroup_is_populated(scene->cgroup)), "the role runs on");
        if (!scene->shutdown)
                check(wrong, scene, HAPPENS(end, process_is_dead(scene->left_pidfd)),
                        "what the ended role has left is not killed");
}

static bool is_success(Bus *bus, guint32 serial) {
        return bus_wait_reply(bus, serial)->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN;
}

static bool service_is(Scene *scene, const char *interface, const char *property, const char *value) {
        g_autofree char *is = unit_get_string(scene->bus, bus_node_unit(scene->bus), interface, property);

        return g_str_equal(is, value);
}

static void check_end(GString *wrong, Scene *scene, gint64 end) {
        Bus *bus = scene->bus;

        check(wrong, scene, HAPPENS(end, bus_count(bus, "RoleExited", stubborn) > 0),
                "the end of the role is not reported");
        if (bus_count(bus, "RoleExited", stubborn) > 0) {
                const char *cause = scene->shutdown ? "shutdown" : "stop";

                /* A keeper that only hung has seen it. */
                if (scene->exact || !scene->dead)
                        expect_exited(bus, stubborn, "killed", SIGKILL, cause);
                else
                        expect_exited(bus, stubborn, "lost", -1, cause);
        }
        if (scene->shutdown) {
                check(wrong, scene, HAPPENS(end, service_is(scene, "Unit", "ActiveState", "inactive")),
                        "the shutdown does not end the service");
                check(wrong, scene, service_is(scene, "Service", "Result", "success"),
                        "the end of the service is no success");
                return;
        }
        check(wrong, scene, HAPPENS(end, bus_has_reply(bus, scene->stop)) && is_success(bus, scene->stop),
                "a second Stop does not return");
        check(wrong, scene, HAPPENS(end, bus_has_reply(bus, scene->start)) && is_success(bus, scene->start),
                "a start of the name of the role that has left processes does not return");
}

static void finish(Scene *scene) {
        Bus *bus = scene->bus;

        if (!scene->shutdown) {
                g_autofree char *cgroup = role_cgroup(bus, leaves);

                assert_false(cgroup_is_populated(scene->cgroup));
                assert_poll(bus, leaves, "running");
                assert_true(cgroup_is_populated(cgroup));
                assert_int_equal(bus_count(bus, "RoleExited", leaves), 1);
                stop(bus, leaves);
                expect_exited(bus, leaves, "killed", SIGTERM, "stop");
                WAIT_UNTIL(keeper_is_connected(bus, scene->dead ? scene->keeper : 0));
                if (!scene->dead)
                        assert_int_equal(keeper_pid(bus), scene->keeper);
        }
        assert_int_equal(bus_count(bus, "RoleExited", stubborn), 1);
        if (scene->instance) {
                systemctl("stop", bus_node_unit(bus));
                node_wait_name(bus, false);
                bus_free(bus);
        }
        close(scene->main_pidfd);
        if (!scene->shutdown)
                close(scene->left_pidfd);
        g_free(scene->cgroup);
        g_free(scene->left_cgroup);
        fifo_free(scene->fifo);
}

static void test_late(void **state) {
        Scene scenes[] = {
                { .bus = *state },
                { .instance = "dead", .dead = true },
                { .instance = "down", .shutdown = true },
                { .instance = "gone", .dead = true, .shutdown = true },
        };
        g_autofree char *link = NULL, *program = NULL, *saved = NULL;
        g_autoptr(GString) wrong = g_string_new(NULL);
        gint64 end;

        stubborn = role_name("stubborn");
        leaves = role_name("leaves");
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                begin(&scenes[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                ask(&scenes[i]);

        link = g_strdup_printf("/proc/%d/exe", scenes[0].keeper);
        program = g_file_read_link(link, NULL);
        assert_non_null(program);
        saved = g_strconcat(program, ".saved", NULL);
        assert_return_code(g_rename(program, saved), errno);
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                take_keeper(&scenes[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                node_crash(scenes[i].bus);
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                ask_again(&scenes[i]);

        /* Answered only when the node waits for the keeper no longer. */
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                if (!scenes[i].shutdown)
                        assert_false(is_connected(scenes[i].bus));
        end = g_get_monotonic_time() + CHECK_USEC;
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                check_killed(wrong, &scenes[i], end);

        assert_return_code(g_rename(saved, program), errno);
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                if (!scenes[i].dead)
                        assert_return_code(kill(scenes[i].keeper, SIGCONT), errno);
        end = g_get_monotonic_time() + CHECK_USEC;
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                check_end(wrong, &scenes[i], end);
        if (wrong->len > 0) {
                g_printerr("%s\n", wrong->str); /* longer than a message of cmocka's may be */
                fail();
        }
        for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
                finish(&scenes[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_late),
        };
        return run_case("keeper-late", tests);
}
