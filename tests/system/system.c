/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/magic.h>

#include "testlib.h"

/* -- programs -- */

int run_argv(char **ret_stdout, char **ret_stderr, const char *const *argv) {
        g_autoptr(GError) error = NULL;
        GSpawnFlags flags = G_SPAWN_SEARCH_PATH;
        int status;

        if (!ret_stdout)
                flags |= G_SPAWN_STDOUT_TO_DEV_NULL;
        if (!ret_stderr)
                flags |= G_SPAWN_STDERR_TO_DEV_NULL;
        if (!g_spawn_sync(
                    NULL, (char **) argv, NULL, flags, NULL, NULL, ret_stdout, ret_stderr, &status, &error))
                fail_msg("%s: %s", argv[0], error->message);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static GPtrArray *collect(const char *program, va_list rest) {
        GPtrArray *argv = g_ptr_array_new();

        for (const char *arg = program; arg; arg = va_arg(rest, const char *))
                g_ptr_array_add(argv, (void *) arg);
        return argv;
}

int run(char **ret_stdout, char **ret_stderr, const char *program, ...) {
        g_autoptr(GPtrArray) argv = NULL;
        va_list rest;

        va_start(rest, program);
        argv = collect(program, rest);
        va_end(rest);
        g_ptr_array_add(argv, NULL);
        return run_argv(ret_stdout, ret_stderr, (const char *const *) argv->pdata);
}

char *run_ok(const char *program, ...) {
        g_autofree char *out = NULL, *err = NULL;
        g_autoptr(GPtrArray) argv = NULL;
        va_list rest;
        int r;

        va_start(rest, program);
        argv = collect(program, rest);
        va_end(rest);
        g_ptr_array_add(argv, NULL);
        r = run_argv(&out, &err, (const char *const *) argv->pdata);
        if (r != 0) {
                g_autofree char *line = g_strjoinv(" ", (char **) argv->pdata);
                fail_msg("%s: exit status %d: %s", line, r, err);
        }
        return g_steal_pointer(&out);
}

int run_as(const char *user, char **ret_stdout, char **ret_stderr, const char *program, ...) {
        g_autoptr(GPtrArray) argv = NULL;
        va_list rest;

        va_start(rest, program);
        argv = collect(program, rest);
        va_end(rest);
        g_ptr_array_insert(argv, 0, (void *) "runuser");
        g_ptr_array_insert(argv, 1, (void *) "-u");
        g_ptr_array_insert(argv, 2, (void *) user);
        g_ptr_array_insert(argv, 3, (void *) "--");
        g_ptr_array_add(argv, NULL);
        return run_argv(ret_stdout, ret_stderr, (const char *const *) argv->pdata);
}

pid_t spawn(const char *program, ...) {
        g_autoptr(GPtrArray) argv = NULL;
        g_autoptr(GError) error = NULL;
        va_list rest;
        GPid pid;

        va_start(rest, program);
        argv = collect(program, rest);
        va_end(rest);
        g_ptr_array_add(argv, NULL);
        if (!g_spawn_async(NULL, (char **) argv->pdata, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                    NULL, NULL, &pid, &error))
                fail_msg("%s: %s", program, error->message);
        return pid;
}

GHashTable *read_dump(const char *path) {
        GHashTable *dump = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autofree char *text = read_file(path);
        g_auto(GStrv) lines = NULL;

        if (!text)
                fail_msg("there is no %s", path);
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                char *colon = strstr(*line, ": ");

                if (colon) {
                        *colon = 0;
                        g_hash_table_insert(dump, g_strdup(*line), g_strdup(g_strstrip(colon + 2)));
                }
        }
        return dump;
}

const char *dump_get(GHashTable *dump, const char *key) {
        const char *value = g_hash_table_lookup(dump, key);

        if (!value)
                fail_msg("the dump has no %s", key);
        return value;
}

struct Fifo {
        char *path;
        int fd;
        GString *data;
};

Fifo *fifo_new(const char *name) {
        Fifo *fifo = g_new0(Fifo, 1);

        fifo->path = g_strdup(scratch(name));
        fifo->data = g_string_new(NULL);
        assert_int_equal(mkfifo(fifo->path, 0666), 0);
        assert_int_equal(chmod(fifo->path, 0666), 0); /* whatever the umask of the test is */
        /* It is open for writing, too, so that it is never at end-of-file. */
        fifo->fd = open(fifo->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        assert_true(fifo->fd >= 0);
        return fifo;
}

void fifo_free(Fifo *fifo) {
        if (!fifo)
                return;
        close(fifo->fd);
        g_string_free(fifo->data, true);
        g_free(fifo->path);
        g_free(fifo);
}

const char *fifo_path(const Fifo *fifo) {
        return fifo->path;
}

/* Returns the end of the first line, or NULL if there is none now. */
static const char *fifo_read(Fifo *fifo) {
        char buffer[4096];
        ssize_t n;

        while ((n = read(fifo->fd, buffer, sizeof(buffer))) > 0)
                g_string_append_len(fifo->data, buffer, n);
        return strchr(fifo->data->str, '\n');
}

static char *take_line(Fifo *fifo) {
        const char *end = fifo_read(fifo);
        char *line;

        if (!end)
                return NULL;
        line = g_strndup(fifo->data->str, (gsize) (end - fifo->data->str));
        g_string_erase(fifo->data, 0, (gssize) (end - fifo->data->str) + 1);
        return line;
}

char *fifo_line(Fifo *fifo) {
        gint64 end = g_get_monotonic_time() + patience_usec();
        char *line;

        while (!(line = take_line(fifo))) {
                struct pollfd p = { .fd = fifo->fd, .events = POLLIN };
                gint64 left = (end - g_get_monotonic_time()) / 1000;

                if (left <= 0 || poll(&p, 1, (int) left) == 0)
                        fail_msg("nobody wrote to %s", fifo->path);
        }
        return line;
}

bool fifo_has_line(Fifo *fifo) {
        return fifo_read(fifo);
}

void fifo_expect(Fifo *fifo, const char *expected) {
        g_autofree char *line = fifo_line(fifo);
        assert_string_equal(line, expected);
}

pid_t fifo_expect_pid(Fifo *fifo, const char *text) {
        g_autofree char *line = fifo_line(fifo);
        gint64 pid;

        if (!g_str_has_prefix(line, text) || line[strlen(text)] != ' ')
                fail_msg("%s: should say '%s PID', but says '%s'", fifo->path, text, line);
        pid = g_ascii_strtoll(line + strlen(text) + 1, NULL, 10);
        assert_true(pid > 1);
        return (pid_t) pid;
}

struct Hold {
        char *program;
        int fd;
};

Hold *hold_new(void) {
        Hold *hold = g_new0(Hold, 1);

        hold->program = g_strdup(scratch("held"));
        g_free(run_ok("cp", "--", actor(), hold->program, NULL));
        hold->fd = open(hold->program, O_RDONLY | O_CLOEXEC);
        assert_true(hold->fd >= 0);
        if (fcntl(hold->fd, F_SETLEASE, F_WRLCK) < 0)
                fail_msg("no lease on %s: %s", hold->program, g_strerror(errno));
        return hold;
}

const char *hold_program(const Hold *hold) {
        return hold->program;
}

void hold_release(Hold *hold) {
        if (hold->fd >= 0)
                close(hold->fd);
        hold->fd = -1;
}

void hold_free(Hold *hold) {
        if (!hold)
                return;
        hold_release(hold);
        g_free(hold->program);
        g_free(hold);
}

/* -- processes -- */

int process_open(pid_t pid) {
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        if (fd < 0)
                fail_msg("pidfd_open %d: %s", (int) pid, g_strerror(errno));
        return fd;
}

bool process_is_dead(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        return poll(&p, 1, 0) == 1;
}

void process_wait_dead(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        if (poll(&p, 1, (int) (patience_usec() / 1000)) != 1)
                fail_msg("a process that should end lives on");
}

char *read_file(const char *path) {
        char *text;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return NULL;
        return g_strstrip(text);
}

void write_file(const char *path, const char *text) {
        g_autofree char *parent = g_path_get_dirname(path);

        assert_return_code(g_mkdir_with_parents(parent, 0755), errno);
        assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Returns the fields of /proc/PID/stat from the third on, because the second may contain anything. */
static char **process_stat(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid);
        g_autofree char *text = read_file(path);
        char *end = text ? strrchr(text, ')') : NULL;

        return end ? g_strsplit(end + 2, " ", -1) : NULL;
}

char process_state(pid_t pid) {
        g_auto(GStrv) stat = process_stat(pid);
        return stat ? stat[0][0] : 0;
}

pid_t process_parent(pid_t pid) {
        g_auto(GStrv) stat = process_stat(pid);
        return stat ? (pid_t) g_ascii_strtoll(stat[1], NULL, 10) : 0;
}

char *process_status(pid_t pid, const char *key) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", (int) pid);
        g_autofree char *text = read_file(path);
        g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);
        size_t n = strlen(key);

        for (char **line = lines; *line; line++)
                if (strncmp(*line, key, n) == 0 && (*line)[n] == ':')
                        return g_strdup(g_strstrip(*line + n + 1));
        return NULL;
}

guint64 process_rss(pid_t pid) {
        g_autofree char *value = process_status(pid, "VmRSS");

        assert_non_null(value);
        return g_ascii_strtoull(value, NULL, 10) * 1024;
}

guint process_n_fds(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int) pid);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        guint n = 0;

        if (!dir)
                fail_msg("cannot read %s", path);
        while (g_dir_read_name(dir))
                n++;
        return n;
}

GArray *process_children(pid_t pid) {
        GArray *children = g_array_new(false, false, sizeof(pid_t));
        g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir))) {
                pid_t child = (pid_t) g_ascii_strtoll(name, NULL, 10);

                if (child > 0 && process_parent(child) == pid)
                        g_array_append_val(children, child);
        }
        return children;
}

char *process_cgroup(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int) pid);
        g_autofree char *text = read_file(path);
        g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);

        for (char **line = lines; *line; line++)
                if (g_str_has_prefix(*line, "0::"))
                        return g_strdup(*line + 3);
        return NULL;
}

bool process_in_syscall(pid_t pid, long number) {
        g_autofree char *path = g_strdup_printf("/proc/%d/syscall", (int) pid);
        g_autofree char *text = read_file(path);

        return text && g_ascii_isdigit(text[0]) && g_ascii_strtoll(text, NULL, 10) == number;
}

bool process_is_sanitized(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int) pid);
        g_autofree char *text = read_file(path);

        /* A dynamic libasan, or the shadow memory of a static one. */
        return text && (strstr(text, "libasan") || strstr(text, "7fff8000-10007fff8000"));
}

/* -- cgroups -- */

static const char *cgroup_base(void) {
        struct statfs fs;

        if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
                return "/sys/fs/cgroup";
        return "/sys/fs/cgroup/unified";
}

bool machine_is_hybrid(void) {
        return strcmp(cgroup_base(), "/sys/fs/cgroup") != 0;
}

char *cgroup_file(const char *cgroup, const char *file) {
        return g_build_filename(cgroup_base(), cgroup, file, NULL);
}

char *cgroup_v1_file(const char *controller, const char *cgroup, const char *file) {
        return g_build_filename("/sys/fs/cgroup", controller, cgroup, file, NULL);
}

static bool cgroup_event(const char *cgroup, const char *line) {
        g_autofree char *path = cgroup_file(cgroup, "cgroup.events");
        g_autofree char *text = read_file(path);

        assert_true(cgroup[0] == '/' && cgroup[1]);
        return text && strstr(text, line);
}

bool cgroup_is_populated(const char *cgroup) {
        return cgroup_event(cgroup, "populated 1");
}

bool cgroup_is_frozen(const char *cgroup) {
        return cgroup_event(cgroup, "frozen 1");
}

void cgroup_wait_empty(const char *cgroup) {
        WAIT_UNTIL(!cgroup_is_populated(cgroup));
}

static void add_pids(const char *path, GArray *pids) {
        g_autofree char *procs = g_build_filename(path, "cgroup.procs", NULL);
        g_autofree char *text = read_file(procs);
        g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        for (char **line = lines; *line; line++) {
                pid_t pid = (pid_t) g_ascii_strtoll(*line, NULL, 10);
                if (pid > 0)
                        g_array_append_val(pids, pid);
        }
        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *child = g_build_filename(path, name, NULL);
                if (g_file_test(child, G_FILE_TEST_IS_DIR))
                        add_pids(child, pids);
        }
}

void cgroup_freeze(const char *cgroup, bool freeze) {
        g_autofree char *path = cgroup_file(cgroup, "cgroup.freeze");
        FILE *f = fopen(path, "we");

        if (!f && !freeze && errno == ENOENT)
                return;
        assert_non_null(f);
        assert_true(fputs(freeze ? "1" : "0", f) >= 0);
        assert_int_equal(fclose(f), 0);
}

GArray *cgroup_pids(const char *cgroup) {
        g_autofree char *path = cgroup_file(cgroup, "");
        GArray *pids = g_array_new(false, false, sizeof(pid_t));

        add_pids(path, pids);
        return pids;
}

/* -- units -- */

char **units(Bus *bus, const char *pattern) {
        g_autoptr(GVariant) reply = bus_call(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                "ListUnitsByPatterns",
                g_variant_new("(^as^as)", (const char *[]){ NULL }, (const char *[]){ pattern, NULL }));
        g_autoptr(GVariantIter) list = NULL;
        GPtrArray *names = g_ptr_array_new();
        const char *name;

        g_variant_get(reply, "(a(ssssssouso))", &list);
        while (g_variant_iter_next(
                list, "(&s&s&s&s&s&s&ou&s&o)", &name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL))
                g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_add(names, NULL);
        return (char **) g_ptr_array_free(names, false);
}

guint count_units(Bus *bus, const char *pattern) {
        g_auto(GStrv) names = units(bus, pattern);
        return g_strv_length(names);
}

GVariant *unit_get(Bus *bus, const char *unit, const char *interface, const char *property) {
        g_autofree char *name = g_strconcat(SYSTEMD_NAME ".", interface, NULL);
        g_autoptr(GVariant) reply = bus_call(
                bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "LoadUnit", g_variant_new("(s)", unit));
        const char *path;

        g_variant_get(reply, "(&o)", &path);
        return bus_get(bus, SYSTEMD_NAME, path, name, property);
}

char *unit_get_string(Bus *bus, const char *unit, const char *interface, const char *property) {
        g_autoptr(GVariant) value = unit_get(bus, unit, interface, property);
        return g_variant_dup_string(value, NULL);
}

pid_t unit_main_pid(Bus *bus, const char *unit) {
        g_autoptr(GVariant) value = unit_get(bus, unit, "Service", "MainPID");
        pid_t pid = (pid_t) g_variant_get_uint32(value);

        if (pid <= 1)
                fail_msg("%s is not running", unit);
        return pid;
}

bool service_is_another(Bus *bus, const char *unit, pid_t before) {
        g_autofree char *active = unit_get_string(bus, unit, "Unit", "ActiveState");
        g_autoptr(GVariant) now = unit_get(bus, unit, "Service", "MainPID");

        return strcmp(active, "active") == 0 && g_variant_get_uint32(now) > 1 &&
               (pid_t) g_variant_get_uint32(now) != before;
}

pid_t node_pid(Bus *bus) {
        return unit_main_pid(bus, bus_node_unit(bus));
}

pid_t keeper_pid(Bus *bus) {
        return unit_main_pid(bus, bus_keeper_unit(bus));
}

void systemctl(const char *what, const char *unit) {
        g_free(run_ok("systemctl", "--no-ask-password", what, unit, NULL));
}

void unit_configure(const char *unit, const char *text) {
        g_autofree char *path = g_strdup_printf("/run/systemd/system/%s.d/50-test.conf", unit);

        if (text)
                write_file(path, text);
        else
                (void) unlink(path);
        systemctl("daemon-reload", NULL);
}

void systemd_freeze(bool freeze) {
        g_autofree char *cgroup = process_cgroup(1);

        assert_string_not_equal(cgroup, "/"); /* this process would be frozen, too */
        cgroup_freeze(cgroup, freeze);
        WAIT_UNTIL(cgroup_is_frozen(cgroup) == freeze);
}

char *node_owner(Bus *bus) {
        Event *event = bus_wait_reply(
                bus, bus_send(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                             "GetNameOwner", g_variant_new("(s)", bus_node(bus))));
        return event->type == G_DBUS_MESSAGE_TYPE_ERROR ? NULL : g_strdup(event->text);
}

bool node_has_name(Bus *bus) {
        g_autofree char *owner = node_owner(bus);
        return owner;
}

void node_wait_name(Bus *bus, bool owned) {
        while (node_has_name(bus) != owned)
                bus_wait(bus, "NameOwnerChanged", bus_node(bus));
}

void node_wait_next(Bus *bus, const char *before) {
        assert_non_null(before);
        for (;;) {
                g_autofree char *now = node_owner(bus);

                if (now && strcmp(now, before) != 0)
                        return;
                bus_wait(bus, "NameOwnerChanged", bus_node(bus));
        }
}

void node_restart(Bus *bus) {
        systemctl("restart", bus_node_unit(bus));
        node_wait_name(bus, true);
}

void node_crash(Bus *bus) {
        node_crash_by(bus, SIGKILL);
}

void node_crash_by(Bus *bus, int signo) {
        g_autofree char *before = node_owner(bus);

        assert_int_equal(kill(node_pid(bus), signo), 0);
        node_wait_next(bus, before);
}

void keeper_crash(Bus *bus) {
        pid_t keeper = keeper_pid(bus);
        int pidfd = process_open(keeper);

        assert_int_equal(kill(keeper, SIGKILL), 0);
        process_wait_dead(pidfd);
        close(pidfd);
}

bool keeper_is_connected(Bus *bus, pid_t before) {
        g_autoptr(GVariant) pid = unit_get(bus, KEEPER_UNIT, "Service", "MainPID");
        g_autoptr(GVariant) connected = node_get(bus, "KeeperConnected");

        return g_variant_get_uint32(pid) > 1 && (pid_t) g_variant_get_uint32(pid) != before &&
               g_variant_get_boolean(connected);
}

/* -- the journal -- */

/* The service sends RoleExited before it writes the same to the journal, but replies to no call in between. A
 * service that does not run, or not reply, has nothing to write. */
static void node_settle(void) {
        (void) run(NULL, NULL, "timeout", "5", "busctl", "--auto-start=no", "call", NODE_NAME, NODE_PATH,
                NODE_INTERFACE, "GetPgrp", NULL);
}

char *journal(const char *option, ...) {
        g_autofree char *out = NULL, *err = NULL;
        g_autoptr(GPtrArray) argv = NULL;
        va_list rest;

        node_settle();
        g_free(run_ok("journalctl", "--sync", NULL));
        va_start(rest, option);
        argv = collect(option, rest);
        va_end(rest);
        g_ptr_array_insert(argv, 0, (void *) "journalctl");
        g_ptr_array_insert(argv, 1, (void *) "--quiet");
        g_ptr_array_insert(argv, 2, (void *) "--no-pager");
        g_ptr_array_insert(argv, 3, (void *) "--output=cat");
        g_ptr_array_add(argv, NULL);
        if (run_argv(&out, &err, (const char *const *) argv->pdata) != 0)
                fail_msg("journalctl: %s", err);
        return g_steal_pointer(&out);
}

char *journal_from_now(void) {
        gint64 now = g_get_real_time();

        /* A cursor cannot be used: with a filter, journalctl 252 leaves out the first message after it. */
        return g_strdup_printf(
                "--since=@%" G_GINT64_FORMAT ".%06d", now / G_USEC_PER_SEC, (int) (now % G_USEC_PER_SEC));
}
