/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-world.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/role-option-text.h"
#include "model/role-restart.h"
#include "util/log.h"

static TestWorld *world;

static void called_by_name(const char *what, const char *name) {
        if (world->calls->len > 0)
                g_string_append_c(world->calls, ' ');
        g_string_append_printf(world->calls, "%s(%s)", what, name);
}

/* Hooks are "cam:exec-stop". */
static const char *called_name(const Role *role) {
        static char name[ROLE_NAME_MAX + 32];

        (void) snprintf(name, sizeof(name), "%s%s%s", role->name, role->hook_of ? ":" : "",
                role->hook_of ? hook_kind_to_string(role->hook_kind) : "");
        return name;
}

static void called(const char *what, const Role *role) {
        called_by_name(what, called_name(role));
}

static void called_with(const char *what, const Role *role, int number) {
        if (world->calls->len > 0)
                g_string_append_c(world->calls, ' ');
        g_string_append_printf(world->calls, "%s(%s,%d)", what, called_name(role), number);
}

static bool world_keeper_connected(void *data) {
        return world->connected;
}

static bool world_keeper_outdated(void *data) {
        return world->outdated;
}

static int world_child_fork(void *data, Role *role) {
        called("fork", role);
        return world->fork_result;
}

static int world_child_launch(void *data, Role *role) {
        called("launch", role);
        return world->launch_result;
}

static void world_child_signal(void *data, Role *role, int signo, Waiter waiter) {
        /* Nothing can be asked of a keeper that is not connected: the request is lost. */
        called_with(world->connected ? "signal-main" : "signal-lost", role, signo);
        if (waiter.done)
                g_array_append_val(world->waiters, waiter);
}

/* Logs a signal that only a keeper of version 3 can send. */
static _printf_(2, 3) int called_signal(Waiter waiter, const char *format, ...) {
        va_list ap;

        if (!world->connected)
                return -ENOTCONN;
        if (world->signal_cgroup_result < 0)
                return world->signal_cgroup_result;
        if (world->calls->len > 0)
                g_string_append_c(world->calls, ' ');
        va_start(ap, format);
        g_string_append_vprintf(world->calls, format, ap);
        va_end(ap);
        if (waiter.done)
                g_array_append_val(world->waiters, waiter);
        return 0;
}

/* "signal-cgroup(cam,15)"; another cgroup than the role's own, and the flags, follow. */
static int world_signal_cgroup(
        void *data, Role *role, const char *path, int signo, SignalFlags flags, Waiter waiter) {
        bool own = g_strcmp0(path, role->cgroup) == 0;

        return called_signal(waiter, "signal-cgroup(%s,%d%s%s%s%s%s)", called_name(role), signo,
                own ? "" : ",", own ? "" : path, flags & SIGNAL_STRAY ? ",stray" : "",
                flags & SIGNAL_EACH ? ",each" : "", flags & SIGNAL_CONTINUE ? ",continue" : "");
}

static int world_signal_process(
        void *data, Role *role, pid_t pid, uint64_t start_time, int signo, Waiter waiter) {
        return called_signal(waiter, "signal-process(%s,%d,%d)", role->name, (int) pid, signo);
}

static void world_child_close_stdin(void *data, Role *role, Waiter waiter) {
        called(world->connected ? "close-stdin" : "close-lost", role);
        if (waiter.done)
                g_array_append_val(world->waiters, waiter);
}

static void world_child_reap(void *data, Role *role) {
        called("reap", role);
        /* The role must exist, once, and its main process must have ended. */
        assert_true(role->main_exited);
        assert_true(g_hash_table_remove(world->children, GUINT_TO_POINTER((guint) role->child)));
}

static void called_with_ports(const char *what, const PortLoan *ports, size_t n) {
        g_string_append_printf(world->calls, "%s%s(", world->calls->len > 0 ? " " : "", what);
        for (size_t i = 0; i < n; i++)
                g_string_append_printf(world->calls, "%s%s%u", i > 0 ? "," : "",
                        ports[i].protocol == PORT_TCP ? "t" : "u", ports[i].number);
        g_string_append_c(world->calls, ')');
}

static int world_make_terminal_socket(
        void *data, Role *role, uid_t uid, bool replay, TerminalSocketRequest *request) {
        called_with("socket", role, (int) uid);
        world->socket_replay = replay;
        if (world->socket_result >= 0)
                world->socket_request = request;
        return world->socket_result;
}

static int world_look_up(void *data, const char *user, const char *group, AccountQuery *query) {
        g_string_append_printf(
                world->calls, "%slookup(%s,%s)", world->calls->len > 0 ? " " : "", user, group ?: "");
        if (world->lookup_result >= 0)
                world->query = query;
        return world->lookup_result;
}

static int world_ports_bind(void *data, const PortsWanted *wanted, PortsRequest *request) {
        g_string_append_printf(world->calls, "%sbind(%s,%u", world->calls->len > 0 ? " " : "",
                wanted->protocol == PORT_TCP ? "tcp" : "udp", wanted->n);
        for (unsigned i = 0; wanted->numbers && i < wanted->n; i++)
                g_string_append_printf(world->calls, "%c%u", i > 0 ? '+' : '=', wanted->numbers[i]);
        if (wanted->first > 0)
                g_string_append_printf(world->calls, ",%u-%u", wanted->first, wanted->last);
        g_string_append_c(world->calls, ')');
        world->bind = wanted->address;
        if (world->ports_result >= 0)
                world->request = request;
        return world->ports_result;
}

static int world_ports_release(void *data, const PortLoan *ports, size_t n, Waiter waiter) {
        called_with_ports("release", ports, n);
        if (world->ports_result >= 0 && waiter.done)
                g_array_append_val(world->waiters, waiter);
        return world->ports_result;
}

static int world_ports_release_all(void *data) {
        called_with_ports("release-all", NULL, 0);
        return world->release_all_result;
}

static void world_ports_rest(void *data, const PortLoan *ports, size_t n) {
        called_with_ports("rest", ports, n);
}

static int world_scope_start(void *data, Role *role) {
        called("scope", role);
        assert_true(role->slice >= 0);
        return world->scope_result;
}

static void world_scope_signal(void *data, Role *role, const char *unit, int signo, Waiter waiter) {
        if (g_str_equal(unit, role->scope))
                called_with("signal-all", role, signo);
        else
                called_with(unit, role, signo);
        if (waiter.done)
                g_array_append_val(world->waiters, waiter);
}

static int world_scope_freeze(void *data, Role *role, bool freeze, Waiter waiter) {
        called(freeze ? "freeze" : "thaw", role);
        if (world->freeze_result < 0)
                return world->freeze_result;
        if (waiter.done)
                g_array_append_val(world->waiters, waiter);
        return 0;
}

static void world_freeze_and_kill(void *data, Role *role) {
        called("freeze-and-kill", role);
}

static void world_send_reaps(void *data) {
}

static void world_adopt(void *data, Role *role) {
        called("adopt", role);
        (void) g_hash_table_add(world->children, GUINT_TO_POINTER((guint) role->child));
}

static void world_watch_gate(void *data, Role *role) {
        assert_true(role->gate_fd >= 0);
        called("watch-gate", role);
}

static void world_watch_main(void *data, Role *role) {
        assert_true(role->main_pidfd >= 0);
        called("watch-main", role);
}

static void world_child_forget(void *data, uint64_t child) {
        g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, child);

        called_by_name("forget-child", number);
}

static bool world_ready(void *data) {
        return !world->no_systemd;
}

static bool world_use_pidfds(void *data) {
        return true;
}

static void world_scope_ended(void *data, Role *role) {
}

static void world_resync(void *data) {
        called_by_name("resync", "");
}

static void world_recovered(void *data) {
        world->n_recovered++;
}

static void world_named(void *data) {
}

static int world_reload(void *data, Fault *fault) {
        return 0;
}

static void world_stopping(void *data) {
}

static void world_stop_extended(void *data, uint64_t deadline) {
        world->stop_extended = deadline;
}

static void world_nothing_freed(void *data, Role *role) {
}

static void world_forget_all(void *data) {
        called_by_name("forget-all", "");
}

static int world_scope_remove(void *data, Role *role) {
        called("remove", role);
        return world->remove_result;
}

static int world_scope_oom_kills(void *data, Role *role, unsigned *ret) {
        if (world->oom_result >= 0)
                *ret = (unsigned) world->oom_result;
        world->n_oom_asked++;
        return MIN(world->oom_result, 0);
}

static bool world_scope_may_be_stopped(void *data, const Role *role) {
        return !world->not_stopped;
}

static int world_scope_query_stop(void *data, Role *role) {
        if (world->stop_result >= 0)
                called("query-stop", role);
        return world->stop_result;
}

static int world_cgroup_state(void *data, Role *role, bool *ret_populated, bool *ret_frozen) {
        assert_non_null(role->cgroup);
        if (world->cgroup_result < 0)
                return world->cgroup_result;
        *ret_populated = g_hash_table_contains(world->populated, role) ||
                         g_hash_table_contains(world->found, role->name);
        *ret_frozen = g_hash_table_contains(world->frozen, role);
        return 0;
}

static char *world_frozen_above(void *data, const Role *role) {
        return g_strdup(world->frozen_above);
}

static int world_cgroup_watch(void *data, Role *role) {
        called("watch", role);
        return world->watch_result;
}

static char *world_find_cgroup(void *data, const Role *role, pid_t pid) {
        return g_hash_table_contains(world->found, role->name)
                       ? g_strdup_printf("/architect-main-3.slice/%s", role->scope)
                       : NULL;
}

static char *world_cgroup_pids(void *data, Role *role) {
        return g_strdup("4711, 4712");
}

static void world_find_strays(void *data, Role *role, GPtrArray *found) {
        for (unsigned i = 0; i < world->strays->len; i++) {
                const Stray *stray = g_ptr_array_index(world->strays, i);

                if (!stray->scope || !role->strays ||
                        !g_strv_contains((const char *const *) role->strays, stray->scope))
                        g_ptr_array_add(found, stray_copy(stray));
        }
}

static int world_cgroup_id(void *data, const char *cgroup, uint64_t *ret) {
        if (world->cgroup_id == 0)
                return -ENOENT;
        *ret = world->cgroup_id;
        return 0;
}

static int world_query_session(void *data, Role *role, const char *session, const Stray *stray) {
        called_by_name("session", session);
        return -EOPNOTSUPP;
}

static void world_set_direct(void *data, bool direct) {
        called_by_name("set-direct", direct ? "yes" : "no");
}

static int world_role_save(void *data, const Role *role) {
        called("save", role);
        if (world->saves_left > 0) {
                world->saves_left--;
                return 0;
        }
        return world->save_result;
}

static void world_role_forget(void *data, const Role *role) {
        called("forget", role);
}

static void world_role_set_aside(void *data, const Role *role) {
        called("set-aside", role);
}

static void world_role_drop_previous(void *data, const Role *role) {
        called("drop-previous", role);
}

static void world_role_bring_back(void *data, const Role *role) {
        called("bring-back", role);
}

static void world_role_changed(void *data, Role *role) {
        world->n_changed++;
}

static void world_role_removed(void *data, Role *role) {
        called("removed", role);
}

static void world_event(void *data, const Event *event, Role *role) {
        world->last_sequence = event->sequence;
        switch (event->type) {
        case EVENT_ROLE_STARTED:
                if (role)
                        assert_int_equal(role->state, ROLE_RUNNING);
                called_by_name("started", event->role);
                break;
        case EVENT_ROLE_EXITED:
                if (role) {
                        assert_int_equal(role->state, ROLE_ENDED);
                        assert_string_equal(
                                event_get_string(event, "result"), role_result_to_string(role_result(role)));
                }
                called_by_name("exited", event->role);
                break;
        case EVENT_ROLE_RESTARTING:
                called_by_name("restarting", event->role);
                break;
        case EVENT_ROLE_FAILED: {
                g_autofree char *what =
                        g_strdup_printf("%s %s", event->role, event_get_string(event, "result"));
                called_by_name("failed", what);
                break;
        }
        case EVENT_ROLE_PURGED:
                called_by_name("purged", event->role);
                break;
        case EVENT_MONITOR_TIMED_OUT: {
                g_autofree char *usec =
                        g_strdup_printf("%" G_GUINT64_FORMAT, event_get_u64(event, "timeout-usec"));
                called_by_name("monitor-timed-out", usec);
                break;
        }
        case EVENT_LEASE_EXPIRED:
                called_by_name("lease-expired", event_get_string(event, "lease"));
                break;
        case EVENT_SHUTTING_DOWN:
                called_by_name("shutting-down", event_get_string(event, "reason"));
                break;
        default:
                fail();
        }
}

static void world_node_changed(void *data) {
        world->n_node_changed++;
}

static void world_slice_released(void *data, Role *role, bool empty) {
        world->n_empty_slices += empty;
}

static void world_finished(void *data, int status) {
        assert_false(world->finished);
        world->finished = true;
        world->finished_status = status;
}

static void world_service_role_removed(void *data) {
        world->n_removed++;
}

static void world_role_freed(void *data, Role *role) {
        (void) g_hash_table_remove(world->scopes, role);
        (void) g_hash_table_remove(world->populated, role);
        (void) g_hash_table_remove(world->frozen, role);
}

static void world_notified_saved(void *data, Role *role, uint64_t number) {
        called_with("saved", role, (int) number);
}

static int world_sync_notified(void *data, Role *role) {
        called("sync", role);
        return world->sync_result;
}

static const LinkOps link_ops = {
        .connected = world_keeper_connected,
        .outdated = world_keeper_outdated,
        .fork = world_child_fork,
        .notified_saved = world_notified_saved,
        .sync_notified = world_sync_notified,
        .launch = world_child_launch,
        .signal = world_child_signal,
        .signal_cgroup = world_signal_cgroup,
        .signal_process = world_signal_process,
        .close_stdin = world_child_close_stdin,
        .reap = world_child_reap,
        .send_reaps = world_send_reaps,
        .adopt = world_adopt,
        .watch_gate = world_watch_gate,
        .watch_main = world_watch_main,
        .forget = world_child_forget,
        .make_terminal_socket = world_make_terminal_socket,
        .look_up = world_look_up,
        .ports_bind = world_ports_bind,
        .ports_release = world_ports_release,
        .ports_release_all = world_ports_release_all,
        .ports_rest = world_ports_rest,
        .role_freed = world_nothing_freed,
};

static const ScopeOps scope_ops = {
        .ready = world_ready,
        .use_pidfds = world_use_pidfds,
        .start = world_scope_start,
        .signal = world_scope_signal,
        .freeze = world_scope_freeze,
        .freeze_and_kill = world_freeze_and_kill,
        .remove = world_scope_remove,
        .oom_kills = world_scope_oom_kills,
        .may_be_stopped = world_scope_may_be_stopped,
        .query_stop = world_scope_query_stop,
        .ended = world_scope_ended,
        .resync = world_resync,
        .slice_released = world_slice_released,
        .frozen_above = world_frozen_above,
        .cgroup_state = world_cgroup_state,
        .cgroup_watch = world_cgroup_watch,
        .find_cgroup = world_find_cgroup,
        .cgroup_pids = world_cgroup_pids,
        .find_strays = world_find_strays,
        .cgroup_id = world_cgroup_id,
        .query_session = world_query_session,
        .set_direct = world_set_direct,
        .role_freed = world_role_freed,
};

static const StoreOps store_ops = {
        .save = world_role_save,
        .forget = world_role_forget,
        .set_aside = world_role_set_aside,
        .drop_previous = world_role_drop_previous,
        .bring_back = world_role_bring_back,
        .forget_all = world_forget_all,
};

static const ClientOps client_ops = {
        .role_changed = world_role_changed,
        .role_removed = world_role_removed,
        .event = world_event,
        .node_changed = world_node_changed,
        .recovered = world_recovered,
};

static const ServiceOps service_ops = {
        .named = world_named,
        .recovered = world_recovered,
        .reload = world_reload,
        .stopping = world_stopping,
        .stop_extended = world_stop_extended,
        .finished = world_finished,
        .role_removed = world_service_role_removed,
};

const NodeWorld test_world = {
        .link.ops = &link_ops,
        .scope.ops = &scope_ops,
        .store.ops = &store_ops,
        .clients.ops = &client_ops,
        .service.ops = &service_ops,
};

unsigned count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n;
}

static void check_test_world(void) {
        world_check("link", test_world.link.ops, sizeof(*test_world.link.ops));
        world_check("scope", test_world.scope.ops, sizeof(*test_world.scope.ops));
        world_check("store", test_world.store.ops, sizeof(*test_world.store.ops));
        world_check("clients", test_world.clients.ops, sizeof(*test_world.clients.ops));
        world_check("service", test_world.service.ops, sizeof(*test_world.service.ops));
}

TestWorld *test_world_new(void) {
        TestWorld *w = g_new0(TestWorld, 1);

        check_test_world();
        world = w;
        (void) signal(SIGPIPE, SIG_IGN); /* as in the service */
        log_set_max_level(LOG_EMERG);    /* expected errors are not shown */
        w->n_fds = count_fds();
        w->calls = g_string_new(NULL);
        w->children = g_hash_table_new(NULL, NULL);
        w->scopes = g_hash_table_new(NULL, NULL);
        w->populated = g_hash_table_new(NULL, NULL);
        w->found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        w->frozen = g_hash_table_new(NULL, NULL);
        w->cgroup_id = 1;
        w->strays = g_ptr_array_new_with_free_func(stray_free);
        w->waiters = g_array_new(false, false, sizeof(Waiter));
        w->connected = true;
        w->stop_result = -EOPNOTSUPP;
        w->oom_result = -ENODATA;
        assert_return_code(sd_event_new(&w->event), 0);
        return w;
}

static void world_name_stream(const TestWorld *w, unsigned i, char path[static PATH_MAX]) {
        assert_true(g_snprintf(path, PATH_MAX, "%s/%u", w->streams, i) < PATH_MAX);
}

/* Whatever the journal of this machine has. */
static void world_watch_streams(TestWorld *w) {
        outputs_free(w->node->outputs);
        w->node->outputs = outputs_new(w->node, w->streams ?: "/nowhere");
}

void world_set_streams(TestWorld *w, unsigned n) {
        char path[PATH_MAX];

        if (!w->streams) {
                w->streams = g_dir_make_tmp("architect-streams-XXXXXX", NULL);
                assert_non_null(w->streams);
                world_watch_streams(w);
        }
        for (; w->n_streams < n; w->n_streams++) {
                world_name_stream(w, w->n_streams, path);
                assert_int_equal(close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)), 0);
        }
        while (w->n_streams > n) {
                world_name_stream(w, --w->n_streams, path);
                assert_return_code(unlink(path), errno);
        }
}

static void world_remove_streams(TestWorld *w) {
        if (!w->streams)
                return;
        world_set_streams(w, 0);
        assert_return_code(rmdir(w->streams), errno);
        g_free(w->streams);
}

TestWorld *test_world_free(TestWorld *w) {
        w->node = node_free(w->node);
        world_remove_streams(w);
        sd_event_unref(w->event);
        g_string_free(w->calls, true);
        g_hash_table_unref(w->children);
        g_hash_table_unref(w->scopes);
        g_hash_table_unref(w->populated);
        g_hash_table_unref(w->found);
        g_hash_table_unref(w->frozen);
        g_ptr_array_unref(w->strays);
        g_array_unref(w->waiters);
        g_free(w);
        world = NULL;
        return NULL;
}

void world_new_node(TestWorld *w, Events *events) {
        w->node = node_free(w->node);
        if (!events)
                assert_return_code(events_open(-1, &events), 0);
        w->node = node_new("main", w->event, events);
        w->node->world = test_world;
        world_watch_streams(w);
        assert_return_code(node_open_state(w->node, -1, -1), 0);
}

int test_world_setup(void **state) {
        TestWorld *w = test_world_new();

        world_new_node(w, NULL);
        *state = w;
        return 0;
}

/* The counters that the node keeps must equal the counts over its table. */
static void check_counts(Node *node) {
        unsigned n_awaited = 0, n_not_ended = 0, n_queued = 0, n_ended = 0, n_lost = 0;
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                n_not_ended += role->state != ROLE_ENDED;
                n_queued += !!role->start_link;
                n_ended += !!role->ended_link;
                assert_int_equal(
                        !!role->start_link, role->state == ROLE_STARTING && role->phase == ROLE_PHASE_QUEUED);
                assert_int_equal(!!role->ended_link,
                        role->state == ROLE_ENDED && role->swept && !role_waits_for_restart(role));
                for (Role *r = role; r; r = r->predecessor)
                        n_lost += r->output_lost && !role_is_over(r);
                for (Role *r = role; r; r = r->predecessor)
                        n_awaited += (r->state != ROLE_ENDED || !r->swept) && r->stop_step != STOP_STEP_STUCK;
        }
        assert_int_equal(node->n_awaited, n_awaited);
        assert_int_equal(node->n_troubles[ROLE_TROUBLE_OUTPUT], n_lost);
        assert_int_equal(node->n_not_ended, n_not_ended);
        assert_int_equal(g_queue_get_length(node->start_queue), n_queued);
        assert_int_equal(g_queue_get_length(node->ended), n_ended);
}

int test_world_teardown(void **state) {
        TestWorld *w = *state;
        unsigned n_fds = w->n_fds;

        if (w->node)
                check_counts(w->node);
        test_world_free(w);
        assert_int_equal(count_fds(), n_fds);
        return 0;
}

void forget_calls(TestWorld *w) {
        g_string_set_size(w->calls, 0);
}

static void on_told(void *userdata, const Fault *fault) {
        Told *told = userdata;

        told->n++;
        told->failed = fault;
        if (fault) {
                told->error = fault->error;
                g_free(told->message);
                told->message = g_strdup(fault->message);
        }
}

Waiter told_by(Told *told) {
        return (Waiter){ on_told, told };
}

void told_clear(Told *told) {
        g_clear_pointer(&told->message, g_free);
        *told = (Told){};
}

RoleSpec *test_spec(void) {
        RoleSpec *spec = role_spec_new();

        assert_return_code(role_spec_set_command(spec, (char *[]){ "/bin/true", NULL }, NULL), 0);
        spec->stop_timeout_usec = 600 * USEC_PER_SEC;
        spec->stop_timeout_set = true;
        return spec;
}

int test_spec_set_lines(RoleSpec *spec, const char *text, GHashTable *keys, Fault *fault) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        int r = 0;

        for (char **l = lines; r >= 0 && *l; l++) {
                g_auto(GStrv) parts = g_strsplit(*l, "=", 2);
                const RoleOption *option = role_option_find_file_key(parts[0]);

                if (!option || !parts[1])
                        fail_msg("\"%s\" has no key", *l);
                if (keys)
                        g_hash_table_add(keys, (gpointer) option->file_key);
                r = role_option_set_from_text(spec, option, parts[1], fault);
        }
        return r;
}

Definitions *test_definitions(const char *name, const char *lines) {
        g_autofree char *top = g_dir_make_tmp("test-definitions-XXXXXX", NULL),
                        *directory = g_build_filename(top, "main.roles.d", NULL),
                        *path = g_strdup_printf("%s/%s.role", directory, name),
                        *text = g_strconcat("[Role]\n", lines, "\n", NULL);
        const char *const directories[] = { top, NULL };
        const DefinitionsPlace place = { directories, "main", 0 };
        Definitions *definitions = NULL;

        assert_return_code(g_mkdir(directory, 0755), errno);
        assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
        assert_return_code(definitions_load(&place, &definitions, NULL), 0);
        assert_return_code(g_remove(path), errno);
        assert_return_code(g_rmdir(directory), errno);
        assert_return_code(g_rmdir(top), errno);
        return definitions;
}

Role *world_find(TestWorld *w, const char *name) {
        return g_hash_table_lookup(w->node->roles, name);
}

Role *world_start(TestWorld *w, const char *name, RoleSpec *spec, Told *told) {
        g_auto(Fault) fault = {};

        int r = node_start_role(
                w->node, name, spec ?: test_spec(), NULL, told ? told_by(told) : (Waiter){}, &fault);
        if (fault.message)
                fail_msg("%s", fault.message);
        assert_return_code(r, 0);
        return world_find(w, name);
}

int some_fd(void) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        assert_return_code(fd, errno);
        return fd;
}

uint64_t start_time_of(pid_t pid) {
        struct proc_stat stat;

        assert_return_code(proc_stat_read(pid, &stat), 0);
        return stat.start_time;
}

pid_t fork_pausing(void) {
        pid_t pid = fork();

        assert_return_code(pid, errno);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        pause();
        }
        return pid;
}

void world_forked(TestWorld *w, Role *role) {
        assert_true(g_hash_table_add(w->children, GUINT_TO_POINTER((guint) role->child)));
        role_on_forked(role, 0, getpid(), start_time_of(getpid()), some_fd(), some_fd(),
                role->spec->stdin_kind == ROLE_STDIN_PIPE ? some_fd() : -EBADF);
}

void world_fork_failed(TestWorld *w, Role *role, int error) {
        role_on_forked(role, error, 0, 0, -EBADF, -EBADF, -EBADF);
}

void world_scope_made(TestWorld *w, Role *role) {
        g_autofree char *cgroup = g_strdup_printf("/no-such.slice/%s", role->scope);

        (void) g_hash_table_add(w->scopes, role);
        role_on_scope(role, NULL, cgroup);
}

void world_scope_failed(TestWorld *w, Role *role) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_SCOPE_FAILED, "Role \"%s\": systemd says no", role->name);
        role_on_scope(role, &fault, NULL);
}

void world_scope_removed(TestWorld *w, Role *role) {
        (void) g_hash_table_remove(w->scopes, role);
        role_on_scope_removed(role);
}

void world_executed(TestWorld *w, Role *role) {
        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        role_on_gate_closed(role);
}

Role *world_run(TestWorld *w, const char *name, RoleSpec *spec) {
        g_auto(Told) told = {};
        Role *role = world_start(w, name, spec, &told);

        world_executed(w, role);
        assert_told_success(&told);
        assert_int_equal(role->state, ROLE_RUNNING);
        return role;
}

Role *world_run_on_terminal(TestWorld *w, const char *name) {
        RoleSpec *spec = test_spec();

        spec->stdin_kind = ROLE_STDIN_PTY;
        Role *role = world_run(w, name, spec);
        role->terminal_fd = some_fd();
        if (role->stdin_fd < 0)
                role->stdin_fd = some_fd();
        forget_calls(w);
        return role;
}

RoleExit test_exit(ExitCode code, int status) {
        return (RoleExit){
                .code = code,
                .status = status,
                .realtime_usec = 1000,
                .monotonic_usec = 2000,
                .usage_known = true,
                .cpu_user_usec = 30,
                .cpu_system_usec = 4,
                .maxrss_bytes = 5000,
        };
}

void world_exit_leaving(TestWorld *w, Role *role, ExitCode code, int status) {
        RoleExit exit = test_exit(code, status);

        role_on_exited(role, &exit, true);
        node_follow_up(w->node); /* nothing waits for the 2 ms */
}

void world_exit(TestWorld *w, Role *role, ExitCode code, int status) {
        (void) g_hash_table_remove(w->found, role->name);
        (void) g_hash_table_remove(w->populated, role);
        (void) g_hash_table_remove(w->scopes, role); /* systemd removes an empty scope */
        world_exit_leaving(w, role, code, status);
}

void world_emptied(TestWorld *w, Role *role) {
        (void) g_hash_table_remove(w->found, role->name);
        (void) g_hash_table_remove(w->populated, role);
        (void) g_hash_table_remove(w->scopes, role);
        role_on_cgroup_changed(role);
        node_follow_up(w->node);
}

Role *world_run_and_exit(TestWorld *w, const char *name, RoleSpec *spec) {
        Role *role = world_run(w, name, spec);

        world_exit(w, role, EXIT_CODE_EXITED, 0);
        return world_find(w, name);
}

void world_answer(TestWorld *w, const Fault *fault) {
        g_autoptr(GArray) waiters = g_steal_pointer(&w->waiters);

        w->waiters = g_array_new(false, false, sizeof(Waiter));
        for (unsigned i = 0; i < waiters->len; i++) {
                Waiter *waiter = &g_array_index(waiters, Waiter, i);
                waiter->done(waiter->userdata, fault);
        }
}

void world_get_stuck(TestWorld *w, Role *role, const StopStep *step) {
        uint64_t now = (uint64_t) g_get_monotonic_time();

        assert_int_equal(*step, STOP_STEP_KILLED);
        assert_between(role->stop_deadline, now + 4 * USEC_PER_SEC, now + ROLE_KILL_TIMEOUT_USEC);
        role->stop_deadline = now;
        world_wait(w, *step == STOP_STEP_STUCK);
}

void assert_nothing_left(TestWorld *w, const char *name) {
        assert_null(world_find(w, name));
        assert_int_equal(g_hash_table_size(w->children), 0);
        assert_int_equal(g_hash_table_size(w->scopes), 0);
        assert_int_equal(w->node->n_starts, 0);
        assert_int_equal(w->node->n_not_ended, 0);
        assert_int_equal(g_queue_get_length(w->node->start_queue), 0);
        for (int i = 0; i < (int) NODE_SLICES_MAX; i++)
                assert_true(node_slice_is_empty(w->node, 0, i));
        assert_true(g_hash_table_size(w->node->slices) <= 1); /* those of root stay */
}
