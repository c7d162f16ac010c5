/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is saved of a role, how it is read back, and the files on disk. */

#include "spec-compare.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "model/event-details.h"
#include "model/products.h"
#include "model/role-state.h"
#include "model/role-strays.h"

/* RoleExit is initialised by position below. A new member without a value here does not compile. */
#pragma GCC diagnostic error "-Wmissing-field-initializers"

typedef struct Fixture {
        TestWorld *world;
        char *path;
        int dir_fd;
        RoleStore store;
} Fixture;

static int setup(void **state) {
        Fixture *f = g_new0(Fixture, 1);

        test_world_setup((void **) &f->world);
        f->path = g_dir_make_tmp("test-state-XXXXXX", NULL);
        assert_non_null(f->path);
        f->dir_fd = open(f->path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(f->dir_fd, errno);
        assert_return_code(role_store_open(f->dir_fd, &f->store), 0);
        *state = f;
        return 0;
}

static void empty_directory(int dir_fd, const char *name) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/%s", dir_fd, name);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *file;

        assert_non_null(dir);
        while ((file = g_dir_read_name(dir))) {
                g_autofree char *victim = g_build_filename(path, file, NULL);
                assert_return_code(unlink(victim), errno);
        }
        assert_return_code(unlinkat(dir_fd, name, AT_REMOVEDIR), errno);
}

static int teardown(void **state) {
        Fixture *f = *state;
        void *world = f->world;

        f->world->node = node_free(f->world->node); /* before its files */
        role_store_close(&f->store);
        empty_directory(f->dir_fd, ROLE_STATE_DIRECTORY);
        empty_directory(f->dir_fd, ROLE_PREVIOUS_DIRECTORY);
        (void) fd_close(f->dir_fd);
        assert_return_code(g_rmdir(f->path), errno);
        g_free(f->path);
        g_free(f);
        return test_world_teardown(&world);
}

static RoleSpec *full_spec(void) {
        RoleSpec *spec = role_spec_new();
        char *command[] = { "/bin/sh", "-c", "echo \"a\tb\"\n# no comment\nX=1\\", "", "\xc3\xa4\x01", NULL };

        assert_return_code(role_spec_set_command(spec, command, NULL), 0);
        assert_return_code(role_spec_add_environment(spec, "PATH", "/bin:/usr/bin", NULL), 0);
        assert_return_code(role_spec_add_environment(spec, "EMPTY", "", NULL), 0);
        assert_return_code(role_spec_add_environment(spec, "LINES_", "1\n2=\\n", NULL), 0);
        assert_return_code(role_spec_set_working_directory(spec, "/a b/\n", NULL), 0);
        assert_return_code(role_spec_set_user(spec, "daemon", NULL), 0);
        assert_return_code(role_spec_set_group(spec, "12", NULL), 0);
        assert_return_code(role_spec_set_stdin(spec, "null", NULL), 0);
        assert_return_code(role_spec_set_output(spec, "append:/log:1", NULL), 0);
        assert_return_code(role_spec_set_stop_to(spec, "main", NULL), 0);
        assert_return_code(role_spec_add_limit(spec, "nofile", 1024, NULL), 0);
        assert_return_code(role_spec_add_limit(spec, "core", UINT64_MAX, NULL), 0);
        spec->output_timestamps = true;
        spec->default_sigpipe = true;
        spec->exit_type = EXIT_TYPE_CGROUP;
        spec->stop_signal = SIGINT;
        spec->stop_timeout_usec = USEC_INFINITY;
        spec->nice_set = true;
        spec->nice = -20;
        spec->type = ROLE_TYPE_ONESHOT;
        spec->timeout_start_set = true;
        spec->timeout_start_usec = 5;
        spec->notify_access = NOTIFY_ACCESS_ALL;
        spec->watchdog_usec = 6;
        spec->watchdog_signal = SIGKILL;
        spec->remove = true;
        spec->xterm = true;
        spec->xterm_args = g_strsplit("-geometry|80x24|", "|", -1);
        spec->memory_max = UINT64_MAX - 1;
        spec->tasks_max = 7;
        spec->cpu_quota = 250;
        assert_return_code(role_spec_set_restart(spec, "always", NULL), 0);
        assert_return_code(role_spec_set_cpu_affinity(spec, "5 0-3", NULL), 0);
        spec->oom_score_adjust_set = true;
        spec->oom_score_adjust = -1000;
        spec->cpu_weight = 10000;
        spec->io_weight = 1;
        spec->memory_high = UINT64_MAX - 1;
        spec->delegate = true;
        assert_return_code(role_spec_set_product(spec, "base", NULL), 0);
        assert_return_code(role_spec_set_version(spec, "1.0", NULL), 0);
        assert_return_code(role_spec_set_setup_args(spec, (char *[]){ "-t", "", "a\nb", NULL }, NULL), 0);
        assert_return_code(role_spec_add_eups(spec, "camera", "", NULL), 0);
        assert_return_code(role_spec_add_eups(spec, "mount", "2", NULL), 0);
        assert_return_code(role_spec_set_provider(spec, "eups", NULL), 0);
        assert_return_code(
                role_spec_set_ports(spec, ROLE_PORTS_TCP, (uint64_t[]){ 2, 65535, 1 }, 3, NULL), 0);
        assert_return_code(role_spec_set_ports(spec, ROLE_PORTS_RELEASE, (uint64_t[]){ 7 }, 1, NULL), 0);
        assert_return_code(role_spec_set_role_groups(spec, (char *[]){ "night", "day", NULL }, NULL), 0);
        assert_return_code(
                role_spec_set_dependencies(spec, DEPENDENCY_AFTER, (char *[]){ "b", "a", NULL }, NULL), 0);
        for (Dependency i = DEPENDENCY_WANTS; i < _DEPENDENCY_MAX; i++)
                assert_return_code(role_spec_set_dependencies(spec, i, (char *[]){ "c", NULL }, NULL), 0);
        assert_return_code(
                role_spec_set_environment_files(spec, (char *[]){ "-/etc/a b", "/c\n", NULL }, NULL), 0);
        assert_return_code(role_spec_add_command(&spec->exec_start_pre, "exec-start-pre",
                                   (char *[]){ "-/x", "a\nb", "", NULL }, NULL),
                0);
        assert_return_code(
                role_spec_add_command(&spec->exec_start_pre, "exec-start-pre", (char *[]){ "y", NULL }, NULL),
                0);
        assert_return_code(
                role_spec_add_command(&spec->exec_stop, "exec-stop", (char *[]){ "/y", NULL }, NULL), 0);
        assert_return_code(role_spec_add_command(&spec->exec_stop_post, "exec-stop-post",
                                   (char *[]){ "-z", "", NULL }, NULL),
                0);
        assert_return_code(role_spec_set_lease(spec, "cluster", NULL), 0);
        spec->fencing_token = UINT64_MAX;
        assert_return_code(role_spec_set_managed_by(spec, "pacemaker:a b\\", NULL), 0);
        spec->definition = g_strdup("/etc/a b.role");
        spec->definition_hash = g_strdup("0123");
        return spec;
}

static const RoleExit full_exit = { EXIT_CODE_DUMPED, 11, 5, 6, true, 7, 8, 9, true, true, 10, 11 };

static Role *full_role(TestWorld *w) {
        Role *role = role_new(w->node, "a-1.b_", full_spec());

        role->spec->account = account_example();

        assert_return_code(sd_id128_randomize(&role->invocation), 0);
        role->state = ROLE_ENDED;
        role->phase = ROLE_PHASE_OPEN;
        role->owner =
                (Caller){ .known = true, .uid = 4294967294U, .pid = 12, .unit = g_strdup("a\\x2d.service") };
        role->child = 77;
        role->main_pid = 4242;
        role->main_start_time = UINT64_MAX;
        node_slice_take(role);
        role->cgroup = g_strdup("/architect.slice/x");
        role->strays = g_strsplit("/user.slice/session-c1.scope|/system.slice/run-r2.scope", "|", -1);
        role->stray_ids = g_array_new(false, false, sizeof(uint64_t));
        g_array_append_vals(role->stray_ids, (uint64_t[]){ UINT64_MAX, 0 }, 2);
        role->lone = g_array_new(false, false, sizeof(LoneProcess));
        g_array_append_vals(role->lone, (LoneProcess[]){ { 12, UINT64_MAX }, { INT32_MAX, 3 } }, 2);
        role->left = g_array_new(false, false, sizeof(LoneProcess));
        g_array_append_vals(role->left, &(LoneProcess){ 13, 4 }, 1);
        role->named_main = (LoneProcess){ 14, 5 };
        role->strays_told = true;
        role->main_outside = true;
        role->resolved_products = g_strdupv((char *[]){ "base", "2.0", "a\nb", "", NULL });
        role->environment_hash = g_strdup("0123abcd");
        role->output_lost = true;
        role->unready = true;
        role->start_deadline = 99;
        role->ready_early = true;
        role->watchdog_ping = 98;
        role->notified = 97;
        role->status_text = g_strdup("a\nb\xc3\xa4");
        role->status_errno = 96;
        role->start_times.since = 21;
        role->start_times.known = (1U << _START_STEP_MAX) - 1;
        for (StartStep i = 0; i < _START_STEP_MAX; i++)
                role->start_times.usec[i] = 22 + i;
        role->start_realtime_usec = 1;
        role->start_monotonic_usec = 2;
        role->started_sequence = 3;
        role->exited_sequence = 4;
        role->cause_known = true;
        role->cause = ROLE_CAUSE_OOM;
        role->cause_caller = (Caller){ .known = true, .uid = 0, .pid = 1 };
        role->last_signal = SIGUSR2;
        role->last_signal_caller =
                (Caller){ .known = true, .uid = 1000, .pid = 7, .unit = g_strdup("b.scope") };
        role->stop_step = STOP_STEP_KILLED;
        role->stop_asked_all = true;
        role->stop_began = 123400;
        role->stop_deadline = 123456;
        role->automatic = true;
        role->stop_requested = true;
        role->start_failed = true;
        role->follows = g_strdup("lamp");
        role->restarts = (RestartCount){ 8, 9, 10, 11 };
        role->next_run = NEXT_RUN_LIMIT_HIT;
        role->next_deadline = 12;
        role->next_realtime_usec = 13;
        role->next_sequence = 14;
        /* Copied as a whole, because it is compared with its padding. */
        memcpy(&role->exit, &full_exit, sizeof(full_exit));
        role->main_exited = true;
        role->damaged = true;
        role->unknown_fields = g_strdup("NEWER=1\n");
        return role;
}

static void assert_same_caller(const Caller *a, const Caller *b) {
        assert_int_equal(a->known, b->known);
        assert_int_equal(a->uid, b->uid);
        assert_int_equal(a->pid, b->pid);
        assert_true(g_strcmp0(a->unit, b->unit) == 0);
}

/* Every option of a start must still be set in its role after a restart. */
static void test_every_option(void **state) {
        Fixture *f = *state;
        g_autoptr(RoleSpec) defaults = role_spec_new();
        g_autoptr(Role) a = role_new(f->world->node, "cam", spec_without_defaults()), b = NULL;
        size_t end = 0;

        assert_return_code(sd_id128_randomize(&a->invocation), 0);
        g_autofree char *text = role_state_format(a);
        assert_return_code(role_state_parse(f->world->node, "cam", text, &b), 0);
        for (size_t i = 0; i < ELEMENTSOF(spec_members); i++) {
                const SpecMember *m = &spec_members[i];

                assert_true(m->offset >= end); /* each once */
                end = m->offset + m->size;
                if (same_member(m, a->spec, defaults))
                        fail_msg("%s has its default here, so that nothing is tested", m->name);
                if (!same_member(m, b->spec, m->saved ? a->spec : defaults))
                        fail_msg("%s is not what was saved", m->name);
        }
        assert_true(end + sizeof(void *) > sizeof(RoleSpec));
}

static void expect_saved(Fixture *f, RoleSpec *spec, const char *lines) {
        g_autoptr(Role) role = role_new(f->world->node, "cam", spec);
        g_autofree char *text = role_state_format(role);
        const char *begin = strstr(text, "\nCOMMAND="), *end = strstr(text, "\nSTOP_STEP=");

        assert_non_null(begin);
        assert_non_null(end);
        g_autofree char *found = g_strndup(begin + 1, (gsize) (end - begin));
        assert_string_equal(found, lines);
}

/* The options have the same lines in every version, because an older service may read the file. */
static void test_saved_form(void **state) {
        Fixture *f = *state;

        expect_saved(f, test_spec(),
                "COMMAND=/bin/true\n"
                "STDIN=pipe\n"
                "OUTPUT=journal\n"
                "EXIT_TYPE=main\n"
                "STOP_SIGNAL=15\n"
                "STOP_TO=all\n"
                "STOP_TIMEOUT=600000000\n");
        expect_saved(f, spec_without_defaults(),
                "COMMAND=/bin/x\n"
                "COMMAND=-y\n"
                "ENVIRONMENT=A=1\n"
                "ENVIRONMENT=B=2\n"
                "WORKING_DIRECTORY=/tmp\n"
                "USER=u\n"
                "GROUP=g\n"
                "STDIN=pty\n"
                "XTERM=1\n"
                "XTERM_ARG=-a\n"
                "XTERM_ARG=-b\n"
                "OUTPUT=append:/log\n"
                "OUTPUT_TIMESTAMPS=1\n"
                "DEFAULT_SIGPIPE=1\n"
                "EXIT_TYPE=cgroup\n"
                "STOP_SIGNAL=10\n"
                "STOP_TO=main\n"
                "STOP_TIMEOUT=1\n"
                "ON_MONITOR_LOSS=kill\n"
                "NICE=-3\n"
                "LIMIT=core:5\n"
                "LIMIT=nofile:18446744073709551615\n"
                "REMOVE=1\n"
                "MEMORY_MAX=11\n"
                "TASKS_MAX=12\n"
                "CPU_QUOTA=13\n"
                "RESTART=always\n"
                "RESTART_USEC=1\n"
                "RESTART_STEPS=2\n"
                "RESTART_MAX_DELAY=3\n"
                "SUCCESS_EXIT_STATUS=1\n"
                "SUCCESS_EXIT_STATUS=SIGKILL\n"
                "RESTART_PREVENT_EXIT_STATUS=255\n"
                "RESTART_PREVENT_EXIT_STATUS=TEMPFAIL\n"
                "START_LIMIT_INTERVAL=4\n"
                "START_LIMIT_BURST=6\n"
                "PRODUCT=p\n"
                "PRODUCT_VERSION=1\n"
                "SETUP_ARG=-s\n"
                "SETUP_ARG=-t\n"
                "EUPS_LIST=q\n"
                "EUPS_LIST=2\n"
                "PROVIDER=lmod\n"
                "TCP_PORT=1\n"
                "UDP_PORT=65535\n"
                "RELEASE_PORT=3\n"
                "ENVIRONMENT_FILE=/a\n"
                "ENVIRONMENT_FILE=-/b\n"
                "ROLE_GROUP=g\n"
                "ROLE_GROUP=h\n"
                "AFTER=a\n"
                "WANTS=b\n"
                "WANTS=c\n"
                "REQUIRES=d\n"
                "BINDS_TO=e\n"
                "PART_OF=f\n"
                "CPU_AFFINITY=0-1 3\n"
                "OOM_SCORE_ADJUST=-7\n"
                "CPU_WEIGHT=14\n"
                "IO_WEIGHT=15\n"
                "MEMORY_HIGH=16\n"
                "DELEGATE=1\n"
                "TYPE=oneshot\n"
                "TIMEOUT_START=14\n"
                "NOTIFY_ACCESS=all\n"
                "WATCHDOG=15\n"
                "WATCHDOG_SIGNAL=12\n"
                "EXEC_START_PRE=2\n"
                "EXEC_START_PRE=-/bin/x\n"
                "EXEC_START_PRE=a\n"
                "EXEC_STOP=1\n"
                "EXEC_STOP=/bin/y\n"
                "EXEC_STOP_POST=1\n"
                "EXEC_STOP_POST=/bin/z\n"
                "LEASE=l\n"
                "FENCING_TOKEN=17\n"
                "MANAGED_BY=k:n\n"
                "DEFINITION=/etc/x.role\n"
                "DEFINITION_HASH=012abc\n"
                "ACCOUNT_UID=1000\n"
                "ACCOUNT_GID=1001\n"
                "ACCOUNT_MEMBER=1000\n"
                "ACCOUNT_MEMBER=1001\n"
                "ACCOUNT_MEMBER=4294967294\n"
                "ACCOUNT_NAME=u\n"
                "ACCOUNT_GROUP=g\n"
                "ACCOUNT_HOME=/home/u\n"
                "ACCOUNT_SHELL=/bin/sh\n");
}

static bool same_caller(const void *a, const void *b, size_t size) {
        const Caller *x = a, *y = b;

        return x->known == y->known && x->uid == y->uid && x->pid == y->pid &&
               g_strcmp0(x->unit, y->unit) == 0;
}

static bool same_numbers(const void *a, const void *b, size_t size) {
        const GArray *x = *(GArray *const *) a, *y = *(GArray *const *) b;

        return x && y ? x->len == y->len && memcmp(x->data, y->data, x->len * sizeof(uint64_t)) == 0 : x == y;
}

static bool same_lone(const void *a, const void *b, size_t size) {
        const GArray *x = *(GArray *const *) a, *y = *(GArray *const *) b;

        if (!x || !y || x->len != y->len)
                return x == y;
        for (unsigned i = 0; i < x->len; i++) {
                const LoneProcess *p = &g_array_index(x, LoneProcess, i);

                if (!lone_processes_have(y, p->pid, p->start_time))
                        return false;
        }
        return true;
}

static bool same_spec(const void *a, const void *b, size_t size) {
        const RoleSpec *const *x = a, *const *y = b;

        for (size_t i = 0; i < ELEMENTSOF(spec_members); i++)
                if (spec_members[i].saved && !same_member(&spec_members[i], *x, *y))
                        return false;
        return true;
}

#define same_group same_plain
#define same_nothing NULL

/* Every member of Role, in its order: how it is compared if it is saved, and why it is not if it is not. A
 * new member does not compile without a line here, and a line with a kind fails unless full_role() has the
 * member and it survives. */
#define ROLE_MEMBERS(X) \
        X(node, nothing, "belongs to the process") \
        X(name, string, "is the name of the file") \
        X(scope, string, "follows from the name") \
        X(slice, plain, ) \
        X(slice_uid, plain, ) \
        X(spec, spec, "see test_every_option()") \
        X(owner, caller, ) \
        X(invocation, group, ) \
        X(state, plain, ) \
        X(phase, plain, ) \
        X(failure, nothing_group, "the next process continues the start, or finds the reason itself") \
        X(undo_step, nothing, "as above") \
        X(undo_late, nothing, "as above") \
        X(child, plain, ) \
        X(child_exists, nothing, "the keeper lists it") \
        X(main_pid, plain, ) \
        X(main_start_time, plain, ) \
        X(main_pidfd, nothing, "the keeper sends it, or the pid is opened again") \
        X(gate_fd, nothing, "the keeper lends it again") \
        X(stdin_fd, nothing, "the keeper lends it again") \
        X(terminal_fd, nothing, "the keeper lends it again") \
        X(gate_closed, nothing, "the end of the gate is read again") \
        X(main_exited, plain, "follows from the state, and from the exit if the role has outlived it") \
        X(main_execed, nothing, "the keeper lists it; a role that has ended does not need it") \
        X(exit, group, ) \
        X(exit_logged, nothing, "what is saved of the end is enough to reap the child") \
        X(finishing, nothing, "the cause is looked for again") \
        X(end, nothing, "what follows from the end is done when the role is recovered") \
        X(scope_pending, nothing, "no reply comes to a request of the previous process") \
        X(scope_exists, nothing, "it may exist if the phase is late enough, so it is removed") \
        X(cgroup, string, ) \
        X(cgroup_watch, nothing, "belongs to the process") \
        X(strays, strv, ) \
        X(stray_ids, numbers, ) \
        X(lone, lone, ) \
        X(left, lone, ) \
        X(named_main, group, ) \
        X(named_main_watch, nothing, "role_watch_main_pid() opens it again") \
        X(strays_told, plain, ) \
        X(main_outside, plain, ) \
        X(resolved_products, strv, ) \
        X(environment_hash, string, ) \
        X(output_stream, nothing, "the next process has others make their own") \
        X(output_lost, plain, ) \
        X(troubles, nothing, "node_add_role() counts them") \
        X(unready, plain, ) \
        X(start_deadline, plain, ) \
        X(ready_early, plain, ) \
        X(watchdog_ping, plain, ) \
        X(was_frozen, nothing, "role_watch_freezer() looks again") \
        X(notified, plain, ) \
        X(notified_due, nothing, "the keeper passes again what is not saved") \
        X(notified_unsaved, nothing, "of notified_due") \
        X(notices, nothing, "another line in the journal does no harm") \
        X(status_text, string, ) \
        X(status_errno, plain, ) \
        X(start_times, group, ) \
        X(start_realtime_usec, plain, ) \
        X(start_monotonic_usec, plain, ) \
        X(started_sequence, plain, ) \
        X(exited_sequence, plain, ) \
        X(cause, plain, ) \
        X(cause_known, plain, ) \
        X(cause_caller, caller, ) \
        X(last_signal, plain, ) \
        X(last_signal_caller, caller, ) \
        X(stop_step, plain, ) \
        X(stop_asked_all, plain, ) \
        X(swept, plain, ) \
        X(stop_began, plain, ) \
        X(stop_deadline, plain, ) \
        X(timer, nothing, \
                "role_resume_stop(), role_watch_deadlines() and the start set it by what is saved") \
        X(hook, nothing, "see test_hooks()") \
        X(post_done, nothing, "what follows is saved together with the end of the hooks") \
        X(start_result, nothing, "what it is for is in HOOK_RESULT") \
        X(hook_of, nothing, "is the role") \
        X(hook_kind, nothing, "of a hook") \
        X(hook_cancelled, nothing, "of a hook") \
        X(hook_result, nothing, "of a hook") \
        X(automatic, plain, ) \
        X(interrupted, nothing, "the next process finds that out itself") \
        X(stop_requested, plain, ) \
        X(start_failed, plain, ) \
        X(follows, string, ) \
        X(restarts, group, ) \
        X(next_run, plain, ) \
        X(next_deadline, plain, ) \
        X(next_realtime_usec, plain, ) \
        X(next_sequence, plain, ) \
        X(depends, nothing, "node_add_role() adds it") \
        X(start_link, nothing, "node_add_role() queues it") \
        X(ended_link, nothing, "node_add_role() queues it") \
        X(awaited, nothing, "node_add_role() counts it") \
        X(predecessor, nothing, "has a file of its own") \
        X(successor, nothing, "has a file of its own") \
        X(awaits, nothing, "the next process looks again") \
        X(start_waiters, nothing, "the callers have received an error") \
        X(stop_waiters, nothing, "the callers have received an error") \
        X(input, nothing, "its callers have received an error") \
        X(freezer, nothing, "the callers have received an error, and the kernel knows what is frozen") \
        X(damaged, plain, ) \
        X(damage, nothing, "the next process finds it in the log and at the keeper") \
        X(unknown_fields, string, )

/* What a member of each kind is initialised with. */
#define EMPTY_plain 0
#define EMPTY_string NULL
#define EMPTY_strv NULL
#define EMPTY_numbers NULL
#define EMPTY_lone NULL
#define EMPTY_spec NULL
#define EMPTY_caller \
        {}
#define EMPTY_group \
        {}
#define EMPTY_nothing 0
#define EMPTY_nothing_group \
        {}
#define same_nothing_group NULL

typedef struct RoleMember {
        const char *name;
        size_t offset, size;
        bool (*same)(const void *a, const void *b, size_t size); /* NULL if it is not saved */
} RoleMember;

static const RoleMember role_members[] = {
#define ROLE_MEMBER(member, kind, why) \
        { #member, offsetof(Role, member), sizeof(((Role *) NULL)->member), same_##kind },
        ROLE_MEMBERS(ROLE_MEMBER)
};

static bool same_role_member(const RoleMember *m, const Role *a, const Role *b) {
        return m->same((const char *) a + m->offset, (const char *) b + m->offset, m->size);
}

/* Everything that is saved of a role is the same after a restart, before and after the sweep, which gives the
 * slice back. */
static void test_every_field(void **state) {
        Fixture *f = *state;
#define EMPTY(member, kind, why) EMPTY_##kind,
        static const Role in_order = { ROLE_MEMBERS(EMPTY) };
        bool tested[ELEMENTSOF(role_members)] = {};
        g_autoptr(Role) fresh = role_new(f->world->node, "fresh", role_spec_new());

        assert_null(in_order.node);
        for (int swept = 0; swept < 2; swept++) {
                g_autoptr(Role) a = full_role(f->world), b = NULL;

                if (swept) {
                        node_slice_release(a);
                        a->swept = true;
                }
                g_autofree char *text = role_state_format(a);
                assert_return_code(role_state_parse(f->world->node, a->name, text, &b), 0);
                for (size_t i = 0; i < ELEMENTSOF(role_members); i++) {
                        const RoleMember *m = &role_members[i];

                        if (i > 0)
                                assert_true(m->offset > role_members[i - 1].offset); /* each once */
                        if (m->same && !same_role_member(m, a, b))
                                fail_msg("%s is not what was saved", m->name);
                        tested[i] = tested[i] || !m->same || !same_role_member(m, a, fresh);
                }
                g_autofree char *again = role_state_format(b);
                assert_string_equal(text, again);
        }
        for (size_t i = 0; i < ELEMENTSOF(role_members); i++)
                if (!tested[i])
                        fail_msg("%s has its default here, so that nothing is tested", role_members[i].name);
}

static void test_every_state(void **state) {
        Fixture *f = *state;

        for (int s = 0; s < _ROLE_STATE_MAX; s++)
                for (int p = 0; p < _ROLE_PHASE_MAX; p++)
                        for (int step = 0; step < _STOP_STEP_MAX; step++) {
                                g_autoptr(Role) a = role_new(f->world->node, "cam", test_spec()), b = NULL;

                                a->state = (RoleState) s;
                                a->phase = (RolePhase) p;
                                a->stop_step = (StopStep) step;
                                assert_return_code(sd_id128_randomize(&a->invocation), 0);
                                g_autofree char *text = role_state_format(a);
                                assert_return_code(role_state_parse(f->world->node, "cam", text, &b), 0);
                                assert_int_equal(b->state, s);
                                assert_int_equal(b->phase, p);
                                assert_int_equal(b->stop_step, step);
                                assert_int_equal(b->main_exited, s == ROLE_ENDED);
                                assert_false(b->owner.known);
                                assert_false(b->cause_known);
                                assert_false(b->spec->nice_set);
                                assert_true(b->stop_deadline == USEC_INFINITY);
                                assert_int_equal(b->slice, -1);
                        }
}

/* The exit of a main process that the role has outlived is saved while the role runs. */
static void test_outlived(void **state) {
        Fixture *f = *state;

        for (int type = 0; type < _EXIT_TYPE_MAX; type++) {
                g_autoptr(Role) a = role_new(f->world->node, "cam", test_spec()), b = NULL;

                a->spec->exit_type = (ExitType) type;
                a->state = ROLE_RUNNING;
                a->main_exited = true;
                a->exit = full_exit;
                assert_return_code(sd_id128_randomize(&a->invocation), 0);
                g_autofree char *text = role_state_format(a);
                assert_return_code(role_state_parse(f->world->node, "cam", text, &b), 0);
                assert_int_equal(b->state, ROLE_RUNNING);
                /* The end of any other role is reported by the keeper, until the role has ended. */
                assert_int_equal(b->main_exited, type == EXIT_TYPE_CGROUP);
                assert_int_equal(role_has_outlived_main(b), type == EXIT_TYPE_CGROUP);
                if (type == EXIT_TYPE_CGROUP)
                        assert_memory_equal(&b->exit, &full_exit, sizeof(full_exit));
        }
}

/* The shortest valid file, to which lines are appended. */
#define MINIMUM \
        "VERSION=1\nCOMMAND=/bin/true\nINVOCATION=0123456789abcdef0123456789abcdef\nSTATE=ended\nSWEPT=1\n" \
        "EXIT_CODE=exited\nEXIT_STATUS=3\n"

static void test_unknown_fields(void **state) {
        Fixture *f = *state;
        static const char *const lines[] = { "TERMINAL=a b\\n=c", "NEWER=1", "NEWER=2", "=",
                "TERMINAL_=\\377", "Z==" };
        g_autoptr(GString) text = g_string_new("# comment\n\n" MINIMUM);
        g_autoptr(Role) a = NULL, b = NULL;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                g_string_append_printf(text, "%s\n", lines[i]);
        assert_return_code(role_state_parse(f->world->node, "cam", text->str, &a), 0);
        g_autofree char *saved = role_state_format(a);
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                g_autofree char *line = g_strdup_printf("\n%s\n", lines[i]);
                assert_contains(saved, line);
        }
        /* Lines of one name keep their order. */
        assert_true(strstr(saved, "NEWER=1") < strstr(saved, "NEWER=2"));

        assert_return_code(role_state_parse(f->world->node, "cam", saved, &b), 0);
        g_autofree char *again = role_state_format(b);
        assert_string_equal(saved, again);
}

static void test_future_version(void **state) {
        Fixture *f = *state;
        g_autoptr(Role) role = NULL;
        g_auto(GStrv) parts = g_strsplit(MINIMUM, "VERSION=1", 2);
        g_autofree char *text = g_strconcat("VERSION=4711", parts[1], "SOMETHING=new\n", NULL);

        assert_return_code(role_state_parse(f->world->node, "cam", text, &role), 0);
        assert_int_equal(role->exit.status, 3);
        assert_string_equal(role->unknown_fields, "SOMETHING=new\n");
}

static void test_damaged(void **state) {
        Fixture *f = *state;
        static const char *const bad[] = {
                "",
                "VERSION=1\n",
                "VERSION=0\nCOMMAND=x\n",
                "VERSION=x\nCOMMAND=x\nINVOCATION=0123456789abcdef0123456789abcdef\n",
                /* No version. */
                "COMMAND=/bin/true\nINVOCATION=0123456789abcdef0123456789abcdef\nSTATE=ended\n",
                MINIMUM "garbage\n",
                MINIMUM "STATE=running\n", /* duplicate */
                MINIMUM "TCP_PORT=0\n",
                MINIMUM "UDP_PORT=65536\n",
                MINIMUM "RELEASE_PORT=5\nRELEASE_PORT=5\n",
                MINIMUM "TCP_PORT=http\n",
                MINIMUM "PHASE=nowhere\n",
                MINIMUM "STRAY=/a.scope\n",
                MINIMUM "STRAY=/a.scope\nSTRAY_ID=1\nSTRAY_ID=2\n",
                MINIMUM "STRAY=/a.scope\nSTRAY_ID=x\n",
                MINIMUM "LONE_PROCESS=12\n",
                MINIMUM "LONE_PROCESS=0:7\n",
                MINIMUM "LONE_PROCESS=2147483648:7\n",
                MINIMUM "LONE_PROCESS=12:x\n",
                MINIMUM "CHILD=-1\n",
                MINIMUM "CHILD=1x\n",
                MINIMUM "CHILD=\n",
                MINIMUM "CHILD=18446744073709551616\n",
                MINIMUM "SLICE=99999999999\n",
                MINIMUM "STDIN=pty9\n",
                MINIMUM "OUTPUT=file:relative\n",
                MINIMUM "LIMIT=nofile\n",
                MINIMUM "LIMIT=nofile:x\n",
                MINIMUM "LIMIT=nosuch:1\n",
                MINIMUM "LIMIT=core:1\nLIMIT=core:2\n",
                MINIMUM "CAUSE=whim\n",
                MINIMUM "LAST_SIGNAL=65\n",
                MINIMUM "STOP_STEP=sideways\n",
                MINIMUM "STOP_TO=both\n",
                MINIMUM "NICE=low\n",
                MINIMUM "OWNER_UID=root\n",
                MINIMUM "OWNER_UID=4294967296\n",
                MINIMUM "OWNER_PID=4294967295\n",
                MINIMUM "MAIN_PID=4294967295\n",
                MINIMUM "MAIN_PID=2147483648\n",
                MINIMUM "CGROUP=/x\\\n", /* cut inside an escape */
                MINIMUM "UNKNOWN=/x\\\\\\\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Role *role = NULL;

                if (role_state_parse(f->world->node, "cam", bad[i], &role) != -EBADMSG)
                        fail_msg("was accepted: %s", bad[i]);
                assert_null(role);
        }
        Role *role = NULL;
        assert_int_equal(role_state_parse(f->world->node, "not/a/name", MINIMUM, &role), -EINVAL);
        assert_null(role);
}

/* A file that was cut at any position is refused. No memory leaks, and nothing is read beyond its end. */
static void test_truncated(void **state) {
        Fixture *f = *state;
        g_autoptr(Role) full = full_role(f->world);
        g_autofree char *text = role_state_format(full);

        for (size_t n = strlen(text); n > 0; n--) {
                Role *role = NULL;

                text[n - 1] = '\0';
                assert_int_equal(role_state_parse(f->world->node, "cam", text, &role), -EBADMSG);
                assert_null(role);
        }
}

static void test_after_reboot(void **state) {
        Fixture *f = *state;
        g_autoptr(Role) a = full_role(f->world), b = NULL;
        char boot_id[33];

        /* The role is saved before the reboot. */
        assert_return_code(boot_id_read(boot_id), 0);
        boot_id[0] = boot_id[0] == '0' ? '1' : '0';
        assert_int_equal(setenv("ARCHITECT_BOOT_ID", boot_id, 1), 0);
        g_autofree char *text = role_state_format(a);
        assert_int_equal(unsetenv("ARCHITECT_BOOT_ID"), 0);
        assert_contains(text, boot_id);
        assert_return_code(role_state_parse(f->world->node, a->name, text, &b), 0);
        assert_int_equal(b->main_pid, 0);
        assert_int_equal(b->start_times.since, 0); /* the clock has begun again */
        assert_int_equal(b->start_times.usec[0], a->start_times.usec[0]);
        assert_null(b->cgroup);
        assert_int_equal(b->slice, -1);
        assert_int_equal(b->exit.status, a->exit.status);
}

static bool exists(Fixture *f, const char *path) {
        struct stat st;

        return fstatat(f->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put_file(Fixture *f, const char *path, const char *text) {
        autofd fd = openat(f->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_return_code(fd, errno);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
}

static void save(Fixture *f, const char *name, RoleState state, uint64_t exited_sequence) {
        g_autoptr(Role) role = role_new(f->world->node, name, test_spec());

        role->state = state;
        role->phase = state == ROLE_STARTING ? ROLE_PHASE_FORK : ROLE_PHASE_OPEN;
        role->swept = state == ROLE_ENDED;
        role->child = exited_sequence;
        role->exited_sequence = exited_sequence;
        assert_return_code(sd_id128_randomize(&role->invocation), 0);
        assert_return_code(role_state_save(&f->store, role), 0);
}

static void load(Fixture *f) {
        world_new_node(f->world, NULL);
        assert_return_code(role_state_load_all(&f->store, f->world->node), 0);
}

static void test_save_and_forget(void **state) {
        Fixture *f = *state;
        struct stat st;

        save(f, "cam", ROLE_RUNNING, 0);
        assert_return_code(fstatat(f->dir_fd, "roles/cam", &st, 0), errno);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_return_code(fstatat(f->dir_fd, "roles", &st, 0), errno);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_return_code(fstatat(f->dir_fd, "previous", &st, 0), errno);
        assert_int_equal(st.st_mode & 07777, 0700);

        put_file(f, "previous/cam", MINIMUM);
        role_state_forget(&f->store, "cam");
        assert_false(exists(f, "roles/cam"));
        assert_false(exists(f, "previous/cam"));
        role_state_forget(&f->store, "cam"); /* a missing file is no error */

        save(f, "a", ROLE_ENDED, 1);
        save(f, "b", ROLE_ENDED, 2);
        put_file(f, "roles/c~damaged", "x");
        role_state_forget_all(&f->store);
        assert_false(exists(f, "roles/a"));
        assert_false(exists(f, "roles/b"));
        assert_true(exists(f, "roles/c~damaged"));
}

static void test_set_aside(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_ENDED, 5);
        role_state_set_aside(&f->store, "cam");
        assert_false(exists(f, "roles/cam"));
        assert_true(exists(f, "previous/cam"));
        role_state_bring_back(&f->store, "cam");
        assert_true(exists(f, "roles/cam"));
        assert_false(exists(f, "previous/cam"));
        role_state_set_aside(&f->store, "cam");
        role_state_drop_previous(&f->store, "cam");
        assert_false(exists(f, "previous/cam"));
        role_state_set_aside(&f->store, "cam"); /* nothing to be set aside */
        role_state_bring_back(&f->store, "cam");
        role_state_drop_previous(&f->store, "cam");
        assert_false(exists(f, "roles/cam"));
}

/* A run that has been set aside is saved beside the new one. */
static void test_predecessor_is_saved_aside(void **state) {
        Fixture *f = *state;

        Role *old = world_run(f->world, "cam", NULL);
        world_exit_leaving(f->world, old, EXIT_CODE_EXITED, 0);
        Role *role = world_start(f->world, "cam", NULL, NULL);
        assert_return_code(role_state_save(&f->store, old), 0);
        assert_false(exists(f, "roles/cam"));
        assert_true(exists(f, "previous/cam"));
        assert_return_code(role_state_save(&f->store, role), 0);
        assert_true(exists(f, "roles/cam"));
}

static void test_load(void **state) {
        Fixture *f = *state;

        save(f, "runs", ROLE_RUNNING, 0);
        save(f, "stops", ROLE_STOPPING, 0);
        /* More roles than readdir() would return in this order by chance. */
        for (unsigned i = 1; i <= 20; i++) {
                g_autofree char *name = g_strdup_printf("ended-%u", (i * 7) % 20);
                save(f, name, ROLE_ENDED, i * 10);
        }
        load(f);

        Node *node = f->world->node;
        assert_int_equal(g_hash_table_size(node->roles), 22);
        assert_int_equal(node->n_not_ended, 2);
        assert_int_equal(node->n_starts, 0);
        assert_int_equal(world_find(f->world, "stops")->state, ROLE_STOPPING);
        assert_int_equal(events_sequence(node->events), 200); /* the numbers are never used again */
        assert_true(node->next_child == 201);

        /* They are sorted by age, because otherwise the wrong ones would be dropped. */
        uint64_t last = 0;
        assert_int_equal(g_queue_get_length(node->ended), 20);
        for (GList *l = node->ended->head; l; l = l->next) {
                Role *role = l->data;
                assert_true(role->exited_sequence > last);
                last = role->exited_sequence;
        }
}

static void test_load_damaged(void **state) {
        Fixture *f = *state;
        g_autofree char *content = NULL;

        save(f, "good", ROLE_ENDED, 1);
        put_file(f, "roles/bad", "VERSION=1\nCOMM");
        put_file(f, "roles/empty", "");
        put_file(f, "roles/.cam.tmp", "half"); /* not a name of a role */
        load(f);
        assert_int_equal(g_hash_table_size(f->world->node->roles), 3);
        assert_false(world_find(f->world, "good")->damaged);
        /* What they are is not known before the keeper has answered. */
        assert_true(world_find(f->world, "bad")->damaged && world_find(f->world, "bad")->damage);
        assert_int_equal(world_find(f->world, "empty")->state, ROLE_RUNNING);

        /* The file was renamed, with its contents; it was neither deleted nor read again. */
        assert_false(exists(f, "roles/bad"));
        assert_true(exists(f, "roles/empty~damaged"));
        g_autofree char *path = g_strdup_printf("%s/roles/bad~damaged", f->path);
        assert_true(g_file_get_contents(path, &content, NULL, NULL));
        assert_string_equal(content, "VERSION=1\nCOMM");
        assert_true(exists(f, "roles/.cam.tmp"));
        load(f);
        assert_int_equal(g_hash_table_size(f->world->node->roles), 1);
        assert_true(exists(f, "roles/bad~damaged"));
}

/* The process died between setting the old run aside and saving the new one. */
static void test_load_after_crash_in_between(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_ENDED, 9);
        role_state_set_aside(&f->store, "cam");
        load(f);
        Role *role = world_find(f->world, "cam");
        assert_non_null(role);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->exited_sequence, 9);
        assert_null(role->predecessor);
        assert_true(exists(f, "roles/cam"));
        assert_false(exists(f, "previous/cam"));
}

static void test_load_while_starting(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_ENDED, 9);
        role_state_set_aside(&f->store, "cam");
        save(f, "cam", ROLE_STARTING, 0);
        load(f);
        Role *role = world_find(f->world, "cam");
        assert_int_equal(role->state, ROLE_STARTING);
        assert_non_null(role->predecessor);
        assert_ptr_equal(role->predecessor->successor, role);
        assert_int_equal(role->predecessor->exited_sequence, 9);
        assert_int_equal(f->world->node->n_starts, 1); /* started by the previous process */
        assert_int_equal(f->world->node->n_not_ended, 1);
        assert_int_equal(g_queue_get_length(f->world->node->ended), 0);
        /* The numbers of the previous run are used, too. */
        assert_int_equal(events_sequence(f->world->node->events), 9);
        assert_true(f->world->node->next_child == 10);

        /* That start fails, so the previous run exists again. */
        role->child = 0;
        world_fork_failed(f->world, role, -EIO);
        assert_int_equal(world_find(f->world, "cam")->exited_sequence, 9);
        assert_int_equal(f->world->node->n_starts, 0);
}

/* The process died after the start had succeeded, but before the old file was removed. */
static void test_load_drops_what_was_replaced(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_ENDED, 9);
        role_state_set_aside(&f->store, "cam");
        save(f, "cam", ROLE_RUNNING, 0);
        load(f);
        assert_null(world_find(f->world, "cam")->predecessor);
        assert_false(exists(f, "previous/cam"));
}

static void test_load_damaged_previous(void **state) {
        Fixture *f = *state;

        put_file(f, "previous/cam", "half of it");
        save(f, "cam", ROLE_STARTING, 0);
        load(f);
        assert_null(world_find(f->world, "cam")->predecessor);
        assert_true(exists(f, "previous/cam~damaged"));
}

/* A file in which a previous run has not ended cannot be correct. */
static void test_load_previous_that_runs(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_RUNNING, 0);
        role_state_set_aside(&f->store, "cam");
        save(f, "cam", ROLE_STARTING, 0);
        load(f);
        assert_int_equal(world_find(f->world, "cam")->state, ROLE_STARTING);
        assert_null(world_find(f->world, "cam")->predecessor);
}

/* -- events that are newer than the saved roles, because the previous process died in between -- */

static uint64_t add_event(Fixture *f, EventType type, Role *role, GVariant *details) {
        g_auto(Event) event = {};

        assert_true(node_event_add(f->world->node, type, role, details, &event));
        return event.sequence;
}

static void test_event_of_a_start(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_STARTING, 0);
        load(f);
        Role *role = world_find(f->world, "cam");
        role->start_realtime_usec = 77;
        uint64_t n = add_event(f, EVENT_ROLE_STARTED, role, event_details_started(role));
        role->start_realtime_usec = 0;
        node_restore_events(f->world->node);
        assert_int_equal(role->started_sequence, n);
        assert_int_equal(role->start_realtime_usec, 77);

        /* It has no second number, and the event is not sent again. */
        role->phase = ROLE_PHASE_OPEN;
        role->main_pid = getpid();
        role->main_start_time = start_time_of(getpid());
        forget_calls(f->world);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(role->started_sequence, n);
        assert_int_equal(events_sequence(f->world->node->events), n);
        expect_calls(f->world, "save(cam)");
}

static void test_event_of_an_exit(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_RUNNING, 0);
        load(f);
        Role *role = world_find(f->world, "cam");
        role->exit = (RoleExit){ EXIT_CODE_DUMPED, 11, 5, 6, true, 7, 8, 9, true, true, 10, 11 };
        role->cause = ROLE_CAUSE_STOP;
        role->cause_caller = (Caller){ .known = true, .uid = 4294967294U, .pid = 12, .unit = g_strdup("u") };
        g_autoptr(GVariant) before = g_variant_ref_sink(event_details_exited(role, "core-dump", NULL));
        uint64_t n = add_event(f, EVENT_ROLE_EXITED, role, before);
        role->exit = (RoleExit){};
        role->cause = ROLE_CAUSE_SELF;
        caller_clear(&role->cause_caller);
        node_restore_events(f->world->node);

        /* How it ended is not known any more, but its exit was sent already. */
        RoleExit lost = test_exit(EXIT_CODE_LOST, -1);
        forget_calls(f->world);
        role_on_exited(role, &lost, true);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->exited_sequence, n);
        assert_int_equal(events_sequence(f->world->node->events), n);
        g_autoptr(GVariant) after = g_variant_ref_sink(event_details_exited(role, "core-dump", NULL));
        assert_true(g_variant_equal(before, after));
        assert_int_equal(role->cause, ROLE_CAUSE_STOP);
        assert_same_caller(&role->cause_caller,
                &(const Caller){ .known = true, .uid = 4294967294U, .pid = 12, .unit = (char *) "u" });
        expect_calls(f->world, "save(cam)");
}

static void test_event_of_a_purge(void **state) {
        Fixture *f = *state;

        save(f, "cam", ROLE_ENDED, 1);
        save(f, "other", ROLE_ENDED, 2);
        load(f);
        Role *role = world_find(f->world, "cam"), *other = world_find(f->world, "other");
        role->swept = other->swept = true;
        (void) add_event(f, EVENT_ROLE_PURGED, role, event_details_purged(role, NULL));
        assert_return_code(sd_id128_randomize(&other->invocation), 0);
        sd_id128_t now = other->invocation;
        assert_return_code(sd_id128_randomize(&other->invocation), 0); /* another run of that name */
        (void) add_event(f, EVENT_ROLE_PURGED, other, event_details_purged(other, NULL));
        other->invocation = now;
        node_restore_events(f->world->node);
        assert_null(world_find(f->world, "cam"));
        assert_non_null(world_find(f->world, "other"));
}

/* Files of a process that died during the write, of roles that are not saved again. */
static void test_half_written(void **state) {
        Fixture *f = *state;
        static const char *const left[] = { "roles/.cam.new", "previous/.cam.new" };
        g_autoptr(Role) a = full_role(f->world);

        assert_return_code(role_state_save(&f->store, a), 0);
        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                int fd = openat(f->dir_fd, left[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                assert_return_code(fd, errno);
                (void) fd_close(fd);
        }
        role_store_close(&f->store);
        assert_return_code(role_store_open(f->dir_fd, &f->store), 0);
        for (size_t i = 0; i < ELEMENTSOF(left); i++)
                assert_false(exists(f, left[i]));
        g_autofree char *saved = g_build_filename(a->successor ? "previous" : "roles", a->name, NULL);
        assert_true(exists(f, saved));
}

static void test_unsent_events(void **state) {
        Fixture *f = *state;
        Node *node = f->world->node;

        events_set_sent(node->events,
                add_event(f, EVENT_SHUTTING_DOWN, NULL, event_details_shutting_down("one", NULL)));
        (void) add_event(f, EVENT_SHUTTING_DOWN, NULL, event_details_shutting_down("two", NULL));
        (void) add_event(f, EVENT_MONITOR_TIMED_OUT, NULL, event_details_monitor_timed_out(3));
        forget_calls(f->world);
        node_tell_unsent_events(node);
        expect_calls(f->world, "shutting-down(two) monitor-timed-out(3)");
        assert_int_equal(events_told(node->events), events_sequence(node->events));
        events_set_sent(node->events, events_told(node->events));
        node_tell_unsent_events(node);
        expect_calls(f->world, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_every_option),
                TEST(test_saved_form),
                TEST(test_every_field),
                TEST(test_every_state),
                TEST(test_outlived),
                TEST(test_unknown_fields),
                TEST(test_future_version),
                TEST(test_damaged),
                TEST(test_truncated),
                TEST(test_after_reboot),
                TEST(test_save_and_forget),
                TEST(test_set_aside),
                TEST(test_predecessor_is_saved_aside),
                TEST(test_load),
                TEST(test_load_damaged),
                TEST(test_load_after_crash_in_between),
                TEST(test_load_while_starting),
                TEST(test_load_drops_what_was_replaced),
                TEST(test_load_damaged_previous),
                TEST(test_load_previous_that_runs),
                TEST(test_event_of_a_start),
                TEST(test_event_of_an_exit),
                TEST(test_event_of_a_purge),
                TEST(test_half_written),
                TEST(test_unsent_events),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
