/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The commands beside that of a role: exec-start-pre, exec-stop and exec-stop-post. In each of them the
 * service, the keeper and both are killed, restarted and upgraded, and afterwards no command has run twice,
 * and none that had not begun is missing. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"
#include "testlib.h"

#define ROLE role_name("cam")

typedef struct Hooks {
        Fifo *begun;
        char *log, *gate;
        int gate_fd;
} Hooks;

static Hooks hooks_new(size_t i) {
        g_autofree char *begun = g_strdup_printf("begun-%zu", i);
        Hooks h = {
                .begun = fifo_new(begun), .log = g_strdup(scratch("log")), .gate = g_strdup(scratch("gate"))
        };

        (void) unlink(h.log);
        (void) unlink(h.gate);
        assert_return_code(mkfifo(h.gate, 0600), errno);
        h.gate_fd = open(h.gate, O_RDWR | O_CLOEXEC);
        assert_return_code(h.gate_fd, errno);
        return h;
}

static void hooks_clear(Hooks *h) {
        fifo_free(h->begun);
        (void) close(h->gate_fd);
        (void) unlink(h->gate);
        (void) unlink(h->log);
        g_free(h->gate);
        g_free(h->log);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Hooks, hooks_clear)

/* One that says that it has begun, waits until it may end, and leaves a line. */
static GVariant *waits(const Hooks *h, const char *line) {
        g_autofree char *script = g_strdup_printf(
                "echo begun >%s; read x <%s; echo %s >>%s", fifo_path(h->begun), h->gate, line, h->log);
        const char *words[] = { "/bin/sh", "-c", script, NULL };

        return g_variant_new_strv(words, -1);
}

static GVariant *leaves(const Hooks *h, const char *line) {
        g_autofree char *script = g_strdup_printf("echo %s >>%s", line, h->log);
        const char *words[] = { "/bin/sh", "-c", script, NULL };

        return g_variant_new_strv(words, -1);
}

static GVariant *options(
        const char *key, GVariant *first, GVariant *second, const char *key2, GVariant *third) {
        GVariantBuilder b;
        GVariant *two[] = { first, second };

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(
                &b, "{sv}", key, g_variant_new_array(G_VARIANT_TYPE("as"), two, second ? 2 : 1));
        if (key2)
                g_variant_builder_add(&b, "{sv}", key2, g_variant_new_array(G_VARIANT_TYPE("as"), &third, 1));
        return g_variant_builder_end(&b);
}

static void let_go(const Hooks *h) {
        assert_int_equal(write(h->gate_fd, "\n", 1), 1);
}

static void assert_log(const Hooks *h, const char *expected) {
        g_autofree char *text = read_file(h->log);

        assert_string_equal(text ?: "", expected);
}

typedef void (*Killing)(Bus *bus);

static void kill_nothing(Bus *bus) {
}

static const struct {
        Killing kill;
        bool keeper, node; /* which of them ends, and loses what it knows */
} killings[] = {
        { kill_nothing, false, false },
        { node_crash, false, true },
        { keeper_crash_and_wait, true, false },
        { keeper_and_node_crash, true, true },
        { node_restart, false, true },
        { keeper_and_node_upgrade, false, true },
};

/* Stop returns when all of it is over, whoever began it. */
static void end(Bus *bus) {
        stop(bus, ROLE);
        purge(bus, ROLE);
}

/* The steps of a start with exec-start-pre are those, and together no more than all of it, whatever came in
 * between. */
static void assert_times(Bus *bus, guint64 called) {
        static const char *const steps[] = { "queue", "fork", "scope", "hooks", "exec" };
        g_autoptr(GVariant) times = role_get(bus, ROLE, "StartTimes");
        guint64 sum = 0;

        assert_int_equal(g_variant_n_children(times), G_N_ELEMENTS(steps));
        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                if (role_start_usec(bus, ROLE, steps[i]) == 0)
                        fail_msg("%s is missing", steps[i]);
                sum += role_start_usec(bus, ROLE, steps[i]);
        }
        assert_in_range(sum, 1, role_get_u64(bus, ROLE, "StartTimestampMonotonic") - called);
}

static void test_start_pre(void **state) {
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(killings); i++) {
                g_auto(Hooks) h = hooks_new(i);
                g_autofree char *from = journal_from_now();
                const guint64 called = (guint64) g_get_monotonic_time();

                guint32 call = node_send(bus, "Start",
                        start_args(ROLE,
                                options("exec-start-pre", waits(&h, "pre"), leaves(&h, "'pre 2'"),
                                        "exec-stop-post", leaves(&h, "post $SERVICE_RESULT")),
                                actor(), "pause", NULL));
                fifo_expect(h.begun, "begun");
                killings[i].kill(bus);
                if (killings[i].keeper) {
                        /* It is the parent, so the start ends with it, and the command was killed. */
                        (void) bus_wait_reply(bus, call);
                        /* When nothing is left of the start, the last command has ended. */
                        WAIT_UNTIL(strcmp(role_state(bus, ROLE), "none") == 0);
                        WAIT_UNTIL(count_units(bus, "architect-main-*hooks*.scope") == 0);
                        /* It depends on the kernel (pidfd-info) what is known, and on who notices it. */
                        static const char *const texts[] = { "post signal", "post lost", "post resources",
                                NULL };
                        g_autofree char *text = read_file(h.log);
                        assert_true(g_strv_contains(texts, text ?: ""));
                        g_autofree char *told = journal(from, "-t", "architect-node", NULL);
                        assert_contains(
                                told, "Its commands of exec-start-pre may have run, all or some of them");
                        node_call_fails(
                                bus, "Poll", g_variant_new_parsed("([%s],)", ROLE), "NoSuchRole", ROLE, NULL);
                        continue;
                }
                let_go(&h);
                if (killings[i].node)
                        (void) bus_wait_reply(bus, call); /* an error */
                else
                        g_variant_unref(bus_result(bus, call));
                (void) bus_wait(bus, "RoleStarted", ROLE);
                assert_log(&h, "pre\npre 2");
                assert_times(bus, called);
                end(bus);
                assert_log(&h, "pre\npre 2\npost success");
        }
}

static void test_stop(void **state) {
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(killings); i++) {
                g_auto(Hooks) h = hooks_new(i);

                start(bus, ROLE,
                        options("exec-stop", waits(&h, "stop"),
                                leaves(&h, "\"'stop 2' $(test -d /proc/$MAINPID; echo $?)\""), NULL, NULL),
                        actor(), "pause", NULL);
                g_autofree char *cgroup = role_cgroup(bus, ROLE);
                guint32 call = node_send(bus, "Stop", g_variant_new("(s)", ROLE));
                fifo_expect(h.begun, "begun");
                /* The one that runs them, the command, and the role. */
                g_autoptr(GArray) pids = cgroup_pids(cgroup);
                assert_int_equal(pids->len, 3);
                killings[i].kill(bus);
                assert_state(bus, ROLE, "stopping");
                let_go(&h);
                if (killings[i].node)
                        (void) bus_wait_reply(bus, call);
                else
                        g_variant_unref(bus_result(bus, call));
                end(bus);
                assert_log(&h, "stop\n'stop 2' 0");
        }
}

static void test_stop_post(void **state) {
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(killings); i++) {
                g_auto(Hooks) h = hooks_new(i);

                start(bus, ROLE,
                        options("exec-stop-post", waits(&h, "$EXIT_CODE"),
                                leaves(&h, "$SERVICE_RESULT $EXIT_STATUS"), NULL, NULL),
                        actor(), "exit", "7", NULL);
                expect_exited(bus, ROLE, "exited", 7, "self");
                fifo_expect(h.begun, "begun");
                assert_int_equal(count_units(bus, "architect-main-_post-*.scope"), 1);
                killings[i].kill(bus);
                node_call_fails(bus, "Purge", g_variant_new_parsed("([%s],)", ROLE), "RoleRunning",
                        "exec-stop-post still run", NULL);
                assert_poll(bus, ROLE, "exit 7");
                let_go(&h);
                end(bus);
                assert_log(&h, "exited\nexit-code 7");
                WAIT_UNTIL(count_units(bus, "architect-main-_post-*.scope") == 0);
        }
}

/* The stop timeout ends both, and Kill, and nothing is left. */
static void test_timeout(void **state) {
        static const char *const keys[] = { "exec-stop", "exec-stop-post" };
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_auto(Hooks) h = hooks_new(i);
                g_autoptr(GVariant) hooks =
                        g_variant_ref_sink(options(keys[i], waits(&h, "x"), NULL, NULL, NULL));
                g_auto(GVariantDict) all = G_VARIANT_DICT_INIT(hooks);

                /* Also on a loaded machine the command begins within this time. */
                g_variant_dict_insert(&all, "stop-timeout-usec", "t", (guint64) 2 * G_USEC_PER_SEC);
                start(bus, ROLE, g_variant_dict_end(&all), actor(), "pause", NULL);
                end(bus);
                fifo_expect(h.begun, "begun");
                assert_log(&h, "");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_start_pre),
                TEST(test_stop),
                TEST(test_stop_post),
                TEST(test_timeout),
        };
        return run_case("hooks", tests);
}
