/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/fd-util.h"
#include "base/feature.h"
#include "link/children-private.h"
#include "model/role-deadline.h"
#include "model/role-notify.h"
#include "model/role-recover.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/role-terminal.h"
#include "proto/terminal-protocol.h"
#include "util/log.h"

/* A keeper that does not reply must not delay a restart. It reports its children to the next process. */
#define FINISH_TIMEOUT_USEC USEC_PER_SEC

/* -- requests of the model -- */

static bool children_connected(void *data) {
        Children *children = data;

        return keeper_link_is_connected(children->keeper);
}

static bool children_outdated(void *data) {
        Children *children = data;

        return keeper_link_is_older(children->keeper, KEEPER_PROTOCOL_VERSION);
}

static Role *children_find_role(Children *children, uint64_t child) {
        return id_map_get(&children->roles, child);
}

static void children_add_role(Children *children, Role *role) {
        (void) id_map_remove(&children->roles, role->child);
        if (id_map_put(&children->roles, role->child, role) < 0)
                g_error("Cannot allocate memory");
}

static void children_remove_role(Children *children, uint64_t child) {
        (void) id_map_remove(&children->roles, child);
}

/* If a start runs out of descriptors, it loses those that the keeper sends with its reply, and with them the
 * connection, which every other role needs. So there must be room before it begins. */
#define FDS_PER_START 8U
#define FDS_PER_ROLE 4U

static int children_check_fds(Children *children) {
        const Node *node = children->node;
        const uint64_t starts = (uint64_t) FDS_PER_START * node->n_starts;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        /* Counting is slow with a thousand roles, so it is done only if the limit may be close, and not again
         * until the starts since then may have used up the rest. */
        if (starts + (uint64_t) FDS_PER_ROLE * node->n_not_ended < limit.rlim_cur / 2)
                return 0;
        if (children->n_fds >= 0 &&
                (uint64_t) children->n_fds + (uint64_t) FDS_PER_START * children->n_forks + starts <=
                        limit.rlim_cur)
                return 0;
        int n = fd_count_open();
        if (n < 0)
                return n;
        children->n_fds = n;
        children->n_forks = 0;
        return (uint64_t) n + starts > limit.rlim_cur ? -EMFILE : 0;
}

static int children_fork(void *data, Role *role) {
        static const uint32_t stdin_flags[_ROLE_STDIN_MAX] = {
                [ROLE_STDIN_PIPE] = KEEPER_FORK_STDIN_PIPE,
                [ROLE_STDIN_PTY] = KEEPER_FORK_TERMINAL,
        };
        Children *children = data;

        uint32_t flags = stdin_flags[role->spec->stdin_kind];
        if (keeper_link_is_older(children->keeper, 5) &&
                (role_spec_notifies(role->spec) || role_spec_has_hooks(role->spec) || role->hook_of))
                return -EPROTONOSUPPORT;
        if (role_spec_notifies(role->spec)) {
                flags |= KEEPER_FORK_NOTIFY;
                if (role->spec->notify_access == NOTIFY_ACCESS_ALL)
                        flags |= KEEPER_FORK_NOTIFY_ALL;
        }
        if (role->spec->output_timestamps) {
                if (keeper_link_is_older(children->keeper, 6))
                        return -EPROTONOSUPPORT;
                flags |= KEEPER_FORK_TIMESTAMPS;
        }
        int r = children_check_fds(children);
        if (r < 0)
                return r;
        children->n_forks++;
        g_autoptr(GArray) ports = port_loans_of_role(children, role);
        if (role->hook_of && role->cgroup) /* of exec-stop, beside the main process */
                r = keeper_link_fork_into(children->keeper, role->child, role->name, flags, role->cgroup);
        else
                r = keeper_link_fork(children->keeper, role->child, role->name, flags,
                        (struct keeper_port *) ports->data, ports->len);
        if (r >= 0)
                children_add_role(children, role);
        return r;
}

typedef struct ChildCall {
        Waiter waiter;
        char *role;
        const char *what;
        /* Of a signal that nobody waits for. */
        Children *children;
        uint64_t child;
        int signo;
        bool of_stop; /* to the main process or to the scope, and not repeated as SIGKILL is */
} ChildCall;

static void child_call_done(void *userdata, int error) {
        ChildCall *call = userdata;
        g_auto(Fault) fault = {};

        if (error == -ESRCH || error == -ENOENT)
                (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has ended", call->role);
        else if (error == -ENOTCONN)
                (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot %s role \"%s\": there is no keeper", call->what, call->role);
        else if (error < 0)
                (void) fault_set(&fault, NODE_ERROR_IO_ERROR, "Cannot %s role \"%s\": %s", call->what,
                        call->role, g_strerror(-error));
        waiter_wake(call->waiter, &fault);
        g_free(call->role);
        g_free(call);
}

static ChildCall *child_call_new(Role *role, const char *what, Waiter waiter) {
        ChildCall *call = g_new(ChildCall, 1);

        *call = (ChildCall){ waiter, g_strdup(role->name), what };
        return call;
}

static ChildCall *child_call_new_signal(
        Children *children, Role *role, int signo, SignalFlags flags, Waiter waiter) {
        ChildCall *call = child_call_new(role, "signal", waiter);

        call->children = children;
        call->child = role->child;
        call->signo = signo;
        call->of_stop = !waiter.done && !(flags & SIGNAL_STRAY) && signo != SIGKILL && signo != SIGCONT;
        return call;
}

static void children_on_signalled(void *userdata, int error) {
        ChildCall *call = userdata;
        Role *role;

        if (error == -ENOTCONN && call->of_stop) {
                role = children_find_role(call->children, call->child);
                if (role)
                        role_on_signal_lost(role, call->signo);
        } else if (error < 0 && error != -ENOENT && error != -ESRCH && !call->waiter.done)
                log_full_errno(call->signo == SIGKILL ? LOG_DEBUG : LOG_WARNING, error,
                        "Cannot send signal %d to role \"%s\": %m", call->signo, call->role);
        child_call_done(userdata, error);
}

static int child_call_sent(ChildCall *call, int r) {
        if (r < 0) {
                g_free(call->role);
                g_free(call);
        }
        return r;
}

static void children_signal(void *data, Role *role, int signo, Waiter waiter) {
        Children *children = data;
        ChildCall *call = child_call_new_signal(children, role, signo, 0, waiter);

        int r = keeper_link_signal(children->keeper, role->child, signo, children_on_signalled, call);
        if (r < 0)
                child_call_done(call, r);
}

static int children_signal_cgroup(
        void *data, Role *role, const char *path, int signo, SignalFlags flags, Waiter waiter) {
        Children *children = data;
        ChildCall *call = child_call_new_signal(children, role, signo, flags, waiter);

        G_STATIC_ASSERT((unsigned) SIGNAL_STRAY == KEEPER_CGROUP_STRAY &&
                        (unsigned) SIGNAL_EACH == KEEPER_CGROUP_EACH &&
                        (unsigned) SIGNAL_CONTINUE == KEEPER_CGROUP_CONTINUE);
        int r = keeper_link_signal_cgroup(
                children->keeper, role->child, path, signo, (uint32_t) flags, children_on_signalled, call);
        /* A keeper from before an upgrade can only kill, and only by cgroup.kill. */
        if (r == -EPROTONOSUPPORT && signo == SIGKILL && flags == 0 && !feature_masked(FEATURE_CGROUP_KILL))
                r = keeper_link_kill_cgroup(children->keeper, path, children_on_signalled, call);
        return child_call_sent(call, r);
}

static int children_signal_process(
        void *data, Role *role, pid_t pid, uint64_t start_time, int signo, Waiter waiter) {
        Children *children = data;
        ChildCall *call = child_call_new_signal(children, role, signo, SIGNAL_STRAY, waiter);

        return child_call_sent(call, keeper_link_signal_process(children->keeper, role->child, pid,
                                             start_time, signo, children_on_signalled, call));
}

static void children_close_stdin(void *data, Role *role, Waiter waiter) {
        Children *children = data;
        ChildCall *call = child_call_new(role, "close the standard input of", waiter);

        int r = keeper_link_close_stdin(children->keeper, role->child, child_call_done, call);
        if (r < 0)
                child_call_done(call, r);
}

static void children_notified_saved(void *data, Role *role, uint64_t number) {
        Children *children = data;

        /* If that is lost, the keeper passes it again, and is told again. */
        (void) keeper_link_take_notified(children->keeper, role->child, number, NULL, NULL);
}

typedef struct Sync {
        Children *children;
        uint64_t child;
} Sync;

static void children_on_synced(void *userdata, int error) {
        g_autofree Sync *sync = userdata;
        Role *role = children_find_role(sync->children, sync->child);

        if (role)
                role_on_notified_synced(role, error);
}

static int children_sync_notified(void *data, Role *role) {
        Children *children = data;
        g_autofree Sync *sync = g_new(Sync, 1);

        *sync = (Sync){ children, role->child };
        int r = keeper_link_take_notified(children->keeper, role->child, 0, children_on_synced, sync);
        if (r >= 0)
                (void) g_steal_pointer(&sync);
        return r;
}

static void children_on_socket_made(void *userdata, int error, const char *path) {
        terminal_on_socket(userdata, error, path);
}

static int children_make_terminal_socket(
        void *data, Role *role, uid_t uid, bool replay, TerminalSocketRequest *request) {
        Children *children = data;

        return keeper_link_make_terminal_socket(children->keeper, role->child, uid,
                replay ? TERMINAL_CLIENT_REPLAY : 0, children_on_socket_made, request);
}

static void children_forget(void *data, uint64_t child) {
        Children *children = data;

        g_array_append_val(children->reaps, child);
}

static void children_reap(void *data, Role *role) {
        children_remove_role(data, role->child);
        children_forget(data, role->child);
}

static void children_send_reaps(void *data) {
        Children *children = data;

        /* While the keeper lists its children it accepts no requests. */
        if (!keeper_link_is_connected(children->keeper))
                return;
        for (unsigned i = 0; i < children->reaps->len; i++)
                /* If the connection is lost now, the next HELLO reports it again. */
                (void) keeper_link_reap(children->keeper, g_array_index(children->reaps, uint64_t, i));
        g_array_set_size(children->reaps, 0);
}

static void children_adopt(void *data, Role *role) {
        Children *children = data;

        children_add_role(children, role);
        (void) g_hash_table_remove(children->mains, role);
        (void) g_hash_table_remove(children->gates, role);
}

static void children_role_freed(void *data, Role *role) {
        Children *children = data;

        if (children_find_role(children, role->child) == role)
                children_remove_role(children, role->child);
        (void) g_hash_table_remove(children->mains, role);
        (void) g_hash_table_remove(children->gates, role);
}

static const LinkOps children_ops = {
        .connected = children_connected,
        .outdated = children_outdated,
        .fork = children_fork,
        .launch = gate_launch,
        .signal = children_signal,
        .signal_cgroup = children_signal_cgroup,
        .signal_process = children_signal_process,
        .close_stdin = children_close_stdin,
        .reap = children_reap,
        .send_reaps = children_send_reaps,
        .adopt = children_adopt,
        .watch_gate = gate_watch,
        .watch_main = main_watch,
        .forget = children_forget,
        .notified_saved = children_notified_saved,
        .sync_notified = children_sync_notified,
        .make_terminal_socket = children_make_terminal_socket,
        .look_up = lookups_begin,
        .ports_bind = port_loans_bind,
        .ports_release = port_loans_release,
        .ports_release_all = port_loans_release_all,
        .ports_rest = port_loans_rest,
        .role_freed = children_role_freed,
};

/* -- reports of the keeper -- */

static void role_exit_from_record(const struct keeper_exit_record *record, RoleExit *ret) {
        *ret = (RoleExit){
                .code = EXIT_CODE_LOST,
                .status = -1,
                .realtime_usec = record->realtime_usec,
                .monotonic_usec = record->monotonic_usec,
                .usage_known = !(record->flags & KEEPER_EXIT_NO_USAGE),
                .cpu_user_usec = record->cpu_user_usec,
                .cpu_system_usec = record->cpu_system_usec,
                .maxrss_bytes = record->maxrss_bytes,
        };
        if (!(record->flags & KEEPER_EXIT_UNKNOWN))
                (void) exit_status_from_wait(record->wait_status, &ret->code, &ret->status);
}

static void keeper_fds_close(KeeperFds *fds) {
        fds->pidfd = fd_close(fds->pidfd);
        fds->gate = fd_close(fds->gate);
        fds->stdin_fd = fd_close(fds->stdin_fd);
        fds->terminal = fd_close(fds->terminal);
}

static ChildReport child_report_of(const struct keeper_child *m) {
        if (!m->exited)
                return m->execed ? CHILD_RUNNING : CHILD_STARTING;
        return m->exit.flags & KEEPER_EXIT_UNKNOWN ? CHILD_UNKNOWN : CHILD_ENDED;
}

static void children_on_child(void *userdata, const struct keeper_child *m, KeeperFds fds) {
        Children *children = userdata;
        ListedChild listed = {
                .child = m->header.child,
                .role = m->role,
                .report = child_report_of(m),
                .orphan = m->flags & KEEPER_CHILD_ORPHAN,
                .pid = m->pid,
                .start_time = m->start_time,
                .execed = m->execed,
                .pidfd = fds.pidfd,
                .gate_fd = fds.gate,
                .stdin_fd = fds.stdin_fd,
                .terminal_fd = fds.terminal,
        };

        if (m->exited)
                role_exit_from_record(&m->exit, &listed.exit);
        node_on_child(children->node, &listed);
}

static void children_on_ports(void *userdata, const struct keeper_port *ports, size_t n) {
        port_loans_listed(userdata, ports, n);
}

static void children_on_ports_kept(void *userdata, const struct keeper_port *ports, size_t n) {
        port_loans_kept(userdata, ports, n);
}

static void children_on_connected(void *userdata) {
        Children *children = userdata;

        children->n_fds = -EBADF; /* the keeper has sent any number of them */
        node_on_keeper(children->node, (PortLoan *) children->ports->data, children->ports->len);
        g_array_set_size(children->ports, 0);
}

static void children_on_lost(void *userdata) {
        Children *children = userdata;

        id_map_clear(&children->roles);
        g_array_set_size(children->reaps, 0);
        g_array_set_size(children->ports, 0);
        lookups_lost(children);
        node_on_keeper_lost(children->node);
}

static void children_on_forked(void *userdata, const struct keeper_forked *forked, KeeperFds fds) {
        Children *children = userdata;
        Role *role = children_find_role(children, forked->header.child);

        if (!role) {
                keeper_fds_close(&fds);
                return;
        }
        if (forked->error < 0) {
                keeper_fds_close(&fds);
                children_remove_role(children, forked->header.child);
                role_on_forked(role, forked->error, 0, 0, -EBADF, -EBADF, -EBADF);
                return;
        }
        role->terminal_fd = fds.terminal;
        role_on_forked(role, 0, forked->pid, forked->start_time, fds.pidfd, fds.gate, fds.stdin_fd);
}

static void children_on_looked_up(void *userdata, const struct keeper_looked_up *looked_up) {
        lookups_on_found(userdata, looked_up);
}

static void children_on_exited(void *userdata, const struct keeper_exited *exited) {
        Children *children = userdata;
        Role *role = children_find_role(children, exited->header.child);
        RoleExit exit;

        if (!role) {
                /* The keeper sent this while the connection was established. The start is no longer known, or
                 * its name was never saved. */
                children_forget(children, exited->header.child);
                return;
        }
        role_exit_from_record(&exited->exit, &exit);
        role_on_exited(role, &exit, exited->execed);
}

static void children_on_notified(void *userdata, const struct keeper_notified *m) {
        Role *role = children_find_role(userdata, m->header.child);
        RoleNotification n = {
                .kind = (NotifyKind) m->kind,
                .number = m->number,
                .monotonic_usec = m->monotonic_usec,
                .value = m->value,
        };

        if (!role)
                return;
        g_autofree char *text = text_make_valid(m->text);
        n.text = text;
        role_on_notified(role, &n);
}

static const KeeperHandler children_handler = {
        .child = children_on_child,
        .ports = children_on_ports,
        .ports_kept = children_on_ports_kept,
        .connected = children_on_connected,
        .lost = children_on_lost,
        .forked = children_on_forked,
        .exited = children_on_exited,
        .looked_up = children_on_looked_up,
        .notified = children_on_notified,
};

/* -- its life -- */

static void children_free_source(void *p) {
        sd_event_source_disable_unref(p);
}

int children_new(sd_event *event, Node *node, const char *socket_path, Children **ret) {
        g_autoptr(Children) children = g_new0(Children, 1);

        children->event = sd_event_ref(event);
        children->node = node;
        children->n_fds = -EBADF;
        children->ports = g_array_new(false, false, sizeof(PortLoan));
        children->reaps = g_array_new(false, false, sizeof(uint64_t));
        children->gates = g_hash_table_new_full(NULL, NULL, NULL, children_free_source);
        children->mains = g_hash_table_new_full(NULL, NULL, NULL, children_free_source);
        children->lookups = lookups_new();
        int r = keeper_link_new(event, socket_path, &children_handler, children, &children->keeper);
        if (r < 0)
                return r;
        ATTACH(node, link, &children_ops, children);
        *ret = g_steal_pointer(&children);
        return 0;
}

Children *children_free(Children *children) {
        if (!children)
                return NULL;
        /* What has no reply now has none in time: nothing more is asked of the model. */
        id_map_clear(&children->roles);
        keeper_link_free(children->keeper);
        lookups_lost(children);
        children->node->world.link.ops = NULL;
        g_hash_table_unref(children->gates);
        g_hash_table_unref(children->mains);
        g_hash_table_unref(children->lookups);
        g_array_unref(children->reaps);
        g_array_unref(children->ports);
        sd_event_unref(children->event);
        g_free(children);
        return NULL;
}

void children_open(Children *children) {
        keeper_link_open(children->keeper);
}

void children_finish(Children *children) {
        children_send_reaps(children);
        keeper_link_finish(children->keeper, FINISH_TIMEOUT_USEC);
}
