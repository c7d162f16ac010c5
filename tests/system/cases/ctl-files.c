/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl verify, edit, enable and disable: role files before and after they are installed, through a
 * pipe and on a terminal. */

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "testlib.h"

#define SELF "ctl-files."
#define VENDOR "/usr/lib/architect-node/main.roles.d"

static void write_text(const char *path, const char *text) {
        g_autofree char *directory = g_path_get_dirname(path);

        assert_return_code(g_mkdir_with_parents(directory, 0755), errno);
        assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
}

static char *read_text(const char *path) {
        char *text = NULL;

        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

static char *drop_in_of(const char *role, const char *name) {
        return g_strdup_printf(DEFINITIONS "/%s.role.d/%s", role, name);
}

static bool is_enabled(Bus *bus, const char *role) {
        g_autoptr(GVariant) reply = node_call(bus, "ListDefinitions", NULL);
        g_autoptr(GVariantIter) iter = NULL;
        const char *name, *file;
        GVariant *groups, *details;
        int found = -1;
        gboolean autostart;

        g_variant_get(reply, "(a(ssasa{sv}))", &iter);
        while (g_variant_iter_loop(iter, "(&s&s@as@a{sv})", &name, &file, &groups, &details))
                if (strcmp(name, role) == 0 && g_variant_lookup(details, "autostart", "b", &autostart))
                        found = autostart;
        assert_true(found >= 0);
        return found > 0;
}

/* -- verify -- */

static void test_verify(void **state) {
        const char *camera = scratch("camera.role"), *hub = scratch("hub.role"),
                   *dome = scratch("dome@.role");
        g_autofree char *expected = NULL, *needs = NULL, *instance = NULL, *missing = NULL;
        g_autofree char *drop_in = g_strconcat(camera, ".d/a.conf", NULL),
                        *of_instance = g_strdup(scratch("dome-1.role.d/b.conf"));

        write_text(camera, "[Role]\nCommand=sleep infinity\n");
        write_text(hub, "[Role]\nCommand=sleep infinity\nNice=5\nRequires=camera\n");
        write_text(dome, "[Role]\nCommand=sleep %i\nInstances=1 2\n");
        g_autofree char *good = CTL_ERR(0, "verify", camera, hub, dome);
        assert_string_equal(good, "");

        /* The camera is not there. */
        g_autofree char *alone = CTL_ERR(1, "verify", hub);
        needs = g_strdup_printf("%s:4: it requires \"camera\", which has no definition", hub);
        assert_contains(alone, needs);

        /* All errors, each with the path as it was given. */
        write_text(drop_in, "[Role]\n\nNice=55\n");
        write_text(of_instance, "[Role]\nRestrat=no\n");
        missing = g_strdup(scratch("nothing.role"));
        g_autofree char *bad = CTL_ERR(1, "verify", camera, dome, missing, "/etc/passwd");
        expected = g_strdup_printf("%s:3: Nice= is 55, but must be from -20 to 19\n", drop_in);
        instance = g_strdup_printf("%s:2: the key Restrat= is unknown\n", of_instance);
        assert_contains(bad, expected);
        assert_contains(bad, instance);
        assert_contains(bad, "nothing.role: it cannot be read: No such file or directory");
        assert_contains(bad, "/etc/passwd: the name of a role file is NAME.role");
        assert_contains_not(bad, "architectctl-");

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("verify", camera);
        screen_expect(t.screen, "Nice= is 55");
        assert_int_equal(ctl_terminal_wait(&t), 1);
}

/* With a definition that is installed, as a user without rights, and without a service. */
static void test_verify_installed(void **state) {
        Bus *bus = *state;
        const char *hub = scratch("hub.role");
        g_autofree char *lines = NULL;

        define(role_name("camera"), "");
        reload_definitions(bus);
        lines = g_strdup_printf("[Role]\nCommand=sleep infinity\nRequires=%s\n", role_name("camera"));
        write_text(hub, lines);
        g_auto(CtlRun) run = CTL_AS("nobody", "verify", hub);
        assert_int_equal(run.status, 0);
        assert_string_equal(run.err, "");
        /* There the camera is not known. */
        g_autofree char *other = CTL_ERR(1, "--instance=other", "verify", hub);
        assert_contains(other, "which has no definition");
        /* A circle with what is installed. */
        g_autofree char *circle = g_strdup(scratch(SELF "camera.role"));
        write_text(hub, "[Role]\nCommand=true\nAfter=" SELF "camera\n");
        write_text(circle, "[Role]\nCommand=true\nAfter=hub\n");
        g_autofree char *err = CTL_ERR(1, "verify", hub, circle);
        assert_contains(err, "the order of its dependencies has a cycle");
}

static void test_verify_odd(void **state) {
        const char *writable = scratch("writable.role"), *directory = scratch("directory.role"),
                   *huge = scratch("huge.role"), *binary = scratch("binary.role"),
                   *masked = scratch("masked.role");
        g_autofree char *long_line = g_strnfill(2 * 1024 * 1024, 'x'), *installed = role_file(SELF "w");

        write_text(writable, "[Role]\nCommand=true\n");
        assert_return_code(chmod(writable, 0666), errno);
        assert_return_code(mkdir(directory, 0755), errno);
        write_text(huge, long_line);
        assert_true(g_file_set_contents(binary, "[Role]\n\0\1\2", 10, NULL));
        assert_return_code(symlink("/dev/null", masked), errno);
        g_autofree char *note = CTL_ERR(0, "verify", writable), *quiet = CTL_ERR(0, "-q", "verify", writable),
                        *is_directory = CTL_ERR(1, "verify", directory),
                        *is_huge = CTL_ERR(1, "verify", huge), *is_binary = CTL_ERR(1, "verify", binary),
                        *is_masked = CTL_ERR(0, "verify", masked),
                        *host = CTL_ERR(2, "-H", "x", "verify", writable),
                        *twice = CTL_ERR(1, "verify", writable, writable), *none = CTL_ERR(2, "verify");

        assert_contains(note, "others than its owner may write to it, which matters once it is installed");
        assert_string_equal(quiet, "");
        assert_contains(is_directory, "directory.role: it is not a regular file");
        assert_contains(is_huge, "it has more than 1048576 bytes");
        assert_contains(is_binary, "binary.role:2: the line has a NUL byte");
        assert_contains(is_masked, "it is masked");
        assert_contains(host,
                "role files of the machine on which it runs\nRun it there: ssh -t x architectctl verify FILE...\n");
        assert_contains(twice, "defines the same role");
        assert_contains(none, "verify needs FILE...");

        /* Where it is in use it is an error. */
        write_text(installed, "[Role]\nCommand=true\n");
        assert_return_code(chmod(installed, 0666), errno);
        g_autofree char *in_use = CTL_ERR(1, "verify", installed);
        assert_contains(in_use, "w.role: others than its owner may write to it\n");
}

/* -- enable, disable -- */

static void test_enable(void **state) {
        Bus *bus = *state;
        const char *role = role_name("camera");
        g_autofree char *path = drop_in_of(role, "50-autostart.conf"), *directory = g_path_get_dirname(path);

        define(role, "");
        reload_definitions(bus);
        g_autofree char *err = CTL_ERR(0, "enable", role);
        g_autofree char *text = read_text(path);
        assert_contains(
                err, "Created /etc/architect-node/main.roles.d/ctl-files.camera.role.d/50-autostart.conf");
        assert_string_equal(text, "[Role]\nAutoStart=yes\n");
        assert_true(is_enabled(bus, role));
        assert_poll(bus, role, "none");

        /* Back to what the file says: nothing is left. */
        g_autofree char *removed = CTL_ERR(0, "disable", role), *again = CTL_ERR(0, "disable", role);
        assert_contains(removed, "Removed /etc");
        assert_string_equal(again, "");
        assert_int_equal(access(directory, F_OK), -1);
        assert_false(is_enabled(bus, role));

        /* Where the file itself says yes, a drop-in says no. */
        define(role, "AutoStart=yes");
        g_free(CTL_ERR(0, "disable", role));
        g_autofree char *no_text = read_text(path);
        assert_string_equal(no_text, "[Role]\nAutoStart=no\n");
        assert_false(is_enabled(bus, role));
        g_autofree char *yes = CTL_ERR(0, "-q", "enable", role);
        assert_string_equal(yes, "");
        assert_true(is_enabled(bus, role));
        assert_int_equal(access(path, F_OK), -1);
}

static void test_enable_now(void **state) {
        Bus *bus = *state;

        define(role_name("camera"), "");
        write_text(DEFINITIONS "/" SELF "dome@.role", "[Role]\nCommand=sleep infinity\nInstances=1..2\n");
        reload_definitions(bus);
        g_autofree char *started = CTL_ERR(0, "enable", "--now", SELF "camera", SELF "dome@");
        assert_contains(started, "dome@.role.d/50-autostart.conf");
        assert_poll(bus, SELF "camera", "running");
        assert_poll(bus, SELF "dome-1", "running");
        assert_poll(bus, SELF "dome-2", "running");
        assert_true(is_enabled(bus, SELF "dome-2"));
        /* One of them by itself; it is stopped. */
        g_autofree char *stopped = CTL_ERR(0, "disable", "--now", SELF "dome-2");
        assert_contains(stopped, "dome-2.role.d/50-autostart.conf with AutoStart=no");
        assert_poll(bus, SELF "dome-1", "running");
        assert_poll(bus, SELF "dome-2", "exit -15");
        assert_false(is_enabled(bus, SELF "dome-2"));
        /* A role that does not run is stopped already; one that cannot start is reported. */
        define(role_name("never"), "");
        g_autofree char *idle = CTL_ERR(0, "disable", "--now", SELF "never");
        assert_string_equal(idle, "");
        define(role_name("never"), "WorkingDirectory=/nowhere");
        g_autofree char *fails = CTL_ERR(1, "enable", "--now", SELF "never");
        assert_contains(fails, "/nowhere");

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("disable", "--now", SELF "camera");
        screen_expect(t.screen, "Removed /etc");
        assert_int_equal(ctl_terminal_wait(&t), 0);
        assert_poll(bus, SELF "camera", "exit -15");
}

static void test_enable_errors(void **state) {
        Bus *bus = *state;
        const char *role = role_name("camera");
        g_autofree char *later = drop_in_of(role, "override.conf"),
                        *path = drop_in_of(role, "50-autostart.conf");

        define(role, "");
        reload_definitions(bus);
        g_autofree char *unknown = CTL_ERR(4, "enable", role, "ctl-files.camrea"),
                        *host = CTL_ERR(2, "-H", "x", "enable", role);
        assert_contains(unknown, "there is no definition of \"ctl-files.camrea\"");
        assert_contains(unknown, "Did you mean \"ctl-files.camera\"?");
        assert_contains(host,
                "role files of the machine on which it runs\nRun it there: ssh -t x architectctl enable ROLE...\n");
        /* Then the others are not changed either. */
        assert_int_equal(access(path, F_OK), -1);
        g_auto(CtlRun) user = CTL_AS("nobody", "enable", role);
        assert_int_equal(user.status, 5);
        assert_contains(user.err, "Permission denied");
        assert_contains(user.err, "run it as root, or with --user");

        write_text(later, "[Role]\nAutoStart=no\n");
        g_autofree char *vain = CTL_ERR(1, "enable", role);
        assert_contains(vain, "override.conf, which is read after 50-autostart.conf");
        assert_int_equal(access(path, F_OK), -1);
}

/* -- edit -- */

/* An editor that does this to its file, "$1". */
static char *editor(const char *script) {
        const char *path = scratch("editor");
        g_autofree char *text = g_strconcat("#!/bin/sh -e\n", script, "\n", NULL);

        write_text(path, text);
        assert_return_code(chmod(path, 0755), errno);
        return g_strconcat("SYSTEMD_EDITOR=", path, NULL);
}

#define EDIT(status, editor, ...) \
        ctl_err(status, (const char *const[]){ "env", editor, "architectctl", "edit", __VA_ARGS__, NULL })

static void test_edit(void **state) {
        Bus *bus = *state;
        const char *role = role_name("camera");
        g_autofree char *path = drop_in_of(role, "override.conf"), *directory = g_path_get_dirname(path);
        g_autofree char *shown = g_strconcat("cp \"$1\" ", scratch("shown"), NULL);

        define(role, "Description=The camera");
        reload_definitions(bus);
        g_autofree char *look = editor(shown), *same = EDIT(0, look, role);
        g_autofree char *template = read_text(scratch("shown"));
        assert_contains(same, "Nothing is changed: the text is the same");
        assert_contains(template,
                "### Editing /etc/architect-node/main.roles.d/ctl-files.camera.role.d/override.conf\n");
        assert_contains(template, "\n# Description=The camera\n");
        assert_int_equal(access(directory, F_OK), -1);

        g_autofree char *change = editor("sed -i '3a [Role]\\nNice=5' \"$1\""), *done = EDIT(0, change, role);
        g_autofree char *text = read_text(path);
        assert_contains(done, "Wrote /etc");
        assert_string_equal(text, "[Role]\nNice=5\n");
        /* It was reloaded. */
        start_defined(bus, role, NULL);
        assert_int_equal(getpriority(PRIO_PROCESS, (id_t) role_pid(bus, role)), 5);

        /* The next one begins with it; the text below the mark has no effect. */
        g_autofree char *more = editor("sed -i 's/Nice=5/Nice=6/; $a Nice=99' \"$1\""),
                        *second = EDIT(0, more, role);
        g_autofree char *next = read_text(path);
        assert_contains(second, "Wrote");
        assert_string_equal(next, "[Role]\nNice=6\n");

        g_autofree char *empty = editor(": >\"$1\""), *kept = EDIT(0, empty, role);
        g_autofree char *still = read_text(path);
        assert_contains(kept, "Nothing is changed: it is empty");
        assert_string_equal(still, "[Role]\nNice=6\n");
        g_autofree char *cancel = editor("exit 1"), *failed = EDIT(1, cancel, role);
        assert_contains(failed, "has failed, nothing is changed");
        g_autofree char *unknown = EDIT(4, cancel, "ctl-files.camrea");
        assert_contains(unknown, "Did you mean \"ctl-files.camera\"?");
}

/* A draft that is refused stays, and its lines are those of the message. */
static void test_edit_refused(void **state) {
        Bus *bus = *state;
        const char *role = role_name("camera");
        g_autofree char *path = drop_in_of(role, "override.conf"), *draft = NULL;

        define(role, "");
        reload_definitions(bus);
        g_autofree char *change = editor("sed -i '3a [Role]\\nNice=50' \"$1\""), *err = EDIT(1, change, role);
        assert_contains(err, ":5: Nice= is 50, but must be from -20 to 19");
        assert_contains(err, "override.conf is not changed, since the service would refuse it");
        assert_int_equal(access(path, F_OK), -1);
        draft = g_strndup(strstr(err, "/etc"), strcspn(strstr(err, "/etc"), ":"));
        g_autofree char *text = read_text(draft);
        assert_contains(text, "\nNice=50\n");
        g_auto(CtlRun) user = CTL_AS("nobody", "edit", role);
        assert_int_equal(user.status, 5);
        assert_contains(user.err, "Permission denied");
}

static void test_edit_full(void **state) {
        Bus *bus = *state;
        const char *vendor = VENDOR "/" SELF "dome@.role", *ours = DEFINITIONS "/" SELF "dome@.role";

        write_text(vendor, "[Role]\nCommand=sleep infinity\nInstances=1\n");
        reload_definitions(bus);
        g_autofree char *change = editor("sed -i 's/=1/=1 2/' \"$1\""),
                        *instance = EDIT(1, change, "--full", SELF "dome-1");
        assert_contains(
                instance, "it is defined by /usr/lib/architect-node/main.roles.d/ctl-files.dome@.role");
        g_free(EDIT(0, change, "--full", SELF "dome@"));
        g_autofree char *text = read_text(ours), *vendor_text = read_text(vendor);
        assert_string_equal(text, "[Role]\nCommand=sleep infinity\nInstances=1 2\n");
        assert_string_equal(vendor_text, "[Role]\nCommand=sleep infinity\nInstances=1\n");
        start_defined(bus, SELF "dome-2", NULL);
        assert_return_code(unlink(vendor), errno);
}

/* The editor has the terminal. */
static void test_edit_terminal(void **state) {
        Bus *bus = *state;
        const char *role = role_name("camera");
        g_autofree char *path = drop_in_of(role, "override.conf");
        g_autofree char *ask =
                editor("echo 'Which one?'; read -r nice; printf '[Role]\\nNice=%s\\n' \"$nice\" >\"$1\"");

        define(role, "");
        reload_definitions(bus);
        g_auto(CtlTerminal) t =
                ctl_on_terminal((const char *const[]){ "env", ask, "architectctl", "edit", role, NULL });
        screen_expect(t.screen, "Which one?");
        screen_type(t.screen, "7\n");
        screen_expect(t.screen, "Wrote /etc");
        assert_int_equal(ctl_terminal_wait(&t), 0);
        g_autofree char *text = read_text(path);
        assert_string_equal(text, "[Role]\nNice=7\n");
}

/* The files of a user are his own, and are written whether his service can be reached or not. */
static void test_user(void **state) {
        const char *path = scratch(".config/architect-node/main.roles.d/camera.role");
        g_autofree char *home = g_strconcat("HOME=", scratch(""), NULL),
                        *drop_in = g_strconcat(path, ".d/50-autostart.conf", NULL);

        write_text(path, "[Role]\nCommand=true\n");
        g_auto(CtlRun) run = ctl_run((const char *const[]){ "env", "-u", "XDG_CONFIG_HOME", home,
                "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent", "architectctl", "--user", "enable",
                "camera", NULL });
        assert_int_equal(run.status, 1);
        assert_contains(run.err, "The files are written; the service reads them when it starts");
        g_autofree char *text = read_text(drop_in);
        assert_string_equal(text, "[Role]\nAutoStart=yes\n");

        g_autofree char *none = ctl_err(1, (const char *const[]){ "env", "-u", "XDG_CONFIG_HOME", "-u",
                                                   "HOME", "architectctl", "--user", "verify", path, NULL });
        assert_contains(none, "the role files of a user are in $XDG_CONFIG_HOME or $HOME/.config");
}

/* The rest is in the case ctl-import. */
static void test_import_terminal(void **state) {
        const char *path = scratch("supervisord.conf");

        write_text(path, "[program:ZWO CCD]\ncommand=true\nnumprocs=two\n");
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("import", "supervisord", path);
        screen_expect(t.screen, "supervisord.conf:3: numprocs=two is no number");
        screen_expect(t.screen, "# ZWO_CCD.role");
        screen_expect(t.screen, "Command=true");
        assert_int_equal(ctl_terminal_wait(&t), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                DEFINED_TEST(test_verify),
                DEFINED_TEST(test_verify_installed),
                DEFINED_TEST(test_verify_odd),
                DEFINED_TEST(test_enable),
                DEFINED_TEST(test_enable_now),
                DEFINED_TEST(test_enable_errors),
                DEFINED_TEST(test_edit),
                DEFINED_TEST(test_edit_refused),
                DEFINED_TEST(test_edit_full),
                DEFINED_TEST(test_edit_terminal),
                DEFINED_TEST(test_user),
                DEFINED_TEST(test_import_terminal),
        };
        return run_case("ctl-files", tests);
}
