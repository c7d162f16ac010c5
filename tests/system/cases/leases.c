/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Two managers with leases of their own: the end of one stops its roles alone. Deadlines survive a restart
 * and SIGKILL of the service, tokens also its clean end. A manager that was cut off and comes back with an
 * old token cannot act, and nobody changes a role of a lease without naming it, unless root forces it. */

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "polkit.h"
#include "testlib.h"

#define TOKENS "/var/lib/architect-node/main/lease-tokens"
#define LONG (3600 * (guint64) G_USEC_PER_SEC)
#define NOBODY G_MAXUINT32

static void lease_call(Bus *bus, const char *method, const char *lease, guint64 token, guint64 usec) {
        g_variant_unref(node_call(bus, method, g_variant_new("(stt)", lease, token, usec)));
}

static void acquire(Bus *bus, const char *lease, guint64 token, guint64 usec) {
        lease_call(bus, "AcquireLease", lease, token, usec);
}

static void release_lease(Bus *bus, const char *lease, guint64 token) {
        g_variant_unref(node_call(bus, "ReleaseLease", g_variant_new("(st)", lease, token)));
}

typedef struct Listed {
        guint32 uid;
        guint64 timeout, deadline, token;
        char *roles;
} Listed;

static void listed_clear(Listed *listed) {
        g_free(listed->roles);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listed, listed_clear)

/* What ListLeases says of it; nobody holds one that is not there. */
static Listed listed(Bus *bus, const char *lease) {
        g_autoptr(GVariant) reply = node_call(bus, "ListLeases", NULL);
        g_autoptr(GVariantIter) iter = NULL;
        Listed found = { .uid = NOBODY }, l = {};
        const char *name;
        char **roles;

        g_variant_get(reply, "(a(sutttas))", &iter);
        while (g_variant_iter_next(
                iter, "(&suttt^as)", &name, &l.uid, &l.timeout, &l.deadline, &l.token, &roles)) {
                if (g_str_equal(name, lease)) {
                        found = l;
                        found.roles = g_strjoinv(" ", roles);
                }
                g_strfreev(roles);
        }
        return found;
}

static void assert_held(Bus *bus, const char *lease, guint32 uid, guint64 token) {
        g_auto(Listed) l = listed(bus, lease);

        assert_int_equal(l.uid, uid);
        assert_int_equal(l.token, token);
}

static GVariant *of_lease(const char *lease, guint64 token) {
        return OPTIONS("{'lease': <%s>, 'fencing-token': <%t>}", lease, token);
}

static GVariant *many(const char *role, GVariant *options) {
        const char *roles[] = { role, NULL };

        return g_variant_new("(^as@a{sv})", roles, options);
}

/* Of StartMany and its like with one role. */
static void assert_result(Bus *bus, const char *method, GVariant *args, const char *error) {
        g_autoptr(GVariant) reply = node_call(bus, method, args);
        const char *name, *message;

        g_autoptr(GVariant) list = g_variant_get_child_value(reply, 0);
        g_variant_get_child(list, 0, "(&s&s&s)", NULL, &name, &message);
        if (!error && name[0])
                fail_msg("%s", message);
        if (error && !g_str_has_suffix(name, error))
                fail_msg("%s: %s is not %s", message, name, error);
}

/* -- two managers -- */

static void test_two_managers(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice"), bob = bus_new_as("bob");
        const char *hers = role_name("alice"), *roots = role_name("root"), *kept = role_name("kept"),
                   *killed = role_name("killed"), *plain = role_name("plain");
        const char *expired;
        guint64 timeout;

        answer("yes");
        acquire(bus, "two-root", 0, LONG);
        acquire(alice, "two-alice", 0, LONG);
        assert_held(bus, "two-alice", 1001, 0);
        start(alice, hers, OPTIONS("{'lease': <'two-alice'>, 'managed-by': <'desk:night plan'>}"), actor(),
                "pause", NULL);
        start(bus, roots, OPTIONS("{'lease': <'two-root'>}"), actor(), "pause", NULL);
        start(bus, plain, NULL, actor(), "pause", NULL);
        /* Root may use the lease of another one. */
        start(bus, kept, OPTIONS("{'lease': <'two-alice'>, 'on-monitor-loss': <'keep'>}"), actor(), "pause",
                NULL);
        start(bus, killed, OPTIONS("{'lease': <'two-alice'>, 'on-monitor-loss': <'kill'>}"), actor(),
                "ignore", "TERM", "pause", NULL);
        g_autofree char *lease = role_get_string(bus, hers, "Lease"),
                        *manager = role_get_string(bus, hers, "ManagedBy");
        assert_string_equal(lease, "two-alice");
        assert_string_equal(manager, "desk:night plan");

        node_call_fails(bob, "AcquireLease", g_variant_new("(stt)", "two-alice", (guint64) 9, LONG),
                "LeaseTaken", "uid 1001", NULL);
        node_call_fails(
                bob, "BeatLease", g_variant_new("(stt)", "two-alice", (guint64) 9, LONG), "LeaseTaken", NULL);
        node_call_fails(
                alice, "ReleaseLease", g_variant_new("(st)", "two-root", (guint64) 0), "LeaseTaken", NULL);
        start_fails(bob,
                start_args(role_name("x"), OPTIONS("{'lease': <'two-alice'>}"), actor(), "pause", NULL),
                "LeaseTaken", NULL);
        /* polkit permits her what she does to roles, but the lease of root is not hers. */
        node_call_fails(alice, "Stop", g_variant_new("(s)", roots), "LeaseRequired", "two-root", NULL);
        node_call_fails(alice, "SignalWithOptions",
                g_variant_new("(ssi@a{sv})", roots, "main", SIGKILL, OPTIONS("{'force': <true>}")),
                ACCESS_DENIED, "only root", NULL);

        const pid_t node = node_pid(bus);
        lease_call(alice, "BeatLease", "two-alice", 0, 300000);
        const Event *event = bus_wait(bus, "LeaseExpired", "two-alice");
        g_variant_get_child(event->body, 0, "&s", &expired);
        g_variant_get_child(event->body, 1, "t", &timeout);
        assert_string_equal(expired, "two-alice");
        assert_int_equal(timeout, 300000);
        g_autoptr(GVariant) details = event_details(event);
        assert_int_equal(detail_u32(details, "owner-uid"), 1001);

        const Exited exited = expect_exited(bus, hers, "killed", SIGTERM, "monitor");
        assert_true(exited.event->index > event->index);
        assert_string_equal(detail_string(exited.details, "lease"), "two-alice");
        assert_string_equal(detail_string(exited.details, "managed-by"), "desk:night plan");
        expect_exited(bus, killed, "killed", SIGKILL, "monitor");
        node_sync(bus);
        assert_poll(bus, kept, "running");
        assert_poll(bus, roots, "running");
        assert_poll(bus, plain, "running");
        assert_int_equal(node_pid(bus), node); /* though MonitorAction=shutdown */
        assert_held(bus, "two-root", 0, 0);
        assert_held(bus, "two-alice", NOBODY, 0);

        /* What has expired is not held any more, also for whom it was. */
        start_fails(alice,
                start_args(role_name("x"), OPTIONS("{'lease': <'two-alice'>}"), actor(), "pause", NULL),
                "NoSuchLease", NULL);
        acquire(bob, "two-alice", 0, LONG);
        assert_held(bus, "two-alice", 1002, 0);
        g_auto(Listed) l = listed(bus, "two-alice");
        assert_contains(l.roles, kept);
        assert_result(bus, "KillMany", many(kept, OPTIONS("{'lease': <'two-alice'>}")), NULL);
        release_lease(bob, "two-alice", 0);
        release_lease(bus, "two-root", 0);
        assert_result(bus, "StopMany", many(roots, OPTIONS("{'force': <true>}")), NULL);
}

/* -- the service is restarted, crashes, ends -- */

static void test_survives(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        struct stat st;

        acquire(bus, "survives", 5, LONG);
        start(bus, role, of_lease("survives", 5), actor(), "pause", NULL);
        g_auto(Listed) before = listed(bus, "survives");
        assert_int_equal(before.timeout, LONG);
        for (int crash = 0; crash < 2; crash++) {
                if (crash)
                        node_crash(bus);
                else
                        node_restart(bus);
                g_auto(Listed) after = listed(bus, "survives");
                assert_int_equal(after.uid, 0);
                assert_int_equal(after.deadline, before.deadline);
                assert_int_equal(after.token, 5);
                assert_string_equal(after.roles, role);
                node_call_fails(bus, "BeatLease", g_variant_new("(stt)", "survives", (guint64) 4, LONG),
                        "StaleToken", "5 was used", NULL);
                node_call_fails(bus, "Kill", g_variant_new("(s)", role), "LeaseRequired", NULL);
        }

        /* A clean end stops the roles and ends all leases, but the token is on the disk. */
        systemctl("stop", NODE_UNIT);
        assert_return_code(stat(TOKENS, &st), errno);
        assert_int_equal(st.st_mode & 07777, 0600);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_held(bus, "survives", NOBODY, 5);
        node_call_fails(bus, "AcquireLease", g_variant_new("(stt)", "survives", (guint64) 4, LONG),
                "StaleToken", NULL);
        node_call_fails(bus, "AcquireLease", g_variant_new("(stt)", "survives", (guint64) 0, LONG),
                "StaleToken", NULL);
        acquire(bus, "survives", 5, LONG);
        release_lease(bus, "survives", 6);
        assert_held(bus, "survives", NOBODY, 6);
}

/* The beats could not arrive while the service was away. */
static void test_own_outage(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        acquire(bus, "outage", 0, LONG);
        start(bus, role, OPTIONS("{'lease': <'outage'>}"), actor(), "pause", NULL);
        lease_call(bus, "BeatLease", "outage", 0, 2000000);
        const pid_t node = node_pid(bus);
        assert_return_code(kill(node, SIGSTOP), errno);
        g_usleep(3500000); /* the outage itself */
        assert_return_code(kill(node, SIGCONT), errno);
        assert_poll(bus, role, "running");
        lease_call(bus, "BeatLease", "outage", 0, 1000000);
        node_crash(bus);
        g_auto(Listed) l = listed(bus, "outage");
        assert_true(l.deadline > (guint64) g_get_monotonic_time() + 2000000);
        assert_poll(bus, role, "running");
        lease_call(bus, "BeatLease", "outage", 0, LONG);
        assert_result(bus, "StopMany", many(role, OPTIONS("{'lease': <'outage'>}")), NULL);
        release_lease(bus, "outage", 0);
}

/* -- a manager that was cut off -- */

static void test_cut_off(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a"), *other = role_name("b");
        g_autofree char *text = g_strdup("x");
        const char *roles[] = { role, NULL };

        acquire(bus, "cut", 7, LONG);
        start(bus, role, of_lease("cut", 7), actor(), "pause", NULL);
        const pid_t pid = role_pid(bus, role);
        acquire(bus, "cut", 8, LONG); /* the next manager */

        /* The first one comes back, with all that it may try. */
        node_call_fails(
                bus, "BeatLease", g_variant_new("(stt)", "cut", (guint64) 7, LONG), "StaleToken", NULL);
        node_call_fails(
                bus, "AcquireLease", g_variant_new("(stt)", "cut", (guint64) 7, LONG), "StaleToken", NULL);
        node_call_fails(bus, "ReleaseLease", g_variant_new("(st)", "cut", (guint64) 7), "StaleToken", NULL);
        start_fails(bus, start_args(other, of_lease("cut", 7), actor(), "pause", NULL), "StaleToken", other,
                NULL);
        node_call_fails(bus, "StartMany", many(other, of_lease("cut", 7)), "StaleToken", NULL);
        node_call_fails(bus, "StopMany", many(role, of_lease("cut", 7)), "StaleToken", NULL);
        node_call_fails(bus, "KillMany", many(role, of_lease("cut", 7)), "StaleToken", NULL);
        node_call_fails(bus, "SignalWithOptions",
                g_variant_new("(ssi@a{sv})", role, "all", SIGKILL, of_lease("cut", 7)), "StaleToken", NULL);
        node_call_fails(bus, "FreezeWithOptions", g_variant_new("(s@a{sv})", role, of_lease("cut", 7)),
                "StaleToken", NULL);
        node_call_fails(bus, "WriteInputWithOptions",
                g_variant_new("(s@ay@a{sv})", role, g_variant_new_bytestring(text), of_lease("cut", 7)),
                "StaleToken", NULL);
        node_call_fails(bus, "PurgeWithOptions", g_variant_new("(^as@a{sv})", roles, of_lease("cut", 7)),
                "StaleToken", NULL);
        /* Or without the lease. */
        node_call_fails(bus, "Stop", g_variant_new("(s)", role), "LeaseRequired", role, NULL);
        node_call_fails(bus, "Kill", g_variant_new("(s)", role), "LeaseRequired", NULL);
        node_call_fails(bus, "Signal", g_variant_new("(ssi)", role, "main", SIGKILL), "LeaseRequired", NULL);
        node_call_fails(bus, "Freeze", g_variant_new("(s)", role), "LeaseRequired", NULL);
        node_call_fails(bus, "SendInput", g_variant_new("(ss)", role, "x"), "LeaseRequired", NULL);
        node_call_fails(bus, "Purge", g_variant_new("(^as)", roles), "LeaseRequired", NULL);
        assert_result(bus, "KillMany", many(role, OPTIONS("{}")), "LeaseRequired");
        node_sync(bus);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);

        /* The one that has taken over can do it all, and so can root by force. */
        g_variant_unref(
                node_call(bus, "FreezeWithOptions", g_variant_new("(s@a{sv})", role, of_lease("cut", 8))));
        g_variant_unref(node_call(
                bus, "ThawWithOptions", g_variant_new("(s@a{sv})", role, OPTIONS("{'force': <true>}"))));
        assert_result(bus, "StopMany", many(role, of_lease("cut", 8)), NULL);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        start_fails(bus, start_args(role, NULL, actor(), "pause", NULL), "LeaseRequired", "has ended", NULL);
        g_variant_unref(node_call(
                bus, "PurgeWithOptions", g_variant_new("(^as@a{sv})", roles, OPTIONS("{'force': <true>}"))));
        start(bus, role, NULL, actor(), "pause", NULL);
        stop(bus, role);
        release_lease(bus, "cut", 8);
}

/* -- role files and restarts -- */

static void test_definition(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam");

        define(role,
                "Lease=files\nManagedBy=pacemaker:cam\nAutoStart=yes\nRestart=always\nRestartSec=20ms\n");
        systemctl("stop", NODE_UNIT);
        g_autofree char *from = journal_from_now();
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_poll(bus, role, "none");
        g_autofree char *said = journal("-u", NODE_UNIT, from, NULL);
        assert_contains(said, "belongs to lease \"files\", whose holder starts it");
        g_autoptr(GVariant) warnings = node_get(bus, "Warnings");
        g_autofree const char **texts = g_variant_get_strv(warnings, NULL);
        g_autofree char *joined = g_strjoinv("\n", (char **) texts);
        assert_contains(joined, role);

        start_fails(bus, defined_args(role, NULL), "NoSuchLease", "files", NULL);
        acquire(bus, "files", 3, LONG);
        start_fails(bus, defined_args(role, NULL), "StaleToken", NULL);
        assert_result(bus, "StartMany", many(role, OPTIONS("{'fencing-token': <uint64 2>}")), "StaleToken");
        assert_result(bus, "StartMany", many(role, OPTIONS("{'fencing-token': <uint64 3>}")), NULL);
        assert_poll(bus, role, "running");
        (void) bus_wait(bus, "RoleStarted", role);

        /* It is restarted as long as somebody holds the lease. */
        const pid_t first = role_pid(bus, role);
        assert_return_code(kill(first, SIGKILL), errno);
        expect_exited(bus, role, "killed", SIGKILL, "external");
        (void) bus_wait(bus, "RoleStarted", role);
        release_lease(bus, "files", 3);
        assert_return_code(kill(role_pid(bus, role), SIGKILL), errno);
        expect_exited(bus, role, "killed", SIGKILL, "external");
        bus_wait(bus, "RoleFailed", role);
        node_sync(bus);
        assert_state(bus, role, "ended");
}

/* -- what is damaged -- */

static void test_damaged_tokens(void **state) {
        Bus *bus = *state;

        acquire(bus, "damaged", 4, LONG);
        release_lease(bus, "damaged", 4);
        systemctl("stop", NODE_UNIT);
        g_autofree char *text = read_file(TOKENS);
        char *digit = strstr(text, "damaged 0 4");
        assert_non_null(digit);
        digit[strlen("damaged 0 ")] = '1';
        write_file(TOKENS, text);
        g_autofree char *from = journal_from_now();
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        g_autofree char *said = journal("-u", NODE_UNIT, from, NULL);
        assert_contains(said, "The fencing tokens of leases are lost");
        node_call_fails(bus, "AcquireLease", g_variant_new("(stt)", "damaged", (guint64) 3, LONG),
                "StaleToken", "damaged", NULL);
        assert_return_code(g_unlink(TOKENS ".damaged"), errno);
        acquire(bus, "damaged", 3, LONG); /* somebody has said that no old manager is left */
        release_lease(bus, "damaged", 3);
}

/* -- architectctl -- */

static void test_ctl(void **state) {
        const char *role = role_name("guider"), *desk = role_name("sky"), *plain = role_name("plain");
        Bus *bus = *state;

        g_free(CTL_OUT(0, "lease", "acquire", "ctl", "--token=5", "--within=1h"));
        g_free(CTL_OUT(0, "start", role, "--lease=ctl", "--fencing-token=5", "-p",
                "ManagedBy=pacemaker:guider", actor(), "pause"));
        g_free(CTL_OUT(0, "start", desk, "-p", "ManagedBy=desk:night plan", actor(), "pause"));
        g_free(CTL_OUT(0, "start", plain, actor(), "pause"));
        g_autofree char *stale =
                CTL_ERR(5, "start", "x", "--lease=ctl", "--fencing-token=4", actor(), "pause");
        assert_contains(stale, "5 was used");

        g_autofree char *list = CTL_OUT(0, "list"), *status = CTL_OUT(0, "status", role, "-n0"),
                        *json = CTL_OUT(0, "--json=short", "list", role),
                        *show = CTL_OUT(0, "show", role, "-p", "Lease,ManagedBy");
        assert_contains(list, "MANAGED-BY");
        assert_contains(list, "LEASE");
        assert_contains(list, "pacemaker:guider");
        assert_contains(status, "Managed by: pacemaker:guider");
        assert_contains(status, "Lease: ctl");
        assert_contains(json, "\"managed-by\":\"pacemaker:guider\"");
        assert_contains(json, "\"lease\":\"ctl\"");
        assert_contains(show, "Lease=ctl\n");
        assert_contains(show, "ManagedBy=pacemaker:guider\n");

        /* What changes it is refused, with what to type instead. */
        g_autofree char *stopped = CTL_ERR(5, "stop", role), *killed = CTL_ERR(5, "kill", plain, role),
                        *restarted = CTL_ERR(5, "restart", role), *all = CTL_ERR(5, "stop", "--all"),
                        *signalled = CTL_ERR(5, "signal", role, "USR1"), *frozen = CTL_ERR(5, "freeze", role),
                        *purged = CTL_ERR(5, "purge", role), *sent = CTL_ERR(5, "send", role, "x"),
                        *down = CTL_ERR(5, "stop", desk);
        assert_contains(stopped, "is managed by pacemaker:guider");
        assert_contains(stopped, "crm resource stop guider, or: pcs resource disable guider");
        assert_contains(killed, "pcs resource disable guider");
        assert_contains(restarted, "crm resource restart guider");
        assert_contains(all, "is managed by");
        assert_contains(signalled, "--force");
        assert_contains(frozen, "--force");
        assert_contains(purged, "--force");
        assert_contains(sent, "belongs to lease \"ctl\"");
        assert_contains(down, "architectctl down 'night plan'");
        assert_poll(bus, role, "running");
        assert_poll(bus, plain, "running");
        assert_poll(bus, desk, "running");

        g_free(CTL_OUT(0, "freeze", "--force", role));
        g_free(CTL_OUT(0, "thaw", "--force", role));
        g_free(CTL_OUT(0, "signal", "--force", role, "CONT"));
        g_free(CTL_OUT(0, "send", "--force", role, "x"));
        g_free(CTL_OUT(0, "stop", "--force", role, desk));
        g_free(CTL_OUT(0, "purge", "--force", role));
        g_free(CTL_OUT(0, "stop", plain)); /* nobody has it */
        assert_poll(bus, role, "none");

        g_free(CTL_OUT(0, "beat", "--lease=ctl", "--token=6", "--within=2h"));
        g_autofree char *late = CTL_ERR(5, "beat", "--lease=ctl", "--token=5", "--every=1s"),
                        *leases = CTL_OUT(0, "leases"), *lease_json = CTL_OUT(0, "--json=short", "leases"),
                        *usage = CTL_ERR(2, "beat", "--token=5"),
                        *unknown = CTL_ERR(2, "lease", "drop", "ctl");
        assert_contains(late, "6 was used"); /* it does not go on */
        assert_contains(leases, "ctl");
        assert_contains(leases, "2h");
        assert_contains(lease_json, "\"lease\":\"ctl\"");
        assert_contains(lease_json, "\"token\":6");
        assert_contains(lease_json, "\"timeout-usec\":7200000000");
        assert_contains(usage, "--lease=");
        assert_contains(unknown, "acquire or release");
        g_free(CTL_OUT(0, "lease", "release", "ctl", "--token=6"));
        g_autofree char *twice = CTL_ERR(1, "lease", "release", "ctl", "--token=6");
        assert_contains(twice, "Nobody holds the lease");
}

/* -- */

/* What a test has left is of a lease, and the end of each test of a case names none. */
static int teardown(void **state) {
        Bus *bus = *state;

        node_wait_name(bus, true);
        g_variant_unref(node_call(bus, "KillMany",
                g_variant_new("(@as@a{sv})", g_variant_new_strv(NULL, 0), OPTIONS("{'force': <true>}"))));
        g_variant_unref(node_call(bus, "PurgeWithOptions",
                g_variant_new("(@as@a{sv})", g_variant_new_strv(NULL, 0), OPTIONS("{'force': <true>}"))));
        answer("");
        return defined_teardown(state);
}

static int group_teardown(void **state) {
        systemctl("stop", NODE_UNIT);
        g_free(run_ok("rm", "-f", TOKENS, TOKENS ".damaged", NULL));
        systemctl("start", NODE_UNIT);
        return polkit_group_teardown(state);
}

#define LEASE_TEST(function) cmocka_unit_test_setup_teardown(function, defined_setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                LEASE_TEST(test_two_managers),
                LEASE_TEST(test_survives),
                LEASE_TEST(test_own_outage),
                LEASE_TEST(test_cut_off),
                LEASE_TEST(test_definition),
                LEASE_TEST(test_damaged_tokens),
                LEASE_TEST(test_ctl),
        };

        case_begin("leases");
        return cmocka_run_group_tests_name("leases", tests, polkit_group_setup, group_teardown);
}
