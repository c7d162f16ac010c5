/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The gate of a start carries the launch request to the child, and the reports of the child back. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/fd-util.h"
#include "link/children-private.h"
#include "model/account.h"
#include "model/env.h"
#include "model/outputs.h"
#include "model/products.h"
#include "model/role-hooks.h"
#include "model/role-ready.h"
#include "model/role-start.h"
#include "model/settings.h"
#include "proto/launch-request.h"
#include "proto/product-record.h"
#include "util/log.h"

/* Refers to the data of the role. */
static LaunchAccount gate_make_account(const Account *account) {
        return (LaunchAccount){
                .uid = account->uid,
                .gid = account->gid,
                .groups = (uint32_t *) account->groups->data,
                .n_groups = account->groups->len,
                .name = account->name,
                .home = account->home,
                .shell = account->shell,
        };
}

static int gate_send(Children *children, Role *role) {
        const RoleSpec *spec = role->spec;
        g_auto(GStrv) base = env_list_role(role->node->env, spec->account, &role->owner),
                      setup = products_setup(spec, role->node->settings);
        /* The request refers to the data of the role; writing it copies them. */
        LaunchRequest request = {
                .role = role->name,
                .instance = role->node->instance,
                .scope = role->scope,
                .command = role->hook_of ? NULL : spec->command,
                .commands = role->hook_of ? role_hook_commands(role) : NULL,
                .base_environment = base,
                .environment = spec->environment,
                .environment_files = spec->environment_files,
                .working_directory = spec->working_directory,
                .user = spec->user,
                .group = spec->group,
                .output = spec->output,
                .output_path = spec->output_path,
                .nice_set = spec->nice_set,
                .nice = spec->nice,
                .limits_set = spec->limits_set,
                .setup = setup,
                .setup_deadline_usec = role_deadline_in(role->node->settings->setup_timeout_usec),
                /* The child of an older keeper does not know this. */
                .record = setup && !role->hook_of && !keeper_link_is_older(children->keeper, 3),
                .xterm = spec->xterm,
                .xterm_args = spec->xterm_args,
                .default_sigpipe = spec->default_sigpipe,
                .cpu_affinity = spec->cpu_affinity,
                .oom_score_adjust_set = spec->oom_score_adjust_set,
                .oom_score_adjust = spec->oom_score_adjust,
                .cgroups_max = role_spec_cgroups_max(spec),
                .watchdog_usec = role_spec_is_watched(spec) ? spec->watchdog_usec : 0,
                .exec_start_pre = spec->exec_start_pre,
                .start_pre_timeout_usec = role_start_pre_timeout(role->spec),
        };
        struct gate_open open = { .magic = GATE_MAGIC, .version = LAUNCH_REQUEST_VERSION };

        LaunchAccount account;
        if (spec->account) {
                account = gate_make_account(spec->account);
                request.account = &account;
        }
        memcpy(request.limits, spec->limits, sizeof(request.limits));

        OutputChoice output = { .stream = LAUNCH_STREAM_OWN, .fd = -EBADF };
        if (!keeper_link_is_older(children->keeper, 4)) /* as above */
                output = outputs_choose(role->node->outputs, role);
        request.stream = output.stream;
        request.stream_uid = (uint32_t) output.uid;

        autofd memfd = launch_request_write(&request);
        if (memfd < 0)
                return memfd;
        int fds[] = { memfd, output.fd };
        return socket_send(role->gate_fd, &open, sizeof(open), fds, output.fd >= 0 ? 2 : 1);
}

/* Copies a packet of another kind than a report, if it is of this one. */
static bool gate_packet_read(const char *packet, size_t size, uint32_t magic, void *ret, size_t ret_size) {
        if (size != ret_size || memcmp(packet, &magic, sizeof(magic)) != 0)
                return false;
        memcpy(ret, packet, ret_size);
        return true;
}

/* Returns whether the packet is a record. It stays in the gate until it is saved and the child has the reply:
 * the next process reads it again if this one dies first. */
static bool gate_take_record(Role *role, const char *packet, size_t size, int memfd) {
        _cleanup_(product_record_clear) ProductRecord record = {};
        struct gate_record m;

        if (!gate_packet_read(packet, size, GATE_RECORD_MAGIC, &m, sizeof(m)))
                return false;
        int r = product_record_read(memfd, &record);
        if (r >= 0)
                role_on_products(role, record.products, record.changes);
        else
                role_log_errno(role, LOG_WARNING, r, "Cannot read the record of its products, ignoring: %m");
        return true;
}

/* Returns whether the packet is a stream. Takes the descriptor then. */
static bool gate_take_stream(Role *role, const char *packet, size_t size, int *fd) {
        struct gate_stream m;

        if (!gate_packet_read(packet, size, GATE_STREAM_MAGIC, &m, sizeof(m)))
                return false;
        if (*fd >= 0)
                outputs_offered(role->node->outputs, role, (uid_t) m.uid, fd_steal(fd));
        return true;
}

static bool gate_take_times(Role *role, const char *packet, size_t size) {
        struct gate_times m;

        if (!gate_packet_read(packet, size, GATE_TIMES_MAGIC, &m, sizeof(m)))
                return false;
        role_on_setup_times(role, m.products_usec, m.hooks_usec);
        return true;
}

static void gate_report_handle(Role *role, const struct gate_report *report) {
        g_autofree char *text = text_make_valid(report->text);

        role_on_gate_report(role, (LaunchStage) report->stage, report->error, report->warning, text);
}

static void gate_reply_recorded(Role *role) {
        struct gate_recorded m = { .magic = GATE_RECORDED_MAGIC };

        /* If the child has died, or does not wait because the previous process has died, no reply is
         * needed. */
        (void) socket_send(role->gate_fd, &m, sizeof(m), NULL, 0);
}

static int gate_on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Role *role = userdata;
        Children *children = role->node->world.link.data;

        for (;;) {
                char packet[sizeof(struct gate_report)];
                struct gate_report report;
                int fds[1];
                size_t n_fds = ELEMENTSOF(fds), n_ignored = ELEMENTSOF(fds);

                ssize_t n = socket_peek(fd, packet, sizeof(packet), fds, &n_fds);
                if (n == -EAGAIN)
                        return 0;
                if (n == -ECONNRESET)
                        continue; /* reported once, before what is in the queue */
                if (n <= 0)
                        break;
                autofd attached = n_fds > 0 ? fds[0] : -EBADF;
                bool recorded = gate_take_record(role, packet, (size_t) n, attached);
                bool is_other = !recorded && (gate_take_stream(role, packet, (size_t) n, &attached) ||
                                                     gate_take_times(role, packet, (size_t) n));
                bool is_report =
                        !recorded && !is_other && gate_report_parse(packet, (size_t) n, &report) >= 0;
                bool failed = is_report && !report.warning;
                /* What is saved leaves the gate last. If this process dies before, the next one reads it
                 * again, and replies. */
                if (recorded)
                        gate_reply_recorded(role);
                if (is_report && !failed)
                        gate_report_handle(role, &report);
                if (socket_recv(fd, packet, sizeof(packet), fds, &n_ignored) > 0 && n_ignored > 0)
                        (void) fd_close(fds[0]);
                if (failed) {
                        gate_report_handle(role, &report);
                        return 0; /* the start is being undone, so the role may be freed */
                }
                if (!recorded && !is_other && !is_report)
                        role_log(role, LOG_WARNING, "Its child sent an invalid report, ignoring");
        }

        /* The source goes before the gate. The following calls may free the role. */
        (void) g_hash_table_remove(children->gates, role);
        role_on_gate_closed(role);
        return 0;
}

static int gate_add_watch(Children *children, Role *role) {
        sd_event_source *source = NULL;

        int r = fd_nonblock(role->gate_fd, true);
        if (r >= 0)
                r = sd_event_add_io(children->event, &source, role->gate_fd, EPOLLIN, gate_on_io, role);
        if (r >= 0)
                (void) g_hash_table_insert(children->gates, role, source);
        return r;
}

int gate_launch(void *data, Role *role) {
        /* It is watched first, because the reply must not be lost, and a gate that cannot be watched must not
         * be opened. */
        int r = gate_add_watch(data, role);
        return r < 0 ? r : gate_send(data, role);
}

void gate_watch(void *data, Role *role) {
        int r = gate_add_watch(data, role);
        if (r < 0)
                role_log_errno(role, LOG_ERR, r, "Cannot watch its gate: %m");
}
