/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * alice follows the jobs of systemd and sends the node, straight to its unique name, what systemd, logind,
 * polkit and the bus would say: that the jobs of its scopes are done or have failed, that its roles are
 * stopped or killed for want of memory, that systemd has gone or is herself. Meanwhile root starts and ends a
 * hundred roles. Each start succeeds, and each end has the cause that it has. The bus policy keeps her
 * signals away; without it the node drops them by itself. */

#include <unistd.h>

#include "testlib.h"

#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define N_ROLES 100
#define N_JOBS 6 /* further numbers that are guessed: the job of a scope and those of its slices */
#define INTERNAL "org.architect.NodeInternal"
/* Read after that of the service, so this one decides. */
#define WITHOUT_POLICY "/etc/dbus-1/system.d/zz-forged-signals.conf"

typedef struct Attack {
        Bus *alice;
        char *node, *internal; /* the unique names of its two connections; it talks to systemd on the second
                                  one */
        gint n_sent;
} Attack;

static void attack_emit(
        Attack *a, const char *path, const char *interface, const char *member, GVariant *args) {
        g_autoptr(GVariant) both = args ? g_variant_ref_sink(args) : NULL;

        bus_emit(a->alice, a->node, path, interface, member, both);
        bus_emit(a->alice, a->internal, path, interface, member, both);
        g_atomic_int_add(&a->n_sent, 2);
}

static void attack_jobs(Attack *a, guint32 job, const char *unit) {
        static const char *const results[] = { "failed", "done", "canceled" };

        for (guint32 n = job; n < job + N_JOBS; n++) {
                g_autofree char *path = g_strdup_printf(SYSTEMD_PATH "/job/%u", n);

                attack_emit(a, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
                        g_variant_new("(uoss)", n, path, unit, results[n % G_N_ELEMENTS(results)]));
        }
}

/* systemd is gone, is back, is alice; and the node has lost its name. */
static void attack_names(Attack *a) {
        const char *alice = bus_unique_name(a->alice),
                   *names[] = { SYSTEMD_NAME, "org.freedesktop.login1", "org.freedesktop.PolicyKit1" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                attack_emit(a, BUS_PATH, BUS, "NameOwnerChanged",
                        g_variant_new("(sss)", names[i], ":1.1", i % 2 ? alice : ""));
                attack_emit(
                        a, BUS_PATH, BUS, "NameOwnerChanged", g_variant_new("(sss)", names[i], "", alice));
        }
        attack_emit(a, BUS_PATH, BUS, "NameLost", g_variant_new("(s)", NODE_NAME));
        attack_emit(a, "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
                "Changed", NULL);
        attack_emit(a, "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "SessionNew",
                g_variant_new("(so)", "1", "/org/freedesktop/login1/session/_31"));
        attack_emit(a, "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForShutdown",
                g_variant_new("(b)", TRUE));
}

/* The scope of the role has been out of memory, and a job stops it. */
static void attack_end(Attack *a, const char *scope, guint32 job) {
        g_autofree char *unit = bus_path_encode(SYSTEMD_PATH "/unit", scope);
        g_autofree char *path = g_strdup_printf(SYSTEMD_PATH "/job/%u", job);

        attack_emit(a, unit, PROPERTIES, "PropertiesChanged",
                g_variant_new_parsed("('org.freedesktop.systemd1.Scope', {'Result': <'oom-kill'>}, @as [])"));
        attack_emit(a, unit, PROPERTIES, "PropertiesChanged",
                g_variant_new_parsed(
                        "('org.freedesktop.systemd1.Unit', {'ActiveState': <'failed'>}, @as [])"));
        attack_emit(a, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobNew", g_variant_new("(uos)", job, path, scope));
        attack_emit(a, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobNew",
                g_variant_new("(uos)", job, path, "shutdown.target"));
        attack_emit(a, SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitRemoved", g_variant_new("(so)", scope, unit));
}

/* systemd announces a job to all subscribers, and alice is one. */
static void on_signal(Bus *alice, const Event *event, void *userdata) {
        Attack *a = userdata;
        const char *unit;
        guint32 job;

        if (g_strcmp0(event->member, "JobNew") != 0)
                return;
        g_variant_get(event->body, "(uo&s)", &job, NULL, &unit);
        if (g_str_has_prefix(unit, "architect-"))
                attack_jobs(a, job, unit);
}

/* Returns the number of the last job, for which systemd makes one. */
static guint32 last_job(Bus *bus) {
        g_autoptr(GVariant) reply = bus_call(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartUnit",
                g_variant_new("(ss)", NODE_UNIT, "replace"));
        const char *path;

        g_variant_get(reply, "(&o)", &path);
        return (guint32) g_ascii_strtoull(strrchr(path, '/') + 1, NULL, 10);
}

static void start_attacked(Bus *bus, Attack *a, const char *role, guint i) {
        g_autofree char *scope = role_scope(role);
        guint32 job = last_job(bus), serial;

        attack_names(a);
        serial = i % 2 ? node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL))
                       : node_send(bus, "Start",
                                 start_args(role, NULL, actor(), "read-eof", "exit", "7", NULL));
        do {
                attack_jobs(a, job + 1, scope);
                bus_flush(a->alice);
        } while (!bus_has_reply(bus, serial));
        g_variant_unref(bus_result(bus, serial));
}

static void end_attacked(Bus *bus, Attack *a, const char *role, guint i) {
        g_autofree char *scope = role_scope(role);
        guint32 job = last_job(bus);

        attack_end(a, scope, job);
        attack_names(a);
        bus_flush(a->alice);
        if (i % 4 == 1)
                stop(bus, role);
        else if (i % 4 == 3)
                assert_int_equal(kill(role_pid(bus, role), SIGKILL), 0);
        else
                close_input(bus, role);
        attack_end(a, scope, job);
        bus_flush(a->alice);
        if (i % 4 == 1)
                expect_exited(bus, role, "killed", SIGTERM, "stop");
        else if (i % 4 == 3)
                expect_exited(bus, role, "killed", SIGKILL, "external");
        else
                expect_exited(bus, role, "exited", 7, "self");
}

static void attack(Bus *bus) {
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_autoptr(GVariant) owner =
                bus_call(bus, BUS, BUS_PATH, BUS, "GetNameOwner", g_variant_new("(s)", NODE_NAME));
        g_autoptr(GVariant) internal =
                bus_call(bus, BUS, BUS_PATH, BUS, "GetNameOwner", g_variant_new("(s)", INTERNAL));
        Attack a = { .alice = alice };
        pid_t pid = node_pid(bus);

        g_variant_get(owner, "(s)", &a.node);
        g_variant_get(internal, "(s)", &a.internal);
        assert_string_not_equal(a.node, a.internal);
        bus_add_match(alice, "type='signal',sender='" SYSTEMD_NAME "',interface='" SYSTEMD_MANAGER "'");
        g_variant_unref(bus_call(alice, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL));
        bus_set_handler(alice, on_signal, &a);

        for (guint i = 0; i < N_ROLES; i++) {
                const char *role = role_name_n("r", i);

                start_attacked(bus, &a, role, i);
                end_attacked(bus, &a, role, i);
        }

        bus_set_handler(alice, NULL, NULL);
        print_message("%d signals were forged\n", a.n_sent);
        assert_int_equal(node_pid(bus), pid);
        assert_true(node_has_name(bus));
        g_free(a.node);
        g_free(a.internal);
}

/* Returns how many of these signals the node has dropped by itself. */
static guint count_dropped(const char *since, const char *member) {
        g_autofree char *text = journal(since, "-u", NODE_UNIT, NULL);
        g_autofree char *line = g_strdup_printf("Ignoring the signal %s of ", member);
        guint n = 0;

        for (const char *p = text; (p = strstr(p, line)); p += strlen(line))
                n++;
        return n;
}

static void test_with_policy(void **state) {
        Bus *bus = *state;
        g_autofree char *since = journal_from_now();

        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "debug")));
        attack(bus);
        assert_int_equal(count_dropped(since, "JobRemoved"), 0);
}

/* Her signals arrive, as the messages of the node show. */
static void test_without_policy(void **state) {
        static const char *const members[] = { "JobRemoved", "JobNew", "NameOwnerChanged", "NameLost",
                "PropertiesChanged", "SessionNew", "PrepareForShutdown", "Changed" };
        Bus *bus = *state;
        g_autofree char *since = journal_from_now();

        g_assert_true(g_file_set_contents(WITHOUT_POLICY,
                "<busconfig><policy context=\"default\">"
                "<allow send_destination=\"" NODE_NAME "\" send_type=\"signal\"/>"
                "<allow send_destination=\"" NODE_NAME "Instances\" send_type=\"signal\"/>"
                "<allow send_destination=\"" INTERNAL "\" send_type=\"signal\"/>"
                "</policy></busconfig>\n",
                -1, NULL));
        g_variant_unref(bus_call(bus, BUS, BUS_PATH, BUS, "ReloadConfig", NULL));
        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "debug")));
        attack(bus);
        for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
                assert_int_not_equal(count_dropped(since, members[i]), 0);
}

static int teardown(void **state) {
        Bus *bus = *state;

        (void) unlink(WITHOUT_POLICY);
        g_variant_unref(bus_call(bus, BUS, BUS_PATH, BUS, "ReloadConfig", NULL));
        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "info")));
        return case_teardown(state);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_with_policy, case_setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_policy, case_setup, teardown),
        };
        return run_case("forged-signals", tests);
}
