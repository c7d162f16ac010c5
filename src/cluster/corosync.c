/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <corosync/cmap.h>
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cluster/corosync.h"
#include "util/autoptr.h"
#include "util/log.h"

typedef struct Ring {
        uint32_t node;
        uint64_t seq; /* 0: not known yet */
} Ring;

struct Corosync {
        const CorosyncEvents *events;
        void *userdata;
        bool lost;

        quorum_handle_t quorum;
        cpg_handle_t group;
        bool has_quorum_handle, has_group;
        sd_event_source *quorum_source, *group_source;

        char *name;
        uint32_t node;
        bool two_node;

        /* The quorum and the messages come over two connections, so one of them may be a ring behind. */
        Ring quorum_ring, group_ring;
        bool quorate;
};

static Corosync *corosync_of_quorum(quorum_handle_t handle) {
        const void *context = NULL;

        (void) quorum_context_get(handle, &context);
        return (Corosync *) context;
}

static Corosync *corosync_of_group(cpg_handle_t handle) {
        void *context = NULL;

        (void) cpg_context_get(handle, &context);
        return context;
}

static void corosync_lose(Corosync *corosync, const char *what, cs_error_t error) {
        if (corosync->lost)
                return;
        corosync->lost = true;
        log_warning("The connection with corosync is lost (%s: error %d)", what, (int) error);
        /* The descriptors of a peer that is gone are readable for ever. */
        corosync->quorum_source = sd_event_source_disable_unref(corosync->quorum_source);
        corosync->group_source = sd_event_source_disable_unref(corosync->group_source);
        corosync->events->lost(corosync->userdata);
}

/* -- quorum -- */

static void corosync_on_quorum(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring,
        uint32_t n_members, const uint32_t *members) {
        Corosync *corosync = corosync_of_quorum(handle);

        corosync->quorum_ring = (Ring){ ring.nodeid, ring.seq };
        if (corosync->quorate == (quorate != 0))
                return;
        corosync->quorate = quorate != 0;
        if (corosync->quorate)
                log_info("This host has quorum, with %" PRIu32 " hosts", n_members);
        else
                log_warning("This host has no quorum, with %" PRIu32 " hosts: the lease is not renewed",
                        n_members);
}

static void corosync_on_nodes(quorum_handle_t handle, struct quorum_ring_id ring, uint32_t n_members,
        const uint32_t *members, uint32_t n_joined, const uint32_t *joined, uint32_t n_left,
        const uint32_t *left) {
        /* The ring of the group says the same in the order of the messages. */
}

static void corosync_dispatch_quorum(Corosync *corosync) {
        cs_error_t error = quorum_dispatch(corosync->quorum, CS_DISPATCH_ALL);

        if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
                corosync_lose(corosync, "quorum", error);
}

static int corosync_on_quorum_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        corosync_dispatch_quorum(userdata);
        return 0;
}

/* -- the group -- */

static void corosync_on_message(cpg_handle_t handle, const struct cpg_name *group, uint32_t node,
        uint32_t pid, void *data, size_t size) {
        Corosync *corosync = corosync_of_group(handle);
        ClusterMessage message;

        if (cluster_message_read(data, size, &message) < 0) {
                log_debug("Ignoring a message of node %" PRIu32 " that is none of this version", node);
                return;
        }
        corosync->events->message(
                &message, node == corosync->node && pid == (uint32_t) getpid(), corosync->userdata);
}

static void corosync_on_members(cpg_handle_t handle, const struct cpg_name *group,
        const struct cpg_address *members, size_t n_members, const struct cpg_address *left, size_t n_left,
        const struct cpg_address *joined, size_t n_joined) {
        /* A process that joins or leaves without its host changes nothing. */
}

static void corosync_on_ring(
        cpg_handle_t handle, struct cpg_ring_id ring, uint32_t n_members, const uint32_t *members) {
        Corosync *corosync = corosync_of_group(handle);

        corosync->group_ring = (Ring){ ring.nodeid, ring.seq };
        log_debug("Ring %" PRIu32 ".%" PRIu64 " with %" PRIu32 " hosts", ring.nodeid, ring.seq, n_members);
        corosync->events->ring(corosync->userdata);
}

static int corosync_on_group_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Corosync *corosync = userdata;

        cs_error_t error = cpg_dispatch(corosync->group, CS_DISPATCH_ALL);
        if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
                corosync_lose(corosync, "group", error);
        return 0;
}

bool corosync_is_quorate(Corosync *corosync) {
        if (!corosync->lost)
                corosync_dispatch_quorum(corosync);
        return !corosync->lost && corosync->quorate && corosync->group_ring.seq != 0 &&
               corosync->group_ring.seq == corosync->quorum_ring.seq &&
               corosync->group_ring.node == corosync->quorum_ring.node;
}

int corosync_send(Corosync *corosync, ClusterVerb verb, const char *name, uint64_t number) {
        ClusterMessage message = { .verb = verb, .number = number };
        char text[CLUSTER_MESSAGE_MAX];

        if (corosync->lost)
                return -ENOTCONN;
        (void) g_strlcpy(message.name, name, sizeof(message.name));
        int n = cluster_message_write(&message, text);
        if (n < 0)
                return n;
        struct iovec piece = { text, (size_t) n };
        cs_error_t error = cpg_mcast_joined(corosync->group, CPG_TYPE_AGREED, &piece, 1);
        if (error == CS_OK)
                return 0;
        if (error == CS_ERR_TRY_AGAIN)
                return -EAGAIN;
        corosync_lose(corosync, "group", error);
        return -ENOTCONN;
}

/* -- connecting -- */

static int corosync_error(const char *what, cs_error_t error) {
        /* There is none, or it is about to start or to end. */
        if (error == CS_ERR_LIBRARY || error == CS_ERR_TRY_AGAIN)
                return log_debug_errno(
                        -ENOTCONN, "Cannot connect to corosync yet (%s: error %d)", what, (int) error);
        log_error("Cannot connect to corosync (%s: error %d)", what, (int) error);
        return -EIO;
}

static int corosync_read_map(Corosync *corosync) {
        struct utsname machine;
        cmap_handle_t map;
        uint8_t two_node;
        uint32_t id;

        cs_error_t error = cmap_initialize(&map);
        if (error != CS_OK)
                return corosync_error("cmap", error);
        for (unsigned i = 0; !corosync->name; i++) {
                g_autofree char *id_key = g_strdup_printf("nodelist.node.%u.nodeid", i);
                g_autofree char *name_key = g_strdup_printf("nodelist.node.%u.name", i);
                char *name = NULL;

                if (cmap_get_uint32(map, id_key, &id) != CS_OK)
                        break;
                if (id == corosync->node && cmap_get_string(map, name_key, &name) == CS_OK)
                        corosync->name = g_strdup(name);
                free(name);
        }
        corosync->two_node = cmap_get_uint8(map, "quorum.two_node", &two_node) == CS_OK && two_node != 0;
        (void) cmap_finalize(map);
        if (!corosync->name && uname(&machine) == 0)
                corosync->name = g_strdup(machine.nodename);
        return 0;
}

static int corosync_open_quorum(Corosync *corosync, sd_event *event) {
        quorum_model_v1_data_t model = {
                .model = QUORUM_MODEL_V1,
                .quorum_notify_fn = corosync_on_quorum,
                .nodelist_notify_fn = corosync_on_nodes,
        };
        uint32_t type;
        int fd;

        cs_error_t error = quorum_model_initialize(
                &corosync->quorum, QUORUM_MODEL_V1, (quorum_model_data_t *) &model, &type, corosync);
        if (error != CS_OK)
                return corosync_error("quorum", error);
        corosync->has_quorum_handle = true;
        if (type != QUORUM_SET) {
                log_error("corosync has no quorum provider, see votequorum(5)");
                return -EOPNOTSUPP;
        }
        error = quorum_trackstart(corosync->quorum, CS_TRACK_CURRENT | CS_TRACK_CHANGES);
        if (error == CS_OK)
                error = quorum_fd_get(corosync->quorum, &fd);
        if (error != CS_OK)
                return corosync_error("quorum", error);
        return sd_event_add_io(event, &corosync->quorum_source, fd, EPOLLIN, corosync_on_quorum_io, corosync);
}

static int corosync_open_group(Corosync *corosync, sd_event *event) {
        static const struct cpg_name group = { .length = strlen(CLUSTER_GROUP), .value = CLUSTER_GROUP };
        cpg_model_v1_data_t model = {
                .model = CPG_MODEL_V1,
                .cpg_deliver_fn = corosync_on_message,
                .cpg_confchg_fn = corosync_on_members,
                .cpg_totem_confchg_fn = corosync_on_ring,
                .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF,
        };
        int fd;

        cs_error_t error =
                cpg_model_initialize(&corosync->group, CPG_MODEL_V1, (cpg_model_data_t *) &model, corosync);
        if (error != CS_OK)
                return corosync_error("group", error);
        corosync->has_group = true;
        error = cpg_local_get(corosync->group, &corosync->node);
        if (error == CS_OK)
                error = cpg_join(corosync->group, &group);
        if (error == CS_OK)
                error = cpg_fd_get(corosync->group, &fd);
        if (error != CS_OK)
                return corosync_error("group", error);
        return sd_event_add_io(event, &corosync->group_source, fd, EPOLLIN, corosync_on_group_io, corosync);
}

int corosync_open(Corosync **ret, sd_event *event, const CorosyncEvents *events, void *userdata) {
        Corosync *corosync = g_new0(Corosync, 1);

        corosync->events = events;
        corosync->userdata = userdata;
        int r = corosync_open_group(corosync, event);
        if (r >= 0)
                r = corosync_read_map(corosync);
        if (r >= 0)
                r = corosync_open_quorum(corosync, event);
        if (r < 0) {
                (void) corosync_close(corosync);
                return r;
        }
        *ret = corosync;
        return 0;
}

Corosync *corosync_close(Corosync *corosync) {
        if (!corosync)
                return NULL;
        corosync->quorum_source = sd_event_source_disable_unref(corosync->quorum_source);
        corosync->group_source = sd_event_source_disable_unref(corosync->group_source);
        if (corosync->has_quorum_handle)
                (void) quorum_finalize(corosync->quorum);
        if (corosync->has_group)
                (void) cpg_finalize(corosync->group);
        g_free(corosync->name);
        g_free(corosync);
        return NULL;
}

const char *corosync_get_name(const Corosync *corosync) {
        return corosync->name;
}

bool corosync_is_two_node(const Corosync *corosync) {
        return corosync->two_node;
}
