/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Between the roles and their parent: requests of the model to the keeper, and what the keeper tells to the role it is
 * about. Also what is left when there is no keeper: the pidfds. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/fd-util.h"
#include "base/feature.h"
#include "base/pidref.h"
#include "node/agent.h"
#include "model/input.h"
#include "link/gate.h"
#include "bus/node-dbus.h"
#include "bus/role-dbus.h"
#include "util/autoptr.h"
#include "util/log.h"

/* A keeper that does not answer must not hold up a restart: what it still has, it tells the successor. */
#define FINISH_TIMEOUT_USEC USEC_PER_SEC

bool agent_keeper_connected(void *world) {
        Agent *agent = world;

        return keeper_link_is_connected(agent->keeper);
}

static gint64 *child_key(uint64_t child) {
        gint64 *key = g_new(gint64, 1);

        *key = (gint64) child;
        return key;
}

static Role *find_child(Agent *agent, uint64_t child) {
        gint64 key = (gint64) child;

        return g_hash_table_lookup(agent->children, &key);
}

/* A start that runs out of descriptors half-way would lose those that the keeper sends with its answer, and the connection with
 * them, which every other role needs: so there must be room before it begins. */
#define FDS_PER_START 8U
#define FDS_PER_ROLE 4U

static int check_fds(const Node *node) {
        const uint64_t starts = (uint64_t) FDS_PER_START * node->n_starts;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        /* Counting them takes its time with a thousand roles: only when it may be close. */
        if (starts + (uint64_t) FDS_PER_ROLE * node->n_not_ended < limit.rlim_cur / 2)
                return 0;
        int n = fd_count_open();
        if (n < 0)
                return n;
        return (uint64_t) n + starts > limit.rlim_cur ? -EMFILE : 0;
}

int agent_child_fork(void *world, Role *role) {
        Agent *agent = world;

        static const uint32_t flags[_ROLE_STDIN_MAX] = {
                [ROLE_STDIN_PIPE] = KEEPER_FORK_STDIN_PIPE,
                [ROLE_STDIN_PTY] = KEEPER_FORK_TERMINAL,
        };

        if (role->spec->stdin_kind == ROLE_STDIN_PTY && keeper_link_version(agent->keeper) == 1)
                return -EPROTONOSUPPORT;
        int r = check_fds(agent->node);
        if (r < 0)
                return r;
        g_autoptr(GArray) ports = ports_of_role(agent->node->ports, role);
        r = keeper_link_fork(agent->keeper, role->child, role->name, flags[role->spec->stdin_kind],
                (struct keeper_port *) ports->data, ports->len);
        if (r >= 0)
                (void) g_hash_table_insert(agent->children, child_key(role->child), role);
        return r;
}

int agent_child_launch(void *world, Role *role) {
        Agent *agent = world;

        /* Listen first: the answer is not to be missed, and a gate that cannot be watched is not to be opened. */
        int r = launch_watch(agent->event, role, &agent_links(role)->gate);
        return r < 0 ? r : launch_send(role);
}

typedef struct ChildCall {
        Waiter waiter;
        char *role;
        const char *what;
} ChildCall;

static void on_child_call_done(void *userdata, int error) {
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
        if (call->waiter.done)
                call->waiter.done(call->waiter.userdata, fault.message ? &fault : NULL);
        g_free(call->role);
        g_free(call);
}

static ChildCall *child_call(Role *role, const char *what, Waiter waiter) {
        ChildCall *call = g_new(ChildCall, 1);

        *call = (ChildCall){ waiter, g_strdup(role->name), what };
        return call;
}

void agent_child_signal(void *world, Role *role, int signo, Waiter waiter) {
        Agent *agent = world;
        ChildCall *call = child_call(role, "signal", waiter);

        int r = keeper_link_signal(agent->keeper, role->child, signo, on_child_call_done, call);
        if (r < 0)
                on_child_call_done(call, r);
}

void agent_child_close_stdin(void *world, Role *role, Waiter waiter) {
        Agent *agent = world;
        ChildCall *call = child_call(role, "close the standard input of", waiter);

        int r = keeper_link_close_stdin(agent->keeper, role->child, on_child_call_done, call);
        if (r < 0)
                on_child_call_done(call, r);
}

static void send_reaps(Agent *agent) {
        for (unsigned i = 0; i < agent->reaps->len; i++)
                /* Without a connection the next keeper or the next HELLO tells of it again. */
                (void) keeper_link_reap(agent->keeper, g_array_index(agent->reaps, uint64_t, i));
        g_array_set_size(agent->reaps, 0);
}

/* The loop has ended. What has been told is asked about once more, and what is known to be saved may go. */
static int on_exit_loop(sd_event_source *s, void *userdata) {
        Agent *agent = userdata;

        events_dbus_confirm_all(agent);
        send_reaps(agent);
        keeper_link_finish(agent->keeper, FINISH_TIMEOUT_USEC);
        return 0;
}

/* The kernel may forget an exit only when its signal is on its way: it waits for an empty write queue. */
static int on_after_all(sd_event_source *s, void *userdata) {
        Agent *agent = userdata;
        uint64_t queued = 0;

        (void) sd_bus_get_n_queued_write(agent->bus, &queued);
        role_dbus_reschedule(agent, queued);
        if (queued == 0)
                events_dbus_confirm(agent);
        /* While the keeper still tells of its children nothing can be asked of it. */
        if (queued > 0 || !keeper_link_is_connected(agent->keeper))
                return 0;
        send_reaps(agent);
        return 0;
}

int agent_reaps_setup(Agent *agent) {
        agent->reaps = g_array_new(false, false, sizeof(uint64_t));
        int r = sd_event_add_post(agent->event, &agent->after_all, on_after_all, agent);
        if (r >= 0)
                r = sd_event_add_exit(agent->event, &agent->at_exit, on_exit_loop, agent);
        if (r >= 0)
                r = sd_event_source_set_priority(agent->at_exit, SD_EVENT_PRIORITY_IMPORTANT);
        return r;
}

static void keeper_forget(Agent *agent, uint64_t child) {
        g_array_append_val(agent->reaps, child);
}

void agent_child_reap(void *world, Role *role) {
        Agent *agent = world;
        gint64 key = (gint64) role->child;

        (void) g_hash_table_remove(agent->children, &key);
        keeper_forget(agent, role->child);
}

static void on_cgroup_killed(void *userdata, int error) {
        if (error < 0 && error != -ENOENT)
                log_warning_errno(error, "Cannot kill by cgroup.kill: %m");
}

void agent_scope_kill(void *world, Role *role) {
        Agent *agent = world;
        int r = -EOPNOTSUPP;

        if (!feature_masked(FEATURE_CGROUP_KILL) && role->cgroup)
                r = keeper_link_kill_cgroup(agent->keeper, role->cgroup, on_cgroup_killed, NULL);
        if (r < 0)
                scope_freeze_and_kill(agent->scopes, role);
}

static void drop_gate(Role *role) {
        agent_links(role)->gate = sd_event_source_disable_unref(agent_links(role)->gate);
}

static void exit_from_record(const struct keeper_exit_record *record, RoleExit *ret) {
        *ret = (RoleExit){
                .realtime_usec = record->realtime_usec,
                .monotonic_usec = record->monotonic_usec,
                .usage_known = !(record->flags & KEEPER_EXIT_NO_USAGE),
                .cpu_user_usec = record->cpu_user_usec,
                .cpu_system_usec = record->cpu_system_usec,
                .maxrss_bytes = record->maxrss_bytes,
        };
        if ((record->flags & KEEPER_EXIT_UNKNOWN) ||
                exit_status_from_wait(record->wait_status, &ret->code, &ret->status) < 0) {
                ret->code = EXIT_CODE_LOST;
                ret->status = -1;
        }
}

/* The end as seen without a parent: what the kernel still tells, or an honest "lost". */
static void exit_without_parent(int error, int wait_status, RoleExit *ret) {
        *ret = (RoleExit){
                .code = EXIT_CODE_LOST,
                .status = -1,
                .realtime_usec = (uint64_t) g_get_real_time(),
                .monotonic_usec = (uint64_t) g_get_monotonic_time(),
        };
        if (error >= 0)
                (void) exit_status_from_wait(wait_status, &ret->code, &ret->status);
}

static int on_pidfd(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Role *role = userdata;
        RoleExit exit;
        int wait_status = 0;

        int r = pidfd_exit_status(fd, &wait_status);
        if (r == -EAGAIN && !(revents & EPOLLHUP)) {
                /* Dead, but its new parent has not reaped it yet; the hang-up says when it has. */
                (void) sd_event_source_set_io_events(s, 0);
                return 0;
        }
        agent_links(role)->pidfd = sd_event_source_disable_unref(s);
        exit_without_parent(r, wait_status, &exit);
        role_on_exited(role, &exit, role->state != ROLE_STARTING);
        return 0;
}

static void watch_pidfd(Agent *agent, Role *role) {
        RoleLinks *links = agent_links(role);
        RoleExit exit;

        if (links->pidfd || role->main_exited)
                return;
        if (role->main_pidfd < 0) {
                exit_without_parent(-ESRCH, 0, &exit);
                role_on_exited(role, &exit, role->state != ROLE_STARTING);
                return;
        }
        int r = sd_event_add_io(agent->event, &links->pidfd, role->main_pidfd, EPOLLIN, on_pidfd, role);
        if (r < 0)
                role_log(role, LOG_ERR, "Cannot watch its main process: %s", g_strerror(-r));
}

/* The process the saved state means, if it still lives: never just the pid. */
static int reopen_main(Role *role) {
        struct proc_stat stat;

        if (role->main_pid <= 0)
                return -ESRCH;
        autofd fd = pidfd_open_pid(role->main_pid);
        if (fd < 0)
                return fd;
        /* Checked after the pidfd holds it: the pid cannot become another's in between. */
        int r = proc_stat_read(role->main_pid, &stat);
        if (r < 0)
                return r;
        if (stat.start_time != role->main_start_time)
                return -ESRCH;
        role->main_pidfd = fd_steal(&fd);
        return 0;
}

static void all_roles(Agent *agent, void (*each)(Agent *agent, Role *role)) {
        g_autoptr(GPtrArray) roles = g_ptr_array_new();
        GHashTableIter iter;
        Role *role;

        /* Each may end, and so free or remove, its own role only; the old run of a name comes before the new one. */
        g_hash_table_iter_init(&iter, agent->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                if (role->predecessor)
                        g_ptr_array_add(roles, role->predecessor);
                g_ptr_array_add(roles, role);
        }
        for (unsigned i = 0; i < roles->len; i++)
                each(agent, g_ptr_array_index(roles, i));
}

/* The keeper has just listed all its children, and this role's is not among them: it died with its keeper, or was never made, or
 * lives on as somebody else's child. */
static void recover_without_child(Agent *agent, Role *role) {
        if (role->child_exists || role->main_exited)
                return;

        if (role->state == ROLE_STARTING) {
                if (role->failure.message) {
                        /* The answer to its fork was lost with the keeper, and no child came of it: do not wait for one. */
                        if (role->phase == ROLE_PHASE_FORK)
                                role->child = 0;
                        role_undo(role);
                        return;
                }
                if (role->phase <= ROLE_PHASE_FORK && !g_queue_find(agent->node->start_queue, role)) {
                        /* Nothing has been made of it yet: it waits for its turn again. */
                        if (role_holds_slot(role))
                                agent->node->n_starts--;
                        role->phase = ROLE_PHASE_QUEUED;
                        role->child = 0;
                        g_queue_push_tail(agent->node->start_queue, role);
                }
                if (role->phase == ROLE_PHASE_QUEUED)
                        return;
                role->scope_exists = true; /* perhaps: it is looked for and removed */
        }

        if (role->main_pidfd < 0)
                (void) reopen_main(role);
        if (role->state == ROLE_STARTING && role->gate_fd < 0) {
                if (role->main_pidfd >= 0)
                        watch_pidfd(agent, role);
                role_on_gate_lost(role);
                return;
        }
        watch_pidfd(agent, role);
}

/* On the way to a complete list: what it does not confirm is gone. */
static void forget_child(Agent *agent, Role *role) {
        role->child_exists = false;
}

static void resume(Agent *agent, Role *role) {
        if (role->state == ROLE_STOPPING || role->state == ROLE_ENDED)
                role_resume_stop(role);
}

static void on_connected(void *userdata) {
        Agent *agent = userdata;

        log_debug("Connected to the keeper");
        all_roles(agent, recover_without_child);
        agent_ports_connected(agent);
        if (!agent->recovered)
                all_roles(agent, resume);
        agent->node->world->node_changed(agent);
        agent_on_keeper(agent);
        node_pump_starts(agent->node);
}

static void on_ports(void *userdata, const struct keeper_port *ports, size_t n) {
        agent_ports_told(userdata, ports, n);
}

static void watch_lost_child(Agent *agent, Role *role) {
        if (role->main_pid > 0)
                watch_pidfd(agent, role);
}

/* There may be none for a while: what ends meanwhile is seen all the same, where the kernel tells how. Anything else waits for the
 * keeper, who may know: it may be late, not dead. */
static void watch_for_now(Agent *agent, Role *role) {
        int ignored;

        if (role->child_exists || role->main_exited || role->state == ROLE_STARTING)
                return;
        if ((role->main_pidfd >= 0 || reopen_main(role) >= 0) &&
                pidfd_exit_status(role->main_pidfd, &ignored) != -EOPNOTSUPP)
                watch_pidfd(agent, role);
}

void agent_watch_without_keeper(Agent *agent) {
        all_roles(agent, watch_for_now);
}

static void on_lost(void *userdata) {
        Agent *agent = userdata;

        /* Its children live on; their ends are now seen by their pidfds. Those at the gate die with it. */
        all_roles(agent, forget_child);
        g_hash_table_remove_all(agent->children);
        g_array_set_size(agent->reaps, 0);
        agent->node->world->node_changed(agent);
        all_roles(agent, watch_lost_child);
}

static void close_fds(KeeperFds *fds) {
        fds->pidfd = fd_close(fds->pidfd);
        fds->gate = fd_close(fds->gate);
        fds->stdin_fd = fd_close(fds->stdin_fd);
        fds->terminal = fd_close(fds->terminal);
}

static void on_forked(void *userdata, const struct keeper_forked *forked, KeeperFds fds) {
        Agent *agent = userdata;
        Role *role = find_child(agent, forked->header.child);
        gint64 key = (gint64) forked->header.child;

        if (!role) {
                close_fds(&fds);
                return;
        }
        if (forked->error < 0) {
                close_fds(&fds);
                (void) g_hash_table_remove(agent->children, &key);
                role_on_forked(role, forked->error, 0, 0, -EBADF, -EBADF, -EBADF);
                return;
        }
        role->terminal_fd = fds.terminal;
        role_on_forked(role, 0, forked->pid, forked->start_time, fds.pidfd, fds.gate, fds.stdin_fd);
}

static void on_exited(void *userdata, const struct keeper_exited *exited) {
        Agent *agent = userdata;
        Role *role = find_child(agent, exited->header.child);
        RoleExit exit;

        if (!role) {
                /* On its way out when the connection was made: a start that nobody knows any more, or one whose name was
                 * never saved. */
                keeper_forget(agent, exited->header.child);
                return;
        }
        exit_from_record(&exited->exit, &exit);
        role_on_exited(role, &exit, exited->execed);
}

static Role *find_by_name_and_child(Agent *agent, const char *name, uint64_t child) {
        Role *role = g_hash_table_lookup(agent->node->roles, name);

        while (role && role->child != child)
                role = role->predecessor;
        return role;
}

/* A child that the keeper still has, after a connection: of a role of ours, or of nobody's. */
static void on_child(void *userdata, const struct keeper_child *m, KeeperFds fds) {
        Agent *agent = userdata;
        Role *role = find_by_name_and_child(agent, m->role, m->header.child);
        RoleExit exit;

        if (!role) {
                /* At most a start whose role was undone or never saved; its gate has been shut, so it never runs. Of a keeper
                 * that has died: also one that had ended, and was forgotten here before systemd had heard of that. */
                if (!(m->flags & KEEPER_CHILD_ORPHAN) || !m->exited)
                        log_warning("The keeper has a child of an unknown role \"%s\" (pid %d)%s", m->role,
                                m->pid, m->execed && !m->exited ? ": leaving it alone" : "");
                if (m->exited)
                        keeper_forget(agent, m->header.child);
                if (m->header.child >= agent->node->next_child)
                        agent->node->next_child = m->header.child + 1;
                close_fds(&fds);
                return;
        }

        if ((m->flags & KEEPER_CHILD_ORPHAN) && role->state == ROLE_STARTING) {
                /* It had a gate with the keeper that has died, and this one cannot tell how far it came: we can. */
                keeper_forget(agent, m->header.child);
                close_fds(&fds);
                return;
        }

        RoleLinks *links = agent_links(role);
        (void) g_hash_table_insert(agent->children, child_key(role->child), role);
        role->child_exists = true;
        links->pidfd = sd_event_source_disable_unref(links->pidfd);
        (void) fd_close(role->main_pidfd);
        role->main_pidfd = fds.pidfd;
        role->main_pid = m->pid;
        role->main_start_time = m->start_time;

        if (role->state == ROLE_ENDED) {
                /* Its end is on disk and has been told; only the keeper has not heard that it may reap it. */
                fds.pidfd = -EBADF;
                close_fds(&fds);
                role->child_exists = false;
                agent_child_reap(agent, role);
                return;
        }

        if (role->stdin_fd < 0)
                role->stdin_fd = fds.stdin_fd;
        else
                (void) fd_close(fds.stdin_fd);
        (void) fd_close(role->terminal_fd);
        role->terminal_fd = fds.terminal;
        if (role->stdin_fd >= 0 && role->state != ROLE_STARTING && !role->input)
                role->input = input_new(role, agent->event);

        if (m->exited) {
                exit_from_record(&m->exit, &exit);
                if (fds.gate < 0)
                        role->gate_closed = true;
        }

        if (role->state == ROLE_STARTING) {
                drop_gate(role);
                (void) fd_close(role->gate_fd);
                role->gate_fd = fds.gate;
                role->scope_exists = role->phase >= ROLE_PHASE_SCOPE;
                if (role->phase != ROLE_PHASE_OPEN) {
                        /* No request has gone to it, and none can go any more: the gate was shut with the old connection. */
                        g_auto(Fault) fault = {};
                        (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                                "The start of role \"%s\" was interrupted by a restart of the service",
                                role->name);
                        if (m->exited)
                                role_on_exited(role, &exit, m->execed);
                        else
                                role_fail(role, &fault);
                        return;
                }
                if (role->gate_fd >= 0) {
                        int r = launch_watch(agent->event, role, &links->gate);
                        if (r < 0)
                                role_log(role, LOG_ERR, "Cannot watch its gate: %s", g_strerror(-r));
                }
        } else
                (void) fd_close(fds.gate);

        bool at_gate = role->state == ROLE_STARTING && role->gate_fd >= 0;
        if (m->exited)
                role_on_exited(role, &exit, m->execed);
        else if (role->state == ROLE_STARTING && !at_gate)
                role_on_gate_closed(role);
}

const KeeperHandler agent_keeper_handler = {
        .child = on_child,
        .ports = on_ports,
        .connected = on_connected,
        .lost = on_lost,
        .forked = on_forked,
        .exited = on_exited,
};
