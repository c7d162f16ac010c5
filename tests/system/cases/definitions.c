/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Roles that are described in files: Start with an empty command, drop-ins, templates, Reload and NeedReload.
 * A file that is not valid makes its role alone unavailable. AutoStart=yes starts a role after each start of
 * the service, not after a restart or a crash, and not if somebody has stopped it by hand. */

#include <glib/gstdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define VARIABLES "/etc/default/definitions"
#define RULE "/etc/polkit-1/rules.d/10-definitions.rules"

static int teardown(void **state) {
        int r = defined_teardown(state);

        g_free(run_ok("rm", "-rf", VARIABLES, RULE, NULL));
        return r;
}

#define CLEAN_TEST(function) cmocka_unit_test_setup_teardown(function, defined_setup, teardown)

static void test_start(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam");
        g_autofree char *path = role_file(role), *drop_in = g_strconcat(path, ".d/10-site.conf", NULL),
                        *dump = g_strdup(scratch("dump")), *definition = NULL, *other = NULL, *lines = NULL;
        g_autoptr(GVariant) groups = NULL;
        g_autoptr(GHashTable) seen = NULL;

        write_file(VARIABLES, "# as a package has it\nTHREE=\"a file\"\nWHO=file\n");
        assert_return_code(chmod(VARIABLES, 0600), errno);
        lines = g_strdup_printf(
                "Command=%s dump %s pause\nKillSignal=INT\nUser=root\nRoleGroups=night dome\n"
                "EnvironmentFile=-/nonexistent " VARIABLES
                "\nEnvironment=WHO=x NAME=%%n \"TWO=a b\"\nNice=3\nLimitCORE=0\nLimitNOFILE=64\n",
                actor(), dump);
        write_role_file(path, lines);
        write_role_file(drop_in, "Nice=4\nTimeoutStopSec=1min\n");
        start_fails(bus, defined_args(role, NULL), "NoSuchDefinition", role, NULL); /* not read yet */
        reload_definitions(bus);
        start_defined(bus, role, NULL);
        definition = role_get_string(bus, role, "Definition");
        assert_string_equal(definition, path);
        groups = role_get(bus, role, "RoleGroups");
        g_autofree const char **names = g_variant_get_strv(groups, NULL);
        assert_string_equal(names[0], "night");
        assert_string_equal(names[1], "dome");
        assert_int_equal(role_get_i32(bus, role, "StopSignal"), SIGINT);
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 60000000);
        WAIT_UNTIL(g_file_test(dump, G_FILE_TEST_EXISTS));
        seen = read_dump(dump);
        assert_string_equal(dump_get(seen, "env.WHO"), "file");
        assert_string_equal(dump_get(seen, "env.NAME"), role);
        assert_string_equal(dump_get(seen, "env.THREE"), "a file");
        assert_string_equal(dump_get(seen, "env.TWO"), "a b");
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGINT, "stop");

        /* An option of the call replaces that of the file, and only that. */
        start_defined(bus, role, OPTIONS("{'stop-signal': <15>, 'role-groups': <['day']>}"));
        assert_int_equal(role_get_i32(bus, role, "StopSignal"), SIGTERM);
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 60000000);
        g_variant_unref(groups);
        groups = role_get(bus, role, "RoleGroups");
        assert_int_equal(g_variant_n_children(groups), 1);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");

        /* With a command it is a free role. */
        start(bus, role, NULL, actor(), "pause", NULL);
        other = role_get_string(bus, role, "Definition");
        assert_string_equal(other, "");
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 10000000);
}

static void test_template(void **state) {
        Bus *bus = *state;
        const char *role = role_name("t");
        g_autofree char
                *path = g_strdup_printf(DEFINITIONS "/%s@.role", role),
                *first = g_strconcat(role, "-0", NULL), *third = g_strconcat(role, "-2", NULL),
                *none = g_strconcat(role, "-3", NULL),
                *lines = g_strdup_printf(
                        "Command=%s pause\nInstances=0..2\nWorkingDirectory=/proc/self/task/../fd/%%i\n",
                        actor()),
                *directory = NULL;

        write_role_file(path, lines);
        reload_definitions(bus);
        start_defined(bus, third, OPTIONS("{'working-directory': <'/tmp'>}"));
        directory = role_get_string(bus, third, "WorkingDirectory");
        assert_string_equal(directory, "/tmp");
        /* No directory, so the start as it is defined names what %i has become. */
        start_fails(bus, defined_args(first, NULL), "SetupFailed", "/proc/self/task/../fd/0", NULL);
        start_fails(bus, defined_args(none, NULL), "NoSuchDefinition", none, NULL);
        start_fails(bus, defined_args(role, NULL), "NoSuchDefinition", role, NULL);
}

/* Its entry of ListDefinitions, or NULL. */
static GVariant *listed(Bus *bus, const char *role) {
        g_autoptr(GVariant) reply = node_call(bus, "ListDefinitions", NULL),
                            list = g_variant_get_child_value(reply, 0);

        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(list, i);
                const char *name;

                g_variant_get_child(entry, 0, "&s", &name);
                if (g_str_equal(name, role))
                        return g_steal_pointer(&entry);
        }
        return NULL;
}

static void assert_option(GVariant *definition, const char *key, const char *value, const char *file) {
        g_autoptr(GVariant) options = g_variant_get_child_value(definition, 0), found = NULL;
        g_autofree char *text = NULL;
        const char *from;

        found = g_variant_lookup_value(options, key, G_VARIANT_TYPE("(vs)"));
        if (!found)
                fail_msg("%s is missing", key);
        g_autoptr(GVariant) variant = NULL;
        g_variant_get(found, "(v&s)", &variant, &from);
        text = g_variant_print(variant, true);
        assert_string_equal(text, value);
        assert_string_equal(from, file);
}

static void test_show(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam");
        g_autofree char *path = role_file(role), *drop_in = g_strconcat(path, ".d/10-site.conf", NULL),
                        *command = g_strdup_printf("['%s', 'pause']", actor()), *text = NULL;
        g_autoptr(GVariant) definition = NULL, details = NULL, entry = NULL, options = NULL;
        const char *description, *file;
        gboolean autostart;

        define(role,
                "Description=The camera\nAutoStart=yes\nRoleGroups=night\nEnvironment=SECRET=x\nKillSignal=INT\n"
                "EupsList=a=1\nProductProvider=eups\nRemove=no\nLimitCORE=0\nTimeoutStopSec=2\nReleasePorts=7\n"
                "StandardInput=null\n");
        write_role_file(drop_in, "KillSignal=\nNice=4\nLimitNOFILE=64\n");
        reload_definitions(bus);
        entry = listed(bus, role);
        assert_non_null(entry);
        g_variant_get_child(entry, 1, "&s", &file);
        assert_string_equal(file, path);
        details = g_variant_get_child_value(entry, 3);
        assert_true(g_variant_lookup(details, "description", "&s", &description));
        assert_string_equal(description, "The camera");
        assert_true(g_variant_lookup(details, "autostart", "b", &autostart) && autostart);
        assert_false(detail_has(details, "error"));

        definition = node_call(bus, "GetDefinition", g_variant_new("(s)", role));
        assert_option(definition, "command", command, path);
        assert_option(definition, "env", "['SECRET']", path);
        assert_option(definition, "nice", "4", drop_in);
        assert_option(definition, "limits", "{'core': uint64 0, 'nofile': 64}", drop_in);
        assert_option(definition, "eups-list", "[('a', '1')]", path);
        assert_option(definition, "provider", "'eups'", path);
        assert_option(definition, "remove", "false", path);
        assert_option(definition, "stop-timeout-usec", "uint64 2000000", path);
        assert_option(definition, "release-ports", "[uint16 7]", path);
        assert_option(definition, "stdin", "'null'", path);
        assert_option(definition, "role-groups", "['night']", path);
        options = g_variant_get_child_value(definition, 0);
        assert_false(g_variant_lookup(options, "stop-signal", "@(vs)", NULL)); /* the drop-in resets it */
        text = g_variant_print(definition, false);
        assert_null(strstr(text, "SECRET=x"));

        node_call_fails(
                bus, "GetDefinition", g_variant_new("(s)", role_name("none")), "NoSuchDefinition", NULL);

        /* As every user sees it. */
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_variant_unref(node_call(alice, "GetDefinition", g_variant_new("(s)", role)));
        g_autoptr(GVariant) same = listed(alice, role);
        assert_true(g_variant_equal(entry, same));
}

static bool need_reload(Bus *bus, const char *role) {
        g_autoptr(GVariant) value = role_get(bus, role, "NeedReload");

        return g_variant_get_boolean(value);
}

/* Waits until the change was announced. */
static void expect_need_reload(Bus *bus, const char *role, bool need) {
        g_autofree char *path = role_path(role);

        for (;;) {
                Event *event = bus_wait(bus, "PropertiesChanged", path);
                g_autoptr(GVariant) values = g_variant_get_child_value(event->body, 1);
                gboolean value;

                if (g_variant_lookup(values, "NeedReload", "b", &value) && value == need)
                        break;
        }
        assert_int_equal(need_reload(bus, role), need);
}

static void test_need_reload(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam"), *free_role = role_name("free");
        g_autofree char *path = role_file(role);

        define(role, "Nice=1\n");
        reload_definitions(bus);
        start_defined(bus, role, NULL);
        start(bus, free_role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        assert_false(need_reload(bus, role));
        define(role, "Nice=2\n");
        assert_false(need_reload(bus, role)); /* as far as the service has read it */
        systemctl("reload", NODE_UNIT);
        expect_need_reload(bus, role, true);
        assert_false(need_reload(bus, free_role));

        /* It is that of the run, over a restart, too. */
        node_restart(bus);
        assert_true(need_reload(bus, role));
        define(role, "# the same as before\nNice=1\n");
        reload_definitions(bus);
        expect_need_reload(bus, role, false);
        assert_return_code(unlink(path), errno);
        reload_definitions(bus);
        expect_need_reload(bus, role, true);
        assert_int_equal(role_pid(bus, role), pid);

        define(role, "Nice=2\n");
        reload_definitions(bus);
        stop(bus, role);
        start_defined(bus, role, NULL);
        assert_false(need_reload(bus, role));
}

static void test_refused(void **state) {
        Bus *bus = *state;
        const char *bad = role_name("bad"), *open = role_name("open"), *good = role_name("good"),
                   *template = role_name("many");
        g_autofree char *bad_file = role_file(bad), *open_file = role_file(open), *from = journal_from_now(),
                        *template_name = g_strconcat(template, "@", NULL),
                        *template_file = role_file(template_name),
                        *instance = g_strconcat(template, "-1", NULL), *log = NULL, *place = NULL,
                        *template_place = NULL, *all = NULL;
        g_autoptr(GVariant) entry = NULL, details = NULL, warnings = NULL;
        const char *error, *file;
        guint32 line;

        define(bad, "\nColour=blue\n");
        define(open, "");
        assert_return_code(chmod(open_file, 0666), errno);
        write_role_file(template_file, "Command=/bin/true\n");
        define(good, "");
        reload_definitions(bus); /* which succeeds */
        place = g_strconcat(bad_file, ":4: the key Colour= is unknown", NULL);
        template_place = g_strconcat(template_file, ":1: Instances= is missing", NULL);
        start_fails(bus, defined_args(bad, NULL), "BadDefinition", bad, place, NULL);
        start_fails(bus, defined_args(open, NULL), "BadDefinition", open_file,
                "others than its owner may write to it", NULL);
        start_fails(bus, defined_args(instance, NULL), "BadDefinition", template_place, NULL);
        node_call_fails(bus, "GetDefinition", g_variant_new("(s)", bad), "BadDefinition", place, NULL);
        log = journal(from, "-u", NODE_UNIT, "-p", "err", NULL);
        assert_contains(log, place);
        assert_contains(log, open_file);
        assert_contains(log, template_place);

        entry = listed(bus, bad);
        details = g_variant_get_child_value(entry, 3);
        assert_true(g_variant_lookup(details, "error", "&s", &error));
        assert_true(g_variant_lookup(details, "error-file", "&s", &file));
        assert_true(g_variant_lookup(details, "line", "u", &line));
        assert_string_equal(error, "the key Colour= is unknown");
        assert_string_equal(file, bad_file);
        assert_int_equal(line, 4);
        warnings = node_get(bus, "Warnings");
        all = g_variant_print(warnings, false);
        assert_contains(all, bad);

        /* Everything else works, also the next start of the service. */
        start_defined(bus, good, NULL);
        node_restart(bus);
        assert_poll(bus, good, "running");
        stop(bus, good);
        start_defined(bus, good, NULL);
}

/* alice may start the definitions of the group night. */
static const char rule[] =
        "polkit.addRule(function(action, subject) {\n"
        "    if (action.id == 'org.architect.node.start-defined-role' && subject.user == 'alice' &&\n"
        "        action.lookup('definition').indexOf('" DEFINITIONS "/') == 0 &&\n"
        "        action.lookup('user') == 'root' && action.lookup('uid') == '0' &&\n"
        "        (action.lookup('role-groups') || '').split(' ').indexOf('night') >= 0)\n"
        "        return polkit.Result.YES;\n"
        "});\n";

static void test_users(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam"), *other = role_name("other"), *refused = role_name("refused");
        g_autoptr(Bus) alice = bus_new_as("alice");

        define(role, "RoleGroups=dome night\nNice=-1\n");
        define(other, "RoleGroups=nightly\n");
        define(refused, "Colour=blue\n");
        reload_definitions(bus);
        /* By default she may do nothing of this, and not take a name either. */
        start_fails(alice, defined_args(role, NULL), ACCESS_DENIED, role,
                "org.architect.node.start-defined-role", NULL);
        start_fails(alice, start_args(role, NULL, actor(), "pause", NULL), ACCESS_DENIED, "reserves its name",
                NULL);
        start_fails(alice, start_args(refused, NULL, actor(), "pause", NULL), ACCESS_DENIED,
                "reserves its name", NULL);
        /* What root reads is for nobody else. */
        start_fails(alice,
                start_args(role_name("alice"), OPTIONS("{'environment-file': <['/etc/shadow']>}"), actor(),
                        "pause", NULL),
                ACCESS_DENIED, "environment-file", NULL);
        assert_poll(bus, role, "none");

        write_file(RULE, rule);
        assert_return_code(chmod(RULE, 0644), errno);
        systemctl("restart", "polkit.service");
        start_fails(alice, defined_args(other, NULL), ACCESS_DENIED, other, NULL);
        start_fails(alice, defined_args(role, OPTIONS("{'remove': <true>}")), ACCESS_DENIED, role, NULL);
        g_variant_unref(node_call(alice, "Start", defined_args(role, NULL)));
        assert_poll(bus, role, "running");
        assert_int_equal(role_get_u32(bus, role, "Owner"), 1001);
        assert_int_equal(getpriority(PRIO_PROCESS, (id_t) role_pid(bus, role)), -1);
        /* It is root's, so it is not hers to stop. */
        node_call_fails(alice, "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        assert_return_code(unlink(RULE), errno);
        systemctl("restart", "polkit.service");
        start_defined(bus, other, NULL);
}

static void service_stop_and_start(Bus *bus) {
        systemctl("stop", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        node_sync(bus);
}

static pid_t wait_running(Bus *bus, const char *role) {
        WAIT_UNTIL(g_str_equal(role_state(bus, role), "running"));
        return role_pid(bus, role);
}

static void test_auto_start(void **state) {
        Bus *bus = *state;
        const char *role = role_name("auto"), *other = role_name("other"), *manual = role_name("manual");

        define(role, "AutoStart=yes\n");
        define(other, "AutoStart=yes\n");
        define(manual, "");
        reload_definitions(bus);
        assert_poll(bus, role, "none"); /* that is no start of the service */
        /* If this case was run before, its end was a Kill, which is by hand. */
        start_defined(bus, role, NULL);
        start_defined(bus, other, NULL);
        service_stop_and_start(bus);
        expect_exited(bus, role, "killed", SIGTERM, "shutdown");
        pid_t pid = wait_running(bus, role), other_pid = wait_running(bus, other);
        assert_poll(bus, manual, "none");

        /* In these the roles live on, and what has ended stays so. */
        kill_role(bus, other);
        node_restart(bus);
        node_crash(bus);
        node_sync(bus);
        assert_int_equal(role_pid(bus, role), pid);
        assert_poll(bus, other, "exit -9");
        send_signal(bus, role, "main", SIGKILL);
        expect_exited(bus, role, "killed", SIGKILL, NULL);
        node_restart(bus);
        assert_poll(bus, role, "exit -9");

        /* One ended by itself, the other one was stopped by hand. */
        service_stop_and_start(bus);
        assert_int_not_equal(wait_running(bus, role), pid);
        assert_poll(bus, other, "none");
        service_stop_and_start(bus);
        (void) wait_running(bus, role);
        assert_poll(bus, other, "none");
        start_defined(bus, other, NULL);
        service_stop_and_start(bus);
        (void) wait_running(bus, role);
        assert_int_not_equal(wait_running(bus, other), other_pid);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                CLEAN_TEST(test_start),
                CLEAN_TEST(test_template),
                CLEAN_TEST(test_show),
                CLEAN_TEST(test_need_reload),
                CLEAN_TEST(test_refused),
                CLEAN_TEST(test_users),
                CLEAN_TEST(test_auto_start),
        };
        return run_case("definitions", tests);
}
